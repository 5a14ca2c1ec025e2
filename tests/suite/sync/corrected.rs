//! Counters that the provider corrects or turns late. A smaller lifetime counter is reported and
//! the larger one stands, and a window has what was used in its days.

use bursar_core::domain::grant::Spending;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_tests::campus::reports;
use serde_json::json;

use super::crooked::{Crooked, with_row};
use super::{complete, instant, problems, quiet};

#[tokio::test]
async fn no_day_shrinks_and_none_has_what_was_used_before_it() {
    let mut campus = quiet(&[]).await;
    campus
        .set(|settings| settings.basis.reset = Reset::Daily)
        .await;
    campus.students_with_keys(&["ada", "ben"]).await;
    complete(&campus).await;
    campus.spend("ada", "17");
    // The daily counters still have yesterday's values.
    campus.clock.stop_at(instant(1, 20)).unwrap();
    let (crooked, listed) = (Crooked::before(&campus).await, campus.key("ada").hash);
    crooked.bend(move |path, told| {
        with_row(path, told, &listed, |row| {
            (row["usage_daily"], row["limit_remaining"]) = (json!(17), json!(3));
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    let used = async |name| {
        let view = campus.view(name).await;
        let used = Spending::sum(
            &view.grant,
            &view.readings,
            &view.programme.settings,
            campus.clock.now(),
        );
        [used.in_window, view.readings[0].lifetime()].map(Usd::micros)
    };
    assert_eq!(used("ada").await, [0, 17_000_000]);
    campus.judged_after_sync().await;
    // After the next syncs nothing new is recorded, in this window or the next one.
    for (hours, recorded) in [(6, 0), (13, 0), (13, 0)] {
        campus.hours(hours);
        let report = complete(&campus).await;
        reports(
            &report,
            &json!({"readings_recorded": recorded, "problems": []}),
        );
        assert_eq!(used("ada").await, [0, 17_000_000]);
    }

    // The credit for a failed request: a replacement has what the record leaves of the window.
    let key = campus.key("ben").hash;
    campus.spend("ben", "5");
    complete(&campus).await;
    campus.spend("ben", "-0.01");
    campus.hours(1);
    campus.replace("ben").await;
    assert_eq!(campus.key("ben").limit.unwrap().to_string(), "15");
    assert_eq!(used("ben").await[1], 5_000_000);
    let report = campus.sync().await;
    let sentence = format!("of the key {key} OpenRouter says less");
    assert!(
        report["complete"] == true && problems(&report).contains(&sentence),
        "{report}"
    );
    campus.judged_after_sync().await;
    campus.finish().await;
}
