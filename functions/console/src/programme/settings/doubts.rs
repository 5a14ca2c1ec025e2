//! What comes next after a save, and what of it is allowed, but perhaps a mistake: said once, after
//! the save that brought it.

use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{Flash, Result, Site};

use super::SettingsDraft;
use crate::people::roster::domain;

/// The notice of a save, with what should be checked. A new programme has no settings before.
pub(super) async fn with_doubts(
    site: &Site,
    notice: Flash,
    before: Option<(&Programme, Usd)>,
    after: &SettingsDraft,
) -> Result<Flash> {
    let notices = std::iter::once(notice)
        .chain(doubts(site, before, after).await?)
        .collect();
    Ok(Flash::Several { notices })
}

async fn doubts(
    site: &Site,
    before: Option<(&Programme, Usd)>,
    SettingsDraft { settings, budget }: &SettingsDraft,
) -> Result<Vec<Flash>> {
    let mut amount_left = *budget;
    if let Some((programme, _)) = before {
        amount_left = amount_left
            - site
                .table
                .programme_use(&programme.id)
                .await?
                .counted(settings.basis.byok);
    }
    let mut notices = Vec::new();
    if before.is_some_and(|(before, _)| moves_keys(&before.settings, settings)) {
        notices.push(Flash::KeysFollow);
    }
    if before.is_none_or(|(_, before)| before < *budget) {
        let newest = site.table.balance_readings().await?;
        let balance = newest
            .map(|(newest, _)| newest.balance())
            .filter(|balance| *balance < amount_left);
        notices.extend(balance.map(|balance| Flash::BudgetAboveBalance {
            amount_left,
            balance,
        }));
    }
    if lacks_faculty(settings) && !before.is_some_and(|(before, _)| lacks_faculty(&before.settings))
    {
        notices.push(Flash::NoFaculty);
    }
    let admins = site.table.admins().await?;
    let sender = EmailAddress::parse(&site.mail_from).ok();
    let staff_before = before
        .into_iter()
        .flat_map(|(before, _)| staff(&before.settings));
    let known_domains: Vec<&str> = admins
        .iter()
        .chain(&sender)
        .chain(staff_before)
        .map(domain)
        .collect();
    let unknown = staff(settings).find(|address| {
        !known_domains
            .iter()
            .any(|known_domain| are_related(domain(address), known_domain))
    });
    notices.extend(unknown.map(|address| Flash::UnknownDomain {
        address: address.clone(),
    }));
    Ok(notices)
}

/// Whether an edit changes something at the provider for keys that there are.
fn moves_keys(before: &Settings, after: &Settings) -> bool {
    before.allowance.cap != after.allowance.cap || before.rules != after.rules
}

fn lacks_faculty(settings: &Settings) -> bool {
    settings.roster && settings.people.faculty.is_empty()
}

fn staff(settings: &Settings) -> impl Iterator<Item = &EmailAddress> {
    settings
        .people
        .faculty
        .iter()
        .chain(&settings.people.assistants)
}

/// Whether one domain lies below the other, as a department's below its university's, or is the
/// same.
fn are_related(first: &str, second: &str) -> bool {
    is_within(first, second) || is_within(second, first)
}

fn is_within(domain: &str, other_domain: &str) -> bool {
    domain
        .strip_suffix(other_domain)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}
