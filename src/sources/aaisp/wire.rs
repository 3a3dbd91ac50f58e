//! The upstream's JSON: only the members we use, each one optional, lists and single objects alike.
//!
//! Every scalar is kept as the text it was; [`super::reading`] says what it means.

use serde::de::MapAccess;

use crate::lenient::{Element, Elements, FromFields};

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
    members: Vec<(&'static str, Option<String>)>,
    statistics: Vec<(&'static str, Record)>,
}

/// A group of options; some have no `option`.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) option: Elements<ServiceOption>,
}

/// One option of a command, with the values that it may have.
#[derive(Debug, Default)]
pub(super) struct ServiceOption {
    pub(super) name: Option<String>,
    pub(super) choice: Elements<Choice>,
}

/// A value that an option may have.
#[derive(Debug, Default)]
pub(super) struct Choice {
    pub(super) value: Option<String>,
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
        member?.1.as_deref()
    }

    /// The statistics of calls under one of their names.
    pub(super) fn statistics(&self) -> Option<&Record> {
        STATISTICS.iter().find_map(|name| {
            let found = self
                .statistics
                .iter()
                .rev()
                .find(|(known, _)| known == name);
            found.map(|(_, record)| record)
        })
    }
}

impl FromFields for Reply {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "error" => self.error = map.next_value()?,
            "services" => self.services = map.next_value()?,
            "service" => self.service = map.next_value()?,
            "info" => self.info = map.next_value()?,
            "quota" => self.quota = map.next_value()?,
            "options" => self.options = map.next_value()?,
            "rate_card" => self.rate_card = map.next_value()?,
            _ => return self.top.take(key, map),
        }
        Ok(true)
    }
}

impl FromFields for Record {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        let is_same = |known: &&&str| key.eq_ignore_ascii_case(known);
        if let Some(name) = WANTED.iter().chain(&PRICES).find(is_same) {
            let value = scalar(map.next_value::<Element<Record>>()?);
            self.members.push((name, value));
        } else if let Some(name) = STATISTICS.iter().find(is_same) {
            let value: Elements<Record> = map.next_value()?;
            let first = value.into_objects().next();
            self.statistics.extend(first.map(|record| (*name, record)));
        } else {
            return Ok(false);
        }
        Ok(true)
    }
}

fn scalar<T>(element: Element<T>) -> Option<String> {
    match element {
        Element::Text(text) => Some(text),
        _ => None,
    }
}

impl FromFields for Group {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "option" => self.option = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for ServiceOption {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "name" => self.name = scalar(map.next_value::<Element<Choice>>()?),
            "choice" => self.choice = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for Choice {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "value" => self.value = scalar(map.next_value::<Element<Choice>>()?),
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for RateCard {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "codes" => self.codes = map.next_value()?,
            "rates" => self.rates = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for Codes {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "code" => self.code = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for Rates {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "rate" => self.rate = map.next_value()?,
            _ => return Ok(false),
        }
        Ok(true)
    }
}
