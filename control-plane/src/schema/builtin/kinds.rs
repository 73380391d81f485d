//! The built-in kinds.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

use k8s_openapi::Resource;
use k8s_openapi::api::{
    admissionregistration, apps, authentication, authorization, autoscaling, batch, certificates,
    coordination, core, discovery, events, networking, node, policy, rbac, scheduling, storage,
};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions;
use k8s_openapi::kube_aggregator::pkg::apis::apiregistration;
use k8s_openapi::schemars::{JsonSchema, SchemaGenerator};

use super::convert::Converter;
use super::metrics;
use crate::schema::Schema;

struct Kind {
    group: &'static str,
    version: &'static str,
    name: &'static str,
    type_name: String,
}

/// The kinds, and the generated definitions of everything in them.
#[derive(Default)]
struct Generated {
    generator: SchemaGenerator,
    kinds: Vec<Kind>,
}

impl Generated {
    fn add<T: Resource + JsonSchema>(&mut self) {
        self.generator.subschema_for::<T>();
        self.kinds.push(Kind {
            group: T::GROUP,
            version: T::VERSION,
            name: T::KIND,
            type_name: T::schema_name().into_owned(),
        });
    }
}

#[derive(Default)]
struct Schemas {
    /// By group, version and kind.
    kinds: HashMap<(&'static str, &'static str, &'static str), Arc<Schema>>,
    /// By the names of the definitions.
    types: HashMap<String, Arc<Schema>>,
}

/// Made when first asked for, for it takes some milliseconds.
static SCHEMAS: LazyLock<Schemas> = LazyLock::new(Schemas::new);

impl Schemas {
    fn new() -> Self {
        let mut generated = all();
        let definitions = generated.generator.take_definitions(true);
        let mut converter = Converter::new(&definitions);
        let mut schemas = Self::default();
        for kind in generated.kinds {
            let schema = converter.definition(&kind.type_name);
            let key = (kind.group, kind.version, kind.name);
            schemas.kinds.insert(key, schema);
        }
        for name in definitions.keys() {
            schemas
                .types
                .insert(name.clone(), converter.definition(name));
        }
        for (kind, schema) in metrics::schemas(&schemas.types) {
            schemas
                .kinds
                .insert(("metrics.k8s.io", "v1beta1", kind), schema);
        }
        schemas
    }
}

pub(super) fn schema(group: &str, version: &str, kind: &str) -> Option<Arc<Schema>> {
    SCHEMAS.kinds.get(&(group, version, kind)).cloned()
}

pub(super) fn type_schema(name: &str) -> Option<Arc<Schema>> {
    SCHEMAS.types.get(name).cloned()
}

macro_rules! add {
    ($to:ident: $($group:ident::$version:ident::{$($kind:ident),*};)*) => {
        $($($to.add::<$group::$version::$kind>();)*)*
    };
}

fn all() -> Generated {
    let mut generated = Generated::default();
    add! { generated:
        core::v1::{
            Binding, ComponentStatus, ConfigMap, Endpoints, Event, LimitRange, Namespace, Node,
            PersistentVolume, PersistentVolumeClaim, Pod, PodTemplate, ReplicationController,
            ResourceQuota, Secret, Service, ServiceAccount
        };
        apps::v1::{ControllerRevision, DaemonSet, Deployment, ReplicaSet, StatefulSet};
        batch::v1::{CronJob, Job};
        autoscaling::v1::{HorizontalPodAutoscaler, Scale};
        autoscaling::v2::{HorizontalPodAutoscaler};
        policy::v1::{Eviction, PodDisruptionBudget};
        rbac::v1::{ClusterRole, ClusterRoleBinding, Role, RoleBinding};
        coordination::v1::{Lease};
        events::v1::{Event};
        discovery::v1::{EndpointSlice};
        networking::v1::{Ingress, IngressClass, IPAddress, NetworkPolicy, ServiceCIDR};
        storage::v1::{
            CSIDriver, CSINode, CSIStorageCapacity, StorageClass, VolumeAttachment,
            VolumeAttributesClass
        };
        scheduling::v1::{PriorityClass};
        node::v1::{RuntimeClass};
        certificates::v1::{CertificateSigningRequest};
        admissionregistration::v1::{
            MutatingWebhookConfiguration, ValidatingAdmissionPolicy,
            ValidatingAdmissionPolicyBinding, ValidatingWebhookConfiguration
        };
        authentication::v1::{SelfSubjectReview, TokenRequest, TokenReview};
        authorization::v1::{
            LocalSubjectAccessReview, SelfSubjectAccessReview, SelfSubjectRulesReview,
            SubjectAccessReview
        };
        apiextensions::v1::{CustomResourceDefinition};
        apiregistration::v1::{APIService};
    }
    generated
}
