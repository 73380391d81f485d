//! Plain objects: written, read, patched, applied, edited, asked about, deleted.

use crate::session::Kubectl;

const CONFIG: &str = "
apiVersion: v1
kind: ConfigMap
metadata: {name: conf, labels: {app: conf, tier: front}}
data: {a: '1', b: '2'}
";

pub fn written_and_read(kubectl: &Kubectl) {
    let file = kubectl.file("conf.yaml", CONFIG);
    let changed = kubectl.file("changed.yaml", &CONFIG.replace("'1'", "'9'"));
    kubectl.says(&["create", "-f", &file], &["configmap/conf created"]);
    kubectl.fails(&["create", "-f", &file], &["already exists"]);
    kubectl.ok(&["delete", "-f", &file]);
    kubectl.says(&["apply", "-f", &file], &["configmap/conf created"]);
    kubectl.says(&["apply", "-f", &file], &["configmap/conf unchanged"]);
    kubectl.says(
        &["apply", "-f", &changed, "--dry-run=server"],
        &["configured (server dry run)"],
    );
    kubectl.fails(&["diff", "-f", &changed], &["- a: \"1\"", "+ a: \"9\""]);
    kubectl.says(&["apply", "-f", &changed], &["configmap/conf configured"]);

    kubectl.says(&["get", "cm", "conf"], &["NAME DATA AGE", "conf 2"]);
    kubectl.says(
        &["get", "cm", "-l", "tier in (front,back),app!=x"],
        &["conf 2"],
    );
    kubectl.says(
        &["get", "cm", "-l", "app=nobody"],
        &["No resources found in default"],
    );
    kubectl.says(
        &["get", "cm", "--field-selector", "metadata.name=conf"],
        &["conf 2"],
    );
    kubectl.says(&["get", "cm", "conf", "-o", "name"], &["configmap/conf"]);
    kubectl.says(
        &["get", "cm", "conf", "-o", "wide", "--show-labels"],
        &["app=conf,tier=front"],
    );
    kubectl.says(
        &["get", "cm", "conf", "-o", "yaml"],
        &["a: \"9\" b: \"2\" kind: ConfigMap"],
    );
    kubectl.says(&["get", "cm", "conf", "-o", "json"], &["\"a\": \"9\""]);
    kubectl.says(&["get", "cm", "conf", "-o", "jsonpath={.data.a}"], &["9"]);
    kubectl.says(
        &[
            "get",
            "cm",
            "conf",
            "-o",
            "custom-columns=N:.metadata.name,A:.data.a",
        ],
        &["N A conf 9"],
    );
    kubectl.fails(
        &["get", "cm", "nobody"],
        &["configmaps \"nobody\" not found"],
    );
    kubectl.says(
        &["describe", "cm", "conf"],
        &["Name: conf", "Data ==== a: ---- 9"],
    );

    kubectl.says(&["label", "cm", "conf", "tier-"], &["unlabeled"]);
    kubectl.fails(
        &["label", "cm", "conf", "app=other"],
        &["--overwrite is false"],
    );
    kubectl.says(
        &["label", "cm", "conf", "app=other", "--overwrite"],
        &["labeled"],
    );
    kubectl.says(&["annotate", "cm", "conf", "note=x"], &["annotated"]);
    kubectl.says(
        &["patch", "cm", "conf", "-p", "{\"data\":{\"c\":\"3\"}}"],
        &["patched"],
    );
    kubectl.says(
        &[
            "patch",
            "cm",
            "conf",
            "--type=merge",
            "-p",
            "{\"data\":{\"b\":null}}",
        ],
        &["patched"],
    );
    let replace = "[{\"op\":\"replace\",\"path\":\"/data/c\",\"value\":\"4\"}]";
    kubectl.says(
        &["patch", "cm", "conf", "--type=json", "-p", replace],
        &["patched"],
    );
    kubectl.edits(
        &["cm", "conf"],
        "s/a:.*9.*/a: edited/",
        "configmap/conf edited",
    );
    let data = [
        "get",
        "cm",
        "conf",
        "-o",
        "jsonpath={.data} {.metadata.labels.app}",
    ];
    kubectl.says(&data, &["{\"a\":\"edited\",\"c\":\"4\"} other"]);

    let watched = kubectl.watches(
        &["get", "cm", "-l", "app=other", "-w", "-o", "name"],
        2,
        || {
            kubectl.ok(&["annotate", "cm", "conf", "note=y", "--overwrite"]);
        },
    );
    assert_eq!(watched, ["configmap/conf", "configmap/conf"]);
    kubectl.says(
        &["delete", "cm", "-l", "app=other"],
        &["configmap \"conf\" deleted"],
    );
    kubectl.says(&["delete", "cm", "conf", "--ignore-not-found"], &[]);
}

