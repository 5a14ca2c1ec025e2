//! Erasures: who somebody was is forgotten, for one person at an admin's request or for everybody of a programme that is long over. What
//! was spent, and by which grant, stays.
//!
//! A grant is erased once it is over and its keys are off and read for the last time. One transaction puts `erased-<grant>` in the place
//! of its person and takes away what lies under the address, unless a role or another grant still needs it; it counts that in the
//! erasure as well, which becomes the receipt and then names nobody. So every step may be done again, and counts once.

use crate::domain::programme::role::Roles;
use crate::domain::sign_in::{Session, SignIn};
use crate::prelude::*;
use crate::store::grants::act::transaction_of;
use crate::store::items::{Queue, Stored};
use crate::store::table::write::{Pauses, Round, Transaction, Unaudited};
use crate::store::{
    ActContext, Author, Enrolment, Import, JOB_LEASE, Job, JobState, KnownAddress, Link, LoginRequest, MailState,
    OutboxRow, QueuedMail, RosterFilePart, RosterPreview, StaffPerson, Undeliverable, Work, keys,
};

/// How many writes beside those of the grant fit into a transaction.
const MOST_BESIDE: usize = 80;
/// How long the backups of the table keep what was erased.
pub const IN_BACKUPS: SignedDuration = SignedDuration::from_hours(35 * 24);
/// The reason recorded for a mail that was not sent yet.
const ERASED: &str = "whom it was for was erased";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    pub id: Ulid,
    /// Whom it is about, until nothing of them is left. `None` then, or where it is about a programme.
    pub address: Option<MatchedAddress>,
    pub programme: Option<ProgrammeId>,
    pub by: Actor,
    pub asked_at: Moment,
    #[serde(flatten)]
    pub state: JobState,
    /// The grants that are erased, of all.
    pub done: u32,
    pub all: u32,
    /// How many items were erased, by their kind.
    pub counts: BTreeMap<String, u32>,
    pub version: u64,
}

