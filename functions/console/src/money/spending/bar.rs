//! A budget as one bar, which `parts.html` draws for those who see it: what was spent of it, what
//! is promised to students and not spent yet, what is free, and what goes beyond it. The same in
//! numbers stands beside it.

use bursar_core::clock::Moment;
use bursar_core::domain::programme::{Budget, Settings};
use bursar_core::domain::usage::burn::Burn;
use bursar_core::domain::values::money::{Usd, round_to_cents};

/// The width of the drawing in its own units.
const WIDTH: i64 = 1000;

pub(crate) struct MoneyBar {
    pub(crate) spent: Usd,
    /// What is promised to students, what they have spent included.
    pub(crate) reserved: Usd,
    pub(crate) implied: Usd,
    pub(crate) budget: Usd,
    /// What the present pace leads to, and that in words.
    pub(crate) ahead: Option<(Usd, String)>,
}

impl MoneyBar {
    pub(crate) fn new(
        settings: &Settings,
        budget: &Budget,
        burn: &Burn<'_>,
        now: Moment,
    ) -> MoneyBar {
        MoneyBar {
            spent: burn.spent.total(),
            reserved: budget.reserved,
            implied: budget.implied(settings, now),
            budget: budget.limit,
            ahead: burn.scene().ahead.map(|(_, amount, words)| (amount, words)),
        }
    }

    /// What is spent, what is promised and not spent yet, and what is free, in cents: together the
    /// budget, unless the first two pass it.
    pub(crate) fn in_cents(&self) -> Vec<Usd> {
        round_to_cents([self.spent, self.to_come(), self.free()])
    }

    /// By how much what is spent or promised passes the budget.
    pub(crate) fn beyond(&self) -> Option<Usd> {
        Some(self.taken() - self.budget).filter(|beyond| *beyond > Usd::ZERO)
    }

    /// What is spent or promised.
    fn taken(&self) -> Usd {
        self.reserved.max(self.spent)
    }

    pub(crate) fn free(&self) -> Usd {
        (self.budget - self.taken()).or_zero()
    }

    pub(crate) fn to_come(&self) -> Usd {
        (self.reserved - self.spent).or_zero()
    }

    /// By how much the budget is short if everybody claims.
    pub(crate) fn short_by(&self) -> Option<Usd> {
        Some(self.implied.max(self.taken()) - self.budget).filter(|short| *short > Usd::ZERO)
    }

    /// Where an amount stands on the bar.
    pub(crate) fn place(&self, amount: &Usd) -> i64 {
        let ahead = self.ahead.as_ref().map_or(Usd::ZERO, |(amount, _)| *amount);
        let whole = self
            .budget
            .max(self.taken())
            .max(self.implied)
            .max(ahead)
            .max(Usd::CENT);
        amount.scale(whole, WIDTH)
    }

    /// The parts that are not empty: their class, where they begin and how wide they are.
    pub(crate) fn parts(&self) -> Vec<(&'static str, i64, i64)> {
        let ends = [
            ("spent", self.spent.min(self.budget)),
            ("promised", self.taken().min(self.budget)),
            ("free", self.budget),
            ("beyond", self.taken()),
            ("perhaps", self.implied.max(self.budget)),
        ];
        let mut from = 0;
        let mut parts = Vec::new();
        for (class, end) in ends {
            let end = self.place(&end);
            if end > from {
                parts.push((class, from, end - from));
                from = end;
            }
        }
        parts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bar(spent: i32, reserved: i32, implied: i32, budget: i32) -> MoneyBar {
        let [spent, reserved, implied, budget] =
            [spent, reserved, implied, budget].map(Usd::from_dollars);
        MoneyBar {
            spent,
            reserved,
            implied,
            budget,
            ahead: None,
        }
    }

    #[test]
    fn a_bar_ends_at_the_budget_unless_more_is_promised_or_implied() {
        let inside = bar(40, 340, 400, 500);
        assert_eq!(
            inside.parts(),
            [("spent", 0, 80), ("promised", 80, 600), ("free", 680, 320)]
        );
        assert_eq!(
            (inside.short_by(), inside.place(&inside.implied)),
            (None, 800)
        );
        let implied = bar(0, 40, 60, 50);
        assert_eq!(
            implied.parts(),
            [
                ("promised", 0, 666),
                ("free", 666, 167),
                ("perhaps", 833, 167)
            ]
        );
        let promised = bar(10, 80, 100, 50);
        let beyond = [
            ("spent", 0, 100),
            ("promised", 100, 400),
            ("beyond", 500, 300),
            ("perhaps", 800, 200),
        ];
        assert_eq!(promised.parts(), beyond);
        assert_eq!(bar(0, 0, 0, 0).parts(), []);
    }

    #[test]
    fn three_figures_are_the_budget() {
        let cents = |bar: &MoneyBar| {
            bar.in_cents()
                .iter()
                .map(|usd| usd.micros() / 10_000)
                .collect::<Vec<_>>()
        };
        let pilot = MoneyBar {
            spent: Usd::from_micros(104_601_900),
            ..bar(0, 360, 400, 400)
        };
        assert_eq!(
            (cents(&pilot), pilot.beyond()),
            (vec![10_460, 25_540, 4_000], None)
        );
        let lowered = bar(10, 80, 100, 50);
        assert_eq!(
            (cents(&lowered), lowered.beyond()),
            (vec![1_000, 7_000, 0], Some(Usd::from_dollars(30)))
        );
        let overspent = bar(60, 50, 50, 50);
        assert_eq!(
            (cents(&overspent), overspent.beyond()),
            (vec![6_000, 0, 0], Some(Usd::from_dollars(10)))
        );
    }
}
