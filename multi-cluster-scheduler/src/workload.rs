//! The objects that the scheduler serves, read one by one from what the hub's watch yields, so
//! that one unreadable object is one object's problem.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::OnceLock;

use federation::api::{
    FINALIZER, GROUP, KOPF_FINALIZER, MultiClusterDeploymentSpec, MultiClusterJobSpec,
    MultiClusterServiceSpec, OBSOLETE_ANNOTATION, PlacementFields, RetainedField, VERSION,
    WorkloadStatus,
};
use federation::members::{ManagedKind, Owner, Unreadable, or_metadata, uid_bits};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use serde::Deserialize as _;

use crate::{record, validate};

/// What the API server puts on an object that is deleted with `--cascade=orphan`, until its garbage
/// collector has seen to it.
const ORPHAN: &str = "orphan";

/// Resource versions grow as integers.
pub fn version_of(resource_version: &str) -> u64 {
    resource_version.parse().unwrap_or(0)
}

/// The kinds that the scheduler serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `MultiClusterDeployment`
    Deployment,
    /// `MultiClusterJob`
    Job,
    /// `MultiClusterService`
    Service,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Deployment, Self::Job, Self::Service];

    /// The kind's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Deployment => "MultiClusterDeployment",
            Self::Job => "MultiClusterJob",
            Self::Service => "MultiClusterService",
        }
    }

    /// Group, version, kind and plural on the hub.
    pub fn resource(self) -> ApiResource {
        ApiResource {
            group: GROUP.to_owned(),
            version: VERSION.to_owned(),
            api_version: format!("{GROUP}/{VERSION}"),
            kind: self.name().to_owned(),
            plural: format!("{}s", self.name().to_lowercase()),
        }
    }

    /// What it is on a member.
    pub fn on_members(self) -> ManagedKind {
        match self {
            Self::Deployment => ManagedKind::Deployment,
            Self::Job => ManagedKind::Job,
            Self::Service => ManagedKind::Service,
        }
    }
}

/// Which object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}/{}", self.kind.name(), self.namespace, self.name)
    }
}

/// An object as the hub has it.
#[derive(Clone, Debug, PartialEq)]
pub struct Workload {
    /// Which object.
    pub key: Key,
    /// Its uid.
    pub uid: String,
    /// The generation of its spec.
    pub generation: i64,
    /// Its resource version.
    pub resource_version: String,
    /// When it was asked to go.
    pub deleted_at: Option<k8s_openapi::jiff::Timestamp>,
    /// Its finalizers.
    pub finalizers: Vec<String>,
    /// It was deleted with `--cascade=orphan`.
    pub orphaned: bool,
    /// Its spec says that its copies stay, also where the rest of it cannot be read.
    pub preserved: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its annotations, less the one that nothing reads any more.
    pub annotations: BTreeMap<String, String>,
    /// It has that one.
    pub has_obsolete_annotation: bool,
    /// Its spec, or why that cannot be read.
    pub spec: Result<Spec, String>,
    /// Its status, checked; as if there were none where it is no record of ours.
    pub status: WorkloadStatus,
    /// Why its status is no record of ours.
    pub damaged_record: Option<String>,
    /// Why its overrides cannot be applied, once that was tried.
    problem_of_overrides: OnceLock<Option<String>>,
}

/// A spec of one of the kinds.
#[derive(Clone, Debug, PartialEq)]
pub enum Spec {
    /// Of a `MultiClusterDeployment`.
    Deployment(Box<MultiClusterDeploymentSpec>),
    /// Of a `MultiClusterJob`.
    Job(Box<MultiClusterJobSpec>),
    /// Of a `MultiClusterService`.
    Service(Box<MultiClusterServiceSpec>),
}

impl Workload {
    /// Reads an object.
    pub fn read(kind: Kind, object: &DynamicObject) -> Self {
        let spec = &object.data["spec"];
        let spec = match kind {
            Kind::Deployment => MultiClusterDeploymentSpec::deserialize(spec)
                .map(|spec| Spec::Deployment(Box::new(spec))),
            Kind::Job => {
                MultiClusterJobSpec::deserialize(spec).map(|spec| Spec::Job(Box::new(spec)))
            }
            Kind::Service => {
                MultiClusterServiceSpec::deserialize(spec).map(|spec| Spec::Service(Box::new(spec)))
            }
        };
        let mut annotations = object.annotations().clone();
        let (status, damaged_record) = match record::read(&object.data["status"]) {
            Ok(status) => (status, None),
            Err(problem) => (WorkloadStatus::default(), Some(problem)),
        };
        Self {
            has_obsolete_annotation: annotations.remove(OBSOLETE_ANNOTATION).is_some(),
            key: Key {
                kind,
                namespace: object.namespace().unwrap_or_default(),
                name: object.name_any(),
            },
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or(0),
            resource_version: object.resource_version().unwrap_or_default(),
            deleted_at: object
                .metadata
                .deletion_timestamp
                .as_ref()
                .map(|time| time.0),
            finalizers: object.finalizers().to_vec(),
            preserved: object.data["spec"]["preserveOnDeletion"] == true,
            orphaned: object.metadata.deletion_timestamp.is_some()
                && object.finalizers().iter().any(|one| one == ORPHAN),
            labels: object.labels().clone(),
            annotations,
            spec: spec.map_err(|error| format!("spec: {error}")),
            status,
            damaged_record,
            problem_of_overrides: OnceLock::new(),
        }
    }

