//! A Spacelift account: a stack drifts, runs queue up, a stack fails, and the minutes of the billing period grow. One
//! cycle is one billing period.

use serde_json::{Value, json};

use super::{CYCLE_S, Chapter, Moment};
use crate::spacelift_upstream::Account;

const DRIFT: Chapter = Chapter::new("Spacelift: network-prod drifts", 60.0, 390.0);
const QUEUE: Chapter = Chapter::new("Spacelift: runs queue up", 180.0, 330.0);
const DRAINING: Chapter = Chapter::new("Spacelift: a worker is drained", 210.0, 300.0);
const FAILURE: Chapter = Chapter::new("Spacelift: billing-prod fails", 330.0, 420.0);

pub(super) const CHAPTERS: [Chapter; 4] = [DRIFT, QUEUE, DRAINING, FAILURE];

/// Id, space and number of resources of each stack.
const STACKS: [(&str, &str, u32); 5] = [
    ("network-prod", "platform", 40),
    ("cluster-prod", "platform", 65),
    ("cluster-test", "platform", 50),
    ("billing-prod", "product", 25),
    ("mail-prod", "product", 12),
];
/// Most resources that drift at once.
const DRIFT_MOST: f64 = 9.0;
/// Most runs that wait in the private and in the public pool.
const WAITING_MOST: [f64; 2] = [14.0, 5.0];
const WORKERS: u32 = 6;
/// Minutes of private and public workers that a billing period takes.
const MINUTES: [f64; 2] = [2_400.0, 360.0];

/// Drift is shown for each stack by name. Such details are read once a minute at most, so that a faster story shows
/// the sums of the account instead, which are read at every poll.
pub(super) fn service(account: &Account, speed: f64) -> Value {
    account.service(json!({
        "interval": "3s", "resource_details": speed <= 2.0, "details_interval": "60s"
    }))
}

pub(super) fn tell(account: &Account, moment: &Moment) {
    let drifted = drifted(moment);
    account.set(|story| {
        story.data = data(moment, drifted);
        story.pages.insert("searchStacks", vec![stacks(moment)]);
        let entities = entities(drifted);
        let pages = entities.chunks(50).map(<[Value]>::to_vec).collect();
        story.pages.insert("searchManagedEntities", pages);
    });
}

/// How many resources of the first stack differ from their code: more and more, until somebody looks.
fn drifted(moment: &Moment) -> u32 {
    match moment.is_in(DRIFT) {
        true => 1 + (moment.passed(DRIFT) * DRIFT_MOST) as u32,
        false => 0,
    }
}

fn state(moment: &Moment, stack: &str) -> &'static str {
    match stack {
        "billing-prod" if moment.is_in(FAILURE) => "FAILED",
        "cluster-prod" if moment.is_in(QUEUE) => "APPLYING",
        "cluster-test" if moment.is_in(QUEUE) => "QUEUED",
        _ => "FINISHED",
    }
}

fn stacks(moment: &Moment) -> Vec<Value> {
    let stack = |(id, space, _): &(&str, &str, u32)| {
        json!({
            "id": id, "name": id, "state": state(moment, id), "space": format!("{space}-01ABC"),
            "spaceDetails": {"id": format!("{space}-01ABC"), "name": space}
        })
    };
    STACKS.iter().map(stack).collect()
}

/// Every resource of every stack; of the first stack, so many have drifted.
fn entities(drifted: u32) -> Vec<Value> {
    let mut entities = Vec::new();
    for (place, (stack, _, count)) in STACKS.iter().enumerate() {
        for number in 0..*count {
            let has_drifted = place == 0 && number < drifted;
            let since = has_drifted.then_some(1_762_700_000);
            let id = format!("{stack}-{number}");
            entities.push(json!({"id": id, "drifted": since, "stackId": stack}));
        }
    }
    entities
}

fn data(moment: &Moment, drifted: u32) -> Value {
    let [private, public] = WAITING_MOST.map(|most| (most * moment.swell(QUEUE)).round() as u32);
    let workers = (0..WORKERS).map(|number| {
        json!({"id": format!("w{number}"), "drained": number == 0 && moment.is_in(DRAINING)})
    });
    let workers: Vec<Value> = workers.collect();
    let [private_minutes, public_minutes] =
        MINUTES.map(|most| (most * moment.passed_of_cycle()) as u32);
    let resources: u32 = STACKS.iter().map(|(_, _, count)| count).sum();
    let average_s = 95.5 + 240.0 * moment.swell(QUEUE);
    let of_states = ["APPLYING", "FAILED", "FINISHED", "QUEUED"].map(|word| {
        let stacks = STACKS.iter().filter(|(id, ..)| state(moment, id) == word);
        json!({"value": stacks.count(), "labels": [word]})
    });
    json!({
        "publicWorkerPool": {"parallelism": 4, "busyWorkers": public.min(4), "pendingRuns": public.saturating_sub(4)},
        "workerPools": [
            {"id": "01POOLA", "name": "main", "pendingRuns": private.saturating_sub(WORKERS),
             "busyWorkers": private.min(WORKERS), "workers": workers},
            {"id": "01POOLB", "name": "spare", "pendingRuns": 0, "busyWorkers": 0, "workers": []}
        ],
        "usage": {
            "billingPeriodStart": moment.unix_s(0.0) as i64, "billingPeriodEnd": moment.unix_s(CYCLE_S) as i64,
            "usedPrivateMinutes": private_minutes, "usedPublicMinutes": public_minutes, "usedSeats": 5
        },
        "metrics": {
            "stacksCountByState": of_states,
            "resourcesCountByDrift": [
                {"value": resources - drifted, "labels": ["OK"]}, {"value": drifted, "labels": ["DRIFTED"]}
            ],
            "avgStackSizeByResourceCount": [{"value": f64::from(resources) / STACKS.len() as f64, "labels": []}],
            "averageRunDuration": [{"value": (average_s * 1e9) as u64, "labels": []}],
            "medianRunDuration": [{"value": 61_000_000_000_u64, "labels": []}]
        }
    })
}
