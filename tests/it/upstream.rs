//! A simulated upstream: an HTTP server on a loopback port that answers each path as it is told to.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use rustix::net::{AddressFamily, SocketType};

/// A connection, plain or TLS.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Stands for every path that has no behaviour of its own.
pub const ANY_PATH: &str = "*";

/// How a path answers.
pub type Behaviour = Arc<dyn Fn(&Request, &mut dyn Stream) + Send + Sync>;

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    pub target: String,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    pub at: Instant,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }
}

#[derive(Default)]
struct State {
    behaviours: Mutex<BTreeMap<String, Behaviour>>,
    requests: Mutex<Vec<Request>>,
    is_stopped: AtomicBool,
}

/// The server. It ends with this value.
pub struct Upstream {
    pub address: SocketAddr,
    scheme: &'static str,
    host: &'static str,
    state: Arc<State>,
}

impl Upstream {
    pub fn start() -> Upstream {
        Upstream::start_with("http", "127.0.0.1", |stream| Some(Box::new(stream)))
    }

    /// `wrap` turns a connection into what is spoken over it, or gives it up.
    pub fn start_with(
        scheme: &'static str,
        host: &'static str,
        wrap: impl Fn(TcpStream) -> Option<Box<dyn Stream>> + Send + Sync + 'static,
    ) -> Upstream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let (served, wrap) = (Arc::clone(&state), Arc::new(wrap));
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                if served.is_stopped.load(Ordering::SeqCst) {
                    return;
                }
                let (state, wrap) = (Arc::clone(&served), Arc::clone(&wrap));
                std::thread::spawn(move || {
                    connection
                        .set_read_timeout(Some(Duration::from_secs(60)))
                        .unwrap();
                    connection
                        .set_write_timeout(Some(Duration::from_secs(60)))
                        .unwrap();
                    connection.set_nodelay(true).unwrap();
                    if let Some(stream) = wrap(connection) {
                        serve(stream, &state);
                    }
                });
            }
        });
        Upstream {
            address,
            scheme,
            host,
            state,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!(
            "{}://{}:{}{path}",
            self.scheme,
            self.host,
            self.address.port()
        )
    }

    /// From now on the path answers like this.
    pub fn set(&self, path: &str, behaviour: Behaviour) {
        self.state
            .behaviours
            .lock()
            .unwrap()
            .insert(path.to_owned(), behaviour);
    }

    /// The requests for a path so far.
    pub fn requests(&self, path: &str) -> Vec<Request> {
        let requests = self.state.requests.lock().unwrap();
        requests
            .iter()
            .filter(|request| request.target == path)
            .cloned()
            .collect()
    }

    /// All requests so far.
    pub fn all_requests(&self) -> Vec<Request> {
        self.state.requests.lock().unwrap().clone()
    }

    /// Counts from nought again; for upstreams that run on and on.
    pub fn forget_requests(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// Waits until a path was asked `count` times.
    pub fn wait_for_requests(&self, path: &str, count: usize) -> Vec<Request> {
        wait_until(&format!("{count} requests for {path}"), || {
            let requests = self.requests(path);
            (requests.len() >= count).then_some(requests)
        })
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.state.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the accepting thread so that it sees the flag.
        let _ = TcpStream::connect(self.address);
    }
}

fn serve(stream: Box<dyn Stream>, state: &State) {
    let mut reader = BufReader::new(stream);
    let Some(request) = read_request(&mut reader) else {
        return;
    };
    let path = request.target.clone();
    state.requests.lock().unwrap().push(request.clone());
    let behaviour = {
        let behaviours = state.behaviours.lock().unwrap();
        let found = behaviours.get(&path).or_else(|| behaviours.get(ANY_PATH));
        found.cloned()
    };
    let stream = reader.get_mut();
    match behaviour {
        Some(behaviour) => behaviour(&request, stream.as_mut()),
        None => answer(stream.as_mut(), 404, &[], b"no such page"),
    }
}

fn read_request(reader: &mut impl BufRead) -> Option<Request> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_ascii_whitespace();
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8_lossy(&body).into_owned();
    Some(Request {
        method,
        target,
        headers,
        body,
        at: Instant::now(),
    })
}

