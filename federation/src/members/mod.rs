//! Access to member clusters: who they are, how they are reached, what they hold, and how objects
//! are brought to them.

mod access;
mod bundle;
mod delivery;
mod health;
mod inventory;
mod member;
mod sources;
mod watching;

pub use access::{Content, Kubeconfig, LOOK_AGAIN, ResolvedAccess, connect_late, resolve, told};
pub use bundle::{Bundle, Item, ManagedKind, ObjectKey, Owner, uid_bits};
pub use delivery::{Delivery, Failure, FailureKind, Outcome};
pub use inventory::{Observed, ObservedJob, ObservedReplicas};
pub use member::{Change, Member, MemberEvent, MemberOptions};
pub use sources::{follow_kubeconfig, follow_kubefed};
pub use watching::{Deadlined, watch_selected, watch_with};
pub(crate) use watching::{refusal, watch_member};
