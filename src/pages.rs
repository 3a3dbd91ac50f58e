//! The page in the forms that scrapers ask for, each put together at most once per change.
//!
//! There are four forms: two formats, plain and gzip. What changes at every scrape (the `process_*` families) is put
//! in between. A gzip page is made of pieces that were packed one by one, each family of a few services: a change of
//! one service packs only its own pieces again. The server asks; [`crate::exposition`] writes the text.

use std::collections::{BTreeMap, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::{Compress, Compression, Crc, FlushCompress, Status};

use crate::exposition::{Blocks, Format, Lines, families};
use crate::snapshot::Entry;

/// A form that nobody has asked for in this time is dropped.
pub const UNUSED_LIMIT: Duration = Duration::from_secs(600);
/// Services whose lines are packed together: more pack better, fewer are packed again at a change.
const GROUP_SERVICES: usize = 16;
/// A stretch of a page smaller than this is packed as one piece: it packs better, and takes about 2 ms.
const WHOLE_LIMIT_BYTES: usize = 512 * 1024;
/// The families that change at every scrape; all of them begin with this, and nothing else does.
const PROCESS_PREFIX: &str = "process_";
/// A gzip head: no name, no time, unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of a deflate stream: fixed codes, no content.
const DEFLATE_END: [u8; 2] = [3, 0];
/// Longest content of a stored deflate block.
const STORED_LIMIT_BYTES: usize = 0xffff;

/// How a page is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Coding {
    /// As it is.
    Plain,
    /// Compressed.
    Gzip,
}

/// What a page is made from.
#[derive(Clone, Copy, Debug)]
pub struct Content<'a> {
    /// The entries of all services, by key.
    pub entries: &'a [(String, Arc<Entry>)],
    /// Grows with every change of the entries.
    pub version: u64,
    /// The exporter about itself.
    pub own: &'a Blocks,
    /// What changes at every scrape.
    pub process: &'a Blocks,
    /// The time of the scrape, Unix milliseconds.
    pub scrape_ms: i64,
}

/// The forms in use.
#[derive(Default)]
pub struct Pages {
    forms: BTreeMap<(Format, Coding), Form>,
}

impl std::fmt::Debug for Pages {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pages({} forms)", self.forms.len())
    }
}

/// One form: the page before and after the families of the process.
struct Form {
    version: Option<u64>,
    own: Blocks,
    before: Part,
    after: Part,
    packer: Packer,
    last_used: Instant,
}

/// A stretch of a page.
#[derive(Default)]
struct Part {
    /// As it is sent.
    bytes: Arc<[u8]>,
    /// Of the plain text.
    crc: Crc,
}

impl Pages {
    /// The page as pieces of shared bytes.
    pub fn page(
        &mut self,
        format: Format,
        coding: Coding,
        content: &Content<'_>,
    ) -> Vec<Arc<[u8]>> {
        let now = Instant::now();
        let form = self
            .forms
            .entry((format, coding))
            .or_insert_with(|| Form::new(now));
        form.last_used = now;
        if form.version != Some(content.version) || form.own != *content.own {
            form.renew(format, coding, content);
        }
        let process = text_of(&[content.process], format, content.scrape_ms, |_| true);
        match coding {
            Coding::Plain => vec![
                form.before.bytes.clone(),
                process.into_bytes().into(),
                form.after.bytes.clone(),
            ],
            Coding::Gzip => form.gzip(process.as_bytes()),
        }
    }

    /// Drops the forms that nobody has asked for lately.
    pub fn forget_unused(&mut self, now: Instant) {
        self.forms
            .retain(|_, form| now.saturating_duration_since(form.last_used) < UNUSED_LIMIT);
    }
}

impl Form {
    fn new(now: Instant) -> Form {
        Form {
            version: None,
            own: Blocks::default(),
            before: Part::default(),
            after: Part::default(),
            packer: Packer::default(),
            last_used: now,
        }
    }

    fn renew(&mut self, format: Format, coding: Coding, content: &Content<'_>) {
        let parts: Vec<&Blocks> = std::iter::once(content.own)
            .chain(content.entries.iter().map(|(_, entry)| &entry.blocks))
            .collect();
        match coding {
            Coding::Plain => {
                self.before = plain(text_of(
                    &parts,
                    format,
                    content.scrape_ms,
                    is_before_process,
                ));
                self.after = plain(
                    text_of(&parts, format, content.scrape_ms, is_after_process) + format.end(),
                );
            }
            Coding::Gzip => {
                let signatures = signatures(content);
                self.packer.forget_changed(&signatures);
                self.before =
                    self.packer
                        .pack(&parts, format, content.scrape_ms, is_before_process, "");
                self.after = self.packer.pack(
                    &parts,
                    format,
                    content.scrape_ms,
                    is_after_process,
                    format.end(),
                );
            }
        }
        // Points that carry the time of the scrape are different every time.
        let is_lasting = !parts.iter().any(|blocks| blocks.has_scrape_stamps());
        self.version = is_lasting.then_some(content.version);
        self.own = content.own.clone();
    }

