//! The one sender of orders: it sends what a grant's keys need, as the grant stands at that moment, and
//! records what was confirmed. An order is written before it is sent, so the work of the next minutes repeats
//! whatever fails here. So do the rules of guardrails, which the work of others leaves alone for as long as a call may take.

use crate::domain::grant::{
    KeyGuardrail, ListedLimit, NotSending, Order, OrderKind, SentLimit, Unchanged, WantedLimit,
};
use crate::domain::programme::Byok;
use crate::domain::programme::guardrail::{Guardrail, MadeGuardrail, RulesRefusal};
use crate::domain::programme::rules::Rules;
use crate::prelude::*;
use crate::provider::guardrails::{GuardrailRules, ProviderGuardrail};
use crate::provider::keys::KeyPatch;
use crate::provider::{Provider, ProviderError};
use crate::store::{ActContext, ActOutcome, Meta};

/// The time that one order may take, the provider's and the table's answers included.
pub const ENOUGH_FOR_ONE: Duration = Duration::from_secs(12);
const LEFT_FOR_THE_TABLE: Duration = Duration::from_secs(9);

#[derive(Clone, Copy)]
pub struct Orders<'a> {
    pub table: &'a Table,
    pub provider: &'a Provider,
    pub clock: &'a Clock,
}

#[derive(Debug, thiserror::Error)]
pub enum NotCarriedOut {
    #[error("the time is up for this round")]
    NoTime,
    #[error("the provider does not know the key, which may be wrong")]
    NotFound,
    #[error("what was ordered may still be overtaken by an earlier call")]
    NotFirm,
    #[error("something came in between, and it is ordered anew")]
    Overtaken,
    #[error("the provider has not confirmed the rules yet")]
    NotConfirmed,
    #[error(transparent)]
    Provider(#[from] ProviderError),
    #[error(transparent)]
    Table(#[from] StoreError),
}

impl Orders<'_> {
    /// Carries out the orders of a grant for the act that caused them. A failure is only logged, since the
    /// work repeats it.
    pub async fn now_or_later(&self, at: ActContext<'_>) {
        if let Err(error) = self.carry_out(at, |order| order.kind != OrderKind::Read).await {
            tracing::warn!(grant = %at.grant, %error, "an order is left to the work");
        }
    }

    /// Carries out those orders of one grant that are meant, as the grant stands now, and returns their
    /// number. A failed order is put off.
    pub async fn carry_out(&self, at: ActContext<'_>, is_meant: impl Fn(&Order) -> bool) -> Result<u32, NotCarriedOut> {
        let mut done = 0;
        let mut last: Option<Order> = None;
        // The grant is read before each order: it may have been held or released since the index named it, or
        // during the last order.
        while let Some(grant) = self.table.get(Grant::key_of(at.programme, at.grant)).await? {
            let Some(order) = grant.orders().into_iter().find(&is_meant) else { break };
            if last.as_ref() == Some(&order) {
                return Err(NotCarriedOut::NotFirm);
            }
            if !at.deadline.leaves(ENOUGH_FOR_ONE) {
                return Err(NotCarriedOut::NoTime);
            }
            let patience = at.deadline.earlier_by(LEFT_FOR_THE_TABLE).at_most(ENOUGH_FOR_ONE);
            self.carry_out_one(at, &order, patience).await?;
            (done, last) = (done + 1, Some(order));
        }
        Ok(done)
    }

    pub async fn carry_out_one(
        &self,
        at: ActContext<'_>,
        order: &Order,
        patience: Deadline,
    ) -> Result<(), NotCarriedOut> {
        match Box::pin(self.send(at, order, patience)).await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.put_off(at, order, error).await),
        }
    }

    async fn send(&self, at: ActContext<'_>, order: &Order, patience: Deadline) -> Result<(), NotCarriedOut> {
        let found = match order.kind {
            OrderKind::Off => self.provider.disable_key(&order.key, patience).await?,
            OrderKind::On => self.provider.enable_key(&order.key, patience).await?,
            OrderKind::Limit | OrderKind::Rules | OrderKind::Read => {
                let Some(view) = self.table.view(at.programme, at.grant).await? else { return Ok(()) };
                return match order.kind {
                    OrderKind::Limit => self.send_limit(at, &view, order, patience).await,
                    OrderKind::Rules => self.send_rules(at, &view, order, patience).await,
                    _ => self.read(at, &view, order, patience).await,
                };
            }
        };
        found.ok_or(NotCarriedOut::NotFound)?;
        // The time is read after the answer, since a reading before that may miss some use.
        self.table.act(self.now(at), |view, now| view.confirmed(order, now)).await?;
        Ok(())
    }

    /// Sends the limit that is wanted now, with its window and whether BYOK counts. A larger limit is noted
    /// before it is sent.
    async fn send_limit(
        &self,
        at: ActContext<'_>,
        view: &View,
        order: &Order,
        patience: Deadline,
    ) -> Result<(), NotCarriedOut> {
        let (now, settings) = (self.clock.now(), &view.programme.settings);
        let is_live = view.grant.live().is_some_and(|live| live.epoch == order.epoch);
        let limit = match view.limit_wanted(now).filter(|_| is_live) {
            Some(WantedLimit::Limit(limit)) => limit,
            // The key is to be stopped, so its disable is ordered.
            Some(WantedLimit::UsedUp) => {
                self.table.act(self.now(at), |view, now| view.order_limit(ListedLimit::Unasked, now)).await?;
                return Ok(());
            }
            None => {
                self.table.act(self.now(at), |view, _| view.drop_limit_order(order)).await?;
                return Ok(());
            }
        };
        let told = view.grant.attempt(order.epoch).and_then(|attempt| attempt.larger_limit);
        let sent = SentLimit { limit, at: now, unanswered_before: told.and_then(|told| told.unanswered_since) };
        match self.table.act(ActContext { now, ..at }, |view, now| view.sending_limit(order.epoch, limit, now)).await? {
            ActOutcome::Done(_) | ActOutcome::Refused(NotSending::NotLarger) => {}
            ActOutcome::Refused(NotSending::NotWanted) => return Err(NotCarriedOut::Overtaken),
            ActOutcome::NoSuchGrant => return Ok(()),
        }
        let window = settings.basis.reset.window_at(now);
        let patch = KeyPatch::limit(Some(limit)).counting(settings.basis.reset, settings.basis.byok == Byok::Inside);
        // One try only: the answer of a second would hide that the first may still take effect.
        self.provider.patch_key_once(&order.key, patch, patience).await?.ok_or(NotCarriedOut::NotFound)?;
        let answered = self.now(at);
        self.table.act(answered, |view, now| view.limit_confirmed(order, sent, window, now)).await?;
        if settings.basis.reset.window_at(answered.now) == window { Ok(()) } else { Err(NotCarriedOut::Overtaken) }
    }

    async fn send_rules(
        &self,
        at: ActContext<'_>,
        view: &View,
        order: &Order,
        patience: Deadline,
    ) -> Result<(), NotCarriedOut> {
        let is_live = view.grant.live().is_some_and(|live| live.epoch == order.epoch);
        let Some(wanted) = view.guardrail_wanted().filter(|_| is_live) else {
            self.table.act(self.now(at), |view, _| view.drop_rules_order(order.epoch)).await?;
            return Ok(());
        };
        let known = self.table.get(Guardrail::key_of(&wanted)).await?;
        let Some((known, made)) = known.as_ref().and_then(|known| Some((known, known.made.as_ref()?))) else {
            return Err(NotCarriedOut::NotConfirmed);
        };
        let under = KeyGuardrail { group: wanted.group, id: made.id.clone() };
        if let Err(error) = self.provider.assign_key(&under.id, &order.key, patience).await {
            if !error.changed_nothing() {
                // It may take effect after what somebody else sends, and has confirmed by now.
                self.table.act(self.now(at), |view, now| view.order_rules_anew(order.epoch, now)).await?;
            }
            if !error.is_not_found() {
                return Err(error.into());
            }
            // The answer does not say whether it is the key or the guardrail that is not found.
            self.provider.get_key(&order.key, patience).await?.ok_or(NotCarriedOut::NotFound)?;
            self.table.write_guardrail(known, known.doubted(), self.clock.now(), patience).await?;
            return Err(NotCarriedOut::NotConfirmed);
        }
        let confirmed =
            |view: &View, now| view.rules_confirmed(order.epoch, &order.key, &under, Some(order.since), now);
        self.table.act(self.now(at), confirmed).await?;
        Ok(())
    }

    /// Makes the final reading of a key, after which the next count frees the rest of its reservation.
    async fn read(
        &self,
        at: ActContext<'_>,
        view: &View,
        order: &Order,
        patience: Deadline,
    ) -> Result<(), NotCarriedOut> {
        let (asked, found) = self.provider.get_key_in_a_day(&order.key, self.clock, patience).await?;
        let found = found.ok_or(NotCarriedOut::NotFound)?;
        // A late call may have overtaken what was confirmed; then that is ordered again, and the key is read
        // after it.
        let listed = found.limit.map_or(ListedLimit::Unlimited, ListedLimit::Limit);
        let anew = match view.grant.live() {
            Some(live) if live.epoch == order.epoch => {
                self.table.act(self.now(at), |view, now| view.order_limit(listed, now)).await?
            }
            _ if found.disabled => ActOutcome::Refused(Unchanged),
            _ => {
                self.table
                    .act(self.now(at), |view, now| view.disable_again(order.epoch, &order.key, asked, now))
                    .await?
            }
        };
        if let ActOutcome::Done(_) = anew {
            return Err(NotCarriedOut::Overtaken);
        }
        let listed_at = self.table.sync_state().await?.listed_at;
        let told = found.usage_report(view.programme.settings.basis.reset);
        let attempt = view.grant.attempt(order.epoch);
        let reading = attempt.zip(told).map(|(attempt, told)| view.reading_after(attempt, &told, asked, listed_at));
        match reading {
            // A report below the record leaves the record as it is.
            Some(Ok((reading, _))) => {
                self.table.act(self.now(at), |view, _| view.read_for_the_last_time(&reading)).await?;
                Ok(())
            }
            // The next listing may have the use.
            Some(Err(_)) | None => Err(NotCarriedOut::NotFound),
        }
    }

    /// Marks a failed order as due later, for the work. If the mark fails the order stays due at once, which
    /// does no harm.
    async fn put_off(&self, at: ActContext<'_>, order: &Order, error: NotCarriedOut) -> NotCarriedOut {
        let marked = match &error {
            NotCarriedOut::NotFound => {
                self.table.act(self.now(at), |view, now| view.not_found(order.epoch, &order.key, now)).await.map(drop)
            }
            NotCarriedOut::Provider(_) | NotCarriedOut::NotConfirmed => {
                self.table.act(self.now(at), |view, now| view.put_off(order, now)).await.map(drop)
            }
            _ => Ok(()),
        };
        if let Err(error) = marked {
            tracing::warn!(grant = %at.grant, %error, "that an order failed could not be marked");
        }
        error
    }

    fn now<'a>(&self, at: ActContext<'a>) -> ActContext<'a> {
        ActContext { now: self.clock.now(), ..at }
    }
}

