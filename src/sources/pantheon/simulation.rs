//! Hours of polling in a moment: the whole source against an upstream in this process, with a clock that jumps.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use super::settings::{History, Latest, Names, Tokens};
use super::*;
use crate::cache::Cache;
use crate::clock::{Clock, fake::FakeClock};
use crate::fetch::{Fetcher, Proxies, Upstream, UpstreamSettings};
use crate::model::MetricFamily;
use crate::notify::Notifier;

const HOUR: Duration = Duration::from_secs(3600);
const MINUTE: Duration = Duration::from_secs(60);
const DAY_S: i64 = 24 * 3600;
const TODAY_S: i64 = 1_762_819_200;

/// Status, headers and body.
type Answer = (u16, &'static str, String);

/// A request as it came, with the fake time since the start.
#[derive(Clone, Debug)]
struct Seen {
    after: Duration,
    target: String,
}

/// An upstream of one account whose answers a test may replace, target by target.
struct Api {
    address: String,
    clock: Arc<FakeClock>,
    begun: Instant,
    seen: Mutex<Vec<Seen>>,
    sites: Mutex<Vec<String>>,
    visits: Mutex<BTreeMap<String, i64>>,
    /// What the next requests of traffic get instead.
    troubles: Mutex<Vec<Answer>>,
    /// How long a session lasts.
    session_s: AtomicI64,
    is_stopped: AtomicBool,
}

fn site_id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

impl Api {
    fn start(sites: usize) -> Arc<Api> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let clock = Arc::new(FakeClock::at("2025-11-11T12:00:00Z"));
        let api = Arc::new(Api {
            address: listener.local_addr().unwrap().to_string(),
            begun: clock.instant(),
            clock,
            seen: Mutex::default(),
            sites: Mutex::new((0..sites).map(site_id).collect()),
            visits: Mutex::default(),
            troubles: Mutex::default(),
            session_s: AtomicI64::new(28 * DAY_S),
            is_stopped: AtomicBool::new(false),
        });
        let served = Arc::clone(&api);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                if served.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                served.serve(stream);
            }
        });
        api
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut lines, mut length) = (Vec::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if line.trim().is_empty() {
                break;
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            lines.push(line);
        }
        reader.read_exact(&mut vec![0; length]).unwrap();
        let target = lines[0].split(' ').nth(1).unwrap().to_owned();
        let (status, headers, body) = self.answer(&target);
        let after = self.clock.instant() - self.begun;
        self.seen.lock().unwrap().push(Seen { after, target });
        let length = body.len();
        let text = format!(
            "HTTP/1.1 {status} S\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n{body}"
        );
        let _ = stream.write_all(text.as_bytes());
    }

    fn answer(&self, target: &str) -> Answer {
        let sites = self.sites.lock().unwrap().clone();
        let body = match target.split('?').next().unwrap() {
            "/authorize/machine-token" => {
                let end_s = self.clock.now().as_second() + self.session_s.load(Ordering::SeqCst);
                serde_json::json!({"session": "s", "user_id": "u", "expires_at": end_s})
            }
            "/users/u" => serde_json::json!({"email": "ops@example.com"}),
            "/users/u/memberships/organizations" => serde_json::json!([]),
            "/users/u/memberships/sites" => {
                let start = target.split_once("start=").map(|(_, id)| id);
                let place = start.map_or(0, |id| {
                    sites.iter().position(|site| site == id).unwrap() + 1
                });
                let page = sites[place..].iter().take(100);
                page.map(|id| serde_json::json!({"id": id, "site": {"id": id, "name": id}}))
                    .collect()
            }
            _ => {
                if let Some(trouble) = self.troubles.lock().unwrap().pop() {
                    return trouble;
                }
                let id = target.split('/').nth(2).unwrap();
                let visits = *self.visits.lock().unwrap().get(id).unwrap_or(&7);
                let days = if target.ends_with("28d") { 28 } else { 1 };
                let days = (0..days).map(
                    |day| serde_json::json!({"timestamp": TODAY_S - day * DAY_S, "visits": visits}),
                );
                serde_json::json!({"timeseries": days.collect::<Vec<_>>()})
            }
        };
        (200, "", body.to_string())
    }

    /// The traffic requests so far: when, site, `28d` or `1d`.
    fn traffic(&self) -> Vec<(Duration, String, String)> {
        let seen = self.seen.lock().unwrap().clone();
        let traffic = seen
            .into_iter()
            .filter(|seen| seen.target.contains("/traffic"));
        traffic
            .map(|seen| {
                let site = seen.target.split('/').nth(2).unwrap().to_owned();
                let duration = seen.target.rsplit('=').next().unwrap().to_owned();
                (seen.after, site, duration)
            })
            .collect()
    }
}

