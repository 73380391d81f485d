//! The bindings of roles by whom they bind, so that a request costs the bindings of its user and
//! not all that there are.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use serde_json::Value;

use super::User;
use crate::kinds::table;
use crate::meta::{items, namespace, text};
use crate::store::{Object, Page, Store};

pub(crate) const GROUP: &str = "rbac.authorization.k8s.io";

/// The kinds of bindings, each with its table's name in paths.
const CLUSTER: (&str, &str) = ("ClusterRoleBinding", "clusterrolebindings");
const NAMESPACED: (&str, &str) = ("RoleBinding", "rolebindings");

/// A binding that counts for a user, with the subject that does it.
#[derive(Clone, Debug)]
pub(crate) struct Bound {
    pub(crate) kind: &'static str,
    pub(crate) binding: Arc<Object>,
    /// Of the binding's list of subjects.
    subject: usize,
    /// Of all bindings of the kind, in the order in which they are listed.
    position: usize,
}

impl Bound {
    pub(crate) fn subject(&self) -> &Value {
        let subjects = items(self.binding.value(), "/subjects");
        subjects.get(self.subject).unwrap_or(&Value::Null)
    }
}

/// Whom a binding binds. Service accounts are users, by their names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Subject {
    User(String),
    Group(String),
}

impl Subject {
    /// Of a binding in a namespace, or in none.
    fn of(subject: &Value, namespace: &str) -> Option<Self> {
        let name = text(subject, "/name");
        match text(subject, "/kind") {
            "User" => Some(Self::User(name.to_owned())),
            "Group" => Some(Self::Group(name.to_owned())),
            "ServiceAccount" => {
                let given = text(subject, "/namespace");
                let namespace = if given.is_empty() { namespace } else { given };
                let user = format!("system:serviceaccount:{namespace}:{name}");
                (!namespace.is_empty()).then_some(Self::User(user))
            }
            _ => None,
        }
    }
}

/// The bindings of one kind by namespace and subject, as of a revision of their table.
#[derive(Debug)]
struct Index {
    revision: u64,
    bound: BTreeMap<(String, Subject), Vec<Bound>>,
}

impl Index {
    fn new(store: &Store, (kind, plural): (&'static str, &str), revision: u64) -> Self {
        let list = store.list(&table(GROUP, plural), None, &Page::default());
        let bindings = list.map(|list| list.items).unwrap_or_default();
        let mut bound: BTreeMap<_, Vec<Bound>> = BTreeMap::new();
        for (position, binding) in bindings.into_iter().enumerate() {
            let place = namespace(binding.value());
            for (index, subject) in items(binding.value(), "/subjects").iter().enumerate() {
                let Some(subject) = Subject::of(subject, place) else {
                    continue;
                };
                let key = (place.to_owned(), subject);
                bound.entry(key).or_default().push(Bound {
                    kind,
                    binding: Arc::clone(&binding),
                    subject: index,
                    position,
                });
            }
        }
        Self { revision, bound }
    }

    /// Those of a user, in order, each once.
    fn of(&self, user: &User, namespace: &str) -> Vec<Bound> {
        let groups = user.groups.iter().cloned().map(Subject::Group);
        let subjects = std::iter::once(Subject::User(user.name.clone())).chain(groups);
        let found = subjects.filter_map(|subject| self.bound.get(&(namespace.to_owned(), subject)));
        let mut found: Vec<Bound> = found.flatten().cloned().collect();
        found.sort_by_key(|bound| (bound.position, bound.subject));
        found.dedup_by_key(|bound| bound.position);
        found
    }
}

/// The bindings in the store, looked up by user. What it knows is read again when a binding has
/// been written.
#[derive(Debug, Default)]
pub(crate) struct Bindings {
    cluster: RwLock<Option<Arc<Index>>>,
    namespaced: RwLock<Option<Arc<Index>>>,
}

impl Bindings {
    /// The bindings that count for a user everywhere, and in a namespace unless it is empty.
    pub(crate) fn of(&self, store: &Store, user: &User, namespace: &str) -> Vec<Bound> {
        let mut bound = current(&self.cluster, store, CLUSTER).of(user, "");
        if !namespace.is_empty() {
            bound.extend(current(&self.namespaced, store, NAMESPACED).of(user, namespace));
        }
        bound
    }
}

fn current(
    cache: &RwLock<Option<Arc<Index>>>,
    store: &Store,
    kind: (&'static str, &str),
) -> Arc<Index> {
    // Before the list: a write in between makes the next reader read again.
    let revision = store.table_revision(&table(GROUP, kind.1));
    let known = cache.read().unwrap_or_else(PoisonError::into_inner).clone();
    if let Some(index) = known.filter(|index| index.revision == revision) {
        return index;
    }
    let index = Arc::new(Index::new(store, kind, revision));
    *cache.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&index));
    index
}
