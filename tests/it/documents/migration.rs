//! docs/migration.md names every variable and metric of the programs that we replace, as the code knows them, and the
//! README's first example is what the program prints.

use std::collections::BTreeSet;

use saas_exporter::config::settings::SETTINGS;
use saas_exporter::sources::SOURCES;
use serde_json::json;

use super::{code_block, read, sources_of_the_program};
use crate::exporter::Setup;

/// Heading and source of each part.
const PARTS: [(&str, &str); 4] = [
    ("Status pages", "statuspage"),
    ("Pantheon", "pantheon"),
    ("Spacelift", "spacelift"),
    ("AAISP", "aaisp"),
];

/// The variables of the Python exporter for status pages, which are settings of the process.
const OF_STATUS_PAGES: [&str; 8] = [
    "METRICS_PORT",
    "SERVICES_JSON_PATH",
    "CHECK_INTERVAL_MINUTES",
    "DEBUG",
    "CLEAR_CACHE",
    "SLACK_WEBHOOK_URL",
    "RUN_MODE",
    "METRICS_TEXTFILE_PATH",
];

/// A complete environment of each original, with values that are all right.
const PANTHEON: [(&str, &str); 5] = [
    ("PANTHEON_MACHINE_TOKENS", "some-token"),
    ("PANTHEON_ENV", "dev"),
    ("REFRESH_INTERVAL", "30"),
    ("SITE_LIMIT", "7"),
    ("ORG_ID", "acme"),
];
const SPACELIFT: [(&str, &str); 12] = [
    ("SPACELIFT_PROMEX_API_ENDPOINT", "https://acme.example"),
    ("SPACELIFT_PROMEX_API_KEY_ID", "01KEY"),
    ("SPACELIFT_PROMEX_API_KEY_SECRET", "some-secret"),
    ("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", "7s"),
    ("SPACELIFT_PROMEX_CA_CERT_PATH", "ca.pem"),
    ("SPACELIFT_PROMEX_LISTEN_ADDRESS", "127.0.0.1:7001"),
    ("SPACELIFT_PROMEX_IS_DEVELOPMENT", "true"),
    ("SPACELIFT_PROMEX_COLLECTOR_AGGREGATES", "false"),
    ("SPACELIFT_PROMEX_COLLECTOR_PUBLICWORKERPOOL", "F"),
    ("SPACELIFT_PROMEX_COLLECTOR_USAGE", "0"),
    ("SPACELIFT_PROMEX_COLLECTOR_WORKERPOOLS", "T"),
    ("SPACELIFT_PROMEX_PARTIAL_SCRAPES", "false"),
];
const AAISP: [(&str, &str); 19] = [
    ("AAISP_EXPORTER_AUTH__CONTROL_LOGIN", "demo@a"),
    ("AAISP_EXPORTER_AUTH__CONTROL_PASSWORD", "some-password"),
    ("AAISP_EXPORTER_AUTH__ACCOUNT_NUMBER", "A1234A"),
    ("AAISP_EXPORTER_AUTH__ACCOUNT_PASSWORD", "some-password"),
    ("AAISP_EXPORTER_SERVER__HOST", "127.0.0.1"),
    ("AAISP_EXPORTER_SERVER__PORT", "7002"),
    ("AAISP_EXPORTER_LOGGING__LEVEL", "DEBUG"),
    ("AAISP_EXPORTER_LOGGING__JSON_FORMAT", "yes"),
    ("AAISP_EXPORTER_INTERVALS__FAST", "61"),
    ("AAISP_EXPORTER_INTERVALS__MEDIUM", "301"),
    ("AAISP_EXPORTER_INTERVALS__SLOW", "901"),
    ("AAISP_EXPORTER_API__BASE_URL", "https://chaos.example"),
    ("AAISP_EXPORTER_API__TIMEOUT", "31"),
    ("AAISP_EXPORTER_API__MAX_RETRIES", "2"),
    ("AAISP_EXPORTER_API__CONCURRENCY_LIMIT", "4"),
    ("AAISP_EXPORTER_COLLECTORS__ENABLE_BROADBAND", "on"),
    ("AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY", "y"),
    ("AAISP_EXPORTER_COLLECTORS__ENABLE_TELEPHONY_RATECARD", "t"),
    ("AAISP_EXPORTER_COLLECTORS__ENABLE_CONTROL_LOGIN", "1"),
];

#[test]
fn each_part_names_exactly_the_variables_that_the_code_takes() {
    for (heading, source) in PARTS {
        let named = variables(heading);
        if source == "statuspage" {
            assert_eq!(named, OF_STATUS_PAGES.map(str::to_owned).into());
            assert!(named.iter().all(|name| is_setting(name)), "{named:?}");
        } else {
            assert_eq!(named, accepted(source), "{heading}");
        }
    }
}

#[test]
fn each_part_names_every_metric_of_its_source_and_no_other() {
    for (heading, source) in PARTS {
        let text = part(heading);
        let families = SOURCES
            .iter()
            .find(|kind| kind.name == source)
            .unwrap()
            .families;
        let known: BTreeSet<String> = families()
            .iter()
            .map(|family| family.name.to_owned())
            .collect();
        let prefix = format!("{source}_");
        let named = code_words(&text).filter(|word| word.starts_with(&prefix));
        let named: BTreeSet<String> = named.map(str::to_owned).collect();
        assert_eq!(named, known, "{heading}");
    }
}

