//! One command of the CHAOS API: the request with its credentials, and what kind of failure an answer is.
//!
//! Credentials travel in the body of every request. A wrong password is HTTP 200 with an `error` in the body, so that
//! the body decides as much as the status. What a good reply means is the business of [`super::reading`].

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::form::encode;
use super::reading;
use super::settings::{Credentials, Settings};
use super::tally::Requests;
use super::wire::Reply;
use crate::fetch::{Answer, Attempt, Failure, Follow, Request, Retry, RetryAfter, Slots, Statuses};
use crate::fetch::{Upstream, Url};
use crate::model::cut;

/// Longest `Retry-After` that is waited for (contract, section 3.1).
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(300);
/// Part of an unreadable body that the log shows (contract, section 7).
const EXCERPT_LIMIT_BYTES: usize = 200;
/// Longest text of an `error` that is repeated, in characters.
const ERROR_LIMIT_CHARS: usize = 300;
/// Words of an `error` that means wrong credentials, in small letters (contract, section 3.1).
const REFUSALS: [&str; 4] = ["authoris", "authoriz", "bad control-login", "password"];

/// A command of the API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Command {
    pub(super) subsystem: &'static str,
    pub(super) name: &'static str,
}

impl Command {
    pub(super) const BROADBAND_SERVICES: Command = Command::new("broadband", "services");
    pub(super) const BROADBAND_INFO: Command = Command::new("broadband", "info");
    pub(super) const BROADBAND_QUOTA: Command = Command::new("broadband", "quota");
    pub(super) const TELEPHONY_SERVICES: Command = Command::new("telephony", "services");
    pub(super) const TELEPHONY_INFO: Command = Command::new("telephony", "info");
    pub(super) const TELEPHONY_RATECARD: Command = Command::new("telephony", "ratecard");

    const fn new(subsystem: &'static str, name: &'static str) -> Command {
        Command { subsystem, name }
    }
}

/// The class of an error, named as in the program that this source replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ErrorClass {
    Api,
    Auth,
    RateLimit,
    Json,
}

impl ErrorClass {
    /// The label `error_type`.
    pub(super) fn word(self) -> &'static str {
        match self {
            ErrorClass::Api => "CHAOSAPIError",
            ErrorClass::Auth => "CHAOSAuthError",
            ErrorClass::RateLimit => "CHAOSRateLimitError",
            ErrorClass::Json => "JSONDecodeError",
        }
    }
}

/// Why a command failed. No text in it holds a secret.
#[derive(Clone, Debug)]
pub(super) struct CallError {
    pub(super) class: ErrorClass,
    /// The status of the last answer, if there was one.
    pub(super) status: Option<u16>,
    pub(super) failure: Failure,
}

impl CallError {
    /// Whether a good status came with an `error` that is not about the credentials.
    pub(super) fn is_plain_refusal(&self) -> bool {
        let is_good = self
            .status
            .is_some_and(|status| (200..=299).contains(&status));
        is_good && self.class == ErrorClass::Api && matches!(self.failure, Failure::Refused(_))
    }

    /// Whether it is worth an error in the log by itself: a defect of the upstream that no attempt repairs.
    pub(super) fn is_grave(&self) -> bool {
        self.class == ErrorClass::Json || self.status == Some(500)
    }
}

/// The password as last read, so that a file is read again only after it was refused.
#[derive(Default)]
pub(super) struct Password {
    /// Guards the password; none when it must be read.
    read: Mutex<Option<String>>,
}

impl Password {
    fn reveal(&self, credentials: &Credentials) -> Result<String, Failure> {
        let mut read = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(password) = &*read {
            return Ok(password.clone());
        }
        let password = credentials.password.reveal();
        let password = password.map_err(|cause| Failure::Config(cause.to_string()))?;
        Ok(read.insert(password).clone())
    }

    /// It was refused: the next request reads it again.
    fn forget(&self) {
        *self.read.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// What all requests of one service share.
pub(super) struct Caller {
    pub(super) service_key: String,
    pub(super) settings: Settings,
    pub(super) password: Password,
    pub(super) slots: Slots,
    pub(super) requests: Requests,
}

/// The way to the API for one poll.
pub(super) struct Chaos<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) caller: &'a Caller,
}

