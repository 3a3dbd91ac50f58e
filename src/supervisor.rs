//! What systemd, or whoever speaks its protocol, is told of the process, and the sockets that it passes.
//!
//! What it does: sends the lines of sd_notify(3) by itself, feeds the watchdog while the serving side and the polls
//! move, takes sockets over as in sd_listen_fds(3). What it leaves to others: the environment (`config`), when the
//! state changes (`run`). Who calls it: `run`, and its main loop before each wait.
//!
//! `NOTIFY_SOCKET` stays in the environment: the process starts no other, so nobody inherits it.

use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, sockopt};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, pidfd_getfd, pidfd_open};
use rustix::time::{ClockId, clock_gettime};

use crate::config::Supervision;
use crate::fetch::Fetcher;
use crate::gate::Counters;
use crate::snapshot::Snapshot;

/// The first socket that is passed (sd_listen_fds(3)).
const FIRST_DESCRIPTOR: i32 = 3;
/// Longest wait for room in the supervisor's queue; the main loop must not be held up longer.
const SEND_LIMIT: Duration = Duration::from_secs(1);
/// Signs of life in the time that the supervisor grants: one may fail to come and the next is still in time.
const SIGNS_A_TIME: u32 = 3;
/// Shortest time between two signs: below it the process would only be busy living.
const SPACING_LEAST: Duration = Duration::from_millis(10);
/// Polls count as stuck when nothing has moved for so many times the watchdog's time. What a poll does beside waiting
/// for its upstream takes seconds; with the 60 s of our unit a disk gets five minutes.
const PATIENCE_TIMES: u32 = 5;

/// The way to the supervisor; without one, everything here does nothing.
#[derive(Debug, Default)]
pub struct Supervisor {
    socket: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
    /// Whether the last report failed: the change is logged, not the repetition.
    is_failing: AtomicBool,
}

/// Feeds the watchdog from the main loop, so that a main loop that hangs feeds it no more.
#[derive(Debug)]
pub struct Watchdog<'a> {
    supervisor: &'a Supervisor,
    life: Life,
    next: Instant,
    /// Turns of the gate's thread when it was last looked at.
    turns: u64,
    /// What was found stuck, and logged.
    stuck: Option<&'static str>,
}

/// Where the watchdog sees that the process lives.
#[derive(Debug)]
pub struct Life {
    /// For the turns of the gate's thread.
    pub gate: Arc<Counters>,
    /// For when each service is due.
    pub snapshot: Arc<Snapshot>,
    /// For until when polls may rightly wait.
    pub fetcher: Arc<Fetcher>,
}

impl Supervisor {
    /// Opens the way to the supervisor. What is wrong with it is logged: the process works without.
    pub fn new(settings: &Supervision) -> Supervisor {
        let opened = settings.notify_socket.as_deref().map(open).transpose();
        let socket = opened.unwrap_or_else(|cause| {
            log::warn!(cause:% = cause; "cannot report to the supervisor");
            None
        });
        Supervisor {
            watchdog: settings.watchdog.filter(|_| socket.is_some()),
            socket,
            is_failing: AtomicBool::new(false),
        }
    }

    /// The process serves. Whether every service was polled yet is another question: a slow upstream must not hold up
    /// what starts after us, so that is asked at `/-/ready`.
    pub fn ready(&self, snapshot: &Snapshot) {
        self.send(&format!("READY=1\nSTATUS={}", status(snapshot)));
    }

    /// A new configuration is being read; [`Supervisor::ready`] says when that is over, in whatever way.
    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let now_us = now.tv_sec * 1_000_000 + now.tv_nsec / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={now_us}"));
    }

    /// The process is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=stopping");
    }

    /// Time between two signs of life, if somebody watches.
    fn spacing(&self) -> Option<Duration> {
        let time = self.watchdog?;
        Some((time / SIGNS_A_TIME).max(SPACING_LEAST))
    }

    /// How long the gate's thread may sleep: it must have turned between two signs of life.
    pub fn longest_sleep(&self) -> Option<Duration> {
        self.spacing().map(|spacing| spacing / 2)
    }

    fn send(&self, text: &str) {
        let Some((socket, address)) = &self.socket else {
            return;
        };
        let sent = socket.send_to_addr(text.as_bytes(), address);
        let was_failing = self.is_failing.swap(sent.is_err(), Ordering::Relaxed);
        if let (Err(cause), false) = (sent, was_failing) {
            log::warn!(cause:% = cause; "cannot report to the supervisor");
        }
    }
}

fn open(name: &str) -> io::Result<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(name)?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(SEND_LIMIT))?;
    Ok((socket, address))
}

/// The state in words, as `systemctl status` shows it.
fn status(snapshot: &Snapshot) -> String {
    let (_, entries) = snapshot.entries();
    let is_failing = |entry: &crate::snapshot::Entry| entry.status.failure.is_some();
    let failing = entries.iter().filter(|(_, entry)| is_failing(entry));
    let failing = failing.count();
    let plural = if entries.len() == 1 { "" } else { "s" };
    let mut text = format!("{} service{plural}", entries.len());
    if failing > 0 {
        text += &format!(", polls of {failing} failing");
    }
    text
}

