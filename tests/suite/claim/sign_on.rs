//! Signing on at the campus' provider, by a stand-in that can lie, and by a front.

use bursar_core::config::{FrontSecret, SignOnRequired};
use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_core::domain::grant::{Grant, Person};
use bursar_core::domain::sign_in::{Session, SignInMethod};
use bursar_core::domain::sign_on::BindingProof;
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::token::SessionToken;
use bursar_core::store::SessionOutcome;
use bursar_local::inbox::Contents;
use bursar_local::sign_on::{Lie, SignOnProvider};
use bursar_local::stack::SignOnBy;
use bursar_tests::campus::ADMIN;
use bursar_tests::visitor::Page;
use futures_util::future::join_all;

use super::*;

async fn class_with(by: SignOnBy, required: SignOnRequired) -> Campus {
    let mut campus = Campus::of(Setup {
        sign_on: Some((by, required)),
        ..Setup::default()
    })
    .await;
    campus.programme("CS pilot", |_| {}).await;
    campus
}

fn provider(campus: &Campus) -> SignOnProvider {
    campus.sign_on.clone().unwrap()
}

/// Puts people with these ids on the roster.
async fn enrol_with_ids(campus: &Campus, people: &[(&str, &str)]) {
    let new = |(name, id): &(&str, &str)| {
        let person = Person {
            address: address(name),
            name: None,
            roster_id: Some((*id).to_owned()),
        };
        Grant::invited(campus.programme.clone(), GrantId::random(), person, None)
    };
    let new: Vec<Grant> = people.iter().map(new).collect();
    campus
        .table
        .invite(&campus.programme, &new, campus.by())
        .await
        .unwrap();
}

/// Presses the button, and goes where the page leads. Returns the path that the provider leads back
/// to.
async fn goes_there(visitor: &Visitor) -> String {
    let start = visitor.get("/").await;
    let page = visitor.submit(&start, "/sign-on", &[]).await.expect(200);
    assert!(
        page.headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("form-action 'self'")
    );
    let url = page
        .body
        .split_once("content=\"0; url=")
        .unwrap()
        .1
        .split_once('"')
        .unwrap()
        .0
        .replace("&#38;", "&");
    assert!(
        page.body
            .contains(&format!("href=\"{}\"", url.replace('&', "&#38;"))),
        "{}",
        page.body
    );
    let http = bursar_core::tls::loopback()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let back = http.get(url).send().await.unwrap();
    assert_eq!(back.status(), 302, "{back:?}");
    let back = back.headers()["location"].to_str().unwrap();
    back[back.find("/sign-on/callback?").unwrap()..].to_owned()
}

/// Signs somebody on in a browser, and returns the last page.
async fn signs_on(campus: &Campus, visitor: &Visitor, sub: &str, id: Option<&str>) -> Page {
    provider(campus).becomes(sub, id);
    let back = goes_there(visitor).await;
    visitor.get(&back).await
}

/// The code in the newest mail to an address.
fn code_mailed(campus: &Campus, name: &str) -> String {
    let to = address(name);
    let mails = campus
        .ses
        .mails()
        .into_iter()
        .filter(|mail| mail.to == [to.as_written()]);
    let texts = mails.filter_map(|mail| Contents::parse(&mail.raw).text);
    let code = |text: String| {
        text.lines()
            .find_map(|line| Some(line.strip_prefix("Code: ")?.to_owned()))
    };
    texts.filter_map(code).last().unwrap()
}

/// Types an address where a sign-on asks for it, then the code that is mailed there.
async fn proves(campus: &Campus, visitor: &Visitor, page: &Page, name: &str) -> Page {
    let address = address(name);
    let asked = visitor
        .submit(page, "/link", &[("address", address.as_written())])
        .await
        .expect(202);
    campus.delivered().await;
    visitor
        .submit(&asked, "/code", &[("code", &code_mailed(campus, name))])
        .await
}

/// Signs somebody on who is connected by the code of this address.
pub(super) async fn is_connected(campus: &Campus, name: &str) {
    let browser = campus.browser();
    let asks = signs_on(campus, &browser, &format!("sub-{name}"), None)
        .await
        .expect(200);
    proves(campus, &browser, &asks, name).await.expect(303);
    campus.minutes(2);
}

