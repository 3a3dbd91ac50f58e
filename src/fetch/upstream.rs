//! A service's way to its upstream: attempts and their pauses, redirects, the time-out of all of it, and what is counted.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::Agent;
use ureq::http::{HeaderMap, Response, header};

use super::exchange::{Exchange, Seen, shown_url};
use super::redirect::next_hop;
use super::request::{Answer, Attempt, Decoded, Request, RetryAfter, Statuses};
use super::retry_after::parse_retry_after;
use super::{BODY_LIMIT_BYTES, Body, Failure, Fetcher, Mask, Roots, Slots, Url, causes};
use crate::clock::{Clock, jitter};
use crate::config::Secret;
use crate::sorted::SortedMap;

/// Redirects that are followed; real pages need one or two.
const REDIRECT_LIMIT: usize = 5;

/// A service's way to its upstream: its time-out, headers and trust, and the count of its requests.
pub struct Upstream {
    fetcher: Arc<Fetcher>,
    clock: Arc<dyn Clock>,
    /// Tried one after the other until one trusts the upstream.
    agents: Vec<Agent>,
    timeout: Duration,
    headers: Vec<(String, Secret)>,
    /// Guards the number of requests by the label `code`.
    requests: Mutex<SortedMap<String, u64>>,
    /// Guards the last attempt of any request.
    last_exchange: Mutex<Option<Arc<Exchange>>>,
}

/// How a service wants to be asked, checked by [`crate::config`].
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// Limit of one call, from looking up the name to the last byte.
    pub timeout: Duration,
    /// Headers added to every request.
    pub headers: Vec<(String, Secret)>,
    /// Trust roots added to the usual ones.
    pub ca: Option<Roots>,
}

impl Upstream {
    /// The way to the upstream of one service.
    pub fn new(
        fetcher: Arc<Fetcher>,
        clock: Arc<dyn Clock>,
        settings: &UpstreamSettings,
    ) -> Upstream {
        Upstream {
            agents: fetcher.agents(settings.ca.as_ref()),
            fetcher,
            clock,
            timeout: settings.timeout,
            headers: settings.headers.clone(),
            requests: Mutex::default(),
            last_exchange: Mutex::default(),
        }
    }

    /// Sends a request, again where that may help, and decodes the answer.
    ///
    /// TLS and JSON take stack: call it on a thread that ends soon, as those of polls do.
    ///
    /// # Errors
    /// The failure of the last attempt, or what `decode` said.
    pub fn send<T>(
        &self,
        request: &Request<'_>,
        decode: impl Fn(&Answer) -> Result<T, Failure>,
    ) -> Result<Decoded<T>, Failure> {
        let mut value = None;
        let duration = self.send_and_decode(request, &mut |answer| {
            value = Some(decode(answer)?);
            Ok(())
        })?;
        // Success without a value does not happen: it is set before `decode` is said to have succeeded.
        let value = value.ok_or_else(|| Failure::Internal("nothing was decoded".to_owned()))?;
        Ok(Decoded { value, duration })
    }

    /// The same for every type of value, so that it is compiled once. Gives the duration of the good attempt.
    fn send_and_decode(
        &self,
        request: &Request<'_>,
        decode: &mut dyn FnMut(&Answer) -> Result<(), Failure>,
    ) -> Result<Duration, Failure> {
        let mut pauses = request.retry.pauses.iter();
        let mut attempts = 0;
        loop {
            attempts += 1;
            let failure = match self.attempt(request, attempts, decode) {
                Ok(duration) => return Ok(duration),
                Err(failure) => failure,
            };
            let is_passing = (request.retry.is_passing)(&failure);
            let Some(pause) = pauses.next().filter(|_| is_passing) else {
                return Err(failure);
            };
            let pause = pause.mul_f64(1.0 + request.retry.jitter_share * jitter());
            let pause = match (failure.retry_after(), request.retry.retry_after) {
                (None, _) => pause,
                (Some(asked), RetryAfter::AtMost(limit)) => asked.min(limit).max(pause),
                (Some(asked), RetryAfter::NotPast(end)) if self.clock.instant() + asked <= end => {
                    asked.max(pause)
                }
                (Some(_), RetryAfter::NotPast(_)) => return Err(failure),
            };
            let url = request
                .shown
                .map_or_else(|| request.url.to_string(), str::to_owned);
            crate::logging::debug!(url = url, kind = failure.kind(), pause_s = pause.as_secs_f64(); "request failed, asking again");
            self.fetcher.pulse.expect_within(pause);
            if self.clock.pause(pause).is_err() {
                return Err(failure);
            }
        }
    }

