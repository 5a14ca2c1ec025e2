//! One act of the table as a value: how it is asked of the store, and what the rules say it may come to.

use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::{self, Actor, Entry, What};
use bursar_core::domain::grant::{
    Begun, Change, Debt, GaveUp, Grant, HoldKind, Minted, Person, Press, Reading, Stopped, View,
};
use bursar_core::domain::id::{Epoch, GrantId, Nonce, ProgrammeId};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::{Pot, Programme, Settings};
use bursar_core::store::items::{Enrolment, Lease, MailClass, Meta, OwedMail};
use bursar_core::store::{Acquired, At, By, Closed, NewPerson, Noted, Outcome, PotSet, Saved, StoreError, Table};
use jiff::{SignedDuration, Timestamp};

use super::world::World;

/// An act with everything it is told.
#[derive(Debug, Clone)]
pub(crate) enum Act {
    Begin(GrantId, Press),
    Record(GrantId, Begun, Minted),
    GiveUp(GrantId, Begun, GaveUp, Option<KeyHash>),
    Disabled(GrantId, Debt),
    Hold(GrantId, HoldKind),
    Release(GrantId, HoldKind),
    Stop(GrantId, Stopped),
    Revoke(GrantId),
    End(GrantId),
    Sweep(GrantId, Epoch, KeyHash),
    GiveBackPlace(GrantId),
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

/// What an act may come to: what its caller is told, and the table if it wrote.
#[derive(Debug, Clone)]
pub(crate) struct Legal {
    pub(crate) said: String,
    pub(crate) after: Option<World>,
    /// Begun by this act, for whoever goes on from there.
    pub(crate) begun: Option<Begun>,
}

/// How an act ended.
#[derive(Debug, Clone)]
pub(crate) enum Ended {
    Said(String),
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
        match self.ask(table, now, deadline).await {
            Ok(said) => Ended::Said(said),
            Err(StoreError::Corrupt { kind, shape, why }) => Ended::Said(format!("corrupt {kind} {shape}: {why}")),
            Err(error) => Ended::Failed(error.to_string()),
        }
    }

    async fn ask(&self, table: &Table, now: Timestamp, deadline: Deadline) -> Result<String, StoreError> {
        let (actor, programme) = (faculty(), programme());
        let by = By { actor: &actor, now, deadline };
        let at = |grant| At { programme: &programme, grant, now, deadline };
        let said = match self {
            Act::Begin(who, press) => said(table.begin(at(who), *press).await?, |begun| begun_text(&begun)),
            Act::Record(who, begun, minted) => said(table.record(at(who), begun, minted).await?, left),
            Act::GiveUp(who, begun, how, key) => {
                said(table.give_up(at(who), begun, *how, key.as_ref(), WHY).await?, left)
            }
            Act::Disabled(who, debt) => said(table.disabled(at(who), debt).await?, left),
            Act::Hold(who, kind) => said(table.hold(at(who), *kind, &actor, Some(WHY)).await?, left),
            Act::Release(who, kind) => said(table.release(at(who), *kind, &actor).await?, enabling),
            Act::Stop(who, why) => said(table.stop(at(who), *why, &Actor::Student).await?, left),
            Act::Revoke(who) => said(table.revoke(at(who), &actor, Some(WHY)).await?, left),
            Act::End(who) => said(table.end(at(who), &Actor::Rule).await?, left),
            Act::Sweep(who, epoch, key) => said(table.sweep(at(who), *epoch, key).await?, left),
            Act::GiveBackPlace(who) => said(table.give_back_place(at(who)).await?, left),
            Act::SetCap(who, cap) => said(table.set_cap(at(who), *cap, &actor, Some(WHY)).await?, left),
            Act::Allow(who) => said(table.allow(at(who), &actor).await?, left),
            Act::Create(settings, pot) => {
                format!("done: {}", table.create_programme(settings.clone(), *pot, by).await?)
            }
            Act::Save(id, settings, version) => {
                let what = What::new(audit::Act::Edited);
                saved(&table.save_settings(id, settings.clone(), *version, what, by).await?)
            }
            Act::SetPot(id, limit) => format!("{:?}", table.set_pot(id, *limit, by).await?),
            Act::Close(id) => format!("{:?}", table.close(id, by).await?),
            Act::Invite(id, people) => format!("done: {}", table.invite(id, people, by).await?.len()),
            Act::Meta => {
                let meta = table.meta(now).await?;
                done(meta.born)
            }
            Act::Acquire(holder) => match table.acquire("jobs", holder, now, LEASE).await? {
                Acquired::Yes(lease) => acquired(&lease),
                Acquired::Busy => "busy".to_owned(),
            },
            Act::Renew(lease) => format!("{}", table.renew(lease, now + LEASE).await?),
            Act::ReleaseLease(lease) => {
                table.release_lease(lease).await?;
                "done".to_owned()
            }
            Act::Note(reading) => format!("{:?}", table.note_reading(reading).await?),
        };
        Ok(said)
    }

