//! Histories over two handlers that increment a counter, without a condition and with one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::base::function::FunctionName;

/// A counter behind the gate: `GET /credits` reads it, `PATCH /keys/{n}` writes n, `POST /keys` adds one.
struct Counter {
    gate: Gate,
    stub: Stub,
    value: Arc<AtomicU32>,
}

impl Counter {
    async fn new() -> Counter {
        let value = Arc::new(AtomicU32::new(0));
        let stub = Stub::answering({
            let value = value.clone();
            move |parts| {
                let path = parts.uri.path().trim_start_matches("/api/v1");
                if let Some(written) = path.strip_prefix("/keys/") {
                    value.store(written.parse().unwrap(), Ordering::SeqCst);
                } else if path == "/keys" {
                    value.fetch_add(1, Ordering::SeqCst);
                }
                http::Response::new(value.load(Ordering::SeqCst).to_string())
            }
        })
        .await;
        let gate = gate_before(&stub.origin).await;
        Counter { gate, stub, value }
    }

    fn value(&self) -> u32 {
        self.value.load(Ordering::SeqCst)
    }

    /// Reads the counter and writes the increment without a condition.
    async fn careless(&self) -> Result<bool, Killed> {
        let mut instance = self.gate.instance(FunctionName::Claim);
        let base = instance.url(Service::Provider);
        instance
            .run(async {
                let client = reqwest::Client::builder().no_proxy().build().unwrap();
                let Ok(read) = client.get(format!("{base}/credits")).send().await else {
                    return false;
                };
                let Some(value) = read.text().await.ok().and_then(|text| text.parse::<u32>().ok()) else {
                    return false;
                };
                let written = client.patch(format!("{base}/keys/{}", value + 1)).send().await;
                written.is_ok_and(|response| response.status().is_success())
            })
            .await
    }
}

fn race(faults: &[&str], most_faults: usize) -> Exploration {
    Exploration { actors: 2, faults: faults.iter().map(|text| verdict(text)).collect(), most_faults }
}

async fn two(counter: &Counter) -> (Result<bool, Killed>, Result<bool, Killed>) {
    futures_util::future::join(counter.careless(), counter.careless()).await
}

#[tokio::test]
async fn a_chosen_order_happens_again_and_the_lost_update_is_one_of_them() {
    // The picks say which held call goes on at each step; the handlers are in the order of their instances.
    for (picks, value) in [([0, 0, 0, 0], 2), ([0, 1, 0, 0], 1), ([1, 0, 1, 0], 1), ([1, 1, 0, 0], 2)] {
        let mut seen = BTreeSet::new();
        for _ in 0..3 {
            let counter = Counter::new().await;
            let choose = picking(&picks);
            let explored = counter.gate.explore(&race(&[], 0), choose, two(&counter), async |_| ()).await;
            assert_eq!((explored.output, counter.value()), ((Ok(true), Ok(true)), value), "{}", explored.history);
            seen.insert(explored.history.to_string());
        }
        assert_eq!(seen.len(), 1, "{seen:#?}");
    }
}

#[tokio::test]
async fn the_race_begins_when_all_who_race_have_come() {
    let counter = Counter::new().await;
    let latecomer = async {
        // These calls bypass the gate, so that the other handler is held long before this one begins.
        for _ in 0..3 {
            reqwest::get(&counter.stub.origin).await.unwrap();
        }
        counter.careless().await
    };
    let work = futures_util::future::join(counter.careless(), latecomer);
    let mut first = None;
    let choose = |steps: &[Step]| {
        first.get_or_insert(steps.iter().map(|step| step.instance).collect::<BTreeSet<u32>>().len());
        0
    };
    counter.gate.explore(&race(&[], 0), choose, work, async |_| ()).await;
    assert_eq!(first, Some(2));
}

#[tokio::test]
async fn faults_are_part_of_the_history_and_each_step_is_seen_after_its_effect() {
    let mut histories = BTreeSet::new();
    // The first call fails in one of two ways; or it passes, and the second passes or fails in one of two
    // ways.
    for picks in [&[1][..], &[2], &[0, 0], &[0, 1], &[0, 2]] {
        let counter = Counter::new().await;
        let exploration = Exploration { actors: 1, ..race(&["kill-after", "fail-before"], 1) };
        let mut values = Vec::new();
        let explored = counter
            .gate
            .explore(&exploration, picking(picks), counter.careless(), async |step| {
                values.push((step.verdict.to_string(), counter.value()));
            })
            .await;
        let text = explored.history.to_string();
        let last = explored.history.0.last().unwrap();
        assert_eq!((values.len(), explored.history.0.len()), (picks.len(), picks.len()), "{text}");
        let written = last.name.operation.starts_with("PATCH") && last.verdict != Verdict::FailBefore;
        assert_eq!(values.last().unwrap().1, u32::from(written), "{text}");
        assert_eq!(explored.output.is_err(), text.contains("kill"), "{text}");
        histories.insert(text);
    }
    assert_eq!(histories.len(), 5, "{histories:#?}");
}

#[tokio::test]
async fn the_single_faults_of_a_run_are_played_where_they_belong() {
    let counter = Counter::new().await;
    counter.careless().await.unwrap();
    let faults = counter.gate.calls().into_iter().flat_map(|Recorded { call, .. }| {
        let faults = Verdict::faults_of(&call.name, &call.shape).into_iter();
        faults.map(move |fault| Step::new(&call, fault)).collect::<Vec<_>>()
    });
    let faults: Vec<Step> = faults.collect();
    assert!(faults.len() > 25, "{}", faults.len());
    for fault in &faults {
        let counter = Counter::new().await;
        counter.gate.play(&History(vec![fault.clone()]));
        let _ = counter.careless().await;
        assert_eq!(counter.gate.unfired(), [""; 0], "{fault}");
        let verdicts: Vec<Verdict> = counter
            .gate
            .calls()
            .into_iter()
            .filter_map(|recorded| recorded.verdict)
            .filter(|verdict| *verdict != Verdict::Pass)
            .collect();
        assert_eq!(verdicts, std::slice::from_ref(&fault.verdict), "{fault}");
    }
    let counter = Counter::new().await;
    let unmet = Step { name: "provider:POST /keys".parse().unwrap(), times: 2, ..faults[0].clone() };
    counter.gate.play(&History(vec![unmet.clone()]));
    let _ = counter.careless().await;
    assert_eq!(counter.gate.unfired(), [unmet.to_string()]);
    assert_eq!(unmet.to_string(), "claim/1 provider:POST /keys#1x2 -> fail-before");
}
