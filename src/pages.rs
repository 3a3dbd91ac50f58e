//! The page in the forms that scrapers ask for, each put together at most once per change.
//!
//! There are four forms: two formats, plain and gzip. What changes at every scrape (the `process_*` families) is put
//! in between. A large page is made of pieces, each family of a few services: a change of one service makes only the
//! pieces of its group again. The server asks; [`crate::exposition`] writes the text.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crc32fast::Hasher as Crc;

use crate::exposition::{Blocks, Format, PageText, families, text_of};
use crate::model::FamilyMeta;
use crate::packing::{Packer, store};
use crate::snapshot::KeyedEntry;
use crate::sorted::SortedMap;
use crate::stamps::Stamped;

/// A form that nobody has asked for in this time is dropped.
pub const UNUSED_LIMIT: Duration = Duration::from_secs(600);
/// Services whose lines make a piece together: more pack better, fewer are made again at a change.
const GROUP_SERVICES: usize = 16;
/// A page smaller than this is one piece before and one after the process: it packs better, and takes about 2 ms.
const WHOLE_LIMIT_BYTES: usize = 512 * 1024;
/// The families that change at every scrape; all of them begin with this, and nothing else does.
const PROCESS_PREFIX: &str = "process_";
/// A gzip head: no name, no time, unknown system.
const GZIP_HEAD: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
/// The last block of a deflate stream: fixed codes, no content.
const DEFLATE_END: [u8; 2] = [3, 0];

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
    pub entries: &'a [KeyedEntry],
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
#[derive(Debug, Default)]
pub struct Pages {
    forms: SortedMap<(Format, Coding), Form>,
    packer: Packer,
}

/// One form: the page before and after the families of the process.
#[derive(Debug)]
struct Form {
    version: Option<u64>,
    own: Blocks,
    before: Part,
    after: Part,
    pieces: Pieces,
    last_used: Instant,
}

/// A stretch of a page.
#[derive(Debug, Default)]
struct Part {
    content: PartContent,
    plain_bytes: u64,
}

#[derive(Debug)]
enum PartContent {
    /// The same at every scrape: as it is sent, and the checksum of the plain text.
    Fixed { bytes: Vec<Arc<[u8]>>, crc: Crc },
    /// With points that carry the time of the scrape.
    Stamped(Stamped),
}

impl Default for PartContent {
    fn default() -> PartContent {
        PartContent::Fixed {
            bytes: Vec::new(),
            crc: Crc::new(),
        }
    }
}

impl Part {
    fn bytes(&self, moment: &str) -> Vec<Arc<[u8]>> {
        match &self.content {
            PartContent::Fixed { bytes, .. } => bytes.clone(),
            PartContent::Stamped(stamped) => stamped.bytes(moment),
        }
    }

