//! A flood of requests for links, most of them for unknown addresses. Students still get their keys, alerts are
//! still sent at once, and an unknown address costs one put. `cargo xtask long flood` sends 20,000.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_tests::office::crossing;
use bursar_tests::seeds::{LONG, sized};
use bursar_tests::stack::Left;
use bursar_tests::visitor::Visitor;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;

use super::{Scene, soon, stack};

const ADMIN: &str = "admin@example.edu";
/// The number of students who claim during the flood, and of those who claimed before it.
const STUDENTS: usize = if LONG { 20 } else { 4 };
/// One request of the flood in this number is for a person on the roster.
const KNOWN: usize = 4;
/// People on the roster for whom the flood asks again and again.
const CROWD: usize = if LONG { 50 } else { 10 };
/// The number of the flood's requests that are under way at once.
const AT_ONCE: usize = 32;
/// The most presses of one student. A slow machine may need more time than a press has, and then the page asks
/// for another.
const PRESSES: usize = 5;

/// Durations, each from a press to its result.
struct Took {
    claims: Vec<Duration>,
    alert: Duration,
}

impl Took {
    fn in_words(&self) -> String {
        let (claims, alert) = (&self.claims, self.alert.as_secs_f64());
        let [middle, slowest] = [claims[claims.len() / 2], claims[claims.len() - 1]].map(|took| took.as_secs_f64());
        format!("a claim {middle:.2} s, the slowest {slowest:.2} s, the alert {alert:.2} s")
    }
}

impl Scene<'_> {
    /// Waits until this address has mail of this kind, whatever else is written meanwhile.
    async fn mail(&self, to: &str, kind: &str) -> Contents {
        let mut changes = self.stack.engine.changes();
        loop {
            changes.mark_unchanged();
            let mails = self.stack.ses.mails_to(to).into_iter().map(|mail| Contents::of(&mail.raw));
            if let Some(mail) = mails.into_iter().find(|mail| mail.kind.as_deref() == Some(kind)) {
                return mail;
            }
            changes.changed().await.unwrap();
        }
    }

    /// A claim from the request for a link to the key, and how long it took.
    async fn claim_from_the_start(&self, address: &str) -> Duration {
        let (begun, student) = (Instant::now(), Visitor::new(&self.stack.ready.web));
        student.post("/link", &[("address", address)]).await.expect(202);
        let text = self.mail(address, "link").await.text.unwrap();
        let link = text.lines().find_map(|line| line.strip_prefix(&self.stack.ready.web)).unwrap();
        student.post(link, &[]).await.expect(303);
        for _ in 0..PRESSES {
            let page = self.press(&student, "reveal").await;
            if page.status == 200 {
                page.one("key");
                return begun.elapsed();
            }
            assert!(page.all("key").is_empty() && page.alert().is_some(), "{}", page.readable());
        }
        panic!("{address} got no key");
    }

    /// The crossing of a threshold of the pot, and how long it took until an admin had its mail.
    async fn alert(&self, threshold: u8) -> Duration {
        let (begun, limit) = (Instant::now(), Usd::from_dollars(100_000));
        let crossing = crossing(&self.office.programme, limit, threshold, self.stack.clock.now());
        let admin = self.office.table.person_of(&EmailAddress::parse(ADMIN).unwrap(), soon()).await.unwrap();
        let now = self.stack.clock.now();
        assert!(self.office.table.record_crossings(&[crossing], &[admin], now, soon()).await.unwrap());
        let mut changes = self.stack.engine.changes();
        while !self.has_read_of(threshold) {
            changes.changed().await.unwrap();
        }
        begun.elapsed()
    }

    fn has_read_of(&self, threshold: u8) -> bool {
        let mails = self.stack.ses.mails_to(ADMIN);
        mails.iter().any(|mail| Contents::of(&mail.raw).subject.contains(&format!("used {threshold}%")))
    }

    async fn all_claim(&self, who: &str, threshold: u8) -> Took {
        let addresses: Vec<String> = (0..STUDENTS).map(|number| format!("{who}-{number}@example.edu")).collect();
        join_all(addresses.iter().map(|address| self.office.invite(address))).await;
        let claims = join_all(addresses.iter().map(|address| self.claim_from_the_start(address)));
        let (mut claims, alert) = tokio::join!(claims, self.alert(threshold));
        claims.sort();
        Took { claims, alert }
    }

    /// Sends this many requests, and returns how many were answered before the rest of the test was over.
    async fn flood(&self, asks: usize, is_over: &AtomicBool) -> usize {
        let meanwhile = AtomicUsize::new(0);
        let posts = (0..asks).map(async |number| {
            let address = match number % KNOWN {
                0 => format!("crowd-{}@example.edu", number / KNOWN % CROWD),
                _ => format!("nobody-{number}@elsewhere.example"),
            };
            Visitor::new(&self.stack.ready.web).post("/link", &[("address", &address)]).await.expect(202);
            if !is_over.load(Ordering::Relaxed) {
                meanwhile.fetch_add(1, Ordering::Relaxed);
            }
        });
        stream::iter(posts).buffer_unordered(AT_ONCE).collect::<()>().await;
        meanwhile.into_inner()
    }
}

