//! The process from start to end: what is started in which order, and how it stops.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cache::Cache;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Listen, Mode, Service};
use crate::fetch::Fetcher;
use crate::gate::{Counters, Door, Limits, Next, Policy};
use crate::notify::Notifier;
use crate::pages::{self, Pages};
use crate::poller::{Rounds, Shared};
use crate::reload::{self, Fixed, Reloader};
use crate::roster::Roster;
use crate::server::{Asked, ProcessFamilies, Server};
use crate::shard::Shard;
use crate::supervisor::{self, Life, Supervisor, Watchdog};
use crate::telemetry::ConfigHealth;
use crate::textfile;

/// What a cache write under way and queued posts get before the process ends.
const GRACE: Duration = Duration::from_secs(2);
/// What posts get at the end of a single round, with their retries.
const POSTS_LIMIT: Duration = Duration::from_secs(60);

/// A failure while running: what happened, where, what to do. Exit status 1.
pub type Fatal = String;

/// Everything that lives as long as the process.
struct Process {
    clock: Arc<SystemClock>,
    shared: Shared,
    services: Vec<Service>,
    shard: Shard,
}

/// Runs a configuration to its end.
pub fn run(config: Config) -> ExitCode {
    for warning in &config.warnings {
        log::warn!("{warning}");
    }
    let outcome = match config.mode {
        Mode::Daemon => serve(config),
        Mode::Once => poll_once(config),
        Mode::Check => Ok(()),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(fatal) => {
            log::error!("{fatal}");
            ExitCode::FAILURE
        }
    }
}

impl Process {
    fn new(config: Config) -> Process {
        let clock = Arc::new(SystemClock::default());
        let as_clock: Arc<dyn Clock> = clock.clone();
        let fetcher = Arc::new(Fetcher::new(
            config.concurrency,
            config.proxies,
            config.roots,
        ));
        let cache = Arc::new(Cache::open(&config.cache_dir, config.clear_cache));
        let notifier = Notifier::start(
            config.slack_webhook,
            Arc::clone(&fetcher),
            Arc::clone(&as_clock),
            Arc::clone(&cache),
        );
        let shared = Shared {
            clock: as_clock,
            fetcher,
            cache,
            notifier,
            snapshot: Arc::default(),
            packer: Arc::default(),
        };
        Process {
            clock,
            shared,
            services: config.services,
            shard: config.shard,
        }
    }

    fn server(&self, config: Arc<ConfigHealth>, gate: Option<Arc<Counters>>) -> Server {
        let Shared {
            snapshot,
            cache,
            notifier,
            ..
        } = &self.shared;
        Server {
            snapshot: Arc::clone(snapshot),
            cache: Arc::clone(cache),
            notifier: notifier.clone(),
            config,
            shard: self.shard,
            gate,
            pages: Pages::default(),
            process: ProcessFamilies::default(),
        }
    }

    /// Where the watchdog sees that the process lives.
    fn life(&self, door: &Door) -> Life {
        Life {
            gate: door.counters(),
            snapshot: Arc::clone(&self.shared.snapshot),
            fetcher: Arc::clone(&self.shared.fetcher),
        }
    }

    /// Gives what is under way a moment to reach disk and Slack.
    fn finish(&self, posts_limit: Duration) {
        let asked = self.clock.instant();
        self.shared.cache.finish_writes(GRACE);
        let passed = self.clock.instant().saturating_duration_since(asked);
        self.shared
            .notifier
            .finish(posts_limit.saturating_sub(passed));
        self.clock.stop();
    }
}

/// Polls and serves until told to stop.
fn serve(mut config: Config) -> Result<(), Fatal> {
    let supervisor = Arc::new(Supervisor::new(&config.supervision));
    let listeners = listeners(&config)?;
    let (fixed, has_reload_route) = (Fixed::of(&config), config.has_reload_route);
    let given = std::mem::take(&mut config.inputs);
    let rules = if has_reload_route { reload::RULES } else { &[] };
    let mut process = Process::new(config);
    let limits = Limits {
        longest_sleep: supervisor.longest_sleep(),
        ..Limits::default()
    };
    let door = Door::open(listeners, Policy { rules }, limits, give_up).map_err(|cause| {
        format!("cannot serve: {cause}; raise the limits of descriptors and processes")
    })?;
    let (shared, reporting) = (process.shared.clone(), Arc::clone(&supervisor));
    let reloader = Arc::new(Reloader::new(given, fixed, shared, reporting));
    let mut server = process.server(reloader.health(), Some(door.counters()));
    let (stopper, at_hangup) = (door.stopper(), Arc::clone(&reloader));
    on_signals(&[SIGTERM, SIGINT, SIGHUP], move |signal| match signal {
        SIGHUP => at_hangup.hang_up(),
        _ => stopper.stop(),
    })?;
    let services = std::mem::take(&mut process.services);
    let count = services.len();
    reloader.begin(services).map_err(no_thread)?;
    log::info!(services = count, version = crate::VERSION; "started");
    supervisor.ready(&process.shared.snapshot);
    let mut watchdog = Watchdog::new(&supervisor, process.life(&door));
    loop {
        let request = match door.next(watchdog.feed(pages::UNUSED_LIMIT)) {
            Next::Request(request) => request,
            Next::Nothing => {
                server.forget_unused();
                continue;
            }
            Next::Stopped => break,
        };
        server.forget_unused();
        if has_reload_route && request.path() == reload::PATH {
            reloader.ask(Some(request.hold()));
            continue;
        }
        let answer = server.answer(&Asked {
            target: request.target(),
            accept: request.header("Accept").unwrap_or_default(),
            accept_encoding: request.header("Accept-Encoding").unwrap_or_default(),
        });
        door.answer(request, answer);
    }
    log::info!("stopping");
    supervisor.stopping();
    process.finish(GRACE);
    Ok(())
}

