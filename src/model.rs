//! What a metric is: families with a fixed set of labels, samples, and the label text of a series.
//!
//! It leaves the meaning of a metric to the source that declares it, and the text of a page to
//! [`crate::exposition`]. Sources and [`crate::telemetry`] fill a [`Families`]; the poller hands it on.

use crate::sorted::{SortedMap, sort_by};

/// Longest text of one label, in characters. Longer text is cut, so that an upstream cannot make a
/// page of any size it likes; the longest name seen on a real page has 140 characters.
pub const LABEL_LIMIT_CHARS: usize = 2_048;

/// What kind of metric a family holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A value that goes up and down.
    Gauge,
    /// A value that only goes up while the process runs; its name ends in `_total`.
    Counter,
    /// Cumulative buckets, a sum and a count.
    Histogram,
}

impl Kind {
    /// The word of the `# TYPE` line.
    pub fn word(self) -> &'static str {
        match self {
            Kind::Gauge => "gauge",
            Kind::Counter => "counter",
            Kind::Histogram => "histogram",
        }
    }
}

/// A metric family with `N` labels: declared once, in the source that owns it.
///
/// The number of labels is part of the type, so that a forgotten label does not compile.
#[derive(Debug)]
pub struct Family<const N: usize> {
    /// Name of the metric.
    pub name: &'static str,
    /// The HELP text, also the text of the documentation tables.
    pub help: &'static str,
    /// Gauge, counter or histogram.
    pub kind: Kind,
    /// Label names in the order in which values are given.
    pub labels: [&'static str; N],
}

impl<const N: usize> Family<N> {
    /// Declares a gauge.
    pub const fn gauge(name: &'static str, help: &'static str, labels: [&'static str; N]) -> Self {
        Family {
            name,
            help,
            kind: Kind::Gauge,
            labels,
        }
    }

    /// Declares a counter.
    pub const fn counter(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Self {
        Family {
            name,
            help,
            kind: Kind::Counter,
            labels,
        }
    }

    /// Declares a histogram.
    pub const fn histogram(
        name: &'static str,
        help: &'static str,
        labels: [&'static str; N],
    ) -> Self {
        Family {
            name,
            help,
            kind: Kind::Histogram,
            labels,
        }
    }

    /// The same facts without the number of labels in the type, for tables of families.
    pub const fn meta(&'static self) -> FamilyMeta {
        FamilyMeta {
            name: self.name,
            help: self.help,
            kind: self.kind,
            labels: &self.labels,
        }
    }
}

/// A family's name, help, kind and label names.
#[derive(Clone, Copy, Debug)]
pub struct FamilyMeta {
    /// Name of the metric.
    pub name: &'static str,
    /// The HELP text.
    pub help: &'static str,
    /// Gauge, counter or histogram.
    pub kind: Kind,
    /// Label names.
    pub labels: &'static [&'static str],
}

/// An upper bound of a histogram's bucket, with the spelling that it has in the label `le`.
///
/// The spelling is part of the series' identity: `1.0` and `1` are two series to whoever stores them.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bound {
    /// The largest value that still falls into the bucket.
    pub value: f64,
    /// How the label `le` spells it.
    pub le: &'static str,
}

/// Counts of observed values by size, their sum and their number. The bucket `+Inf` is always there, so that it is
/// not among the bounds.
#[derive(Clone, Debug, PartialEq)]
pub struct Histogram {
    bounds: &'static [Bound],
    /// One for each bound: the values up to it, smaller ones included.
    counts: Box<[u64]>,
    sum: f64,
    count: u64,
}

impl Histogram {
    /// A histogram without values. `bounds` are in rising order.
    pub fn new(bounds: &'static [Bound]) -> Histogram {
        Histogram {
            bounds,
            counts: vec![0; bounds.len()].into(),
            sum: 0.0,
            count: 0,
        }
    }

