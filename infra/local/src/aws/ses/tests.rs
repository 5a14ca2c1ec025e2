//! The stand-in for SES as the real SDK sees it, and as a real mail server does.

use std::time::Duration;

use aws_sdk_ses::Client;
use aws_sdk_ses::config::retry::RetryConfig;
use aws_sdk_ses::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_ses::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ses::primitives::Blob;
use aws_sdk_ses::types::{MessageTag, RawMessage};
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
async fn a_raw_mail_is_kept_byte_for_byte_with_its_envelope_set_and_tags() {
    let now: Timestamp = "2026-11-20T09:00:00Z".parse().unwrap();
    let ses = Ses::new(StateFile::in_memory().unwrap(), Clock::reading(move || now)).unwrap();
    let sent = client(&ses)
        .await
        .send_raw_email()
        .source("Bursar <bounces@example.edu>")
        .destinations("ada@example.edu")
        .destinations("Bob <bob@example.edu>")
        .raw_message(RawMessage::builder().data(Blob::new(RAW)).build().unwrap())
        .configuration_set_name("events")
        .tags(MessageTag::builder().name("deployment").value("d1").build().unwrap())
        .send()
        .await
        .unwrap();

    let mails = ses.mails();
    assert_eq!(mails.len(), 1);
    assert_eq!((mails[0].id.as_str(), mails[0].at), (sent.message_id(), now));
    assert_eq!(mails[0].from, "bounces@example.edu");
    assert_eq!(mails[0].to, ["ada@example.edu", "bob@example.edu"]);
    assert_eq!(mails[0].raw, RAW);
    assert_eq!(mails[0].configuration_set.as_deref(), Some("events"));
    assert_eq!(mails[0].tags["deployment"], "d1");
    assert_eq!(ses.mail(sent.message_id()).unwrap().raw, RAW);
}

#[tokio::test]
async fn a_raw_mail_without_an_envelope_takes_it_from_its_headers() {
    let ses = empty();
    let raw = RawMessage::builder().data(Blob::new(RAW)).build().unwrap();
    client(&ses).await.send_raw_email().raw_message(raw).send().await.unwrap();
    assert_eq!(ses.mails()[0].from, "bursar@example.edu");
    assert_eq!(ses.mails()[0].to, ["ada@example.edu"]);
}

#[tokio::test]
async fn what_ses_cannot_send_is_refused_in_its_words_and_not_kept() {
    let ses = empty();
    let client = client(&ses).await;
    for (to, why) in [
        ("ädä@example.edu", "Illegal address: 'ädä@example.edu'."),
        ("nobody", "Illegal address: 'nobody'."),
        ("<a&b>", "Illegal address: '<a&b>'."),
        (
            "ada@example.edu\r\nBcc: bob@example.edu",
            "Illegal address: 'ada@example.edu\u{fffd}\nBcc: bob@example.edu'.",
        ),
        ("", "Illegal address: ''."),
    ] {
        let refused = send_raw(&client, to).await.unwrap_err();
        assert_eq!(refused, ("InvalidParameterValue".into(), why.into()));
    }
    let crowd = (0..51).map(|number| format!("student{number}@example.edu")).collect();
    let raw = RawMessage::builder().data(Blob::new(RAW)).build().unwrap();
    let refused = client.send_raw_email().set_destinations(Some(crowd)).raw_message(raw).send().await.unwrap_err();
    assert_eq!(told(&refused).1, "Recipient count exceeds 50.");
    assert!(ses.mails().is_empty());
}

