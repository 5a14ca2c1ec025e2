//! What runs of the sync read and reckoned: the account's money on each day, the foreign keys, the totals of a programme and of its
//! groups, the use by model, and each run with its report. The sync decides what is written,
//! [`models`](crate::domain::usage::models) whose use it is.

use crate::domain::grant::MoreListing;
use crate::domain::ledger::foreign::{ForeignKey, KeyOwner};
use crate::domain::programme::counts::{Counts, RosterCounts};
use crate::domain::programme::guardrail::Guardrail;
use crate::domain::programme::request::Request;
use crate::domain::usage::forecast::StandingOut;
use crate::domain::usage::models::{GrantRows, ModelUse, cut};
use crate::schema::{self, Key};
use crate::store::items::MOST_IN_A_PART;
use crate::store::prelude::*;
use crate::store::{AssignedUse, Import, RosterPreview, RosterToken, Unreachable, UnreachableReason};

/// The account's spending up to a day, by the keys that caused it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountDay {
    pub day: Date,
    pub as_of: Moment,
    /// All credit ever bought and spent, as the provider reports it.
    pub bought: Usd,
    pub spent: Usd,
    /// The use of grants' keys that exist, and of those that are gone.
    pub ours: Usd,
    pub ours_gone: Usd,
    /// The use of foreign keys that exist, and of those that are gone.
    pub foreign: Usd,
    pub foreign_gone: Usd,
    /// Spending that no key explains: at least so much before the first complete run, and since then.
    pub opening: Usd,
    pub residual: Usd,
    /// Spending while the keys were read, which is in no reading yet.
    pub unsettled: Usd,
    /// The part of the residual that may come from rounding.
    pub tolerance: Usd,
}

stored! {
    AccountDay |it| (day: Date = it.day) => key(ACCOUNT, format!("D#{day}"));
    list all() => begin(ACCOUNT, "D#")
}

/// The account's credit as it was read last, each quarter of an hour.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceReading {
    pub as_of: Moment,
    pub bought: Usd,
    pub spent: Usd,
    /// Since when it could not be read any more.
    pub failing_since: Option<Moment>,
}

impl BalanceReading {
    pub fn balance(&self) -> Usd {
        self.bought - self.spent
    }
}

stored! {
    BalanceReading |_| () => key(ACCOUNT, "BALANCE")
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub as_of: Moment,
    pub ours: DailyUse,
    pub foreign: DailyUse,
}

stored! {
    Account |_| () => key(ACCOUNT, "NOW")
}

impl Table {
    pub async fn foreign_keys(&self) -> Result<Vec<ForeignKey>, StoreError> {
        found_by(SHARDS.into_iter().map(|shard| self.list(ForeignKey::of_shard(shard)))).await
    }

    /// Removes a foreign key that turned out to be a grant's, and its owners.
    pub async fn forget_foreign_key(&self, key: &KeyHash, deadline: Deadline) -> Result<(), StoreError> {
        for owner in self.list(KeyOwner::of_key(key)).await? {
            self.delete(&owner.key(), deadline).await?;
        }
        self.delete(&ForeignKey::key_of(key), deadline).await
    }
}

/// The use of a programme's keys, day by day, as the sync last summed it up. It is written when something
/// changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    pub programme: ProgrammeId,
    /// When the listing began after which it was summed up.
    pub as_of: Moment,
    pub used: DailyUse,
    /// The use by group; people without a group are not in it.
    pub by_group: BTreeMap<String, DailyUse>,
    pub unmailed: Unmailed,
    pub standing_out: StandingOut,
}

/// The people of a programme whom mail does not reach, as the sync counted them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unmailed {
    /// Those whose mail comes back.
    pub unreachable: u32,
    /// Those who want no mail but links.
    pub unwanted: u32,
}

impl Unmailed {
    pub fn add(&mut self, grant: &Grant, unreachable: &Unreachable) {
        match unreachable.get(grant.person.address.matched()).filter(|_| !grant.is_over()) {
            Some(UnreachableReason::Bounced | UnreachableReason::Suppressed) => self.unreachable += 1,
            Some(UnreachableReason::Complained) => self.unwanted += 1,
            None => {}
        }
    }
}

stored! {
    Totals |it| (programme: &ProgrammeId = &it.programme) => key(programme_partition(programme), overview("TOTALS"))
}

/// How many groups lie in their programme's item: an item has at most 400 KB, and a group takes some five a
/// year.
const GROUPS_TOGETHER: usize = 20;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptTotals {
    #[serde(flatten)]
    pub totals: Totals,
    /// Whether the groups have items of their own.
    pub groups_apart: bool,
}

