//! What a reply means: pools, usage, counts, pages. Pure; whatever is missing where it must not be is a decode error.

use super::api::{Outcome, Trouble};
use super::question::Collector;
use super::wire::{self, Reply};
use crate::fetch::Failure;
use crate::model::{LABEL_LIMIT_CHARS, cut};
use crate::sorted::SortedMap;

/// Most items of a page: twenty times what is asked for, so that no upstream decides how much memory is taken.
const PAGE_ITEMS_MOST: usize = 1_000;
/// A label that the upstream does not tell (contract, section 3.4).
pub(super) const UNKNOWN: &str = "unknown";

/// A token and its end.
#[derive(Debug)]
pub(super) struct NewToken {
    pub(super) jwt: String,
    /// Unix seconds.
    pub(super) valid_until_s: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct PublicPool {
    pub(super) parallelism: f64,
    pub(super) busy_workers: f64,
    pub(super) pending_runs: f64,
}

/// Numbers of one worker pool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Pool {
    pub(super) pending_runs: f64,
    pub(super) busy_workers: f64,
    pub(super) workers: f64,
    pub(super) drained: f64,
}

/// Values by their labels; those with equal labels are added together.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Summed<K: Ord, V> {
    pub(super) by_labels: SortedMap<K, V>,
    pub(super) has_duplicates: bool,
}

/// Pools by id and name.
pub(super) type Pools = Summed<[String; 2], Pool>;
/// Counts by state, stack and space.
pub(super) type Counts = Summed<[String; 3], f64>;

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Usage {
    pub(super) period_start_s: f64,
    pub(super) period_end_s: f64,
    pub(super) private_minutes: f64,
    pub(super) public_minutes: f64,
    pub(super) seats: f64,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) struct Aggregates {
    pub(super) stacks: Counts,
    pub(super) resources: Counts,
    pub(super) stack_size: Option<f64>,
    pub(super) average_run_ns: Option<f64>,
    pub(super) median_run_ns: Option<f64>,
}

/// A stack of a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Stack {
    pub(super) id: String,
    pub(super) state: String,
    pub(super) space_id: String,
    pub(super) space_name: String,
}

/// A resource of a page.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Entity {
    pub(super) id: Option<String>,
    pub(super) stack: String,
    pub(super) is_drifted: bool,
}

/// One page of a list.
#[derive(Debug)]
pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    /// The cursor of the next one, none on the last.
    pub(super) next: Option<String>,
}

impl<K: Ord, V> Summed<K, V> {
    fn add(&mut self, labels: K, value: V, join: impl FnOnce(&mut V, V)) {
        match self.by_labels.get_mut(&labels) {
            None => drop(self.by_labels.insert(labels, value)),
            Some(earlier) => {
                self.has_duplicates = true;
                join(earlier, value);
            }
        }
    }
}

pub(super) fn token(reply: Reply) -> Result<NewToken, Trouble> {
    let refused = || {
        let what = "apiKeyUser is null, the key is not accepted".to_owned();
        Trouble::new(Outcome::Unauthorized, Failure::Refused(what))
    };
    let user = reply.data.and_then(|data| data.api_key_user);
    let user = user.ok_or_else(refused)?;
    let jwt = user.jwt.unwrap_or_default();
    // Only such a text can be sent in a header.
    if jwt.is_empty() || !jwt.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Trouble::shape("apiKeyUser.jwt is no token (not shown)"));
    }
    let valid_until_s = user
        .valid_until
        .ok_or_else(|| not_a_number("apiKeyUser.validUntil"))?;
    Ok(NewToken { jwt, valid_until_s })
}

/// Whether we are somebody: an anonymous session counts as unauthorized.
pub(super) fn viewer(reply: Reply) -> Result<(), Trouble> {
    let anonymous = || {
        let what = "viewer is null, the session is anonymous".to_owned();
        Trouble::new(Outcome::Unauthorized, Failure::Refused(what))
    };
    let viewer = reply.data.and_then(|data| data.viewer);
    viewer.map(|_| ()).ok_or_else(anonymous)
}

pub(super) fn public_pool(reply: Reply) -> Result<PublicPool, Trouble> {
    let pool = reply.data.and_then(|data| data.public_worker_pool);
    let pool = pool.ok_or_else(|| missing(Collector::PublicWorkerPool))?;
    Ok(PublicPool {
        parallelism: pool.parallelism.unwrap_or(0.0),
        busy_workers: pool.busy_workers.unwrap_or(0.0),
        pending_runs: pool.pending_runs.unwrap_or(0.0),
    })
}

