//! From the Rust types to the CRDs that the API server enforces: what schemars cannot say (CEL
//! rules, map lists, bounds that keep the rules' cost finite) is added here, as data.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt as _;
use schemars::{Schema, SchemaGenerator};
use serde_json::{Value, json};

use super::builtin_schema::{accept_as_builtin, one_of, refuse_as_builtin, relax_required};
use super::{
    AppRescheduler, CloudProvisioner, Leftover, MemberCluster, MultiClusterDeployment,
    MultiClusterHorizontalPodAutoscaler, MultiClusterJob, MultiClusterService, RetainedField,
    WorkloadMove,
};

/// The CRDs of the group, complete, in the order in which they are installed.
///
/// # Errors
/// When a CRD no longer has the shape that the additions here expect; a test sees to it that
/// this cannot reach a user.
pub fn crds() -> Result<Vec<CustomResourceDefinition>, serde_json::Error> {
    [
        (MultiClusterDeployment::crd(), deployment as fn(&mut Value)),
        (MultiClusterJob::crd(), job),
        (MultiClusterService::crd(), service),
        (MemberCluster::crd(), member_cluster),
        (WorkloadMove::crd(), workload_move),
        (Leftover::crd(), plain),
        (MultiClusterHorizontalPodAutoscaler::crd(), autoscaler),
        (CloudProvisioner::crd(), cloud_provisioner),
        (AppRescheduler::crd(), plain),
    ]
    .into_iter()
    .map(|(crd, complete)| {
        let mut crd = serde_json::to_value(crd)?;
        let schema = &mut crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        complete(schema);
        strip_kubernetes_descriptions(schema);
        serde_json::from_value(crd)
    })
    .collect()
}

/// The schema of the pod template: Kubernetes' own.
pub(super) fn pod_template(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<PodTemplateSpec>()
}

fn deployment(schema: &mut Value) {
    status(schema);
    let spec = &mut schema["properties"]["spec"];
    placement(spec);
    label_selector(&mut spec["properties"]["selector"]);
    template(&mut spec["properties"]["template"]);
    one_of(
        &mut spec["properties"]["strategy"]["properties"]["type"],
        "RollingUpdate|Recreate",
    );
    let retain = &mut spec["properties"]["retain"];
    retain["maxItems"] = json!(RetainedField::ALL.len());
    retain["x-kubernetes-list-type"] = json!("set");
    rules(
        &mut spec["properties"]["selector"],
        &[(
            "(has(self.matchLabels) && size(self.matchLabels) > 0) || \
             (has(self.matchExpressions) && size(self.matchExpressions) > 0)",
            "the selector is empty: give matchLabels, e.g. {app: NAME}, that the template's labels match",
        )],
    );
    rules(
        spec,
        &[
            (
                "!has(self.selector.matchLabels) || self.selector.matchLabels.all(k, \
                 has(self.template.metadata) && has(self.template.metadata.labels) && \
                 k in self.template.metadata.labels && \
                 self.template.metadata.labels[k] == self.selector.matchLabels[k])",
                "the selector does not match the template: give template.metadata.labels every label of selector.matchLabels",
            ),
            (
                "!has(self.selector.matchExpressions) || self.selector.matchExpressions.all(e, \
                 has(self.template.metadata) && has(self.template.metadata.labels) && \
                 e.key in self.template.metadata.labels ? \
                 (e.operator == 'Exists' || \
                 (e.operator == 'In' && has(e.values) && self.template.metadata.labels[e.key] in e.values) || \
                 (e.operator == 'NotIn' && !(has(e.values) && self.template.metadata.labels[e.key] in e.values))) : \
                 e.operator in ['NotIn', 'DoesNotExist'])",
                "the selector does not match the template: give template.metadata.labels what selector.matchExpressions ask for",
            ),
            (
                &format!(
                    "{} && {}",
                    unchanged("matchLabels", "{}"),
                    unchanged("matchExpressions", "[]")
                ),
                "the selector cannot be changed: delete the object and create it with the new one",
            ),
        ],
    );
    accept_as_builtin(spec);
}

