//! Serves a router on a listener, and the answer that never comes.

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::serve::ListenerExt;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// Answers requests until `shutdown` is ready, and those that are under way then.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    // Small answers would otherwise wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    // Handlers may ask who is at the other end.
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let _ = axum::serve(listener, router)
        .with_graceful_shutdown(shutdown)
        .await;
}

/// Closes the connection without an answer, which to a client is a lost answer: hyper sends nothing
/// of a response whose body fails at once.
pub fn no_answer() -> Response {
    let never = futures_util::stream::once(std::future::ready(Err::<bytes::Bytes, _>(
        std::io::Error::other("lost"),
    )));
    let mut response = Response::new(Body::from_stream(never));
    response
        .headers_mut()
        .insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}
