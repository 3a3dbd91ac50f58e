//! The token: when the key is exchanged for a new one, and which questions are asked again with it.
//!
//! Questions are asked one after another, so a new token is shared by all that follow.

use std::sync::Arc;
use std::time::Duration;

use super::api::{Api, Outcome, Trouble};
use super::question::Question;
use super::reading;
use super::standing::Reminder;
use super::wire::Reply;
use crate::clock::Clock;
use crate::config::{Secret, Unreadable};
use crate::fetch::Failure;
use crate::sorted::SortedMap;

/// A token that ends sooner is exchanged before it is used (contract, section 3.2).
const FRESH_LEAST_S: f64 = 30.0;

/// The key of an account. The secret may lie in a file, which is read again at each exchange.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) id: Secret,
    pub(super) secret: Secret,
}

#[derive(Clone, Debug)]
struct Token {
    jwt: Secret,
    /// Unix seconds.
    valid_until_s: f64,
}

/// A key, its present token, and the count of all requests.
pub(super) struct Session {
    /// The service, for the log.
    service: String,
    key: Key,
    token: Option<Token>,
    /// The one before, which an upstream may still repeat in its answers.
    earlier: Option<Secret>,
    clock: Arc<dyn Clock>,
    /// By operation and outcome.
    requests: SortedMap<(&'static str, Outcome), u64>,
    rejection: Reminder,
    /// What the questions since the last [`Session::take_asked`] took, exchanges left out.
    asked: Duration,
}

impl Session {
    pub(super) fn new(service: String, key: Key, clock: Arc<dyn Clock>) -> Session {
        Session {
            service,
            key,
            token: None,
            earlier: None,
            clock,
            requests: SortedMap::new(),
            rejection: Reminder::default(),
            asked: Duration::ZERO,
        }
    }

