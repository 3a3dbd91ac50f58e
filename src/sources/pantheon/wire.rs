//! The upstream's JSON: only the fields we use, every one optional.
//!
//! What stands for nothing here (an entry without a site, a point without a time) is left to the callers to count.

use crate::fetch::{Body, Failure};
use crate::lenient::{Fill, FromFields, Scalar, from_fields};

/// The answer to a login.
#[derive(Debug, Default)]
pub(super) struct Login {
    pub(super) session: Option<String>,
    pub(super) user_id: Option<String>,
    /// Unix seconds.
    pub(super) expires_at: Option<f64>,
}

/// The answer to who-am-i.
#[derive(Debug, Default)]
pub(super) struct User {
    pub(super) email: Option<String>,
}

/// The answer that gives a name's id.
#[derive(Debug, Default)]
pub(super) struct Resolved {
    pub(super) id: Option<String>,
}

/// An entry of a list of sites: a membership with its site, or the bare site.
#[derive(Debug, Default)]
pub(super) struct SiteEntry {
    pub(super) id: Option<String>,
    name: Option<String>,
    plan_name: Option<String>,
    site: Option<SiteObject>,
}

#[derive(Debug, Default)]
struct SiteObject {
    id: Option<String>,
    name: Option<String>,
    plan_name: Option<String>,
}

/// What we want to know of a site.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SiteFacts {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) plan: String,
}

impl SiteEntry {
    /// The site, if the entry holds one with id and name.
    pub(super) fn facts(self) -> Option<SiteFacts> {
        let site = self.site.unwrap_or(SiteObject {
            id: None,
            name: self.name,
            plan_name: self.plan_name,
        });
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Some(SiteFacts {
            // The membership's own id is that of the site.
            id: filled(site.id).or(filled(self.id))?,
            name: filled(site.name)?,
            plan: site.plan_name.unwrap_or_default(),
        })
    }
}

/// An entry of the list of organisations.
#[derive(Debug, Default)]
pub(super) struct OrganisationEntry {
    pub(super) id: Option<String>,
    organization: Option<OrganisationObject>,
}

#[derive(Debug, Default)]
struct OrganisationObject {
    id: Option<String>,
    profile: Option<Profile>,
}

#[derive(Debug, Default)]
struct Profile {
    name: Option<String>,
}

/// An organisation: its id, and its name for log lines.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Organisation {
    pub(super) id: String,
    pub(super) name: String,
}

impl OrganisationEntry {
    /// The organisation, if the entry holds one.
    pub(super) fn facts(self) -> Option<Organisation> {
        let object = self.organization?;
        let id = object.id.or(self.id).filter(|id| !id.is_empty())?;
        let name = object.profile.and_then(|profile| profile.name);
        let name = name.unwrap_or_else(|| id.clone());
        Some(Organisation { id, name })
    }
}

/// The answer with a site's traffic.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    timeseries: Timeseries,
}

/// The days of a site as they stand in the answer.
#[derive(Debug, Default)]
enum Timeseries {
    /// No such field, or null.
    #[default]
    Missing,
    /// Something else than a list.
    NoList,
    /// One that is no object is none.
    Days(Vec<Option<Day>>),
}

/// One day of a site.
#[derive(Debug, Default)]
pub(super) struct Day {
    pub(super) timestamp: Option<f64>,
    pub(super) visits: Option<f64>,
    pub(super) pages_served: Option<f64>,
    pub(super) cache_hits: Option<f64>,
    pub(super) cache_misses: Option<f64>,
}

impl Traffic {
    /// The days in the order of the answer; none at all for a missing or empty list.
    pub(super) fn days(self) -> Result<Vec<Day>, Failure> {
        match self.timeseries {
            Timeseries::Missing => Ok(Vec::new()),
            Timeseries::NoList => Err(Failure::Shape("\"timeseries\" is no list".to_owned())),
            Timeseries::Days(days) => Ok(days.into_iter().flatten().collect()),
        }
    }
}

/// The body as an object.
pub(super) fn object<T: FromFields + Default>(body: &Body) -> Result<T, Failure> {
    let object: Option<T> = body.json()?;
    object.ok_or_else(|| Failure::Shape("no object".to_owned()))
}

/// The body as a list; what is no object in it comes as an empty one.
pub(super) fn list<T: FromFields + Default>(body: &Body) -> Result<Vec<T>, Failure> {
    let items: Option<Vec<Option<T>>> = body.json()?;
    let items = items.ok_or_else(|| Failure::Shape("no list".to_owned()))?;
    Ok(items.into_iter().map(Option::unwrap_or_default).collect())
}

