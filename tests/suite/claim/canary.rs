//! One journey with all that can go wrong on it. Everything that is left of it is searched for
//! every secret in it: keys, links, codes, sessions, forms' tokens, the management key.

use bursar_local::engine::Position;
use bursar_local::inbox::Contents;
use bursar_tests::aws;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::invariants::{Secret, Watch};
use bursar_tests::stack;
use bursar_tests::visitor::Page;
use data_encoding::{BASE64, BASE64URL, BASE64URL_NOPAD, Encoding, HEXLOWER, HEXUPPER};
use serde_json::json;

use super::*;

/// The number of bytes of the shortest token.
const TOKEN: usize = 16;

#[tokio::test]
async fn no_secret_of_a_journey_is_left_where_it_does_not_belong() {
    let mut campus = class().await;
    campus.restrict().await;
    let mut watch = stack::watch(&campus.stack);
    let management = aws::management_key(&campus.ready).await;
    watch.guard(secret("the management key", &management, 0, 0));

    let student = &arrives(&mut campus, &mut watch).await;
    let (lost, refused) = (
        [
            Fault::Status(500),
            Fault::StatusAfter(502),
            Fault::LoseAnswer,
            Fault::Late,
        ],
        Fault::Status(401),
    );
    for (fault, status) in lost
        .into_iter()
        .map(|fault| (fault, 502))
        .chain([(refused, 503)])
    {
        at(&campus, "provider:POST /keys", fault);
        press(&campus, student, "reveal").await.expect(status);
        campus.gate.run_late().await;
    }
    for (call, fault) in [
        ("provider:POST /keys", Fault::KillAfter),
        (
            "provider:POST /guardrails/{id}/assignments/keys",
            Fault::Status(400),
        ),
        (
            "provider:POST /guardrails/{id}/assignments/keys",
            Fault::KillAfter,
        ),
        ("dynamodb:Query", Fault::Status(400)),
    ] {
        at(&campus, call, fault);
        let page = press(&campus, student, "reveal").await;
        assert!(page.status >= 500, "{call}, {fault:?}: {}", page.readable());
        campus.minutes(2);
    }
    show_key(&campus, student, "reveal", &mut watch).await;
    // Every kind of refusal that a person who is signed in can get.
    let (path, my) = (campus.my("reveal"), student.get("/my").await);
    let csrf = my.csrf();
    let epoch = [("csrf", csrf.as_str()), ("epoch", "0")];
    student.post(&path, &epoch).await.expect(409);
    student.post(&path, &epoch[..1]).await.expect(422);
    student.post(&path, &epoch[1..]).await.expect(403);
    student.post("/my/another/reveal", &epoch).await.expect(404);
    student
        .post(&campus.my("replace"), &epoch)
        .await
        .expect(409);
    student
        .post_as(
            "application/json",
            &path,
            format!("{{\"csrf\": \"{csrf}\"}}"),
        )
        .await
        .expect(415);
    student
        .post_from("https://elsewhere.example", &path, &epoch)
        .await
        .expect(403);
    for fault in [
        Fault::Status(401),
        Fault::StatusAfter(502),
        Fault::Status(400),
        Fault::KillBefore,
    ] {
        at(&campus, "provider:GET /keys/{hash}", fault);
        press(&campus, student, "refresh").await;
        campus.minutes(2);
    }
    at(&campus, "provider:PATCH /keys/{hash}", Fault::Status(400));
    press(&campus, student, "replace").await.expect(502);
    show_key(&campus, student, "replace", &mut watch).await;
    press(&campus, student, "leaked").await.expect(303);
    show_key(&campus, student, "replace", &mut watch).await;
    let my = student.get("/my").await;
    student.get("/my/data").await.expect(200);
    student.submit(&my, "/sign-out", &[]).await.expect(303);
    student.post(&campus.my("reveal"), &[]).await.expect(401);
    judge(&campus, &mut watch, "signed out").await;
    for (function, event) in [
        (FunctionName::Console, json!({"task": "work"})),
        (FunctionName::Mail, json!({"task": "drain"})),
        (FunctionName::UsageSync, json!({})),
    ] {
        campus.invoke.invoke(function, event).await.unwrap();
    }
    judge(&campus, &mut watch, "at the end").await;
    let first = campus
        .engine
        .records_after(Position::START, 1)
        .await
        .unwrap();
    assert_eq!(
        first[0]["dynamodb"]["NewImage"]["kind"]["S"], "meta",
        "the stream was trimmed before it was searched"
    );

    campus.finish_faulted().await;
}

/// Gets a key, which from now on may be in that answer alone.
async fn show_key(campus: &Campus, student: &Visitor, what: &str, watch: &mut Watch) {
    let key = press(campus, student, what)
        .await
        .expect(200)
        .one("key")
        .text;
    watch.guard(secret("a key", &key, 1, 0));
}

