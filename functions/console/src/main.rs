//! The Lambda binary of `console`; what it does is in the library beside it.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bursar_core::start::run::<console::App>().await
}
