//! What bad input gets: a page with one sentence and the documented status, and no effect.

use bursar_tests::faults::Service;
use bursar_tests::office::session_cookie;
use bursar_tests::visitor::Page;
use serde_json::{Value, json};

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn bad_input_gets_one_sentence_and_has_no_effect() {
    let mut campus = class().await;
    let (ada, eve) = (
        enrol(&mut campus, "ada").await,
        enrol(&mut campus, "eve").await,
    );
    let stranger = campus.browser();
    let reveal = campus.my("reveal");
    let csrf = ada
        .get("/my")
        .await
        .form(&reveal)
        .value("csrf")
        .unwrap()
        .to_owned();
    let form = |rest: &str| format!("csrf={csrf}{rest}");
    let large = format!("csrf={csrf}&epoch=0&note={}", "a".repeat(3 << 20));
    let (link, wrong) = (format!("/c/{}", "A".repeat(43)), "/c/short");

    campus.pump.drained().await.unwrap();
    let before = effects(&campus);
    let mut pages: Vec<(&str, u16, Page)> = Vec::new();
    for path in ["/link", "/code", &link, &reveal] {
        let who = if path == reveal { &ada } else { &stranger };
        for kind in [
            "application/json",
            "text/plain",
            "multipart/form-data; boundary=x",
            "",
        ] {
            pages.push((
                "another type",
                415,
                who.post_as(kind, path, "address=ada@example.edu").await,
            ));
        }
        for body in [&b"%"[..], b"%zz=%", b"\xff\xfe\x00"] {
            pages.push(("no form", 400, who.post_as(FORM, path, body).await));
        }
        pages.push((
            "too large",
            413,
            who.post_as(FORM, path, large.clone()).await,
        ));
        pages.push((
            "two megabytes of nothing",
            413,
            who.post_as(FORM, path, "%".repeat(2 << 20)).await,
        ));
        let many = (0..100_000)
            .map(|number| format!("{number:x}&"))
            .collect::<String>();
        pages.push((
            "a hundred thousand fields",
            413,
            who.post_as(FORM, path, many).await,
        ));
        let some = (0..17)
            .map(|number| format!("f{number}=x&"))
            .collect::<String>();
        pages.push((
            "more fields than there are",
            if path == reveal { 403 } else { 400 },
            who.post_as(FORM, path, some).await,
        ));
    }
    let some = (0..2_049)
        .map(|number| format!("f{number}&"))
        .collect::<String>();
    pages.push((
        "more fields than there are",
        400,
        ada.post_as(FORM, &reveal, some).await,
    ));
    let not_signed_in = [
        (
            "no address",
            stranger
                .post_as(FORM, "/code", "address=nobody&code=ABCD-EFGH-JKMN")
                .await,
        ),
        (
            "no address",
            stranger.post_as(FORM, &link, "address=nobody").await,
        ),
        (
            "no address",
            stranger.post_as(FORM, &link, "address=%00%0d%0a").await,
        ),
        (
            "a token of another shape",
            stranger
                .post_as(FORM, wrong, "address=ada@example.edu")
                .await,
        ),
        (
            "a token of no text",
            stranger
                .post_as(FORM, "/c/%ff%fe", "address=ada@example.edu")
                .await,
        ),
        (
            "a token with more behind",
            stranger
                .post_as(FORM, &format!("{link}/x"), "address=ada@example.edu")
                .await,
        ),
        (
            "no code",
            stranger
                .post_as(FORM, "/code", "address=ada@example.edu&code=%F0%9F%94%91")
                .await,
        ),
        ("nothing", stranger.post_as(FORM, "/code", "").await),
    ];
    pages.extend(not_signed_in.map(|(what, page)| (what, 403, page)));
    for (what, status, path, body) in [
        (
            "a foreign programme",
            404,
            "/my/another/reveal",
            form("&epoch=0"),
        ),
        ("no programme", 404, "/my/%00/reveal", form("&epoch=0")),
        (
            "no programme",
            404,
            "/my/..%2f..%2fconsole/reveal",
            form("&epoch=0"),
        ),
        ("no token", 403, &*reveal, "epoch=0".to_owned()),
        ("an empty token", 403, &reveal, "csrf=&epoch=0".to_owned()),
        (
            "another token",
            403,
            &reveal,
            format!("csrf={}&epoch=0", "0".repeat(csrf.len())),
        ),
        ("no epoch", 422, &reveal, form("")),
        ("no number", 422, &reveal, form("&epoch=-1")),
        (
            "no number",
            422,
            &reveal,
            form("&epoch=99999999999999999999999"),
        ),
        ("no text", 400, &reveal, form("&epoch=%ff")),
        ("a field twice", 400, &reveal, form("&epoch=0&epoch=0")),
        ("another epoch", 409, &reveal, form("&epoch=3")),
        ("no key", 409, &campus.my("replace"), form("&epoch=0")),
        ("no key", 409, &campus.my("leaked"), form("")),
        ("no key", 409, &campus.my("refresh"), form("")),
        ("no key", 409, &campus.my("resume"), form("")),
        ("no such button", 404, &campus.my("nothing"), form("")),
    ] {
        pages.push((what, status, ada.post_as(FORM, path, body).await));
    }
    pages.push((
        "the token of another",
        403,
        eve.post_as(FORM, &reveal, form("&epoch=0")).await,
    ));
    pages.push((
        "signed out",
        401,
        stranger.post_as(FORM, &reveal, form("&epoch=0")).await,
    ));
    pages.push(("no field", 422, stranger.post_as(FORM, "/link", "").await));
    pages.push(("no page", 404, stranger.get("/nothing").await));
    pages.push((
        "another method",
        404,
        ada.post_as(FORM, "/my/help", form("")).await,
    ));

    for (what, status, page) in &pages {
        let at = format!("{what} at {}", page.path);
        assert_eq!(page.status, *status, "{at}: {}", page.readable());
        let said = page.alerts();
        assert!(said.len() == 1 && said[0].ends_with('.'), "{at}: {said:?}");
        assert!(
            page.header("content-type")
                .unwrap()
                .starts_with("text/html"),
            "{at}"
        );
        assert!(
            page.body.contains("/bursar.css") && page.body.contains("Example University"),
            "{at}: {}",
            page.body
        );
        assert!(!page.headers.contains_key("set-cookie"), "{at}");
        let says_how_to_go_on = page.body.contains("Open the page");
        assert!(
            says_how_to_go_on || !matches!(page.status, 400 | 413 | 415),
            "{at}: {}",
            page.body
        );
    }
    campus.pump.drained().await.unwrap();
    assert_eq!(effects(&campus), before, "nothing comes of any of them");
    assert_eq!(
        ada.get("/my").await.one("grant").get("data-state"),
        "invited"
    );
    campus.finish().await;
}

