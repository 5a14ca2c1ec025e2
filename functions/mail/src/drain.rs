//! Each minute: the rows whose time has come, urgent ones first, then the others as fast as the mail server may be used for them,
//! with a look at what is urgent in between.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::window::utc_date;
use bursar_core::store::items::Queue;
use bursar_core::store::{MailServer, StoreError};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use ulid::Ulid;

use crate::App;
use crate::send::{Became, TIME_FOR_ONE};

/// So many rows are asked for at once.
const AT_ONCE: i32 = 50;
/// So many mails without hurry are sent between two looks at what is urgent: at the usual rate, those of a second.
const BETWEEN_LOOKS: usize = 10;
/// The share of the rate and of the day that mails without hurry may use; the rest is for links and alerts.
const SHARE_OF_RATE: f64 = 0.9;
const TENTHS_OF_DAY: u64 = 8;
/// The mail server is asked how it is so often, also when nothing is to be sent.
const ASKED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// What a drain did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Report {
    sent: u64,
    dropped: u64,
    put_off: u64,
    failed: u64,
    /// What there still is to send, now or later.
    waiting: u64,
    /// Whether mail without hurry is stopped, since too much of it came back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    bulk_stopped: bool,
}

/// How fast mails without hurry may follow one another.
struct Pace {
    every: Duration,
    /// How many may still go today; none where there is no limit.
    left: Option<u64>,
    next: Instant,
}

impl App {
    pub(crate) async fn drain(&self, deadline: Deadline) -> Result<Report> {
        let mut report = Report::default();
        self.drain_urgent(deadline, &mut report).await?;
        let is_owed = !self.due(Queue::BulkMail).await?.is_empty();
        let server = self.mail_server(is_owed, self.clock.now(), deadline).await?;
        if let Some(server) = server.filter(|server| is_owed && server.enabled) {
            self.drain_bulk(Pace::of(&server), deadline, &mut report).await?;
        }
        report.waiting = self.table.waiting_mails().await?;
        Ok(report)
    }

    /// Sends what is urgent until nothing of it is due, or too little time is left.
    async fn drain_urgent(&self, deadline: Deadline, report: &mut Report) -> Result<()> {
        // The index is a moment behind: what was just done may be told of again.
        let mut seen = HashSet::new();
        loop {
            let mut due = self.due(Queue::UrgentMail).await?;
            due.retain(|row| seen.insert(*row));
            if due.is_empty() {
                return Ok(());
            }
            for row in due {
                if !deadline.leaves(TIME_FOR_ONE) {
                    return Ok(());
                }
                self.send_one(row, deadline, report).await?;
            }
        }
    }

    /// Sends the others until nothing of them is due, the pace allows no more, too much came back, or too little time is left. What
    /// has become urgent meanwhile goes first.
    async fn drain_bulk(&self, mut pace: Pace, deadline: Deadline, report: &mut Report) -> Result<()> {
        let mut seen = HashSet::new();
        loop {
            let mut due = self.due(Queue::BulkMail).await?;
            due.retain(|row| seen.insert(*row));
            if due.is_empty() {
                return Ok(());
            }
            for some in due.chunks(BETWEEN_LOOKS) {
                self.drain_urgent(deadline, report).await?;
                let now = self.clock.now();
                report.bulk_stopped = self.judge(utc_date(now), now, deadline).await?;
                if report.bulk_stopped {
                    return Ok(());
                }
                for row in some {
                    if !pace.wait(deadline).await || !deadline.leaves(TIME_FOR_ONE) {
                        return Ok(());
                    }
                    // A server that takes none now would refuse the next too, and each refusal is a try that is used up.
                    if self.send_one(*row, deadline, report).await? == Became::Refused {
                        return Ok(());
                    }
                }
            }
        }
    }

    async fn send_one(&self, row: Ulid, deadline: Deadline, report: &mut Report) -> Result<Became> {
        match self.send_row(row, self.clock.now(), deadline).await {
            Ok(became) => {
                report.count(became);
                Ok(became)
            }
            // One bad row does not keep the others.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%row, %error, "a mail cannot be read");
                Ok(Became::NotOurs)
            }
            Err(error) => Err(error).context("the table failed while a mail was sent"),
        }
    }

    /// What the mail server says of itself, asked if mail without hurry is owed or nobody has asked for an hour, and written down for
    /// the account's page. None when it was not asked, or did not answer.
    async fn mail_server(&self, is_owed: bool, now: Timestamp, deadline: Deadline) -> Result<Option<MailServer>> {
        let known = self.table.mail_server().await?;
        let is_old = known.as_ref().is_none_or(|known| known.as_of + ASKED_EVERY <= now);
        if !is_owed && !is_old {
            return Ok(None);
        }
        let server = match self.ses.told(now).await {
            Ok(server) => server,
            Err(failure) => {
                tracing::warn!(%failure, "nothing but urgent mail is sent while the quota is unknown");
                return Ok(None);
            }
        };
        if !server.enabled {
            tracing::error!(reaches_nobody = true, "the mail server sends nothing for this account");
        }
        let as_known = known.map(|known| MailServer { as_of: now, ..known });
        if is_old || as_known.as_ref() != Some(&server) {
            self.table.note_mail_server(&server, deadline).await?;
        }
        Ok(Some(server))
    }

    async fn due(&self, queue: Queue) -> Result<Vec<Ulid>> {
        Ok(self.table.due_mails(queue, self.clock.now(), AT_ONCE).await?)
    }
}

impl Pace {
    fn of(server: &MailServer) -> Pace {
        // An account that may not send at all is told so by its own refusals.
        let every = Duration::try_from_secs_f64(1.0 / (server.per_second * SHARE_OF_RATE));
        let of_day = |per_day: u64| per_day.saturating_mul(TENTHS_OF_DAY) / 10;
        Pace {
            every: every.unwrap_or(Duration::from_secs(60)),
            left: server.per_day.map(|per_day| of_day(per_day).saturating_sub(server.sent)),
            next: Instant::now(),
        }
    }

    /// Waits for the next turn. False when there is none today, or none before the time is up.
    async fn wait(&mut self, deadline: Deadline) -> bool {
        if let Some(left) = &mut self.left {
            let Some(less) = left.checked_sub(1) else { return false };
            *left = less;
        }
        let pause = deadline.meant(self.next.saturating_duration_since(Instant::now()));
        if !deadline.leaves(pause + TIME_FOR_ONE) {
            return false;
        }
        deadline.sleep(pause).await;
        self.next = Instant::now() + deadline.really(self.every);
        true
    }
}

impl Report {
    fn count(&mut self, became: Became) {
        match became {
            Became::Sent => self.sent += 1,
            Became::Dropped => self.dropped += 1,
            Became::PutOff | Became::Refused => self.put_off += 1,
            Became::Failed => self.failed += 1,
            Became::NotOurs => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mails_without_hurry_use_nine_tenths_of_the_rate_and_eight_of_the_day() {
        let server = MailServer {
            as_of: Timestamp::UNIX_EPOCH,
            per_day: Some(50_000),
            per_second: 14.0,
            sent: 100,
            enabled: true,
        };
        let pace = Pace::of(&server);
        assert_eq!((pace.every.as_millis(), pace.left), (79, Some(39_900)));
        let used_up = MailServer { sent: 40_001, ..server.clone() };
        assert_eq!(Pace::of(&used_up).left, Some(0));
        let without = MailServer { per_day: None, per_second: 0.0, ..server };
        assert_eq!((Pace::of(&without).every, Pace::of(&without).left), (Duration::from_secs(60), None));
    }
}