/// Says that a part of the selector is as it was, absent or empty counting alike.
fn unchanged(part: &str, empty: &str) -> String {
    let value = |of: &str| format!("(has({of}.selector.{part}) ? {of}.selector.{part} : {empty})");
    format!("{} == {}", value("self"), value("oldSelf"))
}

fn job(schema: &mut Value) {
    status(schema);
    let spec = &mut schema["properties"]["spec"];
    placement(spec);
    template(&mut spec["properties"]["template"]);
    rules(
        spec,
        &[
            (
                "self.replicaScheduling != 'Total' || !(has(self.parallelism) || has(self.completions))",
                "replicaScheduling Total divides replicas over the clusters: leave parallelism and completions out, or use PerLocation",
            ),
            (
                "self.replicas == oldSelf.replicas && has(self.parallelism) == has(oldSelf.parallelism) && \
                 (!has(self.parallelism) || self.parallelism == oldSelf.parallelism) && \
                 has(self.completions) == has(oldSelf.completions) && \
                 (!has(self.completions) || self.completions == oldSelf.completions)",
                "replicas, parallelism and completions cannot be changed once the job is made: delete the object and create it anew",
            ),
        ],
    );
    accept_as_builtin(spec);
    name_rule(
        schema,
        "size(self.metadata.name) <= 63",
        "the name is too long for a Job, whose pods carry it as a label: use at most 63 characters",
    );
}

fn service(schema: &mut Value) {
    status(schema);
    let spec = &mut schema["properties"]["spec"];
    named_clusters(spec);
    accept_as_builtin(spec);
    name_rule(
        schema,
        "self.metadata.name.matches('^[a-z]([-a-z0-9]{0,61}[a-z0-9])?$')",
        "the name is not one that a Service may have: use at most 63 lower-case letters, digits and '-', the first a letter",
    );
}

fn member_cluster(schema: &mut Value) {
    let status = &mut schema["properties"]["status"]["properties"];
    map_list(&mut status["conditions"], "type", 16);
    rules(
        schema,
        &[(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",
            "the name is not a DNS label: use at most 63 lower-case letters, digits and '-'; where the context or the serf node is called otherwise, say so in access.context or serfName",
        )],
    );
    let spec = &mut schema["properties"]["spec"];
    let properties = &mut spec["properties"];
    taints(&mut properties["taints"]);
    taints(&mut properties["upcoming"]["items"]["properties"]["taints"]);
    rules(
        &mut properties["access"],
        &[(
            "(has(self.context) ? 1 : 0) + (has(self.secretRef) ? 1 : 0) + (has(self.kubeFedCluster) ? 1 : 0) == 1",
            "give exactly one of access.context, access.secretRef and access.kubeFedCluster",
        )],
    );
    accept_as_builtin(spec);
}

/// Refuses taints that would mean nothing: as a Node's are validated.
fn taints(schema: &mut Value) {
    let properties = &mut schema["items"]["properties"];
    properties["effect"]["enum"] = json!(["NoSchedule", "PreferNoSchedule", "NoExecute"]);
    properties["key"]["pattern"] = json!(
        "^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$"
    );
    properties["value"]["pattern"] = json!("^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$");
}

fn workload_move(schema: &mut Value) {
    map_list(
        &mut schema["properties"]["status"]["properties"]["conditions"],
        "type",
        16,
    );
    let spec = &mut schema["properties"]["spec"];
    let properties = &mut spec["properties"];
    let names = ["/workload/properties/name", "/from", "/to"];
    for name in names {
        if let Some(name) = properties.pointer_mut(name) {
            name["minLength"] = json!(1);
            name["maxLength"] = json!(253);
        }
    }
    properties["strategy"]["maxLength"] = json!(63);
    properties["reason"]["maxLength"] = json!(1024);
    properties["replicas"]["minimum"] = json!(1);
    properties["progressDeadlineSeconds"]["minimum"] = json!(1);
    properties["progressDeadlineSeconds"]["maximum"] = json!(86_400);
    rules(
        spec,
        &[
            (
                "self.from != self.to",
                "the move is from a cluster to itself: name another one in to",
            ),
            (
                "self == oldSelf",
                "a move cannot be changed: delete it, which undoes what has not been moved, and create another",
            ),
        ],
    );
}

