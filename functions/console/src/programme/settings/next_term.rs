//! The form of a new programme, filled from another one for the next term, and the roster that it
//! takes along.

use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::values::format::field_time;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Erasure, Import, ImportPart, Kept};
use bursar_core::web::{Result, Site};
use jiff::ToSpan;
use jiff::civil::Date;

use super::SettingsDraft;
use crate::kit::form::Form;
use crate::people::roster::compare::AbsentRows;
use crate::people::roster::parse::FileError;
use crate::people::roster::{compare, parse};

/// The form of a programme whose term is as long as this one's, and begins when that is over. The
/// claim window keeps its distance from the first and the last day.
pub(super) fn fill(programme: &Programme, budget: Usd) -> Form<SettingsDraft> {
    let settings = programme.settings.clone();
    let term = &programme.settings.term;
    let claims = &programme.settings.claims;
    let starts_on = term.ends_on().saturating_add(1.day());
    let ends_on = starts_on.saturating_add(term.ends_on() - term.starts_on());
    let opens_at = move_time(
        claims.claim_opens_at,
        term.starts_on(),
        starts_on,
        &settings,
    );
    let closes_at = move_time(claims.claim_closes_at, term.ends_on(), ends_on, &settings);
    let mut form = Form::fill_with(SettingsDraft { settings, budget });
    form.set("starts_on", starts_on.to_string());
    form.set("ends_on", ends_on.to_string());
    form.set("claim_opens_at", opens_at);
    form.set("claim_closes_at", closes_at);
    form
}

/// A time that is as far from another day, as a form spells it; empty where there is none.
fn move_time(time: Option<Moment>, was: Date, day: Date, settings: &Settings) -> String {
    let Some(time) = time else {
        return String::new();
    };
    let zone = settings.term.zone();
    match time.to_zoned(zone.clone()).checked_add(day - was) {
        Ok(moved) => field_time(moved.timestamp().into(), zone),
        Err(_) => String::new(),
    }
}

/// Keeps a roster of everybody who is on this programme's.
pub(super) async fn keep_roster(
    site: &Site,
    programme: &Programme,
    now: Moment,
    deadline: Deadline,
) -> Result<Option<Import>> {
    let mut erased = site.table.list(Erasure::all()).await?;
    erased.retain(Erasure::is_running);
    let mut grants = site.table.grants(&programme.id).await?;
    grants.retain(|grant| {
        let named = (grant.programme.clone(), grant.id.clone());
        let is_erased = erased.iter().any(|erasure| erasure.grants.contains(&named));
        grant.is_student() && !is_erased && !grant.person.address.is_none()
    });
    if grants.is_empty() {
        return Ok(None);
    }
    let mut file = csv::Writer::from_writer(Vec::new());
    file.write_record(["email", "name", "group", "id"])?;
    for Grant {
        person: Person {
            address,
            name,
            roster_id,
        },
        group,
        ..
    } in &grants
    {
        let [name, group, id] =
            [name, group, roster_id].map(|text| text.as_deref().unwrap_or_default());
        file.write_record([address.as_written(), name, group, id])?;
    }
    let file = file.into_inner()?;
    let rows = parse::file(&file, None).map_err(FileError::answer)?;
    let confirmed = compare::plan(&rows, &[], AbsentRows::Add).find_confirmed(&[]);
    let import = Import::new(&programme.id, new_ulid(now), confirmed.places.len(), now);
    site.table
        .keep_part(&import, Kept::Applied, &file, deadline)
        .await?;
    site.table
        .keep_part(
            &import,
            Kept::People,
            &ImportPart::bytes_of(&confirmed),
            deadline,
        )
        .await?;
    Ok(Some(import))
}
