//! A whole stack in this process, in memory, for one test. `finish` looks for what a passing test could have hidden.

use std::path::Path;

use anyhow::{Result, ensure};
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::folder::{Files, Folder};
use bursar_local::gate::Keep;
use bursar_local::invoke::binaries::build_binaries;
use bursar_local::invoke::logs::Logs;
use bursar_local::schedules::SyncEvery;
use bursar_local::stack::{Functions, Options, ProviderAt, Stack, listen};

use crate::invariants::{RawTable, Watch};
use crate::plain_words::refused_in_mail;

const ADMIN: &str = "admin@example.edu";

/// A stack with the functions in this process.
pub async fn in_process() -> Result<Stack> {
    start(Functions::InProcess, None, Waits::WHOLE, &[ADMIN]).await
}

/// The same with functions that really wait only a part of each wait.
pub async fn in_process_waiting(waits: Waits) -> Result<Stack> {
    start(Functions::InProcess, None, waits, &[ADMIN]).await
}

/// A stack of these admins with the functions in this process.
pub async fn with_admins(admins: &[&str]) -> Result<Stack> {
    start(Functions::InProcess, None, Waits::WHOLE, admins).await
}

/// A stack with the real binaries.
pub async fn with_binaries() -> Result<Stack> {
    start(Functions::Binaries(build_binaries().await?), None, Waits::WHOLE, &[ADMIN]).await
}

/// A stack over the folder of a `bursar` that has ended.
pub async fn over(data: &Path) -> Result<Stack> {
    let folder = Folder::open(data)?;
    start(Functions::InProcess, Some(folder.files()), Waits::WHOLE, &[ADMIN]).await
}

/// Whoever looks at all of a stack that can be looked at.
pub fn watch(stack: &Stack) -> Watch {
    let logs = stack.logs.clone();
    let watch = Watch::over(RawTable::at(stack.engine.origin(), &stack.ready.table), stack.clock.as_clock())
        .with_mails(stack.ses.clone())
        .with_stream(stack.engine.clone())
        .with_logs(move || logs.all().into_iter().map(|line| line.text).collect());
    match &stack.provider {
        Some(provider) => watch.with_provider(provider.clone()).with_gate(stack.gate.clone()),
        None => watch,
    }
}

/// Ends a stack in which nothing went wrong: every planned fault happened, every event found its function, no mail is unread or says
/// a word of the code, and no function complained. A test that expects one of these to be otherwise looks itself and stops the stack.
pub async fn finish(stack: Stack) -> Result<()> {
    let unfired = stack.gate.unfired();
    ensure!(unfired.is_empty(), "planned faults that no call met: {unfired:?}");
    let dead = stack.pump.dead_letters().all()?;
    ensure!(dead.is_empty(), "dead letters: {dead:?}");
    let unread = stack.ses.unread().len();
    ensure!(unread == 0, "{unread} mails are left unread");
    let says: Vec<_> = stack.ses.mails().iter().flat_map(refused_in_mail).collect();
    ensure!(says.is_empty(), "mails say {says:?}");
    let complaint = |text: &str| ["\"WARN\"", "\"ERROR\"", "panicked"].iter().any(|level| text.contains(level));
    let complaints: Vec<_> = stack.logs.all().into_iter().filter(|line| complaint(&line.text)).collect();
    ensure!(complaints.is_empty(), "functions complained: {complaints:#?}");
    stack.stop().await
}

async fn start(functions: Functions, files: Option<Files>, waits: Waits, admins: &[&str]) -> Result<Stack> {
    Stack::start(Options {
        files,
        web: listen(0).await?,
        origin: None,
        begins_at: None,
        admins: admins.iter().map(|admin| EmailAddress::parse(admin)).collect::<Result<_, _>>()?,
        provider: ProviderAt::BuiltIn,
        smtp: None,
        sync_every: SyncEvery::Never,
        functions,
        keep: Keep::All,
        logs: Logs::new(Keep::All),
        waits,
    })
    .await
}
