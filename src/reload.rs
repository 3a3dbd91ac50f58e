//! Reads the configuration again while everything goes on, at SIGHUP or `POST /-/reload`: all of it or nothing.
//!
//! A reload runs on a thread of its own, one after the other; whoever asks while one runs is answered by the next,
//! since the files may have changed meanwhile. What a configuration is, is known by [`crate::config`]; which services
//! begin and end, by [`crate::roster`]. The thread of the signals and the main loop ask, and neither waits.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::{Duration, Instant};

use crate::clock::Clock;
use crate::config::settings::Given;
use crate::config::{Config, Listen, LogSettings, Problem, Service};
use crate::fetch::Roots;
use crate::gate::{Held, Method, Rule};
use crate::poller::{Rounds, Shared};
use crate::roster::{Changes, Roster};
use crate::shard::Shard;
use crate::snapshot::Snapshot;
use crate::supervisor::Supervisor;
use crate::telemetry::ConfigHealth;

/// Where a reload is asked for.
pub const PATH: &str = "/-/reload";
/// What the gate lets through there.
pub const RULES: &[Rule] = &[Rule {
    path: PATH,
    methods: &[Method::Post],
}];

/// Time between the beginnings of two reloads: whoever reaches the port may ask, and shall not keep the disk busy.
const SPACING: Duration = Duration::from_secs(1);
/// Requests that wait for their answer; more are refused. They are answered together.
const WAITING_LIMIT: usize = 16;
/// Stack of a reload: JSON may be nested, and certificates are read.
const STACK_BYTES: usize = 1024 * 1024;
/// Mistakes that an answer lists; a file may hold many thousands.
const SHOWN_PROBLEMS: usize = 1_000;
/// Mistakes that are logged one by one.
const LOGGED_PROBLEMS: usize = 20;

/// Reads the configuration again when it is asked to.
pub struct Reloader {
    given: Given,
    clock: Arc<dyn Clock>,
    supervisor: Arc<Supervisor>,
    /// For what the supervisor is told.
    snapshot: Arc<Snapshot>,
    health: Arc<ConfigHealth>,
    fixed: Fixed,
    /// Guards the running services.
    roster: Mutex<Roster>,
    /// Guards who has asked.
    asked: Mutex<Asked>,
    /// Guards whether the supervisor knows of a reload that has not begun; held while it is told, so that no report
    /// overtakes another.
    is_announced: Mutex<bool>,
}

/// What the process was started with and cannot change.
pub struct Fixed {
    listen: Vec<Listen>,
    log: LogSettings,
    roots: Option<Roots>,
    shard: Shard,
}

struct Asked {
    is_wanted: bool,
    is_running: bool,
    last: Option<Instant>,
    waiting: Vec<Held>,
}

impl Fixed {
    /// That part of a configuration.
    pub fn of(config: &Config) -> Fixed {
        Fixed {
            listen: config.listen.clone(),
            log: config.log,
            roots: config.roots.clone(),
            shard: config.shard,
        }
    }
}

impl Reloader {
    /// For a configuration that was read out of `given`. Whoever asks before [`Reloader::begin`] has to wait for it.
    pub fn new(
        given: Given,
        fixed: Fixed,
        shared: Shared,
        supervisor: Arc<Supervisor>,
    ) -> Reloader {
        let asked = Asked {
            is_wanted: false,
            is_running: true,
            last: None,
            waiting: Vec::new(),
        };
        Reloader {
            given,
            health: Arc::new(ConfigHealth::good(shared.clock.now())),
            clock: Arc::clone(&shared.clock),
            supervisor,
            snapshot: Arc::clone(&shared.snapshot),
            fixed,
            roster: Mutex::new(Roster::new(shared, Rounds::Endless)),
            asked: Mutex::new(asked),
            is_announced: Mutex::default(),
        }
    }

    /// Begins the services that the process starts with.
    ///
    /// # Errors
    /// The system gives too few threads.
    pub fn begin(self: &Arc<Self>, services: Vec<Service>) -> io::Result<()> {
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        roster.change(services)?;
        drop(roster);
        let mut asked = self.lock();
        asked.is_running = false;
        let is_wanted = asked.is_wanted;
        drop(asked);
        if is_wanted {
            self.ask(None);
        }
        Ok(())
    }

    /// Whether the last reload went well, for the metrics.
    pub fn health(&self) -> Arc<ConfigHealth> {
        Arc::clone(&self.health)
    }

    /// The same as [`Reloader::ask`], for a supervisor: `systemctl reload` waits only for what it hears of before the
    /// command that sent the signal has ended, so it hears of a reload that has yet to wait for its turn.
    pub fn hang_up(self: &Arc<Self>) {
        let mut is_announced = self.announcement();
        *is_announced = true;
        self.supervisor.reloading();
        drop(is_announced);
        self.ask(None);
    }

    /// Begins a reload, or lets one follow on that which runs. Returns at once; `request` is answered when it is done.
    pub fn ask(self: &Arc<Self>, request: Option<Held>) {
        let mut asked = self.lock();
        if let Some(request) = request {
            if asked.waiting.len() >= WAITING_LIMIT {
                drop(asked);
                let text = "Too many wait for a reload that is still running.\n";
                return request.answer(503, text.to_owned());
            }
            asked.waiting.push(request);
        }
        asked.is_wanted = true;
        if std::mem::replace(&mut asked.is_running, true) {
            return;
        }
        drop(asked);
        let own = Arc::clone(self);
        let thread = Builder::new()
            .name("reload".to_owned())
            .stack_size(STACK_BYTES);
        if let Err(cause) = thread.spawn(move || while own.run_next() {}) {
            let problem = format!("cannot start a thread: {cause}; raise the limit of processes");
            let mut asked = self.lock();
            (asked.is_running, asked.is_wanted) = (false, false);
            let waiting = std::mem::take(&mut asked.waiting);
            drop(asked);
            self.tell_begin();
            self.tell_end();
            let text = self.refuse(&[Problem::new(problem)]);
            answer(waiting, 500, &text);
        }
    }

