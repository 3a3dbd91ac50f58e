//! The dashboards in deploy/grafana show what the code has, and follow the rules of grafana/dashboard-linter.
//!
//! Every query is taken apart, and every metric and label in it is looked up in the tables of the program. That each
//! query has a result is for scripts/dashboard-check, which asks a real Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use saas_exporter::model::{FamilyMeta, Kind};
use saas_exporter::sources::SOURCES;
use saas_exporter::telemetry;
use serde_json::Value;

use crate::promql::{Query, family};

/// Grafana's own limit.
const UID_MAX_CHARS: usize = 40;
/// Of the 24 into which Grafana divides the width.
const COLUMNS: u64 = 24;
/// Characters of a title for every two columns that a panel is wide, on a screen of 1440 pixels; the rest is cut off.
const TITLE_CHARS_OF_TWO_COLUMNS: u64 = 11;
/// The units that the dashboards use, as Grafana spells them; another one is looked up there before it is added.
const UNITS: [&str; 14] = [
    "none",
    "short",
    "percent",
    "percentunit",
    "s",
    "bytes",
    "decbytes",
    "bps",
    "Bps",
    "ops",
    "reqps",
    "dateTimeAsSystem",
    "dateTimeFromNow",
    "string",
];

#[test]
fn the_dashboards_are_those_that_are_documented() {
    let names: Vec<String> = dashboards().into_keys().collect();
    assert_eq!(
        names,
        [
            "aaisp.json",
            "exporter.json",
            "overview.json",
            "pantheon.json",
            "spacelift.json",
            "status-pages.json"
        ]
    );
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let missing = names.iter().filter(|name| !readme.contains(name.as_str()));
    assert_eq!(missing.count(), 0, "README.md names every dashboard");
}

#[test]
fn every_metric_and_label_in_a_dashboard_exists() {
    none(dashboards().iter().flat_map(|(file, dashboard)| {
        let of_variables = variables(dashboard).flat_map(variable_problems);
        let of_panels = panels(dashboard).flat_map(panel_problems);
        let problems = of_variables.chain(of_panels);
        problems
            .map(move |problem| format!("{file}: {problem}"))
            .collect::<Vec<_>>()
    }));
}

#[test]
fn dashboards_can_be_imported_as_they_are() {
    let mut uids = BTreeSet::new();
    for (file, dashboard) in dashboards() {
        none(dashboard_problems(&dashboard).map(|problem| format!("{file}: {problem}")));
        assert!(
            uids.insert(dashboard["uid"].to_string()),
            "{file}: the uid is another one's"
        );
    }
}

#[test]
fn panels_leave_no_hole_and_titles_have_room() {
    for (file, dashboard) in dashboards() {
        none(layout_problems(&dashboard).map(|problem| format!("{file}: {problem}")));
    }
}

#[test]
fn links_lead_to_dashboards_that_exist() {
    let dashboards = dashboards();
    let uids: BTreeSet<&str> = dashboards.values().map(|each| text(&each["uid"])).collect();
    for (file, dashboard) in &dashboards {
        let written = dashboard.to_string();
        let links: Vec<&str> = written
            .split("\"/d/")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
            .collect();
        none(links.iter().flat_map(|link| {
            let (uid, query) = link.split_once('?').unwrap_or((link, ""));
            // In a link, Grafana leaves an & or a # of a label as it is unless told so.
            let bare = query
                .split("${__data.fields.")
                .skip(1)
                .find(|rest| !rest.contains(":percentencode}"));
            let unknown = (!uids.contains(uid)).then(|| format!("{file}: no dashboard {uid}"));
            unknown
                .into_iter()
                .chain(bare.map(|_| format!("{file}: a label that is not encoded in {link}")))
        }));
    }
}

#[test]
fn panels_follow_the_rules_of_the_linter_and_say_when_nothing_is_known() {
    for (file, dashboard) in dashboards() {
        none(
            panels(&dashboard)
                .flat_map(form_problems)
                .map(|problem| format!("{file}: {problem}")),
        );
    }
}

