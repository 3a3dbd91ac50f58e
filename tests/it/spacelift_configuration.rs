//! How an account is configured: fields, the original's variables, what is refused at start-up and what it says.

use serde_json::{Value, json};

use crate::exporter::Setup;
use crate::spacelift::{SEATS, UP, start};
use crate::spacelift_upstream::{Account, KEY_ID, SECRET};
use crate::tls::secure_upstream;

/// Runs a service with these fields to its end, which must be a configuration error that names `word`.
fn check_refused(name: &str, service: Value, word: &str) {
    let finished = Setup::new(name, json!({"acme": service})).run();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(
        finished.stderr.contains(word),
        "{word}: {}",
        finished.stderr
    );
    assert!(!finished.stderr.contains(SECRET), "{}", finished.stderr);
}

fn service(more: Value) -> Value {
    let mut service = json!({
        "type": "spacelift", "api_endpoint": "https://acme.example", "api_key_id": KEY_ID, "api_key_secret": SECRET,
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(service.as_object_mut().unwrap().remove(name)),
            value => service[name] = value.clone(),
        }
    }
    service
}

// Contract test 7, its first half.
#[test]
fn a_secret_file_that_holds_only_white_space_is_a_start_up_error() {
    let blank = Setup::new("spacelift-blank", json!({}));
    let path = blank.folder.write("secret", " \n\t\n");
    let with_file = service(json!({"api_key_secret": null, "api_key_secret_file": path}));
    check_refused("spacelift-blank-file", with_file, "is blank");
    let missing = service(json!({"api_key_secret": null, "api_key_secret_file": "/nowhere/key"}));
    check_refused("spacelift-no-file", missing, "/nowhere/key");
}

// Contract test 8.
#[test]
fn both_secret_settings_or_neither_is_a_start_up_error_that_does_not_print_the_secret() {
    let file = Setup::new("spacelift-secrets", json!({}));
    let path = file.folder.write("secret", SECRET);
    let both = service(json!({"api_key_secret_file": path}));
    check_refused("spacelift-both", both, "keep one");
    check_refused(
        "spacelift-neither",
        service(json!({"api_key_secret": null})),
        "api_key_secret",
    );
    check_refused(
        "spacelift-number",
        service(json!({"api_key_secret": 7})),
        "not shown",
    );
}

// Contract test 9.
#[test]
fn a_scrape_timeout_without_unit_or_not_above_zero_is_a_start_up_error() {
    for wrong in ["0s", "-1s", "5"] {
        let service = service(json!({"scrape_timeout": wrong}));
        check_refused("spacelift-timeout", service, "scrape_timeout");
    }
    let good = json!({"acme": service(json!({"scrape_timeout": "1m30s"}))});
    let finished = Setup::new("spacelift-timeout-good", good)
        .with("CONFIG_CHECK", "1")
        .run();
    assert!(finished.status.success(), "{finished:?}");
}

// Contract test 10.
#[test]
fn an_endpoint_needs_a_scheme_and_leads_to_graphql_however_it_ends() {
    let no_scheme = service(json!({"api_endpoint": "acme.app.spacelift.io"}));
    check_refused("spacelift-scheme", no_scheme, "has no scheme");
    for end in ["", "/", "///", "/graphql", "/graphql/"] {
        let account = Account::start();
        let endpoint = format!("{}{end}", account.url());
        let (_, _exporter, page) =
            start("spacelift-end", &account, json!({"api_endpoint": endpoint}));
        assert_eq!(page.value(UP), Some(1.0), "{end:?}");
    }
}

// Contract test 24, its second half.
#[test]
fn all_collectors_off_is_a_start_up_error() {
    let off = json!({"aggregates": false, "publicworkerpool": false, "usage": false, "workerpools": false});
    check_refused(
        "spacelift-all-off",
        service(json!({"collectors": off})),
        "all four",
    );
}

// Contract test 25.
#[test]
fn a_private_authority_is_trusted_beside_the_usual_ones_and_an_empty_file_is_a_start_up_error() {
    // The usual roots are those of SSL_CERT_FILE here, since no public server is asked.
    let (usual, public) = secure_upstream();
    let (private, hidden) = secure_upstream();
    let (public, hidden) = (Account::on(public), Account::on(hidden));
    let setup = Setup::new("spacelift-tls", json!({}));
    let usual = setup.folder.write("usual.pem", usual);
    let private = setup.folder.write("private.pem", private);
    let more = |name: &str, ca: bool| {
        let mut more = json!({"labels": {"account": name}});
        if ca {
            more["ca_cert_path"] = json!(private);
        }
        more
    };
    let services = json!({
        "hidden": hidden.service(more("hidden", true)),
        "public": public.service(more("public", true)),
        "without": hidden.service(more("without", false)),
    });
    setup.folder.write("services.json", services.to_string());
    let exporter = setup
        .with("SSL_CERT_FILE", usual.display().to_string())
        .start();
    exporter.wait_for_value(&format!("{SEATS}{{account=\"hidden\"}}"), 5.0);
    exporter.wait_for_value(&format!("{SEATS}{{account=\"public\"}}"), 5.0);
    let failed = "spacelift_exporter_api_requests_total{account=\"without\",operation=\"token\",outcome=\"network_error\"}";
    exporter.wait_for("no trust without the file", |page| {
        page.value(failed) > Some(0.0)
    });

    let empty = Setup::new("spacelift-empty-pem", json!({}));
    let path = empty.folder.write("empty.pem", "");
    check_refused(
        "spacelift-pem",
        service(json!({"ca_cert_path": path})),
        "holds no certificate",
    );
    check_refused(
        "spacelift-no-pem",
        service(json!({"ca_cert_path": "/nowhere.pem"})),
        "/nowhere.pem",
    );
}

