//! The need that the balance of the account must cover soon, and when the admins hear of the balance: when
//! credit must be bought, when the day for that moves by a week, when the balance falls short of the need, and
//! when the shortfall grows by a tenth. The functions provide the numbers and the recipients.

use crate::domain::credit::purchase::Purchase;
use crate::domain::usage::forecast::SpendingPace;
use crate::prelude::*;

/// The days that the balance must last. Credit can be bought at any time, so no more need be there at once.
const DAYS_AHEAD: u32 = 14;
/// The least time between two reports that only new promises caused, since promises grow all the time while
/// keys are claimed.
const BETWEEN_PROMISES: SignedDuration = SignedDuration::from_hours(24);

/// The need of the account: what the balance must pay for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BalanceNeed {
    pub amount: Usd,
    pub basis: Basis,
}

/// The basis of a need.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Two weeks at the pace of the last weeks.
    TwoWeeks,
    /// All that is promised and not spent yet, since no pace is known.
    Promised,
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
    "balance-notice" BalanceNotice |_| () => key(ACCOUNT, "BALANCE-NOTICE")
}

impl BalanceNeed {
    /// The need of the account. Keys made here use no more than is promised to them, whatever their pace;
    /// foreign keys live on the same balance.
    pub fn of(ours: &Days, foreign: &Days, promised: Usd, listed_at: Option<Moment>) -> BalanceNeed {
        let two_weeks = |days: &Days| {
            let pace = listed_at.and_then(|at| SpendingPace::of(days, Date::MIN, utc_date(at)));
            pace.map(|pace| pace.in_days(DAYS_AHEAD)).filter(|soon| *soon > Usd::ZERO)
        };
        match two_weeks(ours) {
            Some(soon) => {
                let foreign = two_weeks(foreign).unwrap_or_default();
                BalanceNeed { amount: soon.min(promised) + foreign, basis: Basis::TwoWeeks }
            }
            None => BalanceNeed { amount: promised, basis: Basis::Promised },
        }
    }

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
        let has_moved = purchase.is_due() && purchase.has_moved_since(&told.purchase);
        let is_shorter = short.is_some_and(|short| !told.is_short || told.is_worse(short, purchase.balance, now));
        match (told.is_short, short) {
            _ if is_first || has_moved || is_shorter => Some(fresh),
            // The next shortfall is told afresh.
            (true, None) => Some(BalanceNotice { is_short: false, version, ..told.clone() }),
            _ => None,
        }
    }

    /// Whether a shortfall has grown by a tenth since it was told. A growth through promises alone counts once
    /// a day.
    fn is_worse(&self, short: Usd, balance: Usd, now: Moment) -> bool {
        let was = self.need.amount - self.purchase.balance;
        let is_worse = short.times(10) >= was.times(11);
        is_worse && (balance < self.purchase.balance || self.alerted_at + BETWEEN_PROMISES <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::credit::purchase::CreditFacts;
    use crate::domain::testing::dollars as usd;

    const MONDAY: Date = Date::constant(2026, 11, 16);

    fn at(hour: i64) -> Moment {
        Moment::from_second(hour * 3600).unwrap()
    }

    /// Equal spending on each of the last days before the Monday.
    fn steadily(days: i64, dollars: i32) -> Days {
        let mut spent = Days::default();
        for ago in 1..=days {
            spent.add(&Days::on_one(MONDAY.checked_sub(jiff::Span::new().days(ago)).unwrap(), usd(dollars)));
        }
        spent
    }

    #[test]
    fn where_a_pace_is_known_two_weeks_of_it_are_needed_and_never_more_than_is_promised() {
        let looked = Some("2026-11-16T00:20:00Z".parse().unwrap());
        let of = |ours: &Days, foreign: &Days, promised| {
            let need = BalanceNeed::of(ours, foreign, usd(promised), looked);
            (need.amount, need.basis)
        };
        let nothing = Days::default();
        assert_eq!(of(&steadily(28, 10), &nothing, 4000), (usd(140), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &nothing, 100), (usd(100), Basis::TwoWeeks));
        assert_eq!(of(&steadily(28, 10), &steadily(28, 1), 100), (usd(114), Basis::TwoWeeks));
        let promised = (usd(4000), Basis::Promised);
        assert_eq!(of(&steadily(3, 10), &nothing, 4000), promised, "so few days are no pace");
        let idle = Days::on_one(MONDAY.checked_sub(jiff::Span::new().days(60)).unwrap(), usd(10));
        assert_eq!(of(&idle, &nothing, 4000), promised, "nothing used is none either");
        assert_eq!(BalanceNeed::of(&steadily(28, 10), &nothing, usd(4000), None).basis, Basis::Promised);
    }

    /// A purchase of what is missing to an amount, by a day so many days ahead.
    fn purchase(balance: i32, to_come: i32, ahead: Option<i64>) -> Purchase {
        let nothing = Days::default();
        let (balance, to_come) = (usd(balance), usd(to_come));
        let facts = CreditFacts { balance, to_come, ours: &nothing, foreign: &nothing, listed_at: None, ends_at: None };
        let buy_by = ahead.map(|days| MONDAY.checked_add(jiff::Span::new().days(days)).unwrap());
        Purchase { buy_by, ..Purchase::of(&facts) }
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
    fn a_purchase_is_told_when_it_is_first_due_and_again_when_its_day_moves_by_a_week() {
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
            // Spending ceases, and begins again on another day.
            (999, None),
            (999, Some(40)),
        ];
        let told = told(looks.map(|(balance, ahead)| (0, purchase(balance, 1000, ahead))));
        assert_eq!(told, [2, 5, 6, 8, 10].map(|hour| (hour, false)));
    }

    #[test]
    fn a_balance_that_falls_short_while_credit_must_be_bought_is_told_each_time_that_it_does() {
        let looks = [900, 60, 40, 39, 60, 49, 900, 1000].map(|balance| (50, purchase(balance, 1000, Some(20))));
        assert_eq!(told(looks), [(1, false), (3, true), (4, true), (6, true)]);
    }
}