impl Stored for KeptTotals {
    const KIND: &'static str = Totals::KIND;

    fn key(&self) -> Key<KeptTotals> {
        self.totals.key().item.into()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupTotals {
    pub programme: ProgrammeId,
    pub group: String,
    pub as_of: Moment,
    pub used: DailyUse,
}

stored! {
    GroupTotals |it| (programme: &ProgrammeId = &it.programme, group: &str = &it.group) => key(programme_partition(programme), overview(&format!("GT#{group}")));
    list of_programme(programme: &ProgrammeId) => begin(programme_partition(programme), &overview("GT#"))
}

/// All that counts for a programme: the totals of its own keys, and the use of foreign keys that it owns.
#[derive(Debug, Clone, PartialEq, Eq)]
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
    fn of(own: Option<Totals>, assigned: AssignedUse) -> ProgrammeUse {
        let AssignedUse { used, keys, as_of, .. } = assigned;
        ProgrammeUse { own, assigned: used, assigned_keys: keys, assigned_as_of: as_of }
    }

    pub fn used(&self) -> DailyUse {
        let mut used = self.own.as_ref().map(|own| own.used.clone()).unwrap_or_default();
        used.add(&self.assigned);
        used
    }

    /// Whether foreign keys count, of which nobody knows what they may still use.
    pub fn owns_keys(&self) -> bool {
        self.assigned_keys > 0
    }

    /// Whether foreign keys count that were used within four weeks, so that what is promised to students does not bound the spending.
    pub fn spends_elsewhere(&self, now: Moment) -> bool {
        let since = utc_date(now).saturating_sub(28.days());
        self.owns_keys() && self.assigned.credits.each().any(|(day, spent, _)| since < day && !spent.is_zero())
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
        self.own.as_ref().map_or(Usd::ZERO, |own| own.used.counted(byok)) + self.assigned.counted(byok)
    }
}

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
    /// What faculty asked of the admins within thirty days.
    pub requests: Vec<Request>,
    /// The students who asked for more within a week.
    pub mores: Vec<MoreListing>,
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
    pub async fn totals(&self, programme: &ProgrammeId) -> Result<Option<Totals>, StoreError> {
        let Some(kept) = self.get::<KeptTotals>(Totals::key_of(programme).item.into()).await? else { return Ok(None) };
        let mut totals = kept.totals;
        if kept.groups_apart {
            let groups = self.list(GroupTotals::of_programme(programme)).await?;
            totals.by_group = groups.into_iter().map(|of| (of.group, of.used)).collect();
        }
        Ok(Some(totals))
    }

    /// What the overview of a programme shows, in one query; nothing where there is no such programme.
    pub async fn overview(&self, programme: &ProgrammeId) -> Result<Option<Overview>, StoreError> {
        let (mut budget, mut counts) = (None, Counts::default());
        let (mut totals, mut assigned) = (None, AssignedUse::none(programme));
        let (mut groups, mut jobs, mut guardrails) = (BTreeMap::new(), Vec::new(), Vec::new());
        let (mut token, mut previews, mut imports) = (None, Vec::new(), Vec::new());
        let (mut requests, mut mores) = (Vec::new(), Vec::new());
        let range = begin::<Budget>(programme_partition(programme), &overview(""));
        let each = |item| {
            match items::kind_of(&item) {
                Budget::KIND => budget = Some(items::from_item::<Budget>(item)?),
                RosterCounts::KIND => counts = items::from_item::<RosterCounts>(item)?.counts,
                KeptTotals::KIND => totals = Some(items::from_item::<KeptTotals>(item)?),
                GroupTotals::KIND => {
                    let of: GroupTotals = items::from_item(item)?;
                    groups.insert(of.group, of.used);
                }
                AssignedUse::KIND => assigned = items::from_item(item)?,
                Job::KIND => jobs.push(items::from_item(item)?),
                Guardrail::KIND => guardrails.push(items::from_item(item)?),
                RosterToken::KIND => token = Some(items::from_item(item)?),
                RosterPreview::KIND => previews.push(items::from_item(item)?),
                Import::KIND => imports.push(items::from_item(item)?),
                Request::KIND => requests.push(items::from_item(item)?),
                MoreListing::KIND => mores.push(items::from_item(item)?),
                _ => {}
            }
            Ok(())
        };
        Self::each(self.query(&range), each).await?;
        let own = totals.map(
            |KeptTotals { totals, groups_apart }| {
                if groups_apart { Totals { by_group: groups, ..totals } } else { totals }
            },
        );
        let used = ProgrammeUse::of(own, assigned);
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
            requests,
            mores,
        }))
    }

    pub async fn programme_use(&self, programme: &ProgrammeId) -> Result<ProgrammeUse, StoreError> {
        let (own, assigned) = tokio::try_join!(self.totals(programme), self.assigned_use(programme))?;
        Ok(ProgrammeUse::of(own, assigned))
    }
}

