//! Incidents, maintenances and components as they come, stay and go; upstreams that fail; restarts in each state.

use serde_json::json;

use crate::exporter::{Page, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream};

const STATUS: &str = "statuspage_service_status{service_name=\"Example\"}";
const CACHED: &str = "statuspage_serving_cached{service_name=\"Example\"}";
const PROBE: &str = "statuspage_probe_check{service_name=\"Example\"}";
const NO_INCIDENT: &str = "statuspage_incident_info{affected_components=\"N/A\",impact=\"none\",incident_id=\"none\",\
    incident_name=\"No Active Incidents\",service_name=\"Example\",shortlink=\"N/A\",started_at=\"N/A\"}";
const NO_MAINTENANCE: &str = "statuspage_maintenance_info{affected_components=\"N/A\",maintenance_id=\"none\",\
    maintenance_name=\"No Active Maintenance\",scheduled_end=\"N/A\",scheduled_start=\"N/A\",service_name=\"Example\",\
    shortlink=\"N/A\"}";

fn incident(id: &str, name: &str) -> String {
    format!(
        "statuspage_incident_info{{affected_components=\"API\",impact=\"minor\",incident_id=\"{id}\",incident_name=\"{name}\",\
         service_name=\"Example\",shortlink=\"https://stspg.io/x1\",started_at=\"2026-11-20T08:00:00Z\"}}"
    )
}

fn maintenance(start: &str) -> String {
    format!(
        "statuspage_maintenance_info{{affected_components=\"Web\",maintenance_id=\"m1\",maintenance_name=\"Upgrade\",\
         scheduled_end=\"2026-11-21T02:00:00Z\",scheduled_start=\"{start}\",service_name=\"Example\",\
         shortlink=\"https://stspg.io/m1\"}}"
    )
}

fn component(name: &str) -> String {
    format!("statuspage_component_status{{component_name=\"{name}\",service_name=\"Example\"}}")
}

fn upstream_with(body: &serde_json::Value) -> Upstream {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(body.to_string()));
    upstream
}

#[test]
fn an_incident_keeps_its_first_labels_and_reads_zero_once_resolved_also_across_a_restart() {
    let upstream = upstream_with(&fixtures::calm());
    let setup = Setup::one("incident", &upstream.url("/s"));
    let exporter = setup.start();
    let page = exporter.wait_for_value(STATUS, 1.0);
    assert_eq!(page.value(NO_INCIDENT), Some(0.0));

    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "First title").to_string()),
    );
    let page = exporter.wait_for_value(&incident("i1", "First title"), 1.0);
    assert_eq!(
        (page.value(STATUS), page.value(NO_INCIDENT)),
        (Some(0.0), None)
    );
    assert_eq!(
        page.value("statuspage_active_incidents{impact=\"minor\",service_name=\"Example\"}"),
        Some(1.0)
    );
    let started = "statuspage_incident_started_timestamp_seconds{incident_id=\"i1\",service_name=\"Example\"}";
    assert_eq!(page.value(started), Some(1_795_161_600.123));

    let polls = upstream.requests("/s").len();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Reworded title").to_string()),
    );
    upstream.wait_for_requests("/s", polls + 3);
    assert_eq!(
        exporter.page().lines("statuspage_incident_info"),
        [format!("{} 1", incident("i1", "First title"))]
    );

    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let page = exporter.wait_for_value(&incident("i1", "First title"), 0.0);
    assert_eq!(
        (page.value(STATUS), page.value(NO_INCIDENT)),
        (Some(1.0), Some(0.0))
    );
    assert_eq!(page.value(started), None);
    exporter.kill();

    let exporter = setup.start();
    let page = exporter.wait_for_value(&incident("i1", "First title"), 0.0);
    assert_eq!(page.value(NO_INCIDENT), Some(0.0));

    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Back again").to_string()),
    );
    exporter
        .wait_for_value(&incident("i1", "First title"), 1.0)
        .assert_well_formed();
}

#[test]
fn without_retention_a_resolved_incident_is_shown_until_the_next_poll() {
    let upstream = upstream_with(&fixtures::with_incident("i1", "Title"));
    let exporter = Setup::one("retention", &upstream.url("/s"))
        .with("RESOLVED_RETENTION_HOURS", "0")
        .start();
    exporter.wait_for_value(&incident("i1", "Title"), 1.0);
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    exporter.wait_for_value(&incident("i1", "Title"), 0.0);
    exporter.wait_for("the incident to be dropped", |page| {
        page.value(&incident("i1", "Title")).is_none()
    });
}

