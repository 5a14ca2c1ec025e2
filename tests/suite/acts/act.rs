//! One act of the table as a value, and how it is asked of the store.

use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{self, Actor, What};
use bursar_core::domain::grant::{
    Begun, Found, GaveUp, Grant, HoldKind, Minted, NotSending, Order, Person, Press, Reading, Rule, SentLimit, Stopped,
};
use bursar_core::domain::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Settings;
use bursar_core::domain::window::Window;
use bursar_core::store::items::Lease;
use bursar_core::store::{Acquired, At, By, NewPerson, NotAsRead, Outcome, Saved, StoreError, Table, Unchanged};
use bursar_local::gate::Verdict;
use jiff::{SignedDuration, Timestamp};

/// An act with everything it is told.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Begin(GrantId, Press),
    Record(GrantId, Begun, Minted),
    GiveUp(GrantId, Begun, GaveUp, Option<KeyHash>),
    Confirmed(GrantId, Order),
    Hold(GrantId, HoldKind),
    Release(GrantId, HoldKind),
    Stop(GrantId, Stopped),
    Revoke(GrantId),
    End(GrantId),
    Sweep(GrantId, Epoch, Nonce, KeyHash),
    GiveBackPlace(GrantId),
    DisableAgain(GrantId, Epoch, KeyHash),
    /// The grant was read at this version before the provider was asked.
    FoundDisabled(GrantId, u64, Epoch, KeyHash),
    FoundGone(GrantId, u64, Epoch, KeyHash),
    Purged(GrantId, Epoch, KeyHash),
    LimitConfirmed(GrantId, Order, SentLimit, Window),
    SendingLimit(GrantId, Epoch, Usd),
    HandBack(GrantId, Epoch),
    TakeEnableBack(GrantId),
    Forsaken(GrantId),
    ReadForTheLastTime(GrantId, Reading),
    Recover(GrantId, Vec<Found>),
    FollowRules(GrantId),
    Reopen(GrantId),
    SetCap(GrantId, Option<Usd>),
    Allow(GrantId),
    Create(Settings, Usd),
    Save(ProgrammeId, Settings, u64),
    SetPot(ProgrammeId, Usd),
    Close(ProgrammeId),
    Invite(ProgrammeId, Vec<NewPerson>),
    Meta,
    Acquire(&'static str),
    Renew(Lease),
    ReleaseLease(Lease),
    Note(Reading),
}

/// How an act ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// What its caller is told, and the attempt that it began.
    Said(String, Option<Begun>),
    /// The table did not do it, or did not say whether it did.
    Failed(String),
    Killed,
}

pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(15);

pub(crate) fn faculty() -> Actor {
    Actor::Person("fac0000000000000".parse().unwrap())
}

