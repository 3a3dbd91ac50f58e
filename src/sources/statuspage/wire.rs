//! The upstream's JSON, as `summary.json` has it: only the fields we use, every one optional.

use serde::de::MapAccess;

use crate::lenient::{Flag, FromFields, List, Text};

/// The whole answer.
#[derive(Debug, Default)]
pub(super) struct Summary {
    pub(super) page: Page,
    pub(super) status: Status,
    pub(super) components: Option<Vec<crate::lenient::Item<Component>>>,
    pub(super) incidents: Option<Vec<crate::lenient::Item<Incident>>>,
    pub(super) scheduled_maintenances: Option<Vec<crate::lenient::Item<Incident>>>,
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
    pub(super) components: Vec<String>,
}

impl FromFields for Summary {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        match key {
            "page" => {
                self.page = map
                    .next_value::<crate::lenient::Item<Page>>()?
                    .0
                    .unwrap_or_default()
            }
            "status" => {
                self.status = map
                    .next_value::<crate::lenient::Item<Status>>()?
                    .0
                    .unwrap_or_default()
            }
            "components" => self.components = map.next_value::<List<Component>>()?.0,
            "incidents" => self.incidents = map.next_value::<List<Incident>>()?.0,
            "scheduled_maintenances" => {
                self.scheduled_maintenances = map.next_value::<List<Incident>>()?.0
            }
            _ => return Ok(false),
        }
        Ok(true)
    }
}

impl FromFields for Page {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        take_text(map, key, &mut [("updated_at", &mut self.updated_at)])
    }
}

impl FromFields for Status {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        take_text(map, key, &mut [("indicator", &mut self.indicator)])
    }
}

impl FromFields for Component {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        if key == "group" {
            self.is_group = map.next_value::<Flag>()?.0;
            return Ok(true);
        }
        let fields = &mut [
            ("id", &mut self.id),
            ("name", &mut self.name),
            ("status", &mut self.status),
            ("group_id", &mut self.group_id),
        ];
        take_text(map, key, fields)
    }
}

impl FromFields for Incident {
    fn take<'de, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<bool, A::Error> {
        if key == "components" {
            let List(components) = map.next_value::<List<Component>>()?;
            let names = components
                .into_iter()
                .flatten()
                .filter_map(|item| item.0?.name);
            self.components = names.collect();
            return Ok(true);
        }
        let fields = &mut [
            ("id", &mut self.id),
            ("name", &mut self.name),
            ("status", &mut self.status),
            ("impact", &mut self.impact),
            ("shortlink", &mut self.shortlink),
            ("created_at", &mut self.created_at),
            ("started_at", &mut self.started_at),
            ("updated_at", &mut self.updated_at),
            ("resolved_at", &mut self.resolved_at),
            ("scheduled_for", &mut self.scheduled_for),
            ("scheduled_until", &mut self.scheduled_until),
        ];
        take_text(map, key, fields)
    }
}

/// Puts the value into the field named `key`, if that is one of `fields`.
fn take_text<'de, A: MapAccess<'de>>(
    map: &mut A,
    key: &str,
    fields: &mut [(&str, &mut Option<String>)],
) -> Result<bool, A::Error> {
    match fields.iter_mut().find(|(name, _)| *name == key) {
        Some((_, field)) => **field = map.next_value::<Text>()?.0,
        None => return Ok(false),
    }
    Ok(true)
}
