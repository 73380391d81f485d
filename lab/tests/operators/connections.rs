//! Connections of an operator whose members' credentials change.

use std::time::Duration;

use federation::operator::context::Substitutes;
use federation::operator::frame::OperatorEntry;
use lab::simulation::{Error, World, run};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::{eventually, three_members};

const SECRET: &str = "/api/v1/namespaces/kube-system/secrets/cluster1";

fn reads(trace: &str) -> usize {
    trace.lines().filter(|line| line.contains(SECRET)).count()
}

fn scheduler() -> OperatorEntry {
    lab::operators::OPERATORS[0]
}

/// Whether the operator has gone to the server that the Secret names.
fn went_to(trace: &str, host: &str) -> bool {
    trace.contains(&format!("http://{host}/"))
}

#[test]
fn a_secret_is_watched_and_not_polled() {
    let (idle, after, took) = run(async {
        let world = World::start(1, three_members()).await?;
        let alone = ["--leader-elect=false"];
        let _operator = world.operator(scheduler(), "a", &alone, Substitutes::default())?;
        sleep(Duration::from_mins(1)).await;
        let before = reads(&world.trace.text());
        sleep(Duration::from_hours(1)).await;
        let idle = reads(&world.trace.text()) - before;
        // A member's API server gets another address.
        let plane = world.members["cluster1"].plane.clone();
        let admin = control_plane::User::admin();
        world
            .network
            .add("moved", plane.router_for(admin), Duration::from_millis(1));
        let servers = [("cluster1", "http://moved".to_owned())];
        let kubeconfig = lab::access::kubeconfig(&servers, "", "simulated");
        let changed = Instant::now();
        world
            .apply(&json!({
                "apiVersion": "v1", "kind": "Secret",
                "metadata": { "name": "cluster1", "namespace": "kube-system" },
                "stringData": { "kubeconfig": kubeconfig },
            }))
            .await?;
        eventually("the operator goes to the new address", async || {
            Ok(went_to(&world.trace.text(), "moved").then_some(()))
        })
        .await?;
        let after = reads(&world.trace.text()) - before;
        Ok::<_, Error>((idle, after, changed.elapsed()))
    })
    .unwrap()
    .unwrap();
    assert_eq!(idle, 0, "reads of the Secret in an hour without a change");
    assert_eq!(after, 1);
    assert!(took < Duration::from_secs(1), "{took:?}");
}
