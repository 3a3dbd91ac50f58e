//! Tells the program what it is built from: compiler, target, revision. None of them can make the build fail.

use std::env;
use std::path::PathBuf;
use std::process::Command;

/// Characters of a commit that are shown: what `git log` needs to find it in any repository, and no more with the years.
const REVISION_CHARS: usize = 12;
/// What the program is made of.
const PLACES: [&str; 5] = [
    "build.rs",
    "Cargo.lock",
    "Cargo.toml",
    "services.json.example",
    "src",
];

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    for variable in ["RUSTC", "SAAS_EXPORTER_REVISION"] {
        println!("cargo:rerun-if-env-changed={variable}");
    }
    let target = env::var("TARGET").unwrap_or_default();
    println!("cargo:rustc-env=SAAS_EXPORTER_COMPILER={}", compiler());
    println!("cargo:rustc-env=SAAS_EXPORTER_TARGET={target}");
    println!("cargo:rustc-env=SAAS_EXPORTER_REVISION={}", revision());
}

/// `rustc-1.88.0`; without a number where the compiler does not tell it.
fn compiler() -> String {
    let asked =
        env::var_os("RUSTC").and_then(|rustc| Command::new(rustc).arg("--version").output().ok());
    let answer = asked
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    match answer.split_ascii_whitespace().nth(1) {
        Some(version) => format!("rustc-{version}"),
        None => "rustc".to_owned(),
    }
}

/// What the variable says; without it, for a release build in a git checkout of this program, its commit. Other builds
/// do not ask: they would be made again after every commit.
fn revision() -> String {
    let given = env::var("SAAS_EXPORTER_REVISION").unwrap_or_default();
    if !given.trim().is_empty() {
        return given.trim().to_owned();
    }
    let is_release = env::var("PROFILE").is_ok_and(|profile| profile == "release");
    let commit = if is_release { commit() } else { None };
    commit.unwrap_or_else(|| "unknown".to_owned())
}

/// The checked-out commit, with `-dirty` behind it if a file that the program is made of differs from it.
fn commit() -> Option<String> {
    // An unpacked archive may lie in a repository that is not ours.
    let folder = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR")?);
    let top = git(&["rev-parse", "--show-toplevel"])?;
    if folder.canonicalize().ok()? != PathBuf::from(top).canonicalize().ok()? {
        return None;
    }
    let commit = git(&["rev-parse", "HEAD"])?;
    let changes = git(&[&["status", "--porcelain", "--"], &PLACES[..]].concat())?;
    // The log of HEAD grows with every commit, checkout and reset.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    for place in PLACES.into_iter().chain([log.as_str()]) {
        println!("cargo:rerun-if-changed={place}");
    }
    let dirty = if changes.is_empty() { "" } else { "-dirty" };
    Some(commit.chars().take(REVISION_CHARS).collect::<String>() + dirty)
}

/// What git answers; none without git, or where it refuses.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let answer = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| answer.trim().to_owned())
}
