//! Serves a router on a listener, and the answer that never comes.

use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use axum::serve::ListenerExt;
use http::HeaderValue;
use http::header::CONTENT_LENGTH;
use tokio::net::TcpListener;

/// The time that answers under way get at shutdown.
const GRACE: Duration = Duration::from_secs(2);

/// Answers requests until `shutdown` is ready. Then it accepts no more, and gives the answers under way two seconds.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()> + Send + 'static) {
    // Small answers would otherwise wait for the client's delayed acknowledgement.
    let listener = listener.tap_io(|stream| drop(stream.set_nodelay(true)));
    let (stop, mut stopping) = tokio::sync::watch::channel(());
    let router = router.into_make_service_with_connect_info::<SocketAddr>();
    let server = axum::serve(listener, router).with_graceful_shutdown(async move {
        shutdown.await;
        stop.send_replace(());
    });
    tokio::select! {
        _ = server => {}
        () = async {
            let _ = stopping.changed().await;
            tokio::time::sleep(GRACE).await;
        } => {}
    }
}

/// Closes the connection without an answer, which to a client is a lost answer: hyper sends nothing of a response
/// whose body fails at once.
pub fn no_answer() -> Response {
    let never = futures_util::stream::once(std::future::ready(Err::<bytes::Bytes, _>(std::io::Error::other("lost"))));
    let mut response = Response::new(Body::from_stream(never));
    response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("1"));
    response
}

/// Serves a router on a free port for as long as the test's runtime lives.
#[cfg(test)]
pub(crate) async fn on_a_free_port(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, router, std::future::pending()));
    origin
}
