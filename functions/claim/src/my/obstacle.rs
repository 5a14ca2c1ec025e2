//! The obstacles to a key, known before anything is pressed. Words for a refused request are left to
//! `refusal`.

use bursar_core::domain::grant::{BeginRefused, GrantState, Press, PressKind, View};
use bursar_core::domain::values::id::Nonce;
use bursar_core::domain::values::term::Term;
use jiff::Timestamp;

use crate::my::rules::{KeyRules, NextGuardrail};
use crate::refusal::why_not;

/// The reason why no key can be made now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Obstacle {
    Begin(BeginRefused),
    /// The provider has not confirmed the rules of the next key yet.
    BeingPrepared,
}

impl Obstacle {
    pub(crate) fn of(view: &View, rules: &KeyRules, now: Timestamp) -> Option<Obstacle> {
        let settings = &view.programme.settings;
        let press = Press { kind: kind_of_press(view), epoch: view.grant.epoch, terms: settings.terms_hash() };
        let is_prepared = rules.next != NextGuardrail::NotConfirmed;
        match view.begin(press, Nonce::random(), now) {
            // A press takes this enable back, so it is no obstacle.
            Err(BeginRefused::EnableUnderWay { until: None }) => None,
            Err(refused) => Some(Obstacle::Begin(refused)),
            Ok(_) => (!is_prepared).then_some(Obstacle::BeingPrepared),
        }
    }

    /// Whether the obstacle only stops a replacement, while the present key keeps working.
    pub(crate) fn stops_replacing_only(&self) -> bool {
        matches!(
            self,
            Obstacle::BeingPrepared
                | Obstacle::Begin(
                    BeginRefused::ReplacementsUsedUp | BeginRefused::TooManyAttempts | BeginRefused::FailedOften { .. }
                )
        )
    }

    pub(crate) fn in_words(&self, term: &Term) -> String {
        match self {
            Obstacle::Begin(refused) => why_not(refused, term),
            Obstacle::BeingPrepared => {
                "This programme is still being prepared at the provider. Open this page again in some minutes."
                    .to_owned()
            }
        }
    }
}

/// The button that the page offers: reveal before the first key was shown, replace afterwards.
pub(crate) fn kind_of_press(view: &View) -> PressKind {
    match view.grant.state {
        GrantState::Invited => PressKind::Reveal,
        GrantState::Minting { .. } if !view.grant.ever_shown => PressKind::Reveal,
        _ => PressKind::Replace,
    }
}
