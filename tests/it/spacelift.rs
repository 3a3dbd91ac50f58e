//! Spacelift accounts as the exporter sees them: the whole page, tokens that end, fields that fail, configurations.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::exporter::{Exporter, Page, Setup};
use crate::page::assert_golden;
use crate::spacelift_upstream::{Account, KEY_ID, SECRET, TOKEN, empty_account, stack};
use crate::upstream::wait_until;

pub const UP: &str = "saas_exporter_service_up{service=\"acme\"}";
pub const SEATS: &str = "spacelift_current_billing_period_used_seats";
const STACKS: &str = "spacelift_current_stacks_count_by_state";
const POLL_ENDED: &str = "spacelift_scrape_duration_seconds";

fn success(collector: &str) -> String {
    format!("spacelift_scrape_collector_success{{collector=\"{collector}\"}}")
}

fn requests(operation: &str, outcome: &str) -> String {
    format!(
        "spacelift_exporter_api_requests_total{{operation=\"{operation}\",outcome=\"{outcome}\"}}"
    )
}

/// Starts an exporter for the account alone and waits for the end of its first poll.
pub fn start(name: &str, account: &Account, more: Value) -> (Setup, Exporter, Page) {
    let setup = Setup::new(name, account.services(more));
    let exporter = setup.start();
    let page = exporter.wait_for("the first poll", |page| !page.lines(POLL_ENDED).is_empty());
    (setup, exporter, page)
}

/// The lines of the source, moments masked.
fn masked(page: &Page) -> String {
    const MOMENTS: [&str; 4] = [
        "spacelift_scrape_duration",
        "spacelift_scrape_duration_seconds",
        "spacelift_scrape_collector_duration_seconds",
        "spacelift_exporter_last_success_timestamp_seconds",
    ];
    let mut masked = String::new();
    for line in page.0.lines() {
        let line = match line.split(['{', ' ']).next().unwrap() {
            "spacelift_build_info" => "spacelift_build_info{…} 1".to_owned(),
            family if MOMENTS.contains(&family) => {
                let (series, value) = line.rsplit_once(' ').unwrap();
                assert!(value.parse::<f64>().unwrap() > 0.0, "{line}");
                format!("{series} <moment>")
            }
            "#" if !line.contains(" spacelift_") => continue,
            family if family == "#" || family.starts_with("spacelift_") => line.to_owned(),
            _ => continue,
        };
        masked.push_str(&line);
        masked.push('\n');
    }
    masked
}

#[test]
fn the_whole_page_of_the_worked_example_is_as_documented() {
    let account = Account::start();
    let (_, _exporter, page) = start("spacelift-golden", &account, json!({"interval": "1h"}));
    page.assert_well_formed();
    assert_golden("spacelift.prom", &masked(&page));
    assert_eq!(page.value(UP), Some(1.0));
    let build = page.lines("spacelift_build_info")[0];
    assert!(build.contains(",goversion=\"rustc-1."), "{build}");
}

#[test]
fn a_poll_sends_one_question_for_each_collector_and_keeps_its_token() {
    let account = Account::start();
    let (_, _exporter, _) = start("spacelift-requests", &account, json!({}));
    account.wait_for_more("metrics", 2);
    let asked = account.asked();
    let operations: Vec<&str> = asked.iter().map(|one| one.operation()).collect();
    let poll = [
        "PrometheusExporter_PublicWorkerPool",
        "PrometheusExporter_WorkerPools",
        "PrometheusExporter_Usage",
        "PrometheusExporter_Aggregates",
    ];
    assert_eq!(operations[0], "", "the exchange, once");
    assert_eq!(operations[1..9], [poll, poll].concat());
    assert_eq!(
        asked[0].body["variables"],
        json!({"id": KEY_ID, "secret": SECRET})
    );
    for one in &asked[1..] {
        assert_eq!(one.authorization, Some(format!("Bearer {TOKEN}-1")));
        assert_eq!(one.client_type.as_deref(), Some("prometheus-exporter"));
    }
}

