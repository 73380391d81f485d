//! Comparing secrets: how long it takes tells nothing about what they are.

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

/// Whether two secrets are equal. Their hashes are compared, so not even a length shows.
pub fn is_equal(one: &[u8], other: &[u8]) -> bool {
    let (one, other) = (Sha256::digest(one), Sha256::digest(other));
    one.as_slice().ct_eq(other.as_slice()).into()
}
