//! Versions of built-in kinds that differ from what is stored.

use serde_json::{Map, Value, json};

use crate::meta::{object_in, put};

/// Fields of events.k8s.io/v1 and of core/v1, where they differ.
const EVENT: &[(&str, &str)] = &[
    ("note", "message"),
    ("regarding", "involvedObject"),
    ("reportingController", "reportingComponent"),
    ("deprecatedSource", "source"),
    ("deprecatedFirstTimestamp", "firstTimestamp"),
    ("deprecatedLastTimestamp", "lastTimestamp"),
    ("deprecatedCount", "count"),
];

/// How a version differs from what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conversion {
    /// Not at all, but for `apiVersion`.
    #[default]
    None,
    /// events.k8s.io/v1 renames the fields of core events.
    Event,
    /// autoscaling/v1 knows less than autoscaling/v2.
    AutoscalerV1,
}

impl Conversion {
    /// The group and the version in which objects of a version are stored.
    pub(crate) fn stored_type<'a>(self, group: &'a str, version: &'a str) -> (&'a str, &'a str) {
        match self {
            Self::None => (group, version),
            Self::Event => ("", "v1"),
            Self::AutoscalerV1 => (group, "v2"),
        }
    }

    /// From what a client sent to what is stored.
    pub(crate) fn to_stored(self, mut value: Value) -> Value {
        match self {
            Self::None => {}
            Self::Event => rename(&mut value, |(new, core)| (new, core)),
            Self::AutoscalerV1 => autoscaler_to_v2(&mut value),
        }
        value
    }

    /// From what is stored to what a client sees.
    pub(crate) fn shown(self, mut value: Value) -> Value {
        match self {
            Self::None => {}
            Self::Event => {
                rename(&mut value, |(new, core)| (core, new));
                if let Some(fields) = value.as_object_mut() {
                    fields.entry("eventTime").or_insert(Value::Null);
                }
            }
            Self::AutoscalerV1 => autoscaler_to_v1(&mut value),
        }
        value
    }
}

fn rename(
    value: &mut Value,
    direction: impl Fn((&'static str, &'static str)) -> (&'static str, &'static str),
) {
    let Some(fields) = value.as_object_mut() else {
        return;
    };
    for &pair in EVENT {
        let (from, to) = direction(pair);
        if let Some(field) = fields.remove(from) {
            fields.insert(to.to_owned(), field);
        }
    }
}

fn cpu_target(target: &Value) -> Value {
    json!([{
        "type": "Resource",
        "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": target}},
    }])
}

fn autoscaler_to_v2(value: &mut Value) {
    if value.get("spec").is_some() {
        let spec = object_in(value, "spec");
        if let Some(target) = spec.remove("targetCPUUtilizationPercentage") {
            spec.insert("metrics".to_owned(), cpu_target(&target));
        }
    }
    if value.get("status").is_some() {
        let status = object_in(value, "status");
        if let Some(current) = status.remove("currentCPUUtilizationPercentage") {
            let metrics = json!([{
                "type": "Resource",
                "resource": {"name": "cpu", "current": {"averageUtilization": current}},
            }]);
            status.insert("currentMetrics".to_owned(), metrics);
        }
    }
}

/// The utilization of the CPU, taken out of metrics.
fn take_cpu(metrics: Option<Value>, pointer: &str) -> Option<Value> {
    let metrics = metrics?;
    let metrics = metrics.as_array()?;
    let is_cpu = |metric: &&Value| metric.pointer("/resource/name") == Some(&json!("cpu"));
    let cpu = metrics.iter().find(is_cpu)?;
    cpu.pointer(pointer).cloned()
}

fn autoscaler_to_v1(value: &mut Value) {
    let take = |fields: &mut Map<String, Value>, list: &str, name: &str, pointer: &str| {
        let metrics = fields.remove(list);
        let cpu = take_cpu(metrics, pointer);
        put(fields, name, cpu);
    };
    if value.get("spec").is_some() {
        let spec = object_in(value, "spec");
        let pointer = "/resource/target/averageUtilization";
        take(spec, "metrics", "targetCPUUtilizationPercentage", pointer);
        spec.remove("behavior");
    }
    if value.get("status").is_some() {
        let status = object_in(value, "status");
        let pointer = "/resource/current/averageUtilization";
        take(
            status,
            "currentMetrics",
            "currentCPUUtilizationPercentage",
            pointer,
        );
        status.remove("conditions");
        status.entry("currentReplicas").or_insert(json!(0));
    }
}
