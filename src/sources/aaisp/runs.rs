//! What each run asks for: the list of lines, their details, their quotas, telephone numbers, prices.
//!
//! One line's failure never costs the others. A run succeeds when its list is known and at least one line worked.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::{Builder, scope};
use std::time::Instant;

use super::Aaisp;
use super::chaos::{CallError, Chaos, Command, ErrorClass};
use super::reading::{self, LineInfo};
use super::state::{Kept, Remark};
use super::tally::Collector;
use super::wire::Reply;
use crate::sorted::SortedMap;

/// Most threads of one run. More than requests may be under way, since a line that waits for its next attempt holds
/// a thread but no slot.
const THREADS_LIMIT: usize = 64;
/// Stack of a thread that asks the upstream: TLS and JSON need up to 192 KB in a debug build.
const STACK_BYTES: usize = 512 * 1024;

/// What `info` answered, by line. None is a line without details.
type Infos = SortedMap<String, Result<Option<LineInfo>, CallError>>;

/// How the lines of one run went.
#[derive(Default)]
struct Verdict {
    has_worked: bool,
    errors: Vec<CallError>,
}

impl Verdict {
    /// Why the run failed, if no line worked: by its credentials only if that is so for every line.
    fn result(self) -> Result<(), CallError> {
        let mut errors = self.errors;
        if self.has_worked || errors.is_empty() {
            return Ok(());
        }
        let other = errors
            .iter()
            .position(|error| error.class != ErrorClass::Auth);
        Err(errors.swap_remove(other.unwrap_or(0)))
    }
}

impl Aaisp {
    /// The medium tier of broadband: discovery, and the details of every line.
    pub(super) fn read_lines(&mut self, chaos: &Chaos<'_>, tick: Instant) -> Result<(), CallError> {
        let collector = Collector::BroadbandInfo;
        let mut infos = self.discover(chaos, collector)?;
        let ids = self.state.line_ids().unwrap_or_default();
        let left: Vec<String> = ids
            .iter()
            .filter(|id| !infos.contains_key(*id))
            .cloned()
            .collect();
        infos.extend(ask_each(
            chaos,
            Command::BROADBAND_INFO,
            &left,
            reading::line_info,
        ));
        let mut verdict = Verdict::default();
        for id in &ids {
            match infos.remove(id) {
                Some(Err(error)) => {
                    self.note_error(collector, Some(id), &error);
                    verdict.errors.push(error);
                }
                Some(Ok(info)) => {
                    self.take_info(id, info, tick);
                    verdict.has_worked = true;
                }
                None => {}
            }
        }
        verdict.result()
    }

    /// The fast tier: the quota of every known line.
    pub(super) fn read_quotas(
        &mut self,
        chaos: &Chaos<'_>,
        tick: Instant,
    ) -> Result<(), CallError> {
        let collector = Collector::BroadbandQuota;
        if self.state.lines.is_none() {
            for (id, info) in self.discover(chaos, collector)? {
                if let Ok(info) = info {
                    self.take_info(&id, info, tick);
                }
            }
        }
        let ids: Vec<String> = self
            .state
            .line_ids()
            .unwrap_or_default()
            .into_iter()
            .collect();
        let mut verdict = Verdict::default();
        for (id, quota) in ask_each(chaos, Command::BROADBAND_QUOTA, &ids, reading::quota) {
            match quota {
                Ok(quota) => {
                    self.tell_oddities(&id, quota.as_ref().map(|quota| &quota.unreadable));
                    if let Some(line) = self.state.line_mut(&id) {
                        line.learn_quota(quota, tick);
                    }
                    verdict.has_worked = true;
                }
                Err(error) if error.is_plain_refusal() && !self.has_had_quota(&id) => {
                    self.say_once(&id, Remark::HasNoQuota);
                    verdict.has_worked = true;
                }
                Err(error) => {
                    self.note_error(collector, Some(&id), &error);
                    verdict.errors.push(error);
                }
            }
        }
        verdict.result()
    }

    /// The medium tier of telephony: the list of numbers and their details.
    pub(super) fn read_numbers(
        &mut self,
        chaos: &Chaos<'_>,
        tick: Instant,
    ) -> Result<(), CallError> {
        let collector = Collector::TelephonyInfo;
        let listed = match chaos.call(Command::TELEPHONY_SERVICES, None) {
            Ok(reply) => reading::ids(reply),
            Err(error) => return self.without_telephony(collector, "collectors.telephony", error),
        };
        self.state.set_numbers(&listed);
        let ids: Vec<String> = listed.into_iter().collect();
        let mut verdict = Verdict::default();
        for (id, info) in ask_each(chaos, Command::TELEPHONY_INFO, &ids, reading::number_info) {
            match info {
                Ok(info) => {
                    self.state.numbers.insert(id, Some(Kept::new(info, tick)));
                    verdict.has_worked = true;
                }
                Err(error) => {
                    self.note_error(collector, Some(&id), &error);
                    verdict.errors.push(error);
                }
            }
        }
        verdict.result()
    }

    /// The slow tier: the price list.
    pub(super) fn read_rate_card(
        &mut self,
        chaos: &Chaos<'_>,
        tick: Instant,
    ) -> Result<(), CallError> {
        match chaos.call(Command::TELEPHONY_RATECARD, None) {
            Ok(reply) => {
                self.state.rate_card = Some(Kept::new(reading::rate_card(reply), tick));
                self.rate_card_read_at = Some(self.parts.clock.now());
                Ok(())
            }
            Err(error) => {
                self.without_telephony(Collector::RateCard, "collectors.telephony_ratecard", error)
            }
        }
    }

