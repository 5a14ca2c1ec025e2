//! What a programme's budget holds and how far its people have come, as acts move it and as the
//! sync counts it anew.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::grant::Grant;
use crate::domain::programme::counts::{Counts, RosterCounts, Stage};
use crate::domain::programme::unreserved::Unreserved;
use crate::domain::programme::{Budget, Programme};
use crate::domain::values::address::MatchedAddress;
use crate::domain::values::id::{GrantId, ProgrammeId};
use crate::domain::values::money::Usd;
use crate::schema::Stored;
use crate::store::items::Item;
use crate::store::table::write::{Unaudited, Writes, instant, number, text};
use crate::store::{Enrolment, Result, StoreError, Table, items};

/// How long an act waits at most until the counts of its roster are written.
const FOR_THE_COUNTS: Duration = Duration::from_secs(2);
/// How long a step of somebody waits at most until it is noted.
const FOR_A_STAGE: Duration = Duration::from_secs(8);
/// The most caps that one write moves; a count moves the rest of them the next night.
const MOST_CAPS: usize = 25;

/// The part of an update that moves who waits under each cap, and its values.
#[derive(Default)]
pub(crate) struct CapMoves {
    pub(crate) set: Vec<String>,
    values: Vec<(String, AttributeValue)>,
}

impl CapMoves {
    pub(crate) fn new(moves: &[(String, i64)]) -> CapMoves {
        let mut update = CapMoves::default();
        for (place, (cap, delta)) in moves.iter().take(MOST_CAPS).enumerate() {
            update.set.push(format!(
                "unreserved.#{cap} = if_not_exists(unreserved.#{cap}, :none) + :by{place}"
            ));
            update.values.extend([
                (":none".to_owned(), number(0)),
                (format!(":by{place}"), number(delta)),
            ]);
        }
        update
    }

    pub(crate) fn values(&self) -> Vec<(&str, AttributeValue)> {
        self.values
            .iter()
            .map(|(name, value)| (&**name, value.clone()))
            .collect()
    }
}

impl Table {
    /// The budget of a programme, with which it was made.
    pub async fn budget(&self, programme: &ProgrammeId) -> Result<Budget> {
        self.get_existing(Budget::key_of(programme)).await
    }

    /// Brings a budget to what its grants reserve at an instant, and the counts of who has no
    /// reservation, by adding the differences to what was read before the grants. So what was taken
    /// meanwhile stays taken. Returns `false` when it was counted by another run, or the settings
    /// were edited, since then.
    pub async fn recount_budget(
        &self,
        programme: &Programme,
        read: &Budget,
        (reserved, unreserved): (Usd, &Unreserved),
        as_of: Moment,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut update = CapMoves::new(&unreserved.difference_from(&read.unreserved));
        update.set.push("counted_at = :at".to_owned());
        let mut values = update.values();
        values.extend([
            (":more", number((reserved - read.reserved).micros())),
            (":at", instant(as_of)),
            (":one", number(1)),
        ]);
        let condition = match read.counted_at {
            Some(counted_at) => {
                values.push((":counted_at", instant(counted_at)));
                "counted_at = :counted_at"
            }
            None => "attribute_exists(pk) AND attribute_not_exists(counted_at)",
        };
        let expression = format!(
            "SET {} ADD reserved :more, version :one",
            update.set.join(", ")
        );
        let transaction = self.transaction().update(
            &Budget::key_of(&read.programme),
            &expression,
            condition,
            &values,
        )?;
        let version = [(":version", number(programme.version))];
        let transaction = transaction.check(
            &Programme::key_of(&programme.id),
            "version = :version",
            &version,
        )?;
        self.commit_once(transaction.skip_audit(Unaudited::Sync), deadline)
            .await
    }

    /// Moves the counts of a roster after the transaction of an act. It is tried once and for a
    /// short time: nothing waits for it.
    pub(crate) async fn move_counts(
        &self,
        programme: &ProgrammeId,
        moves: Counts,
        deadline: Deadline,
    ) {
        if moves == Counts::default() {
            return;
        }
        let deadline = deadline.limit_to(FOR_THE_COUNTS);
        let counted = deadline
            .wait_for(self.add_to_counts(programme, moves, None, deadline))
            .await;
        if !matches!(counted, Ok(Ok(_))) {
            tracing::warn!(%programme, ?counted, "the counts of a roster are behind until the next sync");
        }
    }

