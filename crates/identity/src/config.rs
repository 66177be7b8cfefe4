use std::time::Duration;

/// The settings of identity. The defaults are the guide's (section 2) and meant for production.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The `iss` of access tokens. The same in every process on one database.
    pub issuer: String,
    /// The `aud` of access tokens, likewise.
    pub audience: String,
    /// How old a signing key gets before the next is made; `None` for ever, unless an operator makes one.
    pub rotate_signing_keys_every: Option<Duration>,
    /// How long an access token counts.
    pub access_token_lifetime: Duration,
    /// How long a session lives without being used.
    pub refresh_token_lifetime: Duration,
    /// How long it lives, however much it is used.
    pub session_lifetime: Duration,
    /// How long an authentication is fresh enough for what is sensitive.
    pub step_up_max_age: Duration,
    /// The site that passkeys are for; without one there are none.
    pub relying_party: Option<RelyingParty>,
    /// Whether what is for staff alone needs a session that began, or went on, with a second factor.
    pub staff_second_factor: bool,
    /// For how long a device is trusted not to be asked for the second factor.
    pub trusted_device_lifetime: Duration,
    /// Whether the contacts that somebody registers with count as theirs without being shown to be.
    pub trust_contacts: bool,
    /// Whether the most dangerous things that staff can do need a second person.
    pub four_eyes: bool,
    /// How long a second person may take.
    pub staff_action_lifetime: Duration,
    /// Words that nobody may make a password of: what the organisation and its products are called.
    pub context_words: Vec<String>,
    /// Whether a new password is accepted while nobody can be asked whether it was in a breach.
    pub accept_unchecked_passwords: bool,
    /// What a password hash costs.
    pub password_hash: PasswordHashConfig,
}

/// The site that passkeys are for. They are lost when its id changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelyingParty {
    /// The domain, such as `bank.example`.
    pub id: String,
    /// Where its pages come from, as browsers write it: `https://app.bank.example`. The hosts are the
    /// domain or below it.
    pub origins: Vec<String>,
}

/// The cost of one Argon2id hash, and how many may be made at once: memory is at most
/// `memory_kib * concurrent_max`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PasswordHashConfig {
    /// Memory of one hash, in KiB.
    pub memory_kib: u32,
    /// Passes over the memory.
    pub iterations: u32,
    /// Lanes of the memory. They are computed one after the other.
    pub lanes: u32,
    /// How many hashes are made at once; at least 1.
    pub concurrent_max: usize,
    /// How many more may wait for their turn; others are refused.
    pub waiting_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            issuer: "Finitech".into(),
            audience: "Finitech.Users".into(),
            rotate_signing_keys_every: Some(Duration::from_hours(90 * 24)),
            access_token_lifetime: Duration::from_mins(15),
            refresh_token_lifetime: Duration::from_hours(7 * 24),
            session_lifetime: Duration::from_hours(30 * 24),
            step_up_max_age: Duration::from_mins(5),
            relying_party: None,
            staff_second_factor: true,
            trusted_device_lifetime: Duration::from_hours(30 * 24),
            trust_contacts: false,
            four_eyes: true,
            staff_action_lifetime: Duration::from_hours(24),
            context_words: Vec::new(),
            accept_unchecked_passwords: true,
            password_hash: PasswordHashConfig::default(),
        }
    }
}

impl Default for PasswordHashConfig {
    fn default() -> Self {
        Self { memory_kib: 65_536, iterations: 3, lanes: 4, concurrent_max: 2, waiting_max: 64 }
    }
}