    /// What can be read of an object that cannot be read whole.
    pub fn unreadable(kind: Kind, object: Box<Unreadable>) -> Self {
        let problem = format!("{}: correct it", object.problem);
        Self {
            spec: Err(problem),
            ..Self::read(kind, &or_metadata(Err(object)))
        }
    }

    /// Why its overrides cannot be applied. Tried once: it may be much work.
    pub fn problem_of_overrides(&self) -> Option<&str> {
        let problem = self.problem_of_overrides.get_or_init(|| {
            let (template, fields) = (self.template()?, self.placement()?);
            validate::problem_of_overrides(template, &fields.overrides, &self.key.namespace)
        });
        problem.as_deref()
    }

    /// A Job whose pods work through more completions than run at a time. Its Jobs are whole ones,
    /// each of its own location.
    pub fn is_work_queue(&self) -> bool {
        match &self.spec {
            Ok(Spec::Job(spec)) => {
                let parallel = spec.parallelism.unwrap_or(spec.replicas);
                spec.completions.is_some_and(|all| all > parallel)
            }
            _ => false,
        }
    }

    /// Who goes first; what says nothing has 0.
    pub fn priority(&self) -> i32 {
        self.placement().map_or(0, |fields| fields.priority)
    }

    /// How many pods of the Job of a share shall succeed.
    pub fn completions(&self, share: u32) -> u32 {
        match &self.spec {
            Ok(Spec::Job(spec)) => spec.completions.unwrap_or(share),
            _ => share,
        }
    }

    /// A Job that is complete without a pod.
    pub fn has_no_completions(&self) -> bool {
        match &self.spec {
            Ok(Spec::Job(spec)) => spec.completions.unwrap_or(spec.replicas) == 0,
            _ => false,
        }
    }

    /// A Job that is complete or failed by this status, which is of its spec.
    pub fn has_ended_by(&self, status: &WorkloadStatus) -> bool {
        let ended = |condition: &Condition| {
            matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True"
        };
        self.key.kind == Kind::Job
            && status.observed_generation == Some(self.generation)
            && status.conditions.iter().any(ended)
    }

    /// The object as owner of objects on members.
    pub fn owner(&self) -> Owner {
        Owner {
            uid: self.uid.clone(),
            kind: self.key.kind.name().to_owned(),
            namespace: self.key.namespace.clone(),
            name: self.key.name.clone(),
        }
    }

    /// Its uid as a number.
    pub fn owner_bits(&self) -> u128 {
        uid_bits(&self.uid)
    }

    /// Its resource version as a number; Kubernetes promises that it grows (KEP-5504).
    pub fn version(&self) -> u64 {
        version_of(&self.resource_version)
    }

    /// Held by us.
    pub fn is_held(&self) -> bool {
        self.finalizers
            .iter()
            .any(|finalizer| finalizer == FINALIZER)
    }

    /// Held by the original, which nobody runs any more.
    pub fn is_held_by_kopf(&self) -> bool {
        self.finalizers
            .iter()
            .any(|finalizer| finalizer == KOPF_FINALIZER)
    }

    /// Its copies stay on the members when it goes.
    pub fn is_orphaned(&self) -> bool {
        self.orphaned || self.preserved
    }

    /// The fields that say where replicas go; services have none.
    pub fn placement(&self) -> Option<&PlacementFields> {
        match self.spec.as_ref().ok()? {
            Spec::Deployment(spec) => Some(&spec.placement),
            Spec::Job(spec) => Some(&spec.placement),
            Spec::Service(_) => None,
        }
    }

    /// The fields that members may own.
    pub fn retained(&self) -> &[RetainedField] {
        match &self.spec {
            Ok(Spec::Deployment(spec)) => &spec.retain,
            _ => &[],
        }
    }

    /// The pod template; services have none.
    pub fn template(&self) -> Option<&serde_json::Value> {
        match self.spec.as_ref().ok()? {
            Spec::Deployment(spec) => Some(&spec.template),
            Spec::Job(spec) => Some(&spec.template),
            Spec::Service(_) => None,
        }
    }
}
