//! What a scraper gets: the whole page, both formats, compression, and every other path.

use std::io::Read;
use std::path::Path;

use serde_json::json;

use crate::exporter::{Page, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream};

/// Compares with a golden file; UPDATE_GOLDEN=1 rewrites it, and the difference is reviewed like code.
pub fn assert_golden(name: &str, found: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/it/golden")
        .join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    let differing = expected
        .lines()
        .zip(found.lines())
        .find(|(one, other)| one != other);
    assert!(
        expected == found,
        "{name} differs, first in {differing:?}; UPDATE_GOLDEN=1 rewrites it. Found:\n{found}"
    );
}

/// The page with everything masked that is different in every run, and without the process's own families.
pub fn masked(page: &Page) -> String {
    const MOMENTS: [&str; 7] = [
        "statuspage_application_timestamp",
        "statuspage_component_timestamp",
        "statuspage_response_time_seconds",
        "saas_exporter_poll_duration_seconds",
        "saas_exporter_last_success_timestamp_seconds",
        "saas_exporter_config_last_reload_success_timestamp_seconds",
        "saas_exporter_build_info",
    ];
    let mut masked = String::new();
    for line in page
        .0
        .lines()
        .filter(|line| !line.contains(" process_") && !line.starts_with("process_"))
    {
        let family = line.split(['{', ' ']).next().unwrap();
        match line.rsplit_once(' ') {
            Some((_, _)) if family == "saas_exporter_build_info" => {
                masked.push_str("saas_exporter_build_info{…} 1")
            }
            Some((series, value)) if MOMENTS.contains(&family) => {
                assert!(value.parse::<f64>().unwrap() > 0.0, "{line}");
                masked.push_str(&format!("{series} <moment>"));
            }
            _ => masked.push_str(line),
        }
        masked.push('\n');
    }
    masked
}

#[test]
fn the_whole_page_of_a_busy_status_page_is_as_documented() {
    let upstream = Upstream::start();
    upstream.set(
        "/api/v2/summary.json",
        upstream::json(fixtures::busy().to_string()),
    );
    let services = json!({"example": {
        "name": "Example", "url": upstream.url("/"), "interval": "1h", "labels": {"team": "a \"b\""}
    }});
    let exporter = Setup::new("golden", services).start();
    let page = exporter.wait_for_value(
        "saas_exporter_service_up{service=\"example\",team=\"a \\\"b\\\"\"}",
        1.0,
    );
    page.assert_well_formed();
    assert!(
        !exporter.log().contains("not writable"),
        "{}",
        exporter.log()
    );
    let port = format!(":{}/", upstream.address.port());
    assert_golden("statuspage.prom", &masked(&page).replace(&port, ":<port>/"));
}

#[test]
fn the_two_formats_hold_the_same_samples() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::busy().to_string()));
    let setup = Setup::new(
        "formats",
        json!({"e": {"name": "E", "url": upstream.url("/s"), "interval": "1h"}}),
    );
    let exporter = setup.start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"e\"}", 1.0);
    let text = exporter.request("GET", "/metrics", &[("Accept", "text/plain")]);
    let open = exporter.request(
        "GET",
        "/metrics",
        &[("Accept", "application/openmetrics-text; version=1.0.0")],
    );
    assert_eq!(
        text.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    assert_eq!(
        open.headers["content-type"],
        "application/openmetrics-text; version=1.0.0; charset=utf-8"
    );
    assert!(open.text().ends_with("# EOF\n"));
    let samples = |page: &str| -> Vec<String> {
        let lines = page
            .lines()
            .filter(|line| !line.starts_with('#') && !line.starts_with("process_"));
        lines.map(str::to_owned).collect()
    };
    assert_eq!(samples(&text.text()), samples(&open.text()));
    let counters = |page: &str| {
        page.lines()
            .filter(|line| line.ends_with("_total counter"))
            .count()
    };
    assert!(counters(&text.text()) > 0);
    assert_eq!(
        counters(&open.text()),
        0,
        "OpenMetrics names counters without _total"
    );
}

#[test]
fn a_page_is_compressed_when_that_is_asked_for_and_head_gives_no_body() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let exporter = Setup::one("gzip", &upstream.url("/s")).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    let packed = exporter.request("GET", "/metrics", &[("Accept-Encoding", "gzip")]);
    assert_eq!(packed.headers["content-encoding"], "gzip");
    let mut page = String::new();
    flate2::read::GzDecoder::new(packed.body.as_slice())
        .read_to_string(&mut page)
        .unwrap();
    Page(page).assert_well_formed();
    let plain = exporter.get("/metrics");
    assert!(!plain.headers.contains_key("content-encoding"));
    assert!(plain.headers["vary"].contains("Accept-Encoding"));
    assert!(packed.body.len() * 2 < plain.body.len());
    let head = exporter.request("HEAD", "/metrics", &[]);
    assert_eq!((head.status, head.body.len()), (200, 0));
    assert!(head.headers["content-length"].parse::<usize>().unwrap() > 1_000);
}

#[test]
fn every_endpoint_answers_and_all_else_is_refused() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let exporter = Setup::one("endpoints", &upstream.url("/s")).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    for path in [
        "/",
        "/metrics",
        "/metrics?name=x",
        "/-/healthy",
        "/-/ready",
        "/health",
    ] {
        assert_eq!(exporter.get(path).status, 200, "{path}");
        let refused = exporter.request("DELETE", path, &[]);
        assert_eq!(
            (refused.status, refused.headers["allow"].as_str()),
            (405, "GET, HEAD"),
            "{path}"
        );
    }
    for path in ["/metrics/", "/nothing", "/-/", "//", "/index.html"] {
        assert_eq!(exporter.get(path).status, 404, "{path}");
    }
}

#[test]
fn the_landing_page_lists_every_service_with_its_failure_and_remedy_and_escapes_all_text() {
    let upstream = Upstream::start();
    upstream.set("/good", upstream::json(fixtures::calm().to_string()));
    upstream.set("/bad", upstream::status(404, &[]));
    let services = json!({
        "good": {"name": "<b>Good</b>", "url": upstream.url("/good")},
        "<i>bad": {"name": "Bad", "url": upstream.url("/bad")},
    });
    let exporter = Setup::new("landing", services).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"<i>bad\"}", 0.0);
    exporter.wait_for_value("saas_exporter_service_up{service=\"good\"}", 1.0);
    let page = exporter.get("/").text();
    assert!(
        page.contains("&lt;b&gt;Good&lt;/b&gt;") && page.contains("&lt;i&gt;bad"),
        "{page}"
    );
    assert!(
        !page.contains("<b>Good") && !page.contains("<i>bad"),
        "{page}"
    );
    assert!(
        page.contains("operational") && page.contains("<code>http_404</code>"),
        "{page}"
    );
    assert!(
        page.contains("check the address in services.json"),
        "{page}"
    );
}
