//! Grants as a list shows them: read side by side from the shards, of each item only the attributes that the list needs.

use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use futures_util::future::try_join_all;

use crate::domain::grant::{Holds, Person};
use crate::domain::programme::Byok;
use crate::domain::usage::reading::Reading;
use crate::prelude::*;
use crate::store::items;
use crate::store::keys::{AUDIT, Range, SHARDS, grant_partition};

/// What a list shows of a grant.
#[derive(Debug, Deserialize)]
pub struct GrantLine {
    #[serde(rename = "grant")]
    pub id: GrantId,
    #[serde(flatten)]
    pub person: Person,
    pub group: Option<String>,
    pub own_cap: Option<Usd>,
    #[serde(flatten)]
    pub state: GrantState,
    pub holds: Holds,
    pub ever_shown: bool,
    pub replacements: u32,
    /// Empty where they were not asked for.
    #[serde(default)]
    pub attempts: Vec<KeyLine>,
    #[serde(skip)]
    pub readings: Vec<ReadingLine>,
}

#[derive(Debug, Deserialize)]
pub struct KeyLine {
    pub key: Option<KeyHash>,
    pub shown_at: Option<Moment>,
}

#[derive(Debug, Deserialize)]
pub struct ReadingLine {
    grant: GrantId,
    lifetime: Usd,
    byok: Usd,
    window: Window,
    in_window: Usd,
    pub last_used_at: Option<Moment>,
    /// The use by day, where it was asked for.
    pub used: Option<DailyUse>,
}

/// What is read beside what each list shows.
#[derive(Debug, Clone, Copy, Default)]
pub struct LineDetails {
    /// The use by day.
    pub days: bool,
    /// The keys that a grant had, and when each was shown.
    pub keys: bool,
}

/// The attributes of grants and of readings that every list shows something of.
const ATTRIBUTES: &str = "kind grant address name roster_id group own_cap state nonce lease_until key why holds \
    ever_shown replacements lifetime byok window in_window last_used_at";

impl GrantLine {
    pub fn cap(&self, settings: &Settings) -> Usd {
        self.own_cap.unwrap_or_else(|| settings.allowance.cap_of(self.group.as_deref()))
    }

    /// What its keys used in their lives, and in the window of now. A reading of an earlier window says nothing about this one.
    pub fn spent(&self, settings: &Settings, now: Moment) -> (Usd, Usd) {
        let window = settings.basis.reset.window_at(now);
        let in_window = self.readings.iter().filter(|reading| reading.window == window);
        let byok = |reading: &ReadingLine| if settings.basis.byok == Byok::Inside { reading.byok } else { Usd::ZERO };
        let lifetime = self.readings.iter().map(|reading| reading.lifetime + byok(reading)).sum();
        (lifetime, in_window.map(|reading| reading.in_window).sum())
    }

    pub fn used(&self) -> DailyUse {
        let mut used = DailyUse::default();
        self.readings.iter().filter_map(|reading| reading.used.as_ref()).for_each(|more| used.add(more));
        used
    }

    pub fn last_used_at(&self) -> Option<Moment> {
        self.readings.iter().filter_map(|reading| reading.last_used_at).max()
    }

    pub fn claimed_at(&self) -> Option<Moment> {
        self.attempts.iter().filter_map(|attempt| attempt.shown_at).min()
    }

    pub fn live_key(&self) -> Option<&KeyHash> {
        if let GrantState::Live { key } = &self.state { Some(key) } else { None }
    }

    /// The keys that it has or had, as far as they were read.
    pub fn keys(&self) -> impl Iterator<Item = &KeyHash> {
        self.live_key().into_iter().chain(self.attempts.iter().filter_map(|attempt| attempt.key.as_ref()))
    }
}

impl Table {
    /// All grants of a programme, in no order.
    pub async fn grant_lines(&self, of: &ProgrammeId, details: LineDetails) -> Result<Vec<GrantLine>, StoreError> {
        let shards = SHARDS.map(|shard| {
            // From the grants to the readings, before what is told of them.
            let range = Range { last: "R#~".to_owned(), ..Grant::of_shard(of, shard) };
            self.lines([self.query(&range)], details)
        });
        Ok(try_join_all(shards).await?.into_iter().flatten().collect())
    }

    /// One grant, if the programme has it.
    pub async fn grant_line(&self, of: &ProgrammeId, grant: &GrantId) -> Result<Option<GrantLine>, StoreError> {
        let grants = Range::between(Grant::key_of(of, grant), Grant::key_of(of, grant));
        let readings = self.query(&Reading::of_grant(of, grant));
        let all = LineDetails { days: true, keys: true };
        Ok(self.lines([self.query(&grants), readings], all).await?.pop())
    }

    /// What these queries find, of which the grants come first.
    async fn lines(
        &self,
        queries: impl IntoIterator<Item = QueryFluentBuilder>,
        details: LineDetails,
    ) -> Result<Vec<GrantLine>, StoreError> {
        let mut lines: HashMap<GrantId, GrantLine> = HashMap::new();
        for query in queries {
            let each = |item| {
                if items::is_kind::<Reading>(&item) {
                    let reading: ReadingLine = items::part_of::<Reading, _>(item)?;
                    if let Some(line) = lines.get_mut(&reading.grant) {
                        line.readings.push(reading);
                    }
                } else {
                    let grant: GrantLine = items::part_of::<Grant, _>(item)?;
                    lines.insert(grant.id.clone(), grant);
                }
                Ok(())
            };
            Self::each(projected(query, details), each).await?;
        }
        Ok(lines.into_values().collect())
    }
}

/// The query, of the attributes that are needed.
fn projected(query: QueryFluentBuilder, details: LineDetails) -> QueryFluentBuilder {
    let more = [(details.days, "used"), (details.keys, "attempts")];
    let more = more.into_iter().filter(|(is_wanted, _)| *is_wanted).map(|(_, name)| name);
    let names: Vec<&str> = ATTRIBUTES.split(' ').chain(more).collect();
    let query = query.projection_expression(names.iter().map(|name| format!("#{name}")).collect::<Vec<_>>().join(", "));
    names.into_iter().fold(query, |query, name| query.expression_attribute_names(format!("#{name}"), name))
}

impl Table {
    /// The newest entries about a programme and its grants, at most so many, in the order of time, and how many there are.
    pub async fn audit_of(&self, of: &ProgrammeId, most: usize) -> Result<(Vec<Entry>, usize), StoreError> {
        let shards = SHARDS.map(|shard| begin(grant_partition(of, shard), AUDIT));
        let ranges = shards.into_iter().chain([Entry::of_programme(of)]);
        let each = ranges.map(|range| async move {
            let (mut kept, mut count) = (Vec::new(), 0);
            let take = |item| {
                kept.push(items::from_item::<Entry>(item)?);
                count += 1;
                if kept.len() >= most.saturating_mul(2) {
                    keep_newest(&mut kept, most);
                }
                Ok(())
            };
            Self::each(self.query(&range), take).await?;
            Ok::<_, StoreError>((kept, count))
        });
        let (kept, counts): (Vec<_>, Vec<usize>) = try_join_all(each).await?.into_iter().unzip();
        let mut kept = kept.concat();
        keep_newest(&mut kept, most);
        Ok((kept, counts.into_iter().sum()))
    }
}

/// Sorts entries by time and leaves only the last.
fn keep_newest(entries: &mut Vec<Entry>, most: usize) {
    entries.sort_unstable_by_key(|entry| (entry.at, entry.entry));
    entries.drain(..entries.len().saturating_sub(most));
}
