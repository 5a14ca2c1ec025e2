//! The account's credit: how long the balance lasts, what to buy and by when, and when the admins
//! hear of it: when credit must be bought, and again only when it lasts half as long as they were
//! told, or programmes can cost twice as much. The functions provide the numbers and the
//! recipients.

use jiff::civil::Date;
use jiff::{SignedDuration, ToSpan};
use serde::{Deserialize, Serialize};

use crate::clock::Moment;
use crate::domain::usage::days::Days;
use crate::domain::usage::forecast::SpendingPace;
use crate::domain::values::format::long_date;
use crate::domain::values::money::Usd;
use crate::domain::values::window::{days_between, utc_date};
use crate::schema::{ACCOUNT, key, stored};

/// How many days before the balance is gone a purchase must begin.
pub const DAYS_TO_BUY: i32 = 30;
/// The unit in which credit is bought.
const UNIT: Usd = Usd::from_dollars(100);
const SECONDS_OF_A_DAY: i64 = 24 * 60 * 60;
/// The least seconds of which a pace is made: a lab of an evening is none.
const SHORTEST_PACE: i64 = SECONDS_OF_A_DAY / 2;
/// How far ahead is reckoned at most, since a cost centre may be open for ten years.
const MOST_AHEAD: i32 = 365;
/// A longer time is told like this one: half of it are two weeks, and then one, three days and one.
const FOUR_WEEKS: i32 = 28;

/// The facts that credit is reckoned from.
#[derive(Debug, Clone)]
pub struct CreditFacts {
    /// What is left of the balance, and when that was read.
    pub balance: Usd,
    pub read_at: Moment,
    /// What is promised to students and not spent yet, and the part of it that programmes without a
    /// pace of their own promised.
    pub promised: Usd,
    pub unpaced: Usd,
    /// What else the rosters may claim within the budgets, and from when on.
    pub claims: Vec<(Date, Usd)>,
    /// The use of the keys of grants, and of foreign keys, up to the last listing.
    pub ours: Days,
    pub foreign: Days,
    pub listed_at: Option<Moment>,
    /// What was spent since the last sync, and what a day uses at that pace, as far as keys can go
    /// on like that.
    pub spent_since: Usd,
    pub a_day: Usd,
    /// The end of the last programme that is not over.
    pub ends_at: Option<Moment>,
}

