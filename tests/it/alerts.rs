//! The shipped alerts: that they name only what exists, that each is complete, explained and tested, and that the copies agree.
//!
//! What the rules do is tested by promtool with deploy/prometheus/alerts_test.yml, and what becomes of them in a real
//! Alertmanager by scripts/alerts-e2e; both run in .ci/run.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use saas_exporter::fetch::KINDS;
use saas_exporter::sources::SOURCES;
use saas_exporter::telemetry;

const RULES: &str = "deploy/prometheus/alerts.yml";
const RULE_TESTS: &str = "deploy/prometheus/alerts_test.yml";
const ALERTMANAGER: &str = "deploy/prometheus/alertmanager.yml";
const MANIFEST: &str = "deploy/kubernetes/base/prometheusrule.yaml";
const RUNBOOKS: &str = "docs/runbooks.md";
const RUNBOOK_URL: &str =
    "https://github.com/saas-exporter/saas-exporter/blob/main/docs/runbooks.md";
/// Prometheus's own, and what comes with reloading and sharding.
const FROM_ELSEWHERE: [&str; 4] = [
    "up",
    "saas_exporter_config_last_reload_successful",
    "saas_exporter_shard_ordinal",
    "saas_exporter_shards",
];
/// Labels that Prometheus and Kubernetes give to a scraped target.
const TARGET_LABELS: [&str; 3] = ["instance", "job", "pod"];
/// The label that the rule about shards makes of a value.
const MADE_LABELS: [&str; 1] = ["ordinal"];
/// The words of the query language that stand without brackets, and those before a list of labels.
const WORDS: [&str; 4] = ["and", "or", "unless", "offset"];
const LABEL_LISTS: [&str; 5] = ["by", "without", "on", "group_left", "group_right"];

/// One alert, as it stands in the file.
struct Alert {
    name: String,
    expr: String,
    /// Every other line, as key and text.
    fields: BTreeMap<String, String>,
}

#[test]
fn every_alert_is_complete_and_leads_to_its_runbook() {
    let headings: Vec<String> = headings(3);
    for alert in alerts() {
        let field = |key: &str| alert.fields.get(key).map_or("", String::as_str);
        for key in ["for", "summary", "description"] {
            assert!(!field(key).is_empty(), "{} lacks {key}", alert.name);
        }
        let severity = field("severity");
        assert!(
            ["critical", "warning", "none"].contains(&severity),
            "{}: severity {severity:?}",
            alert.name
        );
        let anchor = alert.name.to_lowercase();
        assert_eq!(
            field("runbook_url"),
            format!("{RUNBOOK_URL}#{anchor}"),
            "{}",
            alert.name
        );
        assert!(
            headings.contains(&alert.name),
            "{RUNBOOKS} lacks a section {}",
            alert.name
        );
    }
}

#[test]
fn every_runbook_is_about_an_alert_and_says_what_it_must() {
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let text = read(RUNBOOKS);
    for section in text.split("\n### ").skip(1) {
        let (title, rest) = section.split_once('\n').unwrap();
        // Titles of alerts are one word; the others are about all of them.
        if title.contains(' ') || title == "Maintenance" {
            continue;
        }
        assert!(names.contains(title), "{RUNBOOKS}: {title} is no alert");
        for part in ["Means", "See", "Do", "Noise"] {
            assert!(
                rest.contains(&format!("* **{part}:** ")),
                "{RUNBOOKS}: {title} lacks {part}"
            );
        }
    }
}

#[test]
fn links_of_the_runbooks_lead_somewhere() {
    let text = read(RUNBOOKS);
    let anchors: BTreeSet<String> = headings(2)
        .iter()
        .chain(&headings(3))
        .map(|title| title.to_lowercase().replace(',', "").replace(' ', "-"))
        .collect();
    for target in text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split(')').next())
    {
        let found = match target.strip_prefix('#') {
            Some(anchor) => anchors.contains(anchor),
            None => root().join("docs").join(target).exists(),
        };
        assert!(found, "{RUNBOOKS}: {target} leads nowhere");
    }
}

#[test]
fn every_metric_and_label_of_an_alert_exists() {
    for alert in alerts() {
        check_expression(&alert.name, &alert.expr);
        // Texts look things up too.
        let texts = ["summary", "description"].map(|key| alert.fields[key].as_str());
        for query in texts.iter().flat_map(|text| queries(text)) {
            check_expression(&alert.name, &query);
        }
        let known = labels_of(&alert.expr);
        for label in texts.iter().flat_map(|text| words_after(text, "$labels.")) {
            assert!(
                known.contains(label),
                "{}: the text shows {label}, which no metric of the rule has",
                alert.name
            );
        }
    }
}

#[test]
fn every_metric_in_the_runbooks_exists() {
    let known = families();
    let text = read(RUNBOOKS);
    for word in text.split(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_') {
        let is_ours = [
            "statuspage_",
            "spacelift_",
            "pantheon_",
            "aaisp_",
            "saas_exporter_",
            "process_",
        ]
        .iter()
        .any(|begin| word.starts_with(begin));
        assert!(
            !is_ours || known.contains_key(word),
            "{RUNBOOKS}: {word} is no metric of ours"
        );
    }
}

