//! What is known of a page from poll to poll: the last reading, the labels first seen, and what is over since.
//!
//! Pure: [`State::advance`] joins a state and a reading to the next state and says what changed. The cache keeps it
//! as JSON.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::reading::{Component, IncidentLabels, MaintenanceLabels, Reading, Verdict};
use super::words::{ComponentStatus, Impact, Indicator, MaintenanceStatus};
use crate::notify::Event;
use crate::sorted::SortedSet;

/// The last good state of a page.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) indicator: Option<Indicator>,
    pub(super) verdict: Verdict,
    pub(super) components: Vec<Component>,
    pub(super) removed_components: Vec<Removed>,
    pub(super) incidents: Vec<Incident>,
    pub(super) maintenances: Vec<Maintenance>,
    pub(super) page_updated_ms: Option<i64>,
    /// When the last good poll ended.
    pub(super) seen_at_ms: i64,
}

/// A component that the page does not list any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Removed {
    pub(super) name: Box<str>,
    pub(super) gone_at_ms: i64,
}

/// An incident that is active, or was until lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Incident {
    pub(super) id: Box<str>,
    pub(super) labels: IncidentLabels,
    pub(super) impact: Impact,
    pub(super) started_ms: Option<i64>,
    pub(super) updated_ms: Option<i64>,
    /// When it was first missing; none while it is active.
    pub(super) gone_at_ms: Option<i64>,
}

/// A maintenance that is scheduled or under way, or was until lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Maintenance {
    pub(super) id: Box<str>,
    pub(super) labels: MaintenanceLabels,
    pub(super) status: MaintenanceStatus,
    pub(super) start_ms: Option<i64>,
    pub(super) end_ms: Option<i64>,
    /// When it was first missing; none while it is listed.
    pub(super) gone_at_ms: Option<i64>,
}

/// Something that comes, stays and goes under an id, and is shown for a while after it has gone.
trait Tracked {
    fn id(&self) -> &str;
    fn gone_at_ms(&mut self) -> &mut Option<i64>;
}

impl Tracked for Incident {
    fn id(&self) -> &str {
        &self.id
    }

    fn gone_at_ms(&mut self) -> &mut Option<i64> {
        &mut self.gone_at_ms
    }
}

impl Tracked for Maintenance {
    fn id(&self) -> &str {
        &self.id
    }

    fn gone_at_ms(&mut self) -> &mut Option<i64> {
        &mut self.gone_at_ms
    }
}

/// An incident that opened or was resolved with the last reading.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Change {
    pub(super) event: Event,
    pub(super) incident: Incident,
}

impl State {
    /// The state after a reading, and the incidents that opened or were resolved with it.
    ///
    /// What is over is shown for `retention` after the reading that missed it first.
    pub(super) fn advance(
        earlier: Option<State>,
        reading: Reading,
        now: Timestamp,
        retention: Duration,
    ) -> (State, Vec<Change>) {
        let now_ms = now.as_millisecond();
        let earlier = earlier.map(|mut state| {
            state.forget_old(now, retention);
            state
        });
        let (earlier_components, mut removed, incidents, maintenances) = match earlier {
            Some(state) => (
                state.components,
                state.removed_components,
                state.incidents,
                state.maintenances,
            ),
            None => Default::default(),
        };
        let present: SortedSet<&str> = reading
            .components
            .iter()
            .map(|component| &*component.name)
            .collect();
        let missing = earlier_components.into_iter().map(|component| Removed {
            name: component.name,
            gone_at_ms: now_ms,
        });
        removed.extend(missing);
        let mut seen = SortedSet::new();
        removed.retain(|component| {
            !present.contains(&*component.name) && seen.insert(component.name.clone())
        });

        let was_active: SortedSet<Box<str>> = active(&incidents)
            .map(|incident| incident.id.clone())
            .collect();
        let incidents = join(
            incidents,
            reading.incidents.into_iter().map(Incident::from).collect(),
            now_ms,
            |new, old| {
                new.labels = old.labels;
            },
        );
        let changes = changes(&incidents, &was_active);
        let listed = reading
            .maintenances
            .into_iter()
            .map(Maintenance::from)
            .collect();
        let maintenances = join(maintenances, listed, now_ms, |new, old| {
            new.labels = old.labels
        });
        let state = State {
            indicator: reading.indicator,
            verdict: reading.verdict,
            components: reading.components,
            removed_components: removed,
            incidents,
            maintenances,
            page_updated_ms: reading.page_updated_ms,
            seen_at_ms: now_ms,
        };
        (state, changes)
    }

