//! How long a write takes. Run by hand, in release: it proves nothing.

use std::time::Instant;

use serde_json::{Value, json};

use super::fixture::*;

fn large_deployment() -> Value {
    let mut deployment = deployment();
    let container = |name: &str| {
        let env: Vec<Value> = (0..8)
            .map(|number| json!({"name": format!("VARIABLE_{number}"), "value": "value"}))
            .collect();
        json!({
            "name": name, "image": "registry.example.org/team/image:v1.2.3", "env": env,
            "args": ["--verbose", "--port=80"],
            "ports": [{"containerPort": 80, "protocol": "TCP", "name": "http"}],
            "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "100m"}},
        })
    };
    let pod = &mut deployment["spec"]["template"]["spec"];
    pod["containers"] = json!([container("main"), container("sidecar")]);
    pod["restartPolicy"] = json!("Always");
    deployment["spec"]["strategy"] =
        json!({"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1}});
    deployment["metadata"]["annotations"] = json!({"a": "1", "b": "2", "c": "3"});
    deployment
}

fn measure(name: &str, mut run: impl FnMut() -> Value) {
    const ROUNDS: u32 = 2_000;
    let start = Instant::now();
    for _ in 0..ROUNDS {
        std::hint::black_box(run());
    }
    println!(
        "{name}: {:.1} µs",
        start.elapsed().as_secs_f64() * 1e6 / f64::from(ROUNDS)
    );
}

#[test]
#[ignore = "only measures"]
fn writes() {
    let world = World::deployments();
    let config = large_deployment();
    let created = world.updated(None, config.clone(), "creator", 0);
    let mut status = created.clone();
    status["spec"]["paused"] = json!(true);
    let live = world.updated(Some(&created), status, "controller", 1);
    let applied = world.applied(None, &config, "applier", 0).unwrap();
    let mut scaled = live.clone();
    scaled["spec"]["replicas"] = json!(5);
    let mut config_2 = config.clone();
    config_2["spec"]["replicas"] = json!(5);
    measure("clone", || live.clone());
    measure("create", || {
        world.updated(None, config.clone(), "creator", 0)
    });
    measure("update of one field", || {
        world.updated(Some(&live), scaled.clone(), "other", 2)
    });
    measure("update of nothing", || {
        world.updated(Some(&live), live.clone(), "other", 2)
    });
    measure("apply of nothing", || {
        world
            .applied(Some(&applied), &config, "applier", 2)
            .unwrap()
    });
    measure("apply of one field", || {
        world
            .applied(Some(&applied), &config_2, "applier", 2)
            .unwrap()
    });
}
