//! One key as the provider knows it, by its hash and never its plaintext; `/keys`, and `/key` about
//! itself.

use std::collections::BTreeSet;

use axum::body::Bytes;
use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::account::{Account, fresh_key, label};
use super::quirks::Quirks;
use super::windows::{Days, Interval, Nano, Use};
use super::{Answer, Caller, Manager, Provider, Refusal, USER_ID, Who, changed, hash_of, refuse};

const PAGE: usize = 100;
/// The longest time until usage is charged.
const SETTLES_WITHIN: SignedDuration = SignedDuration::from_mins(15);
/// The time for which charges are remembered for answers that lag.
const REMEMBERED: SignedDuration = SignedDuration::from_hours(1);

const COUNTERS: [(&str, Option<Interval>); 4] = [
    ("usage", None),
    ("usage_daily", Some(Interval::Daily)),
    ("usage_weekly", Some(Interval::Weekly)),
    ("usage_monthly", Some(Interval::Monthly)),
];

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Key {
    pub(super) hash: String,
    pub(super) label: String,
    pub(super) settings: KeySettings,
    pub(super) deleted: bool,
    pub(super) created_at: Timestamp,
    updated_at: Option<Timestamp>,
    pub(super) expires_at: Option<Timestamp>,
    #[serde(flatten)]
    pub(super) used: Used,
    pub(super) assignment: Option<Assignment>,
    pub(super) asked: Asked,
    /// When it was disabled or deleted.
    ended_at: Option<Timestamp>,
    pub(super) overshot: Nano,
    pub(super) settled_late: Nano,
    /// What it had used before each charge of the last hour.
    #[serde(skip)]
    before: Vec<(Timestamp, Used)>,
    #[serde(skip)]
    pub(super) reports: Vec<(Timestamp, Nano)>,
}

/// What a `PATCH` changes.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct KeySettings {
    pub(super) name: String,
    pub(super) disabled: bool,
    pub(super) limit: Option<Nano>,
    pub(super) limit_reset: Option<Interval>,
    pub(super) include_byok_in_limit: bool,
    pub(super) workspace_id: String,
}

/// The guardrail of a key, which has at most one.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Assignment {
    pub(super) guardrail: String,
    pub(super) at: Timestamp,
}

/// What was requested of a key over HTTP, see `KeySnapshot`.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Asked {
    pub(super) limit: Option<Nano>,
    pub(super) disabled: bool,
    pub(super) changes: BTreeSet<String>,
}

/// What lags in answers.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Used {
    pub(super) days: Days,
    pub(super) last_used_at: Option<Timestamp>,
}

