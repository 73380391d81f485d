//! What has to be done outside because of an event.

use std::sync::Arc;
use std::time::Duration;

use federation::api::MemberCluster;
use federation::members::{Bundle, FailureKind};
use federation::operator::queue::Priority;
use placement::ClusterName;

use super::MoveKey;
use crate::workload::Key;

/// One thing to do. The runtime does them in order, before the next event.
#[derive(Clone, Debug, PartialEq)]
pub enum Effect {
    /// Reconcile an object. If its last reconcile failed, its backoff still applies.
    Reconcile(Key, Priority),
    /// Reconcile an object that has changed: its backoff is reset, also that of its reports.
    Renew(Key),
    /// Report an object's status after a delay.
    Report(Key, Duration),
    /// Hand a bundle to a member.
    Deliver(ClusterName, Bundle),
    /// Keep a member connected as its object says.
    Connect(Arc<MemberCluster>),
    /// Close the connection to a member.
    Disconnect(ClusterName),
    /// Write something to the hub.
    OnHub(HubTask),
    /// Write the status of members that have changed.
    WriteMemberStatuses,
    /// Record a warning Event about a member.
    Warn {
        /// The member.
        about: Arc<MemberCluster>,
        /// The reason, in CamelCase.
        reason: &'static str,
        /// The message for people.
        message: String,
    },
    /// Count or observe something.
    Measure(Measure),
}

/// What is to be written to the hub beside statuses. Each is tried until it is done, and what it writes
/// is asked of the index then.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HubTask {
    /// Write the status of a move, or delete one that ended long enough ago.
    ReportMove(MoveKey),
    /// Create the move that was proposed to bring displaced replicas of this workload back.
    ReturnHome(Key),
    /// Put on record what this member holds of deleted objects.
    KeepLeftovers(ClusterName),
    /// Delete the record of what a member has left no more: its name and its uid.
    DeleteLeftover(String, String),
}

/// A sample for the metrics.
#[derive(Clone, Debug, PartialEq)]
pub enum Measure {
    /// A member is ready or not; none if it is no member any more.
    Member(ClusterName, Option<bool>),
    /// An object of this kind could not be read.
    Unreadable(&'static str),
    /// An object that another client had changed on this member was put back.
    PutBack(ClusterName),
    /// A delivery ended; with which failure.
    Delivered(Option<FailureKind>),
    /// From a change of an object to all members having it.
    EndToEnd(Duration),
    /// So many members were failed over; failover is suspended.
    FailedOver(usize, bool),
}
