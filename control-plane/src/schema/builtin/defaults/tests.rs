//! Defaults as a user of `kubectl` sees them.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::builtin::by_name;
use crate::schema::builtin;

fn filled(group: &str, version: &str, kind: &str, mut object: Value) -> Value {
    by_name::default(group, version, kind, &mut object);
    object
}

#[test]
fn a_small_deployment_becomes_a_whole_one() {
    let deployment = filled(
        "apps",
        "v1",
        "Deployment",
        json!({
            "metadata": {"name": "web"},
            "spec": {
                "selector": {"matchLabels": {"app": "web"}},
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {"containers": [{
                        "name": "web", "image": "nginx:1.27", "ports": [{"containerPort": 80}],
                        "resources": {"limits": {"cpu": 0.5, "memory": "1024Mi"}},
                        "readinessProbe": {"httpGet": {"port": 80}}, "args": [], "env": null
                    }]}
                }
            }
        }),
    );
    assert_eq!(
        deployment,
        json!({
            "metadata": {"name": "web"},
            "spec": {
                "replicas": 1,
                "selector": {"matchLabels": {"app": "web"}},
                "strategy": {
                    "type": "RollingUpdate",
                    "rollingUpdate": {"maxSurge": "25%", "maxUnavailable": "25%"}
                },
                "revisionHistoryLimit": 10,
                "progressDeadlineSeconds": 600,
                "template": {
                    "metadata": {"labels": {"app": "web"}},
                    "spec": {
                        "containers": [{
                            "name": "web", "image": "nginx:1.27", "imagePullPolicy": "IfNotPresent",
                            "ports": [{"containerPort": 80, "protocol": "TCP"}],
                            "resources": {"limits": {"cpu": "500m", "memory": "1Gi"}},
                            "readinessProbe": {
                                "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                                "timeoutSeconds": 1, "periodSeconds": 10, "successThreshold": 1,
                                "failureThreshold": 3
                            },
                            "terminationMessagePath": "/dev/termination-log",
                            "terminationMessagePolicy": "File"
                        }],
                        "dnsPolicy": "ClusterFirst", "restartPolicy": "Always",
                        "schedulerName": "default-scheduler", "securityContext": {},
                        "terminationGracePeriodSeconds": 30
                    }
                }
            },
            "status": {}
        })
    );
}

#[rstest]
#[case("nginx", "Always")]
#[case("nginx:latest", "Always")]
#[case("registry:5000/nginx", "Always")]
#[case("registry:5000/nginx:1", "IfNotPresent")]
#[case("nginx@sha256:0000", "IfNotPresent")]
#[case("nginx:latest@sha256:0000", "Always")]
fn images_are_pulled_by_their_tag(#[case] image: &str, #[case] policy: &str) {
    let pod = json!({"spec": {"containers": [{"name": "a", "image": image}]}});
    let pod = filled("", "v1", "Pod", pod);
    assert_eq!(pod["spec"]["containers"][0]["imagePullPolicy"], policy);
}

#[rstest]
#[case(json!({}), json!({}), "BestEffort")]
#[case(json!({"limits": {"cpu": "1", "memory": "1Gi"}}), json!({"cpu": "1", "memory": "1Gi"}), "Guaranteed")]
#[case(json!({"limits": {"cpu": "1"}, "requests": {"memory": "1Gi"}}), json!({"cpu": "1", "memory": "1Gi"}), "Burstable")]
fn requests_follow_limits(#[case] resources: Value, #[case] requests: Value, #[case] class: &str) {
    let pod =
        json!({"spec": {"containers": [{"name": "a", "image": "b", "resources": resources}]}});
    let pod = filled("", "v1", "Pod", pod);
    let found = &pod["spec"]["containers"][0]["resources"]["requests"];
    assert_eq!(
        found.as_object().map_or(json!({}), |found| json!(found)),
        requests
    );
    assert_eq!(
        pod["status"],
        json!({"phase": "Pending", "qosClass": class})
    );
}

