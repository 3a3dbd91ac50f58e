//! What a head may look like, and what becomes of it.

use super::super::policy::Rule;
use super::*;

const LIMIT_BYTES: usize = 8 * 1024;
const POLICY: Policy = Policy {
    rules: &[Rule {
        path: "/-/reload",
        methods: &[Method::Post],
    }],
};

/// Gives the reader everything at once.
fn read(bytes: &[u8]) -> Result<Option<Admitted>, Refusal> {
    let mut reader = HeadReader::default();
    reader.push(bytes);
    reader.advance(LIMIT_BYTES, &POLICY)
}

/// The canonical head of a request that must pass.
fn canonical(head: &str) -> String {
    let admitted = read(head.as_bytes()).expect("admitted").expect("complete");
    String::from_utf8(admitted.canonical).unwrap()
}

/// The status that a request is refused with.
fn check_refused(head: &[u8], status: u16) {
    match read(head) {
        Err(refusal) => assert_eq!(
            refusal.status(),
            status,
            "{:?}",
            String::from_utf8_lossy(head)
        ),
        other => panic!("{:?} gives {other:?}", String::from_utf8_lossy(head)),
    }
}

#[test]
fn the_head_of_a_scraper_keeps_what_decides_the_answer_and_nothing_else() {
    let head = "GET /metrics?a=1 HTTP/1.1\r\nHost: exporter:9190\r\nUser-Agent: Prometheus/3.0\r\nAccept: text/plain\r\n\
                Accept-Encoding: gzip\r\nAuthorization: Basic eDp5\r\nX-Gate-Serial: 7\r\nTE: chunked\r\n\r\n";
    assert_eq!(
        canonical(head),
        "GET /metrics?a=1 HTTP/1.1\r\nHost: gate\r\nAccept: text/plain\r\nAccept-Encoding: gzip\r\n"
    );
}

#[test]
fn several_lines_of_one_name_become_one() {
    let head = "GET / HTTP/1.1\r\nHost: x\r\nAccept: a/b\r\nAccept:\r\naccept:\tc/d;\tq=1 \r\n\r\n";
    assert_eq!(
        canonical(head),
        "GET / HTTP/1.1\r\nHost: gate\r\nAccept: a/b, c/d; q=1\r\n"
    );
}

#[test]
fn an_absolute_target_becomes_its_path() {
    for (target, path) in [
        ("http://exporter:9190/metrics?x", "/metrics?x"),
        ("HTTPS://exporter", "/"),
        ("http://exporter?x=/y", "/?x=/y"),
    ] {
        let head = format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(
            canonical(&head).starts_with(&format!("GET {path} HTTP/1.1\r\n")),
            "{target}"
        );
    }
}

#[test]
fn targets_without_a_path_are_refused() {
    for target in [
        "*",
        "exporter:9190",
        "http://",
        "http:///x",
        "ftp://x/y",
        "metrics",
        "://x/",
        "?x",
    ] {
        check_refused(
            format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes(),
            400,
        );
    }
}

#[test]
fn other_versions_are_refused_as_soon_as_the_request_line_is_there() {
    check_refused(b"PRI * HTTP/2.0\r\n", 505);
    check_refused(b"GET / HTTP/3.0\r\n", 505);
    check_refused(b"GET / HTTP/0.9\r\n", 505);
    check_refused(b"GET /metrics\r\n", 505);
    check_refused(b"GET  / HTTP/1.1\r\n", 400);
    check_refused(b"GET / HTTP/1.1 \r\n", 400);
    check_refused(b"GET / http/1.1\r\n", 400);
    check_refused(b"hello\r\n", 400);
}

#[test]
fn methods_follow_the_policy() {
    check_refused(
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 2000\r\n\r\n",
        405,
    );
    check_refused(b"DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    check_refused(b"CONNECT /metrics HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    check_refused(b"GET /-/reload HTTP/1.1\r\nHost: x\r\n\r\n", 405);
    let post = "POST /-/reload HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
    assert!(canonical(post).starts_with("POST /-/reload HTTP/1.1\r\n"));
    assert!(!canonical(post).contains("Content-Length"));
}

#[test]
fn bodies_are_refused_and_ambiguous_ones_first() {
    let check = |lines: &str, status| {
        check_refused(
            format!("GET / HTTP/1.1\r\nHost: x\r\n{lines}\r\n").as_bytes(),
            status,
        );
    };
    check("Content-Length: 1\r\n", 413);
    check("Transfer-Encoding: chunked\r\n", 413);
    check("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", 400);
    check("Transfer-Encoding: x\r\nContent-Length: 5\r\n", 400);
    check("Content-Length: 0\r\nContent-Length: 0\r\n", 400);
    check("Content-Length: 0, 0\r\n", 400);
    check("Content-Length: +1\r\n", 400);
    check("Content-Length: -1\r\n", 400);
    check("Content-Length:\r\n", 400);
    check("Content-Length: 99999999999999999999999999\r\n", 413);
    check("Transfer-Encoding : chunked\r\n", 400);
    check(" Transfer-Encoding: chunked\r\n", 400);
    check("X: y\r\n folded\r\n", 400);
}

#[test]
fn http_1_1_needs_exactly_one_host() {
    check_refused(b"GET / HTTP/1.1\r\n\r\n", 400);
    check_refused(b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400);
    assert!(canonical("GET / HTTP/1.0\r\n\r\n").starts_with("GET / HTTP/1.1\r\n"));
}

#[test]
fn lines_end_in_cr_lf_and_hold_printable_ascii() {
    check_refused(b"GET / HTTP/1.1\nHost: x\n\n", 400);
    check_refused(b"GET / HTTP/1.1\r\rHost: x\r\n\r\n", 400);
    check_refused(b"GET /\0 HTTP/1.1\r\n", 400);
    check_refused(b"GET /\xc3\xa9 HTTP/1.1\r\n", 400);
    check_refused(b"GET / HTTP/1.1\r\nHost: x\r\nX: \x7f\r\n\r\n", 400);
    check_refused(b"\x16\x03\x01", 400);
}

#[test]
fn an_endless_head_is_refused_at_the_limit() {
    check_refused(&[b"GET /".to_vec(), vec![b'a'; LIMIT_BYTES]].concat(), 431);
    check_refused("\r\n".repeat(LIMIT_BYTES / 2).as_bytes(), 431);
    check_refused(
        format!(
            "GET / HTTP/1.1\r\n{}\r\n",
            "a: b\r\n".repeat(HEADER_LINES + 1)
        )
        .as_bytes(),
        431,
    );
}

#[test]
fn the_connection_is_kept_as_version_and_wish_demand() {
    for (version, line, kept) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: x, CLOSE\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        (
            "1.0",
            "Connection: keep-alive\r\nConnection: close\r\n",
            false,
        ),
    ] {
        let head = format!("GET / HTTP/{version}\r\nHost: x\r\n{line}\r\n");
        assert_eq!(
            read(head.as_bytes()).unwrap().unwrap().keep_alive,
            kept,
            "{version} {line}"
        );
    }
}

