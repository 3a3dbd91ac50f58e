//! Log lines: one event, one line, a fixed message and `key=value`, as text or as JSON, on standard error.
//!
//! Only our own lines are shown: the HTTP libraries would print addresses, headers and so secrets.

use std::io::Write;

use env_logger::fmt::Formatter;
use jiff::Timestamp;
use log::kv::{Error, Key, Value, VisitSource};
use log::{Level, LevelFilter, Record};

use crate::config::LogSettings;
use crate::model::cut;

/// A line of level debug, in the form of `log::debug!`.
///
/// `log` is built without debug and trace in the release: those of the HTTP libraries, which are never shown, were 50 KB
/// of it. Ours take this way.
macro_rules! debug {
    ($($key:ident $(: $form:tt)? = $value:expr),+; $event:literal) => {
        $crate::logging::log_debug($event, &[$((stringify!($key), $crate::logging::debug!(@ $($form)? $value))),+])
    };
    (@ % $value:expr) => { log::kv::Value::from_display(&$value) };
    (@ ? $value:expr) => { log::kv::Value::from_debug(&$value) };
    (@ $value:expr) => { log::kv::ToValue::to_value(&$value) };
}
pub(crate) use debug;

/// Longest value in a line, in characters.
const VALUE_LIMIT_CHARS: usize = 400;

/// Starts logging, and sends panics there too.
pub fn start(settings: LogSettings) {
    let write = match (settings.json, settings.to_journal) {
        (true, _) => write_json,
        (false, true) => write_journal,
        (false, false) => write_text,
    };
    let mut builder = env_logger::Builder::new();
    builder
        .filter_level(LevelFilter::Off)
        .filter_module("saas_exporter", settings.level)
        .format(write);
    // A second call, as in tests, leaves the first logger in place.
    let _ = builder.try_init();
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        let cause = crate::fetch::panic_text(panic.payload());
        log::error!(thread = thread.name().unwrap_or("unnamed"), place = place, cause = cause; "a thread panicked; please report this");
    }));
}

/// See [`debug`].
pub(crate) fn log_debug(event: &str, pairs: &[(&str, Value<'_>)]) {
    if log::max_level() < LevelFilter::Debug {
        return;
    }
    let mut record = Record::builder();
    record.level(Level::Debug).target(env!("CARGO_CRATE_NAME"));
    record.key_values(&pairs);
    log::logger().log(&record.args(format_args!("{event}")).build());
}

/// `2026-11-20T08:00:00.000Z warn  poll failing service=github kind=http_404; check "url"`
fn write_text(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    writeln!(out, "{} {}", now(), text(record))
}

/// `<4>warn  poll failing service=github`: sd-daemon(3) has the number, and the journal the time.
fn write_journal(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let priority = match record.level() {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    writeln!(out, "<{priority}>{}", text(record))
}

/// Level, event, pairs and advice.
fn text(record: &Record<'_>) -> String {
    let level = record.level().as_str().to_ascii_lowercase();
    let message = record.args().to_string();
    let (event, advice) = message
        .split_once("; ")
        .map_or((message.as_str(), None), |(event, advice)| {
            (event, Some(advice))
        });
    let pairs = Pairs::of(record);
    let mut line = format!("{level:<5} {event}");
    for (key, value) in pairs.0.iter().filter(|(key, _)| key != "remedy") {
        line.push_str(&format!(" {key}={}", quoted(value)));
    }
    let remedy = pairs
        .0
        .iter()
        .find(|(key, _)| key == "remedy")
        .map(|(_, value)| value.as_str());
    for advice in advice.into_iter().chain(remedy) {
        line.push_str("; ");
        line.push_str(advice);
    }
    line
}

fn write_json(out: &mut Formatter, record: &Record<'_>) -> std::io::Result<()> {
    let mut object = serde_json::Map::new();
    object.insert("time".into(), now().into());
    object.insert(
        "level".into(),
        record.level().as_str().to_ascii_lowercase().into(),
    );
    object.insert("message".into(), record.args().to_string().into());
    for (key, value) in Pairs::of(record).0 {
        let value = value
            .parse::<serde_json::Number>()
            .map_or_else(|_| value.clone().into(), serde_json::Value::Number);
        object.insert(key, value);
    }
    writeln!(out, "{}", serde_json::Value::Object(object))
}

fn now() -> String {
    // Milliseconds, always three digits of them.
    format!("{:.3}", Timestamp::now())
}

/// The keys and values of a record, in their order.
struct Pairs(Vec<(String, String)>);

impl Pairs {
    fn of(record: &Record<'_>) -> Pairs {
        let mut pairs = Pairs(Vec::new());
        // The visitor below never fails.
        let _ = record.key_values().visit(&mut pairs);
        pairs
    }
}

impl<'kvs> VisitSource<'kvs> for Pairs {
    fn visit_pair(&mut self, key: Key<'kvs>, value: Value<'kvs>) -> Result<(), Error> {
        let value = value.to_string();
        self.0
            .push((key.to_string(), cut(&value, VALUE_LIMIT_CHARS).to_owned()));
        Ok(())
    }
}

/// A value as it is where it is one plain word, else quoted and escaped: nothing can begin a line of its own.
fn quoted(value: &str) -> String {
    let is_plain =
        |character: char| character.is_ascii_alphanumeric() || "_-.:/%+*@,~[]".contains(character);
    if !value.is_empty() && value.chars().all(is_plain) {
        value.to_owned()
    } else {
        format!("{value:?}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_never_breaks_out_of_its_line() {
        assert_eq!(quoted("https://a.example/x"), "https://a.example/x");
        assert_eq!(quoted("two words"), "\"two words\"");
        assert_eq!(quoted("a\nwarn  forged"), r#""a\nwarn  forged""#);
        assert_eq!(quoted(""), "\"\"");
    }
}
