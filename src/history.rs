//! Uptime samples on disk, thirty days of them, and the share of good ones in three windows.
//!
//! One file a service: a ring of fixed records. Appending writes one record and reads the few that leave a
//! window; nothing else is read or written, and no sample is kept in memory once it is on disk. The statuspage
//! source owns one; [`crate::cache`] names the file.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::cache::{Cache, replace};

/// The windows that are shown: label and length.
pub const WINDOWS: [(&str, Duration); 3] = [
    ("24h", Duration::from_secs(24 * 3600)),
    ("7d", Duration::from_secs(7 * 24 * 3600)),
    ("30d", Duration::from_secs(30 * 24 * 3600)),
];
/// How long a sample counts.
const KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Room beyond one sample an interval: every start of the process polls at once.
const SPARE_RECORDS: u64 = 64;
/// Most records of a file: one a second for thirty days, 41 MB.
const RECORDS_LIMIT: u64 = 30 * 24 * 3600 + SPARE_RECORDS;
/// Samples that wait in memory while the folder cannot be written; at 20 minutes apart, 56 days.
const UNSAVED_LIMIT: usize = 4_096;
/// The file begins with this, then the number of records it has room for.
const MAGIC: &[u8; 8] = b"uptime 1";
/// Bytes of the head, and of one record: its number, then its content (see [`Sample`]).
const RECORD_BYTES: u64 = 16;

/// Unix milliseconds times four, plus two if the sample is of a live answer, plus one if the status was good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Sample(u64);

impl Sample {
    fn new(at: Timestamp, is_up: bool, is_live: bool) -> Sample {
        let ms = u64::try_from(at.as_millisecond()).unwrap_or(0);
        Sample(ms << 2 | u64::from(is_live) << 1 | u64::from(is_up))
    }

    fn ms(self) -> i64 {
        i64::try_from(self.0 >> 2).unwrap_or(i64::MAX)
    }

    fn is_live(self) -> bool {
        self.0 & 2 != 0
    }

    fn ups(self) -> u64 {
        self.0 & 1
    }
}

/// The samples from number `first` to the newest, and how many of them are good.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    first: u64,
    ups: u64,
}

/// The uptime history of one service.
#[derive(Debug)]
pub struct History {
    cache: Arc<Cache>,
    path: PathBuf,
    /// Records the file has room for.
    capacity: u64,
    /// Number of the next sample; the first one has number 1.
    next: u64,
    /// The newest samples, those that are not on disk yet.
    unsaved: VecDeque<Sample>,
    windows: [Window; WINDOWS.len()],
    last_live_ms: Option<i64>,
}

