//! One answer on its way to a client.
//!
//! What it does: remembers which bytes are still to be sent and sends as many as the socket takes. What it leaves to
//! others: deadlines, and what happens to the connection afterwards (`connection`). Who calls it: `connection`.

use std::io::{self, IoSlice, Write};
use std::net::TcpStream;
use std::sync::Arc;

/// Pieces given to one `writev`. The kernel takes 1,024; a page has about a dozen.
const PIECES: usize = 32;

/// Bytes given to one `writev`, so that a fast reader of a huge page does not keep the others waiting. Copying this
/// much into a socket takes about 0.05 ms (from the throughput of 5 MB pages), more when the kernel lacks warm memory.
const TURN_BYTES: usize = 256 * 1024;

/// An answer: our head, then shared bytes.
pub(super) struct Outgoing {
    head: Vec<u8>,
    segments: Vec<Arc<[u8]>>,
    sent_bytes: usize,
    total_bytes: usize,
}

/// How far one attempt got.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Complete,
    /// More may go: the socket is full if no byte went, or this turn is over.
    Partial {
        bytes: usize,
    },
}

impl Outgoing {
    pub(super) fn new(head: Vec<u8>, segments: Vec<Arc<[u8]>>) -> Self {
        let total_bytes = head.len() + segments.iter().map(|segment| segment.len()).sum::<usize>();
        Self {
            head,
            segments,
            sent_bytes: 0,
            total_bytes,
        }
    }

    pub(super) fn segments(&self) -> &[Arc<[u8]>] {
        &self.segments
    }

    /// Bytes that stay in memory for the sake of this answer.
    pub(super) fn held_bytes(&self) -> usize {
        self.segments.iter().map(|segment| segment.len()).sum()
    }

    /// Sends what the socket takes, at most one turn.
    ///
    /// # Errors
    ///
    /// Whatever the socket says except "would block": the client is gone.
    pub(super) fn send(&mut self, mut socket: &TcpStream) -> io::Result<Progress> {
        let mut slices = [IoSlice::new(&[]); PIECES];
        let used = self.fill(&mut slices);
        let bytes = match socket.write_vectored(slices.get(..used).unwrap_or_default()) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(bytes) => bytes,
            Err(error) if is_transient(&error) => 0,
            Err(error) => return Err(error),
        };
        self.sent_bytes += bytes;
        Ok(if self.sent_bytes < self.total_bytes {
            Progress::Partial { bytes }
        } else {
            Progress::Complete
        })
    }

    /// Fills `slices` with the bytes of the next turn; returns how many slices are used.
    fn fill<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> usize {
        let pieces =
            std::iter::once(&self.head[..]).chain(self.segments.iter().map(|segment| &segment[..]));
        let (mut skip, mut room, mut used) = (self.sent_bytes, TURN_BYTES, 0);
        for piece in pieces {
            let Some(rest) = piece.get(skip..).filter(|rest| !rest.is_empty()) else {
                skip -= piece.len(); // Holds: `get` gives something non-empty whenever skip < len.
                continue;
            };
            skip = 0;
            let Some(slice) = slices.get_mut(used).filter(|_| room > 0) else {
                break;
            };
            let part = rest.get(..room).unwrap_or(rest);
            *slice = IoSlice::new(part);
            room -= part.len();
            used += 1;
        }
        used
    }
}

/// "Not now" and "ask again" are no failures.
pub(super) fn is_transient(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    /// What is left to send after `sent_bytes`, put together again.
    fn rest(sent_bytes: usize) -> Vec<u8> {
        let segments = [&b"abc"[..], b"", b"defg"].map(Arc::from);
        let outgoing = Outgoing {
            sent_bytes,
            ..Outgoing::new(b"12".to_vec(), segments.to_vec())
        };
        let mut slices = [IoSlice::new(&[]); PIECES];
        let used = outgoing.fill(&mut slices);
        slices[..used]
            .iter()
            .flat_map(|slice| slice.to_vec())
            .collect()
    }

    #[test]
    fn an_answer_resumes_at_every_byte() {
        for sent_bytes in 0..9 {
            assert_eq!(rest(sent_bytes), b"12abcdefg"[sent_bytes..], "{sent_bytes}");
        }
    }

    #[test]
    fn a_page_of_many_pieces_arrives_whole() {
        // Given: more pieces than one writev takes, more bytes than one turn and one socket buffer.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (server, _) = listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        let segments: Vec<Arc<[u8]>> = (0..100u8).map(|n| Arc::from(vec![n; 100_000])).collect();
        let expected: Vec<u8> = [b"head".to_vec(), segments.concat()].concat();

        // When
        let reader = std::thread::spawn(move || {
            let mut received = Vec::new();
            client.read_to_end(&mut received).unwrap();
            received
        });
        let mut outgoing = Outgoing::new(b"head".to_vec(), segments);
        while outgoing.send(&server).unwrap() != Progress::Complete {
            std::thread::yield_now();
        }
        drop(server);

        // Then
        assert!(reader.join().unwrap() == expected);
    }
}
