//! What a user hears about objects that are not valid.

use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use super::super::defaults::tests::odd_json;
use crate::builtin::by_name;

/// Sets the value at a pointer, making objects on the way.
fn set(object: &mut Value, pointer: &str, value: Value) {
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = object.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(items) => items[name.parse::<usize>().unwrap()] = value,
        Value::Object(fields) => {
            fields.insert(name.to_string(), value);
        }
        other => panic!("{other} has no {name}"),
    }
}

fn valid(group: &str, kind: &str) -> Value {
    let pod = json!({"containers": [{"name": "c", "image": "i"}]});
    let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": pod});
    let selected = json!({"selector": {"matchLabels": {"a": "b"}}, "template": template});
    let mut object = match kind {
        "Pod" => json!({"spec": pod}),
        "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet" => json!({"spec": selected}),
        "Job" => {
            let mut spec = json!({ "template": template });
            set(&mut spec, "/template/spec/restartPolicy", json!("Never"));
            json!({"spec": spec})
        }
        "Service" => json!({"spec": {"ports": [{"port": 80}]}}),
        "ConfigMap" => json!({"data": {"a": "b"}}),
        "Secret" => json!({"data": {"a": "Yg=="}}),
        "Lease" => json!({"spec": {}}),
        "Role" => json!({"rules": [{"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}]}),
        "RoleBinding" => json!({
            "roleRef": {"kind": "Role", "name": "r"}, "subjects": [{"kind": "User", "name": "u"}]
        }),
        "HorizontalPodAutoscaler" => json!({
            "spec": {"maxReplicas": 3, "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}}
        }),
        "PodDisruptionBudget" => json!({"spec": {"minAvailable": 1}}),
        "PersistentVolumeClaim" => json!({
            "spec": {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
        }),
        "CustomResourceDefinition" => json!({"spec": {
            "group": "example.com", "scope": "Namespaced",
            "names": {"plural": "foos", "kind": "Foo"},
            "versions": [{"name": "v1", "served": true, "storage": true, "schema": {
                "openAPIV3Schema": {"type": "object"}
            }}]
        }}),
        _ => json!({}),
    };
    let name = if kind == "CustomResourceDefinition" {
        "foos.example.com"
    } else {
        "n"
    };
    let mut metadata = json!({"name": name, "uid": "u", "resourceVersion": "1"});
    if kind != "CustomResourceDefinition" {
        metadata["namespace"] = json!("default");
    }
    object["metadata"] = metadata;
    by_name::default(group, version(group), kind, &mut object);
    by_name::prepare_create(group, kind, &mut object);
    object
}

fn version(group: &str) -> &'static str {
    if group == "autoscaling" { "v2" } else { "v1" }
}

const CRD: &str = "apiextensions.k8s.io";
const RBAC: &str = "rbac.authorization.k8s.io";

#[rstest]
#[case("", "Pod")]
#[case("", "Service")]
#[case("", "ConfigMap")]
#[case("", "Secret")]
#[case("", "PersistentVolumeClaim")]
#[case("apps", "Deployment")]
#[case("apps", "ReplicaSet")]
#[case("apps", "StatefulSet")]
#[case("apps", "DaemonSet")]
#[case("batch", "Job")]
#[case("autoscaling", "HorizontalPodAutoscaler")]
#[case("policy", "PodDisruptionBudget")]
#[case("coordination.k8s.io", "Lease")]
#[case(RBAC, "Role")]
#[case(RBAC, "RoleBinding")]
#[case(CRD, "CustomResourceDefinition")]
fn a_valid_object_passes(#[case] group: &str, #[case] kind: &str) {
    let object = valid(group, kind);
    assert_eq!(by_name::validate_create(group, kind, &object), []);
    assert_eq!(by_name::validate_update(group, kind, &object, &object), []);
}

#[rstest]
#[case("", "Pod", "/metadata/namespace", json!("A"), r#"metadata.namespace: Invalid value: "A": a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"#)]
#[case("", "Pod", "/metadata/name", json!(""), "metadata.name: Required value: name or generateName is required")]
#[case("", "Pod", "/metadata/labels", json!({"a": "-"}), r#"metadata.labels: Invalid value: "-": a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', regex used for validation is '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')"#)]
#[case("", "Pod", "/spec/containers", json!([]), "spec.containers: Required value")]
#[case("", "Pod", "/spec/containers/0/image", json!(""), "spec.containers[0].image: Required value")]
#[case("", "Pod", "/spec/containers/0/ports", json!([{"containerPort": 70000, "protocol": "TCP"}]), "spec.containers[0].ports[0].containerPort: Invalid value: 70000: must be between 1 and 65535, inclusive")]
#[case("", "Pod", "/spec/containers/0/volumeMounts", json!([{"name": "v", "mountPath": "/v"}]), r#"spec.containers[0].volumeMounts[0].name: Not found: "v""#)]
#[case("", "Pod", "/spec/containers/0/resources", json!({"limits": {"cpu": "1"}, "requests": {"cpu": "2"}}), r#"spec.containers[0].resources.requests: Invalid value: "2": must be less than or equal to cpu limit of 1"#)]
#[case("", "Pod", "/spec/containers/0/env", json!([{"name": "a=b"}]), r#"spec.containers[0].env[0].name: Invalid value: "a=b": a valid environment variable name must consist only of printable ASCII characters other than '='"#)]
#[case("", "Pod", "/spec/restartPolicy", json!("Sometimes"), r#"spec.restartPolicy: Unsupported value: "Sometimes": supported values: "Always", "OnFailure", "Never""#)]
#[case("apps", "Deployment", "/spec/replicas", json!(-1), "spec.replicas: Invalid value: -1: must be greater than or equal to 0")]
#[case("apps", "Deployment", "/spec/template/metadata/labels", json!({"a": "c"}), r#"spec.template.metadata.labels: Invalid value: {"a":"c"}: `selector` does not match template `labels`"#)]
#[case("apps", "Deployment", "/spec/template/spec/restartPolicy", json!("Never"), r#"spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always""#)]
#[case("batch", "Job", "/spec/template/spec/restartPolicy", json!("Always"), r#"spec.template.spec.restartPolicy: Required value: valid values: "OnFailure", "Never""#)]
#[case("", "Service", "/spec/ports", json!([]), "spec.ports: Required value")]
#[case("", "Service", "/spec/ports/0/port", json!(0), "spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive")]
#[case("", "Service", "/spec/type", json!("X"), r#"spec.type: Unsupported value: "X": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort""#)]
#[case("", "ConfigMap", "/data", json!({"a/b": "c"}), r#"data[a/b]: Invalid value: "a/b": a valid config key must consist of alphanumeric characters, '-', '_' or '.' (e.g. 'key.name',  or 'KEY_NAME',  or 'key-name', regex used for validation is '[-._a-zA-Z0-9]+')"#)]
#[case("", "Secret", "/type", json!("kubernetes.io/ssh-auth"), "data[ssh-privatekey]: Required value")]
#[case("", "PersistentVolumeClaim", "/spec/accessModes", json!([]), "spec.accessModes: Required value: at least 1 access mode is required")]
#[case("coordination.k8s.io", "Lease", "/spec/leaseDurationSeconds", json!(0), "spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0")]
#[case(RBAC, "Role", "/rules/0/verbs", json!([]), "rules[0].verbs: Required value: verbs must contain at least one value")]
#[case(RBAC, "RoleBinding", "/roleRef/kind", json!("Foo"), r#"roleRef.kind: Unsupported value: "Foo": supported values: "Role", "ClusterRole""#)]
#[case("autoscaling", "HorizontalPodAutoscaler", "/spec/maxReplicas", json!(0), "spec.maxReplicas: Invalid value: 0: must be greater than 0")]
#[case("policy", "PodDisruptionBudget", "/spec/minAvailable", json!("101%"), r#"spec.minAvailable: Invalid value: "101%": must not be greater than 100%"#)]
#[case(CRD, "CustomResourceDefinition", "/spec/scope", json!("X"), r#"spec.scope: Unsupported value: "X": supported values: "Cluster", "Namespaced""#)]
#[case(CRD, "CustomResourceDefinition", "/spec/versions/0/schema", json!({}), "spec.versions[0].schema.openAPIV3Schema: Required value")]
fn an_invalid_object_is_refused(
    #[case] group: &str,
    #[case] kind: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] expected: &str,
) {
    let mut object = valid(group, kind);
    set(&mut object, pointer, value);
    let errors = by_name::validate_create(group, kind, &object);
    assert!(!errors.is_empty());
    assert_eq!(errors[0].to_string(), expected);
}

#[rstest]
#[case("", "Pod", "/spec/containers/0/image", json!("j"), None)]
#[case("", "Pod", "/spec/containers/0/name", json!("j"), Some("spec: Forbidden: pod updates may not change fields other than"))]
#[case("", "Pod", "/metadata/uid", json!("x"), Some(r#"metadata.uid: Invalid value: "x": field is immutable"#))]
#[case("", "Pod", "/metadata/resourceVersion", json!(""), Some(r#"metadata.resourceVersion: Invalid value: "": must be specified for an update"#))]
#[case("apps", "Deployment", "/spec/replicas", json!(2), None)]
#[case("apps", "Deployment", "/spec/selector", json!({"matchExpressions": [{"key": "a", "operator": "Exists"}]}), Some(r#"spec.selector: Invalid value: {"matchExpressions":[{"key":"a","operator":"Exists"}]}: field is immutable"#))]
#[case("apps", "StatefulSet", "/spec/serviceName", json!("x"), Some("spec: Forbidden: updates to statefulset spec for fields other than"))]
#[case("batch", "Job", "/spec/parallelism", json!(2), None)]
#[case("batch", "Job", "/spec/completions", json!(2), Some("spec.completions: Invalid value: 2: field is immutable"))]
#[case("", "Secret", "/type", json!("x"), Some(r#"type: Invalid value: "x": field is immutable"#))]
#[case(RBAC, "RoleBinding", "/roleRef/name", json!("x"), Some(r#"roleRef: Invalid value: {"apiGroup":"rbac.authorization.k8s.io","kind":"Role","name":"x"}: cannot change roleRef"#))]
fn little_can_be_changed_in_some(
    #[case] group: &str,
    #[case] kind: &str,
    #[case] pointer: &str,
    #[case] value: Value,
    #[case] expected: Option<&str>,
) {
    let old = valid(group, kind);
    let mut object = old.clone();
    set(&mut object, pointer, value);
    let errors = by_name::validate_update(group, kind, &object, &old);
    let first = errors.first().map(ToString::to_string);
    match expected {
        None => assert_eq!(first, None),
        Some(expected) => assert!(first.as_ref().unwrap().starts_with(expected), "{first:?}"),
    }
}

#[test]
fn what_is_immutable_stays() {
    let mut old = valid("", "ConfigMap");
    old["immutable"] = json!(true);
    let mut new = old.clone();
    new["data"]["a"] = json!("c");
    let errors = by_name::validate_update("", "ConfigMap", &new, &old);
    let expected = "data: Forbidden: field is immutable when `immutable` is set";
    assert_eq!(errors[0].to_string(), expected);
}

const KINDS: [(&str, &str); 18] = [
    ("", "Pod"),
    ("", "Service"),
    ("", "Secret"),
    ("", "ConfigMap"),
    ("", "Namespace"),
    ("", "Node"),
    ("", "PersistentVolumeClaim"),
    ("apps", "Deployment"),
    ("apps", "StatefulSet"),
    ("apps", "DaemonSet"),
    ("batch", "Job"),
    ("batch", "CronJob"),
    ("autoscaling", "HorizontalPodAutoscaler"),
    ("policy", "PodDisruptionBudget"),
    ("networking.k8s.io", "Ingress"),
    ("networking.k8s.io", "NetworkPolicy"),
    (RBAC, "RoleBinding"),
    (CRD, "CustomResourceDefinition"),
];

proptest! {
    #[test]
    fn no_object_is_too_odd(new in odd_json(), old in odd_json(), kind in prop::sample::select(&KINDS)) {
        let (group, kind) = kind;
        let _ = by_name::validate_create(group, kind, &new);
        let _ = by_name::validate_update(group, kind, &new, &old);
    }
}
