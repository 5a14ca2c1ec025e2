//! Live keys that the provider has disabled or no longer has: a few stop their grants, very many wait for a person.

use bursar_core::domain::grant::{GrantState, Stopped};
use bursar_core::domain::values::id::GrantId;
use bursar_core::domain::values::money::Usd;
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;
use serde_json::{Value, json};

use super::{
    ADMIN, grant, hours, in_the_morning, invite, is_enabled, mint, minutes, problems, provider, release, rich,
    signed_in, spend, sync, watch,
};

const GONE: GrantState = GrantState::Stopped { why: Stopped::GoneAtProvider };

struct Class<'s> {
    stack: &'s Stack,
    office: Office<'s>,
    grants: Vec<GrantId>,
    keys: Vec<String>,
}

impl<'s> Class<'s> {
    /// A number of students with used keys, a few days after a complete sync.
    async fn of(stack: &'s Stack, count: usize) -> Class<'s> {
        let office = rich(stack).await;
        let (mut grants, mut keys) = (Vec::new(), Vec::new());
        for number in 0..count {
            let of = invite(stack, &office, &format!("s{number}"), None).await;
            keys.push(mint(stack, &office, &of).await);
            grants.push(of);
        }
        keys.iter().for_each(|key| spend(stack, key, 100_000));
        assert_eq!(sync(stack).await["complete"], true);
        stack.clock.advance(hours(24)).unwrap();
        Class { stack, office, grants, keys }
    }

    async fn stopped(&self) -> usize {
        let mut stopped = 0;
        for of in &self.grants {
            stopped += usize::from(grant(&self.office, of).await.state == GONE);
        }
        stopped
    }

    fn switch(&self, keys: std::ops::Range<usize>, disabled: bool) {
        for key in &self.keys[keys] {
            provider(self.stack).change_by_hand(key, &json!({"disabled": disabled})).unwrap();
        }
    }

    async fn sync_later(&self) -> Value {
        self.stack.clock.advance(hours(2)).unwrap();
        sync(self.stack).await
    }
}

#[tokio::test]
async fn five_are_stopped_and_six_are_held_back_while_all_else_goes_on() {
    let stack = in_the_morning().await;
    let class = Class::of(&stack, 8).await;
    let mut watch = watch(&stack);
    class.switch(0..3, true);
    class.keys[3..6].iter().for_each(|key| provider(&stack).delete(key).unwrap());
    spend(&stack, &class.keys[7], 700_000);
    for round in 0..3 {
        let report = class.sync_later().await;
        assert_eq!((&report["complete"], &report["residual_usd"]), (&json!(false), &json!("0.000000")), "{report}");
        assert!(problems(&report).contains("6 live keys missing or disabled at the provider"), "{report}");
        assert_eq!(class.stopped().await, 0, "{round}: {report}");
        watch.check().await;
    }
    let totals = class.office.table.totals(&class.office.programme).await.unwrap().unwrap();
    assert_eq!(totals.used.credits.total(), Usd::from_micros(1_500_000), "readings and sums go on");

    let admin = signed_in(&stack, ADMIN).await;
    let page = admin.get("/console/account").await.expect(200);
    let mut named = page.attributes("held-key", "data-hash");
    named.sort();
    let mut held = class.keys[..6].to_vec();
    held.sort();
    assert_eq!(named, held);
    assert!(page.texts("held-key").iter().all(|key| key.contains("missing or disabled at the provider")));
    admin.submit(&page, "/console/account/release", &[]).await.expect(303);
    watch.check().await;
    stack.clock.advance(minutes(1)).unwrap();
    let report = sync(&stack).await;
    assert_eq!(report["complete"], true, "the held-back runs had looked already: {report}");
    assert_eq!(class.stopped().await, 6);
    watch.check_after_sync().await;
    let state = class.office.table.sync_state().await.unwrap();
    assert_eq!((state.held_back, state.let_through), (None, None));
    stack.finish().await;
}

#[tokio::test]
async fn a_press_is_for_the_keys_that_were_held_back_until_each_is_gone_or_listed_again() {
    let stack = in_the_morning().await;
    let class = Class::of(&stack, 16).await;
    class.keys[..7].iter().for_each(|key| provider(&stack).delete(key).unwrap());
    class.switch(7..9, true);
    sync(&stack).await;
    release(&stack).await;
    // Within the hour only disabled keys are certain; missing ones stay released.
    class.switch(8..9, false);
    stack.clock.advance(minutes(20)).unwrap();
    let report = sync(&stack).await;
    assert_eq!(class.stopped().await, 1, "{report}");
    assert!(is_enabled(&stack, &class.keys[8]));
    // Keys that are missing only now were not released, and the one that was listed again is one of them.
    class.switch(8..14, true);
    let report = class.sync_later().await;
    assert_eq!(class.stopped().await, 8, "seven are gone: {report}");
    assert!(problems(&report).contains("6 live keys missing or disabled"), "{report}");
    let report = class.sync_later().await;
    assert_eq!(class.stopped().await, 8, "{report}");
    release(&stack).await;
    assert_eq!(class.sync_later().await["complete"], true);
    assert_eq!(class.stopped().await, 14);
    stack.finish().await;
}

#[tokio::test]
#[cfg_attr(not(feature = "long"), ignore = "it is played before a release")]
async fn of_more_than_a_hundred_each_is_held_against_what_was_let_through() {
    let stack = in_the_morning().await;
    let class = Class::of(&stack, 110).await;
    class.switch(0..102, true);
    class.sync_later().await;
    let held = class.office.table.sync_state().await.unwrap().held_back.unwrap();
    assert_eq!((held.stops, held.keys.len()), (102, 100));
    assert_eq!(class.office.table.marks(held.marks).await.unwrap().len(), 102);
    release(&stack).await;
    // The number is the same, and the keys are others.
    class.switch(94..102, false);
    class.switch(102..110, true);
    let report = class.sync_later().await;
    assert_eq!(class.stopped().await, 94, "{report}");
    assert!(class.keys[94..102].iter().all(|key| is_enabled(&stack, key)));
    for of in &class.grants[102..] {
        assert!(grant(&class.office, of).await.live().is_some(), "nobody saw this one: {report}");
    }
    stack.finish().await;
}

#[tokio::test]
async fn a_key_that_was_listed_meanwhile_was_not_missing_all_the_time() {
    let stack = in_the_morning().await;
    let class = Class::of(&stack, 1).await;
    let other = super::foreign(&stack, "by hand");
    let key = class.keys[0].clone();
    let crooked = super::crooked::Crooked::before(&stack).await;
    let missing = || {
        let key = key.clone();
        crooked.bend(move |path, told| super::crooked::without(path, told, &key));
    };
    missing();
    assert_eq!(crooked.sync().await["keys_missing"], 1);
    crooked.straighten();
    stack.clock.advance(hours(2)).unwrap();
    assert_eq!(crooked.sync().await["complete"], true);
    missing();
    stack.clock.advance(hours(2)).unwrap();
    assert_eq!(crooked.sync().await["keys_missing"], 1);
    assert_eq!(class.stopped().await, 0, "one look since it was listed");
    stack.clock.advance(hours(2)).unwrap();
    crooked.sync().await;
    assert_eq!(class.stopped().await, 1);
    assert!(is_enabled(&stack, &other));
    stack.finish().await;
}
