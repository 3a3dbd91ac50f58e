//! The exporter under attack: with a page of some size, and with bounds on what the attack may cost.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::ExitStatus;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit, setrlimit};
use serde_json::json;

use super::machine::{Processors, Usage};
use super::scraper::{PLAIN, PROMETHEUS, Scraper, scrape};
use crate::exporter::{Exporter, Setup};
use crate::fixtures;
use crate::upstream::{self, Behaviour, Upstream, wait_until};

/// Components of one service; with the names they have here they fill about 200 KB of the page.
const COMPONENTS: usize = 500;
/// Services of a page of 200 KB.
pub const USUAL_SERVICES: usize = 1;
/// Services of a page of 5 MB.
pub const MANY_SERVICES: usize = 25;

/// Attacks run one after the other: two at once would measure each other.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The bounds on time hold on a machine that does nothing else. Beyond this share of other work (a build, the other
/// tests of this binary) only failures are judged: a scrape waits for five threads in turn, and each of them for a
/// processor.
const QUIET_PERCENT: u64 = 20;

/// Time of a client that is no scraper; longer than any limit of the gate that it waits for.
const PATIENCE: Duration = Duration::from_secs(10);

/// What an attack may cost.
pub struct Bounds {
    pub p99: Duration,
    pub growth_kib: usize,
}

pub const USUAL: Bounds = Bounds {
    p99: Duration::from_millis(50),
    growth_kib: 16 * 1024,
};

/// Readers that do not read a page of 5 MB may keep 32 MiB of it in memory, beside the pages of those who do.
pub const HUGE_PAGE: Bounds = Bounds {
    growth_kib: 48 * 1024,
    ..USUAL
};

/// What may stay of the memory an attack has cost.
const REST_KIB: usize = 4 * 1024;

/// The exporter with its upstream. Ends with this value, and only then the next attack begins.
pub struct Victim {
    pub exporter: Exporter,
    _upstream: Upstream,
    _turn: MutexGuard<'static, ()>,
}

impl Victim {
    pub fn start() -> Victim {
        Victim::start_with(USUAL_SERVICES, |setup| setup)
    }

    /// Every service brings 200 KB of the page. They are polled once, unless `change` says otherwise.
    pub fn start_with(services: usize, change: impl Fn(Setup) -> Setup) -> Victim {
        let turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
        allow_many_descriptors();
        let upstream = Upstream::start();
        upstream.set("/s", changing(services));
        let service = |number: usize| {
            let name = format!("Service {number}");
            (
                format!("s{number}"),
                json!({"name": name, "url": upstream.url("/s")}),
            )
        };
        let described: serde_json::Map<_, _> = (0..services).map(service).collect();
        let setup = Setup::new("attacked", described.into()).with("CHECK_INTERVAL_MINUTES", "60");
        let exporter = change(setup).start();
        let page = exporter.wait_for("all services", |page| {
            let up = page.lines("saas_exporter_service_up");
            up.len() == services && up.iter().all(|line| line.ends_with(" 1"))
        });
        let bytes = page.0.len();
        assert!(bytes >= services * 200_000, "the page has {bytes} bytes");
        let victim = Victim {
            exporter,
            _upstream: upstream,
            _turn: turn,
        };
        // Every form that the scraper asks for is put together before memory is measured.
        let mut client = victim.connect();
        for request in [PLAIN, PROMETHEUS, PLAIN, PROMETHEUS] {
            scrape(&mut client, request).unwrap();
        }
        victim
    }

