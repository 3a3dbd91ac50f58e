//! The documents say what the code says, and the house keeps its order.
//!
//! With the variable `UPDATE_GOLDEN=1` the generated parts are written instead of compared; the difference is then
//! reviewed like code.

mod completions;
mod limits;
mod links;
mod manuals;
mod migration;

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use saas_exporter::config::settings::SETTINGS;
use saas_exporter::config::{Field, Form, GENERAL_FIELDS, schema};
use saas_exporter::fetch::{Failure, KINDS};
use saas_exporter::model::FamilyMeta;
use saas_exporter::sources::SOURCES;
use saas_exporter::{VERSION, telemetry};
use serde_json::{Value, json};

#[test]
fn the_tables_of_the_readme_are_those_of_the_code() {
    // One test for all tables, since it may rewrite the one file that they stand in.
    let mut readme = read("README.md");
    for (name, table) in tables() {
        readme = with_part(&readme, &name, &table);
    }
    check("README.md", &readme);
}

#[test]
fn the_environment_file_of_the_unit_lists_every_setting() {
    let mut text = String::from(
        "# Settings of saas-exporter as a service of systemd: take the # away from a line to set it, then\n\
         # `systemctl restart saas-exporter`. Root alone should read this file if it holds a secret. Better, put the secret\n\
         # into a file in /etc/saas-exporter/credentials, readable for root alone: NAME there is\n\
         # ${CREDENTIALS_DIRECTORY}/secret_NAME here and in services.json.\n",
    );
    for setting in SETTINGS {
        let (variable, default) = (setting.variable, setting.default);
        let is_value = !default.contains([' ', '$']) && default != "none";
        let value = if is_value { default } else { "" };
        let meaning = setting.meaning;
        write!(
            text,
            "\n# {meaning}\n# Default: {default}.\n#{variable}={value}\n"
        )
        .unwrap();
    }
    // What the unit and the credentials make different.
    let text = text
        .replace(
            "#SERVICES_JSON_PATH=\n",
            "#SERVICES_JSON_PATH=/etc/saas-exporter/services.json\n",
        )
        .replace(
            "#SLACK_WEBHOOK_URL_FILE=\n",
            "#SLACK_WEBHOOK_URL_FILE=${CREDENTIALS_DIRECTORY}/secret_slack-webhook\n",
        );
    check("deploy/systemd/saas-exporter.env", &text);
}

#[test]
fn the_schema_file_is_the_schema_of_the_code() {
    let text = serde_json::to_string_pretty(&schema()).unwrap();
    check("docs/services.schema.json", &(text + "\n"));
}

#[test]
fn the_schema_accepts_the_shipped_services_and_refuses_mistakes() {
    let schema = schema();
    let check = |services: Value, expected: bool| {
        assert_eq!(accepts(&schema, &services), expected, "{services}");
    };
    let shipped: Value = serde_json::from_str(&read("services.json.example")).unwrap();
    check(shipped, true);
    let url = "https://www.githubstatus.com";
    let whole = json!({
        "type": "statuspage", "name": "a", "url": url, "interval": "90s", "timeout": 5, "status_scale": "ternary",
        "headers": {"A": "b", "C": {"env": "D"}, "E": {"file": "/f"}}, "ca_file": "/ca.pem", "labels": {"team": "x"},
        "_comment": 1,
    });
    check(json!({"a": whole, "_b": [], "$schema": "x"}), true);
    check(json!({"a": {"name": "a"}}), false);
    check(json!({"a": {"url": url}}), false);
    check(json!({"a": {"name": "", "url": url}}), false);
    check(
        json!({"a": {"name": "a", "url": "githubstatus.com"}}),
        false,
    );
    check(
        json!({"a": {"name": "a", "url": url, "intervall": 1}}),
        false,
    );
    check(
        json!({"a": {"name": "a", "url": url, "interval": 0}}),
        false,
    );
    check(
        json!({"a": {"name": "a", "url": url, "interval": true}}),
        false,
    );
    check(
        json!({"a": {"name": "a", "url": url, "headers": {"A": {"x": "y"}}}}),
        false,
    );
    check(
        json!({"a": {"name": "a", "url": url, "labels": {"0": "x"}}}),
        false,
    );
    check(json!({"a": []}), false);
    check(json!({}), false);
    let account = json!({
        "type": "spacelift", "api_endpoint": "https://acme.app.spacelift.io", "api_key_id": "x", "api_key_secret": "y",
        "collectors": {"usage": false}, "details_max_pages": 7, "space_label": "id", "stack_details": true,
    });
    check(json!({"a": account}), true);
    let mut mistake = account.clone();
    mistake["collectors"]["usages"] = true.into();
    check(json!({"a": mistake}), false);
    let mut mistake = account;
    mistake["details_max_pages"] = 0.into();
    check(json!({"a": mistake}), false);
}

