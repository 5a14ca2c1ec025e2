//! Bursar's own client and the simulator agree, in every position of what nobody could tell about the provider.

use std::time::Duration;

use bursar_core::deadline::Deadline;
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::DataPolicy;
use bursar_core::domain::window::Reset;
use bursar_core::provider::guardrails::GuardrailRules;
use bursar_core::provider::keys::{CreatedKey, Deleted, Found, KeyPatch, NewKey};
use bursar_core::provider::{ListedReset, Provider as Client, ProviderError};
use bursar_core::secrets::ManagementKey;

use super::*;
use crate::provider::{Quirks, Times};

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

        let patch = KeyPatch::disabled(true).and_limit(Some(Usd::from_dollars(3)));
        let key = found(client.patch_key(&created.hash, patch, soon()).await);
        assert!(key.disabled && key.limit == Some(Usd::from_dollars(3)), "{position}");
        let key = found(client.patch_key(&created.hash, KeyPatch::limit(None), soon()).await);
        assert!(key.disabled && key.limit.is_none(), "{position}");

        assert_eq!(client.delete_key(&created.hash, soon()).await.unwrap(), Deleted::Now, "{position}");
        assert_eq!(client.delete_key(&created.hash, soon()).await.unwrap(), Deleted::AlreadyGone, "{position}");
        assert_eq!(client.get_key(&created.hash, soon()).await.unwrap(), Found::Gone, "{position}");
        let gone = client.patch_key(&created.hash, KeyPatch::disabled(true), soon()).await;
        assert_eq!(gone.unwrap(), Found::Gone, "{position}");
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
        let elsewhere = simulator.workspace("elsewhere").await;
        let noon = simulator.provider.now();
        for number in 0..230 {
            simulator.provider.add_foreign_key(&format!("foreign {number}"), None, noon).unwrap();
        }
        let disabled = client.create_key(&new_key("disabled", Some(&elsewhere)), soon()).await.unwrap();
        client.patch_key(&disabled.hash, KeyPatch::disabled(true), soon()).await.unwrap();
        client.create_key(&new_key("expired", Some(&elsewhere)), soon()).await.unwrap();
        simulator.at("2027-03-01T00:00:00Z");

        let mut inventory = client.inventory(&Clock::system(), soon());
        let (mut count, mut names) = (0, Vec::new());
        while let Some(page) = inventory.next().await.unwrap() {
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
            let mut assignments = client.assignments(of, soon());
            let mut count = 0;
            while let Some(page) = assignments.next().await.unwrap() {
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
        assert!(client.get_guardrail(&guardrail.id, soon()).await.unwrap().is_some(), "{position}");
        assert_eq!(client.guardrails(None, soon()).await.unwrap().len(), 1, "{position}");
        assert_eq!(client.get_guardrail("nobodys", soon()).await.unwrap(), None, "{position}");
    }
}

#[tokio::test]
async fn many_workspaces_are_all_seen() {
    let simulator = Simulator::start().await;
    let client = client(&simulator, MANAGEMENT);
    for number in 0..120 {
        simulator.workspace(&format!("w-{number}")).await;
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
    let listed = client.inventory(&Clock::system(), soon()).next().await;
    assert!(matches!(listed, Err(ProviderError::ManagementKey { .. })), "{listed:?}");
}

fn found(ended: Result<Found, ProviderError>) -> Box<bursar_core::provider::key::Key> {
    match ended.unwrap() {
        Found::Key(key) => key,
        Found::Gone => panic!("the key is gone"),
    }
}

fn spend(simulator: &Simulator, key: &CreatedKey, usd: &str) {
    let amount = Nano::parse(usd).unwrap();
    let now = simulator.provider.now();
    simulator.provider.spend(key.hash.as_str(), amount, now, "openai/gpt-4o-mini").unwrap();
}
