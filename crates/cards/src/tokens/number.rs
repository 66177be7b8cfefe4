//! Card numbers, the tokens that stand for them, and how one becomes the other. No I/O.

use super::dice::{Dice, NoRandomness};
use secrecy::{ExposeSecret, SecretString};
use std::ops::RangeInclusive;

/// How many digits a card number has (ISO/IEC 7812-1).
const LENGTHS: RangeInclusive<usize> = 12..=19;
/// The digits that are printed on receipts.
const LAST: usize = 4;
/// The digits that name the issuer.
const FIRST: usize = 6;
/// How many digits have to stay unknown where the issuer's are kept.
const HIDDEN_MIN: usize = 6;

/// A card number (PAN): 12 to 19 digits that pass the Luhn check. Does not print, and is wiped from memory.
#[derive(Clone)]
pub struct CardNumber(SecretString);

/// What stands for a card number: as many digits, which fail the Luhn check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CardToken(String);

/// The text is not a card number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCardNumber {
    /// It has other characters, or too few or too many.
    #[error("must have 12 to 19 digits and nothing else")]
    NotDigits,
    /// The check digit is another.
    #[error("is not a card number: its last digit does not fit the others")]
    WrongCheckDigit,
}

/// The text is not a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCardToken {
    /// It has other characters, or too few or too many.
    #[error("must have 12 to 19 digits and nothing else")]
    NotDigits,
    /// It passes the Luhn check.
    #[error(
        "is not a token; it may be a card number, which is to be sent nowhere but to be tokenized"
    )]
    MayBeCardNumber,
}

impl CardNumber {
    /// The number that these digits are.
    pub fn try_new(digits: SecretString) -> Result<Self, InvalidCardNumber> {
        if !is_digits(digits.expose_secret()) {
            return Err(InvalidCardNumber::NotDigits);
        }
        if !passes_luhn(digits.expose_secret()) {
            return Err(InvalidCardNumber::WrongCheckDigit);
        }
        Ok(Self(digits))
    }

    /// The digits, for whoever needs the number itself.
    pub fn expose_digits(&self) -> &str {
        self.0.expose_secret()
    }
}

impl std::fmt::Debug for CardNumber {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("CardNumber([REDACTED])")
    }
}

impl CardToken {
    /// The token that these digits are.
    pub fn try_new(digits: &str) -> Result<Self, InvalidCardToken> {
        if !is_digits(digits) {
            return Err(InvalidCardToken::NotDigits);
        }
        if passes_luhn(digits) {
            return Err(InvalidCardToken::MayBeCardNumber);
        }
        Ok(Self(digits.to_owned()))
    }

    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The last four, which are those of the card number.
    pub fn last_four(&self) -> &str {
        self.0.get(self.0.len().saturating_sub(LAST)..).unwrap_or_default()
    }

    /// Draws a token for a number, each with the same probability: the digits that are not kept are any,
    /// but for the last of them, which is one of the nine that make the Luhn check fail.
    pub(super) fn draw(number: &CardNumber, dice: &dyn Dice) -> Result<Self, NoRandomness> {
        let digits = number.expose_digits();
        let (first, last) = kept(digits);
        let hidden = digits.len().saturating_sub(first.len()).saturating_sub(last.len());
        let mut begin = first.to_owned();
        for _ in 1..hidden {
            begin.extend(char::from_digit(u32::from(dice.below(10)?), 10));
        }
        let failing: Vec<String> = (0..10_u8)
            .map(|digit| format!("{begin}{digit}{last}"))
            .filter(|candidate| !passes_luhn(candidate))
            .collect();
        // A check digit fits one of ten.
        let chosen = dice.below(u8::try_from(failing.len()).unwrap_or(u8::MAX))?;
        failing.into_iter().nth(usize::from(chosen)).map(Self).ok_or(NoRandomness)
    }
}

/// The digits of a number that its tokens share: at the beginning, and at the end.
fn kept(digits: &str) -> (&str, &str) {
    let (begin, last) = digits.split_at(digits.len().saturating_sub(LAST));
    let keeps_first = begin.len() >= FIRST.saturating_add(HIDDEN_MIN);
    (if keeps_first { &begin[..FIRST] } else { "" }, last)
}

