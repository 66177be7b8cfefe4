//! Time-based one-time passwords: RFC 6238 with SHA-1, six digits and steps of 30 seconds, which is
//! what authenticator apps know.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use data_encoding::BASE32_NOPAD;
use kernel::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

/// RFC 4226 section 4 recommends 160 bits.
pub(super) const SECRET_BYTES: usize = 20;
const STEP_SECONDS: i64 = 30;
const DIGITS: usize = 6;
/// How many steps a phone's clock, and the time of typing, may be off.
const TOLERANCE: i64 = 1;

/// The step at an instant.
fn step_at(now: Timestamp) -> i64 {
    now.as_seconds().div_euclid(STEP_SECONDS)
}

/// The step whose code this is, if it is near and later than `last_used`: a code counts once
/// (RFC 6238 section 5.2).
pub(super) fn matching_step(
    secret: &[u8],
    code: &str,
    now: Timestamp,
    last_used: i64,
) -> Option<i64> {
    let step = step_at(now);
    let near = step.saturating_sub(TOLERANCE)..=step.saturating_add(TOLERANCE);
    // All of them are compared, whichever matches.
    near.fold(None, |found, step| {
        let right = code_at(secret, step, DIGITS);
        let same = verify_slices_are_equal(right.as_bytes(), code.as_bytes()).is_ok();
        if same && step > last_used { Some(step) } else { found }
    })
}

/// RFC 4226 section 5.3: the dynamic truncation of the HMAC of the step.
fn code_at(secret: &[u8], step: i64, digits: usize) -> String {
    let tag = sign(&Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret), &step.to_be_bytes());
    let tag = tag.as_ref();
    let offset = usize::from(tag.last().copied().unwrap_or_default() & 0x0f);
    let four = tag.iter().skip(offset).take(4);
    let number = four.fold(0_u64, |number, byte| (number << 8) | u64::from(*byte)) & 0x7fff_ffff;
    let all = format!("{number:010}");
    all.split_at(all.len().saturating_sub(digits)).1.to_owned()
}

/// RFC 4648 section 6, without padding, as apps take it.
pub(super) fn base32(bytes: &[u8]) -> String {
    BASE32_NOPAD.encode(bytes)
}

/// What an authenticator app reads from the QR code.
pub(super) fn uri(issuer: &str, account: &str, secret: &[u8]) -> String {
    let (issuer, account) = (percent(issuer), percent(account));
    format!(
        "otpauth://totp/{issuer}:{account}?secret={}&issuer={issuer}\
         &algorithm=SHA1&digits={DIGITS}&period={STEP_SECONDS}",
        base32(secret)
    )
}

/// RFC 3986 section 2.1: everything but the unreserved characters of section 2.3.
fn percent(text: &str) -> PercentEncode<'_> {
    const RESERVED: &AsciiSet =
        &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
    utf8_percent_encode(text, RESERVED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const SECRET: &[u8] = b"12345678901234567890";

    fn at(seconds: u64) -> Timestamp {
        Timestamp::EPOCH.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn codes_are_those_of_rfc_6238_appendix_b() {
        for (seconds, expected) in [
            (59, "94287082"),
            (1_111_111_109, "07081804"),
            (1_111_111_111, "14050471"),
            (1_234_567_890, "89005924"),
            (2_000_000_000, "69279037"),
            (20_000_000_000, "65353130"),
        ] {
            let step = step_at(at(seconds));
            assert_eq!(code_at(SECRET, step, 8), expected);
            assert_eq!(code_at(SECRET, step, 6), &expected[2..]);
        }
    }

    #[test]
    fn a_code_counts_near_its_time_and_once() {
        let code = "287082"; // of step 1, the seconds 30 to 59
        for (seconds, last_used, step) in [
            (0, 0, Some(1)),
            (59, 0, Some(1)),
            (89, 0, Some(1)),
            (90, 0, None),
            (59, 1, None),
            (59, 2, None),
        ] {
            assert_eq!(matching_step(SECRET, code, at(seconds), last_used), step, "{seconds}");
        }
        for wrong in ["287083", "", "28708", "2870820", "94287082", " 287082"] {
            assert_eq!(matching_step(SECRET, wrong, at(59), 0), None, "{wrong}");
        }
    }

    #[test]
    fn base32_is_that_of_rfc_4648_section_10() {
        for (text, expected) in [
            ("", ""),
            ("f", "MY"),
            ("fo", "MZXQ"),
            ("foo", "MZXW6"),
            ("foob", "MZXW6YQ"),
            ("fooba", "MZXW6YTB"),
            ("foobar", "MZXW6YTBOI"),
        ] {
            assert_eq!(base32(text.as_bytes()), expected);
        }
    }

    #[test]
    fn apps_can_read_the_uri() {
        assert_eq!(
            uri("Finitech", "amina+bank@example.com", SECRET),
            "otpauth://totp/Finitech:amina%2Bbank%40example.com\
             ?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ&issuer=Finitech\
             &algorithm=SHA1&digits=6&period=30"
        );
    }
}
