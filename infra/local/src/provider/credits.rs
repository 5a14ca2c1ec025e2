//! The account's money: `/credits`, what completions charge, and the pool of free requests that all keys share.

use axum::extract::State;
use axum::http::HeaderMap;
use axum::routing::get;
use axum::{Json, Router};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::Provider;
use super::access::{Caller, caller};
use super::days::DayUse;
use super::errors::Refusal;
use super::key::money;
use super::memory::{Account, Charge, Memory};
use super::money::Nano;

pub(super) fn routes() -> Router<Provider> {
    Router::new().route("/credits", get(credits))
}

async fn credits(State(provider): State<Provider>, headers: HeaderMap) -> Result<Json<Value>, Refusal> {
    let memory = provider.memory();
    let (bought, used) = match caller(&memory, &headers, provider.now())? {
        Caller::Management(_) => (memory.account().credits, memory.used_as_told(provider.now())),
        // The trap: an ordinary key is told that there is nothing, not that it may not ask.
        Caller::Ordinary(_) if memory.quirks.credits_zero_for_ordinary_keys => (Nano::ZERO, Nano::ZERO),
        Caller::Ordinary(_) => return Err(Refusal::forbidden("Only management keys can perform this operation")),
    };
    Ok(Json(json!({
        "data": { "total_credits": bought.json(), "total_usage": money(used, &memory.quirks) },
    })))
}

impl Memory {
    /// A charge reaches its key, even one that was disabled or deleted meanwhile.
    pub(super) fn settle(&mut self, charge: &Charge, at: Timestamp, now: Timestamp) -> anyhow::Result<()> {
        self.note_use(charge.place, at);
        self.change_key(charge.place, |key| {
            key.charged(charge.credit, charge.byok, at, &charge.model, now);
        })?;
        let used = DayUse {
            prompt_tokens: charge.prompt_tokens,
            completion_tokens: charge.completion_tokens,
            ..DayUse::request(charge.credit, charge.byok)
        };
        self.remember(charge.place, [(at, &*charge.model, used)])
    }

    pub(super) fn count_free(&mut self, now: Timestamp) -> anyhow::Result<()> {
        let free = Some((utc_day(now), self.free_used(now) + 1));
        let account = Account { free, ..self.account().clone() };
        self.put_account(account)
    }

    /// The counter is reported, not enforced: rates are limited elsewhere.
    pub(super) fn free_requests(&self, now: Timestamp) -> Value {
        let limit: u64 = if self.account().credits >= Nano::usd(10) { 1_000 } else { 50 };
        let used = self.free_used(now);
        json!({ "used": used, "limit": limit, "remaining": limit.saturating_sub(used) })
    }

    fn free_used(&self, now: Timestamp) -> u64 {
        self.account().free.filter(|(day, _)| *day == utc_day(now)).map_or(0, |(_, used)| used)
    }
}

/// The day of the provider's calendar that an instant lies in.
pub(super) fn utc_day(at: Timestamp) -> Date {
    at.to_zoned(TimeZone::UTC).date()
}
