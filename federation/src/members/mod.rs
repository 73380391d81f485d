//! Access to member clusters: who they are, how they are reached, what they hold, and how objects
//! are brought to them.

mod access;
mod access_sources;
mod applied;
mod backend;
mod bundle;
mod connections;
mod contest;
mod delivery;
mod diagnosis;
mod failure;
mod health;
mod inventory;
mod kubeconfig;
mod kubeconfig_file;
mod listing;
mod manifest;
mod member;
mod namespaces;
mod outbox;
mod readable;
mod replacement;
mod sources;
pub(crate) mod text;
mod watching;
mod writer;

pub use access::{AccessProblem, AccessReason, ResolvedAccess};
pub use backend::MemberBackend;
pub use bundle::{Bundle, Ending, Item, ManagedKind, ObjectKey, Owner, uid_bits};
pub use connections::{
    Connection, ConnectionEvent, Connections, MemberContents, MemberReader, RESYNC_INTERVAL,
    Session,
};
pub use contest::{Contest, Rival};
pub use diagnosis::{Diagnosis, DiagnosisKind};
pub use failure::{Failure, FailureKind, Outcome};
pub use inventory::{Observed, ObservedJob, ObservedReplicas};
pub use kubeconfig_file::{Content, Kubeconfig};
pub use listing::{list_all, list_metadata};
pub use manifest::Manifest;
pub use member::{Change, Member, MemberEvent, MemberOptions, MemberSessions};
pub use namespaces::NamespaceKept;
pub use outbox::{Inbox, Outbox, outbox};
pub use readable::{Item as Readable, Read, Unreadable, mended, metadata, or_metadata};
pub use sources::{follow_kubeconfig, follow_kubefed};
pub use watching::{Deadlined, map_event, watch_selected, watch_with};
pub(crate) use watching::{refusal, watch_member};
