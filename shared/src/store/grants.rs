//! The acts on a grant, by their names in the product. What each may do is decided in `domain::grant`; that it is done once,
//! whole and on what was read is `act`'s work.

use jiff::Timestamp;

use super::act::{At, Outcome};
use super::items::Enrolment;
use super::keys;
use super::{StoreError, Table};
use crate::domain::audit::Actor;
use crate::domain::grant::{
    BeginRefused, Begun, CapRefused, Change, Found, GaveUp, Grant, Hold, HoldRefused, Line, LineRefused, Listed,
    Minted, NotSending, Order, Press, Reading, RecordRefused, ReleaseRefused, Rule, SentLimit, Stopped, Swept, View,
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

/// What an act came to that leaves a grant behind; what is ordered by it is the caller's to carry out.
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

    /// Marks that the provider confirmed a switch.
    pub async fn confirmed(&self, at: At<'_>, order: &Order) -> OnGrant<Unchanged> {
        self.act(at, |view| view.confirmed(order, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Puts an order off that could not be carried out.
    pub async fn put_off(&self, at: At<'_>, order: &Order) -> OnGrant<Unchanged> {
        self.act(at, |view| view.put_off(order, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Marks that the provider answered that it does not know a key.
    pub async fn not_found(&self, at: At<'_>, epoch: Epoch, key: &KeyHash) -> OnGrant<Unchanged> {
        self.act(at, |view| view.not_found(epoch, key, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Orders the limit that is wanted of the live key, or stops a grant that has used all of its cap.
    pub async fn order_limit(&self, at: At<'_>, listed: Listed) -> OnGrant<Unchanged> {
        self.act(at, |view| view.order_limit(listed, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Writes down that a larger limit is about to be sent.
    pub async fn sending_limit(&self, at: At<'_>, epoch: Epoch, limit: Usd) -> OnGrant<NotSending> {
        self.act(at, |view| view.sending_limit(epoch, limit, at.now).map(leaving)).await
    }

    /// Records the limit that the provider confirmed, reckoned in this window.
    pub async fn limit_confirmed(
        &self,
        at: At<'_>,
        order: &Order,
        sent: SentLimit,
        window: Window,
    ) -> OnGrant<Unchanged> {
        self.act(at, |view| view.limit_confirmed(order, sent, window, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Forgets the order of a limit of a key that is not live any more.
    pub async fn limit_of_no_matter(&self, at: At<'_>, order: &Order) -> OnGrant<Unchanged> {
        self.act(at, |view| view.limit_of_no_matter(order).map(leaving).ok_or(Unchanged)).await
    }

    /// Marks that a limit which was never answered did not come.
    pub async fn limit_seen(&self, at: At<'_>, epoch: Epoch, listed: Listed, asked: Timestamp) -> OnGrant<Unchanged> {
        self.act(at, |view| view.limit_seen(epoch, listed, asked).map(leaving).ok_or(Unchanged)).await
    }

    /// Records what a key used in the end, and gives the rest of its place back.
    pub async fn read_for_the_last_time(&self, at: At<'_>, reading: &Reading) -> OnGrant<Unchanged> {
        self.act(at, |view| view.read_for_the_last_time(reading).map(leaving).ok_or(Unchanged)).await
    }

    /// Gives back what was left of the limits of keys that are gone, since the account's sums show that nobody used it.
    pub async fn explained(&self, at: At<'_>, explained_at: Timestamp) -> OnGrant<Unchanged> {
        self.act(at, |view| view.explained(explained_at).map(leaving).ok_or(Unchanged)).await
    }

    /// Takes back the enable of a live key that is under way.
    pub async fn take_enable_back(&self, at: At<'_>) -> OnGrant<Unchanged> {
        self.act(at, |view| view.take_enable_back(at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Hands the live key back, and the place with it.
    pub async fn hand_back(&self, at: At<'_>, epoch: Epoch) -> OnGrant<Unchanged> {
        self.act(at, |view| view.hand_back(epoch, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Closes an attempt whose handler died before any key of it was listed.
    pub async fn forsaken(&self, at: At<'_>) -> OnGrant<Unchanged> {
        self.act(at, |view| view.forsaken(at.now).map(leaving).ok_or(Unchanged)).await
    }

    pub async fn hold(&self, at: At<'_>, hold: impl Into<Hold>, by: &Actor, why: Option<&str>) -> OnGrant<HoldRefused> {
        let hold = hold.into();
        self.act(at, |view| view.hold(hold, by, why, at.now).map(leaving)).await
    }

    /// Takes a hold off.
    pub async fn release(&self, at: At<'_>, hold: impl Into<Hold>, by: &Actor) -> OnGrant<ReleaseRefused> {
        let hold = hold.into();
        self.act(at, |view| view.release(hold, by, at.now).map(leaving)).await
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
    pub async fn sweep(
        &self,
        at: At<'_>,
        epoch: Epoch,
        nonce: &Nonce,
        key: &KeyHash,
    ) -> Result<Outcome<Grant, Swept>, StoreError> {
        self.act(at, |view| view.sweep(epoch, nonce, key, at.now).map(leaving)).await
    }

    /// Orders the disable of a recorded key again, which the provider shows enabled and which nobody may use.
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

    /// Records keys that the provider lists and the table does not know, since it went back to an earlier moment.
    pub async fn recover(&self, at: At<'_>, found: &[Found], in_copy: bool) -> OnGrant<Unchanged> {
        self.act(at, |view| view.recover(found, in_copy, at.now).map(leaving).ok_or(Unchanged)).await
    }

    /// Does the next thing that a rule of the programme asks for, once the mails that it rests on were sent.
    pub async fn follow_rules(
        &self,
        at: At<'_>,
        last_used_at: Option<Timestamp>,
    ) -> Result<Outcome<(Grant, Rule), Unchanged>, StoreError> {
        let Some(view) = Box::pin(self.view(at.programme, at.grant)).await? else { return Ok(Outcome::NoSuchGrant) };
        // A mark that is written meanwhile is of a mail that is not among these, and nothing comes of it this time.
        let mails = self.announcements_sent(&view, last_used_at, at.now).await?;
        let follow = |view: &View| {
            let (change, rule) = view.follow_rules(last_used_at, &mails, at.now)?;
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
