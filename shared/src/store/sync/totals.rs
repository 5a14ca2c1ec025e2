//! Totals of a programme and of its groups: in one item while groups are few, in an item each when they are
//! more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::fmt::serde::timestamp::millisecond;
use serde::{Deserialize, Serialize};

use crate::domain::programme::Byok;
use crate::domain::usage::reading::DailyUse;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::store::items::{Stored, stored};
use crate::store::keys::{Key, begin, key, programme_partition};
use crate::store::table::{StoreError, Table};

/// The use of a programme's keys, day by day, as the sync last summed it up. It is written when something
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub programme: ProgrammeId,
    /// When the listing began after which it was summed up.
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub used: DailyUse,
    /// The use by group; people without a group are not in it.
    #[serde(default)]
    pub by_group: BTreeMap<String, DailyUse>,
    /// What the roster would reserve if everybody claimed.
    pub implied: Usd,
    pub grants: u32,
    /// Grants whose key was ever shown.
    pub claimed: u32,
}

stored! {
    "totals" Totals |it| (programme: &ProgrammeId = &it.programme) => key(programme_partition(programme), "TOTALS")
}

/// How many groups lie in their programme's item: an item has at most 400 KB, and a group takes some five a
/// year.
const GROUPS_TOGETHER: usize = 20;

/// Totals as they lie in the table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTotals {
    #[serde(flatten)]
    pub totals: Totals,
    /// Whether the groups have items of their own.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) groups_apart: bool,
}

impl Stored for KeptTotals {
    const KIND: &'static str = Totals::KIND;

    fn key(&self) -> Key<KeptTotals> {
        self.totals.key().item.into()
    }
}

/// The use of one group that has an item of its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTotals {
    pub programme: ProgrammeId,
    pub group: String,
    #[serde(with = "millisecond::required")]
    pub as_of: Timestamp,
    pub used: DailyUse,
}

stored! {
    "group-totals" GroupTotals |it| (programme: &ProgrammeId = &it.programme, group: &str = &it.group) => key(programme_partition(programme), format!("GT#{group}"));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), "GT#")
}

/// All that counts for a programme: the totals of its own keys, and the use of foreign keys that it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProgrammeUse {
    /// `None` before the first sync of the programme.
    pub own: Option<Totals>,
    pub assigned: DailyUse,
    /// The number of those foreign keys.
    pub assigned_keys: u32,
}

impl ProgrammeUse {
    /// The use of all its keys, day by day.
    pub fn used(&self) -> DailyUse {
        let mut used = self.own.as_ref().map(|own| own.used.clone()).unwrap_or_default();
        used.add(&self.assigned);
        used
    }

    /// Whether any key is known whose use counts.
    pub fn has_keys(&self) -> bool {
        self.own.as_ref().is_some_and(|own| own.claimed > 0) || self.assigned_keys > 0
    }

    /// What counts of it against the budget.
    pub fn counted(&self, byok: Byok) -> Usd {
        self.own.as_ref().map_or(Usd::ZERO, |own| own.used.counted(byok)) + self.assigned.counted(byok)
    }
}

impl KeptTotals {
    /// The item of these totals, and those of their groups where they have their own.
    pub(crate) fn of(totals: &Totals) -> (KeptTotals, Vec<GroupTotals>) {
        if totals.by_group.len() <= GROUPS_TOGETHER {
            return (KeptTotals { totals: totals.clone(), groups_apart: false }, Vec::new());
        }
        let groups = totals.by_group.iter().map(|(group, used)| GroupTotals {
            programme: totals.programme.clone(),
            group: group.clone(),
            as_of: totals.as_of,
            used: used.clone(),
        });
        let groups = groups.collect();
        let totals = Totals { by_group: Default::default(), ..totals.clone() };
        (KeptTotals { totals, groups_apart: true }, groups)
    }
}

impl Table {
    /// The totals of a programme, if a sync has made any.
    pub async fn totals(&self, programme: &ProgrammeId) -> Result<Option<Totals>, StoreError> {
        let Some(kept) = self.get::<KeptTotals>(Totals::key_of(programme).item.into()).await? else { return Ok(None) };
        let mut totals = kept.totals;
        if kept.groups_apart {
            let groups = self.list(GroupTotals::of_programme(programme)).await?;
            totals.by_group = groups.into_iter().map(|of| (of.group, of.used)).collect();
        }
        Ok(Some(totals))
    }

    /// All that counts for a programme.
    pub async fn programme_use(&self, programme: &ProgrammeId) -> Result<ProgrammeUse, StoreError> {
        let (own, assigned) = tokio::try_join!(self.totals(programme), self.assigned_use(programme))?;
        Ok(ProgrammeUse { own, assigned: assigned.used, assigned_keys: assigned.keys })
    }
}
