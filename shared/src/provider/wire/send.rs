//! Sending, in three layers: `ask` retries, `authorised` has a management key that works, `send`
//! puts one request on the wire. The retries here are the only ones: neither redirects nor the HTTP
//! client send anything a second time.

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::Mutex;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderName, RETRY_AFTER};
use http::{HeaderMap, HeaderValue};
use jiff::fmt::rfc2822::DateTimeParser;
use jiff::{SignedDuration, Timestamp};
use reqwest::{Response, Url};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::Instant;

use crate::clock::{Clock, Moment};
use crate::deadline::Deadline;
use crate::provider::Provider;
use crate::provider::wire::calls::{Again, Call, CallRequest};
use crate::provider::wire::error;
use crate::provider::wire::error::{FailureKind, ProviderError, Result, Trouble};
use crate::provider::wire::json::Unreadable;
use crate::secrets::{ManagementKey, SecretError};
use crate::start::locked;

/// The number of retries of a call that may be sent again.
const MORE_TRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The time left below which no other try is made.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
/// The longest answer that is read; a page of a hundred keys has about a hundredth of it.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;
/// How often a line says what answers took.
const EACH_MINUTE: Duration = Duration::from_secs(60);
/// The number of requests that are under way at once.
const AT_ONCE: usize = 4;

/// What the provider's answers took since the last line about it, which is written once a minute.
#[derive(Debug, Default)]
pub(crate) struct Latency(Mutex<Tally>);

#[derive(Debug, Default)]
struct Tally {
    since: Option<Instant>,
    calls: u64,
    failed: u64,
    total_ms: u64,
    slowest_ms: u64,
}

impl Latency {
    fn note(&self, took_ms: u64, has_failed: bool) {
        let mut tally = locked(&self.0);
        tally.calls += 1;
        tally.failed += u64::from(has_failed);
        tally.total_ms += took_ms;
        tally.slowest_ms = tally.slowest_ms.max(took_ms);
        if tally
            .since
            .is_some_and(|since| since.elapsed() < EACH_MINUTE)
        {
            return;
        }
        let Tally {
            calls,
            failed,
            total_ms,
            slowest_ms,
            ..
        } = *tally;
        *tally = Tally {
            since: Some(Instant::now()),
            ..Tally::default()
        };
        tracing::info!(
            calls,
            failed,
            mean_ms = total_ms / calls,
            slowest_ms,
            "the provider's answers"
        );
    }
}

