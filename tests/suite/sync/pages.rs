//! Pages that fail, lie or never arrive. What can be read is recorded, what is doubtful is not, and its keys
//! are named. A missing value never counts as zero.

use std::time::{Duration, SystemTime};

use bursar_core::deadline::Waits;
use bursar_core::domain::values::money::Usd;
use bursar_local::invoke::FunctionName;
use bursar_local::settle::LIMIT;
use bursar_tests::faults::{Fault, Matcher};
use bursar_tests::office::Office;
use bursar_tests::stack::{self, Setup, Stack};
use serde_json::{Value, json};

use super::crooked::{Crooked, Told, with_row};
use super::{
    ADMIN, foreign, hours, in_the_morning, invite, is_enabled, mint, problems, provider, rich, spend, sync, watch,
    without_runs,
};

/// A programme with three students who spend, and enough foreign keys for several pages.
async fn pages(stack: &Stack) -> (Office<'_>, Vec<String>) {
    let office = rich(stack).await;
    let mut keys = Vec::new();
    for name in ["ada", "ben", "cat"] {
        let grant = invite(stack, &office, name, None).await;
        keys.push(mint(stack, &office, &grant).await);
        spend(stack, &keys[keys.len() - 1], 1_000_000);
        for number in 0..80 {
            foreign(stack, &format!("between {name} and the next {number}"));
        }
    }
    (office, keys)
}

async fn used(office: &Office<'_>) -> Usd {
    office.table.totals(&office.programme).await.unwrap().unwrap().used.credits.total()
}

#[tokio::test]
async fn pages_that_break_off_or_are_not_the_providers_are_asked_for_again() {
    let stack = in_the_morning().await;
    let (office, _) = pages(&stack).await;
    for verdict in [
        Fault::LoseAnswer,
        Fault::LoseAnswer,
        Fault::Status(502),
        Fault::Status(500),
        Fault::RetryAfter(429, 0),
        Fault::Before,
    ] {
        stack.gate.at(Matcher::call("provider:GET /keys").nth(2), verdict);
        let report = sync(&stack).await;
        assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(243)), "{verdict}: {report}");
    }
    assert_eq!(used(&office).await, Usd::from_dollars(3));
    stack.finish().await;
}

#[tokio::test]
async fn a_page_that_never_comes_ends_nothing_and_is_never_nothing() {
    let stack = in_the_morning().await;
    let (office, keys) = pages(&stack).await;
    assert_eq!(sync(&stack).await["complete"], true);
    let mut watch = watch(&stack);
    let before = without_runs(watch.check_after_sync().await);
    spend(&stack, &keys[2], 500_000);
    // The first page is read, and the pages after it are refused.
    let crooked = Crooked::before(&stack).await;
    crooked.bend(|path, told| match path.starts_with("/keys?") && !path.contains("offset=0") {
        true => Told { status: 400, body: json!({"error": {"code": 400, "message": "no"}}).to_string(), ..told },
        false => told,
    });
    let report = crooked.sync().await;
    assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(false), &Value::Null), "{report}");
    assert_eq!((&report["keys_missing"], &report["readings_recorded"]), (&json!(0), &json!(1)), "{report}");
    assert!(problems(&report).contains("the keys could not all be listed"), "{report}");
    let seen = watch.check().await;
    let told =
        ["alarm", "outbox", "person", "person-of-address", "reading"].map(|kind| format!("\"kind\": S(\"{kind}\")"));
    let mut changed = super::changed(&before, seen);
    changed.retain(|line| !told.iter().any(|kind| line.contains(kind)));
    assert_eq!(changed, Vec::<String>::new());
    assert!(keys.iter().all(|key| is_enabled(&stack, key)));
    crooked.straighten();
    assert_eq!(crooked.sync().await["complete"], true);
    assert_eq!(used(&office).await, Usd::from_micros(3_500_000));
    watch.check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn the_same_page_again_and_pages_out_of_order_lose_no_key() {
    let stack = in_the_morning().await;
    let (_, _) = pages(&stack).await;
    let crooked = Crooked::before(&stack).await;
    let (mut first, mut times) = (None, 0);
    crooked.bend(move |path, told| {
        if !path.starts_with("/keys?") {
            return told;
        }
        if path.ends_with("offset=0") {
            first = Some(told.clone());
        }
        // The second page is at first a repetition of the first, and each has its rows in another order.
        times += 1;
        let told = if times == 2 { first.clone().unwrap_or(told) } else { told };
        let mut page: Value = serde_json::from_str(&told.body).unwrap();
        page["data"].as_array_mut().unwrap().reverse();
        Told { body: page.to_string(), ..told }
    });
    let report = crooked.sync().await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(243)), "{report}");
    stack.finish().await;
}

