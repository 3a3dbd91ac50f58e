//! The environment variables of the program that this source replaces: `AAISP_EXPORTER_<GROUP>__<MEMBER>`.
//!
//! Names count in any case. [`super::settings`] lets them stand in for fields; where to listen and what to log have
//! no field, since all services share them.

use crate::config::settings::Given;
use crate::config::{Listen, Problem, parse_listen, shown_value};
use crate::sources::WantedLog;

/// What all variables begin with.
const PREFIX: &str = "AAISP_EXPORTER_";
/// Where the program that this source replaces listened when nothing was said.
pub(super) const OWN_PORT: u16 = 9099;

/// Every group with its members.
const GROUPS: [(&str, &[&str]); 6] = [
    (
        "AUTH",
        &[
            "CONTROL_LOGIN",
            "CONTROL_PASSWORD",
            "ACCOUNT_NUMBER",
            "ACCOUNT_PASSWORD",
        ],
    ),
    ("SERVER", &["HOST", "PORT"]),
    ("LOGGING", &["LEVEL", "JSON_FORMAT"]),
    ("INTERVALS", &["FAST", "MEDIUM", "SLOW"]),
    (
        "API",
        &["BASE_URL", "TIMEOUT", "MAX_RETRIES", "CONCURRENCY_LIMIT"],
    ),
    (
        "COLLECTORS",
        &[
            "ENABLE_BROADBAND",
            "ENABLE_TELEPHONY",
            "ENABLE_TELEPHONY_RATECARD",
            "ENABLE_CONTROL_LOGIN",
        ],
    ),
];

/// A variable that stands in for a field: `API__TIMEOUT`, as it is written in the environment.
pub(super) fn written<'a>(given: &'a Given, name: &str) -> Option<&'a str> {
    find(given, name).map(|(written, _)| written)
}

/// A variable's name as it is written and its value. Of several spellings the usual one counts.
fn find<'a>(given: &'a Given, name: &str) -> Option<(&'a str, &'a str)> {
    let usual = format!("{PREFIX}{name}");
    let mut same = given
        .variables()
        .filter(|(written, _)| written.eq_ignore_ascii_case(&usual));
    let first = same.next()?;
    // Capitals sort before small letters, so that the usual spelling is the first one.
    Some(first)
}

/// Whether the environment describes a service: any variable of a known group does.
pub(super) fn is_in_environment(given: &Given) -> bool {
    given
        .variables()
        .filter_map(|(written, _)| parts(written))
        .any(|(group, _)| members(&group).is_some())
}

/// Group and member of a variable of ours, in capitals; the member is empty where there is none.
fn parts(written: &str) -> Option<(String, String)> {
    let capitals = written.to_ascii_uppercase();
    let rest = capitals.strip_prefix(PREFIX)?;
    let (group, member) = rest.split_once("__").unwrap_or((rest, ""));
    Some((group.to_owned(), member.to_owned()))
}

fn members(group: &str) -> Option<&'static [&'static str]> {
    let known = GROUPS.iter().find(|(name, _)| *name == group);
    known.map(|(_, members)| *members)
}

/// Variables with an unknown member: an error each.
pub(super) fn unknown_members(given: &Given) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (written, _) in given.variables() {
        let Some((group, member)) = parts(written) else {
            continue;
        };
        if let Some(members) = members(&group)
            && !members.contains(&member.as_str())
        {
            let known = members.join(", ");
            problems.push(Problem::new(format!(
                "{written}: is unknown; known in the group {group} are {known}"
            )));
        }
    }
    problems
}

/// Variables of a group that nobody knows: a warning each.
pub(super) fn unknown_groups(given: &Given) -> Vec<String> {
    let ours = given
        .variables()
        .filter_map(|(written, _)| Some((written, parts(written)?.0)));
    ours.filter(|(_, group)| members(group).is_none())
        .map(|(written, _)| written.to_owned())
        .collect()
}

/// Where the environment says to listen.
pub(super) fn own_listen(given: &Given) -> Result<Option<Listen>, Problem> {
    let (host, port) = (find(given, "SERVER__HOST"), find(given, "SERVER__PORT"));
    let number = match port {
        None => OWN_PORT,
        Some((written, text)) => read_port(text).ok_or_else(|| {
            let text = shown_value(text);
            Problem::new(format!(
                "{written}: {text} is no whole number from 1 to 65535"
            ))
        })?,
    };
    match (host, port) {
        (None, None) => Ok(None),
        (None, Some(_)) => Ok(Some(Listen::Everywhere(number))),
        (Some((written, host)), _) => {
            let host = host.trim();
            let bracketed = match host.contains(':') {
                true => format!("[{host}]"),
                false => host.to_owned(),
            };
            parse_listen(&format!("{bracketed}:{number}"))
                .map(Some)
                .map_err(|what| Problem::new(format!("{written}: {what}")))
        }
    }
}

