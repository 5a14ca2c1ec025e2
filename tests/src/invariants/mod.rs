//! What must hold whatever happened, judged from outside. Read are the raw table, the provider's
//! keys, the mails, the functions' answers and their logs; no code of a function is asked. Of a
//! grant's keys it is only known which hash is whose, and which one is in use. A [`Watch`] checks
//! when nothing is in progress, and remembers the moment before, with which many checks compare.
//!
//! Judged: I1 to I7, I10, I11, I15, I16 and the mail counts of I13; besides, the shape of the table
//! (`table`) and where addresses are (`people`). The states of a single grant are the core's own
//! tests' (`domain::grant::tests`). I16 is a type as well: no grant that is there is written
//! without an entry or a named mark (`Logged`).
//!
//! Not invariants, although they look like some:
//! - A live grant's key may be disabled for a moment: releasing a hold clears it first and enables
//!   last.
//! - A claim may be under way in a revoked or ended grant: the request that makes the key has yet
//!   to give up, or died.
//! - A key that was shown to nobody may be enabled until a complete sync has found its claim older
//!   than the grace.
//! - A key that was disabled may be enabled again by a late call, until the next complete sync.
//! - What is reserved may exceed the sum over the grants: windows pass, and only the sync counts
//!   again.
//! - What was spent may exceed the budget: caps are overshot, and usage settles late. The simulator
//!   knows by how much.
//! - The numbers of keys may have gaps: a claim that made nothing is forgotten when the next
//!   begins.

mod books;
mod keys;
mod mails;
mod secrets;
mod snapshot;
mod table;
mod trail;

use std::sync::Arc;

use bursar_core::clock::Clock;
use bursar_local::engine::Engine;
use bursar_local::provider::Provider;
use bursar_local::ses::Ses;

pub use self::secrets::Secret;
pub(crate) use self::snapshot::text;
pub use self::snapshot::{Answers, Snapshot};
pub use crate::raw_table::{REGION, RawTable};

use self::books::Shown;
use crate::faults::Gate;

/// What a check is given.
struct Step<'a> {
    before: Option<&'a Snapshot>,
    now: &'a Snapshot,
    /// Whether a complete sync has just run.
    synced: bool,
    guarded: &'a [Secret],
    /// The keys that anyone was shown since the watch began.
    shown: &'a Shown,
}

/// Adds what is wrong.
type Check = fn(&Step<'_>, &mut Vec<String>);

const CHECKS: [(&str, Check); 23] = [
    ("table", table::items_are_whole),
    ("table", table::people_are_found_by_their_addresses),
    ("table", table::keys_are_under_their_rules),
    ("people", table::addresses_are_where_they_may_be),
    ("I1", keys::one_shown_key_is_enabled),
    ("I2", books::budgets_cover_what_keys_cost),
    ("counts", books::rosters_are_counted),
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
    (
        "I15",
        books::cuts_add_up_and_foreign_keys_count_for_their_owners,
    ),
    ("I16", trail::changes_have_their_entries),
    ("I16", trail::account_changes_have_their_entries),
    ("I16", trail::foreign_keys_are_changed_by_admins_only),
];

/// Where a watch looks, past the fault layer. The clock is the product's.
pub struct Places {
    pub table: RawTable,
    pub clock: Clock,
    pub provider: Provider,
    pub gate: Gate,
    pub ses: Ses,
    pub engine: Engine,
    pub answers: Answers,
    pub logs: Box<dyn Fn() -> Vec<String> + Send + Sync>,
}

/// A watch on one stack, for a check after each step of a test.
pub struct Watch {
    pub places: Places,
    guarded: Vec<Secret>,
    before: Option<Arc<Snapshot>>,
    shown: Shown,
}

impl Watch {
    pub fn over(places: Places) -> Watch {
        Watch {
            places,
            guarded: Vec::new(),
            before: None,
            shown: Shown::default(),
        }
    }

    /// Declares a secret that from now on may be only where it says. Keys in answers and links in
    /// mails need no declaration.
    pub fn guard(&mut self, secret: Secret) {
        self.guarded.push(secret);
    }

    /// Checks, and returns what is violated, each with the name of its invariant, or with `table`
    /// or `people`. The moment is remembered.
    pub async fn violations(&mut self, synced: bool) -> Vec<String> {
        let now = Snapshot::of(&self.places).await;
        let mut guarded = self.guarded.clone();
        guarded.extend(now.revealed.values().map(|key| Secret::key(key)));
        guarded.extend(now.mails.iter().flat_map(mails::secrets_in));
        guarded.extend(
            now.answers
                .iter()
                .flat_map(|answer| secrets::roster_tokens_in(answer)),
        );
        books::note_shown(&mut self.shown, &now);
        let before = self.before.as_deref();
        let step = Step {
            before,
            now: &now,
            synced,
            guarded: &guarded,
            shown: &self.shown,
        };
        let violations = CHECKS.iter().flat_map(|(invariant, check)| {
            let mut wrong = Vec::new();
            check(&step, &mut wrong);
            wrong
                .into_iter()
                .map(move |what| format!("{invariant}: {what}"))
        });
        let violations = violations.collect();
        self.before = Some(Arc::new(now));
        violations
    }

    /// Checks, and ends the test if there is a violation.
    pub async fn check(&mut self) -> Arc<Snapshot> {
        let violations = self.violations(false).await;
        assert!(violations.is_empty(), "{violations:#?}");
        self.seen()
    }

    /// The moment of the last check.
    pub fn seen(&self) -> Arc<Snapshot> {
        self.before.clone().unwrap()
    }
}
