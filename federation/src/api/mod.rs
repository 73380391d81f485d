//! The API group `fogguru.eu/v1`: the objects that people and operators meet on.
//!
//! Names, shapes and meanings of the fields that the original mck8s had are kept, so manifests
//! written for it apply unchanged. Everything added is optional. The CRDs that the API server
//! enforces are made from these types by [`crds`].

mod app_rescheduler;
mod autoscaler;
mod builtin_schema;
mod cloud_provisioner;
mod deployment;
mod job;
mod leftover;
mod lenient;
mod member_cluster;
mod names;
mod placement;
mod schema;
mod service;
mod status;
mod workload_move;

pub use app_rescheduler::{AppRescheduler, AppReschedulerSpec};
pub use autoscaler::{
    ClusterScale, Distribution, Metric, MetricStatus, MetricType,
    MultiClusterHorizontalPodAutoscaler, MultiClusterHorizontalPodAutoscalerSpec,
    MultiClusterHorizontalPodAutoscalerStatus, PrometheusMetricSource, PrometheusMetricStatus,
    PrometheusTarget, PrometheusTargetType, ScaleTargetRef, Schedule, Scope,
};
pub use cloud_provisioner::{
    CloudCluster, CloudPhase, CloudProvisioner, CloudProvisionerSpec, CloudProvisionerStatus,
    ClusterClassReference, ControlPlaneMachines, CredentialsSecretReference, DeletionPolicy,
    Expander, Flavor, NodePool,
};
pub use deployment::{MultiClusterDeployment, MultiClusterDeploymentSpec, RetainedField};
pub use job::{MultiClusterJob, MultiClusterJobSpec};
pub use leftover::{DeletedObject, Leftover, LeftoverSpec};
pub use lenient::normalize;
pub use member_cluster::{
    ClusterAccess, KubeFedClusterReference, MemberCluster, MemberClusterSpec, MemberClusterStatus,
    Neighbour, NodeClass, PlacedSummary, REASON_DUPLICATE_CLUSTER, REASON_HUB_CLUSTER, Role,
    SecretReference, UpcomingNodes,
};
pub use names::{
    ANNOTATION_OWNER, CONDITION_AVAILABLE, CONDITION_CONFLICT, CONDITION_DRAINED,
    CONDITION_FAILED_OVER, CONDITION_PLACED, CONDITION_PROGRESSING, CONDITION_READY,
    CONDITION_SUCCEEDED, FIELD_MANAGER, FINALIZER, GROUP, KOPF_FINALIZER, LABEL_HUB, LABEL_OWNER,
    LABEL_OWNER_PREFIX, LABEL_SOURCE, MEMBER_FINALIZER, OBSOLETE_ANNOTATION, VERSION,
};
pub use placement::{
    Burst, ClusterOverride, ClusterReplicas, Dependencies, Overflow, PatchOperation,
    PlacementFields, ReplicaOverrides, ReplicaScheduling,
};
pub use schema::crds;
pub use service::{MultiClusterService, MultiClusterServiceSpec};
pub use status::{
    ClusterVerdict, Decision, MoveRecord, PlacementStatus, ReplicaShape, UnplacedReason,
    UnplacedReplicas, WorkloadStatus,
};
pub use workload_move::{
    MovePhase, MovedKind, MovedWorkload, STRATEGY_RETURN_HOME, WorkloadMove, WorkloadMoveSpec,
    WorkloadMoveStatus,
};
