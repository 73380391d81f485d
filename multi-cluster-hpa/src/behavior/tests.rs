use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::autoscaling::v2::HorizontalPodAutoscalerBehavior;
use serde_json::{Value, json};

use super::*;

const BOUNDS: Bounds = Bounds { min: 1, max: 100 };

fn at(seconds: i64) -> Timestamp {
    let start: Timestamp = "2026-03-02T08:00:00Z".parse().unwrap();
    start + SignedDuration::from_secs(seconds)
}

fn read(behavior: Value) -> Result<Behavior, String> {
    let behavior: HorizontalPodAutoscalerBehavior = serde_json::from_value(behavior).unwrap();
    Behavior::read(&behavior).map_err(|error| error.to_string())
}

/// Steps and their results, each carried out.
struct Run {
    series: Series,
    behavior: Option<Behavior>,
    current: u32,
}

impl Run {
    fn new(current: u32, behavior: Option<Value>) -> Self {
        Self {
            series: Series::default(),
            behavior: behavior.map(|behavior| read(behavior).unwrap()),
            current,
        }
    }

    fn step(&mut self, seconds: i64, proposed: u32) -> u32 {
        self.allow(seconds, proposed).replicas
    }

    fn allow(&mut self, seconds: i64, proposed: u32) -> Allowed {
        let now = at(seconds);
        self.series.begin(now, self.current);
        let step = Step {
            now,
            current: self.current,
            proposed,
            bounds: BOUNDS,
            behavior: self.behavior.as_ref(),
            downscale_stabilization: SignedDuration::from_mins(5),
        };
        let allowed = limit(&step, &mut self.series);
        let behavior = self.behavior.as_ref();
        if allowed.replicas != self.current {
            self.series
                .scaled(now, self.current, allowed.replicas, behavior);
        }
        self.current = allowed.replicas;
        allowed
    }
}

#[test]
fn without_a_behavior_it_doubles_or_gives_four() {
    let mut run = Run::new(1, None);
    assert_eq!(run.step(0, 50), 4);
    assert_eq!(run.step(15, 50), 8);
    let allowed = run.allow(30, 50);
    assert_eq!((allowed.replicas, allowed.limit), (16, Limit::ScaleUpLimit));
}

#[test]
fn a_record_as_old_as_the_window_no_longer_counts() {
    for behavior in [None, Some(json!({}))] {
        let mut run = Run::new(10, behavior);
        assert_eq!(run.step(0, 10), 10);
        assert_eq!(run.step(15, 2), 10);
        assert_eq!(run.step(299, 2), 10);
        assert_eq!(run.step(300, 2), 2);
    }
}

#[test]
fn a_window_of_zero_holds_nothing_back() {
    let now = json!({"scaleDown": {"stabilizationWindowSeconds": 0}});
    assert_eq!(Run::new(10, Some(now)).step(0, 2), 2);
}

#[test]
fn a_window_for_scale_up_takes_the_lowest() {
    let up = json!({"scaleUp": {"stabilizationWindowSeconds": 60}});
    let mut run = Run::new(2, Some(up));
    let allowed = run.allow(0, 8);
    assert_eq!(allowed.replicas, 2);
    assert_eq!(allowed.stabilization, Stabilization::ScaleUpStabilized);
    assert_eq!(run.step(45, 6), 2);
    assert_eq!(run.step(60, 7), 6, "the lowest of 8, 6 and 7; 2 is too old");
}

#[test]
fn a_rate_counts_over_its_period() {
    let up = json!({"policies": [{"type": "Pods", "value": 4, "periodSeconds": 60}]});
    let mut run = Run::new(2, Some(json!({"scaleUp": up})));
    assert_eq!(run.step(0, 50), 6);
    assert_eq!(run.step(59, 50), 6);
    assert_eq!(run.step(60, 50), 10);
}

