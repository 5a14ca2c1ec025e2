//! The pilot report: who claimed and used a key, what a week of use cost, and what that means for another
//! number of students. It names nobody.

use std::borrow::Borrow;

use askama::Template;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::usage::pilot::{PilotFigures, Projection};
use bursar_core::domain::values::format::time_in;
use bursar_core::domain::values::money::Usd;
use bursar_core::web::{Answer, Frame, Site};
use serde::Deserialize;

use super::person::ClosingPerson;
use crate::access::ProgrammeAccess;
use crate::show;

/// The most students of a projection.
const MOST_STUDENTS: u32 = 1_000_000;

#[derive(Debug, Default, Deserialize)]
pub(crate) struct PilotQuery {
    #[serde(default)]
    students: String,
}

#[derive(Template)]
#[template(path = "pilot.html")]
struct PilotPage<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    is_admin: bool,
    programme: &'a Programme,
    is_over: bool,
    as_of: Option<String>,
    term: String,
    pot: Usd,
    figures: PilotFigures,
    /// The number of students as it was typed, or the roster's size.
    students: String,
    refusal: Option<&'static str>,
    projection: Option<Projection>,
}

pub(crate) async fn page(State(site): State<Site>, access: ProgrammeAccess, Query(asked): Query<PilotQuery>) -> Answer {
    let (now, programme) = (site.clock.now(), &access.programme);
    let Some(pot) = site.table.pot(&programme.id).await? else { return Ok(site.not_found()) };
    let (persons, sync) =
        tokio::try_join!(ClosingPerson::all(&site, &access), async { Ok(site.table.sync_state().await?) },)?;
    let mut figures = PilotFigures::default();
    persons.iter().for_each(|person| figures.add(person.claimed_at.is_some(), &person.used.credits));
    let typed = asked.students.trim();
    let students = match typed {
        "" => u32::try_from(figures.people).ok(),
        typed => typed.parse().ok().filter(|students| (1..=MOST_STUDENTS).contains(students)),
    };
    let page = PilotPage {
        frame: &site.frame,
        csrf: access.visitor.csrf.reveal(),
        is_admin: access.is_admin(),
        programme,
        is_over: programme.is_over(now),
        as_of: sync.listed_at.map(|at| time_in(at, programme.settings.term.zone())),
        term: format!("{} to {}", programme.settings.term.starts_on(), programme.settings.term.ends_on()),
        pot: pot.limit,
        students: students.map_or_else(|| typed.to_owned(), |students| students.to_string()),
        refusal: students.is_none().then_some("Write a number of students from 1 to 1,000,000."),
        projection: students.and_then(|students| figures.projection(students)),
        figures,
    };
    let status = if students.is_some() { StatusCode::OK } else { StatusCode::UNPROCESSABLE_ENTITY };
    Ok(Frame::page(status, &page))
}

impl PilotPage<'_> {
    /// A share of the roster, in whole per cent, rounded down.
    fn share(&self, count: impl Borrow<u64>) -> String {
        match (count.borrow() * 100).checked_div(self.figures.people) {
            Some(per_cent) => format!("{per_cent} %"),
            None => "–".to_owned(),
        }
    }
}
