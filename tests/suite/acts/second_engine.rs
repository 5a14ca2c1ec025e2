//! The store's own calls on the engine under test: the embedded one, or another in `cargo xtask long second-engine`.
//! Each act runs alone, and once more when it is done; `faults` has that too, on the embedded engine. Crowds and the single
//! writes that are no acts run in `cargo test` as well.

use bursar_tests::office::as_sync;
mod crowds;

use bursar_core::domain::grant::Reading;
use bursar_core::domain::mail::class::MailClass;
use bursar_core::domain::people::sign_in::{LINK_LASTS, LiveLink};
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::id::{Epoch, new_ulid};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::token::{AskToken, LinkToken};
use bursar_core::store::{Ask, CapScan, ForeignKey, LinkOutcome, MailState, RateCount};
use jiff::ToSpan;

use super::act::Act;
use super::kinds::Kind;
use super::lane::{Lane, plenty};
use super::settings::{Setting, ada, open, reading, start};

#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_act_comes_to_what_the_rules_say_and_so_it_does_when_it_is_asked_for_again() {
    let lane = Lane::under_test().await;
    let mut wrong = Vec::new();
    for (kind, setting) in Kind::ALL.iter().flat_map(|kind| kind.settings().iter().map(move |setting| (kind, setting)))
    {
        let mut case = lane.case(&setting.world()).await;
        let act = kind.seeing(&case.world, case.now()).unwrap();
        for time in ["first", "second"] {
            let mut actor = case.actor();
            let ended = case.step(&mut actor, &act, plenty(), false).await;
            wrong.extend(ended.err().map(|why| format!("{kind:?} in {setting:?}, the {time} time:\n{why}")));
            case.set_now(case.now() + 1.second());
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_a_reading_lifetimes_are_written_by_maximum_and_the_window_by_who_asked_last() {
    let lane = Lane::under_test().await;
    let (world, now) = Setting::Live.world();
    let mut case = lane.case(&(world, now)).await;
    let read = |dollars, minutes: i64, last_used: Option<i64>| Reading {
        last_used_at: last_used.map(|at| now + at.minutes()),
        ..reading(&ada(), Epoch::new(1), dollars, now + minutes.minutes())
    };
    for (note, said) in [
        (read(7, 1, None), "Recorded"),
        (read(7, 1, None), "Recorded"),
        (read(7, 2, Some(2)), "Recorded"),
        (read(6, 1, None), "NotNewer"),
        (read(9, 1, None), "Recorded"),
        (read(3, 3, None), "Recorded"),
        (read(20, 3, Some(3)), "Recorded"),
    ] {
        let mut actor = case.actor();
        let ended = case.step(&mut actor, &Act::Note(note.clone()), plenty(), false).await.unwrap();
        assert!(format!("{ended:?}").contains(said), "{note:?}: {ended:?}");
    }
    let known = case.world.readings.values().next_back().unwrap();
    assert_eq!((known.lifetime(), known.as_of), (Usd::from_dollars(20), now + 3.minutes()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn single_writes_take_effect_where_their_condition_holds_and_nowhere_else() {
    let lane = Lane::under_test().await;
    let case = lane.case(&(open(), start())).await;
    let (actor, now) = (case.actor(), start());
    let table = actor.store();

    let minute = 1.minute();
    let mut asked = Vec::new();
    for at in [now, now, now + minute] {
        asked.push(table.may_refresh(&ada(), at, at + minute, plenty()).await.unwrap());
    }
    assert_eq!(asked, [true, false, true]);

    let bulk = table.due_mails(MailClass::Roster, now, 10).await.unwrap();
    let taken = table.take_mail(bulk[0], now, plenty()).await.unwrap().unwrap();
    assert!(table.take_mail(bulk[0], now, plenty()).await.unwrap().is_none(), "somebody sends it");
    let sent = || MailState::Sent { message: "0100".to_owned(), at: now };
    assert!(table.set_mail(&taken, sent(), plenty()).await.unwrap().is_some());
    let other = MailState::Waiting { since: now };
    assert!(table.set_mail(&taken, other, plenty()).await.unwrap().is_none(), "it was read before that");

    let address = EmailAddress::parse("ada@uni.edu").unwrap();
    let ask =
        Ask { ask: new_ulid(now), address: address.matched().clone(), asked_by: AskToken::generate().hash(), at: now };
    for _ in 0..2 {
        table.owe_link(&ask, now, plenty()).await.unwrap();
    }
    assert_eq!(table.due_mails(MailClass::Urgent, now, 10).await.unwrap().len(), 1);
    // The budget of the minute has room for one more.
    case.keep(&RateCount { count: 1_999, ..RateCount::of_links(now) }).await;
    for (name, made) in [("ada", LinkOutcome::Yes), ("bob", LinkOutcome::Later)] {
        let address = EmailAddress::parse(&format!("{name}@uni.edu")).unwrap();
        let (link, asked_by, ends_at) = (LinkToken::generate().hash(), AskToken::generate().hash(), now + LINK_LASTS);
        let live = LiveLink { link, code: None, asked_by, ends_at };
        assert_eq!(
            table.make_link(new_ulid(now), address.matched(), &live, now, plenty()).await.unwrap(),
            made,
            "{name}"
        );
    }

    let foreign = |name: &str, as_of| ForeignKey {
        key: "ab".repeat(32).parse().unwrap(),
        name: name.to_owned(),
        enabled: true,
        limit: None,
        used: bursar_core::domain::usage::reading::DailyUse::default(),
        created_at: None,
        last_used_at: None,
        first_seen_at: now,
        gone_at: None,
        as_of,
        recorded_by: as_of,
        in_cut: Default::default(),
    };
    for (name, as_of) in [("first", now), ("later", now + minute), ("stale", now)] {
        table.note_foreign_key(&foreign(name, as_of), plenty()).await.unwrap();
    }
    let known = table.foreign_keys().await.unwrap();
    assert_eq!(known.iter().map(|key| key.name.as_str()).collect::<Vec<_>>(), ["later"]);

    table.note_cap_scan(&CapScan { listed_at: now, next: None }, plenty()).await.unwrap();
    assert_eq!(table.cap_scan().await.unwrap().map(|look| look.listed_at), Some(now));
    let state = table.sync_state().await.unwrap();
    let after = state.clone().next();
    assert!(as_sync(table, async |sync| sync.set_sync_state(&after).await).await);
    assert!(!as_sync(table, async |sync| sync.set_sync_state(&after).await).await, "one is there");
    assert!(as_sync(table, async |sync| sync.set_sync_state(&after.clone().next()).await).await);
    assert!(!as_sync(table, async |sync| sync.set_sync_state(&after.next()).await).await, "it is another by now");
}
