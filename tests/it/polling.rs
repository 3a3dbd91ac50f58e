//! How upstreams are asked: when, how often, with which headers, through which proxy.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Behaviour, Upstream, answer};

const UP: &str = "saas_exporter_service_up{service=\"example\"}";

fn calm() -> Behaviour {
    upstream::json(fixtures::calm().to_string())
}

#[test]
fn a_service_is_asked_at_once_and_then_every_interval_from_start_to_start() {
    let upstream = Upstream::start();
    let slow: Behaviour = Arc::new(|_, stream| {
        std::thread::sleep(Duration::from_millis(400));
        answer(stream, 200, &[], fixtures::calm().to_string().as_bytes());
    });
    upstream.set("/s", slow);
    let exporter = Setup::one("interval", &upstream.url("/s")).start();
    let requests = upstream.wait_for_requests("/s", 5);
    assert!(requests[0].at.duration_since(exporter.started) < Duration::from_secs(1));
    let four = requests[4].at.duration_since(requests[0].at).as_secs_f64();
    assert!(
        (3.8..4.6).contains(&four),
        "four intervals of a second took {four} s"
    );
}

#[test]
fn a_bare_page_address_is_completed_and_the_request_introduces_itself() {
    let upstream = Upstream::start();
    upstream.set("/api/v2/summary.json", calm());
    let exporter = Setup::one("bare", &upstream.url("")).start();
    exporter.wait_for_value(UP, 1.0);
    let request = upstream.requests("/api/v2/summary.json").remove(0);
    assert_eq!(request.header("accept"), Some("application/json"));
    assert_eq!(request.header("accept-encoding"), Some("gzip"));
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("saas-exporter/")
    );
    assert!(request.header("user-agent").unwrap().contains("https://"));
}

#[test]
fn a_passing_failure_is_asked_again_after_growing_pauses_within_one_poll() {
    let upstream = Upstream::start();
    let failing = upstream::status(503, &[]);
    upstream.set(
        "/s",
        upstream::in_turn(vec![failing.clone(), upstream::raw(b""), failing, calm()]),
    );
    let services =
        json!({"example": {"name": "Example", "url": upstream.url("/s"), "interval": "1h"}});
    let exporter = Setup::new("retries", services).start();
    let page = exporter.wait_for_value(UP, 1.0);
    assert_eq!(
        page.value("saas_exporter_polls_total{service=\"example\"}"),
        Some(1.0)
    );
    let response = page
        .value("statuspage_response_time_seconds{service_name=\"Example\"}")
        .unwrap();
    assert!(
        response < 0.4,
        "pauses are not part of the response time: {response}"
    );
    let requests = upstream.requests("/s");
    let pauses: Vec<f64> = requests
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64())
        .collect();
    assert_eq!(pauses.len(), 3);
    for (pause, least) in pauses.iter().zip([0.5, 1.0, 2.0]) {
        assert!((least..least * 1.25 + 0.4).contains(pause), "{pauses:?}");
    }
}

#[test]
fn a_short_retry_after_is_waited_for_within_the_poll() {
    let upstream = Upstream::start();
    let busy = upstream::status(429, &[("retry-after", "2")]);
    upstream.set("/s", upstream::in_turn(vec![busy, calm()]));
    let services =
        json!({"example": {"name": "Example", "url": upstream.url("/s"), "interval": "1h"}});
    let exporter = Setup::new("short-retry-after", services).start();
    exporter.wait_for_value(UP, 1.0);
    let requests = upstream.requests("/s");
    assert!(requests[1].at.duration_since(requests[0].at) >= Duration::from_secs(2));
}

#[test]
fn an_unchanged_page_is_asked_for_conditionally_and_counts_as_seen() {
    let upstream = Upstream::start();
    let full: Behaviour = Arc::new(|request, stream| {
        let headers = [
            ("etag", "W/\"abc\""),
            ("last-modified", "Thu, 19 Nov 2026 10:00:00 GMT"),
        ];
        if request.header("if-none-match").is_some() {
            answer(stream, 304, &headers, b"");
        } else {
            answer(
                stream,
                200,
                &headers,
                fixtures::with_incident("i1", "Title")
                    .to_string()
                    .as_bytes(),
            );
        }
    });
    upstream.set("/s", full);
    let exporter = Setup::one("conditional", &upstream.url("/s")).start();
    let requests = upstream.wait_for_requests("/s", 3);
    assert_eq!(requests[0].header("if-none-match"), None);
    assert_eq!(
        requests[2].header("if-none-match"),
        Some("W/\"abc\""),
        "a weak tag goes back as it came"
    );
    assert_eq!(
        requests[2].header("if-modified-since"),
        Some("Thu, 19 Nov 2026 10:00:00 GMT")
    );
    let stamp = "statuspage_application_timestamp{service_name=\"Example\"}";
    let first = exporter.page();
    let later = exporter.wait_for("a later poll", |page| {
        page.value(stamp) > first.value(stamp)
    });
    assert_eq!(later.value(UP), Some(1.0));
    assert_eq!(
        later.lines("statuspage_incident_info"),
        first.lines("statuspage_incident_info")
    );
}

