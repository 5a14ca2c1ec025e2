//! The guardrails that programmes wait for: what restricts their keys to models and a data policy. Keys are put under them by the
//! claim; this makes one where there is none.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::{DataPolicy, Programme, Settings};
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::store::items::Meta;
use bursar_core::web::Site;

/// Makes the guardrail of each programme that needs one and has none. A programme whose turn fails waits for the next minute.
pub(crate) async fn make_missing(site: &Site, deadline: Deadline) -> Result<u32> {
    let now = site.clock.now();
    let missing = |programme: &Programme| {
        programme.guardrail.is_none() && !programme.is_over(now) && is_needed(&programme.settings)
    };
    let programmes: Vec<Programme> = site.table.programmes().await?.into_iter().filter(missing).collect();
    if programmes.is_empty() {
        return Ok(0);
    }
    let meta = site.table.meta(now).await?;
    let mut made = 0;
    for programme in programmes {
        match make(site, &meta, &programme, deadline).await {
            Ok(()) => made += 1,
            Err(error) => {
                tracing::warn!(programme = %programme.id, error = format!("{error:#}"), "a guardrail is not made yet");
            }
        }
    }
    Ok(made)
}

/// Whether keys of the programme may not do everything that the account may.
fn is_needed(settings: &Settings) -> bool {
    !settings.models.is_empty() || settings.data_policy != DataPolicy::Account
}

async fn make(site: &Site, meta: &Meta, programme: &Programme, deadline: Deadline) -> Result<()> {
    let rules = GuardrailRules::of(&meta.deployment, &programme.id, &programme.settings);
    // Making one may have taken effect unheard, so it is looked for by its name first, and then told the rules again.
    let known = site.provider.guardrails(None, deadline).await?.into_iter().find(|known| known.name == rules.name);
    let known = match known {
        Some(known) => site.provider.patch_guardrail(&known.id, &rules, deadline).await?,
        None => None,
    };
    let guardrail = match known {
        Some(known) => known,
        None => site.provider.create_guardrail(&rules, None, deadline).await?,
    };
    site.table.set_guardrail(programme, Some(&guardrail.id), site.clock.now(), deadline).await?;
    Ok(())
}
