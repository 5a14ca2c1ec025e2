//! The account's credit: what to buy and by when, the need that the balance must cover soon, and when the admins hear of
//! it: when credit must be bought, when the day for that comes a week nearer, when the balance falls short of the need, and
//! when the shortfall grows by a tenth. The functions provide the numbers and the recipients.

use jiff::Span;

use crate::domain::usage::days::Accuracy;
use crate::domain::usage::forecast::SpendingPace;
use crate::domain::values::format::long_date;
use crate::domain::values::window::days_between;
use crate::prelude::*;

pub const PACE_DAYS: u32 = 28;
/// How many days before the balance is gone a purchase must begin.
pub const DAYS_TO_BUY: u32 = 30;
/// The unit in which credit is bought.
const UNIT: Usd = Usd::from_dollars(100);
/// The least number of days by which a day for buying that comes nearer is told again.
const NEARER_TOLD: i32 = 7;
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;
/// The least seconds of which a pace is made.
const SHORTEST_PACE: i64 = 60 * 60;
/// How far ahead is reckoned at most, since a cost centre may be open for ten years.
const MOST_AHEAD: u32 = 365;

/// The facts that credit is reckoned from.
#[derive(Debug, Clone)]
pub struct CreditFacts {
    /// What all programmes can still cost: reserved, less spent.
    pub to_come: Usd,
    /// The use of the keys of grants, and of foreign keys.
    pub ours: Days,
    pub foreign: Days,
    pub listed_at: Option<Moment>,
    /// What is left of the balance, and when that was read.
    pub balance: Option<(Usd, Moment)>,
    /// What a day uses at the pace since the last sync, as far as keys can go on like that.
    pub a_day: Usd,
    /// The end of the last programme that is not over.
    pub ends_at: Option<Moment>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purchase {
    /// The amount to buy; zero if the balance is enough.
    pub amount: Usd,
    pub balance: Usd,
    pub to_come: Usd,
    /// The last day that is reckoned with: the end of the last programme, at most a year ahead.
    pub until: Option<Date>,
    /// The use of foreign keys in the last 28 days, and what they use until that day if they go on like that.
    pub foreign: Usd,
    pub foreign_to_come: Usd,
    /// The use of all keys in the last 28 days.
    pub pace: Usd,
    /// Whether some of these days lie before the first sync, so that the pace may be larger.
    pub is_partial: bool,
    /// The day on which the balance is gone at this pace; `None` if it lasts longer than is reckoned.
    pub gone_on: Option<Date>,
    /// The day by which the purchase must begin.
    pub buy_by: Option<Date>,
}

impl CreditFacts {
    /// Takes in what the account spent since the last sync, so long ago. It is taken for a part of what is to come, as far as that goes: the
    /// next sync knows whose it was. What goes beyond it certainly was used by keys that nothing here bounds.
    #[must_use]
    pub fn with_spent_since(mut self, spent: Usd, ago: SignedDuration) -> CreditFacts {
        let a_day = parts_of(spent, SECONDS_OF_A_DAY, ago.as_secs().max(SHORTEST_PACE));
        let is_ours = spent <= self.to_come;
        self.to_come = (self.to_come - spent).or_zero();
        self.a_day = if is_ours { a_day.min(self.to_come) } else { a_day };
        self
    }

    pub fn purchase(&self, balance: Usd) -> Purchase {
        let looked = self.listed_at.map(utc_date);
        let completed = looked.and_then(|looked| Some((before(looked, PACE_DAYS)?, looked.yesterday().ok()?)));
        let used = |days: &Days| completed.map(|(from, to)| days.between(from, to, Some(to)));
        let spent = |days: &Days| used(days).map_or(Usd::ZERO, |sum| sum.spent);
        let is_partial =
            [&self.ours, &self.foreign].map(used).iter().flatten().any(|sum| sum.known == Accuracy::Partly);
        let foreign = spent(&self.foreign);
        let pace = spent(&self.ours) + foreign;
        let days_left = self.days_left();
        let ends_on = looked.map(|looked| looked.saturating_add(i64::from(days_left).days()));
        let foreign_to_come = parts_of(foreign, i64::from(days_left), i64::from(PACE_DAYS));
        let gone_on = looked.and_then(|looked| gone_on(balance, pace, looked)).filter(|gone| Some(*gone) <= ends_on);
        Purchase {
            amount: rounded_up((self.to_come + foreign_to_come - balance).or_zero()),
            balance,
            to_come: self.to_come,
            until: ends_on.and_then(|day| day.yesterday().ok()),
            foreign,
            foreign_to_come,
            pace,
            is_partial,
            gone_on,
            buy_by: gone_on.and_then(|day| before(day, DAYS_TO_BUY)),
        }
    }

