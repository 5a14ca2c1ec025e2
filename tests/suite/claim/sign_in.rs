//! Signing in and out: asking for a link, following it, typing a code.

use std::collections::BTreeSet;

use bursar_tests::seeds::sized;
use bursar_tests::visitor::Page;
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;

use super::*;

#[tokio::test]
async fn links_and_codes_sign_in_whom_they_were_mailed_to() {
    let mut campus = class().await;
    campus.students(&["ada", "bob", "cleo"]).await;
    let mut refused: Vec<Page> = Vec::new();
    let mut wrong_codes: Vec<Page> = Vec::new();

    let ada = follows_link(&campus, "ada@example.edu").await;
    ada.get("/my").await.expect(200).one("grant");

    let asked_by = BrowserToken::generate();
    let (link, _) = mailed(&campus, "bob@example.edu", &asked_by).await;
    let (link, bob) = (format!("/c/{}", link.reveal()), campus.browser());
    for address in ["", "ada@example.edu", "no address"] {
        refused.push(bob.post(&link, &[("address", address)]).await);
    }
    refused.push(bob.post(&link, &[]).await);
    let signed_in = bob
        .post(&link, &[("address", " Bob@Example.EDU ")])
        .await
        .expect(303);
    assert_eq!(signed_in.location(), Some("/my"));
    // Only the browser that has just signed in by this link is led on, by the address or the
    // cookie.
    let session = bob.cookie("bursar");
    assert_eq!(
        bob.post(&link, &[("address", "bob@example.edu")])
            .await
            .expect(303)
            .location(),
        Some("/my")
    );
    bob.set_cookie("bursar-ask", asked_by.reveal());
    assert_eq!(
        bob.post(&link, &[]).await.expect(303).location(),
        Some("/my")
    );
    assert_eq!(bob.cookie("bursar"), session, "it is the same session");
    refused.push(bob.post(&link, &[("address", "ada@example.edu")]).await);
    refused.push(ada.post(&link, &[("address", "bob@example.edu")]).await);
    let bob = campus.browser();
    refused.push(bob.post(&link, &[("address", "bob@example.edu")]).await);
    for path in [
        format!("/c/{}", LinkToken::generate().reveal()),
        "/c/x".to_owned(),
        "/c/a/b".to_owned(),
    ] {
        refused.push(bob.post(&path, &[("address", "bob@example.edu")]).await);
    }

    let (_, code) = mailed(&campus, "cleo@example.edu", &asked_by).await;
    let cleo = campus.browser();
    for fields in [
        &[("address", "cleo@example.edu"), ("code", "0000-0000-0000")][..],
        &[("address", "cleo@example.edu"), ("code", "x")],
        &[("address", "bob@example.edu"), ("code", &code.reveal())],
        &[("address", "nobody@example.edu"), ("code", &code.reveal())],
        &[("code", &code.reveal())],
        &[],
    ] {
        let page = cleo.post("/code", fields).await;
        let form = page.form("/code");
        let typed = |name| {
            fields
                .iter()
                .find(|(field, _)| *field == name)
                .map_or("", |(_, value)| value)
        };
        assert_eq!(
            (form.value("address"), form.value("code")),
            (Some(typed("address")), Some(typed("code")))
        );
        wrong_codes.push(page);
    }
    let typed = code.reveal().to_lowercase().replace('-', " ");
    let asked = cleo
        .post("/link", &[("address", "nobody@example.edu")])
        .await
        .expect(202);
    cleo.submit(
        &asked,
        "/code",
        &[("address", "cleo@example.edu"), ("code", &typed)],
    )
    .await
    .expect(303);

    let (_, code) = mailed(&campus, "admin@example.edu", &asked_by).await;
    let admin = campus.browser();
    let fields = [("address", "admin@example.edu"), ("code", &*code.reveal())];
    let signed_in = admin.post("/code", &fields).await.expect(303);
    assert_eq!(signed_in.location(), Some("/console"));
    let session = admin.cookie("bursar");
    assert_eq!(
        admin.post("/code", &fields).await.expect(303).location(),
        Some("/console")
    );
    assert_eq!(admin.cookie("bursar"), session, "it is the same session");
    wrong_codes.push(campus.browser().post("/code", &fields).await);

    // One page each; that of a code is alike but for what was typed.
    assert!(
        refused
            .iter()
            .chain(&wrong_codes)
            .all(|page| page.status == 403)
    );
    let links: BTreeSet<&str> = refused.iter().map(|page| &*page.body).collect();
    let codes: BTreeSet<String> = wrong_codes.iter().map(|page| page.readable()).collect();
    assert_eq!((links.len(), codes.len()), (1, 1), "{links:#?} {codes:#?}");
    assert!(
        refused[0].offers("/code") && refused[0].readable().contains("another browser"),
        "{links:#?}"
    );

    let my = ada.get("/my").await;
    ada.post("/sign-out", &[]).await.expect(403);
    let out = ada.submit(&my, "/sign-out", &[]).await.expect(303);
    assert_eq!((out.location(), ada.cookie("bursar")), (Some("/"), None));
    assert_eq!(ada.get("/my").await.expect(303).location(), Some("/"));
    assert_eq!(ada.get("/my/data").await.expect(303).location(), Some("/"));
    ada.post(&campus.my("reveal"), &[]).await.expect(401);

    let nobody = campus
        .student("nobody@example.edu")
        .await
        .get("/my")
        .await
        .expect(200);
    assert!(nobody.all("grant").is_empty() && nobody.alert().is_none());
    assert!(
        nobody
            .readable()
            .contains("no programme has you on its roster"),
        "{}",
        nobody.readable()
    );

    campus.minutes(30);
    cleo.get("/my").await.expect(303);
    for _ in 0..3 {
        admin.get("/my").await.expect(200);
        campus.minutes(59);
    }
    campus.minutes(2);
    admin.get("/my").await.expect(303);
    campus.finish().await;
}

