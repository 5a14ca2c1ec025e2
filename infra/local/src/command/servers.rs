//! The loopback servers of a stack, and the ports that they listen at.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::aws::engine::Engine;
use crate::base::clock::StackClock;
use crate::base::guard::guarded;
use crate::base::serve::serve;

/// The interval of deleting expired items, which only saves space.
const SWEEP_EVERY: Duration = Duration::from_secs(600);

/// Servers that are stopped together.
pub(super) struct Servers {
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

impl Servers {
    pub(super) fn new() -> Servers {
        Servers { tasks: JoinSet::new(), stop: watch::channel(false).0 }
    }

    /// Serves until the stack stops, and returns the origin. Pages of other sites get no answer.
    pub(super) fn run(&mut self, listener: TcpListener, router: Router) -> Result<String> {
        let origin = origin_of(&listener)?;
        self.run_pages(listener, guarded(router, &origin));
        Ok(origin)
    }

    /// Serves the product's own pages, which check the origin of requests themselves.
    pub(super) fn run_pages(&mut self, listener: TcpListener, router: Router) {
        let stopped = self.stopped();
        self.tasks.spawn(serve(listener, router, stopped));
    }

    /// Deletes the engine's expired items from time to time.
    pub(super) fn sweep(&mut self, engine: Engine, clock: StackClock) {
        let stopped = self.stopped();
        self.tasks.spawn(async move {
            tokio::pin!(stopped);
            let mut ticks = tokio::time::interval(SWEEP_EVERY);
            loop {
                tokio::select! {
                    () = &mut stopped => return,
                    _ = ticks.tick() => {}
                }
                if let Err(error) = engine.sweep(clock.now()).await {
                    tracing::warn!(error = format!("{error:#}"), "what has expired could not be cleaned away");
                }
            }
        });
    }

    fn stopped(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut stopping = self.stop.subscribe();
        async move {
            // An error means that the stack was dropped, which is a stop too.
            let _ = stopping.wait_for(|stopping| *stopping).await;
        }
    }

    pub(super) async fn stop(mut self) {
        self.stop.send_replace(true);
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Takes a port of this machine; 0 picks a free one.
pub async fn listen(port: u16) -> Result<TcpListener> {
    match TcpListener::bind(("127.0.0.1", port)).await {
        Ok(listener) => Ok(listener),
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            bail!("port {port} is in use: stop what uses it, or name another with --port (0 picks a free one)")
        }
        Err(error) => Err(error).with_context(|| format!("port {port} cannot be opened; name another with --port")),
    }
}

/// The origin of a listener.
pub fn origin_of(listener: &TcpListener) -> Result<String> {
    Ok(format!("http://{}", listener.local_addr()?))
}
