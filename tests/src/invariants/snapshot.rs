//! Everything of a stack that can be observed at one moment, read past the fault layer and decoded. What is wrong
//! with it is left to the checks.

use std::collections::{BTreeMap, BTreeSet};

use crate::faults::{Gate, Pending};
use anyhow::Result;
use bursar_core::domain::audit::{AccountEntry, Entry};
use bursar_core::domain::credit::balance::BalanceNotice;
use bursar_core::domain::grant::{Grant, Reading};
use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::ledger::foreign_act::ForeignAct;
use bursar_core::domain::ledger::mailed::MailedStatement;
use bursar_core::domain::ledger::owner::KeyOwner;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::domain::mail::day::MailDay;
use bursar_core::domain::mail::digest::{AccountDigest, Digest};
use bursar_core::domain::people::role::Roles;
use bursar_core::domain::people::session::Session;
use bursar_core::domain::people::sign_in::SignIn;
use bursar_core::domain::programme::rule_set::RuleSet;
use bursar_core::domain::programme::tiers::Tier;
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::usage::crossing::Crossing;
use bursar_core::domain::values::id::{Epoch, GrantId, KeyName, ProgrammeId, RuleSetId};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::store::items::{self, Item, Stored};
use bursar_core::store::{
    Account, AccountDay, AddressSession, Ask, AssignedUse, BulkStop, CapScan, Checkpoint, CutKeys, Enrolment,
    ForeignKey, GrantMail, GroupTotals, Import, ImportChunk, Job, KeptTotals, Lease, Link, ListedProgramme, MailChoice,
    MailRefusal, MailServer, Meta, MissingKey, ModelDay, OutboxRow, PersonOfAddress, RateCount, RosterMailResent, Run,
    SentAs, StaffPerson, SyncState, Totals, UnattributedDay, Undeliverable, UsageRefresh, UsedForm,
};
use bursar_local::engine::{Engine, Position};
use bursar_local::provider::{KeySnapshot, Nano, Provider};
use bursar_local::ses::{Mail, Ses};
use jiff::Timestamp;
use serde_json::Value;

use super::answers::Answers;
use super::secrets;
use crate::raw_table::RawTable;

/// One moment of a stack. A kind of item without a field here is decoded too, and kept in `items` only.
pub struct Snapshot {
    pub at: Timestamp,
    /// Every item as it is, by partition and sort key.
    pub items: BTreeMap<(String, String), Item>,
    pub meta: Option<Meta>,
    pub leases: BTreeMap<String, Lease>,
    pub programmes: BTreeMap<ProgrammeId, Programme>,
    /// The programmes that the list of programmes has.
    pub listed: BTreeSet<ProgrammeId>,
    /// The roles that programmes give to people.
    pub roles: Vec<Roles>,
    pub pots: BTreeMap<ProgrammeId, Pot>,
    pub rule_sets: BTreeMap<RuleSetId, RuleSet>,
    pub tiers: Vec<Tier>,
    pub jobs: Vec<Job>,
    pub grants: BTreeMap<(ProgrammeId, GrantId), Grant>,
    pub readings: BTreeMap<(ProgrammeId, GrantId, Epoch), Reading>,
    /// The audit entries in the order of their keys, so those of one grant or programme by time.
    pub entries: Vec<Entry>,
    pub enrolments: Vec<Enrolment>,
    pub outbox: Vec<OutboxRow>,
    pub sign_ins: Vec<SignIn>,
    pub links: Vec<Link>,
    pub sessions: Vec<Session>,
    pub people: Vec<StaffPerson>,
    pub totals: Vec<Totals>,
    /// The totals of single groups, where a programme has many.
    pub group_totals: Vec<GroupTotals>,
    /// The foreign keys, their owners, and what those of each programme used.
    pub foreign_keys: BTreeMap<KeyHash, ForeignKey>,
    pub key_owners: Vec<KeyOwner>,
    pub assigned_uses: BTreeMap<ProgrammeId, AssignedUse>,
    pub crossings: Vec<Crossing>,
    pub alarms: Vec<Alarm>,
    /// The cuts of the account, the oldest first.
    pub cuts: Vec<AccountCut>,
    /// The foreign keys that were used since the cut before.
    pub cut_keys: Vec<CutKeys>,
    /// The statements as they were mailed.
    pub mailed_statements: Vec<MailedStatement>,
    /// The last act of an admin on each foreign key that one acted on.
    pub foreign_acts: Vec<ForeignAct>,
    /// The deliveries of each day's mails, as counted.
    pub mail_days: Vec<MailDay>,
    pub digests: Vec<Digest>,
    pub account_digests: Vec<AccountDigest>,
    /// The state of the sync.
    pub sync: Option<SyncState>,
    pub account_entries: Vec<AccountEntry>,
    /// The items that have no known kind, or are not what their kind says, with the reason.
    pub unknown: Vec<String>,
    pub keys: Vec<ProviderKey>,
    /// The calls that may still take effect at the provider, if calls are watched.
    pub pending: Vec<Pending>,
    /// Every accepted mail; `None` if mails are not watched.
    pub mails: Option<Vec<Mail>>,
    pub answers: Vec<String>,
    /// The keys whose plaintext is in an answer, by their hash.
    pub revealed: BTreeMap<String, String>,
    pub logs: Vec<String>,
    pub stream: Vec<Value>,
}

