//! Every secret in every place where one can be given, on every way that a poll can go: it leaves the process for its
//! upstream and for nowhere else.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use saas_exporter::config::settings::{Given, SLACK_WEBHOOK};
use saas_exporter::config::{Config, Secret};
use saas_exporter::fetch::Proxies;

use crate::aaisp_upstream::{self, Chaos, LOGIN, form};
use crate::exporter::{Exporter, Setup};
use crate::fixtures;
use crate::pantheon_upstream::{Pantheon, sites};
use crate::spacelift_upstream::{Account, KEY_ID};
use crate::tls::secure_upstream;
use crate::upstream::{self, ANY_PATH, Behaviour, Nobody, Request, Upstream};

const HEADER: &str = "hdr/L1t&ral+\"quoted\"=9%7A";
const HEADER_OF_VARIABLE: &str = "hdrV4riable-0f-the-Env";
const HEADER_OF_FILE: &str = "hdrF1le_0n_the_Disk~==";
const KEY: &str = "spl/S3cr&t+\"of\"=the~Key\\20";
const JWT: &str = "eyJhbGciOi.JwtOfTheKey-0123456789/abc+def==";
const TOKEN: &str = "pntT0ken_9f8e7d6c5b4a3-ABCDEFGHsuff1x01";
const SESSION: &str = "sess/ion&S3cret+7766554433";
const PASSWORD: &str = "a&b=c%d é\"pass\\w0rd<#>";
const HOOK: &str = "/services/T0SECRET1/B0SECRET2/x9y8z7w6v5u4";
const PROXY_PASSWORD: &str = "pr0xyP4ssw0rd-zz";
/// Secret in logs only: metrics may show the e-mail.
const USER_ID: &str = "user-id-77777-4111-8111-111111111111";
const EMAIL: &str = "ops1@secret-mail.example";

const SECRETS: [(&str, &str); 12] = [
    ("header", HEADER),
    ("header of a variable", HEADER_OF_VARIABLE),
    ("header of a file", HEADER_OF_FILE),
    ("key of Spacelift", KEY),
    ("token of Spacelift", JWT),
    ("token of Pantheon", TOKEN),
    ("session of Pantheon", SESSION),
    ("password of AAISP", PASSWORD),
    ("webhook", HOOK),
    ("webhook's last part", "x9y8z7w6v5u4"),
    ("password of the proxy", PROXY_PASSWORD),
    // As it is sent, in base64.
    ("user of the proxy", "prxuser:pr0xyP4ssw0rd-zz"),
];

/// A text in the spellings in which it could leave.
fn spellings(secret: &str) -> BTreeSet<String> {
    let percent = |keeps: &str| -> String {
        let escape = |byte: u8| match byte {
            byte if byte.is_ascii_alphanumeric() || keeps.as_bytes().contains(&byte) => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        };
        secret.bytes().map(escape).collect()
    };
    let in_json = Value::from(secret).to_string();
    let in_debug = format!("{secret:?}");
    let letters: Vec<char> = secret.chars().collect();
    let (first, second) = letters.split_at(letters.len() / 2);
    let halves = [first, second].map(|half| half.iter().collect::<String>());
    let in_html = secret.replace('&', "&amp;").replace('"', "&quot;");
    let mut spellings = BTreeSet::from([
        secret.to_owned(),
        percent("-._~"),
        percent("-._~").to_lowercase(),
        percent("-._*").replace("%20", "+"),
        inner(&in_json).to_owned(),
        inner(&in_json).replace('&', "\\u0026"),
        inner(&in_debug).to_owned(),
        inner(&Value::from(inner(&in_debug)).to_string()).to_owned(),
        inner(&Value::from(inner(&in_json)).to_string()).to_owned(),
        in_html,
    ]);
    // Whatever stands before and after it.
    for before in 0..3 {
        let coded = base64(("x".repeat(before) + secret).as_bytes());
        let (begin, end) = (before * 8, (before + secret.len()) * 8);
        spellings.insert(coded[begin.div_ceil(6)..end / 6].to_owned());
    }
    let long = halves.into_iter().filter(|half| half.chars().count() >= 8);
    spellings.extend(long);
    spellings
}

/// A quoted text without its quotes.
fn inner(quoted: &str) -> &str {
    &quoted[1..quoted.len() - 1]
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let mut group = [0; 3];
        group[..chunk.len()].copy_from_slice(chunk);
        let group = u32::from_be_bytes([0, group[0], group[1], group[2]]);
        for place in 0..4 {
            let digit = group >> (18 - 6 * place) & 63;
            let is_there = place <= chunk.len();
            text.push(if is_there {
                char::from(DIGITS[digit as usize])
            } else {
                '='
            });
        }
    }
    text
}

/// No spelling of any secret stands in the text.
fn assert_clean(place: &str, text: &str) {
    for (name, secret) in SECRETS {
        for spelling in spellings(secret) {
            assert!(
                !text.contains(&spelling),
                "{name}, as {spelling}, in {place}:\n{text}"
            );
        }
    }
}

