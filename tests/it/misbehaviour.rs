//! Upstreams that fail in every way there is: each ends as a named failure, within its limit, without taking memory.

use std::time::{Duration, Instant};

use serde_json::json;

use crate::exporter::{Exporter, Setup};
use crate::fixtures;
use crate::upstream::{self, Behaviour, Nobody, Upstream, wait_until};

/// Bytes that a fault may cost while it lasts; the issue allows 4 MiB.
const MEMORY_LIMIT_BYTES: u64 = 4 * 1024 * 1024;

fn failures(kind: &str) -> String {
    format!("saas_exporter_poll_failures_total{{kind=\"{kind}\",service=\"example\"}}")
}

/// The upstream behaves like this from the start; the first failure must be of that kind.
fn check(name: &str, behaviour: Behaviour, kind: &str) -> Exporter {
    let upstream = Upstream::start();
    upstream.set("/s", behaviour);
    let services = json!({"example": {"name": "Example", "url": upstream.url("/s"), "timeout": "300ms", "interval": "1h"}});
    let exporter = Setup::new(name, services).start();
    let page = exporter.wait_for(&format!("a failure of kind {kind}"), |page| {
        page.value("saas_exporter_polls_total{service=\"example\"}") == Some(1.0)
    });
    let failed = page.lines("saas_exporter_poll_failures_total");
    let failed: Vec<_> = failed.iter().filter(|line| !line.ends_with(" 0")).collect();
    assert_eq!(
        failed,
        [&format!("{} 1", failures(kind))],
        "{}",
        exporter.log()
    );
    assert_eq!(
        page.value("statuspage_probe_check{service_name=\"Example\"}"),
        Some(0.0)
    );
    exporter
}

#[test]
fn every_bad_status_has_its_kind() {
    check("400", upstream::status(400, &[]), "http_4xx");
    check("401", upstream::status(401, &[]), "http_auth");
    check("403", upstream::status(403, &[]), "http_auth");
    check("404", upstream::status(404, &[]), "http_404");
    check("501", upstream::status(501, &[]), "http_5xx");
}

#[test]
fn a_status_that_may_pass_is_asked_four_times_and_then_named() {
    let exporter = check("503", upstream::status(503, &[]), "http_5xx");
    let page = exporter.page();
    assert_eq!(
        page.value("saas_exporter_upstream_requests_total{code=\"503\",service=\"example\"}"),
        Some(4.0)
    );
}

#[test]
fn an_upstream_that_never_answers_is_a_time_out() {
    check("hang", upstream::hang(), "timeout");
}

#[test]
fn a_drip_of_one_byte_a_second_is_a_time_out() {
    check("drip", upstream::drip(), "timeout");
}

#[test]
fn a_body_that_is_cut_short_or_cannot_be_decoded_is_a_body_failure() {
    check("cut", upstream::cut_short("{\"status\": {"), "body");
    check(
        "gzip",
        upstream::raw(
            b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\nno gzip",
        ),
        "body",
    );
    check(
        "not-http",
        upstream::raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
        "body",
    );
}

#[test]
fn what_is_no_json_or_no_summary_is_told_apart() {
    check("html", upstream::json("<html>log in</html>"), "json");
    check("empty", upstream::json(""), "json");
    check("shape", upstream::json("{\"hello\": 1}"), "shape");
}

#[test]
fn redirects_without_end_or_address_are_redirect_failures() {
    let log = check("loop", upstream::redirect(302, "/s"), "redirect").wait_for_log("poll failing");
    assert!(log.contains("a loop perhaps"), "{log}");
    check("nowhere", upstream::status(301, &[]), "redirect");
    check(
        "other-scheme",
        upstream::redirect(302, "ftp://127.0.0.1/"),
        "redirect",
    );
}

#[test]
fn a_name_without_address_and_a_closed_port_are_told_apart() {
    let nobody = Nobody::here();
    let services = json!({
        "closed": {"name": "Closed", "url": format!("http://{}/", nobody.address), "interval": "1h"},
        "nameless": {"name": "Nameless", "url": "http://no-such-name.invalid/", "interval": "1h"},
    });
    let exporter = Setup::new("connect", services).start();
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"connect\",service=\"closed\"}",
        1.0,
    );
    exporter.wait_for_value(
        "saas_exporter_poll_failures_total{kind=\"dns\",service=\"nameless\"}",
        1.0,
    );
}

