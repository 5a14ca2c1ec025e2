//! Asking for a link and signing in by it. What is good for an address is decided in `domain::sign_in`; here each decision is one
//! conditional write, so that of many who come with one link one signs in.

use jiff::{SignedDuration, Timestamp};
use ulid::Ulid;

use super::act::new_ulid;
use super::commit::{Commit, Pauses, key_item, number};
use super::items::{Link, OutboxRow, OwedMail, Sendings, Stored};
use super::keys;
use super::{StoreError, Table};
use crate::deadline::Deadline;
use crate::domain::address::MatchedAddress;
use crate::domain::sign_in::{LiveLink, NotOwed, Session, SignIn};
use crate::domain::token::{AskTokenHash, LinkTokenHash, SessionTokenHash};

/// So many link mails a minute are sent by one deployment, whoever asks.
const MOST_A_MINUTE: u32 = 2_000;
const A_MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// Whether a change was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    Yes,
    /// Somebody changed it since it was read: read and decide again.
    Stale,
}

/// Whether a link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkMade {
    Yes,
    Not(NotOwed),
    /// The whole deployment has sent so many in this minute that this one waits for the next.
    Later,
}

impl Table {
    /// Writes an ask down, the same for every address.
    pub async fn ask(
        &self,
        address: &MatchedAddress,
        by: &AskTokenHash,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let mail = OwedMail::Link { address: address.clone(), asked_by: by.clone() };
        let row = OutboxRow::owed(new_ulid(now), mail, now);
        self.put_new(&row, deadline).await.map(drop)
    }

    /// What is good for signing in to an address.
    pub async fn sign_in_of(&self, address: &MatchedAddress) -> Result<SignIn, StoreError> {
        let kept = self.get(&keys::sign_in(address)).await?;
        Ok(kept.unwrap_or_else(|| SignIn::none(address.clone())))
    }

    /// Whose link this is.
    pub async fn link(&self, link: &LinkTokenHash) -> Result<Option<Link>, StoreError> {
        self.get(&keys::link(link)).await
    }

    /// Makes a link good because of an ask, unless its address or the deployment has had its share.
    pub async fn make_link(
        &self,
        ask: Ulid,
        address: &MatchedAddress,
        link: &LiveLink,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<LinkMade, StoreError> {
        let mut pauses = Pauses::until(deadline);
        loop {
            let before = self.sign_in_of(address).await?;
            let after = match before.with_link(ask, link.clone(), now) {
                Ok(after) => after,
                Err(not) => return Ok(LinkMade::Not(not)),
            };
            if !before.mailed.iter().any(|mailed| mailed.ask == ask) && !self.counts(now, deadline).await? {
                return Ok(LinkMade::Later);
            }
            let known = Link { link: link.link.clone(), address: address.clone(), ends_at: link.ends_at };
            // The link's own item is new with each try, so it tells whether a try that was not heard of took effect.
            let transaction = match before.version {
                0 => self.transaction().create(&after)?,
                version => self.transaction().replace(&after, version)?,
            };
            if self.commit(transaction.witnessed_by(&known)?, &mut pauses).await? == Commit::Done {
                return Ok(LinkMade::Yes);
            }
            if !pauses.pause().await {
                return Err(StoreError::Contended);
            }
        }
    }

    /// Counts a wrong code. One that was counted unheard is counted twice: of two that came at once each must be.
    pub async fn note_wrong_code(&self, after: &SignIn, deadline: Deadline) -> Result<Written, StoreError> {
        Ok(if self.replace(after, after.version - 1, deadline).await? { Written::Yes } else { Written::Stale })
    }

    /// Makes the session of a sign-in, in the one write that uses its links and codes up.
    pub async fn sign_in(&self, after: &SignIn, session: &Session, deadline: Deadline) -> Result<Written, StoreError> {
        let transaction = self.transaction().replace(after, after.version - 1)?.witnessed_by(session)?;
        Ok(match self.commit(transaction, &mut Pauses::until(deadline)).await? {
            Commit::Done => Written::Yes,
            Commit::Stale => Written::Stale,
        })
    }

    /// The session of this name, if it has not ended.
    pub async fn session(&self, session: &SessionTokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let kept: Option<Session> = self.get(&keys::session(session)).await?;
        Ok(kept.filter(|session| now < session.ends_at))
    }

    pub async fn sign_out(&self, session: &SessionTokenHash, deadline: Deadline) -> Result<(), StoreError> {
        self.delete(&keys::session(session), deadline).await
    }

    /// Counts a link mail of this minute. False when the minute has had its share.
    async fn counts(&self, now: Timestamp, deadline: Deadline) -> Result<bool, StoreError> {
        let minute = now.as_second().div_euclid(A_MINUTE.as_secs());
        let first = Sendings { minute, count: 0 };
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::sendings(minute))))
            .update_expression("SET #kind = :kind, #minute = :minute, #ttl = :ttl ADD #count :one")
            .condition_expression("attribute_not_exists(pk) OR #count < :most")
            .expression_attribute_names("#kind", "kind")
            .expression_attribute_names("#minute", "minute")
            .expression_attribute_names("#ttl", "ttl")
            .expression_attribute_names("#count", "count")
            .expression_attribute_values(":kind", aws_sdk_dynamodb::types::AttributeValue::S(Sendings::KIND.to_owned()))
            .expression_attribute_values(":minute", number(minute))
            .expression_attribute_values(":ttl", number(first.expires().unwrap_or(now).as_second()))
            .expression_attribute_values(":one", number(1))
            .expression_attribute_values(":most", number(MOST_A_MINUTE));
        Ok(self.write(deadline, || update.clone().send()).await?.is_some())
    }
}
