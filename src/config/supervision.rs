//! What systemd, or whoever starts the process as it does, says in the environment.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use super::problem::Problem;
use super::settings::Given;

/// Most sockets that may be passed; a few addresses are usual.
const SOCKETS_LIMIT: u64 = 64;

/// Where the state is reported, how often, and which sockets were passed. See sd_notify(3) and sd_listen_fds(3).
#[derive(Clone, Debug, Default)]
pub struct Supervision {
    /// The socket that takes reports: a path, or an abstract name behind `@`.
    pub notify_socket: Option<String>,
    /// Longest time between two signs of life.
    pub watchdog: Option<Duration>,
    /// The names of the listening sockets that were passed, from descriptor 3 on.
    pub sockets: Vec<String>,
}

impl Supervision {
    /// What is meant for the process `own_id`, and not for one that it was started by.
    pub(super) fn read(given: &Given, own_id: u32, problems: &mut Vec<Problem>) -> Supervision {
        let mut number = |name: &str, most: u64| {
            let text = given.variable(name)?;
            let number = text.parse().ok().filter(|number| *number <= most);
            if number.is_none() {
                let what = [
                    name,
                    ": is no number that a supervisor sets here (not shown)",
                ];
                problems.push(Problem::new(what.concat()));
            }
            number
        };
        let own_id = Some(u64::from(own_id));
        let watchdog_us = number("WATCHDOG_USEC", u64::MAX).filter(|time_us| *time_us > 0);
        let watched = number("WATCHDOG_PID", u64::MAX).or(own_id);
        let count = number("LISTEN_FDS", SOCKETS_LIMIT).unwrap_or(0);
        let is_passed = number("LISTEN_PID", u64::MAX) == own_id;
        let mut names = given
            .variable("LISTEN_FDNAMES")
            .unwrap_or_default()
            .split(':');
        let mut sockets = Vec::new();
        for _ in 0..if is_passed { count } else { 0 } {
            sockets.push(names.next().unwrap_or_default().to_owned());
        }
        Supervision {
            notify_socket: given.variable("NOTIFY_SOCKET").map(str::to_owned),
            watchdog: watchdog_us
                .filter(|_| watched == own_id)
                .map(Duration::from_micros),
            sockets,
        }
    }
}

/// Whether standard error goes to the journal, by the value of `JOURNAL_STREAM`: device and inode of the stream. The
/// variable alone does not say it, since the stream may lead elsewhere by now.
pub fn is_journal(stream: Option<&str>) -> bool {
    let Some((device, inode)) = stream.and_then(|stream| stream.split_once(':')) else {
        return false;
    };
    let own = std::io::stderr().as_fd().try_clone_to_owned();
    let found = own.and_then(|own| std::fs::File::from(own).metadata());
    found.is_ok_and(|found| device.parse() == Ok(found.dev()) && inode.parse() == Ok(found.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(variables: &[(&str, &str)]) -> (Supervision, Vec<String>) {
        let mut problems = Vec::new();
        let variables = variables
            .iter()
            .map(|(name, value)| (name.into(), value.into()));
        let (_, given) = Given::read([], variables, &mut problems);
        let found = Supervision::read(&given, 7, &mut problems);
        (found, problems.iter().map(Problem::to_string).collect())
    }

    #[test]
    fn what_is_meant_for_another_process_is_not_taken() {
        let (found, _) = check(&[
            ("WATCHDOG_USEC", "60000000"),
            ("WATCHDOG_PID", "8"),
            ("LISTEN_FDS", "2"),
            ("LISTEN_PID", "8"),
        ]);
        assert_eq!((found.watchdog, found.sockets.len()), (None, 0));
        let (found, _) = check(&[("LISTEN_FDS", "2")]);
        assert_eq!(found.sockets.len(), 0, "without LISTEN_PID");
    }

    #[test]
    fn the_watchdog_counts_without_a_process_id_and_sockets_have_names_as_far_as_given() {
        let (found, problems) = check(&[
            ("WATCHDOG_USEC", "60000000"),
            ("LISTEN_FDS", "3"),
            ("LISTEN_PID", "7"),
            ("LISTEN_FDNAMES", "metrics:second"),
            ("NOTIFY_SOCKET", "@abstract"),
        ]);
        assert_eq!(found.watchdog, Some(Duration::from_secs(60)));
        assert_eq!(found.sockets, ["metrics", "second", ""]);
        assert_eq!(found.notify_socket.as_deref(), Some("@abstract"));
        assert_eq!(problems, [""; 0]);
    }

    #[test]
    fn nonsense_is_a_mistake_rather_than_ignored() {
        let (_, problems) = check(&[("WATCHDOG_USEC", "soon"), ("LISTEN_FDS", "65")]);
        assert_eq!(problems.len(), 2, "{problems:?}");
        assert!(problems[1].starts_with("LISTEN_FDS: "), "{problems:?}");
    }

    #[test]
    fn the_journal_is_known_by_device_and_inode() {
        assert!(!is_journal(None));
        assert!(!is_journal(Some("1:1")));
        assert!(!is_journal(Some("nonsense")));
        let own = std::io::stderr().as_fd().try_clone_to_owned().unwrap();
        let own = std::fs::File::from(own).metadata().unwrap();
        let stream = format!("{}:{}", own.dev(), own.ino());
        assert!(is_journal(Some(&stream)));
    }
}