    /// The days from the last listing to the end of the last programme, and a year at most.
    fn days_left(&self) -> u32 {
        let left = self.listed_at.zip(self.ends_at).map_or(0, |(at, end)| days_between(utc_date(at), utc_date(end)));
        u32::try_from(left).unwrap_or(0).min(MOST_AHEAD)
    }

    /// The need of the account. Keys made here use no more than is promised to them, whatever their pace;
    /// foreign keys live on the same balance.
    pub fn need(&self) -> BalanceNeed {
        let need = self.need_by_days();
        if need.amount < self.a_day { BalanceNeed { amount: self.a_day, basis: Basis::Today } } else { need }
    }

    fn need_by_days(&self) -> BalanceNeed {
        let two_weeks = |days: &Days| {
            let pace = self.listed_at.and_then(|at| SpendingPace::of(days, Date::MIN, utc_date(at)));
            pace.map(|pace| pace.in_days(DAYS_AHEAD))
        };
        match two_weeks(&self.ours) {
            Some(soon) => {
                let foreign = two_weeks(&self.foreign).unwrap_or_default();
                BalanceNeed { amount: soon.min(self.to_come) + foreign, basis: Basis::TwoWeeks }
            }
            None => BalanceNeed { amount: self.to_come, basis: Basis::Promised },
        }
    }
}

impl Purchase {
    pub fn is_due(&self) -> bool {
        self.amount > Usd::ZERO
    }

    /// What is left, how long that is enough, and what to buy, in one sentence.
    pub fn in_words(&self) -> String {
        let enough = match (self.gone_on, self.until) {
            (Some(day), _) => format!("enough until {} at this pace", long_date(day)),
            (None, _) if self.pace == Usd::ZERO => "no key used anything in the last 28 days".to_owned(),
            (None, Some(until)) => format!("enough beyond {} at this pace", long_date(until)),
            (None, None) => "enough at this pace".to_owned(),
        };
        let buy = match self.buy_by {
            _ if !self.is_due() => "nothing to buy".to_owned(),
            Some(day) => format!("buy {} by {}", self.amount.to_dollars_up(), long_date(day)),
            None => format!("buy {}", self.amount.to_dollars_up()),
        };
        format!("{} left; {enough}; {buy}.", self.balance.to_dollars_down())
    }
}

fn gone_on(balance: Usd, pace: Usd, looked: Date) -> Option<Date> {
    if pace <= Usd::ZERO {
        return None;
    }
    let days = i128::from(balance.or_zero().micros()) * i128::from(PACE_DAYS) / i128::from(pace.micros());
    // A day beyond the calendar is no day to act on.
    looked.checked_add(Span::new().try_days(i64::try_from(days).ok()?).ok()?).ok()
}

fn before(day: Date, days: u32) -> Option<Date> {
    day.checked_sub(Span::new().try_days(days).ok()?).ok()
}

/// So many parts of an amount, of `all`, rounded up to the micro-dollar.
fn parts_of(amount: Usd, parts: i64, all: i64) -> Usd {
    let micros = (i128::from(amount.micros()) * i128::from(parts) + i128::from(all) - 1).div_euclid(i128::from(all));
    Usd::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).min(Usd::MAX)
}

fn rounded_up(amount: Usd) -> Usd {
    Usd::from_micros(amount.micros().div_euclid(UNIT.micros()) * UNIT.micros())
        + if amount.micros().rem_euclid(UNIT.micros()) > 0 { UNIT } else { Usd::ZERO }
}

