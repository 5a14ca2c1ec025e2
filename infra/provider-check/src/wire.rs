//! One request and its answer as they are on the wire. It shares the client's time-outs and its care with
//! secrets, and not its reading of answers, since that is what is checked.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::CONNECT_TIME_OUT;
use bursar_core::provider::wire::calls::{Call, Repeatable};
use bursar_core::provider::wire::{patience, text};
use http::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use jiff::Timestamp;
use reqwest::Url;
use serde_json::value::RawValue;

use crate::waiting::Waiting;

/// The API of one provider, with a management key.
#[derive(Clone)]
pub(crate) struct Wire {
    base: Url,
    http: reqwest::Client,
    management_key: Arc<PlaintextKey>,
    waiting: Waiting,
}

/// A request. `key` is the key that it carries in place of the management key.
pub(crate) struct Request<'a> {
    pub(crate) call: &'a Call,
    pub(crate) path: &'a [&'a str],
    pub(crate) query: &'a [(&'a str, &'a str)],
    pub(crate) body: Option<String>,
    pub(crate) key: Option<&'a PlaintextKey>,
}

/// An answer of the provider, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The wait that it asks for.
    pub(crate) wait: Option<Duration>,
    body: String,
}

/// A JSON object whose values keep their digits.
#[derive(Debug, Default)]
pub(crate) struct Object(BTreeMap<String, Box<RawValue>>);

/// The number of times that a request is sent which the provider puts off or does not answer.
const TRIES: u32 = 5;
/// The longest wait between two of them.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

impl Wire {
    pub(crate) fn new(base: &str, management_key: Arc<PlaintextKey>, waiting: Waiting) -> Result<Wire> {
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
        Ok(Wire { base, http: client.build()?, management_key, waiting })
    }

    /// Sends a request until it is answered, as far as it may be repeated. A 429 did nothing, so anything may
    /// be repeated after it.
    pub(crate) async fn ask(&self, request: &Request<'_>) -> Result<Answer> {
        let mut wait = Duration::from_secs(1);
        for _ in 1..TRIES {
            let answer = self.ask_once(request).await;
            let asked = match &answer {
                Ok(Answer { status: 429, wait, .. }) => *wait,
                Ok(Answer { status: 500.., wait, .. }) if !is_sent_once(request.call) => *wait,
                Err(_) if !is_sent_once(request.call) => None,
                _ => return answer,
            };
            self.waiting.pass(asked.unwrap_or(wait).clamp(wait, LONGEST_WAIT)).await;
            wait *= 2;
        }
        self.ask_once(request).await
    }

    /// Sends a request once.
    pub(crate) async fn ask_once(&self, request: &Request<'_>) -> Result<Answer> {
        let Request { call, path, query, body, key } = request;
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(*path),
            Err(()) => bail!("--provider is not a web address"),
        };
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(*query);
        }
        let key = key.unwrap_or(&self.management_key);
        let mut authorization = HeaderValue::try_from(format!("Bearer {}", key.reveal()))?;
        authorization.set_sensitive(true);
        let mut sent =
            self.http.request(call.method.clone(), url).header(AUTHORIZATION, authorization).timeout(call.time_out);
        if let Some(body) = body {
            sent = sent.header(CONTENT_TYPE, "application/json").body(body.clone());
        }
        let unanswered = || format!("the provider did not answer “{}” ({} {})", call.name, call.method, call.path);
        // The address of the request may hold a hash, and says nothing that the name does not.
        let answer = sent.send().await.map_err(reqwest::Error::without_url).with_context(unanswered)?;
        let status = answer.status().as_u16();
        let wait = patience::wait_asked(status, answer.headers(), Timestamp::now());
        let body = answer.text().await.map_err(reqwest::Error::without_url).with_context(unanswered)?;
        Ok(Answer { status, wait, body })
    }
}

fn is_sent_once(call: &Call) -> bool {
    matches!(call.again, Repeatable::Never(_))
}

impl Answer {
    pub(crate) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether it says no for good. Any other failure says nothing about the account.
    pub(crate) fn is_refused(&self) -> bool {
        matches!(self.status, 400 | 402 | 403 | 404 | 409)
    }