    /// Counts a value.
    pub fn observe(&mut self, value: f64) {
        for (count, bound) in self.counts.iter_mut().zip(self.bounds) {
            *count += u64::from(value <= bound.value);
        }
        self.sum += value;
        self.count += 1;
    }
}

/// When a sample was taken, where that is not simply "now, at the scrape".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stamp {
    /// No time stamp is written: the scraper uses the time of its scrape.
    None,
    /// Unix milliseconds.
    At(i64),
    /// The time of the scrape, written out (so that it sorts after older points of the series).
    Scrape,
}

/// One value of one series.
#[derive(Clone, Debug)]
pub struct Sample {
    /// Suffix of the sample's name: empty, or a histogram's `_bucket`, `_count`, `_sum`.
    pub suffix: &'static str,
    /// The label text as it stands in an exposition, `{a="x",b="y"}` sorted by label name; empty without labels.
    pub labels: String,
    /// The value.
    pub value: f64,
    /// Its time.
    pub stamp: Stamp,
}

impl Sample {
    /// A sample without a time of its own.
    fn plain(suffix: &'static str, labels: String, value: f64) -> Sample {
        Sample {
            suffix,
            labels,
            value,
            stamp: Stamp::None,
        }
    }
}

/// A metric family with its samples.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    /// Name, help, kind, label names.
    pub meta: FamilyMeta,
    /// In label order, then in order of time, without a series twice at one time.
    pub samples: Vec<Sample>,
}

/// Labels that the configuration adds to every series of a service, by name.
pub type StaticLabels = SortedMap<String, String>;

/// The families of one service (or of the process) while they are being filled.
#[derive(Debug, Default)]
pub struct Families {
    static_labels: StaticLabels,
    families: SortedMap<&'static str, MetricFamily>,
}

impl Families {
    /// Starts with no sample; `static_labels` are added to every series.
    pub fn new(static_labels: &StaticLabels) -> Families {
        Families {
            static_labels: static_labels.clone(),
            families: SortedMap::new(),
        }
    }

    /// Adds one sample of the family: `values` in the order of its label names.
    pub fn add<const N: usize>(
        &mut self,
        family: &'static Family<N>,
        values: [&str; N],
        value: f64,
    ) {
        self.add_at(family, values, value, Stamp::None);
    }

    /// Adds one sample with a time of its own.
    pub fn add_at<const N: usize>(
        &mut self,
        family: &'static Family<N>,
        values: [&str; N],
        value: f64,
        stamp: Stamp,
    ) {
        let labels = self.label_text(family.labels.iter().copied().zip(values));
        self.push(
            family,
            Sample {
                suffix: "",
                labels,
                value,
                stamp,
            },
        );
    }

    /// Adds the buckets, the number and the sum of a histogram: `values` in the order of the family's label names.
    ///
    /// The caller adds the histograms of a family in label order. Of two with the same labels the first one stays.
    pub fn add_histogram<const N: usize>(
        &mut self,
        family: &'static Family<N>,
        values: [&str; N],
        histogram: &Histogram,
    ) {
        let own = || family.labels.iter().copied().zip(values);
        let labels = self.label_text(own());
        let is_there = self.families.get(family.name).is_some_and(|family| {
            let mut samples = family.samples.iter();
            samples.any(|sample| sample.suffix == "_count" && sample.labels == labels)
        });
        if is_there {
            return;
        }
        let bounds = histogram.bounds.iter().map(|bound| bound.le);
        let counts = histogram.counts.iter().copied();
        let infinite = std::iter::once(("+Inf", histogram.count));
        for (le, count) in bounds.zip(counts).chain(infinite) {
            let labels = self.label_text(own().chain([("le", le)]));
            self.push(family, Sample::plain("_bucket", labels, count as f64));
        }
        let count = Sample::plain("_count", labels.clone(), histogram.count as f64);
        self.push(family, count);
        self.push(family, Sample::plain("_sum", labels, histogram.sum));
    }

