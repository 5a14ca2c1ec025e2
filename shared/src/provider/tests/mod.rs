//! The client against small servers that answer exactly what a test scripts.

mod account;
mod analytics;
mod guardrails;
mod keys;
mod lists;
mod sending;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};

use super::Provider;
use super::keys::NewKey;
use crate::deadline::Deadline;
use crate::domain::programme::Basis;
use crate::domain::values::id::KeyHash;
use crate::domain::values::money::Usd;
use crate::provider::wire::error::{FailureKind, ProviderError};
use crate::secrets::ManagementKey;
use crate::tests::scripted::{Scripted, ScriptedAct, SeenRequest, answer};

const MANAGEMENT_KEY: &str = "sk-or-v1-management";
const PLAINTEXT: &str = "sk-or-v1-plaintext";

type Waits = Arc<Mutex<Vec<Duration>>>;

/// A provider that follows a script, and a client that records its waits instead of waiting.
async fn scripted(
    script: impl FnMut(&SeenRequest, usize) -> ScriptedAct + Send + 'static,
) -> (Scripted, Provider, Waits) {
    let server = Scripted::start(script).await;
    let (provider, waits) = impatient(&server.origin());
    (server, provider, waits)
}

/// A provider that answers everything alike, and its client.
async fn answering(status: u16, body: impl ToString) -> (Scripted, Provider) {
    let body = body.to_string();
    let (server, provider, _) = scripted(move |_, _| answer(status, &body)).await;
    (server, provider)
}

fn impatient(origin: &str) -> (Provider, Waits) {
    let key = ManagementKey::parse(MANAGEMENT_KEY).unwrap();
    let mut provider = Provider::with_key(&format!("{origin}/api/v1"), key);
    let waits = Waits::default();
    Arc::get_mut(&mut provider.http).unwrap().waits = Some(Arc::clone(&waits));
    (provider, waits)
}

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

/// A hash that differs by its number.
fn hash(number: usize) -> KeyHash {
    format!("{number:064x}").parse().unwrap()
}

/// A key object with every field that is documented.
fn key_json(number: usize) -> Value {
    json!({
        "hash": hash(number), "name": format!("key {number}"), "label": "sk-or-v1-0e6...1c96", "disabled": false,
        "limit": 20, "limit_remaining": 15.5, "limit_reset": null, "include_byok_in_limit": true,
        "usage": 4.5, "usage_daily": 0.5, "usage_weekly": 1.5, "usage_monthly": 2.5,
        "byok_usage": 0, "byok_usage_daily": 0, "byok_usage_weekly": 0, "byok_usage_monthly": 0,
        "created_at": "2026-09-01T08:00:00.123456+00:00", "updated_at": null, "creator_user_id": null,
        "workspace_id": "w-1", "external_user": null, "last_used_at": "2026-11-19T10:00:00Z", "expires_at": null,
    })
}

/// A key object with other values for some fields.
fn key_json_with(number: usize, change: &Value) -> Value {
    let mut key = key_json(number);
    for (name, value) in change.as_object().unwrap() {
        key[name] = value.clone();
    }
    key
}

fn created_json() -> String {
    json!({"key": PLAINTEXT, "data": key_json(1)}).to_string()
}

fn error_json(status: u16, message: &str) -> String {
    json!({"error": {"code": status, "message": message}}).to_string()
}

pub(super) fn new_key() -> NewKey<'static> {
    NewKey {
        name: "key 1",
        limit: Usd::from_dollars(20),
        counting: Basis::default().into(),
        expires_at: None,
    }
}

/// The kind of an outcome in one word.
fn ending<T>(result: &Result<T, ProviderError>) -> &'static str {
    match result.as_ref().map_err(|error| &error.kind) {
        Ok(_) => "done",
        Err(FailureKind::Refused) => "refused",
        Err(FailureKind::Later) => "later",
        Err(FailureKind::ManagementKey) => "management key",
        Err(FailureKind::AnotherAccount(_)) => "another account",
        Err(FailureKind::Unknown(_)) => "unknown",
    }
}
