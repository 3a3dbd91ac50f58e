//! Secrets out of every text that comes back: an upstream may repeat what it was sent, in a page, in an `error`, in
//! the address of a redirect, and in the spelling of any of these.

use std::fmt;
use std::sync::Arc;

use super::Failure;
use crate::sorted::sort_by;

/// What stands in the place of a secret.
const MASK: &str = "(not shown)";
/// A shorter secret is none, and hiding it would blot out whole texts.
const LEAST_CHARS: usize = 4;
/// A word of a secret that counts by itself: the key of `Bearer key`, and not the `Bearer`.
const WORD_LEAST_CHARS: usize = 8;
/// Longest detail of a redirect, in bytes: the upstream chooses it.
const REDIRECT_LIMIT_BYTES: usize = 300;
/// What an escape begins with, and a space in an address.
const ESCAPES: [char; 4] = ['%', '\\', '&', '+'];
/// The longest escape of one character, but for backslashes that were escaped again.
const ESCAPE_BYTES: usize = 12;
/// Named characters of HTML.
const NAMED: [(char, &str); 5] = [
    ('&', "amp;"),
    ('<', "lt;"),
    ('>', "gt;"),
    ('"', "quot;"),
    ('\'', "apos;"),
];
/// The digits of base64; the second alphabet differs in the last two.
const BASE64: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// Takes secrets out of texts. Cheap to clone; `Debug` shows nothing.
#[derive(Clone, Default)]
pub struct Mask {
    /// The longest first, so that no part of one is left.
    secrets: Arc<[Vec<char>]>,
}

impl fmt::Debug for Mask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mask")
    }
}

/// How a text goes on where a secret could begin.
enum Found {
    /// The whole secret, so many bytes long.
    Whole(usize),
    /// The text ends within it.
    CutOff,
    Nothing,
}

impl Mask {
    /// Hides each of these, its lines and its long words.
    pub fn of<'a>(secrets: impl IntoIterator<Item = &'a str>) -> Mask {
        let mut hidden: Vec<String> = Vec::new();
        for secret in secrets {
            let words = secret
                .split_whitespace()
                .filter(|word| word.chars().count() >= WORD_LEAST_CHARS);
            let parts = secret.lines().map(str::trim).chain(words);
            for part in parts.chain([secret.trim()]) {
                if part.chars().count() >= LEAST_CHARS && !hidden.iter().any(|known| known == part)
                {
                    hidden.push(part.to_owned());
                }
            }
        }
        let in_base64: Vec<String> = hidden.iter().flat_map(|text| base64(text)).collect();
        hidden.extend(in_base64);
        sort_by(&mut hidden, |a, b| b.len().cmp(&a.len()));
        Mask {
            secrets: hidden.iter().map(|text| text.chars().collect()).collect(),
        }
    }

    /// The text without the secrets, in whatever spelling they are there.
    pub fn apply(&self, text: &str) -> String {
        let mut masked = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let found = self
                .secrets
                .iter()
                .map(|secret| find(rest, secret))
                .find(|found| !matches!(found, Found::Nothing));
            match found {
                Some(Found::Whole(bytes)) => {
                    masked.push_str(MASK);
                    rest = rest.get(bytes..).unwrap_or_default();
                }
                Some(Found::CutOff) => {
                    masked.push_str(MASK);
                    rest = "";
                }
                _ => {
                    masked.push(next);
                    rest = rest.get(next.len_utf8()..).unwrap_or_default();
                }
            }
        }
        masked
    }

    /// The beginning of a text, masked before it is cut, so that no half of a secret is left at its end.
    pub fn excerpt(&self, text: &str, limit_bytes: usize) -> String {
        let masked = self.apply(text);
        let mut end = limit_bytes.min(masked.len());
        while !masked.is_char_boundary(end) {
            end -= 1;
        }
        masked.get(..end).unwrap_or_default().trim().to_owned()
    }

    /// The failure with its text masked.
    pub(super) fn failure(&self, failure: Failure) -> Failure {
        let clean = |text: String| self.apply(&text);
        match failure {
            Failure::Dns(text) => Failure::Dns(clean(text)),
            Failure::Connect(text) => Failure::Connect(clean(text)),
            Failure::Tls(text) => Failure::Tls(clean(text)),
            Failure::Redirect(text) => Failure::Redirect(self.excerpt(&text, REDIRECT_LIMIT_BYTES)),
            Failure::BodyCut(text) => Failure::BodyCut(clean(text)),
            Failure::BodyUnreadable(text) => Failure::BodyUnreadable(clean(text)),
            Failure::Json(text) => Failure::Json(clean(text)),
            Failure::Shape(text) => Failure::Shape(clean(text)),
            Failure::Refused(text) => Failure::Refused(clean(text)),
            Failure::Internal(text) => Failure::Internal(clean(text)),
            // The first two hold no text, and the last one is ours: it names a file or a header.
            same @ (Failure::Timeout { .. }
            | Failure::Status { .. }
            | Failure::TooLarge { .. }
            | Failure::Config(_)) => same,
        }
    }
}