/// Asks the account as any client would.
fn post(account: &Account, token: Option<&str>, body: &Value) -> Value {
    let mut stream = TcpStream::connect(account.upstream.address).unwrap();
    let body = body.to_string();
    let token = token.map_or_else(String::new, |token| {
        format!("Authorization: Bearer {token}\r\n")
    });
    let head = format!(
        "POST /graphql HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {}\r\n{token}\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn the_simulated_account_answers_the_one_document_of_the_original_too() {
    let account = Account::start();
    let key = json!({"id": KEY_ID, "secret": SECRET});
    let exchange = json!({"query": "mutation($id: ID!, $secret: String!){apiKeyUser(id: $id, secret: $secret){jwt validUntil}}",
        "variables": key});
    let reply = post(&account, None, &exchange);
    let token = reply["data"]["apiKeyUser"]["jwt"].as_str().unwrap();
    let document = "query PrometheusExporter{publicWorkerPool{parallelism} workerPools{id} usage{usedSeats} metrics{\
        stacksCountByState{value labels}}}";
    let question = json!({"query": document, "operationName": "PrometheusExporter"});
    let reply = post(&account, Some(token), &question);
    let data = reply["data"].as_object().unwrap();
    let roots: Vec<&str> = data.keys().map(String::as_str).collect();
    assert_eq!(
        roots,
        ["metrics", "publicWorkerPool", "usage", "workerPools"]
    );
    // One gated field that may not be null takes the whole answer with it.
    account.set(|story| story.gated.extend(["usage"]));
    let reply = post(&account, Some(token), &question);
    assert_eq!(
        (&reply["data"], reply["errors"].as_array().unwrap().len()),
        (&Value::Null, 1)
    );
    let anonymous = post(&account, Some("nobody"), &question);
    assert_eq!(anonymous["errors"][0]["message"], "unauthorized");
}

// Contract test 1, over HTTP.
#[test]
fn a_token_that_ends_in_29_seconds_is_exchanged_before_every_question() {
    let account = Account::start();
    account.set(|story| story.token_lifetime_s = 29);
    let (_, _exporter, page) = start("spacelift-short", &account, json!({"interval": "1h"}));
    assert_eq!(page.value(&requests("token", "ok")), Some(4.0));
    let roots: Vec<&str> = account.asked().iter().map(|one| one.roots[0]).collect();
    assert_eq!(
        roots[..4],
        [
            "apiKeyUser",
            "publicWorkerPool",
            "apiKeyUser",
            "workerPools"
        ]
    );
}

// Contract test 2, over HTTP.
#[test]
fn one_unauthorized_reply_leads_to_one_exchange_and_one_repeated_question() {
    let account = Account::start();
    let (_, exporter, _) = start("spacelift-invalid", &account, json!({}));
    account.invalidate_tokens();
    exporter.wait_for_value(&requests("token", "ok"), 2.0);
    account.wait_for_more("metrics", 2);
    let page = exporter.page();
    assert_eq!(page.value(UP), Some(1.0));
    assert_eq!(page.value(&requests("token", "ok")), Some(2.0));
    let asked = account.asked();
    let second = asked
        .iter()
        .rposition(|one| one.roots == ["apiKeyUser"])
        .unwrap();
    let (before, after) = (&asked[second - 1], &asked[second + 1]);
    assert_eq!(before.body, after.body);
    assert_eq!(before.operation(), after.operation());
    assert_eq!(after.authorization, Some(format!("Bearer {TOKEN}-2")));
}

/// A service that collects usage alone.
fn usage_alone() -> Value {
    json!({"interval": "1h", "collectors": {"aggregates": false, "publicworkerpool": false, "workerpools": false}})
}

// Contract test 3, over HTTP.
#[test]
fn unauthorized_twice_in_a_row_stops_after_the_second_question() {
    let account = Account::start();
    account.set(|story| story.rejections = 100);
    let (_, exporter, page) = start("spacelift-twice", &account, usage_alone());
    assert_eq!(page.value(&success("usage")), Some(0.0));
    assert_eq!(page.value(&requests("usage", "unauthorized")), Some(2.0));
    assert_eq!(page.value(&requests("token", "ok")), Some(2.0));
    assert_eq!(account.asked().len(), 4);
    assert!(
        exporter.log().contains("token rejected"),
        "{}",
        exporter.log()
    );
}

// Contract test 4, over HTTP.
#[test]
fn after_a_failed_exchange_in_mid_poll_the_question_is_not_sent_again() {
    let account = Account::start();
    let (_, exporter, _) = start("spacelift-reexchange", &account, json!({}));
    account.set(|story| story.accepts_key = false);
    account.invalidate_tokens();
    let page = exporter.wait_for_value(&success("aggregates"), 0.0);
    assert_eq!(page.value(UP), Some(0.0));
    account.wait_for_more("apiKeyUser", 2);
    let asked = account.asked();
    let failed = asked
        .iter()
        .rposition(|one| one.roots != ["apiKeyUser"])
        .unwrap();
    let rest: Vec<&str> = asked[failed + 1..].iter().map(|one| one.roots[0]).collect();
    assert!(rest.iter().all(|root| *root == "apiKeyUser"), "{rest:?}");
    assert!(exporter.page().lines(SEATS).is_empty());
    account.set(|story| story.accepts_key = true);
    exporter.wait_for_value(UP, 1.0);
    exporter.wait_for_log("token received again");
}

// Contract test 5, over HTTP.
#[test]
fn status_401_with_a_body_that_is_no_json_is_unauthorized() {
    let account = Account::start();
    let login = (401, Vec::new(), "<html>log in</html>".to_owned());
    account.set(|story| drop(story.statuses.insert("usage", login)));
    let (_, exporter, page) = start("spacelift-401", &account, usage_alone());
    assert_eq!(page.value(&requests("usage", "unauthorized")), Some(2.0));
    assert_eq!(page.value(&requests("token", "ok")), Some(2.0));
    let log = exporter.wait_for_log("collector failing");
    assert!(
        log.contains("status 401") && log.contains("log in"),
        "{log}"
    );
}

// Contract test 6, over HTTP, and test 7.
#[test]
fn a_rewritten_secret_file_is_used_at_the_next_exchange_and_a_deleted_one_only_fails_polls() {
    let account = Account::start();
    let services = account.services(json!({}));
    let setup = Setup::new("spacelift-file", services);
    let path = setup.folder.write("secret", format!("  {SECRET}\n"));
    let mut services = account.services(json!({"api_key_secret_file": path}));
    services["acme"]
        .as_object_mut()
        .unwrap()
        .remove("api_key_secret");
    setup.folder.write("services.json", services.to_string());
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);

    account.set(|story| story.secret = "rotated".to_owned());
    setup.folder.write("secret", "\trotated \n\n");
    account.invalidate_tokens();
    exporter.wait_for_value(&requests("token", "ok"), 2.0);
    let exchanges = account.asked_for("apiKeyUser");
    let sent: Vec<&Value> = exchanges
        .iter()
        .map(|one| &one.body["variables"]["secret"])
        .collect();
    assert_eq!(sent, [SECRET, "rotated"]);

    std::fs::remove_file(&path).unwrap();
    account.invalidate_tokens();
    let page = exporter.wait_for_value(UP, 0.0);
    for collector in ["aggregates", "usage", "workerpools"] {
        exporter.wait_for_value(&success(collector), 0.0);
    }
    assert_eq!(
        page.value(&requests("token", "ok")),
        Some(2.0),
        "none was sent"
    );
    let log = exporter.wait_for_log("no token for the key");
    assert!(log.contains(path.to_str().unwrap()), "{log}");
    setup.folder.write("secret", "rotated");
    exporter.wait_for_value(UP, 1.0);
}

