//! A request for a larger cap, from the student's page to the form that answers it.

use bursar_core::domain::audit::{Act, AuditEntry};
use bursar_tests::campus::ADMIN;
use serde_json::Value;

use super::*;

const REASON: &str = "The last exercise compares two models.\r\nIt needs \"ten\" runs.";

#[tokio::test]
async fn faculty_read_a_request_for_more_and_answer_it() {
    let mut campus = class().await;
    campus
        .set(|settings| settings.people.faculty = vec![address("faye"), address("otto")])
        .await;
    let ada = enrol(&mut campus, "ada").await;
    let more = campus.my("more");
    assert!(
        !ada.get("/my").await.offers(&more),
        "there is no key to have more on"
    );
    let csrf = ada.get("/my").await.csrf();
    ada.post(&more, &[("csrf", &csrf), ("reason", "all")])
        .await
        .expect(409);
    campus.reveal(&ada).await;
    campus.spend("ada", "16.40");
    campus.sync().await;
    campus.settle().await;

    let faye = campus.student("faye").await;
    faye.fill(
        "/my",
        "/my/mails",
        &[("digest", "off"), ("reminders", "off")],
    )
    .await
    .expect(303);
    let form = ada.get("/my").await;
    for wrong in ["", " \u{200B}\r\n", "ten \u{202E}gnp.exe", &"é".repeat(501)] {
        let page = ada
            .submit(&form, &more, &[("reason", wrong)])
            .await
            .expect(422);
        let typed = page.form(&more).value("reason").unwrap().to_owned();
        assert_eq!(
            (typed, page.alerts().len()),
            (wrong.replace("\r\n", "\n"), 1)
        );
    }
    for wrong in ["20", "30,50", "much", "-1", "99999999"] {
        let page = ada
            .submit(&form, &more, &[("reason", "all"), ("cap_usd", wrong)])
            .await
            .expect(422);
        assert_eq!(
            (page.form(&more).value("cap_usd"), page.alerts().len()),
            (Some(wrong), 1)
        );
    }
    let asked_at = campus.clock.now();
    assert_eq!(
        ada.submit(&form, &more, &[("reason", REASON), ("cap_usd", "32.50")])
            .await
            .expect(303)
            .location(),
        Some("/my")
    );
    let my = ada.get("/my").await;
    assert!(
        my.readable().contains("You asked for a cap of $32.50 on ") && !my.offers(&more),
        "{}",
        my.readable()
    );
    assert!(
        ada.get("/my/data")
            .await
            .body
            .contains("The last exercise compares two models. It needs")
    );
    let again = ada
        .submit(&form, &more, &[("reason", "still")])
        .await
        .expect(429);
    assert_eq!(again.header("retry-after"), Some("604800"));

    campus.settle().await;
    let mails = campus.mails("request");
    let to: Vec<&str> = mails.iter().map(|mail| &*mail.to).collect();
    assert_eq!(to, ["faye@example.edu", "otto@example.edu"]);
    assert_eq!(mails[0].contents.headers["Reply-To"], "ada@example.edu");
    let text = mails[0].contents.text.as_deref().unwrap();
    let link = format!("{}/grants/{}", campus.console(""), campus.id("ada"));
    let button = format!("{link}#more\n");
    for told in [
        "asks for $32.50",
        "Used: $16.40, as of",
        "The last exercise compares two models. It needs \"ten\" runs.",
        &button,
    ] {
        assert!(text.contains(told), "{told} is not in {text}");
    }

    // The page to which the mail leads has the request above the form that answers it.
    let page = faye.get(&link).await.expect(200);
    let (request, cap) = (
        page.body.find("compares two models"),
        page.body.find("/cap\""),
    );
    assert!(request.is_some() && request < cap, "{}", page.readable());
    // It waits for faculty where they begin, and one press raises the cap; the same decision again
    // is none.
    let id = campus.id("ada").to_string();
    for at in ["/console", &campus.console("")] {
        let waits = faye.get(at).await;
        assert_eq!(
            (
                waits.attribute("waiting", "data-kind"),
                waits.attribute("waiting", "data-grant")
            ),
            (Some("more".into()), Some(id.clone()))
        );
    }
    let decide = format!("{link}/more");
    assert_eq!(
        page.attribute("asked-cap", "data-usd").as_deref(),
        Some("32.500000")
    );
    for step in ["Raise to $25", "Raise to $32.50", "Raise to $40"] {
        assert!(page.body.contains(step), "{}", page.readable());
    }
    // No raise is offered for which the budget has no room, and the refusal of another stays on the
    // page.
    campus.budget(30).await;
    let short = faye.get(&link).await;
    let words = short.readable();
    assert!(
        words.contains("Raise to $30") && !words.contains("Raise to $40"),
        "{words}"
    );
    assert!(
        words.contains("Too little is free in the budget for a cap of $32.50."),
        "{words}"
    );
    let refused = faye
        .submit(&page, &decide, &[("act", "raise"), ("cap_usd", "40")])
        .await
        .expect(409);
    assert!(
        refused
            .alert()
            .unwrap()
            .contains("of the budget of $30.00 only $10.00 is neither")
    );
    assert!(refused.offers(&decide));
    campus.budget(4_000).await;
    for _ in 0..2 {
        faye.submit(&page, &decide, &[("act", "raise"), ("cap_usd", "30")])
            .await
            .expect(303);
    }
    faye.submit(&page, &decide, &[("act", "decline"), ("reason", "No.")])
        .await
        .expect(409);
    assert!(faye.get("/console").await.all("waiting").is_empty());
    assert!(!faye.get(&link).await.body.contains("compares two models"));
    campus.settle().await;
    let answer = campus.mails("student").pop().unwrap();
    assert_eq!(
        (&*answer.to, &*answer.contents.subject),
        ("ada@example.edu", "CS pilot: your cap is now $30")
    );
    let my = ada.get("/my").await;
    assert!(
        my.readable()
            .contains("Your cap has been changed since: it is $30 now."),
        "{}",
        my.readable()
    );

    assert!(!my.offers(&more), "once a week, whatever became of it");
    let again = ada
        .submit(&form, &more, &[("reason", "More runs.")])
        .await
        .expect(429);
    assert_eq!(again.header("retry-after"), Some("604800"));

    // Nobody answers the next one, and nobody looks after the programme but the admin.
    campus.hours(7 * 24);
    let ada = campus.student("ada").await;
    let my = ada.get("/my").await;
    campus.set(|settings| settings.people.faculty.clear()).await;
    ada.submit(&my, &more, &[("reason", "More runs.")])
        .await
        .expect(303);
    campus.settle().await;
    assert_eq!(campus.mails("request").last().unwrap().to, ADMIN);
    campus.hours(7 * 24);
    let ada = campus.student("ada").await;
    let my = ada.get("/my").await;
    assert!(
        my.readable().contains("Nobody decided within a week."),
        "{}",
        my.readable()
    );
    ada.submit(&my, &more, &[("reason", "Please.")])
        .await
        .expect(303);
    // Declined, with a sentence that the student reads.
    let admin = campus.admin().await;
    let page = admin.get(&link).await;
    admin
        .submit(&page, &decide, &[("act", "decline"), ("reason", " ")])
        .await
        .expect(422);
    for _ in 0..2 {
        admin
            .submit(
                &page,
                &decide,
                &[("act", "decline"), ("reason", "Not before the exam.")],
            )
            .await
            .expect(303);
    }
    admin
        .submit(&page, &decide, &[("act", "raise"), ("cap_usd", "60")])
        .await
        .expect(409);
    campus.settle().await;
    let mail = campus.mails("student").pop().unwrap();
    assert!(
        mail.to == "ada@example.edu"
            && mail.contents.text.unwrap().contains("Not before the exam.")
    );
    assert!(
        ada.get("/my")
            .await
            .readable()
            .contains("They declined: “Not before the exam.”")
    );
    let data: Value = serde_json::from_str(&ada.get("/my/data").await.body).unwrap();
    assert_eq!(
        data["grants"][0]["asked_for_more"]["declined_because"],
        "Not before the exam."
    );
    assert!(
        admin.get("/console").await.all("waiting").is_empty()
            && !campus.has_logged("before the exam")
    );
    campus.revoke("ada").await;
    ada.submit(&my, &more, &[("reason", "Please.")])
        .await
        .expect(409);

    let entries = campus
        .table
        .list(AuditEntry::of_grant(&campus.programme, campus.id("ada")))
        .await
        .unwrap();
    let asked = entries
        .iter()
        .filter(|entry: &&AuditEntry| entry.what.act == Act::MoreAsked);
    assert_eq!(
        asked.clone().map(|entry| entry.recorded_at).min(),
        Some(asked_at)
    );
    assert!(asked.clone().count() == 3 && asked.clone().all(|entry| entry.what.note.is_none()));
    assert!(!campus.has_logged("compares two models"));
    campus.finish().await;
}
