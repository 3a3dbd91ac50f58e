//! Every metric family of a status page, and how a state becomes their samples.
//!
//! Names, labels and values are fixed by the contract, section 4.

use super::reading::{Component, FIELDS, Standing};
use super::state::State;
use super::words::{ComponentStatus, Impact, Indicator, MaintenanceStatus};
use super::{Scale, Shown};
use crate::history::WINDOWS;
use crate::model::{Families, Family, FamilyMeta};
use crate::sorted::SortedMap;

static SERVICE_STATUS: Family<1> = Family::gauge(
    "statuspage_service_status",
    "1 while the service is operational, else 0 (scale ternary: 0 maintenance, -1 anything else).",
    ["service_name"],
);
static RESPONSE_TIME: Family<1> = Family::gauge(
    "statuspage_response_time_seconds",
    "Duration of the last request to the status page, 0 when it got no good answer.",
    ["service_name"],
);
static INCIDENT_INFO: Family<7> = Family::gauge(
    "statuspage_incident_info",
    "1 while the incident is active, 0 once it is resolved.",
    [
        "service_name",
        "incident_id",
        "incident_name",
        "impact",
        "shortlink",
        "started_at",
        "affected_components",
    ],
);
static MAINTENANCE_INFO: Family<7> = Family::gauge(
    "statuspage_maintenance_info",
    "1 while the maintenance is scheduled or under way, 0 once it is completed.",
    [
        "service_name",
        "maintenance_id",
        "maintenance_name",
        "scheduled_start",
        "scheduled_end",
        "shortlink",
        "affected_components",
    ],
);
static COMPONENT_STATUS: Family<2> = Family::gauge(
    "statuspage_component_status",
    "1 while the component is operational, else 0 (scale ternary: 0 maintenance, -1 anything else); the worst of those with one name.",
    ["service_name", "component_name"],
);
static COMPONENT_TIMESTAMP: Family<2> = Family::gauge(
    "statuspage_component_timestamp",
    "Unix milliseconds of the last good poll that saw the component.",
    ["service_name", "component_name"],
);
static PROBE_CHECK: Family<1> = Family::gauge(
    "statuspage_probe_check",
    "1 if every query of the last poll succeeded, else 0.",
    ["service_name"],
);
static APPLICATION_TIMESTAMP: Family<1> = Family::gauge(
    "statuspage_application_timestamp",
    "Unix milliseconds of the last good poll.",
    ["service_name"],
);
static UPTIME: Family<2> = Family::gauge(
    "statuspage_uptime_percentage",
    "Share of the recorded samples with an operational service, in percent.",
    ["service_name", "window"],
);
static SERVICE_SEVERITY: Family<1> = Family::gauge(
    "statuspage_service_severity",
    "Worst of the page and all its parts: 0 none, 1 maintenance, 2 minor, 3 major, 4 critical.",
    ["service_name"],
);
static SERVICE_INDICATOR: Family<2> = Family::gauge(
    "statuspage_service_indicator",
    "1 for the word that the page gives as its own verdict, 0 for the others.",
    ["service_name", "indicator"],
);
static COMPONENT_SEVERITY: Family<4> = Family::gauge(
    "statuspage_component_severity",
    "0 operational, 1 under maintenance, 2 degraded performance or unknown, 3 partial outage, 4 major outage.",
    [
        "service_name",
        "component_id",
        "component_name",
        "group_name",
    ],
);
static COMPONENTS: Family<2> = Family::gauge(
    "statuspage_components",
    "Components in each status, groups left out.",
    ["service_name", "status"],
);
static NAME_COLLISIONS: Family<1> = Family::gauge(
    "statuspage_component_name_collisions",
    "Components whose name another component of the page bears too, groups left out.",
    ["service_name"],
);
static UNKNOWN_VALUES: Family<2> = Family::counter(
    "statuspage_unknown_values_total",
    "Words and items in the answers of the page that were not understood.",
    ["service_name", "field"],
);
static ACTIVE_INCIDENTS: Family<2> = Family::gauge(
    "statuspage_active_incidents",
    "Active incidents of each impact.",
    ["service_name", "impact"],
);
static ACTIVE_MAINTENANCES: Family<2> = Family::gauge(
    "statuspage_active_maintenances",
    "Maintenances in each status.",
    ["service_name", "status"],
);
static INCIDENT_STARTED: Family<2> = Family::gauge(
    "statuspage_incident_started_timestamp_seconds",
    "When the active incident began, as Unix time.",
    ["service_name", "incident_id"],
);
static INCIDENT_UPDATED: Family<2> = Family::gauge(
    "statuspage_incident_updated_timestamp_seconds",
    "When the active incident was last updated, as Unix time.",
    ["service_name", "incident_id"],
);
static MAINTENANCE_START: Family<2> = Family::gauge(
    "statuspage_maintenance_start_timestamp_seconds",
    "When the maintenance begins, as the page says now, as Unix time.",
    ["service_name", "maintenance_id"],
);
static MAINTENANCE_END: Family<2> = Family::gauge(
    "statuspage_maintenance_end_timestamp_seconds",
    "When the maintenance ends, as the page says now, as Unix time.",
    ["service_name", "maintenance_id"],
);
static PAGE_UPDATED: Family<1> = Family::gauge(
    "statuspage_page_updated_timestamp_seconds",
    "When the page was last changed by its owner, as Unix time.",
    ["service_name"],
);
static SERVING_CACHED: Family<1> = Family::gauge(
    "statuspage_serving_cached",
    "1 while the shown data is of an earlier poll because the last one failed.",
    ["service_name"],
);