// Contract test 11.
#[test]
fn an_empty_account_has_billing_series_and_no_zero_in_the_place_of_the_others() {
    let account = Account::start();
    account.set(|story| story.data = empty_account());
    let (_, _exporter, page) = start("spacelift-empty", &account, json!({"interval": "1h"}));
    assert_eq!(page.value(UP), Some(1.0));
    assert_eq!(page.value(SEATS), Some(5.0));
    for family in [
        "spacelift_worker_pool_runs_pending",
        "spacelift_worker_pool_workers",
        STACKS,
        "spacelift_current_resources_count_by_drift",
        "spacelift_current_avg_stack_size_by_resource_count",
        "spacelift_current_average_run_duration",
        "spacelift_current_median_run_duration",
        "spacelift_exporter_run_duration_seconds",
    ] {
        assert!(page.lines(family).is_empty(), "{family}");
    }
}

// Contract tests 12 and 13, on the page.
#[test]
fn labels_of_points_are_padded_cut_and_added_together_on_the_page() {
    let account = Account::start();
    let points = json!([
        {"value": 1, "labels": ["FAILED"]}, {"value": 2, "labels": ["FAILED"]}, {"value": 3, "labels": ["FAILED", "s"]},
        {"value": 4, "labels": ["FAILED", "s", "sp", "x"]}, {"value": 5, "labels": []},
    ]);
    account.set(|story| story.data["metrics"]["stacksCountByState"] = points);
    let (_, exporter, page) = start("spacelift-labels", &account, json!({}));
    let expected = [
        "{space=\"sp\",stack=\"s\",state=\"FAILED\"} 4",
        "{space=\"unknown\",stack=\"s\",state=\"FAILED\"} 3",
        "{space=\"unknown\",stack=\"unknown\",state=\"FAILED\"} 3",
        "{space=\"unknown\",stack=\"unknown\",state=\"unknown\"} 5",
    ];
    assert_eq!(
        page.lines(STACKS),
        expected.map(|line| format!("{STACKS}{line}"))
    );
    account.wait_for_more("metrics", 2);
    let log = exporter.log();
    assert_eq!(log.matches("values added together").count(), 1, "{log}");
}

