//! Every attack that a stranger can make, with a normal scrape every 100 ms during and after it: no scrape fails or
//! takes long, and memory, threads and descriptors come back.
//!
//! `cargo test --test it attacks -- --nocapture` shows what was measured. The attacks run one after the other and take
//! under 55 s together. Scaled down is only time: an attack that could go on for ever does so for 0.75 or 1.5 s, the
//! 50,000 connections of garbage for 4 s at most, and a line of 1 GB for as long as anybody takes it.

pub mod machine;
pub mod scraper;
mod victim;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::thread;
use std::time::{Duration, Instant};

use rustix::net::sockopt::set_socket_linger;

use crate::exporter::Setup;
use scraper::{PLAIN, PROMETHEUS, scrape};
use victim::{Bounds, HUGE_PAGE, MANY_SERVICES, USUAL, USUAL_SERVICES, Victim, report};

/// How long an attack without a natural end goes on.
const ATTACK: Duration = Duration::from_millis(1_500);

/// How long a flood goes on.
const FLOOD: Duration = Duration::from_secs(4);

/// Many connections that each have said this much.
fn crowd(victim: &Victim, clients: usize, said: &[u8]) -> Vec<TcpStream> {
    let connect = |number: usize| {
        // 5,000 a second: faster, and all places change hands before a client that has just connected says a word.
        if number % 50 == 49 {
            thread::sleep(Duration::from_millis(10));
        }
        let mut client = victim.connect();
        // Refused or evicted already: the attack goes on.
        let _ = client.write_all(said);
        client
    };
    (0..clients).map(connect).collect()
}

/// Does it flat out from two threads until the time is over or it has been done `times` times.
fn flood(victim: &Victim, times: usize, time: Duration, act: impl Fn(TcpStream) + Sync) {
    let end = Instant::now() + time;
    let worker = || {
        let turns = (0..times / 2).take_while(|_| Instant::now() < end);
        let done = turns.map(|_| act(victim.connect())).count();
        machine::count_this_thread();
        done
    };
    let done: usize = thread::scope(|scope| {
        let workers = [scope.spawn(worker), scope.spawn(worker)];
        workers.map(|worker| worker.join().unwrap()).iter().sum()
    });
    report(&format!("{done} connections"));
}

/// Does it again and again, at least once.
fn repeat(time: Duration, mut act: impl FnMut()) {
    let end = Instant::now() + time;
    act();
    while Instant::now() < end {
        act();
    }
}

/// Polls every second; the upstream's answer is another every time.
fn polling(setup: Setup) -> Setup {
    setup.with("CHECK_INTERVAL_MINUTES", "1s")
}

/// The status of an answer that is whole; "-" for none.
fn status_of(answer: &str) -> &str {
    let Some((head, body)) = answer.split_once("\r\n\r\n") else {
        return "-";
    };
    let announced = format!("\r\nContent-Length: {}\r\n", body.len());
    assert!(
        head.contains(&announced) && head.contains("Connection: close"),
        "not whole: {answer}"
    );
    head.split(' ').nth(1).unwrap_or("-")
}

/// Each request gets its status, again and again.
fn check(cases: &[(&[u8], &str)]) {
    Victim::start().survives(&USUAL, |victim| {
        repeat(ATTACK / 2, || {
            for (request, status) in cases {
                let answer = victim.exchange(request);
                let shown = String::from_utf8_lossy(&request[..request.len().min(80)]);
                assert_eq!(status_of(&answer), *status, "{shown:?} gives {answer}");
            }
        });
    });
}

