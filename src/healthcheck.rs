//! `--healthcheck`: asks the exporter that runs here whether it is well, for containers without a shell.
//!
//! One plain request within one deadline, one line on standard error if it fails, and the exit status: 0 or 1, as Docker
//! reserves all others. Where the exporter listens is for [`crate::config`] to know, and what being well means is for
//! the answer of `/-/healthy`. `main` calls it.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use crate::config::{Listen, Problem, shown};

/// Time for everything. A healthy exporter answers within milliseconds; the Dockerfile gives the check 5 s.
const LIMIT: Duration = Duration::from_secs(3);
/// Longest status line; ours has 15 bytes.
const LINE_LIMIT_BYTES: usize = 256;

/// Asks at the place and gives the exit status.
pub fn run(place: Result<Listen, Problem>) -> ExitCode {
    let place = place.map_err(|problem| problem.to_string());
    match place.and_then(ask) {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            let _ = writeln!(io::stderr(), "error: {what}");
            ExitCode::FAILURE
        }
    }
}

fn ask(place: Listen) -> Result<(), String> {
    let deadline = Instant::now() + LIMIT;
    let (address, other) = addresses(place);
    if address.port() == 0 {
        return Err("the port is 0, which takes any free one, so it cannot be known; set METRICS_PORT or --web.listen-address".to_owned());
    }
    let asked = match (status_line(address, deadline), other) {
        // IPv6 alone, where the system keeps the two apart.
        (Err(cause), Some(other)) if cause.kind() == ErrorKind::ConnectionRefused => {
            status_line(other, deadline).map_err(|_| cause)
        }
        (asked, _) => asked,
    };
    let what = match asked {
        Ok(line) if line.starts_with("HTTP/1.1 200 ") => return Ok(()),
        Ok(line) => format!("answered {}", shown(&line)),
        Err(cause) if is_late(&cause) => format!("no answer within {LIMIT:?}"),
        Err(cause) => cause.to_string(),
    };
    Err(format!(
        "no good answer from http://{address}/-/healthy: {what}; does the exporter run, and with these settings?"
    ))
}

/// Where to ask: an exporter that listens at all addresses is asked at a loopback address, and at the other one if nobody
/// is there.
fn addresses(place: Listen) -> (SocketAddr, Option<SocketAddr>) {
    let port = match place {
        Listen::At(address) if !address.ip().is_unspecified() => return (address, None),
        Listen::At(address) => address.port(),
        Listen::Everywhere(port) => port,
    };
    let ipv6 = SocketAddr::from((Ipv6Addr::LOCALHOST, port));
    (SocketAddr::from((Ipv4Addr::LOCALHOST, port)), Some(ipv6))
}

/// The first line of the answer, as far as it comes.
fn status_line(address: SocketAddr, deadline: Instant) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, left(deadline)?)?;
    stream.set_write_timeout(Some(left(deadline)?))?;
    let head = format!("GET /-/healthy HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(head.as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    while line.len() < LINE_LIMIT_BYTES {
        // Before each byte, so that one that drips is late too.
        stream.set_read_timeout(Some(left(deadline)?))?;
        match stream.read(&mut byte)? {
            1 if byte != *b"\n" => line.extend(byte),
            _ => break,
        }
    }
    Ok(String::from_utf8_lossy(&line).trim_end().to_owned())
}

/// Time until the deadline.
fn left(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    match left.is_zero() {
        true => Err(ErrorKind::TimedOut.into()),
        false => Ok(left),
    }
}

/// A socket's own time-out is called either, by the system's choice.
fn is_late(cause: &io::Error) -> bool {
    matches!(cause.kind(), ErrorKind::TimedOut | ErrorKind::WouldBlock)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(place: Listen, expected: &[&str]) {
        let (first, second) = addresses(place);
        let asked: Vec<String> = [Some(first), second]
            .iter()
            .flatten()
            .map(SocketAddr::to_string)
            .collect();
        assert_eq!(asked, expected);
    }

    #[test]
    fn an_exporter_at_all_addresses_is_asked_on_loopback() {
        check(Listen::Everywhere(1), &["127.0.0.1:1", "[::1]:1"]);
        let unspecified = |text: &str| Listen::At(text.parse().expect("an address"));
        check(unspecified("0.0.0.0:2"), &["127.0.0.1:2", "[::1]:2"]);
        check(unspecified("[::]:3"), &["127.0.0.1:3", "[::1]:3"]);
    }

    #[test]
    fn an_exporter_at_one_address_is_asked_there() {
        check(
            Listen::At("[::1]:4".parse().expect("an address")),
            &["[::1]:4"],
        );
    }
}
