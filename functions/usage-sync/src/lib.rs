//! The nightly sync: what each key spent, what nobody owns, and whether the sums agree with the account's.
//!
//! # A run
//!
//! A run goes through its stages in order, each a file of `stages/` with a state of its own:
//!
//! | stage | what it does | what it writes |
//! | --- | --- | --- |
//! | 1 begin | checks the management key and its account, asks for the account's money | nothing |
//! | 2 models | asks who used which model on the days that are over | nothing until stage 9 |
//! | 3 list | lists every key of every workspace, packed by the grant whose name it bears | nothing |
//! | 4 scan | holds every grant against its listed keys; what is not as it should be is a finding | readings, sums of programmes |
//! | 5 foreign | records keys that nobody here made, and never touches them | foreign keys |
//! | 6 rules | tells each guardrail its rules, once a run | confirmed rules |
//! | 7 act | sees to the findings that the guard lets through | grants, readings, the provider |
//! | 8 sum up | sums up again where something was done | sums of programmes |
//! | 9 reconcile | holds the account's money against the keys' | model use, the account's day, a cut, the sync's state |
//!
//! Who hears of it: `threshold-alerts` of sums and readings, by the stream; the admins of whatever is the matter, by an alarm for each
//! cause and day (`alarms.rs`); the account page of the run's report and of the sync's state.
//!
//! # What a scan rests on
//!
//! A name finds the grant; that a key is ours an attempt with its hash must say, whatever somebody called it. A second key under the
//! name of an attempt was shown to nobody: it is disabled, and its use counts as a foreign key's.
//!
//! Shards of all programmes are read as one stream: a pot before its own grants, sums after the readings that they are of. News are
//! written to several partitions in turn, and a throttled write is put back behind the others.
//!
//! A pot's counter is counted anew on condition that its version is the one read before the grants were. Taking and giving back move
//! the version: a sum that read a grant before its place was given back would put the place in again. The sum is for an instant before
//! the listing began, since use after a page was answered is in no reading. That instant is kept with the pot, and nothing is given
//! back as if it were earlier (`View::worth`): a place is worth less each time a window turns, and a slow request would take out too
//! much.
//!
//! A reading says what a key used on each UTC day (`domain/usage/days.rs`). An answer settles its own day and the one before. After missed
//! nights the rest stands on the last of them, and the days between are marked as estimated. Sums of programmes, of groups and of the
//! account are days as well, so every span of time is a sum over them.
//!
//! # What is done
//!
//! Each finding is decided anew on the grant as it is by then, so one that is not so any more comes to nothing. Orphans, keys that a
//! recovery would end, and live grants whose keys are gone or disabled are counted before any of them is marked. Above the bound
//! (`scan/guard.rs`) none is touched until an admin, who is shown which keys they are, lets the next run do it. The press is for those
//! keys alone, of which each leaves a mark in the table until it is seen to, or is as it should be again. Meanwhile readings, sums and
//! the reconciliation go on, and missing keys are looked for.
//!
//! Absence means something only after a whole listing. Then a recorded key that was not listed is asked for by its hash. It is gone
//! when the provider has said so twice, an hour apart, with no listing in between that had it. An account without a workspace, or
//! without any key where there were some, is not believed.
//!
//! A guardrail's former rules are held against what the provider answers and never against what was sent, since it spells models in its
//! own way. Rules that people changed are an order on the programme (`domain/programme/rules.rs`), which the work of each minute repeats.
//!
//! # Money
//!
//! The account's total is held against the sum over all readings, those of deleted keys included (`domain/usage/reconciliation.rs`). What is
//! left over at the first complete run is the opening; what is left over since then is the residual. The account is asked before the
//! listing and at the end, and any amount between the two is explained. So the opening is known as an interval, which each run without
//! a residual may narrow. Up to its width somebody's spending by no key could hide in it, once.
//!
//! Each complete run leaves a cut (`store/sync/account_cuts.rs`): the lifetime sums of programmes and of unowned keys, the opening, the residual,
//! and what was spent meanwhile. Together they are what the account had spent; statements are differences of two cuts. Admins are told
//! of a residual once, and again when it is another; one of them may say that it is explained.
//!
//! Model use comes from one query by key name and model, and where its answer is cut off from the account's activity besides, a call a
//! day. A night costs one call, three where the answer is cut off, and eight at most after missed nights. The last day is asked for
//! again the next night; what is on record gives way only to an answer that is whole and no smaller. Each cent is a programme's, by
//! group, or unattributed, with the reason. What each grant used by model is kept besides, for `BURSAR_RETENTION_DAYS`. The sync's
//! state holds which days are known, so that a day without use and a day that nobody asked for are not the same. Missed days more than
//! a week back stay unknown. When the provider does not answer, the run goes on, says so, and the next one asks again.
//!
//! # Runs that are interrupted
//!
//! A checkpoint is written when a run begins and after each stage but the first. So whatever ends an invocation, the next goes on from
//! the last stage that was done. Each answer has a time of its own, so a listing may take as long as the invocation. Time that is up is
//! gone on with within a quarter of an hour. Trouble that time may heal (`obstacle.rs`) leaves a time before which it is not tried
//! again, ten minutes to an hour, unless somebody presses; after six hours the run ends with what it has. A run that nobody went on
//! with for eight hours is begun anew. Where none began for a day, the next quarter of an hour begins it.
//!
//! One runner holds the lease and renews it each minute. What all can see, and each effect at the provider, comes after a renewal. A
//! 401 or 403 is believed only when the key itself, asked once more, is refused too.
//!
//! A run is complete when the listing reached its end, every row and grant could be read, the account's money was read before and
//! after, and nothing was left undone, as a guard that held back would. A run that ends early says so in its report, and what it wrote by then is
//! true: use in a key's life only grows, and sums are written whole. `listed_at` in the sync's state is the moment until which readings
//! are known, `completed_at` the beginning of the last complete run.

mod acts;
mod alarms;
mod app;
mod invocation;
mod journal;
mod money;
mod obstacle;
mod progress;
mod report;
mod runner;
mod scan;
mod stages;
mod witnesses;

use anyhow::{Context, Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::event::Event;
use bursar_core::start::Function;
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

pub use crate::app::App;
use crate::invocation::{Trigger, run};

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App::of(config, clock)
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let deadline = Deadline::of(&event.context).with_waits(self.waits);
        match Event::of(event.payload) {
            Event::Task(task) if task == "rotate" => self.rotate(deadline).await,
            Event::Task(task) if task == "resume" => {
                run(self, Trigger::Resume, &event.context.request_id, deadline).await
            }
            Event::Task(task) => bail!("usage-sync knows no task {task:?}"),
            Event::Other(_) => run(self, Trigger::Run, &event.context.request_id, deadline).await,
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
        if let Err(error) = with_it.prove_account(deadline).await {
            if let Some(cause @ Cause::AnotherAccount { .. }) = error.refusal() {
                let (now, admins) = (self.clock.now(), self.table.people_of(&self.admins, deadline).await?);
                self.table.raise(&Alarm::now(cause, now), &admins, now, deadline).await?;
            }
            return Err(error).context("the pending management key is not promoted");
        }
        keys.promote(&pending).await?;
        tracing::info!("the pending management key is the current one now");
        Ok(json!({"promoted": true}))
    }
}
