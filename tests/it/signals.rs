//! How the process ends: fast, cleanly, and without losing what is under way.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Behaviour, Upstream, answer};

/// The promise, plus what a loaded test machine may take to notice.
pub const STOP_LIMIT: Duration = Duration::from_millis(200 + 100);

#[test]
fn both_signals_stop_a_thousand_sleeping_workers_at_once() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let service = |number: usize| {
        (
            format!("s{number}"),
            json!({"name": number.to_string(), "url": upstream.url("/s")}),
        )
    };
    let services: serde_json::Map<_, _> = (0..1_000).map(service).collect();
    let setup = Setup::new("thousand", services.into()).with("CHECK_INTERVAL_MINUTES", "60");
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let exporter = setup.start();
        exporter.wait_for("all services", |page| {
            page.lines("saas_exporter_service_up").len() == 1_000
        });
        let (status, took) = exporter.stop(signal);
        assert_eq!(status.code(), Some(0));
        assert!(took < STOP_LIMIT, "{took:?}");
    }
}

#[test]
fn a_worker_that_hangs_in_an_upstream_does_not_hold_up_the_end() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::hang());
    let services = json!({"example": {"name": "Example", "url": upstream.url("/s")}});
    let exporter = Setup::new("hung", services).start();
    upstream.wait_for_requests("/s", 1);
    let (status, took) = exporter.stop(libc::SIGTERM);
    assert_eq!(status.code(), Some(0));
    assert!(took < STOP_LIMIT, "{took:?}");
}

#[test]
fn a_queued_post_gets_a_moment_more() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let slow: Behaviour = Arc::new(|_, stream| {
        std::thread::sleep(Duration::from_millis(700));
        answer(stream, 200, &[], b"ok");
    });
    upstream.set("/hook", slow);
    let setup =
        Setup::one("queued", &upstream.url("/s")).with("SLACK_WEBHOOK_URL", upstream.url("/hook"));
    let exporter = setup.start();
    upstream.wait_for_requests("/hook", 1);
    let (status, took) = exporter.stop(libc::SIGTERM);
    assert_eq!(status.code(), Some(0));
    assert!(
        took > Duration::from_millis(200) && took < Duration::from_secs(2),
        "{took:?}"
    );
    let exporter = setup.start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    exporter.wait_for_value("saas_exporter_notifications_total{outcome=\"sent\"}", 0.0);
    assert_eq!(
        upstream.requests("/hook").len(),
        1,
        "it was delivered before the end"
    );
}
