//! The rules of the programmes' guardrails, sent once a run: whoever changed them at the provider by hand has changed what students may
//! call; and live keys put under them again, from which somebody had taken them.

use anyhow::{Context, Result};
use bursar_core::deadline::Deadline;
use bursar_core::domain::id::Epoch;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::rules::{Guardrail, RulesOrder};
use bursar_core::provider::ProviderError;
use bursar_core::provider::guardrails::{Guardrail as Sent, GuardrailRules};
use bursar_core::store::At;
use futures_util::{StreamExt, TryStreamExt};

use crate::act::SIDE_BY_SIDE;
use crate::came::Came;
use crate::look::{Finding, What};
use crate::progress::Progress;
use crate::run::{Run, Step};

impl Run<'_> {
    /// Lists the guardrails and tells each of ours its rules.
    pub(crate) async fn send_rules(&self, progress: &mut Progress, deadline: Deadline) -> Result<Step> {
        if progress.key_refused.is_some() || self.programmes.iter().all(|programme| programme.guardrail.is_none()) {
            return Ok(Step::Done);
        }
        let listed = match self.provider.guardrails(None, self.until(deadline)).await {
            Ok(listed) => listed,
            Err(error) if self.obstacle(&error).is_some() => return Err(error.into()),
            Err(error) => {
                progress.note_undone(format!("the guardrails were not listed: {error}"), Some(&error));
                return Ok(Step::Done);
            }
        };
        let listed_at = self.clock.now();
        while let Some(programme) = self.programmes.get(usize::from(progress.next.0)) {
            if !self.has_time(deadline) {
                return Ok(Step::TimeIsUp);
            }
            self.stay().await?;
            // As it is by now: its rules may have been changed since the run began.
            let programme = self.table.programme(&programme.id).await?.context("a programme is gone")?;
            let guardrail = programme.guardrail.as_ref().filter(|_| !programme.is_over(self.clock.now()));
            if let Some(guardrail) = guardrail {
                let rules = GuardrailRules::of(&self.deployment, &programme.id, &programme.settings);
                let sent = self.provider.patch_guardrail(&guardrail.id, &rules, self.until(deadline)).await;
                if let Some(obstacle) = sent.as_ref().err().and_then(|error| self.obstacle(error)) {
                    return Ok(Step::Blocked(obstacle));
                }
                let after = self.table.programme(&programme.id).await?.context("a programme is gone")?;
                if after.edits != programme.edits {
                    // What was sent may be older than what somebody saved meanwhile: once more.
                    continue;
                }
                self.note_sent(&after, &sent, deadline).await?;
                // What it had before people changed the rules, or before that was confirmed, is not the provider's doing.
                let is_own = !after.rules_are_changing() && guardrail.confirmed_at < listed_at;
                let was = listed.iter().find(|listed| is_own && listed.id == guardrail.id);
                progress.note_rules(programme.id.as_str(), was, sent);
            }
            progress.next.0 += 1;
        }
        Ok(Step::Done)
    }

    /// Keeps what the provider said of the rules of a programme. What it refused or lost is gone on with by the work of the next minute.
    async fn note_sent(
        &self,
        programme: &Programme,
        sent: &Result<Option<Sent>, ProviderError>,
        deadline: Deadline,
    ) -> Result<()> {
        let (now, deadline) = (self.clock.now(), self.until(deadline));
        match sent {
            Ok(Some(sent)) => {
                let guardrail = Guardrail { id: sent.id.clone(), rules: programme.settings.rules(), confirmed_at: now };
                self.table.confirm_rules(programme, guardrail, now, deadline).await?;
            }
            Ok(None) => self.table.lose_guardrail(programme, now, deadline).await?,
            Err(ProviderError::Refused { trouble, .. }) if programme.rules_order.is_none() => {
                let order = RulesOrder::again(now).refused(&trouble.message, now);
                self.table.note_rules_order(programme, Some(order), deadline).await?;
            }
            Err(_) => {}
        }
        Ok(())
    }

    /// Puts live keys of a programme under its guardrail again, from which somebody had taken them, in one request.
    pub(crate) async fn restrict_all(&self, batch: &[Finding], deadline: Deadline) -> Result<Vec<Came>> {
        let (now, deadline) = (self.clock.now(), self.until(deadline));
        let views: Vec<_> = batch
            .iter()
            .map(async |finding| {
                let programme = self.programmes.get(usize::from(finding.programme)).context("a programme is gone")?;
                let What::NotRestricted { epoch, key } = &finding.what else { return Ok(None) };
                let at = At { programme: &programme.id, grant: &finding.grant, now, deadline };
                self.guardrail_of(at, *epoch, key).await
            })
            .collect();
        let found: Vec<Option<(String, KeyHash)>> =
            futures_util::stream::iter(views).buffered(SIDE_BY_SIDE).try_collect().await?;
        let keys: Vec<KeyHash> = found.iter().flatten().map(|(_, key)| key.clone()).collect();
        if let Some((guardrail, _)) = found.iter().flatten().next() {
            self.provider.assign_keys(guardrail, &keys, deadline).await?;
        }
        Ok(found.into_iter().map(|found| found.map_or(Came::Done, |(_, key)| restricted(&key))).collect())
    }

    pub(crate) async fn restrict(&self, at: At<'_>, epoch: Epoch, key: &KeyHash) -> Result<Came> {
        let Some((guardrail, key)) = self.guardrail_of(at, epoch, key).await? else { return Ok(Came::Done) };
        self.provider.assign_keys(&guardrail, std::slice::from_ref(&key), at.deadline).await?;
        Ok(restricted(&key))
    }

    /// The guardrail that a key must be under, if it is its grant's live key still.
    async fn guardrail_of(&self, at: At<'_>, epoch: Epoch, key: &KeyHash) -> Result<Option<(String, KeyHash)>> {
        let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(None) };
        let is_live = view.grant.holds.is_empty() && view.grant.live().is_some_and(|live| live.epoch == epoch);
        let guardrail = view.programme.guardrail.filter(|_| is_live);
        Ok(guardrail.map(|guardrail| (guardrail.id, key.clone())))
    }
}

fn restricted(key: &KeyHash) -> Came {
    Came::Mended(format!("the key {key} was not under its programme's guardrail, and is again"))
}

impl Progress {
    /// Says where a guardrail had other rules than those that were sent. The provider names models in its own way, so what it had is held
    /// against what it has now.
    fn note_rules(&mut self, of: &str, was: Option<&Sent>, sent: Result<Option<Sent>, ProviderError>) {
        match sent {
            Ok(Some(is)) if was.is_some_and(|was| !was.says_the_same(&is)) => {
                self.report
                    .problem(format!("the guardrail of {of} had other rules at the provider, and has its own again"));
            }
            Ok(Some(_)) => {}
            Ok(None) => self.note_undone(format!("the guardrail of {of} is not there any more"), None),
            Err(error) => {
                self.note_undone(format!("the guardrail of {of} was not told its rules: {error}"), Some(&error));
            }
        }
    }
}
