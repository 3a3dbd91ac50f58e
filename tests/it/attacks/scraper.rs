//! A normal scraper, which goes on while others misbehave.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::machine::{self, Usage};
use crate::upstream::wait_until;

/// A scrape for the text format, uncompressed.
pub const PLAIN: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: exporter\r\nAccept: text/plain\r\n\r\n";

/// A scrape as Prometheus sends it.
pub const PROMETHEUS: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: exporter:9001\r\nUser-Agent: Prometheus/3.5.0\r\n\
    Accept: application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1\r\n\
    Accept-Encoding: gzip\r\nX-Prometheus-Scrape-Timeout-Seconds: 10\r\n\r\n";

/// Time between the starts of two scrapes.
const PAUSE: Duration = Duration::from_millis(100);

/// What Prometheus waits by default is 10 s; whoever waits this long here has met a defect.
const SCRAPE_LIMIT: Duration = Duration::from_secs(5);

/// A thread that scrapes every 100 ms: in turn as Prometheus does over a connection that it keeps, and plainly over a
/// new one.
pub struct Scraper {
    is_over: Arc<AtomicBool>,
    times: Arc<Mutex<Vec<Duration>>>,
    /// Gives the most that the process has used of each thing.
    thread: JoinHandle<Usage>,
}

impl Scraper {
    pub fn start(address: SocketAddr, pid: u32) -> Scraper {
        let is_over = Arc::new(AtomicBool::new(false));
        let times = Arc::new(Mutex::new(Vec::new()));
        let (over, results) = (Arc::clone(&is_over), Arc::clone(&times));
        let thread = thread::spawn(move || {
            let mut kept = connect(address).unwrap();
            let mut peak = Usage::of(pid);
            for turn in 0.. {
                if over.load(Ordering::Relaxed) {
                    break;
                }
                let start = Instant::now();
                let scraped = match turn % 2 {
                    0 => scrape(&mut kept, PROMETHEUS),
                    _ => connect(address).and_then(|mut client| scrape(&mut client, PLAIN)),
                };
                let took = start.elapsed();
                scraped
                    .unwrap_or_else(|cause| panic!("scrape {turn} failed after {took:?}: {cause}"));
                results.lock().unwrap().push(took);
                peak = peak.max(Usage::of(pid));
                thread::sleep(PAUSE.saturating_sub(start.elapsed()));
            }
            machine::count_this_thread();
            peak
        });
        Scraper {
            is_over,
            times,
            thread,
        }
    }

    /// Waits for this many more scrapes.
    pub fn continue_for(&self, more: usize) {
        let done = || self.times.lock().unwrap().len();
        let goal = done() + more;
        wait_until("more scrapes", || {
            (self.thread.is_finished() || done() >= goal).then_some(())
        });
    }

    /// The times that the scrapes took, sorted, and the most that the process used. Panics if a scrape has failed.
    pub fn stop(self) -> (Vec<Duration>, Usage) {
        self.is_over.store(true, Ordering::Relaxed);
        let peak = self.thread.join().expect("no scrape fails");
        let mut times = std::mem::take(&mut *self.times.lock().unwrap());
        times.sort();
        (times, peak)
    }
}

fn connect(address: SocketAddr) -> io::Result<TcpStream> {
    let client = TcpStream::connect(address)?;
    client.set_read_timeout(Some(SCRAPE_LIMIT))?;
    Ok(client)
}

/// One scrape over a connection; an error if what comes is not one whole page.
pub fn scrape(client: &mut TcpStream, request: &[u8]) -> io::Result<()> {
    client.write_all(request)?;
    let (mut received, mut piece) = (Vec::new(), [0; 65_536]);
    loop {
        match client.read(&mut piece)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            bytes => received.extend_from_slice(&piece[..bytes]),
        }
        let places = received.windows(4).take(2_000);
        let Some(end) = places.clone().position(|window| window == b"\r\n\r\n") else {
            continue;
        };
        let (head, body) = (&received[..end], &received[end + 4..]);
        let head = String::from_utf8_lossy(head);
        if !head.starts_with("HTTP/1.1 200 OK\r\n") {
            return Err(io::Error::other(head.into_owned()));
        }
        let length = head
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: ")?.parse::<usize>().ok());
        if Some(body.len()) >= length {
            let is_packed = head.contains("\r\nContent-Encoding: gzip");
            let begins = if is_packed {
                &b"\x1f\x8b"[..]
            } else {
                b"# HELP"
            };
            let is_whole = Some(body.len()) == length && body.starts_with(begins);
            return match is_whole {
                true => Ok(()),
                false => Err(io::Error::other(format!("not one page: {head}"))),
            };
        }
    }
}
