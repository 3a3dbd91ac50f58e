//! SIGHUP and `POST /-/reload`: services come, go and change while the others, and all scrapes, go on.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::attacks::machine::Usage;
use crate::exporter::{Exporter, Response, Setup};
use crate::fixtures;
use crate::tls::secure_upstream;
use crate::upstream::{self, Behaviour, Upstream, answer, wait_until};

const SUCCESSFUL: &str = "saas_exporter_config_last_reload_successful";
const READ_AT: &str = "saas_exporter_config_last_reload_success_timestamp_seconds";

/// An upstream on which all is well at each of these paths.
fn calm_at(paths: &[&str]) -> Upstream {
    let upstream = Upstream::start();
    for path in paths {
        upstream.set(path, upstream::json(fixtures::calm().to_string()));
    }
    upstream
}

/// A service that is polled at once and then not for an hour.
fn service(upstream: &Upstream, path: &str) -> Value {
    json!({"name": path, "url": upstream.url(path), "interval": "1h"})
}

fn polls(key: &str) -> String {
    format!("saas_exporter_polls_total{{service=\"{key}\"}}")
}

fn up(key: &str) -> String {
    format!("saas_exporter_service_up{{service=\"{key}\"}}")
}

fn rewrite(setup: &Setup, services: &Value) {
    setup.folder.write("services.json", services.to_string());
}

fn reload(exporter: &Exporter) -> Response {
    exporter.request("POST", "/-/reload", &[])
}

/// Reloads with these services, and wants it to succeed; gives the text of the answer.
fn reload_with(exporter: &Exporter, setup: &Setup, services: &Value) -> String {
    rewrite(setup, services);
    let response = reload(exporter);
    assert_eq!(response.status, 200, "{}", response.text());
    response.text()
}

/// Waits for the threads of this name to be so many.
fn wait_for_threads(exporter: &Exporter, name: &str, count: usize) {
    wait_until(&format!("{count} threads {name:?}"), || {
        (threads(exporter, name) == count).then_some(())
    });
}

fn threads(exporter: &Exporter, name: &str) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", exporter.pid())).unwrap();
    let names = tasks
        .flatten()
        .map(|task| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default());
    names.filter(|found| found.trim() == name).count()
}

/// Answers with the page when it is let go, and tells when it has.
struct Latch {
    is_open: Arc<AtomicBool>,
    has_answered: Arc<AtomicBool>,
}

impl Latch {
    fn new() -> Latch {
        let (is_open, has_answered) = (Arc::default(), Arc::default());
        Latch {
            is_open,
            has_answered,
        }
    }

    fn behaviour(&self, page: &Value) -> Behaviour {
        let (is_open, has_answered) = (Arc::clone(&self.is_open), Arc::clone(&self.has_answered));
        let page = page.to_string();
        Arc::new(move |_, stream| {
            wait_until("the latch to open", || {
                is_open.load(Ordering::SeqCst).then_some(())
            });
            answer(stream, 200, &[], page.as_bytes());
            has_answered.store(true, Ordering::SeqCst);
        })
    }

    fn open(&self) {
        self.is_open.store(true, Ordering::SeqCst);
        wait_until("the answer", || {
            self.has_answered.load(Ordering::SeqCst).then_some(())
        });
    }
}

