//! Several accounts at one address, each with keys, credits, workspaces and guardrails of its own. Whose a request is, its key says.

use anyhow::Result;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tower::ServiceExt;

use super::Provider;
use super::access::presented;
use crate::kept::Kept;

impl Provider {
    /// A further account, which this management key belongs to. It goes with the process.
    pub fn another_account(&self, management_key: &str) -> Result<Provider> {
        let other = Provider::new(Kept::in_memory()?, self.clock.clone(), management_key)?;
        self.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(other.clone());
        Ok(other)
    }

    /// From now on the management key belongs to the other account, as if that had been meant from the first.
    pub fn hand_over(&self, management_key: &str, to: &Provider) -> Result<()> {
        self.revoke_management_key(management_key)?;
        to.add_management_key(management_key)
    }

    fn knows(&self, hash: &str) -> bool {
        let memory = self.memory();
        memory.management_key(hash).is_some() || memory.find(hash).is_ok()
    }
}

/// Sends the request to the account that its key belongs to. A key that nobody knows is refused by the first.
pub(super) async fn choose(State(provider): State<Provider>, mut request: Request, next: Next) -> Response {
    let others = provider.others.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone();
    let other = presented(request.headers()).ok().and_then(|hash| others.into_iter().find(|other| other.knows(&hash)));
    match other {
        None => next.run(request).await,
        Some(other) => {
            // What this router has read of the path is the other's to read.
            request.extensions_mut().clear();
            let Ok(response) = other.router().oneshot(request).await;
            response
        }
    }
}
