//! Grants with their readings and their people: reads of one with everything that an act on it is
//! decided on, and of all of a programme; readings, each one conditional write that may be
//! repeated, whose recorded value gives way only to a larger one; and the people of a roster, a
//! grant for each, found by the address.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use futures_util::stream::{Stream, StreamExt, TryStreamExt, iter};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, AuditDetail};
use crate::domain::grant::{Grant, View};
use crate::domain::programme::counts::{Counts, Stage};
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::unreserved::Unreserved;
use crate::domain::programme::{Budget, Programme};
use crate::domain::usage::reading::{Reading, Shortfall, UnusableReport, UsageReport, is_used};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::format::Joined;
use crate::domain::values::id::{Epoch, GrantId, KeyHash, ProgrammeId};
use crate::domain::values::partition::{address_partition, grant_partition_of};
use crate::schema::{Range, SHARDS, Stored, begin, key, stored};
use crate::store::mail::outbox::BETWEEN_REMINDERS;
use crate::store::programmes::budget::CapMoves;
use crate::store::table::collect_reads;
use crate::store::table::write::{
    Pauses, Round, Transaction, Unaudited, Writes, instant, number, text,
};
use crate::store::{ActContext, Author, OutboxRow, Result, StoreError, Table, items};

/// How many shards are read at once where they are read one after another.
const SHARDS_AT_ONCE: usize = 8;
/// How many people of a file are looked up at once.
const PEOPLE_AT_ONCE: usize = 16;

/// The number of a programme, and the grants in one of its shards with their readings.
pub type ProgrammeShard = (u16, Vec<(Grant, Vec<Reading>)>);

impl Table {
    /// The ids of a programme's grants, of those too that cannot be read.
    pub async fn grant_ids(&self, programme: &ProgrammeId) -> Result<Vec<GrantId>> {
        let shards = SHARDS.into_iter().map(|shard| async move {
            let mut ids = Vec::new();
            let query = self
                .query(&Grant::of_shard(programme, shard))
                .projection_expression("pk, sk");
            Self::each(query, |attributes| {
                ids.extend(Grant::named(&items::key_of(&attributes)).map(|(_, grant)| grant));
                Ok(())
            })
            .await?;
            Ok::<_, StoreError>(ids)
        });
        collect_reads(shards).await
    }

    pub async fn count_grants(&self, programme: &ProgrammeId) -> Result<u32> {
        Ok(self.grant_ids(programme).await?.len() as u32)
    }

    /// The grants of a programme that can be read.
    pub async fn readable_grants(&self, programme: &ProgrammeId) -> Result<Vec<Grant>> {
        collect_reads(
            SHARDS
                .into_iter()
                .map(|shard| self.list_known(Grant::of_shard(programme, shard))),
        )
        .await
    }

    pub async fn grants(&self, programme: &ProgrammeId) -> Result<Vec<Grant>> {
        collect_reads(
            SHARDS
                .into_iter()
                .map(|shard| self.list(Grant::of_shard(programme, shard))),
        )
        .await
    }

    /// The grants in one shard of a programme with their readings, each grant's in the order of
    /// their epochs. They are neighbours in the table, so one query reads both and leaves the audit
    /// out.
    pub async fn shard_of(
        &self,
        programme: &ProgrammeId,
        shard: char,
    ) -> Result<Vec<(Grant, Vec<Reading>)>> {
        // From the grants to the readings, before what is told of them.
        let range = Range {
            last: "R#~".to_owned(),
            ..Grant::of_shard(programme, shard)
        };
        let mut grants = Vec::new();
        let mut readings: HashMap<GrantId, Vec<Reading>> = HashMap::new();
        Self::each(self.query(&range), |attributes| {
            if items::is_kind::<Reading>(&attributes) {
                let reading: Reading = items::from_item(attributes)?;
                readings
                    .entry(reading.grant.clone())
                    .or_default()
                    .push(reading);
            } else {
                grants.push(items::from_item::<Grant>(attributes)?);
            }
            Ok(())
        })
        .await?;
        let grants = grants.into_iter().map(|grant| {
            let readings = readings.remove(&grant.id).unwrap_or_default();
            (grant, readings)
        });
        Ok(grants.collect())
    }

