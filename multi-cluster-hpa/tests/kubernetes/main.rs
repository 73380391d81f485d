//! The same cases to Kubernetes' own autoscaler and to ours: the same numbers.
//!
//! `lab/real/kubernetes/autoscaler` drives `ReplicaCalculator` and `HorizontalController` of
//! `k8s.io/kubernetes`, unchanged. Ours decides twice: as one number for all, and for one location.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests; clippy only knows the test functions themselves"
)]

mod cases;
mod ours;
mod theirs;

use std::collections::BTreeMap;

use cases::Case;
use ours::Ours;
use theirs::{Outcome, Proposal};

/// Cases of one evaluation each: all kinds of pods and metrics.
const SINGLE: usize = 4000;
/// Cases of many evaluations each: behaviors and their history.
const SERIES: usize = 400;
const EVALUATIONS: usize = 30;

#[test]
fn every_case_has_the_same_answer_from_both() {
    let seed = cases::seed();
    println!("replay with HPA_SEED={seed}");
    let cases = cases::all(seed, SINGLE, SERIES, EVALUATIONS);
    let answers = theirs::answer(&cases);
    assert_eq!(answers.len(), cases.len());
    let mut seen = BTreeMap::new();
    for (number, (case, answer)) in cases.iter().zip(&answers).enumerate() {
        compare(number, case, answer, &mut seen);
    }
    println!("{seen:#?}");
    for what in EXPECTED {
        let count = seen.get(*what).copied().unwrap_or_default();
        assert!(count >= 20, "only {count} evaluations with {what}");
    }
}

/// What the cases must have met, each often, or they prove little.
const EXPECTED: &[&str] = &[
    "AbleToScale: True ReadyForNewScale",
    "AbleToScale: True ScaleDownStabilized",
    "AbleToScale: True ScaleUpStabilized",
    "AbleToScale: True SucceededRescale",
    "ScalingActive: False FailedGetContainerResourceMetric",
    "ScalingActive: False FailedGetExternalMetric",
    "ScalingActive: False FailedGetObjectMetric",
    "ScalingActive: False FailedGetPodsMetric",
    "ScalingActive: False FailedGetResourceMetric",
    "ScalingActive: False ScalingDisabled",
    "ScalingActive: True ValidMetricFound",
    "ScalingLimited: False DesiredWithinRange",
    "ScalingLimited: True ScaleDownLimit",
    "ScalingLimited: True ScaleUpLimit",
    "ScalingLimited: True TooFewReplicas",
    "ScalingLimited: True TooManyReplicas",
    "error: did not receive metrics",
    "error: it cannot be read",
    "error: missing pod-level request",
    "error: missing request",
    "error: no metrics returned matched known pods",
    "error: no pods returned",
    "proposal: ContainerResource AverageValue",
    "proposal: ContainerResource Utilization",
    "proposal: External AverageValue",
    "proposal: External Value",
    "proposal: Object AverageValue",
    "proposal: Object Value",
    "proposal: Pods AverageValue",
    "proposal: Resource AverageValue",
    "proposal: Resource Utilization",
];

fn compare(number: usize, case: &Case, answer: &[Outcome], seen: &mut BTreeMap<String, usize>) {
    assert_eq!(answer.len(), case.evaluations.len());
    let mut ours = Ours::new(case);
    let mut current = case.replicas;
    for (step, (evaluation, theirs)) in case.evaluations.iter().zip(answer).enumerate() {
        let at = || {
            let evaluation = serde_json::to_string(evaluation).unwrap();
            let (spec, settings) = (&case.spec, serde_json::to_string(&case.settings).unwrap());
            format!(
                "case {number}, evaluation {step}, replicas {current}\nspec {spec}\nsettings \
                 {settings}\nevaluation {evaluation}\ntheirs {theirs:?}"
            )
        };
        let both = ours.decide(current, evaluation);
        for decision in &both {
            assert_eq!(decision.desired, theirs.replicas, "{decision:?}\n{}", at());
            let conditions = ours::conditions(decision);
            for (kind, theirs) in &theirs.conditions {
                // Theirs says at once that the scale was written; ours leaves that to who writes.
                if theirs != "True SucceededRescale" {
                    assert_eq!(conditions.get(kind), Some(theirs), "{kind}, {}", at());
                }
            }
        }
        for (kind, theirs) in &theirs.conditions {
            *seen.entry(format!("{kind}: {theirs}")).or_default() += 1;
        }
        // Where the number is out of bounds no metric is asked.
        for (place, report) in both[0].metrics.iter().enumerate() {
            let theirs = &theirs.proposals[place];
            let ours = report.outcome.as_ref().map(Proposal::from);
            match (ours, theirs.error.as_deref()) {
                (Ok(ours), None) => {
                    let mut ours = ours;
                    if evaluation.running == 0 && case.is_average_of_value(place) {
                        // Theirs divides by zero, and shows what the processor makes of it.
                        ours.milli = theirs.milli;
                    }
                    assert_eq!(&ours, theirs, "metric {place}, {}", at());
                    *seen.entry(case.label(place)).or_default() += 1;
                }
                (Err(ours), Some(theirs)) => {
                    let ours = theirs::error(ours);
                    assert_eq!(ours, theirs::error(theirs), "metric {place}, {}", at());
                    *seen.entry(format!("error: {ours}")).or_default() += 1;
                }
                (ours, theirs) => panic!("metric {place}: {ours:?}, {theirs:?}, {}", at()),
            }
        }
        current = theirs.replicas;
    }
}
