//! What an object of a built-in type has before anything is written.
//!
//! To the real server, a built-in object is a Go struct, which always has certain fields: `spec`
//! and `status` of a `Deployment` are there even if they are empty. So nobody adds these fields,
//! and nobody owns them, only what is inside. Custom resources have no such fields.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::{Value, json};

type Type = (&'static str, &'static str);

/// The fields that an object of a type always has, with the values of an empty one. An empty object
/// for all other types.
pub(super) fn blank(api_version: &str, kind: &str) -> &'static Value {
    let types = BLANKS.get(kind).into_iter().flatten();
    let mut types = types.filter(|(version, _)| *version == api_version);
    types.next().map_or(&EMPTY, |(_, blank)| blank)
}

static EMPTY: LazyLock<Value> = LazyLock::new(|| json!({}));

/// By kind, then by version.
static BLANKS: LazyLock<BTreeMap<&str, Vec<(&str, Value)>>> = LazyLock::new(|| {
    let mut blanks = BTreeMap::<_, Vec<_>>::new();
    let (workloads, others) = (workloads(), others());
    for (types, blank) in workloads.into_iter().chain(others) {
        for (version, kind) in types {
            blanks
                .entry(kind)
                .or_default()
                .push((version, blank.clone()));
        }
    }
    blanks
});

/// Pods and what makes them.
fn workloads() -> Vec<(Vec<Type>, Value)> {
    let pods = json!({"metadata": {}, "spec": {"containers": null}});
    let spec = json!({"selector": null, "template": pods});
    let with = |field: &str, value: Value| {
        let mut spec = spec.clone();
        if let Some(spec) = spec.as_object_mut() {
            spec.insert(field.to_owned(), value);
        }
        spec
    };
    let mut stateful = with("serviceName", json!(""));
    if let Some(stateful) = stateful.as_object_mut() {
        stateful.insert("updateStrategy".to_owned(), json!({}));
    }
    vec![
        (
            vec![("v1", "Pod")],
            json!({"spec": {"containers": null}, "status": {}}),
        ),
        (vec![("v1", "PodTemplate")], json!({"template": pods})),
        (
            vec![("apps/v1", "Deployment")],
            json!({"spec": with("strategy", json!({})), "status": {}}),
        ),
        (
            vec![("apps/v1", "ReplicaSet")],
            json!({"spec": spec, "status": {"replicas": 0}}),
        ),
        (
            vec![("apps/v1", "StatefulSet")],
            json!({"spec": stateful, "status": {"replicas": 0, "availableReplicas": 0}}),
        ),
        (
            vec![("apps/v1", "DaemonSet")],
            json!({"spec": with("updateStrategy", json!({})), "status": {
                "currentNumberScheduled": 0, "numberMisscheduled": 0,
                "desiredNumberScheduled": 0, "numberReady": 0,
            }}),
        ),
        (
            vec![("batch/v1", "Job")],
            json!({"spec": {"template": pods}, "status": {}}),
        ),
        (
            vec![("batch/v1", "CronJob")],
            json!({"spec": {
                "schedule": "", "jobTemplate": {"metadata": {}, "spec": {"template": pods}},
            }, "status": {}}),
        ),
        (
            vec![("apps/v1", "ControllerRevision")],
            json!({"data": null, "revision": 0}),
        ),
    ]
}

