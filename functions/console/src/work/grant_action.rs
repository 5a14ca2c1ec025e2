//! What is done to one grant by somebody with a role: by the grant's page, or by a job to one of
//! many. It only writes.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{
    ChangeRefused, Grant, GrantAct, GrantAction, Hold, OfJob, ShownState, View,
};
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::counts::Stage;
use bursar_core::domain::programme::role::Role;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{ActContext, ByHand, DoneByHand, Job, StoreError};
use bursar_core::web::Site;

/// Does it, and returns why a rule refuses it, if one does. A pause is in the role of whoever asks
/// for it.
pub(crate) async fn act_on(
    site: &Site,
    context: ActContext<'_>,
    act: &GrantAct,
    (actor, role): (&Actor, Role),
    job: Option<&Job>,
) -> Result<Option<ChangeRefused>, StoreError> {
    if let GrantAction::Resend | GrantAction::Remind = act.action {
        return mail(site, context, actor, job, act.action == GrantAction::Remind).await;
    }
    let origin = job.map(|job| OfJob {
        job: job.job,
        compared: None,
    });
    let reason = act.reason.as_deref();
    let paused = Hold::Paused {
        role,
        with_many: job.is_some(),
    };
    let outcome = site
        .table
        .act_of(context, origin, |view, now| match act.action {
            GrantAction::Pause => view.hold(paused, actor, reason, now),
            GrantAction::Resume => view.release(paused, actor, now),
            GrantAction::Revoke => Ok(view.revoke(actor, reason)?),
            GrantAction::Cap => view.set_cap(own_cap(act.cap, view), actor, reason, now),
            GrantAction::Allow => Ok(view.allow(actor)?),
            GrantAction::Group => view.move_to(act.group.as_deref(), actor, now),
            // What has mail sent changes no grant.
            GrantAction::Resend | GrantAction::Remind => Err(ChangeRefused::Unchanged),
        });
    Ok(outcome.await?.refusal())
}

/// A cap equal to the group's is not kept as one of the grant's own, so that it follows the
/// group's.
pub(crate) fn own_cap(cap: Option<Usd>, view: &View) -> Option<Usd> {
    cap.filter(|cap| {
        *cap != view
            .programme
            .settings
            .allowance
            .cap_of(view.grant.group.as_deref())
    })
}

/// Sends the invitation again, or reminds of it or of a key that was never used, if the grant goes
/// on and mail reaches its address.
async fn mail(
    site: &Site,
    context: ActContext<'_>,
    actor: &Actor,
    job: Option<&Job>,
    is_reminder: bool,
) -> Result<Option<ChangeRefused>, StoreError> {
    if let Some(job) = job {
        let last = site
            .table
            .get(DoneByHand::key_of(
                context.programme,
                context.grant,
                ByHand::RosterMail,
            ))
            .await?;
        // A job that was killed meets what it sent.
        if last.is_some_and(|last| job.started_at <= last.done_at) {
            return Ok(None);
        }
    }
    let (Some(programme), Some(grant)) = tokio::try_join!(
        site.table.get(Programme::key_of(context.programme)),
        site.table
            .get(Grant::key_of(context.programme, context.grant))
    )?
    else {
        return Ok(Some(ChangeRefused::NotMailed));
    };
    // Before keys can be claimed there is nothing to be reminded of.
    let is_open = programme.settings.claim_opens_at() <= context.now;
    let may_claim = is_open && grant.display_state(context.now) == ShownState::Invited;
    let goes_on =
        !grant.is_over() && grant.holds.dropped.is_none() && !grant.person.address.is_none();
    let looked_at = site
        .table
        .sync_state()
        .await?
        .listed_at
        .filter(|_| is_reminder);
    let never_used = grant.stage == Stage::Claimed
        && looked_at.is_some_and(|looked_at| grant.had_a_key_by(looked_at));
    let is_meant = goes_on && (may_claim || never_used || !is_reminder);
    let is_reached = is_meant
        && site
            .table
            .undeliverable(grant.person.address.matched(), context.now)
            .await?
            .is_none();
    let is_sent = if never_used && is_reached {
        site.table.remind_of_key(context, &grant, actor).await?
    } else {
        is_reached
            && site
                .table
                .invite_again(context, &grant, actor, is_reminder)
                .await?
    };
    Ok((!is_sent).then_some(ChangeRefused::NotMailed))
}
