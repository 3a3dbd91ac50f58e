//! RUN_MODE=once: one poll of every service, the text file, the posts, the end.

use std::os::unix::fs::PermissionsExt;

use serde_json::json;

use crate::exporter::{Page, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream};

fn upstream() -> Upstream {
    let upstream = Upstream::start();
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    upstream.set("/hook", upstream::status(200, &[]));
    upstream
}

#[test]
fn one_round_writes_the_text_file_delivers_its_posts_and_ends() {
    let upstream = upstream();
    let services = json!({
        "good": {"name": "Good", "url": upstream.url("/s")},
        "bad": {"name": "Bad", "url": upstream.url("/missing")},
    });
    let setup = Setup::new("once", services)
        .with("RUN_MODE", "once")
        .with("SLACK_WEBHOOK_URL", upstream.url("/hook"));
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let page = Page(setup.folder.read("metrics/statuspage.prom"));
    page.assert_well_formed();
    assert_eq!(
        page.value("statuspage_probe_check{service_name=\"Good\"}"),
        Some(1.0)
    );
    assert_eq!(
        page.value("statuspage_probe_check{service_name=\"Bad\"}"),
        Some(0.0)
    );
    assert!(!page.0.contains("process_"), "node_exporter has its own");
    assert_eq!(
        setup.folder.names("metrics"),
        ["statuspage.prom"],
        "no temporary file stays"
    );
    let mode = std::fs::metadata(setup.folder.path("metrics/statuspage.prom"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o644, "the collector may read it");
    assert_eq!(upstream.requests("/hook").len(), 1);
    assert_eq!(setup.run().status.code(), Some(0));
    assert_eq!(
        upstream.requests("/hook").len(),
        1,
        "announced once, over all rounds"
    );
}

#[test]
fn a_text_file_that_cannot_be_written_is_an_error_that_says_so() {
    let upstream = upstream();
    let setup = Setup::one("unwritable", &upstream.url("/s"))
        .argument("--once")
        .with("METRICS_TEXTFILE_PATH", "/proc/no/such/file.prom");
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(1));
    assert!(
        finished
            .stderr
            .contains("cannot write /proc/no/such/file.prom"),
        "{}",
        finished.stderr
    );
    assert!(
        finished.stderr.contains("METRICS_TEXTFILE_PATH"),
        "{}",
        finished.stderr
    );
}
