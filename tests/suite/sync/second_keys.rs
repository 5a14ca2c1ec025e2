//! A second key under one claim's name, and keys of this deployment that a person renamed. Each is
//! known by its hash, and its use counts once.

use bursar_core::domain::ledger::cut::AccountCut;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Provider;
use bursar_tests::campus::{Campus, name_people};
use bursar_tests::faults::Fault;
use serde_json::json;

use super::crooked::{Crooked, with_row};
use super::{complete, problems, quiet};

/// The number of foreign keys on record, and what they used.
async fn foreign_use(campus: &Campus) -> (usize, Usd) {
    let known = campus.table.foreign_keys().await.unwrap();
    (
        known.len(),
        known.iter().map(|known| known.used.credits.total()).sum(),
    )
}

fn rename(provider: &Provider, key: &str, name: &str) {
    provider
        .change_by_hand(key, &json!({ "name": name }))
        .unwrap();
}

#[tokio::test]
async fn second_keys_of_a_claim_do_not_work_after_a_sync() {
    let mut campus = quiet(&["ben"]).await;
    campus.students(&["ada"]).await;
    campus.press_with("ada", "reveal", Fault::KillAfter).await;
    let (orphan, live) = (campus.key("ada"), campus.key("ben"));
    let seconds = [campus.foreign(&orphan.name), campus.foreign(&live.name)];
    // A name that is not as we write it is a foreign key's.
    let alike = campus.foreign(&format!("{}0", &live.name));
    campus.spend_on(&seconds[1], "0.40");
    campus.spend_on(&live.hash, "0.05");
    campus.hours(2);
    let report = complete(&campus).await;
    assert_eq!(report["orphans_disabled"], 3, "{report}");
    assert!(
        campus.is_on(&live.hash)
            && campus.is_on(&alike)
            && !seconds.iter().any(|key| campus.is_on(key))
    );
    assert!(!campus.is_on(&orphan.hash));
    campus.provider().disable(&alike).unwrap();
    campus.judged_after_sync().await;
    complete(&campus).await;
    let cut = campus
        .table
        .newest(AccountCut::all(), 1)
        .await
        .unwrap()
        .pop()
        .unwrap();
    assert_eq!(
        (cut.ours(), cut.foreign),
        (Usd::from_micros(50_000), Usd::from_micros(400_000))
    );
    // The key counts towards the disables that a run does on its own judgement.
    campus.hours(24);
    campus
        .provider()
        .change_by_hand(&seconds[1], &json!({"disabled": false}))
        .unwrap();
    for name in name_people(0..5) {
        campus.students(&[name]).await;
        campus.press_with(name, "reveal", Fault::KillAfter).await;
    }
    campus.hours(2);
    let report = campus.sync().await;
    assert!(
        problems(&report).contains("6 keys that nobody was shown") && campus.is_on(&seconds[1]),
        "{report}"
    );
    campus.finish_faulted().await;
}

#[tokio::test]
async fn a_renamed_key_counts_once_by_its_hash() {
    let campus = quiet(&["ada"]).await;
    let (key, by_hand) = (campus.key("ada"), campus.foreign("by hand"));
    campus.spend("ada", "1");
    let crooked = Crooked::before(&campus).await;
    complete(&campus).await;
    let mut spent = 1_000_000;
    // Also where some rows cannot be read.
    for (gaps, name) in [
        (true, "another"),
        (
            false,
            "bursar/0000000000/other/0000000000000000/1-0000000000000000",
        ),
    ] {
        campus.hours(2);
        rename(campus.provider(), &key.hash, name);
        campus.spend_on(&key.hash, "0.01");
        spent += 10_000;
        let of = by_hand.clone();
        if gaps {
            crooked.bend(move |path, told| {
                with_row(path, told, &of, |row| row["usage"] = json!("much"))
            });
        }
        let report = crooked.sync().await;
        assert!(
            problems(&report).contains("has another name"),
            "{gaps}, {name}: {report}"
        );
        assert_eq!(report["complete"], true, "{gaps}, {name}: {report}");
        assert_eq!(
            campus.view("ada").await.readings[0].lifetime(),
            Usd::from_micros(spent),
            "{gaps}, {name}"
        );
        assert_eq!(foreign_use(&campus).await, (1, Usd::ZERO), "{gaps}, {name}");
        crooked.straighten();
        rename(campus.provider(), &key.hash, &key.name);
        complete(&campus).await;
        assert!(campus.grant("ada").await.live().is_some());
    }
    campus.finish().await;
}

#[tokio::test]
async fn keys_with_one_anothers_names_are_their_own_grants() {
    let campus = quiet(&["ada", "ben"]).await;
    campus.replace("ada").await;
    let [old, new] = campus.keys_of("ada").try_into().unwrap();
    let ben = campus.key("ben");
    for dollars in ["0.01", "0.000001"] {
        [&old, &new, &ben]
            .into_iter()
            .for_each(|key| campus.spend_on(&key.hash, dollars));
        campus.hours(2);
        complete(&campus).await;
        assert!(campus.is_on(&new.hash) && campus.is_on(&ben.hash) && !campus.is_on(&old.hash));
        assert_eq!(foreign_use(&campus).await, (0, Usd::ZERO));
        for (key, name) in [(&old, &new.name), (&new, &old.name), (&ben, &new.name)] {
            rename(campus.provider(), &key.hash, name);
        }
    }
    campus.hours(2);
    complete(&campus).await;
    assert!(campus.is_on(&new.hash) && campus.is_on(&ben.hash) && !campus.is_on(&old.hash));
    for key in [&old, &new, &ben] {
        rename(campus.provider(), &key.hash, &key.name);
    }
    complete(&campus).await;
    campus.finish().await;
}
