//! Reads PromQL as far as it takes to check the names in it: which series a query selects, with which matchers, inside
//! which function, and which labels it lists.
//!
//! It leaves to Prometheus whether the query makes sense otherwise. The dashboards' tests use it.

use std::collections::BTreeSet;

use saas_exporter::model::{FamilyMeta, Kind};

/// Labels that Prometheus adds to every series.
pub const TARGET_LABELS: [&str; 2] = ["job", "instance"];
/// Metrics of Prometheus itself.
const OF_PROMETHEUS: [FamilyMeta; 1] = [FamilyMeta {
    name: "up",
    help: "",
    kind: Kind::Gauge,
    labels: &[],
}];
const AGGREGATIONS: [&str; 6] = ["sum", "min", "max", "avg", "count", "topk"];
const WORDS: [&str; 5] = ["and", "or", "unless", "bool", "offset"];
/// What is followed by a list of labels; the first two decide which labels the result bears.
const LISTS: [&str; 6] = [
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
];

/// What a query names.
#[derive(Debug, Default)]
pub struct Query {
    pub selectors: Vec<Selector>,
    /// The labels of every list, in any order.
    listed: BTreeSet<String>,
    /// The labels of the lists after `by` and `group_left`: those that a result can bear.
    kept: BTreeSet<String>,
    is_aggregated: bool,
}

#[derive(Debug)]
pub struct Selector {
    pub metric: String,
    /// Label, operator and value.
    pub matchers: Vec<[String; 3]>,
    /// What stands in brackets.
    pub range: Option<String>,
    /// The function whose argument it is, or nothing.
    pub function: String,
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Text(String),
    Range(String),
    Number,
    Sign(char),
}

impl Query {
    /// # Errors
    ///
    /// What cannot be read, as a sentence.
    pub fn read(text: &str) -> Result<Query, String> {
        let tokens = tokens(text)?;
        let mut query = Query::default();
        let mut calls = Vec::new();
        let mut place = 0;
        while let Some(token) = tokens.get(place) {
            place += 1;
            let next = tokens.get(place);
            match token {
                Token::Name(name) if LISTS.contains(&name.as_str()) => {
                    place = query.list(name, &tokens, place)?;
                }
                Token::Name(name)
                    if WORDS.contains(&name.as_str()) || AGGREGATIONS.contains(&name.as_str()) => {}
                Token::Name(name) if next == Some(&Token::Sign('(')) => {
                    calls.push(name.clone());
                    place += 1;
                }
                Token::Name(name) => {
                    let function = calls.last().cloned().unwrap_or_default();
                    place = query.selector(name, function, &tokens, place)?;
                }
                Token::Sign('{') => return Err("a selector without a metric".to_owned()),
                Token::Sign('(') => calls.push(String::new()),
                Token::Sign(')') => {
                    calls.pop().ok_or("a closing parenthesis too many")?;
                }
                _ => {}
            }
        }
        match calls.is_empty() {
            true => Ok(query),
            false => Err("a parenthesis that is not closed".to_owned()),
        }
    }

    /// Takes a list of labels; the place after it.
    fn list(&mut self, word: &str, tokens: &[Token], place: usize) -> Result<usize, String> {
        let end = tokens[place..]
            .iter()
            .position(|token| *token == Token::Sign(')'));
        let end = place + end.ok_or_else(|| format!("no list after {word}"))?;
        for token in &tokens[place..end] {
            if let Token::Name(label) = token {
                self.listed.insert(label.clone());
                if ["by", "group_left", "group_right"].contains(&word) {
                    self.kept.insert(label.clone());
                }
            }
        }
        self.is_aggregated |= word == "by";
        Ok(end + 1)
    }

    /// Takes the matchers and the range of a selector; the place after them.
    fn selector(
        &mut self,
        metric: &str,
        function: String,
        tokens: &[Token],
        mut place: usize,
    ) -> Result<usize, String> {
        let mut matchers = Vec::new();
        if tokens.get(place) == Some(&Token::Sign('{')) {
            place += 1;
            while let Some(Token::Name(label)) = tokens.get(place) {
                let signs = tokens[place + 1..].iter();
                let signs: String = signs
                    .map_while(|token| match token {
                        Token::Sign(sign) => Some(*sign),
                        _ => None,
                    })
                    .collect();
                place += 1 + signs.chars().count();
                let Some(Token::Text(value)) = tokens.get(place) else {
                    return Err(format!("{metric}: no text after {label}"));
                };
                matchers.push([label.clone(), signs, value.clone()]);
                place += 1;
                place += usize::from(tokens.get(place) == Some(&Token::Sign(',')));
            }
            if tokens.get(place) != Some(&Token::Sign('}')) {
                return Err(format!("{metric}: braces that are not closed"));
            }
            place += 1;
        }
        let range = match tokens.get(place) {
            Some(Token::Range(range)) => Some(range.clone()),
            _ => None,
        };
        place += usize::from(range.is_some());
        self.selectors.push(Selector {
            metric: metric.to_owned(),
            matchers,
            range,
            function,
        });
        Ok(place)
    }

    /// The metrics and labels that do not exist.
    pub fn unknown_names(&self, families: &[FamilyMeta]) -> Vec<String> {
        let mut problems = Vec::new();
        for selector in &self.selectors {
            let Some(labels) = labels(&selector.metric, families) else {
                problems.push(format!("no metric {}", selector.metric));
                continue;
            };
            let of_matchers = selector.matchers.iter().map(|[label, ..]| label);
            let unknown = of_matchers.filter(|label| !labels.contains(label.as_str()));
            problems.extend(unknown.map(|label| format!("{} has no {label}", selector.metric)));
        }
        let known = self.known_labels(families);
        let unknown = self
            .listed
            .iter()
            .filter(|label| !known.contains(label.as_str()));
        problems.extend(unknown.map(|label| format!("no metric of the query has {label}")));
        problems
    }

