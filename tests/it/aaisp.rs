//! AAISP: the binary against the simulated CHAOS API. What takes longer than a first cycle is in the source's own tests,
//! where the clock is turned by hand.

use std::ffi::OsString;
use std::time::Duration;

use saas_exporter::config::{self, Config, Listen};
use serde_json::{Value, json};

use crate::aaisp_upstream::{self, Chaos, LOGIN, PASSWORD, form};
use crate::exporter::{Exporter, Page, Setup};
use crate::page::assert_golden;
use crate::upstream::{self, wait_until};

const CONTROL_PAIR: [&str; 2] = [
    "AAISP_EXPORTER_AUTH__CONTROL_LOGIN",
    "AAISP_EXPORTER_AUTH__CONTROL_PASSWORD",
];
const ACCOUNT_PAIR: [&str; 2] = [
    "AAISP_EXPORTER_AUTH__ACCOUNT_NUMBER",
    "AAISP_EXPORTER_AUTH__ACCOUNT_PASSWORD",
];

/// One service with these fields beside type, login, password and address.
fn services(chaos: &Chaos, fields: Value) -> Value {
    let mut service = json!({
        "type": "aaisp", "control_login": LOGIN, "control_password": PASSWORD, "base_url": chaos.url()
    });
    for (name, value) in fields.as_object().unwrap() {
        service[name] = value.clone();
    }
    json!({"a": service})
}

/// No services.json: the environment alone describes the service.
fn only_environment(name: &str, chaos: &Chaos) -> Setup {
    let setup = Setup::new(name, json!({})).without("SERVICES_JSON_PATH");
    std::fs::remove_file(setup.folder.path("services.json")).unwrap();
    setup.with("AAISP_EXPORTER_API__BASE_URL", chaos.url())
}

fn with_control_pair(setup: Setup) -> Setup {
    setup
        .with(CONTROL_PAIR[0], LOGIN)
        .with(CONTROL_PAIR[1], PASSWORD)
}

/// The page after the first cycle of a service with broadband lines.
fn first_cycle(exporter: &Exporter) -> Page {
    let done = "aaisp_collector_last_successful_collection_timestamp{collector_name=\"BroadbandQuotaCollector\"}";
    let page = exporter.wait_for("the first cycle", |page| page.value(done).is_some());
    page.assert_well_formed();
    page
}

fn after_first_cycle(name: &str, chaos: &Chaos, fields: Value) -> Page {
    first_cycle(&Setup::new(name, services(chaos, fields)).start())
}

fn quota(family: &str, id: &str) -> String {
    format!("aaisp_broadband_quota_{family}{{login=\"{LOGIN}\",service=\"{id}\"}}")
}

fn rate(family: &str, id: &str, login: &str) -> String {
    format!("aaisp_broadband_line_sync_{family}_bps{{login=\"{login}\",service=\"{id}\"}}")
}

/// The configuration that these variables give.
fn loaded(variables: &[(&str, &str)]) -> Config {
    let variables = variables
        .iter()
        .map(|(name, value)| (OsString::from(name), OsString::from(value)));
    match Config::load([], variables) {
        Ok(config::Request::Run(config)) => *config,
        other => panic!("{other:?}"),
    }
}

// Contract test 1.
#[test]
fn without_a_complete_pair_of_credentials_it_ends_with_2_and_names_both_pairs() {
    let chaos = Chaos::start(&["60001"]);
    let bare = || only_environment("no-pair", &chaos);
    let incomplete = [
        bare(),
        bare().with(CONTROL_PAIR[0], LOGIN),
        bare()
            .with(CONTROL_PAIR[0], LOGIN)
            .with(CONTROL_PAIR[1], ""),
        bare().with(ACCOUNT_PAIR[1], PASSWORD),
        bare()
            .with(CONTROL_PAIR[0], LOGIN)
            .with(ACCOUNT_PAIR[1], PASSWORD),
        Setup::new(
            "empty-fields",
            json!({"a": {"type": "aaisp", "control_login": LOGIN, "control_password": ""}}),
        ),
    ];
    for setup in incomplete {
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(2), "{}", finished.stderr);
        for name in CONTROL_PAIR.iter().chain(&ACCOUNT_PAIR) {
            assert!(
                finished.stderr.contains(name),
                "{name}: {}",
                finished.stderr
            );
        }
        assert!(!finished.stderr.contains(PASSWORD), "{}", finished.stderr);
    }
    let exporter = bare()
        .with(ACCOUNT_PAIR[0], "A1234A")
        .with(ACCOUNT_PAIR[1], PASSWORD)
        .start();
    first_cycle(&exporter);
}

