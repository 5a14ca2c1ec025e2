//! Demonstration data: a term under way. A story acts through the real functions while the clock moves from
//! its first day to the present. It is built in a temporary folder and moved to its place when complete.

mod cast;
mod story;

use anyhow::{Context, Result};
use bursar_core::clock::Clock;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use jiff::SignedDuration;
use jiff::tz::TimeZone;
use story::{DAYS, Story};

use crate::aws::inbox::KnownLogin;
use crate::aws::invoke::logs::{Keep, Logs};
use crate::aws::schedules::SyncEvery;
use crate::aws::ses::Quota;
use crate::base::state_file::StateFile;
use crate::command::folder::Folder;
use crate::command::stack::{Options, ProviderAt, Stack, WHO, listen};

/// The number of lines that are kept of a stack that nobody inspects.
const LATEST: usize = 100;

/// Fills a new folder with a story that ends at the time of `clock`. Links in its mails lead to `origin`.
pub async fn build(
    folder: &Folder,
    origin: &str,
    admins: &[EmailAddress],
    clock: &Clock,
    mut progress: impl FnMut(String),
) -> Result<()> {
    let aside = folder.aside()?;
    let began = story::first_day(clock.now());
    let stack = Stack::start(Options {
        files: Some(aside.files()),
        web: listen(0).await?,
        origin: Some(origin.to_owned()),
        begins_at: Some(began.at(7, 0, 0, 0).to_zoned(TimeZone::UTC)?.timestamp()),
        admins: admins.to_vec(),
        provider: ProviderAt::BuiltIn,
        smtp: None,
        sync_every: SyncEvery::Every(SignedDuration::from_hours(24)),
        between: None,
        logs: Logs::new(Keep::Last(LATEST)),
        waits: Waits::WHOLE,
    })
    .await?;
    // The roster mails are sent at once, not at the rate of a new account.
    stack.ses.set_quota(Quota { per_second: 10_000, ..Quota::PRODUCTION });
    let admin = admins.first().context("there is no admin")?;
    let mut story = Story::new(&stack, began, admin);
    let told = story.tell(clock, |day| progress(format!("day {} of {DAYS}", day + 1))).await;
    let who = story.who();
    // The stack is stopped after a failure too, so that the folder can be removed.
    stack.stop().await?;
    told?;
    keep(&aside.files().stand_ins.join("state.db"), &who)?;
    aside.finish()?;
    Ok(())
}

fn keep(state: &std::path::Path, who: &[KnownLogin]) -> Result<()> {
    StateFile::open(state)?.put(WHO.0, WHO.1, &who)
}