fn reasons(campus: &Campus) -> Vec<String> {
    let lines = campus
        .logs
        .all()
        .into_iter()
        .filter(|line| line.text.contains("\"refused\":\"sign-on"));
    let reason = |text: String| {
        text.split_once("\"refused\":\"")
            .unwrap()
            .1
            .split('"')
            .next()
            .unwrap()
            .to_owned()
    };
    lines.map(|line| reason(line.text)).collect()
}

/// Student by the roster's id, faculty and admin by a code; from then on each by the sign-on alone.
#[tokio::test]
async fn people_sign_on() {
    let mut campus = Campus::of(Setup {
        sign_on: Some((SignOnBy::Provider, SignOnRequired::Nobody)),
        ..Setup::default()
    })
    .await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("faye")];
        })
        .await;
    enrol_with_ids(&campus, &[("ada", "ada-1"), ("bob", "bob-1")]).await;
    campus.settle().await;
    let ada = campus.browser();
    let page = signs_on(&campus, &ada, "sub-ada", Some("ada-1"))
        .await
        .expect(303);
    assert_eq!(page.location(), Some("/my"));
    assert_eq!(ada.cookie("bursar-sign-on"), None);
    ada.get("/my").await.expect(200).one("grant");
    let bound = campus
        .table
        .find_binding(address("ada").matched())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(bound.proof, BindingProof::RosterId);

    for (name, home) in [("faye", "/console"), ("admin", "/console"), ("bob", "/my")] {
        let browser = campus.browser();
        let sub = format!("sub-{name}");
        // No claim says anything of any roster.
        let asks = signs_on(&campus, &browser, &sub, None).await.expect(200);
        assert_eq!(browser.cookie("bursar"), None, "not yet");
        assert_eq!(
            proves(&campus, &browser, &asks, name)
                .await
                .expect(303)
                .location(),
            Some(home)
        );
        browser.get(home).await.expect(200);
        let again = campus.browser();
        assert_eq!(
            signs_on(&campus, &again, &sub, None)
                .await
                .expect(303)
                .location(),
            Some(home)
        );
        campus.minutes(2);
    }
    campus.settle().await;
    let mut told: Vec<String> = campus
        .mails("sign-on")
        .iter()
        .map(|mail| mail.to.clone())
        .collect();
    told.sort();
    assert_eq!(
        told,
        ["ada", "admin", "bob", "faye"].map(|name| address(name).as_written().to_owned())
    );
    let entries = campus.table.list(AuditEntry::of_account()).await.unwrap();
    assert_eq!(
        entries
            .iter()
            .filter(|entry| entry.what.act == Act::SignOnBound)
            .count(),
        2,
        "of staff"
    );

    // An admin undoes it, which signs out, and the address is free for whoever has it now.
    let admin = campus.browser();
    signs_on(&campus, &admin, "sub-admin", None)
        .await
        .expect(303);
    let other = campus.browser();
    signs_on(&campus, &other, "sub-other", Some("bob-1"))
        .await
        .expect(403);
    let found = admin.get("/console?q=bob@example.edu").await.expect(200);
    let bob = campus.browser();
    signs_on(&campus, &bob, "sub-bob", None).await.expect(303);
    admin
        .submit(&found, "/console/people/unbind", &[])
        .await
        .expect(303);
    bob.get("/my").await.expect(303);
    admin
        .submit(&found, "/console/people/unbind", &[])
        .await
        .expect(303);
    // The link that was mailed went with it.
    campus.minutes(31);
    signs_on(&campus, &other, "sub-other", Some("bob-1"))
        .await
        .expect(303);
    assert_eq!(reasons(&campus), ["sign-on: the address is another's"]);
    let data = other.get("/my/data").await.expect(200).body.clone();
    assert!(data.contains("\"how\": \"roster-id\""), "{data}");
    campus.finish().await;
}

