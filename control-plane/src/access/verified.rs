//! Tokens that were verified.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::jwt;
use super::keys::SigningKey;

/// Tokens whose signature was found right lately, by their hashes: verifying costs more than the
/// rest of a request.
#[derive(Debug, Default)]
pub(crate) struct Verified(Mutex<BTreeMap<[u8; 32], Arc<Value>>>);

/// Tokens that are remembered.
const REMEMBERED: usize = 1000;

impl Verified {
    /// The claims of a token that the key has signed.
    pub(super) fn claims(
        &self,
        token: &str,
        key: impl FnOnce() -> Option<Arc<SigningKey>>,
    ) -> Option<Arc<Value>> {
        // What is no token of ours draws no keys.
        if token.split('.').count() != 3 {
            return None;
        }
        let hash: [u8; 32] = Sha256::digest(token).into();
        if let Some(claims) = self.lock().get(&hash) {
            return Some(Arc::clone(claims));
        }
        let key = key()?;
        let claims = Arc::new(jwt::decode(&key, token)?);
        let mut known = self.lock();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(hash, Arc::clone(&claims));
        Some(claims)
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<[u8; 32], Arc<Value>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
