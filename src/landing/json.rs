//! Writes JSON: objects, lists and texts one after the other.

use std::fmt::Write;

use jiff::Timestamp;

/// JSON so far.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: String,
    /// Whether something stands before the next item.
    needs_comma: bool,
}

impl Json {
    pub(super) fn into_text(self) -> String {
        self.text + "\n"
    }

    /// Opens an object or a list, the item of a list.
    pub(super) fn open(&mut self, bracket: char) {
        self.separate();
        self.text.push(bracket);
        self.needs_comma = false;
    }

    pub(super) fn close(&mut self, bracket: char) {
        self.text.push(bracket);
        self.needs_comma = true;
    }

    /// A member's name; its value comes next.
    pub(super) fn name(&mut self, name: &str) {
        self.item(name);
        self.text.push(':');
        self.needs_comma = false;
    }

    /// A text.
    pub(super) fn item(&mut self, text: &str) {
        self.separate();
        self.text.push('"');
        for character in text.chars() {
            match character {
                '"' => self.text.push_str("\\\""),
                '\\' => self.text.push_str("\\\\"),
                '\u{0}'..='\u{1f}' | '\u{7f}' => {
                    // Writing to a String cannot fail.
                    let _ = write!(self.text, "\\u{:04x}", u32::from(character));
                }
                other => self.text.push(other),
            }
        }
        self.text.push('"');
    }

    /// A number, `true`, `false` or `null`.
    pub(super) fn plain(&mut self, text: &str) {
        self.separate();
        self.text.push_str(text);
    }

    /// A member with a text, or with null.
    pub(super) fn text(&mut self, name: &str, text: Option<&str>) {
        self.name(name);
        match text {
            Some(text) => self.item(text),
            None => self.plain("null"),
        }
    }

    /// A member with a number, or with null.
    pub(super) fn number(&mut self, name: &str, number: Option<f64>) {
        self.name(name);
        let number = number.map_or_else(|| "null".to_owned(), |number| number.to_string());
        self.plain(&number);
    }

    /// A member with a moment as RFC 3339 has it, or with null.
    pub(super) fn moment(&mut self, name: &str, moment: Option<Timestamp>) {
        let moment = moment.map(|moment| moment.to_string());
        self.text(name, moment.as_deref());
    }

    fn separate(&mut self) {
        if self.needs_comma {
            self.text.push(',');
        }
        self.needs_comma = true;
    }
}