/// Whatever the provider says that is not so is refused, by the check that is for it, and nothing
/// is written but that it was tried.
#[tokio::test]
async fn no_lie_signs_in() {
    let campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    enrol_with_ids(&campus, &[("ada", "ada-1")]).await;
    let provider = provider(&campus);
    let mut pages = Vec::new();
    for (lie, reason) in [
        (
            Lie::AnswersAs(Some("https://elsewhere.example")),
            "iss of the answer",
        ),
        (Lie::AnswersAs(None), "iss of the answer"),
        (Lie::Issuer("https://elsewhere.example"), "iss"),
        (Lie::Audience("another"), "aud"),
        (Lie::Party("another"), "aud"),
        (Lie::Nonce, "nonce"),
        (Lie::Expired(61), "exp"),
        (Lie::Unsigned, "alg"),
        (Lie::SignedWithThePublicKey, "alg"),
        (Lie::SignedWithAnotherKey, "signature"),
        (Lie::UserInfo, "sub of UserInfo"),
    ] {
        provider.lies(lie);
        let ada = campus.browser();
        pages.push(
            signs_on(&campus, &ada, "sub-ada", Some("ada-1"))
                .await
                .expect(403),
        );
        assert_eq!(ada.cookie("bursar"), None, "{lie:?}");
        assert_eq!(
            reasons(&campus).last().unwrap(),
            &format!("sign-on: {reason}"),
            "{lie:?}"
        );
    }
    provider.lies(None);
    // A callback twice, in another browser, without a state, too late, and as a mere look.
    let ada = campus.browser();
    let back = goes_there(&ada).await;
    pages.push(campus.browser().get(&back).await.expect(403));
    ada.head(&back).await.expect(200);
    pages.push(
        ada.get(&back.replace("state=", "state=0"))
            .await
            .expect(403),
    );
    let ada = campus.browser();
    let back = goes_there(&ada).await;
    let cookie = ada.cookie("bursar-sign-on").unwrap();
    ada.get(&back).await.expect(303);
    ada.set_cookie("bursar-sign-on", &cookie);
    pages.push(ada.get(&back).await.expect(403));
    let late = campus.browser();
    let back = goes_there(&late).await;
    campus.minutes(10);
    pages.push(late.get(&back).await.expect(403));
    let last = ["cookie", "state", "used", "used"].map(|reason| format!("sign-on: {reason}"));
    assert!(reasons(&campus).ends_with(&last), "{:?}", reasons(&campus));

    // Within the leeway, and with the secret in the form, all is well.
    provider.lies(Lie::Expired(59));
    signs_on(&campus, &campus.browser(), "sub-ada", Some("ada-1"))
        .await
        .expect(303);
    provider.lies(Lie::Closed);
    campus.minutes(61);
    let closed = campus.browser();
    let asked = provider.times_described();
    for _ in 0..3 {
        pages.push(closed.fill("/", "/sign-on", &[]).await.expect(403));
    }
    assert_eq!(
        provider.times_described(),
        asked + 1,
        "a failure is kept for ten seconds"
    );
    campus.minutes(1);
    provider.lies(Lie::Metadata);
    pages.push(closed.fill("/", "/sign-on", &[]).await.expect(403));
    campus.minutes(1);
    provider.lies(None);
    provider.take_posts();
    signs_on(&campus, &campus.browser(), "sub-ada", Some("ada-1"))
        .await
        .expect(303);

    let readable = |page: &Page| {
        page.readable()
            .split("If you ask for help")
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(
        pages
            .iter()
            .all(|page| readable(page) == readable(&pages[0])),
        "{pages:#?}"
    );
    campus.finish().await;
}

/// A key that was turned is fetched anew, once a minute at most.
#[tokio::test]
async fn a_turned_key_is_fetched_once() {
    let campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    enrol_with_ids(&campus, &[("ada", "ada-1")]).await;
    let provider = provider(&campus);
    for (turns, status, fetched) in [
        (false, 303, 1),
        (false, 303, 1),
        (true, 403, 1),
        (false, 403, 1),
    ] {
        if turns {
            provider.turn_key();
        }
        signs_on(&campus, &campus.browser(), "sub-ada", Some("ada-1"))
            .await
            .expect(status);
        assert_eq!(provider.keys_fetched(), fetched);
    }
    campus.minutes(1);
    signs_on(&campus, &campus.browser(), "sub-ada", Some("ada-1"))
        .await
        .expect(303);
    assert_eq!(
        (provider.keys_fetched(), reasons(&campus)),
        (2, vec!["sign-on: kid".to_owned(); 2])
    );
    campus.finish().await;
}

/// A lecturer who gives his own id to an admin, to a student of somebody else, or later to whom he
/// was bound, becomes none of them.
#[tokio::test]
async fn a_roster_gives_no_address_away() {
    let mut campus = Campus::of(Setup {
        sign_on: Some((SignOnBy::Provider, SignOnRequired::Nobody)),
        ..Setup::default()
    })
    .await;
    campus.programme("Maths", |_| {}).await;
    enrol_with_ids(&campus, &[("zoe", "zoe-1")]).await;
    campus.students(&["abe"]).await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = vec![address("lee")];
        })
        .await;
    for victim in ["admin", "zoe", "abe"] {
        let name = format!("lee-{victim}");
        enrol_with_ids(&campus, &[(victim, &name)]).await;
        let lee = campus.browser();
        let asks = signs_on(&campus, &lee, "sub-lee", Some(&name))
            .await
            .expect(200);
        assert!(
            asks.offers("/link") && lee.cookie("bursar").is_none(),
            "{victim}"
        );
        assert_eq!(
            campus
                .table
                .find_binding(address(victim).matched())
                .await
                .unwrap(),
            None
        );
    }
    // Nor is one of two addresses taken for the id that both bear.
    enrol_with_ids(&campus, &[("uma", "lee-2"), ("una", "lee-2")]).await;
    signs_on(&campus, &campus.browser(), "sub-lee", Some("lee-2"))
        .await
        .expect(200);
    // Who is bound by an id is no longer once the address has a role.
    enrol_with_ids(&campus, &[("tim", "lee-3")]).await;
    signs_on(&campus, &campus.browser(), "sub-lee", Some("lee-3"))
        .await
        .expect(303);
    campus
        .set(|settings| settings.people.assistants = vec![address("tim")])
        .await;
    let lee = campus.browser();
    let asks = signs_on(&campus, &lee, "sub-lee", Some("lee-3"))
        .await
        .expect(200);
    // His own address is not his either, until an admin disconnects the other.
    proves(&campus, &lee, &asks, "lee").await.expect(403);
    let refused = campus.table.accesses(campus.clock.now()).await.unwrap();
    assert_eq!(
        refused.last().unwrap().audit_entry.what.act,
        Act::SignOnRefused
    );
    assert!(
        campus
            .table
            .unbind(address("tim").matched(), campus.by())
            .await
            .unwrap()
    );
    let asks = signs_on(&campus, &lee, "sub-lee", Some("lee-3"))
        .await
        .expect(200);
    campus.minutes(2);
    proves(&campus, &lee, &asks, "lee").await.expect(303);
    assert_eq!(
        campus
            .table
            .find_binding(address("lee").matched())
            .await
            .unwrap()
            .unwrap()
            .proof,
        BindingProof::Code
    );
    campus.finish().await;
}

