//! What a programme has spent over time, as a line in an inline SVG and the same numbers in a table. How it looks is the
//! stylesheet's matter.

use bursar_core::domain::money::Usd;
use bursar_core::store::items::Totals;
use jiff::civil::Date;

use crate::show;

const WIDTH: i64 = 640;
const HEIGHT: i64 = 200;

/// A chart ready to be drawn: points in a box of 640 by 200.
pub(crate) struct Chart {
    pub(crate) line: String,
    /// The line with the ground below it.
    pub(crate) area: String,
    /// Where the pot is, if the box reaches up to it.
    pub(crate) pot_at: Option<i64>,
    pub(crate) top: String,
    pub(crate) first: Date,
    pub(crate) last: Date,
    /// Newest first.
    pub(crate) rows: Vec<Row>,
}

pub(crate) struct Row {
    pub(crate) day: Date,
    pub(crate) on_day: String,
    pub(crate) in_all: String,
}

impl Chart {
    /// None before anything was read.
    pub(crate) fn of(totals: &[Totals], pot: Usd) -> Option<Chart> {
        let (first, last) = (totals.first()?, totals.last()?);
        let most = last.spent.max(Usd::CENT);
        // The pot is drawn once the spending is within sight of it.
        let shows_pot = pot > Usd::ZERO && most.micros() >= pot.micros() / 4;
        let top = if shows_pot { most.max(pot) } else { most };
        let days = i64::from(days(first.day, last.day)).max(1);
        let x = |day: Date| i64::from(self::days(first.day, day)) * WIDTH / days;
        let y = |spent: Usd| HEIGHT - scaled(spent, top);
        // With the first day alone the line runs across, for there is nothing to show a slope with.
        let mut points: Vec<(i64, i64)> = totals.iter().map(|totals| (x(totals.day), y(totals.spent))).collect();
        if let [(_, y)] = points[..] {
            points.push((WIDTH, y));
        }
        let line: Vec<String> = points.iter().map(|(x, y)| format!("{x},{y}")).collect();
        let line = line.join(" ");
        let before = std::iter::once(Usd::ZERO).chain(totals.iter().map(|totals| totals.spent));
        let rows = totals.iter().zip(before).map(|(totals, before)| Row {
            day: totals.day,
            on_day: show::spent((totals.spent - before).or_zero()),
            in_all: show::spent(totals.spent),
        });
        let mut rows: Vec<Row> = rows.collect();
        rows.reverse();
        Some(Chart {
            area: format!("0,{HEIGHT} {line} {WIDTH},{HEIGHT}"),
            line,
            pot_at: shows_pot.then(|| y(pot)),
            top: show::spent(top),
            first: first.day,
            last: last.day,
            rows,
        })
    }
}

fn days(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

fn scaled(amount: Usd, top: Usd) -> i64 {
    let height = i128::from(amount.micros().max(0)) * i128::from(HEIGHT) / i128::from(top.micros().max(1));
    i64::try_from(height).unwrap_or(HEIGHT).min(HEIGHT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn totals(days: &[(&str, i32)]) -> Vec<Totals> {
        let of = |(day, spent): &(&str, i32)| Totals {
            programme: "cs-pilot".parse().unwrap(),
            day: day.parse().unwrap(),
            as_of: "2026-01-03T00:20:00Z".parse().unwrap(),
            spent: Usd::from_dollars(*spent),
            by_group: Default::default(),
            implied: Usd::ZERO,
            grants: 1,
            claimed: 1,
        };
        days.iter().map(of).collect()
    }

    #[test]
    fn the_line_goes_from_the_first_day_to_the_last_and_the_pot_is_drawn_when_it_is_near() {
        let spent = totals(&[("2026-01-01", 0), ("2026-01-02", 25), ("2026-01-05", 50)]);
        let far = Chart::of(&spent, Usd::from_dollars(1_000)).unwrap();
        assert_eq!((far.line.as_str(), far.pot_at), ("0,200 160,100 640,0", None));
        let near = Chart::of(&spent, Usd::from_dollars(100)).unwrap();
        assert_eq!((near.line.as_str(), near.pot_at), ("0,200 160,150 640,100", Some(0)));
        assert_eq!((near.rows[0].on_day.as_str(), near.rows[0].in_all.as_str()), ("$25.00", "$50.00"));
    }

    #[test]
    fn one_day_is_a_level_line_and_no_day_no_chart() {
        assert!(Chart::of(&[], Usd::CENT).is_none());
        let one = Chart::of(&totals(&[("2026-01-01", 5)]), Usd::from_dollars(5)).unwrap();
        assert_eq!(one.line, "0,0 640,0");
    }
}