/// The use of a completed UTC day by model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelDay {
    /// `None` for what is no programme's. It has the names of keys, so that an owner is applied when it is read, and what is
    /// recorded stays as it is when a key is taken back.
    pub programme: Option<ProgrammeId>,
    pub day: Date,
    pub as_of: Moment,
    pub by: Vec<ModelUse>,
}

stored! {
    ModelDay |it| (programme: Option<&ProgrammeId> = it.programme.as_ref(), day: Date = it.day) =>
        key(programme.map_or_else(|| ACCOUNT.to_owned(), programme_partition), format!("M#{day}"));
    list between(programme: Option<&ProgrammeId>, days: (Date, Date)) =>
        Range::between(ModelDay::key_of(programme, days.0), ModelDay::key_of(programme, days.1))
}

/// A packed part of each grant's use on a completed UTC day. Packed, a night of very many grants is one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModelRows {
    pub day: Date,
    /// The number of the part, and of all parts.
    pub part: u32,
    pub parts: u32,
    pub as_of: Moment,
    /// The end of retention for anything about a person.
    pub until: Moment,
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// The version of the packed rows.
const FORM: u8 = 1;

stored! {
    ModelRows |it| (day: Date = it.day, part: u32 = it.part) => key(format!("MODELS#{day}"), format!("R#{part:05}"));
    list of_day(day: Date) => begin(format!("MODELS#{day}"), "R#");
    expires it.until
}

/// The use of what is no programme's on some days, after programmes took what keys of their own used.
#[derive(Debug, Default)]
pub struct ForeignModels {
    pub owned: Vec<(ProgrammeId, Date, ModelUse)>,
    pub unowned: Vec<ModelUse>,
}

impl Table {
    /// The use of a programme on these days, that of foreign keys which it owned then included.
    pub async fn models_of(
        &self,
        programme: &ProgrammeId,
        had_owned_keys: bool,
        range: (Date, Date),
    ) -> Result<Vec<ModelUse>, StoreError> {
        let days = self.list(ModelDay::between(Some(programme), range)).await?;
        let mut uses: Vec<ModelUse> = days.into_iter().flat_map(|day| day.by).collect();
        if had_owned_keys {
            let owned = self.foreign_models(range).await?.owned;
            uses.extend(owned.into_iter().filter(|(owner, ..)| owner == programme).map(|(_, _, used)| used));
        }
        Ok(uses)
    }

    /// The use of what is no programme's on these days, divided by the owners of keys.
    pub async fn foreign_models(&self, range: (Date, Date)) -> Result<ForeignModels, StoreError> {
        let (owners, days) = tokio::try_join!(self.key_owners(), self.list(ModelDay::between(None, range)))?;
        let foreign = if owners.is_empty() { Vec::new() } else { self.foreign_keys().await? };
        let mut by_name: HashMap<String, Vec<&[KeyOwner]>> = HashMap::new();
        for key in &foreign {
            by_name.entry(cut(&key.name)).or_default().push(owners.get(&key.key).map_or(&[], Vec::as_slice));
        }
        let mut models = ForeignModels::default();
        for (day, used) in days.into_iter().flat_map(|of| of.by.into_iter().map(move |used| (of.day, used))) {
            match used.whose.as_ref().and_then(|name| owner_on(day, by_name.get(name)?)) {
                Some(owner) => models.owned.push((owner.clone(), day, ModelUse { whose: None, ..used })),
                None => models.unowned.push(used),
            }
        }
        Ok(models)
    }

    /// The use of each grant on a day; none where nothing was used, or it is not kept any more.
    pub async fn model_rows(&self, day: Date, now: Moment) -> Result<GrantRows, StoreError> {
        let parts = self.list(ModelRows::of_day(day)).await?;
        let Some(first) = parts.first().filter(|first| now < first.until) else { return Ok(GrantRows::default()) };
        // A new answer with fewer parts leaves the last parts of the one before it in the table.
        let of_it = parts.iter().filter(|part| part.part < first.parts);
        let bytes: Vec<u8> = of_it.flat_map(|part| part.bytes.iter().copied()).collect();
        schema::unpacked(FORM, &bytes).map_err(|error| StoreError::corrupt(&first.key(), ModelRows::KIND, &error))
    }
}

