//! `mck8s explain` beside a scheduler at work. The account that it runs as may only read.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::{Value, json};

use crate::harness::{Up, deployment, folder, until};

const READER: &str = "system:serviceaccount:default:reader";

/// A run of `mck8s explain`: its exit code, and what it printed.
fn explain(kubeconfig: &Path, arguments: &[&str], input: &str) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mck8s"));
    let command = command.arg("explain").arg("--kubeconfig").arg(kubeconfig);
    let command = command.args(arguments).stdin(Stdio::piped());
    let command = command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut process = command.spawn().unwrap();
    // It need not read it.
    drop(process.stdin.take().unwrap().write_all(input.as_bytes()));
    let output = process.wait_with_output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// The kubeconfig of an account that may get and list, on the hub and on the members.
async fn reader(up: &Up, folder: &Path) -> PathBuf {
    let text = fs::read_to_string(folder.join("kubeconfig")).unwrap();
    let mut config: Value = serde_json::from_str(&text).unwrap();
    config["users"] = json!([]);
    for context in 0..config["contexts"].as_array().unwrap().len() {
        let name = config["contexts"][context]["name"]
            .as_str()
            .unwrap()
            .to_owned();
        let token = account(up, &name).await;
        config["contexts"][context]["context"]["user"] = json!(name);
        let users = config["users"].as_array_mut().unwrap();
        users.push(json!({ "name": name, "user": { "token": token } }));
    }
    let file = folder.with_extension("reader");
    fs::write(&file, config.to_string()).unwrap();
    file
}

async fn account(up: &Up, context: &str) -> String {
    let client = up.client(context).await;
    let name = json!({ "name": "reader" });
    let rules = json!([
        { "apiGroups": ["*"], "resources": ["*"], "verbs": ["get", "list"] },
        { "nonResourceURLs": ["/readyz"], "verbs": ["get"] },
    ]);
    let role = json!({ "metadata": name, "rules": rules });
    let binding = json!({
        "metadata": name,
        "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader" },
        "subjects": [{ "kind": "ServiceAccount", "namespace": "default", "name": "reader" }],
    });
    let post = PostParams::default();
    let roles: Api<ClusterRole> = Api::all(client.clone());
    roles
        .create(&post, &serde_json::from_value(role).unwrap())
        .await
        .unwrap();
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    bindings
        .create(&post, &serde_json::from_value(binding).unwrap())
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client);
    let account = serde_json::from_value(json!({ "metadata": name })).unwrap();
    accounts.create(&post, &account).await.unwrap();
    let request: TokenRequest =
        serde_json::from_value(json!({ "spec": { "audiences": [] } })).unwrap();
    let token = accounts
        .create_token_request("reader", &post, &request)
        .await
        .unwrap();
    token.status.unwrap().token
}

/// Pods of one core each, as YAML.
fn manifest(name: &str, fields: &str) -> String {
    format!(
        "apiVersion: fogguru.eu/v1\nkind: MultiClusterDeployment\nmetadata: {{name: {name}}}\nspec:\n  \
         placementPolicy: worst_fit\n  {fields}\n  selector: {{matchLabels: {{app: {name}}}}}\n  template:\n    \
         metadata: {{labels: {{app: {name}}}}}\n    spec:\n      containers:\n        \
         - {{name: c, image: 'hello:1', resources: {{requests: {{cpu: 1}}}}}}\n"
    )
}

/// The clusters and replicas that were printed of an object.
fn shares(text: &str, name: &str) -> Vec<(String, u64)> {
    let title = format!("MultiClusterDeployment default/{name}");
    let lines = text.lines().skip_while(|line| !line.starts_with(&title));
    let lines = lines
        .skip_while(|line| !line.starts_with("  CLUSTER"))
        .skip(1);
    let lines = lines.take_while(|line| line.starts_with("  "));
    lines
        .map(|line| {
            let mut words = line.split_whitespace();
            let cluster = words.next().unwrap().to_owned();
            (cluster, words.next().unwrap().parse().unwrap())
        })
        .collect()
}

