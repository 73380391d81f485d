//! Tokens of service accounts.
//!
//! A token is made of random bits and lives with the process: it names its account, whose uid must
//! still be the same when the token is shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use crate::store::Key;

/// A token that was given out.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) account: Key,
    pub(crate) uid: String,
    pub(crate) expires: Timestamp,
}

/// The tokens that were given out.
#[derive(Debug, Default)]
pub(crate) struct IssuedTokens(Mutex<BTreeMap<String, Issued>>);

impl IssuedTokens {
    /// Keeps a token, and forgets those that have expired.
    pub(crate) fn keep(&self, token: String, issued: Issued, now: Timestamp) {
        let mut tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.retain(|_, issued| issued.expires > now);
        tokens.insert(token, issued);
    }

    pub(super) fn get(&self, token: &str) -> Option<Issued> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).cloned()
    }
}
