//! The account as a whole: what kind of key was given, what the account has, and what it cannot have.

use anyhow::{Error, anyhow};
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::analytics::query_body;
use bursar_core::provider::wire::calls::{
    ACTIVITY, Call, LIST_GUARDRAILS, LIST_WORKSPACES, OWN_KEY, QUERY_ANALYTICS, Repeatable,
};
use bursar_core::provider::wire::text::harmless;
use http::Method;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::assumptions::{ACTIVITY as ACTIVITY_ANSWERS, ANALYTICS, CREDITS_TOLD, MANAGEMENT_TOLD, WORKSPACES_LISTED};
use crate::run::{LIMIT, Run};
use crate::wire::{Answer, Object};

/// The reason that nothing was begun.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error("“{0}” is an ordinary key; make a management key on the provider's page for management keys")]
    Ordinary(String),
    #[error("the provider does not take the management key ({0}); put a working one into the file")]
    Key(String),
    #[error("{0:#}")]
    Unusable(Error),
}

const MEMBERS: Call = listed("list members", "/organization/members");
const BYOK: Call = listed("list provider keys", "/byok");

const fn listed(name: &'static str, path: &'static str) -> Call {
    Call {
        name,
        method: Method::GET,
        path,
        time_out: LIST_WORKSPACES.time_out,
        again: Repeatable::Safely("it only reads"),
    }
}

/// Accepts a management key and refuses any other, before anything is done.
pub(crate) async fn accept(run: &mut Run<'_>) -> Result<(), Refused> {
    let answer = run.ask(&OWN_KEY, &["key"], &[], None).await.map_err(Refused::Unusable)?;
    match answer.status {
        200..300 => {}
        401 | 403 => return Err(Refused::Key(answer.words())),
        _ => return Err(Refused::Unusable(anyhow!("the provider answered {}", answer.words()))),
    }
    let own = answer.data();
    let label = label(&own);
    match is_management(&own) {
        Some(true) => run.findings.judge(&MANAGEMENT_TOLD, true, "the given key says that it is one"),
        Some(false) => return Err(Refused::Ordinary(harmless(&label))),
        None => {
            run.findings.judge(&MANAGEMENT_TOLD, false, "the given key does not say what it is");
            let answer = workspaces(run).await.map_err(Refused::Unusable)?;
            match answer.status {
                200..300 => {}
                401 | 403 => return Err(Refused::Ordinary(harmless(&label))),
                _ => return Err(Refused::Unusable(anyhow!("the workspaces were answered {}", answer.words()))),
            }
        }
    }
    run.findings.note("management key", label);
    Ok(())
}

/// Whether a key says that it is a management key, by the new name of the field or the old one.
pub(crate) fn is_management(own: &Object) -> Option<bool> {
    own.flag("is_management_key").or_else(|| own.flag("is_provisioning_key"))
}

/// The key's masked form, by which the provider's pages show it.
fn label(own: &Object) -> String {
    own.text("label").unwrap_or_default()
}

async fn workspaces(run: &Run<'_>) -> anyhow::Result<Answer> {
    run.ask(&LIST_WORKSPACES, &["workspaces"], &[("limit", "100")], None).await
}

/// Reads the account's money and features.
pub(crate) async fn look(run: &mut Run<'_>) -> anyhow::Result<()> {
    let credits = run.credits().await?;
    match credits.usd("total_credits").zip(credits.usd("total_usage")) {
        Some((bought, used)) => {
            let left = bought - used;
            run.can_spend = left >= LIMIT;
            run.findings.judge(&CREDITS_TOLD, true, format!("bought ${bought}, used ${used}"));
            run.findings.note("credits left", left_words(left));
        }
        None => run.findings.judge(&CREDITS_TOLD, false, "a total is missing"),
    }
    let answer = workspaces(run).await?;
    let listed = if answer.is_done() { answer.rows("workspaces")? } else { Vec::new() };
    run.workspaces = listed.iter().filter_map(|row| row.text("id")).collect();
    let count = run.workspaces.len();
    let seen = if answer.is_done() { format!("{count} listed") } else { answer.words() };
    run.findings.judge(&WORKSPACES_LISTED, count > 0, seen);
    let has = feature(&answer);
    run.findings.note("workspaces", if answer.is_done() { format!("{has}, {count}") } else { has });

    let guardrails = run.ask(&LIST_GUARDRAILS, &["guardrails"], &[("limit", "1")], None).await?;
    run.findings.note("guardrails", feature(&guardrails));
    for (what, call, path) in [
        ("organization", &MEMBERS, ["organization", "members"].as_slice()),
        ("provider keys of its own", &BYOK, &["byok"]),
    ] {
        let answer = run.ask(call, path, &[("limit", "1")], None).await?;
        run.findings.note(what, feature(&answer));
    }
    reports(run).await
}

/// Asks for yesterday's use, as the sync does.
async fn reports(run: &mut Run<'_>) -> anyhow::Result<()> {
    let yesterday: Date = run.options.clock.now().to_zoned(TimeZone::UTC).date().yesterday()?;
    let answer =
        run.ask(&QUERY_ANALYTICS, &["analytics", "query"], &[], Some(query_body(&(yesterday..=yesterday))?)).await?;
    let report = answer.data();
    let rows = report.rows("data").map(|rows| rows.len());
    let is_cut = report.object("metadata").flag("truncated");
    let seen = match (answer.is_done(), rows, is_cut) {
        (false, ..) => answer.words(),
        (true, None, _) => "the answer holds no rows".to_owned(),
        (true, Some(rows), None) => format!("{rows} rows, and not whether more are missing"),
        (true, Some(rows), Some(_)) => format!("{rows} rows of yesterday"),
    };
    run.findings.judge(&ANALYTICS, rows.is_some() && is_cut.is_some(), seen);
    run.findings.note("analytics", feature(&answer));

    let answer = run.ask(&ACTIVITY, &["activity"], &[("date", &yesterday.to_string())], None).await?;
    let rows = answer.object().rows("data");
    let seen = rows.as_ref().map_or_else(|| answer.words(), |rows| format!("{} rows", rows.len()));
    run.findings.judge(&ACTIVITY_ANSWERS, rows.is_some(), seen);
    Ok(())
}

/// Whether the account has a feature, by the answer to a question that needs it.
pub(super) fn feature(answer: &Answer) -> String {
    match (answer.is_done(), answer.is_refused()) {
        (true, _) => "yes".to_owned(),
        (false, true) => format!("no ({})", answer.words()),
        (false, false) => format!("unknown ({})", answer.words()),
    }
}

fn left_words(left: Usd) -> String {
    match left >= LIMIT {
        true => left.to_cents_down(),
        false => format!("${left}: too little to spend a cent, so buy some credit and run this again"),
    }
}
