//! The side of the main loop: requests out, answers in.
//!
//! What it does: opens the gate, gives the main loop one request after the other, and hands each answer over: status
//! and headers through tiny_http, the body's shared bytes past it. What it leaves to others: sockets (`keeper`).
//! Who calls it: `main` opens it and loops; the signal thread stops it.

use std::collections::VecDeque;
use std::io::{self, Empty};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, eventfd};

use super::connection::Rules;
use super::counters::Counters;
use super::head::SERIAL;
use super::keeper::Keeper;
use super::limits::Limits;
use super::line::Line;
use super::policy::{Method, Policy};

/// Virtual bytes of the keeper's stack: its largest frame is a 64-line header table of 2 KiB.
const STACK_BYTES: usize = 256 * 1024;

/// Longest time for the last answers. A page is made and sent within milliseconds; the rest is for a client that has
/// connected and is about to ask, on a busy machine.
const PARTING: Duration = Duration::from_millis(250);

/// Time between two looks whether the last answer is sent: so much longer a stop may take.
const LOOK: Duration = Duration::from_millis(1);

/// What the main loop answers.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// In this order on the wire. Content-Length and Connection are the gate's and ignored here.
    pub headers: Vec<(&'static str, String)>,
    /// Left out for a HEAD.
    pub body: Body,
}

/// A body as pieces of shared bytes: handing it to a hundred readers copies nothing.
#[derive(Clone, Debug, Default)]
pub struct Body {
    segments: Vec<Arc<[u8]>>,
}

/// The door through which requests come. Stays open until the process ends.
pub struct Door {
    server: &'static tiny_http::Server,
    stopped: Arc<OnceLock<Instant>>,
    handover: Arc<Handover>,
    counters: Arc<Counters>,
}

/// What [`Door::next`] has.
pub enum Next {
    /// A request to answer.
    Request(Request),
    /// None came in time.
    Nothing,
    /// The door was stopped, and nobody waits for an answer, or for too long.
    Stopped,
}

/// Closes the door, from any thread: nobody comes in any more, and [`Door::next`] returns [`Next::Stopped`] as soon as
/// everybody who has asked is answered, at once if nobody has.
#[derive(Clone)]
pub struct Stopper {
    server: &'static tiny_http::Server,
    stopped: Arc<OnceLock<Instant>>,
    handover: Arc<Handover>,
}

/// A request that passed the gate. Dropped without an answer, it is answered with 500.
pub struct Request {
    inner: Option<tiny_http::Request>,
    method: Method,
    serial: u64,
    handover: Arc<Handover>,
}

/// A request whose answer comes later, from any thread; requests behind it are answered meanwhile. The client gets 504
/// when `hold_time` is over. Dropped without an answer, it is answered with 500.
pub struct Held {
    serial: u64,
    handover: Arc<Handover>,
    is_answered: bool,
}

/// What comes from the main loop to the keeper, each with the serial of its request.
pub(super) struct Handover {
    /// Guards the bodies, none for an answer that comes later; oldest first. Bounded by the requests in flight.
    bodies: Mutex<VecDeque<(u64, Option<Body>)>>,
    /// Guards the answers to requests that were held. Bounded by the connections.
    late: Mutex<Vec<LateAnswer>>,
    /// Wakes the keeper for one of these, and when the door closes.
    bell: OwnedFd,
    /// Nobody is to be let in any more.
    is_closing: AtomicBool,
    /// Since then nobody waits for an answer.
    is_quiet: AtomicBool,
}

/// The serial of the request, the status and the text.
pub(super) type LateAnswer = (u64, u16, String);

impl Door {
    /// Opens the gate on these listeners, which are bound, and starts its thread.
    ///
    /// `on_failure` is called once, from the gate's thread, if nothing can be served any more: the main loop owes an
    /// answer for longer than `stall_time`, or tiny_http broke off. The process should then end with code 1.
    ///
    /// # Errors
    ///
    /// A socket or the thread cannot be made; the process should not start.
    pub fn open(
        listeners: Vec<TcpListener>,
        policy: Policy,
        limits: Limits,
        on_failure: impl FnOnce() + Send + 'static,
    ) -> io::Result<Self> {
        let (line, private_listener) = Line::establish(Instant::now())?;
        let server =
            tiny_http::Server::from_listener(private_listener, None).map_err(io::Error::other)?;
        // Leaked because dropping a server whose socket has no path panics (tiny_http 0.12, `Server::drop`).
        let server: &'static tiny_http::Server = Box::leak(Box::new(server));
        let handover = Arc::new(Handover::new()?);
        let counters = Arc::new(Counters::default());
        let rules = Rules { limits, policy };
        let keeper = Keeper::new(
            listeners,
            line,
            rules,
            Arc::clone(&handover),
            Arc::clone(&counters),
        )?;
        thread::Builder::new()
            .name("gate".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || {
                keeper.keep();
                on_failure();
            })?;
        Ok(Self {
            server,
            stopped: Arc::default(),
            handover,
            counters,
        })
    }

