//! The look of the picture: twice as wide as a mail, and on white in dark mode too. Large letters allow a
//! phone to shrink it. Equal scenes give equal bytes. The font lies
//! beside it, since a function has no system fonts.

use std::borrow::Cow;
use std::sync::LazyLock;

use anyhow::{Result, ensure};
use bursar_core::domain::usage::burn::BurnScene;
use bursar_core::domain::values::money::Usd;
use plotters::coord::Shift;
use plotters::prelude::{
    AreaSeries, BitMapBackend, ChartBuilder, Circle, Color, DashedLineSeries, DrawingArea, IntoDrawingArea, IntoFont,
    LineSeries, RGBColor, Text, WHITE,
};
use plotters::style::text_anchor::{HPos, Pos, VPos};
use plotters::style::{FontStyle, ShapeStyle, TextStyle, register_font};

pub(super) const WIDTH: u32 = 1120;
pub(super) const HEIGHT: u32 = 740;

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
/// The height of a line of the head, which says what is drawn: no label lies on a line then.
const ROW: i32 = 60;
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
    let left = 24;
    let right = WIDTH as i32 - RIGHT;
    let top = 3 * ROW + 16;
    let bottom = HEIGHT as i32 - 80;
    let plot = sheet.margin(top, HEIGHT as i32 - bottom, left, WIDTH as i32 - right);
    // Some space above the budget keeps its line inside the plot.
    let highest = scene.top.micros() + scene.top.micros() / 40;
    let mut chart = ChartBuilder::on(&plot).build_cartesian_2d(0..scene.days, 0..highest)?;
    let level = |amount: Usd| [(0, amount.micros()), (scene.days, amount.micros())];
    let line: Vec<(i32, i64)> = scene.line.iter().map(|(day, spent)| (*day, spent.micros())).collect();
    let today = scene.line.last().copied().unwrap_or_default();
    let ahead = if scene.is_short { RED } else { BLUE };

    chart.draw_series(AreaSeries::new(line.clone(), 0, TINT))?;
    for (_, amount) in &scene.levels {
        chart.draw_series(DashedLineSeries::new(level(*amount), 4, 10, wide(RULE, 3)))?;
    }
    chart.draw_series(LineSeries::new(level(scene.limit), wide(INK, 4)))?;
    chart.draw_series(LineSeries::new(level(Usd::ZERO), wide(RULE, 3)))?;
    chart.draw_series(LineSeries::new([(scene.term_ends, 0), (scene.term_ends, highest)], wide(RULE, 3)))?;
    chart.draw_series(LineSeries::new([(today.0, 0), (today.0, today.1.micros())], wide(BLUE, 2)))?;
    if let Some((day, amount, _)) = &scene.ahead {
        let path = [(today.0, today.1.micros()), (*day, amount.micros())];
        chart.draw_series(DashedLineSeries::new(path, 18, 12, wide(ahead, 6)))?;
    }
    chart.draw_series(LineSeries::new(line, wide(BLUE, 7)))?;
    let place = |(day, amount): (i32, Usd)| chart.backend_coord(&(day, amount.micros()));
    sheet.draw(&Circle::new(place(today), 12, BLUE.filled()))?;
    if let Some((day, amount, _)) = &scene.ahead {
        sheet.draw(&Circle::new(place((*day, *amount)), 12, ahead.filled()))?;
    }

    let spent = format!("{} spent by {}", today.1.to_dollars(), scene.today);
    let led_to = scene.ahead.as_ref().map(|(.., words)| words);
    let head = [(INK, Some(&scene.budget)), (BLUE, Some(&spent)), (ahead, led_to)];
    for (row, (color, text)) in (0..).zip(head) {
        let Some(text) = text else { continue };
        let middle = ROW / 2 + row * ROW;
        sheet.draw(&Circle::new((left + 12, middle), 12, color.filled()))?;
        write(sheet, text, color, (left + 40, middle), HPos::Left)?;
    }
    for (threshold, amount) in &scene.levels {
        write(sheet, &format!("{threshold}%"), SOFT, (right + 22, place((0, *amount)).1), HPos::Left)?;
    }
    write(sheet, &scene.first, SOFT, (left, bottom + ROW / 2), HPos::Left)?;
    write(sheet, &scene.last, SOFT, (right, bottom + ROW / 2), HPos::Right)?;
    sheet.present()?;
    Ok(())
}

/// Writes a text at this height, beginning or ending here.
fn write(sheet: &Sheet<'_>, text: &str, color: RGBColor, position: (i32, i32), side: HPos) -> Result<()> {
    let font: TextStyle<'_> = ("inter", LETTERS).into_font().into();
    let style = TextStyle { color: color.to_backend_color(), ..font }.pos(Pos::new(side, VPos::Center));
    sheet.draw(&Text::new(Cow::Borrowed(text), position, style))?;
    Ok(())
}

fn wide(color: RGBColor, width: u32) -> ShapeStyle {
    color.stroke_width(width)
}
