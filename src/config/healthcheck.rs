//! Where the exporter listens that a health check asks, by the same settings as that exporter's.
//!
//! A container's health check has the variables of the container and none of the flags of its process 1, so those are
//! read there. Neither cache nor secrets are opened, but where the port depends on the only service. What is asked,
//! and how, is left to [`crate::healthcheck`]; [`super::Config::load`] calls this.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

use super::reader::Reader;
use super::settings::{Given, LISTEN_ADDRESS, METRICS_PORT};
use super::{Listen, Problem, Service};
use crate::sources::{Defaults, SOURCES, Scale};

/// Longest command line that is read; flags with a list of addresses come nowhere near it.
const COMMAND_LINE_LIMIT_BYTES: u64 = 64 * 1024;

/// The first place where the exporter listens.
///
/// # Errors
/// The first mistake in what decides it; services.json is none of that.
pub(super) fn place(given: &mut Given, problems: Vec<Problem>) -> Result<Listen, Problem> {
    if !given.has_flags() {
        // The running process has accepted them.
        given.read_flags(flags_of(&command_line_of_process_1()), &mut Vec::new());
    }
    let mut reader = Reader {
        given,
        problems: Vec::new(),
        warnings: Vec::new(),
    };
    let services = services_that_decide(&mut reader);
    // A list that has become bad since is no concern of a health check.
    reader.problems = problems;
    let places = reader.listen(&services);
    match (reader.problems.into_iter().next(), places.first()) {
        (None, Some(place)) => Ok(*place),
        (Some(problem), _) => Err(problem),
        (None, None) => Err(Problem::new("--web.listen-address: is empty")),
    }
}

/// The services, if it may depend on them where to listen: only a program that we replace, told so by its own variables,
/// had another port than ours.
fn services_that_decide(reader: &mut Reader<'_>) -> Vec<Service> {
    let given = reader.given;
    let is_said = given.get(&LISTEN_ADDRESS).is_some() || given.get(&METRICS_PORT).is_some();
    let is_own = SOURCES.iter().any(|kind| {
        (kind.is_in_environment)(given) || !matches!((kind.own_listen)(given), Ok(None))
    });
    if is_said || !is_own {
        return Vec::new();
    }
    // None of them changes a place.
    let defaults = Defaults {
        interval: Duration::from_secs(1),
        scale: Scale::Binary,
        resolved_retention: Duration::ZERO,
    };
    reader.services(&defaults).1
}

fn command_line_of_process_1() -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Ok(file) = File::open("/proc/1/cmdline") {
        let mut file = file.take(COMMAND_LINE_LIMIT_BYTES);
        // What cannot be read holds no flags.
        let _ = file.read_to_end(&mut bytes);
    }
    bytes
}

/// What follows our name on a command line, whose words end with a zero byte each: that of `docker run --init` begins
/// with a program of its own.
fn flags_of(command_line: &[u8]) -> Vec<OsString> {
    let line = command_line.strip_suffix(&[0]).unwrap_or(command_line);
    let words = line.split(|byte| *byte == 0).map(OsStr::from_bytes);
    let is_ours =
        |word: &OsStr| Path::new(word).file_name() == Some(env!("CARGO_PKG_NAME").as_ref());
    words
        .skip_while(|word| !is_ours(word))
        .skip(1)
        .map(OsStr::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(command_line: &str, expected: &[&str]) {
        assert_eq!(
            flags_of(command_line.as_bytes()),
            expected,
            "{command_line:?}"
        );
    }

    #[test]
    fn the_flags_are_what_follows_the_name_of_the_program() {
        check("/saas-exporter\0", &[]);
        check(
            "/saas-exporter\0--web.port\09100\0",
            &["--web.port", "9100"],
        );
        check(
            "/sbin/docker-init\0--\0/saas-exporter\0--debug\0",
            &["--debug"],
        );
    }

    #[test]
    fn another_program_has_no_flags_of_ours() {
        check("/sbin/init\0--web.port=9100\0", &[]);
        check("/demo\0--listen\0:9100\0", &[]);
        check("", &[]);
    }

    fn check_place(arguments: &[&str], variables: &[(&str, &str)], expected: &str) {
        let mut problems = Vec::new();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let arguments = ["--healthcheck"].iter().chain(arguments);
        let (_, mut given) = Given::read(arguments.map(OsString::from), variables, &mut problems);
        let shown = match place(&mut given, problems) {
            Ok(place) => format!("{place:?}"),
            Err(problem) => problem.to_string(),
        };
        assert_eq!(shown, expected, "{arguments:?}", arguments = given);
    }

    #[test]
    fn the_place_follows_the_precedence_of_the_exporter() {
        check_place(&[], &[], "Everywhere(9001)");
        check_place(&[], &[("METRICS_PORT", "9100")], "Everywhere(9100)");
        check_place(
            &["--web.port=9200"],
            &[("METRICS_PORT", "9100")],
            "Everywhere(9200)",
        );
        check_place(
            &[],
            &[
                ("METRICS_PORT", "9100"),
                ("WEB_LISTEN_ADDRESS", "[::1]:1,:2"),
            ],
            "At([::1]:1)",
        );
    }

    #[test]
    fn the_port_of_a_replaced_program_counts_where_its_service_is_alone() {
        let spacelift = [
            (
                "SPACELIFT_PROMEX_API_ENDPOINT",
                "https://acme.app.spacelift.io",
            ),
            ("SPACELIFT_PROMEX_API_KEY_ID", "id"),
            ("SPACELIFT_PROMEX_API_KEY_SECRET", "secret"),
        ];
        check_place(&[], &spacelift, "Everywhere(9953)");
    }

    #[test]
    fn mistakes_elsewhere_are_no_concern_of_a_health_check() {
        check_place(
            &[],
            &[
                ("SERVICES_JSON_PATH", "/nonexistent"),
                ("LOG_LEVEL", "loud"),
                ("SLACK_WEBHOOK_URL_FILE", "/nonexistent"),
            ],
            "Everywhere(9001)",
        );
        check_place(
            &[],
            &[("METRICS_PORT", "90001")],
            "METRICS_PORT=90001: not a port (0 to 65535)",
        );
    }
}
