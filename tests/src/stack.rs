//! A whole stack in this process, in memory, for one test. It is judged once, by the end that the test gives it.

use std::ops::Deref;
use std::panic::Location;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::Result;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::folder::Folder;
use bursar_local::invoke::FunctionName;
use bursar_local::stack::{self as local, Options, listen};
use jiff::Timestamp;

use crate::faults::{Gate, Recorded, Service};
use crate::invariants::{Answers, RawTable, Violation, Watch};
use crate::permissions;

const ADMIN: &str = "admin@example.edu";
/// When a stack's clock begins to run, so that no test depends on the hour, the day or the month in which it starts.
const BEGINS: &str = "2026-11-10T09:30:00Z";
const ON_ITS_WAY: Duration = Duration::from_secs(10);

/// A running stack, which dereferences to the local one and ends by its own `finish` only.
pub struct Stack {
    /// `None` once the stack has ended.
    running: Option<local::Stack>,
    /// What was answered to the browsers that note it.
    pub answers: Answers,
    pub gate: Gate,
}

#[derive(PartialEq, Eq)]
enum End {
    Clean,
    Faulted,
    Unjudged,
}

impl Stack {
    /// A stack as these options describe it, whose schedules run when the test says so and never by themselves.
    pub async fn start(options: Options) -> Result<Stack> {
        let gate = Gate::default();
        let stack = local::Stack::start(Options { between: Some(Arc::new(gate.clone())), ..options }).await?;
        stack.schedules.stop().await;
        Ok(Stack { running: Some(stack), answers: Answers::default(), gate })
    }

    /// Ends one case of a test that plays many in one stack, so that no fault of this case meets a call of the next.
    #[track_caller]
    pub fn faults_met(&self, case: &str) {
        let unmet = self.gate.unfired();
        assert!(unmet.is_empty(), "{case}: planned faults that no call met: {unmet:?}");
    }

    /// Ends a stack in which nothing went wrong: the invariants hold, no function logged an error, every event found its function,
    /// and every planned fault happened.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = ()> {
        self.end(End::Clean)
    }

    /// Ends a stack in which faults were played: only the invariants must hold.
    #[track_caller]
    pub fn finish_faulted(self) -> impl Future<Output = ()> {
        self.end(End::Faulted)
    }

    /// Ends a stack whose table or keys the test itself made up or broke.
    #[track_caller]
    pub fn finish_unjudged(self) -> impl Future<Output = ()> {
        self.end(End::Unjudged)
    }

    #[track_caller]
    fn end(mut self, end: End) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move { self.end_at(end, caller).await }
    }

    async fn end_at(&mut self, end: End, caller: &Location<'_>) {
        // The stream is delivered first, so that its effects are judged too. An event that is retried without end is not waited for.
        if !self.pump.is_stopped() {
            let _ = tokio::time::timeout(ON_ITS_WAY, self.pump.drained()).await;
        }
        let mut wrong: Vec<String> = permissions::not_allowed(self).into_iter().collect();
        if end == End::Clean {
            wrong.extend(self.went_wrong());
        }
        if end != End::Unjudged {
            wrong.extend(self.violations().await.iter().map(ToString::to_string));
        }
        let ended = self.running.take().unwrap().stop().await;
        assert!(wrong.is_empty(), "the stack that ends at {caller} leaves\n{}", wrong.join("\n"));
        ended.unwrap();
    }

    /// What the functions logged as an error, the events that none of them accepted, and the faults that no call met.
    fn went_wrong(&self) -> Vec<String> {
        let is_error = |text: &str| text.contains("\"ERROR\"") || text.contains("panicked");
        let lines = self.logs.all().into_iter().filter(|line| is_error(&line.text));
        let errors = lines.map(|line| format!("an error of {}: {}", line.function.as_str(), line.text));
        let letters = self.pump.dead_letters().all().unwrap();
        let letters = letters.into_iter().map(|letter| format!("a dead letter: {letter:?}"));
        let faults = self.gate.unfired().into_iter().map(|fault| format!("a planned fault that no call met: {fault}"));
        errors.chain(letters).chain(faults).collect()
    }

    /// How many mails may have been accepted twice, since the server's answer or the record of it was lost.
    pub fn lost_mails(&self) -> usize {
        let is_lost = |made: &Recorded| {
            made.call.function == FunctionName::Mail
                && made.call.name.has_effect()
                && made.fault.is_some_and(|fault| (made.call.name.service == Service::Ses) == fault.is_after())
        };
        self.gate.calls().iter().filter(|made| is_lost(made)).count()
    }

    async fn violations(&self) -> Vec<Violation> {
        let mut watch = watch(self).with_answers(self.answers.clone());
        (0..self.lost_mails()).for_each(|_| watch.lost_a_mail());
        watch.violations(false).await.unwrap()
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
        assert!(
            self.running.is_none() || thread::panicking(),
            "a stack ends by `finish`, `finish_faulted` or `finish_unjudged`"
        );
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
    let admins = setup.admins.iter().map(|admin| EmailAddress::parse(admin)).collect::<Result<_, _>>()?;
    let options = Options { files, waits: setup.waits, ..Options::new(listen(0).await?, admins) };
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
