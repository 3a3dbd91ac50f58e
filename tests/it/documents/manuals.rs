//! The manual pages, written from the table of settings, the tables of fields, and the README where it says the same.

use std::fmt::Write;

use saas_exporter::VERSION;
use saas_exporter::config::settings::SETTINGS;
use saas_exporter::config::{Field, Form, GENERAL_FIELDS};
use saas_exporter::sources::SOURCES;

use super::completions::{Value, value};
use super::{check, code_block, read, sources_of_the_program};

const GENERATED: &str =
    r#".\" Generated from the tables of the code: UPDATE_GOLDEN=1 cargo test --test it documents"#;
const PROJECT: &str = "https://github.com/saas-exporter/saas-exporter";

/// Signal and what it does. A signal that the code does not know is left out of the page, until it does.
const SIGNALS: [(&str, &str); 3] = [
    (
        "SIGTERM",
        "Stop: what is under way gets two seconds to reach disk and Slack, then the process ends with status 0. A second one ends it at once with status 1.",
    ),
    ("SIGINT", "The same as SIGTERM."),
    (
        "SIGHUP",
        "Read the configuration again and run it, all or nothing; services that are the same go on as they are.",
    ),
];

const FILES: [(&str, &str); 6] = [
    (
        "./services.json, /app/statuspage-exporter/services.json",
        "The list of services, unless --config.file names another; see saas-exporter.services(5).",
    ),
    (
        "KEY.state, KEY.history",
        "In the cache folder: last good state and uptime samples of a service. Bytes of its key that are no letter, digit, - or _ are written as %XX.",
    ),
    (
        "notifications.outbox",
        "In the cache folder: posts to Slack that have not been delivered yet.",
    ),
    (
        "*.corrupt",
        "In the cache folder: a file that could not be understood and was set aside. It can be deleted.",
    ),
    (
        "KEY.json, KEY_uptime.jsonl",
        "In the cache folder: files of the Python exporter, read once when there are none of ours, never changed.",
    ),
    (
        "metrics/statuspage.prom",
        "What --once writes, unless --textfile.path says otherwise: replaced as a whole.",
    ),
];

const STATUS: [(&str, &str); 3] = [
    (
        "0",
        "A clean stop, a good configuration (--config.check), or a round of polls that was written (--once), whatever the polls found.",
    ),
    (
        "1",
        "A failure while running, such as an address in use or a text file that cannot be written.",
    ),
    (
        "2",
        "A configuration that cannot be run: every mistake stands on standard error. Trying again does not help.",
    ),
];

const EXAMPLES: [(&str, &str); 4] = [
    (
        "Check a configuration, and see what would run and where its secrets come from:",
        "saas-exporter --config.file=/etc/saas-exporter/services.json --config.check",
    ),
    (
        "Serve to this machine alone, and keep the state below /var/cache:",
        "saas-exporter --config.file=/etc/saas-exporter/services.json \\\n    --web.listen-address=127.0.0.1:9001 --cache.dir=/var/cache/saas-exporter",
    ),
    (
        "Poll once for node_exporter's textfile collector:",
        "saas-exporter --once --textfile.path=/var/lib/node_exporter/textfile/statuspage.prom",
    ),
    (
        "See what a scrape sees:",
        "curl --silent http://localhost:9001/metrics",
    ),
];

