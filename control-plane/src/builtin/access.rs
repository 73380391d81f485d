//! Who may do what: the groups of authentication, authorization, certificates and roles.

use crate::kinds::{Builtin, Selectable, Traits};
use crate::schema::builtin::defaults::cluster as defaults;
use crate::schema::builtin::status;
use crate::schema::builtin::validate::{Rules, rbac};
use crate::schema::names::{self, NameRule};
use crate::tables::columns::{self, cluster as cluster_columns};

const fn review(group: &'static str, kind: &'static str) -> Builtin {
    Builtin::answered(group, kind, columns::created)
}

/// The group `authentication.k8s.io`, in discovery's order.
pub(super) const AUTHENTICATION: &[Builtin] = &[
    review("authentication.k8s.io", "SelfSubjectReview"),
    review("authentication.k8s.io", "TokenReview"),
];

/// The group `authorization.k8s.io`, in discovery's order.
pub(super) const AUTHORIZATION: &[Builtin] = &[
    review("authorization.k8s.io", "LocalSubjectAccessReview"),
    review("authorization.k8s.io", "SelfSubjectAccessReview"),
    review("authorization.k8s.io", "SelfSubjectRulesReview"),
    review("authorization.k8s.io", "SubjectAccessReview"),
];

/// The group `certificates.k8s.io`.
pub(super) const CERTIFICATES: &[Builtin] = &[Builtin {
    restore: Some(status::restore_signing_request),
    selectable: &[Selectable::new("spec.signerName", "/spec/signerName")],
    ..Builtin::new(
        "certificates.k8s.io",
        "CertificateSigningRequest",
        columns::created,
    )
}];

const GROUP: &str = "rbac.authorization.k8s.io";

/// Roles and bindings are created by updates, and their names are looser than those of other kinds.
const ROLE: Traits = Traits {
    create_on_update: true,
    ..Traits::NONE
};
const ROLE_NAME: NameRule = |name, _| names::path_segment(name, false);

/// The group `rbac.authorization.k8s.io`, in discovery's order.
pub(super) const RBAC: &[Builtin] = &[
    Builtin {
        traits: ROLE,
        defaults: defaults::role_binding,
        validation: Some(Rules {
            name: ROLE_NAME,
            check: rbac::cluster_role_binding,
            check_update: rbac::binding_update,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "ClusterRoleBinding", cluster_columns::role_binding)
    },
    Builtin {
        traits: ROLE,
        defaults: defaults::role,
        validation: Some(Rules {
            name: ROLE_NAME,
            check: rbac::cluster_role,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "ClusterRole", columns::created)
    },
    Builtin {
        traits: ROLE,
        defaults: defaults::role_binding,
        validation: Some(Rules {
            name: ROLE_NAME,
            check: rbac::role_binding,
            check_update: rbac::binding_update,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "RoleBinding", cluster_columns::role_binding)
    },
    Builtin {
        traits: ROLE,
        defaults: defaults::role,
        validation: Some(Rules {
            name: ROLE_NAME,
            check: rbac::role,
            ..Rules::METADATA
        }),
        ..Builtin::new(GROUP, "Role", columns::created)
    },
];