#[test]
fn the_changelog_and_the_image_name_the_current_version() {
    let changelog = read("CHANGELOG.md");
    let newest = changelog.lines().find(|line| line.starts_with("## "));
    let begin = format!("## {VERSION} ");
    assert!(newest.unwrap().starts_with(&begin), "{newest:?}");
    let label = format!("org.opencontainers.image.version=\"{VERSION}\"");
    assert!(read("Dockerfile").contains(&label), "{label}");
}

#[test]
fn every_source_has_a_document_that_names_its_families_and_fields() {
    for source in SOURCES {
        let path = format!("docs/sources/{}.md", source.name);
        let document = read(&path);
        let families = (source.families)().iter().map(|family| family.name);
        let names = families.chain(source.fields.iter().map(|field| field.name));
        let missing: Vec<_> = names
            .filter(|name| !document.contains(&format!("`{name}`")))
            .collect();
        assert!(missing.is_empty(), "{path} lacks {missing:?}");
        let link = format!("[{0}]({0}.md)", source.name);
        assert!(read("docs/sources/README.md").contains(&link), "{link}");
    }
}

#[test]
fn every_failure_kind_is_explained() {
    let document = read("docs/sources/README.md");
    let missing: Vec<_> = KINDS
        .iter()
        .filter(|kind| !document.contains(&format!("| `{kind}` |")))
        .collect();
    assert!(
        missing.is_empty(),
        "docs/sources/README.md lacks {missing:?}"
    );
}

#[test]
fn every_metric_in_an_expression_exists() {
    let known: BTreeSet<&str> = all_families().iter().map(|family| family.name).collect();
    // Those of the runbooks are looked for where the alerts are.
    let others = documents()
        .into_iter()
        .filter(|path| !path.ends_with("docs/runbooks.md"));
    for path in others {
        let text = fs::read_to_string(&path).unwrap();
        for name in metric_names(&text) {
            assert!(
                known.contains(name),
                "{}: {name} is no metric of ours",
                path.display()
            );
        }
    }
}

#[test]
fn modules_import_one_way() {
    let forbidden: [(&[&str], &[&str]); 3] = [
        (
            &["sources"],
            &[
                "exposition",
                "server",
                "landing",
                "snapshot",
                "textfile",
                "poller",
                "run",
            ],
        ),
        (
            &[
                "exposition",
                "server",
                "gate",
                "landing",
                "snapshot",
                "textfile",
            ],
            &["sources", "poller", "run"],
        ),
        (
            &["fetch", "model", "clock", "overview"],
            &["sources", "server", "snapshot", "poller", "run"],
        ),
    ];
    for (path, code) in sources_of_the_program() {
        // A group of imports would hide names from the search below.
        assert!(
            !code.contains("use crate::{"),
            "{path}: import one module a line"
        );
        for (from, to) in forbidden {
            let is_concerned = from.iter().any(|module| is_in(&path, &[module]));
            let used = to.iter().find(|module| uses(&code, module));
            assert!(!is_concerned || used.is_none(), "{path} uses {used:?}");
        }
    }
}

#[test]
fn only_the_named_modules_reach_the_world() {
    let places: [(&str, &[&str]); 4] = [
        ("ureq", &["fetch", "notify", "config"]),
        // simulation is the upstream of unit tests.
        (
            "TcpStream",
            &["fetch", "notify", "gate", "sources/pantheon/simulation"],
        ),
        ("std::env", &["config", "main"]),
        // What telemetry reads is /proc; original is handed the open file of an earlier program by the cache.
        (
            "std::fs",
            &[
                "cache",
                "history",
                "textfile",
                "config",
                "telemetry",
                "sources/statuspage/original",
            ],
        ),
    ];
    for (path, code) in sources_of_the_program() {
        for (word, modules) in places {
            assert!(
                is_in(&path, modules) || !code.contains(word),
                "{path} mentions {word}"
            );
        }
        let client = code.matches("ureq").count() - code.matches("ureq::http::").count();
        assert!(
            !is_in(&path, &["config"]) || client == 0,
            "{path}: header types only"
        );
    }
}

