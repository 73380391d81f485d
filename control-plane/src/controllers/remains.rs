//! What a namespace that is deleted waits for, in the words of the real namespace controller.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::kinds::Resource;
use crate::meta::{items, object_in, strings, text};
use crate::objects::Objects;
use crate::store::Page;

/// A condition: its type, its status, its reason and its message.
pub(super) type Condition = (&'static str, bool, &'static str, String);

/// The conditions of a namespace in which there are objects of these kinds.
pub(super) fn conditions(
    objects: &Objects,
    namespace: &str,
    left: &[&Arc<Resource>],
) -> Vec<Condition> {
    let mut kinds = BTreeMap::new();
    let mut finalizers: BTreeMap<String, usize> = BTreeMap::new();
    for resource in left {
        let page = Page::default();
        let list = objects.store.list(&resource.table, Some(namespace), &page);
        let objects = list.map(|list| list.items).unwrap_or_default();
        if objects.is_empty() {
            continue;
        }
        kinds.insert(
            format!("{}.{}", resource.plural, resource.group),
            objects.len(),
        );
        for object in &objects {
            for finalizer in strings(object.value(), "/metadata/finalizers") {
                *finalizers.entry(finalizer).or_default() += 1;
            }
        }
    }
    let remaining = counted(&kinds, "has");
    let held = counted(&finalizers, "in");
    vec![
        (
            "NamespaceDeletionDiscoveryFailure",
            false,
            "ResourcesDiscovered",
            "All resources successfully discovered".to_owned(),
        ),
        (
            "NamespaceDeletionGroupVersionParsingFailure",
            false,
            "ParsedGroupVersions",
            "All legacy kube types successfully parsed".to_owned(),
        ),
        (
            "NamespaceDeletionContentFailure",
            false,
            "ContentDeleted",
            "All content successfully deleted, may be waiting on finalization".to_owned(),
        ),
        if kinds.is_empty() {
            let message = "All content successfully removed".to_owned();
            (
                "NamespaceContentRemaining",
                false,
                "ContentRemoved",
                message,
            )
        } else {
            let message = format!("Some resources are remaining: {remaining}");
            (
                "NamespaceContentRemaining",
                true,
                "SomeResourcesRemain",
                message,
            )
        },
        if finalizers.is_empty() {
            let message = "All content-preserving finalizers finished".to_owned();
            (
                "NamespaceFinalizersRemaining",
                false,
                "ContentHasNoFinalizers",
                message,
            )
        } else {
            let message = format!("Some content in the namespace has finalizers remaining: {held}");
            (
                "NamespaceFinalizersRemaining",
                true,
                "SomeFinalizersRemain",
                message,
            )
        },
    ]
}

fn counted(counts: &BTreeMap<String, usize>, word: &str) -> String {
    let texts = counts
        .iter()
        .map(|(what, count)| format!("{what} {word} {count} resource instances"));
    texts.collect::<Vec<_>>().join(", ")
}

/// Writes conditions; the time of one changes with its status.
pub(super) fn set(namespace: &mut Value, conditions: Vec<Condition>, now: &str) {
    let before = items(namespace, "/status/conditions").to_vec();
    let all = conditions
        .into_iter()
        .map(|(kind, holds, reason, message)| {
            let status = if holds { "True" } else { "False" };
            let same = before
                .iter()
                .find(|old| text(old, "/type") == kind && text(old, "/status") == status);
            let time = same.map_or(now, |same| text(same, "/lastTransitionTime"));
            json!({
                "type": kind,
                "status": status,
                "lastTransitionTime": time,
                "reason": reason,
                "message": message,
            })
        });
    let all: Vec<Value> = all.collect();
    object_in(namespace, "status").insert("conditions".to_owned(), all.into());
}
