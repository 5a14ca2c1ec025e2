//! The ledger of the account: the statements between cuts through the books; which programme owns
//! which foreign key; and admins' acts on such keys. An act is written down with its audit entry
//! before the provider is asked, so that no crash leaves a changed key without a trace.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::time::Duration;

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::ledger::cut::{AccountCut, LifetimeUse};
use crate::domain::ledger::foreign::{
    AnsweredKey, CountersRead, ForeignAct, ForeignActState, ForeignChange, ForeignKey, KeyOwner,
    KeyOwners,
};
use crate::domain::ledger::statement::{CodeChange, Statement, StatementDays};
use crate::domain::programme::{Budget, Byok, Programme};
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::{KeyHash, PersonId, ProgrammeId};
use crate::domain::values::partition::overview_key;
use crate::domain::values::window::utc_midnight;
use crate::schema::{Range, SHARDS, stored};
use crate::store::table::collect_reads;
use crate::store::table::write::{Round, Transaction, Unaudited, Writes, number};
use crate::store::{Author, Result, StoreError, Table};

impl Table {
    /// The statement of some days, with the programmes by whose cost codes of today it is made.
    /// `None` before the first complete sync.
    pub async fn statement(
        &self,
        days: StatementDays,
    ) -> Result<(Option<Statement>, Vec<Programme>)> {
        let (first, cuts, programmes) = tokio::try_join!(
            self.oldest(AccountCut::all()),
            self.cuts_since(days.first),
            self.list(Programme::all())
        )?;
        let Some(first) = first else {
            return Ok((None, programmes));
        };
        let mut statement = Statement::from_cuts(days, days.cuts(&cuts), first.as_of, &programmes);
        if let Some(statement) = &mut statement {
            statement.code_changes = self.code_changes(statement).await?;
        }
        Ok((statement, programmes))
    }

    async fn code_changes(&self, statement: &Statement) -> Result<Vec<CodeChange>> {
        let programmes: BTreeSet<&ProgrammeId> = statement
            .rows
            .iter()
            .filter_map(|row| row.programme.as_ref())
            .collect();
        let changes = programmes.into_iter().map(async |id| {
            let audit = self.list(AuditEntry::of_programme(id)).await?;
            Ok::<_, StoreError>(CodeChange::since(statement.from, id, &audit))
        });
        collect_reads(changes).await
    }

    /// The cuts since the beginning of a UTC day, oldest first; where there is none, the newest.
    pub async fn cuts_since(&self, day: Date) -> Result<Vec<AccountCut>> {
        let since = Range::between(
            AccountCut::key_of(utc_midnight(day)),
            AccountCut::key_of(Moment::MAX),
        );
        let since = self.list(since).await?;
        if since.is_empty() {
            self.newest(AccountCut::all(), 1).await
        } else {
            Ok(since)
        }
    }
}

/// How many keys change their owner in one transaction, which takes a hundred items.
const KEYS_AT_ONCE: usize = 80;
/// The time without which no further part is begun: it is read, written, and the page answered.
const FOR_ONE_PART: Duration = Duration::from_secs(12);

/// The use of foreign keys while a programme owned them.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AssignedUse {
    pub programme: ProgrammeId,
    pub used: DailyUse,
    /// How many of them it owns now.
    pub keys: u32,
    /// When the newest of them was read that used anything since it was read before.
    pub as_of: Option<Moment>,
    /// Every change of an owner and every recount increases it; zero before the first.
    pub version: u64,
}

stored! {
    AssignedUse (programme: &ProgrammeId) => overview_key(programme, "ASSIGNED")
}

/// A foreign key in a span in which it had an owner.
#[derive(Debug)]
pub struct OwnedKey {
    pub owner: KeyOwner,
    pub key: ForeignKey,
}

/// What keys had used in all, where they were read at the press itself.
pub type UsedNow = HashMap<KeyHash, LifetimeUse>;

