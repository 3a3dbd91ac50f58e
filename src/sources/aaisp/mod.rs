//! AAISP: the broadband lines and telephone numbers of one login at Andrews & Arnold, by their CHAOS API.
//!
//! Three tiers run on a cadence of their own ([`schedule`]); [`runs`] says what each asks for, [`chaos`] sends one
//! command, [`reading`] says what a reply means, [`state`] keeps it and [`families`] shows it. [`settings`] and
//! [`variables`] read the configuration, [`form`] writes the body of a request, [`tally`] counts. Nothing is kept across restarts.

mod chaos;
mod families;
mod fields;
mod form;
mod london;
mod overview;
mod reading;
mod runs;
mod schedule;
mod settings;
mod state;
mod tally;
#[cfg(test)]
mod tests;
mod variables;
mod wire;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::{Next, Parts, Poll, Source, SourceKind};
use crate::cache::Kept;
use crate::fetch::{Failure, Slots, Upstream};
use crate::model::Families;
use crate::overview::Overview;
use crate::sorted::SortedSet;
use chaos::{CallError, Caller, Chaos, ErrorClass};
use schedule::{Outcome, Schedule, Tier};
use settings::Settings;
use state::{Patience, State};
use tally::{Collector, Runs};

/// The row of the table of sources.
pub const KIND: SourceKind = SourceKind {
    name: "aaisp",
    fields: fields::FIELDS,
    families: families::all,
    is_in_environment: variables::is_in_environment,
    own_listen: variables::own_listen,
    stand_ins: settings::stand_ins,
    configure: Settings::configure,
};

/// One login.
struct Aaisp {
    caller: Arc<Caller>,
    parts: Parts,
    state: State,
    /// In the order of [`Collector::ALL`].
    runs: [Runs; Collector::ALL.len()],
    /// None before the first poll.
    schedule: Option<Schedule>,
    rate_card_read_at: Option<Timestamp>,
    /// When refused credentials were last logged; none while they are accepted.
    refusal_logged_at: Option<Instant>,
    /// Collectors of which it was said that the login has nothing for them.
    known_empty: SortedSet<Collector>,
}

impl Aaisp {
    fn new(settings: Settings, parts: Parts) -> Aaisp {
        let caller = Caller {
            service_key: parts.key.clone(),
            slots: Slots::new(settings.concurrency),
            password: chaos::Password::default(),
            requests: tally::Requests::default(),
            settings,
        };
        Aaisp {
            caller: Arc::new(caller),
            parts,
            state: State::default(),
            runs: Default::default(),
            schedule: None,
            rate_card_read_at: None,
            refusal_logged_at: None,
            known_empty: SortedSet::new(),
        }
    }

    fn settings(&self) -> &Settings {
        &self.caller.settings
    }

    /// The `login` label where a reply names none.
    fn control_login(&self) -> &str {
        self.settings()
            .control_login
            .as_deref()
            .unwrap_or("unknown")
    }

    /// For how long values of a tier are shown that could not be read again.
    fn patience(&self, tier: Tier) -> Patience {
        let settings = self.settings();
        Patience::of(settings.stale_after, settings.interval(tier))
    }

    fn runs_of(&mut self, collector: Collector) -> &mut Runs {
        let [info, quota, numbers, rate_card] = &mut self.runs;
        match collector {
            Collector::BroadbandInfo => info,
            Collector::BroadbandQuota => quota,
            Collector::TelephonyInfo => numbers,
            Collector::RateCard => rate_card,
        }
    }

    fn schedule(&mut self) -> &mut Schedule {
        let (settings, now) = (&self.caller.settings, self.parts.clock.instant());
        self.schedule
            .get_or_insert_with(|| Schedule::new(now, |tier| settings.interval(tier)))
    }

    fn is_due(&mut self, tier: Tier) -> bool {
        let now = self.parts.clock.instant();
        self.schedule().due(tier) <= now
    }

    /// One run of everything in a tier.
    fn run_tier(&mut self, tier: Tier, upstream: &Upstream) {
        let now = self.parts.clock.instant();
        let tick = self.schedule().last_tick(tier, now);
        let on = self.settings().collectors;
        let collectors: &[(bool, Collector)] = match tier {
            Tier::Medium => &[
                (on.broadband, Collector::BroadbandInfo),
                (on.telephony, Collector::TelephonyInfo),
            ],
            Tier::Fast => &[(on.broadband, Collector::BroadbandQuota)],
            Tier::Slow => &[(on.rate_card, Collector::RateCard)],
        };
        for (_, collector) in collectors.iter().filter(|(is_on, _)| *is_on) {
            self.run(*collector, tick, upstream);
            if self.schedule().is_slowed_down() {
                break;
            }
        }
        let now = self.parts.clock.instant();
        self.schedule().advance(tier, now);
    }

    /// One run of a collector and what follows from it.
    fn run(&mut self, collector: Collector, tick: Instant, upstream: &Upstream) {
        let (clock, caller) = (Arc::clone(&self.parts.clock), Arc::clone(&self.caller));
        let chaos = Chaos {
            upstream,
            caller: &caller,
        };
        let begun = clock.instant();
        let result = match collector {
            Collector::BroadbandInfo => self.read_lines(&chaos, tick),
            Collector::BroadbandQuota => self.read_quotas(&chaos, tick),
            Collector::TelephonyInfo => self.read_numbers(&chaos, tick),
            Collector::RateCard => self.read_rate_card(&chaos, tick),
        };
        let duration = clock.instant().saturating_duration_since(begun);
        let outcome = match &result {
            Ok(()) => Outcome::Worked,
            Err(error) if error.class == ErrorClass::Auth => Outcome::Refused,
            Err(_) => Outcome::FailedOtherwise,
        };
        self.note_outcome(outcome);
        let runs = self.runs_of(collector);
        match result {
            Ok(()) => runs.note_success(duration, clock.now()),
            Err(error) => runs.failure = Some(without_retry_after(error)),
        }
        let [name, _] = collector.labels();
        crate::logging::debug!(service = self.parts.key, collector = name, outcome:? = outcome, duration_s = duration.as_secs_f64(); "run ended");
    }