#[test]
fn every_failure_kind_belongs_to_one_alert() {
    let mut bearers: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for alert in alerts() {
        let Some((_, rest)) = alert.expr.split_once("poll_failures_total{kind") else {
            continue;
        };
        let pattern = rest.split('"').nth(1).unwrap();
        let mut listed: Vec<&str> = pattern.split('|').collect();
        if rest.starts_with("!~") {
            // That alert takes what no other one claims, and what it does not exclude is claimed elsewhere.
            listed.retain(|kind| *kind != "internal");
        }
        for kind in listed {
            let kind = KINDS.iter().find(|known| **known == kind);
            let kind = kind.unwrap_or_else(|| panic!("{}: no kind in {pattern}", alert.name));
            bearers.entry(kind).or_default().push(alert.name.clone());
        }
    }
    for kind in KINDS {
        let of_kind = bearers.get(kind).map_or(0, Vec::len);
        assert_eq!(of_kind, 1, "{kind} belongs to {:?}", bearers.get(kind));
    }
}

#[test]
fn every_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() {
    let (mut firing, mut silent) = (BTreeSet::new(), BTreeSet::new());
    let text = read(RULE_TESTS);
    for case in text.split("alertname: ").skip(1) {
        let mut lines = case.lines();
        let (name, expected) = (lines.next().unwrap(), lines.next().unwrap().trim());
        match expected {
            "exp_alerts: []" => silent.insert(name.to_owned()),
            "exp_alerts:" => firing.insert(name.to_owned()),
            other => panic!("{RULE_TESTS}: {other}"),
        };
    }
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    assert_eq!(firing, names, "alerts that fire in a test");
    assert_eq!(silent, names, "alerts that do not fire in a test");
}

#[test]
fn alertmanager_names_only_alerts_that_exist() {
    let names: BTreeSet<String> = alerts().into_iter().map(|alert| alert.name).collect();
    let text = read(ALERTMANAGER);
    let matchers = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alertname "));
    let mut count = 0;
    for name in matchers.flat_map(|matcher| matcher.split('"').nth(1).unwrap().split('|')) {
        assert!(names.contains(name), "{ALERTMANAGER}: {name} is no alert");
        count += 1;
    }
    assert!(
        count > 0,
        "{ALERTMANAGER}: no alert was found in the matchers"
    );
}

#[test]
fn the_manifest_holds_the_rules_of_the_file() {
    let manifest = read(MANIFEST);
    let (_, spec) = manifest.split_once("\nspec:\n").unwrap();
    let lines: Vec<&str> = spec
        .lines()
        .map(|line| line.strip_prefix("  ").unwrap_or(line))
        .collect();
    let rules = read(RULES);
    let (_, rules) = rules.split_once("\ngroups:\n").unwrap();
    assert!(
        lines.join("\n") + "\n" == format!("groups:\n{rules}"),
        "{MANIFEST} differs from {RULES}; run scripts/prometheus-rule"
    );
}

/// The alerts of the file, read by its lines: it is written in one form throughout.
fn alerts() -> Vec<Alert> {
    let mut alerts: Vec<Alert> = Vec::new();
    // Where a text goes on over several lines.
    let mut open: Option<String> = None;
    for line in read(RULES).lines() {
        if line.is_empty() || line.trim_start().starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix("      - alert: ") {
            let (name, fields) = (name.to_owned(), BTreeMap::new());
            let expr = String::new();
            alerts.push(Alert { name, expr, fields });
            open = None;
            continue;
        }
        // Lines of a group stand further to the left than those of an alert.
        let indent = line.len() - line.trim_start().len();
        let Some(alert) = alerts.last_mut().filter(|_| indent >= 8) else {
            continue;
        };
        let is_key = indent == 8 || (indent == 10 && open.as_deref() != Some("expr"));
        match line.trim().split_once(':') {
            Some((key, value)) if is_key => {
                open = Some(key.to_owned());
                let value = value.trim().trim_matches('"');
                let is_block = [">-", "|"].contains(&value);
                let value = if is_block { "" } else { value };
                alert.fields.insert(key.to_owned(), value.to_owned());
            }
            _ => {
                let key = open.clone().unwrap_or_default();
                let text = if key == "expr" {
                    &mut alert.expr
                } else {
                    alert.fields.entry(key).or_default()
                };
                text.push_str(line.trim());
                text.push('\n');
            }
        }
    }
    assert!(alerts.len() > 20, "{RULES} is not written as expected");
    assert!(alerts.iter().all(|alert| !alert.expr.is_empty()), "{RULES}");
    alerts
}

