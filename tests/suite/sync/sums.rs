//! The sync's sums: totals of the day, the recount of the pot's counter, and acts that change the pot meanwhile.

use std::sync::Arc;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::Place;
use bursar_core::domain::grant::{Press, PressKind};
use bursar_core::domain::programme::{Pot, Programme};
use bursar_core::domain::values::id::{Epoch, GrantId, Nonce};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{ActContext, ActOutcome};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::{RawTable, Snapshot};
use bursar_tests::office::Office;
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::seeds::sized;
use bursar_tests::stack::Stack;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::crooked::{Crooked, with_row};
use super::{
    change_by_hand, hours, in_the_morning, invite, mint, office_deadline, rich, spend, still, sync, watch, without_runs,
};

/// What the programme's grants reserve, as a plain sum over their places.
fn by_hand(seen: &Snapshot, at: Timestamp) -> Usd {
    let settings = &seen.programmes.values().next().unwrap().settings;
    let of = |grant| {
        let readings = seen.readings_of(grant);
        Place { grant, readings: &readings, settings, read_until: Some(at) }.cost(at)
    };
    seen.grants.values().map(of).sum()
}

fn pot(seen: &Snapshot) -> &Pot {
    seen.pots.values().next().unwrap()
}

/// Sets the programme's reset as an edit would, without the act.
async fn with_reset(stack: &Stack, office: &Office<'_>, reset: Reset) {
    let mut programme: Programme = office.table.programme(&office.programme).await.unwrap().unwrap();
    programme.settings.reset = reset;
    RawTable::at(&stack.ready.dynamodb, &stack.ready.table).keep(&programme).await.unwrap();
}

#[tokio::test]
async fn totals_and_the_pots_counter_are_the_sums_over_the_grants_and_a_repeated_run_writes_only_itself() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let [ada, bob, eve] =
        [office.invite("ada@x.edu").await, office.invite("bob@x.edu").await, office.invite("eve@x.edu").await];
    office.invite("dan@x.edu").await;
    let keys = [office.claim(&ada).await, office.claim(&bob).await, office.claim(&eve).await];
    spend(&stack, &keys[0], 1_250_000);
    spend(&stack, &keys[1], 20_500_000);
    spend(&stack, &keys[2], 300_000);
    let mut watch = watch(&stack);
    watch.check().await;
    let report = sync(&stack).await;
    assert_eq!(report["readings_recorded"], 3, "{report}");
    watch.check_after_sync().await;
    // Use that no reading has when the place is given back.
    spend(&stack, &keys[2], 400_000);
    office.table.act(office.at(&eve), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();

    sync(&stack).await;
    let first = without_runs(watch.check_after_sync().await);
    let seen = watch.seen().unwrap();
    let totals = seen.totals.last().unwrap();
    assert_eq!(
        (seen.totals.len(), totals.used.credits.total(), totals.grants, totals.claimed),
        (1, Usd::from_micros(22_450_000), 4, 3)
    );
    assert_eq!(
        pot(seen).reserved,
        Usd::from_micros(20_000_000 + 20_500_000 + 20_000_000),
        "it may have used more before it was off"
    );
    assert_eq!(pot(seen).reserved, by_hand(seen, stack.clock.now()));
    assert_eq!(totals.implied, pot(seen).reserved + Usd::from_dollars(20));

    let report = sync(&stack).await;
    assert_eq!(report["readings_recorded"], 0, "{report}");
    let seen = watch.check_after_sync().await;
    let changed: Vec<_> = without_runs(seen).into_iter().filter(|(key, item)| first.get(key) != Some(item)).collect();
    assert!(changed.is_empty() && without_runs(seen).len() == first.len(), "{changed:?}");

    let runs = office.table.runs(10).await.unwrap();
    assert_eq!(runs.len(), 3);
    assert_eq!(serde_json::from_str::<Value>(&runs[0].report).unwrap(), report);
    stack.finish().await;
}

#[tokio::test]
async fn a_run_that_could_not_list_everything_is_on_record_and_sums_up_nothing() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let rule = stack.gate.at(Matcher::call("provider:GET /keys").every(), Fault::Status(400));
    let report = sync(&stack).await;
    stack.gate.lift(rule);
    assert_eq!(report["complete"], false);
    let run = office.table.latest_run().await.unwrap().unwrap();
    assert!(!run.complete && run.report.contains("the keys could not all be listed"), "{run:?}");
    assert_eq!(office.table.totals(&office.programme).await.unwrap(), None);
    sync(&stack).await;
    assert!(office.table.totals(&office.programme).await.unwrap().is_some());
    stack.finish().await;
}

