//! Several exporters that divide one services.json among them.

use std::collections::BTreeSet;

use saas_exporter::shard::owner;
use serde_json::{Value, json};

use crate::exporter::Setup;
use crate::fixtures;
use crate::upstream::{self, Upstream};

const ORDINAL: &str = "saas_exporter_shard_ordinal";
const SHARDS: &str = "saas_exporter_shards";

/// Well-known services, which the shards divide as `saas_exporter::shard` has written down for ever.
const KEYS: [&str; 6] = ["a", "cloudflare", "datadog", "github", "slack", "sentry"];

fn services(upstream: &Upstream) -> Value {
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let service = |key: &str| {
        let url = upstream.url("/s");
        let service = json!({"name": key, "url": url, "interval": "1h"});
        (key.to_owned(), service)
    };
    Value::Object(KEYS.iter().map(|key| service(key)).collect())
}

fn owned(ordinal: u32, total: u32) -> BTreeSet<String> {
    let is_owned = |key: &&&str| owner(key, total) == ordinal;
    KEYS.iter()
        .filter(is_owned)
        .map(|key| (*key).to_owned())
        .collect()
}

#[test]
fn every_service_runs_on_exactly_one_of_the_pods_of_a_stateful_set() {
    let upstream = Upstream::start();
    let mut all = Vec::new();
    for ordinal in 0..3 {
        let setup = Setup::new("pods", services(&upstream))
            .argument("--total-shards=3")
            .with("HOSTNAME", format!("saas-exporter-{ordinal}"));
        let exporter = setup.start();
        let page = exporter.page();
        assert_eq!(page.value(ORDINAL), Some(ordinal.into()));
        assert_eq!(page.value(SHARDS), Some(3.0));
        let found = exporter.page().services();
        assert_eq!(found, owned(ordinal, 3));
        all.extend(found);
    }
    all.sort();
    let mut expected = KEYS.map(str::to_owned);
    expected.sort();
    assert_eq!(all, expected);
}

#[test]
fn without_shards_there_is_one_that_runs_everything() {
    let upstream = Upstream::start();
    let exporter = Setup::new("whole", services(&upstream)).start();
    let page = exporter.page();
    assert_eq!(
        (page.value(ORDINAL), page.value(SHARDS)),
        (Some(0.0), Some(1.0))
    );
    assert_eq!(exporter.page().services().len(), KEYS.len());
    let setup = Setup::new("one", services(&upstream)).with("TOTAL_SHARDS", "1");
    assert_eq!(setup.start().page().services().len(), KEYS.len());
}

#[test]
fn a_shard_that_owns_nothing_serves_and_is_ready_and_a_reload_may_give_it_something() {
    // Given: a shard of many, which owns none of the services.
    let upstream = Upstream::start();
    let mut services = services(&upstream);
    let ordinal = (0..100).find(|ordinal| owned(*ordinal, 100).is_empty());
    let ordinal = ordinal.unwrap();
    let setup = Setup::new("nothing", services.clone())
        .with("SHARD", ordinal.to_string())
        .with("TOTAL_SHARDS", "100");
    let exporter = setup.start();
    assert_eq!(exporter.get("/-/ready").status, 200);
    assert_eq!(exporter.get("/").status, 200);
    exporter.page().assert_well_formed();
    assert!(exporter.page().services().is_empty());

    // When
    let names = (0..).map(|number| format!("new-{number}"));
    let (ours, others): (Vec<_>, Vec<_>) =
        names.take(500).partition(|key| owner(key, 100) == ordinal);
    for key in ours.iter().chain(&others) {
        services[key] = json!({"name": key, "url": upstream.url("/s"), "interval": "1h"});
    }
    setup.folder.write("services.json", services.to_string());
    let response = exporter.request("POST", "/-/reload", &[]);

    // Then
    assert_eq!(response.status, 200, "{}", response.text());
    assert!(!ours.is_empty());
    let told = format!(
        ": {} added, 0 removed, 0 changed, 0 unchanged.\n",
        ours.len()
    );
    assert!(response.text().ends_with(&told), "{}", response.text());
    assert_eq!(exporter.page().services(), ours.into_iter().collect());
    assert_eq!(exporter.get("/-/ready").status, 200);
    assert!(exporter.page().services().len() < others.len());
}

