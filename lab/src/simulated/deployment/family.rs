//! The `ReplicaSets` of a Deployment: which one is new, which are old, and what stands on them.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::PodTemplateSpec;
use kube::ResourceExt as _;
use kube::core::ObjectMeta;

use super::rollout::Set;
use crate::simulated::pods::owner_reference;

/// Tells the pods of one template from those of another.
pub(super) const HASH: &str = "pod-template-hash";
/// Numbers the templates that a Deployment has had.
pub(super) const REVISION: &str = "deployment.kubernetes.io/revision";
/// The numbers that a template had before it came back.
const HISTORY: &str = "deployment.kubernetes.io/revision-history";
/// The Deployment's size when a `ReplicaSet` was last resized.
pub(super) const DESIRED: &str = "deployment.kubernetes.io/desired-replicas";
/// And with its surge.
pub(super) const MOST: &str = "deployment.kubernetes.io/max-replicas";
/// Annotations of a Deployment that are not for its `ReplicaSets`.
const OWN: [&str; 6] = [
    "kubectl.kubernetes.io/last-applied-configuration",
    REVISION,
    HISTORY,
    DESIRED,
    MOST,
    "deprecated.deployment.rollback.to",
];
/// The letters of hashes: no vowels, so that they spell nothing.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
/// The longest that a revision history may get.
const HISTORY_LENGTH: usize = 2000;

/// The `ReplicaSets` of a Deployment.
pub(super) struct Family {
    /// The one of the present template.
    pub(super) new: Option<Arc<ReplicaSet>>,
    /// All others, the oldest first.
    pub(super) old: Vec<Arc<ReplicaSet>>,
}

