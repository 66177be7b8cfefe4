#![expect(clippy::arithmetic_side_effects, reason = "overflow fails a test as it should")]

use super::*;
use proptest::prelude::*;

fn mad(minor_units: i64) -> Money {
    Money::new(minor_units, Currency::MAD)
}

#[test]
fn sums_and_differences_stay_in_one_currency() {
    assert_eq!(mad(1_000).checked_add(mad(500)), Ok(mad(1_500)));
    assert_eq!(mad(500).checked_sub(mad(1_000)), Ok(mad(-500)));
    assert_eq!(
        mad(1).checked_add(Money::new(1, Currency::EUR)),
        Err(MoneyError::CurrencyMismatch { left: Currency::MAD, right: Currency::EUR })
    );
}

#[test]
fn overflow_is_an_error_and_never_wraps() {
    assert_eq!(mad(i64::MAX).checked_add(mad(1)), Err(MoneyError::Overflow));
    assert_eq!(mad(i64::MIN).checked_sub(mad(1)), Err(MoneyError::Overflow));
    assert_eq!(mad(i64::MIN).checked_neg(), Err(MoneyError::Overflow));
}

#[test]
fn a_hundred_by_three_loses_nothing() {
    assert_eq!(mad(100).allocate(&[1, 1, 1]), Ok(vec![mad(34), mad(33), mad(33)]));
    assert_eq!(mad(-100).allocate(&[1, 1, 1]), Ok(vec![mad(-34), mad(-33), mad(-33)]));
    assert_eq!(mad(5).allocate(&[3, 7]), Ok(vec![mad(2), mad(3)]));
    assert_eq!(mad(7).allocate(&[0, 1]), Ok(vec![mad(0), mad(7)]));
}

#[test]
fn shares_must_be_positive_in_sum_and_never_negative() {
    for shares in [&[][..], &[0], &[0, 0], &[2, -1]] {
        assert_eq!(mad(100).allocate(shares), Err(MoneyError::InvalidShares), "{shares:?}");
    }
}

#[test]
fn amounts_are_written_with_the_decimals_of_their_currency() {
    for (amount, text) in [
        (mad(25_000), "250.00 MAD"),
        (mad(5), "0.05 MAD"),
        (mad(-5), "-0.05 MAD"),
        (mad(i64::MIN), "-92233720368547758.08 MAD"),
        (Money::new(25_000, Currency::JPY), "25000 JPY"),
        (Money::new(0, Currency::JPY), "0 JPY"),
        (Money::new(1, Currency::TND), "0.001 TND"),
    ] {
        assert_eq!(amount.to_string(), text);
    }
}

proptest! {
    #[test]
    fn an_allocation_sums_to_the_amount(
        amount in any::<i64>(),
        shares in proptest::collection::vec(0..=i64::MAX, 1..20),
    ) {
        let money = mad(amount);
        match money.allocate(&shares) {
            Ok(parts) => {
                let sum: i128 = parts.iter().map(|part| i128::from(part.minor_units())).sum();
                prop_assert_eq!(sum, i128::from(amount));
                prop_assert_eq!(parts.len(), shares.len());
            }
            Err(error) => {
                prop_assert_eq!(error, MoneyError::InvalidShares);
                prop_assert!(shares.iter().all(|&share| share == 0));
            }
        }
    }

    #[test]
    fn equal_shares_differ_by_at_most_one_unit(amount in any::<i64>(), count in 1_usize..50) {
        let parts = mad(amount).allocate(&vec![1; count]).unwrap();
        let units = || parts.iter().map(|part| i128::from(part.minor_units()));
        prop_assert!(units().max().unwrap() - units().min().unwrap() <= 1);
    }
}
