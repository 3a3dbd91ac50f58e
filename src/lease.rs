//! The right of a worker to publish, announce and write, which a reload ends.
//!
//! A poll that waits for its upstream cannot be stopped. It ends on its own, and finds that its lease has ended: from
//! then on another worker may write under the same key. [`crate::roster`] ends leases; [`crate::poller`], and the
//! source whose polls write by themselves, hold theirs while they write, never while they wait for an upstream.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The right of one worker. Clones are the same lease.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// Guards whether it has ended.
    has_ended: Arc<Mutex<bool>>,
}

/// The lease does not end while this lives.
pub type Held<'a> = MutexGuard<'a, bool>;

impl Lease {
    /// Keeps the lease from ending for a moment; none if it has ended. Not to be asked for twice by one thread.
    pub fn hold(&self) -> Option<Held<'_>> {
        let has_ended = self
            .has_ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        (!*has_ended).then_some(has_ended)
    }

    /// Whether there is no clone of it any more: its worker's threads have ended.
    pub fn is_the_last(&self) -> bool {
        Arc::strong_count(&self.has_ended) == 1
    }

    /// Ends it, after the write that is under way.
    pub fn end(&self) {
        *self
            .has_ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_that_has_ended_cannot_be_held() {
        let lease = Lease::default();
        let other = lease.clone();
        assert!(lease.hold().is_some());
        other.end();
        assert!(lease.hold().is_none());
    }

    #[test]
    fn it_ends_after_the_write_that_is_under_way() {
        let lease = Lease::default();
        let held = lease.hold();
        let ending = lease.clone();
        let thread = std::thread::spawn(move || ending.end());
        assert!(!thread.is_finished());
        drop(held);
        thread.join().expect("it does not panic");
        assert!(lease.hold().is_none());
    }
}
