//! That the mail server takes no mail from this account, or none to some: why, since when, and when it last said so. Such mail waits.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::items::Stored;
use super::keys::{self, Key};
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::mail_failure::NOT_VERIFIED;

/// What waits is tried again within minutes, so whatever was not refused for so long is over.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// Who may not be mailed shows only when there is mail for them.
const OVER_AFTER_FOR_SOME: SignedDuration = SignedDuration::from_hours(7 * 24);
/// It is written down again so often.
const NOTED_EACH: SignedDuration = SignedDuration::from_mins(10);

/// For one reason, by its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRefusal {
    pub code: String,
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// When mail was last refused for it.
    #[serde(with = "millisecond::required")]
    pub last: Timestamp,
    pub version: u64,
}

impl MailRefusal {
    pub fn is_over(&self, now: Timestamp) -> bool {
        let after = if self.code == NOT_VERIFIED { OVER_AFTER_FOR_SOME } else { OVER_AFTER };
        self.last + after < now
    }
}

impl Table {
    /// Notes that mail was refused for this reason, and says since when it is.
    pub async fn note_mail_refusal(
        &self,
        code: &str,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<MailRefusal, StoreError> {
        loop {
            let known: Option<MailRefusal> = self.get(&keys::mail_refusal(code)).await?;
            let version = known.as_ref().map_or(0, |known| known.version);
            let refusal = match known {
                Some(known) if !known.is_over(now) && now < known.last + NOTED_EACH => return Ok(known),
                Some(known) if !known.is_over(now) => MailRefusal { last: now, version: version + 1, ..known },
                _ => MailRefusal { code: code.to_owned(), since: now, last: now, version: version + 1 },
            };
            let is_written = match version {
                0 => self.put_new(&refusal, deadline).await?,
                version => self.replace(&refusal, version, deadline).await?,
            };
            // Otherwise somebody was faster, and what they wrote holds.
            if is_written {
                return Ok(refusal);
            }
        }
    }

    /// Why mail waits now.
    pub async fn mail_refusals(&self, now: Timestamp) -> Result<Vec<MailRefusal>, StoreError> {
        let mut known = self.all_mail_refusals().await?;
        known.retain(|refusal| !refusal.is_over(now));
        Ok(known)
    }

    /// Why mail waits, or waited the last time.
    pub async fn all_mail_refusals(&self) -> Result<Vec<MailRefusal>, StoreError> {
        self.query(keys::ACCOUNT, keys::MAIL_REFUSALS).await
    }
}

impl Stored for MailRefusal {
    const KIND: &'static str = "mail-refusal";
    fn key(&self) -> Key {
        keys::mail_refusal(&self.code)
    }
}
