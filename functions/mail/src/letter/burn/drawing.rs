//! The look of the picture: twice as wide as a mail, and on white in dark mode too. Large letters allow a
//! phone to shrink it. Equal scenes give equal bytes. The font lies
//! beside it, since a function has no system fonts.

use std::borrow::Cow;
use std::sync::LazyLock;

use anyhow::{Result, ensure};
use bursar_core::domain::usage::burn::BurnScene;
use plotters::coord::Shift;
use plotters::prelude::{
    AreaSeries, BitMapBackend, ChartBuilder, Circle, Color, DashedLineSeries, DrawingArea, IntoDrawingArea, IntoFont,
    LineSeries, PathElement, RGBColor, Rectangle, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, ShapeStyle, TextStyle, register_font};

use crate::prelude::*;

pub(super) const WIDTH: u32 = 1120;
pub(super) const HEIGHT: u32 = 640;

const INK: RGBColor = RGBColor(0x1c, 0x23, 0x30);
const SOFT: RGBColor = RGBColor(0x5a, 0x64, 0x75);
const RULE: RGBColor = RGBColor(0xc3, 0xc9, 0xd3);
const BLUE: RGBColor = RGBColor(0x1f, 0x5f, 0x8b);
const TINT: RGBColor = RGBColor(0xdc, 0xe9, 0xf2);
const RED: RGBColor = RGBColor(0xb3, 0x26, 0x1e);

/// Inter Medium, reduced to ASCII, without hints and features (`pyftsubset --unicodes=U+20-7E
/// --layout-features= --no-hinting`). Its licence lies beside it.
static FONT: LazyLock<bool> = LazyLock::new(|| {
    register_font("inter", FontStyle::Normal, include_bytes!("../../../fonts/inter-ascii.ttf")).is_ok()
});
const LETTERS: i32 = 50;
const AIR: i32 = 6;
/// The margin on the right, in which the thresholds are named.
const RIGHT: i32 = 132;

type Sheet<'a> = DrawingArea<BitMapBackend<'a>, Shift>;

pub(super) fn png(scene: &BurnScene) -> Result<Vec<u8>> {
    ensure!(*FONT, "the font cannot be read");
    let mut pixels = vec![0xff; (WIDTH * HEIGHT * 3) as usize];
    draw(scene, &BitMapBackend::with_buffer(&mut pixels, (WIDTH, HEIGHT)).into_drawing_area())?;
    let mut png = Vec::new();
    let mut encoder = png::Encoder::new(&mut png, WIDTH, HEIGHT);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_compression(png::Compression::High);
    // Flat areas compress better unfiltered than as differences.
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&pixels)?;
    writer.finish()?;
    Ok(png)
}

fn draw(scene: &BurnScene, sheet: &Sheet<'_>) -> Result<()> {
    sheet.fill(&WHITE)?;
    let (left, right, top, bottom) = (24, WIDTH as i32 - RIGHT, 84, HEIGHT as i32 - 80);
    let plot = sheet.margin(top, HEIGHT as i32 - bottom, left, WIDTH as i32 - right);
    // Some space above the budget keeps its line inside the plot.
    let highest = scene.top.micros() + scene.top.micros() / 40;
    let mut chart = ChartBuilder::on(&plot).build_cartesian_2d(0..scene.days, 0..highest)?;
    let place = |chart: &plotters::chart::ChartContext<'_, _, _>, (day, amount): (i32, Usd)| {
        chart.backend_coord(&(day, amount.micros()))
    };
    let level = |amount: Usd| [(0, amount.micros()), (scene.days, amount.micros())];

    let line = || scene.line.iter().map(|(day, spent)| (*day, spent.micros()));
    chart.draw_series(AreaSeries::new(line(), 0, TINT))?;
    let is_shown = |(_, amount): &(u8, Usd)| *amount <= scene.top && *amount != scene.limit;
    let shown: Vec<(u8, Usd)> = scene.thresholds.iter().copied().filter(is_shown).collect();
    for (_, amount) in &shown {
        chart.draw_series(DashedLineSeries::new(level(*amount), 4, 10, wide(RULE, 3)))?;
    }
    chart.draw_series(LineSeries::new(level(scene.limit), wide(INK, 4)))?;
    chart.draw_series(LineSeries::new(level(Usd::ZERO), wide(RULE, 3)))?;
    let today = scene.line.last().copied().unwrap_or_default();
    let ahead = if scene.is_short { RED } else { BLUE };
    if let Some((day, amount)) = scene.ahead {
        let path = [(today.0, today.1.micros()), (day, amount.micros())];
        chart.draw_series(DashedLineSeries::new(path, 18, 12, wide(ahead, 6)))?;
    }
    chart.draw_series(LineSeries::new(line(), wide(BLUE, 7)))?;

    let ground = place(&chart, (0, Usd::ZERO)).1;
    let (budget, end) = (place(&chart, (0, scene.limit)).1, place(&chart, (scene.term_ends, Usd::ZERO)).0);
    let now = place(&chart, today);
    sheet.draw(&PathElement::new([(end, top), (end, ground)], wide(RULE, 3)))?;
    sheet.draw(&PathElement::new([(now.0, now.1), (now.0, ground)], wide(BLUE, 2)))?;
    sheet.draw(&Circle::new(now, 12, BLUE.filled()))?;

    let words = &scene.words;
    let mut lines = Vec::new();
    for (_, amount) in &shown {
        let y = place(&chart, (0, *amount)).1;
        lines.push([left, y - AIR, right, y + AIR]);
    }
    let to = scene.ahead.map_or(now, |end| place(&chart, end));
    // The slanted line, point by point.
    for part in 0..=40 {
        let (x, y) = (now.0 + (to.0 - now.0) * part / 40, now.1 + (to.1 - now.1) * part / 40);
        lines.push([x, y, x, y]);
    }
    let mut said = PlacedTexts { sheet, taken: vec![[left, budget - 3, right, budget + 3]], lines };
    said.put(&words.budget, INK, &[((left, budget - 12), HPos::Left, VPos::Bottom)])?;
    let beside = [
        ((now.0 + 26, now.1 + 16), HPos::Left, VPos::Top),
        ((now.0 + 26, now.1 - 26), HPos::Left, VPos::Bottom),
        ((now.0 - 26, now.1 - 16), HPos::Right, VPos::Bottom),
    ];
    // A low line leaves no room below it, but beside it, on the ground.
    let is_low = now.1 + 78 >= ground;
    let along = (26..200).step_by(8).filter(|_| is_low);
    let along = along.map(|far| ((now.0 + far, ground - 4), HPos::Left, VPos::Bottom));
    said.put(&words.spent, BLUE, &beside.into_iter().skip(usize::from(is_low)).chain(along).collect::<Vec<_>>())?;
    if let (Some(end), Some(text)) = (scene.ahead, &words.ahead) {
        let end = place(&chart, end);
        sheet.draw(&Circle::new(end, 12, ahead.filled()))?;
        let x = end.0.min(right - 2 * AIR - said.width(text)? / 2);
        let below = (16..116).step_by(8);
        let below = below.map(|down| ((end.0.min(right - 2 * AIR), end.1 + down), HPos::Right, VPos::Top));
        let above = std::iter::once(((x, end.1 - 20), HPos::Center, VPos::Bottom));
        said.put(text, ahead, &above.chain(below).collect::<Vec<_>>())?;
    }
    // The label on the budget's own line names it.
    let mut others = shown.clone();
    others.sort_unstable_by(|one, other| other.cmp(one));
    for (threshold, amount) in others {
        let height = place(&chart, (0, amount)).1;
        said.outside(&format!("{threshold}%"), SOFT, ((right + 22, height), HPos::Left, VPos::Center))?;
    }
    let below = ground + 18;
    said.outside(&words.last, SOFT, ((right, below), HPos::Right, VPos::Top))?;
    said.outside(&words.first, SOFT, ((left, below), HPos::Left, VPos::Top))?;
    said.outside(&words.today, BLUE, ((now.0, below), HPos::Center, VPos::Top))?;
    sheet.present()?;
    Ok(())
}

