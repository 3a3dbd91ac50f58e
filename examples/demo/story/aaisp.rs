//! A login with two lines and a telephone number: a quota that fills, and runs over just before the cycle ends, a sync
//! rate that drops for a while, quotas that cannot be read, and calls. One cycle is one month of quota.

use serde_json::{Value, json};

use super::{Chapter, Moment};
use crate::aaisp_upstream::{Chaos, LOGIN, PASSWORD, number, rate_card};
use crate::upstream;

pub(super) const FULL_LINE: &str = "60001";
pub(super) const SLOW_LINE: &str = "60002";

const NEARLY_FULL: Chapter =
    Chapter::new("AAISP: less than a tenth of a quota is left", 520.0, 600.0);
const SLOW_SYNC: Chapter = Chapter::new("AAISP: a line syncs at a third of its rate", 240.0, 420.0);

/// Longer than the interval of quotas at speed 10.
const NO_QUOTAS: Chapter = Chapter::new("AAISP: quotas are answered with HTTP 500", 110.0, 235.0);

pub(super) const CHAPTERS: [Chapter; 3] = [NEARLY_FULL, SLOW_SYNC, NO_QUOTAS];

const QUOTA_BYTES: f64 = 1e12;
/// Shares of the quota that are used at the start and at the end of a cycle, by line.
const USED: [(&str, f64, f64); 2] = [(FULL_LINE, 0.02, 1.04), (SLOW_LINE, 0.05, 0.45)];
/// Bits per second: what the slow line gets as a rule, and in its chapter.
const SYNC_BPS: [u64; 2] = [74_425_000, 24_800_000];
/// Calls in a cycle: those that come in, and those that go out.
const CALLS: [f64; 2] = [120.0, 70.0];
/// Calls that a cycle begins with, since a count of 0 is not shown.
const FIRST_CALLS: u32 = 5;

/// The shortest intervals that the source allows.
pub(super) fn service(chaos: &Chaos) -> Value {
    json!({
        "type": "aaisp", "control_login": LOGIN, "control_password": PASSWORD, "base_url": chaos.url(),
        "intervals": {"fast": 10, "medium": 60, "slow": 300},
        "collectors": {"telephony": true, "telephony_ratecard": true}
    })
}

pub(super) fn tell(chaos: &Chaos, moment: &Moment) {
    let read_s = (moment.unix_s(moment.at_s) as i64).to_string();
    let sync_bps = SYNC_BPS[usize::from(moment.is_in(SLOW_SYNC))];
    chaos.change(|account| {
        for (id, first, last) in USED {
            let used = first + (last - first) * moment.passed_of_cycle();
            let left = (QUOTA_BYTES * (1.0 - used)) as i64;
            for objects in [&mut account.lines, &mut account.quotas] {
                let line = objects.get_mut(id).expect("the account holds both lines");
                line["quota_remaining"] = left.to_string().into();
                line["quota_timestamp"] = read_s.clone().into();
            }
        }
        let slow = account.lines.get_mut(SLOW_LINE);
        let slow = slow.expect("the account holds both lines");
        slow["tx_rate"] = sync_bps.to_string().into();
        slow["tx_rate_adjusted"] = (sync_bps * 95 / 100).to_string().into();
        account.numbers = [("02000000001".to_owned(), telephone(moment))].into();
        account.rate_card = rate_card();
    });
    chaos.without_rules();
    if moment.is_in(NO_QUOTAS) {
        chaos.rule("broadband/quota", None, upstream::status(500, &[]));
    }
}

fn telephone(moment: &Moment) -> Value {
    let [inbound, outbound] =
        CALLS.map(|most| FIRST_CALLS + (most * moment.passed_of_cycle()) as u32);
    let mut number = number();
    number["active_calls"] = ((moment.at_s as u32 / 20) % 3).to_string().into();
    number["call_stats"] = json!({
        "inbound_calls": inbound.to_string(), "inbound_duration": (inbound * 95).to_string(),
        "outbound_calls": outbound.to_string(), "outbound_duration": (outbound * 130).to_string(),
        "outbound_cost": format!("{:.2}", f64::from(outbound) * 0.04)
    });
    number
}
