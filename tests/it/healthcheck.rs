//! `--healthcheck` against the real exporter, and against what may answer in its place.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::exporter::{Finished, Setup};
use crate::fixtures;
use crate::upstream::{self, Nobody, Upstream, wait_until};

/// The limit of the check, and what a loaded test machine may add.
const LATEST: Duration = Duration::from_secs(3 + 5);

/// A health check with no settings but the given ones.
fn check(variables: &[(&str, &str)], arguments: &[&str]) -> Finished {
    let bare = Setup::new("healthcheck", json!({}))
        .without("SERVICES_JSON_PATH")
        .without("WEB_LISTEN_ADDRESS")
        .without("CACHE_DIR")
        .without("CHECK_INTERVAL_MINUTES")
        .argument("--healthcheck");
    let bare = variables
        .iter()
        .fold(bare, |setup, (name, value)| setup.with(name, *value));
    arguments
        .iter()
        .fold(bare, |s, flag| s.argument(flag))
        .run()
}

fn check_at(address: SocketAddr) -> Finished {
    check(&[("WEB_LISTEN_ADDRESS", &address.to_string())], &[])
}

fn assert_well(finished: &Finished) {
    assert_eq!(finished.status.code(), Some(0), "{finished:?}");
    assert_eq!(
        (finished.stdout.as_str(), finished.stderr.as_str()),
        ("", "")
    );
}

fn assert_failed(finished: &Finished, words: &[&str]) {
    assert_eq!(finished.status.code(), Some(1), "{finished:?}");
    assert_eq!(finished.stdout, "");
    let error = &finished.stderr;
    assert_eq!(error.lines().count(), 1, "{error}");
    assert!(error.starts_with("error: "), "{error}");
    for word in words {
        assert!(error.contains(word), "{word:?} in {error}");
    }
}

/// A server that gives every connection these bytes and then leaves it open until the client goes.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let _ = stream.write_all(answer);
                let _ = stream.read_to_end(&mut Vec::new());
            });
        }
    });
    address
}

#[test]
fn a_running_exporter_is_well_whatever_its_services_and_its_list_are() {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let setup = Setup::one("healthy", &upstream.url("/s"));
    let exporter = setup.start();
    assert_well(&check_at(exporter.address()));

    // The same settings as the exporter's, but that the kernel chose the port; and a list that was broken since.
    setup.folder.write("services.json", "{");
    let port = format!("127.0.0.1:{}", exporter.address().port());
    let same = Setup::new("same", json!({}))
        .with("WEB_LISTEN_ADDRESS", port)
        .with(
            "SERVICES_JSON_PATH",
            setup.folder.path("services.json").display().to_string(),
        )
        .argument("--healthcheck");
    assert_well(&same.run());
    assert_eq!(
        same.folder.names(""),
        ["services.json"],
        "no cache was made"
    );
}

#[test]
fn an_exporter_at_all_addresses_is_found_by_its_port_and_by_flags() {
    let exporter = Setup::new(
        "all",
        json!({"s": {"name": "S", "url": "http://127.0.0.1:1"}}),
    )
    .with("WEB_LISTEN_ADDRESS", ":0")
    .start();
    let port = exporter.address().port().to_string();
    assert_well(&check(&[("METRICS_PORT", &port)], &[]));
    assert_well(&check(&[("METRICS_PORT", "1")], &["--web.port", &port]));
    assert_well(&check(
        &[("WEB_LISTEN_ADDRESS", &format!("[::]:{port},:1"))],
        &[],
    ));
}

#[test]
fn an_exporter_at_an_ipv6_address_is_found_there() {
    if TcpListener::bind("[::1]:0").is_err() {
        return;
    }
    let setup = Setup::new(
        "ipv6",
        json!({"s": {"name": "S", "url": "http://127.0.0.1:1"}}),
    )
    .with("WEB_LISTEN_ADDRESS", "[::1]:0");
    // Until the port is one that is free at 127.0.0.1, where other tests may be.
    let (exporter, _nobody) = wait_until("a port that is free twice", || {
        let exporter = setup.start();
        let nobody = Nobody::at(exporter.addresses()[0].port()).ok()?;
        Some((exporter, nobody))
    });
    let address = exporter.addresses()[0];
    assert!(address.is_ipv6());
    assert_well(&check_at(address));
    // At all addresses, as the check understands it: nobody is at 127.0.0.1.
    let port = address.port().to_string();
    assert_well(&check(&[("METRICS_PORT", &port)], &[]));
}

#[test]
fn an_exporter_whose_main_loop_hangs_is_not_well() {
    let exporter = Setup::new(
        "hangs",
        json!({"s": {"name": "S", "url": "http://127.0.0.1:1"}}),
    )
    .start();
    if exporter.hold_main_thread() {
        assert_failed(&check_at(exporter.address()), &["no answer within 3s"]);
    }
}

#[test]
fn a_port_where_nobody_listens_is_a_failure_that_says_where() {
    let nobody = Nobody::here();
    let address = nobody.address;
    let words = [
        &format!("http://{address}/-/healthy"),
        "refused",
        "does the exporter run",
    ];
    assert_failed(&check_at(address), &words);
}

#[test]
fn a_server_that_accepts_and_says_nothing_or_drips_is_a_failure_within_the_deadline() {
    let started = Instant::now();
    assert_failed(&check_at(server(b"")), &["no answer within 3s"]);
    assert!(started.elapsed() < LATEST, "{:?}", started.elapsed());

    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        while stream.write_all(b"H").is_ok() {
            std::thread::sleep(Duration::from_millis(100));
        }
    });
    let started = Instant::now();
    assert_failed(&check_at(address), &["no answer within 3s"]);
    assert!(started.elapsed() < LATEST, "{:?}", started.elapsed());
}

#[test]
fn an_answer_that_is_not_a_good_one_is_a_failure_that_shows_its_first_line() {
    let stalled = check_at(server(
        b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n",
    ));
    assert_failed(&stalled, &["answered \"HTTP/1.1 503 Service Unavailable\""]);
    let mail = check_at(server(b"220 mail.example \x1b[31mESMTP\r\n"));
    assert_failed(&mail, &["answered \"220 mail.example \\u{1b}[31mESMTP\""]);
    assert_failed(&check_at(server(&[b'x'; 100_000])), &["answered \"xxx"]);
    assert_failed(&check_at(server(&[0xff, b'\n'])), &["answered"]);
}

#[test]
fn settings_that_name_no_place_are_a_failure_with_the_same_exit_status() {
    assert_failed(&check(&[("METRICS_PORT", "0")], &[]), &["the port is 0"]);
    assert_failed(
        &check(&[("METRICS_PORT", "x")], &[]),
        &["METRICS_PORT=x: not a port"],
    );
    assert_failed(&check(&[], &["--web.prot=1"]), &["unknown flag --web.prot"]);
}
