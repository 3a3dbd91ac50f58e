//! From families to the text of a page, in both formats, and which format and coding a scraper asked for.
//!
//! It knows no source and no socket. [`crate::snapshot`] keeps the families of every service as [`Blocks`],
//! whose samples are text already; a page puts the lines of one family of all services together.

use std::borrow::Cow;
use std::fmt::Write;

use crate::model::{FamilyMeta, Kind, MetricFamily, Stamp};
use crate::packing::{Packer, unpack};
use crate::sorted::SortedMap;

/// The two text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Format {
    /// Prometheus text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What stands at the end of a page in this format.
    pub fn end(self) -> &'static str {
        match self {
            Format::Text => "",
            Format::OpenMetrics => "# EOF\n",
        }
    }

    /// A time stamp in this format: milliseconds, or seconds with three digits behind the point. All of one era are
    /// equally long.
    pub fn moment(self, unix_ms: i64) -> String {
        match self {
            Format::Text => unix_ms.to_string(),
            Format::OpenMetrics => format!(
                "{}.{:03}",
                unix_ms.div_euclid(1000),
                unix_ms.rem_euclid(1000)
            ),
        }
    }

    /// The `Content-Type` of a page in this format.
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Text => "text/plain; version=0.0.4; charset=utf-8",
            Format::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// The families of one service (or of the process), rendered as far as they are the same in both formats.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blocks {
    families: Box<[Block]>,
    text: Text,
}

/// The sample lines of all families; those with a time stamp end after the value.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Text {
    Plain(Box<str>),
    Packed { bytes: Box<[u8]>, length: usize },
}

impl Default for Text {
    fn default() -> Text {
        Text::Plain(Box::default())
    }
}

/// One family: where its lines end in the text, and the time stamps of its lines, if any.
#[derive(Clone, Debug)]
struct Block {
    meta: FamilyMeta,
    end: usize,
    stamped_lines: Option<Box<[(usize, Stamp)]>>,
}

impl PartialEq for Block {
    fn eq(&self, other: &Block) -> bool {
        self.meta.name == other.meta.name
            && self.end == other.end
            && self.stamped_lines == other.stamped_lines
    }
}

impl Eq for Block {}

impl Blocks {
    /// Renders families that are sorted by name (see [`crate::model::Families::finish`]).
    pub fn new(families: &[MetricFamily]) -> Blocks {
        let mut text = String::new();
        let blocks = families
            .iter()
            .map(|family| render_block(family, &mut text))
            .collect();
        Blocks {
            families: blocks,
            text: Text::Plain(text.into_boxed_str()),
        }
    }

    /// The same, packed: the lines of a thousand services are 20 MB plain and 2 MB packed.
    pub fn packed(self, packer: &mut Packer) -> Blocks {
        let text = match self.text {
            Text::Plain(text) => Text::Packed {
                bytes: packer.pack(&text).into_boxed_slice(),
                length: text.len(),
            },
            packed => packed,
        };
        Blocks { text, ..self }
    }

    /// Bytes of the lines of all families.
    pub fn text_bytes(&self) -> usize {
        match &self.text {
            Text::Plain(text) => text.len(),
            Text::Packed { length, .. } => *length,
        }
    }

    /// The lines, for reading.
    pub fn open(&self) -> OpenBlocks<'_> {
        let text = match &self.text {
            Text::Plain(text) => Cow::Borrowed(&**text),
            Text::Packed { bytes, length } => Cow::Owned(unpack(bytes, *length)),
        };
        OpenBlocks {
            families: &self.families,
            text,
        }
    }

    /// The families, sorted by name.
    pub fn metas(&self) -> impl Iterator<Item = &FamilyMeta> {
        self.families.iter().map(|block| &block.meta)
    }

    /// Whether a point carries the time of the scrape.
    pub fn has_scrape_stamps(&self) -> bool {
        let mut stamps = self
            .families
            .iter()
            .flat_map(|block| block.stamped_lines.iter().flatten());
        stamps.any(|(_, stamp)| *stamp == Stamp::Scrape)
    }
}

/// Blocks whose lines can be read.
#[derive(Debug)]
pub struct OpenBlocks<'a> {
    families: &'a [Block],
    text: Cow<'a, str>,
}

