//! The upstream's JSON: only the members we use, each one optional, lists and single objects alike.
//!
//! Every scalar is kept as the text it was; [`super::reading`] says what it means.

use crate::lenient::{Elements, Fill, FromFields, Word, from_fields};

/// Members of records that we use. All others are passed over, so that a record has a bounded size.
const WANTED: [&str; 38] = [
    "id",
    "service",
    "login",
    "postcode",
    "tx_rate",
    "rx_rate",
    "tx_rate_adjusted",
    "quota_monthly",
    "quota",
    "quota_remaining",
    "remaining",
    "used",
    "quota_timestamp",
    "type",
    "technology",
    "package",
    "service_type",
    "status",
    "call_forwarding",
    "forwarding",
    "voicemail",
    "voicemail_enabled",
    "currency",
    "active_calls",
    "current_calls",
    "inbound_calls",
    "calls_in",
    "inbound_duration",
    "duration_in",
    "inbound_cost",
    "cost_in",
    "outbound_calls",
    "calls_out",
    "outbound_duration",
    "duration_out",
    "outbound_cost",
    "cost_out",
    "name",
];

/// Members of the price list.
const PRICES: [&str; 6] = [
    "code",
    "rate",
    "peak_ppm",
    "offpeak_ppm",
    "weekend_ppm",
    "min_charge",
];

/// Members that hold the statistics of calls.
const STATISTICS: [&str; 2] = ["call_stats", "statistics"];

/// A whole reply of any command.
#[derive(Debug, Default)]
pub(super) struct Reply {
    pub(super) error: Elements<Record>,
    pub(super) services: Elements<Record>,
    pub(super) service: Elements<Record>,
    pub(super) info: Elements<Record>,
    pub(super) quota: Elements<Record>,
    pub(super) options: Elements<Group>,
    pub(super) rate_card: Elements<RateCard>,
    /// The members of the reply itself.
    pub(super) top: Record,
}

/// An object of scalars.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Record {
    members: Vec<(&'static str, Word)>,
    statistics: Vec<(&'static str, Elements<Record>)>,
}

/// A group of options; some have no `option`.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) option: Elements<ServiceOption>,
}

/// One option of a command, with the values that it may have.
#[derive(Debug, Default)]
pub(super) struct ServiceOption {
    pub(super) name: Word,
    pub(super) choice: Elements<Choice>,
}

/// A value that an option may have.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) value: Word,
}

/// The price list.
#[derive(Debug, Default)]
pub(super) struct RateCard {
    pub(super) codes: Elements<Codes>,
    pub(super) rates: Elements<Rates>,
}

/// The wrapping of the codes.
#[derive(Debug, Default)]
pub(super) struct Codes {
    pub(super) code: Elements<Record>,
}

/// The wrapping of the prices.
#[derive(Debug, Default)]
pub(super) struct Rates {
    pub(super) rate: Elements<Record>,
}

impl Record {
    /// Whether a member is there, whatever it holds.
    pub(super) fn has(&self, name: &str) -> bool {
        self.members.iter().any(|(known, _)| *known == name)
    }

    /// A member's text; none if it is missing, `null`, a list or an object.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        // Of a name that stands there twice the last one counts.
        let member = self.members.iter().rev().find(|(known, _)| *known == name);
        member?.1.0.as_deref()
    }

    /// The statistics of calls under one of their names.
    pub(super) fn statistics(&self) -> Option<&Record> {
        STATISTICS.iter().find_map(|name| {
            let all = self.statistics.iter().rev();
            let mut called_so = all.filter(|(known, _)| known == name);
            called_so.find_map(|(_, records)| records.first_object())
        })
    }
}

impl FromFields for Reply {
    fn field(&mut self, name: &str) -> Option<&mut dyn Fill> {
        match name {
            "error" => Some(&mut self.error),
            "services" => Some(&mut self.services),
            "service" => Some(&mut self.service),
            "info" => Some(&mut self.info),
            "quota" => Some(&mut self.quota),
            "options" => Some(&mut self.options),
            "rate_card" => Some(&mut self.rate_card),
            _ => self.top.field(name),
        }
    }
}

impl FromFields for Record {
    fn field(&mut self, name: &str) -> Option<&mut dyn Fill> {
        let is_same = |known: &&&str| name.eq_ignore_ascii_case(known);
        if let Some(known) = WANTED.iter().chain(&PRICES).find(is_same) {
            self.members.push((known, Word::default()));
            return self
                .members
                .last_mut()
                .map(|(_, value)| value as &mut dyn Fill);
        }
        let known = STATISTICS.iter().find(is_same)?;
        self.statistics.push((known, Elements::default()));
        self.statistics
            .last_mut()
            .map(|(_, records)| records as &mut dyn Fill)
    }
}

from_fields!(Group {
    "option" => option,
});
from_fields!(ServiceOption {
    "name" => name,
    "choice" => choice,
});
from_fields!(Choice {
    "value" => value,
});
from_fields!(RateCard {
    "codes" => codes,
    "rates" => rates,
});
from_fields!(Codes {
    "code" => code,
});
from_fields!(Rates {
    "rate" => rate,
});
