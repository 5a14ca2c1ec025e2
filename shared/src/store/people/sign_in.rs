//! Asks for a link, and sign-in by it. `domain::people::sign_in` decides what is valid for an address. Each
//! decision is one conditional write, so of many requests with one link one signs in.

use crate::clock::Moment;
use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::future::try_join_all;
use serde::{Deserialize, Serialize};
use ulid::Ulid;

use crate::deadline::Deadline;
use crate::domain::people::session::Session;
use crate::domain::people::sign_in::{LOGIN_REQUEST_LASTS, LinkRefused, LiveLink, SignIn};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::new_ulid;
use crate::domain::values::token::{BrowserTokenHash, LinkTokenHash, SessionTokenHash};
use crate::store::items::stored;
use crate::store::keys::{SESSIONS, address_partition, key};
use crate::store::mail::outbox_row::{OutboxRow, QueuedMail};
use crate::store::people::rate_counts::RateCount;
use crate::store::table::commit::{Commit, Pauses, Round, Unaudited};
use crate::store::table::items::Stored;
use crate::store::table::transaction::{Counter, key_item, number};
use crate::store::table::{StoreError, Table, keys};

/// The address of a link. Whether the link is still valid is in the address's own item.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    pub link: LinkTokenHash,
    pub address: MatchedAddress,
    pub ends_at: Moment,
}

stored! {
    "link" Link |it| (link: &LinkTokenHash = &it.link) => key(format!("L#{}", link.as_str()), "L");
    expires it.ends_at
}

/// The most link mails that one deployment sends in a minute, whoever asks.
const LINKS_A_MINUTE: u32 = 2_000;

/// A request for a link to sign in, whether or not the address is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginRequest {
    pub id: Ulid,
    pub address: MatchedAddress,
    /// The browser that asked.
    pub asked_by: BrowserTokenHash,
    pub at: Moment,
}

stored! {
    "login-request" LoginRequest |it| (id: Ulid = it.id) => key(format!("LOGIN#{id}"), "LOGIN");
    expires it.at + LOGIN_REQUEST_LASTS
}

/// The index entry of a session under its address, so that all of its sessions are found. It expires with the
/// session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressSession {
    pub session: SessionTokenHash,
    pub address: MatchedAddress,
    pub ends_at: Moment,
}

stored! {
    "address-session" AddressSession |it| (address: &MatchedAddress = &it.address, session: &SessionTokenHash = &it.session) => key(address_partition(address), format!("{SESSIONS}{}", session.as_str()));
    expires it.ends_at
}

/// Whether a link was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkOutcome {
    Yes,
    Not(LinkRefused),
    /// The deployment's share of this minute is used up; this one waits for the next.
    Later,
}

impl Table {
    /// Records a login request, in the same way for every address. Whether it leads to a mail is for the mail
    /// function; asks for unknown addresses never fill its queue.
    pub async fn request_link(
        &self,
        address: &MatchedAddress,
        by: &BrowserTokenHash,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let request = LoginRequest { id: new_ulid(now), address: address.clone(), asked_by: by.clone(), at: now };
        self.put_new(&request, deadline).await.map(drop)
    }

    /// Queues the mail of a login request, once: the row has the login request's own id.
    pub async fn owe_link(&self, request: &LoginRequest, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let mail = QueuedMail::Link { address: request.address.clone(), asked_by: request.asked_by.clone() };
        let row = OutboxRow { written_at: request.at, ..OutboxRow::queued(request.id, mail, now) };
        self.put_new(&row, deadline).await.map(drop)
    }

    /// The links and codes that are valid for an address.
    pub async fn sign_in_of(&self, address: &MatchedAddress) -> Result<SignIn, StoreError> {
        let kept = self.get(SignIn::key_of(address)).await?;
        Ok(kept.unwrap_or_else(|| SignIn::none(address.clone())))
    }

