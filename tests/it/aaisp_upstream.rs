//! A simulated CHAOS API: the six commands for one account, with the provider's shapes and its ways to fail.
//!
//! Also part of the unit tests of the source, where the clock is turned by hand.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::upstream::{self, Behaviour, Request, Stream, Upstream};

pub const LOGIN: &str = "demo@a";
pub const PASSWORD: &str = "s3cr&t";

const COMMANDS: [&str; 6] = [
    "/broadband/services/json",
    "/broadband/info/json",
    "/broadband/quota/json",
    "/telephony/services/json",
    "/telephony/info/json",
    "/telephony/ratecard/json",
];

/// What the account holds, to be changed at any time.
pub struct Account {
    /// Attribute of the name, name, attribute of the password, password.
    pub logins: Vec<[String; 4]>,
    /// What `broadband/services` says beside the usual members.
    pub services: Value,
    /// What `info` says of each line.
    pub lines: BTreeMap<String, Value>,
    /// What `quota` says of each line.
    pub quotas: BTreeMap<String, Value>,
    /// The `options` of every `info`.
    pub options: Value,
    /// What `telephony/info` says of each number.
    pub numbers: BTreeMap<String, Value>,
    pub rate_card: Value,
    /// Single objects instead of lists of one.
    pub is_single: bool,
    /// What happens instead: for a path, and for a service of it or for every request.
    rules: Vec<(String, Option<String>, Behaviour)>,
}

/// The simulated API. It ends with this value.
pub struct Chaos {
    pub upstream: Upstream,
    account: Arc<Mutex<Account>>,
    most_in_flight: Arc<AtomicUsize>,
}

impl Chaos {
    /// An account with the lines that are named, each as in the provider's documentation.
    pub fn start(ids: &[&str]) -> Chaos {
        let account = Account {
            logins: vec![
                ["control_login", LOGIN, "control_password", PASSWORD].map(str::to_owned),
                ["account_number", "A1234A", "account_password", PASSWORD].map(str::to_owned),
            ],
            services: json!({"services": ids}),
            lines: ids.iter().map(|id| ((*id).to_owned(), line(id))).collect(),
            quotas: ids.iter().map(|id| ((*id).to_owned(), quota(id))).collect(),
            options: options(ids),
            numbers: BTreeMap::new(),
            rate_card: Value::Null,
            is_single: false,
            rules: Vec::new(),
        };
        let chaos = Chaos {
            upstream: Upstream::start(),
            account: Arc::new(Mutex::new(account)),
            most_in_flight: Arc::default(),
        };
        let in_flight = Arc::new(AtomicUsize::new(0));
        for path in COMMANDS {
            let account = Arc::clone(&chaos.account);
            let (now, most) = (Arc::clone(&in_flight), Arc::clone(&chaos.most_in_flight));
            let respond = move |request: &Request, stream: &mut dyn Stream| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                let behaviour = behaviour(&account.lock().unwrap(), request);
                behaviour(
                    request,
                    &mut Counted {
                        stream,
                        now: &now,
                        is_counted: true,
                    },
                );
            };
            chaos.upstream.set(path, Arc::new(respond));
        }
        chaos
    }

    /// The address to configure.
    pub fn url(&self) -> String {
        self.upstream.url("")
    }

    pub fn change<T>(&self, change: impl FnOnce(&mut Account) -> T) -> T {
        change(&mut self.account.lock().unwrap())
    }

    /// From now on a command (`broadband/info`) answers like this, for one service or for all.
    pub fn rule(&self, command: &str, service: Option<&str>, behaviour: Behaviour) {
        let path = format!("/{command}/json");
        self.change(|account| {
            account
                .rules
                .push((path, service.map(str::to_owned), behaviour))
        });
    }

    /// From now on everything answers as it should.
    pub fn without_rules(&self) {
        self.change(|account| account.rules.clear());
    }

    /// The requests for a command so far.
    pub fn requests(&self, command: &str) -> Vec<Request> {
        self.upstream.requests(&format!("/{command}/json"))
    }

    /// The number of all requests so far.
    pub fn count(&self) -> usize {
        COMMANDS
            .iter()
            .map(|path| self.upstream.requests(path).len())
            .sum()
    }

    /// The most requests that were under way at once.
    pub fn most_in_flight(&self) -> usize {
        self.most_in_flight.load(Ordering::SeqCst)
    }
}

