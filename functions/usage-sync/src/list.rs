//! The listing: every key of the account, and what ours have used. A key is ours only if an attempt of ours made it; that it bears
//! one of our names is not enough.

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Clock;
use bursar_core::deadline::Deadline;
use bursar_core::domain::grant::{Attempt, Grant, Reading};
use bursar_core::domain::id::{DeploymentId, Epoch, GrantId, KeyName, ProgrammeId};
use bursar_core::domain::key::KeyHash;
use bursar_core::domain::programme::Byok;
use bursar_core::domain::reading::Of;
use bursar_core::domain::window::Reset;
use bursar_core::provider::Provider;
use bursar_core::provider::key::Key;
use bursar_core::store::{Noted, Table};
use jiff::Timestamp;

use crate::report::Report;

/// A run stops listing while there is time to report.
const LEFT_FOR_THE_REPORT: Duration = Duration::from_secs(60);

/// How far a listing came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Listing {
    /// To its end, and what each key has used is known.
    Whole,
    /// To its end, but some rows did not say what they should.
    WithGaps,
    Broken,
}

/// Lists the account's keys and records what ours have used.
pub(crate) async fn list(
    table: &Table,
    provider: &Provider,
    clock: &Clock,
    deadline: Deadline,
    report: &mut Report,
) -> Result<Listing> {
    let deployment = table.meta(clock.now()).await?.deployment;
    let looked_at = table.sync_state().await?.looked_at;
    let mut books = Books { table, resets: HashMap::new(), shards: HashMap::new() };
    let mut inventory = provider.inventory(clock, deadline);
    let mut listing = Listing::Whole;
    while deadline.leaves(LEFT_FOR_THE_REPORT) {
        let page = match inventory.next().await {
            Ok(Some(page)) => page,
            Ok(None) => {
                report.keys_listed = inventory.listed();
                return Ok(listing);
            }
            Err(error) => {
                report.problem(format!("the keys could not all be listed: {error}"));
                break;
            }
        };
        for row in page.unreadable {
            let which = row.hash.map_or("without a hash".to_owned(), |hash| hash.to_string());
            report.problem(format!("the key {which} could not be read: {}", row.why));
            listing = Listing::WithGaps;
        }
        for key in page.keys {
            match books.note(&deployment, &key, page.answered, looked_at).await? {
                Entered::Recorded => report.readings_recorded += 1,
                Entered::Unchanged | Entered::NotOurs | Entered::ShownToNobody => {}
                Entered::NoAttempt => {
                    report.problem(format!("the key {} bears a name of ours, and no attempt made it", key.hash));
                }
                Entered::SaysNothing => {
                    report.problem(format!("the provider does not say what the key {} has used", key.hash));
                    listing = Listing::WithGaps;
                }
            }
        }
    }
    report.keys_listed = inventory.listed();
    report.problem("the listing did not reach its end");
    Ok(Listing::Broken)
}

/// What became of a listed key.
enum Entered {
    Recorded,
    Unchanged,
    NotOurs,
    NoAttempt,
    /// Its attempt does not know its key, so nobody was shown one that could be spent.
    ShownToNobody,
    SaysNothing,
}

/// What the table says of keys: each programme and each sixteenth of its grants is read once a run.
struct Books<'a> {
    table: &'a Table,
    resets: HashMap<ProgrammeId, Option<(Reset, Byok)>>,
    shards: HashMap<(ProgrammeId, char), HashMap<GrantId, Page>>,
}

/// What is known of one grant's keys.
#[derive(Default)]
struct Page {
    attempts: Vec<Attempt>,
    readings: HashMap<Epoch, Reading>,
}

/// Whether an attempt made a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    Yes,
    No,
    /// The attempt knows no key.
    Unknown,
}

impl Books<'_> {
    async fn note(
        &mut self,
        deployment: &DeploymentId,
        key: &Key,
        answered: Timestamp,
        looked_at: Option<Timestamp>,
    ) -> Result<Entered> {
        let named = key.name.parse::<KeyName>().ok().filter(|name| name.deployment == *deployment);
        let Some(name) = named else { return Ok(Entered::NotOurs) };
        let Some(reset) = self.reset(&name.programme).await? else { return Ok(Entered::NoAttempt) };
        let page = self.page(&name, &key.hash).await?;
        let page = match page.map(|page| (page, page.made(&name, &key.hash))) {
            Some((page, Made::Yes)) => page,
            Some((_, Made::Unknown)) => return Ok(Entered::ShownToNobody),
            Some((_, Made::No)) | None => return Ok(Entered::NoAttempt),
        };
        let Some(told) = key.told(reset.0) else { return Ok(Entered::SaysNothing) };
        let (programme, grant, epoch) = (&name.programme, &name.grant, name.epoch);
        let made_at =
            page.attempts.iter().find(|attempt| attempt.epoch == epoch).map_or(answered, |made| made.begun_at);
        let of = Of { programme, grant, epoch, reset: reset.0, byok: reset.1, made_at };
        let before = page.readings.get(&epoch);
        let Ok(reading) = Reading::after(before, of, &told, answered, looked_at) else {
            return Ok(Entered::SaysNothing);
        };
        // The table would refuse it too, but is paid for saying so.
        if before.is_some_and(|before| !reading.is_news_to(before)) {
            return Ok(Entered::Unchanged);
        }
        match self.table.note_reading(&reading).await? {
            Noted::Recorded => Ok(Entered::Recorded),
            Noted::NotNewer => Ok(Entered::Unchanged),
        }
    }

    async fn reset(&mut self, programme: &ProgrammeId) -> Result<Option<(Reset, Byok)>> {
        if let Some(known) = self.resets.get(programme) {
            return Ok(*known);
        }
        let reset =
            self.table.programme(programme).await?.map(|programme| (programme.settings.reset, programme.settings.byok));
        self.resets.insert(programme.clone(), reset);
        Ok(reset)
    }

    /// What is known of the grant that this name is of.
    async fn page(&mut self, name: &KeyName, key: &KeyHash) -> Result<Option<&Page>> {
        let shard = name.grant.as_str().chars().next().unwrap_or('0');
        let place = (name.programme.clone(), shard);
        if !self.shards.contains_key(&place) {
            let grants = self.table.shard_of(&name.programme, shard).await?;
            let pages = grants.into_iter().map(|(grant, readings)| (grant.id.clone(), Page::of(grant, &readings)));
            self.shards.insert(place.clone(), pages.collect());
        }
        let pages = self.shards.entry(place).or_default();
        // It may have been made, or recorded, since the grant was read.
        if pages.get(&name.grant).is_none_or(|page| page.made(name, key) != Made::Yes)
            && let Some(grant) = self.table.grant(&name.programme, &name.grant).await?
        {
            pages.entry(name.grant.clone()).or_default().attempts = grant.attempts;
        }
        Ok(pages.get(&name.grant))
    }
}

impl Page {
    fn of(grant: Grant, readings: &[Reading]) -> Page {
        let readings = readings.iter().map(|reading| (reading.epoch, reading.clone())).collect();
        Page { attempts: grant.attempts, readings }
    }

    /// Whether the attempt of this name made this key.
    fn made(&self, name: &KeyName, key: &KeyHash) -> Made {
        let is_its = |attempt: &&Attempt| attempt.epoch == name.epoch && attempt.nonce == name.nonce;
        match self.attempts.iter().find(is_its).map(|attempt| &attempt.key) {
            Some(Some(known)) if known == key => Made::Yes,
            Some(None) => Made::Unknown,
            Some(Some(_)) | None => Made::No,
        }
    }
}