#[test]
fn the_manual_of_the_program_is_that_of_its_settings() {
    let signals = handled_signals();
    for signal in &signals {
        let is_told = SIGNALS.iter().any(|(name, _)| name == signal);
        assert!(is_told, "the manual says nothing of {signal}");
    }
    let name = "tell Prometheus how hosted services are doing";
    let mut page = head("saas-exporter", 8, name);
    page.push_str(".SH SYNOPSIS\n.B saas\\-exporter\n.RI [ flag \" ...]\"\n");
    page.push_str(&section("DESCRIPTION"));
    page.push_str(&paragraphs(&[
        "**saas-exporter** polls the services that **saas-exporter.services**(5) lists and serves what it learned to Prometheus. It runs in the foreground and writes its log to standard error.",
        "Each service is polled by itself, at its own interval; a scrape never causes a poll and never waits for one. The last good state of each is kept in the cache folder and shown again after a restart.",
    ]));
    page.push_str(&section("OPTIONS"));
    page.push_str(&paragraphs(&[
        "A flag wins over its variable, a variable over the default; an empty variable counts as unset. A value stands after **=** or as the next argument. **true**, **1**, **yes** and **on**, in any case, switch something on.",
    ]));
    for setting in SETTINGS {
        let Some(flag) = setting.flag else { continue };
        let value = match (setting.switch, value(setting)) {
            (Some(_), _) => String::new(),
            (None, Value::Word(words)) => format!("={}", words.join("|")),
            (None, value) => format!("={}", value.placeholder()),
        };
        item(&mut page, &format!("--{flag}{value}"), setting.meaning);
        // A flag that asks for something and sets nothing has neither.
        if !setting.variable.is_empty() {
            let (variable, default) = (bold(setting.variable), prose(setting.default));
            let _ = write!(page, ".IP\nVariable: {variable}.\nDefault: {default}.\n");
        }
    }
    item(&mut page, "-h, --help", "Print every setting and exit.");
    item(
        &mut page,
        "-V, --version",
        "Print version, revision, target and compiler, and exit.",
    );
    page.push_str(&section("ENVIRONMENT"));
    page.push_str(&paragraphs(&[
        "Each flag above has its variable. These have no flag, since command lines are seen by all users or since other programs know them by that name:",
    ]));
    for setting in SETTINGS.iter().filter(|setting| setting.flag.is_none()) {
        item(&mut page, setting.variable, setting.meaning);
        let _ = write!(page, ".IP\nDefault: {}.\n", prose(setting.default));
    }
    item(
        &mut page,
        "CACHE_DIRECTORY",
        "Set by systemd for a unit with `CacheDirectory=`; the cache folder, unless `CACHE_DIR` says otherwise.",
    );
    page.push_str(&paragraphs(&[
        "The variables of the four exporters that this program replaces are read too; **docs/migration.md** lists them.",
    ]));
    page.push_str(&section("SIGNALS"));
    for (name, meaning) in SIGNALS {
        if signals.contains(&name) {
            item(&mut page, name, meaning);
        }
    }
    page.push_str(&section("ENDPOINTS"));
    for (path, answer) in rows_of_the_readme("### Endpoints") {
        item(&mut page, &path.replace('`', ""), &answer);
    }
    page.push_str(&section("FILES"));
    items(&mut page, &FILES);
    page.push_str(&section("EXIT STATUS"));
    items(&mut page, &STATUS);
    page.push_str(&section("EXAMPLES"));
    for (what, command) in EXAMPLES {
        let _ = write!(page, ".PP\n{}\n{}", prose(what), example(command));
    }
    page.push_str(&see_also(
        "**saas-exporter.services**(5), **prometheus**(1), **systemd.exec**(5)",
    ));
    check("docs/man/saas-exporter.8", &without_empty_paragraphs(&page));
}

#[test]
fn the_manual_of_the_list_of_services_is_that_of_its_fields() {
    let name = "the services that saas-exporter polls";
    let mut page = head("saas-exporter.services", 5, name);
    page.push_str(&section("DESCRIPTION"));
    page.push_str(&paragraphs(&[
        "**services.json** is a JSON object: key to service. A key is the **service** label of the metrics and names the files in the cache folder; it may hold any character.",
        "Keys and fields that begin with an underscore are ignored, so they can be comments; so is the key **$schema**, by which editors find docs/services.schema.json. Keys that stand there twice, unknown fields and unknown types are errors, with the nearest known name. All mistakes are reported at once.",
        "A field whose name is written **a.b** here is the field **b** of the object **a**. A secret that stands in a file is read again when it is needed, so that a new one needs no restart.",
    ]));
    page.push_str(&section("FIELDS OF EVERY SERVICE"));
    fields(&mut page, GENERAL_FIELDS);
    for source in SOURCES {
        let usual = if source.name == SOURCES[0].name {
            ", the default"
        } else {
            ""
        };
        let title = format!("FIELDS OF TYPE \\(dq{}\\(dq{usual}", source.name);
        page.push_str(&section(&title));
        fields(&mut page, source.fields);
        let document = read(&format!("docs/sources/{}.md", source.name));
        if let Some(block) = code_block(&document, "json") {
            page.push_str(&example(block));
        }
    }
    page.push_str(&section("EXAMPLES"));
    let readme = read("README.md");
    let (_, part) = readme.split_once("\n## services.json\n").unwrap();
    page.push_str(&example(code_block(part, "json").unwrap()));
    page.push_str(&paragraphs(&[
        "What a list would run, or everything that is wrong with it:",
    ]));
    page.push_str(&example(EXAMPLES[0].1));
    page.push_str(&see_also("**saas-exporter**(8)"));
    check(
        "docs/man/saas-exporter.services.5",
        &without_empty_paragraphs(&page),
    );
}

fn fields(page: &mut String, fields: &[Field]) {
    for field in fields {
        let required = if field.required { ", required" } else { "" };
        let _ = write!(
            page,
            ".TP\n{} ({}{required})\n{}\n",
            bold(field.name),
            prose(&form(field.form)),
            prose(field.meaning)
        );
    }
}

fn form(form: Form) -> String {
    match form {
        Form::Text => "text".to_owned(),
        Form::Url => "http or https address".to_owned(),
        Form::Duration => "duration: \"90s\", \"1h30m\" or a number of seconds".to_owned(),
        Form::Word(words) => words.join(" or "),
        Form::Integer(least, most) => format!("whole number from {least} to {most}"),
        Form::Boolean => "true or false".to_owned(),
        Form::Secret => "text, never shown".to_owned(),
        Form::SecretList => "list of texts, never shown".to_owned(),
        Form::Path => "path of a file".to_owned(),
        Form::Labels => "object of texts".to_owned(),
        Form::Headers => "object of texts or places".to_owned(),
    }
}