    /// The grants of these programmes with their readings, a shard at a time, each with the number
    /// of its programme. Of very many grants only few are held at once.
    pub fn shards_of_programmes(
        &self,
        programmes: &[ProgrammeId],
    ) -> impl Stream<Item = Result<ProgrammeShard>> {
        let numbered = (0_u16..).zip(programmes);
        let numbered_shards = numbered.flat_map(|programme| SHARDS.map(|shard| (programme, shard)));
        let shards: Vec<_> = numbered_shards
            .map(|((number, programme), shard)| async move {
                Ok((number, self.shard_of(programme, shard).await?))
            })
            .collect();
        iter(shards).buffered(SHARDS_AT_ONCE)
    }

    /// A grant with everything that an act on it is decided on.
    ///
    /// The grant is read before the readings, which only grow: so what its version rests on is in
    /// them. The budget is read before the programme, since it says which settings a cost rests on.
    /// The write is conditional on both versions.
    pub async fn view(&self, programme: &ProgrammeId, grant: &GrantId) -> Result<Option<View>> {
        let (budget, grant) = tokio::try_join!(
            self.get(Budget::key_of(programme)),
            self.get(Grant::key_of(programme, grant))
        )?;
        let (Some(budget), Some(grant)): (Option<Budget>, Option<Grant>) = (budget, grant) else {
            return Ok(None);
        };
        let (programme, readings) = tokio::try_join!(
            self.get(Programme::key_of(programme)),
            self.list(Reading::of_grant(programme, &grant.id))
        )?;
        let Some(programme): Option<Programme> = programme else {
            return Ok(None);
        };
        let guardrails = match grant.may_need_guardrail(&programme.settings) {
            true => self.list(Guardrail::of_programme(&programme.id)).await?,
            false => Vec::new(),
        };
        Ok(Some(View {
            programme: programme.into(),
            budget: budget.into(),
            grant,
            readings,
            guardrails: guardrails.into(),
        }))
    }
}

/// When something of a grant was last done by hand, so that it is not done again too soon.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DoneByHand {
    pub programme: ProgrammeId,
    pub grant: GrantId,
    pub what: ByHand,
    pub done_at: Moment,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ByHand {
    Refresh,
    RosterMail,
}

stored! {
    DoneByHand |done_by_hand| (programme: &ProgrammeId, grant: &GrantId, what: ByHand = done_by_hand.what) => {
        let what = match what { ByHand::Refresh => "refresh", ByHand::RosterMail => "roster-mail" };
        key(grant_partition_of(programme, grant), format!("W#{grant}#{what}"))
    };
    expires |done_by_hand| done_by_hand.done_at + BETWEEN_REMINDERS
}