#[test]
fn two_thousand_half_heads_that_drip_keep_nobody_out() {
    Victim::start().survives(&USUAL, |victim| {
        let mut crowd = crowd(victim, 2_000, b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ");
        repeat(ATTACK, || {
            for client in &mut crowd {
                let _ = client.write_all(b"a");
            }
            thread::sleep(Duration::from_millis(50));
        });
        crowd
    });
}

#[test]
fn two_thousand_silent_connections_keep_nobody_out() {
    Victim::start().survives(&USUAL, |victim| {
        let crowd = crowd(victim, 2_000, b"");
        thread::sleep(ATTACK);
        crowd
    });
}

#[test]
fn five_hundred_slow_clients_leave_polls_some_of_64_descriptors() {
    // Given
    let limited = |setup: Setup| polling(setup).after_shell("ulimit -n 64");
    let victim = Victim::start_with(USUAL_SERVICES, limited);

    // When
    victim.survives(&USUAL, |victim| {
        let crowd = crowd(victim, 500, b"GET /metrics HTTP/1.1\r\n");
        thread::sleep(ATTACK);
        crowd
    });

    // Then
    let page = victim.exporter.page();
    assert!(page.value("saas_exporter_polls_total{service=\"s0\"}") >= Some(2.0));
    let failures = page.lines("saas_exporter_poll_failures_total");
    assert!(
        failures.iter().all(|line| line.ends_with(" 0")),
        "{failures:?}"
    );
}

#[test]
fn when_descriptors_run_out_all_the_same_scrapes_go_on() {
    // Given: a gate that admits more connections than the process, by now, may open descriptors.
    let victim = Victim::start();
    victim.exporter.limit("--nofile=40");

    victim.survives(&USUAL, |victim| {
        let crowd = crowd(victim, 500, b"GET /metrics HTTP/1.1\r\n");
        thread::sleep(ATTACK);
        crowd
    });
    let log = victim.exporter.log();
    assert_eq!(log.matches("accept failed").count(), 1, "{log}");
}

#[test]
fn when_no_thread_can_be_made_scrapes_go_on() {
    // Given: a process that can make no thread from now on. The limit counts all processes of the user, so that a
    // `ulimit -u` before the start would have to know them.
    let victim = Victim::start_with(USUAL_SERVICES, Setup::unprivileged);
    victim.exporter.limit("--nproc=1");
    let process = std::fs::metadata(format!("/proc/{}", victim.exporter.pid())).unwrap();
    assert_ne!(process.uid(), 0, "the limit does not bind root");

    victim.survives(&USUAL, |victim| {
        let crowd = crowd(victim, 200, PLAIN);
        flood(victim, usize::MAX, ATTACK / 2, |mut client| {
            let _ = client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        });
        crowd
    });
}

#[test]
fn full_requests_followed_by_resets_flat_out_delay_a_scrape_by_one_retransmission_at_most() {
    // A full queue of new connections costs a scraper the kernel's retransmission of 1 s.
    let bounds = Bounds {
        p99: Duration::from_millis(1_100),
        ..USUAL
    };
    Victim::start().survives(&bounds, |victim| {
        flood(victim, usize::MAX, ATTACK, |mut client| {
            let _ = client.write_all(PLAIN);
            set_socket_linger(&client, Some(Duration::ZERO)).unwrap();
        });
    });
}

#[test]
fn connections_of_garbage_flat_out_keep_nobody_out() {
    // 50,000, or as many as there is time for.
    let garbage: Vec<u8> = (0..200u8).map(|n| n.wrapping_mul(37)).collect();
    Victim::start().survives(&USUAL, |victim| {
        flood(victim, 50_000, FLOOD, |mut client| {
            let _ = client.write_all(&garbage);
        });
    });
}

#[test]
fn a_header_line_of_a_gigabyte_is_cut_off() {
    Victim::start().survives(&USUAL, |victim| {
        let piece = vec![b'a'; 1024 * 1024];
        repeat(ATTACK / 2, || {
            let mut client = victim.connect();
            let _ = client.write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: ");
            let pieces = (0..1024).take_while(|_| client.write_all(&piece).is_ok());
            let taken_mib = pieces.count();
            assert!(taken_mib < 64, "{taken_mib} MiB were taken");
        });
    });
}

#[test]
fn a_head_of_a_hundred_thousand_short_lines_is_refused() {
    let lines = "a: b\r\n".repeat(100_000);
    let head = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{lines}");
    Victim::start().survives(&USUAL, |victim| {
        repeat(ATTACK / 2, || {
            assert_eq!(status_of(&victim.exchange(head.as_bytes())), "431");
        });
    });
}

#[test]
fn a_post_with_a_length_and_no_body_is_refused_and_blocks_nobody() {
    const POST: &[u8] = b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n";
    Victim::start().survives(&USUAL, |victim| {
        let crowd = crowd(victim, 100, POST);
        thread::sleep(ATTACK / 2);
        for mut client in crowd {
            let mut answer = String::new();
            client.read_to_string(&mut answer).unwrap();
            assert_eq!(status_of(&answer), "405");
            assert!(answer.contains("\r\nAllow: GET, HEAD\r\n"), "{answer}");
        }
    });
}

#[test]
fn clients_that_speak_http_2_are_told_the_version() {
    const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\x12\x04\0\0\0\0\0";
    Victim::start().survives(&USUAL, |victim| {
        repeat(ATTACK / 2, || {
            assert_eq!(status_of(&victim.exchange(PREFACE)), "505");
        });
    });
}

#[test]
fn ten_thousand_pipelined_requests_whose_answers_nobody_reads_wait_in_the_kernel() {
    Victim::start().survives(&USUAL, |victim| {
        let crowd = crowd(victim, 4, &PLAIN.repeat(10_000));
        thread::sleep(ATTACK);
        crowd
    });
}

#[test]
fn two_hundred_readers_that_never_read_a_page_of_5_mb_share_its_bytes() {
    Victim::start_with(MANY_SERVICES, |setup| setup).survives(&HUGE_PAGE, |victim| {
        let crowd = crowd(victim, 200, PLAIN);
        thread::sleep(ATTACK);
        crowd
    });
}

#[test]
fn readers_that_each_hold_another_page_of_5_mb_cannot_fill_memory() {
    // Given: 25 services that change every second, one after the other, so that hardly two readers get the same page.
    let victim = Victim::start_with(MANY_SERVICES, polling);

    victim.survives(&HUGE_PAGE, |victim| {
        let reader = |_| {
            thread::sleep(Duration::from_millis(20));
            let mut client = victim.connect();
            let _ = client.write_all(PLAIN);
            client
        };
        (0..100).map(reader).collect::<Vec<_>>()
    });
}

#[test]
fn more_readers_that_never_read_than_there_are_places_keep_nobody_out() {
    // Given: 64 places.
    let limited = |setup: Setup| setup.after_shell("ulimit -n 128");
    let victim = Victim::start_with(MANY_SERVICES, limited);

    victim.survives(&USUAL, |victim| {
        let reader = |_| {
            // Slower than the gate takes to see that a reader has stalled: 64 in half a second.
            thread::sleep(Duration::from_millis(15));
            let mut client = victim.connect();
            let _ = client.write_all(PLAIN);
            client
        };
        let crowd: Vec<_> = (0..150).map(reader).collect();
        thread::sleep(ATTACK / 2);
        crowd
    });
}

#[test]
fn five_hundred_keep_alive_clients_at_once_are_all_served() {
    Victim::start().survives(&USUAL, |victim| {
        let mut crowd = crowd(victim, 500, b"");
        for round in 0..3 {
            for (number, client) in crowd.iter_mut().enumerate() {
                scrape(client, PROMETHEUS)
                    .unwrap_or_else(|cause| panic!("client {number}, round {round}: {cause}"));
            }
        }
        crowd
    });
}

#[test]
fn shapes_of_request_smuggling_are_refused() {
    check(&[
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
            "400",
        ),
        (
            b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nContent-Length: 9\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 0,9\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: +4\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            "413",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding : chunked\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (
            b"GET / HTTP/1.1\r\nHost: x\nTransfer-Encoding: chunked\r\n\r\n",
            "400",
        ),
        (b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"),
    ]);
}

#[test]
fn nul_and_bytes_beyond_ascii_are_refused() {
    check(&[
        (b"GET /\0 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (b"GET /metrics HTTP/1.1\r\nHost: x\r\nX: \0\r\n\r\n", "400"),
        (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (b"GET / HTTP/1.1\r\nHost: \xff\r\n\r\n", "400"),
        // The beginning of a TLS handshake.
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", "400"),
    ]);
}

#[test]
fn a_path_of_8_kib_is_too_long_and_a_shorter_one_is_unknown() {
    let request = |length: usize| format!("GET /{} HTTP/1.0\r\n\r\n", "a".repeat(length));
    let (too_long, fits) = (request(8 * 1024), request(8 * 1024 - 100));
    check(&[(too_long.as_bytes(), "431"), (fits.as_bytes(), "404")]);
}

#[test]
fn targets_in_absolute_form_are_served_and_those_without_a_path_refused() {
    check(&[
        (
            b"GET http://other/-/healthy HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
            "200",
        ),
        (b"GET * HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (b"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
        (b"CONNECT other:80 HTTP/1.1\r\nHost: x\r\n\r\n", "400"),
    ]);
}

#[test]
fn http_0_9_is_told_the_version() {
    check(&[
        (b"GET /metrics\r\n", "505"),
        (b"GET /metrics HTTP/0.9\r\n\r\n", "505"),
    ]);
}

#[test]
fn five_hundred_open_connections_do_not_hold_up_the_end() {
    // Given: some that rest, some in the middle of a head, some in the middle of an answer.
    let victim = Victim::start();
    let mut resting = crowd(&victim, 200, b"");
    for client in &mut resting {
        scrape(client, PROMETHEUS).unwrap();
    }
    let _half = crowd(&victim, 200, b"GET /metrics HTTP/1.1\r\n");
    let _unread = crowd(&victim, 100, &PLAIN.repeat(10));

    // When
    let (status, took) = victim.stop(libc::SIGTERM);

    // Then
    assert_eq!(status.code(), Some(0));
    assert!(took < crate::signals::STOP_LIMIT, "{took:?}");
}
