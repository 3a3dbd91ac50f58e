//! Why a poll failed: one word for the label and the log, one sentence, and what a person can do about it.
//!
//! The only error that leaves [`crate::fetch`]; sources add `Json` and `Shape` when they read an answer.

use std::fmt;
use std::time::Duration;

/// Every failure kind, in the order of the documentation; each is a series of
/// `saas_exporter_poll_failures_total` from the start.
pub const KINDS: [&str; 17] = [
    "dns",
    "connect",
    "tls",
    "timeout",
    "http_404",
    "http_auth",
    "http_429",
    "http_4xx",
    "http_5xx",
    "redirect",
    "too_large",
    "body",
    "json",
    "shape",
    "refused",
    "config",
    "internal",
];

/// Why a poll failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The host name has no address.
    Dns(String),
    /// No connection, or one that broke before an answer.
    Connect(String),
    /// No trust: certificate, name or protocol.
    Tls(String),
    /// The limit of the whole call ran out.
    Timeout {
        /// What was being waited for.
        phase: &'static str,
        /// The limit.
        limit: Duration,
    },
    /// An answer whose status is no success.
    Status {
        /// The HTTP status.
        code: u16,
        /// What the upstream asked to be left alone for.
        retry_after: Option<Duration>,
    },
    /// A redirect that cannot or must not be followed.
    Redirect(String),
    /// A body over the limit.
    TooLarge {
        /// The limit, in bytes after decompression.
        limit_bytes: usize,
    },
    /// A body that ended before its announced end.
    BodyCut(String),
    /// A body that cannot be decoded.
    BodyUnreadable(String),
    /// A body that is no JSON.
    Json(String),
    /// JSON of another form than expected.
    Shape(String),
    /// A well-formed answer in which the upstream says, whatever the status, that it did not do what was asked.
    Refused(String),
    /// A secret or header that the configuration names cannot be had.
    Config(String),
    /// A defect or an exhausted resource of ours.
    Internal(String),
}

impl Failure {
    /// A reload has ended the service while it was being polled. Nobody is told of it.
    pub fn gone() -> Failure {
        Failure::Internal("a reload has removed or changed the service".to_owned())
    }

    /// The word of this failure in the log and as a label, one of [`KINDS`].
    pub fn kind(&self) -> &'static str {
        match self {
            Failure::Dns(_) => "dns",
            Failure::Connect(_) => "connect",
            Failure::Tls(_) => "tls",
            Failure::Timeout { .. } => "timeout",
            Failure::Status { code: 404, .. } => "http_404",
            Failure::Status {
                code: 401 | 403, ..
            } => "http_auth",
            Failure::Status { code: 429, .. } => "http_429",
            Failure::Status { code: 500.., .. } => "http_5xx",
            Failure::Status { .. } => "http_4xx",
            Failure::Redirect(_) => "redirect",
            Failure::TooLarge { .. } => "too_large",
            Failure::BodyCut(_) | Failure::BodyUnreadable(_) => "body",
            Failure::Json(_) => "json",
            Failure::Shape(_) => "shape",
            Failure::Refused(_) => "refused",
            Failure::Config(_) => "config",
            Failure::Internal(_) => "internal",
        }
    }

    /// What a person can do about it; for the log and the landing page.
    pub fn remedy(&self) -> &'static str {
        match self.kind() {
            "dns" => "check the host's name, and this machine's name server",
            "connect" => "check that this machine may reach the host (firewall, proxy settings)",
            "tls" => {
                "if the host uses a private certificate authority, give it with \"ca_file\" or SSL_CERT_FILE"
            }
            "timeout" => {
                "the upstream is slow or out of reach; raise \"timeout\" if it is always slow"
            }
            "http_404" => {
                "check the address in services.json: what was there may have moved, or become another product"
            }
            "http_auth" => {
                "the upstream wants another key, or more rights for it; a private page takes one by \"headers\""
            }
            "http_429" => "the upstream limits requests; raise the interval",
            "http_4xx" => "the upstream refuses the request; open the URL in a browser",
            "http_5xx" => "the upstream has a fault; nothing to do here but wait",
            "redirect" => {
                "open the URL in a browser and put the address it ends at into services.json"
            }
            "too_large" => {
                "the answer is not what was asked for; check the address in services.json"
            }
            "body" => {
                "the answer was damaged on its way; if it stays so, look at proxies in between"
            }
            "json" => {
                "the answer is no JSON, often a login or block page; open the URL in a browser"
            }
            "shape" => {
                "the upstream has changed its form or product; check its address, and a page's \"type\", in services.json"
            }
            "refused" => "read what the upstream says; check the key and its rights",
            "config" => "check the file or variable that the configuration names",
            _ => "this is a defect or a lack of resources here; see the log, please report it",
        }
    }

    /// How long the upstream asked to be left alone.
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Failure::Status { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// Whether the same request may well succeed in a moment.
    pub fn is_passing(&self) -> bool {
        match self {
            Failure::Dns(_)
            | Failure::Connect(_)
            | Failure::Timeout { .. }
            | Failure::BodyCut(_) => true,
            Failure::Status { code, .. } => matches!(code, 429 | 500 | 502 | 503 | 504),
            _ => false,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Dns(detail) => write!(f, "the host name could not be resolved: {detail}"),
            Failure::Connect(detail) => write!(f, "no connection: {detail}"),
            Failure::Tls(detail) => write!(f, "no trusted connection: {detail}"),
            Failure::Timeout { phase, limit } => {
                write!(f, "no answer within {limit:?} (while waiting for {phase})")
            }
            Failure::Status {
                code,
                retry_after: None,
            } => write!(f, "the answer is HTTP status {code}"),
            Failure::Status {
                code,
                retry_after: Some(wait),
            } => {
                write!(
                    f,
                    "the answer is HTTP status {code}, with Retry-After of {} s",
                    wait.as_secs()
                )
            }
            Failure::Redirect(detail) => write!(f, "the redirect is not followed: {detail}"),
            Failure::TooLarge { limit_bytes } => {
                write!(f, "the answer is larger than {limit_bytes} bytes")
            }
            Failure::BodyCut(detail) => write!(f, "the answer was cut short: {detail}"),
            Failure::BodyUnreadable(detail) => write!(f, "the answer cannot be decoded: {detail}"),
            Failure::Json(detail) => write!(f, "the answer is no JSON: {detail}"),
            Failure::Shape(detail) => write!(f, "the answer is not of the expected form: {detail}"),
            Failure::Refused(detail) => write!(f, "the upstream refuses: {detail}"),
            Failure::Config(detail) => {
                write!(f, "the configuration cannot be carried out: {detail}")
            }
            Failure::Internal(detail) => write!(f, "internal: {detail}"),
        }
    }
}

impl std::error::Error for Failure {}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(code: u16, kind: &str, passing: bool) {
        let failure = Failure::Status {
            code,
            retry_after: None,
        };
        assert_eq!(
            (failure.kind(), failure.is_passing()),
            (kind, passing),
            "status {code}"
        );
        assert!(KINDS.contains(&failure.kind()));
    }

    #[test]
    fn every_status_has_its_kind_and_only_some_are_asked_again() {
        check(400, "http_4xx", false);
        check(401, "http_auth", false);
        check(403, "http_auth", false);
        check(404, "http_404", false);
        check(429, "http_429", true);
        check(500, "http_5xx", true);
        check(501, "http_5xx", false);
        check(503, "http_5xx", true);
        check(504, "http_5xx", true);
    }
}
