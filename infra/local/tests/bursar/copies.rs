//! `bursar backup` and `bursar restore` as an operator has them.

use std::fs;
use std::path::Path;

use tempfile::tempdir;

use crate::process::{Bursar, Ended, run};

async fn copying(what: &str, folder: &Path, data: &Path) -> Ended {
    run(&[
        what,
        folder.to_str().unwrap(),
        "--data",
        data.to_str().unwrap(),
    ])
    .await
}

/// Both name the copy. What cannot be done is refused in a sentence, and nothing is made or
/// touched.
#[tokio::test]
async fn a_running_folder_is_copied_and_put_back() {
    let place = tempdir().unwrap();
    let [data, copies, new, foreign] =
        ["data", "copies", "new", "foreign"].map(|name| place.path().join(name));
    let bursar = Bursar::start(&data).await;
    let copied = copying("backup", &copies, &data).await;
    assert_eq!(copied.status.code(), Some(0), "{copied:?}");
    let copy = copied.out.trim_end();
    assert_eq!(Path::new(copy).parent(), Some(copies.as_path()));
    let put_back = copying("restore", &copies, &new).await;
    assert_eq!(
        (put_back.status.code(), put_back.out.trim_end()),
        (Some(0), copy),
        "{put_back:?}"
    );
    let restored = Bursar::start(&new).await;
    assert_eq!(restored.ready.deployment, bursar.ready.deployment);
    restored.end("INT").await;
    bursar.end("INT").await;
    let refused = Bursar::begin(Path::new(copy), &[]).await.err().unwrap();
    assert!(
        refused.err.contains("did not make"),
        "no bundle runs in a copy: {refused:?}"
    );

    fs::create_dir(&foreign).unwrap();
    fs::write(foreign.join("thesis"), "mine").unwrap();
    let newer = place.path().join("newer");
    fs::create_dir(&newer).unwrap();
    fs::write(newer.join("shape"), "4000 serve 7.1.0 1a2b3c\n").unwrap();
    let never = place.path().join("never");
    let broken = place.path().join("broken");
    fs::create_dir(&broken).unwrap();
    fs::copy(Path::new(copy).join("shape"), broken.join("shape")).unwrap();
    fs::write(broken.join("table.db"), "no database").unwrap();
    for (what, folder, data, why) in [
        ("restore", &copies, &data, "is not empty"),
        ("restore", &copies, &foreign, "is not empty"),
        ("restore", &foreign, &never, "holds no copy"),
        ("restore", &never, &never, "never"),
        ("restore", &newer, &never, "Bursar 7.1.0, which is newer"),
        ("restore", &broken, &never, "cannot be copied"),
        ("backup", &never, &newer, "Bursar 7.1.0, which is newer"),
        ("backup", &never, &foreign, "no folder that Bursar made"),
    ] {
        let ended = copying(what, folder, data).await;
        assert_eq!(
            (ended.status.code(), ended.out.as_str()),
            (Some(2), ""),
            "{what} {why}: {ended:?}"
        );
        assert!(
            ended.err.starts_with("bursar: ") && ended.err.contains(why),
            "{what} {why}: {ended:?}"
        );
        assert_eq!(ended.err.lines().count(), 1, "{ended:?}");
    }
    assert!(!never.exists(), "nothing was made");
    assert_eq!(fs::read_dir(&foreign).unwrap().count(), 1);
}
