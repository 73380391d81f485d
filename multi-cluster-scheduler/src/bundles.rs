//! From a workload and its share to what a member must hold: pure.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use federation::api::{
    ANNOTATION_OWNER, ClusterOverride, LABEL_HUB, LABEL_OWNER, PlacementStatus, normalize,
};
use federation::members::{Bundle, Item, ManagedKind, Manifest, ObjectKey};
use serde_json::{Map, Value, json};

use crate::overrides;
use crate::workload::{Kind, Spec, Workload};

/// Annotations that speak of the hub's object and not of what it describes.
const HUB_ONLY: [&str; 2] = ["kubectl.kubernetes.io/", "kopf.zalando.org/"];

/// What differs on each cluster.
const REPLICAS: &str = "/spec/replicas";
const PARALLELISM: &str = "/spec/parallelism";
const COMPLETIONS: &str = "/spec/completions";

/// Cilium's global-service annotation, as it was and as it is now.
const CILIUM_GLOBAL: [&str; 2] = ["io.cilium/global-service", "service.cilium.io/global"];

/// Makes the bundles of one workload. Clusters without overrides share the manifest.
pub struct Bundler<'a> {
    hub: &'a str,
    workload: &'a Workload,
    dependencies: &'a [Arc<Item>],
    /// Without overrides, made when it is needed first.
    plain: OnceCell<Result<Manifest, String>>,
}

impl<'a> Bundler<'a> {
    /// For the hub of this uid.
    pub fn new(hub: &'a str, workload: &'a Workload, dependencies: &'a [Arc<Item>]) -> Self {
        Self {
            hub,
            workload,
            dependencies,
            plain: OnceCell::new(),
        }
    }

    /// What the cluster of `share` must hold. The error names the field and what to write instead.
    pub fn bundle(&self, share: &PlacementStatus) -> Result<Bundle, String> {
        let workload = self.workload;
        let base = if self.has_override(&share.cluster) {
            Cow::Owned(self.manifest(&share.cluster)?)
        } else {
            let plain = self.plain.get_or_init(|| self.manifest(&share.cluster));
            Cow::Borrowed(plain.as_ref().map_err(Clone::clone)?)
        };
        let mut items = self.dependencies.to_vec();
        items.push(Arc::new(Item {
            key: object_key(workload, workload.key.kind.on_members()),
            manifest: base.with(self.fields(share)),
            shared: false,
            revision: 0,
            retain: workload.retained().iter().map(|one| one.name()).collect(),
        }));
        Ok(Bundle {
            owner: workload.owner(),
            generation: workload.generation,
            items,
            ending: None,
        })
    }

    fn has_override(&self, cluster: &str) -> bool {
        let fields = self.workload.placement();
        let overrides = fields.into_iter().flat_map(|fields| &fields.overrides);
        overrides.into_iter().any(|one| one.cluster == cluster)
    }

    /// What differs on each cluster by its share.
    fn fields(&self, share: &PlacementStatus) -> Vec<(&'static str, Value)> {
        match self.workload.key.kind {
            Kind::Deployment => vec![(REPLICAS, json!(share.replicas))],
            Kind::Job => vec![
                (PARALLELISM, json!(share.replicas)),
                (
                    COMPLETIONS,
                    json!(self.workload.completions(share.replicas)),
                ),
            ],
            Kind::Service => Vec::new(),
        }
    }

    /// The object as a cluster gets it, with a share of nothing.
    fn manifest(&self, cluster: &str) -> Result<Manifest, String> {
        let workload = self.workload;
        let kind = workload.key.kind.on_members();
        let resource = kind.resource();
        let (annotations, spec) = spec_of(workload, cluster)?;
        let mut object = json!({
            "apiVersion": resource.api_version,
            "kind": resource.kind,
            "metadata": {
                "name": workload.key.name,
                "namespace": workload.key.namespace,
                "labels": labels(self.hub, workload),
                "annotations": annotations,
            },
            "spec": spec,
        });
        object["metadata"]["annotations"][ANNOTATION_OWNER] = json!(workload.key.to_string());
        remove_nulls(&mut object);
        Ok(Manifest::new(object))
    }
}

