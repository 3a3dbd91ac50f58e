//! Whole rounds of questions against prepared answers, on a clock that jumps.

use std::path::Path;

use serde_json::{Value, json};

use super::api::scripted::Scripted;
use super::*;
use crate::cache::Cache;
use crate::clock::Clock;
use crate::clock::fake::FakeClock;
use crate::config::{Fields, Reach, settings::Given};
use crate::fetch::{Fetcher, Proxies};
use crate::model::StaticLabels;
use crate::notify::Notifier;

const POOL: &str =
    r#"{"data":{"publicWorkerPool":{"parallelism":4,"busyWorkers":1,"pendingRuns":3}}}"#;
const USAGE: &str = r#"{"data":{"usage":{"billingPeriodStart":1,"billingPeriodEnd":2,
    "usedPrivateMinutes":12345,"usedPublicMinutes":7,"usedSeats":5}}}"#;
const BOOM: &str = r#"{"data":{"usage":{"usedSeats":5}},"errors":[{"message":"boom"}]}"#;
const STACKS_BY_STATE: &str = "spacelift_current_stacks_count_by_state";

/// A source, its clock, and the upstream that it talks to.
struct Bench {
    source: Spacelift,
    clock: Arc<FakeClock>,
    api: Scripted,
}

impl Bench {
    /// `more` are fields of the service; only the named usual collectors are on.
    fn new(collectors: &[&str], more: Value) -> Bench {
        let mut fields = json!({
            "api_endpoint": "https://acme.example",
            "api_key_id": "01KEY",
            "api_key_secret": "s3cr3t",
            "collectors": {"aggregates": false, "publicworkerpool": false, "usage": false, "workerpools": false},
        });
        for name in collectors {
            fields["collectors"][name] = true.into();
        }
        for (name, value) in more.as_object().expect("an object") {
            fields[name] = value.clone();
        }
        let values = fields
            .as_object()
            .expect("an object")
            .clone()
            .into_iter()
            .collect();
        let (given, mut problems, mut warnings) = (Given::default(), Vec::new(), Vec::new());
        let mut fields = Fields::new(
            "file",
            "key",
            &given,
            values,
            Reach::Nothing,
            &mut problems,
            &mut warnings,
        );
        let settings = Settings::read(&mut fields).expect("good settings");
        assert!(problems.is_empty(), "{problems:?}");
        let clock = Arc::new(FakeClock::at("2025-11-20T18:00:00Z"));
        let parts = parts(&clock);
        Bench {
            source: Spacelift::new(settings, parts),
            clock,
            api: Scripted::default(),
        }
    }

    /// An exchange for a token that lasts a week.
    fn token(&self) -> &Scripted {
        let valid_until = self.clock.now().as_second() + 7 * 24 * 3_600;
        self.api
            .then(json!({"data": {"apiKeyUser": {"jwt": "jwt-text", "validUntil": valid_until}}}))
    }

    fn round(&mut self) -> Result<(), Failure> {
        self.source.round(&self.api, &mut |_| {})
    }

    fn wait(&self, seconds: u64) {
        self.clock
            .pause(Duration::from_secs(seconds))
            .expect("never stopped");
    }

    fn lines(&self, family: &str) -> Vec<String> {
        let mut families = Families::new(&StaticLabels::new());
        self.source.families(&mut families);
        let found = families
            .finish()
            .into_iter()
            .find(|one| one.meta.name == family);
        let samples = found.map(|family| family.samples).unwrap_or_default();
        samples
            .iter()
            .map(|sample| format!("{} {}", sample.labels, sample.value))
            .collect()
    }

    fn success(&self, collector: &str) -> Option<bool> {
        let lines = self.lines("spacelift_scrape_collector_success");
        let label = format!("{{collector=\"{collector}\"}} ");
        lines
            .iter()
            .find_map(|line| Some(line.strip_prefix(&label)? == "1"))
    }
}

fn parts(clock: &Arc<FakeClock>) -> Parts {
    let as_clock: Arc<dyn Clock> = clock.clone();
    // No folder can be there, so nothing is ever written.
    let cache = Arc::new(Cache::open(Path::new("/dev/null/cache"), false));
    let fetcher = Arc::new(Fetcher::new(1, Proxies::default(), None));
    Parts {
        key: "key".to_owned(),
        interval: Duration::from_secs(60),
        clock: as_clock.clone(),
        notifier: Notifier::start(None, fetcher, as_clock, Arc::clone(&cache)),
        cache,
        lease: crate::lease::Lease::default(),
    }
}

