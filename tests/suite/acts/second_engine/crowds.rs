//! Many callers at once, all of whom read before any of them writes. One gets what there is one of, and nothing
//! is promised twice.

use bursar_core::domain::grant::{Press, PressKind};
use bursar_core::domain::values::id::{Epoch, GrantId};
use bursar_core::domain::values::money::Usd;
use bursar_core::store::NewPerson;
use bursar_local::gate::Matcher;
use futures_util::future::join_all;

use super::super::act::{Act, Ended, grant_of, programme};
use super::super::lane::{Case, Lane, plenty};
use super::super::settings::{ada, open, person, settings, staff, start};
use super::super::world::World;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_three_who_press_for_the_last_of_the_pot_one_gets_it() {
    let lane = Lane::under_test().await;
    let (world, people) = with_people(3);
    let world = world.does(&Act::set_pot(&world, Usd::from_dollars(20)), start());
    let mut case = lane.case(&(world, start())).await;
    let said = at_once(&mut case, people.iter().map(reveal).collect()).await;
    assert_eq!(times(&said, "done: attempt 1 after []"), 1, "{said:?}");
    assert_eq!(times(&said, "refused: PotExhausted"), 2, "{said:?}");
    assert_eq!(case.world.pots[&programme()].reserved, Usd::from_dollars(20));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn people_who_press_at_once_all_get_their_place_while_there_is_room() {
    let lane = Lane::under_test().await;
    let (world, people) = with_people(12);
    let world = world.does(&Act::set_pot(&world, Usd::from_dollars(200)), start());
    let mut case = lane.case(&(world, start())).await;
    let said = at_once(&mut case, people.iter().map(reveal).collect()).await;
    assert_eq!(times(&said, "done: attempt 1 after []"), 10, "{said:?}");
    assert_eq!(times(&said, "refused: PotExhausted"), 2, "{said:?}");
    assert_eq!(case.world.pots[&programme()].reserved, Usd::from_dollars(200));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_twenty_presses_on_one_grant_one_begins() {
    let lane = Lane::under_test().await;
    let mut case = lane.case(&(open(), start())).await;
    let said = at_once(&mut case, vec![reveal(&ada()); 20]).await;
    assert_eq!(times(&said, "done: attempt 1 after []"), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.starts_with("refused: BeingMade")).count(), 19, "{said:?}");
    assert_eq!(case.world.grants[&ada()].attempts.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_person_whom_two_invite_at_once_gets_one_grant_and_one_mail() {
    let lane = Lane::under_test().await;
    let mut case = lane.case(&(open(), start())).await;
    let invite = |names: [&str; 2]| Act::Invite(programme(), names.map(person).to_vec());
    let said = at_once(&mut case, vec![invite(["carol", "dan"]), invite(["erin", "carol"])]).await;
    // The later of the two leaves out the person who is already there.
    assert_eq!(times(&said, "done: 2") + times(&said, "done: 1"), 2, "{said:?}");
    assert_eq!(times(&said, "done: 1"), 1, "{said:?}");
    assert_eq!((case.world.grants.len(), case.world.outbox.len()), (5, 5));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn programmes_of_one_name_that_are_created_at_once_get_ids_of_their_own() {
    let lane = Lane::under_test().await;
    let mut case = lane.case(&(World::default(), start())).await;
    let create = Act::Create(settings("CS pilot"), Usd::from_dollars(100));
    let mut said = at_once(&mut case, vec![create; 4]).await;
    said.sort();
    assert_eq!(said, ["done: cs-pilot", "done: cs-pilot-2", "done: cs-pilot-3", "done: cs-pilot-4"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_edits_of_the_people_in_charge_at_once_one_is_saved_and_leaves_no_role_of_another_behind() {
    let lane = Lane::under_test().await;
    let edited = |faculty: &[&str], assistants: &[&str]| {
        let mut edited = settings("CS pilot");
        (edited.faculty, edited.assistants) = (staff(faculty), staff(assistants));
        edited
    };
    let world = open().does(&Act::save(edited(&["faye", "fred"], &["asta"]), 1), start());
    let mut case = lane.case(&(world, start())).await;
    let others = [edited(&["faye", "gina"], &["asta"]), edited(&["hugo"], &["fred"]), edited(&[], &["ines"])];
    let said = at_once(&mut case, others.map(|settings| Act::save(settings, 2)).to_vec()).await;
    assert_eq!(said.iter().filter(|said| said.starts_with("Done")).count(), 1, "{said:?}");
    assert_eq!(said.iter().filter(|said| said.starts_with("stale")).count(), 2, "{said:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_runners_who_ask_for_one_lease_at_once_one_gets_it() {
    let lane = Lane::under_test().await;
    let mut case = lane.case(&(World::default(), start())).await;
    let said = at_once(&mut case, ["one", "two", "three", "four"].map(Act::Acquire).to_vec()).await;
    assert_eq!(times(&said, "busy"), 3, "{said:?}");
    assert_eq!(case.world.leases["jobs"].fence, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn functions_that_start_at_once_agree_on_the_deployment() {
    let lane = Lane::under_test().await;
    let mut case = lane.case(&(World::default(), start())).await;
    let said = at_once(&mut case, vec![Act::Meta; 4]).await;
    assert_eq!(times(&said, &said[0]), 4, "{said:?}");
}

/// Holds all acts at their write, then releases all of them. Returns what each caller got.
async fn at_once(case: &mut Case<'_>, acts: Vec<Act>) -> Vec<String> {
    let (now, names) = (case.now(), ["TransactWriteItems", "PutItem", "UpdateItem"]);
    let held = names.map(|name| case.lane.gate.hold(Matcher::call(&format!("dynamodb:{name}")).every()));
    let acting = acts.iter().map(|act| {
        let mut actor = case.actor();
        async move { actor.run(act, now, plenty()).await }
    });
    let letting_go = async {
        while held.iter().map(|held| held.parked().len()).sum::<usize>() < acts.len() {
            tokio::task::yield_now().await;
            case.lane.gate.quiet().await;
        }
        drop(held);
    };
    let (ended, ()) = tokio::join!(join_all(acting), letting_go);
    case.look().await.unwrap_or_else(|why| panic!("{why}"));
    let said = ended.into_iter().map(|ended| match ended {
        Ended::Said(said, _) => said,
        other => panic!("{other:?}"),
    });
    said.collect()
}

fn with_people(count: usize) -> (World, Vec<GrantId>) {
    let people: Vec<NewPerson> = (0..count).map(|number| person(&format!("s{number:04}"))).collect();
    let ids = people.iter().map(|person| grant_of(&person.person)).collect();
    (open().does(&Act::Invite(programme(), people), start()), ids)
}

fn reveal(who: &GrantId) -> Act {
    Act::Begin(who.clone(), Press { kind: PressKind::Reveal, epoch: Epoch::BEFORE_THE_FIRST, terms: None })
}

fn times(said: &[String], text: &str) -> usize {
    said.iter().filter(|said| *said == text).count()
}