/// The page that asks for the address answers alike for each, and only its own code connects.
#[tokio::test]
async fn an_address_is_asked_for_alike() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Everybody).await;
    campus.students(&["ada", "bob"]).await;
    let mut bodies = std::collections::BTreeSet::new();
    for typed in [
        "ada@example.edu",
        "bob@example.edu",
        "admin@example.edu",
        "nobody@example.edu",
        "no address",
    ] {
        let eve = campus.browser();
        let asks = signs_on(&campus, &eve, "sub-eve", None).await.expect(200);
        let asked = eve
            .submit(&asks, "/link", &[("address", typed)])
            .await
            .expect(202);
        bodies.insert(asked.body.replace(typed, "<typed>"));
        eve.submit(&asked, "/code", &[("code", "0000-0000-0000")])
            .await
            .expect(403);
    }
    assert_eq!(bodies.len(), 1, "{bodies:#?}");
    // A code of another browser or sign-on connects nothing, and without a sign-on nothing is
    // connected.
    campus.minutes(31);
    let eve = campus.browser();
    let asks = signs_on(&campus, &eve, "sub-eve", None).await.expect(200);
    let (_, code) = mailed(&campus, "bob@example.edu", &BrowserToken::generate()).await;
    let fields = [
        ("sign_on", "on"),
        ("address", "bob@example.edu"),
        ("code", &*code.reveal()),
    ];
    eve.post("/code", &fields).await.expect(403);
    campus.browser().post("/code", &fields).await.expect(403);
    proves(&campus, &eve, &asks, "ada").await.expect(303);
    assert_eq!(
        campus
            .table
            .find_binding(address("bob").matched())
            .await
            .unwrap(),
        None
    );
    campus.finish().await;
}

