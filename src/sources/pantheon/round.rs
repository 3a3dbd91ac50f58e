//! One poll: jobs handed out, each to a thread of its account, answers taken up and shown as they come.
//!
//! The state is changed here only, by the thread of the poll; the threads of the accounts know nothing of it.

use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{Builder, Scope};
use std::time::{Duration, Instant};

use super::Pantheon;
use super::calls::Api;
use super::job::{Done, Job, Learned};
use crate::fetch::Failure;
use crate::sources::Poll;

/// Stack of a thread that asks the upstream: TLS and JSON need up to 192 KB in a debug build.
const STACK_BYTES: usize = 512 * 1024;
/// Publishing takes no more than one part in so many of the time: the page of a thousand sites takes a while.
const PUBLISHING_SHARE: u32 = 10;
/// A poll that lasts so long ends as soon as it can, so that its end is told; what is still due waits for the next.
const POLL_LIMIT: Duration = Duration::from_secs(60);
/// The coordinator looks around at least this often while it waits for an answer.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Pantheon {
    /// Does what is due, until nothing is and every answer is in.
    pub(super) fn work(&mut self, poll: &mut Poll<'_>) {
        let (settings, requests) = (Arc::clone(&self.settings), Arc::clone(&self.requests));
        let clock = Arc::clone(&self.parts.clock);
        let api = Api {
            upstream: poll.upstream,
            clock: &*clock,
            requests: &requests,
            base: &settings.api_base,
            environment: &settings.environment,
        };
        let begun = clock.instant();
        let mut publishing = Publishing {
            not_before: begun,
            is_behind: false,
        };
        std::thread::scope(|scope| {
            let (sender, receiver) = mpsc::channel();
            loop {
                while let Some(job) = self.due_job(begun + POLL_LIMIT) {
                    start(scope, api, job, &sender);
                }
                if !self.is_busy() {
                    return;
                }
                let done = self.wait(&receiver, &publishing);
                let is_news = done.is_some() || publishing.is_behind;
                done.into_iter().for_each(|done| self.take_in(done));
                if is_news {
                    publishing.publish(self, poll);
                }
            }
        });
    }

    /// The next job, its account marked as busy; none when nothing is due now, or the process stops.
    fn due_job(&mut self, poll_end: Instant) -> Option<Job> {
        self.parts.clock.pause(Duration::ZERO).ok()?;
        let now = self.parts.clock.instant();
        self.refresh_lists(now);
        let (place, work) = self.next_job(now, poll_end)?;
        let account = self.accounts.get_mut(place)?;
        account.busy_since = Some(now);
        Some(Job {
            place,
            token: account.token.clone(),
            alias: account.alias.clone(),
            session: account.session.clone(),
            work,
        })
    }

    /// The next answer, unless something else is due before it comes.
    fn wait(&self, receiver: &Receiver<Done>, publishing: &Publishing) -> Option<Done> {
        let now = self.parts.clock.instant();
        // What is due now and was not handed out waits for one of the answers.
        let due = Some(self.next_due()).filter(|due| *due > now);
        let publish = publishing.is_behind.then_some(publishing.not_before);
        let first = due.into_iter().chain(publish).min();
        let wait = first.map_or(LONGEST_WAIT, |moment| moment.saturating_duration_since(now));
        receiver.recv_timeout(wait.min(LONGEST_WAIT)).ok()
    }

    /// Takes up what a job learned.
    fn take_in(&mut self, done: Done) {
        let (guard, now) = (self.settings.zero_guard, self.parts.clock.now());
        let Some(account) = self.accounts.get_mut(done.place) else {
            return;
        };
        (account.busy_since, account.session) = (None, done.session);
        let login_failed = account.take_login(done.login);
        self.is_unsaved = true;
        match done.learned {
            Learned::Listing {
                outcome,
                email,
                is_named,
            } => {
                account.email = email.or(account.email.take());
                account.is_named |= is_named;
                account.take_listing(outcome, login_failed, now);
                self.is_save_urgent = true;
            }
            Learned::Fetched(fetched) => {
                self.is_save_urgent |= account.take_fetched(fetched, login_failed, guard, now);
            }
        }
        self.choose_sites();
    }

    /// What the health of the service is made of: every account, and sites where an account has none that works.
    pub(super) fn outcome(&self) -> Result<(), Failure> {
        let of_accounts = self.accounts.iter().filter_map(|account| {
            let of_sites = || {
                let mut failures = account.monitored().map(|site| site.failure.as_ref());
                let first = failures.next()??;
                failures.all(|failure| failure.is_some()).then_some(first)
            };
            account.failure.as_ref().or_else(of_sites)
        });
        let mut failures = self.tokens_failure.iter().chain(of_accounts);
        failures.next().cloned().map_or(Ok(()), Err)
    }
}

/// Hands a job to a thread that sends back what it learned, come what may.
fn start<'scope>(
    scope: &'scope Scope<'scope, '_>,
    api: Api<'scope>,
    job: Job,
    sender: &Sender<Done>,
) {
    let (answers, unstarted) = (sender.clone(), job.clone());
    let thread = Builder::new()
        .name("account".to_owned())
        .stack_size(STACK_BYTES);
    // The receiver lives until all jobs have ended.
    let run = move || drop(answers.send(job.run(api)));
    if let Err(cause) = thread.spawn_scoped(scope, run) {
        let failure = Failure::Internal(format!("no thread for the account: {cause}"));
        drop(sender.send(unstarted.failed(failure)));
    }
}

/// Publishes after every answer, but not so often that it takes most of the time.
struct Publishing {
    not_before: Instant,
    is_behind: bool,
}

impl Publishing {
    fn publish(&mut self, pantheon: &Pantheon, poll: &mut Poll<'_>) {
        let clock = &pantheon.parts.clock;
        let begun = clock.instant();
        self.is_behind = begun < self.not_before;
        if !self.is_behind {
            (poll.publish)(pantheon);
            let ended = clock.instant();
            let took = ended.saturating_duration_since(begun);
            self.not_before = ended + took * (PUBLISHING_SHARE - 1);
        }
    }
}
