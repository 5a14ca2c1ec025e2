//! The grants of a programme, highest spending first, by text and state, some at a time.

use askama::Template;
use axum::extract::{Path, Query, State};
use bursar_core::domain::grant::{Grant, Reading};
use bursar_core::domain::limit::Spending;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::role::Role;
use bursar_core::web::{Answer, Frame, Site, Visitor};
use jiff::Timestamp;
use serde::Deserialize;

use crate::access;
use crate::show;

const ON_A_PAGE: usize = 200;
const STATES: [&str; 7] = ["invited", "minting", "live", "paused", "stopped", "revoked", "ended"];

/// What is looked for. A state that there is none of finds nobody.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    /// How many are left out before the first.
    #[serde(default)]
    from: String,
}

#[derive(Template)]
#[template(path = "grants.html")]
struct Page<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    programme: &'a Programme,
    sought: &'a Sought,
    states: [&'static str; 7],
    rows: &'a [Row],
    found: usize,
    from: usize,
    until: usize,
    next: Option<String>,
}

pub(crate) struct Row {
    pub(crate) grant: Grant,
    pub(crate) state: &'static str,
    pub(crate) cap: Usd,
    /// In this window.
    pub(crate) spent: Usd,
    pub(crate) lifetime: Usd,
}

pub(crate) async fn page(
    State(site): State<Site>,
    visitor: Visitor,
    Path(id): Path<String>,
    Query(sought): Query<Sought>,
) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Assistant).await? else {
        return Ok(site.not_found());
    };
    let (now, programme) = (site.clock.now(), &sight.programme);
    let grants = site.table.grants_with_readings(&programme.id).await?;
    let rows = grants.into_iter().map(|(grant, readings)| Row::of(grant, &readings, &programme.settings, now));
    let mut rows: Vec<Row> = rows.filter(|row| sought.finds(row)).collect();
    rows.sort_by(|one, other| {
        let by_money = (other.spent, other.lifetime).cmp(&(one.spent, one.lifetime));
        by_money.then_with(|| one.grant.person.address.matched().cmp(other.grant.person.address.matched()))
    });
    let from = sought.from.parse().unwrap_or(0).min(rows.len());
    let until = (from + ON_A_PAGE).min(rows.len());
    let page = Page {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        programme,
        sought: &sought,
        states: STATES,
        rows: &rows[from..until],
        found: rows.len(),
        from,
        until,
        next: (until < rows.len()).then(|| sought.address(programme, until)),
    };
    Ok(site.page(&page))
}

impl Row {
    pub(crate) fn of(grant: Grant, readings: &[Reading], settings: &Settings, now: Timestamp) -> Row {
        let spending = Spending::of(&grant, readings, settings, now);
        Row {
            state: show::state(&grant),
            cap: grant.cap(settings),
            spent: spending.in_window,
            lifetime: spending.lifetime,
            grant,
        }
    }
}

impl Sought {
    fn finds(&self, row: &Row) -> bool {
        let (text, person) = (self.q.trim().to_lowercase(), &row.grant.person);
        let has = |value: &str| value.to_lowercase().contains(&text);
        let texts = [&person.name, &person.roster_id, &row.grant.group];
        let by_text = has(person.address.as_written())
            || has(row.grant.id.as_str())
            || texts.into_iter().flatten().any(|value| has(value));
        by_text && (self.state.is_empty() || self.state == row.state)
    }

    /// The same search from elsewhere on.
    fn address(&self, programme: &Programme, from: usize) -> String {
        let mut query = String::new();
        for (name, value) in [("q", self.q.as_str()), ("state", self.state.as_str()), ("from", &from.to_string())] {
            if !value.is_empty() {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(name);
                query.push('=');
                query.extend(value.bytes().map(encoded));
            }
        }
        format!("/console/programmes/{}/grants{query}", programme.id)
    }
}

/// A byte as a query may hold it.
fn encoded(byte: u8) -> String {
    if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
}