impl Family {
    pub(super) fn of(template: &PodTemplateSpec, mut sets: Vec<Arc<ReplicaSet>>) -> Self {
        sets.sort_by_cached_key(|set| (created(set), set.name_any()));
        let new = sets.iter().position(|set| {
            let own = set.spec.as_ref().and_then(|spec| spec.template.as_ref());
            own.is_some_and(|own| is_same(own, template))
        });
        let new = new.map(|index| sets.remove(index));
        Self { new, old: sets }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<ReplicaSet>> {
        self.old.iter().chain(&self.new)
    }

    /// The number that the present template has, or gets.
    pub(super) fn next_revision(&self) -> i64 {
        let old = self.old.iter().map(|set| revision(set));
        old.max().unwrap_or(0) + 1
    }

    pub(super) fn old_sets(&self) -> Vec<Set> {
        self.old.iter().map(|set| as_set(set)).collect()
    }
}

/// A `ReplicaSet` as rollouts count it.
pub(super) fn as_set(set: &ReplicaSet) -> Set {
    let status = set.status.as_ref();
    let number = |key: &str| set.annotations().get(key)?.parse().ok();
    Set {
        name: set.name_any(),
        created: created(set),
        replicas: size(set),
        available: status
            .and_then(|status| status.available_replicas)
            .unwrap_or(0),
        desired: number(DESIRED),
        most: number(MOST),
    }
}

/// The size that a `ReplicaSet` shall have.
pub(super) fn size(set: &ReplicaSet) -> i32 {
    let spec = set.spec.as_ref();
    spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

/// The number of a `ReplicaSet`'s template; 0 if it has none.
pub(super) fn revision(set: &ReplicaSet) -> i64 {
    let text = set.annotations().get(REVISION);
    text.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn created(set: &ReplicaSet) -> Timestamp {
    set.creation_timestamp()
        .map_or(Timestamp::MIN, |time| time.0)
}

/// Whether two templates are the same but for the hash that ours has.
fn is_same(ours: &PodTemplateSpec, template: &PodTemplateSpec) -> bool {
    if ours.spec != template.spec {
        return false;
    }
    let mut ours = ours.metadata.clone().unwrap_or_default();
    let mut theirs = template.metadata.clone().unwrap_or_default();
    for meta in [&mut ours, &mut theirs] {
        if let Some(labels) = &mut meta.labels {
            labels.remove(HASH);
        }
        meta.labels = meta.labels.take().filter(|labels| !labels.is_empty());
    }
    ours == theirs
}

/// The hash of a template, and of how often it has met another one of the same hash.
pub(super) fn hash(template: &PodTemplateSpec, collisions: Option<i32>) -> String {
    // Fields are written in a fixed order, and maps are ordered.
    let mut text = serde_json::to_string(template).unwrap_or_default();
    if let Some(collisions) = collisions {
        text.push_str(&collisions.to_string());
    }
    let digest = text.bytes().fold(0x811c_9dc5_u32, |digest, byte| {
        (digest ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    let letter = |byte: u8| {
        let index = usize::from(byte) % LETTERS.len();
        char::from(LETTERS.get(index).copied().unwrap_or(b'x'))
    };
    digest.to_string().bytes().map(letter).collect()
}

/// The `ReplicaSet` of a Deployment's present template, without its size.
pub(super) fn make(
    deployment: &Deployment,
    spec: &DeploymentSpec,
    collisions: Option<i32>,
) -> ReplicaSet {
    let hash = hash(&spec.template, collisions);
    let mut template = spec.template.clone();
    let meta = template.metadata.get_or_insert_default();
    let labels = meta.labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.clone());
    let labels = labels.clone();
    let mut selector = spec.selector.clone();
    let matched = selector.match_labels.get_or_insert_default();
    matched.insert(HASH.to_owned(), hash.clone());
    // A name may have 253 letters.
    let room = 253 - hash.len() - 1;
    let prefix: String = deployment.name_any().chars().take(room).collect();
    ReplicaSet {
        metadata: ObjectMeta {
            name: Some(format!("{prefix}-{hash}")),
            namespace: deployment.namespace(),
            labels: Some(labels),
            owner_references: owner_reference(deployment).map(|owner| vec![owner]),
            ..ObjectMeta::default()
        },
        spec: Some(ReplicaSetSpec {
            min_ready_seconds: spec.min_ready_seconds,
            selector,
            template: Some(template),
            replicas: None,
        }),
        status: None,
    }
}

/// The annotations that a `ReplicaSet` of this revision lacks or has otherwise.
pub(super) fn missing_annotations(
    deployment: &Deployment,
    set: &ReplicaSet,
    next: i64,
) -> BTreeMap<String, String> {
    let have = set.annotations();
    let copied = deployment.annotations().iter();
    let mut missing: BTreeMap<String, String> = copied
        .filter(|(key, value)| !OWN.contains(&key.as_str()) && have.get(*key) != Some(value))
        .map(|(key, value)| (key.clone(), value.clone()))
        .collect();
    let before = revision(set);
    if before < next {
        missing.insert(REVISION.to_owned(), next.to_string());
        // A template that comes back remembers the numbers that it had.
        if have.contains_key(REVISION) {
            let history = have.get(HISTORY).map(String::as_str);
            missing.insert(HISTORY.to_owned(), with_history(history, before));
        }
    }
    missing
}

/// The history with one more number, and without the oldest where it gets too long.
fn with_history(history: Option<&str>, number: i64) -> String {
    let mut text = match history.filter(|history| !history.is_empty()) {
        Some(history) => format!("{history},{number}"),
        None => number.to_string(),
    };
    while text.len() > HISTORY_LENGTH {
        let Some((_, rest)) = text.split_once(',') else {
            break;
        };
        text = rest.to_owned();
    }
    text
}

/// The annotations that say for which size of the Deployment a `ReplicaSet` was resized.
pub(super) fn size_annotations(replicas: i32, surge: i32) -> BTreeMap<String, String> {
    BTreeMap::from([
        (DESIRED.to_owned(), replicas.to_string()),
        (MOST.to_owned(), (replicas + surge).to_string()),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn template(image: &str) -> PodTemplateSpec {
        serde_json::from_value(json!({
            "metadata": { "labels": { "app": "web" } },
            "spec": { "containers": [{ "name": "web", "image": image }] },
        }))
        .unwrap()
    }

    #[test]
    fn the_hash_tells_templates_and_collisions_apart() {
        let (one, other) = (template("nginx:1"), template("nginx:2"));
        assert_eq!(hash(&one, None), hash(&template("nginx:1"), None));
        assert_ne!(hash(&one, None), hash(&other, None));
        assert_ne!(hash(&one, None), hash(&one, Some(1)));
        let letters = hash(&one, None);
        assert!((8..=10).contains(&letters.len()), "{letters}");
    }

    #[test]
    fn a_history_stays_short() {
        assert_eq!(with_history(None, 3), "3");
        assert_eq!(with_history(Some("1,2"), 3), "1,2,3");
        let long = vec!["1000"; 500].join(",");
        assert!(with_history(Some(&long), 7).len() <= HISTORY_LENGTH);
        assert!(with_history(Some(&long), 7).ends_with(",7"));
    }
}