fn autoscaler(schema: &mut Value) {
    let status = &mut schema["properties"]["status"]["properties"];
    map_list(&mut status["clusters"], "cluster", 1000);
    map_list(&mut status["conditions"], "type", 16);
    let spec = &mut schema["properties"]["spec"];
    let properties = &mut spec["properties"];
    properties["scaleTargetRef"]["properties"]["name"]["minLength"] = json!(1);
    properties["scaleTargetRef"]["properties"]["kind"]["maxLength"] = json!(63);
    rules(
        &mut properties["scaleTargetRef"],
        &[(
            "self.kind == 'MultiClusterDeployment'",
            "only a MultiClusterDeployment can be scaled: write kind: MultiClusterDeployment",
        )],
    );
    properties["metrics"]["maxItems"] = json!(32);
    metric(&mut properties["metrics"]["items"]);
    let schedules = &mut properties["schedules"];
    schedules["maxItems"] = json!(64);
    rules(
        &mut schedules["items"],
        &[
            (
                "has(self.minReplicas) || has(self.maxReplicas)",
                "the schedule changes nothing: give minReplicas, maxReplicas, or both",
            ),
            (
                "!has(self.minReplicas) || !has(self.maxReplicas) || self.minReplicas <= self.maxReplicas",
                "minReplicas of the schedule is above its maxReplicas: write one that is at most as high",
            ),
        ],
    );
    rules(
        spec,
        &[
            (
                "(has(self.minReplicas) ? self.minReplicas : 1) <= (has(self.maxReplicas) ? self.maxReplicas : 100)",
                "minReplicas (default 1) is above maxReplicas (default 100): write one that is at most as high",
            ),
            (
                "!has(self.minReplicasPerCluster) || self.minReplicasPerCluster <= (has(self.maxReplicas) ? self.maxReplicas : 100)",
                "minReplicasPerCluster is above maxReplicas (default 100): write one that is at most as high",
            ),
            (
                "!(has(self.minReplicas) && self.minReplicas == 0 || \
                 has(self.minReplicasPerCluster) && self.minReplicasPerCluster == 0 || \
                 has(self.schedules) && self.schedules.exists(s, has(s.minReplicas) && s.minReplicas == 0)) || \
                 has(self.metrics) && self.metrics.exists(m, m.type in ['Object', 'External', 'Prometheus'])",
                "zero replicas would never be left again, because pods that are not there have no usage: write at least 1, or add a metric of type External, Object or Prometheus",
            ),
            (
                "self.scope != 'Global' || !has(self.minReplicasPerCluster)",
                "with scope Global the target divides the replicas: leave minReplicasPerCluster out, or use scope PerCluster",
            ),
            (
                "self.scope != 'Global' || self.distribution != 'Traffic'",
                "with scope Global the target divides the replicas: leave distribution out, or use scope PerCluster",
            ),
        ],
    );
    accept_as_builtin(spec);
}

