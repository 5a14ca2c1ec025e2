//! The close-out of a programme, for finance and for those who decide about the next term, as a page to print: what each
//! person and group spent, what nobody claimed, what of the account no key explains, and what a student cost. Its sums add up to the cent.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use askama::Template;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, GrantState, Spending};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::programme::{Byok, Programme, Settings};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::pilot::PilotFigures;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::id::{GrantId, ProgrammeId};
use bursar_core::domain::values::money::{Usd, each_in_cents};
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, Result, Site};
use futures_util::TryStreamExt;
use jiff::civil::Date;

use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::{paths, show};
use crate::money::spending::by_model::words;
use crate::people::grants;

const MOST_PERSONS: usize = 5_000;

#[derive(Template)]
#[template(path = "closeout.html")]
struct CloseoutPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    /// The reason why the figures may still change.
    preliminary: Option<&'static str>,
    may_close: bool,
    as_of: Option<String>,
    budget: Usd,
    /// What was spent: the exact amount, and in cents.
    spent: Usd,
    spent_in_cents: Usd,
    byok: Usd,
    /// The part of `byok` that counts in the budget.
    byok_in_budget: Usd,
    /// The caps of those who never claimed.
    unclaimed_caps: Usd,
    newest: Option<AccountCut>,
    groups: Vec<GroupRow>,
    /// The number of foreign keys that the programme owns, and what they spent in cents.
    assigned: Option<(u32, Usd)>,
    /// The first persons, each with what they spent in cents.
    persons: Vec<(&'a ClosingPerson, Usd)>,
    /// The file of these sums, once there is a day on record.
    file: Option<String>,
    figures: PilotFigures,
    /// The days of which only the sum is known, in words.
    estimated: Option<String>,
}

struct GroupRow {
    group: String,
    people: usize,
    claimed: usize,
    cents: Usd,
}

pub(crate) async fn closeout(site: Site, access: ProgrammeAccess) -> Answer {
    let now = site.clock.now();
    let programme = &access.programme;
    let budget = site.table.budget(&programme.id).await?;
    let persons = ClosingPerson::all(&site, &access).await?;
    let (assigned, sync, cuts) = tokio::try_join!(
        site.table.assigned_use(&programme.id),
        site.table.sync_state(),
        site.table.newest(AccountCut::all(), 1)
    )?;
    // Foreign keys that the programme owns are the last amount, in a row of their own.
    let of_persons = persons.iter().map(ClosingPerson::spent);
    let spent: Vec<Usd> = of_persons.chain([assigned.used.credits.total()]).collect();
    let cents = each_in_cents(spent.iter().copied());
    let groups = groups(&persons, assigned.used.credits.total());
    let of_foreign_keys = cents.last().copied().unwrap_or_default();
    let zone = programme.settings.term.zone();
    let is_open = persons.iter().any(|person| person.is_open);
    let unclaimed = persons.iter().filter(|person| person.claimed_on.is_none());
    let mut figures = PilotFigures::default();
    let mut credits = Days::default();
    for person in &persons {
        figures.add(person.claimed_on.is_some(), &person.used.credits);
        credits.add(&person.used.credits);
    }
    let used: Vec<&DailyUse> = persons.iter().map(|person| &person.used).chain([&assigned.used]).collect();
    let byok: Usd = used.iter().map(|used| used.byok.total()).sum();
    Ok(site.page(&CloseoutPage {
        frame: PageFrame::new(&site, &access.visitor),
        programme,
        preliminary: preliminary(programme, sync.listed_at, is_open, now),
        may_close: access.is_faculty() && programme.closed_at.is_none(),
        as_of: sync.listed_at.map(|listed_at| column_time(listed_at, zone)),
        budget: budget.limit,
        spent: spent.iter().copied().sum(),
        spent_in_cents: cents.iter().copied().sum(),
        byok,
        byok_in_budget: if programme.settings.basis.byok == Byok::Inside { byok } else { Usd::ZERO },
        unclaimed_caps: unclaimed.map(|person| person.cap).sum(),
        newest: cuts.into_iter().next(),
        groups,
        assigned: (assigned.keys > 0 || !of_foreign_keys.is_zero()).then_some((assigned.keys, of_foreign_keys)),
        persons: persons.iter().zip(cents.iter().copied()).take(MOST_PERSONS).collect(),
        file: file(&programme.id, &used, utc_date(now)),
        estimated: words(&credits.estimated().collect::<Vec<_>>()),
        figures,
    }))
}

impl CloseoutPage<'_> {
    /// A share of the roster, in whole per cent, rounded down.
    fn share(&self, count: impl Borrow<u64>) -> String {
        match (count.borrow() * 100).checked_div(self.figures.people) {
            Some(per_cent) => format!("{per_cent}%"),
            None => "–".to_owned(),
        }
    }
}

