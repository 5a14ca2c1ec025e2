//! The export of everything stored about a person, for that person: amounts as decimals, times in full,
//! history in words. It leaves out which member of staff acted, and holds secrets only as hashes.

use axum::http::header::CONTENT_TYPE;
use bursar_core::domain::audit::{Act, Entry};
use bursar_core::domain::grant::{AttemptState, Notice, Reading};
use bursar_core::domain::programme::role::Roles;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::store::{ByHand, DoneByHand, LoginRequest, MailState, OutboxRow, QueuedMail, StaffPerson};
use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use crate::prelude::*;

/// The notes on data outside the tables of the export, and how long it is stored.
const NOTES: [&str; 9] = [
    "Mails are kept for 90 days after they were written, and a request for a link for an hour.",
    "A session, a link and a code are stored as hashes only. A session ends by itself, at the latest eight hours after signing in.",
    "A roster, uploaded by the staff or put by the registrar, is kept for at most ten days, and may name you.",
    "What staff ask of the admins is kept for a month with the address of whoever asked.",
    "An event of a mail that could not be worked off is kept aside for four days, with the address that it went to.",
    "What each of your keys used of which model is kept by the pseudonym of its grant, for as long as the deployment says.",
    "An admin can have you erased; the request has your address until that is done.",
    "Sums over a programme or a group name nobody.",
    "Deleted entries leave the backups of the table after 35 days.",
];

