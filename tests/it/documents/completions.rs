//! The completions of the three usual shells, written from the table of settings.

use std::fmt::Write;

use saas_exporter::config::settings::{SETTINGS, Setting, help};

use super::check;
use crate::exporter::Setup;

const GENERATED: &str =
    "Generated from the table of settings: UPDATE_GOLDEN=1 cargo test --test it documents";

/// What stands behind a flag.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Value {
    /// The path of a file.
    File,
    /// The path of a folder.
    Folder,
    /// One of a few words.
    Word(&'static [&'static str]),
    /// Anything else, by the word that stands for it in a manual.
    Other(&'static str),
}

impl Value {
    pub(super) fn placeholder(self) -> &'static str {
        match self {
            Value::File => "FILE",
            Value::Folder => "FOLDER",
            Value::Word(_) => "WORD",
            Value::Other(name) => name,
        }
    }
}

/// Words and names of values, by flag. What is not here is a file or a folder if the flag's name ends so.
const VALUES: [(&str, Value); 10] = [
    ("log.format", Value::Word(&["text", "json"])),
    (
        "log.level",
        Value::Word(&["error", "warn", "info", "debug", "trace"]),
    ),
    ("poll.concurrency", Value::Other("NUMBER")),
    ("poll.interval", Value::Other("DURATION")),
    ("statuspage.resolved-retention", Value::Other("DURATION")),
    (
        "statuspage.status-scale",
        Value::Word(&["binary", "ternary"]),
    ),
    ("shard", Value::Other("NUMBER")),
    ("total-shards", Value::Other("NUMBER")),
    ("web.listen-address", Value::Other("ADDRESS")),
    ("web.port", Value::Other("PORT")),
];

/// What a setting's flag takes.
pub(super) fn value(setting: &Setting) -> Value {
    let flag = setting.flag.unwrap_or_default();
    let named = VALUES.iter().find(|(name, _)| *name == flag);
    let is = |ends: &[&str]| ends.iter().any(|end| flag.ends_with(end));
    match named {
        Some((_, value)) => *value,
        None if is(&[".file", "-file", ".path"]) => Value::File,
        None if is(&[".dir"]) => Value::Folder,
        None => Value::Other("VALUE"),
    }
}

/// A flag as a completion offers it.
struct Offer {
    /// Without its dashes.
    flag: String,
    /// None for a switch.
    value: Option<Value>,
    /// In one sentence, without its full stop.
    meaning: String,
}

fn offers() -> Vec<Offer> {
    let of_settings = SETTINGS.iter().filter_map(|setting| {
        let value = value(setting);
        Some(Offer {
            flag: setting.flag?.to_owned(),
            value: setting.switch.is_none().then_some(value),
            meaning: first_clause(setting.meaning),
        })
    });
    let mut offers: Vec<Offer> = of_settings.collect();
    // What is asked for by a flag alone stands in the help text and not among the settings.
    for (flag, meaning) in [
        ("help", "Print every setting and exit"),
        (
            "version",
            "Print version, revision, target and compiler, and exit",
        ),
    ] {
        let is_known = offers.iter().any(|offer| offer.flag == flag);
        if !is_known && flags_of_the_help().iter().any(|known| known == flag) {
            offers.push(Offer {
                flag: flag.to_owned(),
                value: None,
                meaning: meaning.to_owned(),
            });
        }
    }
    offers
}

/// A meaning up to its first full stop, colon or bracket: what fits beside a flag.
fn first_clause(meaning: &str) -> String {
    let plain = meaning.replace('`', "");
    let ends = [". ", ": ", "; ", " (", ", such as"].map(|end| plain.find(end));
    let end = ends.into_iter().flatten().min().unwrap_or(plain.len());
    plain[..end].trim_end_matches('.').to_owned()
}

fn flags_of_the_help() -> Vec<String> {
    let help = help();
    let words = help.split(|letter: char| letter.is_whitespace() || ",=".contains(letter));
    let flags = words.filter_map(|word| word.strip_prefix("--"));
    let mut flags: Vec<String> = flags
        .filter(|flag| !flag.is_empty())
        .map(|flag| flag.trim_end_matches(['.', ';', ':', ')']).to_owned())
        .collect();
    flags.sort();
    flags.dedup();
    flags
}

#[test]
fn every_flag_of_the_help_is_completed() {
    let offered: Vec<String> = offers().into_iter().map(|offer| offer.flag).collect();
    for flag in flags_of_the_help() {
        assert!(offered.contains(&flag), "--{flag} is not completed");
    }
    for (flag, _) in VALUES {
        assert!(
            offered.iter().any(|known| known == flag),
            "no flag --{flag}"
        );
    }
}

#[test]
fn the_program_takes_every_word_that_is_completed() {
    for offer in offers() {
        let Some(Value::Word(words)) = offer.value else {
            continue;
        };
        for word in words {
            let setup = Setup::one("completed-word", "https://a.example")
                .argument("--config.check")
                .argument(&format!("--{}={word}", offer.flag));
            let finished = setup.run();
            assert_eq!(finished.status.code(), Some(0), "{finished:?}");
        }
    }
}

