//! The nightly sync: what each key spent, which keys have no owner, and whether the sums agree with the account's total.
//!
//! # A run
//!
//! A run goes through its stages in order, each a file of [`stages`] with a state of its own:
//!
//! | stage | what it does | what it writes |
//! | --- | --- | --- |
//! | 1 begin | checks the management key and its account, asks for the account's money | nothing |
//! | 2 models | asks who used which model on the completed days | nothing until stage 9 |
//! | 3 list | lists every key of every workspace, packed by the grant whose name it bears | nothing |
//! | 4 scan | compares every grant with its listed keys; each difference is a finding | readings, sums of programmes |
//! | 5 foreign | records foreign keys, counts them for their owners, and never touches them | foreign keys, what cuts need of them, budgets |
//! | 6 rules | tells their rules again to guardrails that are not right | confirmed rules |
//! | 7 act | acts on the findings that the safety limit lets through | grants, readings, the provider |
//! | 8 sum up | recomputes the sums of programmes in which stage 7 acted | sums of programmes |
//! | 9 reconcile | compares the account's money with the keys' | model use, the account's day, a cut, the sync's state |
//!
//! The stream carries sums and readings to `threshold-alerts`. Trouble reaches the admins as one alarm for each cause and day
//! ([`alarms`]). The account page shows the report of the run and the state of the sync.
//!
//! # The scan
//!
//! A key's name leads to its grant; an attempt with its hash proves that it is ours, whatever its name is now. A second key under
//! the name of an attempt was shown to nobody. It is disabled, and its use counts as a foreign key's.
//!
//! The shards of all programmes are read as one stream: a budget before its grants, sums after their readings. Changed readings are
//! written to several partitions in turn, and a throttled write goes to the end of the queue.
//!
//! A budget's counter is recomputed on condition that its version is the one read before the grants. Every reservation that is taken or
//! given back raises the version. Otherwise a sum that read a grant with its reservation could put back a reservation given back since.
//! The sum is for an instant before the listing, since no reading holds later use. That instant is stored with the budget, and a
//! reservation is given back as of then at the earliest ([`counted`](bursar_core::domain::grant::Change::counted)). A reservation is
//! worth less after each turn of a window, so a slow request would give back too much.
//!
//! A reading holds a key's use on each UTC day ([`days`](bursar_core::domain::usage::days)). Each answer settles its own day and the day
//! before. After missed nights the rest counts on the last of them, and the days between are marked as estimated. Sums of programmes,
//! groups and the account are kept by day as well, so any span of time is a sum of days.
//!
//! # Actions
//!
//! Each finding is decided again on the grant as it is by then; one that no longer holds has no effect. The safety limit
//! ([`scan::safety_limit`]) counts orphans, keys that a recovery would end, and live grants whose keys are gone or disabled, before any
//! is marked. Above its bound none is touched until an admin, who sees which keys they are, lets the next run act. That consent
//! holds for those keys alone. Each is marked in the table until it was acted on or is in order again. Readings, sums,
//! reconciliation and the search for missing keys go on meanwhile.
//!
//! Absence counts only after a complete listing. A recorded key that was not listed is then asked for by its hash. It is gone
//! after two such 404s, an hour apart, without a listing between them that contained it. An account without a workspace, or
//! without any key where there were some, is not believed.
//!
//! A guardrail's rules are compared with the provider's last answer and never with what was sent, since the provider respells
//! models. Where one had to be made again, a job of `console` puts the keys under it.
//!
//! # Money
//!
//! The account's total is compared with the sum of all readings, those of deleted keys included
//! ([`cut`](bursar_core::domain::ledger::cut)). The difference at the first complete run is the opening; the difference since then is the
//! residual. The account is read before the listing and at the end, and any amount between the two is explained. So the opening is
//! known as an interval, which each run without a residual may narrow. Spending outside of all keys could hide once in its width.
//!
//! Each complete run leaves a cut ([`cut`](bursar_core::domain::ledger::cut)): the lifetime sums of programmes and of foreign keys, the
//! opening, the residual, and the spending during the run. Together they are the account's total, and a statement is the
//! difference of two cuts. Admins are alerted of a residual once, and again when it changes.
//!
//! Model use comes from one query by key name and model. The last day is asked for again in the next night; a record is replaced
//! only by an answer that is no smaller. Each cent of it is a programme's by group, or that of a name of keys that are no
//! programme's. What a truncated answer lacks is the difference to the readings, and pages show it as not attributed to a model.
//! Model use by grant is kept for `BURSAR_RETENTION_DAYS`.
//! The sync's state holds the known days, which tells a day without use from a day that was not asked for. Days missed for more
//! than a week stay unknown. Without an answer the run goes on and reports it, and the next run asks again.
//!
//! # Interruptions
//!
//! A checkpoint is written at the beginning and after each stage but the first, so the next invocation resumes after the last
//! completed stage. Deadlines belong to single answers, so a listing may take as long as the invocation. A run whose invocation
//! ran out of time is resumed within a quarter of an hour. An obstacle that may pass ([`obstacle`]) sets a time before the next
//! try, ten minutes to an hour, which a request by an admin overrides. After six hours the run ends with what it has. A run that
//! was not resumed for eight hours is begun afresh. If no run began for a day, the next quarter of an hour begins one.
//!
//! One runner holds the lease and renews it each minute. It renews it before each write that others read, and before each effect
//! at the provider. A 401 or 403 is believed only after the management key, asked once more, was refused too.
//!
//! A run is complete when the listing reached its end, all rows and grants could be read, the account's money was read twice, and
//! no action was left undone or held back. A run that ends early says so in its report. What it wrote by then is true, since
//! lifetime use only grows and sums are written whole. In the sync's state, `listed_at` is the instant up to which readings are
//! known, and `completed_at` the beginning of the last complete run.

