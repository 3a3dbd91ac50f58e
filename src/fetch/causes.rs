//! What ureq says went wrong, as a [`Failure`].

use std::io;
use std::time::Duration;

use super::body::{BODY_LIMIT_BYTES, Unread};
use super::failure::Failure;

/// Why no answer came.
pub(super) fn of_call(cause: &ureq::Error, timeout: Duration) -> Failure {
    use io::ErrorKind;
    match cause {
        ureq::Error::HostNotFound => Failure::Dns("no address".to_owned()),
        ureq::Error::Timeout(phase) => Failure::Timeout {
            phase: phase_words(*phase),
            limit: timeout,
        },
        ureq::Error::Io(cause) if is_name_lookup(cause) => Failure::Dns(last_words(cause)),
        ureq::Error::Io(cause) if cause.kind() == ErrorKind::InvalidData => {
            Failure::Tls(cause.to_string())
        }
        ureq::Error::Tls(_) | ureq::Error::Rustls(_) | ureq::Error::Pem(_) => {
            Failure::Tls(cause.to_string())
        }
        ureq::Error::Protocol(cause) => Failure::BodyUnreadable(format!("not HTTP: {cause}")),
        ureq::Error::LargeResponseHeader(_, limit) => Failure::TooLarge {
            limit_bytes: *limit,
        },
        // Of the rest only the kind is shown where the text could hold the address.
        ureq::Error::BadUri(_) | ureq::Error::RequireHttpsOnly(_) => {
            Failure::Connect("unusable address".to_owned())
        }
        other => Failure::Connect(other.to_string()),
    }
}

/// Why a body could not be read.
pub(super) fn of_body(unread: Unread, timeout: Duration) -> Failure {
    let Unread::Broken(cause) = unread else {
        return Failure::TooLarge {
            limit_bytes: BODY_LIMIT_BYTES,
        };
    };
    match ureq::Error::from(cause) {
        ureq::Error::Timeout(_) => Failure::Timeout {
            phase: "the body",
            limit: timeout,
        },
        ureq::Error::Decompress(coding, cause) => {
            Failure::BodyUnreadable(format!("{coding}: {cause}"))
        }
        other => Failure::BodyCut(other.to_string()),
    }
}

/// std gives look-up failures no kind of their own, but a fixed beginning of their text.
fn is_name_lookup(cause: &io::Error) -> bool {
    cause
        .to_string()
        .starts_with("failed to lookup address information")
}

fn last_words(cause: &io::Error) -> String {
    let text = cause.to_string();
    text.rsplit_once(": ")
        .map_or(text.clone(), |(_, last)| last.to_owned())
}

fn phase_words(phase: ureq::Timeout) -> &'static str {
    match phase {
        ureq::Timeout::Resolve => "the name server",
        ureq::Timeout::Connect => "the connection",
        ureq::Timeout::SendRequest | ureq::Timeout::SendBody => "the upstream to take the request",
        ureq::Timeout::RecvBody => "the body",
        _ => "the answer",
    }
}
