//! The cell that says what an autoscaler measures.

use serde_json::Value;

use crate::meta::{items, text};

/// What an autoscaler measures, and what it aims at.
pub(super) fn hpa_targets(autoscaler: &Value) -> Value {
    const SHOWN: usize = 2;
    let specs = items(autoscaler, "/spec/metrics");
    let current = items(autoscaler, "/status/currentMetrics");
    if specs.is_empty() {
        return "<none>".into();
    }
    let all: Vec<String> = specs
        .iter()
        .enumerate()
        .map(|(index, spec)| metric(spec, current.get(index)))
        .collect();
    let shown = all
        .get(..SHOWN.min(all.len()))
        .unwrap_or_default()
        .join(", ");
    if all.len() > SHOWN {
        return format!("{shown} + {} more...", all.len() - SHOWN).into();
    }
    shown.into()
}

fn metric(spec: &Value, current: Option<&Value>) -> String {
    let field = match text(spec, "/type") {
        "Resource" => "resource",
        "ContainerResource" => "containerResource",
        "Pods" => "pods",
        "Object" => "object",
        "External" => "external",
        _ => return "<unknown type>".to_owned(),
    };
    let part = |value: &Value, place: &str, what: &str| -> Option<String> {
        match value.pointer(&format!("/{field}/{place}/{what}"))? {
            Value::String(text) => Some(text.clone()),
            Value::Null => None,
            other => Some(other.to_string()),
        }
    };
    let target = |what| part(spec, "target", what);
    let now = |what: &str| {
        let found = current.and_then(|current| part(current, "current", what));
        found.unwrap_or_else(|| "<unknown>".to_owned())
    };
    let average = target("averageValue");
    match (field, average) {
        ("resource" | "containerResource", Some(average)) => {
            let name = text(spec, &format!("/{field}/name"));
            format!("{name}: {}/{average}", now("averageValue"))
        }
        ("resource" | "containerResource", None) => {
            let name = text(spec, &format!("/{field}/name"));
            let percent = |text: String| {
                if text.starts_with('<') {
                    text
                } else {
                    format!("{text}%")
                }
            };
            let aim = target("averageUtilization").unwrap_or_else(|| "<auto>".to_owned());
            format!(
                "{name}: {}/{}",
                percent(now("averageUtilization")),
                percent(aim)
            )
        }
        ("pods", average) => format!("{}/{}", now("averageValue"), average.unwrap_or_default()),
        (_, Some(average)) => format!("{}/{average} (avg)", now("averageValue")),
        (_, None) => format!("{}/{}", now("value"), target("value").unwrap_or_default()),
    }
}
