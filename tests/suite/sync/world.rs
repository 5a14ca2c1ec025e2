//! A busy table and provider, and a picture of them without random values, so that two can be compared.

use std::collections::BTreeMap;

use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::programme::{Byok, Group};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_local::provider::Nano;
use bursar_tests::invariants::Snapshot;
use bursar_tests::office::Office;
use bursar_tests::picture::picture;
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
        picture(self.stack, seen, &faculty(&self.offices))
    }
}

/// Names for the people who acted in these programmes, so that a picture can be compared with that of another stack.
pub(super) fn faculty(offices: &[Office<'_>]) -> Vec<(String, String)> {
    let actors = offices.iter().map(|office| &office.faculty).enumerate();
    let person = |(number, actor): (usize, &Actor)| match actor {
        Actor::Person(person) => Some((person.as_str().to_owned(), format!("faculty {number}"))),
        _ => None,
    };
    actors.filter_map(person).collect()
}
