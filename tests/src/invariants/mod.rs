//! What must hold whatever happened, judged from outside. Read are the raw table, the provider's keys, the
//! mails, the functions' answers and their logs; no code of a function is asked. A [`Watch`] checks after each
//! step, when nothing is in progress, and remembers the moment before, with which many checks compare.
//!
//! Judged: I1 to I7, I10, I11, I15, I16 and the mail counts of I13, as ARCHITECTURE.md numbers them. Besides,
//! the shape of the table (`table`) and where addresses are (`people`). Each check's own comment says what of it can be judged at any moment.
//!
//! Not invariants, although they look like some:
//! - A live grant's key may be disabled for a moment: releasing a hold clears it first and enables last.
//! - An attempt may stay open in a revoked or ended grant: the press that makes the key has yet to give up, or
//!   died.
//! - A key that was shown to nobody may be enabled until a complete sync has seen its attempt older than the grace.
//! - A key that was disabled may be enabled again by a late call, until the next complete sync.
//! - What is reserved may exceed the sum over the grants: windows pass, and only the sync counts again.
//! - What was spent may exceed the pot: caps are overshot, and usage settles late after a key was retired. The
//!   simulator knows by how much.
//! - The numbers of attempts may have gaps: one that made nothing is forgotten when the next begins.
//! - A lease's fence may grow by more than one, when the answer that granted the lease was lost.
//!
//! Not judged here: I8, I9, I12, I14 and the rest of I13 are about what somebody does, and have tests of their
//! own. Nothing is built yet that I17 is about.

mod account;
mod answers;
mod history;
mod keys;
mod mails;
mod marks;
mod money;
mod outside;
mod owners;
mod secrets;
mod snapshot;
mod sums;
mod table;

use std::fmt;
use std::sync::Arc;

use crate::faults::Gate;
use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_local::engine::Engine;
use bursar_local::provider::Provider;
use bursar_local::ses::Ses;

pub use self::answers::Answers;
pub use self::secrets::Secret;
pub use self::snapshot::Snapshot;
pub use crate::raw_table::{REGION, RawTable};

use self::money::Most;
use self::outside::Shown;
use self::snapshot::Sources;

/// Something that must not be, and where it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// `I1` to `I17`, `table` for the shape of the table's items, or `people` for where addresses are.
    pub invariant: &'static str,
    pub what: String,
}

/// What a check is given: the moment before, if there was one, and the present one.
struct Step<'a> {
    before: Option<&'a Snapshot>,
    now: &'a Snapshot,
    /// Whether a complete sync has just run.
    synced: bool,
    guarded: &'a [Secret],
    /// The keys that anyone was shown since the watch began.
    shown: &'a Shown,
    most: &'a Most,
    /// How often an answer of the mail server, or the record of it, was lost.
    lost_mails: usize,
}

