//! The documents that we send: one for each collector, so that one bad field costs no other (contract, section 3.3).

use serde_json::{Value, json};

/// Items of a page of stacks or resources (contract, section 3.4).
const PAGE_ITEMS: u32 = 50;

/// What is asked for: one group of series, which succeeds or fails as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Collector {
    PublicWorkerPool,
    WorkerPools,
    Usage,
    Aggregates,
    /// Every stack by itself, on its own interval.
    Stacks,
    /// Every resource by itself, on its own interval.
    Resources,
}

impl Collector {
    /// In the order in which they are asked.
    pub(super) const ALL: [Collector; 6] = [
        Collector::PublicWorkerPool,
        Collector::WorkerPools,
        Collector::Usage,
        Collector::Aggregates,
        Collector::Stacks,
        Collector::Resources,
    ];

    /// Its name as a label and in the configuration.
    pub(super) fn name(self) -> &'static str {
        match self {
            Collector::PublicWorkerPool => "publicworkerpool",
            Collector::WorkerPools => "workerpools",
            Collector::Usage => "usage",
            Collector::Aggregates => "aggregates",
            Collector::Stacks => "stacks",
            Collector::Resources => "resources",
        }
    }

    /// Whether it is a slow one, asked on the details' interval.
    pub(super) fn is_detail(self) -> bool {
        matches!(self, Collector::Stacks | Collector::Resources)
    }

    /// The root field that its answer must have.
    pub(super) fn root(self) -> &'static str {
        match self {
            Collector::PublicWorkerPool => "publicWorkerPool",
            Collector::WorkerPools => "workerPools",
            Collector::Usage => "usage",
            Collector::Aggregates => "metrics",
            Collector::Stacks => "searchStacks",
            Collector::Resources => "searchManagedEntities",
        }
    }

    fn operation(self) -> &'static str {
        match self {
            Collector::PublicWorkerPool => "PrometheusExporter_PublicWorkerPool",
            Collector::WorkerPools => "PrometheusExporter_WorkerPools",
            Collector::Usage => "PrometheusExporter_Usage",
            Collector::Aggregates => "PrometheusExporter_Aggregates",
            Collector::Stacks => "PrometheusExporter_Stacks",
            Collector::Resources => "PrometheusExporter_Resources",
        }
    }

    fn selection(self) -> &'static str {
        match self {
            Collector::PublicWorkerPool => "{parallelism busyWorkers pendingRuns}",
            Collector::WorkerPools => "{id name pendingRuns busyWorkers workers{id drained}}",
            Collector::Usage => {
                "{billingPeriodStart billingPeriodEnd usedPrivateMinutes usedPublicMinutes usedSeats}"
            }
            Collector::Aggregates => {
                "{stacksCountByState{value labels} resourcesCountByDrift{value labels} \
                 avgStackSizeByResourceCount{value labels} averageRunDuration{value labels} \
                 medianRunDuration{value labels}}"
            }
            Collector::Stacks => {
                "{edges{node{id name state space spaceDetails{id name}}}pageInfo{endCursor hasNextPage}}"
            }
            Collector::Resources => {
                "{edges{node{id drifted stackId}}pageInfo{endCursor hasNextPage}}"
            }
        }
    }
}

/// One request's body, and the `operation` under which the request is counted.
pub(super) struct Question {
    pub(super) operation: &'static str,
    pub(super) body: Vec<u8>,
}

impl Question {
    /// The exchange of the key for a token. Its body holds the secret.
    pub(super) fn token(id: &str, secret: &str) -> Question {
        let document =
            "mutation($id:ID!,$secret:String!){apiKeyUser(id:$id,secret:$secret){jwt validUntil}}";
        let body = json!({"query": document, "variables": {"id": id, "secret": secret}});
        Question::new("token", &body)
    }

    /// What one of the four usual collectors asks.
    pub(super) fn of(collector: Collector) -> Question {
        let (name, root) = (collector.operation(), collector.root());
        let document = format!("query {name}{{{root}{}}}", collector.selection());
        let body = json!({"query": document, "variables": {}, "operationName": name});
        Question::new(collector.name(), &body)
    }

    /// The page of a list that comes after a cursor.
    pub(super) fn page(collector: Collector, after: Option<&str>) -> Question {
        let (name, root) = (collector.operation(), collector.root());
        let selection = collector.selection();
        let document =
            format!("query {name}($input:SearchInput!){{{root}(input:$input){selection}}}");
        let variables = json!({"input": {"first": PAGE_ITEMS, "after": after}});
        let body = json!({"query": document, "variables": variables, "operationName": name});
        Question::new(collector.name(), &body)
    }

    /// Who we are: nobody for an anonymous session.
    pub(super) fn viewer() -> Question {
        let name = "PrometheusExporter_Viewer";
        let document = format!("query {name}{{viewer{{id}}}}");
        let body = json!({"query": document, "variables": {}, "operationName": name});
        Question::new("viewer", &body)
    }

    fn new(operation: &'static str, body: &Value) -> Question {
        let body = body.to_string().into_bytes();
        Question { operation, body }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(question: Question, document: &str) {
        let body: Value = serde_json::from_slice(&question.body).expect("JSON");
        assert_eq!(body["query"], document);
    }

    #[test]
    fn every_collector_asks_for_its_own_root_field_alone() {
        check(
            Question::of(Collector::PublicWorkerPool),
            "query PrometheusExporter_PublicWorkerPool{publicWorkerPool{parallelism busyWorkers pendingRuns}}",
        );
        check(
            Question::page(Collector::Stacks, None),
            "query PrometheusExporter_Stacks($input:SearchInput!){searchStacks(input:$input)\
             {edges{node{id name state space spaceDetails{id name}}}pageInfo{endCursor hasNextPage}}}",
        );
    }
}
