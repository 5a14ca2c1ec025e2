//! The provider on one machine: a stateful simulator of the calls that the product makes, with the
//! traps of the real one. It has enough of chat completions to spend money on a key. It knows
//! nothing of Bursar and injects no fault.

mod account;
mod by_hand;
mod guardrails;
mod in_flight;
mod keys;
mod models;
mod money;
mod quirks;
#[cfg(test)]
mod tests;
mod windows;

use std::sync::{Arc, Mutex, MutexGuard};

use anyhow::{Context, Result};
use axum::extract::FromRequestParts;
use axum::http::header::{AUTHORIZATION, RETRY_AFTER};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use bursar_core::clock::Clock;
use data_encoding::HEXLOWER;
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use self::account::{Account, ManagementKey};
use crate::base::lock;
use crate::base::state_file::StateFile;

pub(crate) use self::account::fresh_key;
pub use self::by_hand::{KeySnapshot, MadeKey};
pub use self::quirks::{Quirks, Rate};
pub use self::windows::Nano;

const USER_ID: &str = "user_2simulated0000000000000000";

/// One account. Clones share it.
#[derive(Clone)]
pub struct Provider {
    account: Arc<Mutex<Account>>,
    clock: Clock,
    /// Further accounts at this address. The key of a request decides its account.
    other_accounts: Arc<Mutex<Vec<Provider>>>,
}

impl Provider {
    /// The account with its stored state. A new one has a default workspace and credits of 1,000
    /// dollars. The management key is valid from now on; of all keys only hashes are stored.
    pub fn new(kept: StateFile, clock: Clock, management_key: &str) -> Result<Provider> {
        let account = Account::open(kept, *clock.now())
            .context("what the simulated provider kept cannot be read")?;
        let provider = Provider {
            account: Arc::new(Mutex::new(account)),
            clock,
            other_accounts: Arc::default(),
        };
        provider.add_management_key(management_key)?;
        Ok(provider)
    }

    /// Adds an account in memory, to which this management key belongs.
    pub fn another_account(&self, management_key: &str) -> Result<Provider> {
        let provider = Provider::new(StateFile::in_memory()?, self.clock.clone(), management_key)?;
        lock(&self.other_accounts).push(provider.clone());
        Ok(provider)
    }

    /// Changes the behaviour that the provider's documentation leaves open.
    pub fn set_quirks(&self, change: impl FnOnce(&mut Quirks)) {
        change(&mut self.account().quirks);
    }

    pub fn router(&self) -> Router {
        Router::new()
            .nest(
                "/api/v1",
                keys::routes()
                    .merge(guardrails::routes())
                    .merge(money::routes()),
            )
            .fallback(|| async { refuse(404, "Resource not found") })
            .method_not_allowed_fallback(|| async { refuse(405, "Method not allowed") })
            .with_state(self.clone())
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    fn now(&self) -> Timestamp {
        *self.clock.now()
    }

    /// The account of the key in a request, by the key's hash; this one for an unknown key.
    fn addressed(&self, headers: &HeaderMap) -> Result<(Provider, String), Refusal> {
        let sent = headers
            .get(AUTHORIZATION)
            .and_then(|sent| sent.to_str().ok()?.strip_prefix("Bearer "));
        let hash = hash_of(sent.ok_or_else(|| refuse(401, "Missing Authentication header"))?);
        let accounts = lock(&self.other_accounts).clone();
        let owner = accounts
            .into_iter()
            .find(|provider| provider.account().knows(&hash));
        Ok((owner.unwrap_or_else(|| self.clone()), hash))
    }
}

/// The SHA-256 of a key in hexadecimal, by which the provider knows it.
pub fn hash_of(key: &str) -> String {
    HEXLOWER.encode(&Sha256::digest(key))
}

/// Whoever calls anything but inference, with the account of the key.
struct Caller {
    provider: Provider,
    who: Who,
}

enum Who {
    Management(ManagementKey),
    /// An ordinary key, by its place.
    Ordinary(usize),
}

impl FromRequestParts<Provider> for Caller {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, provider: &Provider) -> Result<Caller, Refusal> {
        let (provider, hash) = provider.addressed(&parts.headers)?;
        let now = provider.now();
        let who = {
            let mut account = provider.account();
            if let Some(rate) = account.quirks.rate {
                account.turns.take(rate, now)?;
            }
            match account.books.management_keys.get(&hash) {
                Some(key) => Who::Management(key.clone()),
                None => Who::Ordinary(account.usable(&hash, now)?),
            }
        };
        Ok(Caller { provider, who })
    }
}

/// A caller with a management key, perhaps of one workspace only.
struct Manager {
    provider: Provider,
    scope: Option<String>,
}

impl Manager {
    fn account(&self) -> (Timestamp, MutexGuard<'_, Account>) {
        (self.provider.now(), self.provider.account())
    }
}

impl FromRequestParts<Provider> for Manager {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        provider: &Provider,
    ) -> Result<Manager, Refusal> {
        match Caller::from_request_parts(parts, provider).await? {
            Caller {
                provider,
                who: Who::Management(key),
            } => Ok(Manager {
                provider,
                scope: key.scope,
            }),
            _ => Err(refuse(
                403,
                "Only management keys can perform this operation",
            )),
        }
    }
}

type Answer = Result<Json<Value>, Refusal>;

/// An answer `{"error":{"code","message","metadata"?}}` with the status in `code`.
#[derive(Debug, thiserror::Error)]
#[error("the simulated provider refuses: {error}")]
struct Refusal {
    status: StatusCode,
    error: Value,
    retry_after_s: Option<u64>,
}

fn refuse(status: u16, message: impl Into<String>) -> Refusal {
    let error = json!({ "code": status, "message": message.into() });
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    Refusal {
        status,
        error,
        retry_after_s: None,
    }
}

impl Refusal {
    fn with(mut self, metadata: Value) -> Refusal {
        self.error["metadata"] = metadata;
        self
    }

    fn retry_after(self, seconds: u64) -> Refusal {
        Refusal {
            retry_after_s: Some(seconds),
            ..self
        }
    }
}

impl From<anyhow::Error> for Refusal {
    fn from(error: anyhow::Error) -> Refusal {
        tracing::error!("the simulated provider failed: {error:#}");
        refuse(500, "Internal Server Error")
    }
}

/// Of a body that is not what it must be.
impl From<serde_json::Error> for Refusal {
    fn from(error: serde_json::Error) -> Refusal {
        refuse(400, format!("Invalid request parameters: {error}"))
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(json!({ "error": self.error }))).into_response();
        if let Some(seconds) = self.retry_after_s {
            response.headers_mut().insert(RETRY_AFTER, seconds.into());
        }
        response
    }
}

/// The settings with the fields of a body in place of theirs. A field that is null is cleared, one
/// that is absent stays, and one that the settings do not have is ignored silently.
fn changed<T: Serialize + DeserializeOwned>(
    settings: &T,
    body: &Map<String, Value>,
) -> Result<T, Refusal> {
    let mut fields: Map<String, Value> = serde_json::from_value(serde_json::to_value(settings)?)?;
    let mut is_changed = false;
    for (name, value) in body {
        if let Some(field) = fields.get_mut(name) {
            (*field, is_changed) = (value.clone(), true);
        }
    }
    if !is_changed {
        return Err(refuse(400, "No update fields provided"));
    }
    Ok(serde_json::from_value(Value::Object(fields))?)
}
