//! Posts to Slack when an incident opens or is resolved: a queue on disk and one thread that empties it.
//!
//! Sources announce through a [`Notifier`] and never wait. A post that fails stays in the queue until it succeeds or
//! its incident has been gone for a day; what was announced is remembered, so that nothing is announced twice. The
//! queue file is written before the state that follows from the announcement.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::cache::Cache;
use crate::clock::Clock;
use crate::config::Secret;
use crate::fetch::{Failure, Fetcher, Request, Retry, RetryAfter, Upstream, UpstreamSettings, Url};
use crate::sorted::SortedMap;

/// Limit of one post.
const POST_TIMEOUT: Duration = Duration::from_secs(10);
/// Pauses before each further attempt of a post (contract, section 6: three).
const POST_PAUSES: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// Longest `Retry-After` that a post waits for; a longer one puts it back into the queue.
const POST_PATIENCE: Duration = Duration::from_secs(60);
/// A post that failed for good is tried again after this.
const REST: Duration = Duration::from_secs(300);
/// A post is given up when its incident has been gone for this long (contract, section 6).
const GIVE_UP_AFTER: Duration = Duration::from_secs(24 * 3600);
/// Most posts that are waiting or remembered; a page shows a few open incidents.
const POSTS_LIMIT: usize = 2_000;
/// The outcomes that are counted, each present from the start.
const OUTCOMES: [&str; 3] = ["sent", "failed", "dropped"];

/// What happened to an incident.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Event {
    /// It is there and was not before.
    Opened,
    /// It was there and is not any more.
    Resolved,
}

/// One post: waiting, or remembered so that it is not sent again.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Post {
    service: String,
    incident: String,
    event: Event,
    text: String,
    is_sent: bool,
    /// When the incident was resolved, in Unix milliseconds.
    gone_at_ms: Option<i64>,
    /// Not before this moment; a start of the process tries at once.
    #[serde(skip)]
    not_before: Option<Instant>,
}

#[derive(Debug, Default)]
struct Queue {
    posts: Vec<Post>,
    outcomes: SortedMap<&'static str, u64>,
    is_failing: bool,
}

#[derive(Debug)]
struct Shared {
    /// Guards the posts and their counts.
    queue: Mutex<Queue>,
    changed: Condvar,
    cache: Arc<Cache>,
    is_enabled: bool,
}

/// Takes announcements. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Notifier(Arc<Shared>);

impl Notifier {
    /// A notifier that posts to `webhook` from a thread of its own; without one it takes announcements and does
    /// nothing.
    pub fn start(
        webhook: Option<Secret>,
        fetcher: Arc<Fetcher>,
        clock: Arc<dyn Clock>,
        cache: Arc<Cache>,
    ) -> Notifier {
        let posts = match (&webhook, cache.outbox()) {
            (Some(_), Some(text)) => serde_json::from_str(&text).unwrap_or_else(|cause| {
                log::warn!(cause:% = cause; "queue of notifications not readable, starting with an empty one");
                Vec::new()
            }),
            _ => Vec::new(),
        };
        let queue = Queue {
            posts,
            outcomes: OUTCOMES.map(|outcome| (outcome, 0)).into(),
            is_failing: false,
        };
        let (queue, changed, is_enabled) = (Mutex::new(queue), Condvar::new(), webhook.is_some());
        let notifier = Notifier(Arc::new(Shared {
            queue,
            changed,
            cache,
            is_enabled,
        }));
        if let Some(webhook) = webhook {
            notifier.spawn(Poster {
                webhook,
                upstream: upstream(fetcher, &clock),
                clock,
            });
        }
        notifier
    }

    /// Queues a post about an incident. One that was announced already is not announced again.
    pub fn announce(
        &self,
        service: &str,
        incident: &str,
        event: Event,
        text: String,
        now: Timestamp,
    ) {
        if !self.0.is_enabled {
            return;
        }
        let mut queue = self.lock();
        if queue.add(service, incident, event, text, now) {
            self.save(&queue);
            drop(queue);
            self.0.changed.notify_all();
        }
    }

    /// Posts so far, by outcome.
    pub fn outcomes(&self) -> Vec<(&'static str, u64)> {
        self.lock()
            .outcomes
            .iter()
            .map(|(outcome, count)| (*outcome, *count))
            .collect()
    }

    /// Waits until every post that is due was tried, at most `limit`.
    pub fn finish(&self, limit: Duration) {
        let queue = self.lock();
        drop(
            self.0
                .changed
                .wait_timeout_while(queue, limit, |queue| queue.due(Instant::now()).is_some()),
        );
    }

    fn spawn(&self, poster: Poster) {
        let notifier = self.clone();
        let thread = std::thread::Builder::new().name("notify".to_owned());
        if let Err(cause) = thread.spawn(move || notifier.run(&poster)) {
            log::error!(cause:% = cause; "no thread for notifications, none will be sent");
        }
    }

    fn run(&self, poster: &Poster) {
        loop {
            let post = self.wait_for_post(poster);
            let outcome = poster.send(&post.text);
            let mut queue = self.lock();
            queue.settle(&post, &outcome);
            self.save(&queue);
            drop(queue);
            self.0.changed.notify_all();
        }
    }

