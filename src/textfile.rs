//! The page as a `.prom` file for node_exporter's textfile collector: whole or not at all.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Writes the page to `path`, by way of a temporary file in the same folder, which is created if it is missing.
///
/// # Errors
/// Those of the file system; the earlier file, if there is one, is untouched.
pub fn write(path: &Path, page: &str) -> io::Result<()> {
    let name = path
        .file_name()
        .ok_or_else(|| io::Error::other("names no file"))?;
    if let Some(folder) = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        fs::create_dir_all(folder)?;
    }
    // Its ending must not be `.prom`, or the collector would read it half-written.
    let temporary = path.with_file_name(format!(
        ".{}.{}.tmp",
        name.to_string_lossy(),
        std::process::id()
    ));
    let written = fs::write(&temporary, page)
        // The collector runs as another user.
        .and_then(|()| fs::set_permissions(&temporary, fs::Permissions::from_mode(0o644)))
        .and_then(|()| fs::rename(&temporary, path));
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}
