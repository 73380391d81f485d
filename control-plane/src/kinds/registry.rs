//! Which kinds are served at the moment.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use super::{Resource, builtin};

/// The kinds that are served, as of one moment. Never changed; replaced.
#[derive(Debug, Default)]
pub(crate) struct Kinds {
    /// In discovery's order.
    resources: Vec<Arc<Resource>>,
    /// By group, version and plural.
    by_path: BTreeMap<(String, String, String), Arc<Resource>>,
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
    pub(crate) fn stored(&self) -> Vec<&Arc<Resource>> {
        let mut seen = Vec::new();
        let mut stored = Vec::new();
        for resource in self
            .resources
            .iter()
            .filter(|resource| !resource.traits.virtual_)
        {
            if !seen.contains(&&resource.table) {
                seen.push(&resource.table);
                stored.push(resource);
            }
        }
        stored
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
        let mut groups = Vec::new();
        for resource in &self.resources {
            let group = resource.group.as_str();
            if !group.is_empty() && !groups.contains(&group) {
                groups.push(group);
            }
        }
        groups
    }
}

/// The kinds as they are now.
#[derive(Debug)]
pub(crate) struct Registry {
    builtin: Vec<Arc<Resource>>,
    now: RwLock<Arc<Kinds>>,
    /// Held while custom resources are gathered.
    gathering: Mutex<()>,
}

impl Registry {
    /// With the built-in kinds.
    pub(crate) fn new(metrics: bool) -> Self {
        let mut all = builtin::builtin();
        if metrics {
            all.extend(builtin::metrics());
        }
        let builtin: Vec<_> = all.into_iter().map(Arc::new).collect();
        let now = RwLock::new(Arc::new(Kinds::new(builtin.iter().cloned())));
        Self {
            builtin,
            now,
            gathering: Mutex::default(),
        }
    }

    pub(crate) fn now(&self) -> Arc<Kinds> {
        let now = self.now.read().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(&now)
    }

    /// Serves these custom resources beside the built-in ones. They are gathered in turn, so that what one has read earlier never takes the place of what
    /// another has read later.
    pub(crate) fn set_custom(&self, gather: impl FnOnce() -> Vec<Arc<Resource>>) {
        let _turn = self
            .gathering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        self.set(self.builtin.iter().cloned().chain(gather()));
    }

    /// Serves the custom resource of this table no more.
    pub(crate) fn drop_custom(&self, table: &str) {
        let _turn = self
            .gathering
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (now, builtin) = (self.now(), self.builtin.iter().cloned());
        let others = now.all().iter().filter(|one| one.custom.is_some());
        let others = others.filter(|one| one.table != table).cloned();
        self.set(builtin.chain(others));
    }

    fn set(&self, all: impl Iterator<Item = Arc<Resource>>) {
        let kinds = Arc::new(Kinds::new(all));
        *self.now.write().unwrap_or_else(PoisonError::into_inner) = kinds;
    }
}
