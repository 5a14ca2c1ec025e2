//! Authentication: a management key, an ordinary key, or neither. Limits of an ordinary key are left to
//! `inference`.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use jiff::Timestamp;

use crate::provider::handle::Provider;
use crate::provider::memory::Memory;
use crate::provider::values::ids;
use crate::provider::values::refusal::Refusal;

pub(crate) enum Caller {
    /// A management key, by its label.
    Management(String),
    /// An ordinary key, by its place.
    Ordinary(usize),
}

/// The caller of anything but inference.
pub(crate) fn caller(memory: &Memory, headers: &HeaderMap, now: Timestamp) -> Result<Caller, Refusal> {
    let hash = presented(headers)?;
    if let Some(key) = memory.management_key(&hash) {
        return Ok(Caller::Management(key.label.clone()));
    }
    Ok(Caller::Ordinary(known(memory, &hash, now)?))
}

/// The key that calls inference. Management keys cannot.
pub(crate) fn spender(memory: &Memory, headers: &HeaderMap, now: Timestamp) -> Result<usize, Refusal> {
    known(memory, &presented(headers)?, now)
}

/// Proof that the request carries a management key.
pub(crate) struct Management;

impl FromRequestParts<Provider> for Management {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, provider: &Provider) -> Result<Management, Refusal> {
        match caller(&provider.memory(), &parts.headers, provider.now())? {
            Caller::Management(_) => Ok(Management),
            Caller::Ordinary(_) => Err(Refusal::forbidden("Only management keys can perform this operation")),
        }
    }
}

pub(crate) fn presented(headers: &HeaderMap) -> Result<String, Refusal> {
    let missing = || Refusal::unauthorized("Missing Authentication header");
    let value = headers.get(AUTHORIZATION).ok_or_else(missing)?.to_str().map_err(|_| missing())?;
    let (scheme, key) = value.split_once(' ').ok_or_else(missing)?;
    match scheme.eq_ignore_ascii_case("bearer") {
        true => Ok(ids::sha256(key.trim())),
        false => Err(missing()),
    }
}

/// The place of a usable key. Unknown, deleted, expired and disabled keys get one and the same refusal.
fn known(memory: &Memory, hash: &str, now: Timestamp) -> Result<usize, Refusal> {
    let is_usable = |place: &usize| !memory.key(*place).expired(now) && !memory.key(*place).disabled;
    memory.find(hash).ok().filter(is_usable).ok_or_else(|| Refusal::unauthorized("User not found."))
}
