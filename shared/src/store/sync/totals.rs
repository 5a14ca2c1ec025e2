//! The totals of a programme and of its groups, as runs of the sync summed them up, and what counts
//! for a programme besides.

use std::collections::BTreeMap;

use jiff::ToSpan;
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::programme::{Budget, Byok};
use crate::domain::usage::forecast::StandingOut;
use crate::domain::usage::pilot::WorkDay;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::{overview_key, overview_range};
use crate::domain::values::window::utc_date;
use crate::schema::{Stored, TableKey, stored};
use crate::store::table::write::{Writes, instant};
use crate::store::{AssignedUse, Result, Table, Unreachable, UnreachableReason};

/// The use of a programme's keys, day by day, as the sync last summed it up. It is written when
/// something changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    pub programme: ProgrammeId,
    /// When the listing began after which it was summed up.
    pub as_of: Moment,
    pub used: DailyUse,
    /// The use by group; people without a group are not in it.
    pub by_group: BTreeMap<String, DailyUse>,
    pub unmailed: Unmailed,
    pub standing_out: StandingOut,
    /// What a day of work cost lately, unless too few students worked.
    pub work_day: Option<WorkDay>,
}

/// The people of a programme whom mail does not reach, as the sync counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Unmailed {
    /// Those whose mail comes back.
    pub unreachable: u32,
    /// Those who want no mail but links.
    pub unwanted: u32,
}

impl Unmailed {
    pub fn add(&mut self, grant: &Grant, unreachable: &Unreachable) {
        match unreachable
            .get(grant.person.address.matched())
            .filter(|_| !grant.is_over())
        {
            Some(UnreachableReason::Bounced | UnreachableReason::Suppressed) => {
                self.unreachable += 1;
            }
            Some(UnreachableReason::Complained) => self.unwanted += 1,
            None => {}
        }
    }
}

stored! {
    Totals (programme: &ProgrammeId) => overview_key(programme, "TOTALS")
}

/// How many groups lie in their programme's item: an item has at most 400 KB, and a group takes
/// some five a year.
const GROUPS_TOGETHER: usize = 20;

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeptTotals {
    #[serde(flatten)]
    pub totals: Totals,
    /// Whether the groups have items of their own.
    pub groups_apart: bool,
}

impl Stored for KeptTotals {
    const KIND: &'static str = Totals::KIND;

    fn key(&self) -> TableKey<KeptTotals> {
        self.totals.key().item_key.into()
    }
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct GroupTotals {
    pub programme: ProgrammeId,
    pub group: String,
    pub as_of: Moment,
    pub used: DailyUse,
}

stored! {
    GroupTotals (programme: &ProgrammeId, group: &str) => overview_key(programme, &format!("GT#{group}"));
    list of_programme(programme: &ProgrammeId) => overview_range(programme, "GT#")
}

/// All that counts for a programme: the totals of its own keys, and the use of foreign keys that it
/// owns.
#[derive(Debug)]
pub struct ProgrammeUse {
    /// `None` before the first sync of the programme.
    pub own: Option<Totals>,
    /// What foreign keys used while they were the programme's.
    pub assigned: DailyUse,
    /// The number of those that are so now.
    pub assigned_keys: u32,
    pub assigned_as_of: Option<Moment>,
}

impl ProgrammeUse {
    pub(crate) fn new(own: Option<Totals>, assigned: AssignedUse) -> ProgrammeUse {
        let AssignedUse {
            used, keys, as_of, ..
        } = assigned;
        ProgrammeUse {
            own,
            assigned: used,
            assigned_keys: keys,
            assigned_as_of: as_of,
        }
    }

    pub fn used(&self) -> DailyUse {
        let mut used = self
            .own
            .as_ref()
            .map(|totals| totals.used.clone())
            .unwrap_or_default();
        used.add(&self.assigned);
        used
    }

    /// Whether foreign keys count, of which nobody knows what they may still use.
    pub fn owns_keys(&self) -> bool {
        self.assigned_keys > 0
    }

    /// Whether foreign keys count that were used within four weeks, so that what is promised to
    /// students does not bound the spending.
    pub fn spends_elsewhere(&self, byok: Byok, now: Moment) -> bool {
        let since = utc_date(now).saturating_sub(28.days());
        self.owns_keys()
            && self
                .assigned
                .days(byok)
                .each()
                .any(|(day, spent, _)| since < day && !spent.is_zero())
    }

    /// Whether what foreign keys used counts, of which some may belong to it no more.
    pub fn has_owned_keys(&self) -> bool {
        self.owns_keys() || self.assigned != DailyUse::default()
    }

    /// Whether there was ever a key whose use counts for the programme with this budget.
    pub fn has_keys(&self, budget: &Budget) -> bool {
        budget.claimed || self.has_owned_keys()
    }

