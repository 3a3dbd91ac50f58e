//! What outlives the process: site lists and histories. Never a token, a session or a user id.
//!
//! An account is found again by its alias, which is shown in metrics anyway.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::account::{Account, Site};
use super::listing::Found;
use super::settings::Settings;
use super::traffic::Counts;
use super::wire::SiteFacts;

/// A history whose newest fetch is older than this has a hole that only the long answer closes.
const HISTORY_GOES_ON: Duration = Duration::from_secs(24 * 3600);

/// The state of the service as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Kept {
    /// What was asked: other settings give other sites and numbers.
    asked: [String; 3],
    accounts: Vec<KeptAccount>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptAccount {
    alias: String,
    email: Option<String>,
    listed_at_s: Option<i64>,
    traffic_at_s: Option<i64>,
    sites: Vec<KeptSite>,
}

#[derive(Debug, Serialize, Deserialize)]
struct KeptSite {
    id: String,
    name: String,
    plan: String,
    parts: Vec<String>,
    needs_history: bool,
    is_refreshed: bool,
    has_had_traffic: bool,
    zeros_since_s: Option<i64>,
    fetched_at_s: Option<i64>,
    /// Day, visits, pages served, cache hits, cache misses.
    points: Vec<(i64, f64, f64, f64, f64)>,
}

impl Kept {
    pub(super) fn new(settings: &Settings, accounts: &[Account]) -> Kept {
        let named = accounts.iter().filter(|account| account.is_named);
        Kept {
            asked: asked(settings),
            accounts: named.map(kept_account).collect(),
        }
    }

    /// Gives every account back what was kept of it. True if that was anything.
    pub(super) fn restore(
        self,
        settings: &Settings,
        accounts: &mut [Account],
        interval: Duration,
        now: Timestamp,
    ) -> bool {
        if self.asked != asked(settings) {
            return false;
        }
        let mut is_any = false;
        for kept in self.accounts {
            let of_alias = |account: &&mut Account| account.alias == kept.alias;
            if let Some(account) = accounts.iter_mut().find(of_alias) {
                account.email = kept.email;
                account.is_named = true;
                account.listed_at = moment(kept.listed_at_s);
                account.traffic_at = moment(kept.traffic_at_s);
                account.sites = kept
                    .sites
                    .into_iter()
                    .map(|site| restored_site(site, interval, now))
                    .collect();
                account.sort();
                is_any = true;
            }
        }
        is_any
    }
}

fn asked(settings: &Settings) -> [String; 3] {
    let org_id = settings.org_id.clone().unwrap_or_default();
    [
        settings.environment.clone(),
        org_id,
        settings.api_base.clone(),
    ]
}

fn kept_account(account: &Account) -> KeptAccount {
    KeptAccount {
        alias: account.alias.clone(),
        email: account.email.clone(),
        listed_at_s: account.listed_at.map(Timestamp::as_second),
        traffic_at_s: account.traffic_at.map(Timestamp::as_second),
        sites: account.sites.iter().map(kept_site).collect(),
    }
}

fn kept_site(site: &Site) -> KeptSite {
    let points = site.traffic.points.iter().map(|(day, counts)| {
        let Counts {
            visits,
            pages_served,
            cache_hits,
            cache_misses,
        } = *counts;
        (*day, visits, pages_served, cache_hits, cache_misses)
    });
    KeptSite {
        id: site.facts.id.clone(),
        name: site.facts.name.clone(),
        plan: site.facts.plan.clone(),
        parts: site.parts.iter().cloned().collect(),
        needs_history: site.needs_history,
        is_refreshed: site.traffic.is_refreshed,
        has_had_traffic: site.traffic.has_had_traffic,
        zeros_since_s: site.traffic.zeros_since.map(Timestamp::as_second),
        fetched_at_s: site.fetched_at.map(Timestamp::as_second),
        points: points.collect(),
    }
}

/// The site as it was. What was fetched longer ago than one interval is fetched at once: it is shown as present.
fn restored_site(kept: KeptSite, interval: Duration, now: Timestamp) -> Site {
    let fetched_at = moment(kept.fetched_at_s);
    let age = fetched_at.map(|moment| Duration::try_from(now.duration_since(moment)));
    let is_within = |limit: Duration| matches!(age, Some(Ok(age)) if age <= limit);
    let needs_history = kept.needs_history || !is_within(HISTORY_GOES_ON);
    let mut site = Site::new(Found {
        facts: SiteFacts {
            id: kept.id,
            name: kept.name,
            plan: kept.plan,
        },
        parts: kept.parts.into_iter().collect(),
    });
    site.needs_history = needs_history;
    site.is_new = needs_history || !is_within(interval);
    site.fetched_at = fetched_at;
    site.traffic.is_refreshed = kept.is_refreshed;
    site.traffic.has_had_traffic = kept.has_had_traffic;
    site.traffic.zeros_since = moment(kept.zeros_since_s);
    let points =
        kept.points
            .into_iter()
            .map(|(day, visits, pages_served, cache_hits, cache_misses)| {
                let counts = Counts {
                    visits,
                    pages_served,
                    cache_hits,
                    cache_misses,
                };
                (day, counts)
            });
    site.traffic.points = points.collect();
    site
}

fn moment(seconds: Option<i64>) -> Option<Timestamp> {
    Timestamp::from_second(seconds?).ok()
}
