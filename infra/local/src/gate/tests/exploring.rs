//! Histories over handlers: two of them that add to a counter without a condition, and with one.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::invoke::FunctionName;

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

    /// Reads the counter and writes one more, as nobody should.
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
async fn every_order_of_two_handlers_is_run_once_and_the_lost_update_is_among_them() {
    let mut every = Every::default();
    let (mut seen, mut lost) = (BTreeSet::new(), None);
    loop {
        let counter = Counter::new().await;
        let explored = counter.gate.explore(&race(&[], 0), &mut every, two(&counter), async |_| ()).await;
        assert_eq!(explored.output, (Ok(true), Ok(true)));
        assert!(seen.insert(explored.history.to_string()), "{} came twice", explored.history);
        if counter.value() == 1 {
            lost = Some(explored.history);
        }
        if !every.another() {
            break;
        }
    }
    assert_eq!(seen.len(), 6, "two handlers of two calls: {seen:#?}");
    let lost = lost.unwrap().to_string();

    // The history that was printed happens again.
    let counter = Counter::new().await;
    let mut replayed = Replayed::new(lost.parse().unwrap());
    let explored = counter.gate.explore(&race(&[], 0), &mut replayed, two(&counter), async |_| ()).await;
    assert_eq!(explored.history.to_string(), lost);
    assert_eq!(counter.value(), 1);
    assert_eq!(replayed.missed(), []);
}

/// Remembers between how many instances there was a choice at first, and lets the first call pass each time.
struct First(Option<usize>);

impl Choose for First {
    fn choose(&mut self, steps: &[Step]) -> usize {
        let instances: BTreeSet<u32> = steps.iter().map(|step| step.instance).collect();
        self.0.get_or_insert(instances.len());
        0
    }
}

#[tokio::test]
async fn the_race_begins_when_all_who_race_have_come() {
    let counter = Counter::new().await;
    let latecomer = async {
        // Past the gate, so that the other is held long before this one begins.
        for _ in 0..3 {
            reqwest::get(&counter.stub.origin).await.unwrap();
        }
        counter.careless().await
    };
    let work = futures_util::future::join(counter.careless(), latecomer);
    let mut first = First(None);
    counter.gate.explore(&race(&[], 0), &mut first, work, async |_| ()).await;
    assert_eq!(first.0, Some(2));
}

#[tokio::test]
async fn faults_are_part_of_the_history_and_each_step_is_seen_after_its_effect() {
    let mut every = Every::default();
    let mut histories = BTreeSet::new();
    loop {
        let counter = Counter::new().await;
        let exploration = Exploration { actors: 1, ..race(&["kill-after", "fail-before"], 1) };
        let mut values = Vec::new();
        let explored = counter
            .gate
            .explore(&exploration, &mut every, counter.careless(), async |step| {
                values.push((step.verdict.to_string(), counter.value()));
            })
            .await;
        let text = explored.history.to_string();
        let last = explored.history.0.last().unwrap();
        assert_eq!(values.len(), explored.history.0.len(), "{text}");
        let written = last.name.operation.starts_with("PATCH") && last.verdict != Verdict::FailBefore;
        assert_eq!(values.last().unwrap().1, u32::from(written), "{text}");
        assert_eq!(explored.output.is_err(), text.contains("kill"), "{text}");
        histories.insert(text);
        if !every.another() {
            break;
        }
    }
    // The first call fails either way; or it passes, and the second passes or fails either way.
    assert_eq!(histories.len(), 5, "{histories:#?}");
}

#[tokio::test]
async fn a_seed_gives_the_same_history_over_the_real_handlers_again() {
    for seed in 0..4 {
        let mut histories = BTreeSet::new();
        for _ in 0..3 {
            let counter = Counter::new().await;
            let mut drawn = Drawn::from_seed(seed, 3);
            let exploration = race(&["kill-before", "lose-answer", "status-500"], 2);
            let explored = counter.gate.explore(&exploration, &mut drawn, two(&counter), async |_| ()).await;
            histories.insert(explored.history.to_string());
        }
        assert_eq!(histories.len(), 1, "{histories:#?}");
    }
}

#[tokio::test]
async fn the_single_faults_of_a_run_are_played_where_they_belong() {
    let counter = Counter::new().await;
    counter.careless().await.unwrap();
    let histories = History::single_faults(&counter.gate.calls());
    assert!(histories.len() > 25, "{}", histories.len());
    for history in histories {
        let counter = Counter::new().await;
        counter.gate.play(&history);
        let _ = counter.careless().await;
        assert_eq!(counter.gate.unfired(), [""; 0], "{history}");
        let verdicts: Vec<Verdict> = counter
            .gate
            .calls()
            .into_iter()
            .filter_map(|recorded| recorded.verdict)
            .filter(|verdict| *verdict != Verdict::Pass)
            .collect();
        assert_eq!(verdicts, [history.0[0].verdict.clone()], "{history}");
    }
    let counter = Counter::new().await;
    counter.gate.play(&"claim/1 provider:POST /keys#1x2 -> status-500".parse().unwrap());
    let _ = counter.careless().await;
    assert_eq!(counter.gate.unfired(), ["claim/1 provider:POST /keys#1x2 -> status-500"]);
}
