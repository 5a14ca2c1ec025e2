//! Bursar's own client and the simulator agree, in every position of every quirk.

use std::time::Duration;

use bursar_core::deadline::Deadline;
use bursar_core::domain::programme::rules::DataPolicy;
use bursar_core::domain::usage::models::{Owners, UnattributedReason, attribute};
use bursar_core::domain::values::id::{DeploymentId, GrantId, ProgrammeId};
use bursar_core::domain::values::key::KeyHash;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::provider::keys::{CreatedKey, Deletion, KeyPatch, KeyPresence, NewKey};
use bursar_core::provider::{ListedReset, Provider as Client, ProviderError};
use bursar_core::secrets::ManagementKey;
use jiff::ToSpan;
use jiff::civil::date;

use super::*;
use crate::provider::{ModelNames, Quirks, Times};

fn soon() -> Deadline {
    Deadline::after(Duration::from_secs(60))
}

fn client(simulator: &Simulator, key: &str) -> Client {
    Client::with_key(&simulator.base, ManagementKey::parse(key).unwrap())
}

fn new_key<'a>(name: &'a str, workspace: Option<&'a str>) -> NewKey<'a> {
    NewKey {
        name,
        limit: Usd::from_micros(19_999_999),
        reset: Reset::Weekly,
        include_byok_in_limit: true,
        expires_at: Some("2027-02-21T00:00:00.5Z".parse().unwrap()),
        workspace,
    }
}

fn rules() -> GuardrailRules {
    GuardrailRules {
        name: "cs-pilot".to_owned(),
        models: vec!["openai/gpt-4o-mini".to_owned()],
        providers: Vec::new(),
        regions: Vec::new(),
        data_policy: DataPolicy::ZeroRetention,
    }
}

