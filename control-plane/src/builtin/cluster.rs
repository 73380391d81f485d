//! What makes a cluster, and what extends its API server.

use super::core::EVENT_RULES;
use crate::kinds::{Builtin, Conversion, Selectable, Traits};
use crate::schema::builtin::defaults::cluster as defaults;
use crate::schema::builtin::status;
use crate::schema::builtin::validate::{Rules, cluster as validate, definition};
use crate::tables::columns::{self, cluster as cluster_columns, core as core_columns};

const CONDITIONAL: Traits = Traits {
    conditional_update: true,
    ..Traits::NONE
};
const GENERATION: Traits = Traits {
    generation: true,
    ..Traits::NONE
};
/// What configures the API server.
const CONFIGURATION: Traits = Traits {
    generation: true,
    conditional_update: true,
    ..Traits::NONE
};

/// The group `apiregistration.k8s.io`.
pub(super) const API_REGISTRATION: &[Builtin] = &[Builtin {
    traits: CONDITIONAL,
    ..Builtin::new(
        "apiregistration.k8s.io",
        "APIService",
        cluster_columns::api_service,
    )
}];

/// The group `events.k8s.io`, whose events are stored as those of the core group.
pub(super) const EVENTS: &[Builtin] = &[Builtin {
    versions: &[("v1", Conversion::Event)],
    traits: Traits {
        create_on_update: true,
        ..Traits::NONE
    },
    validation: Some(EVENT_RULES),
    selectable: &[
        Selectable::new("regarding.kind", "/involvedObject/kind"),
        Selectable::new("regarding.namespace", "/involvedObject/namespace"),
        Selectable::new("regarding.name", "/involvedObject/name"),
        Selectable::new("regarding.uid", "/involvedObject/uid"),
        Selectable::new("regarding.apiVersion", "/involvedObject/apiVersion"),
        Selectable::new(
            "regarding.resourceVersion",
            "/involvedObject/resourceVersion",
        ),
        Selectable::new("regarding.fieldPath", "/involvedObject/fieldPath"),
        Selectable::new("reason", "/reason"),
        Selectable::new("reportingController", "/reportingComponent"),
        Selectable::new("type", "/type"),
    ],
    ..Builtin::new("events.k8s.io", "Event", core_columns::event)
}];

const ADMISSION_GROUP: &str = "admissionregistration.k8s.io";

/// The group `admissionregistration.k8s.io`, in discovery's order.
pub(super) const ADMISSION: &[Builtin] = &[
    Builtin {
        traits: CONFIGURATION,
        ..Builtin::new(
            ADMISSION_GROUP,
            "MutatingWebhookConfiguration",
            cluster_columns::webhook_configuration,
        )
    },
    Builtin {
        traits: CONFIGURATION,
        ..Builtin::new(
            ADMISSION_GROUP,
            "ValidatingAdmissionPolicy",
            columns::created,
        )
    },
    Builtin {
        traits: CONFIGURATION,
        ..Builtin::new(
            ADMISSION_GROUP,
            "ValidatingAdmissionPolicyBinding",
            columns::created,
        )
    },
    Builtin {
        traits: CONFIGURATION,
        ..Builtin::new(
            ADMISSION_GROUP,
            "ValidatingWebhookConfiguration",
            cluster_columns::webhook_configuration,
        )
    },
];

/// The group `apiextensions.k8s.io`.
pub(super) const API_EXTENSIONS: &[Builtin] = &[Builtin {
    traits: CONFIGURATION,
    without_message: Some("its schemas have forms in JSON that differ from those in protobuf"),
    defaults: defaults::custom_resource,
    initial_status: status::definition,
    validation: Some(Rules {
        // The rules know the name by themselves.
        finalizers: false,
        check: definition::definition,
        check_update: definition::definition_update,
        check_unchanged: Some(definition::definition_again),
        ..Rules::METADATA
    }),
    ..Builtin::new(
        "apiextensions.k8s.io",
        "CustomResourceDefinition",
        columns::created,
    )
}];

/// The group `scheduling.k8s.io`.
pub(super) const SCHEDULING: &[Builtin] = &[Builtin {
    traits: GENERATION,
    defaults: defaults::priority_class,
    validation: Some(Rules {
        check: validate::priority_class,
        check_update: validate::priority_class_update,
        ..Rules::METADATA
    }),
    ..Builtin::new(
        "scheduling.k8s.io",
        "PriorityClass",
        cluster_columns::priority_class,
    )
}];

/// The group `coordination.k8s.io`.
pub(super) const COORDINATION: &[Builtin] = &[Builtin {
    traits: Traits {
        create_on_update: true,
        conditional_update: true,
        ..Traits::NONE
    },
    validation: Some(Rules {
        finalizers: false,
        check: validate::lease,
        ..Rules::METADATA
    }),
    ..Builtin::new("coordination.k8s.io", "Lease", cluster_columns::lease)
}];

/// The group `node.k8s.io`.
pub(super) const NODE: &[Builtin] = &[Builtin {
    traits: Traits {
        create_on_update: true,
        conditional_update: true,
        ..Traits::NONE
    },
    ..Builtin::new(
        "node.k8s.io",
        "RuntimeClass",
        cluster_columns::runtime_class,
    )
}];

const DEVICE: Traits = Traits {
    returns_deleted: true,
    ..Traits::NONE
};
const COUNTED_DEVICE: Traits = Traits {
    generation: true,
    ..DEVICE
};
const RESOURCE_GROUP: &str = "resource.k8s.io";

/// The group `resource.k8s.io`, in discovery's order. Nothing here reads its kinds, so their types
/// are not compiled in: of their fields, only the metadata is known and checked.
pub(super) const RESOURCE: &[Builtin] = &[
    Builtin {
        traits: COUNTED_DEVICE,
        ..Builtin::new(RESOURCE_GROUP, "DeviceClass", columns::aged)
    },
    Builtin {
        traits: DEVICE,
        ..Builtin::new(RESOURCE_GROUP, "ResourceClaim", columns::created)
    },
    Builtin {
        traits: DEVICE,
        ..Builtin::new(RESOURCE_GROUP, "ResourceClaimTemplate", columns::aged)
    },
    Builtin {
        traits: COUNTED_DEVICE,
        selectable: &[
            Selectable::new("spec.nodeName", "/spec/nodeName"),
            Selectable::new("spec.driver", "/spec/driver"),
        ],
        ..Builtin::new(RESOURCE_GROUP, "ResourceSlice", columns::created)
    },
];

const FLOW_GROUP: &str = "flowcontrol.apiserver.k8s.io";

/// The group `flowcontrol.apiserver.k8s.io`, in discovery's order. Like those of [`RESOURCE`], its
/// types are not compiled in.
pub(super) const FLOW_CONTROL: &[Builtin] = &[
    Builtin {
        traits: GENERATION,
        ..Builtin::new(FLOW_GROUP, "FlowSchema", columns::created)
    },
    Builtin {
        traits: GENERATION,
        ..Builtin::new(FLOW_GROUP, "PriorityLevelConfiguration", columns::created)
    },
];
