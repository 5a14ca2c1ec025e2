//! What must hold whatever happened, judged from outside. Read are the raw table, the provider's keys, the mails, the functions'
//! answers and their logs; no code of a function is asked. A [`Watch`] checks when nothing is in progress, and remembers the moment
//! before, with which many checks compare.
//!
//! Judged: I1 to I7, I10, I11, I15, I16 and the mail counts of I13; besides, the shape of the table (`table`) and where addresses are
//! (`people`). I16 is a type as well: no grant that is there is written without an entry or a named mark (`Logged`).
//!
//! Not invariants, although they look like some:
//! - A live grant's key may be disabled for a moment: releasing a hold clears it first and enables last.
//! - An attempt may stay open in a revoked or ended grant: the request that makes the key has yet to give up, or died.
//! - A key that was shown to nobody may be enabled until a complete sync has found its attempt older than the grace.
//! - A key that was disabled may be enabled again by a late call, until the next complete sync.
//! - What is reserved may exceed the sum over the grants: windows pass, and only the sync counts again.
//! - What was spent may exceed the budget: caps are overshot, and usage settles late. The simulator knows by how much.
//! - The numbers of attempts may have gaps: one that made nothing is forgotten when the next begins.

mod books;
mod keys;
mod mails;
mod secrets;
mod snapshot;
mod table;
mod trail;

use std::fmt;
use std::sync::Arc;

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_local::engine::Engine;
use bursar_local::provider::Provider;
use bursar_local::ses::Ses;

pub use self::secrets::Secret;
pub use self::snapshot::{Answers, Snapshot};
pub use crate::raw_table::{REGION, RawTable};

use self::books::{Most, Shown};
use crate::faults::Gate;

/// Something that must not be, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I17`, `table` for the shape of the table's items, or `people` for where addresses are.
    pub invariant: &'static str,
    pub what: String,
}

/// What a check is given.
struct Step<'a> {
    before: Option<&'a Snapshot>,
    now: &'a Snapshot,
    /// Whether a complete sync has just run.
    synced: bool,
    guarded: &'a [Secret],
    met: &'a Met,
}

/// What a watch has met since it began.
#[derive(Default)]
struct Met {
    /// The keys that anyone was shown.
    shown: Shown,
    most: Most,
    /// How often an answer of the mail server, or the record of it, was lost.
    lost_mails: usize,
}

