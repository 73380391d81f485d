//! Objects that come and go: 20 deployments, five of them with an autoscaler, are created, changed
//! three times and deleted, again and again.

use std::time::Duration;

use anyhow::Result;
use kube::api::{
    ApiResource, DeleteParams, DynamicObject, GroupVersionKind, Patch, PatchParams, PostParams,
};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio::time::{Interval, MissedTickBehavior, interval};

const DEPLOYMENTS: u32 = 20;
const AUTOSCALERS: u32 = 5;

/// Writes a minute.
pub(super) const WRITES: u32 = 440;

/// Writes until one fails.
pub(super) async fn run(hub: Client) -> Result<()> {
    let mut load = Load::new(&hub);
    loop {
        load.round().await?;
    }
}

struct Load {
    deployments: Api<DynamicObject>,
    autoscalers: Api<DynamicObject>,
    pace: Interval,
}

impl Load {
    fn new(hub: &Client) -> Self {
        let api = |kind: &str| {
            let kind = GroupVersionKind::gvk("fogguru.eu", "v1", kind);
            Api::default_namespaced_with(hub.clone(), &ApiResource::from_gvk(&kind))
        };
        let mut pace = interval(Duration::from_mins(1) / WRITES);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            deployments: api("MultiClusterDeployment"),
            autoscalers: api("MultiClusterHorizontalPodAutoscaler"),
            pace,
        }
    }

    async fn round(&mut self) -> Result<()> {
        for number in 0..DEPLOYMENTS {
            self.create(&self.deployments.clone(), deployment(number))
                .await?;
        }
        for number in 0..AUTOSCALERS {
            self.create(&self.autoscalers.clone(), autoscaler(number))
                .await?;
        }
        for replicas in [5, 2, 8] {
            for number in 0..DEPLOYMENTS {
                self.pace.tick().await;
                let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
                self.deployments
                    .patch(&name(number), &PatchParams::default(), &patch)
                    .await?;
            }
        }
        for number in 0..AUTOSCALERS {
            self.pace.tick().await;
            let params = DeleteParams::default();
            self.autoscalers.delete(&name(number), &params).await?;
        }
        for number in 0..DEPLOYMENTS {
            self.pace.tick().await;
            let params = DeleteParams::background();
            self.deployments.delete(&name(number), &params).await?;
        }
        Ok(())
    }

    /// Creates an object; its predecessor may still be going.
    async fn create(&mut self, api: &Api<DynamicObject>, object: Value) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object)?;
        loop {
            self.pace.tick().await;
            match api.create(&PostParams::default(), &object).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                done => {
                    done?;
                    return Ok(());
                }
            }
        }
    }
}

fn name(number: u32) -> String {
    format!("churn-{number}")
}

fn deployment(number: u32) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "fogguru.eu/v1",
        "kind": "MultiClusterDeployment",
        "metadata": { "name": name },
        "spec": {
            "replicas": 3,
            "selector": { "matchLabels": { "app": name } },
            "template": {
                "metadata": { "labels": { "app": name } },
                "spec": { "containers": [{
                    "name": "web", "image": "nginx",
                    "resources": { "requests": { "cpu": "100m", "memory": "64Mi" } },
                }] },
            },
        },
    })
}

fn autoscaler(number: u32) -> Value {
    let name = name(number);
    json!({
        "apiVersion": "fogguru.eu/v1",
        "kind": "MultiClusterHorizontalPodAutoscaler",
        "metadata": { "name": name },
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "fogguru.eu/v1", "kind": "MultiClusterDeployment", "name": name,
            },
            "minReplicas": 2,
            "maxReplicas": 10,
            "metrics": [{ "type": "Resource", "resource": {
                "name": "cpu", "target": { "type": "Utilization", "averageUtilization": 50 },
            } }],
        },
    })
}
