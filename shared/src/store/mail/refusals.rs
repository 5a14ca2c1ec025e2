//! That the mail server takes no mail from this account, or none to some: why, since when, and when it last said so. Such mail waits.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::mail::failure::{NOT_VERIFIED, QUOTA, QUOTA_UNREAD};
use crate::store::table::{StoreError, Table, keys};

/// What waits is tried again within twenty minutes: so long after the last refusal, whatever waits still waits for another reason.
const TRIED_AGAIN: SignedDuration = SignedDuration::from_hours(2);
/// What was not refused for so long is over, whether other mail was taken or not.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// Whom a sandbox does not reach shows only when there is mail for them.
const SANDBOX_OVER_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
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
    /// When the mail server was seen to take such mail again.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    pub version: u64,
}

impl MailRefusal {
    pub fn is_over(&self, now: Timestamp) -> bool {
        let after = if self.code == NOT_VERIFIED { SANDBOX_OVER_AFTER } else { OVER_AFTER };
        self.ended_at.is_some() || self.last + after < now
    }

    /// Whether mail waits for this reason just now.
    pub fn holds_back(&self, is_urgent: bool, now: Timestamp) -> bool {
        let concerns = !is_urgent || self.code != QUOTA_UNREAD;
        concerns && self.ended_at.is_none() && now <= self.last + TRIED_AGAIN
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
                _ => MailRefusal { code: code.to_owned(), since: now, last: now, ended_at: None, version: version + 1 },
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

    /// Notes that mails were taken and none refused. What was refused in the last minutes may be refused in the next, and a quota that
    /// is used up has room for some all the time.
    pub async fn end_mail_refusals(&self, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        for known in self.mail_refusals(now).await? {
            let is_of_all = ![QUOTA, QUOTA_UNREAD, NOT_VERIFIED].contains(&known.code.as_str());
            if is_of_all && known.last + NOTED_EACH * 2 <= now {
                self.end_refusal(known, now, deadline).await?;
            }
        }
        Ok(())
    }

    /// Notes that the mail server was seen to refuse no mail for this reason any more.
    pub async fn end_mail_refusal(&self, code: &str, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let known: Option<MailRefusal> = self.get(&keys::mail_refusal(code)).await?;
        match known.filter(|known| !known.is_over(now)) {
            Some(known) => self.end_refusal(known, now, deadline).await,
            None => Ok(()),
        }
    }

    /// Whoever notes another refusal meanwhile is right.
    async fn end_refusal(&self, known: MailRefusal, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let (version, ended_at) = (known.version, Some(now));
        let ended = MailRefusal { ended_at, version: version + 1, ..known };
        self.replace(&ended, version, deadline).await.map(drop)
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
