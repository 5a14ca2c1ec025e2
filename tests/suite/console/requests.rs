//! Faculty ask the admins by mail for what only admins may do. The mail leads to the filled form,
//! and nothing but the mail is kept.

use std::collections::BTreeSet;

use bursar_tests::campus::{ADMIN, Got};
use bursar_tests::visitor::Visitor;

use super::*;

const ASK: &str = "/console/programmes/cs-pilot/ask";

/// Where the link of a mail leads.
fn link(mail: &Got) -> String {
    let text = mail.contents.text.as_deref().unwrap();
    let (_, path) = text
        .split_whitespace()
        .find_map(|word| word.split_once("/console"))
        .unwrap();
    format!("/console{path}")
}

/// Asks by the form for settings, and returns the one mail of it.
async fn asked_mail(campus: &Campus, faculty: &Visitor, fields: &[(&str, &str)]) -> Got {
    faculty.fill(SETTINGS, ASK, fields).await.expect(303);
    campus.settle().await;
    let mut mails = campus.mails("request");
    assert_eq!(mails.len(), 1);
    mails.remove(0)
}

#[tokio::test]
async fn an_admin_saves_what_faculty_asked_for() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let page = faye.get(SETTINGS).await;
    assert_eq!(
        (
            page.form(ID).value("budget_usd"),
            page.form(ASK).value("budget_usd")
        ),
        (None, Some("100000"))
    );
    assert!(!admin.get(SETTINGS).await.offers(ASK));
    let before = campus.judged().await;
    let wishes = [
        ("budget_usd", "$8000.00"),
        ("cost_code", "<b>4711</b>&x=1"),
        ("assistants", "Ann <ann@example.edu>"),
        ("name", "Not asked for"),
    ];
    let mail = asked_mail(&campus, &faye, &wishes).await;
    let after = campus.judged().await;
    let new = after
        .items
        .iter()
        .filter(|(key, _)| !before.items.contains_key(*key));
    let kinds: BTreeSet<_> = new
        .map(|(_, item)| item["kind"].as_s().unwrap().as_str())
        .collect();
    // Who presses and who is mailed are known by an id from then on.
    let of_a_mail = [
        "address",
        "filed-mail",
        "mail-server",
        "outbox",
        "person",
        "rate-count",
        "sent-as",
    ]
    .into();
    assert!(
        kinds.contains("outbox") && kinds.is_subset(&of_a_mail),
        "{kinds:?}"
    );
    assert_eq!(
        (&after.programmes, &after.budgets),
        (&before.programmes, &before.budgets)
    );
    assert_eq!(after.entries.len(), before.entries.len());

    assert_eq!(
        (mail.to.as_str(), mail.contents.headers["Reply-To"].as_str()),
        (ADMIN, "faye@example.edu")
    );
    assert_eq!(
        mail.contents.subject,
        "faye@example.edu asks for 3 changes to CS pilot"
    );
    let html = mail.contents.html.as_deref().unwrap();
    assert!(html.contains("4711") && !html.contains("<b>4711"), "{html}");
    let link = link(&mail);
    assert!(
        link.starts_with(&format!(
            "{SETTINGS}?budget_usd=8000&cost_code=%3Cb%3E4711%3C%2Fb%3E%26x%3D1&assistants=Ann+"
        )),
        "{link}"
    );

    // The link is opened as often as one likes; a browser without a session signs in first, and
    // then comes to it.
    let signed_out = campus.browser();
    signed_out.get(&link).await.expect(303);
    let filled = admin.get(&link).await.expect(200);
    let form = filled.form(ID);
    let values =
        ["budget_usd", "cost_code", "assistants", "name"].map(|field| form.value(field).unwrap());
    assert_eq!(
        values,
        [
            "8000",
            "<b>4711</b>&x=1",
            "Ann <ann@example.edu>",
            "CS pilot"
        ]
    );
    assert!(
        filled
            .text("reason")
            .unwrap()
            .starts_with("faye@example.edu asked for this on ")
    );
    let marked: Vec<_> = filled
        .body
        .split("class=\"clash\">")
        .skip(1)
        .map(|rest| rest.split('<').next().unwrap())
        .collect();
    assert_eq!(
        marked,
        [
            "It is now: 100000",
            "It is now: nothing",
            "It is now: asta@example.edu"
        ]
    );
    assert_eq!(campus.judged().await.programmes, before.programmes);
    admin.submit(&filled, ID, &[]).await.expect(303);
    let settings = campus.settings().await;
    assert_eq!(settings.texts.cost_code.as_deref(), Some("<b>4711</b>&x=1"));
    assert_eq!(settings.people.assistants, [address("ann")]);
    assert!(
        !admin.get(&link).await.body.contains("It is now: "),
        "all of it is saved"
    );
    campus.finish().await;
}