    pub fn counted(&self, byok: Byok) -> Usd {
        self.own
            .as_ref()
            .map_or(Usd::ZERO, |totals| totals.used.counted(byok))
            + self.assigned.counted(byok)
    }
}

impl KeptTotals {
    /// The item of these totals, and those of their groups where they have their own.
    pub(crate) fn split(totals: &Totals) -> (KeptTotals, Vec<GroupTotals>) {
        if totals.by_group.len() <= GROUPS_TOGETHER {
            return (
                KeptTotals {
                    totals: totals.clone(),
                    groups_apart: false,
                },
                Vec::new(),
            );
        }
        let groups = totals.by_group.iter().map(|(group, used)| GroupTotals {
            programme: totals.programme.clone(),
            group: group.clone(),
            as_of: totals.as_of,
            used: used.clone(),
        });
        let groups = groups.collect();
        let totals = Totals {
            by_group: Default::default(),
            ..totals.clone()
        };
        (
            KeptTotals {
                totals,
                groups_apart: true,
            },
            groups,
        )
    }
}

impl Table {
    pub async fn totals(&self, programme: &ProgrammeId) -> Result<Option<Totals>> {
        let Some(kept) = self
            .get::<KeptTotals>(Totals::key_of(programme).item_key.into())
            .await?
        else {
            return Ok(None);
        };
        let mut totals = kept.totals;
        if kept.groups_apart {
            let groups = self.list(GroupTotals::of_programme(programme)).await?;
            totals.by_group = groups
                .into_iter()
                .map(|group_totals| (group_totals.group, group_totals.used))
                .collect();
        }
        Ok(Some(totals))
    }

    /// What a day of work cost lately in a programme, unless too few students worked.
    pub async fn work_day(&self, programme: &ProgrammeId) -> Result<Option<WorkDay>> {
        let kept: Option<KeptTotals> = self.get(Totals::key_of(programme).item_key.into()).await?;
        Ok(kept.and_then(|kept| kept.totals.work_day))
    }

    /// Writes the totals of a programme, then each of its groups' that changed, where groups have
    /// items of their own. So groups never add up to more than their programme.
    pub async fn note_totals(&self, totals: &Totals, deadline: Deadline) -> Result<()> {
        let (kept, groups) = KeptTotals::split(totals);
        self.put_later(&kept, totals.as_of, deadline).await?;
        let mut stored_groups = Vec::new();
        if kept.groups_apart {
            stored_groups = self
                .list(GroupTotals::of_programme(&totals.programme))
                .await?;
        }
        for group in groups {
            let place = stored_groups
                .iter()
                .position(|stored| stored.group == group.group);
            if place
                .map(|place| stored_groups.swap_remove(place))
                .is_none_or(|stored| stored.used != group.used)
            {
                self.put_later(&group, group.as_of, deadline).await?;
            }
        }
        for gone in stored_groups {
            let as_of = [(":as_of", instant(totals.as_of))];
            self.single()
                .remove(
                    &gone.key(),
                    "attribute_not_exists(pk) OR as_of <= :as_of",
                    &as_of,
                )?
                .write(deadline)
                .await?;
        }
        Ok(())
    }

    pub async fn programme_use(&self, programme: &ProgrammeId) -> Result<ProgrammeUse> {
        Ok(ProgrammeUse::new(
            self.totals(programme).await?,
            self.read_assigned_use(programme).await?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key made elsewhere spends while it was used within four weeks, by BYOK too where that
    /// counts.
    #[test]
    fn an_idle_key_elsewhere_spends_nothing() {
        let now = "2026-11-20T02:20:00Z".parse().unwrap();
        let id = "cs-pilot".parse().unwrap();
        let credits = |day: &str| DailyUse::on_one(day.parse().unwrap(), Usd::DOLLAR);
        let spends = |keys: u32, used: DailyUse, byok: Byok| {
            ProgrammeUse::new(
                None,
                AssignedUse {
                    used,
                    keys,
                    ..AssignedUse::none(&id)
                },
            )
            .spends_elsewhere(byok, now)
        };
        assert!(spends(1, credits("2026-10-24"), Byok::Outside));
        for (keys, used) in [
            (1, credits("2026-10-23")),
            (0, credits("2026-11-19")),
            (1, DailyUse::default()),
        ] {
            assert!(!spends(keys, used, Byok::Inside));
        }
        let own = DailyUse {
            byok: credits("2026-11-19").credits,
            ..DailyUse::default()
        };
        assert_eq!(
            [Byok::Inside, Byok::Outside].map(|byok| spends(1, own.clone(), byok)),
            [true, false]
        );
    }
}