fn others() -> Vec<(Vec<Type>, Value)> {
    let target = json!({"kind": "", "name": ""});
    let names = json!({"plural": "", "kind": ""});
    let claim = json!({"devices": {"requests": null}});
    vec![
        (
            vec![
                ("v1", "Namespace"),
                ("v1", "PersistentVolume"),
                ("v1", "ResourceQuota"),
                ("networking.k8s.io/v1", "ServiceCIDR"),
                (
                    "admissionregistration.k8s.io/v1",
                    "ValidatingAdmissionPolicy",
                ),
            ],
            json!({"spec": {}, "status": {}}),
        ),
        (
            vec![
                ("coordination.k8s.io/v1", "Lease"),
                ("networking.k8s.io/v1", "IPAddress"),
                ("networking.k8s.io/v1", "IngressClass"),
                ("resource.k8s.io/v1", "DeviceClass"),
                ("storage.k8s.io/v1", "CSIDriver"),
                (
                    "admissionregistration.k8s.io/v1",
                    "ValidatingAdmissionPolicyBinding",
                ),
            ],
            json!({"spec": {}}),
        ),
        (
            vec![("v1", "Service"), ("networking.k8s.io/v1", "Ingress")],
            json!({"spec": {}, "status": {"loadBalancer": {}}}),
        ),
        (
            vec![("v1", "ReplicationController"), ("autoscaling/v1", "Scale")],
            json!({"spec": {}, "status": {"replicas": 0}}),
        ),
        (
            vec![("v1", "PersistentVolumeClaim")],
            json!({"spec": {"resources": {}}, "status": {}}),
        ),
        (
            vec![("v1", "Node")],
            json!({"spec": {}, "status": {
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 0}},
                "nodeInfo": {
                    "machineID": "", "systemUUID": "", "bootID": "", "kernelVersion": "",
                    "osImage": "", "containerRuntimeVersion": "", "kubeletVersion": "",
                    "kubeProxyVersion": "", "operatingSystem": "", "architecture": "",
                },
            }}),
        ),
        (
            vec![("v1", "LimitRange")],
            json!({"spec": {"limits": null}}),
        ),
        (
            vec![("v1", "Event")],
            json!({
                "involvedObject": {}, "source": {}, "firstTimestamp": null,
                "lastTimestamp": null, "eventTime": null, "reportingComponent": "",
                "reportingInstance": "",
            }),
        ),
        (
            vec![("events.k8s.io/v1", "Event")],
            json!({
                "eventTime": null, "regarding": {}, "deprecatedSource": {},
                "deprecatedFirstTimestamp": null, "deprecatedLastTimestamp": null,
            }),
        ),
        (vec![("v1", "Binding")], json!({"target": {}})),
        (
            vec![("autoscaling/v1", "HorizontalPodAutoscaler")],
            json!({
                "spec": {"scaleTargetRef": target, "maxReplicas": 0},
                "status": {"currentReplicas": 0, "desiredReplicas": 0},
            }),
        ),
        (
            vec![("autoscaling/v2", "HorizontalPodAutoscaler")],
            json!({
                "spec": {"scaleTargetRef": target, "maxReplicas": 0},
                "status": {"desiredReplicas": 0, "currentMetrics": null},
            }),
        ),
        (
            vec![("policy/v1", "PodDisruptionBudget")],
            json!({"spec": {}, "status": {
                "disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0,
                "expectedPods": 0,
            }}),
        ),
        (
            vec![("networking.k8s.io/v1", "NetworkPolicy")],
            json!({"spec": {"podSelector": {}}}),
        ),
        (
            vec![("discovery.k8s.io/v1", "EndpointSlice")],
            json!({"addressType": "", "endpoints": null, "ports": null}),
        ),
        (
            vec![
                ("rbac.authorization.k8s.io/v1", "Role"),
                ("rbac.authorization.k8s.io/v1", "ClusterRole"),
            ],
            json!({"rules": null}),
        ),
        (
            vec![
                ("rbac.authorization.k8s.io/v1", "RoleBinding"),
                ("rbac.authorization.k8s.io/v1", "ClusterRoleBinding"),
            ],
            json!({"roleRef": {"apiGroup": "", "kind": "", "name": ""}}),
        ),
        (
            vec![("storage.k8s.io/v1", "StorageClass")],
            json!({"provisioner": ""}),
        ),
        (
            vec![("storage.k8s.io/v1", "CSIStorageCapacity")],
            json!({"storageClassName": ""}),
        ),
        (
            vec![("storage.k8s.io/v1", "VolumeAttributesClass")],
            json!({"driverName": ""}),
        ),
        (
            vec![("storage.k8s.io/v1", "CSINode")],
            json!({"spec": {"drivers": null}}),
        ),
        (
            vec![("storage.k8s.io/v1", "VolumeAttachment")],
            json!({
                "spec": {"attacher": "", "source": {}, "nodeName": ""},
                "status": {"attached": false},
            }),
        ),
        (
            vec![("node.k8s.io/v1", "RuntimeClass")],
            json!({"handler": ""}),
        ),
        (
            vec![("scheduling.k8s.io/v1", "PriorityClass")],
            json!({"value": 0}),
        ),
        (
            vec![("certificates.k8s.io/v1", "CertificateSigningRequest")],
            json!({"spec": {"request": null, "signerName": ""}, "status": {}}),
        ),
        (
            vec![("flowcontrol.apiserver.k8s.io/v1", "FlowSchema")],
            json!({
                "spec": {"priorityLevelConfiguration": {"name": ""}, "matchingPrecedence": 0},
                "status": {},
            }),
        ),
        (
            vec![(
                "flowcontrol.apiserver.k8s.io/v1",
                "PriorityLevelConfiguration",
            )],
            json!({"spec": {"type": ""}, "status": {}}),
        ),
        (
            vec![("apiregistration.k8s.io/v1", "APIService")],
            json!({"spec": {"groupPriorityMinimum": 0, "versionPriority": 0}, "status": {}}),
        ),
        (
            vec![("apiextensions.k8s.io/v1", "CustomResourceDefinition")],
            json!({
                "spec": {"group": "", "names": names, "scope": "", "versions": null},
                "status": {"conditions": null, "acceptedNames": names, "storedVersions": null},
            }),
        ),
        (
            vec![("resource.k8s.io/v1", "ResourceClaim")],
            json!({"spec": claim, "status": {}}),
        ),
        (
            vec![("resource.k8s.io/v1", "ResourceClaimTemplate")],
            json!({"spec": {"metadata": {}, "spec": claim}}),
        ),
        (
            vec![("resource.k8s.io/v1", "ResourceSlice")],
            json!({"spec": {
                "driver": "", "pool": {"name": "", "generation": 0, "resourceSliceCount": 0},
                "devices": null,
            }}),
        ),
    ]
}
