//! Deleting: at once, after a while, or when the finalizers are gone.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::error::MODIFIED;
use super::{DeleteOptions, Error, Item, Objects, Propagation};
use crate::kinds::Resource;
use crate::meta::{is_deleting, items, metadata, name, number, object_in, text, uid};
use crate::sources::seconds;
use crate::store::{Key, Object, WriteError};

/// Keeps the dependents of an object.
pub(crate) const ORPHAN: &str = "orphan";
/// Makes an object wait for its dependents.
pub(crate) const FOREGROUND: &str = "foregroundDeletion";
/// Makes a definition wait for its objects.
pub(crate) const CLEANUP: &str = "customresourcecleanup.apiextensions.k8s.io";

/// How often a deletion is tried anew when others write, too.
const ATTEMPTS: usize = 20;

/// What became of an object that was to be deleted.
pub(crate) struct Deleted {
    pub(crate) item: Item,
    /// It is no longer there.
    pub(crate) gone: bool,
}

/// What to do with an object that is to be deleted.
enum Step {
    /// Nothing: it is on its way out.
    Leave,
    /// Write it so; it goes later.
    Mark(Value),
    /// Write it so, then remove it.
    MarkAndRemove(Value),
    Remove,
}

impl Objects {
    /// Deletes an object, or marks it for deletion.
    pub(crate) async fn delete(
        &self,
        resource: &Resource,
        key: &Key,
        options: &DeleteOptions,
    ) -> Result<Deleted, Error> {
        for _ in 0..ATTEMPTS {
            let object = self.store.get(key);
            let object = object.ok_or_else(|| Error::not_found(resource, &key.name))?;
            check_preconditions(resource, object.value(), options)?;
            let now = self.sources.now();
            let step = plan(resource, object.value(), options, now);
            match self
                .take_step(resource, &object, step, options.dry_run)
                .await
            {
                Err(WriteError::Conflict { .. }) => {}
                Err(error) => return Err(Error::write(resource, &key.name, &error)),
                Ok(deleted) => return Ok(deleted),
            }
        }
        Err(Error::conflict(resource, &key.name, MODIFIED))
    }

    async fn take_step(
        &self,
        resource: &Resource,
        object: &Arc<Object>,
        step: Step,
        dry_run: bool,
    ) -> Result<Deleted, WriteError> {
        let (item, gone) = match step {
            Step::Leave => (Item::Stored(Arc::clone(object)), false),
            Step::Mark(value) => {
                let item = self.update(resource, object, value, dry_run).await?;
                (item, false)
            }
            Step::MarkAndRemove(value) => {
                let marked = self.update(resource, object, value, dry_run).await?;
                match marked {
                    Item::Stored(marked) => (self.remove(resource, &marked, dry_run).await?, true),
                    made @ Item::Made(_) => (made, true),
                }
            }
            Step::Remove => (self.remove(resource, object, dry_run).await?, true),
        };
        Ok(Deleted { item, gone })
    }
}

fn check_preconditions(
    resource: &Resource,
    value: &Value,
    options: &DeleteOptions,
) -> Result<(), Error> {
    let refuse = |why: &str| {
        Err(Error::conflict_in(
            &resource.group,
            &resource.kind,
            name(value),
            why,
        ))
    };
    let there = uid(value);
    if let Some(given) = options.uid.as_deref().filter(|given| *given != there) {
        return refuse(&format!(
            "the UID in the precondition ({given}) does not match the UID in record ({there}). The object might have been deleted and then recreated"
        ));
    }
    let there = text(value, "/metadata/resourceVersion");
    if let Some(given) = options
        .resource_version
        .as_deref()
        .filter(|given| *given != there)
    {
        return refuse(&format!(
            "the ResourceVersion in the precondition ({given}) does not match the ResourceVersion in record ({there}). The object might have been modified"
        ));
    }
    Ok(())
}

/// What to do with an object that somebody wants to be deleted.
fn plan(resource: &Resource, value: &Value, options: &DeleteOptions, now: Timestamp) -> Step {
    if resource.is("", "Namespace") {
        return plan_namespace(value, now);
    }
    let definition = resource.is("apiextensions.k8s.io", "CustomResourceDefinition");
    if definition && !is_deleting(value) {
        return Step::Mark(terminating_definition(value, now));
    }
    let grace = if resource.traits.graceful {
        grace(value, options, now)
    } else {
        Grace::None
    };
    let finalizers = finalizers(resource, value, options);
    let pending = match &finalizers {
        Some(names) => !names.is_empty(),
        None => !items(value, "/metadata/finalizers").is_empty(),
    };
    let marked = || {
        let mut marked = value.clone();
        if let Some(names) = &finalizers {
            let names = Some(names).filter(|names| !names.is_empty());
            let names = names.map(|names| Value::from(names.as_slice()));
            crate::meta::put(metadata(&mut marked), "finalizers", names);
        }
        marked
    };
    match grace {
        Grace::Pending => Step::Leave,
        Grace::None if pending => {
            let mut marked = marked();
            mark(&mut marked, now);
            if marked == *value {
                return Step::Leave;
            }
            Step::Mark(marked)
        }
        Grace::None => Step::Remove,
        Grace::Until(time, period) => {
            let mut marked = marked();
            bump_generation(&mut marked);
            let fields = metadata(&mut marked);
            fields.insert("deletionTimestamp".to_owned(), seconds(time).into());
            fields.insert("deletionGracePeriodSeconds".to_owned(), period.into());
            if pending || period > 0 {
                Step::Mark(marked)
            } else {
                Step::MarkAndRemove(marked)
            }
        }
    }
}

