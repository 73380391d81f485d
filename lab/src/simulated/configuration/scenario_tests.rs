use rstest::rstest;

use super::*;

fn parse(text: &str) -> Result<Scenario, String> {
    Scenario::parse(text, Path::new("day.yaml")).map_err(|error| error.to_string())
}

const OBJECT: &str = "{apiVersion: v1, kind: Namespace, metadata: {name: team}}";

#[test]
fn what_happens_is_in_order_of_time() {
    let text = format!(
        "
events:
  - {{at: 1h, open: cluster2}}
  - {{at: 10m, cut: cluster2}}
  - {{at: 20m, scale: {{name: web, replicas: 4}}}}
objects: [{OBJECT}]
"
    );
    let scenario = parse(&text).unwrap();
    let seen: Vec<_> = scenario
        .events
        .iter()
        .map(|event| (event.at.as_secs() / 60, event.line))
        .collect();
    assert_eq!(seen, [(0, 6), (10, 4), (20, 5), (60, 3)]);
    assert_eq!(scenario.ends, Duration::from_mins(65));
    let [first, cut, ..] = &scenario.events[..] else {
        panic!("four events")
    };
    assert!(matches!(&first.action, Action::Apply(all) if all.len() == 1));
    assert_eq!(cut.action, Action::Cut("cluster2".to_owned()));
    assert_eq!(scenario.clusters.members.len(), 3);
}

#[test]
fn a_crowd_comes_to_all_clusters_if_none_is_named() {
    let scenario = parse(
        "
clusters: 2
loads: {default/web: {requests: 10}}
events:
  - {at: 1m, crowd: {workload: default/web, times: 5, lasts: 20m}}
ends: 2h
",
    )
    .unwrap();
    let Action::Crowd(flash) = &scenario.events[0].action else {
        panic!("a crowd")
    };
    assert_eq!(flash.clusters, ["cluster1", "cluster2"]);
    assert_eq!(scenario.ends, Duration::from_hours(2));
}

#[rstest]
#[case(
    "events:\n- {at: 1m, cut: cluster9}",
    "line 2",
    "write one of cluster1"
)]
#[case("events:\n- {at: 1m}", "line 2", "write for example {at: 10m, cut:")]
#[case(
    "events:\n- {at: 1m, cut: cluster1, open: cluster1}",
    "line 2",
    "a time and one thing"
)]
#[case("events:\n- {cut: cluster1}", "line 2", "at")]
#[case(
    "events:\n- {at: soon, cut: cluster1}",
    "line 2",
    "write for example 500ms"
)]
#[case("events:\n- {at: 1m, burn: cluster1}", "line 2", "burn")]
#[case("objects: [nowhere.yaml]", "line 1", "can't read nowhere.yaml")]
#[case("objects: [{kind: Namespace}]", "line 1", "metadata.name")]
#[case(
    "events:\n- {at: 1m, crowd: {workload: default/web, times: 2, lasts: 1m}}",
    "line 2",
    "give it one in loads"
)]
#[case(
    "events:\n- {at: 1m, slow: {cluster: cluster1, roundTrip: 1s, loss: 3}}",
    "line 2",
    "write one from 0 to 1"
)]
fn an_error_says_where_it_is_and_what_to_write(
    #[case] text: &str,
    #[case] line: &str,
    #[case] hint: &str,
) {
    let error = parse(text).unwrap_err();
    assert!(error.starts_with("day.yaml, "), "{error}");
    assert!(error.contains(line), "{error}");
    assert!(error.contains(hint), "{error}");
}

#[test]
fn a_configuration_says_that_events_are_for_scenarios() {
    let text = "events:\n- {at: 1m, cut: cluster1}";
    let error = Clusters::parse(text, Path::new("lab.yaml")).unwrap_err();
    assert!(error.to_string().contains("--scenario"), "{error}");
}
