//! Who may do what: bearer tokens, impersonation and RBAC.

pub(crate) mod admission;
pub(crate) mod aggregation;
pub(crate) mod attributes;
pub(crate) mod authentication;
pub(crate) mod authorization;
pub(crate) mod bindings;
pub(crate) mod bootstrap;
mod certificates;
pub(crate) mod client_certificates;
pub(crate) mod constant_time;
pub(crate) mod escalation;
pub(crate) mod impersonation;
mod jwt;
pub(crate) mod keys;
pub(crate) mod request_info;
mod roles;
mod rules;
pub(crate) mod service_accounts;
pub(crate) mod signing_requests;
mod subject;
pub(crate) mod tls;
pub(crate) mod tls_error;
mod user;
mod verified;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use crate::objects::{Error, Objects};
use bindings::Bindings;
use keys::Keys;
pub use user::User;
pub(crate) use verified::Verified;

/// Bearer tokens and the users that they stand for.
pub type Tokens = BTreeMap<String, User>;

/// Who comes in, and what they may do.
pub(crate) struct Access {
    pub(crate) objects: Arc<Objects>,
    /// Who may come in over HTTP.
    pub(crate) tokens: Tokens,
    /// Who shows no token comes in as `system:anonymous`.
    pub(crate) anonymous: bool,
    /// Who issues the tokens of service accounts.
    pub(crate) issuer: String,
    /// The authority of the API server's certificate, as PEM, for the Secrets of accounts.
    pub(crate) authority: Option<String>,
    pub(crate) keys: OnceLock<Keys>,
    pub(crate) bindings: Bindings,
    pub(crate) verified: Verified,
}

impl Access {
    /// What tokens and certificates are signed with; drawn when it is needed first, unless it was
    /// given.
    pub(crate) fn keys(&self) -> Result<&Keys, Error> {
        if let Some(keys) = self.keys.get() {
            return Ok(keys);
        }
        let drawn = Keys::draw(&self.objects.sources);
        let drawn = drawn.map_err(|error| Error::Internal(error.to_string()))?;
        Ok(self.keys.get_or_init(|| drawn))
    }
}