/// A quirk in its unlikelier position.
type Position = (&'static str, fn(&mut Quirks));

/// Both positions of every quirk that a management client can meet.
fn positions() -> Vec<Position> {
    vec![
        ("as is", |_| {}),
        ("include_disabled", |quirks| quirks.include_disabled_by_default = true),
        ("include_byok", |quirks| quirks.include_byok_by_default = true),
        ("unique names", |quirks| quirks.unique_names = true),
        ("zero limit", |quirks| quirks.zero_limit_blocks = false),
        ("clamped", |quirks| quirks.remaining_clamped = true),
        ("times", |quirks| quirks.times = Times::OffsetWithMicroseconds),
        ("tails", |quirks| quirks.float_tails = true),
        ("credits", |quirks| quirks.credits_zero_for_ordinary_keys = false),
        ("whole assignment", |quirks| quirks.partial_assignment = false),
        ("not counted again", |quirks| quirks.reassignment_counted = false),
        ("a hundred hashes", |quirks| quirks.max_key_hashes = Some(100)),
        ("slugs", |quirks| quirks.canonical_slugs = false),
        ("counts as numbers", |quirks| quirks.counts_as_strings = false),
        ("names of models", |quirks| quirks.analytics_models = ModelNames::Display),
        ("truncation untold", |quirks| quirks.truncation_told = false),
        ("end included", |quirks| quirks.end_of_range_included = true),
        ("cached", |quirks| quirks.analytics_cached = true),
        ("days with time", |quirks| quirks.activity_days_with_time = true),
        ("deleted forgotten", |quirks| quirks.deleted_keys_forgotten = true),
        ("absent", |quirks| {
            quirks.absent_fields = vec![
                "workspace_id",
                "last_used_at",
                "external_user",
                "creator_user_id",
                "expires_at",
                "usage_daily",
                "usage_weekly",
                "usage_monthly",
                "byok_usage",
                "byok_usage_daily",
                "byok_usage_weekly",
                "byok_usage_monthly",
            ];
        }),
    ]
}

#[tokio::test]
async fn the_life_of_a_key_is_the_same_in_every_position() {
    for (position, set) in positions() {
        let simulator = Simulator::start().await;
        simulator.provider.set_quirks(set);
        let client = client(&simulator, MANAGEMENT);
        client.check_management_key(soon()).await.unwrap();
        let created = client.create_key(&new_key("bursar/d/p/g/1-n", None), soon()).await.unwrap();
        let ordinary = self::client(&simulator, created.plaintext.reveal());
        let refused = ordinary.check_management_key(soon()).await;
        assert!(matches!(refused, Err(ProviderError::ManagementKey { .. })), "{position}: {refused:?}");

        spend(&simulator, &created, "4.0000001");
        let key = found(client.get_key(&created.hash, soon()).await);
        assert_eq!(key.limit, Some(Usd::from_micros(19_999_999)), "{position}");
        assert_eq!(key.limit_reset, ListedReset::Known(Reset::Weekly), "{position}");
        assert_eq!(key.usage, Some(Usd::from_micros(4_000_001)), "{position}");
        if position == "absent" {
            assert_eq!((key.usage_daily, key.byok_usage, key.expires_at), (None, None, None));
        } else {
            assert_eq!(key.expires_at, Some("2027-02-21T00:00:00Z".parse().unwrap()), "{position}");
            assert_eq!(key.created_at, Some("2026-11-18T12:00:00Z".parse().unwrap()), "{position}");
        }

        let patch = KeyPatch::limit(Some(Usd::from_dollars(3)));
        let key = found(client.patch_key(&created.hash, patch, soon()).await);
        assert!(!key.disabled && key.limit == Some(Usd::from_dollars(3)), "{position}");
        let key = found(client.patch_key(&created.hash, KeyPatch::disabled(true), soon()).await);
        assert!(key.disabled && key.limit == Some(Usd::from_dollars(3)), "{position}");
        let key = found(client.patch_key(&created.hash, KeyPatch::limit(None), soon()).await);
        assert!(key.disabled && key.limit.is_none(), "{position}");

        assert_eq!(client.delete_key(&created.hash, soon()).await.unwrap(), Deletion::Now, "{position}");
        assert_eq!(client.delete_key(&created.hash, soon()).await.unwrap(), Deletion::AlreadyGone, "{position}");
        assert_eq!(client.get_key(&created.hash, soon()).await.unwrap(), KeyPresence::Gone, "{position}");
        let gone = client.patch_key(&created.hash, KeyPatch::disabled(true), soon()).await;
        assert_eq!(gone.unwrap(), KeyPresence::Gone, "{position}");
        let credits = client.credits(soon()).await.unwrap();
        assert_eq!(credits.balance(), Usd::from_micros(995_999_999), "{position}");
    }
}

#[tokio::test]
async fn the_inventory_is_whole_in_every_position() {
    for (position, set) in positions() {
        let simulator = Simulator::start().await;
        simulator.provider.set_quirks(set);
        let client = client(&simulator, MANAGEMENT);
        let elsewhere = simulator.workspace("elsewhere");
        let noon = simulator.provider.now();
        for number in 0..230 {
            simulator.provider.add_foreign_key(&format!("foreign {number}"), None, noon).unwrap();
        }
        let disabled = client.create_key(&new_key("disabled", Some(&elsewhere)), soon()).await.unwrap();
        client.patch_key(&disabled.hash, KeyPatch::disabled(true), soon()).await.unwrap();
        client.create_key(&new_key("expired", Some(&elsewhere)), soon()).await.unwrap();
        simulator.at("2027-03-01T00:00:00Z");

        let mut inventory = client.inventory(&Clock::system());
        let (mut count, mut names) = (0, Vec::new());
        while let Some(page) = inventory.next(soon()).await.unwrap() {
            assert!(page.unreadable.is_empty(), "{position}: {:?}", page.unreadable);
            count += page.keys.len();
            let ours = page.keys.into_iter().map(|key| key.name).filter(|name| !name.starts_with("foreign"));
            names.extend(ours);
        }
        names.sort();
        assert_eq!((count, inventory.listed()), (232, 232), "{position}");
        assert_eq!(names, ["disabled", "expired"], "{position}");
    }
}

#[tokio::test]
async fn guardrails_are_made_assigned_and_confirmed_in_every_position() {
    for (position, set) in positions() {
        let simulator = Simulator::start().await;
        simulator.provider.set_quirks(set);
        let client = client(&simulator, MANAGEMENT);
        let mut hashes: Vec<KeyHash> = Vec::new();
        for number in 0..130 {
            let made = simulator.provider.add_foreign_key(&number.to_string(), None, simulator.provider.now()).unwrap();
            hashes.push(made.hash.parse().unwrap());
        }
        let guardrail = client.create_guardrail(&rules(), None, soon()).await.unwrap();
        client.assign_keys(&guardrail.id, &hashes, soon()).await.unwrap();
        // Some answers count what was there already, others do not.
        client.assign_keys(&guardrail.id, &hashes, soon()).await.unwrap();
        for of in [Some(guardrail.id.as_str()), None] {
            let mut assignments = client.assignments(of);
            let mut count = 0;
            while let Some(page) = assignments.next(soon()).await.unwrap() {
                assert!(page.iter().all(|row| row.guardrail_id == guardrail.id), "{position}");
                count += page.len();
            }
            assert_eq!(count, 130, "{position}");
        }
        let nobody: KeyHash = "f".repeat(64).parse().unwrap();
        let refused = client.assign_keys(&guardrail.id, &[hashes[0].clone(), nobody], soon()).await;
        assert!(refused.is_err(), "{position}");

        let open = GuardrailRules { models: Vec::new(), data_policy: DataPolicy::Account, ..rules() };
        let patched = client.patch_guardrail(&guardrail.id, &open, soon()).await.unwrap().unwrap();
        assert_eq!(patched.allowed_models, None, "{position}");
        assert_eq!(client.guardrails(None, soon()).await.unwrap().len(), 1, "{position}");
        assert_eq!(client.patch_guardrail("unknown", &open, soon()).await.unwrap(), None, "{position}");
    }
}

/// Two keys of ours, a foreign one and a deleted one, used on three days.
async fn used(simulator: &Simulator) -> (DeploymentId, ProgrammeId) {
    let name = |grant: &str| format!("bursar/0123456789/cs/{grant}/1-0123456789abcdef");
    let (one, other) = ("a".repeat(16), "b".repeat(16));
    let now = simulator.provider.now();
    for (number, name) in [name(&one), name(&other), "foreign".to_owned(), "deleted".to_owned()].iter().enumerate() {
        let key = simulator.key(json!({ "name": name })).await;
        for day in 0..3 {
            let dollars = Nano::usd(i64::try_from(number).unwrap() + 1 + day);
            let when = now - (24 * day).hours();
            simulator.provider.spend(&key.hash, dollars, when, "openai/gpt-4o-mini").unwrap();
            simulator.provider.spend_byok(&key.hash, Nano::micros(1), when, DEAR).unwrap();
        }
        if name == "deleted" {
            simulator.delete(&format!("/keys/{}", key.hash)).await;
        }
    }
    ("0123456789".parse().unwrap(), "cs".parse().unwrap())
}

#[tokio::test]
async fn what_was_used_by_model_is_the_programmes_or_nobodys_in_every_position() {
    for rows in [10_000, 5] {
        for (position, set) in positions() {
            let simulator = Simulator::start().await;
            simulator.provider.set_quirks(|quirks| quirks.analytics_rows = rows);
            simulator.provider.set_quirks(set);
            let client = client(&simulator, MANAGEMENT);
            let (deployment, programme) = used(&simulator).await;
            let (first, last) = (date(2026, 11, 16), date(2026, 11, 17));
            let usage = client.model_usage(first..=last, soon()).await.unwrap();
            assert_eq!((usage.unreadable.count, usage.warnings.len()), (0, 0), "{position}");
            let is_cut = rows == 5;
            assert_eq!(usage.truncated, is_cut && position != "truncation untold", "{position}");
            assert_eq!(usage.rows.len(), rows.min(16), "{position}");

            let mut activity = Vec::new();
            for day in [first, last] {
                let of_day = client.activity(day, soon()).await.unwrap();
                assert_eq!((of_day.rows.len(), of_day.unreadable.count), (2, 0), "{position}");
                activity.extend(of_day.rows);
            }
            let group_of = |_: &ProgrammeId, _: &GrantId| Some(None);
            let owners = Owners { deployment: &deployment, group_of: &group_of };
            let attribution = attribute(&usage.rows, &activity, &owners);
            // The day's dollars: 1 to 4, and one or two more each.
            let of_cs = |day| attribution.programmes.get(&(day, programme.clone())).into_iter().flatten();
            let tail = if position == "tails" { 1 } else { 0 };
            for (day, dollars) in [(first, 1 + 2 + 3 + 4 + 4 * 2), (last, 1 + 2 + 3 + 4 + 4)] {
                let ours: Usd = of_cs(day).map(|one| one.spent).sum();
                let nobodys: Usd = attribution.unattributed[&day].iter().map(|one| one.spent).sum();
                let off = ours + nobodys - Usd::from_dollars(dollars);
                assert!((0..=tail * 4).contains(&off.micros()), "{position}: {off}");
            }
            let nobodys = &attribution.unattributed[&last];
            if is_cut {
                assert!(nobodys.iter().any(|one| one.why == UnattributedReason::Rest), "{position}");
                continue;
            }
            let of_cs: Vec<(&str, u64)> = of_cs(last).map(|one| (&*one.model, one.requests)).collect();
            let (dear, cheap) = match position {
                "names of models" => ("Anthropic: Claude Opus 4.5", "OpenAI: GPT-4o-mini"),
                _ => (DEAR, "openai/gpt-4o-mini"),
            };
            assert_eq!(of_cs, [(dear, 2), (cheap, 2)], "{position}");
            let (why, name) = match position {
                "deleted forgotten" => (UnattributedReason::NoKey, None),
                _ => (UnattributedReason::Foreign, Some("deleted")),
            };
            let deleted = nobodys.iter().filter(|one| one.why == why && one.name.as_deref() == name);
            assert_eq!(deleted.map(|one| one.spent).sum::<Usd>().to_dollars_down(), "$5", "{position}");
        }
    }
}

#[tokio::test]
async fn many_workspaces_are_all_seen() {
    let simulator = Simulator::start().await;
    let client = client(&simulator, MANAGEMENT);
    for number in 0..120 {
        simulator.workspace(&format!("w-{number}"));
    }
    assert_eq!(client.workspaces(soon()).await.unwrap().len(), 121);
}

#[tokio::test]
async fn a_name_that_must_be_unique_is_refused_for_certain_and_a_revoked_management_key_is_told_apart() {
    let simulator = Simulator::start().await;
    simulator.provider.set_quirks(|quirks| quirks.unique_names = true);
    let client = client(&simulator, MANAGEMENT);
    client.create_key(&new_key("one", None), soon()).await.unwrap();
    let again = client.create_key(&new_key("one", None), soon()).await.unwrap_err();
    assert!(again.changed_nothing(), "{again}");

    simulator.provider.revoke_management_key(MANAGEMENT).unwrap();
    let refused = client.create_key(&new_key("two", None), soon()).await;
    assert!(matches!(refused, Err(ProviderError::ManagementKey { .. })), "{refused:?}");
    let listed = client.inventory(&Clock::system()).next(soon()).await;
    assert!(matches!(listed, Err(ProviderError::ManagementKey { .. })), "{listed:?}");
}

fn found(ended: Result<KeyPresence, ProviderError>) -> Box<bursar_core::provider::key::ProviderKey> {
    match ended.unwrap() {
        KeyPresence::Key(key) => key,
        KeyPresence::Gone => panic!("the key is gone"),
    }
}

fn spend(simulator: &Simulator, key: &CreatedKey, usd: &str) {
    let amount = Nano::parse(usd).unwrap();
    let now = simulator.provider.now();
    simulator.provider.spend(key.hash.as_str(), amount, now, "openai/gpt-4o-mini").unwrap();
}
