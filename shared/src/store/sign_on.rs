//! Sign-ons under way, and the bindings of people at the campus' provider to addresses here. An
//! address and a person there are bound to one another alone: the address names the person
//! ([`KnownAddress`]), and the person's item the address.

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::grant::Grant;
use crate::domain::sign_in::Session;
use crate::domain::sign_on::{BegunSignOn, BindingProof, SignOnBinding, is_proved_by_id};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::PersonId;
use crate::domain::values::token::BrowserTokenHash;
use crate::schema::Stored;
use crate::store::table::write::{Audited, Round, Transaction, Unaudited, Writes, number, text};
use crate::store::{Author, KnownAddress, OutboxRow, QueuedMail, Result, Table};

impl Table {
    /// Uses up a sign-on that this browser began, for which nobody was vouched yet. `false` where
    /// there is none.
    pub async fn use_sign_on(
        &self,
        browser: &BrowserTokenHash,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let begun = self.get(BegunSignOn::key_of(browser)).await?;
        let Some(begun) = begun.filter(|begun| begun.identity.is_none() && now < begun.ends_at)
        else {
            return Ok(false);
        };
        let used = self
            .transaction()
            .remove(&begun.key(), "attribute_exists(pk)", &[])?;
        self.commit_once(used.skip_audit(Unaudited::SignIn), deadline)
            .await
    }

    /// The sign-on of this browser that waits for an address.
    pub async fn find_waiting_sign_on(
        &self,
        browser: &BrowserTokenHash,
        now: Moment,
    ) -> Result<Option<BegunSignOn>> {
        let begun = self.get(BegunSignOn::key_of(browser)).await?;
        Ok(begun.filter(|begun| begun.waits(now)))
    }

    /// Counts a wrong code that was typed in a sign-on. Returns `false` when another was faster.
    pub async fn count_wrong_code_of(
        &self,
        begun: &BegunSignOn,
        deadline: Deadline,
    ) -> Result<bool> {
        let counted = BegunSignOn {
            wrong_codes: begun.wrong_codes + 1,
            ..begun.clone()
        };
        let as_read = [(":was", number(begun.wrong_codes))];
        let counted = self
            .transaction()
            .put(&counted, "wrong_codes = :was", &as_read)?;
        self.commit_once(counted.skip_audit(Unaudited::SignIn), deadline)
            .await
    }

    /// The binding of an address, if it has one.
    pub async fn find_binding(&self, address: &MatchedAddress) -> Result<Option<SignOnBinding>> {
        match self.address_record(address).await?.bound {
            Some(identity) => self.get(SignOnBinding::key_of(&identity)).await,
            None => Ok(None),
        }
    }

    /// The one address under which grants bear this id.
    pub async fn address_of_id(&self, id: &str) -> Result<Option<MatchedAddress>> {
        let grants = self
            .grants_where("roster_id = :id", &[(":id", text(id))])
            .await?
            .into_iter();
        let mut addresses = grants
            .map(|grant| grant.person.address)
            .filter(|address| !address.is_none());
        let Some(address) = addresses.next() else {
            return Ok(None);
        };
        let is_only = addresses.all(|another| another.matched() == address.matched());
        Ok(is_only.then(|| address.matched().clone()))
    }

    /// Whether the id by which the provider knows somebody proves by now that the address is
    /// theirs.
    pub async fn is_proved_by_id(&self, address: &MatchedAddress, id: &str) -> Result<bool> {
        let (grants, has_role) =
            tokio::try_join!(self.grants_of_address(address), self.has_role(address))?;
        Ok(is_proved_by_id(id, &grants, has_role))
    }

