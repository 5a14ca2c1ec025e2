//! One act of the table as a value, and the call of the store that it makes.

use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{self, Actor, AuditDetail};
use bursar_core::domain::grant::{
    AttemptFailure, Change, Grant, HoldKind, MintedKey, NotAsRead, NotSending, OpenAttempt, Order, Person, Press,
    Reading, RecoveredKey, Rule, SentLimit, Stopped, Unchanged, View,
};
use bursar_core::domain::programme::Settings;
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Window;
use bursar_core::store::{
    Acquired, ActContext, ActOutcome, Author, Edit, EditOutcome, Lease, NewPerson, StoreError, Table,
};
use bursar_local::gate::Verdict;
use jiff::{SignedDuration, Timestamp};

use super::settings::settings;
use super::world::World;

/// An act with all its arguments.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Begin(GrantId, Press),
    Record(GrantId, OpenAttempt, MintedKey),
    GiveUp(GrantId, OpenAttempt, AttemptFailure, Option<KeyHash>),
    Confirmed(GrantId, Order),
    Hold(GrantId, HoldKind),
    Release(GrantId, HoldKind),
    Stop(GrantId, Stopped),
    Revoke(GrantId),
    End(GrantId),
    Sweep(GrantId, Epoch, Nonce, KeyHash),
    GiveBackPlace(GrantId),
    DisableAgain(GrantId, Epoch, KeyHash),
    /// A key that was found disabled, with the grant's version before the provider was asked.
    FoundDisabled(GrantId, u64, Epoch, KeyHash),
    FoundGone(GrantId, u64, Epoch, KeyHash),
    Purged(GrantId, Epoch, KeyHash),
    LimitConfirmed(GrantId, Order, SentLimit, Window),
    SendingLimit(GrantId, Epoch, Usd),
    HandBack(GrantId, Epoch),
    TakeEnableBack(GrantId),
    Forsaken(GrantId),
    ReadForTheLastTime(GrantId, Reading),
    Recover(GrantId, Vec<RecoveredKey>),
    FollowRules(GrantId),
    Reopen(GrantId),
    SetCap(GrantId, Option<Usd>),
    Allow(GrantId),
    Create(Settings, Usd),
    Edit(ProgrammeId, Box<Edit>),
    Close(ProgrammeId),
    Invite(ProgrammeId, Vec<NewPerson>),
    Meta,
    Acquire(&'static str),
    Renew(Lease),
    ReleaseLease(Lease),
    Note(Reading),
}

/// The end of an act.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    /// What its caller gets, as text, and the attempt that it began.
    Said(String, Option<OpenAttempt>),
    /// The table refused the write, or did not answer whether it took it.
    Failed(String),
    Killed,
}

pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(15);

pub(crate) fn faculty() -> Actor {
    Actor::Person("fac0000000000000".parse().unwrap())
}