#[test]
fn redirects_are_followed_and_secret_headers_stay_with_their_host() {
    let (here, there) = (Upstream::start(), Upstream::start());
    here.set("/s", upstream::redirect(302, "/moved/summary.json"));
    here.set(
        "/moved/summary.json",
        upstream::redirect(308, there.url("/s")),
    );
    there.set("/s", calm());
    let setup = Setup::one("headers", "http://replaced.invalid/");
    let file = setup
        .folder
        .write("key", "  from-file-1\n")
        .display()
        .to_string();
    let headers = json!({"X-Literal": "from-literal", "X-Variable": {"env": "A_KEY"}, "X-File": {"file": file}});
    let services =
        json!({"example": {"name": "Example", "url": here.url("/s"), "headers": headers}});
    setup.folder.write("services.json", services.to_string());
    let setup = setup
        .with("A_KEY", "from-variable")
        .with("LOG_LEVEL", "trace");
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);
    for path in ["/s", "/moved/summary.json"] {
        let request = here.requests(path).remove(0);
        assert_eq!(request.header("x-literal"), Some("from-literal"));
        assert_eq!(request.header("x-variable"), Some("from-variable"));
        assert_eq!(request.header("x-file"), Some("from-file-1"));
    }
    assert!(
        there.requests("/s")[0]
            .headers
            .keys()
            .all(|name| !name.starts_with("x-"))
    );
    setup.folder.write("key", "from-file-2");
    let count = here.requests("/s").len();
    let requests = here.wait_for_requests("/s", count + 2);
    assert_eq!(
        requests.last().unwrap().header("x-file"),
        Some("from-file-2"),
        "files are read again"
    );
    let seen = format!(
        "{}{}{}",
        exporter.log(),
        exporter.page().0,
        exporter.get("/").text()
    );
    for secret in ["from-literal", "from-variable", "from-file"] {
        assert!(!seen.contains(secret), "{secret} was shown:\n{seen}");
    }
}

#[test]
fn never_more_requests_than_allowed_are_under_way() {
    let upstream = Upstream::start();
    let (under_way, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (now, peak) = (Arc::clone(&under_way), Arc::clone(&most));
    let counted: Behaviour = Arc::new(move |_, stream| {
        peak.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
        std::thread::sleep(Duration::from_millis(100));
        now.fetch_sub(1, Ordering::SeqCst);
        answer(stream, 200, &[], fixtures::calm().to_string().as_bytes());
    });
    upstream.set("/s", counted);
    let service = |number: usize| {
        (
            format!("s{number}"),
            json!({"name": number.to_string(), "url": upstream.url("/s")}),
        )
    };
    let services: serde_json::Map<_, _> = (0..12).map(service).collect();
    let setup = Setup::new("concurrency", services.into()).argument("--poll.concurrency=3");
    let exporter = setup.with("CHECK_INTERVAL_MINUTES", "20").start();
    exporter.wait_for("all services", |page| {
        page.lines("statuspage_service_status").len() == 12
    });
    assert_eq!(most.load(Ordering::SeqCst), 3);
}

#[test]
fn requests_go_through_the_proxy_of_the_environment_unless_excepted() {
    let upstream = Upstream::start();
    upstream.set("/direct", calm());
    let proxy = Upstream::start();
    let tunnels = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&tunnels);
    let connect: Behaviour = Arc::new(move |request, stream| {
        seen.lock()
            .unwrap()
            .push(format!("{} {}", request.method, request.target));
        answer(stream, 502, &[], b"");
    });
    proxy.set("hidden.example:443", connect);
    let services = json!({
        "hidden": {"name": "Hidden", "url": "https://hidden.example/s", "interval": "1h"},
        "direct": {"name": "Direct", "url": upstream.url("/direct"), "interval": "1h"},
    });
    let exporter = Setup::new("proxy", services)
        .with("https_proxy", proxy.url(""))
        .with("HTTP_PROXY", proxy.url(""))
        .with("NO_PROXY", "localhost,127.0.0.0/8")
        .start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"direct\"}", 1.0);
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"connect\",service=\"hidden\"}",
        1.0,
    );
    assert!(
        tunnels
            .lock()
            .unwrap()
            .iter()
            .all(|line| line == "CONNECT hidden.example:443")
    );
    assert_eq!(upstream.requests("/direct").len(), 1);
}

#[test]
fn static_labels_are_added_to_every_series_of_the_service() {
    let upstream = Upstream::start();
    upstream.set("/s", calm());
    let services = json!({"example": {"name": "Example", "url": upstream.url("/s"), "labels": {"team": "core"}}});
    let exporter = Setup::new("labels", services).start();
    let page = exporter.wait_for_value(
        "saas_exporter_service_up{service=\"example\",team=\"core\"}",
        1.0,
    );
    for line in page
        .0
        .lines()
        .filter(|line| line.contains("service_name=") || line.contains("service="))
    {
        assert!(line.contains("team=\"core\""), "{line}");
    }
}