#[tokio::test]
async fn five_wrong_codes_end_the_codes_and_not_the_link() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let (link, code) = mailed(&campus, "ada@example.edu", &BrowserToken::generate()).await;
    let visitor = campus.browser();
    let wrong = [("address", "ada@example.edu"), ("code", "0000-0000-0000")];
    // Wrong codes that arrive at once count one by one.
    for page in join_all((0..5).map(|_| visitor.post("/code", &wrong))).await {
        page.expect(403);
    }
    visitor
        .post(
            "/code",
            &[("address", "ada@example.edu"), ("code", &code.reveal())],
        )
        .await
        .expect(403);
    // The link signs in once, however many post it.
    let link = format!("/c/{}", link.reveal());
    let posts = (0..sized(12, 50)).map(|_| async {
        campus
            .browser()
            .post(&link, &[("address", "ada@example.edu")])
            .await
    });
    let mut statuses: Vec<u16> = join_all(posts)
        .await
        .into_iter()
        .map(|page| page.status)
        .collect();
    statuses.sort_unstable();
    assert_eq!(
        (statuses[0], statuses[1], *statuses.last().unwrap()),
        (303, 403, 403),
        "{statuses:?}"
    );
    campus.finish().await;
}

#[tokio::test]
async fn a_scanner_uses_no_link_up() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let asked_by = BrowserToken::generate();
    let (link, _) = mailed(&campus, "ada@example.edu", &asked_by).await;
    let (link, scanner) = (format!("/c/{}", link.reveal()), campus.browser());
    let before = calls(&campus);
    let mut pages = BTreeSet::new();
    for after in [
        "",
        ".",
        "!",
        ")",
        "'",
        "%23top",
        "#",
        "%20",
        "%0A",
        "//",
        "/more",
        "?utm=1",
        "%3E%22",
        "%E2%80%9D",
    ] {
        let path = format!("{link}{after}");
        scanner.head(&path).await.expect(200);
        let page = scanner.get(&path).await.expect(200);
        assert_eq!(
            (page.forms().len(), page.headers.contains_key("set-cookie")),
            (1, false)
        );
        pages.insert(page.body.clone());
    }
    pages.insert(scanner.get("/c/anything").await.expect(200).body.clone());
    assert_eq!(pages.len(), 1, "the page is constant");
    assert_eq!(calls(&campus), before, "opening looks nothing up");

    let page = scanner.get(&link).await;
    scanner.submit(&page, &link, &[]).await.expect(403);
    scanner
        .submit(&page, &link, &[("address", "scanner@mail.example")])
        .await
        .expect(403);
    scanner
        .post_from(
            "https://elsewhere.example",
            &link,
            &[("address", "ada@example.edu")],
        )
        .await
        .expect(403);
    let ada = campus.browser();
    ada.set_cookie("bursar-ask", asked_by.reveal());
    // The mail program took the full stop for a part of the link.
    let page = ada.get(&format!("{link}.")).await;
    ada.submit(&page, &page.path, &[]).await.expect(303);
    campus.finish().await;
}

