//! Warnings about a programme that need a person, one sentence each, with what the reader can do.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::guardrail::{Guardrail, RulesRefusal};
use bursar_core::domain::programme::{Budget, People, Programme};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Job, JobState, Unreachable, UnreachableReason, Work};
use bursar_core::web::{Result, Site};
use jiff::SignedDuration;

use crate::kit::access::ProgrammeAccess;
use crate::kit::paths;

/// The longest time without new figures that needs no warning.
const SYNCED_WITHIN: SignedDuration = SignedDuration::from_hours(26);

/// A sentence, with the way to where the visitor can do what it says: its address, and the words of
/// the link.
pub(super) type Warning = (String, Option<(String, &'static str)>);

/// The most pressing reason why money for a key is or will be missing, with what the visitor can
/// do.
pub(super) fn room(
    access: &ProgrammeAccess,
    budget: &Budget,
    burn: &Burn<'_>,
    now: Moment,
) -> Option<Warning> {
    let settings = &access.programme.settings;
    if access.programme.is_over(now) || !settings.roster {
        return None;
    }
    let cap = settings.allowance.cap;
    let ask = access
        .role
        .explain_raise(Some(budget.implied(settings, now).max(cap)));
    let link = access.is_faculty().then(|| {
        (
            format!("{}#edit", paths::settings(&access.programme.id)),
            "Open the settings",
        )
    });
    if cap > budget.limit {
        let cap = cap.to_dollars();
        let budget = budget.limit.to_dollars();
        let why = format!(
            "The cap of {cap} is above the budget of {budget}, so nobody can get a key. {ask}"
        );
        return Some((why, link));
    }
    if budget.reserved > budget.limit {
        let why = "More is spent or promised than the budget has. Nobody else gets a key until the budget is raised.";
        return Some((format!("{why} {ask}"), link));
    }
    let refused = access
        .programme
        .find_room_refusal(budget, now)
        .filter(|_| burn.spent.total() < budget.limit)?;
    Some((refused.to_words(budget, access.role), link))
}

/// The other warnings: of missing syncs, and of the last roster.
pub(super) fn others(
    budget: &Budget,
    listed_at: Option<Moment>,
    jobs: &[Job],
    now: Moment,
) -> Vec<String> {
    let mut warnings = Vec::new();
    if budget.claimed && listed_at.is_none() {
        warnings.push(
            "OpenRouter has not been checked yet, so nothing here shows what was spent.".to_owned(),
        );
    }
    if listed_at.is_some_and(|listed_at| listed_at + SYNCED_WITHIN < now) {
        warnings.push("Some keys have not been checked at OpenRouter for more than 26 hours, so the figures are out of date. Admins see the reason on the account page.".to_owned());
    }
    if let Some(job) = jobs.iter().find(|job| job.work.is_of_roster()) {
        let is_cancelled = jobs.iter().any(|job| job.work == Work::Close);
        if matches!(job.state, JobState::Failed { .. }) && !is_cancelled {
            warnings.push("The last import of a roster failed. Upload the file again.".to_owned());
        }
        if job.refused > 0 {
            let lines = job.refused;
            warnings.push(format!(
                "{lines} lines of the last roster could not be applied: the budget has no room, the address is taken, or the entry was changed meanwhile."
            ));
        }
    }
    warnings
}

/// The warnings about people with a role whose mail comes back or was complained about.
pub(super) fn unreachable_people(people: &People, unreachable: &Unreachable) -> Vec<String> {
    let staff = people
        .faculty
        .iter()
        .chain(&people.assistants)
        .map(|person| (person, false));
    let finance = people.finance.iter().map(|person| (person, true));
    let sentences = staff.chain(finance).filter_map(|(person, is_finance)| {
        Some(tell_unreached(
            person.as_written(),
            is_finance,
            *unreachable.get(person.matched())?,
        ))
    });
    sentences.collect()
}

fn tell_unreached(person: &str, is_finance: bool, why: UnreachableReason) -> String {
    match (is_finance, why) {
        (false, UnreachableReason::Complained) => {
            format!(
                "{person} marked a mail as unwanted, so no digest is sent there. Alerts and links still are."
            )
        }
        (false, _) => {
            format!("Mail to {person} comes back, so nothing is sent there: no alert and no link.")
        }
        (true, UnreachableReason::Complained) => {
            format!(
                "{person} marked a mail as unwanted, so no statement is sent there. Ask them, or name another address for finance."
            )
        }
        (true, _) => {
            format!(
                "Mail to {person} comes back, so no statement is sent there. Name another address for finance."
            )
        }
    }
}

/// The warning, for admins, that the account's balance does not cover what the programme could
/// still cost.
pub(super) async fn balance(
    site: &Site,
    programme: &Programme,
    to_come: Usd,
    now: Moment,
) -> Result<Option<String>> {
    let newest = site
        .table
        .balance_readings()
        .await?
        .filter(|_| !programme.is_over(now));
    let Some(balance) = newest.map(|(newest, _)| newest.balance()) else {
        return Ok(None);
    };
    Ok((balance < to_come).then(|| {
        format!(
            "If everybody on the roster claims, this programme could still cost {}, and the account's balance is {}. The account page says \
             how much credit to buy, and by when.",
            to_come.to_cents(),
            balance.whole_cents().to_cents()
        )
    }))
}

/// The warnings that the provider has refused rules of the programme or of a group for some time.
pub(super) async fn warn_of_refused_rules(
    site: &Site,
    programme: &Programme,
    stored: Vec<Guardrail>,
    now: Moment,
) -> Result<Vec<String>> {
    if stored.iter().all(|guardrail| guardrail.refusal.is_none()) {
        return Ok(Vec::new());
    }
    let tiers = site.table.tiers().await?;
    let guardrails = programme.guardrails(stored, &tiers, now);
    let sentences = guardrails.iter().filter_map(|(guardrail, rules)| {
        Some(refusal_in_words(
            programme,
            guardrail,
            guardrail.refusal_to_be_told(rules, now)?,
        ))
    });
    Ok(sentences.collect())
}

fn refusal_in_words(
    programme: &Programme,
    guardrail: &Guardrail,
    refusal: &RulesRefusal,
) -> String {
    let since = column_time(refusal.since, programme.settings.term.zone());
    let so = match guardrail.remote {
        None => {
            "no new key is made under them, and existing keys can call the same models as before"
        }
        Some(_) => "existing keys can call the same models as before",
    };
    let why = &refusal.why;
    let group = guardrail.owner.group.as_deref();
    let rules = programme.settings.rules.rules_for(group);
    let (whose, mend) = match (rules.tier(), group) {
        (Some(tier), _) => (
            format!("the model list {tier} with the data policy of this programme"),
            "An admin can correct the list on the page of model lists.",
        ),
        (None, None) => (
            "the models, data policy, providers or regions".to_owned(),
            "In the settings, save models, a data policy, providers or regions that OpenRouter accepts.",
        ),
        (None, Some(group)) => (
            format!("the models of {group}"),
            "On the groups page, save models that OpenRouter accepts.",
        ),
    };
    format!("OpenRouter has refused {whose} since {since}, so {so}. It says: {why}. {mend}")
}
