//! Hands mails to a real mail server: each in a conversation of its own, unchanged, with its
//! envelope. Mails contain links that sign people in, so they leave this machine encrypted or not
//! at all, and so does a password.

use std::net::IpAddr;
use std::time::Duration;

use http::Uri;
use lettre::address::Envelope;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, TlsParameters};
use lettre::transport::smtp::commands::{Data, Mail, Rcpt};
use lettre::transport::smtp::extension::ClientId;
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

/// The time for all before the content, and for the content: together less than a sender leaves for
/// one mail.
const PATIENCE: Duration = Duration::from_secs(9);

const GOODBYE: Duration = Duration::from_secs(1);

const FORM: &str =
    "must be like smtp://smtp.university.edu:25 or smtps://USER@smtp.university.edu:465";

/// A mail server and how it is spoken to.
#[derive(Clone)]
pub struct Relay {
    host: String,
    port: u16,
    encryption: Encryption,
    credentials: Option<Credentials>,
    hello: ClientId,
}

#[derive(Clone)]
enum Encryption {
    None,
    /// Asked for before anything else is said.
    StartTls(TlsParameters),
    FromTheStart(TlsParameters),
}

/// Why a mail was not handed on.
#[derive(Debug)]
pub struct Untaken {
    pub(super) concern: Concern,
    /// Whether it would be the same another time.
    pub(super) is_final: bool,
    /// What the server said, or what failed. It may name a recipient.
    pub why: String,
}

/// What was being said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Concern {
    /// What is said whoever gets the mail: connection, encryption, user, sender.
    Everything,
    Recipient,
    Content,
}

impl Relay {
    /// Reads `smtp://HOST:PORT` or `smtps://USER@HOST:PORT`. `hello` is the name of this machine
    /// that the server is told.
    pub fn new(url: &str, password: Option<String>, hello: Option<&str>) -> Result<Relay, String> {
        let uri: Uri = url.parse().map_err(|_| FORM)?;
        let authority = uri.authority().ok_or(FORM)?;
        let port = uri.port_u16().ok_or(FORM)?;
        let host = authority
            .host()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let encryption = match uri.scheme_str() {
            Some("smtps") => Encryption::FromTheStart(encrypted(&host)?),
            Some("smtp") if is_this_machine(&host) => Encryption::None,
            Some("smtp") => Encryption::StartTls(encrypted(&host)?),
            _ => return Err(FORM.to_owned()),
        };
        let user = authority
            .as_str()
            .rsplit_once('@')
            .map(|(user, _)| percent_decode_str(user).decode_utf8_lossy());
        let credentials = match (user, password) {
            (None, _) => None,
            (Some(user), _) if user.contains(':') => {
                return Err(
                    "must not hold a password: put it into the file that smtp_password_file names"
                        .to_owned(),
                );
            }
            (Some(_), None) => {
                return Err("names a user, so smtp_password_file is needed".to_owned());
            }
            (Some(_), _) if matches!(encryption, Encryption::None) => {
                return Err(
                    "names a user, whose password is sent encrypted only: use smtps://".to_owned(),
                );
            }
            (Some(user), Some(password)) => Some(Credentials::new(user.into_owned(), password)),
        };
        let hello = hello.map_or_else(ClientId::default, |name| ClientId::Domain(name.to_owned()));
        Ok(Relay {
            host,
            port,
            encryption,
            credentials,
            hello,
        })
    }

    pub fn server(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// Returns when the server accepted the mail.
    pub(super) async fn hand_on(&self, envelope: &Envelope, raw: &[u8]) -> Result<(), Untaken> {
        let begun = timeout(PATIENCE, self.begin(envelope)).await;
        let mut connection = begun.unwrap_or_else(|_| Err(Untaken::silent(Concern::Everything)))?;
        // The content ends with a line break and a dot; lettre always writes that line break
        // itself.
        let content = raw.strip_suffix(b"\r\n").unwrap_or(raw);
        let sent = timeout(PATIENCE, connection.message(content)).await;
        sent.map_err(|_| Untaken::silent(Concern::Content))?
            .map_err(|error| Untaken::new(Concern::Content, &error))?;
        // It has the mail, whatever it answers to this.
        let _ = timeout(GOODBYE, connection.quit()).await;
        Ok(())
    }

    /// Says all that comes before a mail, and none.
    pub async fn try_out(&self) -> Result<(), Untaken> {
        let opened = timeout(PATIENCE, self.open()).await;
        opened
            .unwrap_or_else(|_| Err(Untaken::silent(Concern::Everything)))?
            .abort()
            .await;
        Ok(())
    }

    /// A connection that is encrypted and signed in as it has to be.
    async fn open(&self) -> Result<AsyncSmtpConnection, Untaken> {
        let opened = async {
            let from_the_start = match &self.encryption {
                Encryption::FromTheStart(tls) => Some(tls.clone()),
                Encryption::None | Encryption::StartTls(_) => None,
            };
            let server = (self.host.as_str(), self.port);
            let mut connection = AsyncSmtpConnection::connect_tokio1(
                server,
                None,
                &self.hello,
                from_the_start,
                None,
            )
            .await?;
            if let Encryption::StartTls(tls) = &self.encryption {
                connection.starttls(tls.clone(), &self.hello).await?;
            }
            if let Some(credentials) = &self.credentials {
                connection.auth(DEFAULT_MECHANISMS, credentials).await?;
            }
            Ok::<_, Error>(connection)
        };
        opened
            .await
            .map_err(|error| Untaken::new(Concern::Everything, &error))
    }

    /// A connection that waits for the content, which is in ASCII.
    async fn begin(&self, envelope: &Envelope) -> Result<AsyncSmtpConnection, Untaken> {
        let mut connection = self.open().await?;
        let sender = connection
            .command(Mail::new(envelope.from().cloned(), Vec::new()))
            .await;
        sender.map_err(|error| Untaken::new(Concern::Everything, &error))?;
        for recipient in envelope.to() {
            let recipient = connection
                .command(Rcpt::new(recipient.clone(), Vec::new()))
                .await;
            recipient.map_err(|error| Untaken::new(Concern::Recipient, &error))?;
        }
        connection
            .command(Data)
            .await
            .map_err(|error| Untaken::new(Concern::Content, &error))?;
        Ok(connection)
    }
}

impl Untaken {
    /// A connection that cannot be encrypted or signed in at all is as final as a refusal for good.
    /// What is wrong with a certificate is told as a fault of the connection.
    fn new(concern: Concern, error: &Error) -> Untaken {
        let why = error.to_string();
        let is_final = error.is_permanent()
            || error.is_client()
            || error.is_tls()
            || why.to_lowercase().contains("certificate");
        Untaken {
            concern,
            is_final,
            why,
        }
    }