#[test]
fn files_are_named_for_what_they_are_about() {
    for (path, _) in sources_of_the_program() {
        let name = Path::new(&path).file_stem().unwrap().to_str().unwrap();
        assert!(
            !["utils", "common", "helpers", "types"].contains(&name),
            "{path}"
        );
    }
    assert!(
        read("src/main.rs").lines().count() < 80,
        "main.rs reads like a table of contents"
    );
}

/// The generated parts of the README, by the name in their markers.
fn tables() -> Vec<(String, String)> {
    let mut tables = vec![
        ("settings".to_owned(), settings_table()),
        ("fields".to_owned(), fields_table()),
        ("failure kinds".to_owned(), failures_table()),
    ];
    for source in SOURCES {
        tables.push((
            format!("metrics of {}", source.name),
            families_table((source.families)()),
        ));
    }
    let own: Vec<FamilyMeta> = telemetry::all_families().collect();
    tables.push(("metrics of the exporter".to_owned(), families_table(&own)));
    tables
}

fn settings_table() -> String {
    let rows = SETTINGS.iter().map(|setting| {
        let flag = setting
            .flag
            .map_or_else(String::new, |flag| format!("`--{flag}`"));
        vec![
            flag,
            format!("`{}`", setting.variable),
            setting.default.to_owned(),
            setting.meaning.to_owned(),
        ]
    });
    table(&["flag", "variable", "default", "meaning"], rows)
}

fn fields_table() -> String {
    let row = |of: &str, field: &Field| {
        let needed = if field.required { "yes" } else { "" };
        vec![
            format!("`{}`", field.name),
            of.to_owned(),
            needed.to_owned(),
            form(field.form),
            field.meaning.to_owned(),
        ]
    };
    let general = GENERAL_FIELDS.iter().map(|field| row("any type", field));
    let own = SOURCES.iter().flat_map(|source| {
        source
            .fields
            .iter()
            .map(move |field| row(source.name, field))
    });
    table(
        &["field", "of", "required", "form", "meaning"],
        general.chain(own),
    )
}

fn form(form: Form) -> String {
    match form {
        Form::Text => "text".to_owned(),
        Form::Url => "http or https address".to_owned(),
        Form::Duration => "`\"90s\"`, `\"1h30m\"` or a number of seconds".to_owned(),
        Form::Word(words) => {
            let words: Vec<String> = words.iter().map(|word| format!("`\"{word}\"`")).collect();
            words.join(" or ")
        }
        Form::Integer(least, most) => format!("whole number from {least} to {most}"),
        Form::Boolean => "`true` or `false`".to_owned(),
        Form::Secret => "text, never shown".to_owned(),
        Form::SecretList => "list of texts, never shown".to_owned(),
        Form::Path => "path of a file".to_owned(),
        Form::Labels => "object of texts".to_owned(),
        Form::Headers => "object of texts or places".to_owned(),
    }
}

fn families_table(families: &[FamilyMeta]) -> String {
    let rows = families.iter().map(|family| {
        let labels: Vec<String> = family
            .labels
            .iter()
            .map(|label| format!("`{label}`"))
            .collect();
        vec![
            format!("`{}`", family.name),
            family.kind.word().to_owned(),
            labels.join(", "),
            unit(family.name).to_owned(),
            family.help.to_owned(),
        ]
    });
    table(&["metric", "type", "labels", "unit", "meaning"], rows)
}

/// The unit that a name ends in; none for counts, states and words.
fn unit(name: &str) -> &'static str {
    let endings = [
        ("_timestamp_seconds", "Unix seconds"),
        ("_start_time_seconds", "Unix seconds"),
        ("_collection_timestamp", "Unix seconds"),
        ("_timestamp", "Unix milliseconds"),
        ("_run_duration", "nanoseconds"),
        ("_scrape_duration", "seconds"),
        ("_seconds", "seconds"),
        ("_seconds_total", "seconds"),
        ("_bytes", "bytes"),
        ("_percentage", "percent"),
    ];
    endings
        .iter()
        .find(|(end, _)| name.ends_with(end))
        .map_or("", |(_, unit)| unit)
}