/// The signals that the code names.
fn handled_signals() -> Vec<&'static str> {
    let all = [
        "SIGHUP", "SIGINT", "SIGQUIT", "SIGTERM", "SIGUSR1", "SIGUSR2",
    ];
    let code = sources_of_the_program();
    let is_named = |signal: &&str| code.iter().any(|(_, code)| code.contains(*signal));
    all.into_iter().filter(is_named).collect()
}

/// First and second cell of each row of the table below a heading of the README.
fn rows_of_the_readme(heading: &str) -> Vec<(String, String)> {
    let readme = read("README.md");
    let (_, part) = readme.split_once(&format!("\n{heading}\n")).unwrap();
    let rows = part.lines().skip_while(|line| !line.starts_with("|---"));
    let rows = rows.skip(1).take_while(|line| line.starts_with('|'));
    let cells = |row: &str| {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        Some((cells.next()?.to_owned(), cells.next()?.to_owned()))
    };
    rows.filter_map(cells).collect()
}

fn head(name: &str, section: u8, what: &str) -> String {
    let changelog = read("CHANGELOG.md");
    let newest = changelog.lines().find(|line| line.starts_with("## "));
    let mut words = newest
        .unwrap()
        .split(|letter: char| !letter.is_ascii_digit() && letter != '-');
    let date = words.find(|word| word.len() == 10 && word.matches('-').count() == 2);
    let (title, date) = (name.to_ascii_uppercase(), date.unwrap());
    format!(
        "{GENERATED}\n.TH {title} {section} {date} \"saas-exporter {VERSION}\"\n.SH NAME\n{} \\- {what}\n",
        literal(name)
    )
}

fn see_also(pages: &str) -> String {
    let mut text = section("SEE ALSO");
    let _ = write!(
        text,
        "{}\n.PP\n.UR {PROJECT}\nThe project\n.UE\n",
        prose(pages)
    );
    text
}

fn section(title: &str) -> String {
    format!(".SH {title}\n")
}

/// A paragraph request right behind a heading is one too many.
fn without_empty_paragraphs(page: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in page.lines() {
        let is_after_heading = lines.last().is_some_and(|last| last.starts_with(".SH "));
        if line != ".PP" || !is_after_heading {
            lines.push(line);
        }
    }
    lines.join("\n") + "\n"
}

fn paragraphs(texts: &[&str]) -> String {
    texts
        .iter()
        .map(|text| format!(".PP\n{}\n", prose(text)))
        .collect()
}

fn items(page: &mut String, items: &[(&str, &str)]) {
    for (name, meaning) in items {
        item(page, name, meaning);
    }
}

fn item(page: &mut String, name: &str, meaning: &str) {
    let _ = write!(page, ".TP\n{}\n{}\n", bold(name), prose(meaning));
}

fn example(text: &str) -> String {
    let lines: Vec<String> = text.trim_end().lines().map(line_of_code).collect();
    format!(".PP\n.RS 4\n.EX\n{}\n.EE\n.RE\n", lines.join("\n"))
}

fn line_of_code(line: &str) -> String {
    // A line that begins with one of these would be a request.
    let guard = if line.starts_with(['.', '\'']) {
        "\\&"
    } else {
        ""
    };
    format!("{guard}{}", literal(line))
}

fn bold(text: &str) -> String {
    format!("\\fB{}\\fR", literal(text))
}

/// Text of the documents, with its `code`, **strong** words and links, as roff prose: a sentence a line.
fn prose(text: &str) -> String {
    let mut plain = text.replace("**", "`");
    while let Some((before, rest)) = plain.split_once("](") {
        let (name, after) = (before, rest.split_once(')').unwrap().1);
        let (before, name) = name.rsplit_once('[').unwrap();
        plain = format!("{before}{name}{after}");
    }
    let mut written = String::new();
    for (place, piece) in plain.split('`').enumerate() {
        match place % 2 {
            0 => written.push_str(&escape(piece, "-").replace(". ", ".\n").replace("; ", ";\n")),
            _ => written.push_str(&bold(piece)),
        }
    }
    let guarded = written
        .lines()
        .map(|line| match line.starts_with(['.', '\'']) {
            true => format!("\\&{line}"),
            false => line.to_owned(),
        });
    guarded.collect::<Vec<_>>().join("\n")
}

/// Text that is typed as it stands.
fn literal(text: &str) -> String {
    escape(text, "\\-")
}

fn escape(text: &str, hyphen: &str) -> String {
    let mut escaped = String::new();
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\e"),
            '-' => escaped.push_str(hyphen),
            '"' => escaped.push_str("\\(dq"),
            '\'' => escaped.push_str("\\(aq"),
            '^' => escaped.push_str("\\(ha"),
            '~' => escaped.push_str("\\(ti"),
            '`' => escaped.push_str("\\(ga"),
            ascii if ascii.is_ascii() => escaped.push(ascii),
            other => write!(escaped, "\\[u{:04X}]", u32::from(other)).unwrap(),
        }
    }
    escaped
}
