//! Start-up: what runs, what is refused, and what a person is told.

use serde_json::json;

use crate::exporter::{Finished, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream};

fn refused(name: &str, services: serde_json::Value) -> Finished {
    let finished = Setup::new(name, services).run();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    finished
}

#[test]
fn every_mistake_is_reported_at_once_with_file_service_field_and_remedy() {
    let finished = refused(
        "mistakes",
        json!({
            "no-name": {"url": "https://a.example"},
            "no-scheme": {"name": "B", "url": "githubstatus.com"},
            "typo": {"name": "C", "ulr": "https://c.example"},
            "type": {"name": "D", "url": "https://d.example", "type": "statuspge"},
            "wrong": {"name": 7, "url": "ftp://e.example", "interval": "0.1s", "timeout": "soon", "labels": {"1x": "y", "service": "z"}},
            "password": {"name": "F", "url": "https://user:hunter2@f.example"},
            "text": "https://g.example",
            "header": {"name": "H", "url": "https://h.example", "headers": {"X": {"env": "NOT_SET"}, "Y": {"file": "/no/such/file"}, "bad name": "x"}},
            "ca": {"name": "I", "url": "https://i.example", "ca_file": "/no/such/ca.pem"},
        }),
    );
    let expected = [
        "service \"no-name\", field \"name\": is missing",
        "service \"no-scheme\", field \"url\": \"githubstatus.com\" has no scheme; write \"https://githubstatus.com\"",
        "service \"typo\", field \"ulr\": is unknown (did you mean \"url\"?)",
        "service \"typo\", field \"url\": is missing",
        "service \"type\", field \"type\": unknown type \"statuspge\" (did you mean \"statuspage\"?)",
        "service \"wrong\", field \"name\": 7 is not a text",
        "service \"wrong\", field \"url\": \"ftp://e.example\" is neither http nor https",
        "service \"wrong\", field \"interval\": \"0.1s\" is not between 1s and",
        "service \"wrong\", field \"timeout\": \"soon\" is not a duration",
        "service \"wrong\", field \"labels\": \"1x\" is no label name",
        "service \"wrong\", field \"labels\": \"service\" is a label of our own metrics",
        "service \"password\", field \"url\": the address holds a user name or password; give credentials with \"headers\"",
        "service \"text\": is no object",
        "service \"header\", field \"headers.X\": variable NOT_SET is not set",
        "service \"header\", field \"headers.Y\": file /no/such/file cannot be read",
        "service \"header\", field \"headers\": \"bad\"… is no name of a header",
        "service \"ca\", field \"ca_file\": file /no/such/ca.pem cannot be read",
    ];
    for text in expected {
        assert!(
            finished.stderr.contains(text),
            "missing: {text}\n{}",
            finished.stderr
        );
    }
    assert!(
        finished
            .stderr
            .lines()
            .all(|line| line.starts_with("error: ") && line.contains("services.json")),
        "{}",
        finished.stderr
    );
    assert!(!finished.stderr.contains("hunter2"));
}

#[test]
fn two_services_of_one_name_and_one_key_twice_are_refused() {
    let url = "https://a.example";
    let finished = refused(
        "names",
        json!({"a": {"name": "Same", "url": url}, "b": {"name": "Same", "url": url}}),
    );
    assert!(
        finished
            .stderr
            .contains("service \"b\", field \"name\": \"Same\" is also that of service \"a\""),
        "{}",
        finished.stderr
    );
    let setup = Setup::new("keys-twice", json!({}));
    setup.folder.write(
        "services.json",
        r#"{"a": {"name": "A", "url": "https://a"}, "a": {"name": "B", "url": "https://b"}}"#,
    );
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(
        finished.stderr.contains("service \"a\" stands there twice"),
        "{}",
        finished.stderr
    );
}