#[derive(Debug)]
pub enum RulesTold {
    Confirmed,
    /// The provider refuses them, which only a person can mend.
    Refused(RulesRefusal),
    /// The provider was not asked, or did not answer.
    Not(ProviderError),
    /// Somebody else wrote the guardrail meanwhile, perhaps to send them.
    Overtaken,
}

impl Orders<'_> {
    /// Sends rules to a guardrail as it was read. Makes it where there is none.
    pub async fn tell_rules(
        &self,
        known: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<RulesTold, StoreError> {
        let now = self.clock.now();
        let meta = self.table.meta(now).await?;
        let mut sent = known.clone();
        let own = sent.rules.note(rules, now);
        let Some(noted) = self.table.write_guardrail(known, sent, now, deadline).await? else {
            return Ok(RulesTold::Overtaken);
        };
        let asked = self.clock.now();
        let told = match rules.tier() {
            Some(_) => Err(None),
            None => self.send_guardrail(&meta, &noted, rules, deadline).await.map_err(Some),
        };
        let now = self.clock.now();
        let mut not_sent = noted.clone();
        not_sent.rules.refused(rules, own);
        let (after, error) = match told {
            Ok(told) => {
                let made = Some(MadeGuardrail { answered: told.spelled(), id: told.id, at: now });
                let mut after = Guardrail { made, refusal: None, ..noted.clone() };
                after.rules.told(rules, asked, Some(own), now);
                (after, None)
            }
            Err(None) => (not_sent.refused(rules, "There is no such tier.", now), None),
            Err(Some(ProviderError::Refused { trouble, .. })) => (not_sent.refused(rules, &trouble.message, now), None),
            Err(Some(error)) if error.changed_nothing() => (not_sent, Some(error)),
            Err(Some(error)) => return Ok(RulesTold::Not(error)),
        };
        // Somebody else may have sent other rules since, or before without an answer, and nobody knows which call the provider does last.
        let Some(after) = self.table.write_guardrail(&noted, after, now, deadline).await? else {
            return Ok(RulesTold::Overtaken);
        };
        if error.is_none() && after.refusal.is_none() && !after.rules.is(rules) {
            return Ok(RulesTold::Overtaken);
        }
        Ok(match (error, after.refusal) {
            (Some(error), _) => RulesTold::Not(error),
            (None, Some(refusal)) => RulesTold::Refused(refusal),
            (None, None) => RulesTold::Confirmed,
        })
    }

    async fn send_guardrail(
        &self,
        meta: &Meta,
        known: &Guardrail,
        rules: &Rules,
        deadline: Deadline,
    ) -> Result<ProviderGuardrail, ProviderError> {
        let rules = GuardrailRules { name: known.of.name_at_provider(&meta.deployment), rules: rules.clone() };
        if let Some(known) = &known.made
            && let Some(told) = self.provider.patch_guardrail(&known.id, &rules, deadline).await?
        {
            return Ok(told);
        }
        // An earlier create may have taken effect although its answer was lost. So the guardrail is looked up
        // by name first, and sent the rules again.
        let listed = self.provider.guardrails(deadline).await.map_err(|error| match error {
            // A refused listing says nothing of the rules, so it counts as a failure to be retried.
            ProviderError::Refused { trouble, after } => ProviderError::Later { trouble, after },
            other => other,
        })?;
        if let Some(known) = listed.into_iter().find(|listed| listed.name == rules.name)
            && let Some(told) = self.provider.patch_guardrail(&known.id, &rules, deadline).await?
        {
            return Ok(told);
        }
        // A management key of another account would make it there.
        self.provider.check_account(&meta.deployment, meta.account.as_ref(), deadline).await?;
        self.provider.create_guardrail(&rules, deadline).await
    }
}
