//! Bursar in a real browser. `check` plays the first journey with and without scripts, and reads every kind of
//! mail. `screenshots` makes the pictures of the README; `gallery` those of every page and mail, light and dark,
//! on a phone and on a desk. `cargo xtask` has a recipe for each.

mod demonstration;
mod driver;
mod journey;
mod mails;
mod person;
mod pictures;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;

use driver::Driver;

/// The folder for the last pages of the browsers after a failure.
const EVIDENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser");

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check"] => check().await,
        ["screenshots", folder] => with(async |driver| pictures::screenshots(driver, Path::new(folder)).await).await,
        ["gallery", folder] => with(async |driver| pictures::gallery(driver, Path::new(folder)).await).await,
        _ => Err(anyhow!("check, screenshots FOLDER or gallery FOLDER")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("browser: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn check() -> Result<()> {
    for scripts in [true, false] {
        let started = Instant::now();
        with(async |driver| journey::goes_well(driver, scripts).await).await?;
        let how = if scripts { "with" } else { "without" };
        eprintln!("browser: the journey {how} scripts took {:.1} s", started.elapsed().as_secs_f32());
    }
    with(async |driver| mails::read_well(driver).await).await
}

/// Runs an act with a driver, and ends its browsers even when the act fails or panics.
async fn with(act: impl AsyncFnOnce(&Driver) -> Result<()>) -> Result<()> {
    let driver = Driver::start().await?;
    // A violated invariant panics, as in a test.
    let done = AssertUnwindSafe(act(&driver)).catch_unwind().await;
    let done = done.unwrap_or_else(|_| Err(anyhow!("it panicked, see above")));
    let failed = done.is_err().then(|| Path::new(EVIDENCE));
    let stopped = driver.stop(failed).await;
    done.with_context(|| format!("what was shown last is in {EVIDENCE}")).and(stopped)
}
