//! A mistake in the configuration, as one sentence for the person who made it, and the nearest known name.

use std::fmt;

/// Longest piece of a wrong value that an error repeats, in characters.
const SHOWN_VALUE_CHARS: usize = 80;

/// Longest word that no secret is.
const PLAIN_WORD_CHARS: usize = 24;
/// Shortest word with letters and digits that could be a password.
const PASSWORD_LEAST_CHARS: usize = 7;

/// A configuration error: where it is, what is wrong, what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem(String);

impl Problem {
    /// A problem with its whole sentence.
    pub fn new(sentence: impl Into<String>) -> Problem {
        Problem(sentence.into())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A wrong value as an error shows it: quoted, escaped and cut.
pub fn shown(value: &str) -> String {
    let cut = crate::model::cut(value, SHOWN_VALUE_CHARS);
    let dots = if cut.len() < value.len() { "…" } else { "" };
    format!("{cut:?}{dots}")
}

/// A wrong value as an error shows it, unless it could be a secret that stands in the wrong place.
pub fn shown_value(value: &str) -> String {
    match value.split(is_separator).any(is_like_a_secret) {
        false => shown(value),
        true => {
            let chars = value.chars().count();
            format!("the value ({chars} characters, not shown: it could be a secret)")
        }
    }
}

/// A path as an error shows it, unless it is none and so could be the secret itself.
pub fn shown_path(path: &str) -> String {
    let is_path = ["/", "./", "../", "~/", "${CREDENTIALS_DIRECTORY}/"]
        .iter()
        .any(|begin| path.starts_with(begin));
    if is_path || std::fs::exists(path).unwrap_or(false) {
        path.escape_debug().to_string()
    } else {
        "(not shown: no file has this name, and it could be a secret)".to_owned()
    }
}

/// The beginning of a name, up to the first character that no name has: what follows could be a secret.
pub(super) fn shown_name(name: &str) -> String {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || "-_.$".contains(letter);
    let end = name.find(|letter| !is_of_name(letter));
    match end.and_then(|end| name.get(..end)) {
        None => shown_value(name),
        Some(beginning) => format!("{}…", shown_value(beginning)),
    }
}

/// Where one part of an address, a path or a list ends.
fn is_separator(letter: char) -> bool {
    letter.is_whitespace() || ".:/,;?#@[]()".contains(letter)
}

/// Whether a word is longer than those that a wrong value consists of, or a mixture as passwords and keys are.
fn is_like_a_secret(word: &str) -> bool {
    let has = |is_it: fn(&char) -> bool| word.chars().any(|letter| is_it(&letter));
    let mixture = [
        has(char::is_ascii_lowercase),
        word.chars()
            .skip(1)
            .any(|letter| letter.is_ascii_uppercase()),
        has(char::is_ascii_digit),
        has(|letter| !letter.is_ascii_alphanumeric() && !['-', '_'].contains(letter)),
    ];
    let kinds = mixture.iter().filter(|is_there| **is_there).count();
    let length = word.chars().count();
    length > PLAIN_WORD_CHARS || (length >= PASSWORD_LEAST_CHARS && kinds >= 2)
}

/// ` (did you mean "x"?)` for the known name nearest to `word`, or nothing when none is near.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let lower = word.to_ascii_lowercase();
    let nearest = known
        .into_iter()
        .map(|name| (distance(&lower, &name.to_ascii_lowercase()), name))
        .min();
    match nearest {
        Some((steps, name)) if steps <= 1 + name.len() / 4 => {
            format!(" (did you mean \"{name}\"?)")
        }
        _ => String::new(),
    }
}

/// Letters to insert, remove, exchange or swap with their neighbour to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    // A word that long is no typing error; the bound keeps the table small.
    let (a, b): (Vec<char>, Vec<char>) =
        (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let at = |row: Option<&Vec<usize>>, j: usize| {
                row.and_then(|row| row.get(j))
                    .copied()
                    .unwrap_or(usize::MAX / 2)
            };
            let mut steps = (at(rows.get(i), j) + usize::from(x != y))
                .min(at(rows.get(i), j + 1) + 1)
                .min(at(Some(&row), j) + 1);
            if i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x) {
                steps = steps.min(at(rows.get(i - 1), j - 1) + 1);
            }
            row.push(steps);
        }
        rows.push(row);
    }
    rows.last().and_then(|row| row.last()).copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_known_name_is_proposed_and_a_far_one_is_not() {
        assert_eq!(
            did_you_mean("statuspge", ["statuspage", "spacelift"]),
            " (did you mean \"statuspage\"?)"
        );
        assert_eq!(
            did_you_mean("ulr", ["url", "name"]),
            " (did you mean \"url\"?)"
        );
        assert_eq!(
            did_you_mean("Name", ["url", "name"]),
            " (did you mean \"name\"?)"
        );
        assert_eq!(did_you_mean("endpoint", ["url", "name"]), "");
        assert_eq!(did_you_mean("", []), "");
    }

    #[test]
    fn a_wrong_value_is_shown_unless_it_could_be_a_secret() {
        for slip in [
            "90001",
            "loud",
            "5 parsecs",
            "statuspge",
            "1h30",
            "-1",
            "9099s",
            "127.0.0.1:99999",
            "chaos2.example.com",
            "ftp://status.example.com",
            "Live!",
            "VERBOSE",
        ] {
            assert_eq!(shown_value(slip), format!("{slip:?}"));
        }
        for secret in [
            "s3cr3t-in-the-open",
            "hunter2",
            "correct&horse",
            "aBcDeFgH",
            "x7",
            "aaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            let text = shown_value(&format!("https://h.example/{secret}"));
            assert_eq!(text.contains(secret), secret == "x7", "{text}");
        }
        assert_eq!(shown_name("Authorization: Bearer x"), "\"Authorization\"…");
        assert_eq!(shown_path("/nowhere/key"), "/nowhere/key");
        assert!(shown_path("T000/B000/x").starts_with("(not shown"));
    }

    #[test]
    fn a_long_value_is_cut_and_escaped() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown(&"x".repeat(100)), format!("\"{}\"…", "x".repeat(80)));
    }
}
