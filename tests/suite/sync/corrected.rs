//! Counters that the provider corrects, rounds differently or turns late. Each lifetime counter is judged by
//! itself, and a smaller one is reported without effect on the others. Of a window, the later answer counts.

use bursar_core::domain::grant::Spending;
use bursar_core::domain::programme::Byok;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::campus::Campus;
use serde_json::json;

use super::crooked::{Crooked, with_row};
use super::{complete, instant, problems, quiet};

/// The use on record of somebody's first key, in micro-dollars: the account's, and that of own keys.
async fn read(campus: &Campus, name: &str) -> [i64; 2] {
    let reading = campus.view(name).await.readings.remove(0);
    [reading.lifetime(), reading.used.byok.total()].map(Usd::micros)
}

#[tokio::test]
async fn each_counter_is_corrected_by_itself() {
    let campus = quiet(&["ada"]).await;
    let key = campus.key("ada").hash;
    let own = |micros| {
        campus.provider().spend_byok(&key, Nano::micros(micros), campus.clock.now(), "a/model").unwrap();
    };
    campus.spend("ada", "1");
    own(2_000_000);
    complete(&campus).await;
    // An estimate that is corrected by a cent; from then on every answer is lower.
    own(-10_000);
    for dollars in [4, 7] {
        campus.spend("ada", "3");
        campus.hours(24);
        let report = complete(&campus).await;
        let sentence =
            format!("of the key {key} the provider says less than it said before, by 0.010000 of the user's");
        assert!(problems(&report).contains(&sentence) && report["readings_recorded"] == 1, "{report}");
        assert_eq!(read(&campus, "ada").await, [dollars * 1_000_000, 2_000_000]);
        let totals = campus.table.totals(&campus.programme).await.unwrap().unwrap();
        assert_eq!(totals.used.counted(Byok::Inside).micros(), (dollars + 2) * 1_000_000);
        campus.judged_after_sync().await;
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_replacement_after_a_correction_has_what_the_larger_sum_left() {
    // Told by a millionth larger in the list than by itself: nobody hears of it.
    let campus = quiet(&["ada"]).await;
    campus.spend("ada", "5");
    let (crooked, listed) = (Crooked::before(&campus).await, campus.key("ada").hash);
    crooked.bend(move |path, told| {
        with_row(path, told, &listed, |row| {
            for (field, _) in row.clone().as_object().unwrap().iter().filter(|(_, value)| **value == json!(5)) {
                row[field.as_str()] = json!(5.000_000_4);
            }
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(read(&campus, "ada").await, [5_000_001, 0], "what was spent rounds up");
    let report = complete(&campus).await;
    assert_eq!((&report["problems"], &report["readings_recorded"]), (&json!([]), &json!(0)), "{report}");
    campus.replace("ada").await;
    assert_eq!(campus.key("ada").limit.unwrap().to_string(), "14.99");
    campus.finish().await;

    // The credit for a failed request. The window is as the last answer says; the lifetime use does not shrink.
    for (reset, limit) in [(Reset::None, "15"), (Reset::Daily, "15.01")] {
        let mut campus = quiet(&[]).await;
        campus.set(|settings| settings.reset = reset).await;
        campus.students(&["ben"]).await;
        campus.keys().await;
        let key = campus.key("ben").hash;
        campus.spend("ben", "5");
        complete(&campus).await;
        campus.spend("ben", "-0.01");
        campus.hours(1);
        campus.replace("ben").await;
        assert_eq!(campus.key("ben").limit.unwrap().to_string(), limit);
        assert_eq!(read(&campus, "ben").await, [5_000_000, 0]);
        let report = campus.sync().await;
        let sentence = format!("of the key {key} the provider says less");
        assert!(report["complete"] == true && problems(&report).contains(&sentence), "{report}");
        campus.judged_after_sync().await;
        campus.finish().await;
    }
}

#[tokio::test]
async fn a_window_that_turned_late_is_put_right() {
    let mut campus = quiet(&[]).await;
    campus.set(|settings| settings.reset = Reset::Daily).await;
    campus.students(&["ada"]).await;
    campus.keys().await;
    complete(&campus).await;
    campus.spend("ada", "17");
    // The daily counters still have yesterday's values.
    campus.clock.stop_at(instant(1, 20)).unwrap();
    let (crooked, listed) = (Crooked::before(&campus).await, campus.key("ada").hash);
    crooked.bend(move |path, told| {
        with_row(path, told, &listed, |row| (row["usage_daily"], row["limit_remaining"]) = (json!(17), json!(3)))
    });
    assert_eq!(crooked.sync().await["complete"], true);
    let in_window = async || {
        let view = campus.view("ada").await;
        Spending::of(&view.grant, &view.readings, &view.programme.settings, campus.clock.now()).in_window
    };
    assert_eq!(in_window().await, Usd::from_dollars(17));
    campus.judged_after_sync().await;
    // After the next sync nothing new is recorded, in this window or the next ones.
    for (hours, recorded) in [(6, 1), (13, 0), (13, 0), (13, 0)] {
        campus.hours(hours);
        let report = complete(&campus).await;
        assert_eq!((&report["readings_recorded"], &report["problems"]), (&json!(recorded), &json!([])), "{report}");
        assert_eq!((in_window().await, read(&campus, "ada").await), (Usd::ZERO, [17_000_000, 0]));
    }
    campus.judged_after_sync().await;
    campus.finish().await;
}
