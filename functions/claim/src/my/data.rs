//! The export of everything stored about a person, for that person: amounts as decimals, times in full,
//! history in words. It leaves out which member of staff acted, and holds secrets only as hashes.

use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use bursar_core::domain::audit::Entry;
use bursar_core::domain::grant::{Key, Reading};
use bursar_core::domain::programme::role::Roles;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::store::{ByHand, DoneByHand, LoginRequest, MailState, OutboxRow, StaffPerson};
use serde_json::{Value, json};

use crate::prelude::*;

/// The notes on data outside the tables of the export, and how long it is stored.
const NOTES: [&str; 9] = [
    "Mails are kept for at most 90 days after they were written, and a request for a link for an hour.",
    "A session, a link and a code are stored as hashes only. A session ends by itself, at the latest eight hours after signing in.",
    "A roster, uploaded by the staff or put by the registrar, is kept for at most ten days, and what it changed for eight more; both may name you.",
    "What faculty ask of the admins is kept for a month, with the addresses of the people whom it is about.",
    "An event of a mail that could not be worked off is kept aside for four days, with the address that it went to.",
    "What each of your keys used of which model is kept by its random name, for as long as the deployment says.",
    "An admin can have you erased; the request has your address until that is done.",
    "Sums over a programme or a group name nobody.",
    "Deleted entries leave the backups of the table after 35 days.",
];

pub(crate) async fn data(State(site): State<Site>, visitor: Visitor) -> Answer {
    let (now, session, table) = (site.clock.now(), &visitor.session, &site.table);
    let mut grants = Vec::new();
    for view in my::grants_of(&site, &visitor).await? {
        grants.push(grant(&site, &view).await?);
    }
    let sign_in = table.sign_in_of(&session.address).await?;
    let mut link_mails = Vec::new();
    for mailed in sign_in.mailed {
        link_mails.extend(table.get(OutboxRow::key_of(mailed.login_request)).await?.map(mail));
    }
    let person = match &session.person {
        Some(person) => table.get(StaffPerson::key_of(person)).await?,
        None => None,
    };
    let sessions = table.sessions_of(&session.address, now).await?;
    let asked = table.list(LoginRequest::of_address(&session.address)).await?;
    let mark = table.undeliverable(&session.address, now).await?;
    let choice = table.known_address(&session.address).await?;
    let roles = table.list(Roles::of_address(&session.address)).await?;
    let data = json!({
        "address": session.address,
        // The address of a person with a role in the spelling of the settings, and the pseudonym by which the history names them.
        "address_of_staff": person.map(|person| person.address),
        "person": session.person,
        "sessions": each(&sessions, |one| json!({
            "is_this": one.session == session.session,
            "begun_at": *one.begun_at,
            "ends_at": *one.ends_at,
        })),
        // By whoever asked for one with this address.
        "links_asked_for": each(&asked, |request| json!(*request.at)),
        "links_good_until": each(sign_in.links.iter().filter(|link| now < link.ends_at), |link| json!(*link.ends_at)),
        "wrong_codes": sign_in.wrong_codes,
        "link_mails_of_the_last_hour": link_mails,
        "mail_comes_back_since": mark.as_ref().map(|mark| *mark.at),
        "mail_comes_back_because": mark.map(|mark| mark.why.as_str()),
        "wants_digests": choice.digest,
        "wants_reminders": choice.reminders,
        "roles": roles.iter().flat_map(roles_on).collect::<Vec<_>>(),
        "grants": grants,
        "notes": NOTES,
    });
    let name = "attachment; filename=\"bursar-my-data.json\"";
    let headers = [(CONTENT_TYPE, "application/json"), (CONTENT_DISPOSITION, name)];
    Ok(Reply::file(headers, serde_json::to_string_pretty(&data)?))
}

fn each<T>(list: impl IntoIterator<Item = T>, one: impl Fn(T) -> Value) -> Vec<Value> {
    list.into_iter().map(one).collect()
}

