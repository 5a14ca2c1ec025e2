//! Signing out: one write ends every session of an address, and an older link, code or request
//! opens nothing afterwards.

use bursar_core::config::SignOnRequired;
use bursar_core::domain::grant::Grant;
use bursar_core::domain::sign_in::{Proof, Session, SignInMethod};
use bursar_core::domain::values::id::new_ulid;
use bursar_core::domain::values::token::SessionToken;
use bursar_core::store::{Erasure, SessionOutcome};
use bursar_local::stack::SignOnBy;
use bursar_tests::campus::ADMIN;
use bursar_tests::faults::Matcher;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;

/// As many sign-ons as a script makes in half a minute.
const MANY: usize = 200;
/// How many sessions of an address are good at once.
const GOOD: usize = 20;

/// Signs this address on so often, each time in a browser of its own.
async fn sign_on_often(campus: &Campus, name: &str, count: usize) -> Vec<Visitor> {
    let now = campus.clock.now();
    let address = address(name);
    let known_person = campus
        .table
        .known(address.matched())
        .await
        .unwrap()
        .unwrap();
    let mut person = None;
    if known_person.has_role {
        person = Some(campus.table.person_of(&address, soon()).await.unwrap());
    }
    let mut browsers = Vec::new();
    for _ in 0..count {
        let before = campus.table.sign_in_of(address.matched()).await.unwrap();
        let after = before.record_vouching(now);
        let token = SessionToken::generate();
        let session = Session::new(
            token.hash(),
            &after,
            SignInMethod::SignOn,
            person.clone(),
            now,
        );
        let outcome = campus
            .table
            .sign_in(&before, &after, &session, (None, None), soon())
            .await
            .unwrap();
        assert_eq!(outcome, SessionOutcome::Begun);
        let browser = campus.browser();
        browser.set_cookie("bursar", token.reveal());
        browsers.push(browser);
    }
    browsers
}

/// The sessions of an address that open its page.
async fn count_open(browsers: &[Visitor]) -> usize {
    let mut open = 0;
    for browser in browsers {
        let page = browser.get("/my").await;
        assert!([200, 303].contains(&page.status), "{}", page.status);
        open += usize::from(page.status == 200);
    }
    open
}

/// Two hundred sessions end by each act of this kind, and the next sign-in opens a page again.
#[tokio::test]
async fn one_write_ends_all_sessions() {
    let setup = Setup {
        sign_on: Some((SignOnBy::Provider, SignOnRequired::Nobody)),
        ..Setup::default()
    };
    let mut campus = Campus::of(setup).await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("faye")];
        })
        .await;
    campus.students(&["ada", "bob", "cleo"]).await;
    let by = campus
        .table
        .person_of(&address(ADMIN), soon())
        .await
        .unwrap();
    campus
        .table
        .set_admin(&address("second"), true, &by, campus.clock.now(), soon())
        .await
        .unwrap();
    let admin = campus.admin().await;
    for name in ["ada", "faye", "second", "bob", "cleo"] {
        let browsers = sign_on_often(&campus, name, MANY).await;
        assert_eq!(
            count_open(&browsers).await,
            GOOD,
            "{name}: the oldest give way"
        );
        match name {
            "ada" => {
                let last = browsers.last().unwrap();
                let my = last.get("/my").await.expect(200);
                last.submit(&my, "/sign-out", &[("everywhere", "on")])
                    .await
                    .expect(303);
            }
            "faye" => {
                campus
                    .set(|settings| settings.people.faculty = Vec::new())
                    .await;
            }
            "second" => {
                campus
                    .table
                    .set_admin(&address(name), false, &by, campus.clock.now(), soon())
                    .await
                    .unwrap();
            }
            "bob" => {
                let page = campus.console(&format!("/grants/{}", campus.id(name)));
                let form = admin.get(&page).await.expect(200);
                let fields = [("email", "robert@example.edu")];
                admin
                    .submit(&form, &format!("{page}/address"), &fields)
                    .await
                    .expect(303);
            }
            _ => {
                let grants = [campus.grant(name).await];
                let id = new_ulid(campus.clock.now());
                let begun =
                    Erasure::of_person(id, Some(address(name).matched()), &grants, campus.by());
                campus
                    .table
                    .begin_erasure(begun, campus.by())
                    .await
                    .unwrap();
                campus.work().await;
            }
        }
        assert_eq!(count_open(&browsers).await, 0, "{name}");
        let reveal = campus.my("reveal");
        browsers
            .last()
            .unwrap()
            .post(&reveal, &[])
            .await
            .expect(401);
    }
    let again = sign_on_often(&campus, "ada", 1).await;
    assert_eq!(count_open(&again).await, 1, "within the same second");
    campus.minutes(2);
    campus.work().await;
    campus.finish().await;
}

/// A sign-on is disconnected, whose sessions all end.
#[tokio::test]
async fn disconnecting_ends_all_sessions() {
    let setup = Setup {
        sign_on: Some((SignOnBy::Provider, SignOnRequired::Nobody)),
        ..Setup::default()
    };
    let mut campus = Campus::of(setup).await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&["ada"]).await;
    sign_on::is_connected(&campus, "ada").await;
    let browsers = sign_on_often(&campus, "ada", MANY).await;
    assert!(
        campus
            .table
            .unbind(address("ada").matched(), campus.by())
            .await
            .unwrap()
    );
    assert_eq!(count_open(&browsers).await, 0);
    campus.finish().await;
}

