//! A value that cannot be printed: a literal, or the content of a file that is read again at each use.

use std::fmt;
use std::path::{Path, PathBuf};

use super::problem::shown_path;

/// Largest secret file; a key or certificate never comes near it.
const FILE_LIMIT_BYTES: u64 = 64 * 1024;

/// A password, key, token or secret address. `Debug` shows where it comes from and never what it is.
#[derive(Clone)]
pub struct Secret(Place);

#[derive(Clone)]
enum Place {
    Literal(String),
    File(PathBuf),
}

/// A secret's file cannot be read, or is blank. Names the file, never its content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable(String);

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Secret {
    /// A secret that stands in the configuration or in a variable.
    pub fn literal(value: impl Into<String>) -> Secret {
        Secret(Place::Literal(value.into()))
    }

    /// A secret in a file, read once now to see that it can be.
    ///
    /// # Errors
    /// [`Unreadable`]: a start-up error.
    pub fn file(path: impl Into<PathBuf>) -> Result<Secret, Unreadable> {
        let path = path.into();
        read(&path)?;
        Ok(Secret(Place::File(path)))
    }

    /// The file that it is in, if it is in one.
    pub fn path(&self) -> Option<&Path> {
        match &self.0 {
            Place::Literal(_) => None,
            Place::File(path) => Some(path),
        }
    }

    /// The value, surrounding white space removed if it comes from a file.
    ///
    /// # Errors
    /// [`Unreadable`] when the file has gone; the next use tries again.
    pub fn reveal(&self) -> Result<String, Unreadable> {
        match &self.0 {
            Place::Literal(value) => Ok(value.clone()),
            Place::File(path) => read(path),
        }
    }
}

fn read(path: &Path) -> Result<String, Unreadable> {
    let size = std::fs::metadata(path).map(|data| data.len());
    let content = match size {
        Ok(size) if size > FILE_LIMIT_BYTES => Err("too large for a secret".to_owned()),
        Ok(_) => std::fs::read_to_string(path).map_err(|cause| cause.to_string()),
        Err(cause) => Err(cause.to_string()),
    };
    // A secret itself may stand where its file is wanted.
    let name = || shown_path(&path.to_string_lossy());
    match content.as_deref().map(str::trim) {
        Ok("") => Err(Unreadable(format!("file {} is blank", name()))),
        Ok(value) => Ok(value.to_owned()),
        Err(cause) => Err(Unreadable(format!(
            "file {} cannot be read: {cause}",
            name()
        ))),
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Literal(_) => f.write_str("Secret(literal)"),
            Place::File(path) => write!(f, "Secret(file {})", path.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_output_never_shows_the_value() {
        assert_eq!(
            format!("{:?}", Secret::literal("hunter2")),
            "Secret(literal)"
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        let cause = Secret::file("/nowhere/key").unwrap_err().to_string();
        assert!(cause.contains("/nowhere/key"), "{cause}");
    }
}