/// Every metric that a scrape brings, with its labels.
fn families() -> BTreeMap<&'static str, &'static [&'static str]> {
    let of_sources = SOURCES
        .iter()
        .flat_map(|source| (source.families)().iter().copied());
    let all = of_sources.chain(telemetry::all_families());
    let own: [(_, &[_]); 4] = FROM_ELSEWHERE.map(|name| (name, &[][..]));
    let all = all.map(|family| (family.name, family.labels));
    own.into_iter().chain(all).collect()
}

/// The metrics of an expression.
fn metrics_of(expr: &str) -> BTreeSet<String> {
    let known = families();
    let words = bare(expr);
    words
        .into_iter()
        .filter(|word| known.contains_key(word.as_str()))
        .collect()
}

/// The labels that the metrics of an expression have, with those of a target and those that the rules make.
fn labels_of(expr: &str) -> BTreeSet<&'static str> {
    let known = families();
    let own = metrics_of(expr).into_iter().flat_map(|metric| {
        known
            .get(metric.as_str())
            .map_or(&[][..], |labels| *labels)
            .iter()
            .copied()
    });
    own.chain(TARGET_LABELS).chain(MADE_LABELS).collect()
}

/// Names of metrics of an expression: what is left without selectors, ranges, texts, lists of labels and functions.
fn bare(expr: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut inside = Vec::new();
    let mut is_text = false;
    for letter in expr.chars() {
        match letter {
            '"' => is_text = !is_text,
            _ if is_text => {}
            '{' | '[' => inside.push(letter),
            '}' | ']' => drop(inside.pop()),
            _ if inside.is_empty() => plain.push(letter),
            _ => {}
        }
    }
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    let mut rest = plain.as_str();
    while let Some(start) = rest.find(is_part) {
        let word: String = rest[start..]
            .chars()
            .take_while(|one| is_part(*one))
            .collect();
        rest = &rest[start + word.len()..];
        // A function, or an aggregation with its labels in front.
        let next = rest.trim_start();
        let is_call = ["(", "by (", "without ("]
            .iter()
            .any(|begin| next.starts_with(begin));
        if LABEL_LISTS.contains(&word.as_str()) {
            rest = rest.split_once(')').map_or("", |(_, rest)| rest);
        } else if !is_call
            && !WORDS.contains(&word.as_str())
            && !word.starts_with(|first: char| first.is_ascii_digit())
        {
            found.push(word);
        }
    }
    found
}

/// Metrics exist, selectors use labels of their metric, and lists name labels of some metric of the expression.
fn check_expression(alert: &str, expr: &str) {
    let known = families();
    for metric in bare(expr) {
        assert!(
            known.contains_key(metric.as_str()),
            "{alert}: {metric} is no metric of ours"
        );
    }
    for (before, rest) in expr
        .match_indices('{')
        .map(|(at, _)| (&expr[..at], &expr[at + 1..]))
    {
        let metric = before
            .rsplit(|letter: char| !letter.is_ascii_alphanumeric() && letter != '_')
            .next()
            .unwrap();
        let labels = known
            .get(metric)
            .unwrap_or_else(|| panic!("{alert}: {metric:?} before a selector"));
        let mut selector = rest.split('}').next().unwrap();
        while let Some((name, rest)) = selector.split_once('"') {
            let name = name.trim_matches(|letter: char| " ,=!~".contains(letter));
            assert!(
                labels.contains(&name) || TARGET_LABELS.contains(&name),
                "{alert}: {metric} has no label {name}"
            );
            selector = rest.split_once('"').map_or("", |(_, rest)| rest);
        }
    }
    let labels = labels_of(expr);
    for list in LABEL_LISTS {
        let mark = format!("{list} (");
        let behind = expr.split(&mark).skip(1);
        for names in behind.map(|rest| rest.split(')').next().unwrap()) {
            let mut names = names.split(',').map(str::trim);
            let strange = names.find(|name| !name.is_empty() && !labels.contains(name));
            assert!(
                strange.is_none(),
                "{alert}: {list} {strange:?}: no metric here has it"
            );
        }
    }
}

/// The expressions that a text looks up with printf, with an empty text in the place of each value.
fn queries(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in text.split("printf \"").skip(1) {
        let mut letters = rest.chars();
        let mut query = String::new();
        while let Some(letter) = letters.next().filter(|letter| *letter != '"') {
            query.push(match letter {
                '\\' => letters.next().unwrap(),
                _ => letter,
            });
        }
        found.push(query.replace("%q", "\"\""));
    }
    found
}

/// The words that stand right behind each `mark`.
fn words_after<'a>(text: &'a str, mark: &str) -> Vec<&'a str> {
    let is_part = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    text.split(mark)
        .skip(1)
        .map(|rest| rest.split(|letter| !is_part(letter)).next().unwrap())
        .collect()
}

/// The headings of the runbooks at a level.
fn headings(level: usize) -> Vec<String> {
    let mark = format!("{} ", "#".repeat(level));
    let text = read(RUNBOOKS);
    let titles = text.lines().filter_map(|line| line.strip_prefix(&mark));
    titles.map(str::to_owned).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}
