//! Who makes a request: bearer tokens and client certificates.

use http::{HeaderMap, header};

use super::client_certificates::{self, Shown};
use super::service_accounts::{self, Authenticated, own_audiences};
use super::{Access, User, constant_time};
use crate::objects::Error;

const AUTHENTICATED: &str = "system:authenticated";

/// The user of a request: of the certificate that its connection has shown, or of its headers; none
/// if they tell of none.
pub(crate) fn authenticate(
    access: &Access,
    headers: &HeaderMap,
    shown: Option<&Shown>,
) -> Result<Option<User>, Error> {
    let by_certificate = match shown {
        Some(shown) => client_certificates::authenticate(access, shown),
        None => Ok(None),
    };
    if let Ok(Some(_)) = by_certificate {
        return by_certificate;
    }
    // A certificate of others does no harm beside a token.
    match by_token(access, headers)? {
        Some(user) => Ok(Some(user)),
        None => by_certificate,
    }
}

fn by_token(access: &Access, headers: &HeaderMap) -> Result<Option<User>, Error> {
    let Some(value) = headers.get(header::AUTHORIZATION) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| Error::Unauthorized)?;
    let Some((scheme, token)) = value.split_once(' ') else {
        return Ok(None);
    };
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Ok(None);
    }
    let shown = of_token(access, token.trim(), &own_audiences(access));
    let user = shown.ok_or(Error::Unauthorized)?.user;
    Ok(Some(user))
}

/// Who shows a token, for these audiences. Those that are given with the options are for this API
/// server.
pub(crate) fn of_token(
    access: &Access,
    token: &str,
    audiences: &[String],
) -> Option<Authenticated> {
    let mut shown = match of_given_token(access, token) {
        Some(user) => {
            let own = own_audiences(access);
            let audiences: Vec<_> = own
                .into_iter()
                .filter(|one| audiences.contains(one))
                .collect();
            (!audiences.is_empty()).then_some(Authenticated { user, audiences })?
        }
        None => service_accounts::authenticate(access, token, audiences)?,
    };
    if !shown.user.is_in(AUTHENTICATED) {
        shown.user.groups.push(AUTHENTICATED.to_owned());
    }
    Some(shown)
}

/// The user of a token that is given with the options. All are compared, whichever it is.
fn of_given_token(access: &Access, token: &str) -> Option<User> {
    let mut found = None;
    for (known, user) in &access.tokens {
        if constant_time::is_equal(known.as_bytes(), token.as_bytes()) {
            found = Some(user);
        }
    }
    found.cloned()
}