/// A secret that is recognised in encoded forms as well: hexadecimal digits, either base 64 within
/// a longer text, a code without its hyphens, and a token's bytes. Escaping for a URL or a page
/// leaves it as it is.
fn secret(what: &'static str, text: &str, answers: usize, mails: usize) -> Secret {
    let (mut forms, mut bytes) = (vec![text.to_owned()], vec![text.as_bytes().to_vec()]);
    bytes.extend(
        BASE64URL_NOPAD
            .decode(text.as_bytes())
            .ok()
            .filter(|token| token.len() >= TOKEN),
    );
    bytes.extend(
        HEXLOWER
            .decode(text.as_bytes())
            .ok()
            .filter(|token| token.len() >= TOKEN),
    );
    if text.contains('-') && text.len() < 2 * TOKEN {
        let typed = text.replace('-', "");
        forms.extend([typed.to_lowercase(), typed]);
    }
    for bytes in &bytes {
        forms.extend([HEXLOWER.encode(bytes), HEXUPPER.encode(bytes)]);
        for before in 0..3 {
            forms.extend([
                within(&BASE64, bytes, before),
                within(&BASE64URL, bytes, before),
            ]);
        }
    }
    Secret {
        what,
        forms,
        answers,
        mails,
    }
}

/// The base 64 of these bytes after `before` others, without the characters that depend on a
/// neighbour.
fn within(base: &Encoding, bytes: &[u8], before: usize) -> String {
    let text = base.encode(&[&vec![0; before], bytes].concat());
    let (first, end) = ((before * 8).div_ceil(6), (before + bytes.len()) * 8 / 6);
    text[first..end].to_owned()
}

async fn judge(campus: &Campus, watch: &mut Watch, tell: &str) {
    campus.pump.drained().await.unwrap();
    let violations = watch.violations(false).await;
    assert!(violations.is_empty(), "{tell}: {violations:#?}");
}

/// Asks for a link, makes mistakes, and signs in by the code.
async fn arrives(campus: &mut Campus, watch: &mut Watch) -> Visitor {
    let address = "ada@example.edu";
    campus.students(&[address]).await;
    let visitor = campus.browser();
    visitor
        .post("/link", &[("address", address)])
        .await
        .expect(202);
    judge(campus, watch, "asked").await;
    let mails = campus
        .ses
        .mails()
        .into_iter()
        .filter(|mail| mail.to == [address]);
    let mut texts = mails.map(|mail| Contents::parse(&mail.raw).text.unwrap());
    let text = texts.find(|text| text.contains("\nCode: ")).unwrap();
    let line = |start: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(start))
            .unwrap()
            .to_owned()
    };
    let (path, code) = (line(&campus.ready.web), line("Code: "));
    visitor
        .post("/code", &[("address", address), ("code", "0000-0000-0000")])
        .await
        .expect(403);
    campus
        .browser()
        .post(&path, &[("address", "eve@example.edu")])
        .await
        .expect(403);
    campus
        .browser()
        .post("/code", &[("address", "eve@example.edu"), ("code", &code)])
        .await
        .expect(403);
    visitor
        .post_from("https://elsewhere.example", &path, &[])
        .await
        .expect(403);
    at(campus, "dynamodb:TransactWriteItems", Fault::Status(400));
    visitor.post(&path, &[]).await.expect(503);
    visitor
        .post("/code", &[("address", address), ("code", &code)])
        .await
        .expect(303);
    visitor.post(&path, &[]).await.expect(303);
    campus.browser().post(&path, &[]).await.expect(403);

    let (session, asking) = (
        visitor.cookie("bursar").unwrap(),
        visitor.cookie("bursar-ask").unwrap(),
    );
    let csrf = visitor.get("/my").await.csrf();
    let link = path.strip_prefix("/c/").unwrap();
    for (what, text, answers, mails) in [
        ("a link or code", link, 0, 1),
        ("a link or code", &code, 0, 1),
        ("a session", &session, 1, 0),
        ("a cookie or a form's token", &asking, usize::MAX, 0),
        ("a cookie or a form's token", &csrf, usize::MAX, 0),
    ] {
        watch.guard(secret(what, text, answers, mails));
    }
    visitor
}

/// Plans this verdict for the next such call of a page.
fn at(campus: &Campus, call: &str, verdict: Fault) {
    campus
        .gate
        .at(Matcher::call(call).of(FunctionName::Claim).nth(1), verdict);
}

/// Sends the form of the student's page.
async fn press(campus: &Campus, student: &Visitor, what: &str) -> Page {
    let my = student.get("/my").await;
    match my.status {
        200 => student.submit(&my, &campus.my(what), &[]).await,
        _ => my,
    }
}