/// Whether a secret stands at the beginning of a text.
fn find(text: &str, secret: &[char]) -> Found {
    let begins = |wanted: &char| text.starts_with(*wanted) || text.starts_with(ESCAPES);
    if !secret.first().is_some_and(begins) {
        return Found::Nothing;
    }
    // Where the secret may have got to: a `%` can be itself or begin an escape.
    let mut ends = vec![0];
    for (place, wanted) in secret.iter().enumerate() {
        let rests: Vec<(usize, &str)> = ends
            .iter()
            .filter_map(|end| Some((*end, text.get(*end..)?)))
            .collect();
        ends.clear();
        for (end, rest) in &rests {
            ends.extend(spellings(rest, *wanted).map(|bytes| end + bytes));
        }
        sort_by(&mut ends, Ord::cmp);
        ends.dedup();
        if ends.is_empty() {
            let is_cut = |(_, rest): &(usize, &str)| is_beginning(rest);
            return match place >= LEAST_CHARS && rests.iter().any(is_cut) {
                true => Found::CutOff,
                false => Found::Nothing,
            };
        }
    }
    ends.last().map_or(Found::Nothing, |end| Found::Whole(*end))
}

/// Whether nothing is left of a text, or the beginning of an escape.
fn is_beginning(rest: &str) -> bool {
    rest.is_empty() || (rest.len() < ESCAPE_BYTES && rest.starts_with(ESCAPES))
}

/// The numbers of bytes that a character may take at the beginning of a text: as it is, or escaped as in an address,
/// in JSON, in the output of a program, or in HTML.
fn spellings(text: &str, wanted: char) -> impl Iterator<Item = usize> {
    let literal = text.starts_with(wanted).then(|| wanted.len_utf8());
    let space = (wanted == ' ' && text.starts_with('+')).then_some(1);
    let escaped = [percent, backslash, entity].map(|read| read(text, wanted));
    literal
        .into_iter()
        .chain(space)
        .chain(escaped.into_iter().flatten())
}

/// `%C3%a9`
fn percent(text: &str, wanted: char) -> Option<usize> {
    let mut bytes = [0; 4];
    let expected = wanted.encode_utf8(&mut bytes).as_bytes();
    for (place, byte) in expected.iter().enumerate() {
        let escape = text.get(place * 3..place * 3 + 3)?;
        let digits = escape.strip_prefix('%')?;
        if u8::from_str_radix(digits, 16).ok()? != *byte {
            return None;
        }
    }
    Some(expected.len() * 3)
}

/// `\"`, `\/`, `\n`, `\u00e9`, `\u{e9}`, and the same with more backslashes, where a text was escaped twice.
fn backslash(text: &str, wanted: char) -> Option<usize> {
    let escaped = text.trim_start_matches('\\');
    let slashes = text.len() - escaped.len();
    if slashes == 0 || wanted == '\\' {
        return (slashes > 0).then_some(slashes);
    }
    let letter = escaped.chars().next()?;
    let is_short = match letter {
        'n' => wanted == '\n',
        'r' => wanted == '\r',
        't' => wanted == '\t',
        other => other == wanted,
    };
    if is_short {
        return Some(slashes + letter.len_utf8());
    }
    let digits = escaped.strip_prefix('u')?;
    let (digits, around) = match digits.strip_prefix('{') {
        Some(inner) => (inner.split_once('}')?.0, 3),
        None => (digits.get(..4)?, 1),
    };
    let is_it = u32::from_str_radix(digits, 16).ok()? == u32::from(wanted);
    is_it.then_some(slashes + digits.len() + around)
}

