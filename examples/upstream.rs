//! A simulated upstream for `scripts/bench` and `scripts/soak`: many status pages on one loopback port.
//!
//! Service `s0001` is at `/s0001/api/v2/summary.json`, 10 to 20 KB in Statuspage's shape. Every page has a generation,
//! 0 at first, and everything on it follows from that number, so that a reader can tell a mixture of two from either.
//! `GET /control?...` changes the answers at run time and gives the number of requests so far:
//!
//! * `change=all` or `change=s0001`: the next generation;
//! * `fault=none`, `hang`, `500`, `cut`, `garbage` or `huge`: how every page answers from now on;
//! * `random=SEED`: a fault for some requests, chosen at random; 0 ends that;
//! * `delay_ms=100`: the time before each answer.
//!
//! It is a development tool: it uses std alone and is no part of the exporter.

use std::fmt::Write as _;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Threads, each of which accepts and serves one connection at a time. The exporter asks for 32 answers at once.
const THREADS: usize = 128;
const STACK_BYTES: usize = 128 * 1024;
const HEAD_LIMIT_BYTES: usize = 8 * 1024;
/// Longest wait for a client, and the length of a hang: longer than any time-out that the scripts set.
const PATIENCE: Duration = Duration::from_secs(30);
/// Body of the fault `huge`: more than the 16 MiB that the exporter reads.
const HUGE_BYTES: usize = 20 * 1024 * 1024;
/// Components in a group, the group itself included.
const GROUP_SIZE: usize = 10;
/// Status words by generation and place; the scripts know this order.
const STATUSES: [&str; 5] = [
    "operational",
    "degraded_performance",
    "partial_outage",
    "major_outage",
    "under_maintenance",
];
/// Of a hundred requests in random mode this many get each fault; as many again as the slow ones are well.
const RANDOM_SHARES: [(Fault, u64); 5] = [
    (Fault::Hang, 2),
    (Fault::Status500, 8),
    (Fault::Cut, 8),
    (Fault::Garbage, 8),
    (Fault::Huge, 1),
];

fn main() -> Result<(), String> {
    let options = Options::read(std::env::args().skip(1))?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port))
        .map_err(|cause| format!("cannot listen on port {}: {cause}", options.port))?;
    let address = listener.local_addr().map_err(|cause| cause.to_string())?;
    let site = Arc::new(Site::new(options));
    let mut threads = Vec::new();
    for _ in 0..THREADS {
        let (site, listener) = (Arc::clone(&site), listener.try_clone());
        let listener = listener.map_err(|cause| cause.to_string())?;
        let thread = std::thread::Builder::new().stack_size(STACK_BYTES);
        let serving = thread.spawn(move || site.serve(&listener));
        threads.push(serving.map_err(|cause| cause.to_string())?);
    }
    writeln!(io::stdout(), "listening address={address}").map_err(|cause| cause.to_string())?;
    threads
        .into_iter()
        .try_for_each(|thread| thread.join())
        .map_err(|_| "a thread panicked".to_owned())
}

struct Options {
    port: u16,
    services: usize,
    components: usize,
    delay_ms: u64,
    /// Answers carry an ETag, and a request that knows it gets 304.
    has_etag: bool,
}

impl Options {
    fn read(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
        let mut options = Options {
            port: 0,
            services: 18,
            components: 40,
            delay_ms: 0,
            has_etag: false,
        };
        while let Some(name) = arguments.next() {
            if name == "--etag" {
                options.has_etag = true;
                continue;
            }
            let value = arguments.next().unwrap_or_default();
            let number: usize = value
                .parse()
                .map_err(|_| format!("{name} {value:?}: not a number"))?;
            match name.as_str() {
                "--port" => {
                    options.port = number
                        .try_into()
                        .map_err(|_| format!("{number}: no port"))?;
                }
                "--services" => options.services = number,
                "--components" => options.components = number,
                "--delay-ms" => options.delay_ms = number as u64,
                _ => {
                    return Err(format!(
                        "{name} is not understood; there are --port, --services, --components, --delay-ms and --etag"
                    ));
                }
            }
        }
        Ok(options)
    }
}

/// How a page answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    None,
    Hang,
    Status500,
    Cut,
    Garbage,
    Huge,
}

impl Fault {
    fn from_word(word: &str) -> Option<Fault> {
        Some(match word {
            "none" => Fault::None,
            "hang" => Fault::Hang,
            "500" => Fault::Status500,
            "cut" => Fault::Cut,
            "garbage" => Fault::Garbage,
            "huge" => Fault::Huge,
            _ => return None,
        })
    }
}

struct Site {
    pages: Vec<Page>,
    options: Options,
    requests: AtomicU64,
    /// Guards how pages answer.
    mood: Mutex<Mood>,
}

#[derive(Clone, Copy)]
struct Mood {
    fault: Fault,
    delay: Duration,
    /// State of the generator in random mode; 0 outside of it.
    random: u64,
}

