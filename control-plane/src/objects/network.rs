//! The network of services.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

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
    /// The address of the service `kubernetes`.
    pub(crate) fn first(self) -> Ipv4Addr {
        Ipv4Addr::from(u32::from(self.base).saturating_add(1))
    }

    /// The lowest free address.
    pub(super) fn free(self, used: &BTreeSet<Ipv4Addr>) -> Option<Ipv4Addr> {
        let base = u32::from(self.base);
        let size = 1_u32.checked_shl(32 - u32::from(self.prefix.clamp(2, 30)))?;
        let addresses = (RESERVED.min(size / 2)..size - 1).map(|offset| base.checked_add(offset));
        let mut addresses = addresses.flatten().map(Ipv4Addr::from);
        addresses.find(|address| !used.contains(address))
    }

    pub(super) fn contains(self, address: Ipv4Addr) -> bool {
        let bits = 32 - u32::from(self.prefix.clamp(2, 30));
        u32::from(address) >> bits == u32::from(self.base) >> bits
    }
}