    fn wait_for_post(&self, poster: &Poster) -> Post {
        let mut queue = self.lock();
        loop {
            if queue.forget_old(poster.clock.now()) {
                self.save(&queue);
            }
            if let Some(post) = queue.due(Instant::now()) {
                return post.clone();
            }
            // Without a waiting post there is nothing to wake up for.
            let wait = queue.next_attempt().map_or(Duration::MAX, |moment| {
                moment.saturating_duration_since(Instant::now())
            });
            queue = if wait == Duration::MAX {
                self.0
                    .changed
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner)
            } else {
                self.0
                    .changed
                    .wait_timeout(queue, wait)
                    .unwrap_or_else(PoisonError::into_inner)
                    .0
            };
        }
    }

    fn save(&self, queue: &Queue) {
        // A list of plain fields always becomes JSON.
        if let Ok(text) = serde_json::to_string(&queue.posts) {
            self.0.cache.save_outbox(&text);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Queue> {
        self.0.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// False if there is nothing new to say.
    fn add(
        &mut self,
        service: &str,
        incident: &str,
        event: Event,
        text: String,
        now: Timestamp,
    ) -> bool {
        let same = |post: &&mut Post| post.service == service && post.incident == incident;
        let last = self
            .posts
            .iter()
            .rev()
            .find(|post| post.service == service && post.incident == incident);
        if last.is_some_and(|post| post.event == event) {
            return false;
        }
        let gone_at_ms = (event == Event::Resolved).then(|| now.as_millisecond());
        self.posts
            .iter_mut()
            .filter(same)
            .for_each(|post| post.gone_at_ms = gone_at_ms);
        if self.posts.len() >= POSTS_LIMIT && !self.make_room() {
            self.count("dropped");
            log::warn!(service = service, incident = incident; "notification dropped: too many are waiting");
            return false;
        }
        let (service, incident) = (service.to_owned(), incident.to_owned());
        self.posts.push(Post {
            service,
            incident,
            event,
            text,
            is_sent: false,
            gone_at_ms,
            not_before: None,
        });
        true
    }

    /// Drops the oldest post that was sent. False if all are waiting.
    fn make_room(&mut self) -> bool {
        let oldest = self.posts.iter().position(|post| post.is_sent);
        oldest.map(|place| self.posts.remove(place)).is_some()
    }

    /// The first post to send now. A post waits for the earlier ones of its incident.
    fn due(&self, now: Instant) -> Option<&Post> {
        self.posts.iter().enumerate().find_map(|(place, post)| {
            let is_due = !post.is_sent && post.not_before.is_none_or(|moment| moment <= now);
            let is_first = || {
                !self
                    .posts
                    .iter()
                    .take(place)
                    .any(|earlier| !earlier.is_sent && earlier.is_about(post))
            };
            (is_due && is_first()).then_some(post)
        })
    }

    fn next_attempt(&self) -> Option<Instant> {
        self.posts
            .iter()
            .filter(|post| !post.is_sent)
            .filter_map(|post| post.not_before)
            .min()
    }

    fn settle(&mut self, sent: &Post, outcome: &Result<(), Failure>) {
        let place = self
            .posts
            .iter_mut()
            .find(|post| post.is_about(sent) && post.event == sent.event && !post.is_sent);
        if let Some(post) = place {
            post.is_sent = outcome.is_ok();
            post.not_before = outcome.is_err().then(|| Instant::now() + REST);
        }
        self.count(if outcome.is_ok() { "sent" } else { "failed" });
        match outcome {
            Err(failure) if !self.is_failing => {
                log::warn!(kind = failure.kind(), cause:% = failure, next_in_s = REST.as_secs(); "notification not sent; check SLACK_WEBHOOK_URL");
            }
            Err(failure) => {
                crate::logging::debug!(kind = failure.kind(), cause:% = failure; "notification not sent")
            }
            Ok(()) if self.is_failing => log::info!("notifications sent again"),
            Ok(()) => {
                crate::logging::debug!(service = sent.service, incident = sent.incident; "notification sent")
            }
        }
        self.is_failing = outcome.is_err();
    }

    /// Forgets posts about incidents that have been gone for a day. True if there were any.
    fn forget_old(&mut self, now: Timestamp) -> bool {
        let since = (now - GIVE_UP_AFTER).as_millisecond();
        let is_old = |post: &Post| post.gone_at_ms.is_some_and(|gone_at_ms| gone_at_ms < since);
        let dropped = self
            .posts
            .iter()
            .filter(|post| is_old(post) && !post.is_sent)
            .count();
        (0..dropped).for_each(|_| self.count("dropped"));
        let before = self.posts.len();
        self.posts.retain(|post| !is_old(post));
        self.posts.len() < before
    }

    fn count(&mut self, outcome: &'static str) {
        *self.outcomes.or_default(outcome) += 1;
    }
}

impl Post {
    fn is_about(&self, other: &Post) -> bool {
        self.service == other.service && self.incident == other.incident
    }
}

/// Sends one post after the other.
struct Poster {
    webhook: Secret,
    upstream: Upstream,
    clock: Arc<dyn Clock>,
}

impl Poster {
    fn send(&self, text: &str) -> Result<(), Failure> {
        let unusable = |what: String| Failure::Config(format!("the webhook {what}"));
        let webhook = self
            .webhook
            .reveal()
            .map_err(|cause| unusable(cause.to_string()))?;
        let url = Url::parse(&webhook).map_err(|bad| unusable(bad.to_string()))?;
        let body = serde_json::json!({"blocks": [{"type": "section", "text": {"type": "mrkdwn", "text": text}}]});
        let retry = Retry {
            pauses: POST_PAUSES,
            retry_after: RetryAfter::NotPast(self.clock.instant() + POST_PATIENCE),
            ..Retry::NEVER
        };
        let post = Request::post(&url, "application/json", body.to_string().into_bytes());
        let request = Request {
            retry,
            shown: Some("the webhook"),
            secrets: &[&webhook, url.path()],
            ..post
        };
        self.upstream
            .send(&request, |_| Ok(()))
            .map(|_| ())
            .map_err(without_address)
    }
}

fn upstream(fetcher: Arc<Fetcher>, clock: &Arc<dyn Clock>) -> Upstream {
    let settings = UpstreamSettings {
        timeout: POST_TIMEOUT,
        headers: Vec::new(),
        ca: None,
    };
    Upstream::new(fetcher, Arc::clone(clock), &settings)
}

/// The webhook's path is the secret, and a redirect's text may repeat it.
fn without_address(failure: Failure) -> Failure {
    match failure {
        Failure::Redirect(_) => Failure::Redirect("the webhook answers with a redirect".to_owned()),
        other => other,
    }
}

/// A text of a page as Slack shows it literally: its three special characters escaped, on one line.
pub fn slack_text(text: &str) -> String {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + hour * 3600).expect("valid")
    }

    fn add(queue: &mut Queue, incident: &str, event: Event, hour: i64) -> bool {
        queue.add(
            "svc",
            incident,
            event,
            format!("{incident} {event:?}"),
            at(hour),
        )
    }

    fn failed() -> Result<(), Failure> {
        Err(Failure::Connect("refused".to_owned()))
    }

    #[test]
    fn an_announced_incident_is_not_announced_again_until_it_was_resolved() {
        let mut queue = Queue::default();
        assert!(add(&mut queue, "a", Event::Opened, 0));
        assert!(!add(&mut queue, "a", Event::Opened, 1));
        assert!(add(&mut queue, "a", Event::Resolved, 2));
        assert!(!add(&mut queue, "a", Event::Resolved, 3));
        assert!(add(&mut queue, "a", Event::Opened, 4));
    }

    #[test]
    fn posts_of_one_incident_go_out_in_order_and_others_overtake_a_failed_one() {
        let mut queue = Queue::default();
        add(&mut queue, "a", Event::Opened, 0);
        add(&mut queue, "a", Event::Resolved, 1);
        add(&mut queue, "b", Event::Opened, 1);
        let now = Instant::now();
        let first = queue.due(now).expect("a is due").clone();
        assert_eq!(first.text, "a Opened");
        queue.settle(&first, &failed());
        assert_eq!(
            queue.due(now).map(|post| post.text.as_str()),
            Some("b Opened")
        );
        assert_eq!(
            queue.due(now + REST * 2).map(|post| post.text.as_str()),
            Some("a Opened")
        );
        queue.settle(&first, &Ok(()));
        assert_eq!(
            queue.due(now).map(|post| post.text.as_str()),
            Some("a Resolved")
        );
    }

    #[test]
    fn a_post_is_given_up_a_day_after_its_incident_has_gone() {
        let mut queue = Queue::default();
        add(&mut queue, "a", Event::Opened, 0);
        assert!(!queue.forget_old(at(1_000)));
        add(&mut queue, "a", Event::Resolved, 1_000);
        assert!(!queue.forget_old(at(1_024)));
        assert!(queue.forget_old(at(1_025)));
        assert!(queue.posts.is_empty());
        assert_eq!(queue.outcomes.get("dropped"), Some(&2));
    }

    #[test]
    fn the_queue_is_bounded_and_forgets_what_was_sent_first() {
        let mut queue = Queue::default();
        (0..POSTS_LIMIT).for_each(|n| assert!(add(&mut queue, &n.to_string(), Event::Opened, 0)));
        assert!(!add(&mut queue, "one more", Event::Opened, 0));
        let first = queue.posts[0].clone();
        queue.settle(&first, &Ok(()));
        assert!(add(&mut queue, "one more", Event::Opened, 0));
        assert_eq!(queue.posts.len(), POSTS_LIMIT);
    }

    #[test]
    fn page_text_never_becomes_slack_markup() {
        assert_eq!(
            slack_text("<!channel> a & b\nc"),
            "&lt;!channel&gt; a &amp; b c"
        );
    }
}
