//! A roster of 50,000, mailed from an account that begins in the sandbox, is paused by AWS and then released. Nothing is lost or sent
//! twice, urgent mail never waits for bulk, and admins are notified of each state once.

use std::collections::BTreeSet;

use bursar_core::deadline::Waits;
use bursar_core::domain::usage::crossing::{Crossing, Scope};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Window;
use bursar_local::ses::PAUSED;
use bursar_tests::campus::{ADMIN, Campus, address};
use bursar_tests::office::soon;
use bursar_tests::stack::Setup;
use jiff::SignedDuration;

const COUNT: usize = 50_000;
const FACULTY: &str = "frida@example.edu";
/// The number of students at a domain that the account has verified.
const VERIFIED: usize = 20;

/// What a minute with its drain brings: how many roster mails, and all others by recipient and subject.
async fn minute(campus: &Campus) -> (usize, Vec<(String, String)>) {
    campus.schedules.advance(SignedDuration::from_mins(1)).await.unwrap();
    let (roster, others): (Vec<_>, Vec<_>) =
        campus.all_mails().into_iter().partition(|mail| mail.contents.kind.as_deref() == Some("roster"));
    (roster.len(), others.into_iter().map(|mail| (mail.to, mail.contents.subject)).collect())
}

async fn cross(campus: &Campus, threshold: u8) {
    let now = campus.clock.now();
    let crossing = Crossing {
        programme: campus.programme.clone(),
        scope: Scope::Budget,
        window: Window::WHOLE_TERM,
        limit: Usd::from_dollars(4000),
        threshold,
        spent: Usd::from_dollars(40).times(threshold.into()),
        found_at: now,
        is_mailed: true,
    };
    let faculty = campus.table.person_of(&address(FACULTY), soon()).await.unwrap();
    assert!(campus.table.record_crossings(&[crossing], &[faculty], now, soon()).await.unwrap());
}

/// A minute in which somebody asks for a link and a threshold is crossed; both mails are sent in it.
async fn urgent(campus: &Campus, whom: &str, threshold: u8) -> (usize, Vec<(String, String)>) {
    campus.ask(whom).await;
    cross(campus, threshold).await;
    campus.delivered().await;
    let minute = minute(campus).await;
    let has = |to: &str, words: &str| minute.1.iter().any(|mail| mail.0 == to && mail.1.contains(words));
    assert!(has(whom, "Your link to sign in") && has(FACULTY, "CS pilot has used"), "{:?}", minute.1);
    minute
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
async fn a_large_roster_survives_the_sandbox_and_a_pause() {
    let mut campus = Campus::of(Setup { waits: Waits::shortened(10), ..Setup::default() }).await;
    campus.programme("CS pilot", |settings| settings.people.faculty = vec![address(FACULTY)]).await;
    campus.ses.set_sandbox(&[ADMIN, FACULTY, "verified.example.edu"]);
    let domain = |number| if number < VERIFIED { "verified.example.edu" } else { "students.example.edu" };
    let names: Vec<String> = (0..COUNT).map(|number| format!("s{number}@{}", domain(number))).collect();
    campus.students(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let mut minutes = vec![urgent(&campus, ADMIN, 10).await, urgent(&campus, FACULTY, 11).await];
    for _ in 0..4 {
        minutes.push(minute(&campus).await);
    }
    assert!(minutes.iter().map(|minute| minute.0).sum::<usize>() <= VERIFIED, "in the sandbox");
    campus.ses.set_stopped_by_aws(Some(PAUSED));
    campus.ask(ADMIN).await;
    cross(&campus, 20).await;
    for _ in 0..4 {
        assert_eq!(minute(&campus).await, (0, Vec::new()));
    }

    // Urgent mail goes first, the roster follows at nine tenths of fourteen a second, up to eight tenths of the day's quota. A mail
    // that was refused comes again within a quarter of an hour.
    campus.ses.set_stopped_by_aws(None);
    campus.ses.leave_sandbox();
    let mut roster: usize = minutes.iter().map(|minute| minute.0).sum();
    let (mut threshold, mut idle) = (20, 0);
    while roster < COUNT {
        let next = if minutes.len() % 10 == 5 {
            threshold += 1;
            // Each time somebody else, since who follows none of three links gets no fourth while one is good.
            urgent(&campus, &names[VERIFIED + usize::from(threshold)], threshold).await
        } else {
            minute(&campus).await
        };
        assert!(next.0 <= 14 * 60, "{} in a minute", next.0);
        idle = if next.0 > 0 { 0 } else { idle + 1 };
        roster += next.0;
        minutes.push(next);
        if idle > 20 {
            campus.schedules.advance(SignedDuration::from_hours(24)).await.unwrap();
            roster += campus.mails("roster").len();
            idle = 0;
        }
    }
    for _ in 0..30 {
        minutes.push(minute(&campus).await);
    }

    let to: Vec<_> = campus.ses.mails().into_iter().filter(|mail| mail.to[0].starts_with('s')).collect();
    let roster = to.iter().filter(|mail| String::from_utf8_lossy(&mail.raw).contains("X-Bursar-Mail: roster"));
    let roster: Vec<&str> = roster.map(|mail| &*mail.to[0]).collect();
    assert_eq!((roster.len(), roster.iter().collect::<BTreeSet<_>>().len()), (COUNT, COUNT), "each is mailed once");
    let others: Vec<_> = minutes.into_iter().flat_map(|minute| minute.1).collect();
    for state in ["the recipient's address is not verified", "sending is paused for the whole SES account"] {
        assert_eq!(others.iter().filter(|mail| mail.1.contains(state)).count(), 1, "{others:?}");
    }
    assert!(campus.table.waiting().await.unwrap().iter().all(|of| of.mails == 0));
    assert_eq!(
        campus.table.dead_mails(campus.clock.now() - SignedDuration::from_hours(72), 10).await.unwrap().in_all,
        0
    );
    campus.finish_unjudged().await;
}
