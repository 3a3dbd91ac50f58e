//! Status pages: Atlassian Statuspage, and every page that answers in its form.
//!
//! One conditional request a poll. [`reading`] says what an answer means, [`state`] joins it to what was known,
//! [`families`] shows it; [`original`] reads the cache of the Python exporter that this one replaces.

mod families;
mod original;
mod overview;
mod product;
mod reading;
mod state;
mod wire;
mod words;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use super::{Defaults, Parts, Poll, Source, SourceKind, SourceSettings};
use crate::cache::Kept;
use crate::config::{Field, Fields, Form};
use crate::fetch::{Answer, Decoded, Failure, Request, Retry, RetryAfter, Url};
use crate::history::{History, WINDOWS};
use crate::model::{Families, LABEL_LIMIT_CHARS, StaticLabels, cut};
use crate::notify::{Event, slack_text};
use crate::overview::Overview;
use crate::sorted::SortedSet;
use reading::{FIELDS, Reading, Standing};
use state::{Change, State};

/// Longest name of an incident or maintenance as a label, in characters (contract, section 4).
const NAME_LIMIT_CHARS: usize = 100;
/// Longest list of affected components as a label, in characters (contract, section 4).
const AFFECTED_LIMIT_CHARS: usize = 150;
/// Longest single word or time of an upstream, in characters.
const WORD_LIMIT_CHARS: usize = 100;
/// Pauses before each further attempt (contract, section 2).
const PAUSES: &[Duration] = &[
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];
/// A pause is longer by up to this share, so that many services do not come back at once.
const PAUSE_JITTER_SHARE: f64 = 0.25;
/// What a bare page URL is completed with.
const SUMMARY_PATH: &str = "/api/v2/summary.json";

/// The row of the table of sources.
pub const KIND: SourceKind = SourceKind {
    name: "statuspage",
    fields: &[
        Field::required(
            "url",
            Form::Url,
            "Address of the page, or of its summary.json.",
        ),
        Field::required(
            "name",
            Form::Text,
            "The service_name label; no two services may share it.",
        ),
        Field::optional(
            "status_scale",
            Form::Word(&Scale::WORDS),
            "Which numbers stand for maintenance and trouble; the process's setting when absent.",
        ),
    ],
    families: families::all,
    is_in_environment: |_| false,
    own_listen: |_| Ok(None),
    stand_ins: |_| {},
    configure: Settings::configure,
};

/// Which numbers the old status metrics show for maintenance and trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scale {
    /// 1 operational, 0 anything else.
    Binary,
    /// 1 operational, 0 maintenance, -1 anything else.
    Ternary,
}

impl Scale {
    const WORDS: [&'static str; 2] = ["binary", "ternary"];

    /// The scale of that name, in any case.
    pub fn from_word(word: &str) -> Option<Scale> {
        match word.to_ascii_lowercase().as_str() {
            "binary" => Some(Scale::Binary),
            "ternary" => Some(Scale::Ternary),
            _ => None,
        }
    }
}

/// The checked settings of one status page.
#[derive(Clone, Debug)]
struct Settings {
    name: String,
    url: Url,
    scale: Scale,
    resolved_retention: Duration,
}

impl Settings {
    fn configure(fields: &mut Fields<'_>, defaults: &Defaults) -> Option<Box<dyn SourceSettings>> {
        let name = fields.required_text("name");
        let url = fields
            .required_url("url")
            .and_then(|url| complete(url, fields));
        let scale = fields
            .word("status_scale", &Scale::WORDS)
            .and_then(Scale::from_word)
            .unwrap_or(defaults.scale);
        if name
            .as_ref()
            .is_some_and(|name| name.chars().count() > LABEL_LIMIT_CHARS)
        {
            fields.problem(
                "name",
                &format!("is longer than {LABEL_LIMIT_CHARS} characters"),
            );
        }
        Some(Box::new(Settings {
            name: name?,
            url: url?,
            scale,
            resolved_retention: defaults.resolved_retention,
        }))
    }
}

/// The summary of a page that was given by its bare address.
fn complete(url: Url, fields: &mut Fields<'_>) -> Option<Url> {
    if url.path() != "/" || url.has_query() {
        return Some(url);
    }
    url.join(SUMMARY_PATH)
        .map_err(|bad| fields.problem("url", &bad.to_string()))
        .ok()
}

impl SourceSettings for Settings {
    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> String {
        self.url.to_string()
    }

    fn identity(&self, _labels: &StaticLabels) -> (&'static str, String) {
        ("name", self.name.clone())
    }

    fn about(&self) -> String {
        format!("{:?} at {}", self.name, self.url)
    }

