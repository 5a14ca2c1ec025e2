//! The steps of a run in their order, and its end, which takes away what it made.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use bursar_core::domain::programme::rules::{DataPolicy, Region};
use bursar_core::domain::usage::reading::SETTLING;
use bursar_core::domain::values::key::PlaintextKey;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::provider::key::ProviderKey;
use bursar_core::provider::keys::{KeyPatch, KeyPresence};
use bursar_core::provider::wire::calls::{CREATE_KEY, Call, DELETE_KEY, LIST_KEYS, OWN_KEY, PATCH_KEY, Repeatable};
use bursar_core::provider::wire::error::ProviderError;
use http::Method;
use serde_json::json;
use ulid::Ulid;

use crate::leftovers::{self, DELETE_GUARDRAIL};
use crate::run::{LIMIT, MadeKey, Run, SOON, cost, soon, within};
use crate::wire::Answer;

/// What only a key that spent can show.
const NEEDS_SPENDING: [&str; 8] = [
    "key-settles",
    "listing-settles",
    "counters-told",
    "limit-binds",
    "usage-kept",
    "rules-bind",
    "regions-bind",
    "disable-binds",
];
const NEEDS_A_GUARDRAIL: [&str; 3] = ["assignment-listed", "rules-bind", "regions-bind"];
/// A model that the check does not call.
const OTHER_MODEL: &str = "anthropic/claude-sonnet-4.5";
/// A limit with all six decimals, in the place of a cent.
const ODD: Usd = Usd::from_micros(10_001);
/// The least limit that is not zero. The client sends none below a cent, so it is written by hand.
const LEAST: Usd = Usd::from_micros(1);
/// The most keys that a count makes.
pub const MOST_KEYS: usize = 50;
/// The amount by which two roundings to the micro-dollar can differ.
const ROUNDING: Usd = Usd::from_micros(2);
/// The time for which a request without an answer may still make something.
const LATE: Duration = Duration::from_secs(30);

/// The policies of one kind that apply to a key, which no guardrail shows.
const POLICIES: Call = Call {
    name: "policies of a key",
    method: Method::GET,
    path: "/guardrails/policies/assignments/api-keys/{hash}",
    time_out: Duration::from_secs(10),
    again: Repeatable::Safely("it only reads"),
};
const KINDS_OF_POLICY: [&str; 4] = ["budget", "model_availability", "moderation", "rate_limit"];

/// Every step. Money is spent before anything restricts the key, since a refusal proves a restriction only if
/// the same request passed before.
pub(crate) async fn all(run: &mut Run<'_>) -> Result<()> {
    let progress = run.options.progress;
    left_before(run).await?;
    progress("trying whether it takes a key of the caller's");
    callers_key(run).await?;
    progress("reading the account");
    account(run).await?;
    progress("making a key");
    make(run).await?;
    policies(run).await?;
    progress("changing the key");
    change(run).await?;
    progress("spending on the key, and waiting until its counters show it, up to 15 minutes");
    spend(run).await?;
    progress("lowering its limit below what it used");
    lower(run).await?;
    progress("putting the key under a guardrail");
    restrict(run).await?;
    progress("disabling the key");
    disable(run).await?;
    progress("deleting the key");
    delete(run).await
}

async fn left_before(run: &mut Run<'_>) -> Result<()> {
    (run.options.progress)("looking for what an earlier run left");
    let left = leftovers::take_away(&run.wire).await?;
    run.findings.taken_away.extend(left.into_iter().map(|what| format!("{what}, which an earlier run left")));
    Ok(())
}

/// Whether `POST /keys` takes a key of the caller's: then a lost answer would lose no key. The key is deleted at once,
/// since Bursar makes none of this kind.
async fn callers_key(run: &mut Run<'_>) -> Result<()> {
    let text = format!("sk-or-v1-{}{}", Ulid::generate(), Ulid::generate()).to_lowercase();
    let body = json!({
        "name": run.name,
        "limit": 0.01,
        "expires_at": run.expiry().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
        "external": { "user": "bursar-provider-check", "api_key": text },
    });
    run.is_unanswered = true;
    let answer = run.wire.ask(&CREATE_KEY, &["keys"], &[], Some(body)).await?;
    run.is_unanswered = matches!(answer.status, 408 | 500..);
    let seen = match answer.status {
        200..300 => {
            let told = answer.json();
            let hash = told["data"]["hash"].as_str().context("the answer to a new key names no hash")?;
            run.hashes.push(hash.to_owned());
            let seen = match told["key"].as_str().is_some_and(|key| key != text) {
                true => "ignored: the provider answered another (external.api_key of POST /keys)".to_owned(),
                false => is_it_ours(run, &text).await?,
            };
            take_away_made(run).await?;
            seen
        }
        400 | 402..=404 | 409 | 422 => {
            format!("not taken (external.api_key of POST /keys): {}. Bursar does not need it", answer.words())
        }
        _ => bail!("making a key was answered {}", answer.words()),
    };
    run.findings.note("a key of the caller's", seen);
    Ok(())
}

