//! Held calls, kills, and the moment at which nothing moves.

use tokio::task::JoinHandle;

use super::*;
use crate::base::function::FunctionName;

async fn stub_and_gate() -> (Stub, Gate) {
    let stub = Stub::new();
    let gate = gate_before(&stub).await;
    (stub, gate)
}

/// An invocation that makes these calls in sequence and returns their statuses, 0 for no answer.
fn invocation(gate: &Gate, paths: &'static [&str]) -> JoinHandle<Result<Vec<u16>, Killed>> {
    let mut instance = gate.instance(FunctionName::Claim);
    tokio::spawn(async move {
        let base = instance.url(Service::Provider);
        let work = async {
            let client = reqwest::Client::builder().no_proxy().build().unwrap();
            let mut told = Vec::new();
            for path in paths {
                let response = client.post(format!("{base}{path}")).send().await;
                told.push(response.map_or(0, |response| response.status().as_u16()));
            }
            told
        };
        instance.run(work).await
    })
}

#[tokio::test]
async fn a_held_call_waits_for_its_release_and_comes_to_the_verdict_given_there() {
    let (stub, gate) = stub_and_gate().await;
    let held = gate.hold(Matcher::call("provider:POST /keys").next(2));
    let work = invocation(&gate, &["/keys", "/keys", "/keys"]);
    let call = held.arrived().await;
    assert_eq!((call.number, call.name.to_string().as_str()), (1, "provider:POST /keys"));
    gate.quiet().await;
    assert_eq!(held.parked(), [call]);
    assert_eq!(stub.seen(), [""; 0]);
    assert_eq!(gate.calls()[0].verdict, None);

    held.release(verdict("lose-answer")).unwrap();
    assert_eq!(held.arrived().await.number, 2);
    assert_eq!(stub.seen().len(), 1);
    held.release_call(2, verdict("status-503")).unwrap();
    assert_eq!(work.await.unwrap(), Ok(vec![0, 503, 200]));
    gate.quiet().await;
}

#[tokio::test]
async fn kills_end_the_invocation_before_or_after_the_effect_and_never_answer() {
    for (text, reached) in [("kill-before", 0), ("kill-after", 1)] {
        let (stub, gate) = stub_and_gate().await;
        gate.at("provider:POST /keys", verdict(text));
        let work = invocation(&gate, &["/keys", "/keys"]);
        assert_eq!(work.await.unwrap(), Err(Killed), "{text}");
        gate.quiet().await;
        assert_eq!(stub.seen().len(), reached, "{text}");
        assert_eq!(gate.count(), 1, "{text}");
        assert_eq!(gate.calls()[0].told, None);
    }
}

#[tokio::test]
async fn what_a_killed_instance_still_sends_reaches_nobody() {
    let (stub, gate) = stub_and_gate().await;
    gate.at("provider:POST /keys", verdict("kill-before"));
    let mut instance = gate.instance(FunctionName::Claim);
    let base = instance.url(Service::Provider);
    let (go, gone) = tokio::sync::oneshot::channel::<()>();
    // A task that outlives the invocation's own future, as none does in Lambda.
    let straggler = tokio::spawn({
        let url = format!("{base}/guardrails");
        async move {
            gone.await.unwrap();
            reqwest::Client::new().post(url).send().await.map(|response| response.status())
        }
    });
    let work = async { reqwest::Client::new().post(format!("{base}/keys")).send().await };
    assert!(instance.run(work).await.is_err());
    go.send(()).unwrap();
    assert!(straggler.await.unwrap().is_err());
    drop(instance);
    let url = format!("{base}/keys");
    assert!(reqwest::Client::new().post(url).send().await.is_err());
    assert_eq!((stub.seen().len(), gate.count()), (0, 1));
}

#[tokio::test]
async fn a_held_answer_waits_for_its_release_while_the_call_has_taken_effect() {
    let (stub, gate) = stub_and_gate().await;
    let held = gate.hold_answers(Matcher::call("provider:POST /keys").next(2));
    let work = invocation(&gate, &["/keys", "/keys", "/keys"]);
    assert_eq!(held.arrived().await.number, 1);
    gate.quiet().await;
    assert_eq!(stub.seen().len(), 1);
    assert_eq!(gate.calls()[0].verdict, None);
    let error = held.release(verdict("fail-before")).unwrap_err();
    assert_eq!(error.to_string(), "provider:POST /keys cannot come to fail-before");
    held.release(Verdict::Pass).unwrap();
    assert_eq!(held.arrived().await.number, 2);
    held.release(verdict("status-502-after")).unwrap();
    assert_eq!(work.await.unwrap(), Ok(vec![200, 502, 200]));
    assert_eq!(stub.seen().len(), 3);
    let told: Vec<_> = gate.calls().iter().map(|call| (call.effect, call.told)).collect();
    assert_eq!(told, [(Some(200), Some(200)), (Some(200), Some(502)), (Some(200), Some(200))]);
}
