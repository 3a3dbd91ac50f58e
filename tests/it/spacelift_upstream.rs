//! A simulated Spacelift account: one GraphQL endpoint that checks its token and misbehaves as it is told to.
//!
//! A document is answered by its root fields, so that one document for all of them works as well as one for each.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::upstream::{self, Request, Stream, Upstream, wait_until};

pub const KEY_ID: &str = "oidc::issuer.example::01KEYIDKEYID";
pub const SECRET: &str = "s3cr3t-in-the-open";
/// The beginning of every token.
pub const TOKEN: &str = "eyJhbGciOi.token-in-the-open";
const GATED: &str = "not available for machine sessions";
const GRAPHQL: &str = "/graphql";
/// Root fields, and whether they may be null; the others take the whole `data` with them.
const ROOTS: [(&str, bool); 8] = [
    ("apiKeyUser", true),
    ("publicWorkerPool", true),
    ("workerPools", false),
    ("usage", false),
    ("metrics", false),
    ("searchStacks", false),
    ("searchManagedEntities", false),
    ("viewer", true),
];

/// Status, headers and body of an answer that is no reply.
pub type Answer = (u16, Vec<(&'static str, String)>, String);

/// What the account does; change it through [`Account::set`].
pub struct Story {
    /// The values of the root fields without pages.
    pub data: Value,
    /// Nodes of the pages of a root field.
    pub pages: BTreeMap<&'static str, Vec<Vec<Value>>>,
    /// Whether every page names the same cursor.
    pub repeats_cursor: bool,
    /// Seconds that a token lasts.
    pub token_lifetime_s: i64,
    /// Whether the key is accepted.
    pub accepts_key: bool,
    /// So many more data questions are called unauthorized.
    pub rejections: u32,
    /// Root fields that this key may not read.
    pub gated: BTreeSet<&'static str>,
    /// Root fields that fail beside partial data, and what they say.
    pub errors: BTreeMap<&'static str, String>,
    /// Root fields that answer this late.
    pub delays: BTreeMap<&'static str, Duration>,
    /// Root fields that answer this status, header and body instead.
    pub statuses: BTreeMap<&'static str, Answer>,
    /// Whether nobody is logged in, whatever the token.
    pub is_anonymous: bool,
    /// The secret that is expected.
    pub secret: String,
    valid_tokens: BTreeSet<String>,
    token_count: u32,
}

/// A question as it arrived.
#[derive(Clone, Debug)]
pub struct Asked {
    /// `token`, or the root fields.
    pub roots: Vec<&'static str>,
    pub body: Value,
    pub authorization: Option<String>,
    pub client_type: Option<String>,
}

pub struct Account {
    pub upstream: Upstream,
    story: Arc<Mutex<Story>>,
}

impl Account {
    pub fn start() -> Account {
        Account::on(Upstream::start())
    }

    /// The account on a server of any kind.
    pub fn on(upstream: Upstream) -> Account {
        let story = Arc::new(Mutex::new(Story::new()));
        let told = Arc::clone(&story);
        let answer =
            move |request: &Request, stream: &mut dyn Stream| answer(&told, request, stream);
        upstream.set(GRAPHQL, Arc::new(answer));
        Account { upstream, story }
    }

    pub fn url(&self) -> String {
        self.upstream.url("")
    }

    /// A services.json with this account alone, polled every second; `more` are further fields.
    pub fn services(&self, more: Value) -> Value {
        json!({"acme": self.service(more)})
    }

    pub fn service(&self, more: Value) -> Value {
        let mut service = json!({
            "type": "spacelift", "interval": "1s",
            "api_endpoint": self.url(), "api_key_id": KEY_ID, "api_key_secret": SECRET,
        });
        for (name, value) in more.as_object().unwrap() {
            service[name] = value.clone();
        }
        service
    }

    pub fn set(&self, change: impl FnOnce(&mut Story)) {
        change(&mut self.story.lock().unwrap());
    }

    /// Every token that was given out so far is invalid from now on.
    pub fn invalidate_tokens(&self) {
        self.set(|story| story.valid_tokens.clear());
    }

    /// Everything that was asked so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.upstream
            .requests(GRAPHQL)
            .iter()
            .map(Asked::new)
            .collect()
    }

    /// The questions for a root field so far.
    pub fn asked_for(&self, root: &str) -> Vec<Asked> {
        let asked = self.asked().into_iter();
        asked.filter(|asked| asked.roots.contains(&root)).collect()
    }

    /// Waits until a root field was asked for so many more times.
    pub fn wait_for_more(&self, root: &str, more: usize) {
        let count = self.asked_for(root).len() + more;
        wait_until(&format!("{more} more questions for {root}"), || {
            (self.asked_for(root).len() >= count).then_some(())
        });
    }
}

impl Asked {
    fn new(request: &Request) -> Asked {
        assert_eq!(request.method, "POST");
        assert_eq!(request.header("content-type"), Some("application/json"));
        let body: Value = serde_json::from_str(&request.body).unwrap();
        Asked {
            roots: roots(&body),
            authorization: request.header("authorization").map(str::to_owned),
            client_type: request.header("spacelift-client-type").map(str::to_owned),
            body,
        }
    }

    pub fn operation(&self) -> &str {
        self.body["operationName"].as_str().unwrap_or_default()
    }
}

impl Story {
    fn new() -> Story {
        Story {
            data: worked_example(),
            pages: BTreeMap::from([
                ("searchStacks", vec![vec![stack("infra-prod", "FINISHED")]]),
                ("searchManagedEntities", vec![Vec::new()]),
            ]),
            repeats_cursor: false,
            token_lifetime_s: 3_600,
            accepts_key: true,
            rejections: 0,
            gated: BTreeSet::new(),
            errors: BTreeMap::new(),
            delays: BTreeMap::new(),
            statuses: BTreeMap::new(),
            is_anonymous: false,
            secret: SECRET.to_owned(),
            valid_tokens: BTreeSet::new(),
            token_count: 0,
        }
    }

    fn exchange(&mut self, variables: &Value) -> Value {
        if !self.accepts_key || variables["secret"] != *self.secret {
            return json!({"data": {"apiKeyUser": null}});
        }
        self.token_count += 1;
        let jwt = format!("{TOKEN}-{}", self.token_count);
        self.valid_tokens.insert(jwt.clone());
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        let valid_until = i64::try_from(now_s).unwrap() + self.token_lifetime_s;
        json!({"data": {"apiKeyUser": {"jwt": jwt, "validUntil": valid_until}}})
    }

    fn is_valid(&mut self, authorization: Option<&str>) -> bool {
        if self.rejections > 0 {
            self.rejections -= 1;
            return false;
        }
        let token = authorization.and_then(|value| value.strip_prefix("Bearer "));
        token.is_some_and(|token| self.valid_tokens.contains(token))
    }

    /// What a document gets: a field that fails takes `data` with it unless it may be null or leaves a part.
    fn reply(&self, roots: &[&'static str], variables: &Value) -> Value {
        let (mut data, mut errors, mut is_lost) = (Map::new(), Vec::new(), false);
        for root in roots {
            let may_be_null = ROOTS.iter().any(|(name, may)| name == root && *may);
            if self.gated.contains(root) {
                errors.push(json!({"message": GATED, "path": [root]}));
                data.insert((*root).to_owned(), Value::Null);
                is_lost |= !may_be_null;
                continue;
            }
            if let Some(message) = self.errors.get(root) {
                errors.push(json!({"message": message, "path": [root]}));
            }
            data.insert((*root).to_owned(), self.value(root, variables));
        }
        let data = if is_lost { Value::Null } else { data.into() };
        match errors.is_empty() {
            true => json!({"data": data}),
            false => json!({"data": data, "errors": errors}),
        }
    }

    fn value(&self, root: &str, variables: &Value) -> Value {
        if root == "viewer" {
            return if self.is_anonymous {
                Value::Null
            } else {
                json!({"id": "machine"})
            };
        }
        let Some(pages) = self.pages.get(root) else {
            return self.data[root].clone();
        };
        let after = variables["input"]["after"].as_str();
        let place = match after {
            Some(cursor) => cursor.trim_start_matches('c').parse().unwrap(),
            None => 0_usize,
        };
        let nodes = pages.get(place).cloned().unwrap_or_default();
        let edges: Vec<Value> = nodes.iter().map(|node| json!({"node": node})).collect();
        let cursor = if self.repeats_cursor {
            "c1".to_owned()
        } else {
            format!("c{}", place + 1)
        };
        let has_next = self.repeats_cursor || place + 1 < pages.len();
        json!({"edges": edges, "pageInfo": {"endCursor": cursor, "hasNextPage": has_next}})
    }
}

fn answer(story: &Mutex<Story>, request: &Request, stream: &mut dyn Stream) {
    let asked = Asked::new(request);
    let (delay, status) = {
        let story = story.lock().unwrap();
        let delay = asked
            .roots
            .iter()
            .find_map(|root| story.delays.get(root).copied());
        let status = asked
            .roots
            .iter()
            .find_map(|root| story.statuses.get(root).cloned());
        (delay, status)
    };
    if let Some(delay) = delay {
        std::thread::sleep(delay);
    }
    if let Some((status, headers, body)) = status {
        let headers: Vec<(&str, &str)> = headers
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect();
        return upstream::answer(stream, status, &headers, body.as_bytes());
    }
    let variables = &asked.body["variables"];
    let mut story = story.lock().unwrap();
    let reply = if asked.roots.contains(&"apiKeyUser") {
        assert!(asked.authorization.is_none() && asked.client_type.is_none());
        story.exchange(variables)
    } else if story.is_valid(asked.authorization.as_deref()) {
        story.reply(&asked.roots, variables)
    } else {
        json!({"data": null, "errors": [{"message": "unauthorized"}]})
    };
    drop(story);
    let headers = [("content-type", "application/json")];
    upstream::answer(stream, 200, &headers, reply.to_string().as_bytes());
}

/// The root fields that a document selects.
fn roots(body: &Value) -> Vec<&'static str> {
    let document = body["query"].as_str().unwrap();
    let selects = |root: &str| {
        document.match_indices(root).any(|(at, _)| {
            document[at + root.len()..]
                .trim_start()
                .starts_with(['{', '('])
        })
    };
    let roots = ROOTS.iter().map(|(root, _)| *root);
    roots.filter(|root| selects(root)).collect()
}

pub fn stack(id: &str, state: &str) -> Value {
    json!({"id": id, "name": "Infra prod", "state": state, "space": "platform-01ABC",
        "spaceDetails": {"id": "platform-01ABC", "name": "platform"}})
}

/// The example of the contract, section 8.
pub fn worked_example() -> Value {
    json!({
        "publicWorkerPool": {"parallelism": 4, "busyWorkers": 1, "pendingRuns": 3},
        "workerPools": [
            {"id": "01POOLA", "name": "blue \"gpu\"", "pendingRuns": 2, "busyWorkers": 1, "workers": [
                {"id": "w1", "drained": false}, {"id": "w2", "drained": true}, {"id": "w3", "drained": false}]},
            {"id": "01POOLB", "name": "green", "pendingRuns": 0, "busyWorkers": 0, "workers": []},
        ],
        "usage": {"billingPeriodStart": 1_760_000_000, "billingPeriodEnd": 1_762_678_400, "usedPrivateMinutes": 90,
            "usedPublicMinutes": 7, "usedSeats": 5},
        "metrics": {
            "stacksCountByState": [{"value": 6, "labels": ["FINISHED"]}, {"value": 1, "labels": ["FAILED"]}],
            "resourcesCountByDrift": [{"value": 45, "labels": ["OK"]}, {"value": 2, "labels": ["DRIFTED"]}],
            "avgStackSizeByResourceCount": [{"value": 7.5, "labels": []}],
            "averageRunDuration": [{"value": 95_500_000_000_u64, "labels": []}],
            "medianRunDuration": [],
        },
    })
}

/// An account in which nothing has happened yet.
pub fn empty_account() -> Value {
    let mut data = worked_example();
    data["workerPools"] = json!([]);
    for list in data["metrics"].as_object_mut().unwrap().values_mut() {
        *list = json!([]);
    }
    data
}
