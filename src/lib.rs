//! saas-exporter: one small process that tells Prometheus how the hosted services a team depends on are doing.
//!
//! ```text
//! upstream ─fetch─> sources ─Families─> snapshot ─exposition─> server ──> scrape
//!                     │  ▲                                  └──> textfile
//!                     │  └── cache, history (read at start-up, written after a poll)
//!                     └───── notify (a queue; nobody waits for it)
//! ```
//!
//! One worker thread per service sleeps, polls and publishes; the main thread answers scrapes. What is promised, and
//! tested:
//!
//! 1. A scrape never waits for an upstream, a disk or another scrape.
//! 2. `use` points one way: sources know nothing of exposition and server, and those know no source.
//! 3. Meaning is pure: bytes and a time come in, families go out.
//! 4. Everything has an upper bound, a constant at the top of its module.
//! 5. One service's failure shows in its metrics and touches no other service.
//! 6. The same state gives the same bytes, and a series never appears twice.
//!
//! Words: a *source* is the code for one kind of *service*; a service is one entry of services.json; an *upstream* is
//! the server that a *poll* talks to; a *scrape* is one GET of `/metrics`; a *family* has a name, a type, a HELP text
//! and *samples*, each one value of one *series*.

pub mod allocator;
pub mod cache;
pub mod clock;
pub mod config;
pub mod exposition;
pub mod fetch;
pub mod fnv;
pub mod gate;
pub mod healthcheck;
pub mod history;
pub mod landing;
pub mod lease;
pub mod lenient;
pub mod logging;
pub mod model;
pub mod notify;
pub mod overview;
pub mod packing;
pub mod pages;
pub mod poller;
pub mod reload;
pub mod roster;
pub mod run;
pub mod server;
pub mod shard;
pub mod snapshot;
pub mod sorted;
pub mod sources;
pub mod stamps;
pub mod supervisor;
pub mod telemetry;
pub mod textfile;

/// Version of this program.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, where the build says so.
pub const REVISION: &str = match option_env!("SAAS_EXPORTER_REVISION") {
    Some(revision) => revision,
    None => "unknown",
};

/// The compiler that built it, such as `rustc-1.88.0`, where the build says so.
pub const COMPILER: &str = match option_env!("SAAS_EXPORTER_COMPILER") {
    Some(compiler) => compiler,
    None => "rustc",
};

/// The machine it was built for, such as `x86_64-unknown-linux-gnu`, where the build says so.
pub const TARGET: &str = match option_env!("SAAS_EXPORTER_TARGET") {
    Some(target) => target,
    None => "unknown target",
};

/// How it introduces itself to upstreams.
pub const USER_AGENT: &str = concat!(
    "saas-exporter/",
    env!("CARGO_PKG_VERSION"),
    " (+",
    env!("CARGO_PKG_REPOSITORY"),
    ")"
);

/// The line of `--version`.
pub fn version_line() -> String {
    let compiler = COMPILER.strip_prefix("rustc-").unwrap_or_default();
    format!("saas-exporter {VERSION} (revision {REVISION}, {TARGET}, rustc {compiler})")
}