pub(super) fn pools(reply: Reply) -> Result<Pools, Trouble> {
    let list = reply.data.and_then(|data| data.worker_pools);
    let mut pools = Pools::default();
    for pool in list.ok_or_else(|| missing(Collector::WorkerPools))? {
        let pool = pool.ok_or_else(|| Trouble::shape("workerPools: an item is no object"))?;
        let workers = pool.workers.iter();
        let drained = workers.filter(|worker| worker.as_ref().is_some_and(|it| it.is_drained));
        let numbers = Pool {
            pending_runs: pool.pending_runs.unwrap_or(0.0),
            busy_workers: pool.busy_workers.unwrap_or(0.0),
            drained: drained.count() as f64,
            workers: pool.workers.len() as f64,
        };
        let labels = [label(pool.id), label(pool.name)];
        pools.add(labels, numbers, |earlier, later| {
            earlier.pending_runs += later.pending_runs;
            earlier.busy_workers += later.busy_workers;
            earlier.workers += later.workers;
            earlier.drained += later.drained;
        });
    }
    Ok(pools)
}

pub(super) fn usage(reply: Reply) -> Result<Usage, Trouble> {
    let usage = reply.data.and_then(|data| data.usage);
    let usage = usage.ok_or_else(|| missing(Collector::Usage))?;
    let number = |number: Option<f64>, field| number.ok_or_else(|| not_a_number(field));
    Ok(Usage {
        period_start_s: number(usage.billing_period_start, "usage.billingPeriodStart")?,
        period_end_s: number(usage.billing_period_end, "usage.billingPeriodEnd")?,
        private_minutes: number(usage.used_private_minutes, "usage.usedPrivateMinutes")?,
        public_minutes: number(usage.used_public_minutes, "usage.usedPublicMinutes")?,
        seats: number(usage.used_seats, "usage.usedSeats")?,
    })
}

pub(super) fn aggregates(reply: Reply) -> Result<Aggregates, Trouble> {
    let metrics = reply.data.and_then(|data| data.metrics);
    let metrics = metrics.ok_or_else(|| missing(Collector::Aggregates))?;
    let size = metrics.avg_stack_size_by_resource_count;
    Ok(Aggregates {
        stacks: counts(metrics.stacks_count_by_state, "metrics.stacksCountByState")?,
        resources: counts(
            metrics.resources_count_by_drift,
            "metrics.resourcesCountByDrift",
        )?,
        stack_size: first(size, "metrics.avgStackSizeByResourceCount")?,
        average_run_ns: first(metrics.average_run_duration, "metrics.averageRunDuration")?,
        median_run_ns: first(metrics.median_run_duration, "metrics.medianRunDuration")?,
    })
}

type Points = Vec<Option<wire::DataPoint>>;

/// Labels by their place: state, stack, space. A missing one is unknown, further ones are dropped.
fn counts(points: Points, field: &str) -> Result<Counts, Trouble> {
    let mut counts = Counts::default();
    for point in points {
        let (value, labels) = value_and_labels(point, field)?;
        let mut labels = labels.into_iter().map(label);
        let labels = [(); 3].map(|()| labels.next().unwrap_or_else(|| UNKNOWN.to_owned()));
        counts.add(labels, value, |earlier, later| *earlier += later);
    }
    Ok(counts)
}

/// A single value arrives as a list too; an empty list means that there is no data yet.
fn first(points: Points, field: &str) -> Result<Option<f64>, Trouble> {
    let first = points.into_iter().next();
    first
        .map(|point| Ok(value_and_labels(point, field)?.0))
        .transpose()
}

fn value_and_labels(
    point: Option<wire::DataPoint>,
    field: &str,
) -> Result<(f64, Vec<Option<String>>), Trouble> {
    let point = point.unwrap_or_default();
    let value = point.value.ok_or_else(|| not_a_number(field))?;
    Ok((value, point.labels))
}

pub(super) fn stacks(reply: Reply) -> Result<Page<Stack>, Trouble> {
    let list = reply.data.and_then(|data| data.search_stacks);
    let list = list.ok_or_else(|| missing(Collector::Stacks))?;
    page(list, "searchStacks", |node: wire::Stack| {
        let id = node.id.filter(|id| !id.is_empty());
        let id = id.ok_or_else(|| Trouble::shape("searchStacks: a stack has no id"))?;
        let details = node.space_details.unwrap_or_default();
        Ok(Stack {
            id: label(Some(id)),
            state: label(node.state),
            space_name: label(details.name.or_else(|| node.space.clone())),
            space_id: label(details.id.or(node.space)),
        })
    })
}

