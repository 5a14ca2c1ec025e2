//! The schedules that run as the clock moves, with their times and order.

use futures_util::FutureExt;
use futures_util::future::BoxFuture;

use super::*;
use crate::base::clock::tests::HandClock;

/// A stack whose functions only tell when they ran.
struct Told {
    clock: StackClock,
    kept: StateFile,
    runs: Mutex<Vec<String>>,
}

impl Invoke for Told {
    fn invoke(&self, function: FunctionName, input: Value) -> BoxFuture<'_, Result<Value, InvokeError>> {
        let task = input["task"].as_str().unwrap_or("-");
        lock(&self.runs).push(format!("{} {task} {}", function.as_str(), self.clock.now()));
        std::future::ready(Ok(json!({}))).boxed()
    }
}

impl Told {
    fn over(real: &HandClock) -> Arc<Told> {
        let kept = StateFile::in_memory().unwrap();
        let clock = StackClock::over(real.clock(), kept.clone()).unwrap();
        Arc::new(Told { clock, kept, runs: Mutex::default() })
    }

    /// The schedules of this stack as after a start with a sync so often.
    fn schedules(self: &Arc<Told>, hours: i64) -> Schedules {
        let schedule = |(function, expression, input): (_, _, Value)| Schedule {
            function,
            expression: Expression::parse(expression).unwrap(),
            input,
        };
        let schedules = [
            (FunctionName::Console, "rate(1 minute)", json!({"task": "work"})),
            (FunctionName::ThresholdAlerts, "cron(0 6 * * ? *)", json!({"task": "digest"})),
            (FunctionName::UsageSync, "cron(20 0 * * ? *)", json!({})),
            (FunctionName::UsageSync, "rate(15 minutes)", json!({"task": "resume"})),
        ];
        let mut template = Template::bundled().unwrap().clone();
        template.schedules = schedules.map(schedule).into();
        let sync_every = SyncEvery::Every(SignedDuration::from_hours(hours));
        Schedules::new(&template, sync_every, self.clone(), self.kept.clone(), self.clock.clone()).unwrap()
    }

    fn runs(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.runs))
    }
}

#[tokio::test]
async fn a_jump_runs_each_schedule_once_at_its_last_instant_in_order_and_a_start_runs_what_was_missed() {
    let real = HandClock::at("2026-11-20T10:00:30Z");
    let told = Told::over(&real);
    let schedules = told.schedules(24);
    let now = schedules.advance(SignedDuration::from_hours(48)).await.unwrap();
    assert_eq!(
        told.runs(),
        [
            "threshold-alerts digest 2026-11-22T06:00:00Z",
            "console work 2026-11-22T10:00:30Z",
            "usage-sync resume 2026-11-22T10:00:30Z",
            "usage-sync - 2026-11-22T10:00:30Z",
        ]
    );
    assert_eq!(now.to_string(), "2026-11-22T10:00:30Z");
    real.pass(1);
    assert_eq!(told.clock.now().to_string(), "2026-11-22T10:00:31Z", "it runs on");
    schedules.advance(SignedDuration::from_secs(58)).await.unwrap();
    assert_eq!(told.runs(), Vec::<String>::new(), "nothing fell due");
    schedules.advance(SignedDuration::from_secs(1)).await.unwrap();
    assert_eq!(told.runs(), ["console work 2026-11-22T10:01:30Z"]);

    real.pass(24 * 3600);
    told.schedules(24).advance(SignedDuration::ZERO).await.unwrap();
    let mut runs = told.runs();
    runs.sort_unstable();
    let missed = ["console work", "threshold-alerts digest", "usage-sync -", "usage-sync resume"];
    assert_eq!(runs, missed.map(|run| format!("{run} 2026-11-23T10:01:30Z")));
}

#[tokio::test]
async fn sync_every_takes_the_place_of_the_template_s_time_and_counts_from_the_last_run() {
    let told = Told::over(&HandClock::at("2026-11-20T10:00:00Z"));
    let syncs = || told.runs().into_iter().filter(|run| run.starts_with("usage-sync -")).collect::<Vec<_>>();
    let schedules = told.schedules(24);
    schedules.advance(SignedDuration::from_hours(20)).await.unwrap();
    assert_eq!(syncs(), Vec::<String>::new(), "not at the template's time");
    schedules.ran(FunctionName::UsageSync, &json!({}), told.clock.now()).unwrap();
    schedules.advance(SignedDuration::from_hours(23)).await.unwrap();
    assert_eq!(syncs(), Vec::<String>::new(), "somebody ran it in between");
    schedules.advance(SignedDuration::from_hours(2)).await.unwrap();
    assert_eq!(syncs(), ["usage-sync - 2026-11-22T06:00:00Z"]);
    // A restart may change the interval; the last run stays.
    told.schedules(1).advance(SignedDuration::ZERO).await.unwrap();
    assert_eq!(syncs(), ["usage-sync - 2026-11-22T07:00:00Z"]);
}
