//! Relays accepted mails to a real mail server: each once, unchanged, with its envelope. The server's reply
//! becomes the answer of SES. Mails contain links that sign people in, so they leave this machine encrypted
//! or not at all.

use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use http::uri::Authority;
use lettre::address::Envelope;
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{Address, AsyncTransport, Tokio1Executor};

use super::Mail;
use super::answer::Refusal;

/// The time-out of the connection and of each reply, shorter than that of an SES client.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub(super) struct Relay {
    /// The server as `host:port`.
    pub(super) server: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl Relay {
    pub(super) fn to(url: &str) -> Result<Relay> {
        let server = url.strip_prefix("smtp://").map(|rest| rest.trim_end_matches('/'));
        let authority = server.and_then(|server| server.parse::<Authority>().ok());
        let Some((authority, port)) = authority.and_then(|authority| Some((authority.clone(), authority.port_u16()?)))
        else {
            bail!("a mail server is given as smtp://host:port, not as {url}");
        };
        if authority.as_str().contains('@') {
            bail!("a mail server is given as smtp://host:port, without a user");
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = if is_this_machine(host) { Tls::None } else { Tls::Required(TlsParameters::new(host.to_owned())?) };
        Ok(Relay::over(authority.to_string(), host, port, tls))
    }

    pub(super) fn over(server: String, host: &str, port: u16, tls: Tls) -> Relay {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
        let transport = builder.port(port).tls(tls).timeout(Some(PATIENCE)).build();
        Relay { server, transport }
    }

    /// Returns when the server accepted the mail.
    pub(super) async fn hand_on(&self, mail: &Mail) -> Result<(), Refusal> {
        let envelope = envelope(mail).map_err(|error| Refusal::Invalid(format!("{error:#}")))?;
        // The data ends with a line break and a dot; lettre always writes that line break itself.
        let data = mail.raw.strip_suffix(b"\r\n").unwrap_or(&mail.raw);
        let Err(error) = self.transport.send_raw(&envelope, data).await else {
            return Ok(());
        };
        tracing::warn!(server = self.server, status = ?error.status(), "the mail server did not take a mail");
        // A client error is caused by the mail: eight-bit data for a server that accepts none.
        if error.is_permanent() || error.is_client() {
            Err(Refusal::Rejected(format!("The mail server refused the mail: {error}")))
        } else {
            Err(Refusal::Throttled(format!("The mail server cannot take the mail now: {error}")))
        }
    }
}

/// Whether the host is this machine, so that no encryption is needed.
pub(super) fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn envelope(mail: &Mail) -> Result<Envelope> {
    let from: Address = mail.from.parse().context("the sender's address")?;
    let to = mail.to.iter().map(|to| to.parse()).collect::<Result<_, _>>().context("a recipient's address")?;
    Ok(Envelope::new(Some(from), to)?)
}
