//! Deliveries to a member in memory, that refuses what it is told to refuse and deletes nothing that
//! has changed since it was read: what it holds afterwards, and the order of the writes.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{Method, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use kube::Client;
use serde_json::{Value, json};

use super::*;
use crate::members::inventory::Watched;
use crate::members::manifest::Manifest;

/// What the member holds by path, what it refuses, and the writes in order.
#[derive(Clone, Default)]
struct Member(Arc<Mutex<Kept>>);

#[derive(Default)]
struct Kept {
    objects: BTreeMap<String, Value>,
    refused: BTreeMap<(Method, String), Value>,
    /// Merge patches of another client, each right before the object's deletion.
    overtaken: BTreeMap<String, Value>,
    writes: Vec<String>,
    version: u64,
}

fn status(code: u16, reason: &str, causes: &Value) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": reason,
        "details": { "causes": causes },
    });
    let code = StatusCode::from_u16(code).unwrap();
    (code, body.to_string()).into_response()
}

impl Member {
    fn client(&self) -> Client {
        let member = self.clone();
        let router = Router::new().fallback(move |method: Method, uri: Uri, body: Bytes| {
            let answer = member.answer(&method, uri.path(), &body);
            async move { answer }
        });
        Client::new(router, "default")
    }

    fn answer(&self, method: &Method, path: &str, body: &[u8]) -> Response {
        let mut kept = self.0.lock().unwrap();
        let mut body: Value = serde_json::from_slice(body).unwrap_or_default();
        let path = match *method {
            Method::POST => format!("{path}/{}", body["metadata"]["name"].as_str().unwrap()),
            _ => path.to_owned(),
        };
        let name = path.rsplit_once("/default/").map_or("", |(_, name)| name);
        if *method != Method::GET {
            kept.writes.push(format!("{method} {name}"));
        }
        if let Some(causes) = kept.refused.get(&(method.clone(), name.to_owned())) {
            return status(422, "Invalid", causes);
        }
        let there = kept.objects.contains_key(&path);
        kept.version += 1;
        match *method {
            Method::GET if there => kept.objects[&path].to_string().into_response(),
            Method::POST if there => status(409, "AlreadyExists", &json!([])),
            Method::POST | Method::PUT => {
                body["metadata"]["uid"] = json!(format!("uid-{name}"));
                body["metadata"]["resourceVersion"] = json!(kept.version.to_string());
                kept.objects.insert(path, body.clone());
                body.to_string().into_response()
            }
            Method::PATCH if there => {
                let version = kept.version.to_string();
                let object = kept.objects.get_mut(&path).unwrap();
                json_patch::merge(object, &body);
                object["metadata"]["resourceVersion"] = json!(version);
                object.to_string().into_response()
            }
            Method::DELETE if there => {
                let version = kept.version.to_string();
                if let Some(change) = kept.overtaken.remove(name) {
                    let object = kept.objects.get_mut(&path).unwrap();
                    json_patch::merge(object, &change);
                    object["metadata"]["resourceVersion"] = json!(version);
                }
                let (known, live) = (&body["preconditions"], &kept.objects[&path]["metadata"]);
                let is_met = |field: &str| known[field].is_null() || known[field] == live[field];
                if !is_met("uid") || !is_met("resourceVersion") {
                    return status(409, "Conflict", &json!([]));
                }
                kept.objects.remove(&path);
                json!({ "kind": "Status", "status": "Success" })
                    .to_string()
                    .into_response()
            }
            _ => status(404, "NotFound", &json!([])),
        }
    }

    fn refuse(&self, method: Method, name: &str, causes: Value) {
        let key = (method, name.to_owned());
        self.0.lock().unwrap().refused.insert(key, causes);
    }

    fn overtake(&self, name: &str, change: Value) {
        let mut kept = self.0.lock().unwrap();
        kept.overtaken.insert(name.to_owned(), change);
    }

    fn writes(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap().writes)
    }

    fn object(&self, name: &str) -> Option<Value> {
        let kept = self.0.lock().unwrap();
        let mut found = kept.objects.iter();
        found
            .find(|(path, _)| path.ends_with(&format!("/default/{name}")))
            .map(|(_, object)| object.clone())
    }

    fn pusher(&self) -> Pusher {
        let deadline = Duration::from_secs(1);
        let hub = "hub-1".to_owned();
        let namespaces = Namespaces::new(self.client(), hub.clone(), deadline);
        let writer = Writer::new(self.client(), hub.clone(), deadline, namespaces.clone());
        Pusher::new(writer, namespaces, hub)
    }

    /// What a watch would show.
    fn inventory(&self) -> Mutex<Inventory> {
        let mut inventory = Inventory::default();
        for object in self.0.lock().unwrap().objects.values() {
            let kind = ManagedKind::ALL
                .into_iter()
                .find(|kind| kind.resource().kind == object["kind"])
                .unwrap();
            let watched: Watched = serde_json::from_value(object.clone()).unwrap();
            inventory.put(watched.key(kind), watched.record(kind));
        }
        Mutex::new(inventory)
    }
}