/// Names of the attributes of the first request.
fn attributes(setup: Setup, chaos: &Chaos) -> Vec<String> {
    let before = chaos.requests("broadband/services").len();
    let _exporter = setup.start();
    let requests = chaos
        .upstream
        .wait_for_requests("/broadband/services/json", before + 1);
    form(&requests[before].body).into_keys().collect()
}

// Contract test 2.
#[test]
fn the_control_pair_goes_alone_and_the_account_pair_takes_the_login_with_it() {
    let chaos = Chaos::start(&["60001"]);
    let account = |setup: Setup| {
        setup
            .with(ACCOUNT_PAIR[0], "A1234A")
            .with(ACCOUNT_PAIR[1], PASSWORD)
    };
    let both = account(with_control_pair(only_environment("both-pairs", &chaos)));
    assert_eq!(
        attributes(both, &chaos),
        ["control_login", "control_password"]
    );
    let account_and_login =
        account(only_environment("account-login", &chaos)).with(CONTROL_PAIR[0], LOGIN);
    assert_eq!(
        attributes(account_and_login, &chaos),
        ["account_number", "account_password", "control_login"]
    );
    let alone = account(only_environment("account-alone", &chaos));
    assert_eq!(
        attributes(alone, &chaos),
        ["account_number", "account_password"]
    );
}

// Contract test 3.
#[test]
fn a_password_of_any_characters_arrives_whole_and_is_in_no_log_and_on_no_page() {
    let password = "a&b=c%d é";
    let chaos = Chaos::start(&["60001"]);
    chaos.change(|account| account.logins[0][3] = password.to_owned());
    let fields = json!({"control_password": password});
    let setup = Setup::new("password", services(&chaos, fields)).with("LOG_LEVEL", "trace");
    let exporter = setup.start();
    let metrics = first_cycle(&exporter).0;
    let request = &chaos.requests("broadband/services")[0];
    assert_eq!(form(&request.body)["control_password"], password);
    assert_eq!(request.method, "POST");
    assert_eq!(
        request.header("content-type"),
        Some("application/x-www-form-urlencoded")
    );
    assert!(
        request
            .header("user-agent")
            .unwrap()
            .starts_with("saas-exporter/")
    );
    let everything = [
        exporter.log(),
        metrics,
        exporter.get("/").text(),
        exporter.get("/health").text(),
    ];
    for text in everything {
        for spelling in [password, "a%26b%3Dc%25d", "c%d"] {
            assert!(!text.contains(spelling), "{spelling}: {text}");
        }
    }
    assert!(
        exporter.log().contains("run ended"),
        "debug lines are there"
    );
}

// Contract test 4.
#[test]
fn every_bad_setting_is_named_with_its_value_and_range() {
    let chaos = Chaos::start(&["60001"]);
    let finished = with_control_pair(only_environment("bad-settings", &chaos))
        .with("AAISP_EXPORTER_INTERVALS__FAST", "9")
        .with("AAISP_EXPORTER_SERVER__PORT", "0")
        .with("AAISP_EXPORTER_API__MAX_RETRIES", "11")
        .with("aaisp_exporter_api__timeout", "60s")
        .with("AAISP_EXPORTER_LOGGING__LEVEL", "loud")
        .with("AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY", "maybe")
        .run();
    assert_eq!(finished.status.code(), Some(2));
    let expected = [
        "AAISP_EXPORTER_INTERVALS__FAST: \"9\" is no whole number from 10 to 3600",
        "AAISP_EXPORTER_SERVER__PORT: \"0\" is no whole number from 1 to 65535",
        "AAISP_EXPORTER_API__MAX_RETRIES: \"11\" is no whole number from 0 to 10",
        "aaisp_exporter_api__timeout: \"60s\" is no whole number from 1 to 300",
        "AAISP_EXPORTER_LOGGING__LEVEL: \"loud\" is none of DEBUG, INFO, WARNING, ERROR, CRITICAL",
        "AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY: \"maybe\" is neither true nor false",
    ];
    for line in expected {
        assert!(
            finished.stderr.contains(line),
            "{line}: {}",
            finished.stderr
        );
    }
    assert_eq!(
        finished.stderr.lines().count(),
        expected.len(),
        "{}",
        finished.stderr
    );
}