#[tokio::test]
async fn sign_ins_are_logged_without_names() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let (_, code) = mailed(&campus, "admin@example.edu", &BrowserToken::generate()).await;
    let admin = campus.browser();
    admin
        .post(
            "/code",
            &[("address", "admin@example.edu"), ("code", "0000-0000-0000")],
        )
        .await
        .expect(403);
    admin
        .post(
            "/code",
            &[("address", "admin@example.edu"), ("code", &code.reveal())],
        )
        .await
        .expect(303);
    admin
        .post(
            &format!("/c/{}", "A".repeat(43)),
            &[("address", "ada@example.edu")],
        )
        .await
        .expect(403);
    admin
        .post_from(
            "https://evil.example",
            "/link",
            &[("address", "ada@example.edu")],
        )
        .await
        .expect(403);
    ada.post("/my/mails", &[("csrf", "0"), ("digest", "off")])
        .await
        .expect(403);
    ada.get("/console/account").await.expect(404);
    ada.get("/console").await.expect(404);
    let csrf = ada.get("/my").await.csrf();
    ada.post("/my/another/reveal", &[("csrf", &csrf)])
        .await
        .expect(404);
    let logs = campus.logs.all().into_iter().map(|line| line.text);
    let said: Vec<String> = logs
        .filter(|text| text.contains("\"refused\"") || text.contains("\"signed_in\""))
        .collect();
    for (what, times) in [
        ("\"signed_in\":\"link\",\"has_role\":false", 1),
        ("\"signed_in\":\"code\",\"has_role\":true", 1),
        ("\"refused\":\"code\"", 1),
        ("\"refused\":\"link\"", 1),
        ("\"refused\":\"origin\"", 1),
        ("\"refused\":\"form\"", 1),
        ("\"refused\":\"right\"", 3),
    ] {
        assert_eq!(
            said.iter().filter(|text| text.contains(what)).count(),
            times,
            "{what}: {said:#?}"
        );
    }
    // The numbers of requests and people may hold anything.
    let mut words = said
        .iter()
        .filter_map(|text| text.split("\"request\"").next()?.split("\"person\"").next());
    assert!(
        !words.any(|text| text.contains('@') || text.contains("ada") || text.contains("0000")),
        "{said:#?}"
    );
    campus.finish().await;
}

/// Whoever is signed out comes back, in the same browser, to the page that was asked for or whose
/// form had expired, and to no other site's.
#[tokio::test]
async fn signing_in_leads_to_the_page() {
    let mut campus = class().await;
    campus.students(&["ada"]).await;
    let page = campus.console("/alerts?kind=all");
    let signs_in = async |campus: &Campus, visitor: &Visitor, name: &str| {
        campus.minutes(2);
        let (_, code) = mailed(
            campus,
            &format!("{name}@example.edu"),
            &BrowserToken::generate(),
        )
        .await;
        let fields = [
            ("address", &*format!("{name}@example.edu")),
            ("code", &*code.reveal()),
        ];
        let signed_in = visitor.post("/code", &fields).await.expect(303);
        assert_eq!(visitor.cookie("bursar-to"), None, "it leads there once");
        signed_in.location().unwrap().to_owned()
    };

    let admin = campus.browser();
    let start = admin.get(&page).await.expect(303);
    assert_eq!(start.location(), Some("/"));
    assert!(
        start.headers["set-cookie"]
            .to_str()
            .unwrap()
            .contains("Max-Age=1800")
    );
    assert_eq!(signs_in(&campus, &admin, "admin").await, page);
    let settings = admin.get(&campus.console("/settings")).await.expect(200);
    campus.hours(9);
    let lost = admin
        .submit(&settings, &campus.console(""), &[("name", "Another")])
        .await
        .expect(401);
    assert!(
        lost.alert().unwrap().contains("what was typed is lost"),
        "{}",
        lost.readable()
    );
    assert_eq!(
        signs_in(&campus, &admin, "admin").await,
        campus.console("/settings")
    );

    // An address that only takes a form leads to its programme.
    let people = campus.console("/people");
    assert_eq!(
        admin.get(&people).await.expect(303).location(),
        Some(&*campus.console(""))
    );
    let close = campus.console("/close");
    let preview = admin
        .fill(&campus.console("/settings"), &close, &[])
        .await
        .expect(200);
    campus.hours(9);
    admin
        .submit(&preview, &close, &[("confirm", "CS pilot")])
        .await
        .expect(401);
    assert_eq!(signs_in(&campus, &admin, "admin").await, close);
    admin.get(&close).await.expect(200);

    // A page of staff is nobody else's, and what is planted leads nowhere.
    for (path, leads_to) in [(&*page, "/my"), ("/my/help", "/my/help")] {
        let ada = campus.browser();
        ada.get(path).await.expect(303);
        assert_eq!(signs_in(&campus, &ada, "ada").await, leads_to);
    }
    let ada = campus.browser();
    ada.set_cookie("bursar-to", &BASE64URL_NOPAD.encode(b"//evil.example/my"));
    assert_eq!(signs_in(&campus, &ada, "ada").await, "/my");
    campus.finish().await;
}
