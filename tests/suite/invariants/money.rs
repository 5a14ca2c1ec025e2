//! Pots and amounts that cannot be: I2 and I15.

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::id::Epoch;
use bursar_core::domain::money::Usd;
use bursar_core::domain::programme::Pot;
use bursar_core::store::keys;
use jiff::ToSpan;

use super::Scene;
use crate::acts::act::{Act, programme};
use crate::acts::settings::{Setting, ada, found, reading};

impl Scene {
    async fn pot(&self, change: impl FnOnce(&mut Pot)) {
        let mut pot = self.seen().pots[&programme()].clone();
        change(&mut pot);
        self.keep(&pot).await;
    }
}

#[tokio::test]
async fn a_pot_that_counts_less_than_its_grants_reserve_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.pot(|pot| pot.reserved = Usd::from_micros(19_999_999)).await;
    scene.bites("I2", "the grants of cs-pilot reserve 20.000000, its pot counts 19.999999").await;
    scene.pot(|pot| pot.reserved = Usd::from_micros(-1)).await;
    scene.bites("I2", "has reserved -0.000001").await;
}

#[tokio::test]
async fn a_pot_that_promises_more_than_there_is_is_named_unless_it_was_made_smaller() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.pot(|pot| pot.limit = Usd::from_dollars(10)).await;
    scene.bears("I2").await;
    scene.pot(|pot| pot.reserved = Usd::from_dollars(21)).await;
    scene.bites("I2", "is 10.000000 and has reserved 21.000000").await;
}

#[tokio::test]
async fn a_recovered_key_is_counted_although_the_pot_has_no_room_and_nothing_more_is() {
    let (world, now) = Setting::Invited.world();
    let world = world.does(&Act::SetPot(programme(), Usd::from_dollars(10)), now - 1.minute());
    let mut scene = Scene::of(&world, now).await;
    let recovered = world.does(&Act::Recover(ada(), found(&ada(), Epoch::BEFORE_THE_FIRST, None)), now);
    scene.keep(&recovered.grants[&ada()]).await;
    scene.keep(recovered.entries.last().unwrap()).await;
    scene.pot(|pot| pot.reserved = Usd::from_dollars(20)).await;
    scene.bears("I2").await;
    scene.pot(|pot| pot.reserved = Usd::from_dollars(21)).await;
    scene.bites("I2", "is 10.000000 and has reserved 21.000000").await;
}

#[tokio::test]
async fn spending_beyond_a_cap_or_after_the_end_is_excused_by_as_much_and_once() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.keep(&reading(&ada(), Epoch::new(1), 23, scene.now)).await;
    scene.bears("I2").await;
    scene.pot(|pot| pot.reserved = Usd::from_dollars(19)).await;
    scene.bites("I2", "reserve 23.000000, its pot counts 19.000000 and 3.000000 are excused").await;

    let (world, now) = Setting::Live.world();
    let world = world.does(&Act::Revoke(ada()), now - 1.minute());
    let mut scene = Scene::of(&world, now).await;
    scene.keep(&reading(&ada(), Epoch::new(1), 6, now)).await;
    scene.bears("I2").await;
    // Once the counter has caught up, nothing is excused any more.
    scene.pot(|pot| pot.reserved = Usd::from_dollars(6)).await;
    scene.bears("I2").await;
    scene.pot(|pot| pot.reserved = Usd::from_dollars(5)).await;
    scene.bites("I2", "reserve 6.000000, its pot counts 5.000000").await;
}

#[tokio::test]
async fn an_amount_that_is_no_whole_number_or_is_negative_is_named() {
    let mut scene = Scene::at(Setting::Live).await;
    scene.set(keys::pot(&programme()), "reserved", AttributeValue::N("20000000.5".to_owned())).await;
    scene.bites("I15", "reserved has the number 20000000.5").await;
    let mut below = reading(&ada(), Epoch::new(1), 6, scene.now);
    below.in_window = Usd::from_dollars(-1);
    scene.keep(&below).await;
    scene.bites("I15", "is -1.000000 in its window").await;
}
