//! Objects as a scenario names them (`mcd/hello`, `deployments`), read and written without a
//! `kubectl` process for each: a scenario looks some hundred times.

use std::cell::RefCell;
use std::collections::HashMap;

use anyhow::{Context as _, Result, anyhow};
use http::{Method, Request, StatusCode};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResource, APIResourceList};
use kube::Client;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::real::Lab;

/// What the clusters serve, by the names that kinds go by.
#[derive(Default)]
pub(super) struct Objects {
    known: RefCell<HashMap<String, Kinds>>,
}

/// By plural, singular, kind and short name, in lower case.
type Kinds = HashMap<String, Kind>;

#[derive(Clone)]
struct Kind {
    /// `/api/v1`, `/apis/GROUP/VERSION`.
    root: String,
    plural: String,
    namespaced: bool,
}

impl Kind {
    fn path(&self, namespace: &str, name: Option<&str>) -> String {
        let mut parts = vec![self.root.as_str()];
        if self.namespaced {
            parts.extend(["namespaces", namespace]);
        }
        parts.push(&self.plural);
        parts.extend(name);
        parts.join("/")
    }
}

/// Where an object is: the cluster, and the namespace if its kind has one.
#[derive(Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) lab: &'a Lab,
    pub(super) cluster: &'a str,
    pub(super) namespace: &'a str,
}

impl Objects {
    /// `KIND/NAME`, or all of a `KIND` as a list; null where there is none.
    pub(super) async fn get(&self, place: Place<'_>, object: &str) -> Result<Value> {
        self.request(place, Method::GET, object, "").await
    }

    /// Creates an object.
    pub(super) async fn create(&self, place: Place<'_>, object: &Value) -> Result<Value> {
        let kind = object["kind"].as_str().context("an object has a kind")?;
        self.request(place, Method::POST, kind, &object.to_string())
            .await
    }

    /// Deletes `KIND/NAME` or all of a `KIND`, without waiting.
    pub(super) async fn delete(&self, place: Place<'_>, object: &str) -> Result<Value> {
        self.request(place, Method::DELETE, object, "").await
    }

    /// A merge patch.
    pub(super) async fn patch(
        &self,
        place: Place<'_>,
        object: &str,
        patch: &Value,
    ) -> Result<Value> {
        self.request(place, Method::PATCH, object, &patch.to_string())
            .await
    }

    /// One request; null where the object does not exist.
    async fn request(
        &self,
        place: Place<'_>,
        method: Method,
        object: &str,
        body: &str,
    ) -> Result<Value> {
        let (kind, name) = match object.split_once('/') {
            Some((kind, name)) => (kind, Some(name)),
            None => (object, None),
        };
        // A client of its own, as a person's next command has: no connection of before a restart.
        let client = place.lab.client(place.cluster).await?;
        let path = self
            .kind(&client, place.cluster, kind)
            .await?
            .path(place.namespace, name);
        let what = || format!("{method} {path} on {}", place.cluster);
        let content_type = match method {
            Method::PATCH => "application/merge-patch+json",
            _ => "application/json",
        };
        let request = Request::builder()
            .method(&method)
            .uri(&path)
            .header("Content-Type", content_type)
            .body(body.as_bytes().to_vec())?;
        match client.request::<Value>(request).await {
            Ok(answer) => Ok(answer),
            Err(kube::Error::Api(status)) if status.code == StatusCode::NOT_FOUND.as_u16() => {
                Ok(Value::Null)
            }
            Err(error) => Err(error).with_context(what),
        }
    }

    async fn kind(&self, client: &Client, cluster: &str, name: &str) -> Result<Kind> {
        let name = name.to_lowercase();
        let known = |objects: &Self| {
            let known = objects.known.borrow();
            known
                .get(cluster)
                .and_then(|kinds| kinds.get(&name))
                .cloned()
        };
        if let Some(kind) = known(self) {
            return Ok(kind);
        }
        let kinds = discover(client).await?;
        self.known.borrow_mut().insert(cluster.to_owned(), kinds);
        known(self).ok_or_else(|| anyhow!("{cluster} serves no {name}"))
    }
}

async fn discover(client: &Client) -> Result<Kinds> {
    let mut kinds = Kinds::new();
    let core = "/api/v1".to_owned();
    let groups: APIGroupList = read(client, "/apis").await?;
    let groups = groups.groups.into_iter().filter_map(|group| {
        let version = group
            .preferred_version
            .or(group.versions.into_iter().next())?;
        Some(format!("/apis/{}", version.group_version))
    });
    for root in std::iter::once(core).chain(groups) {
        // The group of an aggregated server that is away is not served.
        let Ok(list) = read::<APIResourceList>(client, &root).await else {
            continue;
        };
        for resource in list.resources {
            // Subresources are not objects; the first group that has a name has it, as for kubectl.
            if !resource.name.contains('/') {
                let kind = Kind {
                    root: root.clone(),
                    plural: resource.name.clone(),
                    namespaced: resource.namespaced,
                };
                for name in names(resource) {
                    kinds.entry(name).or_insert_with(|| kind.clone());
                }
            }
        }
    }
    Ok(kinds)
}

fn names(resource: APIResource) -> impl Iterator<Item = String> {
    let names = [resource.name, resource.singular_name, resource.kind];
    let short = resource.short_names.unwrap_or_default();
    let all = names.into_iter().chain(short);
    all.map(|name| name.to_lowercase())
}

async fn read<T: DeserializeOwned>(client: &Client, path: &str) -> Result<T> {
    let request = Request::get(path).body(Vec::new())?;
    client
        .request(request)
        .await
        .with_context(|| format!("GET {path}"))
}
