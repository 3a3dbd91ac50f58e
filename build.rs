//! Tells the program which compiler built it.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=RUSTC");
    println!("cargo:rustc-env=SAAS_EXPORTER_COMPILER={}", compiler());
}

/// `rustc-1.88.0`; without a number where the compiler does not tell it.
fn compiler() -> String {
    let asked = std::env::var_os("RUSTC")
        .and_then(|rustc| Command::new(rustc).arg("--version").output().ok());
    let answer = asked
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .unwrap_or_default();
    match answer.split_ascii_whitespace().nth(1) {
        Some(version) => format!("rustc-{version}"),
        None => "rustc".to_owned(),
    }
}
