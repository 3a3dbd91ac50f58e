//! Which sites an account sees: pages put together, lists of organisations joined, and what stays when one fails.
//!
//! It asks through a [`Caller`]; the rules of joining are pure. [`super::account`] takes the result up.

use super::calls::{Caller, PAGE_SIZE, Question};
use super::wire::{self, Organisation, SiteFacts};
use crate::fetch::Failure;
use crate::lenient::FromFields;
use crate::sorted::{SortedMap, SortedSet};

/// Most pages of one list: 20,000 sites, far more than any account has.
const PAGES_LIMIT: usize = 200;
/// The part of an account's sites that are its own, beside those of its organisations by their ids.
const DIRECT: &str = "";

/// A site, and the lists in which it was seen: [`DIRECT`] or ids of organisations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) facts: SiteFacts,
    pub(super) parts: SortedSet<String>,
}

/// What the lists of an account say, and which of them could not be had.
#[derive(Debug, Default)]
pub(super) struct Listing {
    pub(super) sites: SortedMap<String, Found>,
    missing: Missing,
}

#[derive(Debug, Default)]
struct Missing {
    all_organisations: bool,
    organisations: SortedSet<String>,
}

impl Missing {
    fn holds(&self, part: &str) -> bool {
        part != DIRECT && (self.all_organisations || self.organisations.contains(part))
    }
}

impl Listing {
    /// Adds the sites of one list; the first sighting of a site wins.
    fn add(&mut self, sites: Vec<SiteFacts>, part: &str) {
        for facts in sites {
            let id = facts.id.clone();
            let found = self.sites.or_insert_with(id, || Found {
                facts,
                parts: SortedSet::new(),
            });
            found.parts.insert(part.to_owned());
        }
    }

    /// Keeps of the sites known before those that only a list that could not be had would show.
    pub(super) fn keep_missing(&mut self, known: impl Iterator<Item = Found>) {
        for mut site in known {
            site.parts.retain(|part| self.missing.holds(part));
            match self.sites.get_mut(&site.facts.id) {
                Some(found) => found.parts.extend(site.parts),
                None if site.parts.is_empty() => {}
                None => drop(self.sites.insert(site.facts.id.clone(), site)),
            }
        }
    }
}

/// Lists the sites of an account, or only those of one organisation.
///
/// # Errors
/// Why its own list, or that of the one organisation, could not be had. Other lists that fail are only missing.
pub(super) fn list(caller: &mut Caller<'_>, org_id: Option<&str>) -> Result<Listing, Failure> {
    let mut listing = Listing::default();
    if let Some(id) = org_id {
        listing.add(sites_of_organisation(caller, id)?, id);
        return Ok(listing);
    }
    listing.add(all_sites(caller, List::Direct)?, DIRECT);
    let organisations = match all_organisations(caller) {
        Ok(organisations) => organisations,
        Err(failure) => {
            let (account, kind) = (&caller.alias, failure.kind());
            log::warn!(account = account, kind = kind, cause:% = failure; "organisations not listed, keeping the sites known through them");
            listing.missing.all_organisations = true;
            Vec::new()
        }
    };
    for Organisation { id, name } in organisations {
        match sites_of_organisation(caller, &id) {
            Ok(sites) => listing.add(sites, &id),
            Err(failure) => {
                let (account, kind) = (&caller.alias, failure.kind());
                log::warn!(account = account, organisation = name, kind = kind, cause:% = failure; "sites of the organisation not listed, keeping those known through it");
                listing.missing.organisations.insert(id);
            }
        }
    }
    Ok(listing)
}

fn sites_of_organisation(caller: &mut Caller<'_>, id: &str) -> Result<Vec<SiteFacts>, Failure> {
    all_sites(caller, List::OfOrganisation(id))
}

fn all_sites(caller: &mut Caller<'_>, list: List<'_>) -> Result<Vec<SiteFacts>, Failure> {
    let entry = |entry: wire::SiteEntry| (entry.id.clone(), entry.facts());
    all_pages(caller, list, entry)
}

fn all_organisations(caller: &mut Caller<'_>) -> Result<Vec<Organisation>, Failure> {
    let entry = |entry: wire::OrganisationEntry| (entry.id.clone(), entry.facts());
    all_pages(caller, List::Organisations, entry)
}

/// A list that comes in pages.
#[derive(Clone, Copy)]
enum List<'a> {
    Direct,
    Organisations,
    OfOrganisation(&'a str),
}

impl List<'_> {
    fn page<'b>(&'b self, start: Option<&'b str>) -> Question<'b> {
        match self {
            List::Direct => Question::UserSites(start),
            List::Organisations => Question::UserOrganisations(start),
            List::OfOrganisation(id) => Question::OrganisationSites(id, start),
        }
    }
}

/// An entry's own id, and what it holds.
type Entry<T> = (Option<String>, Option<T>);

