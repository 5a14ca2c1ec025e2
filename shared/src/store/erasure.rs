//! Erasures: who somebody was is forgotten, for one person at an admin's request or for everybody
//! of a programme that is long over. What was spent, and by which grant, stays.
//!
//! A grant is erased once its keys are off and read for the last time. One transaction puts
//! `erased-<grant>` in the place of its person, takes away what lies under the address, unless a
//! role or another grant needs it, and counts that in the erasure, which becomes the receipt. So
//! every step may be done again and by two runners, and counts once. At last the roster files that
//! are kept go, since any may name the person, and the names in requests to admins. Whatever a copy
//! or a file adds meanwhile joins the erasure before it ends. What it does with each kind of item
//! says [`Kind::at_erasure`](crate::schema::Kind::at_erasure).

use std::collections::{BTreeMap, BTreeSet, HashSet};

use aws_sdk_dynamodb::types::AttributeValue;
use jiff::SignedDuration;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::grant::{Grant, Person};
use crate::domain::mail::kind::MailKind;
use crate::domain::programme::Programme;
use crate::domain::programme::role::Roles;
use crate::domain::sign_in::{Session, SignIn};
use crate::domain::sign_on::SignOnBinding;
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::format::Joined;
use crate::domain::values::id::{GrantId, ProgrammeId, new_ulid};
use crate::domain::values::window::utc_date;
use crate::schema::{ItemKey, Queue, SHARDS, Stored, begin, key, stored};
use crate::store::grants::act::transaction_of;
use crate::store::table::collect_reads;
use crate::store::table::write::{Transaction, Unaudited, Writes, text};
use crate::store::{
    ActContext, Author, Enrolment, FiledMail, Import, ImportPart, Job, Kept, KnownAddress, Link,
    LoginRequest, MailState, OutboxRow, QueuedMail, Result, RetentionHold, RosterPreview,
    StaffPerson, Table, Undeliverable,
};

/// How many mails of a grant are changed in one transaction, with up to as many addresses.
const ROWS_AT_ONCE: usize = 12;
/// After so long no request is under way that began before, such as a sign-in, and what lies under
/// an address is looked at once more.
const LOOKED_AT_AGAIN: SignedDuration = SignedDuration::from_mins(1);
/// For so many days the backups of the table keep what was erased.
pub const BACKUP_DAYS: u16 = 35;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Erasure {
    pub id: Ulid,
    /// Whose address it is about, until nothing is left under it. `None` then, and where it is
    /// about no address.
    pub address: Option<MatchedAddress>,
    /// The grants of the person. Later their address may be somebody else's.
    pub grants: Vec<(ProgrammeId, GrantId)>,
    /// The person's ids on rosters, by which a grant that is added meanwhile is known to be theirs,
    /// and their former addresses as they are found. Empty once it is done.
    pub ids: BTreeSet<String>,
    pub former: BTreeSet<MatchedAddress>,
    /// Where it is about everybody of a programme.
    pub programme: Option<ProgrammeId>,
    pub actor: Actor,
    /// When it goes on; `None` once it is done.
    pub again_at: Option<Moment>,
    /// When nothing was left to erase but what a request under way may still write.
    pub cleared_at: Option<Moment>,
    pub done_at: Option<Moment>,
    /// When a grant was erased last, or it began.
    pub advanced_at: Moment,
    /// The grants that are erased, of all.
    pub done: u32,
    pub total: u32,
    /// How many items were erased, by their kind.
    pub counts: BTreeMap<String, u32>,
    pub version: u64,
}

stored! {
    Erasure |erasure| (id: Ulid = erasure.id) => key("ERASURES", id.to_string());
    list all() => begin("ERASURES", "");
    waits |erasure| erasure.again_at.map(|due_at| (Queue::JOB, due_at))
}