#[test]
fn bad_fields_of_services_json_are_named_too() {
    let service = json!({
        "type": "aaisp", "control_login": LOGIN, "control_password": PASSWORD, "control_password_file": "/nowhere/x",
        "intervals": {"fast": 9, "fats": 1}, "timeout": 0.5, "interval": "60s", "base_url": "chaos2.aa.net.uk",
        "login_label": "lines", "stale_after_intervals": -1, "bulk_info": "yes", "collectors": {"broadband": 1},
    });
    let finished = Setup::new("bad-fields", json!({"a": service})).run();
    assert_eq!(finished.status.code(), Some(2));
    for text in [
        "\"control_password\": is given, and \"control_password_file\" too",
        "\"intervals.fast\": 9 is no whole number from 10 to 3600",
        "\"intervals.fats\": is unknown",
        "\"timeout\": 0.5 is no whole number from 1 to 300",
        "\"interval\": is not for this type; use \"intervals\"",
        "\"base_url\": \"chaos2.aa.net.uk\" has no scheme",
        "\"login_label\": \"lines\" is none of original, line (did you mean \"line\"?)",
        "\"stale_after_intervals\": -1 is no whole number",
        "\"bulk_info\": \"yes\" is neither true nor false",
        "\"collectors.broadband\": 1 is neither true nor false",
    ] {
        assert!(
            finished.stderr.contains(text),
            "{text}: {}",
            finished.stderr
        );
    }
    assert!(!finished.stderr.contains(PASSWORD), "{}", finished.stderr);
}

// Contract test 5.
#[test]
fn variables_without_prefix_and_a_file_of_variables_do_nothing_and_an_unknown_member_is_an_error() {
    let chaos = Chaos::start(&["60001"]);
    let setup = || with_control_pair(only_environment("unprefixed", &chaos));
    let plain = setup()
        .with("PORT", "1234")
        .with("TIMEOUT", "nonsense")
        .with("BASE_URL", "http://127.0.0.1:9/")
        .with("AAISP_EXPORTER_OTHER__THING", "1");
    plain.folder.write(
        ".env",
        "AAISP_EXPORTER_INTERVALS__FAST=1\nAAISP_EXPORTER_API__BASE_URL=x\n",
    );
    let exporter = plain.start();
    first_cycle(&exporter);
    let log = exporter.log();
    assert!(!log.contains(":1234"), "{log}");
    assert!(
        log.contains("AAISP_EXPORTER_OTHER__THING is of an unknown group and is ignored"),
        "{log}"
    );
    let finished = setup().with("AAISP_EXPORTER_API__TIMEOUTS", "5").run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(
        finished
            .stderr
            .contains("AAISP_EXPORTER_API__TIMEOUTS: is unknown"),
        "{}",
        finished.stderr
    );
}

// Contract test 6.
#[test]
fn a_slash_at_the_end_of_the_address_is_not_doubled() {
    let chaos = Chaos::start(&["60001"]);
    let fields = json!({"base_url": chaos.upstream.url("/")});
    after_first_cycle("slash", &chaos, fields);
    assert_eq!(chaos.requests("broadband/services").len(), 1);
    assert_eq!(
        chaos.upstream.requests("//broadband/services/json").len(),
        0
    );
}

// Contract test 7, what follows from it.
#[test]
fn listings_of_every_form_are_understood_and_none_means_no_request_for_details() {
    for (name, listing, count) in [
        ("list-string", json!({"services": "60001"}), 1),
        ("list-numbers", json!({"services": [60001, 60002]}), 2),
        ("list-service", json!({"service": ["60001", "60002"]}), 2),
        ("list-empty", json!({"services": []}), 0),
        ("list-absent", json!({}), 0),
    ] {
        let chaos = Chaos::start(&["60001", "60002"]);
        chaos.change(|account| {
            account.services = listing;
            account.options = Value::Null;
        });
        let page = after_first_cycle(name, &chaos, json!({}));
        assert_eq!(
            page.lines("aaisp_broadband_service_info").len(),
            count,
            "{name}"
        );
        assert_eq!(chaos.requests("broadband/info").len(), count, "{name}");
        assert_eq!(chaos.requests("broadband/quota").len(), count, "{name}");
    }
}

