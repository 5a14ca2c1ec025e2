//! The table as the rules see it: typed, comparable, and without random values. A setting is written into the
//! table from a world, and the table is read into one.

use std::collections::BTreeMap;

use bursar_core::domain::audit::Entry;
use bursar_core::domain::grant::{AnnouncedEnd, Change, Grant, Notice, NoticeDelivery, PotChange, Reading, View};
use bursar_core::domain::people::role::Roles;
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::values::id::{Epoch, GrantId, ProgrammeId};
use bursar_core::store::items::{self, Item, Stored};
use bursar_core::store::{Enrolment, Lease, ListedProgramme, MailState, Meta, OutboxRow, QueuedMail};
use bursar_tests::invariants::Snapshot;
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// Everything in the table. New entries and mails get places in their order instead of random ids.
#[derive(Debug, Clone, Default)]
pub(crate) struct World {
    pub(crate) meta: Option<Meta>,
    pub(crate) leases: BTreeMap<String, Lease>,
    pub(crate) programmes: BTreeMap<ProgrammeId, Programme>,
    pub(crate) pots: BTreeMap<ProgrammeId, Pot>,
    pub(crate) grants: BTreeMap<GrantId, Grant>,
    pub(crate) readings: BTreeMap<(GrantId, Epoch), Reading>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) outbox: Vec<OutboxRow>,
    pub(crate) enrolments: Vec<Enrolment>,
}

impl World {
    pub(crate) fn of(seen: &Snapshot) -> World {
        World {
            meta: seen.meta.clone(),
            leases: seen.leases.clone(),
            programmes: seen.programmes.clone(),
            pots: seen.pots.clone(),
            grants: seen.grants.values().map(|grant| (grant.id.clone(), grant.clone())).collect(),
            readings: seen
                .readings
                .values()
                .map(|reading| ((reading.grant.clone(), reading.epoch), reading.clone()))
                .collect(),
            entries: seen.entries.clone(),
            outbox: seen.outbox.clone(),
            enrolments: seen.enrolments.clone(),
        }
    }

    /// The items of a table in this state.
    pub(crate) fn items(&self) -> Vec<Item> {
        fn all<'a, T: Stored + 'a>(values: impl IntoIterator<Item = &'a T>) -> Vec<Item> {
            values.into_iter().map(|value| items::to_item(value).unwrap()).collect()
        }
        [
            all(&self.meta),
            all(self.leases.values()),
            all(self.programmes.values()),
            all(&self.programmes.keys().map(|id| ListedProgramme { programme: id.clone() }).collect::<Vec<_>>()),
            all(&self.roles()),
            all(self.pots.values()),
            all(self.grants.values()),
            all(self.readings.values()),
            all(&self.entries),
            all(&self.outbox),
            all(&self.outbox.iter().filter_map(OutboxRow::of_grant).collect::<Vec<_>>()),
            all(&self.enrolments),
        ]
        .concat()
    }

    /// The roles of the people whom the programmes name.
    fn roles(&self) -> Vec<Roles> {
        let each = self.programmes.values().map(|programme| Roles::of(&programme.id, &programme.settings));
        each.flat_map(BTreeMap::into_values).collect()
    }

    /// The view on which an act on this grant would be decided.
    pub(crate) fn view(&self, who: &GrantId) -> Option<View> {
        let grant = self.grants.get(who)?.clone();
        let readings = self.readings.values().filter(|reading| reading.grant == *who).cloned().collect();
        Some(View {
            programme: self.programmes.get(&grant.programme)?.clone(),
            pot: self.pots.get(&grant.programme)?.clone(),
            grant,
            readings,
        })
    }

    /// The deliveries of the mails on which the rules for this grant depend.
    pub(crate) fn mails(&self, who: &GrantId, now: Timestamp) -> Vec<(AnnouncedEnd, NoticeDelivery)> {
        let rests_on = self.view(who).map(|view| view.rests_on(None, now)).unwrap_or_default();
        let outcome = |(announced, end): (Notice, AnnouncedEnd)| {
            let is_it = |row: &&OutboxRow| {
                let QueuedMail::Notice { grant, notice, .. } = &row.mail else { return false };
                grant == who && *notice == announced && row.written_at == end.at
            };
            (end, self.outbox.iter().find(is_it).map_or(NoticeDelivery::Void, OutboxRow::outcome))
        };
        rests_on.into_iter().map(outcome).collect()
    }

