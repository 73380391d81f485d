//! The objects that are created and listed, of the size that people have.

use bytes::Bytes;
use serde_json::{Value, json};

/// What is created.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Four entries, about 1 KiB.
    ConfigMap,
    /// One container with probes, resources, environment and a volume, about 1.5 KiB as sent.
    Deployment,
}

impl Kind {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::ConfigMap => "ConfigMap",
            Self::Deployment => "Deployment",
        }
    }

    /// Where the objects of a namespace are.
    pub(super) fn path(self, namespace: &str) -> String {
        match self {
            Self::ConfigMap => format!("/api/v1/namespaces/{namespace}/configmaps"),
            Self::Deployment => format!("/apis/apps/v1/namespaces/{namespace}/deployments"),
        }
    }

    /// The body of its creation.
    pub(super) fn body(self, name: &str) -> Bytes {
        let value = match self {
            Self::ConfigMap => config_map(name),
            Self::Deployment => deployment(name),
        };
        Bytes::from(value.to_string())
    }
}

fn labels(name: &str) -> Value {
    json!({
        "app.kubernetes.io/name": name,
        "app.kubernetes.io/part-of": "shop",
        "app.kubernetes.io/managed-by": "bench",
    })
}

fn config_map(name: &str) -> Value {
    let lines =
        (0..8).map(|line| format!("feature.{line}.enabled = true # as the team wants it\n"));
    let settings = lines.collect::<Vec<_>>().concat();
    json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": { "name": name, "labels": labels(name) },
        "data": {
            "application.properties": settings,
            "log.level": "info",
            "upstream.url": "https://api.shop.example.com/v2/orders?region=eu-west-1",
            "nginx.conf": "server {\n  listen 8080;\n  location / { proxy_pass http://127.0.0.1:9090; }\n}\n",
        },
    })
}

fn deployment(name: &str) -> Value {
    let probe = |path: &str, period: u32| json!({ "httpGet": { "path": path, "port": 8080 }, "periodSeconds": period });
    let container = json!({
        "name": "web",
        "image": "registry.example.com/shop/web:1.42.0",
        "ports": [{ "name": "http", "containerPort": 8080 }],
        "env": [
            { "name": "LOG_LEVEL", "value": "info" },
            { "name": "POD_IP", "valueFrom": { "fieldRef": { "fieldPath": "status.podIP" } } },
            { "name": "TOKEN", "valueFrom": { "secretKeyRef": { "name": "web", "key": "token" } } },
        ],
        "resources": {
            "requests": { "cpu": "250m", "memory": "256Mi" },
            "limits": { "cpu": "1", "memory": "512Mi" },
        },
        "readinessProbe": probe("/readyz", 5),
        "livenessProbe": probe("/livez", 20),
        "volumeMounts": [{ "name": "config", "mountPath": "/etc/web", "readOnly": true }],
    });
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment",
        "metadata": { "name": name, "labels": labels(name) },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app.kubernetes.io/name": name } },
            "template": {
                "metadata": { "labels": labels(name) },
                "spec": {
                    "containers": [container],
                    "volumes": [{ "name": "config", "configMap": { "name": "web" } }],
                },
            },
        },
    })
}
