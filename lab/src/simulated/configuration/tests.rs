use std::time::Duration;

use placement::TaintEffect;
use rstest::rstest;

use super::*;
use crate::simulated::delay::Delay;

fn parse(text: &str) -> Result<Clusters, String> {
    Clusters::parse(text, Path::new("lab.yaml")).map_err(|error| error.to_string())
}

#[test]
fn nothing_gives_three_clusters_of_five_nodes() {
    let clusters = parse("{}").unwrap();
    let names: Vec<&str> = clusters.members.iter().map(|m| m.name.as_str()).collect();
    assert_eq!(names, ["cluster1", "cluster2", "cluster3"]);
    for (index, member) in clusters.members.iter().enumerate() {
        let [nodes] = &member.options.nodes[..] else {
            panic!("one group")
        };
        assert_eq!(
            (nodes.count, nodes.cpu.as_str(), nodes.memory.as_str()),
            (5, "4", "16Gi")
        );
        assert_eq!(nodes.region, format!("region{}", index + 1));
    }
    assert!(clusters.round_trip_times.is_empty());
}

#[test]
fn a_file_says_what_differs() {
    let clusters = parse(
        "
clusters:
  - name: edge
    nodes: 3
    region: north
    labels: {tier: edge}
  - count: 2
    nodes:
      - {count: 10, cpu: 8}
      - {name: gpu, cpu: 500m, taints: [gpu=true:NoSchedule], resources: {nvidia.com/gpu: 2}}
defaults:
  memory: 32Gi
  startup: {mean: 3s, deviation: 1s}
  failures: {job: 0.02}
  heartbeat: 0s
roundTripTimes:
  default: 40ms
  pairs:
    - {between: [edge, cluster2], time: 5ms}
    - {between: [hub, edge], time: 20ms}
",
    )
    .unwrap();
    let [edge, second, third] = &clusters.members[..] else {
        panic!("three clusters")
    };
    assert_eq!(
        (edge.name.as_str(), third.name.as_str()),
        ("edge", "cluster3")
    );
    assert_eq!(edge.options.nodes[0].zone, "north-a");
    assert_eq!(edge.options.nodes[0].labels["tier"], "edge");
    assert_eq!(edge.options.heartbeat, None);
    let [plain, gpu] = &second.options.nodes[..] else {
        panic!("two groups")
    };
    assert_eq!(
        (plain.count, plain.cpu.as_str(), plain.memory.as_str()),
        (10, "8", "32Gi")
    );
    assert_eq!((gpu.count, gpu.cpu.as_str()), (1, "500m"));
    assert_eq!(gpu.taints[0].effect, TaintEffect::NoSchedule);
    assert_eq!(gpu.resources["nvidia.com/gpu"], "2");
    let (mean, deviation) = (Duration::from_secs(3), Duration::from_secs(1));
    assert_eq!(third.options.startup, Delay::Normal(mean, deviation));
    let time = |one: &str, other: &str| {
        clusters.round_trip_times[&(one.to_owned(), other.to_owned())].as_millis()
    };
    assert_eq!(time("cluster2", "edge"), 5);
    assert_eq!(time("cluster3", "edge"), 40);
    assert_eq!((time("edge", "hub"), time("cluster2", "hub")), (20, 40));
}

#[test]
fn loads_are_written_in_the_units_of_kubernetes() {
    let clusters = parse(
        "
loads:
  default/web:
    requests: 200
    swing: 0.5
    shares: {cluster2: 0.5}
    crowds: [{at: 2026-01-01T18:30:00Z, lasts: 20m, times: 5, clusters: [cluster1]}]
    idleCpu: 10m
    memory: 1Ki
    mostRequests: 40
",
    )
    .unwrap();
    let load = &clusters.loads["default/web"];
    let peak = "2026-01-01T14:00:00Z".parse().unwrap();
    let rate = load.requests.rate("default/web", "cluster2", 1, peak);
    assert!((rate - 150.0).abs() < 1e-9, "{rate}");
    assert_eq!(load.requests.crowds[0].lasts, Duration::from_mins(20));
    assert!((load.costs.idle_cpu - 0.01).abs() < 1e-9);
    assert!((load.costs.memory - 1024.0).abs() < 1e-9);
    assert_eq!(load.costs.most, Some(40.0));
}

#[rstest]
#[case(
    "loads:\n  default/web:\n    requests: -1",
    "line 3",
    "write one from 0"
)]
#[case("loads:\n  default/web:\n    peakHour: 24", "line 3", "less than 24")]
#[case(
    "loads:\n  default/web:\n    crowds: [{at: noon, lasts: 1m, times: 2}]",
    "line 3",
    "as 2026-01-01T18:30:00Z"
)]
#[case("clusters: many", "line 1", "a number, or a list")]
#[case("clusters: 3\nnodes: 4", "line 2", "nodes")]
#[case(
    "defaults:\n  cpu: 4Cores",
    "line 2",
    "is not a quantity: write a number"
)]
#[case("defaults:\n  memory: -1Gi", "line 2", "write an amount from 0")]
#[case("defaults:\n  startup: fast", "line 2", "write for example 500ms")]
#[case("defaults:\n  taints: [edge]", "line 2", "write key=value:Effect")]
#[case("defaults:\n  failures: {job: 2}", "line 2", "write one from 0 to 1")]
#[case("defaults:\n  name: x", "line 2", "write it in clusters")]
#[case("clusters:\n- name: a\n- name: a", "line 3", "give each its own name")]
#[case("clusters:\n- name: hub", "line 2", "the hub is no member")]
#[case("clusters:\n- name: A_b", "line 2", "lower-case letters")]
#[case(
    "roundTripTimes:\n  pairs:\n  - {between: [cluster1, cluster9], time: 5ms}",
    "line 3",
    "write one of cluster1, cluster2, cluster3, hub"
)]
fn an_error_says_where_it_is_and_what_to_write(
    #[case] text: &str,
    #[case] line: &str,
    #[case] hint: &str,
) {
    let error = parse(text).unwrap_err();
    assert!(error.starts_with("lab.yaml, "), "{error}");
    assert!(error.contains(line), "{error}");
    assert!(error.contains(hint), "{error}");
}