from_fields!(Login {
    "session" => session,
    "user_id" => user_id,
    "expires_at" => expires_at,
});
from_fields!(User {
    "email" => email,
});
from_fields!(Resolved {
    "id" => id,
});
from_fields!(SiteEntry {
    "id" => id,
    "name" => name,
    "plan_name" => plan_name,
    "site" => site,
});
from_fields!(SiteObject {
    "id" => id,
    "name" => name,
    "plan_name" => plan_name,
});
from_fields!(OrganisationEntry {
    "id" => id,
    "organization" => organization,
});
from_fields!(OrganisationObject {
    "id" => id,
    "profile" => profile,
});
from_fields!(Profile {
    "name" => name,
});
from_fields!(Day {
    "timestamp" => timestamp,
    "visits" => visits,
    "pages_served" => pages_served,
    "cache_hits" => cache_hits,
    "cache_misses" => cache_misses,
});
from_fields!(Traffic {
    "timeseries" => timeseries,
});

impl Fill for Timeseries {
    fn nothing(&mut self) {
        *self = Timeseries::Missing;
    }

    fn scalar(&mut self, _: Scalar<'_>) {
        *self = Timeseries::NoList;
    }

    fn object(&mut self) -> Option<&mut dyn FromFields> {
        *self = Timeseries::NoList;
        None
    }

    fn list(&mut self) -> bool {
        *self = Timeseries::Days(Vec::new());
        true
    }

    fn item(&mut self) -> Option<&mut dyn Fill> {
        match self {
            Timeseries::Days(days) => days.item(),
            _ => None,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    fn sites(json: &str) -> Vec<Option<SiteFacts>> {
        let entries = list::<SiteEntry>(&Body::from(json.as_bytes())).unwrap();
        entries.into_iter().map(SiteEntry::facts).collect()
    }

    #[test]
    fn an_entry_is_a_membership_or_a_bare_site_and_anything_else_is_none() {
        let found = sites(
            r#"[{"id":"1","site":{"id":"1","name":"a","plan_name":"Basic","upstream":{"url":"u"},"frozen":null}},
                {"id":"2","site":{"name":"b","upstream":"text"}},
                {"id":"3","name":"c","plan_name":null},
                {"id":"4"}, 7, {"site":{"id":"5"}}]"#,
        );
        let names: Vec<_> = found
            .iter()
            .map(|site| {
                site.as_ref()
                    .map(|site| (&*site.id, &*site.name, &*site.plan))
            })
            .collect();
        let expected = [
            Some(("1", "a", "Basic")),
            Some(("2", "b", "")),
            Some(("3", "c", "")),
            None,
            None,
            None,
        ];
        assert_eq!(names, expected);
    }

    #[test]
    fn an_organisation_is_called_by_its_name_or_else_by_its_id() {
        let body = r#"[{"id":"o1","role":"admin","organization":{"id":"o1","profile":{"name":"Acme","logo":{"size":"7"}}}},
                       {"id":"o2","organization":{"id":"o2","profile":{}}}, {"id":"o3"}]"#;
        let entries = list::<OrganisationEntry>(&Body::from(body.as_bytes())).unwrap();
        let names: Vec<_> = entries
            .into_iter()
            .map(|entry| entry.facts().map(|organisation| organisation.name))
            .collect();
        assert_eq!(
            names,
            [Some("Acme".to_owned()), Some("o2".to_owned()), None]
        );
    }

    #[test]
    fn a_missing_series_is_empty_and_one_of_another_form_is_a_failure() {
        let days = |json: &str| {
            let traffic = object::<Traffic>(&Body::from(json.as_bytes()))?;
            traffic.days().map(|days| days.len())
        };
        assert_eq!(
            days(r#"{"timeseries":[{"timestamp":1},{"timestamp":2}]}"#),
            Ok(2)
        );
        assert_eq!(days(r#"{"timeseries":null,"other":1}"#), Ok(0));
        assert_eq!(days("{}"), Ok(0));
        assert_eq!(days(r#"{"timeseries":7}"#).unwrap_err().kind(), "shape");
        assert_eq!(days("[]").unwrap_err().kind(), "shape");
        assert_eq!(days("<html>").unwrap_err().kind(), "json");
    }

    #[test]
    fn null_in_the_place_of_a_list_of_sites_never_reads_as_no_sites() {
        let read = list::<SiteEntry>(&Body::from(b"null".as_slice()));
        assert_eq!(read.unwrap_err().kind(), "shape");
    }
}
