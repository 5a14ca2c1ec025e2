//! Several accounts at one address, each with keys, credits, workspaces and guardrails of its own. The key
//! of a request decides its account.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use tower::ServiceExt;

use super::access::presented;
use crate::provider::handle::Provider;

/// Routes the request to the account of its key. An unknown key is refused by the first account.
pub(crate) async fn choose(State(provider): State<Provider>, mut request: Request, next: Next) -> Response {
    let others = provider.others().clone();
    let hash = presented(request.headers()).ok();
    let other = hash.and_then(|hash| others.into_iter().find(|(other, _)| other.knows(&hash)));
    match other {
        None => next.run(request).await,
        Some((_, router)) => {
            // The extensions with this router's path parameters must not reach the other router.
            request.extensions_mut().clear();
            let Ok(response) = router.oneshot(request).await;
            response
        }
    }
}
