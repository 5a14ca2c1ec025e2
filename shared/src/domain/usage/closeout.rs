//! Sums that add up in whole cents: a column of rounded amounts whose sum is the rounded sum.

use std::cmp::Reverse;

use crate::prelude::*;

/// These amounts in whole cents, in their order. Their sum is the exact sum rounded up to the cent, and each
/// is less than a cent from its exact amount. None of the amounts may be below zero.
pub fn in_cents(amounts: &[Usd]) -> Vec<Usd> {
    let mut cents: Vec<Usd> = amounts.iter().map(|amount| amount.whole_cents()).collect();
    let exact: Usd = amounts.iter().copied().sum();
    let mut missing = (exact - cents.iter().copied().sum()).micros();
    let mut largest: Vec<usize> = (0..amounts.len()).collect();
    // The sort is stable, so of equal rests the first gets its cent first.
    largest.sort_by_key(|place| Reverse(amounts[*place] - cents[*place]));
    for place in largest {
        if missing <= 0 {
            break;
        }
        cents[place] += Usd::CENT;
        missing -= Usd::CENT.micros();
    }
    cents
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rounded_amounts_add_up_to_the_rounded_sum_and_each_is_within_a_cent(
            micros in prop::collection::vec(0_i64..50_000, 0..40),
        ) {
            let amounts: Vec<Usd> = micros.into_iter().map(Usd::from_micros).collect();
            let cents = in_cents(&amounts);
            let (exact, rounded): (Usd, Usd) = (amounts.iter().copied().sum(), cents.iter().copied().sum());
            prop_assert_eq!(rounded.to_cents_down(), exact.to_cents_up());
            for (amount, cents) in amounts.iter().zip(&cents) {
                prop_assert_eq!(*cents, cents.whole_cents());
                prop_assert!((*amount - *cents).abs() < Usd::CENT, "{amount:?} is {cents:?}");
            }
        }
    }

    #[test]
    fn the_largest_rests_get_the_cents_that_are_missing() {
        let usd = |micros: &[i64]| micros.iter().copied().map(Usd::from_micros).collect::<Vec<_>>();
        assert_eq!(in_cents(&usd(&[14_000, 17_000, 0, 13_000])), usd(&[20_000, 20_000, 0, 10_000]));
        assert_eq!(in_cents(&usd(&[1, 1])), usd(&[10_000, 0]));
        assert_eq!(in_cents(&[]), []);
    }
}
