//! What a programme's budget holds and how far its people have come, as acts move it and as the sync counts it anew.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;

use crate::clock::Moment;
use crate::deadline::Deadline;
use crate::domain::programme::counts::{Counts, RosterCounts};
use crate::domain::programme::unreserved::Unreserved;
use crate::domain::programme::{Budget, Programme};
use crate::domain::values::id::ProgrammeId;
use crate::domain::values::money::Usd;
use crate::schema::Stored;
use crate::store::table::write::{Unaudited, Writes, instant, number, text};
use crate::store::{StoreError, Table};

/// How long an act waits at most until the counts of its roster are written.
const FOR_THE_COUNTS: Duration = Duration::from_secs(2);
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
            update.set.push(format!("unreserved.#{cap} = if_not_exists(unreserved.#{cap}, :none) + :by{place}"));
            update.values.extend([(":none".to_owned(), number(0)), (format!(":by{place}"), number(delta))]);
        }
        update
    }

    pub(crate) fn values(&self) -> Vec<(&str, AttributeValue)> {
        self.values.iter().map(|(name, value)| (&**name, value.clone())).collect()
    }
}

impl Table {
    /// The budget of a programme, with which it was made.
    pub async fn budget(&self, programme: &ProgrammeId) -> Result<Budget, StoreError> {
        self.get_existing(Budget::key_of(programme)).await
    }

    /// Brings a budget to what its grants reserve at an instant, and the counts of who has no reservation, by adding the differences to what was
    /// read before the grants. So what was taken meanwhile stays taken. Returns `false` when it was counted by another run, or the
    /// settings were edited, since then.
    pub async fn recount_budget(
        &self,
        programme: &Programme,
        read: &Budget,
        (reserved, unreserved): (Usd, &Unreserved),
        as_of: Moment,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut update = CapMoves::new(&unreserved.beyond(&read.unreserved));
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
        let expression = format!("SET {} ADD reserved :more, version :one", update.set.join(", "));
        let transaction =
            self.transaction().update(&Budget::key_of(&read.programme), &expression, condition, &values)?;
        let version = [(":version", number(programme.version))];
        let transaction = transaction.check(&Programme::key_of(&programme.id), "version = :version", &version)?;
        self.commit_once(transaction.unaudited(Unaudited::Sync), deadline).await
    }

    /// Moves the counts of a roster after the transaction of an act. It is tried once and for a short time: nothing waits for it.
    pub(crate) async fn move_counts(&self, programme: &ProgrammeId, moves: Counts, deadline: Deadline) {
        if moves == Counts::default() {
            return;
        }
        let deadline = deadline.at_most(FOR_THE_COUNTS);
        let counted = deadline.wait_for(self.add_to_counts(programme, moves, None, deadline)).await;
        if !matches!(counted, Ok(Ok(_))) {
            tracing::warn!(%programme, ?counted, "the counts of a roster are behind until the next sync");
        }
    }

    /// Adds to the counts of a roster; a recount only to those that it read before the grants, since an act that came in between may be
    /// among these. Returns `false` where they are others by now.
    pub async fn add_to_counts(
        &self,
        programme: &ProgrammeId,
        moves: Counts,
        as_read: Option<Counts>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let mut condition = "";
        let mut values = vec![
            (":kind", text(RosterCounts::KIND)),
            (":programme", text(programme.as_str())),
            (":invited", number(moves.invited)),
            (":claimed", number(moves.claimed)),
            (":freed", number(moves.freed.micros())),
        ];
        if let Some(read) = as_read {
            condition = "attribute_not_exists(pk) OR (invited = :invited_then AND claimed = :claimed_then AND freed = :freed_then)";
            values.extend([
                (":invited_then", number(read.invited)),
                (":claimed_then", number(read.claimed)),
                (":freed_then", number(read.freed.micros())),
            ]);
        }
        let add = "SET #kind = :kind, programme = :programme ADD invited :invited, claimed :claimed, freed :freed";
        let update = self.single().update(&RosterCounts::key_of(programme), add, condition, &values)?;
        self.write_alone(update, deadline).await
    }

    pub async fn roster_counts(&self, programme: &ProgrammeId) -> Result<Counts, StoreError> {
        Ok(self.get(RosterCounts::key_of(programme)).await?.map_or_else(Counts::default, |stored| stored.counts))
    }
}
