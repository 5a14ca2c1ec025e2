//! Everything of a stack that can be observed at one moment, read past the fault layer and decoded.
//! What is wrong with it is left to the checks.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use bursar_core::clock::Moment;
use bursar_core::domain::audit::AuditEntry;
use bursar_core::domain::grant::{Grant, GrantState, Reading, Urgency};
use bursar_core::domain::ledger::foreign::{ForeignKey, KeyOwner};
use bursar_core::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::crossing::Crossing;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::id::{Epoch, GrantId, KeyName, ProgrammeId};
use bursar_core::schema::Stored;
use bursar_core::store::items::{self, Item};
use bursar_core::store::{AssignedUse, Meta, OutboxRow};
use bursar_local::engine::Position;
use bursar_local::invoke::FunctionName;
use bursar_local::provider::{KeySnapshot, Nano};
use serde_json::Value;

use super::mails::ReadMail;
use super::{Places, secrets};
use crate::faults::{Call, Pending, Service};

/// One moment of a stack. An item of a kind without a field here is in `items` only, see
/// [`Snapshot::all`].
#[derive(Default)]
pub struct Snapshot {
    pub at: Moment,
    /// Every item as it is, by partition and sort key.
    pub items: BTreeMap<(String, String), Item>,
    pub meta: Option<Meta>,
    pub programmes: BTreeMap<ProgrammeId, Programme>,
    pub budgets: BTreeMap<ProgrammeId, Budget>,
    pub guardrails: BTreeMap<GuardrailOwner, Guardrail>,
    /// The models that each of them allows at the provider, by its id there; none if it allows all.
    pub allowed: BTreeMap<String, Vec<String>>,
    pub grants: BTreeMap<(ProgrammeId, GrantId), Grant>,
    pub readings: BTreeMap<(ProgrammeId, GrantId, Epoch), Reading>,
    /// The audit entries in the order of their keys, so those of one grant or programme by time.
    pub entries: Vec<AuditEntry>,
    pub account_entries: Vec<AuditEntry>,
    pub outbox: Vec<OutboxRow>,
    pub crossings: Vec<Crossing>,
    pub foreign_keys: BTreeMap<KeyHash, ForeignKey>,
    pub key_owners: Vec<KeyOwner>,
    pub assigned_uses: BTreeMap<ProgrammeId, AssignedUse>,
    pub keys: Vec<ProviderKey>,
    /// The calls that may still take effect at the provider.
    pub pending: Vec<Pending>,
    /// How often the mail server's answer, or the record of it, was lost, so that a mail may have
    /// been accepted twice.
    pub(super) lost_mails: usize,
    pub(super) mails: Vec<ReadMail>,
    pub(super) answers: Vec<String>,
    /// The keys whose plaintext is in an answer, by their hash.
    pub(super) revealed: BTreeMap<String, String>,
    pub(super) logs: Vec<String>,
    pub(super) stream: Vec<Value>,
}

/// A key at the provider, with its parsed name if that has this product's form.
pub struct ProviderKey {
    pub key: KeySnapshot,
    pub name: Option<KeyName>,
    /// The use that answers by its hash reported, see `Provider::told`.
    pub told: Vec<(Moment, Nano)>,
}

/// The answers of one stack, in the order in which they were given. Clones share them.
#[derive(Clone, Default)]
pub struct Answers(Arc<Mutex<Vec<String>>>);

impl Answers {
    /// Records all that an answer says.
    pub fn note(&self, answer: String) {
        self.0.lock().unwrap().push(answer);
    }
}