/// How long the balance lasts, and what is to be bought by when.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Purchase {
    pub balance: Usd,
    /// What all programmes can still cost if everybody on the rosters claims.
    pub to_come: Usd,
    /// What foreign keys use until the last day if they go on as in the last weeks.
    pub foreign_to_come: Usd,
    /// The last day that is reckoned with: the end of the last programme, at most a year ahead.
    pub until: Option<Date>,
    /// What all keys use in a week; zero while nobody knows, and after four idle weeks.
    pub a_week: Usd,
    pub spent_since: Usd,
    /// What is missing to all that may be spent.
    pub amount: Usd,
    /// The day on which the balance is gone, unless it lasts until the last day.
    pub gone: Option<BalanceGone>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BalanceGone {
    pub day: Date,
    pub why: WhyGone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WhyGone {
    /// At the pace of the last weeks.
    Pace,
    /// If everybody on the rosters claims; as long as no pace is known, what is promised may be
    /// spent at once.
    Claims,
    /// At the pace since the last check, which is faster.
    Today,
}

impl CreditFacts {
    /// Takes in what the account spent since the last sync, so long ago. It is taken for a part of
    /// what is promised, as far as that goes: the next sync knows whose it was. What goes beyond it
    /// certainly was used by keys that nothing here bounds.
    #[must_use]
    pub fn with_spent_since(mut self, spent: Usd, ago: SignedDuration) -> CreditFacts {
        let a_day = parts_of(spent, SECONDS_OF_A_DAY, ago.as_secs().max(SHORTEST_PACE));
        let is_ours = spent <= self.promised;
        self.promised = (self.promised - spent).or_zero();
        self.a_day = if is_ours {
            a_day.min(self.promised)
        } else {
            a_day
        };
        self.spent_since = spent;
        self
    }

    pub fn purchase(&self) -> Purchase {
        let to_come = self.promised + self.claims.iter().map(|(_, amount)| *amount).sum();
        let days_left = self.ends_at.map_or(0, |end| {
            days_between(self.today(), utc_date(end)).clamp(0, MOST_AHEAD)
        });
        let ends_on = self.today().saturating_add(i64::from(days_left).days());
        let foreign_to_come = self.pace(&self.foreign).map_or(Usd::ZERO, |pace| {
            pace.days_to_duration(days_left.unsigned_abs())
        });
        let amount = ((to_come + foreign_to_come).max(self.a_day) - self.balance)
            .or_zero()
            .up_to_the(UNIT);
        let gone = self
            .gone()
            .filter(|gone| gone.why != WhyGone::Pace || gone.day <= ends_on);
        Purchase {
            balance: self.balance,
            to_come,
            foreign_to_come,
            until: ends_on.yesterday().ok().filter(|_| days_left > 0),
            a_week: self.whole_pace().map_or(Usd::ZERO, SpendingPace::per_week),
            spent_since: self.spent_since,
            amount,
            gone: gone.filter(|_| amount > Usd::ZERO),
        }
    }

    /// The day on which the balance is gone. What the rosters may claim is taken as spent on the
    /// first day on which it can be, and so is what is promised while nobody knows at what pace, as
    /// on the evening of claim day. The rest goes at the pace of the last weeks.
    fn gone(&self) -> Option<BalanceGone> {
        let today = self.today();
        let [pace, foreign] = [self.whole_pace(), self.pace(&self.foreign)];
        // Keys made here use no more than is promised to them, whatever their pace.
        let at_once = if self.pace(&self.ours).is_some() {
            self.unpaced.min(self.promised)
        } else {
            self.promised
        };
        let in_time = self.promised - at_once;
        let ends = |remainder: Usd, from: Date| {
            if remainder <= Usd::ZERO {
                let why = if self.balance > Usd::ZERO {
                    WhyGone::Claims
                } else {
                    WhyGone::Pace
                };
                return Some(BalanceGone { day: from, why });
            }
            let whole = pace?.empties(remainder, Usd::ZERO, today)?;
            let day = if remainder > in_time {
                whole.max(foreign?.empties(remainder - in_time, Usd::ZERO, today)?)
            } else {
                whole
            };
            Some(BalanceGone {
                day: day.max(from),
                why: WhyGone::Pace,
            })
        };
        let mut remainder = self.balance - at_once;
        let mut days = vec![ends(remainder, today)];
        let mut claims = self.claims.clone();
        claims.sort_unstable();
        for (opens, amount) in claims {
            remainder = remainder - amount;
            days.push(ends(remainder, opens.max(today)));
        }
        if self.a_day > self.balance {
            days.push(today.tomorrow().ok().map(|day| BalanceGone {
                day,
                why: WhyGone::Today,
            }));
        }
        days.into_iter().flatten().min()
    }

    /// The day from which is reckoned.
    fn today(&self) -> Date {
        utc_date(self.read_at)
    }

    fn whole_pace(&self) -> Option<SpendingPace> {
        let mut days = self.ours.clone();
        days.add(&self.foreign);
        self.pace(&days)
    }

    fn pace(&self, days: &Days) -> Option<SpendingPace> {
        SpendingPace::measure(days, Date::MIN, utc_date(self.listed_at?))
    }
}

impl Purchase {
    /// The day by which to begin to buy, if there is one.
    pub fn buy_by(&self) -> Option<Date> {
        self.gone?
            .day
            .checked_sub(i64::from(DAYS_TO_BUY).days())
            .ok()
    }

    /// The same, where a day that has come is now.
    pub fn when(&self, today: Date) -> Option<String> {
        let day = self.buy_by()?;
        Some(if day <= today {
            "now".to_owned()
        } else {
            format!("by {}", long_date(day))
        })
    }

    /// What to do, and why, in one sentence.
    pub fn to_words(&self, today: Date) -> String {
        let [balance, amount] = [
            self.balance.whole_cents().to_dollars(),
            self.amount.to_dollars(),
        ];
        let to_come = self.to_come.to_cents();
        if let Some((gone, when)) = self.gone.zip(self.when(today)) {
            let why = match gone.why {
                WhyGone::Pace => format!(
                    "at this pace the {balance} left will be gone on {}",
                    long_date(gone.day)
                ),
                WhyGone::Claims => format!(
                    "if everybody on the rosters claims, programmes can still cost {to_come}, and {balance} are left"
                ),
                WhyGone::Today => {
                    format!("at the pace since the last check the {balance} left do not last a day")
                }
            };
            return format!("Buy {amount} of credit {when}: {why}.");
        }
        match self.until {
            _ if self.amount == Usd::ZERO => format!(
                "Nothing to buy: {balance} are left, and no more than {} can still be spent, even if everybody on the rosters claims.",
                (self.to_come + self.foreign_to_come).to_cents()
            ),
            _ if self.spent_since > Usd::ZERO && self.a_week == Usd::ZERO => format!(
                "Nothing to buy now: {balance} are left, {} less than at the last check, and in the four weeks before it no key was used.",
                self.spent_since.to_cents()
            ),
            _ if self.a_week == Usd::ZERO => {
                format!(
                    "Nothing to buy now: {balance} are left, and no key was used in the last four weeks."
                )
            }
            Some(until) => {
                format!(
                    "Nothing to buy before {}: at this pace the {balance} left last until then.",
                    long_date(until)
                )
            }
            None => format!("Nothing to buy now: {balance} are left, and no programme goes on."),
        }
    }

    /// The days that the balance lasts, as far as these are told.
    fn lasts(&self, today: Date) -> Option<i32> {
        self.gone
            .map(|gone| days_between(today, gone.day).clamp(1, FOUR_WEEKS))
    }
}

/// So many parts of an amount, of `whole`, rounded up to the micro-dollar.
fn parts_of(amount: Usd, parts: i64, whole: i64) -> Usd {
    let micros = (i128::from(amount.micros()) * i128::from(parts) + i128::from(whole) - 1)
        .div_euclid(i128::from(whole));
    Usd::from_micros(i64::try_from(micros).unwrap_or(i64::MAX)).min(Usd::MAX)
}

/// What the admins were last told of the balance, until it is over; silently better where it turned
/// out to last longer.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct BalanceNotice {
    pub alerted_at: Moment,
    pub purchase: Purchase,
    /// How many days it lasts by that, four weeks at most.
    pub lasts: i32,
    pub is_over: bool,
    pub version: u64,
}

