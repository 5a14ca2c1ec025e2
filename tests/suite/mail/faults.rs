//! Faults of the mail server, the table and the function. Mails arrive late or become dead letters, and none
//! arrives twice except where an answer was lost.

use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Fault, Matcher};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::{PostOffice, told_of, word};

async fn asked() -> PostOffice {
    let office = PostOffice::open().await;
    office.ask("admin@example.edu").await;
    office
}

#[tokio::test]
async fn a_mail_that_is_not_taken_now_is_sent_later_once() {
    for fault in [MailFault::Throttle, MailFault::Fail] {
        let mut office = PostOffice::open().await;
        office.stack.ses.fail_next(fault, 2, None);
        office.ask("admin@example.edu").await;
        office.settle().await;
        assert_eq!(office.states(), ["waiting"], "{fault:?}");
        office.pass(2).await;
        assert_eq!(office.states(), ["waiting"], "{fault:?}");
        office.pass(7).await;
        office.the_mail();
        assert_eq!(office.states(), ["sent"], "{fault:?}");
        office.finish().await;
    }
}

#[tokio::test]
async fn a_mail_that_is_refused_for_good_is_a_dead_letter_and_the_next_one_goes() {
    let mut office = PostOffice::open().await;
    office.enrol("ada@example.edu").await;
    office.stack.ses.fail_next(MailFault::Reject, 1, Some("ada@example.edu"));
    office.ask("ada@example.edu").await;
    office.stack.clock.advance(SignedDuration::from_millis(1)).unwrap();
    office.ask("admin@example.edu").await;
    office.settle().await;
    let mailed: Vec<_> = office.unread().into_iter().map(|mail| (mail.to, mail.contents.kind.unwrap())).collect();
    let admin = |kind: &str| ("admin@example.edu".to_owned(), kind.to_owned());
    assert!(mailed.len() == 2 && mailed.contains(&admin("link")) && mailed.contains(&admin("account")), "{mailed:?}");
    let mut states = office.states();
    states.sort_unstable();
    assert_eq!(states, ["failed", "sent", "sent"]);
    assert!(office.said("given up") && office.said("MessageRejected"));
    let rows = &office.watch.seen().unwrap().outbox;
    let records: Vec<Value> = rows.iter().filter(|row| word(&row.state) == "failed").map(told_of).collect();
    let batch = json!({"Records": records});
    assert_eq!(
        office.stack.invoke.invoke(FunctionName::Mail, batch).await,
        Ok(json!({"batchItemFailures": []})),
        "a batch that comes again sends nothing that was given up"
    );
    office.pass(60).await;
    office.finish_faulted().await;
}

#[tokio::test]
async fn whoever_dies_while_a_mail_is_given_up_is_followed_by_one_who_tells_it_once() {
    for verdict in [Fault::KillBefore, Fault::KillAfter] {
        // The alarm and its mail are one transaction, the record of the row is another.
        for nth in [1, 2] {
            let mut office = PostOffice::open().await;
            office.enrol("ada@example.edu").await;
            office.ask("ada@example.edu").await;
            office.stack.ses.fail_next(MailFault::Reject, 9, Some("ada@example.edu"));
            let refused = office.stack.gate.hold(Matcher::call("ses:SendRawEmail").of(FunctionName::Mail));
            let dies = async {
                refused.arrived().await;
                office
                    .stack
                    .gate
                    .at(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail).nth(nth), verdict);
                drop(refused);
            };
            let (settled, ()) = tokio::join!(office.stack.settle.settle(LIMIT), dies);
            settled.unwrap();
            office.watch.check().await;
            office.pass(5).await;
            let told = office.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() == Some("account"));
            assert_eq!((told.count(), office.states().len()), (1, 2), "{verdict:?} {nth}");
            assert!(office.states().contains(&"failed"), "{verdict:?} {nth}: {:?}", office.states());
            office.finish_faulted().await;
        }
    }
}

