//! The acts on a grant, by their names in the product. What each may do is decided in `domain::grant`; that it is done once,
//! whole and on what was read is `act`'s work.

use jiff::Timestamp;

use super::act::{At, Outcome};
use super::items::Enrolment;
use super::keys;
use super::{StoreError, Table};
use crate::domain::audit::Actor;
use crate::domain::grant::{
    BeginRefused, Begun, CapRefused, Change, Debt, Found, GaveUp, Grant, HoldKind, HoldRefused, Line, LineRefused,
    Minted, Press, RecordRefused, ReleaseRefused, Rule, Stopped, Swept, View,
};
use crate::domain::id::{Epoch, Nonce};
use crate::domain::key::KeyHash;
use crate::domain::money::Usd;
use crate::domain::window::Window;

/// There was nothing to change: it is so already, or cannot be any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unchanged;

/// Nothing was changed by what the provider was found to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsRead {
    /// An act came since the grant was read: what the provider said may be due to that.
    Moved,
    /// It is so already, or it is not about a key that this grant has.
    Unchanged,
}

/// What an act came to that leaves a grant behind; the disables it owes now are the caller's to carry out.
type OnGrant<R> = Result<Outcome<Grant, R>, StoreError>;

impl Table {
    /// Opens an attempt, before anything is asked of the provider.
    pub async fn begin(&self, at: At<'_>, press: Press) -> Result<Outcome<Begun, BeginRefused>, StoreError> {
        let nonce = Nonce::random();
        self.act(at, |view| view.begin(press, nonce.clone(), at.now)).await
    }

    /// Makes a key the grant's live one. Only after this may it be shown.
    pub async fn record(&self, at: At<'_>, begun: &Begun, minted: &Minted) -> OnGrant<RecordRefused> {
        self.act(at, |view| view.record(begun, minted, at.now).map(leaving)).await
    }

