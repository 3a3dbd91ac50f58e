//! The password in the form of a request, and out of every text that comes back.
//!
//! An upstream may repeat what it was sent: in an `error`, in a page, in the address of a redirect.

/// What stands in the place of a secret.
const MASK: &str = "(redacted)";

/// Takes the password out of texts that come from the upstream.
pub(super) struct Mask {
    /// The password in every spelling in which an upstream may repeat it, the longest first.
    spellings: Vec<String>,
}

impl Mask {
    pub(super) fn of(password: &str) -> Mask {
        let encoded = encode(password);
        let in_json = serde_json::to_string(password).unwrap_or_default();
        let in_json = in_json.trim_matches('"').to_owned();
        let in_debug = password.escape_debug().to_string();
        let with_percent = encoded.replace('+', "%20");
        let mut spellings = vec![
            password.to_owned(),
            with_small_digits(&encoded),
            with_percent,
            encoded,
            in_json,
            in_debug,
        ];
        spellings.retain(|spelling| !spelling.is_empty());
        spellings.sort_by_key(|spelling| std::cmp::Reverse(spelling.len()));
        spellings.dedup();
        Mask { spellings }
    }

    pub(super) fn apply(&self, text: &str) -> String {
        let mask = |text: String, spelling: &String| text.replace(spelling.as_str(), MASK);
        self.spellings.iter().fold(text.to_owned(), mask)
    }
}

/// A text as `application/x-www-form-urlencoded` has it.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b' ' => encoded.push('+'),
            byte if byte.is_ascii_alphanumeric() || b"-_.*".contains(&byte) => {
                encoded.push(char::from(byte));
            }
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}

/// The same with `%c3` for `%C3`.
fn with_small_digits(encoded: &str) -> String {
    let mut pieces = encoded.split('%');
    let mut text = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let (digits, rest) = piece.split_at_checked(2).unwrap_or((piece, ""));
        text.push_str(&format!("%{}{rest}", digits.to_ascii_lowercase()));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_masked_in_every_spelling() {
        let mask = Mask::of("a&b=c%d é\"");
        for spelling in [
            "a&b=c%d é\"",
            "a%26b%3Dc%25d+%C3%A9%22",
            "a%26b%3dc%25d+%c3%a9%22",
            "a%26b%3Dc%25d%20%C3%A9%22",
            "a&b=c%d é\\\"",
        ] {
            let text = mask.apply(&format!("before {spelling} after"));
            assert_eq!(text, "before (redacted) after");
        }
    }
}
