//! Which other product an answer looks like: pages move between products under one URL.
//!
//! Only used to say so in an error; the shapes are those that the vendors document.

use serde_json::Value;

/// Larger bodies are not looked at a second time.
const LIMIT_BYTES: usize = 2 * 1024 * 1024;

/// `; it looks like …`, or nothing.
pub(super) fn hint(body: &[u8]) -> String {
    guess(body)
        .map(|product| format!("; it looks like {product}"))
        .unwrap_or_default()
}

fn guess(body: &[u8]) -> Option<&'static str> {
    if body.starts_with(b"\xfe\xff") || body.starts_with(b"\xff\xfe") {
        return Some("AWS currentevents (UTF-16)");
    }
    let start = body.trim_ascii_start();
    if start.starts_with(b"<") {
        let head = String::from_utf8_lossy(start.get(..200).unwrap_or(start)).to_ascii_lowercase();
        let is_feed = head.starts_with("<?xml") || head.contains("<rss") || head.contains("<feed");
        return Some(if is_feed {
            "a feed"
        } else {
            "an HTML page (a login, a block page, or another product)"
        });
    }
    if body.len() > LIMIT_BYTES {
        return None;
    }
    match serde_json::from_slice(body).ok()? {
        Value::Array(items) => guess_list(items.first()?),
        object => guess_object(&object),
    }
}

fn guess_object(object: &Value) -> Option<&'static str> {
    let is_text = |pointer: &str| object.pointer(pointer).is_some_and(Value::is_string);
    let is_there = |pointer: &str| object.pointer(pointer).is_some();
    let type_of_data = object.pointer("/data/type").and_then(Value::as_str);
    if is_there("/summary/structure") || (is_there("/page_title") && is_there("/ongoing_incidents"))
    {
        Some("incident.io's own format")
    } else if is_text("/page/status") && !is_there("/status") {
        Some("Instatus")
    } else if type_of_data == Some("status_page") {
        Some("Better Stack")
    } else if is_there("/result/status_overall") {
        Some("Status.io")
    } else if is_there("/publicGroupList") {
        Some("Uptime Kuma")
    } else if is_there("/summaryStatus") {
        Some("cState")
    } else if is_there("/meta/pagination")
        || object.pointer("/data/0/type").and_then(Value::as_str) == Some("components")
    {
        Some("Cachet")
    } else if is_text("/status") && is_there("/active_incidents") {
        Some("Slack's own format")
    } else if is_there("/status/0/system") {
        Some("Heroku's own format")
    } else {
        None
    }
}

fn guess_list(first: &Value) -> Option<&'static str> {
    let is_there = |key: &str| first.get(key).is_some();
    if is_there("external_desc") || is_there("affected_products") {
        Some("Google's incident list")
    } else if is_there("arn") && is_there("event_log") {
        Some("AWS currentevents")
    } else if first.get("status").is_some_and(Value::is_number) && is_there("name") {
        Some("Cachet")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: Option<&str>) {
        assert_eq!(guess(body.as_bytes()), expected, "{body}");
    }

    #[test]
    fn other_products_are_named() {
        check(
            r#"{"page":{"name":"x","url":"y","status":"UP"}}"#,
            Some("Instatus"),
        );
        check(
            r#"{"summary":{"structure":{},"components":[]}}"#,
            Some("incident.io's own format"),
        );
        check(
            r#"{"data":{"type":"status_page"},"included":[]}"#,
            Some("Better Stack"),
        );
        check(r#"{"result":{"status_overall":{}}}"#, Some("Status.io"));
        check(
            r#"{"status":"ok","active_incidents":[]}"#,
            Some("Slack's own format"),
        );
        check(
            r#"{"status":[{"system":"Apps","status":"green"}],"incidents":[]}"#,
            Some("Heroku's own format"),
        );
        check(r#"[{"external_desc":"x"}]"#, Some("Google's incident list"));
        check(
            " <!doctype html><html>",
            Some("an HTML page (a login, a block page, or another product)"),
        );
        check("<?xml version=\"1.0\"?><rss>", Some("a feed"));
        check("{}", None);
        check("[]", None);
        check("nonsense", None);
    }
}
