//! Which kinds are served at the moment.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockWriteGuard};

use super::Resource;

/// The kinds that are served, as of one moment. Never changed; replaced.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// In discovery's order.
    resources: Vec<Arc<Resource>>,
    /// By group, version and plural.
    by_path: BTreeMap<(String, String, String), Arc<Resource>>,
    /// Of each kind that is stored, its first version: in discovery's order.
    stored: Vec<Arc<Resource>>,
    /// The same, by table.
    by_table: BTreeMap<String, Arc<Resource>>,
}

impl Kinds {
    fn new(resources: impl IntoIterator<Item = Arc<Resource>>) -> Self {
        let mut kinds = Self::default();
        for resource in resources {
            let path = (
                resource.group.clone(),
                resource.version.clone(),
                resource.plural.clone(),
            );
            kinds.by_path.insert(path, Arc::clone(&resource));
            if !resource.traits.virtual_ && !kinds.by_table.contains_key(&resource.table) {
                let table = resource.table.clone();
                kinds.by_table.insert(table, Arc::clone(&resource));
                kinds.stored.push(Arc::clone(&resource));
            }
            kinds.resources.push(resource);
        }
        kinds
    }

    /// The resource under a path.
    pub(crate) fn find(&self, group: &str, version: &str, plural: &str) -> Option<&Arc<Resource>> {
        let path = (group.to_owned(), version.to_owned(), plural.to_owned());
        self.by_path.get(&path)
    }

    /// The resource of a type, as an owner reference or a scale target names it.
    pub(crate) fn find_kind(&self, api_version: &str, kind: &str) -> Option<&Arc<Resource>> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let mut of_group = self.resources.iter().filter(|resource| {
            resource.group == group && resource.version == version && !resource.traits.virtual_
        });
        of_group.find(|resource| resource.kind == kind)
    }

    /// All of them, in discovery's order.
    pub(crate) fn all(&self) -> &[Arc<Resource>] {
        &self.resources
    }

    /// One resource of each table of the store, in order: of each kind, its first version.
    pub(crate) fn stored(&self) -> &[Arc<Resource>] {
        &self.stored
    }

    /// The first version of the kind whose objects are in a table of the store.
    pub(crate) fn of_table(&self, table: &str) -> Option<&Arc<Resource>> {
        self.by_table.get(table)
    }

    /// The versions of a group, the preferred one first.
    pub(crate) fn versions(&self, group: &str) -> Vec<&str> {
        let mut versions = Vec::new();
        for resource in self
            .resources
            .iter()
            .filter(|resource| resource.group == group)
        {
            if !versions.contains(&resource.version.as_str()) {
                versions.push(resource.version.as_str());
            }
        }
        versions
    }

    /// Whether a group has nothing but custom resources.
    pub(crate) fn is_custom(&self, group: &str) -> bool {
        let mut of_group = self
            .resources
            .iter()
            .filter(|resource| resource.group == group);
        of_group.all(|resource| resource.custom.is_some())
    }

    /// The groups but the core, in discovery's order.
    pub(crate) fn groups(&self) -> Vec<&str> {
        let mut seen = BTreeSet::from([""]);
        let groups = self.resources.iter().map(|resource| &*resource.group);
        groups.filter(|group| seen.insert(*group)).collect()
    }
}

/// The kinds as they are now.
#[derive(Debug)]
pub(crate) struct Registry {
    builtin: Vec<Arc<Resource>>,
    now: RwLock<Served>,
}

/// What is served beside the built-in kinds.
#[derive(Debug, Default)]
struct Served {
    /// By definition: who came first counts first.
    custom: BTreeMap<String, Custom>,
    /// All kinds; none since the last change, until somebody asks.
    kinds: Option<Arc<Kinds>>,
}

/// The kind of a definition.
#[derive(Debug)]
struct Custom {
    created: String,
    /// Its versions.
    resources: Vec<Arc<Resource>>,
}

impl Registry {
    /// With the built-in kinds, in discovery's order.
    pub(crate) fn new(builtin: Vec<Resource>) -> Self {
        Self {
            builtin: builtin.into_iter().map(Arc::new).collect(),
            now: RwLock::default(),
        }
    }

    /// All kinds as of now.
    pub(crate) fn now(&self) -> Arc<Kinds> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(kinds) = &now.kinds {
            return Arc::clone(kinds);
        }
        drop(now);
        let mut served = self.served();
        let mut custom: Vec<_> = served.custom.iter().collect();
        custom.sort_by_key(|(name, custom)| (&custom.created, *name));
        let custom = custom.into_iter().flat_map(|(_, custom)| &custom.resources);
        let kinds = Kinds::new(self.builtin.iter().chain(custom).cloned());
        Arc::clone(served.kinds.insert(Arc::new(kinds)))
    }

    /// Serves the versions of a definition that was created at a time, in place of those that it
    /// had.
    pub(crate) fn set_custom(
        &self,
        definition: &str,
        created: String,
        resources: Vec<Arc<Resource>>,
    ) {
        let mut served = self.served();
        let custom = Custom { created, resources };
        served.custom.insert(definition.to_owned(), custom);
        served.kinds = None;
    }

    /// Serves nothing of a definition any more.
    pub(crate) fn drop_custom(&self, definition: &str) {
        self.retain_custom(|name| name != definition);
    }

    /// Serves nothing but of these definitions any more.
    pub(crate) fn retain_custom(&self, stays: impl Fn(&str) -> bool) {
        let mut served = self.served();
        let before = served.custom.len();
        served.custom.retain(|name, _| stays(name));
        if served.custom.len() != before {
            served.kinds = None;
        }
    }

    fn served(&self) -> RwLockWriteGuard<'_, Served> {
        self.now.write().unwrap_or_else(PoisonError::into_inner)
    }
}
