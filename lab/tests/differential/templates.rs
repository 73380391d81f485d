//! What a hub makes of pod templates: a `MultiClusterDeployment` is accepted and refused as a
//! Deployment with the same template is, by each way of writing it, on both control planes.

use std::fmt::Write;
use std::path::Path;

use http::{Request, Response, header};
use http_body_util::BodyExt;
use kube::client::Body;
use lab::real::{HUB, Lab, Options};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::available;
use crate::server::Server;

const NAMESPACE: &str = "/namespaces/default";
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// A template, and in which way the verdict on it may differ.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Shape {
    name: String,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    pod: Value,
    #[serde(default)]
    container: Value,
    #[serde(default)]
    spec: Value,
    /// Why it is accepted, and a Deployment is not.
    later: Option<String>,
    /// The same, of server-side apply alone.
    later_apply: Option<String>,
}

#[derive(Clone, Copy)]
struct Kind {
    api_version: &'static str,
    name: &'static str,
    plural: &'static str,
}

const DEPLOYMENT: Kind = Kind {
    api_version: "apps/v1",
    name: "Deployment",
    plural: "deployments",
};
const MULTI_CLUSTER: Kind = Kind {
    api_version: "fogguru.eu/v1",
    name: "MultiClusterDeployment",
    plural: "multiclusterdeployments",
};

