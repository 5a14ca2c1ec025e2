//! The picture, decoded from its bytes, and its words.

use bursar_core::domain::usage::days::Days;
use bursar_core::domain::usage::forecast::{Forecast, SpendingLimits};
use bursar_core::domain::values::money::Usd;
use bursar_core::domain::values::term::Term;
use jiff::ToSpan;
use jiff::civil::{Date, date};

use super::drawing::{HEIGHT, WIDTH};
use super::*;

const FIRST: Date = date(2026, 10, 12);

struct Drawn {
    picture: Picture,
    pixels: Vec<u8>,
}

fn spent(days: i64, of: impl Fn(i64) -> i64) -> Days {
    let mut spent = Days::default();
    for number in 0..days {
        let day = FIRST.checked_add(number.days()).unwrap();
        spent.add(&Days::on_one(day, Usd::from_micros(of(number) * 1_000_000)));
    }
    spent
}

/// The drawn picture; with `keys_stop_at`, keys stop at that amount before the budget is used up.
fn drawn(spent: &Days, (limit, keys_stop_at): (i32, Option<i32>), looked: Date) -> Drawn {
    let term = Term::new(FIRST, date(2027, 2, 6), "Europe/Berlin").unwrap();
    let limit = Usd::from_dollars(limit);
    let listed_at: bursar_core::clock::Moment = looked.to_zoned(jiff::tz::TimeZone::UTC).unwrap().timestamp().into();
    let limits = SpendingLimits {
        budget: limit,
        keys_stop_at: keys_stop_at.map(Usd::from_dollars),
        lasts: false,
        is_needed: false,
    };
    let forecast = Forecast::new(spent, limits, &term, Some(listed_at), listed_at);
    let burn = Burn { spent, limit, thresholds: &[50, 80, 95, 100], term: &term, looked, forecast: Some(forecast) };
    let picture = Picture::draw(&burn).unwrap();
    let mut reader = png::Decoder::new(std::io::Cursor::new(&picture.png)).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size().unwrap()];
    let info = reader.next_frame(&mut pixels).unwrap();
    assert_eq!((info.width, info.height, info.color_type), (WIDTH, HEIGHT, png::ColorType::Rgb));
    Drawn { picture, pixels }
}

impl Drawn {
    fn at(&self, x: u32, y: u32) -> [u8; 3] {
        let place = ((y * WIDTH + x) * 3) as usize;
        self.pixels[place..place + 3].try_into().unwrap()
    }

    /// The number of pixels of this colour.
    fn count(&self, color: [u8; 3]) -> usize {
        self.pixels.chunks(3).filter(|pixel| *pixel == color).count()
    }
}

const WHITE: [u8; 3] = [0xff; 3];
const TINT: [u8; 3] = [0xdc, 0xe9, 0xf2];
const BLUE: [u8; 3] = [0x1f, 0x5f, 0x8b];
const INK: [u8; 3] = [0x1c, 0x23, 0x30];
const RED: [u8; 3] = [0xb3, 0x26, 0x1e];

fn by(day: i64) -> Date {
    FIRST.checked_add(day.days()).unwrap()
}

/// A budget that will run out is drawn with the day and described in words.
#[test]
fn an_emptying_budget_is_drawn() {
    let spent = spent(39, |day| if day % 7 > 4 { 10 } else { 70 });
    let drawn = drawn(&spent, (4000, None), by(39));
    insta::assert_snapshot!(drawn.picture.words, @"A line from 12 Oct 2026 to 20 Nov 2026: $2,130 spent of the budget of $4,000, 53%.");
    // The corners are paper; the spending is the lower left, the budget's line runs across at the top.
    for (x, y) in [(0, 0), (WIDTH - 1, 0), (0, HEIGHT - 1), (WIDTH - 1, HEIGHT - 1), (700, 400)] {
        assert_eq!(drawn.at(x, y), WHITE, "{x} {y}");
    }
    assert_eq!((drawn.at(200, 600), drawn.at(500, 500)), (TINT, WHITE));
    let budget = (0..HEIGHT).find(|y| drawn.at(900, *y) == INK).unwrap();
    assert!((200..215).contains(&budget), "{budget}");
    assert_eq!([100, 400, 600, 980].map(|x| drawn.at(x, budget + 1)), [INK; 4]);
    // The forecast ends in a red dot on the budget's line, between today and the end of the term.
    let dot: Vec<u32> = (0..WIDTH).filter(|x| drawn.at(*x, budget + 1) == RED).collect();
    assert!(dot.len() > 15 && (600..680).contains(&dot[0]), "{dot:?}");
}

#[test]
fn what_lasts_is_gone_or_is_not_known_has_no_red_in_it() {
    let spent = |days| spent(days, |day| if day % 7 > 4 { 10 } else { 70 });
    for (days, limit) in [(39, (14_000, None)), (39, (2_000, None)), (4, (4_000, None)), (200, (14_000, None))] {
        let drawn = drawn(&spent(days), limit, by(days));
        assert_eq!(drawn.count(RED), 0, "{days} of {limit:?}");
        assert!(drawn.count(BLUE) > 500 && drawn.count(INK) > 1_000 && drawn.count(TINT) > 10, "{days} of {limit:?}");
    }
}

/// As on the page, where keys stop before the term does.
#[test]
fn keys_that_stop_early_are_drawn_in_red() {
    let spent = spent(39, |day| if day % 7 > 4 { 10 } else { 70 });
    assert!(drawn(&spent, (4_000, Some(2_600)), by(39)).count(RED) > 100);
}

#[test]
fn the_same_numbers_are_the_same_bytes_and_few_of_them() {
    let wild = spent(390, |day| (day * 7919 + day * day * 31) % 97);
    let one = drawn(&wild, (25_000, None), by(390)).picture.png;
    assert!(one == drawn(&wild, (25_000, None), by(390)).picture.png);
    assert!(one.len() <= 60_000, "{}", one.len());
}

#[test]
fn nothing_spent_no_budget_and_strange_dates_are_drawn_too() {
    let nothing = Days::default();
    for (limit, looked) in [(0, FIRST), (4_000, FIRST), (4_000, date(2026, 1, 1)), (0, date(2030, 1, 1))] {
        assert!(drawn(&nothing, (limit, None), looked).picture.png.len() > 1_000, "{limit} {looked}");
    }
    let opening = nothing.with(
        bursar_core::domain::usage::days::KeyCounters { lifetime: Usd::MAX, today: None, day: FIRST, window: None },
        None,
    );
    assert!(drawn(&opening, (4_000, None), by(3)).picture.words.contains("which is more"));
}
