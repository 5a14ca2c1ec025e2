//! Pages that lie or never arrive, and writes that the table refuses for a while. What can be read
//! is recorded, what is doubtful is not, and its keys are named. A missing value never counts as
//! zero.

use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::{Reset, utc_date};
use bursar_core::store::{OwnJudgement, Run};
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::{Campus, Got, address, reports};
use bursar_tests::faults::{Fault, Matcher};
use jiff::SignedDuration;
use serde_json::{Value, json};

use super::crooked::{Crooked, Told, with_row};
use super::{ACCOUNT, changed, complete, hasty, problems, without_runs};

async fn used(campus: &Campus) -> i64 {
    campus
        .table
        .totals(&campus.programme)
        .await
        .unwrap()
        .unwrap()
        .used
        .credits
        .total()
        .micros()
}

#[tokio::test]
async fn a_page_that_never_comes_is_never_nothing() {
    let mut campus = hasty(&["ada", "ben", "cat"]).await;
    ["ada", "ben", "cat"]
        .iter()
        .for_each(|name| campus.spend(name, "1"));
    (0..240).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    // The newest key, and so on the first page.
    campus.students_with_keys(&["dan"]).await;
    let crooked = Crooked::before(&campus).await;
    complete(&campus).await;
    let before = without_runs(&*campus.judged_after_sync().await);
    campus.spend("ada", "0.50");
    campus.minutes(1);
    campus.provider().disable(&campus.key("dan").hash).unwrap();
    // A page that is refused, is no JSON, lacks its rows, or skips or repeats them.
    let wrong = [
        ("400", "offset=180"),
        // `GET /key` still says that the management key works.
        ("401", "offset=180"),
        ("<html>", "offset=180"),
        ("{}", "offset=90"),
        ("skips", "offset="),
        ("repeats", "offset="),
    ];
    for (what, from) in wrong {
        let mut first = None;
        crooked.bend(move |path, told| {
            if path.contains("offset=0") && path.starts_with("/keys?") {
                first = Some(told.body.clone());
            }
            if !path.starts_with("/keys?") || path.contains("offset=0") || !path.contains(from) {
                return told;
            }
            match what {
                "skips" => Told {
                    body: json!({"data": []}).to_string(),
                    ..told
                },
                "repeats" => Told {
                    body: first.clone().unwrap(),
                    ..told
                },
                "400" | "401" => Told {
                    status: what.parse().unwrap(),
                    body: json!({"error": {"message": "no"}}).to_string(),
                    ..told
                },
                body => Told {
                    body: body.to_owned(),
                    ..told
                },
            }
        });
        campus.minutes(1);
        let report = crooked.sync().await;
        assert_eq!(
            (&report["complete"], &report["residual_usd"]),
            (&json!(false), &Value::Null),
            "{what}: {report}"
        );
        assert_eq!(report["keys_missing"], 0, "{what}: {report}");
        let page = if from == "offset=180" { 3 } else { 2 };
        let named = format!("the keys could not all be listed from page {page} of the workspace");
        let run = campus
            .table
            .newest(Run::all(), 1)
            .await
            .unwrap()
            .pop()
            .unwrap();
        assert!(
            !run.complete && run.report.contains(&named),
            "{what}: {run:?}"
        );
        let mut changed = changed(&before, &*campus.judged().await);
        let told = [
            "alarm", "outbox", "person", "address", "reading", "totals", "account",
        ]
        .map(|of| format!("\"kind\": S(\"{of}\")"));
        changed.retain(|line| !told.iter().any(|kind| line.contains(kind)));
        assert_eq!(
            (changed, campus.enabled().len()),
            (Vec::<String>::new(), 3),
            "{what}: what was read is summed up, and nothing is done"
        );
    }
    crooked.straighten();
    // Without the credits keys are read, and the balance and the residual are not known.
    let rule = campus.gate.at(
        Matcher::call("provider:GET /credits").every(),
        Fault::Status(400),
    );
    let report = campus.sync().await;
    campus.gate.lift(rule);
    assert_eq!(
        (&report["account_balance_usd"], &report["residual_usd"]),
        (&Value::Null, &Value::Null),
        "{report}"
    );
    assert_eq!(
        (&report["complete"], used(&campus).await),
        (&json!(false), 3_500_000),
        "{report}"
    );
    complete(&campus).await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_doubtful_row_is_named_and_a_refused_write_comes_again() {
    let campus = hasty(&["ada", "ben"]).await;
    ["ada", "ben"]
        .iter()
        .for_each(|name| campus.spend(name, "1"));
    let crooked = Crooked::before(&campus).await;
    complete(&campus).await;
    let key = campus.key("ada").hash;
    let doubtful = [
        ("usage", json!(null)),
        ("usage", json!(0.999)),
        ("limit", json!("none")),
        ("hash", json!("other")),
    ];
    campus.minutes(1);
    for (turn, (field, value)) in (1_i64..).zip(doubtful) {
        campus.spend("ben", "0.01");
        let bad = key.clone();
        crooked
            .bend(move |path, told| with_row(path, told, &bad, |row| row[field] = value.clone()));
        let report = crooked.sync().await;
        // It spoils nothing else.
        let expected = (&json!(true), &json!("0.000000"));
        assert_eq!(
            (&report["complete"], &report["residual_usd"]),
            expected,
            "{field}: {report}"
        );
        // What was not read the night before is written again once it is.
        let written = if turn == 2 { 2 } else { 1 };
        reports(
            &report,
            &json!({"readings_recorded": written, "keys_missing": 0}),
        );
        let which = if field == "hash" {
            "without a hash on page 1"
        } else {
            &key
        };
        assert!(problems(&report).contains(which), "{report}");
        assert_eq!(
            (used(&campus).await, campus.enabled().len()),
            (2_000_000 + 10_000 * turn, 2),
            "{report}"
        );
        campus.judged().await;
        // Nothing but the row without a hash looks like a key that may be gone.
        let today = OwnJudgement::key_of(utc_date(campus.clock.now()));
        assert_eq!(
            campus.table.get(today).await.unwrap().is_some(),
            field == "hash",
            "{field}: {report}"
        );
    }
    // An over-precise number is read, and absent ones are no zeros.
    crooked.bend(move |path, told| {
        with_row(path, told, &key, |row| {
            row["usage"] = json!(1.000_000_1);
            row.as_object_mut()
                .unwrap()
                .retain(|field, _| !field.starts_with("byok") && field != "usage_daily");
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(used(&campus).await, 2_040_001, "what was spent rounds up");
    crooked.straighten();
    // Each verdict comes more often than the SDK retries.
    for (call, verdict) in [
        ("dynamodb:PutItem", Fault::Throttle),
        ("dynamodb:TransactWriteItems", Fault::Conflict),
    ] {
        campus.spend("ada", "1");
        campus.foreign(&format!("made before {call} met {verdict:?}"));
        campus
            .gate
            .at(Matcher::call(call).of(UsageSync).next(20), verdict);
        let report = crooked.sync().await;
        let told = (&report["complete"], &report["readings_recorded"]);
        assert_eq!(
            told,
            (&json!(true), &json!(1)),
            "{call}, {verdict:?}: {report}"
        );
        // No fault of this case meets a call of the next.
        assert_eq!(
            campus.gate.unfired(),
            Vec::<String>::new(),
            "{call}, {verdict:?}"
        );
        campus.judged_after_sync().await;
    }
    campus.finish().await;
}

/// A foreign key without its `usage`, one of ours that cannot be disabled, and six that nobody was
/// shown and that wait for an admin who never comes: every night, for more than a month.
#[tokio::test]
async fn a_month_of_bad_keys_has_its_statement() {
    let mut campus = Campus::at("2026-10-30T00:20:00Z").await;
    let begins = campus.clock.now();
    campus.pump.stop().await;
    campus
        .programme("CS pilot", |settings| {
            settings.basis.reset = Reset::Weekly;
            settings.people.finance = vec![address("fin")];
        })
        .await;
    campus.students_with_keys(&["ada", "ben"]).await;
    campus.drain().await;
    campus.all_mails();
    let (ada, foreign) = (campus.key("ada"), campus.foreign("by hand"));
    (0..6).for_each(|_| drop(campus.foreign(&ada.name)));
    campus.spend_on(&foreign, "5");
    campus.revoke("ben").await;
    // It is not tried again on the same night.
    campus.gate.at(
        Matcher::call("provider:PATCH /keys/{hash}").every(),
        Fault::RetryAfter(500, 900),
    );
    let crooked = Crooked::before(&campus).await;
    crooked
        .bend(move |path, told| with_row(path, told, &foreign, |row| row["usage"] = Value::Null));
    let (mut told, mut reserved) = (Vec::new(), campus.reserved().await);
    for night in 1..=34 {
        campus
            .clock
            .stop_at(begins + SignedDuration::from_hours(24 * night))
            .unwrap();
        campus.spend_on(&ada.hash, "1");
        let report = crooked.sync().await;
        assert_eq!(report["complete"], night >= 3, "{report}");
        assert_eq!(
            campus.view("ada").await.readings[0].lifetime(),
            Usd::from_dollars(night as i32),
            "{report}"
        );
        let is_given_back = if night == 3 {
            38
        } else {
            33 * i32::from(night % 7 == 3)
        };
        reserved = reserved - Usd::from_dollars(is_given_back);
        assert_eq!(
            campus.reserved().await,
            reserved,
            "what a week did not need, night {night}"
        );
        if night <= 3 {
            let page = campus
                .admin()
                .await
                .get(ACCOUNT)
                .await
                .expect(200)
                .texts("warning")
                .join(" ");
            let named =
                page.contains("night after night") && page.contains(campus.id("ben").as_str());
            assert_eq!(named, night == 3, "{page}");
        }
        campus.drain().await;
        campus.hours(9);
        campus.look().await;
        campus.drain().await;
        for Got { contents, .. } in campus.all_mails() {
            assert!(
                !contents
                    .text
                    .unwrap()
                    .contains("obody knows what was spent"),
                "night {night}"
            );
            told.push(format!("{night}: {}", contents.subject));
        }
    }
    told.retain(|subject| !subject.contains("last week"));
    let expected = [
        "1: 6 keys would have been switched off, but Bursar waits for you",
        "1: CS pilot: your key was switched off",
        "1: OpenRouter has not switched off keys that should be off",
        "1: The check of 31 Oct 2026 is not complete: 4 problems",
        "2: The check of 1 Nov 2026 is not complete: 4 problems",
        "34: Statement of November 2026: $32.00",
    ];
    told.sort();
    assert_eq!(told, expected);
    campus.finish_faulted().await;
}
