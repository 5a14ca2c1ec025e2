//! Whether the pages can be reached: a name that ran out, a certificate or what stands in front of
//! them stops everybody, and no metric of ours moves.

use std::time::Duration;

use anyhow::{Result, ensure};
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::mail::alarm::Cause;
use bursar_core::tls;

/// How long one try may take, and the pause before the second.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_secs(5);

/// The public origin, asked from outside as a browser would. It is not asked on one machine, where
/// whoever looks sees it.
pub(crate) struct OwnSite {
    origin: Option<String>,
}

impl OwnSite {
    pub(crate) fn new(config: &Config) -> OwnSite {
        let origin = Some(&config.origin).filter(|origin| origin.is_secure());
        OwnSite {
            origin: origin.map(|origin| origin.as_str().to_owned()),
        }
    }

    /// The alarm that it answers to nobody. Any answer below 500 counts, since a sign-on in front
    /// may turn us away.
    pub(crate) async fn is_down(&self, deadline: Deadline) -> Result<Option<Cause>> {
        let Some(origin) = &self.origin else {
            return Ok(None);
        };
        if self.try_once(origin, deadline).await?.is_none() {
            return Ok(None);
        }
        deadline.sleep(PAUSE).await;
        let Some(why) = self.try_once(origin, deadline).await? else {
            return Ok(None);
        };
        // Where the domain is gone, mail to it may be too: an alarm of the stack counts this line.
        tracing::warn!(site_down = true, why, "the pages cannot be reached");
        Ok(Some(Cause::SiteDown { why }))
    }

    /// Why it did not answer.
    async fn try_once(&self, origin: &str, deadline: Deadline) -> Result<Option<String>> {
        ensure!(deadline.leaves(PATIENCE), "there is too little time left");
        let client = tls::client_of(origin)
            .redirect(reqwest::redirect::Policy::none())
            .timeout(PATIENCE)
            .build()?;
        Ok(match client.get(origin).send().await {
            Ok(answer) if answer.status().is_server_error() => {
                Some(format!("it answers {}", answer.status()))
            }
            Ok(_) => None,
            Err(error) if error.is_timeout() => Some("no answer within ten seconds".to_owned()),
            Err(error) => Some(format!("no connection: {}", root_of(&error))),
        })
    }
}

/// The innermost reason, without the address.
fn root_of(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Whether a site that gives these answers, one to each connection, is down.
    async fn down(answers: &'static [&'static str]) -> Option<Cause> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = Some(format!("http://{}", listener.local_addr().unwrap()));
        tokio::spawn(async move {
            for answer in answers {
                let (mut socket, _) = listener.accept().await.unwrap();
                let _ = socket.read(&mut [0; 1024]).await;
                socket.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let deadline = Deadline::after(Duration::from_secs(60))
            .with_waits(bursar_core::deadline::Waits::shorten_by(1_000));
        OwnSite { origin }.is_down(deadline).await.unwrap()
    }

    const FINE: &str = "HTTP/1.1 302 Found\r\nlocation: https://sso.example.edu\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
    const BROKEN: &str =
        "HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_site_is_down_when_two_tries_come_to_nothing() {
        assert_eq!(down(&[FINE]).await, None);
        assert_eq!(down(&[BROKEN, FINE]).await, None);
        let why = "it answers 503 Service Unavailable".to_owned();
        assert_eq!(down(&[BROKEN, BROKEN]).await, Some(Cause::SiteDown { why }));
        let Some(Cause::SiteDown { why }) = down(&[]).await else {
            panic!("nobody listens")
        };
        assert!(
            why.starts_with("no connection: ") && !why.contains("127.0.0.1"),
            "{why}"
        );
    }
}
