//! Grants as a list shows them: read side by side from the shards, of each item only the attributes
//! that the list needs.

use std::collections::HashMap;
use std::fmt;

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use serde::Deserialize;

use crate::clock::Moment;
use crate::domain::audit::AuditEntry;
use crate::domain::grant::{ClaimLease, Grant, Holds, ShownState};
use crate::domain::programme::Settings;
use crate::domain::programme::counts::Stage;
use crate::domain::usage::reading::{DailyUse, Reading};
use crate::domain::values::address::EmailAddress;
use crate::domain::values::format::Joined;
use crate::domain::values::id::{GrantId, KeyHash, ProgrammeId};
use crate::domain::values::key::KeyLabel;
use crate::domain::values::masked;
use crate::domain::values::money::Usd;
use crate::domain::values::partition::grant_partition;
use crate::schema::{AUDIT, Range, SHARDS, begin};
use crate::store::table::collect_reads;
use crate::store::{Result, Table, items};

/// What a list shows of a grant. Nothing in it is flattened, since that holds each attribute twice
/// while it is read.
#[derive(PartialEq, Deserialize)]
pub struct GrantLine {
    #[serde(rename = "grant")]
    pub id: GrantId,
    pub address: EmailAddress,
    pub name: Option<String>,
    pub roster_id: Option<String>,
    pub group: Option<String>,
    pub own_cap: Option<Usd>,
    /// The state without its holds, and the key that works.
    pub state: ShownState,
    #[serde(rename = "key")]
    pub live_key: Option<KeyHash>,
    pub holds: Holds,
    pub lease: Option<ClaimLease>,
    pub has_reservation: bool,
    pub stage: Stage,
    pub replacements: u32,
    /// Empty where they were not asked for.
    #[serde(default)]
    pub keys: Vec<KeyLine>,
    /// What all its keys used.
    #[serde(skip)]
    pub used: DailyUse,
    #[serde(skip)]
    pub last_used_at: Option<Moment>,
}

#[derive(Debug, PartialEq, Deserialize)]
pub struct KeyLine {
    pub hash: KeyHash,
    pub label: Option<KeyLabel>,
    pub shown_at: Option<Moment>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct ReadingLine {
    grant: GrantId,
    used: DailyUse,
    last_used_at: Option<Moment>,
}

/// The attributes of grants and of readings that every list shows something of.
const ATTRIBUTES: &str = "kind grant address name roster_id group own_cap state key holds lease \
    has_reservation stage replacements used last_used_at";

impl GrantLine {
    /// The attribute that only some lists need: the keys that a grant had, with when each was
    /// shown.
    pub const KEYS: &str = "keys";

    pub fn cap(&self, settings: &Settings) -> Usd {
        self.own_cap
            .unwrap_or_else(|| settings.allowance.cap_of(self.group.as_deref()))
    }

    pub fn claimed_at(&self) -> Option<Moment> {
        self.keys.iter().filter_map(|key| key.shown_at).min()
    }

    pub fn display_state(&self, now: Moment) -> ShownState {
        self.state
            .with(!self.holds.is_empty(), self.lease.as_ref(), now)
    }

    /// The key that may have this label, of several the live one first.
    pub fn key_with(&self, label: &KeyLabel) -> Option<&KeyLine> {
        let keys = self.keys.iter().filter(|key| {
            key.label
                .as_ref()
                .is_some_and(|key_label| key_label.may_be(label))
        });
        keys.max_by_key(|key| Some(&key.hash) == self.live_key.as_ref())
    }
}

masked!(GrantLine);

impl Table {
    /// All grants of a programme, in no order, with this attribute besides.
    pub async fn grant_lines(
        &self,
        programme: &ProgrammeId,
        attribute: Option<&str>,
    ) -> Result<Vec<GrantLine>> {
        // From the grants to the readings, before what is told of them.
        let ranges = SHARDS.into_iter().map(|shard| Range {
            last: "R#~".to_owned(),
            ..Grant::of_shard(programme, shard)
        });
        collect_reads(ranges.map(|range| self.lines([self.query(&range)], attribute))).await
    }

    /// One grant, if the programme has it.
    pub async fn grant_line(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
    ) -> Result<Option<GrantLine>> {
        let range = Range::between(
            Grant::key_of(programme, grant),
            Grant::key_of(programme, grant),
        );
        let queries = [
            self.query(&range),
            self.query(&Reading::of_grant(programme, grant)),
        ];
        Ok(self.lines(queries, Some(GrantLine::KEYS)).await?.pop())
    }

