//! One mail of a month for each finance address, from the third on, with the rows of its own programmes.

use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::{Office, ProgrammeEdits};
use bursar_tests::stack::Setup;

use super::*;
use crate::sync::sync;

#[tokio::test]
async fn each_finance_address_has_the_rows_of_its_programmes_once_from_the_third_on() {
    let mut ledger = Ledger::open().await;
    let [maths, physics, law] = ledger.november().await;
    assert_eq!(ledger.look().await.unwrap(), 0, "it is not the third yet");
    ledger.advance(1);
    assert_eq!(ledger.look().await.unwrap(), 1);
    let mails = ledger.mails(&["statement"]).await;
    let [fay, fin] = &mails[..] else { panic!("{} mails", mails.len()) };
    assert_eq!((&*fay.to, &*fin.to.to_lowercase()), ("fay@uni.edu", "fin@uni.edu"));
    let file = |mail: &Got| {
        let [file] = &mail.contents.attachments[..] else { panic!("{} files", mail.contents.attachments.len()) };
        assert_eq!(
            (file.name.as_deref(), &*file.media_type),
            (Some("statement-2026-11-01-2026-11-30.csv"), "text/csv")
        );
        String::from_utf8(file.bytes.clone()).unwrap().replace("\r\n", " ")
    };
    assert_eq!(fay.contents.subject, "Statement of November 2026: $5.000000");
    assert_eq!(file(fay), "cost_code,programme,kind,spent_usd 4711,maths,keys,5.000000 ");
    assert_eq!(fin.contents.subject, "Statement of November 2026: $12.000000");
    assert_eq!(file(fin), "cost_code,programme,kind,spent_usd 4711,maths,keys,5.000000 4712,physics,keys,7.000000 ");
    let (text, html) = (fin.contents.text.clone().unwrap(), fin.contents.html.clone().unwrap());
    for says in [&text, &html] {
        assert!(says.contains("began on 2026-11-05 00:20 UTC, so this statement begins with it"), "{says}");
        assert!(!says.contains("Law") && !says.contains("4713") && !says.contains("60.000000"), "{says}");
    }
    assert!(text.contains("\nPhysics: cost code 4712, used by keys of students, spent 7.000000\n"), "{text}");
    for hours in [0, 1, 40, 400] {
        ledger.advance(hours);
        assert_eq!(ledger.look().await.unwrap(), 0);
    }
    assert!(ledger.mails(&["statement"]).await.is_empty());

    // The nights around the end of December are missed, so its statement waits.
    ledger.stack.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(ledger.look().await.unwrap(), 0);
    ledger.cut("2027-01-03T08:20:00Z", &[(&maths, 16), (&physics, 27), (&law, 90)]).await;
    ledger.advance(9);
    assert_eq!(ledger.look().await.unwrap(), 1);
    let mails = ledger.mails(&["statement"]).await;
    let subjects: Vec<_> = mails.iter().map(|mail| mail.contents.subject.as_str()).collect();
    assert_eq!(subjects, ["Statement of December 2026: $1.000000"; 2]);
    assert!(mails[0].contents.text.as_ref().unwrap().contains("ends with the next one, of 2027-01-03 08:20 UTC"));
    ledger.stack.finish().await;
}

