//! The sync run twice, by two at once, killed at every call, and resumed late. Afterwards the table is as one
//! clean run leaves it.

use bursar_local::invoke::{FunctionName, InvokeError};
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::{Snapshot, Watch};
use bursar_tests::seeds::sample;
use bursar_tests::stack::Stack;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use super::world::{World, lively};
use super::{changed, hours, in_the_morning, minutes, spend, sync, watch, without_runs};

#[tokio::test]
async fn the_same_run_twice_leaves_the_table_byte_for_byte_the_same_but_for_its_own_record() {
    let stack = in_the_morning().await;
    let world = lively(&stack).await;
    let mut watch = watch(&stack);
    watch.check().await;
    // By the second night a window has turned, a key counts as gone, and what the first night found is settled.
    for night in 0..3 {
        let first = sync(&stack).await;
        assert_eq!(first["complete"], true, "night {night}: {first}");
        assert_eq!(first["orphans_disabled"], if night == 0 { 2 } else { 0 }, "{first}");
        // The use of a gone key appears in the account's sums now, and the next run gives it back.
        sync(&stack).await;
        let before = without_runs(watch.check_after_sync().await);
        let again = sync(&stack).await;
        assert_eq!((&again["complete"], &again["readings_recorded"]), (&json!(true), &json!(0)), "{again}");
        assert_eq!((&again["orphans_disabled"], &again["residual_usd"]), (&json!(0), &json!("0.000000")), "{again}");
        let seen = watch.check_after_sync().await;
        assert_eq!(changed(&before, seen), Vec::<String>::new(), "night {night}");
        stack.clock.advance(hours(24)).unwrap();
        spend(&stack, &world.keys["ada"], 7);
    }
    stack.finish().await;
}

/// Time and use between the run that dies or sleeps and the next one.
fn meanwhile(world: &World<'_>) {
    // A time longer than a lease.
    world.stack.clock.advance(minutes(17)).unwrap();
    for (name, micros) in [("ada", 2_000_000), ("mia", 3_000_000), ("by hand", 4_000_000)] {
        spend(world.stack, &world.keys[name], micros);
    }
}

/// The table after another run has read what disabled keys had left unused.
async fn settled<'w>(stack: &Stack, watch: &'w mut Watch) -> &'w Snapshot {
    watch.check_after_sync().await;
    stack.clock.advance(minutes(20)).unwrap();
    assert_eq!(sync(stack).await["complete"], true);
    watch.check_after_sync().await
}

/// About how many of the calls with an effect `cargo test` plays. Each takes a world of its own.
const FEW: usize = 1;

/// What a run does that nothing befalls, played once for all tests here.
struct Clean {
    /// The calls in order, and whether each has an effect.
    effects: Vec<bool>,
    picture: Vec<String>,
}

async fn clean() -> &'static Clean {
    static CLEAN: OnceCell<Clean> = OnceCell::const_new();
    CLEAN
        .get_or_init(async || {
            let stack = in_the_morning().await;
            let _world = lively(&stack).await;
            let before = stack.gate.calls().len();
            sync(&stack).await;
            let calls = stack.gate.calls().into_iter().skip(before);
            let effects = calls.map(|made| made.call.name.has_effect()).collect();
            stack.finish_faulted().await;

            let stack = in_the_morning().await;
            let world = lively(&stack).await;
            let mut watch = watch(&stack);
            watch.check().await;
            meanwhile(&world);
            assert_eq!(sync(&stack).await["complete"], true);
            let picture = world.picture(settled(&stack, &mut watch).await);
            stack.finish_faulted().await;
            Clean { effects, picture }
        })
        .await
}

fn nth(number: usize) -> Matcher {
    Matcher::call("*").of(FunctionName::UsageSync).nth(number as u64 + 1)
}

fn assert_same(clean: &[String], picture: &[String], tell: &str) {
    let missing: Vec<_> = clean.iter().filter(|line| !picture.contains(line)).collect();
    let more: Vec<_> = picture.iter().filter(|line| !clean.contains(line)).collect();
    assert!(
        missing.is_empty() && more.is_empty() && clean.len() == picture.len(),
        "{tell}: {missing:#?} became {more:#?}"
    );
}