#[tokio::test]
async fn a_mail_that_is_never_taken_is_given_up_after_some_tries() {
    let mut office = PostOffice::open().await;
    office.stack.ses.fail_next(MailFault::Fail, 6, Some("ada@example.edu"));
    office.invite("ada@example.edu").await;
    let state = |office: &PostOffice| word(&office.watch.seen().unwrap().outbox[0].state);
    for minutes in [0, 2, 7, 40, 160] {
        office.pass(minutes).await;
        assert_eq!(state(&office), "waiting");
    }
    office.pass(480).await;
    assert_eq!(state(&office), "failed");
    assert!(office.said("given up") && office.said("InternalFailure"));
    let mut subjects: Vec<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    subjects.sort();
    // The mail waited for more than six hours before it was given up, which is an alarm of its own.
    assert_eq!(subjects, ["1 mail waits and is not sent", "A mail did not arrive: the roster mail of CS pilot"]);
    office.finish_faulted().await;
}

#[tokio::test]
async fn when_the_answer_is_lost_the_mail_is_sent_again_and_then_no_more() {
    let mut office = PostOffice::open().await;
    office.stack.ses.fail_next(MailFault::Lose, 1, None);
    office.ask("admin@example.edu").await;
    office.settle().await;
    assert_eq!(office.states(), ["waiting"]);
    office.watch.lost_a_mail();
    office.pass(2).await;
    office.pass(60).await;
    assert_eq!((office.unread().len(), office.states()), (2, vec!["sent"]));
    office.finish_unjudged().await;
}

#[tokio::test]
async fn when_the_function_dies_another_sends_after_the_lease() {
    for (verdict, mails) in [(Fault::KillBefore, 1), (Fault::KillAfter, 2)] {
        let mut office = PostOffice::open().await;
        if mails > 1 {
            office.watch.lost_a_mail();
        }
        office.stack.gate.at(Matcher::call("ses:SendRawEmail").of(FunctionName::Mail), verdict);
        office.ask("admin@example.edu").await;
        office.settle().await;
        assert_eq!(office.states(), ["sending"], "{verdict:?}");
        office.pass(2).await;
        assert_eq!((office.unread().len(), office.states()), (mails, vec!["sent"]), "{verdict:?}");
        office.finish_faulted().await;
    }
}

#[tokio::test]
async fn when_the_table_fails_before_the_mail_the_batch_comes_again() {
    let mut office = PostOffice::open().await;
    // The write of the lease, with the SDK's four attempts.
    let lease = Matcher::call("dynamodb:PutItem").of(FunctionName::Mail).next(4);
    office.stack.gate.at(lease, Fault::Throttle);
    office.ask("admin@example.edu").await;
    office.settle().await;
    office.the_mail();
    assert_eq!(office.states(), ["sent"]);
    assert_eq!(office.stack.pump.dead_letters().all().unwrap().len(), 0);
    office.finish().await;
}

#[tokio::test]
async fn when_what_is_owed_cannot_be_read_the_row_is_free_for_the_next_at_once() {
    let mut office = PostOffice::open().await;
    // The queries for the address's programmes, in all attempts of the SDK.
    let known = Matcher::call("dynamodb:Query").of(FunctionName::Mail).next(8);
    office.stack.gate.at(known, Fault::Throttle);
    office.ask("admin@example.edu").await;
    office.settle().await;
    office.the_mail();
    assert_eq!(office.states(), ["sent"]);
    office.finish_faulted().await;
}

#[tokio::test]
async fn when_the_record_of_a_sent_mail_fails_it_is_sent_again_after_the_lease() {
    let mut office = asked().await;
    // The first transaction writes the link, the second the record of the mail.
    let record = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail).nth(2);
    office.stack.gate.at(record, Fault::KillBefore);
    office.watch.lost_a_mail();
    office.settle().await;
    office.pass(2).await;
    assert_eq!((office.unread().len(), office.states()), (2, vec!["sent"]));
    office.finish_faulted().await;
}