#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AssignOutcome {
    Done,
    OutOfTime,
    /// Some key has another owner by now, or is not on record any more.
    Changed,
}

impl AssignedUse {
    pub(crate) fn none(programme: &ProgrammeId) -> AssignedUse {
        AssignedUse {
            programme: programme.clone(),
            used: DailyUse::default(),
            keys: 0,
            as_of: None,
            version: 0,
        }
    }

    /// The sum over these keys, the next after this one.
    fn next<'a>(&self, owned: impl IntoIterator<Item = &'a OwnedKey>) -> AssignedUse {
        let mut next = AssignedUse {
            version: self.version + 1,
            ..AssignedUse::none(&self.programme)
        };
        for OwnedKey { owner, key } in owned {
            next.used.add(&owner.counted(&key.used));
            next.keys += u32::from(owner.is_now());
            next.as_of = next.as_of.max(Some(key.as_of));
        }
        next
    }
}

impl Table {
    /// The owners that keys have and had.
    pub async fn key_owners(&self) -> Result<KeyOwners> {
        let mut owners = KeyOwners::new();
        for owner in collect_reads(
            SHARDS
                .into_iter()
                .map(|shard| self.list(KeyOwner::of_shard(shard))),
        )
        .await?
        {
            owners.entry(owner.key.clone()).or_default().push(owner);
        }
        Ok(owners)
    }

    /// The owner that each key has now, if it has one.
    pub async fn owners_now(&self) -> Result<HashMap<KeyHash, KeyOwner>> {
        let owners = self.key_owners().await?.into_iter();
        Ok(owners
            .filter_map(|(key, owners)| Some((key, owners.into_iter().find(KeyOwner::is_now)?)))
            .collect())
    }

    /// All spans in which foreign keys had an owner.
    pub async fn list_owned_keys(&self) -> Result<Vec<OwnedKey>> {
        collect_reads(
            SHARDS
                .into_iter()
                .map(|shard| self.list_owned_keys_of_shard(shard)),
        )
        .await
    }

    pub async fn read_assigned_use(&self, programme: &ProgrammeId) -> Result<AssignedUse> {
        let stored = self.get(AssignedUse::key_of(programme)).await?;
        Ok(stored.unwrap_or_else(|| AssignedUse::none(programme)))
    }

    /// Gives foreign keys without an owner to a programme, for which they count from now on. Keys
    /// that it has already stay so. Where there are very many, they are given in parts, and an
    /// outcome that is not `Done` is of the first part that was not given.
    pub async fn assign_keys(
        &self,
        owner: &ProgrammeId,
        keys: &[KeyHash],
        used: &UsedNow,
        author: Author<'_>,
    ) -> Result<AssignOutcome> {
        for part in keys.chunks(KEYS_AT_ONCE) {
            if !author.deadline.leaves(FOR_ONE_PART) {
                return Ok(AssignOutcome::OutOfTime);
            }
            let outcome = self.assign_part(owner, part, used, author).await?;
            if outcome != AssignOutcome::Done {
                return Ok(outcome);
            }
        }
        Ok(AssignOutcome::Done)
    }