async fn grant(site: &Site, view: &View) -> Result<Value, AppError> {
    let (grant, programme) = (&view.grant, &view.programme);
    let history = site.table.list_known(Entry::of_grant(&programme.id, &grant.id)).await?;
    let mails = site.table.mails_of(&programme.id, &grant.id).await?;
    let mut by_hand = Vec::new();
    for what in [ByHand::Refresh, ByHand::RosterMail] {
        let done = site.table.get(DoneByHand::key_of(&programme.id, &grant.id, what)).await?;
        by_hand.extend(done.map(|done| *done.done_at));
    }
    let crossings = site.table.list(Crossing::of_scope(&programme.id, &Scope::Cap(grant.id.clone()))).await?;
    let stopped_because = match grant.state {
        GrantState::Stopped { why } => Some(why),
        _ => None,
    };
    Ok(json!({
        "programme": programme.id,
        "programme_name": programme.settings.name,
        // The pseudonym that stands for the student in keys, history and mails.
        "grant": grant.id,
        "address": grant.person.address,
        "name": grant.person.name,
        "id": grant.person.roster_id,
        "group": grant.group,
        "cap_usd": grant.cap(&programme.settings).to_string(),
        "own_cap_usd": grant.own_cap.map(|cap| cap.to_string()),
        "state": grant.state.as_str(),
        "stopped_because": stopped_because,
        "holds": holds(view),
        "has_a_reservation_in_the_budget": grant.has_reservation,
        "replacements_counted": grant.replacements,
        "replacements_allowed_besides": grant.allowed,
        "asked_for_more": grant.more.as_ref().map(|asked| {
            json!({"at": *asked.at, "reason": asked.reason, "cap_usd_then": asked.cap.to_string()})
        }),
        "keys": each(&grant.keys, key),
        "readings": each(&view.readings, reading),
        // Thresholds of the cap, in programmes that tell students of them.
        "thresholds_passed": each(&crossings, crossing),
        "history": each(history, history_entry),
        "mails": each(mails, mail),
        // When the use was last read anew and the roster mail last sent again.
        "done_by_hand_at": by_hand,
    }))
}

fn roles_on(roles: &Roles) -> Vec<Value> {
    let all = [("faculty", roles.faculty), ("assistant", roles.assistant), ("finance", roles.finance)].into_iter();
    let has = all.filter(|(_, has)| *has);
    each(has, |(role, _)| json!({"programme": roles.programme, "role": role}))
}

fn holds(view: &View) -> Vec<Value> {
    let holds = &view.grant.holds;
    let paused = holds.paused.as_ref().map(|pause| json!({"hold": "paused", "reason": pause.why}));
    let others = [("dropped from the roster", holds.dropped.is_some()), ("unused", holds.unused)].into_iter();
    let others = others.filter(|(_, is_held)| *is_held).map(|(hold, _)| json!({"hold": hold, "reason": null}));
    paused.into_iter().chain(others).collect()
}

fn key(key: &Key) -> Value {
    json!({
        "key": key.epoch.number(),
        "hash": key.hash,
        "made_at": *key.made_at,
        // Nobody sees a key that was never shown, which is switched off.
        "shown_at": key.shown_at.as_deref(),
        "limit_usd": key.limit.known().map(ToString::to_string),
        "may_be_on": key.gone.is_none() && key.on.may_be(&true),
        "off_since": key.on.since(&false).as_deref(),
    })
}

fn reading(reading: &Reading) -> Value {
    json!({
        "key": reading.epoch.number(),
        "used_usd": reading.lifetime().to_string(),
        "own_provider_keys_usd": reading.used.byok.total().to_string(),
        // A figure that is not exact is a share of a sum over several days.
        "used_by_day": each(reading.used.credits.each(), |(day, usd, exact)| {
            json!({"day": day, "usd": usd.to_string(), "exact": exact})
        }),
        "last_used_at": reading.last_used_at.as_deref(),
        "as_of": *reading.as_of,
    })
}

fn crossing(crossing: &Crossing) -> Value {
    json!({
        "per_cent": crossing.threshold,
        "of_cap_usd": crossing.limit.to_string(),
        "window": crossing.window.to_string(),
        "used_in_window_usd": crossing.spent.to_string(),
        "found_at": *crossing.found_at,
        // The crossing of a higher threshold at once replaces the mail.
        "is_mailed": crossing.is_mailed,
    })
}

fn history_entry(entry: Entry) -> Value {
    let by = match entry.by {
        Actor::Student => "you",
        Actor::Person(_) => "the staff",
        Actor::Sync => "Bursar, from what OpenRouter reports",
        Actor::Rule => "Bursar, by a rule of the programme",
        Actor::Registrar => "the registrar's file",
    };
    let what = entry.what;
    json!({"at": *entry.at, "by": by, "what": what.act.in_words(), "from": what.from, "to": what.to, "note": what.words()})
}

fn mail(row: OutboxRow) -> Value {
    let (outcome, at, why) = match row.state {
        MailState::Waiting { .. } | MailState::Sending { .. } => ("waiting", None, None),
        MailState::Sent { at, .. } => ("sent", Some(at), None),
        MailState::Delivered { at, .. } => ("delivered", Some(at), None),
        MailState::Bounced { at, .. } => ("bounced", Some(at), None),
        MailState::Complained { at, .. } => ("complained", Some(at), None),
        MailState::Dropped { why, at } => ("not owed after all", Some(at), Some(why)),
        MailState::Failed { why, at } => ("failed", Some(at), Some(why)),
    };
    let (mail, at) = (row.mail.facts().words, at.as_deref().copied());
    json!({"mail": mail, "written_at": *row.written_at, "outcome": outcome, "outcome_at": at, "why": why})
}
