//! Request info: the verb and the resource that a request's method, path and query name.
//!
//! It is derived once. Authorization decides about it, and what is done follows from its verb and
//! from nothing else: a method that does not stand for the verb is refused. The rules are those of
//! apiserver's `RequestInfoFactory`.

use http::Method;
use percent_encoding::percent_decode_str;

use super::attributes::Attributes;
use crate::selector::required_name;

/// What of a query counts.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    pub(crate) watch: bool,
    pub(crate) field_selector: &'a str,
}

/// What a request wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RequestInfo {
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
    /// Empty for a collection, unless a field selector asks for one name.
    pub(crate) name: String,
    /// Empty for the object itself.
    pub(crate) subresource: String,
    /// What follows the subresource.
    pub(crate) rest: Vec<String>,
    /// The name comes from the path and not from a field selector.
    pub(crate) named: bool,
}

impl RequestInfo {
    /// Of a method, a path as it was sent, and a query.
    ///
    /// None if the path is no UTF-8.
    pub(crate) fn of(method: &Method, path: &str, asked: Asked<'_>) -> Option<Self> {
        let decoded = percent_decode_str(path).decode_utf8().ok()?;
        let mut info = Self {
            path: decoded.clone().into_owned(),
            verb: method.as_str().to_lowercase(),
            resource: None,
        };
        let trimmed = decoded.trim_matches('/');
        let parts: Vec<&str> = trimmed.split('/').collect();
        let (group, rest) = match parts.as_slice() {
            ["api", rest @ ..] if rest.len() >= 2 => ("", rest),
            ["apis", group, rest @ ..] if rest.len() >= 2 => (*group, rest),
            _ => return Some(info),
        };
        let Some((version, rest)) = rest.split_first() else {
            return Some(info);
        };
        let (by_path, rest) = match rest {
            ["watch", rest @ ..] if !rest.is_empty() => (true, rest),
            _ => (false, rest),
        };
        let mut resource = resource(rest);
        group.clone_into(&mut resource.group);
        (*version).clone_into(&mut resource.version);
        info.verb = if by_path {
            "watch".to_owned()
        } else {
            verb(method, resource.named, asked.watch).to_owned()
        };
        // A list of one name is allowed to one who may list that name.
        if !by_path
            && matches!(info.verb.as_str(), "list" | "watch")
            && let Some(name) = required_name(asked.field_selector)
        {
            resource.name = name;
        }
        info.resource = Some(resource);
        Some(info)
    }

    /// Whether the method stands for the verb. `HEAD` is authorized as a read and served nowhere,
    /// and a path under `/watch/` names a verb that only `GET` stands for.
    pub(crate) fn is_method(&self, method: &Method) -> bool {
        match self.verb.as_str() {
            "get" | "list" | "watch" => method == Method::GET,
            "create" => method == Method::POST,
            "update" => method == Method::PUT,
            "patch" => method == Method::PATCH,
            "delete" | "deletecollection" => method == Method::DELETE,
            _ => false,
        }
    }

    /// What authorization decides about.
    pub(crate) fn attributes(&self) -> Attributes {
        let verb = self.verb.clone();
        let Some(resource) = &self.resource else {
            return Attributes {
                verb,
                path: Some(self.path.clone()),
                ..Attributes::default()
            };
        };
        Attributes {
            verb,
            group: resource.group.clone(),
            resource: resource.plural.clone(),
            subresource: resource.subresource.clone(),
            namespace: resource.namespace.clone(),
            name: resource.name.clone(),
            path: None,
        }
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
            let info = RequestInfo::of(&method, path, Asked::default()).unwrap();
            let r = info.resource.unwrap();
            let seen = [
                &info.verb,
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
        let none = Asked::default();
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
                RequestInfo::of(&Method::GET, path, none).unwrap().resource,
                None,
                "{path}"
            );
        }
        assert_eq!(RequestInfo::of(&Method::GET, "/%ff", none), None);
    }

    #[test]
    fn only_get_stands_for_the_verb_of_a_watch_by_path() {
        let none = Asked::default();
        for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let path = "/api/v1/watch/namespaces/a/configmaps/b";
            let info = RequestInfo::of(&method, path, none).unwrap();
            assert_eq!(info.verb, "watch");
            assert_eq!(info.is_method(&method), method == Method::GET, "{method}");
        }
    }

    #[test]
    fn a_field_selector_names_an_object() {
        let name = |path: &str, selector: &str| {
            let asked = Asked {
                field_selector: selector,
                ..Asked::default()
            };
            let info = RequestInfo::of(&Method::GET, path, asked).unwrap();
            info.resource.unwrap().name
        };
        let maps = "/api/v1/namespaces/a/configmaps";
        assert_eq!(name(maps, "metadata.name=b"), "b");
        assert_eq!(name(maps, "metadata.namespace=a,metadata.name==b"), "b");
        assert_eq!(name(maps, "metadata.name!=b"), "");
        assert_eq!(name(maps, "metadata.name=b,nonsense"), "");
        assert_eq!(name(maps, "metadata.name=.."), "");
        let by_path = "/api/v1/watch/namespaces/a/configmaps";
        assert_eq!(name(by_path, "metadata.name=b"), "");
    }
}
