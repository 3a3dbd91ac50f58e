//! saas-exporter: start-up in order, and the exit status.
//!
//! 0 is a clean stop, 1 a failure while running, 2 a configuration that cannot be run.

use std::io::Write;
use std::process::ExitCode;

use saas_exporter::config::{Config, Mode, Request, is_journal};
use saas_exporter::{allocator, logging, run};

/// Exit status of a configuration that cannot be run.
const BAD_CONFIGURATION: u8 = 2;

fn main() -> ExitCode {
    allocator::set_up();
    let arguments = std::env::args_os().skip(1);
    let config = match Config::load(arguments, std::env::vars_os()) {
        Ok(Request::Run(config)) => config,
        Ok(Request::Print(text)) => return print(&text),
        Err(problems) => {
            let stream = std::env::var("JOURNAL_STREAM").ok();
            let priority = if is_journal(stream.as_deref()) {
                "<3>"
            } else {
                ""
            };
            for problem in problems {
                let _ = writeln!(std::io::stderr(), "{priority}error: {problem}");
            }
            return ExitCode::from(BAD_CONFIGURATION);
        }
    };
    if config.mode == Mode::Check {
        return print(&config.summary());
    }
    logging::start(config.log);
    let status = run::run(*config);
    // Threads that still wait for an upstream are left behind.
    std::process::exit(if status == ExitCode::SUCCESS { 0 } else { 1 })
}

/// A reader that closed the pipe early has seen enough.
fn print(text: &str) -> ExitCode {
    let _ = write!(std::io::stdout(), "{text}");
    ExitCode::SUCCESS
}
