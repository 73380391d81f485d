//! Access to a member, as docs/operations.md says it is made.

use std::fs;
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{ListParams, Patch, PatchParams};
use kube::core::{DynamicObject, GroupVersionKind, TypeMeta};
use kube::discovery::pinned_kind;
use kube::{Api, Client};
use secrecy::SecretString;

use crate::harness::{Up, folder, until};

const MANIFEST: &str = "../manifests/controllers/02_member_access.yaml";

/// Applies every object of a manifest.
async fn apply(client: &Client, manifest: &Path) {
    let text = fs::read_to_string(manifest).unwrap();
    for document in text.split("\n---\n") {
        let object: DynamicObject = serde_saphyr::from_str(document).unwrap();
        let types: &TypeMeta = object.types.as_ref().unwrap();
        let kind = GroupVersionKind::try_from(types).unwrap();
        let (resource, _) = pinned_kind(client, &kind).await.unwrap();
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(client.clone(), namespace, &resource),
            None => Api::all_with(client.clone(), &resource),
        };
        let name = object.metadata.name.clone().unwrap();
        let params = PatchParams::apply("test").force();
        api.patch(&name, &params, &Patch::Apply(&object))
            .await
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_manifest_makes_a_token_that_survives_a_restart() {
    let folder = folder("members");
    let up = Up::start(&folder, &["--members=1", "--nodes=1"]);
    let member = up.client("cluster1").await;
    apply(&member, Path::new(MANIFEST)).await;
    let secrets: Api<Secret> = Api::namespaced(member, "mck8s-system");
    let mut data = std::collections::BTreeMap::new();
    until("a token in the Secret", async || {
        let secret = secrets
            .get("mck8s-hub-token")
            .await
            .map_err(|error| error.to_string())?;
        data = secret.data.unwrap_or_default();
        data.contains_key("token")
            .then_some(())
            .ok_or_else(|| "none".to_owned())
    })
    .await;
    let token = String::from_utf8(data["token"].0.clone()).unwrap();
    let authority = String::from_utf8(data["ca.crt"].0.clone()).unwrap();
    assert_eq!(
        authority,
        fs::read_to_string(folder.join("tls/ca.crt")).unwrap()
    );

    // Who has nothing but what is in the Secret.
    let with_token = async |up: &Up| {
        let mut config = up.config("cluster1").await;
        config.auth_info = kube::config::AuthInfo {
            token: Some(SecretString::from(token.clone())),
            ..kube::config::AuthInfo::default()
        };
        config.root_cert = Some(vec![
            BASE64_STANDARD
                .decode(
                    authority
                        .lines()
                        .filter(|line| !line.starts_with("---"))
                        .collect::<String>(),
                )
                .unwrap(),
        ]);
        let pods: Api<Pod> = Api::all(Client::try_from(config).unwrap());
        pods.list(&ListParams::default()).await
    };
    with_token(&up).await.unwrap();
    up.stop();
    let up = Up::start(&folder, &["--members=1", "--nodes=1"]);
    with_token(&up).await.unwrap();
    up.stop();
}
