//! Nodes and usage of a member, and what comes to it from the hub.

use crate::session::Kubectl;

pub fn nodes_are_kept_free(kubectl: &Kubectl) {
    let node = "cluster1-node1";
    kubectl.says(
        &["get", "nodes"],
        &["NAME STATUS ROLES AGE VERSION", "cluster1-node1 Ready"],
    );
    kubectl.says(
        &["describe", "node", node],
        &["Capacity: cpu: 4", "topology.kubernetes.io/region=region1"],
    );
    kubectl.says(&["taint", "node", node, "k=v:NoSchedule"], &["tainted"]);
    kubectl.says(&["taint", "node", node, "k-"], &["untainted"]);
    kubectl.ok(&[
        "create",
        "deployment",
        "moving",
        "--image=nginx",
        "--replicas=6",
    ]);
    kubectl.ok(&["rollout", "status", "deploy", "moving", "--timeout=60s"]);
    let field = format!("--field-selector=spec.nodeName={node}");
    let here = ["get", "pods", "-o", "name", &field];
    assert_ne!(kubectl.ok(&here), "");
    kubectl.says(&["cordon", node], &["cordoned"]);
    kubectl.says(&["get", "node", node], &["Ready,SchedulingDisabled"]);
    kubectl.says(&["drain", node, "--timeout=60s"], &["evicted", "drained"]);
    assert_eq!(kubectl.ok(&here), "");
    kubectl.ok(&["rollout", "status", "deploy", "moving", "--timeout=60s"]);
    kubectl.says(&["uncordon", node], &["uncordoned"]);
}

/// Uses the pods of [`nodes_are_kept_free`].
pub fn usage_is_shown(kubectl: &Kubectl) {
    kubectl.says(
        &["top", "nodes"],
        &[
            "NAME CPU(cores) CPU(%) MEMORY(bytes) MEMORY(%)",
            "cluster1-node2",
        ],
    );
    kubectl.says(
        &["top", "pods"],
        &["NAME CPU(cores) MEMORY(bytes)", "moving-", "1m 32Mi"],
    );
    kubectl.says(
        &["top", "pods", "-A", "--containers"],
        &["default moving-", "nginx 1m 32Mi"],
    );
    kubectl.ok(&["delete", "deploy", "moving"]);
}

pub fn federated(hub: &Kubectl, member: &Kubectl) {
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifests/examples/");
    let deployment = format!("{manifest}02_example_deployment_worst_fit.yaml");
    hub.says(
        &["get", "mcl"],
        &[
            "NAME ROLE REGION READY VERSION NODES",
            "cluster1 OnPremises region1",
        ],
    );
    hub.says(
        &["apply", "-f", &deployment],
        &["multiclusterdeployment.fogguru.eu/hello created"],
    );
    hub.says(
        &[
            "wait",
            "--for=jsonpath={.status.readyReplicas}=6",
            "mcd/hello",
        ],
        &["condition met"],
    );
    hub.says(
        &["get", "mcd"],
        &[
            "NAME POLICY CLUSTERS PLACED UNPLACED READY AGE",
            "hello worst_fit",
        ],
    );
    hub.says(&["describe", "mcd", "hello"], &["Verdict:", "AllAvailable"]);
    hub.says(
        &["explain", "mcd.spec.placementPolicy"],
        &["FIELD: placementPolicy <string>"],
    );
    member.says(&["get", "deploy", "hello"], &["hello"]);
    hub.says(&["scale", "mcd", "hello", "--replicas=1"], &["scaled"]);
    let replicas = [
        "get",
        "deploy",
        "hello",
        "-o",
        "jsonpath={.status.readyReplicas}",
    ];
    member.until(&replicas, |said| said == "1");
    hub.says(&["delete", "mcd", "hello"], &["deleted"]);
    member.until(&["get", "deploy", "-o", "name"], str::is_empty);
}
