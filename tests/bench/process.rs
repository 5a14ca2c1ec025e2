//! Processes: the processor time and memory that this one has used, and how the others are started and
//! commanded.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::client::Sample;
use crate::clock::FastClock;
use crate::floor::AtOnce;
use crate::seed::Layout;
use crate::world::{Do, Reached, SECRET, Setup, TABLE};

/// The processor time of all threads of this process that still run.
pub(crate) fn cpu() -> Result<Duration> {
    let mut nanoseconds = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        nanoseconds += text.split(' ').next().and_then(|number| number.parse::<u64>().ok()).unwrap_or_default();
    }
    Ok(Duration::from_nanos(nanoseconds))
}

/// The peak of the resident memory of this process.
pub(crate) fn peak_kib() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    Ok(line.trim().trim_end_matches(" kB").trim().parse()?)
}

/// The world's process, as seen by the process that plans. It is stopped when this is dropped.
pub(crate) struct World {
    child: Child,
    to: Option<ChildStdin>,
    from: BufReader<ChildStdout>,
    pub(crate) reached: Reached,
    pub(crate) keys: usize,
    layout: Layout,
    clock: FastClock,
    turn: usize,
}

impl World {
    /// A world with this number of keys, in programmes of a thousand grants.
    pub(crate) fn of(keys: usize) -> Result<World> {
        World::begin(Setup { keys, layout: Layout::Thousands, clock: FastClock::going(1) })
    }

    pub(crate) fn begin(setup: Setup) -> Result<World> {
        let Setup { keys, layout, clock } = setup;
        let mut child = Command::new(std::env::current_exe()?)
            .args(["as-world", &serde_json::to_string(&setup)?])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let to = child.stdin.take();
        let mut from = BufReader::new(child.stdout.take().context("the world cannot be heard")?);
        let reached: Reached = hear(&mut from)?;
        eprintln!("bench: a world of {keys} keys was made in {:.1} s", reached.seeded_ms as f64 / 1e3);
        Ok(World { child, to, from, reached, keys, layout, clock, turn: 0 })
    }

    pub(crate) fn tell<T: DeserializeOwned>(&mut self, what: &Do) -> Result<T> {
        let to = self.to.as_mut().context("the world has ended")?;
        writeln!(to, "{}", serde_json::to_string(what)?)?;
        to.flush()?;
        hear(&mut self.from)
    }

    /// Increases the use of this percentage of keys, different ones each time; returns how many.
    pub(crate) fn spend(&mut self, per_cent: u32) -> Result<usize> {
        self.turn += 1;
        let answer: Value = self.tell(&Do::Spend { per_cent, turn: self.turn })?;
        Ok(usize::try_from(answer["changed"].as_u64().unwrap_or_default())?)
    }

    /// Moves the clock to the first scheduled start after this instant.
    pub(crate) fn pass_beyond(&mut self, instant: Timestamp) -> Result<()> {
        self.clock = self.clock.moved_beyond(instant);
        self.tell::<Value>(&Do::Clock(self.clock)).map(drop)
    }

    /// One run of the product in a process of its own. `seconds` of its own clock are left until its deadline.
    pub(crate) fn product(&self, payload: &Value, seconds: u64, counted: bool) -> Result<Sample> {
        let clock = serde_json::to_string(&self.clock)?;
        self.sample(&["as-product", &payload.to_string(), &seconds.to_string(), &clock], counted)
    }

    /// One run of the floor in a process of its own.
    pub(crate) fn floor(&self, at_once: AtOnce) -> Result<Sample> {
        let programmes = self.layout.programmes(self.keys).len();
        let at_once = serde_json::to_string(&at_once)?;
        self.sample(&["as-floor", &self.keys.to_string(), &programmes.to_string(), &at_once], false)
    }

    fn sample(&self, arguments: &[&str], counted: bool) -> Result<Sample> {
        let Reached { dynamodb, counting, secretsmanager, provider, .. } = &self.reached;
        let run = Command::new(std::env::current_exe()?)
            .args(arguments)
            .env_clear()
            .envs([
                ("AWS_REGION", "eu-central-1"),
                ("AWS_ACCESS_KEY_ID", "local"),
                ("AWS_SECRET_ACCESS_KEY", "local"),
                ("AWS_EC2_METADATA_DISABLED", "true"),
                ("AWS_CONFIG_FILE", "/dev/null"),
                ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null"),
                ("AWS_ENDPOINT_URL_DYNAMODB", if counted { counting } else { dynamodb }),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", secretsmanager),
                ("OPENROUTER_BASE_URL", provider),
                ("BURSAR_TABLE", TABLE),
                ("BURSAR_ORIGIN", "http://127.0.0.1:1"),
                ("BURSAR_MAIL_FROM", "bursar@example.edu"),
                ("BURSAR_ADMINS", "admin@example.edu"),
                ("BURSAR_MANAGEMENT_KEY_SECRET", SECRET),
                ("BURSAR_INSTITUTION", "Example University"),
            ])
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&run.stderr);
        ensure!(run.status.success(), "{} failed: {said}{}", arguments.join(" "), String::from_utf8_lossy(&run.stdout));
        serde_json::from_str(said.lines().last().unwrap_or_default()).with_context(|| format!("it said: {said}"))
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // The process ends when its standard input closes, and removes its files.
        drop(self.to.take());
        let _ = self.child.wait();
    }
}

fn hear<T: DeserializeOwned>(from: &mut impl BufRead) -> Result<T> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    serde_json::from_str(&line).with_context(|| format!("the world said: {line}"))
}
