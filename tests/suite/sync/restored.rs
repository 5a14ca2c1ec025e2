//! A table that was restored to an earlier moment: the keys that students use are recovered and keep working.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::audit::Act;
use bursar_core::domain::grant::GrantState;
use bursar_core::domain::values::id::GrantId;
use bursar_core::store::Meta;
use bursar_core::store::items::Item;
use bursar_tests::invariants::{Snapshot, Watch};
use bursar_tests::office::Office;
use bursar_tests::stack::Stack;
use serde_json::json;

use super::{
    ADMIN, begin, changed, foreign, grant, hours, in_the_morning, invite, is_enabled, make, mint, minutes, problems,
    provider, raw, record, release, rich, signed_in, spend, sync, watch, without_runs,
};

/// A watch on the table as it is, whatever its violations.
async fn seen(stack: &Stack) -> Watch {
    let mut watch = watch(stack);
    watch.violations(false).await.unwrap();
    watch
}

async fn items(stack: &Stack) -> Vec<Item> {
    seen(stack).await.seen().unwrap().items.values().cloned().collect()
}

/// Judges the table just after a sync. Where `lost` is not zero, enabled keys whose grant is gone are accepted.
async fn judge(watch: &mut Watch, lost: usize) -> &Snapshot {
    let mut violations = watch.violations(true).await.unwrap();
    violations.retain(|violation| !violation.what.ends_with("but its grant is not there") || lost == 0);
    assert!(violations.is_empty(), "{violations:#?}");
    watch.seen().unwrap()
}

/// Restores the table to these items.
async fn put_back(stack: &Stack, then: &[Item]) {
    let (raw, now) = (raw(stack), items(stack).await);
    for item in now {
        let key = ["pk", "sk"].map(|name| (name.to_owned(), item[name].clone())).into();
        raw.client().delete_item().table_name(raw.name()).set_key(Some(key)).send().await.unwrap();
    }
    for item in then {
        raw.put(item.clone()).await.unwrap();
    }
}

/// Makes the table look restored under a name other than its own.
async fn as_a_copy(stack: &Stack) {
    let meta: Meta = seen(stack).await.seen().unwrap().meta.clone().unwrap();
    let before = "what-it-was-called-before".to_owned();
    let is_checkpoint = |item: &Item| item["kind"] == AttributeValue::S("checkpoint".to_owned());
    for mut item in items(stack).await.into_iter().filter(is_checkpoint) {
        item.insert("table".to_owned(), AttributeValue::S(before.clone()));
        raw(stack).put(item).await.unwrap();
    }
    raw(stack).keep(&Meta { table: before, ..meta }).await.unwrap();
}

struct Past {
    ada: GrantId,
    ben: GrantId,
    cat: GrantId,
    dan: GrantId,
    eve: GrantId,
}

/// The table at a moment, and the keys in use after everything that was done since.
async fn a_past<'s>(stack: &'s Stack, office: &Office<'s>) -> (Past, Vec<Item>, [String; 5]) {
    let mut past = Vec::new();
    for name in ["ada", "ben", "cat", "dan", "eve"] {
        past.push(invite(stack, office, name, None).await);
    }
    let [ada, ben, cat, dan, eve] = past.try_into().unwrap();
    let mut live = Vec::new();
    for of in [&ada, &ben, &dan] {
        live.push(mint(stack, office, of).await);
    }
    spend(stack, &live[0], 1_000_000);
    spend(stack, &live[1], 2_000_000);
    foreign(stack, "by hand");
    assert_eq!(sync(stack).await["complete"], true);
    stack.clock.advance(hours(3)).unwrap();
    let begun = begin(stack, office, &eve).await;
    let then = items(stack).await;

    let of_eve = make(stack, office, &eve, &begun).await;
    record(office, &eve, &begun, &of_eve).await;
    let of_ada = mint(stack, office, &ada).await;
    let of_cat = mint(stack, office, &cat).await;
    spend(stack, &of_ada, 3_000_000);
    spend(stack, &of_cat, 400_000);
    provider(stack).disable(&live[1]).unwrap();
    let fay = invite(stack, office, "fay", None).await;
    let of_fay = mint(stack, office, &fay).await;
    spend(stack, &of_fay, 50_000);
    let in_use = [of_ada, of_cat, live[2].clone(), of_eve, of_fay];
    (Past { ada, ben, cat, dan, eve }, then, in_use)
}