#[test]
fn a_maintenance_keeps_its_first_window_in_the_labels_and_shows_the_present_one_as_a_value() {
    let upstream = upstream_with(&fixtures::with_maintenance(
        "m1",
        "scheduled",
        "2026-11-21T00:00:00.000Z",
    ));
    let exporter = Setup::one("maintenance", &upstream.url("/s")).start();
    let first = maintenance("2026-11-21T00:00:00Z");
    let page = exporter.wait_for_value(&first, 1.0);
    assert_eq!(
        (page.value(STATUS), page.value(NO_MAINTENANCE)),
        (Some(1.0), None)
    );
    let severity = "statuspage_service_severity{service_name=\"Example\"}";
    assert_eq!(page.value(severity), Some(0.0));

    let moved = fixtures::with_maintenance("m1", "in_progress", "2026-11-21T01:00:00.000Z");
    upstream.set("/s", upstream::json(moved.to_string()));
    let begins = "statuspage_maintenance_start_timestamp_seconds{maintenance_id=\"m1\",service_name=\"Example\"}";
    let page = exporter.wait_for_value(begins, 1_795_222_800.0);
    assert_eq!(page.value(&first), Some(1.0));
    assert_eq!(
        (page.value(STATUS), page.value(severity)),
        (Some(1.0), Some(1.0))
    );
    assert_eq!(
        page.value(
            "statuspage_active_maintenances{service_name=\"Example\",status=\"in_progress\"}"
        ),
        Some(1.0)
    );

    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let page = exporter.wait_for_value(&first, 0.0);
    assert_eq!(
        (page.value(NO_MAINTENANCE), page.value(begins)),
        (Some(0.0), None)
    );
}

#[test]
fn a_removed_component_reads_zero_without_a_timestamp() {
    let upstream = upstream_with(&fixtures::calm());
    let exporter = Setup::one("component", &upstream.url("/s")).start();
    exporter.wait_for_value(&component("Web"), 1.0);
    let mut smaller = fixtures::calm();
    smaller["components"].as_array_mut().unwrap().pop();
    upstream.set("/s", upstream::json(smaller.to_string()));
    let page = exporter.wait_for_value(&component("Web"), 0.0);
    assert_eq!(page.value(STATUS), Some(1.0));
    let stamps = page.lines("statuspage_component_timestamp");
    assert_eq!(stamps.len(), 1);
    assert!(stamps[0].contains("\"API\""), "{stamps:?}");
    assert_eq!(
        page.value("statuspage_components{service_name=\"Example\",status=\"operational\"}"),
        Some(1.0)
    );
}

#[test]
fn a_failing_upstream_without_cache_shows_that_it_fails_and_nothing_else() {
    let upstream = Upstream::start();
    let exporter = Setup::one("no-state", &upstream.url("/s")).start();
    let page = exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 0.0);
    let of_service: Vec<&str> = page
        .0
        .lines()
        .filter(|line| line.starts_with("statuspage_"))
        .collect();
    let expected = [
        format!("{PROBE} 0"),
        "statuspage_response_time_seconds{service_name=\"Example\"} 0".to_owned(),
    ];
    assert_eq!(of_service, expected);
    assert!(
        page.value("saas_exporter_poll_failures_total{kind=\"http_404\",service=\"example\"}")
            > Some(0.0)
    );
    assert_eq!(
        page.value("saas_exporter_poll_failures_total{kind=\"tls\",service=\"example\"}"),
        Some(0.0)
    );
}

/// The lines that a failed poll must leave as they are: all of the service but those about the poll itself.
fn shown_state(page: &Page) -> Vec<String> {
    let about_poll = [
        "statuspage_probe_check",
        "statuspage_serving_cached",
        "statuspage_response_time",
        "statuspage_uptime",
    ];
    let lines = page
        .0
        .lines()
        .filter(|line| line.starts_with("statuspage_"));
    lines
        .filter(|line| !about_poll.iter().any(|family| line.starts_with(family)))
        .map(str::to_owned)
        .collect()
}