impl History {
    /// Opens the history of a service that is polled every `interval`. Without a file of ours it begins with
    /// what `import` gives: samples of an earlier program, oldest first.
    pub fn open(
        cache: &Arc<Cache>,
        key: &str,
        interval: Duration,
        now: Timestamp,
        import: impl FnOnce() -> Vec<(Timestamp, bool)>,
    ) -> History {
        let path = cache.history_path(key);
        let wanted =
            (KEPT.as_secs_f64() / interval.as_secs_f64().max(1.0)).ceil() as u64 + SPARE_RECORDS;
        let (samples, on_disk) = match fs::read(&path) {
            Ok(bytes) => match read_ring(&bytes) {
                Some((samples, capacity)) => (samples, Some(capacity)),
                None => {
                    cache.set_aside(&path, "no uptime history");
                    (Vec::new(), None)
                }
            },
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                (imported(import(), now), None)
            }
            // Kept in memory until the folder can be read and written again.
            Err(_) => (Vec::new(), None),
        };
        let needed = wanted
            .max(samples.len() as u64)
            .max(on_disk.unwrap_or(0))
            .min(RECORDS_LIMIT);
        let mut history = History {
            cache: Arc::clone(cache),
            path,
            capacity: needed,
            next: 1,
            unsaved: VecDeque::new(),
            windows: [Window { first: 1, ups: 0 }; WINDOWS.len()],
            last_live_ms: None,
        };
        history.take_up(&samples, on_disk, now);
        history
    }

    /// Adds the sample of a poll: whether the status was good, and whether it was seen or is the last known one.
    pub fn append(&mut self, now: Timestamp, is_up: bool, is_live: bool) {
        let sample = Sample::new(now, is_up, is_live);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .open(&self.path)
            .ok();
        self.forget_before(self.oldest_after_append(), file.as_ref());
        self.unsaved.push_back(sample);
        self.next += 1;
        for window in &mut self.windows {
            window.ups += sample.ups();
        }
        if is_live {
            self.last_live_ms = Some(sample.ms());
        }
        let saved = self.save(file);
        self.cache.note(&self.path, saved);
        self.forget_expired(now);
    }

    /// The share of good samples in each of [`WINDOWS`], in percent; none while a window holds no sample.
    pub fn percentages(&self) -> [Option<f64>; WINDOWS.len()] {
        self.windows.map(|window| {
            let count = self.next.saturating_sub(window.first);
            (count > 0).then(|| window.ups as f64 * 100.0 / count as f64)
        })
    }

    /// The time of the newest sample of a live answer.
    pub fn last_live(&self) -> Option<Timestamp> {
        Timestamp::from_millisecond(self.last_live_ms?).ok()
    }

    /// Begins with these samples, which lie in a file with room for `on_disk` records, if there is one.
    fn take_up(&mut self, samples: &[(u64, Sample)], on_disk: Option<u64>, now: Timestamp) {
        let keep = samples
            .get(samples.len().saturating_sub(self.capacity as usize)..)
            .unwrap_or(samples);
        let is_moved = on_disk != Some(self.capacity) && !keep.is_empty() && {
            let renumbered: Vec<Sample> = keep.iter().map(|(_, sample)| *sample).collect();
            let written = replace(&self.path, &ring(self.capacity, &renumbered));
            self.cache.note(&self.path, written)
        };
        if is_moved {
            self.next = 1 + keep.len() as u64;
        } else {
            self.next = keep.last().map_or(1, |(number, _)| number + 1);
            match on_disk {
                // The smaller file could not be replaced and goes on.
                Some(capacity) => self.capacity = capacity,
                None => {
                    self.unsaved = keep
                        .iter()
                        .rev()
                        .take(UNSAVED_LIMIT)
                        .rev()
                        .map(|(_, sample)| *sample)
                        .collect()
                }
            }
        }
        let keep = if on_disk.is_none() && !is_moved {
            keep.get(keep.len() - self.unsaved.len()..).unwrap_or(keep)
        } else {
            keep
        };
        let oldest = self.next - keep.len() as u64;
        for (window, (_, length)) in self.windows.iter_mut().zip(WINDOWS) {
            let since = begin_ms(now, length);
            let inside = keep
                .iter()
                .position(|(_, sample)| sample.ms() >= since)
                .unwrap_or(keep.len());
            window.first = oldest + inside as u64;
            window.ups = keep
                .iter()
                .skip(inside)
                .map(|(_, sample)| sample.ups())
                .sum();
        }
        self.last_live_ms = keep
            .iter()
            .rev()
            .find(|(_, sample)| sample.is_live())
            .map(|(_, sample)| sample.ms());
    }

    /// The number below which no sample can be had once one more is appended.
    fn oldest_after_append(&self) -> u64 {
        let by_file = (self.next + 1).saturating_sub(self.capacity);
        // Samples that never reached the disk are dropped, oldest first, when too many wait.
        let is_waiting_full = self.unsaved.len() >= UNSAVED_LIMIT;
        if is_waiting_full {
            by_file.max(self.next + 1 - UNSAVED_LIMIT as u64)
        } else {
            by_file
        }
    }

    fn forget_before(&mut self, oldest: u64, file: Option<&File>) {
        for index in 0..WINDOWS.len() {
            while self
                .windows
                .get(index)
                .is_some_and(|window| window.first < oldest.min(self.next))
            {
                self.leave(index, file);
            }
        }
        if self.unsaved.len() >= UNSAVED_LIMIT {
            self.unsaved.pop_front();
        }
    }

    fn forget_expired(&mut self, now: Timestamp) {
        let file = File::open(&self.path).ok();
        for (index, (_, length)) in WINDOWS.iter().enumerate() {
            let since = begin_ms(now, *length);
            while let Some(window) = self
                .windows
                .get(index)
                .filter(|window| window.first < self.next)
            {
                match self.sample(window.first, file.as_ref()) {
                    Some(sample) if sample.ms() >= since => break,
                    _ => self.leave(index, file.as_ref()),
                }
            }
        }
    }

    /// The oldest sample of a window leaves it.
    fn leave(&mut self, index: usize, file: Option<&File>) {
        let Some(window) = self.windows.get(index).copied() else {
            return;
        };
        // A record that cannot be read any more is taken for a good one, as nearly all are.
        let ups = self.sample(window.first, file).map_or(1, Sample::ups);
        if let Some(window) = self.windows.get_mut(index) {
            *window = Window {
                first: window.first + 1,
                ups: window.ups.saturating_sub(ups),
            };
        }
    }

    fn sample(&self, number: u64, file: Option<&File>) -> Option<Sample> {
        let first_unsaved = self.next - self.unsaved.len() as u64;
        if number >= first_unsaved {
            return self.unsaved.get((number - first_unsaved) as usize).copied();
        }
        let mut record = [0; RECORD_BYTES as usize];
        file?.read_exact_at(&mut record, self.place(number)).ok()?;
        let (found, sample) = split_record(&record)?;
        (found == number).then_some(sample)
    }

    /// Writes the samples that are not on disk yet.
    fn save(&mut self, file: Option<File>) -> io::Result<()> {
        let file = match file {
            Some(file) => file,
            None => self.open_or_create()?,
        };
        while let Some(sample) = self.unsaved.front() {
            let number = self.next - self.unsaved.len() as u64;
            file.write_all_at(&record(number, *sample), self.place(number))?;
            self.unsaved.pop_front();
        }
        Ok(())
    }

    /// Only a file that is not there is made, and then whole: a kill in between must leave no half of one, and a want
    /// of descriptors no empty one in the place of a month of samples.
    fn open_or_create(&self) -> io::Result<File> {
        let open = || OpenOptions::new().read(true).write(true).open(&self.path);
        match open() {
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => {
                replace(&self.path, &head(self.capacity))?;
                open()
            }
            opened => opened,
        }
    }

    fn place(&self, number: u64) -> u64 {
        RECORD_BYTES + (number - 1) % self.capacity * RECORD_BYTES
    }
}

