//! Where things are looked for when nothing is said, and where those of the Python exporter's image were.

use std::path::Path;

/// Where services.json is looked for when none is given: here, and where the Python exporter's image had it.
pub(super) const USUAL_PLACES: [&str; 2] =
    ["./services.json", "/app/statuspage-exporter/services.json"];
/// Where the Python exporter's image had its cache: our default while something is mounted there.
pub(super) const OLD_CACHE: &str = "/app/statuspage-exporter/cache";
/// The list that runs when there is no services.json at all.
pub(super) const BUILT_IN: &str = include_str!("../../services.json.example");
/// The name of that list in messages.
pub(super) const BUILT_IN_NAME: &str = "built-in list (services.json.example)";
/// Largest services.json; 10,000 services need about 2 MB.
const FILE_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// Whether a folder exists and is, or lies in, something that is mounted. That it exists is not enough: the image brings
/// it, so that a fresh volume there belongs to the right user.
pub(super) fn is_mounted(folder: &Path) -> bool {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo");
    folder.is_dir() && mounts.is_ok_and(|mounts| has_mount(&mounts, folder))
}

/// `mounts` has a line for each mount, the fifth word of which is the place; see proc_pid_mountinfo(5).
fn has_mount(mounts: &str, folder: &Path) -> bool {
    let mut places = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    places.any(|place| place != "/" && folder.starts_with(place))
}

/// The text of a file of services.
pub(super) fn read_file(path: &str) -> std::io::Result<String> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_LIMIT_BYTES {
        return Err(std::io::Error::other(format!(
            "{size} bytes are too many for a list of services"
        )));
    }
    std::fs::read_to_string(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_mount(places: &[&str], expected: bool) {
        let line =
            |place: &&str| format!("36 35 98:0 /mnt1 {place} rw,noatime - ext3 /dev/root rw\n");
        let mounts: String = places.iter().map(line).collect();
        assert_eq!(
            has_mount(&mounts, OLD_CACHE.as_ref()),
            expected,
            "{places:?}"
        );
    }

    #[test]
    fn the_old_cache_counts_as_mounted_when_it_or_a_folder_around_it_is() {
        check_mount(&["/", "/app/statuspage-exporter/cache"], true);
        check_mount(&["/", "/app/statuspage-exporter"], true);
        check_mount(&["/", "/app"], true);
        check_mount(&["/", "/proc"], false);
        check_mount(&["/", "/app/statuspage-exporter/services.json"], false);
        check_mount(&["/", "/app/statuspage-exporter/cac"], false);
        check_mount(&[], false);
    }
}
