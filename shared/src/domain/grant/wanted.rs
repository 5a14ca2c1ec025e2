//! What the live key of a grant is to hold by now: its limit, in whole cents and rounded down, and its guardrail. It is reckoned whenever
//! it is asked for, from the grant, the settings and what the keys used.

use super::*;
use crate::domain::programme::guardrail::{ConfirmedRules, Guardrail, GuardrailOwner};

/// The guardrail that the next key is put under before it is shown.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum NextGuardrail {
    #[default]
    None,
    Confirmed {
        of: GuardrailOwner,
        confirmed: ConfirmedRules,
    },
    /// The provider has not confirmed any rules of it yet, so no key is made.
    NotConfirmed,
}

impl Grant {
    /// Whether one of its keys is, or is to be, under a guardrail.
    pub fn may_need_guardrail(&self, settings: &Settings) -> bool {
        let is_under = |of: &Key| of.guardrail.possible().next().is_some();
        !settings.rules.restrict_nobody() || self.keys.iter().any(is_under)
    }
}

impl View {
    /// The limit of the next key if no key were live any more; `None` with less than a cent left.
    pub fn next_limit(&self, now: Moment) -> Option<Usd> {
        let mut spending = self.spending(now);
        spending.retired_in_window = spending.in_window;
        wanted_limit(self.grant.cap(&self.programme.settings), &spending)
    }

    /// The limit that the newest key is to have, held or not. It is never below a cent, since it is not documented what a limit of nothing
    /// does.
    pub fn limit_wanted(&self, now: Moment) -> Usd {
        wanted_limit(self.grant.cap(&self.programme.settings), &self.spending(now)).unwrap_or(Usd::CENT)
    }

    pub fn next_guardrail(&self) -> NextGuardrail {
        let Some(of) = self.guardrail_of_next_key() else { return NextGuardrail::None };
        match self.guardrail(&of).and_then(Guardrail::confirmed) {
            Some(confirmed) => NextGuardrail::Confirmed { of, confirmed },
            None => NextGuardrail::NotConfirmed,
        }
    }

    /// `None` if the next key may call everything.
    fn guardrail_of_next_key(&self) -> Option<GuardrailOwner> {
        let rules = self.programme.settings.rules.of(self.grant.group.as_deref());
        (!rules.allow_all()).then(|| self.guardrail_of_group())
    }

    /// The guardrail that the live key is to be under; `None` if no key is live, or it may call everything and was never under one. No
    /// key is taken from under a guardrail: it is put under another, which may allow everything.
    pub fn guardrail_wanted(&self) -> Option<GuardrailOwner> {
        let live = self.grant.live()?;
        let mut under = live.guardrail.possible();
        match under.next() {
            // A group that lost its own rules keeps its guardrail, with the programme's.
            Some(under) if under.group == self.grant.group => Some(self.owner(under.group.clone())),
            Some(_) => Some(self.guardrail_of_group()),
            None => self.guardrail_of_next_key(),
        }
    }

    pub fn guardrail(&self, of: &GuardrailOwner) -> Option<&Guardrail> {
        self.guardrails.iter().find(|known| known.of == *of)
    }

    /// A guardrail as the provider has it, once it is made.
    pub(super) fn made(&self, of: &GuardrailOwner) -> Option<KeyGuardrail> {
        let made = self.guardrail(of)?.made.as_ref()?;
        Some(KeyGuardrail { group: of.group.clone(), id: made.id.clone() })
    }

    /// The group's, if it has rules of its own, else the programme's.
    fn guardrail_of_group(&self) -> GuardrailOwner {
        let has_own = |group: &&String| self.programme.settings.rules.group_models.contains_key(*group);
        self.owner(self.grant.group.as_ref().filter(has_own).cloned())
    }

    fn owner(&self, group: Option<String>) -> GuardrailOwner {
        GuardrailOwner { programme: self.programme.id.clone(), group }
    }

    /// Doubts that the live key is under its guardrail, since the provider does not list it there. Returns `Unchanged` if a call about it
    /// may still come, or it is doubted already.
    pub fn not_under(&self, key: &KeyHash, asked: Moment) -> Result<Change, Unchanged> {
        let live = self.grant.usable().filter(|live| live.hash == *key).ok_or(Unchanged)?;
        if !live.guardrail.is_quiet(asked) || live.guardrail.is_doubted() {
            return Err(Unchanged);
        }
        let was = live.guardrail.known().map(|under| under.id.clone()).unwrap_or_default();
        let mut change = self.change(&Actor::Sync, DependsOn::GrantAlone);
        change.key_mut(key).ok_or(Unchanged)?.guardrail.doubt();
        Ok(change.audited_from(Act::GuardrailLost, was, "none", None))
    }
}
