//! Bursar in a real browser. `check` plays the first journey, and walks through every page, of which it keeps pictures.
//! `screenshots` makes the pictures of the README. `cargo xtask` has a recipe for each.

mod demonstration;
mod driver;
mod journey;
mod person;
mod pictures;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, anyhow};
use futures_util::FutureExt;

use driver::Driver;

/// The folder for the pages that were walked through, and the last ones of the browsers after a failure.
const EVIDENCE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/browser");

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check"] => check().await,
        ["screenshots", folder] => with(async |driver| pictures::screenshots(driver, Path::new(folder)).await).await,
        _ => Err(anyhow!("check or screenshots FOLDER")),
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
    with(async |driver| journey::goes_well(driver).await).await?;
    with(async |driver| pictures::walk(driver, &Path::new(EVIDENCE).join("pages")).await).await
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