#[tokio::test]
async fn a_link_with_bad_values_shows_their_errors() {
    let campus = staffed().await;
    let (faye, admin) = (campus.student("faye").await, campus.admin().await);
    let before = campus.judged().await;
    for (query, field, value) in [
        ("budget_usd=1e9", "budget_usd", "1e9"),
        ("budget_usd=%3Cscript%3E&zebra=1", "budget_usd", "<script>"),
        (
            "starts_on=2031-01-01&ends_on=2030-01-01&asked_by=x&asked_at=x",
            "ends_on",
            "2030-01-01",
        ),
        ("faculty=nobody", "faculty", "nobody"),
    ] {
        let page = admin.get(&format!("{SETTINGS}?{query}")).await.expect(422);
        assert_eq!(page.form(ID).value(field), Some(value), "{query}");
        assert!(
            page.alerts().len() > 1 && page.all("reason").is_empty(),
            "{query}: {:?}",
            page.alerts()
        );
        assert!(!page.body.contains("\"<script>"), "{query}");
    }
    // What is no field is ignored. Assistants read what is saved, whatever a link says.
    let page = admin
        .get(&format!("{SETTINGS}?zebra=1&version=7&csrf=x"))
        .await
        .expect(200);
    assert!(!page.body.contains("It is now: ") && page.form(ID).value("version") != Some("7"));
    let asta = campus
        .student("asta")
        .await
        .get(&format!("{SETTINGS}?cap_usd=9999"))
        .await
        .expect(200);
    assert!(!asta.readable().contains("9,999"), "{}", asta.readable());
    let faculty = faye
        .get(&format!("{SETTINGS}?cap_usd=30&budget_usd=9999"))
        .await
        .expect(200);
    assert_eq!(
        (
            faculty.form(ID).value("cap_usd"),
            faculty.form(ASK).value("budget_usd")
        ),
        (Some("30"), Some("9999"))
    );
    let after = campus.judged().await;
    assert_eq!(
        (&after.programmes, &after.budgets),
        (&before.programmes, &before.budgets)
    );
    campus.finish().await;
}

#[tokio::test]
async fn faculty_ask_once_an_hour() {
    let campus = staffed().await;
    campus
        .set(|settings| settings.people.faculty = vec![address("faye"), address("finn")])
        .await;
    let (faye, finn) = (campus.student("faye").await, campus.student("finn").await);
    let page = faye.get(SETTINGS).await;
    let budget = [("budget_usd", "8000")];
    // What asks for nothing, or cannot be asked for, does not count.
    faye.submit(&page, ASK, &[]).await.expect(303);
    faye.submit(&page, ASK, &[("what", "zebra")])
        .await
        .expect(422);
    let refused = faye
        .submit(&page, ASK, &[("budget_usd", "1e9"), ("cost_code", "4711")])
        .await
        .expect(422)
        .form(ASK);
    assert_eq!(
        (refused.value("budget_usd"), refused.value("cost_code")),
        (Some("1e9"), Some("4711"))
    );
    let of_admins = faye.submit(&page, ID, &budget).await.expect(422);
    assert!(
        of_admins
            .alerts()
            .concat()
            .contains("An admin decides this."),
        "{:?}",
        of_admins.alerts()
    );
    faye.submit(&page, ASK, &budget).await.expect(303);
    for field in [budget[0], ("what", "close"), ("what", "next")] {
        let early = faye.submit(&page, ASK, &[field]).await.expect(429);
        assert!(early.header("retry-after").is_some(), "{field:?}");
    }
    finn.fill(SETTINGS, ASK, &budget).await.expect(303);
    campus.hours(1);
    campus.settle().await;
    assert_eq!(campus.mails("request").len(), 2);

    // Each link leads to where it is done, and does nothing by itself.
    let before = campus.judged().await;
    let faye = campus.student("faye").await;
    let close = asked_mail(&campus, &faye, &[("what", "close")]).await;
    assert_eq!(
        close.contents.subject,
        "faye@example.edu asks to close CS pilot"
    );
    let admin = campus.admin().await;
    let look = admin.get(&link(&close)).await.expect(200);
    assert!(look.offers(&campus.console("/close")) && look.all("close-keys").len() == 1);
    campus.hours(1);
    let faye = campus.student("faye").await;
    let next = asked_mail(&campus, &faye, &[("what", "next")]).await;
    assert_eq!(link(&next), "/console/programmes/new?from=cs-pilot");
    let admin = campus.admin().await;
    assert_eq!(
        admin
            .get(&link(&next))
            .await
            .expect(200)
            .form("/console/programmes")
            .value("name"),
        Some("CS pilot")
    );
    assert_eq!(campus.judged().await.programmes, before.programmes);

    // A closed programme has nothing to ask for but the next one.
    campus.close(&admin).await.expect(303);
    campus.hours(1);
    let faye = campus.student("faye").await;
    let page = faye.get(SETTINGS).await;
    for (what, status) in [("", 409), ("close", 409), ("next", 303)] {
        faye.submit(&page, ASK, &[budget[0], ("what", what)])
            .await
            .expect(status);
    }
    campus.finish().await;
}