impl Erasure {
    fn begun(id: Ulid, author: Author<'_>) -> Erasure {
        Erasure {
            id,
            address: None,
            grants: Vec::new(),
            ids: BTreeSet::new(),
            former: BTreeSet::new(),
            programme: None,
            actor: author.actor.clone(),
            again_at: Some(author.now),
            cleared_at: None,
            done_at: None,
            advanced_at: author.now,
            done: 0,
            total: 0,
            counts: BTreeMap::new(),
            version: 1,
        }
    }

    /// Of the person with these grants and this address, if they have one.
    pub fn of_person(
        id: Ulid,
        address: Option<&MatchedAddress>,
        grants: &[Grant],
        author: Author<'_>,
    ) -> Erasure {
        let mut begun = Erasure {
            address: address.cloned(),
            ..Erasure::begun(id, author)
        };
        grants.iter().for_each(|grant| begun.join(grant));
        begun
    }

    /// The id of the erasure of this key, if it is one's.
    pub fn named(key: &ItemKey) -> Option<Ulid> {
        key.sk.parse().ok().filter(|_| key.pk == "ERASURES")
    }

    fn join(&mut self, grant: &Grant) {
        let named = (grant.programme.clone(), grant.id.clone());
        if !self.grants.contains(&named) {
            self.grants.push(named);
            self.total += 1;
            self.ids.extend(grant.person.roster_id.clone());
        }
    }

    /// Whether it is about this address or one of these grants.
    pub fn has_any(&self, address: &MatchedAddress, grants: &[Grant]) -> bool {
        let mut ids = self.grants.iter().map(|(_, id)| id);
        self.address.as_ref() == Some(address)
            || ids.any(|id| grants.iter().any(|grant| grant.id == *id))
    }

    pub fn is_running(&self) -> bool {
        self.again_at.is_some()
    }

    /// Whether a grant of the typed address, or of a former one, is this person's. Under another id
    /// it is somebody else's, and without one nobody knows of whom a former address is.
    fn is_of(&self, person: &Person, is_typed: bool) -> bool {
        match &person.roster_id {
            Some(id) => self.ids.contains(id) || (is_typed && self.ids.is_empty()),
            None => is_typed,
        }
    }

    /// The day on which the last backup that has it is gone.
    pub fn in_backups_until(&self) -> Option<Date> {
        self.done_at.map(|done_at| {
            utc_date(done_at + SignedDuration::from_hours(24 * i64::from(BACKUP_DAYS)))
        })
    }

    fn next(&self) -> Erasure {
        Erasure {
            version: self.version + 1,
            ..self.clone()
        }
    }

    fn count<T: Stored>(&mut self, items: usize) {
        if items > 0 {
            *self.counts.entry(T::KIND.to_owned()).or_default() += items as u32;
        }
    }
}

impl Table {
    /// Begins to forget a person. Returns the id of the erasure that runs for them, or `None` if
    /// nobody here has the address.
    pub async fn begin_erasure(&self, begun: Erasure, author: Author<'_>) -> Result<Option<Ulid>> {
        for erasure in self
            .list(Erasure::all())
            .await?
            .into_iter()
            .filter(Erasure::is_running)
        {
            let has_all = begun
                .grants
                .iter()
                .all(|grant| erasure.grants.contains(grant));
            if has_all && erasure.address == begun.address {
                return Ok(Some(erasure.id));
            }
        }
        if let Some(address) = begun.address.as_ref().filter(|_| begun.grants.is_empty())
            && self.get(KnownAddress::key_of(address)).await?.is_none()
            && self.get(Undeliverable::key_of(address)).await?.is_none()
        {
            return Ok(None);
        }
        let audit_entry =
            author.entry_on_account(AuditDetail::new(Act::ErasureBegun).with_note(begun.id));
        let mut transaction = self.transaction().create(&begun)?;
        if let Some(address) = &begun.address {
            transaction = transaction.check(
                &RetentionHold::key_of(address),
                "attribute_not_exists(pk)",
                &[],
            )?;
        }
        // Where it is there, the same form began it.
        self.commit_once(transaction.with_entries(&[audit_entry])?, author.deadline)
            .await?;
        Ok(Some(begun.id))
    }

