//! One client: what it is doing, and until when it may.
//!
//! What it does: reads heads, sends answers and refusals, lingers before closing, and knows its own deadline. What it
//! leaves to others: when to act (`keeper`), who must go when there is no room (`table`). Who calls it: `keeper`.

use std::io::Read;
use std::net::{Shutdown, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;

use super::head::{Admitted, HeadReader};
use super::limits::Limits;
use super::line::AnswerHead;
use super::outgoing::{Outgoing, Progress, is_transient};
use super::policy::{Method, Policy};
use super::refusal::Refusal;

/// Time without progress after which a reader may be evicted to make room. The kernel repeats a lost packet after
/// 0.2 s, so an honest reader is rarely that slow; and who rests between two scrapes did nothing wrong at all.
const READER_STALL: Duration = Duration::from_millis(500);

/// What the connection is doing.
enum Phase {
    /// Receiving a head, or resting between two requests.
    Reading,
    /// Its request is on the way to the main loop or waits for its turn.
    Waiting,
    /// The main loop has said that the answer comes later.
    Held,
    Writing(Outgoing),
    /// Refused or finished; whatever it still sends is thrown away, this many bytes at most.
    Lingering {
        left_bytes: usize,
    },
}

/// What the keeper must do next about a connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Stay,
    /// Pass this canonical head on.
    Forward(Vec<u8>),
    /// Stay, but count a refusal with this status.
    Refused(u16),
    Close,
}

/// How expendable a connection is: the least goes first, and within a class whoever is there the longest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It has its answer and only has to go.
    Dismissed,
    /// It never completed a request.
    NeverServed,
    /// It does not take its answer.
    Stalled,
    /// It was served and now rests.
    Resting,
}

/// What every connection of a gate must keep.
pub(super) struct Rules {
    pub limits: Limits,
    pub policy: Policy,
}

/// A client's connection. `since` is the last change of phase or, while writing, the last progress.
pub(super) struct Connection {
    stream: TcpStream,
    phase: Phase,
    reader: HeadReader,
    since: Instant,
    deadline: Option<Instant>,
    is_served: bool,
    is_head: bool,
    keep_alive: bool,
    is_http_1_0: bool,
}

impl Connection {
    /// A connection just accepted; `stream` does not block.
    pub(super) fn new(stream: TcpStream, now: Instant, rules: &Rules) -> Self {
        Self {
            stream,
            phase: Phase::Reading,
            reader: HeadReader::default(),
            since: now,
            deadline: Some(now + rules.limits.head_time),
            is_served: false,
            is_head: false,
            keep_alive: false,
            is_http_1_0: false,
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// The events that matter now. A waiting client is only watched for its going away: what it sends meanwhile stays
    /// in the kernel, which stops the client when its buffer is full.
    pub(super) fn interest(&self) -> PollFlags {
        match self.phase {
            Phase::Reading | Phase::Lingering { .. } => PollFlags::IN,
            Phase::Waiting | Phase::Held => PollFlags::empty(),
            Phase::Writing(_) => PollFlags::OUT,
        }
    }

    /// The shared bytes that stay in memory for this client.
    pub(super) fn outgoing(&self) -> Option<&Outgoing> {
        match &self.phase {
            Phase::Writing(outgoing) => Some(outgoing),
            _ => None,
        }
    }

    /// `None`: it is being served and must not be evicted.
    pub(super) fn standing(&self, now: Instant) -> Option<Standing> {
        match self.phase {
            Phase::Lingering { .. } => Some(Standing::Dismissed),
            Phase::Reading if !self.is_served => Some(Standing::NeverServed),
            Phase::Reading => Some(Standing::Resting),
            Phase::Writing(_) if now.saturating_duration_since(self.since) >= READER_STALL => {
                Some(Standing::Stalled)
            }
            Phase::Writing(_) | Phase::Waiting | Phase::Held => None,
        }
    }

    /// The socket is ready for what the connection is doing, or broken.
    pub(super) fn act(&mut self, scratch: &mut [u8], now: Instant, rules: &Rules) -> Step {
        match self.phase {
            Phase::Reading => self.receive(scratch, now, rules),
            Phase::Writing(_) => self.write(now, rules),
            Phase::Lingering { .. } => self.linger(scratch),
            // Nothing is asked of it: poll only reports that the client is gone.
            Phase::Waiting | Phase::Held => Step::Close,
        }
    }

    /// One piece of a head, never more than the limit in all.
    fn receive(&mut self, scratch: &mut [u8], now: Instant, rules: &Rules) -> Step {
        let room = rules
            .limits
            .head_bytes
            .saturating_sub(self.reader.len())
            .min(scratch.len());
        let space = scratch.get_mut(..room).unwrap_or_default();
        match self.stream.read(space) {
            Ok(0) => Step::Close,
            Ok(bytes) => {
                if self.is_served && self.reader.is_empty() {
                    self.deadline = Some(now + rules.limits.head_time);
                }
                self.reader.push(scratch.get(..bytes).unwrap_or_default());
                self.advance(now, rules)
            }
            Err(error) if is_transient(&error) => Step::Stay,
            Err(_) => Step::Close,
        }
    }

    /// Takes a complete head out of what has arrived.
    fn advance(&mut self, now: Instant, rules: &Rules) -> Step {
        match self.reader.advance(rules.limits.head_bytes, &rules.policy) {
            Ok(None) => Step::Stay,
            Ok(Some(admitted)) => Step::Forward(self.admit(admitted, now)),
            Err(refusal) => self.refuse(refusal, now, rules),
        }
    }

    fn admit(&mut self, admitted: Admitted, now: Instant) -> Vec<u8> {
        self.is_head = admitted.method == Method::Head;
        self.keep_alive = admitted.keep_alive;
        self.is_http_1_0 = admitted.is_http_1_0;
        // No deadline: the keeper watches the main loop, and the client can do nothing but wait.
        self.enter(Phase::Waiting, now, None);
        admitted.canonical
    }

    fn enter(&mut self, phase: Phase, now: Instant, time: Option<Duration>) {
        self.phase = phase;
        self.since = now;
        self.deadline = time.map(|time| now + time);
    }

    /// Answers with a refusal and stops listening to the client. A new socket's buffer takes a refusal whole; if it
    /// does not, the client has not read its earlier answers and will not read this one.
    pub(super) fn refuse(&mut self, refusal: Refusal, now: Instant, rules: &Rules) -> Step {
        let mut answer = Outgoing::new(refusal.answer(self.reader.is_head_request()), Vec::new());
        match answer.send(&self.stream) {
            Ok(Progress::Complete) => match self.begin_linger(now, rules) {
                Step::Stay => Step::Refused(refusal.status()),
                other => other,
            },
            _ => Step::Close,
        }
    }

    /// Says that nothing more comes, and waits for the client to close first.
    fn begin_linger(&mut self, now: Instant, rules: &Rules) -> Step {
        if self.stream.shutdown(Shutdown::Write).is_err() {
            return Step::Close;
        }
        self.reader = HeadReader::default();
        let phase = Phase::Lingering {
            left_bytes: rules.limits.linger_bytes,
        };
        self.enter(phase, now, Some(rules.limits.linger_time));
        Step::Stay
    }

    fn linger(&mut self, scratch: &mut [u8]) -> Step {
        let Phase::Lingering { left_bytes } = &mut self.phase else {
            return Step::Stay;
        };
        match self.stream.read(scratch) {
            Ok(0) => Step::Close,
            Ok(bytes) => {
                *left_bytes = left_bytes.saturating_sub(bytes);
                if *left_bytes == 0 {
                    Step::Close
                } else {
                    Step::Stay
                }
            }
            Err(error) if is_transient(&error) => Step::Stay,
            Err(_) => Step::Close,
        }
    }

    /// The answer comes later, or not in time.
    pub(super) fn hold(&mut self, now: Instant, rules: &Rules) {
        self.enter(Phase::Held, now, Some(rules.limits.hold_time));
    }

    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Waiting)
    }

