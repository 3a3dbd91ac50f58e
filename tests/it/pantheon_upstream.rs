//! The Pantheon API as far as an exporter asks it: accounts by machine token, sessions, pages of a hundred, traffic.
//!
//! Sessions, ids and e-mails are recognisable, so that a test can look for them where they must not be.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::upstream::{self, ANY_PATH, Behaviour, Request, Stream, Upstream};

pub const SITE: &str = "22222222-2222-4222-8222-222222222222";
const PAGE_SIZE: usize = 100;
/// A session lasts 28 days.
const SESSION_S: i64 = 2_419_200;

/// A machine token and what its user sees.
#[derive(Clone)]
pub struct Account {
    pub token: String,
    pub user_id: String,
    pub email: Option<String>,
    pub sites: Vec<Value>,
    /// Ids of the organisations.
    pub organisations: Vec<String>,
}

/// What a request gets in the place of its answer while its target contains a text.
#[derive(Clone)]
struct Switch {
    part: String,
    behaviour: Behaviour,
    /// How often; none for ever.
    left: Option<usize>,
}

#[derive(Default)]
struct State {
    accounts: Vec<Account>,
    organisations: BTreeMap<String, Vec<Value>>,
    /// Points by site id.
    traffic: BTreeMap<String, Vec<Value>>,
    /// Ids of sites by name.
    names: BTreeMap<String, String>,
    /// Places of accounts by session.
    sessions: BTreeMap<String, usize>,
    logins: usize,
    switches: Vec<Switch>,
    ignores_start: bool,
}

pub struct Pantheon {
    pub upstream: Upstream,
    state: Arc<Mutex<State>>,
}

/// A membership of the kind that the lists hold.
pub fn site(id: &str, name: &str, plan: Option<&str>) -> Value {
    json!({
        "id": id, "site_id": id, "role": "developer", "archived": false,
        "site": {"id": id, "name": name, "label": "Another label", "plan_name": plan, "framework": "drupal8",
                 "created": 1_581_015_607, "frozen": false, "upstream": {"product_id": "x", "url": "y"}}
    })
}

/// The id of a made-up site.
pub fn id(number: usize) -> String {
    format!("33333333-3333-4333-8333-{number:012}")
}

/// Made-up sites, called `site-000` and so on.
pub fn sites(numbers: std::ops::Range<usize>) -> Vec<Value> {
    numbers
        .map(|number| site(&id(number), &format!("site-{number:03}"), Some("Basic")))
        .collect()
}

/// One day's traffic.
pub fn day(timestamp: i64, counts: [u64; 4]) -> Value {
    let [visits, pages_served, cache_hits, cache_misses] = counts;
    json!({"timestamp": timestamp, "visits": visits, "pages_served": pages_served,
           "cache_hits": cache_hits, "cache_misses": cache_misses})
}

impl Pantheon {
    /// With no account.
    pub fn start() -> Pantheon {
        let (upstream, state) = (Upstream::start(), Arc::new(Mutex::new(State::default())));
        let served = Arc::clone(&state);
        upstream.set(
            ANY_PATH,
            Arc::new(move |request, stream| serve(&served, request, stream)),
        );
        Pantheon { upstream, state }
    }

    /// With one account that sees these sites.
    pub fn with_sites(sites: Vec<Value>) -> Pantheon {
        let pantheon = Pantheon::start();
        pantheon.add_account(1, sites);
        pantheon
    }

    /// The token of the account with this number.
    pub fn token(number: usize) -> String {
        format!("machine-token-secret-{number:08}")
    }

    pub fn add_account(&self, number: usize, sites: Vec<Value>) {
        self.state.lock().unwrap().accounts.push(Account {
            token: Pantheon::token(number),
            user_id: format!("user-id-{number:04}-4111-8111-111111111111"),
            email: Some(format!("ops{number}@example.com")),
            sites,
            organisations: Vec::new(),
        });
    }

    /// Changes the account at this place.
    pub fn change(&self, place: usize, change: impl FnOnce(&mut Account)) {
        change(&mut self.state.lock().unwrap().accounts[place]);
    }

    /// Adds an organisation that every account is a member of.
    pub fn add_organisation(&self, id: &str, sites: Vec<Value>) {
        let mut state = self.state.lock().unwrap();
        state.organisations.insert(id.to_owned(), sites);
        for account in &mut state.accounts {
            account.organisations.push(id.to_owned());
        }
    }

    /// The points of a site; without them it has two days of its own.
    pub fn set_traffic(&self, site: &str, points: Vec<Value>) {
        let mut state = self.state.lock().unwrap();
        state.traffic.insert(site.to_owned(), points);
    }

    pub fn set_name(&self, name: &str, id: &str) {
        let mut state = self.state.lock().unwrap();
        state.names.insert(name.to_owned(), id.to_owned());
    }

    /// From now on requests whose target contains `part` get this instead.
    pub fn switch(&self, part: &str, behaviour: Behaviour) {
        self.switch_for(part, behaviour, None);
    }

    pub fn switch_for(&self, part: &str, behaviour: Behaviour, left: Option<usize>) {
        let part = part.to_owned();
        let switch = Switch {
            part,
            behaviour,
            left,
        };
        self.state.lock().unwrap().switches.push(switch);
    }

    pub fn clear_switches(&self) {
        self.state.lock().unwrap().switches.clear();
    }

