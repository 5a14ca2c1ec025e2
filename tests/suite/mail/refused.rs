//! What keeps mail from leaving though it is right: the account is paused, in the sandbox or out of
//! quota, a row cannot be read, or SES is silent. Such mail waits and none is given up; admins hear
//! once of each state.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::deadline::Waits;
use bursar_core::domain::mail::alarm::{Alarm, Cause};
use bursar_core::domain::mail::failure::{CORRUPT, NOT_VERIFIED, PAUSED as IS_PAUSED};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::id::PersonId;
use bursar_core::schema::Queue;
use bursar_core::store::items;
use bursar_core::store::{OutboxRow, QueuedMail, SentAgain};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::{Fault as MailFault, PAUSED, Quota};
use bursar_tests::campus::{ADMIN, Campus, name_people};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use bursar_tests::stack::Setup;
use jiff::ToSpan;
use serde_json::json;

use super::{account, kinds, later, roster_mail, states, told_of, watched};

const ROSTER: &str = "Your API key for CS pilot";

/// People who are put on a roster, to whom no mail was sent yet.
async fn class(names: &[&str]) -> Campus {
    class_of(
        Setup {
            waits: Waits::shorten_by(100),
            ..Setup::default()
        },
        names,
    )
    .await
}

async fn class_of(setup: Setup<'_>, names: &[&str]) -> Campus {
    let mut campus = Campus::of(setup).await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(names).await;
    campus
}

/// The codes of the refusals that admins were told of.
async fn told(campus: &Campus) -> Vec<String> {
    let alarms = campus
        .table
        .newest(Alarm::all(), 100)
        .await
        .unwrap()
        .into_iter();
    let mut codes: Vec<_> = alarms
        .filter_map(|alarm| match alarm.cause {
            Cause::MailRefused { code, .. } => Some(code),
            _ => None,
        })
        .collect();
    codes.sort();
    codes
}

/// The codes of the refusals that last.
async fn lasting(campus: &Campus) -> Vec<String> {
    let refusals = campus
        .table
        .mail_refusals(campus.clock.now())
        .await
        .unwrap();
    refusals.into_iter().map(|refusal| refusal.code).collect()
}