    /// The labels that a series of the result can bear.
    pub fn result_labels(&self, families: &[FamilyMeta]) -> BTreeSet<String> {
        match self.is_aggregated {
            true => self.kept.clone(),
            false => self
                .known_labels(families)
                .into_iter()
                .map(str::to_owned)
                .collect(),
        }
    }

    fn known_labels(&self, families: &[FamilyMeta]) -> BTreeSet<&'static str> {
        let selectors = self.selectors.iter();
        selectors
            .filter_map(|selector| labels(&selector.metric, families))
            .flatten()
            .collect()
    }
}

/// The family of a series, which has an ending of its own in a histogram.
pub fn family(metric: &str, families: &[FamilyMeta]) -> Option<FamilyMeta> {
    let all = || families.iter().chain(&OF_PROMETHEUS);
    let of_name = all().find(|family| family.name == metric && family.kind != Kind::Histogram);
    let ends = ["_bucket", "_sum", "_count"];
    let of_histogram = || {
        let name = ends.iter().find_map(|end| metric.strip_suffix(end))?;
        all().find(|family| family.name == name && family.kind == Kind::Histogram)
    };
    of_name.or_else(of_histogram).copied()
}

/// The labels of a series, those of its target included.
fn labels(metric: &str, families: &[FamilyMeta]) -> Option<BTreeSet<&'static str>> {
    let family = family(metric, families)?;
    let is_bucket = family.kind == Kind::Histogram && metric.ends_with("_bucket");
    let of_bucket = is_bucket.then_some("le");
    let own = family.labels.iter().copied();
    Some(own.chain(TARGET_LABELS).chain(of_bucket).collect())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '"' => {
                let end = rest[1..].find('"').ok_or("a text that is not closed")?;
                (Some(Token::Text(rest[1..=end].to_owned())), end + 2)
            }
            '[' => {
                let end = rest.find(']').ok_or("a range that is not closed")?;
                (Some(Token::Range(rest[1..end].to_owned())), end + 1)
            }
            _ if first.is_whitespace() => (None, first.len_utf8()),
            _ if first.is_ascii_alphabetic() || first == '_' => {
                let end = word_end(rest, "_:");
                (Some(Token::Name(rest[..end].to_owned())), end)
            }
            _ if first.is_ascii_digit() => (Some(Token::Number), word_end(rest, ".")),
            sign => (Some(Token::Sign(sign)), sign.len_utf8()),
        };
        tokens.extend(token);
        rest = &rest[length..];
    }
    Ok(tokens)
}

/// Where a word ends that holds letters, digits and these.
fn word_end(text: &str, more: &str) -> usize {
    let is_in = |letter: char| letter.is_ascii_alphanumeric() || more.contains(letter);
    text.find(|letter| !is_in(letter)).unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FAMILIES: [FamilyMeta; 2] = [
        FamilyMeta {
            name: "page_status",
            help: "",
            kind: Kind::Gauge,
            labels: &["page", "group"],
        },
        FamilyMeta {
            name: "page_seconds",
            help: "",
            kind: Kind::Histogram,
            labels: &["page"],
        },
    ];

    fn check(text: &str, expected: &[&str]) {
        let found = Query::read(text).map(|query| query.unknown_names(&FAMILIES));
        assert_eq!(found.unwrap(), expected, "{text}");
    }

    #[test]
    fn names_that_exist_are_no_problem() {
        check("page_status", &[]);
        check(
            "1e3 * sum by (page) (page_status{group=~\"a|b\"} > bool 0) or 0 * sum(page_status)",
            &[],
        );
        check(
            "up * on (job, instance) group_left (page) max_over_time(page_status{page!=\"x\"}[$__range])",
            &[],
        );
        check(
            "histogram_quantile(0.9, sum by (le, page) (rate(page_seconds_bucket[5m])))",
            &[],
        );
    }

    #[test]
    fn an_unknown_metric_is_found_wherever_it_stands() {
        check("page_state", &["no metric page_state"]);
        check(
            "page_status and on (page) sum(rate(pages[5m]))",
            &["no metric pages"],
        );
        // A histogram has no series of its bare name.
        check("page_seconds", &["no metric page_seconds"]);
    }

    #[test]
    fn an_unknown_label_is_found_in_matchers_and_in_lists() {
        check(
            "page_status{groups=\"x\", page=\"y\"}",
            &["page_status has no groups"],
        );
        check(
            "page_seconds_sum{le=\"1\"}",
            &["page_seconds_sum has no le"],
        );
        let problem = ["no metric of the query has side"];
        check("sum by (side) (page_status)", &problem);
        check("sum without (side) (page_status)", &problem);
        check("page_status * on (side) up", &problem);
        check("up * on (page) group_left (side) page_status", &problem);
    }

    #[test]
    fn the_labels_of_a_result_are_those_that_are_kept() {
        let labels = |text: &str| Query::read(text).unwrap().result_labels(&FAMILIES);
        assert_eq!(
            labels("sum by (page) (page_status)"),
            BTreeSet::from(["page".to_owned()])
        );
        assert!(labels("page_status").contains("group"));
    }

    #[test]
    fn what_cannot_be_read_is_said() {
        for text in [
            "{job=\"x\"}",
            "sum(up",
            "up)",
            "up{job=\"x}",
            "up{job=x}",
            "up[5m",
        ] {
            assert!(Query::read(text).is_err(), "{text}");
        }
    }
}
