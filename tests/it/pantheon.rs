//! Pantheon: discovery, sessions, traffic and its history, failures, restarts; the numbers are those of the contract.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::exporter::{Exporter, Page, Setup};
use crate::page::assert_golden;
use crate::pantheon_upstream::{Pantheon, SITE, day, id, site, sites};
use crate::upstream::{self, wait_until};

const MIDNIGHT: i64 = 1_762_819_200;
const DAY: i64 = 86_400;

/// The service under the key `p`, with these fields beside the tokens of the first `accounts` accounts.
fn services(pantheon: &Pantheon, accounts: usize, fields: &Value) -> Value {
    let tokens: Vec<String> = (1..=accounts).map(Pantheon::token).collect();
    let mut service = json!({
        "type": "pantheon", "api_base": pantheon.upstream.url(""), "machine_tokens": tokens, "interval": "1h",
    });
    let fields = fields.as_object().unwrap().clone();
    service.as_object_mut().unwrap().extend(fields);
    json!({ "p": service })
}

fn setup(name: &str, pantheon: &Pantheon, fields: &Value) -> Setup {
    Setup::new(name, services(pantheon, 1, fields))
}

fn ready(exporter: &Exporter) -> Page {
    exporter.wait_for("the first poll", |page| {
        page.value("saas_exporter_polls_total{service=\"p\"}") >= Some(1.0)
    })
}

/// The labels of a site of account 1 in the readme form.
fn labels(name: &str) -> String {
    labels_of("ops1@example.com", name, "Basic")
}

fn labels_of(account: &str, name: &str, plan: &str) -> String {
    format!("{{account=\"{account}\",label=\"{name}\",name=\"{name}\",plan=\"{plan}\"}}")
}

/// The names of the sites that are shown, with their accounts.
fn shown_sites(page: &Page) -> BTreeSet<String> {
    let lines = page.lines("pantheon_visits");
    let series = lines.iter().map(|line| line.rsplit_once("} ").unwrap().0);
    series.map(str::to_owned).collect()
}

/// Value and time of every sample of a series.
fn samples(page: &Page, series: &str) -> Vec<(f64, i64)> {
    let lines = page.0.lines().filter_map(|line| line.strip_prefix(series));
    let samples = lines.map(|rest| rest.trim().split_once(' ').unwrap());
    samples
        .map(|(value, ms)| (value.parse().unwrap(), ms.parse().unwrap()))
        .collect()
}

fn requests(page: &Page, endpoint: &str, outcome: &str) -> Option<f64> {
    page.value(&format!(
        "pantheon_exporter_api_requests_total{{endpoint=\"{endpoint}\",outcome=\"{outcome}\"}}"
    ))
}

fn up(account: &str) -> String {
    format!("pantheon_exporter_account_up{{account=\"{account}\"}}")
}

// The worked example.
#[test]
fn the_whole_page_of_the_worked_example_is_as_documented() {
    let pantheon = Pantheon::with_sites(vec![site(SITE, "demo-shop", Some("Performance Small"))]);
    pantheon.change(0, |account| {
        account.email = Some("ops@example.com".to_owned())
    });
    let exporter = setup("pantheon-golden", &pantheon, &json!({})).start();
    let page = ready(&exporter);
    let mut masked = String::new();
    for line in page.0.lines().filter(|line| line.contains("pantheon_")) {
        let (text, last) = line.rsplit_once(' ').unwrap();
        let now = now_ms();
        let is_present = |ms: i64| (now - 60_000..=now).contains(&ms);
        let last = match last.parse::<i64>() {
            Ok(ms) if is_present(ms) => "<scrape>",
            Ok(seconds) if is_present(seconds * 1000) => "<unix>",
            _ => last,
        };
        masked.push_str(&format!("{text} {last}\n"));
    }
    assert_golden("pantheon.prom", &masked);
    // One login, one who-am-i, one page each of sites and organisations, one request for traffic.
    assert_eq!(pantheon.targets().len(), 5);
    let open = exporter.request(
        "GET",
        "/metrics",
        &[("Accept", "application/openmetrics-text; version=1.0.0")],
    );
    let old = "pantheon_visits{account=\"ops@example.com\",label=\"demo-shop\",name=\"demo-shop\",plan=\"Performance Small\"} 837 1762732800.000\n";
    assert!(open.text().contains(old), "{}", open.text());
}

