//! Which passwords are accepted. Length and not being guessable count; rules about kinds of
//! characters do not (NIST SP 800-63B section 3.1.1.2).

/// In characters.
const LENGTH_MIN: usize = 10;
const LENGTH_MAX: usize = 128;

/// Passwords that guessers try first: the most used ones, and the words that people like with what
/// they usually put behind them. In lower case, and only what is long enough to get here.
const COMMON: &str = include_str!("common_passwords.txt");

/// Says what is wrong with a password, if anything. `own` is what anybody may know of its owner:
/// e-mail address, phone number, name.
pub(crate) fn objection(password: &str, own: &[&str]) -> Option<&'static str> {
    if !(LENGTH_MIN..=LENGTH_MAX).contains(&password.chars().count()) {
        return Some("must have 10 to 128 characters");
    }
    let folded = password.trim().to_lowercase();
    if own.iter().any(|own| own.trim().to_lowercase() == folded) {
        return Some("must not be your e-mail address, phone number or name");
    }
    COMMON
        .lines()
        .any(|common| common == folded)
        .then_some("is one of the most common passwords; choose another")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn passwords_are_long_and_not_guessable() {
        let own = ["amina@example.com", "+212612345678", "Amina El Idrissi"];
        let (long, too_long) = ("é".repeat(128), "é".repeat(129));
        for (password, accepted) in [
            ("demo-Finitech-1", true),
            ("correct horse battery staple", true),
            ("ten chars!", true),
            ("nine char", false),
            ("", false),
            (&*long, true),
            (&*too_long, false),
            ("Amina@Example.com", false),
            ("+212612345678", false),
            ("amina el idrissi", false),
            ("Password123", false),
            ("1234567890", false),
            (" qwertyuiop ", false),
        ] {
            assert_eq!(objection(password, &own).is_none(), accepted, "{password:?}");
        }
    }

    #[test]
    fn the_list_holds_only_what_can_match() {
        let lines: Vec<&str> = COMMON.lines().collect();
        assert!(lines.len() >= 5_000, "{}", lines.len());
        assert_eq!(lines.iter().collect::<BTreeSet<_>>().len(), lines.len());
        for line in lines {
            assert!(line.len() >= LENGTH_MIN, "{line:?}");
            assert_eq!(line, line.trim().to_lowercase());
        }
    }
}