/// The days that the balance must last. Credit can be bought at any time, so no more need be there at once.
const DAYS_AHEAD: u32 = 14;
/// The least time between two reports that only new promises caused, since promises grow all the time while
/// keys are claimed.
const BETWEEN_PROMISES: SignedDuration = SignedDuration::from_hours(24);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceNeed {
    pub amount: Usd,
    pub basis: Basis,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Two weeks at the pace of the last weeks.
    TwoWeeks,
    /// All that is promised and not spent yet, since no pace is known.
    Promised,
    /// A day at the pace since the last sync, which is faster than the last weeks.
    Today,
}

/// What the admins were last told of the balance, until it is over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceNotice {
    pub alerted_at: Moment,
    pub need: BalanceNeed,
    pub purchase: Purchase,
    /// Whether the balance fell short of the need, and still does.
    pub is_short: bool,
    pub is_over: bool,
    pub version: u64,
}

stored! {
    BalanceNotice |_| () => key(ACCOUNT, "BALANCE-NOTICE")
}

impl BalanceNeed {
    /// The amount by which a balance falls short, if it does.
    pub fn beyond(&self, balance: Usd) -> Option<Usd> {
        Some(self.amount - balance).filter(|short| *short > Usd::ZERO)
    }
}

impl BalanceNotice {
    /// The new record of what the admins are told, or `None` if the known one stands. A record with a time of
    /// its own is reported when it is written.
    pub fn after(
        known: Option<&BalanceNotice>,
        need: BalanceNeed,
        purchase: Purchase,
        now: Moment,
    ) -> Option<BalanceNotice> {
        let version = known.map_or(0, |known| known.version) + 1;
        let short = need.beyond(purchase.balance);
        let is_due = purchase.is_due() || short.is_some();
        let fresh =
            BalanceNotice { alerted_at: now, need, purchase, is_short: short.is_some(), is_over: false, version };
        let Some(told) = known.filter(|known| !known.is_over) else { return is_due.then_some(fresh) };
        if !is_due {
            return Some(BalanceNotice { is_short: false, is_over: true, version, ..told.clone() });
        }
        let is_first = purchase.is_due() && !told.purchase.is_due();
        let has_grown = told.alerted_at + BETWEEN_PROMISES <= now
            && purchase.amount >= told.purchase.amount + UNIT
            && purchase.amount.times(10) >= told.purchase.amount.times(11);
        let is_sooner = purchase.is_due() && told.is_overtaken_by(purchase.buy_by, utc_date(now));
        let is_shorter = short.is_some_and(|short| !told.is_short || told.is_worse(short, purchase.balance, now));
        match (told.is_short, short) {
            _ if is_first || is_sooner || is_shorter || has_grown => Some(fresh),
            // The next shortfall is told afresh.
            (true, None) => Some(BalanceNotice { is_short: false, version, ..told.clone() }),
            _ => None,
        }
    }

    /// Whether a day for buying is news: it can be named at last, it is a week nearer than the one that was told, or it has
    /// come though a sooner one was told and passed. Only what was told is compared with, since the day moves away in each
    /// break and back after it.
    fn is_overtaken_by(&self, buy_by: Option<Date>, today: Date) -> bool {
        let Some(buy_by) = buy_by else { return false };
        let Some(told) = self.purchase.buy_by else { return true };
        let told_last = told.max(utc_date(self.alerted_at));
        let has_come = buy_by <= today && days_between(told_last, buy_by) >= NEARER_TOLD;
        days_between(buy_by, told) >= NEARER_TOLD || has_come
    }

