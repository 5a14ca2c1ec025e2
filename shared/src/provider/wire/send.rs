//! Sending: one try with its time-out, the meaning of its outcome, and whether there is another. The retries
//! here are the only ones: neither redirects nor the HTTP client send anything a second time.

use std::time::Duration;

use backon::{ExponentialBuilder, Retryable};
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use reqwest::{Response, Url};
use serde::Serialize;
use tokio::time::Instant;

use crate::deadline::Deadline;
use crate::provider::Provider;
use crate::provider::wire::calls::{Call, OWN_KEY};
use crate::provider::wire::error::{ProviderError, Trouble};
use crate::provider::wire::json::Unreadable;
use crate::provider::wire::{patience, text};
use crate::secrets::{ManagementKey, SecretError};

/// The number of retries of a call that may be sent again.
const MORE_TRIES: usize = 5;
const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// The time left below which no other try is made.
const SHORTEST_TRY: Duration = Duration::from_millis(500);
/// The longest answer that is read; a page of a hundred keys has about a hundredth of it.
const LARGEST_ANSWER: usize = 8 * 1024 * 1024;

/// One request, however often it is sent.
pub(in crate::provider) struct ApiRequest<'a> {
    pub call: &'static Call,
    pub path: &'a [&'a str],
    pub query: &'a [(&'a str, &'a str)],
    pub body: Option<String>,
}