stored! {
    BalanceNotice () => key(ACCOUNT, "BALANCE-NOTICE")
}

impl BalanceNotice {
    /// The new record of what the admins are told, or `None` if the known one stands. A record with
    /// a time of its own is reported when it is written.
    pub fn after(
        stored: Option<&BalanceNotice>,
        purchase: Purchase,
        now: Moment,
    ) -> Option<BalanceNotice> {
        let version = stored.map_or(0, |notice| notice.version) + 1;
        let lasts = purchase.lasts(utc_date(now));
        let fresh = |lasts| BalanceNotice {
            alerted_at: now,
            purchase,
            lasts,
            is_over: false,
            version,
        };
        let Some(notice) = stored.filter(|notice| !notice.is_over) else {
            return lasts.map(fresh);
        };
        let needed = purchase.to_come + purchase.foreign_to_come;
        let is_bought = purchase.amount == Usd::ZERO && purchase.balance > notice.purchase.balance;
        // With less than a tenth to spare it may be short again tomorrow.
        if lasts.is_none() && (is_bought || needed.times(11) <= purchase.balance.times(10)) {
            return Some(BalanceNotice {
                is_over: true,
                version,
                ..notice.clone()
            });
        }
        let lasts = lasts?;
        // Rosters were put up since.
        let costs_more =
            purchase.to_come >= notice.purchase.to_come.times(2) && purchase.to_come > Usd::ZERO;
        if lasts * 2 <= notice.lasts || costs_more {
            return Some(fresh(lasts));
        }
        // By now it is known at what pace it goes, or some was bought.
        let is_better = notice
            .purchase
            .gone
            .is_none_or(|gone| gone.why != WhyGone::Pace)
            || purchase.balance > notice.purchase.balance;
        let lasts_longer = is_better && lasts >= notice.lasts * 2;
        lasts_longer.then(|| BalanceNotice {
            alerted_at: notice.alerted_at,
            ..fresh(lasts)
        })
    }
}

