//! A roster of thousands, mailed from an account that begins in the sandbox, is paused by AWS and then released.
//! Nothing is lost or sent twice, urgent mail never waits for bulk, and admins are notified of each state once.
//! `cargo xtask long mails` does it with 50,000.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use bursar_core::deadline::Waits;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Person;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Author, NewPerson};
use bursar_local::inbox::Contents;
use bursar_local::ses::PAUSED;
use bursar_tests::office::crossing;
use bursar_tests::seeds::{LONG, sized};
use jiff::SignedDuration;

use super::{PostOffice, address, soon};

const ADMIN: &str = "admin@example.edu";
const FACULTY: &str = "Frida.Faculty@example.edu";
/// The number of students at a domain that the account has verified.
const VERIFIED: usize = 20;
/// Minutes in the sandbox, and minutes of the pause.
const MINUTES: usize = 4;
/// The factor by which the functions' waits are shortened.
const FASTER: u32 = if LONG { 10 } else { 40 };

/// The mails that were accepted in a minute.
struct Minute {
    roster: usize,
    urgent: Vec<(String, String)>,
}

impl PostOffice {
    /// Moves the clock by a minute, with its drain.
    async fn minute(&self) -> Minute {
        self.stack.schedules.advance(SignedDuration::from_mins(1)).await.unwrap();
        let mut minute = Minute { roster: 0, urgent: Vec::new() };
        for mail in self.stack.ses.unread() {
            let contents = Contents::of(&mail.raw);
            match contents.kind.as_deref() {
                Some("roster") => minute.roster += 1,
                _ => minute.urgent.push((mail.to[0].clone(), contents.subject)),
            }
        }
        minute
    }

    /// Asks for a link and crosses a threshold; asserts that both mails are sent within the minute.
    async fn urgent_is_on_time(&self, whom: &str, threshold: u8) -> Minute {
        self.ask(whom).await;
        self.crossed(threshold).await;
        self.stack.pump.drained().await.unwrap();
        let minute = self.minute().await;
        let has = |to: &str, subject: &str| minute.urgent.iter().any(|mail| mail.0 == to && mail.1.contains(subject));
        assert!(has(whom, "Your link to sign in"), "{:?}", minute.urgent);
        assert!(has(FACULTY, "CS pilot has used"), "{:?}", minute.urgent);
        minute
    }

    async fn crossed(&self, threshold: u8) {
        let limit = Usd::from_dollars(4000);
        let crossing = crossing(&self.programme, limit, threshold, self.stack.clock.now());
        let faculty = self.table.person_of(&address(FACULTY), soon()).await.unwrap();
        let now = self.stack.clock.now();
        assert!(self.table.record_crossings(&[crossing], &[faculty], now, soon()).await.unwrap());
    }

