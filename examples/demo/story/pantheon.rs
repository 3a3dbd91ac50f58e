//! A Pantheon account: sites with the traffic of the last 28 days, of which today's grows, and one that comes and goes.
//! The traffic of one site reads zero for a while, that of another cannot be read.

use serde_json::{Value, json};

use super::{Chapter, Moment};
use crate::pantheon_upstream::{Pantheon, day, id, site};
use crate::upstream;

const CAMPAIGN: Chapter = Chapter::new("Pantheon: the site spring-campaign is there", 150.0, 450.0);

const REBUILD: Chapter = Chapter::new("Pantheon: all of shop reads zero", 60.0, 150.0);
const NOT_ALLOWED: Chapter =
    Chapter::new("Pantheon: the traffic of handbook is refused", 230.0, 400.0);

pub(super) const CHAPTERS: [Chapter; 3] = [CAMPAIGN, REBUILD, NOT_ALLOWED];

/// Name, plan and visits of a usual day of each site; the last one is there only for its chapter.
const SITES: [(&str, &str, u64); 4] = [
    ("shop", "Performance Small", 8_400),
    ("magazine", "Performance Medium", 31_000),
    ("handbook", "Basic", 620),
    ("spring-campaign", "Basic", 2_500),
];
const SHOP_PLACE: u64 = 0;
const HANDBOOK_PLACE: usize = 2;
const CAMPAIGN_PLACE: usize = 3;
const DAYS: i64 = 28;
const DAY_S: i64 = 86_400;
/// Percent of a usual day's visits, from Thursday on, since 1970 began with one.
const WEEK: [u64; 7] = [104, 98, 71, 66, 109, 112, 108];

/// All days are shown at every scrape, whenever a Prometheus joins.
pub(super) fn service(pantheon: &Pantheon) -> Value {
    json!({
        "type": "pantheon", "api_base": pantheon.upstream.url(""), "machine_tokens": [Pantheon::token(1)],
        "interval": "8s", "history": "always"
    })
}

pub(super) fn tell(pantheon: &Pantheon, moment: &Moment) {
    let is_there = |place: usize| place != CAMPAIGN_PLACE || moment.is_in(CAMPAIGN);
    let places = (0..SITES.len()).filter(|place| is_there(*place));
    let sites = places.map(|place| site(&id(place), SITES[place].0, Some(SITES[place].1)));
    let sites = sites.collect();
    pantheon.change(0, |account| account.sites = sites);
    for (place, (_, _, usual)) in SITES.iter().enumerate() {
        pantheon.set_traffic(&id(place), traffic(moment, place as u64, *usual));
    }
    pantheon.clear_switches();
    if moment.is_in(NOT_ALLOWED) {
        let traffic = format!("/sites/{}/environments", id(HANDBOOK_PLACE));
        pantheon.switch(&traffic, upstream::status(403, &[]));
    }
}

/// The last 28 days. The earlier ones never change; today goes from a tenth to the whole of its visits in a cycle.
fn traffic(moment: &Moment, place: u64, usual: u64) -> Vec<Value> {
    let today = moment.unix_s(moment.at_s) as i64 / DAY_S;
    let days = today - DAYS + 1..=today;
    let point = |number: i64| {
        let visits = visits(number, place, usual);
        let visits = match number == today {
            true => (visits as f64 * (0.1 + 0.9 * moment.passed_of_cycle())) as u64,
            false => visits,
        };
        let is_lost = number == today && place == SHOP_PLACE && moment.is_in(REBUILD);
        let visits = if is_lost { 0 } else { visits };
        let pages = visits * 17 / 5;
        let hits = pages * (55 + 10 * place) / 100;
        day(number * DAY_S, [visits, pages, hits, pages - hits])
    };
    days.map(point).collect()
}

/// The visits of a whole day: by the day of the week, with some noise that is the same for the same day and site.
fn visits(day: i64, place: u64, usual: u64) -> u64 {
    let noise = (day.unsigned_abs() * 7_919 + place * 104_729) % 200;
    let of_week = WEEK[day.rem_euclid(7) as usize];
    usual * of_week * (900 + noise) / 100_000
}