impl Provider {
    /// Asks until there is an answer, the request is refused, or the time is up. `read` parses the
    /// text of a 2xx answer.
    pub(crate) async fn ask<T>(
        &self,
        request: CallRequest<'_>,
        deadline: Deadline,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T> {
        let waits = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_jitter();
        let mut waits = waits.without_max_times().build();
        let retries = if request.call.retry == Again::Reads {
            MORE_TRIES
        } else {
            0
        };
        let mut failed = 0;
        let mut wait = Duration::ZERO;
        loop {
            wait = wait.max(self.pace.wait(deadline));
            if !wait.is_zero() && !request.call.passes_waits {
                if wait + SHORTEST_TRY > deadline.left() {
                    let refused =
                        not_begun(request.call, "it was asked too much, and is asked later");
                    return Err(ProviderError {
                        after: Some(wait),
                        ..refused
                    });
                }
                self.http.sleep(wait, deadline).await;
            }
            let error = match self.authorise(&request, deadline, &read).await {
                Ok(answer) => return Ok(answer),
                Err(error) => error,
            };
            // Who is only asked for patience is no nearer to giving up.
            failed += usize::from(error.trouble.status != Some(429));
            wait = match error.after {
                Some(retry_after) => retry_after,
                None => waits.next().unwrap_or(LONGEST_WAIT),
            };
            let has_time = wait.max(self.pace.wait(deadline)) + SHORTEST_TRY <= deadline.left();
            if !error.may_pass() || retries == 0 || failed > retries || !has_time {
                return Err(error);
            }
        }
    }

    /// Makes one try, and a second with a freshly read management key if the cached one was
    /// refused, by a 401 where it does not only read. The refusal is believed when the provider
    /// refuses the key itself too.
    async fn authorise<T>(
        &self,
        request: &CallRequest<'_>,
        deadline: Deadline,
        read: &impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T> {
        let call = request.call;
        let key = self.key(call, deadline, self.keys.current()).await?;
        let refused = match self.send(request, &key, deadline, read).await {
            Err(error) if error.is_of_the_key() => error,
            outcome => return outcome,
        };
        let may_be_sent_again = call.retry == Again::Reads || refused.trouble.status == Some(401);
        match self.key(call, deadline, self.keys.refresh(&key)).await {
            Ok(fresh) if fresh != key && deadline.leaves(call.time_out) => {
                self.check_key(&fresh, deadline).await?;
                if !may_be_sent_again {
                    return Err(self.doubt_key(refused, &fresh, deadline).await);
                }
                match self.send(request, &fresh, deadline, read).await {
                    Err(error) if error.is_of_the_key() => {
                        Err(self.doubt_key(error, &fresh, deadline).await)
                    }
                    outcome => outcome,
                }
            }
            _ => Err(self.doubt_key(refused, &key, deadline).await),
        }
    }

    pub(crate) async fn key(
        &self,
        call: &Call,
        deadline: Deadline,
        future: impl Future<Output = Result<ManagementKey, SecretError>>,
    ) -> Result<ManagementKey> {
        match deadline.wait_for(future).await {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => {
                let kind = if error.may_pass() {
                    FailureKind::Later
                } else {
                    FailureKind::ManagementKey
                };
                Err(ProviderError::unsent(kind, call, error.to_string()))
            }
            Err(_) => Err(not_begun(call, "the management key was not read in time")),
        }
    }

    /// Sends one request on the wire, logged by its operation, status and id.
    pub(crate) async fn send<T>(
        &self,
        request: &CallRequest<'_>,
        key: &ManagementKey,
        deadline: Deadline,
        read: &impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T> {
        let call = request.call;
        if let Some(rate) = &self.rate {
            rate.turn().await;
        }
        let turn = self.pace.turn(deadline).await;
        let time_left = deadline.left();
        // A call that cannot be repeated gets its whole time-out or is not begun.
        if turn.is_none()
            || time_left.is_zero()
            || (call.retry == Again::Never && time_left < call.time_out)
        {
            return Err(not_begun(call, "there is too little time left"));
        }
        let begun = Instant::now();
        let time_out = call.time_out.min(time_left);
        let ended = match deadline
            .limit_to(time_out)
            .wait_for(self.exchange(request, key))
            .await
        {
            Ok(ended) => ended,
            Err(_) => Err(Broken::TimedOut),
        };
        let answer = ended.as_ref().ok();
        let status = answer.map(|answer| answer.status);
        let request_id = answer.and_then(|answer| answer.request_id.clone());
        let outcome = judge(call, ended, time_out, read);
        if let (Some(429 | 503), Some(retry_after)) =
            (status, outcome.as_ref().err().and_then(|error| error.after))
        {
            self.pace.slow_down(retry_after, deadline);
        }
        let operation = call.name;
        let took_ms = begun.elapsed().as_millis() as u64;
        self.latency.note(took_ms, outcome.is_err());
        match &outcome {
            Ok(_) if call.retry == Again::Reads => {
                tracing::debug!(
                    operation,
                    status,
                    request_id,
                    took_ms,
                    "the provider answered"
                );
            }
            Ok(_) => tracing::info!(
                operation,
                status,
                request_id,
                took_ms,
                "the provider answered"
            ),
            Err(_) => tracing::warn!(
                operation,
                status,
                request_id,
                took_ms,
                "the provider did not do it"
            ),
        }
        outcome
    }

    async fn exchange(
        &self,
        request: &CallRequest<'_>,
        key: &ManagementKey,
    ) -> Result<ApiAnswer, Broken> {
        let url = url(&self.http.base, request).ok_or(Broken::Unsent(
            "its base address is no web address".to_owned(),
        ))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
            .map_err(|_| Broken::Unsent("bad key".to_owned()))?;
        authorization.set_sensitive(true);
        let client = self
            .http
            .client(request.call)
            .map_err(|error| Broken::from_error(&error))?;
        let mut sent = client
            .request(request.call.method.clone(), url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json");
        if let Some(body) = &request.body {
            sent = sent
                .header(CONTENT_TYPE, "application/json")
                .body(body.clone());
        }
        let response = sent
            .send()
            .await
            .map_err(|error| Broken::from_error(&error))?;
        Ok(ApiAnswer::read(response).await)
    }
}

struct ApiAnswer {
    status: u16,
    headers: HeaderMap,
    request_id: Option<String>,
    /// The body; an error if it broke off or is no text.
    body: Result<String, Unreadable>,
}

enum Broken {
    /// The provider cannot have received the request.
    Unsent(String),
    TimedOut,
    /// The request may have arrived; its answer did not.
    Lost,
}

impl ApiAnswer {
    async fn read(mut response: Response) -> ApiAnswer {
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        let request_id = ["x-request-id", "x-generation-id", "cf-ray"]
            .iter()
            .find_map(|name| headers.get(*name)?.to_str().ok())
            .map(|id| error::harmless(&id.chars().take(100).collect::<String>()));
        let mut bytes = Vec::new();
        let body = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER => {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(Some(_)) => break Err(Unreadable("the answer is absurdly long".to_owned())),
                Ok(None) => {
                    break String::from_utf8(bytes)
                        .map_err(|_| Unreadable("the answer is no text".to_owned()));
                }
                Err(_) => break Err(Unreadable("the answer broke off".to_owned())),
            }
        };
        ApiAnswer {
            status,
            headers,
            request_id,
            body,
        }
    }
}

impl Broken {
    fn from_error(error: &reqwest::Error) -> Broken {
        if error.is_connect() {
            Broken::Unsent("no connection can be made".to_owned())
        } else if error.is_builder() {
            Broken::Unsent("no client can be made".to_owned())
        } else if error.is_timeout() {
            Broken::TimedOut
        } else {
            Broken::Lost
        }
    }
}

fn judge<T>(
    call: &Call,
    ended: Result<ApiAnswer, Broken>,
    time_out: Duration,
    read: impl Fn(&str) -> Result<T, Unreadable>,
) -> Result<T> {
    let answer = match ended {
        Ok(answer) => answer,
        Err(Broken::Unsent(why)) => return Err(not_begun(call, why)),
        Err(Broken::TimedOut) => {
            return Err(unknown(call, format!("no answer within {time_out:.1?}")));
        }
        Err(Broken::Lost) => {
            return Err(unknown(call, "the connection ended before the answer came"));
        }
    };
    let status = answer.status;
    let after = wait_asked(&answer.headers, Moment::now());
    let trouble = |message: String| Trouble {
        operation: call.name,
        status: Some(status),
        message,
        request_id: answer.request_id.clone(),
    };
    if (200..300).contains(&status) {
        return answer
            .body
            .and_then(|body| read(&body))
            .map_err(|Unreadable(why)| ProviderError {
                kind: FailureKind::Unknown(None),
                trouble: trouble(why),
                after: None,
            });
    }
    let body = answer.body.unwrap_or_default();
    let kind = match status {
        401 | 403 => FailureKind::ManagementKey,
        409 | 425 | 429 => FailureKind::Later,
        503 if call.retry != Again::Never => FailureKind::Later,
        // A proxy's 404 for an unknown address is not the provider saying that a key is gone.
        404 if !error::is_of_provider(&body) => FailureKind::Unknown(None),
        408 => FailureKind::Unknown(None),
        400..500 => FailureKind::Refused,
        _ => FailureKind::Unknown(None),
    };
    Err(ProviderError {
        kind,
        trouble: trouble(error::read_error(&body)),
        after,
    })
}

/// The refusal of a request that is never sent, since the provider would not take it as meant.
pub(crate) fn refuse_here(call: &Call, why: impl Into<String>) -> ProviderError {
    ProviderError::unsent(FailureKind::Refused, call, why)
}

pub(crate) fn not_begun(call: &Call, why: impl Into<String>) -> ProviderError {
    ProviderError::unsent(FailureKind::Later, call, why)
}

pub(crate) fn unknown(call: &Call, why: impl Into<String>) -> ProviderError {
    ProviderError::unsent(FailureKind::Unknown(None), call, why)
}

fn url(base: &str, request: &CallRequest<'_>) -> Option<Url> {
    let mut url = Url::parse(base).ok()?;
    let segments = request.call.path.split('/').skip(1);
    let segments = segments.map(|segment| if segment == "{}" { request.id } else { segment });
    url.path_segments_mut()
        .ok()?
        .pop_if_empty()
        .extend(segments);
    if !request.query.is_empty() {
        url.query_pairs_mut().extend_pairs(request.query);
    }
    Some(url)
}

/// The permits for requests, and until when none is sent since the provider asked for a wait. All
/// calls of a process share it.
pub(crate) struct Pace {
    turns: Semaphore,
    clock: Clock,
    not_before: Mutex<NotBefore>,
}

/// By the product's clock, which tests move, and by the machine's: whichever comes first.
#[derive(Clone, Copy)]
struct NotBefore {
    moment: Moment,
    instant: Instant,
}

impl Pace {
    pub(crate) fn new(clock: &Clock) -> Pace {
        let not_before = Mutex::new(NotBefore {
            moment: Moment::UNIX_EPOCH,
            instant: Instant::now(),
        });
        Pace {
            turns: Semaphore::new(AT_ONCE),
            clock: clock.clone(),
            not_before,
        }
    }

    /// Waits for the permit to send one request; `None` if the time is up before.
    pub(crate) async fn turn(&self, deadline: Deadline) -> Option<SemaphorePermit<'_>> {
        deadline.wait_for(self.turns.acquire()).await.ok()?.ok()
    }

    /// The wait that is left of what the provider asked for.
    pub(crate) fn wait(&self, deadline: Deadline) -> Duration {
        let NotBefore { moment, instant } = *locked(&self.not_before);
        let by_the_clock =
            Duration::try_from(moment.duration_since(self.clock.now())).unwrap_or_default();
        by_the_clock.min(deadline.to_nominal(instant.saturating_duration_since(Instant::now())))
    }

    /// The provider asked for this wait.
    fn slow_down(&self, wait: Duration, deadline: Deadline) {
        let until = Instant::now() + deadline.really(wait);
        let mut not_before = locked(&self.not_before);
        if until > not_before.instant {
            let signed = SignedDuration::try_from(wait).unwrap_or_default();
            *not_before = NotBefore {
                moment: self.clock.now() + signed,
                instant: until,
            };
        }
    }
}

/// At most so many requests within any second.
pub(crate) struct Rate {
    a_second: usize,
    /// When the last of them were or are to be sent.
    sent: Mutex<VecDeque<Instant>>,
}

impl Rate {
    pub(crate) fn new(a_second: NonZeroU32) -> Rate {
        Rate {
            a_second: a_second.get() as usize,
            sent: Mutex::default(),
        }
    }

    async fn turn(&self) {
        let send_at = {
            let mut sent = locked(&self.sent);
            let first = if sent.len() < self.a_second {
                None
            } else {
                sent.pop_front()
            };
            let send_at = first.map_or_else(Instant::now, |first| {
                Instant::now().max(first + Duration::from_secs(1))
            });
            sent.push_back(send_at);
            send_at
        };
        tokio::time::sleep_until(send_at).await;
    }
}

/// The longest wait that is believed. If a longer one is meant, the next answer says so again.
const LONGEST_ASKED: Duration = Duration::from_secs(5 * 60);

/// A date counts from the answer's own `Date`, so that no two clocks are compared.
fn wait_asked(headers: &HeaderMap, now: Moment) -> Option<Duration> {
    let retry_after = read_header(headers, RETRY_AFTER)?;
    let wait = match retry_after.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let now = read_header(headers, DATE)
                .and_then(read_date)
                .unwrap_or(*now);
            Duration::try_from(read_date(retry_after)?.duration_since(now)).unwrap_or_default()
        }
    };
    Some(wait.min(LONGEST_ASKED))
}