#[test]
fn the_check_says_which_services_are_ours_and_a_mistake_counts_in_any_shard() {
    let upstream = Upstream::start();
    let mut services = services(&upstream);
    let setup = |services: &Value| {
        Setup::new("check", services.clone())
            .argument("--config.check")
            .argument("--shard=2")
            .argument("--total-shards=3")
    };
    let finished = setup(&services).run();
    assert_eq!(finished.status.code(), Some(0), "{}", finished.stderr);
    let text = finished.stdout;
    let own = owned(2, 3).len();
    assert!(
        text.contains(&format!("services.json: {own} services\n")),
        "{text}"
    );
    let others = 6 - own;
    let head = format!("{others} more run elsewhere; this is shard 2 of 3, counted from 0\n");
    assert!(text.contains(&head), "{text}");
    assert!(text.contains("  github      every "), "{text}");
    assert!(text.contains("  a: shard 1\n"), "{text}");

    services["a"]["url"] = "nowhere".into();
    let finished = setup(&services).run();
    assert_eq!(finished.status.code(), Some(2));
    assert!(
        finished.stderr.contains("service \"a\", field \"url\""),
        "{}",
        finished.stderr
    );
}

#[test]
fn shards_that_make_no_sense_are_start_up_errors_that_say_what_to_do() {
    let upstream = Upstream::start();
    let services = services(&upstream);
    let check = |arguments: &[&str], host: &str, expected: &str| {
        let setup = Setup::new("senseless", services.clone()).with("HOSTNAME", host);
        let setup = arguments
            .iter()
            .fold(setup, |setup, argument| setup.argument(argument));
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(2), "{arguments:?}");
        assert_eq!(finished.stderr, format!("error: {expected}\n"));
    };
    check(
        &["--shard=3", "--total-shards=3"],
        "x",
        "--shard=3: neither auto nor a number from 0 to 2, as there are 3 shards",
    );
    check(
        &["--shard=first", "--total-shards=3"],
        "x",
        "--shard=first: neither auto nor a number from 0 to 2, as there are 3 shards",
    );
    check(
        &["--total-shards=0"],
        "x",
        "--total-shards=0: not a number from 1 to 1024",
    );
    check(
        &["--shard=1", "--total-shards=5000"],
        "x",
        "--total-shards=5000: not a number from 1 to 1024",
    );
    check(
        &["--shard=1"],
        "x",
        "--shard=1: a shard of how many? say it with --total-shards",
    );
    check(
        &["--shard=auto"],
        "x-1",
        "--shard=auto: a shard of how many? say it with --total-shards",
    );
    check(
        &["--total-shards=3"],
        "web",
        "--total-shards=3: the host name \"web\" does not end in a dash and a number, as in a StatefulSet; say which shard this is with --shard",
    );
    check(
        &["--shard", "auto", "--total-shards=3"],
        "saas-exporter-3",
        "--total-shards=3: the host name \"saas-exporter-3\" says shard 3, but shards are counted from 0; raise it to the number of replicas",
    );
}

#[test]
fn without_the_variable_the_system_tells_the_host_name() {
    // Given: what this machine is called, whether or not a number ends it.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    let upstream = Upstream::start();
    let setup = Setup::new("uname", services(&upstream))
        .argument("--total-shards=1024")
        .argument("--config.check");
    let finished = setup.run();
    let told = finished.stdout + &finished.stderr;
    match saas_exporter::shard::ordinal_of_host(name.trim()) {
        Some(ordinal) if ordinal < 1024 => {
            assert!(told.contains(&format!("shard {ordinal} of 1024")), "{told}");
        }
        _ => assert!(told.contains(name.trim()), "{told}"),
    }
}
