//! The metric families of Pantheon sites, and of the service itself.

use super::account::{Account, Site};
use super::calls::Requests;
use super::settings::{Names, Settings};
use super::traffic::Counts;
use crate::model::{Families, Family, FamilyMeta};

const VISITS: &str = "Visits in the day.";
const PAGES_SERVED: &str = "Pages served in the day.";
const CACHE_HITS: &str = "CDN cache hits in the day.";
const CACHE_MISSES: &str = "CDN cache misses in the day.";

/// A family in the form of the original's readme.
const fn readme(name: &'static str, help: &'static str) -> Family<4> {
    Family::gauge(name, help, ["name", "label", "plan", "account"])
}

/// A family in the form of the original's releases since 0.5.0: gauges, in spite of their names.
const fn v1(name: &'static str, help: &'static str) -> Family<4> {
    Family::gauge(name, help, ["site_id", "site_name", "plan", "account"])
}

static README_VISITS: Family<4> = readme("pantheon_visits", VISITS);
static README_PAGES: Family<4> = readme("pantheon_pages_served", PAGES_SERVED);
static README_HITS: Family<4> = readme("pantheon_cache_hits", CACHE_HITS);
static README_MISSES: Family<4> = readme("pantheon_cache_misses", CACHE_MISSES);
static README_RATIO: Family<4> = readme(
    "pantheon_cache_hit_ratio",
    "Cache hits per page served in the day, percent.",
);
static V1_VISITS: Family<4> = v1("pantheon_visits_total", VISITS);
static V1_PAGES: Family<4> = v1("pantheon_pages_served_total", PAGES_SERVED);
static V1_HITS: Family<4> = v1("pantheon_cache_hits_total", CACHE_HITS);
static V1_MISSES: Family<4> = v1("pantheon_cache_misses_total", CACHE_MISSES);
/// The same name as in the other form, so only one of the two is ever shown.
static V1_RATIO: Family<4> = v1(
    "pantheon_cache_hit_ratio",
    "Cache hits per page served in the day, as a fraction.",
);
static BUILD_INFO: Family<1> = Family::gauge(
    "pantheon_exporter_build_info",
    "Exporter build details, value is always 1.",
    ["version"],
);
static ACCOUNT_UP: Family<1> = Family::gauge(
    "pantheon_exporter_account_up",
    "1 if the account's last login and site listing worked, else 0.",
    ["account"],
);
static SITES: Family<1> = Family::gauge(
    "pantheon_exporter_sites",
    "Sites being monitored.",
    ["account"],
);
static LIST_SUCCESS: Family<1> = Family::gauge(
    "pantheon_exporter_last_site_list_success_timestamp_seconds",
    "When the site list was last refreshed, as Unix time.",
    ["account"],
);
static TRAFFIC_SUCCESS: Family<1> = Family::gauge(
    "pantheon_exporter_last_traffic_success_timestamp_seconds",
    "When a traffic fetch of any site last succeeded, as Unix time.",
    ["account"],
);
static SITE_ERRORS: Family<2> = Family::counter(
    "pantheon_exporter_site_errors_total",
    "Traffic fetches of the site that failed.",
    ["account", "name"],
);
static API_REQUESTS: Family<2> = Family::counter(
    "pantheon_exporter_api_requests_total",
    "Attempts of API calls by endpoint and outcome.",
    ["endpoint", "outcome"],
);
static ZERO_RESPONSES: Family<1> = Family::counter(
    "pantheon_exporter_zero_responses_total",
    "All-zero answers held back by the zero guard.",
    ["account"],
);

/// Every family, in the order of the documentation. The ratio of both forms is one name; its row has the labels of
/// the readme form.
pub(super) fn all() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 17] = [
        README_VISITS.meta(),
        README_PAGES.meta(),
        README_HITS.meta(),
        README_MISSES.meta(),
        README_RATIO.meta(),
        V1_VISITS.meta(),
        V1_PAGES.meta(),
        V1_HITS.meta(),
        V1_MISSES.meta(),
        BUILD_INFO.meta(),
        ACCOUNT_UP.meta(),
        SITES.meta(),
        LIST_SUCCESS.meta(),
        TRAFFIC_SUCCESS.meta(),
        SITE_ERRORS.meta(),
        API_REQUESTS.meta(),
        ZERO_RESPONSES.meta(),
    ];
    &ALL
}

