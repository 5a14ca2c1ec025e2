//! The export of everything stored about a person, for that person: amounts as decimals, times in
//! full, history in words. It leaves out which member of staff acted, and holds secrets only as
//! hashes.

use serde_json::{Value, json};

use crate::clock::Moment;
use crate::domain::audit::{Actor, AuditDetail, AuditEntry};
use crate::domain::grant::{
    Grant, GrantKey, GrantState, Holds, MoreRequest, Person, Reading, View,
};
use crate::domain::programme::role::Roles;
use crate::domain::sign_in::{Session, SignIn};
use crate::domain::sign_on::SignOnBinding;
use crate::domain::usage::crossing::{Crossing, Scope};
use crate::domain::values::address::MatchedAddress;
use crate::store::{
    AccessEntry, ByHand, DoneByHand, KnownAddress, LoginRequest, MailState, OutboxRow, Result,
    RetentionHold, StaffPerson, Table, Whose,
};

/// Takes what is stored apart, into what is shown of it and what is not: a field that is new asks
/// the compiler.
macro_rules! take_apart {
    ($stored:ident: $($shown:ident)*, without $($hidden:ident)* = $value:expr) => {
        let $stored { $($shown,)* $($hidden: _),* } = $value;
    };
}

/// The notes on data outside the tables of the export, and how long it is stored.
const NOTES: [&str; 10] = [
    "Mails are kept for at most 90 days after they were written, and a request for a link for an hour.",
    "A session, a link and a code are stored as hashes only. A session ends by itself, at the latest eight hours after signing in.",
    "Of people with a role each sign-in, and each file with names that they were given, is kept for 90 days, with the network address.",
    "A roster, uploaded by the staff or put by the registrar, is kept for at most ten days, and what it changed for eight more; both may name you.",
    "A mail in which faculty ask the admins for something is kept for a month, with the addresses of the people whom it is about.",
    "An event of a mail that could not be worked off is kept aside for four days, with the address that it went to.",
    "What each of your keys used of which model is kept by its random name, for as long as the deployment says.",
    "An admin can have you erased; the request has your address until that is done.",
    "Sums over a programme or a group name nobody.",
    "Deleted entries leave the backups of the table after 35 days.",
];

impl Table {
    /// Everything that is stored about the person of an address, with these grants; `session` is
    /// the one in which they read it themselves.
    pub async fn export_person(
        &self,
        address: &MatchedAddress,
        views: &[(View, Whose)],
        session: Option<&Session>,
        now: Moment,
    ) -> Result<Value> {
        let mut grants = Vec::new();
        for (view, whose) in views {
            let mut value = grant(self, view).await?;
            if *whose != Whose::Persons {
                value["may_be_another_persons"] = json!(true);
            }
            grants.push(value);
        }
        let sign_in = self.sign_in_of(address).await?;
        take_apart!(SignIn: address links mailed wrong_codes, without generation issued_links unfollowed last_mailed_at written_at sessions version = sign_in);
        let mut link_mails = Vec::new();
        for mailed in mailed {
            link_mails.extend(
                self.get(OutboxRow::key_of(mailed.login_request))
                    .await?
                    .map(mail),
            );
        }
        let sessions = self.sessions_of(&address, now).await?;
        let login_requests = self.list(LoginRequest::of_address(&address)).await?;
        let mark = self.undeliverable(&address, now).await?;
        let known_address = self.address_record(&address).await?;
        take_apart!(KnownAddress: person digest reminders, without address bound version = known_address);
        let binding = self.find_binding(&address).await?;
        let mut staff_person = None;
        let mut accesses = Vec::new();
        if let Some(person) = &person {
            staff_person = self.get(StaffPerson::key_of(person)).await?;
            accesses = self.accesses(now).await?;
            accesses.retain(|access| access.audit_entry.actor == Actor::Person(person.clone()));
        }
        let roles = self.list(Roles::of_address(&address)).await?;
        let hold = self.retention_hold(&address).await?;
        Ok(json!({
            "address": address,
            // The address of a person with a role in the spelling of the settings, and the
            // pseudonym by which the history names them.
            "address_of_staff": staff_person.map(|staff_person| staff_person.address),
            "person": person,
            "sessions": to_list(sessions, |stored_session| {
                let is_this = session.is_some_and(|session| stored_session.session == session.session);
                take_apart!(Session: begun_at ends_at method, without session address generation person used_at = stored_session);
                json!({"is_this": is_this, "begun_at": *begun_at, "ends_at": *ends_at, "by": method.as_str()})
            }),
            // Of people with a role.
            "sign_ins_and_files": to_list(accesses, |access| {
                take_apart!(AccessEntry: audit_entry source, without = access);
                let mut value = history_entry(audit_entry);
                value["by"] = json!("you");
                value["from_network_address"] = json!(source);
                value
            }),
            // By whoever asked for one with this address.
            "links_asked_for": to_list(&login_requests, |request| json!(*request.asked_at)),
            "links_good_until": to_list(links.iter().filter(|link| now < link.ends_at), |link| json!(*link.ends_at)),
            "wrong_codes": wrong_codes,
            "link_mails_of_the_last_hour": link_mails,
            "mail_comes_back_since": mark.as_ref().map(|mark| *mark.marked_at),
            "mail_comes_back_because": mark.map(|mark| mark.why.as_str()),
            "sign_on": binding.map(|binding| {
                take_apart!(SignOnBinding: proof bound_at, without identity address = binding);
                json!({"connected_at": *bound_at, "how": proof})
            }),
            "wants_digests": digest,
            "wants_reminders": reminders,
            "roles": roles.iter().flat_map(roles_on).collect::<Vec<_>>(),
            "kept_from_erasure": hold.map(|hold| {
                take_apart!(RetentionHold: held_at, without address reason = hold);
                json!({"since": *held_at})
            }),
            "grants": grants,
            "notes": NOTES,
        }))
    }
}