#[tokio::test]
async fn a_key_made_by_hand_under_a_name_of_ours_writes_into_no_reading() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    spend(&stack, &key, 1_000_000);
    let name = office.key(&key).name;
    let other_nonce = format!("{}{}", &name[..name.len() - 4], "0000");
    for name in [&name, &other_nonce] {
        let made = stack.provider.as_ref().unwrap().add_foreign_key(name, None, stack.clock.now()).unwrap();
        spend(&stack, &made.hash, 50_000_000);
    }
    let report = sync(&stack).await;
    assert_eq!((&report["keys_listed"], &report["readings_recorded"]), (&json!(3), &json!(1)), "{report}");
    // The key with the complete name is a second one of the attempt, and still young.
    assert_eq!(report["problems"].as_array().unwrap().len(), 1, "{report}");
    let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
    assert_eq!(totals.used.credits.total(), Usd::from_dollars(1));
    stack.finish_unjudged().await;
}

/// An act while the sync sums up.
#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Begins,
    IsRevoked,
    LowersTheCap,
    RaisesTheCap,
}

async fn act(office: &Office<'_>, meanwhile: Meanwhile, ada: &GrantId, bob: &GrantId) {
    let cap = |dollars| Some(Usd::from_dollars(dollars));
    let by = &Actor::Rule;
    let done = match meanwhile {
        Meanwhile::Begins => {
            let press = Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None };
            matches!(
                office.table.act(office.at(bob), |view, now| view.begin(press, Nonce::random(), now)).await.unwrap(),
                ActOutcome::Done(_)
            )
        }
        Meanwhile::IsRevoked => {
            matches!(
                office.table.act(office.at(ada), |view, now| view.revoke(by, None, now)).await.unwrap(),
                ActOutcome::Done(_)
            )
        }
        Meanwhile::LowersTheCap => {
            matches!(
                office.table.act(office.at(ada), |view, now| view.set_cap(cap(5), by, None, now)).await.unwrap(),
                ActOutcome::Done(_)
            )
        }
        Meanwhile::RaisesTheCap => {
            matches!(
                office.table.act(office.at(ada), |view, now| view.set_cap(cap(30), by, None, now)).await.unwrap(),
                ActOutcome::Done(_)
            )
        }
    };
    assert!(done, "{meanwhile:?}");
}