// Contract test 14.
#[test]
fn an_error_beside_partial_data_withholds_that_collector_alone() {
    let account = Account::start();
    let (_, exporter, page) = start("spacelift-partial", &account, json!({}));
    assert_eq!(page.lines(STACKS).len(), 2);
    account.set(|story| {
        drop(
            story
                .errors
                .insert("metrics", "median is broken".to_owned()),
        )
    });
    let page = exporter.wait_for_value(&success("aggregates"), 0.0);
    assert!(page.lines(STACKS).is_empty());
    assert_eq!(
        (page.value(SEATS), page.value(&success("usage"))),
        (Some(5.0), Some(1.0))
    );
    assert_eq!(page.value(UP), Some(0.0));
    assert!(exporter.log().contains("median is broken"));
    account.set(|story| story.errors.clear());
    let page = exporter.wait_for_value(UP, 1.0);
    assert_eq!(page.lines(STACKS).len(), 2);
}

// Contract test 15.
#[test]
fn a_gated_field_is_unsupported_and_the_page_stays_good() {
    let account = Account::start();
    account.set(|story| story.gated.extend(["usage"]));
    let (_, exporter, page) = start("spacelift-gated", &account, json!({}));
    let supported = "spacelift_scrape_collector_supported{collector=\"usage\"}";
    assert_eq!(page.value(supported), Some(0.0));
    assert_eq!(
        (page.value(&success("usage")), page.value(UP)),
        (Some(1.0), Some(1.0))
    );
    assert!(page.lines(SEATS).is_empty());
    account.wait_for_more("usage", 2);
    assert_eq!(exporter.log().matches("collector not supported").count(), 1);
    account.set(|story| story.gated.clear());
    exporter.wait_for_value(supported, 1.0);
}

