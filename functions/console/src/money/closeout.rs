//! The close-out of a programme, for finance and for those who decide about the next term, as a
//! page to print: what each group spent, what nobody claimed, what of the account no key explains,
//! and what a student cost. Its sums add up to the cent.

use std::borrow::Borrow;
use std::collections::BTreeMap;

use askama::Template;
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, GrantState};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::programme::{Byok, Programme, Settings};
use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::pilot::PilotFigures;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::window::utc_date;
use bursar_core::web::{Answer, Result, Site};
use futures_util::TryStreamExt;
use jiff::civil::Date;

use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::{paths, show};
use crate::money::spending::by_model::words;
use crate::people::grants;

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
    /// The file of spending by person, once there is a day on record.
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
    let persons = ClosingPerson::all(&site, programme).await?;
    let (assigned, sync, cuts) = tokio::try_join!(
        site.table.read_assigned_use(&programme.id),
        site.table.sync_state(),
        site.table.newest(AccountCut::all(), 1)
    )?;
    let spent_elsewhere = assigned.used.credits.total();
    let spent = persons.iter().map(ClosingPerson::spent).sum::<Usd>() + spent_elsewhere;
    let mut groups = by_group(&persons);
    // Foreign keys that the programme owns are the last amount, in a row of their own.
    let mut cents = round_to_cents(groups.iter().map(|row| row.cents).chain([spent_elsewhere]));
    let spent_in_cents = cents.iter().copied().sum();
    let cents_elsewhere = cents.pop().unwrap_or_default();
    for (row, cents) in groups.iter_mut().zip(cents) {
        row.cents = cents;
    }
    let zone = programme.settings.term.zone();
    let is_open = persons.iter().any(|person| person.is_open);
    let unclaimed = persons.iter().filter(|person| !person.has_claimed);
    let mut figures = PilotFigures::default();
    let mut credits = Days::default();
    for person in &persons {
        figures.add(person.has_claimed, &person.used.credits);
        credits.add(&person.used.credits);
    }
    let used: Vec<&DailyUse> = persons
        .iter()
        .map(|person| &person.used)
        .chain([&assigned.used])
        .collect();
    let byok: Usd = used.iter().map(|used| used.byok.total()).sum();
    Ok(site.page(&CloseoutPage {
        frame: PageFrame::new(&site, &access.visitor),
        programme,
        preliminary: preliminary(programme, sync.listed_at, is_open, now),
        may_close: access.is_faculty() && programme.closed_at.is_none(),
        as_of: sync.listed_at.map(|listed_at| column_time(listed_at, zone)),
        budget: budget.limit,
        spent,
        spent_in_cents,
        byok,
        byok_in_budget: if programme.settings.basis.byok == Byok::Inside {
            byok
        } else {
            Usd::ZERO
        },
        unclaimed_caps: unclaimed.map(|person| person.cap).sum(),
        newest: cuts.into_iter().next(),
        groups,
        assigned: (assigned.keys > 0 || !cents_elsewhere.is_zero())
            .then_some((assigned.keys, cents_elsewhere)),
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

/// The address of the report by person from the first UTC day on which anything is on record until
/// today.
fn file(programme: &ProgrammeId, used: &[&DailyUse], today: Date) -> Option<String> {
    let from = used
        .iter()
        .filter_map(|used| used.credits.each().next())
        .map(|(day, ..)| day)
        .min()?;
    let days = [
        ("from", &*from.to_string()),
        ("to", &*today.to_string()),
        ("by", "person"),
    ];
    Some(show::address(
        &format!("{}.csv", paths::report(programme)),
        &days,
    ))
}

/// The reason why the figures may still change: the programme goes on, a key may still spend, or no
/// sync has read the keys since the end.
fn preliminary(
    programme: &Programme,
    listed_at: Option<Moment>,
    is_open: bool,
    now: Moment,
) -> Option<&'static str> {
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

/// The groups, each with its spending to the millionth.
fn by_group(persons: &[ClosingPerson]) -> Vec<GroupRow> {
    let mut groups: BTreeMap<Option<&str>, GroupRow> = BTreeMap::new();
    for person in persons {
        let row = groups
            .entry(person.group.as_deref())
            .or_insert_with(|| GroupRow {
                group: person
                    .group
                    .clone()
                    .unwrap_or_else(|| "without a group".to_owned()),
                people: 0,
                claimed: 0,
                cents: Usd::ZERO,
            });
        row.people += 1;
        row.claimed += usize::from(person.has_claimed);
        row.cents += person.spent();
    }
    groups.into_values().collect()
}

/// Somebody who is or was on the roster.
struct ClosingPerson {
    group: Option<String>,
    cap: Usd,
    has_claimed: bool,
    used: DailyUse,
    /// Whether a key may still work.
    is_open: bool,
}

impl ClosingPerson {
    /// Everybody, but for those who were taken off the roster before they had a key.
    async fn all(site: &Site, programme: &Programme) -> Result<Vec<ClosingPerson>> {
        let ids = [programme.id.clone()];
        let mut persons = Vec::new();
        let mut shards = std::pin::pin!(site.table.shards_of_programmes(&ids));
        while let Some((_, grants)) = shards.try_next().await? {
            for (grant, readings) in grants {
                if grant.stage.has_claimed() || grant.is_student() {
                    persons.push(ClosingPerson::new(
                        grant,
                        grants::used(&readings),
                        &programme.settings,
                    ));
                }
            }
        }
        Ok(persons)
    }

    fn new(grant: Grant, used: DailyUse, settings: &Settings) -> ClosingPerson {
        ClosingPerson {
            cap: grant.cap(settings),
            has_claimed: grant.keys.iter().any(|key| key.shown_at.is_some()),
            is_open: matches!(grant.state, GrantState::Live { .. }),
            group: grant.group,
            used,
        }
    }

    fn spent(&self) -> Usd {
        self.used.credits.total()
    }
}
