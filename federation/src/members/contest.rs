//! Fights with other writers over what we apply on a member: how fast we put back, and against whom.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ManagedFieldsEntry;
use serde_json::Value;
use tokio::time::Instant;

use super::bundle::{Item, ObjectKey};
use super::replacement::is_ours;
use super::text::plain;
use crate::operator::pace::Pace;

/// So many changes without a calm in between are a fight, and no oversight of somebody.
const FIGHT: u32 = 3;
/// The longest name of a field manager that is passed on; Kubernetes has the same limit.
const LONGEST_MANAGER: usize = 128;
/// How many fields are named.
const MOST_FIELDS: usize = 4;

/// Another writer who undoes again and again what we apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contest {
    /// The object on the member.
    pub object: String,
    /// What the other one does, and who it is.
    pub rival: Rival,
}

/// Who undoes what we apply, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rival {
    /// It sets fields that we set.
    Sets {
        /// Its field manager.
        manager: String,
        /// Fields that it sets, e.g. `spec.replicas`.
        fields: Vec<String>,
    },
    /// It deletes the object.
    Deletes,
}

/// The objects that were put back of late.
#[derive(Debug, Default)]
pub(super) struct Contests(BTreeMap<ObjectKey, (Pace, Option<Rival>)>);

impl Contests {
    /// What we applied was changed: when it is to be put back.
    pub(super) fn undone(
        &mut self,
        key: &ObjectKey,
        rival: Option<Rival>,
        now: Instant,
    ) -> Instant {
        self.0.retain(|_, (pace, _)| !pace.is_over(now));
        let (pace, known) = (self.0.entry(key.clone())).or_insert((Pace::new(now), None));
        // Without one, nothing of ours was lost: it was changed, and is not fought over.
        *known = rival;
        pace.undone(now)
    }

    /// It has waited long enough, or nothing has to wait.
    pub(super) fn may_put_back(&self, key: &ObjectKey, now: Instant) -> bool {
        self.0.get(key).is_none_or(|(pace, _)| pace.due() <= now)
    }

    /// Nobody contests it any more, because it is not ours any more.
    pub(super) fn forget(&mut self, key: &ObjectKey) {
        self.0.remove(key);
    }

    /// When one of these is to be put back, or counts as settled.
    pub(super) fn next(
        &self,
        keys: impl Iterator<Item = ObjectKey>,
        now: Instant,
    ) -> Option<Instant> {
        let paces = keys.filter_map(|key| self.0.get(&key).map(|(pace, _)| *pace));
        paces
            .filter_map(|pace| {
                if pace.due() > now {
                    Some(pace.due())
                } else {
                    (pace.times() >= FIGHT && !pace.is_over(now)).then(|| pace.ends())
                }
            })
            .min()
    }

    /// Of these, the first that is fought over.
    pub(super) fn find(
        &self,
        mut keys: impl Iterator<Item = ObjectKey>,
        now: Instant,
    ) -> Option<Contest> {
        keys.find_map(|key| {
            let (pace, rival) = self.0.get(&key)?;
            let fought = pace.times() >= FIGHT && !pace.is_over(now);
            let rival = rival.clone().filter(|_| fought)?;
            let object = key.to_string();
            Some(Contest { object, rival })
        })
    }
}

/// Who holds fields by now that the item sets, and we do not hold any more.
pub(super) fn rival(managed: &[ManagedFieldsEntry], item: &Item) -> Option<Rival> {
    let mut applied = item.manifest.object();
    if let Some(spec) = applied["spec"].as_object_mut() {
        spec.retain(|field, _| !item.retain.iter().any(|one| one == field));
    }
    let ours = |entry: &&ManagedFieldsEntry| entry.manager.as_deref().is_some_and(is_ours);
    let held: Vec<&Value> = managed.iter().filter(ours).filter_map(fields).collect();
    let others = managed.iter().filter(|entry| !ours(entry));
    let mut found: Vec<_> = others
        .filter(|entry| entry.subresource.as_deref() != Some("status"))
        .filter_map(|entry| {
            let mut lost = Vec::new();
            taken(fields(entry)?, &applied, &held, "", &mut lost);
            let manager = entry.manager.as_deref().unwrap_or("unknown");
            (!lost.is_empty()).then(|| (entry.time.clone(), manager, lost))
        })
        .collect();
    found.sort_by(|a, b| a.0.cmp(&b.0));
    let (_, manager, mut lost) = found.pop()?;
    lost.truncate(MOST_FIELDS);
    let manager: String = plain(manager).chars().take(LONGEST_MANAGER).collect();
    Some(Rival::Sets {
        manager,
        fields: lost,
    })
}

fn fields(entry: &ManagedFieldsEntry) -> Option<&Value> {
    entry.fields_v1.as_ref().map(|fields| &fields.0)
}