fn now_ms() -> i64 {
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

// Contract test 1.
#[test]
fn tokens_of_the_variable_stand_between_any_white_space_and_a_blank_one_is_a_startup_error() {
    let pantheon = Pantheon::start();
    (1..=3).for_each(|number| pantheon.add_account(number, Vec::new()));
    let mut without = services(&pantheon, 0, &json!({}));
    without["p"]
        .as_object_mut()
        .unwrap()
        .remove("machine_tokens");
    let [a, b, c] = [1, 2, 3].map(Pantheon::token);
    let exporter = Setup::new("pantheon-tokens", without.clone())
        .with("PANTHEON_MACHINE_TOKENS", format!("{a}  {b}\t{c}\n{a}"))
        .start();
    let page = ready(&exporter);
    assert_eq!(page.lines("pantheon_exporter_account_up").len(), 3);
    assert_eq!(requests(&page, "login", "ok"), Some(3.0));

    for blank in ["  ", "\n\t"] {
        let finished = Setup::new("pantheon-blank", without.clone())
            .with("PANTHEON_MACHINE_TOKENS", blank)
            .run();
        assert_eq!(finished.status.code(), Some(2));
        assert!(
            finished.stderr.contains("PANTHEON_MACHINE_TOKENS"),
            "{}",
            finished.stderr
        );
    }
}

#[test]
fn the_environment_alone_describes_a_service() {
    let setup = Setup::new("pantheon-alone", json!({}))
        .without("SERVICES_JSON_PATH")
        .with("PANTHEON_MACHINE_TOKENS", "some-machine-token")
        .with("PANTHEON_ENV", "dev")
        .with("REFRESH_INTERVAL", "30")
        .argument("--config.check");
    std::fs::remove_file(setup.folder.path("services.json")).unwrap();
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert!(
        finished.stdout.contains("environment dev of 1 accounts")
            && finished.stdout.contains("every 30m,"),
        "{}",
        finished.stdout
    );
    assert!(!finished.stdout.contains("some-machine-token"));
}

#[test]
fn every_mistake_in_the_configuration_is_reported_at_once_and_without_a_token() {
    let check = |fields: Value, variables: &[(&str, &str)], expected: &[&str]| {
        let mut service = json!({"type": "pantheon", "machine_tokens": ["secret-machine-token"]});
        let fields = fields.as_object().unwrap().clone();
        service.as_object_mut().unwrap().extend(fields);
        let mut setup = Setup::new("pantheon-mistakes", json!({ "p": service }));
        for (name, value) in variables {
            setup = setup.with(name, *value);
        }
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(2), "{finished:?}");
        for text in expected {
            assert!(finished.stderr.contains(text), "{}", finished.stderr);
        }
        assert!(!finished.stderr.contains("secret"), "{}", finished.stderr);
    };
    check(
        json!({"environment": "Live!", "refresh_interval_minutes": 0, "site_limit": -1, "history": "some",
               "metric_names": "v2", "latest_timestamp": "then", "zero_guard_minutes": -1, "api_base": "pantheon.io"}),
        &[],
        &[
            "environment",
            "refresh_interval_minutes",
            "site_limit",
            "history",
            "metric_names",
            "latest_timestamp",
            "zero_guard_minutes",
            "api_base",
        ],
    );
    check(
        json!({}),
        &[
            ("REFRESH_INTERVAL", "-5"),
            ("SITE_LIMIT", "many"),
            ("PANTHEON_ENV", "longer-than-eleven"),
        ],
        &["REFRESH_INTERVAL", "SITE_LIMIT", "PANTHEON_ENV"],
    );
    check(
        json!({"machine_tokens_file": "/nowhere/tokens"}),
        &[],
        &["machine_tokens_file", "keep one"],
    );
    check(json!({"machine_tokens": [" "]}), &[], &["machine_tokens"]);
}

#[test]
fn variables_of_general_names_are_ignored_beside_other_services_with_a_warning() {
    let pantheon = Pantheon::with_sites(sites(0..3));
    pantheon.upstream.set("/status", upstream::json("{}"));
    let mut services = services(&pantheon, 1, &json!({}));
    services["other"] = json!({"name": "Other", "url": pantheon.upstream.url("/status")});
    let exporter = Setup::new("pantheon-ignored", services)
        .with("SITE_LIMIT", "1")
        .with("REFRESH_INTERVAL", "often")
        .start();
    assert_eq!(shown_sites(&ready(&exporter)).len(), 3);
    let log = exporter.wait_for_log("SITE_LIMIT is ignored");
    assert!(log.contains("REFRESH_INTERVAL is ignored"), "{log}");
}

#[test]
fn two_services_need_labels_that_tell_them_apart() {
    let one = json!({"type": "pantheon", "machine_tokens": ["secret-machine-token"]});
    let finished = Setup::new("pantheon-two", json!({"a": one, "b": one})).run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(finished.stderr.contains("labels"), "{}", finished.stderr);
}

