//! Pages that fail, lie or never arrive, and writes that the table refuses for a while. What can be read is recorded, what is doubtful
//! is not, and its keys are named. A missing value never counts as zero.

use std::time::{Duration, SystemTime};

use bursar_core::config::Config;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName::UsageSync;
use bursar_tests::campus::Campus;
use bursar_tests::faults::{Fault, Matcher};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::crooked::{Crooked, Told, with_row};
use super::{changed, complete, problems, quiet, without_runs};

/// Three students who spend, and enough foreign keys for several pages, before a provider that can be bent.
async fn pages() -> (Campus, Crooked) {
    let campus = quiet(&["ada", "ben", "cat"]).await;
    ["ada", "ben", "cat"].iter().for_each(|name| campus.spend(name, "1"));
    (0..240).for_each(|number| drop(campus.foreign(&format!("other {number}"))));
    let crooked = Crooked::before(&campus).await;
    (campus, crooked)
}

async fn used(campus: &Campus) -> i64 {
    campus.table.totals(&campus.programme).await.unwrap().unwrap().used.credits.total().micros()
}

#[tokio::test]
async fn pages_that_break_off_are_asked_for_again() {
    let (campus, crooked) = pages().await;
    for verdict in [Fault::LoseAnswer, Fault::Status(502), Fault::Status(500), Fault::RetryAfter(429, 0), Fault::Before]
    {
        campus.gate.at(Matcher::call("provider:GET /keys").nth(2), verdict);
        let report = complete(&campus).await;
        assert_eq!(report["keys_listed"], 243, "{verdict:?}: {report}");
    }
    // The second page is at first a repetition of the first, and each has its rows in another order.
    let (mut first, mut times) = (None, 0);
    crooked.bend(move |path, told| {
        if !path.starts_with("/keys?") {
            return told;
        }
        if path.ends_with("offset=0") {
            first = Some(told.clone());
        }
        times += 1;
        let told = if times == 2 { first.clone().unwrap_or(told) } else { told };
        let mut page: Value = serde_json::from_str(&told.body).unwrap();
        page["data"].as_array_mut().unwrap().reverse();
        Told { body: page.to_string(), ..told }
    });
    let report = crooked.sync().await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(243)), "{report}");
    // Too many requests, in each form in which the provider says when to come back.
    let date = Timestamp::try_from(SystemTime::now()).unwrap().strftime("%a, %d %b %Y %H:%M:%S GMT").to_string();
    for (name, value) in [("retry-after", "0".to_owned()), ("retry-after", date), ("retry-after-ms", "5".to_owned())] {
        let mut is_first = true;
        crooked.bend(move |path, told| match path.starts_with("/keys?") && std::mem::take(&mut is_first) {
            true => {
                Told { status: 429, headers: vec![(name, value.clone())], body: String::new(), takes: Duration::ZERO }
            }
            false => told,
        });
        assert_eq!(crooked.sync().await["complete"], true, "{name}");
    }
    assert_eq!(used(&campus).await, 3_000_000);
    campus.finish().await;
}

#[tokio::test]
async fn a_page_that_never_comes_is_never_nothing() {
    let (campus, crooked) = pages().await;
    complete(&campus).await;
    let before = without_runs(&*campus.judged_after_sync().await);
    campus.spend("ada", "0.50");
    campus.minutes(1);
    // The first page is read, and the pages after it are refused.
    crooked.bend(|path, told| match path.starts_with("/keys?") && !path.contains("offset=0") {
        true => Told { status: 400, body: json!({"error": {"code": 400, "message": "no"}}).to_string(), ..told },
        false => told,
    });
    let report = crooked.sync().await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(false), &Value::Null), "{report}");
    assert_eq!(report["keys_missing"], 0, "{report}");
    assert!(problems(&report).contains("the keys could not all be listed"), "{report}");
    let run = campus.table.latest_run().await.unwrap().unwrap();
    assert!(!run.complete && run.report.contains("the keys could not all be listed"), "{run:?}");
    let mut changed = changed(&before, &*campus.judged().await);
    let told = ["alarm", "outbox", "person", "person-of-address", "reading"].map(|of| format!("\"kind\": S(\"{of}\")"));
    changed.retain(|line| !told.iter().any(|kind| line.contains(kind)));
    assert_eq!((changed, campus.enabled().len()), (Vec::<String>::new(), 3), "nothing is summed up or done");
    // Without the credits keys are read, and the balance and the residual are not known.
    let rule = campus.gate.at(Matcher::call("provider:GET /credits").every(), Fault::Status(400));
    let report = campus.sync().await;
    campus.gate.lift(rule);
    assert_eq!((&report["account_balance_usd"], &report["residual_usd"]), (&Value::Null, &Value::Null), "{report}");
    assert_eq!((&report["complete"], used(&campus).await), (&json!(false), 3_500_000), "{report}");
    complete(&campus).await;
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_doubtful_row_is_named_and_keeps_its_record() {
    let (campus, crooked) = pages().await;
    complete(&campus).await;
    let key = campus.key("ada").hash;
    let doubtful = [
        ("usage", json!(null)),
        ("usage", json!(-1)),
        ("usage", json!(0.999)),
        ("usage", json!(1e30)),
        ("usage", json!("much")),
        ("usage_daily", json!(-0.5)),
        ("limit", json!("none")),
        ("hash", json!("another")),
    ];
    for (turn, (field, value)) in (1_i64..).zip(doubtful) {
        campus.spend("ben", "0.01");
        let (bad, is_less) = (key.clone(), value == json!(0.999));
        crooked.bend(move |path, told| with_row(path, told, &bad, |row| row[field] = value.clone()));
        let report = crooked.sync().await;
        // A value below the record leaves the record; an unreadable one leaves a gap.
        let expected = if is_less { (json!(true), json!("0.000000")) } else { (json!(false), Value::Null) };
        assert_eq!((report["complete"].clone(), report["residual_usd"].clone()), expected, "{field}: {report}");
        assert_eq!((&report["readings_recorded"], &report["keys_missing"]), (&json!(1), &json!(0)), "{report}");
        assert!(problems(&report).contains(if field == "hash" { "without a hash" } else { &key }), "{report}");
        assert_eq!((used(&campus).await, campus.enabled().len()), (3_000_000 + 10_000 * turn, 3), "{report}");
        campus.judged().await;
    }
    // Over-precise and absent numbers are read as far as they tell.
    let (bad, before) = (key.clone(), used(&campus).await);
    crooked.bend(move |path, told| {
        with_row(path, told, &bad, |row| {
            row["usage"] = json!(1.000_000_1);
            row.as_object_mut().unwrap().retain(|field, _| !field.starts_with("byok") && field != "usage_daily");
        })
    });
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(used(&campus).await, before + 1, "what was spent rounds up");
    campus.provider().set_quirks(|quirks| quirks.absent_fields = vec!["workspace_id", "last_used_at", "usage_weekly"]);
    // A tenth of a micro-dollar less is no correction, since sums of binary floats differ by that much.
    let report = campus.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    assert_eq!(used(&campus).await, before + 1, "what is on record stands");
    campus.judged_after_sync().await;
    campus.finish().await;
}