    fn silent(concern: Concern) -> Untaken {
        Untaken {
            concern,
            is_final: false,
            why: "no answer in time".to_owned(),
        }
    }
}

fn encrypted(host: &str) -> Result<TlsParameters, String> {
    TlsParameters::new(host.to_owned()).map_err(|error| error.to_string())
}

/// Whether the host is this machine, so that no encryption is needed.
fn is_this_machine(host: &str) -> bool {
    host == "localhost"
        || host
            .parse::<IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    const RAW: &str =
        "To: a@b.example\r\n\r\n.a line that begins with a dot\r\n.\r\nthe last line\r\n";

    /// Relays a mail to a server that takes mails, but answers one command (`.`: the end of the
    /// data) with `reply`. Returns the code of the refusal, if it was refused, and what the server
    /// heard.
    async fn relayed(
        command: &'static str,
        reply: &'static str,
        encryption: Encryption,
    ) -> (Option<(Concern, bool)>, String) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tokio::spawn(async move {
            converse(listener.accept().await.unwrap().0, command, reply).await
        });
        let to = ["ada@example.edu", "bob@example.edu"].map(|to| to.parse().unwrap());
        let envelope =
            Envelope::new(Some("bounces@example.edu".parse().unwrap()), to.into()).unwrap();
        let relay = Relay::new(
            &format!("smtp://127.0.0.1:{port}"),
            None,
            Some("bursar.example.edu"),
        )
        .unwrap();
        let untaken = Relay {
            encryption,
            ..relay
        }
        .hand_on(&envelope, RAW.as_bytes())
        .await
        .err();
        (
            untaken.map(|untaken| (untaken.concern, untaken.is_final)),
            server.await.unwrap(),
        )
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

    /// A mail is relayed byte for byte, or it is known whom the server's refusal concerns.
    #[tokio::test]
    async fn a_mail_is_relayed_unchanged() {
        let (untaken, heard) = relayed("", "", Encryption::None).await;
        assert_eq!(untaken, None);
        // In SMTP a line that begins with a dot gets another one.
        let data = format!("DATA\r\n{}.\r\n", RAW.replace("\r\n.", "\r\n.."));
        let envelope = [
            "EHLO bursar.example.edu",
            "MAIL FROM:<bounces@example.edu>",
            "RCPT TO:<ada@example.edu>",
            "RCPT TO:<bob@example.edu>",
        ];
        for part in envelope.into_iter().chain([data.as_str()]) {
            assert!(heard.contains(part), "{heard}");
        }
        for (command, reply, concern, is_final) in [
            ("EHLO", "421 4.3.2 too busy", Concern::Everything, false),
            (
                "MAIL",
                "550 5.7.1 not your sender",
                Concern::Everything,
                true,
            ),
            ("RCPT", "450 4.2.1 mailbox busy", Concern::Recipient, false),
            ("RCPT", "550 5.1.1 no such person", Concern::Recipient, true),
            (".", "452 4.3.1 disk full", Concern::Content, false),
            (".", "554 5.6.0 too ugly", Concern::Content, true),
        ] {
            assert_eq!(
                relayed(command, reply, Encryption::None).await.0,
                Some((concern, is_final)),
                "{reply}"
            );
        }
    }

    #[tokio::test]
    async fn a_mail_leaves_this_machine_encrypted_or_not_at_all() {
        for (host, stays) in [
            ("localhost", true),
            ("::1", true),
            ("mail.example.edu", false),
            ("10.0.0.7", false),
        ] {
            assert_eq!(is_this_machine(host), stays, "{host}");
        }
        // The server has no STARTTLS.
        let encrypted = Encryption::StartTls(TlsParameters::new("localhost".to_owned()).unwrap());
        let (untaken, heard) = relayed("", "", encrypted).await;
        assert_eq!(untaken, Some((Concern::Everything, true)));
        assert!(
            !heard.contains("MAIL") && !heard.contains("DATA"),
            "{heard}"
        );
        // A certificate that nobody vouches for stays one. This is TLS' alert about it.
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!(
            "smtps://localhost:{}",
            listener.local_addr().unwrap().port()
        );
        let server = tokio::spawn(async move {
            let mut stream = listener.accept().await.unwrap().0;
            stream.write_all(&[21, 3, 3, 0, 2, 2, 46]).await.unwrap();
            stream
        });
        let untaken = Relay::new(&url, None, None)
            .unwrap()
            .try_out()
            .await
            .unwrap_err();
        assert_eq!(
            (untaken.concern, untaken.is_final),
            (Concern::Everything, true),
            "{}",
            untaken.why
        );
        drop(server.await.unwrap());
    }
}
