//! The upstream's JSON, as `summary.json` has it: only the fields we use, every one optional.

use crate::lenient::from_fields;

/// The whole answer.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) page: Option<Page>,
    pub(super) status: Option<Status>,
    pub(super) components: Option<Vec<Option<Component>>>,
    pub(super) incidents: Option<Vec<Option<Incident>>>,
    pub(super) scheduled_maintenances: Option<Vec<Option<Incident>>>,
}

#[derive(Debug, Default)]
pub(super) struct Page {
    pub(super) updated_at: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Status {
    pub(super) indicator: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Component {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) group_id: Option<String>,
    pub(super) is_group: bool,
}

/// An incident, or a maintenance, which has two fields more.
#[derive(Debug, Default)]
pub(super) struct Incident {
    pub(super) id: Option<String>,
    pub(super) name: Option<String>,
    pub(super) status: Option<String>,
    pub(super) impact: Option<String>,
    pub(super) shortlink: Option<String>,
    pub(super) created_at: Option<String>,
    pub(super) started_at: Option<String>,
    pub(super) updated_at: Option<String>,
    pub(super) resolved_at: Option<String>,
    pub(super) scheduled_for: Option<String>,
    pub(super) scheduled_until: Option<String>,
    pub(super) components: Vec<Option<Component>>,
}

from_fields!(Summary {
    "page" => page,
    "status" => status,
    "components" => components,
    "incidents" => incidents,
    "scheduled_maintenances" => scheduled_maintenances,
});
from_fields!(Page {
    "updated_at" => updated_at,
});
from_fields!(Status {
    "indicator" => indicator,
});
from_fields!(Component {
    "id" => id,
    "name" => name,
    "status" => status,
    "group_id" => group_id,
    "group" => is_group,
});
from_fields!(Incident {
    "id" => id,
    "name" => name,
    "status" => status,
    "impact" => impact,
    "shortlink" => shortlink,
    "created_at" => created_at,
    "started_at" => started_at,
    "updated_at" => updated_at,
    "resolved_at" => resolved_at,
    "scheduled_for" => scheduled_for,
    "scheduled_until" => scheduled_until,
    "components" => components,
});