/// One entry of `metrics`: the type's part, and a target that fits it.
fn metric(metric: &mut Value) {
    const PARTS: [(&str, &str); 6] = [
        ("Resource", "resource"),
        ("ContainerResource", "containerResource"),
        ("Pods", "pods"),
        ("Object", "object"),
        ("External", "external"),
        ("Prometheus", "prometheus"),
    ];
    for (kind, part) in PARTS {
        let others = PARTS.iter().filter(|(_, other)| *other != part);
        let others: Vec<_> = others
            .map(|(_, other)| format!("!has(self.{other})"))
            .collect();
        let rule = format!(
            "self.type != '{kind}' || has(self.{part}) && {}",
            others.join(" && ")
        );
        let message = format!(
            "a metric of type {kind} has the field {part} and no other: give it, or correct type"
        );
        rules(metric, &[(&rule, &message)]);
        let (types, example) = match kind {
            "Resource" | "ContainerResource" => (
                vec!["Utilization", "AverageValue"],
                "{type: Utilization, averageUtilization: 50}",
            ),
            "Pods" => (
                vec!["AverageValue"],
                "{type: AverageValue, averageValue: \"100\"}",
            ),
            _ => (
                vec!["Value", "AverageValue"],
                "{type: AverageValue, averageValue: \"100\"}",
            ),
        };
        let target = &mut metric["properties"][part]["properties"]["target"];
        target["properties"]["type"]["enum"] = json!(types);
        let mut amounts = vec!["(self.type == 'AverageValue') == has(self.averageValue)"];
        if kind != "Prometheus" {
            target["properties"]["averageUtilization"]["minimum"] = json!(1);
            amounts.push("(self.type == 'Utilization') == has(self.averageUtilization)");
        }
        amounts.push("(self.type == 'Value') == has(self.value)");
        let message = format!(
            "the target's type names the one field that is given with it: write e.g. {example}"
        );
        rules(target, &[(&amounts.join(" && "), &message)]);
    }
    let query = &mut metric["properties"]["prometheus"]["properties"]["query"];
    rules(
        query,
        &[(
            "self.matches('[^ \\t\\r\\n]')",
            "the query is empty: write PromQL, e.g. sum by (cluster_name) (rate(http_requests_total[1m]))",
        )],
    );
}

fn cloud_provisioner(schema: &mut Value) {
    let status = &mut schema["properties"]["status"]["properties"];
    map_list(&mut status["conditions"], "type", 16);
    map_list(&mut status["clusters"], "name", 16);
    rules(
        schema,
        &[(
            "self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')",
            "the name begins those of clusters and machines: use at most 40 lower-case letters, digits and '-'",
        )],
    );
    let spec = &mut schema["properties"]["spec"];
    let properties = &mut spec["properties"];
    map_list(&mut properties["flavors"], "name", 64);
    properties["cloudClusterName"]["maxLength"] = json!(253);
    rules(
        &mut properties["cloudClusterName"],
        &[(
            "self.matches('^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$')",
            "the name begins those of machines: use at most 40 lower-case letters, digits and '-'",
        )],
    );
    rules(
        &mut properties["flavors"]["items"],
        &[(
            "'cpu' in self.capacity && 'memory' in self.capacity",
            "the size of the flavor is not known: give capacity cpu and memory, e.g. {cpu: 4, memory: 16Gi}",
        )],
    );
    rules(
        &mut properties["controlPlane"],
        &[(
            "!has(self.replicas) || self.replicas % 2 == 1",
            "an even number of control-plane machines survives no more than one less: write 1, 3 or 5",
        )],
    );
    rules(
        spec,
        &[
            (
                "!has(self.credentialsSecretRef) || !has(self.cloudsYaml) && !has(self.certText)",
                "the credentials are given twice: leave cloudsYaml and certText out where there is a credentialsSecretRef",
            ),
            (
                "self.minNodes <= self.maxNodes",
                "minNodes is above maxNodes: write one that is at most as high",
            ),
        ],
    );
    accept_as_builtin(spec);
}

fn plain(_: &mut Value) {}

