//! Labels, annotations, finalizers and condition types: the words the operators agree on.

/// API group of every kind here.
pub const GROUP: &str = "fogguru.eu";
/// API version of every kind here.
pub const VERSION: &str = "v1";

/// Holds an object on the hub until its copies on the members are gone.
pub const FINALIZER: &str = "fogguru.eu/placement";
/// Holds a `MemberCluster` until its workloads run elsewhere and it holds nothing of the hub.
pub const MEMBER_FINALIZER: &str = "fogguru.eu/member";
/// What the original (kopf) left on its objects; nobody serves it any more, so it is taken off.
pub const KOPF_FINALIZER: &str = "kopf.zalando.org/KopfFinalizerMarker";

/// On every object on a member: the uid of the hub (of its `kube-system` namespace).
pub const LABEL_HUB: &str = "fogguru.eu/hub";
/// On every object on a member, and on its pods: the uid of the owning object on the hub.
pub const LABEL_OWNER: &str = "fogguru.eu/owner";
/// Prefix of one label per owner on objects that several owners share (dependencies).
pub const LABEL_OWNER_PREFIX: &str = "owner.fogguru.eu/";
/// On objects on members: `Kind/namespace/name` of the owner, for people.
pub const ANNOTATION_OWNER: &str = "fogguru.eu/owned-by";
/// On objects on the hub, from releases that kept a record where everybody who may edit an object
/// could forge it. It counts for nothing, and is taken off.
pub const OBSOLETE_ANNOTATION: &str = "fogguru.eu/assignment";
/// On `MemberCluster`s: the source that wrote the object and may remove it.
pub const LABEL_SOURCE: &str = "fogguru.eu/source";
/// The field manager of every server-side apply.
pub const FIELD_MANAGER: &str = "mck8s-scheduler";

/// Has every wanted replica a cluster?
pub const CONDITION_PLACED: &str = "Placed";
/// Are the placed replicas available on their clusters?
pub const CONDITION_AVAILABLE: &str = "Available";
/// Is a delivery, a rollout, a move or a clean-up under way?
pub const CONDITION_PROGRESSING: &str = "Progressing";
/// Is there an object of the same name on a member that is not ours?
pub const CONDITION_CONFLICT: &str = "Conflict";
/// Does a member answer?
pub const CONDITION_READY: &str = "Ready";
/// Is a move made?
pub const CONDITION_SUCCEEDED: &str = "Succeeded";
/// Does a member hold nothing of this hub?
pub const CONDITION_DRAINED: &str = "Drained";
/// A member is silent for longer than is tolerated: whether its replicas are placed elsewhere.
pub const CONDITION_FAILED_OVER: &str = "FailedOver";
