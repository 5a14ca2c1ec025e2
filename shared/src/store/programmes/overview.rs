//! What the overview of a programme shows, in one query.

use std::collections::BTreeMap;

use crate::domain::grant::MoreListing;
use crate::domain::programme::Budget;
use crate::domain::programme::counts::{Counts, RosterCounts};
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::partition::overview_range;
use crate::schema::Stored;
use crate::store::{
    AssignedUse, GroupTotals, Import, Job, KeptTotals, ProgrammeUse, Result, RosterPreview,
    RosterToken, Table, Totals, items,
};

/// What the overview of a programme shows.
#[derive(Debug)]
pub struct Overview {
    pub budget: Budget,
    pub counts: Counts,
    pub used: ProgrammeUse,
    pub jobs: Vec<Job>,
    pub guardrails: Vec<Guardrail>,
    pub token: Option<RosterToken>,
    /// The roster files that are kept, the oldest first.
    pub previews: Vec<RosterPreview>,
    /// The imports of eight days, the oldest first.
    pub imports: Vec<Import>,
    /// The students who asked for more within a week.
    pub mores: Vec<MoreListing>,
}

impl Table {
    /// What the overview of a programme shows, in one query; nothing where there is no such
    /// programme.
    pub async fn overview(&self, programme: &ProgrammeId) -> Result<Option<Overview>> {
        let mut budget = None;
        let mut counts = Counts::default();
        let mut totals = None;
        let mut assigned = AssignedUse::none(programme);
        let mut groups = BTreeMap::new();
        let mut jobs = Vec::new();
        let mut guardrails = Vec::new();
        let mut token = None;
        let mut previews = Vec::new();
        let mut imports = Vec::new();
        let mut mores = Vec::new();
        let range = overview_range::<Budget>(programme, "");
        Self::each(self.query(&range), |attributes| {
            match items::kind_of(&attributes) {
                Budget::KIND => budget = Some(items::from_item::<Budget>(attributes)?),
                RosterCounts::KIND => counts = items::from_item::<RosterCounts>(attributes)?.counts,
                KeptTotals::KIND => totals = Some(items::from_item::<KeptTotals>(attributes)?),
                GroupTotals::KIND => {
                    let group_totals: GroupTotals = items::from_item(attributes)?;
                    groups.insert(group_totals.group, group_totals.used);
                }
                AssignedUse::KIND => assigned = items::from_item(attributes)?,
                Job::KIND => jobs.push(items::from_item(attributes)?),
                Guardrail::KIND => guardrails.push(items::from_item(attributes)?),
                RosterToken::KIND => token = Some(items::from_item(attributes)?),
                RosterPreview::KIND => previews.push(items::from_item(attributes)?),
                Import::KIND => imports.push(items::from_item(attributes)?),
                MoreListing::KIND => mores.push(items::from_item(attributes)?),
                _ => {}
            }
            Ok(())
        })
        .await?;
        let totals = totals.map(
            |KeptTotals {
                 totals,
                 groups_apart,
             }| {
                if groups_apart {
                    Totals {
                        by_group: groups,
                        ..totals
                    }
                } else {
                    totals
                }
            },
        );
        let used = ProgrammeUse::new(totals, assigned);
        jobs.sort_by_key(|job: &Job| (job.started_at, job.job));
        Ok(budget.map(|budget| Overview {
            budget,
            counts,
            used,
            jobs,
            guardrails,
            token,
            previews,
            imports,
            mores,
        }))
    }
}
