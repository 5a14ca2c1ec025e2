//! Spending by model: what nightly syncs record of each day, for whom, and what they do where the
//! provider tells less than all.

use bursar_core::domain::programme::Programme;
use std::collections::BTreeMap;

use bursar_core::domain::grant::Grant;
use bursar_core::domain::usage::models::{ModelUse, NOT_BY_MODEL, Sums};
use bursar_core::domain::values::format::long_date;
use bursar_core::domain::values::id::{GrantBytes, GrantId};
use bursar_core::store::{ModelDay, ModelRows};
use bursar_local::provider::Nano;
use bursar_tests::campus::{Campus, address};
use bursar_tests::faults::{Fault, Matcher};
use jiff::ToSpan;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::sync::crooked::{Crooked, Told};

const QUERY: &str = "provider:POST /analytics/query";
const SMALL: &str = "openai/gpt-4o-mini";
const LARGE: &str = "anthropic/claude-sonnet-4.5";
const A_DAY: i64 = 24 * 60;
/// The first day of every story.
const FIRST: Date = Date::constant(2026, 11, 9);

/// The noon of the first day, with Ada of group A and Bob of none.
async fn class() -> Campus {
    let mut campus = Campus::at("2026-11-09T12:00:00Z").await;
    campus.programme("CS pilot", |_| {}).await;
    campus.student_in("ada", Some("A")).await;
    campus.students_with_keys(&["bob"]).await;
    campus
}

fn spend(campus: &Campus, name: &str, micros: i64, model: &str) {
    spend_with(campus, &campus.key(name).hash, micros, model);
}

fn spend_with(campus: &Campus, key: &str, micros: i64, model: &str) {
    campus
        .provider()
        .spend(key, Nano::micros(micros), campus.clock.now(), model)
        .unwrap();
}

fn day(after: i64) -> Date {
    FIRST.saturating_add(after.days())
}

/// The problems that the run after a night reports.
async fn night(campus: &Campus) -> String {
    campus.minutes(A_DAY);
    campus.sync().await["problems"].to_string()
}

/// What is on record of a day: of the programmes by group, of none by name, and by model with the
/// requests.
async fn recorded(campus: &Campus, of: Date) -> Vec<String> {
    let programmes = campus
        .table
        .list(Programme::all())
        .await
        .unwrap()
        .into_iter()
        .map(|programme| Some(programme.id));
    let mut lines = Vec::new();
    for programme in [None].into_iter().chain(programmes) {
        let days = campus
            .table
            .list(ModelDay::between(programme.as_ref(), (of, of)))
            .await
            .unwrap();
        let programme = programme.map_or("none".to_owned(), |programme| programme.to_string());
        for ModelUse { whose, model, used } in days.into_iter().flat_map(|day| day.uses) {
            let whose = whose.as_deref().unwrap_or("-").split('/').next().unwrap();
            lines.push(format!(
                "{programme} {whose} {model} {} by {}",
                used.spent.micros(),
                used.requests
            ));
        }
    }
    lines.sort();
    lines
}

fn asked(campus: &Campus) -> usize {
    campus
        .gate
        .calls()
        .iter()
        .filter(|made| made.name.to_string() == QUERY)
        .count()
}

/// A night after which the provider's answer about models is bent on its way.
async fn bent_night(campus: &Campus, bend: impl Fn(&mut Value) + Send + 'static) -> String {
    campus.minutes(A_DAY);
    let crooked = Crooked::before(&campus.stack).await;
    crooked.bend(move |path, told| {
        if path != "/analytics/query" {
            return told;
        }
        let mut body = serde_json::from_str(&told.body).unwrap();
        bend(&mut body);
        Told {
            body: body.to_string(),
            ..told
        }
    });
    crooked.sync().await["problems"].to_string()
}

