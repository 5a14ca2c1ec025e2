//! One mail of a month for each finance address, from the third on, with the rows of its own programmes.

use bursar_tests::faults::{Fault, Matcher};
use serde_json::json;

use super::*;

#[tokio::test]
async fn each_has_the_rows_of_its_programmes_once() {
    let campus = open().await;
    let [maths, physics, law] = november(&campus).await;
    assert_eq!(look(&campus).await, 0, "it is not the third yet");
    campus.minutes(60);
    assert_eq!(look(&campus).await, 1);
    let mails = sent(&campus).await;
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
        campus.minutes(60 * hours);
        assert_eq!(look(&campus).await, 0);
    }
    assert!(sent(&campus).await.is_empty());

    // The nights around the end of December are missed, so its statement waits.
    campus.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 0);
    cut(&campus, "2027-01-03T08:20:00Z", &[(&maths, 16), (&physics, 27), (&law, 90)]).await;
    campus.minutes(60 * 9);
    assert_eq!(look(&campus).await, 1);
    let mails = sent(&campus).await;
    let subjects: Vec<_> = mails.iter().map(|mail| mail.contents.subject.as_str()).collect();
    assert_eq!(subjects, ["Statement of December 2026: $1.000000"; 2]);
    assert!(mails[0].contents.text.as_ref().unwrap().contains("ends with the next one, of 2027-01-03 08:20 UTC"));
    campus.finish().await;
}

#[tokio::test]
async fn months_without_cuts_wait() {
    let campus = open().await;
    let maths = programme(&campus, "Maths", "4711", &["fin"]).await;
    campus.minutes(60);
    assert_eq!(look(&campus).await, 0, "no sync was complete yet");
    cut(&campus, "2026-12-10T00:20:00Z", &[(&maths, 10)]).await;
    campus.clock.stop_at(at("2026-12-20T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 0, "November was before the first cut");
    campus.clock.stop_at(at("2027-02-04T00:00:00Z")).unwrap();
    assert_eq!(look(&campus).await, 0, "nothing ends December yet");
    cut(&campus, "2027-02-05T00:20:00Z", &[(&maths, 13)]).await;
    campus.minutes(60 * 25);
    assert_eq!(look(&campus).await, 1, "January has no cut at all, and its spending is in December's");
    let mails = sent(&campus).await;
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].contents.subject, "Statement of December 2026: $3.000000");
    campus.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_at_once_owe_each_address_one_mail() {
    let campus = open().await;
    let names: Vec<String> = (0..120).map(|number| format!("f{number:03}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let first = programme(&campus, "Maths", "4711", &names[..60]).await;
    let second = programme(&campus, "Physics", "4711", &names[60..]).await;
    cut(&campus, "2026-11-01T00:20:00Z", &[(&first, 0), (&second, 0)]).await;
    cut(&campus, "2026-12-01T00:20:00Z", &[(&first, 1), (&second, 2)]).await;
    campus.minutes(60);
    let at_once = futures_util::future::join_all((0..4).map(|_| look(&campus))).await;
    assert_eq!(at_once.into_iter().sum::<i64>(), 1);
    assert_eq!(owed(&campus).await, names);
    // Next month invocations die behind one transaction more each, until it is the first of the statement's two.
    campus.clock.stop_at(at("2027-01-03T00:00:00Z")).unwrap();
    cut(&campus, "2027-01-01T00:20:00Z", &[(&first, 1), (&second, 2)]).await;
    let write = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::ThresholdAlerts);
    let month = date(2026, 12, 1);
    for nth in 1..10 {
        campus.gate.at(write.clone().nth(nth), Fault::KillAfter);
        assert!(campus.run(FunctionName::ThresholdAlerts, json!({"task": "watch"})).await.is_err());
        if campus.table.mailed_statement(month).await.unwrap().is_some() {
            break;
        }
    }
    let recorded = campus.table.mailed_statement(month).await.unwrap().unwrap();
    assert_eq!((recorded.recipients.len(), recorded.queued), (120, 90));
    assert_eq!(look(&campus).await, 0);
    assert_eq!(owed(&campus).await.len(), 240);
    campus.finish_faulted().await;
}

#[tokio::test]
async fn the_schedule_mails_what_a_sync_has_ended() {
    let mut campus = Campus::at("2026-11-20T10:00:00Z").await;
    campus.programme("Maths", |settings| settings.finance = vec![address("fin")]).await;
    campus.students(&["ada"]).await;
    campus.keys().await;
    campus.spend("ada", "1");
    campus.sync().await;
    campus.spend("ada", "2.345678");
    for (hours, mailed) in [(13 * 24, 0), (1, 1), (24, 0)] {
        campus.pass(hours).await;
        assert_eq!(campus.subjects("statement"), vec!["Statement of November 2026: $2.345678"; mailed], "{hours}");
        campus.sync().await;
    }
    campus.finish().await;
}