    async fn invite_all(&self, count: usize) {
        let actor = Actor::Rule;
        let students: Vec<NewPerson> = (0..count)
            .map(|number| {
                let domain = if number < VERIFIED { "verified.example.edu" } else { "students.example.edu" };
                let address = address(&format!("s{number}@{domain}"));
                NewPerson { person: Person { address, name: None, roster_id: None }, group: None }
            })
            .collect();
        for some in students.chunks(24) {
            let by = Author { actor: &actor, now: self.stack.clock.now(), deadline: soon() };
            assert_eq!(self.table.invite(&self.programme, some, by).await.unwrap().len(), some.len());
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_roster_of_thousands_survives_the_sandbox_and_a_pause_and_keeps_nothing_urgent_waiting() {
    let count = sized(60, 50_000);
    let office = PostOffice::waiting(Waits::shortened(FASTER)).await;
    let ses = &office.stack.ses;
    ses.set_sandbox(&[ADMIN, FACULTY, "verified.example.edu"]);
    office.invite_all(count).await;
    let mut admin_heard: Vec<String> = Vec::new();
    let mut heard = |minute: &Minute| {
        let to_admin = minute.urgent.iter().filter(|(to, subject)| to == ADMIN && !subject.contains("link"));
        admin_heard.extend(to_admin.map(|(_, subject)| subject.clone()));
    };

    // In the sandbox only verified addresses get mail.
    let mut roster = 0;
    for (number, whom) in [(0, ADMIN), (1, FACULTY)] {
        let minute = office.urgent_is_on_time(whom, 10 + number).await;
        roster += minute.roster;
        heard(&minute);
    }
    for _ in 0..MINUTES {
        let minute = office.minute().await;
        roster += minute.roster;
        heard(&minute);
    }
    assert!(roster <= VERIFIED, "{roster} of the roster were mailed in the sandbox");

    // During AWS's pause nothing is sent, urgent mail included.
    ses.set_stopped_by_aws(Some(PAUSED));
    office.ask(ADMIN).await;
    office.crossed(20).await;
    for _ in 0..MINUTES {
        let minute = office.minute().await;
        assert_eq!((minute.roster, minute.urgent.len()), (0, 0));
    }

    // After the release urgent mail goes first. The roster follows at nine tenths of fourteen a second, up to
    // eight tenths of the day's quota.
    ses.set_stopped_by_aws(None);
    ses.leave_sandbox();
    let begun = Instant::now();
    // Urgent mails so far: two in the sandbox, and one during the pause.
    let mut urgent = 3;
    let (mut minutes, mut most, mut idle, mut threshold) = (0, 0, 0, 20);
    while roster < count {
        // A refused mail is retried within a quarter of an hour, and a used-up share of the day lasts until the
        // next.
        idle += 1;
        assert!(idle < 25, "{roster} of {count}");
        let minute = match minutes % 10 {
            5 => {
                (threshold, urgent) = (threshold + 1, urgent + 1);
                // Each time somebody else, since whoever follows none of three links gets no fourth while one is good.
                office.urgent_is_on_time(&format!("s{threshold}@students.example.edu"), threshold).await
            }
            _ => office.minute().await,
        };
        heard(&minute);
        if minute.roster > 0 {
            (idle, minutes) = (0, minutes + 1);
        }
        (roster, most) = (roster + minute.roster, most.max(minute.roster));
        // The share of the day is used up; urgent mails count in it too.
        if idle > 20 {
            office.stack.schedules.advance(SignedDuration::from_hours(24)).await.unwrap();
            let after = ses.unread();
            let more = after.iter().filter(|mail| Contents::of(&mail.raw).kind.as_deref() == Some("roster")).count();
            (roster, idle) = (roster + more, 0);
        }
    }
    eprintln!(
        "{count} roster mails: {minutes} minutes with a drain, {most} in the fullest, {:.0} s of this machine",
        begun.elapsed().as_secs_f64()
    );
    assert!(most <= 14 * 60, "{most} in a minute");
    // Mails put off during the pause are retried within a quarter of an hour.
    for _ in 0..30 {
        heard(&office.minute().await);
    }

    let mut to: BTreeMap<String, usize> = BTreeMap::new();
    for mail in ses.mails() {
        if Contents::of(&mail.raw).kind.as_deref() == Some("roster") {
            *to.entry(mail.to[0].clone()).or_default() += 1;
        }
    }
    assert_eq!(to.len(), count, "nobody is left out");
    assert!(to.values().all(|mails| *mails == 1), "and nobody is mailed twice");
    // Each urgent mail was sent once, including those of the pause.
    let all: Vec<Contents> = ses.mails().iter().map(|mail| Contents::of(&mail.raw)).collect();
    let of_kind = |kind: &'static str| {
        all.iter().filter(move |mail| mail.kind.as_deref() == Some(kind)).map(|mail| &mail.subject)
    };
    let alerts: BTreeSet<&String> = of_kind("alert").collect();
    assert_eq!((of_kind("alert").count(), alerts.len()), (urgent, urgent), "{alerts:?}");
    assert_eq!(of_kind("link").count(), urgent);
    let waiting = office.table.waiting().await.unwrap();
    assert!(waiting.iter().all(|of| of.mails == 0), "{waiting:?}");
    let dead = office.table.dead_mails(office.stack.clock.now() - SignedDuration::from_hours(72), 10).await.unwrap();
    assert_eq!(dead.in_all, 0);
    for state in ["the recipient's address is not verified", "sending is paused for the whole SES account"] {
        assert_eq!(admin_heard.iter().filter(|subject| subject.contains(state)).count(), 1, "{admin_heard:?}");
    }
    office.finish_unjudged().await;
}
