//! Storage: the group `storage.k8s.io`.

use crate::kinds::{Builtin, Traits};
use crate::schema::builtin::defaults::cluster as defaults;
use crate::schema::builtin::validate::{Rules, cluster as validate};
use crate::tables::columns::{self, cluster as cluster_columns};

const GROUP: &str = "storage.k8s.io";

const RETURNED: Traits = Traits {
    returns_deleted: true,
    ..Traits::NONE
};
const CONDITIONAL: Traits = Traits {
    conditional_update: true,
    ..RETURNED
};

/// The group `storage.k8s.io`, in discovery's order.
pub(super) const STORAGE: &[Builtin] = &[
    Builtin {
        traits: CONDITIONAL,
        defaults: defaults::csi_driver,
        ..Builtin::new(GROUP, "CSIDriver", columns::created)
    },
    Builtin {
        traits: CONDITIONAL,
        ..Builtin::new(GROUP, "CSINode", cluster_columns::csi_node)
    },
    Builtin {
        traits: Traits {
            conditional_update: true,
            ..Traits::NONE
        },
        ..Builtin::new(GROUP, "CSIStorageCapacity", columns::created)
    },
    Builtin {
        traits: RETURNED,
        defaults: defaults::storage_class,
        validation: Some(Rules {
            check: validate::storage_class,
            check_update: validate::storage_class_update,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "StorageClass", cluster_columns::storage_class)
    },
    Builtin {
        traits: CONDITIONAL,
        ..Builtin::new(GROUP, "VolumeAttachment", columns::created)
    },
    Builtin {
        traits: RETURNED,
        ..Builtin::new(
            GROUP,
            "VolumeAttributesClass",
            cluster_columns::volume_attributes_class,
        )
    },
];
