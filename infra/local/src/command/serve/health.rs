//! The port for the machine's own monitor: how old what should be young is, what is wrong, and a
//! sync by hand. What in AWS an alarm of the stack tells, the admins are told by mail from here.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use bursar_core::clock::Moment;
use bursar_core::config::FrontSecret;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::store::Table;
use http::StatusCode;
use jiff::SignedDuration;
use serde::Serialize;
use serde_json::json;

use super::problems::{Lines, Problem, Seen, Silence};
use crate::aws::dead_letters::DeadLetters;
use crate::aws::gateway::FRONT;
use crate::aws::schedules::{Runs, Schedules};
use crate::base::clock::StackClock;
use crate::base::function::FunctionName;
use crate::base::lock;

/// How long a look may take: a table that does not answer is a problem too.
pub(super) const PATIENCE: Duration = Duration::from_secs(10);
const BETWEEN_LOOKS: SignedDuration = SignedDuration::from_mins(1);

/// What the answers are read from.
#[derive(Clone)]
pub(super) struct Health {
    pub(super) table: Table,
    pub(super) clock: StackClock,
    pub(super) schedules: Schedules,
    pub(super) dead_letters: DeadLetters,
    pub(super) lines: Arc<Mutex<Lines>>,
}

/// Ages in seconds, each absent until there is one, and what somebody has to look at.
#[derive(Debug, Default, Serialize)]
struct Report {
    drain_s: Option<i64>,
    watch_s: Option<i64>,
    complete_sync_s: Option<i64>,
    oldest_mail_s: Option<i64>,
    dead_letters: usize,
    problems: Vec<&'static str>,
}

/// The routes. Where `front` is given, whoever asks has to bring it.
pub(super) fn router(health: Health, front: Option<FrontSecret>) -> Router {
    let routes = Router::new()
        .route("/health", get(report))
        .route("/sync", post(sync))
        .with_state(health);
    match front {
        Some(front) => routes.layer(from_fn_with_state(front, guard)),
        None => routes,
    }
}

async fn guard(State(front): State<FrontSecret>, request: Request, next: Next) -> Response {
    if request
        .headers()
        .get(FRONT)
        .is_some_and(|secret| front.is(secret.as_bytes()))
    {
        return next.run(request).await;
    }
    (
        StatusCode::FORBIDDEN,
        Json(json!({"error": "X-Bursar-Front is missing or wrong"})),
    )
        .into_response()
}

async fn report(State(health): State<Health>) -> Response {
    let now = health.clock.now();
    let report = match health.look(now).await {
        Ok(seen) => Report::new(&seen, now),
        Err(error) => {
            tracing::error!(
                error = format!("{error:#}"),
                "nobody can say how this machine is"
            );
            Report {
                problems: vec!["What is stored cannot be read."],
                ..Report::default()
            }
        }
    };
    let status = if report.problems.is_empty() {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(report)).into_response()
}

/// Begins a sync, and does not wait for its end.
async fn sync(State(health): State<Health>) -> Response {
    match health.schedules.begin_sync() {
        Ok(true) => (StatusCode::ACCEPTED, Json(json!({}))).into_response(),
        Ok(false) => (StatusCode::CONFLICT, Json(json!({"skipped": "running"}))).into_response(),
        Err(error) => {
            let error = json!({"error": format!("{error:#}")});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(error)).into_response()
        }
    }
}

impl Health {
    /// Tells the admins of what is wrong by mail, once a day.
    pub(super) async fn tell_admins(self) {
        loop {
            self.clock.reaches(self.clock.now() + BETWEEN_LOOKS).await;
            if let Err(error) = self.tell_once().await {
                tracing::warn!(
                    error = format!("{error:#}"),
                    "the admins could not be told how this machine is"
                );
            }
        }
    }

    async fn tell_once(&self) -> Result<()> {
        let now = self.clock.now();
        let deadline = Deadline::after(PATIENCE);
        let seen = self.look(now).await?;
        for Problem { name, sentence, .. } in seen
            .problems(now)
            .into_iter()
            .filter(|problem| problem.is_mailed)
        {
            let cause = Cause::Machine {
                what: name.to_owned(),
                sentence: sentence.to_owned(),
            };
            let admins = self.table.admin_ids(deadline).await?;
            self.table
                .tell(&Alarm::now(cause, now), &admins, now, deadline)
                .await?;
        }
        Ok(())
    }

    async fn look(&self, now: Moment) -> Result<Seen> {
        let look = async {
            let [drain, work, watch, sync] = [
                (FunctionName::Mail, json!({"task": "drain"})),
                (FunctionName::Console, json!({"task": "work"})),
                (FunctionName::ThresholdAlerts, json!({"task": "watch"})),
                (FunctionName::UsageSync, json!({})),
            ]
            .map(|(function, input)| {
                let Runs { since, done, .. } =
                    self.schedules.runs(function, &input).unwrap_or_default();
                Silence { since, last: done }
            });
            anyhow::Ok(Seen {
                drain,
                work,
                watch,
                complete_sync: Silence {
                    last: self.table.sync_state().await?.completed_at,
                    ..sync
                },
                waiting: self.table.waiting(now).await?,
                dead_letters: self
                    .dead_letters
                    .recent(now)?
                    .into_iter()
                    .map(|letter| letter.at)
                    .collect(),
                lines: lock(&self.lines).clone(),
            })
        };
        tokio::time::timeout(PATIENCE, look).await?
    }
}

