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
use crate::waiting::Patience;
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
/// The amount by which two roundings to the micro-dollar can differ.
const ROUNDING: Usd = Usd::from_micros(2);

pub(crate) async fn spend(run: &mut Run<'_>) -> Result<()> {
    if !run.can_spend {
        unseen(run, "the account has less than a cent of credit");
        return Ok(());
    }
    let bought = run.credits().await?.usd("total_usage").unwrap_or_default();
    let answer = run.complete().await?;
    if !answer.is_done() {
        let why = format!("{} answered {}; name another with --model", run.options.model, answer.words());
        unseen(run, &why);
        return Ok(());
    }
    // A provider that does not tell the cost must at least show some.
    let cost = cost(&answer).unwrap_or(Usd::from_micros(1));
    settle(run, bought, cost).await
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
        let is_told = |object: &Object| object.usd("usage").is_some_and(|usage| usage + ROUNDING > cost);
        let states = [
            (&KEY_SETTLES, is_told(&key)),
            (&LISTING_SETTLES, is_told(&listed)),
            (&CREDITS_SETTLE, used - before + ROUNDING > cost),
        ];
        for (assumption, is_settled) in states {
            if is_settled && !run.findings.is_judged(assumption) {
                run.findings.judge(assumption, true, format!("${cost} seen {}", patience.after()));
            }
        }
        if states.iter().all(|(_, is_settled)| *is_settled) || !patience.goes_on().await {
            let unsettled = states.iter().filter(|(_, is_settled)| !is_settled);
            unsettled.for_each(|(assumption, _)| in_vain(run, assumption, cost, &patience));
            judge_counters(run, &key, &listed);
            return Ok(());
        }
    }
}

fn in_vain(run: &mut Run<'_>, assumption: &Assumption, cost: Usd, patience: &Patience) {
    run.findings.judge(assumption, false, format!("${cost} seen {}", patience.in_vain()));
}

fn judge_counters(run: &mut Run<'_>, key: &Object, listed: &Object) {
    let missing: Vec<&str> = COUNTERS.into_iter().filter(|counter| key.usd(counter).is_none()).collect();
    let seen = if missing.is_empty() { "all four".to_owned() } else { format!("missing: {}", missing.join(", ")) };
    run.findings.judge(&COUNTERS_TOLD, missing.is_empty(), seen);

    let last_use = key.text("last_used_at");
    let seen = last_use.clone().unwrap_or_else(|| "not told".to_owned());
    run.findings.judge(&LAST_USE_TOLD, last_use.is_some(), seen);

    let both = |counter: &str| (key.literal(counter).unwrap_or_default(), listed.literal(counter).unwrap_or_default());
    let differing = COUNTERS.into_iter().map(|counter| (counter, both(counter))).find(|(_, (a, b))| a != b);
    let seen = match &differing {
        None => "all four".to_owned(),
        Some((counter, (read, listed))) => format!("{counter} {read} by its hash, {listed} in the listing"),
    };
    run.findings.judge(&COUNTERS_AGREE, differing.is_none(), seen);

    let gone = key.usd("limit").zip(key.usd("limit_remaining")).map(|(limit, remaining)| limit - remaining);
    match gone.zip(key.usd("usage")) {
        Some((gone, usage)) => {
            let agrees = (gone - usage).abs() <= ROUNDING;
            run.findings.judge(&REMAINING_AGREES, agrees, format!("${gone} gone, ${usage} used"));
        }
        None => run.findings.judge(&REMAINING_AGREES, false, "what remains is not told"),
    }
}