impl OpenBlocks<'_> {
    /// Every family with its lines.
    fn iter(&self) -> impl Iterator<Item = (&FamilyMeta, Lines<'_>)> {
        let mut start = 0;
        self.families.iter().map(move |block| {
            let text = self.text.get(start..block.end).unwrap_or_default();
            start = block.end;
            let stamps = block.stamped_lines.as_deref();
            (&block.meta, Lines { text, stamps })
        })
    }
}

fn render_block(family: &MetricFamily, text: &mut String) -> Block {
    let is_stamped = family
        .samples
        .iter()
        .any(|sample| sample.stamp != Stamp::None);
    let mut stamped_lines = Vec::new();
    let start = text.len();
    for sample in &family.samples {
        text.push_str(family.meta.name);
        text.push_str(sample.suffix);
        text.push_str(&sample.labels);
        text.push(' ');
        write_value(sample.value, text);
        if is_stamped {
            stamped_lines.push((text.len() - start, sample.stamp));
        } else {
            text.push('\n');
        }
    }
    let stamped_lines = is_stamped.then(|| stamped_lines.into_boxed_slice());
    Block {
        meta: family.meta,
        end: text.len(),
        stamped_lines,
    }
}

/// A number as both formats write it.
pub fn write_value(value: f64, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = match value {
        value if value.is_nan() => write!(text, "NaN"),
        f64::INFINITY => write!(text, "+Inf"),
        f64::NEG_INFINITY => write!(text, "-Inf"),
        value => write!(text, "{value}"),
    };
}

/// One family of several parts, such as services.
#[derive(Debug)]
pub struct FamilyLines<'a> {
    /// What the family is.
    pub meta: &'a FamilyMeta,
    /// The lines of each part that has some, in the order of the parts.
    pub lines: Vec<Lines<'a>>,
}

/// The lines of one family of one part.
#[derive(Clone, Copy, Debug)]
pub struct Lines<'a> {
    text: &'a str,
    /// Where each line ends in the text, and its time, if the lines have times.
    stamps: Option<&'a [(usize, Stamp)]>,
}

/// The families of these parts, sorted by name: a page has each in one block.
pub fn families<'a>(parts: &'a [OpenBlocks<'a>]) -> Vec<FamilyLines<'a>> {
    let mut families: SortedMap<&str, FamilyLines<'a>> = SortedMap::new();
    for (meta, lines) in parts.iter().flat_map(OpenBlocks::iter) {
        let new = || FamilyLines {
            meta,
            lines: Vec::new(),
        };
        families.or_insert_with(meta.name, new).lines.push(lines);
    }
    families.into_values().collect()
}

impl FamilyMeta {
    /// Appends the HELP and TYPE lines.
    pub fn write_head(&self, format: Format, text: &mut String) {
        // OpenMetrics names a counter's family without the suffix that its samples bear.
        let name = match (format, self.kind) {
            (Format::OpenMetrics, Kind::Counter) => {
                self.name.strip_suffix("_total").unwrap_or(self.name)
            }
            _ => self.name,
        };
        // Writing to a String cannot fail.
        let _ = write!(
            text,
            "# HELP {name} {}\n# TYPE {name} {}\n",
            self.help,
            self.kind.word()
        );
    }
}

impl Lines<'_> {
    /// Appends the lines. `moment` is the time of the scrape as text, for the points that carry it; where they do is
    /// added to `places`.
    pub fn write(&self, format: Format, moment: &str, text: &mut String, places: &mut Vec<usize>) {
        let Some(stamps) = self.stamps else {
            text.push_str(self.text);
            return;
        };
        let mut start = 0;
        for (end, stamp) in stamps {
            text.push_str(self.text.get(start..*end).unwrap_or_default());
            start = *end;
            match stamp {
                Stamp::None => {}
                Stamp::At(ms) => {
                    text.push(' ');
                    text.push_str(&format.moment(*ms));
                }
                Stamp::Scrape => {
                    text.push(' ');
                    places.push(text.len());
                    text.push_str(moment);
                }
            }
            text.push('\n');
        }
    }
}

/// A text, and where in it the points stand that carry the time of the scrape.
#[derive(Debug, Default)]
pub struct PageText {
    /// The text.
    pub text: String,
    /// Where the moments begin.
    pub places: Vec<usize>,
}