    /// What the rules say it may come to when it takes effect on `world`. What no condition of its transaction holds (the
    /// programme and the readings) it may have read at any of the moments `seen`.
    pub(crate) fn on(&self, world: &World, seen: &[&World], now: Timestamp) -> Vec<Legal> {
        let Some(who) = self.who() else { return vec![self.on_programme(world, now)] };
        let mut read: Vec<(Programme, Vec<Reading>)> = Vec::new();
        for (programme, readings) in seen.iter().flat_map(|one| seen.iter().map(move |other| (one, other))) {
            if let Some((one, other)) = programme.view(who).zip(readings.view(who))
                && !read.contains(&(one.programme.clone(), other.readings.clone()))
            {
                read.push((one.programme, other.readings));
            }
        }
        let (Some(view), false) = (world.view(who), read.is_empty()) else {
            return vec![Legal { said: "no such grant".to_owned(), after: None, begun: None }];
        };
        let decided = read.into_iter().map(|(programme, readings)| {
            let view = View { programme, readings, ..view.clone() };
            match self.decide(&view, now) {
                Ok((change, said, begun)) => Legal { said, after: Some(world.with(change, now)), begun },
                Err(said) => Legal { said, after: None, begun: None },
            }
        });
        decided.collect()
    }

    /// The grant it is an act on.
    pub(crate) fn who(&self) -> Option<&GrantId> {
        match self {
            Act::Begin(who, ..)
            | Act::Record(who, ..)
            | Act::GiveUp(who, ..)
            | Act::Disabled(who, ..)
            | Act::Hold(who, ..)
            | Act::Release(who, ..)
            | Act::Stop(who, ..)
            | Act::Revoke(who)
            | Act::End(who)
            | Act::Sweep(who, ..)
            | Act::GiveBackPlace(who)
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
        self.write() == "dynamodb:TransactWriteItems" && !matches!(self, Act::Disabled(..))
    }

    /// What it may say, when an answer of the table was lost, although it happened.
    pub(crate) fn may_deny(&self) -> Option<String> {
        match self {
            Act::Note(_) => Some("NotNewer".to_owned()),
            Act::Disabled(..) => Some(refused(bursar_core::store::Unchanged)),
            _ => None,
        }
    }

    fn decide(&self, view: &View, now: Timestamp) -> Result<(Change, String, Option<Begun>), String> {
        let by = &faculty();
        let why = Some(WHY);
        let change = match self {
            Act::Begin(_, press) => {
                // The store draws one; here it is made of grant and epoch, so that no two are the same.
                let nonce = format!("{}{:06x}", &view.grant.id.as_str()[..10], view.grant.epoch.next().number());
                let nonce: Nonce = nonce.parse().unwrap();
                let (change, begun) = view.begin(*press, nonce, now).map_err(refused)?;
                return Ok((change, done(begun_text(&begun)), Some(begun)));
            }
            Act::Release(_, kind) => {
                let (change, enable) = view.release(*kind, by, now).map_err(refused)?;
                return Ok((change, done(enabling(enable)), None));
            }
            Act::Record(_, begun, minted) => view.record(begun, minted, now).map_err(refused),
            Act::GiveUp(_, begun, how, key) => unchanged(view.give_up(begun, *how, key.as_ref(), WHY, now)),
            Act::Disabled(_, debt) => unchanged(view.disabled(debt, now)),
            Act::Hold(_, kind) => view.hold(*kind, by, why, now).map_err(refused),
            Act::Stop(_, stopped) => unchanged(view.stop(*stopped, &Actor::Student, now)),
            Act::Revoke(_) => unchanged(view.revoke(by, why, now)),
            Act::End(_) => unchanged(view.end(&Actor::Rule, now)),
            Act::Sweep(_, epoch, key) => view.sweep(*epoch, key, now).map_err(refused),
            Act::GiveBackPlace(_) => unchanged(view.give_back_place(now)),
            Act::SetCap(_, cap) => view.set_cap(*cap, by, why, now).map_err(refused),
            Act::Allow(_) => unchanged(view.allow(by)),
            _ => Err("not an act on a grant".to_owned()),
        }?;
        let said = done(left(change.grant.clone()));
        Ok((change, said, None))
    }

    fn on_programme(&self, world: &World, now: Timestamp) -> Legal {
        let mut after = world.clone();
        let tell = |world: &mut World, id: &ProgrammeId, what: What| {
            world.tell(Entry {
                programme: id.clone(),
                grant: None,
                entry: ulid::Ulid::nil(),
                at: now,
                by: faculty(),
                what,
            });
        };
        let (said, wrote) = match self {
            Act::Create(settings, limit) => {
                let slug = ProgrammeId::of_name(&settings.name);
                let mut ids = std::iter::once(slug.clone()).chain((2..).map(|count| slug.numbered(count)));
                let id = ids.find(|id| !world.programmes.contains_key(id)).unwrap();
                let programme = Programme::new(id.clone(), settings.clone());
                after.programmes.insert(id.clone(), programme);
                let pot = Pot { programme: id.clone(), limit: *limit, reserved: Usd::ZERO, version: 1 };
                after.pots.insert(id.clone(), pot);
                tell(&mut after, &id, What::new(audit::Act::Created).noting(format!("pot {limit}")));
                (done(id.to_string()), true)
            }
            Act::Save(id, settings, version) => match after.programmes.get_mut(id) {
                None => (saved(&Saved::NoSuchProgramme), false),
                Some(current) if current.version != *version => {
                    (saved(&Saved::Stale(Box::new(current.clone()))), false)
                }
                Some(current) => {
                    current.settings = settings.clone();
                    current.version += 1;
                    tell(&mut after, id, What::new(audit::Act::Edited));
                    (saved(&Saved::Done), true)
                }
            },
            Act::SetPot(id, limit) => match after.pots.get_mut(id) {
                None => (format!("{:?}", PotSet::NoSuchProgramme), false),
                Some(pot) if pot.limit == *limit => (format!("{:?}", PotSet::Unchanged), false),
                Some(pot) => {
                    let what = What::new(audit::Act::PotChanged).changing(pot.limit, limit);
                    pot.limit = *limit;
                    tell(&mut after, id, what);
                    (format!("{:?}", PotSet::Done), true)
                }
            },
            Act::Close(id) => match after.programmes.get_mut(id) {
                None => (format!("{:?}", Closed::NoSuchProgramme), false),
                Some(programme) if programme.closed_at.is_some() => (format!("{:?}", Closed::Already), false),
                Some(programme) => {
                    programme.closed_at = Some(now);
                    programme.version += 1;
                    tell(&mut after, id, What::new(audit::Act::Closed));
                    (format!("{:?}", Closed::Done), true)
                }
            },
            Act::Invite(id, people) => {
                let names = invited(&mut after, id, people, now);
                if !names.is_empty() {
                    tell(&mut after, id, What::new(audit::Act::Invited).noting(names.join(" ")));
                }
                (done(names.len().to_string()), !names.is_empty())
            }
            Act::Meta => {
                let is_new = after.meta.is_none();
                let meta = after.meta.get_or_insert_with(|| Meta {
                    deployment: "de00000000".parse().unwrap(),
                    table: TABLE.to_owned(),
                    born: now,
                });
                (done(meta.born), is_new)
            }
            Act::Acquire(holder) => {
                let held = after.leases.get("jobs");
                if held.is_some_and(|lease| lease.until > now && lease.holder != *holder) {
                    ("busy".to_owned(), false)
                } else {
                    let fence = held.map_or(0, |lease| lease.fence) + 1;
                    let (holder, until) = ((*holder).to_owned(), now + LEASE);
                    let lease = Lease { lease: "jobs".to_owned(), holder, fence, until };
                    after.leases.insert("jobs".to_owned(), lease.clone());
                    (acquired(&lease), true)
                }
            }
            Act::Renew(lease) => {
                let is_ours = set_end(&mut after, lease, now + LEASE);
                (is_ours.to_string(), is_ours)
            }
            Act::ReleaseLease(lease) => ("done".to_owned(), set_end(&mut after, lease, Timestamp::UNIX_EPOCH)),
            Act::Note(reading) => {
                let at = (reading.grant.clone(), reading.epoch);
                let is_news = world.readings.get(&at).is_none_or(|known| known.lifetime < reading.lifetime);
                after.readings.insert(at, reading.clone());
                (format!("{:?}", if is_news { Noted::Recorded } else { Noted::NotNewer }), is_news)
            }
            _ => ("an act on a grant".to_owned(), false),
        };
        Legal { said, after: wrote.then_some(after), begun: None }
    }
}

pub(crate) const TABLE: &str = "bursar";
const WHY: &str = "a reason";

pub(crate) fn programme() -> ProgrammeId {
    ProgrammeId::of_name("CS pilot")
}

fn invited(world: &mut World, id: &ProgrammeId, people: &[NewPerson], now: Timestamp) -> Vec<String> {
    let mut names = Vec::new();
    for NewPerson { person, group } in people {
        let address = person.address.matched().clone();
        if world.enrolments.iter().any(|known| known.address == address && known.programme == *id) {
            continue;
        }
        let grant = Grant::invited(id.clone(), grant_of(person), person.clone(), group.clone());
        world.enrolments.push(Enrolment { address, programme: id.clone(), grant: grant.id.clone() });
        let mail = OwedMail::Roster { programme: id.clone(), grant: grant.id.clone() };
        world.owe(mail, MailClass::Bulk, now);
        names.push(grant.id.to_string());
        world.grants.insert(grant.id.clone(), grant);
    }
    names
}

/// The id that a person's grant has in a setting: made of the first five letters of the address.
pub(crate) fn grant_of(person: &Person) -> GrantId {
    let name = person.address.as_written().split('@').next().unwrap();
    let digits: String = name.bytes().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<16}")[..16].parse().unwrap()
}