impl Key {
    pub(super) fn new(plaintext: &str, settings: KeySettings, now: Timestamp) -> Key {
        Key {
            hash: hash_of(plaintext),
            label: label(plaintext),
            asked: Asked {
                limit: settings.limit,
                ..Asked::default()
            },
            settings,
            created_at: now,
            ..Key::default()
        }
    }

    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }

    pub(super) fn delete(&mut self, now: Timestamp) {
        self.deleted = true;
        self.ended_at.get_or_insert(now);
    }

    pub(super) fn change(&mut self, settings: KeySettings, now: Timestamp) {
        self.ended_at = settings.disabled.then(|| self.ended_at.unwrap_or(now));
        self.settings = settings;
        self.updated_at = Some(now);
    }

    /// The usage that counts against the limit in the window of `now`.
    pub(super) fn spent_in_window(&self, now: Timestamp) -> Nano {
        self.counted(&self.used, self.settings.limit_reset, now)
    }

    fn counted(&self, used: &Used, reset: Option<Interval>, as_of: Timestamp) -> Nano {
        used.days
            .within(reset, as_of)
            .counted(self.settings.include_byok_in_limit)
    }

    /// Charges usage of the instant `used_at` now. What breaks no promise of the product's, since
    /// it could not know of it, is counted for those who judge.
    pub(super) fn charge(&mut self, model: &str, used: Use, used_at: Timestamp, now: Timestamp) {
        let counted = used.counted(self.settings.include_byok_in_limit);
        let allowance = self
            .asked
            .limit
            .map(|limit| (limit - self.spent_in_window(now)).max(Nano::ZERO));
        let within = allowance.map_or(counted, |allowance| allowance.min(counted));
        self.overshot += counted - within;
        let end = self
            .ended_at
            .into_iter()
            .chain(self.expires_at.filter(|end| *end <= now))
            .min();
        if end.is_some_and(|end| now.duration_since(end.min(used_at)) > SETTLES_WITHIN) {
            self.settled_late += within;
        }
        self.before
            .retain(|(charged_at, _)| *charged_at > now - REMEMBERED);
        self.before.push((now, self.used.clone()));
        self.note(model, used, used_at);
    }

    pub(super) fn note(&mut self, model: &str, used: Use, used_at: Timestamp) {
        self.used.days.add(used_at, model, used);
        self.used.last_used_at = self.used.last_used_at.max(Some(used_at));
    }

    /// What it used, as it was known then.
    pub(super) fn used_as_of(&self, as_of: Timestamp) -> &Used {
        self.before
            .iter()
            .find(|(charged_at, _)| *charged_at > as_of)
            .map_or(&self.used, |(_, used)| used)
    }

    /// The object of `POST`, `GET` and `PATCH /keys`.
    fn object(&self, as_of: Timestamp, quirks: &Quirks) -> Value {
        let usage = self.used_as_of(as_of);
        let settings = &self.settings;
        let time = |timestamp: Option<Timestamp>| timestamp.map(|timestamp| quirks.time(timestamp));
        let mut object = json!({
            "hash": self.hash,
            "label": self.label,
            "name": settings.name,
            "disabled": settings.disabled,
            "limit": settings.limit,
            "limit_remaining": settings.limit.map(|limit| limit - self.counted(usage, settings.limit_reset, as_of)),
            "limit_reset": settings.limit_reset,
            "include_byok_in_limit": settings.include_byok_in_limit,
            "workspace_id": settings.workspace_id,
            "created_at": time(Some(self.created_at)),
            "updated_at": time(self.updated_at),
            "expires_at": time(self.expires_at),
            "last_used_at": time(usage.last_used_at),
            "creator_user_id": USER_ID,
            "external_user": null,
        });
        for (counter, interval) in COUNTERS {
            let used = usage.days.within(interval, as_of);
            object[counter] = json!(used.credit);
            object[format!("byok_{counter}")] = json!(used.byok);
        }
        if let Value::Object(fields) = &mut object {
            fields.retain(|field, _| !quirks.absent_fields.contains(&field.as_str()));
        }
        object
    }
}

pub(super) fn routes() -> Router<Provider> {
    Router::new()
        .route("/key", get(read_own))
        .route("/keys", get(list).post(create))
        .route("/keys/{hash}", get(read).patch(update).delete(delete))
}

#[derive(Deserialize)]
struct Listing {
    #[serde(default)]
    include_disabled: bool,
    #[serde(default)]
    include_expired: bool,
    #[serde(default)]
    offset: usize,
    workspace_id: Option<String>,
}

/// A page, newest first. There is no total.
async fn list(manager: Manager, Query(listing): Query<Listing>) -> Answer {
    let (now, account) = manager.account();
    let workspace = account.workspace(listing.workspace_id.as_deref(), &manager.scope)?;
    let shown = account.keys().iter().rev().filter(|key| {
        key.settings.workspace_id == workspace
            && !key.deleted
            && (listing.include_disabled || !key.settings.disabled)
            && (listing.include_expired || !key.has_expired(now))
    });
    let as_of = now - 2 * account.quirks.lag;
    let page = shown
        .skip(listing.offset)
        .take(PAGE)
        .map(|key| key.object(as_of, &account.quirks));
    Ok(Json(json!({ "data": page.collect::<Vec<_>>() })))
}

/// Makes a key. Only here its plaintext is told, beside `data`.
async fn create(manager: Manager, body: Bytes) -> Result<(StatusCode, Json<Value>), Refusal> {
    let mut body: Map<String, Value> = serde_json::from_slice(&body)?;
    body.remove("disabled");
    let (now, mut account) = manager.account();
    let blank = KeySettings {
        workspace_id: account.workspace(None, &manager.scope)?,
        ..KeySettings::default()
    };
    let settings = checked(changed(&blank, &body)?, &account, &manager.scope)?;
    let plaintext = fresh_key();
    let expires_at = body
        .get("expires_at")
        .filter(|value| !value.is_null())
        .map(instant)
        .transpose()?;
    let place = account.add(Key {
        expires_at,
        ..Key::new(&plaintext, settings, now)
    })?;
    Ok((
        StatusCode::CREATED,
        Json(json!({ "key": plaintext, "data": told(&mut account, place, now) })),
    ))
}

