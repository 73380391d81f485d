//! Traces over OTLP: the program, a hub, and a receiver on this machine.

// Everything here is test code, also what is in no test function.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::routing::post;
use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, User};
use kube::api::{DynamicObject, PostParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::{Api, Client};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// The longest that anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_mins(2);

/// Names of spans with the key of their object, as they arrived.
#[derive(Clone, Default)]
struct Receiver {
    spans: Arc<Mutex<BTreeSet<(String, String)>>>,
    arrived: Arc<Notify>,
}

impl Receiver {
    async fn start() -> (Self, SocketAddr) {
        let receiver = Self::default();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new()
            .route("/v1/traces", post(take))
            .with_state(receiver.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (receiver, address)
    }

    /// Waits until there is a span of this name about this object.
    async fn span(&self, name: &str, key: &str) {
        let wanted = (name.to_owned(), key.to_owned());
        let arrives = async {
            loop {
                let arrived = self.arrived.notified();
                if self.spans.lock().unwrap().contains(&wanted) {
                    return;
                }
                arrived.await;
            }
        };
        let arrived = tokio::time::timeout(PATIENCE, arrives).await;
        let seen = self.spans.lock().unwrap().clone();
        assert!(arrived.is_ok(), "no span {wanted:?} among {seen:?}");
    }
}

async fn take(State(receiver): State<Receiver>, body: Bytes) -> Vec<u8> {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_spans
        .iter()
        .flat_map(|one| &one.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans);
    let keyed = spans.filter_map(|span| Some((span.name.clone(), key_of(span)?)));
    receiver.spans.lock().unwrap().extend(keyed);
    receiver.arrived.notify_one();
    ExportTraceServiceResponse::default().encode_to_vec()
}

fn key_of(span: &Span) -> Option<String> {
    let attribute = span.attributes.iter().find(|one| one.key == "key")?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Value::StringValue(key) => Some(key.clone()),
        _ => None,
    }
}

/// A hub on this machine, its kubeconfig, and a client.
async fn hub() -> (std::path::PathBuf, Client) {
    let options = Options {
        tokens: [(TOKEN.to_owned(), User::admin())].into(),
        ..Options::default()
    };
    let store = Store::memory(StoreOptions::default());
    let plane = ControlPlane::start(store, options).await.unwrap();
    let client = Client::new(plane.router_for(User::admin()), "default");
    lab::access::install_crds(&client).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("http://{}", listener.local_addr().unwrap());
    let router = plane.router();
    tokio::spawn(async move {
        control_plane::serve(listener, None, router, std::future::pending()).await
    });
    let file = std::env::temp_dir().join(format!("traces-{}.kubeconfig", std::process::id()));
    let text = lab::access::kubeconfig(&[("hub", server)], "", TOKEN);
    lab::access::write_secret(&file, &text).unwrap();
    (file, client)
}

/// The program; dropped, it is killed.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_way_of_an_object_is_traced_by_its_key() {
    let (receiver, address) = Receiver::start().await;
    let (kubeconfig, client) = hub().await;
    let program = Command::new(env!("CARGO_BIN_EXE_multi-cluster-hpa"))
        .arg(format!("--kubeconfig={}", kubeconfig.display()))
        .arg(format!("--otlp-endpoint=http://{address}"))
        .args([
            "--leader-elect=false",
            "--listen=127.0.0.1:0",
            "--log-level=warn",
        ])
        .env("OTEL_BSP_SCHEDULE_DELAY", "200")
        .stdout(Stdio::null())
        .spawn();
    let _program = Program(program.unwrap());
    let kind = GroupVersionKind::gvk("fogguru.eu", "v1", "MultiClusterHorizontalPodAutoscaler");
    let api: Api<DynamicObject> =
        Api::namespaced_with(client, "default", &ApiResource::from_gvk(&kind));
    let object: DynamicObject = serde_json::from_value(json!({
        "apiVersion": "fogguru.eu/v1", "kind": kind.kind, "metadata": { "name": "web" },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "name": "web",
            },
            "minReplicas": 1, "maxReplicas": 5,
        },
    }))
    .unwrap();
    api.create(&PostParams::default(), &object).await.unwrap();
    for name in ["watch", "evaluate", "report"] {
        receiver.span(name, "default/web").await;
    }
    std::fs::remove_file(kubeconfig).ok();
}
