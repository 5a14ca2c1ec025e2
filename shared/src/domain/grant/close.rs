//! What ends a key or a grant, and what a person may change on one: stop, revoke, end, cap,
//! allowance, name, address and group.

use super::claim::key_number;
use super::*;
use crate::domain::audit::{Act, Actor, AuditDetail};
use crate::domain::programme::counts::Stage;
use crate::domain::values::address::MatchedAddress;

/// The note on a grant whose address went to another person.
pub const ADDRESS_PASSED: &str = "the address belongs to another person now";

impl View {
    /// Ends the live key; the student may press again. Returns `Unchanged` if no key is live.
    pub fn stop(&self, why: Stopped, actor: &Actor) -> Result<Change, Unchanged> {
        if !matches!(self.grant.state, GrantState::Live { .. }) {
            return Err(Unchanged);
        }
        Ok(self.stopped(why, actor))
    }

    fn stopped(&self, why: Stopped, actor: &Actor) -> Change {
        let mut change = self.change(actor, DependsOn::GrantAlone);
        change.notice = match why {
            Stopped::Leaked => Some(StudentNotice::KeyLeaked),
            Stopped::TooOld | Stopped::TermEnded => Some(StudentNotice::KeyEnded),
            Stopped::Returned
            | Stopped::OffRoster
            | Stopped::Replacing
            | Stopped::GoneAtProvider => None,
        };
        change.with_stop(why)
    }

    /// Ends the key because somebody else has it: the live one, or one that is to be off and may
    /// still be on, which is then told before all others. A page that is older than the live key
    /// shows one that has ended already.
    pub fn report_leaked(&self, epoch: Epoch, actor: &Actor) -> Result<Change, LeakRefused> {
        match (self.grant.live(), &self.grant.state) {
            (Some(live), _) if live.epoch <= epoch => {}
            (
                None,
                GrantState::Stopped {
                    why: Stopped::Leaked,
                },
            ) => return Err(LeakRefused::Reported),
            (None, GrantState::Stopped { .. }) if self.grant.has_key_to_end() => {}
            _ if epoch < self.grant.epoch => return Err(LeakRefused::Replaced),
            _ => return Err(LeakRefused::NoKey),
        }
        Ok(self.stopped(Stopped::Leaked, actor))
    }

