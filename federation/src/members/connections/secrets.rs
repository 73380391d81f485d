//! Watches on the Secrets that access may be read from: one for each namespace, of metadata only.

use std::cell::Cell;
use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::ObjectMeta;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::{self, Event};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::state::SecretName;
use crate::members::readable::{Item as Readable, Read, metadata};
use crate::members::watching::{map_event, refusal, watch_with};
use crate::operator::hub::log_watch_error;

/// The metadata of the Secrets of a namespace, or of all.
pub(super) type SecretsApi = Api<Readable<PartialObjectMeta<Secret>>>;

/// Watches until stopped. Says which Secret is new, changed or gone, and whether all that happens in
/// a namespace is seen.
pub(super) async fn watch(
    namespaces: Vec<(String, SecretsApi)>,
    changed: impl Fn(&SecretName),
    set_watched: impl Fn(&str, bool),
    stop: &CancellationToken,
) {
    let watches = namespaces.into_iter().map(|(namespace, api)| {
        let (changed, set_watched) = (&changed, &set_watched);
        async move {
            let mut secrets = Versions::default();
            let mut is_refused = false;
            let is_listed = Cell::new(false);
            let handle = |event: Event<Read<PartialObjectMeta<Secret>>>| {
                if matches!(event, Event::InitDone) && !is_listed.replace(true) {
                    set_watched(&namespace, true);
                }
                let event = map_event(event, |secret| metadata(&secret).clone());
                secrets.observe(event).iter().for_each(changed);
            };
            let failed = |error: &watcher::Error| {
                if is_listed.replace(false) {
                    set_watched(&namespace, false);
                }
                match refusal(error) {
                    Some(problem) if !std::mem::replace(&mut is_refused, true) => warn!(
                        namespace,
                        problem,
                        "watch on Secrets forbidden: those that MemberClusters name are polled; grant list and watch as manifests/controllers/ does"
                    ),
                    Some(_) => {}
                    None => log_watch_error(error),
                }
            };
            watch_with(api, handle, failed, stop).await;
        }
    });
    futures::future::join_all(watches).await;
}

/// The versions of the Secrets of a namespace.
#[derive(Default)]
struct Versions {
    known: BTreeMap<SecretName, Option<String>>,
    /// Those that a list has not mentioned yet.
    unlisted: BTreeMap<SecretName, Option<String>>,
}

impl Versions {
    /// The Secrets that are other ones than before.
    fn observe(&mut self, event: Event<ObjectMeta>) -> Vec<SecretName> {
        match event {
            Event::Init => {
                self.unlisted = self.known.clone();
                Vec::new()
            }
            Event::InitApply(secret) | Event::Apply(secret) => {
                let name = name_of(&secret);
                let version = secret.resource_version;
                self.unlisted.remove(&name);
                let before = self.known.insert(name.clone(), version.clone());
                if before == Some(version) {
                    Vec::new()
                } else {
                    vec![name]
                }
            }
            Event::Delete(secret) => {
                let name = name_of(&secret);
                self.known.remove(&name);
                vec![name]
            }
            Event::InitDone => {
                let gone: Vec<_> = std::mem::take(&mut self.unlisted).into_keys().collect();
                for name in &gone {
                    self.known.remove(name);
                }
                gone
            }
        }
    }
}

fn name_of(secret: &ObjectMeta) -> SecretName {
    SecretName {
        namespace: secret.namespace.clone().unwrap_or_default(),
        name: secret.name.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(name: &str, version: &str) -> ObjectMeta {
        ObjectMeta {
            namespace: Some("access".to_owned()),
            name: Some(name.to_owned()),
            resource_version: Some(version.to_owned()),
            ..ObjectMeta::default()
        }
    }

    fn names(changed: &[SecretName]) -> Vec<&str> {
        changed.iter().map(|one| one.name.as_str()).collect()
    }

    #[test]
    fn a_list_tells_what_changed_while_nobody_watched() {
        let mut versions = Versions::default();
        versions.observe(Event::Init);
        for name in ["same", "changed", "gone"] {
            let news = versions.observe(Event::InitApply(secret(name, "1")));
            assert_eq!(names(&news), [name]);
        }
        assert!(versions.observe(Event::InitDone).is_empty());

        versions.observe(Event::Init);
        assert!(
            versions
                .observe(Event::InitApply(secret("same", "1")))
                .is_empty()
        );
        let news = versions.observe(Event::InitApply(secret("changed", "2")));
        assert_eq!(names(&news), ["changed"]);
        assert_eq!(names(&versions.observe(Event::InitDone)), ["gone"]);
        assert_eq!(
            names(&versions.observe(Event::Delete(secret("same", "3")))),
            ["same"]
        );
    }
}
