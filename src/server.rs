//! Routes and answers: what a request gets that has passed the gate.
//!
//! [`Server::answer`] is called by the main loop for one request after the other; it reads the snapshot and waits
//! for nobody.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cache::Cache;
use crate::exposition::{self, Blocks, Format};
use crate::gate::{Answer, Body, Counters};
use crate::landing;
use crate::model::Families;
use crate::notify::Notifier;
use crate::pages::{Coding, Content, Pages};
use crate::shard::Shard;
use crate::snapshot::Snapshot;
use crate::telemetry::{self, ConfigHealth};

/// For how long the families of the process are shown as they were measured: reading /proc is a fifth of the cost of a
/// scrape, and nobody who scrapes a second time within this time wants to know better.
const PROCESS_FRESH: Duration = Duration::from_millis(100);

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
    /// For `saas_exporter_config_*`.
    pub config: Arc<ConfigHealth>,
    /// For `saas_exporter_shard*`.
    pub shard: Shard,
    /// What happened at the gate; none where nothing is served.
    pub gate: Option<Arc<Counters>>,
    /// What was put together for earlier scrapes.
    pub pages: Pages,
    /// The families of the process.
    pub process: ProcessFamilies,
}

/// The families of the process, as they were a moment ago at most.
#[derive(Debug, Default)]
pub struct ProcessFamilies(Option<(Instant, Blocks)>);

impl ProcessFamilies {
    fn blocks(&mut self, now: Instant) -> &Blocks {
        let is_fresh = |measured: &(Instant, Blocks)| {
            now.saturating_duration_since(measured.0) < PROCESS_FRESH
        };
        let kept = self.0.take().filter(is_fresh);
        let (_, blocks) = self.0.insert(kept.unwrap_or_else(|| {
            let mut families = Families::default();
            telemetry::add_process(&mut families);
            (now, Blocks::new(&families.finish()))
        }));
        blocks
    }
}

impl Server {
    /// The answer to a request.
    pub fn answer(&mut self, asked: &Asked<'_>) -> Answer {
        let path = asked.target.split('?').next().unwrap_or_default();
        let respond = match path {
            "/metrics" => Self::metrics,
            "/-/healthy" => Self::healthy,
            "/health" => Self::health,
            "/-/ready" => Self::ready,
            _ => return self.for_people(path),
        };
        respond(self, asked)
    }

    /// The page for the text file: without the families of the process, which node_exporter shows of its own.
    pub fn page_of_services(&self) -> String {
        let (_, entries) = self.snapshot.entries();
        let own = self.own();
        let parts = std::iter::once(&own).chain(entries.iter().map(|(_, entry)| &entry.blocks));
        exposition::page(parts, Format::Text, Timestamp::now().as_millisecond())
    }

    /// Drops what was kept for scrapers that do not come any more.
    pub fn forget_unused(&mut self) {
        self.pages.forget_unused(Instant::now());
    }

    fn metrics(&mut self, asked: &Asked<'_>) -> Answer {
        let format = exposition::negotiate(asked.accept);
        let coding = match exposition::accepts_gzip(asked.accept_encoding) {
            true => Coding::Gzip,
            false => Coding::Plain,
        };
        let (version, entries) = self.snapshot.entries();
        let own = self.own();
        let content = Content {
            entries: &entries,
            version,
            own: &own,
            process: self.process.blocks(Instant::now()),
            scrape_ms: Timestamp::now().as_millisecond(),
        };
        let body = self.pages.page(format, coding, &content);
        let mut headers = vec![
            ("Content-Type", format.content_type().to_owned()),
            ("Vary", "Accept, Accept-Encoding".to_owned()),
        ];
        if coding == Coding::Gzip {
            headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        Answer {
            status: 200,
            headers,
            body: Body::from(body),
        }
    }

    /// The families about the exporter's own parts.
    fn own(&self) -> Blocks {
        let mut own = Families::default();
        telemetry::add_exporter(&self.cache, &self.notifier, &mut own);
        telemetry::add_config(&self.config, self.shard, &mut own);
        if let Some(counters) = &self.gate {
            telemetry::add_gate(counters, &mut own);
        }
        Blocks::new(&own.finish())
    }

    /// The pages for people, and what stands nowhere.
    fn for_people(&self, path: &str) -> Answer {
        let Some(page) = landing::page(path, &self.snapshot.entries().1, Timestamp::now()) else {
            return text_answer(
                404,
                "Not found. There are /, /metrics, /api/v1/services, /-/healthy and /-/ready.\n",
            );
        };
        Answer {
            status: page.status,
            headers: page.headers(),
            body: page.body.as_ref().into(),
        }
    }

    fn healthy(&mut self, _: &Asked<'_>) -> Answer {
        text_answer(200, "saas-exporter is healthy.\n")
    }

    /// In the form of the program that the only service replaces, if that has one.
    fn health(&mut self, asked: &Asked<'_>) -> Answer {
        let (_, entries) = self.snapshot.entries();
        if let [(_, alone)] = entries.as_slice()
            && let Some(own) = &alone.status.own_health
        {
            let headers = vec![("Content-Type", "application/json".to_owned())];
            let body = own.clone().into();
            return Answer {
                status: 200,
                headers,
                body,
            };
        }
        self.healthy(asked)
    }

    fn ready(&mut self, _: &Asked<'_>) -> Answer {
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