fn to_list<T>(list: impl IntoIterator<Item = T>, to_value: impl Fn(T) -> Value) -> Vec<Value> {
    list.into_iter().map(to_value).collect()
}

async fn grant(table: &Table, view: &View) -> Result<Value> {
    let programme = &view.programme;
    // What is hidden is how a claim is made once, what a job did last, and what the provider is
    // still to be told.
    take_apart!(Grant: id person group own_cap state holds has_reservation replacements allowed stage keys lost more_request, without programme
        state_since lease epoch begun_at counted_at job entries due_at provider_agrees ends_since backoff version = &view.grant);
    take_apart!(Person: address name roster_id, without = person);
    let history = table
        .list_known(AuditEntry::of_grant(&programme.id, id))
        .await?;
    let mails = table.mails_of(&programme.id, id).await?;
    let mut by_hand = Vec::new();
    for what in [ByHand::Refresh, ByHand::RosterMail] {
        let done = table
            .get(DoneByHand::key_of(&programme.id, id, what))
            .await?;
        by_hand.extend(done.map(|done| *done.done_at));
    }
    let crossings = table
        .list(Crossing::of_scope(&programme.id, &Scope::Cap(id.clone())))
        .await?;
    let stopped_because = match state {
        GrantState::Stopped { why } => Some(why),
        GrantState::Invited | GrantState::Live { .. } | GrantState::Revoked | GrantState::Ended => {
            None
        }
    };
    Ok(json!({
        "programme": programme.id,
        "programme_name": programme.settings.name,
        // The pseudonym that stands for the student in keys, history and mails.
        "grant": id,
        "address": address,
        // Hashes of those that passed to somebody else.
        "former_addresses": lost,
        "name": name,
        "id": roster_id,
        "group": group,
        "cap_usd": view.grant.cap(&programme.settings).to_string(),
        "own_cap_usd": own_cap.map(|cap| cap.to_string()),
        "state": state.as_str(),
        "stage": stage,
        "stopped_because": stopped_because,
        "holds": holds_to_value(holds),
        "has_a_reservation_in_the_budget": has_reservation,
        "replacements_counted": replacements,
        "replacements_allowed_besides": allowed,
        "asked_for_more": more_request.as_ref().map(|request| {
            take_apart!(MoreRequest: asked_at reason cap wanted_cap declined, without = request);
            let asked_for = wanted_cap.map(|wanted_cap| wanted_cap.to_string());
            json!({"at": **asked_at, "reason": reason, "cap_usd_then": cap.to_string(), "cap_usd_asked_for": asked_for, "declined_because": declined})
        }),
        "keys": to_list(keys, key),
        "readings": to_list(&view.readings, reading),
        // Thresholds of the cap, in programmes that tell students of them.
        "thresholds_passed": to_list(&crossings, crossing_to_value),
        "history": to_list(history, history_entry),
        "mails": to_list(mails, mail),
        // When the use was last read anew and the roster mail last sent again.
        "done_by_hand_at": by_hand,
    }))
}

fn roles_on(roles: &Roles) -> Vec<Value> {
    take_apart!(Roles: programme faculty assistant finance, without address = roles);
    let has = [
        ("faculty", faculty),
        ("assistant", assistant),
        ("finance", finance),
    ]
    .into_iter()
    .filter(|(_, has)| **has);
    to_list(
        has,
        |(role, _)| json!({"programme": programme, "role": role}),
    )
}

