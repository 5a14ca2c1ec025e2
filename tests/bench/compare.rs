//! Samples of product and floor in turn, and the median and spread of what they took.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::client::Sample;
use crate::floor::AtOnce;
use crate::process::World;
use crate::world::Do;

/// The time-out of an invocation, in seconds.
pub(crate) const SECONDS: u64 = 900;

/// The samples of both.
pub(crate) struct Compared {
    pub(crate) product: Vec<Sample>,
    pub(crate) floor: Vec<Sample>,
}

impl Compared {
    /// The number of the product's runs that were complete.
    pub(crate) fn complete(&self) -> usize {
        self.product.iter().filter(|sample| is_complete(sample)).count()
    }
}

/// Unmeasured runs that make all readings current: the first records whatever changed before.
pub(crate) fn settle(world: &mut World) -> Result<()> {
    for _ in 0..2 {
        ensure_complete(&world.product(&json!({}), SECONDS, false)?)?;
    }
    world.tell::<Value>(&Do::Trim).map(drop)
}

/// Measures both in turn, `times` times, with `per_cent` of the keys changed each time.
pub(crate) fn compare(world: &mut World, per_cent: u32, times: usize, at_once: AtOnce) -> Result<Compared> {
    let (mut product, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let changed = world.spend(per_cent)?;
        // The floor writes each reading back unchanged, so the changes are still new to the product afterwards.
        let sample = world.floor(at_once)?;
        ensure!(sample.answer["written"] == changed, "the floor wrote {} of {changed}", sample.answer["written"]);
        floor.push(sample);
        let sample = world.product(&json!({}), SECONDS, false)?;
        if is_complete(&sample) {
            let recorded = &sample.answer["readings_recorded"];
            ensure!(*recorded == changed, "{recorded} readings of {changed} were recorded");
        } else {
            eprintln!("bench: a run was not complete: {}", sample.answer);
            // Every sample begins with all readings current.
            settle(world)?;
        }
        product.push(sample);
        world.tell::<Value>(&Do::Trim)?;
    }
    Ok(Compared { product, floor })
}

pub(crate) fn ensure_complete(sample: &Sample) -> Result<()> {
    ensure!(is_complete(sample), "a run was not complete: {}", sample.answer);
    Ok(())
}

fn is_complete(sample: &Sample) -> bool {
    sample.answer["complete"] == true
}

/// Wall-clock time in seconds.
pub(crate) fn wall(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.wall_ms / 1e3))
}

/// Processor time in seconds.
pub(crate) fn cpu(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.cpu_ms / 1e3))
}

/// Peak memory in MiB.
pub(crate) fn peak(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.peak_kib as f64 / 1024.0))
}

/// The median, minimum and maximum of some numbers.
pub(crate) struct Spread {
    pub(crate) median: f64,
    least: f64,
    most: f64,
}

impl Spread {
    pub(crate) fn of(numbers: impl Iterator<Item = f64>) -> Spread {
        let mut numbers: Vec<f64> = numbers.collect();
        numbers.sort_by(f64::total_cmp);
        let at = |place: usize| numbers.get(place).copied().unwrap_or(f64::NAN);
        Spread { median: at(numbers.len() / 2), least: at(0), most: at(numbers.len().saturating_sub(1)) }
    }

    pub(crate) fn told(&self) -> String {
        format!("{:.2} ({:.2}–{:.2})", self.median, self.least, self.most)
    }
}
