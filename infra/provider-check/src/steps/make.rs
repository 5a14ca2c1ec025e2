//! Making the one key, exactly as the client makes a student's, and what its answer holds.

use anyhow::{Context, Result, bail};
use bursar_core::domain::values::key::{KeyHash, PlaintextKey};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::keys::NewKey;
use bursar_core::provider::wire::calls::{CREATE_KEY, CREDITS};
use jiff::Timestamp;

use super::account::is_management;
use crate::assumptions::{
    BYOK_KEPT, EXPIRY_KEPT, FOUND_AT_ONCE, HASH_SHAPE, KEY_IN_WORKSPACE, LIMIT_NEAR, NAME_KEPT, ORDINARY_CREDITS,
    PLAINTEXT_ON_TOP,
};
use crate::run::{EXPIRES_AFTER, LIMIT, MadeKey, Run, SOON};
use crate::wire::Object;

/// What is sent as `include_byok_in_limit`; the provider's own default is believed to be the other value.
pub(crate) const INCLUDES_BYOK: bool = true;

/// The body for a key of a run: a limit of a cent, and an expiry an hour ahead.
pub(crate) fn body(name: &str, now: Timestamp) -> Result<String> {
    let key = NewKey {
        name,
        limit: LIMIT,
        reset: Reset::None,
        include_byok_in_limit: INCLUDES_BYOK,
        expires_at: Some(expiry(now)),
        workspace: None,
    };
    Ok(serde_json::to_string(&key)?)
}

/// The expiry in whole seconds, as it is sent.
fn expiry(now: Timestamp) -> Timestamp {
    let at = now + EXPIRES_AFTER;
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

pub(crate) async fn make(run: &mut Run<'_>) -> Result<()> {
    let now = run.options.clock.now();
    let body = body(&run.name, now)?;
    let answer = run.make(&CREATE_KEY, &["keys"], body).await?.or_refused("making a key")?;
    let data = answer.data();
    let hash = data.text("hash").context("the answer to the new key names no hash")?;
    run.hashes.push(hash.clone());
    let is_hash = hash.parse::<KeyHash>().is_ok();
    run.findings.judge(&HASH_SHAPE, is_hash, format!("{} characters", hash.chars().count()));
    let on_top = answer.object().text("key").and_then(PlaintextKey::new);
    let seen = if on_top.is_some() { "beside it" } else { "not beside it" };
    run.findings.judge(&PLAINTEXT_ON_TOP, on_top.is_some(), seen);
    let Some(plaintext) = on_top.or_else(|| data.text("key").and_then(PlaintextKey::new)) else {
        bail!("the answer to the new key does not hold its plaintext");
    };
    let workspace = data.text("workspace_id");
    run.key = Some(MadeKey { hash, plaintext, expires_at: expiry(now), workspace });
    judge_answer(run, &data)?;
    found(run).await?;
    as_the_key(run).await
}

fn judge_answer(run: &mut Run<'_>, data: &Object) -> Result<()> {
    let key = run.made_key()?;
    let (expires_at, workspace) = (key.expires_at, key.workspace.clone());
    let name = data.text("name").unwrap_or_default();
    let seen = if name == run.name { name.clone() } else { format!("“{name}” in place of “{}”", run.name) };
    let is_kept = name == run.name;
    run.findings.judge(&NAME_KEPT, is_kept, seen);
    let listed = data.instant("expires_at");
    let seen = format!("{} for {expires_at}", data.text("expires_at").unwrap_or_else(|| "none".to_owned()));
    run.findings.judge(&EXPIRY_KEPT, listed == Some(expires_at), seen);
    let byok = data.flag("include_byok_in_limit");
    run.findings.judge(&BYOK_KEPT, byok == Some(INCLUDES_BYOK), format!("{} for {INCLUDES_BYOK}", told(byok)));
    judge_limit(run, data, "made with");
    match workspace {
        Some(id) => {
            let is_listed = run.workspaces.contains(&id);
            run.findings.judge(&KEY_IN_WORKSPACE, is_listed, format!("workspace {id}"));
        }
        None => run.findings.judge(&KEY_IN_WORKSPACE, false, "the key does not say where it lies"),
    }
    Ok(())
}

/// A switch of the answer, in words.
pub(super) fn told(flag: Option<bool>) -> String {
    flag.map_or_else(|| "not told".to_owned(), |flag| flag.to_string())
}

/// Judges a limit that was sent as [`LIMIT`].
fn judge_limit(run: &mut Run<'_>, data: &Object, how: &str) {
    let literal = data.literal("limit").unwrap_or_else(|| "no limit".to_owned());
    let is_near = data.usd("limit").is_some_and(|limit| limit > Usd::ZERO && limit.is_about(LIMIT));
    run.findings.judge(&LIMIT_NEAR, is_near, format!("{how} {LIMIT}, kept {literal}"));
}

async fn found(run: &mut Run<'_>) -> Result<()> {
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let answer = run.get_key().await?;
        if answer.status != 404 {
            answer.or_refused("reading the key by its hash")?;
            run.findings.judge(&FOUND_AT_ONCE, patience.is_fresh(), format!("found {}", patience.after()));
            return Ok(());
        }
        if !patience.goes_on().await {
            run.findings.judge(&FOUND_AT_ONCE, false, format!("found {}", patience.in_vain()));
            bail!("the key that was made is not found by its hash");
        }
    }
}

/// What the key is told with its own plaintext: of itself, of the account's free models, of its credits.
async fn as_the_key(run: &mut Run<'_>) -> Result<()> {
    let own = run.own_key().await?.or_refused("asking with the key that was made")?.data();
    if is_management(&own) == Some(true) {
        bail!("the key that was made is a management key");
    }
    let free = own.object("free_model_daily_requests");
    let allowance = match (free.count("limit"), free.count("used")) {
        (Some(limit), used) => {
            format!("{limit} requests a day for the whole account, {} used today", used.unwrap_or_default())
        }
        _ => "not told".to_owned(),
    };
    run.findings.note("free models", allowance);
    let answer = run.ask_as_key(&CREDITS, &["credits"]).await?;
    let seen = match answer.is_done() {
        true => {
            let total = answer.data().literal("total_credits");
            format!("answered, with total_credits {}", total.unwrap_or_else(|| "missing".to_owned()))
        }
        false => answer.words(),
    };
    run.findings.judge(&ORDINARY_CREDITS, matches!(answer.status, 401 | 403), seen);
    Ok(())
}