    /// One reload for all who have asked so far; false when nobody has.
    fn run_next(&self) -> bool {
        let mut asked = self.lock();
        if !asked.is_wanted {
            asked.is_running = false;
            return false;
        }
        let passed = asked.last.map_or(SPACING, |last| last.elapsed());
        drop(asked);
        // The process stops: nobody waits for this any more.
        if self.clock.pause(SPACING.saturating_sub(passed)).is_err() {
            return false;
        }
        let mut asked = self.lock();
        (asked.is_wanted, asked.last) = (false, Some(Instant::now()));
        let waiting = std::mem::take(&mut asked.waiting);
        drop(asked);
        self.tell_begin();
        let outcome = catch_unwind(AssertUnwindSafe(|| self.reload()));
        self.tell_end();
        let (status, text) = outcome.unwrap_or_else(|_| {
            let what = "a defect of this program; the log says where, please report it";
            (500, self.refuse(&[Problem::new(what)]))
        });
        answer(waiting, status, &text);
        true
    }

    fn tell_begin(&self) {
        let mut is_announced = self.announcement();
        if !std::mem::take(&mut *is_announced) {
            self.supervisor.reloading();
        }
    }

    /// Says nothing where the next reload is awaited already: this would be taken for its end.
    fn tell_end(&self) {
        let is_announced = self.announcement();
        if !*is_announced {
            self.supervisor.ready(&self.snapshot);
        }
    }

    fn announcement(&self) -> MutexGuard<'_, bool> {
        self.is_announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The status and the text of the answer.
    fn reload(&self) -> (u16, String) {
        let config = match Config::again(&self.given) {
            Ok(config) if config.shard == self.fixed.shard => config,
            Ok(_) => {
                let what = "the host name tells of another shard; start the process again";
                return (500, self.refuse(&[Problem::new(what)]));
            }
            Err(problems) => return (500, self.refuse(&problems)),
        };
        let unchangeable = self.unchangeable(&config);
        for warning in &config.warnings {
            log::warn!("{warning}");
        }
        let file = config.services_file;
        let mut roster = self.roster.lock().unwrap_or_else(PoisonError::into_inner);
        let changes = match roster.change(config.services) {
            Ok(changes) => changes,
            Err(cause) => {
                let problem = format!("cannot begin the services: {cause}; try again in a minute");
                return (500, self.refuse(&[Problem::new(problem)]));
            }
        };
        drop(roster);
        let now_ms = self.clock.now().as_millisecond();
        self.health.read_at_ms.store(now_ms, Ordering::Relaxed);
        self.health.is_good.store(true, Ordering::Relaxed);
        (200, accept(&file, &changes, &unchangeable))
    }

    /// What is configured differently now and stays as it is until the process is started again. Flags and variables
    /// cannot change at all.
    fn unchangeable(&self, config: &Config) -> Vec<&'static str> {
        let has_new_roots = match (&config.roots, &self.fixed.roots) {
            (Some(new), Some(old)) => !new.is_like(old),
            (new, old) => new.is_some() != old.is_some(),
        };
        let settings = [
            (config.listen != self.fixed.listen, "the listen address"),
            (config.log != self.fixed.log, "the log settings"),
            (has_new_roots, "the certificates of SSL_CERT_FILE"),
        ];
        let differs = settings.into_iter().filter(|(differs, _)| *differs);
        differs.map(|(_, name)| name).collect()
    }

    /// Notes and logs that everything stays as it is; gives the text of the answer.
    fn refuse(&self, problems: &[Problem]) -> String {
        self.health.is_good.store(false, Ordering::Relaxed);
        let count = problems.len();
        log::error!(problems = count; "configuration not reloaded, the earlier one runs on; correct it and reload again");
        for problem in problems.iter().take(LOGGED_PROBLEMS) {
            log::error!(problem:% = problem; "configuration refused");
        }
        let mut text = String::from("Not reloaded; the earlier configuration runs on.\n");
        for problem in problems.iter().take(SHOWN_PROBLEMS) {
            text.push_str(&format!("error: {problem}\n"));
        }
        if count > SHOWN_PROBLEMS {
            text.push_str(&format!("and {} more\n", count - SHOWN_PROBLEMS));
        }
        text
    }
}

/// Logs what has changed; gives the text of the answer.
fn accept(file: &str, changes: &Changes, unchangeable: &[&str]) -> String {
    let Changes {
        added,
        removed,
        changed,
        unchanged,
    } = changes;
    let keys = |keys: &[String]| keys.join(",");
    log::info!(file = file, added = keys(added), removed = keys(removed), changed = keys(changed), unchanged = unchanged; "configuration reloaded");
    let mut text = format!(
        "Reloaded {file}: {} added, {} removed, {} changed, {unchanged} unchanged.\n",
        added.len(),
        removed.len(),
        changed.len(),
    );
    if !unchangeable.is_empty() {
        let settings = unchangeable.join(", ");
        log::warn!(settings = settings; "changed settings kept as they were; start the process again for them");
        text.push_str(&format!(
            "Needs a restart, and stays as it was: {settings}.\n"
        ));
    }
    text
}

fn answer(waiting: Vec<Held>, status: u16, text: &str) {
    for request in waiting {
        request.answer(status, text.to_owned());
    }
}
