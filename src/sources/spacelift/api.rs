//! One question, one reply: what an HTTP answer and its `errors` mean, before its data is looked at.
//!
//! [`super::session`] asks through an [`Api`]; tests put answers of their own behind it.

use std::time::Duration;

use super::wire::{GraphqlError, Reply};
use crate::fetch::{Body, Failure, Mask, Request, Statuses, Upstream, Url};

/// What a field says that this key or deployment may not read (contract, section 3.3).
const NOT_FOR_MACHINES: &str = "not available for machine sessions";
/// What a reply says, in any case, to a token that has become invalid.
const UNAUTHORIZED: &str = "unauthorized";
/// The part of an error's text, or of an error's body, that is shown (contract, section 3.1).
const EXCERPT_BYTES: usize = 200;
/// The part of an error's body that is searched for the words above.
const SEARCHED_BYTES: usize = 16 * 1024;

/// What stands before a token in an answer.
const NEW_TOKEN: &str = "\"jwt\"";

/// How a request ended: the label `outcome`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Ok,
    GraphqlError,
    Unauthorized,
    Unsupported,
    HttpError,
    Timeout,
    NetworkError,
    DecodeError,
}

impl Outcome {
    pub(super) fn word(self) -> &'static str {
        match self {
            Outcome::Ok => "ok",
            Outcome::GraphqlError => "graphql_error",
            Outcome::Unauthorized => "unauthorized",
            Outcome::Unsupported => "unsupported",
            Outcome::HttpError => "http_error",
            Outcome::Timeout => "timeout",
            Outcome::NetworkError => "network_error",
            Outcome::DecodeError => "decode_error",
        }
    }
}

/// Why a question got no usable answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Trouble {
    /// None when no request was sent.
    pub(super) outcome: Option<Outcome>,
    pub(super) failure: Failure,
    /// The beginning of an error's body.
    pub(super) excerpt: Option<String>,
    /// Whether it was the exchange of the key that failed.
    pub(super) is_of_exchange: bool,
}

impl Trouble {
    pub(super) fn new(outcome: Outcome, failure: Failure) -> Trouble {
        Trouble {
            outcome: Some(outcome),
            failure,
            excerpt: None,
            is_of_exchange: false,
        }
    }

    /// Data of another form than expected.
    pub(super) fn shape(what: impl Into<String>) -> Trouble {
        Trouble::new(Outcome::DecodeError, Failure::Shape(what.into()))
    }

    /// Whether this failure and its Retry-After hold for every question.
    pub(super) fn is_for_all(&self) -> bool {
        matches!(self.failure, Failure::Status { code: 429, .. })
    }
}

impl From<Failure> for Trouble {
    fn from(failure: Failure) -> Trouble {
        let outcome = match &failure {
            Failure::Timeout { .. } => Some(Outcome::Timeout),
            Failure::Dns(_) | Failure::Connect(_) | Failure::Tls(_) | Failure::BodyCut(_) => {
                Some(Outcome::NetworkError)
            }
            Failure::Status { .. } | Failure::Redirect(_) => Some(Outcome::HttpError),
            Failure::Refused(_) => Some(Outcome::GraphqlError),
            // Nothing was sent, or nothing that we know of.
            Failure::Config(_) | Failure::Internal(_) => None,
            Failure::TooLarge { .. }
            | Failure::BodyUnreadable(_)
            | Failure::Json(_)
            | Failure::Shape(_) => Some(Outcome::DecodeError),
        };
        Trouble {
            outcome,
            failure,
            excerpt: None,
            is_of_exchange: false,
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.failure.fmt(f)?;
        match &self.excerpt {
            Some(excerpt) => write!(f, ": {excerpt:?}"),
            None => Ok(()),
        }
    }
}

/// The way to the upstream.
pub(super) trait Api {
    /// Sends a body, with a token if there is one, and gives the reply in which no error stands. No text of a trouble
    /// holds one of the secrets.
    fn post(&self, body: Vec<u8>, token: Option<&str>, secrets: &[&str]) -> Result<Reply, Trouble>;
}

/// The real one.
pub(super) struct Http<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) url: &'a Url,
}