    /// Of the plain text.
    fn crc(&self, moment: &str) -> Crc {
        match &self.content {
            PartContent::Fixed { crc, .. } => crc.clone(),
            PartContent::Stamped(stamped) => stamped.crc(moment),
        }
    }
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
            .or_insert_with((format, coding), || Form::new(now));
        form.last_used = now;
        if form.version != Some(content.version) || form.own != *content.own {
            let maker = Maker {
                format,
                coding,
                scrape_ms: content.scrape_ms,
                packer: &mut self.packer,
            };
            form.renew(maker, content);
        }
        let process = text_of([content.process], format, content.scrape_ms, |_| true).text;
        let moment = format.moment(content.scrape_ms);
        match coding {
            Coding::Plain => form.around(process.into_bytes(), &moment),
            Coding::Gzip => form.gzip(process.as_bytes(), &moment),
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
            pieces: Pieces::default(),
            last_used: now,
        }
    }

    fn renew(&mut self, mut maker: Maker<'_>, content: &Content<'_>) {
        let entries = content.entries.iter().map(|(_, entry)| &entry.blocks);
        let parts: Vec<&Blocks> = std::iter::once(content.own).chain(entries).collect();
        let end = maker.format.end();
        let has_stamps = parts.iter().any(|blocks| blocks.has_scrape_stamps());
        let bytes: usize = parts.iter().map(|blocks| blocks.text_bytes()).sum();
        let is_lasting = if has_stamps || bytes < WHOLE_LIMIT_BYTES {
            self.pieces = Pieces::default();
            let before = maker.whole(&parts, is_before_process, "");
            let after = maker.whole(&parts, is_after_process, end);
            let is_lasting = before.1 && after.1;
            (self.before, self.after) = (before.0, after.0);
            is_lasting
        } else {
            self.pieces.renew(&mut maker, &parts, signatures(content));
            self.before = self.pieces.part(&mut maker, &parts, is_before_process, "");
            self.after = self.pieces.part(&mut maker, &parts, is_after_process, end);
            true
        };
        self.version = is_lasting.then_some(content.version);
        self.own = content.own.clone();
    }

    /// The parts around what changes at every scrape.
    fn around(&self, middle: Vec<u8>, moment: &str) -> Vec<Arc<[u8]>> {
        let mut bytes = self.before.bytes(moment);
        bytes.push(middle.into());
        bytes.extend(self.after.bytes(moment));
        bytes
    }

    /// One gzip member: the packed parts, with the text of the process stored between them as it is.
    fn gzip(&self, process: &[u8], moment: &str) -> Vec<Arc<[u8]>> {
        let mut middle = Vec::with_capacity(process.len() + 16);
        store(process, &mut middle);
        let mut crc = self.before.crc(moment);
        crc.update(process);
        let after = self.after.crc(moment);
        crc.combine(&after);
        let mut end = DEFLATE_END.to_vec();
        end.extend_from_slice(&crc.finalize().to_le_bytes());
        // Its lowest 32 bits, as the format wants it.
        let length = self.before.plain_bytes + process.len() as u64 + self.after.plain_bytes;
        end.extend_from_slice(&(length as u32).to_le_bytes());
        let mut pieces = vec![Arc::from(GZIP_HEAD)];
        pieces.extend(self.around(middle, moment));
        pieces.push(end.into());
        pieces
    }
}

fn is_before_process(family: &str) -> bool {
    family < PROCESS_PREFIX
}

fn is_after_process(family: &str) -> bool {
    family > PROCESS_PREFIX && !family.starts_with(PROCESS_PREFIX)
}

/// For every group of services a number that changes with any of them; group 0 is the exporter itself.
fn signatures(content: &Content<'_>) -> Vec<u64> {
    let hash = |content: &dyn Fn(&mut DefaultHasher)| {
        let mut hasher = DefaultHasher::new();
        content(&mut hasher);
        hasher.finish()
    };
    let own = hash(&|hasher| {
        text_of([content.own], Format::Text, 0, |_| true)
            .text
            .hash(hasher)
    });
    let groups = content.entries.chunks(GROUP_SERVICES);
    let of_services = groups.map(|group| {
        hash(&|hasher| {
            group
                .iter()
                .for_each(|(_, entry)| entry.version.hash(hasher))
        })
    });
    std::iter::once(own).chain(of_services).collect()
}

/// Makes pieces of one form.
struct Maker<'a> {
    format: Format,
    coding: Coding,
    scrape_ms: i64,
    packer: &'a mut Packer,
}

impl Maker<'_> {
    fn piece(&mut self, text: String) -> Piece {
        let mut crc = Crc::new();
        crc.update(text.as_bytes());
        let plain_bytes = text.len() as u64;
        let bytes = match self.coding {
            Coding::Plain => text.into_bytes().into(),
            Coding::Gzip => self.packer.pack(&text).into(),
        };
        Piece {
            bytes,
            crc,
            plain_bytes,
        }
    }

    /// The wanted families and `end` in one, and whether they last until the next change.
    fn whole(
        &mut self,
        parts: &[&Blocks],
        is_wanted: impl Fn(&str) -> bool,
        end: &str,
    ) -> (Part, bool) {
        let PageText { mut text, places } = text_of(
            parts.iter().copied(),
            self.format,
            self.scrape_ms,
            is_wanted,
        );
        text.push_str(end);
        let plain_bytes = text.len() as u64;
        let moment = self.format.moment(self.scrape_ms);
        let stamped = match (self.coding, places.is_empty()) {
            (_, true) => None,
            (Coding::Plain, false) => Some(Stamped::plain(text.clone(), places.clone(), &moment)),
            (Coding::Gzip, false) => Stamped::packed(text.clone(), &places, &moment),
        };
        let is_lasting = stamped.is_some() || places.is_empty();
        let content = match stamped {
            Some(stamped) => PartContent::Stamped(stamped),
            None => {
                let Piece { bytes, crc, .. } = self.piece(text);
                PartContent::Fixed {
                    bytes: vec![bytes],
                    crc,
                }
            }
        };
        (
            Part {
                content,
                plain_bytes,
            },
            is_lasting,
        )
    }
}

