//! The comparison: every grant once beside its listed keys. Use is recorded, programmes are summed
//! up, and each deviation becomes a finding. Nothing is done about findings yet.

mod grant;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bursar_core::clock::Moment;
use bursar_core::domain::grant::{Grant, SeenKey, View};
use bursar_core::domain::programme::guardrail::Guardrail;
use bursar_core::domain::programme::{Budget, Programme};
use bursar_core::domain::usage::reading::Reading;
use bursar_core::domain::values::id::{Epoch, GrantId, KeyHash, ProgrammeId};
use bursar_core::schema::SHARDS;
use bursar_core::store::StoreError;
use futures_util::stream::{StreamExt, TryStreamExt, iter};

use self::grant::{ScanContext, ScanResult};
use crate::list::{ForeignRow, KeyListing, KeyRow};
use crate::recount::ProgrammeSums;
use crate::runner::{
    Gaps, PROGRAMMES_AT_ONCE, RunContext, SHARDS_AHEAD, WRITES_AT_ONCE, is_of_one_programme,
};

/// How many shards, each a partition of the table, have their readings written in turn.
const SHARDS_MIXED: usize = 4;
/// The time for a write, which the table may throttle.
pub(crate) const FOR_ONE_WRITE: Duration = Duration::from_secs(30);

/// The live keys on record as under a guardrail, by its programme and its id.
pub(crate) type Restricted = BTreeMap<(ProgrammeId, String), Vec<RestrictedKey>>;

#[derive(Debug)]
pub(crate) struct RestrictedKey {
    pub(crate) grant: GrantId,
    pub(crate) key: KeyHash,
}

/// Something to be done about a grant, if it still holds by then.
#[derive(Debug)]
pub(crate) struct Finding {
    pub(crate) programme: ProgrammeId,
    pub(crate) grant: GrantId,
    pub(crate) kind: FindingKind,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FindingKind {
    Grant(GrantFinding),
    Key(KeyFinding),
    /// One of the programme's rules is due.
    Rule {
        last_used_at: Option<Moment>,
    },
}

/// What is decided on the grant as it is by then.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GrantFinding {
    /// An enabled key that nobody was shown.
    Orphan {
        row: Box<KeyRow>,
        /// Whether its grant was shown a later key, so that nobody can have been shown this one.
        is_outdated: bool,
    },
    /// Keys of ours that a restored table does not know, with the others of the grant. A recovery
    /// would disable `ends`; the use of `unread` is in no reading yet.
    Recover {
        rows: Vec<KeyRow>,
        ends: Vec<KeyHash>,
        unread: Vec<Epoch>,
    },
    /// A recorded key that is listed otherwise than it is on record.
    Seen { key: KeyHash, seen: SeenKey },
    /// A live key that is not listed under its guardrail.
    NotUnder { key: KeyHash, asked_at: Moment },
    /// The grant's programme is over.
    End,
    /// A reservation in the budget that is not used.
    UnusedReservation,
    /// What a key is to hold and the provider is to be told.
    Due,
}

/// A recorded key about which the provider is asked.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct KeyFinding {
    pub(crate) key: KeyHash,
    pub(crate) epoch: Epoch,
    pub(crate) doubt: KeyDoubt,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum KeyDoubt {
    /// A live key that was listed as disabled, though nobody here disables it.
    IsDisabled,
    /// A live key that was listed with a limit that nobody here sent.
    LimitIsOther,
    /// It was not listed under its name. If it does not exist, its grant is stopped; one that is
    /// held back, or whose row could not be read, is only queried.
    NotListed { stops: bool, is_held: bool },
    /// It may be deleted at the provider.
    MayGo,
}

impl Finding {
    /// The key or grant that it is about, for the report.
    pub(crate) fn subject(&self) -> String {
        match &self.kind {
            FindingKind::Grant(GrantFinding::Orphan { row, .. }) => format!("the key {}", row.key),
            FindingKind::Key(KeyFinding { key, .. })
            | FindingKind::Grant(
                GrantFinding::Seen { key, .. } | GrantFinding::NotUnder { key, .. },
            ) => {
                format!("the key {key}")
            }
            FindingKind::Rule { .. }
            | FindingKind::Grant(
                GrantFinding::Recover { .. }
                | GrantFinding::End
                | GrantFinding::UnusedReservation
                | GrantFinding::Due,
            ) => format!("the grant {}", self.grant),
        }
    }

