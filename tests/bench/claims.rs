//! What a burst of claims in one programme takes, where the table refuses transactions that meet in
//! flight and the provider answers late.

use anyhow::{Result, ensure};
use bursar_core::clock::Clock;
use bursar_local::invoke::FunctionName;

use crate::client::Burst;
use crate::told;
use crate::world::World;

/// How long a transaction is in flight, and the provider's latency.
const IN_FLIGHT_MS: u64 = 15;
const LATENCY_MS: u64 = 300;

pub(crate) async fn claims(count: usize) -> Result<()> {
    println!(
        "| claims | within, s | had at the first press | asked to press again | median, s | slowest, s | processor, ms |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for seconds in [30, 5] {
        let world = World::of(1, 1).await?;
        world.answer_after(LATENCY_MS);
        world.hold_transactions(IN_FLIGHT_MS);
        let students = world.invite("burst", count, Clock::system().now()).await?;
        let words = [
            "burst",
            &seconds.to_string(),
            students.to_str().unwrap_or_default(),
        ];
        let burst: Burst = world.as_product(FunctionName::Claim, &words, false).await?;
        let (first, again) = (burst.first.len(), burst.again.len());
        ensure!(
            first + again == count,
            "{} have no key: {:?}",
            count - first - again,
            burst.refused
        );
        let all: Vec<f64> = burst.first.iter().chain(&burst.again).copied().collect();
        let slowest = all.iter().copied().fold(0.0, f64::max);
        println!(
            "| {count} | {seconds} | {first} | {again} | {} | {slowest:.2} | {:.1} |",
            told(all),
            burst.cpu_ms / f64::from(u32::try_from(count)?)
        );
    }
    Ok(())
}