/// Waits until the scheduler has answered, and what it has decided.
async fn decided(api: &Api<DynamicObject>, name: &str, generation: i64) -> Vec<(String, u64)> {
    let mut shares = Vec::new();
    until("a decision", async || {
        let object = api.get(name).await.map_err(|error| error.to_string())?;
        let status = &object.data["status"];
        let placements = status["placements"].as_array().cloned().unwrap_or_default();
        shares = (placements.iter())
            .map(|one| {
                let cluster = one["cluster"].as_str().unwrap().to_owned();
                (cluster, one["replicas"].as_u64().unwrap())
            })
            .collect();
        let is_answered = status["observedGeneration"] == generation && !shares.is_empty();
        is_answered.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
    shares
}

#[tokio::test]
async fn what_would_be_decided_is_what_is_decided_and_nothing_is_written() {
    let folder = folder("explain");
    let audit = folder.with_extension("audit");
    drop(fs::remove_file(&audit));
    let log = format!("--audit-log={}", audit.display());
    let up = Up::start(&folder, &["--members=2", "--nodes=2", "--cpu=4", &log]);
    let api = up.deployments().await;
    let reader = reader(&up, &folder).await;
    let missing = json!({
        "apiVersion": "fogguru.eu/v1", "kind": "MemberCluster", "metadata": { "name": "ghost" },
        "spec": { "access": { "secretRef": { "namespace": "mck8s-system", "name": "missing" } } },
    });
    let members = up.ours("MemberCluster").await;
    let missing = serde_json::from_value(missing).unwrap();
    members
        .create(&PostParams::default(), &missing)
        .await
        .unwrap();

    // An object that is there.
    let object = deployment("hello", "worst_fit");
    api.create(&PostParams::default(), &object).await.unwrap();
    until("four ready replicas", async || {
        let status = api.get("hello").await.unwrap().data["status"].clone();
        let is_ready = status["readyReplicas"] == 4;
        is_ready.then_some(()).ok_or_else(|| status.to_string())
    })
    .await;
    let before = api.get("hello").await.unwrap();
    let (code, text) = explain(&reader, &["mcd/hello"], "");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(shares(&text, "hello"), decided(&api, "hello", 1).await);
    for part in [
        "Recorded: decision 1, of generation 1",
        "AllPlaced",
        "  cluster1  2 replicas: chosen",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert_eq!(explain(&reader, &["hello"], ""), (Some(0), text));
    assert_eq!(
        api.get("hello").await.unwrap().resource_version(),
        before.resource_version()
    );

    // Two that are not, the second beside the first, and one without replicas.
    let service = "apiVersion: fogguru.eu/v1\nkind: MultiClusterService\nmetadata: {name: web}\n";
    let (web, more) = (
        manifest("web", "replicas: 10"),
        manifest("more", "replicas: 3"),
    );
    let file = folder.with_extension("yaml");
    let all = [web.as_str(), service, &more].join("---\n");
    fs::write(&file, &all).unwrap();
    let file = file.display().to_string();
    let (code, text) = explain(&reader, &["-f", &file], "");
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        explain(&reader, &["--filename=-"], &all),
        (Some(0), text.clone())
    );
    for part in [
        "Nothing was applied",
        "(new)",
        "MultiClusterService web",
        "ghost",
        "mck8s-system/missing",
    ] {
        assert!(text.contains(part), "no {part:?} in {text}");
    }
    assert!(api.get_opt("web").await.unwrap().is_none());
    for (name, yaml) in [("web", &web), ("more", &more)] {
        let object: DynamicObject = serde_saphyr::from_str(yaml).unwrap();
        api.create(&PostParams::default(), &object).await.unwrap();
        assert_eq!(shares(&text, name), decided(&api, name, 1).await, "{text}");
    }
    assert_eq!(
        shares(&text, "web")
            .iter()
            .map(|(_, replicas)| replicas)
            .sum::<u64>(),
        10
    );

    // A change of one that is there.
    let changed = manifest("web", "replicas: 12");
    let (code, text) = explain(&reader, &["-f", "-"], &changed);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("default/web (changed)"), "{text}");
    let patch = Patch::Merge(json!({ "spec": { "replicas": 12 } }));
    api.patch("web", &PatchParams::default(), &patch)
        .await
        .unwrap();
    assert_eq!(
        shares(&text, "web"),
        decided(&api, "web", 2).await,
        "{text}"
    );

    // What fits nowhere is an answer.
    let (code, text) = explain(&reader, &["-f", "-"], &manifest("huge", "replicas: 99"));
    assert!(code == Some(0) && text.contains("  of cluster"), "{text}");
    up.stop();

    let audit = fs::read_to_string(audit).unwrap();
    let events = audit
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let verbs: Vec<_> = events
        .filter(|event| event["user"]["username"] == READER)
        .map(|event| event["verb"].as_str().unwrap().to_owned())
        .collect();
    assert!(verbs.iter().any(|verb| verb == "list"), "{verbs:?}");
    assert!(
        verbs.iter().all(|verb| verb == "get" || verb == "list"),
        "{verbs:?}"
    );
}

#[tokio::test]
async fn what_is_wrong_is_refused_with_where_it_is_and_what_to_write() {
    let folder = folder("explain-wrong");
    let up = Up::start(&folder, &["--members=1", "--nodes=1"]);
    let kubeconfig = folder.join("kubeconfig");
    up.client("hub").await;
    let good = manifest("good", "replicas: 1");
    for (text, parts) in [
        (
            manifest("web", "replica: 3"),
            [
                "document 2, MultiClusterDeployment default/web",
                "unknown field \"spec.replica\"",
            ],
        ),
        (
            manifest("web", "replicas: -1"),
            ["default/web", "spec.replicas"],
        ),
        (
            manifest("web", "locations: 'a, a'"),
            [
                "default/web: spec: locations names a twice",
                "name each cluster once",
            ],
        ),
        (good.clone(), ["default/good", "is there twice"]),
        (
            "kind: Pod\n".to_owned(),
            ["document 2", "apiVersion: write a text"],
        ),
        ("a: [\n".to_owned(), ["-: it is no valid YAML", "line"]),
    ] {
        let (code, said) = explain(&kubeconfig, &["-f", "-"], &format!("{good}---\n{text}"));
        assert_eq!(code, Some(1), "{said}");
        for part in parts {
            assert!(
                said.starts_with("mck8s: ") && said.contains(part),
                "no {part:?} in {said}"
            );
        }
    }
    for (arguments, code, part) in [
        (
            &["nope"][..],
            1,
            "no MultiClusterDeployment or MultiClusterJob nope in the namespace default",
        ),
        (
            &["mcj/nope", "-n", "shop"],
            1,
            "no MultiClusterJob nope in the namespace shop",
        ),
        (&["-f", "/nowhere.yaml"], 1, "/nowhere.yaml: No such file"),
        (&["nope", "--hub-context=nowhere"], 1, "context nowhere"),
        (&["pod/nope"], 2, "write mcd/NAME or mcj/NAME"),
        (&[], 1, "name an object, or a file with --filename"),
    ] {
        let (found, said) = explain(&kubeconfig, arguments, "");
        assert!(
            found == Some(code) && said.contains(part),
            "{found:?}, no {part:?} in {said}"
        );
    }
    let (code, said) = explain(&kubeconfig, &["-f", "-"], &"#".repeat(4 << 20));
    assert!(
        code == Some(1) && said.contains("longer than 3 MiB"),
        "{said}"
    );
    up.stop();
}
