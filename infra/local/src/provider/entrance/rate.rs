//! The rate limit of management calls, which a test uses up by calling and refills by moving the clock.
//! Inference is not limited.

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::provider::handle::Provider;

pub(crate) async fn let_in(State(provider): State<Provider>, request: Request, next: Next) -> Response {
    let refused = {
        let (now, mut memory) = (provider.now(), provider.memory());
        memory.quirks.rate.and_then(|rate| memory.bucket.take(rate, now).err())
    };
    match refused {
        Some(refused) => refused.into_response(),
        None => next.run(request).await,
    }
}
