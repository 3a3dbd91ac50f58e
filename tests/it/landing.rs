//! The pages for people and their JSON, as a browser and a program get them.

use serde_json::{Value, json};

use crate::exporter::{Exporter, Response, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream, wait_until};

/// The JSON at a path, read strictly.
fn api(exporter: &Exporter, path: &str) -> Value {
    let answer = exporter.get(path);
    assert_eq!(answer.status, 200, "{path}");
    assert_eq!(answer.headers["content-type"], "application/json");
    serde_json::from_slice(&answer.body).expect("strict JSON")
}

/// Polled once and not again, under a key that needs escapes.
fn busy(name: &str) -> (Upstream, Exporter) {
    let upstream = Upstream::start();
    let page = fixtures::busy().to_string();
    upstream.set("/s?key=hidden-in-query", upstream::json(page));
    let services = json!({"a/b <c>": {"name": "Ex<b>ample", "url": upstream.url("/s?key=hidden-in-query"), "interval": "1h"}});
    let exporter = Setup::new(name, services).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"a/b <c>\"}", 1.0);
    (upstream, exporter)
}

fn assert_guarded(path: &str, answer: &Response) {
    let header = |name: &str| answer.headers.get(name).map(String::as_str);
    assert_eq!(header("cache-control"), Some("no-store"), "{path}");
    assert_eq!(header("x-content-type-options"), Some("nosniff"), "{path}");
    assert_eq!(header("referrer-policy"), Some("no-referrer"), "{path}");
    let policy = header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none';"),
        "{path}: {policy}"
    );
    assert!(
        !policy.contains("unsafe") && !policy.contains('*'),
        "{path}: {policy}"
    );
}

#[test]
fn every_page_for_people_is_guarded_and_answers_head() {
    let (_upstream, exporter) = busy("guarded");
    let types = [
        ("/", 200, "text/html; charset=utf-8"),
        ("/?x=y", 200, "text/html; charset=utf-8"),
        ("/assets/page.css", 200, "text/css; charset=utf-8"),
        ("/assets/page.js", 200, "text/javascript; charset=utf-8"),
        ("/assets/icon.svg", 200, "image/svg+xml"),
        ("/services/a%2Fb%20%3cc%3E", 200, "text/html; charset=utf-8"),
        ("/services/", 404, "text/html; charset=utf-8"),
        (
            "/services/nobody%22%3E%3Cscript%3E",
            404,
            "text/html; charset=utf-8",
        ),
        ("/api/v1/services", 200, "application/json"),
        ("/api/v1/services/a%2Fb%20%3Cc%3E", 200, "application/json"),
        ("/api/v1/services/nobody", 404, "application/json"),
    ];
    for (path, status, content_type) in types {
        let answer = exporter.get(path);
        assert_eq!(
            (answer.status, answer.headers["content-type"].as_str()),
            (status, content_type),
            "{path}"
        );
        assert_guarded(path, &answer);
        assert!(!answer.text().contains("<script>"), "{path}");
        let head = exporter.request("HEAD", path, &[]);
        assert_eq!((head.status, head.body.len()), (status, 0), "{path}");
        assert_guarded(path, &head);
        assert_eq!(exporter.request("POST", path, &[]).status, 405, "{path}");
    }
    for path in [
        "/services",
        "/assets/",
        "/assets/../",
        "/api",
        "/api/v1/",
        "/api/v1/servicesx",
    ] {
        assert_eq!(exporter.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_page_of_a_service_tells_why_it_is_red() {
    let (_upstream, exporter) = busy("why");
    let page = exporter.get("/services/a%2Fb%20%3Cc%3E").text();
    for text in [
        "Ex&lt;b&gt;ample",
        "Slow &lt;logins&gt; &amp; more",
        "status.indicator is &quot;minor&quot;",
        "impact &quot;major&quot;",
        "status &quot;major_outage&quot; of &quot;Login&quot;",
        "component_status",
        "partially_on_fire",
        "America / Login",
        "status 200",
        "content-type: application/json",
        "GET http://127.0.0.1:",
        "href=\"https://stspg.io/m1\"",
    ] {
        assert!(page.contains(text), "{text} in {page}");
    }
    assert!(!page.contains("hidden-in-query"), "{page}");
    let found = page.matches("rel=\"noreferrer noopener\" href=\"").count();
    assert_eq!(
        found,
        page.matches("href=\"http").count(),
        "every link away is one that tells nothing"
    );
}

#[test]
fn the_series_of_a_service_are_those_of_the_exposition() {
    let (_upstream, exporter) = busy("series");
    let service = api(&exporter, "/api/v1/services/a%2Fb%20%3Cc%3E");
    let series: Vec<&str> = service["series"]
        .as_array()
        .unwrap()
        .iter()
        .map(|line| line.as_str().unwrap())
        .collect();
    assert!(
        series.len() > 50 && service["series_left_out"] == 0,
        "{series:?}"
    );
    let page = exporter.page().0;
    let of_service = |line: &&str| {
        line.contains("service=\"a/b <c>\"") || line.contains("service_name=\"Ex<b>ample\"")
    };
    let expected: Vec<&str> = page.lines().filter(of_service).collect();
    assert_eq!(series, expected);
    let html = exporter.get("/services/a%2Fb%20%3Cc%3E").text();
    assert!(
        html.contains("statuspage_service_status{service_name=&quot;Ex&lt;b&gt;ample&quot;} 0"),
        "{html}"
    );
}

#[test]
fn the_json_says_what_the_pages_say() {
    let (_upstream, exporter) = busy("json");
    let all = api(&exporter, "/api/v1/services");
    let service = &all["services"][0];
    let given = json!({
        "key": "a/b <c>", "name": "Ex<b>ample", "type": "statuspage", "state": "outage",
        "headline": "major trouble, 1 incident", "failure": null, "past_failure": null,
    });
    for (name, value) in given.as_object().unwrap() {
        assert_eq!(&service[name], value, "{name}");
    }
    for name in [
        "data_time",
        "last_poll_time",
        "last_success_time",
        "next_poll_time",
    ] {
        let moment: jiff::Timestamp = service[name].as_str().unwrap().parse().unwrap();
        assert!(moment.as_second() > 1_700_000_000, "{name}");
    }
    let incident = &service["sections"][0];
    let expected = json!({
        "title": "Open incidents", "left_out": 0, "lines": [{
            "state": "outage", "title": "Slow <logins> & more", "text": incident["lines"][0]["text"], "link": incident["lines"][0]["link"],
            "times": {"began": "2026-11-20T08:00:00.123Z", "updated": "2026-11-20T08:30:00Z"},
        }],
    });
    assert_eq!(incident, &expected);
    let one = api(&exporter, "/api/v1/services/a%2Fb%20%3Cc%3E");
    assert_eq!(one["sections"].as_array().unwrap().len(), 5, "{one:#}");
    let request = &one["last_request"];
    assert_eq!(
        (&request["method"], &request["status"], &request["attempt"]),
        (&json!("GET"), &json!(200), &json!(1))
    );
    assert_eq!(request["headers"]["content-type"], "application/json");
    assert!(
        request["body_bytes"].as_u64().unwrap() > 1_000
            && !request["url"].as_str().unwrap().contains('?')
    );
}

#[test]
fn a_failing_poll_shows_its_answer_its_attempts_and_its_remedy_and_stays_told_when_it_is_over() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::status(
            503,
            &[
                ("server", "teapot"),
                ("set-cookie", "a=b"),
                ("x-other", "c"),
            ],
        ),
    );
    let exporter = Setup::one("failing", &upstream.url("/s")).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 0.0);
    let service = api(&exporter, "/api/v1/services/example");
    assert_eq!(
        (&service["state"], &service["headline"]),
        (&json!("failing"), &Value::Null)
    );
    assert_eq!(service["failure"]["kind"], "http_5xx");
    let request = &service["last_request"];
    assert!(request["attempt"].as_u64() > Some(1), "{request}");
    assert_eq!(
        (&request["status"], &request["headers"]["server"]),
        (&json!(503), &json!("teapot"))
    );
    let page = exporter.get("/services/example").text();
    assert!(
        page.contains("nothing to do here but wait") && page.contains("status 503"),
        "{page}"
    );
    assert!(
        !page.contains("set-cookie") && !page.contains("x-other"),
        "only named headers are kept: {page}"
    );
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    let service = api(&exporter, "/api/v1/services/example");
    assert_eq!(
        (&service["state"], &service["failure"]),
        (&json!("operational"), &Value::Null)
    );
    assert_eq!(service["past_failure"]["kind"], "http_5xx");
    assert!(
        exporter
            .get("/services/example")
            .text()
            .contains("Last failure, over by now")
    );
}

