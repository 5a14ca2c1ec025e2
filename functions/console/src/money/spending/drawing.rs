//! An amount over time as an inline SVG, which `parts.html` draws: what a programme spent, or the
//! account's balance.

use bursar_core::domain::usage::burn::BurnScene;
use bursar_core::domain::values::format::Joined;
use bursar_core::domain::values::money::Usd;

/// The width and the height of the drawing in its own units, a tenth of a per cent each.
const SIZE: i64 = 1000;

pub(crate) struct Drawing {
    /// The drawing for those who do not see it.
    pub(crate) words: String,
    pub(crate) is_short: bool,
    /// The points of the amount, and of the same closed to an area at the ground.
    pub(crate) line: String,
    pub(crate) area: String,
    pub(crate) today: (i64, i64),
    pub(crate) term_ends: i64,
    /// The lines of amounts, each with its label.
    pub(crate) budget: (i64, String),
    pub(crate) thresholds: Vec<(i64, String)>,
    /// Where the present pace leads, in words.
    pub(crate) ahead: Option<(i64, i64, String)>,
    pub(crate) first: String,
    pub(crate) until: String,
    pub(crate) last: String,
}

impl Drawing {
    /// The drawing of an amount with this name.
    pub(crate) fn new(scene: BurnScene, words: String, name: &str) -> Drawing {
        // Room above the highest line for its label.
        let highest = scene.top + Usd::from_micros(scene.top.micros() / 8);
        let x_of = |day: i32| i64::from(day) * SIZE / i64::from(scene.days);
        let y_of = |amount: Usd| SIZE - amount.scale(highest, SIZE);
        let line = scene
            .line
            .iter()
            .map(|(day, usd)| format!("{},{}", x_of(*day), y_of(*usd)))
            .joined(" ");
        let today = scene
            .line
            .last()
            .map_or((0, SIZE), |(day, usd)| (x_of(*day), y_of(*usd)));
        let thresholds = scene.levels.iter();
        let thresholds = thresholds.map(|(threshold, amount)| {
            (
                y_of(*amount),
                format!("{threshold}% · {}", amount.to_dollars()),
            )
        });
        let thresholds: Vec<(i64, String)> = thresholds.collect();
        Drawing {
            words,
            is_short: scene.is_short,
            area: format!("0,{SIZE} {line} {},{SIZE}", today.0),
            line,
            today,
            term_ends: x_of(scene.term_ends),
            budget: (y_of(scene.limit), scene.budget),
            thresholds,
            ahead: scene
                .ahead
                .map(|(day, amount, words)| (x_of(day), y_of(amount), words)),
            first: scene.first,
            until: format!("{name} until {}", scene.today),
            last: scene.last,
        }
    }
}
