//! Shared writes of a runner whose lease another has taken over: none of them takes effect.

use bursar_core::domain::usage::models::{GroupUse, Sums, UnattributedReason, UnattributedUse};
use bursar_core::domain::usage::reading::DailyUse;
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::{
    Account, AccountDay, Acquired, Checkpoint, FencedTable, Lease, ModelDay, Run, Totals, UnattributedDay,
};
use bursar_tests::campus::Campus;
use bursar_tests::office::soon;
use jiff::{SignedDuration, Timestamp};

use super::quiet;

async fn lease(campus: &Campus, holder: &str, now: Timestamp) -> Lease {
    match campus.table.acquire("sync", holder, now, SignedDuration::from_mins(16), soon()).await.unwrap() {
        Acquired::Yes(lease) => lease,
        Acquired::Busy => panic!("another has it"),
    }
}

fn a_use(requests: u64) -> GroupUse {
    let (group, model) = (None, "a/model".to_owned());
    GroupUse { group, model, spent: Usd::CENT, byok: Usd::ZERO, requests }
}

fn a_use_of_nobody(requests: u64) -> UnattributedUse {
    let (name, model) = (None, "a/model".to_owned());
    UnattributedUse { why: UnattributedReason::NoKey, name, model, spent: Usd::CENT, byok: Usd::ZERO, requests }
}

/// Each write that depends on the lease, and whether it took effect.
async fn all_of(under: FencedTable<'_>, campus: &Campus, now: Timestamp) -> [(&'static str, bool); 11] {
    let (table, programme) = (&campus.table, campus.programme.clone());
    let totals = Totals {
        programme,
        as_of: now,
        used: DailyUse::default(),
        by_group: [].into(),
        implied: Usd::ZERO,
        grants: 0,
        claimed: 0,
    };
    let account = Account { as_of: now, ours: DailyUse::default(), foreign: DailyUse::default() };
    let nothing = Usd::ZERO;
    let day = AccountDay {
        day: super::date(0),
        as_of: now,
        bought: nothing,
        spent: nothing,
        ours: nothing,
        ours_gone: nothing,
        foreign: nothing,
        foreign_gone: nothing,
        opening: nothing,
        residual: nothing,
        unsettled: Usd::ZERO,
        tolerance: Usd::ZERO,
    };
    let state = table.sync_state().await.unwrap().next();
    let pot = table.pot(&campus.programme).await.unwrap().unwrap();
    let checkpoint = Checkpoint::of_run(new_ulid(now), now, table);
    // Values that are already stored are not written again, so they differ each time.
    let news = table.runs(10).await.unwrap().len() as u64;
    let model_day = ModelDay { programme: campus.programme.clone(), day: day.day, as_of: now, by: vec![a_use(news)] };
    let nobodys_day =
        UnattributedDay { day: day.day, as_of: now, by: vec![a_use_of_nobody(news)], of_programmes: Sums::default() };
    let run = Run::ended(now, now, true, "{}".to_owned());
    [
        ("totals", under.note_totals(&totals).await.unwrap()),
        ("reserved", under.recompute_reserved(&pot, nothing, now).await.unwrap()),
        ("account", under.note_account(&account).await.unwrap()),
        ("account's day", under.note_account_day(&day).await.unwrap()),
        ("state", under.set_sync_state(&state).await.unwrap()),
        ("models", under.note_model_day(&model_day).await.unwrap()),
        ("nobody's models", under.note_unattributed_day(&nobodys_day).await.unwrap()),
        ("no account", under.forget_account().await.unwrap()),
        ("run", under.record_run(&run).await.unwrap()),
        ("checkpoint", under.save_checkpoint(&checkpoint).await.unwrap()),
        ("no checkpoint", under.forget_checkpoint().await.unwrap()),
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
        let late = all_of(campus.table.under(&overtaken, soon()), &campus, now).await;
        assert!(late.iter().all(|(_, written)| !written), "{late:?}");
        assert!(before.items == campus.judged().await.items, "something was written");
        let rightly = all_of(campus.table.under(&latest, soon()), &campus, now).await;
        assert!(rightly.iter().all(|(_, written)| *written), "{rightly:?}");
    }
    campus.finish().await;
}
