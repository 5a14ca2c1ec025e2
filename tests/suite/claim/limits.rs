//! What the provider refuses before it asks a model, and what the pages say of it: what a hall may
//! cost at once, and what the last dollars of a cap do not pay for.

use bursar_core::domain::values::money::Usd;
use bursar_local::provider::Nano;
use bursar_tests::aws;
use bursar_tests::campus::{Campus, name_people};
use jiff::SignedDuration;
use serde_json::{Value, json};

const LARGE: &str = "anthropic/claude-opus-4.5";
const MEDIUM: &str = "anthropic/claude-sonnet-4.5";
const SMALL: &str = "openai/gpt-4o-mini";

/// What the provider answers to a question of so many characters.
struct Answered {
    status: u16,
    retry_after: Option<String>,
    error: Value,
}

impl Answered {
    fn message(&self) -> &str {
        self.error["message"].as_str().unwrap_or_default()
    }
}

async fn ask(
    campus: &Campus,
    key: &str,
    model: &str,
    max_tokens: Option<u32>,
    chars: usize,
) -> Answered {
    let mut body =
        json!({"model": model, "messages": [{"role": "user", "content": "x".repeat(chars)}]});
    if let Some(max_tokens) = max_tokens {
        body["max_tokens"] = max_tokens.into();
    }
    let url = format!("{}/chat/completions", campus.ready.provider);
    let answer = aws::http()
        .post(url)
        .bearer_auth(key)
        .json(&body)
        .send()
        .await
        .unwrap();
    let status = answer.status().as_u16();
    let retry_after = answer
        .headers()
        .get("retry-after")
        .map(|seconds| seconds.to_str().unwrap().to_owned());
    Answered {
        status,
        retry_after,
        error: answer.json::<Value>().await.unwrap()["error"].take(),
    }
}

/// A class of thirty asks at the same moment. The account's balance is ten dollars, so that a
/// dollar may be in flight: six answers of 16,384 tokens.
#[tokio::test]
async fn a_hall_is_told_to_wait() {
    let names = name_people(0..30);
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", |_| {}).await;
    campus.students(&names).await;
    let mut keys = Vec::new();
    for name in &names {
        keys.push(campus.reveal(&campus.student(name).await).await);
    }
    campus.provider().set_credits(Nano::usd(10)).unwrap();
    campus
        .provider()
        .set_quirks(|quirks| quirks.in_flight_budget = true);
    let mut refused = Vec::new();
    for (name, key) in names.iter().zip(&keys) {
        let answered = ask(&campus, key, "openai/gpt-4o", None, 100).await;
        if answered.status != 200 {
            refused.push((name, key, answered));
        }
    }
    assert_eq!(refused.len(), 24);
    let (name, key, answered) = &refused[0];
    assert_eq!(
        (answered.status, answered.retry_after.as_deref()),
        (402, Some("2"))
    );
    assert_eq!(
        answered.error["metadata"]["reason"],
        "in_flight_budget_exhausted"
    );
    assert_eq!(
        answered.error["metadata"]["limit_source"],
        "openrouter_in_flight_budget"
    );

    let student = campus.student(name).await;
    let my = student.get("/my").await.expect(200);
    assert_eq!(my.attribute("grant", "data-state").as_deref(), Some("live"));
    assert!(
        my.readable()
            .contains("Was a request refused? See what to do"),
        "{}",
        my.readable()
    );
    let help = student.get("/my/help").await.expect(200).readable();
    let (wording, _) = answered.message().split_once(". Retry after").unwrap();
    let (_, advice) = help.split_once(wording).expect(&help);
    assert!(
        advice
            .trim_start()
            .starts_with(": many ask at the same moment"),
        "{advice}"
    );

    // It passes with a length that is set, and for each after the time that it says.
    assert_eq!(ask(&campus, key, SMALL, Some(200), 100).await.status, 200);
    campus.clock.advance(SignedDuration::from_secs(2)).unwrap();
    assert_eq!(
        ask(&campus, key, "openai/gpt-4o", None, 100).await.status,
        200
    );
    // What alone could cost more than may be in flight never passes.
    let alone = ask(&campus, key, LARGE, None, 100).await;
    assert_eq!((alone.status, alone.retry_after.as_deref()), (402, None));
    let (wording, _) = alone.message().split_once(". Add credits").unwrap();
    let (_, advice) = help.split_once(wording).expect(&help);
    assert!(
        advice.trim_start().starts_with(", waiting does not help"),
        "{advice}"
    );
    campus.finish().await;
}