fn read_port(text: &str) -> Option<u16> {
    text.trim().parse().ok().filter(|port| *port != 0)
}

/// What the environment says to log.
///
/// # Errors
/// Every value that is not understood.
pub(super) fn wanted_log(given: &Given) -> Result<WantedLog, Vec<Problem>> {
    let mut problems = Vec::new();
    let mut wanted = WantedLog::default();
    if let Some((written, text)) = find(given, "LOGGING__LEVEL") {
        wanted.level = level(text);
        if wanted.level.is_none() {
            let text = shown_value(text);
            problems.push(Problem::new(format!(
                "{written}: {text} is none of DEBUG, INFO, WARNING, ERROR, CRITICAL"
            )));
        }
    }
    if let Some((written, text)) = find(given, "LOGGING__JSON_FORMAT") {
        wanted.json = truth(text.trim());
        if wanted.json.is_none() {
            let text = shown_value(text);
            problems.push(Problem::new(format!(
                "{written}: {text} is neither true nor false"
            )));
        }
    }
    if problems.is_empty() {
        Ok(wanted)
    } else {
        Err(problems)
    }
}

fn level(word: &str) -> Option<log::LevelFilter> {
    match word.trim().to_ascii_uppercase().as_str() {
        "DEBUG" => Some(log::LevelFilter::Debug),
        "INFO" => Some(log::LevelFilter::Info),
        "WARNING" => Some(log::LevelFilter::Warn),
        "ERROR" | "CRITICAL" => Some(log::LevelFilter::Error),
        _ => None,
    }
}

/// A truth value as the program that this source replaces writes it, in any case.
pub(super) fn truth(word: &str) -> Option<bool> {
    match word.to_ascii_lowercase().as_str() {
        "1" | "true" | "t" | "yes" | "y" | "on" => Some(true),
        "0" | "false" | "f" | "no" | "n" | "off" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn given(variables: &[(&str, &str)]) -> Given {
        let variables = variables
            .iter()
            .map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let (_, given) = Given::read([], variables, &mut Vec::new());
        given
    }

    fn check_listen(variables: &[(&str, &str)], expected: Option<Listen>) {
        let found = own_listen(&given(variables));
        assert_eq!(found, Ok(expected), "{variables:?}");
    }

    #[test]
    fn names_count_in_any_case_and_only_known_groups_describe_a_service() {
        assert!(is_in_environment(&given(&[(
            "aaisp_exporter_auth__control_login",
            "a"
        )])));
        assert!(is_in_environment(&given(&[(
            "AAISP_EXPORTER_INTERVALS__FAST",
            "60"
        )])));
        assert!(!is_in_environment(&given(&[(
            "AAISP_EXPORTER_OTHER__X",
            "a"
        )])));
        assert!(!is_in_environment(&given(&[
            ("PORT", "1"),
            ("AAISP_EXPORTER_API__TIMEOUT", "")
        ])));
        let strange = given(&[("AAISP_EXPORTER_OTHER__X", "a"), ("AAISP_EXPORTER_X", "b")]);
        assert_eq!(
            unknown_groups(&strange),
            ["AAISP_EXPORTER_OTHER__X", "AAISP_EXPORTER_X"]
        );
    }

    #[test]
    fn a_host_and_a_port_say_where_to_listen() {
        let at = |address: &str| Some(Listen::At(address.parse().expect("an address")));
        check_listen(&[], None);
        check_listen(
            &[("AAISP_EXPORTER_SERVER__PORT", " 80 ")],
            Some(Listen::Everywhere(80)),
        );
        check_listen(
            &[("AAISP_EXPORTER_SERVER__HOST", "127.0.0.1")],
            at("127.0.0.1:9099"),
        );
        let both = [
            ("AAISP_EXPORTER_SERVER__HOST", "::1"),
            ("AAISP_EXPORTER_SERVER__PORT", "81"),
        ];
        check_listen(&both, at("[::1]:81"));
        for port in ["0", "65536", "http", "9099s"] {
            assert!(
                own_listen(&given(&[("AAISP_EXPORTER_SERVER__PORT", port)])).is_err(),
                "{port}"
            );
        }
    }

    #[test]
    fn log_levels_are_those_of_python_in_any_case() {
        let of = |text| wanted_log(&given(&[("AAISP_EXPORTER_LOGGING__LEVEL", text)]));
        assert_eq!(
            of("warning").expect("known").level,
            Some(log::LevelFilter::Warn)
        );
        assert_eq!(
            of("CRITICAL").expect("known").level,
            Some(log::LevelFilter::Error)
        );
        assert!(of("verbose").is_err());
    }

    #[test]
    fn truth_has_many_words() {
        for (word, expected) in [
            ("T", Some(true)),
            ("y", Some(true)),
            ("off", Some(false)),
            ("F", Some(false)),
            ("2", None),
        ] {
            assert_eq!(truth(word), expected, "{word}");
        }
    }
}
