//! Every way in which a request is refused, with its status and without any effect.

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::visitor::Form;
use jiff::ToSpan;
use serde_json::{Value, json};

use super::faults::{ASSIGN, DISABLE, MAKE};
use super::*;

#[tokio::test]
async fn a_forbidden_press_says_why() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    let reveal = ada.get("/my").await.form(&campus.my("reveal"));
    let now = campus.clock.now();

    campus
        .set(|settings| settings.claims.claim_opens_at = Some(now + 1.hour()))
        .await;
    let refused = ada.send_form(&reveal).await.expect(409).alert().unwrap();
    assert!(
        refused.contains("can be claimed from") && refused.contains("(UTC)"),
        "{refused}"
    );
    assert!(ada.get("/my").await.readable().contains(&refused));
    campus
        .set(|settings| {
            (
                settings.claims.claim_opens_at,
                settings.claims.claim_closes_at,
            ) = (None, Some(now));
        })
        .await;
    assert!(
        ada.send_form(&reveal)
            .await
            .expect(409)
            .alert()
            .unwrap()
            .contains("time to claim")
    );
    assert!(!ada.get("/my").await.offers(&campus.my("reveal")));
    campus
        .set(|settings| settings.claims.claim_closes_at = None)
        .await;

    campus.budget(19).await;
    campus
        .set(|settings| settings.people.faculty = vec![address("faye")])
        .await;
    let refused = ada.send_form(&reveal).await.expect(409).alert().unwrap();
    assert!(
        refused.contains("no room for your key") && refused.ends_with("or ask faye@example.edu."),
        "{refused}"
    );
    campus.budget(100).await;

    campus.hold("ada", HoldKind::Paused).await;
    assert!(
        ada.send_form(&reveal)
            .await
            .expect(409)
            .alert()
            .unwrap()
            .contains("paused")
    );
    assert_eq!(
        ada.get("/my").await.one("grant").get("data-state"),
        "paused"
    );
    campus
        .table
        .act(campus.on("ada"), |view, now| {
            view.release(HoldKind::Paused, &Actor::Rule, now)
        })
        .await
        .unwrap();

    campus.reveal(&ada).await;
    campus
        .set(|settings| settings.claims.replacements = 0)
        .await;
    campus.minutes(16);
    let my = ada.get("/my").await;
    assert!(!my.offers(&campus.my("replace")) && my.offers(&campus.my("leaked")));
    let replace = Form {
        action: campus.my("replace"),
        ..my.form(&campus.my("leaked"))
    };
    assert!(
        ada.send_form(&replace)
            .await
            .expect(409)
            .alert()
            .unwrap()
            .contains("as often as")
    );

    campus.revoke("ada").await;
    assert!(
        ada.send_form(&replace)
            .await
            .expect(409)
            .alert()
            .unwrap()
            .contains("You were removed")
    );
    let my = ada.get("/my").await;
    let forms: Vec<_> = my.forms().into_iter().map(|form| form.action).collect();
    assert_eq!(my.one("grant").get("data-state"), "revoked");
    assert_eq!(
        forms,
        ["/sign-out", "/my/mails", "/sign-out"],
        "nothing is left that concerns the grant"
    );
    campus.judged().await;
    campus.finish().await;
}

/// A wait of a day, asked for once, is not believed; and what ends a key passes every wait.
#[tokio::test]
async fn a_wait_of_a_day_is_a_mistake() {
    let mut campus = class().await;
    let (ada, bob, cid) = (
        enrol(&mut campus, "ada").await,
        enrol(&mut campus, "bob").await,
        enrol(&mut campus, "cid").await,
    );
    campus.reveal(&cid).await;
    campus
        .gate
        .at(Matcher::call(MAKE), Fault::RetryAfter(429, 86_400));
    let asked = campus.press(&ada, "reveal").await.expect(503);
    assert_eq!(asked.header("retry-after"), Some("300"));
    assert!(
        asked.alert().unwrap().contains("Press again in 5 minutes."),
        "{}",
        asked.readable()
    );
    campus.press(&bob, "reveal").await.expect(503);
    campus.press(&cid, "leaked").await.expect(303);
    assert!(campus.key("cid").disabled);
    campus.minutes(6);
    campus.reveal(&bob).await;
    campus.finish_faulted().await;
}

