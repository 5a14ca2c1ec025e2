//! The state that outlives the process, and the secrets that must not be in it.

use super::*;
use jiff::ToSpan;

#[tokio::test]
async fn everything_is_there_again_after_opening_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let paths =
        ["/keys?include_disabled=true", "/guardrails", "/guardrails/assignments/keys", "/workspaces", "/credits"];
    let mut before = Vec::new();
    let (held, deleted, snapshot);
    {
        let simulator = Simulator::over(StateFile::open(&path).unwrap()).await;
        simulator.provider.set_credits(Nano::usd(70)).unwrap();
        held = simulator.key(json!({ "name": "kept", "limit": 5, "limit_reset": "weekly" })).await;
        deleted = simulator.key(json!({ "name": "deleted" })).await;
        let disabled = simulator.key(json!({ "name": "disabled" })).await;
        simulator.patch(&format!("/keys/{}", disabled.hash), json!({ "disabled": true })).await;
        simulator.workspace("course");
        let guardrail = simulator.guardrail(json!({ "name": "n", "allowed_models": [DEAR] })).await;
        simulator.assign(&guardrail, &held).await;
        simulator.chat(&held.plaintext, DEAR, 1_000).await;
        simulator.spend(&deleted, "2");
        let noon = simulator.provider.now();
        let history = [(noon - 48.hours(), Nano::usd(1)), (noon - 1.hour(), Nano::micros(500_000))];
        simulator.provider.spend_history(&held.hash, &history, FREE).unwrap();
        assert_eq!(simulator.read(&held).await["usage_daily"], 0.525_025);
        assert_eq!(simulator.read(&held).await["usage"], 1.525_025);
        simulator.delete(&format!("/keys/{}", deleted.hash)).await;
        simulator.provider.spend_elsewhere(Nano::usd(1)).unwrap();
        for path in paths {
            before.push(simulator.get(path).await);
        }
        snapshot = simulator.provider.keys();
    }
    let simulator = Simulator::over(StateFile::open(&path).unwrap()).await;
    assert_eq!(simulator.provider.keys(), snapshot);
    for (path, before) in paths.into_iter().zip(before) {
        assert_eq!(simulator.get(path).await, before, "{path}");
    }
    assert_eq!(simulator.chat(&held.plaintext, DEAR, 1).await.0, 200);
    assert_eq!(simulator.chat(&held.plaintext, FREE, 1).await.0, 403);
    assert_eq!(simulator.get(&format!("/keys/{}", deleted.hash)).await.0, 404);
}

#[tokio::test]
async fn no_plaintext_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.db");
    let mut secrets = vec![MANAGEMENT.to_owned()];
    {
        let simulator = Simulator::over(StateFile::open(&path).unwrap()).await;
        let key = simulator.key(json!({ "name": "n" })).await;
        simulator.chat(&key.plaintext, DEAR, 1).await;
        simulator.patch(&format!("/keys/{}", key.hash), json!({ "disabled": true })).await;
        secrets.push(key.plaintext);
        let now = simulator.provider.now();
        secrets.push(simulator.provider.add_foreign_key("foreign", None, now).unwrap().plaintext);
    }
    let mut seen = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let bytes = std::fs::read(file.unwrap().path()).unwrap();
        seen += bytes.len();
        for secret in &secrets {
            let (body, _) = secret["sk-or-v1-".len()..].split_at(32);
            assert!(!bytes.windows(32).any(|window| window == body.as_bytes()), "a plaintext is kept");
        }
    }
    assert!(seen > 1_000);
}
