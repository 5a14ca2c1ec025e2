//! The page of one grant: its state, its history with who acted, and the forms for further acts.

use axum::extract::Path;
use bursar_core::domain::audit::Entry;
use bursar_core::domain::grant::{KeyAbsence, SwitchState, View};
use jiff::tz::TimeZone;

use super::acts::{OwnCap, cap_form};
use super::list::{self, GrantRow};
use crate::form::Form;
use crate::mails::{self, MailRow};
use crate::prelude::*;
use crate::spending::spans;

#[derive(Template)]
#[template(path = "grant.html")]
struct GrantPage<'a> {
    frame: PageFrame<'a>,
    programme: &'a Programme,
    row: &'a GrantRow,
    spans: Vec<(&'static str, Figure)>,
    as_of: Option<String>,
    notes: Vec<String>,
    holds: Vec<&'static str>,
    keys: Vec<KeyLine>,
    timeline: Vec<TimelineEntry>,
    /// The reason why the person does not get all mail, also in words, and since when.
    unreachable: Option<(UnreachableReason, &'static str, String)>,
    mails: Vec<MailRow>,
    may: GrantForms,
    /// When the student asked for more and why, while that is open.
    asked: Option<(String, &'a str)>,
    cap: Form<OwnCap>,
}

struct GrantForms {
    pause: bool,
    resume: bool,
    change: bool,
    resend: bool,
}

struct KeyLine {
    state: &'static str,
    spent: String,
    shown_at: String,
}

pub(crate) async fn page(
    State(site): State<Site>,
    access: ProgrammeAccess,
    Path((_, grant)): Path<(String, String)>,
) -> Answer {
    let view = view(&site, &access, &grant).await?;
    show(&site, &access, &view, None).await
}

/// The grant of this id, if the programme has it.
pub(crate) async fn view(site: &Site, access: &ProgrammeAccess, grant: &str) -> Result<View, AppError> {
    let grant = grant.parse().map_err(|_| AppError::not_found())?;
    site.table.view(&access.programme.id, &grant).await?.ok_or_else(AppError::not_found)
}

/// The page; `refused` is the form of a cap that was refused.
pub(crate) async fn show(site: &Site, access: &ProgrammeAccess, view: &View, refused: Option<Form<OwnCap>>) -> Answer {
    let View { programme, grant, readings, .. } = view;
    let now = site.clock.now();
    let zone = programme.settings.term.zone();
    let (entries, sync, mark, mails) = tokio::try_join!(
        site.table.list(Entry::of_grant(&programme.id, &grant.id)),
        site.table.sync_state(),
        site.table.undeliverable(grant.person.address.matched(), now),
        site.table.mails_of(&programme.id, &grant.id),
    )?;
    let mut timeline = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().rev() {
        timeline.push(TimelineEntry::of(site, entry, zone).await?);
    }
    let is_over = grant.is_over();
    let keys = grant.attempts.iter().rev().filter(|attempt| attempt.shown_at.is_some()).map(|attempt| {
        let spent = readings
            .iter()
            .find(|reading| reading.epoch == attempt.epoch)
            .map(|reading| reading.used.counted(programme.settings.basis.byok));
        KeyLine {
            state: match attempt.gone {
                _ if grant.live() == Some(attempt) => match attempt.switch {
                    SwitchState::On => "in use",
                    SwitchState::OffOrdered { .. } => "held, and still to be switched off",
                    SwitchState::Off { .. } => "held",
                    SwitchState::OnOrdered { .. } => "still to be switched on",
                },
                None => "retired",
                Some(KeyAbsence::Missing) => "not at the provider any more",
                Some(KeyAbsence::Purged) => "deleted at the provider",
            },
            spent: spent.unwrap_or_default().to_cents_up(),
            shown_at: attempt.shown_at.map(|at| column_time(at, zone)).unwrap_or_default(),
        }
    });
    let holds = [
        (grant.holds.paused.is_some(), "somebody paused it"),
        (grant.holds.dropped.is_some(), "the roster does not name this person any more"),
        (grant.holds.unused, "it was not used"),
    ];
    let cap = refused.unwrap_or_else(|| cap_form(grant, &programme.settings));
    let context = SpanContext::of(&programme.settings, sync.listed_at, now);
    let spans = context.each(&list::used(readings).days(programme.settings.basis.byok), grant.ever_shown);
    let page = GrantPage {
        frame: PageFrame::of(site, &access.visitor),
        programme,
        keys: keys.collect(),
        holds: holds.into_iter().filter(|(held, _)| *held).map(|(_, word)| word).collect(),
        timeline,
        may: GrantForms {
            pause: !is_over && grant.holds.paused.is_none(),
            resume: !is_over && grant.holds.paused.is_some(),
            change: !is_over && access.is_faculty(),
            resend: !is_over && grant.holds.dropped.is_none() && (mark.is_none() || access.is_faculty()),
        },
        unreachable: mark.map(|mark| (mark.why, mails::why(mark.why), column_time(mark.at, zone))),
        mails: mails.iter().rev().map(|row| MailRow::of(row, zone)).collect(),
        as_of: sync.listed_at.map(|at| column_time(at, zone)),
        asked: view.open_request(now).map(|asked| (column_time(asked.at, zone), &*asked.reason)),
        notes: spans::notes(spans.iter().map(|(_, figure)| figure)),
        spans,
        row: &GrantRow::of(grant.clone(), readings, &programme.settings, now),
        cap,
    };
    Ok(site.page(&page))
}

struct TimelineEntry {
    at: String,
    who: String,
    what: &'static str,
    change: Option<String>,
    note: Option<String>,
}

impl TimelineEntry {
    async fn of(site: &Site, entry: Entry, zone: &TimeZone) -> Result<TimelineEntry, AppError> {
        let change = match (entry.what.from, entry.what.to) {
            (Some(from), Some(to)) => Some(format!("{} → {}", or_none(&from), or_none(&to))),
            _ => None,
        };
        Ok(TimelineEntry {
            at: column_time(entry.at, zone),
            who: show::actor(&site.table, &entry.by).await?,
            what: words(entry.what.act),
            change,
            note: entry.what.note,
        })
    }
}

fn or_none(text: &str) -> &str {
    if text.is_empty() { "none" } else { text }
}

fn words(act: Act) -> &'static str {
    match act {
        Act::Created => "created",
        Act::Edited => "edited",
        Act::BudgetChanged => "budget changed",
        Act::Closed => "closed",
        Act::Invited => "put on the roster",
        Act::Begun => "asked for a key",
        Act::Shown => "was shown a key",
        Act::Refused => "an attempt was refused",
        Act::Unknown => "nobody knows what became of an attempt",
        Act::Lost => "an attempt was overtaken",
        Act::Swept => "an attempt was swept",
        Act::Held => "held",
        Act::Released => "a hold was taken off",
        Act::Stopped => "the key was stopped",
        Act::Revoked => "revoked",
        Act::Ended => "ended",
        Act::CapChanged => "cap changed",
        Act::ReplacementAllowed => "one more replacement allowed",
        Act::ReservationGivenBack => "the reservation in the budget was given back",
        Act::Described => "the roster's line changed",
        Act::Moved => "moved to another group",
        Act::TierEdited => "tier edited",
        Act::GuardrailSet => "guardrail set",
        Act::RulesSent => "the key was put under other rules at the provider",
        Act::LimitSent => "another limit was set at the provider",
        Act::Recovered => "keys that the provider had were recorded again",
        Act::Purged => "a key was deleted at the provider",
        Act::Asked => "asked of the admins",
        Act::MoreAsked => "asked for more",
        Act::SafetyLimitReleased => "what the safety limit held back was released",
        Act::KeysAssigned => "keys made elsewhere were given to the programme",
        Act::KeysTakenBack => "keys made elsewhere were taken back from the programme",
        Act::ForeignActBegun => "an admin pressed to change a key that nobody here made",
        Act::ForeignActConcluded => "the provider answered that",
        Act::AccountConfirmed => "another management key is of the account",
        Act::MailSentAgain => "mail that was given up was sent again",
        Act::MailAllowed => "mail to the address is tried again",
        Act::AlertResent => "an alert was sent again",
    }
}
