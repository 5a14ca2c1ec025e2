//! The nightly sync: what each key spent, which keys have no owner, and whether the sums agree with
//! the account's total.
//!
//! # A run
//!
//! [`run`] takes the steps in their order. Each but the first is a file of its own:
//!
//! | step | what it does | what it writes |
//! | --- | --- | --- |
//! | `check` | checks the management key and its account | nothing |
//! | [`list`] | lists every key of every workspace into memory | nothing |
//! | [`compare`] | compares every grant with its listed keys; each difference is a finding | readings |
//! | [`safety_limit`] | counts the findings that end something on Bursar's own judgement | the day's count |
//! | [`repair`] | acts on the findings that the limit lets through | grants, readings, the provider |
//! | [`foreign`] | records foreign keys, counts them for their owners, and never touches them | foreign keys, what cuts need of them |
//! | [`recount`] | sums up programmes, and counts their budgets anew | totals, budgets |
//! | [`conclude`] | compares the account's money with the keys', and decides whether the run is complete | the account's use and day, a cut, the sync's state |
//! | [`caps`] | judges the caps of students | crossings, with their mails |
//! | [`guardrails`] | tells guardrails their rules again, and puts keys back under theirs | confirmed rules |
//! | [`models`] | asks who used which model on the completed days, and which models there are | the use by model, the list, mails about models that end |
//!
//! The stream carries totals to `threshold-alerts`. Trouble reaches the admins as one alarm for
//! each cause and day. The account page shows the report of the run and the state of the sync.
//!
//! # The comparison
//!
//! A key's name leads to its grant; that its hash is on record proves that it is the grant's,
//! whatever its name is now. One that bears a name of ours and is not on record was shown to
//! nobody. It is disabled, and its use, if it has any, counts as a foreign key's. In a restored
//! copy of the table it may have been shown, and is recorded with its grant. Elsewhere one of a
//! claim that the table does not know, or of no grant, is named to the admins and left as it is.
//!
//! A reading holds a key's use on each UTC day ([`days`](bursar_core::domain::usage::days)). Each
//! answer settles its own day and the day before. After missed nights the rest counts on the last
//! of them, and the days between are marked as estimated. Totals of programmes, groups and the
//! account are kept by day as well, so any span of time is a sum of days.
//!
//! # Repairs
//!
//! Each finding is decided again on the grant as it is by then; one that no longer holds has no
//! effect. The safety limit counts orphans, keys that a recovery would end, and live grants whose
//! keys are gone or disabled: all runs of a UTC day together, each key once, before any is touched.
//! Above its bound none is touched until an admin, who sees which keys they are, lets the next run
//! act on exactly those.
//!
//! Absence counts only after a whole listing. A recorded key that was not listed is then asked for
//! by its hash. It is gone after two such 404s, an hour apart, without an answer between them that
//! knew it. An account without a workspace, or without any key where there were some, is not
//! believed; of a workspace that the management key may not open, nothing is taken for gone.
//!
//! A guardrail's rules are compared with the provider's last answer and never with what was sent,
//! since the provider respells models. Where one had to be made again, a job of `console` marks its
//! keys as due, and they are put under the new one.
//!
//! # Budgets
//!
//! No request gives anything back to a budget. A run reads it before its grants, reckons what they
//! reserve for an instant before the listing, since no reading holds later use, and adds the
//! difference. So what is reserved during the run may count twice until the next night, but is
//! never missed. That instant is stored with the budget: everything counts as read up to then.
//! Where a key could not be read, its grant keeps what it reserves.
//!
//! # Money
//!
//! The account's total is compared with the sum of all readings, those of deleted keys included
//! ([`cut`](bursar_core::domain::ledger::cut)). The difference at the first complete run is the
//! opening; the difference since then is the residual. The account is read before the listing and
//! after the last reading, and any amount between the two is explained. So the opening is known as
//! an interval, which each run without a residual may narrow. Spending outside of all keys could
//! hide once in its width.
//!
//! Each complete run leaves a cut ([`cut`](bursar_core::domain::ledger::cut)): the lifetime sums of
//! programmes and of foreign keys, the opening, the residual, and the spending during the run.
//! Together they are the account's total, and a statement is the difference of two cuts. Admins are
//! alerted of a residual once, and again when it changes.
//!
//! Model use comes from one query by key name and model. The last day is asked for again in the
//! next night; a record is replaced only by an answer that is no smaller. Each cent of it is a
//! programme's by group, or that of a name of keys that are no programme's. What a truncated answer
//! lacks is the difference to the readings, and pages show it as not attributed to a model. Model
//! use by grant is kept for `BURSAR_RETENTION_DAYS`. The sync's state holds the known days, which
//! tells a day without use from a day that was not asked for. Days missed for more than a week stay
//! unknown. Without an answer the run goes on and reports it, and the next run asks again.
//!
//! # Caps
//!
//! A cap's crossing rests on use that certainly belongs to the window, since the provider may
//! report the old window's numbers for two days after its turn. Limits rest on the larger number,
//! which is the safe side there. The mails are bulk mail, since many students may cross in one
//! night. One whose window is over is not sent. What a run had no time for, or could not write, has
//! another run begin at the next quarter of an hour.
//!
//! # Begin again
//!
//! A run lives in one invocation and begins from nothing. One that dies, or meets what it cannot
//! pass, is over; the schedule of each quarter of an hour begins another after longer and longer,
//! seven times a night ([`run`]). What it wrote by then is true, since lifetime use only grows and
//! sums are written whole; what is no reading carries the instant at which the run began, and never
//! replaces what a later run wrote. A 401 or 403 is believed only after the management key, asked
//! once more, was refused too.
//!
//! A run is *whole* when every page was read of each workspace that the management key may open. It
//! is *complete* when it is whole, the account's money was read twice, the table could be read, and
//! each key was disabled that was to be; a few whose disable fails night after night are named and
//! hinder no more. A row that cannot be read keeps its last reading and is a problem of the report,
//! no more. In the sync's state, `listed_at` is the beginning of the last whole run, up to which
//! readings are known, and `completed_at` that of the last complete one.

