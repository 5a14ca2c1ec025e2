//! What came of a finding, and what the run makes of it: its report, its sums, and what it remembers for the next.

use bursar_core::domain::alarm::Cause;
use bursar_core::domain::id::GrantId;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::Used;
use bursar_core::domain::window::utc_date;

use crate::progress::Progress;

/// What came of a finding.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Came {
    Done,
    /// An orphan was disabled, if nobody had come to that before.
    Swept {
        now: bool,
        late: Late,
    },
    /// Keys are on record that the table did not know.
    Recovered {
        late: Late,
        grant: GrantId,
    },
    /// A key was deleted that had used so much.
    Purged {
        key: KeyHash,
        used: Usd,
    },
    /// It is the management key's fault, so that nothing more can be done.
    Refused {
        cause: Cause,
        told: String,
    },
    /// The provider says that it has no such key, which is remembered. Of a grant that has not ended it is missing.
    Unseen {
        key: KeyHash,
        is_missing: bool,
    },
    /// It has said so for long enough.
    Gone {
        key: KeyHash,
        is_missing: bool,
    },
    /// Somebody had changed it at the provider, and what was done about that.
    Mended(String),
    /// It was not listed as it is on record, is there all the same, and has used so much more.
    LookedAgain {
        more: Usd,
        doubt: Option<String>,
        mended: Option<String>,
    },
    /// It could not be done, and why.
    Undone(String),
}

/// What keys have used that were not on record when their grant was looked at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Late {
    pub(crate) used: Vec<Used>,
    pub(crate) written: usize,
    /// What of it is in doubt, in words.
    pub(crate) doubts: Vec<String>,
}

impl Came {
    /// Whether nothing is left to be done about the finding.
    pub(crate) fn is_settled(&self) -> bool {
        !matches!(self, Came::Undone(_) | Came::Refused { .. } | Came::Unseen { .. })
    }
}

impl Progress {
    /// Notes what came of a finding in a programme.
    pub(crate) fn note(&mut self, programme: u16, came: Came) {
        match came {
            Came::Done => {}
            Came::Swept { now, late } => {
                self.report.orphans_disabled += usize::from(now);
                self.note_late(programme, late);
            }
            Came::Recovered { late, grant } => {
                self.restored_at = Some(self.began_at);
                self.report
                    .problem(format!("keys of the grant {grant} were not on record, and are now: the table went back"));
                self.note_late(programme, late);
            }
            Came::Mended(told) => self.report.problem(told),
            Came::LookedAgain { more, doubt, mended } => {
                self.account.add(programme, &Used::on_one(utc_date(self.began_at), more));
                doubt.into_iter().chain(mended).for_each(|told| self.report.problem(told));
            }
            Came::Purged { key, used } => {
                self.witnesses.forget(&key);
                self.account.ours_gone += used;
            }
            Came::Refused { cause, told } => {
                self.key_refused = Some(cause);
                self.report.problem(told);
            }
            Came::Unseen { key, is_missing } => {
                self.report.keys_missing += usize::from(is_missing);
                if is_missing {
                    self.report.problem(format!("the provider does not find the key {key}; the next sync asks again"));
                }
            }
            Came::Gone { key, is_missing } => {
                self.report.keys_missing += usize::from(is_missing);
                self.report.problem(format!("the provider does not have the key {key} any more"));
            }
            Came::Undone(why) => {
                self.is_undone = true;
                self.report.problem(why);
            }
        }
    }

    fn note_late(&mut self, programme: u16, late: Late) {
        self.report.readings_recorded += late.written;
        self.account.keys += late.used.len();
        late.used.iter().for_each(|used| self.account.add(programme, used));
        late.doubts.into_iter().for_each(|doubt| self.report.problem(doubt));
    }
}
