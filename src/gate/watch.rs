//! Notices that the main loop has stalled.
//!
//! What it does: looks ten times before it says so, because a process that was paused as a whole (a debugger, a
//! frozen container) wakes up with every clock past its deadline and must get the chance to answer. What it leaves to
//! others: what to do then. Who calls it: `keeper`, once per turn.

use std::time::{Duration, Instant};

/// Looks without progress until the main loop counts as stalled.
const LOOKS: u32 = 10;

#[derive(Default)]
pub(super) struct Watch {
    /// The oldest debt of the main loop that was seen, when to look again, and how often it was still there.
    debt: Option<(Instant, Instant, u32)>,
}

impl Watch {
    /// When to look again.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.debt.map(|(_, look_again, _)| look_again)
    }

    /// Whether the main loop has stalled. `owing_since`: when its oldest open answer became due, if one is.
    pub(super) fn is_stalled(
        &mut self,
        owing_since: Option<Instant>,
        time: Duration,
        now: Instant,
    ) -> bool {
        let step = time / LOOKS;
        self.debt = match (owing_since, self.debt) {
            (None, _) => None,
            (Some(since), Some((known, look_again, looks))) if since == known => {
                let is_due = look_again <= now;
                Some(if is_due {
                    (since, now + step, looks + 1)
                } else {
                    (since, look_again, looks)
                })
            }
            (Some(since), _) => Some((since, now + step, 0)),
        };
        self.debt.is_some_and(|(_, _, looks)| looks >= LOOKS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TIME: Duration = Duration::from_secs(10);

    #[test]
    fn ten_looks_without_an_answer_are_a_stall() {
        let (start, mut watch) = (Instant::now(), Watch::default());
        for second in 0..10 {
            assert!(!watch.is_stalled(Some(start), TIME, start + Duration::from_secs(second)));
        }
        assert!(watch.is_stalled(Some(start), TIME, start + TIME));
    }

    #[test]
    fn a_process_that_was_paused_gets_another_chance() {
        let (start, mut watch) = (Instant::now(), Watch::default());
        assert!(!watch.is_stalled(Some(start), TIME, start));
        assert!(!watch.is_stalled(Some(start), TIME, start + 100 * TIME));
    }

    #[test]
    fn every_answer_starts_a_new_watch() {
        let (start, mut watch) = (Instant::now(), Watch::default());
        for second in 0..100 {
            let now = start + Duration::from_secs(second);
            assert!(!watch.is_stalled(Some(now), TIME, now), "{second}");
        }
    }

    #[test]
    fn who_owes_nothing_is_not_watched() {
        let (start, mut watch) = (Instant::now(), Watch::default());
        assert!(!watch.is_stalled(Some(start), TIME, start));
        assert!(watch.deadline().is_some());
        assert!(!watch.is_stalled(None, TIME, start + 2 * TIME));
        assert_eq!(watch.deadline(), None);
    }
}
