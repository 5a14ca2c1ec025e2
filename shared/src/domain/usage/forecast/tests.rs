//! Forecasts compared with spending whose future is known.

use jiff::ToSpan;
use jiff::civil::{Weekday, date};
use proptest::prelude::*;

use super::*;
use crate::domain::usage::days::KeyCounters;
use crate::domain::values::window::utc_midnight;
use crate::tests::values::{a_programme, micros as usd};

/// A Monday, far enough before every end.
const FIRST: Date = date(2026, 3, 2);

fn day(number: i64) -> Date {
    FIRST.checked_add(number.days()).unwrap()
}

fn spent(each: impl IntoIterator<Item = i64>) -> Days {
    let mut days = Days::default();
    for (number, spent) in (0..).zip(each) {
        days.add(&Days::on_one(day(number), usd(spent)));
    }
    days
}

fn term() -> Term {
    Term::new(FIRST, date(2035, 3, 2), "UTC").unwrap()
}

/// A budget that is reserved in full.
fn all_promised(budget: Usd) -> SpendingLimits {
    SpendingLimits {
        budget,
        keys_stop_at: None,
        lasts: false,
        is_needed: false,
    }
}

/// The limits of a budget in dollars, of which so much is reserved, where nobody is without a key.
fn limits(
    budget: i32,
    reserved: i32,
    reset: Reset,
    owns_keys: bool,
    spent: &Days,
) -> SpendingLimits {
    let mut settings = a_programme().settings;
    settings.basis.reset = reset;
    let mut budget = Budget::new(a_programme().id, Usd::from_dollars(budget));
    budget.reserved = Usd::from_dollars(reserved);
    SpendingLimits::new(&budget, &settings, owns_keys, spent, utc_midnight(FIRST))
}

/// The forecast in the night after a day was listed.
fn forecast(spent: &Days, limits: SpendingLimits, term: &Term, looked: Date) -> Forecast {
    let listed_at = format!("{looked}T00:20:00Z").parse().unwrap();
    Forecast::new(spent, limits, term, Some(listed_at), listed_at)
}

/// The forecast with so much left after these days, all of which are over.
fn with_left(each: &[i64], left: i64) -> RunsOut {
    let budget = usd(each.iter().sum::<i64>() + left);
    let looked = day(i64::try_from(each.len()).unwrap());
    forecast(
        &spent(each.iter().copied()),
        all_promised(budget),
        &term(),
        looked,
    )
    .runs_out
}

/// The number of days after the first on which the money is used up.
fn days_until(runs_out: RunsOut) -> i32 {
    let RunsOut::OutOn(out) = runs_out else {
        panic!("{runs_out:?}")
    };
    FIRST.until(out).unwrap().get_days()
}

fn on_weekdays(count: usize) -> Vec<i64> {
    let works = |number: i64| !matches!(day(number).weekday(), Weekday::Saturday | Weekday::Sunday);
    (0..)
        .map(|number| if works(number) { 10 } else { 0 })
        .take(count)
        .collect()
}

#[test]
fn what_was_used_today_is_off_what_today_will_use() {
    let of = |today: i64| {
        let mut days = vec![10; 14];
        days.push(today);
        forecast(&spent(days), all_promised(usd(160)), &term(), day(14)).runs_out
    };
    assert_eq!([of(0), of(4), of(10)], [RunsOut::OutOn(day(15)); 3]);
    assert_eq!(
        of(15),
        RunsOut::OutOn(day(15)),
        "a day that used more than usual uses no more"
    );
    assert_eq!(of(20), RunsOut::Gone);
}