impl ModelRows {
    /// The use of grants on a day, in as many parts as it takes; in none where they used nothing.
    pub fn of(day: Date, rows: &GrantRows, as_of: Moment, until: Moment) -> Vec<ModelRows> {
        let bytes = if rows.is_empty() { Vec::new() } else { schema::packed(FORM, rows) };
        let chunks: Vec<&[u8]> = bytes.chunks(MOST_IN_A_PART).collect();
        let parts = u32::try_from(chunks.len()).unwrap_or(u32::MAX);
        let part = |(bytes, part): (&&[u8], u32)| ModelRows { day, part, parts, as_of, until, bytes: bytes.to_vec() };
        chunks.iter().zip(0..).map(part).collect()
    }
}

/// The programme that had all keys of one name on a whole day. Where one had no owner then, or another one, or changed it on that day,
/// nobody can say whose the use of that name is.
fn owner_on<'a>(day: Date, keys: &[&'a [KeyOwner]]) -> Option<&'a ProgrammeId> {
    let mut owners = keys.iter().map(|owners| owners.iter().find(|owner| owner.has_all_of(day)).map(|of| &of.owner));
    let first = owners.next()??;
    owners.all(|other| other == Some(first)).then_some(first)
}

/// One run of the sync, on record from its beginning for a year.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Run {
    pub run: Ulid,
    pub began_at: Moment,
    /// The beginning of the night to which it belongs: its own, or that of the run that it repeats.
    pub night: Moment,
    pub begun_by: BegunBy,
    /// `None` while it is under way, and of one that died.
    pub ended_at: Option<Moment>,
    pub complete: bool,
    /// Whether it had no time to judge each cap that students crossed.
    pub left_caps: bool,
    /// The report, as JSON text, once it has ended.
    pub report: String,
}

stored! {
    Run |it| (run: Ulid = it.run) => key("RUNS", run.to_string());
    list all() => begin("RUNS", "");
    expires it.began_at + RUN_KEPT
}

pub(crate) const RUN_KEPT: SignedDuration = SignedDuration::from_hours(366 * 24);

/// Who began a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BegunBy {
    /// The night's schedule.
    Night,
    /// The schedule of each quarter of an hour, since the night is not complete, or an admin let something be done.
    Quarter,
    Person,
}

/// The quarters of an hour after the beginning of a night at which a run is begun again while the newest is not complete.
const AGAIN_AFTER: [i64; 7] = [1, 2, 4, 8, 16, 32, 64];
/// The time without a run after which one is overdue: a day, and the minutes by which schedules may be late.
const OVERDUE: SignedDuration = SignedDuration::from_mins(24 * 60 + 10);
/// A schedule may come this much early.
const EARLY: SignedDuration = SignedDuration::from_mins(1);

impl Run {
    pub fn begun(now: Moment, night: Moment, begun_by: BegunBy) -> Run {
        let run = new_ulid(now);
        let report = String::new();
        Run { run, began_at: now, night, begun_by, ended_at: None, complete: false, left_caps: false, report }
    }

    /// The night whose run is to be begun again in this quarter of an hour, this being the newest run: while that is not complete, seven
    /// times, after longer and longer; and where none began for a day, a night of its own. One that left caps is begun again at once, unless
    /// it was begun again itself.
    pub fn is_due_again(&self, now: Moment) -> Option<Moment> {
        if self.began_at + OVERDUE <= now {
            return Some(now);
        }
        let quarter = |at: Moment| at.duration_since(self.night).saturating_add(EARLY).as_mins() / 15;
        let was_begun = self.begun_by != BegunBy::Person && quarter(self.began_at) == quarter(now);
        let is_due = (self.left_caps || !self.complete) && AGAIN_AFTER.contains(&quarter(now));
        if was_begun {
            None
        } else if self.left_caps && self.begun_by != BegunBy::Quarter {
            Some(self.night_of_next(now))
        } else {
            is_due.then_some(self.night)
        }
    }

    /// The night to which one that is begun now belongs: after a complete one it has tries of its own.
    pub fn night_of_next(&self, now: Moment) -> Moment {
        if self.complete { now } else { self.night }
    }

    /// When it is begun again next, if it is not complete.
    pub fn again_at(&self, now: Moment) -> Option<Moment> {
        let at = AGAIN_AFTER.map(|quarters| self.night + SignedDuration::from_mins(15 * quarters));
        at.into_iter().find(|at| now < *at).filter(|_| !self.complete)
    }
}

impl Table {
    pub async fn begin_run(&self, run: &Run, deadline: Deadline) -> Result<(), StoreError> {
        self.put_new(run, deadline).await.map(drop)
    }

