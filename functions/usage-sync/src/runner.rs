//! The one runner, as every stage gets it: the clients, the baseline of the run, the lease and the deadline.

use std::sync::atomic::{AtomicI64, Ordering};

use bursar_core::clock::Clock;
use bursar_core::domain::values::id::DeploymentId;
use bursar_core::orders::Orders;
use bursar_core::provider::Provider;
use bursar_core::store::{FencedTable, KnownAccount, Lease, Meta, Unreachable};

use crate::app::App;
use crate::obstacle;
use crate::prelude::*;

/// How long a dead runner blocks others. A live one renews its lease each minute.
pub(crate) const LEASE: SignedDuration = SignedDuration::from_mins(5);
const RENEWED_EACH: SignedDuration = SignedDuration::from_mins(1);
/// The longest wait for one answer, the provider's `Retry-After` included: a lease that is a minute old
/// outlasts it.
const LONGEST_WAIT: Duration = Duration::from_secs(120);
/// The bounds of the time kept back for the last checkpoint, a fifth of the invocation.
const LEAST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(1);
const MOST_FOR_THE_CHECKPOINT: Duration = Duration::from_secs(60);

pub(crate) struct Runner<'a> {
    pub(crate) table: &'a Table,
    pub(crate) provider: &'a Provider,
    pub(crate) clock: &'a Clock,
    pub(crate) retention_days: u16,
    pub(crate) deployment: DeploymentId,
    /// What identifies the account, as it was when this invocation began.
    pub(crate) account: Option<KnownAccount>,
    /// Whether the table is a restored copy.
    pub(crate) is_copy: bool,
    pub(crate) baseline: Baseline,
    /// The programmes in the order of the run's numbers.
    programmes: Vec<Programme>,
    /// The addresses that not all mail reaches.
    pub(crate) unreachable: Unreachable,
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
    pub(crate) began_at: Moment,
    /// The programmes, which rows name by their index here. A programme created since belongs to the next
    /// run.
    pub(crate) programmes: Vec<ProgrammeId>,
    /// When the last full listing before this one began.
    pub(crate) listed_at: Option<Moment>,
    pub(crate) restored_at: Option<Moment>,
    /// When the newest cut through the books was made.
    pub(crate) cut_at: Option<Moment>,
    /// When the last complete run began that found no residual but the one told.
    pub(crate) matched_at: Option<Moment>,
}

/// How a stage's turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum StageEnd {
    Done,
    /// No later stage can do anything: the run ends with what it has.
    RunOver,
    /// The rest is for the next invocation.
    TimeIsUp,
    /// The rest is for a later invocation. A stage returns an error instead where its work so far must be
    /// repeated.
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
        let (programmes, unreachable) =
            tokio::try_join!(app.table.programmes_by_id(&baseline.programmes), app.table.unreachable(app.clock.now()))?;
        let kept_back = (deadline.left() / 5).clamp(LEAST_FOR_THE_CHECKPOINT, MOST_FOR_THE_CHECKPOINT);
        Ok(Runner {
            table: &app.table,
            provider: &app.provider,
            clock: &app.clock,
            retention_days: app.retention_days,
            deployment: meta.deployment.clone(),
            account: meta.account.clone(),
            is_copy: app.table.is_copy(meta),
            baseline,
            programmes,
            unreachable,
            deadline,
            lease: lease.clone(),
            renewed_at: AtomicI64::new(app.clock.now().as_millisecond()),
            kept_back,
        })
    }

    pub(crate) fn programmes(&self) -> &[Programme] {
        &self.programmes
    }

    /// The programme of this number in rows and findings.
    pub(crate) fn programme(&self, number: u16) -> Result<&Programme> {
        self.programmes.get(usize::from(number)).context("a programme is gone")
    }

    pub(crate) fn orders(&self) -> Orders<'_> {
        Orders { table: self.table, provider: self.provider, clock: self.clock }
    }

    /// Whether a stage has time to go on.
    pub(crate) fn has_time(&self) -> bool {
        self.deadline.leaves(self.kept_back)
    }

    /// Whether a stage may go on. Renews the lease when it is a minute old.
    pub(crate) async fn goes_on(&self) -> Result<bool> {
        let renewed_at = Moment::from_millisecond(self.renewed_at.load(Ordering::Relaxed))?;
        if self.has_time() && self.clock.now() >= renewed_at + RENEWED_EACH {
            self.stay().await?;
        }
        Ok(self.has_time())
    }

    /// Until when a stage may wait for an answer.
    pub(crate) fn until(&self) -> Deadline {
        self.deadline.earlier_by(self.kept_back).at_most(LONGEST_WAIT)
    }

    /// The table under the lease: everything that others can see is written through it.
    pub(crate) fn fenced(&self) -> FencedTable<'_> {
        self.table.under(&self.lease, self.deadline)
    }

    pub(crate) fn fence(&self) -> u64 {
        self.lease.fence
    }

    /// Renews the lease. Every effect at the provider comes after a renewal.
    pub(crate) async fn stay(&self) -> Result<()> {
        let now = self.clock.now();
        ensure_written(self.table.renew(&self.lease, now + LEASE, self.deadline).await?)?;
        self.renewed_at.store(now.as_millisecond(), Ordering::Relaxed);
        Ok(())
    }

    /// The obstacle in a provider's error, if a later try may succeed.
    pub(crate) fn obstacle(&self, error: &ProviderError) -> Option<RunObstacle> {
        obstacle::of_provider(error).filter(|_| self.is_patient())
    }

    /// The obstacle in any error of a stage, if a later try may succeed.
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
