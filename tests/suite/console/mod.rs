//! The console over HTTP: what its pages tell, refuse and change.

mod accesses;
pub(crate) mod account;
mod admins;
mod counts;
pub(crate) mod erase;
mod foreign_acts;
mod grants;
mod help_desk;
pub(crate) mod mails;
mod outlook;
mod programmes;
mod registrar;
mod requests;
pub(crate) mod roster;
mod spending;
mod whose;

use bursar_core::domain::programme::Settings;
use bursar_tests::campus::{Campus, address};

const ID: &str = "/console/programmes/cs-pilot";
const GRANTS: &str = "/console/programmes/cs-pilot/grants";
const ROSTER: &str = "/console/programmes/cs-pilot/roster";
const SETTINGS: &str = "/console/programmes/cs-pilot/settings";
const ACCOUNT: &str = "/console/account";

/// A campus whose programme has Faye as faculty and Asta as an assistant.
async fn staffed() -> Campus {
    let mut campus = Campus::open().await;
    campus.programme("CS pilot", staff).await;
    campus
}

fn staff(settings: &mut Settings) {
    settings.people.faculty = vec![address("faye")];
    settings.people.assistants = vec![address("asta")];
}