#[test]
fn a_page_of_thousands_of_incidents_is_bounded_and_counts_what_it_leaves_out() {
    let upstream = Upstream::start();
    let mut page = fixtures::calm();
    let name = "x".repeat(5_000);
    let incident = |place: usize| json!({"id": format!("i{place}"), "name": name, "impact": "minor", "shortlink": "javascript:alert(1)"});
    page["incidents"] = (0..2_000).map(incident).collect();
    upstream.set("/s", upstream::json(page.to_string()));
    let exporter = Setup::one("many-incidents", &upstream.url("/s")).start();
    exporter.wait_for_value(
        "statuspage_active_incidents{impact=\"minor\",service_name=\"Example\"}",
        2_000.0,
    );
    let front = exporter.get("/").text();
    assert!(
        front.len() < 16 * 1024 && front.contains("and 1997 more"),
        "{} bytes",
        front.len()
    );
    let one = exporter.get("/services/example").text();
    assert!(
        one.len() < 1024 * 1024 && one.contains("and 1900 more"),
        "{} bytes",
        one.len()
    );
    assert!(!one.contains("href=\"javascript"));
    let service = api(&exporter, "/api/v1/services/example");
    assert_eq!(service["sections"][0]["left_out"], 1_900);
    assert!(service["series_left_out"].as_u64() > Some(0));
}

#[test]
fn what_was_kept_is_on_the_pages_before_the_first_poll_ends() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Kept").to_string()),
    );
    let setup = Setup::one("kept-pages", &upstream.url("/s"));
    let exporter = setup.start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    let cache = setup.folder.0.join("cache");
    wait_until("a file in the cache", || {
        std::fs::read_dir(&cache).ok()?.flatten().next()
    });
    exporter.stop(libc::SIGTERM);
    upstream.set("/s", upstream::hang());
    let exporter = setup.start();
    let service = api(&exporter, "/api/v1/services/example");
    assert_eq!(
        (&service["state"], &service["last_poll_time"]),
        (&json!("degraded"), &Value::Null)
    );
    assert_eq!(service["sections"][0]["lines"][0]["title"], "Kept");
    assert!(service["data_time"].is_string());
    assert!(exporter.get("/").text().contains("(as last seen)"));
}