pub(super) fn entities(reply: Reply) -> Result<Page<Entity>, Trouble> {
    let list = reply.data.and_then(|data| data.search_managed_entities);
    let list = list.ok_or_else(|| missing(Collector::Resources))?;
    page(list, "searchManagedEntities", |node: wire::Entity| {
        let unclear = || Trouble::shape("searchManagedEntities: drifted is missing");
        Ok(Entity {
            id: node.id,
            stack: label(node.stack_id),
            is_drifted: node.is_drifted.0.ok_or_else(unclear)?,
        })
    })
}

fn page<W, T>(
    list: wire::Connection<W>,
    field: &str,
    read: impl Fn(W) -> Result<T, Trouble>,
) -> Result<Page<T>, Trouble> {
    if list.edges.len() > PAGE_ITEMS_MOST {
        return Err(Trouble::shape(format!(
            "{field}: more than {PAGE_ITEMS_MOST} items on a page"
        )));
    }
    let mut items = Vec::with_capacity(list.edges.len());
    for edge in list.edges {
        let node = edge.and_then(|edge| edge.node);
        let node = node.ok_or_else(|| Trouble::shape(format!("{field}: an edge has no node")))?;
        items.push(read(node)?);
    }
    let no_page_info = || Trouble::shape(format!("{field}.pageInfo is missing"));
    let info = list.page_info.ok_or_else(no_page_info)?;
    let next = match info.end_cursor {
        _ if !info.has_next_page => None,
        Some(cursor) if !cursor.is_empty() => Some(cursor),
        _ => {
            return Err(Trouble::shape(format!(
                "{field}.pageInfo names no next page"
            )));
        }
    };
    Ok(Page { items, next })
}

fn missing(collector: Collector) -> Trouble {
    Trouble::shape(format!("{} is missing or null", collector.root()))
}

fn not_a_number(field: &str) -> Trouble {
    Trouble::shape(format!("{field} is no number"))
}

