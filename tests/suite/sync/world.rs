//! A busy table and provider, and a picture of them without random values, so that two can be compared.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::programme::{Byok, Group};
use bursar_core::domain::values::id::{GrantId, KeyName};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::invariants::Snapshot;
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;

use super::{begin, foreign, hours, invite, make, mint, provider, rich, shape, spend, sync};

pub(super) struct World<'s> {
    pub(super) stack: &'s Stack,
    /// Three programmes: without a reset and with groups; with a daily reset and own keys apart; with a monthly
    /// reset and own keys counted.
    pub(super) offices: [Office<'s>; 3],
    pub(super) grants: BTreeMap<&'static str, GrantId>,
    pub(super) keys: BTreeMap<&'static str, String>,
}

/// A world a day after its first sync, with acts of every kind since then that the next sync has to handle.
pub(super) async fn lively(stack: &Stack) -> World<'_> {
    let offices = [rich(stack).await, rich(stack).await, rich(stack).await];
    let [plain, daily, monthly] = &offices;
    shape(stack, plain, |settings| {
        settings.groups.insert("A".to_owned(), Group { cap: Some(Usd::from_dollars(30)), ..Group::default() });
    })
    .await;
    shape(stack, daily, |settings| (settings.reset, settings.byok) = (Reset::Daily, Byok::Outside)).await;
    shape(stack, monthly, |settings| settings.reset = Reset::Monthly).await;
    let (mut grants, mut keys) = (BTreeMap::new(), BTreeMap::new());
    for (name, office, group) in [
        ("ada", plain, Some("A")),
        ("ben", plain, Some("B")),
        ("cat", plain, None),
        ("dan", plain, None),
        ("eve", plain, None),
        ("ian", plain, None),
        ("jan", plain, None),
        ("kim", plain, None),
        ("lea", plain, Some("A")),
        ("mia", daily, None),
        ("nik", daily, None),
        ("oda", monthly, None),
    ] {
        let grant = invite(stack, office, name, group).await;
        let key = mint(stack, office, &grant).await;
        spend(stack, &key, 1_000_000 + 70_000 * keys.len() as i64);
        grants.insert(name, grant);
        keys.insert(name, key);
    }
    for name in ["fay", "gus"] {
        grants.insert(name, invite(stack, plain, name, None).await);
    }
    for name in ["by hand", "by hand and deleted"] {
        let key = foreign(stack, name);
        spend(stack, &key, 5_000_000);
        keys.insert(name, key);
    }
    sync(stack).await;

    stack.clock.advance(hours(22)).unwrap();
    let world = World { stack, offices, grants, keys };
    world.go_on().await;
    stack.clock.advance(hours(2)).unwrap();
    world
}

impl World<'_> {
    async fn go_on(&self) {
        let [plain, daily, _] = &self.offices;
        let (stack, table) = (self.stack, &plain.table);
        let at = |name: &str| plain.at(&self.grants[name]);
        for (name, micros) in [("ada", 250_000), ("by hand", 40_000), ("mia", 20_000_000), ("jan", 10_000)] {
            spend(stack, &self.keys[name], micros);
        }
        provider(stack).spend_byok(&self.keys["oda"], Nano::micros(330_000), stack.clock.now(), "a/model").unwrap();
        provider(stack).spend_byok(&self.keys["mia"], Nano::micros(70_000), stack.clock.now(), "a/model").unwrap();
        // A replaced key, whose last use settles late.
        for (name, office) in [("ben", plain), ("nik", daily)] {
            let key = mint(stack, office, &self.grants[name]).await;
            spend(stack, &key, 400_000);
            spend(stack, &self.keys[name], 123_456);
        }
        // Disables that are ordered and were not carried out.
        table
            .act(at("cat"), |view, now| view.report_leaked(bursar_core::domain::values::id::Epoch::new(1), now))
            .await
            .unwrap();
        table.act(at("dan"), |view, now| view.revoke(&Actor::Rule, None, now)).await.unwrap();
        table.act(at("eve"), |view, now| view.hold(HoldKind::Paused, &Actor::Rule, None, now)).await.unwrap();
        table.act(at("ian"), |view, now| view.hold(HoldKind::Dropped, &Actor::Rule, None, now)).await.unwrap();
        // Changes that a person made by hand at the provider.
        provider(stack).disable(&self.keys["jan"]).unwrap();
        provider(stack).delete(&self.keys["kim"]).unwrap();
        provider(stack).delete(&self.keys["by hand and deleted"]).unwrap();
        // Keys whose claims died.
        for name in ["gus"] {
            let begun = begin(stack, plain, &self.grants[name]).await;
            make(stack, plain, &self.grants[name], &begun).await;
        }
        let begun = begin(stack, self.office_of("oda"), &self.grants["oda"]).await;
        make(stack, self.office_of("oda"), &self.grants["oda"], &begun).await;
    }

    fn office_of(&self, name: &str) -> &Office<'_> {
        match name {
            "mia" | "nik" => &self.offices[1],
            "oda" => &self.offices[2],
            _ => &self.offices[0],
        }
    }

    /// The table's items, a line each, without random values and times.
    pub(super) fn picture(&self, seen: &Snapshot) -> Vec<String> {
        picture(self.stack, &self.offices, seen)
    }
}