/// A line as the provider documents it.
pub fn line(id: &str) -> Value {
    let place = id.trim_start_matches('6').trim_start_matches('0');
    json!({
        "ID": id, "login": format!("{LOGIN}.{place}"), "postcode": "ZZ1 1ZZ", "tx_rate": "74425000",
        "rx_rate": "19978000", "tx_rate_adjusted": "70703000", "quota_monthly": "1000000000000",
        "quota_remaining": "750000000000", "quota_timestamp": "2025-11-20 18:00:00"
    })
}

/// The quota of a line as the provider documents it.
pub fn quota(id: &str) -> Value {
    json!({
        "ID": id, "quota_monthly": "1000000000000", "quota_remaining": "750000000000",
        "quota_timestamp": "2025-11-20 18:00:00"
    })
}

/// The options of `info` for these lines.
pub fn options(ids: &[&str]) -> Value {
    let lines = ids
        .iter()
        .map(|id| json!({"value": id, "title": line(id)["login"]}));
    let mut choices = vec![json!({"value": "", "title": "Select service"})];
    choices.extend(lines);
    json!([
        {"option": [{"name": "service", "title": "Service", "choice": choices}]},
        {"title": "empty group"}
    ])
}

/// An answer with HTTP 200 that says what went wrong.
pub fn error(text: &str) -> Behaviour {
    upstream::json(json!({"error": text}).to_string())
}

/// Accepts the request and closes the connection.
pub fn dropped() -> Behaviour {
    Arc::new(|_, _| {})
}

/// Answers like this, later.
pub fn late(delay: Duration, behaviour: Behaviour) -> Behaviour {
    Arc::new(move |request, stream| {
        std::thread::sleep(delay);
        behaviour(request, stream);
    })
}

/// The attributes of a form.
pub fn form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs
        .map(|(name, value)| (unescaped(name), unescaped(value)))
        .collect()
}

fn unescaped(text: &str) -> String {
    let text = text.replace('+', " ");
    let mut pieces = text.split('%');
    let mut bytes = pieces.next().unwrap().as_bytes().to_vec();
    for piece in pieces {
        bytes.push(u8::from_str_radix(&piece[..2], 16).unwrap());
        bytes.extend_from_slice(&piece.as_bytes()[2..]);
    }
    String::from_utf8(bytes).unwrap()
}

/// A folder for what must be on disk.
pub fn scratch_folder(name: &str) -> PathBuf {
    let folder =
        std::env::temp_dir().join(format!("saas-exporter-aaisp-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

pub fn remove_folder(folder: &std::path::Path) {
    let _ = std::fs::remove_dir_all(folder);
}

/// Writes a file, whole.
pub fn write_file(path: &std::path::Path, text: &str) {
    std::fs::write(path, text).unwrap();
}

/// A stream whose request ends when its answer begins: before the client can send its next one.
struct Counted<'a> {
    stream: &'a mut dyn Stream,
    now: &'a AtomicUsize,
    is_counted: bool,
}

impl Counted<'_> {
    fn end(&mut self) {
        if std::mem::take(&mut self.is_counted) {
            self.now.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.end();
    }
}

impl std::io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.end();
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.stream.flush()
    }
}

impl std::io::Read for Counted<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.stream.read(buffer)
    }
}

/// What a request gets: the last rule that fits, or what the account says.
fn behaviour(account: &Account, request: &Request) -> Behaviour {
    let attributes = form(&request.body);
    let service = attributes.get("service");
    let fits = |path: &str, of: &Option<String>| {
        path == request.target && of.as_ref().is_none_or(|of| Some(of) == service)
    };
    let rules = account.rules.iter().rev();
    let mut fitting = rules.filter(|(path, of, _)| fits(path, of));
    match fitting.next() {
        Some((_, _, behaviour)) => Arc::clone(behaviour),
        None => upstream::json(reply(account, request, &attributes).to_string()),
    }
}

