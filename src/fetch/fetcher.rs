//! What all requests of the process share: the gate, the proxies, and the clients with their trust.

use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig};

use super::trust::roots_in_turn;
use super::{Proxies, Pulse, Roots, Slots, suites};

/// ureq's buffers for sending and receiving; the default of 128 KB each costs memory and gains nothing.
const BUFFER_BYTES: usize = 16 * 1024;

/// What all requests of the process share.
#[derive(Debug)]
pub struct Fetcher {
    pub(super) slots: Slots,
    pub(super) pulse: Pulse,
    pub(super) proxies: Proxies,
    /// Instead of the built-in trust roots, from `SSL_CERT_FILE`.
    roots: Option<Roots>,
    /// For every service without a `ca_file` of its own.
    agents: Vec<Agent>,
}

impl Fetcher {
    /// `concurrency` requests may be under way at once.
    pub fn new(concurrency: usize, proxies: Proxies, roots: Option<Roots>) -> Fetcher {
        let agents = agents(roots.as_ref(), None);
        Fetcher {
            slots: Slots::new(concurrency),
            pulse: Pulse::default(),
            proxies,
            roots,
            agents,
        }
    }

    /// Until when polls may rightly be waiting for upstreams.
    pub fn pulse(&self) -> &Pulse {
        &self.pulse
    }

    /// The clients for a service: those of the process, or its own beside them.
    pub(super) fn agents(&self, ca: Option<&Roots>) -> Vec<Agent> {
        match ca {
            None => self.agents.clone(),
            Some(_) => agents(self.roots.as_ref(), ca),
        }
    }
}

fn agents(replaced: Option<&Roots>, added: Option<&Roots>) -> Vec<Agent> {
    roots_in_turn(replaced, added)
        .into_iter()
        .map(agent)
        .collect()
}

fn agent(roots: RootCerts) -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        // Redirects are followed here, hop by hop, so that a secret header never reaches another host.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .proxy(None)
        // A pooled connection that the upstream has closed meanwhile would fail a request without need.
        .max_idle_connections(0)
        .input_buffer_size(BUFFER_BYTES)
        .output_buffer_size(BUFFER_BYTES)
        .user_agent(crate::USER_AGENT)
        .tls_config(
            TlsConfig::builder()
                .root_certs(roots)
                .unversioned_rustls_crypto_provider(suites::provider())
                .build(),
        )
        .build()
        .new_agent()
}
