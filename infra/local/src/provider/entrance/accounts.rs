//! Several accounts at one address, each with keys, credits, workspaces and guardrails of its own. Whose a request is, its key says.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tower::ServiceExt;

use super::access::presented;
use crate::provider::handle::Provider;

/// Sends the request to the account that its key belongs to. A key that nobody knows is refused by the first.
pub(crate) async fn choose(State(provider): State<Provider>, mut request: Request, next: Next) -> Response {
    let others = provider.others().clone();
    let hash = presented(request.headers()).ok();
    let other = hash.and_then(|hash| others.into_iter().find(|(other, _)| other.knows(&hash)));
    match other {
        None => next.run(request).await,
        Some((_, router)) => {
            // What this router has read of the path is the other's to read.
            request.extensions_mut().clear();
            let Ok(response) = router.oneshot(request).await;
            response
        }
    }
}