    /// Begins to forget everybody of a programme that was over before this time. The index is a
    /// moment behind.
    pub async fn begin_retention(&self, over_before: Moment, author: Author<'_>) -> Result<()> {
        for key in self.due(Queue::RETENTION, over_before, 20).await? {
            // One that cannot be read keeps no other from its end; the syncs tell of it.
            let Ok(Some(programme)) = self.get::<Programme>(key.into()).await else {
                continue;
            };
            let id = programme.id.clone();
            let begun = Programme {
                erased_at: Some(author.now),
                version: programme.version + 1,
                ..programme
            };
            let erasure = Erasure {
                programme: Some(id.clone()),
                ..Erasure::begun(new_ulid(author.now), author)
            };
            let audit_entry = author.entry_on(&id, AuditDetail::new(Act::ErasureBegun));
            let transaction = self.transaction().replace(&begun)?.create(&erasure)?;
            // Whoever edits it at this moment comes first.
            self.commit_once(transaction.with_entries(&[audit_entry])?, author.deadline)
                .await?;
        }
        Ok(())
    }

    /// The grants that are still to be erased.
    pub async fn grants_to_erase(&self, erasure: &Erasure) -> Result<Vec<(ProgrammeId, GrantId)>> {
        let grants = match &erasure.programme {
            Some(programme) => self.remove_held(self.grants(programme).await?).await?,
            None => {
                let begun = erasure
                    .grants
                    .iter()
                    .map(|(programme, grant)| self.get(Grant::key_of(programme, grant)));
                collect_reads(begun).await?
            }
        };
        let remaining = grants
            .into_iter()
            .filter(|grant| !grant.person.address.is_erased());
        Ok(remaining.map(|grant| (grant.programme, grant.id)).collect())
    }

    /// The grants under an address.
    pub async fn grants_of_address(&self, address: &MatchedAddress) -> Result<Vec<Grant>> {
        let enrolments = self.list(Enrolment::of_address(address)).await?;
        let grants = enrolments
            .iter()
            .map(|enrolment| self.get(Grant::key_of(&enrolment.programme, &enrolment.grant)));
        collect_reads(grants).await
    }

    /// Other grants that may be the same person's as these: they have the address under another id,
    /// lost it to somebody else, or bear the same id.
    pub async fn perhaps_theirs(
        &self,
        address: Option<&MatchedAddress>,
        grants: &[Grant],
    ) -> Result<Vec<Grant>> {
        // An id and the hash of an address are never alike.
        let mut sought: BTreeSet<String> =
            grants.iter().flat_map(|grant| grant.lost.clone()).collect();
        sought.extend(
            grants
                .iter()
                .filter_map(|grant| grant.person.roster_id.clone()),
        );
        sought.extend(address.map(MatchedAddress::digest));
        let names: Vec<String> = (0..sought.len())
            .map(|number| format!(":sought{number}"))
            .collect();
        let is_such = names
            .iter()
            .map(|name| format!("roster_id = {name} OR contains(lost, {name})"))
            .joined(" OR ");
        let values: Vec<_> = names
            .iter()
            .map(String::as_str)
            .zip(sought.iter().map(text))
            .collect();
        let mut candidates: Vec<Grant> = match address {
            Some(address) => self.grants_of_address(address).await?,
            None => Vec::new(),
        };
        if !sought.is_empty() {
            candidates.extend(self.grants_where(&is_such, &values).await?);
        }
        let mut seen: HashSet<(ProgrammeId, GrantId)> = HashSet::new();
        seen.extend(
            grants
                .iter()
                .map(|grant| (grant.programme.clone(), grant.id.clone())),
        );
        candidates.retain(|grant| {
            !grant.person.address.is_erased()
                && seen.insert((grant.programme.clone(), grant.id.clone()))
        });
        Ok(candidates)
    }

