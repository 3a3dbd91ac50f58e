//! Whole polls over hours, with a clock that is turned by hand, against the simulated API of the tests of the binary.

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../../../tests/it/upstream.rs"]
mod upstream;

#[allow(dead_code, missing_docs, unreachable_pub)]
#[path = "../../../../tests/it/aaisp_upstream.rs"]
mod aaisp_upstream;

mod rig;

use std::time::Duration;

use serde_json::{Value, json};

use crate::sources::Next;
use aaisp_upstream::{Chaos, LOGIN, PASSWORD};
use rig::{Rig, SECOND};

fn quota_series(family: &str, id: &str) -> String {
    format!("aaisp_broadband_quota_{family}{{login=\"{LOGIN}\",service=\"{id}\"}}")
}

fn download(id: &str, login: &str) -> String {
    format!("aaisp_broadband_line_sync_download_bps{{login=\"{login}\",service=\"{id}\"}}")
}

// Contract test 12.
#[test]
fn an_unlimited_line_has_no_quota_and_that_is_no_error_until_it_has_had_one() {
    let chaos = Chaos::start(&["60001", "60002", "60003"]);
    chaos.change(|account| {
        let zero = json!({"ID": "60001", "quota_monthly": "0", "quota_remaining": "0"});
        account.quotas.insert("60001".to_owned(), zero);
        account
            .quotas
            .insert("60002".to_owned(), json!({"ID": "60002"}));
        account
            .quotas
            .insert("60003".to_owned(), json!({"error": "No quota"}));
    });
    let mut rig = Rig::new("unlimited", chaos, json!({}));
    assert_eq!(rig.poll(), Ok(()));
    assert_eq!(rig.value(&quota_series("total_bytes", "60001")), Some(0.0));
    assert_eq!(rig.value(&quota_series("used_bytes", "60001")), Some(0.0));
    assert_eq!(rig.value(&quota_series("percentage", "60001")), None);
    let others = rig
        .series("aaisp_broadband_quota")
        .into_iter()
        .filter(|name| !name.contains("60001"));
    assert_eq!(others.count(), 0);
    assert_eq!(rig.series("aaisp_collector_errors_total"), [""; 0]);
    rig.go_to(120);
    assert_eq!(rig.logged("no quota").len(), 1, "told once");

    let known = aaisp_upstream::quota("60003");
    rig.chaos
        .change(|account| account.quotas.insert("60003".to_owned(), known));
    rig.go_to(180);
    assert_eq!(rig.value(&quota_series("total_bytes", "60003")), Some(1e12));
    let gone = json!({"error": "No quota"});
    rig.chaos
        .change(|account| account.quotas.insert("60003".to_owned(), gone));
    rig.go_to(240);
    assert_eq!(
        rig.errors("BroadbandQuotaCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert_eq!(
        rig.value(&quota_series("total_bytes", "60003")),
        Some(1e12),
        "until it is stale"
    );
}

// Contract test 18.
#[test]
fn refused_credentials_slow_all_requests_down_until_a_corrected_password_file_brings_all_back() {
    let folder = aaisp_upstream::scratch_folder("refused-password");
    let file = folder.join("password");
    aaisp_upstream::write_file(&file, "wrong-secret\n");
    let mut rig = Rig::new(
        "refused",
        Chaos::start(&["60001"]),
        json!({"control_password_file": file.display().to_string()}),
    );
    let outcome = rig.poll().expect_err("the password is wrong");
    assert_eq!(outcome.kind(), "refused");
    assert_eq!(
        rig.chaos.count(),
        2,
        "the medium and the fast run, no retry"
    );
    assert_eq!(rig.attempts("broadband", "services", "200"), Some(2.0));
    assert_eq!(
        rig.errors("BroadbandInfoCollector", "CHAOSAuthError"),
        Some(1.0)
    );
    assert_eq!(
        rig.errors("BroadbandQuotaCollector", "CHAOSAuthError"),
        Some(1.0)
    );
    rig.go_to(899);
    assert_eq!(rig.chaos.count(), 3, "after three runs only probes");
    rig.go_to(900);
    assert_eq!(rig.chaos.count(), 4);
    rig.go_to(1_800);
    assert_eq!(rig.chaos.count(), 5);
    let errors = rig.logged("ERROR credentials refused");
    assert_eq!(
        errors.len(),
        3,
        "once, then once in each slow interval: {errors:?}"
    );
    assert_eq!(rig.value("aaisp_exporter_up"), Some(1.0));

    aaisp_upstream::write_file(&file, PASSWORD);
    rig.go_to(2_700);
    assert_eq!(
        rig.chaos.count(),
        7,
        "the probe that works goes on with info"
    );
    assert_eq!(
        rig.value(&download("60001", "demo@a.1")),
        Some(74_425_000.0)
    );
    rig.go_to(2_760);
    assert_eq!(
        rig.chaos.requests("broadband/quota").len(),
        1,
        "at its next tick"
    );
    assert_eq!(rig.value(&quota_series("total_bytes", "60001")), Some(1e12));
    rig.go_to(2_999);
    assert_eq!(rig.poll(), Ok(()));
    assert_eq!(rig.chaos.requests("broadband/quota").len(), 4);
    assert_eq!(
        rig.logged("")
            .iter()
            .filter(|line| line.contains("wrong-secret"))
            .count(),
        0
    );
    aaisp_upstream::remove_folder(&folder);
}

#[test]
fn values_that_grow_too_old_during_a_slow_down_go_at_their_moment() {
    let mut rig = Rig::new("slow-stale", Chaos::start(&["60001"]), json!({}));
    rig.go_to(0);
    rig.chaos.change(|account| account.logins.clear());
    rig.go_to(179);
    assert!(rig.value(&quota_series("total_bytes", "60001")).is_some());
    rig.go_to(180);
    assert!(rig.value(&quota_series("total_bytes", "60001")).is_none());
    rig.go_to(899);
    assert!(rig.value(&download("60001", "demo@a.1")).is_some());
    let next = rig.source.next();
    assert_eq!(next, Next::At(rig.start + 900 * SECOND));
    rig.go_to(900);
    assert!(rig.value(&download("60001", "demo@a.1")).is_none());
}

/// One poll with `services` answering like this: pauses, attempts by status, errors by class.
fn check_answers(
    key: &str,
    answers: Vec<upstream::Behaviour>,
    pauses: &[u64],
    attempts: &[(&str, f64)],
    error: Option<&str>,
) {
    // Without the fast tier's own discovery, which would ask again.
    let fields = json!({"collectors": {"broadband": false, "telephony": true}});
    let chaos = Chaos::start(&[]);
    chaos.rule("telephony/services", None, upstream::in_turn(answers));
    let mut rig = Rig::new(key, chaos, fields);
    assert_eq!(rig.pauses_of_a_poll(), pauses, "{key}");
    for (status, count) in attempts {
        assert_eq!(
            rig.attempts("telephony", "services", status),
            Some(*count),
            "{key}"
        );
    }
    let total: f64 = attempts.iter().map(|(_, count)| count).sum();
    assert_eq!(
        rig.chaos.requests("telephony/services").len() as f64,
        total,
        "{key}"
    );
    let duration =
        "aaisp_api_request_duration_seconds_count{command=\"services\",subsystem=\"telephony\"}";
    assert_eq!(rig.value(duration), Some(total), "{key}");
    match error {
        Some(class) => assert_eq!(
            rig.errors("TelephonyInfoCollector", class),
            Some(1.0),
            "{key}"
        ),
        None => assert_eq!(rig.series("aaisp_collector_errors_total"), [""; 0], "{key}"),
    }
}

// Contract test 19.
#[test]
fn only_what_may_pass_is_asked_again_after_one_two_and_four_seconds_or_what_the_answer_wants() {
    let status = |code| upstream::status(code, &[]);
    let good = || upstream::json(r#"{"services": []}"#);
    let limited = || upstream::status(429, &[("retry-after", "7")]);
    check_answers(
        "http-401",
        vec![status(401)],
        &[],
        &[("401", 1.0)],
        Some("CHAOSAuthError"),
    );
    check_answers(
        "http-429-200",
        vec![limited(), good()],
        &[7],
        &[("429", 1.0), ("200", 1.0)],
        None,
    );
    check_answers(
        "http-429",
        vec![limited()],
        &[7, 7, 7],
        &[("429", 4.0)],
        Some("CHAOSRateLimitError"),
    );
    let long = upstream::status(429, &[("retry-after", "4000")]);
    check_answers(
        "http-429-long",
        vec![long, good()],
        &[300],
        &[("429", 1.0), ("200", 1.0)],
        None,
    );
    check_answers(
        "http-503-200",
        vec![status(503), good()],
        &[1],
        &[("503", 1.0), ("200", 1.0)],
        None,
    );
    check_answers(
        "http-504",
        vec![status(504)],
        &[1, 2, 4],
        &[("504", 4.0)],
        Some("CHAOSAPIError"),
    );
    for code in [400, 404, 422] {
        let (key, label) = (format!("http-{code}"), code.to_string());
        check_answers(
            &key,
            vec![status(code)],
            &[],
            &[(&label, 1.0)],
            Some("CHAOSAPIError"),
        );
    }
    let refused = aaisp_upstream::error("Control authorisation failed");
    check_answers(
        "http-200-error",
        vec![refused],
        &[],
        &[("200", 1.0)],
        Some("CHAOSAuthError"),
    );
    let page = upstream::json("<html>login</html>");
    check_answers(
        "http-200-html",
        vec![page],
        &[],
        &[("200", 1.0)],
        Some("JSONDecodeError"),
    );
    check_answers(
        "http-200-list",
        vec![upstream::json("[]")],
        &[],
        &[("200", 1.0)],
        Some("JSONDecodeError"),
    );
    check_answers(
        "dropped",
        vec![aaisp_upstream::dropped(), good()],
        &[1],
        &[("0", 1.0), ("200", 1.0)],
        None,
    );
}

// Contract test 19, the 500: of broadband, since telephony has a meaning of its own for it.
#[test]
fn a_500_of_broadband_is_an_error_and_is_not_asked_again() {
    let chaos = Chaos::start(&["60001"]);
    chaos.rule("broadband/services", None, upstream::status(500, &[]));
    let mut rig = Rig::new("http-500", chaos, json!({}));
    assert_eq!(rig.pauses_of_a_poll(), [0; 0]);
    assert_eq!(
        rig.attempts("broadband", "services", "500"),
        Some(2.0),
        "medium, and fast without a list"
    );
    assert_eq!(
        rig.errors("BroadbandInfoCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert_eq!(
        rig.errors("BroadbandQuotaCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert_eq!(rig.last_success("BroadbandInfoCollector"), None);
    assert!(
        rig.logged("ERROR not read").len() == 2,
        "{:?}",
        rig.logged("")
    );
    rig.chaos.without_rules();
    rig.go_to(60);
    assert_eq!(
        rig.chaos.requests("broadband/info").len(),
        1,
        "the fast run found the list itself"
    );
    assert!(rig.value(&quota_series("total_bytes", "60001")).is_some());
    assert!(
        rig.poll().is_err(),
        "the medium run has not been repaired yet"
    );
    rig.go_to(300);
    assert_eq!(rig.poll(), Ok(()));
}

// Contract test 20.
#[test]
fn a_time_out_is_asked_again_three_times_and_each_attempt_counts_as_status_0() {
    let chaos = Chaos::start(&[]);
    chaos.rule("telephony/services", None, upstream::hang());
    let fields = json!({"collectors": {"broadband": false, "telephony": true}});
    let mut rig = Rig::with_timeout("timeout", chaos, fields, Duration::from_millis(100));
    assert_eq!(rig.pauses_of_a_poll(), [1, 2, 4]);
    assert_eq!(rig.attempts("telephony", "services", "0"), Some(4.0));
    assert_eq!(
        rig.errors("TelephonyInfoCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert_eq!(rig.logged("WARN request failed").len(), 4);
}

// Contract test 21.
#[test]
fn a_line_that_fails_costs_the_other_one_nothing_and_keeps_its_values() {
    let mut rig = Rig::new("one-fails", Chaos::start(&["60001", "60002"]), json!({}));
    rig.go_to(0);
    let fresh = json!({"ID": "60002", "quota_monthly": "1000000000000", "quota_remaining": "5"});
    rig.chaos
        .change(|account| account.quotas.insert("60002".to_owned(), fresh));
    rig.chaos
        .rule("broadband/quota", Some("60001"), upstream::status(500, &[]));
    let before = rig
        .last_success("BroadbandQuotaCollector")
        .expect("it has worked");
    rig.go_to(60);
    assert_eq!(
        rig.value(&quota_series("remaining_bytes", "60002")),
        Some(5.0)
    );
    assert_eq!(
        rig.value(&quota_series("remaining_bytes", "60001")),
        Some(750e9)
    );
    assert_eq!(
        rig.errors("BroadbandQuotaCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert_eq!(
        rig.last_success("BroadbandQuotaCollector"),
        Some(before + 60.0)
    );
    assert_eq!(rig.logged("line=60001").len(), 1);
}

// Contract test 22.
#[test]
fn a_line_that_fails_for_three_intervals_loses_its_quota_and_keeps_its_rates() {
    let mut rig = Rig::new("three-fail", Chaos::start(&["60001", "60002"]), json!({}));
    rig.go_to(0);
    rig.chaos
        .rule("broadband/quota", Some("60001"), upstream::status(500, &[]));
    rig.go_to(179);
    assert_eq!(rig.series("aaisp_broadband_quota_").len(), 10);
    rig.go_to(180);
    assert_eq!(
        rig.series("aaisp_broadband_quota_").len(),
        5,
        "those of the other line"
    );
    assert!(rig.value(&download("60001", "demo@a.1")).is_some());
    rig.chaos.without_rules();
    rig.go_to(240);
    assert_eq!(rig.series("aaisp_broadband_quota_").len(), 10);
}

#[test]
fn with_stale_after_intervals_0_old_values_are_kept_for_ever() {
    let fields = json!({"stale_after_intervals": 0});
    let mut rig = Rig::new("for-ever", Chaos::start(&["60001"]), fields);
    rig.go_to(0);
    rig.chaos
        .rule("broadband/quota", None, upstream::status(500, &[]));
    rig.go_to(7_200);
    assert_eq!(rig.series("aaisp_broadband_quota_").len(), 5);
}

// Contract test 23.
#[test]
fn a_line_that_was_removed_goes_at_the_next_discovery_and_a_new_postcode_replaces_the_old_one() {
    let mut rig = Rig::new("removed", Chaos::start(&["60001", "60002"]), json!({}));
    rig.go_to(0);
    rig.chaos.change(|account| {
        account.services = json!({"services": ["60001"]});
        account.options = aaisp_upstream::options(&["60001"]);
        let line = account.lines.get_mut("60001").expect("it is there");
        line["postcode"] = "ZZ9 9ZZ".into();
    });
    rig.go_to(299);
    assert!(
        !rig.series("aaisp_broadband_quota_total_bytes{login=\"demo@a\",service=\"60002\"")
            .is_empty()
    );
    rig.go_to(300);
    let of_removed = rig.page().into_keys().filter(|name| name.contains("60002"));
    assert_eq!(of_removed.count(), 0);
    let info =
        "aaisp_broadband_service_info{login=\"demo@a.1\",postcode=\"ZZ9 9ZZ\",service=\"60001\"}";
    assert_eq!(rig.series("aaisp_broadband_service_info"), [info]);
    let quotas = rig.chaos.requests("broadband/quota").len();
    rig.go_to(360);
    assert_eq!(rig.chaos.requests("broadband/quota").len(), quotas + 1);
}

#[test]
fn the_first_cycle_asks_once_and_the_cadence_is_fixed() {
    let mut rig = Rig::new("cadence", Chaos::start(&["60001"]), json!({}));
    rig.go_to(0);
    assert_eq!(rig.chaos.count(), 3);
    rig.go_to(3_599);
    let counts = ["services", "info", "quota"]
        .map(|name| rig.chaos.requests(&format!("broadband/{name}")).len());
    assert_eq!(counts, [12, 12, 60]);
}

#[test]
fn a_run_that_overruns_skips_the_ticks_that_it_missed() {
    let chaos = Chaos::start(&["60001"]);
    chaos.rule(
        "broadband/services",
        None,
        upstream::in_turn(vec![
            upstream::status(429, &[("retry-after", "150")]),
            upstream::json(r#"{"services": ["60001"]}"#),
        ]),
    );
    let mut rig = Rig::new("overrun", chaos, json!({}));
    assert_eq!(rig.pauses_of_a_poll(), [150]);
    assert_eq!(rig.chaos.requests("broadband/quota").len(), 1);
    assert_eq!(rig.source.next(), Next::At(rig.start + 180 * SECOND));
}

#[test]
fn lines_that_only_options_name_stay_while_the_options_cannot_be_read() {
    let chaos = Chaos::start(&["60001", "60002"]);
    chaos.change(|account| account.services = json!({"services": ["60001"]}));
    let mut rig = Rig::new("options", chaos, json!({}));
    rig.go_to(0);
    assert!(rig.value(&download("60002", "demo@a.2")).is_some());
    rig.chaos
        .rule("broadband/info", Some("60001"), upstream::status(500, &[]));
    rig.go_to(300);
    assert!(rig.value(&download("60002", "demo@a.2")).is_some());
    assert_eq!(
        rig.errors("BroadbandInfoCollector", "CHAOSAPIError"),
        Some(1.0)
    );
}

#[test]
fn bulk_info_asks_once_for_all_lines_and_singly_for_those_that_are_not_in_it() {
    let chaos = Chaos::start(&["60001", "60002", "60003"]);
    chaos.rule("broadband/info", None, upstream::in_turn(vec![upstream::json(
        json!({"info": [aaisp_upstream::line("60001"), aaisp_upstream::line("60002"), {"ID": "9"}]}).to_string(),
    )]));
    let third = json!({"info": aaisp_upstream::line("60003")}).to_string();
    chaos.rule("broadband/info", Some("60003"), upstream::json(third));
    let mut rig = Rig::new("bulk", chaos, json!({"bulk_info": true}));
    rig.go_to(0);
    assert_eq!(rig.chaos.requests("broadband/info").len(), 2);
    assert_eq!(rig.series("aaisp_broadband_service_info").len(), 3);
    rig.chaos.without_rules();
    rig.go_to(300);
    assert_eq!(rig.chaos.requests("broadband/info").len(), 3);
}

#[test]
fn when_bulk_info_is_refused_every_line_is_asked_for_by_itself() {
    let chaos = Chaos::start(&["60001", "60002"]);
    let only_single = |request: &upstream::Request, stream: &mut dyn upstream::Stream| {
        let id = aaisp_upstream::form(&request.body).remove("service");
        let reply = match id {
            Some(id) => json!({"info": [aaisp_upstream::line(&id)]}),
            None => json!({"error": "Too many lines"}),
        };
        upstream::answer(stream, 200, &[], reply.to_string().as_bytes());
    };
    chaos.rule("broadband/info", None, std::sync::Arc::new(only_single));
    let mut rig = Rig::new("bulk-refused", chaos, json!({"bulk_info": true}));
    assert_eq!(rig.poll(), Ok(()));
    assert_eq!(rig.series("aaisp_broadband_service_info").len(), 2);
    assert_eq!(rig.chaos.requests("broadband/info").len(), 3);
    assert_eq!(rig.series("aaisp_collector_errors_total"), [""; 0]);
}

// Contract test 25.
#[test]
fn a_tunnel_has_no_rates_even_if_the_reply_has_and_that_is_told_once() {
    let chaos = Chaos::start(&["60001"]);
    chaos.change(|account| {
        let line = account.lines.get_mut("60001").expect("it is there");
        line["package"] = "L2TP only".into();
    });
    let mut rig = Rig::new("tunnel", chaos, json!({}));
    rig.go_to(600);
    assert_eq!(rig.series("aaisp_broadband_line_sync"), [""; 0]);
    assert_eq!(rig.series("aaisp_broadband_service_info").len(), 1);
    assert_eq!(rig.series("aaisp_broadband_quota_").len(), 5);
    assert_eq!(rig.logged("INFO the line is an L2TP tunnel").len(), 1);
}

fn telephony() -> Value {
    json!({"collectors": {"broadband": false, "telephony": true, "telephony_ratecard": true}})
}

// Contract test 26.
#[test]
fn a_500_of_telephony_means_that_there_is_none_and_a_503_is_an_error() {
    let chaos = Chaos::start(&[]);
    chaos.rule("telephony/services", None, upstream::status(500, &[]));
    chaos.rule("telephony/ratecard", None, upstream::status(500, &[]));
    let mut rig = Rig::new("no-telephony", chaos, telephony());
    assert_eq!(rig.poll(), Ok(()));
    rig.go_to(900);
    assert!(rig.last_success("TelephonyInfoCollector").is_some());
    assert!(rig.last_success("TelephonyRateCardCollector").is_some());
    assert_eq!(
        rig.attempts("telephony", "services", "500"),
        Some(4.0),
        "each run asks again"
    );
    assert_eq!(
        rig.logged("WARN").len(),
        2,
        "once each, naming the toggle: {:?}",
        rig.logged("WARN")
    );
    assert_eq!(rig.logged("toggle=collectors.telephony ").len(), 1);
    assert_eq!(rig.logged("toggle=collectors.telephony_ratecard").len(), 1);
    assert_eq!(rig.series("aaisp_collector_errors_total"), [""; 0]);
    let telephony_series = rig.series("aaisp_telephony");
    assert_eq!(telephony_series, [""; 0]);
    rig.chaos
        .rule("telephony/services", None, upstream::status(503, &[]));
    rig.go_to(1_200);
    assert_eq!(
        rig.errors("TelephonyInfoCollector", "CHAOSAPIError"),
        Some(1.0)
    );
    assert!(rig.poll().is_err());
}

// Contract test 27.
#[test]
fn telephony_shows_what_the_upstream_counts_and_does_not_add_it_up() {
    let chaos = Chaos::start(&[]);
    chaos.change(|account| {
        account
            .numbers
            .insert("02000000001".to_owned(), aaisp_upstream::number())
    });
    let mut rig = Rig::new(
        "telephony",
        chaos,
        json!({"collectors": {"broadband": false, "telephony": true}}),
    );
    let expected = [
        ("aaisp_telephony_active_calls{number=\"02000000001\"}", 1.0),
        (
            "aaisp_telephony_call_cost_total{currency=\"GBP\",direction=\"outbound\",number=\"02000000001\"}",
            1.25,
        ),
        (
            "aaisp_telephony_call_duration_seconds_total{direction=\"inbound\",number=\"02000000001\"}",
            3_400.0,
        ),
        (
            "aaisp_telephony_call_duration_seconds_total{direction=\"outbound\",number=\"02000000001\"}",
            905.5,
        ),
        (
            "aaisp_telephony_calls_total{direction=\"inbound\",number=\"02000000001\"}",
            12.0,
        ),
        (
            "aaisp_telephony_calls_total{direction=\"outbound\",number=\"02000000001\"}",
            7.0,
        ),
        (
            "aaisp_telephony_service_info{call_forwarding=\"no\",number=\"02000000001\",service_type=\"voip\",\
             status=\"active\",voicemail=\"yes\"}",
            1.0,
        ),
    ];
    for second in [0, 300] {
        rig.go_to(second);
        let shown = rig
            .page()
            .into_iter()
            .filter(|(name, _)| name.starts_with("aaisp_telephony"));
        let shown: Vec<(String, f64)> = shown.collect();
        let expected: Vec<(String, f64)> = expected
            .iter()
            .map(|(name, value)| ((*name).to_owned(), *value))
            .collect();
        assert_eq!(shown, expected, "after {second} s");
    }
    assert_eq!(rig.chaos.requests("telephony/info").len(), 2);
}

// Contract test 28.
#[test]
fn prices_are_shown_with_the_number_of_their_codes() {
    let chaos = Chaos::start(&[]);
    chaos.rule("telephony/ratecard", None, upstream::status(404, &[]));
    let mut rig = Rig::new(
        "prices",
        chaos,
        json!({"collectors": {"broadband": false, "telephony_ratecard": true}}),
    );
    rig.go_to(0);
    assert_eq!(
        rig.series("aaisp_telephony"),
        [""; 0],
        "no time of the last reading either"
    );
    rig.chaos.without_rules();
    rig.chaos
        .change(|account| account.rate_card = aaisp_upstream::rate_card());
    rig.go_to(900);
    let expected: Vec<(String, f64)> = [
        ("aaisp_telephony_prefixes_total{rate_name=\"Mobile\"}", 1.0),
        ("aaisp_telephony_prefixes_total{rate_name=\"UK\"}", 2.0),
        (
            "aaisp_telephony_rate_min_charge_pence{rate_name=\"Mobile\"}",
            2.0,
        ),
        (
            "aaisp_telephony_rate_min_charge_pence{rate_name=\"UK\"}",
            0.0,
        ),
        (
            "aaisp_telephony_rate_ppm{period=\"offpeak\",rate_name=\"UK\"}",
            1.0,
        ),
        (
            "aaisp_telephony_rate_ppm{period=\"peak\",rate_name=\"Mobile\"}",
            8.2,
        ),
        (
            "aaisp_telephony_rate_ppm{period=\"peak\",rate_name=\"UK\"}",
            1.5,
        ),
        (
            "aaisp_telephony_rate_ppm{period=\"weekend\",rate_name=\"UK\"}",
            1.0,
        ),
        (
            "aaisp_telephony_ratecard_last_updated_timestamp_seconds",
            1_795_162_500.0,
        ),
    ]
    .iter()
    .map(|(name, value)| ((*name).to_owned(), *value))
    .collect();
    let shown = rig
        .page()
        .into_iter()
        .filter(|(name, _)| name.starts_with("aaisp_telephony"));
    assert_eq!(shown.collect::<Vec<_>>(), expected);
}

#[test]
fn without_any_collector_nothing_is_asked() {
    let mut rig = Rig::new(
        "nothing",
        Chaos::start(&["60001"]),
        json!({"collectors": {"broadband": false}}),
    );
    assert_eq!(rig.poll(), Ok(()));
    assert_eq!(rig.source.next(), Next::Interval);
    assert_eq!(rig.chaos.count(), 0);
    assert_eq!(rig.page().len(), 2);
}

#[test]
fn an_upstream_that_repeats_the_password_never_gets_it_into_log_or_failure() {
    for (key, answer) in [
        (
            "echo-html",
            upstream::json(format!("<p>{PASSWORD} and s3cr%26t</p>")),
        ),
        (
            "echo-error",
            aaisp_upstream::error(&format!("No such thing {PASSWORD}")),
        ),
        (
            "echo-redirect",
            upstream::redirect(302, format!("/login/{PASSWORD}")),
        ),
        (
            "echo-host",
            upstream::redirect(307, "http://elsewhere.invalid/s3cr%26t"),
        ),
    ] {
        let chaos = Chaos::start(&["60001"]);
        chaos.rule("broadband/services", None, answer);
        let mut rig = Rig::new(key, chaos, json!({}));
        let failure = rig.poll().expect_err("no good answer");
        assert!(
            rig.errors("BroadbandInfoCollector", "CHAOSAPIError")
                .is_some()
                || key == "echo-html"
        );
        let lines = rig.logged("");
        assert!(
            lines.iter().any(|line| line.contains("not read")),
            "{lines:?}"
        );
        for text in lines.iter().chain([&failure.to_string()]) {
            assert!(
                !text.contains(PASSWORD) && !text.contains("s3cr%26t"),
                "{text}"
            );
        }
    }
}

#[test]
fn a_reply_of_any_depth_is_read_or_refused_and_never_breaks_the_stack() {
    // serde_json refuses more than 128 levels.
    for depth in [60, 120, 127, 100_000] {
        for (begin, end) in [
            (r#"{"id":"#, "}"),
            (r#"{"call_stats":"#, "}"),
            (r#"{"options":[{"option":[{"choice":[{"value":"#, "}]}]}]}"),
            (r#"{"error":["#, "]}"),
            (r#"{"rate_card":{"codes":{"code":"#, "}}}"),
            (r#"{"unknown":["#, "]}"),
        ] {
            let levels = depth / begin.matches(['{', '[']).count();
            let body = format!("{}1{}", begin.repeat(levels), end.repeat(levels));
            let chaos = Chaos::start(&[]);
            let nested = format!("{{\"services\": [\"60001\"], \"info\": [{body}]}}");
            chaos.rule("broadband/services", None, upstream::json(body));
            chaos.rule("broadband/info", None, upstream::json(nested));
            let mut rig = Rig::new("deep", chaos, json!({}));
            let _ = rig.poll();
        }
    }
}

#[test]
fn debug_output_of_the_settings_never_shows_the_password() {
    let rig = Rig::new("debug", Chaos::start(&[]), json!({}));
    assert!(
        rig.settings_in_words.contains("Secret(literal)"),
        "{}",
        rig.settings_in_words
    );
    assert!(
        !rig.settings_in_words.contains(PASSWORD),
        "{}",
        rig.settings_in_words
    );
}
