//! The key under a guardrail: how assignments are counted and listed, and whether models and regions bind.

use anyhow::{Context, Result};
use bursar_core::provider::wire::calls::{ASSIGN_KEYS, LIST_ASSIGNMENTS, PATCH_GUARDRAIL};
use serde_json::{Value, json};

use super::account::feature;
use super::lower::refused;
use crate::assumptions::{
    ASSIGNED_COUNTED, ASSIGNMENT_LISTED, Assumption, MODELS_AS_SENT, REASSIGNED_COUNTED, REGIONS_BIND, RULES_BIND,
    RULES_LIFTED, UNKNOWN_SKIPPED,
};
use crate::run::{Run, SOON};
use crate::wire::{Answer, Object};

/// A model that the check does not call, and whose canonical name differs from it.
const OTHER_MODEL: &str = "anthropic/claude-sonnet-4.5";
/// The hash of no key.
const NO_KEY: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const NEEDS_A_GUARDRAIL: [&Assumption; 8] = [
    &MODELS_AS_SENT,
    &ASSIGNED_COUNTED,
    &ASSIGNMENT_LISTED,
    &REASSIGNED_COUNTED,
    &UNKNOWN_SKIPPED,
    &RULES_BIND,
    &RULES_LIFTED,
    &REGIONS_BIND,
];

pub(crate) async fn restrict(run: &mut Run<'_>) -> Result<()> {
    let body = json!({ "name": run.name, "allowed_models": [OTHER_MODEL] });
    let answer = run.make_guardrail(body.to_string()).await?;
    run.findings.note("a guardrail of its own", feature(&answer));
    if !answer.is_done() {
        let why = format!("no guardrail was made: {}", answer.words());
        for assumption in NEEDS_A_GUARDRAIL {
            run.findings.not_seen(assumption, why.clone());
        }
        return Ok(());
    }
    let made = answer.data();
    run.guardrail = Some(made.text("id").context("the answer to the new guardrail names no id")?);
    let models = made.texts("allowed_models").unwrap_or_default();
    let seen = format!("sent {OTHER_MODEL}, kept {}", models.join(", "));
    run.findings.judge(&MODELS_AS_SENT, models == [OTHER_MODEL], seen);
    if !assign(run).await? || !run.can_spend {
        return Ok(());
    }
    bind(run).await?;
    regions(run).await
}

/// Puts the key under the guardrail; false if the provider refuses that.
async fn assign(run: &mut Run<'_>) -> Result<bool> {
    let hash = run.made_key()?.hash.clone();
    let first = assign_to(run, &[&hash]).await?;
    if !first.is_done() {
        let why = format!("the key could not be put under a guardrail: {}", first.words());
        if first.is_refused() {
            run.findings.judge(&ASSIGNMENT_LISTED, false, why.clone());
        }
        for assumption in NEEDS_A_GUARDRAIL {
            run.findings.not_seen(assumption, why.clone());
        }
        return Ok(false);
    }
    judge_count(run, &ASSIGNED_COUNTED, &first);
    let guardrail = run.guardrail.as_deref().unwrap_or_default();
    let path = ["guardrails", guardrail, "assignments", "keys"];
    let rows = run.ask(&LIST_ASSIGNMENTS, &path, &[("limit", "100")], None).await?.rows("assignments")?;
    let is_listed = rows.iter().any(|row| row.text("key_hash").as_ref() == Some(&hash));
    run.findings.judge(&ASSIGNMENT_LISTED, is_listed, format!("keys listed: {}", rows.len()));
    let again = assign_to(run, &[&hash]).await?;
    judge_count(run, &REASSIGNED_COUNTED, &again);
    let with_unknown = assign_to(run, &[&hash, NO_KEY]).await?;
    let seen = match with_unknown.object().literal("assigned_count") {
        Some(count) => format!("assigned_count {count} for it and an unknown one"),
        None => with_unknown.words(),
    };
    run.findings.judge(&UNKNOWN_SKIPPED, with_unknown.is_done(), seen);
    Ok(true)
}

async fn assign_to(run: &Run<'_>, hashes: &[&str]) -> Result<Answer> {
    let guardrail = run.guardrail.as_deref().unwrap_or_default();
    let path = ["guardrails", guardrail, "assignments", "keys"];
    run.ask(&ASSIGN_KEYS, &path, &[], Some(json!({ "key_hashes": hashes }).to_string())).await
}

fn judge_count(run: &mut Run<'_>, assumption: &Assumption, answer: &Answer) {
    let count = answer.object().count("assigned_count");
    let seen = count.map_or_else(|| answer.words(), |count| format!("assigned_count {count}"));
    run.findings.judge(assumption, count == Some(1), seen);
}

/// Whether the other model alone keeps the check's own from being called, and its own lets it through again.
async fn bind(run: &mut Run<'_>) -> Result<()> {
    refused(run, &RULES_BIND, is_forbidden).await?;
    let model = run.options.model.clone();
    change(run, json!({ "allowed_models": [model] })).await?.or_refused("changing the guardrail")?;
    let mut patience = run.options.waiting.patience(SOON);
    loop {
        let answer = run.complete().await?;
        if answer.is_done() {
            run.findings.judge(&RULES_LIFTED, true, format!("passed {}", patience.after()));
            return Ok(());
        }
        if !patience.goes_on().await {
            let seen = format!("passed {}: {}", patience.in_vain(), answer.words());
            run.findings.judge(&RULES_LIFTED, false, seen);
            return Ok(());
        }
    }
}

/// Whether a list with Europe alone keeps the key off the host that belongs to no region.
async fn regions(run: &mut Run<'_>) -> Result<()> {
    if !run.findings.held(&RULES_LIFTED) {
        run.findings.not_seen(&REGIONS_BIND, "nothing passes under the guardrail anyway");
        return Ok(());
    }
    let answer = change(run, json!({ "allowed_data_regions": ["europe"] })).await?;
    let kept: Object = answer.data();
    if kept.texts("allowed_data_regions").is_none_or(|regions| regions != ["europe"]) {
        let has = if answer.is_done() { "no (the list was not kept)".to_owned() } else { feature(&answer) };
        run.findings.not_seen(&REGIONS_BIND, format!("regions in this account's guardrails: {has}"));
        run.findings.note("regions in guardrails", has);
        return Ok(());
    }
    run.findings.note("regions in guardrails", "yes");
    refused(run, &REGIONS_BIND, is_forbidden).await?;
    change(run, json!({ "allowed_data_regions": null })).await?.or_refused("lifting the regions")?;
    super::lower::passes_again(run).await
}

async fn change(run: &Run<'_>, rules: Value) -> Result<Answer> {
    let guardrail = run.guardrail.as_deref().unwrap_or_default();
    run.ask(&PATCH_GUARDRAIL, &["guardrails", guardrail], &[], Some(rules.to_string())).await
}

/// A request that passed before and is refused for what it asks, not for money or haste.
fn is_forbidden(answer: &Answer) -> bool {
    answer.is_refusal(&[400, 403, 404])
}
