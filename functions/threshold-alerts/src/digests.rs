//! The weekly digests of each programme whose day it is. Each is computed once, from what the sync
//! summed up and whom it found, and recorded without names. Each recipient gets a mail.

use std::time::Duration;

use anyhow::Result;
use bursar_core::clock::Moment;
use bursar_core::deadline::Deadline;
use bursar_core::domain::audit::AuditEntry;
use bursar_core::domain::mail::digest;
use bursar_core::domain::mail::digest::{
    Digest, DigestMoney, DigestTrigger, Due, KeptPeople, LastListing,
};
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::models;
use bursar_core::domain::usage::models::ModelUse;
use bursar_core::domain::usage::span::stretches;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::utc_date;
use bursar_core::store::{Broadcast, SyncState, Table};
use serde::Serialize;

use crate::failures::Programmes;

/// The least time for a digest to be begun.
const ENOUGH_FOR_ONE: Duration = Duration::from_secs(25);
/// The nights that may have been since the days of a digest, which is made up for within two days.
const NIGHTS_SINCE: i32 = 4;

#[derive(Debug, Default, Serialize)]
pub(crate) struct DigestReport {
    pub(crate) digests: usize,
    /// The number that there was no time for; the next look goes on with them.
    pub(crate) left: usize,
    /// The programmes whose digest failed.
    pub(crate) failed: Vec<String>,
}

pub(crate) struct Look<'a> {
    pub(crate) table: &'a Table,
    pub(crate) programmes: &'a Programmes,
    pub(crate) trigger: DigestTrigger,
    pub(crate) now: Moment,
    pub(crate) deadline: Deadline,
}

impl Look<'_> {
    /// Records each digest that is due, unless it is there. One that fails does not block others.
    pub(crate) async fn record_all(&self) -> DigestReport {
        let mut report = DigestReport::default();
        for programme in &self.programmes.read {
            if let Err(error) = self.record_programme(programme, &mut report).await {
                let programme = &programme.id;
                let error = format!("{error:#}");
                tracing::warn!(%programme, error, "there is no digest yet; the next look makes it");
                report.failed.push(programme.to_string());
            }
        }
        report
    }

    async fn record_programme(
        &self,
        programme: &Programme,
        report: &mut DigestReport,
    ) -> Result<()> {
        // The time of creation is read only where it can matter.
        if self.due_digest(programme, Moment::MIN).is_none() {
            return Ok(());
        }
        let made_at = self
            .table
            .oldest(AuditEntry::of_programme(&programme.id))
            .await?
            .map_or(Moment::MIN, |audit_entry| audit_entry.recorded_at);
        let Some(due) = self.due_digest(programme, made_at) else {
            return Ok(());
        };
        // The newest may be of this week.
        let newest = self
            .table
            .newest(Digest::of_programme(&programme.id), 2)
            .await?;
        let told_until = newest
            .iter()
            .find(|digest| digest.week < due.week)
            .map(|digest| digest.days.1);
        let Some(due) = due.after(told_until, programme) else {
            return Ok(());
        };
        let settings = &programme.settings;
        let staff: Vec<EmailAddress> = settings
            .people
            .faculty
            .iter()
            .chain(&settings.people.assistants)
            .cloned()
            .collect();
        if staff.is_empty() {
            return Ok(());
        }
        let digest = match newest.into_iter().find(|digest| digest.week == due.week) {
            Some(digest) if digest.is_queued() => return Ok(()),
            // The invocation that recorded it died before every recipient had a mail.
            Some(digest) => digest,
            None => {
                if !self.deadline.leaves(ENOUGH_FOR_ONE) {
                    report.left += 1;
                    return Ok(());
                }
                self.compute(programme, due).await?
            }
        };
        let recipients = self.table.people_of(&staff, self.deadline).await?;
        let is_new = self
            .table
            .tell(&digest, &recipients, self.now, self.deadline)
            .await?;
        report.digests += usize::from(is_new);
        Ok(())
    }

    fn due_digest(&self, programme: &Programme, made_at: Moment) -> Option<Due> {
        digest::of_programme(programme, made_at, self.trigger, self.now)
    }

    async fn compute(&self, programme: &Programme, due: Due) -> Result<Digest> {
        let id = &programme.id;
        let settings = &programme.settings;
        let table = self.table;
        let weeks = due.weeks;
        let budget = table.get(Budget::key_of(id)).await?;
        let of_programme = table.programme_use(id).await?;
        let sync = table.sync_state().await?;
        let nights = table
            .newest(KeptPeople::of_programme(id), NIGHTS_SINCE)
            .await?;
        let people = nights
            .into_iter()
            .map(|kept| kept.people)
            .find(|people| (weeks[0].0..=weeks[0].1).contains(&people.days.1));
        let used = of_programme.used();
        let spent = used.days(settings.basis.byok);
        let budget = budget.unwrap_or_else(|| Budget::new(id.clone(), Usd::ZERO));
        let had_a_key = budget.claimed;
        let looked = find_last_listing(&sync, of_programme.has_keys(&budget));
        let money = DigestMoney::new(
            spent,
            budget,
            of_programme.spends_elsewhere(settings.basis.byok, self.now),
            weeks,
            looked,
        );
        let by_group = of_programme.own.iter().flat_map(|totals| &totals.by_group);
        let uses = table
            .models_of(id, of_programme.has_owned_keys(), weeks[0])
            .await?;
        let uses = uses.into_iter().map(|used| ModelUse {
            whose: None,
            ..used
        });
        let mut models = models::lines(uses, settings.basis.byok, digest::MOST_LINES);
        let known_days = sync
            .models_until
            .map(|until| (weeks[0].0, weeks[0].1.min(until)));
        models.extend(
            known_days.and_then(|days| models::find_use_beyond_models(&models, &used, days)),
        );
        let models_unknown = if had_a_key {
            stretches(weeks[0], |day| !sync.knows_models_of(day))
        } else {
            Vec::new()
        };
        Ok(Digest {
            programme: id.clone(),
            week: due.week,
            found_at: self.now,
            days: weeks[0],
            groups: digest::groups(
                by_group,
                &of_programme.assigned,
                settings.basis.byok,
                weeks,
                [money.this_week, money.week_before],
            ),
            models,
            models_unknown,
            money,
            standing_out: of_programme
                .own
                .as_ref()
                .map(|totals| totals.standing_out.clone())
                .unwrap_or_default(),
            people,
            listed_at: sync.listed_at,
            recipients: Vec::new(),
            queued: 0,
        })
    }
}

fn find_last_listing(sync: &SyncState, had_a_key: bool) -> LastListing {
    match sync.listed_at {
        _ if !had_a_key => LastListing::NoNeed,
        Some(listed_at) => LastListing::On(utc_date(listed_at)),
        None => LastListing::Never,
    }
}