impl Provider {
    /// Asks until there is an answer, the request is refused, or the time is up. `read` parses the text of a
    /// 2xx answer.
    pub(in crate::provider) async fn ask<T>(
        &self,
        ask: ApiRequest<'_>,
        deadline: Deadline,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T, ProviderError> {
        let (ask, read) = (&ask, &read);
        let one_try = move |key| self.send_proved(ask, key, deadline, read);
        self.patiently(ask.call, deadline, move || self.with_the_key(ask.call, deadline, one_try)).await
    }

    /// Sends one request after proving that the management key is of our account.
    async fn send_proved<T>(
        &self,
        ask: &ApiRequest<'_>,
        key: ManagementKey,
        deadline: Deadline,
        read: &impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T, ProviderError> {
        if *ask.call != OWN_KEY {
            self.prove(ask.call, &key, deadline).await?;
        }
        self.send(ask, &key, deadline, read).await
    }

    /// Retries a call that may be sent again, as long as its failure may be temporary.
    pub(in crate::provider) async fn patiently<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        call: &Call,
        deadline: Deadline,
        try_once: impl FnMut() -> F,
    ) -> Result<T, ProviderError> {
        let more = if call.is_safe_again() { MORE_TRIES } else { 0 };
        let backoff = ExponentialBuilder::default()
            .with_min_delay(FIRST_WAIT)
            .with_max_delay(LONGEST_WAIT)
            .with_max_times(more)
            .with_jitter();
        let outcome = try_once
            .retry(backoff)
            .sleep(self.http.sleep(deadline))
            .when(ProviderError::may_pass)
            .adjust(|error, planned| next_wait(planned?, error.retry_after(), deadline.left()))
            .await;
        self.noting_a_refusal(outcome)
    }

    /// Asks in one try, though the call might be sent again.
    pub(in crate::provider) async fn ask_once<T>(
        &self,
        ask: ApiRequest<'_>,
        deadline: Deadline,
        read: impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T, ProviderError> {
        let (ask, read) = (&ask, &read);
        let one_try = move |key| self.send_proved(ask, key, deadline, read);
        self.noting_a_refusal(self.with_the_key(ask.call, deadline, one_try).await)
    }

    fn noting_a_refusal<T>(&self, outcome: Result<T, ProviderError>) -> Result<T, ProviderError> {
        if let Err(error) = &outcome {
            self.note_refusal(error);
        }
        outcome
    }

    /// Makes one try, and a second with a freshly read management key if the cached one was refused or is of
    /// another account. Where many requests are made, a single refusal is believed only after the key itself
    /// was checked.
    pub(in crate::provider) async fn with_the_key<T, F: Future<Output = Result<T, ProviderError>>>(
        &self,
        call: &Call,
        deadline: Deadline,
        one_try: impl Fn(ManagementKey) -> F,
    ) -> Result<T, ProviderError> {
        let key = self.key(call, deadline, self.keys.current()).await?;
        let refused = match one_try(key.clone()).await {
            Err(error) if error.is_of_the_key() => error,
            other => return other,
        };
        // A request that was refused for its key did nothing, so with another key it is no repetition,
        // whatever the call.
        let (key, refused) = match self.key(call, deadline, self.keys.refresh(&key)).await {
            Ok(fresh) if fresh != key && deadline.leaves(call.time_out) => match one_try(fresh.clone()).await {
                Err(error) if error.is_of_the_key() => (fresh, error),
                other => return other,
            },
            _ => (key, refused),
        };
        match self.pace {
            Some(_) => Err(self.doubting(refused, &key, deadline).await),
            None => Err(refused),
        }
    }

    async fn key(
        &self,
        call: &Call,
        deadline: Deadline,
        asked: impl Future<Output = Result<ManagementKey, SecretError>>,
    ) -> Result<ManagementKey, ProviderError> {
        match deadline.wait_for(asked).await {
            Ok(Ok(key)) => Ok(key),
            Ok(Err(error)) => {
                let trouble = Trouble::unsent(call, error.to_string());
                Err(match error.may_pass() {
                    true => ProviderError::Later { trouble, after: None },
                    false => ProviderError::ManagementKey { trouble },
                })
            }
            Err(_) => Err(not_begun(call, "the management key was not read in time")),
        }
    }

    /// Sends one request with a permit of the pace. After a 429 or 503 it waits for another permit.
    pub(in crate::provider) async fn send<T>(
        &self,
        ask: &ApiRequest<'_>,
        key: &ManagementKey,
        deadline: Deadline,
        read: &impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T, ProviderError> {
        let Some(pace) = &self.pace else { return self.send_now(ask, key, deadline, read).await };
        let mut refused = None;
        loop {
            let turn = match pace.turn(deadline).await {
                Ok(turn) => turn,
                Err(wait) => return refused.unwrap_or_else(|| Err(not_its_turn(ask.call, wait))),
            };
            let outcome = self.send_now(ask, key, deadline, read).await;
            let is_asked_too_much = turn.learn(&outcome);
            if !is_asked_too_much || !ask.call.is_safe_again() {
                return outcome;
            }
            refused = Some(outcome);
        }
    }

    /// Sends one request on the wire, logged by its operation, status and id.
    async fn send_now<T>(
        &self,
        ask: &ApiRequest<'_>,
        key: &ManagementKey,
        deadline: Deadline,
        read: &impl Fn(&str) -> Result<T, Unreadable>,
    ) -> Result<T, ProviderError> {
        let call = ask.call;
        let left = deadline.left();
        // A call that cannot be repeated gets its whole time-out or is not begun.
        if left.is_zero() || (!call.is_safe_again() && left < call.time_out) {
            return Err(not_begun(call, "there is too little time left"));
        }
        let begun = Instant::now();
        let time_out = call.time_out.min(left);
        let ended = match deadline.at_most(time_out).wait_for(self.exchange(ask, key)).await {
            Ok(ended) => ended,
            Err(_) => Err(Broken::TimedOut),
        };
        let (status, request_id) = match &ended {
            Ok(answer) => (Some(answer.status), answer.request_id.clone()),
            Err(_) => (None, None),
        };
        let outcome = judge(call, ended, time_out, read);
        let operation = call.name;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match &outcome {
            Ok(_) if !call.writes() => tracing::debug!(operation, status, request_id, took_ms, "the provider answered"),
            Ok(_) => tracing::info!(operation, status, request_id, took_ms, "the provider answered"),
            Err(_) => tracing::warn!(operation, status, request_id, took_ms, "the provider did not do it"),
        }
        outcome
    }

    /// Sends one request and reads its answer to the end.
    async fn exchange(&self, ask: &ApiRequest<'_>, key: &ManagementKey) -> Result<ApiAnswer, Broken> {
        let url = url(&self.http.base, ask).ok_or(Broken::Unsent("its base address is no web address".to_owned()))?;
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.reveal()))
            .map_err(|_| Broken::Unsent("bad key".to_owned()))?;
        authorization.set_sensitive(true);
        let client = self.http.client(ask.call).map_err(|error| Broken::of(&error))?;
        let mut request = client
            .request(ask.call.method.clone(), url)
            .header(AUTHORIZATION, authorization)
            .header(ACCEPT, "application/json");
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let response = request.send().await.map_err(|error| Broken::of(&error))?;
        Ok(ApiAnswer::read(response).await)
    }
}

/// An answer, as far as it arrived.
struct ApiAnswer {
    status: u16,
    headers: HeaderMap,
    request_id: Option<String>,
    /// The body; an error if it broke off or is no text.
    body: Result<String, Unreadable>,
}

/// The reason that there is no answer.
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
            .map(|id| text::harmless(&id.chars().take(100).collect::<String>()));
        let mut bytes = Vec::new();
        let body = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if bytes.len() + chunk.len() <= LARGEST_ANSWER => bytes.extend_from_slice(&chunk),
                Ok(Some(_)) => break Err(Unreadable("the answer is absurdly long".to_owned())),
                Ok(None) => break String::from_utf8(bytes).map_err(|_| Unreadable("the answer is no text".to_owned())),
                Err(_) => break Err(Unreadable("the answer broke off".to_owned())),
            }
        };
        ApiAnswer { status, headers, request_id, body }
    }
}

