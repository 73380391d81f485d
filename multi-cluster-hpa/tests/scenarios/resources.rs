//! The original's manifest under load, on real control planes: KWOK plays what pods use, and
//! metrics-server serves it.

use anyhow::{Result, ensure};
use lab::e2e::{World, eventually, holds, repository};
use lab::scenarios;
use serde_json::{Value, json};

use crate::load::Load;
use crate::scene::{autoscaler, by_cluster, deployment, placed, wants};

scenarios!(the_originals_manifest_under_load);

/// Two replicas of one core on cluster2 and on cluster3, two to ten in all, cpu at 50 %.
async fn the_originals_manifest_under_load(world: &World) -> Result<()> {
    // The nearest to cluster2 is cluster1.
    let table = world.lab.directory().join("rtt.csv");
    std::fs::write(
        &table,
        "from,to,milliseconds\ncluster2,cluster1,5\ncluster2,cluster3,50\n",
    )?;
    let table = format!("--rtt-matrix={}", table.display());
    let _scheduler = world.scheduler(&[&table, "--return-after=3s"]).await?;
    let _operator = world.operator(&[]).await?;
    // Of its 20 cores cluster2 has four left.
    others(world, 16).await?;
    for example in ["01_example_deployment_preferred_clusters", "07_example_hpa"] {
        let file = format!("manifests/examples/{example}.yaml");
        let file = repository().join(file);
        let namespace = world.namespace();
        world
            .kubectl(&["-n", &namespace, "apply", "-f", &file.to_string_lossy()])
            .await?;
    }
    container_by_its_own_usage(world).await?;
    let quiet = [("cluster2", 2), ("cluster3", 2)];
    let idle = [load(&["cluster2"], 600), load(&["cluster3"], 600)];
    until_placed(world, &idle, &quiet).await?;

    // Six replicas' worth on cluster2, of which it has room for four.
    let crowd = [
        load(&["cluster2", "cluster1"], 3000),
        load(&["cluster3"], 600),
        PAIR,
    ];
    let spilt = [("cluster1", 2), ("cluster2", 4), ("cluster3", 2)];
    until_placed(world, &crowd, &spilt).await?;
    let wanted = wants(world, "hello").await?;
    ensure!(
        wanted == by_cluster(&[("cluster2", 6), ("cluster3", 2)]),
        "{wanted:?}"
    );
    until_shown(world, &crowd).await?;
    until(
        world,
        &crowd,
        "pair",
        async || wants(world, "pair").await,
        &[("cluster1", 3)],
    )
    .await?;

    // Room: what had spilled returns.
    others(world, 0).await?;
    let home = [("cluster2", 6), ("cluster3", 2)];
    until_placed(world, &crowd, &home).await?;

    // The load is gone.
    until_placed(world, &idle, &quiet).await
}

const fn load(clusters: &'static [&'static str], cpu: usize) -> Load {
    Load {
        app: "hello",
        clusters,
        resource: "cpu",
        amount: cpu,
    }
}

/// What the pods of `pair` use in each of their two containers, in all.
const PAIR: Load = Load {
    app: "pair",
    clusters: &["cluster1"],
    resource: "cpu",
    amount: 600,
};

/// Pods of two containers, scaled by what one of them uses: 200m each. By both it would be twice as
/// many.
async fn container_by_its_own_usage(world: &World) -> Result<()> {
    let mut pair = deployment("pair", &["cluster1"]);
    pair["spec"]["template"]["spec"]["containers"] =
        json!([{ "name": "main", "image": "main:1" }, { "name": "helper", "image": "helper:1" }]);
    world.apply(&pair).await?;
    let target = json!({ "type": "AverageValue", "averageValue": "200m" });
    let metric = json!({ "type": "ContainerResource", "containerResource": { "name": "cpu", "container": "main", "target": target } });
    world.apply(&autoscaler("pair", &metric)).await
}

/// So many pods of one core that somebody else runs on cluster2.
async fn others(world: &World, replicas: u32) -> Result<()> {
    let namespace = world.namespace();
    let labels = json!({ "app": "others" });
    let container =
        json!({ "name": "one", "image": "one:1", "resources": { "requests": { "cpu": "1" } } });
    let template =
        json!({ "metadata": { "labels": labels }, "spec": { "containers": [container] } });
    let theirs = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "others" },
        "spec": { "replicas": replicas, "selector": { "matchLabels": labels }, "template": template },
    });
    let namespaced = json!({
        "apiVersion": "v1", "kind": "List",
        "items": [{ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": namespace } }, theirs],
    });
    let arguments = [
        "--context",
        "cluster2",
        "-n",
        &namespace,
        "apply",
        "-f",
        "-",
    ];
    let applied = world
        .lab
        .kubectl_with_input(&arguments, &namespaced.to_string())
        .await?;
    ensure!(applied.success(), "{}", applied.stderr);
    if replicas > 0 {
        let there = [
            "-n",
            &namespace,
            "wait",
            "--for=condition=Available",
            "deployment/others",
            "--timeout=60s",
        ];
        world.on("cluster2", &there).await?;
    }
    Ok(())
}

/// Waits until the replicas of `hello` are placed so, while the load goes on.
async fn until_placed(world: &World, loads: &[Load], wanted: &[(&str, u64)]) -> Result<()> {
    until(
        world,
        loads,
        "hello",
        async || placed(world, "hello").await,
        wanted,
    )
    .await
}

async fn until(
    world: &World,
    loads: &[Load],
    what: &str,
    look: impl AsyncFn() -> Result<std::collections::BTreeMap<String, u64>>,
    wanted: &[(&str, u64)],
) -> Result<()> {
    let wanted = by_cluster(wanted);
    eventually(&format!("{what} runs {wanted:?}"), async || {
        spread(world, loads).await?;
        let now = look().await?;
        let status = status(world, what).await?;
        Ok(holds(now == wanted, || format!("{now:?}; {status}")))
    })
    .await
}

async fn spread(world: &World, loads: &[Load]) -> Result<()> {
    for load in loads {
        load.spread(world).await?;
    }
    Ok(())
}

async fn status(world: &World, name: &str) -> Result<Value> {
    Ok(world.get("cluster0", &format!("mchpa/{name}")).await?["status"].clone())
}

/// What people see while it serves the crowd at its target.
async fn until_shown(world: &World, loads: &[Load]) -> Result<()> {
    let namespace = world.namespace();
    eventually("kubectl shows the numbers", async || {
        spread(world, loads).await?;
        let table = world
            .kubectl(&["-n", &namespace, "get", "mchpa", "hello", "--no-headers"])
            .await?;
        let cells: Vec<_> = table.split_whitespace().collect();
        // Six pods at 50 % and two at 30 %, measured over a moment.
        let [_, target, metric, percents, min, max, replicas, _] = cells[..] else {
            return Ok(Err(table));
        };
        let first = [target, metric, min, max, replicas] == ["hello", "cpu:", "2", "10", "8"];
        let percent = percents
            .strip_suffix("%/50%")
            .and_then(|text| text.parse::<u32>().ok());
        let about = percent.is_some_and(|percent| (40..=50).contains(&percent));
        let text = world
            .kubectl(&["-n", &namespace, "describe", "mchpa", "hello"])
            .await?;
        let says = |what: &str| text.contains(what);
        let each = says("%/50%, asks for 6") && says("%/50%, asks for 2");
        let news = says("SuccessfulRescale") && says("→ 6); reason: cpu above target");
        Ok(holds(first && about && each && news, || {
            format!("{table}\n{text}")
        }))
    })
    .await
}
