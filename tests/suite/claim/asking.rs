//! Asking for a link: the answer is the same for every address, and a mail comes only for people
//! with a place here.

use std::collections::{BTreeMap, BTreeSet};

use bursar_local::inbox::Contents;
use bursar_tests::faults::Part;
use bursar_tests::visitor::Page;

use super::*;

/// Everything that the person who asks can notice, and the calls to the table. The value of the
/// cookie is left out, the text that was typed is marked where it stands, and the length of the
/// page with it is not looked at.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Noticed {
    status: u16,
    headers: Vec<(String, String)>,
    cookie_length: usize,
    body: String,
    calls: Vec<(String, Vec<(String, bool)>)>,
}

const TYPED: &str = "<typed>";

/// Asks twice in a new browser, the second time with its cookie.
async fn asks(campus: &Campus, address: &str) -> [Noticed; 2] {
    let visitor = campus.browser();
    let mut all = Vec::new();
    for _ in 0..2 {
        let before = campus.gate.calls().len();
        let page = visitor.post("/link", &[("address", address)]).await;
        let cookie = visitor.cookie("bursar-ask").unwrap();
        all.push(noticed(campus, &page, &cookie, address, before));
    }
    all.try_into().unwrap()
}

fn noticed(campus: &Campus, page: &Page, cookie: &str, typed: &str, before: usize) -> Noticed {
    let headers = page
        .headers
        .iter()
        .filter(|(name, _)| !["date", "content-length"].contains(&name.as_str()));
    let headers = headers
        .map(|(name, value)| {
            (
                name.to_string(),
                value.to_str().unwrap().replace(cookie, "<cookie>"),
            )
        })
        .collect();
    let calls = campus.gate.calls().split_off(before).into_iter();
    let parts = |parts: &[Part]| {
        parts
            .iter()
            .map(|part| (part.action.clone(), part.conditional))
            .collect()
    };
    let calls = calls
        .filter(|call| call.function == FunctionName::Claim)
        .map(|call| (call.name.to_string(), parts(&call.parts)))
        .collect();
    let body = page.body.replace(typed, TYPED);
    Noticed {
        status: page.status,
        headers,
        cookie_length: cookie.len(),
        body,
        calls,
    }
}

/// The number of links that were mailed to each address.
fn links(campus: &Campus) -> BTreeMap<String, usize> {
    let mut links = BTreeMap::new();
    let kind = |raw: &[u8]| Contents::parse(raw).kind;
    for mail in campus
        .ses
        .mails()
        .into_iter()
        .filter(|mail| kind(&mail.raw).as_deref() == Some("link"))
    {
        *links.entry(mail.to.join(", ")).or_default() += 1;
    }
    links
}

#[tokio::test]
async fn every_address_is_answered_alike_and_few_are_mailed() {
    let mut campus = class().await;
    campus
        .students(&["known", "suppressed", "this-minute", "this-hour"])
        .await;
    campus.settle().await;
    let mails = campus.mails("roster");
    let suppressed = mails
        .iter()
        .find(|mail| mail.to == "suppressed@example.edu")
        .unwrap();
    campus.report(suppressed, "bounce", true).await;
    for _ in 0..5 {
        // Three links that nobody follows, all of them still valid.
        asks(&campus, "this-hour@example.edu").await;
        campus.pump.drained().await.unwrap();
        campus.minutes(1);
    }
    asks(&campus, "this-minute@example.edu").await;
    campus.judged().await;
    let before = BTreeMap::from([
        ("this-hour@example.edu".to_owned(), 3),
        ("this-minute@example.edu".to_owned(), 1),
    ]);
    assert_eq!(links(&campus), before);

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
        noticed.extend(asks(&campus, address).await);
    }
    assert_eq!(noticed.len(), 1, "{noticed:#?}");
    let noticed = noticed.into_iter().next().unwrap();
    assert_eq!(noticed.status, 202);
    assert_eq!(
        noticed.calls,
        [(
            "dynamodb:PutItem".to_owned(),
            vec![("PutItem".to_owned(), true)]
        )]
    );

    campus.pump.drained().await.unwrap();
    let made = campus.gate.calls().len();
    asks(&campus, "nobody@elsewhere.example").await;
    campus.pump.drained().await.unwrap();
    let made = campus.gate.calls().split_off(made);
    let writes = made.iter().filter(|made| made.name.has_effect()).count();
    assert!(
        writes == 2 && made.len() <= 10,
        "one write for each login request of a stranger, and few reads: {made:?}"
    );

    campus.judged().await;
    let mut after = before;
    after.extend([
        ("admin@example.edu".to_owned(), 1),
        ("known@example.edu".to_owned(), 1),
    ]);
    assert_eq!(links(&campus), after);
    campus.finish().await;
}

#[tokio::test]
async fn no_address_is_answered_like_any() {
    let campus = class().await;
    let [address, _] = asks(&campus, "unknown@example.edu").await;
    assert_eq!(
        address.body.matches(TYPED).count(),
        3,
        "said, in the form of the code, and to ask again"
    );
    let long = format!("{}@example.edu", "a".repeat(400));
    let markup = "<b title='x'>&\"@c.edu";
    for text in [
        "",
        " ",
        "no address",
        "@",
        "a@b@c",
        "a@",
        "@b.edu",
        "a\r\nbcc: b@c.edu",
        "a,b@c.edu",
        "ä\0@c.edu",
        markup,
        &long,
    ] {
        let escaped = [
            ("&", "&#38;"),
            ("<", "&#60;"),
            (">", "&#62;"),
            ("\"", "&#34;"),
            ("'", "&#39;"),
        ]
        .iter()
        .fold(text.to_owned(), |text, (character, entity)| {
            text.replace(character, entity)
        });
        let (visitor, before) = (campus.browser(), campus.gate.calls().len());
        for _ in 0..2 {
            let page = visitor
                .post("/link", &[("address", text)])
                .await
                .expect(202);
            let noticed = noticed(
                &campus,
                &page,
                &visitor.cookie("bursar-ask").unwrap(),
                TYPED,
                before,
            );
            assert_eq!(
                (noticed.calls, &noticed.headers),
                (Vec::new(), &address.headers),
                "{text:?}"
            );
            assert_eq!(
                noticed.body,
                address.body.replace(TYPED, &escaped),
                "{text:?}"
            );
        }
    }
    campus.finish().await;
}

#[tokio::test]
async fn a_wrong_code_costs_the_same_for_any_address() {
    let mut campus = class().await;
    campus.students(&["live", "ended", "none"]).await;
    asks(&campus, "ended@example.edu").await;
    campus.pump.drained().await.unwrap();
    campus.minutes(31);
    asks(&campus, "live@example.edu").await;
    campus.pump.drained().await.unwrap();
    let mut all = BTreeSet::new();
    for _ in 0..7 {
        for address in [
            "live@example.edu",
            "ended@example.edu",
            "none@example.edu",
            "unknown@elsewhere.example",
        ] {
            let (visitor, before) = (campus.browser(), campus.gate.calls().len());
            let page = visitor
                .post("/code", &[("address", address), ("code", "0000-0000-0000")])
                .await
                .expect(403);
            assert_eq!(page.form("/code").value("address"), Some(address));
            all.insert(noticed(&campus, &page, "<none>", address, before));
        }
    }
    assert_eq!(all.len(), 1, "{all:#?}");
    campus.finish().await;
}