    async fn assign_part(
        &self,
        owner: &ProgrammeId,
        part: &[KeyHash],
        used: &UsedNow,
        author: Author<'_>,
    ) -> Result<AssignOutcome> {
        self.carry_through(author.deadline, || async {
            let programme = self.get_existing(Programme::key_of(owner)).await?;
            let budget = self.budget(owner).await?;
            // It is read before the keys: a change of any of them since then also changed its
            // version.
            let before = self.read_assigned_use(owner).await?;
            let owned = self.list_owned_keys().await?;
            let foreign = self.foreign_keys_named(part).await?;
            let mut owners: HashMap<&KeyHash, Vec<&KeyOwner>> = HashMap::new();
            owned.iter().for_each(|owned_key| {
                owners
                    .entry(&owned_key.owner.key)
                    .or_default()
                    .push(&owned_key.owner);
            });
            let owner_now = |key: &KeyHash| {
                owners
                    .get(key)?
                    .iter()
                    .find(|owner| owner.is_now())
                    .copied()
            };
            if part
                .iter()
                .filter_map(owner_now)
                .any(|now| now.owner != *owner)
                || foreign.len() < part.len()
            {
                return Ok(Round::Over(AssignOutcome::Changed));
            }
            let new: Vec<OwnedKey> = foreign
                .into_iter()
                .filter(|key| owner_now(&key.key).is_none())
                .map(|key| {
                    let earlier = owners.get(&key.key).map_or(&[][..], |owners| owners);
                    let ended = earlier.last().and_then(|last| last.ended);
                    OwnedKey {
                        owner: KeyOwner {
                            key: key.key.clone(),
                            number: earlier.len() as u32,
                            owner: owner.clone(),
                            began: counters(&key, used, ended, author.now),
                            ended: None,
                        },
                        key,
                    }
                })
                .collect();
            if new.is_empty() {
                return Ok(Round::Over(AssignOutcome::Done));
            }
            let after = before.next(
                owned
                    .iter()
                    .filter(|owned_key| owned_key.owner.owner == *owner)
                    .chain(&new),
            );
            let given = new.iter().map(|new| &new.owner);
            let transaction = given
                .clone()
                .try_fold(self.transaction(), Transaction::create)?;
            let transaction =
                with_assigned(transaction, &after, &budget, programme.settings.basis.byok)?;
            let entries = entries(owner, Act::KeysAssigned, given, author);
            Ok(Round::Write(
                transaction.with_entries(&entries)?,
                AssignOutcome::Done,
            ))
        })
        .await
    }

    /// Takes foreign keys back from whatever programmes own them, which keep what they used by now.
    /// Those without an owner are left alone. Where there are very many, they are taken back in
    /// parts; `false` when there was no time for all of them.
    pub async fn take_keys_back(
        &self,
        keys: &[KeyHash],
        used: &UsedNow,
        author: Author<'_>,
    ) -> Result<bool> {
        let mut owners = self.owners_now().await?;
        let mut of_owner: BTreeMap<ProgrammeId, Vec<KeyHash>> = BTreeMap::new();
        for key_owner in keys.iter().filter_map(|key| owners.remove(key)) {
            of_owner
                .entry(key_owner.owner)
                .or_default()
                .push(key_owner.key);
        }
        for (owner, keys) in of_owner {
            for part in keys.chunks(KEYS_AT_ONCE) {
                if !author.deadline.leaves(FOR_ONE_PART) {
                    return Ok(false);
                }
                self.take_part_back(&owner, part, used, author).await?;
            }
        }
        Ok(true)
    }

    async fn take_part_back(
        &self,
        owner: &ProgrammeId,
        part: &[KeyHash],
        used: &UsedNow,
        author: Author<'_>,
    ) -> Result<()> {
        let hashes: HashSet<&KeyHash> = part.iter().collect();
        self.carry_through(author.deadline, || async {
            let programme = self.get_existing(Programme::key_of(owner)).await?;
            let budget = self.budget(owner).await?;
            let before = self.read_assigned_use(owner).await?;
            let mut owned = self.list_owned_keys().await?;
            owned.retain(|owned_key| owned_key.owner.owner == *owner);
            let mut transaction = self.transaction();
            let mut taken = Vec::new();
            for owned_key in owned.iter_mut().filter(|owned_key| {
                owned_key.owner.is_now() && hashes.contains(&owned_key.owner.key)
            }) {
                owned_key.owner.ended = Some(counters(
                    &owned_key.key,
                    used,
                    Some(owned_key.owner.began),
                    author.now,
                ));
                transaction = transaction.put(
                    &owned_key.owner,
                    "attribute_exists(pk) AND attribute_not_exists(ended)",
                    &[],
                )?;
                taken.push(owned_key.owner.clone());
            }
            if taken.is_empty() {
                return Ok(Round::Over(()));
            }
            let after = before.next(&owned);
            let transaction =
                with_assigned(transaction, &after, &budget, programme.settings.basis.byok)?;
            Ok(Round::Write(
                transaction.with_entries(&entries(owner, Act::KeysTakenBack, &taken, author))?,
                (),
            ))
        })
        .await
    }

