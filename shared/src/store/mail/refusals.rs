//! Refusals by the mail server of all mail from this account, or of some: why, since when, and when last.
//! Such mail waits.

use jiff::fmt::serde::timestamp::millisecond;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::deadline::Deadline;
use crate::domain::mail::failure::{NOT_VERIFIED, QUOTA, QUOTA_UNREAD};
use crate::store::items::stored;
use crate::store::keys::{ACCOUNT, begin, key};
use crate::store::table::write::Unaudited;
use crate::store::table::{StoreError, Table};

/// How long after the last refusal mail counts as waiting for it. It is tried every twenty minutes, so after
/// that it waits for another reason.
const HOLDS_FOR: SignedDuration = SignedDuration::from_hours(2);
/// How long after the last refusal it is over, whether other mail was accepted or not.
const OVER_AFTER: SignedDuration = SignedDuration::from_hours(3);
/// How long after the last refusal a sandbox is taken to be over: it shows only when there is mail to an
/// unverified address.
const SANDBOX_OVER_AFTER: SignedDuration = SignedDuration::from_hours(7 * 24);
/// The interval at which a lasting refusal is recorded again.
const RECORDED_EACH: SignedDuration = SignedDuration::from_mins(10);

/// The refusals for one reason, by its code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailRefusal {
    pub code: String,
    #[serde(with = "millisecond::required")]
    pub since: Timestamp,
    /// When mail was last refused for it.
    #[serde(with = "millisecond::required")]
    pub last: Timestamp,
    /// When the mail server was seen to accept such mail again.
    #[serde(default, with = "millisecond::optional", skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    pub version: u64,
}

stored! {
    "mail-refusal" MailRefusal |it| (code: &str = &it.code) => key(ACCOUNT, format!("MAIL-REFUSED#{code}"));
    list all() => begin(ACCOUNT, "MAIL-REFUSED#")
}

impl MailRefusal {
    pub fn is_over(&self, now: Timestamp) -> bool {
        let after = if self.code == NOT_VERIFIED { SANDBOX_OVER_AFTER } else { OVER_AFTER };
        self.ended_at.is_some() || self.last + after < now
    }

    /// Whether mail waits for this reason now.
    pub fn holds_back(&self, is_urgent: bool, now: Timestamp) -> bool {
        let concerns = !is_urgent || self.code != QUOTA_UNREAD;
        concerns && self.ended_at.is_none() && now <= self.last + HOLDS_FOR
    }
}

impl Table {
    /// Records that mail was refused for this reason. Returns the record, which says since when.
    pub async fn note_mail_refusal(
        &self,
        code: &str,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<MailRefusal, StoreError> {
        loop {
            let known: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
            let version = known.as_ref().map_or(0, |known| known.version);
            let refusal = match known {
                Some(known) if !known.is_over(now) && now < known.last + RECORDED_EACH => return Ok(known),
                Some(known) if !known.is_over(now) => MailRefusal { last: now, version: version + 1, ..known },
                _ => MailRefusal { code: code.to_owned(), since: now, last: now, ended_at: None, version: version + 1 },
            };
            let is_written = self.replace(&refusal, version, Unaudited::Delivery, deadline).await?;
            // Otherwise another writer was faster, and its record holds.
            if is_written {
                return Ok(refusal);
            }
        }
    }

    /// Records that mails were accepted and none refused. Recent refusals stay, because the reason may recur
    /// within minutes, and so does a used-up quota, which always has room for some.
    pub async fn end_mail_refusals(&self, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        for known in self.mail_refusals(now).await? {
            let is_of_all = ![QUOTA, QUOTA_UNREAD, NOT_VERIFIED].contains(&known.code.as_str());
            if is_of_all && known.last + RECORDED_EACH * 2 <= now {
                self.end_refusal(known, now, deadline).await?;
            }
        }
        Ok(())
    }

    /// Records that the mail server no longer refuses mail for this reason.
    pub async fn end_mail_refusal(&self, code: &str, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let known: Option<MailRefusal> = self.get(MailRefusal::key_of(code)).await?;
        match known.filter(|known| !known.is_over(now)) {
            Some(known) => self.end_refusal(known, now, deadline).await,
            None => Ok(()),
        }
    }

    /// Ends a refusal as it was read; a newer refusal wins.
    async fn end_refusal(&self, known: MailRefusal, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let (version, ended_at) = (known.version, Some(now));
        let ended = MailRefusal { ended_at, version: version + 1, ..known };
        self.replace(&ended, version, Unaudited::Delivery, deadline).await.map(drop)
    }

    /// The refusals that are not over.
    pub async fn mail_refusals(&self, now: Timestamp) -> Result<Vec<MailRefusal>, StoreError> {
        let mut known = self.list(MailRefusal::all()).await?;
        known.retain(|refusal| !refusal.is_over(now));
        Ok(known)
    }
}