/// A student whose keys leak one after the other is never led to a press that there is not.
#[tokio::test]
async fn a_leak_costs_no_replacement() {
    let mut campus = class().await;
    campus
        .set(|settings| settings.texts.contact = Some("room 101".to_owned()))
        .await;
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    campus.minutes(16);
    campus.replace("ada").await;
    for left in ["2", "2", "2"] {
        let my = ada.get("/my").await;
        assert_eq!(my.one("replacements-left").text, left);
        assert!(
            my.readable().contains("You can get a new key afterwards"),
            "{}",
            my.readable()
        );
        campus.press(&ada, "leaked").await.expect(303);
        campus.replace("ada").await;
    }
    let my = ada.get("/my").await;
    let says = my.readable();
    assert!(
        says.contains("Your key cannot be replaced now. You were shown five keys within a day."),
        "{says}"
    );
    assert!(!says.contains("You can get a new key afterwards"), "{says}");
    let replace = Form {
        action: campus.my("replace"),
        ..my.form(&campus.my("leaked"))
    };
    // What other accounts paid for is read where a key ends, as all use is.
    campus
        .provider()
        .spend_byok(
            &campus.key("ada").hash,
            Nano::usd(3),
            campus.clock.now(),
            "a/model",
        )
        .unwrap();
    campus.press(&ada, "leaked").await.expect(303);
    let read: Usd = campus
        .view("ada")
        .await
        .readings
        .iter()
        .map(|reading| reading.used.byok.total())
        .sum();
    assert_eq!(read, Usd::from_dollars(3));
    let refused = ada.send_form(&replace).await.expect(429);
    assert_eq!(
        refused.header("retry-after"),
        Some(&*(24 * 3600 - 16 * 60).to_string())
    );
    let why = refused.alert().unwrap();
    assert!(
        why.contains("The next can be made from") && why.contains("ask room 101"),
        "{why}"
    );
    assert!(!ada.get("/my").await.offers(&campus.my("replace")));
    campus.minutes(24 * 60 - 16);
    campus.replace("ada").await;
    campus.finish().await;
}

