//! The process of a sample: it runs the sync once, or asks the console for one answer several
//! times, and reports what that took. Connections are set up before the measurement.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use bursar_core::clock::Clock;
use bursar_core::config::Config;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::Actor;
use bursar_core::domain::grant::{Grant, Stopped};
use bursar_core::domain::values::id::ProgrammeId;
use bursar_core::start::Function;
use bursar_core::store::{ActContext, Table};
use bursar_local::base::lock;
use lambda_runtime::LambdaEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// The time-outs of an invocation and of a request.
const LASTS: Duration = Duration::from_secs(900);
const ANSWERS_WITHIN: Duration = Duration::from_secs(29);
const WORKS_FOR: Duration = Duration::from_secs(600);

/// The measurements of one sample.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Sample {
    /// From the event's text to the answer's.
    pub(crate) wall_ms: f64,
    pub(crate) cpu_ms: f64,
    /// The peak of the process's resident memory, so far.
    pub(crate) peak_kib: u64,
    pub(crate) answer: Value,
}

pub(crate) async fn run_the_sync() -> Result<()> {
    bursar_core::log::start();
    let config = Config::from_environment().await?;
    Table::new(&config).meta(Clock::system().now()).await?;
    say(&of_one(&usage_sync::App::new(config, Clock::system()), "{}", LASTS).await?)
}

/// Asks the console for a path: once with the answer, and without it so many times more.
pub(crate) async fn ask_the_console(
    cookie: &str,
    path: &str,
    takes: &str,
    times: usize,
) -> Result<()> {
    bursar_core::log::start();
    let app = console::App::new(Config::from_environment().await?, Clock::system());
    let event = request(cookie, "GET", path, ("accept-encoding", takes), "");
    let mut samples = vec![of_one(&app, &event, ANSWERS_WITHIN).await?];
    for _ in 0..times {
        let sample = of_one(&app, &event, ANSWERS_WITHIN).await?;
        samples.push(Sample {
            answer: Value::Null,
            ..sample
        });
    }
    say(&samples)
}

/// Has the console preview a roster of so many new people, apply it, and do the work of minutes
/// until it is applied.
pub(crate) async fn apply_a_roster(
    cookie: &str,
    csrf: &str,
    programme: &str,
    rows: usize,
) -> Result<()> {
    bursar_core::log::start();
    let app = console::App::new(Config::from_environment().await?, Clock::system());
    let path = format!("/console/programmes/{programme}/roster");
    let field = |name: &str, value: &str| {
        format!("--part\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n")
    };
    let rows = (0..rows).map(|row| {
        format!(
            "person-{row}@people.example.edu,Person Number {row},s{row},{}\n",
            row % 100
        )
    });
    let file = field(
        "file\"; filename=\"roster.csv",
        &format!("email,name,id,group\n{}", rows.collect::<String>()),
    );
    let body = [
        field("csrf", csrf),
        field("mode", "add"),
        file,
        "--part--\r\n".to_owned(),
    ]
    .concat();
    let upload = request(
        cookie,
        "POST",
        &path,
        ("content-type", "multipart/form-data; boundary=part"),
        &body,
    );
    let preview = of_one(&app, &upload, ANSWERS_WITHIN).await?;
    let page = preview.answer["body"].as_str().unwrap_or_default();
    let import = page
        .split("name=\"import\" value=\"")
        .nth(1)
        .and_then(|rest| rest.split('"').next());
    let form = format!(
        "csrf={csrf}&import={}",
        import.with_context(|| format!("no preview: {page}"))?
    );
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let applied = of_one(
        &app,
        &request(cookie, "POST", &format!("{path}/apply"), form_type, &form),
        ANSWERS_WITHIN,
    )
    .await?;
    ensure!(
        applied.answer["statusCode"] == 303,
        "not applied: {}",
        applied.answer
    );
    let mut samples = vec![preview, applied];
    loop {
        let work = of_one(&app, r#"{"task":"work"}"#, LASTS).await?;
        if work.answer["jobs"].is_null() {
            break;
        }
        samples.push(work);
    }
    samples
        .iter_mut()
        .for_each(|sample| sample.answer = Value::Null);
    say(&samples)
}

/// When claims had their key: the seconds of those with one press, and of those who had to press
/// again.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Burst {
    pub(crate) first: Vec<f64>,
    pub(crate) again: Vec<f64>,
    pub(crate) refused: Vec<String>,
    pub(crate) cpu_ms: f64,
}