// Contract test 8.
#[test]
fn a_line_that_only_the_options_name_is_found() {
    for (name, is_single) in [("options-lists", false), ("options-objects", true)] {
        let chaos = Chaos::start(&["60001", "60002"]);
        chaos.change(|account| {
            account.services = json!({"services": ["60001"]});
            if is_single {
                let choice = json!({"value": "60002", "title": "demo@a.2"});
                account.options = json!({"option": {"name": "service", "choice": choice}});
            }
        });
        let page = after_first_cycle(name, &chaos, json!({}));
        assert!(
            page.value(&rate("upload", "60002", "demo@a.2")).is_some(),
            "{name}"
        );
        assert_eq!(
            page.lines("aaisp_broadband_service_info").len(),
            2,
            "not the empty choice"
        );
        assert_eq!(chaos.requests("broadband/info").len(), 2);
    }
}

// Contract test 9.
#[test]
fn details_may_be_an_object_and_an_empty_list_gives_no_series() {
    let chaos = Chaos::start(&["60001", "60002"]);
    chaos.change(|account| {
        account.is_single = true;
        account.lines.remove("60002");
        account.quotas.remove("60002");
    });
    let page = after_first_cycle("objects", &chaos, json!({}));
    assert_eq!(page.value(&quota("total_bytes", "60001")), Some(1e12));
    assert_eq!(
        page.value(&rate("download", "60001", "demo@a.1")),
        Some(74_425_000.0)
    );
    assert!(!page.0.contains("60002"), "{}", page.0);
    assert_eq!(page.lines("aaisp_collector_errors_total"), [""; 0]);
}

// Contract tests 11 and 13.
#[test]
fn quotas_roll_over_are_exceeded_and_are_sometimes_only_partly_there() {
    let chaos = Chaos::start(&["60001", "60002", "60003"]);
    chaos.change(|account| {
        let quotas = &mut account.quotas;
        quotas.insert(
            "60001".to_owned(),
            json!({"quota_monthly": "100", "quota_remaining": "150"}),
        );
        quotas.insert(
            "60002".to_owned(),
            json!({"quota_monthly": 100, "quota_remaining": -50}),
        );
        quotas.insert(
            "60003".to_owned(),
            json!({"quota_monthly": "200", "used": "50"}),
        );
    });
    let page = after_first_cycle("quotas", &chaos, json!({}));
    let values = |id| {
        ["used_bytes", "percentage", "remaining_bytes"].map(|family| page.value(&quota(family, id)))
    };
    assert_eq!(values("60001"), [Some(0.0), Some(0.0), Some(150.0)]);
    assert_eq!(values("60002"), [Some(150.0), Some(150.0), Some(-50.0)]);
    assert_eq!(values("60003"), [Some(50.0), Some(25.0), None]);
}

// Contract test 14, in a process of another zone.
#[test]
fn times_of_quotas_are_british_whatever_the_zone_of_the_process() {
    let times = [
        ("60001", json!("2025-11-20 18:00:00"), Some(1_763_661_600.0)),
        ("60002", json!("2024-07-31 10:00:00"), Some(1_722_416_400.0)),
        ("60003", json!("2025-10-26 01:30:00"), Some(1_761_438_600.0)),
        ("60004", json!("2025-03-30 01:30:00"), Some(1_743_298_200.0)),
        ("60005", json!(1_763_661_600), Some(1_763_661_600.0)),
        ("60006", json!("half past three"), None),
    ];
    let chaos = Chaos::start(&times.clone().map(|(id, ..)| id));
    chaos.change(|account| {
        for (id, text, _) in &times {
            account.quotas.get_mut(*id).unwrap()["quota_timestamp"] = text.clone();
        }
    });
    let setup = Setup::new("times", services(&chaos, json!({}))).with("TZ", "America/New_York");
    let page = first_cycle(&setup.start());
    for (id, text, expected) in times {
        assert_eq!(
            page.value(&quota("timestamp_seconds", id)),
            expected,
            "{text}"
        );
    }
}