    /// One gzip member: the packed parts, with the text of the process stored between them as it is.
    fn gzip(&self, process: &[u8]) -> Vec<Arc<[u8]>> {
        let mut middle = Vec::with_capacity(process.len() + 16);
        for piece in process.chunks(STORED_LIMIT_BYTES) {
            // The constant above keeps it within 16 bits.
            let length = piece.len() as u16;
            middle.push(0);
            middle.extend_from_slice(&length.to_le_bytes());
            middle.extend_from_slice(&(!length).to_le_bytes());
            middle.extend_from_slice(piece);
        }
        let mut crc = Crc::new();
        let mut of_process = Crc::new();
        of_process.update(process);
        for part in [&self.before.crc, &of_process, &self.after.crc] {
            crc.combine(part);
        }
        let mut end = DEFLATE_END.to_vec();
        end.extend_from_slice(&crc.sum().to_le_bytes());
        end.extend_from_slice(&crc.amount().to_le_bytes());
        vec![
            Arc::from(GZIP_HEAD),
            self.before.bytes.clone(),
            middle.into(),
            self.after.bytes.clone(),
            end.into(),
        ]
    }
}

fn is_before_process(family: &str) -> bool {
    family < PROCESS_PREFIX
}

fn is_after_process(family: &str) -> bool {
    family > PROCESS_PREFIX && !family.starts_with(PROCESS_PREFIX)
}

/// The text of the families whose name is wanted.
fn text_of(
    parts: &[&Blocks],
    format: Format,
    scrape_ms: i64,
    is_wanted: impl Fn(&str) -> bool,
) -> String {
    let mut text = String::new();
    for family in families(parts)
        .iter()
        .filter(|family| is_wanted(family.name()))
    {
        family.write_head(format, &mut text);
        for (_, lines) in &family.lines {
            lines.write(format, scrape_ms, &mut text);
        }
    }
    text
}

fn plain(text: String) -> Part {
    Part {
        bytes: text.into_bytes().into(),
        crc: Crc::new(),
    }
}

/// For every group of services a number that changes with any of them; the first group is the exporter itself.
fn signatures(content: &Content<'_>) -> Vec<u64> {
    let own = Signature::of(&content.own.text());
    let groups = content.entries.chunks(GROUP_SERVICES);
    let of_services = groups.map(|group| {
        let versions: Vec<u64> = group.iter().map(|(_, entry)| entry.version).collect();
        Signature::of(&versions)
    });
    std::iter::once(own).chain(of_services).collect()
}

struct Signature;

impl Signature {
    fn of(content: &impl Hash) -> u64 {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        hasher.finish()
    }
}

/// Packs pieces of a page and remembers them.
#[derive(Default)]
struct Packer {
    signatures: Vec<u64>,
    /// The lines of a family by group, and the heads of the families (group none).
    pieces: HashMap<(&'static str, Option<usize>), Vec<u8>>,
}

impl Packer {
    /// Forgets the pieces of groups whose signature is another one now.
    fn forget_changed(&mut self, signatures: &[u64]) {
        let earlier = &self.signatures;
        self.pieces.retain(|(_, group), _| {
            group.is_none_or(|group| {
                earlier.get(group) == signatures.get(group) && group < signatures.len()
            })
        });
        self.signatures = signatures.to_vec();
    }