impl Api for Http<'_> {
    fn post(&self, body: Vec<u8>, token: Option<&str>, secrets: &[&str]) -> Result<Reply, Trouble> {
        let mut request = Request::post(self.url, "application/json", body);
        request.statuses = Statuses::Any;
        request.secrets = secrets;
        if let Some(token) = token {
            let own = [
                ("authorization", format!("Bearer {token}")),
                ("spacelift-client-type", "prometheus-exporter".to_owned()),
            ];
            request.headers.extend(own);
        }
        let answer = self.upstream.send(&request, |answer| {
            let retry_after = self.upstream.retry_after(&answer.headers);
            Ok(read(answer.status, retry_after, &answer.body, &answer.mask))
        });
        answer?.value
    }
}

/// The reply in an answer, or why there is none.
pub(super) fn read(
    status: u16,
    retry_after: Option<Duration>,
    body: &Body,
    mask: &Mask,
) -> Result<Reply, Trouble> {
    if !(200..300).contains(&status) {
        return Err(refused(status, retry_after, body.head(), mask));
    }
    let reply: Option<Reply> = body.json()?;
    let reply = reply.ok_or_else(|| Trouble::shape("the reply is no object"))?;
    match objection(&reply.errors, mask) {
        Some(trouble) => Err(trouble),
        None => Ok(reply),
    }
}

/// What an answer with a bad status means. Its body may hold the words that make it something else than a fault.
fn refused(status: u16, retry_after: Option<Duration>, body: &[u8], mask: &Mask) -> Trouble {
    let text = String::from_utf8_lossy(body.get(..SEARCHED_BYTES).unwrap_or(body));
    let outcome = match (status, outcome_of(&text)) {
        (429 | 500.., _) => Outcome::HttpError,
        (_, Outcome::Unsupported) => Outcome::Unsupported,
        (401 | 403, _) | (_, Outcome::Unauthorized) => Outcome::Unauthorized,
        _ => Outcome::HttpError,
    };
    let failure = Failure::Status {
        code: status,
        retry_after,
    };
    let excerpt = mask.excerpt(&text, EXCERPT_BYTES);
    // A new token is not known yet, and so not masked.
    let may_be_shown = !excerpt.is_empty() && !text.contains(NEW_TOKEN);
    Trouble {
        excerpt: may_be_shown.then_some(excerpt),
        ..Trouble::new(outcome, failure)
    }
}

/// What the errors in a reply mean; none without errors.
fn objection(errors: &[Option<GraphqlError>], mask: &Mask) -> Option<Trouble> {
    const NO_MESSAGE: &str = "an error without a message";
    let messages = errors.iter().map(|error| {
        let message = error.as_ref().and_then(|error| error.message.as_deref());
        message.unwrap_or(NO_MESSAGE)
    });
    // Of several errors the one decides that says most about what to do; else the first one.
    let telling = |wanted: Outcome| {
        let found = messages
            .clone()
            .find(|message| outcome_of(message) == wanted)?;
        Some((wanted, found))
    };
    let (outcome, message) = telling(Outcome::Unauthorized)
        .or_else(|| telling(Outcome::Unsupported))
        .or_else(|| telling(Outcome::GraphqlError))?;
    let failure = Failure::Refused(mask.excerpt(message, EXCERPT_BYTES));
    Some(Trouble::new(outcome, failure))
}

fn outcome_of(text: &str) -> Outcome {
    let text = text.to_ascii_lowercase();
    if text.contains(UNAUTHORIZED) {
        Outcome::Unauthorized
    } else if text.contains(NOT_FOR_MACHINES) {
        Outcome::Unsupported
    } else {
        Outcome::GraphqlError
    }
}

#[cfg(test)]
pub(super) mod scripted {
    //! An upstream in memory that gives prepared answers and remembers what it was asked.

    use std::cell::RefCell;
    use std::collections::VecDeque;

    use serde_json::Value;

    use super::*;

    /// A question as it was sent.
    #[derive(Debug)]
    pub(in super::super) struct Asked {
        pub(in super::super) body: Value,
        pub(in super::super) token: Option<String>,
    }

    impl Asked {
        pub(in super::super) fn is_exchange(&self) -> bool {
            self.token.is_none()
        }

        pub(in super::super) fn operation(&self) -> &str {
            self.body["operationName"].as_str().unwrap_or("token")
        }
    }

    #[derive(Default)]
    pub(in super::super) struct Scripted {
        answers: RefCell<VecDeque<(u16, Option<Duration>, String)>>,
        asked: RefCell<Vec<Asked>>,
    }

    impl Scripted {
        pub(in super::super) fn then(&self, answer: impl ToString) -> &Self {
            self.then_status(200, None, answer)
        }

