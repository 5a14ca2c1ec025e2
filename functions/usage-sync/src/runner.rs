//! What each step of a run gets: the clients, the facts that were fixed when it began, its journal
//! and its time.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::{Clock, Moment};
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{KeyCall, Tell};
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::domain::values::key::Fingerprint;
use bursar_core::domain::values::money::Usd;
use bursar_core::provider::{Provider, ProviderError};
use bursar_core::settle::Settler;
use bursar_core::start::locked;
use bursar_core::store::{KnownAccount, StoreError, SyncState, Table, Unreachable};
use serde::{Serialize, Serializer};
use tokio::sync::OnceCell;

use crate::App;

/// How much is done at once, everywhere: programmes compared, shards of each that are read ahead,
/// and writes; and findings repaired, each of which may ask the provider.
pub(crate) const PROGRAMMES_AT_ONCE: usize = 3;
pub(crate) const SHARDS_AHEAD: usize = 6;
pub(crate) const WRITES_AT_ONCE: usize = 16;
pub(crate) const REPAIRS_AT_ONCE: usize = 8;

/// The longest wait for one answer, the provider's `Retry-After` included.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The bounds of the time kept back for the report, a fifth of the invocation.
const LEAST_FOR_THE_REPORT: Duration = Duration::from_secs(1);
const MOST_FOR_THE_REPORT: Duration = Duration::from_secs(30);

pub(crate) struct RunContext {
    pub(crate) table: Table,
    pub(crate) provider: Provider,
    pub(crate) clock: Clock,
    pub(crate) retention_days: u16,
    pub(crate) deployment: DeploymentId,
    /// What identifies the account, as it was when the run began.
    pub(crate) account: Option<KnownAccount>,
    /// Whether the table is a restored copy.
    pub(crate) is_copy: bool,
    pub(crate) baseline: Baseline,
    /// The programmes when the run began. One that was created since belongs to the next run.
    pub(crate) programmes: Vec<Programme>,
    /// The addresses that not all mail reaches.
    pub(crate) unreachable: Unreachable,
    pub(crate) journal: Journal,
    /// The end of the invocation.
    pub(crate) deadline: Deadline,
    /// The time kept back for the report.
    kept_back: Duration,
}

/// How the sync stood when the run began.
#[derive(Debug)]
pub(crate) struct Baseline {
    pub(crate) began_at: Moment,
    /// When the last full listing before this one began.
    pub(crate) listed_at: Option<Moment>,
    pub(crate) restored_at: Option<Moment>,
}

impl RunContext {
    pub(crate) async fn prepare(
        app: &App,
        began_at: Moment,
        deadline: Deadline,
    ) -> Result<RunContext> {
        let table = &app.table;
        let (meta, programmes, state, unreachable) = tokio::try_join!(
            table.meta(began_at),
            table.list(Programme::all()),
            table.sync_state(),
            table.unreachable(began_at),
        )?;
        let is_copy = table.is_copy(&meta);
        let SyncState {
            listed_at,
            restored_at,
            ..
        } = state;
        let baseline = Baseline {
            began_at,
            listed_at,
            restored_at: if is_copy { Some(began_at) } else { restored_at },
        };
        Ok(RunContext {
            table: table.clone(),
            provider: app.provider.clone(),
            clock: app.clock.clone(),
            retention_days: app.retention_days,
            deployment: meta.deployment,
            account: meta.account,
            is_copy,
            baseline,
            programmes,
            unreachable,
            journal: Journal::default(),
            deadline,
            kept_back: (deadline.left() / 5).clamp(LEAST_FOR_THE_REPORT, MOST_FOR_THE_REPORT),
        })
    }

    pub(crate) async fn management_key(&self) -> Result<Fingerprint> {
        Ok(self
            .provider
            .management_keys()
            .current()
            .await?
            .fingerprint(&self.deployment))
    }

