//! What every page and mail says besides its own text: whose it is, whom to ask, and what happens to one's data.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_local::inbox::Contents;
use bursar_local::settle::LIMIT;
use bursar_local::visitor::Visitor as Browser;
use bursar_tests::faults::Fault;
use bursar_tests::stack::Left;

use super::{Scene, stack};

const INSTITUTION: &str = "Example University";
const SUPPORT: &str = "bursar-help@example.edu";
const PRIVACY: &str = "https://example.edu/privacy";

#[tokio::test]
async fn institution_support_and_privacy_stand_on_every_page_and_in_every_mail() {
    let stack = stack().await;
    let scene = Scene::over(&stack).await;
    let pages = Arc::new(Mutex::new(Vec::new()));
    let noted = pages.clone();
    let web = &stack.ready.web;
    let browser = Browser::of(web, web).unwrap().noted_by(move |page| noted.lock().unwrap().push(page.clone()));
    walk(&scene, &browser).await;

    let mut statuses = BTreeSet::new();
    for page in pages.lock().unwrap().iter().filter(|page| !page.body.is_empty()) {
        if page.header("content-type").is_some_and(|kind| kind.starts_with("application/json")) {
            continue;
        }
        let at = format!("{} {}", page.status, page.path);
        let readable = page.readable();
        assert!(readable.contains(INSTITUTION) && readable.contains(SUPPORT), "{at}: {}", page.body);
        assert!(page.body.contains(&format!("href=\"{PRIVACY}\"")), "{at}: {}", page.body);
        statuses.insert(page.status);
    }
    let every = [200, 202, 401, 403, 404, 409, 413, 415, 422, 502, 503];
    assert_eq!(statuses.iter().copied().filter(|status| *status != 400).collect::<Vec<_>>(), every);

    stack.settle.settle(LIMIT).await.unwrap();
    let mut kinds = BTreeSet::new();
    for mail in stack.ses.mails() {
        let Contents { text, html, kind, .. } = Contents::of(&mail.raw);
        for part in [text, html] {
            let part = part.unwrap();
            let stands = [INSTITUTION, SUPPORT, PRIVACY].into_iter().all(|text| part.contains(text));
            assert!(stands, "{kind:?}: {part}");
        }
        kinds.insert(kind.unwrap());
    }
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), ["key-leaked", "key-shown", "link", "roster"]);
    stack
        .finish_leaving(&[
            Left::PerhapsMails,
            Left::Complaints(&[("claim", "a page could not be made"), ("claim", "the provider did not do it")]),
        ])
        .await;
}

/// Opens a page of every kind, and causes a mail of every kind that students get.
async fn walk(scene: &Scene<'_>, browser: &Browser) {
    let stack = scene.stack;
    let grant = scene.office.invite("ada@example.edu").await;
    // A roster mail for a grant whose key was already shown is not sent.
    stack.settle.settle(LIMIT).await.unwrap();
    let (reveal, nobody) = (scene.path("reveal"), browser.fresh());
    browser.get("/").await.unwrap();
    browser.get("/nothing").await.unwrap();
    browser.get("/c/anything").await.unwrap();
    browser.post("/link", &[]).await.unwrap();
    browser.post("/link", &[("address", "ada@example.edu")]).await.unwrap();
    browser.post_as("text/plain", "/link", b"address".to_vec()).await.unwrap();
    browser.post_as("application/x-www-form-urlencoded", "/link", vec![b'a'; 3 << 20]).await.unwrap();
    browser.post_from("https://elsewhere.example", "/link", &[]).await.unwrap();
    browser.post("/code", &[]).await.unwrap();
    nobody.post(&reveal, &[]).await.unwrap();

    stack.pump.drained().await.unwrap();
    let mail = stack.ses.mails().into_iter().map(|mail| Contents::of(&mail.raw).text.unwrap());
    let link =
        mail.filter_map(|text| text.lines().find_map(|line| Some(line.strip_prefix(&stack.ready.web)?.to_owned())));
    let link = link.into_iter().find(|link| link.starts_with("/c/")).unwrap();
    browser.post(&link, &[]).await.unwrap().expect(303).unwrap();
    let press = async |what: &str| {
        let my = browser.get("/my").await.unwrap();
        browser.submit(&my, &scene.path(what), &[]).await.unwrap()
    };
    browser.post(&reveal, &[]).await.unwrap();
    stack.gate.at("provider:POST /keys", Fault::Status(429));
    press("reveal").await.expect(503).unwrap();
    stack.gate.at("provider:POST /keys", Fault::Status(500));
    press("reveal").await.expect(502).unwrap();
    let form = browser.get("/my").await.unwrap().form(&reveal).unwrap();
    press("reveal").await.expect(200).unwrap();
    browser.send_form(&form).await.unwrap().expect(409).unwrap();
    browser.post(&reveal, &[("csrf", form.value("csrf").unwrap())]).await.unwrap().expect(422).unwrap();
    stack.gate.at("dynamodb:GetItem", Fault::Status(400));
    browser.get("/my").await.unwrap().expect(503).unwrap();
    press("leaked").await.expect(303).unwrap();
    scene
        .office
        .table
        .act(scene.office.at(&grant), |view, now| view.hold(HoldKind::Paused, &Actor::Rule, None, now))
        .await
        .unwrap();
    browser.get("/my").await.unwrap();
}
