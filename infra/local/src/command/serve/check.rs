//! What `--check` tries, once the settings are right by themselves.

use anyhow::Result;
use bursar_core::deadline::Deadline;
use bursar_core::provider::Provider;
use bursar_core::secrets::ManagementKey;

use super::settings::Settings;
use crate::command::Refused;
use crate::command::arguments::CHECK;
use crate::command::folder::{Folder, Kind};

/// Asks the provider, speaks to the mail server without sending, and looks at the folder, all of it
/// whatever fails.
pub(super) async fn all(settings: &Settings) -> Result<()> {
    let mut wrong = Vec::new();
    let url = &settings.config.provider;
    let provider = Provider::with_key(url, ManagementKey::parse(&settings.management_key)?);
    if let Err(error) = provider.check_management_key(Deadline::after(CHECK)).await {
        wrong.push(format!(
            "management_key_file: the provider at {url} cannot be used with its key: {error}"
        ));
    }
    if let Err(untaken) = settings.relay.try_out().await {
        wrong.push(format!(
            "smtp: {} does not take mail from here: {}",
            settings.relay.server(),
            untaken.why
        ));
    }
    if let Err(error) = Folder::check(&settings.folder, Kind::Serve) {
        wrong.push(format!("data: {error:#}"));
    }
    if wrong.is_empty() {
        Ok(())
    } else {
        Err(Refused(wrong).into())
    }
}
