//! What others do while a key is being made: no key is shown, the one that was made is disabled,
//! and the page says what happened.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_tests::campus::Campus;
use bursar_tests::faults::Matcher;

use super::{class, enrol};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_loses_the_reservation_meanwhile_is_shown_no_key() {
    for what in ["reveal", "replace"] {
        let mut campus = class().await;
        campus.restrict().await;
        for (act, said, state) in [
            (
                "pause",
                "paused your access while the key was being made",
                "paused",
            ),
            (
                "drop",
                "You were taken off the roster of this programme while",
                "paused",
            ),
            (
                "revoke",
                "You were removed from this programme while",
                "revoked",
            ),
            ("close", "This programme ended while", "ended"),
        ] {
            let student = enrol(&mut campus, act).await;
            if what == "replace" {
                campus.reveal(&student).await;
            }
            let before = campus.keys_of(act).len();
            let form = student.get("/my").await.form(&campus.my(what));
            let held = campus
                .gate
                .hold(Matcher::call("provider:POST /keys").of(FunctionName::Claim));
            let (page, ()) = tokio::join!(student.send_form(&form), async {
                held.arrived().await;
                does(&campus, act).await;
                held.release(None).unwrap();
            });
            drop(held);
            let alert = page.expect(409).alert().unwrap();
            assert!(
                alert.contains(said) && alert.contains("Nothing was spent"),
                "{what}, {act}: {alert}"
            );
            campus.judged().await;
            let keys = campus.keys_of(act);
            assert!(
                keys.len() == before + 1 && keys.iter().all(|key| key.disabled),
                "{what}, {act}: {keys:?}"
            );
            let my = student.get("/my").await.expect(200);
            assert_eq!(my.one("grant").get("data-state"), state, "{what}, {act}");
            assert!(
                !my.offers(&campus.my("reveal")) && !my.offers(&campus.my("replace")),
                "{}",
                my.readable()
            );
            student.send_form(&form).await.expect(409);
        }
        campus.finish().await;
    }
}

/// While a key of $25 is being made the cap becomes $12, the count frees the rest, and another
/// student takes it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_without_room_is_not_shown() {
    let mut campus = class().await;
    campus
        .set(|settings| settings.allowance.cap = Usd::from_dollars(25))
        .await;
    campus.budget(25).await;
    campus.sync().await;
    let (ada, bob) = (
        enrol(&mut campus, "ada").await,
        enrol(&mut campus, "bob").await,
    );
    let admin = campus.admin().await;
    let form = ada.get("/my").await.form(&campus.my("reveal"));
    let held = campus
        .gate
        .hold(Matcher::call("provider:POST /keys").of(FunctionName::Claim));
    let (page, ()) = tokio::join!(ada.send_form(&form), async {
        held.arrived().await;
        campus.edit(&admin, &[("cap_usd", "12")]).await.expect(303);
        assert_eq!(campus.sync().await["complete"], true);
        campus.reveal(&bob).await;
        held.release(None).unwrap();
    });
    drop(held);
    let alert = page.expect(409).alert().unwrap();
    assert!(
        alert.contains("the budget has no room for this key any more; nothing was spent"),
        "{alert}"
    );
    campus.judged().await;
    assert_eq!(
        (campus.enabled(), campus.grant("ada").await.lease),
        (vec!["bob"], None)
    );
    campus.press(&ada, "reveal").await.expect(200).one("key");
    assert_eq!(campus.key("ada").limit.unwrap().to_string(), "12");
    campus.finish().await;
}

async fn does(campus: &Campus, act: &str) {
    match act {
        "pause" => campus.hold(act, HoldKind::Paused).await,
        "drop" => campus.hold(act, HoldKind::Dropped).await,
        "revoke" => campus.revoke(act).await,
        _ => {
            assert!(
                campus
                    .table
                    .close(&campus.programme, campus.by())
                    .await
                    .unwrap()
            );
            campus
                .table
                .act(campus.on(act), |view, now| view.end(&Actor::Rule, now))
                .await
                .map(drop)
                .unwrap();
        }
    }
}
