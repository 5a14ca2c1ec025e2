//! Mail that leaves this machine, as the mail server at the other end sees it.

use std::collections::BTreeMap;

use lettre::transport::smtp::client::{Tls, TlsParameters};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::relay::is_this_machine;
use super::*;

const RAW: &str = "To: a@b.example\r\n\r\n.a line that begins with a dot\r\n.\r\nthe last line\r\n";

/// Hands a mail on to a server that takes mails, but answers one command (`.`: the end of the data) with `reply`. Tells what came of
/// it, and what the server heard.
async fn handed_on(command: &'static str, reply: &'static str, tls: Tls) -> (Result<(), Refusal>, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let server = tokio::spawn(async move { converse(listener.accept().await.unwrap().0, command, reply).await });
    let mail = Mail {
        id: String::new(),
        at: Timestamp::UNIX_EPOCH,
        from: "bounces@example.edu".to_owned(),
        to: ["ada@example.edu", "bob@example.edu"].map(str::to_owned).into(),
        raw: RAW.into(),
        configuration_set: None,
        tags: BTreeMap::new(),
    };
    let relay = Relay::over(format!("127.0.0.1:{port}"), "127.0.0.1", port, tls);
    let handed_on = relay.hand_on(&mail).await;
    drop(relay);
    (handed_on, server.await.unwrap())
}

async fn converse(stream: TcpStream, command: &str, reply: &str) -> String {
    let (mut stream, mut heard, mut is_data) = (BufReader::new(stream), String::new(), false);
    let mut answer = "220 test\r\n".to_owned();
    loop {
        let start = heard.len();
        if stream.write_all(answer.as_bytes()).await.is_err() || stream.read_line(&mut heard).await.unwrap_or(0) == 0 {
            return heard;
        }
        let line = &heard[start..];
        is_data = is_data && line != ".\r\n";
        answer = match line.split([' ', ':', '\r']).next().unwrap() {
            _ if is_data => String::new(),
            told if told == command => format!("{reply}\r\n"),
            "DATA" => {
                is_data = true;
                "354 go on\r\n".to_owned()
            }
            _ => "250 8BITMIME\r\n".to_owned(),
        };
    }
}

#[tokio::test]
async fn a_mail_is_relayed_byte_for_byte_with_its_envelope_or_throttled_or_rejected_as_the_server_says() {
    let (taken, heard) = handed_on("", "", Tls::None).await;
    assert!(taken.is_ok(), "{taken:?}");
    // In SMTP a line that begins with a dot gets another one.
    let data = RAW.replace("\r\n.", "\r\n..");
    for part in ["MAIL FROM:<bounces@example.edu>", "RCPT TO:<ada@example.edu>", "RCPT TO:<bob@example.edu>"] {
        assert!(heard.contains(part), "{heard}");
    }
    assert!(heard.contains(&format!("DATA\r\n{data}.\r\n")), "{heard}");
    for (command, reply, is_for_later) in [
        ("RCPT", "450 4.2.1 mailbox busy", true),
        ("RCPT", "550 5.1.1 no such person", false),
        ("MAIL", "451 4.7.1 greylisted", true),
        (".", "554 5.6.0 too ugly", false),
        (".", "452 4.3.1 disk full", true),
    ] {
        match handed_on(command, reply, Tls::None).await.0 {
            Err(Refusal::Throttled(_)) if is_for_later => {}
            Err(Refusal::Rejected(_)) if !is_for_later => {}
            other => panic!("{reply}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_mail_leaves_this_machine_encrypted_or_not_at_all() {
    for (host, stays) in
        [("localhost", true), ("127.0.0.1", true), ("::1", true), ("mail.example.edu", false), ("10.0.0.7", false)]
    {
        assert_eq!(is_this_machine(host), stays, "{host}");
    }
    // The server has no STARTTLS.
    let encrypted = Tls::Required(TlsParameters::new("localhost".to_owned()).unwrap());
    let (refused, heard) = handed_on("", "", encrypted).await;
    assert!(matches!(&refused, Err(Refusal::Rejected(why)) if why.contains("STARTTLS")), "{refused:?}");
    assert!(!heard.contains("MAIL") && !heard.contains("DATA"), "{heard}");
}