    /// Whether a shortfall has grown by a tenth since it was told. A growth through promises alone counts once a day.
    fn is_worse(&self, short: Usd, balance: Usd, now: Moment) -> bool {
        let was = self.need.amount - self.purchase.balance;
        let is_worse = short.times(10) >= was.times(11);
        is_worse && (balance < self.purchase.balance || self.alerted_at + BETWEEN_PROMISES <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::testing::dollars as usd;
    use crate::domain::usage::days::KeyCounters;
    use crate::domain::values::window::utc_midnight;

    const MONDAY: Date = Date::constant(2026, 11, 16);

    fn at(hour: i64) -> Moment {
        Moment::from_second(hour * 3600).unwrap()
    }

    fn day(ago: i64) -> Date {
        MONDAY.checked_sub(ago.days()).unwrap()
    }

    /// Equal spending on each of the last days before the Monday.
    fn steadily(days: i64, dollars: i32) -> Days {
        let mut spent = Days::default();
        (1..=days).for_each(|ago| spent.add(&Days::on_one(day(ago), usd(dollars))));
        spent
    }

    #[test]
    fn where_a_pace_is_known_two_weeks_of_it_are_needed_and_never_more_than_is_promised() {
        let of = |ours: &Days, foreign: &Days, promised| {
            let need = facts(promised, ours, foreign, 70).need();
            (need.amount, need.basis)
        };
        let nothing = Days::default();
        assert_eq!(of(&steadily(28, 10), &nothing, 4000), (usd(140), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &nothing, 100), (usd(100), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &steadily(28, 1), 100), (usd(114), Basis::TwoWeeks));
        let promised = (usd(4000), Basis::Promised);
        assert_eq!(of(&steadily(3, 10), &nothing, 4000), promised, "so few days are no pace");
        let idle = Days::on_one(day(60), usd(10));
        assert_eq!(of(&idle, &nothing, 4000), (usd(0), Basis::TwoWeeks), "a break needs nothing");
        assert_eq!(of(&idle, &steadily(28, 1), 4000), (usd(14), Basis::TwoWeeks));
        let unlisted = CreditFacts { listed_at: None, ..facts(4000, &steadily(28, 10), &nothing, 70) };
        assert_eq!(unlisted.need().basis, Basis::Promised);
    }

    #[test]
    fn one_sentence_says_how_long_the_balance_is_enough() {
        let nothing = Days::default();
        let said = |ours: &Days, balance| facts(500, ours, &nothing, 70).purchase(usd(balance)).in_words();
        assert_eq!(said(&nothing, 1374), "$1,374 left; no key used anything in the last 28 days; nothing to buy.");
        assert_eq!(
            said(&steadily(28, 10), 1374),
            "$1,374 left; enough beyond 24 Jan 2027 at this pace; nothing to buy."
        );
        assert_eq!(
            said(&steadily(28, 10), 400),
            "$400 left; enough until 26 Dec 2026 at this pace; buy $100 by 26 Nov 2026."
        );
    }

    /// A purchase of what is missing to an amount, by a day so many days ahead.
    fn purchase(balance: i32, to_come: i32, ahead: Option<i64>) -> Purchase {
        let nothing = Days::default();
        let buy_by = ahead.map(|days| day(-days));
        Purchase { buy_by, ..facts(to_come, &nothing, &nothing, 0).purchase(usd(balance)) }
    }

    /// What the admins hear of one look an hour, each at a need and a purchase: the hour, and whether it is a shortfall.
    fn told(looks: impl IntoIterator<Item = (i32, Purchase)>) -> Vec<(i64, bool)> {
        let (mut known, mut told): (Option<BalanceNotice>, _) = (None, Vec::new());
        for (hour, (need, purchase)) in (1..).zip(looks) {
            let need = BalanceNeed { amount: usd(need), basis: Basis::TwoWeeks };
            let Some(next) = BalanceNotice::after(known.as_ref(), need, purchase, at(hour)) else { continue };
            assert_eq!(next.version, known.as_ref().map_or(0, |known| known.version) + 1);
            if next.alerted_at == at(hour) {
                told.push((hour, next.is_short));
            }
            known = Some(next);
        }
        told
    }

    #[test]
    fn a_shortfall_is_told_at_the_crossing_and_at_each_tenth_that_it_grows_and_again_after_it_was_over() {
        let balances = [200, 100, 95, 91, 90, 150, 90, 80, 79, 200, 300, 100, 100];
        let looks = balances.map(|balance| (200, purchase(balance, 200, None)));
        // By 100, by 110, by 121, and by 100 after it was over.
        assert_eq!(told(looks), [(2, true), (5, true), (9, true), (12, true)]);
    }

    #[test]
    fn a_shortfall_that_grows_because_keys_are_claimed_is_told_once_a_day() {
        let needs = (1..60).map(|hour| 100 + 20 * hour);
        assert_eq!(told(needs.map(|need| (need, purchase(100, need, None)))), [(1, true), (25, true), (49, true)]);
    }

    #[test]
    fn a_purchase_is_told_when_it_is_first_due_and_again_when_its_day_comes_a_week_nearer() {
        let looks = [
            (1000, Some(20)),
            (900, Some(20)),
            (900, Some(26)),
            (900, Some(14)),
            (900, Some(13)),
            (900, Some(20)),
            // Bought, and due again.
            (1000, Some(20)),
            (999, Some(20)),
            // Spending ceases, and begins again.
            (999, None),
            (999, Some(40)),
            (999, Some(14)),
            (999, Some(13)),
        ];
        let told = told(looks.map(|(balance, ahead)| (0, purchase(balance, 1000, ahead))));
        assert_eq!(told, [2, 5, 8, 12].map(|hour| (hour, false)));
    }

    #[test]
    fn a_purchase_that_grows_is_told_once_a_day() {
        let looks = (1..60).map(|hour| (0, purchase(900, 1000 + 200 * hour, None)));
        assert_eq!(told(looks), [1, 25, 49].map(|hour| (hour, false)));
    }

    #[test]
    fn a_balance_that_falls_short_while_credit_must_be_bought_is_told_each_time_that_it_does() {
        let looks = [900, 60, 40, 39, 60, 49, 900, 1000].map(|balance| (50, purchase(balance, 1000, Some(20))));
        assert_eq!(told(looks), [(1, false), (3, true), (4, true), (6, true)]);
    }

    /// After fifty dollars a day nothing is used for four weeks, and then as much as before. There is balance for sixty days, so the
    /// day for buying is the thirtieth at first, and the fifty-eighth in the end.
    #[test]
    fn a_break_tells_nobody_and_a_later_day_is_told_when_it_comes() {
        let (mut known, mut told, mut used, mut balance) = (None, Vec::new(), steadily(28, 50), usd(3000));
        for ahead in 0..70 {
            let listed_at = utc_midnight(day(-ahead)) + 20.minutes();
            let facts = CreditFacts {
                to_come: balance + usd(100),
                listed_at: Some(listed_at),
                ..facts(0, &used, &Days::default(), 200)
            };
            let next = BalanceNotice::after(known.as_ref(), facts.need(), facts.purchase(balance), listed_at);
            if next.as_ref().is_some_and(|next| next.alerted_at == listed_at) {
                told.push(ahead);
            }
            known = next.or(known);
            if ahead >= 28 {
                used.add(&Days::on_one(day(-ahead), usd(50)));
                balance = balance - usd(50);
            }
        }
        assert_eq!(told, [0, 58]);
    }

    /// What is known on the Monday, the last programme's end so many days ahead.
    fn facts(to_come: i32, ours: &Days, foreign: &Days, days_left: i64) -> CreditFacts {
        CreditFacts {
            to_come: usd(to_come),
            ours: ours.clone(),
            foreign: foreign.clone(),
            listed_at: Some(utc_midnight(MONDAY) + 20.minutes()),
            balance: None,
            a_day: Usd::ZERO,
            ends_at: Some(utc_midnight(MONDAY) + (24 * days_left).hours()),
        }
    }

    #[test]
    fn what_was_spent_since_the_sync_is_ours_as_far_as_that_goes() {
        let spent = |dollars| {
            let promised = facts(100, &Days::default(), &Days::default(), 30);
            promised.with_spent_since(usd(dollars), SignedDuration::from_hours(6))
        };
        // Sixty in six hours are 240 in a day, of which our keys can spend forty.
        let ours = BalanceNeed { amount: usd(40), basis: Basis::Promised };
        assert_eq!((spent(60).to_come, spent(60).need()), (usd(40), ours));
        let others = BalanceNeed { amount: usd(480), basis: Basis::Today };
        assert_eq!((spent(120).to_come, spent(120).need()), (Usd::ZERO, others));
    }

    fn purchase_of(balance: i32, to_come: i32, ours: &Days, foreign: &Days, days_left: i64) -> Purchase {
        facts(to_come, ours, foreign, days_left).purchase(usd(balance))
    }

    #[test]
    fn no_day_is_after_the_last_programme_and_nothing_is_reckoned_beyond_a_year() {
        let cents = |cents: i64| Usd::from_micros(cents * 10_000);
        let nothing = cents(0);
        for (balance, to_come, [ours, foreign], days_left, amount, ahead) in [
            (usd(3000), 3100, [usd(1400), nothing], 60, 100, Some(30)),
            (usd(3000), 3100, [usd(1400), nothing], 59, 100, None),
            // Two cents in four weeks: the balance would be gone in the year 5718.
            (cents(96_298), 2062, [cents(2), nothing], 90, 1100, None),
            // $35.36 of other keys in ninety days; a cost centre is open for nine years, and $143.39 of one count.
            (cents(96_298), 2100, [nothing, usd(11)], 90, 1200, None),
            (cents(96_298), 2100, [nothing, usd(11)], 3331, 1300, None),
            (usd(1300), 0, [nothing, usd(100)], 3331, 100, Some(334)),
            (usd(1308), 0, [nothing, usd(100)], 3331, 0, None),
            // No programme is left.
            (usd(10), 0, [nothing, usd(100)], -30, 0, None),
        ] {
            let [ours, foreign] = [ours, foreign].map(|used| Days::on_one(day(7), used));
            let found = facts(to_come, &ours, &foreign, days_left).purchase(balance);
            let buy_by = ahead.map(|days| day(-days));
            assert_eq!(
                (found.amount, found.buy_by),
                (usd(amount), buy_by),
                "{balance} of {to_come}, {days_left} days left"
            );
        }
    }

    #[test]
    fn the_amount_is_what_is_to_come_and_other_keys_until_the_end_less_the_balance_in_whole_hundreds() {
        let (nothing, foreign) = (Days::default(), steadily(28, 10));
        let amount = |balance, to_come, foreign: &Days, days_left| {
            purchase_of(balance, to_come, &nothing, foreign, days_left).amount
        };
        assert_eq!(amount(1000, 1000, &nothing, 70), usd(0));
        assert_eq!(amount(999, 1000, &nothing, 70), usd(100));
        assert_eq!(amount(-1, 1000, &nothing, 70), usd(1100));
        // $280 in 28 days, and ten weeks to go: $700.
        assert_eq!(amount(1000, 1000, &foreign, 70), usd(700));
        // Three days are three sevenths of a week.
        assert_eq!(amount(1029, 1000, &foreign, 3), usd(100));
        assert_eq!(amount(1030, 1000, &foreign, 3), usd(0));
        assert_eq!(amount(1000, 1000, &foreign, -30), usd(0), "the last programme is over");
    }

    #[test]
    fn the_day_is_thirty_days_before_the_balance_is_gone_at_the_pace_of_the_whole_account() {
        let half = steadily(28, 5);
        let found = purchase_of(400, 1000, &half, &half, 70);
        assert_eq!((found.pace, found.foreign), (usd(280), usd(140)));
        assert_eq!(found.gone_on, Some(day(-40)));
        assert_eq!(found.buy_by, Some(day(-10)));
        assert_eq!(purchase_of(0, 1, &half, &half, 70).gone_on, Some(MONDAY));
        assert_eq!(purchase_of(-5, 1, &half, &half, 70).buy_by, Some(day(30)), "it is past");
        let unused = purchase_of(0, 1, &Days::default(), &Days::default(), 70);
        assert_eq!((unused.amount, unused.gone_on, unused.buy_by), (usd(100), None, None));
    }

    #[test]
    fn days_that_are_not_over_or_too_long_ago_are_in_no_pace_and_unknown_ones_are_named() {
        let mut ours = steadily(28, 1);
        ours.add(&Days::on_one(MONDAY, usd(50)));
        ours.add(&Days::on_one(day(29), usd(50)));
        let found = purchase_of(100, 200, &ours, &Days::default(), 7);
        assert_eq!((found.pace, found.is_partial), (usd(28), false));
        let counted = KeyCounters { lifetime: usd(30), today: Some(usd(1)), on: day(5), window: None };
        let since_five_days = Days::default().with(counted, None);
        let found = purchase_of(100, 200, &since_five_days, &Days::default(), 7);
        assert_eq!((found.pace, found.is_partial), (usd(1), true));
    }
}
