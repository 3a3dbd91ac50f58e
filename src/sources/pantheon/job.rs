//! One job of an account: listing its sites, or fetching the traffic of one. Runs on a thread of its own.
//!
//! [`super::round`] hands jobs out, one at a time an account, and takes up what they learned.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::account::Fetched;
use super::calls::{Api, Caller, Question, Session, looks_like_uuid};
use super::listing::{self, Listing};
use super::wire;
use crate::config::Secret;
use crate::fetch::{Failure, panic_text};

/// What a traffic request asks for: the whole history, or the most recent day.
const LONG: &str = "28d";
const SHORT: &str = "1d";

/// What is to be done.
#[derive(Clone, Debug)]
pub(super) enum Work {
    /// List the sites.
    List {
        /// Only those of this organisation.
        org_id: Option<String>,
        /// Ask who the user is even without a new login.
        is_unnamed: bool,
    },
    /// Fetch the traffic of a site.
    Fetch {
        site_id: String,
        resolved: Option<String>,
        is_long: bool,
    },
}

/// A piece of work and what it needs of its account.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The account's place.
    pub(super) place: usize,
    pub(super) token: Secret,
    /// What the account is called in log lines.
    pub(super) alias: String,
    pub(super) session: Option<Session>,
    pub(super) work: Work,
}

/// What was learned.
#[derive(Debug)]
pub(super) struct Done {
    /// The account's place.
    pub(super) place: usize,
    pub(super) session: Option<Session>,
    /// How the login went, if there was one.
    pub(super) login: Option<Result<(), Failure>>,
    pub(super) learned: Learned,
}

/// The answer to the work.
#[derive(Debug)]
pub(super) enum Learned {
    Listing {
        outcome: Result<Listing, Failure>,
        /// None if it was not asked for, or who-am-i failed.
        email: Option<String>,
        /// Whether who-am-i was asked.
        is_named: bool,
    },
    Fetched(Fetched),
}

impl Job {
    /// Does the work. A panic is a failure of this job and of nothing else.
    pub(super) fn run(self, api: Api<'_>) -> Done {
        let mut caller = Caller {
            api,
            token: self.token,
            alias: self.alias,
            session: self.session,
            login: None,
        };
        let learned = catch_unwind(AssertUnwindSafe(|| self.work.run(&mut caller)));
        let learned = learned.unwrap_or_else(|panic| {
            let failure = Failure::Internal(panic_text(panic.as_ref()));
            self.work.failed(failure)
        });
        Done {
            place: self.place,
            session: caller.session,
            login: caller.login,
            learned,
        }
    }

    /// What there is to tell of a job that could not be begun.
    pub(super) fn failed(self, failure: Failure) -> Done {
        Done {
            place: self.place,
            session: self.session,
            login: None,
            learned: self.work.failed(failure),
        }
    }
}

impl Work {
    fn run(&self, caller: &mut Caller<'_>) -> Learned {
        match self {
            Work::List { org_id, is_unnamed } => list(caller, org_id.as_deref(), *is_unnamed),
            Work::Fetch {
                site_id,
                resolved,
                is_long,
            } => Learned::Fetched(fetch(caller, site_id, resolved.clone(), *is_long)),
        }
    }

    fn failed(&self, failure: Failure) -> Learned {
        match self {
            Work::List { .. } => Learned::Listing {
                outcome: Err(failure),
                email: None,
                is_named: false,
            },
            Work::Fetch {
                site_id, is_long, ..
            } => Learned::Fetched(Fetched {
                site_id: site_id.clone(),
                resolved: None,
                is_long: *is_long,
                outcome: Err(failure),
            }),
        }
    }
}

fn list(caller: &mut Caller<'_>, org_id: Option<&str>, is_unnamed: bool) -> Learned {
    if let Err(failure) = caller.make_ready() {
        return Learned::Listing {
            outcome: Err(failure),
            email: None,
            is_named: false,
        };
    }
    let is_named = is_unnamed || caller.login.is_some();
    let email = is_named.then(|| who_am_i(caller)).flatten();
    Learned::Listing {
        outcome: listing::list(caller, org_id),
        email,
        is_named,
    }
}

/// The user's e-mail. A failure is only a warning: the account has another name.
fn who_am_i(caller: &mut Caller<'_>) -> Option<String> {
    let user = caller.ask(Question::WhoAmI, |answer| {
        wire::object::<wire::User>(&answer.body)
    });
    let account = &caller.alias;
    match user {
        Ok(wire::User { email: Some(email) }) if !email.trim().is_empty() => Some(email),
        Ok(_) => {
            log::warn!(account = account; "user has no e-mail, the label is the end of the token or the last known e-mail");
            None
        }
        Err(failure) => {
            let kind = failure.kind();
            log::warn!(account = account, kind = kind, cause:% = failure; "user not known, the label is the end of the token or the last known e-mail");
            None
        }
    }
}

fn fetch(
    caller: &mut Caller<'_>,
    site_id: &str,
    resolved: Option<String>,
    is_long: bool,
) -> Fetched {
    let mut fetched = Fetched {
        site_id: site_id.to_owned(),
        resolved,
        is_long,
        outcome: Ok(Vec::new()),
    };
    if fetched.resolved.is_none() && !looks_like_uuid(site_id) {
        match resolve(caller, site_id) {
            Ok(id) => fetched.resolved = Some(id),
            Err(failure) => {
                fetched.outcome = Err(failure);
                return fetched;
            }
        }
    }
    let id = fetched.resolved.as_deref().unwrap_or(site_id);
    let duration = if is_long { LONG } else { SHORT };
    fetched.outcome = caller.ask(Question::Traffic(id, duration), |answer| {
        wire::object::<wire::Traffic>(&answer.body)?.days()
    });
    fetched
}

fn resolve(caller: &mut Caller<'_>, name: &str) -> Result<String, Failure> {
    let wire::Resolved { id } = caller.ask(Question::SiteName(name), |answer| {
        wire::object::<wire::Resolved>(&answer.body)
    })?;
    id.filter(|id| !id.is_empty())
        .ok_or_else(|| Failure::Shape("no id for the name of a site".to_owned()))
}