/// A key at the provider, with its parsed name if that has this product's form.
pub struct ProviderKey {
    pub key: KeySnapshot,
    pub name: Option<KeyName>,
    /// The use that answers by its hash reported, see [`Provider::told`].
    pub told: Vec<(Timestamp, Nano)>,
}

pub(super) struct Sources {
    table: RawTable,
    pub(super) provider: Option<Provider>,
    pub(super) gate: Option<Gate>,
    pub(super) ses: Option<Ses>,
    pub(super) engine: Option<Engine>,
    pub(super) answers: Answers,
    pub(super) logs: Option<Box<dyn Fn() -> Vec<String> + Send + Sync>>,
}

impl Sources {
    pub(super) fn of(table: RawTable) -> Sources {
        Sources { table, provider: None, gate: None, ses: None, engine: None, answers: Answers::default(), logs: None }
    }

    pub(super) async fn snapshot(&self, at: Timestamp) -> Result<Snapshot> {
        let mut snapshot = Snapshot::of(self.table.items().await?, at);
        if let Some(provider) = &self.provider {
            let told = |key: &KeySnapshot| provider.told(&key.hash);
            let known = |key: KeySnapshot| ProviderKey { name: key.name.parse().ok(), told: told(&key), key };
            snapshot.keys = provider.keys().into_iter().map(known).collect();
        }
        if let Some(gate) = &self.gate {
            snapshot.pending = gate.pending();
        }
        if let Some(ses) = &self.ses {
            snapshot.mails = Some(ses.mails());
        }
        if let Some(engine) = &self.engine {
            snapshot.stream = stream(engine).await?;
        }
        if let Some(logs) = &self.logs {
            snapshot.logs = logs();
        }
        snapshot.answers = self.answers.all();
        snapshot.revealed = secrets::keys_in(&snapshot.answers);
        Ok(snapshot)
    }
}

impl Snapshot {
    pub(super) fn of(items: impl IntoIterator<Item = Item>, at: Timestamp) -> Snapshot {
        let items = items.into_iter().map(|item| ((text(&item, "pk"), text(&item, "sk")), item));
        let items: BTreeMap<_, _> = items.collect();
        let mut now = Snapshot {
            at,
            items: BTreeMap::new(),
            meta: None,
            leases: BTreeMap::new(),
            programmes: BTreeMap::new(),
            listed: BTreeSet::new(),
            roles: Vec::new(),
            pots: BTreeMap::new(),
            rule_sets: BTreeMap::new(),
            tiers: Vec::new(),
            jobs: Vec::new(),
            grants: BTreeMap::new(),
            readings: BTreeMap::new(),
            entries: Vec::new(),
            enrolments: Vec::new(),
            outbox: Vec::new(),
            sign_ins: Vec::new(),
            links: Vec::new(),
            sessions: Vec::new(),
            people: Vec::new(),
            totals: Vec::new(),
            group_totals: Vec::new(),
            foreign_keys: BTreeMap::new(),
            key_owners: Vec::new(),
            assigned_uses: BTreeMap::new(),
            crossings: Vec::new(),
            alarms: Vec::new(),
            cuts: Vec::new(),
            cut_keys: Vec::new(),
            mailed_statements: Vec::new(),
            foreign_acts: Vec::new(),
            mail_days: Vec::new(),
            digests: Vec::new(),
            account_digests: Vec::new(),
            sync: None,
            account_entries: Vec::new(),
            unknown: Vec::new(),
            keys: Vec::new(),
            pending: Vec::new(),
            mails: None,
            answers: Vec::new(),
            revealed: BTreeMap::new(),
            logs: Vec::new(),
            stream: Vec::new(),
        };
        for (key, item) in &items {
            if let Err(why) = now.take_in(item) {
                now.unknown.push(format!("{} / {}: {why:#}", key.0, key.1));
            }
        }
        for of in std::mem::take(&mut now.group_totals) {
            let totals = now.totals.iter_mut().find(|totals| totals.programme == of.programme);
            totals.into_iter().for_each(|totals| drop(totals.by_group.insert(of.group.clone(), of.used.clone())));
        }
        now.items = items;
        now
    }