async fn read(manager: Manager, Path(hash): Path<String>) -> Answer {
    let (now, mut account) = manager.account();
    let place = account.find_within(&manager.scope, &hash)?;
    Ok(Json(json!({ "data": told(&mut account, place, now) })))
}

async fn update(manager: Manager, Path(hash): Path<String>, body: Bytes) -> Answer {
    let body: Map<String, Value> = serde_json::from_slice(&body)?;
    let (now, mut account) = manager.account();
    let place = account.find_within(&manager.scope, &hash)?;
    let settings = patched(&account, place, &body, &manager.scope)?;
    account.change(place, |key| {
        if body.contains_key("limit") {
            key.asked.limit = settings.limit;
        }
        if body.contains_key("disabled") {
            key.asked.disabled = settings.disabled;
        }
        key.asked.changes.insert(Value::Object(body).to_string());
        key.change(settings, now);
    })?;
    Ok(Json(json!({ "data": told(&mut account, place, now) })))
}

async fn delete(manager: Manager, Path(hash): Path<String>) -> Answer {
    let (now, mut account) = manager.account();
    let place = account.find_within(&manager.scope, &hash)?;
    account.change(place, |key| {
        key.asked.changes.insert("deletion".to_owned());
        key.delete(now);
    })?;
    Ok(Json(json!({ "deleted": true })))
}

/// What a key reads of itself, and whether it is a management key.
async fn read_own(caller: Caller) -> Answer {
    let now = caller.provider.now();
    let account = caller.provider.account();
    let (key, is_management) = match &caller.who {
        Who::Ordinary(place) => (account.key(*place).clone(), false),
        Who::Management(manager) => (
            Key {
                label: manager.label.clone(),
                ..Key::new("", KeySettings::default(), now)
            },
            true,
        ),
    };
    let mut object = key.object(now - account.quirks.lag, &account.quirks);
    if let Value::Object(fields) = &mut object {
        for of_managers in [
            "hash",
            "name",
            "disabled",
            "created_at",
            "updated_at",
            "last_used_at",
            "external_user",
        ] {
            fields.remove(of_managers);
        }
    }
    if is_management {
        object["workspace_id"] = Value::Null;
    }
    object["is_management_key"] = is_management.into();
    object["is_provisioning_key"] = is_management.into();
    object["is_free_tier"] = (account.books.credits <= Nano::ZERO).into();
    // The SDK's models require these.
    object["rate_limit"] =
        json!({ "requests": -1, "interval": "10s", "note": "This field is deprecated." });
    object["organization_id"] = Value::Null;
    object["allowed_data_regions"] = json!(["global"]);
    object["free_model_daily_requests"] = json!({ "used": 0, "limit": 1_000, "remaining": 1_000 });
    object["effective_budget"] = Value::Null;
    object["budgets"] = json!([]);
    Ok(Json(json!({ "data": object })))
}

/// The settings of a key after a `PATCH` with this body.
pub(super) fn patched(
    account: &Account,
    place: usize,
    body: &Map<String, Value>,
    scope: &Option<String>,
) -> Result<KeySettings, Refusal> {
    checked(changed(&account.key(place).settings, body)?, account, scope)
}

fn checked(
    settings: KeySettings,
    account: &Account,
    scope: &Option<String>,
) -> Result<KeySettings, Refusal> {
    if settings.name.is_empty() || settings.limit.is_some_and(|limit| limit < Nano::ZERO) {
        return Err(refuse(
            400,
            "Invalid request parameters: a name is not empty, and a limit not negative",
        ));
    }
    account.workspace(Some(&settings.workspace_id), scope)?;
    Ok(KeySettings {
        limit: account.quirks.kept_limit(settings.limit),
        ..settings
    })
}

/// The answer about one key, of which the judges know what it told.
fn told(account: &mut Account, place: usize, now: Timestamp) -> Value {
    let key = account.key(place);
    let as_of = now - account.quirks.lag;
    let object = key.object(as_of, &account.quirks);
    let used = key.counted(key.used_as_of(as_of), None, as_of);
    account.note_told(place, now, used);
    object
}

/// A time in UTC with seconds; no other is taken.
pub(super) fn instant(value: &Value) -> Result<Timestamp, Refusal> {
    let text = value
        .as_str()
        .filter(|text| text.ends_with('Z') && text.get(16..17) == Some(":"));
    let timestamp = text.and_then(|text| text.parse().ok());
    timestamp.ok_or_else(|| {
        refuse(
            400,
            "Invalid request parameters: a time is like YYYY-MM-DDTHH:MM:SSZ",
        )
    })
}
