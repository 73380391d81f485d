//! Random pod templates that the members take: every field of a pod template comes up, each in
//! several forms, also as null. What a default API server refuses together does not come together.

mod containers;
mod scheduling;
mod security;
mod volumes;

use serde_json::{Map, Value, json};

/// `SplitMix64`: the same seed gives the same templates everywhere.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap_or(0)
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn one<T: Clone>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())].clone()
    }
}

/// Names of what the hub has for templates to name: so many of each kind.
pub(crate) const NAMED: usize = 3;

/// What runs the pods, which decides what they may say.
#[derive(Clone, Copy)]
enum Runner {
    Deployment,
    Job,
}

/// Sets some of the fields, and now and then one to null.
fn some(random: &mut Random, percent: usize, fields: Vec<(&str, Value)>) -> Value {
    let mut object = Map::new();
    for (name, value) in fields {
        if random.chance(percent) {
            object.insert(name.to_owned(), value);
        } else if random.chance(5) {
            object.insert(name.to_owned(), Value::Null);
        }
    }
    Value::Object(object)
}

/// The same, and what must not be left out.
fn some_and(
    random: &mut Random,
    percent: usize,
    fields: Vec<(&str, Value)>,
    required: Value,
) -> Value {
    let mut object = some(random, percent, fields);
    if let (Value::Object(object), Value::Object(required)) = (&mut object, required) {
        object.extend(required);
    }
    object
}

fn without(object: &mut Value, fields: &[&str]) {
    if let Some(object) = object.as_object_mut() {
        object.retain(|field, _| !fields.contains(&field.as_str()));
    }
}

/// The fields of a `MultiClusterDeployment`'s spec that go to its members.
pub(crate) fn spec(random: &mut Random) -> Value {
    let rolling = json!({ "type": "RollingUpdate", "rollingUpdate": { "maxSurge": 1, "maxUnavailable": "30%" } });
    let strategies = [
        json!({ "type": "Recreate" }),
        json!({ "type": "RollingUpdate" }),
        rolling,
    ];
    let fields = vec![
        ("strategy", random.one(&strategies)),
        ("minReadySeconds", json!(random.below(5))),
        ("revisionHistoryLimit", json!(random.below(5))),
        ("progressDeadlineSeconds", json!(600 + random.below(5))),
    ];
    let mut spec = some(random, 60, fields);
    spec["template"] = template(random, Runner::Deployment);
    spec
}

/// The fields of a `MultiClusterJob`'s spec that can be changed.
pub(crate) fn job_fields(random: &mut Random) -> Value {
    let fields = vec![
        ("backoffLimit", json!(random.below(9))),
        ("activeDeadlineSeconds", json!(3600 + random.below(9))),
        ("ttlSecondsAfterFinished", json!(60 + random.below(9))),
    ];
    some(random, 50, fields)
}

/// A template of a `MultiClusterJob`, whose pods fit on any node, and run on none: a Job with a place
/// to run that does not end.
pub(crate) fn job_template(random: &mut Random) -> Value {
    let mut template = template(random, Runner::Job);
    let pod = &mut template["spec"];
    let of_place = [
        "affinity",
        "hostNetwork",
        "nodeName",
        "nodeSelector",
        "overhead",
        "resources",
        "topologySpreadConstraints",
    ];
    without(pod, &of_place);
    for list in ["initContainers", "containers"] {
        for container in pod[list].as_array_mut().into_iter().flatten() {
            without(container, &["ports", "resources"]);
        }
    }
    pod["schedulerName"] = json!("none");
    template
}

fn template(random: &mut Random, runner: Runner) -> Value {
    let mut labels = json!({ "app": "x" });
    if random.chance(50) {
        labels["version"] = json!(random.one(&["v1", "v2"]));
    }
    let fields = vec![(
        "annotations",
        json!({ "note": random.one(&["a", "b"]), "other": "c" }),
    )];
    let mut metadata = some(random, 40, fields);
    metadata["labels"] = labels;
    json!({ "metadata": metadata, "spec": pod(random, runner) })
}

fn pod(random: &mut Random, runner: Runner) -> Value {
    let volumes = volumes::some(random);
    let claims = resource_claims(random);
    let fields = pod_fields(random, runner);
    let mut pod = some(random, 25, fields);
    let around = containers::Around {
        volumes: &volumes,
        claims: &claims,
        // No device is mapped to other users.
        devices: pod["hostUsers"] != false,
        host_network: pod["hostNetwork"] == true,
        runner,
    };
    let count = 1 + random.below(3);
    pod["containers"] = containers::some(random, &["a", "b", "c"][..count], &around);
    let count = random.below(3);
    if count > 0 && random.chance(80) {
        pod["initContainers"] = containers::some_initial(random, &["i", "j"][..count], &around);
    }
    // What is mounted and claimed must be there.
    if !volumes.is_empty() {
        pod["volumes"] = json!(volumes);
    }
    if !claims.is_empty() {
        pod["resourceClaims"] = json!(claims);
    }
    if random.chance(5) {
        pod["serviceAccount"] = pod["serviceAccountName"].clone();
    }
    without_contradictions(&mut pod);
    pod
}

