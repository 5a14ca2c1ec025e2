//! Each minute: the rows whose time has come, urgent ones first, then the others as fast as the mail server may be used for them,
//! with a look at what is urgent in between.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::class::MailClass;
use bursar_core::domain::mail::failure::{NOT_VERIFIED, PAUSED, QUOTA_UNREAD};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::MailServer;
use futures_util::stream::{FuturesUnordered, StreamExt};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use ulid::Ulid;

use super::row::{RowOutcome, TIME_FOR_ONE};
use crate::App;

/// No mail is begun later in a turn than this: the next turn comes each minute, and two at once would be twice as fast.
const TURN: Duration = Duration::from_secs(57);
/// So many rows are asked for at once.
const AT_ONCE: i32 = 50;
/// So many mails without hurry are sent between two looks at what is urgent: at the usual rate, those of a second.
const BETWEEN_LOOKS: usize = 10;
/// As many of them are under way at once as leave in this time, within these bounds: one takes some answers of the table, and one of
/// the mail server.
const ONE_TAKES: Duration = Duration::from_millis(500);
const LEAST_SIDE_BY_SIDE: usize = 4;
const MOST_SIDE_BY_SIDE: usize = 32;
/// With so many that a sandbox does not reach, a turn is over.
const NOT_VERIFIED_AT_MOST: usize = 10;
/// The share of the rate and of the day that mails without hurry may use; the rest is for links and alerts.
const SHARE_OF_RATE: f64 = 0.9;
const TENTHS_OF_DAY: u64 = 8;
/// The mail server is asked how it is so often, also when nothing is to be sent.
const ASKED_EVERY: SignedDuration = SignedDuration::from_hours(1);

/// What a drain did.
#[derive(Debug, Default, Serialize)]
pub(crate) struct DrainReport {
    sent: u64,
    dropped: u64,
    put_off: u64,
    failed: u64,
    /// What there still is to send, now or later.
    waiting: u64,
    /// Whether the mail server took one of them from nobody now.
    #[serde(skip)]
    refused: bool,
    /// What is stopped, since too much of it came back.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stopped: Vec<MailKind>,
}

/// How fast mails without hurry may follow one another.
struct DrainPace {
    every: Duration,
    side_by_side: usize,
    /// How many may still go today; none where there is no limit.
    left: Option<u64>,
    next: Instant,
}

impl App {
    pub(crate) async fn drain(&self, deadline: Deadline) -> Result<DrainReport> {
        let deadline = deadline.at_most(TURN + TIME_FOR_ONE);
        let mut report = DrainReport::default();
        let takes_more = self.drain_urgent(deadline, &mut report).await?;
        let is_owed = !self.next_bulk(&mut HashSet::new(), deadline, &mut report).await?.is_empty();
        let server = self.mail_server(is_owed, self.clock.now(), deadline).await?;
        if let Some(server) = server.filter(|server| takes_more && is_owed && server.enabled) {
            self.drain_bulk(DrainPace::of(&server), deadline, &mut report).await?;
        }
        if report.sent > 0 && !report.refused {
            self.table.end_mail_refusals(self.clock.now(), deadline).await?;
        }
        report.waiting = self.table.waiting().await?.iter().map(|class| class.mails).sum();
        // An alarm of the stack listens for this line: the stream wakes the function too.
        tracing::info!(
            drained = true,
            sent = report.sent,
            waiting = report.waiting,
            "a turn of the drain came to its end"
        );
        Ok(report)
    }

    /// Sends what is urgent until nothing of it is due, the mail server takes none, or too little time is left. Whether it takes more.
    async fn drain_urgent(&self, deadline: Deadline, report: &mut DrainReport) -> Result<bool> {
        // The index is a moment behind: what was just done may be told of again.
        let mut seen = HashSet::new();
        loop {
            let due = self.due(MailClass::Urgent, usize::MAX, &mut seen).await?;
            if due.is_empty() {
                return Ok(true);
            }
            for row in due {
                let has_time = deadline.leaves(TIME_FOR_ONE);
                if !has_time || report.count(self.send_one(row, deadline).await?) == RowOutcome::NotNow {
                    return Ok(false);
                }
            }
        }
    }