    /// What these queries find; readings come after their grants.
    async fn lines<const N: usize>(
        &self,
        queries: [QueryFluentBuilder; N],
        attribute: Option<&str>,
    ) -> Result<Vec<GrantLine>> {
        let names: Vec<&str> = ATTRIBUTES.split(' ').chain(attribute).collect();
        let projection = names.iter().map(|name| format!("#{name}")).joined(", ");
        let mut lines: HashMap<GrantId, GrantLine> = HashMap::new();
        for query in queries {
            let mut query = query.projection_expression(&projection);
            for name in &names {
                query = query.expression_attribute_names(format!("#{name}"), *name);
            }
            Self::each(query, |attributes| {
                if items::is_kind::<Reading>(&attributes) {
                    let reading: ReadingLine = items::part_of::<Reading, _>(attributes)?;
                    if let Some(line) = lines.get_mut(&reading.grant) {
                        line.used.add(&reading.used);
                        line.last_used_at = line.last_used_at.max(reading.last_used_at);
                    }
                } else {
                    let grant: GrantLine = items::part_of::<Grant, _>(attributes)?;
                    lines.insert(grant.id.clone(), grant);
                }
                Ok(())
            })
            .await?;
        }
        Ok(lines.into_values().collect())
    }

    /// The entries about a programme and its grants, in the order of time.
    pub async fn audit_of(&self, programme: &ProgrammeId) -> Result<Vec<AuditEntry>> {
        let shards = SHARDS
            .into_iter()
            .map(|shard| begin(grant_partition(programme, shard), AUDIT));
        let ranges = shards.chain([AuditEntry::of_programme(programme)]);
        let mut entries: Vec<AuditEntry> =
            collect_reads(ranges.map(|range| self.list_known(range))).await?;
        entries.sort_unstable_by_key(|audit_entry| (audit_entry.recorded_at, audit_entry.entry));
        Ok(entries)
    }
}

#[cfg(test)]
mod tests {
    use crate::domain::values::id::Epoch;
    use crate::domain::values::window::utc_date;

    use super::*;
    use crate::domain::grant::{GrantKey, GrantState, Stopped};
    use crate::domain::values::id::Nonce;
    use crate::tests::values::{a_grant, at};

    /// A line is what the whole item says, whatever is in that: each attribute that it reads is
    /// asked for.
    #[test]
    fn a_line_asks_for_all_that_it_reads() {
        let (now, key): (_, KeyHash) =
            (at("2026-01-02T10:00:00Z"), "ab".repeat(32).parse().unwrap());
        let asked = |whole: &items::Item| {
            let names: Vec<&str> = ATTRIBUTES
                .split_whitespace()
                .chain([GrantLine::KEYS])
                .collect();
            let named = whole
                .clone()
                .into_iter()
                .filter(|(name, _)| names.contains(&name.as_str()));
            named.collect::<items::Item>()
        };
        for state in [
            GrantState::Live { key: key.clone() },
            GrantState::Stopped {
                why: Stopped::Leaked,
            },
        ] {
            let mut grant = a_grant();
            grant.state = state;
            (grant.person.name, grant.person.roster_id) =
                (Some("Ada".to_owned()), Some("7".to_owned()));
            (grant.group, grant.own_cap) = (Some("A".to_owned()), Some(Usd::CENT));
            grant.holds = Holds {
                dropped: Some(now),
                unused: true,
                ..grant.holds
            };
            grant.lease = Some(ClaimLease {
                nonce: Nonce::random(),
                until: now,
            });
            (grant.has_reservation, grant.stage, grant.replacements) = (true, Stage::Used, 1);
            grant.keys = vec![GrantKey {
                shown_at: Some(now),
                ..GrantKey::made(Epoch::new(1), key.clone(), now)
            }];
            let whole = items::to_item(&grant).unwrap();
            let line = |item| items::part_of::<Grant, GrantLine>(item).unwrap();
            assert_eq!(line(asked(&whole)), line(whole));
        }
        let made = Reading::new(&a_grant().programme, &a_grant().id, Epoch::new(1), now);
        let used = DailyUse::on_one(utc_date(now), Usd::CENT);
        let whole = items::to_item(&Reading {
            used,
            last_used_at: Some(now),
            ..made
        })
        .unwrap();
        let line = |item| items::part_of::<Reading, ReadingLine>(item).unwrap();
        assert_eq!(line(asked(&whole)), line(whole));
    }
}