#[tokio::test]
async fn each_day_is_told_apart_though_nights_were_missed() {
    let mut campus = class().await;
    let (ada, bob) = (campus.key("ada").hash, campus.key("bob").hash);
    let grants = ["ada", "bob"].map(|name| campus.id(name).clone());
    campus.programme("Seminar", |_| {}).await;
    campus.student_in("eve", Some("A")).await;
    campus.keys().await;
    let laptop = campus.foreign("prof-laptop");
    let elsewhere =
        campus.foreign("bursar/fedcba9876/cs-pilot/0123456789abcdef/1-0123456789abcdef");
    for (key, micros, model) in [
        (&ada, 1_000_000, SMALL),
        (&ada, 500_000, SMALL),
        (&bob, 250_000, LARGE),
    ] {
        spend_with(&campus, key, micros, model);
    }
    campus.minutes(A_DAY);
    spend_with(&campus, &ada, 2_000_000, LARGE);
    spend_with(&campus, &laptop, 70_000, SMALL);
    campus.minutes(A_DAY);
    spend(&campus, "eve", 3_000_000, LARGE);
    spend_with(&campus, &elsewhere, 40_000, SMALL);
    campus.minutes(A_DAY);
    spend_with(&campus, &ada, 9_000_000, SMALL);
    campus.sync().await;
    let first = campus.judged_after_sync().await;
    campus.sync().await;
    let second = campus.judged_after_sync().await;
    assert_eq!(
        asked(&campus),
        1,
        "one query for all days, which no other run of the day repeats"
    );
    let of_models = |seen: &bursar_tests::invariants::Snapshot| {
        let is_of_models = |kind: &str| ["model-day", "model-rows"].contains(&kind);
        let items = seen
            .items
            .iter()
            .filter(|(_, item)| item["kind"].as_s().is_ok_and(|kind| is_of_models(kind)));
        items
            .map(|(key, item)| (key.clone(), item.clone()))
            .collect::<Vec<_>>()
    };
    assert_eq!(of_models(&first), of_models(&second));
    let expected: [&[String]; 3] = [
        &[
            format!("cs-pilot - {LARGE} 250000 by 1"),
            format!("cs-pilot A {SMALL} 1500000 by 2"),
        ],
        &[
            format!("cs-pilot A {LARGE} 2000000 by 1"),
            format!("none prof-laptop {SMALL} 70000 by 1"),
        ],
        &[
            format!("none bursar {SMALL} 40000 by 1"),
            format!("seminar A {LARGE} 3000000 by 1"),
        ],
    ];
    for (after, expected) in (0..).zip(expected) {
        assert_eq!(recorded(&campus, day(after)).await, expected, "{after}");
    }

    // What each grant used is kept by its id, and expires with the retention.
    let now = campus.clock.now();
    let kept = campus.table.model_rows(FIRST, now).await.unwrap();
    let of_model = |(model, grants): (&String, &BTreeMap<GrantBytes, Sums>)| {
        let (grant, used) = grants.first_key_value().unwrap();
        (
            GrantId::of_bytes(grant),
            model.clone(),
            used.spent.micros(),
            grants.len(),
        )
    };
    let told: Vec<_> = kept.values().flatten().map(of_model).collect();
    let [ada_s, bob_s] = grants;
    assert_eq!(
        told,
        [
            (bob_s, LARGE.to_owned(), 250_000, 1),
            (ada_s, SMALL.to_owned(), 1_500_000, 1)
        ]
    );
    assert!(
        campus
            .table
            .model_rows(FIRST, now + (24 * 401).hours())
            .await
            .unwrap()
            .is_empty(),
        "however late it goes"
    );
    let last = day(400)
        .to_zoned(TimeZone::UTC)
        .unwrap()
        .timestamp()
        .as_second()
        .to_string();
    let rows = second
        .items
        .values()
        .filter(|item| item["kind"].as_s().is_ok_and(|kind| kind == "model-rows"));
    assert!(rows.into_iter().any(|item| item["ttl"].as_n() == Ok(&last)));

    // Of a day whose rows are not kept any more a report by person knows the money alone.
    let report = async |by: &str| {
        let path = format!(
            "/console/programmes/seminar/report?from={0}&to={0}&by={by}",
            day(2)
        );
        let page = campus.admin().await.get(&path).await.expect(200);
        let unknown = format!(
            "Models and numbers of requests are not known of {}.",
            long_date(day(2))
        );
        (
            page.one("report-total").get("data-usd").to_owned(),
            page.texts("report-note").contains(&unknown),
        )
    };
    let whole = ("3.000000".to_owned(), false);
    assert_eq!(
        [report("model").await, report("person").await],
        [whole.clone(), whole.clone()]
    );
    let rows = ModelRows::key_of(day(2), 0);
    campus.raw().delete(&rows.pk, &rows.sk).await;
    assert_eq!(
        [report("model").await, report("person").await],
        [whole, ("3.000000".to_owned(), true)]
    );

    // Late use: the answer to a request of the day before, which took until now.
    campus
        .provider()
        .spend(&bob, Nano::micros(30_000), now - 24.hours(), SMALL)
        .unwrap();
    night(&campus).await;
    assert_eq!(
        recorded(&campus, day(2)).await[0],
        format!("cs-pilot - {SMALL} 30000 by 1")
    );
    // Of days before the last week that nobody asked for it is on record that nothing is known.
    campus.minutes(10 * A_DAY);
    campus.sync().await;
    let state = campus.table.sync_state().await.unwrap();
    assert_eq!(
        (&state.models_missed[..], state.models_until),
        (&[(day(4), day(6))][..], Some(day(13)))
    );
    campus.finish().await;
}

