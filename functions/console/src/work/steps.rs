//! What a walking job does with one grant. A step is done when the provider has confirmed it, and may be done any number of times.

use bursar_core::domain::grant::{Attempt, Grant, GrantState, ListedLimit, Order, OrderKind};
use bursar_core::orders::NotCarriedOut;
use bursar_core::store::{ActContext, Job, StoreError, Work};
use bursar_core::web::Site;

/// The end of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum StepEnd {
    /// Nothing was or is to be done.
    Done,
    /// The provider was asked and confirmed everything.
    Asked,
    /// The provider is still to confirm something, or a key is just being made.
    Waits,
    /// The provider was asked in vain.
    Failed,
    /// It cannot be done: the provider does not know the key.
    Refused,
}

/// Does the step of a job's grant. `asks` says whether the provider is asked now.
pub(super) async fn of_grant(
    site: &Site,
    job: &Job,
    at: ActContext<'_>,
    grant: &Grant,
    asks: bool,
) -> Result<StepEnd, StoreError> {
    match job.work {
        Work::Limits if matches!(grant.state, GrantState::Minting { .. }) => Ok(StepEnd::Waits),
        Work::Limits if grant.live().is_none() => Ok(StepEnd::Done),
        Work::Limits => {
            site.table.act(at, |view, now| view.order_limit(ListedLimit::Unasked, now)).await?;
            carried_out(site, at, OrderKind::Limit, asks).await
        }
        Work::Close => {
            site.table.act(at, |view, now| view.end(&job.by, now)).await?;
            carried_out(site, at, OrderKind::Off, asks).await
        }
        Work::Import { .. } => Ok(StepEnd::Done),
    }
}

/// Sends the grant's orders of a kind that are due, and says whether all of that kind are confirmed by now.
async fn carried_out(site: &Site, at: ActContext<'_>, kind: OrderKind, asks: bool) -> Result<StepEnd, StoreError> {
    let is_one = |order: &Order| order.kind == kind && order.due <= at.now;
    let sent = if asks { site.orders().carry_out(at, is_one).await } else { Ok(0) };
    match sent {
        Ok(0)
        | Err(NotCarriedOut::NotFound | NotCarriedOut::NoTime | NotCarriedOut::NotFirm | NotCarriedOut::Overtaken) => {}
        Ok(_) => return Ok(StepEnd::Asked),
        Err(NotCarriedOut::Table(error)) => return Err(error),
        Err(NotCarriedOut::Provider(error)) => {
            tracing::warn!(grant = %at.grant, %error, "an order of a job is put off");
            return Ok(StepEnd::Failed);
        }
    }
    let Some(grant) = site.table.grant(at.programme, at.grant).await? else { return Ok(StepEnd::Done) };
    let left: Vec<Order> = grant.orders().into_iter().filter(|order| order.kind == kind).collect();
    let is_missing = |order: &Order| grant.attempt(order.epoch).is_some_and(Attempt::is_missing);
    Ok(match left.is_empty() {
        true => StepEnd::Done,
        false if left.iter().all(is_missing) => StepEnd::Refused,
        false => StepEnd::Waits,
    })
}
