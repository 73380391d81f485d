//! The objects that a template needs and that go along to the members: fetched from the hub, with
//! what they need in turn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use federation::members::{Deadlined as _, Item, ManagedKind, ObjectKey, Readable, or_metadata};
use kube::api::DynamicObject;
use kube::{Api, Client};

use crate::localized::{localized, named_by_object};
use crate::references::{Need, needs_of_pod};
use crate::workload::Workload;

/// The objects that the workload's template names, in its namespace.
pub fn named_by(workload: &Workload) -> BTreeMap<ObjectKey, Need> {
    let goes_along = workload
        .placement()
        .is_some_and(|fields| fields.dependencies == federation::api::Dependencies::Auto);
    let Some(template) = workload.template().filter(|_| goes_along) else {
        return BTreeMap::new();
    };
    needs_of_pod(&workload.key.namespace, &template["spec"])
}

/// What a template needs, as it goes to the members, and what of it the hub does not have.
#[derive(Clone, Debug, Default)]
pub struct Fetched {
    /// What the template names.
    asked: BTreeMap<ObjectKey, Need>,
    /// The objects.
    pub items: Vec<Arc<Item>>,
    /// Those that are needed and missing on the hub.
    pub missing: Vec<ObjectKey>,
    /// All that was looked for: a change of any concerns whoever asked.
    pub names: BTreeSet<ObjectKey>,
}

/// Fetches what is named, and what that names in turn.
pub async fn fetch(
    client: &Client,
    hub: &str,
    asked: BTreeMap<ObjectKey, Need>,
    deadline: Duration,
) -> kube::Result<Fetched> {
    let mut fetched = Fetched {
        asked: asked.clone(),
        ..Fetched::default()
    };
    let mut pending = asked;
    while let Some((key, need)) = pending.pop_first() {
        if !fetched.names.insert(key.clone()) {
            continue;
        }
        let api: Api<Readable<DynamicObject>> =
            Api::namespaced_with(client.clone(), &key.namespace, &key.kind.resource());
        let found = api.get_opt(&key.name).with_deadline(deadline).await?;
        match found.map(|found| or_metadata(found.read())) {
            Some(object) if object.metadata.deletion_timestamp.is_none() => {
                // A chain of tokens and accounts ends with the account.
                if fetched.asked.contains_key(&key) || key.kind == ManagedKind::ServiceAccount {
                    for (named, need) in named_by_object(&key, &object) {
                        pending.entry(named).or_insert(need);
                    }
                }
                fetched.items.push(Arc::new(localized(hub, key, &object)));
            }
            _ if need == Need::Required => fetched.missing.push(key),
            _ => {}
        }
    }
    let order = |item: &Arc<Item>| {
        let order = ManagedKind::REMOVAL_ORDER.iter();
        Reverse(order.clone().position(|kind| *kind == item.key.kind))
    };
    fetched.items.sort_by_key(order);
    Ok(fetched)
}

impl Fetched {
    /// It was fetched for these names.
    pub fn covers(&self, asked: &BTreeMap<ObjectKey, Need>) -> bool {
        self.asked == *asked
    }
}