/// Adds what is wrong.
type Check = fn(&Step<'_>, &mut Vec<String>);

const CHECKS: [(&str, Check); 24] = [
    ("table", table::items_are_whole),
    ("table", table::grants_make_sense),
    ("table", table::items_refer_to_items),
    ("table", table::keys_are_under_their_rules),
    ("people", table::addresses_are_where_they_may_be),
    ("I1", keys::one_shown_key_is_enabled),
    ("I2", books::budgets_cover_what_keys_cost),
    ("I3", keys::every_enabled_key_is_accounted_for),
    ("I4", secrets::secrets_are_nowhere),
    ("I4", mails::links_are_in_link_mails_and_known_by_their_hash),
    ("I5", books::crossings_were_reached),
    ("I5", mails::each_is_told_once),
    ("I5", mails::what_is_owed_is_accepted_once),
    ("I6", keys::live_is_ended_by_nobody_in_passing),
    ("I7", keys::what_was_shown_is_recorded),
    ("I10", trail::nothing_is_forgotten),
    ("I10", books::totals_are_sums_of_readings),
    ("I11", keys::revoked_is_terminal),
    ("I13", mails::each_mail_is_counted_once),
    ("I15", books::amounts_are_whole_and_add_up),
    ("I15", books::foreign_keys_count_for_their_owners),
    ("I16", trail::changes_have_their_entries),
    ("I16", trail::account_changes_have_their_entries),
    ("I16", trail::foreign_keys_are_changed_by_admins_only),
];

/// A watch on one stack, for a check after each step of a test.
pub struct Watch {
    table: RawTable,
    clock: Clock,
    provider: Option<Provider>,
    gate: Option<Gate>,
    ses: Option<Ses>,
    engine: Option<Engine>,
    answers: Answers,
    logs: Option<Box<dyn Fn() -> Vec<String> + Send + Sync>>,
    guarded: Vec<Secret>,
    sees_through_encodings: bool,
    before: Option<Arc<Snapshot>>,
    met: Met,
}

impl Watch {
    /// A watch on a table, past the fault layer. `clock` is the product's.
    pub fn over(table: RawTable, clock: Clock) -> Watch {
        Watch {
            table,
            clock,
            provider: None,
            gate: None,
            ses: None,
            engine: None,
            answers: Answers::default(),
            logs: None,
            guarded: Vec::new(),
            sees_through_encodings: false,
            before: None,
            met: Met::default(),
        }
    }

    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> Watch {
        self.provider = Some(provider);
        self
    }

    /// Adds the calls that may still change something at the provider.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Watch {
        self.gate = Some(gate);
        self
    }

    #[must_use]
    pub fn with_mails(mut self, ses: Ses) -> Watch {
        self.ses = Some(ses);
        self
    }

    #[must_use]
    pub fn with_stream(mut self, engine: Engine) -> Watch {
        self.engine = Some(engine);
        self
    }

    #[must_use]
    pub fn with_answers(mut self, answers: Answers) -> Watch {
        self.answers = answers;
        self
    }

    #[must_use]
    pub fn with_logs(mut self, lines: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Watch {
        self.logs = Some(Box::new(lines));
        self
    }

    /// Searches for encoded secrets as well, which takes many times longer.
    #[must_use]
    pub fn seeing_through_encodings(mut self) -> Watch {
        self.sees_through_encodings = true;
        self
    }

    /// Declares a secret that from now on may be only where its kind may be. Keys in answers need no declaration.
    pub fn guard(&mut self, secret: Secret) {
        self.guarded.push(secret);
    }

    /// Declares that an answer of the mail server, or the record of it, was lost once, so a mail may have been accepted twice.
    pub fn lost_a_mail(&mut self) {
        self.met.lost_mails += 1;
    }

    /// Checks, and ends the test if there is a violation.
    pub async fn check(&mut self) -> &Snapshot {
        self.judged(false).await
    }

    /// Checks, and returns the violations. The moment is remembered either way.
    pub async fn violations(&mut self, synced: bool) -> Result<Vec<Violation>> {
        let now = self.read().await?;
        let mailed = now.mails.iter().flatten().flat_map(mails::secrets_in);
        let mut guarded = self.guarded.clone();
        guarded.extend(now.revealed.values().map(|key| Secret::key(key)).chain(mailed));
        if self.sees_through_encodings {
            guarded = guarded.into_iter().map(Secret::seen_through_encodings).collect();
        }
        books::note_shown(&mut self.met.shown, &now);
        let step = Step { before: self.before.as_deref(), now: &now, synced, guarded: &guarded, met: &self.met };
        let mut violations = Vec::new();
        for (invariant, check) in CHECKS {
            let mut wrong = Vec::new();
            check(&step, &mut wrong);
            violations.extend(wrong.into_iter().map(|what| Violation { invariant, what }));
        }
        books::note_most(&mut self.met, &now);
        self.before = Some(Arc::new(now));
        Ok(violations)
    }

    /// The moment of the last check.
    pub fn seen(&self) -> Option<&Snapshot> {
        self.before.as_deref()
    }

    pub fn shared(&self) -> Option<Arc<Snapshot>> {
        self.before.clone()
    }

    async fn judged(&mut self, synced: bool) -> &Snapshot {
        let violations = self.violations(synced).await.unwrap();
        let listed: String = violations.iter().map(|violation| format!("\n  {violation}")).collect();
        assert!(violations.is_empty(), "{} violated:{listed}", violations.len());
        self.seen().unwrap()
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}