#[test]
fn the_completions_of_bash_are_those_of_the_settings() {
    let mut flags = String::new();
    let mut values = String::new();
    for offer in offers() {
        let equals = if offer.value.is_some() { "=" } else { "" };
        let _ = writeln!(flags, "        --{}{equals}", offer.flag);
        let reply = match offer.value {
            Some(Value::File) => "_saas_exporter_paths -f".to_owned(),
            Some(Value::Folder) => "_saas_exporter_paths -d".to_owned(),
            Some(Value::Word(words)) => format!("_saas_exporter_words \"{}\"", words.join(" ")),
            Some(Value::Other(_)) => ":".to_owned(),
            None => continue,
        };
        let value = if reply == ":" { "" } else { " \"$value\"" };
        let _ = writeln!(values, "        --{}) {reply}{value} ;;", offer.flag);
    }
    let text = format!(
        r#"# Completion of saas-exporter for bash. {GENERATED}
#
# For all users: /usr/share/bash-completion/completions/saas-exporter; for one: source it in ~/.bashrc.

_saas_exporter() {{
    local flag="" value="${{COMP_WORDS[COMP_CWORD]}}" before="${{COMP_WORDS[COMP_CWORD - 1]}}"
    COMPREPLY=()
    # An equals sign is a word of its own, unless COMP_WORDBREAKS was changed.
    if [[ $value == --*=* ]]; then
        flag="${{value%%=*}}"
        value="${{value#*=}}"
    elif [[ $value == = ]]; then
        flag="$before"
        value=""
    elif [[ $before == = && $COMP_CWORD -ge 2 ]]; then
        flag="${{COMP_WORDS[COMP_CWORD - 2]}}"
    elif [[ $before == --* && $value != -* ]]; then
        flag="$before"
    fi
    case "$flag" in
{values}        *) _saas_exporter_flags "$value" ;;
    esac
}}

_saas_exporter_flags() {{
    local flags=(
{flags}    )
    [[ $1 == -* || -z $1 ]] || return 0
    _saas_exporter_words "${{flags[*]}}" "$1"
    # Behind a flag that takes a value the value follows, not a space.
    if [[ ${{#COMPREPLY[@]}} -eq 1 && ${{COMPREPLY[0]}} == *= ]]; then
        compopt -o nospace 2> /dev/null || true
    fi
}}

_saas_exporter_words() {{
    mapfile -t COMPREPLY < <(compgen -W "$1" -- "$2")
}}

# Only paths are quoted: an equals sign of a flag would be too.
_saas_exporter_paths() {{
    mapfile -t COMPREPLY < <(compgen "$1" -- "$2")
    compopt -o filenames 2> /dev/null || true
}}

complete -F _saas_exporter saas-exporter
"#
    );
    check("deploy/completions/saas-exporter.bash", &text);
}

#[test]
fn the_completions_of_zsh_are_those_of_the_settings() {
    let mut specs = String::new();
    for offer in offers() {
        // In a specification these end the part that they stand in.
        let meaning = offer.meaning.replace('[', "(").replace(']', ")");
        let meaning = meaning.replace(':', "\\:").replace('\'', "'\\''");
        let action = match offer.value {
            None => String::new(),
            Some(Value::File) => ":file:_files".to_owned(),
            Some(Value::Folder) => ":folder:_files -/".to_owned(),
            Some(Value::Word(words)) => format!(":word:({})", words.join(" ")),
            Some(Value::Other(name)) => format!(":{}:", name.to_lowercase()),
        };
        let equals = if offer.value.is_some() { "=" } else { "" };
        // The only flag that may be given more than once.
        let star = if offer.flag == "web.listen-address" {
            "*"
        } else {
            ""
        };
        let _ = writeln!(
            specs,
            "    '{star}--{}{equals}[{meaning}]{action}' \\",
            offer.flag
        );
    }
    let specs = specs.trim_end_matches(" \\\n");
    let text = format!(
        "#compdef saas-exporter\n# Completion of saas-exporter for zsh. {GENERATED}\n#\n\
         # For all users: /usr/share/zsh/vendor-completions/_saas-exporter; for one: a folder of $fpath.\n\n\
         _arguments -S \\\n{specs}\n"
    );
    check("deploy/completions/_saas-exporter", &text);
}

#[test]
fn the_completions_of_fish_are_those_of_the_settings() {
    let mut lines = String::new();
    for offer in offers() {
        let meaning = offer.meaning.replace('\\', "\\\\").replace('\'', "\\'");
        let value = match offer.value {
            None => String::new(),
            Some(Value::File) => " -r -F".to_owned(),
            Some(Value::Folder) => " -x -a '(__fish_complete_directories)'".to_owned(),
            Some(Value::Word(words)) => format!(" -x -a '{}'", words.join(" ")),
            Some(Value::Other(_)) => " -x".to_owned(),
        };
        let _ = writeln!(
            lines,
            "complete -c saas-exporter -l {}{value} -d '{meaning}'",
            offer.flag
        );
    }
    let text = format!(
        "# Completion of saas-exporter for fish. {GENERATED}\n#\n\
         # For all users: /usr/share/fish/vendor_completions.d/saas-exporter.fish; for one: ~/.config/fish/completions/.\n\n\
         complete -c saas-exporter -f\n{lines}"
    );
    check("deploy/completions/saas-exporter.fish", &text);
}
