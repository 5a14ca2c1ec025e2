//! Bugs that these tests found, each as a test of its own.

use bursar_core::domain::audit;
use bursar_core::domain::grant::{HoldKind, Order, OrderKind};
use bursar_core::domain::values::id::Epoch;
use bursar_core::domain::values::money::Usd;
use bursar_local::gate::Matcher;
use bursar_local::invoke::FunctionName;
use jiff::ToSpan;

use super::act::{Act, Ended, programme};
use super::kinds::Kind;
use super::lane::{Lane, plenty};
use super::races::Race;
use super::settings::{Setting, ada, key_of};

/// A body of status 200 that is no answer of the table was taken for a refusal.
#[tokio::test]
async fn a_success_that_cannot_be_read_is_asked_after() {
    let lane = Lane::open().await;
    let mut case = lane.case(&Setting::Invited.world()).await;
    let mut actor = case.actor();
    let write = Matcher::call("dynamodb:TransactWriteItems").of_instance(FunctionName::Claim, actor.number());
    lane.gate.at(write, "html-200-after".parse().unwrap());
    let reveal = Kind::Reveal.seeing(&case.world, case.now()).unwrap();
    let ended = case.step(&mut actor, &reveal, plenty(), true).await.unwrap();
    assert!(matches!(&ended, Ended::Said(said, _) if said == "done: attempt 1 after []"), "{ended:?}");
}

/// A reading between an act's reads and its write was given back with the place, so that the pot promised it again.
#[tokio::test]
async fn what_was_spent_is_not_given_back_when_its_reading_comes_while_the_grant_ends() {
    let lane = Lane::open().await;
    for slow in [Kind::End, Kind::Revoke, Kind::LowerCap] {
        let setting = if slow == Kind::End { Setting::Closed } else { Setting::Live };
        let race = Race { setting, slow, fast: Kind::Note, elsewhere: false };
        let world = race.before(&lane, Matcher::call("dynamodb:TransactWriteItems")).await.unwrap();
        assert_eq!(world.pots[&programme()].reserved, Usd::from_dollars(20), "{slow:?}: nobody has read it since");
    }
}

/// A claim that had read the cap before an edit took its place at the old price.
#[tokio::test]
async fn a_place_is_taken_at_the_cap_that_holds_when_it_is_taken() {
    let lane = Lane::open().await;
    let race = Race { setting: Setting::Invited, slow: Kind::Reveal, fast: Kind::SaveCap, elsewhere: false };
    let world = race.before(&lane, Matcher::call("dynamodb:TransactWriteItems")).await.unwrap();
    assert_eq!(world.pots[&programme()].reserved, Usd::from_dollars(30));
}

/// A cap of one's own was reported as replacing the programme's cap from before an edit, which the act had read.
#[tokio::test]
async fn the_entry_of_a_cap_tells_from_what_it_was_changed() {
    let lane = Lane::open().await;
    let race = Race { setting: Setting::Invited, slow: Kind::RaiseCap, fast: Kind::SaveCap, elsewhere: false };
    let world = race.before(&lane, Matcher::call("dynamodb:TransactWriteItems")).await.unwrap();
    let told = world.entries.iter().find(|entry| entry.what.act == audit::Act::CapChanged).unwrap();
    assert_eq!(told.what.from.as_deref(), Some("30.000000"));
}

/// A grant that was held for disuse while its key was being made lost its place, and went live without one.
#[tokio::test]
async fn a_grant_whose_key_is_being_made_is_not_held_for_disuse() {
    let lane = Lane::open().await;
    let mut case = lane.case(&Setting::Minting.world()).await;
    let mut said = Vec::new();
    for kind in [Kind::Disuse, Kind::Reuse, Kind::Record] {
        let act = kind.seeing(&case.world, case.now()).unwrap();
        let mut actor = case.actor();
        said.push(case.step(&mut actor, &act, plenty(), false).await.unwrap());
    }
    assert!(matches!(&said[0], Ended::Said(said, _) if said == "refused: NoKey"), "{said:?}");
    assert_eq!(case.world.grants[&ada()].to_string(), "live");
    assert!(case.world.grants[&ada()].has_place);
}

/// The mark of a confirmed disable settled a newer order, so that a paused student's key could stay enabled.
#[tokio::test]
async fn a_disable_that_was_answered_for_an_earlier_pause_does_not_settle_a_later_one() {
    let lane = Lane::open().await;
    let mut case = lane.case(&Setting::Live.world()).await;
    let first = case.now();
    let (epoch, kind) = (Epoch::new(1), OrderKind::Off);
    let sent = Order { epoch, key: key_of(&ada(), epoch), kind, since: first, due: first };
    for (second, act) in [
        (0, Act::Hold(ada(), HoldKind::Paused)),
        (1, Act::Release(ada(), HoldKind::Paused)),
        (2, Act::Hold(ada(), HoldKind::Paused)),
        (3, Act::Confirmed(ada(), sent)),
    ] {
        case.set_now(first + i64::from(second).seconds());
        let mut actor = case.actor();
        case.step(&mut actor, &act, plenty(), false).await.unwrap();
    }
    let owed: Vec<_> = case.world.grants[&ada()].orders_off().map(|order| order.since).collect();
    assert_eq!(owed, [first + 2.seconds()]);
}