/// A programme whose counter the sync must correct, since a key exceeded its cap.
async fn to_be_counted(stack: &Stack) -> (Office<'_>, GrantId, GrantId) {
    let office = Office::open(stack).await;
    let (ada, bob) = (office.invite("ada@x.edu").await, office.invite("bob@x.edu").await);
    let eve = office.invite("eve@x.edu").await;
    office.claim(&ada).await;
    let key = office.claim(&eve).await;
    spend(stack, &key, 21_000_000);
    (office, ada, bob)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_moves_the_pot_at_any_moment_of_a_sync_the_counter_is_the_sum_in_the_end() {
    let calls = {
        let stack = still().await;
        to_be_counted(&stack).await;
        let before = stack.gate.calls().len();
        sync(&stack).await;
        let calls: Vec<_> = stack.gate.calls().into_iter().skip(before).map(|recorded| recorded.call).collect();
        stack.finish().await;
        calls
    };
    // The sync's calls to the table up to the count of the pot, by name and number.
    let mut moments: Vec<(String, u64)> = Vec::new();
    for call in calls.iter().map(|call| call.name.to_string()).filter(|name| name.starts_with("dynamodb:")) {
        let nth = 1 + moments.iter().filter(|(name, _)| *name == call).count() as u64;
        moments.push((call, nth));
    }
    // The pot is counted once all grants are read. After the call that follows the count, nothing reads or writes it.
    let read = moments.iter().position(|moment| *moment == ("dynamodb:Query".to_owned(), 17)).unwrap();
    let counts = read + moments[read..].iter().position(|(name, _)| name == "dynamodb:TransactWriteItems").unwrap();
    assert!(counts > 24, "{moments:?}");
    moments.truncate(counts + 2);
    let moments = moments.split_off(counts - 24);
    let moments = Arc::new(moments);
    // A cap changes the pot as a place does, so for caps some moments are enough.
    let (often, seldom) = (sized(8, 1), sized(25, 5));
    let kinds = [
        (Meanwhile::Begins, often),
        (Meanwhile::IsRevoked, often),
        (Meanwhile::LowersTheCap, seldom),
        (Meanwhile::RaisesTheCap, seldom),
    ];
    let runs = kinds.map(|(meanwhile, one_in)| {
        let moments = moments.clone();
        tokio::spawn(async move {
            for moment in moments.iter().rev().step_by(one_in) {
                overtaken(moment, meanwhile).await;
            }
        })
    });
    for run in runs {
        run.await.unwrap();
    }
}

async fn overtaken((name, nth): &(String, u64), meanwhile: Meanwhile) {
    let stack = still().await;
    let (office, ada, bob) = to_be_counted(&stack).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let held = stack.gate.hold(Matcher::call(name).of(FunctionName::UsageSync).nth(*nth));
    let overtaking = async {
        held.arrived().await;
        act(&office, meanwhile, &ada, &bob).await;
        drop(held);
    };
    let (report, ()) = tokio::join!(sync(&stack), overtaking);
    let seen = watch.check().await;
    let (counted, sum) = (pot(seen).reserved, by_hand(seen, stack.clock.now()));
    // A run that was overtaken after its last retry may leave the sum to the next.
    assert_eq!(counted, sum, "{meanwhile:?} at {name} {nth}: {report}");
    stack.finish().await;
}

#[tokio::test]
async fn who_gives_a_place_back_as_of_an_instant_before_the_pot_was_counted_takes_no_more_out_than_is_in() {
    let stack = still().await;
    let office = Office::open(&stack).await;
    with_reset(&stack, &office, Reset::Daily).await;
    let pot_of = || office.table.pot(&office.programme);
    let by = bursar_core::store::Author { actor: &Actor::Rule, now: stack.clock.now(), deadline: office_deadline() };
    office.table.set_pot(&office.programme, Usd::from_dollars(100_000), by).await;
    let (ada, bob) = (office.invite("ada@x.edu").await, office.invite("bob@x.edu").await);
    office.claim(&ada).await;
    office.claim(&bob).await;
    let mut watch = watch(&stack);
    watch.check().await;

    let yesterday = stack.clock.now();
    stack.clock.advance(SignedDuration::from_hours(24)).unwrap();
    let before = pot_of().await.unwrap().unwrap().reserved;
    sync(&stack).await;
    watch.check_after_sync().await;
    assert_eq!(before - pot_of().await.unwrap().unwrap().reserved, Usd::from_dollars(40), "a window of each is over");
    let ActContext { programme, grant, deadline, .. } = office.at(&ada);
    let late = ActContext { programme, grant, now: yesterday, deadline };
    office.table.act(late, |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    let seen = watch.check().await;
    assert_eq!(pot(seen).reserved, by_hand(seen, stack.clock.now()));
    stack.finish().await;
}

#[tokio::test]
async fn what_a_window_that_is_over_had_promised_stays_reserved_until_it_is_known_what_was_used() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    with_reset(&stack, &office, Reset::Daily).await;
    let ada = office.invite("ada@x.edu").await;
    let key = mint(&stack, &office, &ada).await;
    change_by_hand(&stack, &key, &json!({"limit_reset": "daily"}));
    let crooked = Crooked::before(&stack).await;
    assert_eq!(crooked.sync().await["complete"], true);
    let reserved = async || office.table.pot(&office.programme).await.unwrap().unwrap().reserved;
    let at_first = reserved().await;
    spend(&stack, &key, 15_000_000);
    stack.clock.advance(hours(24)).unwrap();
    let hash = key.clone();
    crooked.bend(move |path, told| with_row(path, told, &hash, |row| row["usage"] = Value::Null));
    assert_eq!(crooked.sync().await["complete"], false);
    assert_eq!(reserved().await, at_first, "nobody knows that the twenty dollars of yesterday were not spent");
    crooked.straighten();
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(reserved().await, at_first - Usd::from_dollars(5));
    stack.finish().await;
}

#[tokio::test]
async fn the_sums_of_many_groups_have_items_of_their_own_and_one_that_nobody_is_in_any_more_goes() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let mut grants = Vec::new();
    for number in 0..25 {
        let grant = invite(&stack, &office, &format!("s{number}"), Some(&format!("group {number}"))).await;
        let key = mint(&stack, &office, &grant).await;
        spend(&stack, &key, 1_000_000 + number);
        grants.push((grant, key));
    }
    let mut watch = watch(&stack);
    assert_eq!(sync(&stack).await["complete"], true);
    let apart = |seen: &Snapshot| seen.items.keys().filter(|(_, sk)| sk.starts_with("GT#")).count();
    assert_eq!(apart(watch.check_after_sync().await), 25);
    let by_group = async || office.table.totals(&office.programme).await.unwrap().unwrap().by_group;
    assert_eq!(by_group().await["group 7"].credits.total(), Usd::from_micros(1_000_007));
    let before = without_runs(watch.check_after_sync().await);
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(super::changed(&before, watch.check_after_sync().await), Vec::<String>::new());

    let (moved, _) = &grants[7];
    let mut grant = office.table.grant(&office.programme, moved).await.unwrap().unwrap();
    grant.group = Some("group 8".to_owned());
    RawTable::at(&stack.ready.dynamodb, &stack.ready.table).keep(&grant).await.unwrap();
    // The answers to this run's first writes are lost, the removal's among them, and they are sent again.
    let writes = Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::UsageSync);
    stack.gate.at(writes.next(2), Fault::LoseAnswer);
    assert_eq!(sync(&stack).await["complete"], true);
    // No act moved this grant, so a new watch checks the moment after, and does not compare it with the one before.
    assert_eq!(apart(super::watch(&stack).check_after_sync().await), 24);
    let groups = by_group().await;
    assert_eq!((groups.len(), groups["group 8"].credits.total()), (24, Usd::from_micros(2_000_015)));
    stack.finish().await;
}