fn reply(account: &Account, request: &Request, attributes: &BTreeMap<String, String>) -> Value {
    let mut words = request.target.trim_matches('/').split('/');
    let (subsystem, command) = (words.next().unwrap(), words.next().unwrap());
    let mut echo: Map<String, Value> = Map::new();
    for (name, value) in attributes {
        let is_secret = name.ends_with("password");
        let shown = if is_secret { "(redacted)" } else { value };
        echo.insert(name.clone(), shown.into());
    }
    echo.insert(
        "uuid".to_owned(),
        "0e6f1f2e-0000-4000-8000-000000000000".into(),
    );
    echo.insert("seq".to_owned(), "1".into());
    let mut reply = json!({"subsystem": subsystem, "command": command, "request": echo});
    let content = match refusal(account, attributes) {
        Some(text) => json!({"error": text}),
        None => content(account, subsystem, command, attributes.get("service")),
    };
    for (name, value) in content.as_object().unwrap() {
        reply[name] = value.clone();
    }
    reply
}

/// Why the credentials are not accepted.
fn refusal(account: &Account, attributes: &BTreeMap<String, String>) -> Option<&'static str> {
    let known = account.logins.iter().find(|[attribute, name, ..]| {
        attributes.get(attribute) == Some(name)
            && attributes
                .keys()
                .any(|given| given.starts_with(&attribute[..7]) && given.ends_with("password"))
    });
    match known {
        None => Some("Bad control-login"),
        Some([_, _, attribute, password]) if attributes.get(attribute) != Some(password) => {
            Some("Control authorisation failed")
        }
        Some(_) => None,
    }
}

fn content(account: &Account, subsystem: &str, command: &str, service: Option<&String>) -> Value {
    let wrap = |object: Option<&Value>| match object {
        None => json!([]),
        Some(object) if account.is_single => object.clone(),
        Some(object) => json!([object]),
    };
    let of_service =
        |objects: &BTreeMap<String, Value>| wrap(service.and_then(|id| objects.get(id)));
    match (subsystem, command, service) {
        ("broadband", "services", _) => account.services.clone(),
        ("broadband", "info", None) => {
            let all: Vec<&Value> = account.lines.values().collect();
            json!({"options": account.options, "info": all})
        }
        ("broadband", "info", Some(_)) => {
            json!({"options": account.options, "info": of_service(&account.lines)})
        }
        ("broadband", _, _) => {
            let quota = service.and_then(|id| account.quotas.get(id));
            match quota.and_then(|quota| quota.get("error")) {
                Some(text) => json!({"error": text}),
                None => json!({"quota": wrap(quota)}),
            }
        }
        (_, "services", _) => {
            let ids: Vec<&String> = account.numbers.keys().collect();
            json!({"services": ids})
        }
        (_, "info", _) => json!({"info": of_service(&account.numbers)}),
        _ => json!({"rate_card": account.rate_card}),
    }
}

/// The telephone number of the contract's example.
pub fn number() -> Value {
    json!({
        "ID": "02000000001", "status": "active", "call_forwarding": "No", "voicemail": "Yes", "service_type": "voip",
        "active_calls": "1", "call_stats": {
            "inbound_calls": "12", "inbound_duration": "3400", "outbound_calls": "7",
            "outbound_duration": "905.5", "outbound_cost": "1.25"
        }
    })
}

/// The price list of the contract's example.
pub fn rate_card() -> Value {
    json!({
        "codes": {"code": [{"code": "441", "rate": "UK"}, {"code": "442", "rate": "UK"}, {"code": "447", "rate": "Mobile"}]},
        "rates": {"rate": [
            {"rate": "UK", "peak_ppm": "1.5", "offpeak_ppm": "1.0", "weekend_ppm": "1.0", "min_charge": "0"},
            {"rate": "Mobile", "peak_ppm": "8.2", "weekend_ppm": "", "min_charge": "2"}
        ]}
    })
}