    /// The key that its repair deletes at the provider.
    pub(crate) fn record_purge(&self) -> Option<&KeyHash> {
        match &self.kind {
            FindingKind::Key(finding) => {
                Some(&finding.key).filter(|_| finding.doubt == KeyDoubt::MayGo)
            }
            FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
        }
    }

    /// The key that its repair reads, since the listing did not.
    pub(crate) fn reads(&self) -> Option<Epoch> {
        match &self.kind {
            FindingKind::Key(finding) => {
                (finding.doubt != KeyDoubt::MayGo).then_some(finding.epoch)
            }
            FindingKind::Grant(_) | FindingKind::Rule { .. } => None,
        }
    }
}

#[derive(Debug, Default)]
pub(crate) struct ComparedKeys {
    /// The sums of each programme, in the order of the run's; a programme that could not be read
    /// has none.
    pub(crate) sums: Vec<ProgrammeSums>,
    pub(crate) findings: Vec<Finding>,
    /// Keys that only bear the name of a grant, and keys beside the recorded one of a claim.
    pub(crate) foreign: Vec<ForeignRow>,
    /// Keys with names of ours that the table does not know: their grant does not exist, or the
    /// claim that made them.
    pub(crate) unknown: Vec<ForeignRow>,
    pub(crate) restricted: Restricted,
    pub(crate) gaps: Gaps,
}

/// One programme, as it was read before its grants, with what was found in it so far.
struct Comparison<'a> {
    runner: &'a RunContext,
    listing: &'a KeyListing,
    elsewhere: &'a HashSet<KeyHash>,
    guardrails: Arc<Vec<Guardrail>>,
    outcome: ComparedKeys,
    sums: ProgrammeSums,
}

enum News {
    Reading(Box<Reading>),
    /// That what a key used is known for no longer than before.
    Unread(GrantId, Epoch),
}