    /// A 500 from telephony means that the login has none: no error of ours.
    fn without_telephony(
        &mut self,
        collector: Collector,
        toggle: &str,
        error: CallError,
    ) -> Result<(), CallError> {
        if error.status != Some(500) {
            self.note_error(collector, None, &error);
            return Err(error);
        }
        if self.known_empty.insert(collector) {
            log::warn!(service = self.parts.key, toggle = toggle; "the login seems to have no telephony (HTTP 500); switch the collector off");
        }
        Ok(())
    }

    /// Asks which lines there are, and takes them up. The question for further lines also gives details of a line, or
    /// of all of them with `bulk_info`.
    fn discover(&mut self, chaos: &Chaos<'_>, collector: Collector) -> Result<Infos, CallError> {
        let listed = chaos.call(Command::BROADBAND_SERVICES, None);
        let listed = listed.inspect_err(|error| self.note_error(collector, None, error))?;
        let listed = reading::ids(listed);
        let mut infos = Infos::new();
        match listed.first() {
            None => {
                self.state.only_in_options.clear();
                if self.known_empty.insert(Collector::BroadbandInfo) {
                    log::info!(service = self.parts.key; "the login has no broadband lines");
                }
            }
            Some(first) => {
                self.known_empty.remove(&Collector::BroadbandInfo);
                infos = self.look_up_options(chaos, first);
            }
        }
        let ids = reading::union(listed, &self.state.only_in_options);
        self.state.set_lines(&ids);
        Ok(infos)
    }

    /// Some logins list further lines only in the options of `info`. When that cannot be read, those found earlier
    /// stay.
    fn look_up_options(&mut self, chaos: &Chaos<'_>, first: &str) -> Infos {
        let is_bulk = chaos.caller.settings.bulk_info;
        let asked = (!is_bulk).then_some(first);
        let mut infos = Infos::new();
        match chaos.call(Command::BROADBAND_INFO, asked) {
            Ok(mut reply) => {
                self.state.only_in_options = reading::choices(&mut reply);
                if is_bulk {
                    let of_all = reading::line_infos(reply).into_iter();
                    infos.extend(of_all.map(|(id, info)| (id, Ok(Some(info)))));
                } else {
                    infos.insert(first.to_owned(), Ok(reading::line_info(reply)));
                }
            }
            Err(error) => {
                crate::logging::debug!(service = self.parts.key, kind = error.failure.kind(); "options not read");
                // Lines that a bulk request does not give are asked for one by one.
                if !is_bulk {
                    infos.insert(first.to_owned(), Err(error));
                }
            }
        }
        infos
    }

    fn take_info(&mut self, id: &str, info: Option<LineInfo>, tick: Instant) {
        self.tell_oddities(id, info.as_ref().map(|info| &info.unreadable));
        let is_tunnel = info.as_ref().is_some_and(|info| info.is_tunnel);
        if let Some(line) = self.state.line_mut(id) {
            line.learn_info(info, tick);
        }
        if is_tunnel {
            self.say_once(id, Remark::IsTunnel);
        }
    }

    /// What is not as usual in a good answer, if there is one: no object, or members that cannot be read.
    fn tell_oddities(&self, id: &str, unreadable: Option<&Vec<&'static str>>) {
        let service = &self.parts.key;
        match unreadable {
            None => {
                crate::logging::debug!(service = service, line = id; "the answer holds nothing")
            }
            Some(members) if members.is_empty() => {}
            Some(members) => {
                crate::logging::debug!(service = service, line = id, members = members.join(" "); "members not understood");
            }
        }
    }

    fn has_had_quota(&mut self, id: &str) -> bool {
        self.state
            .line_mut(id)
            .is_some_and(|line| line.has_had_quota())
    }

    fn say_once(&mut self, id: &str, remark: Remark) {
        let is_news = self
            .state
            .line_mut(id)
            .is_some_and(|line| line.is_news(remark));
        if !is_news {
            return;
        }
        let service = &self.parts.key;
        match remark {
            Remark::IsTunnel => {
                log::info!(service = service, line = id; "the line is an L2TP tunnel and has no rates")
            }
            Remark::HasNoQuota => {
                log::info!(service = service, line = id; "the line's package has no quota")
            }
        }
    }
}

/// Sends a command for each service, several at once, begun in their order.
fn ask_each<T: Send>(
    chaos: &Chaos<'_>,
    command: Command,
    ids: &[String],
    read: impl Fn(Reply) -> T + Sync,
) -> Vec<(String, Result<T, CallError>)> {
    let next = AtomicUsize::new(0);
    let answers = Mutex::new(SortedMap::new());
    let work = || {
        while let Some(id) = ids.get(next.fetch_add(1, Ordering::Relaxed)) {
            let answer = chaos.call(command, Some(id)).map(&read);
            let mut answers = answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.insert(id.clone(), answer);
        }
    };
    scope(|scope| {
        for _ in 1..ids.len().min(THREADS_LIMIT) {
            let thread = Builder::new()
                .name("line".to_owned())
                .stack_size(STACK_BYTES);
            // Without a further thread the ones that there are do all of it.
            if thread.spawn_scoped(scope, work).is_err() {
                break;
            }
        }
        work();
    });
    let answers = answers.into_inner().unwrap_or_else(PoisonError::into_inner);
    answers.into_iter().collect()
}
