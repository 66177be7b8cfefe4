//! Which passwords are accepted. Length and not being guessable count; rules about kinds of
//! characters do not (NIST SP 800-63B section 3.1.1.2).
//!
//! How soon a password is guessed `zxcvbn` estimates: it looks for the pieces that people make passwords
//! of (common passwords, words and names by how often they are used, keys that lie side by side, dates,
//! repetitions, and all of these with capitals, digits for letters, or backwards) and counts how many
//! tries somebody needs who tries the likeliest first. We add the words that it cannot know.

use zxcvbn::zxcvbn;

/// In characters.
const LENGTH_MIN: usize = 10;
const LENGTH_MAX: usize = 128;

/// What takes fewer guesses is refused. `zxcvbn` calls a password weak below 10^8, a bound that any three
/// pieces reach, such as a name, a year and an exclamation mark; ten times that refuses most of these, and
/// of ten random letters, the least that anybody may take, about one in a hundred. Whoever guesses here
/// gets five tries in half an hour; whoever has the hashes needs 10^9 times what Argon2id costs.
const GUESSES_MIN: u64 = 1_000_000_000;

/// How many characters are looked at together: what a guess of `zxcvbn` takes grows fast with them. The
/// worst of 32 takes about as long as a hash, the worst of 100 ten times that.
const STRETCH: usize = 32;

/// The 3,000 most used passwords that are long enough to get here, the most used one first: of ten
/// million that were stolen, as counted by Mark Burnett and published in SecLists. In lower case.
const MOST_USED: &str = include_str!("most_used.txt");

/// Words and keys of French, of Morocco and of elsewhere that people like, and that `zxcvbn`, which was
/// raised in the United States, does not know.
const LOCAL_WORDS: &str = include_str!("local_words.txt");

/// What the product is called.
const PRODUCT: &str = "finitech";

/// No piece of less is worth anything to who guesses.
const PIECE_LENGTH_MIN: usize = 3;
/// No contact or name of more is acceptable, so what is wrong is told about that.
const OWN_LENGTH_MAX: usize = 256;
/// The last digits of a phone number, from these few to all: with the country's code or without.
const DIGITS_MIN: usize = 6;

const TOO_EASY: &str = "is too easy to guess, because it is or is made of what is tried first: common \
    passwords, words and names, dates, neighbouring keys, your own name and contacts, or what belongs to \
    this service; take four words that do not belong together, or let a password manager make one";

/// Says what is wrong with passwords.
pub(super) struct Policy {
    /// What anybody thinks of who sees the service.
    context_words: Vec<String>,
}

impl Policy {
    /// With words that the operator adds: the names of the organisation and of what it sells.
    pub(super) fn new(context_words: &[String]) -> Self {
        let context = context_words.iter().map(String::as_str);
        Self { context_words: pieces(&context.chain([PRODUCT]).collect::<Vec<_>>()) }
    }

    /// What is wrong with the length, if anything. Costs nothing.
    pub(super) fn objection_to_length(password: &str) -> Option<&'static str> {
        // Nobody has to count a body of a megabyte.
        let characters = password.chars().take(LENGTH_MAX.saturating_add(1)).count();
        let is_right = (LENGTH_MIN..=LENGTH_MAX).contains(&characters);
        (!is_right).then_some("must have 10 to 128 characters")
    }

    /// What is wrong with a password of acceptable length, if anything. `own` is what anybody may know of
    /// its owner: e-mail address, phone number, name. Takes a millisecond, and at worst as long as a hash.
    pub(super) fn objection_to_guessable(
        &self,
        password: &str,
        own: &[String],
    ) -> Option<&'static str> {
        let own = pieces(&own.iter().map(String::as_str).collect::<Vec<_>>());
        let known: Vec<&str> = own
            .iter()
            .chain(&self.context_words)
            .map(String::as_str)
            .chain(LOCAL_WORDS.lines())
            .chain(MOST_USED.lines())
            .collect();
        let characters: Vec<char> = password.chars().collect();
        // One stretch that is hard to guess makes the whole hard to guess.
        let is_guessable = characters.chunks(STRETCH).all(|stretch| {
            let stretch: String = stretch.iter().collect();
            zxcvbn(&stretch, &known).guesses() < GUESSES_MIN
        });
        is_guessable.then_some(TOO_EASY)
    }
}