/// The first millisecond of a window that ends now.
fn begin_ms(now: Timestamp, length: Duration) -> i64 {
    now.as_millisecond()
        .saturating_sub(i64::try_from(length.as_millis()).unwrap_or(i64::MAX))
}

fn imported(samples: Vec<(Timestamp, bool)>, now: Timestamp) -> Vec<(u64, Sample)> {
    let since = begin_ms(now, KEPT);
    let mut samples: Vec<Sample> = samples
        .into_iter()
        .filter(|(at, _)| at.as_millisecond() >= since && *at <= now)
        .map(|(at, is_up)| Sample::new(at, is_up, false))
        .collect();
    crate::sorted::sort_by(&mut samples, |a, b| a.ms().cmp(&b.ms()));
    (1..).zip(samples).collect()
}

fn head(capacity: u64) -> [u8; RECORD_BYTES as usize] {
    pair(*MAGIC, capacity.to_le_bytes())
}

fn record(number: u64, sample: Sample) -> [u8; RECORD_BYTES as usize] {
    pair(number.to_le_bytes(), sample.0.to_le_bytes())
}

fn pair(first: [u8; 8], second: [u8; 8]) -> [u8; RECORD_BYTES as usize] {
    let mut both = [0; RECORD_BYTES as usize];
    both[..8].copy_from_slice(&first);
    both[8..].copy_from_slice(&second);
    both
}