/// Nothing that the process shows, says or writes holds a secret.
fn assert_exporter_clean(exporter: &Exporter, folder: &Path) {
    let open_metrics = ("Accept", "application/openmetrics-text; version=1.0.0");
    let pages = [
        ("/metrics", exporter.get("/metrics")),
        (
            "OpenMetrics",
            exporter.request("GET", "/metrics", &[open_metrics]),
        ),
        ("/", exporter.get("/")),
        ("/api/v1/services", exporter.get("/api/v1/services")),
        ("/health", exporter.get("/health")),
        ("/-/healthy", exporter.get("/-/healthy")),
        ("/-/ready", exporter.get("/-/ready")),
        ("/nowhere", exporter.get("/nowhere")),
    ];
    for (place, answer) in pages {
        let headers = format!("{:?}", answer.headers);
        assert_clean(place, &(headers + &answer.text()));
    }
    // The services of `setup`; where there is another one, its key is unknown, and that page must be clean too.
    for key in ["page", "spacelift", "pantheon", "aaisp"] {
        for place in ["/services/", "/api/v1/services/"].map(|path| path.to_owned() + key) {
            let answer = exporter.get(&place).text();
            assert_clean(&place, &answer);
            assert!(!answer.contains(&USER_ID[..18]), "{place}:\n{answer}");
        }
    }
    let log = exporter.log();
    assert_clean("the log", &log);
    assert_clean("standard output", &exporter.output());
    for private in [USER_ID, EMAIL, &USER_ID[..18], &EMAIL[5..]] {
        assert!(!log.contains(private), "{private} in the log:\n{log}");
    }
    assert_files_clean(folder);
}

/// No file below the folder holds a secret but those that the test wrote: services.json and the folder `given`.
fn assert_files_clean(folder: &Path) {
    for file in files(folder) {
        let name = file.strip_prefix(folder).unwrap();
        if !name.starts_with("given") && !name.starts_with("services.json") {
            let content = std::fs::read(&file).unwrap_or_default();
            let text = String::from_utf8_lossy(&content);
            assert_clean(
                &format!("{} and its content", name.display()),
                &format!("{name:?}{text}"),
            );
        }
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).unwrap().flatten();
    let below = entries.map(|entry| entry.path());
    let below = below.map(|path| {
        if path.is_dir() {
            files(&path)
        } else {
            vec![path]
        }
    });
    below.flatten().collect()
}

/// How the secrets are given, all of them that can be.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Way {
    Literal,
    File,
    Variable,
}

const WAYS: [Way; 3] = [Way::Literal, Way::File, Way::Variable];

/// Addresses of the four upstreams.
struct Addresses {
    statuspage: String,
    spacelift: String,
    pantheon: String,
    aaisp: String,
}

impl Addresses {
    fn at(base: &str) -> Addresses {
        Addresses {
            statuspage: format!("{base}/s?key={HEADER_OF_VARIABLE}"),
            spacelift: base.to_owned(),
            pantheon: format!("{base}/api"),
            aaisp: base.to_owned(),
        }
    }
}

/// Four services, one of each source, each with secret headers beside its own secrets.
fn setup(name: &str, way: Way, json_log: bool, to: &Addresses) -> Setup {
    let setup = Setup::new(name, json!({}));
    let file = |name: &str, content: &str| {
        let path = setup
            .folder
            .write(&format!("given/{name}"), format!(" {content}\n"));
        path.display().to_string()
    };
    let headers = json!({
        "X-Literal": format!("Bearer {HEADER}"),
        "X-Variable": {"env": "A_KEY"},
        "X-File": {"file": file("header", HEADER_OF_FILE)},
    });
    let general = |more: Value| {
        let mut service = json!({"headers": headers, "timeout": "1s"});
        for (name, value) in more.as_object().unwrap() {
            service[name] = value.clone();
        }
        service
    };
    let (mut spacelift, mut pantheon, mut aaisp) = (
        general(
            json!({"type": "spacelift", "interval": "1s", "api_endpoint": to.spacelift, "api_key_id": KEY_ID}),
        ),
        general(json!({"type": "pantheon", "interval": "1s", "api_base": to.pantheon})),
        general(
            json!({"type": "aaisp", "base_url": to.aaisp, "control_login": LOGIN, "max_retries": 0, "timeout": 1}),
        ),
    );
    match way {
        Way::Literal => {
            spacelift["api_key_secret"] = KEY.into();
            pantheon["machine_tokens"] = json!([TOKEN]);
            aaisp["control_password"] = PASSWORD.into();
        }
        Way::File => {
            spacelift["api_key_secret_file"] = file("key", KEY).into();
            pantheon["machine_tokens_file"] = file("tokens", TOKEN).into();
            aaisp["control_password_file"] = file("password", PASSWORD).into();
        }
        Way::Variable => {}
    }
    let services = json!({
        "page": general(json!({"name": "Page", "url": to.statuspage, "interval": "1s"})),
        "spacelift": spacelift, "pantheon": pantheon, "aaisp": aaisp,
    });
    setup.folder.write("services.json", services.to_string());
    let setup = match way {
        Way::Variable => setup
            .with("SPACELIFT_PROMEX_API_KEY_SECRET", KEY)
            .with("PANTHEON_MACHINE_TOKENS", TOKEN)
            .with("AAISP_EXPORTER_AUTH__CONTROL_PASSWORD", PASSWORD),
        _ => setup,
    };
    setup
        .with("A_KEY", HEADER_OF_VARIABLE)
        .with("LOG_LEVEL", "trace")
        .with("LOG_FORMAT", if json_log { "json" } else { "text" })
}

