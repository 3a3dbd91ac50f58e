//! The binary under test: started with an environment of its own, asked over HTTP, stopped by signals.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use serde_json::{Value, json};

use crate::upstream::wait_until;

/// A temporary folder that goes with the test.
pub struct Folder(pub PathBuf);

impl Folder {
    pub fn new(name: &str) -> Folder {
        static COUNT: Mutex<u32> = Mutex::new(0);
        let mut count = COUNT.lock().unwrap();
        *count += 1;
        let path = std::env::temp_dir().join(format!(
            "saas-exporter-it-{}-{count}-{name}",
            std::process::id()
        ));
        std::fs::create_dir_all(&path).unwrap();
        Folder(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        std::fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        std::fs::write(self.path(name), content).unwrap();
        self.path(name)
    }

    pub fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap()
    }

    /// Names of the files in a folder, sorted.
    pub fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder))
            .into_iter()
            .flatten()
            .flatten();
        let mut names: Vec<String> = entries
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A user without privileges.
const NOBODY: u32 = 65_534;

/// How to start the exporter; every start uses the same folder.
pub struct Setup {
    pub folder: Arc<Folder>,
    binary: PathBuf,
    user: Option<u32>,
    variables: BTreeMap<String, String>,
    arguments: Vec<String>,
    shell: Option<String>,
    input: Option<TcpListener>,
}

impl Setup {
    /// `services` is the content of services.json.
    pub fn new(name: &str, services: Value) -> Setup {
        let folder = Arc::new(Folder::new(name));
        let file = folder.write("services.json", services.to_string());
        let cache = folder.path("cache").display().to_string();
        let setup = Setup {
            folder,
            binary: env!("CARGO_BIN_EXE_saas-exporter").into(),
            user: None,
            variables: BTreeMap::new(),
            arguments: Vec::new(),
            shell: None,
            input: None,
        };
        setup
            .with("SERVICES_JSON_PATH", file.display().to_string())
            .with("WEB_LISTEN_ADDRESS", "127.0.0.1:0")
            .with("CACHE_DIR", cache)
            .with("CHECK_INTERVAL_MINUTES", "1s")
    }

    /// One service called `Example` under the key `example`, polled every second.
    pub fn one(name: &str, url: &str) -> Setup {
        Setup::new(
            name,
            json!({"example": {"name": "Example", "url": url, "timeout": "2s"}}),
        )
    }

    pub fn with(mut self, variable: &str, value: impl Into<String>) -> Setup {
        self.variables.insert(variable.to_owned(), value.into());
        self
    }

    pub fn without(mut self, variable: &str) -> Setup {
        self.variables.remove(variable);
        self
    }

