//! The page of one grant: its state, its history with who acted, and the forms for further acts.

use std::collections::BTreeSet;

use askama::Template;
use axum::extract::Path;
use bursar_core::clock::Moment;
use bursar_core::domain::audit::{Actor, AuditEntry};
use bursar_core::domain::grant::{BudgetChange, Grant, KeyAbsence, ShownState, Spending, View};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::programme::counts::Counts;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::days::{Accuracy, Sum};
use bursar_core::domain::usage::span::Span;
use bursar_core::domain::values::format::column_time;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::{Usd, round_to_cents};
use bursar_core::domain::values::window::utc_date;
use bursar_core::log;
use bursar_core::store::{UnreachableReason, Whose};
use bursar_core::web::{Answer, AppError, Result, Site};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use super::acts::ActForms;
use super::list;
use crate::kit::access::{PageFrame, ProgrammeAccess};
use crate::kit::listing::Listing;
use crate::kit::mails::MailRow;
use crate::kit::{mails, show};
use crate::money::spending::spans;
use crate::money::spending::spans::{Figure, SpanContext};
use crate::programme::audit::AuditRow;

#[derive(Template)]
#[template(path = "grant.html")]
struct GrantPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    grant: &'a Grant,
    state: ShownState,
    badge: show::Badge,
    cap: Usd,
    spending: Spending,
    /// What is left of the cap in this window.
    amount_left: Usd,
    spans: Vec<(&'static str, Figure)>,
    days: Vec<DayLine>,
    as_of: Option<String>,
    notes: Vec<String>,
    holds: Vec<&'static str>,
    /// The limit that stops it now, if one does.
    stopped_by: Option<&'static str>,
    keys: Vec<GrantKeyLine>,
    timeline: Vec<AuditRow>,
    zone: &'a TimeZone,
    /// The reason why the person does not get all mail, also in words, and since when.
    unreachable: Option<(UnreachableReason, &'static str, String)>,
    mails: Listing<MailRow>,
    may: GrantForms,
    open_request: Option<OpenMore<'a>>,
    forms: ActForms,
    /// Whose it is, as an admin may say.
    whose: Whose,
}

/// A student's request for more, with what helps to decide it.
struct OpenMore<'a> {
    requested_at: String,
    reason: &'a str,
    /// What this student used in the last seven days, and what one of the class usually does.
    week: String,
    usual_week: Usd,
    /// What the budget has left that is neither spent nor promised, and what everybody's keys would
    /// take who may still claim one.
    free: Usd,
    needed: Usd,
    counts: Counts,
    /// The cap that was asked for, with a quarter more, with half more, and twice: those for which
    /// the budget has room, and the first for which it has none.
    steps: Vec<Raise>,
    too_high: Option<Usd>,
}

/// A higher cap, and what a press for it costs others.
struct Raise {
    cap: Usd,
    takes: Usd,
    /// For how many there is room then, of those who have no key yet.
    fit: u64,
    people: u64,
}

impl Raise {
    /// `None` where the budget has no room for it.
    fn new(cap: Usd, view: &View, now: Moment) -> Option<Raise> {
        let takes = match view
            .set_cap(Some(cap), &Actor::Rule, None, now)
            .ok()?
            .budget
        {
            BudgetChange::Take(amount) | BudgetChange::TakeAnyway(amount) => amount,
            BudgetChange::None => Usd::ZERO,
        };
        let Budget {
            limit,
            reserved,
            unreserved,
            ..
        } = view.budget.as_ref();
        let settings = &view.programme.settings;
        let fit = unreserved.enough_for(*limit - *reserved - takes, settings, now);
        Some(Raise {
            cap,
            takes,
            fit,
            people: unreserved.people(settings, now),
        })
    }
}

struct GrantForms {
    pause: bool,
    resume: bool,
    change: bool,
    resend: bool,
    /// Whether there is a key to end that others have.
    leaked: bool,
}

struct GrantKeyLine {
    label: String,
    state: &'static str,
    spent: Usd,
    /// Of the key in use: its limit at the provider, and what was left of that when it was read
    /// last.
    limit: Option<(Usd, Usd)>,
    shown_at: String,
}

/// A UTC day on which something was spent.
struct DayLine {
    day: Date,
    spent: Figure,
}