/// The items of a stack's table, a line each, without random values and times.
pub(super) fn picture(stack: &Stack, offices: &[Office<'_>], seen: &Snapshot) -> Vec<String> {
    let names = names(stack, offices, seen);
    let left_out =
        ["meta", "run", "lease", "checkpoint", "checkpoint-part", "cut", "cut-keys", "model-rows", "alarm", "outbox"];
    let items = seen.items.values().filter(|item| !left_out.contains(&kind_of(item).as_str()));
    let mut lines: Vec<String> = items
        .map(|item| {
            // What a foreign key had used by the newest cut depends on when that was; the invariants judge it.
            let lasting = item.iter().filter(|(name, _)| *name != "in_cut");
            let lasting = lasting.map(|(name, value)| (name.clone(), value.clone()));
            pictured(&AttributeValue::M(lasting.collect()), &names)
        })
        .collect();
    lines.sort();
    lines
}

/// The names that stand for random texts in a picture.
pub(super) fn names(stack: &Stack, offices: &[Office<'_>], seen: &Snapshot) -> Vec<(String, String)> {
    let person = |id: &GrantId| {
        let of_it = seen.grants.values().find(|grant| grant.id == *id);
        of_it.map_or("nobody".to_owned(), |grant| grant.person.address.matched().as_str().to_owned())
    };
    let mut names: Vec<(String, String)> = Vec::new();
    for key in provider(stack).keys() {
        let name = key.name.parse::<KeyName>().map(|name| format!("{}:{}", person(&name.grant), name.epoch.number()));
        names.push((key.hash.clone(), name.unwrap_or(key.name)));
    }
    names.extend(seen.grants.values().map(|grant| (grant.id.to_string(), person(&grant.id))));
    for (number, office) in offices.iter().enumerate() {
        if let Actor::Person(person) = &office.faculty {
            names.push((person.as_str().to_owned(), format!("faculty {number}")));
        }
    }
    let guardrails = seen.rule_sets.values().filter_map(|set| set.guardrail.as_ref());
    names.extend(guardrails.map(|guardrail| (guardrail.id.clone(), "guardrail".to_owned())));
    for job in &seen.jobs {
        names.extend([(job.job.to_string(), "job".to_owned()), (job.writer.to_string(), "its writer".to_owned())]);
    }
    names.push((stack.ready.deployment.clone(), "here".to_owned()));
    names
}

fn kind_of(item: &bursar_core::store::items::Item) -> String {
    item["kind"].as_s().cloned().unwrap_or_default()
}

/// The number of milliseconds above which a number counts as a time; amounts and counts stay below it.
const A_TIME: i64 = 1_500_000_000_000;
const A_TIME_IN_SECONDS: i64 = A_TIME / 1_000;

fn is_after(number: &str, time: i64) -> bool {
    number.parse::<i64>().is_ok_and(|number| number > time)
}

fn pictured(value: &AttributeValue, names: &[(String, String)]) -> String {
    const RANDOM: [&str; 9] = ["pk", "sk", "version", "nonce", "entry", "row", "person", "due", "queue"];
    match value {
        AttributeValue::S(text) if text.parse::<jiff::Timestamp>().is_ok() => "T".to_owned(),
        AttributeValue::S(text) => {
            names.iter().fold(text.clone(), |text, (random, name)| text.replace(random.as_str(), name))
        }
        AttributeValue::N(number) if is_after(number, A_TIME) => "T".to_owned(),
        AttributeValue::M(map) => {
            let named = |text: &String| {
                names.iter().fold(text.clone(), |text, (random, name)| text.replace(random.as_str(), name))
            };
            let fields = map.iter().filter(|(name, _)| !RANDOM.contains(&name.as_str()));
            let mut fields: Vec<_> = fields
                .map(|(name, value)| match value {
                    AttributeValue::N(seconds) if name == "ttl" && is_after(seconds, A_TIME_IN_SECONDS) => {
                        "ttl: T".to_owned()
                    }
                    value => format!("{}: {}", named(name), pictured(value, names)),
                })
                .collect();
            fields.sort();
            format!("{{{}}}", fields.join(", "))
        }
        AttributeValue::L(list) => {
            let list: Vec<_> = list.iter().map(|value| pictured(value, names)).collect();
            format!("[{}]", list.join(", "))
        }
        other => format!("{other:?}"),
    }
}
