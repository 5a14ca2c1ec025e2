//! A request and its answer as they are on the wire, for what the client's own reading would hide or does not know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::provider::CONNECT_TIME_OUT;
use bursar_core::provider::key::ProviderKey;
use bursar_core::provider::wire::calls::{Call, Repeatable};
use bursar_core::provider::wire::{patience, text};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use reqwest::{RequestBuilder, Url};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::Wait;

/// The API of one provider, with a management key.
pub(crate) struct Wire {
    base: Url,
    http: reqwest::Client,
    management_key: Arc<PlaintextKey>,
    wait: Wait,
}

/// An answer of the provider, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The wait that it asks for.
    wait: Option<Duration>,
    body: String,
}

/// The number of times that a request is sent which the provider puts off or does not answer.
pub(crate) const TRIES: u32 = 5;
/// The longest wait between two of them.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Wire {
    pub(crate) fn new(base: &str, management_key: Arc<PlaintextKey>, wait: Wait) -> Result<Wire> {
        let mut client = reqwest::Client::builder()
            .user_agent(concat!("bursar-provider-check/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_OUT)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if base.starts_with("http://") {
            // On loopback there is no proxy, and no certificate to read.
            client = client.no_proxy().tls_certs_only([]);
        }
        let base = Url::parse(base).context("--provider is not a web address")?;
        Ok(Wire { base, http: client.build()?, management_key, wait })
    }

    /// Sends a request with the management key until it is answered.
    pub(crate) async fn ask(
        &self,
        call: &Call,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer> {
        self.ask_as(&self.management_key, call, path, query, body).await
    }

    /// Sends a request with this key until it is answered, as far as it may be repeated. A 429 did nothing, so
    /// anything may be repeated after it.
    pub(crate) async fn ask_as(
        &self,
        key: &PlaintextKey,
        call: &Call,
        path: &[&str],
        query: &[(&str, &str)],
        body: Option<Value>,
    ) -> Result<Answer> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => bail!("--provider is not a web address"),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
        authorization.set_sensitive(true);
        let request = self.http.request(call.method.clone(), url).header(AUTHORIZATION, authorization);
        let mut request = request.timeout(call.time_out);
        if let Some(body) = body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.to_string());
        }
        let is_sent_once = matches!(call.again, Repeatable::Never(_));
        let (mut wait, mut tries) = (Duration::from_secs(1), 0);
        loop {
            tries += 1;
            let answer = answered(call, request.try_clone().context("the request cannot be sent again")?).await;
            let asked = match &answer {
                _ if tries == TRIES => return answer,
                Ok(Answer { status: 429, wait, .. }) => *wait,
                Ok(Answer { status: 500.., wait, .. }) if !is_sent_once => *wait,
                Err(_) if !is_sent_once => None,
                _ => return answer,
            };
            (self.wait)(asked.unwrap_or(wait).clamp(wait, LONGEST_WAIT)).await;
            wait *= 2;
        }
    }
}

async fn answered(call: &Call, request: RequestBuilder) -> Result<Answer> {
    let unanswered = || format!("the provider did not answer “{}” ({} {})", call.name, call.method, call.path);
    // The address of the request may hold a hash, and says nothing that the name does not.
    let answer = request.send().await.map_err(reqwest::Error::without_url).with_context(unanswered)?;
    let status = answer.status().as_u16();
    let wait = patience::wait_asked(status, answer.headers(), Timestamp::now());
    let body = answer.text().await.map_err(reqwest::Error::without_url).with_context(unanswered)?;
    Ok(Answer { status, wait, body })
}

impl Answer {
    pub(crate) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The whole answer; null if it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_default()
    }

    /// The rows under `data`, or an error.
    pub(crate) fn rows(&self, what: &str) -> Result<Vec<Value>> {
        match self.json()["data"].take() {
            Value::Array(rows) if self.is_done() => Ok(rows),
            _ => bail!("{what} cannot be listed: {}", self.words()),
        }
    }

    /// The rows under `data` as the client reads keys. Rows that it cannot read are not its own.
    pub(crate) fn keys(&self) -> Result<Vec<ProviderKey>> {
        let mut answer: BTreeMap<String, Box<RawValue>> = serde_json::from_str(&self.body).unwrap_or_default();
        let rows = answer.remove("data").filter(|_| self.is_done());
        let rows: Vec<Box<RawValue>> = rows
            .and_then(|rows| serde_json::from_str(rows.get()).ok())
            .with_context(|| format!("keys cannot be listed: {}", self.words()))?;
        Ok(rows.iter().filter_map(|row| serde_json::from_str(row.get()).ok()).collect())
    }

    /// Whether it refuses for the key's own limit. The account's money is refused with the same statuses.
    pub(crate) fn is_of_key_limit(&self) -> bool {
        let answer = self.json();
        match answer["error"]["metadata"]["limit_source"].as_str() {
            Some(source) => source == "openrouter_key_limit",
            None => {
                let message = answer["error"]["message"].as_str().unwrap_or_default();
                matches!(self.status, 402 | 403) && message.contains("Key limit exceeded")
            }
        }
    }

    /// Whether it is one of these refusals, and not for money.
    pub(crate) fn is_refusal(&self, statuses: &[u16]) -> bool {
        let is_for_money = self.json()["error"]["metadata"]["limit_source"].is_string();
        statuses.contains(&self.status) && !is_for_money && !self.is_of_key_limit()
    }

    /// The status with the provider's words, without anything secret.
    pub(crate) fn words(&self) -> String {
        match self.is_done() {
            true => self.status.to_string(),
            false => format!("{}: {}", self.status, text::of_error(&self.body)),
        }
    }
}