fn polled(exporter: &Exporter, service: &str) {
    let series = format!("saas_exporter_polls_total{{service=\"{service}\"}}");
    exporter.wait_for(&format!("a poll of {service}"), |page| {
        page.value(&series) >= Some(1.0)
    });
}

/// What the upstream got, as it would repeat it: line, headers and body, with what is known of the body's text.
fn echo(request: &Request) -> String {
    let mut text = format!("{} {}\n", request.method, request.target);
    for (name, value) in &request.headers {
        text.push_str(&format!("{name}: {value}\n"));
    }
    text.push_str(&request.body);
    if request.target.ends_with("/json") {
        text.push_str(&format!("\n{:?}", form(&request.body)));
    }
    text
}

/// Only what is secret of it.
fn secrets_of(request: &Request) -> String {
    let whole = echo(request)
        + &serde_json::from_str::<Value>(&request.body).map_or(String::new(), |body| {
            let variables = &body["variables"]["secret"];
            format!(
                "{}{}",
                variables.as_str().unwrap_or(""),
                body["machine_token"].as_str().unwrap_or("")
            )
        });
    let sent = SECRETS.iter().filter(|(_, secret)| whole.contains(secret));
    let sent: Vec<&str> = sent.map(|(_, secret)| *secret).collect();
    let of_form = form(&request.body.replace('{', "&")).remove("control_password");
    sent.into_iter()
        .map(str::to_owned)
        .chain(of_form)
        .collect::<Vec<_>>()
        .join(" ")
}

fn escaped(text: &str) -> String {
    text.bytes().map(|byte| format!("%{byte:02x}")).collect()
}

/// Answers with a status and what was sent.
fn repeat(status: u16) -> Behaviour {
    Arc::new(move |request, stream| {
        let headers = [("retry-after", "7"), ("content-type", "text/plain")];
        upstream::answer(
            stream,
            status,
            &headers,
            (secrets_of(request) + "\n" + &echo(request)).as_bytes(),
        );
    })
}

/// Says what was sent in the places where an API says what went wrong.
fn repeat_in_json(status: u16) -> Behaviour {
    Arc::new(move |request, stream| {
        let said = format!("bad: {} {}", secrets_of(request), echo(request));
        let body =
            json!({"error": said, "errors": [{"message": said}], "data": null, "message": said});
        upstream::answer(stream, status, &[], body.to_string().as_bytes());
    })
}

/// JSON that breaks off, in the form in which Go and browsers escape.
fn repeat_malformed() -> Behaviour {
    Arc::new(|request, stream| {
        let said = Value::from(secrets_of(request))
            .to_string()
            .replace('&', "\\u0026");
        let encoded = base64(format!("x:{}", secrets_of(request)).as_bytes());
        let body = format!(
            "{{\"error\": {said}, \"b\": \"{encoded}\", \"e\": \"{}",
            escaped(&secrets_of(request))
        );
        upstream::answer(stream, 200, &[], body.as_bytes());
    })
}

/// A secret across the place where excerpts of 200 bytes end.
fn repeat_across_the_cut(status: u16) -> Behaviour {
    Arc::new(move |request, stream| {
        let body = "z".repeat(189) + &secrets_of(request);
        upstream::answer(stream, status, &[], body.as_bytes());
    })
}

/// Leads to an address with what was sent in it.
fn repeat_in_location(base: &str) -> Behaviour {
    let base = base.to_owned();
    Arc::new(move |request, stream| {
        let secrets = secrets_of(request);
        let plain: Vec<&str> = secrets
            .split(' ')
            .filter(|word| {
                word.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_/.+=~".contains(&byte))
            })
            .collect();
        let coded = base64(secrets.as_bytes());
        let location = format!(
            "{base}/{}/{}/{coded}?{}",
            plain.join("/"),
            escaped(&secrets),
            plain.join("&")
        );
        upstream::answer(stream, 307, &[("location", &location)], b"");
    })
}

fn repeat_as_no_http() -> Behaviour {
    Arc::new(|request, stream| {
        let _ = stream.write_all((secrets_of(request) + "\r\n" + &echo(request)).as_bytes());
    })
}

fn repeat_cut_short() -> Behaviour {
    Arc::new(|request, stream| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n";
        let _ = stream.write_all(format!("{head}{}", echo(request)).as_bytes());
    })
}