#[tokio::test]
async fn what_an_answer_lacks_is_told_as_of_no_model_and_made_up_for() {
    let campus = class().await;
    for (name, micros, model) in [
        ("ada", 3_000_000, LARGE),
        ("bob", 2_000_000, LARGE),
        ("ada", 30_000, SMALL),
        ("bob", 20_000, SMALL),
    ] {
        spend(&campus, name, micros, model);
    }
    // The answer is cut off, so the readings say how much the rest is.
    let cut_off = bent_night(&campus, |body| {
        body["data"]["data"].as_array_mut().unwrap().truncate(2);
        body["data"]["metadata"] = json!({"row_count": 2, "truncated": true});
    })
    .await;
    assert!(
        cut_off.contains("the provider left the smallest rows of what was used by model out"),
        "{cut_off}"
    );
    let large = [
        format!("cs-pilot - {LARGE} 2000000 by 1"),
        format!("cs-pilot A {LARGE} 3000000 by 1"),
    ];
    let small = [
        format!("cs-pilot - {SMALL} 20000 by 1"),
        format!("cs-pilot A {SMALL} 30000 by 1"),
    ];
    assert_eq!(recorded(&campus, FIRST).await, large);
    let overview = campus
        .admin()
        .await
        .get("/console/programmes/cs-pilot")
        .await
        .expect(200);
    let rest = overview
        .all("model")
        .into_iter()
        .find(|line| line.get("data-model") == NOT_BY_MODEL)
        .unwrap();
    assert_eq!(rest.get("data-spent-usd"), "0.050000");
    // The next night's answer is complete.
    spend(&campus, "ada", 1_000_000, SMALL);
    let mut whole = [large, small].concat();
    whole.sort();
    let warned = bent_night(&campus, |body| {
        body["data"]["warnings"] = json!(["the last hour is not in it"]);
    })
    .await;
    assert!(
        warned.contains("the provider warns: the last hour is not in it"),
        "{warned}"
    );
    assert_eq!(recorded(&campus, FIRST).await, whole);
    // What is on record gives way to no answer that has less of it.
    let emptied = bent_night(&campus, |body| {
        *body = json!({"data": {"data": [], "metadata": {"row_count": 0}}});
    })
    .await;
    assert!(
        emptied.contains(&format!(
            "less of what was used by model on {} than before",
            day(1)
        )),
        "{emptied}"
    );
    assert_eq!(
        recorded(&campus, day(1)).await,
        [format!("cs-pilot A {SMALL} 1000000 by 1")]
    );
    campus.finish().await;
}

#[tokio::test]
async fn what_was_used_meanwhile_is_told_later() {
    let campus = class().await;
    // The analytics fail, which stops no run.
    for (after, status) in [(0, 408), (1, 500)] {
        spend(&campus, "ada", 1_000_000, SMALL);
        let rule = campus.gate.at(
            Matcher::call(QUERY).every(),
            Fault::RetryAfter(status, 3_600),
        );
        campus.minutes(A_DAY);
        let report = campus.sync().await;
        assert_eq!(report["complete"], true, "{report}");
        assert!(
            report["problems"]
                .to_string()
                .contains("what was used by model could not be read"),
            "{report}"
        );
        assert!(recorded(&campus, day(after)).await.is_empty());
        campus.gate.lift(rule);
        assert!(
            !campus.sync().await["problems"]
                .to_string()
                .contains("by model")
        );
        assert_eq!(
            recorded(&campus, day(after)).await,
            [format!("cs-pilot A {SMALL} 1000000 by 1")]
        );
    }

    // A grant cannot be read.
    spend(&campus, "ada", 1_000_000, SMALL);
    let place = Grant::key_of(&campus.programme, campus.id("ada")).item_key;
    let whole = campus.judged().await.items[&(place.pk, place.sk)].clone();
    let mut broken = whole.clone();
    broken.remove("state");
    campus.raw().put(broken).await;
    campus.minutes(A_DAY);
    assert_eq!(campus.sync().await["complete"], false);
    assert_eq!(
        recorded(&campus, day(2)).await,
        [format!("none bursar {SMALL} 1000000 by 1")]
    );
    campus.raw().put(whole).await;
    assert_eq!(campus.sync().await["complete"], true);
    assert_eq!(
        recorded(&campus, day(2)).await,
        [format!("cs-pilot A {SMALL} 1000000 by 1")]
    );
    campus.finish().await;
}