impl Report {
    fn new(seen: &Seen, now: Moment) -> Report {
        let oldest = seen.waiting.iter().filter_map(|queue| queue.since).min();
        Report {
            drain_s: seen.drain.age(now),
            watch_s: seen.watch.age(now),
            complete_sync_s: seen.complete_sync.age(now),
            oldest_mail_s: oldest.map(|since| now.duration_since(since).as_secs()),
            dead_letters: seen.dead_letters.len(),
            problems: seen
                .problems(now)
                .into_iter()
                .map(|problem| problem.sentence)
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use bursar_core::domain::values::address::EmailAddress;

    use super::*;
    use crate::aws::schedules::SyncEvery;
    use crate::command::stack::{Options, Stack, listen};

    async fn told(health: &Health) -> (StatusCode, serde_json::Value) {
        let answer = report(State(health.clone())).await;
        let status = answer.status();
        let body = axum::body::to_bytes(answer.into_body(), 10_000)
            .await
            .unwrap();
        (status, serde_json::from_slice(&body).unwrap())
    }

    /// Ages are told from the first turn on, what is wrong is mailed once a day, and one sync runs
    /// at a time.
    #[tokio::test]
    async fn a_monitor_and_the_admins_are_told() {
        let admins = vec![EmailAddress::parse("admin@example.edu").unwrap()];
        let begins_at = Some("2026-11-10T09:30:00Z".parse().unwrap());
        let sync_every = SyncEvery::Every(SignedDuration::from_hours(24));
        let options = Options {
            begins_at,
            sync_every,
            ..Options::new(listen(0).await.unwrap(), admins)
        };
        let stack = Stack::start(options).await.unwrap();
        stack.schedules.stop().await;
        let health = Health {
            table: Table::new(&stack.config),
            clock: stack.clock.clone(),
            schedules: stack.schedules.clone(),
            dead_letters: stack.pump.dead_letters().clone(),
            lines: Arc::default(),
        };
        let nothing = json!({"drain_s": null, "watch_s": null, "complete_sync_s": null, "oldest_mail_s": null,
            "dead_letters": 0, "problems": []});
        assert_eq!(told(&health).await, (StatusCode::OK, nothing));
        stack.clock.advance(SignedDuration::from_mins(20)).unwrap();
        let (status, report) = told(&health).await;
        assert_eq!(
            (status, report["problems"].as_array().unwrap().len()),
            (StatusCode::SERVICE_UNAVAILABLE, 2)
        );
        stack
            .schedules
            .advance(SignedDuration::from_mins(60))
            .await
            .unwrap();
        stack.clock.advance(SignedDuration::from_secs(7)).unwrap();
        let (status, report) = told(&health).await;
        assert_eq!(
            (status, &report["drain_s"]),
            (StatusCode::OK, &json!(7)),
            "{report}"
        );

        for _ in 0..3 {
            let answered = json!({"message": "answered", "status": 502, "cause": "provider", "span": {"route": "POST /reveal"}});
            super::super::problems::note(
                &mut lock(&health.lines),
                &answered.to_string(),
                stack.clock.now(),
            );
            health.tell_once().await.unwrap();
        }
        stack
            .settle
            .settle(crate::command::settle::LIMIT)
            .await
            .unwrap();
        let mails = stack.ses.mails_to("admin@example.edu");
        let mails: Vec<_> = mails
            .iter()
            .map(|mail| crate::aws::inbox::Contents::parse(&mail.raw).subject)
            .collect();
        assert_eq!(
            mails,
            ["Within a quarter of an hour three students pressed for a key and got none"]
        );

        // A process that was killed held the lease of a sync. Whoever finds the folder unlocked
        // ends it.
        let until = stack.clock.now() + SignedDuration::from_mins(15);
        let deadline = Deadline::after(PATIENCE);
        let held = health
            .table
            .acquire("sync", "another", stack.clock.now(), until, deadline)
            .await
            .unwrap();
        assert!(held.is_some());
        super::super::end_leases(&health.table).await.unwrap();
        let taken = health
            .table
            .acquire("sync", "this one", stack.clock.now(), until, deadline)
            .await
            .unwrap();
        health
            .table
            .release_lease(&taken.unwrap(), deadline)
            .await
            .unwrap();
        assert!(health.schedules.begin_sync().unwrap());
        assert!(!health.schedules.begin_sync().unwrap(), "one runs");
        stack.stop().await.unwrap();
    }
}