// Contract test 2.
#[test]
fn the_login_has_no_authorization_and_every_call_has_a_trace_id_of_its_own() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    let exporter = setup("pantheon-headers", &pantheon, &json!({})).start();
    ready(&exporter);
    let requests = pantheon.upstream.all_requests();
    assert_eq!(requests.len(), 6);
    let mut trace_ids = BTreeSet::new();
    for (place, request) in requests.iter().enumerate() {
        let is_login = place == 0;
        assert_eq!(request.target == "/authorize/machine-token", is_login);
        assert_eq!(request.header("authorization").is_none(), is_login);
        assert_eq!(request.header("accept"), Some("application/json"));
        assert!(
            request
                .header("user-agent")
                .unwrap()
                .starts_with("saas-exporter/")
        );
        let content_type = request.header("content-type");
        assert_eq!(content_type.is_some(), is_login, "{content_type:?}");
        assert!(trace_ids.insert(request.header("x-pantheon-trace-id").unwrap().to_owned()));
    }
}

// Contract test 3.
#[test]
fn lists_are_asked_for_page_by_page_and_a_full_last_page_costs_an_empty_one() {
    let targets = |count: usize| {
        let pantheon = Pantheon::with_sites(sites(0..count));
        let fields = json!({"site_limit": 1});
        let exporter = setup("pantheon-pages", &pantheon, &fields).start();
        ready(&exporter);
        let mut targets = pantheon.targets();
        targets.retain(|target| target.contains("/memberships/sites"));
        let queries = targets
            .iter()
            .map(|target| target.split('?').nth(1).unwrap().to_owned());
        queries.collect::<Vec<_>>()
    };
    let start = |number| format!("limit=100&start={}", id(number));
    assert_eq!(
        targets(250),
        ["limit=100".to_owned(), start(99), start(199)]
    );
    assert_eq!(targets(100), ["limit=100".to_owned(), start(99)]);
}

// Contract test 4.
#[test]
fn a_server_that_repeats_page_one_is_asked_twice_and_gives_no_doubles() {
    let pantheon = Pantheon::with_sites(sites(0..120));
    pantheon.ignore_start();
    let exporter = setup("pantheon-repeat", &pantheon, &json!({})).start();
    let page = ready(&exporter);
    assert_eq!(requests(&page, "user_sites", "ok"), Some(2.0));
    assert_eq!(shown_sites(&page).len(), 100);
    assert_eq!(
        page.value("pantheon_exporter_sites{account=\"ops1@example.com\"}"),
        Some(100.0)
    );
}

// Contract test 5.
#[test]
fn a_site_in_its_own_list_and_that_of_an_organisation_appears_once() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    pantheon.add_organisation("org-1", sites(1..3));
    let exporter = setup("pantheon-once", &pantheon, &json!({})).start();
    let page = ready(&exporter);
    page.assert_no_doubles();
    assert_eq!(shown_sites(&page).len(), 3);
    assert_eq!(pantheon.count("/traffic"), 3);
    assert_eq!(
        page.value("pantheon_exporter_sites{account=\"ops1@example.com\"}"),
        Some(3.0)
    );
}

// Contract test 6.
#[test]
fn with_an_organisation_chosen_no_other_list_is_asked_for() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    pantheon.add_organisation("org-1", sites(5..6));
    pantheon.add_organisation("org-2", sites(7..8));
    let exporter = setup("pantheon-org", &pantheon, &json!({"org_id": "org-1"})).start();
    let page = ready(&exporter);
    assert_eq!(shown_sites(&page).len(), 1);
    assert_eq!(pantheon.count("/users/"), 1, "who-am-i only");
    assert_eq!(pantheon.count("/organizations/"), 1);
}

// Contract test 7.
#[test]
fn one_organisation_that_cannot_be_listed_costs_only_its_own_new_sites() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.add_organisation("org-1", sites(1..2));
    pantheon.add_organisation("org-2", sites(2..3));
    pantheon.switch("/organizations/org-1/", upstream::status(404, &[]));
    let exporter = setup("pantheon-org-404", &pantheon, &json!({"interval": "1s"})).start();
    let page = ready(&exporter);
    assert_eq!(shown_sites(&page).len(), 2);
    assert_eq!(page.value(&up("ops1@example.com")), Some(1.0));
    exporter.wait_for_log("sites of the organisation not listed");
    pantheon.clear_switches();
    exporter.wait_for("all sites", |page| shown_sites(page).len() == 3);
    // Once known, its sites stay while it cannot be listed.
    pantheon.switch("/organizations/org-1/", upstream::status(404, &[]));
    let lists = pantheon.count("/organizations/org-1/");
    wait_until("three refreshes", || {
        (pantheon.count("/organizations/org-1/") >= lists + 3).then_some(())
    });
    assert_eq!(shown_sites(&exporter.page()).len(), 3);
}