async fn is_it_ours(run: &Run<'_>, text: &str) -> Result<String> {
    let key = PlaintextKey::new(text.to_owned()).context("no key can be thought of")?;
    let (answer, when) = within(&run.options.wait, SOON, async || {
        Ok(Some(run.wire.ask_as(&key, &OWN_KEY, &["key"], &[], None).await?).filter(Answer::is_done))
    })
    .await?;
    Ok(match answer {
        Some(_) => format!("taken (external.api_key of POST /keys), and works {when}"),
        None => format!("answered as taken (external.api_key of POST /keys), but it works {when}"),
    })
}

/// What the account has, and whether the management key sees all of it.
async fn account(run: &mut Run<'_>) -> Result<()> {
    let left = run.provider.credits(soon()).await?.balance();
    run.can_spend = left >= LIMIT;
    run.findings.note("credits left", left.to_cents_down());
    let listed = run.provider.workspaces(soon()).await?;
    run.workspaces = listed.into_iter().map(|workspace| workspace.id).collect();
    scope(run).await
}

/// Whether the management key is scoped to a workspace: it says so of itself, or is refused the others.
async fn scope(run: &mut Run<'_>) -> Result<()> {
    let own = run.wire.ask(&OWN_KEY, &["key"], &[], None).await?.json();
    let mut refused = Vec::new();
    for id in &run.workspaces {
        let answer = run.wire.ask(&LIST_KEYS, &["keys"], &[("workspace_id", id)], None).await?;
        match answer.status {
            200..300 => {}
            403 | 404 => refused.push(format!("{id} ({})", answer.words())),
            _ => bail!("the keys of a workspace cannot be listed: {}", answer.words()),
        }
    }
    let (count, all) = (run.workspaces.len() - refused.len(), run.workspaces.len());
    let seen = match (own["data"]["workspace_id"].as_str(), refused.as_slice()) {
        (Some(id), _) => format!("scoped to the workspace {id}"),
        (None, [_, ..]) => format!("scoped: it reads {count} of {all} workspaces"),
        (None, []) if all == 1 => "not known to be scoped: the account lists one workspace, and it reads it".to_owned(),
        (None, []) => format!("not scoped: it reads all {all} workspaces"),
    };
    run.findings.note("the management key", seen);
    let seen = if refused.is_empty() { format!("{count} of {all}") } else { format!("not {}", refused.join(", ")) };
    run.findings.check("workspaces-read", count > 0 && refused.is_empty(), seen);
    Ok(())
}

async fn make(run: &mut Run<'_>) -> Result<()> {
    let (name, expires_at) = (run.name.clone(), run.expiry());
    let made = run.make_key(&name, expires_at).await?;
    run.key = Some(MadeKey { hash: made.hash, plaintext: made.plaintext, workspace: None });
    let key = run.read_key().await?;
    let seen = if key.name == name { name.clone() } else { format!("“{}” in place of “{name}”", key.name) };
    run.findings.check("name-kept", key.name == name, seen);
    let kept = key.expires_at.map_or_else(|| "none".to_owned(), |at| at.to_string());
    run.findings.check("expiry-kept", key.expires_at == Some(expires_at), format!("{kept} for {expires_at}"));
    let seen = key.workspace_id.clone().unwrap_or_else(|| "it does not say where it lies".to_owned());
    let is_listed = key.workspace_id.as_ref().is_some_and(|id| run.workspaces.contains(id));
    run.findings.check("key-in-workspace", is_listed, seen);
    if let Some(made) = &mut run.key {
        made.workspace = key.workspace_id;
    }
    Ok(())
}

fn shown(amount: Option<Usd>) -> String {
    amount.map_or_else(|| "none".to_owned(), |amount| format!("${amount}"))
}

