//! A person's choice of the optional mails. It lies under their address alone, and is read when such a mail
//! is sent.

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::mail::class::OptionalMail;
use crate::domain::values::address::MatchedAddress;
use crate::store::items::stored;
use crate::store::keys::{address_partition, key};
use crate::store::table::commit::{Round, Unaudited};
use crate::store::table::{StoreError, Table};

/// A person's choice of the optional mails. Without one they get all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailChoice {
    pub address: MatchedAddress,
    pub digest: bool,
    pub reminders: bool,
}

stored! {
    "mail-choice" MailChoice |it| (address: &MatchedAddress = &it.address) => key(address_partition(address), "MAILS")
}

impl MailChoice {
    pub fn wants(&self, mail: OptionalMail) -> bool {
        match mail {
            OptionalMail::Digest => self.digest,
            OptionalMail::Reminder => self.reminders,
        }
    }
}

impl Table {
    /// The choice of this address.
    pub async fn mail_choice(&self, address: &MatchedAddress) -> Result<MailChoice, StoreError> {
        let known = self.get(MailChoice::key_of(address)).await?;
        Ok(known.unwrap_or_else(|| MailChoice { address: address.clone(), digest: true, reminders: true }))
    }

    /// Saves a person's choice; what is `None` stays as it was.
    pub async fn choose_mails(
        &self,
        address: &MatchedAddress,
        digest: Option<bool>,
        reminders: Option<bool>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.carry_through(deadline, || async {
            let was = self.mail_choice(address).await?;
            let chosen = MailChoice {
                digest: digest.unwrap_or(was.digest),
                reminders: reminders.unwrap_or(was.reminders),
                address: address.clone(),
            };
            if chosen == was {
                return Ok(Round::Over(()));
            }
            let as_read =
                [(":digest", AttributeValue::Bool(was.digest)), (":reminders", AttributeValue::Bool(was.reminders))];
            let condition = "(digest = :digest AND reminders = :reminders)";
            let transaction = self.transaction().create_or_replace(&chosen, condition, &as_read)?;
            Ok(Round::Write(transaction.unaudited(Unaudited::MailChoice), ()))
        })
        .await
    }
}
