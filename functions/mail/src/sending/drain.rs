//! The drain of each minute: due rows, urgent ones first, then bulk mail as fast as the mail server
//! allows, with urgent rows in between.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::{NOT_VERIFIED, PAUSED, QUOTA_UNREAD};
use bursar_core::domain::mail::kind::MailClass;
use bursar_core::schema::Queue;
use bursar_core::store::MailServer;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::SignedDuration;
use serde::Serialize;
use ulid::Ulid;

use super::row::{RowOutcome, TIME_FOR_ONE};
use crate::App;

/// The latest time in a turn at which a mail is begun. Turns start each minute, and two at once
/// would double the rate.
const TURN: Duration = Duration::from_secs(57);
const AT_ONCE: i32 = 50;
/// The number of bulk mails between two looks for urgent ones: about a second's worth at the usual
/// rate.
const BETWEEN_LOOKS: usize = 10;
/// The time that one mail takes: some answers of the table, and one of the mail server. As many are
/// under way at once as the rate allows to start in it, within these bounds.
const ONE_TAKES: Duration = Duration::from_millis(500);
const LEAST_SIDE_BY_SIDE: usize = 4;
const MOST_SIDE_BY_SIDE: usize = 32;
/// The number of addresses refused by the sandbox that ends a turn.
const NOT_VERIFIED_AT_MOST: usize = 10;
/// The share of the sending rate that bulk mail may use; the rest is for links and alerts.
const SHARE_OF_RATE: f64 = 0.9;
/// The tenths of the day's quota that bulk mail may use; the rest is for links and alerts.
const TENTHS_OF_DAY: u64 = 8;
/// The interval at which the mail server is asked for its quota even when nothing is to be sent.
const ASKED_EVERY: SignedDuration = SignedDuration::from_hours(1);

#[derive(Debug, Default, Serialize)]
pub(crate) struct DrainReport {
    sent: u64,
    dropped: u64,
    put_off: u64,
    failed: u64,
    /// The number of mails still to be sent, now or later.
    waiting: u64,
    /// Whether the mail server refused one of them because of the account.
    #[serde(skip)]
    refused: bool,
    /// Whether bulk mail waits to the end of the day.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
}

struct DrainPace {
    every: Duration,
    side_by_side: usize,
    /// The number of mails that may still go today; `None` without a limit.
    quota_left: Option<u64>,
    next: Instant,
}

impl App {
    pub(crate) async fn drain(&self, deadline: Deadline) -> Result<DrainReport> {
        let deadline = deadline.limit_to(TURN + TIME_FOR_ONE);
        let mut report = DrainReport::default();
        let takes_more = self.drain_urgent(deadline, &mut report).await?;
        let now = self.clock.now();
        let stored = self.table.get(MailServer::key_of()).await?;
        report.stopped = is_stopped(stored.as_ref(), now);
        let has_bulk = !self
            .next_bulk(&mut HashSet::new(), report.stopped)
            .await?
            .is_empty();
        let server = self.mail_server(stored, has_bulk, now, deadline).await?;
        report.stopped |= is_stopped(server.as_ref(), now);
        if let Some(server) = server.filter(|server| takes_more && has_bulk && server.enabled) {
            self.drain_bulk(DrainPace::new(&server), deadline, &mut report)
                .await?;
        }
        if report.sent > 0 && !report.refused {
            self.table
                .end_mail_refusals(self.clock.now(), deadline)
                .await?;
        }
        report.waiting = self
            .table
            .waiting(self.clock.now())
            .await?
            .iter()
            .map(|class| class.mails)
            .sum();
        // An alarm of the stack watches for this line, because an invocation by the stream does not
        // show that the drain runs.
        tracing::info!(
            drained = true,
            sent = report.sent,
            waiting = report.waiting,
            "a turn of the drain came to its end"
        );
        Ok(report)
    }

    /// Sends urgent mail until none is due, the mail server refuses, or the time is up. Returns
    /// whether more mail can be sent.
    async fn drain_urgent(&self, deadline: Deadline, report: &mut DrainReport) -> Result<bool> {
        // The index is eventually consistent, and may list a row that was just sent.
        let mut seen = HashSet::new();
        loop {
            let due = self
                .due(MailClass::Urgent.queue(), usize::MAX, &mut seen)
                .await?;
            if due.is_empty() {
                return Ok(true);
            }
            for row in due {
                let has_time = deadline.leaves(TIME_FOR_ONE);
                if !has_time
                    || report.count(self.send_one(row, deadline).await?) == RowOutcome::NotNow
                {
                    return Ok(false);
                }
            }
        }
    }

