//! Every way in which a press is refused, with its status and without any effect.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::money::Usd;
use bursar_core::store::Author;
use bursar_local::invoke::FunctionName;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::ProgrammeEdits;
use bursar_tests::stack::Left;
use bursar_tests::visitor::Form;
use jiff::ToSpan;

use super::{Scene, look, soon, stack};

#[tokio::test]
async fn a_form_that_is_not_whole_or_not_ours_does_nothing() {
    let stack = stack().await;
    let scene = Scene::over(&stack).await;
    let (_, ada) = scene.student("ada@example.edu").await;
    let (reveal, my) = (scene.path("reveal"), ada.get("/my").await);
    let csrf = my.form(&reveal).value("csrf").unwrap().to_owned();
    for (path, fields, status) in [
        (&*reveal, &[("epoch", "0")][..], 403),
        (&reveal, &[("csrf", "x"), ("epoch", "0")], 403),
        (&reveal, &[("csrf", &*csrf)], 422),
        (&reveal, &[("csrf", &csrf), ("epoch", "x")], 422),
        (&reveal, &[("csrf", &csrf), ("epoch", "7")], 409),
        (&*scene.path("replace"), &[("csrf", &csrf), ("epoch", "0")], 409),
        (&scene.path("leaked"), &[("csrf", &csrf)], 409),
        (&scene.path("refresh"), &[("csrf", &csrf)], 409),
        (&scene.path("resume"), &[("csrf", &csrf)], 409),
        (&scene.path("nothing"), &[("csrf", &csrf)], 404),
        ("/my/another/reveal", &[("csrf", &csrf), ("epoch", "0")], 404),
        ("/my/No%20id/reveal", &[("csrf", &csrf), ("epoch", "0")], 404),
    ] {
        let page = ada.post(path, fields).await.expect(status);
        assert!(page.alert().is_some(), "{path} {fields:?} says nothing");
    }
    ada.post_from("https://elsewhere.example", &reveal, &[("csrf", &csrf), ("epoch", "0")]).await.expect(403);
    scene.browser().post(&reveal, &[("csrf", &csrf), ("epoch", "0")]).await.expect(401);
    ada.get(&reveal).await.expect(404);
    let eve = scene.student("eve@example.edu").await.1;
    eve.post(&reveal, &[("csrf", &csrf), ("epoch", "0")]).await.expect(403);
    assert!(stack.provider.as_ref().unwrap().keys().is_empty());
    assert_eq!(ada.get("/my").await.one("grant").get("data-state"), "invited");
    stack.finish().await;
}

#[tokio::test]
async fn what_the_programme_or_the_grant_forbids_is_409_with_the_reason() {
    let stack = stack().await;
    let mut scene = Scene::over(&stack).await;
    let (grant, ada) = scene.student("ada@example.edu").await;
    let reveal = ada.get("/my").await.form(&scene.path("reveal"));
    let now = stack.clock.now();

    scene.set(|settings| settings.claim_opens_at = Some(now + 1.hour())).await;
    let refused = ada.send_form(&reveal).await.expect(409).alert().unwrap();
    assert!(refused.contains("can be claimed from") && refused.contains("(UTC)"), "{refused}");
    assert!(ada.get("/my").await.readable().contains(&refused));
    scene.set(|settings| (settings.claim_opens_at, settings.claim_closes_at) = (None, Some(now))).await;
    assert!(ada.send_form(&reveal).await.expect(409).alert().unwrap().contains("time to claim"));
    assert!(!ada.get("/my").await.offers(&scene.path("reveal")));
    scene.set(|settings| settings.claim_closes_at = None).await;

    let pot = async |dollars| {
        let by = Author { actor: &scene.office.faculty, now, deadline: soon() };
        scene.office.table.set_pot(&scene.office.programme, Usd::from_dollars(dollars), by).await;
    };
    pot(19).await;
    assert!(ada.send_form(&reveal).await.expect(409).alert().unwrap().contains("held for other keys"));
    pot(100).await;

    let at = || scene.office.at(&grant);
    scene
        .office
        .table
        .act(at(), |view, now| view.hold(HoldKind::Paused, &scene.office.faculty, None, now))
        .await
        .unwrap();
    assert!(ada.send_form(&reveal).await.expect(409).alert().unwrap().contains("paused"));
    assert_eq!(ada.get("/my").await.one("grant").get("data-state"), "paused");
    scene.office.table.act(at(), |view, now| view.release(HoldKind::Paused, &scene.office.faculty, now)).await.unwrap();

    scene.set(|settings| settings.terms = Some("https://uni.example/terms".to_owned())).await;
    let page = ada.send_form(&reveal).await.expect(422);
    assert!(page.alert().unwrap().contains("terms") && page.offers(&scene.path("reveal")));
    ada.send_form(&reveal.clone().filled(&[("terms", "off")])).await.expect(422);
    ada.submit(&page, &scene.path("reveal"), &[("terms", "on")]).await.expect(200);
    look(&stack, &mut scene.watch).await;

    scene.set(|settings| settings.replacements = 0).await;
    stack.clock.advance(super::minutes(16)).unwrap();
    let my = ada.get("/my").await;
    assert!(!my.offers(&scene.path("replace")) && my.offers(&scene.path("leaked")));
    let replace = Form { action: scene.path("replace"), ..my.form(&scene.path("leaked")) };
    assert!(ada.send_form(&replace).await.expect(409).alert().unwrap().contains("as often as"));

    scene.office.table.act(at(), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
    assert!(ada.send_form(&replace).await.expect(409).alert().unwrap().contains("withdrawn"));
    let my = ada.get("/my").await;
    let forms: Vec<_> = my.forms().into_iter().map(|form| form.action).collect();
    assert_eq!(my.one("grant").get("data-state"), "revoked");
    assert_eq!(forms, ["/sign-out", "/my/mails", "/sign-out"], "nothing is left that concerns the grant");
    look(&stack, &mut scene.watch).await;
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn what_the_provider_answers_is_told_apart_and_the_student_presses_again() {
    let stack = stack().await;
    let mut scene = Scene::over(&stack).await;
    for (number, (verdict, status)) in [
        (Fault::Status(402), 502),
        (Fault::Status(401), 502),
        (Fault::RetryAfter(429, 7), 503),
        (Fault::Status(500), 502),
        (Fault::Status(503), 502),
        (Fault::Status(502), 502),
        (Fault::LoseAnswer, 502),
        (Fault::Late, 502),
    ]
    .into_iter()
    .enumerate()
    {
        let (_, student) = scene.student(&format!("student-{number}@example.edu")).await;
        stack.gate.at(Matcher::call("provider:POST /keys").of(FunctionName::Claim), verdict);
        let page = scene.press(&student, "reveal").await;
        assert_eq!(page.status, status, "{verdict}: {}", page.readable());
        let said = page.alert().unwrap();
        assert!(said.contains("Nothing was spent"), "{said}");
        if status == 503 {
            assert_eq!(page.header("retry-after"), Some("7"));
        }
        stack.gate.run_late().await;
        look(&stack, &mut scene.watch).await;
        scene.reveal(&student).await;
        look(&stack, &mut scene.watch).await;
    }
    stack.finish_leaving(&[Left::PerhapsMails, Left::Complaints(&[("claim", "the provider did not do it")])]).await;
}
