//! Erasures: who somebody was is forgotten, for one person at an admin's request or for everybody of a programme that is long over. What
//! was spent, and by which grant, stays.
//!
//! A grant is erased once its keys are off and read for the last time. One transaction puts `erased-<grant>` in the place of its person,
//! takes away what lies under the address, unless a role or another grant needs it, and counts that in the erasure, which becomes the
//! receipt. So every step may be done again and by two runners, and counts once. At last the roster files that are kept go, since any may
//! name the person, and the names in the steps of imports.

use crate::domain::sign_in::{Session, SignIn};
use crate::store::grants::act::transaction_of;
use crate::store::prelude::*;
use crate::store::{ImportPart, Kept, KnownAddress, Link, LoginRequest, RosterPreview, StaffPerson, Step};

/// How long the backups of the table keep what was erased.
const IN_BACKUPS: SignedDuration = SignedDuration::from_hours(35 * 24);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Erasure {
    pub id: Ulid,
    /// Whose address it is about, until nothing is left under it. `None` then, and where it is about no address.
    pub address: Option<MatchedAddress>,
    /// The grants of the person when it began. Later their address may be somebody else's.
    pub grants: Vec<(ProgrammeId, GrantId)>,
    /// Where it is about everybody of a programme.
    pub programme: Option<ProgrammeId>,
    pub by: Actor,
    /// When it goes on; `None` once it is done.
    pub again_at: Option<Moment>,
    pub done_at: Option<Moment>,
    /// When a grant was erased last, or it began.
    pub advanced_at: Moment,
    /// The grants that are erased, of all.
    pub done: u32,
    pub all: u32,
    /// How many items were erased, by their kind.
    pub counts: BTreeMap<String, u32>,
    pub version: u64,
}

stored! {
    "erasure" Erasure |it| (id: Ulid = it.id) => key("ERASURES", id.to_string());
    list all() => begin("ERASURES", "")
}

impl Erasure {
    fn begun(id: Ulid, by: Author<'_>) -> Erasure {
        Erasure {
            id,
            address: None,
            grants: Vec::new(),
            programme: None,
            by: by.actor.clone(),
            again_at: Some(by.now),
            done_at: None,
            advanced_at: by.now,
            done: 0,
            all: 0,
            counts: BTreeMap::new(),
            version: 1,
        }
    }

    pub fn of_person(id: Ulid, address: &MatchedAddress, by: Author<'_>) -> Erasure {
        Erasure { address: Some(address.clone()), ..Erasure::begun(id, by) }
    }

    /// Of whom a grant without an address is.
    pub fn of_grant(id: Ulid, grant: &Grant, by: Author<'_>) -> Erasure {
        Erasure { grants: vec![(grant.programme.clone(), grant.id.clone())], ..Erasure::begun(id, by) }
    }

