//! What runs pods for as long as it is there.

use serde_json::{Map, Value};

use super::cluster;
use super::fill::{each, is_unset, replace_if_unset, set, within};
use super::pod::{template, zeros};

const ROLLING: &str = "RollingUpdate";

pub(crate) fn deployment(deployment: &mut Value) {
    within(deployment, "spec", |spec| {
        set(spec, "replicas", 1);
        within(spec, "strategy", |strategy| {
            set(strategy, "type", ROLLING);
            if strategy["type"] == ROLLING {
                within(strategy, "rollingUpdate", |update| {
                    set(update, "maxUnavailable", "25%");
                    set(update, "maxSurge", "25%");
                });
            }
        });
        set(spec, "revisionHistoryLimit", 10);
        set(spec, "progressDeadlineSeconds", 600);
        template(spec, "template");
    });
    zeros(deployment, &[]);
}

pub(crate) fn replica_set(set_of: &mut Value) {
    within(set_of, "spec", |spec| {
        set(spec, "replicas", 1);
        if spec.get("template").is_some() {
            template(spec, "template");
        }
    });
    zeros(set_of, &["replicas"]);
}

pub(crate) fn replication_controller(controller: &mut Value) {
    within(controller, "spec", |spec| {
        set(spec, "replicas", 1);
        if spec.get("template").is_some() {
            template(spec, "template");
        }
    });
    let labels = controller["spec"]["template"]["metadata"]["labels"].clone();
    if labels.is_object() {
        within(controller, "spec", |spec| {
            replace_if_unset(spec, "selector", &labels);
        });
        within(controller, "metadata", |metadata| {
            replace_if_unset(metadata, "labels", &labels);
        });
    }
    zeros(controller, &["replicas"]);
}

pub(crate) fn stateful_set(set_of: &mut Value) {
    within(set_of, "spec", |spec| {
        if spec["serviceName"].is_null() {
            set(spec, "serviceName", "");
        }
        set(spec, "podManagementPolicy", "OrderedReady");
        within(spec, "updateStrategy", |strategy| {
            if is_unset(strategy, "type") {
                set(strategy, "type", ROLLING);
                set(strategy, "rollingUpdate", Map::new());
            }
            if strategy["type"] == ROLLING && !strategy["rollingUpdate"].is_null() {
                within(strategy, "rollingUpdate", |update| {
                    set(update, "partition", 0);
                });
            }
        });
        within(spec, "persistentVolumeClaimRetentionPolicy", |policy| {
            set(policy, "whenDeleted", "Retain");
            set(policy, "whenScaled", "Retain");
        });
        set(spec, "replicas", 1);
        set(spec, "revisionHistoryLimit", 10);
        template(spec, "template");
        each(spec, "volumeClaimTemplates", |claim| {
            set(claim, "apiVersion", "v1");
            set(claim, "kind", "PersistentVolumeClaim");
            cluster::claim(claim);
        });
    });
    zeros(set_of, &["replicas", "availableReplicas"]);
}

pub(crate) fn daemon_set(set_of: &mut Value) {
    within(set_of, "metadata", |metadata| {
        within(metadata, "annotations", |annotations| {
            set(annotations, "deprecated.daemonset.template.generation", "1");
        });
    });
    within(set_of, "spec", |spec| {
        within(spec, "updateStrategy", |strategy| {
            set(strategy, "type", ROLLING);
            if strategy["type"] == ROLLING {
                within(strategy, "rollingUpdate", |update| {
                    set(update, "maxUnavailable", 1);
                    set(update, "maxSurge", 0);
                });
            }
        });
        set(spec, "revisionHistoryLimit", 10);
        template(spec, "template");
    });
    zeros(
        set_of,
        &[
            "currentNumberScheduled",
            "numberMisscheduled",
            "desiredNumberScheduled",
            "numberReady",
        ],
    );
}
