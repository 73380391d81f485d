//! The columns of built-in kinds, those of kube-apiserver's printers.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::autoscaler::hpa_targets;
use super::cells::{
    containers, count, data_count, flag, images, int_or, label_selector, labels_of, number_at, or,
    phase, ready_of, text_at,
};
use super::duration::age;
use super::kinds::{
    access_modes, bindings, claim, claim_class, completions, duration, event_age, event_count,
    event_first, event_source, event_target, events_message, job_status, lease_holder,
    node_address, node_roles, node_status, quota, storage_class_name, subjects,
};
use super::network::{
    class_parameters, endpoints, ingress_address, ingress_hosts, ingress_tls, service_address,
    service_external, service_ports, slice_endpoints, slice_ports,
};
use super::pods;
use crate::kinds::Resource;
use crate::meta::name;

/// Makes a cell.
pub(super) type Cell = Box<dyn Fn(&Value, Timestamp) -> Value + Send + Sync>;

/// A column.
pub(crate) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: &'static str,
    /// 0 is always shown, 1 in wide tables.
    pub(super) priority: i64,
    pub(super) cell: Cell,
}

impl Column {
    fn wide(mut self) -> Self {
        self.priority = 1;
        self
    }
}

fn column(
    name: &'static str,
    kind: &'static str,
    cell: impl Fn(&Value, Timestamp) -> Value + Send + Sync + 'static,
) -> Column {
    Column {
        name,
        kind,
        priority: 0,
        cell: Box::new(cell),
    }
}

/// A column with text.
fn text(name: &'static str, cell: impl Fn(&Value) -> Value + Send + Sync + 'static) -> Column {
    column(name, "string", move |object, _| cell(object))
}

/// A column with a number at a pointer, 0 if there is none.
fn number(name: &'static str, pointer: &'static str) -> Column {
    column(name, "integer", move |object, _| number_at(object, pointer))
}

fn the_name() -> Column {
    text("Name", |object| name(object).into())
}

fn the_age() -> Column {
    column("Age", "string", age)
}

const TEMPLATE: &str = "/spec/template/spec/containers";

/// What runs in a workload.
fn workload(template: &'static str, selector: Option<&'static str>) -> Vec<Column> {
    let mut columns = vec![
        text("Containers", move |object| containers(object, template)).wide(),
        text("Images", move |object| images(object, template)).wide(),
    ];
    if let Some(selector) = selector {
        columns.push(text("Selector", move |object| label_selector(object, selector)).wide());
    }
    columns
}

/// The columns of a kind.
pub(super) fn of(resource: &Resource) -> Vec<Column> {
    let kind = resource.kind.as_str();
    let mut columns = vec![match kind {
        "StorageClass" => text("Name", storage_class_name),
        _ => the_name(),
    }];
    match kind {
        "Event" => return event(),
        "Pod" => columns.extend(pod()),
        "Node" => columns.extend(node()),
        "Service" => columns.extend(service()),
        "PersistentVolume" => columns.extend(volume()),
        "PersistentVolumeClaim" => columns.extend(volume_claim()),
        "Deployment" | "ReplicaSet" | "ReplicationController" | "StatefulSet" | "DaemonSet" => {
            columns.extend(apps(kind));
        }
        "Job" | "CronJob" => columns.extend(batch(kind)),
        "ConfigMap" => columns.extend([text("Data", data_count), the_age()]),
        "Secret" => columns.extend([
            text("Type", |object| text_at(object, "/type")),
            text("Data", data_count),
            the_age(),
        ]),
        "Namespace" => columns.extend([
            text("Status", |object| text_at(object, "/status/phase")),
            the_age(),
        ]),
        "ServiceAccount" => columns.extend([
            text("Secrets", |object| count(object, "/secrets")),
            the_age(),
        ]),
        "Endpoints" => columns.extend([text("Endpoints", endpoints), the_age()]),
        "ResourceQuota" => columns.extend([
            text("Request", |object| quota(object, false)),
            text("Limit", |object| quota(object, true)),
            the_age(),
        ]),
        "PodTemplate" => columns.extend([
            text("Containers", |object| {
                containers(object, "/template/spec/containers")
            }),
            text("Images", |object| {
                images(object, "/template/spec/containers")
            }),
            text("Pod Labels", |object| {
                labels_of(object, "/template/metadata/labels")
            }),
        ]),
        _ => match others(kind) {
            Some(found) => columns.extend(found),
            None => columns.push(column("Created At", "date", |object, _| {
                text_at(object, "/metadata/creationTimestamp")
            })),
        },
    }
    columns
}

fn event() -> Vec<Column> {
    vec![
        column("Last Seen", "string", event_age),
        text("Type", |object| text_at(object, "/type")),
        text("Reason", |object| text_at(object, "/reason")),
        text("Object", event_target),
        text("Subobject", |object| {
            text_at(object, "/involvedObject/fieldPath")
        })
        .wide(),
        text("Source", event_source).wide(),
        text("Message", events_message),
        column("First Seen", "string", event_first).wide(),
        text("Count", event_count).wide(),
        the_name().wide(),
    ]
}

