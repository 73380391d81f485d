//! Access to member clusters: who they are, how they are reached, what they hold, and how objects
//! are brought to them.

mod access;
mod bundle;
mod contest;
mod delivery;
mod diagnosis;
mod failure;
mod inventory;
mod member;
mod sources;
pub(crate) mod text;
mod watching;

pub use access::{Content, Kubeconfig, LOOK_AGAIN, ResolvedAccess, connect_late, resolve, told};
pub use bundle::{Bundle, Item, ManagedKind, ObjectKey, Owner, uid_bits};
pub use contest::{Contest, Rival};
pub use delivery::Delivery;
pub use diagnosis::{Diagnosis, DiagnosisKind};
pub use failure::{Failure, FailureKind, Outcome};
pub use inventory::{Observed, ObservedJob, ObservedReplicas};
pub use member::{Change, Member, MemberEvent, MemberOptions};
pub use sources::{follow_kubeconfig, follow_kubefed};
pub(crate) use watching::refusal;
pub use watching::{Deadlined, watch_selected, watch_with};
