//! Links between documents lead to a file that is there, and to a heading in it.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{documents, root};

/// Where documents that are read elsewhere, such as runbooks in alerts, lead to ours.
const HOME: &str = "https://github.com/saas-exporter/saas-exporter/blob/main/";

#[test]
fn links_between_documents_lead_somewhere() {
    let mut lost = Vec::new();
    for path in documents() {
        let text = fs::read_to_string(&path).unwrap();
        for target in targets(&text) {
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let file = match file.strip_prefix(HOME) {
                _ if file.is_empty() => path.clone(),
                Some(file) => root().join(file),
                None if file.contains("://") || file.starts_with("mailto:") => continue,
                None => path.parent().unwrap().join(file),
            };
            if !file.exists() || !(anchor.is_empty() || anchors(&file).contains(anchor)) {
                lost.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(lost.is_empty(), "these lead nowhere: {lost:#?}");
}

#[test]
fn anchors_are_those_that_github_gives() {
    for (heading, anchor) in [
        ("In a minute", "in-a-minute"),
        ("services.json", "servicesjson"),
        ("`/metrics`: what it *is*", "metrics-what-it-is"),
        ("Queries and alerts", "queries-and-alerts"),
        ("A_b - c", "a_b---c"),
        ("See [this](that.md)", "see-this"),
    ] {
        assert_eq!(anchor_of(heading), anchor);
    }
}

/// Where the links of a text lead to; code is none.
fn targets(text: &str) -> Vec<&str> {
    let prose = text.split("\n```").step_by(2);
    let without_code = prose.flat_map(|part| part.split('`').step_by(2));
    let links = without_code.flat_map(|part| part.split("](").skip(1));
    links.filter_map(|rest| rest.split(')').next()).collect()
}

/// The anchors of the headings of a document; the second of one name gets a number.
fn anchors(path: &Path) -> BTreeSet<String> {
    let mut anchors = BTreeSet::new();
    let text = fs::read_to_string(path).unwrap();
    for part in text.split("\n```").step_by(2) {
        let headings = part.lines().filter(|line| line.starts_with('#'));
        for heading in headings {
            let anchor = anchor_of(heading.trim_start_matches('#').trim());
            let repeated = (1..).map(|count| format!("{anchor}-{count}"));
            let mut names = std::iter::once(anchor.clone()).chain(repeated);
            anchors.insert(names.find(|name| !anchors.contains(name)).unwrap());
        }
    }
    anchors
}

fn anchor_of(heading: &str) -> String {
    // Of a link only its words count.
    let words = heading
        .split("](")
        .enumerate()
        .map(|(place, part)| match place {
            0 => part,
            _ => part.split_once(')').map_or("", |(_, after)| after),
        });
    let words: String = words.collect();
    let kept = words
        .chars()
        .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}
