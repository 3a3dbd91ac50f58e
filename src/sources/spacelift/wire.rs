//! The upstream's JSON: only the fields we ask for, every one optional, of all questions in one envelope.

use crate::lenient::{Fill, FromFields, Presence, from_fields};

/// A reply.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) data: Option<Data>,
    /// None and an empty list both mean that nothing is wrong.
    pub(super) errors: Vec<Option<GraphqlError>>,
}

/// The root fields of all our questions; none where the field is missing, null or no object (no list).
#[derive(Debug, Default)]
pub(super) struct Data {
    pub(super) api_key_user: Option<ApiKeyUser>,
    pub(super) viewer: Option<Viewer>,
    pub(super) public_worker_pool: Option<PublicWorkerPool>,
    pub(super) worker_pools: Option<Vec<Option<WorkerPool>>>,
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
    pub(super) workers: Vec<Option<WorkerFields>>,
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
    pub(super) stacks_count_by_state: Vec<Option<DataPoint>>,
    pub(super) resources_count_by_drift: Vec<Option<DataPoint>>,
    pub(super) avg_stack_size_by_resource_count: Vec<Option<DataPoint>>,
    pub(super) average_run_duration: Vec<Option<DataPoint>>,
    pub(super) median_run_duration: Vec<Option<DataPoint>>,
}

#[derive(Debug, Default)]
pub(super) struct DataPoint {
    pub(super) value: Option<f64>,
    pub(super) labels: Vec<Option<String>>,
}

/// A page of a list.
#[derive(Debug)]
pub(super) struct Connection<T> {
    pub(super) edges: Vec<Option<Edge<T>>>,
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
    /// Whether `drifted` is not null.
    pub(super) is_drifted: Presence,
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

from_fields!(Reply {
    "data" => data,
    "errors" => errors,
});
from_fields!(Data {
    "apiKeyUser" => api_key_user,
    "viewer" => viewer,
    "publicWorkerPool" => public_worker_pool,
    "workerPools" => worker_pools,
    "usage" => usage,
    "metrics" => metrics,
    "searchStacks" => search_stacks,
    "searchManagedEntities" => search_managed_entities,
});
from_fields!(GraphqlError {
    "message" => message,
});
from_fields!(ApiKeyUser {
    "jwt" => jwt,
    "validUntil" => valid_until,
});
from_fields!(PublicWorkerPool {
    "parallelism" => parallelism,
    "busyWorkers" => busy_workers,
    "pendingRuns" => pending_runs,
});
from_fields!(WorkerPool {
    "id" => id,
    "name" => name,
    "pendingRuns" => pending_runs,
    "busyWorkers" => busy_workers,
    "workers" => workers,
});
from_fields!(WorkerFields {
    "drained" => is_drained,
});
from_fields!(Usage {
    "billingPeriodStart" => billing_period_start,
    "billingPeriodEnd" => billing_period_end,
    "usedPrivateMinutes" => used_private_minutes,
    "usedPublicMinutes" => used_public_minutes,
    "usedSeats" => used_seats,
});
from_fields!(Metrics {
    "stacksCountByState" => stacks_count_by_state,
    "resourcesCountByDrift" => resources_count_by_drift,
    "avgStackSizeByResourceCount" => avg_stack_size_by_resource_count,
    "averageRunDuration" => average_run_duration,
    "medianRunDuration" => median_run_duration,
});
from_fields!(DataPoint {
    "value" => value,
    "labels" => labels,
});
impl<T: FromFields + Default> FromFields for Connection<T> {
    fn field(&mut self, name: &str) -> Option<&mut dyn Fill> {
        match name {
            "edges" => Some(&mut self.edges),
            "pageInfo" => Some(&mut self.page_info),
            _ => None,
        }
    }
}
impl<T: FromFields + Default> FromFields for Edge<T> {
    fn field(&mut self, name: &str) -> Option<&mut dyn Fill> {
        match name {
            "node" => Some(&mut self.node),
            _ => None,
        }
    }
}
from_fields!(PageInfo {
    "endCursor" => end_cursor,
    "hasNextPage" => has_next_page,
});
from_fields!(Stack {
    "id" => id,
    "state" => state,
    "space" => space,
    "spaceDetails" => space_details,
});
from_fields!(SpaceDetails {
    "id" => id,
    "name" => name,
});
from_fields!(Entity {
    "id" => id,
    "drifted" => is_drifted,
    "stackId" => stack_id,
});
from_fields!(Viewer {});
