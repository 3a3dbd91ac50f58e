//! Texts of settings as values: each gives what it means, or a sentence for the person who wrote it.

use std::net::ToSocketAddrs;
use std::time::Duration;

use super::problem::shown_value;
use super::{Listen, parse_duration, services};
use crate::shard;
use crate::sources::Scale;

/// `true`, `1`, `yes`, `on` and their opposites, in any case.
///
/// # Errors
/// The list of words, for any other.
pub fn parse_truth(text: &str) -> Result<bool, String> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Ok(true),
        "false" | "0" | "no" | "off" => Ok(false),
        _ => Err("is neither true, 1, yes, on nor false, 0, no, off".to_owned()),
    }
}

pub(super) fn parse_port(text: &str) -> Result<u16, String> {
    text.trim()
        .parse()
        .map_err(|_| "not a port (0 to 65535)".to_owned())
}

/// An address to listen at: `127.0.0.1:9001`, `[::1]:9001`, or `:9001` for all addresses.
///
/// # Errors
/// A sentence for the person who wrote it.
pub fn parse_listen(address: &str) -> Result<Listen, String> {
    if let Some(port) = address.strip_prefix(':') {
        return parse_port(port).map(Listen::Everywhere);
    }
    match address
        .to_socket_addrs()
        .ok()
        .and_then(|mut found| found.next())
    {
        Some(found) => Ok(Listen::At(found)),
        None => Err(format!(
            "{} is no address to listen on; write it like 127.0.0.1:9001 or :9001",
            shown_value(address)
        )),
    }
}

pub(super) fn parse_interval(text: &str) -> Result<Duration, String> {
    let minutes = text.trim().parse::<f64>().ok();
    let interval = match minutes {
        Some(minutes) => Duration::try_from_secs_f64(minutes * 60.0).ok(),
        None => parse_duration(text),
    };
    let (least, most) = services::INTERVAL_RANGE;
    match interval {
        Some(interval) if (least..=most).contains(&interval) => Ok(interval),
        Some(_) => Err("not between 1 second and 366 days".to_owned()),
        None => Err("neither a number of minutes nor a duration such as 90s".to_owned()),
    }
}

pub(super) fn parse_retention(text: &str) -> Result<Duration, String> {
    let hours = text.trim().parse::<f64>().ok();
    let retention = match hours {
        Some(hours) => Duration::try_from_secs_f64(hours * 3600.0).ok(),
        None => parse_duration(text),
    };
    let year = Duration::from_secs(366 * 24 * 3600);
    retention
        .filter(|retention| *retention <= year)
        .ok_or_else(|| "not a number of hours from 0 to a year".to_owned())
}

pub(super) fn parse_concurrency(text: &str) -> Result<usize, String> {
    let count = text
        .trim()
        .parse()
        .ok()
        .filter(|count| (1..=1024).contains(count));
    count.ok_or_else(|| "not a number from 1 to 1024".to_owned())
}

pub(super) fn parse_total_shards(text: &str) -> Result<u32, String> {
    let most = shard::SHARDS_LIMIT;
    let total = text.trim().parse().ok();
    total
        .filter(|total| (1..=most).contains(total))
        .ok_or_else(|| format!("not a number from 1 to {most}"))
}

pub(super) fn parse_scale(text: &str) -> Result<Scale, String> {
    Scale::from_word(text).ok_or_else(|| "is neither binary nor ternary".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_interval(text: &str, expected_ms: Option<u64>) {
        assert_eq!(
            parse_interval(text).ok(),
            expected_ms.map(Duration::from_millis),
            "{text:?}"
        );
    }

    #[test]
    fn the_interval_is_minutes_or_a_duration_of_any_length_from_a_second() {
        check_interval("20", Some(1_200_000));
        check_interval("0.05", Some(3_000));
        check_interval("90s", Some(90_000));
        check_interval("60", Some(3_600_000));
        check_interval("10000", Some(600_000_000));
        check_interval("0.001", None);
        check_interval("0", None);
        check_interval("-5", None);
        check_interval("NaN", None);
        check_interval("1e300", None);
        check_interval("often", None);
    }

    #[test]
    fn truth_words_are_the_original_ones_in_any_case() {
        assert!(
            ["true", "1", "YES", "On"]
                .into_iter()
                .all(|word| parse_truth(word) == Ok(true))
        );
        assert!(
            ["false", "0", "NO", "off"]
                .into_iter()
                .all(|word| parse_truth(word) == Ok(false))
        );
        assert!(parse_truth("y").is_err());
    }
}
