//! `Retry-After`: how long an upstream asks to be left alone.

use std::time::Duration;

use jiff::Timestamp;

/// Longest time that is believed.
const LIMIT: Duration = Duration::from_secs(24 * 3600);

/// Reads a `Retry-After` header: whole seconds or an HTTP date, at most a day.
pub(super) fn parse_retry_after(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    let wait = if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds is a very long time.
        Duration::from_secs(value.parse().unwrap_or(u64::MAX))
    } else {
        let date = jiff::fmt::rfc2822::parse(value).ok()?.timestamp();
        Duration::try_from(date.duration_since(now)).unwrap_or(Duration::ZERO)
    };
    Some(wait.min(LIMIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_retry_after(value: &str, expected_s: Option<u64>) {
        let now = "2026-11-20T08:49:30Z".parse().expect("valid");
        assert_eq!(
            parse_retry_after(value, now).map(|wait| wait.as_secs()),
            expected_s,
            "{value:?}"
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
        check_retry_after("7", Some(7));
        check_retry_after(" 0 ", Some(0));
        check_retry_after("99999", Some(86_400));
        check_retry_after("99999999999999999999999", Some(86_400));
        check_retry_after("Fri, 20 Nov 2026 08:49:37 GMT", Some(7));
        check_retry_after("Fri, 20 Nov 2020 08:49:37 GMT", Some(0));
        check_retry_after("-1", None);
        check_retry_after("1.5", None);
        check_retry_after("", None);
        check_retry_after("soon", None);
    }
}
