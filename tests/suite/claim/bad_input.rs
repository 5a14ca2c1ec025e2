//! What bad input gets: a page with one sentence and the documented status, and no effect.

use bursar_tests::faults::Service;
use bursar_tests::office::session_cookie;
use bursar_tests::visitor::Page;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

const FORM: &str = "application/x-www-form-urlencoded";

#[tokio::test]
async fn bad_input_gets_one_sentence_and_has_no_effect() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let stranger = campus.browser();
    let reveal = campus.my("reveal");
    let csrf = ada.get("/my").await.form(&reveal).value("csrf").unwrap().to_owned();
    let form = |rest: &str| format!("csrf={csrf}{rest}");
    let large = format!("csrf={csrf}&epoch=0&note={}", "a".repeat(3 << 20));
    let (link, wrong) = (format!("/c/{}", "A".repeat(43)), "/c/short");

    campus.pump.drained().await.unwrap();
    let before = effects(&campus);
    let mut pages: Vec<(&str, u16, Page)> = Vec::new();
    for path in ["/link", "/code", &link, &reveal] {
        let who = if path == reveal { &ada } else { &stranger };
        for kind in ["application/json", "text/plain", "multipart/form-data; boundary=x", ""] {
            pages.push(("another type", 415, who.post_as(kind, path, "address=ada@example.edu").await));
        }
        pages.push(("too large", 413, who.post_as(FORM, path, large.clone()).await));
        pages.push(("two megabytes of nothing", 413, who.post_as(FORM, path, "%".repeat(2 << 20)).await));
        let many = (0..100_000).map(|number| format!("{number:x}&")).collect::<String>();
        pages.push(("a hundred thousand fields", 413, who.post_as(FORM, path, many).await));
        let some = (0..17).map(|number| format!("f{number}=x&")).collect::<String>();
        pages.push((
            "more fields than there are",
            if path == reveal { 403 } else { 400 },
            who.post_as(FORM, path, some).await,
        ));
    }
    let some = (0..2_049).map(|number| format!("f{number}&")).collect::<String>();
    pages.push(("more fields than there are", 400, ada.post_as(FORM, &reveal, some).await));
    let not_signed_in = [
        ("no address", stranger.post_as(FORM, "/code", "address=nobody&code=ABCD-EFGH-JKMN").await),
        ("no address", stranger.post_as(FORM, &link, "address=nobody").await),
        ("no address", stranger.post_as(FORM, &link, "address=%00%0d%0a").await),
        ("a token of another shape", stranger.post_as(FORM, wrong, "address=ada@example.edu").await),
        ("a token of no text", stranger.post_as(FORM, "/c/%ff%fe", "address=ada@example.edu").await),
        ("a token with more behind", stranger.post_as(FORM, &format!("{link}/x"), "address=ada@example.edu").await),
        ("no code", stranger.post_as(FORM, "/code", "address=ada@example.edu&code=%F0%9F%94%91").await),
        ("nothing", stranger.post_as(FORM, "/code", "").await),
    ];
    pages.extend(not_signed_in.map(|(what, page)| (what, 403, page)));
    for (what, status, path, body) in [
        ("a foreign programme", 404, "/my/another/reveal", form("&epoch=0")),
        ("no programme", 404, "/my/%00/reveal", form("&epoch=0")),
        ("no programme", 404, "/my/..%2f..%2fconsole/reveal", form("&epoch=0")),
        ("no token", 403, &*reveal, "epoch=0".to_owned()),
        ("an empty token", 403, &reveal, "csrf=&epoch=0".to_owned()),
        ("another token", 403, &reveal, format!("csrf={}&epoch=0", "0".repeat(csrf.len()))),
        ("no epoch", 422, &reveal, form("")),
        ("no number", 422, &reveal, form("&epoch=-1")),
        ("no number", 422, &reveal, form("&epoch=99999999999999999999999")),
        ("another epoch", 409, &reveal, form("&epoch=3")),
    ] {
        pages.push((what, status, ada.post_as(FORM, path, body).await));
    }
    pages.push(("signed out", 401, stranger.post_as(FORM, &reveal, form("&epoch=0")).await));
    pages.push(("no field", 422, stranger.post_as(FORM, "/link", "").await));
    pages.push(("no page", 404, stranger.get("/nothing").await));
    pages.push(("another method", 404, stranger.get("/link").await));

    for (what, status, page) in &pages {
        let at = format!("{what} at {}", page.path);
        assert_eq!(page.status, *status, "{at}: {}", page.readable());
        let said = page.alerts();
        assert!(said.len() == 1 && said[0].ends_with('.'), "{at}: {said:?}");
        assert!(page.header("content-type").unwrap().starts_with("text/html"), "{at}");
        assert!(page.body.contains("/bursar.css") && page.body.contains("Example University"), "{at}: {}", page.body);
        assert!(!page.headers.contains_key("set-cookie"), "{at}");
    }
    campus.pump.drained().await.unwrap();
    assert_eq!(effects(&campus), before, "nothing comes of any of them");
    assert_eq!(ada.get("/my").await.one("grant").get("data-state"), "invited");
    campus.finish().await;
}