fn owner(uid: &str) -> Owner {
    Owner {
        uid: uid.to_owned(),
        kind: "MultiClusterDeployment".to_owned(),
        namespace: "default".to_owned(),
        name: uid.to_owned(),
    }
}

fn item(kind: ManagedKind, name: &str, content: &Value) -> Item {
    let resource = kind.resource();
    let mut labels = json!({ "fogguru.eu/hub": "hub-1" });
    if kind.is_main() {
        labels["fogguru.eu/owner"] = json!("a");
    }
    let mut object = json!({
        "apiVersion": resource.api_version, "kind": resource.kind,
        "metadata": { "name": name, "namespace": "default", "labels": labels },
    });
    for (field, value) in content.as_object().into_iter().flatten() {
        object[field] = value.clone();
    }
    Item {
        key: ObjectKey {
            kind,
            namespace: "default".to_owned(),
            name: name.to_owned(),
        },
        manifest: Manifest::new(object),
        shared: !kind.is_main(),
        revision: 1,
        retain: Vec::new(),
    }
}

fn bundle(uid: &str, items: Vec<Item>) -> Bundle {
    Bundle {
        owner: owner(uid),
        generation: 1,
        items: items.into_iter().map(Arc::new).collect(),
        ending: None,
    }
}

fn all_kinds() -> Vec<Item> {
    let empty = json!({});
    vec![
        item(ManagedKind::ServiceAccount, "account", &empty),
        item(ManagedKind::Secret, "secret", &empty),
        item(ManagedKind::ConfigMap, "map", &empty),
        item(ManagedKind::PersistentVolumeClaim, "claim", &empty),
        item(ManagedKind::Deployment, "app", &empty),
    ]
}

#[tokio::test]
async fn the_workload_goes_before_what_it_needs() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let brought = pusher.push(&bundle("a", all_kinds()), &inventory).await;
    assert_eq!(brought, Ok(None));
    member.writes();
    let mut nothing = bundle("a", Vec::new());
    nothing.ending = Some(Ending::default());
    let removed = pusher.push(&nothing, &member.inventory()).await;
    assert_eq!(removed, Ok(None));
    let order = [
        "DELETE deployments/app",
        "DELETE persistentvolumeclaims/claim",
        "DELETE configmaps/map",
        "DELETE secrets/secret",
        "DELETE serviceaccounts/account",
    ];
    assert_eq!(member.writes(), order);
}

#[tokio::test]
async fn while_the_workload_cannot_be_removed_what_it_needs_stays() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let brought = pusher.push(&bundle("a", all_kinds()), &inventory).await;
    assert_eq!(brought, Ok(None));
    member.refuse(Method::DELETE, "deployments/app", json!([]));
    let nothing = bundle("a", Vec::new());
    let removed = pusher.push(&nothing, &member.inventory()).await;
    assert_eq!(removed.unwrap_err().kind, FailureKind::Rejected);
    assert!(member.object("secrets/secret").is_some());
}

#[tokio::test]
async fn a_refused_object_holds_back_only_what_cannot_do_without_it() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    member.refuse(Method::POST, "secrets/secret", json!([]));
    let failed = pusher.push(&bundle("a", all_kinds()), &inventory).await;
    assert_eq!(failed.unwrap_err().kind, FailureKind::Rejected);
    // All but the workload, which needs what is not there.
    assert!(member.object("configmaps/map").is_some());
    assert!(member.object("serviceaccounts/account").is_some());
    assert!(member.object("deployments/app").is_none());
}

#[tokio::test]
async fn a_refused_change_of_a_dependency_does_not_hold_the_workload_back() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let brought = pusher.push(&bundle("a", all_kinds()), &inventory).await;
    assert_eq!(brought, Ok(None));
    member.refuse(
        Method::PUT,
        "persistentvolumeclaims/claim",
        json!([{ "field": "spec", "message": "field is immutable" }]),
    );
    let mut items = all_kinds();
    for (at, spec) in [
        (3, json!({ "storageClassName": "other" })),
        (4, json!({ "replicas": 3 })),
    ] {
        let mut object = items[at].manifest.object();
        object["spec"] = spec;
        items[at].manifest = Manifest::new(object);
    }
    let failed = pusher
        .push(&bundle("a", items), &member.inventory())
        .await
        .unwrap_err();
    assert!(failed.message.contains("claim"), "{failed}");
    let app = member.object("deployments/app").unwrap();
    assert_eq!(app["spec"]["replicas"], 3);
    // A claim is never deleted for its content.
    let claim = member.object("persistentvolumeclaims/claim").unwrap();
    assert_eq!(claim["spec"], Value::Null);
}