#[test]
fn what_runs_out_when() {
    let idle = [vec![10; 7], vec![0; 28]].concat();
    let lab = vec![0, 100, 2, 2, 0, 0, 0];
    let labs = [&[5][..], &lab[1..]].concat();
    let lines = [
        ("nothing used", vec![], 10),
        ("six days", vec![10; 6], 1000),
        (
            "two days after five without use",
            vec![0, 0, 0, 0, 0, 10, 10],
            1000,
        ),
        ("nothing left", vec![10; 6], 0),
        ("a week", vec![10; 7], 1_000_000),
        ("in a break, from its end on", idle[..34].to_vec(), 70),
        ("four idle weeks", idle, 1),
        ("one week with a lab", labs.clone(), 100),
        (
            "two of them, and two Tuesdays to come",
            [labs, lab].concat(),
            200,
        ),
        ("a pace that grew", [[10; 14], [30; 14]].concat(), 300),
        ("a pace that fell", [[30; 14], [10; 14]].concat(), 300),
    ]
    .map(|(words, each, left)| format!("{words}: {:?}", with_left(&each, left)));
    insta::assert_snapshot!(lines.join("\n"), @"
    nothing used: TooLittleData
    six days: TooLittleData
    two days after five without use: TooLittleData
    nothing left: Gone
    a week: NotBeforeTheTermEnds
    in a break, from its end on: OutOn(2026-04-11)
    four idle weeks: Idle
    one week with a lab: TooLittleData
    two of them, and two Tuesdays to come: OutOn(2026-03-24)
    a pace that grew: OutOn(2026-04-08)
    a pace that fell: OutOn(2026-04-13)
    ");
}

#[test]
fn beyond_the_term_nothing_runs_out() {
    let unseen = Forecast::new(
        &spent([10; 14]),
        all_promised(usd(1000)),
        &term(),
        None,
        Moment::UNIX_EPOCH,
    );
    assert_eq!(
        (unseen.runs_out, unseen.pace),
        (RunsOut::TooLittleData, None)
    );
    let short = Term::new(FIRST, day(20), "UTC").unwrap();
    let told = [(70, 14), (71, 14), (860, 21)].map(|(left, looked)| {
        forecast(
            &spent([10; 14]),
            all_promised(usd(140 + left)),
            &short,
            day(looked),
        )
        .runs_out
    });
    let beyond = RunsOut::NotBeforeTheTermEnds;
    assert_eq!(told, [RunsOut::OutOn(day(20)), beyond, beyond]);
}

/// Use before the term begins says nothing of the pace within it.
#[test]
fn earlier_use_is_ignored() {
    let later = Term::new(day(30), day(90), "UTC").unwrap();
    let of = |count: usize, looked| {
        forecast(
            &spent(vec![10; count]),
            all_promised(usd(10_000)),
            &later,
            day(looked),
        )
        .runs_out
    };
    assert_eq!(
        [of(14, 14), of(30, 30), of(36, 36)],
        [RunsOut::TooLittleData; 3]
    );
    assert_eq!(of(37, 37), RunsOut::NotBeforeTheTermEnds);
}

#[test]
fn a_course_on_weekdays_is_not_extrapolated_from_its_friday() {
    for length in 19..40 {
        let days = on_weekdays(length);
        let left = 100;
        let RunsOut::OutOn(out) = with_left(&days, left) else {
            panic!("{length}")
        };
        // Ten days of work, from the first that is not over.
        let truth = (i64::try_from(length).unwrap()..)
            .filter(|number| on_weekdays(60)[*number as usize] > 0)
            .nth(9);
        assert_eq!(Some(out), truth.map(day), "looked at after {length} days");
    }
}

#[test]
fn missed_nights_are_spread_over_their_days() {
    let lifetime = usd(150);
    let today = Some(usd(10));
    let missed = spent([10; 10]).with(
        KeyCounters {
            lifetime,
            today,
            day: day(14),
            window: None,
        },
        Some(day(9)),
    );
    assert_eq!(
        missed.on(day(13)),
        usd(40),
        "the sum is known and lies on its last day"
    );
    assert_eq!(
        missed.evenly().into_values().collect::<Vec<_>>(),
        vec![usd(10); 15]
    );
    let of = |days: &Days| forecast(days, all_promised(usd(1000)), &term(), day(14)).runs_out;
    assert_eq!(of(&missed), of(&spent([10; 14])));
}

/// Live keys cannot spend more than is reserved, and the forecast names the limit that is reached
/// first.
#[test]
fn keys_stop_at_what_is_reserved() {
    // Three hundred a week since three weeks, of four thousand; the keys that are out may spend a
    // thousand.
    let spent = spent(
        [[50_000_000; 6].as_slice(), &[0]]
            .concat()
            .into_iter()
            .cycle()
            .take(21),
    );
    let of = |reserved: Option<i32>| {
        let limits = limits(
            4000,
            reserved.unwrap_or(900),
            Reset::None,
            reserved.is_none(),
            &spent,
        );
        forecast(&spent, limits, &term(), day(21))
    };
    // Of keys made elsewhere nobody knows, and a counter that is behind says nothing: a hundred
    // dollars are two days of work.
    let lines = [None, Some(899), Some(900), Some(1000), Some(4000)].map(|reserved| {
        let forecast = of(reserved);
        format!(
            "{reserved:?}: {:?}, {}",
            forecast.runs_out,
            forecast.to_words(&term())
        )
    });
    insta::assert_snapshot!(lines.join("\n"), @"
    None: OutOn(2026-06-02), At $300 a week, the budget will be used up around 2 Jun, 107 months before the term ends.
    Some(899): OutOn(2026-06-02), At $300 a week, the budget will be used up around 2 Jun, 107 months before the term ends.
    Some(900): KeysStopped, The students who have keys have used up their caps. The budget of $4,000 is not used up.
    Some(1000): KeysStopOn(2026-03-24), At $300 a week, most students will have used up their caps around 24 Mar, 109 months before the term ends.
    Some(4000): OutOn(2026-06-02), At $300 a week, the budget will be used up around 2 Jun, 107 months before the term ends.
    ");
    let fresh = forecast(
        &Days::default(),
        SpendingLimits {
            budget: usd(10),
            keys_stop_at: Some(usd(0)),
            lasts: false,
            is_needed: false,
        },
        &term(),
        day(3),
    );
    assert_eq!(fresh.runs_out, RunsOut::TooLittleData);
    // Where all that is free is for students without a key, a larger cap of one would take
    // another's.
    let mut needed = of(Some(1000));
    needed.limits.is_needed = true;
    let to_do = [Role::Admin, Role::Faculty, Role::Assistant]
        .map(|reader| needed.to_do(reader, true).unwrap());
    insta::assert_snapshot!(to_do.join("\n"), @"
    What is free is needed for students without a key. Raise the budget in the settings. The caps of those who need more can be raised after that.
    What is free is needed for students without a key. Ask the admins for a larger budget in the settings. The caps of those who need more can be raised after that.
    What is free is needed for students without a key. Faculty can ask the admins for more. The caps of those who need more can be raised after that.
    ");
}

#[test]
fn how_long_before_the_end_is_said_as_people_say_it() {
    let term = Term::new(date(2026, 10, 1), date(2027, 3, 2), "Europe/Berlin").unwrap();
    let days = [
        (2026, 10, 9),
        (2026, 12, 29),
        (2027, 1, 1),
        (2027, 1, 6),
        (2027, 2, 20),
        (2027, 3, 1),
        (2027, 3, 2),
    ];
    let words = days.map(|(year, month, day)| long_before(date(year, month, day), &term));
    insta::assert_snapshot!(words.join("\n"), @"
    9 Oct, five months before the term ends
    29 Dec, two months before the term ends
    1 Jan, two months before the term ends
    6 Jan, seven weeks before the term ends
    20 Feb, ten days before the term ends
    1 Mar, a day before the term ends
    2 Mar, the last day of the term
    ");
    // A subject tells of more than two weeks.
    let limits = SpendingLimits {
        budget: usd(400),
        keys_stop_at: None,
        lasts: false,
        is_needed: false,
    };
    let is_news = |day| {
        Forecast {
            runs_out: RunsOut::OutOn(day),
            limits,
            looked: None,
            pace: None,
        }
        .shorten_outlook(&term)
    };
    assert!(is_news(date(2027, 2, 15)).is_some() && is_news(date(2027, 2, 16)).is_none());
}

/// $150, $21 a week, and four weeks without use; in truth the rest of $85 lasts for four weeks
/// more.
#[test]
fn after_a_break_the_pace_is_as_before() {
    let weeks = |count: usize| [vec![3; 21], vec![0; 28], vec![3; 7 * count]].concat();
    let of = |count| {
        days_until(with_left(
            &weeks(count),
            85 - 21 * i64::try_from(count).unwrap(),
        ))
    };
    assert_eq!([1, 2, 3].map(of), [49 + 28; 3]);
    let resumed = [weeks(0), vec![3]].concat();
    assert_eq!(
        days_until(with_left(&resumed, 82)),
        49 + 28,
        "on the first day after it"
    );
    let words = |last: &[i64]| {
        let each = [&[3; 21], &[0; 10][..], last].concat();
        let looked = day(i64::try_from(each.len()).unwrap());
        forecast(&spent(each), all_promised(usd(9_000)), &term(), looked).to_words(&term())
    };
    assert_eq!(
        [&[][..], &[3]].map(|last| words(last).contains(" a week, as before the break, ")),
        [true, false]
    );
    // What stands alone between two idle weeks is a week, each other week as each month.
    for apart in [14, 28] {
        let alone = spent((0..140).map(|number| if number % apart == 0 { 10 } else { 0 }));
        assert_eq!(
            SpendingPace::measure(&alone, Date::MIN, day(140))
                .unwrap()
                .per_week(),
            usd(10)
        );
    }
}

/// Two keys of $10 a month each, in a term of four months with a budget of $80; and what three keys
/// of $12 a month used by 20 December.
#[test]
fn with_a_reset_nothing_ends_before_the_term() {
    let spent = spent([2_000_000; 20]);
    let of = |reset, owns_keys, reserved| {
        forecast(
            &spent,
            limits(80, reserved, reset, owns_keys, &spent),
            &term(),
            day(20),
        )
        .runs_out
    };
    // A key made elsewhere has no cap, and of a hundred dollars more is promised than there is.
    let lines = [
        (Reset::Monthly, false, 60),
        (Reset::Monthly, false, 80),
        (Reset::Monthly, true, 60),
        (Reset::Monthly, true, 80),
        (Reset::Monthly, false, 100),
        (Reset::None, false, 60),
    ]
    .map(|(reset, owns_keys, reserved)| {
        format!(
            "{reset:?} {owns_keys} {reserved}: {:?}",
            of(reset, owns_keys, reserved)
        )
    });
    insta::assert_snapshot!(lines.join("\n"), @"
    Monthly false 60: NotBeforeTheTermEnds
    Monthly false 80: NotBeforeTheTermEnds
    Monthly true 60: OutOn(2026-04-10)
    Monthly true 80: OutOn(2026-04-10)
    Monthly false 100: OutOn(2026-04-10)
    None false 60: KeysStopOn(2026-03-31)
    ");
}

#[test]
fn a_day_that_is_past_is_never_named() {
    let spent = spent(vec![10_000_000; 14]);
    let of = |keys: Option<i64>, now: i64| {
        let limits = SpendingLimits {
            budget: usd(200_000_000),
            keys_stop_at: keys.map(usd),
            lasts: false,
            is_needed: false,
        };
        let at = |number: i64| Some(format!("{}T00:20:00Z", day(number)).parse().unwrap());
        Forecast::new(&spent, limits, &term(), at(14), at(now).unwrap())
    };
    // Sixty dollars are left, which is six days; and in the other case two.
    let keys = Some(160_000_000);
    let lines = [(None, 14), (None, 19), (None, 20), (keys, 15), (keys, 16)].map(|(keys, now)| {
        let forecast = of(keys, now);
        format!(
            "{:?}, short: {}, {}",
            forecast.runs_out,
            forecast.is_short(),
            forecast.to_words(&term())
        )
    });
    insta::assert_snapshot!(lines.join("\n"), @"
    OutOn(2026-03-21), short: true, At $70 a week, the budget will be used up around 21 Mar, 109 months before the term ends.
    OutOn(2026-03-21), short: true, At $70 a week, the budget will be used up around 21 Mar, 109 months before the term ends.
    PerhapsByNow, short: true, At $70 a week, there may be nothing left to spend by now. What was spent since 16 Mar 2026 is not known.
    KeysStopOn(2026-03-17), short: true, At $70 a week, most students will have used up their caps around 17 Mar, 109 months before the term ends.
    PerhapsByNow, short: true, At $70 a week, there may be nothing left to spend by now. What was spent since 16 Mar 2026 is not known.
    ");
}

/// A person stands out who uses far more than is usual for them and for the class.
#[test]
fn unusual_use_stands_out() {
    let dollars = |each: [i64; 4]| {
        let mut days = Days::default();
        for (week, spent) in (0..).zip(each) {
            days.add(&Days::on_one(day(week * 7 + 3), usd(spent * 100_000)));
        }
        days
    };
    let class = [
        [10, 12, 9, 11],
        [5, 0, 6, 4],
        [80, 90, 85, 400],
        [0, 0, 0, 0],
        [9, 9, 9, 90],
        [2, 0, 0, 9],
    ]
    .map(dollars);
    let looked = day(28);
    let shown = |number: i64| Some(utc_midnight(day(number)));
    let weeks = |days: &Days| Weeks::sum(days, shown(-1), looked);
    let usual = usual_week(&class.each_ref().map(weeks));
    assert_eq!(usual, usd(900_000));
    let out: Vec<_> = class
        .iter()
        .map(|own| weeks(own).stands_out(usual))
        .collect();
    let named = Some(usd(9_000_000));
    assert_eq!(out, [None, None, Some(usd(40_000_000)), None, named, None]);
    // A person who always uses much does what is usual for them, and in a first week nothing is.
    assert_eq!(weeks(&dollars([80, 80, 80, 90])).stands_out(usual), None);
    // A key that was shown long ago and not used is compared with the class.
    let idle = dollars([0, 0, 0, 90]);
    let first = Weeks::sum(&idle, shown(21), looked);
    assert_eq!(
        [first, weeks(&idle)].map(|weeks| weeks.stands_out(usual)),
        [None, named]
    );
    assert!(weeks(&class[3]).are_idle() && !first.are_idle());
    // A small amount does not stand out, however little is usual.
    assert_eq!(weeks(&dollars([1, 0, 0, 9])).stands_out(Usd::ZERO), None);
    // The day that is not over counts for nothing.
    assert_eq!(
        Weeks::sum(&class[4], shown(-1), day(24)).stands_out(usual),
        None
    );
}

proptest! {
    /// One day of a hundred times the usual use moves the forecast date by a few days at most.
    #[test]
    fn one_odd_day_moves_little(
        each in prop::collection::vec(80_i64..120, 14..45), odd in 0_usize..45, left in 1_i64..6_000,
    ) {
        let usual = with_left(&each, left);
        let mut bent = each.clone();
        let odd = odd % each.len();
        bent[odd] *= 100;
        // An equal amount is left; what the odd day itself took is gone, and no forecast can bring
        // it back.
        let moved = (days_until(with_left(&bent, left)) - days_until(usual)).abs();
        prop_assert!(moved <= 3, "{moved} days");
    }

    /// More money never brings the date nearer, and a change of currency never moves it.
    #[test]
    fn more_money_never_ends_sooner(
        each in prop::collection::vec(0_i64..1_000, 0..45), left in 0_i64..20_000, more in 0_i64..9_000, factor in 1_i64..10_000,
    ) {
        let rank = |runs_out| match runs_out {
            RunsOut::Gone => (0, Date::MIN),
            RunsOut::OutOn(day) => (1, day),
            RunsOut::NotBeforeTheTermEnds => (2, Date::MIN),
            RunsOut::TooLittleData => (3, Date::MIN),
            other => panic!("all is promised, and everybody has just looked: {other:?}"),
        };
        let now = with_left(&each, left);
        prop_assert!(rank(now) <= rank(with_left(&each, left + more)));
        let larger: Vec<i64> = each.iter().map(|spent| spent * factor).collect();
        prop_assert_eq!(with_left(&larger, left * factor), now);
    }
}
