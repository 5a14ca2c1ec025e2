//! What is done about what was found. Each act is decided anew on the grant as it is now, so a finding that is not so any more, or
//! was seen to by somebody else, comes to nothing; and each may be done twice.

use std::collections::VecDeque;

use anyhow::{Context, Result, bail};
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Attempt, Found, GRACE, Listed, Order, OrderKind, State, View};
use bursar_core::domain::id::Epoch;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::reading::Doubtful;
use bursar_core::orders::{ENOUGH_FOR_ONE, NotCarriedOut, Orders};
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::ASSIGNED_AT_ONCE;
use bursar_core::provider::key::Key;
use bursar_core::provider::keys::Found as Answered;
use bursar_core::store::{At, MissingKey, Noted, Outcome};
use futures_util::StreamExt;
use jiff::{SignedDuration, Timestamp};

use crate::came::{Came, Late};
use crate::look::{Finding, What, read};
use crate::obstacle::{Obstacle, provider_error};
use crate::progress::Progress;
use crate::row::{Row, Terms};
use crate::run::{Run, Step};

/// So many findings are seen to side by side; then this must still be the one runner.
pub(crate) const SIDE_BY_SIDE: usize = 8;
/// Only what the provider says twice, so long apart, means that a key is gone.
const SURELY_GONE: SignedDuration = SignedDuration::from_hours(1);