fn pod() -> Vec<Column> {
    let none = |pointer| move |object: &Value| or(object, pointer, "<none>");
    vec![
        text("Ready", pods::ready),
        text("Status", pods::status),
        column("Restarts", "string", pods::restarts),
        the_age(),
        text("IP", none("/status/podIPs/0/ip")).wide(),
        text("Node", none("/spec/nodeName")).wide(),
        text("Nominated Node", none("/status/nominatedNodeName")).wide(),
        text("Readiness Gates", pods::readiness_gates).wide(),
    ]
}

fn node() -> Vec<Column> {
    let info = |pointer| move |object: &Value| or(object, pointer, "<unknown>");
    vec![
        text("Status", node_status),
        text("Roles", node_roles),
        the_age(),
        text("Version", |object| {
            text_at(object, "/status/nodeInfo/kubeletVersion")
        }),
        text("Internal-IP", |object| node_address(object, "InternalIP")).wide(),
        text("External-IP", |object| node_address(object, "ExternalIP")).wide(),
        text("OS-Image", info("/status/nodeInfo/osImage")).wide(),
        text("Kernel-Version", info("/status/nodeInfo/kernelVersion")).wide(),
        text(
            "Container-Runtime",
            info("/status/nodeInfo/containerRuntimeVersion"),
        )
        .wide(),
    ]
}

fn service() -> Vec<Column> {
    vec![
        text("Type", |object| text_at(object, "/spec/type")),
        text("Cluster-IP", service_address),
        text("External-IP", service_external),
        text("Port(s)", service_ports),
        the_age(),
        text("Selector", |object| labels_of(object, "/spec/selector")).wide(),
    ]
}

fn volume() -> Vec<Column> {
    vec![
        text("Capacity", |object| {
            or(object, "/spec/capacity/storage", "0")
        }),
        text("Access Modes", |object| {
            access_modes(object, "/spec/accessModes")
        }),
        text("Reclaim Policy", |object| {
            text_at(object, "/spec/persistentVolumeReclaimPolicy")
        }),
        text("Status", phase),
        text("Claim", claim),
        text("StorageClass", |object| {
            text_at(object, "/spec/storageClassName")
        }),
        text("VolumeAttributesClass", |object| {
            or(object, "/spec/volumeAttributesClassName", "<unset>")
        }),
        text("Reason", |object| text_at(object, "/status/reason")),
        the_age(),
        text("VolumeMode", |object| {
            or(object, "/spec/volumeMode", "<unset>")
        })
        .wide(),
    ]
}

fn volume_claim() -> Vec<Column> {
    let bound = |object: &Value| !crate::meta::text(object, "/spec/volumeName").is_empty();
    vec![
        text("Status", phase),
        text("Volume", |object| text_at(object, "/spec/volumeName")),
        text("Capacity", move |object| {
            if bound(object) {
                or(object, "/status/capacity/storage", "0")
            } else {
                json!("")
            }
        }),
        text("Access Modes", move |object| {
            if bound(object) {
                access_modes(object, "/status/accessModes")
            } else {
                json!("")
            }
        }),
        text("StorageClass", claim_class),
        text("VolumeAttributesClass", |object| {
            or(object, "/spec/volumeAttributesClassName", "<unset>")
        }),
        the_age(),
        text("VolumeMode", |object| {
            or(object, "/spec/volumeMode", "<unset>")
        })
        .wide(),
    ]
}

fn apps(kind: &str) -> Vec<Column> {
    let selector = match kind {
        "StatefulSet" => None,
        _ => Some("/spec/selector"),
    };
    let mut columns = match kind {
        "Deployment" => vec![
            text("Ready", ready_of),
            text("Up-to-date", |object| {
                number_at(object, "/status/updatedReplicas")
            }),
            text("Available", |object| {
                number_at(object, "/status/availableReplicas")
            }),
        ],
        "StatefulSet" => vec![text("Ready", ready_of)],
        "DaemonSet" => vec![
            number("Desired", "/status/desiredNumberScheduled"),
            number("Current", "/status/currentNumberScheduled"),
            number("Ready", "/status/numberReady"),
            number("Up-to-date", "/status/updatedNumberScheduled"),
            number("Available", "/status/numberAvailable"),
            text("Node Selector", |object| {
                labels_of(object, "/spec/template/spec/nodeSelector")
            }),
        ],
        _ => vec![
            number("Desired", "/spec/replicas"),
            number("Current", "/status/replicas"),
            number("Ready", "/status/readyReplicas"),
        ],
    };
    columns.push(the_age());
    columns.extend(workload(TEMPLATE, selector));
    columns
}