    /// Counts refused credentials, and tells of them once in each slow interval.
    fn note_outcome(&mut self, outcome: Outcome) {
        let now = self.parts.clock.instant();
        let was_slowed_down = self.schedule().is_slowed_down();
        self.schedule().note_run(outcome);
        let reminder = self.settings().interval(Tier::Slow);
        match (outcome, self.refusal_logged_at) {
            (Outcome::Worked, Some(_)) => {
                self.refusal_logged_at = None;
                log::info!(service = self.parts.key; "credentials accepted again");
            }
            (Outcome::Refused, Some(logged))
                if now.saturating_duration_since(logged) < reminder => {}
            (Outcome::Refused, _) => {
                self.refusal_logged_at = Some(now);
                log::error!(service = self.parts.key, login = self.control_login(); "credentials refused; check login and password, the requests are cut down after three runs");
            }
            _ => {}
        }
        if self.schedule().is_slowed_down() && !was_slowed_down {
            self.schedule().advance(Tier::Slow, now);
        }
    }

    /// One request in each slow interval while the credentials are refused. When they are accepted, that run goes on
    /// and the other tiers begin again at their next tick.
    fn probe(&mut self, upstream: &Upstream) {
        let tier = match self.settings().has_work(Tier::Medium) {
            true => Tier::Medium,
            false => Tier::Slow,
        };
        self.run_tier(tier, upstream);
        let now = self.parts.clock.instant();
        for tier in Tier::ALL {
            self.schedule().advance(tier, now);
        }
    }

    /// Counts and logs an error of one line, or of the listing of all lines.
    fn note_error(&mut self, collector: Collector, line: Option<&str>, error: &CallError) {
        self.runs_of(collector).note_error(error.class);
        let [name, _] = collector.labels();
        let level = match (error.class, line) {
            // Told once for all.
            (ErrorClass::Auth, _) => log::Level::Debug,
            // A reload has ended the service.
            _ if self.parts.clock.pause(Duration::ZERO).is_err() => log::Level::Debug,
            (_, None) => log::Level::Error,
            _ if error.is_grave() => log::Level::Error,
            _ => log::Level::Warn,
        };
        let (line, kind) = (line.unwrap_or("all"), error.failure.kind());
        log::log!(level, service = self.parts.key, collector = name, line = line, kind = kind, cause:% = error.failure; "not read");
    }
}

/// The failure of a run. Its `Retry-After` has been waited for within the run, and must not move the other tiers.
fn without_retry_after(error: CallError) -> Failure {
    match error.failure {
        Failure::Status { code, .. } => Failure::Status {
            code,
            retry_after: None,
        },
        failure => failure,
    }
}

impl Source for Aaisp {
    fn restore(&mut self, _: Option<Kept>, _: Timestamp) -> bool {
        false
    }

    /// The failure of the last run of any collector stays the service's until a run of that collector succeeds.
    fn poll(&mut self, poll: &mut Poll<'_>) -> Result<(), Failure> {
        if self.schedule().is_slowed_down() {
            if self.is_due(Tier::Slow) {
                self.probe(poll.upstream);
            }
        } else {
            for tier in Tier::ALL {
                let is_wanted = self.settings().has_work(tier) && self.is_due(tier);
                if is_wanted && !self.schedule().is_slowed_down() {
                    self.run_tier(tier, poll.upstream);
                    (poll.publish)(self);
                }
            }
        }
        match self.runs.iter().find_map(|runs| runs.failure.clone()) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    fn next(&self) -> Next {
        let Some(schedule) = &self.schedule else {
            return Next::Interval;
        };
        let settings = self.settings();
        let is_in_play = |tier: &Tier| match schedule.is_slowed_down() {
            true => *tier == Tier::Slow,
            false => settings.has_work(*tier),
        };
        let ticks = Tier::ALL.into_iter().filter(is_in_play);
        let ticks = ticks.map(|tier| schedule.due(tier));
        // A value that has become too old goes at its moment, not at the next tick.
        let patience = Tier::ALL.map(|tier| self.patience(tier));
        let end = self.state.next_end(self.parts.clock.instant(), patience);
        ticks.chain(end).min().map_or(Next::Interval, Next::At)
    }

    fn families(&self, families: &mut Families) {
        families::add(self, self.parts.clock.instant(), families);
    }

    fn headline(&self) -> Option<String> {
        let counted = |count: usize, thing: &str| match count {
            1 => format!("1 {thing}"),
            more => format!("{more} {thing}s"),
        };
        let lines = self.state.lines.as_ref();
        let lines = lines.map(|lines| counted(lines.len(), "line"));
        let numbers = self.state.numbers.len();
        let numbers = (numbers > 0).then(|| counted(numbers, "telephone number"));
        let known: Vec<String> = lines.into_iter().chain(numbers).collect();
        (!known.is_empty()).then(|| known.join(", "))
    }

    fn overview(&self) -> Overview {
        overview::overview(self)
    }

    fn unsaved(&self) -> Option<String> {
        None
    }

    fn saved(&mut self) {}
}
