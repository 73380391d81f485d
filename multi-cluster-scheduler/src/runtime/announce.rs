//! Events on the objects that are served.

use federation::api::{MemberCluster, WorkloadMove};
use federation::operator::events::{EventType, Recorder};
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource as _;

use crate::workload::Workload;

/// Says on an object what happened to it.
#[derive(Clone)]
pub struct Announcer(pub Recorder);

impl Announcer {
    /// Says on a move how it goes.
    pub(crate) fn moved(&self, object: &WorkloadMove, warning: bool, reason: &str, message: &str) {
        self.about(object.object_ref(&()), warning, reason, message);
    }

    pub(crate) fn record(&self, workload: &Workload, warning: bool, reason: &str, message: &str) {
        let resource = workload.key.kind.resource();
        let about = ObjectReference {
            api_version: Some(resource.api_version),
            kind: Some(resource.kind),
            namespace: Some(workload.key.namespace.clone()),
            name: Some(workload.key.name.clone()),
            uid: Some(workload.uid.clone()),
            ..ObjectReference::default()
        };
        self.about(about, warning, reason, message);
    }

    fn about(&self, about: ObjectReference, warning: bool, reason: &str, message: &str) {
        let event_type = if warning {
            EventType::Warning
        } else {
            EventType::Normal
        };
        self.0.record(about, event_type, reason, message);
    }

    /// Says on a member what a person should look at.
    pub(crate) fn member(&self, member: &MemberCluster, reason: &str, message: &str) {
        let about = member.object_ref(&());
        self.0.record(about, EventType::Warning, reason, message);
    }
}