// Contract test 8.
#[test]
fn without_who_am_i_the_label_is_the_end_of_the_token_and_a_short_token_is_never_shown() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.add_account(2, sites(1..2));
    pantheon.change(1, |account| account.token = "short".to_owned());
    let user = "/users/user-id-0001-4111-8111-111111111111";
    let not_found = || upstream::status(404, &[]);
    pantheon.upstream.set(user, not_found());
    pantheon
        .upstream
        .set(&user.replace("0001", "0002"), not_found());
    let fields = json!({"machine_tokens": [Pantheon::token(1), "short"]});
    let exporter = setup("pantheon-label", &pantheon, &fields).start();
    let page = ready(&exporter);
    assert_eq!(page.value(&up("00000001")), Some(1.0));
    assert_eq!(page.value(&up("account-2")), Some(1.0));
    assert_eq!(requests(&page, "whoami", "http_4xx"), Some(2.0));
    assert!(!page.0.contains("short") && !exporter.log().contains("short"));
}

// Contract tests 11 and 12.
#[test]
fn the_newest_point_carries_the_time_of_the_scrape_and_two_scrapes_differ_in_nothing_else() {
    let pantheon = Pantheon::with_sites(sites(0..3));
    let exporter = setup("pantheon-scrapes", &pantheon, &json!({})).start();
    ready(&exporter);
    // The first page after a poll is complete; from then on nothing changes for an hour.
    let of_source = |page: &Page| -> Vec<String> {
        let lines = page.0.lines().filter(|line| line.starts_with("pantheon_"));
        lines.map(str::to_owned).collect()
    };
    let first = exporter.page();
    let stamp = |page: &Page| samples(page, &format!("pantheon_visits{}", labels("site-000")))[1].1;
    let second = exporter.wait_for("another millisecond", |page| stamp(page) != stamp(&first));
    let (a, b) = (of_source(&first), of_source(&second));
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(&b) {
        let is_newest = a.ends_with(&stamp(&first).to_string());
        assert_eq!(a == b, !is_newest, "{a} and {b}");
        assert_eq!(a.rsplit_once(' ').unwrap().0, b.rsplit_once(' ').unwrap().0);
    }
    assert!(!first.0.contains("1762819200000"));
}

// Contract test 11.
#[test]
fn with_bucket_the_newest_point_carries_its_own_day() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    let fields = json!({"latest_timestamp": "bucket", "metric_names": "readme"});
    let exporter = setup("pantheon-bucket", &pantheon, &fields).start();
    let page = ready(&exporter);
    let expected = [(837.0, 1_762_732_800_000), (824.0, 1_762_819_200_000)];
    let series = format!("pantheon_visits{}", labels("site-000"));
    assert_eq!(samples(&page, &series), expected);
    assert!(!page.0.contains("pantheon_visits_total"));
}

// Contract test 10.
#[test]
fn the_ratio_of_v1_is_a_fraction_under_the_labels_of_v1() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    let fields = json!({"metric_names": "v1"});
    let exporter = setup("pantheon-v1", &pantheon, &fields).start();
    let page = ready(&exporter);
    let series = "pantheon_cache_hit_ratio{account=\"ops1@example.com\",plan=\"Basic\",site_id=\"site-000\",site_name=\"site-000\"}";
    let ratios = samples(&page, series);
    assert!((ratios[0].0 - 0.0386).abs() < 1e-12, "{ratios:?}");
    assert!(page.lines("pantheon_visits").is_empty());
}

// Contract tests 13 and 14.
#[test]
fn after_the_first_refresh_history_is_the_last_closed_day_unless_it_is_always_shown() {
    let history = |setting: &str| {
        let pantheon = Pantheon::with_sites(sites(0..1));
        let points = |newest| {
            let old = (1..5).map(|back| day(MIDNIGHT - back * DAY, [back as u64, 1, 1, 0]));
            old.rev()
                .chain([day(MIDNIGHT, [newest, 1, 1, 0])])
                .collect()
        };
        pantheon.set_traffic(&id(0), points(10));
        let fields = json!({"interval": "1s", "history": setting, "latest_timestamp": "bucket"});
        let exporter = setup("pantheon-history", &pantheon, &fields).start();
        let series = format!("pantheon_visits{}", labels("site-000"));
        let visits = |page: &Page| -> Vec<f64> {
            let samples = samples(page, &series);
            assert!(samples.windows(2).all(|pair| pair[0].1 < pair[1].1));
            samples.into_iter().map(|(value, _)| value).collect()
        };
        let all = exporter.wait_for("all points", |page| visits(page).len() == 5);
        assert_eq!(visits(&all), [4.0, 3.0, 2.0, 1.0, 10.0]);
        // The known day changes its value.
        pantheon.set_traffic(&id(0), points(11));
        let page = exporter.wait_for("the new value", |page| visits(page).last() == Some(&11.0));
        visits(&page)
    };
    assert_eq!(history("bootstrap"), [1.0, 11.0]);
    assert_eq!(history("always"), [4.0, 3.0, 2.0, 1.0, 11.0]);
}

