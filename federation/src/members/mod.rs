//! Access to member clusters: who they are, how they are reached, what they hold, and how objects
//! are brought to them.

mod access;
mod bundle;
mod delivery;
mod inventory;
mod member;
mod namespaces;
mod replacement;
mod readable;
mod sources;
mod watching;
mod writer;

pub use access::{Content, Kubeconfig, LOOK_AGAIN, ResolvedAccess, connect_late, resolve, told};
pub use bundle::{Bundle, Ending, Item, ManagedKind, ObjectKey, Owner, uid_bits};
pub use delivery::{Delivery, Failure, FailureKind, Outcome};
pub use inventory::{Observed, ObservedJob, ObservedReplicas};
pub use member::{Change, Member, MemberEvent, MemberOptions};
pub use namespaces::NamespaceKept;
pub use readable::{Item as Readable, Read, Unreadable, metadata, or_metadata};
pub use sources::{follow_kubeconfig, follow_kubefed};
pub(crate) use watching::refusal;
pub use watching::{Deadlined, map_event, watch_selected, watch_with};
