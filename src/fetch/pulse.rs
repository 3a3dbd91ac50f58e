//! Until when the requests of all services may rightly keep their polls waiting.
//!
//! Every attempt and every pause has an end that is known when it begins; the latest of them stands here. The watchdog
//! (`supervisor`) judges polls by it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The latest end of an attempt or a pause so far.
#[derive(Debug)]
pub struct Pulse {
    start: Instant,
    latest_ms: AtomicU64,
}

impl Default for Pulse {
    fn default() -> Pulse {
        Pulse {
            start: Instant::now(),
            latest_ms: AtomicU64::new(0),
        }
    }
}

impl Pulse {
    /// Somebody waits from now on, at most for so long.
    pub fn expect_within(&self, duration: Duration) {
        let end = (self.start.elapsed() + duration).as_millis();
        let end = u64::try_from(end).unwrap_or(u64::MAX);
        self.latest_ms.fetch_max(end, Ordering::Relaxed);
    }

    /// The latest moment until which somebody may be waiting, or may have been.
    pub fn latest(&self) -> Instant {
        self.start + Duration::from_millis(self.latest_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shorter_wait_does_not_hide_a_longer_one() {
        let pulse = Pulse::default();
        pulse.expect_within(Duration::from_secs(60));
        let latest = pulse.latest();
        pulse.expect_within(Duration::from_secs(1));
        assert_eq!(pulse.latest(), latest);
        assert!(latest <= Instant::now() + Duration::from_secs(60));
    }
}