#[test]
fn the_program_takes_the_whole_environment_of_each_original() {
    let check = |source: &str, variables: &[(&str, &str)], process: [&str; 2], unseen: &[&str]| {
        let setup = Setup::new("original-environment", json!({}))
            .without("SERVICES_JSON_PATH")
            .without("WEB_LISTEN_ADDRESS")
            .without("CHECK_INTERVAL_MINUTES");
        std::fs::remove_file(setup.folder.path("services.json")).unwrap();
        let certificate = rcgen::generate_simple_self_signed(["a.example".to_owned()]).unwrap();
        setup.folder.write("ca.pem", certificate.cert.pem());
        let setup = variables
            .iter()
            .fold(setup.argument("--config.check"), |setup, (name, value)| {
                setup.with(name, *value)
            });
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert!(
            finished.stdout.contains("environment: 1 service\n"),
            "{finished:?}"
        );
        for line in process {
            assert!(
                finished.stdout.contains(line),
                "missing: {line}\n{}",
                finished.stdout
            );
        }
        for (name, _) in variables.iter().filter(|(name, _)| !unseen.contains(name)) {
            let found = finished.stdout.lines().any(|line| {
                line.trim_end_matches(')')
                    .ends_with(&format!("from {name}"))
            });
            assert!(found, "{name} is not taken:\n{}", finished.stdout);
        }
        let set: BTreeSet<String> = variables
            .iter()
            .map(|(name, _)| (*name).to_owned())
            .collect();
        let missing: Vec<_> = accepted(source).difference(&set).cloned().collect();
        missing
    };
    let at_port = "polls and serves at port 8080 of all addresses";
    assert!(check("pantheon", &PANTHEON, [at_port, "info as text"], &[]).is_empty());
    // The secret and its file exclude each other; three are seen in what the process does.
    let unseen = [
        "SPACELIFT_PROMEX_LISTEN_ADDRESS",
        "SPACELIFT_PROMEX_IS_DEVELOPMENT",
        "SPACELIFT_PROMEX_PARTIAL_SCRAPES",
    ];
    let process = ["polls and serves at 127.0.0.1:7001", "debug as text"];
    assert_eq!(
        check("spacelift", &SPACELIFT, process, &unseen),
        ["SPACELIFT_PROMEX_API_KEY_SECRET_FILE"]
    );
    // Of the two pairs the control pair is used alone, and the other is shown where it comes from.
    let unseen = [
        "AAISP_EXPORTER_SERVER__HOST",
        "AAISP_EXPORTER_SERVER__PORT",
        "AAISP_EXPORTER_LOGGING__LEVEL",
        "AAISP_EXPORTER_LOGGING__JSON_FORMAT",
    ];
    let process = ["polls and serves at 127.0.0.1:7002", "debug as JSON"];
    assert!(check("aaisp", &AAISP, process, &unseen).is_empty());
}

#[test]
fn the_first_check_of_the_readme_prints_what_stands_there() {
    let readme = read("README.md");
    let (_, part) = readme.split_once("\n## In a minute\n").unwrap();
    let setup = Setup::new("first-check", json!({}))
        .without("SERVICES_JSON_PATH")
        .without("WEB_LISTEN_ADDRESS")
        .without("CHECK_INTERVAL_MINUTES")
        .without("CACHE_DIR")
        .argument("--config.check");
    setup
        .folder
        .write("services.json", code_block(part, "json").unwrap());
    let (_, after) = part.split_once("`--config.check`").unwrap();
    let shown = code_block(after, "").unwrap();
    assert_eq!(setup.run().stdout.trim_end(), shown);
}

/// The text of a part.
fn part(heading: &str) -> String {
    let text = read("docs/migration.md");
    let (_, rest) = text.split_once(&format!("\n## {heading}\n")).unwrap();
    rest.split("\n## ").next().unwrap().to_owned()
}

/// The variables in the first column of a part's table of the environment.
fn variables(heading: &str) -> BTreeSet<String> {
    let part = part(heading);
    let (_, rest) = part.split_once("\n### Environment of ").unwrap();
    let table = rest.split("\n### ").next().unwrap();
    let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
    let first_cells = rows.filter_map(|row| row.split(" |").next());
    let words = first_cells.flat_map(|cell| cell.split('`'));
    words
        .filter(|word| is_variable(word))
        .map(str::to_owned)
        .collect()
}

fn is_variable(word: &str) -> bool {
    let is_of_name =
        |letter: u8| letter.is_ascii_uppercase() || letter.is_ascii_digit() || letter == b'_';
    word.len() > 3 && word.bytes().all(is_of_name) && !word.ends_with('_')
}

/// What stands between backticks.
fn code_words(text: &str) -> impl Iterator<Item = &str> {
    let code = text
        .split("\n```")
        .step_by(2)
        .flat_map(|part| part.split('`').skip(1).step_by(2));
    code.flat_map(|code| {
        code.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
    })
}

/// The variables of the original that a source's code names as a whole.
fn accepted(source: &str) -> BTreeSet<String> {
    let folder = format!("sources/{source}/");
    let code = sources_of_the_program().into_iter();
    let code = code.filter(|(path, _)| path.starts_with(&folder));
    let mut found = BTreeSet::new();
    for (_, code) in code {
        let literals = code.split('"').skip(1).step_by(2);
        for literal in literals.filter(|literal| is_variable(literal) && !is_setting(literal)) {
            match source {
                // Its variables stand there without what all begin with.
                "aaisp" if literal.contains("__") => {
                    found.insert(format!("AAISP_EXPORTER_{literal}"))
                }
                "spacelift" if literal.starts_with("SPACELIFT_") => {
                    found.insert(literal.to_owned())
                }
                "pantheon" if literal.contains('_') => found.insert(literal.to_owned()),
                _ => false,
            };
        }
    }
    found
}

fn is_setting(name: &str) -> bool {
    SETTINGS.iter().any(|setting| setting.variable == name)
}