/// The number of mails that announce a shown key of this grant.
fn notices(of: &BTreeMap<(String, String), Item>, grant: &GrantId) -> usize {
    let texts = of.values().map(|item| format!("{item:?}"));
    texts.filter(|text| text.contains("\"key-shown\"") && text.contains(grant.as_str())).count()
}

async fn goes_on(stack: &Stack, office: &Office<'_>, past: &Past, in_use: &[String; 5], has_eve: bool) {
    let report = sync(stack).await;
    assert_eq!((&report["complete"], &report["orphans_disabled"]), (&json!(true), &json!(0)), "{report}");
    assert_eq!(report["residual_usd"], "0.000000", "all of it is somebody's: {report}");
    let page = signed_in(stack, ADMIN).await.get("/console/account").await.expect(200);
    assert!(page.body.contains(&in_use[4]), "a key whose grant is not there is named");
    let mut watch = watch(stack);
    let before = without_runs(judge(&mut watch, 1).await);
    let live = [(&past.ada, Some(&in_use[0])), (&past.cat, Some(&in_use[1])), (&past.dan, Some(&in_use[2]))];
    let of_eve = has_eve.then_some((&past.eve, Some(&in_use[3])));
    for (of, key) in live.into_iter().chain(of_eve).chain([(&past.ben, None)]) {
        let known = grant(office, of).await;
        assert_eq!(known.live().and_then(|live| live.key.clone()), key.map(|key| key.parse().unwrap()));
        let recovered = |entry: &bursar_core::domain::audit::Entry| entry.what.act == Act::Recovered;
        let entries = office.table.entries_on_grant(&office.programme, of).await.unwrap();
        let is_new = of == &past.ada || of == &past.cat || of == &past.eve;
        assert_eq!(entries.iter().filter(|entry| recovered(entry)).count(), usize::from(is_new), "{known}");
        // One mail for each key shown and one for the recovery are left; the others went with the restored table.
        let told = notices(&before, of);
        assert_eq!(told, usize::from(of != &past.cat && of != &past.eve) + usize::from(is_new), "{known}");
        let is_stopped = entries.iter().any(|entry| entry.what.act == Act::Stopped);
        assert_eq!(is_stopped, of == &past.ben, "{entries:?}");
    }
    assert!(in_use.iter().all(|key| is_enabled(stack, key)), "whatever a student uses works");
    let again = sync(stack).await;
    assert_eq!((&again["complete"], &again["readings_recorded"]), (&json!(true), &json!(0)), "{again}");
    assert_eq!(changed(&before, judge(&mut watch, 1).await), Vec::<String>::new());
}

#[tokio::test]
async fn a_table_that_went_back_under_its_name_recovers_every_live_key_and_disables_none() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (past, then, in_use) = a_past(&stack, &office).await;
    put_back(&stack, &then).await;
    goes_on(&stack, &office, &past, &in_use, false).await;
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn in_a_copy_an_open_attempt_counts_as_shown_and_nothing_is_claimed_until_it_is_recovered() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let (past, then, in_use) = a_past(&stack, &office).await;
    put_back(&stack, &then).await;
    as_a_copy(&stack).await;
    let gus = invite(&stack, &office, "gus", None).await;
    let student = signed_in(&stack, "gus@x.edu").await;
    let path = format!("/my/{}/reveal", office.programme);
    let my = student.get("/my").await.expect(200);
    let refused = student.submit(&my, &path, &[]).await;
    assert!(refused.status == 503 && refused.body.contains("in some minutes"), "{}", refused.readable());
    assert_eq!(grant(&office, &gus).await.state, GrantState::Invited);
    goes_on(&stack, &office, &past, &in_use, true).await;
    let my = student.get("/my").await.expect(200);
    student.submit(&my, &path, &[]).await.expect(200);
    stack.finish_unjudged().await;
}