#[test]
fn the_checks_find_what_they_are_for() {
    let check = |expr: &str, legend: &str, expected: &str| {
        let problems = query_problems(expr, legend, "stat");
        assert!(
            problems.iter().any(|problem| problem.contains(expected)),
            "{expr}: {problems:?}"
        );
    };
    let of_target = "job=~\"$job\", instance=~\"$instance\"";
    let up = |more: &str| format!("saas_exporter_service_up{{{of_target}{more}}}");
    assert_eq!(query_problems(&up(""), "{{service}}", "stat"), [""; 0]);
    check("sum(", "", "not closed");
    check(
        "saas_exporter_service_down",
        "",
        "no metric saas_exporter_service_down",
    );
    check(&up(", key=\"x\""), "", "has no key");
    check(&up(""), "{{key}}", "legend {{key}}");
    check(
        &format!("sum by (service) ({})", up("")),
        "{{instance}}",
        "legend {{instance}}",
    );
    check(
        "saas_exporter_service_up{job=~\"$job\"}",
        "",
        "no instance=~",
    );
    check(
        "saas_exporter_service_up{job=\"$job\", instance=~\"$instance\"}",
        "",
        "no job=~",
    );
    check(&format!("sum({}) or vector(0)", up("")), "", "vector");
    let polls = format!("saas_exporter_polls_total{{{of_target}}}");
    check(&polls, "", "counter");
    check(&format!("rate({polls}[5m])"), "", "$__rate_interval");
    check(&format!("increase({polls}[1h])"), "", "$__rate_interval");
    assert_eq!(
        query_problems(&format!("increase({polls}[$__range])"), "", "stat"),
        [""; 0]
    );
}

#[test]
fn mistakes_in_a_panel_are_found() {
    // Given a panel without mistakes,
    let dashboards = dashboards();
    let is_wanted = |panel: &&Value| panel["title"] == "Open incidents";
    let good = panels(&dashboards["overview.json"]).find(is_wanted);
    let good = good.unwrap().to_string();
    let problems = |text: String| {
        let panel: Value = serde_json::from_str(&text).unwrap();
        [form_problems(&panel), panel_problems(&panel)].concat()
    };
    assert_eq!(problems(good.clone()), [""; 0]);
    // when something in it is changed,
    let mistakes = [
        (
            "\"type\":\"table\"",
            "\"type\":\"state-timeline\"",
            "states without words",
        ),
        ("\"noValue\":\"Nothing", "\"was\":\"Nothing", "does not say"),
        ("\"id\":\"noValue\"", "\"id\":\"was\"", "an empty cell"),
        ("\"description\":", "\"was\":", "no description"),
        ("${datasource}", "abcdef", "data source of its own"),
        ("\"instant\":true", "\"instant\":false", "of another time"),
        ("dateTimeFromNow", "fromNow", "unit \"fromNow\""),
        (
            "\"text\":\"live\"",
            "\"text\":\"\"",
            "a colour without a word",
        ),
        ("\"incident_name\":", "\"title\":", "the column title"),
        (
            "__data.fields.shortlink",
            "__data.fields.url",
            "no field url",
        ),
        (
            "\"options\":\"Began\"",
            "\"options\":\"Start\"",
            "no column is named Start",
        ),
        ("\"value\":\"string\"", "\"value\":\"none\"", "labels alone"),
    ];
    for (from, to, expected) in mistakes {
        // then it is said.
        assert!(good.contains(from), "{from}");
        let found = problems(good.replace(from, to));
        let is_said = found.iter().any(|problem| problem.contains(expected));
        assert!(is_said, "{expected}: {found:?}");
    }
}

/// Fails with all of them.
fn none(problems: impl Iterator<Item = String>) {
    let problems: Vec<String> = problems.collect();
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every dashboard by the name of its file.
fn dashboards() -> BTreeMap<String, Value> {
    let entries = fs::read_dir(root().join("deploy/grafana")).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    let dashboards = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
    dashboards
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (
                name,
                serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap(),
            )
        })
        .collect()
}

fn families() -> Vec<FamilyMeta> {
    let of_sources = SOURCES.iter().flat_map(|source| (source.families)());
    of_sources
        .copied()
        .chain(telemetry::all_families())
        .collect()
}

/// The panels that show something.
fn panels(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let panels = list(&dashboard["panels"]);
    panels.filter(|panel| panel["type"] != "row")
}