/// What each call of a request may be answered, and what the student then reads.
#[tokio::test]
async fn each_answer_of_the_provider_has_its_words() {
    const READ: &str = "provider:GET /keys/{hash}";
    let (later, tell) = (
        "Press again in a moment.",
        "tell the people who run this programme",
    );
    let mut campus = class().await;
    campus.restrict().await;
    for (number, (call, verdict, status, said, then)) in [
        (
            MAKE,
            Fault::RetryAfter(402, 60),
            502,
            "Nothing was spent.",
            tell,
        ),
        (
            MAKE,
            Fault::RetryAfter(401, 60),
            503,
            "Nothing was spent.",
            later,
        ),
        (
            MAKE,
            Fault::RetryAfter(429, 60),
            503,
            "Nothing was spent.",
            later,
        ),
        (
            MAKE,
            Fault::StatusAfter(500),
            502,
            "did not say whether it made a key",
            later,
        ),
        (
            MAKE,
            Fault::LoseAnswer,
            502,
            "did not say whether it made a key",
            later,
        ),
        (
            ASSIGN,
            Fault::RetryAfter(400, 60),
            502,
            "did not confirm that the rules of the programme apply to it",
            tell,
        ),
        (
            ASSIGN,
            Fault::RetryAfter(503, 60),
            503,
            "did not confirm that the rules of the programme apply to it",
            later,
        ),
        (
            DISABLE,
            Fault::RetryAfter(403, 60),
            503,
            "did not confirm that your old key has ended",
            later,
        ),
        (
            "provider:*",
            Fault::RetryAfter(401, 60),
            502,
            "did not confirm that your old key has ended",
            tell,
        ),
        (
            DISABLE,
            Fault::RetryAfter(404, 60),
            503,
            "did not confirm that your old key has ended",
            later,
        ),
        (
            READ,
            Fault::RetryAfter(500, 60),
            502,
            "did not confirm that your old key has ended and what it used",
            later,
        ),
        (
            READ,
            Fault::RetryAfter(404, 60),
            503,
            "does not know your old key",
            "You can try again from",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let student = enrol(&mut campus, &format!("student-{number}")).await;
        let what = if [MAKE, ASSIGN].contains(&call) {
            "reveal"
        } else {
            "replace"
        };
        if what == "replace" {
            campus.reveal(&student).await;
        }
        if call == READ {
            // The final reading of a key that is off is due after a quarter of an hour.
            campus.press(&student, "leaked").await.expect(303);
            campus.minutes(16);
        }
        // After a 401 or 403 the management key is read again, and believed to be refused when `GET
        // /key` is refused too.
        let rule = campus
            .gate
            .at(Matcher::call(call).of(FunctionName::Claim).every(), verdict);
        let page = campus.press(&student, what).await;
        campus.gate.lift(rule);
        let alert = page.alert().unwrap_or_default();
        assert_eq!(page.status, status, "{verdict:?} at {call}: {alert}");
        assert!(
            alert.contains(said) && alert.contains(then),
            "{verdict:?} at {call}: {alert}"
        );
        assert!(
            page.all("key").is_empty() && page.header("retry-after").is_some() == (status == 503),
            "{verdict:?}"
        );
        // By this an alarm of the stack counts it. Of a key that may be gone the student is told
        // when to come back.
        let answered = campus
            .logs
            .all()
            .into_iter()
            .rfind(|line| line.text.contains("\"answered\""))
            .unwrap();
        let answered: Value = serde_json::from_str(&answered.text).unwrap();
        assert_eq!(
            answered["span"]["route"],
            format!("POST /my/{{programme}}/{what}")
        );
        let cause = if then == "You can try again from" {
            Value::Null
        } else {
            json!("provider")
        };
        assert_eq!(
            (&answered["cause"], &answered["fault"]),
            (&cause, &json!(false)),
            "{verdict:?} at {call}"
        );
        // What the provider asked for is over.
        campus.minutes(2);
        let my = student.get("/my").await;
        let again = if my.offers(&campus.my("replace")) {
            "replace"
        } else {
            "reveal"
        };
        student
            .submit(&my, &campus.my(again), &[])
            .await
            .expect(200)
            .one("key");
    }
    campus.finish_faulted().await;
}

/// A key that is not found is replaced once it is still not found an hour later.
#[tokio::test]
async fn missing_keys_are_replaced_later() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    campus.hours(2);
    campus.provider().delete(&campus.key("ada").hash).unwrap();
    let ada = campus.student("ada").await;
    let page = campus.press(&ada, "replace").await.expect(503);
    let wait = page.header("retry-after").map(str::to_owned);
    assert!(
        page.alert().unwrap().contains("does not know your old key"),
        "{}",
        page.readable()
    );
    assert_eq!(wait.as_deref(), Some("3600"));
    campus.minutes(59);
    // Nothing is asked until then, and the page says so.
    let ada = campus.student("ada").await;
    let my = ada.get("/my").await;
    assert!(
        my.readable().contains("You can try again from 10 Nov 2026")
            && !my.offers(&campus.my("replace")),
        "{}",
        my.readable()
    );
    campus.minutes(1);
    campus.press(&ada, "replace").await.expect(200).one("key");
    campus.judged_after_sync().await;
    campus.finish().await;
}

/// Another key is not made before it is known what the old one used.
#[tokio::test]
async fn unknown_use_holds_a_replacement() {
    let mut campus = class().await;
    let ada = enrol(&mut campus, "ada").await;
    campus.reveal(&ada).await;
    campus.spend("ada", "5");
    campus
        .provider()
        .set_quirks(|quirks| quirks.absent_fields = vec!["usage"]);
    for _ in 0..2 {
        let page = campus.press(&ada, "replace").await.expect(503);
        assert!(
            page.alert()
                .unwrap()
                .contains("did not say what it had used"),
            "{}",
            page.readable()
        );
        campus.minutes(2);
    }
    campus
        .provider()
        .set_quirks(|quirks| quirks.absent_fields.clear());
    campus.press(&ada, "replace").await.expect(200).one("key");
    assert_eq!(campus.key("ada").limit.unwrap().to_string(), "15");
    campus.finish().await;
}
