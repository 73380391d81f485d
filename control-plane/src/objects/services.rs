//! Cluster IPs.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Map, Value, json};

use super::network::ServiceNetwork;
use super::write::Complete;
use super::{Cause, Error, Objects, RequestScope, node_ports};
use crate::kinds::table;
use crate::meta::{object_in, strings, text};
use crate::store::Lookup;

/// Fills in what a service does not say, but for what must be its own: see [`allocation`].
pub(super) fn complete(scope: &RequestScope<'_>, service: &mut Value) {
    if !scope.resource.is("", "Service") || !scope.subresource.is_empty() {
        return;
    }
    if text(service, "/spec/type") == "ExternalName" {
        let spec = object_in(service, "spec");
        for field in ["clusterIP", "internalTrafficPolicy"] {
            spec.remove(field);
        }
        return;
    }
    if !text(service, "/spec/externalName").is_empty() {
        let warning = "spec.externalName is ignored when spec.type is not \"ExternalName\"";
        scope.warnings.add(warning);
    }
    // A headless service without a selector may have addresses of any family.
    let headless = text(service, "/spec/clusterIP") == "None";
    let (policy, families) = if headless && selects_nothing(service) {
        ("RequireDualStack", json!(["IPv4", "IPv6"]))
    } else {
        ("SingleStack", json!(["IPv4"]))
    };
    let spec = object_in(service, "spec");
    spec.entry("internalTrafficPolicy")
        .or_insert_with(|| json!("Cluster"));
    spec.entry("ipFamilies").or_insert(families);
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| json!(policy));
}

/// Gives a service the address and the ports that it needs, when it is its turn to be written: so
/// that no two services get the same. None for all else.
pub(super) fn allocation(
    objects: &Objects,
    scope: &RequestScope<'_>,
    service: &Value,
    old: Option<&Value>,
) -> Option<Complete> {
    let is_service = scope.resource.is("", "Service") && scope.subresource.is_empty();
    if !is_service || text(service, "/spec/type") == "ExternalName" {
        return None;
    }
    let network = objects.service_network;
    let old = old.cloned();
    Some(Box::new(move |others: &dyn Lookup, service: &mut Value| {
        let services = others.all(&table("", "services"));
        let services: Vec<&Value> = services.iter().map(|service| service.value()).collect();
        allocate_address(network, &services, service, old.as_ref())?;
        node_ports::allocate(&services, service, old.as_ref())
    }))
}

fn allocate_address(
    network: ServiceNetwork,
    services: &[&Value],
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), Error> {
    let given = text(service, "/spec/clusterIP").to_owned();
    let before = old.map_or("", |old| text(old, "/spec/clusterIP"));
    let address = match given.as_str() {
        "" => {
            let free = network.free(&used(services));
            let full =
                || Error::Internal("failed to allocate a serviceIP: range is full".to_owned());
            free.ok_or_else(full)?.to_string()
        }
        given => {
            if given != "None" && given != before {
                check(network, services, given, text(service, "/metadata/name"))?;
            }
            given.to_owned()
        }
    };
    let spec = object_in(service, "spec");
    spec.insert("clusterIP".to_owned(), address.clone().into());
    spec.entry("clusterIPs").or_insert_with(|| json!([address]));
    Ok(())
}

fn selects_nothing(service: &Value) -> bool {
    crate::meta::fields(service, "/spec/selector").is_none_or(Map::is_empty)
}

/// What a service keeps when it is changed: its addresses and ports, unless it becomes of a type
/// that has none.
pub(crate) fn prepare_update(scope: &RequestScope<'_>, new: &mut Value, old: &Value) {
    if !scope.resource.is("", "Service") || !scope.subresource.is_empty() {
        return;
    }
    let has_address = |service: &Value| text(service, "/spec/type") != "ExternalName";
    let is_public =
        |service: &Value| matches!(text(service, "/spec/type"), "NodePort" | "LoadBalancer");
    let is_balanced = |service: &Value| text(service, "/spec/type") == "LoadBalancer";
    if has_address(old) && !has_address(new) {
        drop_unchanged(
            new,
            old,
            &["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"],
        );
    }
    if is_public(old) && !is_public(new) {
        drop_unchanged(new, old, &["externalTrafficPolicy"]);
        node_ports::drop(new, old);
    }
    if is_balanced(old) && !is_balanced(new) {
        drop_unchanged(
            new,
            old,
            &["allocateLoadBalancerNodePorts", "loadBalancerClass"],
        );
    }
    if has_address(old) && has_address(new) {
        keep_address(new, old);
    }
    node_ports::keep(new, old);
}

fn drop_unchanged(new: &mut Value, old: &Value, fields: &[&str]) {
    let old = old.get("spec").unwrap_or(&Value::Null);
    let spec = object_in(new, "spec");
    for field in fields {
        if spec.get(*field) == old.get(*field) {
            spec.remove(*field);
        }
    }
}

/// Who says nothing of the address keeps it; the first of several is the one.
fn keep_address(new: &mut Value, old: &Value) {
    let old = old.get("spec").unwrap_or(&Value::Null);
    let spec = object_in(new, "spec");
    let is_unset = |spec: &Map<String, Value>, field: &str| {
        spec.get(field)
            .is_none_or(|value| value == "" || value.is_null())
    };
    if is_unset(spec, "clusterIP") {
        crate::meta::put(spec, "clusterIP", old.get("clusterIP").cloned());
    }
    let changed = spec.get("clusterIP") != old.get("clusterIP");
    if changed && spec.get("clusterIPs") == old.get("clusterIPs") {
        let address = spec.get("clusterIP").cloned();
        spec.insert("clusterIPs".to_owned(), address.into_iter().collect());
    }
    for field in ["clusterIPs", "ipFamilies", "ipFamilyPolicy"] {
        if is_unset(spec, field) && !changed {
            crate::meta::put(spec, field, old.get(field).cloned());
        }
    }
}

/// The addresses that services have.
fn used(services: &[&Value]) -> BTreeSet<Ipv4Addr> {
    let addresses = services.iter().flat_map(|service| {
        let mut addresses = strings(service, "/spec/clusterIPs");
        addresses.push(text(service, "/spec/clusterIP").to_owned());
        addresses
    });
    addresses
        .filter_map(|address| address.parse().ok())
        .collect()
}

fn check(
    network: ServiceNetwork,
    services: &[&Value],
    given: &str,
    name: &str,
) -> Result<(), Error> {
    let refuse = |why: &str| {
        let given = json!([given]).to_string();
        let cause = Cause::invalid("spec.clusterIPs", &given, why);
        Err(Error::invalid_in("", "Service", name, &[cause]))
    };
    let Ok(address) = given.parse::<Ipv4Addr>() else {
        let why = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";
        let cause = Cause::invalid("spec.clusterIPs[0]", &format!("{given:?}"), why);
        return Err(Error::invalid_in("", "Service", name, &[cause]));
    };
    if !network.contains(address) {
        return refuse(&format!(
            "failed to allocate IP {given}: the provided network does not match the current range"
        ));
    }
    if used(services).contains(&address) {
        return refuse(&format!(
            "failed to allocate IP {given}: provided IP is already allocated"
        ));
    }
    Ok(())
}
