use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use serde_json::json;

use super::state::version;
use super::{Cache, ObjectKey, lock};

fn pod(name: &str, uid: &str, version: u64) -> Pod {
    serde_json::from_value(json!({ "metadata": {
        "name": name, "namespace": "n", "uid": uid, "resourceVersion": version.to_string(),
        "ownerReferences": [{ "apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "rs",
            "uid": "owner", "controller": true }],
    }}))
    .unwrap()
}

fn names(pods: &[Arc<Pod>]) -> Vec<String> {
    pods.iter().map(|pod| pod.name_any()).collect()
}

fn key(name: &str) -> ObjectKey {
    ObjectKey::of(&pod(name, "", 1))
}

impl Cache<Pod> {
    /// The watch delivers a pod as modified.
    fn deliver(&self, pod: Pod) {
        self.change(|state| state.apply_watched(pod));
    }

    /// The watch delivers a pod as deleted.
    fn deliver_deletion(&self, pod: &Pod) {
        self.change(|state| state.apply_deleted(pod));
    }

    fn begin_list(&self) {
        lock(&self.0.state).begin_list();
    }

    /// The list that has begun ends with these pods.
    fn end_list(&self, revision: u64, pods: &[Pod]) {
        let listed: BTreeSet<_> = pods.iter().map(ObjectKey::of).collect();
        for pod in pods {
            self.change(|state| state.apply_listed(pod.clone()));
        }
        let gone = lock(&self.0.state).end_list(revision, &listed);
        for key in gone {
            self.change(|state| state.take(&key));
        }
    }

    fn tombstones(&self) -> usize {
        lock(&self.0.state).tombstones()
    }
}

#[test]
fn what_is_older_than_what_is_known_is_passed_over() {
    let cache = Cache::default();
    let told = Arc::new(Mutex::new(0));
    let count = Arc::clone(&told);
    cache.on_change(move |_, _| *count.lock().unwrap() += 1);
    cache.observe(pod("a", "1", 5));
    cache.deliver(pod("a", "1", 4));
    cache.deliver(pod("a", "1", 5));
    assert_eq!(*told.lock().unwrap(), 1);
    assert_eq!(version(&*cache.get(&key("a")).unwrap()), 5);
}

#[test]
fn a_response_after_the_deletion_does_not_bring_the_object_back() {
    let cache = Cache::default();
    cache.deliver(pod("a", "1", 5));
    // A write of ours made revision 6; somebody else deletes it, and the watch is quicker.
    cache.deliver(pod("a", "1", 6));
    cache.deliver_deletion(&pod("a", "1", 7));
    cache.observe(pod("a", "1", 6));
    assert!(cache.all().is_empty());
    assert!(cache.owned_by("owner").is_empty());
    // The response to its successor's creation is newer than all that was delivered.
    cache.observe(pod("a", "2", 8));
    assert_eq!(names(&cache.owned_by("owner")), ["a"]);
}

#[test]
fn a_creations_response_after_the_deletion_adds_nothing() {
    let cache = Cache::default();
    cache.deliver(pod("a", "1", 5));
    cache.deliver_deletion(&pod("a", "1", 6));
    cache.observe(pod("a", "1", 5));
    assert!(cache.all().is_empty());
}

#[test]
fn a_response_after_a_list_without_the_object_adds_nothing() {
    let cache = Cache::default();
    cache.begin_list();
    cache.end_list(4, &[pod("b", "2", 3)]);
    // Its creation, at 5, and its end, at 6, fell into a break of the watch.
    cache.begin_list();
    cache.end_list(7, &[pod("b", "2", 3)]);
    cache.observe(pod("a", "1", 5));
    assert_eq!(names(&cache.all()), ["b"]);
}

#[test]
fn a_response_about_a_predecessor_leaves_its_successor() {
    let cache = Cache::default();
    cache.deliver(pod("a", "1", 5));
    cache.deliver_deletion(&pod("a", "1", 7));
    cache.deliver(pod("a", "2", 8));
    cache.observe(pod("a", "1", 6));
    assert_eq!(cache.get(&key("a")).unwrap().uid().as_deref(), Some("2"));
}

#[test]
fn what_we_deleted_does_not_come_back_with_a_late_event() {
    let cache = Cache::default();
    cache.observe(pod("a", "1", 5));
    cache.forget(&key("a"), "1");
    cache.deliver(pod("a", "1", 6));
    assert!(cache.get(&key("a")).is_none());
    assert!(cache.owned_by("owner").is_empty());
    // Its successor is another object, and stays when its predecessor's end is observed of.
    cache.observe(pod("a", "2", 8));
    cache.deliver_deletion(&pod("a", "1", 7));
    assert_eq!(names(&cache.owned_by("owner")), ["a"]);
    assert_eq!(cache.tombstones(), 0);
}

#[test]
fn a_new_list_takes_away_what_it_does_not_name() {
    let cache = Cache::default();
    cache.observe(pod("a", "1", 5));
    cache.observe(pod("b", "2", 6));
    cache.begin_list();
    // Made after the list was.
    cache.observe(pod("c", "3", 9));
    cache.end_list(8, &[pod("b", "2", 6)]);
    assert_eq!(names(&cache.all()), ["b", "c"]);
}

#[test]
fn a_tombstone_outlives_a_list_begun_before_the_deletion() {
    let cache = Cache::default();
    cache.deliver(pod("a", "1", 5));
    cache.begin_list();
    cache.forget(&key("a"), "1");
    cache.end_list(5, &[pod("a", "1", 5)]);
    assert!(cache.all().is_empty());
    assert_eq!(cache.tombstones(), 1);
    cache.begin_list();
    cache.end_list(9, &[]);
    assert_eq!(cache.tombstones(), 0);
}
