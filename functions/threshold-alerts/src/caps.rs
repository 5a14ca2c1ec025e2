//! The scan of every cap, once after each listing of every key. Only it finds what the stream lost, and caps
//! that were lowered.

use std::collections::HashSet;

use anyhow::Context;
use bursar_core::domain::grant::CapUse;
use bursar_core::domain::usage::crossing::{Crossing, OF_A_CAP, Scope, newly_passed_of_cap};
use bursar_core::schema::SHARDS;
use bursar_core::store::{CapScan, CapScanPosition};

use crate::crossings::{self, Limit, has_crossed};
use crate::prelude::*;

/// Scans every cap if all keys were listed since the last scan, and resumes a scan whose time was up.
pub(crate) async fn look(table: &Table, programmes: &Programmes, now: Moment, deadline: Deadline) -> Result<usize> {
    let mut unreadable = programmes.unreadable.iter().map(|id| anyhow!("the programme {id} cannot be read"));
    let Some(first) = programmes.read.first() else { return unreadable.next().map_or(Ok(0), Err) };
    let known = table.get(CapScan::key_of()).await?;
    let left = known.as_ref().and_then(|known| known.next.clone());
    let (listed_at, had_failed) = match &known {
        Some(known) if left.is_some() => (known.listed_at, known.has_failed),
        _ => match table.sync_state().await?.listed_at {
            Some(listed_at) if known.is_none_or(|known| known.listed_at < listed_at) => (listed_at, false),
            _ => return Ok(0),
        },
    };
    let (mut found, mut failed, mut next) = (0, unreadable.collect::<Vec<_>>(), None);
    'all: for programme in &programmes.read {
        for (number, shard) in SHARDS.into_iter().enumerate() {
            let place = CapScanPosition { programme: programme.id.clone(), shard: number };
            if left.as_ref().is_some_and(|left| place < *left) {
                continue;
            }
            if !deadline.leaves(crate::ENOUGH_FOR_ONE * 2) {
                next = Some(place);
                break 'all;
            }
            match find_in_shard(table, programme, shard, now, deadline).await {
                Ok(crossings) => found += crossings,
                Err(_) if !deadline.leaves(crate::ENOUGH_FOR_ONE) => {
                    next = Some(place);
                    break 'all;
                }
                // One unreadable programme does not keep others from being scanned.
                Err(error) => {
                    failed.push(error.context(format!("the caps of {}", programme.id)));
                    break;
                }
            }
        }
    }
    let mut has_failed = had_failed || !failed.is_empty();
    if has_failed && next.is_none() {
        // A scan with a failure begins again within the hour. If it were done, it would leave out what failed.
        next = Some(CapScanPosition { programme: first.id.clone(), shard: 0 });
        has_failed = false;
    }
    table.note_cap_scan(&CapScan { listed_at, next, has_failed }, deadline).await?;
    match failed.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(found),
    }
}

async fn find_in_shard(
    table: &Table,
    programme: &Programme,
    shard: char,
    now: Moment,
    deadline: Deadline,
) -> Result<usize> {
    let mut crossed = Vec::new();
    if programme.settings.mails.student_mails && !programme.is_over(now) {
        for (grant, readings) in table.shard_of(&programme.id, shard).await? {
            let used = CapUse::of(programme, &grant, &readings, now).filter(has_crossed);
            crossed.extend(used.map(|used| (grant.id, used)));
        }
    }
    if crossed.is_empty() {
        return Ok(0);
    }
    let on_record = table.list(Crossing::of_shard(&programme.id, shard)).await?;
    let on_record: HashSet<_> =
        on_record.into_iter().map(|one| (one.scope, one.window, one.limit, one.threshold)).collect();
    let mut found = 0;
    for (grant, CapUse { window, cap, spent, .. }) in crossed {
        let is_known = |threshold: &u8| on_record.contains(&(Scope::Cap(grant.clone()), window, cap, *threshold));
        let known: Vec<u8> = OF_A_CAP.into_iter().filter(is_known).collect();
        if !newly_passed_of_cap(cap, spent, &known).is_empty() {
            let one = crossings::find(table, Limit::Cap(&programme.id, &grant), now, deadline).await;
            found += one.with_context(|| format!("the grant {grant}"))?;
        }
    }
    Ok(found)
}