/// Who asks for links in somebody's name, and types codes, keeps nobody from connecting a sign-on;
/// nor does a code of it work elsewhere.
#[tokio::test]
async fn nobody_keeps_a_sign_on_from_its_code() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    campus.students(&["ada"]).await;
    let ada = campus.browser();
    let asks = signs_on(&campus, &ada, "sub-ada", None).await.expect(200);
    for _ in 0..4 {
        campus.ask("ada").await;
        campus.minutes(1);
        campus.delivered().await;
    }
    let asked = ada
        .submit(&asks, "/link", &[("address", "ada@example.edu")])
        .await
        .expect(202);
    campus.delivered().await;
    let code = code_mailed(&campus, "ada");
    let elsewhere = [("address", "ada@example.edu"), ("code", &*code)];
    ada.post("/code", &elsewhere).await.expect(403);
    let wrong = [("address", "ada@example.edu"), ("code", "0000-0000-0000")];
    for _ in 0..6 {
        campus.browser().post("/code", &wrong).await.expect(403);
    }
    ada.submit(&asked, "/code", &[("code", &code)])
        .await
        .expect(303);
    assert!(
        campus
            .table
            .find_binding(address("ada").matched())
            .await
            .unwrap()
            .is_some()
    );

    // Five wrong ones end a sign-on.
    let eve = campus.browser();
    let asks = signs_on(&campus, &eve, "sub-eve", None).await.expect(200);
    let asked = eve
        .submit(&asks, "/link", &[("address", "admin@example.edu")])
        .await
        .expect(202);
    campus.delivered().await;
    for _ in 0..5 {
        eve.submit(&asked, "/code", &[("code", "0000-0000-0000")])
            .await
            .expect(403);
    }
    eve.submit(&asked, "/code", &[("code", &code_mailed(&campus, "admin"))])
        .await
        .expect(403);
    campus.finish().await;
}

/// Time goes on while the provider is asked.
#[tokio::test]
async fn a_sign_on_takes_time() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    enrol_with_ids(&campus, &[("ada", "ada-1")]).await;
    campus.students(&["bob"]).await;
    campus.clock.run_from(campus.clock.now()).unwrap();
    for (sub, id) in [("sub-ada", Some("ada-1")), ("sub-ada", Some("ada-1"))] {
        signs_on(&campus, &campus.browser(), sub, id)
            .await
            .expect(303);
    }
    is_connected(&campus, "bob").await;
    signs_on(&campus, &campus.browser(), "sub-bob", None)
        .await
        .expect(303);
    campus.clock.stop_at(campus.clock.now()).unwrap();
    campus.finish().await;
}

/// What an admin undoes while somebody signs on by it stays undone.
#[tokio::test]
async fn an_undone_connection_is_not_made_again() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    campus.students(&["ada"]).await;
    is_connected(&campus, "ada").await;
    let binding = campus
        .table
        .find_binding(address("ada").matched())
        .await
        .unwrap()
        .unwrap();
    assert!(
        campus
            .table
            .unbind(&binding.address, campus.by())
            .await
            .unwrap()
    );
    let (before, now) = (
        campus.table.sign_in_of(&binding.address).await.unwrap(),
        campus.clock.now(),
    );
    let session = Session::new(
        SessionToken::generate().hash(),
        &before,
        SignInMethod::SignOn,
        None,
        now,
    );
    let by = (None, Some(&binding));
    let outcome = campus
        .table
        .sign_in(&before, &before.record_vouching(now), &session, by, soon())
        .await
        .unwrap();
    assert_eq!(outcome, SessionOutcome::BoundOtherwise);
    assert_eq!(
        campus.table.find_binding(&binding.address).await.unwrap(),
        None
    );
    campus.finish().await;
}

/// Of two who bind one address at once one does.
#[tokio::test]
async fn one_of_two_binds_an_address() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    enrol_with_ids(&campus, &[("ada", "ada-1")]).await;
    campus.students(&["bob"]).await;
    let mut ways = Vec::new();
    for sub in ["sub-1", "sub-2", "sub-3"] {
        let browser = campus.browser();
        provider(&campus).becomes(sub, Some("ada-1"));
        let back = goes_there(&browser).await;
        ways.push((browser, back));
    }
    let pages = join_all(ways.iter().map(|(browser, back)| browser.get(back))).await;
    let mut statuses: Vec<u16> = pages.iter().map(|page| page.status).collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403, 403]);

    let mut codes = Vec::new();
    for sub in ["sub-4", "sub-5"] {
        let browser = campus.browser();
        let asks = signs_on(&campus, &browser, sub, None).await.expect(200);
        let asked = browser
            .submit(&asks, "/link", &[("address", "bob@example.edu")])
            .await
            .expect(202);
        campus.delivered().await;
        codes.push((browser, asked, code_mailed(&campus, "bob")));
        campus.minutes(2);
    }
    let typed = codes.iter().map(async |(browser, asked, code)| {
        browser.submit(asked, "/code", &[("code", code)]).await
    });
    let mut statuses: Vec<u16> = join_all(typed)
        .await
        .iter()
        .map(|page| page.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 403]);
    campus.finish().await;
}