    /// The grants of all programmes of which a condition holds. Every grant is read for that.
    pub(super) async fn grants_where(
        &self,
        condition: &str,
        values: &[(&str, AttributeValue)],
    ) -> Result<Vec<Grant>> {
        let mut grants = Vec::new();
        for programme in self
            .list(Programme::all())
            .await?
            .iter()
            .filter(|programme| programme.erased_at.is_none())
        {
            let shards = SHARDS.into_iter().map(|shard| {
                let query = self
                    .query(&Grant::of_shard(&programme.id, shard))
                    .filter_expression(condition);
                let values = values.iter().cloned();
                Self::read_all(values.fold(query, |query, (name, value)| {
                    query.expression_attribute_values(name, value)
                }))
            });
            grants.extend(collect_reads(shards).await?);
        }
        Ok(grants)
    }

    /// Erases a grant, if it is time for that. Returns `None` if it is not, or somebody was faster.
    pub async fn erase_grant(
        &self,
        context: ActContext<'_>,
        erasure: &Erasure,
    ) -> Result<Option<Erasure>> {
        let Some(view) = self.view(context.programme, context.grant).await? else {
            return Ok(None);
        };
        let Ok(change) = view.erase(&erasure.actor, context.now) else {
            return Ok(None);
        };
        let mut after = erasure.next();
        let mut transaction = self.transaction();
        let had = &view.grant.person.address;
        let mut addresses = BTreeSet::new();
        if !had.is_none() {
            addresses.insert(had.matched().clone());
        }
        let mut rows = 0;
        let mut are_all = true;
        let filed = self
            .list(FiledMail::filed_under(
                context.programme,
                Some(context.grant),
            ))
            .await?;
        // One that cannot be read may name the person, so that nothing is erased until it can be.
        let rows_of = filed.iter().flat_map(|filed| &filed.rows);
        for row in collect_reads(rows_of.map(|row| self.get(OutboxRow::key_of(*row)))).await? {
            let mut becomes = OutboxRow {
                version: row.version + 1,
                ..row.clone()
            };
            if let Some(address) = becomes.mail.address_mut() {
                addresses.insert(address.matched().clone());
                *address = EmailAddress::erased(context.grant);
            }
            let is_unsent = matches!(
                row.state,
                MailState::Waiting { .. }
                    | MailState::Planned { .. }
                    | MailState::Sending { .. }
                    | MailState::Failed { .. }
            );
            if is_unsent {
                becomes.state = MailState::Dropped {
                    why: "whom it was for was erased".to_owned(),
                    ended_at: context.now,
                };
            }
            if becomes.mail != row.mail || becomes.state != row.state {
                transaction = transaction.replace(&becomes)?;
                after.count::<OutboxRow>(1);
                rows += 1;
            }
            if rows == ROWS_AT_ONCE {
                are_all = false;
                break;
            }
        }
        for address in &addresses {
            transaction = self
                .erase_address(
                    transaction,
                    &mut after,
                    address,
                    (Some(context.grant), context.deadline),
                )
                .await?;
        }
        if erasure.programme.is_none() {
            after.former.extend(addresses);
        }
        if !are_all {
            // The rest of them, and the grant, come with the next minutes.
            let transaction = transaction.replace(&after)?.skip_audit(Unaudited::Erasure);
            return Ok(self
                .commit_once(transaction, context.deadline)
                .await?
                .then_some(after));
        }
        for mut audit_entry in self
            .list(AuditEntry::of_grant(context.programme, context.grant))
            .await?
        {
            if let Some(what) = audit_entry.what.without_reason() {
                audit_entry.what = what;
                self.set(&audit_entry, context.deadline).await?;
                after.count::<AuditEntry>(1);
            }
        }
        after.count::<Enrolment>(usize::from(!had.is_none()));
        after.count::<Grant>(1);
        (after.done, after.advanced_at) = (after.done + 1, context.now);
        let transaction = transaction.replace(&after)?;
        let transaction = transaction_of(
            transaction,
            &view,
            &change.counted(&view, context.now),
            context.now,
        )?;
        Ok(self
            .commit_once(transaction, context.deadline)
            .await?
            .then_some(after))
    }