    /// Requests so far, by status code; `error` where no answer came.
    pub fn requests(&self) -> Vec<(String, u64)> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests
            .iter()
            .map(|(code, count)| (code.clone(), *count))
            .collect()
    }

    /// The last attempt of any request; none before the first.
    pub fn last_exchange(&self) -> Option<Arc<Exchange>> {
        let last = self.last_exchange.lock();
        last.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count(&self, code: String) {
        *self
            .requests
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .or_default(code) += 1;
    }

    fn attempt(
        &self,
        request: &Request<'_>,
        number: u32,
        decode: &mut dyn FnMut(&Answer) -> Result<(), Failure>,
    ) -> Result<Duration, Failure> {
        let _own_slot = request.slots.map(Slots::take);
        let _slot = self.fetcher.slots.take();
        // Its worker is not wanted any more: an upstream is not asked in vain.
        if self.clock.pause(Duration::ZERO).is_err() {
            return Err(Failure::gone());
        }
        self.fetcher.pulse.expect_within(self.timeout);
        let started = Instant::now();
        let mut seen = Seen::default();
        let mask = self.mask(request);
        // ureq panics when it gets no thread to look a name up.
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            self.ask_once(request, started, &mut seen, &mask, decode)
        }));
        let outcome = outcome
            .unwrap_or_else(|panic| Err(Failure::Internal(panic_text(panic.as_ref()))))
            .map_err(|failure| mask.failure(failure));
        let (status, duration) = (seen.status, started.elapsed());
        self.note_exchange(Exchange {
            method: request.body.as_ref().map_or("GET", |_| "POST"),
            url: shown_url(request, &mask),
            ended: self.clock.now(),
            duration,
            attempt: number,
            status,
            head: seen.head.into(),
            body_bytes: seen.body_bytes,
        });
        if let Some(observe) = request.observe {
            let failure = outcome.as_ref().err();
            observe(&Attempt {
                status,
                failure,
                duration,
            });
        }
        outcome
    }

    fn note_exchange(&self, exchange: Exchange) {
        let last = self.last_exchange.lock();
        *last.unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(exchange));
    }

    fn ask_once(
        &self,
        request: &Request<'_>,
        started: Instant,
        seen: &mut Seen,
        mask: &Mask,
        decode: &mut dyn FnMut(&Answer) -> Result<(), Failure>,
    ) -> Result<Duration, Failure> {
        let mut response = self.exchange(request, started, seen, mask)?;
        let headers = std::mem::take(response.headers_mut());
        if announced_bytes(&headers).is_some_and(|bytes| bytes > BODY_LIMIT_BYTES) {
            return Err(Failure::TooLarge {
                limit_bytes: BODY_LIMIT_BYTES,
            });
        }
        // ureq's own limit counts compressed bytes; ours sees what the decoder gives.
        let body = Body::read(response.body_mut().as_reader())
            .map_err(|unread| causes::of_body(unread, self.timeout))?;
        seen.body_bytes = Some(body.bytes);
        let duration = body.ended.saturating_duration_since(started);
        decode(&Answer {
            status: response.status().as_u16(),
            headers,
            body,
            mask: mask.clone(),
        })?;
        Ok(duration)
    }

    /// Hides what goes out with a request. A header that cannot be had is not sent either.
    fn mask(&self, request: &Request<'_>) -> Mask {
        let headers = self.headers.iter().flat_map(|(_, value)| value.reveal());
        let of_proxies = self.fetcher.proxies.secrets();
        let ours: Vec<String> = headers.chain(of_proxies).collect();
        let of_query = request.url.query_values();
        let of_source = request.secrets.iter().copied();
        Mask::of(
            ours.iter()
                .map(String::as_str)
                .chain(of_query)
                .chain(of_source),
        )
    }

    /// Request and the head of its answer, redirects included, within the time-out.
    fn exchange(
        &self,
        request: &Request<'_>,
        started: Instant,
        seen: &mut Seen,
        mask: &Mask,
    ) -> Result<Response<ureq::Body>, Failure> {
        let mut url = request.url.clone();
        for _ in 0..=REDIRECT_LIMIT {
            let response = self
                .call(request, &url, started)
                .inspect_err(|_| self.count("error".to_owned()))?;
            let status = response.status().as_u16();
            self.count(status.to_string());
            seen.note(&response, mask);
            match status {
                200..=299 => return Ok(response),
                304 if request.is_conditional() => return Ok(response),
                300..=399 => url = next_hop(request, &url, &response)?,
                _ if request.statuses == Statuses::Any => return Ok(response),
                code => {
                    let retry_after = self.retry_after(response.headers());
                    return Err(Failure::Status { code, retry_after });
                }
            }
        }
        Err(Failure::Redirect(format!(
            "more than {REDIRECT_LIMIT} of them, a loop perhaps"
        )))
    }

    /// One hop: asks with the trust of the first client, and with the next one's if the upstream is not trusted.
    fn call(
        &self,
        request: &Request<'_>,
        url: &Url,
        started: Instant,
    ) -> Result<Response<ureq::Body>, Failure> {
        let mut outcome = Err(Failure::Internal("no client to ask with".to_owned()));
        for agent in &self.agents {
            let left = self.timeout.saturating_sub(started.elapsed());
            if left.is_zero() {
                let phase = "the end of the redirects";
                return Err(Failure::Timeout {
                    phase,
                    limit: self.timeout,
                });
            }
            outcome = self.call_with(agent, request, url, left);
            if !matches!(outcome, Err(Failure::Tls(_))) {
                break;
            }
        }
        outcome
    }

    fn call_with(
        &self,
        agent: &Agent,
        request: &Request<'_>,
        url: &Url,
        timeout: Duration,
    ) -> Result<Response<ureq::Body>, Failure> {
        let head = self.head(request, url)?;
        let proxy = self.fetcher.proxies.choose(url).cloned();
        // The cause is not shown: it could hold the value.
        let unsendable =
            |_| Failure::Config("a header holds characters that cannot be sent".to_owned());
        let sent = match &request.body {
            None => run(agent, head.body(()).map_err(unsendable)?, timeout, proxy),
            Some(body) => {
                let body = head.body(body.as_slice()).map_err(unsendable)?;
                run(agent, body, timeout, proxy)
            }
        };
        sent.map_err(|cause| causes::of_call(&cause, self.timeout))
    }

    /// Method, address and headers.
    fn head(
        &self,
        request: &Request<'_>,
        url: &Url,
    ) -> Result<ureq::http::request::Builder, Failure> {
        let mut head = match request.body {
            None => ureq::http::Request::get(url.uri()),
            Some(_) => ureq::http::Request::post(url.uri()),
        };
        for (name, value) in &request.headers {
            head = head.header(*name, value);
        }
        // A header of the service may be a key: it is for the host of the configured URL alone.
        if url.origin() == request.url.origin() {
            for (name, value) in &self.headers {
                let value = value
                    .reveal()
                    .map_err(|cause| Failure::Config(cause.to_string()))?;
                head = head.header(name.as_str(), value);
            }
        }
        Ok(head)
    }

    /// How long an answer asks to be left alone.
    pub fn retry_after(&self, headers: &HeaderMap) -> Option<Duration> {
        parse_retry_after(
            headers.get(header::RETRY_AFTER)?.to_str().ok()?,
            self.clock.now(),
        )
    }
}