/// Adds everything that is shown of the service.
pub(super) fn add(
    settings: &Settings,
    accounts: &[Account],
    requests: &Requests,
    families: &mut Families,
) {
    families.add(&BUILD_INFO, [crate::VERSION], 1.0);
    for ((endpoint, outcome), count) in requests.counts() {
        families.add(&API_REQUESTS, [endpoint, outcome], count as f64);
    }
    for account in accounts.iter().filter(|account| !account.is_double) {
        if let Some(label) = account.label() {
            add_account(label, account, families);
            for site in account.monitored() {
                add_site(settings, label, site, families);
            }
        }
    }
}

fn add_account(label: &str, account: &Account, families: &mut Families) {
    if let Some(is_up) = account.is_up() {
        families.add(&ACCOUNT_UP, [label], f64::from(u8::from(is_up)));
    }
    if let Some(moment) = account.listed_at {
        families.add(&SITES, [label], account.monitored().count() as f64);
        families.add(&LIST_SUCCESS, [label], moment.as_second() as f64);
    }
    if let Some(moment) = account.traffic_at {
        families.add(&TRAFFIC_SUCCESS, [label], moment.as_second() as f64);
    }
    if account.zero_responses > 0 {
        families.add(&ZERO_RESPONSES, [label], account.zero_responses as f64);
    }
}

fn add_site(settings: &Settings, account: &str, site: &Site, families: &mut Families) {
    let (name, plan) = (site.facts.name.as_str(), site.facts.plan.as_str());
    if site.errors > 0 {
        families.add(&SITE_ERRORS, [account, name], site.errors as f64);
    }
    // In both forms the machine name stands in two labels.
    let labels = [name, name, plan, account];
    for (stamp, counts) in site.traffic.shown(settings.history, settings.latest) {
        for (family, value) in values(settings.names, counts) {
            families.add_at(family, labels, value, stamp);
        }
    }
}

/// The families of a point and their values.
fn values(names: Names, counts: &Counts) -> Vec<(&'static Family<4>, f64)> {
    let percent = counts.hit_percent();
    let mut values = Vec::with_capacity(9);
    if names != Names::V1 {
        values.extend([
            (&README_VISITS, counts.visits),
            (&README_PAGES, counts.pages_served),
            (&README_HITS, counts.cache_hits),
            (&README_MISSES, counts.cache_misses),
            (&README_RATIO, percent),
        ]);
    }
    if names != Names::Readme {
        values.extend([
            (&V1_VISITS, counts.visits),
            (&V1_PAGES, counts.pages_served),
            (&V1_HITS, counts.cache_hits),
            (&V1_MISSES, counts.cache_misses),
        ]);
    }
    if names == Names::V1 {
        values.push((&V1_RATIO, percent / 100.0));
    }
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(form: Names) -> Vec<(&'static str, &'static str)> {
        let values = values(form, &Counts::default());
        values
            .iter()
            .map(|(family, _)| (family.name, family.labels[0]))
            .collect()
    }

    #[test]
    fn both_forms_together_hold_the_ratio_of_the_readme_only() {
        let both = names(Names::Both);
        assert_eq!(both.len(), 9);
        assert!(both.contains(&("pantheon_cache_hit_ratio", "name")));
        assert_eq!(names(Names::Readme).len(), 5);
        let v1 = names(Names::V1);
        assert_eq!(v1.len(), 5);
        assert!(v1.iter().all(|(_, label)| *label == "site_id"));
    }

    #[test]
    fn the_document_has_every_family_with_its_help_and_every_field() {
        let document = std::fs::read_to_string("docs/sources/pantheon.md").unwrap_or_default();
        for family in all().iter().chain([&V1_RATIO.meta()]) {
            let row = document.lines().find(|line| {
                line.contains(&format!("`{}`", family.name)) && line.contains(family.help)
            });
            assert!(row.is_some(), "{}: {}", family.name, family.help);
            for label in family.labels {
                assert!(row.is_some_and(|row| row.contains(label)), "{label}");
            }
        }
        for field in super::super::settings::FIELDS {
            assert!(
                document.contains(&format!("| `{}` |", field.name)),
                "{}",
                field.name
            );
        }
    }

    // Contract test 10.
    #[test]
    fn the_ratio_of_v1_is_the_percent_divided_by_100() {
        let counts = Counts {
            cache_hits: 119.0,
            pages_served: 3081.0,
            ..Counts::default()
        };
        let ratio = |form| {
            values(form, &counts)
                .iter()
                .find(|(family, _)| family.name == "pantheon_cache_hit_ratio")
                .map(|(_, value)| *value)
                .unwrap_or_default()
        };
        assert!((ratio(Names::V1) - 0.0386).abs() < 1e-12);
        assert!((ratio(Names::Both) - 3.86).abs() < 1e-12);
        assert!((ratio(Names::V1) - ratio(Names::Readme) / 100.0).abs() < 1e-12);
    }
}