fn failures_table() -> String {
    let rows = KINDS.map(|kind| {
        let failure = failures()
            .into_iter()
            .find(|failure| failure.kind() == kind)
            .unwrap();
        vec![
            format!("`{kind}`"),
            failure.to_string(),
            failure.remedy().to_owned(),
        ]
    });
    table(
        &["kind", "the log and the page at `/` say", "what to do"],
        rows,
    )
}

/// One failure of every kind.
fn failures() -> Vec<Failure> {
    let detail = || "…".to_owned();
    let status = |code| Failure::Status {
        code,
        retry_after: None,
    };
    vec![
        Failure::Dns(detail()),
        Failure::Connect(detail()),
        Failure::Tls(detail()),
        Failure::Timeout {
            phase: "the answer",
            limit: Duration::from_secs(15),
        },
        status(404),
        status(403),
        status(429),
        status(400),
        status(503),
        Failure::Redirect(detail()),
        Failure::TooLarge {
            limit_bytes: saas_exporter::fetch::BODY_LIMIT_BYTES,
        },
        Failure::BodyCut(detail()),
        Failure::Json(detail()),
        Failure::Shape(detail()),
        Failure::Refused(detail()),
        Failure::Config(detail()),
        Failure::Internal(detail()),
    ]
}

fn all_families() -> Vec<FamilyMeta> {
    let of_sources = SOURCES
        .iter()
        .flat_map(|source| (source.families)().iter().copied());
    of_sources.chain(telemetry::all_families()).collect()
}

fn table(head: &[&str], rows: impl IntoIterator<Item = Vec<String>>) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|")).collect();
        writeln!(text, "| {} |", cells.join(" | ")).unwrap();
    }
    // An empty cell is written without its second space.
    text.replace("|  |", "| |")
}

/// The text with `part` between the markers of that name.
fn with_part(text: &str, name: &str, part: &str) -> String {
    let (begin, end) = (
        format!("<!-- begin {name} -->\n"),
        format!("<!-- end {name} -->"),
    );
    let (before, rest) = text
        .split_once(&begin)
        .unwrap_or_else(|| panic!("no marker {begin}"));
    let (_, after) = rest
        .split_once(&end)
        .unwrap_or_else(|| panic!("no marker {end}"));
    format!("{before}{begin}{part}{end}{after}")
}

/// Compares a file with what it should be, or writes it.
fn check(path: &str, expected: &str) {
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
        return fs::write(root().join(path), expected).unwrap();
    }
    let found = fs::read_to_string(root().join(path)).unwrap_or_default();
    let differs = found
        .lines()
        .zip(expected.lines())
        .find(|(found, expected)| found != expected);
    assert!(
        found == expected,
        "{path} differs from the code, first at {differs:?}; UPDATE_GOLDEN=1 cargo test --test it documents"
    );
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// The first block of code in a language, without its fences.
fn code_block<'a>(text: &'a str, language: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(&format!("\n```{language}\n"))?;
    rest.split("\n```").next()
}

/// The documents that a reader is led to: those at the top, and all below docs and deploy.
fn documents() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(&folder).unwrap() {
            let path = path.unwrap().path();
            let is_top = folder == root();
            let is_of_ours = !is_top || path.ends_with("docs") || path.ends_with("deploy");
            if path.is_dir() && is_of_ours {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "md") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The words of a text that look like names of our metrics, without the endings of a histogram's samples.
fn metric_names(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_');
    let is_ours = |word: &&str| {
        ["statuspage_", "spacelift_", "saas_exporter_", "process_"]
            .iter()
            .any(|begin| word.starts_with(begin) && word != begin)
    };
    words.filter(is_ours)
}

/// Path below src and code of every file of the program, without comments and without its tests.
fn sources_of_the_program() -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![root().join("src")];
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
        {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            // Files that only tests are compiled with say so in their name.
            let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
            if stem.ends_with("_tests") || stem == "simulation" {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap();
            let text = text.split("\n#[cfg(test)]\nmod tests").next().unwrap();
            let code: Vec<&str> = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"))
                .collect();
            let name = path
                .strip_prefix(root().join("src"))
                .unwrap()
                .to_str()
                .unwrap();
            found.push((name.to_owned(), code.join("\n")));
        }
    }
    found
}

/// Whether a file below src is one of these modules, or in its folder.
fn is_in(path: &str, modules: &[&str]) -> bool {
    modules
        .iter()
        .any(|module| path == format!("{module}.rs") || path.starts_with(&format!("{module}/")))
}

