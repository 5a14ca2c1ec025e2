//! What others do while a key is being made: pause, revoke, drop, close. No key is shown, the one that was made
//! is disabled, and the page says what happened.

use std::time::Duration;

use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::{ActOutcome, Author, CloseOutcome};
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::Matcher;
use bursar_tests::seeds::sized;
use bursar_tests::stack::Left;

use super::faults::{prepared, violations};
use super::{Scene, soon, stack};

#[derive(Debug, Clone, Copy)]
enum Meanwhile {
    Pause,
    Drop,
    Revoke,
    Close,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_paused_dropped_revoked_or_closed_while_a_key_is_made_is_not_shown_it_and_reads_why() {
    let at = ["provider:POST /keys", "provider:POST /guardrails/{id}/assignments/keys", "dynamodb:TransactWriteItems"];
    for what in ["reveal", "replace"] {
        for at in &at[..sized(1, 3)] {
            // A programme is closed once, so each of these has a stack of its own.
            let stack = stack().await;
            let mut scene = prepared(&stack).await;
            for act in [Meanwhile::Pause, Meanwhile::Drop, Meanwhile::Revoke, Meanwhile::Close] {
                interrupt(&mut scene, what, at, act).await;
            }
            // A student who replaces a key was shown one before, and got its mail.
            let left: &[Left<'_>] = if what == "replace" { &[Left::PerhapsMails] } else { &[] };
            stack.finish_leaving(left).await;
        }
    }
}

async fn interrupt(scene: &mut Scene<'_>, what: &str, at: &str, act: Meanwhile) {
    let tell = format!("{act:?} of a {what} at {at}");
    let stack = scene.stack;
    let (grant, student) = scene.student(&format!("{act:?}@example.edu")).await;
    if what == "replace" {
        scene.reveal(&student).await;
    }
    let form = student.get("/my").await.form(&scene.path(what));
    let before = stack.provider.as_ref().unwrap().keys().len();
    // A press writes its begin, a replacement then the old key's disable, and only after that the key's record.
    let turn = match (at.starts_with("dynamodb"), what) {
        (true, "replace") => 3,
        (true, _) => 2,
        (false, _) => 1,
    };
    let held = stack.gate.hold(Matcher::call(at).of(FunctionName::Claim).nth(turn));
    let acts = async {
        let call = tokio::time::timeout(Duration::from_secs(10), held.arrived()).await;
        let call = call.unwrap_or_else(|_| panic!("{tell}: it never came there"));
        act.on(scene, &grant).await;
        held.release_call(call.number, None).unwrap();
    };
    let (page, ()) = tokio::join!(student.send_form(&form), acts);
    drop(held);

    assert_eq!(page.status, 409, "{tell}: {}", page.readable());
    assert!(page.all("key").is_empty(), "{tell}: {}", page.readable());
    let (said, state) = match act {
        Meanwhile::Pause => ("paused your place while the key was being made", "paused"),
        Meanwhile::Drop => ("You were taken off the roster of this programme while", "paused"),
        Meanwhile::Revoke => ("Your place in this programme was withdrawn while", "revoked"),
        Meanwhile::Close => ("This programme ended while", "ended"),
    };
    let alert = page.alert().unwrap();
    assert!(alert.contains(said) && alert.contains("Nothing was spent"), "{tell}: {alert}");
    violations(scene, &tell).await;
    let keys = stack.provider.as_ref().unwrap().keys();
    let made: Vec<_> = keys.iter().filter(|key| key.name.contains(&format!("/{grant}/"))).collect();
    assert!(keys.len() == before + 1 && made.iter().all(|key| key.disabled), "{tell}: {made:?}");
    let my = student.get("/my").await.expect(200);
    assert_eq!(my.one("grant").get("data-state"), state, "{tell}");
    assert!(!my.offers(&scene.path("reveal")) && !my.offers(&scene.path("replace")), "{tell}: {}", my.readable());
    student.send_form(&form).await.expect(409);
}

impl Meanwhile {
    async fn on(self, scene: &Scene<'_>, grant: &GrantId) {
        let (office, at) = (&scene.office, scene.office.at(grant));
        match self {
            Meanwhile::Pause => {
                let held = office
                    .table
                    .act(at, |view, now| view.hold(HoldKind::Paused, &office.faculty, Some("an exam"), now))
                    .await
                    .unwrap();
                assert!(matches!(held, ActOutcome::Done(_)), "{held:?}");
            }
            Meanwhile::Drop => {
                let held = office
                    .table
                    .act(at, |view, now| view.hold(HoldKind::Dropped, &office.faculty, None, now))
                    .await
                    .unwrap();
                assert!(matches!(held, ActOutcome::Done(_)), "{held:?}");
            }
            Meanwhile::Revoke => {
                let revoked = office.table.act(at, |view, now| view.revoke(&office.faculty, None, now)).await.unwrap();
                assert!(matches!(revoked, ActOutcome::Done(_)), "{revoked:?}");
            }
            Meanwhile::Close => {
                let by = Author { actor: &office.faculty, now: scene.stack.clock.now(), deadline: soon() };
                assert_eq!(office.table.close(&office.programme, by).await.unwrap(), CloseOutcome::Done);
                let ended = office.table.act(at, |view, now| view.end(&office.faculty, now)).await.unwrap();
                assert!(matches!(ended, ActOutcome::Done(_)), "{ended:?}");
            }
        }
    }
}
