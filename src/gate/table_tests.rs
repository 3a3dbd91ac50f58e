//! Who goes when there is no room, and what slow readers may keep.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use super::super::connection::{Rules, Step};
use super::super::limits::Limits;
use super::super::line::AnswerHead;
use super::super::policy::Policy;
use super::*;

/// A table, its rules, and the clients' ends of its connections.
struct Bench {
    listener: TcpListener,
    rules: Rules,
    start: Instant,
    table: Table,
    clients: Vec<TcpStream>,
}

impl Bench {
    fn new() -> Self {
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            rules: Rules {
                limits: Limits::default(),
                policy: Policy::default(),
            },
            start: Instant::now(),
            table: Table::default(),
            clients: Vec::new(),
        }
    }

    fn at(&self, second: u64) -> Instant {
        self.start + Duration::from_secs(second)
    }

    /// A client that connected then and said nothing.
    fn silent(&mut self, second: u64) -> usize {
        self.clients
            .push(TcpStream::connect(self.listener.local_addr().unwrap()).unwrap());
        let (stream, _) = self.listener.accept().unwrap();
        stream.set_nonblocking(true).unwrap();
        let connection = Connection::new(stream, self.at(second), &self.rules);
        self.table.insert(connection)
    }

    /// A client whose request waits for its answer.
    fn waiting(&mut self, second: u64) -> usize {
        let slot = self.silent(second);
        self.clients
            .last()
            .unwrap()
            .write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            .unwrap();
        let (now, deadline) = (self.at(second), Instant::now() + Duration::from_secs(5));
        let connection = self.table.get_mut(slot).unwrap();
        while !matches!(
            connection.act(&mut [0; 1024], now, &self.rules),
            Step::Forward(_)
        ) {
            assert!(Instant::now() < deadline, "the request never came");
        }
        slot
    }

    /// A client that was given this answer.
    fn answered(&mut self, second: u64, body: &[Arc<[u8]>]) -> usize {
        let slot = self.waiting(second);
        let (now, head) = (
            self.at(second),
            AnswerHead::read(b"HTTP/1.1 200 OK").unwrap(),
        );
        self.table
            .get_mut(slot)
            .unwrap()
            .respond(head, body.to_vec(), now, &self.rules);
        slot
    }

    fn expendable(&self, second: u64) -> Option<usize> {
        self.table.most_expendable(self.at(second))
    }
}

/// More than the kernel takes for a client that does not read.
fn page() -> Arc<[u8]> {
    Arc::from(vec![b'x'; 16 * 1024 * 1024])
}

#[test]
fn who_was_never_served_goes_before_who_was_and_the_oldest_first() {
    // Given: a served client older than two silent ones.
    let mut bench = Bench::new();
    let served = bench.answered(0, &[]);
    let older = bench.silent(2);
    let newer = bench.silent(3);

    // Then
    for expected in [older, newer, served] {
        assert_eq!(bench.expendable(4), Some(expected));
        bench.table.remove(expected);
    }
    assert_eq!(bench.expendable(4), None);
}

#[test]
fn who_is_being_served_stays() {
    let mut bench = Bench::new();
    bench.waiting(0);
    bench.answered(10, &[page()]);
    assert_eq!(bench.expendable(10), None);
}

#[test]
fn a_reader_without_progress_goes_before_a_scraper_that_rests() {
    let mut bench = Bench::new();
    let served = bench.answered(0, &[]);
    let stalled = bench.answered(1, &[page()]);
    assert_eq!(bench.expendable(1), Some(served), "not stalled yet");
    assert_eq!(bench.expendable(5), Some(stalled));
}

#[test]
fn a_page_larger_than_the_budget_is_served_to_one_reader() {
    let mut bench = Bench::new();
    let slot = bench.answered(0, &[page()]);
    assert_eq!(bench.table.reader_over_budget(1, slot), None);
}

#[test]
fn readers_of_the_same_page_cost_it_once() {
    let mut bench = Bench::new();
    let page = page();
    let slots: Vec<_> = (0..4)
        .map(|second| bench.answered(second, &[Arc::clone(&page)]))
        .collect();
    assert_eq!(bench.table.reader_over_budget(0, slots[3]), None);
}

#[test]
fn a_page_that_repeats_a_segment_costs_it_once() {
    let mut bench = Bench::new();
    let page = page();
    let slots: Vec<_> = (0..2)
        .map(|second| bench.answered(second, &[page.clone(), page.clone()]))
        .collect();
    assert_eq!(bench.table.reader_over_budget(0, slots[1]), None);
}

#[test]
fn readers_of_different_pages_share_the_budget_and_the_slowest_goes() {
    // Given: three pages of 16 MiB, of which one is exempt.
    let mut bench = Bench::new();
    let slots: Vec<_> = (0..3)
        .map(|second| bench.answered(second, &[page()]))
        .collect();

    // Then
    assert_eq!(
        bench.table.reader_over_budget(32 * 1024 * 1024, slots[2]),
        None
    );
    assert_eq!(
        bench.table.reader_over_budget(31 * 1024 * 1024, slots[2]),
        Some(slots[0])
    );
    bench.table.remove(slots[0]);
    assert_eq!(
        bench.table.reader_over_budget(31 * 1024 * 1024, slots[2]),
        None
    );
}

#[test]
fn an_answer_never_goes_to_the_next_owner_of_a_slot() {
    let mut bench = Bench::new();
    let slot = bench.silent(0);
    bench.table.assign(Ticket { slot, serial: 1 });
    assert!(bench.table.is_owner(Ticket { slot, serial: 1 }));

    bench.table.remove(slot);
    assert_eq!(bench.silent(1), slot, "the slot is used again");
    assert!(!bench.table.is_owner(Ticket { slot, serial: 1 }));
}