    /// Adds to the transaction of a session the binding by which it begins: its entry, and the mail
    /// to the address. `None` where the address or the person is bound otherwise.
    pub(super) async fn with_binding(
        &self,
        transaction: Transaction,
        binding: &SignOnBinding,
        session: &Session,
    ) -> Result<Option<Audited>> {
        let SignOnBinding {
            identity,
            address,
            proof,
            bound_at,
        } = binding;
        let person = session.person.as_ref();
        let known_address = self.address_record(address).await?;
        let former = self.get(SignOnBinding::key_of(identity)).await?;
        let is_of_another = known_address
            .bound
            .as_ref()
            .is_some_and(|bound| bound != identity);
        if is_of_another
            || former
                .as_ref()
                .is_some_and(|former| former.address != *address)
        {
            return Ok(None);
        }
        // What a roster says is less than a mailbox. A newer code replaces an older one: the
        // address may have passed on between them.
        if former
            .as_ref()
            .is_some_and(|former| *proof == BindingProof::RosterId || *bound_at <= former.bound_at)
        {
            let unchanged = [(":version", number(known_address.version))];
            let transaction =
                transaction.check(&known_address.key(), "version = :version", &unchanged)?;
            return Ok(Some(transaction.skip_audit(Unaudited::SignIn)));
        }
        if former.is_none() && *bound_at < session.begun_at {
            // It was undone meanwhile.
            return Ok(None);
        }
        let same = [(":address", text(address.as_str()))];
        let transaction = transaction.create_or_replace(binding, "address = :address", &same)?;
        let version = known_address.version + 1;
        let bound = KnownAddress {
            bound: Some(identity.clone()),
            version,
            ..known_address
        };
        let actor = person.map_or(Actor::Student, |person| Actor::Person(person.clone()));
        let audit_entry = self
            .entry_about(address, person, Act::SignOnBound, &actor, *bound_at)
            .await?;
        let mail = match (
            person.cloned(),
            audit_entry.programme.clone(),
            audit_entry.grant.clone(),
        ) {
            (Some(recipient), ..) => Some(QueuedMail::StaffSignOn { recipient }),
            (None, Some(programme), Some(grant)) => {
                Some(QueuedMail::StudentSignOn { programme, grant })
            }
            (None, ..) => None,
        };
        let mail = mail.map(|mail| OutboxRow::queued(mail, *bound_at));
        mail.iter()
            .try_fold(transaction.replace(&bound)?, Transaction::owe)?
            .with_entries(&[audit_entry])
            .map(Some)
    }

    /// Undoes the binding of an address and ends its sessions. `false` where it has none.
    pub async fn unbind(&self, address: &MatchedAddress, author: Author<'_>) -> Result<bool> {
        self.carry_through(author.deadline, || async {
            let known_address = self.address_record(address).await?;
            let Some(identity) = &known_address.bound else {
                return Ok(Round::Over(false));
            };
            let free = KnownAddress {
                bound: None,
                version: known_address.version + 1,
                ..known_address.clone()
            };
            let transaction = self.transaction().replace(&free)?;
            let transaction = transaction.remove(&SignOnBinding::key_of(identity), "", &[])?;
            let transaction = self.sign_out_all(transaction, address, author.now).await?;
            let person = if self.has_role(address).await? {
                known_address.person.as_ref()
            } else {
                None
            };
            let audit_entry = self
                .entry_about(
                    address,
                    person,
                    Act::SignOnUnbound,
                    author.actor,
                    author.now,
                )
                .await?;
            Ok(Round::Write(
                transaction.with_entries(&[audit_entry])?,
                true,
            ))
        })
        .await
    }

    /// The entry of what was done about an address: of a person with a role on the account, of a
    /// student on the timeline of the first grant.
    async fn entry_about(
        &self,
        address: &MatchedAddress,
        person: Option<&PersonId>,
        act: Act,
        actor: &Actor,
        now: Moment,
    ) -> Result<AuditEntry> {
        let note = person.map(ToString::to_string);
        let audit_entry = AuditEntry::new_on_account(
            actor,
            now,
            AuditDetail {
                note,
                ..AuditDetail::new(act)
            },
        );
        let grants = if person.is_some() {
            Vec::new()
        } else {
            self.grants_of_address(address).await?
        };
        let Some(Grant { programme, id, .. }) = grants.into_iter().next() else {
            return Ok(audit_entry);
        };
        Ok(AuditEntry {
            programme: Some(programme),
            grant: Some(id),
            ..audit_entry
        })
    }
}
