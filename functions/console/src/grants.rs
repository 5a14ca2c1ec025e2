//! The grants of a programme, highest spending first, by text and state, some at a time.

use askama::Template;
use axum::extract::{Path, Query, State};
use bursar_core::domain::grant::{Grant, Reading, State as GrantState};
use bursar_core::domain::limit::Spending;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Programme, Settings};
use bursar_core::domain::reading::Used;
use bursar_core::domain::role::Role;
use bursar_core::domain::span::Span;
use bursar_core::store::Unreachable;
use bursar_core::store::items::Why;
use bursar_core::web::{Answer, Frame, Site, Visitor};
use jiff::Timestamp;
use serde::Deserialize;

use crate::access;
use crate::show;
use crate::spans::{self, Asked, Choice, Clockwork, Figure};

const ON_A_PAGE: usize = 200;
/// What `?mail=` finds those by whom mail does not reach, and those who want none but links.
const UNREACHABLE: &str = "unreachable";
const UNWANTED: &str = "unwanted";
const STATES: [&str; 7] = ["invited", "minting", "live", "paused", "stopped", "revoked", "ended"];

/// What is looked for. A state that there is none of finds nobody.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Sought {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    /// Only those whom mail does not reach, or who want none but links, if it says so.
    #[serde(default)]
    mail: String,
    /// How many are left out before the first.
    #[serde(default)]
    from: String,
    #[serde(flatten)]
    asked: Asked,
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
    is_admin: bool,
    /// What the spending of the rows is of, the ways to other spans, and how old it is.
    phrase: &'static str,
    spans: Vec<Choice>,
    as_of: Option<String>,
    notes: Vec<String>,
}

pub(crate) struct Row {
    pub(crate) grant: Grant,
    pub(crate) state: &'static str,
    pub(crate) cap: Usd,
    /// In this window, or in the span that is asked for.
    pub(crate) spent: Figure,
    pub(crate) lifetime: Usd,
    /// Why the person does not get all mail.
    pub(crate) not_mailed: Option<Why>,
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
    let (now, programme, asked) = (site.clock.now(), &sight.programme, sought.asked.span());
    let (grants, sync, unreachable) = tokio::try_join!(
        site.table.grants_with_readings(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
    )?;
    let (settings, clockwork) = (&programme.settings, Clockwork::of(&programme.settings, sync.looked_at, now));
    let rows = grants.into_iter().map(|(grant, readings)| {
        let spent = asked.map(|span| clockwork.figure(&used(&readings).days(settings.byok), span, grant.ever_shown));
        let row = Row::of(grant, &readings, settings, now);
        let not_mailed = not_mailed(&row.grant, &unreachable);
        Row { spent: spent.unwrap_or(row.spent), not_mailed, ..row }
    });
    let mut rows: Vec<Row> = rows.filter(|row| sought.finds(row)).collect();
    rows.sort_by(|one, other| {
        let by_money = (other.spent.usd, other.lifetime).cmp(&(one.spent.usd, one.lifetime));
        by_money.then_with(|| one.grant.person.address.matched().cmp(other.grant.person.address.matched()))
    });
    let from = sought.from.parse().unwrap_or(0).min(rows.len());
    let until = (from + ON_A_PAGE).min(rows.len());
    let path = format!("/console/programmes/{}/grants", programme.id);
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
        next: (until < rows.len()).then(|| sought.address(&path, until)),
        is_admin: sight.role == Role::Admin,
        phrase: asked.map_or("in this window", spans::phrase),
        spans: spans::choices(&path, &sought.query(), &Span::EACH, |span| asked == Some(span)),
        as_of: sync.looked_at.map(|at| show::time(at, settings.term.timezone())),
        notes: spans::notes(rows[from..until].iter().map(|row| &row.spent)),
    };
    Ok(site.page(&page))
}

/// Why somebody who still has something to hear does not get all mail.
pub(crate) fn not_mailed(grant: &Grant, unreachable: &Unreachable) -> Option<Why> {
    let is_over = matches!(grant.state, GrantState::Revoked | GrantState::Ended);
    unreachable.get(grant.person.address.matched()).copied().filter(|_| !is_over)
}

/// What all keys of a grant used.
pub(crate) fn used(readings: &[Reading]) -> Used {
    readings.iter().fold(Used::default(), |mut used, reading| {
        used.add(&reading.used);
        used
    })
}

impl Row {
    pub(crate) fn of(grant: Grant, readings: &[Reading], settings: &Settings, now: Timestamp) -> Row {
        let spending = Spending::of(&grant, readings, settings, now);
        Row {
            state: show::state(&grant),
            cap: grant.cap(settings),
            spent: Figure::exactly(spending.in_window),
            lifetime: spending.lifetime,
            not_mailed: None,
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
        let by_mail = match row.not_mailed {
            _ if self.mail.is_empty() => true,
            Some(Why::Bounced | Why::Suppressed) => self.mail == UNREACHABLE,
            Some(Why::Complained) => self.mail == UNWANTED,
            None => false,
        };
        by_text && by_mail && (self.state.is_empty() || self.state == row.state)
    }

    fn wants_unwanted(&self) -> bool {
        self.mail == UNWANTED
    }

    /// The same search from elsewhere on.
    fn address(&self, path: &str, from: usize) -> String {
        let window = self.asked.span().map_or("", Span::as_str);
        show::address(path, &[&self.query()[..], &[("window", window), ("from", &from.to_string())]].concat())
    }

    fn query(&self) -> [(&str, &str); 3] {
        [("q", self.q.as_str()), ("state", self.state.as_str()), ("mail", self.mail.as_str())]
    }
}