    /// Waits for the next request, at most `patience`.
    ///
    /// Answer requests in the order they come: a later answer waits for the earlier ones.
    pub fn next(&self, patience: Duration) -> Next {
        loop {
            let patience = match self.stopped.get() {
                None => patience,
                Some(at) if self.handover.is_quiet() || at.elapsed() >= PARTING => {
                    return Next::Stopped;
                }
                Some(_) => LOOK,
            };
            // An error is either the stopper's wake-up or, once, the end of tiny_http's accepting thread.
            let inner = match self.server.recv_timeout(patience) {
                Ok(Some(inner)) => inner,
                Ok(None) if self.stopped.get().is_none() => return Next::Nothing,
                Ok(None) | Err(_) => continue,
            };
            if let Some(request) = Request::recognise(inner, &self.handover) {
                return Next::Request(request);
            }
        }
    }

    /// The same as [`Request::answer`].
    pub fn answer(&self, request: Request, answer: Answer) {
        request.answer(answer);
    }

    /// A handle that ends [`Door::next`] from another thread.
    pub fn stopper(&self) -> Stopper {
        Stopper {
            server: self.server,
            stopped: Arc::clone(&self.stopped),
            handover: Arc::clone(&self.handover),
        }
    }

    /// What has happened at the gate, for metrics.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.counters)
    }
}

impl Stopper {
    /// Ends it; a second call does nothing.
    pub fn stop(&self) {
        let _ = self.stopped.set(Instant::now());
        self.handover.begin_closing();
        self.server.unblock();
    }
}

impl Request {
    /// `None` for a request that the keeper did not send; dropping it answers it.
    fn recognise(inner: tiny_http::Request, handover: &Arc<Handover>) -> Option<Self> {
        let serial = header_of(&inner, SERIAL)?.parse().ok()?;
        let method = Method::parse(inner.method().as_str())?;
        Some(Self {
            inner: Some(inner),
            method,
            serial,
            handover: Arc::clone(handover),
        })
    }

    /// GET, HEAD, or what the policy allows beside them.
    pub fn method(&self) -> Method {
        self.method
    }