/// The ways to write an object.
const WAYS: [&str; 4] = [
    "create",
    "replace",
    "client-side apply",
    "server-side apply",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_template_is_accepted_as_a_deployment_is() {
    if !available() {
        return;
    }
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let text = std::fs::read_to_string(folder.join("templates.yaml")).unwrap();
    let shapes: Vec<Shape> = serde_saphyr::from_str(&text).unwrap();
    assert!(shapes.len() >= 60);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("templates");
    let lab = Lab::up(Options::uniform(directory, 0, 0)).await.unwrap();
    let real = Hub::new(Server::real(lab.cluster(HUB).unwrap()).await).await;
    let embedded = Hub::new(Server::embedded().await).await;
    let (wanted, theirs, ours) = tokio::join!(
        real.verdicts(DEPLOYMENT, &shapes),
        real.verdicts(MULTI_CLUSTER, &shapes),
        embedded.verdicts(MULTI_CLUSTER, &shapes),
    );
    let told = [real.other_words().await, embedded.other_words().await];
    lab.down().await.unwrap();

    let mut report = String::new();
    for (shape, ((wanted, theirs), ours)) in
        shapes.iter().zip(wanted.iter().zip(&theirs).zip(&ours))
    {
        for (index, way) in WAYS.into_iter().enumerate() {
            let expected = wanted[index].is_ok()
                || shape.later.is_some()
                || shape.later_apply.is_some() && way == "server-side apply";
            let is_listed = expected != wanted[index].is_ok();
            let listed = shape.later.is_some() || shape.later_apply.is_some() && index == 3;
            if listed != is_listed {
                let _ = writeln!(report, "{}, {way}: listed in vain", shape.name);
            }
            for (hub, verdict) in [("real", &theirs[index]), ("embedded", &ours[index])] {
                if verdict.is_ok() != expected {
                    let _ = writeln!(
                        report,
                        "{}, {way}, {hub}:\n    {verdict:?}\n    a Deployment: {:?}",
                        shape.name, wanted[index]
                    );
                }
            }
        }
    }
    assert!(report.is_empty(), "\n{report}");
    assert_eq!(told[0], told[1]);
    for words in ["strict", "warning", "AppRescheduler"] {
        assert!(told[0].contains(words), "{words}: {}", told[0]);
    }
}

/// Whether an object is accepted; otherwise what is said against it.
type Verdict = Result<(), String>;

/// A control plane with our definitions.
struct Hub {
    server: Server,
}

impl Hub {
    async fn new(server: Server) -> Self {
        let hub = Self { server };
        for definition in federation::api::crds().unwrap() {
            let path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions";
            let name = definition.metadata.name.clone().unwrap();
            let made = hub.send("POST", path, None, &json!(definition)).await;
            made.unwrap();
            let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
            let path = format!("{path}/{name}");
            while hub.get(&path).await["status"]["conditions"]
                .as_array()
                .is_none_or(|all| {
                    !all.iter()
                        .any(|one| one["type"] == "Established" && one["status"] == "True")
                })
            {
                assert!(std::time::Instant::now() < deadline, "{name}");
            }
        }
        hub
    }

    /// What is said of each shape, by each way.
    async fn verdicts(&self, kind: Kind, shapes: &[Shape]) -> Vec<[Verdict; 4]> {
        let path = format!("/apis/{}{NAMESPACE}/{}", kind.api_version, kind.plural);
        for (name, spec) in [("replaced", None), ("applied", None::<&Shape>)] {
            let mut object = object(kind, name, spec);
            remember(&mut object);
            // The API server may serve a new kind a moment later than it says.
            let deadline = std::time::Instant::now() + std::time::Duration::from_mins(1);
            while let Err(error) = self.send("POST", &path, None, &object).await {
                assert!(std::time::Instant::now() < deadline, "{error}");
            }
        }
        let mut all = Vec::new();
        for shape in shapes {
            let create = object(kind, "created", Some(shape));
            let create = self
                .send("POST", &format!("{path}?dryRun=All"), None, &create)
                .await;
            let mut replace = object(kind, "replaced", Some(shape));
            let there = self.get(&format!("{path}/replaced")).await;
            replace["metadata"]["resourceVersion"] = there["metadata"]["resourceVersion"].clone();
            let replace_path = format!("{path}/replaced?dryRun=All");
            let replace = self.send("PUT", &replace_path, None, &replace).await;
            let client_apply = self.apply_as_client(kind, &path, shape).await;
            let apply = object(kind, "new", Some(shape));
            let apply_path = format!("{path}/new?dryRun=All&fieldManager=test&force=true");
            let apply = self
                .send("PATCH", &apply_path, Some("apply-patch+yaml"), &apply)
                .await;
            all.push([create, replace, client_apply, apply]);
        }
        all
    }

    /// As `kubectl apply` does: a merge patch from what is there, and from what was applied before,
    /// which is the shape before.
    async fn apply_as_client(&self, kind: Kind, path: &str, shape: &Shape) -> Verdict {
        let path = format!("{path}/applied");
        let current = self.get(&path).await;
        let before = current["metadata"]["annotations"][LAST_APPLIED].as_str();
        let before: Value = serde_json::from_str(before.unwrap()).unwrap();
        let mut wanted = object(kind, "applied", Some(shape));
        remember(&mut wanted);
        let mut patch = changes(&current, &wanted).unwrap_or_else(|| json!({}));
        remove(&mut patch, &before, &wanted);
        self.send("PATCH", &path, Some("merge-patch+json"), &patch)
            .await
    }

    /// What is said of fields that nobody knows, and of a kind that nobody serves.
    async fn other_words(&self) -> String {
        let path = format!("/apis/fogguru.eu/v1{NAMESPACE}/multiclusterdeployments?dryRun=All");
        let mut unknown = object(MULTI_CLUSTER, "unknown", None);
        unknown["spec"]["template"]["spec"]["newer"] = json!("field");
        let strict = format!("{path}&fieldValidation=Strict");
        let strict = self.send("POST", &strict, None, &unknown).await;
        let strict = strict.unwrap_err();
        let words = "unknown field \"spec.template.spec.newer\"";
        assert!(strict.contains(words), "{strict}");
        let told = self.answer("POST", &path, None, &unknown).await;
        let mut all = format!("strict: {strict}; warning: {:?}", told.headers()["warning"]);
        let path = "/apis/fogguru.eu/v1/appreschedulers";
        let told = self.answer("GET", path, None, &Value::Null).await;
        let _ = write!(all, "; {:?}", told.headers()["warning"]);
        all
    }

    async fn get(&self, path: &str) -> Value {
        let answer = self.answer("GET", path, None, &Value::Null).await;
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap()
    }

    async fn send(&self, method: &str, path: &str, form: Option<&str>, body: &Value) -> Verdict {
        let answer = self.answer(method, path, form, body).await;
        let status = answer.status();
        let bytes = answer.into_body().collect().await.unwrap().to_bytes();
        let body: Value = serde_json::from_slice(&bytes).unwrap_or_default();
        if status.is_success() {
            Ok(())
        } else {
            Err(format!(
                "{status}: {}",
                body["message"].as_str().unwrap_or_default()
            ))
        }
    }

    async fn answer(
        &self,
        method: &str,
        path: &str,
        form: Option<&str>,
        body: &Value,
    ) -> Response<Body> {
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::USER_AGENT, "templates/1")
            .header(
                header::AUTHORIZATION,
                format!("Bearer {}", self.server.token),
            );
        let mut bytes = Vec::new();
        if !body.is_null() {
            let form = form.unwrap_or("json");
            request = request.header(header::CONTENT_TYPE, format!("application/{form}"));
            bytes = body.to_string().into_bytes();
        }
        self.server
            .send(request.body(bytes).unwrap())
            .await
            .unwrap()
    }
}

