//! The audit log: who did what, as `Event`s of audit.k8s.io/v1, a line of JSON each.

mod file;
mod policy;

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::access::User;
use crate::access::attributes::Attributes;
use crate::meta::{metadata, text};
use file::Log;
use policy::Policy;
pub(crate) use policy::{Decision, Level};

/// Why nothing can be recorded.
#[derive(Debug, Error)]
pub enum AuditError {
    /// The log can't be opened, or the policy can't be read.
    #[error("{0}")]
    Storage(#[from] io::Error),
    /// The policy is none.
    #[error("the policy can't be used: {0}")]
    Policy(String),
}

/// Records requests. Clones share the file.
#[derive(Clone)]
pub struct Audit {
    log: Arc<Mutex<Log>>,
    policy: Arc<Policy>,
    /// Of the control plane, in the events.
    name: Option<String>,
}

impl Audit {
    /// Appends to a file, which is for its owner only and rotated at 100 MiB with five older ones.
    ///
    /// The policy is the text of a `Policy` of audit.k8s.io/v1. Without one, metadata of all is
    /// recorded but for health, discovery, events and leases. Bodies of Secrets and tokens are
    /// recorded only by rules that name them.
    pub fn open(path: &Path, policy: Option<&str>) -> Result<Self, AuditError> {
        let policy = match policy {
            Some(text) => Policy::parse(text).map_err(AuditError::Policy)?,
            None => Policy::metadata(),
        };
        Ok(Self {
            log: Arc::new(Mutex::new(Log::open(path)?)),
            policy: Arc::new(policy),
            name: None,
        })
    }

    /// The same, for a control plane of this name, which its events have as an annotation.
    #[must_use]
    pub fn named(&self, name: &str) -> Self {
        Self {
            name: Some(name.to_owned()),
            ..self.clone()
        }
    }

    pub(crate) fn decide(&self, user: &User, attributes: &Attributes) -> Decision {
        self.policy.decide(user, attributes)
    }

    /// Records a request at a stage.
    pub(crate) fn record(&self, record: &Record, stage: &str, now: Timestamp) {
        if !record.decision.records(stage) {
            return;
        }
        let mut event = record.event(stage, now);
        if let Some(name) = &self.name {
            event["annotations"]["control-plane/name"] = json!(name);
        }
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.append(&event.to_string());
    }
}

/// What is known of a request.
#[derive(Debug, Default)]
pub(crate) struct Record {
    pub(crate) decision: Decision,
    pub(crate) id: String,
    pub(crate) received: Timestamp,
    pub(crate) uri: String,
    pub(crate) agent: String,
    pub(crate) user: User,
    /// As whom the user acts.
    pub(crate) impersonated: Option<User>,
    pub(crate) attributes: Attributes,
    pub(crate) version: String,
    pub(crate) allowed: bool,
    /// As it was sent.
    pub(crate) request: Vec<u8>,
    pub(crate) code: u16,
    /// As it was answered: JSON, or nothing.
    pub(crate) response: Vec<u8>,
}

impl Record {
    fn event(&self, stage: &str, now: Timestamp) -> Value {
        let Self { attributes, .. } = self;
        let decision = if self.allowed { "allow" } else { "forbid" };
        let mut event = json!({
            "kind": "Event",
            "apiVersion": "audit.k8s.io/v1",
            "level": self.decision.level.name(),
            "auditID": self.id,
            "stage": stage,
            "requestURI": self.uri,
            "verb": attributes.verb,
            "user": shown(&self.user),
            "userAgent": self.agent,
            "responseStatus": {"metadata": {}, "code": self.code},
            "requestReceivedTimestamp": micros(self.received),
            "stageTimestamp": micros(now),
            "annotations": {"authorization.k8s.io/decision": decision},
        });
        if let Some(user) = &self.impersonated {
            event["impersonatedUser"] = shown(user);
        }
        if attributes.path.is_none() {
            event["objectRef"] = self.object();
        }
        let response = parsed(&self.response);
        if let Some(status) = response
            .as_ref()
            .filter(|body| text(body, "/kind") == "Status")
        {
            for field in ["status", "reason", "message"] {
                if let Some(value) = status.get(field) {
                    event["responseStatus"][field] = value.clone();
                }
            }
        }
        let bodies = [
            (Level::Request, "requestObject", parsed(&self.request)),
            (Level::RequestResponse, "responseObject", response),
        ];
        for (level, field, body) in bodies {
            if let (true, Some(mut body)) = (self.decision.level >= level, body) {
                if self.decision.omit_managed_fields {
                    metadata(&mut body).remove("managedFields");
                }
                event[field] = body;
            }
        }
        event
    }

    fn object(&self) -> Value {
        let Attributes {
            group,
            resource,
            subresource,
            namespace,
            name,
            ..
        } = &self.attributes;
        let mut object = Map::new();
        for (field, value) in [
            ("resource", resource),
            ("namespace", namespace),
            ("name", name),
            ("apiGroup", group),
            ("apiVersion", &self.version),
            ("subresource", subresource),
        ] {
            if !value.is_empty() {
                object.insert(field.to_owned(), value.clone().into());
            }
        }
        object.into()
    }
}

fn shown(user: &User) -> Value {
    let mut shown = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        shown["uid"] = json!(user.uid);
    }
    if !user.extra.is_empty() {
        shown["extra"] = json!(user.extra);
    }
    shown
}

fn parsed(body: &[u8]) -> Option<Value> {
    serde_json::from_slice(body).ok()
}

fn micros(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string()
}