    /// Whether it is to have an answer before the process ends: not who rests, nor who waits for what comes later.
    pub(super) fn is_owed(&self) -> bool {
        match self.phase {
            Phase::Reading => !self.is_served || !self.reader.is_empty(),
            Phase::Waiting | Phase::Writing(_) => true,
            Phase::Held | Phase::Lingering { .. } => false,
        }
    }

    pub(super) fn is_held(&self) -> bool {
        matches!(self.phase, Phase::Held)
    }

    /// Begins to send an answer: the head as tiny_http wrote it, completed with what only the gate knows.
    pub(super) fn respond(
        &mut self,
        head: AnswerHead,
        body: Vec<Arc<[u8]>>,
        now: Instant,
        rules: &Rules,
    ) -> Step {
        let length: usize = body.iter().map(|segment| segment.len()).sum();
        let length = head.may_have_body.then_some(length);
        let segments = if self.is_head || length.is_none() {
            Vec::new()
        } else {
            body
        };
        let head = head.complete(length, self.keep_alive, self.is_http_1_0);
        self.enter(
            Phase::Writing(Outgoing::new(head, segments)),
            now,
            Some(rules.limits.response_time),
        );
        self.write(now, rules)
    }

    fn write(&mut self, now: Instant, rules: &Rules) -> Step {
        let Phase::Writing(outgoing) = &mut self.phase else {
            return Step::Stay;
        };
        match outgoing.send(&self.stream) {
            Ok(Progress::Complete) => self.finish(now, rules),
            Ok(Progress::Partial { bytes: 0 }) => Step::Stay,
            Ok(Progress::Partial { .. }) => {
                self.since = now;
                Step::Stay
            }
            Err(_) => Step::Close,
        }
    }

    /// The answer is sent: rest, or take the next pipelined head, or part.
    fn finish(&mut self, now: Instant, rules: &Rules) -> Step {
        self.is_served = true;
        // No longer writing, whatever comes next: `close` would throw away what the kernel has yet to send.
        self.enter(Phase::Reading, now, Some(rules.limits.idle_time));
        if !self.keep_alive {
            return if self.has_unread_bytes() {
                self.begin_linger(now, rules)
            } else {
                Step::Close
            };
        }
        if self.reader.is_empty() {
            return Step::Stay;
        }
        self.deadline = Some(now + rules.limits.head_time);
        self.advance(now, rules)
    }

    /// Whether closing now would make the kernel send a reset.
    fn has_unread_bytes(&mut self) -> bool {
        !self.reader.is_empty() || matches!(self.stream.read(&mut [0]), Ok(1..))
    }

    /// The deadline has passed.
    pub(super) fn expire(&mut self, now: Instant, rules: &Rules) -> Step {
        match self.phase {
            // Who never said a word, or rests, needs no explanation.
            Phase::Reading if !self.reader.is_empty() => self.refuse(Refusal::Timeout, now, rules),
            Phase::Held => self.refuse(Refusal::Late, now, rules),
            _ => Step::Close,
        }
    }

    /// Closes. A client that does not read gets a reset: otherwise the kernel would keep what it has not taken, and
    /// repeat it for minutes.
    pub(super) fn close(self) {
        if matches!(self.phase, Phase::Writing(_)) {
            // If it fails the kernel waits longer: no harm that we could prevent.
            let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
        }
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