    /// The finished families, sorted by name, each with its samples in label order and no series twice.
    ///
    /// Of two samples of one series at one time the first one added stays.
    pub fn finish(self) -> Vec<MetricFamily> {
        let mut families: Vec<MetricFamily> = self.families.into_values().collect();
        for family in &mut families {
            // The buckets of a histogram keep the order in which they were added.
            if family.meta.kind != Kind::Histogram {
                sort_by(&mut family.samples, |a, b| {
                    (&a.labels, a.stamp).cmp(&(&b.labels, b.stamp))
                });
                family.samples.dedup_by(|later, first| {
                    later.labels == first.labels && later.stamp == first.stamp
                });
            }
        }
        families
    }

    fn push<const N: usize>(&mut self, family: &'static Family<N>, sample: Sample) {
        self.families
            .or_insert_with(family.name, || MetricFamily {
                meta: family.meta(),
                samples: Vec::new(),
            })
            .samples
            .push(sample);
    }

    fn label_text<'a>(&'a self, own: impl Iterator<Item = (&'a str, &'a str)>) -> String {
        let fixed = self
            .static_labels
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()));
        let mut pairs: Vec<(&str, &str)> = Vec::with_capacity(8);
        for (name, value) in own.chain(fixed) {
            let place = pairs.partition_point(|(known, _)| *known <= name);
            pairs.insert(place, (name, value));
        }
        label_text(&pairs)
    }
}

/// `{a="x",b="y"}` with escaped values; empty for no labels.
fn label_text(pairs: &[(&str, &str)]) -> String {
    if pairs.is_empty() {
        return String::new();
    }
    let mut text = String::with_capacity(
        pairs
            .iter()
            .map(|(name, value)| name.len() + value.len() + 4)
            .sum::<usize>()
            + 2,
    );
    let mut separator = '{';
    for (name, value) in pairs {
        text.push(separator);
        text.push_str(name);
        text.push_str("=\"");
        escape_label_value(cut(value, LABEL_LIMIT_CHARS), &mut text);
        text.push('"');
        separator = ',';
    }
    text.push('}');
    text
}

/// Appends `value` with backslash, quote and line feed escaped, as both exposition formats want it.
pub fn escape_label_value(value: &str, text: &mut String) {
    let mut rest = value;
    // A run at a time: nearly every value has nothing to escape. What is escaped is ASCII, so a slice there is a text.
    while let Some(place) = rest
        .bytes()
        .position(|byte| matches!(byte, b'\\' | b'"' | b'\n'))
    {
        text.push_str(rest.get(..place).unwrap_or_default());
        text.push_str(match rest.as_bytes().get(place) {
            Some(b'"') => "\\\"",
            Some(b'\n') => "\\n",
            _ => "\\\\",
        });
        rest = rest.get(place + 1..).unwrap_or_default();
    }
    text.push_str(rest);
}

/// The first `limit` characters of a text.
pub fn cut(text: &str, limit: usize) -> &str {
    // No text has more characters than bytes.
    if text.len() <= limit {
        return text;
    }
    match text.char_indices().nth(limit) {
        // `end` is the start of a character, so the slice is on a character boundary.
        Some((end, _)) => text.get(..end).unwrap_or(text),
        None => text,
    }
}

/// Whether `name` may be the name of a label: ASCII letters, digits and `_`, no digit first, not `__…`.
pub fn is_label_name(name: &str) -> bool {
    let mut characters = name.chars();
    characters
        .next()
        .is_some_and(|first| first.is_ascii_alphabetic() || first == '_')
        && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
        && !name.starts_with("__")
}

#[cfg(test)]
mod tests {
    use super::*;

    static PLAIN: Family<2> = Family::gauge("thing", "A thing.", ["b", "a"]);

    fn check(values: [&str; 2], expected: &str) {
        let mut families = Families::new(&StaticLabels::new());
        families.add(&PLAIN, values, 1.0);
        assert_eq!(families.finish()[0].samples[0].labels, expected);
    }