fn split_record(record: &[u8; RECORD_BYTES as usize]) -> Option<(u64, Sample)> {
    let (number, content) = record.split_at_checked(8)?;
    let number = u64::from_le_bytes(number.try_into().ok()?);
    Some((number, Sample(u64::from_le_bytes(content.try_into().ok()?))))
}

/// The bytes of a file with these samples, numbered from 1.
fn ring(capacity: u64, samples: &[Sample]) -> Vec<u8> {
    let mut bytes = head(capacity).to_vec();
    bytes.extend(
        (1..)
            .zip(samples)
            .flat_map(|(number, sample)| record(number, *sample)),
    );
    bytes
}

/// The samples of a file, oldest first with their numbers, and its capacity; none if it is no history.
///
/// A record counts if its number belongs at its place and follows on the one before: what a crash or a full disk
/// left half-written is passed over.
fn read_ring(bytes: &[u8]) -> Option<(Vec<(u64, Sample)>, u64)> {
    let (head, records) = bytes.split_at_checked(RECORD_BYTES as usize)?;
    let (magic, capacity) = head.split_at_checked(8)?;
    let capacity = u64::from_le_bytes(capacity.try_into().ok()?);
    if magic != MAGIC || capacity == 0 || capacity > RECORDS_LIMIT {
        return None;
    }
    // What is shorter than a record was left half-written, at the end.
    let (records, _) = records.as_chunks();
    let records: Vec<(u64, Sample)> = records.iter().filter_map(split_record).collect();
    let at = |number: u64| {
        let record = records.get(((number - 1) % capacity) as usize).copied();
        record.filter(|(found, _)| *found == number)
    };
    let newest = (0..)
        .zip(&records)
        .filter(|(place, (number, _))| *number > 0 && (number - 1) % capacity == *place);
    let newest = newest.map(|(_, (number, _))| *number).max().unwrap_or(0);
    let mut samples: Vec<(u64, Sample)> = (1..=newest)
        .rev()
        .take(capacity as usize)
        .map_while(at)
        .collect();
    samples.reverse();
    Some((samples, capacity))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);
    const HOUR: Duration = Duration::from_secs(3600);

    fn start() -> Timestamp {
        "2026-11-20T00:00:00Z".parse().expect("valid")
    }

    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Folder {
            let path = std::env::temp_dir().join(format!(
                "saas-exporter-history-{name}-{}",
                std::process::id()
            ));
            fs::create_dir_all(&path).expect("a temporary folder can be made");
            Folder(path)
        }

        fn open(&self, interval: Duration, now: Timestamp) -> History {
            History::open(
                &Arc::new(Cache::open(&self.0, false)),
                "svc",
                interval,
                now,
                Vec::new,
            )
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    #[test]
    fn a_window_without_a_sample_has_no_share() {
        let folder = Folder::new("empty");
        assert_eq!(folder.open(MINUTE, start()).percentages(), [None; 3]);
    }

    #[test]
    fn samples_leave_each_window_when_they_are_older_than_it() {
        let folder = Folder::new("windows");
        let mut history = folder.open(HOUR, start());
        history.append(start(), false, true);
        history.append(start() + 23 * HOUR, true, true);
        assert_eq!(history.percentages(), [Some(50.0); 3]);
        history.append(start() + 25 * HOUR, true, true);
        assert_eq!(
            history.percentages().map(|share| share.map(f64::round)),
            [Some(100.0), Some(67.0), Some(67.0)]
        );
        history.append(start() + 40 * 24 * HOUR, true, false);
        assert_eq!(history.percentages(), [Some(100.0); 3]);
        assert_eq!(history.last_live(), Some(start() + 25 * HOUR));
    }

    #[test]
    fn a_restart_at_any_moment_gives_the_same_shares_as_none() {
        let folder = Folder::new("restart");
        let mut one = folder.open(HOUR, start());
        let (mut now, mut seed) = (start(), 42u64);
        for _ in 0..2_000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            now += Duration::from_secs(seed >> 52);
            one.append(now, seed & 0x1000 == 0, true);
            if seed & 0xf0000 == 0 {
                let again = folder.open(HOUR, now);
                assert_eq!(again.percentages(), one.percentages());
                assert_eq!(again.last_live(), one.last_live());
                one = again;
            }
        }
    }

    #[test]
    fn the_file_stops_growing_and_the_oldest_sample_gives_way() {
        let folder = Folder::new("bounded");
        let mut history = folder.open(24 * HOUR, start());
        for second in 0..1_000 {
            history.append(start() + Duration::from_secs(second), second >= 500, true);
        }
        let size = fs::metadata(folder.0.join("svc.history"))
            .expect("the file is there")
            .len();
        assert_eq!(size, RECORD_BYTES * (1 + 30 + SPARE_RECORDS));
        assert_eq!(history.percentages(), [Some(100.0); 3]);
        assert_eq!(
            folder.open(24 * HOUR, start() + HOUR).percentages(),
            [Some(100.0); 3]
        );
    }

    #[test]
    fn a_shorter_interval_gets_a_larger_file_and_keeps_every_sample() {
        let folder = Folder::new("larger");
        let mut history = folder.open(24 * HOUR, start());
        (0..50).for_each(|second| {
            history.append(start() + Duration::from_secs(second), second % 2 == 0, true)
        });
        let mut history = folder.open(MINUTE, start() + HOUR);
        assert_eq!(history.percentages(), [Some(50.0); 3]);
        (0..50).for_each(|_| history.append(start() + HOUR, true, true));
        assert_eq!(
            folder.open(24 * HOUR, start() + HOUR).percentages(),
            [Some(75.0); 3]
        );
    }

    #[test]
    fn while_the_folder_is_missing_samples_wait_in_memory_and_are_written_later() {
        let folder = Folder::new("missing");
        let mut history = folder.open(HOUR, start());
        fs::remove_dir_all(&folder.0).expect("it can be removed");
        history.append(start(), true, true);
        history.append(start() + HOUR, false, true);
        assert_eq!(history.percentages(), [Some(50.0); 3]);
        fs::create_dir_all(&folder.0).expect("it can be made again");
        history.append(start() + 2 * HOUR, false, true);
        assert_eq!(
            folder.open(HOUR, start() + 2 * HOUR).percentages()[0].map(f64::round),
            Some(33.0)
        );
    }

    #[test]
    fn what_waits_in_memory_is_bounded() {
        let folder = Folder::new("waiting");
        let mut history = folder.open(Duration::from_secs(1), start());
        fs::remove_dir_all(&folder.0).expect("it can be removed");
        (0..2 * UNSAVED_LIMIT as u64).for_each(|second| {
            history.append(
                start() + Duration::from_secs(second),
                second >= UNSAVED_LIMIT as u64,
                true,
            );
        });
        assert_eq!(history.unsaved.len(), UNSAVED_LIMIT);
        assert_eq!(history.percentages(), [Some(100.0); 3]);
    }

    #[test]
    fn samples_of_an_earlier_program_are_taken_over_once_and_only_as_far_as_they_count() {
        let folder = Folder::new("import");
        let cache = Arc::new(Cache::open(&folder.0, false));
        let old = |days: u32| start() - days * 24 * HOUR;
        let samples = || vec![(old(40), false), (old(20), false), (old(0), true)];
        let history = History::open(&cache, "svc", HOUR, start(), samples);
        assert_eq!(
            history.percentages(),
            [Some(100.0), Some(100.0), Some(50.0)]
        );
        let again = History::open(&cache, "svc", HOUR, start(), || panic!("the file is there"));
        assert_eq!(again.percentages(), history.percentages());
    }

    #[test]
    fn no_bytes_make_a_history_that_cannot_be_read() {
        let mut seed = 7u64;
        for length in 0..600usize {
            let mut bytes = ring(30, &[Sample(5), Sample(9)]);
            bytes.resize(length, 0);
            for byte in bytes.iter_mut().skip(8) {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                *byte = if seed >> 62 == 0 {
                    (seed >> 40) as u8
                } else {
                    *byte
                };
            }
            if let Some((samples, capacity)) = read_ring(&bytes) {
                assert!(samples.len() as u64 <= capacity);
            }
        }
    }
}