#[tokio::test]
async fn a_row_with_doubtful_numbers_is_named_and_keeps_what_is_on_record_and_the_others_are_recorded() {
    let stack = in_the_morning().await;
    let (office, keys) = pages(&stack).await;
    let crooked = Crooked::before(&stack).await;
    assert_eq!(crooked.sync().await["complete"], true);
    let mut watch = watch(&stack);
    watch.check_after_sync().await;
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
        spend(&stack, &keys[1], 10_000);
        let (bad, of, value_is_less) = (keys[0].clone(), field, value == json!(0.999));
        crooked.bend(move |path, told| with_row(path, told, &bad, |row| row[of] = value.clone()));
        let report = crooked.sync().await;
        let tell = format!("turn {turn}, {field}: {report}");
        // A value below the record leaves the record; an unreadable one leaves a gap.
        let expected = if value_is_less { (json!(true), json!("0.000000")) } else { (json!(false), Value::Null) };
        assert_eq!((report["complete"].clone(), report["residual_usd"].clone()), expected, "{tell}");
        assert_eq!((&report["readings_recorded"], &report["keys_missing"]), (&json!(1), &json!(0)), "{tell}");
        let named = if field == "hash" { "without a hash" } else { keys[0].as_str() };
        assert!(problems(&report).contains(named), "{tell}");
        assert_eq!(used(&office).await, Usd::from_micros(3_000_000 + 10_000 * turn), "{tell}");
        assert!(is_enabled(&stack, &keys[0]));
        watch.check().await;
    }
    crooked.straighten();
    assert_eq!(crooked.sync().await["complete"], true);
    watch.check_after_sync().await;
    stack.finish().await;
}

#[tokio::test]
async fn over_precise_and_absent_numbers_are_read_as_far_as_they_tell() {
    let stack = in_the_morning().await;
    let (office, keys) = pages(&stack).await;
    let crooked = Crooked::before(&stack).await;
    let bad = keys[0].clone();
    crooked.bend(move |path, told| {
        with_row(path, told, &bad, |row| {
            row["usage"] = json!(1.0000001);
            row.as_object_mut().unwrap().retain(|field, _| !field.starts_with("byok") && field != "usage_daily");
        })
    });
    let report = crooked.sync().await;
    assert_eq!(report["complete"], true, "{report}");
    assert_eq!(used(&office).await, Usd::from_micros(3_000_001), "what was spent rounds up");
    provider(&stack).set_quirks(|quirks| quirks.absent_fields = vec!["workspace_id", "last_used_at", "usage_weekly"]);
    crooked.straighten();
    // A tenth of a micro-dollar less is no correction, since sums of binary floats differ by that much.
    let report = crooked.sync().await;
    assert_eq!((&report["complete"], &report["problems"]), (&json!(true), &json!([])), "{report}");
    assert_eq!(used(&office).await, Usd::from_micros(3_000_001), "what is on record stands");
    stack.finish().await;
}

