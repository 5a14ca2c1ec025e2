//! The breaker for bulk mail: when too much of a kind comes back, that kind stops, admins are notified, and all other mail goes on.
//! The next day it goes on.

use bursar_core::domain::mail::day::{MailCounts, MailDay};
use bursar_core::domain::mail::kind::MailKind;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::Resend;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{ADMIN, Campus};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use serde_json::json;

use super::{account, kinds};

const STOPPED: &str = "So much came back that roster mails are stopped";

/// A campus of whose roster mails so many were sent and bounced today. They have no rows, so it is not judged.
async fn fared(sent: u64, bounced: u64) -> Campus {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    let counts = MailCounts { sent, bounced, ..MailCounts::default() };
    let day = MailDay { day: utc_date(campus.clock.now()), mail: MailKind::Roster, counts };
    campus.raw().keep(&day).await;
    campus
}

#[tokio::test]
async fn roster_mail_stops_at_the_tenth_bounce_and_goes_on_tomorrow() {
    let mut campus = fared(99, 9).await;
    campus.students(&["ada", "bob"]).await;
    // One mail is sent and bounces.
    campus.ses.set_quota(Quota { per_day: 2, per_second: 1_000 });
    campus.settle().await;
    let sent = campus.mails("roster").remove(0);
    for _ in 0..2 {
        campus.report(&sent, "bounce", true).await;
    }
    let stop = campus.table.bulk_stop(MailKind::Roster).await.unwrap().unwrap();
    assert_eq!((stop.of.counts.sent, stop.of.counts.bounced, stop.version), (100, 10, 1));

    campus.ses.set_quota(Quota::PRODUCTION);
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(campus.drain().await["stopped"], json!(["roster"]));
    assert_eq!((account(&campus), kinds(&campus)), (vec![STOPPED.to_owned()], vec!["link".to_owned()]));
    // What is sent by hand goes on.
    campus.students(&["cid"]).await;
    let resent = campus.table.resend_roster_mail(&campus.programme, campus.id("cid"), campus.clock.now(), soon()).await;
    assert_eq!(resent.unwrap(), Resend::Done);
    campus.settle().await;
    assert_eq!(campus.mails("roster").len(), 1);
    for (hours, mails) in [(13, 0), (3, 2)] {
        campus.pass(hours).await;
        assert_eq!(campus.mails("roster").len(), mails, "{hours}");
    }
    campus.finish_unjudged().await;
}

#[tokio::test]
async fn a_stop_survives_kills() {
    for call in ["dynamodb:TransactWriteItems", "dynamodb:PutItem"] {
        for verdict in [Fault::KillBefore, Fault::KillAfter] {
            let mut campus = fared(100, 50).await;
            campus.drain().await;
            campus.students(&["ada"]).await;
            let write = Matcher::call(call).of(FunctionName::Mail);
            // The first put stores the mail server's quota.
            campus.gate.at(if call.ends_with("PutItem") { write.nth(2) } else { write }, verdict);
            campus.settle().await;
            // The function that died may have been the one to send the alarm, so its lease must expire.
            for minutes in [3, 10] {
                campus.pass_minutes(minutes).await;
            }
            assert!(campus.table.bulk_stop(MailKind::Roster).await.unwrap().is_some(), "{call} {verdict:?}");
            assert_eq!(account(&campus), [STOPPED], "{call} {verdict:?}");
            campus.finish_unjudged().await;
        }
    }
}
