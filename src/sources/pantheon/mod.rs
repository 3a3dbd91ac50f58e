//! Pantheon: the daily CDN traffic of every site of one or more accounts, with history.
//!
//! A poll does what is due: the lists of sites once an interval, the first fetch of a new site at once, and refreshes
//! of known sites spread over the interval. Each account has one [`job`] under way at most, on a thread of its own, so
//! that one that has to wait holds up no other: [`due`] chooses them, [`round`] has them done and takes up what they
//! learned. [`calls`] asks, [`wire`] reads, [`listing`] and [`traffic`] say what answers mean, [`account`] holds the state,
//! [`turns`] says when, [`families`] shows and [`kept`] keeps it.

mod account;
mod calls;
mod due;
mod families;
mod job;
mod kept;
mod listing;
mod overview;
mod round;
mod settings;
#[cfg(test)]
mod simulation;
mod traffic;
mod turns;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Defaults, Next, Parts, Poll, Source, SourceKind, SourceSettings, Usual};
use crate::cache;
use crate::config::{Fields, Listen, Secret};
use crate::fetch::Failure;
use crate::model::{Families, StaticLabels};
use crate::overview::Overview;
use account::{Account, aliases};
use calls::Requests;
use kept::Kept;
use settings::{Settings, Tokens};
use turns::Turns;

/// Where the original listens (contract, section 2).
const OWN_PORT: u16 = 8080;
/// A change of numbers alone is written no more often; a state of a thousand sites has some megabytes.
const SAVE_SPACING: Duration = Duration::from_secs(5 * 60);

/// The row of the table of sources.
pub const KIND: SourceKind = SourceKind {
    name: "pantheon",
    fields: settings::FIELDS,
    families: families::all,
    is_in_environment: |given| given.variable(settings::TOKENS_VARIABLE).is_some(),
    own_listen: |given| {
        let is_in_environment = given.variable(settings::TOKENS_VARIABLE).is_some();
        Ok(is_in_environment.then_some(Listen::Everywhere(OWN_PORT)))
    },
    stand_ins: settings::stand_ins,
    configure,
};

fn configure(fields: &mut Fields<'_>, _defaults: &Defaults) -> Option<Box<dyn SourceSettings>> {
    Some(Box::new(Settings::read(fields)?))
}

impl SourceSettings for Settings {
    fn name(&self) -> &str {
        "Pantheon"
    }

    fn address(&self) -> String {
        self.api_base.clone()
    }

    /// The families about the service itself have no label that would tell two services apart.
    fn identity(&self, labels: &StaticLabels) -> (&'static str, String) {
        let pairs: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        ("labels", pairs.join(","))
    }

    fn about(&self) -> String {
        let tokens = self.tokens.reveal().map_or(0, |tokens| tokens.len());
        format!(
            "environment {} of {tokens} accounts at {}",
            self.environment, self.api_base
        )
    }

    fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        let first = match &self.tokens {
            Tokens::Given(tokens) => tokens.first(),
            Tokens::File(tokens) => Some(tokens),
        };
        first
            .map(|token| ("machine_tokens", token))
            .into_iter()
            .collect()
    }

    fn usual(&self) -> Usual {
        Usual {
            interval: Some(self.refresh_interval),
            timeout: Some(self.request_timeout),
            ..Usual::default()
        }
    }

    fn build(&self, parts: Parts) -> Box<dyn Source> {
        Box::new(Pantheon::new(self.clone(), parts))
    }
}

/// One Pantheon service: its accounts, and when what is due.
struct Pantheon {
    settings: Arc<Settings>,
    parts: Parts,
    requests: Arc<Requests>,
    /// In the order of the tokens.
    accounts: Vec<Account>,
    turns: Turns,
    /// Whether a site was fetched ahead of all turns.
    had_first_fetch: bool,
    /// When the lists of sites are refreshed next.
    list_due: Instant,
    /// Why the tokens could not be read again.
    tokens_failure: Option<Failure>,
    is_unsaved: bool,
    /// More than numbers has changed.
    is_save_urgent: bool,
    saved_at: Option<Instant>,
}

