//! The process from start to end: what is started in which order, and how it stops.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::cache::Cache;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, Listen, Mode, Service};
use crate::fetch::Fetcher;
use crate::gate::{Counters, Door, Limits, Next, Policy};
use crate::notify::Notifier;
use crate::pages::{self, Pages};
use crate::poller::{self, Rounds, Shared};
use crate::server::{Asked, Server};
use crate::supervisor::{self, Life, Supervisor, Watchdog};
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
        }
    }

    fn server(&self, gate: Option<Arc<Counters>>) -> Server {
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
            gate,
            pages: Pages::default(),
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
fn serve(config: Config) -> Result<(), Fatal> {
    let supervisor = Supervisor::new(&config.supervision);
    let listeners = listeners(&config)?;
    let mut process = Process::new(config);
    let limits = Limits {
        longest_sleep: supervisor.longest_sleep(),
        ..Limits::default()
    };
    let door = Door::open(listeners, Policy::default(), limits, give_up).map_err(|cause| {
        format!("cannot serve: {cause}; raise the limits of descriptors and processes")
    })?;
    let mut server = process.server(Some(door.counters()));
    let stopper = door.stopper();
    stop_on_signal(move || stopper.stop())?;
    let services = std::mem::take(&mut process.services);
    let count = services.len();
    poller::start(services, &process.shared, Rounds::Endless).map_err(no_thread)?;
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
    stop_on_signal(|| {
        log::error!("stopped before every service was polled; no text file written");
        std::process::exit(1);
    })?;
    let workers = poller::start(services, &process.shared, Rounds::One).map_err(no_thread)?;
    for worker in workers {
        // A worker that panicked has been logged; the others still count.
        let _ = worker.join();
    }
    let page = process.server(None).page_of_services();
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

/// Calls `stop` at the first SIGTERM or SIGINT and ends the process at the second.
fn stop_on_signal(stop: impl Fn() + Send + 'static) -> Result<(), Fatal> {
    let no_signals = |cause: io::Error| format!("cannot listen for signals: {cause}");
    let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(no_signals)?;
    let is_stopping = AtomicBool::new(false);
    let wait = move || {
        for _ in signals.forever() {
            if is_stopping.swap(true, Ordering::Relaxed) {
                std::process::exit(1);
            }
            stop();
        }
    };
    let thread = std::thread::Builder::new()
        .name("signals".to_owned())
        .stack_size(64 * 1024);
    thread.spawn(wait).map_err(no_thread)?;
    Ok(())
}