// Contract tests 15 and 16.
#[test]
fn a_missing_rate_costs_no_other_and_download_is_what_the_provider_transmits() {
    let chaos = Chaos::start(&["60001", "60002"]);
    chaos.change(|account| {
        let first = account.lines.get_mut("60001").unwrap();
        first.as_object_mut().unwrap().remove("tx_rate");
        account.lines.get_mut("60002").unwrap()["tx_rate"] = "0".into();
    });
    let page = after_first_cycle("rates", &chaos, json!({}));
    assert_eq!(page.value(&rate("download", "60001", "demo@a.1")), None);
    assert_eq!(
        page.value(&rate("upload", "60001", "demo@a.1")),
        Some(19_978_000.0)
    );
    assert_eq!(page.lines("aaisp_broadband_service_info").len(), 2);
    assert_eq!(
        page.value(&rate("download", "60002", "demo@a.2")),
        Some(0.0)
    );
}

// Contract test 17.
#[test]
fn quotas_bear_the_control_login_or_with_a_setting_that_of_the_line() {
    let chaos = Chaos::start(&["60001"]);
    let page = after_first_cycle("label-original", &chaos, json!({}));
    assert!(page.value(&quota("total_bytes", "60001")).is_some());
    assert!(page.value(&rate("upload", "60001", "demo@a.1")).is_some());
    let page = after_first_cycle("label-line", &chaos, json!({"login_label": "line"}));
    let of_line = "aaisp_broadband_quota_total_bytes{login=\"demo@a.1\",service=\"60001\"}";
    assert_eq!(page.value(of_line), Some(1e12));
    assert_eq!(page.lines("aaisp_broadband_quota_total_bytes").len(), 1);
    assert!(page.value(&rate("upload", "60001", "demo@a.1")).is_some());
}

// Contract test 24.
#[test]
fn the_first_cycle_of_a_line_is_three_requests_and_no_more_are_under_way_than_allowed() {
    let chaos = Chaos::start(&["60001"]);
    after_first_cycle("three-requests", &chaos, json!({}));
    assert_eq!(chaos.count(), 3);
    let ids = ["60001", "60002", "60003", "60004", "60005"];
    let chaos = Chaos::start(&ids);
    for id in ids {
        let answer = json!({"quota": [aaisp_upstream::quota(id)]}).to_string();
        let late = aaisp_upstream::late(Duration::from_millis(50), upstream::json(answer));
        chaos.rule("broadband/quota", Some(id), late);
    }
    after_first_cycle("limit", &chaos, json!({"concurrency_limit": 2}));
    assert_eq!(
        chaos.count(),
        11,
        "services, five times info, five times quota"
    );
    assert_eq!(chaos.most_in_flight(), 2);
}

// Contract test 29.
#[test]
fn collectors_that_are_switched_off_ask_nothing_and_show_nothing() {
    let chaos = Chaos::start(&["60001"]);
    chaos.change(|account| {
        account
            .numbers
            .insert("02000000001".to_owned(), aaisp_upstream::number());
        account.rate_card = aaisp_upstream::rate_card();
    });
    let exporter = with_control_pair(only_environment("switches", &chaos))
        .with("AAISP_EXPORTER_COLLECTORS__ENABLE_BROADBAND", "off")
        .with("AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY", "Y")
        .with("AAISP_EXPORTER_COLLECTORS__ENABLE_CONTROL_LOGIN", "t")
        .start();
    let calls = "aaisp_telephony_calls_total{direction=\"inbound\",number=\"02000000001\"}";
    let page = exporter.wait_for_value(calls, 12.0);
    let hidden = [
        "aaisp_broadband",
        "BroadbandQuota",
        "BroadbandInfo",
        "RateCard",
        "aaisp_telephony_rate",
        "prefixes",
    ];
    for text in hidden {
        assert!(!page.0.contains(text), "{text}: {}", page.0);
    }
    assert_eq!(chaos.count(), 2, "telephony's services and info");
    exporter.wait_for_log("the collector control_login does nothing");
}