    /// Sends bulk mail until none is due, a limit is reached, too much was returned, or the time is
    /// up. Mail that became urgent meanwhile goes first. Sends under way are awaited even after a
    /// failure: a mail whose answer is lost is sent again.
    async fn drain_bulk(
        &self,
        mut pace: DrainPace,
        deadline: Deadline,
        report: &mut DrainReport,
    ) -> Result<()> {
        let mut seen = HashSet::new();
        let mut next = VecDeque::new();
        let goes_on = &AtomicBool::new(true);
        let mut under_way = FuturesUnordered::new();
        let mut is_there_more = true;
        let mut not_verified = 0;
        let mut failed = None;
        loop {
            while is_there_more && goes_on.load(Relaxed) && under_way.len() < pace.side_by_side {
                if next.is_empty() {
                    // If the mail server refuses even urgent mail, nothing is next.
                    let rows = match self.drain_urgent(deadline, report).await {
                        Ok(true) => self.next_bulk(&mut seen, report.stopped).await,
                        refused => refused.map(|_| Vec::new()),
                    };
                    match rows {
                        Ok(rows) => next.extend(rows),
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
                let Some((row, pause)) = next
                    .pop_front()
                    .and_then(|row| Some((row, pace.turn(deadline)?)))
                else {
                    is_there_more = false;
                    break;
                };
                under_way.push(async move {
                    deadline.sleep(pause).await;
                    if goes_on.load(Relaxed) {
                        self.send_one(row, deadline).await
                    } else {
                        Ok(RowOutcome::NotOurs)
                    }
                });
            }
            let Some(became) = under_way.next().await else {
                break;
            };
            match became.map(|became| report.count(became)) {
                // It would refuse the next one too.
                Ok(RowOutcome::NotNow | RowOutcome::NotAnswered) => goes_on.store(false, Relaxed),
                Ok(RowOutcome::NotVerified) => not_verified += 1,
                Ok(_) => {}
                Err(error) => failed = failed.or(Some(error)),
            }
            if failed.is_some() || not_verified >= NOT_VERIFIED_AT_MOST {
                goes_on.store(false, Relaxed);
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// The next unseen rows of mail that is not urgent, in the order of the classes, and last the
    /// planned ones that are to be looked at. Where bulk mail is stopped, only those that were sent
    /// by hand.
    async fn next_bulk(&self, seen: &mut HashSet<Ulid>, is_stopped: bool) -> Result<Vec<Ulid>> {
        for class in MailClass::ALL {
            if class == MailClass::Urgent || is_stopped && class.is_bulk() {
                continue;
            }
            let due = self.due(class.queue(), BETWEEN_LOOKS, seen).await?;
            if !due.is_empty() {
                return Ok(due);
            }
        }
        if is_stopped {
            Ok(Vec::new())
        } else {
            self.due(Queue::PLANNED_MAIL, BETWEEN_LOOKS, seen).await
        }
    }

    async fn send_one(&self, row: Ulid, deadline: Deadline) -> Result<RowOutcome> {
        self.send_row(row, self.clock.now(), deadline)
            .await
            .context("the table failed while a mail was sent")
    }

    /// The mail server's quota and figures. It is asked for them if bulk mail is due or the last
    /// answer is an hour old, and they are kept for the account's page. `None` when it was not
    /// asked, or did not answer.
    async fn mail_server(
        &self,
        stored: Option<MailServer>,
        has_bulk: bool,
        now: Moment,
        deadline: Deadline,
    ) -> Result<Option<MailServer>> {
        let is_old = stored
            .as_ref()
            .is_none_or(|stored| stored.as_of + ASKED_EVERY <= now);
        if !has_bulk && !is_old {
            return Ok(None);
        }
        let mut server = match self.ses.mail_server(now, stored.as_ref()).await {
            Ok(server) => server,
            Err(failure) => {
                tracing::warn!(%failure, "nothing but urgent mail is sent while the quota is unknown");
                self.note_refusal(QUOTA_UNREAD, false, now, deadline)
                    .await?;
                return Ok(None);
            }
        };
        self.table
            .end_mail_refusal(QUOTA_UNREAD, now, deadline)
            .await?;
        if !server.enabled {
            self.note_refusal(PAUSED, true, now, deadline).await?;
        }
        if !server.is_sandbox() {
            self.table
                .end_mail_refusal(NOT_VERIFIED, now, deadline)
                .await?;
        }
        if server.may_be_asked(now) {
            self.ask_for_figures(&mut server, now, deadline).await?;
        }
        let as_known = stored.map(|stored| MailServer {
            as_of: now,
            ..stored
        });
        if is_old || as_known.as_ref() != Some(&server) {
            self.table.note_mail_server(&server, deadline).await?;
        }
        Ok(Some(server))
    }

    /// Asks the mail server how much of the day's mail came back. Where that is too much, bulk mail
    /// stops to the end of the UTC day, and the admins hear of it. Without an answer mail goes on.
    async fn ask_for_figures(
        &self,
        server: &mut MailServer,
        now: Moment,
        deadline: Deadline,
    ) -> Result<()> {
        let was_answered = server.asked_at == server.figures.map(|figures| figures.as_of);
        server.asked_at = Some(now);
        match self.ses.figures(now).await {
            Ok(figures) => server.figures = Some(figures),
            // Said once, however long it lasts.
            Err(failure) if was_answered => {
                tracing::warn!(%failure, "SES does not say how much mail came back; mail goes on");
            }
            Err(_) => {}
        }
        let figures = server
            .today(now)
            .filter(|figures| figures.as_of == now && figures.is_above());
        if let Some(figures) = figures.filter(|_| server.stopped(now).is_none()) {
            tracing::error!(
                ?figures,
                "so much mail came back that bulk mail waits for the next day"
            );
            // The notice comes first: if this invocation dies after it, the next one does both.
            self.table
                .tell_admins(
                    &Alarm::now(Cause::BulkStopped { figures }, now),
                    now,
                    deadline,
                )
                .await?;
            server.stop = Some(figures);
        }
        Ok(())
    }

    /// Due rows of a queue that were not seen before.
    async fn due(&self, queue: Queue, most: usize, seen: &mut HashSet<Ulid>) -> Result<Vec<Ulid>> {
        let due = self
            .table
            .due_mails(queue, self.clock.now(), AT_ONCE)
            .await?;
        let new: Vec<Ulid> = due
            .into_iter()
            .filter(|row| !seen.contains(row))
            .take(most)
            .collect();
        seen.extend(&new);
        Ok(new)
    }
}

fn is_stopped(server: Option<&MailServer>, now: Moment) -> bool {
    server.is_some_and(|server| server.stopped(now).is_some())
}

impl DrainPace {
    fn new(server: &MailServer) -> DrainPace {
        // A rate of zero is taken for one mail a minute, which shows whether mail is accepted.
        let every = Duration::try_from_secs_f64(1.0 / (server.per_second * SHARE_OF_RATE));
        let every = every.unwrap_or(Duration::from_secs(60));
        let in_that_time = ONE_TAKES.as_nanos().checked_div(every.as_nanos());
        let side_by_side = in_that_time
            .and_then(|count| usize::try_from(count).ok())
            .unwrap_or(MOST_SIDE_BY_SIDE);
        let share_of_day = server
            .per_day
            .map(|per_day| per_day.saturating_mul(TENTHS_OF_DAY) / 10);
        DrainPace {
            every,
            side_by_side: side_by_side.clamp(LEAST_SIDE_BY_SIDE, MOST_SIDE_BY_SIDE),
            quota_left: share_of_day.map(|share| share.saturating_sub(server.sent)),
            next: Instant::now(),
        }
    }

    /// The pause before the next mail. `None` when the day's share is used up or the time would be.
    fn turn(&mut self, deadline: Deadline) -> Option<Duration> {
        let quota_left = self
            .quota_left
            .map_or(Some(None), |count| count.checked_sub(1).map(Some))?;
        let now = Instant::now();
        let starts_at = self.next.max(now);
        let pause = deadline.to_nominal(starts_at - now);
        if !deadline.leaves(pause + TIME_FOR_ONE) {
            return None;
        }
        (self.quota_left, self.next) = (quota_left, starts_at + deadline.really(self.every));
        Some(pause)
    }
}

impl DrainReport {
    fn count(&mut self, became: RowOutcome) -> RowOutcome {
        self.refused |= became == RowOutcome::NotNow;
        match became {
            RowOutcome::Sent => self.sent += 1,
            RowOutcome::Dropped => self.dropped += 1,
            RowOutcome::PutOff
            | RowOutcome::NotNow
            | RowOutcome::NotAnswered
            | RowOutcome::NotVerified => {
                self.put_off += 1;
            }
            RowOutcome::Failed => self.failed += 1,
            RowOutcome::NotOurs => {}
        }
        became
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Mail that is not urgent uses nine tenths of the rate and eight tenths of the daily quota.
    #[test]
    fn bulk_mail_leaves_some_quota() {
        let as_of = Moment::UNIX_EPOCH;
        let asked_at = None;
        let figures = None;
        let stop = None;
        let limits = (Some(50_000), 14.0);
        let server = MailServer {
            as_of,
            per_day: limits.0,
            per_second: limits.1,
            sent: 100,
            enabled: true,
            asked_at,
            figures,
            stop,
            version: 0,
        };
        let pace = DrainPace::new(&server);
        assert_eq!(
            (pace.every.as_millis(), pace.quota_left),
            (79, Some(39_900))
        );
        let used_up = MailServer {
            sent: 40_001,
            ..server.clone()
        };
        assert_eq!(DrainPace::new(&used_up).quota_left, Some(0));
        let without = MailServer {
            per_day: None,
            per_second: 0.0,
            ..server
        };
        assert_eq!(
            (
                DrainPace::new(&without).every,
                DrainPace::new(&without).quota_left
            ),
            (Duration::from_secs(60), None)
        );
    }
}