    /// Notes what the person of an address came to, on each of their grants. It is tried for a
    /// short time: nobody waits for it, and the step is missing until the next where it fails.
    pub async fn note_stage(
        &self,
        address: &MatchedAddress,
        reached: Stage,
        now: Moment,
        deadline: Deadline,
    ) {
        let deadline = deadline.limit_to(FOR_A_STAGE);
        let noted = async {
            for Enrolment {
                programme, grant, ..
            } in self.own_enrolments(address, now).await?.0
            {
                self.raise_stage(&programme, &grant, reached, deadline)
                    .await?;
            }
            Ok::<_, StoreError>(())
        };
        let noted = deadline.wait_for(noted).await;
        if !matches!(noted, Ok(Ok(()))) {
            tracing::warn!(
                stage = reached.as_str(),
                ?noted,
                "how far somebody has come is not noted"
            );
        }
    }

    /// Notes what the person of a grant came to, and then counts it. No more is written than the
    /// stage and another version: who may do this may do nothing else to a grant. Where somebody
    /// else has noted a stage meanwhile, that one stays.
    pub async fn raise_stage(
        &self,
        programme: &ProgrammeId,
        grant: &GrantId,
        reached: Stage,
        deadline: Deadline,
    ) -> Result<()> {
        let Some(before) = self.get(Grant::key_of(programme, grant)).await? else {
            return Ok(());
        };
        let after = Grant {
            stage: before.stage.after(reached),
            ..before.clone()
        };
        let [was, stage] = [&before, &after].map(|grant| text(grant.stage.as_str()));
        let values = [(":was", was), (":stage", stage), (":one", number(1))];
        let noted = "SET #stage = :stage ADD version :one";
        let noted = self
            .single()
            .update(&before.key(), noted, "#stage = :was", &values)?;
        if after != before && noted.write(deadline).await? {
            let mut moves = Counts::default();
            moves.add(&before, -1);
            moves.add(&after, 1);
            self.move_counts(programme, moves, deadline).await;
        }
        Ok(())
    }

    /// Adds to the counts of a roster; a recount only to those that it read before the grants,
    /// since an act that came in between may be among these. Returns `false` where they are others
    /// by now.
    pub async fn add_to_counts(
        &self,
        programme: &ProgrammeId,
        moves: Counts,
        as_read: Option<Counts>,
        deadline: Deadline,
    ) -> Result<bool> {
        let mut added = Vec::new();
        let mut unmoved = Vec::new();
        let mut values = vec![
            (":kind".to_owned(), text(RosterCounts::KIND)),
            (":programme".to_owned(), text(programme.as_str())),
        ];
        for (name, count) in numbers_of(programme, moves)? {
            added.push(format!("#{name} :{name}"));
            values.push((format!(":{name}"), count));
        }
        if let Some(read) = as_read {
            for (name, count) in numbers_of(programme, read)? {
                unmoved.push(format!("#{name} = :{name}_then"));
                values.push((format!(":{name}_then"), count));
            }
            unmoved = vec![format!(
                "attribute_not_exists(pk) OR ({})",
                unmoved.join(" AND ")
            )];
        }
        let add = format!(
            "SET #kind = :kind, programme = :programme ADD {}",
            added.join(", ")
        );
        let values: Vec<_> = values
            .iter()
            .map(|(name, value)| (&**name, value.clone()))
            .collect();
        self.single()
            .update(
                &RosterCounts::key_of(programme),
                &add,
                &unmoved.join(""),
                &values,
            )?
            .write(deadline)
            .await
    }

    pub async fn roster_counts(&self, programme: &ProgrammeId) -> Result<Counts> {
        Ok(self
            .get(RosterCounts::key_of(programme))
            .await?
            .map_or_else(Counts::default, |stored| stored.counts))
    }
}

/// The attributes that are counts, as the item of a roster has them.
fn numbers_of(programme: &ProgrammeId, counts: Counts) -> Result<Item> {
    let mut counts_item = items::to_item(&RosterCounts {
        programme: programme.clone(),
        counts,
    })?;
    counts_item.retain(|_, value| value.is_n());
    Ok(counts_item)
}
