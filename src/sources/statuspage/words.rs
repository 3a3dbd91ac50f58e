//! The upstream's words, each list with a place for words that nobody has heard of yet.
//!
//! Compared without regard to case. What a word weighs is the table of the contract, section 3.

use serde::{Deserialize, Serialize};

/// The page's own verdict.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Indicator {
    None,
    Maintenance,
    Minor,
    Major,
    Critical,
    Unknown(Box<str>),
}

impl Indicator {
    /// The words that every page shows a series for, in the order of their weight.
    pub(super) const WORDS: [&'static str; 5] =
        ["none", "maintenance", "minor", "major", "critical"];

    pub(super) fn read(word: &str) -> Indicator {
        match word.to_ascii_lowercase().as_str() {
            "none" => Indicator::None,
            "maintenance" => Indicator::Maintenance,
            "minor" => Indicator::Minor,
            "major" => Indicator::Major,
            "critical" => Indicator::Critical,
            _ => Indicator::Unknown(crate::model::cut(word, super::WORD_LIMIT_CHARS).into()),
        }
    }

    pub(super) fn word(&self) -> &str {
        match self {
            Indicator::None => "none",
            Indicator::Maintenance => "maintenance",
            Indicator::Minor => "minor",
            Indicator::Major => "major",
            Indicator::Critical => "critical",
            Indicator::Unknown(word) => word,
        }
    }

    pub(super) fn severity(&self) -> u8 {
        match self {
            Indicator::None => 0,
            Indicator::Maintenance => 1,
            Indicator::Minor | Indicator::Unknown(_) => 2,
            Indicator::Major => 3,
            Indicator::Critical => 4,
        }
    }
}

/// The state of a component.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ComponentStatus {
    Operational,
    UnderMaintenance,
    DegradedPerformance,
    PartialOutage,
    MajorOutage,
    /// A word that we do not know, or none at all.
    Unknown,
}

impl ComponentStatus {
    pub(super) const ALL: [ComponentStatus; 6] = [
        ComponentStatus::Operational,
        ComponentStatus::UnderMaintenance,
        ComponentStatus::DegradedPerformance,
        ComponentStatus::PartialOutage,
        ComponentStatus::MajorOutage,
        ComponentStatus::Unknown,
    ];

    pub(super) fn read(word: &str) -> ComponentStatus {
        let known = Self::ALL
            .into_iter()
            .find(|status| status.word().eq_ignore_ascii_case(word));
        known.unwrap_or(ComponentStatus::Unknown)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            ComponentStatus::Operational => "operational",
            ComponentStatus::UnderMaintenance => "under_maintenance",
            ComponentStatus::DegradedPerformance => "degraded_performance",
            ComponentStatus::PartialOutage => "partial_outage",
            ComponentStatus::MajorOutage => "major_outage",
            ComponentStatus::Unknown => "unknown",
        }
    }

    /// What it weighs in the verdict on the service, 0 to 3.
    pub(super) fn severity(self) -> u8 {
        match self {
            ComponentStatus::Operational => 0,
            ComponentStatus::UnderMaintenance => 1,
            ComponentStatus::DegradedPerformance
            | ComponentStatus::PartialOutage
            | ComponentStatus::Unknown => 2,
            ComponentStatus::MajorOutage => 3,
        }
    }

    /// The component's own scale, 0 to 4; the value of `statuspage_component_severity`.
    pub(super) fn component_severity(self) -> u8 {
        match self {
            ComponentStatus::Operational => 0,
            ComponentStatus::UnderMaintenance => 1,
            ComponentStatus::DegradedPerformance | ComponentStatus::Unknown => 2,
            ComponentStatus::PartialOutage => 3,
            ComponentStatus::MajorOutage => 4,
        }
    }
}

/// How much an incident hurts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Impact {
    None,
    Minor,
    Major,
    Critical,
    /// A word that we do not know, `maintenance`, or none at all.
    Unknown,
}

impl Impact {
    pub(super) const ALL: [Impact; 5] = [
        Impact::None,
        Impact::Minor,
        Impact::Major,
        Impact::Critical,
        Impact::Unknown,
    ];

    pub(super) fn read(word: &str) -> Impact {
        Self::ALL
            .into_iter()
            .find(|impact| impact.word().eq_ignore_ascii_case(word))
            .unwrap_or(Impact::Unknown)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Impact::None => "none",
            Impact::Minor => "minor",
            Impact::Major => "major",
            Impact::Critical => "critical",
            Impact::Unknown => "unknown",
        }
    }

    pub(super) fn severity(self) -> u8 {
        match self {
            Impact::None => 0,
            Impact::Minor | Impact::Unknown => 2,
            Impact::Major => 3,
            Impact::Critical => 4,
        }
    }
}

/// How far a maintenance is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum MaintenanceStatus {
    Scheduled,
    InProgress,
    Verifying,
    /// A word that we do not know, or none at all.
    Unknown,
}

impl MaintenanceStatus {
    pub(super) const ALL: [MaintenanceStatus; 4] = [
        MaintenanceStatus::Scheduled,
        MaintenanceStatus::InProgress,
        MaintenanceStatus::Verifying,
        MaintenanceStatus::Unknown,
    ];

    pub(super) fn read(word: &str) -> MaintenanceStatus {
        let known = Self::ALL
            .into_iter()
            .find(|status| status.word().eq_ignore_ascii_case(word));
        known.unwrap_or(MaintenanceStatus::Unknown)
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            MaintenanceStatus::Scheduled => "scheduled",
            MaintenanceStatus::InProgress => "in_progress",
            MaintenanceStatus::Verifying => "verifying",
            MaintenanceStatus::Unknown => "unknown",
        }
    }

    pub(super) fn is_under_way(self) -> bool {
        matches!(
            self,
            MaintenanceStatus::InProgress | MaintenanceStatus::Verifying
        )
    }
}

/// Words of an incident that is over; it is not shown as active.
pub(super) const INCIDENT_OVER: [&str; 3] = ["resolved", "completed", "postmortem"];
/// Words of an incident that is not.
pub(super) const INCIDENT_OPEN: [&str; 3] = ["investigating", "identified", "monitoring"];
/// Words of a maintenance that is over.
pub(super) const MAINTENANCE_OVER: [&str; 2] = ["completed", "cancelled"];

/// Whether `word` is one of `words`, without regard to case.
pub(super) fn is_one_of(word: &str, words: &[&str]) -> bool {
    words.iter().any(|known| known.eq_ignore_ascii_case(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_without_regard_to_case_and_new_ones_are_never_good() {
        assert_eq!(Indicator::read("None").severity(), 0);
        assert_eq!(
            Indicator::read("fantastic"),
            Indicator::Unknown("fantastic".into())
        );
        assert_eq!(Indicator::read("fantastic").severity(), 2);
        assert_eq!(ComponentStatus::read("OPERATIONAL").severity(), 0);
        assert_eq!(ComponentStatus::read("full_outage").severity(), 2);
        assert_eq!(ComponentStatus::read("").component_severity(), 2);
        assert_eq!(Impact::read("maintenance").severity(), 2);
        assert_eq!(
            MaintenanceStatus::read("IN_PROGRESS"),
            MaintenanceStatus::InProgress
        );
    }
}
