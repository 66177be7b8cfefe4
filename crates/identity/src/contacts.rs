//! E-mail addresses and phone numbers in the one spelling that is stored and compared.

use std::fmt;

/// An e-mail address in lower case.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct EmailAddress(String);

/// A phone number in E.164: `+212612345678`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct PhoneNumber(String);

/// RFC 5321 section 4.5.3.1: of the part before the `@`, and of the whole address as RFC 3696
/// erratum 1690 derives it from there.
const LOCAL_PART_LENGTH_MAX: usize = 64;
const EMAIL_LENGTH_MAX: usize = 254;
/// RFC 1035 section 2.3.4.
const LABEL_LENGTH_MAX: usize = 63;
/// Fifteen digits, and room for the ways people group them.
const PHONE_TEXT_LENGTH_MAX: usize = 40;

impl EmailAddress {
    /// `None` unless it looks like an address. Only ASCII: letters that merely look alike must not
    /// make two accounts of one address.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let email = text.trim().to_ascii_lowercase();
        let (local, domain) = email.split_once('@')?;
        let valid = email.len() <= EMAIL_LENGTH_MAX && is_local_part(local) && is_domain(domain);
        valid.then_some(Self(email))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// The dot-string of RFC 5321 section 4.1.2; nobody has a quoted one.
fn is_local_part(text: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-/=?^_`{|}~".contains(&byte))
    };
    text.len() <= LOCAL_PART_LENGTH_MAX && text.split('.').all(is_atom)
}

fn is_domain(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=LABEL_LENGTH_MAX).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    text.contains('.') && text.split('.').all(is_label)
}

impl PhoneNumber {
    /// `None` unless it is a number that its country can assign, written with `+` or `00` and the
    /// country's code: without one it would mean different people in different countries.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let spelled =
            |one: char| one.is_ascii_digit() || one.is_whitespace() || "+-.()/".contains(one);
        if text.len() > PHONE_TEXT_LENGTH_MAX || !text.chars().all(spelled) {
            return None;
        }
        let international = match text.strip_prefix("00") {
            Some(rest) => format!("+{rest}"),
            None => text.to_owned(),
        };
        if !international.starts_with('+') {
            return None;
        }
        let number = phonenumber::parse(None, international).ok()?;
        number.is_valid().then(|| Self(number.format().mode(phonenumber::Mode::E164).to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for EmailAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("EmailAddress(redacted)")
    }
}

impl fmt::Debug for PhoneNumber {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("PhoneNumber(redacted)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_trimmed_and_lower_cased() {
        for (text, expected) in [
            ("amina@example.com", "amina@example.com"),
            ("  Amina@Example.COM\n", "amina@example.com"),
            (
                "amina.el-idrissi+bank@mail.example.co.ma",
                "amina.el-idrissi+bank@mail.example.co.ma",
            ),
            ("o'brien@example.ie", "o'brien@example.ie"),
        ] {
            assert_eq!(EmailAddress::parse(text).unwrap().as_str(), expected);
        }
    }

    #[test]
    fn what_is_not_an_address_is_refused() {
        let long_local = format!("{}@example.com", "a".repeat(65));
        let long_label = format!("a@{}.com", "a".repeat(64));
        let long = format!("a@{}com", "example.".repeat(32));
        for text in [
            "",
            "@",
            "amina",
            "amina@",
            "@example.com",
            "amina@localhost",
            "a@b@example.com",
            "a b@example.com",
            "a\u{7}@example.com",
            "a..b@example.com",
            ".a@example.com",
            "a.@example.com",
            "a@.com",
            "a@example.",
            "a@-example.com",
            "a@example-.com",
            "a@exa_mple.com",
            "\"a b\"@example.com",
            "аmina@example.com",
            "a@exämple.com",
            "a\u{200b}@example.com",
            &long_local,
            &long_label,
            &long,
        ] {
            assert_eq!(EmailAddress::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn the_longest_address_is_accepted() {
        let email = format!(
            "{}@{}.{}.{}.com",
            "a".repeat(64),
            "b".repeat(63),
            "c".repeat(63),
            "d".repeat(57)
        );
        assert_eq!(email.len(), 254);
        assert!(EmailAddress::parse(&email).is_some());
        assert!(EmailAddress::parse(&email.replace("@b", "@bb")).is_none());
    }

    #[test]
    fn spellings_of_a_number_become_one() {
        for text in [
            "+212612345678",
            " +212 6 12 34 56 78 ",
            "00212612345678",
            "+212-612-345-678",
            "+212 (6) 12.34.56.78",
            "00 212 612 345 678",
        ] {
            assert_eq!(PhoneNumber::parse(text).unwrap().as_str(), "+212612345678", "{text:?}");
        }
        assert_eq!(PhoneNumber::parse("+33 6 12 34 56 78").unwrap().as_str(), "+33612345678");
    }

    #[test]
    fn what_is_not_a_number_anyone_can_have_is_refused() {
        let long = format!("+{}", "1".repeat(60));
        for text in [
            "",
            "+",
            "00",
            "0612345678",
            "612345678",
            "+2126",
            "+212612345678901",
            "+999123456789",
            "+1 800 FLOWERS",
            "+212612345678;ext=5",
            "tel:+212612345678",
            "+٢١٢٦١٢٣٤٥٦٧٨",
            &long,
        ] {
            assert_eq!(PhoneNumber::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn contacts_do_not_print() {
        let email = EmailAddress::parse("amina@example.com").unwrap();
        let phone = PhoneNumber::parse("+212612345678").unwrap();
        let text = format!("{email:?} {phone:?}");
        assert!(!text.contains("amina") && !text.contains("612345678"), "{text}");
    }
}