/// Whether code names a module of the crate, whole or something in it.
fn uses(code: &str, module: &str) -> bool {
    let path = format!("crate::{module}");
    let mut ends = code
        .match_indices(&path)
        .map(|(start, _)| start + path.len());
    ends.any(|end| !code[end..].starts_with(|next: char| next.is_alphanumeric() || next == '_'))
}

/// Whether a JSON schema accepts a value: the keywords that our schema uses, and no others.
fn accepts(schema: &Value, value: &Value) -> bool {
    if let Value::Bool(all) = schema {
        return *all;
    }
    let keywords = schema.as_object().unwrap();
    keywords
        .iter()
        .all(|(keyword, rule)| match keyword.as_str() {
            "$schema" | "title" | "description" | "then" => true,
            // Read together with the keywords that they belong to.
            "properties" | "patternProperties" | "additionalProperties" => {
                members_fit(schema, keyword, value)
            }
            "if" => !accepts(rule, value) || accepts(&schema["then"], value),
            "allOf" => rule
                .as_array()
                .unwrap()
                .iter()
                .all(|rule| accepts(rule, value)),
            "anyOf" => rule
                .as_array()
                .unwrap()
                .iter()
                .any(|rule| accepts(rule, value)),
            "const" => rule == value,
            "enum" => rule.as_array().unwrap().contains(value),
            "type" => match rule.as_str().unwrap() {
                "object" => value.is_object(),
                "string" => value.is_string(),
                "number" => value.is_number(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                other => panic!("type {other} is not understood here"),
            },
            "required" => names(rule).all(|name| value.get(name).is_some() || !value.is_object()),
            "minProperties" => value
                .as_object()
                .is_none_or(|entries| entries.len() as u64 >= rule.as_u64().unwrap()),
            "minLength" => value
                .as_str()
                .is_none_or(|text| text.len() as u64 >= rule.as_u64().unwrap()),
            "exclusiveMinimum" => value
                .as_f64()
                .is_none_or(|number| number > rule.as_f64().unwrap()),
            "minimum" => value
                .as_f64()
                .is_none_or(|number| number >= rule.as_f64().unwrap()),
            "maximum" => value
                .as_f64()
                .is_none_or(|number| number <= rule.as_f64().unwrap()),
            "pattern" => value
                .as_str()
                .is_none_or(|text| fits(rule.as_str().unwrap(), text)),
            "propertyNames" => {
                let mut keys = value
                    .as_object()
                    .into_iter()
                    .flat_map(|entries| entries.keys());
                keys.all(|key| accepts(rule, &Value::from(key.as_str())))
            }
            other => panic!("keyword {other} is not understood here"),
        })
}

/// Whether the members of an object that the keyword is about are accepted.
fn members_fit(schema: &Value, keyword: &str, value: &Value) -> bool {
    let rule = &schema[keyword];
    let named = |key: &str| {
        schema
            .pointer("/properties")
            .and_then(|rules| rules.get(key))
    };
    let patterns = || {
        schema
            .get("patternProperties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
    };
    value
        .as_object()
        .into_iter()
        .flatten()
        .all(|(key, member)| match keyword {
            "properties" => named(key).is_none_or(|rule| accepts(rule, member)),
            "patternProperties" => {
                patterns().all(|(pattern, rule)| !fits(pattern, key) || accepts(rule, member))
            }
            _ => {
                named(key).is_some()
                    || patterns().any(|(pattern, _)| fits(pattern, key))
                    || accepts(rule, member)
            }
        })
}

fn names(list: &Value) -> impl Iterator<Item = &str> {
    list.as_array().unwrap().iter().filter_map(Value::as_str)
}

/// The few patterns of our schema, written out.
fn fits(pattern: &str, text: &str) -> bool {
    let is_word = |text: &str| {
        text.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    match pattern {
        "^_" => text.starts_with('_'),
        "^[0-9]" => text.starts_with(|first: char| first.is_ascii_digit()),
        "^(?!__)[A-Za-z_][A-Za-z0-9_]*$" => {
            is_word(text)
                && !text.is_empty()
                && !text.starts_with("__")
                && !text.as_bytes()[0].is_ascii_digit()
        }
        "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+" => {
            let lower = text.to_ascii_lowercase();
            let rest = lower
                .strip_prefix("http://")
                .or_else(|| lower.strip_prefix("https://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.starts_with(['/', '?', '#', '@']))
        }
        other => panic!("pattern {other} is not understood here"),
    }
}