    /// Ends the grant for good, which the student hears who had a key. Returns `Unchanged` if it is
    /// revoked already.
    pub fn revoke(&self, actor: &Actor, why: Option<&str>) -> Result<Change, Unchanged> {
        if self.grant.state == GrantState::Revoked || self.grant.person.address.is_erased() {
            return Err(Unchanged);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        (change.grant.state, change.grant.has_reservation) = (GrantState::Revoked, false);
        change.notice = self.grant.live().map(|_| StudentNotice::Removed);
        Ok(change.with_entry_because(Act::Revoked, why))
    }

    /// Ends the grant with its programme. Returns `Unchanged` if it is over already, or while the
    /// programme goes on.
    pub fn end(&self, actor: &Actor, now: Moment) -> Result<Change, Unchanged> {
        if self.grant.is_over() || !self.programme.is_over(now) {
            return Err(Unchanged);
        }
        Ok(self.ended(actor, DependsOn::Settings))
    }

    fn ended(&self, actor: &Actor, depends_on: DependsOn) -> Change {
        let mut change = self.change(actor, depends_on);
        (change.grant.state, change.grant.has_reservation) = (GrantState::Ended, false);
        change.with_entry(Act::Ended, None)
    }

    /// Lets the grant go on with a programme whose term was extended: a key that ended with the
    /// term as it was is over, and its student may press again. Returns `Unchanged` if neither the
    /// grant nor its key has ended, or its person is forgotten.
    pub fn go_on(&self, actor: &Actor, now: Moment) -> Result<Change, Unchanged> {
        if self.programme.is_over(now) {
            return Err(Unchanged);
        }
        if self.grant.live().is_some_and(|live| live.has_expired(now)) {
            return self.stop(Stopped::TermEnded, actor);
        }
        if self.grant.state != GrantState::Ended || self.grant.person.address.is_erased() {
            return Err(Unchanged);
        }
        let mut change = self.change(actor, DependsOn::Settings);
        change.grant.state = match self.grant.stage.has_claimed() {
            true => GrantState::Stopped {
                why: Stopped::TermEnded,
            },
            false => GrantState::Invited,
        };
        change.notice = self
            .grant
            .stage
            .has_claimed()
            .then_some(StudentNotice::KeyEnded);
        Ok(change.with_entry(Act::WentOn, None))
    }

    /// Ends the grant of somebody who is to be forgotten. Returns `Unchanged` if it is over
    /// already.
    pub fn end_for_erasure(&self, actor: &Actor) -> Result<Change, Unchanged> {
        if self.grant.is_over() {
            return Err(Unchanged);
        }
        Ok(self.ended(actor, DependsOn::GrantAlone))
    }

    /// Forgets who the grant was for, and what they wrote. Returns `Unchanged` if that is done, or
    /// while it goes on or a key may have use that is not read.
    pub fn erase(&self, actor: &Actor, now: Moment) -> Result<Change, Unchanged> {
        let Grant { id, person, .. } = &self.grant;
        let is_ready = self.grant.is_over() && self.calls(now).is_empty();
        if person.address.is_erased() || !is_ready {
            return Err(Unchanged);
        }
        let address = EmailAddress::erased(id);
        let name = person
            .name
            .as_ref()
            .map(|_| address.as_written().to_owned());
        let mut change = self.change(actor, DependsOn::GrantAlone);
        change.grant.person = Person {
            address,
            name,
            roster_id: None,
        };
        change.grant.more_request = None;
        change.grant.lost = BTreeSet::new();
        if let Some(pause) = &mut change.grant.holds.paused {
            pause.why = None;
        }
        Ok(change.with_entry(Act::Erased, None))
    }

    /// Hands the live key back together with its reservation; its student may press again while the
    /// budget has room. Returns `Unchanged` if no key is in use, or another than the page showed.
    pub fn hand_back(&self, epoch: Epoch) -> Result<Change, Unchanged> {
        self.grant
            .usable()
            .filter(|live| live.epoch <= epoch)
            .ok_or(Unchanged)?;
        let mut change = self.change(&Actor::Student, DependsOn::GrantAlone);
        change.grant.has_reservation = false;
        Ok(change.with_stop(Stopped::Returned))
    }

    /// Gives up the reservation of a student who was never shown a key before the claim window
    /// closed, or is off the roster for a week; the key of the latter ends. Returns `Unchanged` if
    /// there is no reservation.
    pub fn give_back_reservation(&self, now: Moment) -> Result<Change, Unchanged> {
        let is_unclaimed =
            self.grant.state == GrantState::Invited && !self.grant.is_being_made(now);
        let never_claimed = is_unclaimed && now >= self.programme.settings.claim_closes_at();
        let is_dropped = self
            .grant
            .holds
            .dropped
            .is_some_and(|dropped| now >= dropped + DROPPED_KEPT);
        if self.grant.is_over() || !self.grant.has_reservation || !(never_claimed || is_dropped) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Rule, DependsOn::GrantAlone);
        change.grant.has_reservation = false;
        if let GrantState::Live { .. } = self.grant.state {
            change.grant.state = GrantState::Stopped {
                why: Stopped::OffRoster,
            };
        }
        Ok(change.with_entry(Act::ReservationGivenBack, None))
    }

