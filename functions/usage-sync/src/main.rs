//! The Lambda binary of `usage-sync`; what it does is in the library beside it.

use std::process::ExitCode;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    bursar_core::start::run::<usage_sync::App>().await
}