// Contract tests 16 and 20.
#[test]
fn a_site_that_appears_has_its_history_first_and_one_that_goes_takes_its_series_along() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    let exporter = setup("pantheon-new", &pantheon, &json!({"interval": "1s"})).start();
    exporter.wait_for("the first site", |page| shown_sites(page).len() == 1);
    wait_until("a refresh", || {
        (pantheon.count("duration=1d") > 0).then_some(())
    });
    pantheon.switch(
        &format!("{}/environments", id(1)),
        upstream::status(403, &[]),
    );
    pantheon.change(0, |account| account.sites = sites(0..2));
    let errors =
        "pantheon_exporter_site_errors_total{account=\"ops1@example.com\",name=\"site-001\"}";
    exporter.wait_for("a failed fetch", |page| page.value(errors) >= Some(1.0));
    pantheon.clear_switches();
    exporter.wait_for("two sites", |page| shown_sites(page).len() == 2);
    let asked: Vec<String> = pantheon.targets();
    let mut of_new = asked.iter().filter(|target| target.contains(&id(1)));
    assert!(of_new.next().unwrap().ends_with("duration=28d"));

    pantheon.change(0, |account| account.sites = sites(0..1));
    let page = exporter.wait_for("one site", |page| shown_sites(page).len() == 1);
    assert!(!page.0.contains("site-001"), "with its counter of errors");
}

// Contract test 18.
#[test]
fn zeros_of_a_site_with_traffic_are_held_back_and_counted_and_an_idle_site_shows_them() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    pantheon.set_traffic(&id(1), vec![day(MIDNIGHT, [0; 4])]);
    let exporter = setup("pantheon-zero", &pantheon, &json!({"interval": "1s"})).start();
    let (busy, idle) = (
        format!("pantheon_visits{}", labels("site-000")),
        format!("pantheon_visits{}", labels("site-001")),
    );
    let newest = |page: &Page, series: &str| samples(page, series).last().map(|(value, _)| *value);
    exporter.wait_for("both sites", |page| {
        newest(page, &busy) == Some(824.0) && newest(page, &idle) == Some(0.0)
    });
    let held = "pantheon_exporter_zero_responses_total{account=\"ops1@example.com\"}";
    assert_eq!(exporter.page().value(held), None);
    pantheon.set_traffic(&id(0), vec![day(MIDNIGHT, [0; 4])]);
    let page = exporter.wait_for("zeros held back", |page| page.value(held) >= Some(2.0));
    assert_eq!(newest(&page, &busy), Some(824.0));
}

// Contract test 19.
#[test]
fn an_account_that_cannot_be_listed_keeps_its_sites_while_another_goes_on() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.add_account(2, sites(1..2));
    let fields = json!({"interval": "1s"});
    let exporter = Setup::new("pantheon-keep", services(&pantheon, 2, &fields)).start();
    exporter.wait_for("both accounts", |page| shown_sites(page).len() == 2);
    let list = "/users/user-id-0001-4111-8111-111111111111/memberships/sites";
    pantheon.switch(list, upstream::status(403, &[]));
    pantheon.change(1, |account| account.sites = sites(1..3));
    let page = exporter.wait_for("the news of the other", |page| shown_sites(page).len() == 3);
    exporter.wait_for_value(&up("ops1@example.com"), 0.0);
    assert_eq!(page.value(&up("ops2@example.com")), Some(1.0));
    exporter.wait_for_value("saas_exporter_service_up{service=\"p\"}", 0.0);
    // Its sites are refreshed still.
    let asked = pantheon.count(&format!("{}/environments", id(0)));
    wait_until("another refresh", || {
        (pantheon.count(&format!("{}/environments", id(0))) > asked).then_some(())
    });
    pantheon.clear_switches();
    exporter.wait_for_value(&up("ops1@example.com"), 1.0);
    exporter.wait_for_value("saas_exporter_service_up{service=\"p\"}", 1.0);
}

