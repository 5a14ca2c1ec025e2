//! The help desk: what one field finds, for whom, and why a mail did not come.

use bursar_core::domain::mail::failure::QUOTA;
use bursar_local::ses::Fault as MailFault;
use bursar_tests::office::soon;
use bursar_tests::visitor::{Page, Visitor};
use jiff::SignedDuration;

use super::*;

/// What the field finds.
async fn search(browser: &Visitor, text: &str) -> Page {
    let text = [("@", "%40"), ("/", "%2F"), ("<", "%3C"), (">", "%3E")]
        .into_iter()
        .fold(text.to_owned(), |text, (from, to)| text.replace(from, to));
    browser.get(&format!("/console?q={text}")).await.expect(200)
}

/// The grants on a page, each as its programme and its person.
fn grants(page: &Page) -> String {
    let [programmes, people] =
        ["data-programme", "data-email"].map(|name| page.attributes("grant", name));
    let both = programmes.into_iter().zip(people);
    both.map(|(of, who)| format!("{of} {}", who.trim_end_matches("@example.edu")))
        .collect::<Vec<_>>()
        .join(", ")
}

/// The mails on a page, newest first, as kind, outcome and reason.
fn mails(page: &Page) -> Vec<String> {
    page.texts("mail")
        .into_iter()
        .map(|row| row.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect()
}

/// Two programmes: CS pilot with staff and Ada, who has a key; and Maths with Ada and Bob.
async fn two_programmes() -> Campus {
    let mut campus = Campus::open().await;
    campus.programme("Maths", |_| {}).await;
    campus.students(&["ada", "bob"]).await;
    campus.programme("CS pilot", staff).await;
    campus.students_with_keys(&["ada"]).await;
    campus.settle().await;
    campus
}

#[tokio::test]
async fn one_field_finds_what_its_reader_may_see() {
    let campus = two_programmes().await;
    let foreign = campus.foreign("laptop of Ada");
    campus.sync().await;
    let (admin, asta) = (campus.admin().await, campus.student("asta").await);
    let key = campus.key("ada");
    let eve = [
        ("email", "eve@example.edu"),
        ("name", "Eve Ek"),
        ("id", "eek@example.edu"),
    ];
    admin
        .submit(&admin.get(ROSTER).await, &format!("{ID}/people"), &eve)
        .await
        .expect(303);
    for (text, of_admin, of_asta) in [
        ("ADA@example.edu", "cs-pilot ada, maths ada", "cs-pilot ada"),
        ("bob@example.edu", "maths bob", ""),
        (campus.id("ada").as_str(), "cs-pilot ada", "cs-pilot ada"),
        ("eve ek", "cs-pilot eve", "cs-pilot eve"),
        ("Eek@example.edu", "cs-pilot eve", "cs-pilot eve"),
        (&key.name, "cs-pilot ada", "cs-pilot ada"),
        (&key.hash, "cs-pilot ada", "cs-pilot ada"),
        // Parts are found in the list of a programme.
        ("da@exam", "", ""),
        ("bob", "", ""),
        ("Eve", "", ""),
        (&key.hash[..12], "", ""),
        (&foreign, "", ""),
        ("<script>", "", ""),
    ] {
        assert_eq!(
            grants(&search(&admin, text).await),
            of_admin,
            "an admin looks for {text}"
        );
        assert_eq!(
            grants(&search(&asta, text).await),
            of_asta,
            "Asta looks for {text}"
        );
    }
    for text in [&*foreign, "laptop of Ada"] {
        assert_eq!(
            search(&admin, text)
                .await
                .attributes("foreign-key", "data-hash"),
            [&*foreign],
            "{text}"
        );
        assert!(
            search(&asta, text).await.all("foreign-key").is_empty(),
            "{text}"
        );
    }
    assert!(search(&admin, "laptop").await.all("foreign-key").is_empty());
    let faculty = search(&admin, "faye@example.edu").await;
    assert_eq!(
        faculty.attributes("person", "data-email"),
        ["faye@example.edu"]
    );
    for (reader, place) in [
        (&admin, "searched all programmes (2)"),
        (
            &asta,
            "searched the programmes in which you have a role (1)",
        ),
    ] {
        let nothing = search(reader, "<script>").await.readable();
        assert!(
            nothing.contains("found for “<script>”") && nothing.contains(place),
            "{nothing}"
        );
        assert!(
            nothing.contains("by a part of it, search the students of their programme"),
            "{nothing}"
        );
    }
    let stranger = search(&asta, "bob@example.edu").await.readable();
    assert!(
        !stranger.contains("no link to sign in") && stranger.contains("Nothing was found"),
        "{stranger}"
    );
    campus
        .student("bob")
        .await
        .get("/console?q=bob")
        .await
        .expect(404);
    assert!(
        asta.get("/console").await.offers("/console"),
        "the field is on the first page"
    );
    campus.finish().await;
}

/// A key that somebody came across, or its label, leads to its student, in one field whose text is
/// kept nowhere; staff end it in one press.
#[tokio::test]
async fn a_leaked_key_leads_to_its_owner() {
    let mut campus = staffed().await;
    campus.students(&["ada", "bob"]).await;
    let key = campus.reveal(&campus.student("ada").await).await;
    campus.reveal(&campus.student("bob").await).await;
    let [head, tail] = [&key[..12], &key[key.len() - 4..]];
    let twin = format!("{head}{}{tail}", "7".repeat(57));
    let foreign = campus
        .provider()
        .add_key("laptop", None, campus.clock.now(), twin.clone())
        .unwrap()
        .hash;
    campus.sync().await;
    let (admin, faye, asta) = (
        campus.admin().await,
        campus.student("faye").await,
        campus.student("asta").await,
    );
    let find = async |browser: &Visitor, text: &str| {
        browser
            .submit(
                &browser.get("/console").await,
                "/console/find",
                &[("key", text)],
            )
            .await
    };
    for text in [
        &*key,
        &twin,
        &format!("{head}...{tail}"),
        &format!("  {head}…{} ", &tail[1..]),
    ] {
        for (reader, owners) in [
            (&admin, vec![&*foreign]),
            (&faye, Vec::new()),
            (&asta, Vec::new()),
        ] {
            let page = find(reader, text).await.expect(200);
            assert_eq!(grants(&page), "cs-pilot ada");
            assert_eq!(page.attributes("foreign-key", "data-hash"), owners);
            assert!(
                page.readable().contains("CS pilot: this key works")
                    && !page.body.contains(text.trim())
            );
        }
        // Neither does a page of the other field say it again.
        let text = text.replace('…', "%E2%80%A6").replace(' ', "+");
        for at in ["/console", GRANTS] {
            let page = faye.get(&format!("{at}?q={text}")).await.expect(200);
            assert_eq!(grants(&page), "cs-pilot ada", "{at}");
            assert!(!page.body.contains(&key), "{at}");
        }
    }
    let row = admin
        .get(&format!("{ACCOUNT}?key={foreign}"))
        .await
        .expect(200);
    assert!(
        row.attributes("unowned-key", "data-hash")
            .contains(&foreign)
    );
    for wrong in [
        "",
        &key[..20],
        &key[1..],
        "ada@example.edu",
        &format!("{head}..."),
    ] {
        let page = find(&faye, wrong).await.expect(422);
        assert!(
            page.alert()
                .unwrap()
                .contains("neither a whole key nor a label")
        );
        assert!(wrong.is_empty() || !page.body.contains(wrong), "{wrong}");
        assert_eq!(page.form("/console/find").value("key"), Some(""));
    }
    let nothing = find(&faye, &key.replace(tail, "0000")).await.expect(200);
    assert!(
        nothing
            .readable()
            .contains("No key with these ends is known"),
        "{}",
        nothing.readable()
    );
    campus
        .student("bob")
        .await
        .get("/console")
        .await
        .expect(404);

    let path = format!("{GRANTS}/{}", campus.id("ada"));
    let page = faye.get(&path).await;
    assert!(
        page.body.contains(&format!("{head}...{tail}")),
        "the page says which of its keys it is"
    );
    assert!(
        !asta.get(&path).await.offers(&format!("{path}/leaked")),
        "faculty end it"
    );
    for _ in 0..2 {
        faye.submit(&page, &format!("{path}/leaked"), &[])
            .await
            .expect(303);
    }
    assert!(!campus.is_on(&campus.key("ada").hash) && campus.is_on(&campus.key("bob").hash));
    assert!(
        find(&faye, &key)
            .await
            .readable()
            .contains("CS pilot: this key has ended")
    );
    let audit = faye.get(&format!("{ID}/audit")).await.readable();
    assert_eq!(
        audit
            .matches("faye@example.edu reported the key of ada@example.edu as leaked")
            .count(),
        1,
        "{audit}"
    );
    campus.settle().await;
    let mails = campus.mails("key-leaked");
    let text = mails[0].contents.text.as_deref().unwrap();
    assert_eq!((mails.len(), &*mails[0].to), (1, "ada@example.edu"));
    assert!(
        text.contains("The people who run CS pilot ended your key"),
        "{text}"
    );
    // Soon after the first it would not count anyway.
    campus.minutes(20);
    campus.replace("ada").await;
    assert_eq!(
        campus.grant("ada").await.replacements,
        0,
        "it is no replacement"
    );
    // The page of the key that has ended ends no other.
    faye.submit(&page, &format!("{path}/leaked"), &[])
        .await
        .expect(303);
    assert!(campus.is_on(&campus.key("ada").hash));
    campus.finish().await;
}

#[tokio::test]
async fn why_a_mail_did_not_come_is_told_under_the_address() {
    let mut campus = staffed().await;
    campus.students(&["ada", "cyd", "flo"]).await;
    campus.settle().await;
    campus.minutes(5);
    campus
        .set(|settings| {
            settings.claims.claim_closes_at = Some("2026-11-10T09:31:00Z".parse().unwrap());
        })
        .await;
    campus.students(&["dan"]).await;
    campus.settle().await;
    let asta = campus.student("asta").await;
    campus.ask("ada").await;
    campus.settle().await;
    campus.clock.advance(SignedDuration::from_secs(20)).unwrap();
    campus.unreachable("cyd").await;
    for name in ["ada", "cyd", "eve"] {
        campus.ask(name).await;
    }
    campus.settle().await;
    let told = async |reader: &Visitor, name: &str| {
        let page = search(reader, address(name).as_written()).await;
        [mails(&page), page.texts("note")].concat().join("\n")
    };
    insta::assert_snapshot!(told(&asta, "ada").await, @"
    link to sign in10 Nov 2026, 09:35 not sentanother was sent within the last minute10 Nov 2026, 09:35
    link to sign in10 Nov 2026, 09:35 sent10 Nov 2026, 09:35
    invitation of CS pilot10 Nov 2026, 09:30 sent10 Nov 2026, 09:30
    No other link to sign in is sent now: another was sent within the last minute.
    ");
    insta::assert_snapshot!(told(&asta, "cyd").await, @"
    link to sign in10 Nov 2026, 09:35 not sentmail to this address comes back or is not wanted10 Nov 2026, 09:35
    invitation of CS pilot10 Nov 2026, 09:30 sent10 Nov 2026, 09:30
    No mail goes to this address since 10 Nov 2026, 09:35 UTC: mail to it came back for good.
    ");
    insta::assert_snapshot!(told(&asta, "flo").await, @"
    invitation of CS pilot10 Nov 2026, 09:30 sent10 Nov 2026, 09:30
    Within the last hour nobody asked for a link to sign in with this address; older requests are not kept.
    ");
    assert_eq!(
        told(&asta, "eve").await,
        "",
        "she is on no roster of theirs"
    );
    insta::assert_snapshot!(told(&campus.admin().await, "eve").await, @"
    link to sign in10 Nov 2026, 09:35 not sentnobody here has this address10 Nov 2026, 09:35
    This address is on no roster and has no role, so no link to sign in is mailed to it.
    ");
    campus.ses.fail_next(MailFault::Throttle, 1_000, None);
    campus.ask("dan").await;
    campus.settle().await;
    campus
        .table
        .note_mail_refusal(QUOTA, campus.clock.now(), soon())
        .await
        .unwrap();
    insta::assert_snapshot!(told(&asta, "dan").await, @"
    link to sign in10 Nov 2026, 09:35 waiting10 Nov 2026, 09:35
    invitation of CS pilot10 Nov 2026, 09:35 not sentkeys cannot be claimed now10 Nov 2026, 09:35
    No other link to sign in is sent now: another was sent within the last minute.
    Mail waits since 10 Nov 2026, 09:35 UTC: the day's quota of the SES account is used up. It counts what everybody sends from the account in 24 hours. Mail waits, and goes out by itself as the quota allows; ask AWS for a higher one in the SES console if it is too small.
    ");
    campus.finish().await;
}
