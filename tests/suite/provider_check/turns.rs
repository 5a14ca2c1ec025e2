//! Each assumption both ways: one account in which it holds, and one in which it does not.

use std::collections::BTreeMap;

use bursar_local::provider::{Cents, Differ, Nano, Quirks, Rate};
use http::{Method, StatusCode};
use jiff::SignedDuration;
use provider_check::assumptions::*;
use provider_check::{Finding, Findings, MODEL};
use serde_json::{Value, json};

use super::world::{After, Asked, Before, Told, World};

/// How the account of a run differs from the simulator's defaults.
#[derive(Clone, Copy)]
enum Account {
    AsItIs,
    With(fn(&mut Quirks)),
    /// Its answers are changed on their way.
    Telling(After),
    /// Some calls are answered otherwise, besides.
    Answering(Before, After),
    /// It holds more than a page of keys.
    Crowded,
}

use Account::{Answering, AsItIs, Crowded, Telling, With};

/// An assumption, an account in which it holds, and one in which it does not.
type Turn = (&'static Assumption, Account, Account);

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const CHAT: &str = "chat/completions";

static TURNS: [Turn; 48] = [
    (&DISABLE_BINDS, AsItIs, With(|quirks| quirks.disable_latency = 1_000)),
    (
        &DISABLED_IS_401,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::POST, CHAT) && told.status == 401 {
                told.status = 403;
            }
        }),
    ),
    (&LIMIT_BINDS, AsItIs, Telling(|asked, told| pass_in_place_of("Key limit exceeded", asked, told))),
    (&REMAINING_NEGATIVE, AsItIs, With(|quirks| quirks.remaining_clamped = true)),
    (
        &PATCH_SEEN,
        AsItIs,
        Telling(|asked, told| {
            let patched = asked.last(|call| call.is(&Method::PATCH, "keys/*"));
            if asked.is(&Method::GET, "keys/*") && patched.is_some_and(|patch| patch.body["limit"] == 0.009_999) {
                told.body["data"]["limit"] = json!(0.01);
            }
        }),
    ),
    (&FOUND_AT_ONCE, AsItIs, With(|quirks| quirks.found_after = SignedDuration::from_secs(5))),
    (
        &LISTED_AT_ONCE,
        AsItIs,
        Telling(|asked, told| {
            let since = asked.earlier.iter().skip_while(|call| !call.is(&Method::POST, "keys"));
            let looks = since.clone().filter(|call| call.is(&Method::GET, "keys")).count();
            if asked.is(&Method::GET, "keys") && since.clone().next().is_some() && looks < 2 {
                rows(told).clear();
            }
        }),
    ),
    (&DISABLED_HIDDEN, AsItIs, With(|quirks| quirks.include_disabled_by_default = true)),
    (&RULES_BIND, AsItIs, Telling(|asked, told| pass_in_place_of("guardrail restrictions", asked, told))),
    (
        &RULES_LIFTED,
        AsItIs,
        Answering(
            |asked| {
                let lifted = asked.last(|call| call.is(&Method::PATCH, "guardrails/*"));
                let is_there = asked.last(|call| call.is(&Method::DELETE, "guardrails/*")).is_none();
                let is_refused = asked.is(&Method::POST, CHAT) && lifted.is_some() && is_there;
                is_refused.then(|| Told::refused(403, "not this model"))
            },
            |_, _| {},
        ),
    ),
    (&REGIONS_BIND, AsItIs, Telling(pass_in_any_region)),
    (&UNKNOWN_SKIPPED, AsItIs, With(|quirks| quirks.partial_assignment = false)),
    (&REASSIGNED_COUNTED, AsItIs, With(|quirks| quirks.reassignment_counted = false)),
    (&PACE, AsItIs, With(|quirks| put_off(quirks, true))),
    (&RETRY_AFTER, With(|quirks| put_off(quirks, true)), With(|quirks| put_off(quirks, false))),
    (
        &LIMIT_NEAR,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::PATCH, "keys/*") {
                told.body["data"]["limit"] = json!(0.02);
            }
        }),
    ),
    (&LIMIT_DIGITS, AsItIs, With(|quirks| quirks.limit_cents = Some(Cents::Up))),
    (&KEY_SETTLES, AsItIs, With(|quirks| quirks.lag.key = HOUR)),
    (&LISTING_SETTLES, AsItIs, With(|quirks| quirks.lag.listing = HOUR)),
    (&CREDITS_SETTLE, AsItIs, With(|quirks| quirks.lag.credits = HOUR)),
    (&COUNTERS_AGREE, AsItIs, With(|quirks| quirks.listed_counters = Some(Differ::Tail))),
    (
        &GONE_IS_JSON,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "keys/*") && told.status == 404 {
                told.body = json!("<html>Not found</html>");
            }
        }),
    ),
    (
        &MANAGEMENT_TOLD,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "key") {
                leave_out(told, &["is_management_key", "is_provisioning_key"]);
            }
        }),
    ),
    (&ORDINARY_CREDITS, With(|quirks| quirks.credits_zero_for_ordinary_keys = false), AsItIs),
    (
        &CREDITS_TOLD,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "credits") {
                leave_out(told, &["total_usage"]);
            }
        }),
    ),
    (&WORKSPACES_LISTED, AsItIs, With(|quirks| quirks.workspaces_listed = false)),
    (
        &KEY_IN_WORKSPACE,
        AsItIs,
        Telling(|asked, told| {
            made(asked, told, |data| data["workspace_id"] = json!("11111111-1111-4111-8111-111111111111"));
        }),
    ),
    (
        &PLAINTEXT_ON_TOP,
        AsItIs,
        Telling(|asked, told| {
            let plaintext = told.body["key"].clone();
            made(asked, told, |data| data["key"] = plaintext.clone());
            if asked.is(&Method::POST, "keys") {
                told.body["key"] = Value::Null;
            }
        }),
    ),
    (
        &HASH_SHAPE,
        AsItIs,
        Telling(|asked, told| {
            made(asked, told, |data| data["hash"] = json!(data["hash"].as_str().unwrap().to_uppercase()));
        }),
    ),
    (&NAME_KEPT, AsItIs, Telling(|asked, told| made(asked, told, |data| data["name"] = json!("another")))),
    (&EXPIRY_KEPT, AsItIs, Telling(|asked, told| made(asked, told, |data| data["expires_at"] = Value::Null))),
    (
        &EXPIRY_FIXED,
        AsItIs,
        Telling(|asked, told| {
            let sent = asked.last(|call| call.body.get("expires_at").is_some() && call.method == Method::PATCH);
            if let (true, Some(sent)) = (asked.is(&Method::GET, "keys/*"), sent) {
                told.body["data"]["expires_at"] = sent.body["expires_at"].clone();
            }
        }),
    ),
    (
        &BYOK_KEPT,
        AsItIs,
        Telling(|asked, told| {
            made(asked, told, |data| data["include_byok_in_limit"] = json!(false));
        }),
    ),
    (
        &PATCH_LEAVES,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::PATCH, "keys/*") {
                told.body["data"]["name"] = json!("another");
            }
        }),
    ),
    (
        &NEWEST_FIRST,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "keys") {
                rows(told).reverse();
            }
        }),
    ),
    (
        &PAGE_OF_100,
        Crowded,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "keys") {
                rows(told).truncate(1);
            }
        }),
    ),
    (&COUNTERS_TOLD, AsItIs, With(|quirks| quirks.absent_fields = vec!["usage_weekly"])),
    (&LAST_USE_TOLD, AsItIs, With(|quirks| quirks.absent_fields = vec!["last_used_at"])),
    (
        &REMAINING_AGREES,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "keys/*") {
                told.body["data"]["limit_remaining"] = told.body["data"]["limit"].clone();
            }
        }),
    ),
    (
        &USAGE_KEPT,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::PATCH, "keys/*") {
                told.body["data"]["usage"] = json!(0);
            }
        }),
    ),
    (
        &DISABLED_LISTED,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "keys") {
                rows(told).retain(|row| row["disabled"] == false);
            }
        }),
    ),
    (
        &ENABLED_AGAIN,
        AsItIs,
        Telling(|asked, told| {
            if asked.call.body["disabled"] == false {
                told.body["data"]["disabled"] = json!(true);
            }
        }),
    ),
    (&MODELS_AS_SENT, With(|quirks| quirks.canonical_slugs = false), AsItIs),
    (
        &ASSIGNED_COUNTED,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::POST, "guardrails/*/assignments/keys") {
                told.body = json!({});
            }
        }),
    ),
    (
        &ASSIGNMENT_LISTED,
        AsItIs,
        Telling(|asked, told| {
            if asked.is(&Method::GET, "guardrails/*/assignments/keys") {
                rows(told).clear();
            }
        }),
    ),
    (
        &UNLISTED,
        AsItIs,
        Telling(|asked, told| {
            let deleted = asked.last(|call| call.is(&Method::DELETE, "keys/*"));
            if let (true, Some(deleted)) = (asked.is(&Method::GET, "keys") && !rows(told).is_empty(), deleted) {
                rows(told).push(json!({ "hash": deleted.path.trim_start_matches("keys/") }));
            }
        }),
    ),
    (&ANALYTICS, AsItIs, With(|quirks| quirks.truncation_told = false)),
    (&ACTIVITY, AsItIs, With(|quirks| quirks.analytics_failure = Some(StatusCode::INTERNAL_SERVER_ERROR))),
];

