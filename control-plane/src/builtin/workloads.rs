//! Workloads, and what scales and guards them: the groups apps, autoscaling, batch and policy.

use serde_json::json;

use crate::kinds::{Builtin, Conversion, Selectable, Traits};
use crate::schema::builtin::defaults::{batch, workloads};
use crate::schema::builtin::prepare;
use crate::schema::builtin::validate::{self, Rules};
use crate::tables::columns::workloads as columns;

/// The generation of a workload counts changes of its spec.
const WORKLOAD: Traits = Traits {
    generation: true,
    ..Traits::NONE
};

/// Writes to the status of workloads keep the labels.
const LABELS: &[&str] = &["labels"];

/// The group apps, in discovery's order.
pub(super) const APPS: &[Builtin] = &[
    Builtin {
        validation: Some(Rules {
            check: validate::workloads::revision,
            check_update: validate::workloads::revision_update,
            ..Rules::METADATA
        }),
        ..Builtin::new("apps", "ControllerRevision", columns::controller_revision)
    },
    Builtin {
        traits: WORKLOAD,
        defaults: workloads::daemon_set,
        prepare_create: prepare::daemon_set,
        prepare_update: prepare::daemon_set_update,
        initial_status: |_| {
            json!({
                "currentNumberScheduled": 0,
                "desiredNumberScheduled": 0,
                "numberMisscheduled": 0,
                "numberReady": 0,
            })
        },
        validation: Some(Rules {
            check: validate::workloads::daemon_set,
            check_update: validate::workloads::selector_update,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        ..Builtin::new("apps", "DaemonSet", columns::daemon_set)
    },
    Builtin {
        traits: WORKLOAD,
        defaults: workloads::deployment,
        validation: Some(Rules {
            check: validate::workloads::deployment,
            check_update: validate::workloads::selector_update,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        counted_metadata: &["/metadata/annotations"],
        ..Builtin::new("apps", "Deployment", columns::deployment)
    },
    Builtin {
        traits: WORKLOAD,
        defaults: workloads::replica_set,
        initial_status: |_| json!({"replicas": 0}),
        validation: Some(Rules {
            check: validate::workloads::replica_set,
            check_update: validate::workloads::selector_update,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        ..Builtin::new("apps", "ReplicaSet", columns::replicas)
    },
    Builtin {
        traits: WORKLOAD,
        defaults: workloads::stateful_set,
        initial_status: |_| json!({"replicas": 0, "availableReplicas": 0}),
        validation: Some(Rules {
            check: validate::workloads::stateful_set,
            check_update: validate::workloads::stateful_set_update,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        ..Builtin::new("apps", "StatefulSet", columns::stateful_set)
    },
];

/// The group autoscaling.
pub(super) const AUTOSCALING: &[Builtin] = &[Builtin {
    versions: &[("v2", Conversion::None), ("v1", Conversion::AutoscalerV1)],
    defaults: batch::autoscaler,
    initial_status: |_| json!({"currentMetrics": null, "desiredReplicas": 0}),
    validation: Some(Rules {
        check: validate::autoscaling::autoscaler,
        ..Rules::METADATA
    }),
    ..Builtin::new(
        "autoscaling",
        "HorizontalPodAutoscaler",
        columns::autoscaler,
    )
}];

/// The group batch, in discovery's order.
pub(super) const BATCH: &[Builtin] = &[
    Builtin {
        traits: WORKLOAD,
        defaults: batch::cron_job,
        validation: Some(Rules {
            check: validate::batch::cron_job,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        ..Builtin::new("batch", "CronJob", columns::cron_job)
    },
    Builtin {
        traits: Traits {
            orphans_dependents: true,
            ..WORKLOAD
        },
        defaults: batch::job,
        prepare_create: prepare::job,
        validation: Some(Rules {
            check: validate::batch::job,
            check_update: validate::batch::job_update,
            ..Rules::METADATA
        }),
        restored_by_status: LABELS,
        selectable: &[Selectable::new("status.successful", "/status/succeeded").or("0")],
        ..Builtin::new("batch", "Job", columns::job)
    },
];

/// The group policy.
pub(super) const POLICY: &[Builtin] = &[Builtin {
    traits: Traits {
        generation: true,
        conditional_update: true,
        ..Traits::NONE
    },
    defaults: batch::disruption_budget,
    initial_status: |_| {
        json!({
            "currentHealthy": 0,
            "desiredHealthy": 0,
            "disruptionsAllowed": 0,
            "expectedPods": 0,
        })
    },
    validation: Some(Rules {
        check: validate::autoscaling::disruption_budget,
        ..Rules::METADATA
    }),
    ..Builtin::new("policy", "PodDisruptionBudget", columns::disruption_budget)
}];