type Check = fn(&Step<'_>) -> Vec<String>;

const CHECKS: [(&str, Check); 28] = [
    ("table", table::items_are_whole),
    ("table", table::grants_make_sense),
    ("table", table::items_refer_to_items),
    ("table", table::rules_are_told),
    ("table", table::keys_are_under_their_rules),
    ("table", table::keys_are_under_their_guardrails),
    ("people", table::addresses_are_where_they_may_be),
    ("I1", keys::one_shown_key_is_enabled),
    ("I2", money::pots_cover_what_keys_cost),
    ("I3", keys::every_enabled_key_is_accounted_for),
    ("I4", secrets::secrets_are_nowhere),
    ("I4", mails::links_are_in_link_mails_and_known_by_their_hash),
    ("I5", sums::crossings_were_reached_and_stay),
    ("I5", mails::what_is_owed_is_accepted_once),
    ("I5", account::alarms_and_digests_are_owed_once_to_each),
    ("I13", mails::each_mail_is_counted_once_as_it_fared),
    ("I6", keys::live_is_ended_by_nobody_in_passing),
    ("I7", keys::what_was_shown_is_recorded),
    ("I10", history::nothing_is_forgotten),
    ("I10", sums::totals_are_sums_of_readings),
    ("I11", history::revoked_is_terminal),
    ("I15", money::amounts_are_whole_numbers),
    ("I15", account::cuts_add_up_and_stay),
    ("I15", owners::foreign_keys_count_for_their_owners),
    ("I15", account::mailed_statements_add_up_and_stay),
    ("I16", history::every_change_has_its_entry),
    ("I16", account::releases_have_their_entry),
    ("I16", account::foreign_keys_are_changed_by_presses_only),
];

/// A watch on one stack, for a check after each step of a test.
pub struct Watch {
    sources: Sources,
    clock: Clock,
    guarded: Vec<Secret>,
    sees_through_encodings: bool,
    before: Option<Arc<Snapshot>>,
    shown: Shown,
    most: Most,
    lost_mails: usize,
}

impl Watch {
    /// A watch on a table, at the engine's own origin and past the fault layer. `clock` is the product's.
    pub fn over(table: RawTable, clock: Clock) -> Watch {
        Watch {
            sources: Sources::of(table),
            clock,
            guarded: Vec::new(),
            sees_through_encodings: false,
            before: None,
            shown: Shown::new(),
            most: Most::new(),
            lost_mails: 0,
        }
    }

    /// Adds the provider's keys to what is watched.
    #[must_use]
    pub fn with_provider(mut self, provider: Provider) -> Watch {
        self.sources.provider = Some(provider);
        self
    }

    /// Adds the calls to what is watched that may still change something at the provider.
    #[must_use]
    pub fn with_gate(mut self, gate: Gate) -> Watch {
        self.sources.gate = Some(gate);
        self
    }

    /// Adds every accepted mail to what is watched.
    #[must_use]
    pub fn with_mails(mut self, ses: Ses) -> Watch {
        self.sources.ses = Some(ses);
        self
    }

    /// Adds what the table's stream still holds to what is watched.
    #[must_use]
    pub fn with_stream(mut self, engine: Engine) -> Watch {
        self.sources.engine = Some(engine);
        self
    }

    /// Adds the functions' answers to what is watched.
    #[must_use]
    pub fn with_answers(mut self, answers: Answers) -> Watch {
        self.sources.answers = answers;
        self
    }

    /// Adds the lines of the functions' logs to what is watched.
    #[must_use]
    pub fn with_logs(mut self, lines: impl Fn() -> Vec<String> + Send + Sync + 'static) -> Watch {
        self.sources.logs = Some(Box::new(lines));
        self
    }

    /// Searches for encoded secrets as well, which takes many times longer.
    #[must_use]
    pub fn seeing_through_encodings(mut self) -> Watch {
        self.sees_through_encodings = true;
        self
    }

    /// Takes the test's own writes into an empty table for the moment before.
    #[must_use]
    pub fn having_written(mut self, items: &[bursar_core::store::items::Item]) -> Watch {
        self.before = Some(Arc::new(Snapshot::of(items.iter().cloned(), self.clock.now())));
        self
    }

    /// Declares a secret that from now on may be only where its kind may be. Keys in answers need no declaration.
    pub fn guard(&mut self, secret: Secret) {
        self.guarded.push(secret);
    }

    /// Declares that an answer of the mail server, or the record of it, was lost once, so a mail may have been
    /// accepted twice.
    pub fn lost_a_mail(&mut self) {
        self.lost_mails += 1;
    }

    /// Checks, and ends the test if there is a violation.
    pub async fn check(&mut self) -> &Snapshot {
        self.look(false).await
    }

    /// Checks just after a complete sync, which leaves fewer excuses, and ends the test if there is a violation.
    pub async fn check_after_sync(&mut self) -> &Snapshot {
        self.look(true).await
    }

    /// Checks, and returns the violations. The moment is remembered either way.
    pub async fn violations(&mut self, synced: bool) -> Result<Vec<Violation>> {
        let now = self.sources.snapshot(self.clock.now()).await?;
        let revealed = now.revealed.values().map(|key| Secret::key(key));
        let mut guarded = self.guarded.clone();
        let mailed = mails::secrets_in(&now);
        guarded.extend(revealed.chain(mailed).filter(|secret| !self.guarded.iter().any(|known| known.is(secret))));
        if self.sees_through_encodings {
            guarded = guarded.into_iter().map(Secret::seen_through_encodings).collect();
        }
        outside::note_shown(&mut self.shown, &now);
        let step = Step {
            before: self.before.as_deref(),
            now: &now,
            synced,
            guarded: &guarded,
            shown: &self.shown,
            most: &self.most,
            lost_mails: self.lost_mails,
        };
        let violations = CHECKS.iter().flat_map(|(invariant, check)| {
            let found = check(&step).into_iter();
            found.map(|what| Violation { invariant, what })
        });
        let violations = violations.collect();
        money::note_most(&mut self.most, &now, &self.shown);
        self.before = Some(Arc::new(now));
        Ok(violations)
    }

    /// The moment of the last check.
    pub fn seen(&self) -> Option<&Snapshot> {
        self.before.as_deref()
    }

    /// The same, for whoever keeps it.
    pub fn shared(&self) -> Option<Arc<Snapshot>> {
        self.before.clone()
    }

    #[expect(clippy::panic, reason = "a test in which an invariant does not hold must not go on")]
    async fn look(&mut self, synced: bool) -> &Snapshot {
        match self.violations(synced).await {
            Ok(violations) if violations.is_empty() => {}
            Ok(violations) => panic!("{}", Listed(&violations)),
            Err(error) => panic!("the stack cannot be looked at: {error:#}"),
        }
        match &self.before {
            Some(seen) => seen,
            None => panic!("nothing was seen"),
        }
    }
}

/// Violations, a line each.
struct Listed<'a>(&'a [Violation]);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} violated:", self.0.len())?;
        self.0.iter().try_for_each(|violation| write!(f, "\n  {violation}"))
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.what)
    }
}
