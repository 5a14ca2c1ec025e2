//! Asking for a link: the answer is the same for every address, and a mail comes only for people with a place here.

use std::collections::{BTreeMap, BTreeSet};

use bursar_local::inbox::Contents;
use bursar_local::invoke::FunctionName;
use bursar_local::settle::LIMIT;
use bursar_tests::aws;
use bursar_tests::faults::Part;
use bursar_tests::stack::Left;
use bursar_tests::visitor::Page;
use serde_json::json;

use super::{Scene, look, minutes, stack};

/// Everything that the person who asks can notice, and the calls to the table. The value of the cookie is left out.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Noticed {
    status: u16,
    headers: Vec<(String, String)>,
    cookie_length: usize,
    body: String,
    calls: Vec<(String, Vec<(String, bool)>)>,
}

impl Scene<'_> {
    /// Asks twice in a new browser, the second time with its cookie.
    async fn asks(&self, address: &str) -> [Noticed; 2] {
        let visitor = self.browser();
        let mut noticed = Vec::new();
        for _ in 0..2 {
            let before = self.stack.gate.calls().len();
            let page = visitor.post("/link", &[("address", address)]).await;
            let cookie = visitor.cookie("bursar-ask").unwrap();
            noticed.push(self.noticed(&page, &cookie, before));
        }
        noticed.try_into().unwrap()
    }

    fn noticed(&self, page: &Page, cookie: &str, before: usize) -> Noticed {
        let headers = page.headers.iter().filter(|(name, _)| *name != "date");
        let headers = headers
            .map(|(name, value)| (name.to_string(), value.to_str().unwrap().replace(cookie, "<cookie>")))
            .collect();
        let calls = self.stack.gate.calls().split_off(before).into_iter().map(|made| made.call);
        let parts = |parts: &[Part]| parts.iter().map(|part| (part.action.clone(), part.conditional)).collect();
        let calls = calls
            .filter(|call| call.function == FunctionName::Claim)
            .map(|call| (call.name.to_string(), parts(&call.shape.parts)))
            .collect();
        Noticed { status: page.status, headers, cookie_length: cookie.len(), body: page.body.clone(), calls }
    }

    /// The number of links that were mailed to each address.
    fn links(&self) -> BTreeMap<String, usize> {
        let mut links = BTreeMap::new();
        let kind = |raw: &[u8]| Contents::of(raw).kind;
        for mail in self.stack.ses.mails().into_iter().filter(|mail| kind(&mail.raw).as_deref() == Some("link")) {
            *links.entry(mail.to.join(", ")).or_default() += 1;
        }
        links
    }

    /// Records a permanent bounce from this address.
    async fn bounces(&self, address: &str) {
        let mails = self.stack.ses.mails();
        let mail = mails.iter().find(|mail| mail.to == [address]).unwrap();
        let bounce = json!({"mail": mail.id, "type": "bounce", "permanent": true});
        let events = format!("{}/events", self.stack.ready.inbox);
        let heard = aws::http().post(events).json(&bounce).send().await.unwrap();
        assert_eq!(heard.status(), 200);
    }
}

#[tokio::test]
async fn known_unknown_suppressed_and_limited_addresses_are_answered_alike_and_only_who_is_owed_a_link_is_mailed_one() {
    let stack = stack().await;
    let mut scene = Scene::over(&stack).await;
    for name in ["known", "suppressed", "this-minute", "this-hour"] {
        scene.office.invite(&format!("{name}@example.edu")).await;
    }
    stack.settle.settle(LIMIT).await.unwrap();
    stack.schedules.stop().await;
    scene.bounces("suppressed@example.edu").await;
    for _ in 0..5 {
        // Three links that nobody follows, all of them still valid.
        scene.asks("this-hour@example.edu").await;
        stack.pump.drained().await.unwrap();
        stack.clock.advance(minutes(1)).unwrap();
    }
    scene.asks("this-minute@example.edu").await;
    look(&stack, &mut scene.watch).await;
    let before = BTreeMap::from([("this-hour@example.edu".to_owned(), 3), ("this-minute@example.edu".to_owned(), 1)]);
    assert_eq!(scene.links(), before);

    let mut noticed = BTreeSet::new();
    for address in [
        "known@example.edu",
        " Known@EXAMPLE.edu ",
        "admin@example.edu",
        "unknown@example.edu",
        "unknown@elsewhere.example",
        "suppressed@example.edu",
        "this-minute@example.edu",
        "this-hour@example.edu",
    ] {
        noticed.extend(scene.asks(address).await);
    }
    assert_eq!(noticed.len(), 1, "{noticed:#?}");
    let noticed = noticed.into_iter().next().unwrap();
    assert_eq!(noticed.status, 202);
    assert_eq!(noticed.calls, [("dynamodb:PutItem".to_owned(), vec![("PutItem".to_owned(), true)])]);

    look(&stack, &mut scene.watch).await;
    let mut after = before;
    after.extend([("admin@example.edu".to_owned(), 1), ("known@example.edu".to_owned(), 1)]);
    assert_eq!(scene.links(), after);
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[tokio::test]
async fn what_can_be_no_address_is_answered_like_any_and_nothing_is_written() {
    let stack = stack().await;
    let scene = Scene::over(&stack).await;
    let [address, _] = scene.asks("unknown@example.edu").await;
    let long = format!("{}@example.edu", "a".repeat(400));
    for text in
        ["", " ", "no address", "@", "a@b@c", "a@", "@b.edu", "a\r\nbcc: b@c.edu", "a,b@c.edu", "ä\0@c.edu", &long]
    {
        for noticed in scene.asks(text).await {
            assert_eq!(noticed.calls, [], "{text:?}");
            assert_eq!(
                (noticed.status, &noticed.headers, &noticed.body),
                (202, &address.headers, &address.body),
                "{text:?}"
            );
        }
    }
    let page = scene.browser().post("/link", &[("adress", "ada@example.edu")]).await.expect(422);
    assert!(page.alert().is_some());
    stack.finish().await;
}

#[tokio::test]
async fn a_wrong_code_costs_the_same_whoever_the_address_is_and_whatever_is_good_for_it() {
    let stack = stack().await;
    stack.schedules.stop().await;
    let scene = Scene::over(&stack).await;
    for name in ["live", "ended", "none"] {
        scene.office.invite(&format!("{name}@example.edu")).await;
    }
    scene.asks("ended@example.edu").await;
    stack.pump.drained().await.unwrap();
    stack.clock.advance(minutes(31)).unwrap();
    scene.asks("live@example.edu").await;
    stack.pump.drained().await.unwrap();
    let mut noticed = BTreeSet::new();
    for _ in 0..7 {
        for address in ["live@example.edu", "ended@example.edu", "none@example.edu", "unknown@elsewhere.example"] {
            let (visitor, before) = (scene.browser(), stack.gate.calls().len());
            let page = visitor.post("/code", &[("address", address), ("code", "0000-0000-0000")]).await.expect(403);
            noticed.insert(scene.noticed(&page, "", before));
        }
    }
    assert_eq!(noticed.len(), 1, "{noticed:#?}");
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}