#[tokio::test]
async fn a_refused_management_key_does_nothing() {
    let campus = Campus::with_keys(&["ada"]).await;
    complete(&campus).await;
    campus.provider().disable(&campus.key("ada").hash).unwrap();
    for (call, status, told) in [
        ("provider:GET /key", 401, "the management key does not work"),
        ("provider:GET /key", 403, "the management key does not work"),
        // For these, `GET /key` still says that the management key works.
        ("provider:GET /credits", 403, "status 403"),
        ("provider:GET /keys", 401, "status 401"),
        ("provider:GET /keys/{hash}", 401, "status 401"),
    ] {
        let before = campus.gate.calls().len();
        let rule = campus.gate.at(Matcher::call(call).every(), Fault::Status(status));
        let report = campus.sync().await;
        campus.gate.lift(rule);
        assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(false), &json!(0)), "{call}: {report}");
        assert!(problems(&report).contains(told), "{call}, {status}: {report}");
        let calls = campus.gate.calls().split_off(before);
        let reads = calls.iter().filter(|made| made.name.to_string() == "secretsmanager:GetSecretValue").count();
        assert!(status != 401 || call != "provider:GET /key" || reads == 1, "it is read once more");
        assert!(campus.grant("ada").await.live().is_some(), "{call}: {report}");
    }
    campus.settle().await;
    assert_eq!(campus.mails("account").len(), 1, "once a day");
    campus.finish().await;
}

#[tokio::test]
async fn a_write_that_is_refused_for_a_while_is_retried() {
    let campus = quiet(&["ada", "ben", "cat"]).await;
    let hasty = Crooked::configured(&campus, |config| Config { waits: Waits::shortened(20), ..config }).await;
    // Each verdict comes more often than the SDK retries. A write that is throttled for long is put back behind the others.
    for (turn, (call, verdict, times)) in (1..).zip([
        ("dynamodb:PutItem", Fault::Conflict, 20),
        ("dynamodb:PutItem", Fault::Throttle, 100),
        ("dynamodb:UpdateItem", Fault::Conflict, 20),
        ("dynamodb:UpdateItem", Fault::Throttle, 20),
    ]) {
        ["ada", "ben", "cat"].iter().for_each(|name| campus.spend(name, "1"));
        campus.foreign(&format!("made before {call} met {verdict:?}"));
        campus.gate.at(Matcher::call(call).of(UsageSync).next(times), verdict);
        let report = hasty.sync().await;
        let expected = [&json!(true), &json!(3), &json!(0)];
        let told = [&report["complete"], &report["readings_recorded"], &report["tries"]];
        assert_eq!(told, expected, "{call}, {verdict:?}: {report}");
        // No fault of this case meets a call of the next.
        assert_eq!(campus.gate.unfired(), Vec::<String>::new(), "{call}, {verdict:?}");
        let totals = campus.table.totals(&campus.programme).await.unwrap().unwrap();
        assert_eq!(totals.used.credits.total(), Usd::from_dollars(3 * turn), "{call}, {verdict:?}");
        campus.judged_after_sync().await;
    }
    campus.finish().await;
}