#[cfg(test)]
mod tests {
    use fastrand::Rng;
    use jiff::civil::date;

    use super::*;
    use crate::domain::values::window::utc_midnight;
    use crate::tests::values::dollars as usd;

    /// The day on which a deployment begins, a Sunday.
    const FIRST: Date = date(2026, 11, 29);

    fn day(number: i64) -> Date {
        FIRST.saturating_add(number.days())
    }

    /// The use of each day from the first on, in dollars.
    fn used(each: &[i32]) -> Days {
        let mut days = Days::default();
        for (number, dollars) in (0..).zip(each).filter(|(_, dollars)| **dollars > 0) {
            days.add(&Days::on_one(day(number), usd(*dollars)));
        }
        days
    }

    /// What is known in the night after these days, with so much left and so much promised, until
    /// the sixth of March.
    fn facts(balance: i32, promised: i32, ours: &[i32], foreign: &[i32]) -> CreditFacts {
        let tonight =
            utc_midnight(day(ours.len().max(foreign.len()).try_into().unwrap())) + 20.minutes();
        CreditFacts {
            balance: usd(balance),
            read_at: tonight,
            promised: usd(promised),
            unpaced: Usd::ZERO,
            claims: Vec::new(),
            ours: used(ours),
            foreign: used(foreign),
            listed_at: Some(tonight),
            spent_since: Usd::ZERO,
            a_day: Usd::ZERO,
            ends_at: Some(utc_midnight(date(2027, 3, 7))),
        }
    }

    /// What the admins are told that night: what to buy by when, and when the balance is gone.
    fn said(facts: &CreditFacts) -> String {
        let purchase = facts.purchase();
        let gone = match purchase.gone {
            Some(gone) => long_date(gone.day),
            None => "never".to_owned(),
        };
        match purchase.when(facts.today()) {
            Some(when) => format!("{} {when}, gone {gone}", purchase.amount.to_dollars()),
            None => format!("nothing, gone {gone}"),
        }
    }

    fn say_each<const N: usize>(cases: [(&str, CreditFacts); N]) -> String {
        cases
            .map(|(words, facts)| format!("{words}: {}", said(&facts)))
            .join("\n")
    }

    /// Nights of an account, as the admins hear of them.
    #[derive(Default)]
    struct MailedAdmins {
        known: Option<BalanceNotice>,
        mails: Vec<Date>,
    }

    impl MailedAdmins {
        fn look(&mut self, purchase: Purchase, now: Moment) {
            if let Some(next) = BalanceNotice::after(self.known.as_ref(), purchase, now) {
                assert_eq!(
                    next.version,
                    self.known.as_ref().map_or(0, |known| known.version) + 1
                );
                if next.alerted_at == now && !next.is_over {
                    self.mails.push(utc_date(now));
                }
                self.known = Some(next);
            }
        }
    }

    /// $1,000, four keys, $30 every day: in truth it is gone on the first of January.
    #[test]
    fn a_pace_of_a_week_names_the_true_day() {
        for nights in [7_u16, 8, 10, 14, 21] {
            let spent = i32::from(nights) * 30;
            let now = facts(1000 - spent, 1600 - spent, &vec![30; nights.into()], &[]);
            assert_eq!(said(&now), "$600 now, gone 1 Jan 2027", "{nights} nights");
        }
        assert_eq!(
            facts(790, 1390, &[30; 7], &[])
                .purchase()
                .to_words(date(2026, 12, 6)),
            "Buy $600 of credit now: at this pace the $790 left will be gone on 1 Jan 2027."
        );
        // Ten a day of a key made elsewhere, known for a week, in a term of ninety days more.
        assert_eq!(
            facts(0, 0, &[], &[10; 7]).purchase().foreign_to_come,
            usd(910)
        );
    }