/// A source that polls the upstream.
struct Run {
    api: Arc<Api>,
    source: Pantheon,
    upstream: Upstream,
    folder: PathBuf,
}

impl Run {
    fn new(api: &Arc<Api>, interval: Duration) -> Run {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "saas-exporter-pantheon-{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::SeqCst)
        );
        let folder = std::env::temp_dir().join(name);
        let clock: Arc<dyn Clock> = api.clock.clone();
        let fetcher = Arc::new(Fetcher::new(8, Proxies::default(), None));
        let cache = Arc::new(Cache::open(&folder, false));
        let parts = Parts {
            key: "pantheon".to_owned(),
            interval,
            clock: Arc::clone(&clock),
            cache: Arc::clone(&cache),
            notifier: Notifier::start(None, Arc::clone(&fetcher), Arc::clone(&clock), cache),
            lease: crate::lease::Lease::default(),
        };
        let settings = Settings {
            tokens: Tokens::Given(vec![Secret::literal("a-long-machine-token")]),
            environment: "live".to_owned(),
            refresh_interval: interval,
            site_limit: None,
            org_id: None,
            api_base: format!("http://{}", api.address),
            request_timeout: Duration::from_secs(10),
            names: Names::Both,
            latest: Latest::Now,
            history: History::Bootstrap,
            zero_guard: HOUR,
        };
        let upstream = UpstreamSettings {
            timeout: Duration::from_secs(10),
            headers: Vec::new(),
            ca: None,
        };
        Run {
            api: Arc::clone(api),
            source: Pantheon::new(settings, parts),
            upstream: Upstream::new(fetcher, clock, &upstream),
            folder,
        }
    }

    /// Polls as the poller does, until so much fake time has passed since the start.
    fn until(&mut self, end: Duration) {
        let clock = Arc::clone(&self.api.clock);
        loop {
            // A failure shows in the metrics and is no reason to stop.
            let _ = self.poll();
            let Next::At(next) = self.source.next() else {
                panic!("a moment of its own");
            };
            let wait = next.saturating_duration_since(clock.instant());
            if clock.instant() + wait > self.api.begun + end {
                return;
            }
            clock.pause(wait).unwrap();
        }
    }

    fn poll(&mut self) -> Result<(), Failure> {
        let mut poll = Poll {
            upstream: &self.upstream,
            until: self.api.clock.instant() + HOUR,
            publish: &mut |_| {},
        };
        self.source.poll(&mut poll)
    }

    fn families(&self) -> Vec<MetricFamily> {
        let mut families = Families::default();
        self.source.families(&mut families);
        families.finish()
    }

    /// The values of a family, in label order and by time.
    fn values(&self, name: &str) -> Vec<f64> {
        let families = self.families();
        let family = families.iter().find(|family| family.meta.name == name);
        let samples = family
            .map(|family| family.samples.clone())
            .unwrap_or_default();
        samples.iter().map(|sample| sample.value).collect()
    }

    /// The pauses between attempts.
    fn pauses_s(&self) -> Vec<u64> {
        let pauses = self.api.clock.pauses();
        let pauses = pauses.iter().filter(|pause| !pause.is_zero());
        pauses.map(Duration::as_secs).collect()
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        self.api.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread so that it sees the flag.
        let _ = TcpStream::connect(&self.api.address);
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

fn check_spread(sites: usize, most_a_minute: usize) {
    let api = Api::start(sites);
    let mut run = Run::new(&api, HOUR);
    run.until(3 * HOUR + HOUR / 2);
    let traffic = api.traffic();
    let (first, refreshes): (Vec<_>, Vec<_>) = traffic
        .into_iter()
        .partition(|(.., duration)| duration == "28d");
    assert_eq!(first.len(), sites, "every site has its history once");
    let starts: Vec<Duration> = refreshes.iter().map(|(after, ..)| *after).collect();
    for begin in &starts {
        let in_minute = |start: &&Duration| (*begin..*begin + MINUTE).contains(*start);
        let count = starts.iter().filter(in_minute).count();
        assert!(
            count <= most_a_minute,
            "{sites} sites: {count} starts in a minute"
        );
    }
    let mut of_site: BTreeMap<&str, Vec<Duration>> = BTreeMap::new();
    for (after, site, _) in &refreshes {
        of_site.entry(site).or_default().push(*after);
    }
    assert_eq!(of_site.len(), sites);
    for (site, starts) in of_site {
        assert!(starts.len() >= 2, "{site}: {starts:?}");
        assert!(starts[0] <= HOUR + 5 * MINUTE, "{site}: {starts:?}");
        for pair in starts.windows(2) {
            let gap = pair[1] - pair[0];
            let is_an_hour = gap > HOUR - MINUTE && gap < HOUR + MINUTE;
            assert!(is_an_hour, "{sites} sites, {site}: {starts:?}");
        }
    }
}

// Contract test 17.
#[test]
fn refreshes_are_spread_over_the_interval_and_every_site_has_one_an_hour() {
    check_spread(1, 1);
    check_spread(59, 1);
    check_spread(60, 1);
    check_spread(61, 2);
    check_spread(100, 2);
}

// Contract test 16 (see also the tests of the binary).
#[test]
fn a_site_found_later_has_its_history_at_once_and_ahead_of_its_turn() {
    let api = Api::start(3);
    let mut run = Run::new(&api, HOUR);
    run.until(HOUR - MINUTE);
    api.sites.lock().unwrap().push(site_id(99));
    run.until(2 * HOUR + HOUR / 2);
    let traffic = api.traffic();
    let mut of_new = traffic.iter().filter(|(_, site, _)| *site == site_id(99));
    let (after, _, duration) = of_new.next().unwrap();
    assert_eq!((*after, duration.as_str()), (HOUR, "28d"));
    assert_eq!(of_new.next().unwrap().2, "1d");
}

// Contract test 18.
#[test]
fn a_site_with_traffic_keeps_its_values_for_an_hour_of_zeros_and_an_idle_one_shows_them_at_once() {
    let api = Api::start(2);
    api.visits.lock().unwrap().insert(site_id(1), 0);
    let mut run = Run::new(&api, 10 * MINUTE);
    run.until(25 * MINUTE);
    // Yesterday and today of each site.
    let idle = |run: &Run| run.values("pantheon_visits")[3];
    let first = |run: &Run| run.values("pantheon_visits")[1];
    assert_eq!((first(&run), idle(&run)), (7.0, 0.0));
    let held = |run: &Run| run.values("pantheon_exporter_zero_responses_total");
    assert!(held(&run).is_empty());
    api.visits.lock().unwrap().insert(site_id(0), 0);
    // The first zeros come by minute 35: until minute 85 no hour has passed.
    run.until(84 * MINUTE);
    assert_eq!(first(&run), 7.0);
    assert!(held(&run)[0] >= 5.0, "{:?}", held(&run));
    run.until(110 * MINUTE);
    assert_eq!(first(&run), 0.0);
}

// Contract test 22.
#[test]
fn a_503_is_asked_again_after_1_2_4_8_and_16_seconds_and_a_429_after_what_it_asks_for() {
    let api = Api::start(1);
    let trouble = (503, "", "busy".to_owned());
    *api.troubles.lock().unwrap() = vec![trouble.clone(); 5];
    let mut run = Run::new(&api, HOUR);
    run.poll().unwrap();
    assert_eq!(run.pauses_s(), [1, 2, 4, 8, 16]);
    assert_eq!(run.values("pantheon_visits").len(), 28);
    let counts = run.source.requests.counts();
    assert!(counts.contains(&(("traffic", "http_5xx"), 5)), "{counts:?}");
    assert!(counts.contains(&(("traffic", "ok"), 1)), "{counts:?}");

    let api = Api::start(1);
    let limited = (429, "retry-after: 7\r\n", String::new());
    *api.troubles.lock().unwrap() = vec![limited];
    let mut run = Run::new(&api, HOUR);
    run.poll().unwrap();
    assert_eq!(run.pauses_s(), [7]);

    let api = Api::start(1);
    let endless = (429, "retry-after: 86400\r\n", String::new());
    *api.troubles.lock().unwrap() = vec![endless];
    let mut run = Run::new(&api, HOUR);
    run.poll().unwrap();
    assert_eq!(run.pauses_s(), [300], "no longer than five minutes");

    let api = Api::start(1);
    *api.troubles.lock().unwrap() = vec![trouble; 6];
    let mut run = Run::new(&api, HOUR);
    assert_eq!(run.poll().unwrap_err().kind(), "http_5xx");
    assert_eq!(run.values("pantheon_exporter_site_errors_total"), [1.0]);
    assert_eq!(api.traffic().len(), 6);
    // Its history is still due, at its next turn.
    run.until(HOUR + 30 * MINUTE);
    assert!(
        api.traffic()[6..]
            .iter()
            .any(|(.., duration)| duration == "28d")
    );
    assert_eq!(run.values("pantheon_visits").len(), 28);
}

#[test]
fn the_first_poll_logs_in_and_lists_and_an_hour_later_only_lists_and_sites_are_asked_for() {
    let api = Api::start(3);
    let mut run = Run::new(&api, HOUR);
    run.until(4 * MINUTE);
    let count = || api.seen.lock().unwrap().len();
    // Login, who-am-i, sites, organisations, and the three sites.
    assert_eq!(count(), 7);
    for hour in 1..4 {
        let before = count();
        run.until(HOUR * hour + 4 * MINUTE);
        assert_eq!(count() - before, 5, "hour {hour}");
    }
}

fn check_logins(session: Duration, expected_h: &[u64]) {
    let api = Api::start(1);
    let session_s = i64::try_from(session.as_secs()).unwrap();
    api.session_s.store(session_s, Ordering::SeqCst);
    Run::new(&api, HOUR).until(5 * HOUR);
    let seen = api.seen.lock().unwrap().clone();
    let logins = seen
        .iter()
        .filter(|seen| seen.target.starts_with("/authorize"));
    let hours: Vec<u64> = logins.map(|seen| seen.after.as_secs() / 3600).collect();
    assert_eq!(hours, expected_h, "{session:?}");
}

#[test]
fn a_session_is_used_until_five_minutes_before_its_end() {
    check_logins(28 * 24 * HOUR, &[0]);
    check_logins(2 * HOUR + 5 * MINUTE, &[0, 2, 4]);
    check_logins(2 * HOUR + 6 * MINUTE, &[0, 3]);
    // An end that has passed already is none.
    check_logins(Duration::ZERO, &[0]);
}

#[test]
fn past_the_end_of_a_poll_work_goes_on_only_beside_a_job_that_began_before_it() {
    let api = Api::start(0);
    let mut run = Run::new(&api, HOUR);
    let other = Account::new(Secret::literal("another-token"), "other".to_owned());
    run.source.accounts.push(other);
    let end = api.begun + MINUTE;
    let mut place_of_job = |busy_since: Option<Instant>, now: Instant| {
        run.source.accounts[0].busy_since = busy_since;
        run.source.next_job(now, end).map(|(place, _)| place)
    };
    assert_eq!(place_of_job(None, api.begun), Some(0));
    assert_eq!(place_of_job(None, end), None);
    assert_eq!(place_of_job(Some(api.begun), end), Some(1));
    assert_eq!(place_of_job(Some(end), end + MINUTE), None);
}

#[test]
fn what_was_kept_is_shown_at_once_and_its_history_is_not_fetched_again() {
    let api = Api::start(2);
    let mut first = Run::new(&api, HOUR);
    first.until(MINUTE);
    let kept = first
        .source
        .unsaved()
        .expect("the history is worth a write");
    first.source.saved();
    assert_eq!(first.source.unsaved(), None);
    for secret in ["a-long-machine-token", "\"s\"", "\"u\""] {
        assert!(!kept.contains(secret), "{secret} in {kept}");
    }

    let mut second = Run::new(&api, HOUR);
    let state = serde_json::from_str(&kept).unwrap();
    let kept = cache::Kept {
        state,
        saved_at: api.clock.now(),
    };
    assert!(second.source.restore(Some(kept), api.clock.now()));
    assert_eq!(
        second.values("pantheon_visits"),
        first.values("pantheon_visits")
    );
    assert_eq!(second.values("pantheon_exporter_account_up"), [0.0; 0]);
    second.until(2 * HOUR);
    let long = api.traffic();
    let long = long.iter().filter(|(.., duration)| duration == "28d");
    assert_eq!(long.count(), 2);
    assert_eq!(second.values("pantheon_exporter_account_up"), [1.0]);
}
