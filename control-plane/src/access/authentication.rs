//! Who makes a request.

use http::{HeaderMap, header};

use super::authorization::{Attributes, allowed};
use super::{Access, User};
use crate::kinds::table;
use crate::meta::{namespace, text, uid};
use crate::objects::Error;

/// The user that a request's headers tell of; none if they tell of none.
pub(crate) fn authenticate(access: &Access, headers: &HeaderMap) -> Result<Option<User>, Error> {
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
    let user = of_token(access, token.trim()).ok_or(Error::Unauthorized)?;
    Ok(Some(user))
}

/// The user that a token stands for.
pub(crate) fn of_token(access: &Access, token: &str) -> Option<User> {
    let known = access.tokens.get(token).cloned();
    let mut user = known.or_else(|| of_account(access, token))?;
    if !user.is_in("system:authenticated") {
        user.groups.push("system:authenticated".to_owned());
    }
    Some(user)
}

/// The user that a service account's token stands for.
fn of_account(access: &Access, token: &str) -> Option<User> {
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

/// The user as whom somebody wants to act.
pub(crate) fn impersonate(
    access: &Access,
    user: &User,
    headers: &HeaderMap,
) -> Result<Option<User>, Error> {
    let all = |name: &str| -> Vec<String> {
        let values = headers.get_all(name).iter();
        values
            .filter_map(|value| value.to_str().ok())
            .map(str::to_owned)
            .collect()
    };
    let name = all("impersonate-user").into_iter().next();
    let (groups, uid) = (
        all("impersonate-group"),
        all("impersonate-uid").into_iter().next(),
    );
    let extra: Vec<(String, String)> = headers
        .iter()
        .filter_map(|(header, value)| {
            let key = header.as_str().strip_prefix("impersonate-extra-")?;
            Some((key.to_owned(), value.to_str().ok()?.to_owned()))
        })
        .collect();
    let Some(name) = name.filter(|name| !name.is_empty()) else {
        if groups.is_empty() && uid.is_none() && extra.is_empty() {
            return Ok(None);
        }
        let why = "requested [] without impersonating a user";
        return Err(Error::Internal(why.to_owned()));
    };
    let mut wanted: Vec<Attributes> = Vec::new();
    match name
        .strip_prefix("system:serviceaccount:")
        .and_then(|rest| rest.split_once(':'))
    {
        Some((namespace, account)) => wanted.push(Attributes {
            namespace: namespace.to_owned(),
            ..Attributes::impersonation("serviceaccounts", account)
        }),
        None => wanted.push(Attributes::impersonation("users", &name)),
    }
    wanted.extend(
        groups
            .iter()
            .map(|group| Attributes::impersonation("groups", group)),
    );
    wanted.extend(extra.iter().map(|(key, value)| Attributes {
        group: "authentication.k8s.io".to_owned(),
        subresource: key.clone(),
        ..Attributes::impersonation("userextras", value)
    }));
    for attributes in &wanted {
        if !allowed(&access.objects, user, attributes) {
            return Err(attributes.refusal(user));
        }
    }
    let mut other = User {
        name,
        uid: uid.unwrap_or_default(),
        groups,
        ..User::default()
    };
    for (key, value) in extra {
        other.extra.entry(key).or_default().push(value);
    }
    add_groups(&mut other);
    Ok(Some(other))
}

/// The groups that a user is in by its name.
fn add_groups(user: &mut User) {
    let mut implied = Vec::new();
    let account = user.name.strip_prefix("system:serviceaccount:");
    if let Some((namespace, _)) = account.and_then(|account| account.split_once(':')) {
        implied.push("system:serviceaccounts".to_owned());
        implied.push(format!("system:serviceaccounts:{namespace}"));
    }
    implied.push(if user.name == "system:anonymous" {
        "system:unauthenticated".to_owned()
    } else {
        "system:authenticated".to_owned()
    });
    implied.retain(|group| !user.is_in(group));
    user.groups.extend(implied);
}
