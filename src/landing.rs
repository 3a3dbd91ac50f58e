//! The page at `/`: every service with its state, its last and next poll, and what is wrong with it.

use jiff::{Timestamp, Unit};

use crate::snapshot::{KeyedEntry, ServiceStatus};

/// Nothing is loaded from anywhere; only the style in the page counts.
pub const SECURITY_POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = "body{font-family:system-ui,sans-serif;margin:2rem;line-height:1.4;color-scheme:light dark}\
table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid #8884;vertical-align:top}\
small{opacity:.75;overflow-wrap:anywhere}.failing{font-weight:bold}";

/// The HTML of the page.
pub fn page(entries: &[KeyedEntry], now: Timestamp) -> String {
    let rows: String = entries
        .iter()
        .map(|(key, entry)| row(key, &entry.status, now))
        .collect();
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <title>saas-exporter</title><style>{STYLE}</style></head><body>\n<h1>saas-exporter {version}</h1>\n\
         <p><a href=\"/metrics\">Metrics</a> · <a href=\"/-/healthy\">Healthy</a> · <a href=\"/-/ready\">Ready</a></p>\n\
         <table><thead><tr><th>Service<th>State<th>Last poll<th>Next poll<th>Last failure and its remedy</tr></thead><tbody>\n\
         {rows}</tbody></table>\n</body></html>\n",
        version = escape(crate::VERSION),
    )
}

fn row(key: &str, status: &ServiceStatus, now: Timestamp) -> String {
    let (state, class) = match (&status.headline, &status.failure, status.last_poll) {
        (Some(headline), None, Some(_)) => (headline.clone(), "well"),
        (Some(headline), _, _) => (format!("{headline} (as last seen)"), "failing"),
        (None, Some(_), _) => ("unknown".to_owned(), "failing"),
        (None, None, _) => ("waiting for its first poll".to_owned(), "waiting"),
    };
    let last_poll = match (status.last_poll, status.last_duration) {
        (Some(moment), Some(took)) => format!(
            "{}<br><small>took {:.2} s</small>",
            ago(moment, now),
            took.as_secs_f64()
        ),
        _ => "–".to_owned(),
    };
    let next_poll = status
        .next_poll
        .map_or_else(|| "–".to_owned(), |moment| ago(moment, now));
    let failure = status.failure.as_ref().map_or_else(
        || "–".to_owned(),
        |note| {
            let since = status
                .last_success
                .map_or_else(|| "never".to_owned(), |moment| ago(moment, now));
            let (kind, sentence, remedy) = (
                escape(note.kind),
                escape(&note.sentence),
                escape(note.remedy),
            );
            format!("{kind}: {sentence}<br>{remedy}<br><small>last good poll: {since}</small>")
        },
    );
    format!(
        "<tr><td>{name}<br><small>{key} · {kind} · {about}</small><td class=\"{class}\">{state}<td>{last_poll}<td>{next_poll}<td>{failure}</tr>\n",
        name = escape(&status.name),
        key = escape(key),
        kind = escape(status.kind),
        about = escape(&status.about),
        state = escape(&state),
    )
}

/// `5m 3s ago`, `in 20m`, with the moment itself in the element for machines and as a tip.
fn ago(moment: Timestamp, now: Timestamp) -> String {
    let distance = now.duration_since(moment);
    let rounded = distance.abs().round(Unit::Second).unwrap_or(distance.abs());
    let words = if distance.is_negative() {
        format!("in {rounded:#}")
    } else {
        format!("{rounded:#} ago")
    };
    let moment = moment.round(Unit::Second).unwrap_or(moment);
    format!("<time datetime=\"{moment}\" title=\"{moment}\">{words}</time>")
}

/// A text as HTML shows it literally, in an element or an attribute.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            other => escaped.push(other),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    use crate::exposition::Blocks;
    use crate::snapshot::Entry;
    use crate::snapshot::FailureNote;

    #[test]
    fn every_text_of_the_page_is_escaped() {
        let evil = "<script>alert(\"1\")</script>'&";
        let status = ServiceStatus {
            kind: "statuspage",
            name: evil.to_owned(),
            address: evil.to_owned(),
            about: evil.to_owned(),
            own_health: None,
            headline: Some(evil.to_owned()),
            is_ready: true,
            last_poll: Some(Timestamp::UNIX_EPOCH),
            last_duration: Some(std::time::Duration::from_millis(120)),
            last_success: None,
            next_poll: Some(Timestamp::UNIX_EPOCH),
            due: None,
            failure: Some(FailureNote {
                kind: "json",
                sentence: evil.to_owned(),
                remedy: "none",
            }),
        };
        let entry = Arc::new(Entry {
            blocks: Blocks::default(),
            status,
            version: 0,
        });
        let page = page(&[(evil.into(), entry)], Timestamp::UNIX_EPOCH);
        assert!(!page.contains("<script>"), "{page}");
        assert!(
            page.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&#39;&amp;"),
            "{page}"
        );
    }
}