#[tokio::test]
async fn in_a_copy_a_run_that_was_left_before_the_copy_is_not_gone_on_with() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let ada = invite(&stack, &office, "ada", None).await;
    for number in 0..200 {
        foreign(&stack, &format!("other {number}"));
    }
    let crooked = super::crooked::Crooked::before(&stack).await;
    crooked.bend(|path, told| match path.starts_with("/keys?") && !path.ends_with("offset=0") {
        true => super::crooked::Told { status: 429, headers: vec![("retry-after", "3000".to_owned())], ..told },
        false => told,
    });
    assert!(problems(&crooked.sync().await).contains("the run goes on"));
    let then = items(&stack).await;
    let key = mint(&stack, &office, &ada).await;
    put_back(&stack, &then).await;
    as_a_copy(&stack).await;
    let report = sync(&stack).await;
    assert_eq!((&report["complete"], &report["keys_listed"]), (&json!(true), &json!(201)), "{report}");
    assert_eq!(grant(&office, &ada).await.live().unwrap().key.as_ref().unwrap().as_str(), key);
    stack.finish().await;
}

#[tokio::test]
async fn a_recovery_that_would_stop_many_keys_stops_none_and_says_so() {
    let stack = in_the_morning().await;
    let office = rich(&stack).await;
    let is_on = |keys: &[String]| keys.iter().all(|key| is_enabled(&stack, key));
    let mut keys = Vec::new();
    let mut then = Vec::new();
    let mut grants = Vec::new();
    for number in 0..9 {
        let grant = invite(&stack, &office, &format!("s{number}"), None).await;
        keys.push(mint(&stack, &office, &grant).await);
        grants.push(grant);
    }
    assert_eq!(sync(&stack).await["complete"], true);
    then.extend(items(&stack).await);
    stack.clock.advance(minutes(10)).unwrap();
    for grant in &grants[..8] {
        let begun = begin(&stack, &office, grant).await;
        keys.push(make(&stack, &office, grant, &begun).await);
    }
    // A key whose call began before the restore, and which is made late.
    let late = begin(&stack, &office, &grants[8]).await;
    for key in &keys[..9] {
        super::change_by_hand(&stack, key, &json!({"disabled": false}));
    }
    put_back(&stack, &then).await;
    as_a_copy(&stack).await;
    for _ in 0..2 {
        let report = sync(&stack).await;
        assert_eq!(report["complete"], false, "{report}");
        assert!(problems(&report).contains("8 keys would have been disabled"), "{report}");
        assert!(is_on(&keys), "none is stopped");
    }
    let meta: Meta = seen(&stack).await.seen().unwrap().meta.clone().unwrap();
    assert_ne!(meta.table, stack.ready.table, "it is not recovered");
    release(&stack).await;
    stack.clock.advance(minutes(1)).unwrap();
    // The number is that of the release, and one of the keys is another.
    super::change_by_hand(&stack, &keys[0], &json!({"disabled": true}));
    keys.push(make(&stack, &office, &grants[8], &late).await);
    let report = sync(&stack).await;
    assert!(problems(&report).contains("1 key would have been disabled"), "nobody let the last one through: {report}");
    assert!(!keys[1..8].iter().any(|key| is_enabled(&stack, key)) && is_on(&keys[8..]), "only those that somebody saw");
    release(&stack).await;
    let report = sync(&stack).await;
    assert_eq!(report["complete"], true, "{report}");
    assert!(!keys[..9].iter().any(|key| is_enabled(&stack, key)) && is_on(&keys[9..]));
    watch(&stack).check_after_sync().await;
    stack.finish().await;
}
