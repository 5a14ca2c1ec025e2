//! The guardrails of a programme and the keys under each at the provider, listed before its grants are scanned.

use std::collections::{HashMap, HashSet};

use anyhow::Result;
use bursar_core::domain::programme::Programme;
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::domain::values::id::KeyHash;
use bursar_core::provider::ProviderError;

use crate::runner::Runner;

#[derive(Debug, Default)]
pub(crate) struct GuardrailKeys {
    pub(crate) guardrails: Vec<Guardrail>,
    /// The keys under each, by its id, where they could be listed.
    pub(crate) keys: HashMap<String, HashSet<KeyHash>>,
    /// The error of a listing that failed. It keeps no other guardrail from being looked at.
    pub(crate) failed: Option<ProviderError>,
}

impl GuardrailKeys {
    /// Lists the keys of a programme that goes on. An obstacle that may pass is an error of the whole.
    pub(crate) async fn of(runner: &Runner<'_>, programme: &Programme) -> Result<GuardrailKeys> {
        let mut listed = GuardrailKeys::default();
        if programme.is_over(runner.clock.now()) {
            return Ok(listed);
        }
        listed.guardrails = runner.table.list(Guardrail::of_programme(&programme.id)).await?;
        for id in listed.guardrails.iter().filter_map(|known| Some(&known.confirmed.as_ref()?.id)) {
            match runner.provider.keys_under(id, || runner.until()).await {
                Ok(keys) => drop(listed.keys.insert(id.clone(), keys)),
                // The stage that tells the rules finds that it is gone, and makes another.
                Err(error) if error.is_not_found() => {}
                Err(error) if runner.obstacle(&error).is_none() => listed.failed = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(listed)
    }
}
