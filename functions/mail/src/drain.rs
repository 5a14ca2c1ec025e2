//! Each minute: the rows whose time has come, urgent ones first, then the others as fast as the mail server may be used for them.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::store::StoreError;
use bursar_core::store::items::Queue;
use serde::Serialize;
use ulid::Ulid;

use crate::App;
use crate::send::{Became, TIME_FOR_ONE};
use crate::ses::Quota;

/// So many rows are asked for at once.
const AT_ONCE: i32 = 50;

/// What a drain did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    sent: u64,
    dropped: u64,
    put_off: u64,
    failed: u64,
    /// What there still is to send, now or later.
    waiting: u64,
}

/// How fast mails without hurry may follow one another.
struct Pace {
    every: Duration,
    left: Option<f64>,
    next: Instant,
}

impl App {
    pub(crate) async fn drain(&self, deadline: Deadline) -> Result<Report> {
        let mut report = Report::default();
        self.drain_queue(Queue::UrgentMail, None, deadline, &mut report).await?;
        if !self.due(Queue::BulkMail).await?.is_empty() {
            match self.ses.quota().await {
                Ok(quota) => self.drain_queue(Queue::BulkMail, Some(Pace::of(quota)), deadline, &mut report).await?,
                Err(failure) => tracing::warn!(%failure, "nothing but urgent mail is sent while the quota is unknown"),
            }
        }
        report.waiting = self.table.waiting_mails().await?;
        Ok(report)
    }

    /// Sends until nothing is due, the pace allows no more, or too little time is left.
    async fn drain_queue(
        &self,
        queue: Queue,
        mut pace: Option<Pace>,
        deadline: Deadline,
        report: &mut Report,
    ) -> Result<()> {
        // The index is a moment behind: what was just done may be told of again.
        let mut seen = HashSet::new();
        loop {
            let mut due = self.due(queue).await?;
            due.retain(|row| seen.insert(*row));
            if due.is_empty() {
                return Ok(());
            }
            for row in due {
                let may_go = match &mut pace {
                    Some(pace) => pace.wait(deadline).await,
                    None => true,
                };
                if !may_go || !deadline.leaves(TIME_FOR_ONE) {
                    return Ok(());
                }
                match self.send_row(row, self.clock.now(), deadline).await {
                    Ok(became) => report.count(became),
                    // One bad row does not keep the others.
                    Err(error @ StoreError::Corrupt { .. }) => tracing::error!(%row, %error, "a mail cannot be read"),
                    Err(error) => return Err(error).context("the table failed while a mail was sent"),
                }
            }
        }
    }

    async fn due(&self, queue: Queue) -> Result<Vec<Ulid>> {
        Ok(self.table.due_mails(queue, self.clock.now(), AT_ONCE).await?)
    }
}

impl Pace {
    fn of(quota: Quota) -> Pace {
        // An account that may not send at all is told so by its own refusals.
        let every = Duration::try_from_secs_f64(1.0 / quota.rate).unwrap_or(Duration::from_secs(60));
        Pace { every, left: quota.left_today, next: Instant::now() }
    }

    /// Waits for the next turn. False when there is none today, or none before the time is up.
    async fn wait(&mut self, deadline: Deadline) -> bool {
        if let Some(left) = &mut self.left {
            *left -= 1.0;
            if *left < 0.0 {
                return false;
            }
        }
        let pause = self.next.saturating_duration_since(Instant::now());
        if !deadline.leaves(pause + TIME_FOR_ONE) {
            return false;
        }
        tokio::time::sleep(pause).await;
        self.next = Instant::now() + self.every;
        true
    }
}

impl Report {
    fn count(&mut self, became: Became) {
        match became {
            Became::Sent => self.sent += 1,
            Became::Dropped => self.dropped += 1,
            Became::PutOff => self.put_off += 1,
            Became::Failed => self.failed += 1,
            Became::NotOurs => {}
        }
    }
}