/// Every field of `PlacementFields`.
fn placement(spec: &mut Value) {
    named_clusters(spec);
    let properties = &mut spec["properties"];
    let policies: Vec<String> = placement::policy::names()
        .flat_map(|name| {
            if name.contains('_') {
                vec![name.to_owned(), name.replace('_', "-")]
            } else {
                vec![name.to_owned()]
            }
        })
        .collect();
    properties["placementPolicy"]["enum"] = json!(policies);
    properties["replicaOverrides"] = json!({
        "description": properties["replicaOverrides"]["description"],
        "x-kubernetes-preserve-unknown-fields": true,
    });
    map_list(&mut properties["clusterReplicas"], "cluster", 1000);
    map_list(&mut properties["overrides"], "cluster", 1000);
    let operation =
        &mut properties["overrides"]["items"]["properties"]["patch"]["items"]["properties"];
    operation["op"]["enum"] = json!(["add", "remove", "replace", "move", "copy", "test"]);
    operation["value"] = json!({ "x-kubernetes-preserve-unknown-fields": true });
    label_selector(&mut properties["clusterSelector"]);
    rules(
        spec,
        &[
            (
                "!has(self.clusters) || !has(self.numberOfLocations) || self.numberOfLocations == size(self.clusters)",
                "numberOfLocations contradicts clusters: leave it out, or name as many clusters",
            ),
            (
                "!has(self.clusters) || !has(self.clusterReplicas) || self.clusterReplicas.all(r, r.cluster in self.clusters)",
                "clusterReplicas names a cluster that clusters does not: add it there, or take it out here",
            ),
            (
                "self.replicaScheduling != 'Total' || !has(self.clusterReplicas)",
                "replicaScheduling Total divides replicas evenly and contradicts clusterReplicas: use PerLocation with them",
            ),
            (
                "!has(self.placementPolicy) || !(self.placementPolicy in ['cluster_affinity', 'cluster-affinity']) || \
                 has(self.locations) || has(self.clusters) || has(self.clusterReplicas) || has(self.clusterSelector)",
                "placementPolicy cluster_affinity needs the clusters: give locations, clusters or clusterSelector",
            ),
        ],
    );
}

/// `locations` and `clusters`.
fn named_clusters(spec: &mut Value) {
    let properties = &mut spec["properties"];
    properties["locations"]["maxLength"] = json!(8192);
    let clusters = &mut properties["clusters"];
    clusters["minItems"] = json!(1);
    clusters["maxItems"] = json!(1000);
    clusters["items"]["maxLength"] = json!(63);
    clusters["items"]["pattern"] = json!("^[a-z0-9]([-a-z0-9]*[a-z0-9])?$");
    clusters["x-kubernetes-list-type"] = json!("set");
    rules(
        spec,
        &[(
            "!has(self.locations) || self.locations.matches('^ *[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?( *, *[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)* *$')",
            "locations names no cluster, or not as expected: write names separated by commas, e.g. \"cluster2, cluster3\", or leave it out",
        )],
    );
}

fn template(template: &mut Value) {
    relax_required(template);
    refuse_as_builtin(template);
    let labels = &mut template["properties"]["metadata"]["properties"]["labels"];
    bounded_map(labels);
    template["properties"]["spec"]["properties"]["containers"]["minItems"] = json!(1);
}

/// Bounds that keep the estimated cost of rules over labels small.
fn label_selector(selector: &mut Value) {
    bounded_map(&mut selector["properties"]["matchLabels"]);
    let expressions = &mut selector["properties"]["matchExpressions"];
    expressions["maxItems"] = json!(32);
    let expression = &mut expressions["items"]["properties"];
    expression["key"]["maxLength"] = json!(317);
    expression["operator"]["enum"] = json!(["In", "NotIn", "Exists", "DoesNotExist"]);
    expression["values"]["maxItems"] = json!(64);
    expression["values"]["items"]["maxLength"] = json!(63);
}

fn bounded_map(map: &mut Value) {
    map["maxProperties"] = json!(64);
    map["additionalProperties"]["maxLength"] = json!(63);
}

fn map_list(list: &mut Value, key: &str, most: u32) {
    list["maxItems"] = json!(most);
    list["x-kubernetes-list-type"] = json!("map");
    list["x-kubernetes-list-map-keys"] = json!([key]);
}

