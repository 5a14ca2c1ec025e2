//! The work of each minute: grants that are due, jobs without a runner, erasures, and rules that
//! the provider has not confirmed.
//!
//! One worker goes on, by its lease, until nothing is due or its invocation is nearly over; the
//! next minute goes on after it. It works in short turns, so that whatever is urgent is found
//! within seconds, and nothing waits for the end of something long. In each it calls the provider
//! for grants and guardrails, and beside that carries on jobs, which only write.
//!
//! What is due and cannot be done is left alone for a while: it is no obstacle to anything else,
//! and a worker whose clock stands still ends.

pub(crate) mod grant_action;
pub(crate) mod guardrails;
pub(crate) mod jobs;
pub(crate) mod steps;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::schema::ItemKey;
use bursar_core::settle::{ENOUGH_FOR_ONE, NotSettled};
use bursar_core::store::{ActContext, DueWork, Erasure, Job, RunLease};
use bursar_core::web::Site;
use futures_util::StreamExt;
use futures_util::stream::iter;
use jiff::SignedDuration;
use serde::Serialize;
use ulid::Ulid;

use self::jobs::JobDeadlines;
use self::steps::Plan;
use crate::people::erase;

#[derive(Debug, Default, Serialize)]
pub(crate) struct WorkReport {
    /// Why it did nothing more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) skipped: Option<&'static str>,
    pub(crate) settled: u32,
    pub(crate) put_off: u32,
    /// The number of continued jobs, by their new state.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) jobs: BTreeMap<&'static str, u32>,
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) guardrails: u32,
}

/// The most of each kind that a turn takes.
const A_TURN: usize = 30;
const SIDE_BY_SIDE: usize = 8;
/// After so much of a turn, waits left out, it begins nothing more, and what it has begun has so
/// much time.
const BEGINS_WITHIN: Duration = Duration::from_secs(10);
const FOR_ONE: Duration = Duration::from_secs(25);
/// The longest wait that the provider may ask for and this worker waits; a longer one is left to
/// the next minutes.
const PATIENCE: Duration = Duration::from_secs(20);
/// A turn is over within this time, and at its beginning the worker asks for the lease again.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// The least time left in which a turn begins.
const ENOUGH: Duration = Duration::from_secs(60);
/// So many calls without an answer in a turn, and none with one, are enough.
const SILENCES: usize = 4;
/// For so long what could not be done is left alone.
const LEFT_ALONE: SignedDuration = SignedDuration::from_secs(30);

struct Worker<'a> {
    site: &'a Site,
    deadline: Deadline,
    lease: Option<RunLease>,
    left_alone: HashMap<ItemKey, Moment>,
    /// Whether the provider answered nothing in a whole turn: it is left alone until the next
    /// minute, since each call costs seconds.
    is_silent: bool,
    /// What the admins are to be told of the management key.
    alarm: Option<Cause>,
    jobs: BTreeMap<Ulid, &'static str>,
    /// What is left of the job that it carries on.
    plan: Option<Plan>,
    report: WorkReport,
}

pub(crate) async fn run(site: &Site, deadline: Deadline) -> Result<WorkReport> {
    erase::begin_retention(site, deadline).await;
    let mut worker = Worker {
        site,
        deadline,
        lease: None,
        left_alone: HashMap::new(),
        is_silent: false,
        alarm: None,
        jobs: BTreeMap::new(),
        plan: None,
        report: WorkReport::default(),
    };
    let worked = worker.work().await;
    if let Some(lease) = &worker.lease
        && let Err(error) = site.table.release_lease(lease, deadline).await
    {
        tracing::warn!(%error, "the next worker waits for the end of the lease");
    }
    if let Some(cause) = worker.alarm {
        site.raise_in_time(cause, deadline).await;
    }
    worked?;
    for state in worker.jobs.into_values() {
        *worker.report.jobs.entry(state).or_default() += 1;
    }
    Ok(worker.report)
}