fn aggregates(stacks: &Value) -> Value {
    json!({"data": {"metrics": {"stacksCountByState": stacks, "resourcesCountByDrift": []}}})
}

fn finished(count: u32) -> Value {
    aggregates(&json!([{"value": count, "labels": ["FINISHED"]}]))
}

fn stacks(ids: &[&str], next: Option<&str>) -> Value {
    let edge = |id: &&str| {
        json!({"node": {"id": id, "state": "FINISHED", "space": "platform-01ABC",
            "spaceDetails": {"id": "platform-01ABC", "name": "platform"}}})
    };
    let edges: Vec<Value> = ids.iter().map(edge).collect();
    json!({"data": {"searchStacks": {"edges": edges,
        "pageInfo": {"endCursor": next, "hasNextPage": next.is_some()}}}})
}

#[test]
fn collectors_are_asked_one_after_another_with_one_token_for_many_rounds() {
    let all = ["aggregates", "publicworkerpool", "usage", "workerpools"];
    let mut bench = Bench::new(&all, json!({}));
    let answers = |api: &Scripted| {
        api.then(POOL)
            .then(r#"{"data":{"workerPools":[]}}"#)
            .then(USAGE)
            .then(finished(6));
    };
    bench.token();
    answers(&bench.api);
    assert_eq!(bench.round(), Ok(()));
    let four = ["PublicWorkerPool", "WorkerPools", "Usage", "Aggregates"];
    let four = four.map(|name| format!("PrometheusExporter_{name}"));
    assert_eq!(bench.api.operations()[1..], four);
    for _ in 0..3 {
        bench.wait(60);
        answers(&bench.api);
        assert_eq!(bench.round(), Ok(()));
        assert_eq!(bench.api.operations(), four);
    }
}

// Contract test 14, the meaning of it.
#[test]
fn a_failed_collector_withholds_its_own_series_and_no_other() {
    let mut bench = Bench::new(&["publicworkerpool", "usage"], json!({}));
    bench.token().then(POOL).then(USAGE);
    assert_eq!(bench.round(), Ok(()));
    // Contract test 18.
    let private = "spacelift_current_billing_period_used_private_seconds";
    assert_eq!(bench.lines(private), [" 740700"]);
    bench.api.then(POOL).then(BOOM);
    assert_eq!(bench.round(), Err(Failure::Refused("boom".to_owned())));
    assert!(bench.lines(private).is_empty());
    assert_eq!(
        bench.lines("spacelift_public_worker_pool_parallelism"),
        [" 4"]
    );
    assert_eq!(
        (bench.success("usage"), bench.success("publicworkerpool")),
        (Some(false), Some(true))
    );
    bench.api.then(POOL).then(USAGE);
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(private), [" 740700"]);
}

#[test]
fn a_failed_exchange_fails_every_collector_is_tried_once_and_again_in_the_next_round() {
    let mut bench = Bench::new(&["publicworkerpool", "usage"], json!({}));
    bench.api.then(r#"{"data":{"apiKeyUser":null}}"#);
    assert!(bench.round().is_err());
    assert_eq!(bench.api.operations(), ["token"]);
    assert_eq!(
        (bench.success("usage"), bench.success("publicworkerpool")),
        (Some(false), Some(false))
    );
    bench.token().then(POOL).then(USAGE);
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.success("usage"), Some(true));
}

#[test]
fn a_failed_exchange_in_mid_round_leaves_what_worked_and_fails_the_rest() {
    let mut bench = Bench::new(&["publicworkerpool", "usage", "aggregates"], json!({}));
    bench
        .token()
        .then(POOL)
        .then_status(401, None, "no")
        .then_status(503, None, "down");
    let status = |code| Failure::Status {
        code,
        retry_after: None,
    };
    assert_eq!(bench.round(), Err(status(503)));
    let success = ["publicworkerpool", "usage", "aggregates"].map(|name| bench.success(name));
    assert_eq!(success, [Some(true), Some(false), Some(false)]);
    assert_eq!(bench.api.asked().len(), 4);
}

