//! The columns of what a cluster is made of: its network, its storage, its rights and its servers.

use serde_json::{Value, json};

use super::{column, number, text, text_of, the_age, the_name};
use crate::kinds::PrinterColumn;
use crate::tables::cells::{count, label_selector, or};
use crate::tables::kinds::{available, bindings, lease_holder, storage_class_name, subjects};
use crate::tables::network::{
    class_parameters, ingress_address, ingress_hosts, ingress_tls, slice_endpoints, slice_ports,
};

/// A column that counts the items at a pointer.
fn counted(name: &'static str, pointer: &'static str) -> PrinterColumn {
    column(name, "integer", move |object, _| count(object, pointer))
}

/// Whether a field is true.
fn is_true(object: &Value, field: &str) -> Value {
    json!(object.get(field) == Some(&json!(true)))
}

pub(crate) fn lease() -> Vec<PrinterColumn> {
    vec![the_name(), text("Holder", lease_holder), the_age()]
}

/// Of role bindings and cluster role bindings.
pub(crate) fn role_binding() -> Vec<PrinterColumn> {
    let subjects_of = |kind| move |object: &Value| subjects(object, kind);
    vec![
        the_name(),
        text("Role", bindings),
        the_age(),
        text("Users", subjects_of("User")).wide(),
        text("Groups", subjects_of("Group")).wide(),
        text("ServiceAccounts", subjects_of("ServiceAccount")).wide(),
    ]
}

pub(crate) fn ingress() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Class", |object| {
            or(object, "/spec/ingressClassName", "<none>")
        }),
        text("Hosts", ingress_hosts),
        text("Address", ingress_address),
        text("Ports", ingress_tls),
        the_age(),
    ]
}

pub(crate) fn ingress_class() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text_of("Controller", "/spec/controller"),
        text("Parameters", class_parameters),
        the_age(),
    ]
}

pub(crate) fn network_policy() -> Vec<PrinterColumn> {
    let selector = |object: &Value| label_selector(object, "/spec/podSelector");
    vec![the_name(), text("Pod-Selector", selector), the_age()]
}

pub(crate) fn endpoint_slice() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text_of("AddressType", "/addressType"),
        text("Ports", slice_ports),
        text("Endpoints", slice_endpoints),
        the_age(),
    ]
}

pub(crate) fn priority_class() -> Vec<PrinterColumn> {
    let is_default = |object: &Value, _| is_true(object, "globalDefault");
    vec![
        the_name(),
        number("Value", "/value"),
        column("Global-Default", "boolean", is_default),
        the_age(),
        text_of("PreemptionPolicy", "/preemptionPolicy"),
    ]
}

pub(crate) fn storage_class() -> Vec<PrinterColumn> {
    vec![
        text("Name", storage_class_name),
        text_of("Provisioner", "/provisioner"),
        text("ReclaimPolicy", |object| {
            or(object, "/reclaimPolicy", "Delete")
        }),
        text("VolumeBindingMode", |object| {
            or(object, "/volumeBindingMode", "Immediate")
        }),
        text("AllowVolumeExpansion", |object| {
            is_true(object, "allowVolumeExpansion")
        }),
        the_age(),
    ]
}

pub(crate) fn volume_attributes_class() -> Vec<PrinterColumn> {
    vec![the_name(), text_of("DriverName", "/driverName"), the_age()]
}

pub(crate) fn csi_node() -> Vec<PrinterColumn> {
    vec![the_name(), counted("Drivers", "/spec/drivers"), the_age()]
}

pub(crate) fn runtime_class() -> Vec<PrinterColumn> {
    vec![the_name(), text_of("Handler", "/handler"), the_age()]
}

/// Of configurations of mutating and of validating webhooks.
pub(crate) fn webhook_configuration() -> Vec<PrinterColumn> {
    vec![the_name(), counted("Webhooks", "/webhooks"), the_age()]
}

pub(crate) fn api_service() -> Vec<PrinterColumn> {
    vec![
        the_name(),
        text("Service", |object| {
            or(object, "/spec/service/name", "Local")
        }),
        text("Available", available),
        the_age(),
    ]
}
