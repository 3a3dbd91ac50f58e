//! How many requests to upstreams may be under way at once: the gate of `--poll.concurrency`.

use std::sync::{Condvar, Mutex, PoisonError};

/// A counting gate. A slot is held for one request, never for a pause between two.
#[derive(Debug)]
pub struct Slots {
    /// Guards the number of free slots.
    free: Mutex<usize>,
    freed: Condvar,
}

/// One request may be under way while this lives.
#[derive(Debug)]
pub struct Slot<'a>(&'a Slots);

impl Slots {
    /// A gate with room for `count` requests.
    pub fn new(count: usize) -> Slots {
        Slots {
            free: Mutex::new(count.max(1)),
            freed: Condvar::new(),
        }
    }

    /// Waits for a free slot. The wait is bounded by the deadlines of the requests that hold the others.
    pub fn take(&self) -> Slot<'_> {
        let free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        let mut free = self
            .freed
            .wait_while(free, |free| *free == 0)
            .unwrap_or_else(PoisonError::into_inner);
        *free -= 1;
        Slot(self)
    }
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.freed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn never_more_requests_than_slots_are_under_way() {
        let (slots, under_way, most) = (Slots::new(3), AtomicUsize::new(0), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for _ in 0..16 {
                scope.spawn(|| {
                    for _ in 0..50 {
                        let _slot = slots.take();
                        most.fetch_max(
                            under_way.fetch_add(1, Ordering::SeqCst) + 1,
                            Ordering::SeqCst,
                        );
                        std::thread::yield_now();
                        under_way.fetch_sub(1, Ordering::SeqCst);
                    }
                });
            }
        });
        assert!(most.load(Ordering::SeqCst) <= 3);
    }
}
