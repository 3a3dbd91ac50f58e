//! The last good state of every service on disk, and the names of all files in the cache folder.
//!
//! A file is written beside its place and renamed, so that a crash at any instant leaves the old or the new one,
//! whole. What a state means is the source's business; when it is worth writing too. The poller calls it, and
//! [`crate::history`] keeps its files under the names given here.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

use crate::fnv::fnv1a;
use crate::sorted::SortedSet;
use jiff::Timestamp;
use serde_json::Value;

/// Version of the state files; a file of another version is set aside.
const VERSION: u64 = 1;
/// Endings of our files. The Python exporter's end in `.json` and `.jsonl`, so the two never meet.
const STATE_ENDING: &str = "state";
const HISTORY_ENDING: &str = "history";
const OUTBOX_NAME: &str = "notifications.outbox";
/// Largest file that is read; a state of a page at its size limit stays below.
const FILE_LIMIT_BYTES: u64 = 64 * 1024 * 1024;
/// Longest part of a service key that becomes a file name; file systems allow 255 bytes.
const NAME_LIMIT_BYTES: usize = 120;

/// The cache folder.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Whether files of the Python exporter are taken over.
    takes_over: bool,
    /// Guards the files whose last write failed.
    failing: Mutex<SortedSet<PathBuf>>,
    /// Guards the number of writes under way.
    writes: Mutex<usize>,
    written: Condvar,
}

/// What an earlier process kept of a service.
#[derive(Debug)]
pub struct Kept {
    /// The source's own state.
    pub state: Value,
    /// When it was written.
    pub saved_at: Timestamp,
}

/// A write is under way while this lives; the end of the process waits for it.
#[derive(Debug)]
pub struct WriteGuard<'a>(&'a Cache);

impl Cache {
    /// Opens the folder, creating it where it is missing; `clear` deletes every file of ours in it first and
    /// takes nothing over.
    pub fn open(folder: &Path, clear: bool) -> Cache {
        let cache = Cache {
            folder: folder.to_owned(),
            takes_over: !clear,
            failing: Mutex::default(),
            writes: Mutex::new(0),
            written: Condvar::new(),
        };
        cache.note(
            folder,
            fs::create_dir_all(folder).and_then(|()| cache.try_write()),
        );
        if clear {
            cache.clear();
        }
        cache
    }

    /// What was kept of the service. A file that cannot be understood is set aside, with a warning.
    pub fn load(&self, key: &str) -> Option<Kept> {
        let path = self.path(key, STATE_ENDING);
        let text = self.read(&path)?;
        match parse(&text, key) {
            Ok(kept) => Some(kept),
            Err(what) => {
                self.set_aside(&path, &what);
                None
            }
        }
    }

    /// Keeps a service's state, given as JSON. False if it could not be written; the caller tries again later.
    pub fn save(&self, key: &str, kind: &str, state: &str, now: Timestamp) -> bool {
        let text = format!(
            "{{\"version\":{VERSION},\"service\":{},\"type\":{},\"saved_at\":{},\"state\":{state}}}\n",
            Value::from(key),
            Value::from(kind),
            now.as_millisecond()
        );
        let path = self.path(key, STATE_ENDING);
        self.note(&path, replace(&path, text.as_bytes()))
    }

    /// Sets the state of a service aside that its source does not understand.
    pub fn set_aside_state(&self, key: &str, what: &str) {
        self.set_aside(&self.path(key, STATE_ENDING), what);
    }

    /// Sets a file of ours aside: renamed, so that a person can look at it, with a warning.
    pub fn set_aside(&self, path: &Path, what: &str) {
        let outcome = fs::rename(path, aside(path));
        let done = if outcome.is_ok() {
            "renamed to *.corrupt"
        } else {
            "left in place"
        };
        log::warn!(file:% = path.display(), problem = what, done = done; "cache file set aside");
    }

    /// Where the uptime history of a service lies.
    pub fn history_path(&self, key: &str) -> PathBuf {
        self.path(key, HISTORY_ENDING)
    }

    /// The posts that wait to be delivered.
    pub fn outbox(&self) -> Option<String> {
        self.read(&self.folder.join(OUTBOX_NAME))
    }

    /// Replaces the posts that wait to be delivered.
    pub fn save_outbox(&self, text: &str) -> bool {
        let path = self.folder.join(OUTBOX_NAME);
        self.note(&path, replace(&path, text.as_bytes()))
    }

    /// The file of the Python exporter that holds the service's last answer, for the first start after it: none as
    /// soon as there has been a state of ours, even a damaged one.
    pub fn original_state(&self, key: &str) -> Option<String> {
        let own = self.path(key, STATE_ENDING);
        if own.exists() || aside(&own).exists() {
            return None;
        }
        self.read(&self.original_path(key, ".json")?)
    }

    /// The file of the Python exporter that holds the service's uptime samples.
    pub fn original_history(&self, key: &str) -> Option<File> {
        File::open(self.original_path(key, "_uptime.jsonl")?).ok()
    }