/// An object of a shape; without one, the simplest.
fn object(kind: Kind, name: &str, shape: Option<&Shape>) -> Value {
    let mut template = json!({
        "metadata": { "labels": { "app": "x" } },
        "spec": { "containers": [{ "name": "c", "image": "i" }] },
    });
    let mut spec = json!({ "replicas": 1, "selector": { "matchLabels": { "app": "x" } } });
    if let Some(shape) = shape {
        lay(&mut template["metadata"], &shape.metadata);
        lay(&mut template["spec"]["containers"][0], &shape.container);
        lay(&mut template["spec"], &shape.pod);
        lay(&mut spec, &shape.spec);
    }
    spec["template"] = template;
    json!({
        "apiVersion": kind.api_version, "kind": kind.name,
        "metadata": { "name": name }, "spec": spec,
    })
}

/// Lays fields over those of an object.
fn lay(under: &mut Value, over: &Value) {
    for (name, value) in over.as_object().into_iter().flatten() {
        under[name] = value.clone();
    }
}

/// Writes down what is applied, where kubectl does.
fn remember(object: &mut Value) {
    let text = object.to_string();
    object["metadata"]["annotations"][LAST_APPLIED] = json!(text);
}

/// The merge patch that adds and changes, and removes nothing.
fn changes(from: &Value, to: &Value) -> Option<Value> {
    match (from, to) {
        (Value::Object(from), Value::Object(to)) => {
            let changed = to.iter().filter_map(|(name, to)| {
                let from = from.get(name).unwrap_or(&Value::Null);
                Some((name.clone(), changes(from, to)?))
            });
            let changed: serde_json::Map<_, _> = changed.collect();
            (!changed.is_empty()).then(|| changed.into())
        }
        (from, to) => (from != to).then(|| to.clone()),
    }
}

/// Adds to the patch the removal of what was applied before and is not now.
fn remove(patch: &mut Value, before: &Value, now: &Value) {
    for (name, before) in before.as_object().into_iter().flatten() {
        match now.get(name) {
            None => patch[name] = Value::Null,
            Some(now) if now.is_object() && before.is_object() => {
                let mut below = patch.get(name).cloned().unwrap_or_else(|| json!({}));
                if below.is_object() {
                    remove(&mut below, before, now);
                    if below != json!({}) {
                        patch[name] = below;
                    }
                }
            }
            Some(_) => {}
        }
    }
}