/// The address of the report by person from the first UTC day on which anything is on record until today.
fn file(programme: &ProgrammeId, used: &[&DailyUse], today: Date) -> Option<String> {
    let from = used.iter().filter_map(|used| used.credits.each().next()).map(|(day, ..)| day).min()?;
    let days = [("from", &*from.to_string()), ("to", &*today.to_string()), ("by", "person")];
    Some(show::address(&format!("{}.csv", paths::report(programme)), &days))
}

/// The reason why the figures may still change: the programme goes on, a key may still spend, or no sync has
/// read the keys since the end.
fn preliminary(programme: &Programme, listed_at: Option<Moment>, is_open: bool, now: Moment) -> Option<&'static str> {
    if !programme.is_over(now) {
        Some("The programme is not over yet.")
    } else if is_open {
        Some("Some keys have not been ended yet.")
    } else if listed_at.is_none_or(|listed| listed < programme.over_since()) {
        Some("The keys have not been checked since the programme ended.")
    } else {
        None
    }
}

/// The groups, in cents as the overview has them: the column adds up with what foreign keys spent.
fn groups(persons: &[ClosingPerson], of_foreign_keys: Usd) -> Vec<GroupRow> {
    let mut groups: BTreeMap<Option<&str>, GroupRow> = BTreeMap::new();
    for person in persons {
        let row = groups.entry(person.group.as_deref()).or_insert_with(|| GroupRow {
            group: person.group.clone().unwrap_or_else(|| "without a group".to_owned()),
            people: 0,
            claimed: 0,
            cents: Usd::ZERO,
        });
        row.people += 1;
        row.claimed += usize::from(person.claimed_on.is_some());
        row.cents += person.spent();
    }
    let mut groups: Vec<GroupRow> = groups.into_values().collect();
    let cents = each_in_cents(groups.iter().map(|row| row.cents).chain([of_foreign_keys]));
    groups.iter_mut().zip(cents).for_each(|(row, cents)| row.cents = cents);
    groups
}

struct ClosingPerson {
    grant: GrantId,
    /// The address and the name; `None` for a reader who is an assistant.
    address: Option<String>,
    name: Option<String>,
    group: Option<String>,
    state: &'static str,
    cap: Usd,
    /// The day of the first key, in the programme's time zone.
    claimed_on: Option<Date>,
    used: DailyUse,
    /// Whether a key may still work, or a claim is under way.
    is_open: bool,
}

impl ClosingPerson {
    /// Everybody who is or was on the roster, by group and address. Who was taken off it before they had a
    /// key is left out.
    async fn all(site: &Site, access: &ProgrammeAccess) -> Result<Vec<ClosingPerson>> {
        let Programme { id, settings, .. } = &access.programme;
        let ids = [id.clone()];
        let mut persons = Vec::new();
        let now = site.clock.now();
        let mut shards = std::pin::pin!(site.table.shards_of_programmes(&ids));
        while let Some((_, grants)) = shards.try_next().await? {
            let on_roster = grants.into_iter().filter(|(grant, _)| grant.stage.has_claimed() || grant.is_student());
            persons.extend(on_roster.map(|(grant, readings)| {
                let spent = Spending::sum(&grant, &readings, settings, now).in_window;
                let state = grant.shown_state(now).in_words(Some(grant.cap(settings) - spent), &grant.holds);
                ClosingPerson::new(grant, grants::used(&readings), state, settings, access.is_faculty())
            }));
        }
        persons.sort_by_cached_key(|person| (person.group.clone(), person.address.clone(), person.grant.clone()));
        Ok(persons)
    }

    fn new(grant: Grant, used: DailyUse, state: &'static str, settings: &Settings, may_name: bool) -> ClosingPerson {
        let shown_at = grant.keys.iter().filter_map(|key| key.shown_at).min();
        ClosingPerson {
            address: may_name.then(|| grant.person.address.as_written().to_owned()),
            name: grant.person.name.clone().filter(|_| may_name),
            state,
            cap: grant.cap(settings),
            claimed_on: shown_at.map(|shown_at| shown_at.to_zoned(settings.term.zone().clone()).date()),
            is_open: matches!(grant.state, GrantState::Live { .. }),
            group: grant.group,
            grant: grant.id,
            used,
        }
    }

    fn spent(&self) -> Usd {
        self.used.credits.total()
    }

    /// The person as this page names them.
    fn label(&self) -> &str {
        self.address.as_deref().unwrap_or(self.grant.as_str())
    }
}
