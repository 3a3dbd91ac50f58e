//! The slow lists: every stack, every resource, page by page, and what is kept of them across a restart.

use serde::{Deserialize, Serialize};

use super::api::Trouble;
use super::reading::{Counts, Entity, Page, Stack, UNKNOWN};
use super::settings::SpaceLabel;
use crate::sorted::{SortedMap, SortedSet};

/// The state of a resource that is not as its stack wants it.
const DRIFTED: &str = "DRIFTED";
/// The state of every other one.
const IN_ORDER: &str = "OK";

/// All stacks, by id.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Stacks {
    /// Unix milliseconds.
    pub(super) fetched_ms: i64,
    by_id: SortedMap<String, StackDetails>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct StackDetails {
    state: String,
    space_id: String,
    space_name: String,
}

/// How many resources are drifted and in order, by stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Resources {
    /// Unix milliseconds.
    pub(super) fetched_ms: i64,
    by_stack: SortedMap<String, Drift>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Drift {
    drifted: u64,
    in_order: u64,
}

/// What is kept on disk: results, the account they belong to, and nothing secret.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct KeptDetails {
    pub(super) endpoint: String,
    pub(super) stacks: Option<Stacks>,
    pub(super) resources: Option<Resources>,
}

impl Stacks {
    pub(super) fn new(fetched_ms: i64, stacks: Vec<Stack>) -> Stacks {
        let details = stacks.into_iter().map(|stack| {
            let details = StackDetails {
                state: stack.state,
                space_id: stack.space_id,
                space_name: stack.space_name,
            };
            (stack.id, details)
        });
        Stacks {
            fetched_ms,
            // A stack that moved to another page meanwhile is listed twice.
            by_id: details.collect(),
        }
    }

    /// One for each stack, by state, stack and space.
    pub(super) fn counts(&self, space: SpaceLabel) -> Counts {
        let mut counts = Counts::default();
        for (id, details) in &self.by_id {
            let labels = [details.state.clone(), id.clone(), details.space(space)];
            counts.by_labels.insert(labels, 1.0);
        }
        counts
    }
}

impl StackDetails {
    fn space(&self, label: SpaceLabel) -> String {
        match label {
            SpaceLabel::Name => self.space_name.clone(),
            SpaceLabel::Id => self.space_id.clone(),
        }
    }
}

impl Resources {
    pub(super) fn new(fetched_ms: i64, entities: Vec<Entity>) -> Resources {
        let mut by_stack: SortedMap<String, Drift> = SortedMap::new();
        let mut seen = SortedSet::new();
        for entity in entities {
            if entity.id.is_some_and(|id| !seen.insert(id)) {
                continue;
            }
            let drift = by_stack.or_default(entity.stack);
            match entity.is_drifted {
                true => drift.drifted += 1,
                false => drift.in_order += 1,
            }
        }
        Resources {
            fetched_ms,
            by_stack,
        }
    }

    /// How many of each stack, by state, stack and space; the space of a stack that is not listed is unknown.
    pub(super) fn counts(&self, stacks: Option<&Stacks>, space: SpaceLabel) -> Counts {
        let mut counts = Counts::default();
        for (stack, drift) in &self.by_stack {
            let details = stacks.and_then(|stacks| stacks.by_id.get(stack));
            let space = details.map_or_else(|| UNKNOWN.to_owned(), |it| it.space(space));
            for (state, count) in [(DRIFTED, drift.drifted), (IN_ORDER, drift.in_order)] {
                if count > 0 {
                    let labels = [state.to_owned(), stack.clone(), space.clone()];
                    counts.by_labels.insert(labels, count as f64);
                }
            }
        }
        counts
    }
}

