//! The columns of workloads, and of what scales and guards them.

use serde_json::{Value, json};

use super::{column, number, text, text_of, the_age, the_name, workload};
use crate::kinds::PrinterColumn;
use crate::tables::autoscaler::hpa_targets;
use crate::tables::cells::{count, flag, int_or, labels_of, number_at, or, ready_of};
use crate::tables::kinds::{completions, controller, duration, job_status};
use crate::tables::since;

const TEMPLATE: &str = "/spec/template/spec/containers";
const SELECTOR: Option<&str> = Some("/spec/selector");

/// The name, columns, the age, and what runs.
fn running(
    columns: impl IntoIterator<Item = PrinterColumn>,
    selector: Option<&'static str>,
) -> Vec<PrinterColumn> {
    let mut all = vec![the_name()];
    all.extend(columns);
    all.push(the_age());
    all.extend(workload(TEMPLATE, selector));
    all
}

pub(crate) fn deployment() -> Vec<PrinterColumn> {
    // Numbers in columns of texts.
    let replicas = |name, pointer| text(name, move |object| number_at(object, pointer));
    let columns = [
        text("Ready", ready_of),
        replicas("Up-to-date", "/status/updatedReplicas"),
        replicas("Available", "/status/availableReplicas"),
    ];
    running(columns, SELECTOR)
}

pub(crate) fn stateful_set() -> Vec<PrinterColumn> {
    running([text("Ready", ready_of)], None)
}

pub(crate) fn daemon_set() -> Vec<PrinterColumn> {
    let columns = [
        number("Desired", "/status/desiredNumberScheduled"),
        number("Current", "/status/currentNumberScheduled"),
        number("Ready", "/status/numberReady"),
        number("Up-to-date", "/status/updatedNumberScheduled"),
        number("Available", "/status/numberAvailable"),
        text("Node Selector", |object| {
            labels_of(object, "/spec/template/spec/nodeSelector")
        }),
    ];
    running(columns, SELECTOR)
}

/// Of replica sets and replication controllers.
pub(crate) fn replicas() -> Vec<PrinterColumn> {
    let columns = [
        number("Desired", "/spec/replicas"),
        number("Current", "/status/replicas"),
        number("Ready", "/status/readyReplicas"),
    ];
    running(columns, SELECTOR)
}

pub(crate) fn job() -> Vec<PrinterColumn> {
    let columns = [
        text("Status", job_status),
        text("Completions", completions),
        column("Duration", "string", duration),
    ];
    running(columns, SELECTOR)
}

pub(crate) fn cron_job() -> Vec<PrinterColumn> {
    let suspended = |object: &Value, _| flag(object, "/spec/suspend");
    let active = |object: &Value, _| count(object, "/status/active");
    let mut columns = vec![
        the_name(),
        text_of("Schedule", "/spec/schedule"),
        text("Timezone", |object| or(object, "/spec/timeZone", "<none>")),
        column("Suspend", "boolean", suspended),
        column("Active", "integer", active),
        column(
            "Last Schedule",
            "string",
            |object, now| match crate::meta::text(object, "/status/lastScheduleTime") {
                "" => json!("<none>"),
                time => since(now, time).into(),
            },
        ),
        the_age(),
    ];
    let template = "/spec/jobTemplate/spec/template/spec/containers";
    columns.extend(workload(template, Some("/spec/jobTemplate/spec/selector")));
    columns
}

pub(crate) fn controller_revision() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Controller", controller),
        text("Revision", |object| number_at(object, "/revision")),
        the_age(),
    ]
}

pub(crate) fn autoscaler() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Reference", |object| {
            let part = |name| crate::meta::text(object, name);
            let (kind, name) = (
                part("/spec/scaleTargetRef/kind"),
                part("/spec/scaleTargetRef/name"),
            );
            format!("{kind}/{name}").into()
        }),
        text("Targets", hpa_targets),
        text("MinPods", |object| {
            int_or(object, "/spec/minReplicas", "<unset>")
        }),
        text("MaxPods", |object| number_at(object, "/spec/maxReplicas")),
        text("Replicas", |object| {
            number_at(object, "/status/currentReplicas")
        }),
        the_age(),
    ]
}

pub(crate) fn disruption_budget() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Min Available", |object| {
            int_or(object, "/spec/minAvailable", "N/A")
        }),
        text("Max Unavailable", |object| {
            int_or(object, "/spec/maxUnavailable", "N/A")
        }),
        number("Allowed Disruptions", "/status/disruptionsAllowed"),
        the_age(),
    ]
}
