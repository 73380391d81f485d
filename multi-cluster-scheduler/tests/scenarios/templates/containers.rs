//! Containers, and what they run, read and are asked.

use serde_json::{Value, json};

use super::{NAMED, Random, Runner, security, some as some_fields, some_and, volumes, without};

/// What of their pod the containers may name, and what it lets them say.
pub(super) struct Around<'a> {
    pub(super) volumes: &'a [Value],
    pub(super) claims: &'a [Value],
    pub(super) devices: bool,
    pub(super) host_network: bool,
    pub(super) runner: Runner,
}

/// Containers of these names.
pub(super) fn some(random: &mut Random, names: &[&str], around: &Around<'_>) -> Value {
    let containers = names.iter().enumerate().map(|(position, name)| {
        let mut container = container(random, name, position, around);
        // Without `ContainerRestartRules` the server leaves both out.
        let restart = vec![
            (
                "restartPolicy",
                json!(random.one(&["Always", "Never", "OnFailure"])),
            ),
            ("restartPolicyRules", restart_rules()),
        ];
        if random.chance(20) {
            extend(&mut container, some_fields(random, 80, restart));
        }
        container
    });
    json!(containers.collect::<Vec<_>>())
}

/// Those that run before the others, and those that stay beside them.
pub(super) fn some_initial(random: &mut Random, names: &[&str], around: &Around<'_>) -> Value {
    let containers = names.iter().enumerate().map(|(position, name)| {
        let mut container = container(random, name, position, around);
        if random.chance(50) {
            container["restartPolicy"] = json!("Always");
            return container;
        }
        let of_those_that_stay = [
            "lifecycle",
            "livenessProbe",
            "readinessProbe",
            "startupProbe",
        ];
        without(&mut container, &of_those_that_stay);
        if random.chance(20) {
            container["restartPolicy"] = json!("Never");
            container["restartPolicyRules"] = restart_rules();
        }
        container
    });
    json!(containers.collect::<Vec<_>>())
}

fn restart_rules() -> Value {
    json!([{ "action": "Restart", "exitCodes": { "operator": "In", "values": [42] } }])
}

fn extend(object: &mut Value, more: Value) {
    if let (Value::Object(object), Value::Object(more)) = (object, more) {
        object.extend(more);
    }
}

fn container(random: &mut Random, name: &str, position: usize, around: &Around<'_>) -> Value {
    let (mounts, devices) = volumes::mounts(random, around.volumes, around.devices);
    let fields = vec![
        ("command", json!(["run", random.one(&["a", "b"])])),
        ("args", json!([random.one(&["a", "b"])])),
        ("workingDir", json!("/work")),
        ("ports", ports(random, position, around.host_network)),
        ("envFrom", env_from(random)),
        ("env", env(random)),
        ("resources", resources(random, around.claims)),
        ("resizePolicy", resize_policy(random, around.runner)),
        ("volumeMounts", json!(mounts)),
        ("volumeDevices", json!(devices)),
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
        ("securityContext", security::of_container(random)),
        ("stdin", json!(true)),
        ("stdinOnce", json!(true)),
        ("tty", json!(random.chance(50))),
    ];
    let image = random.one(&[
        "nginx",
        "nginx:1.25",
        "registry.example/a@sha256:0123456789012345678901234567890123456789012345678901234567890123",
    ]);
    some_and(random, 35, fields, json!({ "name": name, "image": image }))
}

/// Also the same number twice, with another protocol or host port. No two containers take one port of
/// the host.
fn ports(random: &mut Random, position: usize, host_network: bool) -> Value {
    let host = |port: usize| port + position;
    let all = [
        json!({ "containerPort": 80 }),
        json!({ "containerPort": 80, "protocol": "UDP", "name": "dns" }),
        json!({ "containerPort": 81, "name": "web", "protocol": "TCP" }),
        json!({ "containerPort": 93, "hostPort": host(9370) }),
        json!({ "containerPort": 93, "hostPort": host(7690) }),
        json!({ "containerPort": 94, "hostPort": host(9400), "hostIP": "10.0.0.1" }),
    ];
    // A host port of a pod in the host's network is the container's.
    let is_taken = |port: &&Value| !host_network || port["hostPort"].is_null();
    let chosen: Vec<Value> = (all.iter().filter(is_taken))
        .filter(|_| random.chance(50))
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
        match random.below(7) {
            0 => json!({ "name": name, "value": random.one(&["", "one", "two"]) }),
            1 => from(json!({ "fieldRef": { "fieldPath": random.one(&["metadata.name", "status.hostIP"]) } })),
            2 => from(json!({ "fieldRef": { "apiVersion": "v1", "fieldPath": "metadata.uid" } })),
            3 => from(json!({ "resourceFieldRef": { "containerName": "a", "resource": "limits.cpu" } })),
            4 => from(json!({ "resourceFieldRef": { "containerName": "a", "resource": "limits.memory", "divisor": "1Mi" } })),
            5 => from(json!({ "secretKeyRef": { "name": format!("s-{}", random.below(NAMED)), "key": "k", "optional": random.chance(50) } })),
            _ => from(json!({ "configMapKeyRef": { "name": format!("cm-{}", random.below(NAMED)), "key": "k", "optional": true } })),
        }
    });
    json!(variables.collect::<Vec<_>>())
}

fn resources(random: &mut Random, claims: &[Value]) -> Value {
    let all = [
        json!({}),
        json!({ "requests": { "cpu": "100m" } }),
        json!({ "limits": { "cpu": "1", "memory": "128Mi" } }),
        json!({ "requests": { "cpu": "0.1", "memory": "64Mi" }, "limits": { "cpu": 2, "memory": "1Gi", "ephemeral-storage": "1Gi" } }),
        json!({ "limits": { "example.com/gpu": "1" } }),
    ];
    let mut resources = random.one(&all);
    let mut claimed = Vec::new();
    for claim in claims {
        if random.chance(70) {
            let fields = vec![("request", json!("one"))];
            let name = json!({ "name": claim["name"] });
            claimed.push(some_and(random, 50, fields, name));
        }
    }
    if !claimed.is_empty() {
        resources["claims"] = json!(claimed);
    }
    resources
}

/// A container that is not started again is not restarted to be resized.
fn resize_policy(random: &mut Random, runner: Runner) -> Value {
    let policies: &[&str] = match runner {
        Runner::Deployment => &["NotRequired", "RestartContainer"],
        Runner::Job => &["NotRequired"],
    };
    json!([
        { "resourceName": "cpu", "restartPolicy": "NotRequired" },
        { "resourceName": "memory", "restartPolicy": random.one(policies) },
    ])
}

fn handler(random: &mut Random, grpc: bool) -> Value {
    let mut all = vec![
        json!({ "exec": { "command": ["true"] } }),
        json!({ "httpGet": { "port": 80 } }),
        json!({ "httpGet": { "port": "web", "path": "/live", "scheme": "HTTPS", "host": "a.example", "httpHeaders": [{ "name": "X", "value": "y" }] } }),
        json!({ "tcpSocket": { "port": 81 } }),
        json!({ "tcpSocket": { "port": 81, "host": "a.example" } }),
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
    let handler = handler(random, true);
    some_and(random, 40, fields, handler)
}

fn lifecycle(random: &mut Random) -> Value {
    let fields = vec![
        ("postStart", handler(random, false)),
        ("preStop", handler(random, false)),
        ("stopSignal", json!(random.one(&["SIGTERM", "SIGKILL"]))),
    ];
    some_fields(random, 60, fields)
}
