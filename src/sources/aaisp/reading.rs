//! What the replies mean: ids of lines, quotas, rates, telephone numbers and prices.
//!
//! Pure: a [`super::wire::Reply`] comes in, values without doubt go out. A member that is missing or unreadable is none.

use super::london;
use super::wire::{Choice, Record, Reply, ServiceOption};
use crate::lenient::{Element, Elements};
use crate::sorted::{SortedMap, SortedSet};

/// Most lines (or telephone numbers) of one login. A large account has some hundred; each costs requests.
const SERVICE_LIMIT: usize = 1_000;
/// Longest id of a line, in characters; real ones have five digits, telephone numbers eleven.
const ID_LIMIT_CHARS: usize = 100;
/// Most prices shown; the real list has some hundred.
const RATE_LIMIT: usize = 10_000;
/// Members of `info` that name the kind of line.
const KINDS_OF_LINE: [&str; 4] = ["type", "technology", "package", "service_type"];

/// Members of `quota` that are numbers or a time.
const FIGURES: [&str; 6] = [
    "quota_monthly",
    "quota",
    "quota_remaining",
    "remaining",
    "used",
    "quota_timestamp",
];
/// Members of `info` that are numbers.
const RATES: [&str; 3] = ["tx_rate", "rx_rate", "tx_rate_adjusted"];

/// Quota figures of one line, in bytes; none that is both without total and remaining is ever shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Quota {
    pub(super) login: Option<String>,
    pub(super) total: Option<f64>,
    pub(super) remaining: Option<f64>,
    pub(super) used: Option<f64>,
    /// When the figures were taken, Unix time.
    pub(super) taken_at_s: Option<f64>,
    /// Members that hold something unusable.
    pub(super) unreadable: Vec<&'static str>,
}

/// Details of one line; rates in bit/s as the customer sees them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct LineInfo {
    pub(super) login: Option<String>,
    pub(super) postcode: String,
    pub(super) download: Option<f64>,
    pub(super) upload: Option<f64>,
    pub(super) download_adjusted: Option<f64>,
    /// A tunnel over another provider's line: it has no rates of its own.
    pub(super) is_tunnel: bool,
    /// Members that hold something unusable.
    pub(super) unreadable: Vec<&'static str>,
}

/// Details of one telephone number.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct NumberInfo {
    pub(super) status: String,
    pub(super) call_forwarding: String,
    pub(super) voicemail: String,
    pub(super) service_type: String,
    pub(super) currency: String,
    pub(super) active_calls: Option<f64>,
    pub(super) inbound: Calls,
    pub(super) outbound: Calls,
}

/// Totals of the calls in one direction; none where they are not above zero.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Calls {
    pub(super) count: Option<f64>,
    pub(super) duration_s: Option<f64>,
    pub(super) cost: Option<f64>,
}

/// Prices by name.
pub(super) type RateCard = SortedMap<String, Rate>;

/// One price, in pence a minute and pence.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Rate {
    pub(super) peak: Option<f64>,
    pub(super) offpeak: Option<f64>,
    pub(super) weekend: Option<f64>,
    pub(super) min_charge: Option<f64>,
    /// Number of codes with this price.
    pub(super) prefixes: u64,
}

/// What a reply says went wrong, if it says so, whatever its status.
pub(super) fn error(reply: &Reply) -> Option<String> {
    let words = reply.error.0.iter().map(|element| match element {
        Element::Text(text) => text.as_str(),
        _ => "an error without a text",
    });
    let words: Vec<&str> = words.collect();
    (!words.is_empty()).then(|| words.join(", "))
}

/// The ids that a listing names.
pub(super) fn ids(reply: Reply) -> SortedSet<String> {
    let named = read_ids(reply.services);
    if named.is_empty() {
        read_ids(reply.service)
    } else {
        named
    }
}