    async fn list_owned_keys_of_shard(&self, shard: char) -> Result<Vec<OwnedKey>> {
        let owners = self.list(KeyOwner::of_shard(shard)).await?;
        if owners.is_empty() {
            return Ok(Vec::new());
        }
        let foreign = self.list(ForeignKey::of_shard(shard)).await?;
        let foreign: HashMap<KeyHash, ForeignKey> = foreign
            .into_iter()
            .map(|key| (key.key.clone(), key))
            .collect();
        let owned = owners.into_iter().filter_map(|owner| {
            foreign
                .get(&owner.key)
                .cloned()
                .map(|key| OwnedKey { owner, key })
        });
        Ok(owned.collect())
    }

    async fn foreign_keys_named(&self, hashes: &[KeyHash]) -> Result<Vec<ForeignKey>> {
        collect_reads(hashes.iter().map(|hash| self.get(ForeignKey::key_of(hash)))).await
    }
}

impl Table {
    /// Counts a programme's foreign keys and their use anew, if they changed. `before` was read
    /// before the keys. Returns `false` also when the owner of a key changed since then, or a
    /// reservation in the budget was taken.
    pub async fn recount_assigned(
        &self,
        before: &AssignedUse,
        owned: &[OwnedKey],
        byok: Byok,
        deadline: Deadline,
    ) -> Result<bool> {
        let programme = &before.programme;
        let after = before.next(
            owned
                .iter()
                .filter(|owned_key| owned_key.owner.owner == *programme),
        );
        let budget = self.budget(programme).await?;
        if after.used == before.used
            && after.keys == before.keys
            && after.used.counted(byok) == budget.assigned
        {
            return Ok(true);
        }
        let transaction = with_assigned(self.transaction(), &after, &budget, byok)?;
        self.commit_once(transaction.skip_audit(Unaudited::Sync), deadline)
            .await
    }
}

/// What a key had used by now, as far as is known: never less than what is on record, or was read
/// at the press before, so that no use counts twice.
fn counters(
    key: &ForeignKey,
    used: &UsedNow,
    before: Option<CountersRead>,
    now: Moment,
) -> CountersRead {
    let uses = before
        .into_iter()
        .map(|before| before.used)
        .chain(used.get(&key.key).copied());
    CountersRead {
        at: now,
        used: uses.fold(LifetimeUse::sum(&key.used), LifetimeUse::max),
    }
}

fn with_assigned(
    transaction: Transaction,
    after: &AssignedUse,
    budget: &Budget,
    byok: Byok,
) -> Result<Transaction> {
    let transaction = transaction.replace(after)?;
    let assigned = after.used.counted(byok);
    if assigned == budget.assigned {
        return Ok(transaction);
    }
    let values = [
        (
            ":reserved",
            number((budget.reserved - budget.assigned + assigned).micros()),
        ),
        (":assigned", number(assigned.micros())),
        (":limit", number(budget.limit.micros())),
        (":version", number(budget.version)),
        (":one", number(1)),
    ];
    let expression = "SET reserved = :reserved, assigned = :assigned ADD version :one";
    let condition = "version = :version AND budget_limit = :limit";
    transaction.update(
        &Budget::key_of(&budget.programme),
        expression,
        condition,
        &values,
    )
}