    /// Ends an erasure if nothing is left to it: what is under a person's address goes too, a
    /// minute later once more, and the erasure names nobody. Otherwise it goes on after this time.
    pub async fn leave_erasure(
        &self,
        erasure: &Erasure,
        goes_on_after: SignedDuration,
        author: Author<'_>,
    ) -> Result<bool> {
        let mut after = erasure.next();
        let mut transaction = self.transaction();
        let mut is_clear = self.grants_to_erase(erasure).await?.is_empty()
            && self
                .remove_files(&mut after, author.now, author.deadline)
                .await?;
        if is_clear {
            for address in erasure.former.iter().chain(&erasure.address) {
                let is_typed = erasure.address.as_ref() == Some(address);
                let grants = self.grants_of_address(address).await?;
                let person_grants = grants
                    .iter()
                    .filter(|grant| erasure.is_of(&grant.person, is_typed));
                person_grants.for_each(|grant| after.join(grant));
            }
            is_clear = after.grants == erasure.grants;
        }
        after.again_at = Some(author.now + goes_on_after);
        let mut is_done = false;
        if is_clear {
            let cleared_at = *after.cleared_at.get_or_insert(author.now);
            after.again_at = Some(cleared_at + LOOKED_AT_AGAIN);
            is_done = cleared_at + LOOKED_AT_AGAIN <= author.now || erasure.programme.is_some();
            let mut nobodys = BTreeSet::new();
            let addresses: Vec<MatchedAddress> =
                after.former.iter().chain(&after.address).cloned().collect();
            for address in addresses {
                if !self.is_anybodys(&address, None).await? {
                    transaction = self
                        .erase_address(transaction, &mut after, &address, (None, author.deadline))
                        .await?;
                    nobodys.insert(address);
                }
            }
            self.remove_requests(&mut after, &nobodys, author.deadline)
                .await?;
        }
        if is_done {
            after.again_at = None;
            after.done_at = Some(author.now);
            after.address = None;
            after.former.clear();
            after.ids.clear();
        }
        let transaction = transaction.replace(&after)?.skip_audit(Unaudited::Erasure);
        // Another runner may be further.
        self.commit_once(transaction, author.deadline).await?;
        Ok(is_done)
    }

    /// Takes away the roster files that are kept, everywhere or in the erasure's programme, and why
    /// somebody acted on many where one is erased. `false` where one of them is being applied,
    /// which needs that.
    async fn remove_files(
        &self,
        after: &mut Erasure,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut applied = HashSet::new();
        let mut is_all = true;
        for programme in self.list(Programme::all()).await? {
            let running = self
                .jobs(&programme.id)
                .await?
                .into_iter()
                .filter(Job::is_running);
            applied.extend(running.map(|job| job.job));
        }
        let programme = after.programme.clone();
        for shard in SHARDS {
            let parts = self.list(ImportPart::in_shard(shard)).await?.into_iter();
            for part in parts.filter(|part| {
                programme
                    .as_ref()
                    .is_none_or(|programme| *programme == part.programme)
            }) {
                let is_applied = applied.contains(&part.import) || part.is_of_a_request(now);
                match part.kept {
                    Kept::Applied if is_applied => is_all = false,
                    Kept::File | Kept::Applied | Kept::Rows => {
                        self.delete(
                            &RosterPreview::key_of(&part.programme, part.import),
                            deadline,
                        )
                        .await?;
                        self.delete(&part.key(), deadline).await?;
                        after.count::<ImportPart>(1);
                    }
                    Kept::People => {}
                }
            }
        }
        let programmes: BTreeSet<ProgrammeId> = after
            .grants
            .iter()
            .map(|(programme, _)| programme.clone())
            .collect();
        for programme in programmes {
            for mut import in self.list(Import::of_programme(&programme)).await? {
                let Some(act) = import.act.as_mut().filter(|act| act.reason.is_some()) else {
                    continue;
                };
                act.reason = None;
                if applied.contains(&import.import) {
                    is_all = false;
                    continue;
                }
                // It may be pressed at this moment.
                let as_read = [(":applied", AttributeValue::Bool(import.applied))];
                is_all &= self
                    .single()
                    .put(&import, "applied = :applied", &as_read)?
                    .write(deadline)
                    .await?;
                after.count::<Import>(1);
            }
        }
        Ok(is_all)
    }

