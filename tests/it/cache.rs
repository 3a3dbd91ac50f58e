//! The cache folder: whole files or none, whatever the moment; full, missing, damaged, or the Python exporter's.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use serde_json::{Value, json};

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Upstream};

const UP: &str = "saas_exporter_service_up{service=\"example\"}";
const WRITABLE: &str = "saas_exporter_cache_writable";

/// What the Python exporter leaves behind: one incident, one maintenance, one component.
pub fn original_cache(id: &str, title: &str) -> Value {
    json!({
        "service_key": "example", "timestamp": "2026-11-20T07:00:00+00:00",
        "response_data": {
            "status": 0, "raw_status": "minor", "details": "Slow", "success": true,
            "incident_metadata": [{
                "id": id, "name": title, "status": "investigating", "impact": "minor",
                "started_at": "2026-11-20T08:00:00.123Z", "updated_at": "2026-11-20T08:30:00Z",
                "shortlink": "https://stspg.io/x1", "affected_components": ["API"]
            }],
            "maintenance_metadata": [{
                "id": "m1", "name": "Upgrade", "status": "scheduled", "scheduled_start": "2026-11-21T00:00:00Z",
                "scheduled_end": "2026-11-21T02:00:00Z", "shortlink": "https://stspg.io/m1", "affected_components": []
            }],
            "component_metadata": [{"name": "API", "status": "degraded_performance", "status_value": 0}]
        }
    })
}

#[test]
fn a_kill_at_any_moment_leaves_the_old_file_or_the_new_one_whole() {
    let upstream = Upstream::start();
    let setup = Setup::one("kill", &upstream.url("/s"));
    let mut versions = 0;
    for round in 0..60u64 {
        let title = format!("{round} {}", "x".repeat(90));
        upstream.set(
            "/s",
            upstream::json(fixtures::with_incident(&format!("i{round}"), &title).to_string()),
        );
        let exporter = setup.start();
        // Polls begin at once: these moments lie around the write of the state.
        std::thread::sleep(Duration::from_micros(round * 700));
        exporter.kill();
        if let Ok(text) = std::fs::read_to_string(setup.folder.path("cache/example.state")) {
            let state: Value = serde_json::from_str(&text).expect("a whole file");
            assert_eq!(state["version"], 1);
            versions += 1;
        }
    }
    assert!(versions > 0);
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);
    let names = setup.folder.names("cache");
    assert!(
        !names.iter().any(|name| name.ends_with(".corrupt")),
        "{names:?}"
    );
}

#[test]
fn the_state_is_written_only_when_something_meaningful_changes_and_only_we_may_read_it() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let setup = Setup::one("writes", &upstream.url("/s"));
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);
    let file = setup.folder.path("cache/example.state");
    let first = upstream::wait_until("the state file", || std::fs::metadata(&file).ok());
    assert_eq!(first.permissions().mode() & 0o777, 0o600);
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Reworded").to_string()),
    );
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 3);
    assert_eq!(
        std::fs::metadata(&file).unwrap().ino(),
        first.ino(),
        "a rename makes another file"
    );
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    upstream::wait_until("another state file", || {
        (std::fs::metadata(&file).ok()?.ino() != first.ino()).then_some(())
    });
}

#[test]
fn a_full_disk_is_noted_and_the_exporter_goes_on() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::busy().to_string()));
    // Files of more than a block fail like on a full disk; without the trap the system would end the process.
    let setup = Setup::one("full", &upstream.url("/s")).after_shell("trap '' XFSZ\nulimit -f 1");
    let exporter = setup.start();
    let page = exporter.wait_for_value(UP, 1.0);
    assert!(
        page.value("statuspage_service_status{service_name=\"Example\"}")
            .is_some()
    );
    exporter.wait_for_log("cache not writable");
    let names = setup.folder.names("cache");
    assert!(
        !names
            .iter()
            .any(|name| name.ends_with(".state") || name.ends_with(".tmp")),
        "{names:?}"
    );
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 2);
    assert_eq!(exporter.page().value(WRITABLE), Some(0.0));
    assert_eq!(
        exporter.log().matches("writable").count(),
        1,
        "{}",
        exporter.log()
    );
}

#[test]
fn a_folder_that_cannot_be_written_is_noted_and_the_exporter_goes_on() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    // Not even root can write there.
    let exporter = Setup::one("read-only", &upstream.url("/s"))
        .with("CACHE_DIR", "/proc/no-cache-here")
        .start();
    let page = exporter.wait_for_value(UP, 1.0);
    assert_eq!(page.value(WRITABLE), Some(0.0));
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 2);
    let page = exporter.page();
    assert_eq!(
        page.value("statuspage_uptime_percentage{service_name=\"Example\",window=\"24h\"}"),
        Some(0.0)
    );
    assert_eq!(
        exporter.log().matches("cache not writable").count(),
        1,
        "{}",
        exporter.log()
    );
}

