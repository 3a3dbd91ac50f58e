//! The gate's thread: poll, and what happens then.
//!
//! What it does: lets each connection act when its socket is ready or its time is over, and passes heads to tiny_http
//! and answers back. What it leaves to others: the rules of one connection (`connection`) and of all of them
//! (`table`), new connections (`accept`), the patience with the main loop (`watch`). Who calls it: `door` starts it; it ends only when
//! nothing can be served any more.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{listen, sockopt};

use super::connection::{Connection, Rules, Standing, Step};
use super::counters::{Counters, count};
use super::door::Handover;
use super::line::{AnswerHead, Line, Ticket};
use super::table::Table;
use super::watch::Watch;

/// Bytes read from a socket at once: a whole head, or a good piece of what is thrown away.
const SCRATCH_BYTES: usize = 16 * 1024;

/// Answers continued per turn, so that fast readers of huge pages do not keep the others waiting: 8 writes of at most
/// 256 KiB take about half a millisecond (from the throughput of 5 MB pages).
const WRITES_PER_TURN: usize = 8;

/// Time without accepting after the kernel could not give us a descriptor or memory.
pub(super) const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Time between two log lines about the same trouble.
const REMINDER: Duration = Duration::from_secs(3600);

pub(super) struct Keeper {
    pub(super) listeners: Vec<TcpListener>,
    /// A descriptor to give up when there is no other, so that a waiting connection can be accepted and closed.
    pub(super) reserve: Option<OwnedFd>,
    line: Line,
    pub(super) table: Table,
    /// Heads that wait until tiny_http has fewer in flight: at most one for each connection.
    queue: VecDeque<(Ticket, Vec<u8>)>,
    serial: u64,
    pub(super) handover: Arc<Handover>,
    pub(super) counters: Arc<Counters>,
    pub(super) rules: Rules,
    pub(super) scratch: Vec<u8>,
    /// The time of this turn.
    pub(super) now: Instant,
    pub(super) accept_again: Option<Instant>,
    first_writer: usize,
    watch: Watch,
    /// When each trouble was last logged: one entry for each call of `remind`.
    reminded: HashMap<&'static str, Instant>,
}

/// What poll found.
#[derive(Default)]
struct Ready {
    line: bool,
    bell: bool,
    listeners: Vec<usize>,
    slots: Vec<usize>,
}

impl Ready {
    /// Sorts the events, which come in the order in which `wait` asked for them.
    fn sort(fds: &[PollFd<'_>], listeners: usize, slots: &[usize]) -> Self {
        let mut has_event = fds.iter().map(|fd| !fd.revents().is_empty());
        let line = has_event.next().unwrap_or(false);
        let bell = has_event.next().unwrap_or(false);
        let listeners = (0..listeners)
            .filter(|_| has_event.next().unwrap_or(false))
            .collect();
        let slots = slots
            .iter()
            .zip(has_event)
            .filter(|(_, has_event)| *has_event)
            .map(|(&slot, _)| slot)
            .collect();
        Self {
            line,
            bell,
            listeners,
            slots,
        }
    }
}

impl Keeper {
    /// # Errors
    ///
    /// A listener refuses a setting.
    pub(super) fn new(
        listeners: Vec<TcpListener>,
        line: Line,
        rules: Rules,
        handover: Arc<Handover>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        for listener in &listeners {
            listener.set_nonblocking(true)?;
            // Accepted sockets inherit both settings. Without the first a small answer waits 40 ms for the client's acknowledgement.
            sockopt::set_tcp_nodelay(listener, true)?;
            sockopt::set_socket_send_buffer_size(listener, rules.limits.send_buffer_bytes)?;
            listen(listener, rules.limits.backlog)?;
        }
        let now = Instant::now();
        let mut keeper = Self {
            listeners,
            reserve: None,
            line,
            table: Table::default(),
            queue: VecDeque::new(),
            serial: 0,
            handover,
            counters,
            rules,
            scratch: vec![0; SCRATCH_BYTES],
            now,
            accept_again: None,
            first_writer: 0,
            watch: Watch::default(),
            reminded: HashMap::new(),
        };
        keeper.refill_reserve();
        Ok(keeper)
    }

