//! Stage 1, begin: checks the management key and its account, and reads the account's money before the
//! listing.

use bursar_core::domain::values::key::Fingerprint;
use bursar_core::provider::account::Credits;

use super::list::Listing;
use crate::prelude::*;

/// The state of stage 1: the management key and the money that the run began with.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Beginning {
    management_key: Option<Fingerprint>,
    credits: Option<Credits>,
}

impl Beginning {
    /// Checks the key and reads the money. Workspaces depend on neither, so they are listed at the same time.
    /// If that fails, the listing repeats it and reports why.
    pub(crate) async fn run(
        &mut self,
        runner: &Runner<'_>,
        listing: &mut Listing,
        journal: &mut Journal,
    ) -> Result<StageEnd> {
        if !runner.has_time() {
            return Ok(StageEnd::TimeIsUp);
        }
        let (provider, until) = (runner.provider, runner.until());
        let checked = async {
            provider.check_management_key(until).await?;
            provider.check_account(&runner.deployment, runner.account.as_ref(), until).await
        };
        match checked.await {
            Ok(()) => {}
            Err(error) if runner.obstacle(&error).is_some() => return Err(error.into()),
            Err(error) => {
                journal.problem(format!("nothing was listed: {error}"));
                journal.note_refusal(&error);
                return Ok(StageEnd::RunOver);
            }
        }
        self.is_of_one_account(runner, journal).await;
        let (credits, position) = tokio::join!(provider.credits(until), provider.inventory_begins(until));
        match credits {
            Err(error) if runner.obstacle(&error).is_some() => return Err(error.into()),
            Ok(credits) => self.credits = Some(credits),
            Err(error) => {
                journal.note_refusal(&error);
                journal.problem(format!("the credits could not be read: {error}"));
            }
        }
        listing.begin_at(position.unwrap_or_default());
        Ok(if journal.key_refused().is_some() { StageEnd::RunOver } else { StageEnd::Done })
    }

    /// Whether the management key is still the one that the run began with, or another of the same account.
    pub(crate) async fn is_of_one_account(&mut self, runner: &Runner<'_>, journal: &mut Journal) -> bool {
        // When the secret cannot be read, no request can be sent either.
        let Ok(key) = runner.provider.management_keys().current().await else { return true };
        let key = key.fingerprint(&runner.deployment);
        if *self.management_key.get_or_insert_with(|| key.clone()) == key {
            return true;
        }
        let account = runner.account.as_ref().filter(|account| !account.listed.is_empty());
        let why = match runner.provider.check_account(&runner.deployment, account, runner.until()).await {
            Ok(()) if account.is_some() => {
                self.management_key = Some(key);
                return true;
            }
            Ok(()) => "nothing tells whether both are of one account".to_owned(),
            Err(error) => error.to_string(),
        };
        journal.break_off(format!(
            "the management key was exchanged, and {why}: this run ends, and the next begins with the new one"
        ));
        false
    }

    /// The account's money before the listing.
    pub(crate) fn credits(&self) -> Option<Credits> {
        self.credits
    }
}
