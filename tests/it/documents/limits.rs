//! The limits that SECURITY.md quotes are those of the code.

use std::collections::BTreeMap;

use super::{check, read, sources_of_the_program, table, with_part};

/// How a number is written.
#[derive(Clone, Copy)]
enum Unit {
    Bytes,
    Time,
    Count,
}

/// What is bounded, the file below src and the constant that bounds it, and what happens beyond.
const LIMITS: [(&str, &str, &str, Unit, &str); 22] = [
    (
        "connections to the exporter at once, at most half of the descriptors",
        "gate/limits",
        "CONNECTIONS",
        Unit::Count,
        "the most expendable one is closed, at first one that never asked; 503 if all are being served",
    ),
    (
        "head of a request",
        "gate/limits",
        "HEAD_BYTES",
        Unit::Bytes,
        "431",
    ),
    (
        "header lines of a request",
        "gate/head",
        "HEADER_LINES",
        Unit::Count,
        "431",
    ),
    (
        "time for a head, from its first byte to its last",
        "gate/limits",
        "HEAD_TIME",
        Unit::Time,
        "408, closed",
    ),
    (
        "time to take a whole answer",
        "gate/limits",
        "RESPONSE_TIME",
        Unit::Time,
        "closed",
    ),
    (
        "rest between two requests",
        "gate/limits",
        "IDLE_TIME",
        Unit::Time,
        "closed",
    ),
    (
        "answers that clients have not taken yet, together",
        "gate/limits",
        "PENDING_BYTES",
        Unit::Bytes,
        "the slowest readers are closed",
    ),
    (
        "main loop without progress",
        "gate/limits",
        "STALL_TIME",
        Unit::Time,
        "the process ends, so that a supervisor starts it again",
    ),
    (
        "answer of an upstream, decompressed",
        "fetch/body",
        "BODY_LIMIT_BYTES",
        Unit::Bytes,
        "failure `too_large`",
    ),
    (
        "redirects of a request",
        "fetch/upstream",
        "REDIRECT_LIMIT",
        Unit::Count,
        "failure `redirect`",
    ),
    (
        "`Retry-After` that is believed",
        "fetch/retry_after",
        "LIMIT",
        Unit::Time,
        "cut",
    ),
    (
        "items of one list in an answer",
        "lenient",
        "ITEM_LIMIT",
        Unit::Count,
        "the answer counts as malformed",
    ),
    (
        "characters of a label",
        "model",
        "LABEL_LIMIT_CHARS",
        Unit::Count,
        "cut",
    ),
    (
        "lines of a login at AAISP",
        "sources/aaisp/reading",
        "SERVICE_LIMIT",
        Unit::Count,
        "the rest is left out",
    ),
    (
        "pages of a list at Pantheon",
        "sources/pantheon/listing",
        "PAGES_LIMIT",
        Unit::Count,
        "the listing fails",
    ),
    (
        "uptime samples of a service",
        "history",
        "KEPT",
        Unit::Time,
        "the oldest is overwritten",
    ),
    (
        "samples that wait for a disk",
        "history",
        "UNSAVED_LIMIT",
        Unit::Count,
        "the oldest are dropped",
    ),
    (
        "posts that wait or are remembered",
        "notify",
        "POSTS_LIMIT",
        Unit::Count,
        "delivered ones are forgotten, then new ones dropped and counted",
    ),
    (
        "time until a post is given up, once its incident is gone",
        "notify",
        "GIVE_UP_AFTER",
        Unit::Time,
        "dropped, and counted",
    ),
    (
        "cache file that is read",
        "cache",
        "FILE_LIMIT_BYTES",
        Unit::Bytes,
        "cut, so not understood, and set aside",
    ),
    (
        "services.json",
        "config/places",
        "FILE_LIMIT_BYTES",
        Unit::Bytes,
        "refused at start-up",
    ),
    (
        "file of a secret",
        "config/secret",
        "FILE_LIMIT_BYTES",
        Unit::Bytes,
        "failure `config`; at start-up refused",
    ),
];

#[test]
fn the_limits_of_the_security_document_are_those_of_the_code() {
    let files: BTreeMap<String, String> = sources_of_the_program().into_iter().collect();
    let rows = LIMITS.map(|(what, file, name, unit, beyond)| {
        let code = &files[&format!("{file}.rs")];
        let number = constant(code, name).unwrap_or_else(|| panic!("{file}.rs has no {name}"));
        vec![what.to_owned(), shown(number, unit), beyond.to_owned()]
    });
    let document = read("SECURITY.md");
    let limits = table(&["what", "limit", "beyond it"], rows);
    check("SECURITY.md", &with_part(&document, "limits", &limits));
}

/// The value of a constant: a product of numbers, or a `Duration` of seconds.
fn constant(code: &str, name: &str) -> Option<u64> {
    let (_, rest) = code.split_once(&format!("const {name}: "))?;
    let (_, value) = rest.split(';').next()?.split_once(" = ")?;
    let product = value
        .strip_prefix("Duration::from_secs(")
        .map_or(value, |inner| inner.trim_end_matches(')'));
    let factors = product
        .split('*')
        .map(|factor| factor.trim().replace('_', "").parse::<u64>().ok());
    factors
        .collect::<Option<Vec<u64>>>()
        .map(|factors| factors.iter().product())
}

fn shown(number: u64, unit: Unit) -> String {
    let in_steps = |steps: &[(u64, &str)]| {
        let (size, name) = steps
            .iter()
            .find(|(size, _)| number.is_multiple_of(*size))
            .unwrap();
        format!("{} {name}", number / size)
    };
    match unit {
        Unit::Bytes => in_steps(&[(1024 * 1024, "MiB"), (1024, "KiB"), (1, "bytes")]),
        Unit::Time => match number {
            86_400 => "1 day".to_owned(),
            _ => in_steps(&[(86_400, "days"), (3_600, "h"), (1, "s")]),
        },
        Unit::Count => {
            let digits = number.to_string();
            let groups: Vec<&str> = digits
                .as_bytes()
                .rchunks(3)
                .rev()
                .map(|group| std::str::from_utf8(group).unwrap())
                .collect();
            groups.join(",")
        }
    }
}
