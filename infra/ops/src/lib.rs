//! What an operator runs beside a deployment, each a subcommand of `bursar-ops`.

#![recursion_limit = "256"]

mod aws;
mod doctor;
mod newer;
pub mod provider_check;
pub mod rehearse;
mod sign_on;
mod status;

use std::process::ExitCode;

use clap::Subcommand;

pub use aws::NotLooked;

/// The version with its commit, as people say it.
pub const VERSION: &str = env!("BURSAR_VERSION");

#[derive(Subcommand)]
pub enum Command {
    /// Says what stands between a deployment and claim day
    Doctor(doctor::Arguments),
    /// When students cannot claim: says what fails now, and what to do
    Status(status::Arguments),
    ProviderCheck(provider_check::command::Arguments),
    Rehearse(rehearse::Arguments),
}

impl Command {
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Command::Doctor(arguments) => doctor::doctor(arguments).map(|()| ExitCode::SUCCESS),
            Command::Status(arguments) => status::status(arguments).map(|()| ExitCode::SUCCESS),
            Command::ProviderCheck(arguments) => provider_check::command::run(arguments).await,
            Command::Rehearse(arguments) => rehearse::run(arguments).await,
        }
    }
}
