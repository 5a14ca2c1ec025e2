//! Many bulk mails and an urgent one, which never waits for them. A server that takes no mail uses
//! up no tries.

use bursar_core::deadline::Waits;
use bursar_core::domain::sign_in::Asker;
use bursar_core::domain::values::token::BrowserToken;
use bursar_core::store::items::to_item;
use bursar_core::store::{MailState, OutboxRow, QueuedMail};
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::ses::{Fault as MailFault, Quota};
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::faults::Matcher;
use bursar_tests::stack::Setup;
use jiff::SignedDuration;

use super::{later, roster_mail, unread};

/// Mails a second, at which this many are sent side by side.
const RATE: u32 = 8;
const SIDE_BY_SIDE: usize = 4;

/// A campus that owes this many roster mails, all to one student: the recipient does not matter to
/// the sending.
async fn owe(mails: usize, waits: Waits) -> Campus {
    let mut campus = Campus::of(Setup {
        waits,
        ..Setup::default()
    })
    .await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("frida")];
        })
        .await;
    campus.students(&["ada"]).await;
    let rows = (1..mails)
        .map(|_| to_item(&roster_mail(&campus, "ada")).unwrap())
        .collect();
    campus.engine.fill(rows).await.unwrap();
    campus
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_leaves_before_the_next_ten_roster_mails() {
    let campus = owe(60, Waits::shorten_by(4)).await;
    // Forty-eight today: eight tenths of the quota.
    campus.ses.set_quota(Quota {
        per_day: 60,
        per_second: RATE,
    });
    campus.delivered().await;
    let kinds = || {
        let mails = campus.ses.mails().into_iter();
        mails
            .map(|mail| Contents::parse(&mail.raw).kind.unwrap_or_default())
            .collect::<Vec<_>>()
    };
    // The drain's own sends are held after this number, and another instance sends the link.
    let held = campus.gate.hold(
        Matcher::call("ses:SendRawEmail")
            .of_instance(FunctionName::Mail, 1)
            .after(20),
    );
    let asks = async {
        held.arrived().await;
        campus.ask(ADMIN).await;
        campus.delivered().await;
        assert_eq!(
            (
                kinds().len(),
                kinds().iter().filter(|kind| *kind == "link").count()
            ),
            (21, 1)
        );
        // A link whose first sender died, so that no stream record is left: the drain sends it
        // before it goes on.
        let (now, browser) = (campus.clock.now(), BrowserToken::generate().hash());
        let mail = QueuedMail::Link {
            address: address("frida").matched().clone(),
            asker: Asker {
                browser,
                sign_on: None,
            },
        };
        let died = MailState::Sending {
            lease_until: now - SignedDuration::from_secs(1),
        };
        let row = OutboxRow {
            state: died,
            tries: 1,
            ..OutboxRow::queued(mail, now)
        };
        campus.raw().keep(&row).await;
        drop(held);
    };
    let (report, ()) = tokio::join!(campus.drain(), asks);
    let kinds = kinds();
    let last = kinds.iter().rposition(|kind| kind == "link").unwrap();
    assert!(
        last <= 21 + 10 + SIDE_BY_SIDE,
        "the second link is mail number {last}"
    );
    assert_eq!(
        (
            kinds.len(),
            report["sent"].as_u64(),
            report["waiting"].as_u64()
        ),
        (50, Some(49), Some(12))
    );
    campus.finish().await;
}

#[tokio::test]
async fn a_server_that_takes_no_mail_uses_up_no_tries() {
    let campus = owe(60, Waits::WHOLE).await;
    campus.ses.set_quota(Quota {
        per_day: 50_000,
        per_second: 1_000_000,
    });
    let drain = async || {
        let report = campus.drain().await;
        campus.delivered().await;
        let seen = campus.judged().await;
        (
            report["sent"].as_u64().unwrap(),
            seen.outbox
                .iter()
                .map(|row| u32::from(row.tries))
                .sum::<u32>(),
        )
    };
    campus.ses.set_enabled(false);
    assert_eq!(drain().await, (0, 0));
    assert!(campus.has_logged("mail waits because of the account of the mail server"));
    campus.ses.set_enabled(true);
    campus.ses.fail_next(MailFault::Throttle, 1_000, None);
    assert_eq!(drain().await, (0, 0));
    campus.ses.lift_faults(None);
    later(&campus, 20).await;
    assert_eq!(
        unread(&campus).len(),
        61,
        "an admin was told that it was disabled"
    );
    campus.finish_faulted().await;
}