/// The variables that ask Prometheus.
fn variables(dashboard: &Value) -> impl Iterator<Item = &Value> {
    let variables = list(&dashboard["templating"]["list"]);
    variables.filter(|variable| variable["type"] == "query")
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn dashboard_problems(dashboard: &Value) -> impl Iterator<Item = String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: String| {
        if !holds {
            problems.push(what);
        }
    };
    for key in ["uid", "title", "description", "refresh"] {
        expect(!text(&dashboard[key]).is_empty(), format!("no {key}"));
    }
    expect(
        text(&dashboard["uid"]).chars().count() <= UID_MAX_CHARS,
        "a uid that is too long".to_owned(),
    );
    expect(dashboard["editable"] == false, "editable".to_owned());
    expect(
        dashboard["schemaVersion"].is_u64(),
        "no schemaVersion".to_owned(),
    );
    expect(
        dashboard["tags"][0] == "saas-exporter",
        "not tagged".to_owned(),
    );
    expect(dashboard["time"]["to"] == "now", "no time".to_owned());
    // Grafana gives the dashboard its number; one that stands here would replace another.
    expect(dashboard.get("id").is_none(), "an id of its own".to_owned());
    expect(
        dashboard.get("__inputs").is_none(),
        "asks for inputs".to_owned(),
    );
    let all = list(&dashboard["templating"]["list"]);
    let sources: Vec<&Value> = all
        .filter(|variable| variable["type"] == "datasource")
        .collect();
    expect(sources.len() == 1, "not one data source".to_owned());
    let source = sources[0];
    let named = [&source["name"], &source["label"], &source["query"]].map(text);
    expect(
        named == ["datasource", "Data source", "prometheus"],
        format!("data source {named:?}"),
    );
    for (name, label) in [("job", "Job"), ("instance", "Instance")] {
        let fits = |variable: &Value| variable["name"] == name && variable["label"] == label;
        expect(variables(dashboard).any(fits), format!("no {name}"));
    }
    let queries: Vec<&str> = panels(dashboard)
        .flat_map(|panel| list(&panel["targets"]))
        .map(|target| text(&target["expr"]))
        .collect();
    for variable in variables(dashboard) {
        let name = text(&variable["name"]);
        let is_used = queries
            .iter()
            .any(|query| query.contains(&format!("${name}\"")));
        let fits = variable["multi"] == true && variable["allValue"] == ".+";
        expect(is_used, format!("${name} is not used"));
        expect(fits, format!("${name} does not choose several, or all"));
        // After another range of time is chosen.
        expect(
            variable["refresh"] == 2,
            format!("${name} is not read again"),
        );
        expect(
            is_templated(variable),
            format!("${name} has a data source of its own"),
        );
    }
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in list(&dashboard["panels"]) {
        expect(
            ids.insert(panel["id"].to_string()),
            format!("id {} twice", panel["id"]),
        );
        expect(
            titles.insert(panel["title"].to_string()),
            format!("{} twice", panel["title"]),
        );
    }
    problems.into_iter()
}

/// Where panels leave a hole, lie over each other, or have more title than room.
fn layout_problems(dashboard: &Value) -> impl Iterator<Item = String> {
    let mut problems = Vec::new();
    let (mut x, mut y, mut height) = (0, 0, 0);
    for panel in list(&dashboard["panels"]) {
        let title = text(&panel["title"]);
        let [width, tall, left, top] = ["w", "h", "x", "y"].map(|side| &panel["gridPos"][side]);
        let width = width.as_u64().unwrap_or_default();
        if x == COLUMNS {
            (x, y, height) = (0, y + height, 0);
        }
        if *left != x || *top != y || (height > 0 && *tall != height) || x + width > COLUMNS {
            problems.push(format!("{title}: not beside the panel before it"));
        }
        (x, height) = (x + width, tall.as_u64().unwrap_or_default());
        let room = width * TITLE_CHARS_OF_TWO_COLUMNS / 2;
        if title.chars().count() as u64 > room {
            problems.push(format!("{title}: a title with room for {room} characters"));
        }
    }
    if x != COLUMNS {
        problems.push("a hole at the end".to_owned());
    }
    problems.into_iter()
}

