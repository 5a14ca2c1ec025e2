//! The outcome of a finding, and the sum of all outcomes.

use std::collections::BTreeSet;

use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::domain::values::money::Usd;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use crate::journal::Journal;
use crate::money::account_use::OwnUse;

/// The outcome of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FindingOutcome {
    Done,
    /// An orphan was disabled, unless another run had done so.
    Swept {
        now: bool,
        late: LateUse,
    },
    /// Keys were recorded that the table did not know.
    Recovered {
        late: LateUse,
        grant: GrantId,
    },
    /// A key was deleted that had used so much.
    Purged {
        key: KeyHash,
        used: Usd,
    },
    /// The management key was refused, so that nothing more can be done.
    Refused {
        cause: Cause,
        detail: String,
    },
    /// The provider does not find the key, which is recorded. It is missing, unless its grant has ended.
    Unseen {
        key: KeyHash,
        is_missing: bool,
    },
    /// The provider has not found the key for long enough.
    Gone {
        key: KeyHash,
        is_missing: bool,
    },
    /// A change at the provider was undone.
    Mended(String),
    /// The key exists although it was not listed as it is recorded, and has used so much more.
    LookedAgain {
        more: Usd,
        doubt: Option<String>,
        mended: Option<String>,
    },
    /// Nothing could be done, for this reason.
    Undone(String),
}

/// The use of keys that were not recorded when their grant was scanned.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct LateUse {
    pub(crate) used: Vec<DailyUse>,
    pub(crate) written: usize,
    /// Doubts about it, in words.
    pub(crate) doubts: Vec<String>,
}

/// The outcomes of all findings so far.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Outcomes {
    /// Use that is in no sum of the scan.
    pub(crate) own: OwnUse,
    pub(crate) recorded: usize,
    pub(crate) orphans_disabled: usize,
    pub(crate) keys_missing: usize,
    pub(crate) purged: BTreeSet<KeyHash>,
    /// Whether keys were recovered, which proves that the table was restored.
    pub(crate) has_recovered: bool,
}

impl FindingOutcome {
    /// Whether nothing is left to be done about the finding.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(self, FindingOutcome::Undone(_) | FindingOutcome::Refused { .. } | FindingOutcome::Unseen { .. })
    }
}

impl Outcomes {
    /// Adds the outcome of a finding in a programme.
    pub(crate) fn note(&mut self, programme: u16, outcome: FindingOutcome, on: Date, journal: &mut Journal) {
        match outcome {
            FindingOutcome::Done => {}
            FindingOutcome::Swept { now, late } => {
                self.orphans_disabled += usize::from(now);
                self.note_late(programme, late, journal);
            }
            FindingOutcome::Recovered { late, grant } => {
                self.has_recovered = true;
                journal
                    .problem(format!("keys of the grant {grant} were not on record, and are now: the table went back"));
                self.note_late(programme, late, journal);
            }
            FindingOutcome::Mended(problem) => journal.problem(problem),
            FindingOutcome::LookedAgain { more, doubt, mended } => {
                self.own.add(programme, &DailyUse::on_one(on, more));
                journal.problems_of(doubt.into_iter().chain(mended));
            }
            FindingOutcome::Purged { key, used } => {
                self.purged.insert(key);
                self.own.add_gone(used);
            }
            FindingOutcome::Refused { cause, detail } => {
                journal.refuse(cause);
                journal.problem(detail);
            }
            FindingOutcome::Unseen { key, is_missing } => {
                self.keys_missing += usize::from(is_missing);
                if is_missing {
                    journal.problem(format!("the provider does not find the key {key}; the next sync asks again"));
                }
            }
            FindingOutcome::Gone { key, is_missing } => {
                self.keys_missing += usize::from(is_missing);
                journal.problem(format!("the provider does not have the key {key} any more"));
            }
            FindingOutcome::Undone(why) => journal.undone(why, None),
        }
    }

    fn note_late(&mut self, programme: u16, late: LateUse, journal: &mut Journal) {
        self.recorded += late.written;
        self.own.count_keys(late.used.len());
        late.used.iter().for_each(|used| self.own.add(programme, used));
        journal.problems_of(late.doubts);
    }
}