/// Whether guardrail policies apply to a new key. Guardrails flow into them, and what is changed in them does not flow
/// back: Bursar would not see it.
async fn policies(run: &mut Run<'_>) -> Result<()> {
    let key = run.made_key()?;
    let path = ["guardrails", "policies", "assignments", "api-keys", key.hash.as_str()];
    let workspace = key.workspace.as_deref().unwrap_or_default();
    let mut applied = Vec::new();
    for kind in KINDS_OF_POLICY {
        let answer =
            run.wire.ask(&POLICIES, &path, &[("workspace_id", workspace), ("policy_type", kind)], None).await?;
        if !answer.is_done() {
            let seen = match answer.status {
                404 => format!("not known here ({})", answer.words()),
                _ => format!("they cannot be read ({}): look at the provider's page for them", answer.words()),
            };
            run.findings.note("guardrail policies", seen);
            return Ok(());
        }
        let told = answer.json();
        let lists = [&told["data"]["policy_ids"], &told["data"]["workspace_default_policy_ids"]];
        let count: usize = lists.iter().filter_map(|list| list.as_array()).map(Vec::len).sum();
        if count > 0 {
            applied.push(format!("{count} of {kind}"));
        }
    }
    let seen = match applied.is_empty() {
        true => "none applies to a new key. Do not edit Bursar's guardrails on the page of policies: it would not \
                 learn of it"
            .to_owned(),
        false => format!(
            "in use: {} apply to every new key, and Bursar does not show them. Change them on their own page only",
            applied.join(", ")
        ),
    };
    run.findings.note("guardrail policies", seen);
    Ok(())
}

/// Changes the limit to one with six decimals and back.
async fn change(run: &mut Run<'_>) -> Result<()> {
    let before = run.read_key().await?;
    let after = limited(run, ODD).await?;
    let rest = |key: ProviderKey| {
        let ProviderKey { name, disabled, limit_reset, include_byok_in_limit, expires_at, workspace_id, .. } = key;
        (name, disabled, limit_reset, include_byok_in_limit, expires_at, workspace_id)
    };
    let (before, after) = (rest(*before), rest(*after));
    let is_left = before == after;
    let seen = if is_left { "only the limit changed".to_owned() } else { format!("{before:?} became {after:?}") };
    run.findings.check("patch-leaves", is_left, seen);
    limited(run, LIMIT).await?;
    Ok(())
}

async fn limited(run: &Run<'_>, limit: Usd) -> Result<Box<ProviderKey>> {
    match run.provider.patch_key(&run.hash()?, KeyPatch::limit(Some(limit)), soon()).await? {
        KeyPresence::Key(key) => Ok(key),
        KeyPresence::Gone => bail!("the key that was made is gone"),
    }
}

