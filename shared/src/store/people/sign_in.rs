//! Asking for a link and signing in by it. What is good for an address is decided in `domain::people::sign_in`; here each decision is one
//! conditional write, so that of many who come with one link one signs in.

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{LinkRefused, LiveLink, SignIn};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::new_ulid;
use crate::domain::values::token::{AskTokenHash, LinkTokenHash, SessionTokenHash};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::people::rate_counts::RateCount;
use crate::store::table::commit::{Commit, Counter, Pauses, Round, key_item, number};
use crate::store::table::items::Stored;
use crate::store::table::{StoreError, Table, keys};

/// Whose link this is. Whether it is still good stands in the address's own item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub link: LinkTokenHash,
    pub address: MatchedAddress,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

/// So many link mails a minute are sent by one deployment, whoever asks.
const MOST_A_MINUTE: u32 = 2_000;

/// That somebody asked for a link, whoever has the address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    pub ask: Ulid,
    pub address: MatchedAddress,
    /// The browser.
    pub asked_by: AskTokenHash,
    #[serde(with = "millisecond::required")]
    pub at: Timestamp,
}

/// That an address has a session, so that all of its sessions are found. It goes when the session does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSession {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    #[serde(with = "millisecond::required")]
    pub ends_at: Timestamp,
}

/// Whether a change was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignInWrite {
    Yes,
    /// Somebody changed it since it was read: read and decide again.
    Stale,
}

/// Whether a link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Yes,
    Not(LinkRefused),
    /// The whole deployment has sent so many in this minute that this one waits for the next.
    Later,
}

impl Table {
    /// Writes an ask down, the same for every address. Whether it owes a mail is the mail function's matter: a flood of asks for nobody
    /// is not in its queue.
    pub async fn ask(
        &self,
        address: &MatchedAddress,
        by: &AskTokenHash,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let ask = Ask { ask: new_ulid(now), address: address.clone(), asked_by: by.clone(), at: now };
        self.put_new(&ask, deadline).await.map(drop)
    }

    /// What was asked, while it is kept.
    pub async fn asked(&self, ask: Ulid) -> Result<Option<Ask>, StoreError> {
        self.get(&keys::ask(ask)).await
    }

    /// Owes the mail of an ask, once. It is the row of the ask's own name.
    pub async fn owe_link(&self, ask: &Ask, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let mail = QueuedMail::Link { address: ask.address.clone(), asked_by: ask.asked_by.clone() };
        let row = OutboxRow { written_at: ask.at, ..OutboxRow::queued(ask.ask, mail, now) };
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
    ) -> Result<LinkOutcome, StoreError> {
        self.carry_through(deadline, || async {
            let before = self.sign_in_of(address).await?;
            let after = match before.with_link(ask, link.clone(), now) {
                Ok(after) => after,
                Err(not) => return Ok(Round::Over(LinkOutcome::Not(not))),
            };
            if !before.is_again(ask) && !self.count_one(&RateCount::of_links(now), MOST_A_MINUTE, deadline).await? {
                return Ok(Round::Over(LinkOutcome::Later));
            }
            let known = Link { link: link.link.clone(), address: address.clone(), ends_at: link.ends_at };
            // The link's own item is new with each try, so it tells whether a try that was not heard of took effect.
            let transaction = match before.version {
                0 => self.transaction().create(&after)?,
                version => self.transaction().replace(&after, version)?,
            };
            Ok(Round::Write(transaction.witnessed_by(&known)?, LinkOutcome::Yes))
        })
        .await
    }

    /// Counts a wrong code, in one write whatever the address: it waits for nobody, and nobody who makes a link or follows one waits for
    /// it. One that was counted unheard is counted twice.
    pub async fn count_wrong_code(
        &self,
        before: &SignIn,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let says = [
            ("kind", AttributeValue::S(SignIn::KIND.to_owned())),
            ("address", AttributeValue::S(before.address.as_str().to_owned())),
            ("last_tried_at", number(now.as_millisecond())),
            ("ttl", number(before.with_wrong_code(now).ends_at().as_second())),
        ];
        let at_first = [("version", number(1)), ("unfollowed", number(0))];
        let counter = Counter { says: &says, at_first: &at_first, add: &[("wrong_codes", 1)] };
        self.count(&keys::sign_in(&before.address), &counter, None, deadline).await.map(drop)
    }

    /// Makes the session of a sign-in, in the one write that uses its links and codes up.
    pub async fn sign_in(
        &self,
        after: &SignIn,
        session: &Session,
        deadline: Deadline,
    ) -> Result<SignInWrite, StoreError> {
        let listed = AddressSession {
            session: session.session.clone(),
            address: session.address.clone(),
            ends_at: session.ends_at,
        };
        let transaction =
            self.transaction().replace(after, after.version - 1)?.create(&listed)?.witnessed_by(session)?;
        Ok(match self.commit(transaction, &mut Pauses::until(deadline)).await? {
            Commit::Done => SignInWrite::Yes,
            Commit::Stale => SignInWrite::Stale,
        })
    }

    /// The session of this name, if it has not ended.
    pub async fn session(&self, session: &SessionTokenHash, now: Timestamp) -> Result<Option<Session>, StoreError> {
        let kept: Option<Session> = self.get(&keys::session(session)).await?;
        Ok(kept.filter(|session| session.is_good(now)))
    }

    /// Notes that a session is used. One that somebody ended meanwhile stays ended.
    pub async fn note_use(&self, session: &Session, now: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&keys::session(&session.session))))
            .update_expression("SET used_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(now.as_millisecond()));
        self.write(deadline, || update.clone().send()).await.map(drop)
    }

    /// Every session of an address that has not ended.
    pub async fn sessions_of(&self, address: &MatchedAddress, now: Timestamp) -> Result<Vec<Session>, StoreError> {
        let listed: Vec<AddressSession> = self.query(&keys::address_partition(address), keys::SESSIONS).await?;
        let sessions = try_join_all(listed.iter().map(|listed| self.session(&listed.session, now))).await?;
        Ok(sessions.into_iter().flatten().collect())
    }

    pub async fn sign_out(&self, session: &Session, deadline: Deadline) -> Result<(), StoreError> {
        self.delete(&keys::session(&session.session), deadline).await?;
        self.delete(&keys::session_of(&session.address, &session.session), deadline).await
    }

    /// Ends every session of an address, this one last: where it fails, whoever pressed can press again.
    pub async fn sign_out_everywhere(
        &self,
        session: &Session,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let all = self.sessions_of(&session.address, now).await?;
        for other in all.iter().filter(|other| other.session != session.session) {
            self.sign_out(other, deadline).await?;
        }
        self.sign_out(session, deadline).await
    }
}