/// Each function's calls to the table except reads.
fn writes(scene: &Scene<'_>) -> BTreeMap<(FunctionName, String), usize> {
    let mut writes = BTreeMap::new();
    for made in scene.stack.gate.calls() {
        let name = made.call.name.to_string();
        if ["Put", "Update", "Delete", "Transact", "Batch"]
            .iter()
            .any(|word| name.contains(&format!("dynamodb:{word}")))
        {
            *writes.entry((made.call.function, name)).or_insert(0) += 1;
        }
    }
    writes
}

#[tokio::test]
async fn an_ask_for_an_address_that_nobody_has_costs_one_put_and_no_walk() {
    let stack = stack().await;
    stack.schedules.stop().await;
    let scene = Scene::over(&stack).await;
    let before = writes(&scene);
    let calls = stack.gate.count();
    const ASKS: usize = 40;
    for number in 0..ASKS {
        let address = format!("nobody-{number}@elsewhere.example");
        scene.browser().post("/link", &[("address", &address)]).await.expect(202);
    }
    stack.pump.drained().await.unwrap();
    let mut after = writes(&scene);
    *after.get_mut(&(FunctionName::Claim, "dynamodb:PutItem".to_owned())).unwrap() -= ASKS;
    after.retain(|_, writes| *writes > 0);
    assert_eq!(after, before);
    let of_each = (stack.gate.count() - calls) as usize / ASKS;
    assert!(of_each <= 4, "{of_each} calls for each, however many programmes and people there are");
    stack.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_the_door_is_flooded_every_student_claims_and_an_alert_is_sent() {
    let asks = sized(80, 20_000);
    let stack = stack().await;
    // The mails that the drain would send must be sent without it.
    stack.schedules.stop().await;
    let scene = Scene::over(&stack).await;
    join_all((0..CROWD).map(async |number| scene.office.invite(&format!("crowd-{number}@example.edu")).await)).await;
    let quiet = scene.all_claim("quiet", 50).await;

    let (begun, is_over) = (Instant::now(), AtomicBool::new(false));
    let claims = async {
        let took = scene.all_claim("loud", 80).await;
        is_over.store(true, Ordering::Relaxed);
        took
    };
    let (loud, meanwhile) = tokio::join!(claims, scene.flood(asks, &is_over));
    let took = begun.elapsed().as_secs_f64();
    eprintln!("quiet: {}", quiet.in_words());
    eprintln!("{asks} asks in {took:.0} s, {meanwhile} of them while students claimed: {}", loud.in_words());
    assert!(meanwhile > 0, "it was no flood");
    if LONG {
        assert!(loud.alert < quiet.alert + Duration::from_secs(60), "{:?} after {:?}", loud.alert, quiet.alert);
    }

    stack.pump.drained().await.unwrap();
    // No unknown address got mail, and no person of the crowd got two mails in a minute.
    let minutes = begun.elapsed().as_secs() / 60 + 1;
    for number in 0..CROWD {
        let mails = stack.ses.mails_to(&format!("crowd-{number}@example.edu")).len() as u64;
        assert!((1..=minutes.min(3) + 1).contains(&mails), "{mails} in {minutes} minutes");
    }
    assert!(stack.ses.mails().iter().all(|mail| mail.to.iter().all(|to| to.ends_with("@example.edu"))));
    let keys = stack.provider.as_ref().unwrap().keys();
    assert_eq!(keys.iter().filter(|key| !key.disabled && !key.deleted).count(), 2 * STUDENTS);
    stack.finish_leaving(&[Left::AnyMails]).await;
}

#[tokio::test]
async fn what_is_no_form_and_no_request_is_refused_in_about_the_time_of_a_page() {
    let stack = stack().await;
    let browser = Visitor::new(&stack.ready.web);
    let fields: String = (0..100_000).map(|number| format!("{number:x}&")).collect();
    let many_cookies = Visitor::new(&stack.ready.web);
    (0..10_000).for_each(|number| many_cookies.set_cookie(&format!("c{number}"), "x"));
    const FORM: &str = "application/x-www-form-urlencoded";
    let mut took = BTreeMap::new();
    for _ in 0..10 {
        let mut note = |what, status: u16, begun: Instant, page: bursar_tests::visitor::Page| {
            assert_eq!(page.status, status, "{what}");
            *took.entry(what).or_insert(Duration::ZERO) += begun.elapsed() / 10;
        };
        let begun = Instant::now();
        note("a page", 200, begun, browser.get("/").await);
        let begun = Instant::now();
        note("100,000 fields", 413, begun, browser.post_as(FORM, "/link", fields.clone()).await);
        let begun = Instant::now();
        note("2 MiB of %", 413, begun, browser.post_as(FORM, "/link", "%".repeat(2 << 20)).await);
        let begun = Instant::now();
        note("10,000 cookies", 200, begun, many_cookies.get("/").await);
    }
    for (what, took) in &took {
        eprintln!("{what}: {:.1} ms", took.as_secs_f64() * 1000.0);
    }
    stack.finish().await;
}
