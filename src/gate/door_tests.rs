//! The whole gate with a real tiny_http, its limits shrunk where a test would have to wait.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::mpsc;
use std::time::Duration;

use super::super::policy::Rule;
use super::*;

/// Longer than any test.
const PATIENCE: Duration = Duration::from_secs(60);

const POLICY: Policy = Policy {
    rules: &[Rule {
        path: "/-/reload",
        methods: &[Method::Post],
    }],
};

/// A page larger than what the kernel takes for a client that does not read.
const HUGE_BYTES: usize = 24 * 1024 * 1024;

/// A gate with a main loop that answers what a scraper would see; stopped when dropped.
struct Gate {
    address: SocketAddr,
    stopper: Stopper,
    counters: Arc<Counters>,
    failed: mpsc::Receiver<()>,
}

impl Gate {
    fn open(limits: Limits) -> Self {
        Self::open_on(vec![TcpListener::bind("127.0.0.1:0").unwrap()], limits)
    }

    fn open_on(listeners: Vec<TcpListener>, limits: Limits) -> Self {
        let address = listeners[0].local_addr().unwrap();
        let (sender, failed) = mpsc::channel();
        let door = Door::open(listeners, POLICY, limits, move || sender.send(()).unwrap()).unwrap();
        let (stopper, counters) = (door.stopper(), door.counters());
        thread::spawn(move || {
            let huge: Arc<[u8]> = Arc::from(vec![b'x'; HUGE_BYTES]);
            while let Next::Request(request) = door.next(PATIENCE) {
                let body = match request.path() {
                    "/huge" => Body::from(Arc::clone(&huge)),
                    "/stall" => return thread::sleep(Duration::from_secs(60)),
                    "/forgotten" => continue,
                    _ => Body::from(vec![
                        Arc::from(request.target().as_bytes()),
                        Arc::from(request.header("Accept").unwrap_or(" -").as_bytes()),
                    ]),
                };
                let headers = vec![
                    ("X-Broken", "a\r\nb".to_owned()),
                    ("Content-Length", "7".to_owned()),
                ];
                door.answer(
                    request,
                    Answer {
                        status: 200,
                        headers,
                        body,
                    },
                );
            }
        });
        Self {
            address,
            stopper,
            counters,
            failed,
        }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.address).unwrap();
        client
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        client
    }

    /// Everything that comes back until the gate closes.
    fn exchange(&self, sent: &str) -> String {
        let mut client = self.connect();
        client.write_all(sent.as_bytes()).unwrap();
        let mut received = String::new();
        client
            .read_to_string(&mut received)
            .expect("closed without a reset");
        received
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.stopper.stop();
    }
}

fn short_limits() -> Limits {
    let short = Duration::from_millis(100);
    Limits {
        head_time: short,
        idle_time: short,
        response_time: 3 * short,
        linger_time: short,
        ..Limits::default()
    }
}

fn body_of(answer: &str) -> &str {
    answer.split_once("\r\n\r\n").map_or("", |(_, body)| body)
}

#[test]
fn a_request_is_answered_with_all_segments() {
    let gate = Gate::open(Limits::default());
    let answer = gate
        .exchange("GET /metrics?a HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\nConnection: close\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(
        answer.contains("\r\nContent-Length: 13\r\n")
            && answer.contains("\r\nConnection: close\r\n")
    );
    assert!(!answer.contains("X-Broken"));
    assert_eq!(body_of(&answer), "/metrics?aa/b");
}

#[test]
fn head_gets_the_length_and_no_body() {
    let gate = Gate::open(Limits::default());
    let answer = gate.exchange("HEAD /metrics HTTP/1.0\r\n\r\n");
    assert!(answer.contains("\r\nContent-Length: 10\r\n"));
    assert_eq!(body_of(&answer), "");
}

#[test]
fn pipelined_requests_are_answered_in_order_and_a_bad_one_ends_it() {
    let gate = Gate::open(Limits::default());
    let one = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let answer = gate.exchange(&format!(
        "{}{}{}PUT {}",
        one("/1"),
        one("/2"),
        one("/forgotten"),
        one("/3")
    ));
    let statuses: Vec<_> = answer
        .split("HTTP/1.1 ")
        .skip(1)
        .map(|part| &part[..3])
        .collect();
    assert_eq!(statuses, ["200", "200", "500", "400"]);
    assert!(answer.find("/1 -") < answer.find("/2 -"));
}