#[tokio::test]
async fn a_stopped_account_loses_no_mail() {
    let campus = class(&["ada", "bob", "cyd"]).await;
    campus.ses.set_stopped_by_aws(Some(PAUSED));
    campus.ask(ADMIN).await;
    campus.settle().await;
    // In whatever words.
    for words in [
        PAUSED,
        "Sending suspended for this account.",
        "Sending is disabled for this account.",
    ] {
        campus.ses.set_stopped_by_aws(Some(words));
        later(&campus, 60).await;
        assert_eq!(
            (kinds(&campus), told(&campus).await),
            (Vec::new(), vec![IS_PAUSED.to_owned()]),
            "{words}"
        );
    }
    assert!(
        campus.has_logged("\"reaches_nobody\":true"),
        "what cannot be mailed is in the log"
    );
    assert_eq!(lasting(&campus).await, [IS_PAUSED]);
    campus.ses.set_stopped_by_aws(None);
    campus.ses.know_sets(&[]);
    later(&campus, 60).await;
    assert_eq!(
        (kinds(&campus), told(&campus).await),
        (
            Vec::new(),
            vec![
                IS_PAUSED.to_owned(),
                "ConfigurationSetDoesNotExist".to_owned()
            ]
        )
    );
    campus.ses.know_sets(&["bursar"]);
    for _ in 0..2 {
        later(&campus, 60).await;
    }
    assert_eq!(
        account(&campus),
        [
            "Mail waits: sending is paused for the whole SES account",
            "Mail waits: the configuration set is not there"
        ]
    );
    assert_eq!(campus.subjects("roster"), [ROSTER; 3]);
    assert_eq!(
        (kinds(&campus), lasting(&campus).await),
        (Vec::new(), Vec::new()),
        "the link would have expired"
    );
    assert!(
        campus
            .judged()
            .await
            .outbox
            .iter()
            .all(|row| row.tries <= 1),
        "it is no fault of a mail"
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn the_sandbox_keeps_only_its_own_mail() {
    let names: Vec<String> = (0..9)
        .map(|number| format!("s{number}@students.example.edu"))
        .collect();
    let names: Vec<&str> = names
        .iter()
        .map(String::as_str)
        .chain(["tutor@staff.example.edu"])
        .collect();
    let campus = class(&names).await;
    campus.ses.set_sandbox(&[ADMIN, "staff.example.edu"]);
    later(&campus, 5).await;
    assert_eq!(
        account(&campus),
        ["Mail waits: the recipient's address is not verified"]
    );
    assert_eq!(campus.mails("roster")[0].to, "tutor@staff.example.edu");
    later(&campus, 60).await;
    assert_eq!(
        (kinds(&campus), lasting(&campus).await),
        (Vec::new(), vec![NOT_VERIFIED.to_owned()]),
        "they hear once"
    );
    campus.ses.leave_sandbox();
    later(&campus, 30).await;
    assert_eq!(
        (kinds(&campus), lasting(&campus).await),
        (vec!["roster".to_owned(); 9], Vec::new())
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn quota_and_sender_are_told_apart() {
    let mut campus = class(&["ada"]).await;
    later(&campus, 1).await;
    assert_eq!(kinds(&campus), ["roster"]);
    campus.ses.set_quota(Quota {
        per_day: 1,
        per_second: 14,
    });
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(told(&campus).await, ["DailyQuotaExceeded"]);
    campus.ses.set_quota(Quota::PRODUCTION);
    later(&campus, 5).await;
    assert_eq!(
        account(&campus),
        ["Mail waits: the day's quota of the SES account is used up"]
    );
    assert_eq!(kinds(&campus), ["link"]);

    later(&campus, 2).await;
    // The error names the address that failed the check, which is the sender's here.
    campus.ses.set_sandbox(&[ADMIN]);
    campus.ses.set_sender_verified(false);
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(
        told(&campus).await,
        ["DailyQuotaExceeded", "SenderNotVerified"]
    );
    campus.ses.set_sender_verified(true);
    campus.ses.leave_sandbox();
    later(&campus, 20).await;
    campus.all_mails();

    // That the quota cannot be read now and then is no alarm, but for an hour. Links go on.
    let unread = Matcher::call("ses:GetSendQuota").every();
    let drained = async |campus: &Campus| {
        for _ in 0..2 {
            campus.minutes(31);
            campus.drain().await;
            // What the stream sends of it is sent before the clock passes its lease.
            campus.delivered().await;
        }
    };
    let fault = campus.gate.at(unread.clone(), Fault::Status(400));
    drained(&campus).await;
    campus.gate.lift(fault);
    drained(&campus).await;
    assert_eq!(account(&campus), Vec::<String>::new());
    let fault = campus.gate.at(unread, Fault::Status(400));
    campus.students(&["bob"]).await;
    campus.minutes(30);
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["link"]);
    for _ in 0..2 {
        drained(&campus).await;
    }
    assert_eq!(
        account(&campus),
        ["Mail waits: SES does not say how much it takes"]
    );
    campus.gate.lift(fault);
    later(&campus, 2).await;
    assert_eq!(kinds(&campus), ["roster"]);
    campus.finish_faulted().await;
}

/// Roster mail leaves a fifth of the quota free, and the admins are told when it waits.
#[tokio::test]
async fn roster_mail_leaves_quota() {
    let campus = class(&name_people(0..10)).await;
    campus.ses.set_quota(Quota {
        per_day: 10,
        per_second: 1_000,
    });
    later(&campus, 5).await;
    assert_eq!(kinds(&campus), ["roster"; 8]);
    campus.ask("s000").await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["link"]);
    // A refusal hours ago, in the sandbox, does not explain the mails that wait now.
    campus
        .table
        .note_mail_refusal(NOT_VERIFIED, campus.clock.now() - 3.hours(), soon())
        .await
        .unwrap();
    watched(&campus, 5).await;
    assert_eq!(account(&campus), Vec::<String>::new());
    watched(&campus, 2).await;
    assert_eq!(account(&campus), ["2 mails wait and are not sent"]);
    campus.ses.set_quota(Quota::PRODUCTION);
    later(&campus, 60).await;
    assert_eq!(kinds(&campus), ["roster", "roster"]);
    campus.finish().await;
}

#[tokio::test]
async fn throttled_links_keep_the_rest_back() {
    let campus = class(&["ada"]).await;
    campus.ses.fail_next(MailFault::Throttle, 2, Some(ADMIN));
    campus.ask(ADMIN).await;
    campus.delivered().await;
    campus.minutes(2);
    assert_eq!(campus.drain().await["sent"], 0);
    later(&campus, 5).await;
    assert_eq!(kinds(&campus), ["link", "roster"]);
    campus.finish().await;
}

#[tokio::test]
async fn unreadable_rows_stop_no_other() {
    let campus = class(&["ada"]).await;
    let later = |row: &OutboxRow| {
        let mut item = items::to_item(row).unwrap();
        item.insert(
            "mail".to_owned(),
            AttributeValue::S("of a later version".to_owned()),
        );
        item
    };
    let now = campus.clock.now();
    let mail = QueuedMail::Account {
        day: "2026-11-10".parse().unwrap(),
        alarm: "x".to_owned(),
        recipient: PersonId::random(),
    };
    let urgent = OutboxRow::queued(mail, now);
    let mut rows: Vec<_> = (0..60)
        .map(|_| later(&roster_mail(&campus, "ada")))
        .collect();
    campus
        .engine
        .fill([&rows[..], &[later(&urgent)]].concat())
        .await
        .unwrap();
    let answer = campus
        .run(FunctionName::Mail, json!({"Records": [told_of(&urgent)]}))
        .await
        .unwrap();
    assert_eq!(answer, json!({"batchItemFailures": []}));
    campus.settle().await;
    assert_eq!(
        kinds(&campus),
        ["roster"],
        "what stood behind them was sent, and they wait for the later version"
    );
    campus.hours(48);
    campus.settle().await;
    assert_eq!(kinds(&campus), ["account"], "an admin hears once");
    let dead = campus.table.dead_mails(now, 100).await.unwrap();
    assert_eq!(
        (dead.newest.len(), dead.unreadable, dead.in_all),
        (0, 61, 61)
    );
    assert_eq!(campus.drain().await["failed"], 0, "they are read once");

    // A later version can read them, and a request sends them again.
    for item in &mut rows {
        item.insert("mail".to_owned(), AttributeValue::S("roster".to_owned()));
        item.insert(
            "queue".to_owned(),
            AttributeValue::S(Queue::DEAD_MAIL.0.to_owned()),
        );
    }
    campus.engine.fill(rows).await.unwrap();
    let again = campus.table.send_again(CORRUPT, campus.by()).await.unwrap();
    assert_eq!(again, SentAgain::Owed(60));
    campus.settle().await;
    assert_eq!(kinds(&campus), ["roster"; 60]);
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn a_silent_ses_is_told_once_a_week() {
    let names = name_people(0..20);
    for (mail_events, reports, silent) in [
        (
            Some("bursar"),
            0,
            &["SES has reported nothing about 20 mails"][..],
        ),
        (Some("bursar"), 1, &[]),
        // Where no configuration set is named, nothing is asked to report.
        (None, 0, &[]),
    ] {
        let waits = Waits::shorten_by(100);
        let campus = class_of(
            Setup {
                waits,
                mail_events,
                ..Setup::default()
            },
            &names,
        )
        .await;
        later(&campus, 5).await;
        let mails = campus.mails("roster");
        for mail in &mails[..reports] {
            campus.report(mail, "delivery", false).await;
        }
        watched(&campus, 16).await;
        assert_eq!(
            account(&campus),
            silent,
            "{mail_events:?} {reports} reports"
        );
        watched(&campus, 24).await;
        assert_eq!(account(&campus), Vec::<String>::new());
        assert_eq!(states(&campus, MailKind::Roster).await.len(), 20);
        campus.finish().await;
    }
}