// Contract tests 16 and 17.
#[test]
fn the_name_of_a_pool_is_escaped_and_null_workers_are_none() {
    let account = Account::start();
    let pool = json!([{"id": "p", "name": "a \"b\" \\ \n c", "pendingRuns": 1, "busyWorkers": 0, "workers": null}]);
    account.set(|story| story.data["workerPools"] = pool);
    let (_, _exporter, page) = start("spacelift-pool", &account, json!({"interval": "1h"}));
    page.assert_well_formed();
    let labels = r#"{worker_pool_id="p",worker_pool_name="a \"b\" \\ \n c"}"#;
    for (family, value) in [
        ("runs_pending", 1.0),
        ("workers", 0.0),
        ("workers_drained", 0.0),
    ] {
        let series = format!("spacelift_worker_pool_{family}{labels}");
        assert_eq!(page.value(&series), Some(value), "{series}");
    }
}

// Contract tests 18 and 19.
#[test]
fn minutes_become_seconds_and_no_number_is_rounded() {
    let account = Account::start();
    account.set(|story| {
        story.data["usage"]["usedPrivateMinutes"] = "12345".into();
        story.data["metrics"]["medianRunDuration"] =
            json!([{"value": 187_000_000_000_u64, "labels": []}]);
    });
    let (_, _exporter, page) = start("spacelift-numbers", &account, json!({"interval": "1h"}));
    for (series, value) in [
        (
            "spacelift_current_billing_period_used_private_seconds",
            740_700.0,
        ),
        ("spacelift_current_median_run_duration", 187_000_000_000.0),
        (
            "spacelift_exporter_run_duration_seconds{statistic=\"median\"}",
            187.0,
        ),
        ("spacelift_current_avg_stack_size_by_resource_count", 7.5),
    ] {
        assert_eq!(page.value(series), Some(value), "{series}");
    }
}

// Contract tests 20 and 23.
#[test]
fn a_slow_upstream_never_slows_a_scrape_and_before_the_first_poll_only_the_build_is_shown() {
    let account = Account::start();
    let slow = Duration::from_secs(30);
    account.set(|story| story.delays.extend([("usage", slow)]));
    let more = json!({"scrape_timeout": "2s"});
    let exporter = Setup::new("spacelift-slow", account.services(more)).start();
    wait_until("the slow question", || account.asked_for("usage").pop());
    let begun = Instant::now();
    let page = exporter.page();
    assert!(
        begun.elapsed() < Duration::from_secs(1),
        "{:?}",
        begun.elapsed()
    );
    let shown: Vec<&str> = page
        .0
        .lines()
        .filter(|line| line.starts_with("spacelift_"))
        .collect();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("spacelift_build_info{"), "{shown:?}");

    let page = exporter.wait_for_value(&success("usage"), 0.0);
    assert_eq!(page.value(&requests("usage", "timeout")), Some(1.0));
    assert_eq!(page.value(&success("aggregates")), Some(1.0));
    let log = exporter.wait_for_log("collector=usage");
    assert!(log.contains("no answer within 2s"), "{log}");
}

// Contract test 21.
#[test]
fn two_pages_of_stacks_are_shown_once_each_and_a_repeated_cursor_fails_the_collector() {
    let account = Account::start();
    let first = (0..50)
        .map(|number| stack(&format!("s{number}"), "FINISHED"))
        .collect();
    let second = vec![stack("s49", "FAILED"), stack("s50", "NONE")];
    account.set(|story| drop(story.pages.insert("searchStacks", vec![first, second])));
    let more = json!({"interval": "1h", "stack_details": true});
    let (setup, exporter, page) = start("spacelift-pages", &account, more);
    assert_eq!(page.lines(STACKS).len(), 51);
    let asked = account.asked_for("searchStacks");
    let inputs: Vec<&Value> = asked
        .iter()
        .map(|one| &one.body["variables"]["input"])
        .collect();
    assert_eq!(
        inputs,
        [
            &json!({"first": 50, "after": null}),
            &json!({"first": 50, "after": "c1"})
        ]
    );
    assert_eq!(asked[0].operation(), "PrometheusExporter_Stacks");
    exporter.kill();
    std::fs::remove_dir_all(setup.folder.path("cache")).unwrap();

    account.set(|story| story.repeats_cursor = true);
    let exporter = setup.start();
    let page = exporter.wait_for_value(&success("stacks"), 0.0);
    assert_eq!(account.asked_for("searchStacks").len(), 4);
    // Nothing partial: the aggregate stands there.
    assert_eq!(page.lines(STACKS).len(), 2);
}