fn read_ids(elements: Elements<Record>) -> SortedSet<String> {
    let ids = elements.0.iter().filter_map(|element| match element {
        Element::Text(text) => Some(text.as_str()),
        Element::Object(record) => record.text("id").or(record.text("service")),
        Element::Nothing => None,
    });
    bounded(ids.map(str::to_owned))
}

/// The ids that the options of a reply offer for `service`.
pub(super) fn choices(reply: &mut Reply) -> SortedSet<String> {
    let groups = std::mem::take(&mut reply.options).into_objects();
    let options = groups.flat_map(|group| group.option.into_objects());
    let of_services = options.filter(|option: &ServiceOption| {
        let name = option.name.0.as_deref().unwrap_or_default();
        name.eq_ignore_ascii_case("service")
    });
    let choices = of_services.flat_map(|option| option.choice.into_objects());
    bounded(choices.filter_map(|choice: Choice| choice.value.0))
}

/// Usable ids, trimmed, up to the limit.
fn bounded(ids: impl Iterator<Item = String>) -> SortedSet<String> {
    let ids = ids.map(|id| id.trim().to_owned());
    ids.filter(|id| !id.is_empty() && id.chars().count() <= ID_LIMIT_CHARS)
        .take(SERVICE_LIMIT)
        .collect()
}

/// The two lists as one, up to the limit.
pub(super) fn union(listed: SortedSet<String>, others: &SortedSet<String>) -> SortedSet<String> {
    listed
        .into_iter()
        .chain(others.iter().cloned())
        .collect::<SortedSet<_>>()
        .into_iter()
        .take(SERVICE_LIMIT)
        .collect()
}

/// The quota of the line that was asked for.
pub(super) fn quota(reply: Reply) -> Option<Quota> {
    let record = reply.quota.into_objects().next()?;
    Some(Quota {
        login: login(&record),
        total: first_number(&record, &["quota_monthly", "quota"]),
        remaining: first_number(&record, &["quota_remaining", "remaining"]),
        used: first_number(&record, &["used"]),
        taken_at_s: record.text("quota_timestamp").and_then(moment),
        unreadable: unreadable(&record, &FIGURES, moment),
    })
}

impl Quota {
    /// Whether there is anything to show.
    pub(super) fn is_known(&self) -> bool {
        self.total.is_some() || self.remaining.is_some()
    }

    /// Bytes used. What rolled over from the last month can leave more than the quota: then nothing was used.
    pub(super) fn used(&self) -> Option<f64> {
        match (self.total, self.remaining) {
            (Some(total), Some(remaining)) => Some((total - remaining).max(0.0)),
            _ => self.used,
        }
    }

    /// Share of the quota that is used, in percent; above 100 when over quota.
    pub(super) fn percentage(&self) -> Option<f64> {
        let total = self.total.filter(|total| *total != 0.0)?;
        Some(self.used()? / total * 100.0)
    }
}

/// The details of the line that was asked for.
pub(super) fn line_info(reply: Reply) -> Option<LineInfo> {
    reply.info.into_objects().next().map(read_line_info)
}

/// The details of all lines of a reply by their ids.
pub(super) fn line_infos(reply: Reply) -> SortedMap<String, LineInfo> {
    let records = reply.info.into_objects();
    let infos = records.filter_map(|record| {
        let id = record.text("id")?.trim().to_owned();
        Some((id, read_line_info(record)))
    });
    infos.take(SERVICE_LIMIT).collect()
}

fn read_line_info(record: Record) -> LineInfo {
    let is_tunnel = KINDS_OF_LINE.iter().any(|name| {
        let word = record.text(name).unwrap_or_default();
        word.to_ascii_lowercase().contains("l2tp")
    });
    LineInfo {
        login: login(&record),
        postcode: record.text("postcode").unwrap_or("unknown").to_owned(),
        // The provider transmits what the customer downloads.
        download: record.text("tx_rate").and_then(number),
        upload: record.text("rx_rate").and_then(number),
        download_adjusted: record.text("tx_rate_adjusted").and_then(number),
        is_tunnel,
        unreadable: unreadable(&record, &RATES, number),
    }
}