    fn take_in(&mut self, item: &Item) -> Result<()> {
        match text(item, "kind").as_str() {
            Meta::KIND => self.meta = Some(decoded(item)?),
            Lease::KIND => {
                let lease: Lease = decoded(item)?;
                self.leases.insert(lease.lease.clone(), lease);
            }
            Programme::KIND => {
                let programme: Programme = decoded(item)?;
                self.programmes.insert(programme.id.clone(), programme);
            }
            ListedProgramme::KIND => {
                self.listed.insert(decoded::<ListedProgramme>(item)?.programme);
            }
            Roles::KIND => self.roles.push(decoded(item)?),
            Pot::KIND => {
                let pot: Pot = decoded(item)?;
                self.pots.insert(pot.programme.clone(), pot);
            }
            Tier::KIND => self.tiers.push(decoded(item)?),
            RuleSet::KIND => {
                let set: RuleSet = decoded(item)?;
                self.rule_sets.insert(set.id.clone(), set);
            }
            Grant::KIND => {
                let grant: Grant = decoded(item)?;
                self.grants.insert((grant.programme.clone(), grant.id.clone()), grant);
            }
            Reading::KIND => {
                let reading: Reading = decoded(item)?;
                let of = (reading.programme.clone(), reading.grant.clone(), reading.epoch);
                self.readings.insert(of, reading);
            }
            Entry::KIND => self.entries.push(decoded(item)?),
            Enrolment::KIND => self.enrolments.push(decoded(item)?),
            OutboxRow::KIND => self.outbox.push(decoded(item)?),
            SignIn::KIND => self.sign_ins.push(decoded(item)?),
            Session::KIND => self.sessions.push(decoded(item)?),
            StaffPerson::KIND => self.people.push(decoded(item)?),
            KeptTotals::KIND => self.totals.push(decoded::<KeptTotals>(item)?.totals),
            GroupTotals::KIND => self.group_totals.push(decoded(item)?),
            Crossing::KIND => self.crossings.push(decoded(item)?),
            Link::KIND => self.links.push(decoded(item)?),
            Ask::KIND => decoded::<Ask>(item).map(drop)?,
            AddressSession::KIND => decoded::<AddressSession>(item).map(drop)?,
            PersonOfAddress::KIND => decoded::<PersonOfAddress>(item).map(drop)?,
            UsageRefresh::KIND => decoded::<UsageRefresh>(item).map(drop)?,
            RateCount::KIND => decoded::<RateCount>(item).map(drop)?,
            MailChoice::KIND => decoded::<MailChoice>(item).map(drop)?,
            Undeliverable::KIND => decoded::<Undeliverable>(item).map(drop)?,
            Import::KIND => decoded::<Import>(item).map(drop)?,
            ImportChunk::KIND => decoded::<ImportChunk>(item).map(drop)?,
            Job::KIND => self.jobs.push(decoded(item)?),
            UsedForm::KIND => decoded::<UsedForm>(item).map(drop)?,
            RosterMailResent::KIND => decoded::<RosterMailResent>(item).map(drop)?,
            GrantMail::KIND => decoded::<GrantMail>(item).map(drop)?,
            Run::KIND => decoded::<Run>(item).map(drop)?,
            SyncState::KIND => self.sync = Some(decoded(item)?),
            MailDay::KIND => self.mail_days.push(decoded(item)?),
            BulkStop::KIND => decoded::<BulkStop>(item).map(drop)?,
            MailServer::KIND => decoded::<MailServer>(item).map(drop)?,
            MailRefusal::KIND => decoded::<MailRefusal>(item).map(drop)?,
            SentAs::KIND => decoded::<SentAs>(item).map(drop)?,
            Alarm::KIND => self.alarms.push(decoded(item)?),
            Digest::KIND => self.digests.push(decoded(item)?),
            AccountDigest::KIND => self.account_digests.push(decoded(item)?),
            AccountEntry::KIND => self.account_entries.push(decoded(item)?),
            Account::KIND => decoded::<Account>(item).map(drop)?,
            AccountDay::KIND => decoded::<AccountDay>(item).map(drop)?,
            MailedStatement::KIND => self.mailed_statements.push(decoded(item)?),
            ForeignAct::KIND => self.foreign_acts.push(decoded(item)?),
            CutKeys::KIND => self.cut_keys.push(decoded(item)?),
            AccountCut::KIND => self.cuts.push(decoded(item)?),
            ForeignKey::KIND => {
                let key: ForeignKey = decoded(item)?;
                self.foreign_keys.insert(key.key.clone(), key);
            }
            Checkpoint::KIND => decoded::<Checkpoint>(item).map(drop)?,
            KeyOwner::KIND => self.key_owners.push(decoded(item)?),
            AssignedUse::KIND => {
                let assigned: AssignedUse = decoded(item)?;
                self.assigned_uses.insert(assigned.programme.clone(), assigned);
            }
            ModelDay::KIND => decoded::<ModelDay>(item).map(drop)?,
            UnattributedDay::KIND => decoded::<UnattributedDay>(item).map(drop)?,
            CapScan::KIND => decoded::<CapScan>(item).map(drop)?,
            BalanceNotice::KIND => decoded::<BalanceNotice>(item).map(drop)?,
            MissingKey::KIND => decoded::<MissingKey>(item).map(drop)?,
            // A run's listing, the marks it held back, and grants' use by model have encodings of their own.
            "checkpoint-part" | "held-marks" | "model-rows" => {}
            kind => anyhow::bail!("there is no kind {kind:?}"),
        }
        Ok(())
    }