/// What people make passwords of who have these texts in mind: each of them, its words, its words without
/// what stands between them, and of a number its last digits.
fn pieces(texts: &[&str]) -> Vec<String> {
    let mut pieces = Vec::new();
    for text in texts {
        let text: String = text.trim().chars().take(OWN_LENGTH_MAX).collect();
        let text = text.to_lowercase();
        let words = || text.split(|letter: char| !letter.is_alphanumeric());
        let joined = words().collect::<String>();
        pieces.extend(words().map(str::to_owned));
        let local_part = text.split('@').next().unwrap_or_default();
        pieces.push(local_part.split(|one: char| !one.is_alphanumeric()).collect());
        if joined.bytes().all(|byte| byte.is_ascii_digit()) {
            let lengths = DIGITS_MIN..joined.len();
            pieces.extend(lengths.filter_map(|length| {
                joined.get(joined.len().saturating_sub(length)..).map(str::to_owned)
            }));
        }
        pieces.extend([joined, text]);
    }
    pieces.retain(|piece| piece.chars().count() >= PIECE_LENGTH_MIN);
    pieces.sort_unstable();
    pieces.dedup();
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn objection(password: &str, context_words: &[&str]) -> Option<&'static str> {
        let context_words: Vec<String> = context_words.iter().map(|&word| word.into()).collect();
        let own = ["amina@example.com", "+212612345678", "Amina El Idrissi"].map(str::to_owned);
        Policy::objection_to_length(password)
            .or_else(|| Policy::new(&context_words).objection_to_guessable(password, &own))
    }

    #[test]
    fn passwords_are_long_and_not_guessable() {
        let mixed: String = (0..32).map(|number| format!("é{number:x}ط?")).collect();
        let (long, too_long) = (&mixed, format!("{mixed}!"));
        assert_eq!(long.chars().count(), 144);
        let long: String = long.chars().take(128).collect();
        for (password, accepted) in [
            ("demo-Finitech-1", true),
            ("correct horse battery staple", true),
            ("plume tigre ocean", true),
            ("ten chars!", true),
            ("لا أحد يعرف كلمتي", true),
            ("nine char", false),
            ("", false),
            (&*long, true),
            (&*too_long, false),
            // Common ones, however they are dressed up.
            ("Password123", false),
            ("P@ssw0rd2026!", false),
            ("1234567890", false),
            (" qwertyuiop ", false),
            ("azertyuiop2026", false),
            ("drowssap1234", false),
            ("Casablanca2026!", false),
            ("Hamdoulah-2026", false),
            ("12/05/1990 1990", false),
            ("password-password", false),
        ] {
            assert_eq!(objection(password, &[]).is_none(), accepted, "{password:?}");
        }
    }

    #[test]
    fn what_anybody_knows_of_the_owner_is_guessable() {
        for password in [
            "Amina@Example.com",
            "+212612345678",
            "0612345678",
            "0612345678!",
            "amina el idrissi",
            "AminaElIdrissi",
            "Idrissi1990",
            "Amina2026!!",
            "amina1990amina",
        ] {
            assert!(objection(password, &[]).is_some(), "{password:?}");
        }
    }

    #[test]
    fn what_belongs_to_the_service_is_guessable() {
        let context = ["Banque Zellige", "ZLG", "Tirelire+"];
        for (password, is_product) in [
            ("Finitech2026!", true),
            ("f1n1t3ch-2026", true),
            ("BanqueZellige1!", false),
            ("zellige-2026", false),
            ("Tirelire123!", false),
        ] {
            assert!(objection(password, &context).is_some(), "{password:?}");
            assert_eq!(objection(password, &[]).is_some(), is_product, "{password:?}");
        }
    }

    #[test]
    fn the_3000_most_used_passwords_are_refused() {
        let passwords: Vec<&str> = MOST_USED.lines().collect();
        assert_eq!(passwords.iter().collect::<BTreeSet<_>>().len(), 3_000);
        let policy = Policy::new(&[]);
        for password in passwords {
            // Or the list would hold fewer than it says of those that matter.
            assert_eq!(Policy::objection_to_length(password), None, "{password:?}");
            assert!(policy.objection_to_guessable(password, &[]).is_some(), "{password:?}");
        }
    }

    #[test]
    fn the_most_used_ones_are_refused_with_something_added() {
        let policy = Policy::new(&[]);
        for password in MOST_USED.lines().step_by(30) {
            let capital = password[..1].to_uppercase() + &password[1..];
            for dressed in [format!("{password}1"), format!("{capital}!")] {
                assert!(policy.objection_to_guessable(&dressed, &[]).is_some(), "{dressed:?}");
            }
        }
    }

    /// Of nearly all of ten characters, and of all that are longer.
    #[test]
    fn what_machines_make_is_accepted() {
        let letters: Vec<char> = ('a'..='z').chain('A'..='Z').chain('0'..='9').collect();
        let policy = Policy::new(&[]);
        for (length, refused_max) in [(10, 8), (12, 1), (16, 0), (20, 0), (40, 0), (128, 0)] {
            let refused = (0..200).filter(|_| {
                let mut dice = vec![0; length];
                aws_lc_rs::rand::fill(&mut dice).unwrap();
                let password: String =
                    dice.iter().map(|&byte| letters[usize::from(byte) % letters.len()]).collect();
                policy.objection_to_guessable(&password, &[]).is_some()
            });
            let refused = refused.count();
            assert!(refused <= refused_max, "{refused} of 200 with {length} characters");
        }
    }

    /// `zxcvbn` tries the meanings of digits that stand for letters one after the other, of which these
    /// have the most: without a bound they take most of a second.
    #[test]
    fn what_is_made_to_take_long_does_not() {
        let worst: String = "4@8({[</369&#!1/|0$5+7%2".chars().cycle().take(LENGTH_MAX).collect();
        let policy = Policy::new(&[]);
        assert_eq!(policy.objection_to_guessable(&worst, &[]), None);
        let took = |password: &str| {
            let turn = || {
                let began = std::time::Instant::now();
                std::hint::black_box(policy.objection_to_guessable(password, &[]));
                began.elapsed()
            };
            (0..3).map(|_| turn()).min().unwrap()
        };
        let longest = took(&worst);
        let shortest = took(&worst.chars().take(STRETCH).collect::<String>());
        assert!(longest <= shortest * 3, "{longest:?} for all, {shortest:?} for a stretch");
        // All stretches are looked at where none is hard to guess.
        let weak = "password".repeat(16);
        assert!(policy.objection_to_guessable(&weak, &[]).is_some());
        assert!(took(&weak) <= longest * 3, "{:?}, {longest:?}", took(&weak));
    }

    #[test]
    fn pieces_are_what_people_make_passwords_of() {
        assert_eq!(
            pieces(&["Amina.B@example.com", "Ali Baba"]),
            [
                "ali",
                "ali baba",
                "alibaba",
                "amina",
                "amina.b@example.com",
                "aminab",
                "aminabexamplecom",
                "baba",
                "com",
                "example",
            ]
        );
        assert_eq!(
            pieces(&["+212612345"]),
            ["+212612345", "12612345", "2612345", "212612345", "612345"]
                .into_iter()
                .collect::<BTreeSet<_>>()
                .into_iter()
                .collect::<Vec<_>>()
        );
        assert!(pieces(&["x".repeat(1_000_000).as_str()]).iter().all(|piece| piece.len() <= 256));
    }

    #[test]
    fn the_lists_are_in_the_form_that_is_looked_for() {
        for line in MOST_USED.lines().chain(LOCAL_WORDS.lines()) {
            assert_eq!(line, line.trim().to_lowercase());
            assert!(line.len() >= PIECE_LENGTH_MIN, "{line:?}");
        }
        let local: BTreeSet<&str> = LOCAL_WORDS.lines().collect();
        assert_eq!(local.len(), LOCAL_WORDS.lines().count());
    }
}