    fn build(&self, parts: Parts) -> Box<dyn Source> {
        Box::new(Statuspage::new(self.clone(), parts))
    }
}

/// One status page.
struct Statuspage {
    settings: Settings,
    parts: Parts,
    state: Option<State>,
    /// Whether the state differs from the one on disk.
    is_unsaved: bool,
    history: Option<History>,
    validators: Validators,
    /// Whether the last poll got a good answer; none before the first one.
    was_good: Option<bool>,
    response_time: Duration,
    not_understood: [u64; FIELDS.len()],
    /// What was not understood in the last answer; a change of it is logged.
    strange_words: SortedSet<String>,
}

/// What makes the next request conditional, as received.
#[derive(Clone, Debug, Default)]
struct Validators {
    etag: Option<String>,
    last_modified: Option<String>,
}

/// A good answer.
enum Learned {
    /// 304: as before.
    Unchanged,
    /// A summary.
    Page(Box<Reading>, Validators),
}

/// What is shown, for [`families`].
struct Shown<'a> {
    name: &'a str,
    scale: Scale,
    state: Option<&'a State>,
    was_good: Option<bool>,
    response_time: Duration,
    uptime: [Option<f64>; WINDOWS.len()],
    not_understood: &'a [u64; FIELDS.len()],
}

impl Statuspage {
    fn new(settings: Settings, parts: Parts) -> Statuspage {
        Statuspage {
            settings,
            parts,
            state: None,
            is_unsaved: false,
            history: None,
            validators: Validators::default(),
            was_good: None,
            response_time: Duration::ZERO,
            not_understood: [0; FIELDS.len()],
            strange_words: SortedSet::new(),
        }
    }

    /// The page's address, for links that an answer leaves out.
    fn page(&self) -> String {
        let address = self.settings.url.to_string();
        address
            .strip_suffix(SUMMARY_PATH)
            .unwrap_or(&address)
            .trim_end_matches('/')
            .to_owned()
    }

    fn ask(&self, poll: &Poll<'_>) -> Result<Decoded<Learned>, Failure> {
        let mut headers = vec![("accept", "application/json".to_owned())];
        // Without a state there is nothing that "unchanged" could mean.
        if self.state.is_some() {
            let Validators {
                etag,
                last_modified,
            } = self.validators.clone();
            headers.extend(etag.map(|etag| ("if-none-match", etag)));
            headers.extend(last_modified.map(|date| ("if-modified-since", date)));
        }
        let retry = Retry {
            pauses: PAUSES,
            jitter_share: PAUSE_JITTER_SHARE,
            retry_after: RetryAfter::NotPast(poll.until),
            ..Retry::NEVER
        };
        let request = Request {
            headers,
            retry,
            ..Request::get(&self.settings.url)
        };
        let page = self.page();
        poll.upstream.send(&request, |answer| learn(answer, &page))
    }

    fn take_in(&mut self, learned: Learned, now: Timestamp) {
        match learned {
            Learned::Unchanged => {
                if let Some(state) = &mut self.state {
                    state.seen_at_ms = now.as_millisecond();
                    state.forget_old(now, self.settings.resolved_retention);
                }
            }
            Learned::Page(reading, validators) => {
                self.validators = validators;
                self.note_strange_words(&reading);
                let earlier = self.state.take();
                let (state, changes) = State::advance(
                    earlier.clone(),
                    *reading,
                    now,
                    self.settings.resolved_retention,
                );
                self.is_unsaved |= earlier.is_none_or(|earlier| state.differs_from(&earlier));
                self.state = Some(state);
                self.announce(&changes, now);
            }
        }
    }

    fn note_strange_words(&mut self, reading: &Reading) {
        let strange = &reading.not_understood;
        for (total, count) in self.not_understood.iter_mut().zip(strange.counts) {
            *total += count;
        }
        if strange.examples != self.strange_words {
            let words: Vec<&str> = strange.examples.iter().map(String::as_str).collect();
            if !words.is_empty() {
                log::warn!(service = self.parts.key, words = words.join(" "); "page not fully understood");
            }
            self.strange_words = strange.examples.clone();
        }
    }

    fn announce(&self, changes: &[Change], now: Timestamp) {
        for Change { event, incident } in changes {
            let text = post_text(&self.settings.name, *event, incident);
            self.parts
                .notifier
                .announce(&self.parts.key, &incident.id, *event, text, now);
        }
    }

    /// One sample for every poll whose status is known.
    fn record(&mut self, now: Timestamp, is_live: bool) {
        if let (Some(state), Some(history)) = (&self.state, &mut self.history) {
            history.append(
                now,
                state.verdict.standing == Standing::Operational,
                is_live,
            );
        }
    }
}