fn run(
    agent: &Agent,
    request: ureq::http::Request<impl ureq::AsSendBody>,
    timeout: Duration,
    proxy: Option<ureq::Proxy>,
) -> Result<Response<ureq::Body>, ureq::Error> {
    let request = agent
        .configure_request(request)
        .timeout_global(Some(timeout))
        .proxy(proxy)
        .build();
    agent.run(request)
}

/// The size that the answer announces; none for a compressed one.
fn announced_bytes(headers: &HeaderMap) -> Option<usize> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// What a panic said.
pub(crate) fn panic_text(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fetch::{Proxies, Retry};

    /// Sends one GET to a server that always answers `answer`, on a clock that jumps; gives the failure, the pauses
    /// in milliseconds and the statuses that the observer saw.
    fn send(
        answer: &'static str,
        retry: Retry<'_>,
    ) -> (Option<Failure>, Vec<u128>, Vec<Option<u16>>) {
        send_and(answer, retry, |_| Ok(()))
    }

    fn send_and(
        answer: &'static str,
        retry: Retry<'_>,
        decode: impl Fn(&Answer) -> Result<(), Failure>,
    ) -> (Option<Failure>, Vec<u128>, Vec<Option<u16>>) {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}/", listener.local_addr().expect("bound"));
        std::thread::spawn(move || {
            for mut connection in listener.incoming().flatten() {
                let _ = connection.read(&mut [0; 4096]);
                let _ = connection.write_all(answer.as_bytes());
            }
        });
        let clock = Arc::new(crate::clock::fake::FakeClock::at("2026-11-20T08:49:30Z"));
        let fetcher = Arc::new(Fetcher::new(1, Proxies::default(), None));
        let settings = UpstreamSettings {
            timeout: Duration::from_secs(5),
            headers: Vec::new(),
            ca: None,
        };
        let upstream = Upstream::new(fetcher, clock.clone(), &settings);
        let statuses = Mutex::new(Vec::new());
        let observe =
            |attempt: &Attempt<'_>| statuses.lock().expect("no panic").push(attempt.status);
        let url = Url::parse(&url).expect("valid");
        let request = Request {
            retry,
            observe: Some(&observe),
            ..Request::get(&url)
        };
        let failure = upstream.send(&request, decode).err();
        let pauses = clock.pauses().iter().map(Duration::as_millis).collect();
        (failure, pauses, statuses.into_inner().expect("no panic"))
    }

    const PAUSES: &[Duration] = &[
        Duration::from_millis(500),
        Duration::from_secs(1),
        Duration::from_secs(2),
    ];
    const BUSY: &str =
        "HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[test]
    fn pauses_are_as_given_and_a_failure_that_stays_is_given_up() {
        let retry = Retry {
            pauses: PAUSES,
            ..Retry::NEVER
        };
        let broken = "HTTP/1.1 502 Bad\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (failure, pauses, statuses) = send(broken, retry);
        assert_eq!(
            failure,
            Some(Failure::Status {
                code: 502,
                retry_after: None
            })
        );
        assert_eq!(
            (pauses, statuses),
            (vec![500, 1_000, 2_000], vec![Some(502); 4])
        );
        let missing = "HTTP/1.1 404 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        assert_eq!(send(missing, retry).1, [0u128; 0]);
    }

    #[test]
    fn a_retry_after_is_waited_for_up_to_a_limit_or_ends_the_request() {
        let retry = Retry {
            pauses: PAUSES,
            ..Retry::NEVER
        };
        let at_most = |seconds| RetryAfter::AtMost(Duration::from_secs(seconds));
        assert_eq!(
            send(
                BUSY,
                Retry {
                    retry_after: at_most(300),
                    ..retry
                }
            )
            .1,
            [7_000; 3]
        );
        assert_eq!(
            send(
                BUSY,
                Retry {
                    retry_after: at_most(1),
                    ..retry
                }
            )
            .1,
            [1_000, 1_000, 2_000]
        );
        let soon = RetryAfter::NotPast(Instant::now() + Duration::from_secs(3));
        let (failure, pauses, _) = send(
            BUSY,
            Retry {
                retry_after: soon,
                ..retry
            },
        );
        assert_eq!(
            failure.and_then(|failure| failure.retry_after()),
            Some(Duration::from_secs(7))
        );
        assert_eq!(pauses, [0u128; 0]);
    }

    #[test]
    fn a_panic_while_decoding_is_a_failure() {
        let good = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
        let (failure, _, _) = send_and(good, Retry::NEVER, |_| panic!("boom"));
        assert_eq!(failure, Some(Failure::Internal("panic: boom".to_owned())));
    }
}
