//! The brake of a programme, which is what one of its keys may spend in a UTC day: how small it may be, and why.

use std::collections::BTreeSet;

use bursar_core::domain::programme::Settings;
use bursar_core::domain::programme::rules::DailyLimit;
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::window::Reset;
use bursar_core::store::{ListedModels, StoreError, Table};

use super::SettingsDraft;
use super::reader::cap;
use crate::kit::form::FieldText;

/// How many of the longest answers that agents ask for a day has to pay for.
const ANSWERS: u32 = 3;

/// The least that a brake may be, so that it stops a loop and not a day of work.
pub(crate) struct BrakeFloor {
    least: Usd,
    fifth: Usd,
    /// The dearest model that is named, and what those answers of it cost.
    dearest: Option<(Usd, String)>,
}

impl BrakeFloor {
    pub(crate) async fn read(table: &Table, settings: &Settings) -> Result<BrakeFloor, StoreError> {
        let (listed, tiers) = tokio::try_join!(table.get(ListedModels::key_of()), table.tiers())?;
        let groups = settings.rules.group_models.keys().map(|group| Some(group.as_str()));
        let named = groups.chain([None]).flat_map(|group| settings.rules.for_group(group).resolved(&tiers).models);
        let named: BTreeSet<String> = named.collect();
        let cost = |model: String| Some((listed.as_ref()?.long_answer(&model)?.times(ANSWERS), model));
        let dearest = named.into_iter().filter_map(cost).max();
        let fifth = Usd::from_micros((settings.allowance.largest().micros() + 4) / 5).up_to_the_cent();
        let answers = dearest.as_ref().map_or(Usd::ZERO, |(cost, _)| cost.up_to_the_cent());
        Ok(BrakeFloor { least: fifth.max(answers), fifth, dearest })
    }
}

impl BrakeFloor {
    pub(crate) fn hint(&self) -> String {
        format!("At least {}: {}.", self.least.to_dollars(), self.why())
    }

    fn why(&self) -> String {
        match &self.dearest {
            Some((cost, model)) if *cost > self.fifth => {
                format!("three answers of 32,000 tokens by {model}, as coding agents ask for, could cost that much")
            }
            Some(_) => "a fifth of the largest cap".to_owned(),
            None => "a fifth of the largest cap, since no models of a known price are named".to_owned(),
        }
    }

    /// Why the brake of these settings cannot be saved, if it is too small. One that was as small under these rules and caps stays.
    pub(crate) async fn refusal(
        table: &Table,
        before: Option<&Settings>,
        after: &Settings,
    ) -> Result<Option<String>, StoreError> {
        let Some(daily) = after.rules.all.daily else { return Ok(None) };
        let floor = BrakeFloor::read(table, after).await?;
        if let Some(before) = before.filter(|before| before.rules.all.daily == Some(daily))
            && BrakeFloor::read(table, before).await?.least >= floor.least
        {
            return Ok(None);
        }
        let why = (daily.limit < floor.least)
            .then(|| format!("A brake of {} is too small. {}", daily.limit.to_dollars(), floor.hint()));
        Ok(why)
    }
}

impl FieldText<'_, SettingsDraft> {
    /// The brake, beside what the form says of caps by then.
    pub(super) fn brake(&self, settings: &Settings) -> Result<Option<DailyLimit>, String> {
        let is_readable = cap(self.form.text("cap_usd")).is_ok();
        if self.text().is_empty() || !is_readable {
            return Ok(None);
        }
        let limit = cap(self.text())?.whole_cents();
        let largest = settings.allowance.largest();
        if settings.basis.reset != Reset::None {
            return Err("A brake goes with a cap for the whole term alone: this cap resets by itself.".to_owned());
        }
        if limit > largest {
            return Err(format!(
                "A brake above {}, the largest cap of the programme and its groups, stops nobody who has such a cap.",
                largest.to_dollars()
            ));
        }
        Ok(Some(DailyLimit { limit, byok: settings.basis.byok }))
    }
}