/// Runs on the short-lived stack: parses, so that only what is kept comes back.
fn learn(answer: &Answer, page: &str) -> Result<Learned, Failure> {
    if answer.status == 304 {
        return Ok(Learned::Unchanged);
    }
    let mut reading = reading::read(&answer.body, page)?;
    // They are logged, and a page may repeat there what it was sent.
    let words = std::mem::take(&mut reading.not_understood.examples).into_iter();
    reading.not_understood.examples = words.map(|word| answer.mask.apply(&word)).collect();
    let validators = Validators {
        etag: answer.header("etag"),
        last_modified: answer.header("last-modified"),
    };
    Ok(Learned::Page(Box::new(reading), validators))
}

impl Source for Statuspage {
    fn restore(&mut self, kept: Option<Kept>, now: Timestamp) -> bool {
        let (key, cache) = (&self.parts.key, Arc::clone(&self.parts.cache));
        let kept_state = kept.and_then(|kept| match serde_json::from_value(kept.state) {
            Ok(state) => Some(state),
            Err(cause) => {
                cache.set_aside_state(key, &cause.to_string());
                None
            }
        });
        self.state = match kept_state {
            Some(state) => Some(state),
            None => {
                let taken_over = cache
                    .original_state(key)
                    .and_then(|text| original::state(&text, now));
                self.is_unsaved = taken_over.is_some();
                taken_over
            }
        };
        let samples = || {
            cache
                .original_history(key)
                .map(original::samples)
                .unwrap_or_default()
        };
        let history = History::open(&cache, key, self.parts.interval, now, samples);
        if let Some(state) = &mut self.state {
            state.forget_old(now, self.settings.resolved_retention);
            // The file is not written when nothing changes; the history knows of later good polls.
            let last_live_ms = history.last_live().map(Timestamp::as_millisecond);
            state.seen_at_ms = state.seen_at_ms.max(last_live_ms.unwrap_or(i64::MIN));
        }
        self.history = Some(history);
        self.state.is_some()
    }

    fn poll(&mut self, poll: &mut Poll<'_>) -> Result<(), Failure> {
        let outcome = self.ask(poll);
        // What follows writes the history and posts.
        let lease = self.parts.lease.clone();
        let Some(_held) = lease.hold() else {
            return Err(Failure::gone());
        };
        let now = self.parts.clock.now();
        let outcome = outcome.map(|answer| {
            self.response_time = answer.duration;
            self.take_in(answer.value, now);
        });
        self.was_good = Some(outcome.is_ok());
        self.record(now, outcome.is_ok());
        outcome
    }

    fn families(&self, families: &mut Families) {
        let shown = Shown {
            name: &self.settings.name,
            scale: self.settings.scale,
            state: self.state.as_ref(),
            was_good: self.was_good,
            response_time: self.response_time,
            uptime: self
                .history
                .as_ref()
                .map(History::percentages)
                .unwrap_or_default(),
            not_understood: &self.not_understood,
        };
        families::add(&shown, families);
    }

    fn headline(&self) -> Option<String> {
        let state = self.state.as_ref()?;
        let standing = match (state.verdict.standing, state.verdict.severity) {
            (Standing::Operational, _) => "operational",
            (Standing::Maintenance, _) => "maintenance",
            (Standing::Trouble, 4..) => "critical trouble",
            (Standing::Trouble, 3) => "major trouble",
            (Standing::Trouble, _) => "minor trouble",
        };
        let incidents = state.active_incidents().count();
        let counted = match incidents {
            0 => String::new(),
            1 => ", 1 incident".to_owned(),
            more => format!(", {more} incidents"),
        };
        Some(format!("{standing}{counted}"))
    }

    fn overview(&self) -> Overview {
        let of_state = |state| overview::overview(state, &self.strange_words);
        self.state.as_ref().map(of_state).unwrap_or_default()
    }

    fn unsaved(&self) -> Option<String> {
        let state = self.state.as_ref().filter(|_| self.is_unsaved)?;
        serde_json::to_string(state).ok()
    }

    fn saved(&mut self) {
        self.is_unsaved = false;
    }
}

/// The text of a post, with the page's words escaped.
fn post_text(service: &str, event: Event, incident: &state::Incident) -> String {
    let labels = &incident.labels;
    let line = |name: &str, value: &str| match value {
        "" => String::new(),
        value => format!("\n*{name}:* {}", slack_text(cut(value, 500))),
    };
    let head = match event {
        Event::Opened => "🔴 *Incident opened*",
        Event::Resolved => "🟢 *Incident resolved*",
    };
    let mut text = head.to_owned();
    text.push_str(&line("Service", service));
    text.push_str(&line("Incident", &labels.name));
    if event == Event::Opened {
        text.push_str(&line("Impact", &labels.impact));
    }
    text.push_str(&line("ID", &incident.id));
    if event == Event::Opened {
        text.push_str(&line("Started", &labels.started_at));
        text.push_str(&line("Affected", &labels.affected_components));
    }
    text.push_str(&line("Link", &labels.shortlink));
    text
}