// Contract test 22, and the last example of section 8.
#[test]
fn details_replace_the_aggregate_and_one_that_is_refused_gives_it_back() {
    let account = Account::start();
    account.set(|story| {
        let entity = |id: u32, drifted: Value| json!({"id": id.to_string(), "drifted": drifted, "stackId": "infra-prod"});
        let page = vec![entity(1, json!(1_762_700_000)), entity(2, Value::Null), entity(3, Value::Null)];
        drop(story.pages.insert("searchManagedEntities", vec![page]));
    });
    let more = json!({"interval": "1h", "stack_details": true, "resource_details": true});
    let (_, _exporter, page) = start("spacelift-details", &account, more.clone());
    let stack = format!("{STACKS}{{space=\"platform\",stack=\"infra-prod\",state=\"FINISHED\"}} 1");
    assert_eq!(page.lines(STACKS), [stack]);
    let drift = "spacelift_current_resources_count_by_drift";
    let expected = ["DRIFTED\"} 1", "OK\"} 2"]
        .map(|end| format!("{drift}{{space=\"platform\",stack=\"infra-prod\",state=\"{end}"));
    assert_eq!(page.lines(drift), expected);
    assert_eq!(page.value(&requests("resources", "ok")), Some(1.0));

    account.set(|story| {
        story
            .gated
            .extend(["searchStacks", "searchManagedEntities"]);
    });
    let (_, _exporter, page) = start("spacelift-details-gated", &account, more);
    assert_eq!(
        page.value("spacelift_scrape_collector_supported{collector=\"stacks\"}"),
        Some(0.0)
    );
    assert_eq!((page.lines(STACKS).len(), page.lines(drift).len()), (2, 2));
    assert!(page.lines(STACKS)[0].contains("stack=\"unknown\""));
}

