//! The answers that the gate gives by itself.
//!
//! What it does: turns a reason not to let a request through into a complete HTTP answer. What it leaves to others:
//! seeing that the client really receives it (`connection` lingers). Who calls it: `head`, `connection`, `keeper`.

use std::time::SystemTime;

use super::policy::Method;

/// Why a request does not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Not HTTP, or a shape that two readers could understand differently. The sentence says what is wrong.
    Malformed(&'static str),
    /// The methods that this path allows.
    Method(&'static [Method]),
    /// The head was begun and not completed in time.
    Timeout,
    /// The request announces a body.
    Body,
    HeadTooLarge,
    Version,
    /// No room for one more connection.
    Full,
    /// Its answer is held for too long.
    Late,
}

impl Refusal {
    pub(super) fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::Method(_) => 405,
            Self::Timeout => 408,
            Self::Body => 413,
            Self::HeadTooLarge => 431,
            Self::Full => 503,
            Self::Late => 504,
            Self::Version => 505,
        }
    }

    fn phrase(self) -> &'static str {
        match self {
            Self::Malformed(_) => "Bad Request",
            Self::Method(_) => "Method Not Allowed",
            Self::Timeout => "Request Timeout",
            Self::Body => "Content Too Large",
            Self::HeadTooLarge => "Request Header Fields Too Large",
            Self::Full => "Service Unavailable",
            Self::Late => "Gateway Timeout",
            Self::Version => "HTTP Version Not Supported",
        }
    }

    fn sentence(self) -> &'static str {
        match self {
            Self::Malformed(sentence) => sentence,
            Self::Method(_) => "This method is not allowed here; see the Allow header.",
            Self::Timeout => "The request was not complete in time.",
            Self::Body => "Requests must not have a body.",
            Self::HeadTooLarge => "The request line and headers are too long.",
            Self::Full => "Too many connections; try again in a moment.",
            Self::Late => "It is still running, and goes on.",
            Self::Version => "Only HTTP/1.0 and HTTP/1.1 are spoken here.",
        }
    }

    /// The whole answer; a HEAD request gets the same without the text.
    pub(super) fn answer(self, is_head: bool) -> Vec<u8> {
        let text = format!("{} {}: {}\n", self.status(), self.phrase(), self.sentence());
        let mut answer = format!(
            "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: {}\r\n\
             Connection: close\r\n",
            self.status(),
            self.phrase(),
            httpdate::fmt_http_date(SystemTime::now()),
            text.len(),
        );
        match self {
            Self::Method(methods) => {
                let allowed: Vec<_> = methods.iter().map(|method| method.as_str()).collect();
                answer.push_str(&format!("Allow: {}\r\n", allowed.join(", ")));
            }
            Self::Full => answer.push_str("Retry-After: 1\r\n"),
            _ => {}
        }
        answer.push_str("\r\n");
        if !is_head {
            answer.push_str(&text);
        }
        answer.into_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(refusal: Refusal, is_head: bool) -> String {
        String::from_utf8(refusal.answer(is_head)).unwrap()
    }

    #[test]
    fn a_refusal_is_a_complete_answer_that_closes() {
        let answer = text_of(Refusal::HeadTooLarge, false);
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();

        assert!(head.starts_with("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
        assert!(head.contains("Connection: close"));
        assert!(head.contains(&format!("Content-Length: {}\r\n", body.len())));
        assert!(!body.is_empty());
    }

    #[test]
    fn a_wrong_method_learns_the_right_ones() {
        let answer = text_of(Refusal::Method(&[Method::Get, Method::Head]), false);
        assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"));
    }

    #[test]
    fn a_refused_head_request_gets_no_text() {
        assert!(text_of(Refusal::Body, true).ends_with("\r\n\r\n"));
    }
}