#[tokio::test]
async fn the_quota_is_what_was_set_and_what_was_sent_in_the_last_day_and_its_daily_part_holds() {
    let now = Arc::new(Mutex::new("2026-11-20T09:00:00Z".parse::<Timestamp>().unwrap()));
    let clock = {
        Clock::reading({
            let now = now.clone();
            move || *now.lock().unwrap()
        })
    };
    let ses = Ses::new(StateFile::in_memory().unwrap(), clock).unwrap();
    let client = client(&ses).await;
    send_raw(&client, "ada@example.edu").await.unwrap();

    let quota = client.get_send_quota().send().await.unwrap();
    assert_eq!((quota.max24_hour_send(), quota.max_send_rate(), quota.sent_last24_hours()), (50_000.0, 14.0, 1.0));
    ses.set_quota(Quota { per_day: 1, per_second: 1 });
    let quota = client.get_send_quota().send().await.unwrap();
    assert_eq!((quota.max24_hour_send(), quota.max_send_rate(), quota.sent_last24_hours()), (1.0, 1.0, 1.0));
    let refused = send_raw(&client, "bob@example.edu").await.unwrap_err();
    assert_eq!(refused, ("Throttling".into(), "Daily message quota exceeded.".into()));

    *now.lock().unwrap() += DAY;
    send_raw(&client, "bob@example.edu").await.unwrap();
    assert_eq!(client.get_send_quota().send().await.unwrap().sent_last24_hours(), 1.0);
}

#[tokio::test]
async fn each_fault_fails_a_send_in_its_way_and_only_a_lost_answer_leaves_a_mail() {
    let ses = empty();
    let client = client(&ses).await;
    for (fault, code, kept) in [
        (Fault::Throttle, "Throttling", 0),
        (Fault::Reject, "MessageRejected", 0),
        (Fault::Fail, "InternalFailure", 0),
        (Fault::Lose, "no answer", 1),
    ] {
        let before = ses.mails().len();
        ses.fail_next(fault, 1, None);
        assert_eq!(send_raw(&client, "ada@example.edu").await.unwrap_err().0, code);
        assert_eq!(ses.mails().len() - before, kept, "{fault:?}");
        send_raw(&client, "ada@example.edu").await.unwrap();
    }
}

#[tokio::test]
async fn a_failure_answers_500_and_a_throttle_400() {
    let ses = empty();
    let client = client(&ses).await;
    for (fault, status) in [(Fault::Fail, 500), (Fault::Throttle, 400), (Fault::Reject, 400)] {
        ses.fail_next(fault, 1, Some("ada@example.edu"));
        let raw = RawMessage::builder().data(Blob::new(RAW)).build().unwrap();
        let failed = client.send_raw_email().raw_message(raw).send().await.unwrap_err();
        assert_eq!(failed.raw_response().unwrap().status().as_u16(), status);
    }
}

#[tokio::test]
async fn an_action_that_is_not_known_is_an_invalid_action() {
    let ses = empty();
    let refused = client(&ses).await.list_identities().send().await.unwrap_err();
    assert_eq!(
        told(&refused),
        ("InvalidAction".into(), "Could not find operation ListIdentities for version 2010-12-01".into())
    );
    let origin = on_a_free_port(ses.router()).await;
    let malformed = reqwest::Client::new().post(origin).body("{}").send().await.unwrap();
    assert_eq!(malformed.status(), 400);
    assert!(malformed.text().await.unwrap().contains("<Code>MalformedQueryString</Code>"));
}

