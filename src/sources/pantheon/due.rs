//! What is due, and for whom: lists of sites first, then first fetches, then the turns of known sites.
//!
//! It looks at the state and a moment, and asks nobody; [`super::round`] has the jobs done.

use std::time::Instant;

use super::Pantheon;
use super::account::{Account, Site, mark_doubles};
use super::job::Work;
use super::turns::{self, First};

/// Accounts that are asked at once: a thread each.
const ACCOUNTS_AT_ONCE: usize = 8;

impl Pantheon {
    /// Begins a refresh of all lists when it is due.
    pub(super) fn refresh_lists(&mut self, now: Instant) {
        if now < self.list_due {
            return;
        }
        // Refreshes that a long poll missed are passed over.
        while self.list_due <= now {
            self.list_due += self.parts.interval;
        }
        // The place of an account must not change while a job is under way.
        if !self.is_busy() {
            self.read_tokens();
        }
        for account in &mut self.accounts {
            account.is_listing_due = true;
        }
        self.choose_sites();
    }

    /// Decides which accounts and sites are shown and asked for.
    pub(super) fn choose_sites(&mut self) {
        mark_doubles(&mut self.accounts);
        let mut room = self.settings.site_limit.unwrap_or(usize::MAX);
        for account in &mut self.accounts {
            if !account.is_double {
                room -= account.choose(room);
            }
            // What a limit leaves for later accounts is not known before this one was listed.
            let is_settled = account.is_listed.is_some()
                || account.listed_at.is_some()
                || account.is_logged_in == Some(false);
            if !is_settled && self.settings.site_limit.is_some() {
                room = 0;
            }
        }
    }

    pub(super) fn site_count(&self) -> usize {
        let counts = self.accounts.iter();
        counts.map(|account| account.monitored().count()).sum()
    }

    /// The next job that is due now, with its account's place.
    ///
    /// Past the end of the poll, work goes on only beside a job that began before it, so that an account that waits
    /// holds up no other. First fetches are always done: a single round shall have them.
    pub(super) fn next_job(&mut self, now: Instant, poll_end: Instant) -> Option<(usize, Work)> {
        let busy_since = self
            .accounts
            .iter()
            .filter_map(|account| account.busy_since);
        if busy_since.clone().count() >= ACCOUNTS_AT_ONCE {
            return None;
        }
        let may_go_on = now < poll_end || busy_since.min().is_some_and(|since| since < poll_end);
        if may_go_on && let Some(job) = self.list_job() {
            return Some(job);
        }
        self.first_fetch()
            .or_else(|| may_go_on.then(|| self.refresh(now)).flatten())
    }

    fn list_job(&self) -> Option<(usize, Work)> {
        let is_due = |account: &Account| account.is_listing_due && account.busy_since.is_none();
        let place = self.accounts.iter().position(is_due)?;
        let account = self.accounts.get(place)?;
        let work = Work::List {
            org_id: self.settings.org_id.clone(),
            is_unnamed: account.email.is_none(),
        };
        Some((place, work))
    }

    fn first_fetch(&mut self) -> Option<(usize, Work)> {
        let waiting = self.accounts.iter_mut().enumerate();
        for (place, account) in waiting.filter(|(_, account)| account.may_fetch()) {
            let is_first = |site: &&mut Site| site.is_monitored && site.is_new;
            if let Some(site) = account.sites.iter_mut().find(is_first) {
                site.is_new = false;
                self.had_first_fetch = true;
                return Some((place, fetch(site)));
            }
        }
        None
    }

    fn refresh(&mut self, now: Instant) -> Option<(usize, Work)> {
        let sites = self.site_count();
        if sites == 0 {
            return None;
        }
        let is_new = |account: &Account| account.monitored().any(|site| !site.traffic.is_refreshed);
        let has_new_history = self.accounts.iter().any(is_new);
        let first = match self.had_first_fetch {
            _ if has_new_history => First::AfterHistory,
            true => First::AfterFetches,
            false => First::AtOnce,
        };
        self.turns.begin(now, sites, self.parts.interval, first);
        let (due, place, id) = self.next_turn(sites)?;
        if now < due {
            return None;
        }
        let account = self.accounts.get_mut(place)?;
        let site = account.sites.iter_mut().find(|site| site.facts.id == id)?;
        site.last_turn = Some(now);
        let work = fetch(site);
        self.turns.started(now, sites, self.parts.interval);
        Some((place, work))
    }

    /// When the next refresh may start, and of which site: the one that has waited longest.
    fn next_turn(&self, sites: usize) -> Option<(Instant, usize, String)> {
        let may_fetch = |(_, account): &(usize, &Account)| account.may_fetch();
        let waiting = self.accounts.iter().enumerate().filter(may_fetch);
        let (last_turn, place, id) = waiting
            .flat_map(|(place, account)| {
                let sites = account.monitored();
                sites.map(move |site| (site.last_turn, place, &site.facts.id))
            })
            .min_by_key(|(last_turn, ..)| *last_turn)?;
        let (interval, spacing) = (
            self.parts.interval,
            turns::spacing(sites, self.parts.interval),
        );
        // While another account cannot be asked, its turns do not make those of this one come round sooner.
        let rested = last_turn.map(|moment| moment + interval.saturating_sub(spacing));
        let due = self.turns.next(sites, interval)?;
        Some((
            rested.map_or(due, |rested| due.max(rested)),
            place,
            id.clone(),
        ))
    }

    /// When something is due next for an account that is not busy.
    pub(super) fn next_due(&self) -> Instant {
        let is_waiting = |account: &Account| {
            let mut new = account.monitored().map(|site| site.is_new);
            let is_list = account.is_listing_due && account.busy_since.is_none();
            is_list || (account.may_fetch() && new.any(|is_new| is_new))
        };
        if self.accounts.iter().any(is_waiting) {
            return self.parts.clock.instant();
        }
        let turn = self.next_turn(self.site_count());
        turn.map_or(self.list_due, |(due, ..)| due.min(self.list_due))
    }
}

fn fetch(site: &Site) -> Work {
    Work::Fetch {
        site_id: site.facts.id.clone(),
        resolved: site.resolved.clone(),
        is_long: site.needs_history,
    }
}