#[tokio::test]
async fn each_assumption_is_told_as_it_is_and_only_what_the_client_cannot_do_without_decides() {
    let as_it_is = found_in(AsItIs).await;
    let mut wrong = BTreeMap::new();
    for (assumption, holds, fails) in &TURNS {
        for (account, is_held) in [(holds, true), (fails, false)] {
            let own;
            let findings = match account {
                AsItIs => &as_it_is,
                other => {
                    own = found_in(*other).await;
                    &own
                }
            };
            let finding = findings.of(assumption);
            let is_right = matches!((&finding, is_held), (Finding::Held(_), true) | (Finding::NotHeld(_), false));
            let decides = findings.missing().iter().any(|missing| missing.id == assumption.id);
            if !is_right || decides != (!is_held && assumption.bearing != Bearing::Tolerated) {
                let early = findings.ended_early.clone();
                wrong.insert(format!("{}, held: {is_held}", assumption.id), (finding, early));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn each_assumption_of_the_table_is_turned() {
    let turned: Vec<&str> = TURNS.iter().map(|(assumption, ..)| assumption.id).collect();
    assert_eq!(turned, ALL.map(|assumption| assumption.id));
}

/// The findings about such an account, which the check leaves as it was.
async fn found_in(account: Account) -> Findings {
    let world = World::open().await;
    if let Crowded = account {
        for number in 0..120 {
            let made = world.options().clock.now() - HOUR;
            world.provider.add_foreign_key(&format!("key {number}"), Some(Nano::CENT), made).unwrap();
        }
    }
    let others = world.of_others().await;
    match account {
        AsItIs | Crowded => {}
        With(change) => world.provider.set_quirks(change),
        Telling(after) => world.answers(None, Some(after)),
        Answering(before, after) => world.answers(Some(before), Some(after)),
    }
    let findings = world.check().await;
    // The judge is told the truth, and at any pace.
    world.provider.set_quirks(|quirks| *quirks = Quirks::default());
    assert!(world.is_clean().await, "{findings}");
    assert_eq!(world.of_others().await, others);
    findings
}

fn rows(told: &mut Told) -> &mut Vec<Value> {
    told.body["data"].as_array_mut().unwrap()
}

/// Changes the answer to a new key.
fn made(asked: &Asked, told: &mut Told, change: impl Fn(&mut Value)) {
    if asked.is(&Method::POST, "keys") {
        change(&mut told.body["data"]);
    }
}

fn leave_out(told: &mut Told, fields: &[&str]) {
    let data = told.body["data"].as_object_mut().unwrap();
    data.retain(|field, _| !fields.contains(&field.as_str()));
}

/// Lets a completion through that was refused with these words.
fn pass_in_place_of(words: &str, asked: &Asked, told: &mut Told) {
    if asked.is(&Method::POST, CHAT) && told.says(words) {
        *told = Told { status: 200, body: json!({ "model": MODEL, "usage": { "cost": 0 } }) };
    }
}

/// Lets a completion through that was refused under a list of regions.
fn pass_in_any_region(asked: &Asked, told: &mut Told) {
    let rules = asked.last(|call| call.is(&Method::PATCH, "guardrails/*"));
    if rules.is_some_and(|rules| rules.body["allowed_data_regions"] == json!(["europe"])) {
        pass_in_place_of("guardrail restrictions", asked, told);
    }
}

/// Three calls at once are taken, and then one a second.
fn put_off(quirks: &mut Quirks, retry_after: bool) {
    quirks.rate = Some(Rate { per_second: 1, burst: 3, retry_after });
}
