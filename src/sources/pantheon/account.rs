//! What is known of an account and its sites, and how that changes with every answer.
//!
//! Pure but for log lines: [`super::job`] brings the answers, [`super::families`] shows the result.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::calls::Session;
use super::listing::{Found, Listing};
use super::traffic::{Taken, Traffic};
use super::wire::{Day, SiteFacts};
use crate::config::Secret;
use crate::fetch::Failure;
use crate::sorted::{SortedMap, SortedSet, sort_by};

/// How much of a token's end may be shown (contract, section 2).
const SUFFIX_CHARS: usize = 8;

/// One machine token and what it gives access to.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) token: Secret,
    /// The end of the token, or its place: the name in log lines, and the label where no e-mail is known.
    pub(super) alias: String,
    /// The last good e-mail.
    pub(super) email: Option<String>,
    /// Whether who-am-i has been asked, by this process or the one before.
    pub(super) is_named: bool,
    pub(super) session: Option<Session>,
    /// Whether the last login worked; none before the first.
    pub(super) is_logged_in: Option<bool>,
    /// Whether the last listing worked; none before the first.
    pub(super) is_listed: Option<bool>,
    /// Why the last login or listing failed.
    pub(super) failure: Option<Failure>,
    pub(super) listed_at: Option<Timestamp>,
    pub(super) traffic_at: Option<Timestamp>,
    pub(super) zero_responses: u64,
    /// Sorted by name and id.
    pub(super) sites: Vec<Site>,
    pub(super) is_listing_due: bool,
    /// When the job that is under way began.
    pub(super) busy_since: Option<Instant>,
    /// Whether another account with the same e-mail is the one that is shown.
    pub(super) is_double: bool,
    /// Sites left out because another one has their name.
    pub(super) namesakes: usize,
}

/// One site of an account.
#[derive(Clone, Debug)]
pub(super) struct Site {
    pub(super) facts: SiteFacts,
    /// The lists that show it.
    pub(super) parts: SortedSet<String>,
    pub(super) traffic: Traffic,
    /// What its id stands for where that is a name.
    pub(super) resolved: Option<String>,
    /// The long answer has not been had.
    pub(super) needs_history: bool,
    /// Its first fetch by this process, ahead of all turns, has not been tried.
    pub(super) is_new: bool,
    /// Whether it is asked for and shown: not beyond the limit, nor named as another.
    pub(super) is_monitored: bool,
    pub(super) last_turn: Option<Instant>,
    pub(super) fetched_at: Option<Timestamp>,
    pub(super) errors: u64,
    /// Why the last fetch failed.
    pub(super) failure: Option<Failure>,
}

/// An answer with a site's traffic, or none.
#[derive(Debug)]
pub(super) struct Fetched {
    pub(super) site_id: String,
    pub(super) resolved: Option<String>,
    pub(super) is_long: bool,
    pub(super) outcome: Result<Vec<Day>, Failure>,
}

impl Site {
    pub(super) fn new(found: Found) -> Site {
        Site {
            facts: found.facts,
            parts: found.parts,
            traffic: Traffic::default(),
            resolved: None,
            needs_history: true,
            is_new: true,
            is_monitored: false,
            last_turn: None,
            fetched_at: None,
            errors: 0,
            failure: None,
        }
    }
}

impl Account {
    pub(super) fn new(token: Secret, alias: String) -> Account {
        Account {
            token,
            alias,
            email: None,
            is_named: false,
            session: None,
            is_logged_in: None,
            is_listed: None,
            failure: None,
            listed_at: None,
            traffic_at: None,
            zero_responses: 0,
            sites: Vec::new(),
            is_listing_due: true,
            busy_since: None,
            is_double: false,
            namesakes: 0,
        }
    }

    /// The label, once who-am-i was asked.
    pub(super) fn label(&self) -> Option<&str> {
        let label = self.email.as_deref().unwrap_or(&self.alias);
        self.is_named.then_some(label)
    }

    /// Whether the last login and listing worked; none before both were tried.
    pub(super) fn is_up(&self) -> Option<bool> {
        match (self.is_logged_in, self.is_listed) {
            (Some(false), _) | (_, Some(false)) => Some(false),
            (Some(true), Some(true)) => Some(true),
            _ => None,
        }
    }

    pub(super) fn monitored(&self) -> impl Iterator<Item = &Site> {
        let shown = !self.is_double;
        self.sites
            .iter()
            .filter(move |site| shown && site.is_monitored)
    }

