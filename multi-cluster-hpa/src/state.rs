//! What the operator knows of the hub. One lock around it, never held while waiting for anything.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use federation::api::{
    MultiClusterDeploymentSpec, MultiClusterHorizontalPodAutoscalerSpec,
    MultiClusterHorizontalPodAutoscalerStatus, WorkloadStatus,
};
use federation::operator::finalizer::is_held_by_kopf;
use federation::operator::key::NamespacedName;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt as _;
use kube::api::DynamicObject;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;

use crate::decision::History;
use crate::validate::{Invalid, Validated, validate};

/// Everything that is known of the hub.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) autoscalers: BTreeMap<NamespacedName, Tracked>,
    pub(crate) targets: BTreeMap<NamespacedName, Target>,
    /// Who wants to scale a target.
    claims: BTreeMap<NamespacedName, BTreeSet<NamespacedName>>,
}

/// An autoscaler.
pub(crate) struct Tracked {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) spec: Result<Arc<Validated>, Invalid>,
    pub(crate) target: Option<NamespacedName>,
    pub(crate) deleting: bool,
    /// Its metadata, if the original's finalizer is to be removed.
    pub(crate) held: Option<ObjectMeta>,
    pub(crate) history: History,
    /// The target's generation of which entries that are no locations' were removed, or belong to
    /// another manager.
    pub(crate) pruned_generation: Option<i64>,
    /// The time of the last evaluation, by the clock and by what has passed.
    pub(crate) evaluated: Option<(Timestamp, Instant)>,
    /// The status that the hub has.
    pub(crate) reported: MultiClusterHorizontalPodAutoscalerStatus,
}

/// A deployment that may be scaled.
#[derive(Clone)]
pub(crate) struct Target {
    pub(crate) uid: String,
    pub(crate) generation: i64,
    pub(crate) deleting: bool,
    pub(crate) spec: Result<Arc<MultiClusterDeploymentSpec>, String>,
    pub(crate) status: Arc<WorkloadStatus>,
}

impl Tracked {
    /// What an Event is about.
    pub(crate) fn reference(&self, key: &NamespacedName) -> ObjectReference {
        ObjectReference {
            api_version: Some("fogguru.eu/v1".to_owned()),
            kind: Some("MultiClusterHorizontalPodAutoscaler".to_owned()),
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            uid: Some(self.uid.clone()),
            ..ObjectReference::default()
        }
    }
}

impl State {
    /// When an autoscaler was evaluated last.
    pub(crate) fn evaluated(&self, key: &NamespacedName) -> Option<Instant> {
        let (_, at) = self.autoscalers.get(key)?.evaluated?;
        Some(at)
    }

    /// Takes in an autoscaler as the hub has it. Gives those that are to be evaluated because of it.
    pub(crate) fn autoscaler_applied(
        &mut self,
        object: &DynamicObject,
    ) -> BTreeSet<NamespacedName> {
        let key = NamespacedName::of(object);
        let uid = object.uid().unwrap_or_default();
        let generation = object.metadata.generation.unwrap_or_default();
        let held = is_held_by_kopf(&object.metadata).then(|| object.metadata.clone());
        let deleting = object.metadata.deletion_timestamp.is_some();
        if let Some(known) = self.autoscalers.get_mut(&key)
            && (&known.uid, known.generation, known.deleting) == (&uid, generation, deleting)
        {
            known.held = held;
            let is_held = known.held.is_some();
            return is_held.then_some(key).into_iter().collect();
        }
        let spec: Result<MultiClusterHorizontalPodAutoscalerSpec, _> =
            read(&object.data, "spec").map_err(Invalid);
        let target = spec.as_ref().ok().map(|spec| NamespacedName {
            namespace: key.namespace.clone(),
            name: spec.scale_target_ref.name.clone(),
        });
        let mut moved = self.release(&key);
        if let Some(target) = target.as_ref().filter(|_| !deleting) {
            let claims = self.claims.entry(target.clone()).or_default();
            moved.extend(claims.iter().cloned());
            claims.insert(key.clone());
        }
        moved.insert(key.clone());
        let before = self.autoscalers.remove(&key);
        let before = before.filter(|before| before.uid == uid);
        let reported = match &before {
            Some(before) => before.reported.clone(),
            None => read(&object.data, "status").unwrap_or_default(),
        };
        let evaluated = before.as_ref().and_then(|before| before.evaluated);
        let same_target = before.filter(|before| before.target == target);
        self.autoscalers.insert(
            key.clone(),
            Tracked {
                uid,
                generation,
                spec: spec.and_then(|spec| validate(&key.namespace, &spec).map(Arc::new)),
                target,
                deleting,
                held,
                history: same_target.map(|before| before.history).unwrap_or_default(),
                pruned_generation: None,
                evaluated,
                reported,
            },
        );
        moved
    }