#[test]
fn at_sighup_services_come_go_and_change_and_the_others_keep_their_next_poll() {
    // Given: every service was polled, and one of them will be polled again 6 s after its first poll.
    let upstream = calm_at(&["/kept", "/gone", "/changed", "/new"]);
    let mut services = json!({
        "kept": {"name": "Kept", "url": upstream.url("/kept"), "interval": "6s"},
        "gone": service(&upstream, "/gone"),
        "changed": service(&upstream, "/changed"),
    });
    let setup = Setup::new("sighup", services.clone());
    let exporter = setup.start();
    exporter.wait_for("all polls", |page| {
        ["kept", "gone", "changed"].map(|key| page.value(&polls(key))) == [Some(1.0); 3]
    });
    let before = exporter.page();
    assert_eq!(before.value(SUCCESSFUL), Some(1.0));

    // When
    services.as_object_mut().unwrap().remove("gone");
    services["new"] = service(&upstream, "/new");
    services["changed"]["name"] = "Another".into();
    rewrite(&setup, &services);
    exporter.signal(libc::SIGHUP);

    // Then: they begin at once, and what is gone is gone.
    let page = exporter.wait_for("the new service", |page| {
        page.value(&up("new")) == Some(1.0) && page.value(&up("changed")) == Some(1.0)
    });
    assert_eq!(
        page.services(),
        ["changed", "kept", "new"].map(str::to_owned).into()
    );
    assert!(!page.0.contains("gone"), "{}", page.0);
    assert!(!page.0.contains("service_name=\"/changed\""), "{}", page.0);
    assert_eq!(
        page.value("statuspage_service_status{service_name=\"Another\"}"),
        Some(1.0)
    );
    assert!(page.value(READ_AT) > before.value(READ_AT));
    page.assert_well_formed();
    exporter.wait_for_log("configuration reloaded file=");
    exporter.wait_for_log("added=new removed=gone changed=changed unchanged=1");
    wait_for_threads(&exporter, "worker", 3);
    // The one that stayed the same was polled neither now nor later than planned.
    let asked = upstream.wait_for_requests("/kept", 2);
    let between = asked[1].at - asked[0].at;
    let planned = Duration::from_millis(5_900)..Duration::from_millis(7_500);
    assert!(planned.contains(&between), "{between:?}");
    assert_eq!(upstream.requests("/gone").len(), 1);
    assert_eq!(upstream.requests("/changed").len(), 2);
}

#[test]
fn a_configuration_with_a_mistake_changes_nothing_and_the_answer_has_every_mistake_and_no_secret() {
    let upstream = calm_at(&["/a", "/b"]);
    let services = json!({"a": service(&upstream, "/a")});
    let setup = Setup::new("mistake", services.clone());
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    let read_at = exporter.page().value(READ_AT);

    let mut wrong = json!({
        "a": service(&upstream, "/a"),
        "b": service(&upstream, "/b"),
        "c": {"name": "C", "url": "status.example.com", "headers": {"X-Key": "s3cr3t-in-the-open"}},
    });
    wrong["b"]["intervall"] = "s3cr3t-in-the-open".into();
    wrong["b"]["headers"] = json!({"Authorization: Bearer s3cr3t-in-the-open": "x"});
    rewrite(&setup, &wrong);
    let response = reload(&exporter);
    assert_eq!(response.status, 500);
    let told = response.text();
    let begin = "Not reloaded; the earlier configuration runs on.\nerror: ";
    assert!(told.starts_with(begin), "{told}");
    let mistakes: Vec<&str> = told.lines().skip(1).collect();
    assert_eq!(mistakes.len(), 3, "{told}");
    for field in ["\"url\"", "\"headers\"", "\"intervall\""] {
        let field = format!("field {field}");
        assert!(mistakes.iter().any(|line| line.contains(&field)), "{told}");
    }
    // As start-up says it.
    let started = setup.run();
    assert_eq!(started.status.code(), Some(2));
    assert_eq!(mistakes, started.stderr.lines().collect::<Vec<_>>());
    let page = exporter.wait_for_value(SUCCESSFUL, 0.0);
    assert_eq!(page.services(), ["a".to_owned()].into());
    assert_eq!(page.value(READ_AT), read_at);
    let log = exporter.wait_for_log("configuration refused problem=");
    assert!(!(told + &log + &page.0).contains("s3cr3t"), "{log}");
    assert!(upstream.requests("/b").is_empty());

    // No JSON, no file, a directory: refused alike.
    for content in ["{", "", "[]"] {
        setup.folder.write("services.json", content);
        assert_eq!(reload(&exporter).status, 500, "{content:?}");
    }
    std::fs::remove_file(setup.folder.path("services.json")).unwrap();
    assert_eq!(reload(&exporter).status, 500);

    let told = reload_with(&exporter, &setup, &services);
    assert!(told.ends_with("services.json: 0 added, 0 removed, 0 changed, 1 unchanged.\n"));
    let page = exporter.wait_for_value(SUCCESSFUL, 1.0);
    assert!(page.value(READ_AT) > read_at);
    assert_eq!(upstream.requests("/a").len(), 1, "polled once in all this");
}

