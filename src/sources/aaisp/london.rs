//! Times of day as clocks in the United Kingdom show them, without a time-zone database.

use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::Offset;

/// Unix seconds of `YYYY-MM-DD HH:MM:SS` in the United Kingdom.
///
/// A time that exists twice, at the end of summer time, is the first of the two; one that does not exist, at its
/// beginning, is read as UTC (contract, section 3.2).
pub(super) fn unix_seconds(text: &str) -> Option<i64> {
    let local = DateTime::strptime("%Y-%m-%d %H:%M:%S", text).ok()?;
    let summer = Offset::constant(1).to_timestamp(local).ok()?;
    if is_summer(summer, local.year())? {
        return Some(summer.as_second());
    }
    Some(Offset::UTC.to_timestamp(local).ok()?.as_second())
}

/// Summer time lasts from 01:00 UTC on the last Sunday of March to 01:00 UTC on the last Sunday of October.
fn is_summer(moment: Timestamp, year: i16) -> Option<bool> {
    let change = |month| {
        let date = Date::new(year, month, 1).ok()?;
        let sunday = date.nth_weekday_of_month(-1, Weekday::Sunday).ok()?;
        Offset::UTC.to_timestamp(sunday.at(1, 0, 0, 0)).ok()
    };
    Some(change(3)? <= moment && moment < change(10)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        assert_eq!(unix_seconds(text), expected, "{text:?}");
    }

    // Contract test 14, the four times; the rest of it is in `reading` and in the tests of the binary.
    #[test]
    fn british_times_are_an_hour_ahead_in_summer() {
        check("2025-11-20 18:00:00", Some(1_763_661_600));
        check("2024-07-31 10:00:00", Some(1_722_416_400));
        check("2025-10-26 01:30:00", Some(1_761_438_600));
        check("2025-03-30 01:30:00", Some(1_743_298_200));
    }

    #[test]
    fn the_changes_are_at_one_o_clock_universal_time() {
        check("2025-03-30 00:59:59", Some(1_743_296_399));
        check("2025-03-30 02:00:00", Some(1_743_296_400));
        check("2025-10-26 00:59:59", Some(1_761_436_799));
        check("2025-10-26 01:59:59", Some(1_761_440_399));
        check("2025-10-26 02:00:00", Some(1_761_444_000));
    }

    #[test]
    fn what_is_no_time_is_none() {
        for text in [
            "",
            "yesterday",
            "2025-13-01 00:00:00",
            "2025-02-30 00:00:00",
            "2025-11-20",
        ] {
            check(text, None);
        }
    }
}