impl Act {
    /// Makes the call of the store.
    pub(crate) async fn run(&self, table: &Table, now: Timestamp, deadline: Deadline) -> Ended {
        let programme = programme();
        let at = |grant| ActContext { programme: &programme, grant, now, deadline };
        let asked = match self {
            Act::FollowRules(who) => Box::pin(follow_rules(table, at(who))).await,
            _ => match self.who() {
                Some(who) => Box::pin(self.decide(table, at(who))).await,
                None => Box::pin(self.ask(table, now, deadline)).await.map(|said| (said, None)),
            },
        };
        match asked {
            Ok((said, begun)) => Ended::Said(said, begun),
            Err(StoreError::Corrupt { kind, shape, why }) => {
                Ended::Said(format!("corrupt {kind} {shape}: {why}"), None)
            }
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    /// An act on a grant, as its rule decides.
    async fn decide(&self, table: &Table, at: ActContext<'_>) -> Result<(String, Option<OpenAttempt>), StoreError> {
        let outcome = table.act(at, |view, now| self.rule(view, Nonce::random(), now)).await?;
        Ok(match outcome {
            ActOutcome::Done((said, begun)) => (done(said), begun),
            ActOutcome::Refused(why) => (why, None),
            ActOutcome::NoSuchGrant => (NO_SUCH_GRANT.to_owned(), None),
        })
    }

    /// What the domain decides, what the caller then gets, and the attempt that begins.
    pub(super) fn rule(
        &self,
        view: &View,
        nonce: Nonce,
        now: Timestamp,
    ) -> Result<(Change, (String, Option<OpenAttempt>)), String> {
        let by = &faculty();
        let why = Some(WHY);
        let change = match self {
            Act::Begin(_, press) => {
                let (change, begun) = view.begin(*press, nonce, now).map_err(refused)?;
                return Ok((change, (begun_text(&begun), Some(begun))));
            }
            Act::Release(_, kind) => view.release(*kind, by, now).map_err(refused),
            Act::Record(_, begun, minted) => view.record(begun, minted, now).map_err(refused),
            Act::GiveUp(_, begun, how, key) => view.give_up(begun, *how, key.as_ref(), WHY, now).map_err(refused),
            Act::Confirmed(_, order) => view.confirmed(order, now).map_err(refused),
            Act::Hold(_, kind) => view.hold(*kind, by, why, now).map_err(refused),
            Act::Stop(_, stopped) => view.stop(*stopped, &Actor::Student, now).map_err(refused),
            Act::Revoke(_) => view.revoke(by, why, now).map_err(refused),
            Act::End(_) => view.end(&Actor::Rule, now).map_err(refused),
            Act::Sweep(_, epoch, nonce, key) => view.sweep(*epoch, nonce, key, now).map_err(refused),
            Act::DisableAgain(_, epoch, key) => view.disable_again(*epoch, key, now, now).map_err(refused),
            Act::FoundDisabled(_, read, epoch, key) => view.found_disabled(*read, *epoch, key, now).map_err(refused),
            Act::FoundGone(_, read, epoch, key) => view.found_gone(*read, *epoch, key, now).map_err(refused),
            Act::Purged(_, epoch, key) => view.purged(*epoch, key, now).map_err(refused),
            Act::LimitConfirmed(_, order, sent, window) => {
                view.limit_confirmed(order, *sent, *window, now).map_err(refused)
            }
            Act::SendingLimit(_, epoch, limit) => view.sending_limit(*epoch, *limit, now).map_err(refused),
            Act::HandBack(_, epoch) => view.hand_back(*epoch, now).map_err(refused),
            Act::TakeEnableBack(_) => view.take_enable_back(now).map_err(refused),
            Act::Forsaken(_) => view.close_abandoned(now).map_err(refused),
            Act::ReadForTheLastTime(_, reading) => view.read_for_the_last_time(reading).map_err(refused),
            Act::Recover(_, found) => view.recover(found, true, now).map_err(refused),
            Act::Reopen(_) => view.reopen(by, now).map_err(refused),
            Act::GiveBackPlace(_) => view.give_back_place(now).map_err(refused),
            Act::SetCap(_, cap) => view.set_cap(*cap, by, why, now).map_err(refused),
            Act::Allow(_) => view.allow(by).map_err(refused),
            _ => Err("not an act on a grant, or one that reads more than it".to_owned()),
        }?;
        let said = left(change.grant());
        Ok((change, (said, None)))
    }

    /// An act that is not on a grant.
    async fn ask(&self, table: &Table, now: Timestamp, deadline: Deadline) -> Result<String, StoreError> {
        let actor = faculty();
        let by = Author { actor: &actor, now, deadline };
        Ok(match self {
            Act::Create(settings, pot) => {
                format!("done: {}", table.create_programme(settings.clone(), *pot, by).await?)
            }
            Act::Edit(id, edit) => saved(&table.edit(id, edit, by).await?),
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
            _ => "an act on a grant".to_owned(),
        })
    }

    /// The edit of settings by somebody who has seen this version.
    pub(crate) fn save(settings: Settings, version: u64) -> Act {
        Act::Edit(programme(), Box::new(Edit::of_settings(settings, version, AuditDetail::new(audit::Act::Edited))))
    }

    /// The edit of the pot by somebody who has seen it.
    pub(crate) fn set_pot(world: &World, limit: Usd) -> Act {
        let (seen, pot) = (world.programmes.get(&programme()), world.pots.get(&programme()));
        let settings = seen.map_or_else(|| settings("CS pilot"), |seen| seen.settings.clone());
        let edit =
            Edit::of_settings(settings, seen.map_or(1, |seen| seen.version), AuditDetail::new(audit::Act::Edited));
        let was = pot.map_or(Usd::from_dollars(100), |pot| pot.limit);
        Act::Edit(programme(), Box::new(Edit { pot: Some((was, limit)), ..edit }))
    }

    /// The grant that it is an act on, if any.
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

    /// The name of the call that commits it.
    pub(crate) fn write(&self) -> &'static str {
        match self {
            Act::Meta | Act::Note(_) => "dynamodb:PutItem",
            Act::Acquire(_) | Act::Renew(_) | Act::ReleaseLease(_) => "dynamodb:UpdateItem",
            _ => "dynamodb:TransactWriteItems",
        }
    }

    /// Whether the table shows that it happened after its answer was lost. Marks leave no such evidence, and
    /// are found done.
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

    /// The verdict for a write that takes effect while its act does not learn it. Where a condition can show
    /// that it happened, the write is sent twice, and the table answers that the condition failed.
    pub(crate) fn unheard(&self) -> Verdict {
        match self {
            // Repeating a note does no harm.
            Act::Note(..) => Verdict::LoseAnswer,
            _ if self.write() == "dynamodb:UpdateItem" => Verdict::LoseAnswer,
            _ => Verdict::ConditionReadBack,
        }
    }

    /// The refusal that its caller may get when an answer of the table was lost, although it happened.
    pub(crate) fn may_deny(&self) -> Option<String> {
        match self {
            Act::Confirmed(..) | Act::DisableAgain(..) | Act::ReadForTheLastTime(..) => Some(refused(Unchanged)),
            Act::SendingLimit(..) => Some(refused(NotSending::NotLarger)),
            // Its own write changed the grant's version.
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

/// The id that a person's grant has in a setting, made of the first five letters of the address.
pub(crate) fn grant_of(person: &Person) -> GrantId {
    let name = person.address.as_written().split('@').next().unwrap();
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<16}")[..16].parse().unwrap()
}

/// The one act on a grant that reads more than its view.
async fn follow_rules(table: &Table, at: ActContext<'_>) -> Result<(String, Option<OpenAttempt>), StoreError> {
    let said = match table.follow_rules(at, None).await? {
        ActOutcome::Done((grant, rule)) => done(followed(&grant, rule)),
        ActOutcome::Refused(why) => refused(why),
        ActOutcome::NoSuchGrant => NO_SUCH_GRANT.to_owned(),
    };
    Ok((said, None))
}

// Outcomes as text, in which those of the store and those of the rules are compared.

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

pub(super) fn begun_text(begun: &OpenAttempt) -> String {
    format!("attempt {} after {:?}", begun.epoch.number(), begun.to_retire)
}

pub(super) fn acquired(lease: &Lease) -> String {
    format!("{} has it until {} with fence {}", lease.holder, lease.until, lease.fence)
}

pub(super) fn saved(saved: &EditOutcome) -> String {
    match saved {
        EditOutcome::Stale(current) => format!("stale: version {}, with {}", current.0.version, current.1),
        other => format!("{other:?}"),
    }
}