    /// $2,300 are left, and no key was used for four weeks.
    #[test]
    fn without_use_nothing_is_to_buy() {
        let idle = facts(2300, 9000, &[vec![100; 7], vec![0; 28]].concat(), &[]);
        let words = |facts: &CreditFacts| facts.purchase().to_words(facts.today());
        assert_eq!(
            words(&idle),
            "Nothing to buy now: $2,300 are left, and no key was used in the last four weeks."
        );
        let since = CreditFacts {
            balance: usd(2000),
            ..idle
        }
        .with_spent_since(usd(300), 5.hours().try_into().unwrap());
        assert_eq!(
            words(&since),
            "Nothing to buy now: $2,000 are left, $300.00 less than at the last check, and in the four weeks before it no key was used."
        );
    }

    /// A lab of $60 in the evening, an hour after the check; and a key that runs away with $200 an
    /// hour.
    #[test]
    fn a_lab_is_no_pace_and_a_key_that_runs_away_is_one() {
        let labs = [[0, 0, 0, 0, 0, 0, 60]; 4].concat();
        let after = |left: i32, spent: i32, hours: i64| {
            let facts = facts(left, 800, &labs, &[]);
            facts
                .with_spent_since(usd(spent), SignedDuration::from_hours(hours))
                .purchase()
                .gone
                .map(|gone| gone.why)
        };
        assert_eq!(
            [after(820, 60, 1), after(140, 60, 1)],
            [None, Some(WhyGone::Pace)]
        );
        let runaway = |hours: i32| {
            let facts = facts(1000 - 200 * hours, 50, &[], &[]);
            facts
                .with_spent_since(usd(200 * hours), SignedDuration::from_hours(hours.into()))
                .purchase()
                .gone
        };
        let today = Some(BalanceGone {
            day: day(1),
            why: WhyGone::Today,
        });
        assert_eq!([runaway(1), runaway(2)], [None, today]);
    }

