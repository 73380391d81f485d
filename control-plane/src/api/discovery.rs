//! Which groups, versions and resources are served.

use std::fmt::Write;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderValue, header};
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::negotiate::{Form, accepted};
use super::response::respond;
use super::status::ApiError;
use crate::kinds::{Kinds, Resource, Subresource, group_version};

/// Answers with what is served; none for other paths.
pub(crate) fn answer(
    kinds: &Kinds,
    path: &str,
    headers: &HeaderMap,
) -> Result<Option<Response>, ApiError> {
    let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
    let document = match parts.as_slice() {
        ["api" | "apis"] if aggregated(headers).is_some() => {
            let version = aggregated(headers).unwrap_or("v2");
            let groups = if parts == ["api"] {
                vec![""]
            } else {
                kinds.groups()
            };
            let document = aggregate(kinds, &groups, version);
            return Ok(Some(aggregated_response(&document, version, headers)));
        }
        ["api"] => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [],
        }),
        ["apis"] => {
            let groups: Vec<_> = kinds
                .groups()
                .iter()
                .map(|group| describe(kinds, group))
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        ["apis", group] if kinds.groups().contains(group) => {
            let mut document = describe(kinds, group);
            document["kind"] = json!("APIGroup");
            document["apiVersion"] = json!("v1");
            document
        }
        ["api", version] => match resources(kinds, "", version) {
            Some(document) => document,
            None => return Err(ApiError::no_such_resource()),
        },
        ["apis", group, version] if kinds.groups().contains(group) => {
            match resources(kinds, group, version) {
                Some(document) => document,
                None if kinds.is_custom(group) => return Ok(None),
                None => return Err(ApiError::no_such_resource()),
            }
        }
        [""] => json!({ "paths": paths(kinds) }),
        _ => return Ok(None),
    };
    let form = Form::of(headers, false)?;
    Ok(Some(respond(200, form, document.to_string(), headers)))
}

fn paths(kinds: &Kinds) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for group in kinds.groups() {
        paths.push(format!("/apis/{group}"));
        let versions = kinds.versions(group);
        paths.extend(
            versions
                .iter()
                .map(|version| format!("/apis/{group}/{version}")),
        );
    }
    paths.sort();
    let others = [
        "/healthz",
        "/livez",
        "/openapi/v2",
        "/openapi/v3",
        "/readyz",
        "/version",
    ];
    paths.extend(others.map(str::to_owned));
    paths
}

/// A group in the list of groups.
fn describe(kinds: &Kinds, group: &str) -> Value {
    let version =
        |version: &&str| json!({"groupVersion": group_version(group, version), "version": version});
    let versions: Vec<Value> = kinds.versions(group).iter().map(version).collect();
    json!({
        "name": group,
        "versions": versions,
        "preferredVersion": versions.first(),
    })
}

/// The resources of a version; none if it is not served.
fn resources(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let found = kinds.all().iter();
    let found: Vec<_> = found
        .filter(|resource| resource.group == group && resource.version == version)
        .collect();
    if found.is_empty() {
        return None;
    }
    let mut all = Vec::new();
    for resource in found {
        all.push(entry(resource));
        all.extend(
            resource
                .subresources
                .iter()
                .map(|sub| subentry(resource, sub)),
        );
    }
    Some(json!({
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group_version(group, version),
        "resources": all,
    }))
}

fn entry(resource: &Resource) -> Value {
    let mut entry = json!({
        "name": resource.plural,
        "singularName": resource.singular,
        "namespaced": resource.namespaced,
        "kind": resource.kind,
        "verbs": verbs(resource),
    });
    add_names(&mut entry, resource);
    if !resource.traits.virtual_ {
        entry["storageVersionHash"] = storage_hash(resource).into();
    }
    entry
}

/// Custom resources list their verbs in an order of their own.
fn verbs(resource: &Resource) -> Vec<&'static str> {
    if resource.custom.is_some() {
        return vec![
            "delete",
            "deletecollection",
            "get",
            "list",
            "patch",
            "create",
            "update",
            "watch",
        ];
    }
    resource.verbs.clone()
}

fn add_names(entry: &mut Value, resource: &Resource) {
    if !resource.short_names.is_empty() {
        entry["shortNames"] = json!(resource.short_names);
    }
    if !resource.categories.is_empty() {
        entry["categories"] = json!(resource.categories);
    }
}

/// Tells clients that migrate storage which version is stored.
fn storage_hash(resource: &Resource) -> String {
    let Some(custom) = &resource.custom else {
        return resource.storage_hash.to_owned();
    };
    let Resource { group, kind, .. } = resource;
    let hash = Sha256::digest(format!("{group}/{}/{kind}", custom.storage_version));
    STANDARD.encode(hash.get(..8).unwrap_or_default())
}

