//! What a client meets at the gate of the real binary: addresses, kept connections, refusals, and a main loop that
//! hangs.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::attacks::machine::switches;
use crate::attacks::scraper::{PLAIN, PROMETHEUS, scrape};
use crate::exporter::Setup;
use crate::upstream::wait_until;

/// An exporter that watches nothing yet.
fn setup(name: &str) -> Setup {
    Setup::new(
        name,
        json!({"example": {"name": "Example", "url": "http://127.0.0.1:1/", "interval": "1h"}}),
    )
}

fn connect(address: SocketAddr) -> TcpStream {
    let client = TcpStream::connect(address).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    client
}

/// Everything that comes back until the gate closes.
fn exchange(address: SocketAddr, sent: &[u8]) -> String {
    let mut client = connect(address);
    client.write_all(sent).unwrap();
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    received
}

#[test]
fn every_listen_address_answers_ipv6_too() {
    let mut wanted = vec!["127.0.0.1:0", "127.0.0.2:0"];
    // A machine without IPv6 cannot tell.
    if TcpListener::bind("[::1]:0").is_ok() {
        wanted.push("[::1]:0");
    }
    let mut setup = setup("addresses").without("WEB_LISTEN_ADDRESS");
    for address in &wanted {
        setup = setup.argument("--web.listen-address").argument(address);
    }
    let exporter = setup.start();
    let addresses = wait_until("every address", || {
        Some(exporter.addresses()).filter(|found| found.len() == wanted.len())
    });
    for address in addresses {
        scrape(&mut connect(address), PLAIN).unwrap();
    }
}

#[test]
fn a_client_that_keeps_its_connection_gets_page_after_page_over_it() {
    let exporter = setup("kept").start();
    let mut client = connect(exporter.address());
    for _ in 0..20 {
        scrape(&mut client, PLAIN).unwrap();
        scrape(&mut client, PROMETHEUS).unwrap();
    }
}

#[test]
fn every_refusal_is_a_whole_answer_that_says_why() {
    let exporter = setup("refusals").start();
    let long = format!("GET / HTTP/1.1\r\nX: {}", "a".repeat(9_000));
    let cases: [(&[u8], &str); 6] = [
        (b"what is this\r\n\r\n", "400 Bad Request"),
        (
            b"PUT / HTTP/1.1\r\nHost: x\r\n\r\n",
            "405 Method Not Allowed",
        ),
        (b"GET / HTTP/1.1\r\nHo", "408 Request Timeout"),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n",
            "413 Content Too Large",
        ),
        (long.as_bytes(), "431 Request Header Fields Too Large"),
        (
            b"GET / HTTP/3.0\r\nHost: x\r\n\r\n",
            "505 HTTP Version Not Supported",
        ),
    ];
    for (request, status) in cases {
        let answer = exchange(exporter.address(), request);
        let (head, text) = answer.split_once("\r\n\r\n").unwrap();
        assert!(
            head.starts_with(&format!("HTTP/1.1 {status}\r\n")),
            "{answer}"
        );
        for line in [
            "Connection: close".to_owned(),
            "Content-Type: text/plain; charset=utf-8".to_owned(),
            format!("Content-Length: {}", text.len()),
        ] {
            assert!(head.lines().any(|found| found == line), "{line}: {answer}");
        }
        assert!(text.starts_with(status) && text.ends_with(".\n"), "{text}");
        assert!(text.len() < 100 && text.lines().count() == 1, "{text}");
        let allow = head.lines().find(|line| line.starts_with("Allow:"));
        let expected = status.starts_with("405").then_some("Allow: GET, HEAD");
        assert_eq!(allow, expected);
    }
}

#[test]
fn a_main_loop_that_hangs_for_10_s_ends_the_process() {
    // Given: the main thread alone is stopped. Where that is forbidden, the tests beside the gate's code must do.
    let mut exporter = setup("hang").start();
    scrape(&mut connect(exporter.address()), PLAIN).unwrap();
    if !exporter.hold_main_thread() {
        return;
    }

    // When
    let asked = Instant::now();
    let mut client = connect(exporter.address());
    client.write_all(PLAIN).unwrap();

    // Then
    assert_eq!(exporter.wait_for_the_end().code(), Some(1));
    assert!(asked.elapsed() > Duration::from_secs(9));
    exporter.wait_for_log("no answer from the main loop for 10 s");
}

#[test]
fn an_exporter_whose_scraper_rests_is_not_woken() {
    // Given: a scraper that keeps its connection; the threads that tiny_http keeps spare for 5 s have ended.
    let exporter = setup("resting").start();
    let mut client = connect(exporter.address());
    exporter.wait_for_value("saas_exporter_polls_total{service=\"example\"}", 1.0);
    scrape(&mut client, PROMETHEUS).unwrap();
    wait_until("the spare threads to end", || {
        (exporter.started.elapsed() > Duration::from_secs(6)).then_some(())
    });

    // When
    let before = switches(exporter.pid());
    std::thread::sleep(Duration::from_secs(2));

    // Then
    assert_eq!(switches(exporter.pid()) - before, 0);
}