#[test]
fn a_failed_poll_leaves_the_shown_state_as_it_was_and_a_restart_shows_it_from_the_cache() {
    let upstream = upstream_with(&fixtures::with_incident("i1", "Title"));
    let setup = Setup::one("cached", &upstream.url("/s"));
    let exporter = setup.start();
    exporter.wait_for_value(&incident("i1", "Title"), 1.0);
    upstream.set("/s", upstream::status(403, &[]));
    let page = exporter.wait_for_value(CACHED, 1.0);
    assert_eq!(page.value(PROBE), Some(0.0));
    assert_eq!(page.value(&incident("i1", "Title")), Some(1.0));
    let before = shown_state(&page);
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 3);
    assert_eq!(shown_state(&exporter.page()), before, "times included");
    exporter.kill();

    upstream.set("/s", upstream::hang());
    let exporter = setup.start();
    let page = exporter.wait_for_value(CACHED, 1.0);
    assert_eq!(
        page.value("saas_exporter_service_up{service=\"example\"}"),
        None,
        "before the first poll has ended"
    );
    assert_eq!(shown_state(&page), before);
    assert_eq!(exporter.get("/-/ready").status, 200);

    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let page = exporter.wait_for_value(CACHED, 0.0);
    assert_eq!(page.value(&incident("i1", "Title")), Some(0.0));
}

#[test]
fn what_was_not_understood_is_counted_and_never_good() {
    let upstream = upstream_with(&fixtures::busy());
    let exporter = Setup::one("unknown", &upstream.url("/s")).start();
    let page = exporter.wait_for_value(STATUS, 0.0);
    let unknown = |field: &str| {
        format!("statuspage_unknown_values_total{{field=\"{field}\",service_name=\"Example\"}}")
    };
    assert!(page.value(&unknown("component_status")) >= Some(1.0));
    assert!(page.value(&unknown("item")) >= Some(1.0));
    assert_eq!(page.value(&unknown("indicator")), Some(0.0));
    exporter.wait_for_log("component_status=partially_on_fire");
    let first = page.value(&unknown("item")).unwrap();
    exporter.wait_for("the counter to grow", |page| {
        page.value(&unknown("item")).unwrap() > first
    });
}

#[test]
fn a_page_that_changed_its_product_is_named_in_the_log_and_never_reads_as_well() {
    let upstream =
        upstream_with(&json!({"page": {"name": "x", "url": "https://x", "status": "UP"}}));
    let exporter = Setup::one("product", &upstream.url("/s")).start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 0.0);
    let log = exporter.wait_for_log("kind=shape");
    assert!(log.contains("Instatus"), "{log}");
    assert_eq!(exporter.page().value(STATUS), None);
}

#[test]
fn the_ternary_scale_tells_maintenance_from_trouble() {
    let mut body = fixtures::calm();
    body["components"][0]["status"] = "under_maintenance".into();
    let upstream = upstream_with(&body);
    let exporter = Setup::one("ternary", &upstream.url("/s"))
        .with("STATUS_SCALE", "ternary")
        .start();
    let page = exporter.wait_for_value(STATUS, 0.0);
    assert_eq!(
        (page.value(&component("API")), page.value(&component("Web"))),
        (Some(0.0), Some(1.0))
    );
    body["components"][1]["status"] = "partial_outage".into();
    upstream.set("/s", upstream::json(body.to_string()));
    let page = exporter.wait_for_value(STATUS, -1.0);
    assert_eq!(page.value(&component("Web")), Some(-1.0));
}

#[test]
fn uptime_counts_samples_and_goes_on_after_a_restart() {
    let upstream = upstream_with(&fixtures::with_incident("i1", "Title"));
    let setup = Setup::one("uptime", &upstream.url("/s"));
    let exporter = setup.start();
    let uptime = "statuspage_uptime_percentage{service_name=\"Example\",window=\"30d\"}";
    exporter.wait_for_value(uptime, 0.0);
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    exporter.wait_for("some uptime", |page| page.value(uptime) > Some(0.0));
    exporter.kill();
    let share = setup
        .start()
        .page()
        .value(uptime)
        .expect("the first scrape shows it");
    assert!(share > 0.0 && share < 100.0, "{share}");
}