/// Every family, in the order of the documentation.
pub(super) fn all() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 23] = [
        SERVICE_STATUS.meta(),
        RESPONSE_TIME.meta(),
        INCIDENT_INFO.meta(),
        MAINTENANCE_INFO.meta(),
        COMPONENT_STATUS.meta(),
        COMPONENT_TIMESTAMP.meta(),
        PROBE_CHECK.meta(),
        APPLICATION_TIMESTAMP.meta(),
        UPTIME.meta(),
        SERVICE_SEVERITY.meta(),
        SERVICE_INDICATOR.meta(),
        COMPONENT_SEVERITY.meta(),
        COMPONENTS.meta(),
        NAME_COLLISIONS.meta(),
        UNKNOWN_VALUES.meta(),
        ACTIVE_INCIDENTS.meta(),
        ACTIVE_MAINTENANCES.meta(),
        INCIDENT_STARTED.meta(),
        INCIDENT_UPDATED.meta(),
        MAINTENANCE_START.meta(),
        MAINTENANCE_END.meta(),
        PAGE_UPDATED.meta(),
        SERVING_CACHED.meta(),
    ];
    &ALL
}

/// Adds everything that is shown of the service.
pub(super) fn add(shown: &Shown<'_>, families: &mut Families) {
    add_poll(shown, families);
    if let Some(state) = shown.state {
        add_service(shown, state, families);
        add_incidents(shown.name, state, families);
        add_maintenances(shown.name, state, families);
        add_components(shown, state, families);
        for (field, count) in FIELDS.iter().zip(shown.not_understood) {
            families.add(&UNKNOWN_VALUES, [shown.name, field], *count as f64);
        }
    }
}

/// How the last poll went; nothing before the first one unless there is a state from the cache.
fn add_poll(shown: &Shown<'_>, families: &mut Families) {
    let name = shown.name;
    if shown.state.is_none() && shown.was_good.is_none() {
        return;
    }
    let was_good = shown.was_good == Some(true);
    families.add(&PROBE_CHECK, [name], truth(was_good));
    families.add(
        &RESPONSE_TIME,
        [name],
        if was_good {
            shown.response_time.as_secs_f64()
        } else {
            0.0
        },
    );
    if shown.state.is_some() {
        families.add(&SERVING_CACHED, [name], truth(!was_good));
    }
}

fn add_service(shown: &Shown<'_>, state: &State, families: &mut Families) {
    let name = shown.name;
    families.add(
        &SERVICE_STATUS,
        [name],
        standing_value(state.verdict.standing, shown.scale),
    );
    families.add(&SERVICE_SEVERITY, [name], f64::from(state.verdict.severity));
    families.add(&APPLICATION_TIMESTAMP, [name], state.seen_at_ms as f64);
    let present = state.indicator.as_ref().map(Indicator::word);
    for word in Indicator::WORDS {
        families.add(
            &SERVICE_INDICATOR,
            [name, word],
            truth(present == Some(word)),
        );
    }
    if let Some(Indicator::Unknown(word)) = &state.indicator {
        families.add(&SERVICE_INDICATOR, [name, word], 1.0);
    }
    if let Some(ms) = state.page_updated_ms {
        families.add(&PAGE_UPDATED, [name], seconds(ms));
    }
    for ((window, _), share) in WINDOWS.iter().zip(shown.uptime) {
        if let Some(share) = share {
            families.add(&UPTIME, [name, window], share);
        }
    }
}

fn add_incidents(name: &str, state: &State, families: &mut Families) {
    for incident in &state.incidents {
        let labels = &incident.labels;
        let values = [
            name,
            &incident.id,
            &labels.name,
            &labels.impact,
            &labels.shortlink,
            &labels.started_at,
            &labels.affected_components,
        ];
        families.add(&INCIDENT_INFO, values, truth(incident.gone_at_ms.is_none()));
    }
    if state.active_incidents().next().is_none() {
        families.add(
            &INCIDENT_INFO,
            [
                name,
                "none",
                "No Active Incidents",
                "none",
                "N/A",
                "N/A",
                "N/A",
            ],
            0.0,
        );
    }
    for impact in Impact::ALL {
        let count = state
            .active_incidents()
            .filter(|incident| incident.impact == impact)
            .count();
        families.add(&ACTIVE_INCIDENTS, [name, impact.word()], count as f64);
    }
    for incident in state.active_incidents() {
        let times = [
            (&INCIDENT_STARTED, incident.started_ms),
            (&INCIDENT_UPDATED, incident.updated_ms),
        ];
        add_times([name, &incident.id], times, families);
    }
}