// Contract test 26.
#[test]
fn two_accounts_without_telling_labels_are_a_start_up_error_and_with_them_run_side_by_side() {
    let (one, two) = (Account::start(), Account::start());
    two.set(|story| story.data["usage"]["usedSeats"] = 9.into());
    let same = json!({"one": one.service(json!({})), "two": two.service(json!({"labels": {"account": ""}}))});
    let finished = Setup::new("spacelift-collide", same).run();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(finished.stderr.contains("labels"), "{}", finished.stderr);
    let told = json!({
        "one": one.service(json!({"labels": {"account": "one"}})),
        "two": two.service(json!({"labels": {"account": "two"}})),
    });
    let exporter = Setup::new("spacelift-two", told).start();
    exporter.wait_for_value(&format!("{SEATS}{{account=\"one\"}}"), 5.0);
    exporter
        .wait_for_value(&format!("{SEATS}{{account=\"two\"}}"), 9.0)
        .assert_well_formed();
}

/// The original's variables for an account, and nothing else.
fn environment(name: &str, account: &Account) -> Setup {
    Setup::new(name, json!({}))
        .without("SERVICES_JSON_PATH")
        .with("SPACELIFT_PROMEX_API_ENDPOINT", account.url())
        .with("SPACELIFT_PROMEX_API_KEY_ID", KEY_ID)
        .with("SPACELIFT_PROMEX_API_KEY_SECRET", SECRET)
}

fn remove_services(setup: &Setup) {
    // It would be found in the folder that the exporter is started in.
    std::fs::remove_file(setup.folder.path("services.json")).unwrap();
}

#[test]
fn the_originals_variables_alone_are_a_service_with_its_port_log_and_collectors() {
    let account = Account::start();
    let setup = environment("spacelift-env", &account)
        .without("WEB_LISTEN_ADDRESS")
        .with("SPACELIFT_PROMEX_LISTEN_ADDRESS", "127.0.0.1:0")
        .with("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "1m30s")
        .with("SPACELIFT_PROMEX_COLLECTOR_USAGE", "F")
        .with("SPACELIFT_PROMEX_PARTIAL_SCRAPES", "false")
        .with("SPACELIFT_PROMEX_IS_DEVELOPMENT", "T");
    remove_services(&setup);
    let exporter = setup.start();
    let page = exporter.wait_for_value("saas_exporter_service_up{service=\"spacelift\"}", 1.0);
    assert!(page.lines(SEATS).is_empty() && account.asked_for("usage").is_empty());
    assert!(
        page.lines("statuspage_probe_check").is_empty(),
        "no built-in list"
    );
    let log = exporter.wait_for_log("poll succeeded");
    assert!(log.contains("listening address=127.0.0.1:"), "{log}");
    assert!(
        log.contains("partial mode is always on") && log.contains("debug"),
        "{log}"
    );
    assert!(
        log.contains("spacelift") && log.contains("is in the environment alone"),
        "{log}"
    );
}

#[test]
fn wrong_variables_are_named_and_wrong_ports_are_checked_even_when_not_used() {
    let account = Account::start();
    let refused = |variable: &str, value: &str| {
        let setup = environment("spacelift-wrong", &account).with(variable, value);
        remove_services(&setup);
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(2), "{variable}: {finished:?}");
        assert!(finished.stderr.contains(variable), "{}", finished.stderr);
        assert!(!finished.stderr.contains(SECRET), "{}", finished.stderr);
    };
    refused("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "5");
    refused("SPACELIFT_PROMEX_COLLECTOR_AGGREGATES", "yes");
    refused("SPACELIFT_PROMEX_IS_DEVELOPMENT", "maybe");
    refused("SPACELIFT_PROMEX_PARTIAL_SCRAPES", "maybe");
    refused("SPACELIFT_PROMEX_LISTEN_ADDRESS", "127.0.0.1");
    refused("SPACELIFT_PROMEX_API_KEY_SECRET_FILE", "/nowhere/key");
    refused("SPACELIFT_PROMEX_API_ENDPOINT", "acme.app.spacelift.io");
}

#[test]
fn the_environment_describes_one_account_only_and_fields_win_over_it() {
    let account = Account::start();
    let bare = |label: &str| json!({"type": "spacelift", "labels": {"account": label}});
    let two = json!({"one": bare("one"), "two": bare("two")});
    let setup = Setup::new("spacelift-env-two", two)
        .with("SPACELIFT_PROMEX_API_ENDPOINT", account.url())
        .with("SPACELIFT_PROMEX_API_KEY_ID", KEY_ID)
        .with("SPACELIFT_PROMEX_API_KEY_SECRET", SECRET);
    let finished = setup.run();
    assert_eq!(finished.status.code(), Some(2), "{finished:?}");
    assert!(
        finished.stderr.contains("\"api_endpoint\": is missing"),
        "{}",
        finished.stderr
    );

    let exporter = Setup::new("spacelift-env-field", account.services(json!({})))
        .with("SPACELIFT_PROMEX_API_ENDPOINT", "http://127.0.0.1:1")
        .with("SPACELIFT_PROMEX_API_KEY_ID", "other")
        .start();
    exporter.wait_for_value(UP, 1.0);
}
