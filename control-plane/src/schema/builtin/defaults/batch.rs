//! What runs pods to their end, and what scales and guards them.

use serde_json::{Value, json};

use super::fill::{each, is_unset, replace_if_unset, set, where_there, within};
use super::pod::{template, zeros};

pub(crate) fn job(job: &mut Value) {
    within(job, "spec", job_spec);
    let labels = job["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        within(job, "metadata", |metadata| {
            replace_if_unset(metadata, "labels", &labels);
        });
    }
    zeros(job, &[]);
}

fn job_spec(spec: &mut Value) {
    if is_unset(spec, "completions") && is_unset(spec, "parallelism") {
        set(spec, "completions", 1);
    }
    set(spec, "parallelism", 1);
    let by_index = !is_unset(spec, "backoffLimitPerIndex");
    set(spec, "backoffLimit", if by_index { i32::MAX } else { 6 });
    set(spec, "completionMode", "NonIndexed");
    set(spec, "suspend", false);
    set(spec, "manualSelector", false);
    let policy = if spec["podFailurePolicy"].is_null() {
        "TerminatingOrFailed"
    } else {
        "Failed"
    };
    set(spec, "podReplacementPolicy", policy);
    where_there(spec, "podFailurePolicy", |policy| {
        each(policy, "rules", |rule| {
            each(rule, "onPodConditions", |pattern| {
                set(pattern, "status", "True");
            });
        });
    });
    template(spec, "template");
}

pub(crate) fn cron_job(job: &mut Value) {
    within(job, "spec", |spec| {
        set(spec, "concurrencyPolicy", "Allow");
        set(spec, "suspend", false);
        set(spec, "successfulJobsHistoryLimit", 3);
        set(spec, "failedJobsHistoryLimit", 1);
        // The job itself gets its defaults when it is made; its pods get theirs here.
        within(spec, "jobTemplate", |job| {
            within(job, "metadata", |_| {});
            within(job, "spec", |spec| template(spec, "template"));
        });
    });
    zeros(job, &[]);
}

pub(crate) fn autoscaler(autoscaler: &mut Value) {
    within(autoscaler, "spec", |spec| {
        set(spec, "minReplicas", 1);
        if is_unset(spec, "metrics") {
            let target = json!({"type": "Utilization", "averageUtilization": 80});
            let metrics = json!([
                {"type": "Resource", "resource": {"name": "cpu", "target": target}}
            ]);
            replace_if_unset(spec, "metrics", &metrics);
        }
        where_there(spec, "behavior", |behavior| {
            within(behavior, "scaleUp", |rules| {
                set(rules, "stabilizationWindowSeconds", 0);
                set(rules, "selectPolicy", "Max");
                let policies = json!([
                    {"type": "Pods", "value": 4, "periodSeconds": 15},
                    {"type": "Percent", "value": 100, "periodSeconds": 15}
                ]);
                set(rules, "policies", policies);
            });
            within(behavior, "scaleDown", |rules| {
                set(rules, "selectPolicy", "Max");
                let policies = json!([{"type": "Percent", "value": 100, "periodSeconds": 15}]);
                set(rules, "policies", policies);
            });
        });
    });
    within(autoscaler, "status", |status| {
        set(status, "desiredReplicas", 0);
        if let Value::Object(fields) = status {
            fields.entry("currentMetrics").or_insert(Value::Null);
        }
    });
}

pub(crate) fn disruption_budget(budget: &mut Value) {
    zeros(
        budget,
        &[
            "disruptionsAllowed",
            "currentHealthy",
            "desiredHealthy",
            "expectedPods",
        ],
    );
}