#[rstest]
#[case("", "v1", "Secret", json!({"stringData": {"a": "b"}}), json!({"type": "Opaque", "data": {"a": "Yg=="}}))]
#[case("", "v1", "Namespace", json!({"metadata": {"name": "n"}}), json!({
    "metadata": {"name": "n", "labels": {"kubernetes.io/metadata.name": "n"}},
    "spec": {}, "status": {"phase": "Active"}
}))]
#[case("rbac.authorization.k8s.io", "v1", "ClusterRoleBinding", json!({
    "roleRef": {"kind": "ClusterRole", "name": "a"},
    "subjects": [{"kind": "User", "name": "u"}, {"kind": "ServiceAccount", "name": "s", "namespace": "n"}]
}), json!({
    "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "a"},
    "subjects": [
        {"kind": "User", "name": "u", "apiGroup": "rbac.authorization.k8s.io"},
        {"kind": "ServiceAccount", "name": "s", "namespace": "n"}
    ]
}))]
#[case("", "v1", "Service", json!({"spec": {"selector": {"a": "b"}, "ports": [{"port": 80}]}}), json!({
    "spec": {
        "selector": {"a": "b"}, "type": "ClusterIP", "sessionAffinity": "None",
        "internalTrafficPolicy": "Cluster",
        "ports": [{"port": 80, "protocol": "TCP", "targetPort": 80}]
    },
    "status": {"loadBalancer": {}}
}))]
#[case("batch", "v1", "Job", json!({"spec": {"template": {"metadata": {"labels": {"a": "b"}}, "spec": {"restartPolicy": "Never"}}}}), json!({
    "metadata": {"labels": {"a": "b"}},
    "spec": {
        "completions": 1, "parallelism": 1, "backoffLimit": 6, "completionMode": "NonIndexed",
        "suspend": false, "manualSelector": false, "podReplacementPolicy": "TerminatingOrFailed",
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "dnsPolicy": "ClusterFirst", "restartPolicy": "Never",
            "schedulerName": "default-scheduler", "securityContext": {},
            "terminationGracePeriodSeconds": 30
        }}
    },
    "status": {}
}))]
#[case("autoscaling", "v2", "HorizontalPodAutoscaler", json!({"spec": {"maxReplicas": 3}}), json!({
    "spec": {"maxReplicas": 3, "minReplicas": 1, "metrics": [
        {"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 80}}}
    ]},
    "status": {"desiredReplicas": 0, "currentMetrics": null}
}))]
#[case("coordination.k8s.io", "v1", "Lease", json!({"spec": {}}), json!({"spec": {}}))]
fn kinds_get_their_defaults(
    #[case] group: &str,
    #[case] version: &str,
    #[case] kind: &str,
    #[case] object: Value,
    #[case] expected: Value,
) {
    assert_eq!(filled(group, version, kind, object), expected);
}

const KINDS: [(&str, &str, &str); 16] = [
    ("", "v1", "Pod"),
    ("", "v1", "Service"),
    ("", "v1", "Secret"),
    ("", "v1", "Namespace"),
    ("", "v1", "PersistentVolume"),
    ("", "v1", "PersistentVolumeClaim"),
    ("apps", "v1", "Deployment"),
    ("apps", "v1", "StatefulSet"),
    ("apps", "v1", "DaemonSet"),
    ("apps", "v1", "ReplicaSet"),
    ("batch", "v1", "Job"),
    ("batch", "v1", "CronJob"),
    ("autoscaling", "v2", "HorizontalPodAutoscaler"),
    ("networking.k8s.io", "v1", "NetworkPolicy"),
    ("rbac.authorization.k8s.io", "v1", "RoleBinding"),
    ("apiextensions.k8s.io", "v1", "CustomResourceDefinition"),
];

/// Any JSON, with names that mean something.
pub(in super::super) fn odd_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2_i64..1_000_000).prop_map(Value::from),
        Just(json!(1.5)),
        "(|a|ClusterIP|RollingUpdate|ClientIP|1Gi|None|b-)".prop_map(Value::from),
    ];
    let name = prop_oneof![
        Just("spec"),
        Just("metadata"),
        Just("labels"),
        Just("name"),
        Just("template"),
        Just("containers"),
        Just("resources"),
        Just("limits"),
        Just("ports"),
        Just("strategy"),
        Just("selector"),
        Just("matchLabels"),
        Just("type"),
        Just("volumes"),
        Just("clusterIP"),
        Just("behavior"),
        Just("versions"),
        Just("names"),
        Just("group"),
        Just("status"),
        Just("rules"),
        Just("env"),
        Just("image"),
        Just("jobTemplate"),
        Just("subjects"),
    ];
    leaf.prop_recursive(6, 64, 8, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_string), inner, 0..8)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn filling_twice_is_filling_once(object in odd_json(), kind in prop::sample::select(&KINDS)) {
        let (group, version, kind) = kind;
        let once = filled(group, version, kind, object);
        let twice = filled(group, version, kind, once.clone());
        prop_assert_eq!(once, twice);
    }

    #[test]
    fn pruning_twice_is_pruning_once(mut object in odd_json(), kind in prop::sample::select(&KINDS)) {
        let (group, version, kind) = kind;
        let schema = builtin::builtin(group, version, kind).unwrap();
        schema.prune(&mut object);
        let once = object.clone();
        prop_assert!(schema.prune(&mut object).is_empty());
        prop_assert_eq!(object, once);
    }
}