    /// Forgets an autoscaler. Gives those that are to be evaluated because of it.
    pub(crate) fn autoscaler_gone(&mut self, key: &NamespacedName) -> BTreeSet<NamespacedName> {
        let moved = self.release(key);
        self.autoscalers.remove(key);
        moved
    }

    /// Takes an autoscaler's claim back; gives the others on the same target.
    fn release(&mut self, key: &NamespacedName) -> BTreeSet<NamespacedName> {
        let target = self.autoscalers.get(key).and_then(|one| one.target.clone());
        let Some(target) = target else {
            return BTreeSet::new();
        };
        let Some(claims) = self.claims.get_mut(&target) else {
            return BTreeSet::new();
        };
        claims.remove(key);
        let others = claims.clone();
        if others.is_empty() {
            self.claims.remove(&target);
        }
        others
    }

    /// Takes in a deployment as the hub has it. Gives the autoscalers that it is new for.
    pub(crate) fn target_applied(&mut self, object: &DynamicObject) -> BTreeSet<NamespacedName> {
        let key = NamespacedName::of(object);
        let target = Target {
            uid: object.uid().unwrap_or_default(),
            generation: object.metadata.generation.unwrap_or_default(),
            deleting: object.metadata.deletion_timestamp.is_some(),
            spec: read(&object.data, "spec").map(Arc::new),
            status: Arc::new(read(&object.data, "status").unwrap_or_default()),
        };
        let known = self.targets.get(&key);
        let is_new = known.is_none_or(|known| known.uid != target.uid);
        // One that has got its first clusters is as good as new.
        let is_placed = |target: &Target| !target.status.placements.is_empty();
        let begins = is_placed(&target) && known.is_some_and(|known| !is_placed(known));
        self.targets.insert(key.clone(), target);
        let claims = self.claims(&key);
        if is_new {
            // What was recorded of another one's numbers says nothing of this one's.
            for one in &claims {
                if let Some(tracked) = self.autoscalers.get_mut(one) {
                    tracked.history = History::default();
                }
            }
        }
        if is_new || begins {
            claims
        } else {
            BTreeSet::new()
        }
    }

    /// Forgets a deployment. Gives the autoscalers that scaled it.
    pub(crate) fn target_gone(&mut self, key: &NamespacedName) -> BTreeSet<NamespacedName> {
        self.targets.remove(key);
        self.claims(key)
    }

    /// The autoscalers of a target.
    pub(crate) fn claims(&self, target: &NamespacedName) -> BTreeSet<NamespacedName> {
        self.claims.get(target).cloned().unwrap_or_default()
    }
}

/// A part of an object, or what is wrong with it. A part that is not there is empty.
fn read<T: DeserializeOwned>(object: &Value, part: &str) -> Result<T, String> {
    let value = object
        .get(part)
        .cloned()
        .unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    serde_json::from_value(value).map_err(|error| format!("{part}: {error}"))
}