fn batch(kind: &str) -> Vec<Column> {
    if kind == "Job" {
        let mut columns = vec![
            text("Status", job_status),
            text("Completions", completions),
            column("Duration", "string", duration),
            the_age(),
        ];
        columns.extend(workload(TEMPLATE, Some("/spec/selector")));
        return columns;
    }
    let mut columns = vec![
        text("Schedule", |object| text_at(object, "/spec/schedule")),
        text("Timezone", |object| or(object, "/spec/timeZone", "<none>")),
        column("Suspend", "boolean", |object, _| {
            flag(object, "/spec/suspend")
        }),
        column("Active", "integer", |object, _| {
            count(object, "/status/active")
        }),
        column(
            "Last Schedule",
            "string",
            |object, now| match crate::meta::text(object, "/status/lastScheduleTime") {
                "" => json!("<none>"),
                time => super::since(now, time).into(),
            },
        ),
        the_age(),
    ];
    let template = "/spec/jobTemplate/spec/template/spec/containers";
    columns.extend(workload(template, Some("/spec/jobTemplate/spec/selector")));
    columns
}

/// The columns of smaller kinds; none for those that have just a creation time.
fn others(kind: &str) -> Option<Vec<Column>> {
    let mut columns = match kind {
        "HorizontalPodAutoscaler" => vec![
            text("Reference", |object| {
                let part = |name| crate::meta::text(object, name).to_owned();
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
        ],
        "PodDisruptionBudget" => vec![
            text("Min Available", |object| {
                int_or(object, "/spec/minAvailable", "N/A")
            }),
            text("Max Unavailable", |object| {
                int_or(object, "/spec/maxUnavailable", "N/A")
            }),
            number("Allowed Disruptions", "/status/disruptionsAllowed"),
        ],
        "Lease" => vec![text("Holder", lease_holder)],
        "RoleBinding" | "ClusterRoleBinding" => {
            return Some(vec![
                text("Role", bindings),
                the_age(),
                text("Users", |object| subjects(object, "User")).wide(),
                text("Groups", |object| subjects(object, "Group")).wide(),
                text("ServiceAccounts", |object| {
                    subjects(object, "ServiceAccount")
                })
                .wide(),
            ]);
        }
        "Ingress" => vec![
            text("Class", |object| {
                or(object, "/spec/ingressClassName", "<none>")
            }),
            text("Hosts", ingress_hosts),
            text("Address", ingress_address),
            text("Ports", ingress_tls),
        ],
        "IngressClass" => vec![
            text("Controller", |object| text_at(object, "/spec/controller")),
            text("Parameters", class_parameters),
        ],
        "NetworkPolicy" => vec![text("Pod-Selector", |object| {
            label_selector(object, "/spec/podSelector")
        })],
        "EndpointSlice" => vec![
            text("AddressType", |object| text_at(object, "/addressType")),
            text("Ports", slice_ports),
            text("Endpoints", slice_endpoints),
        ],
        "PriorityClass" => {
            return Some(vec![
                number("Value", "/value"),
                column("Global-Default", "boolean", |object, _| {
                    json!(object.get("globalDefault") == Some(&json!(true)))
                }),
                the_age(),
                text("PreemptionPolicy", |object| {
                    text_at(object, "/preemptionPolicy")
                }),
            ]);
        }
        "StorageClass" => {
            return Some(vec![
                text("Provisioner", |object| text_at(object, "/provisioner")),
                text("ReclaimPolicy", |object| {
                    or(object, "/reclaimPolicy", "Delete")
                }),
                text("VolumeBindingMode", |object| {
                    or(object, "/volumeBindingMode", "Immediate")
                }),
                text("AllowVolumeExpansion", |object| {
                    json!(object.get("allowVolumeExpansion") == Some(&json!(true)))
                }),
                the_age(),
            ]);
        }
        "RuntimeClass" => vec![text("Handler", |object| text_at(object, "/handler"))],
        "VolumeAttributesClass" => {
            vec![text("DriverName", |object| text_at(object, "/driverName"))]
        }
        "CSINode" => vec![column("Drivers", "integer", |object, _| {
            count(object, "/spec/drivers")
        })],
        "MutatingWebhookConfiguration" | "ValidatingWebhookConfiguration" => {
            vec![column("Webhooks", "integer", |object, _| {
                count(object, "/webhooks")
            })]
        }
        "ControllerRevision" => vec![
            text("Controller", super::kinds::controller),
            text("Revision", |object| number_at(object, "/revision")),
        ],
        "APIService" => vec![
            text("Service", |object| {
                or(object, "/spec/service/name", "Local")
            }),
            text("Available", super::kinds::available),
        ],
        "DeviceClass" | "ResourceClaimTemplate" => vec![],
        _ => return None,
    };
    columns.push(the_age());
    Some(columns)
}