/// A position for a text, and the edges that it anchors.
type Spot = ((i32, i32), HPos, VPos);

/// The texts on the sheet. Where two would overlap, the later one is left out.
struct PlacedTexts<'a, 'b> {
    sheet: &'a Sheet<'b>,
    taken: Vec<[i32; 4]>,
    /// The dashed lines, on which a text lies only where there is no other place for it.
    lines: Vec<[i32; 4]>,
}

fn overlap(one: &[i32; 4], other: &[i32; 4]) -> bool {
    one[0] <= other[2] && other[0] <= one[2] && one[1] <= other[3] && other[1] <= one[3]
}

impl PlacedTexts<'_, '_> {
    /// Writes the text at the first of these spots that is inside the plot and free.
    fn put(&mut self, text: &str, color: RGBColor, spots: &[Spot]) -> Result<()> {
        let mut places: Vec<[i32; 4]> = spots.iter().map(|spot| self.place(text, spot)).collect::<Result<_>>()?;
        places.retain(|place| place[0] >= 0 && place[1] >= 0 && place[2] <= WIDTH as i32 - RIGHT);
        places.sort_by_key(|place| self.lines.iter().any(|line| overlap(place, line)));
        for place in places {
            if self.write(text, color, place)? {
                break;
            }
        }
        Ok(())
    }

    /// Writes the text beside the plot.
    fn outside(&mut self, text: &str, color: RGBColor, spot: Spot) -> Result<()> {
        let place = self.place(text, &spot)?;
        self.write(text, color, place)?;
        Ok(())
    }

    fn write(&mut self, text: &str, color: RGBColor, place: [i32; 4]) -> Result<bool> {
        let [left, top, right, bottom] = place;
        if self.taken.iter().any(|other| overlap(&place, other)) {
            return Ok(false);
        }
        self.taken.push(place);
        self.sheet.draw(&Rectangle::new([(left, top), (right, bottom)], WHITE.mix(0.7).filled()))?;
        self.sheet.draw(&Text::new(Cow::Borrowed(text), (left + AIR, top), style(color)))?;
        Ok(true)
    }

    /// The area that the text covers, with a margin.
    fn place(&self, text: &str, ((x, y), h, v): &Spot) -> Result<[i32; 4]> {
        let (width, height) = (self.width(text)?, LETTERS * 4 / 5);
        let left = match h {
            HPos::Left => *x,
            HPos::Center => x - width / 2,
            HPos::Right => x - width,
        };
        let top = match v {
            VPos::Top => *y,
            VPos::Center => y - height / 2,
            VPos::Bottom => y - height,
        };
        Ok([left - AIR, top, left + width + AIR, top + height])
    }

    fn width(&self, text: &str) -> Result<i32> {
        Ok(i32::try_from(self.sheet.estimate_text_size(text, &style(INK))?.0)?)
    }
}

fn style(color: RGBColor) -> TextStyle<'static> {
    let font: TextStyle<'static> = ("inter", LETTERS).into_font().into();
    TextStyle { color: color.to_backend_color(), ..font }.pos(Pos::new(HPos::Left, VPos::Top))
}

fn wide(color: RGBColor, width: u32) -> ShapeStyle {
    color.stroke_width(width)
}