/// How long an object is given.
enum Grace {
    /// No time.
    None,
    /// It was marked before.
    Pending,
    /// Until this time, a number of seconds from its deletion.
    Until(Timestamp, i64),
}

/// Of a pod that runs somewhere.
fn grace(pod: &Value, options: &DeleteOptions, now: Timestamp) -> Grace {
    let later = |time: Timestamp, seconds: i64| {
        time.checked_add(SignedDuration::from_secs(seconds))
            .unwrap_or(time)
    };
    // What is negative counts as one second.
    let wanted = options
        .grace_period
        .map(|period| if period < 0 { 1 } else { period });
    if is_deleting(pod) {
        let current = number(pod, "/metadata/deletionGracePeriodSeconds").unwrap_or(0);
        if current == 0 {
            return Grace::None;
        }
        let Some(mut wanted) = wanted.filter(|wanted| *wanted < current) else {
            return Grace::Pending;
        };
        let marked = text(pod, "/metadata/deletionTimestamp")
            .parse()
            .unwrap_or(now);
        let mut time = later(marked, wanted - current);
        if time < now {
            time = now;
            wanted = wanted.min(1);
        }
        return Grace::Until(time, wanted);
    }
    let default = number(pod, "/spec/terminationGracePeriodSeconds").unwrap_or(30);
    let mut period = wanted.unwrap_or(default).max(0);
    let finished = matches!(text(pod, "/status/phase"), "Succeeded" | "Failed");
    if text(pod, "/spec/nodeName").is_empty() || finished {
        period = 0;
    }
    Grace::Until(later(now, period), period)
}

fn bump_generation(value: &mut Value) {
    if is_deleting(value) {
        return;
    }
    if let Some(generation) = number(value, "/metadata/generation").filter(|count| *count > 0) {
        metadata(value).insert("generation".to_owned(), (generation + 1).into());
    }
}

/// Marks an object that goes when its finalizers are gone.
fn mark(value: &mut Value, now: Timestamp) {
    bump_generation(value);
    let there = text(value, "/metadata/deletionTimestamp").parse::<Timestamp>();
    if there.is_err() || there.is_ok_and(|there| there > now) {
        let time = seconds(now);
        metadata(value).insert("deletionTimestamp".to_owned(), time.into());
    }
    metadata(value).insert("deletionGracePeriodSeconds".to_owned(), json!(0));
}

/// The finalizers of an object once they say what becomes of the dependents; none if they are as
/// they were.
fn finalizers(resource: &Resource, value: &Value, options: &DeleteOptions) -> Option<Vec<String>> {
    let before = crate::meta::strings(value, "/metadata/finalizers");
    let has = |name: &str| before.iter().any(|finalizer| finalizer == name);
    let (orphan, foreground) = match (options.orphan_dependents, options.propagation) {
        (Some(orphan), _) => (orphan, false),
        (None, Some(propagation)) => (
            propagation == Propagation::Orphan,
            propagation == Propagation::Foreground,
        ),
        (None, None) if has(ORPHAN) => (true, false),
        (None, None) if has(FOREGROUND) => (false, true),
        (None, None) => (resource.traits.orphans_dependents, false),
    };
    let mut after = before.clone();
    after.retain(|finalizer| finalizer != ORPHAN && finalizer != FOREGROUND);
    after.extend(orphan.then(|| ORPHAN.to_owned()));
    after.extend(foreground.then(|| FOREGROUND.to_owned()));
    let sorted = |names: &[String]| {
        let mut names = names.to_vec();
        names.sort();
        names
    };
    (sorted(&after) != sorted(&before)).then_some(after)
}

/// A namespace is emptied first.
fn plan_namespace(value: &Value, now: Timestamp) -> Step {
    if is_deleting(value) {
        let waiting = !items(value, "/spec/finalizers").is_empty()
            || !items(value, "/metadata/finalizers").is_empty();
        return if waiting { Step::Leave } else { Step::Remove };
    }
    let mut marked = value.clone();
    metadata(&mut marked).insert("deletionTimestamp".to_owned(), seconds(now).into());
    object_in(&mut marked, "status").insert("phase".to_owned(), json!("Terminating"));
    Step::Mark(marked)
}

/// A definition whose objects go first.
fn terminating_definition(value: &Value, now: Timestamp) -> Value {
    let mut marked = value.clone();
    let mut finalizers = crate::meta::strings(value, "/metadata/finalizers");
    if !finalizers.iter().any(|finalizer| finalizer == CLEANUP) {
        finalizers.push(CLEANUP.to_owned());
    }
    let fields = metadata(&mut marked);
    fields.insert("finalizers".to_owned(), finalizers.into());
    fields.insert("deletionTimestamp".to_owned(), seconds(now).into());
    let condition = json!({
        "type": "Terminating",
        "status": "True",
        "reason": "InstanceDeletionPending",
        "message": "CustomResourceDefinition marked for deletion; CustomResource deletion will begin soon",
        "lastTransitionTime": seconds(now),
    });
    let mut conditions = items(value, "/status/conditions").to_vec();
    conditions.retain(|condition| text(condition, "/type") != "Terminating");
    conditions.push(condition);
    object_in(&mut marked, "status").insert("conditions".to_owned(), conditions.into());
    marked
}