/// Has the students of a file, each with the cookie and the token of a session, press for their
/// keys within so many seconds.
pub(crate) async fn claim_at_once(programme: &str, seconds: u64, students: &str) -> Result<()> {
    bursar_core::log::start();
    let students = std::fs::read_to_string(students)?;
    let students: Vec<(&str, &str)> = students
        .lines()
        .filter_map(|line| line.split_once(' '))
        .collect();
    // As in Lambda, each has a client of its own, so none waits for another's calls.
    let mut apps = Vec::new();
    for _ in &students {
        apps.push(claim::App::new(
            Config::from_environment().await?,
            Clock::system(),
        ));
    }
    let (path, cpu) = (format!("/my/{programme}/reveal"), processor()?);
    let mut dice = fastrand::Rng::with_seed(1);
    let presses = students.iter().zip(&apps).map(|((cookie, csrf), app)| {
        let (path, after) = (&path, Duration::from_millis(dice.u64(0..seconds * 1_000)));
        async move {
            tokio::time::sleep(after).await;
            let (begun, mut epoch, mut said) = (Instant::now(), 0, String::new());
            for press in 0..3 {
                let form = format!("csrf={csrf}&epoch={epoch}");
                let form_type = ("content-type", "application/x-www-form-urlencoded");
                let answer = of_one(
                    app,
                    &request(cookie, "POST", path, form_type, &form),
                    ANSWERS_WITHIN,
                )
                .await?
                .answer;
                let took = begun.elapsed().as_secs_f64();
                match answer["statusCode"].as_u64() {
                    Some(200) => return Ok((press, Ok(took))),
                    Some(409) => epoch += 1,
                    _ => {}
                }
                said = answer.to_string();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Ok::<_, anyhow::Error>((3, Err(said)))
        }
    });
    let mut burst = Burst::default();
    for ended in futures_util::future::try_join_all(presses).await? {
        match ended {
            (0, Ok(took)) => burst.first.push(took),
            (_, Ok(took)) => burst.again.push(took),
            (_, Err(said)) => burst.refused.push(said),
        }
    }
    burst.refused.truncate(3);
    burst.cpu_ms = (processor()? - cpu).as_secs_f64() * 1e3;
    say(&burst)
}

/// When all keys had another cap, and what else was done meanwhile: in seconds, pages in
/// milliseconds.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Edited {
    pub(crate) press: f64,
    pub(crate) confirmed: f64,
    pub(crate) leak: f64,
    pub(crate) pages: Vec<f64>,
    /// The most workers that did something at the same time.
    pub(crate) at_once: usize,
}

/// Gives every group of a programme another cap, runs the work of each minute, and looks at the
/// overview until all is confirmed. In the fourth minute a key is reported as leaked.
pub(crate) async fn edit_caps(
    cookie: &str,
    csrf: &str,
    programme: &str,
    leaked: &str,
) -> Result<()> {
    bursar_core::log::start();
    let (config, clock) = (Config::from_environment().await?, Clock::system());
    let (table, programme, leaked) = (Table::new(&config), programme.parse()?, leaked.parse()?);
    let (page, path) = (
        console::App::new(config.clone(), clock.clone()),
        format!("/console/programmes/{programme}"),
    );
    let groups: String = (0..4)
        .map(|group| format!("&cap_usd.section-{group}=10&models.section-{group}="))
        .collect();
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let form = request(
        cookie,
        "POST",
        &format!("{path}/groups"),
        form_type,
        &format!("csrf={csrf}&version=1{groups}"),
    );
    let begun = Instant::now();
    let pressed = of_one(&page, &form, ANSWERS_WITHIN).await?;
    ensure!(
        pressed.answer["statusCode"] == 303,
        "not saved: {}",
        pressed.answer
    );

    let worked = Arc::<Mutex<Vec<Worked>>>::default();
    let schedule = works_each_minute(&config, &worked);
    let overview = request(cookie, "GET", &path, ("accept-encoding", "gzip"), "");
    let mut edited = Edited {
        press: pressed.wall_ms / 1e3,
        ..Edited::default()
    };
    let (mut leaked_at, mut is_off) = (None, false);
    loop {
        tokio::time::sleep(Duration::from_millis(500)).await;
        edited
            .pages
            .push(of_one(&page, &overview, ANSWERS_WITHIN).await?.wall_ms);
        let now = clock.now();
        if leaked_at.is_none() && begun.elapsed() >= Duration::from_secs(200) {
            let at = ActContext {
                programme: &programme,
                grant: &leaked,
                now,
                deadline: Deadline::after(WORKS_FOR),
            };
            table
                .act(at, |view, _| view.stop(Stopped::Leaked, &Actor::Student))
                .await?;
            leaked_at = Some(Instant::now());
        }
        if let (Some(at), false) = (leaked_at, is_off) {
            let grant = table
                .get(Grant::key_of(&programme, &leaked))
                .await?
                .context("no grant")?;
            (edited.leak, is_off) = (at.elapsed().as_secs_f64(), !grant.has_key_to_end());
        }
        let job = table.jobs(&programme).await?.pop().context("no job")?;
        if job.next >= job.total && table.list_waiting_for_provider(&job).await?.is_empty() {
            break;
        }
    }
    edited.confirmed = begun.elapsed().as_secs_f64();
    tokio::time::sleep(Duration::from_secs(5)).await;
    schedule.abort();
    let worked: Vec<Worked> = lock(&worked)
        .iter()
        .filter(|of| of.settled)
        .copied()
        .collect();
    let beside = |one: &Worked| {
        worked
            .iter()
            .filter(|of| of.from <= one.from && one.from < of.until)
            .count()
    };
    edited.at_once = worked.iter().map(beside).max().unwrap_or_default();
    say(&edited)
}

