//! Durations and truth values as programs in Go write them, for the variables of the exporter that we replace.

use std::time::Duration;

/// The words that Go takes for a truth value.
pub(super) fn go_truth(word: &str) -> Option<bool> {
    match word {
        "1" | "t" | "T" | "TRUE" | "true" | "True" => Some(true),
        "0" | "f" | "F" | "FALSE" | "false" | "False" => Some(false),
        _ => None,
    }
}

/// A duration as Go writes it: `500ms`, `5s`, `1m30s`, `1.5s`. None for one below zero.
pub(super) fn go_duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(Duration::ZERO);
    }
    let mut total = Duration::ZERO;
    loop {
        let unit_at = rest.find(|letter: char| !letter.is_ascii_digit() && letter != '.')?;
        let (number, after) = rest.split_at(unit_at);
        let end = after
            .find(|letter: char| letter.is_ascii_digit() || letter == '.')
            .unwrap_or(after.len());
        let (unit, next) = after.split_at(end);
        let unit_s = match unit {
            "h" => 3_600.0,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            "us" | "µs" | "μs" => 1e-6,
            "ns" => 1e-9,
            _ => return None,
        };
        let number: f64 = number.parse().ok()?;
        total = total.checked_add(Duration::try_from_secs_f64(number * unit_s).ok()?)?;
        if next.is_empty() {
            return Some(total);
        }
        rest = next;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected_ms: Option<u64>) {
        let expected = expected_ms.map(Duration::from_millis);
        assert_eq!(go_duration(text), expected, "{text:?}");
    }

    // Contract test 9, the reading of it.
    #[test]
    fn durations_are_written_as_go_writes_them() {
        check("1m30s", Some(90_000));
        check("500ms", Some(500));
        check("1.5s", Some(1_500));
        check(".5s", Some(500));
        check("1h1m1.5s", Some(3_661_500));
        check("0s", Some(0));
        check("0", Some(0));
        for wrong in [
            "",
            "5",
            "-1s",
            "s",
            "5 s",
            "5s5",
            "1.2.3s",
            "5x",
            "5 parsecs",
            "1e3s",
        ] {
            check(wrong, None);
        }
    }

    #[test]
    fn truth_values_are_the_words_that_go_takes() {
        assert!(
            ["1", "t", "T", "TRUE", "true", "True"]
                .iter()
                .all(|word| go_truth(word) == Some(true))
        );
        assert!(
            ["0", "f", "F", "FALSE", "false", "False"]
                .iter()
                .all(|word| go_truth(word) == Some(false))
        );
        assert!(
            ["yes", "on", "tRUE", ""]
                .iter()
                .all(|word| go_truth(word).is_none())
        );
    }
}