    /// The day on which the last backup that has it is gone.
    pub fn in_backups_until(&self) -> Option<Date> {
        self.done_at.map(|at| utc_date(at + IN_BACKUPS))
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
    /// Begins to forget a person. Returns the id of the erasure that runs for them, or `None` if nobody here has the address.
    pub async fn begin_erasure(&self, mut begun: Erasure, by: Author<'_>) -> Result<Option<Ulid>, StoreError> {
        let whom = |one: &Erasure| (one.address.clone(), one.address.is_none().then(|| one.grants.clone()));
        let is_it = |one: &Erasure| one.again_at.is_some() && whom(one) == whom(&begun);
        if let Some(begun) = self.list(Erasure::all()).await?.into_iter().find(is_it) {
            return Ok(Some(begun.id));
        }
        if let Some(address) = &begun.address {
            let (enrolments, known, mark) = tokio::try_join!(
                self.list(Enrolment::of_address(address)),
                self.get(KnownAddress::key_of(address)),
                self.get(Undeliverable::key_of(address)),
            )?;
            if enrolments.is_empty() && known.is_none() && mark.is_none() {
                return Ok(None);
            }
            begun.grants = enrolments.into_iter().map(|of| (of.programme, of.grant)).collect();
        }
        begun.all = u32::try_from(begun.grants.len()).unwrap_or(u32::MAX);
        let entry = Entry::on_account(by.actor, by.now, AuditDetail::new(Act::ErasureBegun).noting(begun.id));
        // Where it is there, the same form began it.
        self.commit_once(self.transaction().create(&begun)?.told_by(&[entry])?, by.deadline).await?;
        Ok(Some(begun.id))
    }

    /// Begins to forget everybody of a programme that was over before this time. The index is a moment behind.
    pub async fn begin_retention(&self, over_before: Moment, by: Author<'_>) -> Result<(), StoreError> {
        for key in self.due(Queue::Retention, over_before, 20).await? {
            // One that cannot be read keeps no other from its end; the syncs tell of it.
            let Ok(Some(programme)) = self.get::<Programme>(key.into()).await else { continue };
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

    /// The grants that are still to be erased.
    pub async fn grants_to_erase(&self, erasure: &Erasure) -> Result<Vec<(ProgrammeId, GrantId)>, StoreError> {
        let grants = match &erasure.programme {
            Some(programme) => self.grants(programme).await?,
            None => {
                let begun = erasure.grants.iter().map(|(programme, grant)| self.get(Grant::key_of(programme, grant)));
                try_join_all(begun).await?.into_iter().flatten().collect()
            }
        };
        let left = grants.into_iter().filter(|grant| !grant.person.address.is_erased());
        Ok(left.map(|grant| (grant.programme, grant.id)).collect())
    }

    /// Erases a grant, if it is time for that. Returns `None` if it is not, or somebody was faster.
    pub async fn erase_grant(&self, at: ActContext<'_>, erasure: &Erasure) -> Result<Option<Erasure>, StoreError> {
        let Some(view) = Box::pin(self.view(at.programme, at.grant)).await? else { return Ok(None) };
        let Ok(change) = view.erase(&erasure.by) else { return Ok(None) };
        let (mut after, mut transaction) = (erasure.next(), self.transaction());
        let had = &view.grant.person.address;
        let mut addresses = BTreeSet::new();
        if !had.is_none() {
            addresses.insert(had.matched().clone());
            after.count::<Enrolment>(1);
        }
        for row in self.mails_of(at.programme, at.grant).await? {
            let mut becomes = OutboxRow { version: row.version + 1, ..row.clone() };
            if let QueuedMail::FormerAddress { address, .. } = &mut becomes.mail {
                addresses.insert(address.matched().clone());
                *address = EmailAddress::erased(at.grant);
            }
            if matches!(row.state, MailState::Waiting { .. } | MailState::Sending { .. } | MailState::Failed { .. }) {
                becomes.state = MailState::Dropped { why: "whom it was for was erased".to_owned(), at: at.now };
            }
            if becomes.mail != row.mail || becomes.state != row.state {
                transaction = transaction.replace(&becomes, row.version)?;
                after.count::<OutboxRow>(1);
            }
        }
        for address in addresses {
            transaction =
                self.without_address(transaction, &mut after, &address, (Some(at.grant), at.deadline)).await?;
        }
        after.count::<Grant>(1);
        (after.done, after.advanced_at) = (after.done + 1, at.now);
        let transaction = transaction.replace(&after, erasure.version)?;
        let told = transaction_of(transaction, &view, &change.counted(&view, at.now), at.now)?;
        Ok(self.commit_once(told, at.deadline).await?.then_some(after))
    }

    /// Ends an erasure if nothing is left to it: what is under a person's address goes too, and the erasure names nobody. Otherwise it goes
    /// on after this time.
    pub async fn leave_erasure(
        &self,
        erasure: &Erasure,
        goes_on_after: SignedDuration,
        by: Author<'_>,
    ) -> Result<bool, StoreError> {
        let (mut after, mut transaction) = (erasure.next(), self.transaction());
        let is_done = self.grants_to_erase(erasure).await?.is_empty()
            && self.without_files(&mut after, by.now, by.deadline).await?;
        (after.again_at, after.done_at) =
            if is_done { (None, Some(by.now)) } else { (Some(by.now + goes_on_after), None) };
        if is_done && let Some(address) = after.address.take() {
            transaction = self.without_address(transaction, &mut after, &address, (None, by.deadline)).await?;
        }
        let transaction = transaction.replace(&after, erasure.version)?.unaudited(Unaudited::Erasure);
        // Another runner may be further.
        self.commit_once(transaction, by.deadline).await?;
        Ok(is_done)
    }

    /// Takes away the roster files that are kept, everywhere or in the erasure's programme, and from imports who somebody is. `false` where
    /// one is being applied, which needs that.
    async fn without_files(&self, after: &mut Erasure, now: Moment, deadline: Deadline) -> Result<bool, StoreError> {
        let (mut applied, mut is_all, of) = (HashSet::new(), true, after.programme.clone());
        for programme in self.list(Programme::all()).await? {
            let running = self.jobs(&programme.id).await?.into_iter().filter(Job::is_running);
            applied.extend(running.filter_map(|job| match job.work {
                Work::Import { import, .. } => Some(import),
                _ => None,
            }));
        }
        for shard in SHARDS {
            let parts = self.list(ImportPart::in_shard(shard)).await?.into_iter();
            for part in parts.filter(|part| of.as_ref().is_none_or(|of| *of == part.programme)) {
                match part.kept {
                    Kept::Steps => {
                        let mut steps = part.steps()?;
                        if !steps.iter().any(Step::names_somebody) {
                            continue;
                        }
                        if applied.contains(&part.import) || part.is_of_a_request(now) {
                            is_all = false;
                            continue;
                        }
                        steps.retain(|step| !step.names_somebody());
                        let part = ImportPart { bytes: ImportPart::bytes_of(&steps), ..part };
                        self.write_alone(self.single().set(&part)?, deadline).await?;
                    }
                    Kept::File | Kept::Rows => {
                        self.delete(&RosterPreview::key_of(&part.programme, part.import), deadline).await?;
                        self.delete(&part.key(), deadline).await?;
                    }
                }
                after.count::<ImportPart>(1);
            }
        }
        Ok(is_all)
    }

    /// Takes away what lies under an address but its enrolments, unless a role or another grant than this one needs it.
    async fn without_address(
        &self,
        mut transaction: Transaction,
        after: &mut Erasure,
        address: &MatchedAddress,
        (grant, deadline): (Option<&GrantId>, Deadline),
    ) -> Result<Transaction, StoreError> {
        if self.is_anybodys(address, grant).await? {
            return Ok(transaction);
        }
        // There may be more than fit into a transaction: anybody may ask.
        for request in self.list(LoginRequest::of_address(address)).await? {
            self.delete(&OutboxRow::key_of(request.id), deadline).await?;
            self.delete(&request.key(), deadline).await?;
            after.count::<LoginRequest>(1);
        }
        if let Some(known) = self.get(KnownAddress::key_of(address)).await? {
            transaction = transaction.remove(&known.key(), "", &[])?;
            after.count::<KnownAddress>(1);
            if let Some(person) = known.person {
                transaction = transaction.remove(&StaffPerson::key_of(&person), "", &[])?;
                after.count::<StaffPerson>(1);
            }
        }
        if let Some(mark) = self.get(Undeliverable::key_of(address)).await? {
            transaction = transaction.remove(&mark.key(), "", &[])?;
            after.count::<Undeliverable>(1);
        }
        let sign_in = self.sign_in_of(address).await?;
        after.count::<SignIn>(usize::from(sign_in.version > 0));
        after.count::<Session>(sign_in.sessions.len());
        after.count::<Link>(sign_in.made.len());
        self.signing_out(transaction, address).await
    }

    /// Whether somebody here has this address, but for this grant.
    pub async fn is_anybodys(&self, address: &MatchedAddress, but: Option<&GrantId>) -> Result<bool, StoreError> {
        let enrolments = self.list(Enrolment::of_address(address)).await?;
        Ok(enrolments.iter().any(|of| Some(&of.grant) != but) || self.has_role(address).await?)
    }

    /// Whether this is an admin, or somebody whom the settings of a programme name.
    pub async fn has_role(&self, address: &MatchedAddress) -> Result<bool, StoreError> {
        Ok(self.is_admin(address).await? || !self.list(Roles::of_address(address)).await?.is_empty())
    }
}
