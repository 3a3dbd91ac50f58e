//! The body of an answer: a beginning in memory, the rest still on its way, all of it bounded.
//!
//! Most answers are whole in the beginning and are parsed there. A larger one is parsed while it arrives, so that no
//! upstream decides how much memory is taken.

use std::io::{self, BufReader, Read};
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::Failure;

/// Largest body after decompression (contract of status pages, section 2). The largest real summary has 0.3 MB.
pub const BODY_LIMIT_BYTES: usize = 16 * 1024 * 1024;
/// The part that is read before anything is decided; nearly every real answer is smaller.
const HEAD_BYTES: u64 = 256 * 1024;

/// The body of an answer.
pub struct Body<'a> {
    /// All of it, or its first [`HEAD_BYTES`].
    head: Vec<u8>,
    rest: Option<Rest<'a>>,
    ended: Instant,
}

impl<'a> Body<'a> {
    /// Reads the beginning. `explain` says why a read failed.
    pub(super) fn begin(
        mut reader: Box<dyn Read + 'a>,
        explain: impl Fn(io::Error) -> Failure + 'a,
    ) -> Result<Body<'a>, Failure> {
        let mut head = Vec::new();
        reader
            .by_ref()
            .take(HEAD_BYTES)
            .read_to_end(&mut head)
            .map_err(&explain)?;
        let is_whole = (head.len() as u64) < HEAD_BYTES;
        let left = BODY_LIMIT_BYTES - head.len();
        let rest = (!is_whole).then(|| Rest {
            reader,
            left,
            is_too_large: false,
            explain: Box::new(explain),
        });
        Ok(Body {
            head,
            rest,
            ended: Instant::now(),
        })
    }

    /// The beginning of the body; all of it if it is smaller than 256 KiB.
    pub fn head(&self) -> &[u8] {
        &self.head
    }

    /// When the last byte was read.
    pub(super) fn ended(&self) -> Instant {
        self.ended
    }

    /// The body as JSON; a byte order mark before it is passed over.
    ///
    /// # Errors
    /// `Json` for what is none, `TooLarge` past the limit even if the beginning was no JSON already, or why the rest
    /// could not be read.
    pub fn json<T: DeserializeOwned>(&mut self) -> Result<T, Failure> {
        let head = self
            .head
            .strip_prefix(b"\xef\xbb\xbf")
            .unwrap_or(&self.head);
        let not_json = |cause: serde_json::Error| Failure::Json(cause.to_string());
        let Some(rest) = &mut self.rest else {
            return serde_json::from_slice(head).map_err(not_json);
        };
        let parsed = serde_json::from_reader(BufReader::new(head.chain(&mut *rest)));
        // What follows after an error is only counted.
        let drained = io::copy(rest, &mut io::sink());
        self.ended = Instant::now();
        match (parsed, drained) {
            _ if rest.is_too_large => Err(Failure::TooLarge {
                limit_bytes: BODY_LIMIT_BYTES,
            }),
            (Err(cause), _) if cause.is_io() => Err((rest.explain)(cause.into())),
            (Err(cause), _) => Err(not_json(cause)),
            (Ok(_), Err(cause)) => Err((rest.explain)(cause)),
            (Ok(value), Ok(_)) => Ok(value),
        }
    }
}

/// A whole body in memory.
impl From<&[u8]> for Body<'_> {
    fn from(bytes: &[u8]) -> Self {
        Body {
            head: bytes.to_vec(),
            rest: None,
            ended: Instant::now(),
        }
    }
}

/// What has not been read yet, up to the limit.
struct Rest<'a> {
    reader: Box<dyn Read + 'a>,
    left: usize,
    is_too_large: bool,
    explain: Box<dyn Fn(io::Error) -> Failure + 'a>,
}

impl Read for Rest<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_too_large {
            return Err(io::Error::other("too large"));
        }
        let count = self.reader.read(buffer)?;
        match self.left.checked_sub(count) {
            Some(left) => self.left = left,
            None => {
                self.is_too_large = true;
                return Err(io::Error::other("too large"));
            }
        }
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    fn json(reader: impl Read) -> Result<Value, Failure> {
        let explain = |cause: io::Error| Failure::BodyCut(cause.to_string());
        Body::begin(Box::new(reader), explain)?.json()
    }

    fn text_of_bytes(count: usize) -> impl Read {
        b"\""
            .chain(io::repeat(b'x').take(count as u64 - 2))
            .chain(&b"\""[..])
    }

    #[test]
    fn a_body_of_any_size_up_to_the_limit_is_parsed() {
        assert_eq!(json(&b"\xef\xbb\xbf{}"[..]), Ok(serde_json::json!({})));
        for bytes in [
            10,
            HEAD_BYTES as usize - 1,
            HEAD_BYTES as usize,
            HEAD_BYTES as usize + 1,
            BODY_LIMIT_BYTES,
        ] {
            assert_eq!(
                json(text_of_bytes(bytes)).map(|value| value.as_str().map(str::len)),
                Ok(Some(bytes - 2))
            );
        }
    }

    #[test]
    fn one_byte_more_than_the_limit_is_too_large_whatever_it_is() {
        let too_large = Failure::TooLarge {
            limit_bytes: BODY_LIMIT_BYTES,
        };
        assert_eq!(
            json(text_of_bytes(BODY_LIMIT_BYTES + 1)),
            Err(too_large.clone())
        );
        assert_eq!(json(io::repeat(0)), Err(too_large.clone()));
        assert_eq!(json(io::repeat(b' ')), Err(too_large));
    }

    #[test]
    fn a_rest_that_breaks_off_is_no_json_error() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("gone"))
            }
        }
        let cut = Err(Failure::BodyCut("gone".to_owned()));
        assert_eq!(json(b"\"".chain(Broken)), cut);
        assert_eq!(
            json(
                b"\""
                    .chain(io::repeat(b'x').take(HEAD_BYTES * 2))
                    .chain(Broken)
            ),
            cut
        );
        assert_eq!(
            json(&b"[1,"[..]).map_err(|failure| failure.kind()),
            Err("json")
        );
    }
}
