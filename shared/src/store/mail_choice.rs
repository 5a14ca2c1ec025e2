//! Which of the mails that are written to many somebody wants. It lies under their address alone, and is read when such a mail is sent.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use super::commit::{Commit, Pauses};
use super::items::Stored;
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::address::MatchedAddress;

/// What somebody wants of the mails that they can choose. Whoever has not chosen wants all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailChoice {
    pub address: MatchedAddress,
    pub digest: bool,
    pub reminders: bool,
}

/// A kind of mail that its reader can choose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OfChoice {
    /// Each week, of a programme or of the account.
    Digest,
    /// How much of a cap is used, and that the term will end.
    Reminder,
}

impl MailChoice {
    pub fn wants(&self, mail: OfChoice) -> bool {
        match mail {
            OfChoice::Digest => self.digest,
            OfChoice::Reminder => self.reminders,
        }
    }
}

impl Stored for MailChoice {
    const KIND: &'static str = "mail-choice";
    fn key(&self) -> Key {
        keys::mail_choice(&self.address)
    }
}

impl Table {
    /// Which mails this person wants.
    pub async fn mail_choice(&self, address: &MatchedAddress) -> Result<MailChoice, StoreError> {
        let known = self.get(&keys::mail_choice(address)).await?;
        Ok(known.unwrap_or_else(|| MailChoice { address: address.clone(), digest: true, reminders: true }))
    }

    /// Keeps what this person chose; what is None stays as it was.
    pub async fn choose_mails(
        &self,
        address: &MatchedAddress,
        digest: Option<bool>,
        reminders: Option<bool>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let was = self.mail_choice(address).await?;
            let chosen = MailChoice {
                digest: digest.unwrap_or(was.digest),
                reminders: reminders.unwrap_or(was.reminders),
                address: address.clone(),
            };
            if chosen == was {
                return Ok(());
            }
            let as_read =
                [(":digest", AttributeValue::Bool(was.digest)), (":reminders", AttributeValue::Bool(was.reminders))];
            let condition = "(digest = :digest AND reminders = :reminders)";
            let transaction = self.transaction().create_or_replace(&chosen, condition, &as_read)?;
            if self.commit(transaction, &mut pauses).await? == Commit::Done {
                return Ok(());
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }
}
