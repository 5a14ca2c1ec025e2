//! The day's quota: bulk mail leaves a part of it to urgent mail. Roster mail to a student who was dropped
//! meanwhile is not sent.

use bursar_core::domain::grant::HoldKind;
use bursar_core::store::ActContext;
use bursar_local::ses::Quota;

use super::{PostOffice, soon};

#[tokio::test]
async fn roster_mails_use_eight_tenths_of_the_day_and_links_still_go() {
    let mut office = PostOffice::open().await;
    office.stack.ses.set_quota(Quota { per_day: 5, per_second: 1_000 });
    for student in ["ada", "bob", "cyd", "dan", "eve"] {
        office.invite(&format!("{student}@example.edu")).await;
    }
    office.settle().await;
    assert_eq!(office.unread().len(), 4);
    office.ask("ada@example.edu").await;
    office.settle().await;
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("link"));
    office.pass(24 * 60).await;
    assert_eq!(office.the_mail().contents.kind.as_deref(), Some("roster"));
    office.finish().await;
}

#[tokio::test]
async fn whoever_is_dropped_from_the_roster_meanwhile_is_not_told_to_be_on_it() {
    let mut office = PostOffice::open().await;
    let grant = office.invite("ada@example.edu").await;
    let at =
        ActContext { programme: &office.programme, grant: &grant, now: office.stack.clock.now(), deadline: soon() };
    let sync = bursar_core::domain::audit::Actor::Sync;
    office.table.act(at, |view, now| view.hold(HoldKind::Dropped, &sync, None, now)).await.unwrap();
    office.settle().await;
    assert_eq!(office.unread().len(), 0);
    office.finish().await;
}
