//! What has happened at the gate since the start.
//!
//! What it does: counts, so that what is logged once can be seen as often as it happened. What it leaves to others:
//! names and HELP texts of the metrics. Who calls it: `keeper` and `accept` write; whoever makes the page reads.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the start of the process, and the connections open now.
#[derive(Debug, Default)]
pub struct Counters {
    /// Connections accepted.
    pub accepted: AtomicU64,
    /// Requests passed on.
    pub admitted: AtomicU64,
    /// Requests answered by the gate itself (400 to 505).
    pub refused: AtomicU64,
    /// Connections closed for want of room, descriptors or memory.
    pub evicted: AtomicU64,
    /// Connections closed because their time was over while they sent or took something.
    pub expired: AtomicU64,
    /// Times that `accept` failed for want of descriptors or memory.
    pub accept_failures: AtomicU64,
    /// Connections open now.
    pub open: AtomicU64,
    /// Turns of the gate's thread: that they go on shows that it lives.
    pub turns: AtomicU64,
}

pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}
