//! Invitations of a programme whose keys can be claimed later: they go out then, and not when the
//! roster is made.

use bursar_core::clock::Moment;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{HoldKind, View};
use bursar_core::domain::values::term::Term;
use bursar_core::schema::Stored;
use bursar_core::store::{MailState, OutboxRow};
use bursar_tests::campus::{Campus, name_people};
use bursar_tests::visitor::Page;
use jiff::SignedDuration;
use jiff::civil::date;

use super::{kinds, later, watched};

fn at(text: &str) -> Moment {
    text.parse().unwrap()
}

/// Twenty students, put on the roster on 26 Dec 2026 of a programme whose term begins on 1 Mar 2027
/// in Berlin.
async fn summer() -> Campus {
    let mut campus = Campus::at("2026-12-26T10:00:00Z").await;
    let term = Term::new(date(2027, 3, 1), date(2027, 6, 30), "Europe/Berlin").unwrap();
    campus
        .programme("CS 200 summer", |settings| settings.term = term)
        .await;
    campus.settle().await;
    campus.all_mails();
    campus.students(&name_people(0..20)).await;
    campus.settle().await;
    campus
}

async fn roster(campus: &Campus) -> Page {
    campus
        .admin()
        .await
        .get(&format!("/console/programmes/{}/roster", campus.programme))
        .await
        .expect(200)
}

/// The rows of the invitations that are planned, with the time at which each is looked at again.
async fn planned(campus: &Campus) -> Vec<(OutboxRow, Moment)> {
    let seen = campus.judged().await;
    let rows = seen.outbox.iter();
    rows.filter_map(|row| match row.state {
        MailState::Planned { until } => Some((row.clone(), until)),
        _ => None,
    })
    .collect()
}

#[tokio::test]
async fn invitations_go_out_when_keys_can_be_claimed() {
    let campus = summer().await;
    assert_eq!(campus.mails("roster").len(), 0);
    let says = "20 invitations go out on 1 Mar 2027, when keys can be claimed.";
    let page = roster(&campus).await;
    assert!(page.readable().contains(says), "{}", page.readable());

    // They are planned, and do not wait.
    campus.sync().await;
    watched(&campus, 24).await;
    assert!(
        !campus
            .subjects("account")
            .iter()
            .any(|subject| subject.contains("not sent"))
    );
    assert_eq!(campus.drain().await["waiting"], 0);
    let account = campus
        .admin()
        .await
        .get("/console/account")
        .await
        .readable();
    campus.all_mails();
    assert!(
        account.contains("20 more are planned") && !account.contains("Mail waits for longer"),
        "{account}"
    );
    let opens = at("2027-02-28T23:00:00Z");
    let rows = planned(&campus).await;
    assert_eq!(rows.len(), 20);
    let day = SignedDuration::from_hours(24);
    for (row, until) in rows {
        assert_eq!(
            (until, row.expires()),
            (at("2026-12-28T10:00:00Z"), Some(opens + day * 90)),
            "the next day"
        );
    }

    // What is sent by hand goes at once, in place of what was planned.
    campus.resend("s000").await;
    campus.settle().await;
    assert_eq!(kinds(&campus), ["roster"]);

    campus
        .clock
        .stop_at(opens - SignedDuration::from_mins(1))
        .unwrap();
    campus.settle().await;
    assert_eq!(campus.mails("roster").len(), 0);
    later(&campus, 1).await;
    assert_eq!(campus.mails("roster").len(), 19);
    campus.finish_unjudged().await;
}