/// The details of the telephone number that was asked for; each member in `info`, else in the reply itself.
pub(super) fn number_info(reply: Reply) -> NumberInfo {
    let Reply { info, top, .. } = reply;
    let records = [info.into_objects().next().unwrap_or_default(), top];
    let text = |names: &[&str]| {
        let found = records.iter().find_map(|record| first_text(record, names));
        found.unwrap_or("unknown").to_owned()
    };
    let active = ["active_calls", "current_calls"];
    let currency = records.iter().find_map(|record| record.text("currency"));
    let calls = |words: [[&str; 2]; 3]| {
        let total = |names: [&str; 2]| {
            let statistics = records.iter().filter_map(Record::statistics);
            let mut found = statistics.filter_map(|record| first_number(record, &names));
            found.next().filter(|total| *total > 0.0)
        };
        let [count, duration_s, cost] = words.map(total);
        Calls {
            count: count.map(f64::trunc),
            duration_s,
            cost,
        }
    };
    NumberInfo {
        status: text(&["status"]),
        call_forwarding: text(&["call_forwarding", "forwarding"]).to_lowercase(),
        voicemail: text(&["voicemail", "voicemail_enabled"]).to_lowercase(),
        service_type: text(&["service_type", "type"]),
        currency: currency.unwrap_or("GBP").to_owned(),
        active_calls: records
            .iter()
            .find_map(|record| first_number(record, &active))
            .map(f64::trunc),
        inbound: calls([
            ["inbound_calls", "calls_in"],
            ["inbound_duration", "duration_in"],
            ["inbound_cost", "cost_in"],
        ]),
        outbound: calls([
            ["outbound_calls", "calls_out"],
            ["outbound_duration", "duration_out"],
            ["outbound_cost", "cost_out"],
        ]),
    }
}

/// The price list. A price without a name is passed over; of two with one name the last one counts.
pub(super) fn rate_card(reply: Reply) -> RateCard {
    let mut rates = RateCard::new();
    let mut prefixes: SortedMap<String, u64> = SortedMap::new();
    for card in reply.rate_card.into_objects() {
        let codes = card.codes.into_objects();
        for code in codes.flat_map(|codes| codes.code.into_objects()) {
            if let (Some(name), true) = (code.text("rate"), code.has("code")) {
                *prefixes.or_default(name.to_owned()) += 1;
            }
        }
        let records = card.rates.into_objects();
        for record in records.flat_map(|rates| rates.rate.into_objects()) {
            let price = |name| record.text(name).and_then(number);
            let rate = Rate {
                peak: price("peak_ppm"),
                offpeak: price("offpeak_ppm"),
                weekend: price("weekend_ppm"),
                min_charge: price("min_charge"),
                prefixes: 0,
            };
            let name = record.text("rate").filter(|name| !name.is_empty());
            if let Some(name) =
                name.filter(|name| rates.len() < RATE_LIMIT || rates.contains_key(*name))
            {
                rates.insert(name.to_owned(), rate);
            }
        }
    }
    for (name, rate) in rates.iter_mut() {
        rate.prefixes = prefixes.get(name).copied().unwrap_or(0);
    }
    rates
}

fn login(record: &Record) -> Option<String> {
    let login = record.text("login")?;
    (!login.is_empty()).then(|| login.to_owned())
}

/// The first of these members that is there at all, even if it holds nothing usable.
fn first_text<'a>(record: &'a Record, names: &[&str]) -> Option<&'a str> {
    let name = names.iter().find(|name| record.has(name))?;
    record.text(name)
}

fn first_number(record: &Record, names: &[&str]) -> Option<f64> {
    first_text(record, names).and_then(number)
}