    /// Whether its sites may be asked for: after a login that failed they wait for the next listing.
    pub(super) fn may_fetch(&self) -> bool {
        !self.is_double && self.busy_since.is_none() && self.is_logged_in != Some(false)
    }

    /// Notes how a login went that was part of a job. True if it failed.
    pub(super) fn take_login(&mut self, login: Option<Result<(), Failure>>) -> bool {
        let Some(outcome) = login else {
            return false;
        };
        self.is_logged_in = Some(outcome.is_ok());
        let Err(failure) = outcome else {
            return false;
        };
        let (account, kind) = (&self.alias, failure.kind());
        log::warn!(account = account, kind = kind, cause:% = failure; "login failed; check whether the machine token was revoked");
        self.failure = Some(failure);
        true
    }

    /// Takes the lists up, or why there are none. `login_failed` tells that this was logged already.
    pub(super) fn take_listing(
        &mut self,
        outcome: Result<Listing, Failure>,
        login_failed: bool,
        now: Timestamp,
    ) {
        self.is_listing_due = false;
        let mut listing = match outcome {
            Ok(listing) => listing,
            Err(failure) => {
                if !login_failed {
                    let (account, kind) = (&self.alias, failure.kind());
                    log::warn!(account = account, kind = kind, cause:% = failure; "sites not listed, keeping those known before");
                    self.is_listed = Some(false);
                }
                self.failure = Some(failure);
                return;
            }
        };
        (self.is_listed, self.failure, self.listed_at) = (Some(true), None, Some(now));
        let mut known: SortedMap<String, Site> = std::mem::take(&mut self.sites)
            .into_iter()
            .map(|site| (site.facts.id.clone(), site))
            .collect();
        listing.keep_missing(known.values().map(|site| Found {
            facts: site.facts.clone(),
            parts: site.parts.clone(),
        }));
        let sites = listing
            .sites
            .into_values()
            .map(|found| match known.remove(&found.facts.id) {
                Some(site) => Site {
                    facts: found.facts,
                    parts: found.parts,
                    ..site
                },
                None => Site::new(found),
            });
        self.sites = sites.collect();
        self.sort();
        crate::logging::debug!(account = self.alias, sites = self.sites.len(); "sites listed");
    }

    pub(super) fn sort(&mut self) {
        sort_by(&mut self.sites, |a, b| {
            (&a.facts.name, &a.facts.id).cmp(&(&b.facts.name, &b.facts.id))
        });
    }

    /// Takes an answer with traffic up. True if a site's history has come.
    pub(super) fn take_fetched(
        &mut self,
        fetched: Fetched,
        login_failed: bool,
        guard: Duration,
        now: Timestamp,
    ) -> bool {
        let account = &self.alias;
        let of_id = |site: &&mut Site| site.facts.id == fetched.site_id;
        let Some(site) = self.sites.iter_mut().find(of_id) else {
            return false;
        };
        let name = &site.facts.name;
        site.resolved = fetched.resolved.or(site.resolved.take());
        let days = match fetched.outcome {
            Ok(days) => days,
            Err(failure) => {
                if !login_failed {
                    let kind = failure.kind();
                    log::warn!(account = account, site = name, kind = kind, cause:% = failure; "traffic not fetched, trying again at the next turn");
                }
                site.errors += 1;
                site.failure = Some(failure);
                return false;
            }
        };
        site.failure = None;
        self.traffic_at = Some(now);
        match site.traffic.take(&days, fetched.is_long, guard, now) {
            Taken::HeldBack => {
                crate::logging::debug!(account = account, site = name; "answer is all zeros, held back");
                self.zero_responses += 1;
                false
            }
            Taken::Empty => {
                crate::logging::debug!(account = account, site = name; "answer holds no traffic");
                false
            }
            Taken::Stored => {
                site.needs_history &= !fetched.is_long;
                site.fetched_at = Some(now);
                fetched.is_long
            }
        }
    }

    /// Chooses the sites to ask for: at most `room` of them, each name once. Gives how many.
    pub(super) fn choose(&mut self, room: usize) -> usize {
        let (mut chosen, mut namesakes) = (0, 0);
        let mut last_name: Option<&str> = None;
        for site in &mut self.sites {
            // Sorted by name and id, so the first by id comes first.
            let is_namesake = last_name == Some(site.facts.name.as_str());
            namesakes += usize::from(is_namesake);
            site.is_monitored = !is_namesake && chosen < room;
            chosen += usize::from(site.is_monitored);
            last_name = Some(&site.facts.name);
        }
        if namesakes != self.namesakes && namesakes > 0 {
            log::warn!(account = self.alias, sites = namesakes; "sites left out: others have the same name");
        }
        self.namesakes = namesakes;
        chosen
    }
}