fn read_header(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

fn read_date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_rate_holds_within_any_second() {
        let rate = Rate::new(NonZeroU32::new(10).unwrap());
        let begun = Instant::now();
        let mut sent = Vec::new();
        for number in 0..35 {
            if number == 15 {
                tokio::time::sleep(Duration::from_millis(1_700)).await;
            }
            rate.turn().await;
            sent.push(begun.elapsed().as_millis());
        }
        assert!(
            sent.windows(11).all(|of| of[10] - of[0] >= 1_000),
            "{sent:?}"
        );
        assert_eq!(sent[34], 3_700, "and no slower");
    }

    /// A wait is given in seconds or as a date by the server's own clock.
    #[test]
    fn a_wait_may_be_a_date() {
        for (asked, expected) in [
            (" 7 ", Some(7)),
            ("Fri, 20 Nov 2026 15:00:30 GMT", Some(30)),
            ("Fri, 20 Nov 2026 11:00:00 GMT", Some(0)),
            ("99999999999", Some(300)),
            ("-3", None),
            ("soon", None),
        ] {
            let headers = HeaderMap::from_iter([
                (
                    DATE,
                    HeaderValue::from_static("Fri, 20 Nov 2026 15:00:00 GMT"),
                ),
                (RETRY_AFTER, HeaderValue::from_static(asked)),
            ]);
            let wait = wait_asked(&headers, Moment::UNIX_EPOCH);
            assert_eq!(wait, expected.map(Duration::from_secs), "{asked}");
        }
    }
}