/// Writes an answer that ends the connection. A client that has gone is no error.
pub fn answer(stream: &mut dyn Stream, status: u16, headers: &[(&str, &str)], body: &[u8]) {
    let mut head = format!(
        "HTTP/1.1 {status} Status\r\ncontent-length: {}\r\nconnection: close\r\n",
        body.len()
    );
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    let _ = stream.write_all(format!("{head}\r\n").as_bytes());
    let _ = stream.write_all(body);
    let _ = stream.flush();
}

pub fn json(body: impl Into<String>) -> Behaviour {
    let body = body.into();
    Arc::new(move |_, stream| {
        answer(
            stream,
            200,
            &[("content-type", "application/json")],
            body.as_bytes(),
        )
    })
}

pub fn status(status: u16, headers: &[(&str, &str)]) -> Behaviour {
    let headers: Vec<(String, String)> = headers
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Arc::new(move |_, stream| {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        answer(
            stream,
            status,
            &headers,
            b"<html>something went wrong</html>",
        );
    })
}

pub fn redirect(status_code: u16, location: impl Into<String>) -> Behaviour {
    let location = location.into();
    Arc::new(move |_, stream| answer(stream, status_code, &[("location", &location)], b""))
}

/// Accepts and never answers.
pub fn hang() -> Behaviour {
    Arc::new(|_, stream| {
        // Ends when the client gives up.
        let _ = stream.read(&mut [0]);
    })
}

/// A good head, then one byte of the body a second, for ever.
pub fn drip() -> Behaviour {
    Arc::new(|_, stream| {
        let _ = stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close\r\n\r\n{",
        );
        while stream.write_all(b" ").and_then(|()| stream.flush()).is_ok() {
            std::thread::sleep(Duration::from_secs(1));
        }
    })
}

/// So many bytes of JSON that begins well, with or without saying so in advance.
pub fn huge(bytes: usize, is_announced: bool) -> Behaviour {
    Arc::new(move |_, stream| {
        let length = if is_announced {
            format!("content-length: {bytes}\r\n")
        } else {
            String::new()
        };
        let head = format!("HTTP/1.1 200 OK\r\n{length}connection: close\r\n\r\n{{\"page\": \"");
        let mut written = stream.write_all(head.as_bytes());
        let chunk = [b'x'; 64 * 1024];
        for _ in 0..bytes / chunk.len() {
            written = written.and_then(|()| stream.write_all(&chunk));
        }
    })
}

/// A small answer that becomes so many bytes.
pub fn gzip_bomb(bytes: usize) -> Behaviour {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(b"{\"page\": \"").unwrap();
    (0..bytes / 1024).for_each(|_| encoder.write_all(&[b'x'; 1024]).unwrap());
    let bomb = encoder.finish().unwrap();
    Arc::new(move |_, stream| answer(stream, 200, &[("content-encoding", "gzip")], &bomb))
}

/// Announces more than it sends.
pub fn cut_short(body: &'static str) -> Behaviour {
    Arc::new(move |_, stream| {
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}",
            body.len() + 100
        );
        let _ = stream.write_all(head.as_bytes());
    })
}

/// Sends these bytes, whatever they are, and closes.
pub fn raw(bytes: &'static [u8]) -> Behaviour {
    Arc::new(move |_, stream| {
        let _ = stream.write_all(bytes);
    })
}

/// Gives each of these answers once, the last one for ever.
pub fn in_turn(behaviours: Vec<Behaviour>) -> Behaviour {
    let next = Mutex::new(0);
    Arc::new(move |request, stream| {
        let place = {
            let mut next = next.lock().unwrap();
            *next += 1;
            (*next - 1).min(behaviours.len() - 1)
        };
        behaviours[place](request, stream);
    })
}

/// An address at which nobody listens, nor begins to while this lives: its port is bound. Connections are refused.
pub struct Nobody {
    pub address: SocketAddr,
    _socket: OwnedFd,
}

impl Nobody {
    pub fn here() -> Nobody {
        Nobody::at(0).unwrap()
    }

    /// At this port of 127.0.0.1, unless somebody is there.
    pub fn at(port: u16) -> io::Result<Nobody> {
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::bind(&socket, &SocketAddr::from(([127, 0, 0, 1], port)))?;
        let address = rustix::net::getsockname(&socket)?.try_into()?;
        Ok(Nobody {
            address,
            _socket: socket,
        })
    }
}

/// Waits for a condition with a deadline that only a defect reaches.
pub fn wait_until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(found) = condition() {
            return found;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
