//! The breaker for bulk mail: when too much of a kind comes back, that kind stops, admins are notified, and all other mail goes on.
//! The next day it goes on.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::mail::kind::{MailCounts, MailDay, MailKind};
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::BulkStop;
use bursar_local::ses::Quota;
use bursar_tests::campus::{ADMIN, Campus};
use serde_json::json;

use super::{account, kinds, later};

const STOPPED: &str = "So much mail came back that invitations are stopped";

#[tokio::test]
async fn roster_mail_stops_at_the_tenth_bounce_and_goes_on_tomorrow() {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    // Of these mails there are no rows.
    let counts = MailCounts { sent: 99, bounced: 9, ..MailCounts::default() };
    let day = MailDay { day: utc_date(campus.clock.now()), mail: MailKind::Roster, counts };
    campus.raw().keep(&day).await;
    campus.students(&["ada", "bob"]).await;
    // One mail is sent and bounces.
    campus.ses.set_quota(Quota { per_day: 2, per_second: 1_000 });
    campus.settle().await;
    let sent = campus.mails("roster").remove(0);
    for _ in 0..2 {
        campus.report(&sent, "bounce", true).await;
    }
    let stop = campus.table.get(BulkStop::key_of(MailKind::Roster)).await.unwrap().unwrap();
    assert_eq!((stop.of.counts.sent, stop.of.counts.bounced, stop.version), (100, 10, 1));

    campus.ses.set_quota(Quota::PRODUCTION);
    campus.ask(ADMIN).await;
    campus.settle().await;
    assert_eq!(campus.drain().await["stopped"], json!(["roster"]));
    assert_eq!((account(&campus), kinds(&campus)), (vec![STOPPED.to_owned()], vec!["link".to_owned()]));
    // What is sent by hand goes on.
    campus.students(&["cid"]).await;
    let resent = campus.table.resend_roster_mail(campus.on("cid"), &campus.grant("cid").await, &Actor::Rule).await;
    assert_eq!(resent.unwrap(), None);
    campus.settle().await;
    assert_eq!(campus.mails("roster").len(), 1);
    for (hours, mails) in [(13, 0), (3, 2)] {
        later(&campus, hours * 60).await;
        assert_eq!(campus.mails("roster").len(), mails, "{hours}");
    }
    campus.finish_unjudged().await;
}