fn is_digits(text: &str) -> bool {
    LENGTHS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// ISO/IEC 7812-1 annex B, of a text of digits: every second digit from the right is doubled, the digits of
/// the products and the others add up to a multiple of ten.
fn passes_luhn(digits: &str) -> bool {
    const DOUBLED: [u32; 10] = [0, 2, 4, 6, 8, 1, 3, 5, 7, 9];
    let values = digits.chars().rev().filter_map(|digit| digit.to_digit(10)).enumerate();
    let sum: u32 = values
        .map(|(place, digit)| match place % 2 {
            0 => digit,
            _ => DOUBLED.into_iter().nth(usize::try_from(digit).unwrap_or(0)).unwrap_or(0),
        })
        .sum();
    sum.is_multiple_of(10)
}

/// Whether there is a card number in a text that people write, also in groups of digits with spaces or
/// hyphens between them.
pub fn contains_card_number(text: &str) -> bool {
    let is_number = |digits: &str| is_digits(digits) && passes_luhn(digits);
    let not_digit = |letter: char| !letter.is_ascii_digit();
    let in_groups = text
        .split(|letter: char| not_digit(letter) && !" -".contains(letter))
        .map(|part| part.chars().filter(char::is_ascii_digit).collect::<String>());
    text.split(not_digit).any(is_number) || in_groups.into_iter().any(|digits| is_number(&digits))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::arithmetic_side_effects, reason = "a test fails by panicking")]

    use super::*;
    use crate::tokens::dice::SystemDice;
    use proptest::prelude::*;
    use std::collections::BTreeSet;
    use std::sync::Mutex;

    /// Numbers that card schemes and acquirers publish for tests.
    const NUMBERS: [&str; 12] = [
        "4111111111111111",
        "4012888888881881",
        "4222222222222",
        "5555555555554444",
        "5105105105105100",
        "2223003122003222",
        "378282246310005",
        "30569309025904",
        "6011111111111117",
        "3530111333300000",
        "6759649826438453",
        "6304000000000000000",
    ];

    fn number(digits: &str) -> CardNumber {
        CardNumber::try_new(digits.into()).unwrap()
    }

    /// The digits with the check digit that makes them a number.
    fn completed(digits: &str) -> String {
        let checked = (0..10).map(|digit| format!("{digits}{digit}"));
        let fitting: Vec<_> = checked.filter(|digits| passes_luhn(digits)).collect();
        assert_eq!(fitting.len(), 1, "one check digit fits");
        fitting[0].clone()
    }

    #[test]
    fn published_numbers_pass_and_their_neighbours_fail() {
        // The example of ISO/IEC 7812-1 annex B.
        assert!(passes_luhn("49927398716") && passes_luhn("79927398713"));
        assert!(!passes_luhn("49927398717") && !passes_luhn("1234567812345678"));
        for digits in NUMBERS {
            number(digits);
            for at in 0..digits.len() {
                for other in (b'0'..=b'9').filter(|other| *other != digits.as_bytes()[at]) {
                    let mut wrong = digits.as_bytes().to_vec();
                    wrong[at] = other;
                    let wrong = String::from_utf8(wrong).unwrap();
                    let refused = CardNumber::try_new(wrong.as_str().into()).unwrap_err();
                    assert_eq!(refused, InvalidCardNumber::WrongCheckDigit, "{wrong}");
                }
            }
        }
    }

    #[test]
    fn numbers_have_12_to_19_digits_and_nothing_else() {
        for length in 1..40 {
            let digits = completed(&"7".repeat(length - 1));
            let made = CardNumber::try_new(digits.into()).map(drop);
            let expected =
                if LENGTHS.contains(&length) { Ok(()) } else { Err(InvalidCardNumber::NotDigits) };
            assert_eq!(made, expected, "{length}");
        }
        for text in [
            "",
            "4111 1111 1111 1111",
            "4111-1111-1111-1111",
            "٤١١١١١١١١١١١١١١١",
            "+411111111111111",
        ] {
            let refused = CardNumber::try_new(text.into()).map(drop);
            assert_eq!(refused, Err(InvalidCardNumber::NotDigits), "{text}");
        }
    }

    #[test]
    fn nothing_prints_a_number() {
        assert_eq!(format!("{:?}", number("4111111111111111")), "CardNumber([REDACTED])");
    }

    #[test]
    fn a_number_is_no_token() {
        for digits in NUMBERS {
            assert_eq!(CardToken::try_new(digits), Err(InvalidCardToken::MayBeCardNumber));
        }
        assert_eq!(CardToken::try_new("411111111111"), Ok(CardToken("411111111111".into())));
        assert_eq!(CardToken::try_new("41111111111"), Err(InvalidCardToken::NotDigits));
    }

    /// Says the same for ever.
    struct Always(u8);

    impl Dice for Always {
        fn below(&self, bound: u8) -> Result<u8, NoRandomness> {
            Ok(self.0.min(bound.saturating_sub(1)))
        }
    }

    #[test]
    fn the_issuer_is_kept_where_enough_stays_hidden() {
        for (digits, begin) in [
            ("4111111111111111", "411111"),
            ("6304000000000000000", "630400"),
            ("378282246310005", "9"),
        ] {
            let token = CardToken::draw(&number(digits), &Always(9)).unwrap();
            assert!(token.as_str().starts_with(begin), "{token:?}");
            assert_eq!(token.last_four(), &digits[digits.len() - 4..]);
        }
    }

    #[test]
    fn every_token_can_be_drawn_and_none_more_often() {
        /// Says what stands in a script.
        struct Scripted(Mutex<Vec<u8>>);
        impl Dice for Scripted {
            fn below(&self, bound: u8) -> Result<u8, NoRandomness> {
                let said = self.0.lock().unwrap().remove(0);
                assert!(said < bound);
                Ok(said)
            }
        }
        // Sixteen digits have six hidden ones; five of them any, the last one of nine.
        let number = number("4111111111111111");
        let mut seen = BTreeSet::new();
        for said in 0..900_u32 {
            let script = [0, 0, 0, said / 90 % 10, said / 9 % 10, said % 9];
            let script = script.map(|digit| u8::try_from(digit).unwrap()).to_vec();
            let dice = Scripted(Mutex::new(script));
            let token = CardToken::draw(&number, &dice).unwrap();
            assert!(CardToken::try_new(token.as_str()).is_ok());
            assert!(seen.insert(token.0));
        }
        assert_eq!(seen.len(), 900);
    }

    #[test]
    fn card_numbers_are_found_in_texts() {
        for text in [
            "4111111111111111",
            "the card 4111 1111 1111 1111 was stolen",
            "4111-1111-1111-1111?",
            "(378282246310005)",
            "ref 1: 5555555555554444.",
        ] {
            assert!(contains_card_number(text), "{text}");
        }
        for text in [
            "",
            "Chargeback 2026-11-23, case 4711",
            "4111111111111112",
            "a1b2c3d4-0000-7000-8000-000000004711",
            "411111111111111111111111",
        ] {
            assert!(!contains_card_number(text), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_token_looks_like_its_number_and_is_none(digits in "[0-9]{11,18}") {
            let number = number(&completed(&digits));
            let digits = number.expose_digits();
            let token = CardToken::draw(&number, &SystemDice).unwrap();
            prop_assert!(!passes_luhn(token.as_str()));
            prop_assert_eq!(token.as_str().len(), digits.len());
            prop_assert_eq!(token.last_four(), &digits[digits.len() - 4..]);
            let keeps_issuer = digits.len() >= 16;
            prop_assert!(!keeps_issuer || token.as_str()[..6] == digits[..6]);
            prop_assert_eq!(CardToken::try_new(token.as_str()), Ok(token.clone()));
            prop_assert!(CardNumber::try_new(token.as_str().into()).is_err());
        }

        #[test]
        fn two_digits_that_change_places_are_noticed(digits in "[0-9]{11,18}", at in 0_usize..17) {
            let digits = completed(&digits);
            let at = at % (digits.len() - 1);
            let (one, other) = (digits.as_bytes()[at], digits.as_bytes()[at + 1]);
            // The check cannot tell 09 from 90.
            prop_assume!(one != other && one.abs_diff(other) != 9);
            let mut swapped = digits.into_bytes();
            swapped.swap(at, at + 1);
            prop_assert!(!passes_luhn(&String::from_utf8(swapped).unwrap()));
        }
    }
}