/// The calls of any function that change something, and all calls to the provider.
fn effects(campus: &Campus) -> Vec<String> {
    let calls = campus.gate.calls().into_iter();
    let calls =
        calls.filter(|call| call.name.has_effect() || call.name.service == Service::Provider);
    let own = |call: &bursar_tests::faults::Call| {
        call.function == FunctionName::Claim || call.name.service == Service::Ses
    };
    calls.filter(own).map(|call| call.to_string()).collect()
}

/// An event as API Gateway would give it to `claim`, with this query, headers and cookies.
fn event(query: &str, headers: &Value, cookies: &[&str]) -> Value {
    let http =
        json!({"method": "GET", "path": "/my", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1"});
    json!({"version": "2.0", "routeKey": "$default", "rawPath": "/my", "rawQueryString": query, "headers": headers,
        "cookies": cookies, "isBase64Encoded": false, "requestContext": {"http": http}})
}

#[tokio::test]
async fn an_event_that_is_no_request_is_answered_with_a_page() {
    let campus = class().await;
    let answer = async |event: Value| {
        campus
            .invoke
            .invoke(FunctionName::Claim, event)
            .await
            .unwrap()
    };
    for query in ["a=\"<x>\"", "a=b c", "\u{1f393}=1", "a=\u{7f}"] {
        let answered = answer(event(query, &json!({}), &[])).await;
        assert_eq!(answered["statusCode"], 400, "{query}: {answered}");
        assert!(
            answered["body"]
                .as_str()
                .unwrap()
                .contains("Example University"),
            "{query}"
        );
        assert!(
            answered["headers"]["content-security-policy"].is_string(),
            "{query}: {answered}"
        );
    }
    let session = session_cookie(&campus.stack, "admin@example.edu").await;
    let others = ["name=Jos\u{e9}", "x=\u{1f393}", &session, "y=\u{0}"];
    let strange =
        json!({"host": "a b:c", "x-forwarded-proto": "no scheme", "x-name": "Jos\u{e9}\n"});
    let answered = answer(event("a=1", &strange, &others)).await;
    assert_eq!(answered["statusCode"], 200, "{answered}");
    let many: Vec<String> = (0..10_000)
        .map(|number| format!("c{number}=\u{e9}"))
        .chain([session])
        .collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(
        answer(event("", &json!({}), &many)).await["statusCode"],
        200
    );
    campus.finish().await;
}
