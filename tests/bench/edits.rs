//! What it takes until the provider has confirmed another cap of so many keys, or a pause of them:
//! the work of each minute, what pages take beside it, and how soon a leak is off.

use anyhow::{Context, Result};
use bursar_local::invoke::FunctionName;

use crate::client::Edited;
use crate::told;
use crate::world::World;

const LATENCY_MS: u64 = 300;

pub(crate) async fn edits(count: usize) -> Result<()> {
    let world = World::of(count, count).await?;
    world.answer_after(LATENCY_MS);
    let last = &world.keys.last().context("no key")?.name;
    let words = [
        "edits",
        &world.cookie,
        &world.csrf,
        last.programme.as_str(),
        last.grant.as_str(),
    ];
    let edited: Edited = world
        .as_product(FunctionName::Console, &words, false)
        .await?;
    println!(
        "| keys | the press, s | confirmed, s | a leak in minute four, s | pages meanwhile, ms | workers at once |"
    );
    println!("| --- | --- | --- | --- | --- | --- |");
    let Edited {
        press,
        confirmed,
        leak,
        pages,
        at_once,
    } = edited;
    println!(
        "| {count} | {press:.1} | {confirmed:.0} | {leak:.1} | {} | {at_once} |",
        told(pages)
    );
    Ok(())
}

pub(crate) async fn pause(count: usize) -> Result<()> {
    let world = World::of(count, count).await?;
    world.answer_after(LATENCY_MS);
    let programme = &world.keys.last().context("no key")?.name.programme;
    let words = [
        "pause",
        "all",
        &world.cookie,
        &world.csrf,
        programme.as_str(),
    ];
    let [press, off]: [f64; 2] = world
        .as_product(FunctionName::Console, &words, false)
        .await?;
    println!("| keys | the press, s | the last is off, s |");
    println!("| --- | --- | --- |");
    println!("| {count} | {press:.1} | {off:.0} |");
    Ok(())
}