/// Where a sign-on is required a mail signs in nobody of whom it is, but an admin of the
/// environment, for an hour, and all hear of it.
#[tokio::test]
async fn a_mail_signs_in_whom_it_may() {
    for (required, may) in [
        (SignOnRequired::Roles, [false, true, true]),
        (SignOnRequired::Everybody, [false, false, true]),
    ] {
        let mut campus = Campus::of(Setup {
            sign_on: Some((SignOnBy::Provider, required)),
            ..Setup::default()
        })
        .await;
        campus
            .programme("CS pilot", |settings| {
                settings.people.faculty = vec![address("faye")];
            })
            .await;
        campus.students(&["ada"]).await;
        let admin = campus
            .table
            .person_of(&address(ADMIN), soon())
            .await
            .unwrap();
        campus
            .table
            .set_admin(&address("second"), true, &admin, campus.clock.now(), soon())
            .await
            .unwrap();
        campus.minutes(2);
        for (name, may) in [
            ("second", false),
            ("faye", may[0]),
            ("ada", may[1]),
            (ADMIN, may[2]),
        ] {
            let (link, code) = mailed(&campus, name, &BrowserToken::generate()).await;
            let (browser, address) = (campus.browser(), address(name).as_written().to_owned());
            let status = if may { 303 } else { 403 };
            browser
                .post("/code", &[("address", &address), ("code", &code.reveal())])
                .await
                .expect(status);
            let followed = campus
                .browser()
                .post(&format!("/c/{}", link.reveal()), &[("address", &address)])
                .await;
            // Nothing was used up where nobody was signed in.
            assert!(
                followed.status == 403 && (may || followed.offers("/sign-on")),
                "{name} {}",
                followed.readable()
            );
            if name == ADMIN {
                assert!(
                    browser
                        .get("/console")
                        .await
                        .expect(200)
                        .readable()
                        .contains("one hour at most")
                );
                // Whoever has taken that mailbox stays no longer than that.
                let account = browser.get("/console/account").await.expect(200);
                let csrf = account
                    .form("/console/admins")
                    .value("csrf")
                    .unwrap()
                    .to_owned();
                for path in ["/console/admins", "/console/people/unbind"] {
                    let fields = [
                        ("csrf", &*csrf),
                        ("email", "third@example.edu"),
                        ("act", "add"),
                    ];
                    browser.post(path, &fields).await.expect(409);
                }
                campus.minutes(45);
                browser.get("/console").await.expect(200);
                campus.minutes(16);
                browser.get("/console").await.expect(303);
            }
        }
        let accesses = campus.table.accesses(campus.clock.now()).await.unwrap();
        let refused = accesses
            .iter()
            .filter(|access| access.audit_entry.what.act == Act::SignOnRefused)
            .count();
        // The code and the link of each who has a role and may not; an admin's link went with the
        // code.
        assert_eq!(refused, if may[0] { 2 } else { 4 }, "{accesses:#?}");
        campus.settle().await;
        let told = campus
            .mails("account")
            .into_iter()
            .filter(|mail| mail.contents.subject.contains("mailed link"));
        let mut told: Vec<String> = told.map(|mail| mail.to).collect();
        told.sort();
        assert_eq!(
            told,
            [ADMIN.to_owned(), address("second").as_written().to_owned()]
        );
        campus.finish().await;
    }
}