// Contract test 31.
#[test]
fn labels_are_escaped_and_health_has_the_form_of_the_original() {
    let chaos = Chaos::start(&["60001"]);
    chaos.change(|account| {
        account.lines.get_mut("60001").unwrap()["postcode"] = "a\"b\\c\nd".into();
    });
    let setup = Setup::new(
        "escaped",
        services(&chaos, json!({"intervals": {"fast": 30}})),
    );
    let exporter = setup.start();
    let page = first_cycle(&exporter);
    let info =
        r#"aaisp_broadband_service_info{login="demo@a.1",postcode="a\"b\\c\nd",service="60001"}"#;
    assert_eq!(page.value(info), Some(1.0));
    let health = exporter.get("/health");
    assert_eq!(
        (health.status, health.headers["content-type"].as_str()),
        (200, "application/json")
    );
    let health: Value = serde_json::from_str(&health.text()).unwrap();
    let expected = json!({
        "status": "healthy", "version": saas_exporter::VERSION,
        "collectors": {
            "running": true,
            "collectors": {
                "fast": ["BroadbandQuotaCollector"],
                "medium": ["BroadbandInfoCollector", "TelephonyInfoCollector"],
                "slow": ["TelephonyRateCardCollector"]
            },
            "intervals": {"fast": 30, "medium": 300, "slow": 900}
        }
    });
    assert_eq!(health, expected);
    assert_eq!(exporter.get("/docs").status, 404);
    let landing = exporter.get("/").text();
    for text in [
        "fast 30 s: broadband quota",
        "medium 300 s: broadband info",
        "slow 900 s: nothing",
        &chaos.url(),
    ] {
        assert!(landing.contains(text), "{text}: {landing}");
    }
}

// Contract test 32.
#[test]
fn the_port_answers_while_the_first_request_hangs() {
    let chaos = Chaos::start(&["60001"]);
    chaos.rule("broadband/services", None, upstream::hang());
    let exporter = Setup::new("hangs", services(&chaos, json!({}))).start();
    chaos
        .upstream
        .wait_for_requests("/broadband/services/json", 1);
    let page = exporter.page();
    let own = page.0.lines().filter(|line| line.starts_with("aaisp_"));
    let version = saas_exporter::VERSION;
    let expected = [
        format!("aaisp_exporter_build_info{{version=\"{version}\"}} 1"),
        "aaisp_exporter_up 1".to_owned(),
    ];
    assert_eq!(own.collect::<Vec<_>>(), expected);
    assert_eq!(exporter.get("/health").status, 200);
}

// The contract's worked example, and test 30: the spelling of the bounds, and that buckets are cumulative.
#[test]
fn the_whole_page_is_that_of_the_worked_example() {
    let chaos = Chaos::start(&["60001"]);
    // Every request of the example takes less than 5 ms; a busy machine may need more than one try for that.
    let page = wait_until("a cycle of fast requests", || {
        let setup = with_control_pair(only_environment("example", &chaos)).with("TZ", "Asia/Tokyo");
        let page = first_cycle(&setup.start());
        let mut buckets = page.0.lines().filter(|line| line.contains("le=\"0.005\""));
        buckets.all(|line| line.ends_with(" 1")).then_some(page)
    });
    let mut masked = String::new();
    for line in page.0.lines().filter(|line| line.contains("aaisp_")) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let mask = match series {
            _ if series.starts_with('#') => None,
            _ if series.contains("_sum{") => Some("<dur>"),
            _ if series.contains("collection_timestamp{") => Some("<unix>"),
            _ => None,
        };
        if mask.is_some() {
            assert!(value.parse::<f64>().unwrap() > 0.0, "{line}");
        }
        masked.push_str(&format!("{series} {}\n", mask.unwrap_or(value)));
    }
    assert!(!page.0.contains("_created"));
    let version = format!("version=\"{}\"", saas_exporter::VERSION);
    assert_golden("aaisp.prom", &masked.replace(&version, "version=\"…\""));
}

#[test]
fn services_json_wins_over_the_environment_and_variables_count_in_any_case() {
    let chaos = Chaos::start(&["60001"]);
    let setup = Setup::new(
        "precedence",
        services(&chaos, json!({"collectors": {"telephony": false}})),
    )
    .with("AAISP_EXPORTER_API__BASE_URL", "http://127.0.0.1:9")
    .with("AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY", "true")
    .with("aaisp_exporter_auth__CONTROL_password", "wrong")
    .with("aaisp_exporter_intervals__fast", "10");
    let exporter = setup.start();
    first_cycle(&exporter);
    assert_eq!(chaos.requests("telephony/services").len(), 0);
    let health: Value = serde_json::from_str(&exporter.get("/health").text()).unwrap();
    assert_eq!(health["collectors"]["intervals"]["fast"], 10);
    chaos.upstream.wait_for_requests("/broadband/quota/json", 2);
    let times: Vec<_> = chaos
        .requests("broadband/quota")
        .iter()
        .map(|request| request.at)
        .collect();
    let apart = times[1] - times[0];
    assert!(
        apart > Duration::from_secs(9) && apart < Duration::from_secs(12),
        "{apart:?}"
    );
}

