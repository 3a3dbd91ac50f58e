//! The calls of the API: addresses, headers, sessions, what is counted and logged of each attempt.
//!
//! It leaves the meaning of answers to [`super::wire`] and when to call to [`super`]. A [`Caller`] works for one
//! account and is the only one that does, so an account never has two requests under way.

use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::wire;
use crate::clock::Clock;
use crate::config::Secret;
use crate::fetch::{Answer, Attempt, Failure, Follow, Request, Retry, RetryAfter, Upstream, Url};
use crate::sorted::SortedMap;

/// Entries a page (contract, section 3).
pub(super) const PAGE_SIZE: usize = 100;
/// Pauses before each further attempt (contract, section 3).
const PAUSES: &[Duration] = &[
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(4),
    Duration::from_secs(8),
    Duration::from_secs(16),
];
/// Longest `Retry-After` that is obeyed (contract, section 3).
const RETRY_AFTER_LIMIT: Duration = Duration::from_secs(300);
/// A session with no more than this left is replaced (contract, section 3).
const SESSION_MARGIN_S: i64 = 5 * 60;
/// How we introduce ourselves at the login: the name that the original is known by there.
const CLIENT: &str = "terminus-golang";

/// A session of an account.
#[derive(Clone, Debug)]
pub(super) struct Session {
    text: Secret,
    user_id: Secret,
    /// Unix seconds; none if the upstream did not say.
    expires_at_s: Option<i64>,
}

/// Attempts so far, by endpoint and outcome.
#[derive(Debug, Default)]
pub(super) struct Requests {
    /// Guards the counts.
    counts: Mutex<SortedMap<(&'static str, &'static str), u64>>,
}

impl Requests {
    /// The counts above zero, sorted.
    pub(super) fn counts(&self) -> Vec<((&'static str, &'static str), u64)> {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts
            .iter()
            .map(|(names, count)| (*names, *count))
            .collect()
    }

    fn count(&self, endpoint: &'static str, outcome: &'static str) {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        *counts.or_default((endpoint, outcome)) += 1;
    }
}

/// What the calls of all accounts share.
#[derive(Clone, Copy)]
pub(super) struct Api<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) clock: &'a dyn Clock,
    pub(super) requests: &'a Requests,
    /// Without a slash at its end.
    pub(super) base: &'a str,
    pub(super) environment: &'a str,
}

/// A question to the API.
#[derive(Clone, Copy, Debug)]
pub(super) enum Question<'a> {
    WhoAmI,
    /// With the id that the page before ended with.
    UserSites(Option<&'a str>),
    UserOrganisations(Option<&'a str>),
    OrganisationSites(&'a str, Option<&'a str>),
    SiteName(&'a str),
    /// Site id and `28d` or `1d`.
    Traffic(&'a str, &'static str),
}

impl Question<'_> {
    fn endpoint(self) -> &'static str {
        match self {
            Question::WhoAmI => "whoami",
            Question::UserSites(_) => "user_sites",
            Question::UserOrganisations(_) => "user_orgs",
            Question::OrganisationSites(..) => "org_sites",
            Question::SiteName(_) => "site_name",
            Question::Traffic(..) => "traffic",
        }
    }

    /// Path and query. Ids are the upstream's text and are escaped.
    fn target(self, user_id: &str, environment: &str) -> String {
        let user = escaped(user_id);
        match self {
            Question::WhoAmI => format!("/users/{user}"),
            Question::UserSites(start) => {
                format!("/users/{user}/memberships/sites?{}", paging(start))
            }
            Question::UserOrganisations(start) => {
                format!("/users/{user}/memberships/organizations?{}", paging(start))
            }
            Question::OrganisationSites(id, start) => {
                let id = escaped(id);
                format!("/organizations/{id}/memberships/sites?{}", paging(start))
            }
            Question::SiteName(name) => format!("/site-names/{}", escaped(name)),
            Question::Traffic(id, duration) => {
                let id = escaped(id);
                format!("/sites/{id}/environments/{environment}/traffic?duration={duration}")
            }
        }
    }
}

fn paging(start: Option<&str>) -> String {
    match start {
        None => format!("limit={PAGE_SIZE}"),
        Some(id) => format!("limit={PAGE_SIZE}&start={}", escaped(id)),
    }
}

/// A text as one segment of a path or one value of a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                escaped.push(char::from(byte));
            }
            other => escaped.push_str(&format!("%{other:02X}")),
        }
    }
    escaped
}

/// The one who calls for an account during one job.
pub(super) struct Caller<'a> {
    pub(super) api: Api<'a>,
    pub(super) token: Secret,
    /// What the account is called in log lines.
    pub(super) alias: String,
    pub(super) session: Option<Session>,
    /// How the login of this job went, if there was one. A second one would not help.
    pub(super) login: Option<Result<(), Failure>>,
}