    pub fn argument(mut self, argument: &str) -> Setup {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Runs this in a shell first, such as a limit; the binary takes the shell's place.
    pub fn after_shell(mut self, commands: &str) -> Setup {
        self.shell = Some(commands.to_owned());
        self
    }

    /// Gives it a listening socket as standard input, which a shell can move elsewhere.
    pub fn input(mut self, listener: TcpListener) -> Setup {
        self.input = Some(listener);
        self
    }

    /// Runs without privileges: limits of processes do not bind root. An ordinary user has none anyway.
    pub fn unprivileged(mut self) -> Setup {
        if rustix::process::geteuid().is_root() {
            // The folder of the build may be root's alone.
            let binary = self.folder.path("saas-exporter");
            std::fs::copy(&self.binary, &binary).unwrap();
            std::os::unix::fs::chown(&self.folder.0, Some(NOBODY), Some(NOBODY)).unwrap();
            (self.binary, self.user) = (binary, Some(NOBODY));
        }
        self
    }

    fn command(&self) -> Command {
        let mut command = match &self.shell {
            None => Command::new(&self.binary),
            Some(commands) => {
                let mut shell = Command::new("/bin/sh");
                shell.args(["-c", &format!("{commands}\nexec \"$0\" \"$@\"")]);
                shell.arg(&self.binary);
                shell
            }
        };
        become_user(&mut command, self.user);
        command
            .args(&self.arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(&self.folder.0);
        let input = self.input.as_ref().map(|input| input.try_clone().unwrap());
        command
            .stdin(input.map_or(Stdio::null(), |input| OwnedFd::from(input).into()))
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    /// Starts the exporter and waits until it listens.
    pub fn start(&self) -> Exporter {
        let started = Instant::now();
        let mut child = self.command().spawn().unwrap();
        let log = Copy::start(child.stderr.take().unwrap());
        let output = Copy::start(child.stdout.take().unwrap());
        let mut exporter = Exporter {
            child,
            port: 0,
            log,
            output,
            user: self.user,
            held: AtomicI32::new(0),
            _folder: Arc::clone(&self.folder),
            started,
        };
        exporter.port = wait_until("the port to be open", || {
            let log = exporter.log();
            let line = log.lines().find(|line| line.contains("listening"))?;
            // `listening address=127.0.0.1:9001`, or JSON.
            let (_, address) = line.split_once("127.0.0.1:").or(line.rsplit_once(':'))?;
            let end = address.find(|letter: char| !letter.is_ascii_digit());
            address[..end.unwrap_or(address.len())].parse().ok()
        });
        exporter
    }

    /// Runs the exporter to its end.
    pub fn run(&self) -> Finished {
        let output = self.command().output().unwrap();
        Finished {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// What a stream of the process has brought.
struct Copy {
    stream: File,
    bytes: Vec<u8>,
    is_over: bool,
}

impl Copy {
    /// Copies the stream as long as it lasts, so that the process never waits for a reader.
    fn start(stream: impl Into<OwnedFd>) -> Arc<Mutex<Copy>> {
        let stream = File::from(stream.into());
        rustix::io::ioctl_fionbio(&stream, true).unwrap();
        let watched = stream.try_clone().unwrap();
        let copy = Arc::new(Mutex::new(Copy {
            stream,
            bytes: Vec::new(),
            is_over: false,
        }));
        let own = Arc::clone(&copy);
        std::thread::spawn(move || {
            while !own.lock().unwrap().is_over {
                poll(&mut [PollFd::new(&watched, PollFlags::IN)], None).unwrap();
                own.lock().unwrap().read();
            }
        });
        copy
    }

    fn read(&mut self) {
        // It ends at what is not there yet, too.
        self.is_over |= self.stream.read_to_end(&mut self.bytes).is_ok();
    }

    /// All of it so far, in whole lines: what the process has written is here, also if it was a moment ago.
    fn text(&mut self) -> String {
        self.read();
        let end = self.bytes.iter().rposition(|byte| *byte == b'\n');
        let end = if self.is_over {
            self.bytes.len()
        } else {
            end.map_or(0, |end| end + 1)
        };
        String::from_utf8_lossy(&self.bytes[..end]).into_owned()
    }
}

fn become_user(command: &mut Command, user: Option<u32>) {
    if let Some(user) = user {
        command.uid(user).gid(user);
    }
}

/// A run that has ended.
#[derive(Debug)]
pub struct Finished {
    pub status: ExitStatus,
    pub stdout: String,
    pub stderr: String,
}

/// A running exporter. It is killed with this value.
pub struct Exporter {
    child: Child,
    port: u16,
    log: Arc<Mutex<Copy>>,
    output: Arc<Mutex<Copy>>,
    user: Option<u32>,
    /// A thread beside the main one that is held: the kernel keeps the process until somebody waits for it.
    held: AtomicI32,
    /// Stays as long as the process that works in it.
    _folder: Arc<Folder>,
    pub started: Instant,
}

/// An HTTP answer.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    /// Names in lower case.
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Response {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl Exporter {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Every address that it has said it listens at so far.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let log = self.log();
        let told = log.split("listening address=").skip(1);
        told.filter_map(|rest| rest.lines().next()?.trim_matches('"').parse().ok())
            .collect()
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().text()
    }

    /// What it wrote to standard output.
    pub fn output(&self) -> String {
        self.output.lock().unwrap().text()
    }

    pub fn request(&self, method: &str, target: &str, headers: &[(&str, &str)]) -> Response {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut head =
            format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n");
        headers
            .iter()
            .for_each(|(name, value)| head.push_str(&format!("{name}: {value}\r\n")));
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        let end = bytes
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .expect("a head of an answer");
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let mut lines = head.lines();
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        Response {
            status,
            headers,
            body: bytes[end + 4..].to_vec(),
        }
    }

    pub fn get(&self, target: &str) -> Response {
        self.request("GET", target, &[])
    }

    /// The page now.
    pub fn page(&self) -> Page {
        let response = self.get("/metrics");
        assert_eq!(response.status, 200);
        Page(response.text())
    }

    /// Waits until the page is as wanted.
    pub fn wait_for(&self, what: &str, condition: impl Fn(&Page) -> bool) -> Page {
        wait_until(&format!("{what}; the log says:\n{}", self.log()), || {
            Some(self.page()).filter(&condition)
        })
    }

    /// Waits until a series has a value.
    pub fn wait_for_value(&self, series: &str, value: f64) -> Page {
        self.wait_for(&format!("{series} {value}"), |page| {
            page.value(series) == Some(value)
        })
    }

    pub fn wait_for_log(&self, text: &str) -> String {
        wait_until(&format!("{text:?} in the log"), || {
            Some(self.log()).filter(|log| log.contains(text))
        })
    }

    pub fn signal(&self, signal: i32) {
        let pid = i32::try_from(self.child.id()).unwrap();
        #[allow(unsafe_code)]
        // SAFETY: kill(2) with the id of a child that has not been waited for, so it is still ours.
        let sent = unsafe { libc::kill(pid, signal) };
        assert_eq!(sent, 0);
    }

    /// Sets a limit from now on, such as `--nproc=1`: what can be known only while it runs.
    pub fn limit(&self, limit: &str) {
        let mut command = Command::new("prlimit");
        // Only the process's own user may do so, and root where it has all of its rights.
        become_user(&mut command, self.user);
        command.args(["--pid", &self.pid().to_string(), limit]);
        assert!(command.status().unwrap().success());
    }

    /// Stops the main thread alone, as a main loop that hangs would; false where the machine forbids it.
    pub fn hold_main_thread(&self) -> bool {
        hold(i32::try_from(self.child.id()).unwrap())
    }

    /// The same for the first thread of a name.
    pub fn hold_thread(&self, name: &str) -> bool {
        let folder = format!("/proc/{}/task", self.pid());
        let threads = std::fs::read_dir(folder).unwrap().flatten();
        let is_named = |path: &PathBuf| {
            std::fs::read_to_string(path.join("comm")).is_ok_and(|found| found.trim() == name)
        };
        let found = threads.map(|thread| thread.path()).find(is_named).unwrap();
        let thread = found.file_name().unwrap().to_str().unwrap();
        let thread = thread.parse().unwrap();
        self.held.store(thread, Ordering::Relaxed);
        hold(thread)
    }

    /// Waits for the end that comes of itself.
    pub fn wait_for_the_end(&mut self) -> ExitStatus {
        wait_until("the end of the process", || self.child.try_wait().unwrap())
    }

    /// Waits for the end after a signal; gives status and time.
    pub fn stop(mut self, signal: i32) -> (ExitStatus, Duration) {
        self.signal(signal);
        let asked = Instant::now();
        let status = wait_until("the end of the process", || self.child.try_wait().unwrap());
        (status, asked.elapsed())
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

/// Stops one thread of a child; false where the machine forbids it.
fn hold(thread: i32) -> bool {
    let nothing = std::ptr::null_mut::<libc::c_void>();
    #[allow(unsafe_code)]
    // SAFETY: ptrace(2) and waitpid(2) with the id of a thread of a child that has not been waited for, so it is still
    // ours. Neither request reads memory through its pointers, and the status goes to a variable of ours.
    unsafe {
        libc::ptrace(libc::PTRACE_SEIZE, thread, nothing, nothing) == 0
            && libc::ptrace(libc::PTRACE_INTERRUPT, thread, nothing, nothing) == 0
            && libc::waitpid(thread, &mut 0, libc::__WALL) == thread
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let held = self.held.load(Ordering::Relaxed);
        if held != 0 {
            #[allow(unsafe_code)]
            // SAFETY: waitpid(2) with the id of a thread that this one traces, and no place for its status.
            unsafe {
                libc::waitpid(held, std::ptr::null_mut(), libc::__WALL);
            }
        }
        let _ = self.child.wait();
    }
}

/// A page in the text format.
#[derive(Clone, Debug)]
pub struct Page(pub String);

impl Page {
    /// The value of a series, written as on the page.
    pub fn value(&self, series: &str) -> Option<f64> {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
        line.split(' ').next()?.parse().ok()
    }

    /// The lines of a family.
    pub fn lines(&self, family: &str) -> Vec<&str> {
        let is_of_family = |line: &&str| {
            line.strip_prefix(family)
                .is_some_and(|rest| rest.starts_with(['{', ' ']))
        };
        self.0.lines().filter(is_of_family).collect()
    }

    /// The keys of the services that run.
    pub fn services(&self) -> BTreeSet<String> {
        let key = |line: &str| {
            let (_, rest) = line.split_once("service=\"")?;
            Some(rest.split_once('"')?.0.to_owned())
        };
        let lines = self.lines("saas_exporter_polls_total").into_iter();
        lines.filter_map(key).collect()
    }

    /// No line twice: the same series may have several samples, but not at one time.
    pub fn assert_no_doubles(&self) {
        let mut seen = BTreeSet::new();
        for line in self.0.lines().filter(|line| !line.starts_with('#')) {
            let (series, rest) = match line.rsplit_once("} ") {
                Some((labels, rest)) => (labels, rest),
                None => line.split_once(' ').unwrap(),
            };
            let time = rest.split_once(' ').map(|(_, time)| time);
            assert!(seen.insert((series, time)), "twice: {line}");
        }
    }

    /// No series twice, families in one block and sorted, each with HELP and TYPE: what every page must be.
    pub fn assert_well_formed(&self) {
        let mut series = BTreeSet::new();
        let mut families = Vec::new();
        let mut is_histogram = false;
        for line in self.0.lines() {
            if let Some(help) = line.strip_prefix("# HELP ") {
                families.push(help.split(' ').next().unwrap().to_owned());
            } else if line.starts_with("# TYPE ") {
                is_histogram = line.ends_with(" histogram");
            } else if !line.starts_with('#') {
                let (name, _) = line.rsplit_once(' ').unwrap();
                assert!(series.insert(name.to_owned()), "twice: {name}");
                let mut family = name.split('{').next().unwrap();
                if is_histogram {
                    let endings = ["_bucket", "_count", "_sum"];
                    let found = endings.iter().find_map(|end| family.strip_suffix(end));
                    family = found.expect("a sample of a histogram");
                }
                assert_eq!(
                    Some(family),
                    families.last().map(String::as_str),
                    "outside of its block: {line}"
                );
            }
        }
        let mut sorted = families.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(families, sorted);
    }
}
