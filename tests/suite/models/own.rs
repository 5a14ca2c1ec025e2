//! A student's own use by model, on their page and in their export: their own and nobody else's.

use bursar_tests::office::session_cookie;
use bursar_tests::stack::Left;
use bursar_tests::visitor::Visitor;
use serde_json::Value;

use super::{LARGE, SMALL, World, programme, student};

async fn signed_in(world: &World, address: &str) -> Visitor {
    let (visitor, cookie) = (Visitor::new(&world.stack.ready.web), session_cookie(&world.stack, address).await);
    let (name, value) = cookie.split_once('=').unwrap();
    visitor.set_cookie(name, value);
    visitor
}

#[tokio::test]
async fn a_student_reads_their_own_models_and_nobody_elses() {
    let mut world = World::new().await;
    let (ada, bob) = {
        let office = programme(&world.stack, "CS pilot").await;
        (
            student(&world.stack, &office, "ada@x.edu", None).await.1,
            student(&world.stack, &office, "bob@x.edu", None).await.1,
        )
    };
    let day = world.today();
    let before = signed_in(&world, "ada@x.edu").await;
    assert!(before.get("/my").await.expect(200).all("own-models").is_empty(), "no sync has asked yet");
    world.spend(&ada, 1_000_000, SMALL);
    world.spend(&ada, 500_000, LARGE);
    world.spend(&bob, 250_000, LARGE);
    world.nights(1);
    world.spend(&ada, 30_000, LARGE);
    world.nights(1);
    world.sync().await;

    let visitor = signed_in(&world, "ada@x.edu").await;
    let page = visitor.get("/my").await.expect(200);
    let [models, spent] = ["data-model", "data-spent-usd"].map(|name| page.attributes("model", name));
    assert_eq!((models, spent), (vec![SMALL.into(), LARGE.into()], vec!["1.000000".into(), "0.530000".into()]));
    let data: Value = serde_json::from_str(&visitor.get("/my/data").await.expect(200).body).unwrap();
    let used = data["grants"][0]["used_by_model"].as_array().unwrap();
    let of_day: Vec<_> = used.iter().filter(|of| of["day"] == day.to_string()).collect();
    let mut rows: Vec<_> = of_day.iter().map(|of| (of["model"].as_str(), of["usd"].as_str())).collect();
    rows.sort_unstable();
    assert_eq!(rows, [(Some(LARGE), Some("0.500000")), (Some(SMALL), Some("1.000000"))]);
    assert_eq!((used.len(), &used[0]["requests"]), (3, &Value::from(1)));

    let page = signed_in(&world, "bob@x.edu").await.get("/my").await.expect(200);
    assert_eq!(page.attributes("model", "data-spent-usd"), ["0.250000"]);
    world.stack.finish_leaving(&[Left::AnyMails]).await;
}
