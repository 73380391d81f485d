//! What a request wants: the verb and the resource that its path and method name.
//!
//! The rules are those of apiserver's `RequestInfoFactory`, which authorization relies on.

use http::Method;
use percent_encoding::percent_decode_str;

/// What a request wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Target {
    /// The path, decoded.
    pub(crate) path: String,
    /// `get`, `list`, `watch`, `create`, …; for what is no resource, the method in small letters.
    pub(crate) verb: String,
    /// None for paths that name no resource.
    pub(crate) resource: Option<ResourcePath>,
}

/// The resource that a path names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourcePath {
    pub(crate) group: String,
    pub(crate) version: String,
    /// Empty for what is cluster-scoped, and for all namespaces.
    pub(crate) namespace: String,
    /// The plural.
    pub(crate) plural: String,
    /// Empty for a collection.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    /// What follows the subresource.
    pub(crate) rest: Vec<String>,
    /// The name comes from the path and not from a field selector.
    pub(crate) named: bool,
}

impl Target {
    /// Of a method, a path as it was sent, and whether the query asks to watch.
    ///
    /// None if the path is no UTF-8.
    pub(crate) fn of(method: &Method, path: &str, watch: bool) -> Option<Self> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let mut target = Self {
            path: decoded.clone().into_owned(),
            verb: method.as_str().to_lowercase(),
            resource: None,
        };
        let trimmed = decoded.trim_matches('/');
        let parts: Vec<&str> = trimmed.split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return Some(target),
        };
        let Some((version, rest)) = rest.split_first() else {
            return Some(target);
        };
        let (by_path, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            _ => (false, rest),
        };
        let mut resource = resource(rest);
        group.clone_into(&mut resource.group);
        (*version).clone_into(&mut resource.version);
        target.verb = if by_path {
            "watch".to_owned()
        } else {
            verb(method, resource.named, watch).to_owned()
        };
        target.resource = Some(resource);
        Some(target)
    }
}

fn resource(parts: &[&str]) -> ResourcePath {
    let (namespace, parts) = match parts {
        ["namespaces", name, sub @ ("status" | "finalize"), ..] => {
            (*name, &["namespaces", name, sub][..])
        }
        ["namespaces", namespace, rest @ ..] if !rest.is_empty() => (*namespace, rest),
        ["namespaces", name] => (*name, &["namespaces", name][..]),
        _ => ("", parts),
    };
    let part = |index: usize| parts.get(index).copied().unwrap_or_default().to_owned();
    ResourcePath {
        namespace: namespace.to_owned(),
        plural: part(0),
        name: part(1),
        subresource: part(2),
        rest: parts.iter().skip(3).map(|&part| part.to_owned()).collect(),
        named: !part(1).is_empty(),
        ..ResourcePath::default()
    }
}

fn verb(method: &Method, named: bool, watch: bool) -> &'static str {
    match (method.as_str(), named) {
        ("GET" | "HEAD", true) => "get",
        ("GET" | "HEAD", false) if watch => "watch",
        ("GET" | "HEAD", false) => "list",
        ("POST", _) => "create",
        ("PUT", _) => "update",
        ("PATCH", _) => "patch",
        ("DELETE", true) => "delete",
        ("DELETE", false) => "deletecollection",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_name_resources() {
        let cases = [
            ("GET", "/api/v1/pods", "list  v1  pods  "),
            (
                "GET",
                "/api/v1/namespaces/a/pods/b/log",
                "get  v1 a pods b log",
            ),
            ("GET", "/api/v1/namespaces/a", "get  v1 a namespaces a "),
            (
                "PUT",
                "/api/v1/namespaces/a/status",
                "update  v1 a namespaces a status",
            ),
            (
                "PATCH",
                "/apis/apps/v1/namespaces/a/deployments/b/scale",
                "patch apps v1 a deployments b scale",
            ),
            (
                "DELETE",
                "/apis/apps/v1/namespaces/a/deployments",
                "deletecollection apps v1 a deployments  ",
            ),
            ("POST", "/api/v1/namespaces", "create  v1  namespaces  "),
            (
                "GET",
                "/api/v1/watch/namespaces/a/pods/b",
                "watch  v1 a pods b ",
            ),
            ("GET", "/api/v1/nodes/a%2Fb", "get  v1  nodes a b"),
        ];
        for (method, path, expected) in cases {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let target = Target::of(&method, path, false).unwrap();
            let r = target.resource.unwrap();
            let seen = [
                &target.verb,
                &r.group,
                &r.version,
                &r.namespace,
                &r.plural,
                &r.name,
                &r.subresource,
            ];
            assert_eq!(seen.map(String::as_str).join(" "), expected, "{path}");
        }
    }

    #[test]
    fn other_paths_name_none() {
        for path in [
            "/",
            "/api",
            "/api/v1",
            "/apis/apps",
            "/apis/apps/v1",
            "/healthz/ping",
            "//",
            "/version",
        ] {
            assert_eq!(
                Target::of(&Method::GET, path, false).unwrap().resource,
                None,
                "{path}"
            );
        }
        assert_eq!(Target::of(&Method::GET, "/%ff", false), None);
    }
}
