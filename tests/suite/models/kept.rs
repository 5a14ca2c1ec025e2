//! The record of a day by model. It is replaced only by a complete answer with no smaller sum, and its rows
//! expire.

use bursar_core::domain::values::id::GrantId;

use jiff::ToSpan;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::{LARGE, SMALL, World, mentions, programme, rows, student};
use crate::sync::crooked::{Crooked, Told};
use crate::sync::watch;

/// A sync whose answer about models is altered by `bend`.
async fn sync_told(world: &World, bend: impl FnMut(&str, Told) -> Told + Send + 'static) -> Value {
    let crooked = Crooked::before(&world.stack).await;
    crooked.bend(bend);
    crooked.sync().await
}

#[tokio::test]
async fn what_is_on_record_of_a_day_gives_way_to_no_answer_that_has_less_of_it() {
    let (mut world, _, ada) = World::with_ada(None).await;
    let day = world.today();
    world.spend(&ada, 1_000_000, SMALL);
    world.nights(1);
    let warned = sync_told(&world, |path, told| match path {
        "/analytics/query" => {
            let mut body: Value = serde_json::from_str(&told.body).unwrap();
            body["data"]["warnings"] = json!(["the last hour is not in it"]);
            Told { body: body.to_string(), ..told }
        }
        _ => told,
    });
    assert!(mentions(&warned.await, "the provider warns: the last hour is not in it"));
    let before = world.written(&[&world.office("cs-pilot")]).await;
    assert_eq!(rows(&before.0, "cs-pilot", day), [(None, SMALL.to_owned(), 1_000_000, 1)]);

    world.nights(1);
    let emptied = sync_told(&world, |path, told| match path {
        "/analytics/query" => Told { body: r#"{"data":{"data":[],"metadata":{"row_count":0}}}"#.to_owned(), ..told },
        _ => told,
    });
    assert!(mentions(&emptied.await, &format!("less of what was used by model on {day} than before")));
    let after = world.written(&[&world.office("cs-pilot")]).await;
    assert_eq!(rows(&after.0, "cs-pilot", day), [(None, SMALL.to_owned(), 1_000_000, 1)]);
    world.adds_up(&[&world.office("cs-pilot")]).await;
    world.stack.finish().await;
}

#[tokio::test]
async fn what_each_grant_used_by_model_is_kept_by_its_id_and_expires_with_the_retention() {
    let mut world = World::new().await;
    let ((ada, key), (bob, his)) = {
        let office = programme(&world.stack, "CS pilot").await;
        (
            student(&world.stack, &office, "ada@x.edu", Some("A")).await,
            student(&world.stack, &office, "bob@x.edu", None).await,
        )
    };
    let (day, laptop) = (world.today(), world.foreign("prof-laptop"));
    world.spend(&key, 1_000_000, SMALL);
    world.spend(&key, 500_000, SMALL);
    world.spend(&his, 250_000, LARGE);
    world.spend(&laptop, 1_000_000, LARGE);
    world.nights(1);
    world.sync().await;
    let office = world.office("cs-pilot");
    let now = world.stack.clock.now();
    let kept = office.table.model_rows(day, now).await.unwrap();
    let told = kept.each().map(|of| (GrantId::of_bytes(of.grant), of.model, of.used.spent.micros(), of.used.requests));
    let mut told: Vec<_> = told.collect();
    told.sort_by_key(|(_, _, spent, _)| *spent);
    assert_eq!(told, [(bob, LARGE, 250_000, 1), (ada, SMALL, 1_500_000, 2)]);
    assert!(office.table.model_rows(day, now + (24 * 401).hours()).await.unwrap().is_empty(), "however late it goes");
    let mut watch = watch(&world.stack);
    let items = &watch.check().await.items;
    let rows = items.values().find(|item| item["kind"].as_s().is_ok_and(|kind| kind == "model-rows")).unwrap();
    let last = day.saturating_add(400.days()).to_zoned(TimeZone::UTC).unwrap().timestamp();
    assert_eq!(rows["ttl"].as_n().unwrap(), &last.as_second().to_string());
    world.stack.finish().await;
}
