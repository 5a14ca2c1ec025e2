//! The stand-in for SES as the real SDK sees it, and as a real mail server does.

use aws_sdk_ses::Client;
use aws_sdk_ses::config::retry::RetryConfig;
use aws_sdk_ses::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::RawMessage;
use lettre::transport::smtp::client::{Tls, TlsParameters};

use super::relay::is_this_machine;
use super::*;
use crate::base::serve::on_a_free_port;

mod sink;

use sink::{Reply, Sink};

const RAW: &[u8] = b"From: Bursar <bursar@example.edu>\r\nTo: ada@example.edu\r\nSubject: raw\r\n\r\n\
    .a line that begins with a dot\r\n..two dots\r\n.\r\nthe last line\r\n";

/// The real SDK, without retries.
pub(crate) async fn client(ses: &Ses) -> Client {
    let config = aws_sdk_ses::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("any", "any", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(on_a_free_port(ses.router()).await)
        .build();
    Client::from_conf(config)
}

fn empty() -> Ses {
    Ses::new(StateFile::in_memory().unwrap(), Clock::system()).unwrap()
}

async fn send_raw(client: &Client, to: &str) -> Result<String, (String, String)> {
    let sent = client
        .send_raw_email()
        .source("bounces@example.edu")
        .destinations(to)
        .raw_message(RawMessage::builder().data(Blob::new(RAW)).build().unwrap())
        .send()
        .await;
    sent.map(|sent| sent.message_id).map_err(|error| told(&error))
}

fn told<E: ProvideErrorMetadata, R: std::fmt::Debug>(error: &SdkError<E, R>) -> (String, String)
where
    SdkError<E, R>: ProvideErrorMetadata,
{
    if matches!(error, SdkError::DispatchFailure(_) | SdkError::ResponseError(_)) {
        return ("no answer".into(), String::new());
    }
    (error.code().unwrap_or_default().into(), error.message().unwrap_or_default().into())
}

#[tokio::test]
async fn an_accepted_mail_is_relayed_once_byte_for_byte_with_its_envelope_before_the_answer() {
    let sink = Sink::open(Reply::Take).await;
    let ses = empty();
    ses.set_relay(&sink.url()).unwrap();
    let client = client(&ses).await;
    let unended = b"From: a@example.edu\r\nTo: b@example.edu\r\n\r\n.";
    for raw in [RAW, unended] {
        let raw = RawMessage::builder().data(Blob::new(raw)).build().unwrap();
        let request = client.send_raw_email().source("bounces@example.edu").raw_message(raw);
        request.destinations("ada@example.edu").destinations("bob@example.edu").send().await.unwrap();
    }

    let taken = sink.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].from, "<bounces@example.edu>");
    assert_eq!(taken[0].to, ["<ada@example.edu>", "<bob@example.edu>"]);
    assert_eq!(taken[0].data, RAW);
    // SMTP adds a line break to a message that does not end with one.
    assert_eq!(taken[1].data, [unended.as_slice(), b"\r\n"].concat());
}

#[tokio::test]
async fn a_mail_that_the_server_takes_later_or_never_is_throttled_or_rejected_and_not_kept() {
    for (reply, code) in [
        (Reply::Refuse("RCPT", "450 4.2.1 mailbox busy"), "Throttling"),
        (Reply::Refuse("RCPT", "550 5.1.1 no such person"), "MessageRejected"),
        (Reply::Refuse("MAIL", "451 4.7.1 greylisted"), "Throttling"),
        (Reply::Refuse(".", "554 5.6.0 too ugly"), "MessageRejected"),
        (Reply::Refuse(".", "452 4.3.1 disk full"), "Throttling"),
        (Reply::Refuse("EHLO", ""), "Throttling"),
    ] {
        let sink = Sink::open(reply).await;
        let ses = empty();
        ses.set_relay(&sink.url()).unwrap();
        assert_eq!(send_raw(&client(&ses).await, "ada@example.edu").await.unwrap_err().0, code, "{reply:?}");
        assert!(ses.mails().is_empty() && sink.taken().is_empty(), "{reply:?}");
    }
}

#[tokio::test]
async fn without_a_mail_server_at_the_other_end_a_mail_is_throttled_and_not_kept() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let ses = empty();
    ses.set_relay(&format!("smtp://{closed}")).unwrap();
    assert_eq!(send_raw(&client(&ses).await, "ada@example.edu").await.unwrap_err().0, "Throttling");
    assert!(ses.mails().is_empty());
}

#[tokio::test]
async fn a_mail_leaves_this_machine_encrypted_or_not_at_all() {
    for (host, stays) in
        [("localhost", true), ("127.0.0.1", true), ("::1", true), ("mail.example.edu", false), ("10.0.0.7", false)]
    {
        assert_eq!(is_this_machine(host), stays, "{host}");
    }
    // A server without STARTTLS.
    let sink = Sink::open(Reply::Take).await;
    let port = sink.url().rsplit(':').next().unwrap().parse().unwrap();
    let encrypted = Tls::Required(TlsParameters::new("localhost".to_owned()).unwrap());
    let ses = empty();
    ses.state().relay = Some(Relay::over("elsewhere".to_owned(), "127.0.0.1", port, encrypted));
    let (code, words) = send_raw(&client(&ses).await, "ada@example.edu").await.unwrap_err();
    assert_eq!(code, "MessageRejected", "{words}");
    assert!(words.contains("STARTTLS"), "{words}");
    assert!(sink.taken().is_empty() && ses.mails().is_empty());
}