    pub fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.exporter.address()).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// Everything that comes back until the connection is closed; a reset ends it too.
    pub fn exchange(&self, sent: &[u8]) -> String {
        let mut client = self.connect();
        // The answer may come, and end the connection, before everything is sent.
        let _ = client.write_all(sent);
        let mut received = Vec::new();
        let _ = client.read_to_end(&mut received);
        String::from_utf8_lossy(&received).into_owned()
    }

    /// Waits for the end after a signal; gives status and time.
    pub fn stop(self, signal: i32) -> (ExitStatus, Duration) {
        self.exporter.stop(signal)
    }

    /// Runs the attack while a scraper scrapes, and checks everything that must hold meanwhile and afterwards.
    ///
    /// What the attack returns (its open connections) is dropped before the aftermath is judged.
    pub fn survives<T>(&self, bounds: &Bounds, attack: impl FnOnce(&Victim) -> T) {
        let pid = self.exporter.pid();
        let before = settled(pid);
        let processors = Processors::watch(pid);
        let scraper = Scraper::start(self.exporter.address(), pid);

        drop(attack(self));
        scraper.continue_for(5);

        let (times, peak) = scraper.stop();
        let others = processors.share_of_others();
        let (p50, p99) = (
            times[times.len() / 2],
            times[(times.len() * 99).div_ceil(100) - 1],
        );
        report(&format!(
            "{} scrapes, p50 {p50:?}, p99 {p99:?}, others use {others} %; {before:?}, {peak:?}",
            times.len()
        ));
        let grown_kib = peak.rss_kib.saturating_sub(before.rss_kib);
        assert!(grown_kib <= bounds.growth_kib, "grew by {grown_kib} KiB");
        if others < QUIET_PERCENT {
            assert!(
                p99 <= bounds.p99,
                "p99 is {p99:?} of {} scrapes",
                times.len()
            );
        }
        self.returns_to(before);
    }

    /// Waits, for the 30 s that the harness waits for anything, until the process uses what it used before. It is
    /// still the same process: there is no other of this id, and none that starts it again.
    fn returns_to(&self, before: Usage) {
        let mut after = before;
        let what = format!("resources to be given back, used before: {before:?}");
        let given_back_after = Instant::now();
        wait_until(&what, || {
            after = Usage::of(self.exporter.pid());
            let is_back = after.descriptors <= before.descriptors
                && after.threads <= before.threads
                && after.rss_kib <= before.rss_kib + REST_KIB;
            is_back.then_some(())
        });
        report(&format!(
            "given back after {:?}: {after:?}",
            given_back_after.elapsed()
        ));
    }
}

/// For `--nocapture`: what was measured.
#[allow(clippy::print_stderr)]
pub fn report(text: &str) {
    eprintln!("{}: {text}", thread::current().name().unwrap_or_default());
}

/// Crowds of 2,000 need as many descriptors on our side too; many machines give 1,024 unless asked.
fn allow_many_descriptors() {
    const WANTED: u64 = 8_192;
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let mut limit = getrlimit(Resource::Nofile);
        if limit.current.is_some_and(|current| current < WANTED) {
            limit.current = Some(limit.maximum.map_or(WANTED, |most| most.min(WANTED)));
            setrlimit(Resource::Nofile, limit).unwrap();
        }
    });
}

/// What the process uses once what came before is cleared away: the same twice, 50 ms apart.
fn settled(pid: u32) -> Usage {
    let mut last = Usage::of(pid);
    wait_until("descriptors and threads to stay the same", || {
        thread::sleep(Duration::from_millis(50));
        let previous = std::mem::replace(&mut last, Usage::of(pid));
        let is_same = |of: fn(&Usage) -> usize| of(&previous) == of(&last);
        (is_same(|usage| usage.descriptors) && is_same(|usage| usage.threads)).then_some(last)
    })
}

/// A page on which all components change with every round of polls. After the first round the answers come one after
/// the other, 30 ms apart, so that the exporter's own page changes as often.
fn changing(services: usize) -> Behaviour {
    let pages = ["operational", "major_outage"].map(page_of_many_components);
    let asked = AtomicUsize::new(0);
    Arc::new(move |_, stream| {
        let asked = asked.fetch_add(1, Ordering::Relaxed);
        let (round, place) = (asked / services, asked % services);
        if round > 0 {
            thread::sleep(Duration::from_millis(30) * u32::try_from(place).unwrap());
        }
        upstream::answer(stream, 200, &[], pages[round % pages.len()].as_bytes());
    })
}

fn page_of_many_components(status: &str) -> String {
    let component = |number: usize| {
        json!({
            "id": format!("component{number:05}"), "name": format!("Component number {number:05} of the service"),
            "status": status, "group_id": null, "group": false, "position": number
        })
    };
    let mut page = fixtures::calm();
    page["components"] = (0..COMPONENTS).map(component).collect();
    page.to_string()
}
