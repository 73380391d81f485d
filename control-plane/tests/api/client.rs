//! What a `kube` client does, in process.

use std::pin::pin;

use control_plane::User;
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams,
};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use crate::fixture::{Fixture, widgets};

#[tokio::test]
async fn a_config_map_lives_and_dies() {
    let fixture = Fixture::new().await;
    let client = kube::Client::new(fixture.plane.router_for(User::admin()), "default");
    let api: Api<ConfigMap> = Api::default_namespaced(client);
    let map = serde_json::from_value(json!({"metadata": {"name": "a"}, "data": {"x": "1"}}));
    let created = api
        .create(&PostParams::default(), &map.unwrap())
        .await
        .unwrap();
    assert!(created.metadata.uid.is_some());
    let list = api.list(&ListParams::default()).await.unwrap();
    assert_eq!(list.items.len(), 1);
    let revision = list.metadata.resource_version.unwrap();
    let mut events = pin!(api.watch(&WatchParams::default(), &revision).await.unwrap());
    let patch = Patch::Merge(json!({"data": {"y": "2"}}));
    let patched = api
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.data.unwrap().len(), 2);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.push(match events.try_next().await.unwrap().unwrap() {
            WatchEvent::Modified(map) => ("modified", map.data.unwrap().len()),
            WatchEvent::Deleted(map) => ("deleted", map.data.unwrap().len()),
            other => panic!("{other:?}"),
        });
    }
    assert_eq!(seen, [("modified", 2), ("deleted", 2)]);
}

#[tokio::test]
async fn a_definition_serves_its_kind_at_once() {
    let fixture = Fixture::new().await;
    let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
    fixture.post(path, &widgets()).await.expect(201);
    let client = kube::Client::new(fixture.plane.router_for(User::admin()), "default");
    let kind = ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", "v1", "Widget"));
    let api: Api<DynamicObject> = Api::default_namespaced_with(client, &kind);
    let widget = DynamicObject::new("a", &kind).data(json!({"spec": {"size": 3}}));
    let created = api.create(&PostParams::default(), &widget).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    let patch = Patch::Merge(json!({"spec": {"size": 4}}));
    let patched = api
        .patch("a", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(patched.metadata.generation, Some(2));
    assert_eq!(patched.data["spec"]["size"], 4);
    api.delete("a", &DeleteParams::default()).await.unwrap();
    assert_eq!(
        api.list(&ListParams::default()).await.unwrap().items.len(),
        0
    );
}