    /// Serves until nothing can be served any more.
    pub(super) fn keep(mut self) {
        let end = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            loop {
                if let Err(error) = self.turn() {
                    return error;
                }
            }
        }));
        match end {
            Ok(error) => log::error!(
                "gate failed error={error}; the process cannot serve any more and must end"
            ),
            Err(_) => log::error!("gate panicked; the process cannot serve any more and must end"),
        }
    }

    /// Waits for something to happen and does it.
    fn turn(&mut self) -> io::Result<()> {
        let ready = self.wait();
        count(&self.counters.turns);
        self.now = Instant::now();
        if ready.line {
            self.line.flush()?;
            self.line.receive(&mut self.scratch)?;
            self.deliver()?;
        }
        if ready.line || ready.bell {
            self.deliver_late();
        }
        self.serve(&ready.slots);
        for index in ready.listeners {
            self.accept_from(index);
        }
        self.expire();
        if self.handover.is_closing() {
            self.part();
        }
        self.forward()?;
        self.watch_main_loop()
    }

    /// Sleeps until a socket is ready or a time is over; without either, for ever.
    fn wait(&self) -> Ready {
        // Left out rather than watched for nothing: poll would report a broken one again and again.
        let listeners = if self.accept_again.is_none() {
            &self.listeners[..]
        } else {
            &[]
        };
        let mut nearest = self
            .watch
            .deadline()
            .into_iter()
            .chain(self.accept_again)
            .min();
        let mut slots = Vec::with_capacity(self.table.len());
        let mut fds = Vec::with_capacity(2 + self.listeners.len() + self.table.len());
        fds.push(PollFd::new(&self.line, self.line.interest()));
        let bell = self.handover.bell();
        fds.push(PollFd::new(&bell, PollFlags::IN));
        fds.extend(
            listeners
                .iter()
                .map(|listener| PollFd::new(listener, PollFlags::IN)),
        );
        for (slot, connection) in self.table.iter() {
            fds.push(PollFd::new(connection, connection.interest()));
            slots.push(slot);
            nearest = nearest.into_iter().chain(connection.deadline()).min();
        }
        let timeout = nearest.map(|at| at.saturating_duration_since(Instant::now()));
        let timeout = timeout
            .into_iter()
            .chain(self.rules.limits.longest_sleep)
            .min();
        let timeout = timeout.and_then(|time| Timespec::try_from(time).ok());
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) => Ready::sort(&fds, listeners.len(), &slots),
            Err(Errno::INTR) => Ready::default(),
            Err(error) => {
                // No memory for the list; asking again at once would only burn the processor.
                log::error!("poll failed error={error}; the gate tries again");
                thread::sleep(ACCEPT_PAUSE);
                Ready::default()
            }
        }
    }

    /// Lets every ready connection act; of those that write only a few, in rotation.
    fn serve(&mut self, slots: &[usize]) {
        let mut writes = 0;
        let start = slots
            .iter()
            .position(|&slot| slot >= self.first_writer)
            .unwrap_or(0);
        for &slot in slots.iter().cycle().skip(start).take(slots.len()) {
            let Some(connection) = self.table.get_mut(slot) else {
                continue;
            };
            if connection.outgoing().is_some() {
                writes += 1;
                if writes > WRITES_PER_TURN {
                    continue;
                }
                self.first_writer = slot + 1;
            }
            self.act(slot);
        }
    }

    /// Lets one connection do what its socket allows now.
    pub(super) fn act(&mut self, slot: usize) {
        if let Some(connection) = self.table.get_mut(slot) {
            let step = connection.act(&mut self.scratch, self.now, &self.rules);
            self.follow(slot, step);
        }
    }

    pub(super) fn follow(&mut self, slot: usize, step: Step) {
        match step {
            Step::Stay => {}
            Step::Forward(canonical) => self.enqueue(slot, canonical),
            Step::Refused(status) => {
                count(&self.counters.refused);
                crate::logging::debug!(status = status; "request refused");
            }
            Step::Close => self.close(slot),
        }
    }

    pub(super) fn close(&mut self, slot: usize) {
        if let Some(connection) = self.table.remove(slot) {
            connection.close();
            self.counters
                .open
                .store(self.table.len() as u64, Ordering::Relaxed);
        }
    }

    fn enqueue(&mut self, slot: usize, canonical: Vec<u8>) {
        count(&self.counters.admitted);
        self.serial += 1;
        let ticket = Ticket {
            slot,
            serial: self.serial,
        };
        self.table.assign(ticket);
        self.queue.push_back((ticket, canonical));
    }

    /// Passes waiting heads on, in the order of their arrival, except those whose client is gone.
    fn forward(&mut self) -> io::Result<()> {
        while self.line.in_flight() < self.rules.limits.in_flight {
            let Some((ticket, canonical)) = self.queue.pop_front() else {
                break;
            };
            if self.table.is_owner(ticket) {
                self.line.push(ticket, &canonical, self.now);
            }
        }
        self.line.flush()
    }

    /// Gives the answers that have come to who asked for them.
    fn deliver(&mut self) -> io::Result<()> {
        let mut newest = None;
        while let Some((ticket, head)) = self.line.next_answer(self.now)? {
            let body = self.handover.take(ticket.serial);
            if !self.table.is_owner(ticket) {
                continue;
            }
            let Some(connection) = self.table.get_mut(ticket.slot) else {
                continue;
            };
            let Some(body) = body else {
                connection.hold(self.now, &self.rules);
                continue;
            };
            let step = connection.respond(head, body, self.now, &self.rules);
            if connection.outgoing().is_some() {
                newest = Some(ticket.slot);
            }
            self.follow(ticket.slot, step);
        }
        if let Some(slot) = newest {
            self.keep_budget(slot);
        }
        Ok(())
    }

    /// Gives the answers that were promised for later, except to whoever is gone or has waited too long.
    fn deliver_late(&mut self) {
        for answer in self.handover.take_late() {
            let Some(slot) = self.table.slot_of(answer.0) else {
                continue;
            };
            let Some(connection) = self.table.get_mut(slot) else {
                continue;
            };
            if connection.is_waiting() {
                self.handover.put_back(answer);
            } else if connection.is_held() {
                let (_, status, text) = answer;
                let (head, body) = (AnswerHead::of_text(status), Arc::from(text.into_bytes()));
                let step = connection.respond(head, vec![body], self.now, &self.rules);
                self.follow(slot, step);
            }
        }
    }

    /// Drops the slowest readers while all of them together keep too much in memory.
    fn keep_budget(&mut self, newest: usize) {
        while let Some(slot) = self
            .table
            .reader_over_budget(self.rules.limits.pending_bytes, newest)
        {
            count(&self.counters.evicted);
            self.remind(
                "slow readers dropped",
                ": the answers they have not taken exceed the budget",
            );
            self.close(slot);
        }
    }

    /// Ends what has lasted too long.
    fn expire(&mut self) {
        if self.accept_again.is_some_and(|at| at <= self.now) {
            self.accept_again = None;
            self.refill_reserve();
        }
        let now = self.now;
        let is_over = |connection: &Connection| connection.deadline().is_some_and(|at| at <= now);
        let over: Vec<_> = self
            .table
            .iter()
            .filter(|(_, connection)| is_over(connection))
            .map(|(slot, _)| slot)
            .collect();
        for slot in over {
            let Some(connection) = self.table.get_mut(slot) else {
                continue;
            };
            if !matches!(
                connection.standing(now),
                Some(Standing::Dismissed | Standing::Resting)
            ) {
                count(&self.counters.expired);
            }
            let step = connection.expire(now, &self.rules);
            self.follow(slot, step);
        }
    }

    /// # Errors
    ///
    /// The main loop owes an answer for too long: a supervisor should start the process again.
    fn watch_main_loop(&mut self) -> io::Result<()> {
        let time = self.rules.limits.stall_time;
        if self
            .watch
            .is_stalled(self.line.waiting_since(), time, self.now)
        {
            let text = format!("no answer from the main loop for {} s", time.as_secs_f32());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        Ok(())
    }

    /// One log line an hour about each trouble, however often it comes; the counters have the rest.
    pub(super) fn remind(&mut self, trouble: &'static str, detail: &str) {
        let last = self.reminded.get(trouble);
        if last.is_none_or(|&at| self.now.duration_since(at) >= REMINDER) {
            self.reminded.insert(trouble, self.now);
            log::warn!("{trouble}{detail}; repetitions are only counted for an hour");
        }
    }
}

#[cfg(test)]
#[path = "keeper_tests.rs"]
mod tests;