impl DayLine {
    /// Those of the last four weeks, the newest first.
    fn all(view: &View, now: Moment) -> Vec<DayLine> {
        let used = list::used(&view.readings).days(view.programme.settings.basis.byok);
        let first = utc_date(now).saturating_sub(27.days());
        let mut used: Vec<_> = used
            .each()
            .filter(|(day, spent, _)| first <= *day && !spent.is_zero())
            .collect();
        used.reverse();
        let cents = round_to_cents(used.iter().map(|(_, spent, _)| *spent));
        let lines = used
            .into_iter()
            .zip(cents)
            .map(|((day, spent, exact), cents)| {
                let accuracy = if exact {
                    Accuracy::Exactly
                } else {
                    Accuracy::Estimated
                };
                DayLine {
                    day,
                    spent: Figure::in_cents(Sum { spent, accuracy }, cents),
                }
            });
        lines.collect()
    }
}

pub(crate) async fn page(
    site: Site,
    access: ProgrammeAccess,
    Path((_, grant)): Path<(String, String)>,
) -> Answer {
    let view = view(&site, &access, &id(&grant)?).await?;
    let forms = ActForms::new(&view.grant, &access.programme.settings);
    show(&site, &access, &view, forms).await
}

pub(super) fn id(text: &str) -> Result<GrantId> {
    text.parse().map_err(|_| AppError::not_found())
}

/// The grant of this id, if the programme has it.
pub(super) async fn view(site: &Site, access: &ProgrammeAccess, grant: &GrantId) -> Result<View> {
    log::name_grant(grant);
    site.table
        .view(&access.programme.id, grant)
        .await?
        .ok_or_else(AppError::not_found)
}