/// The leaves of `theirs` that `applied` has a value for and none of `held` has.
fn taken(theirs: &Value, applied: &Value, held: &[&Value], path: &str, lost: &mut Vec<String>) {
    let Some(theirs) = theirs.as_object() else {
        return;
    };
    for (name, below) in theirs {
        let Some((step, value)) = follow(name, applied) else {
            continue;
        };
        let held: Vec<&Value> = held.iter().filter_map(|fields| fields.get(name)).collect();
        let path = match (path, step.as_str()) {
            ("", step) => step.to_owned(),
            (path, step) if step.starts_with('[') => format!("{path}{step}"),
            (path, step) => format!("{path}.{step}"),
        };
        // The marker of an entry itself is no field.
        let is_leaf = (below.as_object()).is_none_or(|below| below.keys().all(|key| key == "."));
        if is_leaf && held.is_empty() {
            lost.push(plain(&path));
        } else if !is_leaf {
            taken(below, value, &held, &path, lost);
        }
    }
}

/// One step of a set of fields: what it is called, and the value there.
fn follow<'a>(name: &str, value: &'a Value) -> Option<(String, &'a Value)> {
    if let Some(field) = name.strip_prefix("f:") {
        return Some((field.to_owned(), value.get(field)?));
    }
    let keys: Value = serde_json::from_str(name.strip_prefix("k:")?).ok()?;
    let keys = keys.as_object()?;
    let entry = value.as_array()?.iter().find(|entry| {
        keys.iter()
            .all(|(key, wanted)| entry.get(key) == Some(wanted))
    })?;
    let label = keys.values().next()?;
    let label = label
        .as_str()
        .map_or_else(|| label.to_string(), str::to_owned);
    Some((format!("[{label}]"), entry))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::api::FIELD_MANAGER;
    use crate::members::bundle::ManagedKind;
    use crate::members::manifest::Manifest;

    fn entry(manager: &str, operation: &str, time: &str, fields: &Value) -> ManagedFieldsEntry {
        serde_json::from_value(json!({
            "manager": manager, "operation": operation, "time": time,
            "fieldsType": "FieldsV1", "fieldsV1": fields,
        }))
        .unwrap()
    }

    fn key() -> ObjectKey {
        ObjectKey {
            kind: ManagedKind::Deployment,
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
        }
    }

    #[test]
    fn the_rival_is_who_took_what_we_set() {
        let applied = json!({ "spec": { "replicas": 1, "template": { "spec": { "containers": [
            { "name": "web", "image": "web:1" },
        ] } } } });
        let ours = entry(
            FIELD_MANAGER,
            "Update",
            "2026-01-01T00:00:00Z",
            &json!({ "f:spec": { "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"web\"}": { ".": {}, "f:name": {} },
            } } } } }),
        );
        let controller = entry(
            "kube-controller-manager",
            "Update",
            "2026-01-01T00:00:09Z",
            &json!({ "f:metadata": { "f:annotations": { "f:deployment.kubernetes.io/revision": {} } } }),
        );
        let scaler = entry(
            "keda\u{1b}[31m",
            "Update",
            "2026-01-01T00:00:02Z",
            &json!({ "f:spec": { "f:replicas": {}, "f:template": { "f:spec": { "f:containers": {
                "k:{\"name\":\"web\"}": { "f:image": {} },
            } } } } }),
        );
        let item = |retain: &[&'static str]| Item {
            key: key(),
            manifest: Manifest::new(applied.clone()),
            shared: false,
            revision: 0,
            retain: retain.to_vec(),
        };
        let all = [ours.clone(), controller.clone(), scaler];
        let found = rival(&all, &item(&[])).unwrap();
        let Rival::Sets {
            manager,
            mut fields,
        } = found
        else {
            panic!("{found:?}")
        };
        fields.sort();
        assert_eq!(manager, "keda [31m");
        assert_eq!(
            fields,
            ["spec.replicas", "spec.template.spec.containers[web].image"]
        );
        assert_eq!(rival(&[ours, controller], &item(&[])), None);
        let Some(Rival::Sets { fields, .. }) = rival(&all, &item(&["replicas"])) else {
            panic!("the image is still fought over")
        };
        assert_eq!(fields, ["spec.template.spec.containers[web].image"]);
    }

    #[test]
    fn a_fight_is_named_from_the_third_time_and_until_a_calm() {
        let key = key();
        let keys = || std::iter::once(key.clone());
        let mut contests = Contests::default();
        let mut now = Instant::now();
        for _ in 0..3 {
            assert_eq!(contests.find(keys(), now), None);
            let due = contests.undone(&key, Some(Rival::Deletes), now);
            assert_eq!(contests.may_put_back(&key, now), due == now);
            now = due;
        }
        let found = contests.find(keys(), now).unwrap();
        assert_eq!(found.object, "Deployment shop/web");
        let end = contests.next(keys(), now).unwrap();
        assert_eq!(contests.find(keys(), end), None);
        assert_eq!(contests.next(keys(), end), None);
    }
}