#[test]
fn status_429_ends_the_round_and_leaves_those_not_asked_as_they_are() {
    let mut bench = Bench::new(&["publicworkerpool", "usage"], json!({}));
    bench.token().then(POOL).then(USAGE);
    assert_eq!(bench.round(), Ok(()));
    let wait = Some(Duration::from_secs(300));
    bench.api.then_status(429, wait, "slow down");
    // The failure carries the wait, and the poller keeps it.
    assert_eq!(
        bench.round(),
        Err(Failure::Status {
            code: 429,
            retry_after: wait
        })
    );
    assert_eq!(
        (bench.success("publicworkerpool"), bench.success("usage")),
        (Some(false), Some(true))
    );
    assert_eq!(
        bench.lines("spacelift_current_billing_period_used_seats"),
        [" 5"]
    );
}

#[test]
fn a_fault_with_retry_after_makes_its_collector_wait_and_no_other() {
    let mut bench = Bench::new(&["publicworkerpool", "usage"], json!({}));
    bench.token();
    bench
        .api
        .then_status(503, Some(Duration::from_secs(90)), "down")
        .then(USAGE);
    let fault = Err(Failure::Status {
        code: 503,
        retry_after: None,
    });
    assert_eq!(bench.round(), fault);
    bench.wait(60);
    bench.api.then(USAGE);
    assert_eq!(bench.round(), fault, "still failing, not asked");
    bench.wait(60);
    bench.api.then(POOL).then(USAGE);
    assert_eq!(bench.round(), Ok(()));
}

// Contract test 15, the meaning of it.
#[test]
fn what_is_not_available_for_machine_sessions_is_unsupported_and_no_failure() {
    let mut bench = Bench::new(&["usage"], json!({}));
    let gated = r#"{"data":null,"errors":[{"message":"not available for machine sessions"}]}"#;
    bench.token().then(gated);
    assert_eq!(bench.round(), Ok(()));
    let supported = "spacelift_scrape_collector_supported";
    assert_eq!(bench.lines(supported), ["{collector=\"usage\"} 0"]);
    assert_eq!(bench.success("usage"), Some(true));
    let last = "spacelift_exporter_last_success_timestamp_seconds";
    assert!(bench.lines(last).is_empty());
    bench.api.then(USAGE);
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(supported), ["{collector=\"usage\"} 1"]);
    assert_eq!(bench.lines(last).len(), 1);
}

// Contract test 22.
#[test]
fn details_take_the_place_of_the_aggregate_and_give_it_back_when_they_fail() {
    let more = json!({"stack_details": true, "details_interval": "5m"});
    let mut bench = Bench::new(&["aggregates"], more);
    let aggregate = ["{space=\"unknown\",stack=\"unknown\",state=\"FINISHED\"} 6"];
    let detail = ["{space=\"platform\",stack=\"infra-prod\",state=\"FINISHED\"} 1"];
    bench
        .token()
        .then(finished(6))
        .then(stacks(&["infra-prod"], None));
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(STACKS_BY_STATE), detail);
    bench.wait(299);
    bench.api.then(finished(6));
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(
        bench.lines(STACKS_BY_STATE),
        detail,
        "kept between two readings"
    );
    bench.wait(2);
    let gated = r#"{"data":null,"errors":[{"message":"not available for machine sessions"}]}"#;
    bench.api.then(finished(6)).then(gated);
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(STACKS_BY_STATE), aggregate);
    bench.wait(300);
    bench
        .api
        .then(finished(6))
        .then(stacks(&["infra-prod"], None));
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(STACKS_BY_STATE), detail);
}

// Contract test 21, the meaning of it.
#[test]
fn two_pages_of_stacks_are_shown_whole_and_a_repeated_cursor_shows_nothing_partial() {
    let mut bench = Bench::new(&["usage"], json!({"stack_details": true}));
    bench
        .token()
        .then(USAGE)
        .then(stacks(&["a", "b"], Some("c1")))
        .then(stacks(&["c"], None));
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(STACKS_BY_STATE).len(), 3);
    let asked = bench.api.asked();
    let after: Vec<_> = asked[2..]
        .iter()
        .map(|one| &one.body["variables"]["input"])
        .collect();
    assert_eq!(
        after,
        [
            &json!({"first": 50, "after": null}),
            &json!({"first": 50, "after": "c1"})
        ]
    );
    bench.wait(1_000);
    bench
        .api
        .then(USAGE)
        .then(stacks(&["a"], Some("c1")))
        .then(stacks(&["b"], Some("c1")));
    assert!(bench.round().is_err());
    assert!(bench.lines(STACKS_BY_STATE).is_empty());
    assert_eq!(bench.success("stacks"), Some(false));
    bench.wait(60);
    bench.api.then(USAGE);
    assert!(
        bench.round().is_err(),
        "it fails still, though it was not asked"
    );
}