/// The entries of the programme and of the account. They have the keys by the beginnings of their
/// hashes, as the account's page shows them: their names may be of people.
fn entries<'a>(
    owner: &ProgrammeId,
    act: Act,
    keys: impl IntoIterator<Item = &'a KeyOwner>,
    author: Author<'_>,
) -> [AuditEntry; 2] {
    let hashes = keys.into_iter().map(|key_owner| key_owner.key.as_str());
    let short: Vec<&str> = hashes
        .map(|hash| hash.get(..12).unwrap_or_default())
        .collect();
    let note = match short.len() {
        1 => format!("the key {}", short.concat()),
        count => format!("{count} keys: {}", short.join(" ")),
    };
    let what = AuditDetail::new(act);
    [
        author.entry_on(owner, what.clone().with_note(&note)),
        author.entry_on_account(what.with_note(format!("{owner}: {note}"))),
    ]
}

/// A request of an admin on a key that nobody here made, with the key as the provider has it.
pub struct ForeignRequest<'a> {
    pub key: &'a KeyHash,
    pub name: &'a str,
    pub change: ForeignChange,
    pub before: AnsweredKey,
    pub actor: &'a PersonId,
    pub now: Moment,
}

impl Table {
    /// Writes a request down. A request of a change that is under way already goes on with that;
    /// `None` while another change of the key may still take effect.
    pub async fn begin_foreign_act(
        &self,
        request: &ForeignRequest<'_>,
        deadline: Deadline,
    ) -> Result<Option<ForeignAct>> {
        self.carry_through(deadline, || async {
            let stored = self.get(ForeignAct::key_of(request.key)).await?;
            match stored {
                Some(stored) if stored.is_joined_by(request.change, request.actor, request.now) => {
                    return Ok(Round::Over(Some(stored)));
                }
                Some(stored) if stored.holds_up(request.change, request.now) => {
                    return Ok(Round::Over(None));
                }
                _ => {}
            }
            let act = ForeignAct {
                key: request.key.clone(),
                name: request.name.to_owned(),
                change: request.change,
                requested_at: request.now,
                requested_by: request.actor.clone(),
                state: ForeignActState::Open,
                version: stored.as_ref().map_or(0, |stored| stored.version) + 1,
                answered: stored.and_then(|stored| stored.answered),
            };
            let what = AuditDetail::new(Act::ForeignActBegun)
                .with_change(request.before, request.change)
                .with_note(hash_and_name(&act));
            let audit_entry = entry(request.actor, request.now, what);
            let transaction = self.transaction().replace(&act)?;
            Ok(Round::Write(
                transaction.with_entries(&[audit_entry])?,
                Some(act),
            ))
        })
        .await
    }

    /// Records what came of an act: the key as the provider answered it, or that it changed
    /// nothing.
    pub async fn conclude_foreign_act(
        &self,
        pressed: &ForeignAct,
        answered: Option<AnsweredKey>,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let Some(stored) = self.get(ForeignAct::key_of(&pressed.key)).await? else {
                return Ok(Round::Over(()));
            };
            let Some(after) = stored.conclude_act(pressed, answered) else {
                return Ok(Round::Over(()));
            };
            let what = AuditDetail::new(Act::ForeignActConcluded).with_note(hash_and_name(&after));
            let what = match answered {
                Some(answered) => what.with_change(after.change, answered),
                None => what.with_change(after.change, "refused by the provider"),
            };
            let audit_entry = entry(&pressed.requested_by, now, what);
            Ok(Round::Write(
                self.transaction()
                    .replace(&after)?
                    .with_entries(&[audit_entry])?,
                (),
            ))
        })
        .await
    }
}

fn entry(actor: &PersonId, now: Moment, what: AuditDetail) -> AuditEntry {
    AuditEntry::new_on_account(&Actor::Person(actor.clone()), now, what)
}

/// The key of an act in an audit entry: its hash, which has no blanks, and its name.
fn hash_and_name(act: &ForeignAct) -> String {
    format!("{} {}", act.key, act.name)
}