/// How each token is called in log lines: by its end, or by its place where that would tell too much or too little.
pub(super) fn aliases(tokens: &[String]) -> Vec<String> {
    let suffix = |token: &str| {
        let count = token.chars().count();
        (count > SUFFIX_CHARS).then(|| token.chars().skip(count - SUFFIX_CHARS).collect::<String>())
    };
    let suffixes: Vec<Option<String>> = tokens.iter().map(|token| suffix(token)).collect();
    let alias = |(place, own): (usize, &Option<String>)| match own {
        Some(own)
            if suffixes
                .iter()
                .flatten()
                .filter(|other| *other == own)
                .count()
                == 1 =>
        {
            own.clone()
        }
        _ => format!("account-{}", place + 1),
    };
    suffixes.iter().enumerate().map(alias).collect()
}

/// Of several accounts with one e-mail only the first whose login did not fail is shown.
pub(super) fn mark_doubles(accounts: &mut [Account]) {
    let mut owners: SortedMap<String, usize> = SortedMap::new();
    let usable_first = [true, false];
    for is_usable in usable_first {
        for (place, account) in accounts.iter().enumerate() {
            if (account.is_logged_in != Some(false)) == is_usable
                && let Some(email) = &account.email
            {
                owners.or_insert_with(email.clone(), || place);
            }
        }
    }
    for (place, account) in accounts.iter_mut().enumerate() {
        let owner = account.email.as_ref().and_then(|email| owners.get(email));
        let is_double = owner.is_some_and(|owner| *owner != place);
        if is_double && !account.is_double {
            log::info!(account = account.alias; "token is of the same user as another one and is not shown");
        }
        account.is_double = is_double;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn check(tokens: &[&str], expected: &[&str]) {
        let tokens: Vec<String> = tokens.iter().map(|token| (*token).to_owned()).collect();
        assert_eq!(aliases(&tokens), expected);
    }

    // Contract test 8 (see also the tests of the binary).
    #[test]
    fn a_token_is_called_by_its_last_eight_characters_and_a_short_one_by_its_place() {
        check(&["long-token-ABCDEFGH"], &["ABCDEFGH"]);
        check(&["abcdefgh"], &["account-1"]);
        check(&["xabcdefgh", "short"], &["abcdefgh", "account-2"]);
        check(&["1-abcdefgh", "2-abcdefgh"], &["account-1", "account-2"]);
    }

    fn account(alias: &str, email: Option<&str>) -> Account {
        let mut account = Account::new(Secret::literal("token"), alias.to_owned());
        account.email = email.map(str::to_owned);
        account.is_named = true;
        account
    }

    fn site(id: &str, name: &str) -> Site {
        Site::new(Found {
            facts: SiteFacts {
                id: id.to_owned(),
                name: name.to_owned(),
                plan: String::new(),
            },
            parts: SortedSet::new(),
        })
    }

    #[test]
    fn of_two_accounts_with_one_email_the_first_is_shown_unless_its_login_fails() {
        let mut accounts = vec![
            account("a", Some("x@example.com")),
            account("b", Some("x@example.com")),
            account("c", None),
        ];
        mark_doubles(&mut accounts);
        let doubles = |accounts: &[Account]| -> Vec<bool> {
            accounts.iter().map(|account| account.is_double).collect()
        };
        assert_eq!(doubles(&accounts), [false, true, false]);
        accounts[0].is_logged_in = Some(false);
        mark_doubles(&mut accounts);
        assert_eq!(doubles(&accounts), [true, false, false]);
    }

    #[test]
    fn of_two_sites_with_one_name_the_first_by_id_is_asked_for() {
        let mut account = account("a", None);
        account.sites = vec![site("2", "same"), site("3", "other"), site("1", "same")];
        account.sort();
        assert_eq!(account.choose(usize::MAX), 2);
        let chosen: Vec<&str> = account
            .monitored()
            .map(|site| site.facts.id.as_str())
            .collect();
        assert_eq!(chosen, ["3", "1"]);
        assert_eq!(account.namesakes, 1);
        assert_eq!(account.choose(1), 1);
    }
}