/// The opening is moved: sooner, which is noticed within a day, then later, and on the last day
/// sooner, which is noticed within an hour.
#[tokio::test]
async fn a_moved_opening_is_noticed() {
    let campus = summer().await;
    let opens_at = async |opens: &str| {
        campus
            .set(|settings| settings.claims.claim_opens_at = Some(at(opens)))
            .await;
        assert_eq!(
            campus.job("limits").await,
            None,
            "no walk over all students"
        );
    };
    opens_at("2027-01-04T08:00:00Z").await;
    let page = roster(&campus).await.readable();
    assert!(
        page.contains("20 invitations go out on 4 Jan 2027, 09:00"),
        "{page}"
    );
    campus.clock.stop_at(at("2027-01-04T07:59:00Z")).unwrap();
    campus.settle().await;
    assert_eq!(campus.mails("roster").len(), 0);
    // It is moved in the last minute, and nobody is invited too soon, nor is mail said to be late.
    opens_at("2027-02-11T08:00:00Z").await;
    later(&campus, 1).await;
    for (row, until) in planned(&campus).await {
        assert_eq!(
            (until, row.written_at),
            (at("2027-01-05T08:00:00Z"), at("2027-02-11T08:00:00Z"))
        );
    }
    watched(&campus, 48).await;
    assert!(
        !campus
            .subjects("account")
            .iter()
            .any(|subject| subject.contains("not sent"))
    );
    assert_eq!(
        (
            campus.mails("roster").len(),
            campus.drain().await["waiting"].as_u64()
        ),
        (0, Some(0))
    );
    campus.clock.stop_at(at("2027-02-11T05:30:00Z")).unwrap();
    campus.settle().await;
    opens_at("2027-02-11T05:31:00Z").await;
    later(&campus, 59).await;
    assert_eq!(campus.mails("roster").len(), 0);
    later(&campus, 1).await;
    assert_eq!(campus.mails("roster").len(), 20);
    campus.finish_unjudged().await;
}

/// What is planned costs a drain nothing before its time: the same calls as without it.
#[tokio::test]
async fn what_is_planned_is_not_read_before_its_time() {
    let mut campus = summer().await;
    let drains = async |campus: &Campus| {
        let before = campus.gate.calls().len();
        campus.drain().await;
        campus.gate.calls().len() - before
    };
    drains(&campus).await;
    let with_twenty = drains(&campus).await;
    campus.students(&name_people(100..300)).await;
    campus.settle().await;
    assert_eq!(planned(&campus).await.len(), 220);
    assert_eq!(drains(&campus).await, with_twenty);
    campus.clock.stop_at(at("2026-12-28T10:00:00Z")).unwrap();
    assert!(
        drains(&campus).await > with_twenty + 220,
        "each is looked at, and put off"
    );
    assert_eq!(drains(&campus).await, with_twenty);
    assert_eq!(campus.mails("roster").len(), 0);
    campus.finish_unjudged().await;
}

/// Who is off the roster when keys can be claimed is not invited then, but when they come back, and
/// once.
#[tokio::test]
async fn who_comes_back_after_the_opening_is_invited() {
    let campus = summer().await;
    let comes_back = async |name: &str| {
        let release = |view: &View, now| view.release(HoldKind::Dropped, &Actor::Rule, now);
        campus.table.act(campus.on(name), release).await.unwrap();
        campus.settle().await;
        campus.mails("roster").len()
    };
    campus.hold("s000", HoldKind::Dropped).await;
    campus.hold("s001", HoldKind::Dropped).await;
    assert_eq!(comes_back("s001").await, 0, "it is planned still");
    campus.clock.stop_at(at("2027-02-28T23:01:00Z")).unwrap();
    campus.settle().await;
    assert_eq!(campus.mails("roster").len(), 19);
    assert_eq!(comes_back("s000").await, 1);
    campus.hold("s000", HoldKind::Dropped).await;
    assert_eq!(comes_back("s000").await, 0, "it was sent");
    // A sender has taken the invitation, and read the grant while it was off the roster.
    campus.hold("s002", HoldKind::Dropped).await;
    let rows = campus
        .table
        .mails_of(&campus.programme, campus.id("s002"))
        .await
        .unwrap();
    let state = MailState::Sending {
        lease_until: campus.clock.now() + SignedDuration::from_mins(1),
    };
    campus
        .raw()
        .keep(&OutboxRow {
            state,
            ..rows[0].clone()
        })
        .await;
    assert_eq!(comes_back("s002").await, 1, "rather two than none");
    campus.finish_unjudged().await;
}
