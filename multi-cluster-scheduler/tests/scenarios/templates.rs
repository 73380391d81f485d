//! Random pod templates that a Deployment takes: every field of a pod template comes up, each in
//! several forms, also as null.

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

    pub(crate) fn below(&mut self, bound: usize) -> usize {
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
    spec["template"] = template(random);
    spec
}

fn template(random: &mut Random) -> Value {
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
    json!({ "metadata": metadata, "spec": pod(random) })
}

fn pod(random: &mut Random) -> Value {
    let volumes: Vec<String> = (0..random.below(5)).map(|i| format!("v{i}")).collect();
    let host_network = random.chance(15);
    let containers: Vec<Value> = (["a", "b", "c"].iter().take(1 + random.below(3)))
        .map(|name| container(random, name, &volumes, host_network))
        .collect();
    let initial: Vec<Value> = (["i", "j"].iter().take(random.below(3)))
        .map(|name| init_container(random, name, &volumes))
        .collect();
    let sources: Vec<Value> = volumes.iter().map(|name| volume(random, name)).collect();
    let account = format!("sa-{}", random.below(NAMED));
    let pull = json!([{ "name": format!("s-{}", random.below(NAMED)) }]);
    let fields = vec![
        ("terminationGracePeriodSeconds", json!(random.below(60))),
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
        ("serviceAccountName", json!(account)),
        ("automountServiceAccountToken", json!(random.chance(50))),
        ("securityContext", pod_security(random)),
        ("imagePullSecrets", pull),
        ("hostname", json!(random.one(&["one", "two"]))),
        ("subdomain", json!(random.one(&["one", "two"]))),
        ("affinity", affinity(random)),
        (
            "schedulerName",
            json!(random.one(&["default-scheduler", "another"])),
        ),
        ("tolerations", tolerations(random)),
        (
            "hostAliases",
            json!([{ "ip": random.one(&["10.1.0.1", "10.1.0.2"]), "hostnames": ["a", "b"] }]),
        ),
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
        ("topologySpreadConstraints", spread(random)),
        ("setHostnameAsFQDN", json!(random.chance(50))),
        (
            "schedulingGates",
            json!([{ "name": random.one(&["example.com/a", "example.com/b"]) }]),
        ),
        ("shareProcessNamespace", json!(random.chance(50))),
        ("hostIPC", json!(random.chance(50))),
        ("volumes", json!(sources)),
        ("initContainers", json!(initial)),
        ("restartPolicy", json!("Always")),
    ];
    let mut pod = some(random, 25, fields);
    pod["containers"] = json!(containers);
    if host_network {
        pod["hostNetwork"] = json!(true);
    }
    // What is mounted must be there.
    if !volumes.is_empty() {
        pod["volumes"] = json!(sources);
    }
    if random.chance(5) {
        pod["serviceAccount"] = pod["serviceAccountName"].clone();
    }
    pod
}

fn container(random: &mut Random, name: &str, volumes: &[String], host_network: bool) -> Value {
    let fields = vec![
        ("command", json!(["run", random.one(&["a", "b"])])),
        ("args", json!([random.one(&["a", "b"])])),
        ("workingDir", json!("/work")),
        ("ports", ports(random, host_network)),
        ("envFrom", env_from(random)),
        ("env", env(random)),
        ("resources", resources(random)),
        ("volumeMounts", mounts(random, volumes)),
        ("livenessProbe", probe(random, true)),
        ("readinessProbe", probe(random, false)),
        ("startupProbe", probe(random, true)),
        ("lifecycle", lifecycle(random)),
        ("terminationMessagePath", json!("/dev/end")),
        (
            "terminationMessagePolicy",
            json!(random.one(&["File", "FallbackToLogsOnError"])),
        ),
        (
            "imagePullPolicy",
            json!(random.one(&["Always", "IfNotPresent", "Never"])),
        ),
        ("securityContext", security(random)),
        ("stdin", json!(true)),
        ("stdinOnce", json!(true)),
        ("tty", json!(random.chance(50))),
    ];
    let mut container = some(random, 35, fields);
    container["name"] = json!(name);
    container["image"] = json!(random.one(&[
        "nginx",
        "nginx:1.25",
        "registry.example/a@sha256:0123456789012345678901234567890123456789012345678901234567890123"
    ]));
    container
}