#[tokio::test]
async fn months_before_the_first_cut_or_without_any_are_not_mailed_and_one_that_waited_is_made_up_for() {
    let mut ledger = Ledger::open().await;
    let maths = ledger.programme("Maths", "4711", &["fin"]).await;
    ledger.advance(1);
    assert_eq!(ledger.look().await.unwrap(), 0, "no sync was complete yet");
    ledger.cut("2026-12-10T00:20:00Z", &[(&maths, 10)]).await;
    ledger.stack.clock.stop_at(at("2026-12-20T00:00:00Z")).unwrap();
    assert_eq!(ledger.look().await.unwrap(), 0, "November was before the first cut");
    ledger.stack.clock.stop_at(at("2027-02-04T00:00:00Z")).unwrap();
    assert_eq!(ledger.look().await.unwrap(), 0, "nothing ends December yet");
    ledger.cut("2027-02-05T00:20:00Z", &[(&maths, 13)]).await;
    ledger.advance(25);
    assert_eq!(ledger.look().await.unwrap(), 1, "January has no cut at all, and its spending is in December's");
    let mails = ledger.mails(&["statement"]).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].contents.subject, "Statement of December 2026: $3.000000");
    ledger.stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_watches_at_once_and_more_addresses_than_fit_one_transaction_owe_each_one_mail() {
    let mut ledger = Ledger::open().await;
    let names: Vec<String> = (0..120).map(|number| format!("f{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = ledger.programme("Maths", "4711", &names[..60]).await;
    let second = ledger.programme("Physics", "4711", &names[60..]).await;
    ledger.cut("2026-11-01T00:20:00Z", &[(&first, 0), (&second, 0)]).await;
    ledger.cut("2026-12-01T00:20:00Z", &[(&first, 1), (&second, 2)]).await;
    ledger.advance(1);
    let at_once = futures_util::future::join_all((0..4).map(|_| ledger.look())).await;
    assert_eq!(at_once.into_iter().map(Result::unwrap).sum::<i64>(), 1);
    assert_eq!(ledger.owed().await, names);
    // Next month invocations die behind one transaction more each, until it is the first of the statement's two.
    ledger.stack.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    ledger.cut("2027-01-01T00:20:00Z", &[(&first, 1), (&second, 2)]).await;
    let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::ThresholdAlerts);
    let month = date(2026, 12, 1);
    for nth in 1..10 {
        ledger.stack.gate.at(write.clone().nth(nth), Fault::KillAfter);
        assert!(ledger.look().await.is_err());
        if ledger.table.mailed_statement(month).await.unwrap().is_some() {
            break;
        }
    }
    let recorded = ledger.table.mailed_statement(month).await.unwrap().unwrap();
    assert_eq!((recorded.recipients.len(), recorded.queued), (120, 90));
    assert_eq!(ledger.look().await.unwrap(), 0);
    assert_eq!(ledger.owed().await.len(), 240);
    ledger.stack.finish_faulted().await;
}

#[tokio::test]
async fn the_schedule_mails_it_from_the_third_on_once_a_sync_has_ended_the_month() {
    let setup = Setup { at: Some(at("2026-11-20T10:00:00Z")), ..Setup::default() };
    let stack = stack::of(setup).await.unwrap();
    let office = Office::open(&stack).await;
    let read = office.table.programme(&office.programme).await.unwrap().unwrap();
    let mut settings = read.settings;
    settings.finance = vec![address("fin")];
    let by = Author { actor: &Actor::Rule, now: stack.clock.now(), deadline: soon() };
    let detail = AuditDetail::new(Act::Edited);
    office.table.save_settings(&office.programme, settings, read.version, detail, by).await.unwrap();
    let key = office.claim(&office.invite("ada@x.edu").await).await;
    let spend = |micros| {
        let provider = stack.provider.as_ref().unwrap();
        provider.spend(&key, Nano::micros(micros), stack.clock.now(), "a/model").unwrap();
    };
    spend(1_000_000);
    sync(&stack).await;
    spend(2_345_678);
    let statements = || {
        let mails = stack.ses.mails_to("fin@uni.edu");
        mails.iter().map(|mail| Contents::of(&mail.raw)).collect::<Vec<_>>()
    };
    for (hours, mailed) in [(13 * 24, 0), (1, 1), (24, 1)] {
        stack.schedules.advance(SignedDuration::from_hours(hours)).await.unwrap();
        stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
        let subjects: Vec<_> = statements().into_iter().map(|mail| mail.subject).collect();
        assert_eq!(subjects, vec!["Statement of November 2026: $2.345678"; mailed], "{}", stack.clock.now());
        sync(&stack).await;
    }
    stack.finish().await;
}