/// `&amp;`, `&#38;`, `&#x26;`
fn entity(text: &str, wanted: char) -> Option<usize> {
    let rest = text.strip_prefix('&')?;
    let named = NAMED.iter().find(|(character, _)| *character == wanted);
    if let Some((_, name)) = named
        && rest.starts_with(name)
    {
        return Some(1 + name.len());
    }
    let (number, _) = rest.strip_prefix('#')?.split_once(';')?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(digits) => u32::from_str_radix(digits, 16),
        None => number.parse(),
    };
    (code.ok()? == u32::from(wanted)).then_some(3 + number.len())
}

/// What base64 makes of a text, whatever stands before and after it, in both alphabets.
fn base64(text: &str) -> Vec<String> {
    let mut spellings = Vec::new();
    for before in 0..3 {
        let bytes: Vec<u8> = vec![0; before].into_iter().chain(text.bytes()).collect();
        let digits: String = bytes
            .chunks(3)
            .flat_map(|chunk| {
                let byte = |place: usize| u32::from(chunk.get(place).copied().unwrap_or(0));
                let group = byte(0) << 16 | byte(1) << 8 | byte(2);
                [18, 12, 6, 0].map(|shift| (group >> shift & 63) as usize)
            })
            .filter_map(|digit| BASE64.get(digit).copied().map(char::from))
            .collect();
        // Only the digits that the text alone decides.
        let (begin, end) = ((before * 8).div_ceil(6), bytes.len() * 8 / 6);
        let own = digits.get(begin..end).unwrap_or_default();
        if own.len() >= WORD_LEAST_CHARS {
            spellings.push(own.to_owned());
            spellings.push(own.replace('+', "-").replace('/', "_"));
        }
    }
    sort_by(&mut spellings, Ord::cmp);
    spellings.dedup();
    spellings
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "a&b=c%d é\"/~*\\z";

    fn check(text: &str, expected: &str) {
        assert_eq!(Mask::of([SECRET]).apply(text), expected, "{text}");
    }

    #[test]
    fn a_secret_is_masked_in_every_spelling() {
        for spelling in [
            SECRET,
            "a%26b%3Dc%25d+%C3%A9%22%2F%7E*%5Cz",
            "a%26b%3dc%25d%20%c3%a9%22/~%2a%5cz",
            r#"a&b=c%d é\"\/~*\\z"#,
            r#"a\u0026b=c%d \u00e9\"/~*\\z"#,
            r#"a\\u0026b=c%d \\u00E9\\\"/~*\\\\z"#,
            r#"a&b=c%d \u{e9}\"/~*\\z"#,
            "a&amp;b=c%d &#233;&quot;&#x2f;~*&#92;z",
        ] {
            check(
                &format!("before {spelling} after"),
                "before (not shown) after",
            );
        }
    }

    #[test]
    fn a_secret_is_masked_in_base64_whatever_stands_around_it() {
        let mask = Mask::of(["pass-word-1?>"]);
        for spelled in [
            "cGFzcy13b3JkLTE/Pg==",
            "dXNlcjpwYXNzLXdvcmQtMT8+",
            "YTpwYXNzLXdvcmQtMT8-IQ==",
        ] {
            let text = mask.apply(spelled);
            assert!(text.contains(MASK) && text.len() < 20, "{spelled}: {text}");
        }
    }

    #[test]
    fn a_secret_that_the_end_of_a_text_cuts_off_is_masked_too() {
        check("x a&b=c%d", "x (not shown)");
        check(r"x a\u0026b=\", "x (not shown)");
        check("x a&b", "x a&b");
        check("x a&b=c%d %C3", "x (not shown)");
        let mask = Mask::of(["0123456789"]);
        assert_eq!(mask.excerpt("<0123456789>", 9), "<(not sho");
    }

    #[test]
    fn lines_and_long_words_are_secrets_of_their_own_and_short_texts_are_none() {
        let mask = Mask::of(["Bearer top-secret", "line one\nline two", "abc", ""]);
        let text = mask.apply("Bearer abc: top-secret, line two");
        assert_eq!(text, "Bearer abc: (not shown), (not shown)");
        assert_eq!(format!("{mask:?}"), "Mask");
    }
}
