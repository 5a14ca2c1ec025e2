//! The outcomes that the rules allow an act, asked of `bursar_core::domain` on the table as it was. Acts on
//! programmes, leases and readings have no rules there, so theirs are repeated here as simply as possible.

use std::cmp::Ordering;

use bursar_core::domain::audit::{self, AuditDetail, Entry};
use bursar_core::domain::grant::{
    AnnouncedEnd, Change, EditEffect, Grant, NoticeDelivery, OpenAttempt, PotChange, Reading, View,
};
use bursar_core::domain::programme::{Byok, Pot, Programme, Settings};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{
    CloseOutcome, Edit, EditOutcome, Enrolment, Lease, Meta, NewPerson, QueuedMail, ReadingWrite,
};
use jiff::Timestamp;

use super::act::{Act, LEASE, NO_SUCH_GRANT, TABLE, acquired, done, faculty, followed, grant_of, refused, saved};
use super::world::World;

/// An outcome that the rules allow: what the caller gets, and the table if the act wrote.
#[derive(Debug, Clone)]
pub(crate) struct Legal {
    pub(crate) said: String,
    pub(crate) after: Option<World>,
    /// The attempt that this act began, for the part that continues it.
    pub(crate) begun: Option<OpenAttempt>,
}

type Decided = (Change, (String, Option<OpenAttempt>));

impl Act {
    /// The outcomes that the rules allow when it takes effect on `world`. It may have read the programme and
    /// the readings at any of the moments `seen`, unless its transaction holds them. A place is taken, and a
    /// cap changed, under the current settings; a place is given back by the current readings.
    pub(crate) fn on(&self, world: &World, seen: &[&World], now: Timestamp) -> Vec<Legal> {
        let Some(who) = self.who() else {
            return match self {
                Act::Edit(id, edit) => edited(id, edit, world, seen, now),
                _ => vec![self.on_programme(world, now)],
            };
        };
        let mut read: Vec<(Programme, Vec<Reading>)> = Vec::new();
        for (programme, readings) in seen.iter().flat_map(|one| seen.iter().map(move |other| (one, other))) {
            if let Some((one, other)) = programme.view(who).zip(readings.view(who))
                && !read.contains(&(one.programme.clone(), other.readings.clone()))
            {
                read.push((one.programme, other.readings));
            }
        }
        // The mails on which a rule depends are read before anything else.
        let mut mails: Vec<_> = seen.iter().map(|one| one.mails(who, now)).collect();
        mails.dedup();
        if !matches!(self, Act::FollowRules(_)) {
            mails.truncate(1);
        }
        let (Some(there), false) = (world.view(who), read.is_empty()) else {
            return vec![Legal { said: NO_SUCH_GRANT.to_owned(), after: None, begun: None }];
        };
        let read = read.iter().flat_map(|read| mails.iter().map(move |mails| (read.clone(), mails)));
        let decided = read.filter_map(|((programme, readings), mails)| {
            let view = View { programme, readings, ..there.clone() };
            let (change, said, begun) = match self.decided(&view, mails, now) {
                Ok((change, (said, begun))) => (change, done(said), begun),
                Err(said) => return Some(Legal { said, after: None, begun: None }),
            };
            let change = change.counted(&view, now);
            let moves = change.pot() != PotChange::None;
            let rests_on_settings = moves || matches!(self, Act::SetCap(..) | Act::End(_) | Act::Reopen(_));
            let gives_back = matches!(change.pot(), PotChange::GiveBack(_));
            let is_held_otherwise = (rests_on_settings && view.programme != there.programme)
                || (gives_back && view.readings != there.readings);
            (!is_held_otherwise).then(|| Legal { said, after: Some(world.with(&change, now)), begun })
        });
        decided.collect()
    }

    /// The rule's decision, given what only the store reads.
    fn decided(
        &self,
        view: &View,
        mails: &[(AnnouncedEnd, NoticeDelivery)],
        now: Timestamp,
    ) -> Result<Decided, String> {
        if let Act::FollowRules(_) = self {
            let (change, rule) = view.follow_rules(None, mails, now).map_err(refused)?;
            let said = followed(change.grant(), rule);
            return Ok((change, (said, None)));
        }
        // The store draws a nonce; here it is made of grant and epoch, so that each is unique.
        let nonce = format!("{}{:06x}", &view.grant.id.as_str()[..10], view.grant.epoch.next().number());
        self.rule(view, nonce.parse().unwrap(), now)
    }

