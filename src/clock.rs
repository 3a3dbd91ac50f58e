//! Time and waiting, handed in by the caller so that tests can turn the clock.
//!
//! `Instant` measures, [`Timestamp`] shows. Everything that waits asks a [`Clock`]; a wait ends early
//! when the process stops.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;

/// The longest wait that is asked of the system at once; a longer one is waited for in pieces.
const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3600);

/// The end of the process (or of one worker) was asked for while waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stopped;

/// The time of day, a stopwatch, and a way to wait.
pub trait Clock: Send + Sync {
    /// The time of day.
    fn now(&self) -> Timestamp;
    /// A moment to measure from.
    fn instant(&self) -> Instant;
    /// Waits for `duration`.
    ///
    /// # Errors
    /// [`Stopped`] at once when the process stops; the caller should return.
    fn pause(&self, duration: Duration) -> Result<(), Stopped>;
}

/// The clock of the machine, and the one switch that ends every wait.
#[derive(Debug, Default)]
pub struct SystemClock {
    /// Guards whether the process stops.
    stopped: Mutex<bool>,
    changed: Condvar,
}

impl SystemClock {
    /// Ends every present and future pause.
    pub fn stop(&self) {
        *self.stopped.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn instant(&self) -> Instant {
        Instant::now()
    }

    fn pause(&self, duration: Duration) -> Result<(), Stopped> {
        let started = Instant::now();
        let mut stopped = self.stopped.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if *stopped {
                return Err(Stopped);
            }
            let left = duration.saturating_sub(started.elapsed());
            if left.is_zero() {
                return Ok(());
            }
            stopped = self
                .changed
                .wait_timeout(stopped, left.min(LONGEST_WAIT))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }
}

/// A number between zero and one, different at every call, for spreading requests over time.
pub fn jitter() -> f64 {
    use std::hash::{BuildHasher, RandomState};
    let bits = RandomState::new().hash_one(0u8);
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

#[cfg(test)]
pub(crate) mod fake {
    //! A clock that jumps instead of waiting and remembers for how long it was asked to wait.

    use super::*;

    pub(crate) struct FakeClock {
        start: Instant,
        state: Mutex<(Timestamp, Duration, Vec<Duration>)>,
    }

    impl FakeClock {
        pub(crate) fn at(now: &str) -> FakeClock {
            let now = now.parse().expect("a test gives a valid time");
            FakeClock {
                start: Instant::now(),
                state: Mutex::new((now, Duration::ZERO, Vec::new())),
            }
        }

        pub(crate) fn pauses(&self) -> Vec<Duration> {
            self.state
                .lock()
                .expect("no test panics while it holds the lock")
                .2
                .clone()
        }
    }

    impl Clock for FakeClock {
        fn now(&self) -> Timestamp {
            self.state
                .lock()
                .expect("no test panics while it holds the lock")
                .0
        }

        fn instant(&self) -> Instant {
            self.start
                + self
                    .state
                    .lock()
                    .expect("no test panics while it holds the lock")
                    .1
        }

        fn pause(&self, duration: Duration) -> Result<(), Stopped> {
            let mut state = self
                .state
                .lock()
                .expect("no test panics while it holds the lock");
            state.0 += duration;
            state.1 += duration;
            // No wait at all only asks whether to go on.
            if !duration.is_zero() {
                state.2.push(duration);
            }
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_when_the_clock_is_stopped() {
        let clock = SystemClock::default();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| clock.pause(Duration::from_secs(3600)));
            clock.stop();
            assert_eq!(
                waiting.join().expect("the thread does not panic"),
                Err(Stopped)
            );
        });
    }

    #[test]
    fn jitter_is_a_share() {
        assert!(
            (0..1000)
                .map(|_| jitter())
                .all(|share| (0.0..1.0).contains(&share))
        );
    }
}