#[derive(Serialize)]
struct StudentData {
    address: String,
    /// The address of a person with a role, in the spelling of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    address_of_staff: Option<String>,
    /// The pseudonym of a person with a role, by which the history names them.
    #[serde(skip_serializing_if = "Option::is_none")]
    person: Option<String>,
    /// All sessions of the person, the current one included.
    sessions: Vec<SessionData>,
    /// When links were asked for with this address, whoever did.
    links_asked_for: Vec<Timestamp>,
    links_good_until: Vec<Timestamp>,
    wrong_codes: u32,
    link_mails_of_the_last_hour: Vec<MailData>,
    mail_comes_back_since: Option<Timestamp>,
    mail_comes_back_because: Option<&'static str>,
    wants_digests: bool,
    wants_reminders: bool,
    /// The programmes whose settings name this address.
    roles: Vec<RoleData>,
    grants: Vec<GrantData>,
    notes: [&'static str; 9],
}

#[derive(Serialize)]
struct SessionData {
    is_this: bool,
    begun_at: Timestamp,
    ends_at: Timestamp,
}

#[derive(Serialize)]
struct RoleData {
    programme: ProgrammeId,
    role: &'static str,
}

#[derive(Serialize)]
struct GrantData {
    programme: ProgrammeId,
    programme_name: String,
    /// The pseudonym that stands for the student in keys, history and mails.
    grant: GrantId,
    address: String,
    name: Option<String>,
    id: Option<String>,
    group: Option<String>,
    cap_usd: String,
    own_cap_usd: Option<String>,
    state: &'static str,
    stopped_because: Option<Stopped>,
    holds: Vec<HoldData>,
    has_a_reservation_in_the_budget: bool,
    replacements_counted: u32,
    replacements_allowed_besides: u32,
    asked_for_more: Option<MoreData>,
    attempts: Vec<AttemptData>,
    readings: Vec<ReadingData>,
    thresholds_passed: Vec<CrossingData>,
    history: Vec<HistoryData>,
    mails: Vec<MailData>,
    /// When the use was last read anew and the roster mail last sent again, by hand.
    done_by_hand_at: Vec<Timestamp>,
}

#[derive(Serialize)]
struct MoreData {
    at: Timestamp,
    reason: String,
    cap_usd_then: String,
}

#[derive(Serialize)]
struct HoldData {
    hold: &'static str,
    reason: Option<String>,
}

#[derive(Serialize)]
struct AttemptData {
    attempt: u32,
    state: AttemptState,
    begun_at: Timestamp,
    shown_at: Option<Timestamp>,
    key_hash: Option<String>,
    limit_usd: Option<String>,
    disable_owed_since: Option<Timestamp>,
    disabled_at: Option<Timestamp>,
}

#[derive(Serialize)]
struct ReadingData {
    attempt: u32,
    used_usd: String,
    /// The UTC day on which the window began; for a cap of the whole term, the words for that.
    window: String,
    used_in_window_usd: String,
    own_provider_keys_usd: String,
    used_by_day: Vec<DayData>,
    last_used_at: Option<Timestamp>,
    as_of: Timestamp,
}

/// A threshold of the cap that was passed, in programmes that notify students of it.
#[derive(Serialize)]
struct CrossingData {
    per_cent: u8,
    of_cap_usd: String,
    /// The UTC day on which the window began; for a cap of the whole term, the words for that.
    window: String,
    used_in_window_usd: String,
    found_at: Timestamp,
    /// Whether a mail was written; the crossing of a higher threshold at once replaces it.
    is_mailed: bool,
}

#[derive(Serialize)]
struct DayData {
    day: Date,
    usd: String,
    /// Whether the figure is of this day alone, and not a share of a sum over several days.
    exact: bool,
}

pub(crate) async fn data(State(site): State<Site>, visitor: Visitor) -> Answer {
    let (now, session) = (site.clock.now(), &visitor.session);
    let mut grants = Vec::new();
    for view in my::grants_of(&site, &visitor).await? {
        grants.push(grant(&site, &view).await?);
    }
    let sign_in = site.table.sign_in_of(&session.address).await?;
    let mut link_mails = Vec::new();
    for mailed in sign_in.mailed {
        link_mails.extend(site.table.get(OutboxRow::key_of(mailed.login_request)).await?.map(mail));
    }
    let person = match &session.person {
        Some(person) => site.table.get(StaffPerson::key_of(person)).await?,
        None => None,
    };
    let asked = site.table.list(LoginRequest::of_address(&session.address)).await?;
    let mark = site.table.undeliverable(&session.address, now).await?;
    let choice = site.table.known_address(&session.address).await?;
    let data = StudentData {
        address: session.address.as_str().to_owned(),
        address_of_staff: person.map(|person| person.address.as_written().to_owned()),
        person: session.person.as_ref().map(ToString::to_string),
        sessions: site
            .table
            .sessions_of(&session.address, now)
            .await?
            .iter()
            .map(|one| SessionData {
                is_this: one.session == session.session,
                begun_at: *one.begun_at,
                ends_at: *one.ends_at,
            })
            .collect(),
        links_asked_for: asked.iter().map(|request| *request.at).collect(),
        wrong_codes: sign_in.wrong_codes,
        links_good_until: sign_in.links.iter().filter(|link| now < link.ends_at).map(|link| *link.ends_at).collect(),
        link_mails_of_the_last_hour: link_mails,
        mail_comes_back_since: mark.as_ref().map(|mark| *mark.at),
        mail_comes_back_because: mark.map(|mark| mark.why.as_str()),
        wants_digests: choice.digest,
        wants_reminders: choice.reminders,
        roles: site.table.list(Roles::of_address(&session.address)).await?.iter().flat_map(roles).collect(),
        grants,
        notes: NOTES,
    };
    Ok(([(CONTENT_TYPE, "application/json")], serde_json::to_string_pretty(&data)?).into_response())
}

async fn grant(site: &Site, view: &View) -> Result<GrantData, AppError> {
    let (grant, programme) = (&view.grant, &view.programme);
    let history = site.table.list(Entry::of_grant(&programme.id, &grant.id)).await?;
    let mails = site.table.mails_of(&programme.id, &grant.id).await?;
    let mut done_by_hand_at = Vec::new();
    for what in [ByHand::Refresh, ByHand::RosterMail] {
        let done = site.table.get(DoneByHand::key_of(&programme.id, &grant.id, what)).await?;
        done_by_hand_at.extend(done.map(|done| *done.done_at));
    }
    let crossings = site.table.list(Crossing::of_scope(&programme.id, &Scope::Cap(grant.id.clone()))).await?;
    Ok(GrantData {
        programme: programme.id.clone(),
        programme_name: programme.settings.name.clone(),
        grant: grant.id.clone(),
        address: grant.person.address.as_written().to_owned(),
        name: grant.person.name.clone(),
        id: grant.person.roster_id.clone(),
        group: grant.group.clone(),
        cap_usd: grant.cap(&programme.settings).to_string(),
        own_cap_usd: grant.own_cap.map(|cap| cap.to_string()),
        state: grant.state.as_str(),
        stopped_because: match grant.state {
            GrantState::Stopped { why } => Some(why),
            _ => None,
        },
        holds: holds(view),
        has_a_reservation_in_the_budget: grant.has_reservation,
        replacements_counted: grant.replacements,
        replacements_allowed_besides: grant.allowed,
        asked_for_more: grant.more.as_ref().map(|asked| MoreData {
            at: *asked.at,
            reason: asked.reason.clone(),
            cap_usd_then: asked.cap.to_string(),
        }),
        attempts: grant.attempts.iter().map(attempt).collect(),
        readings: view.readings.iter().map(reading).collect(),
        thresholds_passed: crossings.iter().map(crossing).collect(),
        history: history.into_iter().map(history_entry).collect(),
        mails: mails.into_iter().map(mail).collect(),
        done_by_hand_at,
    })
}

fn roles(roles: &Roles) -> Vec<RoleData> {
    let each = [("faculty", roles.faculty), ("assistant", roles.assistant), ("finance", roles.finance)].into_iter();
    let has = each.filter(|(_, has)| *has);
    has.map(|(role, _)| RoleData { programme: roles.programme.clone(), role }).collect()
}

fn holds(view: &View) -> Vec<HoldData> {
    let holds = &view.grant.holds;
    let paused = holds.paused.as_ref().map(|pause| HoldData { hold: "paused", reason: pause.why.clone() });
    let others = [("dropped from the roster", holds.dropped.is_some()), ("unused", holds.unused)].into_iter();
    let others = others.filter(|(_, is_held)| *is_held).map(|(hold, _)| HoldData { hold, reason: None });
    paused.into_iter().chain(others).collect()
}

fn attempt(attempt: &Attempt) -> AttemptData {
    let (owed, done) = match attempt.switch {
        SwitchState::On | SwitchState::OnOrdered { .. } => (None, None),
        SwitchState::OffOrdered { since } => (Some(since), None),
        SwitchState::Off { at } => (None, Some(at)),
    };
    AttemptData {
        attempt: attempt.epoch.number(),
        state: attempt.state,
        begun_at: *attempt.begun_at,
        shown_at: attempt.shown_at.as_deref().copied(),
        key_hash: attempt.key.as_ref().map(ToString::to_string),
        limit_usd: attempt.limit.map(|limit| limit.to_string()),
        disable_owed_since: owed.as_deref().copied(),
        disabled_at: done.as_deref().copied(),
    }
}

fn reading(reading: &Reading) -> ReadingData {
    ReadingData {
        attempt: reading.epoch.number(),
        used_usd: reading.lifetime().to_string(),
        window: reading.window.to_string(),
        used_in_window_usd: reading.in_window.to_string(),
        own_provider_keys_usd: reading.used.byok.total().to_string(),
        used_by_day: reading
            .used
            .credits
            .each()
            .map(|(day, usd, exact)| DayData { day, usd: usd.to_string(), exact })
            .collect(),
        last_used_at: reading.last_used_at.as_deref().copied(),
        as_of: *reading.as_of,
    }
}

fn crossing(crossing: &Crossing) -> CrossingData {
    CrossingData {
        per_cent: crossing.threshold,
        of_cap_usd: crossing.limit.to_string(),
        window: crossing.window.to_string(),
        used_in_window_usd: crossing.spent.to_string(),
        found_at: *crossing.found_at,
        is_mailed: crossing.is_mailed,
    }
}

#[derive(Serialize)]
struct HistoryData {
    at: Timestamp,
    by: &'static str,
    what: &'static str,
    from: Option<String>,
    to: Option<String>,
    note: Option<String>,
}

#[derive(Serialize)]
struct MailData {
    mail: &'static str,
    written_at: Timestamp,
    outcome: &'static str,
    outcome_at: Option<Timestamp>,
    why: Option<String>,
}

fn history_entry(entry: Entry) -> HistoryData {
    let by = match entry.by {
        Actor::Student => "you",
        Actor::Person(_) => "the staff",
        Actor::Sync => "Bursar, on what the provider says",
        Actor::Rule => "Bursar, by a rule of the programme",
        Actor::Registrar => "the registrar's file",
    };
    let what = match entry.what.act {
        Act::Begun => "asked for a key",
        Act::Shown => "was shown a key",
        Act::Refused => "an attempt to make a key was refused",
        Act::Unknown => "nobody knows whether an attempt made a key, which nobody saw",
        Act::Lost => "an attempt to make a key was overtaken",
        Act::Swept => "an attempt to make a key was cleared away",
        Act::Held => "the key was switched off, or may not be made",
        Act::Released => "the key may work again",
        Act::Stopped => "the key was ended",
        Act::Revoked => "the access to the programme was withdrawn",
        Act::Ended => "the access ended with its programme",
        Act::LimitSent => "the key's limit was set anew",
        Act::RulesSent => "the key was put under other rules",
        Act::Recovered => "keys were found that were not on record",
        Act::Purged => "a key of no use any more was deleted at the provider",
        Act::CapChanged => "the cap was changed",
        Act::ReplacementAllowed => "one more replacement was allowed",
        Act::ReservationGivenBack => "what was held for the key went back to the programme's budget",
        Act::Described => "the roster's line was changed",
        Act::Moved => "moved to another group",
        Act::MoreAsked => "asked for more",
        Act::Invited => "put on the roster",
        Act::MailAllowed => "mail to the address, which came back before, was tried again",
        Act::Created | Act::Edited | Act::BudgetChanged | Act::Closed | Act::GuardrailSet | Act::Asked => {
            "the programme was changed"
        }
        Act::SafetyLimitReleased
        | Act::TierEdited
        | Act::KeysAssigned
        | Act::KeysTakenBack
        | Act::AccountConfirmed
        | Act::MailSentAgain
        | Act::AlertResent
        | Act::RosterTokenMade
        | Act::RosterTokenEnded
        | Act::AdminAdded
        | Act::AdminRemoved
        | Act::ForeignActBegun
        | Act::ForeignActConcluded
        | Act::ErasureBegun
        | Act::Erased => "something was done that does not concern you",
    };
    HistoryData { at: *entry.at, by, what, from: entry.what.from, to: entry.what.to, note: entry.what.note }
}

fn mail(row: OutboxRow) -> MailData {
    let mail = match row.mail {
        QueuedMail::Link { .. } => "a link to sign in",
        QueuedMail::Roster { is_reminder: false, .. } => "you are on the roster",
        QueuedMail::Roster { is_reminder: true, .. } => "a reminder that you may claim a key",
        QueuedMail::FormerAddress { .. } => "your former address is not used any more",
        QueuedMail::Notice { notice, .. } => match notice {
            Notice::KeyShown => "a key of yours was shown",
            Notice::KeyLeaked => "a key of yours was reported leaked",
            Notice::Unused | Notice::TooOld => "a rule of the programme ended the use of a key",
            Notice::TermEndSoon => "the term will end, and the key with it",
            Notice::UnusedSoon | Notice::TooOldSoon => "a rule of the programme will end the use of a key",
        },
        QueuedMail::CapUsed { .. } => "how much of your cap you have used",
        QueuedMail::Alert { .. } => "an alert about a programme",
        QueuedMail::TestAlert { .. } => "a test alert that you asked for",
        QueuedMail::Request { .. } => "a request about a programme",
        QueuedMail::More { .. } => "a student's request for more",
        QueuedMail::Import { .. } => "what became of a registrar's file",
        QueuedMail::Account { .. } => "an alert about the account",
        QueuedMail::Digest { .. } => "the digest of a programme",
        QueuedMail::AccountDigest { .. } => "the digest of the account",
        QueuedMail::Statement { .. } => "the statement of a month",
    };
    let (outcome, outcome_at, why) = match row.state {
        MailState::Waiting { .. } | MailState::Sending { .. } => ("waiting", None, None),
        MailState::Sent { at, .. } => ("sent", Some(at), None),
        MailState::Delivered { at, .. } => ("delivered", Some(at), None),
        MailState::Bounced { at, .. } => ("bounced", Some(at), None),
        MailState::Complained { at, .. } => ("complained", Some(at), None),
        MailState::Dropped { why, at } => ("not owed after all", Some(at), Some(why)),
        MailState::Failed { why, at } => ("failed", Some(at), Some(why)),
    };
    MailData { mail, written_at: *row.written_at, outcome, outcome_at: outcome_at.as_deref().copied(), why }
}