#[test]
fn only_what_a_service_is_made_of_makes_it_another_one() {
    let (authority, upstream) = secure_upstream();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let setup = Setup::new("made-of", json!({"a": {}}));
    let key = setup.folder.write("key", "first");
    let ca = setup.folder.write("ca.pem", &authority);
    let mut services = json!({"a": {
        "name": "A", "url": upstream.url("/s"), "interval": "1h", "ca_file": ca,
        "headers": {"X-Key": {"file": key}, "X-Other": "literal"},
    }});
    rewrite(&setup, &services);
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    let check = |told: String, changed: usize| {
        let expected = format!("{changed} changed, {} unchanged.\n", 1 - changed);
        assert!(told.ends_with(&expected), "{told}");
    };

    services["a"]["_comment"] = "of no consequence".into();
    services["_other"] = "nor this".into();
    check(reload_with(&exporter, &setup, &services), 0);
    // It is read again at each use.
    setup.folder.write("key", "second");
    check(reload_with(&exporter, &setup, &services), 0);
    services["a"]["headers"]["X-Other"] = "lateral".into();
    check(reload_with(&exporter, &setup, &services), 1);
    let asked = upstream.wait_for_requests("/s", 2);
    let sent = ["x-key", "x-other"].map(|name| asked[1].header(name).unwrap().to_owned());
    assert_eq!(sent, ["second", "lateral"]);
    // It was read at the start; the path is the same.
    let (other, _) = secure_upstream();
    setup.folder.write("ca.pem", authority + &other);
    check(reload_with(&exporter, &setup, &services), 1);
    exporter.wait_for_value(&up("a"), 1.0);
    let seen = exporter.log() + &exporter.page().0;
    assert!(
        !seen.contains("lateral") && !seen.contains("literal"),
        "{seen}"
    );
}

#[test]
fn what_cannot_change_while_it_runs_is_told_and_kept() {
    let (authority, upstream) = secure_upstream();
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let services = json!({"a": service(&upstream, "/s")});
    let setup = Setup::new("fixed", services.clone());
    let roots = setup.folder.write("roots.pem", authority);
    let setup = setup.with("SSL_CERT_FILE", roots.display().to_string());
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    setup.folder.write("roots.pem", secure_upstream().0);
    let told = reload_with(&exporter, &setup, &services);
    assert_eq!(
        told.lines().nth(1),
        Some("Needs a restart, and stays as it was: the certificates of SSL_CERT_FILE.")
    );
    exporter.wait_for_log("changed settings kept as they were");
}

/// Does this when it is dropped.
struct AtEnd<F: Fn()>(F);

impl<F: Fn()> Drop for AtEnd<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

#[test]
fn no_scrape_fails_or_is_torn_while_services_come_and_go() {
    let upstream = calm_at(&["/s"]);
    let services = |numbers: std::ops::Range<u32>| -> Value {
        let service = |number: u32| {
            let url = upstream.url("/s");
            let service = json!({"name": number.to_string(), "url": url, "interval": "1s"});
            (format!("s{number:02}"), service)
        };
        Value::Object(numbers.map(service).collect())
    };
    let keys_of = |numbers: std::ops::Range<u32>| -> BTreeSet<String> {
        numbers.map(|number| format!("s{number:02}")).collect()
    };
    let setup = Setup::new("torn", services(0..40));
    let exporter = setup.start();
    exporter.wait_for_value(&up("s39"), 1.0);
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let scrapers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let (mut scrapes, mut slowest) = (0, Duration::ZERO);
                    while !is_over.load(Ordering::Relaxed) {
                        let begun = Instant::now();
                        let page = exporter.page();
                        slowest = slowest.max(begun.elapsed());
                        page.assert_well_formed();
                        let found = page.services();
                        assert!(
                            found == keys_of(0..40) || found == keys_of(20..60),
                            "{found:?}"
                        );
                        scrapes += 1;
                    }
                    (scrapes, slowest)
                })
            })
            .collect();
        // Also when a reload is not as it must be: the scrapers would go on for ever.
        let end = AtEnd(|| is_over.store(true, Ordering::Relaxed));
        for turn in 0..6 {
            let numbers = if turn % 2 == 0 { 20..60 } else { 0..40 };
            let told = reload_with(&exporter, &setup, &services(numbers));
            assert!(
                told.ends_with(": 20 added, 20 removed, 0 changed, 20 unchanged.\n"),
                "{told}"
            );
        }
        drop(end);
        for scraper in scrapers {
            let (scrapes, slowest) = scraper.join().unwrap();
            assert!(scrapes > 20, "{scrapes}");
            assert!(slowest < Duration::from_secs(2), "{slowest:?}");
        }
    });
    wait_for_threads(&exporter, "worker", 40);
}