fn add_maintenances(name: &str, state: &State, families: &mut Families) {
    for maintenance in &state.maintenances {
        let labels = &maintenance.labels;
        let values = [
            name,
            &maintenance.id,
            &labels.name,
            &labels.scheduled_start,
            &labels.scheduled_end,
            &labels.shortlink,
            &labels.affected_components,
        ];
        families.add(
            &MAINTENANCE_INFO,
            values,
            truth(maintenance.gone_at_ms.is_none()),
        );
    }
    if state.active_maintenances().next().is_none() {
        families.add(
            &MAINTENANCE_INFO,
            [
                name,
                "none",
                "No Active Maintenance",
                "N/A",
                "N/A",
                "N/A",
                "N/A",
            ],
            0.0,
        );
    }
    for status in MaintenanceStatus::ALL {
        let count = state
            .active_maintenances()
            .filter(|maintenance| maintenance.status == status)
            .count();
        families.add(&ACTIVE_MAINTENANCES, [name, status.word()], count as f64);
    }
    for maintenance in state.active_maintenances() {
        let times = [
            (&MAINTENANCE_START, maintenance.start_ms),
            (&MAINTENANCE_END, maintenance.end_ms),
        ];
        add_times([name, &maintenance.id], times, families);
    }
}

fn add_times(
    labels: [&str; 2],
    times: [(&'static Family<2>, Option<i64>); 2],
    families: &mut Families,
) {
    for (family, ms) in times {
        if let Some(ms) = ms {
            families.add(family, labels, seconds(ms));
        }
    }
}

fn add_components(shown: &Shown<'_>, state: &State, families: &mut Families) {
    let name = shown.name;
    let status_by_name = worst(&state.components, |component| &*component.name);
    for (component, status) in &status_by_name {
        families.add(
            &COMPONENT_STATUS,
            [name, component],
            component_value(*status, shown.scale),
        );
        families.add(
            &COMPONENT_TIMESTAMP,
            [name, component],
            state.seen_at_ms as f64,
        );
    }
    for removed in &state.removed_components {
        families.add(&COMPONENT_STATUS, [name, &removed.name], 0.0);
    }
    for ((id, component, group), status) in worst(&state.components, Component::identity) {
        families.add(
            &COMPONENT_SEVERITY,
            [name, id, component, group],
            f64::from(status.component_severity()),
        );
    }
    let leaves = || {
        state
            .components
            .iter()
            .filter(|component| !component.is_group)
    };
    for status in ComponentStatus::ALL {
        let count = leaves()
            .filter(|component| component.status == status)
            .count();
        families.add(&COMPONENTS, [name, status.word()], count as f64);
    }
    let mut bearers: SortedMap<&str, usize> = SortedMap::new();
    leaves().for_each(|component| *bearers.or_default(&component.name) += 1);
    let collisions: usize = bearers.values().filter(|count| **count > 1).sum();
    families.add(&NAME_COLLISIONS, [name], collisions as f64);
}

/// The worst status of the components that share a `key`.
fn worst<'a, K: Ord>(
    components: &'a [Component],
    key: impl Fn(&'a Component) -> K,
) -> SortedMap<K, ComponentStatus> {
    let mut worst: SortedMap<K, ComponentStatus> = SortedMap::new();
    for component in components {
        let status = worst.or_insert_with(key(component), || component.status);
        if component.status.component_severity() > status.component_severity() {
            *status = component.status;
        }
    }
    worst
}

fn truth(is_so: bool) -> f64 {
    if is_so { 1.0 } else { 0.0 }
}

fn seconds(ms: i64) -> f64 {
    ms as f64 / 1000.0
}

fn standing_value(standing: Standing, scale: Scale) -> f64 {
    match (standing, scale) {
        (Standing::Operational, _) => 1.0,
        (Standing::Maintenance, _) | (Standing::Trouble, Scale::Binary) => 0.0,
        (Standing::Trouble, Scale::Ternary) => -1.0,
    }
}

fn component_value(status: ComponentStatus, scale: Scale) -> f64 {
    standing_value(
        match status {
            ComponentStatus::Operational => Standing::Operational,
            ComponentStatus::UnderMaintenance => Standing::Maintenance,
            _ => Standing::Trouble,
        },
        scale,
    )
}
