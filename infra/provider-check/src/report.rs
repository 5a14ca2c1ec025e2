//! What a run found, and how an operator reads it. No words of the provider come in unless they are harmless.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use bursar_core::domain::values::money::Usd;
use bursar_core::provider::wire::text::harmless;

use crate::LEFT;
use crate::assumptions::{ASSUMPTIONS, Assumption};

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
    /// The number of keys that were made, and the provider's words to the next, where they were only counted.
    pub counted: Option<(usize, Option<String>)>,
    /// What the account is and has, in the order of the questions.
    pub account: Vec<(&'static str, String)>,
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
    pub(crate) fn check(&mut self, id: &'static str, held: bool, seen: impl AsRef<str>) {
        if matches!(self.judged.get(id), Some(Finding::NotHeld(_))) {
            return;
        }
        let seen = harmless(seen.as_ref());
        self.judged.insert(id, if held { Finding::Held(seen) } else { Finding::NotHeld(seen) });
    }

    /// Notes why assumptions could not be judged, unless they were.
    pub(crate) fn not_seen(&mut self, ids: &[&'static str], why: impl AsRef<str>) {
        for id in ids {
            self.judged.entry(id).or_insert_with(|| Finding::NotSeen(harmless(why.as_ref())));
        }
    }

    pub(crate) fn note(&mut self, what: &'static str, is: impl AsRef<str>) {
        self.account.push((what, harmless(is.as_ref())));
    }

    pub(crate) fn end(&mut self, ended: anyhow::Result<()>) {
        self.ended_early = ended.err().map(|error| harmless(&format!("{error:#}")));
    }

    /// The finding about an assumption.
    pub fn of(&self, id: &str) -> Finding {
        let unjudged = || Finding::NotSeen("the check ended before it".to_owned());
        self.judged.get(id).cloned().unwrap_or_else(unjudged)
    }

    /// The assumptions for whose sake the account is not ready for Bursar.
    fn missing(&self) -> Vec<&'static Assumption> {
        let is_missing = |assumption: &&Assumption| match self.of(assumption.id) {
            _ if self.counted.is_some() => false,
            Finding::Held(_) => false,
            Finding::NotHeld(_) => true,
            Finding::NotSeen(_) => !assumption.is_to_restrict,
        };
        ASSUMPTIONS.iter().filter(is_missing).collect()
    }

    /// Whether all that Bursar cannot do without was seen to hold, and nothing is left behind.
    pub fn is_well(&self) -> bool {
        self.missing().is_empty() && self.ended_early.is_none() && self.left.is_none()
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.counted {
            Some((made, None)) => writeln!(f, "The account took {made} more keys; it was asked for no others.")?,
            Some((made, Some(words))) => {
                writeln!(f, "The account took {made} more keys, and refused the next ({words}).")?;
            }
            None => self.table(f)?,
        }
        for what in &self.taken_away {
            writeln!(f, "Taken away: {what}.")?;
        }
        if let Some(why) = &self.ended_early {
            writeln!(
                f,
                "It ended early: {why}. Run it again; if it ends so each time, Bursar cannot work with this account."
            )?;
        }
        if let Some(why) = &self.left {
            writeln!(f, "Something may be left: {why}. {LEFT}.")?;
        }
        let missing = self.missing();
        if self.is_well() && self.counted.is_none() {
            writeln!(f, "All that Bursar cannot do without holds: this account is ready for it.")?;
        } else if !missing.is_empty() {
            writeln!(f, "This account is NOT ready for Bursar. What it cannot do without:")?;
        }
        for assumption in missing {
            let how = match (self.of(assumption.id), assumption.is_to_restrict) {
                (Finding::NotHeld(_), true) => "does not hold, so restrict no programme by it",
                (Finding::NotHeld(_), false) => "does not hold",
                _ => "was not seen",
            };
            writeln!(f, "  {} {how}", assumption.id)?;
        }
        Ok(())
    }
}

impl Findings {
    fn table(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "The account")?;
        for (what, is) in &self.account {
            writeln!(f, "  {what}: {is}")?;
        }
        writeln!(f, "\nWhat Bursar assumes of it")?;
        for Assumption { id, sentence, otherwise, .. } in &ASSUMPTIONS {
            let (verdict, seen) = match self.of(id) {
                Finding::Held(seen) => ("held", seen),
                Finding::NotHeld(seen) => ("NOT HELD", seen),
                Finding::NotSeen(why) => ("not seen", why),
            };
            writeln!(f, "  {verdict:10}{sentence}\n            {id}: {seen}")?;
            if verdict == "NOT HELD" {
                writeln!(f, "            So {otherwise}")?;
            }
        }
        writeln!(f, "\nSpent: ${} in {} requests.", self.spent, self.requests)
    }
}