    /// Drops what has been over for `retention`.
    pub(super) fn forget_old(&mut self, now: Timestamp, retention: Duration) {
        let retention_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
        let since = now.as_millisecond().saturating_sub(retention_ms);
        let is_shown =
            |gone_at_ms: Option<i64>| gone_at_ms.is_none_or(|gone_at_ms| gone_at_ms > since);
        self.removed_components
            .retain(|component| is_shown(Some(component.gone_at_ms)));
        self.incidents
            .retain(|incident| is_shown(incident.gone_at_ms));
        self.maintenances
            .retain(|maintenance| is_shown(maintenance.gone_at_ms));
    }

    /// The active incidents.
    pub(super) fn active_incidents(&self) -> impl Iterator<Item = &Incident> {
        active(&self.incidents)
    }

    /// The maintenances that are scheduled or under way.
    pub(super) fn active_maintenances(&self) -> impl Iterator<Item = &Maintenance> {
        self.maintenances
            .iter()
            .filter(|maintenance| maintenance.gone_at_ms.is_none())
    }

    /// Whether the step from `earlier` to this state is worth a write: the verdict, the ids of incidents and
    /// maintenances, or a component changed. Times alone are not.
    pub(super) fn differs_from(&self, earlier: &State) -> bool {
        let statuses = |state: &State| -> SortedSet<(Box<str>, Box<str>, u8)> {
            let components = state.components.iter();
            components
                .map(|component| {
                    (
                        component.id.clone(),
                        component.name.clone(),
                        component.status.component_severity()
                            | u8::from(component.status == ComponentStatus::Unknown) << 7,
                    )
                })
                .collect()
        };
        let incidents = |state: &State| -> SortedSet<Box<str>> {
            state.active_incidents().map(|one| one.id.clone()).collect()
        };
        let maintenances = |state: &State| -> SortedSet<Box<str>> {
            state
                .active_maintenances()
                .map(|one| one.id.clone())
                .collect()
        };
        self.verdict != earlier.verdict
            || self.indicator != earlier.indicator
            || incidents(self) != incidents(earlier)
            || maintenances(self) != maintenances(earlier)
            || statuses(self) != statuses(earlier)
    }
}

fn active(incidents: &[Incident]) -> impl Iterator<Item = &Incident> {
    incidents
        .iter()
        .filter(|incident| incident.gone_at_ms.is_none())
}

/// The listed ones, each with what `keep` takes over from the earlier one of its id, then those that have gone.
fn join<T: Tracked>(
    earlier: Vec<T>,
    listed: Vec<T>,
    now_ms: i64,
    keep: impl Fn(&mut T, T),
) -> Vec<T> {
    let mut joined = listed;
    for mut old in earlier {
        match joined.iter_mut().find(|new| new.id() == old.id()) {
            Some(new) => keep(new, old),
            None => {
                old.gone_at_ms().get_or_insert(now_ms);
                joined.push(old);
            }
        }
    }
    joined
}

fn changes(incidents: &[Incident], was_active: &SortedSet<Box<str>>) -> Vec<Change> {
    let event = |incident: &Incident| match (was_active.contains(&incident.id), incident.gone_at_ms)
    {
        (false, None) => Some(Event::Opened),
        (true, Some(_)) => Some(Event::Resolved),
        _ => None,
    };
    let changed = incidents.iter().filter_map(|incident| {
        Some(Change {
            event: event(incident)?,
            incident: incident.clone(),
        })
    });
    changed.collect()
}

impl From<super::reading::Incident> for Incident {
    fn from(read: super::reading::Incident) -> Incident {
        let super::reading::Incident {
            id,
            labels,
            impact,
            started_ms,
            updated_ms,
        } = read;
        Incident {
            id,
            labels,
            impact,
            started_ms,
            updated_ms,
            gone_at_ms: None,
        }
    }
}

impl From<super::reading::Maintenance> for Maintenance {
    fn from(read: super::reading::Maintenance) -> Maintenance {
        let super::reading::Maintenance {
            id,
            labels,
            status,
            start_ms,
            end_ms,
        } = read;
        Maintenance {
            id,
            labels,
            status,
            start_ms,
            end_ms,
            gone_at_ms: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(24 * 3600);

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + hour * 3600).expect("valid")
    }

    fn reading(incidents: &[(&str, &str)], components: &[&str]) -> Reading {
        let incidents: Vec<_> = incidents
            .iter()
            .map(|(id, name)| serde_json::json!({"id": id, "name": name}))
            .collect();
        let components: Vec<_> = components
            .iter()
            .map(|name| serde_json::json!({"id": name, "name": name, "status": "operational"}))
            .collect();
        let body = serde_json::json!({"status": {"indicator": "none"}, "incidents": incidents, "components": components});
        super::super::reading::read(&body.to_string().as_bytes().into(), "https://p")
            .expect("a summary")
    }

    /// An incident as (id, name, active).
    type Row = (String, String, bool);

