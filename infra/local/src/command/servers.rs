//! The loopback servers of a stack, and the ports that they listen at.

use std::io;
use std::time::Duration;

use anyhow::Result;
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::base::guard::guarded;
use crate::base::serve::serve;

/// The time that answers under way get at the end.
const GRACE: Duration = Duration::from_secs(2);

#[derive(Default)]
pub(super) struct Servers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Servers {
    /// Serves until the stack stops, and returns the origin. Pages of other sites get no answer.
    pub(super) fn run(&mut self, listener: TcpListener, router: Router) -> Result<String> {
        let origin = origin_of(&listener)?;
        self.run_pages(listener, guarded(router, &origin));
        Ok(origin)
    }

    /// Serves the product's own pages, which check the origin of requests themselves.
    pub(super) fn run_pages(&mut self, listener: TcpListener, router: Router) {
        let mut stopping = self.stop.subscribe();
        // An error means that the stack was dropped, which is a stop too.
        let stopped = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
        self.tasks.spawn(serve(listener, router, stopped));
    }

    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(GRACE, async {
            while self.tasks.join_next().await.is_some() {}
        })
        .await;
    }
}

/// Takes a port of this machine; 0 picks a free one.
pub async fn listen(port: u16) -> io::Result<TcpListener> {
    TcpListener::bind(("127.0.0.1", port)).await
}

pub fn origin_of(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
