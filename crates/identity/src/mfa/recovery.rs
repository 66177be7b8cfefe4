//! Recovery codes, for whoever lost the device: `4K7QX-MB2WT`. The first character says which of the
//! ten it is, so that only one hash has to be compared; the other nine are random.

use super::totp::base32;
use crate::passwords::HashingError;
use secrecy::SecretString;

/// How many there are.
pub(super) const COUNT: u8 = 10;
const RANDOM_CHARACTERS: usize = 9;
/// Enough for nine characters of five bits.
const RANDOM_BYTES: usize = 6;
const GROUP_LENGTH: usize = 5;

/// A new code, as people read it.
pub(super) fn generate(position: u8) -> Result<SecretString, HashingError> {
    let mut bytes = [0; RANDOM_BYTES];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| HashingError::Randomness)?;
    let random: String = base32(&bytes).chars().take(RANDOM_CHARACTERS).collect();
    let code = format!("{position}{random}");
    let (one, other) = code.split_at(GROUP_LENGTH);
    Ok(format!("{one}-{other}").into())
}

/// The position of a code as somebody typed it, and the spelling that was hashed; `None` if it is
/// not one.
pub(super) fn parse(typed: &str) -> Option<(i64, SecretString)> {
    let code: String = typed
        .chars()
        .filter(|one| !one.is_whitespace() && *one != '-')
        .map(|one| one.to_ascii_uppercase())
        .collect();
    let is_code = code.len() == RANDOM_CHARACTERS.saturating_add(1)
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let position = code.chars().next().and_then(|first| first.to_digit(10)).filter(|_| is_code)?;
    let (one, other) = code.split_at(GROUP_LENGTH);
    Some((position.into(), format!("{one}-{other}").into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn codes_are_read_however_they_are_typed() {
        for position in 0..COUNT {
            let code = generate(position).unwrap();
            let text = code.expose_secret();
            assert_eq!(text.len(), 11);
            for typed in [text.to_owned(), text.to_lowercase(), text.replace('-', " ")] {
                let (found, spelled) = parse(&typed).unwrap();
                assert_eq!((found, spelled.expose_secret()), (position.into(), text));
            }
        }
        let (one, other) = (generate(0).unwrap(), generate(0).unwrap());
        assert_ne!(one.expose_secret(), other.expose_secret());
    }

    #[test]
    fn what_is_no_code_is_not_read() {
        for typed in ["", "123456", "AAAAA-AAAAA", "0AAAA-AAAA", "0AAAA-AAAAAA", "0AAAA-AAAÉ"] {
            assert!(parse(typed).is_none(), "{typed}");
        }
    }
}