impl Chaos<'_> {
    /// Sends a command, for one service of the login or for all, again where that may help.
    pub(super) fn call(&self, command: Command, service: Option<&str>) -> Result<Reply, CallError> {
        let unsent = |failure| CallError {
            class: ErrorClass::Api,
            status: None,
            failure,
        };
        let caller = self.caller;
        let credentials = &caller.settings.credentials;
        let password = caller.password.reveal(credentials).map_err(unsent)?;
        let url = self.url(command).map_err(unsent)?;
        let body = form(credentials, &password, service);
        let last_status = Mutex::new(None);
        let observe = |attempt: &Attempt<'_>| {
            *last_status.lock().unwrap_or_else(PoisonError::into_inner) = attempt.status;
            caller.requests.count(command, attempt);
            self.log_attempt(command, attempt);
        };
        let request = Request {
            follow: Follow::SameOrigin,
            statuses: Statuses::Any,
            retry: Retry {
                pauses: &caller.settings.pauses,
                jitter_share: 0.0,
                is_passing,
                retry_after: RetryAfter::AtMost(RETRY_AFTER_LIMIT),
            },
            slots: Some(&caller.slots),
            observe: Some(&observe),
            secrets: &[&password],
            ..Request::post(&url, "application/x-www-form-urlencoded", body)
        };
        let decode = |answer: &Answer| {
            let retry_after = self.upstream.retry_after(&answer.headers);
            decode(answer, retry_after)
        };
        let sent = self.upstream.send(&request, decode);
        let status = *last_status.lock().unwrap_or_else(PoisonError::into_inner);
        sent.map(|decoded| decoded.value).map_err(|failure| {
            let class = classify(status, &failure);
            if class == ErrorClass::Auth {
                caller.password.forget();
            }
            let failure = bounded(failure);
            CallError {
                class,
                status,
                failure,
            }
        })
    }

    fn url(&self, command: Command) -> Result<Url, Failure> {
        let base = self.caller.settings.base_url.to_string();
        let base = base.trim_end_matches('/');
        let Command { subsystem, name } = command;
        Url::parse(&format!("{base}/{subsystem}/{name}/json"))
            .map_err(|bad| Failure::Config(format!("the address of the API {bad}")))
    }

    /// Attempts that failed in passing; the others are logged by whoever gives up.
    fn log_attempt(&self, command: Command, attempt: &Attempt<'_>) {
        let Some(failure) = attempt.failure.filter(|failure| is_passing(failure)) else {
            return;
        };
        let (subsystem, name) = (command.subsystem, command.name);
        log::warn!(service = self.caller.service_key, subsystem = subsystem, command = name, kind = failure.kind(), cause:% = failure; "request failed");
    }
}

/// What may pass in a moment: time-outs, connections that fail, 429 and the statuses of gateways.
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Timeout { .. }
        | Failure::Connect(_)
        | Failure::Dns(_)
        | Failure::Tls(_)
        | Failure::BodyCut(_) => true,
        Failure::Status { code, .. } => is_passing_status(*code),
        _ => false,
    }
}

fn is_passing_status(code: u16) -> bool {
    matches!(code, 429 | 502 | 503 | 504)
}

/// A reply, or what an answer says went wrong. An `error` in the body counts whatever the status, but for statuses
/// that pass.
fn decode(answer: &Answer, retry_after: Option<Duration>) -> Result<Reply, Failure> {
    let code = answer.status;
    let status = Failure::Status { code, retry_after };
    if is_passing_status(code) {
        return Err(status);
    }
    let parsed = answer.body.json::<Option<Reply>>();
    let is_good = (200..=299).contains(&code);
    let reply = match parsed {
        Ok(Some(reply)) => reply,
        _ if !is_good => return Err(status),
        Ok(None) => return Err(unreadable("it is no object", answer)),
        Err(Failure::Json(cause)) => return Err(unreadable(&cause, answer)),
        Err(failure) => return Err(failure),
    };
    match reading::error(&reply) {
        Some(said) if is_good || (code != 401 && is_refusal(&said)) => Err(Failure::Refused(said)),
        _ if !is_good => Err(status),
        _ => Ok(reply),
    }
}

