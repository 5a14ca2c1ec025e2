//! Backup of a folder in which a bundle runs, and the new folder that is made from it: a copy,
//! which recovers what was claimed since.

use std::fs;
use std::path::Path;

use bursar_core::clock::Moment;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::store::Meta;
use bursar_local::copies::{backup, restore};
use bursar_local::folder::{Folder, Kind};
use bursar_local::invoke::FunctionName::Claim;
use bursar_local::stack::{Options, listen};
use bursar_tests::campus::{ADMIN, Campus, name_people};
use bursar_tests::faults::Matcher;
use bursar_tests::stack::{self, Stack};
use futures_util::future::join_all;
use jiff::SignedDuration;

async fn in_folder(folder: &Folder, begins_at: Moment) -> Stack {
    let options = Options::new(
        listen(0).await.unwrap(),
        vec![EmailAddress::parse(ADMIN).unwrap()],
    );
    Stack::start(Options {
        files: Some(folder.files()),
        begins_at: Some(begins_at),
        ..options
    })
    .await
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.collect();
    names.sort();
    names
}

/// Of thirty students ten have keys, ten claim while the folder is copied, and ten claim
/// afterwards. The provider knows them all.
#[tokio::test]
async fn a_backup_amid_claims_recovers() {
    let place = tempfile::tempdir().unwrap();
    let at = |name: &str| place.path().join(name);
    let folder = Folder::open(&at("data"), Kind::Serve).unwrap();
    let mut campus = Campus::over(in_folder(&folder, stack::begins()).await);
    campus.programme("CS pilot", |_| {}).await;
    let names = name_people(0..30);
    campus.students(&names[..10]).await;
    campus.keys().await;
    campus.students(&names).await;
    // No mail is sent from here on: the built-in provider's state, which is copied later, has the
    // inbox too.
    campus.pump.stop().await;
    let claim = async |names: &[&str]| {
        join_all(
            names
                .iter()
                .map(async |name| campus.reveal(&campus.student(name).await).await),
        )
        .await
    };
    // The copy is made while one claim has its key at the provider and nowhere else.
    let held = campus
        .gate
        .hold_answers(Matcher::call("provider:POST /keys").of(Claim).nth(5));
    let now = campus.clock.now();
    let copied = async {
        held.arrived().await;
        let (data, copies) = (at("data"), at("copies"));
        let copy = tokio::task::spawn_blocking(move || backup(&data, &copies, now))
            .await
            .unwrap()
            .unwrap();
        drop(held);
        copy
    };
    let (_, copy) = tokio::join!(claim(&names[10..20]), copied);
    campus.minutes(2);
    campus.replace(names[3]).await;
    claim(&names[20..]).await;
    // What the simulated provider has beyond the table is in the folder's state.
    let later = backup(&at("data"), &at("later"), now).unwrap();
    fs::copy(later.join("state.db"), copy.join("state.db")).unwrap();

    assert_eq!(restore(&at("copies"), &at("new")).await.unwrap(), copy);
    let folder = Folder::open(&at("new"), Kind::Serve).unwrap();
    let restored = in_folder(&folder, campus.clock.now() + SignedDuration::from_mins(2)).await;
    campus.move_to(restored).await;
    let meta = campus.table.get(Meta::key_of()).await.unwrap().unwrap();
    assert!(campus.table.is_copy(&meta), "{}", meta.table);
    campus.students(&["late"]).await;
    let late = campus.student("late").await;
    campus.press(&late, "reveal").await.expect(503);
    let report = campus.sync().await;
    assert_eq!(
        (&report["complete"], &report["orphans_disabled"]),
        (&true.into(), &0.into()),
        "{report}"
    );
    campus.reveal(&late).await;
    campus.work().await;
    let names: Vec<&str> = ["late"].into_iter().chain(names).collect();
    assert_eq!(campus.enabled(), names, "each has one working key");
    campus.finish().await;
}

/// Beside the copies lie other files, and copies of other days, some of which were cut off.
#[tokio::test]
async fn copies_go_after_35_days() {
    let place = tempfile::tempdir().unwrap();
    let (data, copies) = (place.path().join("data"), place.path().join("copies"));
    let folder = Folder::open(&data, Kind::Serve).unwrap();
    in_folder(&folder, stack::begins()).await.finish().await;
    let kept = [
        "bursar-20261026T235959Z",
        "bursar-20261026T120000Z.aB3x",
        "bursar-2026",
        "notes",
        "bursar-2026-10-01",
    ];
    for name in kept
        .iter()
        .chain(&["bursar-20261025T235959Z", "bursar-20250101T000000Z.Xyz"])
    {
        fs::create_dir_all(copies.join(name)).unwrap();
        fs::write(copies.join(name).join("table.db"), "").unwrap();
    }
    fs::write(copies.join("bursar-20260101T000000Z"), "a file").unwrap();
    let copy = backup(&data, &copies, "2026-11-29T02:00:00Z".parse().unwrap()).unwrap();
    assert_eq!(names_in(&copy), ["shape", "state.db", "table.db"]);
    let mut expected: Vec<&str> = kept.to_vec();
    expected.extend(["bursar-20260101T000000Z", "bursar-20261129T020000Z"]);
    expected.sort_unstable();
    assert_eq!(names_in(&copies), expected);
}