/// The whole page of these parts, as one text.
pub fn page<'a>(
    parts: impl IntoIterator<Item = &'a Blocks>,
    format: Format,
    scrape_ms: i64,
) -> String {
    text_of(parts, format, scrape_ms, |_| true).text + format.end()
}

/// The families of these parts whose name is wanted.
pub fn text_of<'a>(
    parts: impl IntoIterator<Item = &'a Blocks>,
    format: Format,
    scrape_ms: i64,
    is_wanted: impl Fn(&str) -> bool,
) -> PageText {
    let parts: Vec<OpenBlocks<'_>> = parts.into_iter().map(Blocks::open).collect();
    let length = parts.iter().map(|part| part.text.len()).sum();
    let mut page = PageText {
        text: String::with_capacity(length),
        places: Vec::new(),
    };
    let moment = format.moment(scrape_ms);
    for family in families(&parts)
        .iter()
        .filter(|family| is_wanted(family.meta.name))
    {
        family.meta.write_head(format, &mut page.text);
        for lines in &family.lines {
            lines.write(format, &moment, &mut page.text, &mut page.places);
        }
    }
    page
}

/// The format that an `Accept` header prefers: OpenMetrics if it is named and nothing else is preferred.
pub fn negotiate(accept: &str) -> Format {
    let (mut text, mut open_metrics) = (0.0f64, 0.0f64);
    for (media_type, parameters) in header_items(accept) {
        let version = parameters
            .iter()
            .find(|(name, _)| *name == "version")
            .map(|(_, value)| *value);
        match media_type.as_str() {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0" | "0.0.1")) => {
                open_metrics = open_metrics.max(quality(&parameters));
            }
            "text/plain" if matches!(version, None | Some("0.0.4")) => {
                text = text.max(quality(&parameters))
            }
            "text/*" | "*/*" => text = text.max(quality(&parameters)),
            _ => {}
        }
    }
    if open_metrics > 0.0 && open_metrics >= text {
        Format::OpenMetrics
    } else {
        Format::Text
    }
}

/// Whether an `Accept-Encoding` header asks for gzip.
pub fn accepts_gzip(accept_encoding: &str) -> bool {
    header_items(accept_encoding)
        .iter()
        .any(|(coding, parameters)| {
            matches!(coding.as_str(), "gzip" | "x-gzip") && quality(parameters) > 0.0
        })
}

/// The items of a header like `a/b;q=0.5;version=1, c/d`, with their parameters.
fn header_items(header: &str) -> Vec<(String, Vec<(&str, &str)>)> {
    let items = header.split(',').map(|item| {
        let mut pieces = item.split(';').map(str::trim);
        let name = pieces.next().unwrap_or_default().to_ascii_lowercase();
        let parameters = pieces.filter_map(|piece| piece.split_once('='));
        (
            name,
            parameters
                .map(|(name, value)| (name.trim(), value.trim().trim_matches('"')))
                .collect(),
        )
    });
    items.collect()
}