/// With a right secret the front's word is the address; without one, twice, or for a stranger it is
/// nobody's.
#[tokio::test]
async fn a_front_vouches() {
    const SECRET: &str = "0123456789abcdefghij";
    let by = SignOnBy::Front(FrontSecret::parse(SECRET).unwrap());
    let mut campus = class_with(by, SignOnRequired::Everybody).await;
    campus.students(&["ada"]).await;
    let http = bursar_core::tls::loopback()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap();
    let post = async |secret: &str, users: &[&str]| {
        let request = http
            .post(format!("{}/sign-on", campus.ready.web))
            .header("x-bursar-front", secret);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        users
            .iter()
            .fold(request, |request, user| {
                request.header("x-bursar-user", *user)
            })
            .send()
            .await
            .unwrap()
    };
    for (secret, users) in [
        ("a secret of somebody else", &["ada@example.edu"][..]),
        (SECRET, &[]),
        (SECRET, &["ada@example.edu", "admin@example.edu"]),
        (SECRET, &["ada@example.edu,admin@example.edu"]),
        (SECRET, &["nobody@example.edu"]),
        (SECRET, &["ada"]),
    ] {
        let answer = post(secret, users).await;
        assert!(
            answer.status() == 403 && !answer.headers().contains_key("set-cookie")
                || secret == SECRET,
            "{users:?}"
        );
        assert_eq!(answer.status(), 403, "{users:?}");
    }
    for (user, home) in [("Ada@example.edu", "/my"), (ADMIN, "/console")] {
        let answer = post(SECRET, &[user]).await;
        assert_eq!(
            (
                answer.status().as_u16(),
                answer.headers()["location"].to_str().unwrap()
            ),
            (303, home)
        );
    }
    assert_eq!(reasons(&campus), vec!["sign-on: nobody here".to_owned(); 5]);
    campus.finish().await;
}

/// Where nothing is set there is no sign-on.
#[tokio::test]
async fn without_a_provider_there_is_none() {
    let campus = class().await;
    let visitor = campus.browser();
    assert!(!visitor.get("/").await.offers("/sign-on"));
    visitor.post("/sign-on", &[]).await.expect(404);
    visitor
        .get("/sign-on/callback?state=x&code=y")
        .await
        .expect(404);
    campus.finish().await;
}

/// A connection ends where its address goes to somebody else, by a correction, on another roster,
/// and with an admin who is taken out.
#[tokio::test]
async fn a_connection_ends_with_its_address() {
    let mut campus = class_with(SignOnBy::Provider, SignOnRequired::Nobody).await;
    enrol_with_ids(&campus, &[("ada", "ada-1"), ("bob", "bob-1")]).await;
    campus.settle().await;
    is_connected(&campus, "ada").await;
    is_connected(&campus, "bob").await;
    let admin = campus.admin().await;
    let grants = campus.table.grants(&campus.programme).await.unwrap();
    let ada = grants
        .into_iter()
        .find(|grant| grant.person.address == address("ada"))
        .unwrap();
    let at = campus.console(&format!("/grants/{}", ada.id));
    let page = admin.get(&at).await.expect(200);
    admin
        .submit(
            &page,
            &format!("{at}/address"),
            &[("email", "ada.new@example.edu")],
        )
        .await
        .expect(303);
    campus.settle().await;
    is_connected(&campus, "ada.new").await;
    // She is asked anew, and not refused.
    let ada = campus.browser();
    signs_on(&campus, &ada, "sub-ada", None).await.expect(200);

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
    is_connected(&campus, "second").await;
    campus
        .table
        .set_admin(&address("second"), false, &by, campus.clock.now(), soon())
        .await
        .unwrap();
    assert_eq!(
        campus
            .table
            .find_binding(address("second").matched())
            .await
            .unwrap(),
        None
    );

    campus.programme("Maths", |_| {}).await;
    enrol_with_ids(&campus, &[("bob", "bob-2")]).await;
    campus.settle().await;
    let bob = campus.browser();
    // He is asked for a code once more, and connected anew. Whoever has a role is never asked.
    let asks = signs_on(&campus, &bob, "sub-bob", None).await.expect(200);
    proves(&campus, &bob, &asks, "bob").await.expect(303);
    signs_on(&campus, &campus.browser(), "sub-bob", None)
        .await
        .expect(303);
    is_connected(&campus, "admin").await;
    for (programme, id) in [("Law", "x1"), ("Art", "x2")] {
        campus.programme(programme, |_| {}).await;
        enrol_with_ids(&campus, &[("admin", id)]).await;
    }
    signs_on(&campus, &campus.browser(), "sub-admin", None)
        .await
        .expect(303);
    campus.finish().await;
}