fn set_end(world: &mut World, lease: &Lease, until: Timestamp) -> bool {
    match world.leases.get_mut(&lease.lease) {
        Some(kept) if kept.holder == lease.holder && kept.fence == lease.fence => {
            kept.until = until;
            true
        }
        _ => false,
    }
}

fn said<T, R: std::fmt::Debug>(outcome: Outcome<T, R>, text: impl Fn(T) -> String) -> String {
    match outcome {
        Outcome::Done(value) => done(text(value)),
        Outcome::Refused(why) => refused(why),
        Outcome::NoSuchGrant => "no such grant".to_owned(),
    }
}

fn done(text: impl std::fmt::Display) -> String {
    format!("done: {text}")
}

fn refused(why: impl std::fmt::Debug) -> String {
    format!("refused: {why:?}")
}

fn unchanged(change: Option<Change>) -> Result<Change, String> {
    change.ok_or_else(|| refused(bursar_core::store::Unchanged))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what becomes of the outcome of an act")]
fn left(grant: Grant) -> String {
    serde_json::to_string(&grant).unwrap()
}

#[expect(clippy::needless_pass_by_value, reason = "it is what becomes of the outcome of an act")]
fn enabling(enable: Option<KeyHash>) -> String {
    format!("enable {enable:?}")
}

fn begun_text(begun: &Begun) -> String {
    format!("attempt {} after {:?}", begun.epoch.number(), begun.to_retire)
}

fn acquired(lease: &Lease) -> String {
    format!("{} has it until {} with fence {}", lease.holder, lease.until, lease.fence)
}

fn saved(saved: &Saved) -> String {
    match saved {
        Saved::Stale(current) => format!("stale: version {}", current.version),
        other => format!("{other:?}"),
    }
}