        pub(in super::super) fn then_status(
            &self,
            status: u16,
            retry_after: Option<Duration>,
            answer: impl ToString,
        ) -> &Self {
            let answer = (status, retry_after, answer.to_string());
            self.answers.borrow_mut().push_back(answer);
            self
        }

        /// What was asked since the last call.
        pub(in super::super) fn asked(&self) -> Vec<Asked> {
            assert!(self.answers.borrow().is_empty(), "answers are left over");
            self.asked.take()
        }

        /// The names of what was asked since the last call, `token` for an exchange.
        pub(in super::super) fn operations(&self) -> Vec<String> {
            let asked = self.asked();
            asked.iter().map(|one| one.operation().to_owned()).collect()
        }
    }

    impl Api for Scripted {
        fn post(
            &self,
            body: Vec<u8>,
            token: Option<&str>,
            secrets: &[&str],
        ) -> Result<Reply, Trouble> {
            self.asked.borrow_mut().push(Asked {
                body: serde_json::from_slice(&body).expect("we send JSON"),
                token: token.map(str::to_owned),
            });
            let answer = self.answers.borrow_mut().pop_front();
            let (status, retry_after, text) = answer.expect("an answer for every question");
            let mask = Mask::of(secrets.iter().copied());
            read(status, retry_after, &Body::from(text.as_bytes()), &mask)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(status: u16, body: &str, expected: Outcome) -> Trouble {
        let mask = Mask::of(["top\"secret"]);
        let trouble =
            read(status, None, &Body::from(body.as_bytes()), &mask).expect_err("a trouble");
        assert_eq!(trouble.outcome, Some(expected), "{status} {body}");
        trouble
    }

    #[test]
    fn a_body_that_holds_a_new_token_is_not_shown() {
        let body = "{\"data\":{\"apiKeyUser\":{\"jwt\":\"new-token\"}}}";
        let text = check(500, body, Outcome::HttpError).to_string();
        assert!(!text.contains("new-token"), "{text}");
    }

    // Contract test 5.
    #[test]
    fn status_401_and_403_mean_unauthorized_whatever_the_body_is() {
        check(401, "<html>login</html>", Outcome::Unauthorized);
        check(403, "", Outcome::Unauthorized);
        check(
            400,
            "{\"errors\":[{\"message\":\"Unauthorized\"}]}",
            Outcome::Unauthorized,
        );
    }

    #[test]
    fn the_errors_of_a_reply_decide_even_beside_data() {
        let check_message = |message: &str, expected| {
            let body =
                format!("{{\"data\":{{\"usage\":{{}}}},\"errors\":[{{\"message\":{message}}}]}}");
            check(200, &body, expected);
        };
        check_message("\"UnAuthorized: token\"", Outcome::Unauthorized);
        check_message(
            "\"not available for machine sessions\"",
            Outcome::Unsupported,
        );
        check_message("\"boom\"", Outcome::GraphqlError);
        check_message("7", Outcome::GraphqlError);
        check(200, "{\"errors\":[null]}", Outcome::GraphqlError);
        for fine in ["{\"errors\":[],\"data\":{}}", "{\"errors\":null}"] {
            assert!(read(200, None, &Body::from(fine.as_bytes()), &Mask::default()).is_ok());
        }
    }

    #[test]
    fn a_limit_on_requests_and_a_fault_stay_what_they_are() {
        check(429, "unauthorized", Outcome::HttpError);
        check(503, "unauthorized", Outcome::HttpError);
        check(404, "nothing here", Outcome::HttpError);
    }

    #[test]
    fn what_is_no_json_or_no_object_is_a_decode_error_that_says_where() {
        let trouble = check(200, "{\"data\": tru", Outcome::DecodeError);
        assert!(trouble.to_string().contains("column"), "{trouble}");
        check(200, "[]", Outcome::DecodeError);
    }

    #[test]
    fn an_error_shows_status_and_200_bytes_of_its_body_and_no_secret() {
        let body = format!(
            "top\"secret top\\\"secret {}é{}",
            "x".repeat(170),
            "y".repeat(500)
        );
        let text = check(502, &body, Outcome::HttpError).to_string();
        assert!(
            text.contains("status 502") && text.contains("xxx"),
            "{text}"
        );
        assert!(!text.contains("top") && text.len() < 300, "{text}");
        let body = "{\"errors\":[{\"message\":\"bad: top\\\"secret\"}]}";
        let text = check(200, body, Outcome::GraphqlError).to_string();
        assert!(text.contains("bad: (not shown)"), "{text}");
    }
}
