//! Spending a little on the key, and waiting until each counter shows it.

use std::time::Duration;

use anyhow::Result;
use bursar_core::domain::usage::reading::SETTLING;
use bursar_core::domain::values::money::Usd;

use crate::assumptions::{
    Assumption, COUNTERS_AGREE, COUNTERS_TOLD, CREDITS_SETTLE, DISABLE_BINDS, DISABLED_IS_401, KEY_SETTLES,
    LAST_USE_TOLD, LIMIT_BINDS, LISTING_SETTLES, REGIONS_BIND, REMAINING_AGREES, REMAINING_NEGATIVE, RULES_BIND,
    RULES_LIFTED, USAGE_KEPT,
};
use crate::run::{Run, cost};
use crate::wire::Object;

/// What only a key that spent can show.
const NEEDS_SPENDING: [&Assumption; 15] = [
    &KEY_SETTLES,
    &LISTING_SETTLES,
    &CREDITS_SETTLE,
    &COUNTERS_AGREE,
    &LAST_USE_TOLD,
    &REMAINING_AGREES,
    &LIMIT_BINDS,
    &REMAINING_NEGATIVE,
    &USAGE_KEPT,
    &RULES_BIND,
    &RULES_LIFTED,
    &REGIONS_BIND,
    &DISABLE_BINDS,
    &DISABLED_IS_401,
    &COUNTERS_TOLD,
];
const COUNTERS: [&str; 4] = ["usage", "usage_daily", "usage_weekly", "usage_monthly"];
/// The time for which the account is watched before the check spends.
const WATCHED: Duration = Duration::from_secs(30);
/// The amount by which two roundings to the micro-dollar can differ.
const ROUNDING: Usd = Usd::from_micros(2);

pub(crate) async fn spend(run: &mut Run<'_>) -> Result<()> {
    if !run.can_spend {
        unseen(run, "the account has less than a cent of credit");
        return Ok(());
    }
    let before = quiet_credits(run).await?;
    let answer = run.complete().await?;
    if !answer.is_done() {
        let why = format!("{} answered {}; name another with --model", run.options.model, answer.words());
        unseen(run, &why);
        return Ok(());
    }
    // A provider that does not tell the cost must at least show some.
    let cost = cost(&answer).unwrap_or(Usd::from_micros(1));
    settle(run, before, cost).await
}

/// What the account used, if nobody else spends on it: then what it shows later is this run's.
async fn quiet_credits(run: &mut Run<'_>) -> Result<Usd> {
    let earlier = run.credits().await?.usd("total_usage");
    run.options.waiting.pass(WATCHED).await;
    let used = run.credits().await?.usd("total_usage");
    let why = match earlier.zip(used) {
        None => "the account does not tell what it used".to_owned(),
        Some((earlier, used)) if earlier == used => return Ok(used),
        Some((earlier, used)) => {
            let seconds = WATCHED.as_secs();
            format!("others spend on the account: ${} within {seconds} s before the check spent", used - earlier)
        }
    };
    run.findings.not_seen(&CREDITS_SETTLE, why);
    Ok(used.unwrap_or_default())
}

/// Says of all that needs spending why it is not judged, and spends no more.
pub(super) fn unseen(run: &mut Run<'_>, why: &str) {
    run.can_spend = false;
    for assumption in NEEDS_SPENDING {
        run.findings.not_seen(assumption, why);
    }
}

/// Waits for all three places that tell of spending, for as long as the client counts on.
async fn settle(run: &mut Run<'_>, before: Usd, cost: Usd) -> Result<()> {
    let longest = Duration::try_from(SETTLING)?;
    let mut patience = run.options.waiting.patience(longest);
    loop {
        let (key, listed) = (run.read_key().await?, run.listed_key().await?.unwrap_or_default());
        let used = run.credits().await?.usd("total_usage").unwrap_or_default();
        let shows = |usage: Usd| usage > Usd::ZERO && usage + ROUNDING > cost;
        let is_told = |object: &Object| object.usd("usage").is_some_and(shows);
        let states = [
            (&KEY_SETTLES, is_told(&key)),
            (&LISTING_SETTLES, is_told(&listed)),
            (&CREDITS_SETTLE, shows(used - before)),
        ];
        for (assumption, is_settled) in states {
            if is_settled && !run.findings.is_judged(assumption) {
                run.findings.judge(assumption, true, format!("${cost} seen {}", patience.after()));
            }
        }
        let is_over = states.iter().all(|(assumption, _)| run.findings.is_judged(assumption));
        if is_over || !patience.goes_on().await {
            for (assumption, _) in states {
                if !run.findings.is_judged(assumption) {
                    run.findings.judge(assumption, false, format!("${cost} seen {}", patience.in_vain()));
                }
            }
            judge_counters(run, &key, &listed);
            return Ok(());
        }
    }
}

fn judge_counters(run: &mut Run<'_>, key: &Object, listed: &Object) {
    let missing: Vec<&str> = COUNTERS.into_iter().filter(|counter| key.usd(counter).is_none()).collect();
    let seen = if missing.is_empty() { "all four".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    run.findings.judge(&COUNTERS_TOLD, missing.is_empty(), seen);

    let last_use = key.text("last_used_at");
    let seen = last_use.clone().unwrap_or_else(|| "not told".to_owned());
    run.findings.judge(&LAST_USE_TOLD, last_use.is_some(), seen);

    if key.usd("usage").is_none_or(|usage| usage == Usd::ZERO) {
        for assumption in [&COUNTERS_AGREE, &REMAINING_AGREES] {
            run.findings.not_seen(assumption, "the key's own counter shows nothing");
        }
        return;
    }
    judge_agreement(run, key, listed);
    let gone = key.usd("limit").zip(key.usd("limit_remaining")).map(|(limit, remaining)| limit - remaining);
    match gone.zip(key.usd("usage")) {
        Some((gone, usage)) => {
            let agrees = (gone - usage).abs() <= ROUNDING;
            run.findings.judge(&REMAINING_AGREES, agrees, format!("${gone} gone, ${usage} used"));
        }
        None => run.findings.judge(&REMAINING_AGREES, false, "what remains is not told"),
    }
}

/// Counters that neither place tells do not agree.
fn judge_agreement(run: &mut Run<'_>, key: &Object, listed: &Object) {
    for counter in COUNTERS {
        match (key.literal(counter), listed.literal(counter)) {
            (Some(read), Some(listed)) if read == listed => {}
            (None, None) => return run.findings.not_seen(&COUNTERS_AGREE, format!("{counter} is told nowhere")),
            (read, listed) => {
                let shown = |literal: Option<String>| literal.unwrap_or_else(|| "nothing".to_owned());
                let seen = format!("{counter} {} by its hash, {} in the listing", shown(read), shown(listed));
                return run.findings.judge(&COUNTERS_AGREE, false, seen);
            }
        }
    }
    run.findings.judge(&COUNTERS_AGREE, true, "all four");
}