#[test]
fn what_is_known_is_shown_before_a_long_list_is_read_but_not_in_the_first_poll() {
    let mut bench = Bench::new(&["usage"], json!({"stack_details": true}));
    let published = |bench: &mut Bench| {
        let mut pages = Vec::new();
        let outcome = bench.source.round(&bench.api, &mut |source| {
            let mut families = Families::default();
            source.families(&mut families);
            pages.push(families.finish().len());
        });
        assert_eq!(outcome, Ok(()));
        pages.len()
    };
    bench.token().then(USAGE).then(stacks(&["a"], None));
    assert_eq!(published(&mut bench), 0);
    bench.source.poll_duration = Some(Duration::from_secs(1));
    bench.wait(1_000);
    bench.api.then(USAGE).then(stacks(&["a"], None));
    assert_eq!(published(&mut bench), 1);
    bench.wait(60);
    bench.api.then(USAGE);
    assert_eq!(published(&mut bench), 0, "no list is due");
}

#[test]
fn an_empty_list_of_an_anonymous_session_is_read_again_with_a_new_token() {
    let mut bench = Bench::new(&["usage"], json!({"stack_details": true}));
    bench.token().then(USAGE).then(stacks(&[], None));
    bench.api.then(r#"{"data":{"viewer":null}}"#);
    bench
        .token()
        .then(r#"{"data":{"viewer":{"id":"me"}}}"#)
        .then(stacks(&["a"], None));
    assert_eq!(bench.round(), Ok(()));
    assert_eq!(bench.lines(STACKS_BY_STATE).len(), 1);
    bench.wait(1_000);
    bench
        .api
        .then(USAGE)
        .then(stacks(&[], None))
        .then(r#"{"data":{"viewer":{"id":"me"}}}"#);
    assert_eq!(bench.round(), Ok(()));
    assert!(bench.lines(STACKS_BY_STATE).is_empty());
    assert_eq!(bench.success("stacks"), Some(true));
}

#[test]
fn details_outlive_a_restart_and_are_not_read_again_before_their_time() {
    let more = json!({"stack_details": true, "details_interval": "5m"});
    let mut bench = Bench::new(&["usage"], more.clone());
    bench.token().then(USAGE).then(stacks(&["a"], None));
    assert_eq!(bench.round(), Ok(()));
    let kept = bench.source.unsaved().expect("something to keep");
    assert!(
        !["jwt-text", "s3cr3t", "01KEY"]
            .iter()
            .any(|secret| kept.contains(secret))
    );
    bench.source.saved();
    assert_eq!(bench.source.unsaved(), None);

    let restart = |kept: &str, after_s: u64| {
        let mut bench = Bench::new(&["usage"], more.clone());
        bench.wait(after_s);
        let state = serde_json::from_str(kept).expect("JSON");
        let now = bench.clock.now();
        let is_shown = bench.source.restore(
            Some(Kept {
                state,
                saved_at: now,
            }),
            now,
        );
        (bench, is_shown)
    };
    let (mut young, is_shown) = restart(&kept, 200);
    assert!(is_shown && young.lines(STACKS_BY_STATE).len() == 1);
    young.token().then(USAGE);
    assert_eq!(young.round(), Ok(()), "the list is not read");
    young.wait(101);
    young.api.then(USAGE).then(stacks(&["a", "b"], None));
    assert_eq!(young.round(), Ok(()));
    assert_eq!(young.lines(STACKS_BY_STATE).len(), 2);

    let (old, is_shown) = restart(&kept, 301);
    assert!(!is_shown && old.lines(STACKS_BY_STATE).is_empty());
    let (_, is_shown) = restart(&kept.replace("acme", "other"), 0);
    assert!(!is_shown, "of another account");
}

#[test]
fn no_debug_output_of_the_settings_holds_the_key() {
    let bench = Bench::new(&["usage"], json!({}));
    let shown = format!("{:?}", bench.source.settings);
    assert!(
        !shown.contains("s3cr3t") && !shown.contains("01KEY"),
        "{shown}"
    );
}
