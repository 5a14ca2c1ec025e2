//! `rehearse`: a student's way from the invitation to the statement, walked on a deployment before
//! the first student is there. It goes over the pages as a browser does, spends a cent of the
//! university's at the provider, and leaves one closed programme.

mod command;
mod figures;
mod page;
mod place;
mod steps;

use std::fs::{self, File, TryLockError};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use bursar_core::clock::{Clock, Moment};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_visitor::Visitor;
use futures_util::future::BoxFuture;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;

pub use command::Arguments;
pub(crate) use command::run;
pub use page::Report;
pub use place::Place;
pub use steps::Step;
use steps::{NEXT_DAY, WALK};

use crate::provider_check::Wait;
use crate::provider_check::wire::Wire;

/// What a person types after these words, so that a test can answer them.
pub type Prompt = Arc<dyn Fn(&str) -> BoxFuture<'static, Result<String>> + Send + Sync>;

/// Where to rehearse, and how.
pub struct Options {
    pub place: Place,
    /// The address of an admin, who is also the faculty and the student of the rehearsal.
    pub address: String,
    pub model: String,
    /// Whether a browser's cookies are typed, and no code.
    pub takes_session: bool,
    /// Whether it is the day after, for the final reading alone.
    pub is_next_day: bool,
    /// The file that knows what a run makes, for the next one.
    pub state: PathBuf,
    pub clock: Clock,
    pub wait: Wait,
    pub prompt: Prompt,
    /// Told of each step as it begins.
    pub progress: Arc<dyn Fn(Step) + Send + Sync>,
}

/// What a run makes, for the one that comes after it.
#[derive(Serialize, Deserialize)]
struct Record {
    origin: String,
    programme: String,
    /// The path of its page, empty until that is known.
    path: String,
    began_on: Date,
    is_closed: bool,
    #[serde(skip)]
    is_of_this_run: bool,
}

struct Run<'a> {
    options: &'a Options,
    admin: Visitor,
    student: Visitor,
    /// The cookies that were typed, for both.
    session: Option<String>,
    signed_in_at: Moment,
    record: Option<Record>,
    /// The newest key, once it was shown.
    key: Option<Wire>,
    provider: String,
    spent: Usd,
    synced_at: Moment,
    /// What the sync read of it.
    synced: Usd,
    report: Report,
}

/// Walks all steps up to the first that fails, and closes what is open then. It fails where nothing
/// can be begun.
pub async fn rehearse(options: &Options) -> Result<Report> {
    let origin = options.place.origin();
    let _lock = lock(&options.state)?;
    let mut run = Run {
        options,
        admin: Visitor::new(origin, origin)?,
        student: Visitor::new(origin, origin)?,
        session: None,
        signed_in_at: options.clock.now(),
        record: Record::read(options)?,
        key: None,
        provider: String::new(),
        spent: Usd::ZERO,
        synced_at: options.clock.now(),
        synced: Usd::ZERO,
        report: Report::new(&options.place, options.clock.now()),
    };
    ensure!(
        run.record.is_some() || !options.is_next_day,
        "{} knows of no rehearsal",
        options.state.display()
    );
    for step in if options.is_next_day {
        &NEXT_DAY[..]
    } else {
        &WALK
    } {
        (options.progress)(*step);
        let begun = options.clock.now();
        let outcome = run
            .carry_out(*step)
            .await
            .map_err(|error| format!("{error:#}"));
        let is_done = outcome.is_ok();
        run.report.note(*step, run.since(begun), outcome);
        if !is_done {
            break;
        }
    }
    if !options.is_next_day {
        run.end().await;
        run.figures();
    }
    Ok(run.report)
}

impl Run<'_> {
    fn since(&self, begun: Moment) -> Duration {
        Duration::try_from(self.options.clock.now().duration_since(begun)).unwrap_or_default()
    }

    /// Closes what a failed step left open, and says what stays.
    async fn end(&mut self) {
        if self.record.as_ref().is_some_and(|record| !record.is_closed) {
            (self.options.progress)(Step::Close);
            if let Err(error) = self.close().await {
                self.report.stays.push(format!(
                    "**not seen closed**: {error:#}. Its key may work up to $0.50 until the programme ends tomorrow. \
                     The next run closes it first"
                ));
            }
        }
        if let Some(record) = self
            .record
            .as_ref()
            .filter(|record| record.is_of_this_run && !record.path.is_empty())
        {
            let state = if record.is_closed {
                "closed programme"
            } else {
                "programme"
            };
            self.report.stays.push(format!(
                "the {state} “{}” with its audit, ${} that were spent, and its keys, which the sync deletes at the provider later. \
                 `--finish` tells its final reading tomorrow",
                record.programme, self.spent
            ));
        }
    }
}

impl Record {
    fn read(options: &Options) -> Result<Option<Record>> {
        let shown = options.state.display();
        let text = match fs::read_to_string(&options.state) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            text => text.with_context(|| format!("{shown} cannot be read"))?,
        };
        let record: Record = serde_json::from_str(&text)
            .with_context(|| format!("{shown} is no file of a rehearsal"))?;
        ensure!(
            record.origin == options.place.origin(),
            "{shown} is of {}: name another by --state",
            record.origin
        );
        Ok(Some(record))
    }

    fn new(options: &Options) -> Record {
        let now = options.clock.now();
        Record {
            origin: options.place.origin().to_owned(),
            programme: format!("Rehearsal {}", now.strftime("%Y-%m-%d %H:%M:%S")),
            path: String::new(),
            began_on: utc_date(now),
            is_closed: false,
            is_of_this_run: true,
        }
    }

    fn keep(&self, options: &Options) -> Result<()> {
        // A run that is killed meanwhile leaves what was there before.
        let folder = options.state.parent().unwrap_or(Path::new(""));
        let mut file = NamedTempFile::new_in(Path::new(".").join(folder))?;
        file.write_all(serde_json::to_string(self)?.as_bytes())?;
        file.as_file().sync_all()?;
        file.persist(&options.state)?;
        Ok(())
    }
}

/// Keeps other runs from a file, as long as what is returned is open. It lies beside the file,
/// which is replaced again and again.
fn lock(state: &Path) -> Result<File> {
    let shown = state.display();
    let lock = File::options()
        .append(true)
        .create(true)
        .open(state.with_extension("lock"));
    let lock = lock.with_context(|| format!("nothing can be written beside {shown}"))?;
    match lock.try_lock() {
        Err(TryLockError::WouldBlock) => {
            bail!(
                "another rehearsal runs with {shown}: wait for its end, or name another file by --state"
            )
        }
        locked => locked
            .map(|()| lock)
            .with_context(|| format!("{shown} cannot be locked")),
    }
}