/// Compares all programmes. One that cannot be read keeps no other from being compared.
pub(crate) async fn all(runner: &RunContext, listing: &KeyListing) -> Result<ComparedKeys> {
    let elsewhere = listing.elsewhere();
    let comparisons = runner.programmes.clone().into_iter().map(|programme| {
        // In a box, since it is moved often and is large.
        let compared = Box::pin(compare_keys(
            runner,
            listing,
            &elsewhere,
            programme.id.clone(),
        ));
        async move { (programme.id, compared.await) }
    });
    let mut comparisons = iter(comparisons).buffered(PROGRAMMES_AT_ONCE);
    let mut total = ComparedKeys::default();
    while let Some((programme, compared)) = comparisons.next().await {
        match compared {
            Ok(part) => total.append(part),
            Err(error) if is_of_one_programme(&error) => {
                total.gaps.has_failed = true;
                runner
                    .journal
                    .problem(format!("{programme} could not be looked at: {error:#}"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(total)
}

async fn compare_keys(
    runner: &RunContext,
    listing: &KeyListing,
    elsewhere: &HashSet<KeyHash>,
    id: ProgrammeId,
) -> Result<ComparedKeys> {
    let table = &runner.table;
    let id = &id;
    let budget = table
        .get(Budget::key_of(id))
        .await?
        .with_context(|| format!("{id} has no budget"))?;
    let counts = table.roster_counts(id).await?;
    // After the budget, since an edit of costs moves it.
    let programme = table
        .get(Programme::key_of(id))
        .await?
        .context("a programme is gone")?;
    let guardrails = table.list(Guardrail::of_programme(id)).await?;
    let sums = ProgrammeSums::new(programme, budget, counts, runner.baseline.began_at);
    let guardrails = guardrails.into();
    let outcome = ComparedKeys::default();
    let mut comparison = Comparison {
        runner,
        listing,
        elsewhere,
        guardrails,
        outcome,
        sums,
    };
    let shards = SHARDS
        .map(|shard| async move { Ok::<_, StoreError>((shard, table.shard_of(id, shard).await?)) });
    let news = iter(shards)
        .buffered(SHARDS_AHEAD)
        .map_ok(|(shard, grants)| {
            let news = comparison.compare(shard, grants);
            iter(news).map(Ok::<News, StoreError>)
        });
    let news = news.try_flatten_unordered(SHARDS_MIXED);
    news.try_for_each_concurrent(WRITES_AT_ONCE, |news| write(runner, id, news))
        .await?;
    let Comparison {
        mut outcome, sums, ..
    } = comparison;
    outcome.sums.push(sums);
    Ok(outcome)
}

async fn write(runner: &RunContext, programme: &ProgrammeId, news: News) -> Result<(), StoreError> {
    let deadline = runner.end().limit_to(FOR_ONE_WRITE);
    match (news, runner.baseline.listed_at) {
        (News::Reading(reading), _) => {
            let written = runner.table.note_reading(&reading, deadline).await?;
            runner
                .journal
                .report(|report| report.readings_recorded += usize::from(written));
        }
        (News::Unread(grant, epoch), Some(listed_at)) => {
            runner
                .table
                .note_failed_look((programme, &grant, epoch), listed_at, deadline)
                .await?;
        }
        (News::Unread(..), None) => {}
    }
    Ok(())
}

impl Comparison<'_> {
    /// What is to be written of some grants; what else is found is kept.
    fn compare(&mut self, shard: char, grants: Vec<(Grant, Vec<Reading>)>) -> Vec<News> {
        let Comparison {
            runner, listing, ..
        } = *self;
        let id = self.sums.programme.id.clone();
        let deployment = &runner.deployment;
        let mut grant_ids: HashSet<GrantId> = HashSet::new();
        let mut news = Vec::new();
        for (grant, readings) in grants {
            grant_ids.insert(grant.id.clone());
            let mut view = View {
                guardrails: self.guardrails.clone(),
                ..self.sums.view(grant, readings)
            };
            let context = ScanContext {
                rows: listing.of_grant(&id, &view.grant.id),
                elsewhere: self.elsewhere,
                runner,
                listing,
                now: runner.clock.now(),
            };
            let result = ScanResult::scan(&mut view, context);
            if !result.unread.is_empty() || !result.unlisted.is_empty() {
                self.sums.unread.insert(view.grant.id.clone());
            }
            self.sums.add(&view, runner, result.kinds.is_empty());
            runner.journal.problems_of(result.problems);
            self.outcome.gaps.has_unread |= !result.unread.is_empty();
            self.outcome
                .findings
                .extend(result.kinds.into_iter().map(|kind| Finding {
                    programme: id.clone(),
                    grant: view.grant.id.clone(),
                    kind,
                }));
            self.outcome.foreign.extend(
                result
                    .foreign
                    .iter()
                    .map(|row| row.to_foreign(deployment, &id)),
            );
            self.outcome.unknown.extend(
                result
                    .newer
                    .iter()
                    .map(|row| row.to_foreign(deployment, &id)),
            );
            if let Some((guardrail, key)) = result.restricted {
                self.outcome
                    .restricted
                    .entry((id.clone(), guardrail))
                    .or_default()
                    .push(key);
            }
            news.extend(
                result
                    .news
                    .into_iter()
                    .map(|reading| News::Reading(Box::new(reading))),
            );
            // Those that are not listed are asked for by their hashes, unless they may lie where
            // nobody can look.
            let unseen = result
                .unlisted
                .into_iter()
                .filter(|_| !listing.shows_absence());
            news.extend(
                result
                    .unread
                    .into_iter()
                    .chain(unseen)
                    .map(|epoch| News::Unread(view.grant.id.clone(), epoch)),
            );
        }
        let unknown = listing
            .of_shard(&id, shard)
            .filter(|rows| !grant_ids.contains(&rows[0].grant));
        self.outcome
            .unknown
            .extend(unknown.flatten().map(|row| row.to_foreign(deployment, &id)));
        news
    }
}

impl ComparedKeys {
    fn append(&mut self, mut part: ComparedKeys) {
        self.sums.append(&mut part.sums);
        self.findings.append(&mut part.findings);
        self.foreign.append(&mut part.foreign);
        self.unknown.append(&mut part.unknown);
        self.restricted.append(&mut part.restricted);
        self.gaps.has_unread |= part.gaps.has_unread;
    }
}
