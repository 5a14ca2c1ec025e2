//! The bytes of a mail: its headers, its parts, and names that would add to them.

use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::id::PersonId;
use bursar_core::store::QueuedMail;
use ulid::Ulid;

use super::*;
use crate::tests::{address, config, now, programme, with_key};

fn letter(subject: &str, parts: Vec<LetterPart>) -> Letter {
    let heading = subject.to_owned();
    let subject = subject.to_owned();
    Letter {
        recipient: address("ada"),
        from: None,
        subject,
        heading,
        parts,
        why: "You get this mail for a test.".to_owned(),
    }
}

/// The mail as it is sent, with help at an address of its own.
async fn sent(letter: &Letter, mail: QueuedMail) -> String {
    let config = Config {
        support: Some("help@example.edu".to_owned()),
        ..config().await
    };
    let row = OutboxRow {
        row: Ulid::from_parts(1, 1),
        ..OutboxRow::queued(mail, now())
    };
    String::from_utf8(letter.seal(&row, now(), &config).unwrap().bytes).unwrap()
}

fn roster() -> QueuedMail {
    let grant = with_key().grant;
    QueuedMail::Roster {
        programme: grant.programme,
        grant: grant.id,
        is_reminder: false,
    }
}

fn headers(mail: &str) -> String {
    let lines = mail
        .lines()
        .take_while(|line| !line.starts_with("Content-Type"));
    lines.joined("\n")
}

#[tokio::test]
async fn mail_has_headers() {
    let mail = sent(&letter("Hello", Vec::new()), roster()).await;
    insta::assert_snapshot!(headers(&mail), @r#"
    From: "Example University" <bursar@example.edu>
    To: ada@example.edu
    Subject: Hello
    Date: Fri, 20 Nov 2026 10:00:00 +0000
    Message-ID: <00000000010000000000000001@example.edu>
    X-Bursar-Mail: roster
    X-Bursar-Row: 00000000010000000000000001
    Auto-Submitted: auto-generated
    Reply-To: help@example.edu
    MIME-Version: 1.0
    "#);
    let week = jiff::civil::date(2026, 11, 16);
    let digest = QueuedMail::Digest {
        programme: programme().id,
        week,
        recipient: PersonId::random(),
    };
    let mail = sent(&letter("Hello", Vec::new()), digest).await;
    assert!(
        mail.contains("\r\nList-Unsubscribe: <https://bursar.example.edu/my#mails>\r\n"),
        "{mail}"
    );
    let answers = LetterPart::ReplyTo(address("frida"));
    let from = Some("Grace Hopper via CS pilot".to_owned());
    let mail = sent(
        &Letter {
            from,
            ..letter("Hello", vec![answers])
        },
        roster(),
    )
    .await;
    assert!(
        mail.starts_with("From: \"Grace Hopper via CS pilot\" <bursar@example.edu>\r\n"),
        "{mail}"
    );
    assert!(
        mail.contains("\r\nReply-To: frida@example.edu\r\n"),
        "{mail}"
    );
}

#[tokio::test]
async fn no_name_adds_a_header_or_markup() {
    let hostile = letter("CS\r\nBcc: eve@example.edu\r\n\r\n<b>pilot</b>", Vec::new());
    let mail = sent(&hostile, roster()).await;
    let headers = headers(&mail);
    assert!(
        headers.contains("\nSubject: CS  Bcc: eve@example.edu") && !headers.contains("\nBcc:"),
        "{mail}"
    );
    let config = config().await;
    assert!(
        hostile
            .html(&config)
            .unwrap()
            .contains("&#60;b&#62;pilot&#60;/b&#62;")
    );
    assert!(hostile.text(&config).unwrap().contains("<b>pilot</b>"));
}

#[tokio::test]
async fn mail_ends_with_whom_to_ask() {
    let config = Config {
        support: Some("help@example.edu".to_owned()),
        privacy_url: Some("https://example.edu/privacy".to_owned()),
        ..config().await
    };
    insta::assert_snapshot!(letter("Hello", Vec::new()).text(&config).unwrap(), @"
    Hello

    -- 
    You get this mail for a test.
    Example University
    Help: help@example.edu
    Privacy: https://example.edu/privacy
    ");
}
