//! The admins: those of the environment, and those whom an admin added. Who is one is read anew
//! wherever it matters, so that a change is in force at once.

use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::audit::{Act, Actor, AuditDetail, AuditEntry};
use crate::domain::mail::alarm::{Alarm, Cause};
use crate::domain::programme::role::is_among;
use crate::domain::programme::{Programme, Settings};
use crate::domain::values::address::{EmailAddress, MatchedAddress};
use crate::domain::values::id::PersonId;
use crate::schema::{key, stored};
use crate::store::table::write::Round;
use crate::store::{Author, Broadcast, Result, RosterToken, Table};

/// The number of admins at which no more are added: a change mails all of them in the transaction
/// that ends the sessions of one.
pub const MOST_ADMINS: usize = 40;

/// The admins besides those of the environment.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct AddedAdmins {
    pub added: Vec<EmailAddress>,
    pub version: u64,
}

stored! {
    AddedAdmins () => key("ADMINS", "ADMINS")
}

impl Table {
    pub async fn admins(&self) -> Result<Vec<EmailAddress>> {
        Ok(self.with_added(self.get(AddedAdmins::key_of()).await?.unwrap_or_default()))
    }

    pub fn is_admin_of_environment(&self, address: &MatchedAddress) -> bool {
        is_among(address, &self.environment_admins)
    }

    fn with_added(&self, admins: AddedAdmins) -> Vec<EmailAddress> {
        let added = admins
            .added
            .into_iter()
            .filter(|admin| !self.is_admin_of_environment(admin.matched()));
        self.environment_admins
            .iter()
            .cloned()
            .chain(added)
            .collect()
    }

    pub async fn is_admin(&self, address: &MatchedAddress) -> Result<bool> {
        Ok(is_among(address, &self.admins().await?))
    }

    pub async fn admin_ids(&self, deadline: Deadline) -> Result<Vec<PersonId>> {
        self.people_of(&self.admins().await?, deadline).await
    }

    /// Has all admins told, unless they are already.
    pub async fn tell_admins<T: Broadcast>(
        &self,
        what: &T,
        now: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        if self
            .get::<T>(what.key())
            .await?
            .is_some_and(|stored| stored.is_queued())
        {
            return Ok(false);
        }
        self.tell(what, &self.admin_ids(deadline).await?, now, deadline)
            .await
    }

    /// Those who decide about a programme: faculty, or the admins if there is no faculty.
    pub async fn list_in_charge(&self, settings: &Settings) -> Result<Vec<EmailAddress>> {
        let faculty = &settings.people.faculty;
        if faculty.is_empty() {
            self.admins().await
        } else {
            Ok(faculty.clone())
        }
    }

    /// The recipients of a budget's alerts: those in charge, and the assistants where they are to
    /// hear of them.
    pub async fn hear_of_alerts(&self, settings: &Settings) -> Result<Vec<EmailAddress>> {
        let mut hear = self.list_in_charge(settings).await?;
        if settings.mails.alert_assistants {
            hear.extend_from_slice(&settings.people.assistants);
        }
        Ok(hear)
    }

    /// Adds or removes an admin and mails all who were one before or are one after. Who is removed
    /// is signed out everywhere.
    pub async fn set_admin(
        &self,
        address: &EmailAddress,
        is_admin: bool,
        actor: &PersonId,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        self.carry_through(deadline, || async {
            let before = self.get(AddedAdmins::key_of()).await?.unwrap_or_default();
            let matched = address.matched();
            let version = before.version + 1;
            let mut recipients = self.with_added(before.clone());
            if is_among(matched, &recipients) == is_admin {
                return Ok(Round::Over(()));
            }
            let mut added = before.added;
            if is_admin {
                added.push(address.clone());
                recipients.push(address.clone());
            } else {
                added.retain(|admin| admin.matched() != matched);
            }
            let person = self.person_of(address, deadline).await?;
            let act = if is_admin {
                Act::AdminAdded
            } else {
                Act::AdminRemoved
            };
            let what = AuditDetail::new(act).with_note(&person);
            let audit_entry = AuditEntry::new_on_account(&Actor::Person(actor.clone()), now, what);
            let alarm = Alarm::now(
                Cause::AdminChanged {
                    person,
                    is_admin,
                    actor: actor.clone(),
                    version,
                },
                now,
            );
            let transaction =
                self.begin_telling(&alarm, self.people_of(&recipients, deadline).await?, now)?;
            let mut transaction = transaction.replace(&AddedAdmins { added, version })?;
            if !is_admin {
                transaction = self.sign_out_all(transaction, matched, now).await?;
            }
            Ok(Round::Write(transaction.with_entries(&[audit_entry])?, ()))
        })
        .await?;
        let actor = Actor::Person(actor.clone());
        if !is_admin {
            // Who is taken out may be whoever has taken their mailbox.
            self.unbind(
                address.matched(),
                Author {
                    actor: &actor,
                    now,
                    deadline,
                },
            )
            .await?;
        }
        // There may be more than fit into the transaction, and from it on none of them is good.
        let admins = self.admins().await?;
        for programme in self.list(Programme::all()).await? {
            if let Some(token) = self.get(RosterToken::key_of(&programme.id)).await?
                && !self.is_makers(&token, &programme.settings, &admins).await?
            {
                self.end_roster_token(
                    &token,
                    Author {
                        actor: &actor,
                        now,
                        deadline,
                    },
                )
                .await?;
            }
        }
        Ok(())
    }
}