#[test]
fn a_damaged_file_or_one_of_another_version_is_set_aside() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let damaged: [&[u8]; 5] = [
        b"",
        b"{\"version\": 1, \"service\": \"example\"",
        b"\xff\xfe\x00garbage",
        br#"{"version":2,"service":"example","type":"statuspage","saved_at":1,"state":{}}"#,
        br#"{"version":1,"service":"example","type":"statuspage","saved_at":1,"state":{"verdict":7}}"#,
    ];
    for (number, content) in damaged.into_iter().enumerate() {
        let setup = Setup::one(&format!("damaged-{number}"), &upstream.url("/s"));
        setup.folder.write("cache/example.state", content);
        setup.folder.write("cache/example.history", b"no history");
        let exporter = setup.start();
        exporter.wait_for_value(UP, 1.0);
        exporter.wait_for_log("cache file set aside");
        let aside = std::fs::read(setup.folder.path("cache/example.state.corrupt")).unwrap();
        assert_eq!(aside, content);
        assert!(
            setup
                .folder
                .names("cache")
                .contains(&"example.history.corrupt".to_owned())
        );
        upstream::wait_until("a new state file", || {
            setup
                .folder
                .path("cache/example.state")
                .exists()
                .then_some(())
        });
    }
}

#[test]
fn a_service_key_never_names_a_file_outside_the_folder() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let keys = [
        "../outside",
        "/etc/passwd",
        "a/b",
        ".",
        "..",
        "",
        "nul\u{0}",
        "line\nbreak",
        "ключ",
        &"long".repeat(200),
    ];
    let service = |(number, key): (usize, &&str)| {
        (
            (*key).to_owned(),
            json!({"name": format!("n{number}"), "url": upstream.url("/s")}),
        )
    };
    let services: serde_json::Map<_, _> = keys.iter().enumerate().map(service).collect();
    let setup = Setup::new("keys", services.into());
    let exporter = setup.start();
    exporter.wait_for("all services", |page| {
        page.lines("statuspage_service_status").len() == keys.len()
    });
    upstream::wait_until("all state files", || {
        let names = setup.folder.names("cache");
        (names.iter().filter(|name| name.ends_with(".state")).count() == keys.len()).then_some(())
    });
    assert_eq!(setup.folder.names(""), ["cache", "services.json"]);
}

#[test]
fn the_folder_of_the_python_exporter_is_taken_over_and_left_as_it_is() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::hang());
    let setup = Setup::one("take-over", &upstream.url("/s"));
    let original = original_cache("i1", "Old title").to_string();
    setup.folder.write("cache/example.json", &original);
    let now = jiff::Timestamp::now();
    let sample = |minutes: i64, status: u8| {
        let at = now - jiff::SignedDuration::from_mins(minutes);
        format!("{{\"ts\":\"{at}\",\"status\":{status}}}\n")
    };
    let samples = sample(50 * 24 * 60, 0)
        + &sample(20, 0)
        + "damaged\n"
        + &sample(15, 1)
        + &sample(10, 1)
        + &sample(5, 1);
    setup.folder.write("cache/example_uptime.jsonl", &samples);
    let exporter = setup.start();
    let cached = "statuspage_serving_cached{service_name=\"Example\"}";
    let page = exporter.wait_for_value(cached, 1.0);
    let incident = "statuspage_incident_info{affected_components=\"API\",impact=\"minor\",incident_id=\"i1\",\
        incident_name=\"Old title\",service_name=\"Example\",shortlink=\"https://stspg.io/x1\",started_at=\"2026-11-20T08:00:00Z\"}";
    assert_eq!(page.value(incident), Some(1.0));
    assert_eq!(
        page.value("statuspage_service_status{service_name=\"Example\"}"),
        Some(0.0)
    );
    assert_eq!(
        page.value("statuspage_component_status{component_name=\"API\",service_name=\"Example\"}"),
        Some(0.0)
    );
    assert_eq!(
        page.value("statuspage_uptime_percentage{service_name=\"Example\",window=\"30d\"}"),
        Some(75.0)
    );
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "New title").to_string()),
    );
    let page = exporter.wait_for_value(cached, 0.0);
    assert_eq!(
        page.value(incident),
        Some(1.0),
        "the labels first seen stay"
    );
    exporter.kill();
    assert_eq!(setup.folder.read("cache/example.json"), original);
    assert_eq!(setup.folder.read("cache/example_uptime.jsonl"), samples);
}

#[test]
fn clearing_the_cache_forgets_everything_of_ours_and_takes_nothing_over() {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let setup = Setup::one("clear", &upstream.url("/s"));
    let original = original_cache("i0", "Old title").to_string();
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);
    upstream::wait_until("the state file", || {
        setup
            .folder
            .path("cache/example.state")
            .exists()
            .then_some(())
    });
    exporter.kill();
    setup.folder.write("cache/example.json", &original);
    upstream.set("/s", upstream::hang());
    let setup = setup.with("CLEAR_CACHE", "Yes");
    let exporter = setup.start();
    exporter.wait_for_log("cache cleared");
    upstream.wait_for_requests("/s", 2);
    assert!(exporter.page().lines("statuspage_incident_info").is_empty());
    assert_eq!(setup.folder.names("cache"), ["example.json"]);
    assert_eq!(setup.folder.read("cache/example.json"), original);
}
