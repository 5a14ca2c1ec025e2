//! Reads of all programmes' grants in order, a shard at a time, each programme's head before its grants.

use std::sync::Arc;

use bursar_core::domain::grant::Reading;
use bursar_core::domain::programme::Budget;
use bursar_core::store::keys;
use futures_util::future::BoxFuture;
use tokio::sync::OnceCell;

use super::guardrail_keys::GuardrailKeys;
use super::rows::ShardIndex;
use crate::prelude::*;

/// The part of a programme that is read before its grants.
pub(crate) struct ProgrammeHead {
    /// The budget, whose version shows whether it moved while the grants were read.
    pub(crate) budget: Budget,
    /// The settings under which reservations are reckoned. They are read after the budget, since an edit of costs moves it.
    pub(crate) programme: Programme,
    pub(crate) under: GuardrailKeys,
}

/// The grants of a programme whose ids begin with one digit.
pub(crate) struct Shard {
    pub(crate) head: Arc<OnceCell<ProgrammeHead>>,
    pub(crate) grants: Vec<(Grant, Vec<Reading>)>,
}

/// A shard that is being read, with the bytes of its rows.
pub(crate) type ShardRead<'a> = (usize, BoxFuture<'a, (ShardIndex, Result<Shard>)>);

/// Every shard of every programme from one on. When that is in the middle of a programme, `resumed` is the
/// budget that was read at its beginning.
pub(crate) fn shards_from<'a>(
    runner: &'a Runner<'_>,
    from: ShardIndex,
    resumed: Option<Budget>,
    weights: Arc<HashMap<ShardIndex, usize>>,
) -> impl Iterator<Item = ShardRead<'a>> {
    let programmes = runner.programmes().iter().zip(0_u16..).skip(from.0.into());
    programmes.flat_map(move |(programme, number)| {
        let head = Arc::new(OnceCell::new());
        let resumed = resumed.clone().filter(|_| number == from.0);
        let weights = Arc::clone(&weights);
        let shards = keys::SHARDS.iter().zip(0_u8..).skip(if number == from.0 { from.1.into() } else { 0 });
        shards.map(move |(shard, digit)| -> ShardRead<'a> {
            let (head, resumed, index) = (Arc::clone(&head), resumed.clone(), (number, digit));
            let read = async move { (index, read(runner, programme, *shard, (head, resumed)).await) };
            (weights.get(&index).copied().unwrap_or_default(), Box::pin(read))
        })
    })
}

async fn read(
    runner: &Runner<'_>,
    programme: &Programme,
    shard: char,
    (head, resumed): (Arc<OnceCell<ProgrammeHead>>, Option<Budget>),
) -> Result<Shard> {
    head.get_or_try_init(|| read_head(runner, programme, resumed)).await?;
    let grants = runner.table.shard_of(&programme.id, shard).await?;
    Ok(Shard { head, grants })
}

async fn read_head(runner: &Runner<'_>, programme: &Programme, resumed: Option<Budget>) -> Result<ProgrammeHead> {
    let budget = match resumed {
        Some(budget) => budget,
        None => runner
            .table
            .get(Budget::key_of(&programme.id))
            .await?
            .with_context(|| format!("{} has no budget", programme.id))?,
    };
    let programme = runner.table.get(Programme::key_of(&programme.id)).await?.context("a programme is gone")?;
    let under = GuardrailKeys::of(runner, &programme).await?;
    Ok(ProgrammeHead { budget, programme, under })
}
