//! Acting as somebody else: the `Impersonate-…` headers.
//!
//! It fails closed: a header that can't be read is refused, and each user, group, uid and extra
//! value that is asked for needs the right to impersonate it.

use http::HeaderMap;
use percent_encoding::percent_decode_str;

use super::authorization::{Attributes, allowed};
use super::{Access, User};
use crate::objects::Error;
use crate::schema::names::{label, subdomain};

const USER: &str = "impersonate-user";
const GROUP: &str = "impersonate-group";
const UID: &str = "impersonate-uid";
const EXTRA: &str = "impersonate-extra-";
const AUTHENTICATION: &str = "authentication.k8s.io";
const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
const ANONYMOUS: &str = "system:anonymous";
const AUTHENTICATED: &str = "system:authenticated";
const UNAUTHENTICATED: &str = "system:unauthenticated";

/// The user as whom somebody wants to act; none if the headers ask for nobody.
pub(crate) fn impersonate(
    access: &Access,
    user: &User,
    headers: &HeaderMap,
) -> Result<Option<User>, Error> {
    let Some(wanted) = Wanted::of(headers)? else {
        return Ok(None);
    };
    for attributes in wanted.attributes() {
        if !allowed(access, user, &attributes) {
            return Err(attributes.refusal(user));
        }
    }
    Ok(Some(wanted.into_user()))
}

/// What the headers ask for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    user: String,
    uid: String,
    groups: Vec<String>,
    /// By key, in the order of the headers.
    extra: Vec<(String, String)>,
}

impl Wanted {
    fn of(headers: &HeaderMap) -> Result<Option<Self>, Error> {
        let mut wanted = Self::default();
        let mut named = Vec::new();
        for (header, value) in headers {
            let header = header.as_str();
            if !header.starts_with("impersonate-") {
                continue;
            }
            let text = std::str::from_utf8(value.as_bytes()).map_err(|_| unreadable(header))?;
            match header {
                USER => named.push(text.to_owned()),
                UID if wanted.uid.is_empty() => text.clone_into(&mut wanted.uid),
                UID => {}
                GROUP => wanted.groups.push(text.to_owned()),
                _ => {
                    let key = header.strip_prefix(EXTRA);
                    let extra = key.map(|key| (extra_key(key), text.to_owned()));
                    wanted.extra.extend(extra);
                }
            }
        }
        wanted.user = named.into_iter().next().unwrap_or_default();
        if !wanted.user.is_empty() {
            return Ok(Some(wanted));
        }
        if wanted == Self::default() {
            return Ok(None);
        }
        Err(Error::Internal(
            "requested [] without impersonating a user".to_owned(),
        ))
    }

    /// The namespace and the name of the service account, if it is one.
    fn service_account(&self) -> Option<(&str, &str)> {
        let (namespace, name) = self.user.strip_prefix(SERVICE_ACCOUNT)?.split_once(':')?;
        (label(namespace).is_empty() && subdomain(name).is_empty()).then_some((namespace, name))
    }

    /// The rights that it takes.
    fn attributes(&self) -> Vec<Attributes> {
        let mut needed = vec![match self.service_account() {
            Some((namespace, name)) => Attributes {
                namespace: namespace.to_owned(),
                ..Attributes::impersonation("", "serviceaccounts", name)
            },
            None => Attributes::impersonation("", "users", &self.user),
        }];
        let groups = self.groups.iter();
        needed.extend(groups.map(|group| Attributes::impersonation("", "groups", group)));
        needed.extend(self.extra.iter().map(|(key, value)| Attributes {
            subresource: key.clone(),
            ..Attributes::impersonation(AUTHENTICATION, "userextras", value)
        }));
        if !self.uid.is_empty() {
            let uid = Attributes::impersonation(AUTHENTICATION, "uids", &self.uid);
            needed.push(uid);
        }
        needed
    }

