//! The network: the groups `networking.k8s.io` and `discovery.k8s.io`.

use serde_json::json;

use crate::kinds::{Builtin, Traits};
use crate::schema::builtin::defaults::service as defaults;
use crate::schema::builtin::validate::{Rules, network as validate};
use crate::tables::columns::{self, cluster as cluster_columns};

const GROUP: &str = "networking.k8s.io";

const GENERATION: Traits = Traits {
    generation: true,
    ..Traits::NONE
};

/// The group `networking.k8s.io`, in discovery's order.
pub(super) const NETWORKING: &[Builtin] = &[
    Builtin {
        traits: GENERATION,
        defaults: defaults::ingress_class,
        ..Builtin::new(GROUP, "IngressClass", cluster_columns::ingress_class)
    },
    Builtin {
        traits: GENERATION,
        defaults: defaults::ingress,
        initial_status: |_| json!({"loadBalancer": {}}),
        validation: Some(Rules {
            check: validate::ingress,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "Ingress", cluster_columns::ingress)
    },
    Builtin::new(GROUP, "IPAddress", columns::created),
    Builtin {
        traits: GENERATION,
        defaults: defaults::network_policy,
        validation: Some(Rules {
            check: validate::network_policy,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "NetworkPolicy", cluster_columns::network_policy)
    },
    Builtin::new(GROUP, "ServiceCIDR", columns::created),
];

/// The group `discovery.k8s.io`.
pub(super) const DISCOVERY: &[Builtin] = &[Builtin {
    traits: GENERATION,
    defaults: defaults::endpoint_slice,
    validation: Some(Rules {
        check: validate::endpoint_slice,
        check_update: validate::endpoint_slice_update,
        ..Rules::METADATA
    }),
    counted_metadata: &["/metadata/labels"],
    ..Builtin::new(
        "discovery.k8s.io",
        "EndpointSlice",
        cluster_columns::endpoint_slice,
    )
}];
