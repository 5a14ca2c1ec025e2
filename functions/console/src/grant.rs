//! One grant: where it stands, what was done to it by whom, and the forms that do more.

use askama::Template;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use bursar_core::domain::audit::{Act, Entry};
use bursar_core::domain::grant::{Disable, Gone, State as GrantState, View};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::role::Role;
use bursar_core::store::items::Why;
use bursar_core::web::{Answer, Fault, Frame, Site, Visitor};

use crate::access::{self, Sight};
use crate::grants::{self, Row};
use crate::mails::{self, Mailed};
use crate::show;
use crate::spans::{self, Clockwork, Figure};

#[derive(Template)]
#[template(path = "grant.html")]
struct Page<'a> {
    frame: &'a Frame,
    csrf: &'a str,
    programme: &'a Programme,
    row: &'a Row,
    is_admin: bool,
    /// What was spent over each span of time.
    spans: Vec<(&'static str, Figure)>,
    as_of: Option<String>,
    notes: Vec<String>,
    holds: Vec<&'static str>,
    keys: Vec<Key>,
    timeline: Vec<Event>,
    /// Why the person does not get all mail, also in words, and since when.
    unreachable: Option<(Why, &'static str, String)>,
    /// What was mailed because of the grant, newest first.
    mails: Vec<Mailed>,
    may: May,
    /// What was typed as a cap, and why it was refused.
    cap: &'a str,
    cap_error: Option<&'a str>,
}

/// Which forms are of use to this visitor on this grant.
struct May {
    pause: bool,
    resume: bool,
    change: bool,
    resend: bool,
}

struct Key {
    state: &'static str,
    spent: String,
    shown_at: String,
}

struct Event {
    at: String,
    who: String,
    what: &'static str,
    change: Option<String>,
    note: Option<String>,
}

pub(crate) async fn page(
    State(site): State<Site>,
    visitor: Visitor,
    Path((id, grant)): Path<(String, String)>,
) -> Answer {
    let Some(sight) = access::programme(&site, &visitor, &id, Role::Assistant).await? else {
        return Ok(site.not_found());
    };
    let Ok(grant) = grant.parse() else { return Ok(site.not_found()) };
    let Some(view) = site.table.view(&sight.programme.id, &grant).await? else { return Ok(site.not_found()) };
    show(&site, &visitor, &sight, &view, None).await
}

/// The page, with a cap that was refused and why.
pub(crate) async fn show(
    site: &Site,
    visitor: &Visitor,
    sight: &Sight,
    view: &View,
    refused: Option<(&str, &str)>,
) -> Result<Response, Fault> {
    let View { programme, grant, readings, .. } = view;
    let now = site.clock.now();
    let zone = programme.settings.term.timezone();
    let (entries, sync, mark, mails) = tokio::try_join!(
        site.table.entries_on_grant(&programme.id, &grant.id),
        site.table.sync_state(),
        site.table.undeliverable(grant.person.address.matched(), now),
        site.table.mails_of(&programme.id, &grant.id),
    )?;
    let mut timeline = Vec::with_capacity(entries.len());
    for entry in entries.into_iter().rev() {
        timeline.push(Event::of(site, entry, zone).await?);
    }
    let is_over = matches!(grant.state, GrantState::Revoked | GrantState::Ended);
    let keys = grant.attempts.iter().rev().filter(|attempt| attempt.shown_at.is_some()).map(|attempt| {
        let spent = readings
            .iter()
            .find(|reading| reading.epoch == attempt.epoch)
            .map(|reading| reading.used.counted(programme.settings.byok));
        Key {
            state: match attempt.gone {
                _ if grant.live() == Some(attempt) => match attempt.disable {
                    Disable::No => "in use",
                    Disable::Ordered { .. } => "held, and still to be switched off",
                    Disable::Confirmed { .. } => "held",
                    Disable::Lifted { .. } => "still to be switched on",
                },
                None => "retired",
                Some(Gone::Missing) => "not at the provider any more",
                Some(Gone::Purged) => "deleted at the provider",
            },
            spent: show::spent(spent.unwrap_or_default()),
            shown_at: attempt.shown_at.map(|at| show::time(at, zone)).unwrap_or_default(),
        }
    });
    let holds = [
        (grant.holds.paused.is_some(), "somebody paused it"),
        (grant.holds.dropped.is_some(), "the roster does not name this person any more"),
        (grant.holds.unused, "it was not used"),
    ];
    let cap = crate::settings_form::plain(grant.cap(&programme.settings));
    let clockwork = Clockwork::of(&programme.settings, sync.looked_at, now);
    let spans = clockwork.each(&grants::used(readings).days(programme.settings.byok), grant.ever_shown);
    let page = Page {
        frame: &site.frame,
        csrf: visitor.csrf.reveal(),
        programme,
        keys: keys.collect(),
        holds: holds.into_iter().filter(|(held, _)| *held).map(|(_, word)| word).collect(),
        timeline,
        may: May {
            pause: !is_over && grant.holds.paused.is_none() && sight.role >= Role::Assistant,
            resume: !is_over && grant.holds.paused.is_some(),
            change: !is_over && sight.role >= Role::Faculty,
            resend: !is_over && grant.holds.dropped.is_none() && (mark.is_none() || sight.role >= Role::Faculty),
        },
        unreachable: mark.map(|mark| (mark.why, mails::why(mark.why), show::time(mark.at, zone))),
        mails: mails.iter().rev().map(|row| Mailed::of(row, zone)).collect(),
        is_admin: sight.role == Role::Admin,
        as_of: sync.looked_at.map(|at| show::time(at, zone)),
        notes: spans::notes(spans.iter().map(|(_, figure)| figure)),
        spans,
        row: &Row::of(grant.clone(), readings, &programme.settings, now),
        cap: refused.map_or(cap.as_str(), |(typed, _)| typed),
        cap_error: refused.map(|(_, why)| why),
    };
    let status = if refused.is_some() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::OK };
    Ok(Frame::page(status, &page))
}

impl Event {
    async fn of(site: &Site, entry: Entry, zone: &str) -> Result<Event, Fault> {
        let change = match (entry.what.from, entry.what.to) {
            (Some(from), Some(to)) => Some(format!("{} → {}", or_none(&from), or_none(&to))),
            _ => None,
        };
        Ok(Event {
            at: show::time(entry.at, zone),
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

/// What happened, as the timeline says it.
fn words(act: Act) -> &'static str {
    match act {
        Act::Created => "created",
        Act::Edited => "edited",
        Act::PotChanged => "budget changed",
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
        Act::PlaceGivenBack => "the place in the budget was given back",
        Act::Described => "the roster's line changed",
        Act::Moved => "moved to another group",
        Act::GuardrailSet => "guardrail set",
        Act::LimitSent => "another limit was set at the provider",
        Act::Recovered => "keys that the provider had were recorded again",
        Act::Purged => "a key was deleted at the provider",
        Act::Reopened => "the term was extended after it had ended",
        Act::Asked => "asked of the admins",
        Act::GuardReleased => "what the guard held back was released",
        Act::ResidualExplained => "what no key explains was explained",
        Act::AccountConfirmed => "another management key is of the account",
        Act::BulkReleased => "mail that was stopped was let go on",
        Act::MailSentAgain => "mail that was given up was sent again",
        Act::MailAllowed => "mail to the address is tried again",
        Act::AlertResent => "an alert was sent again",
    }
}