    /// Whether the provider itself answered, and no proxy before it.
    pub(crate) fn is_of_provider(&self) -> bool {
        text::is_of_provider(&self.body)
    }

    /// Whether it refuses for the key's own limit. The account's money is refused with the same statuses.
    pub(crate) fn is_of_key_limit(&self) -> bool {
        let says = |error: &Object| error.text("message").is_some_and(|message| message.contains("Key limit exceeded"));
        match self.limit_source() {
            Some(source) => source == "openrouter_key_limit",
            None => matches!(self.status, 402 | 403) && says(&self.object().object("error")),
        }
    }

    /// Whether it is one of these refusals, and not for money.
    pub(crate) fn is_refusal(&self, statuses: &[u16]) -> bool {
        statuses.contains(&self.status) && self.limit_source().is_none() && !self.is_of_key_limit()
    }

    /// The limit that refused the request, where there was one.
    fn limit_source(&self) -> Option<String> {
        self.object().object("error").object("metadata").text("limit_source")
    }

    /// The status with the provider's words, without anything secret.
    pub(crate) fn words(&self) -> String {
        match self.is_done() {
            true => format!("{}", self.status),
            false => format!("{}: {}", self.status, text::of_error(&self.body)),
        }
    }

    /// The whole answer.
    pub(crate) fn object(&self) -> Object {
        Object(serde_json::from_str(&self.body).unwrap_or_default())
    }

    /// The object under `data`.
    pub(crate) fn data(&self) -> Object {
        self.object().object("data")
    }

    /// The rows under `data`; an error if there is no list.
    pub(crate) fn rows(&self, what: &str) -> Result<Vec<Object>> {
        if !self.is_done() {
            bail!("{what} cannot be listed: {}", self.words());
        }
        self.object().rows("data").with_context(|| format!("{what} cannot be listed: the answer holds no list"))
    }

    /// The answer of a call without which the check cannot go on.
    pub(crate) fn or_refused(self, what: &str) -> Result<Answer> {
        match self.is_done() {
            true => Ok(self),
            false => bail!("{what} was refused with {}", self.words()),
        }
    }
}

impl Object {
    fn raw(&self, field: &str) -> Option<&str> {
        self.0.get(field).map(|value| value.get()).filter(|text| *text != "null")
    }

    /// The value as the provider wrote it; `None` if it is absent or null.
    pub(crate) fn literal(&self, field: &str) -> Option<String> {
        self.raw(field).map(str::to_owned)
    }

    pub(crate) fn text(&self, field: &str) -> Option<String> {
        serde_json::from_str(self.raw(field)?).ok()
    }

    pub(crate) fn texts(&self, field: &str) -> Option<Vec<String>> {
        serde_json::from_str(self.raw(field)?).ok()
    }

    pub(crate) fn flag(&self, field: &str) -> Option<bool> {
        serde_json::from_str(self.raw(field)?).ok()
    }

    pub(crate) fn count(&self, field: &str) -> Option<u64> {
        serde_json::from_str(self.raw(field)?).ok()
    }

    /// An amount, rounded down to the micro-dollar.
    pub(crate) fn usd(&self, field: &str) -> Option<Usd> {
        Usd::parse_floor(self.raw(field)?).ok()
    }

    /// A spent amount, rounded up to the micro-dollar.
    pub(crate) fn usd_spent(&self, field: &str) -> Option<Usd> {
        Usd::parse_ceil(self.raw(field)?).ok()
    }

    pub(crate) fn instant(&self, field: &str) -> Option<Timestamp> {
        self.text(field)?.parse().ok()
    }

    pub(crate) fn object(&self, field: &str) -> Object {
        Object(self.raw(field).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default())
    }

    pub(crate) fn rows(&self, field: &str) -> Option<Vec<Object>> {
        let rows: Vec<BTreeMap<String, Box<RawValue>>> = serde_json::from_str(self.raw(field)?).ok()?;
        Some(rows.into_iter().map(Object).collect())
    }
}