async fn spend(run: &mut Run<'_>) -> Result<()> {
    if !run.can_spend {
        unseen(run, "the account has less than a cent of credit; buy some and run this again");
        return Ok(());
    }
    let answer = run.complete().await?;
    if !answer.is_done() {
        let why = format!("{} answered {}; name another with --model", run.options.model, answer.words());
        unseen(run, &why);
        return Ok(());
    }
    // A provider that does not tell the cost must at least show some.
    let cost = cost(&answer).unwrap_or(LEAST);
    let shows = |usage: Option<Usd>| usage.is_some_and(|usage| usage > Usd::ZERO && usage + ROUNDING > cost);
    let (mut key_shows, mut listing_shows) = (false, false);
    let (_, when) = within(&run.options.wait, Duration::try_from(SETTLING)?, async || {
        key_shows = key_shows || shows(run.read_key().await?.usage);
        listing_shows = listing_shows || shows(run.listed_key().await?.and_then(|row| row.usage));
        Ok((key_shows && listing_shows).then_some(()))
    })
    .await?;
    for (id, shows) in [("key-settles", key_shows), ("listing-settles", listing_shows)] {
        let seen = if shows { format!("${cost} seen") } else { format!("${cost} seen {when}") };
        run.findings.check(id, shows, seen);
    }
    let key = run.read_key().await?;
    let counters = [
        ("usage", key.usage),
        ("usage_daily", key.usage_daily),
        ("usage_weekly", key.usage_weekly),
        ("usage_monthly", key.usage_monthly),
    ];
    let missing: Vec<&str> = counters.iter().filter(|(_, told)| told.is_none()).map(|(name, _)| *name).collect();
    let seen = if missing.is_empty() { "all four".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    run.findings.check("counters-told", missing.is_empty(), seen);
    Ok(())
}

/// Says of all that needs spending why it is not judged, and spends no more.
fn unseen(run: &mut Run<'_>, why: &str) {
    run.can_spend = false;
    run.findings.not_seen(&NEEDS_SPENDING, why);
}

async fn lower(run: &mut Run<'_>) -> Result<()> {
    if !run.can_spend {
        return Ok(());
    }
    let hash = run.hash()?;
    let used = run.read_key().await?.usage.unwrap_or_default();
    let body = json!({ "limit": LEAST.to_json() });
    let answer = run.wire.ask(&PATCH_KEY, &["keys", hash.as_str()], &[], Some(body)).await?;
    match run.read_key().await?.limit {
        Some(limit) if limit > Usd::ZERO && limit < used => {
            refused(run, "limit-binds", Answer::is_of_key_limit).await?;
        }
        limit => {
            let (kept, words) = (shown(limit), answer.words());
            let why = format!("a limit of ${LEAST} was answered {words} and is {kept}, not below the ${used} used");
            run.findings.not_seen(&["limit-binds"], why);
        }
    }
    let usage = limited(run, LIMIT).await?.usage;
    match usage {
        Some(now) if used > Usd::ZERO => {
            run.findings.check("usage-kept", now >= used, format!("${used} before, ${now} after two changes"));
        }
        _ => run.findings.not_seen(&["usage-kept"], "its counter shows nothing that could be kept"),
    }
    passes_again(run).await
}

/// Spends until a request is refused in this way, and judges how soon that was. A refusal of another kind says nothing
/// of the assumption.
async fn refused(run: &mut Run<'_>, id: &'static str, is_refusal: impl Fn(&Answer) -> bool) -> Result<()> {
    let wait = &run.options.wait;
    let mut last = None;
    let (seen, when) = within(wait, SOON, async || {
        let answer = last.insert(run.complete().await?);
        Ok(is_refusal(answer).then_some(()))
    })
    .await?;
    let (is_done, words) = last.map_or_else(|| (false, String::new()), |answer| (answer.is_done(), answer.words()));
    match (seen, is_done) {
        (Some(()), _) => run.findings.check(id, true, format!("refused {when} with {words}")),
        (None, true) => run.findings.check(id, false, format!("refused {when}")),
        (None, false) => run.findings.not_seen(&[id], format!("refused {when} for this reason, but with {words}")),
    }
    Ok(())
}

/// Waits until requests pass again, so that later refusals have other reasons. If none does, nothing more can be
/// judged by spending.
async fn passes_again(run: &mut Run<'_>) -> Result<()> {
    let wait = &run.options.wait;
    let mut words = String::new();
    let (passed, _) = within(wait, SOON, async || {
        let answer = run.complete().await?;
        words = answer.words();
        Ok(answer.is_done().then_some(()))
    })
    .await?;
    if passed.is_none() {
        unseen(run, &format!("nothing passed before it, although nothing forbids it: {words}"));
    }
    Ok(())
}

/// A request that passed before and is refused for what it asks, not for money or haste.
fn is_forbidden(answer: &Answer) -> bool {
    answer.is_refusal(&[400, 403, 404])
}

async fn restrict(run: &mut Run<'_>) -> Result<()> {
    let (name, model, hash) = (run.name.clone(), run.options.model.clone(), run.hash()?);
    let rules = |model: &str, regions: &[Region]| GuardrailRules {
        name: name.clone(),
        models: vec![model.to_owned()],
        providers: Vec::new(),
        regions: regions.to_vec(),
        data_policy: DataPolicy::Account,
    };
    run.is_unanswered = true;
    let made = run.provider.create_guardrail(&rules(OTHER_MODEL, &[]), None, soon()).await;
    run.is_unanswered = made.as_ref().is_err_and(|error| !error.changed_nothing());
    let id = match made {
        Ok(guardrail) => guardrail.id,
        Err(error) => {
            let why = format!("no guardrail was made: {}", error.trouble());
            run.findings.not_seen(&NEEDS_A_GUARDRAIL, &why);
            run.findings.note("guardrails", format!("restrict no programme, since {why}"));
            return Ok(());
        }
    };
    run.findings.note("guardrails", "they can be made");
    run.guardrail = Some(id.clone());
    let assigned = run.provider.assign_keys(&id, std::slice::from_ref(&hash), soon()).await;
    let mut listed = run.provider.assignments(Some(&id));
    let is_listed = listed.next(soon()).await?.is_some_and(|rows| rows.iter().any(|row| row.key_hash == hash));
    let seen = assigned.as_ref().map_or_else(|error| error.trouble().to_string(), |()| "assigned".to_owned());
    run.findings.check("assignment-listed", assigned.is_ok() && is_listed, format!("{seen}, listed: {is_listed}"));
    if assigned.is_err() || !run.can_spend {
        run.findings.not_seen(&NEEDS_A_GUARDRAIL, "the key was not put under a guardrail");
        return Ok(());
    }
    refused(run, "rules-bind", is_forbidden).await?;
    run.provider.patch_guardrail(&id, &rules(&model, &[]), soon()).await?;
    let could_spend = run.can_spend;
    passes_again(run).await?;
    if run.can_spend {
        match run.provider.patch_guardrail(&id, &rules(&model, &[Region::Europe]), soon()).await {
            Ok(_) => refused(run, "regions-bind", is_forbidden).await?,
            Err(error) => run.findings.not_seen(&["regions-bind"], error.trouble().to_string()),
        }
    }
    run.can_spend = could_spend;
    Ok(())
}

async fn disable(run: &mut Run<'_>) -> Result<()> {
    let hash = run.hash()?;
    if run.can_spend {
        // The guardrail would refuse what the disabled key must refuse. One that stays goes after the key.
        let _ = take_away_guardrail(run).await;
        passes_again(run).await?;
    }
    run.provider.disable_key(&hash, soon()).await?;
    if run.can_spend {
        refused(run, "disable-binds", |answer| answer.is_refusal(&[401, 403])).await?;
    }
    let (shown, when) =
        within(&run.options.wait, SOON, async || Ok(run.listed_key().await?.filter(|row| row.disabled))).await?;
    run.findings.check("disabled-listed", shown.is_some(), format!("shown {when}"));
    match run.provider.enable_key(&hash, soon()).await? {
        KeyPresence::Key(_) => Ok(()),
        KeyPresence::Gone => bail!("the key that was made is gone"),
    }
}

async fn delete(run: &mut Run<'_>) -> Result<()> {
    let hash = run.hash()?;
    take_away_made(run).await?;
    let mut words = "it is still there".to_owned();
    let (gone, when) = within(&run.options.wait, SOON, async || {
        match run.provider.get_key(&hash, soon()).await {
            Ok(KeyPresence::Gone) => return Ok(Some(())),
            Ok(KeyPresence::Key(_)) => {}
            Err(error) => words = error.trouble().to_string(),
        }
        Ok(None)
    })
    .await?;
    let seen = if gone.is_some() { format!("gone {when}") } else { format!("gone {when}: {words}") };
    run.findings.check("gone-is-json", gone.is_some(), seen);
    let (gone, when) =
        within(&run.options.wait, SOON, async || Ok(run.listed_key().await?.is_none().then_some(()))).await?;
    run.findings.check("unlisted", gone.is_some(), format!("gone from the listing {when}"));
    Ok(())
}

/// Makes keys until the provider refuses one.
pub(crate) async fn count(run: &mut Run<'_>) -> Result<()> {
    left_before(run).await?;
    (run.options.progress)("making keys");
    for made in 0..MOST_KEYS {
        run.findings.counted = Some((made, None));
        let name = format!("{}/{}", run.name, made + 1);
        match run.make_key(&name, run.expiry()).await {
            Ok(_) => {}
            // The key may manage, so that a 403 is about the number as well.
            Err(ProviderError::Refused { trouble, .. } | ProviderError::ManagementKey { trouble }) => {
                run.findings.counted = Some((made, Some(trouble.to_string())));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        }
    }
    run.findings.counted = Some((MOST_KEYS, None));
    Ok(())
}

/// Takes away what this run is known to have made, keys first, since a guardrail that restricts one may be refused
/// its deletion.
async fn take_away_made(run: &mut Run<'_>) -> Result<()> {
    while let Some(hash) = run.hashes.last() {
        leftovers::delete(&run.wire, &DELETE_KEY, "keys", hash).await?;
        run.hashes.pop();
        run.findings.taken_away.push("a key of this run".to_owned());
    }
    take_away_guardrail(run).await
}

async fn take_away_guardrail(run: &mut Run<'_>) -> Result<()> {
    if let Some(id) = &run.guardrail {
        leftovers::delete(&run.wire, &DELETE_GUARDRAIL, "guardrails", id).await?;
        run.guardrail = None;
        run.findings.taken_away.push("the guardrail of this run".to_owned());
    }
    Ok(())
}

/// Takes away what is known to be made, and then what has a name of the check.
async fn take_away(run: &mut Run<'_>) -> Result<()> {
    let made = take_away_made(run).await;
    run.findings.taken_away.extend(leftovers::take_away(&run.wire).await?);
    made
}

/// Takes away what this run made, and looks again if it may still appear.
pub(crate) async fn clean_up(run: &mut Run<'_>) {
    let wait = &run.options.wait;
    // The reason that something is left stands in the findings.
    let _ = within(wait, LATE, async || {
        run.findings.left = take_away(run).await.err().map(|error| format!("{error:#}"));
        Ok((run.findings.left.is_none() && !run.is_unanswered).then_some(()))
    })
    .await;
}
