//! One round of questions: which collectors are due, what an answer or a failure does to each, and when it ends early.

use super::Spacelift;
use super::api::{Api, Outcome, Trouble};
use super::details::{Resources, Stacks, all_pages};
use super::question::{Collector, Question};
use super::reading::{self, Page};
use super::session::Session;
use super::wire::Reply;
use crate::fetch::Failure;
use crate::sources::Source;

/// How a poll goes on after an attempt.
enum After {
    /// With the next collector.
    Next,
    /// It does not: the other collectors are not asked and stay as they are.
    Stop(Failure),
    /// It does not: no token is to be had, so the other collectors fail too.
    FailAll(Trouble),
}

impl Spacelift {
    /// Asks every collector that is due. The failure is that which ended the round, else that of the first collector
    /// that fails, also when it was not its turn.
    pub(super) fn round(
        &mut self,
        api: &dyn Api,
        publish: &mut dyn FnMut(&dyn Source),
    ) -> Result<(), Failure> {
        let due: Vec<Collector> = Collector::ALL
            .into_iter()
            .filter(|collector| self.is_due(*collector))
            .collect();
        for (place, collector) in due.iter().enumerate() {
            // The lists may take long; what is known already is not held back by them.
            if collector.is_detail() && self.poll_duration.is_some() {
                publish(self);
            }
            match self.attempt(api, *collector) {
                After::Next => {}
                After::Stop(failure) => return Err(failure),
                After::FailAll(trouble) => {
                    for collector in due.iter().skip(place) {
                        self.note_failure(*collector, &trouble);
                    }
                    return Err(trouble.failure);
                }
            }
        }
        let standings = self.standings.values();
        let failure = standings
            .filter_map(|standing| standing.failure.as_ref())
            .next();
        failure.map_or(Ok(()), |failure| Err(without_retry_after(failure)))
    }

    fn is_due(&self, collector: Collector) -> bool {
        let now = self.parts.clock.instant();
        let is_early = self
            .details_due
            .get(&collector)
            .is_some_and(|due| now < *due);
        let standing = self.standings.get(&collector);
        standing.is_some_and(|standing| !standing.is_waiting(now)) && !is_early
    }

    /// Asks one collector and notes how that went.
    fn attempt(&mut self, api: &dyn Api, collector: Collector) -> After {
        let begun = self.parts.clock.instant();
        let outcome = self.learn(api, collector);
        let duration = self.session.take_asked();
        if let Some(standing) = self.standings.get_mut(&collector) {
            standing.duration = duration;
        }
        match outcome {
            Err(trouble) if trouble.is_of_exchange => self.no_token(trouble),
            outcome => {
                self.note_token();
                if collector.is_detail() {
                    let next = begun + self.settings.details_interval;
                    self.details_due.insert(collector, next);
                }
                self.settle(collector, outcome)
            }
        }
    }

    /// What an attempt with a good token leads to.
    fn settle(&mut self, collector: Collector, outcome: Result<(), Trouble>) -> After {
        let now = self.parts.clock.instant();
        let trouble = match outcome {
            Ok(()) => {
                self.note_success(collector);
                return After::Next;
            }
            Err(trouble) => trouble,
        };
        if trouble.outcome == Some(Outcome::Unsupported) {
            self.forget(collector);
            if let Some(standing) = self.standings.get_mut(&collector) {
                standing.unsupported(&self.parts.key, collector, &trouble, now);
            }
            return After::Next;
        }
        self.note_failure(collector, &trouble);
        if trouble.is_for_all() {
            return After::Stop(trouble.failure);
        }
        if let Some(standing) = self.standings.get_mut(&collector) {
            standing.waits_until = trouble.failure.retry_after().map(|wait| now + wait);
        }
        After::Next
    }

    /// One collector's questions, and what their answers mean.
    fn learn(&mut self, api: &dyn Api, collector: Collector) -> Result<(), Trouble> {
        let (session, learned) = (&mut self.session, &mut self.learned);
        let now_ms = self.parts.clock.now().as_millisecond();
        let question = Question::of(collector);
        match collector {
            Collector::PublicWorkerPool => {
                learned.public_pool = Some(session.ask(api, &question, reading::public_pool)?);
            }
            Collector::WorkerPools => {
                learned.pools = Some(session.ask(api, &question, reading::pools)?);
            }
            Collector::Usage => {
                learned.usage = Some(session.ask(api, &question, reading::usage)?);
            }
            Collector::Aggregates => {
                learned.aggregates = Some(session.ask(api, &question, reading::aggregates)?);
            }
            Collector::Stacks => {
                let stacks = self.list(api, collector, reading::stacks)?;
                self.learned.stacks = Some(Stacks::new(now_ms, stacks));
                self.is_unsaved = true;
            }
            Collector::Resources => {
                let resources = self.list(api, collector, reading::entities)?;
                self.learned.resources = Some(Resources::new(now_ms, resources));
                self.is_unsaved = true;
            }
        }
        Ok(())
    }

    /// A whole list. An empty one may mean that we are nobody to the upstream, so that is made sure of.
    fn list<T>(
        &mut self,
        api: &dyn Api,
        collector: Collector,
        read: fn(Reply) -> Result<Page<T>, Trouble>,
    ) -> Result<Vec<T>, Trouble> {
        let pages_limit = self.settings.details_max_pages;
        let session = &mut self.session;
        let pages = |session: &mut Session| {
            all_pages(pages_limit, |after| {
                session.ask(api, &Question::page(collector, after), read)
            })
        };
        let items = pages(session)?;
        if !items.is_empty() {
            return Ok(items);
        }
        let before = session.exchanges();
        session.ask(api, &Question::viewer(), reading::viewer)?;
        match session.exchanges() == before {
            true => Ok(items),
            false => pages(session),
        }
    }

    fn note_success(&mut self, collector: Collector) {
        let now = self.parts.clock.now();
        if let Some(standing) = self.standings.get_mut(&collector) {
            standing.succeeded(&self.parts.key, collector, now);
        }
        if self.learned.has_duplicates() && !self.has_told_of_duplicates {
            self.has_told_of_duplicates = true;
            log::warn!(service = self.parts.key, collector = collector.name(); "equal labels twice in one answer, values added together");
        }
    }

    fn note_failure(&mut self, collector: Collector, trouble: &Trouble) {
        self.forget(collector);
        let now = self.parts.clock.instant();
        if let Some(standing) = self.standings.get_mut(&collector) {
            standing.failed(&self.parts.key, collector, trouble, now);
        }
    }

    fn forget(&mut self, collector: Collector) {
        self.is_unsaved |= self.learned.forget(collector);
    }

    fn no_token(&mut self, trouble: Trouble) -> After {
        let (service, now) = (&self.parts.key, self.parts.clock.instant());
        let kind = trouble.failure.kind();
        let level = match self.exchange_reminder.is_due(kind, now) {
            true => log::Level::Error,
            false => log::Level::Debug,
        };
        log::log!(level, service = service, kind = kind, cause:% = trouble; "no token for the key; check api_key_id and its secret");
        After::FailAll(trouble)
    }

    fn note_token(&mut self) {
        if self.exchange_reminder.end() {
            log::info!(service = self.parts.key; "token received again");
        }
    }
}

/// The Retry-After of one collector's fault holds for that collector alone.
fn without_retry_after(failure: &Failure) -> Failure {
    match failure {
        Failure::Status { code, .. } => Failure::Status {
            code: *code,
            retry_after: None,
        },
        other => other.clone(),
    }
}
