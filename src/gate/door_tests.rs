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
    /// Requests for `/held`.
    held: mpsc::Receiver<Held>,
}

impl Gate {
    fn open(limits: Limits) -> Self {
        Self::open_on(vec![TcpListener::bind("127.0.0.1:0").unwrap()], limits)
    }

    fn open_on(listeners: Vec<TcpListener>, limits: Limits) -> Self {
        let address = listeners[0].local_addr().unwrap();
        let (sender, failed) = mpsc::channel();
        let (holding, held) = mpsc::channel();
        let door = Door::open(listeners, POLICY, limits, move || sender.send(()).unwrap()).unwrap();
        let (stopper, counters) = (door.stopper(), door.counters());
        thread::spawn(move || {
            let huge: Arc<[u8]> = Arc::from(vec![b'x'; HUGE_BYTES]);
            while let Next::Request(request) = door.next(PATIENCE) {
                let body = match request.path() {
                    "/huge" => Body::from(Arc::clone(&huge)),
                    "/stall" => return thread::sleep(Duration::from_secs(60)),
                    "/forgotten" => continue,
                    "/held" => {
                        let _ = holding.send(request.hold());
                        continue;
                    }
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
            held,
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
fn who_has_asked_is_answered_before_the_end_and_who_comes_then_is_left_to_the_next_process() {
    // Given a request on its way, somebody who rests, and a supervisor that holds the socket
    let held = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = held.local_addr().unwrap();
    let door = Door::open(
        vec![held.try_clone().unwrap()],
        POLICY,
        Limits::default(),
        || (),
    );
    let door = door.unwrap();
    let mut resting = TcpStream::connect(address).unwrap();
    resting
        .write_all(b"GET /rest HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    answer_next(&door);
    let mut asking = TcpStream::connect(address).unwrap();
    asking.write_all(b"GET /last HTTP/1.0\r\n\r\n").unwrap();
    while door.counters().admitted.load(Ordering::Relaxed) < 2 {
        thread::yield_now();
    }

    // When
    door.stopper().stop();

    // Then
    answer_next(&door);
    assert!(matches!(door.next(PATIENCE), Next::Stopped));
    for (client, path) in [(&mut resting, "/rest"), (&mut asking, "/last")] {
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert_eq!(body_of(&received), path);
    }
    let next = TcpStream::connect(address).unwrap();
    held.set_nonblocking(false).unwrap();
    let (_, peer) = held.accept().unwrap();
    assert_eq!(peer, next.local_addr().unwrap());
}

/// Answers the next request with its path.
fn answer_next(door: &Door) {
    let Next::Request(request) = door.next(PATIENCE) else {
        panic!("no request");
    };
    let body = Body::from(request.path());
    let answer = Answer {
        status: 200,
        headers: Vec::new(),
        body,
    };
    door.answer(request, answer);
}

#[test]
fn a_body_is_never_given_to_another_request() {
    let handover = Handover::new().unwrap();
    handover.put(1, Some(Body::from("one")));
    handover.put(3, Some(Body::from("three")));
    let bytes = |serial| Some(handover.take(serial)?.concat());
    assert_eq!(bytes(2), Some(vec![]), "tiny_http answered by itself");
    assert_eq!(bytes(3), Some(b"three".to_vec()));
    assert_eq!(bytes(4), Some(vec![]));
}

#[test]
fn a_held_request_keeps_nobody_waiting_and_is_answered_when_its_answer_comes() {
    // Given: two held requests, one of them over a connection that is kept.
    let gate = Gate::open(Limits::default());
    let (mut kept, mut other) = (gate.connect(), gate.connect());
    kept.write_all(b"GET /held HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let first = gate.held.recv_timeout(PATIENCE).unwrap();
    other
        .write_all(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let second = gate.held.recv_timeout(PATIENCE).unwrap();

    // When: another request comes, then the answers in the other order.
    let answer = gate.exchange("GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body_of(&answer), "/page -");
    second.answer(500, "no\n".to_owned());
    first.answer(200, "yes\n".to_owned());

    // Then
    let mut answer = String::new();
    other.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\nDate: "));
    assert_eq!(body_of(&answer), "no\n");
    kept.write_all(b"GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    let mut answers = String::new();
    kept.read_to_string(&mut answers).unwrap();
    assert!(answers.starts_with("HTTP/1.1 200 OK\r\n"), "{answers}");
    assert!(answers.contains("\r\nContent-Length: 4\r\n\r\nyes\nHTTP/1.1 200 OK\r\n"));
    assert!(answers.ends_with("/next -"), "{answers}");
}

#[test]
fn a_request_that_is_held_for_too_long_gets_504_and_its_answer_goes_nowhere() {
    let hold_time = Duration::from_millis(100);
    let gate = Gate::open(Limits {
        hold_time,
        ..Limits::default()
    });
    let answer = gate.exchange("GET /held HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"));
    let held = gate.held.recv_timeout(PATIENCE).unwrap();
    held.answer(200, "too late".to_owned());
    let answer = gate.exchange("GET /page HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert_eq!(body_of(&answer), "/page -");
}

#[test]
fn a_held_request_that_is_dropped_is_answered_with_500() {
    let gate = Gate::open(Limits::default());
    let mut client = gate.connect();
    client
        .write_all(b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .unwrap();
    drop(gate.held.recv_timeout(PATIENCE).unwrap());
    let mut answer = String::new();
    client.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 500 "), "{answer}");
}
