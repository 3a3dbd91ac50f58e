use std::sync::Arc;
use std::time::{Duration, Instant};

use super::*;
use crate::exposition::Blocks;
use crate::model::{Families, Family};
use crate::overview::{LINES_LIMIT, Line, Overview, Section};
use crate::snapshot::{Entry, FailureNote};

const EVIL: &str = "<script>alert(\"1\")</script>'&";
static GAUGE: Family<1> = Family::gauge("a_thing", "A thing.", ["x"]);

fn status(name: &str) -> ServiceStatus {
    ServiceStatus {
        kind: "statuspage",
        name: name.to_owned(),
        headline: Some("operational".to_owned()),
        last_poll: Some(Timestamp::UNIX_EPOCH),
        ..ServiceStatus::default()
    }
}

fn entry(status: ServiceStatus) -> Arc<Entry> {
    let mut families = Families::default();
    families.add(&GAUGE, [EVIL], 1.0);
    Arc::new(Entry {
        blocks: Blocks::new(&families.finish()),
        status,
        version: 0,
    })
}

fn failure() -> Option<FailureNote> {
    Some(FailureNote {
        time: Timestamp::UNIX_EPOCH,
        kind: "json",
        sentence: EVIL.to_owned(),
        remedy: "none",
    })
}

fn with_lines(name: &str, level: Level, text: &str, count: usize) -> ServiceStatus {
    let mut overview = Overview {
        level,
        ..Overview::default()
    };
    for (title, word) in [
        ("Open incidents", "Incident"),
        ("Maintenances", "Maintenance"),
    ] {
        let mut section = Section::new(title);
        section.news = Some(word);
        for _ in 0..count {
            let line = Line::new(Some(level), text, text);
            let line = line.with_link(&format!("https://example.com/{text}"));
            section.push(line.with_moment("began", Some(0)), LINES_LIMIT);
        }
        overview.add(section);
    }
    ServiceStatus {
        overview: Arc::new(overview),
        ..status(name)
    }
}

fn body(path: &str, entries: &[KeyedEntry]) -> String {
    let page = page(path, entries, Timestamp::UNIX_EPOCH).expect("a page");
    assert_eq!(page.status, 200, "{path}");
    page.body.into_owned()
}

#[test]
fn every_text_of_every_page_is_escaped() {
    let status = ServiceStatus {
        address: EVIL.to_owned(),
        about: EVIL.to_owned(),
        headline: Some(EVIL.to_owned()),
        failure: failure(),
        past_failure: failure(),
        ..with_lines(EVIL, Level::Outage, EVIL, 2)
    };
    let entries = [(EVIL.into(), entry(status))];
    let mut own = SERVICES.to_owned();
    encode(EVIL, &mut own);
    for path in ["/", &own] {
        let page = body(path, &entries);
        assert!(
            !page.contains("<script>") && !page.contains("alert(\""),
            "{page}"
        );
        assert!(
            page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"),
            "{page}"
        );
    }
    for path in [
        API_SERVICES.to_owned(),
        own.replace(SERVICES, "/api/v1/services/"),
    ] {
        let text = body(&path, &entries);
        let json: serde_json::Value = serde_json::from_str(&text).expect("strict JSON");
        let service = json.pointer("/services/0").unwrap_or(&json);
        assert_eq!(service["key"], EVIL, "{path}");
        assert_eq!(service["failure"]["message"], EVIL, "{path}");
        assert_eq!(service["sections"][0]["lines"][1]["title"], EVIL, "{path}");
    }
}

#[test]
fn a_key_of_any_characters_is_found_again() {
    let keys = ["a", "a/b", "a b?c#d%2F", "é\u{202e}\"", "%", "..a", "\u{1}"];
    let entries: Vec<KeyedEntry> = keys
        .iter()
        .map(|key| ((*key).into(), entry(status(key))))
        .collect();
    let front = body("/", &entries);
    for key in keys {
        let mut path = SERVICES.to_owned();
        encode(key, &mut path);
        assert!(
            path.is_ascii() && !path[SERVICES.len()..].contains(['/', '?', '#', ' ']),
            "{path}"
        );
        assert!(
            front.contains(&format!("href=\"{}\"", &path[1..])),
            "{path} in {front}"
        );
        let json = body(&path.replace(SERVICES, "/api/v1/services/"), &entries);
        let json: serde_json::Value = serde_json::from_str(&json).expect("strict JSON");
        assert_eq!(json["key"], key);
    }
}

#[test]
fn what_is_no_escape_stands_for_itself() {
    let check = |written: &str, expected: &str| assert_eq!(decode(written), expected, "{written}");
    check("a%2fb%2Fc", "a/b/c");
    check("%", "%");
    check("%4", "%4");
    check("%zz%+1%41", "%zz%+1A");
    check("%é", "%é");
    check("%ff", "\u{fffd}");
    check("a+b", "a+b");
}

#[test]
fn an_unknown_key_gets_a_page_that_helps_and_other_paths_get_none() {
    let entries = [("github".into(), entry(status("GitHub")))];
    let get = |path: &str| page(path, &entries, Timestamp::UNIX_EPOCH);
    let missing = get("/services/GitHub%3Cb%3E/x").expect("a page");
    assert_eq!(missing.status, 404);
    assert!(
        missing.body.contains("GitHub&lt;b&gt;/x")
            && missing.body.contains("\"../../services/github\""),
        "{}",
        missing.body
    );
    let missing = get("/api/v1/services/x").expect("JSON");
    assert_eq!((missing.status, missing.content_type), (404, JSON));
    assert!(serde_json::from_str::<serde_json::Value>(&missing.body).is_ok());
    for path in [
        "/services",
        "/api/v1",
        "/api/v1/servicesx",
        "/assets/",
        "/assets/page",
        "//",
        "",
    ] {
        assert!(get(path).is_none(), "{path}");
    }
}

