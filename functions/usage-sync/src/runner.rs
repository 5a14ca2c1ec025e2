//! The one runner, as every stage gets it: the clients, what stays the same for the whole run, the lease, and how much time there is.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{DeploymentId, ProgrammeId};
use bursar_core::orders::Orders;
use bursar_core::provider::{Provider, ProviderError};
use bursar_core::store::{FencedTable, Table};
use bursar_core::store::{KnownAccount, Lease, Meta};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::obstacle::{self, RunObstacle};

/// A runner that died is in nobody's way for longer. One that lives renews its lease each minute.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(5);
const RENEWED_EACH: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait for one answer, with the provider's own wish to be asked later: a lease that is a minute old outlasts it.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The time of an invocation that is left to its last checkpoint: a fifth, within these bounds.
const LEAST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(1);
const MOST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(60);

pub(crate) struct Runner<'a> {
    pub(crate) table: &'a Table,
    pub(crate) provider: &'a Provider,
    pub(crate) clock: &'a Clock,
    pub(crate) admins: &'a [EmailAddress],
    pub(crate) retention_days: u16,
    pub(crate) deployment: DeploymentId,
    /// The account's marks, as they were when this invocation began.
    pub(crate) account: Option<KnownAccount>,
    /// Whether the table is a copy of an earlier moment.
    pub(crate) is_copy: bool,
    pub(crate) baseline: Baseline,
    /// In the order in which the run numbers them.
    programmes: Vec<Programme>,
    /// The end of the invocation.
    pub(crate) deadline: Deadline,
    lease: Lease,
    /// The last renewal of the lease, in milliseconds.
    renewed_at: AtomicI64,
    kept_back: Duration,
}

/// The facts that are fixed when a run begins.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Baseline {
    pub(crate) began_at: Timestamp,
    /// Rows name a programme by its place here. Those made since the run began are the next run's.
    pub(crate) programmes: Vec<ProgrammeId>,
    /// The beginning of the last listing of every key before this one.
    pub(crate) listed_at: Option<Timestamp>,
    pub(crate) restored_at: Option<Timestamp>,
    /// The beginning of the last run that explained all that the account had spent.
    pub(crate) explained_at: Option<Timestamp>,
}

/// The end of a stage's turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageEnd {
    Done,
    /// No other stage can do anything: the run ends with what it has.
    RunOver,
    /// The rest is for the next invocation.
    TimeIsUp,
    /// The rest is for a later one. An error says so too, where what the stage had done by then is to be done anew.
    Blocked(RunObstacle),
}

impl<'a> Runner<'a> {
    pub(crate) async fn of(
        app: &'a App,
        meta: &Meta,
        lease: &Lease,
        baseline: Baseline,
        deadline: Deadline,
    ) -> Result<Runner<'a>> {
        let programmes = app.table.programmes_by_id(&baseline.programmes).await?;
        let kept_back = (deadline.left() / 5).clamp(LEAST_FOR_THE_CHECKPOINT, MOST_FOR_THE_CHECKPOINT);
        Ok(Runner {
            table: &app.table,
            provider: &app.provider,
            clock: &app.clock,
            admins: &app.admins,
            retention_days: app.retention_days,
            deployment: meta.deployment.clone(),
            account: meta.account.clone(),
            is_copy: app.table.is_copy(meta),
            baseline,
            programmes,
            deadline,
            lease: lease.clone(),
            renewed_at: AtomicI64::new(app.clock.now().as_millisecond()),
            kept_back,
        })
    }

    pub(crate) fn programmes(&self) -> &[Programme] {
        &self.programmes
    }

    /// The programme that rows and findings name by this number.
    pub(crate) fn programme(&self, number: u16) -> Result<&Programme> {
        self.programmes.get(usize::from(number)).context("a programme is gone")
    }

    pub(crate) fn orders(&self) -> Orders<'_> {
        Orders { table: self.table, provider: self.provider, clock: self.clock }
    }

    /// Whether there is anything by which another account is told apart.
    pub(crate) fn has_witnesses(&self) -> bool {
        self.account.as_ref().is_some_and(|account| !account.witnesses.is_empty())
    }

    /// Whether a stage has time to go on.
    pub(crate) fn has_time(&self) -> bool {
        self.deadline.leaves(self.kept_back)
    }

    /// Whether a stage may go on; renews the lease where it is a minute old.
    pub(crate) async fn goes_on(&self) -> Result<bool> {
        let renewed_at = Timestamp::from_millisecond(self.renewed_at.load(Ordering::Relaxed))?;
        if self.has_time() && self.clock.now() >= renewed_at + RENEWED_EACH {
            self.stay().await?;
        }
        Ok(self.has_time())
    }

    /// The moment until which a stage may wait for an answer.
    pub(crate) fn until(&self) -> Deadline {
        self.deadline.earlier_by(self.kept_back).at_most(LONGEST_WAIT)
    }

    /// The table as long as the lease is held: all that others can see is written through it.
    pub(crate) fn fenced(&self) -> FencedTable<'_> {
        self.table.under(&self.lease, self.deadline)
    }

    pub(crate) fn fence(&self) -> u64 {
        self.lease.fence
    }

    /// Renews the lease. Every effect at the provider comes after it.
    pub(crate) async fn stay(&self) -> Result<()> {
        let now = self.clock.now();
        ensure_written(self.table.renew(&self.lease, now + LEASE, self.deadline).await?)?;
        self.renewed_at.store(now.as_millisecond(), Ordering::Relaxed);
        Ok(())
    }

    /// The obstacle that an answer of the provider is, if it is worth another try later.
    pub(crate) fn obstacle(&self, error: &ProviderError) -> Option<RunObstacle> {
        obstacle::of_provider(error).filter(|_| self.is_patient())
    }

    /// The obstacle that any error of a stage is, if it is worth another try later.
    pub(crate) fn obstacle_in(&self, error: &anyhow::Error) -> Option<RunObstacle> {
        obstacle::of_any(error).filter(|_| self.is_patient())
    }

    fn is_patient(&self) -> bool {
        self.clock.now() < self.baseline.began_at + obstacle::PATIENCE
    }
}

/// The result of a fenced write, which writes nothing once another runner has the lease.
pub(crate) fn ensure_written(is_written: bool) -> Result<()> {
    is_written.then_some(()).context("another runner has taken over")
}