/// A write that rests on the state before a sign-out fails after it, with a state and without one.
#[tokio::test]
async fn nothing_begun_before_a_sign_out_counts_after_it() {
    let mut campus = class().await;
    campus.students(&["ada", "bob"]).await;
    for name in ["ada", "bob"] {
        let (matched, now) = (address(name).matched().clone(), campus.clock.now());
        let mut old_link = None;
        let mut old_session = None;
        if name == "ada" {
            old_session = Some(sign_on_often(&campus, name, 1).await);
            old_link = Some(mailed(&campus, name, &BrowserToken::generate()).await);
        }
        let before = campus.table.sign_in_of(&matched).await.unwrap();
        campus
            .table
            .sign_out_everywhere(&matched, None, now, soon())
            .await
            .unwrap();

        assert!(
            !campus
                .table
                .count_wrong_code(&before, now, soon())
                .await
                .unwrap(),
            "{name}: a wrong code"
        );
        let mut ways = vec![before.record_vouching(now)];
        if let Some((link, code)) = &old_link {
            ways.extend(before.follow(&link.hash(), &Proof::Address(matched.clone()), now));
            ways.extend(before.type_code(&code.hash(&matched), now));
            assert_eq!(ways.len(), 3);
        }
        for after in ways {
            let session = Session::new(
                SessionToken::generate().hash(),
                &after,
                SignInMethod::Link,
                None,
                now,
            );
            let outcome = campus
                .table
                .sign_in(&before, &after, &session, (None, None), soon())
                .await
                .unwrap();
            assert_eq!(outcome, SessionOutcome::Changed, "{name}");
        }
        // The link, the code and the session from before open nothing.
        if let Some((link, code)) = old_link {
            let typed = address(name);
            let typed = typed.as_written();
            let browser = campus.browser();
            browser
                .post(&format!("/c/{}", link.reveal()), &[("address", typed)])
                .await
                .expect(403);
            browser
                .post("/code", &[("address", typed), ("code", &code.reveal())])
                .await
                .expect(403);
        }
        if let Some(browsers) = old_session {
            assert_eq!(count_open(&browsers).await, 0);
        }
    }
    campus.finish().await;
}

/// A link is made while its address signs out: it is good afterwards, and the older link is not.
#[tokio::test]
async fn a_link_made_beside_a_sign_out_brings_no_older_one_back() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let old_session = sign_on_often(&campus, "ada", 1).await;
    let (old_link, _) = mailed(&campus, "ada", &BrowserToken::generate()).await;
    campus.minutes(2);
    let held = campus
        .gate
        .hold(Matcher::call("dynamodb:TransactWriteItems").of(FunctionName::Mail));
    campus.ask("ada").await;
    held.arrived().await;
    let (matched, now) = (address("ada").matched().clone(), campus.clock.now());
    campus
        .table
        .sign_out_everywhere(&matched, None, now, soon())
        .await
        .unwrap();
    held.release(None);
    campus.delivered().await;
    assert_eq!(count_open(&old_session).await, 0);
    let old_link = format!("/c/{}", old_link.reveal());
    campus
        .browser()
        .post(&old_link, &[("address", "ada@example.edu")])
        .await
        .expect(403);
    campus.settle().await;
    assert_eq!(campus.mails("link").len(), 1, "the new one is mailed");
    campus.finish().await;
}

/// A request whose body takes its time is judged by the session as it is when the body is there.
#[tokio::test]
async fn a_slow_body_outlives_no_sign_out() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let browsers = sign_on_often(&campus, "ada", 1).await;
    let my = browsers[0].get("/my").await.expect(200);
    let csrf = my.form("/sign-out").value("csrf").unwrap().to_owned();
    let body = format!("csrf={csrf}");
    let host = campus.ready.web.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(host).await.unwrap();
    let head = format!(
        "POST {} HTTP/1.1\r\nHost: {host}\r\nCookie: bursar={}\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{}",
        campus.my("reveal"),
        browsers[0].cookie("bursar").unwrap(),
        body.len(),
        &body[..8],
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let matched = address("ada").matched().clone();
    campus
        .table
        .sign_out_everywhere(&matched, None, campus.clock.now(), soon())
        .await
        .unwrap();
    stream.write_all(&body.as_bytes()[8..]).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    let grant: Grant = campus.grant("ada").await;
    assert!(grant.keys.is_empty());
    campus.finish().await;
}

/// Whoever is given a role signs in once more before the console opens.
#[tokio::test]
async fn a_session_from_before_the_role_opens_no_console() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let browsers = sign_on_often(&campus, "ada", 1).await;
    browsers[0].get("/console").await.expect(404);
    campus
        .set(|settings| settings.people.faculty = vec![address("ada")])
        .await;
    let page = campus.console("/grants");
    assert_eq!(
        browsers[0].get(&page).await.expect(303).location(),
        Some("/")
    );
    browsers[0]
        .post(&campus.console("/people"), &[])
        .await
        .expect(401);
    browsers[0].get("/my").await.expect(200);
    let again = sign_on_often(&campus, "ada", 1).await;
    again[0].get(&page).await.expect(200);
    campus.finish().await;
}