/// A status with defaults, so that the first assignment can be written under the condition that
/// nobody has written one (a JSON patch cannot test for a field that is missing).
fn status(schema: &mut Value) {
    let status = &mut schema["properties"]["status"];
    status["default"] = json!({});
    let properties = &mut status["properties"];
    properties["decision"]["default"] = json!({ "sequence": 0, "key": "" });
    map_list(&mut properties["placements"], "cluster", 2000);
    map_list(&mut properties["conditions"], "type", 16);
}

fn rules(schema: &mut Value, rules: &[(&str, &str)]) {
    for (rule, message) in rules {
        add_rule(
            schema,
            json!({ "rule": null_safe(rule), "message": message }),
        );
    }
}

/// A rule for the name of an object. It holds when the object is created: one that is there keeps
/// its name, and can still be written and deleted.
fn name_rule(schema: &mut Value, rule: &str, message: &str) {
    let rule = format!("oldSelf.hasValue() || {rule}");
    add_rule(
        schema,
        json!({ "rule": rule, "message": message, "optionalOldSelf": true }),
    );
}

fn add_rule(schema: &mut Value, rule: Value) {
    match &mut schema["x-kubernetes-validations"] {
        Value::Array(rules) => rules.push(rule),
        none => *none = json!([rule]),
    }
}

/// In CEL a field that is null is there. Here it counts as absent.
fn null_safe(rule: &str) -> String {
    let mut parts = rule.split("has(");
    let mut safe = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let (field, rest) = part.split_once(')').unwrap_or((part, ""));
        let guarded = format!("(has({field}) && dyn({field}) != null){rest}");
        safe.push_str(&guarded);
    }
    safe
}

/// Kubernetes' own types bring a book of descriptions, more than an annotation may hold (which
/// client-side `kubectl apply` needs). Ours, at most three properties deep, stay.
fn strip_kubernetes_descriptions(schema: &mut Value) {
    const OURS: [&str; 7] = [
        "spec",
        "status",
        "access",
        "placements",
        "decision",
        "clusterReplicas",
        "scaleTargetRef",
    ];
    let Some(properties) = schema["properties"].as_object_mut() else {
        return;
    };
    for (name, property) in properties {
        if OURS.contains(&name.as_str()) {
            strip_kubernetes_descriptions(property);
        } else {
            for below in ["properties", "items", "additionalProperties"] {
                remove_descriptions(&mut property[below]);
            }
            if let Some(object) = property.as_object_mut() {
                object.retain(|_, value| !value.is_null());
            }
        }
    }
}

fn remove_descriptions(value: &mut Value) {
    match value {
        Value::Object(object) => {
            // A property may itself be called "description"; the keyword's value is a string.
            object.retain(|key, value| !(key == "description" && value.is_string()));
            object.values_mut().for_each(remove_descriptions);
        }
        Value::Array(array) => array.iter_mut().for_each(remove_descriptions),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_crd_fits_into_the_annotation_of_client_side_apply() {
        for crd in crds().unwrap() {
            let bytes = serde_json::to_string(&crd).unwrap().len();
            // The limit is on all annotations together.
            assert!(
                bytes < 256 * 1024 - 1024,
                "{:?}: {bytes}",
                crd.metadata.name
            );
        }
    }

    #[test]
    fn a_null_counts_as_absent_in_rules() {
        assert_eq!(
            null_safe("!has(self.a) || self.a.all(e, has(e.b))"),
            "!(has(self.a) && dyn(self.a) != null) || self.a.all(e, (has(e.b) && dyn(e.b) != null))"
        );
    }

    #[test]
    fn every_policy_is_offered_in_both_spellings() {
        let all = serde_json::to_value(crds().unwrap()).unwrap();
        let spec =
            &all[0]["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["properties"]["spec"];
        let offered = spec["properties"]["placementPolicy"]["enum"].to_string();
        for name in placement::policy::names() {
            assert!(offered.contains(&format!("{name:?}")), "{offered}");
            assert!(
                offered.contains(&format!("{:?}", name.replace('_', "-"))),
                "{offered}"
            );
        }
    }
}