#[test]
fn a_client_that_half_closes_gets_its_answer() {
    let gate = Gate::open(Limits::default());
    let mut client = gate.connect();
    client
        .write_all(b"GET /x HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert_eq!(body_of(&answer), "/x -");
}

#[test]
fn a_page_beyond_every_budget_arrives_whole_and_the_close_does_not_cut_it() {
    let gate = Gate::open(Limits {
        pending_bytes: 1,
        ..Limits::default()
    });
    let answer = gate.exchange("GET /huge HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body_of(&answer).len(), HUGE_BYTES);
}

#[test]
fn a_head_that_drips_is_told_that_its_time_is_over() {
    let gate = Gate::open(short_limits());
    assert!(
        gate.exchange("GET / HTTP/1.1\r\nHo")
            .starts_with("HTTP/1.1 408 Request Timeout\r\n")
    );
}

#[test]
fn a_silent_client_and_a_resting_one_are_let_go_without_a_word() {
    let gate = Gate::open(short_limits());
    assert_eq!(gate.exchange(""), "");
    let answer = gate.exchange("GET /rest HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("/rest -"), "{answer}");
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let gate = Gate::open(short_limits());
    let mut client = gate.connect();
    client
        .write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while gate.counters.expired.load(Ordering::Relaxed) == 0 {
        assert!(Instant::now() < deadline, "still served");
        thread::yield_now();
    }
    assert!(
        client.read_to_end(&mut Vec::new()).is_err(),
        "reset, so that the kernel keeps nothing"
    );
}

#[test]
fn when_all_are_being_served_the_next_one_hears_503() {
    // Given: one place, and a client in it that takes its answer too slowly to be done and too fast to be stalled.
    let gate = Gate::open(Limits {
        connections: 1,
        ..Limits::default()
    });
    let mut busy = gate.connect();
    busy.write_all(b"GET /huge HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    busy.read_exact(&mut [0]).unwrap();

    // When
    let answer = gate.exchange("GET / HTTP/1.1\r\nHost: x\r\n\r\n");

    // Then
    assert!(
        answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"),
        "{answer}"
    );
    assert!(answer.contains("\r\nRetry-After: 1\r\n"));
}

#[test]
fn a_main_loop_that_stalls_is_reported_once() {
    let gate = Gate::open(Limits {
        stall_time: Duration::from_millis(200),
        ..Limits::default()
    });
    let mut client = gate.connect();
    client
        .write_all(b"GET /stall HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    assert_eq!(gate.failed.recv_timeout(Duration::from_secs(5)), Ok(()));
}

#[test]
fn every_listener_leads_to_the_same_door() {
    let Ok(six) = TcpListener::bind("[::1]:0") else {
        return;
    }; // A machine without IPv6 cannot tell.
    let address = six.local_addr().unwrap();
    let mut gate = Gate::open_on(
        vec![TcpListener::bind("127.0.0.1:0").unwrap(), six],
        Limits::default(),
    );
    for address in [gate.address, address] {
        gate.address = address;
        assert_eq!(body_of(&gate.exchange("GET /x HTTP/1.0\r\n\r\n")), "/x -");
    }
}

#[test]
fn stopping_wakes_the_main_loop_at_once() {
    // Given
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = Door::open(vec![listener], POLICY, Limits::default(), || ()).unwrap();
    let stopper = door.stopper();
    let main_loop =
        thread::spawn(move || matches!(door.next(PATIENCE), Next::Nothing | Next::Stopped));

    // When
    let stopped = Instant::now();
    stopper.stop();

    // Then
    assert!(main_loop.join().unwrap());
    assert!(stopped.elapsed() < Duration::from_millis(200));
}

#[test]
fn a_body_is_never_given_to_another_request() {
    let handover = Handover::default();
    handover.put(1, Body::from("one"));
    handover.put(3, Body::from("three"));
    assert!(handover.take(2).is_empty(), "tiny_http answered by itself");
    assert_eq!(handover.take(3).concat(), b"three");
    assert!(handover.take(4).is_empty());
}
