//! Relays accepted mails to a real mail server: each once, unchanged, with its envelope. The server's reply
//! becomes the answer of SES. Mails contain links that sign people in, so they leave this machine encrypted
//! or not at all.

use std::net::IpAddr;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use http::Uri;
use lettre::address::Envelope;
use lettre::transport::smtp::AsyncSmtpTransport;
use lettre::transport::smtp::client::{Tls, TlsParameters};
use lettre::{AsyncTransport, Tokio1Executor};

use super::Refusal;

/// The time-out of the connection and of each reply, shorter than that of an SES client.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Clone)]
pub struct Relay {
    pub(super) server: String,
    transport: AsyncSmtpTransport<Tokio1Executor>,
}

impl FromStr for Relay {
    type Err = anyhow::Error;

    fn from_str(url: &str) -> Result<Relay> {
        let explain = || format!("a mail server is given as smtp://host:port, without a user, and not as {url}");
        let uri: Uri = url.parse().with_context(explain)?;
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@')).with_context(explain)?;
        let port = uri.port_u16().with_context(explain)?;
        ensure!(uri.scheme_str() == Some("smtp"), explain());
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        let tls = if is_this_machine(host) { Tls::None } else { Tls::Required(TlsParameters::new(host.to_owned())?) };
        Ok(Relay::over(host, port, tls))
    }
}

impl Relay {
    fn over(host: &str, port: u16, tls: Tls) -> Relay {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::builder_dangerous(host);
        let transport = builder.port(port).tls(tls).timeout(Some(PATIENCE)).build();
        Relay { server: format!("{host}:{port}"), transport }
    }

    /// Returns when the server accepted the mail.
    pub(super) async fn hand_on(&self, envelope: &Envelope, raw: &[u8]) -> Result<(), Refusal> {
        // The data ends with a line break and a dot; lettre always writes that line break itself.
        let message = raw.strip_suffix(b"\r\n").unwrap_or(raw);
        let Err(error) = self.transport.send_raw(envelope, message).await else {
            return Ok(());
        };
        tracing::warn!(server = self.server, status = ?error.status(), "the mail server did not take a mail");
        // A client error is caused by the mail: eight-bit data for a server that accepts none.
        if error.is_permanent() || error.is_client() {
            Err(Refusal::new("MessageRejected", format!("The mail server refused the mail: {error}")))
        } else {
            Err(Refusal::new("Throttling", format!("The mail server cannot take the mail now: {error}")))
        }
    }
}

/// Whether the host is this machine, so that no encryption is needed.
fn is_this_machine(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const RAW: &str = "To: a@b.example\r\n\r\n.a line that begins with a dot\r\n.\r\nthe last line\r\n";

    /// Relays a mail to a server that takes mails, but answers one command (`.`: the end of the data) with
    /// `reply`. Returns the code of the refusal, if it was refused, and what the server heard.
    async fn relayed(command: &'static str, reply: &'static str, tls: Tls) -> (Option<&'static str>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move { converse(listener.accept().await.unwrap().0, command, reply).await });
        let to = ["ada@example.edu", "bob@example.edu"].map(|to| to.parse().unwrap());
        let envelope = Envelope::new(Some("bounces@example.edu".parse().unwrap()), to.into()).unwrap();
        let refusal = Relay::over("127.0.0.1", port, tls).hand_on(&envelope, RAW.as_bytes()).await.err();
        (refusal.map(|Refusal(code, _)| code), server.await.unwrap())
    }

    async fn converse(stream: TcpStream, command: &str, reply: &str) -> String {
        let mut stream = BufReader::new(stream);
        let mut heard = String::new();
        let mut is_data = false;
        let mut answer = "220 test\r\n".to_owned();
        while stream.write_all(answer.as_bytes()).await.is_ok() {
            let start = heard.len();
            if stream.read_line(&mut heard).await.unwrap_or(0) == 0 {
                break;
            }
            let word = heard[start..].split([' ', ':', '\r']).next().unwrap();
            answer = match word {
                _ if is_data && word != "." => String::new(),
                _ if word == command => format!("{reply}\r\n"),
                "DATA" => "354 go on\r\n".to_owned(),
                _ => "250 8BITMIME\r\n".to_owned(),
            };
            is_data = word == "DATA" || is_data && word != ".";
        }
        heard
    }

    /// A mail is relayed byte for byte, or refused with what the server says.
    #[tokio::test]
    async fn a_mail_is_relayed_unchanged() {
        let (refusal, heard) = relayed("", "", Tls::None).await;
        assert_eq!(refusal, None);
        // In SMTP a line that begins with a dot gets another one.
        let data = format!("DATA\r\n{}.\r\n", RAW.replace("\r\n.", "\r\n.."));
        let envelope = ["MAIL FROM:<bounces@example.edu>", "RCPT TO:<ada@example.edu>", "RCPT TO:<bob@example.edu>"];
        for part in envelope.into_iter().chain([data.as_str()]) {
            assert!(heard.contains(part), "{heard}");
        }
        for (command, reply, code) in [
            ("RCPT", "450 4.2.1 mailbox busy", "Throttling"),
            ("RCPT", "550 5.1.1 no such person", "MessageRejected"),
            (".", "452 4.3.1 disk full", "Throttling"),
            (".", "554 5.6.0 too ugly", "MessageRejected"),
        ] {
            assert_eq!(relayed(command, reply, Tls::None).await.0, Some(code), "{reply}");
        }
    }

    #[tokio::test]
    async fn a_mail_leaves_this_machine_encrypted_or_not_at_all() {
        for (host, stays) in [("localhost", true), ("::1", true), ("mail.example.edu", false), ("10.0.0.7", false)] {
            assert_eq!(is_this_machine(host), stays, "{host}");
        }
        // The server has no STARTTLS.
        let encrypted = Tls::Required(TlsParameters::new("localhost".to_owned()).unwrap());
        let (refusal, heard) = relayed("", "", encrypted).await;
        assert_eq!(refusal, Some("MessageRejected"));
        assert!(!heard.contains("MAIL") && !heard.contains("DATA"), "{heard}");
    }
}