/// Every item of a list: `ask` gives the page after a cursor.
///
/// # Errors
/// Of a page; and a list that has no end, or too many pages: nothing partial is of use.
pub(super) fn all_pages<T>(
    pages_limit: u32,
    mut ask: impl FnMut(Option<&str>) -> Result<Page<T>, Trouble>,
) -> Result<Vec<T>, Trouble> {
    let mut items = Vec::new();
    let mut cursors: SortedSet<String> = SortedSet::new();
    let mut after: Option<String> = None;
    for _ in 0..pages_limit {
        let page = ask(after.as_deref())?;
        items.extend(page.items);
        let Some(next) = page.next else {
            return Ok(items);
        };
        if !cursors.insert(next.clone()) {
            return Err(Trouble::shape(
                "endCursor is one of an earlier page, a loop",
            ));
        }
        after = Some(next);
    }
    Err(Trouble::shape(format!(
        "more than {pages_limit} pages; raise \"details_max_pages\""
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(items: &[u32], next: Option<&str>) -> Result<Page<u32>, Trouble> {
        Ok(Page {
            items: items.to_vec(),
            next: next.map(str::to_owned),
        })
    }

    // Contract test 21.
    #[test]
    fn pages_are_read_to_the_last_one_and_a_cursor_that_comes_again_ends_it() {
        let good = all_pages(400, |after| match after {
            None => page(&[1, 2], Some("c1")),
            Some("c1") => page(&[3], None),
            Some(other) => panic!("unknown cursor {other}"),
        });
        assert_eq!(good, Ok(vec![1, 2, 3]));
        let mut asked = 0;
        let looping = all_pages(400, |_| {
            asked += 1;
            page(&[1], Some("c1"))
        });
        assert!(looping.is_err());
        assert_eq!(asked, 2);
    }

    #[test]
    fn the_page_limit_is_hard_and_as_many_pages_as_it_says_are_fine() {
        let mut asked = 0;
        let mut endless = |_: Option<&str>| {
            asked += 1;
            page(&[1], Some(&format!("c{asked}")))
        };
        assert!(all_pages(3, &mut endless).is_err());
        assert_eq!(asked, 3);
        assert_eq!(all_pages(1, |_| page(&[7], None)), Ok(vec![7]));
    }

    fn labels(counts: &Counts) -> Vec<([&str; 3], f64)> {
        let counts = counts.by_labels.iter();
        counts
            .map(|(labels, value)| (labels.each_ref().map(String::as_str), *value))
            .collect()
    }

    fn stack(id: &str, state: &str) -> Stack {
        Stack {
            id: id.to_owned(),
            state: state.to_owned(),
            space_id: "platform-01ABC".to_owned(),
            space_name: "platform".to_owned(),
        }
    }

    #[test]
    fn a_stack_that_is_listed_twice_is_shown_once_as_it_was_last() {
        let stacks = Stacks::new(0, vec![stack("a", "NONE"), stack("a", "FAILED")]);
        let by_name = stacks.counts(SpaceLabel::Name);
        assert_eq!(labels(&by_name), [(["FAILED", "a", "platform"], 1.0)]);
        let by_id = stacks.counts(SpaceLabel::Id);
        assert_eq!(labels(&by_id), [(["FAILED", "a", "platform-01ABC"], 1.0)]);
    }

    #[test]
    fn resources_are_counted_by_stack_and_only_what_is_there_is_shown() {
        let entity = |id: &str, stack: &str, is_drifted| Entity {
            id: Some(id.to_owned()),
            stack: stack.to_owned(),
            is_drifted,
        };
        let resources = Resources::new(
            0,
            vec![
                entity("1", "a", true),
                entity("1", "a", true),
                entity("2", "a", false),
                entity("3", "b", false),
            ],
        );
        let stacks = Stacks::new(0, vec![stack("a", "NONE")]);
        let counts = resources.counts(Some(&stacks), SpaceLabel::Name);
        let expected = [
            (["DRIFTED", "a", "platform"], 1.0),
            (["OK", "a", "platform"], 1.0),
            (["OK", "b", "unknown"], 1.0),
        ];
        assert_eq!(labels(&counts), expected);
    }
}
