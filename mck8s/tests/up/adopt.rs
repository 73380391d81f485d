//! A hub that is set up anew takes over what the former one brought to the members.

use std::fs;
use std::process::{Command, Output};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::PostParams;
use kube::{Api, ResourceExt as _};

use crate::harness::{Up, deployment, folder, until};

fn adopt(folder: &std::path::Path, from: &str, more: &[&str]) -> String {
    let kubeconfig = folder.join("kubeconfig");
    let Output {
        status,
        stdout,
        stderr,
    } = Command::new(env!("CARGO_BIN_EXE_mck8s"))
        .arg("adopt")
        .arg("--kubeconfig")
        .arg(kubeconfig)
        .args(["--from-hub", from])
        .args(more)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&stdout).into_owned() + &String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{said}");
    said
}

#[tokio::test]
async fn a_hub_that_moved_adopts_what_it_had() {
    let folder = folder("adopt");
    let mut up = Up::start(&folder, &["--members=1", "--nodes=2"]);
    let api = up.deployments().await;
    let object = deployment("hello", "worst_fit");
    api.create(&PostParams::default(), &object).await.unwrap();
    let settled = async |api: &Api<kube::api::DynamicObject>, reason: &str| {
        until(&format!("a Conflict condition {reason}"), async || {
            let status = api.get("hello").await.unwrap().data["status"].clone();
            let ready = status["readyReplicas"].as_i64() > Some(0) || reason != "NoConflict";
            let found = status["conditions"].to_string();
            let met = ready && found.contains(&format!("\"reason\":\"{reason}\""));
            met.then_some(()).ok_or_else(|| status.to_string())
        })
        .await;
    };
    settled(&api, "NoConflict").await;
    let hubs: Api<Namespace> = Api::all(up.client("hub").await);
    let from = hubs.get("kube-system").await.unwrap().uid().unwrap();
    let on_member = async |up: &Up| -> Deployment {
        let api: Api<Deployment> = Api::default_namespaced(up.client("cluster1").await);
        api.get("hello").await.unwrap()
    };
    let before = on_member(&up).await;

    up.process.kill().unwrap();
    up.process.wait().unwrap();
    fs::remove_dir_all(folder.join("data/hub")).unwrap();
    let up = Up::start(&folder, &["--members=1", "--nodes=2"]);
    let api = up.deployments().await;
    let made = api.create(&PostParams::default(), &object).await.unwrap();
    settled(&api, "ForeignObject").await;

    let said = adopt(&folder, &from, &[]);
    assert!(
        said.contains("would be adopted") && said.contains("--yes"),
        "{said}"
    );
    assert_eq!(on_member(&up).await.labels(), before.labels());

    let said = adopt(&folder, &from, &["--yes"]);
    assert!(
        said.contains("Deployment default/hello: adopted for"),
        "{said}"
    );
    settled(&api, "NoConflict").await;
    let after = on_member(&up).await;
    assert_eq!(after.uid(), before.uid(), "it was made again");
    assert_eq!(after.labels()["fogguru.eu/owner"], made.uid().unwrap());
    up.stop();
}