impl Broken {
    /// The kind of failure. A connection that was never made carried nothing.
    fn of(error: &reqwest::Error) -> Broken {
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

/// The outcome of one try.
fn judge<T>(
    call: &Call,
    ended: Result<ApiAnswer, Broken>,
    time_out: Duration,
    read: impl Fn(&str) -> Result<T, Unreadable>,
) -> Result<T, ProviderError> {
    let answer = match ended {
        Ok(answer) => answer,
        Err(Broken::Unsent(why)) => return Err(not_begun(call, &why)),
        Err(Broken::TimedOut) => return Err(unknown(call, format!("no answer within {time_out:.1?}"))),
        Err(Broken::Lost) => return Err(unknown(call, "the connection ended before the answer came".to_owned())),
    };
    let status = answer.status;
    let after = patience::wait_asked(status, &answer.headers, Timestamp::now());
    let trouble = |message: String| Trouble {
        operation: call.name,
        status: Some(status),
        message,
        request_id: answer.request_id.clone(),
    };
    if (200..300).contains(&status) {
        return answer.body.and_then(|body| read(&body)).map_err(|Unreadable(why)| ProviderError::Unknown {
            trouble: trouble(why),
            after: None,
            made: None,
        });
    }
    let body = answer.body.unwrap_or_default();
    let trouble = trouble(text::of_error(&body));
    Err(match status {
        401 | 403 => ProviderError::ManagementKey { trouble },
        409 | 425 | 429 => ProviderError::Later { trouble, after },
        // The provider documents that a 503 did nothing, but a proxy that answers so may not know.
        503 if call.is_safe_again() => ProviderError::Later { trouble, after },
        // A proxy's 404 for an unknown address is not the provider saying that a key is gone.
        404 if !text::is_of_provider(&body) => ProviderError::Unknown { trouble, after, made: None },
        408 => ProviderError::Unknown { trouble, after, made: None },
        400..500 => ProviderError::Refused { trouble, after },
        _ => ProviderError::Unknown { trouble, after, made: None },
    })
}

impl Trouble {
    /// The trouble of a request that was not answered.
    pub(in crate::provider) fn unsent(call: &Call, message: String) -> Trouble {
        Trouble { operation: call.name, status: None, message, request_id: None }
    }
}

/// The body of a request as JSON.
pub(in crate::provider) fn body_of(call: &Call, body: &impl Serialize) -> Result<String, ProviderError> {
    serde_json::to_string(body).map_err(|_| refused_here(call, "the request cannot be written".to_owned()))
}

/// The refusal of a request that is never sent, since the provider would not take it as meant.
pub(in crate::provider) fn refused_here(call: &Call, why: String) -> ProviderError {
    ProviderError::Refused { trouble: Trouble::unsent(call, why), after: None }
}

pub(in crate::provider) fn not_begun(call: &Call, why: &str) -> ProviderError {
    ProviderError::Later { trouble: Trouble::unsent(call, why.to_owned()), after: None }
}

fn not_its_turn(call: &Call, wait: Duration) -> ProviderError {
    let trouble = Trouble::unsent(call, "it was asked too much, and is asked later".to_owned());
    ProviderError::Later { trouble, after: Some(wait) }
}

fn unknown(call: &Call, why: String) -> ProviderError {
    ProviderError::Unknown { trouble: Trouble::unsent(call, why), after: None, made: None }
}

/// The planned wait on top of what the provider asked for; `None` if there is no time for it and another try.
fn next_wait(planned: Duration, asked: Option<Duration>, left: Duration) -> Option<Duration> {
    let wait = planned + asked.unwrap_or_default();
    (wait + SHORTEST_TRY <= left).then_some(wait)
}

fn url(base: &str, ask: &ApiRequest<'_>) -> Option<Url> {
    let mut url = Url::parse(base).ok()?;
    url.path_segments_mut().ok()?.pop_if_empty().extend(ask.path);
    if !ask.query.is_empty() {
        url.query_pairs_mut().extend_pairs(ask.query);
    }
    Some(url)
}