/// One status page.
struct Page {
    key: String,
    /// Guards the generation and the answer that goes with it.
    now: Mutex<(u64, Arc<Reply>)>,
}

/// A whole good answer, made once.
struct Reply {
    etag: String,
    bytes: Vec<u8>,
}

impl Site {
    fn new(options: Options) -> Site {
        let page = |number: usize| Page {
            key: format!("s{number:04}"),
            now: Mutex::new((0, Arc::new(reply(number, &options, 0)))),
        };
        Site {
            pages: (1..=options.services).map(page).collect(),
            requests: AtomicU64::new(0),
            mood: Mutex::new(Mood {
                fault: Fault::None,
                delay: Duration::from_millis(options.delay_ms),
                random: 0,
            }),
            options,
        }
    }

    fn serve(&self, listener: &TcpListener) {
        loop {
            match listener.accept() {
                // A client that has gone is no error here.
                Ok((stream, _)) => drop(self.answer(stream)),
                // Out of descriptors, say: the others are closed soon.
                Err(_) => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }

    fn answer(&self, mut stream: TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        let head = read_head(&mut stream)?;
        let target = head.split(' ').nth(1).unwrap_or_default();
        if let Some(commands) = target.strip_prefix("/control") {
            let (status, text) = match self.control(commands.trim_start_matches('?')) {
                Ok(()) => (200, format!("{}\n", self.requests.load(Ordering::SeqCst))),
                Err(what) => (400, what),
            };
            return send(&mut stream, status, &text);
        }
        let key = target.trim_start_matches('/').split('/').next();
        let Some(page) = self.pages.iter().find(|page| Some(&*page.key) == key) else {
            return send(&mut stream, 404, "no such page");
        };
        let reply = Arc::clone(&lock(&page.now).1);
        let mood = self.mood();
        std::thread::sleep(mood.delay);
        // Counted when the answer is about to be there.
        self.requests.fetch_add(1, Ordering::SeqCst);
        match mood.fault {
            Fault::None if self.options.has_etag && head.contains(&reply.etag) => {
                stream.write_all(b"HTTP/1.1 304 Not Modified\r\nconnection: close\r\n\r\n")
            }
            Fault::None => stream.write_all(&reply.bytes),
            Fault::Hang => stream.read(&mut [0]).map(|_| ()),
            Fault::Status500 => send(&mut stream, 500, "<html>something went wrong</html>"),
            Fault::Cut => stream.write_all(reply.bytes.get(..reply.bytes.len() / 2).unwrap_or(&[])),
            Fault::Garbage => stream.write_all(&[0x9d; 700]),
            Fault::Huge => send_huge(&mut stream),
        }?;
        stream.shutdown(Shutdown::Write)
    }

    /// The mood for one more request.
    fn mood(&self) -> Mood {
        let mut mood = lock(&self.mood);
        let mut drawn = *mood;
        if mood.random != 0 {
            mood.random = mood
                .random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407)
                .max(1);
            let mut left = (mood.random >> 33) % 100;
            let fault = RANDOM_SHARES.iter().find(|(_, share)| {
                let is_it = left < *share;
                left = left.saturating_sub(*share);
                is_it
            });
            drawn.fault = fault.map_or(mood.fault, |(fault, _)| *fault);
        }
        drawn
    }

    fn control(&self, commands: &str) -> Result<(), String> {
        for command in commands.split('&').filter(|command| !command.is_empty()) {
            let (name, value) = command.split_once('=').unwrap_or((command, ""));
            let number = || {
                value
                    .parse::<u64>()
                    .map_err(|_| format!("{command}: not a number"))
            };
            match name {
                "change" => self.change(value),
                "fault" => {
                    let fault =
                        Fault::from_word(value).ok_or(format!("{command}: no such fault"))?;
                    lock(&self.mood).fault = fault;
                }
                "random" => lock(&self.mood).random = number()?,
                "delay_ms" => lock(&self.mood).delay = Duration::from_millis(number()?),
                _ => return Err(format!("{command}: not understood")),
            }
        }
        Ok(())
    }

    fn change(&self, key: &str) {
        for (number, page) in (1..).zip(&self.pages) {
            if key == "all" || key == page.key {
                let mut now = lock(&page.now);
                let generation = now.0 + 1;
                *now = (
                    generation,
                    Arc::new(reply(number, &self.options, generation)),
                );
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn read_head(stream: &mut TcpStream) -> io::Result<String> {
    let mut head = Vec::new();
    let mut chunk = [0; 2048];
    while !head.ends_with(b"\r\n\r\n") {
        let count = stream.read(&mut chunk)?;
        head.extend_from_slice(chunk.get(..count).unwrap_or_default());
        if count == 0 || head.len() > HEAD_LIMIT_BYTES {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(String::from_utf8_lossy(&head).into_owned())
}

fn send(stream: &mut TcpStream, status: u16, text: &str) -> io::Result<()> {
    let length = text.len();
    let head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    );
    stream.write_all((head + text).as_bytes())
}

fn send_huge(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n{\"page\": \"")?;
    let chunk = [b'x'; 64 * 1024];
    (0..HUGE_BYTES / chunk.len()).try_for_each(|_| stream.write_all(&chunk))
}

/// The answer of a page in a generation.
fn reply(number: usize, options: &Options, generation: u64) -> Reply {
    let body = summary(number, options.components, generation);
    let etag = format!("\"{number}-{generation}\"");
    let etag_line = match options.has_etag {
        true => format!("etag: {etag}\r\n"),
        false => String::new(),
    };
    let head = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json; charset=utf-8\r\ncontent-length: {}\r\n{etag_line}connection: close\r\n\r\n",
        body.len()
    );
    Reply {
        etag,
        bytes: (head + &body).into_bytes(),
    }
}

/// The summary of a page. In generation 0 all is well; in an odd one there is an incident.
fn summary(number: usize, components: usize, generation: u64) -> String {
    let (page, updated) = (format!("pg{number:010}"), moment(generation));
    let components: Vec<String> = (0..components)
        .map(|place| component(&page, place, components, generation))
        .collect();
    let (indicator, description, incidents) = match generation % 2 {
        0 => ("none", "All Systems Operational", String::new()),
        _ => (
            "minor",
            "Partially Degraded Service",
            incident(&page, generation),
        ),
    };
    format!(
        "{{\"page\":{{\"id\":\"{page}\",\"name\":\"Service {number:04}\",\"url\":\"https://status.s{number:04}.example\",\
         \"time_zone\":\"Etc/UTC\",\"updated_at\":\"{updated}\"}},\
         \"components\":[{}],\"incidents\":[{incidents}],\"scheduled_maintenances\":[],\
         \"status\":{{\"indicator\":\"{indicator}\",\"description\":\"{description}\"}}}}",
        components.join(",")
    )
}

/// A generation as a time: so many seconds into 2026. A day of generations is more than any run makes.
fn moment(generation: u64) -> String {
    let (hours, minutes, seconds) = (
        generation / 3600 % 24,
        generation / 60 % 60,
        generation % 60,
    );
    format!("2026-01-01T{hours:02}:{minutes:02}:{seconds:02}.000Z")
}

fn component(page: &str, place: usize, count: usize, generation: u64) -> String {
    let id = |place: usize| format!("{}{place:04}", page.get(2..).unwrap_or_default());
    let step = generation as usize + place;
    let word = match generation {
        0 => Some("operational"),
        _ => STATUSES.get(step % STATUSES.len()).copied(),
    }
    .unwrap_or_default();
    let first = place - place % GROUP_SIZE;
    let (name, belonging) = if place == first {
        let members = first + 1..(first + GROUP_SIZE).min(count);
        let members: Vec<String> = members
            .map(|member| format!("\"{}\"", id(member)))
            .collect();
        (
            format!("Region {place:02}"),
            format!(
                "\"group_id\":null,\"group\":true,\"components\":[{}]",
                members.join(",")
            ),
        )
    } else {
        (
            format!("Component {place:02} requests"),
            format!("\"group_id\":\"{}\",\"group\":false", id(first)),
        )
    };
    format!(
        "{{\"id\":\"{}\",\"name\":\"{name}\",\"status\":\"{word}\",\"created_at\":\"2024-03-05T09:41:12.345Z\",\
         \"updated_at\":\"{}\",\"position\":{place},\"description\":\"Requests that customers send to this part\",\
         \"showcase\":false,\"start_date\":\"2024-03-05\",\"page_id\":\"{page}\",\"only_show_if_degraded\":false,{belonging}}}",
        id(place),
        moment(generation)
    )
}

fn incident(page: &str, generation: u64) -> String {
    let (mut incident, at) = (String::new(), moment(generation));
    // Writing to a String cannot fail.
    let _ = write!(
        incident,
        "{{\"id\":\"in{generation:08}\",\"name\":\"Errors in generation {generation}\",\"status\":\"investigating\",\
         \"created_at\":\"{at}\",\"updated_at\":\"{at}\",\"monitoring_at\":null,\"resolved_at\":null,\"impact\":\"minor\",\
         \"shortlink\":\"https://stspg.io/{generation:08}\",\"started_at\":\"{at}\",\"page_id\":\"{page}\",\
         \"incident_updates\":[{{\"id\":\"up{generation:08}\",\"status\":\"investigating\",\
         \"body\":\"We are looking into errors that some customers see.\",\"created_at\":\"{at}\"}}],\
         \"components\":[{{\"id\":\"{}0001\",\"name\":\"Component 01 requests\",\"status\":\"degraded_performance\"}}]}}",
        page.get(2..).unwrap_or_default()
    );
    incident
}