#[test]
fn a_poll_that_hangs_holds_up_no_reload_and_its_late_answer_leaves_no_trace() {
    // Given: two polls that wait for their upstream, and one that never gets an answer.
    let upstream = calm_at(&["/good", "/hook"]);
    let latches = [Latch::new(), Latch::new()];
    let incident = fixtures::with_incident("late", "Too late");
    upstream.set("/changed", latches[0].behaviour(&incident));
    upstream.set("/removed", latches[1].behaviour(&incident));
    upstream.set("/hung", upstream::hang());
    let hanging = |path: &str| json!({"name": path, "url": upstream.url(path), "timeout": "60s"});
    let services = json!({
        "changed": hanging("/changed"), "removed": hanging("/removed"), "hung": hanging("/hung"),
    });
    let setup = Setup::new("hanging", services).with("SLACK_WEBHOOK_URL", upstream.url("/hook"));
    let exporter = setup.start();
    for path in ["/changed", "/removed", "/hung"] {
        upstream.wait_for_requests(path, 1);
    }

    // When
    let mut services = json!({"changed": service(&upstream, "/good"), "hung": hanging("/hung")});
    let asked = Instant::now();
    reload_with(&exporter, &setup, &services);

    // Then: the changed one is polled at its new address at once.
    exporter.wait_for_value(&up("changed"), 1.0);
    assert!(asked.elapsed() < Duration::from_secs(5), "{asked:?}");
    wait_until("the cache", || {
        setup
            .folder
            .names("cache")
            .contains(&"changed.state".to_owned())
            .then_some(())
    });
    let before = (
        setup.folder.read("cache/changed.state"),
        setup.folder.names("cache"),
    );
    latches.iter().for_each(Latch::open);
    wait_for_threads(&exporter, "poll", 1);
    wait_for_threads(&exporter, "worker", 2);
    let page = exporter.page();
    assert_eq!(
        page.services(),
        ["changed", "hung"].map(str::to_owned).into()
    );
    assert!(!page.0.contains("Too late"), "{}", page.0);
    let after = (
        setup.folder.read("cache/changed.state"),
        setup.folder.names("cache"),
    );
    assert_eq!(after, before);
    assert!(
        !exporter.log().contains("poll failing"),
        "{}",
        exporter.log()
    );
    // Nor does a service that hangs keep the process from being ready, or a removed one from going.
    services.as_object_mut().unwrap().remove("hung");
    reload_with(&exporter, &setup, &services);
    assert_eq!(exporter.page().services(), ["changed".to_owned()].into());
    assert!(upstream.requests("/hook").is_empty());
}

#[test]
fn a_service_that_is_added_and_hangs_does_not_make_the_process_unready() {
    let upstream = calm_at(&["/s"]);
    upstream.set("/hung", upstream::hang());
    let mut services = json!({"a": service(&upstream, "/s")});
    let setup = Setup::new("ready", services.clone());
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    assert_eq!(exporter.get("/-/ready").status, 200);
    services["b"] = service(&upstream, "/hung");
    reload_with(&exporter, &setup, &services);
    upstream.wait_for_requests("/hung", 1);
    assert_eq!(exporter.page().value(&polls("b")), Some(0.0));
    assert_eq!(exporter.get("/-/ready").status, 200);
}

#[test]
fn a_removed_service_posts_nothing_and_comes_back_with_what_it_knew() {
    let upstream = calm_at(&["/other", "/hook"]);
    let incident = fixtures::with_incident("i1", "First title");
    upstream.set("/s", upstream::json(incident.to_string()));
    let other = json!({"other": service(&upstream, "/other")});
    let mut both = other.clone();
    both["s"] = json!({"name": "S", "url": upstream.url("/s"), "interval": "1s"});
    let setup = Setup::new("back", both.clone()).with("SLACK_WEBHOOK_URL", upstream.url("/hook"));
    let exporter = setup.start();
    upstream.wait_for_requests("/hook", 1);
    exporter.wait_for_value("saas_exporter_notifications_total{outcome=\"sent\"}", 1.0);

    reload_with(&exporter, &setup, &other);
    wait_for_threads(&exporter, "worker", 1);
    wait_for_threads(&exporter, "poll", 0);
    let asked = upstream.requests("/s").len();
    // Its files stay, also through a restart.
    for file in ["s.state", "s.history"] {
        assert!(setup.folder.names("cache").contains(&file.to_owned()));
    }
    exporter.kill();
    let exporter = setup.start();
    exporter.wait_for_value(&up("other"), 1.0);
    let renamed = fixtures::with_incident("i1", "Reworded title");
    upstream.set("/s", upstream::json(renamed.to_string()));
    assert_eq!(upstream.requests("/s").len(), asked, "nobody asks it");

    reload_with(&exporter, &setup, &both);
    let page = exporter.wait_for_value(&up("s"), 1.0);
    let lines = page.lines("statuspage_incident_info");
    let shown = lines.iter().find(|line| line.contains("i1")).unwrap();
    assert!(
        shown.contains("First title") && shown.ends_with(" 1"),
        "{shown}"
    );
    upstream.set("/s", upstream::json(fixtures::calm().to_string()));
    let posts = upstream.wait_for_requests("/hook", 2);
    assert!(posts[0].body.contains("opened") && posts[1].body.contains("resolved"));
}

