//! The pool with a small test function that does what its event says.

use super::super::invocation::test_settings;
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use serde_json::json;

use super::*;
use crate::gate::{Keep, Upstreams, Verdict};

struct Obedient {
    config: Config,
    served: std::sync::atomic::AtomicU32,
}

impl Function for Obedient {
    fn new(config: Config, _clock: Clock) -> Obedient {
        Obedient { config, served: Default::default() }
    }

    async fn handle(&self, event: LambdaEvent<Value>) -> anyhow::Result<Value> {
        let served = self.served.fetch_add(1, std::sync::atomic::Ordering::SeqCst) + 1;
        let (event, context) = event.into_parts();
        match event["do"].as_str().unwrap_or_default() {
            "tell" => Ok(json!({
                "served": served,
                "provider": self.config.provider,
                "request": context.request_id,
                "arn": context.invoked_function_arn,
                "left_ms": Deadline::of(&context).left().as_millis() as u64,
            })),
            "ask" => {
                let sent = reqwest::Client::new().post(format!("{}/keys", self.config.provider)).send().await;
                Ok(json!(sent.map_or(0, |response| response.status().as_u16())))
            }
            "panic" => panic!("as it was told"),
            "hang" => std::future::pending().await,
            other => anyhow::bail!("cannot {other}"),
        }
    }
}

/// A pool whose services do not exist. `mail` has a very short time-out.
async fn pool() -> InProcess {
    let (gate, settings) = nothing_behind().await;
    InProcess::making(gate, settings, Clock::system(), |_, config, clock| Box::new(Obedient::new(config, clock)))
}

async fn nothing_behind() -> (Gate, Settings) {
    let nowhere = || "http://127.0.0.1:1".to_owned();
    let to = Upstreams { dynamodb: nowhere(), ses: nowhere(), secretsmanager: nowhere(), provider: nowhere() };
    (Gate::open(to, Keep::All, Clock::system()).await.unwrap(), test_settings())
}

async fn tell(pool: &InProcess) -> Value {
    pool.invoke(FunctionName::Claim, json!({"do": "tell"})).await.unwrap()
}

#[tokio::test]
async fn an_instance_is_used_again_and_another_made_when_it_is_busy() {
    let pool = pool().await;
    let first = tell(&pool).await;
    assert_eq!(first["served"], 1);
    assert!(first["provider"].as_str().unwrap().ends_with("/claim/1/provider"), "{first}");
    assert_eq!(first["arn"], "arn:aws:lambda:eu-central-1:000000000000:function:bursar-claim");
    let left = first["left_ms"].as_u64().unwrap();
    assert!((15_000..=20_000).contains(&left), "{left}");
    let second = tell(&pool).await;
    assert_eq!(second["served"], 2);
    assert_ne!(first["request"], second["request"]);

    let held = pool.0.gate.hold("provider:*");
    let busy = pool.clone();
    let busy = tokio::spawn(async move { busy.invoke(FunctionName::Claim, json!({"do": "ask"})).await });
    held.arrived().await;
    let other = tell(&pool).await;
    assert!(other["provider"].as_str().unwrap().ends_with("/claim/2/provider"), "{other}");
    held.release("status-503".parse().unwrap()).unwrap();
    assert_eq!(busy.await.unwrap(), Ok(json!(503)));
}

#[tokio::test]
async fn a_kill_ends_the_invocation_and_its_instance() {
    let pool = pool().await;
    pool.0.gate.at("provider:POST /keys", Verdict::KillBefore);
    let killed = pool.invoke(FunctionName::Claim, json!({"do": "ask"})).await;
    assert_eq!(killed, Err(InvokeError::Killed));
    let next = tell(&pool).await;
    assert_eq!(next["served"], 1);
    assert!(next["provider"].as_str().unwrap().ends_with("/claim/2/provider"), "{next}");
}

#[tokio::test]
async fn a_panic_ends_its_invocation_without_its_words_and_the_instance_goes_on() {
    let pool = pool().await;
    let failed = pool.invoke(FunctionName::Claim, json!({"do": "panic"})).await;
    assert_eq!(failed, Err(InvokeError::Failed("the invocation failed; its log says why".to_owned())));
    let logs = pool.logs().all();
    assert_eq!(logs.len(), 1);
    assert!(logs[0].text.contains("ended in a panic") && !logs[0].text.contains("as it was told"), "{logs:?}");
    assert_eq!(tell(&pool).await["served"], 2);
}

#[tokio::test]
async fn an_invocation_is_ended_at_its_time_out() {
    let pool = pool().await;
    for _ in 0..2 {
        let failed = pool.invoke(FunctionName::Mail, json!({"do": "hang"})).await;
        assert_eq!(failed, Err(InvokeError::TimedOut));
    }
    let instances: Vec<u32> = pool.logs().all().iter().map(|line| line.instance).collect();
    assert_eq!(instances, [1, 2], "each was thrown away");
}

#[tokio::test]
async fn a_function_goes_on_when_whoever_woke_it_has_gone() {
    let pool = pool().await;
    let held = pool.0.gate.hold("provider:*");
    let waker = pool.clone();
    let waker = tokio::spawn(async move { waker.invoke(FunctionName::Claim, json!({"do": "ask"})).await });
    held.arrived().await;
    waker.abort();
    assert!(waker.await.unwrap_err().is_cancelled());
    held.release(Verdict::status(500)).unwrap();
    pool.0.gate.quiet().await;
    assert_eq!(pool.0.gate.calls()[0].told, Some(500));
    assert_eq!(tell(&pool).await["served"], 2, "the instance came back");
}