    /// Records an enabled key of ours that no claim recorded; nobody was shown it, so it is not to
    /// be on. Returns `Unchanged` if it is on record, its claim may still be running, or is not
    /// known here.
    pub fn record_orphan(
        &self,
        epoch: Epoch,
        key: &KeyHash,
        made_at: Moment,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        if self.grant.key_with(key).is_some() || epoch > self.grant.epoch || now < made_at + GRACE {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change.grant.put_key(GrantKey {
            enabled: Held::confirmed(true, now),
            ..GrantKey::made(epoch, key.clone(), made_at)
        });
        Ok(change.with_entry(Act::OrphanFound, Some(&key_number(epoch))))
    }

    /// Gives the grant a cap of its own, or takes it away again. The reservation in the budget
    /// grows at once. What a lower cap frees is free at the next count, once the provider confirmed
    /// the lower limit and the key was read.
    pub fn set_cap(
        &self,
        cap: Option<Usd>,
        actor: &Actor,
        why: Option<&str>,
        now: Moment,
    ) -> Result<Change, ChangeRefused> {
        if self.grant.is_over() {
            return Err(ChangeRefused::Over);
        }
        if self.grant.own_cap == cap {
            return Err(ChangeRefused::Unchanged);
        }
        let mut change = self.change(actor, DependsOn::Settings);
        change.grant.own_cap = cap;
        let change = change
            .with_room(self, now)
            .ok_or(ChangeRefused::BudgetExhausted)?;
        let settings = &self.programme.settings;
        let before = self.grant.cap(settings);
        let after = change.grant.cap(settings);
        let notice = (self.grant.stage.has_claimed() && before != after)
            .then_some(StudentNotice::CapChanged);
        let change = Change { notice, ..change };
        let what = AuditDetail::new(Act::CapChanged).with_change(before, after);
        Ok(change.with_entries(AuditDetail {
            reason: why.map(str::to_owned),
            ..what
        }))
    }

    /// Allows one replacement beyond the programme's number. Returns `Unchanged` if the grant is
    /// over.
    pub fn allow(&self, actor: &Actor) -> Result<Change, Unchanged> {
        if self.grant.is_over() {
            return Err(Unchanged);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        change.grant.allowed += 1;
        let allowed = change.grant.allowed;
        Ok(change.with_entry_from(Act::ReplacementAllowed, self.grant.allowed, allowed))
    }
}

/// Why no key is ended as leaked.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum LeakRefused {
    /// It was reported before. Its disable may still be pending, so pressing again does no harm.
    Reported,
    /// Another claim has replaced the key of this page, which ended that one.
    Replaced,
    NoKey,
}

/// What a roster says otherwise of a person. What it does not say stays.
#[derive(Default, PartialEq, Serialize, Deserialize)]
pub struct PersonChange {
    pub address: Option<AddressChange>,
    pub name: Option<String>,
    pub id: Option<String>,
}

#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct AddressChange {
    /// The address when that was decided: another one since was put there by somebody who knew
    /// better.
    pub before: MatchedAddress,
    pub after: EmailAddress,
}