// Contract test 21.
#[test]
fn a_refused_session_is_replaced_once_and_a_login_that_fails_too_is_one_warning() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    let setup_of_session = setup("pantheon-session", &pantheon, &json!({"interval": "1s"}));
    let exporter = setup_of_session.start();
    exporter.wait_for("the site", |page| shown_sites(page).len() == 1);
    pantheon.expire_sessions();
    exporter.wait_for_log("session refused");
    wait_until("a second login", || {
        (pantheon.count("/authorize") == 2).then_some(())
    });
    let targets = pantheon.targets();
    let login = targets
        .iter()
        .rposition(|target| target.contains("/authorize"))
        .unwrap();
    wait_until("the call again", || {
        let targets = pantheon.targets();
        (targets.get(login + 1)? == targets.get(login - 1)?).then_some(())
    });
    // Nothing is wrong with the account.
    assert_eq!(exporter.page().value(&up("ops1@example.com")), Some(1.0));
    assert!(!exporter.log().contains(" warn "), "{}", exporter.log());

    let pantheon = Pantheon::with_sites(sites(0..1));
    let exporter = setup("pantheon-revoked", &pantheon, &json!({"interval": "2s"})).start();
    exporter.wait_for("the site", |page| shown_sites(page).len() == 1);
    pantheon.change(0, |account| account.token = "revoked".to_owned());
    pantheon.expire_sessions();
    let page = exporter.wait_for_value(&up("ops1@example.com"), 0.0);
    assert_eq!(shown_sites(&page).len(), 1, "what was known stays");
    let login_warnings = || exporter.log().matches("login failed").count();
    assert_eq!(login_warnings(), 1, "{}", exporter.log());
    assert!(
        !exporter.log().contains("traffic not fetched")
            && !exporter.log().contains("sites not listed")
    );
    // Until the next listing nothing more is asked.
    wait_until("the next attempt", || (login_warnings() == 2).then_some(()));
    assert_eq!(pantheon.count("/authorize"), 3);
}

// Contract test 23.
#[test]
fn a_refused_site_is_not_asked_again_at_once_and_touches_no_other() {
    let pantheon = Pantheon::with_sites(sites(0..3));
    pantheon.switch(
        &format!("{}/environments", id(1)),
        upstream::status(403, &[]),
    );
    let exporter = setup("pantheon-403", &pantheon, &json!({})).start();
    let page = ready(&exporter);
    assert_eq!(shown_sites(&page).len(), 2);
    assert_eq!(requests(&page, "traffic", "http_4xx"), Some(1.0));
    assert_eq!(requests(&page, "traffic", "ok"), Some(2.0));
    let errors =
        "pantheon_exporter_site_errors_total{account=\"ops1@example.com\",name=\"site-001\"}";
    assert_eq!(page.value(errors), Some(1.0));
    assert_eq!(page.lines("pantheon_exporter_site_errors_total").len(), 1);
    assert_eq!(
        page.value("saas_exporter_service_up{service=\"p\"}"),
        Some(1.0)
    );
}

// Contract test 24.
#[test]
fn a_plan_with_a_quote_is_escaped_and_a_site_without_plan_has_an_empty_one() {
    let pantheon = Pantheon::with_sites(vec![
        site(&id(0), "quoted", Some("The \"Big\" plan")),
        site(&id(1), "plain", None),
    ]);
    let exporter = setup("pantheon-plan", &pantheon, &json!({})).start();
    let page = ready(&exporter);
    let quoted = labels_of("ops1@example.com", "quoted", "The \\\"Big\\\" plan");
    assert_eq!(samples(&page, &format!("pantheon_visits{quoted}")).len(), 2);
    let plain = labels_of("ops1@example.com", "plain", "");
    assert_eq!(samples(&page, &format!("pantheon_visits{plain}")).len(), 2);
}

// Contract test 25.
#[test]
fn a_limit_over_two_accounts_takes_the_same_sites_at_every_start() {
    let pantheon = Pantheon::start();
    // The lists come in no useful order.
    pantheon.add_account(1, sites(0..2).into_iter().rev().collect());
    pantheon.add_account(2, sites(2..6).into_iter().rev().collect());
    let shown = || {
        let services = services(&pantheon, 2, &json!({"site_limit": 3}));
        let exporter = Setup::new("pantheon-limit", services).start();
        shown_sites(&ready(&exporter))
    };
    let first = shown();
    let names = ["site-000", "site-001", "site-002"];
    assert_eq!(first.len(), 3);
    assert!(
        first
            .iter()
            .zip(names)
            .all(|(series, name)| series.contains(name)),
        "{first:?}"
    );
    assert_eq!(pantheon.count("/traffic"), 3, "no other site is asked for");
    assert_eq!(shown(), first);
}

// Contract test 26.
#[test]
fn the_port_answers_while_discovery_hangs_and_no_site_is_shown() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.switch("/memberships/sites", upstream::hang());
    let exporter = setup("pantheon-hang", &pantheon, &json!({})).start();
    wait_until("the hanging request", || {
        (pantheon.count("/memberships/") > 0).then_some(())
    });
    let page = exporter.page();
    page.assert_no_doubles();
    assert!(page.lines("pantheon_visits").is_empty());
    assert_eq!(page.lines("pantheon_exporter_build_info").len(), 1);
    assert_eq!(exporter.get("/health").status, 200);
}

