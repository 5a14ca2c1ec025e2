//! The limit of a live key: the wanted one, the order that sends and confirms it, and what else the provider may hold
//! until then. Limits are whole cents, rounded down; a listed limit less than a cent away counts as equal.
//!
//! The guardrail of a live key: the wanted one, the order that puts the key under it, and the confirmation.

use super::*;
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListedLimit {
    /// The provider was not asked.
    Unasked,
    Unlimited,
    Limit(Usd),
    /// A limit that is counted in another window than the programme's, or that treats BYOK use differently.
    CountedOtherwise,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WantedLimit {
    Limit(Usd),
    /// Less than a cent is left, so the key is to be stopped.
    UsedUp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotSending {
    /// The provider holds as much, or the limit is noted already; it can be sent as it is.
    NotLarger,
    NotWanted,
}

impl View {
    /// The limit of the next key if no key were live any more; `None` with less than a cent left.
    pub fn next_limit(&self, now: Moment) -> Option<Usd> {
        let mut spending = self.spending(now);
        spending.retired_in_window = spending.in_window;
        wanted_limit(self.grant.cap(&self.programme.settings), &spending)
    }

    /// The wanted limit of the live key, held or not.
    pub fn limit_wanted(&self, now: Moment) -> Option<WantedLimit> {
        self.grant.live()?;
        let limit = wanted_limit(self.grant.cap(&self.programme.settings), &self.spending(now));
        Some(limit.map_or(WantedLimit::UsedUp, WantedLimit::Limit))
    }

    /// The wanted limit of the live key, where the confirmed or the listed one differs from it. `None` if the
    /// limit is right, or no key is live.
    pub fn wanted(&self, listed: ListedLimit, now: Moment) -> Option<WantedLimit> {
        let (live, wanted) = (self.grant.live()?, self.limit_wanted(now)?);
        let WantedLimit::Limit(limit) = wanted else { return Some(wanted) };
        let is_listed = match listed {
            ListedLimit::Unasked => true,
            ListedLimit::Unlimited | ListedLimit::CountedOtherwise => false,
            ListedLimit::Limit(listed) => listed.is_about(limit),
        };
        let is_right = is_listed && live.limit.is_some_and(|held| held.is_about(limit));
        (!is_right).then_some(wanted)
    }

    /// Orders the wanted limit where it is not the held one, or stops a grant that has used all of its cap.
    /// The grant decides as it stands now, whatever it was when the key was listed. Returns `Unchanged` if
    /// there is nothing to order.
    pub fn order_limit(&self, listed: ListedLimit, now: Moment) -> Result<Change, Unchanged> {
        match self.wanted(listed, now).ok_or(Unchanged)? {
            WantedLimit::UsedUp => self.stop(Stopped::UsedUp, &Actor::Sync, now),
            WantedLimit::Limit(_) => {
                let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
                let live = change.live_mut().filter(|live| live.limit_ordered.is_none()).ok_or(Unchanged)?;
                live.order_limit(now);
                Ok(change.marked(Mark::Ordered))
            }
        }
    }

    /// Notes that a larger limit is about to be sent, since from then on the provider may hold it. It must be
    /// the limit that is wanted at this moment, which the budget counts.
    pub fn sending_limit(&self, epoch: Epoch, limit: Usd, now: Moment) -> Result<Change, NotSending> {
        let mut change = self.change(&Actor::Sync, DependsOn::Settings);
        let live = change.live_mut().filter(|live| live.epoch == epoch).ok_or(NotSending::NotWanted)?;
        if self.limit_wanted(now) != Some(WantedLimit::Limit(limit)) {
            return Err(NotSending::NotWanted);
        }
        // After a lost answer the act is decided again and finds itself done.
        let is_noted =
            live.larger_limit.is_some_and(|larger| larger.limit >= limit && larger.unanswered_since == Some(now));
        if is_noted || live.limit.is_some_and(|held| held >= limit) {
            return Err(NotSending::NotLarger);
        }
        let larger = live.larger_limit.get_or_insert(LargerLimit { limit, until: None, unanswered_since: None });
        (larger.limit, larger.unanswered_since) = (larger.limit.max(limit), Some(now));
        Ok(change.marked(Mark::Sending))
    }

    /// Records the limit that the provider confirmed. A larger one that it held before counts until the key
    /// is read, and one whose answer was lost may still take effect. Returns `Unchanged` if the limit is not
    /// ordered any more, or the window has turned since it was computed.
    pub fn limit_confirmed(
        &self,
        order: &Order,
        sent: SentLimit,
        window: Window,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        if self.programme.settings.basis.reset.window_at(now) != window {
            return Err(Unchanged);
        }
        let (reservation, wanted) = (self.reservation(), self.limit_wanted(now));
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_with(order.epoch, &order.key).ok_or(Unchanged)?;
        if attempt.limit_ordered != Some(order.since) {
            return Err(Unchanged);
        }
        let (was, larger) = (attempt.limit, attempt.larger_limit);
        let most = was.unwrap_or_default().max(larger.map_or(Usd::ZERO, |larger| larger.limit));
        let unanswered_since = match larger.and_then(|larger| larger.unanswered_since) {
            Some(at) if at == sent.at => sent.unanswered_before,
            other => other,
        };
        // No limit lets anything be used while the key is off, and its earlier use is known.
        let is_off = match attempt.switch {
            SwitchState::Off { at } => reservation.is_read_since(attempt, at),
            SwitchState::OnOrdered { until_limited, .. } => until_limited,
            SwitchState::On | SwitchState::OffOrdered { .. } => false,
        };
        let counts = unanswered_since.is_some() || (most > sent.limit && !is_off);
        attempt.larger_limit =
            counts.then_some(LargerLimit { limit: most.max(sent.limit), until: Some(now), unanswered_since });
        attempt.limit = Some(sent.limit);
        (attempt.put_off, attempt.missing_since) = (None, None);
        // The cap may have been changed since the limit was computed.
        if wanted == Some(WantedLimit::Limit(sent.limit)) || wanted.is_none() {
            attempt.note_limited();
        }
        if attempt.read_at.is_some() {
            attempt.order_reading(now);
        }
        if was == Some(sent.limit) {
            return Ok(change.marked(Mark::Confirmed));
        }
        let was = was.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string());
        Ok(change.audited_from(Act::LimitSent, was, sent.limit, None))
    }

    /// Drops the limit order of a key that is not live any more. Returns `Unchanged` if there is none.
    pub fn drop_limit_order(&self, order: &Order) -> Result<Change, Unchanged> {
        if self.grant.live().is_some_and(|live| live.epoch == order.epoch) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_mut(order.epoch).ok_or(Unchanged)?;
        attempt.limit_ordered.take().ok_or(Unchanged)?;
        Ok(change.marked(Mark::Dropped))
    }

    /// Marks that a limit whose answer was lost did not take effect, because long after it the provider lists
    /// another. Returns `Unchanged` if no such limit is open.
    pub fn limit_seen(&self, epoch: Epoch, listed: ListedLimit, asked: Moment) -> Result<Change, Unchanged> {
        let ListedLimit::Limit(listed) = listed else { return Err(Unchanged) };
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_mut(epoch).ok_or(Unchanged)?;
        let larger = attempt.larger_limit.as_mut().ok_or(Unchanged)?;
        let is_late = larger.unanswered_since.is_some_and(|since| asked >= since + GRACE);
        if !is_late || attempt.limit.is_none_or(|held| !held.is_about(listed)) {
            return Err(Unchanged);
        }
        (larger.unanswered_since, larger.until) = (None, Some(asked));
        Ok(change.marked(Mark::Confirmed))
    }
}

impl Draft {
    /// Orders the limit that follows from another cap, or stops the grant with less than a cent left. `read`
    /// says whether a person waits for what a lower limit gives back.
    pub(super) fn with_limit(mut self, view: &View, read: bool, now: Moment) -> Draft {
        let after = View { grant: self.grant.clone(), ..view.clone() };
        match after.wanted(ListedLimit::Unasked, now) {
            None => {}
            Some(WantedLimit::UsedUp) => {
                self = self.ordering_all_off(now);
                self.grant.state = GrantState::Stopped { why: Stopped::UsedUp };
            }
            Some(WantedLimit::Limit(limit)) => {
                if let Some(live) = self.live_mut() {
                    live.order_limit(now);
                    if read && live.limit.is_some_and(|held| held > limit) {
                        live.order_reading(now);
                    }
                }
            }
        }
        self
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotMoved {
    /// It is under it, or that is ordered.
    Already,
    /// The provider has not confirmed the guardrail yet.
    NotMade,
}

impl View {
    /// The guardrail that the grant's next key must be under before it is shown; `None` if it may call everything.
    pub fn guardrail_of_next_key(&self) -> Option<GuardrailOwner> {
        let rules = self.programme.settings.rules.of(self.grant.group.as_deref());
        (!rules.allow_all()).then(|| self.guardrail_of_group())
    }

    /// The guardrail that the live key is to be under; `None` if no key is live, or it may call everything and was never under one. No
    /// key is taken from under a guardrail: it is put under another, which may allow everything.
    pub fn guardrail_wanted(&self) -> Option<GuardrailOwner> {
        let live = self.grant.live()?;
        match &live.guardrail {
            // A group that lost its own rules keeps its guardrail, with the programme's.
            Some(under) if under.group == self.grant.group => Some(self.owner(under.group.clone())),
            Some(_) => Some(self.guardrail_of_group()),
            None if live.rules_ordered.is_some() => Some(self.guardrail_of_group()),
            None => self.guardrail_of_next_key(),
        }
    }

    /// The group's, if it has rules of its own, else the programme's.
    fn guardrail_of_group(&self) -> GuardrailOwner {
        let has_own = |group: &&String| self.programme.settings.rules.group_models.contains_key(*group);
        self.owner(self.grant.group.as_ref().filter(has_own).cloned())
    }

    fn owner(&self, group: Option<String>) -> GuardrailOwner {
        GuardrailOwner { programme: self.programme.id.clone(), group }
    }

    /// Orders that the live key is put under the wanted guardrail, which is one of these.
    pub fn order_rules(&self, guardrails: &[Guardrail], now: Moment) -> Result<Change, NotMoved> {
        let wanted = self.guardrail_wanted().ok_or(NotMoved::Already)?;
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let live = change.live_mut().filter(|live| live.rules_ordered.is_none()).ok_or(NotMoved::Already)?;
        let made = guardrails.iter().find(|known| known.of == wanted).and_then(|known| known.made.as_ref());
        let made = made.ok_or(NotMoved::NotMade)?;
        if live.guardrail == Some(KeyGuardrail { group: wanted.group, id: made.id.clone() }) {
            return Err(NotMoved::Already);
        }
        live.order_rules(now);
        Ok(change.marked(Mark::Ordered))
    }

    /// Orders that the live key is put under the wanted guardrail, whatever is recorded: a call about it was not answered, or somebody
    /// took it from there. Returns `Unchanged` if that is ordered, or the key is not live any more.
    pub fn order_rules_anew(&self, epoch: Epoch, now: Moment) -> Result<Change, Unchanged> {
        self.guardrail_wanted().ok_or(Unchanged)?;
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let is_it = |live: &&mut Attempt| live.epoch == epoch && live.rules_ordered.is_none();
        change.live_mut().filter(is_it).ok_or(Unchanged)?.order_rules(now);
        Ok(change.marked(Mark::Ordered))
    }

    /// Records that the provider confirmed a key to be under a guardrail. `ordered` is the order that the sender saw. Where that is not
    /// the last one, or another guardrail is wanted by now, it is ordered again: nobody knows which of two calls the provider did last.
    /// Returns `Unchanged` if there is nothing to record.
    pub fn rules_confirmed(
        &self,
        epoch: Epoch,
        key: &KeyHash,
        under: &KeyGuardrail,
        ordered: Option<Moment>,
        now: Moment,
    ) -> Result<Change, Unchanged> {
        let is_live = self.grant.live().is_some_and(|live| live.epoch == epoch);
        let is_wanted = self.guardrail_wanted().is_some_and(|wanted| wanted.group == under.group);
        let mut change = self.change(&Actor::Sync, DependsOn::Settings);
        let attempt = change.attempt_with(epoch, key).ok_or(Unchanged)?;
        let was = attempt.guardrail.replace(under.clone());
        let is_known = was.as_ref() == Some(under) && attempt.rules_ordered.is_none();
        let is_last = attempt.rules_ordered == ordered || is_known;
        (attempt.put_off, attempt.missing_since) = (None, None);
        attempt.rules_ordered = (is_live && !(is_wanted && is_last)).then_some(now);
        if change.grant.attempts == self.grant.attempts {
            return Err(Unchanged);
        }
        if was.as_ref() == Some(under) {
            return Ok(change.marked(Mark::Confirmed));
        }
        let was = was.map_or_else(|| "none".to_owned(), |was| was.id);
        Ok(change.audited_from(Act::RulesSent, was, &under.id, None))
    }

    /// Drops the order of a key that is not live any more. Returns `Unchanged` if there is none.
    pub fn drop_rules_order(&self, epoch: Epoch) -> Result<Change, Unchanged> {
        if self.grant.live().is_some_and(|live| live.epoch == epoch) {
            return Err(Unchanged);
        }
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let attempt = change.attempt_mut(epoch).ok_or(Unchanged)?;
        attempt.rules_ordered.take().ok_or(Unchanged)?;
        Ok(change.marked(Mark::Dropped))
    }
}

impl Draft {
    /// Orders the guardrail that follows from another group, or from settings that changed while the key was made.
    pub(super) fn with_rules(mut self, view: &View, now: Moment) -> Draft {
        let after = View { grant: self.grant.clone(), ..view.clone() };
        if let Some(wanted) = after.guardrail_wanted()
            && let Some(live) = self.live_mut()
            && live.guardrail.as_ref().is_none_or(|under| under.group != wanted.group)
        {
            live.order_rules(now);
        }
        self
    }
}