#[tokio::test]
async fn too_many_requests_are_asked_again_when_the_provider_says_in_each_form_in_which_it_says_so() {
    let stack = in_the_morning().await;
    let _office = pages(&stack).await;
    let crooked = Crooked::before(&stack).await;
    let refused = |name, value| {
        let body = json!({"error": {"code": 429, "message": "slow down"}}).to_string();
        Told { status: 429, headers: vec![(name, value)], body, takes: Duration::ZERO }
    };
    let date = httpdate(SystemTime::now());
    for (name, value) in [("retry-after", "0".to_owned()), ("retry-after", date), ("retry-after-ms", "5".to_owned())] {
        let (mut left, value_of) = (1, value.clone());
        crooked.bend(move |path, told| {
            let is_it = path.starts_with("/keys?") && left > 0;
            left -= i32::from(is_it);
            if is_it { refused(name, value_of.clone()) } else { told }
        });
        let report = crooked.sync().await;
        assert_eq!(report["complete"], true, "{name}: {value}: {report}");
    }
    // The delay is longer than an invocation, so the next one continues.
    crooked.bend(move |path, told| {
        let is_late = path.starts_with("/keys?") && !path.ends_with("offset=0");
        if is_late { refused("retry-after", "1200".to_owned()) } else { told }
    });
    let report = crooked.sync().await;
    assert!(report["complete"] == false && problems(&report).contains("the run goes on"), "{report}");
    crooked.straighten();
    stack.clock.advance(hours(1)).unwrap();
    let report = crooked.within(std::time::Duration::from_secs(900), json!({"task": "resume"})).await.unwrap();
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(243)), "{report}");
    stack.finish().await;
}

fn httpdate(time: SystemTime) -> String {
    let time = jiff::Timestamp::try_from(time).unwrap();
    time.strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

#[tokio::test]
async fn a_refused_management_key_is_told_as_that_and_nothing_is_done_or_missing() {
    let stack = stack::of(Setup { waits: Waits::shortened(20), ..Setup::default() }).await.unwrap();
    let office = Office::open(&stack).await;
    let ada = office.invite("ada@x.edu").await;
    let key = office.claim(&ada).await;
    assert_eq!(sync(&stack).await["complete"], true);
    provider(&stack).disable(&key).unwrap();
    for (number, (call, status, told)) in [
        ("provider:GET /key", 401, "the management key does not work"),
        ("provider:GET /key", 403, "the management key does not work"),
        // For these, `GET /key` still says that the management key works.
        ("provider:GET /credits", 403, "status 403"),
        ("provider:GET /keys", 401, "status 401"),
        ("provider:GET /keys/{hash}", 401, "status 401"),
    ]
    .into_iter()
    .enumerate()
    {
        let reads = |stack: &Stack| {
            let calls = stack.gate.calls().into_iter().map(|made| made.call);
            let of_sync = calls.filter(|call| call.function == FunctionName::UsageSync);
            of_sync.filter(|call| call.name.to_string() == "secretsmanager:GetSecretValue").count()
        };
        let before = reads(&stack);
        let rule = stack.gate.at(Matcher::call(call).every(), Fault::Status(status));
        let report = sync(&stack).await;
        stack.gate.lift(rule);
        let tell = format!("{call}, {status}: {report}");
        assert_eq!((&report["complete"], &report["keys_missing"]), (&json!(false), &json!(0)), "{tell}");
        assert!(problems(&report).contains(told), "{tell}");
        assert!(number > 0 || reads(&stack) == before + 1, "it is read once more: {tell}");
        let live = office.table.grant(&office.programme, &ada).await.unwrap().unwrap();
        assert!(live.live().is_some(), "{tell}");
    }
    stack.settle.settle(LIMIT).await.unwrap();
    let told: Vec<_> = stack.ses.unread().into_iter().filter(|mail| mail.to.contains(&ADMIN.to_owned())).collect();
    assert_eq!(told.len(), 1, "once a day");
    stack.finish().await;
}

#[tokio::test]
async fn without_the_credits_keys_are_read_and_the_balance_and_the_residual_are_not_known() {
    let stack = in_the_morning().await;
    let (office, _) = pages(&stack).await;
    let rule = stack.gate.at(Matcher::call("provider:GET /credits").every(), Fault::Status(400));
    let report = sync(&stack).await;
    stack.gate.lift(rule);
    assert_eq!((&report["account_balance_usd"], &report["residual_usd"]), (&Value::Null, &Value::Null), "{report}");
    assert_eq!((&report["complete"], &report["readings_recorded"]), (&json!(false), &json!(3)), "{report}");
    assert_eq!(used(&office).await, Usd::from_dollars(3));
    stack.finish().await;
}