#[test]
fn a_percentage_is_rounded_to_the_faster_side() {
    let ten = json!({"policies": [{"type": "Percent", "value": 10, "periodSeconds": 15}]});
    let mut run = Run::new(1, Some(json!({"scaleUp": ten})));
    assert_eq!(run.step(0, 50), 2);
    let mut down = ten;
    down["stabilizationWindowSeconds"] = 0.into();
    let mut run = Run::new(15, Some(json!({"scaleDown": down})));
    let allowed = run.allow(0, 1);
    assert_eq!(
        (allowed.replicas, allowed.limit),
        (13, Limit::ScaleDownLimit)
    );
}

#[test]
fn of_two_policies_one_is_selected() {
    let policies = json!([
        {"type": "Pods", "value": 1, "periodSeconds": 15},
        {"type": "Percent", "value": 100, "periodSeconds": 15},
    ]);
    for (select, replicas) in [("Max", 20), ("Min", 11), ("Disabled", 10)] {
        let up = json!({"selectPolicy": select, "policies": policies});
        let mut run = Run::new(10, Some(json!({"scaleUp": up})));
        assert_eq!(run.step(0, 50), replicas, "{select}");
    }
}

#[test]
fn the_record_stays_as_long_as_its_windows() {
    let mut short = Run::new(10, Some(json!({})));
    let mut long = Run::new(10, Some(json!({})));
    for step in 0..100 {
        short.step(step * 15, 10 + step as u32 % 2);
    }
    for step in 0..1000 {
        long.step(step * 15, 10 + step as u32 % 2);
    }
    let size = |run: &Run| format!("{:?}", run.series).matches("at:").count();
    assert_eq!(size(&short), size(&long));
}

#[test]
fn what_is_left_out_has_kubernetes_defaults() {
    let empty = read(json!({})).unwrap();
    let seconds = SignedDuration::from_secs;
    assert_eq!(empty.up.window, Some(seconds(0)));
    assert_eq!(empty.down.window, None);
    let policies = |rules: &Rules| -> Vec<_> {
        let policies = rules.policies.iter();
        policies
            .map(|one| (one.kind, one.value, one.period))
            .collect()
    };
    let four = (PolicyKind::Pods, 4, seconds(15));
    let all = (PolicyKind::Percent, 100, seconds(15));
    assert_eq!(policies(&empty.up), [four, all]);
    assert_eq!(policies(&empty.down), [all]);

    let down = json!({"stabilizationWindowSeconds": 60, "tolerance": "50m"});
    let given = read(json!({"scaleDown": down})).unwrap();
    assert_eq!(given.up, empty.up);
    assert_eq!(given.down.window, Some(seconds(60)));
    assert_eq!(given.down.tolerance, Some(0.05));
    assert_eq!(given.down.policies, empty.down.policies);
}

#[test]
fn what_cannot_be_meant_says_where_and_what_to_write() {
    let policy = |kind: &str, value: i32, seconds: i32| {
        let policy = json!({"type": kind, "value": value, "periodSeconds": seconds});
        json!({"policies": [policy]})
    };
    for (rules, expected) in [
        (
            json!({"selectPolicy": "Most"}),
            ["selectPolicy", "Max, Min, Disabled"],
        ),
        (policy("Pod", 1, 15), ["policies.type", "Pods, Percent"]),
        (policy("Pods", 0, 15), ["policies.value", "1 or more"]),
        (
            policy("Pods", 1, 1801),
            ["policies.periodSeconds", "1 to 1800"],
        ),
        (
            json!({"stabilizationWindowSeconds": 3601}),
            ["stabilizationWindowSeconds", "0 to 3600"],
        ),
        (json!({"tolerance": "-0.1"}), ["tolerance", "0 or more"]),
        (json!({"tolerance": "little"}), ["tolerance", "\"little\""]),
    ] {
        let error = read(json!({"scaleUp": rules})).unwrap_err();
        for part in ["spec.behavior.scaleUp", expected[0], expected[1]] {
            assert!(error.contains(part), "{error}");
        }
    }
}