/// Half a dollar of twenty is left, and a coding agent asks for 80 cents' worth of answer of the
/// dearer of two models.
#[tokio::test]
async fn the_last_dollars_pay_for_a_cheaper_model() {
    let mut campus = Campus::open().await;
    campus
        .programme("CS pilot", |settings| {
            settings.rules.all.models = vec![SMALL.to_owned(), LARGE.to_owned()];
        })
        .await;
    campus.work().await;
    campus.students(&["ada"]).await;
    let ada = campus.student("ada").await;
    let key = campus.reveal(&ada).await;
    campus.sync().await;
    let my = ada.get("/my").await.expect(200).readable();
    assert!(!my.contains("Too little is left"), "{my}");

    campus.spend("ada", "19.50");
    campus.sync().await;
    let my = ada.get("/my").await.expect(200).readable();
    let told = "Too little is left for a coding agent with anthropic/claude-opus-4.5: it asks for 32,000 tokens with each request, which could \
                cost $0.80, and OpenRouter refuses that. It is enough for openai/gpt-4o-mini. You can also let answers be shorter";
    assert!(my.contains(told), "{my}");
    let help = ada.get("/my/help").await.expect(200).readable();
    for (max_tokens, chars, wording) in [
        (
            Some(32_000),
            100,
            "requires more credits, or fewer max_tokens. You requested up to 32000 tokens, but can only afford 19994.",
        ),
        (
            None,
            100,
            "requires more credits, or fewer max_tokens. You requested up to 64000 tokens, but can only afford 19994.",
        ),
        (
            Some(1),
            500_000,
            "Prompt tokens limit exceeded: 125003 > 100000.",
        ),
    ] {
        let answered = ask(&campus, &key, LARGE, max_tokens, chars).await;
        assert_eq!(
            (answered.status, &answered.error["metadata"]["limit_source"]),
            (402, &json!("openrouter_key_limit"))
        );
        assert!(
            answered.message().contains(wording),
            "{}",
            answered.message()
        );
        let (known, _) = wording.split_once(['.', ':']).unwrap();
        assert!(help.contains(known), "{known} is not in {help}");
    }
    for switch in ["CLAUDE_CODE_MAX_OUTPUT_TOKENS", "limit.output", "maxTokens"] {
        assert!(help.contains(switch), "{switch} is not in {help}");
    }
    assert_eq!(
        ask(&campus, &key, SMALL, Some(16_000), 100).await.status,
        200
    );
    campus.finish().await;
}

/// Where no models are named, those count that the class used in the last fourteen days.
#[tokio::test]
async fn what_the_class_used_lately_may_be_too_dear() {
    let mut campus = Campus::at("2026-11-09T12:00:00Z").await;
    campus
        .programme("CS pilot", |settings| settings.allowance.cap = Usd::DOLLAR)
        .await;
    campus.students_with_keys(&["ada", "bob"]).await;
    let spend = |name: &str, cents: i64, model: &str| {
        campus
            .provider()
            .spend(
                &campus.key(name).hash,
                Nano::micros(cents * 10_000),
                campus.clock.now(),
                model,
            )
            .unwrap();
    };
    spend("ada", 70, SMALL);
    campus.sync().await;
    let told = async |campus: &Campus| {
        let my = campus
            .student("ada")
            .await
            .get("/my")
            .await
            .expect(200)
            .readable();
        let (_, told) = my.split_once("Too little is left for a coding agent with ")?;
        Some(told.split_once(':').unwrap().0.to_owned())
    };
    assert_eq!(told(&campus).await, None);
    spend("bob", 1, MEDIUM);
    spend("bob", 1, "unknown/model");
    for (days, expected) in [(1, Some(MEDIUM)), (14, None)] {
        campus.hours(24 * days);
        campus.sync().await;
        assert_eq!(
            told(&campus).await.as_deref(),
            expected,
            "{days} days later"
        );
    }
    campus.finish().await;
}

/// Signs beside the models say what is dear, and from ten students on what a day of work cost here:
/// one day in ten less, and one more.
#[tokio::test]
async fn pages_say_what_is_dear() {
    let names = name_people(0..10);
    let mut campus = Campus::at("2026-11-09T12:00:00Z").await;
    let models = [MEDIUM, "google/gemini-2.5-flash", SMALL].map(str::to_owned);
    campus
        .programme("CS pilot", |settings| {
            settings.rules.all.models = models.to_vec();
        })
        .await;
    campus.work().await;
    campus.students(&names).await;
    campus.keys().await;
    for (cents, told) in [
        (&[10; 9][..], false),
        (&[1, 4, 10, 10, 10, 10, 10, 31, 31, 50], true),
    ] {
        for (name, cents) in names.iter().zip(cents) {
            campus.spend(name, &format!("0.{cents:02}"));
        }
        campus.hours(24);
        campus.sync().await;
        let my = campus
            .student(names[0])
            .await
            .get("/my")
            .await
            .expect(200)
            .readable();
        let overview = campus
            .admin()
            .await
            .get("/console/programmes/cs-pilot")
            .await
            .expect(200)
            .readable();
        let priced = "claude-sonnet-4.5 $$$, google/gemini-2.5-flash $$, openai/gpt-4o-mini $. Less than $2 for a";
        assert!(
            my.contains(priced) && overview.contains(priced),
            "{my}\n{overview}"
        );
        for (page, cost) in [
            (my, " cost 4 to 31 cents here"),
            (overview, " cost a student 4 to 31 cents"),
        ] {
            assert_eq!(page.contains(cost), told, "{page}");
            assert_eq!(
                page.to_lowercase().contains("a day of work"),
                told,
                "{page}"
            );
        }
    }
    let lists = campus
        .admin()
        .await
        .get("/console/tiers")
        .await
        .expect(200)
        .readable();
    let free = "meta-llama/llama-3.3-70b-instruct:free $. Less than $2";
    assert!(
        lists.contains(free) && lists.contains("a fixed number of requests a day"),
        "{lists}"
    );
    campus.finish().await;
}