#![warn(clippy::wildcard_enum_match_arm)]

mod balance;
mod caps;
mod compare;
mod conclude;
mod foreign;
mod guardrails;
mod list;
mod models;
mod recount;
mod repair;
mod run;
mod runner;
mod safety_limit;

use anyhow::{Context, Result, bail};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::{Deadline, Waits};
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::event::{Event, Task};
use bursar_core::provider::Provider;
use bursar_core::start::Function;
use bursar_core::store::{BegunBy, Table};
use lambda_runtime::LambdaEvent;
use serde_json::{Value, json};

pub struct App {
    table: Table,
    provider: Provider,
    clock: Clock,
    waits: Waits,
    retention_days: u16,
}

impl Function for App {
    fn new(config: Config, clock: Clock) -> App {
        App {
            table: Table::new(&config),
            provider: Provider::new(&config, &clock),
            clock,
            waits: config.waits,
            retention_days: config.retention_days,
        }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> Result<Value> {
        let holder = &event.context.request_id;
        let deadline = Deadline::from_context(&event.context).with_waits(self.waits);
        match Event::parse(event.payload)? {
            Event::Scheduled => run::run_invocation(self, BegunBy::Night, holder, deadline).await,
            Event::Empty => run::run_invocation(self, BegunBy::Person, holder, deadline).await,
            Event::Task(Task::Resume) => {
                if let Err(error) = balance::look(self, deadline.limit_to(balance::PATIENCE)).await
                {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "the balance could not be recorded"
                    );
                }
                run::run_invocation(self, BegunBy::Quarter, holder, deadline).await
            }
            Event::Task(Task::Rotate) => self.rotate(deadline).await,
            Event::Task(Task::Work | Task::Watch | Task::Digest | Task::Drain)
            | Event::Http(_)
            | Event::Stream(_)
            | Event::Notifications(_) => bail!("this is no event for the function usage-sync"),
        }
    }
}

impl App {
    /// Makes a pending management key the current one, once the provider accepts it and it is of
    /// this deployment's account.
    async fn rotate(&self, deadline: Deadline) -> Result<Value> {
        let keys = self.provider.management_keys();
        let Some(pending) = keys.pending().await? else {
            return Ok(json!({"skipped": "nothing pending"}));
        };
        let with_it = self.provider.with_management_key(pending.key.clone());
        with_it.check_management_key(deadline).await?;
        let meta = self.table.meta(self.clock.now()).await?;
        if let Err(error) = with_it
            .check_account(&meta.deployment, meta.account.as_ref(), deadline)
            .await
        {
            if let Some(cause @ Cause::AnotherAccount { .. }) = error.refusal() {
                let now = self.clock.now();
                self.table
                    .tell_admins(&Alarm::now(cause, now), now, deadline)
                    .await?;
            }
            return Err(error).context("the pending management key is not promoted");
        }
        for key in meta
            .account
            .iter()
            .flat_map(|account| account.of_each_workspace.values())
        {
            with_it.get_key(key, deadline).await.with_context(|| {
                format!("the pending management key is not promoted: it may not open the workspace of the key {key}")
            })?;
        }
        keys.promote(&pending).await?;
        tracing::info!("the pending management key is the current one now");
        Ok(json!({"promoted": true}))
    }
}