    /// Ends an attempt that shows no key.
    pub async fn give_up(
        &self,
        at: At<'_>,
        begun: &Begun,
        how: GaveUp,
        key: Option<&KeyHash>,
        why: &str,
    ) -> OnGrant<Unchanged> {
        self.act(at, |view| view.give_up(begun, how, key, why, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Marks that the provider answered what it was owed.
    pub async fn settled(&self, at: At<'_>, debt: &Debt) -> OnGrant<Unchanged> {
        self.act(at, |view| view.settled(debt, at.now).map(leaving).ok_or(Unchanged)).await
    }

    pub async fn hold(&self, at: At<'_>, kind: HoldKind, by: &Actor, why: Option<&str>) -> OnGrant<HoldRefused> {
        self.act(at, |view| view.hold(kind, by, why, at.now).map(leaving)).await
    }

    /// Takes a hold off.
    pub async fn release(&self, at: At<'_>, kind: HoldKind, by: &Actor) -> OnGrant<ReleaseRefused> {
        self.act(at, |view| view.release(kind, by, at.now).map(leaving)).await
    }

    /// Ends the live key; the student may press again.
    pub async fn stop(&self, at: At<'_>, why: Stopped, by: &Actor) -> OnGrant<Unchanged> {
        self.act(at, |view| view.stop(why, by, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Ends the live key of this epoch because somebody else has it.
    pub async fn report_leaked(&self, at: At<'_>, epoch: Epoch) -> OnGrant<Unchanged> {
        self.act(at, |view| view.report_leaked(epoch, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Ends the grant for good.
    pub async fn revoke(&self, at: At<'_>, by: &Actor, why: Option<&str>) -> OnGrant<Unchanged> {
        self.act(at, |view| view.revoke(by, why, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Ends the grant with its programme.
    pub async fn end(&self, at: At<'_>, by: &Actor) -> OnGrant<Unchanged> {
        self.act(at, |view| view.end(by, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Marks an attempt whose key is enabled at the provider although nobody was shown it.
    pub async fn sweep(&self, at: At<'_>, epoch: Epoch, key: &KeyHash) -> Result<Outcome<Grant, Swept>, StoreError> {
        self.act(at, |view| view.sweep(epoch, key, at.now).map(leaving)).await
    }

    /// Owes the disable of a recorded key again, which the provider shows enabled and which nobody may use.
    pub async fn disable_again(
        &self,
        at: At<'_>,
        epoch: Epoch,
        key: &KeyHash,
        seen_at: Timestamp,
    ) -> OnGrant<Unchanged> {
        self.act(at, |view| view.disable_again(epoch, key, seen_at, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Stops a grant whose key was found disabled at the provider, unless an act came since the grant was read at this version.
    pub async fn found_disabled(&self, at: At<'_>, read: u64, epoch: Epoch, key: &KeyHash) -> OnGrant<NotAsRead> {
        self.act(at, |view| as_read(view, read, view.found_disabled(epoch, key, at.now))).await
    }

    /// Marks a key that the provider does not have any more, unless an act came since the grant was read at this version.
    pub async fn found_gone(&self, at: At<'_>, read: u64, epoch: Epoch, key: &KeyHash) -> OnGrant<NotAsRead> {
        self.act(at, |view| as_read(view, read, view.found_gone(epoch, key, at.now))).await
    }

    /// Marks a key that was deleted at the provider.
    pub async fn purged(&self, at: At<'_>, epoch: Epoch, key: &KeyHash) -> OnGrant<Unchanged> {
        self.act(at, |view| view.purged(epoch, key, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Records the limit that was sent for the live key.
    pub async fn limit_sent(&self, at: At<'_>, epoch: Epoch, limit: Usd, window: Window) -> OnGrant<Unchanged> {
        self.act(at, |view| view.limit_sent(epoch, limit, window, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Records keys that the provider lists and the table does not know, since it went back to an earlier moment.
    pub async fn recover(&self, at: At<'_>, found: &[Found], in_copy: bool) -> OnGrant<Unchanged> {
        self.act(at, |view| view.recover(found, in_copy, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Does the next thing that a rule of the programme asks for.
    pub async fn follow_rules(
        &self,
        at: At<'_>,
        last_used_at: Option<Timestamp>,
    ) -> Result<Outcome<(Grant, Rule), Unchanged>, StoreError> {
        let follow = |view: &View| {
            let (change, rule) = view.follow_rules(last_used_at, at.now)?;
            let grant = change.grant.clone();
            Some((change, (grant, rule)))
        };
        self.act(at, |view| follow(view).ok_or(Unchanged)).await
    }

    /// Takes back the end of a grant whose term was extended afterwards.
    pub async fn reopen(&self, at: At<'_>, by: &Actor) -> OnGrant<Unchanged> {
        self.act(at, |view| view.reopen(by, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Gives up the place of somebody who did not claim in time.
    pub async fn give_back_place(&self, at: At<'_>) -> OnGrant<Unchanged> {
        self.act(at, |view| view.give_back_place(at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Gives the grant a cap of its own, or takes it away.
    pub async fn set_cap(&self, at: At<'_>, cap: Option<Usd>, by: &Actor, why: Option<&str>) -> OnGrant<CapRefused> {
        self.act(at, |view| view.set_cap(cap, by, why, at.now).map(leaving)).await
    }

    /// Changes who it is for, as the roster says, and in which group. Its enrolment follows the address.
    pub async fn describe(&self, at: At<'_>, line: &Line, by: &Actor) -> OnGrant<LineRefused> {
        // Two people with one address would each be stale to the other for ever.
        let enrolled = self.get::<Enrolment>(&keys::enrolment(line.person.address.matched(), at.programme)).await?;
        if enrolled.is_some_and(|enrolled| enrolled.grant != *at.grant) {
            return Ok(Outcome::Refused(LineRefused::AddressTaken));
        }
        self.act(at, |view| view.describe(line, by, at.now).map(leaving)).await
    }

    /// Allows one replacement more.
    pub async fn allow(&self, at: At<'_>, by: &Actor) -> OnGrant<Unchanged> {
        self.act(at, |view| view.allow(by).map(leaving).ok_or(Unchanged)).await
    }
}

/// A decision that stands only on a grant that nobody has written since it was read.
fn as_read(view: &View, read: u64, decided: Option<Change>) -> Result<(Change, Grant), NotAsRead> {
    if view.grant.version != read {
        return Err(NotAsRead::Moved);
    }
    decided.map(leaving).ok_or(NotAsRead::Unchanged)
}

fn leaving(change: Change) -> (Change, Grant) {
    let grant = change.grant.clone();
    (change, grant)
}