    fn on_programme(&self, world: &World, now: Timestamp) -> Legal {
        let mut after = world.clone();
        let tell = |world: &mut World, id: &ProgrammeId, what: AuditDetail| tell(world, id, what, now);
        let (said, wrote) = match self {
            Act::Create(settings, limit) => {
                let slug = ProgrammeId::of_name(&settings.name);
                let mut ids = std::iter::once(slug.clone()).chain((2..).map(|count| slug.numbered(count)));
                let id = ids.find(|id| !world.programmes.contains_key(id)).unwrap();
                let programme = Programme::new(id.clone(), settings.clone());
                after.programmes.insert(id.clone(), programme);
                let pot = Pot::new(id.clone(), *limit);
                after.pots.insert(id.clone(), pot);
                tell(&mut after, &id, AuditDetail::new(audit::Act::Created).noting(format!("pot {limit}")));
                (done(id.to_string()), true)
            }
            Act::Close(id) => match after.programmes.get_mut(id) {
                None => (format!("{:?}", CloseOutcome::NoSuchProgramme), false),
                Some(programme) if programme.closed_at.is_some() => (format!("{:?}", CloseOutcome::Already), false),
                Some(programme) => {
                    programme.closed_at = Some(now);
                    programme.version += 1;
                    tell(&mut after, id, AuditDetail::new(audit::Act::Closed));
                    (format!("{:?}", CloseOutcome::Done), true)
                }
            },
            Act::Invite(id, people) => {
                let names = invited(&mut after, id, people, now);
                if !names.is_empty() {
                    tell(&mut after, id, AuditDetail::new(audit::Act::Invited).noting(names.join(" ")));
                }
                (done(names.len().to_string()), !names.is_empty())
            }
            Act::Meta => {
                let is_new = after.meta.is_none();
                let meta = after.meta.get_or_insert_with(|| Meta {
                    deployment: "de00000000".parse().unwrap(),
                    table: TABLE.to_owned(),
                    born: now,
                    account: None,
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
                let known = world.readings.get(&at);
                let stands = known.is_some_and(|known| {
                    let used = |reading: &Reading| reading.used.counted(Byok::Inside);
                    match used(reading).cmp(&used(known)) {
                        Ordering::Less => known.as_of >= reading.as_of,
                        Ordering::Equal => known.as_of > reading.as_of,
                        Ordering::Greater => false,
                    }
                });
                let noted = known.map_or_else(|| reading.clone(), |known| known.joined(reading));
                // An identical note may be from another writer, and counts as recorded too.
                let is_there = known == Some(&noted);
                after.readings.insert(at, noted);
                (
                    format!("{:?}", if stands { ReadingWrite::NotNewer } else { ReadingWrite::Recorded }),
                    !stands && !is_there,
                )
            }
            _ => ("an act on a grant".to_owned(), false),
        };
        Legal { said, after: wrote.then_some(after), begun: None }
    }
}

fn tell(world: &mut World, id: &ProgrammeId, what: AuditDetail, now: Timestamp) {
    let (programme, entry) = (id.clone(), ulid::Ulid::nil());
    world.tell(Entry { programme, grant: None, entry, at: now, by: faculty(), what });
}

/// The outcomes of an edit, whose effect on the grants may be reckoned on any moment that it may have seen.
fn edited(id: &ProgrammeId, edit: &Edit, world: &World, seen: &[&World], now: Timestamp) -> Vec<Legal> {
    let refused = |outcome: EditOutcome| vec![Legal { said: saved(&outcome), after: None, begun: None }];
    let (Some(current), Some(pot)) = (world.programmes.get(id), world.pots.get(id)) else {
        return refused(EditOutcome::NoSuchProgramme);
    };
    if current.version != edit.version || edit.pot.is_some_and(|(was, _)| was != pot.limit) {
        return refused(EditOutcome::Stale(Box::new((current.clone(), pot.limit))));
    }
    let (before, after) = (&current.settings, &edit.settings);
    let counts = |settings: &Settings| (settings.reset, settings.byok, settings.term.timezone().to_owned());
    if counts(before) != counts(after) && (pot.shown || pot.reserved != Usd::ZERO) {
        return refused(EditOutcome::FixedByKeys);
    }
    let limit = edit.pot.map_or(pot.limit, |(_, limit)| limit);
    let moves_places = costs(before) != costs(after);
    let mut legal: Vec<Legal> = Vec::new();
    // Where costs move, the write rests on the pot as it was read.
    let is_read =
        |moment: &&&World| !moves_places || moment.pots.get(id).is_some_and(|read| read.version == pot.version);
    for moment in seen.iter().filter(is_read) {
        let grants: Vec<(Grant, Vec<Reading>)> = moment
            .grants
            .values()
            .map(|grant| (grant.clone(), moment.view(&grant.id).map(|view| view.readings).unwrap_or_default()))
            .collect();
        let effect = EditEffect::of(&grants, pot, before, after, now);
        let more = if moves_places { effect.more } else { Usd::ZERO };
        let outcome = if (limit != pot.limit || more > Usd::ZERO) && limit < pot.reserved + more {
            refused(EditOutcome::PotTooSmall { pot: limit, reserved: pot.reserved + more }).remove(0)
        } else if before == after && limit == pot.limit {
            refused(EditOutcome::Done).remove(0)
        } else {
            let mut world = world.clone();
            let into = world.pots.get_mut(id).unwrap();
            (into.limit, into.reserved) = (limit, pot.reserved + more);
            into.version += u64::from(moves_places);
            if limit != pot.limit {
                tell(&mut world, id, AuditDetail::new(audit::Act::PotChanged).changing(pot.limit, limit), now);
            }
            if before != after {
                world.programmes.insert(id.clone(), current.clone().edited(after.clone()));
                tell(&mut world, id, edit.what.clone(), now);
            }
            Legal { said: saved(&EditOutcome::Done), after: Some(world), begun: None }
        };
        legal.push(outcome);
    }
    legal
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
        let mail = QueuedMail::Roster { programme: id.clone(), grant: grant.id.clone() };
        world.owe(mail, now);
        names.push(grant.id.to_string());
        world.grants.insert(grant.id.clone(), grant);
    }
    names
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

/// The settings on which the cost of a place in the pot depends.
fn costs(settings: &Settings) -> impl PartialEq {
    let caps: Vec<_> = settings.groups.iter().filter_map(|(name, group)| Some((name.clone(), group.cap?))).collect();
    let term = (settings.keys_expire_at(), settings.term.timezone().to_owned());
    (settings.cap, caps, settings.reset, settings.byok, term)
}
