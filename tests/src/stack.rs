//! A whole stack in this process, in memory, for one test. `finish` is its only end, and finds what a passing
//! test could have hidden.

use std::ops::Deref;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::folder::{Files, Folder};
use bursar_local::invoke::logs::{Keep, Logs};
use bursar_local::schedules::SyncEvery;
use bursar_local::stack::{self as local, Options, ProviderAt, listen};
use jiff::Timestamp;

use crate::faults::Gate;
use crate::invariants::{RawTable, Watch};
use crate::left::Leavings;
pub use crate::left::{Left, WARNING};
use crate::permissions;

const ADMIN: &str = "admin@example.edu";
/// When a stack's clock begins to run, so that no test depends on the hour, the day or the month in which it starts.
const BEGINS: &str = "2026-11-10T09:30:00Z";
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// A running stack, which dereferences to the local one and ends by its own `finish` only.
pub struct Stack {
    /// `None` once the stack has ended.
    running: Option<local::Stack>,
    pub gate: Gate,
}

impl Stack {
    /// A stack as these options describe it, whose schedules run when the test says so and never by themselves.
    pub async fn start(options: Options) -> Result<Stack> {
        let gate = Gate::default();
        let stack = local::Stack::start(Options { between: Some(Arc::new(gate.clone())), ..options }).await?;
        stack.schedules.stop().await;
        Ok(Stack { running: Some(stack), gate })
    }

    /// Ends one case of a test that plays many in one stack, so that no fault of this case meets a call of the next.
    #[track_caller]
    pub fn faults_met(&self, case: &str) {
        let unmet = self.gate.unfired();
        assert!(unmet.is_empty(), "{case}: planned faults that no call met: {unmet:?}");
    }

    /// Ends a stack in which nothing went wrong. Every planned fault happened, every event found its function,
    /// and no function complained. No mail is unread. No function did what its role does not allow.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = ()> {
        self.finish_leaving(&[])
    }

    /// Ends a stack in which exactly this is left.
    #[track_caller]
    pub fn finish_leaving(mut self, left: &[Left<'_>]) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move { self.end(left, caller).await }
    }

    async fn end(&mut self, left: &[Left<'_>], caller: &Location<'_>) {
        // The stream is delivered first, so that its effects count as left too. An event that is retried without
        // end is not waited for.
        if !self.pump.is_stopped() {
            let _ = tokio::time::timeout(ON_ITS_WAY, self.pump.drained()).await;
        }
        let mut wrong = Leavings::of(self).unwrap().against(left);
        wrong.extend(permissions::not_allowed(self));
        let ended = self.running.take().unwrap().stop().await;
        assert!(wrong.is_empty(), "the stack that ends at {caller} leaves\n{}", wrong.join("\n"));
        ended.unwrap();
    }

    /// Ends a stack after a scenario that may have failed. Its failure takes precedence over what is left.
    #[track_caller]
    pub fn finish_after<T>(mut self, outcome: Result<T>, left: &[Left<'_>]) -> impl Future<Output = Result<T>> {
        let caller = Location::caller();
        async move {
            match &outcome {
                Ok(_) => self.end(left, caller).await,
                Err(_) => self.running.take().unwrap().stop().await?,
            }
            outcome
        }
    }
}

impl Deref for Stack {
    type Target = local::Stack;

    fn deref(&self) -> &local::Stack {
        self.running.as_ref().unwrap()
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        assert!(self.running.is_none() || thread::panicking(), "a stack ends without `finish`");
    }
}

/// The settings of a stack whose functions run in this process.
pub struct Setup<'a> {
    /// The share of each wait that the functions really wait.
    pub waits: Waits,
    pub admins: &'a [&'a str],
    /// The moment at which the clock of a new stack is stopped before anything reads it; without one it runs from `BEGINS`.
    pub at: Option<Timestamp>,
    /// The folder of its state; in memory without one.
    pub data: Option<&'a Path>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup { waits: Waits::shortened(4), admins: &[ADMIN], at: None, data: None }
    }
}

/// The moment at which a stack's clock begins where a test names none.
pub fn begins() -> Timestamp {
    BEGINS.parse().unwrap()
}

/// A stack in memory with the functions in this process.
pub async fn in_process() -> Result<Stack> {
    of(Setup::default()).await
}

/// A stack with the functions in this process.
pub async fn of(setup: Setup<'_>) -> Result<Stack> {
    let folder = setup.data.map(Folder::open).transpose()?;
    let files = folder.as_ref().map(Folder::files);
    let options = options(files, setup.waits, setup.admins).await?;
    // A folder has the clock of its last run.
    let runs_from = (setup.at.is_none() && setup.data.is_none()).then(begins);
    let stack = Stack::start(Options { begins_at: setup.at.or(runs_from), ..options }).await?;
    if let Some(instant) = runs_from {
        stack.clock.run_from(instant)?;
    }
    Ok(stack)
}

/// A watch on everything of a stack that can be observed.
pub fn watch(stack: &Stack) -> Watch {
    let logs = stack.logs.clone();
    let watch = Watch::over(RawTable::at(&stack.ready.dynamodb, &stack.ready.table), stack.clock.as_clock())
        .with_mails(stack.ses.clone())
        .with_stream(stack.engine.clone())
        .with_logs(move || logs.all().into_iter().map(|line| line.text).collect());
    match &stack.provider {
        Some(provider) => watch.with_provider(provider.clone()).with_gate(stack.gate.clone()),
        None => watch,
    }
}

async fn options(files: Option<Files>, waits: Waits, admins: &[&str]) -> Result<Options> {
    Ok(Options {
        files,
        web: listen(0).await?,
        origin: None,
        begins_at: None,
        admins: admins.iter().map(|admin| EmailAddress::parse(admin)).collect::<Result<_, _>>()?,
        provider: ProviderAt::BuiltIn,
        smtp: None,
        sync_every: SyncEvery::Never,
        between: None,
        logs: Logs::new(Keep::All),
        waits,
    })
}