fn init_container(random: &mut Random, name: &str, volumes: &[String]) -> Value {
    let fields = vec![
        ("command", json!(["init", random.one(&["a", "b"])])),
        ("env", env(random)),
        ("resources", resources(random)),
        ("volumeMounts", mounts(random, volumes)),
        ("restartPolicy", json!("Always")),
    ];
    let mut container = some(random, 40, fields);
    container["name"] = json!(name);
    container["image"] = json!(random.one(&["busybox", "busybox:1.36"]));
    container
}

/// Also the same number twice, with another protocol or host port.
fn ports(random: &mut Random, host_network: bool) -> Value {
    let all = [
        json!({ "containerPort": 80 }),
        json!({ "containerPort": 80, "protocol": "UDP", "name": "dns" }),
        json!({ "containerPort": 81, "name": "web", "protocol": "TCP" }),
        json!({ "containerPort": 93, "hostPort": 9376 }),
        json!({ "containerPort": 93, "hostPort": 7693 }),
        json!({ "containerPort": 94, "hostPort": 9400, "hostIP": "10.0.0.1" }),
    ];
    let host = |port: &&Value| host_network == port["hostPort"].is_null() || !host_network;
    let chosen: Vec<Value> = (all.iter())
        .filter(|port| host(port) && random.chance(50))
        .cloned()
        .collect();
    json!(chosen)
}

fn env_from(random: &mut Random) -> Value {
    let all = [
        json!({ "configMapRef": { "name": format!("cm-{}", random.below(NAMED)) } }),
        json!({ "secretRef": { "name": format!("s-{}", random.below(NAMED)), "optional": true }, "prefix": "P_" }),
        json!({ "configMapRef": { "name": "cm-0", "optional": false } }),
    ];
    let count = 1 + random.below(2);
    json!((0..count).map(|_| random.one(&all)).collect::<Vec<_>>())
}

/// Also one name twice.
fn env(random: &mut Random) -> Value {
    let names = ["A", "B", "C", "A"];
    let count = 1 + random.below(4);
    let variables = names.iter().take(count).map(|name| {
        let from = |value: Value| json!({ "name": name, "valueFrom": value });
        match random.below(6) {
            0 => json!({ "name": name, "value": random.one(&["", "one", "two"]) }),
            1 => from(json!({ "fieldRef": { "fieldPath": random.one(&["metadata.name", "status.hostIP"]) } })),
            2 => from(json!({ "resourceFieldRef": { "containerName": "a", "resource": "limits.cpu" } })),
            3 => from(json!({ "resourceFieldRef": { "containerName": "a", "resource": "limits.memory", "divisor": "1Mi" } })),
            4 => from(json!({ "secretKeyRef": { "name": format!("s-{}", random.below(NAMED)), "key": "k" } })),
            _ => from(json!({ "configMapKeyRef": { "name": format!("cm-{}", random.below(NAMED)), "key": "k", "optional": true } })),
        }
    });
    json!(variables.collect::<Vec<_>>())
}

fn resources(random: &mut Random) -> Value {
    let all = [
        json!({}),
        json!({ "requests": { "cpu": "100m" } }),
        json!({ "limits": { "cpu": "1", "memory": "128Mi" } }),
        json!({ "requests": { "cpu": "0.1", "memory": "64Mi" }, "limits": { "cpu": 2, "memory": "1Gi", "ephemeral-storage": "1Gi" } }),
        json!({ "limits": { "example.com/gpu": "1" } }),
    ];
    random.one(&all)
}

fn mounts(random: &mut Random, volumes: &[String]) -> Value {
    let mut mounts = Vec::new();
    for (position, volume) in volumes.iter().enumerate() {
        if random.chance(50) {
            let fields = vec![
                ("readOnly", json!(random.chance(50))),
                ("subPath", json!("sub")),
                (
                    "mountPropagation",
                    json!(random.one(&["None", "HostToContainer"])),
                ),
            ];
            let mut mount = some(random, 40, fields);
            mount["name"] = json!(volume);
            mount["mountPath"] = json!(format!("/mnt/{position}{}", random.one(&["", "x"])));
            mounts.push(mount);
        }
    }
    json!(mounts)
}