#[test]
fn a_file_that_is_missing_empty_or_no_json_is_refused() {
    let cases = [
        ("{}", "holds no service"),
        ("{\"_comment\": 1}", "holds no service"),
        ("[]", "is not a JSON object"),
        ("{\"a\": ", "line 1 column"),
    ];
    for (content, expected) in cases {
        let setup = Setup::new("bad-file", json!({}));
        setup.folder.write("services.json", content);
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(2));
        assert!(
            finished.stderr.contains(expected) && finished.stderr.contains("services.json"),
            "{content}: {}",
            finished.stderr
        );
    }
    let finished = Setup::new("missing-file", json!({}))
        .with("SERVICES_JSON_PATH", "/no/such/services.json")
        .run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(
        finished
            .stderr
            .contains("SERVICES_JSON_PATH=/no/such/services.json: cannot be read"),
        "{}",
        finished.stderr
    );
}

#[test]
fn wrong_flags_variables_and_services_are_reported_together() {
    let finished = Setup::new("settings", json!({"a": {"name": "A"}}))
        .with("METRICS_PORT", "90001")
        .argument("--log.levle=debug")
        .argument("--statuspage.status-scale=decimal")
        .run();
    assert_eq!(finished.status.code(), Some(2));
    let expected = [
        "unknown flag --log.levle (did you mean \"--log.level\"?)",
        "METRICS_PORT=90001: not a port (0 to 65535)",
        "--statuspage.status-scale=decimal: is neither binary nor ternary",
        "service \"a\", field \"url\": is missing",
    ];
    for text in expected {
        assert!(
            finished.stderr.contains(text),
            "missing: {text}\n{}",
            finished.stderr
        );
    }
}

#[test]
fn a_port_in_use_is_a_failure_while_running_that_says_what_to_do() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let setup = Setup::one("in-use", "https://a.example").with("WEB_LISTEN_ADDRESS", &address);
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(1));
    let expected = format!(
        "cannot listen on {address}: address in use; another exporter may run here, or set METRICS_PORT"
    );
    assert!(finished.stderr.contains(&expected), "{}", finished.stderr);
}

#[test]
fn the_check_prints_what_would_run_and_starts_nothing() {
    let setup = Setup::new(
        "check",
        json!({"a": {"name": "A", "url": "https://a.example", "interval": "90s"}}),
    );
    let setup = setup.argument("--config.check");
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let lines = [
        "/services.json: 1 service\n\nstatuspage\n",
        "  a  every 1m 30s, timeout 15s  \"A\" at https://a.example/api/v2/summary.json\n",
        "  run       polls and serves at 127.0.0.1:0\n  requests  at most 32 at once\n",
        "  Slack     not told\n  log       info as text\n",
        "  CHECK_INTERVAL_MINUTES=1s\n",
        "\nwarnings\n  none\n",
    ];
    for line in lines {
        assert!(
            finished.stdout.contains(line),
            "missing: {line}\n{}",
            finished.stdout
        );
    }
    let made = setup.folder.names("cache");
    assert!(made.is_empty(), "{made:?}");
}

#[test]
fn the_check_tells_where_each_secret_comes_from_and_never_what_it_is() {
    let setup = Setup::new("check-secrets", json!({}));
    let file = setup.folder.write("secret", "c4n4ry-of-a-file");
    let path = file.display().to_string();
    let services = json!({
        "acme": {"type": "spacelift", "api_endpoint": "https://acme.example", "api_key_secret_file": path},
        "home": {"type": "aaisp", "control_login": "demo@a"},
        "page": {"name": "Page", "url": "https://page.example/x?key=c4n4ry-of-a-query", "labels": {"team": "x"}, "headers": {
            "X-File": {"file": path}, "X-Here": "c4n4ry-in-the-list", "X-Variable": {"env": "HEADER"},
        }},
        "sites": {"type": "pantheon"},
    });
    setup.folder.write("services.json", services.to_string());
    let finished = setup
        .argument("--config.check")
        .argument("--once")
        .with("SPACELIFT_PROMEX_API_KEY_ID", "c4n4ry-of-an-id")
        .with(
            "AAISP_EXPORTER_AUTH__CONTROL_PASSWORD",
            "c4n4ry-of-a-password",
        )
        .with("PANTHEON_MACHINE_TOKENS", "c4n4ry-of-a-token")
        .with("HEADER", "c4n4ry-of-a-variable")
        .with("SLACK_WEBHOOK_URL", "https://hooks.example/c4n4ry-of-slack")
        .with("https_proxy", "http://user:c4n4ry-of-a-proxy@127.0.0.1:1")
        .with("REFRESH_INTERVAL", "5")
        .run();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    let here = "set (in the list of services)";
    let lines = [
        &format!("api_key_secret set (from file {path})"),
        "api_key_id set (from SPACELIFT_PROMEX_API_KEY_ID)",
        "control_password set (from AAISP_EXPORTER_AUTH__CONTROL_PASSWORD)",
        "machine_tokens set (from PANTHEON_MACHINE_TOKENS)",
        &format!("header X-File set (from file {path})"),
        &format!("header X-Here {here}"),
        "header X-Variable set (from HEADER)",
        "label team=\"x\"",
        "Slack     set (from SLACK_WEBHOOK_URL)",
        "run       polls once, writes metrics/statuspage.prom",
        "SLACK_WEBHOOK_URL=(not shown)",
        "https_proxy=(not shown)",
        "REFRESH_INTERVAL is ignored beside other services;",
    ];
    for line in lines {
        let mut shown = finished.stdout.lines().map(str::trim_start);
        assert!(
            shown.any(|shown| shown.starts_with(line)),
            "missing: {line}\n{}",
            finished.stdout
        );
    }
    assert!(
        !(finished.stdout + &finished.stderr).contains("c4n4ry"),
        "a secret is shown"
    );
}