#[test]
fn details_outlive_a_restart_in_a_private_file_without_a_secret() {
    use std::os::unix::fs::PermissionsExt;
    let account = Account::start();
    let more = json!({"stack_details": true, "space_label": "id"});
    let (setup, exporter, page) = start("spacelift-restart", &account, more);
    let stack =
        format!("{STACKS}{{space=\"platform-01ABC\",stack=\"infra-prod\",state=\"FINISHED\"}}");
    assert_eq!(page.value(&stack), Some(1.0));
    let kept = wait_until("the state file", || {
        let path = setup.folder.path("cache/acme.state");
        std::fs::read_to_string(&path).ok()
    });
    let mode = std::fs::metadata(setup.folder.path("cache/acme.state"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
    for secret in [SECRET, TOKEN, KEY_ID] {
        assert!(!kept.contains(secret), "{kept}");
    }
    exporter.kill();
    // What is shown now comes from the file: nobody answers.
    account.set(|story| story.accepts_key = false);
    let exporter = setup.start();
    let page = exporter.wait_for_value(UP, 0.0);
    assert_eq!(page.value(&stack), Some(1.0));
    account.set(|story| story.accepts_key = true);
    exporter.wait_for_value(UP, 1.0);
    assert_eq!(
        account.asked_for("searchStacks").len(),
        1,
        "not read again before its time"
    );
}

// Contract test 24, its first half.
#[test]
fn a_collector_that_is_off_sends_nothing_and_has_no_series_not_even_of_its_health() {
    let account = Account::start();
    let (_, _exporter, page) = start("spacelift-off", &account, usage_alone());
    assert_eq!(page.value(SEATS), Some(5.0));
    assert_eq!(account.asked().len(), 2);
    assert_eq!(page.lines("spacelift_scrape_collector_success").len(), 1);
    assert!(!page.0.contains("collector=\"aggregates\"") && page.lines(STACKS).is_empty());
}

#[test]
fn status_429_ends_the_poll_and_the_next_ones_wait_for_retry_after() {
    let account = Account::start();
    let (_, exporter, _) = start("spacelift-429", &account, json!({}));
    let slow_down = (
        429,
        vec![("retry-after", "4".to_owned())],
        "slow down".to_owned(),
    );
    account.set(|story| story.statuses.extend([("workerPools", slow_down)]));
    let page = exporter.wait_for_value(&success("workerpools"), 0.0);
    assert_eq!(
        (page.value(&success("usage")), page.value(SEATS)),
        (Some(1.0), Some(5.0))
    );
    assert_eq!(page.value(UP), Some(0.0));
    let asked = account.asked().len();
    let last = account.asked().pop().unwrap();
    assert_eq!(
        last.roots,
        ["workerPools"],
        "the rest of the poll is left out"
    );
    account.set(|story| story.statuses.clear());
    exporter.wait_for_value(UP, 1.0);
    let times: Vec<Instant> = account
        .upstream
        .requests("/graphql")
        .iter()
        .map(|request| request.at)
        .collect();
    let waited = times[asked] - times[asked - 1];
    assert!(waited >= Duration::from_secs(4), "{waited:?}");
    assert!(exporter.log().contains("status 429"), "{}", exporter.log());
}

#[test]
fn no_secret_reaches_log_page_or_cache_on_any_way() {
    let account = Account::start();
    let more = json!({"stack_details": true, "interval": "1s"});
    let setup = Setup::new("spacelift-leaks", account.services(more)).with("LOG_LEVEL", "trace");
    let exporter = setup.start();
    exporter.wait_for_value(UP, 1.0);
    // The upstream repeats what it was sent, in each way that it can.
    let echo = format!("bad: {KEY_ID} {SECRET} {TOKEN}-1");
    account.set(|story| story.errors.extend([("usage", echo.clone())]));
    exporter.wait_for_value(&requests("usage", "graphql_error"), 1.0);
    account.set(|story| {
        story
            .statuses
            .extend([("metrics", (500, Vec::new(), echo.clone()))])
    });
    exporter.wait_for_value(&success("aggregates"), 0.0);
    let away = vec![("location", format!("http://127.0.0.1:1/{SECRET}"))];
    account.set(|story| {
        story
            .statuses
            .extend([("workerPools", (307, away, String::new()))])
    });
    exporter.wait_for_value(&success("workerpools"), 0.0);
    account.invalidate_tokens();
    account.set(|story| {
        story
            .statuses
            .extend([("apiKeyUser", (400, Vec::new(), echo))])
    });
    exporter.wait_for_value(&success("publicworkerpool"), 0.0);
    account.set(|story| drop(story.statuses.remove("apiKeyUser")));
    exporter.wait_for_value(&requests("token", "ok"), 2.0);
    let landing = exporter.get("/").text();
    let cached = setup.folder.names("cache");
    let cached: Vec<String> = cached
        .iter()
        .map(|name| setup.folder.read(&format!("cache/{name}")))
        .collect();
    for secret in [SECRET, TOKEN, KEY_ID] {
        for (place, text) in [
            ("log", &exporter.log()),
            ("page", &exporter.page().0),
            ("landing page", &landing),
            ("cache", &cached.concat()),
        ] {
            assert!(!text.contains(secret), "{secret} in the {place}:\n{text}");
        }
    }
    assert!(
        exporter.log().contains("(not shown)"),
        "the upstream's words are there otherwise"
    );
}
