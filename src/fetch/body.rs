//! The body of an answer: its beginning as it is, the rest compressed, all of it bounded.
//!
//! Most answers are whole in the beginning and are parsed there. The rest of a larger one is packed while it arrives,
//! so that an answer that turns out to be too large, or a bomb, has taken little memory by then; only one that is legal
//! is unpacked, to be parsed.

use std::io::{self, Read, Write};
use std::time::Instant;

use flate2::Compression;
use flate2::read::DeflateDecoder;
use flate2::write::DeflateEncoder;

use super::Failure;
use crate::lenient::{self, Fill};

/// Largest body after decompression (contract of status pages, section 2). The largest real summary has 0.3 MB.
pub const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// The part that is kept as it is; nearly every real answer is smaller.
const HEAD_BYTES: u64 = 256 * 1024;

/// The body of an answer.
#[derive(Debug)]
pub struct Body {
    /// All of it, or its first [`HEAD_BYTES`].
    head: Vec<u8>,
    /// What follows, deflated; empty if there is nothing.
    packed_rest: Vec<u8>,
    /// The size of the whole.
    pub(super) bytes: usize,
    /// When the last byte was read.
    pub(super) ended: Instant,
}

/// Why a body could not be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// More than [`BODY_LIMIT_BYTES`].
    TooLarge,
    /// What the connection or the decoder said.
    Broken(io::Error),
}

impl Body {
    /// Reads a body to its end.
    pub(super) fn read(mut reader: impl Read) -> Result<Body, Unread> {
        let mut head = Vec::new();
        reader
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(Unread::Broken)?;
        let is_whole = (head.len() as u64) < HEAD_BYTES;
        let (packed_rest, rest_bytes) = if is_whole {
            (Vec::new(), 0)
        } else {
            pack(reader, BODY_LIMIT_BYTES - head.len())?
        };
        Ok(Body {
            bytes: head.len() + rest_bytes,
            head,
            packed_rest,
            ended: Instant::now(),
        })
    }

    /// The beginning of the body; all of it if it is smaller than 256 KiB.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// The body as JSON; a byte order mark before it is passed over.
    ///
    /// # Errors
    /// `Json` for what is none.
    pub fn json<T: Fill + Default>(&self) -> Result<T, Failure> {
        let mut value = T::default();
        self.read_json(&mut value)?;
        Ok(value)
    }

    fn read_json(&self, place: &mut dyn Fill) -> Result<(), Failure> {
        let head = self
            .head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.head);
        let parsed = if self.packed_rest.is_empty() {
            lenient::read(head, place)
        } else {
            let mut whole = head.to_vec();
            // Our own bytes, packed above: they unpack.
            let _ = DeflateDecoder::new(self.packed_rest.as_slice()).read_to_end(&mut whole);
            lenient::read(&whole, place)
        };
        parsed.map_err(|cause| Failure::Json(cause.to_string()))
    }
}

/// A whole body in memory.
impl From<&[u8]> for Body {
    fn from(bytes: &[u8]) -> Self {
        Body {
            head: bytes.to_vec(),
            packed_rest: Vec::new(),
            bytes: bytes.len(),
            ended: Instant::now(),
        }
    }
}

/// Reads up to `limit` bytes and gives them deflated, and how many they are.
fn pack(reader: impl Read, limit: usize) -> Result<(Vec<u8>, usize), Unread> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::fast());
    let mut limited = reader.take(limit as u64 + 1);
    let count = io::copy(&mut limited, &mut encoder).map_err(Unread::Broken)?;
    if count > limit as u64 {
        return Err(Unread::TooLarge);
    }
    encoder.flush().map_err(Unread::Broken)?;
    let packed = encoder.finish().map_err(Unread::Broken)?;
    Ok((packed, count as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text, if the value is one, or what went wrong in one word.
    fn json(reader: impl Read) -> Result<Option<String>, &'static str> {
        match Body::read(reader) {
            Ok(body) => body.json().map_err(|failure| failure.kind()),
            Err(Unread::TooLarge) => Err("too_large"),
            Err(Unread::Broken(_)) => Err("broken"),
        }
    }

    fn text_of_bytes(count: usize) -> impl Read {
        b"\""
            .chain(io::repeat(b'x').take(count as u64 - 2))
            .chain(&b"\""[..])
    }

    #[test]
    fn a_body_of_any_size_up_to_the_limit_is_parsed() {
        assert_eq!(json(&b"\xef\xbb\xbf{}"[..]), Ok(None));
        let head = HEAD_BYTES as usize;
        for bytes in [10, head - 1, head, head + 1, BODY_LIMIT_BYTES] {
            let length = json(text_of_bytes(bytes)).map(|text| text.map(|text| text.len()));
            assert_eq!(length, Ok(Some(bytes - 2)));
        }
    }

    #[test]
    fn one_byte_more_than_the_limit_is_too_large_whatever_it_is() {
        assert_eq!(json(text_of_bytes(BODY_LIMIT_BYTES + 1)), Err("too_large"));
        assert_eq!(json(io::repeat(0)), Err("too_large"));
    }

    #[test]
    fn a_body_that_breaks_off_is_no_json_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        assert_eq!(json(b"\"".chain(Broken)), Err("broken"));
        let long = io::repeat(b'x').take(HEAD_BYTES * 2);
        assert_eq!(json(b"\"".chain(long).chain(Broken)), Err("broken"));
        assert_eq!(json(&b"[1,"[..]), Err("json"));
    }
}
