//! Unusual accounts and providers: one large programme, a provider that slows down with the offset of a page,
//! and one whose pages fail now and then.

use std::fmt::Write;

use anyhow::Result;
use serde_json::Value;

use crate::clock::FastClock;
use crate::compare::{Compared, compare, cpu, peak, settle, wall};
use crate::conduct::{Conduct, Failing};
use crate::figures::grouped;
use crate::floor::AtOnce;
use crate::process::World;
use crate::seed::Layout;
use crate::world::{Do, Setup};

const PER_CENT: u32 = 5;
const PLAIN: Conduct = Conduct { latency_ms: 80, per_thousand_ms: 0, failing: None, calls_a_second: None };

struct Shape {
    name: &'static str,
    layout: Layout,
    conduct: Conduct,
}

const SHAPES: [Shape; 5] = [
    Shape { name: "programmes of 1,000, for comparison", layout: Layout::Thousands, conduct: PLAIN },
    Shape {
        name: "40 ms more for each 1,000 rows of offset",
        layout: Layout::Thousands,
        conduct: Conduct { per_thousand_ms: 40, ..PLAIN },
    },
    Shape { name: "one page in 200 answers 500", layout: Layout::Thousands, conduct: failing_with(500) },
    Shape { name: "one page in 200 answers 503", layout: Layout::Thousands, conduct: failing_with(503) },
    Shape { name: "one programme with all keys", layout: Layout::One, conduct: PLAIN },
];

const fn failing_with(status: u16) -> Conduct {
    Conduct { failing: Some(Failing { one_in: 200, status }), ..PLAIN }
}

/// The table of these shapes, each measured `times` times.
pub(crate) fn measure(keys: usize, times: usize) -> Result<String> {
    let mut text = format!(
        "Other shapes, of {} keys, {PER_CENT} % changed, {} ms for each answer. The first floor is paced as above; the second has \
         twelve pages in flight from the beginning. Both ask again at once for a page that fails.\n\n\
         | shape | complete | wall: product, s | floor, s | ratio | floor with twelve at once, s | ratio | processor: product, s | \
         floor, s | ratio | peak, MiB |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
        grouped(keys),
        PLAIN.latency_ms
    );
    let mut last: Option<(Layout, World)> = None;
    for shape in &SHAPES {
        let (layout, mut world) = match last.take() {
            Some(last) if last.0 == shape.layout => last,
            _ => (shape.layout, settled(keys, shape.layout)?),
        };
        world.tell::<Value>(&Do::Behave(shape.conduct))?;
        let paced = compare(&mut world, PER_CENT, times, AtOnce::Paced)?;
        let twelve = compare(&mut world, PER_CENT, times, AtOnce::Twelve)?;
        let row = row(shape, &paced, &twelve);
        eprintln!("{row}");
        writeln!(text, "{row}")?;
        last = Some((layout, world));
    }
    Ok(text)
}

fn settled(keys: usize, layout: Layout) -> Result<World> {
    let mut world = World::begin(Setup { keys, layout, clock: FastClock::going(1) })?;
    settle(&mut world)?;
    Ok(world)
}

fn row(shape: &Shape, paced: &Compared, twelve: &Compared) -> String {
    // The product's work does not depend on which floor it is compared with.
    let product = [&paced.product[..], &twelve.product[..]].concat();
    let walls = [wall(&product), wall(&paced.floor), wall(&twelve.floor)];
    let cpus = [cpu(&product), cpu(&paced.floor)];
    format!(
        "| {} | {} of {} | {} | {} | **{:.2}** | {} | **{:.2}** | {} | {} | **{:.2}** | {:.1} |",
        shape.name,
        paced.complete() + twelve.complete(),
        product.len(),
        walls[0].told(),
        walls[1].told(),
        walls[0].median / walls[1].median,
        walls[2].told(),
        walls[0].median / walls[2].median,
        cpus[0].told(),
        cpus[1].told(),
        cpus[0].median / cpus[1].median,
        peak(&product).median,
    )
}
