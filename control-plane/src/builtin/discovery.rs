//! What discovery tells of the built-in kinds.
//!
//! `discovery.txt` has a line for each kind, and below it a line for each of its subresources. `short`,
//! `categories` and `hash` are left out where there are none.
//!
//! ```text
//! apps/v1 Deployment deployments deployment namespaced verbs=get,list short=deploy hash=8aSe+NMegvE=
//!   scale autoscaling/v1 Scale get,patch,update
//! ```

use std::collections::HashMap;
use std::sync::LazyLock;

use super::metrics;
use crate::kinds::Subresource;

/// What discovery tells of a kind in one version.
#[derive(Debug, Default)]
pub(super) struct Facts {
    pub(super) plural: &'static str,
    pub(super) singular: &'static str,
    pub(super) namespaced: bool,
    pub(super) verbs: Vec<&'static str>,
    pub(super) short_names: Vec<&'static str>,
    pub(super) categories: Vec<&'static str>,
    /// Tells clients that migrate storage which version is stored; empty if nothing is stored.
    pub(super) storage_hash: &'static str,
    pub(super) subresources: Vec<Subresource>,
}

/// Group, version and kind.
type Key = (&'static str, &'static str, &'static str);

static FACTS: LazyLock<HashMap<Key, Facts>> = LazyLock::new(|| {
    let mut all = parse(include_str!("discovery.txt"));
    all.extend(parse(metrics::DISCOVERY));
    all
});

impl Facts {
    /// The facts of a kind; none if `discovery.txt` lacks it.
    pub(super) fn of(
        group: &'static str,
        version: &'static str,
        kind: &'static str,
    ) -> Option<&'static Self> {
        FACTS.get(&(group, version, kind))
    }

    /// Every kind that there are facts of.
    #[cfg(test)]
    pub(super) fn kinds() -> impl Iterator<Item = &'static Key> {
        FACTS.keys()
    }
}

fn parse(text: &'static str) -> HashMap<Key, Facts> {
    let mut all = HashMap::<_, Facts>::new();
    let mut current = ("", "", "");
    for line in text.lines() {
        if let Some(line) = line.strip_prefix("  ") {
            let subresources = all.get_mut(&current).map(|facts| &mut facts.subresources);
            if let Some((subresources, found)) = subresources.zip(subresource(line)) {
                subresources.push(found);
            }
        } else if let Some((key, facts)) = kind(line) {
            current = key;
            all.insert(key, facts);
        }
    }
    all
}

fn kind(line: &'static str) -> Option<(Key, Facts)> {
    let mut words = line.split(' ');
    let (group, version) = split(words.next()?);
    let key = (group, version, words.next()?);
    let mut facts = Facts {
        plural: words.next()?,
        singular: words.next()?,
        namespaced: words.next()? == "namespaced",
        ..Facts::default()
    };
    for word in words {
        let (name, value) = word.split_once('=')?;
        let values = value.split(',').collect();
        match name {
            "verbs" => facts.verbs = values,
            "short" => facts.short_names = values,
            "categories" => facts.categories = values,
            "hash" => facts.storage_hash = value,
            _ => return None,
        }
    }
    Some((key, facts))
}

fn subresource(line: &'static str) -> Option<Subresource> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let (group, version) = split(words.next()?);
    Some(Subresource {
        name,
        group: group.to_owned(),
        version: version.to_owned(),
        kind: words.next()?.to_owned(),
        verbs: words.next()?.split(',').collect(),
    })
}

/// The group and the version of `apps/v1`; the core has no group.
fn split(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}
