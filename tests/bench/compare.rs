//! Product and floor in turn, what each took, and the medians of it with their spread.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::client::Sample;
use crate::floor::AtOnce;
use crate::process::World;
use crate::world::Do;

/// As long as an invocation may take.
pub(crate) const SECONDS: u64 = 900;

/// What both took, as often as they were measured.
pub(crate) struct Compared {
    pub(crate) product: Vec<Sample>,
    pub(crate) floor: Vec<Sample>,
}

impl Compared {
    /// How many of the product's runs were complete.
    pub(crate) fn complete(&self) -> usize {
        self.product.iter().filter(|sample| is_complete(sample)).count()
    }
}

/// Runs that nobody measures, until nothing is news: the first says what there was before.
pub(crate) fn settle(world: &mut World) -> Result<()> {
    for _ in 0..2 {
        ensure_complete(&world.product(&json!({}), SECONDS, false)?)?;
    }
    world.tell::<Value>(&Do::Trim).map(drop)
}

/// Both in turn, so often, with so many per cent of the keys changed each time.
pub(crate) fn compare(world: &mut World, per_cent: u32, times: usize, at_once: AtOnce) -> Result<Compared> {
    let (mut product, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let changed = world.spend(per_cent)?;
        // The floor writes back what it read, so to the product the same is news after it.
        let sample = world.floor(at_once)?;
        ensure!(sample.answer["written"] == changed, "the floor wrote {} of {changed}", sample.answer["written"]);
        floor.push(sample);
        let sample = world.product(&json!({}), SECONDS, false)?;
        if is_complete(&sample) {
            let recorded = &sample.answer["readings_recorded"];
            ensure!(*recorded == changed, "{recorded} readings of {changed} were recorded");
        } else {
            eprintln!("bench: a run was not complete: {}", sample.answer);
            // The next one begins where nothing is news, as all do.
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

/// Seconds of time.
pub(crate) fn wall(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.wall_ms / 1e3))
}

/// Seconds of the processor.
pub(crate) fn cpu(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.cpu_ms / 1e3))
}

/// The most memory in MiB.
pub(crate) fn peak(samples: &[Sample]) -> Spread {
    Spread::of(samples.iter().map(|sample| sample.peak_kib as f64 / 1024.0))
}

/// The median of some numbers, and the least and the most of them.
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
