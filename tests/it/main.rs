//! The binary as its users run it: real sockets, files, signals and TLS, against a simulated upstream that misbehaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod exporter;
mod fixtures;
mod pantheon_upstream;
mod upstream;

mod lifecycle;
mod page;
mod pantheon;
