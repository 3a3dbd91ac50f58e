//! What a source tells people about its state beside its series: how good it is, and the lines it is made of.
//!
//! Pure data with bounds. Sources make an [`Overview`] at every publish, [`crate::snapshot`] keeps it,
//! [`crate::landing`] shows it.

use jiff::Timestamp;

use crate::model::cut;

/// Most lines of a section that are kept; the rest is counted. A page with more open incidents was never seen.
pub const LINES_LIMIT: usize = 100;
/// Longest text of a line, in characters; names of incidents are cut at 100 anyway.
const TEXT_LIMIT_CHARS: usize = 200;
/// Longest link, in bytes; a longer one is left out rather than cut.
const LINK_LIMIT_BYTES: usize = 1_000;

/// How good something is, worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Major trouble.
    Outage,
    /// Minor trouble, or a part that does not work.
    Degraded,
    /// Planned work.
    Maintenance,
    /// All is well.
    #[default]
    Good,
}

/// The state of a service in lines.
#[derive(Debug, Default)]
pub struct Overview {
    /// How good it is as a whole.
    pub level: Level,
    /// When the shown data was learned, if the source knows better than the poller.
    pub seen: Option<Timestamp>,
    /// In the order in which they are shown; none is empty.
    pub sections: Vec<Section>,
}

/// Lines under one heading.
#[derive(Debug)]
pub struct Section {
    /// The heading.
    pub title: &'static str,
    /// The first of its lines stand on the page of all services too; each begins with this word there.
    pub news: Option<&'static str>,
    /// At most as many as the section may have.
    pub lines: Vec<Line>,
    /// Lines that were left out.
    pub left_out: usize,
}

/// One thing: an incident, a component, a site.
#[derive(Debug, Default)]
pub struct Line {
    /// How good it is, where that can be said.
    pub level: Option<Level>,
    /// Its name.
    pub title: Box<str>,
    /// What there is to say of it.
    pub text: Box<str>,
    /// Where to read more: http or https.
    pub link: Option<Box<str>>,
    /// When it began, ends and the like.
    pub moments: Vec<(&'static str, Timestamp)>,
}

impl Overview {
    /// Adds a section unless it is empty.
    pub fn add(&mut self, mut section: Section) {
        if !section.lines.is_empty() {
            section.lines.shrink_to_fit();
            self.sections.push(section);
        }
    }
}

impl Section {
    /// A section without lines.
    pub fn new(title: &'static str) -> Section {
        Section {
            title,
            news: None,
            lines: Vec::new(),
            left_out: 0,
        }
    }

    /// Adds a line, or counts it where there are `limit` already.
    pub fn push(&mut self, line: Line, limit: usize) {
        match self.lines.len() < limit {
            true => self.lines.push(line),
            false => self.left_out += 1,
        }
    }
}

impl Line {
    /// A line of two texts, each cut.
    pub fn new(level: Option<Level>, title: &str, text: &str) -> Line {
        Line {
            level,
            title: cut(title, TEXT_LIMIT_CHARS).into(),
            text: cut(text, TEXT_LIMIT_CHARS).into(),
            ..Line::default()
        }
    }

    /// With a link, if it is one that a browser may safely follow.
    pub fn with_link(mut self, address: &str) -> Line {
        self.link = is_web_address(address).then(|| address.into());
        self
    }

    /// With a moment, if it is known: Unix milliseconds.
    pub fn with_moment(mut self, word: &'static str, unix_ms: Option<i64>) -> Line {
        let moment = unix_ms.and_then(|ms| Timestamp::from_millisecond(ms).ok());
        self.moments.extend(moment.map(|moment| (word, moment)));
        self
    }
}

/// Only http and https: an upstream chooses the text, and `javascript:` runs.
pub fn is_web_address(address: &str) -> bool {
    let scheme = address.split_once("://").map(|(scheme, _)| scheme);
    scheme.is_some_and(|scheme| {
        scheme.eq_ignore_ascii_case("https") || scheme.eq_ignore_ascii_case("http")
    }) && address.len() <= LINK_LIMIT_BYTES
        && !address.contains(|letter: char| letter.is_whitespace() || letter.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(address: &str, expected: bool) {
        let line = Line::new(None, "a", "b").with_link(address);
        assert_eq!(line.link.is_some(), expected, "{address:?}");
    }

    #[test]
    fn only_http_and_https_are_links() {
        check("https://stspg.io/x", true);
        check("HTTP://example.com/?a=b&c", true);
        check("javascript:alert(1)", false);
        check("javascript://example.com/%0aalert(1)", false);
        check("data:text/html,x", false);
        check(" https://example.com", false);
        check("https://a\nb", false);
        check("//example.com", false);
        check("N/A", false);
        check("", false);
        check(&format!("https://{}", "x".repeat(LINK_LIMIT_BYTES)), false);
    }

    #[test]
    fn lines_beyond_the_limit_are_counted_and_long_texts_are_cut() {
        let mut overview = Overview::default();
        let mut things = Section::new("Things");
        for _ in 0..250 {
            things.push(Line::new(None, &"ä".repeat(500), ""), LINES_LIMIT);
        }
        overview.add(things);
        overview.add(Section::new("Nothing"));
        let [section] = overview.sections.as_slice() else {
            panic!("{:?}", overview.sections);
        };
        assert_eq!((section.lines.len(), section.left_out), (100, 150));
        assert_eq!(section.lines[0].title.chars().count(), TEXT_LIMIT_CHARS);
    }
}