    /// The world with each waiting mail sent.
    pub(crate) fn mailed(mut self) -> World {
        for row in &mut self.outbox {
            row.state = MailState::Sent { message: row.row.to_string(), at: row.written_at };
        }
        self
    }

    /// The world with all that a change writes.
    pub(crate) fn with(&self, change: &Change, now: Timestamp) -> World {
        let mut world = self.clone();
        let grant = change.grant();
        let (programme, id) = (grant.programme.clone(), grant.id.clone());
        let pot = world.pots.get_mut(&programme).unwrap();
        match change.pot() {
            PotChange::None => {}
            PotChange::Take(amount) | PotChange::TakeAnyway(amount) => {
                pot.reserved += amount;
                pot.version += 1;
            }
            PotChange::GiveBack(amount) => {
                pot.reserved = pot.reserved - amount;
                pot.version += 1;
            }
        }
        if let Some(what) = change.audit() {
            world.tell(Entry {
                programme: programme.clone(),
                grant: Some(id.clone()),
                entry: ulid(0, now),
                at: now,
                by: change.by().clone(),
                what: what.clone(),
            });
        }
        if let Some(notice) = change.notice() {
            world.owe(QueuedMail::notice(notice, grant), now);
        }
        if grant.ever_shown {
            world.pots.get_mut(&programme).unwrap().shown = true;
        }
        if let Some(reading) = change.reading() {
            world.readings.insert((id.clone(), reading.epoch), reading.clone());
        }
        world.grants.insert(id, grant.clone());
        world
    }

    pub(crate) fn tell(&mut self, entry: Entry) {
        let place = self.entries.len();
        self.entries.push(Entry { entry: ulid(place, entry.at), ..entry });
    }

    pub(crate) fn owe(&mut self, mail: QueuedMail, now: Timestamp) {
        let row = ulid(self.outbox.len(), now);
        self.outbox.push(OutboxRow::queued(row, mail, now));
    }

    /// Whether both are equal except for random values.
    pub(crate) fn is_like(&self, other: &World) -> bool {
        self.lines() == other.lines()
    }

    /// The differences between the two, for a person to read.
    pub(crate) fn against(&self, other: &World) -> String {
        let (ours, others) = (self.lines(), other.lines());
        let only = |here: &BTreeMap<String, usize>, there: &BTreeMap<String, usize>, sign: &str| -> Vec<String> {
            let lines = here.iter().filter(|(line, times)| there.get(*line) != Some(times));
            lines.map(|(line, times)| format!("      {sign} {times}x {line}")).collect()
        };
        [only(&ours, &others, "-"), only(&others, &ours, "+")].concat().join("\n")
    }

    /// Each item as text, with people's addresses in place of grants' ids, and the number of times it occurs.
    fn lines(&self) -> BTreeMap<String, usize> {
        let mut lines = BTreeMap::new();
        let mut add = |line: String| *lines.entry(self.plainly(&line)).or_insert(0) += 1;
        self.meta.iter().for_each(|meta| add(format!("meta of {} since {}", meta.table, meta.born)));
        self.leases.values().for_each(|value| add(line(value, "")));
        self.programmes.values().for_each(|value| add(line(value, "")));
        self.pots.values().for_each(|value| add(line(value, "")));
        self.grants.values().for_each(|value| add(line(value, "")));
        self.readings.values().for_each(|value| add(line(value, "")));
        self.entries.iter().for_each(|value| add(line(value, "entry")));
        self.outbox.iter().for_each(|value| add(line(value, "row")));
        self.enrolments.iter().for_each(|value| add(line(value, "")));
        lines
    }

    /// The text with grants named by their people, and attempts by their epochs.
    pub(crate) fn plainly(&self, text: &str) -> String {
        let mut text = text.to_owned();
        for grant in self.grants.values() {
            let address = grant.person.address.as_written();
            text = text.replace(grant.id.as_str(), address);
            for attempt in &grant.attempts {
                let plain = format!("{address} {}", attempt.epoch.number());
                text = text.replace(attempt.nonce.as_str(), &plain);
            }
        }
        text
    }
}

/// An id that sorts by time and then by place.
fn ulid(place: usize, at: Timestamp) -> ulid::Ulid {
    ulid::Ulid::from_parts(u64::try_from(at.as_millisecond()).unwrap(), place as u128)
}

fn line<T: Stored + Serialize>(value: &T, random: &str) -> String {
    let mut json = serde_json::to_value(value).unwrap();
    if let Value::Object(object) = &mut json {
        object.remove(random);
    }
    format!("{} {json}", T::KIND)
}
