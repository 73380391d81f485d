//! The kinds of the core group.

use serde_json::json;

use crate::kinds::{Builtin, Selectable, Traits};
use crate::schema::builtin::defaults::{cluster as defaults, pod, service, workloads};
use crate::schema::builtin::validate::{self, Rules};
use crate::schema::builtin::{prepare, status};
use crate::schema::{Path, names};
use crate::tables::columns::{self, core as core_columns, workloads as workload_columns};

/// The core group, in discovery's order.
pub(super) const CORE: &[Builtin] = &[
    Builtin::answered("", "Binding", columns::created),
    Builtin::answered("", "ComponentStatus", columns::created),
    Builtin {
        validation: Some(Rules {
            check: validate::cluster::config_map,
            check_update: validate::cluster::config_map_update,
            ..Rules::METADATA
        }),
        ..Builtin::new("", "ConfigMap", core_columns::config_map)
    },
    Builtin {
        traits: Traits {
            create_on_update: true,
            ..Traits::NONE
        },
        defaults: service::endpoints,
        ..Builtin::new("", "Endpoints", core_columns::endpoints_of_service)
    },
    Builtin {
        traits: Traits {
            create_on_update: true,
            ..Traits::NONE
        },
        prepare_create: prepare::event,
        validation: Some(EVENT_RULES),
        selectable: EVENT_FIELDS,
        ..Builtin::new("", "Event", core_columns::event)
    },
    Builtin {
        traits: Traits {
            create_on_update: true,
            ..Traits::NONE
        },
        defaults: defaults::limit_range,
        ..Builtin::new("", "LimitRange", columns::created)
    },
    Builtin {
        traits: Traits {
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: defaults::namespace,
        prepare_create: prepare::namespace,
        prepare_update: prepare::namespace_update,
        initial_status: |_| json!({"phase": "Active"}),
        validation: Some(Rules {
            name: names::label_name,
            check: validate::cluster::namespace,
            ..Rules::METADATA
        }),
        selectable: &[Selectable::new("status.phase", "/status/phase")],
        ..Builtin::new("", "Namespace", core_columns::namespace)
    },
    Builtin {
        defaults: defaults::node,
        prepare_create: prepare::node,
        initial_status: status::node,
        validation: Some(Rules {
            check: validate::cluster::node,
            check_update: validate::cluster::node_update,
            ..Rules::METADATA
        }),
        selectable: &[Selectable::new("spec.unschedulable", "/spec/unschedulable").or("false")],
        ..Builtin::new("", "Node", core_columns::node)
    },
    Builtin {
        traits: Traits {
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: defaults::claim,
        initial_status: |_| json!({"phase": "Pending"}),
        validation: Some(Rules {
            check: validate::cluster::claim,
            check_update: validate::cluster::claim_update,
            ..Rules::METADATA
        }),
        ..Builtin::new("", "PersistentVolumeClaim", core_columns::volume_claim)
    },
    Builtin {
        traits: Traits {
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: defaults::volume,
        initial_status: |_| json!({"phase": "Pending"}),
        validation: Some(Rules {
            check: validate::cluster::volume,
            ..Rules::METADATA
        }),
        ..Builtin::new("", "PersistentVolume", core_columns::volume)
    },
    Builtin {
        traits: Traits {
            generation: true,
            returns_deleted: true,
            graceful: true,
            ..Traits::NONE
        },
        defaults: pod::pod,
        initial_status: status::pod,
        validation: Some(Rules {
            check: validate::pod::pod,
            check_update: validate::pod::pod_update,
            ..Rules::METADATA
        }),
        restored_by_status: &["ownerReferences"],
        selectable: POD_FIELDS,
        ..Builtin::new("", "Pod", core_columns::pod)
    },
    Builtin {
        traits: Traits {
            generation: true,
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: |object| pod::template(object, "template"),
        validation: Some(Rules {
            check: |object, errors| {
                validate::pod::template(&object["template"], &Path::new("template"), errors);
            },
            ..Rules::METADATA
        }),
        ..Builtin::new("", "PodTemplate", core_columns::pod_template)
    },
    Builtin {
        traits: Traits {
            generation: true,
            orphans_dependents: true,
            ..Traits::NONE
        },
        defaults: workloads::replication_controller,
        initial_status: |_| json!({"replicas": 0}),
        validation: Some(Rules {
            check: validate::workloads::replication_controller,
            ..Rules::METADATA
        }),
        selectable: &[Selectable::new("status.replicas", "/status/replicas").or("0")],
        ..Builtin::new("", "ReplicationController", workload_columns::replicas)
    },
    Builtin {
        traits: Traits {
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: defaults::quota,
        validation: Some(Rules {
            check: validate::cluster::quota,
            ..Rules::METADATA
        }),
        ..Builtin::new("", "ResourceQuota", core_columns::resource_quota)
    },
    Builtin {
        defaults: defaults::secret,
        validation: Some(Rules {
            check: validate::cluster::secret,
            check_update: validate::cluster::secret_update,
            ..Rules::METADATA
        }),
        selectable: &[Selectable::new("type", "/type")],
        ..Builtin::new("", "Secret", core_columns::secret)
    },
    Builtin {
        traits: Traits {
            returns_deleted: true,
            ..Traits::NONE
        },
        ..Builtin::new("", "ServiceAccount", core_columns::service_account)
    },
    Builtin {
        traits: Traits {
            create_on_update: true,
            returns_deleted: true,
            ..Traits::NONE
        },
        defaults: service::service,
        initial_status: |_| json!({"loadBalancer": {}}),
        validation: Some(Rules {
            name: names::label_1035_name,
            check: validate::service::service,
            check_update: validate::service::service_update,
            ..Rules::METADATA
        }),
        selectable: &[
            Selectable::new("spec.clusterIP", "/spec/clusterIP"),
            Selectable::new("spec.type", "/spec/type"),
        ],
        ..Builtin::new("", "Service", core_columns::service)
    },
];

/// What is valid in events of the core group, as all events are stored.
pub(super) const EVENT_RULES: Rules = Rules {
    check: validate::cluster::event,
    ..Rules::METADATA
};

const EVENT_FIELDS: &[Selectable] = &[
    Selectable::new("involvedObject.kind", "/involvedObject/kind"),
    Selectable::new("involvedObject.namespace", "/involvedObject/namespace"),
    Selectable::new("involvedObject.name", "/involvedObject/name"),
    Selectable::new("involvedObject.uid", "/involvedObject/uid"),
    Selectable::new("involvedObject.apiVersion", "/involvedObject/apiVersion"),
    Selectable::new(
        "involvedObject.resourceVersion",
        "/involvedObject/resourceVersion",
    ),
    Selectable::new("involvedObject.fieldPath", "/involvedObject/fieldPath"),
    Selectable::new("reason", "/reason"),
    Selectable::new("reportingComponent", "/reportingComponent"),
    Selectable::new("source", "/source/component"),
    Selectable::new("type", "/type"),
];

const POD_FIELDS: &[Selectable] = &[
    Selectable::new("spec.nodeName", "/spec/nodeName"),
    Selectable::new("spec.restartPolicy", "/spec/restartPolicy"),
    Selectable::new("spec.schedulerName", "/spec/schedulerName"),
    Selectable::new("spec.serviceAccountName", "/spec/serviceAccountName"),
    Selectable::new("spec.hostNetwork", "/spec/hostNetwork").or("false"),
    Selectable::new("status.phase", "/status/phase"),
    Selectable::new("status.podIP", "/status/podIP"),
    Selectable::new("status.podIPs", "/status/podIPs"),
    Selectable::new("status.nominatedNodeName", "/status/nominatedNodeName"),
];
