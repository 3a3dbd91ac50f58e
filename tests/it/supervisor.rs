//! Under systemd, as far as its protocol can be spoken by a test: reports, watchdog, passed sockets, the journal.

use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::json;

use crate::exporter::{Folder, Setup};
use crate::fixtures;
use crate::upstream::{self, Upstream, wait_until};

/// A supervisor's ear.
struct Ear {
    socket: UnixDatagram,
}

impl Ear {
    fn at(folder: &Folder) -> (Ear, String) {
        let path = folder.path("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        (Ear::of(socket), path.display().to_string())
    }

    fn of(socket: UnixDatagram) -> Ear {
        socket
            .set_read_timeout(Some(Duration::from_millis(10)))
            .unwrap();
        Ear { socket }
    }

    /// The next report, if one is there within a moment.
    fn next(&self) -> Option<String> {
        let mut bytes = [0; 1024];
        let length = self.socket.recv(&mut bytes).ok()?;
        Some(String::from_utf8_lossy(&bytes[..length]).into_owned())
    }

    /// Waits for a report that begins so, and passes over the others.
    fn wait_for(&self, begin: &str) -> String {
        wait_until(begin, || {
            self.next().filter(|report| report.starts_with(begin))
        })
    }

    /// Waits until nothing has come for so long.
    fn wait_for_silence(&self, length: Duration) {
        let mut heard = Instant::now();
        wait_until("silence", || {
            if self.next().is_some() {
                heard = Instant::now();
            }
            (heard.elapsed() >= length).then_some(())
        });
    }
}

fn example() -> (Upstream, Setup) {
    let upstream = Upstream::start();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let setup = Setup::one("supervised", &upstream.url("/s"));
    (upstream, setup)
}

/// With a watchdog of this time.
fn watched(setup: Setup, time: Duration) -> (Ear, Setup) {
    let (ear, path) = Ear::at(&setup.folder);
    let setup = setup
        .with("NOTIFY_SOCKET", path)
        .with("WATCHDOG_USEC", time.as_micros().to_string())
        .after_shell("export WATCHDOG_PID=$$");
    (ear, setup)
}

#[test]
fn it_is_ready_once_it_serves_although_the_upstream_hangs_and_says_when_it_stops() {
    let (upstream, setup) = example();
    upstream.set("/s", upstream::hang());
    let (ear, path) = Ear::at(&setup.folder);
    let exporter = setup.with("NOTIFY_SOCKET", path).start();
    assert_eq!(ear.wait_for("READY=1"), "READY=1\nSTATUS=1 service");
    assert_eq!(exporter.get("/metrics").status, 200);
    assert_eq!(exporter.get("/-/ready").status, 503);
    ear.wait_for_silence(Duration::from_millis(200));
    let (status, _) = exporter.stop(libc::SIGTERM);
    assert_eq!(status.code(), Some(0));
    assert_eq!(ear.wait_for("STOPPING=1"), "STOPPING=1\nSTATUS=stopping");
}

#[test]
fn a_reload_is_told_with_its_moment_and_is_over_also_when_it_is_refused() {
    let (_upstream, setup) = example();
    let (ear, path) = Ear::at(&setup.folder);
    let folder = std::sync::Arc::clone(&setup.folder);
    let exporter = setup.with("NOTIFY_SOCKET", path).start();
    ear.wait_for("READY=1");
    for services in [None, Some("{")] {
        if let Some(text) = services {
            std::fs::write(folder.path("services.json"), text).unwrap();
        }
        exporter.signal(libc::SIGHUP);
        let report = ear.wait_for("RELOADING=1");
        let moment = report.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(moment.parse::<u64>().unwrap() > 0);
        assert_eq!(ear.wait_for("READY=1"), "READY=1\nSTATUS=1 service");
    }
}

#[test]
fn a_reload_is_told_before_it_has_its_turn_so_that_systemctl_waits_for_it() {
    let (_upstream, setup) = example();
    let (ear, path) = Ear::at(&setup.folder);
    let exporter = setup.with("NOTIFY_SOCKET", path).start();
    ear.wait_for("READY=1");
    let reloads = || exporter.log().matches("configuration reloaded").count();
    exporter.signal(libc::SIGHUP);
    ear.wait_for("READY=1");
    wait_until("the first reload", || (reloads() == 1).then_some(()));

    exporter.signal(libc::SIGHUP);

    // There is at most one a second.
    ear.wait_for("RELOADING=1");
    assert_eq!(reloads(), 1);
    ear.wait_for("READY=1");
    wait_until("the second reload", || (reloads() == 2).then_some(()));
}

#[test]
fn an_abstract_socket_is_told_as_well() {
    let (_upstream, setup) = example();
    let name = format!("saas-exporter-it-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let ear = Ear::of(UnixDatagram::bind_addr(&address).unwrap());
    let _exporter = setup.with("NOTIFY_SOCKET", format!("@{name}")).start();
    ear.wait_for("READY=1");
}

#[test]
fn a_supervisor_that_cannot_be_told_is_a_warning_and_no_more() {
    let (_upstream, setup) = example();
    let exporter = setup.with("NOTIFY_SOCKET", "/no/such/socket").start();
    exporter.wait_for_log("cannot report to the supervisor");
    assert_eq!(exporter.get("/metrics").status, 200);
}

#[test]
fn the_watchdog_is_fed_as_long_as_the_process_lives_also_while_it_is_idle() {
    let (upstream, setup) = example();
    upstream.set("/s", upstream::status(503, &[]));
    let time = Duration::from_millis(1_500);
    let (ear, setup) = watched(setup.with("CHECK_INTERVAL_MINUTES", "1"), time);
    let _exporter = setup.start();
    ear.wait_for("READY=1");
    ear.wait_for("WATCHDOG=1\nSTATUS=1 service, polls of 1 failing");
    for _ in 0..6 {
        let asked = Instant::now();
        ear.wait_for("WATCHDOG=1");
        assert!(asked.elapsed() < time, "{:?}", asked.elapsed());
    }
}

#[test]
fn a_watchdog_that_is_meant_for_another_process_is_not_fed() {
    let (_upstream, setup) = example();
    let (ear, setup) = watched(setup, Duration::from_millis(30));
    let setup = setup.after_shell("export WATCHDOG_PID=1");
    let _exporter = setup.start();
    ear.wait_for("READY=1");
    ear.wait_for_silence(Duration::from_millis(200));
}

#[test]
fn a_main_loop_that_hangs_feeds_no_watchdog() {
    let (_upstream, setup) = example();
    let (ear, setup) = watched(setup, Duration::from_millis(300));
    let exporter = setup.start();
    ear.wait_for("WATCHDOG=1");
    assert!(exporter.hold_main_thread(), "ptrace is forbidden here");
    ear.wait_for_silence(Duration::from_secs(1));
}

#[test]
fn a_gate_that_hangs_stops_the_feeding_and_is_named_in_the_log() {
    let (_upstream, setup) = example();
    let (ear, setup) = watched(setup, Duration::from_millis(300));
    let exporter = setup.start();
    ear.wait_for("WATCHDOG=1");
    assert!(exporter.hold_thread("gate"), "ptrace is forbidden here");
    exporter.wait_for_log("error the watchdog is not fed stuck=gate; the supervisor should start");
    ear.wait_for_silence(Duration::from_secs(1));
}

#[test]
fn polls_that_hang_where_no_time_out_reaches_stop_the_feeding() {
    let (upstream, setup) = example();
    let key = setup.folder.write("key", "k");
    let services = json!({"example": {
        "name": "Example", "url": upstream.url("/s"), "timeout": "0.5s", "headers": {"X-Key": {"file": key}},
    }});
    setup.folder.write("services.json", services.to_string());
    let (ear, setup) = watched(setup, Duration::from_millis(500));
    let exporter = setup.start();
    upstream.wait_for_requests("/s", 2);
    ear.wait_for("WATCHDOG=1");

    make_unanswering(&key);
    exporter.wait_for_log("stuck=polls");
    ear.wait_for_silence(Duration::from_secs(1));
    assert_eq!(exporter.get("/metrics").status, 200, "it still serves");

    // The disk answers again.
    std::fs::write(&key, "k").unwrap();
    ear.wait_for("WATCHDOG=1");
    exporter.wait_for_log("the watchdog is fed again");
}

#[test]
fn one_service_that_hangs_is_no_reason_to_start_the_others_again() {
    let (upstream, setup) = example();
    upstream.set("/h", upstream::json(fixtures::calm().to_string()));
    let key = setup.folder.write("key", "k");
    // The healthy one sleeps for longer than the patience with polls, which is 2 s here.
    let services = json!({
        "healthy": {"name": "Healthy", "url": upstream.url("/s"), "interval": "3s", "timeout": "0.2s"},
        "hung": {"name": "Hung", "url": upstream.url("/h"), "timeout": "0.2s", "headers": {"X-Key": {"file": key}}},
    });
    setup.folder.write("services.json", services.to_string());
    let (ear, setup) = watched(setup, Duration::from_millis(400));
    let exporter = setup.start();
    upstream.wait_for_requests("/h", 1);
    make_unanswering(&key);
    let polls = upstream.requests("/s").len();
    upstream.wait_for_requests("/s", polls + 2);
    ear.wait_for("WATCHDOG=1");
    assert!(upstream.requests("/h").len() <= 3, "it hangs");
    assert!(!exporter.log().contains("stuck="), "{}", exporter.log());
}

/// A pipe that nobody writes to in the place of a file: a disk that does not answer any more.
fn make_unanswering(file: &Path) {
    std::fs::remove_file(file).unwrap();
    let made = Command::new("mkfifo").arg(file).status();
    assert!(made.unwrap().success());
}

#[test]
fn passed_sockets_are_served_and_the_settings_are_not_bound() {
    let (_upstream, setup) = example();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // Occupied: binding it would be an error.
    let setup = setup
        .with("WEB_LISTEN_ADDRESS", address.to_string())
        .input(listener)
        .after_shell(
            "exec 3<&0 < /dev/null; export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=metrics",
        );
    let exporter = setup.start();
    assert_eq!(exporter.addresses(), [address]);
    exporter.wait_for_log("METRICS_PORT and --web.listen-address are not used");
    exporter.wait_for_value("saas_exporter_service_up{service=\"example\"}", 1.0);
}

#[test]
fn a_passed_descriptor_that_does_not_listen_is_refused_by_number_and_name() {
    let (_upstream, setup) = example();
    let check = |setup: Setup, shell: &str, expected: &str| {
        let pass = "export LISTEN_PID=$$ LISTEN_FDS=1 LISTEN_FDNAMES=metrics";
        let finished = setup.after_shell(&format!("{shell}; {pass}")).run();
        assert_eq!(finished.status.code(), Some(1), "{finished:?}");
        assert!(finished.stderr.contains(expected), "{finished:?}");
    };
    let refused = "socket 3 (metrics) of LISTEN_FDS does not listen on TCP";
    check(setup, "exec 3< /dev/null", refused);
    let (_upstream, setup) = example();
    check(setup, "exec 3<&-", "socket 3 (metrics) of LISTEN_FDS");
}

#[test]
fn sockets_of_another_process_are_left_alone() {
    let (_upstream, setup) = example();
    let setup = setup.with("LISTEN_PID", "1").with("LISTEN_FDS", "1");
    let exporter = setup.start();
    assert_eq!(exporter.get("/metrics").status, 200);
}

/// The shell's standard error is the journal's stream.
const TO_JOURNAL: &str = "export JOURNAL_STREAM=$(stat -Lc %d:%i /proc/$$/fd/2)";

#[test]
fn under_the_journal_a_line_has_no_time_and_the_level_as_the_journal_reads_it() {
    let (_upstream, setup) = example();
    let exporter = setup.after_shell(TO_JOURNAL).start();
    let log = exporter.wait_for_log("started");
    let is_plain = |line: &str| line.starts_with("<6>info  ");
    assert!(log.lines().all(is_plain), "{log}");
}

#[test]
fn lines_of_json_stay_as_they_are_under_the_journal() {
    let (_upstream, setup) = example();
    let setup = setup.with("LOG_FORMAT", "json").after_shell(TO_JOURNAL);
    let log = setup.start().wait_for_log("started");
    assert!(log.lines().all(|line| line.starts_with("{\"")), "{log}");
    assert!(log.contains("\"time\":"), "{log}");
}

#[test]
fn a_stream_that_is_not_the_journal_any_more_keeps_its_times() {
    let (_upstream, setup) = example();
    let log = setup
        .with("JOURNAL_STREAM", "1:1")
        .start()
        .wait_for_log("started");
    assert!(log.lines().all(|line| line.starts_with("20")), "{log}");
}

#[test]
fn mistakes_of_the_configuration_are_errors_in_the_journal() {
    let (_upstream, setup) = example();
    let setup = setup.with("LOG_LEVEL", "loud").after_shell(TO_JOURNAL);
    let finished = setup.run();
    assert!(
        finished.stderr.starts_with("<3>error: LOG_LEVEL=loud"),
        "{finished:?}"
    );
}

#[test]
fn secrets_may_be_credentials_of_the_unit() {
    let (upstream, setup) = example();
    setup
        .folder
        .write("credentials/key", "from-the-credential\n");
    let services = json!({"example": {
        "name": "Example", "url": upstream.url("/s"),
        "headers": {"X-Key": {"file": "${CREDENTIALS_DIRECTORY}/key"}},
    }});
    setup.folder.write("services.json", services.to_string());
    let refused = setup.run();
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(
        refused
            .stderr
            .contains("file ${CREDENTIALS_DIRECTORY}/key cannot be read"),
        "{refused:?}"
    );
    let folder = setup.folder.path("credentials").display().to_string();
    let _exporter = setup.with("CREDENTIALS_DIRECTORY", folder).start();
    upstream.wait_for_requests("/s", 1);
    let head = &upstream.requests("/s")[0];
    assert!(
        format!("{head:?}").contains("from-the-credential"),
        "{head:?}"
    );
}
