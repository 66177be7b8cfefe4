//! The rest of the work of a refusal. A wrong password is compared with a hash of today's costs, or of
//! another system, or of none; so that the time does not tell which, whatever was not spent on comparing is
//! spent afterwards. It is work and no pause, because a pause shows when the machine is busy.

use super::pbkdf2::Pbkdf2Hash;
use argon2::password_hash::phc::PasswordHash;
use argon2::{Argon2, Params};
use aws_lc_rs::pbkdf2::{PBKDF2_HMAC_SHA256, derive};
use secrecy::{ExposeSecret, SecretString};
use std::hint::black_box;
use std::num::NonZeroU32;

/// The rounds of PBKDF2 that a refusal takes while there are hashes of it. One with more takes longer.
const ROUNDS: u32 = 600_000;
/// Costs nothing to make, and does not matter.
const SALT: [u8; 16] = [0; 16];

/// Does what comparing with `stored` left undone. `has_imported` is whether there is any hash of PBKDF2.
pub(super) fn do_the_rest(
    today: &Argon2<'_>,
    password: &SecretString,
    stored: &str,
    has_imported: bool,
) {
    let password = password.expose_secret().as_bytes();
    let rounds_done = Pbkdf2Hash::parse(stored).map(|hash| hash.rounds());
    if let Some(costs) = rest_of(today.params(), costs_of(stored)) {
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, costs);
        let mut hash = [0; 32];
        if let Err(error) = argon2.hash_password_into(password, &SALT, &mut hash) {
            tracing::error!(%error, "refusals do not all take the same work");
        }
        black_box(hash);
    }
    if has_imported || rounds_done.is_some() {
        let rest = ROUNDS.saturating_sub(rounds_done.unwrap_or(0));
        if let Some(rounds) = NonZeroU32::new(rest) {
            let mut hash = [0; 32];
            derive(PBKDF2_HMAC_SHA256, rounds, &SALT, password, &mut hash);
            black_box(hash);
        }
    }
}

/// How many blocks Argon2 filled for a hash.
fn costs_of(stored: &str) -> u64 {
    let costs = PasswordHash::new(stored).ok().and_then(|hash| Params::try_from(&hash).ok());
    costs.as_ref().map_or(0, blocks)
}

fn blocks(costs: &Params) -> u64 {
    u64::from(costs.m_cost()).saturating_mul(costs.t_cost().into())
}

/// Costs that fill as many blocks as are left of today's; `None` for next to none.
fn rest_of(today: &Params, done: u64) -> Option<Params> {
    let left = blocks(today).checked_sub(done)?;
    let passes = today.t_cost();
    let memory = left.checked_div(passes.into())?.try_into().ok()?;
    Params::new(memory, passes, today.p_cost(), None).ok()
}