/// Asks for page after page; `entry` reads one entry.
fn all_pages<W: FromFields + Default, T: Send>(
    caller: &mut Caller<'_>,
    list: List<'_>,
    entry: impl Fn(W) -> Entry<T> + Sync,
) -> Result<Vec<T>, Failure> {
    let mut pages = Pages::default();
    let mut start: Option<String> = None;
    for _ in 0..PAGES_LIMIT {
        let page: Vec<Entry<T>> = caller.ask(list.page(start.as_deref()), |answer| {
            let entries = wire::list::<W>(&answer.body)?;
            Ok(entries.into_iter().map(&entry).collect())
        })?;
        start = pages.add(page);
        if start.is_none() {
            if pages.strange > 0 {
                log::warn!(account = caller.alias, entries = pages.strange; "entries of a list not understood");
            }
            return Ok(pages.found);
        }
    }
    Err(Failure::Shape(format!(
        "a list of more than {PAGES_LIMIT} pages"
    )))
}

/// The pages of one list so far.
struct Pages<T> {
    found: Vec<T>,
    seen: SortedSet<String>,
    /// Entries without what they should hold.
    strange: usize,
}

impl<T> Default for Pages<T> {
    fn default() -> Self {
        Pages {
            found: Vec::new(),
            seen: SortedSet::new(),
            strange: 0,
        }
    }
}

impl<T> Pages<T> {
    /// Adds a page; gives the id after which the next one starts, if there is one.
    fn add(&mut self, page: Vec<Entry<T>>) -> Option<String> {
        let is_full = page.len() >= PAGE_SIZE;
        let mut last = None;
        for (id, value) in page {
            if let Some(id) = &id
                && !self.seen.insert(id.clone())
            {
                // The upstream begins again.
                return None;
            }
            last = id;
            match value {
                Some(value) => self.found.push(value),
                None => self.strange += 1,
            }
        }
        last.filter(|_| is_full)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(ids: std::ops::Range<usize>) -> Vec<Entry<usize>> {
        ids.map(|id| (Some(format!("s{id}")), Some(id))).collect()
    }

    // Contract test 3 (see also the tests of the binary).
    #[test]
    fn a_full_page_is_followed_by_the_one_after_its_last_entry_and_a_short_one_by_none() {
        let mut pages = Pages::default();
        assert_eq!(pages.add(page(0..100)), Some("s99".to_owned()));
        assert_eq!(pages.add(page(100..200)), Some("s199".to_owned()));
        assert_eq!(pages.add(page(200..250)), None);
        assert_eq!(pages.found.len(), 250);
        let mut pages = Pages::default();
        assert_eq!(pages.add(page(0..100)), Some("s99".to_owned()));
        assert_eq!(pages.add(page(0..0)), None);
    }

    // Contract test 4 (see also the tests of the binary).
    #[test]
    fn a_page_that_repeats_an_entry_gives_what_stands_before_it_and_is_the_last() {
        let mut pages = Pages::default();
        pages.add(page(0..100));
        let mut second = page(100..150);
        second.extend(page(0..50));
        assert_eq!(pages.add(second), None);
        assert_eq!(pages.found, (0..150).collect::<Vec<_>>());
    }

    #[test]
    fn a_full_page_whose_last_entry_has_no_id_is_the_last() {
        let mut pages = Pages::default();
        let mut first = page(0..99);
        first.push((None, None));
        assert_eq!(pages.add(first), None);
        assert_eq!((pages.found.len(), pages.strange), (99, 1));
    }

    fn facts(id: &str, plan: &str) -> SiteFacts {
        SiteFacts {
            id: id.to_owned(),
            name: format!("name-{id}"),
            plan: plan.to_owned(),
        }
    }

    fn found(id: &str, parts: &[&str]) -> Found {
        Found {
            facts: facts(id, "old"),
            parts: parts.iter().map(|part| (*part).to_owned()).collect(),
        }
    }

    fn ids(listing: &Listing) -> Vec<&str> {
        listing.sites.keys().map(String::as_str).collect()
    }

    // Contract test 5 (see also the tests of the binary).
    #[test]
    fn a_site_in_several_lists_is_one_site_and_the_first_sighting_wins() {
        let mut listing = Listing::default();
        listing.add(vec![facts("a", "direct")], DIRECT);
        listing.add(vec![facts("a", "other"), facts("b", "other")], "o1");
        assert_eq!(ids(&listing), ["a", "b"]);
        let plan = listing.sites.get("a").map(|site| site.facts.plan.clone());
        assert_eq!(plan.as_deref(), Some("direct"));
    }

    #[test]
    fn sites_known_only_through_a_list_that_failed_are_kept_and_others_are_not() {
        let known = || {
            [
                found("gone", &[DIRECT]),
                found("left", &["o1"]),
                found("kept", &["o2"]),
                found("moved", &[DIRECT, "o2"]),
            ]
            .into_iter()
        };
        let mut listing = Listing::default();
        listing.missing.organisations.insert("o2".to_owned());
        listing.add(vec![facts("a", "")], DIRECT);
        listing.keep_missing(known());
        assert_eq!(ids(&listing), ["a", "kept", "moved"]);

        let mut listing = Listing::default();
        listing.missing.all_organisations = true;
        listing.keep_missing(known());
        assert_eq!(ids(&listing), ["kept", "left", "moved"]);
    }
}