fn is_templated(asking: &Value) -> bool {
    asking["datasource"]["uid"] == "${datasource}" && asking["datasource"]["type"] == "prometheus"
}

/// What is wrong with the form of a panel.
fn form_problems(panel: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let mut expect = |holds: bool, what: &str| {
        if !holds {
            problems.push(format!("{}: {what}", panel["title"]));
        }
    };
    let kind = text(&panel["type"]);
    let defaults = &panel["fieldConfig"]["defaults"];
    expect(!text(&panel["title"]).is_empty(), "no title");
    expect(!text(&panel["description"]).is_empty(), "no description");
    expect(is_templated(panel), "a data source of its own");
    // Else Grafana takes it for one of version 6.1, and rewrites its limits and overrides.
    expect(
        !text(&panel["pluginVersion"]).is_empty(),
        "no version of its panel",
    );
    expect(list(&panel["targets"]).count() > 0, "no query");
    expect(
        !text(&defaults["noValue"]).is_empty(),
        "does not say that there is no data",
    );
    let overrides = list(&panel["fieldConfig"]["overrides"]);
    let properties = overrides.flat_map(|each| list(&each["properties"]));
    let properties: Vec<&Value> = properties.collect();
    let of_columns = properties
        .iter()
        .filter(|property| property["id"] == "unit");
    let units = of_columns
        .map(|property| &property["value"])
        .chain([&defaults["unit"]]);
    for unit in units {
        expect(UNITS.contains(&text(unit)), &format!("unit {unit}"));
    }
    let of_columns = properties
        .iter()
        .filter(|property| property["id"] == "mappings");
    let mappings = of_columns
        .map(|property| &property["value"])
        .chain([&defaults["mappings"]]);
    for mapping in mappings.flat_map(list) {
        let options = &mapping["options"];
        let results: Vec<&Value> = match text(&mapping["type"]) {
            "value" => options.as_object().unwrap().values().collect(),
            _ => vec![&options["result"]],
        };
        let has_words = results
            .iter()
            .all(|result| !text(&result["text"]).is_empty());
        expect(has_words, "a colour without a word");
    }
    for target in list(&panel["targets"]) {
        expect(
            is_templated(target),
            "a query with a data source of its own",
        );
        // The last value of a range would be shown long after it has ended.
        let is_present = ["stat", "table"].contains(&kind);
        expect(
            target["instant"] == is_present && target["range"] == !is_present,
            "of another time",
        );
    }
    if kind == "stat" {
        expect(
            panel["options"]["reduceOptions"]["calcs"] == serde_json::json!(["last"]),
            "an old value",
        );
    }
    if kind == "table" {
        let mut columns = list(&panel["fieldConfig"]["overrides"]);
        let says_so = columns.all(|column| {
            list(&column["properties"])
                .any(|property| property["id"] == "noValue" && !text(&property["value"]).is_empty())
        });
        expect(says_so, "an empty cell with the sentence of an empty table");
    }
    if kind == "state-timeline" {
        // Grafana would show the thresholds in place of the words (grafana/grafana#41075).
        expect(defaults["color"]["mode"] == "fixed", "states without words");
        // Else it would say of an empty answer that it does not have a time field.
        let first = &panel["transformations"][0];
        expect(first["id"] == "filterFieldsByName", "empty frames");
    }
    problems
}

fn variable_problems(variable: &Value) -> Vec<String> {
    let query = text(&variable["query"]);
    let parts = query
        .strip_prefix("label_values(")
        .and_then(|rest| rest.strip_suffix(')'));
    let Some((selector, label)) = parts.and_then(|parts| parts.rsplit_once(", ")) else {
        return vec![format!("{query} is not read here")];
    };
    // The label stands in a list, where it is looked up like those of any query.
    match Query::read(&format!("sum by ({label}) ({selector})")) {
        Ok(read) => read.unknown_names(&families()),
        Err(problem) => vec![format!("{query}: {problem}")],
    }
}