    pub fn ignore_start(&self) {
        self.state.lock().unwrap().ignores_start = true;
    }

    pub fn expire_sessions(&self) {
        self.state.lock().unwrap().sessions.clear();
    }

    /// The targets of all requests so far.
    pub fn targets(&self) -> Vec<String> {
        let requests = self.upstream.all_requests();
        requests.into_iter().map(|request| request.target).collect()
    }

    /// How many requests so far have a target that contains this.
    pub fn count(&self, part: &str) -> usize {
        let targets = self.targets();
        targets
            .iter()
            .filter(|target| target.contains(part))
            .count()
    }
}

fn serve(state: &Mutex<State>, request: &Request, stream: &mut dyn Stream) {
    let instead = state.lock().unwrap().instead(&request.target);
    if let Some(behaviour) = instead {
        return behaviour(request, stream);
    }
    let (status, body) = state.lock().unwrap().answer(request);
    let headers = [("content-type", "application/json")];
    upstream::answer(stream, status, &headers, body.as_bytes());
}

impl State {
    fn instead(&mut self, target: &str) -> Option<Behaviour> {
        let fits = |switch: &&mut Switch| target.contains(&switch.part) && switch.left != Some(0);
        let switch = self.switches.iter_mut().find(fits)?;
        switch.left = switch.left.map(|left| left - 1);
        Some(Arc::clone(&switch.behaviour))
    }

    fn answer(&mut self, request: &Request) -> (u16, String) {
        if request.target == "/authorize/machine-token" {
            return self.log_in(request);
        }
        let session = request
            .header("authorization")
            .and_then(|value| value.strip_prefix("Bearer "));
        let account = session.and_then(|session| self.sessions.get(session));
        let Some(account) = account.map(|place| self.accounts[*place].clone()) else {
            return (401, "Unauthorized".to_owned());
        };
        let (path, query) = request
            .target
            .split_once('?')
            .unwrap_or((&request.target, ""));
        let segments: Vec<&str> = path.split('/').skip(1).collect();
        match segments.as_slice() {
            ["users", user, ..] if *user != account.user_id => {
                (403, json!({"error": "not yours"}).to_string())
            }
            ["users", user] => ok(&json!({"id": user, "email": account.email, "profile": {}})),
            ["users", _, "memberships", "sites"] => self.page(&account.sites, query),
            ["users", _, "memberships", "organizations"] => {
                let entry = |id: &String| {
                    json!({"id": id, "role": "admin", "organization":
                    {"id": id, "profile": {"machine_name": id, "name": format!("Name of {id}"), "logo": {"size": "7"}}}})
                };
                let entries: Vec<Value> = account.organisations.iter().map(entry).collect();
                self.page(&entries, query)
            }
            ["organizations", id, "memberships", "sites"] => match self.organisations.get(*id) {
                Some(sites) => self.page(sites, query),
                None => not_found(),
            },
            ["site-names", name] => match self.names.get(*name) {
                Some(id) => ok(&json!({"id": id})),
                None => not_found(),
            },
            ["sites", site, "environments", "live", "traffic"] => ok(&self.traffic(site, query)),
            _ => not_found(),
        }
    }

    fn log_in(&mut self, request: &Request) -> (u16, String) {
        let body: Value = serde_json::from_str(&request.body).unwrap_or_default();
        let token = body["machine_token"].as_str().unwrap_or_default();
        let place = self
            .accounts
            .iter()
            .position(|account| account.token == token);
        let (Some(place), "POST", Some(_)) = (place, &*request.method, body["client"].as_str())
        else {
            return (401, json!({"error": "invalid machine token"}).to_string());
        };
        self.logins += 1;
        let session = format!("session-secret-{:04}", self.logins);
        self.sessions.insert(session.clone(), place);
        let now_s = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .unwrap()
            .as_secs() as i64;
        let user_id = &self.accounts[place].user_id;
        ok(&json!({"session": session, "user_id": user_id, "expires_at": now_s + SESSION_S}))
    }

    fn page(&self, entries: &[Value], query: &str) -> (u16, String) {
        let start = query
            .split('&')
            .find_map(|pair| pair.strip_prefix("start="))
            .filter(|_| !self.ignores_start);
        let place = start.and_then(|start| entries.iter().position(|entry| entry["id"] == start));
        let begin = place.map_or(0, |place| place + 1);
        let page: Vec<&Value> = entries.iter().skip(begin).take(PAGE_SIZE).collect();
        ok(&json!(page))
    }

    fn traffic(&self, site: &str, query: &str) -> Value {
        let usual = || {
            vec![
                day(1_762_732_800, [837, 3081, 119, 2962]),
                day(1_762_819_200, [824, 2950, 151, 2799]),
            ]
        };
        let points = self.traffic.get(site).cloned().unwrap_or_else(usual);
        let newest = points
            .iter()
            .max_by_key(|point| point["timestamp"].as_i64());
        let points = match query {
            "duration=1d" => newest.into_iter().cloned().collect(),
            _ => points.clone(),
        };
        json!({"timeseries": points, "other": {"ignored": true}})
    }
}

fn ok(body: &Value) -> (u16, String) {
    (200, body.to_string())
}

fn not_found() -> (u16, String) {
    (404, "404 page not found\n".to_owned())
}