    /// Deletes the mails in which faculty ask the admins for settings that name one of these
    /// addresses.
    async fn remove_requests(
        &self,
        after: &mut Erasure,
        addresses: &BTreeSet<MatchedAddress>,
        deadline: Deadline,
    ) -> Result<()> {
        for programme in self.list(Programme::all()).await? {
            let filed = self
                .list(FiledMail::filed_under(&programme.id, None))
                .await?
                .into_iter();
            let requests = filed.filter(|filed| filed.mail == MailKind::Request);
            // One that cannot be read may name the person.
            let rows = requests
                .flat_map(|filed| filed.rows)
                .map(|row| self.get(OutboxRow::key_of(row)));
            for row in collect_reads(rows).await? {
                if let QueuedMail::Request { request, .. } = &row.mail
                    && request.names_any(addresses)
                {
                    self.delete(&row.key(), deadline).await?;
                    after.count::<OutboxRow>(1);
                }
            }
        }
        Ok(())
    }

    /// Takes away what lies under an address but its enrolments, unless a role or another grant
    /// than this one needs it.
    async fn erase_address(
        &self,
        mut transaction: Transaction,
        after: &mut Erasure,
        address: &MatchedAddress,
        (grant, deadline): (Option<&GrantId>, Deadline),
    ) -> Result<Transaction> {
        if self.is_anybodys(address, grant).await? {
            return Ok(transaction);
        }
        let sign_in = self.sign_in_of(address).await?;
        after.count::<SignIn>(usize::from(sign_in.version > 0));
        after.count::<Session>(sign_in.sessions.len());
        after.count::<Link>(sign_in.issued_links.len());
        // Whoever signs on meanwhile changes what was read here, and it is done once more.
        transaction = transaction.remove_sign_in(&sign_in)?;
        // There may be more than fit into a transaction: anybody may ask.
        for begun in &sign_in.sessions {
            self.delete(&Session::key_of(&begun.session), deadline)
                .await?;
        }
        for link in &sign_in.issued_links {
            self.delete(&Link::key_of(&link.link), deadline).await?;
        }
        for request in self.list(LoginRequest::of_address(address)).await? {
            self.delete(&OutboxRow::key_of(request.id), deadline)
                .await?;
            self.delete(&request.key(), deadline).await?;
            after.count::<LoginRequest>(1);
        }
        if let Some(known_address) = self.get(KnownAddress::key_of(address)).await? {
            transaction = transaction.remove(&known_address.key(), "", &[])?;
            after.count::<KnownAddress>(1);
            if let Some(person) = known_address.person {
                transaction = transaction.remove(&StaffPerson::key_of(&person), "", &[])?;
                after.count::<StaffPerson>(1);
            }
            if let Some(identity) = known_address.bound {
                transaction = transaction.remove(&SignOnBinding::key_of(&identity), "", &[])?;
                after.count::<SignOnBinding>(1);
            }
        }
        if let Some(mark) = self.get(Undeliverable::key_of(address)).await? {
            transaction = transaction.remove(&mark.key(), "", &[])?;
            after.count::<Undeliverable>(1);
        }
        Ok(transaction)
    }

    /// Whether somebody here has this address, but for this grant.
    pub async fn is_anybodys(
        &self,
        address: &MatchedAddress,
        but: Option<&GrantId>,
    ) -> Result<bool> {
        let enrolments = self.list(Enrolment::of_address(address)).await?;
        Ok(enrolments
            .iter()
            .any(|enrolment| Some(&enrolment.grant) != but)
            || self.has_role(address).await?)
    }

    /// Whether this is an admin, or somebody whom the settings of a programme name.
    pub async fn has_role(&self, address: &MatchedAddress) -> Result<bool> {
        Ok(self.is_admin(address).await?
            || !self.list(Roles::of_address(address)).await?.is_empty())
    }
}
