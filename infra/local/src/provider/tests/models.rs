//! The public list of models.

use super::*;

#[tokio::test]
async fn anybody_may_read_the_list_and_a_model_can_be_listed_otherwise_or_not_at_all() {
    let simulator = Simulator::start().await;
    let list = async || {
        let answer = reqwest::get(format!("{}/models", simulator.base)).await.unwrap();
        assert_eq!(answer.status(), 200);
        let body: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        body["data"].as_array().unwrap().clone()
    };
    let of = |list: &[Value], slug: &str| list.iter().find(|model| model["id"] == slug).cloned();
    let all = list().await;
    let dear = of(&all, DEAR).unwrap();
    assert_eq!(dear["pricing"], json!({ "prompt": "0.000005000", "completion": "0.000025000" }));
    assert_eq!(dear["canonical_slug"], "anthropic/claude-4.5-opus-20251124");
    simulator.provider.list_model(DEAR, Some((Nano::nanos(1), Nano::nanos(2)))).unwrap();
    simulator.provider.list_model(FREE, None).unwrap();
    let after = list().await;
    assert_eq!(of(&after, DEAR).unwrap()["pricing"]["completion"], "0.000000002");
    assert_eq!((of(&after, FREE), after.len()), (None, all.len() - 1));
    assert!(simulator.provider.list_model("no/model", None).is_err());
}