    /// The wanted families and `end`, packed, beginning and ending at a whole byte.
    fn pack(
        &mut self,
        parts: &[&Blocks],
        format: Format,
        scrape_ms: i64,
        is_wanted: impl Fn(&str) -> bool,
        end: &str,
    ) -> Part {
        let mut deflate = Deflate::default();
        if parts
            .iter()
            .map(|blocks| blocks.text().len())
            .sum::<usize>()
            < WHOLE_LIMIT_BYTES
        {
            let text = text_of(parts, format, scrape_ms, is_wanted) + end;
            let mut crc = Crc::new();
            crc.update(text.as_bytes());
            return Part {
                bytes: deflate.pack(text.as_bytes()).into(),
                crc,
            };
        }
        let mut packed = Vec::new();
        let mut crc = Crc::new();
        let mut text = String::new();
        for family in families(parts)
            .iter()
            .filter(|family| is_wanted(family.name()))
        {
            text.clear();
            family.write_head(format, &mut text);
            crc.update(text.as_bytes());
            let head = self
                .pieces
                .entry((family.name(), None))
                .or_insert_with(|| deflate.pack(text.as_bytes()));
            packed.extend_from_slice(head);
            for group in family
                .lines
                .chunk_by(|(one, _), (other, _)| group_of(*one) == group_of(*other))
            {
                let Some((first, _)) = group.first() else {
                    continue;
                };
                let place = (family.name(), Some(group_of(*first)));
                let known = self.pieces.get(&place).filter(|_| !is_stamped(group));
                match known {
                    Some(piece) => {
                        group
                            .iter()
                            .for_each(|(_, lines)| crc.update(lines.text().as_bytes()));
                        packed.extend_from_slice(piece);
                    }
                    None => {
                        text.clear();
                        group
                            .iter()
                            .for_each(|(_, lines)| lines.write(format, scrape_ms, &mut text));
                        crc.update(text.as_bytes());
                        let piece = deflate.pack(text.as_bytes());
                        packed.extend_from_slice(&piece);
                        self.pieces.insert(place, piece);
                    }
                }
            }
        }
        crc.update(end.as_bytes());
        packed.extend_from_slice(&deflate.pack(end.as_bytes()));
        Part {
            bytes: packed.into(),
            crc,
        }
    }
}

/// The group of a part; the exporter itself is part 0.
fn group_of(part: usize) -> usize {
    part.div_ceil(GROUP_SERVICES)
}

/// Whether the text of a line depends on the format and the time of the scrape.
fn is_stamped(lines: &[(usize, Lines<'_>)]) -> bool {
    lines.iter().any(|(_, lines)| lines.is_stamped())
}

/// A compressor that is used again for each piece.
struct Deflate(Compress);

impl Default for Deflate {
    fn default() -> Deflate {
        // A page repeats itself so much that the fastest level already saves nine tenths.
        Deflate(Compress::new(Compression::fast(), false))
    }
}

impl Deflate {
    /// One piece that needs none before it: whole blocks, ended at a whole byte, and no last block.
    fn pack(&mut self, text: &[u8]) -> Vec<u8> {
        self.0.reset();
        let mut packed = Vec::with_capacity(text.len() / 8 + 64);
        let mut rest = text;
        loop {
            let before = self.0.total_in();
            let status = self.0.compress_vec(rest, &mut packed, FlushCompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            let has_room = packed.len() < packed.capacity();
            // A deflater does not fail; should it, the page is cut and its checksum tells.
            if rest.is_empty() && has_room || !matches!(status, Ok(Status::Ok | Status::BufError)) {
                return packed;
            }
            packed.reserve(packed.capacity().max(1024));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    use crate::model::{Families, Family, Stamp};
    use crate::snapshot::ServiceStatus;

    static LOW: Family<1> = Family::gauge("low", "Before the process.", ["service"]);
    static LONG: Family<2> = Family::gauge("long", "Long lines.", ["service", "text"]);
    static HIGH: Family<1> = Family::gauge("some", "After the process.", ["service"]);
    static STAMPED: Family<1> = Family::gauge("stamped", "With its time.", ["service"]);
    static PROCESS: Family<0> = Family::gauge("process_thing", "The process.", []);

    fn blocks(fill: impl FnOnce(&mut Families)) -> Blocks {
        let mut families = Families::default();
        fill(&mut families);
        Blocks::new(&families.finish())
    }

    fn entry(name: &str, value: f64, version: u64, is_stamped: bool) -> (String, Arc<Entry>) {
        // A long label, so that a few dozen services are more than is packed whole.
        let blocks = blocks(|families| {
            (0..30).for_each(|n| families.add(&LONG, [name, &n.to_string().repeat(1_000)], value));
            families.add(&LOW, [name], value);
            families.add(&HIGH, [name], value);
            if is_stamped {
                families.add_at(&STAMPED, [name], value, Stamp::Scrape);
            }
        });
        (
            name.to_owned(),
            Arc::new(Entry {
                blocks,
                status: ServiceStatus::default(),
                version,
            }),
        )
    }

    fn unpack(pieces: &[Arc<[u8]>]) -> String {
        let bytes: Vec<u8> = pieces
            .iter()
            .flat_map(|piece| piece.iter().copied())
            .collect();
        let mut text = String::new();
        // Checks the checksum and the length, and that nothing follows.
        flate2::read::GzDecoder::new(bytes.as_slice())
            .read_to_string(&mut text)
            .expect("valid gzip");
        text
    }

    fn plain_text(pieces: &[Arc<[u8]>]) -> String {
        pieces
            .iter()
            .map(|piece| String::from_utf8_lossy(piece).into_owned())
            .collect()
    }

    /// All four forms of this content; they must agree with each other and with a fresh page.
    fn check(pages: &mut Pages, content: &Content<'_>) -> String {
        for format in [Format::Text, Format::OpenMetrics] {
            let plain = plain_text(&pages.page(format, Coding::Plain, content));
            let packed = unpack(&pages.page(format, Coding::Gzip, content));
            let fresh = plain_text(&Pages::default().page(format, Coding::Plain, content));
            assert_eq!(plain, fresh);
            assert_eq!(packed, fresh);
            assert_eq!(plain.ends_with("# EOF\n"), format == Format::OpenMetrics);
        }
        plain_text(&pages.page(Format::Text, Coding::Plain, content))
    }

    #[test]
    fn every_form_is_the_same_page_through_any_changes() {
        let mut pages = Pages::default();
        let mut seed = 5u64;
        let mut random = |below: u64| {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (seed >> 33) % below
        };
        let mut entries: Vec<(String, Arc<Entry>)> = Vec::new();
        for version in 1..120u64 {
            let place = random(50) as usize;
            match random(4) {
                0 if !entries.is_empty() => drop(entries.remove(place % entries.len())),
                1 if place < entries.len() => {
                    entries[place] =
                        entry(&entries[place].0.clone(), version as f64, version, false)
                }
                _ => entries.push(entry(&format!("s{version}"), 1.0, version, false)),
            }
            let own = blocks(|families| families.add(&HIGH, ["own"], random(3) as f64));
            let process = blocks(|families| families.add(&PROCESS, [], random(100) as f64));
            let content = Content {
                entries: &entries,
                version,
                own: &own,
                process: &process,
                scrape_ms: 7,
            };
            let page = check(&mut pages, &content);
            let (low, process, some) = (
                page.find("\nlow"),
                page.find("\nprocess_"),
                page.find("\nsome"),
            );
            assert!((low.is_none() || low < process) && process < some, "{page}");
        }
    }

    #[test]
    fn a_point_that_carries_the_time_of_the_scrape_is_never_stale() {
        let mut pages = Pages::default();
        let entries = [entry("a", 1.0, 1, true), entry("b", 2.0, 2, false)];
        let none = Blocks::default();
        for scrape_ms in [1_000, 2_000] {
            let content = Content {
                entries: &entries,
                version: 2,
                own: &none,
                process: &none,
                scrape_ms,
            };
            assert!(
                check(&mut pages, &content)
                    .contains(&format!("stamped{{service=\"a\"}} 1 {scrape_ms}\n"))
            );
        }
    }

    #[test]
    fn an_unchanged_page_shares_its_bytes_and_an_unused_form_is_dropped() {
        let mut pages = Pages::default();
        let entries = [entry("a", 1.0, 1, false)];
        let none = Blocks::default();
        let content = Content {
            entries: &entries,
            version: 1,
            own: &none,
            process: &none,
            scrape_ms: 1,
        };
        let first = pages.page(Format::Text, Coding::Gzip, &content);
        let again = pages.page(Format::Text, Coding::Gzip, &content);
        assert!(Arc::ptr_eq(&first[1], &again[1]) && Arc::ptr_eq(&first[3], &again[3]));
        pages.forget_unused(Instant::now());
        assert_eq!(pages.forms.len(), 1);
        pages.forget_unused(Instant::now() + UNUSED_LIMIT);
        assert_eq!(pages.forms.len(), 0);
    }

    #[test]
    fn a_piece_of_any_size_is_packed_whole() {
        let mut deflate = Deflate::default();
        let mut seed = 1u64;
        for length in [0usize, 1, 100, 70_000, 1_000_000] {
            let mut noise = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                (seed >> 56) as u8
            };
            let text: Vec<u8> = (0..length).map(|_| noise()).collect();
            let mut packed = deflate.pack(&text);
            packed.extend_from_slice(&DEFLATE_END);
            let mut unpacked = Vec::new();
            flate2::read::DeflateDecoder::new(packed.as_slice())
                .read_to_end(&mut unpacked)
                .expect("valid");
            assert!(unpacked == text, "{length} bytes");
        }
    }
}