impl Worker<'_> {
    /// Works in turns, unless another worker does.
    async fn work(&mut self) -> Result<()> {
        let site = self.site;
        let holder = new_ulid(self.site.clock.now()).to_string();
        while self.deadline.leaves(ENOUGH) {
            let mut due = self.due().await?;
            let mut wait = site.provider.wait_left(self.deadline);
            if self.is_silent {
                due = DueWork {
                    jobs: due.jobs,
                    ..DueWork::default()
                };
            } else if wait > PATIENCE {
                due = DueWork {
                    ends: due.ends,
                    jobs: due.jobs,
                    ..DueWork::default()
                };
                wait = Duration::ZERO;
            }
            if due.is_empty() {
                break;
            }
            let now = site.clock.now();
            self.lease = site
                .table
                .acquire("work", &holder, now, now + LEASE, self.deadline)
                .await?;
            if self.lease.is_none() {
                self.report.skipped = Some("running");
                break;
            }
            let mut plan = self.plan.take();
            let (called, continued) = tokio::join!(
                self.call(&due, wait),
                self.carry_on_jobs(&due.jobs, &mut plan)
            );
            self.plan = plan;
            self.note(called, continued);
        }
        Ok(())
    }

    /// What is due, but for what is left alone for a while.
    async fn due(&mut self) -> Result<DueWork> {
        let now = self.site.clock.now();
        self.left_alone.retain(|_, until| now <= *until);
        // So what nobody can do, such as a grant that cannot be read, keeps nothing waiting.
        let mut due = self
            .site
            .table
            .due_work(now, A_TURN + self.left_alone.len())
            .await?;
        due.retain(|key| !self.left_alone.contains_key(key));
        Ok(due)
    }

    /// Makes the provider agree: what ends a key at once, all else after the wait that the provider
    /// asked for. Keys are put under guardrails that are made.
    async fn call(&self, due: &DueWork, wait: Duration) -> Called {
        let turn = self.deadline.limit_to(wait + BEGINS_WITHIN);
        let (mut grants, ()) =
            tokio::join!(self.settle(&due.ends, turn), self.deadline.sleep(wait));
        let mut confirmed = 0;
        let mut failed = Vec::new();
        if !turn.left().is_zero() {
            let patience = self.deadline.limit_to(ENOUGH_FOR_ONE);
            (confirmed, failed) = guardrails::tell_due(self.site, &due.guardrails, patience).await;
        }
        grants.extend(self.settle(&due.updates, turn).await);
        Called {
            grants,
            confirmed,
            failed,
        }
    }

    /// Settles grants that are due while the turn goes on.
    async fn settle(
        &self,
        due: &[ItemKey],
        turn: Deadline,
    ) -> Vec<(ItemKey, Result<u32, NotSettled>)> {
        let named = due.iter().filter_map(|key| Some((key, Grant::named(key)?)));
        let settlements = named.map(|(key, (programme, grant))| async move {
            if turn.left().is_zero() {
                return None;
            }
            let now = self.site.clock.now();
            let deadline = self.deadline.limit_to(FOR_ONE);
            let context = ActContext {
                programme: &programme,
                grant: &grant,
                now,
                deadline,
            };
            let settled = self.site.settler().settle(context, |_| true).await;
            if let Err(error) = &settled {
                tracing::warn!(%grant, %error, "a grant is not settled");
            }
            Some((key.clone(), settled))
        });
        iter(settlements.collect::<Vec<_>>())
            .buffer_unordered(SIDE_BY_SIDE)
            .filter_map(std::future::ready)
            .collect()
            .await
    }

    /// Carries on jobs and erasures for some seconds.
    async fn carry_on_jobs(&self, due: &[ItemKey], plan: &mut Option<Plan>) -> Continued {
        let mut continued = Continued::default();
        let until = JobDeadlines::within(self.deadline.limit_to(FOR_ONE));
        for key in due {
            if until.is_time_up() {
                break;
            }
            let reached = match (Erasure::named(key), Job::named(key)) {
                (Some(erasure), _) => {
                    let state = erase::carry_on(self.site, erasure, until).await;
                    state.map(|state| state.into_iter().map(|state| (erasure, state)).collect())
                }
                (None, Some(programme)) => {
                    jobs::of_programme(self.site, &programme, plan, until).await
                }
                (None, None) => Ok(Vec::new()),
            };
            match reached {
                Ok(reached) if !reached.is_empty() => continued.states.extend(reached),
                // Somebody else goes on with it.
                Ok(_) => continued.failed.push(key.clone()),
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "a job is left for the next minute"
                    );
                    continued.failed.push(key.clone());
                }
            }
        }
        continued
    }

    fn note(&mut self, called: Called, continued: Continued) {
        let now = self.site.clock.now();
        let mut answers = 0;
        let mut silences = 0;
        for (key, settled) in called.grants {
            match settled {
                Ok(calls @ 1..) => {
                    answers += 1;
                    self.report.settled += calls;
                }
                // The index may be a moment behind; and what a restored copy is told waits for the
                // sync.
                Ok(0) => _ = self.left_alone.insert(key, now + LEFT_ALONE),
                Err(error) => {
                    self.report.put_off += 1;
                    self.left_alone.insert(key, now + LEFT_ALONE);
                    match error {
                        NotSettled::Provider(error)
                            if error.may_pass() || error.is_of_the_key() =>
                        {
                            silences += usize::from(!error.asks_for_patience());
                            self.alarm = self.alarm.take().or(error.refusal());
                        }
                        // What it says about one key says that it answers.
                        NotSettled::Provider(_) | NotSettled::NotFound => answers += 1,
                        NotSettled::NoTime
                        | NotSettled::NotConfirmed
                        | NotSettled::InDoubt { .. }
                        | NotSettled::NotRead
                        | NotSettled::NoGuardrail
                        | NotSettled::Table(_) => {}
                    }
                }
            }
        }
        self.is_silent |= answers == 0 && silences >= SILENCES;
        self.report.guardrails += called.confirmed;
        self.jobs.extend(continued.states);
        let failed = called.failed.into_iter().chain(continued.failed);
        self.left_alone
            .extend(failed.map(|key| (key, now + LEFT_ALONE)));
    }
}

/// What came of a turn's calls to the provider.
struct Called {
    grants: Vec<(ItemKey, Result<u32, NotSettled>)>,
    /// The guardrails that it confirmed, and those that could not be looked at.
    confirmed: u32,
    failed: Vec<ItemKey>,
}

/// What became of the jobs and erasures that a turn carried on.
#[derive(Default)]
struct Continued {
    states: Vec<(Ulid, &'static str)>,
    /// Those which there is no going on with.
    failed: Vec<ItemKey>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(number: &u32) -> bool {
    *number == 0
}
