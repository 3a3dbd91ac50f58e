//! The upstream's JSON: only the fields we ask for, every one optional, of all questions in one envelope.

use serde::de::{IgnoredAny, MapAccess};

use crate::lenient::{Flag, FromFields, Item, List, Numeral, Text, Texts};

/// A reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) data: Option<Data>,
    /// None and an empty list both mean that nothing is wrong.
    pub(super) errors: Vec<Item<GraphqlError>>,
}

/// The root fields of all our questions; none where the field is missing, null or no object (no list).
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) api_key_user: Option<ApiKeyUser>,
    pub(super) viewer: Option<Viewer>,
    pub(super) public_worker_pool: Option<PublicWorkerPool>,
    pub(super) worker_pools: Option<Vec<Item<WorkerPool>>>,
    pub(super) usage: Option<Usage>,
    pub(super) metrics: Option<Metrics>,
    pub(super) search_stacks: Option<Connection<Stack>>,
    pub(super) search_managed_entities: Option<Connection<Entity>>,
}

#[derive(Debug, Default)]
pub(super) struct GraphqlError {
    pub(super) message: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct ApiKeyUser {
    pub(super) jwt: Option<String>,
    /// Unix seconds.
    pub(super) valid_until: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Viewer;

#[derive(Debug, Default)]
pub(super) struct PublicWorkerPool {
    pub(super) parallelism: Option<f64>,
    pub(super) busy_workers: Option<f64>,
    pub(super) pending_runs: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct WorkerPool {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) pending_runs: Option<f64>,
    pub(super) busy_workers: Option<f64>,
    pub(super) workers: Vec<Item<WorkerFields>>,
}

#[derive(Debug, Default)]
pub(super) struct WorkerFields {
    pub(super) is_drained: bool,
}

#[derive(Debug, Default)]
pub(super) struct Usage {
    pub(super) billing_period_start: Option<f64>,
    pub(super) billing_period_end: Option<f64>,
    pub(super) used_private_minutes: Option<f64>,
    pub(super) used_public_minutes: Option<f64>,
    pub(super) used_seats: Option<f64>,
}

#[derive(Debug, Default)]
pub(super) struct Metrics {
    pub(super) stacks_count_by_state: Vec<Item<DataPoint>>,
    pub(super) resources_count_by_drift: Vec<Item<DataPoint>>,
    pub(super) avg_stack_size_by_resource_count: Vec<Item<DataPoint>>,
    pub(super) average_run_duration: Vec<Item<DataPoint>>,
    pub(super) median_run_duration: Vec<Item<DataPoint>>,
}

#[derive(Debug, Default)]
pub(super) struct DataPoint {
    pub(super) value: Option<f64>,
    pub(super) labels: Vec<Text>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Connection<T> {
    pub(super) edges: Vec<Item<Edge<T>>>,
    pub(super) page_info: Option<PageInfo>,
}

#[derive(Debug)]
pub(super) struct Edge<T> {
    pub(super) node: Option<T>,
}

#[derive(Debug, Default)]
pub(super) struct PageInfo {
    pub(super) end_cursor: Option<String>,
    pub(super) has_next_page: bool,
}

#[derive(Debug, Default)]
pub(super) struct Stack {
    pub(super) id: Option<String>,
    pub(super) state: Option<String>,
    pub(super) space: Option<String>,
    pub(super) space_details: Option<SpaceDetails>,
}

#[derive(Debug, Default)]
pub(super) struct SpaceDetails {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Entity {
    pub(super) id: Option<String>,
    /// Whether `drifted` is not null; none where the field is missing.
    pub(super) is_drifted: Option<bool>,
    pub(super) stack_id: Option<String>,
}

impl<T> Default for Connection<T> {
    fn default() -> Self {
        Connection {
            edges: Vec::new(),
            page_info: None,
        }
    }
}

impl<T> Default for Edge<T> {
    fn default() -> Self {
        Edge { node: None }
    }
}

fn object<'de, T: FromFields, A: MapAccess<'de>>(map: &mut A) -> Result<Option<T>, A::Error> {
    Ok(map.next_value::<Item<T>>()?.0)
}

/// A list; null and what is no list is an empty one.
fn list<'de, T: FromFields, A: MapAccess<'de>>(map: &mut A) -> Result<Vec<Item<T>>, A::Error> {
    Ok(map.next_value::<List<T>>()?.0.unwrap_or_default())
}

fn text<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<String>, A::Error> {
    Ok(map.next_value::<Text>()?.0)
}

fn number<'de, A: MapAccess<'de>>(map: &mut A) -> Result<Option<f64>, A::Error> {
    Ok(map.next_value::<Numeral>()?.0)
}

/// The fields of an object: name in the JSON, field, how it is read.
macro_rules! fields {
    ($object:ident $(<$of:ident>)? { $($key:literal => $field:ident: $read:expr,)* }) => {
        impl $(<$of: FromFields>)? FromFields for $object $(<$of>)? {
            fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
                match key {
                    $($key => self.$field = $read(map)?,)*
                    _ => return Ok(false),
                }
                Ok(true)
            }
        }
    };
}

fields!(Reply {
    "data" => data: object,
    "errors" => errors: list,
});
fields!(Data {
    "apiKeyUser" => api_key_user: object,
    "viewer" => viewer: object,
    "publicWorkerPool" => public_worker_pool: object,
    "workerPools" => worker_pools: |map: &mut A| Ok(map.next_value::<List<WorkerPool>>()?.0),
    "usage" => usage: object,
    "metrics" => metrics: object,
    "searchStacks" => search_stacks: object,
    "searchManagedEntities" => search_managed_entities: object,
});
fields!(GraphqlError {
    "message" => message: text,
});
fields!(ApiKeyUser {
    "jwt" => jwt: text,
    "validUntil" => valid_until: number,
});
fields!(PublicWorkerPool {
    "parallelism" => parallelism: number,
    "busyWorkers" => busy_workers: number,
    "pendingRuns" => pending_runs: number,
});
fields!(WorkerPool {
    "id" => id: text,
    "name" => name: text,
    "pendingRuns" => pending_runs: number,
    "busyWorkers" => busy_workers: number,
    "workers" => workers: list,
});
fields!(WorkerFields {
    "drained" => is_drained: |map: &mut A| Ok(map.next_value::<Flag>()?.0),
});
fields!(Usage {
    "billingPeriodStart" => billing_period_start: number,
    "billingPeriodEnd" => billing_period_end: number,
    "usedPrivateMinutes" => used_private_minutes: number,
    "usedPublicMinutes" => used_public_minutes: number,
    "usedSeats" => used_seats: number,
});
fields!(Metrics {
    "stacksCountByState" => stacks_count_by_state: list,
    "resourcesCountByDrift" => resources_count_by_drift: list,
    "avgStackSizeByResourceCount" => avg_stack_size_by_resource_count: list,
    "averageRunDuration" => average_run_duration: list,
    "medianRunDuration" => median_run_duration: list,
});
fields!(DataPoint {
    "value" => value: number,
    "labels" => labels: |map: &mut A| Ok(map.next_value::<Texts>()?.0.unwrap_or_default()),
});
fields!(Connection<T> {
    "edges" => edges: list,
    "pageInfo" => page_info: object,
});
fields!(Edge<T> {
    "node" => node: object,
});
fields!(PageInfo {
    "endCursor" => end_cursor: text,
    "hasNextPage" => has_next_page: |map: &mut A| Ok(map.next_value::<Flag>()?.0),
});
fields!(Stack {
    "id" => id: text,
    "state" => state: text,
    "space" => space: text,
    "spaceDetails" => space_details: object,
});
fields!(SpaceDetails {
    "id" => id: text,
    "name" => name: text,
});
fields!(Entity {
    "id" => id: text,
    "drifted" => is_drifted: |map: &mut A| Ok(Some(map.next_value::<Option<IgnoredAny>>()?.is_some())),
    "stackId" => stack_id: text,
});

impl FromFields for Viewer {
    fn take<'de, A: MapAccess<'de>>(&mut self, _: &str, _: &mut A) -> Result<bool, A::Error> {
        Ok(false)
    }
}