    #[test]
    fn labels_are_sorted_by_name_and_escaped() {
        check(["x", "y"], r#"{a="y",b="x"}"#);
        check(["", ""], r#"{a="",b=""}"#);
        check(["q\"b\\n\n", "é"], r#"{a="é",b="q\"b\\n\n"}"#);
    }

    #[test]
    fn static_labels_take_their_place_in_the_order() {
        let mut families = Families::new(&StaticLabels::from([("aa".into(), "1".into())]));
        families.add(&PLAIN, ["x", "y"], 1.0);
        assert_eq!(
            families.finish()[0].samples[0].labels,
            r#"{a="y",aa="1",b="x"}"#
        );
    }

    #[test]
    fn a_series_appears_once_and_the_first_value_stays() {
        let mut families = Families::default();
        families.add(&PLAIN, ["x", "y"], 1.0);
        families.add(&PLAIN, ["x", "y"], 2.0);
        families.add(&PLAIN, ["w", "y"], 3.0);
        let samples = &families.finish()[0].samples;
        assert_eq!(
            samples
                .iter()
                .map(|sample| sample.value)
                .collect::<Vec<_>>(),
            [3.0, 1.0]
        );
    }

    #[test]
    fn points_of_one_series_stay_apart_and_sort_by_time() {
        let mut families = Families::default();
        families.add_at(&PLAIN, ["x", "y"], 3.0, Stamp::Scrape);
        families.add_at(&PLAIN, ["x", "y"], 2.0, Stamp::At(20));
        families.add_at(&PLAIN, ["x", "y"], 1.0, Stamp::At(10));
        let samples = &families.finish()[0].samples;
        assert_eq!(
            samples
                .iter()
                .map(|sample| sample.value)
                .collect::<Vec<_>>(),
            [1.0, 2.0, 3.0]
        );
    }

    static BOUNDS: [Bound; 2] = [
        Bound {
            value: 0.5,
            le: "0.5",
        },
        Bound {
            value: 1.0,
            le: "1.0",
        },
    ];
    static TIMES: Family<2> = Family::histogram("times", "Times.", ["z", "a"]);

    #[test]
    fn a_histogram_is_cumulative_and_its_bounds_keep_their_spelling() {
        let mut histogram = Histogram::new(&BOUNDS);
        [0.5, 0.75, 3.0]
            .iter()
            .for_each(|value| histogram.observe(*value));
        let mut families = Families::default();
        families.add_histogram(&TIMES, ["x", "y"], &histogram);
        families.add_histogram(&TIMES, ["x", "y"], &Histogram::new(&BOUNDS));
        let samples = families.finish().remove(0).samples;
        let lines: Vec<String> = samples
            .iter()
            .map(|sample| format!("{}{} {}", sample.suffix, sample.labels, sample.value))
            .collect();
        let expected = [
            r#"_bucket{a="y",le="0.5",z="x"} 1"#,
            r#"_bucket{a="y",le="1.0",z="x"} 2"#,
            r#"_bucket{a="y",le="+Inf",z="x"} 3"#,
            r#"_count{a="y",z="x"} 3"#,
            r#"_sum{a="y",z="x"} 4.25"#,
        ];
        assert_eq!(
            lines, expected,
            "and a second one of the same labels is left out"
        );
    }

    #[test]
    fn text_is_cut_by_characters_and_not_by_bytes() {
        assert_eq!(cut("äöü", 2), "äö");
        assert_eq!(cut("äöü", 3), "äöü");
        assert_eq!(cut("", 0), "");
    }

    #[test]
    fn label_names_follow_the_data_model() {
        assert!(is_label_name("team") && is_label_name("_a1"));
        assert!(
            !is_label_name("")
                && !is_label_name("1a")
                && !is_label_name("a-b")
                && !is_label_name("__a")
        );
    }
}
