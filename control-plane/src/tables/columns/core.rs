//! The columns of the kinds of the core group but workloads.

use serde_json::{Value, json};

use super::{column, text, text_of, the_age, the_name};
use crate::kinds::PrinterColumn;
use crate::tables::cells::{containers, count, data_count, images, labels_of, or, phase};
use crate::tables::kinds::{
    access_modes, claim, claim_class, event_age, event_count, event_first, event_source,
    event_target, events_message, node_address, node_roles, node_status, quota,
};
use crate::tables::network::{endpoints, service_address, service_external, service_ports};
use crate::tables::pods;

pub(crate) fn pod() -> Vec<PrinterColumn> {
    let none = |pointer| move |object: &Value| or(object, pointer, "<none>");
    vec![
        the_name(),
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

pub(crate) fn pod_template() -> Vec<PrinterColumn> {
    let template = "/template/spec/containers";
    vec![
        the_name(),
        text("Containers", move |object| containers(object, template)),
        text("Images", move |object| images(object, template)),
        text("Pod Labels", |object| {
            labels_of(object, "/template/metadata/labels")
        }),
    ]
}

pub(crate) fn event() -> Vec<PrinterColumn> {
    vec![
        column("Last Seen", "string", event_age),
        text_of("Type", "/type"),
        text_of("Reason", "/reason"),
        text("Object", event_target),
        text_of("Subobject", "/involvedObject/fieldPath").wide(),
        text("Source", event_source).wide(),
        text("Message", events_message),
        column("First Seen", "string", event_first).wide(),
        text("Count", event_count).wide(),
        the_name().wide(),
    ]
}

pub(crate) fn node() -> Vec<PrinterColumn> {
    let info = |pointer| move |object: &Value| or(object, pointer, "<unknown>");
    let runtime = "/status/nodeInfo/containerRuntimeVersion";
    vec![
        the_name(),
        text("Status", node_status),
        text("Roles", node_roles),
        the_age(),
        text_of("Version", "/status/nodeInfo/kubeletVersion"),
        text("Internal-IP", |object| node_address(object, "InternalIP")).wide(),
        text("External-IP", |object| node_address(object, "ExternalIP")).wide(),
        text("OS-Image", info("/status/nodeInfo/osImage")).wide(),
        text("Kernel-Version", info("/status/nodeInfo/kernelVersion")).wide(),
        text("Container-Runtime", info(runtime)).wide(),
    ]
}

pub(crate) fn service() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text_of("Type", "/spec/type"),
        text("Cluster-IP", service_address),
        text("External-IP", service_external),
        text("Port(s)", service_ports),
        the_age(),
        text("Selector", |object| labels_of(object, "/spec/selector")).wide(),
    ]
}

pub(crate) fn endpoints_of_service() -> Vec<PrinterColumn> {
    vec![the_name(), text("Endpoints", endpoints), the_age()]
}

/// A volume's class of attributes, and its mode.
fn volume_column(name: &'static str, pointer: &'static str) -> PrinterColumn {
    text(name, move |object| or(object, pointer, "<unset>"))
}

const ATTRIBUTES: (&str, &str) = ("VolumeAttributesClass", "/spec/volumeAttributesClassName");

pub(crate) fn volume() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Capacity", |object| {
            or(object, "/spec/capacity/storage", "0")
        }),
        text("Access Modes", |object| {
            access_modes(object, "/spec/accessModes")
        }),
        text_of("Reclaim Policy", "/spec/persistentVolumeReclaimPolicy"),
        text("Status", phase),
        text("Claim", claim),
        text_of("StorageClass", "/spec/storageClassName"),
        volume_column(ATTRIBUTES.0, ATTRIBUTES.1),
        text_of("Reason", "/status/reason"),
        the_age(),
        volume_column("VolumeMode", "/spec/volumeMode").wide(),
    ]
}

pub(crate) fn volume_claim() -> Vec<PrinterColumn> {
    let bound = |object: &Value| !crate::meta::text(object, "/spec/volumeName").is_empty();
    vec![
        the_name(),
        text("Status", phase),
        text_of("Volume", "/spec/volumeName"),
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
        volume_column(ATTRIBUTES.0, ATTRIBUTES.1),
        the_age(),
        volume_column("VolumeMode", "/spec/volumeMode").wide(),
    ]
}

pub(crate) fn config_map() -> Vec<PrinterColumn> {
    vec![the_name(), text("Data", data_count), the_age()]
}

pub(crate) fn secret() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text_of("Type", "/type"),
        text("Data", data_count),
        the_age(),
    ]
}

pub(crate) fn namespace() -> Vec<PrinterColumn> {
    vec![the_name(), text_of("Status", "/status/phase"), the_age()]
}

pub(crate) fn service_account() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Secrets", |object| count(object, "/secrets")),
        the_age(),
    ]
}

pub(crate) fn resource_quota() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Request", |object| quota(object, false)),
        text("Limit", |object| quota(object, true)),
        the_age(),
    ]
}