impl Act {
    /// Asks it of the store.
    pub(crate) async fn run(&self, table: &Table, now: Timestamp, deadline: Deadline) -> Ended {
        // One function with all acts would be too large for a test's stack.
        let asked = match self {
            Act::DisableAgain(..)
            | Act::FoundDisabled(..)
            | Act::FoundGone(..)
            | Act::Purged(..)
            | Act::LimitConfirmed(..)
            | Act::SendingLimit(..)
            | Act::HandBack(..)
            | Act::TakeEnableBack(_)
            | Act::Forsaken(_)
            | Act::ReadForTheLastTime(..)
            | Act::Recover(..)
            | Act::FollowRules(_)
            | Act::Reopen(_) => Box::pin(self.ask_as_the_sync(table, now, deadline)).await.map(|said| (said, None)),
            _ => Box::pin(self.ask(table, now, deadline)).await,
        };
        match asked {
            Ok((said, begun)) => Ended::Said(said, begun),
            Err(StoreError::Corrupt { kind, shape, why }) => {
                Ended::Said(format!("corrupt {kind} {shape}: {why}"), None)
            }
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    async fn ask(
        &self,
        table: &Table,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(String, Option<Begun>), StoreError> {
        let (actor, programme) = (faculty(), programme());
        let by = By { actor: &actor, now, deadline };
        let at = |grant| At { programme: &programme, grant, now, deadline };
        let said = match self {
            Act::Begin(who, press) => {
                let outcome = table.begin(at(who), *press).await?;
                let begun = if let Outcome::Done(begun) = &outcome { Some(begun.clone()) } else { None };
                return Ok((said(outcome, begun_text), begun));
            }
            Act::Record(who, begun, minted) => said(table.record(at(who), begun, minted).await?, left),
            Act::GiveUp(who, begun, how, key) => {
                said(table.give_up(at(who), begun, *how, key.as_ref(), WHY).await?, left)
            }
            Act::Confirmed(who, order) => said(table.confirmed(at(who), order).await?, left),
            Act::Hold(who, kind) => said(table.hold(at(who), *kind, &actor, Some(WHY)).await?, left),
            Act::Release(who, kind) => said(table.release(at(who), *kind, &actor).await?, left),
            Act::Stop(who, why) => said(table.stop(at(who), *why, &Actor::Student).await?, left),
            Act::Revoke(who) => said(table.revoke(at(who), &actor, Some(WHY)).await?, left),
            Act::End(who) => said(table.end(at(who), &Actor::Rule).await?, left),
            Act::Sweep(who, epoch, nonce, key) => said(table.sweep(at(who), *epoch, nonce, key).await?, left),
            Act::GiveBackPlace(who) => said(table.give_back_place(at(who)).await?, left),
            Act::SetCap(who, cap) => said(table.set_cap(at(who), *cap, &actor, Some(WHY)).await?, left),
            Act::Allow(who) => said(table.allow(at(who), &actor).await?, left),
            Act::Create(settings, pot) => {
                format!("done: {}", table.create_programme(settings.clone(), *pot, by).await?)
            }
            Act::Save(id, settings, edits) => {
                let what = What::new(audit::Act::Edited);
                saved(&table.save_settings(id, settings.clone(), *edits, what, by).await?)
            }
            Act::SetPot(id, limit) => format!("{:?}", table.set_pot(id, *limit, by).await?),
            Act::Close(id) => format!("{:?}", table.close(id, by).await?),
            Act::Invite(id, people) => format!("done: {}", table.invite(id, people, by).await?.len()),
            Act::Meta => {
                let meta = table.meta(now).await?;
                done(meta.born)
            }
            Act::Acquire(holder) => match table.acquire("jobs", holder, now, LEASE, deadline).await? {
                Acquired::Yes(lease) => acquired(&lease),
                Acquired::Busy => "busy".to_owned(),
            },
            Act::Renew(lease) => format!("{}", table.renew(lease, now + LEASE, deadline).await?),
            Act::ReleaseLease(lease) => {
                table.release_lease(lease, deadline).await?;
                "done".to_owned()
            }
            Act::Note(reading) => format!("{:?}", table.note_reading(reading, deadline).await?),
            // The sync asks it.
            _ => String::new(),
        };
        Ok((said, None))
    }

    /// What the sync asks.
    async fn ask_as_the_sync(&self, table: &Table, now: Timestamp, deadline: Deadline) -> Result<String, StoreError> {
        let (actor, programme) = (faculty(), programme());
        let at = |grant| At { programme: &programme, grant, now, deadline };
        Ok(match self {
            Act::DisableAgain(who, epoch, key) => {
                said(table.disable_again(at(who), *epoch, key, at(who).now).await?, left)
            }
            Act::FoundDisabled(who, read, epoch, key) => {
                said(table.found_disabled(at(who), *read, *epoch, key).await?, left)
            }
            Act::FoundGone(who, read, epoch, key) => said(table.found_gone(at(who), *read, *epoch, key).await?, left),
            Act::Purged(who, epoch, key) => said(table.purged(at(who), *epoch, key).await?, left),
            Act::LimitConfirmed(who, order, sent, window) => {
                said(table.limit_confirmed(at(who), order, *sent, *window).await?, left)
            }
            Act::SendingLimit(who, epoch, limit) => said(table.sending_limit(at(who), *epoch, *limit).await?, left),
            Act::HandBack(who, epoch) => said(table.hand_back(at(who), *epoch).await?, left),
            Act::TakeEnableBack(who) => said(table.take_enable_back(at(who)).await?, left),
            Act::Forsaken(who) => said(table.forsaken(at(who)).await?, left),
            Act::ReadForTheLastTime(who, reading) => said(table.read_for_the_last_time(at(who), reading).await?, left),
            Act::Recover(who, found) => said(table.recover(at(who), found, true).await?, left),
            Act::FollowRules(who) => {
                said(table.follow_rules(at(who), None).await?, |(grant, rule)| followed(grant, *rule))
            }
            Act::Reopen(who) => said(table.reopen(at(who), &actor).await?, left),
            _ => String::new(),
        })
    }

    /// The grant it is an act on.
    pub(crate) fn who(&self) -> Option<&GrantId> {
        match self {
            Act::Begin(who, ..)
            | Act::Record(who, ..)
            | Act::GiveUp(who, ..)
            | Act::Confirmed(who, ..)
            | Act::Hold(who, ..)
            | Act::Release(who, ..)
            | Act::Stop(who, ..)
            | Act::Revoke(who)
            | Act::End(who)
            | Act::Sweep(who, ..)
            | Act::GiveBackPlace(who)
            | Act::DisableAgain(who, ..)
            | Act::FoundDisabled(who, ..)
            | Act::FoundGone(who, ..)
            | Act::Purged(who, ..)
            | Act::LimitConfirmed(who, ..)
            | Act::SendingLimit(who, ..)
            | Act::HandBack(who, _)
            | Act::TakeEnableBack(who)
            | Act::Forsaken(who)
            | Act::ReadForTheLastTime(who, _)
            | Act::Recover(who, ..)
            | Act::FollowRules(who)
            | Act::Reopen(who)
            | Act::SetCap(who, ..)
            | Act::Allow(who) => Some(who),
            _ => None,
        }
    }

    /// The call that makes it happen.
    pub(crate) fn write(&self) -> &'static str {
        match self {
            Act::Meta | Act::Note(_) => "dynamodb:PutItem",
            Act::Acquire(_) | Act::Renew(_) | Act::ReleaseLease(_) => "dynamodb:UpdateItem",
            _ => "dynamodb:TransactWriteItems",
        }
    }

    /// Whether it leaves something that tells, when its answer was lost, that it happened. Marks leave nothing, and are found done.
    pub(crate) fn is_witnessed(&self) -> bool {
        self.write() == "dynamodb:TransactWriteItems" && !self.is_mark()
    }

    fn is_mark(&self) -> bool {
        matches!(
            self,
            Act::Confirmed(..)
                | Act::DisableAgain(..)
                | Act::FoundGone(..)
                | Act::SendingLimit(..)
                | Act::ReadForTheLastTime(..)
        )
    }

    /// What a write comes to that takes effect and leaves the act not knowing it: where a condition of it can tell afterwards, somebody in
    /// between sends it twice, and the table answers that the condition failed.
    pub(crate) fn unheard(&self) -> Verdict {
        match self {
            // It may be noted as often as one likes.
            Act::Note(..) => Verdict::LoseAnswer,
            _ if self.write() == "dynamodb:UpdateItem" => Verdict::LoseAnswer,
            _ => Verdict::ConditionReadBack,
        }
    }

    /// What it may say, when an answer of the table was lost, although it happened.
    pub(crate) fn may_deny(&self) -> Option<String> {
        match self {
            Act::Confirmed(..) | Act::DisableAgain(..) | Act::ReadForTheLastTime(..) => Some(refused(Unchanged)),
            Act::SendingLimit(..) => Some(refused(NotSending::NotLarger)),
            // Its own write moved the grant.
            Act::FoundGone(..) => Some(refused(NotAsRead::Moved)),
            _ => None,
        }
    }
}

pub(crate) const TABLE: &str = "bursar";
pub(super) const WHY: &str = "a reason";
pub(super) const NO_SUCH_GRANT: &str = "no such grant";

pub(crate) fn programme() -> ProgrammeId {
    ProgrammeId::of_name("CS pilot")
}

/// The id that a person's grant has in a setting: made of the first five letters of the address.
pub(crate) fn grant_of(person: &Person) -> GrantId {
    let name = person.address.as_written().split('@').next().unwrap();
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<16}")[..16].parse().unwrap()
}

fn said<T, R: std::fmt::Debug>(outcome: Outcome<T, R>, text: impl Fn(&T) -> String) -> String {
    match outcome {
        Outcome::Done(value) => done(text(&value)),
        Outcome::Refused(why) => refused(why),
        Outcome::NoSuchGrant => NO_SUCH_GRANT.to_owned(),
    }
}

// What a caller is told, as text: the store's outcomes and the rules' are compared in it.

pub(super) fn done(text: impl std::fmt::Display) -> String {
    format!("done: {text}")
}

pub(super) fn refused(why: impl std::fmt::Debug) -> String {
    format!("refused: {why:?}")
}

pub(super) fn left(grant: &Grant) -> String {
    serde_json::to_string(grant).unwrap()
}

pub(super) fn followed(grant: &Grant, rule: Rule) -> String {
    format!("{rule:?} {}", left(grant))
}

pub(super) fn begun_text(begun: &Begun) -> String {
    format!("attempt {} after {:?}", begun.epoch.number(), begun.to_retire)
}

pub(super) fn acquired(lease: &Lease) -> String {
    format!("{} has it until {} with fence {}", lease.holder, lease.until, lease.fence)
}

pub(super) fn saved(saved: &Saved) -> String {
    match saved {
        Saved::Stale(current) => format!("stale: after {} edits", current.edits),
        other => format!("{other:?}"),
    }
}