/// One server that all four services ask: it lets them log in, if told so, and then answers like this.
fn misbehave(upstream: &Upstream, lets_in: bool, behaviour: Behaviour) {
    let answer = move |request: &Request, stream: &mut dyn upstream::Stream| {
        let end_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 3_600;
        let body = if request.body.contains("apiKeyUser") {
            json!({"data": {"apiKeyUser": {"jwt": JWT, "validUntil": end_s}}})
        } else if request.target.ends_with("/authorize/machine-token") {
            json!({"session": SESSION, "user_id": USER_ID, "expires_at": end_s, "email": EMAIL})
        } else {
            return behaviour(request, stream);
        };
        match lets_in {
            true => upstream::answer(stream, 200, &[], body.to_string().as_bytes()),
            false => behaviour(request, stream),
        }
    };
    upstream.set(ANY_PATH, Arc::new(answer));
}

/// Runs the exporter against the upstream until every service has felt it, and looks everywhere.
fn check_failing(
    name: &str,
    turn: usize,
    base: &str,
    authority: Option<&str>,
    whoami: bool,
) -> String {
    let setup = setup(
        name,
        WAYS[turn % 3],
        turn.is_multiple_of(2),
        &Addresses::at(base),
    );
    let setup = match authority {
        Some(pem) => {
            let file = setup.folder.write("given/ca.pem", pem);
            setup.with("SSL_CERT_FILE", file.display().to_string())
        }
        None => setup,
    };
    let exporter = setup.start();
    for service in ["page", "spacelift", "aaisp"] {
        polled(&exporter, service);
    }
    exporter.wait_for_log(if whoami { "whoami" } else { "login failed" });
    assert_exporter_clean(&exporter, &setup.folder.0);
    let log = exporter.log();
    let (_, took) = exporter.stop(libc::SIGTERM);
    assert!(took.as_secs() < 10);
    assert_files_clean(&setup.folder.0);
    log
}

fn check_repeated(name: &str, turn: usize, behaviour: Behaviour) -> String {
    let upstream = Upstream::start();
    misbehave(&upstream, true, Arc::clone(&behaviour));
    let first = check_failing(name, turn, &upstream.url(""), None, true);
    misbehave(&upstream, false, behaviour);
    first + &check_failing(name, turn + 1, &upstream.url(""), None, false)
}

#[test]
fn no_secret_leaves_while_all_four_sources_work() {
    for (turn, way) in WAYS.into_iter().enumerate() {
        // Given
        let page = Upstream::start();
        let target = format!("/s?key={HEADER_OF_VARIABLE}");
        page.set(
            &target,
            upstream::json(fixtures::with_incident("i1", "Title").to_string()),
        );
        page.set(HOOK, upstream::status(200, &[]));
        let account = Account::start();
        account.set(|story| story.secret = KEY.to_owned());
        let pantheon = Pantheon::with_sites(sites(0..2));
        pantheon.change(0, |account| {
            account.token = TOKEN.to_owned();
            account.user_id = USER_ID.to_owned();
            account.email = Some(EMAIL.to_owned());
        });
        let chaos = Chaos::start(&["60001"]);
        chaos.change(|account| account.logins[0][3] = PASSWORD.to_owned());
        let addresses = Addresses {
            statuspage: page.url(&target),
            spacelift: account.url(),
            pantheon: pantheon.upstream.url(""),
            aaisp: chaos.url(),
        };
        let setup = setup("secrets-success", way, turn % 2 == 0, &addresses);
        let setup = match way {
            Way::File => {
                let file = setup.folder.write("given/hook", page.url(HOOK));
                setup.with("SLACK_WEBHOOK_URL_FILE", file.display().to_string())
            }
            _ => setup.with("SLACK_WEBHOOK_URL", page.url(HOOK)),
        };

        // When
        let exporter = setup.start();

        // Then
        for service in ["page", "spacelift", "pantheon", "aaisp"] {
            let up = format!("saas_exporter_service_up{{service=\"{service}\"}}");
            exporter.wait_for_value(&up, 1.0);
        }
        page.wait_for_requests(HOOK, 1);
        exporter.wait_for_log("notification sent");
        exporter.wait_for("sites", |page| page.0.contains("site-000"));
        assert_eq!(
            account.asked_for("apiKeyUser")[0].body["variables"]["secret"],
            KEY
        );
        assert!(
            exporter.page().0.contains(EMAIL),
            "the label that the contract fixes"
        );
        assert_exporter_clean(&exporter, &setup.folder.0);
        exporter.stop(libc::SIGTERM);
        assert!(!setup.folder.names("cache").is_empty());
        assert_files_clean(&setup.folder.0);

        // A single round and the check of the configuration say no more.
        let once = setup.with("RUN_MODE", "once").run();
        assert_eq!(once.status.code(), Some(0), "{once:?}");
        assert_clean("a single round", &format!("{once:?}"));
    }
}

#[test]
fn no_secret_leaves_when_every_answer_is_a_failure_that_repeats_the_request() {
    for (turn, status) in [401, 403, 404, 429, 500].into_iter().enumerate() {
        let log = check_repeated("secrets-status", turn, repeat(status));
        assert!(
            log.contains("(not shown)"),
            "the upstream's words are there otherwise: {log}"
        );
    }
}