#[test]
fn two_logins_need_labels_of_their_own_and_take_nothing_from_the_environment() {
    let chaos = Chaos::start(&["60001"]);
    let service = services(&chaos, json!({}))["a"].clone();
    let finished = Setup::new("collide", json!({"a": service, "b": service})).run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(
        finished.stderr.contains("field \"labels\""),
        "{}",
        finished.stderr
    );

    let labelled = |name: &str| {
        let mut service = service.clone();
        service["labels"] = json!({"site": name});
        service
    };
    let setup = Setup::new("labelled", json!({"a": labelled("x"), "b": labelled("y")}))
        .with("AAISP_EXPORTER_INTERVALS__FAST", "not a number");
    let exporter = setup.start();
    for site in ["x", "y"] {
        let series = format!(
            "aaisp_broadband_quota_total_bytes{{login=\"demo@a\",service=\"60001\",site=\"{site}\"}}"
        );
        exporter.wait_for_value(&series, 1e12).assert_well_formed();
    }
    assert!(exporter.get("/health").text().contains("healthy"));
    assert!(!exporter.get("/health").text().contains("collectors"));
}

#[test]
fn a_sole_service_of_the_environment_listens_where_the_original_did() {
    let pair = [(CONTROL_PAIR[0], LOGIN), (CONTROL_PAIR[1], PASSWORD)];
    let listen = |others: &[(&str, &str)]| {
        let all: Vec<_> = pair.iter().chain(others).copied().collect();
        loaded(&all).listen
    };
    assert_eq!(listen(&[]), [Listen::Everywhere(9099)]);
    let port = ("AAISP_EXPORTER_SERVER__PORT", "8000");
    assert_eq!(listen(&[port]), [Listen::Everywhere(8000)]);
    let host = ("AAISP_EXPORTER_SERVER__HOST", "127.0.0.1");
    assert_eq!(
        listen(&[port, host]),
        [Listen::At("127.0.0.1:8000".parse().unwrap())]
    );
    assert_eq!(
        listen(&[port, ("METRICS_PORT", "7000")]),
        [Listen::Everywhere(7000)]
    );
}

#[test]
fn what_the_original_was_told_to_log_is_logged_unless_our_own_settings_say_otherwise() {
    let pair = [(CONTROL_PAIR[0], LOGIN), (CONTROL_PAIR[1], PASSWORD)];
    let log = |others: &[(&str, &str)]| {
        let all: Vec<_> = pair.iter().chain(others).copied().collect();
        let log = loaded(&all).log;
        (log.level, log.json)
    };
    let level = ("AAISP_EXPORTER_LOGGING__LEVEL", "warning");
    let json = ("AAISP_EXPORTER_LOGGING__JSON_FORMAT", "on");
    assert_eq!(log(&[]), (log::LevelFilter::Info, false));
    assert_eq!(log(&[level, json]), (log::LevelFilter::Warn, true));
    let own = [("LOG_LEVEL", "error"), ("LOG_FORMAT", "text")];
    assert_eq!(
        log(&[level, json, own[0], own[1]]),
        (log::LevelFilter::Error, false)
    );
}

#[test]
fn beside_other_services_the_port_is_ignored_with_a_warning() {
    let chaos = Chaos::start(&["60001"]);
    let mut all = services(&chaos, json!({}));
    all["page"] = json!({"name": "Page", "url": chaos.upstream.url("/page")});
    let exporter = Setup::new("port-warning", all)
        .with("AAISP_EXPORTER_SERVER__PORT", "1")
        .start();
    let log = exporter.wait_for_log("the listen address of aaisp");
    assert_eq!(
        log.matches("the listen address of aaisp").count(),
        1,
        "{log}"
    );
}

#[test]
fn nothing_is_kept_across_a_restart() {
    let chaos = Chaos::start(&["60001"]);
    let setup = Setup::new("restart", services(&chaos, json!({})));
    let exporter = setup.start();
    first_cycle(&exporter);
    exporter.kill();
    assert_eq!(setup.folder.names("cache"), [""; 0]);
    chaos.rule("broadband/services", None, upstream::hang());
    let exporter = setup.start();
    assert!(!exporter.page().0.contains("aaisp_broadband"));
}