#[tokio::test]
async fn a_body_that_is_no_form_does_nothing() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let reveal = campus.my("reveal");
    campus.pump.drained().await.unwrap();
    let before = effects(&campus);
    for body in [&b"%"[..], b"%zz=%", b"\xff\xfe\x00", b"&&&=&=", b"{\"address\": \"ada@example.edu\"}"] {
        for path in ["/link", "/code", "/c/x", &reveal] {
            let page = ada.post_as(FORM, path, body).await;
            assert!(matches!(page.status, 400 | 403 | 422), "{path}: {}", page.status);
            assert!(
                page.alerts().len() == 1 && page.body.contains("Example University"),
                "{path}: {}",
                page.readable()
            );
        }
    }
    assert_eq!(effects(&campus), before);
    campus.finish().await;
}

#[tokio::test]
async fn a_mangled_link_leads_to_the_constant_page() {
    let campus = class().await;
    let visitor = campus.browser();
    let link = format!("/c/{}", "A".repeat(43));
    let constant = visitor.get(&link).await.expect(200).body.clone();
    for after in [
        ".",
        ",",
        ";",
        ":",
        "!",
        "?",
        ")",
        "]",
        "%3E",
        "%22",
        "'",
        "%E2%80%9D",
        "%23",
        "%23top",
        "#",
        "%0A",
        "%20",
        "//",
    ] {
        let page = visitor.get(&format!("{link}{after}")).await.expect(200);
        assert_eq!(page.body, constant, "{after}");
    }

    let host = campus.ready.web.strip_prefix("http://").unwrap();
    let (_, port) = host.split_once(':').unwrap();
    for (target, host) in [
        (format!("HTTP://{host}{link}"), host.to_owned()),
        (format!("HTTP://LOCALHOST:{port}{link}"), format!("LOCALHOST:{port}")),
        (link.clone(), format!("LocalHost:{port}")),
        (link.clone(), format!("localhost.:{port}")),
    ] {
        let answer = raw_get(&campus.ready.web, &target, &host).await;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        if head.starts_with("HTTP/1.1 200 ") {
            assert_eq!(body, constant, "{target}");
        } else {
            // The local bundle redirects to its own spelling of the host; an API's host name is the same in
            // either case.
            assert!(head.starts_with("HTTP/1.1 307 "), "{target}: {head}");
            let location = format!("location: {}{link}", campus.ready.web);
            assert!(head.lines().any(|line| line.eq_ignore_ascii_case(&location)), "{target}: {head}");
        }
    }
    assert!(effects(&campus).is_empty());
    campus.finish().await;
}

/// The calls of any function that change something, and all calls to the provider.
fn effects(campus: &Campus) -> Vec<String> {
    let calls = campus.gate.calls().into_iter();
    let calls = calls.filter(|call| call.name.has_effect() || call.name.service == Service::Provider);
    let own =
        |call: &bursar_tests::faults::Call| call.function == FunctionName::Claim || call.name.service == Service::Ses;
    calls.filter(own).map(|call| call.to_string()).collect()
}

/// The whole answer to a request with this target and host, sent without a client's corrections.
async fn raw_get(web: &str, target: &str, host: &str) -> String {
    let mut connection = TcpStream::connect(web.strip_prefix("http://").unwrap()).await.unwrap();
    let request = format!("GET {target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await.unwrap();
    answer
}

/// An event as API Gateway would give it to `claim`, with this query, headers and cookies.
fn event(query: &str, headers: &[(&str, &str)], cookies: &[&str]) -> Value {
    let headers: Map<String, Value> = headers.iter().map(|(name, value)| ((*name).to_owned(), json!(value))).collect();
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": "/my", "rawQueryString": query, "headers": headers,
        "cookies": cookies, "isBase64Encoded": false,
        "requestContext": {
            "accountId": "0", "apiId": "x", "domainName": "x", "domainPrefix": "x", "requestId": "x", "routeKey": "$default",
            "stage": "$default", "time": "20/Nov/2026:10:00:00 +0000", "timeEpoch": 0,
            "http": {"method": "GET", "path": "/my", "protocol": "HTTP/1.1", "sourceIp": "127.0.0.1", "userAgent": "x"},
        },
    })
}

#[tokio::test]
async fn an_event_that_is_no_request_is_answered_with_a_page() {
    let campus = class().await;
    let answer = async |event: Value| campus.invoke.invoke(FunctionName::Claim, event).await.unwrap();
    for query in ["a=\"<x>\"", "a=b c", "\u{1f393}=1", "a=\u{7f}"] {
        let answered = answer(event(query, &[], &[])).await;
        assert_eq!(answered["statusCode"], 400, "{query}: {answered}");
        assert!(answered["body"].as_str().unwrap().contains("Example University"), "{query}");
        assert!(answered["headers"]["content-security-policy"].is_string(), "{query}: {answered}");
    }
    let session = session_cookie(&campus.stack, "admin@example.edu").await;
    let others = ["name=Jos\u{e9}", "x=\u{1f393}", &session, "y=\u{0}"];
    let strange =
        [("host", "a b:c"), ("x-forwarded-proto", "no scheme"), ("x-name", "Jos\u{e9}\n"), ("accept", "text/html")];
    let answered = answer(event("a=1", &strange, &others)).await;
    assert_eq!(answered["statusCode"], 200, "{answered}");
    let many: Vec<String> = (0..10_000).map(|number| format!("c{number}=\u{e9}")).chain([session]).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    assert_eq!(answer(event("", &[], &many)).await["statusCode"], 200);
    campus.finish().await;
}