    /// Makes a link valid because of a login request, unless its address or the deployment has reached its limit.
    pub async fn make_link(
        &self,
        login_request: Ulid,
        address: &MatchedAddress,
        link: &LiveLink,
        now: Moment,
        deadline: Deadline,
    ) -> Result<LinkOutcome, StoreError> {
        self.carry_through(deadline, || async {
            let before = self.sign_in_of(address).await?;
            let after = match before.with_link(login_request, link.clone(), now) {
                Ok(after) => after,
                Err(not) => return Ok(Round::Over(LinkOutcome::Not(not))),
            };
            if !before.is_again(login_request)
                && !self.count_one(&RateCount::of_links(now), LINKS_A_MINUTE, deadline).await?
            {
                return Ok(Round::Over(LinkOutcome::Later));
            }
            let known = Link { link: link.link.clone(), address: address.clone(), ends_at: link.ends_at };
            // The link's own item is new with each try, so it proves whether a try whose answer was lost took
            // effect.
            let transaction = match before.version {
                0 => self.transaction().create(&after)?,
                version => self.transaction().replace(&after, version)?,
            };
            Ok(Round::Write(transaction.create(&known)?.unaudited(Unaudited::SignIn), LinkOutcome::Yes))
        })
        .await
    }

    /// Counts a wrong code in one unconditional write, so it never competes with the making or the following
    /// of a link. A retry after a lost answer may count it twice.
    pub async fn count_wrong_code(&self, before: &SignIn, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let says = [
            ("kind", AttributeValue::S(SignIn::KIND.to_owned())),
            ("address", AttributeValue::S(before.address.as_str().to_owned())),
            ("last_tried_at", number(now.as_millisecond())),
            ("ttl", number(before.with_wrong_code(now).ends_at().as_second())),
        ];
        let none = || AttributeValue::L(Vec::new());
        let at_first = [("version", number(1)), ("unfollowed", number(0)), ("links", none()), ("mailed", none())];
        let counter = Counter { says: &says, at_first: &at_first, add: &[("wrong_codes", 1)] };
        self.count(&SignIn::key_of(&before.address), &counter, None, deadline).await.map(drop)
    }

    /// Creates the session of a sign-in, in the same write that uses its links and codes up. `false` when another
    /// writer changed these since they were read.
    pub async fn sign_in(&self, after: &SignIn, session: &Session, deadline: Deadline) -> Result<bool, StoreError> {
        let listed = AddressSession {
            session: session.session.clone(),
            address: session.address.clone(),
            ends_at: session.ends_at,
        };
        let transaction = self.transaction().replace(after, after.version - 1)?.create(&listed)?.create(session)?;
        let transaction = transaction.unaudited(Unaudited::SignIn);
        Ok(self.commit(transaction, &mut Pauses::until(deadline)).await? == Commit::Done)
    }

    /// The session with this token, if it has not ended.
    pub async fn session(&self, session: &SessionTokenHash, now: Moment) -> Result<Option<Session>, StoreError> {
        let kept: Option<Session> = self.get(Session::key_of(session)).await?;
        Ok(kept.filter(|session| session.is_good(now)))
    }

    /// Records that a session is in use. A session that was ended meanwhile stays ended.
    pub async fn note_use(&self, session: &Session, now: Moment, deadline: Deadline) -> Result<(), StoreError> {
        let update = self
            .client
            .update_item()
            .table_name(&self.name)
            .set_key(Some(key_item(&Session::key_of(&session.session))))
            .update_expression("SET used_at = :now")
            .condition_expression("attribute_exists(pk)")
            .expression_attribute_values(":now", number(now.as_millisecond()));
        self.write(deadline, || update.clone().send()).await.map(drop)
    }

    /// Every session of an address that has not ended.
    pub async fn sessions_of(&self, address: &MatchedAddress, now: Moment) -> Result<Vec<Session>, StoreError> {
        let listed: Vec<AddressSession> = self.query(&keys::address_partition(address), keys::SESSIONS).await?;
        let sessions = try_join_all(listed.iter().map(|listed| self.session(&listed.session, now))).await?;
        Ok(sessions.into_iter().flatten().collect())
    }

    pub async fn sign_out(&self, session: &Session, deadline: Deadline) -> Result<(), StoreError> {
        self.delete(&Session::key_of(&session.session), deadline).await?;
        self.delete(&AddressSession::key_of(&session.address, &session.session), deadline).await
    }

    /// Ends every session of an address, the current one last, so that after a failure the request can be
    /// repeated.
    pub async fn sign_out_everywhere(
        &self,
        session: &Session,
        now: Moment,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let all = self.sessions_of(&session.address, now).await?;
        for other in all.iter().filter(|other| other.session != session.session) {
            self.sign_out(other, deadline).await?;
        }
        self.sign_out(session, deadline).await
    }
}
