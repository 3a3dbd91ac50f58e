//! The private connection to tiny_http.
//!
//! What it does: makes tiny_http accept one connection and never another, sends it heads, and assigns the answers,
//! which come in the same order, to who asked. What it leaves to others: bodies (`door` hands them over), what to do
//! when tiny_http goes silent (`keeper`). Who calls it: `door` makes it, `keeper` uses it.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Instant, SystemTime};

use rustix::event::PollFlags;

use super::head::SERIAL;
use super::outgoing::is_transient;

/// Bytes of one answer head. Ours are about 200; more means that we no longer understand what we read.
const ANSWER_HEAD_BYTES: usize = 64 * 1024;

/// Whose request it is: the slot may have a new owner by the time the answer comes, the serial never comes twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket {
    pub slot: usize,
    pub serial: u64,
}

/// An answer head of tiny_http without the lines that the gate writes itself and without its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AnswerHead {
    lines: Vec<u8>,
    pub may_have_body: bool,
}

pub(super) struct Line {
    stream: UnixStream,
    outbox: Vec<u8>,
    inbox: Vec<u8>,
    in_flight: VecDeque<Ticket>,
    /// When the oldest request in flight became the oldest: what the main loop works on since then.
    since: Instant,
}

impl Line {
    /// The line, and the listener for tiny_http on which nothing but this line can be accepted.
    ///
    /// The connection is made before tiny_http exists and waits in the listener's queue; the listener is then shut
    /// down, so that `accept` gives the queued connection, and after it an error that ends tiny_http's accepting
    /// thread. Nobody else can come in between, except through a name that is random and lives for microseconds.
    pub(super) fn establish(now: Instant) -> io::Result<(Self, UnixListener)> {
        let random = RandomState::new().hash_one(std::process::id());
        let address =
            SocketAddr::from_abstract_name(format!("gate-{}-{random:016x}", std::process::id()))?;
        let listener = UnixListener::bind_addr(&address)?;
        let stream = UnixStream::connect_addr(&address)?;
        UnixStream::from(OwnedFd::from(listener.try_clone()?)).shutdown(Shutdown::Both)?;
        stream.set_nonblocking(true)?;
        let line = Self {
            stream,
            outbox: Vec::new(),
            inbox: Vec::new(),
            in_flight: VecDeque::new(),
            since: now,
        };
        Ok((line, listener))
    }

    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.len()
    }

    /// Since when the main loop owes an answer; `None` if it owes none.
    pub(super) fn waiting_since(&self) -> Option<Instant> {
        (!self.in_flight.is_empty()).then_some(self.since)
    }

    pub(super) fn interest(&self) -> PollFlags {
        if self.outbox.is_empty() {
            PollFlags::IN
        } else {
            PollFlags::IN | PollFlags::OUT
        }
    }

    /// Puts a canonical head on the way; `flush` sends it.
    pub(super) fn push(&mut self, ticket: Ticket, canonical: &[u8], now: Instant) {
        if self.in_flight.is_empty() {
            self.since = now;
        }
        self.in_flight.push_back(ticket);
        self.outbox.extend_from_slice(canonical);
        self.outbox
            .extend_from_slice(format!("{SERIAL}: {}\r\n\r\n", ticket.serial).as_bytes());
    }

    /// # Errors
    ///
    /// tiny_http has closed the connection: nothing can be served any more.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        while !self.outbox.is_empty() {
            match self.stream.write(&self.outbox) {
                Ok(bytes) => drop(self.outbox.drain(..bytes)),
                Err(error) if is_transient(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reads what tiny_http has written.
    ///
    /// # Errors
    ///
    /// tiny_http has closed the connection, or writes what nobody asked for.
    pub(super) fn receive(&mut self, scratch: &mut [u8]) -> io::Result<()> {
        match self.stream.read(scratch) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(bytes) => {
                self.inbox
                    .extend_from_slice(scratch.get(..bytes).unwrap_or_default());
                if self.inbox.len() <= ANSWER_HEAD_BYTES {
                    Ok(())
                } else {
                    Err(io::ErrorKind::InvalidData.into())
                }
            }
            Err(error) if is_transient(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// The next complete answer and whose it is.
    ///
    /// # Errors
    ///
    /// An answer to no question, or with a body: the two sides have lost count of each other.
    pub(super) fn next_answer(&mut self, now: Instant) -> io::Result<Option<(Ticket, AnswerHead)>> {
        let Some(end) = self
            .inbox
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
        else {
            return Ok(None);
        };
        let answer = AnswerHead::read(self.inbox.get(..end).unwrap_or_default());
        self.inbox.drain(..end + 4);
        self.since = now;
        match (self.in_flight.pop_front(), answer) {
            (Some(ticket), Some(answer)) => Ok(Some((ticket, answer))),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}

impl AnswerHead {
    /// `None` if a body follows: bodies never come this way.
    pub(super) fn read(head: &[u8]) -> Option<Self> {
        let mut lines = Vec::with_capacity(head.len() + 64);
        let mut has_body = false;
        for line in head
            .split(|&byte| byte == b'\n')
            .map(<[u8]>::trim_ascii_end)
        {
            match line.split(|&byte| byte == b':').next().unwrap_or_default() {
                name if name.eq_ignore_ascii_case(b"Content-Length") => {
                    has_body |= !line.ends_with(b": 0")
                }
                name if name.eq_ignore_ascii_case(b"Transfer-Encoding") => has_body = true,
                name if name.eq_ignore_ascii_case(b"Connection") => {}
                _ => {
                    lines.extend_from_slice(line);
                    lines.extend_from_slice(b"\r\n");
                }
            }
        }
        // "HTTP/1.1 200 OK": a body is forbidden with 1xx, 204 and 304 (RFC 9110, 6.4.1).
        let status = head.get(9..12).unwrap_or_default();
        let may_have_body = !status.starts_with(b"1") && status != b"204" && status != b"304";
        (!has_body).then_some(Self {
            lines,
            may_have_body,
        })
    }

    /// That of a text which tiny_http has not seen.
    pub(super) fn of_text(status: u16) -> Self {
        let phrase = tiny_http::StatusCode(status).default_reason_phrase();
        let date = httpdate::fmt_http_date(SystemTime::now());
        let lines = format!(
            "HTTP/1.1 {status} {phrase}\r\nDate: {date}\r\nContent-Type: text/plain; charset=utf-8\r\n"
        );
        Self {
            lines: lines.into_bytes(),
            may_have_body: true,
        }
    }

    /// The head for the client. `length`: of the body, `None` if there is none.
    pub(super) fn complete(
        self,
        length: Option<usize>,
        keep_alive: bool,
        is_http_1_0: bool,
    ) -> Vec<u8> {
        let mut head = self.lines;
        if let Some(length) = length {
            head.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        match (keep_alive, is_http_1_0) {
            (false, _) => head.extend_from_slice(b"Connection: close\r\n"),
            (true, true) => head.extend_from_slice(b"Connection: keep-alive\r\n"),
            (true, false) => {} // HTTP/1.1 keeps the connection unless told otherwise.
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(answer: &str, length: usize, keep_alive: bool, is_http_1_0: bool) -> String {
        let head = AnswerHead::read(answer.as_bytes()).expect("no body");
        let length = head.may_have_body.then_some(length);
        String::from_utf8(head.complete(length, keep_alive, is_http_1_0)).unwrap()
    }

    #[test]
    fn the_length_is_that_of_the_handed_over_body() {
        let answer = "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 0";
        assert_eq!(
            complete(answer, 7, true, false),
            "HTTP/1.1 200 OK\r\nDate: now\r\nContent-Length: 7\r\n\r\n"
        );
    }

    #[test]
    fn the_connection_line_is_ours() {
        let answer = "HTTP/1.1 200 OK\r\nConnection: upgrade";
        assert!(complete(answer, 0, false, false).contains("\r\nConnection: close\r\n"));
        assert!(complete(answer, 0, true, true).contains("\r\nConnection: keep-alive\r\n"));
        assert!(!complete(answer, 0, true, false).contains("Connection"));
    }

    #[test]
    fn not_modified_has_no_length() {
        let answer = "HTTP/1.1 304 Not Modified\r\nETag: \"a\"";
        assert_eq!(
            complete(answer, 9, true, false),
            "HTTP/1.1 304 Not Modified\r\nETag: \"a\"\r\n\r\n"
        );
    }

    #[test]
    fn an_answer_with_a_body_is_not_understood() {
        assert_eq!(
            AnswerHead::read(b"HTTP/1.1 200 OK\r\nContent-Length: 10"),
            None
        );
        assert_eq!(
            AnswerHead::read(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"),
            None
        );
    }

    #[test]
    fn the_line_is_the_only_connection_that_can_be_accepted() {
        // Given
        let (line, listener) = Line::establish(Instant::now()).unwrap();
        let address = listener.local_addr().unwrap();

        // When
        let stranger = UnixStream::connect_addr(&address);

        // Then
        assert!(stranger.is_err());
        assert!(listener.accept().is_ok(), "the line itself");
        assert!(listener.accept().is_err(), "nobody else");
        drop(line);
    }

    #[test]
    fn answers_go_to_who_asked_in_order() {
        // Given: two requests in flight.
        let now = Instant::now();
        let (mut line, listener) = Line::establish(now).unwrap();
        let (mut tiny_http, _) = listener.accept().unwrap();
        for serial in [1, 2] {
            line.push(Ticket { slot: 0, serial }, b"GET / HTTP/1.1\r\n", now);
        }
        line.flush().unwrap();

        // When: both answers and a third come in one piece.
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
        tiny_http.write_all(&answer.repeat(3)).unwrap();
        line.receive(&mut [0; 1024]).unwrap();

        // Then
        assert_eq!(line.next_answer(now).unwrap().unwrap().0.serial, 1);
        assert_eq!(line.next_answer(now).unwrap().unwrap().0.serial, 2);
        assert!(line.waiting_since().is_none());
        assert!(
            line.next_answer(now).is_err(),
            "an answer that nobody asked for"
        );
    }
}
