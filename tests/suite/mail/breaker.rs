//! The breaker for bulk mail: when SES says that too much of a day's mail came back, bulk mail
//! waits for the next day, admins are told, and all other mail goes on.

use bursar_core::domain::mail::kind::SendFigures;
use bursar_core::store::MailServer;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::Quota;
use bursar_tests::campus::{ADMIN, Campus, Got, name_people};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::soon;
use jiff::SignedDuration;

use super::{account, kinds, later, watched};

const STOPPED: &str = "So much mail came back that invitations and digests wait until tomorrow";
const ASKS: &str = "ses:GetSendStatistics";

/// Twelve people who have had their invitations.
async fn class() -> (Campus, Vec<Got>) {
    let mut campus = Campus::open().await;
    campus.ses.set_quota(Quota {
        per_second: 1_000,
        ..Quota::PRODUCTION
    });
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&name_people(0..12)).await;
    campus.settle().await;
    let mails = campus.mails("roster");
    (campus, mails)
}

/// Lets minutes pass, after which somebody is invited. Returns the number of invitations that
/// leave.
async fn invited(campus: &mut Campus, minutes: i64, name: &str) -> usize {
    campus.students(&[name]).await;
    later(campus, minutes).await;
    campus.mails("roster").len()
}

#[tokio::test]
async fn bulk_mail_waits_for_tomorrow_once_too_much_came_back() {
    let (mut campus, mails) = class().await;
    for mail in &mails[..9] {
        campus.report(mail, "bounce", true).await;
    }
    assert_eq!(invited(&mut campus, 16, "ada").await, 1, "nine are few");
    for mail in &mails[9..10] {
        campus.report(mail, "bounce", true).await;
    }
    assert_eq!(
        invited(&mut campus, 13, "bob").await,
        1,
        "SES was asked thirteen minutes ago"
    );
    assert_eq!(invited(&mut campus, 2, "cid").await, 0);
    assert_eq!(account(&campus), [STOPPED]);
    assert_eq!(campus.drain().await["stopped"], true);

    // Links, and what is sent by hand, go on.
    campus.ask("ada").await;
    campus.resend("cid").await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["link", "roster"]);
    let page = campus.admin().await.get("/console/account").await;
    let says = "of 14 mails of that day, 10 came back for good and 0 were complained about";
    assert!(page.readable().contains(says), "{}", page.readable());
    campus.all_mails();

    // Neither the watch nor the next reading says more of it.
    watched(&campus, 8).await;
    campus.settle().await;
    assert_eq!(kinds(&campus), [""; 0]);
    for (hours, mails) in [(5, 0), (2, 1)] {
        later(&campus, hours * 60).await;
        assert_eq!(campus.mails("roster").len(), mails, "{hours}");
    }
    assert_eq!(account(&campus), [""; 0]);
    campus.finish_faulted().await;
}

/// SES tells of yesterday only, or fails, or takes its time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_that_are_old_or_missing_stop_nothing() {
    let (mut campus, mails) = class().await;
    for mail in &mails {
        campus.report(mail, "bounce", true).await;
    }
    campus.ses.set_statistics_lag(SignedDuration::from_hours(2));
    assert_eq!(invited(&mut campus, 16, "ada").await, 1);

    let fault = campus
        .gate
        .at(Matcher::call(ASKS).every(), Fault::Status(500));
    for name in ["bob", "cid"] {
        assert_eq!(invited(&mut campus, 16, name).await, 1);
    }
    campus.gate.lift(fault);
    let lines = campus.logs.all();
    let said = lines.iter().filter(|line| {
        line.text
            .contains("SES does not say how much mail came back")
    });
    assert_eq!(said.count(), 1);

    campus.students(&["dan"]).await;
    campus.minutes(16);
    let held = campus.gate.hold(Matcher::call(ASKS).of(FunctionName::Mail));
    let asks = async {
        held.arrived().await;
        campus.ask(ADMIN).await;
        campus.delivered().await;
        assert_eq!(kinds(&campus), ["link"], "a link waits for no figures");
        drop(held);
    };
    tokio::join!(campus.drain(), asks);
    assert_eq!(campus.mails("roster").len(), 1);

    campus.ses.set_statistics_lag(SignedDuration::ZERO);
    assert_eq!(invited(&mut campus, 16, "eve").await, 0, "once it says so");
    campus.finish_faulted().await;
}

/// Two turns of the drain read the same, and the slower one finds that too much came back.
#[tokio::test]
async fn a_stop_is_not_lost_to_a_faster_turn() {
    let campus = Campus::open().await;
    let as_of = campus.clock.now();
    let read = MailServer {
        as_of,
        per_day: None,
        per_second: 14.0,
        sent: 0,
        enabled: true,
        asked_at: None,
        figures: None,
        stop: None,
        version: 0,
    };
    let stop = Some(SendFigures {
        as_of,
        sent: 500,
        bounced: 20,
        complained: 0,
    });
    for noted in [
        read.clone(),
        MailServer {
            stop,
            ..read.clone()
        },
        read,
    ] {
        campus.table.note_mail_server(&noted, soon()).await.unwrap();
    }
    assert_eq!(
        campus
            .table
            .get(MailServer::key_of())
            .await
            .unwrap()
            .unwrap()
            .stop,
        stop
    );
    campus.finish().await;
}