/// Polls every service once and writes the text file.
fn poll_once(config: Config) -> Result<(), Fatal> {
    let textfile = config.textfile.clone();
    let mut process = Process::new(config);
    let services = std::mem::take(&mut process.services);
    let count = services.len();
    // A hang-up has its usual meaning here: it ends the process.
    on_signals(&[SIGTERM, SIGINT], |_| {
        log::error!("stopped before every service was polled; no text file written");
        std::process::exit(1);
    })?;
    let config = Arc::new(ConfigHealth::good(process.clock.now()));
    let mut roster = Roster::new(process.shared.clone(), Rounds::One);
    roster.change(services).map_err(no_thread)?;
    roster.join();
    let page = process.server(config, None).page_of_services();
    let written = textfile::write(&textfile, &page);
    process.finish(POSTS_LIMIT);
    let path = textfile.display();
    written.map_err(|cause| {
        format!(
            "cannot write {path}: {cause}; set METRICS_TEXTFILE_PATH or make its folder writable"
        )
    })?;
    log::info!(services = count, file:% = path; "polled once");
    Ok(())
}

/// Nothing can be served any more; the gate has logged why. A supervisor starts the process again.
fn give_up() {
    std::process::exit(1);
}

fn no_thread(cause: io::Error) -> Fatal {
    format!("cannot start a thread: {cause}; raise the limit of processes or list fewer services")
}

/// The sockets that the supervisor passed, else those of our own settings.
fn listeners(config: &Config) -> Result<Vec<TcpListener>, Fatal> {
    let passed = &config.supervision.sockets;
    if passed.is_empty() {
        return config.listen.iter().map(listen).collect();
    }
    let listeners = supervisor::sockets(passed)?;
    listeners.iter().for_each(log_place);
    log::info!(
        "the sockets were passed by the supervisor; METRICS_PORT and --web.listen-address are not used"
    );
    Ok(listeners)
}

/// Opens one place to listen at.
fn listen(place: &Listen) -> Result<TcpListener, Fatal> {
    let bound = match *place {
        Listen::At(address) => TcpListener::bind(address).map_err(|cause| (address, cause)),
        Listen::Everywhere(port) => listen_everywhere(port),
    };
    let listener = bound.map_err(|(address, cause)| match cause.kind() {
        ErrorKind::AddrInUse => {
            format!("cannot listen on {address}: address in use; another exporter may run here, or set METRICS_PORT")
        }
        _ => format!("cannot listen on {address}: {cause}; set METRICS_PORT or --web.listen-address"),
    })?;
    log_place(&listener);
    Ok(listener)
}

fn log_place(listener: &TcpListener) {
    match listener.local_addr() {
        Ok(address) => log::info!(address:% = address; "listening"),
        Err(cause) => log::info!(cause:% = cause; "listening"),
    }
}

/// All IPv6 and IPv4 addresses, or all IPv4 ones where the machine has no IPv6.
fn listen_everywhere(port: u16) -> Result<TcpListener, (SocketAddr, io::Error)> {
    let both = SocketAddr::from((Ipv6Addr::UNSPECIFIED, port));
    let only_v4 = SocketAddr::from((Ipv4Addr::UNSPECIFIED, port));
    match TcpListener::bind(both) {
        Ok(listener) => Ok(listener),
        Err(cause) if cause.kind() == ErrorKind::AddrInUse => Err((only_v4, cause)),
        Err(_) => TcpListener::bind(only_v4).map_err(|cause| (only_v4, cause)),
    }
}

/// Calls `act` with each signal; after the first SIGTERM or SIGINT the next one of them ends the process.
fn on_signals(wanted: &[i32], act: impl Fn(i32) + Send + 'static) -> Result<(), Fatal> {
    let no_signals = |cause: io::Error| format!("cannot listen for signals: {cause}");
    let mut signals = Signals::new(wanted).map_err(no_signals)?;
    let is_stopping = AtomicBool::new(false);
    let wait = move || {
        for signal in signals.forever() {
            if signal != SIGHUP && is_stopping.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
            act(signal);
        }
    };
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(64 * 1024);
    thread.spawn(wait).map_err(no_thread)?;
    Ok(())
}