#[test]
fn no_secret_leaves_in_the_error_of_a_reply_or_in_json_that_breaks_off() {
    let ways = [
        repeat_in_json(200),
        repeat_in_json(400),
        repeat_malformed(),
        repeat_across_the_cut(200),
        repeat_across_the_cut(400),
    ];
    for (turn, behaviour) in ways.into_iter().enumerate() {
        let log = check_repeated("secrets-json", turn, behaviour);
        assert!(
            log.contains("(not s"),
            "the upstream's words are there otherwise: {log}"
        );
    }
}

#[test]
fn no_secret_leaves_in_the_words_of_a_page_that_are_not_understood() {
    let upstream = Upstream::start();
    let repeat = |request: &Request, stream: &mut dyn upstream::Stream| {
        let mut page = fixtures::calm();
        page["components"][0]["status"] = secrets_of(request).into();
        page["components"][1]["status"] = request.header("x-literal").into();
        upstream::answer(stream, 200, &[], page.to_string().as_bytes());
    };
    upstream.set(ANY_PATH, Arc::new(repeat));
    let setup = setup(
        "secrets-words",
        Way::Literal,
        false,
        &Addresses::at(&upstream.url("")),
    );
    let exporter = setup.start();
    let log = exporter.wait_for_log("page not fully understood");
    assert!(log.contains("(not shown)"), "{log}");
    assert_clean("the log", &log);
}

#[test]
fn no_secret_leaves_in_the_address_of_a_redirect() {
    let there = Upstream::start();
    there.set(ANY_PATH, repeat(404));
    check_repeated("secrets-same-host", 0, repeat_in_location(""));
    check_repeated("secrets-other-host", 1, repeat_in_location(&there.url("")));
    assert!(
        there
            .all_requests()
            .iter()
            .all(|request| request.header("x-literal").is_none())
    );

    let (authority, upstream) = secure_upstream();
    misbehave(&upstream, true, repeat_in_location(&there.url("")));
    let log = check_failing(
        "secrets-downgrade",
        2,
        &upstream.url(""),
        Some(&authority),
        true,
    );
    assert!(
        log.contains("from https to http") && log.contains("(not shown)"),
        "{log}"
    );
}

#[test]
fn no_secret_leaves_when_no_answer_comes_or_none_that_is_http() {
    let ways = [upstream::hang(), repeat_as_no_http(), repeat_cut_short()];
    let nobody = Nobody::here();
    let address = nobody.address;
    std::thread::scope(|scope| {
        for (turn, behaviour) in ways.into_iter().enumerate() {
            scope.spawn(move || {
                let upstream = Upstream::start();
                misbehave(&upstream, true, behaviour);
                check_failing("secrets-broken", turn, &upstream.url(""), None, true)
            });
        }
        scope.spawn(|| {
            check_failing(
                "secrets-refused",
                3,
                &format!("http://{address}"),
                None,
                false,
            )
        });
        scope.spawn(|| {
            let (_, untrusted) = secure_upstream();
            check_failing("secrets-untrusted", 4, &untrusted.url(""), None, false)
        });
    });
}

#[test]
fn no_webhook_leaves_when_its_posts_fail() {
    let there = Upstream::start();
    let away = format!("{}{HOOK}", there.url(""));
    let to_itself: Behaviour = Arc::new(|request, stream| {
        upstream::answer(
            stream,
            302,
            &[("location", &format!("/login?to={}", request.target))],
            b"",
        );
    });
    let ways = [
        (repeat(401), "notification not sent"),
        (repeat(404), "notification not sent"),
        (to_itself, "notification not sent"),
        (upstream::redirect(307, away), "notification not sent"),
        (
            upstream::status(429, &[("retry-after", "1")]),
            "asking again",
        ),
        (upstream::status(500, &[]), "asking again"),
        (aaisp_upstream::dropped(), "asking again"),
    ];
    for (turn, (behaviour, line)) in ways.into_iter().enumerate() {
        let upstream = Upstream::start();
        upstream.set(
            "/s",
            upstream::json(fixtures::with_incident("i1", "Title").to_string()),
        );
        upstream.set(HOOK, behaviour);
        let setup = Setup::one("secrets-webhook", &upstream.url("/s"))
            .with("SLACK_WEBHOOK_URL", upstream.url(HOOK))
            .with("LOG_LEVEL", "trace")
            .with("LOG_FORMAT", if turn % 2 == 0 { "text" } else { "json" });
        let exporter = setup.start();
        exporter.wait_for_log(line);
        assert_exporter_clean(&exporter, &setup.folder.0);
    }
    assert!(there.all_requests().is_empty());
}