    /// Path and query, printable ASCII, beginning with a slash.
    pub fn target(&self) -> &str {
        self.inner.as_ref().map_or("/", tiny_http::Request::url)
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// What stands behind the first question mark.
    pub fn query(&self) -> Option<&str> {
        Some(self.target().split_once('?')?.1)
    }

    /// `Accept` or `Accept-Encoding`, several lines joined by commas; the gate lets no other header through.
    pub fn header(&self, name: &'static str) -> Option<&str> {
        header_of(self.inner.as_ref()?, name)
    }

    /// Hands the answer over; never waits for the client.
    pub fn answer(mut self, answer: Answer) {
        self.send(answer.status, answer.headers, Some(answer.body));
    }

    /// Lets the answer come later.
    pub fn hold(mut self) -> Held {
        // The keeper never shows this one.
        self.send(200, Vec::new(), None);
        Held {
            serial: self.serial,
            handover: Arc::clone(&self.handover),
            is_answered: false,
        }
    }

    fn send(&mut self, status: u16, headers: Vec<(&'static str, String)>, body: Option<Body>) {
        let Some(inner) = self.inner.take() else {
            return;
        };
        // The body first: the keeper looks for it as soon as it sees the head.
        self.handover.put(self.serial, body);
        if let Err(error) = inner.respond(head_only(status, headers)) {
            log::error!(
                "cannot answer error={error}; tiny_http has lost its connection to the gate"
            );
        }
    }
}

impl Drop for Request {
    fn drop(&mut self) {
        self.send(500, Vec::new(), Some(Body::default()));
    }
}

impl Held {
    /// Answers with a text.
    pub fn answer(mut self, status: u16, text: String) {
        self.send(status, text);
    }

    fn send(&mut self, status: u16, text: String) {
        if !std::mem::replace(&mut self.is_answered, true) {
            self.handover.put_late((self.serial, status, text));
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.send(500, "It broke off; the log says why.\n".to_owned());
    }
}

/// An answer of tiny_http without a body: the gate writes the real length.
fn head_only(status: u16, headers: Vec<(&'static str, String)>) -> tiny_http::Response<Empty> {
    let headers = headers
        .into_iter()
        .filter_map(|(name, value)| wire_header(name, &value))
        .collect();
    tiny_http::Response::new(status.into(), headers, io::empty(), Some(0), None)
        .with_chunked_threshold(usize::MAX)
}

/// `None`, and a line in the log, for what would break the head; tiny_http itself lets line breaks through.
fn wire_header(name: &'static str, value: &str) -> Option<tiny_http::Header> {
    if name.eq_ignore_ascii_case("Content-Length") {
        return None; // tiny_http would take it for the length of a body that it will never see.
    }
    let is_printable = value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let header = is_printable
        .then(|| tiny_http::Header::from_bytes(name, value).ok())
        .flatten();
    if header.is_none() {
        log::error!(
            "header left out name={name} value={value:?}; only printable ASCII can be sent"
        );
    }
    header
}

fn header_of<'a>(request: &'a tiny_http::Request, name: &'static str) -> Option<&'a str> {
    request
        .headers()
        .iter()
        .find(|header| header.field.equiv(name))
        .map(|header| header.value.as_str())
}

impl Handover {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            bodies: Mutex::default(),
            late: Mutex::default(),
            bell: eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?,
            is_closing: AtomicBool::default(),
            is_quiet: AtomicBool::default(),
        })
    }

    fn put(&self, serial: u64, body: Option<Body>) {
        self.bodies().push_back((serial, body));
    }

    fn put_late(&self, answer: LateAnswer) {
        self.late().push(answer);
        self.ring();
    }

    fn begin_closing(&self) {
        self.is_closing.store(true, Ordering::Release);
        self.ring();
    }

    pub(super) fn is_closing(&self) -> bool {
        self.is_closing.load(Ordering::Acquire)
    }

    /// Nobody waits for an answer, and the door is closed.
    pub(super) fn set_quiet(&self) {
        self.is_quiet.store(true, Ordering::Release);
    }

    fn is_quiet(&self) -> bool {
        self.is_quiet.load(Ordering::Acquire)
    }

    fn ring(&self) {
        // It fails only when it has rung very often and was not heard yet.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Every late answer; the bell is quiet again.
    pub(super) fn take_late(&self) -> Vec<LateAnswer> {
        // Nothing to read is what is wanted.
        let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        std::mem::take(&mut *self.late())
    }

    /// Keeps one whose request the keeper does not know to be held yet: that comes by the line.
    pub(super) fn put_back(&self, answer: LateAnswer) {
        self.late().push(answer);
    }

    pub(super) fn bell(&self) -> BorrowedFd<'_> {
        self.bell.as_fd()
    }

    fn late(&self) -> MutexGuard<'_, Vec<LateAnswer>> {
        self.late.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The body for this request, empty if tiny_http answered by itself; none if the answer comes later.
    pub(super) fn take(&self, serial: u64) -> Option<Vec<Arc<[u8]>>> {
        let mut bodies = self.bodies();
        while bodies.front().is_some_and(|(other, _)| *other < serial) {
            bodies.pop_front();
        }
        let is_there = bodies.front().is_some_and(|(other, _)| *other == serial);
        if is_there {
            let body = bodies.pop_front().and_then(|(_, body)| body)?;
            Some(body.segments)
        } else {
            Some(Vec::new())
        }
    }

    /// A panic while the lock is held leaves the queue as it was before or after one push or pop: both are good.
    fn bodies(&self) -> MutexGuard<'_, VecDeque<(u64, Option<Body>)>> {
        self.bodies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Body {
    /// Length in bytes.
    pub fn len(&self) -> usize {
        self.segments.iter().map(|segment| segment.len()).sum()
    }

    /// Whether there are no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl From<Vec<Arc<[u8]>>> for Body {
    fn from(segments: Vec<Arc<[u8]>>) -> Self {
        Self { segments }
    }
}

impl From<Arc<[u8]>> for Body {
    fn from(segment: Arc<[u8]>) -> Self {
        Self {
            segments: vec![segment],
        }
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::from(Arc::<[u8]>::from(text.into_bytes()))
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::from(Arc::<[u8]>::from(text.as_bytes()))
    }
}

#[cfg(test)]
#[path = "door_tests.rs"]
mod tests;