/// The annotations and the spec of the object as a cluster gets it, with a share of nothing.
fn spec_of(workload: &Workload, cluster: &str) -> Result<(Map<String, Value>, Value), String> {
    let spec = workload.spec.as_ref().map_err(Clone::clone)?;
    Ok(match spec {
        Spec::Deployment(spec) => {
            let overrides = &spec.placement.overrides;
            (
                Map::new(),
                json!({
                    "replicas": 0,
                    "selector": spec.selector,
                    "template": template(workload, &spec.template, overrides, cluster)?,
                    "strategy": spec.strategy,
                    "minReadySeconds": spec.min_ready_seconds,
                    "revisionHistoryLimit": spec.revision_history_limit,
                    "progressDeadlineSeconds": spec.progress_deadline_seconds,
                }),
            )
        }
        Spec::Job(spec) => {
            let overrides = &spec.placement.overrides;
            let mut template = template(workload, &spec.template, overrides, cluster)?;
            // A Job's pods must say how they end; the API server has no default for it.
            if template["spec"]["restartPolicy"].is_null() {
                template["spec"]["restartPolicy"] = json!("Never");
            }
            (
                Map::new(),
                json!({
                    "parallelism": 0,
                    "completions": 0,
                    "backoffLimit": spec.backoff_limit,
                    "activeDeadlineSeconds": spec.active_deadline_seconds,
                    "ttlSecondsAfterFinished": spec.ttl_seconds_after_finished,
                    "template": template,
                }),
            )
        }
        Spec::Service(spec) => {
            let mut service =
                serde_json::to_value(&spec.service).map_err(|error| format!("spec: {error}"))?;
            // An address of the hub's is none of the member's.
            if service["clusterIP"] != json!("None")
                && let Some(service) = service.as_object_mut()
            {
                service.remove("clusterIP");
                service.remove("clusterIPs");
            }
            (service_annotations(workload), service)
        }
    })
}

/// Nothing: takes everything of the workload away from a member.
pub fn nothing(workload: &Workload) -> Bundle {
    Bundle {
        owner: workload.owner(),
        generation: workload.generation,
        items: Vec::new(),
        ending: None,
    }
}

fn object_key(workload: &Workload, kind: ManagedKind) -> ObjectKey {
    ObjectKey {
        kind,
        namespace: workload.key.namespace.clone(),
        name: workload.key.name.clone(),
    }
}

/// The workload's own labels and ours.
fn labels(hub: &str, workload: &Workload) -> Map<String, Value> {
    let own = workload
        .labels
        .iter()
        .filter(|(key, _)| !key.contains("fogguru.eu/"));
    let mut labels: Map<String, Value> = own
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    labels.insert(LABEL_HUB.to_owned(), json!(hub));
    labels.insert(LABEL_OWNER.to_owned(), json!(workload.uid));
    labels
}

/// The template with the cluster's overrides, and the owner on its pods.
fn template(
    workload: &Workload,
    template: &Value,
    overrides: &[ClusterOverride],
    cluster: &str,
) -> Result<Value, String> {
    let mut budget = overrides::Budget::default();
    let mut template = overrides::apply(template, overrides, cluster, &mut budget)?;
    normalize(&mut template);
    let metadata = &mut template["metadata"];
    if metadata.is_null() {
        *metadata = json!({});
    }
    if metadata["labels"].is_null() {
        metadata["labels"] = json!({});
    }
    metadata["labels"][LABEL_OWNER] = json!(workload.uid);
    Ok(template)
}

/// The service's annotations; Cilium's old and new ones stand for each other.
fn service_annotations(workload: &Workload) -> Map<String, Value> {
    let own = workload
        .annotations
        .iter()
        .filter(|(key, _)| !HUB_ONLY.iter().any(|prefix| key.starts_with(prefix)));
    let mut annotations: Map<String, Value> = own
        .map(|(key, value)| (key.clone(), json!(value)))
        .collect();
    if let Some(value) = CILIUM_GLOBAL
        .iter()
        .find_map(|key| annotations.get(*key))
        .cloned()
    {
        for key in CILIUM_GLOBAL {
            annotations.insert(key.to_owned(), value.clone());
        }
    }
    annotations
}

/// A null says nothing.
pub fn remove_nulls(value: &mut Value) {
    match value {
        Value::Object(object) => {
            object.retain(|_, value| !value.is_null());
            object.values_mut().for_each(remove_nulls);
        }
        Value::Array(array) => array.iter_mut().for_each(remove_nulls),
        _ => {}
    }
}

#[cfg(test)]
#[path = "bundles_tests.rs"]
mod tests;
