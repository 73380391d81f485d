//! Tokens of service accounts.
//!
//! A token is made of random bits and lives with the process: it names its account, whose uid must
//! still be the same when the token is shown.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use jiff::Timestamp;

use super::{Access, User};
use crate::kinds::table;
use crate::meta::{namespace, text, uid};
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

    fn get(&self, token: &str) -> Option<Issued> {
        let tokens = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tokens.get(token).cloned()
    }
}

/// The user that a service account's token stands for.
pub(super) fn user_of(access: &Access, token: &str) -> Option<User> {
    let issued = access.issued.get(token)?;
    let account = access.objects.store.get(&issued.account)?;
    if issued.account.resource != table("", "serviceaccounts")
        || uid(account.value()) != issued.uid
        || issued.expires <= access.objects.sources.now()
    {
        return None;
    }
    let (space, name) = (
        namespace(account.value()),
        text(account.value(), "/metadata/name"),
    );
    Some(User {
        name: format!("system:serviceaccount:{space}:{name}"),
        uid: issued.uid,
        groups: vec![
            "system:serviceaccounts".to_owned(),
            format!("system:serviceaccounts:{space}"),
        ],
        ..User::default()
    })
}
