//! The demonstration, built for one session of the browser.

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::deadline::Waits;
use bursar_core::domain::values::address::EmailAddress;
use bursar_local::demo;
use bursar_local::folder::Folder;
use bursar_local::invoke::logs::Logs;
use bursar_local::schedules::SyncEvery;
use bursar_local::stack::{Options, ProviderAt, listen, origin_of};
use bursar_tests::stack::Stack;
use tempfile::TempDir;

pub(crate) const ADMIN: &str = "admin@example.edu";
pub(crate) const FACULTY: &str = "grace.hopper@example.edu";

/// The demonstration, in a folder that is removed with it.
pub(crate) struct Demonstration {
    pub(crate) stack: Stack,
    _folder: Folder,
    _place: TempDir,
}

impl Demonstration {
    pub(crate) async fn build() -> Result<Demonstration> {
        let place = tempfile::tempdir()?;
        let folder = Folder::open(&place.path().join("data"))?;
        let web = listen(0).await?;
        let origin = origin_of(&web)?;
        let admins = vec![EmailAddress::parse(ADMIN)?];
        demo::build(&folder, &origin, &admins, &Clock::system(), |progress| eprintln!("demonstration: {progress}"))
            .await?;
        let stack = Stack::start(Options {
            files: Some(folder.files()),
            web,
            origin: Some(origin),
            begins_at: None,
            admins,
            provider: ProviderAt::BuiltIn,
            smtp: None,
            sync_every: SyncEvery::Never,
            between: None,
            logs: Logs::new(100),
            waits: Waits::WHOLE,
        })
        .await?;
        Ok(Demonstration { stack, _folder: folder, _place: place })
    }
}