mod acts;
mod alarms;
mod app;
mod invocation;
mod journal;
mod money;
mod obstacle;
mod prelude;
mod progress;
mod report;
mod runner;
mod scan;
mod stages;

use anyhow::bail;
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::domain::mail::alarm::Alarm;
use bursar_core::event::{Event, Task};
use bursar_core::start::Function;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

pub use crate::app::App;
use crate::invocation::{Trigger, run};
use crate::prelude::*;

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App::of(&config, clock)
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context).with_waits(self.waits);
        match Event::of(event.payload)? {
            Event::Scheduled => run(self, Trigger::Run, &event.context.request_id, deadline).await,
            Event::Task(Task::Resume) => run(self, Trigger::Resume, &event.context.request_id, deadline).await,
            Event::Task(Task::Rotate) => self.rotate(deadline).await,
            _ => bail!("this is no event for the function usage-sync"),
        }
    }
}

impl App {
    /// Makes a pending management key the current one, once the provider accepts it and it is of this
    /// deployment's account.
    async fn rotate(&self, deadline: Deadline) -> Result<Value> {
        let keys = self.provider.management_keys();
        let Some(pending) = keys.pending().await? else { return Ok(json!({"skipped": "nothing pending"})) };
        let with_it = self.provider.asked_with(pending.key.clone());
        with_it.check_management_key(deadline).await?;
        let meta = self.table.meta(self.clock.now()).await?;
        if let Err(error) = with_it.check_account(&meta.deployment, meta.account.as_ref(), deadline).await {
            if let Some(cause @ Cause::AnotherAccount { .. }) = error.refusal() {
                let now = self.clock.now();
                self.table.tell_admins(&Alarm::now(cause, now), now, deadline).await?;
            }
            return Err(error).context("the pending management key is not promoted");
        }
        keys.promote(&pending).await?;
        tracing::info!("the pending management key is the current one now");
        Ok(json!({"promoted": true}))
    }
}