#[test]
fn pipelined_requests_come_out_one_by_one() {
    let mut reader = HeadReader::default();
    reader.push(
        b"\r\nGET /1 HTTP/1.1\r\nHost: x\r\n\r\n\r\nGET /2 HTTP/1.1\r\nHost: x\r\n\r\nGET /3 HT",
    );
    for path in ["/1", "/2"] {
        let admitted = reader.advance(LIMIT_BYTES, &POLICY).unwrap().unwrap();
        assert!(
            admitted
                .canonical
                .starts_with(format!("GET {path} HTTP/1.1\r\n").as_bytes())
        );
    }
    assert_eq!(reader.advance(LIMIT_BYTES, &POLICY), Ok(None));
    assert_eq!(reader.len(), b"GET /3 HT".len());
}

/// A generator that needs no crate: xorshift64, the same numbers in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % below as u64).unwrap()
    }
}

/// A head made of the pieces that matter, some of them broken.
fn some_head(numbers: &mut Numbers) -> Vec<u8> {
    const PIECES: [&[u8]; 24] = [
        b"GET ",
        b"HEAD ",
        b"POST ",
        b"/metrics",
        b"*",
        b"http://x/",
        b" HTTP/1.1\r\n",
        b" HTTP/1.0\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"Host: x\r\n",
        b"Accept: a/b;q=0.5\r\n",
        b"Accept-Encoding: gzip\r\n",
        b"Content-Length: 0\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Connection: close\r\n",
        b":",
        b" ",
        b"\0",
        b"\xff",
        b"\t",
        b"a",
    ];
    let mut head = Vec::new();
    if numbers.next(2) == 0 {
        head.extend_from_slice(b"GET /metrics HTTP/1.1\r\nHost: x\r\n");
    }
    for _ in 0..numbers.next(12) {
        head.extend_from_slice(PIECES[numbers.next(PIECES.len())]);
    }
    if numbers.next(2) == 0 {
        head.extend_from_slice(b"\r\n\r\n");
    }
    if numbers.next(4) == 0 && !head.is_empty() {
        let at = numbers.next(head.len());
        head[at] = u8::try_from(numbers.next(256)).unwrap();
    }
    head
}

/// What tiny_http may rely on: one request line, known headers, no control characters, nothing about a body.
fn check_well_formed(canonical: &[u8]) {
    let text = std::str::from_utf8(canonical).unwrap();
    let mut lines = text.strip_suffix("\r\n").unwrap().split("\r\n");
    let words: Vec<_> = lines.next().unwrap().split(' ').collect();
    assert!(
        matches!(words[..], ["GET" | "HEAD" | "POST", target, "HTTP/1.1"] if target.starts_with('/')),
        "{text}"
    );
    assert_eq!(lines.next(), Some("Host: gate"));
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        assert!(FORWARDED.contains(&name) && !value.is_empty(), "{text}");
        assert!(
            value.bytes().all(|byte| matches!(byte, b' '..=b'~')),
            "{text}"
        );
    }
}

#[test]
fn no_input_panics_and_whatever_passes_is_well_formed() {
    let mut numbers = Numbers(0x2026_1120);
    let mut passed = 0;
    for _ in 0..50_000 {
        let head = some_head(&mut numbers);
        if let Ok(Some(admitted)) = read(&head) {
            check_well_formed(&admitted.canonical);
            passed += 1;
        }
    }
    assert!(
        passed > 1000,
        "only {passed} heads passed: the generator tests nothing"
    );
}

#[test]
fn pieces_give_what_the_whole_gives() {
    let mut numbers = Numbers(7);
    for _ in 0..5_000 {
        let head = some_head(&mut numbers);
        let whole = read(&head);
        let mut reader = HeadReader::default();
        let mut dripped = Ok(None);
        for &byte in &head {
            reader.push(&[byte]);
            dripped = reader.advance(LIMIT_BYTES, &POLICY);
            if dripped != Ok(None) {
                break;
            }
        }
        assert_eq!(dripped, whole, "{:?}", String::from_utf8_lossy(&head));
    }
}