pub fn applied_by_the_server(kubectl: &Kubectl) {
    let file = kubectl.file("conf.yaml", CONFIG);
    let changed = kubectl.file("changed.yaml", &CONFIG.replace("'1'", "'9'"));
    let apply = ["apply", "--server-side", "-f"];
    kubectl.says(&[&apply[..], &[&file]].concat(), &["serverside-applied"]);
    let other = [&apply[..], &[&changed, "--field-manager=other"]].concat();
    kubectl.fails(&other, &["conflict with \"kubectl\": .data.a"]);
    kubectl.says(
        &[&other[..], &["--force-conflicts"]].concat(),
        &["serverside-applied"],
    );
    // What its owner sets no more is removed.
    let less = kubectl.file("less.yaml", &CONFIG.replace(", b: '2'", ""));
    kubectl.fails(
        &[&apply[..], &[&less]].concat(),
        &["conflict with \"other\": .data.a"],
    );
    let less = kubectl.file(
        "less.yaml",
        &CONFIG.replace("data: {a: '1', b: '2'}", "data: {}"),
    );
    kubectl.ok(&[&apply[..], &[&less]].concat());
    kubectl.says(
        &["get", "cm", "conf", "-o", "yaml", "--show-managed-fields"],
        &[
            "manager: other",
            "operation: Apply",
            "data: a: \"9\" b: \"2\"",
        ],
    );
    kubectl.ok(&["delete", "-f", &file, "--wait"]);
}

pub fn asked_about(kubectl: &Kubectl) {
    kubectl.says(&["version"], &["Server Version: v1.34"]);
    kubectl.says(&["cluster-info"], &["is running at", "/clusters/"]);
    kubectl.says(
        &["api-resources"],
        &[
            "deployments deploy apps/v1 true Deployment",
            "nodes no v1 false Node",
        ],
    );
    kubectl.says(
        &["api-resources", "--namespaced=false", "-o", "name"],
        &["customresourcedefinitions.apiextensions.k8s.io"],
    );
    kubectl.says(
        &["api-versions"],
        &["apps/v1", "autoscaling/v2", "batch/v1"],
    );
    kubectl.says(
        &[
            "explain",
            "deployment.spec.template.spec.containers.resources",
        ],
        &[
            "FIELD: resources <ResourceRequirements>",
            "limits <map[string]Quantity>",
        ],
    );
    kubectl.says(
        &["explain", "deployment"],
        &[
            "GROUP: apps",
            "metadata <ObjectMeta>",
            "spec <DeploymentSpec>",
        ],
    );
    kubectl.says(
        &["explain", "pod", "--recursive"],
        &["containers <[]Container>"],
    );
    kubectl.fails(&["explain", "pod.spec.nope"], &["does not exist"]);
    kubectl.says(&["get", "--raw", "/readyz"], &["ok"]);
    kubectl.fails(&["get", "nope"], &["doesn't have a resource type \"nope\""]);
    let typo = CONFIG.replace("\ndata:", "\ndta:");
    let typo = kubectl.file("typo.yaml", &typo);
    kubectl.fails(&["apply", "-f", &typo], &["unknown field \"dta\""]);
}