    /// The readings of one grant, in the order of their epochs.
    pub fn readings_of(&self, grant: &Grant) -> Vec<Reading> {
        let readings = self.readings.values();
        let of_it = readings.filter(|reading| reading.programme == grant.programme && reading.grant == grant.id);
        of_it.cloned().collect()
    }

    /// The audit entries on a grant, or on the programme itself.
    pub fn entries_on(&self, programme: &ProgrammeId, grant: Option<&GrantId>) -> impl Iterator<Item = &Entry> {
        let entries = self.entries.iter();
        entries.filter(move |entry| entry.programme == *programme && entry.grant.as_ref() == grant)
    }

    /// The changes of a key that may still take effect at the provider.
    pub(super) fn pending_for<'a>(&'a self, hash: &str) -> impl Iterator<Item = &'a Pending> {
        let path = format!("/keys/{hash}");
        self.pending
            .iter()
            .filter(move |pending| pending.path == path && &*pending.call.name.operation == "PATCH /keys/{hash}")
    }

    /// The key of this hash as the provider has it.
    pub(super) fn key(&self, hash: &KeyHash) -> Option<&KeySnapshot> {
        let mut keys = self.keys.iter().map(|known| &known.key);
        keys.find(|key| key.hash == hash.as_str())
    }

    /// Whether the key itself allows a request: it is not disabled, deleted or expired.
    pub(super) fn is_enabled(&self, key: &KeySnapshot) -> bool {
        let expired = key.expires_at.is_some_and(|expires| expires <= self.at);
        !key.disabled && !key.deleted && !expired
    }
}

/// The value of an item, or an error if the product would write that value differently.
fn decoded<T: Stored>(item: &Item) -> Result<T> {
    let value: T = items::from_item(item.clone())?;
    let again = items::to_item(&value)?;
    let differs = |name: &&String| item.get(*name) != again.get(*name);
    let names = item.keys().chain(again.keys());
    let mut different: Vec<&String> = names.filter(differs).collect();
    different.sort();
    different.dedup();
    anyhow::ensure!(different.is_empty(), "the product would write it with other {different:?}");
    Ok(value)
}

async fn stream(engine: &Engine) -> Result<Vec<Value>> {
    const AT_ONCE: usize = 500;
    let (mut records, mut position) = (Vec::new(), Position::START);
    loop {
        let page = engine.records_after(position, AT_ONCE).await?;
        let last = page.last().and_then(|record| record["dynamodb"]["SequenceNumber"].as_str());
        let next = last.and_then(Position::of);
        let is_last = page.len() < AT_ONCE;
        records.extend(page);
        match next {
            Some(next) if !is_last => position = next,
            _ => return Ok(records),
        }
    }
}

fn text(item: &Item, name: &str) -> String {
    let value = item.get(name).and_then(|value| value.as_s().ok());
    value.cloned().unwrap_or_default()
}
