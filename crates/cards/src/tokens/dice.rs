//! Where the digits of tokens come from.

use aws_lc_rs::rand;

/// Draws numbers.
pub(crate) trait Dice: Send + Sync {
    /// A number from 0 up to, not including, `bound`, each with the same probability.
    fn below(&self, bound: u8) -> Result<u8, NoRandomness>;
}

/// The system gave no random bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random bytes")]
pub struct NoRandomness;

/// The system's cryptographically secure generator.
pub(crate) struct SystemDice;

impl Dice for SystemDice {
    fn below(&self, bound: u8) -> Result<u8, NoRandomness> {
        // As many of the 256 bytes as fall on each number equally often.
        let rest = 256_u16.checked_rem(u16::from(bound)).ok_or(NoRandomness)?;
        let fair = 256_u16.saturating_sub(rest);
        loop {
            let mut byte = [0];
            rand::fill(&mut byte).map_err(|_| NoRandomness)?;
            let [byte] = byte;
            if u16::from(byte) < fair {
                return byte.checked_rem(bound).ok_or(NoRandomness);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_about_as_often() {
        let mut seen = [0_u32; 10];
        for _ in 0..10_000 {
            seen[usize::from(SystemDice.below(10).unwrap())] += 1;
        }
        // Nine standard deviations: once in the life of the universe it fails by chance.
        assert!(seen.iter().all(|count| count.abs_diff(1_000) < 270), "{seen:?}");
        assert_eq!(SystemDice.below(0), Err(NoRandomness));
    }
}