#[test]
fn an_account_whose_upstream_hangs_holds_up_no_other() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.add_account(2, sites(1..2));
    pantheon.switch(&format!("{}/environments", id(0)), upstream::hang());
    let fields = json!({"interval": "1s"});
    let exporter = Setup::new("pantheon-stuck", services(&pantheon, 2, &fields)).start();
    let other = format!("{}/environments", id(1));
    wait_until("refreshes of the other", || {
        (pantheon.count(&other) >= 3).then_some(())
    });
    assert_eq!(pantheon.count(&format!("{}/environments", id(0))), 1);
    assert_eq!(shown_sites(&exporter.page()).len(), 1);
}

#[test]
fn every_site_is_shown_as_soon_as_its_answer_is_in() {
    let pantheon = Pantheon::with_sites(sites(0..3));
    let last = format!("{}/environments", id(2));
    pantheon.switch(&last, upstream::hang());
    let exporter = setup("pantheon-publish", &pantheon, &json!({})).start();
    exporter.wait_for("two sites", |page| shown_sites(page).len() == 2);
    let polls = "saas_exporter_polls_total{service=\"p\"}";
    assert_eq!(exporter.page().value(polls), Some(0.0), "the poll goes on");
}

// Contract test 27.
#[test]
fn two_tokens_of_one_user_give_every_series_once() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    pantheon.add_account(2, sites(0..2));
    pantheon.change(1, |account| {
        account.email = Some("ops1@example.com".to_owned())
    });
    let exporter = Setup::new("pantheon-same", services(&pantheon, 2, &json!({}))).start();
    let page = ready(&exporter);
    page.assert_no_doubles();
    assert_eq!(shown_sites(&page).len(), 2);
    assert_eq!(page.lines("pantheon_exporter_account_up").len(), 1);
    let info = exporter.log().matches("token is of the same user").count();
    assert_eq!(info, 1);
}

// Contract test 28.
#[test]
fn no_token_session_user_id_or_email_is_in_any_log_line_and_no_secret_anywhere() {
    let pantheon = Pantheon::with_sites(sites(0..2));
    pantheon.add_account(2, sites(2..3));
    pantheon.add_organisation("org-1", sites(3..4));
    pantheon.add_organisation("org-2", Vec::new());
    let redirect = upstream::redirect(302, "http://127.0.0.1:9/users/user-id-0001?token=x");
    pantheon.switch("/organizations/org-1/", redirect);
    pantheon.switch("/organizations/org-2/", upstream::json("<html>"));
    pantheon.switch_for(
        "/memberships/organizations",
        upstream::status(503, &[("retry-after", "0")]),
        Some(1),
    );
    pantheon.switch(
        &format!("{}/environments", id(1)),
        upstream::status(403, &[]),
    );
    let mut services = services(&pantheon, 3, &json!({"interval": "2s"}));
    services["p"]["request_timeout"] = "5s".into();
    let setup = Setup::new("pantheon-secrets", services).with("LOG_LEVEL", "trace");
    let exporter = setup.start();
    exporter.wait_for("three sites", |page| shown_sites(page).len() == 2);
    exporter.wait_for_log("login failed");
    pantheon.expire_sessions();
    exporter.wait_for_log("session refused");
    wait_until("another login", || {
        (pantheon.count("/authorize") >= 5).then_some(())
    });
    let log = exporter.log();
    assert!(
        log.contains("request answered") && log.contains("request failed"),
        "{log}"
    );
    for secret in [
        "machine-token-secret",
        "session-secret",
        "user-id-",
        "@example.com",
        "Bearer",
    ] {
        assert!(!log.contains(secret), "{secret} in {log}");
    }
    let mut everything = exporter.page().0 + &exporter.get("/").text();
    for name in setup.folder.names("cache") {
        everything.push_str(&setup.folder.read(&format!("cache/{name}")));
    }
    for secret in ["machine-token-secret", "session-secret", "user-id-"] {
        assert!(!everything.contains(secret), "{secret} in {everything}");
    }
    assert!(everything.contains("site-000"));
}

#[test]
fn a_restart_shows_everything_at_once_and_fetches_no_history_again() {
    let pantheon = Pantheon::with_sites(sites(0..3));
    let setup = setup("pantheon-restart", &pantheon, &json!({}));
    let exporter = setup.start();
    let before = shown_sites(&ready(&exporter));
    wait_until("the cache file", || {
        let names = setup.folder.names("cache");
        names.contains(&"p.state".to_owned()).then_some(())
    });
    exporter.kill();
    pantheon.switch("/authorize", upstream::hang());
    let exporter = setup.start();
    let page = exporter.wait_for("the sites of before", |page| !shown_sites(page).is_empty());
    assert_eq!(shown_sites(&page), before);
    assert_eq!(page.value(&up("ops1@example.com")), None, "not known yet");
    drop(exporter);
    pantheon.clear_switches();
    let exporter = setup.start();
    exporter.wait_for_value(&up("ops1@example.com"), 1.0);
    assert_eq!(
        pantheon.count("duration=28d"),
        3,
        "those of the first start"
    );
    // Another environment has other numbers.
    let other = setup.with("PANTHEON_ENV", "dev");
    drop(exporter);
    let exporter = other.start();
    let page = ready(&exporter);
    assert!(
        shown_sites(&page).is_empty(),
        "the upstream has no environment of this name"
    );
    assert_eq!(requests(&page, "traffic", "http_4xx"), Some(3.0));
}

