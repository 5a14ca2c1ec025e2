//! The rule set of a live key: the wanted one, the order that puts the key under its guardrail, and the confirmation.

use jiff::Timestamp;

use crate::domain::audit::{Act, Actor};
use crate::domain::grant::{Attempt, Change, DependsOn, Draft, Mark, Unchanged, View};
use crate::domain::programme::rules::Rules;
use crate::domain::values::id::{Epoch, RuleSetId};
use crate::domain::values::key::KeyHash;

impl View {
    /// The rules that the grant's next key must be under before it is shown; `None` if it may call everything.
    pub fn rules_of_next_key(&self) -> Option<Rules> {
        let rules = self.programme.settings.rules(self.grant.group.as_deref());
        (!rules.allow_all()).then_some(rules)
    }

    /// The rules that the live key is to be under; `None` if no key is live, or it may call everything and was never under others.
    /// Rules are never taken off a key: it is put under others, which may allow everything.
    pub fn rules_wanted(&self) -> Option<Rules> {
        let live = self.grant.live()?;
        let rules = self.programme.settings.rules(self.grant.group.as_deref());
        (!rules.allow_all() || live.rule_set.is_some() || live.rules_ordered.is_some()).then_some(rules)
    }

    /// Orders that the live key is put under the wanted rules. Returns `Unchanged` if it is under them, or that is ordered.
    pub fn order_rules(&self, now: Timestamp) -> Result<Change, Unchanged> {
        let wanted = self.rules_wanted().ok_or(Unchanged)?;
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let live = change.live_mut().ok_or(Unchanged)?;
        if live.rules_ordered.is_some() || live.rule_set == Some(wanted.id()) {
            return Err(Unchanged);
        }
        live.order_rules(now);
        Ok(change.marked(Mark::Ordered))
    }

    /// Orders that the live key is put under the wanted rules, whatever is recorded: a call about it is under way, or was not answered.
    /// Returns `Unchanged` if that is ordered, or the key is not live any more.
    pub fn order_rules_anew(&self, epoch: Epoch, now: Timestamp) -> Result<Change, Unchanged> {
        self.rules_wanted().ok_or(Unchanged)?;
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        let is_it = |live: &&mut Attempt| live.epoch == epoch && live.rules_ordered.is_none();
        change.live_mut().filter(is_it).ok_or(Unchanged)?.order_rules(now);
        Ok(change.marked(Mark::Ordered))
    }

    /// Records that the provider confirmed a key to be under a rule set. `ordered` is the order that the sender saw. Where that is not
    /// the last one, or other rules are wanted by now, they are ordered again: nobody knows which of two calls the provider did last.
    /// Returns `Unchanged` if there is nothing to record.
    pub fn rules_confirmed(
        &self,
        epoch: Epoch,
        key: &KeyHash,
        set: &RuleSetId,
        ordered: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Change, Unchanged> {
        let is_live = self.grant.live().is_some_and(|live| live.epoch == epoch);
        let is_wanted = self.programme.settings.rules(self.grant.group.as_deref()).id() == *set;
        let mut change = self.change(&Actor::Sync, DependsOn::Settings);
        let is_it = |attempt: &&mut Attempt| attempt.epoch == epoch && attempt.key.as_ref() == Some(key);
        let attempt = change.grant.attempts.iter_mut().find(is_it).ok_or(Unchanged)?;
        let was = attempt.rule_set.replace(set.clone());
        let is_known = was.as_ref() == Some(set) && attempt.rules_ordered.is_none();
        let is_last = attempt.rules_ordered == ordered || is_known;
        (attempt.put_off, attempt.missing_since) = (None, None);
        attempt.rules_ordered = (is_live && !(is_wanted && is_last)).then_some(now);
        if change.grant.attempts == self.grant.attempts {
            return Err(Unchanged);
        }
        if was.as_ref() == Some(set) {
            return Ok(change.marked(Mark::Confirmed));
        }
        let was = was.map_or_else(|| "none".to_owned(), |was| was.to_string());
        Ok(change.audited_from(Act::RulesSent, was, set, None))
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
    /// Orders the rules that follow from another group.
    pub(in crate::domain::grant) fn with_rules(mut self, view: &View, now: Timestamp) -> Draft {
        let after = View { grant: self.grant.clone(), ..view.clone() };
        if let Some(wanted) = after.rules_wanted()
            && let Some(live) = self.live_mut()
            && live.rule_set != Some(wanted.id())
        {
            live.order_rules(now);
        }
        self
    }
}