impl Run<'_> {
    /// Sees to every finding that the guard lets through.
    pub(crate) async fn act(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        if !progress.is_guarded {
            self.hold_back(progress).await?;
            progress.bound_purges();
            // One request puts many keys under a guardrail.
            progress.findings.make_contiguous().sort_by_key(Finding::is_restriction);
            progress.is_guarded = true;
        }
        let mut obstacle = None;
        while progress.key_refused.is_none() {
            if progress.findings.is_empty() {
                // What something was in the way of is seen to once more: later, if it was just now.
                progress.findings = std::mem::take(&mut progress.put_back);
                if let Some(obstacle) = obstacle {
                    return Ok(Step::Blocked(obstacle));
                }
                if progress.findings.is_empty() {
                    break;
                }
            }
            if !self.has_time(deadline) {
                return Ok(Step::TimeIsUp);
            }
            self.stay().await?;
            let batch = next_batch(&mut progress.findings);
            let ended = self.see_to_all(&batch, progress, deadline).await;
            // Where nothing at all comes through, the rest waits too.
            if ended.iter().all(Result::is_err) {
                progress.put_back.append(&mut progress.findings);
            }
            for (finding, came) in batch.into_iter().zip(ended) {
                match came {
                    Ok(came) => {
                        if came.is_settled() {
                            progress.settle(&finding);
                        }
                        progress.note(finding.programme, came);
                    }
                    Err(met) => {
                        progress.put_back.push_back(finding);
                        obstacle = Some(met);
                    }
                }
            }
            // What could not be done for want of time is no obstacle.
            if obstacle.is_some() && !self.until(deadline).leaves(ENOUGH_FOR_ONE) {
                return Ok(Step::TimeIsUp);
            }
        }
        Ok(Step::Done)
    }

    /// An error is what is in the way and may pass.
    async fn see_to_all(
        &self,
        batch: &[Finding],
        progress: &Progress,
        deadline: Deadline,
    ) -> Vec<Result<Came, Obstacle>> {
        if batch.len() > 1 && batch.iter().all(Finding::is_restriction) {
            match Box::pin(self.restrict_all(batch, deadline)).await {
                Ok(came) => return came.into_iter().map(Ok).collect(),
                Err(error) => {
                    if let Some(obstacle) = self.obstacle_in(&error) {
                        return batch.iter().map(|_| Err(obstacle.clone())).collect();
                    }
                    // One of them may be what the provider does not take: one by one, that shows.
                    tracing::warn!(
                        keys = batch.len(),
                        error = format!("{error:#}"),
                        "not put under a guardrail together"
                    );
                }
            }
        }
        let acts: Vec<_> = batch.iter().map(|finding| Box::pin(self.see_to(finding, progress, deadline))).collect();
        futures_util::stream::iter(acts).buffered(SIDE_BY_SIDE).collect().await
    }

    async fn see_to(&self, finding: &Finding, progress: &Progress, deadline: Deadline) -> Result<Came, Obstacle> {
        let error = match Box::pin(self.try_to(finding, progress, deadline)).await {
            Ok(came) => return Ok(came),
            Err(error) => error,
        };
        if let Some(obstacle) = self.obstacle_in(&error) {
            return Err(obstacle);
        }
        let mut told = format!("{}: {error:#}", finding.told());
        if let Err(error) = self.looked_in_vain(finding, progress, deadline).await {
            told = format!("{told}; and that it was not read could not be remembered: {error:#}");
        }
        let refusal = provider_error(&error).and_then(ProviderError::refusal);
        Ok(refusal.map_or(Came::Undone(told.clone()), |cause| Came::Refused { cause, told }))
    }

    /// A key that was looked for and not read is known for no longer than before.
    async fn looked_in_vain(&self, finding: &Finding, progress: &Progress, deadline: Deadline) -> Result<()> {
        let (What::NotListed { epoch, .. } | What::LiveIsDisabled { epoch, .. }) = &finding.what else { return Ok(()) };
        let programme = self.programmes.get(usize::from(finding.programme)).context("a programme is gone")?;
        if let Some(looked_at) = progress.looked_at {
            let of = (&programme.id, &finding.grant, *epoch);
            self.table.looked_in_vain(of, looked_at, self.until(deadline)).await?;
        }
        Ok(())
    }

    async fn try_to(&self, finding: &Finding, progress: &Progress, deadline: Deadline) -> Result<Came> {
        let programme = self.programmes.get(usize::from(finding.programme)).context("a programme is gone")?;
        // What it rests on is read again by whoever asks the provider, and is not old by then.
        let at = At {
            programme: &programme.id,
            grant: &finding.grant,
            now: self.clock.now(),
            deadline: self.until(deadline),
        };
        match &finding.what {
            What::Sweep { row } => {
                let swept = self.table.sweep(at, row.epoch(), &row.nonce(), &row.key()).await?;
                self.disable(at).await?;
                let late = self.read_late(at, &[row], progress).await?;
                return Ok(Came::Swept { now: matches!(swept, Outcome::Done(_)), late });
            }
            What::Second { row } => return Box::pin(self.disable_second(at, row)).await,
            What::Recover { rows, unread, .. } => {
                let found: Vec<Found> = rows.iter().map(Row::found).collect();
                self.table.recover(at, &found, self.is_copy).await?;
                self.disable(at).await?;
                let unread: Vec<&Row> = rows.iter().filter(|row| unread.contains(&row.epoch())).collect();
                let late = Box::pin(self.read_late(at, &unread, progress)).await?;
                let newest = rows.iter().filter(|row| row.said.enabled).max_by_key(|row| row.epoch());
                if let Some(row) = newest {
                    Box::pin(self.send_limit(at, row.said.listed())).await?;
                    self.disable(at).await?;
                }
                return Ok(Came::Recovered { late, grant: finding.grant.clone() });
            }
            What::EnabledAgain { epoch, key, seen_at } => {
                self.table.disable_again(at, *epoch, key, *seen_at).await?;
            }
            What::NotRestricted { epoch, key } => return Box::pin(self.restrict(at, *epoch, key)).await,
            What::End => {
                self.table.end(at, &Actor::Rule).await?;
            }
            What::Ordered => {}
            What::GiveBack => {
                self.table.give_back_place(at).await?;
            }
            What::LimitSeen { epoch, listed, asked } => {
                self.table.limit_seen(at, *epoch, *listed, *asked).await?;
            }
            What::Forsaken => {
                self.table.forsaken(at).await?;
            }
            What::Explained => {
                if let Some(explained_at) = progress.explained_at {
                    self.table.explained(at, explained_at).await?;
                }
            }
            What::LiveIsDisabled { epoch, key, summed, .. } => {
                let came = Box::pin(self.look_again(at, (*epoch, key, *summed), progress, false)).await?;
                self.disable(at).await?;
                return Ok(came);
            }
            What::NotListed { epoch, key, is_held, summed, .. } => {
                let came = Box::pin(self.look_again(at, (*epoch, key, *summed), progress, *is_held)).await?;
                self.disable(at).await?;
                return Ok(came);
            }
            What::Limit { listed } => {
                let drifted = Box::pin(self.send_limit(at, *listed)).await?;
                self.disable(at).await?;
                return Ok(drifted.map_or(Came::Done, Came::Mended));
            }
            What::Rule { last_used_at } => {
                self.table.follow_rules(at, *last_used_at).await?;
            }
            What::Purge { epoch, key } => return Box::pin(self.purge(at, *epoch, key, progress)).await,
        }
        self.disable(at).await?;
        Ok(Came::Done)
    }

    /// Disables a key that is one too many of its attempt. The attempt is so old that nobody is at it any more, and its record names
    /// another key or none, so nobody was or will be shown this one.
    async fn disable_second(&self, at: At<'_>, row: &Row) -> Result<Came> {
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(Came::Done) };
        let attempt = view.grant.attempt(row.epoch()).filter(|attempt| attempt.nonce == row.nonce());
        let is_second = |attempt: &Attempt| !attempt.key.as_ref().is_some_and(|key| row.is(key));
        if attempt.is_some_and(|attempt| is_second(attempt) && at.now >= attempt.begun_at + GRACE) {
            self.provider.disable_key(&row.key(), at.deadline).await?;
            return Ok(Came::Swept { now: true, late: Late::default() });
        }
        Ok(Came::Done)
    }

    /// Records what was listed of keys whose attempts did not name them before.
    async fn read_late(&self, at: At<'_>, rows: &[&Row], progress: &Progress) -> Result<Late> {
        let mut late = Late::default();
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(late) };
        for row in rows {
            let attempt = view.grant.attempt(row.epoch());
            let Some(attempt) = attempt.filter(|attempt| attempt.key == Some(row.key())) else { continue };
            let (news, doubt) = read(&view, progress.looked_at, attempt, row).map_err(anyhow::Error::new)?;
            late.doubts.extend(doubt.map(|doubt| format!("of the key {} {doubt}", row.key())));
            let known = view.readings.iter().find(|reading| reading.epoch == attempt.epoch);
            if let Some(news) = &news {
                late.written += usize::from(self.table.note_reading(news, at.deadline).await? == Noted::Recorded);
            }
            late.used.extend(news.as_ref().or(known).map(|reading| reading.used.clone()));
        }
        Ok(late)
    }

    /// Carries out the disables that are ordered of the grant by now. A key that is not found is the listing's matter.
    async fn disable(&self, at: At<'_>) -> Result<()> {
        match Box::pin(self.orders().carry_out(at, |order| order.kind == OrderKind::Off)).await {
            Ok(_) | Err(NotCarriedOut::NotFound | NotCarriedOut::NotFirm) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    fn orders(&self) -> Orders<'_> {
        Orders { table: self.table, provider: self.provider, clock: self.clock }
    }

    /// Asks for one key that was listed as disabled, or not at all. What was recorded meanwhile goes before what was found.
    /// Where a stop is held back, it only looks.
    async fn look_again(
        &self,
        at: At<'_>,
        (epoch, key, summed): (Epoch, &KeyHash, Usd),
        progress: &Progress,
        is_held: bool,
    ) -> Result<Came> {
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(Came::Done) };
        let (asked_at, answered) = self.provider.get_key_in_a_day(key, self.clock, at.deadline).await?;
        match answered {
            Answered::Key(found) if found.disabled && is_held => Ok(Came::Done),
            Answered::Key(found) if found.disabled => {
                self.table.found_disabled(at, view.grant.version, epoch, key).await?;
                Ok(Came::Done)
            }
            Answered::Key(found) => {
                // Nothing comes of it while it may be used.
                self.table.disable_again(at, epoch, key, asked_at).await?;
                let (used, doubt) = self.note_use(at, &view, epoch, (asked_at, &found), progress).await?;
                // Not what is more than on record: an invocation that died just after may have recorded it.
                let more = used.map_or(Usd::ZERO, |used| used - summed);
                let listed = Terms::of(&view.programme.settings).listed(&found);
                let drifted = match view.grant.live().is_some_and(|live| live.epoch == epoch) {
                    true => Box::pin(self.send_limit(at, listed)).await?,
                    false => None,
                };
                Ok(Came::LookedAgain { more, doubt, mended: drifted })
            }
            Answered::Gone => {
                let is_over = matches!(view.grant.state, State::Revoked | State::Ended);
                let since = self.table.missing_since(key, progress.looked_at).await?;
                if !is_held && since.is_some_and(|since| since + SURELY_GONE < at.now) {
                    self.table.found_gone(at, view.grant.version, epoch, key).await?;
                    return Ok(Came::Gone { key: key.clone(), is_missing: !is_over });
                }
                let missing_since = since.unwrap_or(at.now);
                let missing = MissingKey { key: key.clone(), missing_since, as_of: progress.began_at };
                self.table.note_missing(&missing, at.deadline).await?;
                Ok(Came::Unseen { key: key.clone(), is_missing: !is_over })
            }
        }
    }

    /// Records what a key has used that was asked for by itself, and says how much that is in its life, and what of it is in doubt.
    async fn note_use(
        &self,
        at: At<'_>,
        view: &View,
        epoch: Epoch,
        (asked, found): (Timestamp, &Key),
        progress: &Progress,
    ) -> Result<(Option<Usd>, Option<String>)> {
        let Some(attempt) = view.grant.attempt(epoch) else { return Ok((None, None)) };
        let told = found.told(view.programme.settings.reset).ok_or(Doubtful::Silent)?;
        let before = view.reading(epoch);
        let (after, doubt) = view.reading_after(attempt, &told, asked, progress.looked_at)?;
        if before.is_none_or(|before| after.is_news_to(before)) {
            self.table.note_reading(&after, at.deadline).await?;
        }
        Ok((Some(after.lifetime()), doubt.map(|doubt| format!("of the key {} {doubt}", found.hash))))
    }

    /// Orders the limit that is wanted now and sends it, or stops what is used up. Says so where somebody had set another at the provider.
    async fn send_limit(&self, at: At<'_>, listed: Listed) -> Result<Option<String>> {
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(None) };
        let Some((live, key)) = view.grant.live().and_then(|live| Some((live, live.key.as_ref()?))) else {
            return Ok(None);
        };
        self.table.order_limit(at, listed).await?;
        let is_of_it = |order: &Order| order.epoch == live.epoch && order.kind == OrderKind::Limit;
        match Box::pin(self.orders().carry_out(at, is_of_it)).await {
            Ok(_) => {}
            // The next listing tells whether it is there.
            Err(NotCarriedOut::NotFound) => bail!("the limit was not sent: the provider does not know the key now"),
            Err(error) => return Err(error.into()),
        }
        let Some(after) = self.table.grant(at.programme, at.grant).await? else { return Ok(None) };
        let Some(limit) = after.live().filter(|live| live.limit_ordered.is_none()).and_then(|live| live.limit) else {
            return Ok(None);
        };
        let found = match listed {
            Listed::Unlimited => "no limit".to_owned(),
            Listed::CountedOtherwise => "a limit that was counted otherwise".to_owned(),
            Listed::Limit(listed) if live.limit.is_none_or(|held| !listed.is_about(held)) => {
                format!("the limit {listed}")
            }
            Listed::Limit(_) | Listed::Unasked => return Ok(None),
        };
        Ok(Some(format!("the key {key} had {found} at the provider, and has {limit} again")))
    }
}

/// What is seen to next: some findings side by side, or those that one request can see to.
fn next_batch(findings: &mut VecDeque<Finding>) -> Vec<Finding> {
    let Some(first) = findings.front() else { return Vec::new() };
    let (is_restriction, programme) = (first.is_restriction(), first.programme);
    let most = if is_restriction { ASSIGNED_AT_ONCE } else { SIDE_BY_SIDE };
    let is_alike = |finding: &&Finding| {
        finding.is_restriction() == is_restriction && (!is_restriction || finding.programme == programme)
    };
    let count = findings.iter().take(most).take_while(is_alike).count();
    findings.drain(..count).collect()
}