fn holds_to_value(holds: &Holds) -> Vec<Value> {
    take_apart!(Holds: paused dropped unused, without dropped_by = holds);
    let paused = paused
        .as_ref()
        .map(|pause| json!({"hold": "paused", "reason": pause.why}));
    let other_holds = [
        ("dropped from the roster", dropped.is_some()),
        ("unused", *unused),
    ]
    .into_iter();
    let other_holds = other_holds
        .filter(|(_, is_held)| *is_held)
        .map(|(hold, _)| json!({"hold": hold, "reason": null}));
    paused.into_iter().chain(other_holds).collect()
}

fn key(key: &GrantKey) -> Value {
    take_apart!(GrantKey: epoch hash label made_at expires_at enabled limit shown_at gone, without guardrail resumed_at announced final_reading
        missing_since = key);
    json!({
        "key": epoch.number(),
        "hash": hash,
        "label": label,
        "made_at": **made_at,
        "expires_at": expires_at.as_deref(),
        // Nobody sees a key that was never shown, which is switched off.
        "shown_at": shown_at.as_deref(),
        "limit_usd": limit.known().map(ToString::to_string),
        "may_be_on": gone.is_none() && enabled.may_be(&true),
        "off_since": enabled.since(&false).as_deref(),
    })
}

fn reading(reading: &Reading) -> Value {
    take_apart!(Reading: epoch used last_used_at as_of, without programme grant unchanged_until = reading);
    json!({
        "key": epoch.number(),
        "used_usd": used.credits.total().to_string(),
        "own_provider_keys_usd": used.byok.total().to_string(),
        // A figure that is not exact is a share of a sum over several days.
        "used_by_day": to_list(used.credits.each(), |(day, usd, exact)| {
            json!({"day": day, "usd": usd.to_string(), "exact": exact})
        }),
        "last_used_at": last_used_at.as_deref(),
        "as_of": **as_of,
    })
}

fn crossing_to_value(crossing: &Crossing) -> Value {
    take_apart!(Crossing: window limit threshold spent found_at is_mailed, without programme scope = crossing);
    json!({
        "per_cent": threshold,
        "of_cap_usd": limit.to_string(),
        "window": window.to_string(),
        "used_in_window_usd": spent.to_string(),
        "found_at": **found_at,
        // The crossing of a higher threshold at once replaces the mail.
        "is_mailed": is_mailed,
    })
}

fn history_entry(audit_entry: AuditEntry) -> Value {
    take_apart!(AuditEntry: recorded_at actor what, without programme grant entry = audit_entry);
    let words = what.words().map(str::to_owned);
    take_apart!(AuditDetail: act old_value new_value, without note reason = what);
    let actor_name = match actor {
        Actor::Student => "you",
        Actor::Person(_) => "the staff",
        Actor::Sync => "Bursar, from what OpenRouter reports",
        Actor::Rule => "Bursar, by a rule of the programme",
        Actor::Registrar => "the registrar's file",
    };
    json!({"at": *recorded_at, "by": actor_name, "what": act.to_words(), "from": old_value, "to": new_value, "note": words})
}

/// What became of a mail, and since when that is known.
struct Outcome {
    words: &'static str,
    known_at: Option<Moment>,
    why: Option<String>,
}

impl Outcome {
    fn new(words: &'static str, known_at: Moment) -> Outcome {
        Outcome {
            words,
            known_at: Some(known_at),
            why: None,
        }
    }
}

fn mail(row: OutboxRow) -> Value {
    take_apart!(OutboxRow: state written_at mail, without row class tries again_at version sent_on = row);
    let handed_on = state
        .handed_to()
        .map(|server| format!("handed to {server}"));
    let Outcome {
        words,
        known_at,
        why,
    } = match state {
        MailState::Waiting { .. } | MailState::Planned { .. } | MailState::Sending { .. } => {
            Outcome {
                words: "waiting",
                known_at: None,
                why: None,
            }
        }
        MailState::Sent { sent_at, .. } => Outcome::new("sent", sent_at),
        MailState::Delivered { event_at, .. } => Outcome::new("delivered", event_at),
        MailState::Bounced { event_at, .. } => Outcome::new("bounced", event_at),
        MailState::Complained { event_at, .. } => Outcome::new("complained", event_at),
        MailState::Dropped { why, ended_at } => Outcome {
            why: Some(why),
            ..Outcome::new("not owed after all", ended_at)
        },
        MailState::Failed { why, ended_at } => Outcome {
            why: Some(why),
            ..Outcome::new("failed", ended_at)
        },
    };
    let mail = mail.facts().words;
    json!({"mail": mail, "written_at": *written_at, "outcome": handed_on.as_deref().unwrap_or(words), "outcome_at": known_at.as_deref(), "why": why})
}
