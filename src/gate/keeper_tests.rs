//! What the thread does when the kernel has nothing to give, and while nothing happens.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::super::accept::{GRACE, Room};
use super::super::limits::Limits;
use super::super::policy::Policy;
use super::*;

/// A keeper that nobody runs: the test turns it.
fn keeper(limits: Limits) -> Keeper {
    let (line, _) = Line::establish(Instant::now()).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let rules = Rules {
        limits,
        policy: Policy::default(),
    };
    let handover = Arc::new(Handover::new().unwrap());
    Keeper::new(vec![listener], line, rules, handover, Arc::default()).unwrap()
}

fn connect(keeper: &Keeper) -> TcpStream {
    TcpStream::connect(keeper.listeners[0].local_addr().unwrap()).unwrap()
}

#[test]
fn without_descriptors_an_expendable_connection_makes_room() {
    let mut keeper = keeper(Limits::default());
    let _client = connect(&keeper);
    keeper.accept_from(0);
    assert_eq!(keeper.table.len(), 1);
    assert_eq!(
        keeper.make_room(),
        Room::Soon(keeper.now + GRACE),
        "it has just come"
    );

    keeper.now += GRACE;
    assert_eq!(keeper.shed(0), None);

    assert_eq!(keeper.table.len(), 0);
}

#[test]
fn without_descriptors_and_without_victims_the_reserve_answers_the_door() {
    let mut keeper = keeper(Limits::default());
    let mut client = connect(&keeper);

    assert_eq!(keeper.shed(0), None, "the reserve is back");

    assert_eq!(
        client.read(&mut [0]).unwrap_or(0),
        0,
        "closed, not left waiting"
    );
    assert_eq!(keeper.counters.evicted.load(Ordering::Relaxed), 1);
}

#[test]
fn while_nothing_happens_nothing_is_due() {
    let keeper = keeper(Limits::default());
    assert_eq!(keeper.watch.deadline(), None);
    assert!(
        keeper
            .table
            .iter()
            .all(|(_, connection)| connection.deadline().is_none())
    );
    assert_eq!(keeper.accept_again, None);
}

#[test]
fn a_request_whose_client_is_gone_is_not_passed_on() {
    // Given: a request in the queue.
    let mut keeper = keeper(Limits::default());
    let mut client = connect(&keeper);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(5);
    while keeper.queue.is_empty() {
        assert!(Instant::now() < deadline, "the request never came");
        keeper.accept_from(0);
        keeper.serve(&[0]);
    }

    // When
    keeper.close(0);
    keeper.forward().unwrap();

    // Then
    assert_eq!((keeper.queue.len(), keeper.line.in_flight()), (0, 0));
}

#[test]
fn a_request_that_has_just_come_saves_its_client_from_eviction() {
    // Given: a client that was silent when it was admitted.
    let mut keeper = keeper(Limits::default());
    let mut client = connect(&keeper);
    keeper.accept_from(0);
    client
        .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        .unwrap();

    // Then: loopback has delivered the bytes by the time `write` returns.
    keeper.now += GRACE;
    assert_eq!(keeper.make_room(), Room::None);
    assert_eq!((keeper.table.len(), keeper.queue.len()), (1, 1));
}

#[test]
fn an_arrival_is_told_from_none() {
    let keeper = keeper(Limits::default());
    assert!(!keeper.is_awaited(0));
    let _client = connect(&keeper);
    assert!(keeper.is_awaited(0));
}
