//! The plan of a measurement, parsed from the command line.

use anyhow::{Context, Result, bail};

use crate::seed::Layout;

/// The options of a measurement.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) keys: Vec<usize>,
    /// Percentages of the keys whose use grows between two syncs.
    pub(crate) changed: Vec<u32>,
    /// The provider's latencies in milliseconds, without its work.
    pub(crate) latencies: Vec<u64>,
    pub(crate) times: usize,
    /// The number of keys of each unusual shape, if these are measured.
    pub(crate) shapes: Option<usize>,
    /// The accounts whose peak of memory is measured.
    pub(crate) peaks: Vec<(usize, Layout)>,
    /// Whether the figures are written to BENCHMARKS.md.
    pub(crate) writes: bool,
}

impl Plan {
    pub(crate) fn read(options: &[&str]) -> Result<Plan> {
        let mut plan = Plan {
            keys: vec![1_000, 10_000, 50_000],
            changed: vec![0, 5, 100],
            latencies: vec![0, 80],
            times: 5,
            shapes: Some(50_000),
            peaks: vec![(50_000, Layout::Thousands), (250_000, Layout::Thousands), (100_000, Layout::OneBesideFifty)],
            // Only a complete set of figures is recorded.
            writes: options.is_empty(),
        };
        let (mut keys, mut changed, mut latencies) = (Vec::new(), Vec::new(), Vec::new());
        let mut options = options.iter();
        while let Some(option) = options.next() {
            let mut number = || -> Result<usize> {
                let number = options.next().with_context(|| format!("{option} wants a number"))?;
                number.parse().with_context(|| format!("{option} wants a number"))
            };
            match *option {
                "--quick" => {
                    plan = Plan { keys: vec![1_000, 10_000], times: 2, shapes: None, peaks: Vec::new(), ..plan };
                }
                "--keys" => keys.push(number()?),
                "--changed" => changed.push(u32::try_from(number()?)?),
                "--latency" => latencies.push(u64::try_from(number()?)?),
                "--times" => plan.times = number()?.max(1),
                "--peak" => plan.peaks = vec![(number()?, Layout::Thousands)],
                "--peak-beside-fifty" => plan.peaks = vec![(number()?, Layout::OneBesideFifty)],
                "--no-peaks" => plan.peaks.clear(),
                "--shapes" => plan.shapes = Some(number()?),
                "--no-shapes" => plan.shapes = None,
                "--only-shapes" => plan = Plan { keys: Vec::new(), peaks: Vec::new(), ..plan },
                "--write" => plan.writes = true,
                _ => bail!("there is no option {option}"),
            }
        }
        if !keys.is_empty() {
            plan.keys = keys;
        }
        if !changed.is_empty() {
            plan.changed = changed;
        }
        if !latencies.is_empty() {
            plan.latencies = latencies;
        }
        Ok(plan)
    }
}