/// A class whose faculty is Faye, and which may call two models and calls both.
async fn calling(names: &[&'static str]) -> Campus {
    let mut campus = Campus::at("2026-11-09T12:00:00Z").await;
    let named: Vec<String> = names.iter().map(ToString::to_string).collect();
    let faye = || vec![address("faye")];
    campus
        .programme("Seminar", |settings| {
            settings.people.faculty = faye();
            settings.rules.all.models = vec![SMALL.to_owned()];
        })
        .await;
    campus
        .programme("CS pilot", |settings| {
            settings.people.faculty = faye();
            settings.rules.all.models = named;
        })
        .await;
    campus.work().await;
    campus.students_with_keys(&["ada"]).await;
    spend(&campus, "ada", 1_000_000, SMALL);
    spend(&campus, "ada", 1_000_000, LARGE);
    campus.minutes(A_DAY);
    campus.sync().await;
    campus.settle().await;
    campus.all_mails();
    campus
}

/// The subjects of the mails about models after a night, which another run adds none to.
async fn told_of_models(campus: &Campus, days: i64) -> Vec<String> {
    campus.minutes(days * A_DAY);
    for _ in 0..2 {
        campus.sync().await;
    }
    campus.settle().await;
    campus.subjects("model")
}

#[tokio::test]
async fn a_model_that_ends_is_told_twice() {
    let campus = calling(&[SMALL, LARGE]).await;
    let ends = |campus: &Campus, day: Date| {
        campus.provider().set_quirks(|quirks| {
            quirks.expiration_dates.insert(LARGE, day);
        });
    };
    ends(&campus, day(42));
    assert_eq!(
        told_of_models(&campus, 10).await,
        [""; 0],
        "there is more than a month"
    );
    let subject = |day: &str| format!("CS pilot: {LARGE} ends on {day}");
    assert_eq!(told_of_models(&campus, 1).await, [subject("21 Dec 2026")]);
    assert_eq!(told_of_models(&campus, 1).await, [""; 0]);
    // Another day is news.
    ends(&campus, day(35));
    assert_eq!(told_of_models(&campus, 1).await, [subject("14 Dec 2026")]);
    spend(&campus, "ada", 1_000, LARGE);
    for days in [1, 12] {
        assert_eq!(told_of_models(&campus, days).await, [""; 0]);
    }
    assert_eq!(told_of_models(&campus, 1).await, [subject("14 Dec 2026")]);
    let names = async |campus: &Campus| {
        let my = campus
            .student("ada")
            .await
            .get("/my")
            .await
            .expect(200)
            .readable();
        [SMALL, LARGE].map(|model| my.contains(model))
    };
    assert_eq!(names(&campus).await, [true, true]);
    assert_eq!(
        told_of_models(&campus, 7).await,
        [""; 0],
        "it went as was said"
    );
    assert_eq!(names(&campus).await, [true, false]);
    // The other one was not used for four weeks, so that nobody hears of it, but it is named no
    // more.
    campus.provider().set_quirks(|quirks| {
        quirks.vanished.insert(SMALL);
    });
    assert_eq!(told_of_models(&campus, 1).await, [""; 0]);
    assert_eq!(names(&campus).await, [false, false]);
    let my = campus.student("ada").await.get("/my").await.readable();
    assert!(
        my.contains("OpenRouter does not offer any of the models that this key may call any more."),
        "{my}"
    );
    campus.finish().await;
}

/// A list that cannot be read, or is cut, is no vanishing.
#[tokio::test]
async fn a_model_that_vanishes_is_told_that_night() {
    let campus = calling(&[]).await;
    let rule = campus.gate.at(
        Matcher::call("provider:GET /models").every(),
        Fault::Status(500),
    );
    assert_eq!(told_of_models(&campus, 1).await, [""; 0]);
    campus.gate.lift(rule);
    campus.minutes(A_DAY);
    let crooked = Crooked::before(&campus.stack).await;
    crooked.bend(|path, told| {
        if path != "/models" {
            return told;
        }
        let mut body: Value = serde_json::from_str(&told.body).unwrap();
        body["data"].as_array_mut().unwrap().truncate(2);
        Told {
            body: body.to_string(),
            ..told
        }
    });
    let problems = crooked.sync().await["problems"].to_string();
    assert!(
        problems.contains("7 of 9 models are not listed any more"),
        "{problems}"
    );
    assert_eq!(told_of_models(&campus, 1).await, [""; 0]);
    campus.provider().set_quirks(|quirks| {
        quirks.vanished.insert(SMALL);
    });
    assert_eq!(
        told_of_models(&campus, 1).await,
        [format!("CS pilot: {SMALL} is gone from OpenRouter")]
    );
    // It was the one of the examples.
    let my = campus.student("ada").await.get("/my").await;
    assert!(!my.body.contains(SMALL), "{}", my.readable());
    assert_eq!(told_of_models(&campus, 1).await, [""; 0]);
    campus.finish_faulted().await;
}
