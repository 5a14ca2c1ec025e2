//! The schedules that run as the clock moves, with their times and order.

use super::*;
use crate::aws::recorder::Recorder;
use crate::aws::template::{Keys, Settings, TableSchema};
use crate::base::clock::tests::HandClock;

fn template(schedules: &[(FunctionName, &str, Value)]) -> Template {
    let schedule = |(function, expression, input): &(FunctionName, &str, Value)| Schedule {
        function: *function,
        expression: Expression::parse(expression).unwrap(),
        input: input.clone(),
    };
    let settings = Settings { timeout: Duration::from_secs(3), retries: 2 };
    Template {
        table: TableSchema {
            attributes: std::collections::BTreeMap::new(),
            keys: Keys { hash: String::new(), range: None },
            indexes: std::collections::BTreeMap::new(),
            ttl: String::new(),
        },
        functions: FunctionName::ALL.map(|function| (function, settings)).into(),
        readers: Vec::new(),
        schedules: schedules.iter().map(schedule).collect(),
        routes: Vec::new(),
        hear_mail_events: Vec::new(),
    }
}

fn the_usual() -> Template {
    template(&[
        (FunctionName::Console, "rate(1 minute)", json!({"task": "work"})),
        (FunctionName::ThresholdAlerts, "cron(0 6 * * ? *)", json!({"task": "digest"})),
        (FunctionName::UsageSync, "cron(20 0 * * ? *)", json!({})),
        (FunctionName::UsageSync, "rate(15 minutes)", json!({"task": "resume"})),
    ])
}

struct Bundle {
    hand: HandClock,
    clock: StackClock,
    kept: StateFile,
    /// The runs with their times by the product's clock.
    runs: Arc<Mutex<Vec<String>>>,
    recorder: Arc<Recorder>,
}

impl Bundle {
    fn at(text: &str) -> Bundle {
        let (hand, kept) = (HandClock::at(text), StateFile::in_memory().unwrap());
        let clock = StackClock::over(hand.clock(), kept.clone()).unwrap();
        let runs = Arc::new(Mutex::new(Vec::new()));
        let recorder = {
            let (clock, runs) = (clock.clone(), Arc::clone(&runs));
            Recorder::answering(move |function, input| {
                let task = input["task"].as_str().unwrap_or("-");
                lock(&runs).push(format!("{} {task} {}", function.as_str(), clock.now()));
                Ok(json!({}))
            })
        };
        Bundle { hand, clock, kept, runs, recorder: Arc::new(recorder) }
    }

    fn schedules(&self, template: &Template, sync_every: SyncEvery) -> Schedules {
        let invoke = Arc::clone(&self.recorder) as Arc<dyn Invoke>;
        Schedules::new(template, sync_every, invoke, self.kept.clone(), self.clock.clone()).unwrap()
    }

    fn runs(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.runs))
    }
}

#[tokio::test]
async fn a_jump_runs_each_schedule_once_at_its_last_instant_in_order_and_ends_where_asked() {
    let bundle = Bundle::at("2026-11-20T10:00:30Z");
    let schedules = bundle.schedules(&the_usual(), SyncEvery::AsInTemplate);
    let now = schedules.advance(SignedDuration::from_hours(48)).await.unwrap();
    assert_eq!(
        bundle.runs(),
        [
            "usage-sync - 2026-11-22T00:20:00Z",
            "threshold-alerts digest 2026-11-22T06:00:00Z",
            "console work 2026-11-22T10:00:30Z",
            "usage-sync resume 2026-11-22T10:00:30Z",
        ]
    );
    assert_eq!(now.to_string(), "2026-11-22T10:00:30Z");
    bundle.hand.pass(1);
    assert_eq!(bundle.clock.now().to_string(), "2026-11-22T10:00:31Z", "it runs on");

    schedules.advance(SignedDuration::from_secs(58)).await.unwrap();
    assert_eq!(bundle.runs(), Vec::<String>::new(), "nothing fell due");
    schedules.advance(SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!(bundle.runs(), ["console work 2026-11-22T10:01:30Z"]);
}

#[tokio::test]
async fn last_runs_are_kept_and_what_fell_due_while_stopped_runs_once_at_the_next_start() {
    let bundle = Bundle::at("2026-11-20T10:00:00Z");
    drop(bundle.schedules(&the_usual(), SyncEvery::AsInTemplate));
    bundle.hand.pass(3 * 24 * 3600);
    let schedules = bundle.schedules(&the_usual(), SyncEvery::AsInTemplate);
    schedules.start();
    bundle.recorder.called(4).await;
    schedules.stop().await;
    let mut runs = bundle.runs();
    runs.sort_unstable();
    assert_eq!(
        runs,
        [
            "console work 2026-11-23T10:00:00Z",
            "threshold-alerts digest 2026-11-23T10:00:00Z",
            "usage-sync - 2026-11-23T10:00:00Z",
            "usage-sync resume 2026-11-23T10:00:00Z",
        ]
    );
    let schedules = bundle.schedules(&the_usual(), SyncEvery::AsInTemplate);
    schedules.advance(SignedDuration::from_secs(59)).await.unwrap();
    assert_eq!(bundle.runs(), Vec::<String>::new());
}

#[tokio::test]
async fn sync_every_takes_the_place_of_the_template_s_time_and_counts_from_the_last_run() {
    let bundle = Bundle::at("2026-11-20T10:00:00Z");
    let every: SyncEvery = "24h".parse().unwrap();
    let syncs = |runs: Vec<String>| runs.into_iter().filter(|run| run.starts_with("usage-sync -")).collect::<Vec<_>>();
    let schedules = bundle.schedules(&the_usual(), every);
    schedules.advance(SignedDuration::from_hours(20)).await.unwrap();
    assert_eq!(syncs(bundle.runs()), Vec::<String>::new(), "not at the template's time");
    schedules.ran(FunctionName::UsageSync, &json!({}), bundle.clock.now()).unwrap();
    schedules.advance(SignedDuration::from_hours(23)).await.unwrap();
    assert_eq!(syncs(bundle.runs()), Vec::<String>::new(), "somebody ran it in between");
    schedules.advance(SignedDuration::from_hours(2)).await.unwrap();
    assert_eq!(syncs(bundle.runs()), ["usage-sync - 2026-11-22T06:00:00Z"]);

    // A restart may change the interval; the last run stays.
    let schedules = bundle.schedules(&the_usual(), "1h".parse().unwrap());
    schedules.advance(SignedDuration::ZERO).await.unwrap();
    assert_eq!(syncs(bundle.runs()), ["usage-sync - 2026-11-22T07:00:00Z"]);
}
