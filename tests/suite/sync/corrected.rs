//! Counters that the provider corrects, rounds differently or turns late. Each lifetime counter is judged by
//! itself, and a smaller one is reported without effect on the others. Of a window, the later answer counts.

use bursar_core::domain::grant::{Reading, Spending, View};
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;
use serde_json::{Value, json};

use super::crooked::{Crooked, with_row};
use super::{
    grant, hours, in_the_morning, instant, invite, mint, problems, provider, rich, shape, signed_in, spend, sync, watch,
};

async fn view(office: &Office<'_>, grant: &GrantId) -> View {
    office.table.view(&office.programme, grant).await.unwrap().unwrap()
}

async fn reading(office: &Office<'_>, grant: &GrantId) -> Reading {
    view(office, grant).await.readings.remove(0)
}

fn dollars(amount: &str) -> Usd {
    Usd::from_form(amount).unwrap()
}

/// The limit of the key that a replacement makes.
async fn replace(stack: &Stack, office: &Office<'_>, address: &str) -> Nano {
    let student = signed_in(stack, address).await;
    let my = student.get("/my").await.expect(200);
    student.submit(&my, &format!("/my/{}/replace", office.programme), &[]).await.expect(200).one("key");
    provider(stack).keys().last().unwrap().limit.unwrap()
}

#[tokio::test]
async fn a_counter_of_own_keys_that_went_back_does_not_keep_the_other_from_being_recorded() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.byok = Byok::Inside).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    spend(&stack, &key, 1_000_000);
    provider(&stack).spend_byok(&key, Nano::usd(2), stack.clock.now(), "a/model").unwrap();
    assert_eq!(sync(&stack).await["complete"], true);
    let mut watch = watch(&stack);
    watch.check_after_sync().await;
    // An estimate that is corrected by a cent; from then on every answer is lower.
    provider(&stack).spend_byok(&key, Nano::micros(-10_000), stack.clock.now(), "a/model").unwrap();
    for (turn, told) in ["4.000000", "7.000000"].into_iter().enumerate() {
        spend(&stack, &key, 3_000_000);
        stack.clock.advance(hours(24)).unwrap();
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["readings_recorded"]), (&json!(true), &json!(1)), "{turn}: {report}");
        let sentence =
            format!("of the key {key} the provider says less than it said before, by 0.010000 of the user's");
        assert!(problems(&report).contains(&sentence), "{turn}: {report}");
        assert_eq!(report["residual_usd"], "0.000000", "{turn}: {report}");
        let known = reading(&office, &ada).await;
        assert_eq!((known.lifetime(), known.used.byok.total()), (dollars(told), Usd::from_dollars(2)), "{turn}");
        let totals = office.table.totals(&office.programme).await.unwrap().unwrap();
        assert_eq!(totals.used.counted(Byok::Inside), dollars(told) + Usd::from_dollars(2), "{turn}");
        watch.check_after_sync().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_key_whose_use_is_told_a_little_smaller_by_itself_than_in_the_list_is_replaced_and_nobody_hears_of_it() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    spend(&stack, &key, 5_000_000);
    let crooked = Crooked::before(&stack).await;
    let listed = key.clone();
    crooked.bend(move |path, told| {
        with_row(path, told, &listed, |row| {
            for (field, _) in row.clone().as_object().unwrap().iter().filter(|(_, value)| **value == json!(5)) {
                row[field.as_str()] = json!(5.000_000_4);
            }
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    let known = reading(&office, &ada).await;
    assert_eq!(known.lifetime(), Usd::from_micros(5_000_001), "what was spent rounds up");
    let report = sync(&stack).await;
    let expected = (&json!([]), &json!(0), &json!("0.000000"));
    assert_eq!((&report["problems"], &report["readings_recorded"], &report["residual_usd"]), expected, "{report}");
    assert_eq!(replace(&stack, &office, "ada@x.edu").await.to_string(), "14.99");
    stack.finish().await;
}

#[tokio::test]
async fn a_student_whose_use_was_corrected_downwards_gets_another_key_with_what_the_larger_sum_left() {
    let stack = in_the_morning().await;
    for (name, reset) in [("ada", Reset::None), ("ben", Reset::Daily)] {
        let office = rich(&stack).await;
        shape(&stack, &office, |settings| settings.reset = reset).await;
        let mut watch = watch(&stack);
        let who = invite(&stack, &office, name, None).await;
        let key = mint(&stack, &office, &who).await;
        spend(&stack, &key, 5_000_000);
        assert_eq!(sync(&stack).await["complete"], true);
        watch.check_after_sync().await;
        // The credit for a failed request.
        spend(&stack, &key, -10_000);
        stack.clock.advance(hours(1)).unwrap();
        let limit = replace(&stack, &office, &format!("{name}@x.edu")).await;
        watch.check().await;
        // The window is as the last answer says; the lifetime use does not shrink.
        assert_eq!(limit.to_string(), if reset == Reset::None { "15" } else { "15.01" }, "{name}");
        assert_eq!(reading(&office, &who).await.lifetime(), Usd::from_dollars(5), "{name}");
        assert_eq!(grant(&office, &who).await.to_string(), "live");
        let report = sync(&stack).await;
        assert_eq!(report["complete"], true, "{report}");
        assert!(problems(&report).contains(&format!("of the key {key} the provider says less")), "{report}");
        watch.check_after_sync().await;
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_windows_counter_that_turned_late_is_put_right_by_the_next_sync_though_nothing_was_used_since() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    shape(&stack, &office, |settings| settings.reset = Reset::Daily).await;
    let ada = invite(&stack, &office, "ada", None).await;
    let key = mint(&stack, &office, &ada).await;
    let mut watch = watch(&stack);
    assert_eq!(sync(&stack).await["complete"], true);
    watch.check_after_sync().await;
    spend(&stack, &key, 17_000_000);
    // The daily counters still have yesterday's values.
    stack.clock.stop_at(instant(1, 20)).unwrap();
    let crooked = Crooked::before(&stack).await;
    let listed = key.clone();
    crooked.bend(move |path, told| {
        with_row(path, told, &listed, |row| {
            (row["usage_daily"], row["limit_remaining"]) = (json!(17), json!(3));
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    let in_window = async || {
        let view = view(&office, &ada).await;
        Spending::of(&view.grant, &view.readings, &view.programme.settings, stack.clock.now()).in_window
    };
    assert_eq!(in_window().await, Usd::from_dollars(17));
    watch.check_after_sync().await;
    stack.clock.advance(hours(6)).unwrap();
    let report = sync(&stack).await;
    assert_eq!((&report["readings_recorded"], in_window().await), (&json!(1), Usd::ZERO), "{report}");
    assert_eq!(reading(&office, &ada).await.lifetime(), Usd::from_dollars(17));
    watch.check_after_sync().await;
    // After that nothing new is recorded, in this window or the next ones.
    for _ in 0..3 {
        stack.clock.advance(hours(13)).unwrap();
        let report = sync(&stack).await;
        assert_eq!((&report["readings_recorded"], &report["problems"]), (&json!(0), &Value::Array(vec![])), "{report}");
    }
    stack.finish().await;
}