fn subentry(resource: &Resource, sub: &Subresource) -> Value {
    let mut entry = json!({
        "name": format!("{}/{}", resource.plural, sub.name),
        "singularName": "",
        "namespaced": resource.namespaced,
        "kind": sub.kind,
        "verbs": sub.verbs,
    });
    if (&sub.group, &sub.version) != (&resource.group, &resource.version) {
        entry["group"] = json!(sub.group);
        entry["version"] = json!(sub.version);
    }
    entry
}

/// The version of aggregated discovery that a client takes.
fn aggregated(headers: &HeaderMap) -> Option<&'static str> {
    for range in accepted(headers) {
        if range.name != "application/json" {
            continue;
        }
        if range.parameter("g") == "apidiscovery.k8s.io"
            && range.parameter("as") == "APIGroupDiscoveryList"
        {
            match range.parameter("v") {
                "v2" => return Some("v2"),
                "v2beta1" => return Some("v2beta1"),
                _ => continue,
            }
        }
        if range.parameter("as").is_empty() {
            return None;
        }
    }
    None
}

fn aggregate(kinds: &Kinds, groups: &[&str], version: &str) -> Value {
    let items: Vec<_> = groups
        .iter()
        .map(|group| aggregate_group(kinds, group))
        .collect();
    json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{version}"),
        "metadata": {},
        "items": items,
    })
}

fn aggregate_group(kinds: &Kinds, group: &str) -> Value {
    let versions = kinds.versions(group).into_iter().map(|version| {
        let found = kinds.all().iter();
        let found = found.filter(|resource| resource.group == group && resource.version == version);
        let resources: Vec<_> = found.map(|resource| aggregate_resource(resource)).collect();
        json!({"version": version, "resources": resources, "freshness": "Current"})
    });
    let versions: Vec<_> = versions.collect();
    let mut metadata = Map::new();
    if !group.is_empty() {
        metadata.insert("name".to_owned(), group.into());
    }
    json!({"metadata": metadata, "versions": versions})
}

fn aggregate_resource(resource: &Resource) -> Value {
    let scope = if resource.namespaced {
        "Namespaced"
    } else {
        "Cluster"
    };
    // Built-in kinds leave out what is that of the path.
    let kind_of = |group: &str, version: &str, kind: &str| {
        let same = group == resource.group && version == resource.version;
        if same && resource.custom.is_none() {
            json!({"group": "", "version": "", "kind": kind})
        } else {
            json!({"group": group, "version": version, "kind": kind})
        }
    };
    let mut entry = json!({
        "resource": resource.plural,
        "responseKind": kind_of(&resource.group, &resource.version, &resource.kind),
        "scope": scope,
        "singularResource": resource.singular,
        "verbs": verbs(resource),
    });
    add_names(&mut entry, resource);
    let subresources = resource.subresources.iter().map(|sub| {
        json!({
            "subresource": sub.name,
            "responseKind": kind_of(&sub.group, &sub.version, &sub.kind),
            "verbs": sub.verbs,
        })
    });
    let subresources: Vec<_> = subresources.collect();
    if !subresources.is_empty() {
        entry["subresources"] = subresources.into();
    }
    entry
}

fn aggregated_response(document: &Value, version: &str, headers: &HeaderMap) -> Response {
    let text = document.to_string();
    let etag = format!("\"{}\"", hexadecimal(&text));
    let known = headers.get(header::IF_NONE_MATCH);
    if known.is_some_and(|known| known.as_bytes() == etag.as_bytes()) {
        // Without a type: a cache would take it for that of what it keeps.
        let mut response = Response::default();
        *response.status_mut() = http::StatusCode::NOT_MODIFIED;
        insert(&mut response, header::ETAG, &etag);
        return response;
    }
    let mut response = respond(200, Form::JSON, text, headers);
    let content_type =
        format!("application/json;g=apidiscovery.k8s.io;v={version};as=APIGroupDiscoveryList");
    insert(&mut response, header::CONTENT_TYPE, &content_type);
    insert(&mut response, header::ETAG, &etag);
    insert(&mut response, header::VARY, "Accept");
    response
}

fn insert(response: &mut Response, name: header::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        response.headers_mut().insert(name, value);
    }
}

/// The hash of a document, by which clients know it.
pub(crate) fn hexadecimal(text: &str) -> String {
    let hash = Sha256::digest(text);
    hash.iter().fold(String::new(), |mut text, byte| {
        // Writing to a text does not fail.
        let _ = write!(text, "{byte:02X}");
        text
    })
}
