//! Ports that services have on every node.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Cause, Error};
use crate::meta::{items, number, object_in, text};

const FIRST: i64 = 30_000;
const LAST: i64 = 32_767;

/// Gives the ports of a service that nodes open the numbers that they lack: the lowest that are
/// free, so that a run can be repeated.
pub(super) fn allocate(
    services: &[&Value],
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), Error> {
    let wants = wants(service);
    let has_own = |service: &Value| {
        items(service, "/spec/ports")
            .iter()
            .any(|port| of(port) != 0)
    };
    if !wants && !has_own(service) {
        return Ok(());
    }
    let own: BTreeSet<i64> = old.into_iter().flat_map(numbers).collect();
    let mut used = used(services);
    check(service, &used, &own)?;
    used.extend(numbers(service));
    if !wants {
        return Ok(());
    }
    for port in ports(service) {
        if of(port) != 0 {
            continue;
        }
        let free = (FIRST..=LAST).find(|number| !used.contains(number));
        let free = free.ok_or_else(|| {
            Error::Internal("failed to allocate a nodePort: range is full".to_owned())
        })?;
        used.insert(free);
        set(port, free);
    }
    Ok(())
}

/// Whether its ports are to have numbers.
fn wants(service: &Value) -> bool {
    match text(service, "/spec/type") {
        "NodePort" => true,
        "LoadBalancer" => {
            service.pointer("/spec/allocateLoadBalancerNodePorts") != Some(&Value::Bool(false))
        }
        _ => false,
    }
}

/// A number that a client asks for is in the range, and free.
fn check(service: &Value, used: &BTreeSet<i64>, own: &BTreeSet<i64>) -> Result<(), Error> {
    for (index, port) in items(service, "/spec/ports").iter().enumerate() {
        let wanted = of(port);
        let why = if wanted == 0 || own.contains(&wanted) {
            continue;
        } else if !(FIRST..=LAST).contains(&wanted) {
            format!(
                "provided port is not in the valid range. The range of valid ports is {FIRST}-{LAST}"
            )
        } else if used.contains(&wanted) {
            "provided port is already allocated".to_owned()
        } else {
            continue;
        };
        let field = format!("spec.ports[{index}].nodePort");
        let cause = Cause::invalid(&field, &wanted.to_string(), &why);
        let name = text(service, "/metadata/name");
        return Err(Error::invalid_in("", "Service", name, &[cause]));
    }
    Ok(())
}

/// The numbers that services have.
fn used(services: &[&Value]) -> BTreeSet<i64> {
    services.iter().copied().flat_map(numbers).collect()
}

fn numbers(service: &Value) -> impl Iterator<Item = i64> {
    let ports = items(service, "/spec/ports").iter();
    ports.map(of).filter(|number| *number != 0)
}

fn of(port: &Value) -> i64 {
    number(port, "/nodePort").unwrap_or(0)
}

fn set(port: &mut Value, node_port: i64) {
    if let Some(fields) = port.as_object_mut() {
        fields.insert("nodePort".to_owned(), node_port.into());
    }
}

fn ports(service: &mut Value) -> &mut [Value] {
    let ports = object_in(service, "spec").get_mut("ports");
    ports
        .and_then(Value::as_array_mut)
        .map_or(&mut [], Vec::as_mut_slice)
}

/// Ports that are named as before keep their numbers, where they are still to have any.
pub(super) fn keep(new: &mut Value, old: &Value) {
    if !wants(old) || !wants(new) {
        return;
    }
    let mut known: Vec<_> = items(old, "/spec/ports")
        .iter()
        .map(|port| (text(port, "/name"), of(port)))
        .collect();
    let taken: BTreeSet<i64> = numbers(new).collect();
    known.retain(|(_, number)| !taken.contains(number));
    for port in ports(new) {
        if of(port) != 0 {
            continue;
        }
        let name = text(port, "/name");
        if let Some(found) = known.iter().position(|(known, _)| *known == name) {
            let (_, number) = known.remove(found);
            if number != 0 {
                set(port, number);
            }
        }
    }
}

/// Takes the numbers away, unless the client has chosen others.
pub(super) fn drop(new: &mut Value, old: &Value) {
    if numbers(new).ne(numbers(old)) {
        return;
    }
    for port in ports(new) {
        if let Some(fields) = port.as_object_mut() {
            fields.remove("nodePort");
        }
    }
}
