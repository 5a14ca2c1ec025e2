//! What a walking job does with one grant. A step is done when the provider has confirmed it, and may be done any number of times.

use bursar_core::domain::grant::{Attempt, GrantState, ListedLimit, NotMoved, Order, OrderKind};
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::orders::NotCarriedOut;
use bursar_core::store::{ActOutcome, StoreError};

use super::outage::Outage;
use crate::prelude::*;

/// The end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepEnd {
    /// Nothing is left to be done.
    Done,
    /// The provider is still to confirm something, or a key is just being made.
    Waits,
    /// It cannot be done: the provider does not know the key.
    Refused,
}

/// Does the step of a job's grant.
pub(super) async fn of_grant(
    site: &Site,
    job: &Job,
    at: ActContext<'_>,
    grant: &Grant,
    guardrails: &[Guardrail],
    outage: &Outage,
) -> Result<StepEnd, StoreError> {
    match job.work {
        // Whoever makes the key may have read the settings of before. An invocation that died makes none.
        Work::Limits if is_being_made(grant, at.now) => Ok(StepEnd::Waits),
        Work::Limits => {
            let mut waits = false;
            if grant.live().is_some() {
                site.table.act(at, |view, now| view.order_limit(ListedLimit::Unasked, now)).await?;
                let moved = site.table.act(at, |view, now| view.order_rules(guardrails, now)).await?;
                waits = matches!(moved, ActOutcome::Refused(NotMoved::NotMade));
            }
            // Where nothing is left of the cap, the key is switched off.
            let end = carried_out(site, at, outage).await?;
            Ok(if waits { StepEnd::Waits } else { end })
        }
        Work::Close => {
            site.table.act(at, |view, now| view.end(&job.by, now)).await?;
            carried_out(site, at, outage).await
        }
        Work::Import { .. } => Ok(StepEnd::Done),
    }
}

/// Whether a key may still come of an attempt that is under way.
fn is_being_made(grant: &Grant, now: Timestamp) -> bool {
    matches!(grant.state, GrantState::Minting { lease_until, .. } if now < lease_until)
}

/// Sends the grant's switches, limits and rules that are due, and says whether all are confirmed by now.
async fn carried_out(site: &Site, at: ActContext<'_>, outage: &Outage) -> Result<StepEnd, StoreError> {
    let is_one = |order: &Order| order.kind != OrderKind::Read;
    if !outage.is_seen() {
        let sent = site.orders().carry_out(at, |order| is_one(order) && order.due <= at.now).await;
        outage.note(&sent);
        match sent {
            Err(NotCarriedOut::Table(error)) => return Err(error),
            Err(error) => tracing::warn!(grant = %at.grant, %error, "an order of a job is put off"),
            Ok(_) => {}
        }
    }
    let Some(grant) = site.table.get(Grant::key_of(at.programme, at.grant)).await? else { return Ok(StepEnd::Done) };
    let left: Vec<Order> = grant.orders().into_iter().filter(is_one).collect();
    let is_missing = |order: &Order| grant.attempt(order.epoch).is_some_and(Attempt::is_missing);
    Ok(match left.is_empty() {
        true => StepEnd::Done,
        false if left.iter().all(is_missing) => StepEnd::Refused,
        false => StepEnd::Waits,
    })
}
