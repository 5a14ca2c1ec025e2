//! Serves a router on a listener, as `axum::serve` does. In addition a handler can close the connection
//! without an answer, which to a client is a lost answer.

use std::convert::Infallible;
use std::io;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse, Response};
use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tower::ServiceExt;

/// The time that answers under way get at shutdown before their connections are cut.
const GRACE: Duration = Duration::from_secs(2);
/// The pause when the machine has no file descriptor left for another connection.
const PAUSE: Duration = Duration::from_millis(100);

/// The mark of a response that is never sent: its connection is closed without one byte.
///
/// A handler returns it (`NoAnswer.into_response()`) after its work, or adds it to the extensions of an
/// inner layer's response. It works only under [`serve`]; elsewhere such a response is an empty 500.
#[derive(Clone, Copy, Debug)]
pub struct NoAnswer;

impl IntoResponse for NoAnswer {
    fn into_response(self) -> Response {
        let mut response = http::StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(self);
        response
    }
}

/// Answers requests on `listener` with `router`, over HTTP/1.1 with keep-alive, until `shutdown` is ready.
/// Then it accepts no more, gives the answers under way two seconds, and cuts the rest. Dropping the future
/// cuts every connection at once.
///
/// Handlers get the client's address as `axum::extract::ConnectInfo<SocketAddr>`. A handler that panics
/// loses only its connection.
pub async fn serve(listener: TcpListener, router: Router, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => {
                    connections.spawn(converse(stream, ConnectInfo(peer), router.clone(), graceful.watcher()));
                }
                Err(error) if concerns_one_connection(&error) => {}
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    if tokio::time::timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::debug!(connections = connections.len(), "cut, their answers took too long");
    }
}

async fn converse<A>(stream: TcpStream, peer: ConnectInfo<A>, router: Router, watcher: Watcher)
where
    ConnectInfo<A>: Clone + Send + Sync + 'static,
{
    // Small answers would otherwise wait for the client's delayed acknowledgement.
    stream.set_nodelay(true).ok();
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer.clone());
        let answer = router.clone().oneshot(request);
        async move {
            let response = answer.await.unwrap_or_else(|never: Infallible| match never {});
            // hyper closes the connection of a service that failed, and writes nothing to it.
            if response.extensions().get::<NoAnswer>().is_some() { Err(Unanswered) } else { Ok(response) }
        }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    if let Err(error) = watcher.watch(connection).await {
        tracing::trace!(%error, "a connection ended early");
    }
}

fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

#[derive(Debug, thiserror::Error)]
#[error("closed without an answer, as asked")]
struct Unanswered;

/// Serves a router on a free port for as long as the test's runtime lives.
#[cfg(test)]
pub(crate) async fn on_a_free_port(router: Router) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve(listener, router, std::future::pending()));
    origin
}