fn handler(random: &mut Random, grpc: bool) -> Value {
    let mut all = vec![
        json!({ "exec": { "command": ["true"] } }),
        json!({ "httpGet": { "port": 80 } }),
        json!({ "httpGet": { "port": "web", "path": "/live", "scheme": "HTTPS", "host": "a.example", "httpHeaders": [{ "name": "X", "value": "y" }] } }),
        json!({ "tcpSocket": { "port": 81 } }),
    ];
    if grpc {
        all.push(json!({ "grpc": { "port": 90 } }));
        all.push(json!({ "grpc": { "port": 90, "service": "s" } }));
    } else {
        all.push(json!({ "sleep": { "seconds": 5 } }));
    }
    random.one(&all)
}

fn probe(random: &mut Random, once: bool) -> Value {
    let success = if once { 1 } else { 1 + random.below(2) };
    let mut fields = vec![
        ("initialDelaySeconds", json!(random.below(9))),
        ("timeoutSeconds", json!(1 + random.below(9))),
        ("periodSeconds", json!(1 + random.below(9))),
        ("successThreshold", json!(success)),
        ("failureThreshold", json!(1 + random.below(9))),
    ];
    if once {
        fields.push(("terminationGracePeriodSeconds", json!(1 + random.below(9))));
    }
    let mut probe = some(random, 40, fields);
    for (name, value) in handler(random, true).as_object().into_iter().flatten() {
        probe[name] = value.clone();
    }
    probe
}

fn lifecycle(random: &mut Random) -> Value {
    let fields = vec![
        ("postStart", handler(random, false)),
        ("preStop", handler(random, false)),
    ];
    some(random, 60, fields)
}

fn security(random: &mut Random) -> Value {
    let fields = vec![
        ("runAsUser", json!(random.below(1000))),
        ("runAsGroup", json!(random.below(1000))),
        ("runAsNonRoot", json!(random.chance(50))),
        ("readOnlyRootFilesystem", json!(random.chance(50))),
        (
            "capabilities",
            json!({ "add": ["NET_ADMIN"], "drop": [random.one(&["ALL", "CHOWN"])] }),
        ),
        ("seLinuxOptions", json!({ "level": "s0:c1,c2" })),
        ("seccompProfile", seccomp(random)),
        ("procMount", json!("Default")),
    ];
    some(random, 35, fields)
}

fn seccomp(random: &mut Random) -> Value {
    random.one(&[
        json!({ "type": "RuntimeDefault" }),
        json!({ "type": "Localhost", "localhostProfile": "a.json" }),
    ])
}

fn pod_security(random: &mut Random) -> Value {
    let fields = vec![
        ("runAsUser", json!(random.below(1000))),
        ("fsGroup", json!(random.below(1000))),
        (
            "fsGroupChangePolicy",
            json!(random.one(&["Always", "OnRootMismatch"])),
        ),
        ("supplementalGroups", json!([1, random.below(9) + 2])),
        (
            "sysctls",
            json!([{ "name": "net.ipv4.ip_unprivileged_port_start", "value": "0" }]),
        ),
        ("seLinuxOptions", json!({ "user": random.one(&["a", "b"]) })),
        ("seccompProfile", seccomp(random)),
    ];
    some(random, 35, fields)
}

fn affinity(random: &mut Random) -> Value {
    let term = json!({ "topologyKey": random.one(&["kubernetes.io/hostname", "zone"]), "labelSelector": { "matchLabels": { "app": "x" } } });
    let node = json!({ "matchExpressions": [{ "key": "disk", "operator": random.one(&["Exists", "DoesNotExist"]) }] });
    let fields = vec![
        (
            "nodeAffinity",
            some(
                random,
                60,
                vec![
                    (
                        "requiredDuringSchedulingIgnoredDuringExecution",
                        json!({ "nodeSelectorTerms": [node.clone()] }),
                    ),
                    (
                        "preferredDuringSchedulingIgnoredDuringExecution",
                        json!([{ "weight": 5, "preference": node }]),
                    ),
                ],
            ),
        ),
        (
            "podAffinity",
            json!({ "preferredDuringSchedulingIgnoredDuringExecution": [{ "weight": 3, "podAffinityTerm": term.clone() }] }),
        ),
        (
            "podAntiAffinity",
            json!({ "requiredDuringSchedulingIgnoredDuringExecution": [term] }),
        ),
    ];
    some(random, 50, fields)
}