    /// The user, in the groups that it is in by its name.
    fn into_user(self) -> User {
        let mut groups = self.groups.clone();
        if let (true, Some((namespace, _))) = (groups.is_empty(), self.service_account()) {
            groups.push("system:serviceaccounts".to_owned());
            groups.push(format!("system:serviceaccounts:{namespace}"));
        }
        let is_in = |group: &str| groups.iter().any(|other| other == group);
        if self.user == ANONYMOUS {
            if !is_in(UNAUTHENTICATED) {
                groups.push(UNAUTHENTICATED.to_owned());
            }
        } else if !is_in(AUTHENTICATED) && !is_in(UNAUTHENTICATED) {
            groups.push(AUTHENTICATED.to_owned());
        }
        let mut user = User {
            name: self.user,
            uid: self.uid,
            groups,
            ..User::default()
        };
        for (key, value) in self.extra {
            user.extra.entry(key).or_default().push(value);
        }
        user
    }
}

/// The key of an extra header, which may be percent-encoded; as it is if that can't be decoded.
fn extra_key(header: &str) -> String {
    let broken = header.split('%').skip(1).any(|rest| {
        let digits = rest.as_bytes().get(..2);
        !digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    });
    if broken {
        return header.to_owned();
    }
    percent_decode_str(header).decode_utf8_lossy().into_owned()
}

fn unreadable(header: &str) -> Error {
    Error::BadRequest(format!("the value of the header {header} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use http::{HeaderName, HeaderValue};

    use super::*;

    fn wanted(headers: &[(&str, &[u8])]) -> Result<Option<Wanted>, Error> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            map.append(name, HeaderValue::from_bytes(value).unwrap());
        }
        Wanted::of(&map)
    }

    #[test]
    fn headers_are_utf8_or_refused() {
        let zoe = wanted(&[("impersonate-user", "zoë".as_bytes())]).unwrap();
        assert_eq!(zoe.unwrap().user, "zoë");
        for header in [
            "impersonate-user",
            "impersonate-group",
            "impersonate-uid",
            "impersonate-extra-scopes",
        ] {
            let refused = wanted(&[("impersonate-user", b"jane"), (header, b"\xff")]).unwrap_err();
            assert!(matches!(refused, Error::BadRequest(_)), "{header}");
        }
        assert_eq!(wanted(&[("accept", b"\xff")]), Ok(None));
        for header in [
            "impersonate-group",
            "impersonate-uid",
            "impersonate-extra-a",
        ] {
            let refused = wanted(&[(header, b"x")]).unwrap_err();
            assert!(matches!(refused, Error::Internal(_)), "{header}");
        }
    }

    #[test]
    fn all_that_is_asked_for_needs_a_right() {
        let headers: [(&str, &[u8]); 5] = [
            ("impersonate-user", b"system:serviceaccount:a:robot"),
            ("impersonate-group", b"devs"),
            ("impersonate-extra-example.org%2fscopes", b"view"),
            ("impersonate-extra-odd%2", b"x"),
            ("impersonate-uid", b"5"),
        ];
        let wanted = wanted(&headers).unwrap().unwrap();
        let needed = wanted.attributes().into_iter().map(|needed| {
            let Attributes {
                group,
                resource,
                subresource,
                namespace,
                name,
                ..
            } = needed;
            format!("{namespace}|{group}|{resource}|{subresource}|{name}")
        });
        assert_eq!(
            needed.collect::<Vec<_>>(),
            [
                "a||serviceaccounts||robot",
                "||groups||devs",
                "|authentication.k8s.io|userextras|example.org/scopes|view",
                "|authentication.k8s.io|userextras|odd%2|x",
                "|authentication.k8s.io|uids||5",
            ]
        );
        assert_eq!(wanted.into_user().groups, ["devs", AUTHENTICATED]);
    }

    #[test]
    fn names_that_no_account_can_have_are_users() {
        for name in [
            "system:serviceaccount:a:b:c",
            "system:serviceaccount:A:b",
            "system:serviceaccount:a:",
        ] {
            let wanted = wanted(&[("impersonate-user", name.as_bytes())]);
            let needed = wanted.unwrap().unwrap().attributes();
            assert_eq!(needed[0].resource, "users", "{name}");
        }
    }
}