impl Caller<'_> {
    /// Asks with a session that is good for a while, once more with a new one where the answer is 401.
    ///
    /// # Errors
    /// Why the last attempt failed; `login` tells whether that was the login.
    pub(super) fn ask<T: Send>(
        &mut self,
        question: Question<'_>,
        decode: impl Fn(&Answer) -> Result<T, Failure> + Sync,
    ) -> Result<T, Failure> {
        let session = self.session()?;
        match self.send(question, &session, &decode) {
            Err(Failure::Status { code: 401, .. }) if self.login.is_none() => {
                log::info!(account = self.alias, endpoint = question.endpoint(); "session refused, logging in again");
                self.session = None;
                let session = self.session()?;
                self.send(question, &session, &decode)
            }
            other => other,
        }
    }

    /// Sees to a session that is good for a while.
    ///
    /// # Errors
    /// Why the login failed.
    pub(super) fn make_ready(&mut self) -> Result<(), Failure> {
        self.session().map(drop)
    }

    /// The present session, or a new one where none is left for long.
    fn session(&mut self) -> Result<Session, Failure> {
        if let Some(session) = &self.session
            && session.expires_at_s.is_none_or(|end| self.is_far(end))
        {
            return Ok(session.clone());
        }
        let outcome = self.log_in();
        self.login = Some(outcome.as_ref().map(|_| ()).map_err(Failure::clone));
        self.session = outcome.as_ref().ok().cloned();
        outcome
    }

    fn is_far(&self, end_s: i64) -> bool {
        end_s.saturating_sub(self.api.clock.now().as_second()) > SESSION_MARGIN_S
    }

    /// One attempt, and nothing but 200 is good.
    fn log_in(&self) -> Result<Session, Failure> {
        let token = self.token.reveal();
        let token = token.map_err(|cause| Failure::Config(cause.to_string()))?;
        let body = serde_json::json!({"machine_token": token, "client": CLIENT}).to_string();
        let shown = "/authorize/machine-token";
        let url = self.url(shown)?;
        let observe = |attempt: &Attempt<'_>| self.observe("login", shown, attempt, &Retry::NEVER);
        let mut request = Request::post(&url, "application/json", body.into_bytes());
        request.headers.extend(general_headers());
        request.observe = Some(&observe);
        let secrets = [token.as_str()];
        request.secrets = &secrets;
        let answer = self
            .api
            .upstream
            .send(&request, |answer| match answer.status {
                200 => wire::object::<wire::Login>(&answer.body),
                code => Err(Failure::Status {
                    code,
                    retry_after: None,
                }),
            });
        let wire::Login {
            session,
            user_id,
            expires_at,
        } = answer.map_err(masked)?.value;
        match (session, user_id) {
            (Some(session), Some(user_id)) if !session.is_empty() && !user_id.is_empty() => {
                Ok(Session {
                    text: Secret::literal(session),
                    user_id: Secret::literal(user_id),
                    expires_at_s: expires_at
                        // A share of a second does not matter.
                        .map(|seconds| seconds as i64)
                        // One that ends as it begins tells of clocks that differ: a 401 will say when it has ended.
                        .filter(|end| self.is_far(*end)),
                })
            }
            _ => Err(Failure::Shape("no session or no user id".to_owned())),
        }
    }

    fn send<T: Send>(
        &self,
        question: Question<'_>,
        session: &Session,
        decode: &(impl Fn(&Answer) -> Result<T, Failure> + Sync),
    ) -> Result<T, Failure> {
        let environment = self.api.environment;
        let reveal = |secret: &Secret| {
            let text = secret.reveal();
            text.map_err(|cause| Failure::Config(cause.to_string()))
        };
        let (text, user_id) = (reveal(&session.text)?, reveal(&session.user_id)?);
        let url = self.url(&question.target(&user_id, environment))?;
        let shown = question.target("-", environment);
        let retry = Retry {
            pauses: PAUSES,
            jitter_share: 0.0,
            is_passing,
            retry_after: RetryAfter::AtMost(RETRY_AFTER_LIMIT),
        };
        let observe =
            |attempt: &Attempt<'_>| self.observe(question.endpoint(), &shown, attempt, &retry);
        let mut headers = general_headers();
        headers.push(("authorization", format!("Bearer {text}")));
        let request = Request {
            headers,
            retry,
            follow: Follow::SameOrigin,
            observe: Some(&observe),
            shown: Some(&shown),
            secrets: &[&text, &user_id],
            ..Request::get(&url)
        };
        let answer = self.api.upstream.send(&request, decode);
        answer.map(|decoded| decoded.value).map_err(masked)
    }

    fn url(&self, target: &str) -> Result<Url, Failure> {
        Url::parse(&format!("{}{target}", self.api.base))
            .map_err(|bad| Failure::Config(format!("an address of the API {bad}")))
    }

    /// Counts an attempt and logs it, without anything secret.
    fn observe(
        &self,
        endpoint: &'static str,
        shown: &str,
        attempt: &Attempt<'_>,
        retry: &Retry<'_>,
    ) {
        self.api.requests.count(endpoint, outcome(attempt.failure));
        let account = &self.alias;
        let took_ms = attempt.duration.as_millis() as u64;
        let status = attempt.status.unwrap_or(0);
        match attempt.failure {
            // What is sent again would otherwise be seen by nobody.
            Some(failure) if !retry.pauses.is_empty() && (retry.is_passing)(failure) => {
                let (kind, cause) = (failure.kind(), failure);
                log::warn!(account = account, endpoint = endpoint, path = shown, kind = kind, cause:% = cause; "request failed");
            }
            _ => {
                crate::logging::debug!(account = account, endpoint = endpoint, path = shown, status = status, took_ms = took_ms, outcome = outcome(attempt.failure); "request answered");
            }
        }
    }
}