/// The lines of one family of one group of services.
#[derive(Debug)]
struct Piece {
    bytes: Arc<[u8]>,
    /// Of the plain text, as is its length.
    crc: Crc,
    plain_bytes: u64,
}

/// The pieces of a large page. They are kept from one change to the next.
#[derive(Debug, Default)]
struct Pieces {
    signatures: Vec<u64>,
    pieces: HashMap<(&'static str, usize), Piece>,
}

impl Pieces {
    /// Makes the pieces of every group again whose signature is another one now.
    fn renew(&mut self, maker: &mut Maker<'_>, parts: &[&Blocks], signatures: Vec<u64>) {
        for (group, signature) in signatures.iter().enumerate() {
            let parts = parts.get(parts_of(group, parts.len())).unwrap_or_default();
            if self.signatures.get(group) == Some(signature) {
                continue;
            }
            self.pieces.retain(|(_, of_group), _| *of_group != group);
            let open: Vec<_> = parts.iter().map(|blocks| blocks.open()).collect();
            for family in families(&open) {
                let (mut text, moment) = (String::new(), maker.format.moment(maker.scrape_ms));
                for lines in &family.lines {
                    lines.write(maker.format, &moment, &mut text, &mut Vec::new());
                }
                self.pieces
                    .insert((family.meta.name, group), maker.piece(text));
            }
        }
        self.pieces
            .retain(|(_, group), _| *group < signatures.len());
        self.signatures = signatures;
    }

    /// The wanted families and `end`, out of the pieces.
    fn part(
        &self,
        maker: &mut Maker<'_>,
        parts: &[&Blocks],
        is_wanted: impl Fn(&str) -> bool,
        end: &str,
    ) -> Part {
        let mut metas: SortedMap<&str, &FamilyMeta> = SortedMap::new();
        for meta in parts
            .iter()
            .flat_map(|blocks| blocks.metas())
            .filter(|meta| is_wanted(meta.name))
        {
            metas.or_insert_with(meta.name, || meta);
        }
        let mut joined = Joined::default();
        for meta in metas.into_values() {
            let mut head = String::new();
            meta.write_head(maker.format, &mut head);
            joined.push(&maker.piece(head));
            for group in 0..self.signatures.len() {
                let piece = self.pieces.get(&(meta.name, group));
                piece.into_iter().for_each(|piece| joined.push(piece));
            }
        }
        joined.push(&maker.piece(end.to_owned()));
        let Joined {
            mut bytes,
            crc,
            plain_bytes,
        } = joined;
        if maker.coding == Coding::Gzip {
            // A packed page is small: one piece of it is sent faster than thousands.
            bytes = vec![bytes.concat().into()];
        }
        Part {
            content: PartContent::Fixed { bytes, crc },
            plain_bytes,
        }
    }
}

/// Pieces put one after the other.
#[derive(Default)]
struct Joined {
    bytes: Vec<Arc<[u8]>>,
    crc: Crc,
    plain_bytes: u64,
}

impl Joined {
    fn push(&mut self, piece: &Piece) {
        self.bytes.push(Arc::clone(&piece.bytes));
        self.crc.combine(&piece.crc);
        self.plain_bytes += piece.plain_bytes;
    }
}

/// The parts of a group among all `count` of them; part 0, the exporter itself, is group 0.
fn parts_of(group: usize, count: usize) -> std::ops::Range<usize> {
    match group.checked_sub(1) {
        None => 0..count.min(1),
        Some(services) => {
            let first = 1 + services * GROUP_SERVICES;
            first.min(count)..(first + GROUP_SERVICES).min(count)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    use crate::model::{Families, Family, Stamp};
    use crate::snapshot::{Entry, ServiceStatus};

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

    fn entry(name: &str, value: f64, version: u64, is_stamped: bool) -> KeyedEntry {
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
            name.into(),
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
        let mut entries: Vec<KeyedEntry> = Vec::new();
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
}
