//! A whole stack in this process, in memory, for one test. It is judged once, by the end that the
//! test gives it.

use std::ops::Deref;
use std::panic::Location;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use bursar_core::clock::Moment;
use bursar_core::config::SignOnRequired;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::folder::Files;
use bursar_local::stack::{self as local, Options, SignOnBy, listen};

use crate::faults::Gate;
use crate::invariants::{Answers, Places, RawTable, Watch};
use crate::permissions;

pub const ADMIN: &str = "admin@example.edu";
/// Where a stack's clock stands at first, so that no test depends on the hour, the day or the month
/// in which it starts.
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

impl Stack {
    /// A stack as these options describe it, whose schedules run when the test says so and never by
    /// themselves.
    pub async fn start(options: Options) -> Stack {
        let gate = Gate::default();
        let stack = local::Stack::start(Options {
            between: Some(Arc::new(gate.clone())),
            ..options
        })
        .await
        .unwrap();
        stack.schedules.stop().await;
        Stack {
            running: Some(stack),
            answers: Answers::default(),
            gate,
        }
    }

    /// Ends a stack in which nothing went wrong: the invariants hold, no function logged an error,
    /// every event found its function, and every planned fault happened.
    #[track_caller]
    pub fn finish(self) -> impl Future<Output = ()> {
        self.end(true, true)
    }

    /// Ends a stack in which faults were played: only the invariants must hold.
    #[track_caller]
    pub fn finish_faulted(self) -> impl Future<Output = ()> {
        self.end(false, true)
    }

    /// Ends a stack whose table or keys the test itself made up or broke.
    #[track_caller]
    pub fn finish_unjudged(self) -> impl Future<Output = ()> {
        self.end(false, false)
    }

    #[track_caller]
    fn end(mut self, is_clean: bool, is_judged: bool) -> impl Future<Output = ()> {
        let caller = Location::caller();
        async move {
            // The stream is delivered first, so that its effects are judged too. An event that is
            // retried without end is not waited for.
            if !self.pump.is_stopped() {
                let _ = tokio::time::timeout(ON_ITS_WAY, self.pump.drained()).await;
            }
            let mut wrong: Vec<String> = permissions::not_allowed(&self).into_iter().collect();
            if is_clean {
                wrong.extend(self.went_wrong());
            }
            if is_judged {
                wrong.extend(watch(&self).violations(false).await);
            }
            let ended = self.running.take().unwrap().stop().await;
            assert!(
                wrong.is_empty(),
                "the stack that ends at {caller} leaves\n{}",
                wrong.join("\n")
            );
            ended.unwrap();
        }
    }

    /// What the functions logged as an error, the events that none of them accepted, and the faults
    /// that no call met.
    fn went_wrong(&self) -> Vec<String> {
        let is_error = |text: &str| text.contains("\"ERROR\"") || text.contains("panicked");
        let lines = self
            .logs
            .all()
            .into_iter()
            .filter(|line| is_error(&line.text));
        let errors =
            lines.map(|line| format!("an error of {}: {}", line.function.as_str(), line.text));
        let letters = self.pump.dead_letters().all().unwrap();
        let letters = letters
            .into_iter()
            .map(|letter| format!("a dead letter: {letter:?}"));
        let faults = self
            .gate
            .unfired()
            .into_iter()
            .map(|fault| format!("a planned fault that no call met: {fault}"));
        errors.chain(letters).chain(faults).collect()
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

/// The settings of a stack in memory whose functions run in this process.
pub struct Setup<'a> {
    /// The share of each wait that the functions really wait.
    pub waits: Waits,
    pub admins: &'a [&'a str],
    /// The moment at which its clock is stopped before anything reads it.
    pub at: Moment,
    /// The configuration set of its mails, if they have one.
    pub mail_events: Option<&'a str>,
    /// Where its pages say that keys are spent, if that is not the provider.
    pub spend_at: Option<String>,
    /// Where its table and its stand-ins' state are kept; without one, in memory.
    pub files: Option<Files>,
    /// How people sign in besides by a link, and whom a link does not sign in.
    pub sign_on: Option<(SignOnBy, SignOnRequired)>,
}

impl Default for Setup<'_> {
    fn default() -> Self {
        Setup {
            waits: Waits::shorten_by(4),
            admins: &[ADMIN],
            at: begins(),
            mail_events: Some("bursar"),
            spend_at: None,
            files: None,
            sign_on: None,
        }
    }
}

/// The moment at which a stack's clock stands where a test names none.
pub fn begins() -> Moment {
    BEGINS.parse().unwrap()
}

/// A stack in memory with the functions in this process.
pub async fn of(setup: Setup<'_>) -> Stack {
    let admins = setup
        .admins
        .iter()
        .map(|admin| EmailAddress::parse(admin).unwrap())
        .collect();
    let options = Options::new(listen(0).await.unwrap(), admins);
    let mail_events = setup.mail_events.map(str::to_owned);
    let Setup {
        waits,
        at,
        spend_at,
        files,
        sign_on,
        ..
    } = setup;
    Stack::start(Options {
        waits,
        begins_at: Some(at),
        mail_events,
        spend_at,
        files,
        sign_on,
        ..options
    })
    .await
}

/// A watch on everything of a stack that can be observed.
pub fn watch(stack: &Stack) -> Watch {
    let logs = stack.logs.clone();
    Watch::over(Places {
        table: RawTable::at(&stack.ready.dynamodb, &stack.ready.table),
        clock: stack.clock.as_clock(),
        provider: stack.provider.clone().unwrap(),
        gate: stack.gate.clone(),
        ses: stack.ses.clone(),
        engine: stack.engine.clone(),
        answers: stack.answers.clone(),
        logs: Box::new(move || logs.all().into_iter().map(|line| line.text).collect()),
    })
}