/// Those of the members that are neither missing nor empty and that `read` cannot read.
fn unreadable(
    record: &Record,
    names: &[&'static str],
    read: impl Fn(&str) -> Option<f64>,
) -> Vec<&'static str> {
    let is_unreadable = |name: &&str| {
        let text = record.text(name).unwrap_or_default();
        !text.is_empty() && read(text).is_none()
    };
    names.iter().copied().filter(is_unreadable).collect()
}

/// A finite decimal number, with or without spaces around it.
fn number(text: &str) -> Option<f64> {
    let text = text.trim();
    // The parser also knows words such as `nan` and `infinity`.
    let is_decimal = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| is_decimal);
    number.filter(|number| number.is_finite())
}

/// Unix seconds of a number of them, or of a British time of day.
fn moment(text: &str) -> Option<f64> {
    let of_clock = || london::unix_seconds(text.trim()).map(|seconds| seconds as f64);
    number(text).or_else(of_clock)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lenient;

    fn reply(json: &str) -> Reply {
        let mut reply: Option<Reply> = None;
        lenient::read(json.as_bytes(), &mut reply).expect("valid JSON");
        reply.expect("an object")
    }

    fn check_ids(json: &str, expected: &[&str]) {
        let found: Vec<String> = ids(reply(json)).into_iter().collect();
        assert_eq!(found, expected, "{json}");
    }

    // Contract test 7.
    #[test]
    fn a_listing_may_be_a_list_or_one_id_under_either_name() {
        check_ids(
            r#"{"services": ["60002", "60001", "60001"]}"#,
            &["60001", "60002"],
        );
        check_ids(r#"{"services": "60001"}"#, &["60001"]);
        check_ids(r#"{"services": 60001}"#, &["60001"]);
        check_ids(r#"{"service": ["60001"]}"#, &["60001"]);
        check_ids(r#"{"service": " 60001 "}"#, &["60001"]);
        check_ids(r#"{"services": [60001, 60002]}"#, &["60001", "60002"]);
        let objects =
            r#"{"services": [{"ID": "1"}, {"id": 2}, {"service": "3"}, {"title": "x"}, null]}"#;
        check_ids(objects, &["1", "2", "3"]);
        check_ids(r#"{"services": []}"#, &[]);
        check_ids(r#"{"services": null, "service": ""}"#, &[]);
        check_ids(r#"{"subsystem": "broadband"}"#, &[]);
    }

    fn check_choices(json: &str, expected: &[&str]) {
        let found: Vec<String> = choices(&mut reply(json)).into_iter().collect();
        assert_eq!(found, expected, "{json}");
    }

    // Contract test 8, the reading of it.
    #[test]
    fn options_offer_further_lines_in_lists_or_single_objects() {
        check_choices(
            r#"{"options": [{"option": [{"name": "service", "choice": [{"value": ""}, {"value": "60001"}, {"value": 60002}]},
                {"name": "speed", "choice": [{"value": "80"}]}]}, {"title": "empty group"}]}"#,
            &["60001", "60002"],
        );
        check_choices(
            r#"{"options": {"option": {"name": "service", "choice": {"value": "60001"}}}}"#,
            &["60001"],
        );
        check_choices(r#"{"options": [{"option": "x"}, 1, null]}"#, &[]);
        check_choices(r#"{"info": []}"#, &[]);
    }

    fn check_number(json: &str, expected: Option<f64>) {
        let json = format!(r#"{{"quota": [{{"quota_monthly": {json}}}]}}"#);
        let quota = quota(reply(&json)).expect("an object");
        assert_eq!(quota.total, expected, "{json}");
    }

    // Contract test 10.
    #[test]
    fn numbers_may_be_texts_with_spaces_and_words_are_none() {
        check_number("12", Some(12.0));
        check_number("-1.5", Some(-1.5));
        check_number("\"12\"", Some(12.0));
        check_number("\" 12 \"", Some(12.0));
        check_number("\"1e3\"", Some(1000.0));
        check_number("\"1000000000000\"", Some(1e12));
        for nothing in [
            "\"\"",
            "\"n/a\"",
            "\"nan\"",
            "\"inf\"",
            "\"1e999\"",
            "null",
            "[]",
            "{}",
            "true",
        ] {
            check_number(nothing, None);
        }
    }

    fn check_quota(json: &str, used: Option<f64>, percentage: Option<f64>) {
        let quota = quota(reply(json)).expect("an object");
        assert_eq!(
            (quota.used(), quota.percentage()),
            (used, percentage),
            "{json}"
        );
    }

    // Contract tests 11, 12 and 13, the reading of them.
    #[test]
    fn used_and_percentage_follow_from_what_is_there() {
        let json = r#"{"quota": {"quota_monthly": "100", "quota_remaining": "150"}}"#;
        check_quota(json, Some(0.0), Some(0.0));
        let json = r#"{"quota": {"quota_monthly": "100", "quota_remaining": "-50"}}"#;
        check_quota(json, Some(150.0), Some(150.0));
        let json = r#"{"quota": {"quota_monthly": "0", "quota_remaining": "0"}}"#;
        check_quota(json, Some(0.0), None);
        let json = r#"{"quota": {"quota_monthly": "200", "used": "50"}}"#;
        check_quota(json, Some(50.0), Some(25.0));
        let json = r#"{"quota": {"quota_remaining": "200", "used": "50"}}"#;
        check_quota(json, Some(50.0), None);
        check_quota(r#"{"quota": {"quota_monthly": "200"}}"#, None, None);
    }

    #[test]
    fn the_first_name_wins_when_it_is_there_even_if_unusable() {
        let old = quota(reply(r#"{"quota": {"quota": "100", "remaining": "40"}}"#));
        let old = old.expect("an object");
        assert_eq!((old.total, old.remaining), (Some(100.0), Some(40.0)));
        let both = quota(reply(
            r#"{"quota": {"quota_monthly": "n/a", "quota": "100"}}"#,
        ));
        assert_eq!(both.expect("an object").total, None);
    }

    fn check_moment(json: &str, expected: Option<f64>) {
        let json = format!(r#"{{"quota": [{{"quota_timestamp": {json}}}]}}"#);
        let quota = quota(reply(&json)).expect("an object");
        assert_eq!(quota.taken_at_s, expected, "{json}");
    }

    // Contract test 14, a numeric time and garbage.
    #[test]
    fn a_moment_is_a_number_or_a_british_time() {
        check_moment("\"2025-11-20 18:00:00\"", Some(1_763_661_600.0));
        check_moment("1763661600", Some(1_763_661_600.0));
        check_moment("\"1763661600\"", Some(1_763_661_600.0));
        check_moment("\"soon\"", None);
        check_moment("\"\"", None);
        check_moment("null", None);
    }

    #[test]
    fn members_that_hold_something_unusable_are_named() {
        let json = r#"{"quota": {"quota_monthly": "n/a", "quota_remaining": "", "quota_timestamp": "soon", "used": 1}}"#;
        let quota = quota(reply(json)).expect("an object");
        assert_eq!(quota.unreadable, ["quota_monthly", "quota_timestamp"]);
    }

    // Contract tests 15 and 16, the reading of them.
    #[test]
    fn download_is_what_the_provider_transmits_and_zero_is_a_rate() {
        let read = |json| line_info(reply(json)).expect("an object");
        let info = read(r#"{"info": [{"tx_rate": "0", "rx_rate": 7, "tx_rate_adjusted": null}]}"#);
        assert_eq!(
            (info.download, info.upload, info.download_adjusted),
            (Some(0.0), Some(7.0), None)
        );
        assert_eq!(info.postcode, "unknown");
        assert_eq!(read(r#"{"info": {"postcode": null}}"#).postcode, "unknown");
        assert_eq!(read(r#"{"info": {"postcode": ""}}"#).postcode, "");
    }

    // Contract test 25, the reading of it.
    #[test]
    fn a_line_is_a_tunnel_when_any_of_four_members_says_so() {
        for name in KINDS_OF_LINE {
            let json = format!(r#"{{"info": [{{"{name}": "Home L2TP package"}}]}}"#);
            assert!(
                line_info(reply(&json)).expect("an object").is_tunnel,
                "{name}"
            );
        }
        let other = line_info(reply(r#"{"info": [{"login": "l2tp"}]}"#));
        assert!(!other.expect("an object").is_tunnel);
    }

    #[test]
    fn telephony_members_are_looked_for_in_info_and_then_in_the_reply() {
        let info = number_info(reply(
            r#"{"status": "top", "voicemail": "YES", "statistics": {"calls_in": "3.9", "duration_out": "0"},
                "info": [{"status": "active", "call_stats": [{"inbound_duration": "12"}]}]}"#,
        ));
        assert_eq!((&*info.status, &*info.voicemail), ("active", "yes"));
        assert_eq!(
            (&*info.call_forwarding, &*info.currency),
            ("unknown", "GBP")
        );
        assert_eq!(info.inbound.count, Some(3.0));
        assert_eq!(info.inbound.duration_s, Some(12.0));
        assert_eq!(info.outbound, Calls::default());
    }

    // Contract test 28, the reading of it.
    #[test]
    fn prices_count_their_codes_and_may_be_a_single_object() {
        let card = rate_card(reply(
            r#"{"rate_card": {"codes": {"code": {"code": "441", "rate": "UK"}},
                "rates": {"rate": {"rate": "UK", "peak_ppm": 1.5}}}}"#,
        ));
        let uk = card.get("UK").expect("a price");
        assert_eq!((uk.peak, uk.offpeak, uk.prefixes), (Some(1.5), None, 1));
        let card = rate_card(reply(
            r#"{"rate_card": {"rates": {"rate": [{"peak_ppm": "9"}, {"rate": "A", "peak_ppm": "1"},
                {"rate": "A", "peak_ppm": "2"}]}}}"#,
        ));
        assert_eq!(card.len(), 1, "a price without a name is none");
        assert_eq!(card.get("A").expect("a price").peak, Some(2.0));
    }

    #[test]
    fn an_error_is_a_text_a_list_or_an_object() {
        let check = |json: &str, expected: Option<&str>| {
            assert_eq!(error(&reply(json)).as_deref(), expected, "{json}");
        };
        check(
            r#"{"error": "Bad control-login"}"#,
            Some("Bad control-login"),
        );
        check(r#"{"error": ["a", "b"]}"#, Some("a, b"));
        check(r#"{"error": {}}"#, Some("an error without a text"));
        check(r#"{"error": ""}"#, None);
        check(r#"{"error": null}"#, None);
        check(r#"{}"#, None);
    }

    #[test]
    fn no_reply_makes_a_reader_panic() {
        let whole = r#"{"services":["1"],"info":[{"ID":"1","tx_rate":"1"}],"quota":[{"quota_monthly":"1",
            "quota_timestamp":"2025-11-20 18:00:00"}],"options":[{"option":[{"name":"service","choice":[{"value":"1"}]}]}]}"#;
        let mut seed = 1_u64;
        for _ in 0..2_000 {
            let mut bytes = whole.as_bytes().to_vec();
            for _ in 0..3 {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let place = (seed >> 33) as usize % bytes.len();
                bytes[place] = (seed >> 25) as u8 & 0x7f;
            }
            let mut place: Option<Reply> = None;
            if lenient::read(&bytes, &mut place).is_ok()
                && let Some(mut reply) = place
            {
                choices(&mut reply);
                quota(reply);
            }
        }
    }
}
