//! Every bound of the gate.
//!
//! What it does: names each limit with its unit and its reason, and gathers them so that a test can shrink them.
//! What it leaves to others: keeping them. Who calls it: whoever opens a door.

use std::time::Duration;

use rustix::process::{Resource, getrlimit};

/// Connections open at once. A Prometheus pair, a few curious people and a load balancer's probes are under 20; 500
/// scrapers at once are served in the tests; with 8 KiB of head each, all of them together hold 4 MiB.
const CONNECTIONS: usize = 512;

/// Connections that are allowed however few descriptors the process may open: below this nothing could be served.
const CONNECTIONS_AT_LEAST: usize = 8;

/// Bytes of a request head, request line included. Prometheus sends about 400; nginx and Apache allow 8 KiB.
const HEAD_BYTES: usize = 8 * 1024;

/// Time from the first byte of a head (from `accept` for a new connection) to its last, however it drips.
const HEAD_TIME: Duration = Duration::from_secs(5);

/// Time a connection may rest between two requests: longer than any usual scrape interval, so that keep-alive works.
const IDLE_TIME: Duration = Duration::from_secs(180);

/// Time a client has to take one whole answer. Prometheus gives up after 10 s by default.
const RESPONSE_TIME: Duration = Duration::from_secs(15);

/// Time without progress of the main loop after which the process ends, so that a supervisor starts it again.
const STALL_TIME: Duration = Duration::from_secs(10);

/// Time and bytes spent on reading what a refused client still sends. Closing while its bytes are unread would make
/// the kernel send a reset, and the reset would destroy the answer before the client has read it.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 1024 * 1024;

/// Bytes of answers that clients have not taken yet, all clients together, bytes shared by several counted once, the
/// largest answer not counted (a page larger than this is still served). Pages are kept alive by their slowest reader.
const PENDING_BYTES: usize = 32 * 1024 * 1024;

/// Bytes that the kernel takes for one client ahead of its reading (the kernel doubles the number for its own
/// bookkeeping). By default it takes up to 4 MiB: 200 clients that never read a 5 MB page then delayed a scrape by a
/// quarter of a second (measured). This much still fills a line of 20 Mbit/s at a round trip of 100 ms.
const SEND_BUFFER_BYTES: usize = 256 * 1024;

/// Heads inside tiny_http at once. The main loop works on one at a time; a few more in the queue save two changes of
/// thread per request under load (10 KB, 4 connections: 17,900 requests a second with 1, 29,200 with 4, 30,100 with 16).
const IN_FLIGHT: usize = 16;

/// Connections that the kernel completes before we accept them; std asks for 128. A flood of connections that fills
/// this queue delays a scraper by the kernel's own retransmission of 1 s.
const BACKLOG: i32 = 1024;

/// The bounds of one gate; the constants above are the defaults.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// Bytes of a request head.
    pub head_bytes: usize,
    /// Time for one whole head.
    pub head_time: Duration,
    /// Rest between two requests.
    pub idle_time: Duration,
    /// Time to take one whole answer.
    pub response_time: Duration,
    /// Patience with the main loop.
    pub stall_time: Duration,
    /// Time for a refused client to read why.
    pub linger_time: Duration,
    /// Bytes of a refused client that are read and thrown away.
    pub linger_bytes: usize,
    /// Answer bytes kept for slow readers, all together.
    pub pending_bytes: usize,
    /// Bytes that the kernel takes for one client.
    pub send_buffer_bytes: usize,
    /// Heads inside tiny_http at once.
    pub in_flight: usize,
    /// Connections that the kernel completes ahead of us.
    pub backlog: i32,
    /// Longest sleep of the gate's thread, where somebody watches that it lives; none where nobody does.
    pub longest_sleep: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: connections_within(getrlimit(Resource::Nofile).current),
            head_bytes: HEAD_BYTES,
            head_time: HEAD_TIME,
            idle_time: IDLE_TIME,
            response_time: RESPONSE_TIME,
            stall_time: STALL_TIME,
            linger_time: LINGER_TIME,
            linger_bytes: LINGER_BYTES,
            pending_bytes: PENDING_BYTES,
            send_buffer_bytes: SEND_BUFFER_BYTES,
            in_flight: IN_FLIGHT,
            backlog: BACKLOG,
            longest_sleep: None,
        }
    }
}

/// Connections to allow when the process may open `descriptors` (`None`: any number).
///
/// Half of them at most: strangers must not take the descriptors that polls and files need.
fn connections_within(descriptors: Option<u64>) -> usize {
    let half = descriptors.map_or(usize::MAX, |n| usize::try_from(n / 2).unwrap_or(usize::MAX));
    half.clamp(CONNECTIONS_AT_LEAST, CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strangers_get_at_most_half_of_the_descriptors() {
        assert_eq!(connections_within(Some(64)), 32);
        assert_eq!(connections_within(Some(1024)), 512);
        assert_eq!(connections_within(Some(1_000_000)), 512);
        assert_eq!(connections_within(None), 512);
    }

    #[test]
    fn a_few_connections_are_allowed_even_when_descriptors_are_scarce() {
        assert_eq!(connections_within(Some(10)), CONNECTIONS_AT_LEAST);
    }
}