    pub(crate) fn settler(&self) -> Settler<'_> {
        Settler {
            table: &self.table,
            provider: &self.provider,
            clock: &self.clock,
            listed: OnceCell::new(),
        }
    }

    /// The end of the run's own time, after which it can only report.
    pub(crate) fn end(&self) -> Deadline {
        self.deadline.earlier_by(self.kept_back)
    }

    /// Until when a step may wait for one answer.
    pub(crate) fn until(&self) -> Deadline {
        self.end().limit_to(LONGEST_WAIT)
    }
}

/// Whether an error keeps exactly one programme from being read, at any try.
pub(crate) fn is_of_one_programme(error: &anyhow::Error) -> bool {
    error
        .downcast_ref()
        .is_some_and(|error: &StoreError| !error.may_pass())
}

/// Whether the run tells a call: what a listed key used it knows, and a guardrail that is not made
/// has a sender of its own.
pub(crate) fn is_told(call: &KeyCall) -> bool {
    !matches!(call.tell, Tell::Read | Tell::Guardrail(None))
}

/// The most problems in a report, which must fit into one item.
const MOST_PROBLEMS: usize = 200;

/// The report, as the function answers and the table keeps it. Amounts are strings with six
/// decimals. Nothing is decided by it but whether another run is begun.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub(crate) keys_listed: usize,
    pub(crate) readings_recorded: usize,
    pub(crate) orphans_disabled: usize,
    pub(crate) keys_missing: usize,
    #[serde(rename = "residual_usd", serialize_with = "serialize_dollars")]
    pub(crate) residual: Option<Usd>,
    #[serde(rename = "account_balance_usd", serialize_with = "serialize_dollars")]
    pub(crate) balance: Option<Usd>,
    pub(crate) complete: bool,
    /// Whether each cap that a student crossed was judged; what cannot be read at any try counts as
    /// judged.
    pub(crate) caps_judged: bool,
    pub(crate) duration_ms: u64,
    pub(crate) problems: Vec<String>,
    /// What is the matter with the management key, for the alarm.
    #[serde(skip)]
    pub(crate) refusal: Option<Cause>,
}

/// What a step could not read or do. Each step returns its own; whether a run is whole, and
/// complete, follows from all of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Gaps {
    /// Whether some of the table could not be read or written.
    pub(crate) has_failed: bool,
    /// Whether what some keys used could not be read.
    pub(crate) has_unread: bool,
}

impl Gaps {
    pub(crate) fn sum_of(gaps: impl IntoIterator<Item = Gaps>) -> Gaps {
        gaps.into_iter().fold(Gaps::default(), |sum, part| Gaps {
            has_failed: sum.has_failed || part.has_failed,
            has_unread: sum.has_unread || part.has_unread,
        })
    }
}

/// The report as it is written. All steps of a run share it, some of them several at once.
#[derive(Debug, Default)]
pub(crate) struct Journal(Mutex<Report>);

impl Journal {
    /// Changes a number of the report.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Report)) {
        change(&mut locked(&self.0));
    }

    pub(crate) fn read(&self) -> Report {
        locked(&self.0).clone()
    }

    /// Adds a problem. Beyond the bound, later ones are dropped.
    pub(crate) fn problem(&self, what: impl Into<String>) {
        self.report(|report| {
            if report.problems.len() < MOST_PROBLEMS {
                report.problems.push(what.into());
            }
        });
    }

    pub(crate) fn problems_of(&self, problems: impl IntoIterator<Item = String>) {
        problems
            .into_iter()
            .for_each(|problem| self.problem(problem));
    }

    /// Puts a problem before all others.
    pub(crate) fn report_first_problem(&self, what: String) {
        self.report(|report| {
            report.problems.insert(0, what);
            report.problems.truncate(MOST_PROBLEMS);
        });
    }

    /// Adds a problem that the provider answered, and whether it is the management key's.
    pub(crate) fn answered(&self, what: String, error: &ProviderError) {
        self.refuse(error.refusal());
        self.problem(what);
    }

    /// Notes a problem with the management key, unless one is noted.
    pub(crate) fn refuse(&self, cause: Option<Cause>) {
        self.report(|report| report.refusal = report.refusal.take().or(cause));
    }
}

fn serialize_dollars<S: Serializer>(
    amount: &Option<Usd>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    amount
        .map(|amount| amount.to_string())
        .serialize(serializer)
}