#[test]
fn a_long_retry_after_ends_the_poll_at_once_and_is_kept_to_for_at_most_a_day() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::status(429, &[("retry-after", "99999")]));
    let exporter = Setup::one("retry-after", &upstream.url("/s")).start();
    exporter.wait_for_value(&failures("http_429"), 1.0);
    let log = exporter.wait_for_log("kind=http_429");
    assert!(
        log.contains("next_in_s=86400") || log.contains("next_in_s=86399"),
        "{log}"
    );
    assert!(
        exporter.get("/").text().contains("in 1d") || exporter.get("/").text().contains("in 23h")
    );
    assert_eq!(upstream.requests("/s").len(), 1);
}

fn memory(exporter: &Exporter, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid())).unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(field))
        .unwrap();
    line.trim()
        .strip_suffix(" kB")
        .unwrap()
        .parse::<u64>()
        .unwrap()
        * 1024
}

#[test]
fn no_answer_however_large_takes_memory() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::busy().to_string()));
    let exporter = Setup::one("memory", &upstream.url("/s")).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    let before = memory(&exporter, "VmRSS:");
    let faults = [
        (upstream::huge(64 * 1024 * 1024, true), "too_large"),
        (upstream::huge(64 * 1024 * 1024, false), "too_large"),
        (upstream::gzip_bomb(64 * 1024 * 1024), "too_large"),
        (upstream::redirect(302, "/s"), "redirect"),
        (upstream::drip(), "timeout"),
    ];
    for (behaviour, kind) in faults {
        let earlier = exporter.page().value(&failures(kind)).unwrap();
        upstream.set("/s", behaviour);
        exporter.wait_for(&format!("another {kind}"), |page| {
            page.value(&failures(kind)).unwrap() > earlier
        });
    }
    let (peak, after) = (memory(&exporter, "VmHWM:"), memory(&exporter, "VmRSS:"));
    assert!(
        peak < before + MEMORY_LIMIT_BYTES,
        "peak {peak}, before {before}"
    );
    assert!(
        after < before + MEMORY_LIMIT_BYTES,
        "after {after}, before {before}"
    );
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
}

#[test]
fn one_upstream_that_never_answers_delays_no_other() {
    let upstream = Upstream::start();
    upstream.set("/hang", upstream::hang());
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let mut services = serde_json::Map::new();
    services.insert(
        "a".to_owned(),
        json!({"name": "Hanging", "url": upstream.url("/hang")}),
    );
    for number in 0..17 {
        let service = json!({"name": format!("Service {number}"), "url": upstream.url("/s")});
        services.insert(format!("s{number}"), service);
    }
    let exporter = Setup::new("hang-17", services.into())
        .with("CHECK_INTERVAL_MINUTES", "20")
        .start();
    let page = exporter.wait_for("17 services", |page| {
        page.lines("statuspage_service_status").len() == 17
    });
    // Scrapes included; the original needed 63 s.
    assert!(
        exporter.started.elapsed() < Duration::from_secs(1),
        "{:?}",
        exporter.started.elapsed()
    );
    assert_eq!(
        page.value("saas_exporter_polls_total{service=\"a\"}"),
        Some(0.0)
    );
    assert_eq!(exporter.get("/-/ready").status, 503);
    let asked = Instant::now();
    exporter.page();
    assert!(asked.elapsed() < Duration::from_millis(500));
}

#[test]
fn a_failure_is_logged_when_it_begins_and_when_it_ends_and_not_in_between() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::status(404, &[]));
    let exporter = Setup::one("log", &upstream.url("/s")).start();
    upstream.wait_for_requests("/s", 4);
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let log = exporter.wait_for_log("poll recovered service=example");
    assert_eq!(log.matches("poll failing").count(), 1, "{log}");
    assert!(
        log.contains(&format!("kind=http_404 url={}", upstream.url("/s"))),
        "{log}"
    );
    assert!(
        log.contains("; check the address in services.json"),
        "{log}"
    );
}

#[test]
fn a_legal_answer_just_below_the_limit_is_taken() {
    let upstream = Upstream::start();
    let mut page = fixtures::calm();
    page["filler"] = "x".repeat(15 * 1024 * 1024).into();
    upstream.set("/s", upstream::json(page.to_string()));
    let services =
        json!({"example": {"name": "Example", "url": upstream.url("/s"), "interval": "1h"}});
    let exporter = Setup::new("legal", services).start();
    exporter.wait_for_value("statuspage_service_status{service_name=\"Example\"}", 1.0);
    wait_until("memory to be given back", || {
        (memory(&exporter, "VmRSS:") < 24 * 1024 * 1024).then_some(())
    });
}
