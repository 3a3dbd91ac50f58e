//! A mistake in the configuration, as one sentence for the person who made it, and the nearest known name.

use std::fmt;

/// Longest piece of a wrong value that an error repeats, in characters.
const SHOWN_VALUE_CHARS: usize = 80;

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
    fn a_long_value_is_cut_and_escaped() {
        assert_eq!(shown("a\nb"), r#""a\nb""#);
        assert_eq!(shown(&"x".repeat(100)), format!("\"{}\"…", "x".repeat(80)));
    }
}
