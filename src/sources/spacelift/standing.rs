//! How a collector is doing: its health series, its place in the log, and when it may be asked again.

use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::api::Trouble;
use super::question::Collector;
use crate::fetch::Failure;

/// What goes on is logged again after this (contract, section 7).
const REMINDER: Duration = Duration::from_secs(10 * 60);

/// When the same thing was logged last.
#[derive(Clone, Debug, Default)]
pub(super) struct Reminder(Option<(&'static str, Instant)>);

impl Reminder {
    /// Whether `what` is to be logged now: it is new, or the last time is long ago.
    pub(super) fn is_due(&mut self, what: &'static str, now: Instant) -> bool {
        let is_due = match self.0 {
            Some((earlier, at)) if earlier == what => now.saturating_duration_since(at) >= REMINDER,
            _ => true,
        };
        if is_due {
            self.0 = Some((what, now));
        }
        is_due
    }

    /// Forgets it; true if there was something.
    pub(super) fn end(&mut self) -> bool {
        self.0.take().is_some()
    }
}

/// One collector's last attempt.
#[derive(Clone, Debug, Default)]
pub(super) struct Standing {
    /// Whether it worked or is not supported; none before the first attempt.
    pub(super) is_good: Option<bool>,
    pub(super) is_unsupported: bool,
    /// Of its requests, without an exchange of the key before them.
    pub(super) duration: Duration,
    pub(super) last_success: Option<Timestamp>,
    /// Not asked before this: a fault came with Retry-After.
    pub(super) waits_until: Option<Instant>,
    /// Why it did not work.
    pub(super) failure: Option<Failure>,
    reminder: Reminder,
}

impl Standing {
    pub(super) fn is_waiting(&self, now: Instant) -> bool {
        self.waits_until.is_some_and(|end| now < end)
    }

    pub(super) fn succeeded(&mut self, service: &str, collector: Collector, now: Timestamp) {
        self.settle(true, false);
        self.last_success = Some(now);
        if self.reminder.end() {
            log::info!(service = service, collector = collector.name(); "collector recovered");
        }
    }

    /// The key or the deployment cannot serve it: no outage.
    pub(super) fn unsupported(
        &mut self,
        service: &str,
        collector: Collector,
        trouble: &Trouble,
        now: Instant,
    ) {
        // Once: it stays so until somebody gives the key more rights.
        let is_new = !self.is_unsupported;
        self.settle(true, true);
        self.reminder.is_due("unsupported", now);
        let level = match is_new {
            true => log::Level::Warn,
            false => log::Level::Debug,
        };
        log::log!(level, service = service, collector = collector.name(), cause:% = trouble; "collector not supported; give the key administrative rights, or switch the collector off with \"collectors\"");
    }

    pub(super) fn failed(
        &mut self,
        service: &str,
        collector: Collector,
        trouble: &Trouble,
        now: Instant,
    ) {
        self.settle(false, false);
        self.failure = Some(trouble.failure.clone());
        // One failed exchange fails all collectors and is logged once, by the caller.
        if trouble.is_of_exchange {
            self.reminder.is_due("exchange", now);
            return;
        }
        let is_due = self.reminder.is_due(trouble.failure.kind(), now);
        let level = match trouble.failure {
            _ if !is_due => log::Level::Debug,
            Failure::Status { .. } => log::Level::Warn,
            _ => log::Level::Error,
        };
        log::log!(level, service = service, collector = collector.name(), kind = trouble.failure.kind(), cause:% = trouble, remedy = trouble.failure.remedy(); "collector failing");
    }

    fn settle(&mut self, is_good: bool, is_unsupported: bool) {
        self.is_good = Some(is_good);
        self.is_unsupported = is_unsupported;
        self.waits_until = None;
        self.failure = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_goes_on_is_due_at_once_and_then_every_ten_minutes() {
        let mut reminder = Reminder::default();
        let start = Instant::now();
        let minute = Duration::from_secs(60);
        assert!(reminder.is_due("timeout", start));
        assert!(!reminder.is_due("timeout", start + 9 * minute));
        assert!(reminder.is_due("timeout", start + 10 * minute));
        assert!(reminder.is_due("connect", start + 10 * minute));
        assert!(reminder.end() && !reminder.end());
        assert!(reminder.is_due("connect", start + 10 * minute));
    }
}