impl<'a> Watchdog<'a> {
    /// A watchdog that the main loop feeds.
    pub fn new(supervisor: &'a Supervisor, life: Life) -> Watchdog<'a> {
        Watchdog {
            supervisor,
            life,
            next: Instant::now() + supervisor.spacing().unwrap_or_default(),
            turns: 0,
            stuck: None,
        }
    }

    /// Feeds the watchdog if it is time and everything moves. Gives how long the main loop may wait, at most `limit`.
    pub fn feed(&mut self, limit: Duration) -> Duration {
        let (Some(time), Some(spacing)) = (self.supervisor.watchdog, self.supervisor.spacing())
        else {
            return limit;
        };
        let now = Instant::now();
        if now >= self.next {
            self.next = now + spacing;
            let stuck = self.stuck(now, time);
            if stuck.is_none() {
                let status = status(&self.life.snapshot);
                self.supervisor
                    .send(&format!("WATCHDOG=1\nSTATUS={status}"));
            }
            self.log(stuck);
        }
        limit.min(self.next.saturating_duration_since(now))
    }

    /// What does not move any more, if anything. That the main loop moves shows in its asking.
    fn stuck(&mut self, now: Instant, time: Duration) -> Option<&'static str> {
        let turns = self.life.gate.turns.load(Ordering::Relaxed);
        if std::mem::replace(&mut self.turns, turns) == turns {
            return Some("gate");
        }
        let (_, entries) = self.life.snapshot.entries();
        let due = entries.iter().filter_map(|(_, entry)| entry.status.due);
        let expected = self.life.fetcher.pulse().latest();
        is_overdue(now, expected, due, time * PATIENCE_TIMES).then_some("polls")
    }

    fn log(&mut self, stuck: Option<&'static str>) {
        match (self.stuck, stuck) {
            (None, Some(part)) => {
                log::error!(stuck = part; "the watchdog is not fed; the supervisor should start the process again");
            }
            (Some(part), None) => log::warn!(stuck = part; "the watchdog is fed again"),
            _ => {}
        }
        self.stuck = stuck;
    }
}

/// Whether polls should have moved by now.
///
/// `expected` is the latest end of a request or a pause: until then somebody may rightly be waiting. A service that is
/// `due` later has still to show whether it moves, and its first request moves `expected`. So one poll that hangs counts
/// for nothing while others go on, and a thousand sleeping services are not taken for dead.
fn is_overdue(
    now: Instant,
    expected: Instant,
    due: impl Iterator<Item = Instant>,
    patience: Duration,
) -> bool {
    let next = due.filter(|due| *due > expected).min();
    now.saturating_duration_since(next.unwrap_or(expected)) > patience
}

/// Takes over the sockets that were passed, one for each name.
///
/// A number is no proof that a descriptor is ours to own, so the kernel is asked for a duplicate, which also is closed on
/// exec. The original stays open as long as the process, which starts no other.
///
/// # Errors
/// A sentence for the person who configured it: a descriptor is no listening TCP socket, or cannot be taken over.
pub fn sockets(names: &[String]) -> Result<Vec<TcpListener>, String> {
    let taken = (FIRST_DESCRIPTOR..).zip(names);
    taken
        .map(|(descriptor, name)| {
            let socket = duplicate(descriptor).map_err(|cause| {
                format!("cannot take over socket {descriptor} ({name}) of LISTEN_FDS: {cause}; it needs Linux 5.6 and pidfd_getfd(2) to be allowed")
            })?;
            if !is_listening(&socket).unwrap_or(false) {
                return Err(format!(
                    "socket {descriptor} ({name}) of LISTEN_FDS does not listen on TCP; write ListenStream=9001 in its unit"
                ));
            }
            Ok(TcpListener::from(socket))
        })
        .collect()
}

fn duplicate(descriptor: i32) -> io::Result<OwnedFd> {
    let own = pidfd_open(getpid(), PidfdFlags::empty())?;
    Ok(pidfd_getfd(own, descriptor, PidfdGetfdFlags::empty())?)
}

fn is_listening(socket: &OwnedFd) -> io::Result<bool> {
    let family = sockopt::socket_domain(socket)?;
    let is_tcp = family == AddressFamily::INET || family == AddressFamily::INET6;
    let is_stream = sockopt::socket_type(socket)? == SocketType::STREAM;
    Ok(is_tcp && is_stream && sockopt::socket_acceptconn(socket)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(300);

    /// All times in seconds from a common start.
    fn check(now: u64, expected: u64, due: &[u64], is_stuck: bool) {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let found = is_overdue(
            at(now),
            at(expected),
            due.iter().map(|due| at(*due)),
            PATIENCE,
        );
        assert_eq!(found, is_stuck, "{now} {expected} {due:?}");
    }

    #[test]
    fn the_only_service_is_stuck_when_its_request_should_long_have_ended() {
        check(315, 15, &[0], false);
        check(316, 15, &[0], true);
    }

    #[test]
    fn sleeping_services_are_judged_when_they_are_due() {
        check(1_190, 15, &[1_200, 1_210], false);
        check(1_500, 15, &[1_200, 1_210], false);
        check(1_501, 15, &[1_200, 1_210], true);
    }

    #[test]
    fn one_poll_that_hangs_does_not_count_while_others_move() {
        check(1_199, 15, &[0, 1_200], false);
        check(2_399, 1_215, &[0, 2_400], false);
    }

    #[test]
    fn a_long_pause_that_the_upstream_asked_for_is_no_stall() {
        check(3_600, 3_600, &[0], false);
    }

    #[test]
    fn a_process_without_services_is_judged_by_its_requests_alone() {
        check(300, 0, &[], false);
    }

    #[test]
    fn a_descriptor_that_is_not_open_or_does_not_listen_is_refused() {
        // Some tests of this process may hold any of them; none of a thousand descriptors listens under this number.
        let cause = duplicate(9_999)
            .map(drop)
            .map_err(|cause| cause.to_string());
        assert!(cause.is_err_and(|cause| cause.contains("Bad file descriptor")));
        let pair = UnixDatagram::unbound().unwrap();
        assert!(!is_listening(&OwnedFd::from(pair)).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(is_listening(&OwnedFd::from(listener)).unwrap());
    }
}