/// A proxy that refuses, or opens a tunnel and then is the upstream itself, and repeats what it was sent.
fn proxy(opens: bool) -> Upstream {
    let proxy = Upstream::start();
    let answer = move |request: &Request, stream: &mut dyn upstream::Stream| {
        let pair = base64(format!("prxuser:{PROXY_PASSWORD}").as_bytes());
        let said = format!("prxuser:{PROXY_PASSWORD} {pair}\n{}", echo(request));
        if !opens {
            let head = format!("HTTP/1.1 407 {pair} {PROXY_PASSWORD}\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all((head + &said).as_bytes());
            return;
        }
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
        let _ = stream.read(&mut [0; 64 * 1024]);
        upstream::answer(stream, 400, &[], said.as_bytes());
    };
    proxy.set(ANY_PATH, Arc::new(answer));
    proxy
}

#[test]
fn no_password_of_a_proxy_leaves() {
    for (turn, opens) in [true, false].into_iter().enumerate() {
        let proxy = proxy(opens);
        let address = format!("http://prxuser:{PROXY_PASSWORD}@{}", proxy.address);
        // The address is asked for at the proxy, and nowhere else.
        let setup = setup(
            "secrets-proxy",
            WAYS[turn],
            opens,
            &Addresses::at("http://127.0.0.1:9"),
        );
        let setup = setup
            .with("HTTP_PROXY", &address)
            .with("HTTPS_PROXY", &address)
            .with("ALL_PROXY", &address);
        let exporter = setup.start();
        for service in ["page", "spacelift", "aaisp"] {
            polled(&exporter, service);
        }
        exporter.wait_for_log("login failed");
        let log = exporter.log();
        let pair = base64(format!("prxuser:{PROXY_PASSWORD}").as_bytes());
        let asked = proxy.all_requests();
        assert!(
            asked.len() > 3
                && asked.iter().all(|request| {
                    request.header("proxy-authorization") == Some(&format!("Basic {pair}"))
                })
        );
        assert_eq!(
            log.contains("(not shown)"),
            opens,
            "the proxy's words are there otherwise: {log}"
        );
        assert_exporter_clean(&exporter, &setup.folder.0);
    }
}

/// A start that fails, or a check that succeeds: what it says holds no secret.
fn check_start(services: Value, variables: &[(&str, &str)], arguments: &[&str]) {
    let setup = Setup::new("secrets-start", services);
    let hold = |setup: Setup, (name, value): &(&str, &str)| setup.with(name, *value);
    let setup = variables.iter().fold(setup, hold);
    let setup = arguments
        .iter()
        .fold(setup, |setup, argument| setup.argument(argument));
    let finished = setup.run();
    let said = format!("{}{}", finished.stdout, finished.stderr);
    assert_eq!(
        finished.status.code(),
        Some(2),
        "a start-up error was expected: {said}"
    );
    assert_clean("a start-up error", &said);
    assert_files_clean(&setup.folder.0);
}

/// One service with these fields instead of its own.
fn one(of: &str, fields: Value) -> Value {
    let mut service = match of {
        "spacelift" => {
            json!({"type": of, "api_endpoint": "https://acme.example", "api_key_id": KEY_ID, "api_key_secret": KEY})
        }
        "pantheon" => json!({"type": of, "machine_tokens": [TOKEN]}),
        "aaisp" => json!({"type": of, "control_login": LOGIN, "control_password": PASSWORD}),
        _ => {
            json!({"type": of, "name": "Page", "url": "https://page.example", "headers": {"X-Key": HEADER}})
        }
    };
    for (name, value) in fields.as_object().unwrap() {
        match value.is_null() {
            true => drop(service.as_object_mut().unwrap().remove(name)),
            false => service[name] = value.clone(),
        }
    }
    json!({"it": service})
}

#[test]
fn no_start_up_error_shows_a_secret_that_is_given_wrongly_or_beside_a_mistake() {
    let check = |of: &str, fields: Value| check_start(one(of, fields), &[], &[]);
    // Bad neighbours.
    check(
        "spacelift",
        json!({"api_endpoint": "not an address", "details_max_pages": 0}),
    );
    check(
        "spacelift",
        json!({"api_endpoint": format!("https://user:{KEY}@acme.example")}),
    );
    check(
        "spacelift",
        json!({"api_endpoint": format!("https://acme.example/?key={HEADER_OF_VARIABLE}")}),
    );
    check(
        "pantheon",
        json!({"api_base": "ftp://h/", "environment": "Live!"}),
    );
    check(
        "aaisp",
        json!({"base_url": "nowhere", "intervals": {"fast": 1}}),
    );
    check("statuspage", json!({"url": "ftp://h/", "interval": "soon"}));
    // Both, or a file that cannot be had, or the secret where its file is wanted.
    for (of, field, file) in [
        ("spacelift", "api_key_secret", "api_key_secret_file"),
        ("pantheon", "machine_tokens", "machine_tokens_file"),
        ("aaisp", "control_password", "control_password_file"),
    ] {
        check(of, json!({file: "/nowhere/secret"}));
        check(of, json!({field: null, file: "/nowhere/secret"}));
        check(of, json!({field: null, file: "/"}));
        for (_, secret) in SECRETS {
            if !secret.starts_with('/') {
                check(of, json!({field: null, file: secret}));
            }
            check(of, json!({field: {"value": secret}}));
            check(of, json!({field: [[secret]]}));
        }
    }
    let number_and_password =
        json!({"control_login": null, "control_password": null, "account_password": PASSWORD});
    check("aaisp", number_and_password);
    check(
        "aaisp",
        json!({"account_number": "A1", "account_password": PASSWORD, "account_password_file": "/nowhere/x"}),
    );
    // The name of a field mistyped.
    check(
        "spacelift",
        json!({"api_key_secret": null, "api_key_secrt": KEY}),
    );
    check(
        "pantheon",
        json!({"machine_tokens": null, "machine_token": [TOKEN]}),
    );
    check(
        "aaisp",
        json!({"control_password": null, "control_pasword": PASSWORD, "collectors": {"password": PASSWORD}}),
    );
    check(
        "statuspage",
        json!({"header": {"X-Key": HEADER}, "password": HEADER}),
    );
}

#[test]
fn no_start_up_error_shows_a_secret_that_stands_in_the_wrong_field() {
    for (_, secret) in SECRETS {
        let check = |of: &str, fields: Value| check_start(one(of, fields), &[], &[]);
        check(
            "spacelift",
            json!({
                "api_endpoint": secret, "interval": secret, "details_max_pages": secret, "space_label": secret,
                "stack_details": secret, "ca_file": format!("{secret}/x").trim_start_matches('/'), "poll_interval": secret,
                "scrape_timeout": secret, "collectors": secret,
            }),
        );
        check(
            "pantheon",
            json!({
                "api_base": secret, "environment": secret, "site_limit": secret, "metric_names": secret, "timeout": secret,
                "labels": secret, "request_timeout": secret,
            }),
        );
        check(
            "aaisp",
            json!({
                "base_url": secret, "login_label": secret, "bulk_info": secret, "max_retries": secret, "timeout": secret,
                "intervals": {"fast": secret}, "collectors": {"broadband": secret},
            }),
        );
        check("statuspage", json!({"type": secret}));
        check(
            "statuspage",
            json!({"url": format!("https:// {secret}"), "status_scale": secret}),
        );
        check("statuspage", json!({"headers": secret}));
        check("statuspage", json!({"headers": [secret]}));
        check(
            "statuspage",
            json!({"headers": {"X-Key": {"env": format!("{secret}z")}}}),
        );
        check(
            "statuspage",
            json!({"headers": {"X-Key": {"file": secret.trim_start_matches('/')}}}),
        );
        check(
            "statuspage",
            json!({"headers": {"X-Key": {"value": secret}}}),
        );
        check(
            "statuspage",
            json!({"headers": {format!("Authorization: Bearer {secret}"): ""}}),
        );
        check(
            "statuspage",
            json!({"headers": {format!("Authorization: Bearer {secret}"): null}}),
        );
        check(
            "statuspage",
            json!({"headers": {"X-Key": format!("{secret}\nX-Other: {secret}")}}),
        );
        check_start(json!(secret), &[], &[]);
        check_start(json!([secret]), &[], &[]);
        check_start(json!({"it": secret}), &[], &[]);
    }
}

#[test]
fn no_start_up_error_shows_a_secret_of_a_variable_or_an_argument() {
    let good = || one("statuspage", json!({}));
    for (_, secret) in SECRETS {
        let check = |variables: &[(&str, &str)]| check_start(good(), variables, &[]);
        let argue = |arguments: &[&str]| check_start(good(), &[], arguments);
        for name in [
            "METRICS_PORT",
            "LOG_LEVEL",
            "LOG_FORMAT",
            "CHECK_INTERVAL_MINUTES",
            "WEB_LISTEN_ADDRESS",
            "RUN_MODE",
            "POLL_CONCURRENCY",
            "STATUS_SCALE",
            "RESOLVED_RETENTION_HOURS",
            "DEBUG",
        ] {
            check(&[(name, secret)]);
        }
        let relative = secret.trim_start_matches('/');
        check(&[("SERVICES_JSON_PATH", relative)]);
        check(&[("SSL_CERT_FILE", relative)]);
        check(&[("SLACK_WEBHOOK_URL_FILE", relative)]);
        check(&[("SLACK_WEBHOOK_URL", secret)]);
        check(&[(
            "SLACK_WEBHOOK_URL",
            &format!("https://h.example/\n{secret}"),
        )]);
        check(&[
            ("SLACK_WEBHOOK_URL", "https://h.example/x9y8z7w6v5u4"),
            ("SLACK_WEBHOOK_URL_FILE", "/nowhere/x"),
        ]);
        check(&[("HTTPS_PROXY", &format!("socks5://u:{secret}@h:1"))]);
        check(&[("HTTP_PROXY", &format!("ht tp://u:{secret}@h:1"))]);
        check(&[("SPACELIFT_PROMEX_API_KEY_SECRET", secret)]);
        check(&[
            ("SPACELIFT_PROMEX_API_KEY_SECRET", secret),
            ("SPACELIFT_PROMEX_API_KEY_SECRET_FILE", relative),
        ]);
        check(&[
            ("SPACELIFT_PROMEX_API_ENDPOINT", secret),
            ("SPACELIFT_PROMEX_SCRAPE_TIMEOUT", secret),
        ]);
        check(&[
            ("SPACELIFT_PROMEX_LISTEN_ADDRESS", secret),
            ("SPACELIFT_PROMEX_API_ENDPOINT", secret),
        ]);
        check(&[
            ("PANTHEON_MACHINE_TOKENS", secret),
            ("PANTHEON_ENV", secret),
        ]);
        check(&[
            ("AAISP_EXPORTER_AUTH__CONTROL_PASSWROD", secret),
            ("AAISP_EXPORTER_AUTH__CONTROL_LOGIN", LOGIN),
        ]);
        check(&[("AAISP_EXPORTER_AUTH__CONTROL_PASSWORD", secret)]);
        check(&[
            ("AAISP_EXPORTER_AUTH__ACCOUNT_PASSWORD", secret),
            ("AAISP_EXPORTER_API__TIMEOUT", secret),
        ]);
        check(&[
            ("AAISP_EXPORTER_SERVER__PORT", secret),
            ("AAISP_EXPORTER_LOGGING__LEVEL", secret),
        ]);
        check(&[
            ("AAISP_EXPORTER_SERVER__HOST", secret),
            ("AAISP_EXPORTER_LOGGING__JSON_FORMAT", secret),
        ]);
        argue(&["--api-key-secret", secret]);
        argue(&[&format!("--api-key-secret={secret}")]);
        argue(&["-s", secret]);
        argue(&[&format!("-s{secret}")]);
        argue(&[&format!("--once={secret}")]);
        argue(&[&format!("--{secret}=x"), "--config.check=maybe"]);
        argue(&[&format!("--{secret}")]);
        argue(&["--log.level", secret]);
    }
}

#[test]
fn what_would_run_is_told_without_a_secret() {
    for way in WAYS {
        let setup = setup(
            "secrets-check",
            way,
            false,
            &Addresses::at("https://h.example"),
        );
        let setup = setup
            .with("SLACK_WEBHOOK_URL", format!("https://h.example{HOOK}"))
            .with(
                "HTTPS_PROXY",
                format!("http://prxuser:{PROXY_PASSWORD}@127.0.0.1:9"),
            )
            .argument("--config.check");
        let finished = setup.run();
        assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        assert!(finished.stdout.contains("4 services"), "{finished:?}");
        assert_clean(
            "--config.check",
            &format!("{finished:?}{}{}", finished.stdout, finished.stderr),
        );
    }
}

#[test]
fn no_debug_output_of_any_type_of_the_configuration_shows_a_secret() {
    // Given
    let variables = |setup: &Setup, way: Way| -> Vec<(OsString, OsString)> {
        let proxy = format!("http://prxuser:{PROXY_PASSWORD}@127.0.0.1:9");
        let hook = format!("https://h.example{HOOK}");
        let path = setup.folder.path("services.json").display().to_string();
        let mut all = vec![
            ("SERVICES_JSON_PATH", path.as_str()),
            ("A_KEY", HEADER_OF_VARIABLE),
            ("HTTPS_PROXY", &proxy),
            ("HTTP_PROXY", &proxy),
            ("SLACK_WEBHOOK_URL", &hook),
        ];
        if way == Way::Variable {
            all.push(("SPACELIFT_PROMEX_API_KEY_SECRET", KEY));
            all.push(("PANTHEON_MACHINE_TOKENS", TOKEN));
            all.push(("AAISP_EXPORTER_AUTH__CONTROL_PASSWORD", PASSWORD));
        }
        let all = all.into_iter();
        all.map(|(name, value)| (name.into(), value.into()))
            .collect()
    };
    for way in WAYS {
        let setup = setup(
            "secrets-debug",
            way,
            false,
            &Addresses::at("https://h.example"),
        );

        // When
        let loaded = Config::load([], variables(&setup, way));
        let mut problems = Vec::new();
        let (_, given) = Given::read(
            [OsString::from(format!("--log.level={KEY}"))],
            variables(&setup, way),
            &mut problems,
        );
        let secret = Secret::file(setup.folder.path("given/header"));
        let proxy = format!("http://prxuser:{PROXY_PASSWORD}@127.0.0.1:9");
        let proxies = Proxies::new(Some(&proxy), Some(&proxy), None, "");

        // Then
        let shown =
            format!("{loaded:?}{loaded:#?}{given:?}{given:#?}{secret:?}{proxies:?}{proxies:#?}");
        let shown = shown + &format!("{:?}{:?}", given.get(&SLACK_WEBHOOK), Secret::literal(KEY));
        assert!(
            shown.contains("spacelift") && shown.contains("Secret(literal)"),
            "{shown}"
        );
        assert_clean("Debug", &shown);
        let Ok(saas_exporter::config::Request::Run(config)) = loaded else {
            panic!("a configuration to run: {loaded:?}");
        };
        assert_eq!(config.services.len(), 4);
        for service in &config.services {
            let (settings, upstream) = (&service.settings, &service.upstream);
            assert_clean(
                "Debug",
                &format!("{settings:?}{settings:#?}{upstream:?}{service:#?}"),
            );
        }
        let fetcher = saas_exporter::fetch::Fetcher::new(1, config.proxies, None);
        assert_clean("Debug", &format!("{fetcher:?}"));
    }
}