pub(super) async fn show(
    site: &Site,
    access: &ProgrammeAccess,
    view: &View,
    forms: ActForms,
) -> Answer {
    let View {
        programme,
        grant,
        readings,
        ..
    } = view;
    let now = site.clock.now();
    let zone = programme.settings.term.zone();
    let (entries, sync, mark, mails, cuts, whose) = tokio::try_join!(
        site.table
            .list_known(AuditEntry::of_grant(&programme.id, &grant.id)),
        site.table.sync_state(),
        site.table
            .undeliverable(grant.person.address.matched(), now),
        site.table.mails_of(&programme.id, &grant.id),
        site.table.newest(AccountCut::all(), 1),
        site.table.whose(
            &programme.id,
            &grant.id,
            grant.person.address.matched(),
            now
        ),
    )?;
    let mut timeline = AuditRow::all(site, entries, access.is_faculty()).await?;
    timeline.reverse();
    let is_over = grant.is_over();
    let state = grant.display_state(now);
    let basis = programme.settings.basis;
    let keys = grant.keys.iter().rev().filter(|key| key.shown_at.is_some()).map(|key| {
        let reading = readings.iter().find(|reading| reading.epoch == key.epoch);
        let in_window = reading.map(|reading| reading.used.in_window(basis, now)).unwrap_or_default();
        let limit = key.limit.known().filter(|_| grant.live() == Some(key));
        GrantKeyLine {
            label: key.label.as_ref().map(|label| label.as_str().to_owned()).unwrap_or_default(),
            limit: limit.map(|limit| (*limit, (*limit - in_window).or_zero())),
            state: match key.gone {
                _ if grant.live() == Some(key) => match (view.grant.usable().is_some(), key.enabled.is(&true)) {
                    (true, true) => "in use",
                    (true, false) => "still to be switched on",
                    (false, _) if key.enabled.is(&false) => "paused",
                    (false, _) => "paused, and still to be switched off",
                },
                None if key.enabled.is(&false) => "replaced or ended",
                None => "replaced or ended, and still to be switched off: OpenRouter has not confirmed it",
                Some(KeyAbsence::Missing) => {
                    "no longer at OpenRouter; what it used since its last check is under “Not explained” on the account page"
                }
                Some(KeyAbsence::Purged) => "deleted at OpenRouter",
            },
            spent: reading.map(|reading| reading.used.counted(basis.byok)).unwrap_or_default(),
            shown_at: key.shown_at.map(|shown_at| column_time(shown_at, zone)).unwrap_or_default(),
        }
    });
    let mut keys: Vec<GrantKeyLine> = keys.collect();
    let cents = round_to_cents(keys.iter().map(|key| key.spent));
    let column = keys
        .iter_mut()
        .zip(cents)
        .filter(|(key, _)| key.spent >= Usd::CENT);
    column.for_each(|(key, cents)| key.spent = cents);
    let spending = view.spending(now);
    let cap = grant.cap(&programme.settings);
    let amount_left = (cap - spending.in_window).or_zero();
    let holds = [
        (grant.holds.paused.is_some(), "it was paused"),
        (
            grant.holds.dropped.is_some(),
            "the roster no longer names this person",
        ),
        (grant.holds.unused, "it was not used"),
    ];
    let holds = holds
        .into_iter()
        .filter(|(held, _)| *held)
        .map(|(_, words)| words);
    let read_at = readings
        .iter()
        .map(|reading| reading.as_of)
        .chain(sync.listed_at)
        .max();
    let context = SpanContext::new(&programme.settings, read_at, now);
    let spans = context.each(
        &list::used(readings).days(programme.settings.basis.byok),
        grant.stage.has_claimed(),
    );
    let days = DayLine::all(view, now);
    let open_request = match view
        .open_request(now)
        .filter(|_| access.is_faculty() && !is_over)
    {
        None => None,
        Some(open) => {
            let used = site.table.programme_use(&programme.id).await?;
            let week = spans.iter().find(|(name, _)| *name == Span::Week.name());
            let steps = [1, 2, 4]
                .map(|quarters| open.cap + Usd::from_micros(open.cap.micros() / 4 * quarters));
            let caps: BTreeSet<Usd> = steps.into_iter().chain(open.wanted_cap).collect();
            let Budget {
                limit,
                reserved,
                unreserved,
                ..
            } = view.budget.as_ref();
            Some(OpenMore {
                requested_at: column_time(open.asked_at, zone),
                reason: &open.reason,
                week: week.map_or_else(String::new, |(_, figure)| figure.text.clone()),
                usual_week: used
                    .own
                    .map(|totals| totals.standing_out.usual_week)
                    .unwrap_or_default(),
                free: (*limit - *reserved).or_zero(),
                needed: unreserved.cost(&programme.settings, now),
                counts: site.table.roster_counts(&programme.id).await?,
                too_high: caps
                    .iter()
                    .copied()
                    .find(|cap| Raise::new(*cap, view, now).is_none()),
                steps: caps
                    .into_iter()
                    .filter_map(|cap| Raise::new(cap, view, now))
                    .collect(),
            })
        }
    };
    let page = GrantPage {
        whose,
        frame: PageFrame::new(site, &access.visitor),
        programme,
        stopped_by: find_stopping_limit(
            view,
            amount_left,
            &keys,
            cuts.first().map(AccountCut::balance),
        ),
        keys,
        holds: holds.collect(),
        timeline,
        zone,
        may: GrantForms {
            pause: !is_over && grant.holds.paused.is_none() && grant.holds.dropped.is_none(),
            resume: !is_over && grant.holds.paused.is_some(),
            change: !is_over && access.is_faculty(),
            resend: !is_over
                && grant.holds.dropped.is_none()
                && !grant.person.address.is_none()
                && (mark.is_none() || access.is_faculty()),
            leaked: access.is_faculty() && view.report_leaked(grant.epoch, &Actor::Sync).is_ok(),
        },
        unreachable: mark.map(|mark| {
            (
                mark.why,
                mark.why.to_words(),
                column_time(mark.marked_at, zone),
            )
        }),
        mails: mails::listing("mail", mails.iter().rev().map(MailRow::new).collect(), zone),
        as_of: read_at.map(|read_at| column_time(read_at, zone)),
        open_request,
        notes: spans::notes(
            spans
                .iter()
                .map(|(_, figure)| figure)
                .chain(days.iter().map(|line| &line.spent)),
        ),
        spans,
        days,
        grant,
        state,
        badge: show::Badge::new(state, amount_left, &grant.holds),
        cap,
        spending,
        amount_left,
        forms,
    };
    Ok(site.page(&page))
}

/// Which limit stops a grant that nobody holds: the first that is used up, as far as it is known.
fn find_stopping_limit(
    view: &View,
    amount_left: Usd,
    keys: &[GrantKeyLine],
    credit: Option<Usd>,
) -> Option<&'static str> {
    let room = view.budget.limit - view.budget.reserved;
    let stops = [
        (amount_left < Usd::CENT, "the cap is used up"),
        (
            keys.iter()
                .filter_map(|key| key.limit)
                .any(|(_, limit_left)| limit_left < Usd::CENT),
            "the key's limit at OpenRouter is used up",
        ),
        (
            !view.grant.has_reservation && room < amount_left,
            "the programme's budget has no room for the cap",
        ),
        (
            credit.is_some_and(|credit| credit < Usd::CENT),
            "the account at OpenRouter has no credit left",
        ),
    ];
    stops
        .into_iter()
        .find(|(is_used_up, _)| *is_used_up && !view.grant.is_over())
        .map(|(_, why)| why)
}