impl Snapshot {
    pub(super) async fn of(places: &Places) -> Snapshot {
        let key = |item: &Item| (text(item, "pk").to_owned(), text(item, "sk").to_owned());
        let items = places
            .table
            .items()
            .await
            .into_iter()
            .map(|item| (key(&item), item))
            .collect();
        let (raw, provider) = (
            Snapshot {
                items,
                ..Snapshot::default()
            },
            &places.provider,
        );
        let known = |key: KeySnapshot| ProviderKey {
            name: key.name.parse().ok(),
            told: provider.told(&key.hash),
            key,
        };
        let mut stream: Vec<Value> = Vec::new();
        let mut read = Some(Position::START);
        while let Some(position) = read {
            let page = places.engine.records_after(position, 500).await.unwrap();
            read = page
                .last()
                .and_then(|last| Position::parse(last["dynamodb"]["SequenceNumber"].as_str()?));
            stream.extend(page);
        }
        let answers = places.answers.0.lock().unwrap().clone();
        let meta = raw.all().next();
        let (entries, account_entries) = raw
            .all()
            .partition(|entry: &AuditEntry| entry.programme.is_some());
        let guardrails: BTreeMap<_, _> = raw
            .all()
            .map(|of: Guardrail| (of.owner.clone(), of))
            .collect();
        let allowed = |of: &Guardrail| {
            let id = &of.remote.as_ref()?.id;
            Some((id.clone(), provider.allowed_models(id).unwrap_or_default()))
        };
        Snapshot {
            at: places.clock.now(),
            meta,
            programmes: raw.all().map(|of: Programme| (of.id.clone(), of)).collect(),
            budgets: raw
                .all()
                .map(|of: Budget| (of.programme.clone(), of))
                .collect(),
            allowed: guardrails.values().filter_map(allowed).collect(),
            guardrails,
            grants: raw
                .all()
                .map(|of: Grant| ((of.programme.clone(), of.id.clone()), of))
                .collect(),
            readings: raw
                .all()
                .map(|of: Reading| ((of.programme.clone(), of.grant.clone(), of.epoch), of))
                .collect(),
            entries,
            account_entries,
            outbox: raw.all().collect(),
            crossings: raw.all().collect(),
            foreign_keys: raw
                .all()
                .map(|of: ForeignKey| (of.key.clone(), of))
                .collect(),
            key_owners: raw.all().collect(),
            assigned_uses: raw
                .all()
                .map(|of: AssignedUse| (of.programme.clone(), of))
                .collect(),
            keys: provider.keys().into_iter().map(known).collect(),
            pending: places.gate.pending(),
            lost_mails: places
                .gate
                .calls()
                .iter()
                .filter(|made| is_lost_mail(made))
                .count(),
            mails: places.ses.mails().iter().map(ReadMail::of).collect(),
            revealed: secrets::keys_in(&answers),
            answers,
            logs: (places.logs)(),
            stream,
            items: raw.items,
        }
    }

    /// The values of all items of a kind that can be read.
    pub fn all<T: Stored>(&self) -> impl Iterator<Item = T> {
        let of_kind = self
            .items
            .values()
            .filter(|item| text(item, "kind") == T::KIND);
        of_kind.filter_map(|item| items::from_item(item.clone()).ok())
    }

    /// The readings of one grant, in the order of their epochs.
    pub fn readings_of(&self, grant: &Grant) -> Vec<Reading> {
        let readings = self.readings.values();
        readings
            .filter(|of| of.programme == grant.programme && of.grant == grant.id)
            .cloned()
            .collect()
    }