fn tolerations(random: &mut Random) -> Value {
    let all = [
        json!({ "key": "a", "operator": "Exists" }),
        json!({ "key": "a", "value": "b", "effect": "NoSchedule" }),
        json!({ "key": "c", "operator": "Equal", "value": "d", "effect": "NoExecute", "tolerationSeconds": 30 }),
    ];
    let count = random.below(4);
    json!((0..count).map(|_| random.one(&all)).collect::<Vec<_>>())
}

fn spread(random: &mut Random) -> Value {
    let when = random.one(&["DoNotSchedule", "ScheduleAnyway"]);
    let fields = vec![
        (
            "nodeAffinityPolicy",
            json!(random.one(&["Honor", "Ignore"])),
        ),
        ("nodeTaintsPolicy", json!(random.one(&["Honor", "Ignore"]))),
        ("matchLabelKeys", json!(["pod-template-hash"])),
    ];
    let mut constraint = some(random, 40, fields);
    constraint["maxSkew"] = json!(1 + random.below(3));
    constraint["topologyKey"] = json!(random.one(&["zone", "kubernetes.io/hostname"]));
    constraint["whenUnsatisfiable"] = json!(when);
    constraint["labelSelector"] = json!({ "matchLabels": { "app": "x" } });
    if when == "DoNotSchedule" && random.chance(50) {
        constraint["minDomains"] = json!(2);
    }
    json!([constraint])
}

fn volume(random: &mut Random, name: &str) -> Value {
    let map = format!("cm-{}", random.below(NAMED));
    let secret = format!("s-{}", random.below(NAMED));
    let claim = format!("pvc-{}", random.below(NAMED));
    let sources = [
        json!({}),
        json!({ "emptyDir": {} }),
        json!({ "emptyDir": { "medium": "Memory", "sizeLimit": "64Mi" } }),
        json!({ "configMap": { "name": map } }),
        json!({ "configMap": { "name": map, "defaultMode": 256, "optional": true, "items": [{ "key": "k", "path": "p", "mode": 292 }] } }),
        json!({ "secret": { "secretName": secret } }),
        json!({ "secret": { "secretName": secret, "defaultMode": 256, "items": [{ "key": "k", "path": "p" }] } }),
        json!({ "hostPath": { "path": "/var/a" } }),
        json!({ "hostPath": { "path": "/var/a", "type": "DirectoryOrCreate" } }),
        json!({ "downwardAPI": { "items": [{ "path": "l", "fieldRef": { "fieldPath": "metadata.labels" } }] } }),
        json!({ "projected": { "sources": [
            { "serviceAccountToken": { "path": "t" } }, { "configMap": { "name": map } }, { "secret": { "name": secret, "optional": true } },
        ] } }),
        json!({ "persistentVolumeClaim": { "claimName": claim } }),
        json!({ "csi": { "driver": "csi.example.com", "fsType": "ext4", "volumeAttributes": { "a": "b" } } }),
        json!({ "nfs": { "server": "nfs.example", "path": "/a", "readOnly": true } }),
        json!({ "iscsi": { "targetPortal": "10.0.0.1", "iqn": "iqn.2001-04.com.example:a", "lun": 0 } }),
        json!({ "ephemeral": { "volumeClaimTemplate": { "spec": { "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } } } } } }),
        json!({ "rbd": { "monitors": ["10.0.0.1"], "image": "a" } }),
        json!({ "cephfs": { "monitors": ["10.0.0.1"] } }),
        json!({ "azureDisk": { "diskName": "a", "diskURI": "https://example.blob.core.windows.net/a.vhd" } }),
        json!({ "azureFile": { "secretName": secret, "shareName": "a" } }),
        json!({ "awsElasticBlockStore": { "volumeID": "a" } }),
        json!({ "gcePersistentDisk": { "pdName": "a" } }),
        json!({ "fc": { "targetWWNs": ["1"], "lun": 1 } }),
        json!({ "flexVolume": { "driver": "example.com/a" } }),
        json!({ "cinder": { "volumeID": "a" } }),
        json!({ "glusterfs": { "endpoints": "a", "path": "b" } }),
        json!({ "portworxVolume": { "volumeID": "a" } }),
        json!({ "vsphereVolume": { "volumePath": "a" } }),
    ];
    let mut volume = random.one(&sources);
    volume["name"] = json!(name);
    volume
}
