//! Bursar in a real browser: `journeys` plays what needs one, `sign-on` signs people on at a
//! provider, `pages` judges every page, and `screenshots` makes the pictures of the README. `cargo
//! xtask` has recipes for them.

#![expect(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a check that cannot go on should say where"
)]

mod driver;
mod journey;
mod keyboard;
mod pages;
mod pictures;
mod sign_on;

use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::process::ExitCode;

use futures_util::FutureExt;

use driver::Driver;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let driver = Driver::start().await;
    let act = async {
        match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["journeys"] => keyboard::journeys(&driver).await,
            ["sign-on", library] => sign_on::journeys(&driver, Path::new(library)).await,
            ["pages", axe] => pages::are_good(&driver, Path::new(axe)).await,
            ["screenshots", folder] => pictures::screenshots(&driver, Path::new(folder)).await,
            _ => panic!("journeys, sign-on LIBRARY, pages AXE or screenshots FOLDER"),
        }
    };
    let done = AssertUnwindSafe(act).catch_unwind().await;
    // Browsers do not end with the driver's process.
    driver.stop(done.is_err()).await;
    if done.is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