fn pod_fields(random: &mut Random, runner: Runner) -> Vec<(&'static str, Value)> {
    let (restart, deadline): (&[&str], _) = match runner {
        Runner::Deployment => (&["Always"], Value::Null),
        Runner::Job => (&["Never", "OnFailure"], json!(3600 + random.below(9))),
    };
    vec![
        ("restartPolicy", json!(random.one(restart))),
        ("activeDeadlineSeconds", deadline),
        // A container may sleep for five seconds before it ends.
        ("terminationGracePeriodSeconds", json!(5 + random.below(60))),
        (
            "dnsPolicy",
            json!(random.one(&["Default", "ClusterFirst", "ClusterFirstWithHostNet"])),
        ),
        (
            "dnsConfig",
            json!({ "nameservers": ["10.0.0.1"], "searches": ["a.example"], "options": [{ "name": "ndots", "value": random.one(&["1", "2"]) }] }),
        ),
        (
            "nodeSelector",
            random.one(&[
                json!({ "disk": "ssd" }),
                json!({ "zone": "a", "disk": "hdd" }),
                json!({}),
            ]),
        ),
        ("nodeName", json!(random.one(&["one", "two"]))),
        ("os", json!({ "name": random.one(&["linux", "windows"]) })),
        ("overhead", json!({ "cpu": random.one(&["50m", "0.1"]) })),
        ("resources", pod_resources(random)),
        (
            "serviceAccountName",
            json!(format!("sa-{}", random.below(NAMED))),
        ),
        ("automountServiceAccountToken", json!(random.chance(50))),
        ("securityContext", security::of_pod(random)),
        (
            "imagePullSecrets",
            json!([{ "name": format!("s-{}", random.below(NAMED)) }]),
        ),
        ("hostname", json!(random.one(&["one", "two"]))),
        ("hostnameOverride", json!(random.one(&["one", "two.three"]))),
        ("subdomain", json!(random.one(&["one", "two"]))),
        ("affinity", scheduling::affinity(random)),
        (
            "schedulerName",
            json!(random.one(&["default-scheduler", "another"])),
        ),
        ("tolerations", scheduling::tolerations(random)),
        (
            "hostAliases",
            json!([{ "ip": random.one(&["10.1.0.1", "10.1.0.2"]), "hostnames": ["a", "b"] }]),
        ),
        ("priority", json!(random.below(1000))),
        ("priorityClassName", json!("system-node-critical")),
        (
            "readinessGates",
            json!([{ "conditionType": "example.com/ready" }]),
        ),
        ("runtimeClassName", json!(random.one(&["one", "two"]))),
        ("enableServiceLinks", json!(random.chance(50))),
        (
            "preemptionPolicy",
            json!(random.one(&["Never", "PreemptLowerPriority"])),
        ),
        ("topologySpreadConstraints", scheduling::spread(random)),
        ("setHostnameAsFQDN", json!(random.chance(50))),
        (
            "schedulingGates",
            json!([{ "name": random.one(&["example.com/a", "example.com/b"]) }]),
        ),
        ("shareProcessNamespace", json!(random.chance(50))),
        ("hostIPC", json!(random.chance(50))),
        ("hostNetwork", json!(random.chance(50))),
        ("hostPID", json!(random.chance(50))),
        ("hostUsers", json!(random.chance(50))),
    ]
}

/// More than all containers have together.
fn pod_resources(random: &mut Random) -> Value {
    random.one(&[
        json!({}),
        json!({ "requests": { "cpu": "20" } }),
        json!({ "limits": { "cpu": 40, "memory": "80Gi" } }),
        json!({ "requests": { "cpu": "20", "memory": "40Gi" }, "limits": { "memory": "80Gi" } }),
    ])
}

/// What devices the containers may share.
fn resource_claims(random: &mut Random) -> Vec<Value> {
    let names = ["one", "two"];
    let count = if random.chance(30) {
        1 + random.below(2)
    } else {
        0
    };
    (names.iter().take(count))
        .map(|name| {
            let source = random.one(&["resourceClaimName", "resourceClaimTemplateName"]);
            json!({ "name": name, source: "gpu" })
        })
        .collect()
}

/// Leaves out what an API server refuses beside something else.
fn without_contradictions(pod: &mut Value) {
    let is = |pod: &Value, field: &str| pod[field] == true;
    if pod["hostUsers"] == false {
        without(pod, &["hostNetwork", "hostPID", "hostIPC"]);
    }
    if is(pod, "hostPID") {
        without(pod, &["shareProcessNamespace"]);
    }
    if is(pod, "hostNetwork") || is(pod, "setHostnameAsFQDN") {
        without(pod, &["hostnameOverride"]);
    }
    let os = pod["os"]["name"].as_str().map(str::to_owned);
    if os.as_deref() == Some("windows") {
        let of_linux = [
            "hostIPC",
            "hostPID",
            "hostUsers",
            "resources",
            "shareProcessNamespace",
        ];
        without(pod, &of_linux);
    }
    let has_network = !is(pod, "hostNetwork");
    if let Some(context) = pod.get_mut("securityContext") {
        security::fit(context, os.as_deref(), has_network);
    }
    for list in ["initContainers", "containers"] {
        let containers = pod.get_mut(list).and_then(Value::as_array_mut);
        for container in containers.into_iter().flatten() {
            if let Some(context) = container.get_mut("securityContext") {
                security::fit(context, os.as_deref(), has_network);
            }
            // A signal is one of an operating system.
            if let Some(lifecycle) = container.get_mut("lifecycle").filter(|_| os.is_none()) {
                without(lifecycle, &["stopSignal"]);
            }
        }
    }
}
