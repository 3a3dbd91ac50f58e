//! Posts to Slack: one per incident opened, one per incident resolved, whatever happens in between.

use serde_json::Value;

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Upstream, wait_until};

const SENT: &str = "saas_exporter_notifications_total{outcome=\"sent\"}";

fn texts(upstream: &Upstream) -> Vec<String> {
    let posts = upstream.requests("/hook/secret-path");
    let text = |body: &str| {
        let post: Value = serde_json::from_str(body).unwrap();
        assert_eq!(
            (
                &post["blocks"][0]["type"],
                &post["blocks"][0]["text"]["type"]
            ),
            (&"section".into(), &"mrkdwn".into())
        );
        post["blocks"][0]["text"]["text"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    posts.iter().map(|post| text(&post.body)).collect()
}

fn setup(name: &str, upstream: &Upstream) -> Setup {
    Setup::one(name, &upstream.url("/s"))
        .with("SLACK_WEBHOOK_URL", upstream.url("/hook/secret-path"))
}

#[test]
fn an_incident_is_announced_once_and_its_end_once_across_restarts() {
    let upstream = Upstream::start();
    upstream.set("/hook/secret-path", upstream::status(200, &[]));
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "<!channel> A & B").to_string()),
    );
    let setup = setup("announce", &upstream).with("LOG_LEVEL", "trace");
    let exporter = setup.start();
    exporter.wait_for_value(SENT, 1.0);
    let opened = texts(&upstream).remove(0);
    let expected = "🔴 *Incident opened*\n*Service:* Example\n*Incident:* &lt;!channel&gt; A &amp; B\n*Impact:* minor\n*ID:* i1\n\
                    *Started:* 2026-11-20T08:00:00Z\n*Affected:* API\n*Link:* https://stspg.io/x1";
    assert_eq!(opened, expected);
    let mut seen = exporter.log() + &exporter.page().0 + &exporter.get("/").text();
    // The post goes out before the state is written; what was first seen counts once it is.
    wait_until("the state on disk", || {
        let state = std::fs::read_to_string(setup.folder.path("cache/example.state"));
        state.is_ok_and(|text| text.contains("i1")).then_some(())
    });
    exporter.kill();

    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Reworded").to_string()),
    );
    let exporter = setup.start();
    exporter.wait_for_value("statuspage_serving_cached{service_name=\"Example\"}", 0.0);
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    exporter.wait_for_value(SENT, 1.0);
    let all = texts(&upstream);
    assert_eq!(all.len(), 2, "{all:?}");
    let resolved = "🟢 *Incident resolved*\n*Service:* Example\n*Incident:* &lt;!channel&gt; A &amp; B\n*ID:* i1\n*Link:* https://stspg.io/x1";
    assert_eq!(all[1], resolved);
    seen += &(exporter.log() + &exporter.page().0);
    for file in setup.folder.names("cache") {
        seen += &String::from_utf8_lossy(
            &std::fs::read(setup.folder.path("cache").join(file)).unwrap(),
        );
    }
    assert!(!seen.contains("secret-path"), "the webhook is a secret");
}

#[test]
fn a_post_that_fails_is_sent_after_a_restart_and_only_then_counts_as_announced() {
    let upstream = Upstream::start();
    upstream.set("/hook/secret-path", upstream::status(404, &[]));
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let setup = setup("retry", &upstream);
    let exporter = setup.start();
    exporter.wait_for_value("saas_exporter_notifications_total{outcome=\"failed\"}", 1.0);
    let log = exporter.wait_for_log("notification not sent");
    assert!(
        log.contains("kind=http_404") && !log.contains("secret-path"),
        "{log}"
    );
    exporter.kill();
    upstream.set("/hook/secret-path", upstream::status(200, &[]));
    let exporter = setup.start();
    exporter.wait_for_value(SENT, 1.0);
    exporter.kill();
    let exporter = setup.start();
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
    assert_eq!(texts(&upstream).len(), 2, "one refused, one taken");
}

#[test]
fn a_post_is_retried_and_honours_retry_after() {
    let upstream = Upstream::start();
    let busy = upstream::status(429, &[("retry-after", "1")]);
    upstream.set(
        "/hook/secret-path",
        upstream::in_turn(vec![
            busy,
            upstream::status(500, &[]),
            upstream::status(200, &[]),
        ]),
    );
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let exporter = setup("post-retry", &upstream).start();
    let page = exporter.wait_for_value(SENT, 1.0);
    assert_eq!(
        page.value("saas_exporter_notifications_total{outcome=\"failed\"}"),
        Some(0.0)
    );
    let posts = upstream.requests("/hook/secret-path");
    assert_eq!(posts.len(), 3);
    assert!(posts[1].at.duration_since(posts[0].at).as_secs_f64() >= 1.0);
}

#[test]
fn a_slack_that_hangs_delays_no_poll_and_no_scrape() {
    let upstream = Upstream::start();
    upstream.set("/hook/secret-path", upstream::hang());
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "Title").to_string()),
    );
    let exporter = setup("slack-hangs", &upstream).start();
    upstream.wait_for_requests("/hook/secret-path", 1);
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 3);
    assert_eq!(exporter.page().value(SENT), Some(0.0));
}

#[test]
fn an_incident_known_from_the_python_exporter_is_not_announced() {
    let upstream = Upstream::start();
    upstream.set("/hook/secret-path", upstream::status(200, &[]));
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i1", "New title").to_string()),
    );
    let setup = setup("known", &upstream);
    setup.folder.write(
        "cache/example.json",
        crate::cache::original_cache("i1", "Old title").to_string(),
    );
    let exporter = setup.start();
    exporter.wait_for_value("statuspage_serving_cached{service_name=\"Example\"}", 0.0);
    upstream.set(
        "/s",
        upstream::json(fixtures::with_incident("i2", "Another").to_string()),
    );
    let posts = wait_until("two posts", || {
        Some(texts(&upstream)).filter(|texts| texts.len() == 2)
    });
    assert!(
        posts
            .iter()
            .any(|text| text.contains("*Incident opened*") && text.contains("i2")),
        "{posts:?}"
    );
    assert!(
        posts
            .iter()
            .any(|text| text.contains("*Incident resolved*") && text.contains("Old title")),
        "{posts:?}"
    );
}
