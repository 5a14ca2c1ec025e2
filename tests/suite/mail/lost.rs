//! Faults in each call of sending a mail. In the end the mail was accepted, and a second time only where the
//! server's answer or our record of it was lost.

use bursar_core::store::{MailState, QueuedMail};
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::faults::{Call, Fault, Matcher};
use bursar_tests::seeds::{LONG, sample};
use bursar_tests::stack::Left;
use jiff::SignedDuration;

use super::{PostOffice, address, word};

/// One fault: at the n-th call of this name after a link was asked for.
#[derive(Debug, Clone)]
struct Case {
    call: String,
    nth: u64,
    verdict: Fault,
    /// Whether the mail may be accepted a second time.
    may_double: bool,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_becomes_of_a_call_a_mail_is_accepted_once_and_twice_only_if_its_answer_or_record_was_lost() {
    let calls: Vec<Call> = {
        let office = PostOffice::open().await;
        let before = office.stack.gate.calls().len();
        office.ask("admin@example.edu").await;
        office.stack.pump.drained().await.unwrap();
        office.the_mail();
        let calls = office.stack.gate.calls().into_iter().skip(before).map(|recorded| recorded.call);
        let calls = calls.filter(|call| call.function == FunctionName::Mail).collect();
        office.finish().await;
        calls
    };
    let sends = calls.iter().position(|call| &*call.name.operation == "SendRawEmail").unwrap();
    let mut cases = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let name = call.name.to_string();
        let nth = calls[..=at].iter().filter(|before| before.name == call.name).count() as u64;
        for verdict in Fault::all_of(&call.name) {
            let of_reads = [Fault::Before, Fault::KillBefore, Fault::Throttle].contains(&verdict);
            if !(call.name.has_effect() || of_reads) {
                continue;
            }
            let may_double = (at == sends && verdict.is_after()) || (at > sends && verdict == Fault::KillBefore);
            cases.push(Case { call: name.clone(), nth, verdict, may_double });
        }
    }
    assert!(cases.len() > 50 && cases.iter().any(|case| case.may_double), "{}", cases.len());
    const LANES: usize = 2;
    let cases = sample(cases, 8);
    let lanes = cases.chunks(cases.len().div_ceil(LANES)).map(|cases| tokio::spawn(faulted(cases.to_vec())));
    let mut doubled = 0;
    for lane in lanes.collect::<Vec<_>>() {
        doubled += lane.await.unwrap();
    }
    assert!(doubled > 0 || !LONG, "no answer was lost, so this shows nothing");
}

/// Plays the cases one after another; returns the number of mails that were accepted twice.
async fn faulted(cases: Vec<Case>) -> usize {
    let mut office = PostOffice::open().await;
    let mut doubled = 0;
    for case in cases {
        let what = format!("{} at {} {}", case.verdict, case.call, case.nth);
        if case.may_double {
            office.watch.lost_a_mail();
        }
        let matcher = Matcher::call(&case.call).of(FunctionName::Mail).nth(case.nth);
        let rule = office.stack.gate.at(matcher, case.verdict);
        office.ask("admin@example.edu").await;
        // The stream comes first, then the lease that expires or the first retry.
        office.settle().await;
        office.pass(3).await;
        office.stack.gate.lift(rule);
        let rows = &office.watch.seen().unwrap().outbox;
        let last = rows.iter().max_by_key(|row| row.written_at).unwrap();
        let mails = office.unread().into_iter().filter(|mail| mail.contents.kind.as_deref() == Some("link")).count();
        assert_eq!(word(&last.state), "sent", "{what}");
        assert!(mails == 1 || (mails == 2 && case.may_double), "{what}: accepted {mails} times");
        doubled += usize::from(mails == 2);
        // After three unused links the next is sent only when all have expired.
        office.pass(31).await;
    }
    office
        .finish_leaving(&[Left::PerhapsComplaints(&[
            ("mail", "the instance is thrown away"),
            ("mail", "the table failed while an ask was looked at"),
        ])])
        .await;
    doubled
}

#[tokio::test]
async fn throttled_for_two_hours_across_a_threshold_an_alert_is_sent_afterwards_and_once() {
    let mut office = PostOffice::open().await;
    let people = [office.admin().await];
    office.set(|settings| settings.faculty.push(address("admin@example.edu"))).await;
    office.cross_to(80, office.steadily(1, 3_359_999_001), &people).await;
    office.stack.ses.fail_next(MailFault::Throttle, 1_000, None);
    office.settle().await;
    for _ in 0..12 {
        office.pass(10).await;
        assert_eq!(office.unread().len(), 0);
    }
    let alert = |office: &PostOffice| {
        let rows = office.watch.seen().unwrap().outbox.clone();
        rows.into_iter().find(|row| matches!(row.mail, QueuedMail::Alert { .. })).unwrap()
    };
    assert!(matches!(alert(&office).state, MailState::Waiting { .. }));
    office.stack.ses.lift_faults(None);
    for _ in 0..12 {
        office.pass(10).await;
    }
    let mut subjects: Vec<_> = office.unread().into_iter().map(|mail| mail.contents.subject).collect();
    subjects.sort();
    assert_eq!(subjects, ["1 mail waits and is not sent", "CS pilot has used 83% of $4,000"], "and an admin was told");
    assert_eq!(word(&alert(&office).state), "sent");
    office.stack.schedules.advance(SignedDuration::from_hours(9)).await.unwrap();
    assert_eq!(office.unread().len(), 0);
    office.finish().await;
}