#[tokio::test]
async fn mails_are_there_again_after_reopening_in_their_order_whatever_their_bytes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let ses = Ses::new(StateFile::open(&path).unwrap(), Clock::system()).unwrap();
    let sender = client(&ses).await;
    let bytes = b"From: a@example.edu\r\nTo: b@example.edu\r\n\r\n\xff\xfe\r\n";
    for raw in [RAW, bytes] {
        let raw = RawMessage::builder().data(Blob::new(raw)).build().unwrap();
        sender.send_raw_email().raw_message(raw).send().await.unwrap();
    }
    let ids: Vec<String> = ses.mails().into_iter().map(|mail| mail.id).collect();

    let again = Ses::new(StateFile::open(&path).unwrap(), Clock::system()).unwrap();
    assert_eq!(again.mails().iter().map(|mail| mail.id.clone()).collect::<Vec<_>>(), ids);
    assert_eq!(again.mails()[0].raw, RAW);
    assert_eq!(again.mails()[1].raw.as_ref(), bytes);
    send_raw(&client(&again).await, "ada@example.edu").await.unwrap();
    assert_eq!(Ses::new(StateFile::open(&path).unwrap(), Clock::system()).unwrap().mails().len(), 3);
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
async fn a_mail_that_a_fault_refuses_is_not_relayed_and_one_whose_answer_is_lost_is() {
    let sink = Sink::open(Reply::Take).await;
    let ses = empty();
    ses.set_relay(&sink.url()).unwrap();
    let client = client(&ses).await;
    for fault in [Fault::Throttle, Fault::Reject, Fault::Fail] {
        ses.fail_next(fault, 1, None);
        send_raw(&client, "ada@example.edu").await.unwrap_err();
        assert!(sink.taken().is_empty(), "{fault:?}");
    }
    ses.fail_next(Fault::Lose, 1, None);
    send_raw(&client, "ada@example.edu").await.unwrap_err();
    assert_eq!(sink.taken().len(), 1);
}

#[tokio::test]
async fn a_client_that_goes_away_meanwhile_leaves_no_mail_relayed_and_not_kept() {
    let sink = Sink::open(Reply::Hesitate).await;
    let ses = empty();
    ses.set_relay(&sink.url()).unwrap();
    let client = client(&ses).await;
    let impatient = tokio::spawn({
        let client = client.clone();
        async move { send_raw(&client, "ada@example.edu").await }
    });
    sink.hesitates().await;
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());
    // After another request with its answer, the stand-in has seen the first connection close.
    client.get_send_quota().send().await.unwrap();

    sink.go_on();
    let kept = async {
        while ses.mails().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), kept).await.expect("what was relayed is kept");
    assert_eq!(sink.taken().len(), 1);
}

#[test]
fn a_relay_is_smtp_with_host_and_port_and_nothing_else_is_believed() {
    let ses = empty();
    for wrong in ["localhost:25", "smtps://localhost:465", "smtp://localhost", "smtp://ada:pw@localhost:25", "smtp://"]
    {
        let error = format!("{:#}", ses.set_relay(wrong).unwrap_err());
        assert!(error.contains("smtp://host:port"), "{wrong}: {error}");
    }
    assert_eq!(ses.relay(), None);
    ses.set_relay("smtp://[::1]:2525").unwrap();
    assert_eq!(ses.relay().as_deref(), Some("[::1]:2525"));
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

#[tokio::test]
async fn a_mail_shows_neither_its_bytes_nor_its_people_in_debug_output() {
    let ses = empty();
    send_raw(&client(&ses).await, "ada@example.edu").await.unwrap();
    let shown = format!("{:?}", ses.mails());
    assert!(!shown.contains('@') && !shown.contains("dot"), "{shown}");
}

#[tokio::test]
async fn in_the_sandbox_only_verified_addresses_are_mailed_and_a_paused_account_mails_nobody() {
    let ses = empty();
    let client = client(&ses).await;
    assert!(client.get_account_sending_enabled().send().await.unwrap().enabled());
    ses.set_sandbox(&["Ada@example.edu"]);
    assert_eq!(client.get_send_quota().send().await.unwrap().max24_hour_send(), 200.0);
    send_raw(&client, "ada@example.edu").await.unwrap();
    let (code, words) = send_raw(&client, "bob@example.edu").await.unwrap_err();
    assert_eq!(code, "MessageRejected");
    assert!(words.starts_with("Email address is not verified.") && words.ends_with(": bob@example.edu"), "{words}");
    ses.set_enabled(false);
    assert!(!client.get_account_sending_enabled().send().await.unwrap().enabled());
    assert_eq!(send_raw(&client, "ada@example.edu").await.unwrap_err().0, "AccountSendingPausedException");
}