/// What is wrong with the names in a panel: in its queries and legends, and in the columns of a table.
fn panel_problems(panel: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    for target in list(&panel["targets"]) {
        let (query, legend) = (text(&target["expr"]), text(&target["legendFormat"]));
        problems.extend(query_problems(query, legend, text(&panel["type"])));
    }
    if panel["type"] == "table" {
        problems.extend(column_problems(panel));
    }
    let title = &panel["title"];
    problems
        .into_iter()
        .map(|problem| format!("{title}: {problem}"))
        .collect()
}

fn query_problems(text: &str, legend: &str, kind: &str) -> Vec<String> {
    let query = match Query::read(text) {
        Ok(query) => query,
        Err(problem) => return vec![format!("{text}: {problem}")],
    };
    let families = families();
    let mut problems = query.unknown_names(&families);
    for selector in &query.selectors {
        let metric = &selector.metric;
        for label in ["job", "instance"] {
            let matcher = [label.to_owned(), "=~".to_owned(), format!("${label}")];
            if !selector.matchers.contains(&matcher) {
                problems.push(format!("{metric} has no {label}=~\"${label}\""));
            }
        }
        let kind = family(metric, &families).map_or(Kind::Gauge, |family| family.kind);
        let (function, range) = (selector.function.as_str(), selector.range.as_deref());
        if kind != Kind::Gauge && !["rate", "irate", "increase"].contains(&function) {
            problems.push(format!("{metric} is a counter, and no rate is taken"));
        }
        let fits = match function {
            "rate" | "irate" => range == Some("$__rate_interval"),
            "increase" => matches!(range, Some("$__rate_interval" | "$__range")),
            _ => true,
        };
        if !fits {
            problems.push(format!("{metric}: {function} takes no $__rate_interval"));
        }
    }
    if text.contains("vector(") {
        problems.push("vector(…) is a value without data".to_owned());
    }
    let labels = query.result_labels(&families);
    let of_legend = legend
        .split("{{")
        .skip(1)
        .filter_map(|rest| rest.split("}}").next());
    let unknown = of_legend.filter(|label| !labels.contains(*label));
    problems.extend(unknown.map(|label| format!("{kind}: no series has legend {{{{{label}}}}}")));
    problems
}

/// Columns that no query fills, and links that no column holds.
fn column_problems(panel: &Value) -> Vec<String> {
    let mut problems = Vec::new();
    let targets: Vec<&Value> = list(&panel["targets"]).collect();
    let mut fields = BTreeSet::from(["Time".to_owned()]);
    for target in &targets {
        let labels =
            Query::read(text(&target["expr"])).map(|query| query.result_labels(&families()));
        fields.extend(labels.unwrap_or_default());
        fields.insert(match targets.len() {
            1 => "Value".to_owned(),
            _ => format!("Value #{}", text(&target["refId"])),
        });
    }
    let transformations = list(&panel["transformations"]);
    let organize = transformations.last().map(|last| &last["options"]).unwrap();
    let mut names = BTreeSet::new();
    for part in ["excludeByName", "indexByName", "renameByName"] {
        let entries = organize[part].as_object().unwrap();
        let unknown = entries.keys().filter(|field| !fields.contains(*field));
        problems.extend(unknown.map(|field| format!("no query gives the column {field}")));
    }
    let mut of_labels = BTreeSet::new();
    for (field, name) in organize["renameByName"].as_object().unwrap() {
        names.insert(text(name));
        if !field.starts_with("Value") {
            of_labels.insert(text(name));
        }
    }
    for each in list(&panel["fieldConfig"]["overrides"]) {
        let name = text(&each["matcher"]["options"]);
        if !names.contains(name) {
            problems.push(format!("no column is named {name}"));
        }
        // Else a label of digits is shown as a number, without the zeros in front.
        let is_text = list(&each["properties"])
            .any(|property| property["id"] == "unit" && property["value"] == "string");
        if is_text != of_labels.contains(name) {
            problems.push(format!(
                "{name}: labels, and labels alone, have the unit string"
            ));
        }
    }
    let written = panel.to_string();
    let links = written.split("${__data.fields.").skip(1);
    let unknown = links
        .filter_map(|rest| rest.split(['}', ':']).next())
        .filter(|field| !fields.contains(*field));
    problems.extend(unknown.map(|field| format!("no field {field} to link to")));
    problems
}
