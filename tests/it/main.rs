//! One test binary: the program and its documents as their users meet them, over real sockets, files, signals and
//! TLS, against a simulated upstream that misbehaves.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub
)]

mod aaisp;
// Some of it is for the source's own tests, with a clock that is turned by hand.
#[allow(dead_code)]
mod aaisp_upstream;
mod exporter;
mod fixtures;
mod pantheon_upstream;
mod spacelift_upstream;
// Its clock is the demo program's.
#[allow(dead_code)]
#[path = "../../examples/demo/story/mod.rs"]
mod story;
mod upstream;

mod alerts;
mod attacks;
mod cache;
mod configuration;
mod dashboards;
mod demo;
mod documents;
mod gate;
mod install;
mod landing;
mod lifecycle;
mod misbehaviour;
mod notifications;
mod once;
mod page;
mod pantheon;
mod polling;
mod promql;
mod reload;
mod secrets;
mod shards;
mod signals;
mod spacelift;
mod spacelift_configuration;
mod supervisor;
mod tls;