    /// The audit entries on a grant that tell of its key of this number.
    pub(super) fn told_of<'s>(
        &'s self,
        id: &'s (ProgrammeId, GrantId),
        number: Epoch,
    ) -> impl Iterator<Item = &'s AuditEntry> {
        self.entries_on(id)
            .filter(move |entry| numbers(entry).any(|told| told == number))
    }

    /// Whether a key of this grant is to be disabled, now or once no other call may come.
    pub(super) fn is_to_end_one(&self, grant: &Grant) -> bool {
        self.waits_in(grant, &[Urgency::Leak, Urgency::Disable])
    }

    /// Whether a call about this grant is due, now or later, that is as urgent as one of these.
    pub(super) fn waits_in(&self, grant: &Grant, queues: &[Urgency]) -> bool {
        let key = grant.key().item_key;
        let queue = self
            .items
            .get(&(key.pk, key.sk))
            .map_or("", |item| text(item, "queue"));
        queues.iter().any(|urgency| urgency.queue().0 == queue)
    }

    /// The audit entries on a grant.
    pub(super) fn entries_on(
        &self,
        (programme, grant): &(ProgrammeId, GrantId),
    ) -> impl Iterator<Item = &AuditEntry> {
        self.entries.iter().filter(move |entry| {
            entry.programme.as_ref() == Some(programme) && entry.grant.as_ref() == Some(grant)
        })
    }

    /// The key of this hash as the provider has it.
    pub(super) fn key(&self, hash: &KeyHash) -> Option<&KeySnapshot> {
        self.keys
            .iter()
            .map(|known| &known.key)
            .find(|key| key.hash == hash.as_str())
    }

    /// Whether the key itself allows a request: it is not disabled, deleted or expired.
    pub(super) fn is_enabled(&self, key: &KeySnapshot) -> bool {
        !key.disabled && !key.deleted && key.expires_at.is_none_or(|expires| expires > self.at)
    }

    /// The grant that each key belongs to: that in its name, or, when somebody renamed it, that
    /// which records its hash.
    pub(super) fn owners(&self) -> BTreeMap<&str, (ProgrammeId, GrantId)> {
        let recorded = self.grants.iter().flat_map(|(id, grant)| {
            recorded(grant).map(move |(_, hash)| (hash.as_str(), id.clone()))
        });
        let deployment = self.meta.as_ref().map(|meta| &meta.deployment);
        let named = self.keys.iter().filter_map(|known| {
            let name = known
                .name
                .as_ref()
                .filter(|name| deployment.is_none_or(|ours| *ours == name.deployment))?;
            Some((
                known.key.hash.as_str(),
                (name.programme.clone(), name.grant.clone()),
            ))
        });
        recorded.chain(named).collect()
    }
}

/// The keys that a grant records, by their numbers.
pub(super) fn recorded(grant: &Grant) -> impl Iterator<Item = (Epoch, &KeyHash)> {
    grant.keys.iter().map(|of| (of.epoch, &of.hash))
}

/// Those of them that somebody was shown. Others are forgotten once they are off.
pub(super) fn shown_keys(grant: &Grant) -> Vec<(Epoch, &KeyHash)> {
    let shown = grant.keys.iter().filter(|of| of.shown_at.is_some());
    shown.map(|of| (of.epoch, &of.hash)).collect()
}

impl Snapshot {
    /// The key that may be used now.
    pub(super) fn usable<'g>(&self, grant: &'g Grant) -> Option<&'g KeyHash> {
        match &grant.state {
            GrantState::Live { key } if grant.holds.is_empty() => Some(key),
            _ => None,
        }
    }
}

/// The numbers of the keys that an entry tells of.
fn numbers(entry: &AuditEntry) -> impl Iterator<Item = Epoch> {
    let told = entry.what.note.as_deref().unwrap_or_default();
    let told = told
        .strip_prefix("keys ")
        .or(told.strip_prefix("key "))
        .unwrap_or_default();
    told.split([',', ';', ':'])
        .map_while(|number| number.trim().parse().ok())
        .map(Epoch::new)
}

/// Whether what a call came to loses the mail server's answer, or the record of it.
fn is_lost_mail(made: &Call) -> bool {
    let name = &made.name;
    let is_lost = made
        .fault
        .is_some_and(|fault| (name.service == Service::Ses) == fault.is_after());
    made.function == FunctionName::Mail && name.has_effect() && is_lost
}

/// A text of an item, or an empty one.
pub(crate) fn text<'i>(item: &'i Item, name: &str) -> &'i str {
    item.get(name)
        .and_then(|value| value.as_s().ok())
        .map_or("", String::as_str)
}