#[test]
fn version_and_help_are_printed() {
    let setup = Setup::new("version", json!({})).argument("--version");
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(0));
    let begin = format!("saas-exporter {} (revision ", env!("CARGO_PKG_VERSION"));
    let inner = finished.stdout.strip_prefix(&begin);
    let inner = inner.and_then(|rest| rest.strip_suffix(")\n"));
    let parts: Vec<&str> = inner.unwrap_or_default().split(", ").collect();
    assert_eq!(parts.len(), 3, "{}", finished.stdout);
    assert!(
        parts[1].starts_with(std::env::consts::ARCH) && parts[2].starts_with("rustc "),
        "{}",
        finished.stdout
    );
    let finished = Setup::new("help", json!({})).argument("--help").run();
    assert!(
        finished.stdout.contains("--web.listen-address")
            && finished.stdout.contains("CHECK_INTERVAL_MINUTES")
    );
}

#[test]
fn without_any_configuration_the_built_in_list_runs_and_stays_calm_without_a_network() {
    // A proxy that nobody listens at keeps every request on this machine.
    let setup = Setup::new("built-in", json!({}))
        .without("SERVICES_JSON_PATH")
        .without("CHECK_INTERVAL_MINUTES")
        .with("HTTPS_PROXY", "http://127.0.0.1:1");
    std::fs::remove_file(setup.folder.path("services.json")).unwrap();
    let exporter = setup.start();
    let page = exporter.wait_for("every page to have been tried", |page| {
        let probes = page.lines("statuspage_probe_check");
        probes.len() >= 18 && probes.len() == page.lines("saas_exporter_polls_total").len()
    });
    assert!(
        page.lines("statuspage_probe_check")
            .iter()
            .all(|line| line.ends_with(" 0"))
    );
    assert!(
        page.lines("statuspage_service_status").is_empty(),
        "no status is invented"
    );
    let log = exporter.log();
    assert!(log.contains("running the built-in list"), "{log}");
    assert!(
        log.lines().count() < 3 * page.lines("statuspage_probe_check").len(),
        "{log}"
    );
    let ticks = |page: &crate::exporter::Page| page.value("process_cpu_seconds_total").unwrap();
    assert!(ticks(&page) < 3.0, "busy: {} s of CPU", ticks(&page));
}

#[test]
fn log_lines_are_json_when_asked_for() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let setup = Setup::one("json-log", &upstream.url("/s"))
        .argument("--log.format=json")
        .argument("--log.level=debug");
    let listen = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let finished = setup
        .with("WEB_LISTEN_ADDRESS", listen.to_string())
        .with("RUN_MODE", "once")
        .run();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(finished.stderr.lines().count() >= 2, "{}", finished.stderr);
    for line in finished.stderr.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("a JSON object a line");
        assert!(
            line["time"].is_string() && line["level"].is_string() && line["message"].is_string(),
            "{line}"
        );
    }
}
