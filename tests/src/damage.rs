//! Damaged files, for readers that must not panic.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Draws files with one to three other bytes; a fifth of them is cut short.
///
/// - `variable`: the environment's variable with another number of draws than 3000.
/// - `read`: reads the file of a draw, and returns whether it was refused.
///
/// Returns the number of draws, and how many were refused.
pub fn damaged(
    variable: &str,
    seed: u64,
    files: &[Vec<u8>],
    mut read: impl FnMut(usize, Vec<u8>) -> bool,
) -> (usize, usize) {
    let draws = std::env::var(variable).map_or(3000, |text| text.parse().expect("a number of draws"));
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut refused = 0;
    for draw in 0..draws {
        let which = draw % files.len();
        let mut bytes = files[which].clone();
        for _ in 0..random.random_range(1..4) {
            let at = random.random_range(0..bytes.len());
            bytes[at] = random.random();
        }
        if random.random_bool(0.2) {
            bytes.truncate(random.random_range(0..bytes.len()));
        }
        refused += read(which, bytes) as usize;
    }
    (draws, refused)
}