impl Table {
    /// Records what a key has used. A larger recorded value stands, so late and stale writers do no
    /// harm. Each lifetime counter is its maximum; the window is that of the latest query. Returns
    /// `false` when as much or more is recorded, from a listing or query as late or later.
    pub async fn note_reading(&self, reading: &Reading, deadline: Deadline) -> Result<bool> {
        let mut pauses = Pauses::until(deadline);
        let mut target = reading.clone();
        let mut stored: Option<Reading> = None;
        loop {
            if self.put_reading(&target, stored.as_ref(), deadline).await? {
                return Ok(true);
            }
            stored = self.get(target.key()).await?;
            // An earlier try took effect, but its answer was lost.
            if stored.as_ref() == Some(&target) {
                return Ok(true);
            }
            target = stored
                .as_ref()
                .map_or_else(|| reading.clone(), |stored| stored.joined(reading));
            if stored.as_ref() == Some(&target) {
                return Ok(false);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Records what a key that was shown used, as the provider told it when it was asked. Returns
    /// by how much that is less than what it said before, or why it says nothing. That nothing was
    /// used since is written only for a student, who asked for it.
    pub async fn take_in_use(
        &self,
        view: &View,
        key: &KeyHash,
        report: Option<&UsageReport>,
        asked_at: Moment,
        for_student: bool,
        deadline: Deadline,
    ) -> Result<Result<Option<Shortfall>, UnusableReport>> {
        let Some(key) = view
            .grant
            .key_with(key)
            .filter(|key| key.shown_at.is_some())
        else {
            return Ok(Ok(None));
        };
        let listed_at = self.sync_state().await?.listed_at;
        let after = report
            .ok_or(UnusableReport::Silent)
            .and_then(|report| view.reading_after(key, report, asked_at, listed_at));
        let (reading, doubt) = match after {
            Ok(after) => after,
            Err(unusable) => return Ok(Err(unusable)),
        };
        if for_student
            || view
                .reading(key.epoch)
                .is_none_or(|stored| reading.differs_from(stored))
        {
            self.note_reading(&reading, deadline).await?;
        }
        if for_student && is_used(std::slice::from_ref(&reading)) {
            self.raise_stage(&view.programme.id, &view.grant.id, Stage::Used, deadline)
                .await?;
        }
        Ok(Ok(doubt))
    }

    /// Whether this request may ask the provider what a grant's key used: one request may in each
    /// interval.
    pub async fn may_refresh(
        &self,
        context: ActContext<'_>,
        apart: SignedDuration,
    ) -> Result<bool> {
        let claimed = self
            .transaction()
            .do_by_hand(ByHand::Refresh, context, apart)?
            .skip_audit(Unaudited::Refresh);
        self.commit_once(claimed, context.deadline).await
    }

    /// Records that a key could not be found, so that its reading held until the last full listing
    /// of keys and no longer. An earlier such time stands. Without a reading there is nothing to
    /// record.
    pub async fn note_failed_look(
        &self,
        (programme, grant, epoch): (&ProgrammeId, &GrantId, Epoch),
        listed_at: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let key = Reading::key_of(programme, grant, epoch);
        let held = "SET unchanged_until = if_not_exists(unchanged_until, :listed_at)";
        let values = [(":listed_at", instant(listed_at))];
        self.single()
            .update(&key, held, "attribute_exists(pk)", &values)?
            .write(deadline)
            .await
            .map(drop)
    }

    /// Puts a reading where there is none, or none that is larger in any number. Over a reading
    /// that was read, only if it is unchanged.
    async fn put_reading(
        &self,
        reading: &Reading,
        over: Option<&Reading>,
        deadline: Deadline,
    ) -> Result<bool> {
        let put = self.single();
        let put = match over {
            None => {
                let not_larger = "(lifetime <= :lifetime AND byok <= :byok AND as_of <= :as_of)";
                put.create_or_replace(reading, not_larger, &as_read(reading))?
            }
            Some(read) => put.put(reading, AS_READ, &as_read(read))?,
        };
        put.write(deadline).await
    }
}

impl Transaction {
    /// Does something by hand, on condition that it was not done within this time.
    pub(crate) fn do_by_hand(
        self,
        what: ByHand,
        context: ActContext<'_>,
        apart: SignedDuration,
    ) -> Result<Transaction> {
        let programme = context.programme.clone();
        let grant = context.grant.clone();
        let done = DoneByHand {
            programme,
            grant,
            what,
            done_at: context.now,
        };
        self.create_or_replace(
            &done,
            "done_at <= :before",
            &[(":before", instant(context.now - apart))],
        )
    }
}

pub(crate) const AS_READ: &str = "(lifetime = :lifetime AND byok = :byok AND as_of = :as_of)";

pub(crate) fn as_read(reading: &Reading) -> [(&'static str, AttributeValue); 3] {
    [
        (":lifetime", number(reading.lifetime().micros())),
        (":byok", number(reading.used.byok.total().micros())),
        (":as_of", instant(reading.as_of)),
    ]
}

/// The most people enrolled by one transaction: four items each, the programme, the budget and the
/// audit entry fit into its hundred parts.
pub const INVITED_AT_ONCE: usize = 24;

/// A person's grant in a programme. The item's key holds the address.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Enrolment {
    pub address: MatchedAddress,
    pub programme: ProgrammeId,
    pub grant: GrantId,
    /// Since when the grant has the address.
    pub enrolled_at: Moment,
    /// Whether an admin said that the grant is another person's, who had the address before.
    pub is_anothers: bool,
}

/// Whose a grant under an address is.
#[derive(Clone, Copy, PartialEq)]
pub enum Whose {
    /// It bears the newest id under the address, or none.
    Persons,
    /// It bears an older id. It is the same person's until an admin says otherwise: no row in one
    /// roster hides what another roster gave.
    PersonsByOlderId,
    /// It bears an older id and gives nobody anything any more.
    Over,
    /// An admin said that it is another person's.
    Anothers,
}

impl Whose {
    /// Whether the person of the address is shown it.
    pub fn is_own(self) -> bool {
        match self {
            Whose::Persons | Whose::PersonsByOlderId => true,
            Whose::Over | Whose::Anothers => false,
        }
    }
}

stored! {
    Enrolment (address: &MatchedAddress, programme: &ProgrammeId) => key(address_partition(address), format!("G#{programme}"));
    list of_address(address: &MatchedAddress) => begin(address_partition(address), "G#")
}

impl Table {
    /// The enrolments of an address, each with whose it is. The person of an address is whoever
    /// reads its mailbox. A grant under an older id is kept from them only where it is over, or an
    /// admin said that it is another person's.
    pub async fn enrolments_by_person(
        &self,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<Vec<(Enrolment, Whose)>> {
        let enrolments = self.list(Enrolment::of_address(address)).await?;
        let mut grants = vec![None; enrolments.len()];
        if enrolments.len() > 1 {
            let reads = enrolments
                .iter()
                .map(|enrolment| self.get(Grant::key_of(&enrolment.programme, &enrolment.grant)));
            grants = try_join_all(reads).await?;
        }
        let mut newest: Option<(Moment, String)> = None;
        for (enrolment, grant) in enrolments.iter().zip(&grants) {
            let id = grant
                .as_ref()
                .and_then(|grant| grant.person.roster_id.clone());
            if let Some(id) = id.filter(|_| !enrolment.is_anothers) {
                newest = newest.max(Some((enrolment.enrolled_at, id)));
            }
        }
        let newest_id = newest.map(|(_, id)| id);
        let mut by_person = Vec::with_capacity(enrolments.len());
        for (enrolment, grant) in enrolments.into_iter().zip(grants) {
            let older = grant.filter(|grant| {
                grant.person.roster_id.is_some() && grant.person.roster_id != newest_id
            });
            let whose = if enrolment.is_anothers {
                Whose::Anothers
            } else if let Some(grant) = older {
                if self.is_done_with(&grant, now).await? {
                    Whose::Over
                } else {
                    Whose::PersonsByOlderId
                }
            } else {
                Whose::Persons
            };
            by_person.push((enrolment, whose));
        }
        Ok(by_person)
    }

    /// Whose a grant is that has this address.
    pub async fn whose(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<Whose> {
        for (enrolment, whose) in self.enrolments_by_person(address, now).await? {
            if enrolment.programme == *programme && enrolment.grant == *grant {
                return Ok(whose);
            }
        }
        Ok(Whose::Persons)
    }

    /// The enrolments that the person of an address is shown, and whether others are kept from
    /// them.
    pub async fn own_enrolments(
        &self,
        address: &MatchedAddress,
        now: Moment,
    ) -> Result<(Vec<Enrolment>, bool)> {
        let mut by_person = self.enrolments_by_person(address, now).await?;
        let count = by_person.len();
        by_person.retain(|(_, whose)| whose.is_own());
        let are_kept_back = by_person.len() < count;
        Ok((
            by_person
                .into_iter()
                .map(|(enrolment, _)| enrolment)
                .collect(),
            are_kept_back,
        ))
    }

    /// Whether a grant gives nobody anything any more.
    async fn is_done_with(&self, grant: &Grant, now: Moment) -> Result<bool> {
        if grant.is_over() || grant.holds.dropped.is_some() {
            return Ok(true);
        }
        let programme = self.get(Programme::key_of(&grant.programme)).await?;
        Ok(programme.is_none_or(|programme: Programme| programme.is_over(now)))
    }

    /// Notes what an admin says of a grant: that it is another person's than the mailbox' reader,
    /// or that it is not. `false` where that was so.
    pub async fn set_anothers(
        &self,
        grant: &Grant,
        is_anothers: bool,
        author: Author<'_>,
    ) -> Result<bool> {
        let Grant {
            programme,
            id,
            person,
            ..
        } = grant;
        let enrolment = self
            .get(Enrolment::key_of(person.address.matched(), programme))
            .await?;
        let Some(before) = enrolment.filter(|enrolment: &Enrolment| enrolment.grant == *id) else {
            return Ok(false);
        };
        if before.is_anothers == is_anothers {
            return Ok(false);
        }
        let after = Enrolment {
            is_anothers,
            ..before
        };
        let as_read = [
            (":grant", text(id.as_str())),
            (":was", AttributeValue::Bool(!is_anothers)),
        ];
        let transaction =
            self.transaction()
                .put(&after, "#grant = :grant AND is_anothers = :was", &as_read)?;
        let act = if is_anothers {
            Act::AnothersFound
        } else {
            Act::SamePersonFound
        };
        let audit_entry = grant.entry(author.actor.clone(), AuditDetail::new(act), author.now);
        self.commit_once(transaction.with_entries(&[audit_entry])?, author.deadline)
            .await
    }

    /// Which of these people are on a roster elsewhere under another id than here.
    pub async fn find_under_other_ids(
        &self,
        programme: &ProgrammeId,
        people: impl Iterator<Item = (&MatchedAddress, &str)>,
    ) -> Result<Vec<MatchedAddress>> {
        let looks = people.map(|(address, id)| async move {
            for enrolment in self.list(Enrolment::of_address(address)).await? {
                let key = Grant::key_of(&enrolment.programme, &enrolment.grant);
                let elsewhere = if enrolment.programme == *programme {
                    None
                } else {
                    self.get(key).await?
                };
                let roster_id = elsewhere.and_then(|grant: Grant| grant.person.roster_id);
                if roster_id.is_some_and(|roster_id| roster_id != id) {
                    return Ok(Some(address.clone()));
                }
            }
            Ok::<_, StoreError>(None)
        });
        let found: Vec<Option<MatchedAddress>> = iter(looks.collect::<Vec<_>>())
            .buffered(PEOPLE_AT_ONCE)
            .try_collect()
            .await?;
        Ok(found.into_iter().flatten().collect())
    }
}

impl Table {
    /// Enrols people by these grants, at most [`INVITED_AT_ONCE`], each once and with a mail
    /// queued, unless the programme is closed. Those enrolled already stay as they are. Returns the
    /// new grants.
    pub async fn invite(
        &self,
        id: &ProgrammeId,
        people: &[Grant],
        author: Author<'_>,
    ) -> Result<Vec<GrantId>> {
        // In most cases nobody of them is enrolled, so that is looked at only where the first write
        // finds it otherwise.
        let is_first = AtomicBool::new(true);
        let invited = self.carry_through(author.deadline, || async {
            let mut added = Vec::new();
            let mut waiting = Unreserved::default();
            let mut seen = HashSet::new();
            let enrolled = if is_first.swap(false, Ordering::Relaxed) {
                vec![None; people.len()]
            } else {
                let keys = people
                    .iter()
                    .map(|grant| Enrolment::key_of(grant.person.address.matched(), id));
                try_join_all(keys.map(|key| self.get(key))).await?
            };
            let programme: Option<Programme> = self.get(Programme::key_of(id)).await?;
            let Some(programme) = programme.filter(|programme| programme.closed_at.is_none())
            else {
                return Ok(Round::Over(Vec::new()));
            };
            let opens = programme.settings.claim_opens_at();
            let as_read = number(programme.version);
            let mut transaction = self.transaction().check(
                &programme.key(),
                "version = :version",
                &[(":version", as_read)],
            )?;
            for (grant, enrolled) in people.iter().zip(enrolled) {
                let address = grant.person.address.matched().clone();
                let is_repeated = !seen.insert(address.clone());
                if is_repeated || enrolled.is_some() {
                    continue;
                }
                let enrolment = Enrolment {
                    address,
                    programme: id.clone(),
                    grant: grant.id.clone(),
                    enrolled_at: author.now,
                    is_anothers: false,
                };
                let mail = OutboxRow::invitation(id, &grant.id, opens, author.now);
                transaction = transaction.create(grant)?.create(&enrolment)?.owe(&mail)?;
                waiting.add(grant, None);
                added.push(grant.id.clone());
            }
            if added.is_empty() {
                return Ok(Round::Over(Vec::new()));
            }
            let update = CapMoves::new(&waiting.difference_from(&Unreserved::default()));
            let more_wait = format!("SET {}", update.set.join(", "));
            let budget = Budget::key_of(id);
            transaction = transaction.update(
                &budget,
                &more_wait,
                "attribute_exists(pk)",
                &update.values(),
            )?;
            // Of many, the job that invites them counts the mails at its end.
            if added.len() == 1 {
                transaction = transaction.counting_roster_mails(id, 1, [0; 5])?;
            }
            let what = AuditDetail::new(Act::Invited)
                .with_note(added.iter().map(GrantId::as_str).joined(" "));
            let audit_entry = author.entry_on(id, what);
            Ok(Round::Write(
                transaction.with_entries(&[audit_entry])?,
                added,
            ))
        });
        let added = invited.await?;
        let invited = added.len() as i64;
        self.move_counts(
            id,
            Counts {
                invited,
                ..Counts::default()
            },
            author.deadline,
        )
        .await;
        Ok(added)
    }
}