fn label(text: Option<String>) -> String {
    match text {
        None => UNKNOWN.to_owned(),
        Some(text) => cut(&text, LABEL_LIMIT_CHARS).to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn reply(data: &Value) -> Reply {
        let text = json!({"data": data, "extensions": {"unknown": [1]}}).to_string();
        let mut reply: Option<Reply> = None;
        crate::lenient::read(text.as_bytes(), &mut reply).expect("JSON");
        reply.expect("an object")
    }

    fn aggregates_of(field: &str, points: Value) -> Aggregates {
        aggregates(reply(&json!({"metrics": {field: points}}))).expect("understood")
    }

    fn check_counts(points: Value, expected: &[([&str; 3], f64)], has_duplicates: bool) {
        let counts = aggregates_of("stacksCountByState", points).stacks;
        let found = counts.by_labels.iter();
        let found: Vec<_> = found
            .map(|(labels, value)| (labels.each_ref().map(String::as_str), *value))
            .collect();
        assert_eq!(found, expected);
        assert_eq!(counts.has_duplicates, has_duplicates);
    }

    // Contract test 12.
    #[test]
    fn labels_of_a_point_count_by_their_place_and_missing_ones_are_unknown() {
        let check = |labels: Value, expected: [&str; 3]| {
            let points = json!([{"value": 1, "labels": labels}]);
            check_counts(points, &[(expected, 1.0)], false);
        };
        check(json!(["FAILED"]), ["FAILED", "unknown", "unknown"]);
        check(json!(["FAILED", "s"]), ["FAILED", "s", "unknown"]);
        check(json!(["FAILED", "s", "sp", "x"]), ["FAILED", "s", "sp"]);
        check(json!([]), ["unknown", "unknown", "unknown"]);
        check(json!(null), ["unknown", "unknown", "unknown"]);
        check(json!(["FAILED", 7, "sp"]), ["FAILED", "unknown", "sp"]);
    }

    // Contract test 13.
    #[test]
    fn two_points_with_equal_labels_are_added_together() {
        let points = json!([
            {"value": 2, "labels": ["FAILED"]},
            {"value": "3", "labels": ["FAILED"]},
            {"value": 1, "labels": ["NONE"]},
        ]);
        let failed = (["FAILED", "unknown", "unknown"], 5.0);
        let none = (["NONE", "unknown", "unknown"], 1.0);
        check_counts(points, &[failed, none], true);
    }

    // Contract test 11, the meaning of it.
    #[test]
    fn empty_and_null_lists_hold_nothing() {
        for empty in [json!([]), json!(null)] {
            let read = aggregates_of("averageRunDuration", empty.clone());
            assert_eq!((read.average_run_ns, read.stack_size), (None, None));
            check_counts(empty, &[], false);
        }
        let none = pools(reply(&json!({"workerPools": []}))).expect("understood");
        assert!(none.by_labels.is_empty());
    }

    // Contract test 17.
    #[test]
    fn a_pool_whose_workers_are_null_has_none() {
        let pool = json!({"id": "p", "name": "n", "pendingRuns": "4", "workers": null});
        let read = pools(reply(&json!({"workerPools": [pool]}))).expect("understood");
        let expected = Pool {
            pending_runs: 4.0,
            ..Pool::default()
        };
        let labels = ["p".to_owned(), "n".to_owned()];
        assert_eq!(read.by_labels, SortedMap::from([(labels, expected)]));
    }

    // Contract test 19, the reading of it.
    #[test]
    fn large_and_broken_numbers_are_not_rounded() {
        let read = aggregates_of("medianRunDuration", json!([{"value": 187_000_000_000_u64}]));
        assert_eq!(read.median_run_ns, Some(187_000_000_000.0));
        let read = aggregates_of("avgStackSizeByResourceCount", json!([{"value": 7.5}]));
        assert_eq!(read.stack_size, Some(7.5));
    }

    #[test]
    fn a_missing_or_null_root_field_is_a_decode_error() {
        let check = |trouble: Option<Trouble>| {
            let trouble = trouble.expect("a trouble");
            assert_eq!(trouble.outcome, Some(Outcome::DecodeError), "{trouble}");
        };
        for data in [
            json!(null),
            json!({}),
            json!({"usage": null, "workerPools": null}),
        ] {
            check(public_pool(reply(&data)).err());
            check(pools(reply(&data)).err());
            check(usage(reply(&data)).err());
            check(aggregates(reply(&data)).err());
            check(stacks(reply(&data)).err());
            check(entities(reply(&data)).err());
        }
        check(usage(reply(&json!({"usage": {"usedSeats": 1}}))).err());
        check(pools(reply(&json!({"workerPools": [null]}))).err());
        let points = json!({"metrics": {"stacksCountByState": [{"labels": ["X"]}]}});
        check(aggregates(reply(&points)).err());
    }

    #[test]
    fn the_space_of_a_stack_falls_back_to_its_id() {
        let check = |node: Value, name: &str, id: &str| {
            let data = json!({"searchStacks": {"edges": [{"node": node}], "pageInfo": {}}});
            let page = stacks(reply(&data)).expect("understood");
            let stack = &page.items[0];
            assert_eq!((&*stack.space_name, &*stack.space_id), (name, id));
        };
        let details = json!({"id": "i", "name": "n"});
        check(
            json!({"id": "s", "space": "x", "spaceDetails": details}),
            "n",
            "i",
        );
        check(
            json!({"id": "s", "space": "x", "spaceDetails": null}),
            "x",
            "x",
        );
        check(json!({"id": "s"}), "unknown", "unknown");
    }

    #[test]
    fn a_page_without_its_info_or_of_any_size_is_refused() {
        let read = |edges: Value, info: Value| {
            let list = json!({"edges": edges, "pageInfo": info});
            let page = stacks(reply(&json!({"searchStacks": list})));
            page.map(|page| (page.items.len(), page.next))
        };
        let stack = json!({"node": {"id": "s"}});
        let next = json!({"hasNextPage": true, "endCursor": "c1"});
        assert_eq!(
            read(json!([stack]), next.clone()),
            Ok((1, Some("c1".to_owned())))
        );
        assert!(read(json!([stack]), json!(null)).is_err());
        assert!(read(json!([stack]), json!({"hasNextPage": true})).is_err());
        assert!(read(json!([{"node": null}]), next.clone()).is_err());
        assert!(read(json!(vec![stack; 1_001]), next).is_err());
    }

    #[test]
    fn a_resource_is_drifted_unless_the_field_is_null() {
        let read = |node: Value| {
            let data =
                json!({"searchManagedEntities": {"edges": [{"node": node}], "pageInfo": {}}});
            entities(reply(&data)).map(|page| page.items[0].is_drifted)
        };
        assert_eq!(read(json!({"id": "e", "drifted": 1_762_700_000})), Ok(true));
        assert_eq!(read(json!({"id": "e", "drifted": 0})), Ok(true));
        assert_eq!(read(json!({"id": "e", "drifted": null})), Ok(false));
        assert!(read(json!({"id": "e"})).is_err());
    }

    #[test]
    fn a_refused_key_and_a_damaged_token_are_no_token() {
        let read = |user: Value| token(reply(&json!({"apiKeyUser": user}))).map(|token| token.jwt);
        assert_eq!(
            read(json!({"jwt": "a.b", "validUntil": 1})),
            Ok("a.b".to_owned())
        );
        assert!(read(json!(null)).is_err());
        assert!(read(json!({"jwt": "", "validUntil": 1})).is_err());
        assert!(read(json!({"jwt": "a\nb", "validUntil": 1})).is_err());
        assert!(read(json!({"jwt": "a.b"})).is_err());
    }
}