#[test]
fn the_worst_services_come_first_and_what_was_down_stays_down_while_it_cannot_be_asked() {
    let failing = |level| ServiceStatus {
        failure: failure(),
        ..with_lines("x", level, "x", 0)
    };
    let unknown = ServiceStatus {
        headline: None,
        ..failing(Level::Good)
    };
    let waiting = ServiceStatus {
        headline: None,
        last_poll: None,
        ..status("x")
    };
    let services = [
        ("a", with_lines("x", Level::Maintenance, "x", 0)),
        ("b", status("x")),
        ("c", failing(Level::Degraded)),
        ("d", with_lines("x", Level::Degraded, "x", 0)),
        ("e", failing(Level::Outage)),
        ("f", waiting),
        ("g", unknown),
        ("h", with_lines("A", Level::Outage, "x", 0)),
    ];
    let entries: Vec<KeyedEntry> = services
        .into_iter()
        .map(|(key, status)| (key.into(), entry(status)))
        .collect();
    let order: Vec<_> = front::sorted(&entries)
        .iter()
        .map(|(state, key, _)| (*key, state.word()))
        .collect();
    let expected = [
        ("e", "outage"),
        ("h", "outage"),
        ("c", "failing"),
        ("g", "failing"),
        ("d", "degraded"),
        ("f", "waiting"),
        ("a", "maintenance"),
        ("b", "operational"),
    ];
    assert_eq!(order, expected);
    let page = body("/", &entries);
    assert!(page.contains("<title>5 in trouble"), "{page}");
    assert!(
        page.contains("operational (as last seen)") && page.contains("nothing known yet"),
        "{page}"
    );
}

#[test]
fn a_page_of_any_state_is_bounded_and_the_worst_services_get_the_lines() {
    let long = "ä<".repeat(5_000);
    let service = |place: usize| {
        let status = ServiceStatus {
            failure: failure().map(|note| FailureNote {
                sentence: long.clone(),
                ..note
            }),
            ..with_lines(&long, Level::Outage, &long, 150)
        };
        (format!("{place:04}").into(), entry(status))
    };
    let entries: Vec<KeyedEntry> = (0..1_000).map(service).collect();
    let begun = Instant::now();
    let page = body("/", &entries);
    // The time is measured below, with a release build; here it is enough that nothing grows beyond all measure.
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "{:?}",
        begun.elapsed()
    );
    assert!(page.len() < 1_000 * 10 * 1024, "{} bytes", page.len());
    let lines = page.matches("class=\"word\"").count();
    assert_eq!(lines, 1_000);
    assert!(page.contains("and 147 more"), "what is left out is counted");
    let one = body("/services/0000", &entries);
    assert!(one.len() < 1024 * 1024, "{} bytes", one.len());
    assert!(one.contains("and 50 more"));
}

#[test]
fn series_beyond_the_limit_are_counted() {
    let mut families = Families::default();
    for place in 0..10_000 {
        families.add(&GAUGE, [&format!("{place:050}")], 1.0);
    }
    let entry = Entry {
        blocks: Blocks::new(&families.finish()),
        status: status("x"),
        version: 0,
    };
    let (text, left_out) = service::series(&entry, Timestamp::UNIX_EPOCH);
    let shown = text.lines().filter(|line| !line.starts_with('#')).count();
    assert!(text.len() <= 256 * 1024 && text.ends_with('\n'));
    assert_eq!(shown + left_out, 10_000);
}

#[test]
fn times_are_told_in_their_two_largest_units() {
    let check = |seconds: u64, expected: &str| assert_eq!(html::distance(seconds), expected);
    check(0, "now");
    check(59, "59s");
    check(60, "1m");
    check(303, "5m 3s");
    check(3_600, "1h");
    check(3_605, "1h");
    check(86_399, "23h 59m");
    check(90_061, "1d 1h");
    let mut text = String::new();
    let now = Timestamp::UNIX_EPOCH;
    html::ago(Timestamp::from_second(61).expect("valid"), now, &mut text);
    assert!(
        text.contains(">in 1m 1s<") && text.contains("datetime=\"1970-01-01T00:01:01Z\""),
        "{text}"
    );
}

/// It is made between two scrapes: 2 ms in a release build, for which a debug build gets fifty times as long.
#[test]
fn a_page_of_a_thousand_services_is_small_and_made_at_once() {
    let service = |place: usize| {
        let status = match place % 3 {
            0 => with_lines(
                "A service with an ordinary name",
                Level::Outage,
                "Elevated error rates for API requests",
                4,
            ),
            _ => status("A service with an ordinary name"),
        };
        let status = ServiceStatus {
            next_poll: Some(Timestamp::UNIX_EPOCH),
            last_success: Some(Timestamp::UNIX_EPOCH),
            ..status
        };
        (format!("{place:04}").into(), entry(status))
    };
    let entries: Vec<KeyedEntry> = (0..1_000).map(service).collect();
    for path in ["/", API_SERVICES] {
        let times = std::iter::repeat_with(|| {
            let begun = Instant::now();
            let bytes = body(path, &entries).len();
            assert!(bytes < 1_500_000, "{path}: {bytes} bytes");
            begun.elapsed()
        });
        // The best of several: others may be at work on this machine.
        let best = times.take(9).min().expect("nine of them");
        assert!(best < Duration::from_millis(100), "{path}: {best:?}");
    }
}