impl View {
    /// Changes who a grant is for. An audit entry holds no personal data, so it only says what
    /// changed.
    pub fn describe(
        &self,
        correction: &PersonChange,
        actor: &Actor,
    ) -> Result<Change, ChangeRefused> {
        if self.grant.is_over() {
            return Err(ChangeRefused::Over);
        }
        let was = &self.grant.person;
        let mut person = was.clone();
        if let Some(AddressChange { before, after }) = &correction.address {
            // It may have passed to somebody else by an earlier step.
            if !was.address.is_none() && was.address.matched() != before && was.address != *after {
                return Err(ChangeRefused::AddressChanged);
            }
            person.address = after.clone();
        }
        person.name = correction.name.clone().or(person.name);
        person.roster_id = correction.id.clone().or(person.roster_id);
        let changed = [
            (
                "address",
                was.address.as_written() != person.address.as_written(),
            ),
            ("name", was.name != person.name),
            ("id", was.roster_id != person.roster_id),
        ];
        let changed: Vec<&str> = changed
            .into_iter()
            .filter(|(_, differs)| *differs)
            .map(|(what, _)| what)
            .collect();
        if changed.is_empty() {
            return Err(ChangeRefused::Unchanged);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        change.grant.person = person;
        // Whether mail comes back from another address too is seen by the next sync.
        change.grant.stage = change.grant.stage.after(Stage::Invited);
        Ok(change.with_entry(Act::Described, Some(&changed.join(", "))))
    }

    /// Moves a grant into another group. The reservation in the budget follows that group's cap,
    /// unless the grant has one of its own.
    pub fn move_to(
        &self,
        group: Option<&str>,
        actor: &Actor,
        now: Moment,
    ) -> Result<Change, ChangeRefused> {
        if self.grant.is_over() {
            return Err(ChangeRefused::Over);
        }
        if self.grant.group.as_deref() == group {
            return Err(ChangeRefused::Unchanged);
        }
        let mut change = self.change(actor, DependsOn::Settings);
        change.grant.group = group.map(str::to_owned);
        let change = change
            .with_room(self, now)
            .ok_or(ChangeRefused::BudgetExhausted)?;
        let from = self.grant.group.as_deref().unwrap_or_default();
        Ok(change.with_entry_from(Act::Moved, from, group.unwrap_or_default()))
    }

    /// Takes this address from the grant, since it is somebody else's now; what else is known of
    /// its person stays, and a hash of the address, by which an erasure of its former owner finds
    /// the grant. Returns `Unchanged` if the grant has another address or none.
    pub fn leave_address(
        &self,
        address: &MatchedAddress,
        actor: &Actor,
    ) -> Result<Change, Unchanged> {
        if self.grant.person.address.matched() != address {
            return Err(Unchanged);
        }
        let mut change = self.change(actor, DependsOn::GrantAlone);
        change.grant.person.address = EmailAddress::none_of(&self.grant.id);
        change.grant.lost.insert(address.digest());
        Ok(change.with_entry(Act::Described, Some(ADDRESS_PASSED)))
    }

    /// Gives the grant its person's right address, as somebody typed it.
    pub fn correct_address(
        &self,
        new_address: &EmailAddress,
        actor: &Actor,
    ) -> Result<Change, ChangeRefused> {
        let address = AddressChange {
            before: self.grant.person.address.matched().clone(),
            after: new_address.clone(),
        };
        let change = self.describe(
            &PersonChange {
                address: Some(address),
                ..PersonChange::default()
            },
            actor,
        )?;
        Ok(Change {
            is_typed: true,
            ..change
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::values::{a_view, at};

    fn moved(from: &str, to: &str) -> Option<AddressChange> {
        let address = |text: &str| EmailAddress::parse(text).unwrap();
        Some(AddressChange {
            before: address(from).matched().clone(),
            after: address(to),
        })
    }

    #[test]
    fn a_line_that_says_the_same_changes_nothing() {
        let mut view = a_view();
        let same = PersonChange {
            name: view.grant.person.name.clone(),
            ..PersonChange::default()
        };
        let now = at("2026-02-01T00:00:00Z");
        assert_eq!(
            view.describe(&same, &Actor::Rule),
            Err(ChangeRefused::Unchanged)
        );
        assert_eq!(
            view.move_to(view.grant.group.as_deref(), &Actor::Rule, now),
            Err(ChangeRefused::Unchanged)
        );
        view.grant.state = GrantState::Revoked;
        let name = PersonChange {
            name: Some("Ada".to_owned()),
            ..PersonChange::default()
        };
        assert_eq!(view.describe(&name, &Actor::Rule), Err(ChangeRefused::Over));
        assert_eq!(
            view.move_to(Some("B"), &Actor::Rule, now),
            Err(ChangeRefused::Over)
        );
    }

    #[test]
    fn an_entry_tells_what_changed_and_names_nobody() {
        let view = a_view();
        let written = view.grant.person.address.as_written().to_owned();
        let name = Some("Ada Lovelace".to_owned());
        let to = PersonChange {
            name,
            address: moved(&written, "countess@uni.edu"),
            ..PersonChange::default()
        };
        let change = view.describe(&to, &Actor::Rule).unwrap();
        let entry = serde_json::to_string(change.audit().unwrap()).unwrap();
        assert!(
            entry.contains("address, name")
                && !entry.contains("countess")
                && !entry.contains("Ada"),
            "{entry}"
        );
    }

    #[test]
    fn a_correction_made_since_stays() {
        let view = a_view();
        let stale = PersonChange {
            address: moved("old@uni.edu", "new@uni.edu"),
            ..PersonChange::default()
        };
        assert_eq!(
            view.describe(&stale, &Actor::Rule),
            Err(ChangeRefused::AddressChanged)
        );
        let written = view.grant.person.address.as_written();
        let done = PersonChange {
            address: moved("old@uni.edu", written),
            ..PersonChange::default()
        };
        assert_eq!(
            view.describe(&done, &Actor::Rule),
            Err(ChangeRefused::Unchanged)
        );
    }
}