#[test]
fn a_file_of_tokens_is_read_again_at_each_refresh_of_the_lists() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    pantheon.add_account(2, sites(1..2));
    let mut services = services(&pantheon, 0, &json!({"interval": "1s"}));
    services["p"]
        .as_object_mut()
        .unwrap()
        .remove("machine_tokens");
    let folder = crate::exporter::Folder::new("pantheon-token-file");
    let file = folder.write("tokens", format!("{}\n", Pantheon::token(1)));
    services["p"]["machine_tokens_file"] = file.display().to_string().into();
    let exporter = Setup::new("pantheon-file", services).start();
    exporter.wait_for("the first account", |page| shown_sites(page).len() == 1);
    folder.write(
        "tokens",
        format!("{}\n{}\n", Pantheon::token(1), Pantheon::token(2)),
    );
    exporter.wait_for("the second account", |page| shown_sites(page).len() == 2);
    std::fs::remove_file(&file).unwrap();
    exporter.wait_for_value("saas_exporter_service_up{service=\"p\"}", 0.0);
    assert_eq!(shown_sites(&exporter.page()).len(), 2);
    folder.write("tokens", Pantheon::token(2));
    exporter.wait_for("the second account alone", |page| {
        shown_sites(page).len() == 1 && page.0.contains("ops2@example.com")
    });
    exporter.wait_for_value("saas_exporter_service_up{service=\"p\"}", 1.0);
}

#[test]
fn an_id_that_is_a_name_is_looked_up_first_and_only_once() {
    let pantheon = Pantheon::with_sites(vec![site("odd name", "demo", Some("Basic"))]);
    pantheon.set_name("odd%20name", SITE);
    let exporter = setup("pantheon-name", &pantheon, &json!({"interval": "1s"})).start();
    exporter.wait_for("the site", |page| shown_sites(page).len() == 1);
    wait_until("a refresh", || {
        (pantheon.count("duration=1d") > 0).then_some(())
    });
    assert_eq!(pantheon.count("/site-names/odd%20name"), 1);
    assert_eq!(
        pantheon.count(&format!("/sites/{SITE}/")),
        pantheon.count("/traffic")
    );
}

#[test]
fn a_changed_form_of_an_answer_is_counted_and_never_removes_a_site() {
    let pantheon = Pantheon::with_sites(sites(0..1));
    let exporter = setup("pantheon-shape", &pantheon, &json!({"interval": "1s"})).start();
    exporter.wait_for("the site", |page| shown_sites(page).len() == 1);
    for answer in [
        "null",
        "{\"sites\": []}",
        "404 page not found",
        "[{\"id\": \"1\"}",
    ] {
        pantheon.clear_switches();
        pantheon.switch("/memberships/sites", upstream::json(answer));
        let before = requests(&exporter.page(), "user_sites", "decode_error").unwrap_or(0.0);
        let page = exporter.wait_for("a decode error", |page| {
            requests(page, "user_sites", "decode_error") > Some(before)
        });
        assert_eq!(shown_sites(&page).len(), 1, "{answer}");
    }
    exporter.wait_for_value(&up("ops1@example.com"), 0.0);
    pantheon.clear_switches();
    pantheon.switch("/traffic", upstream::json("{\"timeseries\": null}"));
    exporter.wait_for_value(&up("ops1@example.com"), 1.0);
    assert_eq!(
        shown_sites(&exporter.page()).len(),
        1,
        "an empty answer erases nothing"
    );
    // An account without sites has none.
    pantheon.change(0, |account| account.sites.clear());
    exporter.wait_for("no site", |page| shown_sites(page).is_empty());
    exporter.wait_for_value("pantheon_exporter_sites{account=\"ops1@example.com\"}", 0.0);
}

#[test]
fn a_single_round_lists_and_fetches_every_site_before_it_ends() {
    let pantheon = Pantheon::with_sites(sites(0..5));
    let finished = setup("pantheon-once-mode", &pantheon, &json!({}))
        .argument("--once")
        .argument("--textfile.path=page.prom")
        .run();
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(pantheon.count("duration=28d"), 5);
    assert_eq!(pantheon.targets().len(), 9);
}
