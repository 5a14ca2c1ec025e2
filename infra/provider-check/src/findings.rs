//! What a run found: a finding for each assumption, and what it learnt of the account. No words of the provider
//! come in unless they are harmless. How they are written is in `report`.

use std::collections::BTreeMap;

use bursar_core::domain::values::money::Usd;
use bursar_core::provider::wire::text::harmless;

use crate::assumptions::{ALL, Assumption, Bearing};

/// The finding about one assumption, with what was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    Held(String),
    NotHeld(String),
    /// It could not be judged, for this reason.
    NotSeen(String),
}

/// Everything that a run found.
#[derive(Debug, Default)]
pub struct Findings {
    judged: BTreeMap<&'static str, Finding>,
    /// What the account is and has, in the order of the questions.
    pub account: Vec<(String, String)>,
    /// What this run spent, as the provider told it, and in how many requests.
    pub spent: Usd,
    pub requests: u32,
    /// What was found and taken away, before and after the run.
    pub taken_away: Vec<String>,
    /// The reason that the run ended early.
    pub ended_early: Option<String>,
    /// The reason that something of this run may be left in the account.
    pub left: Option<String>,
}

impl Findings {
    /// Notes whether an assumption held. One that is judged twice holds only if it held both times.
    pub(crate) fn judge(&mut self, assumption: &Assumption, holds: bool, seen: impl Into<String>) {
        let was_broken = matches!(self.judged.get(assumption.id), Some(Finding::NotHeld(_)));
        if was_broken {
            return;
        }
        let seen = harmless(&seen.into());
        let finding = if holds { Finding::Held(seen) } else { Finding::NotHeld(seen) };
        self.judged.insert(assumption.id, finding);
    }

    /// Notes why an assumption could not be judged, unless it was.
    pub(crate) fn not_seen(&mut self, assumption: &Assumption, why: impl Into<String>) {
        self.judged.entry(assumption.id).or_insert_with(|| Finding::NotSeen(harmless(&why.into())));
    }

    pub(crate) fn note(&mut self, what: &str, is: impl Into<String>) {
        self.account.push((what.to_owned(), harmless(&is.into())));
    }

    /// The finding about an assumption.
    pub fn of(&self, assumption: &Assumption) -> Finding {
        let unjudged = || Finding::NotSeen("the check ended before it".to_owned());
        self.judged.get(assumption.id).cloned().unwrap_or_else(unjudged)
    }

    pub(crate) fn is_judged(&self, assumption: &Assumption) -> bool {
        self.judged.contains_key(assumption.id)
    }

    pub(crate) fn held(&self, assumption: &Assumption) -> bool {
        matches!(self.of(assumption), Finding::Held(_))
    }

    /// The assumptions for whose sake the account is not ready for Bursar.
    pub fn missing(&self) -> Vec<&'static Assumption> {
        let is_missing = |assumption: &&Assumption| match (assumption.bearing, self.of(assumption)) {
            (Bearing::Needed, Finding::Held(_)) | (Bearing::Tolerated, _) => false,
            (Bearing::Needed, _) | (Bearing::ToRestrict, Finding::NotHeld(_)) => true,
            (Bearing::ToRestrict, _) => false,
        };
        ALL.into_iter().filter(is_missing).collect()
    }

    /// Whether all that Bursar cannot live without was seen to hold, and nothing is left behind.
    pub fn is_well(&self) -> bool {
        self.missing().is_empty() && self.ended_early.is_none() && self.left.is_none()
    }
}
