//! The guardrail of a live key: the wanted one, the order that puts the key under it, and the confirmation.

use crate::domain::grant::{Attempt, Change, DependsOn, Draft, KeyGuardrail, Mark, Unchanged};
use crate::domain::programme::guardrail::{Guardrail, GuardrailOwner};
use crate::prelude::*;

/// The reason that a key is not ordered to be put under a guardrail.
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
        let made = guardrails.iter().find(|known| known.of == wanted).and_then(|known| known.confirmed.as_ref());
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
        let is_it = |attempt: &&mut Attempt| attempt.epoch == epoch && attempt.key.as_ref() == Some(key);
        let attempt = change.grant.attempts.iter_mut().find(is_it).ok_or(Unchanged)?;
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
        let attempt = change.grant.attempts.iter_mut().find(|attempt| attempt.epoch == epoch).ok_or(Unchanged)?;
        attempt.rules_ordered.take().ok_or(Unchanged)?;
        Ok(change.marked(Mark::Dropped))
    }
}

impl Draft {
    /// Orders the guardrail that follows from another group, or from settings that changed while the key was made.
    pub(in crate::domain::grant) fn with_rules(mut self, view: &View, now: Moment) -> Draft {
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