    /// Sends the others until nothing of them is due, the pace or the mail server allows no more, too much came back, or too little
    /// time is left. What has become urgent meanwhile goes first. What is under way in the end, or when something fails, is waited for:
    /// a mail whose answer nobody hears is sent again.
    async fn drain_bulk(&self, mut pace: DrainPace, deadline: Deadline, report: &mut DrainReport) -> Result<()> {
        let (mut seen, mut next) = (HashSet::new(), VecDeque::new());
        let (mut under_way, goes_on) = (FuturesUnordered::new(), &AtomicBool::new(true));
        let (mut is_there_more, mut not_verified, mut failed) = (true, 0, None);
        loop {
            while is_there_more && goes_on.load(Relaxed) && under_way.len() < pace.side_by_side {
                if next.is_empty() {
                    match self.look_for_more(&mut seen, deadline, report).await {
                        Ok(more) => next.extend(more),
                        Err(error) => failed = failed.or(Some(error)),
                    }
                }
                let Some((row, pause)) = next.pop_front().and_then(|row| Some((row, pace.turn(deadline)?))) else {
                    is_there_more = false;
                    break;
                };
                under_way.push(async move {
                    deadline.sleep(pause).await;
                    match goes_on.load(Relaxed) {
                        true => self.send_one(row, deadline).await,
                        false => Ok(RowOutcome::NotOurs),
                    }
                });
            }
            let Some(became) = under_way.next().await else { break };
            match became.map(|became| report.count(became)) {
                // It would refuse the next too.
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

    /// Sends what is urgent, and says what is next of the rest: nothing where the mail server does not even take what is urgent.
    async fn look_for_more(
        &self,
        seen: &mut HashSet<Ulid>,
        deadline: Deadline,
        report: &mut DrainReport,
    ) -> Result<Vec<Ulid>> {
        match self.drain_urgent(deadline, report).await? {
            true => self.next_bulk(seen, deadline, report).await,
            false => Ok(Vec::new()),
        }
    }

    /// The next of what is not urgent, not stopped and was not seen, what goes first first.
    async fn next_bulk(
        &self,
        seen: &mut HashSet<Ulid>,
        deadline: Deadline,
        report: &mut DrainReport,
    ) -> Result<Vec<Ulid>> {
        let now = self.clock.now();
        for class in MailClass::ALL.into_iter().filter(|class| *class != MailClass::Urgent) {
            if class.stops_with().is_some_and(|kind| report.stopped.contains(&kind)) {
                continue;
            }
            let due = self.due(class, BETWEEN_LOOKS, seen).await?;
            let kind = class.stops_with().filter(|_| !due.is_empty());
            match kind {
                Some(kind) if self.judge(kind, utc_date(now), now, deadline).await? => report.stopped.push(kind),
                _ if due.is_empty() => {}
                _ => return Ok(due),
            }
        }
        Ok(Vec::new())
    }

    async fn send_one(&self, row: Ulid, deadline: Deadline) -> Result<RowOutcome> {
        self.send_row(row, self.clock.now(), deadline).await.context("the table failed while a mail was sent")
    }

    /// What the mail server says of itself, asked if mail without hurry is owed or nobody has asked for an hour, and written down for
    /// the account's page. None when it was not asked, or did not answer.
    async fn mail_server(&self, is_owed: bool, now: Timestamp, deadline: Deadline) -> Result<Option<MailServer>> {
        let known = self.table.mail_server().await?;
        let is_old = known.as_ref().is_none_or(|known| known.as_of + ASKED_EVERY <= now);
        if !is_owed && !is_old {
            return Ok(None);
        }
        let server = match self.ses.mail_server(now).await {
            Ok(server) => server,
            Err(failure) => {
                tracing::warn!(%failure, "nothing but urgent mail is sent while the quota is unknown");
                self.note_refusal(QUOTA_UNREAD, false, now, deadline).await?;
                return Ok(None);
            }
        };
        self.table.end_mail_refusal(QUOTA_UNREAD, now, deadline).await?;
        if !server.enabled {
            self.note_refusal(PAUSED, true, now, deadline).await?;
        }
        if !server.is_sandbox() {
            self.table.end_mail_refusal(NOT_VERIFIED, now, deadline).await?;
        }
        let as_known = known.map(|known| MailServer { as_of: now, ..known });
        if is_old || as_known.as_ref() != Some(&server) {
            self.table.note_mail_server(&server, deadline).await?;
        }
        Ok(Some(server))
    }

    /// Some rows whose time has come and that were not seen before.
    async fn due(&self, class: MailClass, most: usize, seen: &mut HashSet<Ulid>) -> Result<Vec<Ulid>> {
        let due = self.table.due_mails(class, self.clock.now(), AT_ONCE).await?;
        let new: Vec<Ulid> = due.into_iter().filter(|row| !seen.contains(row)).take(most).collect();
        seen.extend(&new);
        Ok(new)
    }
}

impl DrainPace {
    fn of(server: &MailServer) -> DrainPace {
        // A rate of nothing is no rate: one mail a minute finds out.
        let every = Duration::try_from_secs_f64(1.0 / (server.per_second * SHARE_OF_RATE));
        let every = every.unwrap_or(Duration::from_secs(60));
        let in_that_time = ONE_TAKES.as_nanos().checked_div(every.as_nanos());
        let side_by_side = in_that_time.and_then(|count| usize::try_from(count).ok()).unwrap_or(MOST_SIDE_BY_SIDE);
        let of_day = |per_day: u64| per_day.saturating_mul(TENTHS_OF_DAY) / 10;
        DrainPace {
            every,
            side_by_side: side_by_side.clamp(LEAST_SIDE_BY_SIDE, MOST_SIDE_BY_SIDE),
            left: server.per_day.map(|per_day| of_day(per_day).saturating_sub(server.sent)),
            next: Instant::now(),
        }
    }

    /// How long it is to the next turn. None when there is none today, or none before the time is up.
    fn turn(&mut self, deadline: Deadline) -> Option<Duration> {
        let left = self.left.map_or(Some(None), |left| left.checked_sub(1).map(Some))?;
        let now = Instant::now();
        let at = self.next.max(now);
        let pause = deadline.meant(at - now);
        if !deadline.leaves(pause + TIME_FOR_ONE) {
            return None;
        }
        (self.left, self.next) = (left, at + deadline.really(self.every));
        Some(pause)
    }
}

impl DrainReport {
    fn count(&mut self, became: RowOutcome) -> RowOutcome {
        self.refused |= became == RowOutcome::NotNow;
        match became {
            RowOutcome::Sent => self.sent += 1,
            RowOutcome::Dropped => self.dropped += 1,
            RowOutcome::PutOff | RowOutcome::NotNow | RowOutcome::NotAnswered | RowOutcome::NotVerified => {
                self.put_off += 1
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

    #[test]
    fn mails_without_hurry_use_nine_tenths_of_the_rate_and_eight_of_the_day() {
        let server = MailServer {
            as_of: Timestamp::UNIX_EPOCH,
            per_day: Some(50_000),
            per_second: 14.0,
            sent: 100,
            enabled: true,
        };
        let pace = DrainPace::of(&server);
        assert_eq!((pace.every.as_millis(), pace.left), (79, Some(39_900)));
        let used_up = MailServer { sent: 40_001, ..server.clone() };
        assert_eq!(DrainPace::of(&used_up).left, Some(0));
        let without = MailServer { per_day: None, per_second: 0.0, ..server };
        assert_eq!((DrainPace::of(&without).every, DrainPace::of(&without).left), (Duration::from_secs(60), None));
    }
}