stored! {
    "erasure" Erasure |it| (id: Ulid = it.id) => key("ERASURES", id.to_string());
    list all() => begin("ERASURES", "");
    waits it.state.waits_until().map(|due| (Queue::Erasure, due))
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErasureBegun {
    /// The erasure under this id, which may have begun before.
    Yes(Ulid),
    /// An admin, or somebody whom a programme's settings name.
    HasRole,
    Nobody,
}

impl Erasure {
    fn begun(id: Ulid, by: Author<'_>) -> Erasure {
        Erasure {
            id,
            address: None,
            programme: None,
            by: by.actor.clone(),
            asked_at: by.now,
            state: JobState::Running { lease_until: by.now },
            done: 0,
            all: 0,
            counts: BTreeMap::new(),
            version: 1,
        }
    }

    pub fn is_running(&self) -> bool {
        self.state.waits_until().is_some()
    }

    fn next(&self) -> Erasure {
        Erasure { version: self.version + 1, ..self.clone() }
    }

    fn count<T: Stored>(&mut self, items: usize) {
        if let Ok(items @ 1..) = u32::try_from(items) {
            *self.counts.entry(T::KIND.to_owned()).or_default() += items;
        }
    }
}

impl Table {
    /// Begins to forget a person. The id is that of the form, which begins one erasure however often it is sent.
    pub async fn begin_erasure(
        &self,
        id: Ulid,
        address: &MatchedAddress,
        by: Author<'_>,
    ) -> Result<ErasureBegun, StoreError> {
        self.carry_through(by.deadline, || async {
            if self.has_role(address).await? {
                return Ok(Round::Over(ErasureBegun::HasRole));
            }
            let is_it = |one: &Erasure| one.id == id || one.address.as_ref() == Some(address);
            if let Some(begun) = self.list(Erasure::all()).await?.into_iter().find(is_it) {
                return Ok(Round::Over(ErasureBegun::Yes(begun.id)));
            }
            let enrolments = self.list(Enrolment::of_address(address)).await?.len();
            let (known, mark) =
                tokio::try_join!(self.get(KnownAddress::key_of(address)), self.get(Undeliverable::key_of(address)))?;
            if enrolments == 0 && known.is_none() && mark.is_none() {
                return Ok(Round::Over(ErasureBegun::Nobody));
            }
            let all = u32::try_from(enrolments).unwrap_or(u32::MAX);
            let erasure = Erasure { address: Some(address.clone()), all, ..Erasure::begun(id, by) };
            let entry = Entry::on_account(by.actor, by.now, AuditDetail::new(Act::ErasureBegun).noting(id));
            Ok(Round::Write(self.transaction().create(&erasure)?.told_by(&[entry])?, ErasureBegun::Yes(id)))
        })
        .await
    }

    /// Begins to forget everybody of the programmes that were over before this time. The index is a moment behind.
    pub async fn begin_retention(&self, over_before: Moment, by: Author<'_>) -> Result<(), StoreError> {
        for key in self.due(Queue::Retention, over_before, 1).await? {
            let Some(programme) = self.get::<Programme>(key.into()).await? else { continue };
            let (id, version) = (programme.id.clone(), programme.version);
            let begun = Programme { erased_at: Some(by.now), version: version + 1, ..programme };
            let erasure = Erasure { programme: Some(id.clone()), ..Erasure::begun(new_ulid(by.now), by) };
            let entry = Entry::on_programme(&id, by.actor, by.now, AuditDetail::new(Act::ErasureBegun));
            let transaction = self.transaction().replace(&begun, version)?.create(&erasure)?;
            // Whoever edits it at this moment comes first.
            self.commit_once(transaction.told_by(&[entry])?, by.deadline).await?;
        }
        Ok(())
    }

    pub async fn due_erasures(&self, now: Moment, limit: i32) -> Result<Vec<Ulid>, StoreError> {
        let due = self.due(Queue::Erasure, now, limit).await?;
        Ok(due.iter().filter_map(|key| key.sk.parse().ok()).collect())
    }

    /// Makes the caller the one who carries an erasure on, unless somebody else does or it is done.
    pub async fn take_erasure(&self, id: Ulid, now: Moment, deadline: Deadline) -> Result<Option<Erasure>, StoreError> {
        let Some(erasure) = self.get(Erasure::key_of(id)).await? else { return Ok(None) };
        if erasure.state.waits_until().is_none_or(|due| now < due) {
            return Ok(None);
        }
        self.leave_erasure(&erasure, JobState::Running { lease_until: now + JOB_LEASE }, deadline).await
    }

    /// Writes the state of an erasure that the caller carries on. Returns `None` when somebody else has written it since.
    pub async fn leave_erasure(
        &self,
        erasure: &Erasure,
        state: JobState,
        deadline: Deadline,
    ) -> Result<Option<Erasure>, StoreError> {
        let after = Erasure { state, ..erasure.next() };
        Ok(self.replace(&after, erasure.version, Unaudited::Erasure, deadline).await?.then_some(after))
    }

    /// The grants that are still to be erased.
    pub async fn grants_to_erase(&self, erasure: &Erasure) -> Result<Vec<(ProgrammeId, GrantId)>, StoreError> {
        if let Some(programme) = &erasure.programme {
            let grants = self.grants(programme).await?.into_iter().filter(|grant| !grant.person.address.is_erased());
            return Ok(grants.map(|grant| (grant.programme, grant.id)).collect());
        }
        let Some(address) = &erasure.address else { return Ok(Vec::new()) };
        let enrolments = self.list(Enrolment::of_address(address)).await?.into_iter();
        Ok(enrolments.map(|of| (of.programme, of.grant)).collect())
    }

    /// Erases a grant, as far as it is time for that. Returns `None` when it is not, or somebody was faster.
    pub async fn erase_grant(&self, at: ActContext<'_>, erasure: &Erasure) -> Result<Option<Erasure>, StoreError> {
        let Some(view) = Box::pin(self.view(at.programme, at.grant)).await? else { return Ok(None) };
        let Ok(change) = view.erase(&erasure.by) else { return Ok(None) };
        // A preview that is being applied may name them, and is still needed.
        let applies = |job: &Job| job.is_running() && matches!(job.work, Work::Import { .. } | Work::Bulk { .. });
        if self.jobs(at.programme).await?.iter().any(applies) {
            return Ok(None);
        }
        let (mut after, mut transaction) = (erasure.next(), self.transaction());
        let mut addresses = BTreeSet::from([view.grant.person.address.matched().clone()]);
        for row in self.mails_of(at.programme, at.grant).await? {
            let mut becomes = OutboxRow { version: row.version + 1, ..row.clone() };
            if let QueuedMail::FormerAddress { address, .. } = &mut becomes.mail {
                addresses.insert(address.matched().clone());
                *address = EmailAddress::erased(at.grant);
            }
            if matches!(row.state, MailState::Waiting { .. } | MailState::Sending { .. } | MailState::Failed { .. }) {
                becomes.state = MailState::Dropped { why: ERASED.to_owned(), at: at.now };
            }
            if becomes.mail != row.mail || becomes.state != row.state {
                transaction = transaction.replace(&becomes, row.version)?;
                after.count::<OutboxRow>(1);
            }
        }
        for preview in self.list(Import::of_programme(at.programme)).await? {
            let parts: Vec<_> = preview.parts().collect();
            after.count::<Import>(parts.len());
            transaction = transaction.without(parts)?;
        }
        for preview in self.list(RosterPreview::of_programme(at.programme)).await? {
            let file = self.list(RosterFilePart::of_import(preview.import)).await?;
            after.count::<RosterFilePart>(file.len());
            let parts = file.iter().map(|part| part.key().item).chain([preview.key().item]);
            transaction = transaction.without(parts.collect())?;
        }
        for address in addresses {
            transaction = self.without_address(transaction, &mut after, &address, Some(at.grant)).await?;
        }
        after.count::<Grant>(1);
        after.count::<Enrolment>(1);
        after.done += 1;
        let mut parts = transaction.in_parts(MOST_BESIDE);
        let last = parts.pop().unwrap_or_else(|| self.transaction()).replace(&after, erasure.version)?;
        let told = transaction_of(last, &view, &change.counted(&view, at.now), at.now)?;
        for part in parts {
            if !self.commit_once(part.unaudited(Unaudited::Erasure), at.deadline).await? {
                return Ok(None);
            }
        }
        Ok(self.commit_once(told, at.deadline).await?.then_some(after))
    }

    /// Takes away what is left under a person's address when none of their grants is, and makes the erasure its receipt.
    pub async fn end_erasure(&self, erasure: &Erasure, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let mut after = Erasure { address: None, state: JobState::Done { at: now }, ..erasure.next() };
        let mut transaction = self.transaction();
        if let Some(address) = &erasure.address {
            transaction = self.without_address(transaction, &mut after, address, None).await?;
        }
        after.all = after.done;
        let mut parts = transaction.in_parts(MOST_BESIDE);
        let last = parts.pop().unwrap_or_else(|| self.transaction());
        let mut pauses = Pauses::until(deadline);
        for part in parts.into_iter().chain([last.replace(&after, erasure.version)?]) {
            self.commit(part.unaudited(Unaudited::Erasure), &mut pauses).await?;
        }
        Ok(())
    }

    /// Takes away what lies under an address but its enrolments, unless a role or another grant than this one needs it.
    async fn without_address(
        &self,
        transaction: Transaction,
        after: &mut Erasure,
        address: &MatchedAddress,
        grant: Option<&GrantId>,
    ) -> Result<Transaction, StoreError> {
        let enrolments = self.list(Enrolment::of_address(address)).await?;
        if enrolments.iter().any(|of| Some(&of.grant) != grant) || self.has_role(address).await? {
            return Ok(transaction);
        }
        let (sign_in, known, mark, requests) = tokio::try_join!(
            self.sign_in_of(address),
            self.get(KnownAddress::key_of(address)),
            self.get(Undeliverable::key_of(address)),
            self.list(LoginRequest::of_address(address)),
        )?;
        let mut keys = Vec::new();
        for request in &requests {
            keys.extend([request.key().item, OutboxRow::key_of(request.id).item]);
        }
        if let Some(person) = known.as_ref().and_then(|known| known.person.as_ref()) {
            keys.push(StaffPerson::key_of(person).item);
            after.count::<StaffPerson>(1);
        }
        keys.extend(known.iter().map(|known| known.key().item));
        keys.extend(mark.iter().map(|mark| mark.key().item));
        after.count::<LoginRequest>(requests.len());
        after.count::<KnownAddress>(usize::from(known.is_some()));
        after.count::<Undeliverable>(usize::from(mark.is_some()));
        after.count::<SignIn>(usize::from(sign_in.version > 0));
        after.count::<Session>(sign_in.sessions.len());
        after.count::<Link>(sign_in.made.len());
        self.signing_out(transaction.without(keys)?, address).await
    }

    /// Whether somebody here has this address.
    pub async fn is_anybodys(&self, address: &MatchedAddress) -> Result<bool, StoreError> {
        Ok(self.has_role(address).await? || !self.list(Enrolment::of_address(address)).await?.is_empty())
    }

    /// Whether this is an admin, or somebody whom the settings of a programme name.
    pub async fn has_role(&self, address: &MatchedAddress) -> Result<bool, StoreError> {
        Ok(self.is_admin(address).await? || !self.list(Roles::of_address(address)).await?.is_empty())
    }
}

impl Transaction {
    fn without(self, keys: Vec<keys::ItemKey>) -> Result<Transaction, StoreError> {
        keys.iter().try_fold(self, |transaction, key| transaction.remove(key, "", &[]))
    }
}
