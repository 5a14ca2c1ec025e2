//! Shared writes of a runner whose lease another has taken over: none of them takes effect.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::Budget;
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{Account, FencedTable, Lease, Run};
use bursar_tests::campus::Campus;
use bursar_tests::office::soon;
use jiff::SignedDuration;

use super::quiet;

async fn lease(campus: &Campus, holder: &str, now: Moment) -> Lease {
    let lease = campus.table.acquire("sync", holder, now, SignedDuration::from_mins(16), soon()).await.unwrap();
    lease.unwrap()
}

/// A put, an update, an append and a removal, and whether each took effect.
async fn each(under: FencedTable<'_>, campus: &Campus, now: Moment) -> [bool; 4] {
    let account = Account { as_of: now, ours: DailyUse::default(), foreign: DailyUse::default() };
    let budget = campus.table.get(Budget::key_of(&campus.programme)).await.unwrap().unwrap();
    [
        under.put_later(&account, now).await.unwrap(),
        under.recompute_reserved(&budget, Usd::ZERO, &budget.unreserved, now).await.unwrap(),
        under.record_run(&Run::ended(now, now, true, "{}".to_owned())).await.unwrap(),
        under.forget_checkpoint().await.unwrap(),
    ]
}

#[tokio::test]
async fn an_overtaken_runner_changes_nothing_shared() {
    let campus = quiet(&[]).await;
    let overtaken = lease(&campus, "slow", campus.clock.now()).await;
    campus.minutes(17);
    // A holder that acquires the lease again has a new one, too.
    for holder in ["quick", "quick"] {
        let now = campus.clock.now();
        let latest = lease(&campus, holder, now).await;
        let before = campus.judged().await;
        assert_eq!(each(campus.table.under(&overtaken, soon()), &campus, now).await, [false; 4]);
        assert!(before.items == campus.judged().await.items, "something was written");
        assert_eq!(each(campus.table.under(&latest, soon()), &campus, now).await, [true; 4]);
    }
    campus.finish().await;
}