/// Pauses all students of a programme, runs the work of each minute, and waits until all keys are
/// known to be off. Returns how long the two requests took, and the rest, in seconds.
pub(crate) async fn pause_all(cookie: &str, csrf: &str, programme: &str) -> Result<()> {
    bursar_core::log::start();
    let (config, clock) = (Config::from_environment().await?, Clock::system());
    let (table, path) = (
        Table::new(&config),
        format!("/console/programmes/{programme}/grants/bulk"),
    );
    let programme: ProgrammeId = programme.parse()?;
    let form_type = ("content-type", "application/x-www-form-urlencoded");
    let form = format!("csrf={csrf}&act=pause");
    let schedule = works_each_minute(&config, &Arc::default());
    let begun = Instant::now();
    let page = console::App::new(config, clock);
    let shown = of_one(
        &page,
        &request(cookie, "POST", &path, form_type, &form),
        ANSWERS_WITHIN,
    )
    .await?;
    let preview = shown.answer["body"]
        .as_str()
        .and_then(|body| body.split_once("name=\"bulk\" value=\""));
    let (bulk, _) = preview
        .and_then(|(_, rest)| rest.split_once('"'))
        .context("no preview")?;
    let form = format!("{form}&bulk={bulk}");
    let applied = of_one(
        &page,
        &request(cookie, "POST", &path, form_type, &form),
        ANSWERS_WITHIN,
    )
    .await?;
    ensure!(
        applied.answer["statusCode"] == 303,
        "not paused: {}",
        applied.answer
    );
    loop {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let grants = table.grants(&programme).await?;
        if grants
            .iter()
            .filter_map(Grant::live)
            .all(|live| live.enabled.is(&false))
        {
            break;
        }
    }
    schedule.abort();
    say(&[
        (shown.wall_ms + applied.wall_ms) / 1e3,
        begun.elapsed().as_secs_f64(),
    ])
}

fn works_each_minute(config: &Config, worked: &Arc<Mutex<Vec<Worked>>>) -> JoinHandle<()> {
    let (workers, worked) = (config.clone(), worked.clone());
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(Duration::from_secs(60)).await;
            let (app, worked) = (
                console::App::new(workers.clone(), Clock::system()),
                worked.clone(),
            );
            tokio::spawn(async move {
                let from = Instant::now();
                let work = of_one(&app, r#"{"task":"work"}"#, WORKS_FOR).await;
                let settled = work.is_ok_and(|work| work.answer["settled"] != 0);
                lock(&worked).push(Worked {
                    from,
                    until: Instant::now(),
                    settled,
                });
            });
        }
    })
}

/// A worker, and whether it told the provider anything.
#[derive(Clone, Copy)]
struct Worked {
    from: Instant,
    until: Instant,
    settled: bool,
}

fn request(
    cookie: &str,
    method: &str,
    path: &str,
    (header, value): (&str, &str),
    body: &str,
) -> String {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    json!({
        "version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query, "cookies": [cookie],
        "headers": {header: value}, "body": body, "isBase64Encoded": false,
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1"}},
    })
    .to_string()
}

async fn of_one(app: &impl Function, event: &str, lasts: Duration) -> Result<Sample> {
    let mut context = lambda_runtime::Context::default();
    context.request_id = format!("bench-{}", std::process::id());
    context.deadline =
        u64::try_from((SystemTime::now().duration_since(UNIX_EPOCH)? + lasts).as_millis())?;
    let (begun, cpu) = (Instant::now(), processor()?);
    let answer =
        Box::pin(app.handle(LambdaEvent::new(serde_json::from_str(event)?, context))).await?;
    let _text = serde_json::to_string(&answer)?;
    let (wall_ms, cpu_ms) = (
        begun.elapsed().as_secs_f64() * 1e3,
        (processor()? - cpu).as_secs_f64() * 1e3,
    );
    Ok(Sample {
        wall_ms,
        cpu_ms,
        peak_kib: peak_kib()?,
        answer,
    })
}

/// Standard output is used by the log, so what was measured goes to standard error.
fn say(measured: &impl Serialize) -> Result<()> {
    eprintln!("{}", serde_json::to_string(measured)?);
    Ok(())
}

/// The processor time of all threads of this process that still run.
fn processor() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text
            .split(' ')
            .next()
            .and_then(|number| number.parse::<u64>().ok())
            .unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}