async fn run(stack: &Stack) -> Result<Value, InvokeError> {
    stack.invoke.invoke(FunctionName::UsageSync, json!({})).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_that_wakes_late_at_any_call_changes_nothing_that_the_one_after_it_wrote() {
    let Clean { effects, picture } = clean().await;
    let places = effects.iter().enumerate().filter(|(_, has_effect)| **has_effect);
    let cases = sample(places.skip(1), FEW).into_iter();
    let cases = cases.map(|(number, _)| tokio::spawn(woken_late(picture, number)));
    stream::iter(cases).buffer_unordered(3).for_each(async |ended| ended.unwrap()).await;
}

async fn woken_late(clean: &'static [String], number: usize) {
    let stack = in_the_morning().await;
    let world = lively(&stack).await;
    let mut watch = watch(&stack);
    watch.check().await;
    let held = stack.gate.hold(nth(number));
    let mut late = Box::pin(run(&stack));
    let has_come = tokio::select! {
        _ = held.arrived() => true,
        _ = &mut late => false,
    };
    if !has_come {
        // The number of concurrent calls varies by a few, so the last one may not come.
        drop((late, held));
        return stack.finish_faulted().await;
    }
    let overtaken = async {
        meanwhile(&world);
        let mut report = sync(&stack).await;
        // A renewal beside the held call may have extended the lease.
        while report["skipped"] == "running" {
            stack.clock.advance(minutes(17)).unwrap();
            report = sync(&stack).await;
        }
        assert_eq!(report["complete"], true, "call {number}: {report}");
        let runs = world.offices[0].table.runs(10).await.unwrap().len();
        drop(held);
        runs
    };
    let (late, on_record) = tokio::join!(late, overtaken);
    let tell = format!("call {number}, {late:?}");
    let runs = world.offices[0].table.runs(10).await.unwrap();
    assert_eq!(runs.len(), on_record, "{tell}: the late one puts nothing more on record");
    assert_same(clean, &world.picture(settled(&stack, &mut watch).await), &tell);
    stack.finish_faulted().await;
}

#[tokio::test]
async fn a_runner_that_lives_says_so_each_minute_and_one_that_died_is_in_nobodys_way_for_long() {
    let stack = in_the_morning().await;
    let office = super::rich(&stack).await;
    for number in 0..250 {
        super::foreign(&stack, &format!("other {number}"));
    }
    // Twice four minutes for a page are longer than a lease without renewal.
    let pages = || Matcher::call("provider:GET /keys").of(FunctionName::UsageSync);
    let (first, second) = (stack.gate.hold(pages().nth(1)), stack.gate.hold(pages().nth(2)));
    let meanwhile = async {
        for held in [first, second] {
            held.arrived().await;
            stack.clock.advance(minutes(4)).unwrap();
            assert_eq!(sync(&stack).await, json!({"skipped": "running"}));
            drop(held);
        }
    };
    let (report, ()) = tokio::join!(sync(&stack), meanwhile);
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(250)), "{report}");

    stack.gate.at(pages().nth(1), Fault::KillBefore);
    run(&stack).await.unwrap_err();
    assert_eq!(sync(&stack).await, json!({"skipped": "running"}));
    stack.clock.advance(minutes(5)).unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    assert_eq!(office.table.runs(10).await.unwrap().len(), 2);
    stack.finish_faulted().await;
}

#[tokio::test]
async fn of_two_runners_at_once_one_runs() {
    let stack = in_the_morning().await;
    let world = lively(&stack).await;
    let held = stack.gate.hold(Matcher::call("provider:GET /keys").of(FunctionName::UsageSync));
    let second = async {
        held.arrived().await;
        let (second, rest) =
            (sync(&stack).await, stack.invoke.invoke(FunctionName::UsageSync, json!({"task": "resume"})));
        assert_eq!((second, rest.await.unwrap()["skipped"].as_str()), (json!({"skipped": "running"}), Some("running")));
        drop(held);
    };
    let (first, ()) = tokio::join!(sync(&stack), second);
    assert_eq!(first["complete"], true, "{first}");
    assert_eq!(world.offices[0].table.runs(10).await.unwrap().len(), 2);
    stack.finish().await;
}
