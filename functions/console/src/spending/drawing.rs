//! An amount over time as an inline SVG, which `parts.html` draws: what a programme spent, or the account's balance.

use bursar_core::domain::usage::burn::BurnScene;

use super::bar::scaled;
use crate::prelude::*;

/// The width and the height of the drawing in its own units, a tenth of a per cent each.
const SIZE: i64 = 1000;
/// The least distance of two labels at the lines of amounts.
const APART: i64 = 80;

pub(crate) struct Drawing {
    /// The drawing for those who do not see it.
    pub(crate) words: String,
    pub(crate) is_short: bool,
    /// The points of the amount, and of the same closed to an area at the ground.
    pub(crate) line: String,
    pub(crate) area: String,
    pub(crate) today: (i64, i64),
    pub(crate) term_ends: i64,
    pub(crate) budget_at: i64,
    pub(crate) thresholds: Vec<i64>,
    /// The labels of amounts, each above its line.
    pub(crate) levels: Vec<(i64, String)>,
    /// Where the present pace leads, in words.
    pub(crate) ahead: Option<(i64, i64, String)>,
    pub(crate) first: String,
    pub(crate) until: String,
    pub(crate) last: String,
}

impl Drawing {
    /// The drawing of an amount with this name.
    pub(crate) fn of(scene: &BurnScene, words: String, name: &str) -> Drawing {
        // Room above the highest line for its label.
        let highest = scene.top + Usd::from_micros(scene.top.micros() / 8);
        let x = |day: i32| i64::from(day) * SIZE / i64::from(scene.days);
        let y = |amount: Usd| SIZE - scaled(amount, highest, SIZE);
        let points: Vec<String> = scene.line.iter().map(|(day, usd)| format!("{},{}", x(*day), y(*usd))).collect();
        let line = points.join(" ");
        let (day, by_now) = scene.line.last().copied().unwrap_or_default();
        let today = (x(day), y(by_now));
        let mut shown: Vec<(u8, Usd)> = scene.thresholds.clone();
        shown.retain(|(_, amount)| *amount <= scene.top && *amount != scene.limit);
        shown.sort_unstable_by_key(|(_, amount)| std::cmp::Reverse(*amount));
        let mut levels = vec![(y(scene.limit), scene.words.budget.clone())];
        for (threshold, amount) in &shown {
            let height = y(*amount);
            if levels.iter().all(|(other, _)| (other - height).abs() >= APART) {
                levels.push((height, format!("{threshold}% · {}", amount.to_dollars())));
            }
        }
        let ahead = scene.ahead.zip(scene.words.ahead.clone());
        Drawing {
            words,
            is_short: scene.is_short,
            area: format!("0,{SIZE} {line} {},{SIZE}", today.0),
            line,
            today,
            term_ends: x(scene.term_ends),
            budget_at: y(scene.limit),
            // A line that nothing names says nothing.
            thresholds: levels.iter().skip(1).map(|(height, _)| *height).collect(),
            levels,
            ahead: ahead.map(|((day, amount), words)| (x(day), y(amount), words)),
            first: scene.words.first.clone(),
            until: format!("{name} until {}", scene.words.today),
            last: scene.words.last.clone(),
        }
    }
}