    /// A balance of $1,274.28, and two hundred people of whom five have claimed.
    #[test]
    fn what_the_rosters_may_claim_is_bought_before_they_can() {
        let now = CreditFacts {
            claims: vec![(day(-20), usd(4676))],
            ..facts(1274, 322, &[2; 14], &[])
        };
        assert_eq!(
            now.purchase().to_words(now.today()),
            "Buy $3,800 of credit now: if everybody on the rosters claims, programmes can still cost $4,998.00, and $1,274 are left."
        );
        // On the evening of that day it is promised, and nobody knows yet at what pace it goes.
        let evening = CreditFacts {
            unpaced: usd(4676),
            ..facts(1274, 4998, &[2; 14], &[])
        };
        let known = CreditFacts {
            unpaced: Usd::ZERO,
            ..evening.clone()
        };
        // The next term's keys can be claimed from February on.
        let later = |dollars| CreditFacts {
            claims: vec![(date(2027, 2, 20), usd(dollars))],
            ..now.clone()
        };
        let cases = [
            ("claims to come", now.clone()),
            ("promised that evening", evening),
            ("at a known pace", known),
            ("later claims", later(4676)),
            ("later claims within the balance", later(900)),
            // What is promised may be spent at once as long as nobody knows at what pace.
            ("too new for a pace", facts(1000, 1600, &[5, 5], &[])),
            ("too new, and covered", facts(1600, 1600, &[5, 5], &[])),
        ];
        insta::assert_snapshot!(say_each(cases), @"
        claims to come: $3,800 now, gone 13 Dec 2026
        promised that evening: $3,800 now, gone 13 Dec 2026
        at a known pace: nothing, gone never
        later claims: $3,800 by 21 Jan 2027, gone 20 Feb 2027
        later claims within the balance: nothing, gone never
        too new for a pace: $600 now, gone 1 Dec 2026
        too new, and covered: nothing, gone never
        ");
    }

    /// No key is expected to use more than is promised, and nothing is projected beyond the last
    /// day.
    #[test]
    fn no_key_outspends_its_promise() {
        // Ours stop after two weeks; then a dollar a day leaves until the end, or not.
        let of = |balance| facts(balance, 140, &[10; 28], &[1; 28]);
        let far = CreditFacts {
            ends_at: Some(utc_midnight(date(2036, 1, 1))),
            ..of(500)
        };
        let cases = [
            ("enough for all", of(300)),
            ("ours stop, and a dollar a day is left", of(170)),
            ("until 2036", far),
            (
                "no last day",
                CreditFacts {
                    ends_at: None,
                    ..of(100)
                },
            ),
            (
                "never listed",
                CreditFacts {
                    listed_at: None,
                    ..of(100)
                },
            ),
        ];
        insta::assert_snapshot!(say_each(cases), @"
        enough for all: nothing, gone never
        ours stop, and a dollar a day is left: $100 now, gone 25 Jan 2027
        until 2036: $100 by 21 Nov 2027, gone 21 Dec 2027
        no last day: nothing, gone never
        never listed: $100 now, gone 27 Dec 2026
        ");
    }

    /// A steady thirty dollars a day, of which nobody buys more. In the first week nobody knows at
    /// what pace it goes.
    #[test]
    fn the_balance_is_told_five_times_at_most() {
        let mut admins = MailedAdmins::default();
        for nights in 2..=33 {
            let spent = i32::try_from(nights).unwrap() * 30;
            let now = facts(1000 - spent, 1600 - spent, &vec![30; nights], &[]);
            admins.look(now.purchase(), now.read_at);
        }
        let told = [
            date(2026, 12, 1),
            date(2026, 12, 19),
            date(2026, 12, 26),
            date(2026, 12, 29),
            date(2026, 12, 31),
        ];
        assert_eq!(
            admins.mails, told,
            "perhaps at once, and then 13, 6, 3 and 1 days"
        );
        // It is bought, and once more falls short; and then a roster is put up.
        let later = facts(650, 610, &[30; 33], &[]);
        admins.look(later.purchase(), later.read_at);
        assert!(admins.known.as_ref().unwrap().is_over);
        let short = facts(620, 2000, &[30; 34], &[]);
        admins.look(short.purchase(), short.read_at);
        let roster = CreditFacts {
            claims: vec![(date(2027, 2, 20), usd(2100))],
            ..facts(590, 1970, &[30; 35], &[])
        };
        admins.look(roster.purchase(), roster.read_at);
        assert_eq!(admins.mails[5..], [day(34), day(35)]);
    }

    /// How an account is used.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Kind {
        Steady,
        Labs,
        Break,
        Ramp,
    }

    /// An account of which the future is known: what it uses each day, in cents, its balance, the
    /// day on which that is gone, and the days of the break.
    struct Drawn {
        ours: Vec<i32>,
        foreign: Vec<i32>,
        balance: i32,
        gone: usize,
        pause: std::ops::Range<usize>,
    }

    impl Drawn {
        /// Up to two hundred dollars a day or a lab of five times as much, a twentieth more or
        /// less, and in half of them a sixth of it by keys made elsewhere.
        fn new(kind: Kind, dice: &mut Rng) -> Drawn {
            let mean = dice.i32(20..200);
            let lab = dice.usize(0..7);
            let gone = dice.usize(40..130);
            let begins = dice.usize(21..gone - 10);
            let in_labs = kind == Kind::Labs || kind == Kind::Break && dice.bool();
            let weekend = if in_labs { 0 } else { dice.usize(0..3) };
            let pause = begins
                ..begins
                    + if kind == Kind::Break {
                        7 * dice.usize(1..5) + weekend
                    } else {
                        0
                    };
            let share = if dice.bool() { 5 } else { i32::MAX };
            let mut on = |number: usize| {
                let cents = dice.i32(mean * 95..=mean * 105);
                match kind {
                    _ if pause.contains(&number) || in_labs && number % 7 != lab => 0,
                    Kind::Ramp => cents * i32::try_from(number).unwrap() / 50,
                    Kind::Steady | Kind::Labs | Kind::Break => cents * if in_labs { 5 } else { 1 },
                }
            };
            let ours: Vec<i32> = (0..300).map(&mut on).collect();
            let foreign: Vec<i32> = ours.iter().map(|cents| cents / share).collect();
            let each = || {
                ours.iter()
                    .zip(&foreign)
                    .map(|(ours, foreign)| ours + foreign)
            };
            let balance = each().take(gone).sum::<i32>() + 1;
            let mut left = balance;
            let gone = each().position(|used| {
                left -= used;
                left <= 0
            });
            Drawn {
                gone: gone.unwrap(),
                ours,
                foreign,
                balance,
                pause,
            }
        }

        /// The facts in the night after so many days. The term ends after two hundred, and twice
        /// the balance was promised.
        fn after(&self, nights: usize) -> CreditFacts {
            let used = |each: &[i32]| {
                let mut days = Days::default();
                for (number, cents) in (0..).zip(&each[..nights]) {
                    days.add(&Days::on_one(day(number), in_cents(*cents)));
                }
                days
            };
            let ours = used(&self.ours);
            let foreign = used(&self.foreign);
            CreditFacts {
                balance: in_cents(self.balance) - ours.total() - foreign.total(),
                promised: in_cents(self.balance).times(2) - ours.total(),
                ends_at: Some(utc_midnight(day(200))),
                ours,
                foreign,
                ..facts(0, 0, &vec![0; nights], &[])
            }
        }

        /// How far the told day may be off in a night with so many days left.
        fn may_be_off(&self, nights: usize, left: i32) -> i32 {
            let to_pause = if nights < self.pause.end {
                self.pause.len()
            } else {
                0
            };
            7.max(left / 10) + i32::try_from(to_pause).unwrap()
        }
    }

    fn in_cents(cents: i32) -> Usd {
        Usd::from_micros(i64::from(cents) * 10_000)
    }

    /// Of two hundred drawn accounts the day is told within a week or a tenth of the time that is
    /// left, from the third full week of use on; with a break that is to come or not over, within
    /// its length besides. A ramp is told. Nobody gets more than five mails.
    #[test]
    fn drawn_paces_are_told() {
        let mut dice = Rng::with_seed(75);
        for kind in [Kind::Steady, Kind::Labs, Kind::Break, Kind::Ramp] {
            for _ in 0..50 {
                let drawn = Drawn::new(kind, &mut dice);
                let begins = drawn.ours.iter().position(|used| *used > 0).unwrap();
                let mut admins = MailedAdmins::default();
                for nights in 0..=drawn.gone {
                    let facts = drawn.after(nights);
                    let purchase = facts.purchase();
                    admins.look(purchase, facts.read_at);
                    let told = purchase
                        .gone
                        .map(|gone| days_between(facts.today(), gone.day));
                    let left = i32::try_from(drawn.gone - nights).unwrap();
                    let is_idle = !drawn.ours[nights.saturating_sub(28)..nights]
                        .iter()
                        .any(|used| *used > 0);
                    if nights < begins + 14 || kind == Kind::Ramp {
                    } else if is_idle {
                        assert_eq!(told, None);
                    } else {
                        let is_near = told.is_some_and(|told| {
                            (told - left).abs() <= drawn.may_be_off(nights, left)
                        });
                        assert!(
                            is_near,
                            "{kind:?}, night {nights}: {left} days, told {told:?}"
                        );
                    }
                }
                assert!(
                    !admins.mails.is_empty() && admins.mails.len() <= 5,
                    "{kind:?}: {:?}",
                    admins.mails
                );
            }
        }
    }
}