    pub async fn end_run(&self, run: &Run, deadline: Deadline) -> Result<(), StoreError> {
        self.write_alone(self.single().set(run)?, deadline).await.map(drop)
    }

    /// Writes the totals of a programme, then each of its groups' that changed, where groups have items of their own. So groups never
    /// add up to more than their programme.
    pub async fn note_totals(&self, totals: &Totals, deadline: Deadline) -> Result<(), StoreError> {
        let (kept, groups) = KeptTotals::of(totals);
        self.put_later(&kept, totals.as_of, deadline).await?;
        let mut known = Vec::new();
        if kept.groups_apart {
            known = self.list(GroupTotals::of_programme(&totals.programme)).await?;
        }
        for group in groups {
            let place = known.iter().position(|known| known.group == group.group);
            if place.map(|place| known.swap_remove(place)).is_none_or(|known| known.used != group.used) {
                self.put_later(&group, group.as_of, deadline).await?;
            }
        }
        for gone in known {
            let as_of = [(":as_of", instant(totals.as_of))];
            let removed = self.single().remove(&gone.key(), "attribute_not_exists(pk) OR as_of <= :as_of", &as_of)?;
            self.write_alone(removed, deadline).await?;
        }
        Ok(())
    }

    /// Writes each grant's use by model on a day, if it changed. The first part comes last: it holds the number of parts.
    pub async fn note_model_rows(&self, parts: &[ModelRows], deadline: Deadline) -> Result<(), StoreError> {
        for part in parts.iter().rev() {
            let known: Option<ModelRows> = self.get(part.key()).await?;
            if known.is_none_or(|known| ModelRows { as_of: part.as_of, ..known } != *part) {
                self.put_later(part, part.as_of, deadline).await?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_made_elsewhere_that_is_idle_spends_nothing() {
        let (now, id) = ("2026-11-20T02:20:00Z".parse().unwrap(), "cs-pilot".parse().unwrap());
        let spends = |keys: u32, on: &str| {
            let used = DailyUse::on_one(on.parse().unwrap(), Usd::DOLLAR);
            ProgrammeUse::of(None, AssignedUse { used, keys, ..AssignedUse::none(&id) }).spends_elsewhere(now)
        };
        assert_eq!(
            [(1, "2026-10-24"), (1, "2026-10-23"), (0, "2026-11-19")].map(|(keys, on)| spends(keys, on)),
            [true, false, false]
        );
        assert!(!ProgrammeUse::of(None, AssignedUse { keys: 1, ..AssignedUse::none(&id) }).spends_elsewhere(now));
    }

    #[test]
    fn a_night_is_begun_again_seven_times_and_a_missing_one_once() {
        let night: Moment = "2026-11-20T02:20:00Z".parse().unwrap();
        let after = |minutes| night + SignedDuration::from_mins(minutes);
        // The schedule's minutes, and the seconds by which it is late or early.
        let mut newest = Run::begun(night, night, BegunBy::Night);
        let mut begun = Vec::new();
        for (quarter, jitter) in (1..=100).zip([0_i64, 20, -20].into_iter().cycle()) {
            let now = after(15 * quarter) + SignedDuration::from_secs(jitter);
            if newest.is_due_again(now) == Some(night) {
                newest = Run::begun(now, night, BegunBy::Quarter);
                begun.push(quarter);
            }
            assert_eq!(newest.is_due_again(now + SignedDuration::from_secs(15)), None, "twice in quarter {quarter}");
        }
        assert_eq!(begun, AGAIN_AFTER);
        // One that a person begins uses up none of them, and a complete one ends them.
        let pressed = Run::begun(after(15), night, BegunBy::Person);
        assert_eq!(pressed.is_due_again(after(16)), Some(night));
        assert_eq!(pressed.again_at(after(16)), Some(after(30)));
        let complete = Run { complete: true, ..pressed };
        // One that left caps in the afternoon is repeated at once, and where that dies, soon after.
        let late = Run { left_caps: true, ..complete.clone() };
        assert_eq!(late.is_due_again(after(20 * 15)), Some(after(20 * 15)));
        let has_left = Run { left_caps: true, begun_by: BegunBy::Quarter, ..complete.clone() };
        assert_eq!([28, 30].map(|minutes| has_left.is_due_again(after(minutes))), [None, Some(night)]);
        assert_eq!((complete.is_due_again(after(30)), complete.again_at(after(30))), (None, None));
        assert_eq!(
            complete.is_due_again(after(15 + 24 * 60 + 10)),
            Some(after(15 + 24 * 60 + 10)),
            "a night of its own"
        );
    }
}