#[test]
fn what_was_reloaded_survives_kill_9() {
    let upstream = calm_at(&["/a"]);
    let incident = fixtures::with_incident("i1", "Title");
    upstream.set("/b", upstream::json(incident.to_string()));
    let setup = Setup::new("killed", json!({"a": service(&upstream, "/a")}));
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    let services = json!({"a": service(&upstream, "/a"), "b": service(&upstream, "/b")});
    reload_with(&exporter, &setup, &services);
    exporter.wait_for_value(&up("b"), 1.0);
    wait_until("the cache", || {
        setup
            .folder
            .names("cache")
            .contains(&"b.state".to_owned())
            .then_some(())
    });
    exporter.kill();
    // What is shown now comes from the cache.
    upstream.set("/b", upstream::hang());
    let exporter = setup.start();
    let page = exporter.page();
    let lines = page.lines("statuspage_incident_info");
    assert!(lines.iter().any(|line| line.contains("i1")), "{lines:?}");
}

#[test]
fn a_disk_that_hangs_keeps_no_scrape_waiting_and_the_answer_says_that_it_still_runs() {
    // Given: a file whose reading takes as long as nobody writes into it.
    let upstream = calm_at(&["/a", "/b"]);
    let setup = Setup::new("disk", json!({"a": service(&upstream, "/a")}));
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    let path = setup.folder.path("services.json");
    std::fs::remove_file(&path).unwrap();
    let made = std::process::Command::new("mkfifo").arg(&path).status();
    assert!(made.unwrap().success());

    // When, then
    std::thread::scope(|scope| {
        let begun = Instant::now();
        let asked = [(), ()].map(|()| scope.spawn(|| reload(&exporter)));
        while !asked.iter().all(|asked| asked.is_finished()) {
            let scrape = Instant::now();
            assert_eq!(exporter.page().services(), ["a".to_owned()].into());
            assert!(scrape.elapsed() < Duration::from_secs(2), "{scrape:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
        for asked in asked {
            let response = asked.join().unwrap();
            assert_eq!(response.status, 504);
            assert!(response.text().contains("still running"));
        }
        let waited = begun.elapsed().as_secs();
        assert!((9..14).contains(&waited), "{waited}");
    });
    // The reload goes on, and so does the other if one followed on it; each reads the file once.
    let services = json!({"b": service(&upstream, "/b")}).to_string();
    let mut fed = 0;
    wait_until("the end of the reloads", || {
        let is_read = exporter.log().matches("configuration reloaded").count() == fed;
        let mut options = std::fs::OpenOptions::new();
        // Without a reader it cannot be opened this way.
        let file = options.write(true).custom_flags(libc::O_NONBLOCK);
        if let (true, Ok(mut file)) = (is_read, file.open(&path)) {
            file.write_all(services.as_bytes()).unwrap();
            fed += 1;
        }
        (threads(&exporter, "reload") == 0).then_some(())
    });
    assert!((1..=2).contains(&fed), "{fed}");
    let page = exporter.wait_for_value(&up("b"), 1.0);
    assert_eq!(page.services(), ["b".to_owned()].into());
}

#[test]
fn who_asks_while_a_reload_runs_is_answered_by_the_next_and_there_is_one_a_second() {
    let upstream = calm_at(&["/a"]);
    let setup = Setup::new("merged", json!({"a": service(&upstream, "/a")}));
    let exporter = setup.start();
    exporter.wait_for_value(&up("a"), 1.0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        let asked = [(); 12].map(|()| scope.spawn(|| reload(&exporter)));
        for asked in asked {
            assert_eq!(asked.join().unwrap().status, 200);
        }
    });
    let log = exporter.wait_for_log("configuration reloaded");
    let reloads = log.matches("configuration reloaded").count();
    assert!(
        reloads <= 2 + begun.elapsed().as_secs() as usize && reloads < 12,
        "{reloads} in {:?}",
        begun.elapsed()
    );
}

#[test]
fn twenty_reloads_in_a_row_leave_no_thread_and_no_descriptor_behind() {
    let upstream = calm_at(&["/a", "/b", "/c"]);
    let [first, second] = [["/a", "/b"], ["/a", "/c"]].map(|paths| {
        let services = paths.map(|path| (path[1..].to_owned(), service(&upstream, path)));
        Value::Object(services.into_iter().collect())
    });
    let setup = Setup::new("twenty", first.clone());
    let exporter = setup.start();
    exporter.wait_for_value(&up("b"), 1.0);
    wait_until("the spare threads to end", || {
        (exporter.started.elapsed() > Duration::from_secs(6)).then_some(())
    });
    let before = Usage::of(exporter.pid());
    for _ in 0..10 {
        reload_with(&exporter, &setup, &second);
        reload_with(&exporter, &setup, &first);
    }
    let page = exporter.wait_for_value(&up("b"), 1.0);
    assert_eq!(page.services(), ["a", "b"].map(str::to_owned).into());
    assert_eq!(upstream.requests("/a").len(), 1, "never polled again");
    wait_until("as many threads and descriptors as before", || {
        let after = Usage::of(exporter.pid());
        let is_same = (after.threads, after.descriptors) == (before.threads, before.descriptors);
        is_same.then_some(())
    });
    let grown_kib = Usage::of(exporter.pid())
        .rss_kib
        .saturating_sub(before.rss_kib);
    assert!(grown_kib < 2_048, "{grown_kib} KiB");
}

#[test]
fn the_route_takes_post_alone_and_can_be_switched_off_while_sighup_stays() {
    let upstream = calm_at(&["/a", "/b"]);
    let setup = Setup::new("route", json!({"a": service(&upstream, "/a")}));
    let exporter = setup.start();
    for method in ["GET", "HEAD", "PUT"] {
        let refused = exporter.request(method, "/-/reload", &[]);
        assert_eq!((refused.status, &*refused.headers["allow"]), (405, "POST"));
    }
    let refused = exporter.request("POST", "/-/reload", &[("Content-Length", "2")]);
    assert_eq!(refused.status, 413);
    let empty = exporter.request("POST", "/-/reload", &[("Content-Length", "0")]);
    assert_eq!(empty.status, 200);
    let kind = &*empty.headers["content-type"];
    assert_eq!(kind, "text/plain; charset=utf-8");
    drop(exporter);

    let exporter = setup.argument("--web.enable-reload=false").start();
    let refused = reload(&exporter);
    assert_eq!(
        (refused.status, &*refused.headers["allow"]),
        (405, "GET, HEAD")
    );
    assert_eq!(exporter.get("/-/reload").status, 404);
    exporter.signal(libc::SIGHUP);
    exporter.wait_for_log("configuration reloaded");
    assert_eq!(exporter.page().value(SUCCESSFUL), Some(1.0));
}

#[test]
fn with_once_a_hang_up_ends_the_process_as_ever() {
    // Under nohup, where tests may run too, the process would inherit that it is ignored.
    // SAFETY: no handler is set, only the default action, before the process is started.
    #[allow(unsafe_code)]
    unsafe {
        libc::signal(libc::SIGHUP, libc::SIG_DFL)
    };
    let upstream = Upstream::start();
    upstream.set("/s", upstream::hang());
    let setup = Setup::one("once-hup", &upstream.url("/s"))
        .with("RUN_MODE", "once")
        .after_shell("echo $$ > pid");
    let finished = std::thread::scope(|scope| {
        let run = scope.spawn(|| setup.run());
        upstream.wait_for_requests("/s", 1);
        let pid = setup.folder.read("pid");
        let sent = std::process::Command::new("kill")
            .args(["-HUP", pid.trim()])
            .status();
        assert!(sent.unwrap().success());
        run.join().unwrap()
    });
    assert_eq!(finished.status.signal(), Some(libc::SIGHUP));
}