    /// Notes whether the write of a file succeeded; logs the change, not the repetition. On a full disk one file may
    /// still be written while another may not.
    pub fn note(&self, path: &Path, outcome: io::Result<()>) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let was_writable = failing.is_empty();
        let is_written = outcome.is_ok();
        match outcome {
            Ok(()) => {
                // The folder as such is only tried at the start.
                failing.remove(path);
                failing.remove(&self.folder);
                if !was_writable && failing.is_empty() {
                    log::info!(folder:% = self.folder.display(); "cache writable again");
                }
            }
            Err(cause) => {
                failing.insert(path.to_owned());
                if was_writable {
                    log::warn!(folder:% = self.folder.display(), cause:% = cause; "cache not writable, going on without; check owner, mode and free space");
                }
            }
        }
        is_written
    }

    /// Whether the last write of every file succeeded.
    pub fn is_writable(&self) -> bool {
        self.failing
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .is_empty()
    }

    /// Announces a write, so that the end of the process waits for it.
    pub fn begin_write(&self) -> WriteGuard<'_> {
        *self.writes.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        WriteGuard(self)
    }

    /// Waits until no write is under way, at most `limit`.
    pub fn finish_writes(&self, limit: Duration) {
        let writes = self.writes.lock().unwrap_or_else(PoisonError::into_inner);
        drop(
            self.written
                .wait_timeout_while(writes, limit, |writes| *writes > 0),
        );
    }

    fn path(&self, key: &str, ending: &str) -> PathBuf {
        self.folder.join(format!("{}.{ending}", file_name(key)))
    }

    /// The original used the key as it is; one that is no plain file name never had a file of its own.
    fn original_path(&self, key: &str, ending: &str) -> Option<PathBuf> {
        let is_plain = !key.is_empty() && !key.contains(['/', '\0']) && key != "." && key != "..";
        (self.takes_over && is_plain).then(|| self.folder.join(format!("{key}{ending}")))
    }

    fn read(&self, path: &Path) -> Option<String> {
        let file = match File::open(path) {
            Ok(file) => file,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return None,
            Err(cause) => {
                log::warn!(file:% = path.display(), cause:% = cause; "cache file not readable");
                return None;
            }
        };
        let mut bytes = Vec::new();
        let read = file.take(FILE_LIMIT_BYTES).read_to_end(&mut bytes);
        if let Err(cause) = read {
            log::warn!(file:% = path.display(), cause:% = cause; "cache file not readable");
            return None;
        }
        // Text that is not UTF-8 is left to the parser to refuse.
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn try_write(&self) -> io::Result<()> {
        let probe = self.folder.join(".probe.tmp");
        fs::write(&probe, b"x")?;
        fs::remove_file(&probe)
    }

    fn clear(&self) {
        let ours = |name: &str| {
            let name = name.trim_end_matches(".corrupt");
            name == OUTBOX_NAME
                || [STATE_ENDING, HISTORY_ENDING]
                    .iter()
                    .any(|end| name.ends_with(&format!(".{end}")))
        };
        let entries = fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let names = entries.filter(|entry| entry.file_name().to_str().is_some_and(ours));
        let removed = names
            .filter(|entry| fs::remove_file(entry.path()).is_ok())
            .count();
        log::info!(folder:% = self.folder.display(), files = removed; "cache cleared");
    }
}

impl Drop for WriteGuard<'_> {
    fn drop(&mut self) {
        *self.0.writes.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.written.notify_all();
    }
}

/// Where a file goes that cannot be understood.
fn aside(path: &Path) -> PathBuf {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".corrupt");
    aside.into()
}

fn parse(text: &str, key: &str) -> Result<Kept, String> {
    let mut document: Value =
        serde_json::from_str(text).map_err(|cause| format!("no JSON: {cause}"))?;
    match document.get("version").and_then(Value::as_u64) {
        Some(VERSION) => {}
        version => return Err(format!("version {version:?} instead of {VERSION}")),
    }
    if document.get("service").and_then(Value::as_str) != Some(key) {
        return Err("belongs to another service".to_owned());
    }
    let saved_at = document
        .get("saved_at")
        .and_then(Value::as_i64)
        .and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let state = document.get_mut("state").map(Value::take);
    match (state, saved_at) {
        (Some(state), Some(saved_at)) => Ok(Kept { state, saved_at }),
        _ => Err("incomplete".to_owned()),
    }
}

/// Puts `content` in the place of the file, or leaves the file as it is.
pub fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.tmp"));
    let written = write_new(&temporary, content).and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        // What was written so far takes room on a disk that may be full.
        let _ = fs::remove_file(&temporary);
    }
    written
}

fn write_new(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)?;
    file.write_all(content)?;
    // Without this a power failure could leave the new name on an empty file.
    file.sync_data()
}

/// A file name for any key: letters, digits, `-` and `_` stay, every other byte becomes `%XX`; the rest of a very
/// long key is replaced by its hash.
fn file_name(key: &str) -> String {
    let mut name = String::new();
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            other => name.push_str(&format!("%{other:02X}")),
        }
    }
    if name.len() > NAME_LIMIT_BYTES {
        // Only ASCII stands in the name, so it can be cut anywhere.
        name.truncate(NAME_LIMIT_BYTES);
        name.push_str(&format!("~{:016x}", fnv1a(key.as_bytes())));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(key: &str, expected: &str) {
        assert_eq!(file_name(key), expected);
    }

    #[test]
    fn a_key_never_leaves_the_folder() {
        check("github", "github");
        check("../../etc/passwd", "%2E%2E%2F%2E%2E%2Fetc%2Fpasswd");
        check("", "");
        check(".", "%2E");
        check("a.state", "a%2Estate");
        check("é\0", "%C3%A9%00");
        assert!(file_name(&"x/".repeat(10_000)).len() < 160);
        assert_ne!(
            file_name(&"x".repeat(10_000)),
            file_name(&"x".repeat(10_001))
        );
    }

    #[test]
    fn only_a_whole_file_of_this_version_and_service_is_taken() {
        let good =
            r#"{"version":1,"service":"a","type":"statuspage","saved_at":1,"state":{"x":1}}"#;
        assert!(parse(good, "a").is_ok());
        assert!(parse(good, "b").is_err());
        assert!(parse(&good.replace(":1,\"service", ":2,\"service"), "a").is_err());
        for end in 0..good.len() {
            assert!(parse(&good[..end], "a").is_err(), "cut at {end}");
        }
    }
}