/// A body that is no JSON object, with its beginning.
fn unreadable(cause: &str, answer: &Answer) -> Failure {
    let text = String::from_utf8_lossy(answer.body.head());
    let excerpt = answer.mask.excerpt(&text, EXCERPT_LIMIT_BYTES);
    Failure::Json(format!("{cause}; it begins with {excerpt:?}"))
}

fn classify(status: Option<u16>, failure: &Failure) -> ErrorClass {
    match failure {
        Failure::Status { code: 401, .. } => ErrorClass::Auth,
        Failure::Status { code: 429, .. } => ErrorClass::RateLimit,
        Failure::Refused(said) if is_refusal(said) => ErrorClass::Auth,
        Failure::Json(_) => ErrorClass::Json,
        Failure::BodyUnreadable(_) if status.is_some() => ErrorClass::Json,
        _ => ErrorClass::Api,
    }
}

fn is_refusal(said: &str) -> bool {
    let said = said.to_ascii_lowercase();
    REFUSALS.iter().any(|word| said.contains(word))
}

/// The failure with a text of a bounded length.
fn bounded(failure: Failure) -> Failure {
    match failure {
        Failure::Refused(said) => Failure::Refused(cut(&said, ERROR_LIMIT_CHARS).to_owned()),
        other => other,
    }
}

/// The body of a request: who asks, and for what.
fn form(credentials: &Credentials, password: &str, service: Option<&str>) -> Vec<u8> {
    let public = credentials.public.iter();
    let public = public.map(|(name, value)| (*name, value.as_str()));
    let secret = std::iter::once((credentials.password_name, password));
    let wanted = service.map(|service| ("service", service));
    let pairs = public.chain(secret).chain(wanted);
    let pairs: Vec<String> = pairs
        .map(|(name, value)| format!("{name}={}", encode(value)))
        .collect();
    pairs.join("&").into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Secret;

    fn check_form(public: &[(&'static str, &str)], password_name: &'static str, expected: &str) {
        let public = public
            .iter()
            .map(|(name, value)| (*name, (*value).to_owned()));
        let credentials = Credentials {
            public: public.collect(),
            password_name,
            password: Secret::literal("not read here"),
        };
        let body = form(&credentials, "a&b=c%d é", Some("60001"));
        assert_eq!(String::from_utf8_lossy(&body), expected);
    }

    // Contract test 3, the encoding.
    #[test]
    fn every_byte_of_a_password_survives_the_form() {
        check_form(
            &[("control_login", "demo@a")],
            "control_password",
            "control_login=demo%40a&control_password=a%26b%3Dc%25d+%C3%A9&service=60001",
        );
        check_form(
            &[("account_number", "A1234A")],
            "account_password",
            "account_number=A1234A&account_password=a%26b%3Dc%25d+%C3%A9&service=60001",
        );
    }

    fn check_class(status: u16, failure: Failure, expected: ErrorClass) {
        assert_eq!(classify(Some(status), &failure), expected, "{failure}");
    }

    #[test]
    fn the_class_of_an_error_comes_from_status_and_text() {
        let status = |code| Failure::Status {
            code,
            retry_after: None,
        };
        let said = |text: &str| Failure::Refused(text.to_owned());
        check_class(401, status(401), ErrorClass::Auth);
        check_class(429, status(429), ErrorClass::RateLimit);
        check_class(500, status(500), ErrorClass::Api);
        check_class(200, said("Control authorisation failed"), ErrorClass::Auth);
        check_class(200, said("BAD CONTROL-LOGIN"), ErrorClass::Auth);
        check_class(400, said("Not authorized"), ErrorClass::Auth);
        check_class(200, said("Wrong Password"), ErrorClass::Auth);
        check_class(200, said("No quota"), ErrorClass::Api);
        check_class(200, Failure::Json("x".to_owned()), ErrorClass::Json);
    }
}