    /// Requests so far, by the labels `operation` and `outcome`.
    pub(super) fn requests(&self) -> impl Iterator<Item = ([&'static str; 2], u64)> + '_ {
        let requests = self.requests.iter();
        requests.map(|((operation, outcome), count)| ([*operation, outcome.word()], *count))
    }

    /// Asks, and if the token is rejected once more with a new one. `read` says what the reply means.
    ///
    /// # Errors
    /// That of the last question, or that of an exchange.
    pub(super) fn ask<T>(
        &mut self,
        api: &dyn Api,
        question: &Question,
        read: impl Fn(Reply) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        self.refresh(api)?;
        match self.send(api, question, &read) {
            Err(trouble) if trouble.outcome == Some(Outcome::Unauthorized) => {
                self.note_rejection(question, &trouble);
                self.exchange(api)?;
                self.send(api, question, &read)
            }
            other => other,
        }
    }

    /// What the questions since the last call took, exchanges left out.
    pub(super) fn take_asked(&mut self) -> Duration {
        std::mem::take(&mut self.asked)
    }

    /// A mark that differs as soon as another token is used.
    pub(super) fn exchanges(&self) -> u64 {
        let exchanges = self.requests.iter();
        exchanges
            .filter(|((operation, _), _)| *operation == "token")
            .map(|(_, count)| count)
            .sum()
    }

    /// Sees that there is a token that will last.
    fn refresh(&mut self, api: &dyn Api) -> Result<(), Trouble> {
        let now_s = self.clock.now().as_millisecond() as f64 / 1000.0;
        let is_fresh = |token: &Token| now_s + FRESH_LEAST_S < token.valid_until_s;
        if self.token.as_ref().is_some_and(is_fresh) {
            return Ok(());
        }
        self.exchange(api)
    }

    fn send<T>(
        &mut self,
        api: &dyn Api,
        question: &Question,
        read: impl Fn(Reply) -> Result<T, Trouble>,
    ) -> Result<T, Trouble> {
        let token = self.token.as_ref().map(|token| token.jwt.reveal());
        let token = token.transpose().map_err(unsent)?;
        let secrets = self.secrets(token.as_deref());
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let begun = self.clock.instant();
        let answered = api
            .post(question.body.clone(), token.as_deref(), &secrets)
            .and_then(read);
        self.asked += self.clock.instant().saturating_duration_since(begun);
        self.count(question.operation, &answered);
        answered
    }

    fn exchange(&mut self, api: &dyn Api) -> Result<(), Trouble> {
        let earlier = self.token.take().map(|token| token.jwt);
        self.earlier = earlier.or(self.earlier.take());
        let exchanged = self.exchanged(api);
        let new = exchanged.map_err(|trouble| Trouble {
            is_of_exchange: true,
            ..trouble
        })?;
        self.token = Some(Token {
            jwt: Secret::literal(new.jwt),
            valid_until_s: new.valid_until_s,
        });
        Ok(())
    }

    fn exchanged(&mut self, api: &dyn Api) -> Result<reading::NewToken, Trouble> {
        let id = self.key.id.reveal().map_err(unsent)?;
        let secret = self.key.secret.reveal().map_err(unsent)?;
        let question = Question::token(&id, &secret);
        let secrets = self.secrets(None);
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        let answered = api
            .post(question.body, None, &secrets)
            .and_then(reading::token);
        self.count(question.operation, &answered);
        answered
    }

    /// What must not be shown: the key, if it can be had, and the tokens.
    fn secrets(&self, token: Option<&str>) -> Vec<String> {
        let kept = [&self.key.id, &self.key.secret]
            .into_iter()
            .chain(&self.earlier);
        let revealed = kept.flat_map(Secret::reveal);
        revealed.chain(token.map(str::to_owned)).collect()
    }

    fn count<T>(&mut self, operation: &'static str, answered: &Result<T, Trouble>) {
        let outcome = match answered {
            Ok(_) => Some(Outcome::Ok),
            Err(trouble) => trouble.outcome,
        };
        if let Some(outcome) = outcome {
            *self.requests.or_default((operation, outcome)) += 1;
        }
    }

    fn note_rejection(&mut self, question: &Question, trouble: &Trouble) {
        let is_due = self
            .rejection
            .is_due(question.operation, self.clock.instant());
        let level = match is_due {
            true => log::Level::Warn,
            false => log::Level::Debug,
        };
        let (service, collector) = (&self.service, question.operation);
        log::log!(level, service = service, collector = collector, cause:% = trouble; "token rejected, exchanging the key again");
    }
}

/// A secret that cannot be had: no request was sent.
fn unsent(cause: Unreadable) -> Trouble {
    Trouble::from(Failure::Config(cause.to_string()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::api::scripted::Scripted;
    use super::super::question::Collector;
    use super::*;
    use crate::clock::fake::FakeClock;

    const NOW_S: i64 = 1_763_661_600;
    const UNAUTHORIZED: &str = r#"{"data":null,"errors":[{"message":"Unauthorized"}]}"#;
    const USAGE: &str = r#"{"data":{"usage":{"billingPeriodStart":1,"billingPeriodEnd":2,
        "usedPrivateMinutes":3,"usedPublicMinutes":4,"usedSeats":5}}}"#;

    fn token(jwt: &str, valid_until_s: i64) -> String {
        json!({"data": {"apiKeyUser": {"jwt": jwt, "validUntil": valid_until_s}}}).to_string()
    }

    fn session(secret: Secret) -> (Session, Arc<FakeClock>) {
        let clock = Arc::new(FakeClock::at("2025-11-20T18:00:00Z"));
        let id = Secret::literal("01KEY");
        let key = Key { id, secret };
        (Session::new("test".to_owned(), key, clock.clone()), clock)
    }

    fn ask(session: &mut Session, api: &Scripted) -> Result<reading::Usage, Trouble> {
        session.ask(api, &Question::of(Collector::Usage), reading::usage)
    }

    // Contract test 1.
    #[test]
    fn a_token_with_31_seconds_left_is_used_again_and_one_with_29_is_exchanged_first() {
        let api = Scripted::default();
        let (mut session, clock) = session(Secret::literal("s3cr3t"));
        api.then(token("one", NOW_S + 100)).then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        assert_eq!(api.operations(), ["token", "PrometheusExporter_Usage"]);

        clock.pause(Duration::from_secs(69)).expect("never stopped");
        api.then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        assert_eq!(api.operations(), ["PrometheusExporter_Usage"], "31 s left");

        clock.pause(Duration::from_secs(2)).expect("never stopped");
        api.then(token("two", NOW_S + 7_200)).then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        let asked = api.asked();
        assert!(asked[0].is_exchange(), "29 s left");
        assert_eq!(asked[1].token.as_deref(), Some("two"));
    }

    // Contract test 2.
    #[test]
    fn a_rejected_token_leads_to_one_exchange_and_the_same_question_once_more() {
        let api = Scripted::default();
        let (mut session, _) = session(Secret::literal("s3cr3t"));
        api.then(token("one", NOW_S + 3_600)).then(UNAUTHORIZED);
        api.then(token("two", NOW_S + 3_600)).then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        let asked = api.asked();
        let operations: Vec<_> = asked.iter().map(|one| one.operation()).collect();
        let usage = "PrometheusExporter_Usage";
        assert_eq!(operations, ["token", usage, "token", usage]);
        assert_eq!(asked[1].body, asked[3].body);
        assert_eq!(asked[3].token.as_deref(), Some("two"));
        let counted: Vec<_> = session.requests().collect();
        let expected = [
            (["token", "ok"], 2),
            (["usage", "ok"], 1),
            (["usage", "unauthorized"], 1),
        ];
        assert_eq!(counted, expected);
    }

    // Contract test 3.
    #[test]
    fn a_second_rejection_is_reported_and_ends_it() {
        let api = Scripted::default();
        let (mut session, _) = session(Secret::literal("s3cr3t"));
        api.then(token("one", NOW_S + 3_600)).then(UNAUTHORIZED);
        api.then(token("two", NOW_S + 3_600)).then(UNAUTHORIZED);
        let trouble = ask(&mut session, &api).expect_err("rejected");
        assert_eq!(trouble.outcome, Some(Outcome::Unauthorized));
        assert!(!trouble.is_of_exchange);
        assert_eq!(api.asked().len(), 4);
    }

    // Contract test 4.
    #[test]
    fn after_a_failed_exchange_the_question_is_not_sent_again() {
        let api = Scripted::default();
        let (mut session, _) = session(Secret::literal("s3cr3t"));
        api.then(token("one", NOW_S + 3_600)).then(UNAUTHORIZED);
        api.then(r#"{"data":{"apiKeyUser":null}}"#);
        let trouble = ask(&mut session, &api).expect_err("no token");
        assert!(trouble.is_of_exchange);
        let usage = "PrometheusExporter_Usage";
        assert_eq!(api.operations(), ["token", usage, "token"]);
        // The rejected token is gone.
        api.then(r#"{"errors":[{"message":"no"}]}"#);
        assert!(ask(&mut session, &api).is_err());
        assert_eq!(api.operations(), ["token"]);
    }

    // Contract test 6, and the second half of 7.
    #[test]
    fn the_secret_is_read_from_its_file_before_every_exchange() {
        let name = format!("saas-exporter-spacelift-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, " first \n").expect("written");
        let secret = Secret::file(&path).expect("readable");
        let api = Scripted::default();
        let (mut session, _) = session(secret);
        let sent = |api: &Scripted| {
            let asked = api.asked();
            asked[0].body["variables"]["secret"].clone()
        };
        // A token without a future is exchanged before every question.
        api.then(token("one", NOW_S)).then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        assert_eq!(sent(&api), "first");
        std::fs::write(&path, "second\n").expect("written");
        api.then(token("two", NOW_S)).then(USAGE);
        assert!(ask(&mut session, &api).is_ok());
        assert_eq!(sent(&api), "second");
        std::fs::remove_file(&path).expect("removed");
        let trouble = ask(&mut session, &api).expect_err("no secret");
        assert!(trouble.is_of_exchange && trouble.outcome.is_none());
        assert!(trouble.to_string().contains("spacelift"), "{trouble}");
        assert!(api.asked().is_empty(), "nothing is sent, nothing counted");
    }

    #[test]
    fn no_debug_output_holds_key_or_token() {
        let token = Token {
            jwt: Secret::literal("jwt-text"),
            valid_until_s: 1.0,
        };
        let key = Key {
            id: Secret::literal("01KEY"),
            secret: Secret::literal("s3cr3t"),
        };
        let shown = format!("{token:?} {key:?}");
        assert!(
            !["jwt-text", "01KEY", "s3cr3t"]
                .iter()
                .any(|text| shown.contains(text))
        );
    }
}
