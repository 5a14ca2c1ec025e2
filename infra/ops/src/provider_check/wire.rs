//! A request and its answer as they are on the wire, for what the client does not do or its reading
//! would hide.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::provider::CONNECT_TIME_OUT;
use bursar_core::provider::wire::error::read_error;
use bursar_core::tls;
use http::Method;
use serde_json::Value;

use super::Wait;

/// The API of one provider, with one key.
pub(crate) struct Wire {
    base: String,
    http: reqwest::Client,
    /// What is public needs none.
    key: Option<Arc<PlaintextKey>>,
    wait: Wait,
}

/// An answer of the provider, whatever its status.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Null if it is no JSON.
    pub(crate) json: Value,
    /// The status, with the provider's words if it refuses, without anything secret.
    pub(crate) words: String,
    /// How long to wait, as it says.
    pub(crate) retry_after: Option<String>,
}

impl Wire {
    pub(crate) fn new(provider: &str, key: Option<Arc<PlaintextKey>>, wait: &Wait) -> Result<Wire> {
        let client = tls::client_of(provider)
            .user_agent(concat!("bursar-ops/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_TIME_OUT)
            .timeout(Duration::from_secs(60))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        let base = provider.trim_end_matches('/').to_owned();
        Ok(Wire {
            base,
            http: client.build()?,
            key,
            wait: Arc::clone(wait),
        })
    }

    /// Sends a request once.
    pub(crate) async fn ask_once(
        &self,
        method: &Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer> {
        let mut request = self
            .http
            .request(method.clone(), format!("{}/{path}", self.base));
        if let Some(key) = &self.key {
            request = request.bearer_auth(key.reveal());
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        // The rest of the path may hold a hash, and says nothing to an operator.
        let what = path.split(['/', '?']).next().unwrap_or_default();
        answered(request)
            .await
            .with_context(|| format!("the provider did not answer a {method} of {what}"))
    }

    /// Sends a request until it is answered. A POST is sent again only after a 429, which did
    /// nothing.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Answer> {
        for wait in [1, 4, 15, 60] {
            let answer = self.ask_once(&method, path, body.as_ref()).await;
            match &answer {
                Ok(Answer { status: 429, .. }) => {}
                Ok(Answer { status: 500.., .. }) | Err(_) if method != Method::POST => {}
                _ => return answer,
            }
            (self.wait)(Duration::from_secs(wait)).await;
        }
        self.ask_once(&method, path, body.as_ref()).await
    }

    /// Deletes one thing. One that is gone already counts as deleted.
    pub(crate) async fn delete(&self, path: &str) -> Result<()> {
        let answer = self.ask(Method::DELETE, path, None).await?;
        if answer.is_done() || answer.status == 404 {
            Ok(())
        } else {
            bail!("a deletion got {}", answer.words)
        }
    }
}

async fn answered(request: reqwest::RequestBuilder) -> Result<Answer> {
    let answer = request.send().await.map_err(reqwest::Error::without_url)?;
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get("retry-after")
        .and_then(|wait| Some(wait.to_str().ok()?.to_owned()));
    let body = answer.text().await.map_err(reqwest::Error::without_url)?;
    let words = if status < 300 {
        status.to_string()
    } else {
        format!("{status}: {}", read_error(&body))
    };
    Ok(Answer {
        status,
        json: serde_json::from_str(&body).unwrap_or_default(),
        words,
        retry_after,
    })
}

impl Answer {
    pub(crate) fn is_done(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The rows of a page of a list.
    pub(crate) fn rows(mut self) -> Result<Vec<Value>> {
        match self.json["data"].take() {
            Value::Array(rows) if self.is_done() => Ok(rows),
            _ => bail!("a list was answered {}", self.words),
        }
    }

    /// Whether it refuses for the key's own limit. The account's money is refused with the same
    /// statuses.
    pub(crate) fn is_of_key_limit(&self) -> bool {
        let error = &self.json["error"];
        let is_told = error["message"]
            .as_str()
            .is_some_and(|message| message.contains("Key limit exceeded"));
        let source = error["metadata"]["limit_source"].as_str();
        source.map_or(is_told && matches!(self.status, 402 | 403), |source| {
            source == "openrouter_key_limit"
        })
    }

    /// Whether it refuses for what runs at the same time, or could alone cost more than may run.
    pub(crate) fn is_of_requests_in_flight(&self) -> bool {
        let reason = self.json["error"]["metadata"]["reason"].as_str();
        reason.is_some_and(|reason| {
            ["in_flight_budget_exhausted", "weight_exceeds_budget"].contains(&reason)
        })
    }

    /// Whether it is one of these refusals, and not for money.
    pub(crate) fn is_refusal(&self, statuses: &[u16]) -> bool {
        let is_for_money = self.json["error"]["metadata"]["limit_source"].is_string();
        statuses.contains(&self.status) && !is_for_money && !self.is_of_key_limit()
    }
}