impl Pantheon {
    fn new(settings: Settings, parts: Parts) -> Pantheon {
        let mut pantheon = Pantheon {
            settings: Arc::new(settings),
            list_due: parts.clock.instant(),
            parts,
            requests: Arc::default(),
            accounts: Vec::new(),
            turns: Turns::default(),
            had_first_fetch: false,
            tokens_failure: None,
            is_unsaved: false,
            is_save_urgent: false,
            saved_at: None,
        };
        pantheon.read_tokens();
        pantheon
    }

    fn is_busy(&self) -> bool {
        self.accounts
            .iter()
            .any(|account| account.busy_since.is_some())
    }

    /// Takes the tokens as they are now: known ones keep their accounts.
    fn read_tokens(&mut self) {
        let tokens = match self.settings.tokens.reveal() {
            Ok(tokens) => tokens,
            Err(cause) => {
                log::warn!(service = self.parts.key, cause:% = cause; "machine tokens not read again, going on with those known");
                self.tokens_failure = Some(Failure::Config(cause.to_string()));
                return;
            }
        };
        self.tokens_failure = None;
        let mut known = std::mem::take(&mut self.accounts);
        for (token, alias) in tokens.iter().zip(aliases(&tokens)) {
            let is_same = |account: &Account| account.token.reveal().as_ref() == Ok(token);
            let account = match known.iter().position(is_same) {
                Some(place) => Account {
                    alias,
                    ..known.swap_remove(place)
                },
                None => Account::new(Secret::literal(token.as_str()), alias),
            };
            self.accounts.push(account);
        }
    }
}

impl Source for Pantheon {
    fn restore(&mut self, kept: Option<cache::Kept>, now: Timestamp) -> bool {
        let Some(kept) = kept else {
            return false;
        };
        match serde_json::from_value::<Kept>(kept.state) {
            Ok(kept) => {
                let interval = self.parts.interval;
                let is_any = kept.restore(&self.settings, &mut self.accounts, interval, now);
                self.choose_sites();
                is_any
            }
            Err(cause) => {
                let key = &self.parts.key;
                self.parts.cache.set_aside_state(key, &cause.to_string());
                false
            }
        }
    }

    fn poll(&mut self, poll: &mut Poll<'_>) -> Result<(), Failure> {
        self.work(poll);
        self.outcome()
    }

    fn next(&self) -> Next {
        Next::At(self.next_due())
    }

    fn families(&self, families: &mut Families) {
        families::add(&self.settings, &self.accounts, &self.requests, families);
    }

    fn headline(&self) -> Option<String> {
        let shown = self.accounts.iter().filter(|account| account.is_named);
        let accounts = shown.filter(|account| !account.is_double).count();
        let sites = self.site_count();
        let plural = |count: usize| if count == 1 { "" } else { "s" };
        (accounts > 0).then(|| {
            format!(
                "{sites} site{} in {accounts} account{}",
                plural(sites),
                plural(accounts)
            )
        })
    }

    fn overview(&self) -> Overview {
        overview::overview(&self.settings.environment, &self.accounts)
    }

    fn unsaved(&self) -> Option<String> {
        let now = self.parts.clock.instant();
        let is_time = self
            .saved_at
            .is_none_or(|moment| now.saturating_duration_since(moment) >= SAVE_SPACING);
        if !self.is_unsaved || !(self.is_save_urgent || is_time) {
            return None;
        }
        serde_json::to_string(&Kept::new(&self.settings, &self.accounts)).ok()
    }

    fn saved(&mut self) {
        (self.is_unsaved, self.is_save_urgent) = (false, false);
        self.saved_at = Some(self.parts.clock.instant());
    }
}
