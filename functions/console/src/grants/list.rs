//! The grants of a programme, by highest spending first. The list is filtered by text and state, and split
//! into pages.

use bursar_core::domain::grant::{Reading, Spending};
use bursar_core::store::Unreachable;

use crate::prelude::*;
use crate::spending::spans::{self, SpanLink};

const ON_A_PAGE: usize = 200;
/// The value of `?mail=` for people whom mail does not reach.
const UNREACHABLE: &str = "unreachable";
/// The value of `?mail=` for people who want no mail but links.
const UNWANTED: &str = "unwanted";

/// A search among grants. An unknown state finds nothing.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct GrantSearch {
    #[serde(default)]
    q: String,
    #[serde(default)]
    state: String,
    /// The filter by whether mail reaches people; empty for all.
    #[serde(default)]
    mail: String,
    /// The number of grants before the first on this page.
    #[serde(default)]
    from: String,
    #[serde(flatten)]
    asked: SpanQuery,
}

#[derive(Template)]
#[template(path = "grants.html")]
struct GrantListPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    sought: &'a GrantSearch,
    states: [&'static str; 7],
    rows: &'a [GrantRow],
    found: usize,
    from: usize,
    until: usize,
    next: Option<String>,
    phrase: &'static str,
    spans: Vec<SpanLink>,
    as_of: Option<String>,
    notes: Vec<String>,
}

pub(crate) struct GrantRow {
    pub(crate) grant: Grant,
    pub(crate) state: &'static str,
    pub(crate) cap: Usd,
    /// The spending in the current window, or in the requested span.
    pub(crate) spent: Figure,
    pub(crate) lifetime: Usd,
    pub(crate) not_mailed: Option<UnreachableReason>,
}

pub(crate) async fn page(
    State(site): State<Site>,
    access: ProgrammeAccess,
    Query(sought): Query<GrantSearch>,
) -> Answer {
    let (now, programme, asked) = (site.clock.now(), &access.programme, sought.asked.span());
    let (grants, sync, unreachable) = tokio::try_join!(
        site.table.grants_with_readings(&programme.id),
        site.table.sync_state(),
        site.table.unreachable(now),
    )?;
    let (settings, context) = (&programme.settings, SpanContext::of(&programme.settings, sync.listed_at, now));
    let rows = grants.into_iter().map(|(grant, readings)| {
        let spent =
            asked.map(|span| context.figure(&used(&readings).days(settings.basis.byok), span, grant.ever_shown));
        let row = GrantRow::of(grant, &readings, settings, now);
        let not_mailed = not_mailed(&row.grant, &unreachable);
        GrantRow { spent: spent.unwrap_or(row.spent), not_mailed, ..row }
    });
    let mut rows: Vec<GrantRow> = rows.filter(|row| sought.finds(row)).collect();
    rows.sort_by(|one, other| {
        let by_money = (other.spent.usd, other.lifetime).cmp(&(one.spent.usd, one.lifetime));
        by_money.then_with(|| one.grant.person.address.matched().cmp(other.grant.person.address.matched()))
    });
    let from = sought.from.parse().unwrap_or(0).min(rows.len());
    let until = (from + ON_A_PAGE).min(rows.len());
    let path = paths::grants(&programme.id);
    let page = GrantListPage {
        frame: PageFrame::of(&site, &access.visitor),
        programme,
        sought: &sought,
        states: show::STATES,
        rows: &rows[from..until],
        found: rows.len(),
        from,
        until,
        next: (until < rows.len()).then(|| sought.address(&path, until)),
        phrase: asked.map_or("in this window", spans::phrase),
        spans: spans::choices(&path, &sought.query(), &Span::EACH, |span| asked == Some(span)),
        as_of: sync.listed_at.map(|at| column_time(at, settings.term.zone())),
        notes: spans::notes(rows[from..until].iter().map(|row| &row.spent)),
    };
    Ok(site.page(&page))
}

/// The reason why a person does not get all mail, if any more mail is to come.
pub(crate) fn not_mailed(grant: &Grant, unreachable: &Unreachable) -> Option<UnreachableReason> {
    let is_over = grant.is_over();
    unreachable.get(grant.person.address.matched()).copied().filter(|_| !is_over)
}

pub(crate) fn used(readings: &[Reading]) -> DailyUse {
    readings.iter().fold(DailyUse::default(), |mut used, reading| {
        used.add(&reading.used);
        used
    })
}

impl GrantRow {
    pub(crate) fn of(grant: Grant, readings: &[Reading], settings: &Settings, now: Moment) -> GrantRow {
        let spending = Spending::of(&grant, readings, settings, now);
        GrantRow {
            state: grant.shown_state(),
            cap: grant.cap(settings),
            spent: Figure::exactly(spending.in_window),
            lifetime: spending.lifetime,
            not_mailed: None,
            grant,
        }
    }
}

impl GrantSearch {
    fn finds(&self, row: &GrantRow) -> bool {
        let (text, person) = (self.q.trim().to_lowercase(), &row.grant.person);
        let has = |value: &str| value.to_lowercase().contains(&text);
        let texts = [&person.name, &person.roster_id, &row.grant.group];
        let by_text = has(person.address.as_written())
            || has(row.grant.id.as_str())
            || texts.into_iter().flatten().any(|value| has(value));
        let by_mail = match row.not_mailed {
            _ if self.mail.is_empty() => true,
            Some(UnreachableReason::Bounced | UnreachableReason::Suppressed) => self.mail == UNREACHABLE,
            Some(UnreachableReason::Complained) => self.mail == UNWANTED,
            None => false,
        };
        by_text && by_mail && (self.state.is_empty() || self.state == row.state)
    }

    fn wants_unwanted(&self) -> bool {
        self.mail == UNWANTED
    }

    /// The URL of this search from another row on.
    fn address(&self, path: &str, from: usize) -> String {
        let window = self.asked.span().map_or("", Span::as_str);
        show::address(path, &[&self.query()[..], &[("window", window), ("from", &from.to_string())]].concat())
    }

    fn query(&self) -> [(&str, &str); 3] {
        [("q", self.q.as_str()), ("state", self.state.as_str()), ("mail", self.mail.as_str())]
    }
}