/// Network errors, 429 and every 5xx (contract, section 3).
fn is_passing(failure: &Failure) -> bool {
    match failure {
        Failure::Status { code, .. } => *code == 429 || *code >= 500,
        other => other.is_passing(),
    }
}

/// The word of an attempt in `pantheon_exporter_api_requests_total`.
fn outcome(failure: Option<&Failure>) -> &'static str {
    match failure {
        None => "ok",
        Some(Failure::Status { code: 429, .. }) => "http_429",
        Some(Failure::Status { code: 500.., .. }) => "http_5xx",
        Some(Failure::Status { .. }) => "http_4xx",
        Some(Failure::Timeout { .. }) => "timeout",
        Some(
            Failure::Json(_)
            | Failure::Shape(_)
            | Failure::TooLarge { .. }
            | Failure::BodyUnreadable(_),
        ) => "decode_error",
        Some(_) => "network_error",
    }
}

/// A failure as it may be shown: the address of a redirect could hold a user id, and the waits are over.
fn masked(failure: Failure) -> Failure {
    match failure {
        Failure::Redirect(_) => Failure::Redirect("it leads to another place".to_owned()),
        Failure::Status { code, .. } => Failure::Status {
            code,
            retry_after: None,
        },
        other => other,
    }
}

/// The headers of every call.
fn general_headers() -> Vec<(&'static str, String)> {
    vec![
        ("accept", "application/json".to_owned()),
        ("x-pantheon-trace-id", trace_id()),
    ]
}

/// A random UUID of version 4.
fn trace_id() -> String {
    // Every RandomState is keyed anew, so the two halves differ, and from call to call.
    let random = || RandomState::new().hash_one(Timestamp::now().as_nanosecond());
    let (high, low) = (random(), random());
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        (high >> 16) & 0xffff,
        high & 0x0fff,
        (low >> 48) & 0x3fff | 0x8000,
        low & 0xffff_ffff_ffff
    )
}

/// Whether an id has the shape of a UUID; another one is a name that has to be looked up first.
pub(super) fn looks_like_uuid(id: &str) -> bool {
    id.len() == 36
        && [8, 13, 18, 23]
            .iter()
            .all(|place| id.as_bytes().get(*place) == Some(&b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_call_has_a_trace_id_of_its_own_with_the_shape_of_a_random_uuid() {
        let ids: crate::sorted::SortedSet<String> = (0..100).map(|_| trace_id()).collect();
        assert_eq!(ids.len(), 100);
        for id in ids {
            assert!(looks_like_uuid(&id), "{id}");
            assert_eq!(id.as_bytes().get(14), Some(&b'4'), "{id}");
            let variant = id.as_bytes().get(19).copied().unwrap_or_default();
            assert!(b"89ab".contains(&variant), "{id}");
        }
    }

    #[test]
    fn ids_of_the_upstream_cannot_leave_their_place_in_the_address() {
        let target = Question::OrganisationSites("../a?b", Some("x&y")).target("u", "live");
        assert_eq!(
            target,
            "/organizations/..%2Fa%3Fb/memberships/sites?limit=100&start=x%26y"
        );
    }

    #[test]
    fn a_name_is_no_uuid() {
        assert!(looks_like_uuid("22222222-2222-4222-8222-222222222222"));
        assert!(!looks_like_uuid("demo-shop"));
        assert!(!looks_like_uuid("22222222222222222222222222222222----"));
    }

    fn check(code: u16, word: &str, passing: bool) {
        let failure = Failure::Status {
            code,
            retry_after: None,
        };
        assert_eq!(
            (outcome(Some(&failure)), is_passing(&failure)),
            (word, passing),
            "status {code}"
        );
    }

    #[test]
    fn only_429_every_5xx_and_network_errors_are_asked_again() {
        check(400, "http_4xx", false);
        check(401, "http_4xx", false);
        check(403, "http_4xx", false);
        check(404, "http_4xx", false);
        check(429, "http_429", true);
        check(500, "http_5xx", true);
        check(501, "http_5xx", true);
        check(599, "http_5xx", true);
        assert!(is_passing(&Failure::Connect(String::new())));
        assert!(!is_passing(&Failure::Json(String::new())));
    }
}
