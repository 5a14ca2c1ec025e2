//! What Bursar cannot do without, what a run found of it, and how an operator reads that. No words
//! of the provider come in unless they are harmless.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};
use std::sync::LazyLock;

use bursar_core::domain::values::money::Usd;
use bursar_core::provider::wire::error::harmless;

use super::LEFT;

/// Something that Bursar assumes of the provider, and what follows if it does not hold. What the
/// client itself checks in each answer is not here: where it refuses one, the check ends early with
/// its words.
#[derive(Debug)]
pub struct Assumption {
    pub id: &'static str,
    pub sentence: &'static str,
    pub otherwise: &'static str,
}

/// Each an id, the sentence, and what follows otherwise.
pub static ASSUMPTIONS: LazyLock<Vec<Assumption>> = LazyLock::new(|| {
    let texts = include_str!("assumptions.txt").split("\n\n");
    let read = |text: &'static str| {
        let mut lines = text.lines();
        Some(Assumption {
            id: lines.next()?,
            sentence: lines.next()?,
            otherwise: lines.next()?,
        })
    };
    texts.filter_map(read).collect()
});

/// What only programmes need that restrict models, providers or regions.
const TO_RESTRICT: [&str; 3] = ["assignment-listed", "rules-bind", "regions-bind"];

/// A text without anything secret. What was cleaned before would get a second ellipsis.
pub(crate) fn clean(text: impl Display) -> String {
    harmless(&format!("{text:#}")).replace("……", "…")
}

/// Everything that a run found.
#[derive(Debug, Default)]
pub struct Findings {
    /// Whether an assumption held, `None` where it could not be judged, and what was seen.
    judged: BTreeMap<&'static str, (Option<bool>, String)>,
    /// Why all that is not judged was not.
    why_unjudged: Vec<String>,
    /// The number of keys that were made, and the provider's words to the next, where they were
    /// only counted.
    pub counted: Option<(usize, Option<String>)>,
    /// How fast the account takes keys, or how many requests at once, where only that was asked.
    pub measured: Option<String>,
    /// What the account is and has, in the order of the questions.
    pub account: Vec<(&'static str, String)>,
    /// What this run spent, as the provider told it, and in how many requests.
    pub spent: Usd,
    pub requests: u32,
    /// What earlier runs left and this one took away.
    pub taken_away: Vec<String>,
    pub ended_early: Option<String>,
    /// The reason that something of this run may be left in the account.
    pub leftover: Option<String>,
}

impl Findings {
    /// Notes whether an assumption held; `None` if that cannot be judged.
    pub(crate) fn check(
        &mut self,
        id: &'static str,
        held: impl Into<Option<bool>>,
        seen: impl Display,
    ) {
        self.judged.insert(id, (held.into(), clean(seen)));
    }

    /// Notes why whatever is not judged was not.
    pub(crate) fn unjudged(&mut self, why: impl Display) {
        self.why_unjudged.push(clean(why));
    }

    pub(crate) fn note(&mut self, what: &'static str, value: impl Display) {
        self.account.push((what, clean(value)));
    }

    /// Whether an assumption held, `None` where that was not seen, and what was.
    pub fn judgement(&self, id: &str) -> (Option<bool>, String) {
        self.judged
            .get(id)
            .cloned()
            .unwrap_or_else(|| (None, self.why_unjudged.join("; ")))
    }

    /// The assumptions for whose sake the account is not ready for Bursar, and what is the matter
    /// with each.
    fn missing(&self) -> Vec<(&'static str, &'static str)> {
        let matter = |&Assumption { id, .. }: &'static Assumption| match (
            self.judgement(id).0,
            TO_RESTRICT.contains(&id),
        ) {
            (Some(true), _) | (None, true) => None,
            (None, false) => Some((id, "was not seen")),
            (Some(false), true) => Some((id, "does not hold, so restrict no programme by it")),
            (Some(false), false) => Some((id, "does not hold")),
        };
        if self.counted.is_some() || self.measured.is_some() {
            Vec::new()
        } else {
            ASSUMPTIONS.iter().filter_map(matter).collect()
        }
    }

    /// Whether all that Bursar cannot do without was seen to hold, and nothing is left behind.
    pub fn is_well(&self) -> bool {
        self.missing().is_empty() && self.ended_early.is_none() && self.leftover.is_none()
    }
}

impl Display for Findings {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match &self.counted {
            None if self.measured.is_some() => {
                self.measured
                    .iter()
                    .try_for_each(|measured| writeln!(f, "{measured}"))?;
            }
            Some((count, None)) => writeln!(
                f,
                "The account took {count} more keys; it was asked for no others."
            )?,
            Some((count, Some(why))) => {
                writeln!(
                    f,
                    "The account took {count} more keys, and refused the next ({why})."
                )?;
            }
            None => {
                writeln!(f, "The account")?;
                self.account
                    .iter()
                    .try_for_each(|(what, value)| writeln!(f, "  {what}: {value}"))?;
                writeln!(f, "\nWhat Bursar assumes of it")?;
                for Assumption {
                    id,
                    sentence,
                    otherwise,
                } in ASSUMPTIONS.iter()
                {
                    let (held, seen) = self.judgement(id);
                    let (verdict, so) = match held {
                        Some(true) => ("held", String::new()),
                        Some(false) => ("NOT HELD", format!(". So {otherwise}.")),
                        None => ("not seen", String::new()),
                    };
                    writeln!(f, "  {verdict:10}{sentence}\n            {id}: {seen}{so}")?;
                }
                writeln!(f, "\nSpent: ${} in {} requests.", self.spent, self.requests)?;
            }
        }
        let mut left_before = self.taken_away.iter();
        left_before.try_for_each(|what| {
            writeln!(f, "Taken away, since an earlier run left it: {what}.")
        })?;
        if let Some(why) = &self.ended_early {
            writeln!(
                f,
                "It ended early: {why}. Run it again; if it ends so each time, Bursar cannot work here."
            )?;
        }
        match &self.leftover {
            Some(why) => writeln!(f, "Something may be left: {why}. {LEFT}.")?,
            None => writeln!(f, "What this run made is taken away.")?,
        }
        let missing = self.missing();
        if self.is_well() && self.counted.is_none() && self.measured.is_none() {
            writeln!(
                f,
                "All that Bursar cannot do without holds: this account is ready for it."
            )?;
        } else if !missing.is_empty() {
            writeln!(
                f,
                "This account is NOT ready for Bursar. What it cannot do without:"
            )?;
        }
        missing
            .iter()
            .try_for_each(|(id, matter)| writeln!(f, "  {id} {matter}"))
    }
}