    /// Advances and gives the incidents, and the changes as (id, event).
    fn step(
        state: &mut Option<State>,
        read: Reading,
        hour: i64,
        retention: Duration,
    ) -> (Vec<Row>, Vec<(String, Event)>) {
        let (next, changes) = State::advance(state.take(), read, at(hour), retention);
        let shown = next.incidents.iter().map(|one| {
            (
                one.id.to_string(),
                one.labels.name.to_string(),
                one.gone_at_ms.is_none(),
            )
        });
        let changes = changes
            .iter()
            .map(|change| (change.incident.id.to_string(), change.event));
        let result = (shown.collect(), changes.collect());
        *state = Some(next);
        result
    }

    fn row(id: &str, name: &str, is_active: bool) -> Row {
        (id.to_owned(), name.to_owned(), is_active)
    }

    #[test]
    fn an_incident_keeps_its_first_labels_reads_zero_for_a_day_and_is_dropped() {
        let mut state = None;
        assert_eq!(
            step(&mut state, reading(&[("a", "First")], &[]), 0, DAY),
            (
                vec![row("a", "First", true)],
                vec![("a".into(), Event::Opened)]
            )
        );
        assert_eq!(
            step(&mut state, reading(&[("a", "Reworded")], &[]), 1, DAY),
            (vec![row("a", "First", true)], vec![])
        );
        assert_eq!(
            step(&mut state, reading(&[], &[]), 2, DAY),
            (
                vec![row("a", "First", false)],
                vec![("a".into(), Event::Resolved)]
            )
        );
        assert_eq!(
            step(&mut state, reading(&[], &[]), 25, DAY),
            (vec![row("a", "First", false)], vec![])
        );
        assert_eq!(
            step(&mut state, reading(&[], &[]), 26, DAY),
            (vec![], vec![])
        );
    }

    #[test]
    fn an_id_that_comes_back_while_shown_continues_under_its_labels_and_is_announced() {
        let mut state = None;
        step(&mut state, reading(&[("a", "First")], &[]), 0, DAY);
        step(&mut state, reading(&[], &[]), 1, DAY);
        let back = step(&mut state, reading(&[("a", "Again")], &[]), 2, DAY);
        assert_eq!(
            back,
            (
                vec![row("a", "First", true)],
                vec![("a".into(), Event::Opened)]
            )
        );
    }

    #[test]
    fn without_retention_what_is_over_is_shown_until_the_next_poll() {
        let mut state = None;
        step(
            &mut state,
            reading(&[("a", "First")], &[]),
            0,
            Duration::ZERO,
        );
        assert_eq!(
            step(&mut state, reading(&[], &[]), 1, Duration::ZERO).0,
            [row("a", "First", false)]
        );
        assert_eq!(step(&mut state, reading(&[], &[]), 2, Duration::ZERO).0, []);
    }

    #[test]
    fn a_removed_component_is_remembered_until_it_is_old_or_back() {
        let mut state = None;
        step(&mut state, reading(&[], &["x", "y", "x"]), 0, DAY);
        step(&mut state, reading(&[], &["y"]), 1, DAY);
        let removed = |state: &Option<State>| -> Vec<String> {
            state
                .iter()
                .flat_map(|state| &state.removed_components)
                .map(|component| component.name.to_string())
                .collect()
        };
        assert_eq!(removed(&state), ["x"]);
        step(&mut state, reading(&[], &["y", "x"]), 2, DAY);
        assert_eq!(removed(&state), [""; 0]);
        step(&mut state, reading(&[], &["y"]), 3, DAY);
        step(&mut state, reading(&[], &["y"]), 27, DAY);
        assert_eq!(removed(&state), [""; 0]);
    }

    #[test]
    fn only_what_matters_is_worth_a_write() {
        let (one, _) = State::advance(None, reading(&[("a", "First")], &["x"]), at(0), DAY);
        let (same, _) = State::advance(
            Some(one.clone()),
            reading(&[("a", "Reworded")], &["x"]),
            at(1),
            DAY,
        );
        assert!(!same.differs_from(&one));
        let (other, _) = State::advance(
            Some(one.clone()),
            reading(&[("b", "First")], &["x"]),
            at(1),
            DAY,
        );
        assert!(other.differs_from(&one));
        let (other, _) = State::advance(
            Some(one.clone()),
            reading(&[("a", "First")], &["x", "y"]),
            at(1),
            DAY,
        );
        assert!(other.differs_from(&one));
    }

    #[test]
    fn a_state_survives_the_way_through_json() {
        let (state, _) = State::advance(
            None,
            reading(&[("a", "F\u{202e}\"\\\n")], &["x"]),
            at(0),
            DAY,
        );
        let json = serde_json::to_string(&state).expect("it serializes");
        assert_eq!(
            serde_json::from_str::<State>(&json).expect("it parses"),
            state
        );
    }
}