#[tokio::test]
async fn what_another_owner_joins_before_it_is_deleted_stays() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let map = item(ManagedKind::ConfigMap, "map", &json!({}));
    let brought = pusher.push(&bundle("a", vec![map]), &inventory).await;
    assert_eq!(brought, Ok(None));
    let joined = json!({ "metadata": { "labels": { "owner.fogguru.eu/b": "true" } } });
    member.overtake("configmaps/map", joined);
    let mut nothing = bundle("a", Vec::new());
    nothing.ending = Some(Ending::default());
    let removed = pusher.push(&nothing, &member.inventory()).await;
    assert_eq!(removed.unwrap_err().kind, FailureKind::Unavailable);
    let owners = || {
        let map = member.object("configmaps/map").unwrap();
        ["a", "b"]
            .map(|owner| map["metadata"]["labels"][format!("owner.fogguru.eu/{owner}")] == "true")
    };
    assert_eq!(owners(), [true, true]);
    // The next time it is left to the other owner.
    let removed = pusher.push(&nothing, &member.inventory()).await;
    assert_eq!(removed, Ok(None));
    assert_eq!(owners(), [false, true]);
}

#[tokio::test]
async fn what_was_made_in_the_place_of_ours_is_not_deleted() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let app = item(ManagedKind::Deployment, "app", &json!({}));
    let brought = pusher.push(&bundle("a", vec![app]), &inventory).await;
    assert_eq!(brought, Ok(None));
    let another = json!({ "metadata": { "uid": "another" } });
    member.overtake("deployments/app", another);
    let removed = pusher
        .push(&bundle("a", Vec::new()), &member.inventory())
        .await;
    assert_eq!(removed.unwrap_err().kind, FailureKind::Unavailable);
    let app = member.object("deployments/app").unwrap();
    assert_eq!(app["metadata"]["uid"], "another");
}

#[tokio::test]
async fn what_is_immutable_and_ours_is_made_again_with_its_owners() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let map = |data: &str| {
        item(
            ManagedKind::ConfigMap,
            "map",
            &json!({ "data": { "k": data } }),
        )
    };
    for uid in ["a", "b"] {
        let brought = pusher
            .push(&bundle(uid, vec![map("one")]), &inventory)
            .await;
        assert_eq!(brought, Ok(None));
    }
    let causes = json!([{ "field": "data", "message": "Forbidden: field is immutable when `immutable` is set" }]);
    member.refuse(Method::PUT, "configmaps/map", causes);
    let inventory = member.inventory();
    for uid in ["a", "b"] {
        let mut changed = map("two");
        changed.revision = 2;
        let brought = pusher.push(&bundle(uid, vec![changed]), &inventory).await;
        assert_eq!(brought, Ok(None));
        // The first made it again, as the second's, too.
        let made = member.object("configmaps/map").unwrap();
        let labels = made["metadata"]["labels"].clone();
        assert_eq!(labels["owner.fogguru.eu/a"], "true", "{labels}");
        assert_eq!(labels["owner.fogguru.eu/b"], "true", "{labels}");
    }
    let made = member.object("configmaps/map").unwrap();
    assert_eq!(made["data"], json!({ "k": "two" }));
}

#[tokio::test]
async fn an_older_version_of_a_dependency_does_not_replace_a_newer_one() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let map = |data: &str, revision: u64| {
        let mut map = item(
            ManagedKind::ConfigMap,
            "map",
            &json!({ "data": { "k": data } }),
        );
        map.revision = revision;
        map
    };
    for (uid, data, revision) in [("a", "old", 1), ("b", "new", 2), ("a", "old", 1)] {
        let bundle = bundle(uid, vec![map(data, revision)]);
        assert_eq!(pusher.push(&bundle, &inventory).await, Ok(None));
    }
    let made = member.object("configmaps/map").unwrap();
    assert_eq!(made["data"], json!({ "k": "new" }));
}

#[tokio::test]
async fn an_object_of_others_is_a_conflict_also_before_the_watch_has_shown_it() {
    let (member, inventory) = (Member::default(), Mutex::default());
    let pusher = member.pusher();
    let theirs = json!({ "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "app", "namespace": "default" } });
    let path = "/apis/apps/v1/namespaces/default/deployments/app";
    member
        .0
        .lock()
        .unwrap()
        .objects
        .insert(path.to_owned(), theirs.clone());
    let failed = pusher.push(&bundle("a", all_kinds()), &inventory).await;
    assert_eq!(failed.unwrap_err().kind, FailureKind::Conflict);
    assert_eq!(member.object("deployments/app"), Some(theirs));
}
