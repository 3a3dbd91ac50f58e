//! Every request to an upstream: deadline, retries, redirects, size limit, failure kinds.
//!
//! It leaves the meaning of an answer to the source, which hands in a `decode` function. So many requests at once pass
//! a gate. Sources call it through their [`Upstream`], on the short-lived threads of their polls, since TLS and JSON take
//! stack; only [`crate::notify`] opens other connections, through it too.

mod body;
mod causes;
mod exchange;
mod failure;
mod fetcher;
mod mask;
mod proxy;
mod pulse;
mod redirect;
mod request;
mod retry_after;
mod slots;
mod suites;
mod trust;
mod upstream;
mod url;

pub use body::{BODY_LIMIT_BYTES, Body};
pub use exchange::Exchange;
pub use failure::{Failure, KINDS};
pub use fetcher::Fetcher;
pub use mask::Mask;
pub use proxy::Proxies;
pub use pulse::Pulse;
pub use redirect::Follow;
pub use request::{Answer, Attempt, Decoded, Request, Retry, RetryAfter, Statuses};
pub use slots::Slots;
pub use trust::Roots;
pub(crate) use upstream::panic_text;
pub use upstream::{Upstream, UpstreamSettings};
pub use url::{BadUrl, Url};
