//! The exporter with all its sources, without an account and without a network: four simulated upstreams on loopback
//! ports tell a story that repeats, and the exporter polls them.
//!
//! ```text
//! cargo run --example demo -- [--listen 127.0.0.1:9001] [--speed 1]
//! ```
//!
//! What happens when stands in the chapters of `story`. This file starts and ends things; the simulated upstreams are
//! those of the tests.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::print_stderr,
    missing_docs,
    unreachable_pub
)]

// The tests use more of the simulators than a story does.
#[allow(dead_code)]
#[path = "../../tests/it/aaisp_upstream.rs"]
mod aaisp_upstream;
#[allow(dead_code)]
#[path = "../../tests/it/pantheon_upstream.rs"]
mod pantheon_upstream;
#[allow(dead_code)]
#[path = "../../tests/it/spacelift_upstream.rs"]
mod spacelift_upstream;
mod story;
#[allow(dead_code)]
#[path = "../../tests/it/upstream.rs"]
mod upstream;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use saas_exporter::config::{Config, Request};
use saas_exporter::{allocator, logging, run};

use story::{CYCLE_S, Story, World};

const HELP: &str = "\
Runs the exporter against four simulated upstreams that tell a story of ten minutes, again and again.

Usage: cargo run --example demo -- [--listen ADDRESS:PORT] [--speed N]

  --listen ADDRESS:PORT  where the exporter listens [default: 127.0.0.1:9001]; port 0 takes any free port
  --speed N              how many times faster the story is told, from 0.1 to 100 [default: 1]; a few values are
                         read once a minute whatever the speed (AAISP's sync rates, Spacelift's drift by stack)

Stops on Ctrl-C or SIGTERM.
";
/// Exit status of arguments that cannot be understood.
const BAD_ARGUMENTS: u8 = 2;

struct Arguments {
    listen: SocketAddr,
    speed: f64,
}

fn main() -> ExitCode {
    let arguments = match arguments() {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(problem) => {
            eprintln!("error: {problem}; --help says more");
            return ExitCode::from(BAD_ARGUMENTS);
        }
    };
    allocator::set_up();
    let folder = Folder::new();
    let world = World::start();
    let story = Story::beginning_now(arguments.speed);
    world.tell(&story.now());
    let services = folder.0.join("services.json");
    std::fs::write(&services, world.services(arguments.speed).to_string())
        .expect("the temporary folder is writable");
    let config = configuration(&services, &folder.0.join("cache"), arguments.listen);

    print_addresses(&arguments);
    std::thread::spawn(move || story.go_on(&world, |chapter| println!("{chapter}")));
    logging::start(config.log);
    run::run(*config)
}

fn arguments() -> Result<Option<Arguments>, lexopt::Error> {
    use lexopt::prelude::*;
    let mut arguments = Arguments {
        listen: SocketAddr::from(([127, 0, 0, 1], 9001)),
        speed: 1.0,
    };
    let mut parser = lexopt::Parser::from_env();
    while let Some(argument) = parser.next()? {
        match argument {
            Long("listen") => arguments.listen = parser.value()?.parse()?,
            Long("speed") => arguments.speed = parser.value()?.parse()?,
            Short('h') | Long("help") => return Ok(None),
            other => return Err(other.unexpected()),
        }
    }
    if !(0.1..=100.0).contains(&arguments.speed) {
        return Err("--speed is from 0.1 to 100".into());
    }
    Ok(Some(arguments))
}

/// The exporter's configuration: these variables and nothing of the environment, so that the demo asks only itself.
fn configuration(services: &Path, cache: &Path, listen: SocketAddr) -> Box<Config> {
    let variables = [
        ("SERVICES_JSON_PATH", services.into()),
        ("CACHE_DIR", cache.into()),
        ("WEB_LISTEN_ADDRESS", OsString::from(listen.to_string())),
        // Every cycle has incidents of its own; those of the last few are enough.
        ("RESOLVED_RETENTION_HOURS", "30m".into()),
    ];
    let variables = variables.map(|(name, value)| (OsString::from(name), value));
    match Config::load([], variables) {
        Ok(Request::Run(config)) => config,
        other => panic!("the demo's own configuration is not accepted: {other:?}"),
    }
}

fn print_addresses(arguments: &Arguments) {
    let Arguments { listen, speed } = arguments;
    match listen.port() {
        0 => println!("metrics and page at the address that the log names"),
        _ => println!("metrics   http://{listen}/metrics\npage      http://{listen}/"),
    }
    println!(
        "story     repeats every {:.0} s; stop with Ctrl-C",
        CYCLE_S / speed
    );
    for chapter in story::chapters() {
        println!("  {chapter}");
    }
}

/// A temporary folder that goes with the demo.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Folder {
        let name = format!("saas-exporter-demo-{}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("the folder for temporary files is writable");
        Folder(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
