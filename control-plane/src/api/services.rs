//! Cluster IPs.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use serde_json::{Value, json};

use super::call::Call;
use super::status::{ApiError, Cause};
use crate::kinds::table;
use crate::meta::{object_in, strings, text};
use crate::store::Page;

/// The network that cluster IPs are taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServiceNetwork {
    /// Its first address.
    pub base: Ipv4Addr,
    /// The length of its prefix, in bits; 30 at most.
    pub prefix: u8,
}

impl Default for ServiceNetwork {
    /// 10.96.0.0/16
    fn default() -> Self {
        Self {
            base: Ipv4Addr::new(10, 96, 0, 0),
            prefix: 16,
        }
    }
}

/// The first address is that of the service `kubernetes`, the next few are for fixed ones.
const RESERVED: u32 = 16;

impl ServiceNetwork {
    /// The lowest free address.
    fn free(self, used: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let base = u32::from(self.base);
        let size = 1_u32.checked_shl(32 - u32::from(self.prefix.clamp(2, 30)))?;
        let addresses = (RESERVED.min(size / 2)..size - 1).map(|offset| base.checked_add(offset));
        let mut addresses = addresses.flatten().map(Ipv4Addr::from);
        addresses.find(|address| !used.contains(address))
    }

    fn contains(self, address: Ipv4Addr) -> bool {
        let bits = 32 - u32::from(self.prefix.clamp(2, 30));
        u32::from(address) >> bits == u32::from(self.base) >> bits
    }
}

/// Gives a service the address that it needs, or keeps the one that it has.
pub(crate) fn allocate(
    call: &Call,
    service: &mut Value,
    old: Option<&Value>,
) -> Result<(), ApiError> {
    if !call.resource.is("", "Service") || !call.path.subresource.is_empty() {
        return Ok(());
    }
    let kind = text(service, "/spec/type").to_owned();
    let name = text(service, "/metadata/name").to_owned();
    let spec = object_in(service, "spec");
    if kind == "ExternalName" {
        for field in [
            "clusterIP",
            "clusterIPs",
            "ipFamilies",
            "ipFamilyPolicy",
            "internalTrafficPolicy",
        ] {
            spec.remove(field);
        }
        return Ok(());
    }
    let given = spec
        .get("clusterIP")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let before = old.map_or("", |old| text(old, "/spec/clusterIP"));
    let address = match (given, before) {
        ("", "") => {
            let used = used(call);
            let free = call.plane.options.service_network.free(&used);
            let free = free.ok_or_else(|| {
                ApiError::internal("failed to allocate a serviceIP: range is full")
            })?;
            free.to_string()
        }
        ("", before) => before.to_owned(),
        (given, before) => {
            if given != "None" && given != before {
                check(call, given, &name)?;
            }
            given.to_owned()
        }
    };
    let spec = object_in(service, "spec");
    spec.insert("clusterIP".to_owned(), address.clone().into());
    spec.entry("clusterIPs").or_insert_with(|| json!([address]));
    spec.entry("ipFamilies").or_insert_with(|| json!(["IPv4"]));
    spec.entry("ipFamilyPolicy")
        .or_insert_with(|| json!("SingleStack"));
    spec.entry("internalTrafficPolicy")
        .or_insert_with(|| json!("Cluster"));
    Ok(())
}

/// The addresses that services have.
fn used(call: &Call) -> BTreeSet<Ipv4Addr> {
    let services = call
        .plane
        .store
        .list(&table("", "services"), None, &Page::default());
    let services = services.map(|list| list.items).unwrap_or_default();
    let addresses = services.iter().flat_map(|service| {
        let mut addresses = strings(service.value(), "/spec/clusterIPs");
        addresses.push(text(service.value(), "/spec/clusterIP").to_owned());
        addresses
    });
    addresses
        .filter_map(|address| address.parse().ok())
        .collect()
}

fn check(call: &Call, given: &str, name: &str) -> Result<(), ApiError> {
    let refuse = |why: &str| {
        let given = json!([given]).to_string();
        let cause = Cause::invalid("spec.clusterIPs", &given, why);
        Err(ApiError::invalid(&call.resource, name, &[cause]))
    };
    let network = call.plane.options.service_network;
    let Ok(address) = given.parse::<Ipv4Addr>() else {
        return refuse("must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)");
    };
    if !network.contains(address) {
        let range = format!("{}/{}", network.base, network.prefix);
        return refuse(&format!(
            "failed to allocate IP {given}: the provided IP ({given}) is not in the valid range. The range of valid IPs is {range}"
        ));
    }
    if used(call).contains(&address) {
        return refuse(&format!(
            "failed to allocate IP {given}: provided IP is already allocated"
        ));
    }
    Ok(())
}
