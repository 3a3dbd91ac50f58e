//! Routes and answers: what a request gets that has passed the gate.
//!
//! [`Server::answer`] is called by the main loop for one request after the other; it reads the snapshot and waits
//! for nobody.

use std::io::Write;
use std::sync::Arc;

use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;

use crate::cache::Cache;
use crate::exposition::{self, Blocks, Format};
use crate::gate::{Answer, Body};
use crate::landing;
use crate::model::Families;
use crate::notify::Notifier;
use crate::snapshot::Snapshot;
use crate::telemetry;

/// What is asked, as far as we care. The gate lets only GET and HEAD through, and drops the body of a HEAD's answer.
#[derive(Debug, Default)]
pub struct Asked<'a> {
    /// The target: path and query.
    pub target: &'a str,
    /// The `Accept` header, empty without one.
    pub accept: &'a str,
    /// The `Accept-Encoding` header, empty without one.
    pub accept_encoding: &'a str,
}

/// Answers requests from what the workers have published.
#[derive(Debug)]
pub struct Server {
    /// What is shown.
    pub snapshot: Arc<Snapshot>,
    /// For `saas_exporter_cache_writable`.
    pub cache: Arc<Cache>,
    /// For `saas_exporter_notifications_total`.
    pub notifier: Notifier,
}

impl Server {
    /// The answer to a request.
    pub fn answer(&self, asked: &Asked<'_>) -> Answer {
        let path = asked.target.split('?').next().unwrap_or_default();
        let respond = match path {
            "/metrics" => Self::metrics,
            "/" => Self::landing_page,
            "/-/healthy" | "/health" => Self::healthy,
            "/-/ready" => Self::ready,
            _ => {
                return text_answer(
                    404,
                    "Not found. There are /, /metrics, /-/healthy and /-/ready.\n",
                );
            }
        };
        respond(self, asked)
    }

    /// The page without compression; `with_process` adds the `process_*` families.
    pub fn page(&self, format: Format, with_process: bool) -> String {
        let entries = self.snapshot.entries();
        let mut own = Families::default();
        telemetry::add_exporter(&self.cache, &self.notifier, &mut own);
        if with_process {
            telemetry::add_process(&mut own);
        }
        let own = Blocks::new(&own.finish());
        let parts = std::iter::once(&own).chain(entries.iter().map(|(_, entry)| &entry.blocks));
        exposition::page(parts, format, Timestamp::now().as_millisecond())
    }

    fn metrics(&self, asked: &Asked<'_>) -> Answer {
        let format = exposition::negotiate(asked.accept);
        let page = self.page(format, true);
        let mut headers = vec![
            ("Content-Type", format.content_type().to_owned()),
            ("Vary", "Accept, Accept-Encoding".to_owned()),
        ];
        let compressed = exposition::accepts_gzip(asked.accept_encoding)
            .then(|| gzip(page.as_bytes()))
            .flatten();
        let body = match compressed {
            Some(compressed) => {
                headers.push(("Content-Encoding", "gzip".to_owned()));
                compressed
            }
            None => page.into_bytes(),
        };
        Answer {
            status: 200,
            headers,
            body: Body::from(Arc::<[u8]>::from(body)),
        }
    }

    fn landing_page(&self, _: &Asked<'_>) -> Answer {
        let page = landing::page(&self.snapshot.entries(), Timestamp::now());
        let headers = vec![
            ("Content-Type", "text/html; charset=utf-8".to_owned()),
            (
                "Content-Security-Policy",
                landing::SECURITY_POLICY.to_owned(),
            ),
            ("X-Content-Type-Options", "nosniff".to_owned()),
            ("Cache-Control", "no-store".to_owned()),
        ];
        Answer {
            status: 200,
            headers,
            body: page.into(),
        }
    }

    fn healthy(&self, _: &Asked<'_>) -> Answer {
        text_answer(200, "saas-exporter is healthy.\n")
    }

    fn ready(&self, _: &Asked<'_>) -> Answer {
        if self.snapshot.is_ready() {
            text_answer(200, "saas-exporter is ready.\n")
        } else {
            text_answer(
                503,
                "Not ready: not every service has been polled or loaded from the cache yet.\n",
            )
        }
    }
}

fn text_answer(status: u16, text: &str) -> Answer {
    let headers = vec![("Content-Type", "text/plain; charset=utf-8".to_owned())];
    Answer {
        status,
        headers,
        body: text.into(),
    }
}

fn gzip(bytes: &[u8]) -> Option<Vec<u8>> {
    // A page repeats itself so much that the fastest level already saves nine tenths.
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 8), Compression::fast());
    encoder.write_all(bytes).ok()?;
    encoder.finish().ok()
}