fn quality(parameters: &[(&str, &str)]) -> f64 {
    let given = parameters
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("q"));
    given.map_or(1.0, |(_, value)| value.parse().unwrap_or(0.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Bound, Families, Family, Histogram};

    static GAUGE: Family<1> = Family::gauge("b_thing", "A thing.", ["x"]);
    static COUNTER: Family<0> = Family::counter("a_things_total", "Things.", []);

    fn example() -> Vec<Blocks> {
        let mut one = Families::default();
        one.add(&GAUGE, ["1"], 1.5);
        one.add(&COUNTER, [], 3.0);
        let mut two = Families::default();
        two.add_at(&GAUGE, ["2"], 2.0, Stamp::At(1_500));
        two.add_at(&GAUGE, ["2"], 3.0, Stamp::Scrape);
        vec![Blocks::new(&one.finish()), Blocks::new(&two.finish())]
    }

    #[test]
    fn a_family_of_several_services_is_one_block_in_the_text_format() {
        let expected = "# HELP a_things_total Things.\n# TYPE a_things_total counter\na_things_total 3\n\
                        # HELP b_thing A thing.\n# TYPE b_thing gauge\nb_thing{x=\"1\"} 1.5\n\
                        b_thing{x=\"2\"} 2 1500\nb_thing{x=\"2\"} 3 9000\n";
        assert_eq!(page(&example(), Format::Text, 9_000), expected);
    }

    #[test]
    fn openmetrics_names_counters_without_total_and_counts_seconds_and_ends() {
        let expected = "# HELP a_things Things.\n# TYPE a_things counter\na_things_total 3\n\
                        # HELP b_thing A thing.\n# TYPE b_thing gauge\nb_thing{x=\"1\"} 1.5\n\
                        b_thing{x=\"2\"} 2 1.500\nb_thing{x=\"2\"} 3 9.000\n# EOF\n";
        assert_eq!(page(&example(), Format::OpenMetrics, 9_000), expected);
    }

    static BOUNDS: [Bound; 1] = [Bound {
        value: 10.0,
        le: "10.0",
    }];
    static TIMES: Family<1> = Family::histogram("c_seconds", "Times.", ["x"]);

    #[test]
    fn a_histogram_is_written_alike_in_both_formats() {
        let mut families = Families::default();
        let mut histogram = Histogram::new(&BOUNDS);
        [2.5, 30.0]
            .iter()
            .for_each(|value| histogram.observe(*value));
        families.add_histogram(&TIMES, ["1"], &histogram);
        families.add_histogram(&TIMES, ["2"], &Histogram::new(&BOUNDS));
        let blocks = Blocks::new(&families.finish());
        let expected = "# HELP c_seconds Times.\n# TYPE c_seconds histogram\n\
                        c_seconds_bucket{le=\"10.0\",x=\"1\"} 1\nc_seconds_bucket{le=\"+Inf\",x=\"1\"} 2\n\
                        c_seconds_count{x=\"1\"} 2\nc_seconds_sum{x=\"1\"} 32.5\n\
                        c_seconds_bucket{le=\"10.0\",x=\"2\"} 0\nc_seconds_bucket{le=\"+Inf\",x=\"2\"} 0\n\
                        c_seconds_count{x=\"2\"} 0\nc_seconds_sum{x=\"2\"} 0\n";
        assert_eq!(page([&blocks], Format::Text, 0), expected);
        let open = format!("{expected}# EOF\n");
        assert_eq!(page([&blocks], Format::OpenMetrics, 0), open);
    }

    fn check_value(value: f64, expected: &str) {
        let mut text = String::new();
        write_value(value, &mut text);
        assert_eq!(text, expected);
    }

    #[test]
    fn numbers_are_written_without_loss() {
        check_value(0.0, "0");
        check_value(-1.0, "-1");
        check_value(0.1, "0.1");
        check_value(1_763_661_600_123.0, "1763661600123");
        check_value(187_000_000_000.0, "187000000000");
        check_value(f64::NAN, "NaN");
        check_value(f64::INFINITY, "+Inf");
        check_value(f64::NEG_INFINITY, "-Inf");
    }

    fn check_format(accept: &str, expected: Format) {
        assert_eq!(negotiate(accept), expected, "{accept:?}");
    }

    #[test]
    fn the_scraper_chooses_the_format() {
        check_format("", Format::Text);
        check_format("*/*", Format::Text);
        check_format("text/html,application/xhtml+xml,*/*;q=0.8", Format::Text);
        check_format("text/plain;version=0.0.4", Format::Text);
        check_format("application/openmetrics-text", Format::OpenMetrics);
        check_format(
            "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Format::OpenMetrics,
        );
        check_format("application/openmetrics-text;version=2.0.0", Format::Text);
        check_format("application/openmetrics-text;q=0", Format::Text);
        check_format(
            "application/openmetrics-text;q=0.5,text/plain;q=0.9",
            Format::Text,
        );
        let prometheus = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                          text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        check_format(prometheus, Format::OpenMetrics);
    }

    #[test]
    fn gzip_is_used_when_it_is_asked_for() {
        assert!(
            accepts_gzip("gzip") && accepts_gzip("deflate, GZIP;q=0.5") && accepts_gzip("br, gzip")
        );
        assert!(
            !accepts_gzip("")
                && !accepts_gzip("identity")
                && !accepts_gzip("gzip;q=0")
                && !accepts_gzip("*")
        );
    }
}
