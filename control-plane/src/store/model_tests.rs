//! The store does what the model does, whatever is asked of it.

use std::num::NonZeroUsize;
use std::task::Poll;

use proptest::prelude::*;
use serde_json::json;

use super::fake_disk::FakeDisk;
use super::model::Model;
use super::tests::waiting;
use super::*;

const RESOURCES: [&str; 3] = ["pods", "apps/deployments", "nodes"];
const NAMESPACES: [&str; 3] = ["a", "a-b", "b"];
const NAMES: [&str; 3] = ["x", "x-1", "y"];

#[derive(Clone, Debug)]
enum Step {
    Create(Key),
    /// With the right revision, or with another.
    Update(Key, bool),
    Delete(Key, bool),
    List(usize, Option<usize>, usize),
    Continue,
    /// A resource, a namespace, and how far back.
    Watch(usize, Option<usize>, u64),
    /// A watch, and how many events to take.
    Read(usize, usize),
    Drop(usize),
    Restart,
}

fn key() -> impl Strategy<Value = Key> {
    (0..3_usize, 0..3_usize, 0..3_usize).prop_map(|(resource, namespace, name)| {
        let resource = RESOURCES[resource];
        let namespace = (resource != "nodes").then_some(NAMESPACES[namespace]);
        Key::new(resource, namespace, NAMES[name])
    })
}

fn step() -> impl Strategy<Value = Step> {
    let namespace = || prop::option::of(0..3_usize);
    prop_oneof![
        8 => key().prop_map(Step::Create),
        8 => (key(), prop::bool::weighted(0.9)).prop_map(|(key, right)| Step::Update(key, right)),
        4 => (key(), prop::bool::weighted(0.9)).prop_map(|(key, right)| Step::Delete(key, right)),
        2 => (0..3_usize, namespace(), 0..4_usize).prop_map(|(r, n, limit)| Step::List(r, n, limit)),
        4 => Just(Step::Continue),
        2 => (0..3_usize, namespace(), 0..20_u64).prop_map(|(r, n, back)| Step::Watch(r, n, back)),
        6 => (0..8_usize, 0..6_usize).prop_map(|(watch, count)| Step::Read(watch, count)),
        1 => (0..8_usize).prop_map(Step::Drop),
        1 => Just(Step::Restart),
    ]
}

fn seen(object: &Object) -> (u64, u64) {
    let value = object.value();
    assert_eq!(
        value["metadata"]["resourceVersion"],
        object.revision().to_string()
    );
    (object.revision(), value["n"].as_u64().unwrap())
}

/// A watch, and what the model knows of it.
struct Watching {
    watch: Watch,
    resource: &'static str,
    namespace: Option<&'static str>,
    seen: u64,
    room: usize,
    /// Events from here on found no room.
    full: Option<u64>,
}

impl Watching {
    /// Takes some events, and compares.
    fn read(&mut self, count: usize, model: &Model) {
        for _ in 0..count {
            let expected = model.since(self.resource, self.namespace, self.seen);
            match waiting(&mut self.watch) {
                Poll::Ready(Some(Ok(event))) => {
                    assert_eq!(self.full, None);
                    let previous = event.previous.as_deref().map(seen);
                    let found = (event.revision, event.change, seen(&event.object), previous);
                    assert_eq!(Some(&found), expected.first());
                    self.seen = event.revision;
                }
                Poll::Ready(Some(Err(expired))) => {
                    assert_eq!(Some(expired.oldest), self.full);
                    assert!(matches!(waiting(&mut self.watch), Poll::Ready(None)));
                    return;
                }
                Poll::Ready(None) => {
                    assert!(self.full.is_some());
                    return;
                }
                Poll::Pending => {
                    assert_eq!(expected, []);
                    assert_eq!(self.watch.progress(), model.revision().max(self.seen));
                    return;
                }
            }
        }
    }

    /// Notes whether an event that was just written found room.
    fn note(&mut self, model: &Model) {
        let waiting = model.since(self.resource, self.namespace, self.seen);
        if waiting.len() > self.room && self.full.is_none() {
            self.full = waiting.last().map(|event| event.0);
        }
    }
}

struct Run {
    options: Options,
    disk: Option<FakeDisk>,
    store: Store,
    model: Model,
    watches: Vec<Watching>,
    /// A list that goes on: resource, namespace, the page to come.
    list: Option<(&'static str, Option<&'static str>, Page)>,
    runtime: tokio::runtime::Runtime,
    count: u64,
}

impl Run {
    fn new(options: Options, disk: Option<FakeDisk>) -> Self {
        let store = match &disk {
            Some(disk) => Store::on(Box::new(disk.clone()), options).unwrap(),
            None => Store::memory(options),
        };
        Self {
            options,
            disk,
            store,
            model: Model {
                floor: 1,
                ..Model::default()
            },
            watches: Vec::new(),
            list: None,
            runtime: tokio::runtime::Builder::new_current_thread()
                .build()
                .unwrap(),
            count: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Create(key) => {
                let before = self.model.get(&key);
                let value = self.value();
                let outcome = self.runtime.block_on(self.store.create(key.clone(), value));
                match outcome {
                    Ok(object) => self.happened(key, Change::Added, seen(&object), None, before),
                    Err(WriteError::Exists) => assert!(before.is_some()),
                    Err(error) => panic!("{error}"),
                }
            }
            Step::Update(key, right) => {
                let before = self.model.get(&key);
                let expected = expected(before, right);
                let value = self.value();
                let write = self.store.update(key.clone(), value, expected);
                let outcome = self.runtime.block_on(write);
                self.changed(key, Change::Modified, outcome, before, expected);
            }
            Step::Delete(key, right) => {
                let before = self.model.get(&key);
                let expected = expected(before, right);
                let outcome = self
                    .runtime
                    .block_on(self.store.delete(key.clone(), expected));
                self.changed(key, Change::Deleted, outcome, before, expected);
            }
            Step::List(resource, namespace, limit) => {
                let namespace = namespace.map(|number| NAMESPACES[number]);
                let page = Page {
                    limit: NonZeroUsize::new(limit),
                    ..Page::default()
                };
                self.list(RESOURCES[resource], namespace, page);
            }
            Step::Continue => {
                if let Some((resource, namespace, page)) = self.list.take() {
                    self.list(resource, namespace, page);
                }
            }
            Step::Watch(resource, namespace, back) => {
                let namespace = namespace.map(|number| NAMESPACES[number]);
                let after = (self.model.revision() + 2).saturating_sub(back);
                self.watch(RESOURCES[resource], namespace, after);
            }
            Step::Read(number, count) => {
                if let Some(watching) = self.watches.get_mut(number) {
                    watching.read(count, &self.model);
                }
            }
            Step::Drop(number) => {
                if number < self.watches.len() {
                    self.watches.remove(number);
                }
            }
            Step::Restart => self.restart(),
        }
        assert_eq!(self.store.revision(), self.model.revision());
    }

    fn value(&mut self) -> Value {
        self.count += 1;
        json!({"n": self.count})
    }

    fn changed(
        &mut self,
        key: Key,
        change: Change,
        outcome: Result<Arc<Object>, WriteError>,
        before: Option<(u64, u64)>,
        expected: u64,
    ) {
        match outcome {
            Ok(object) => {
                let current = before.map(|(revision, _)| revision);
                assert_eq!(Some(expected), current);
                self.happened(key, change, seen(&object), before, None);
            }
            Err(WriteError::NotFound) => assert_eq!(before, None),
            Err(WriteError::Conflict { current, .. }) => {
                assert_ne!(current, expected);
                assert_eq!(Some(current), before.map(|(revision, _)| revision));
            }
            Err(error) => panic!("{error}"),
        }
    }

    fn happened(
        &mut self,
        key: Key,
        change: Change,
        object: (u64, u64),
        previous: Option<(u64, u64)>,
        unwanted: Option<(u64, u64)>,
    ) {
        assert_eq!(unwanted, None);
        let revision = self.model.revision() + 1;
        let number = match (change, previous) {
            (Change::Deleted, Some((_, number))) => number,
            _ => self.count,
        };
        assert_eq!(object, (revision, number));
        self.model
            .events
            .push((key, (revision, change, object, previous)));
        for watching in &mut self.watches {
            watching.note(&self.model);
        }
    }

    fn list(&mut self, resource: &'static str, namespace: Option<&'static str>, mut page: Page) {
        let revision = page.at.unwrap_or(self.model.revision());
        let oldest = self.model.oldest(resource, self.options.history);
        let found = self.store.list(resource, namespace, &page);
        if revision < oldest {
            assert_eq!(found.unwrap_err(), ReadError::Expired(Expired { oldest }));
            return;
        }
        let found = found.unwrap();
        let all = self
            .model
            .at(resource, revision)
            .into_iter()
            .filter(|(path, _)| {
                let prefix = namespace.map(|namespace| format!("{namespace}/"));
                prefix.is_none_or(|prefix| path.starts_with(&prefix))
                    && page.after.as_ref().is_none_or(|after| path > after)
            });
        let all: Vec<_> = all.collect();
        let count = page
            .limit
            .map_or(all.len(), |limit| limit.get().min(all.len()));
        let expected: Vec<_> = all[..count].iter().map(|(_, object)| *object).collect();
        let items: Vec<_> = found.items.iter().map(|object| seen(object)).collect();
        assert_eq!((found.revision, items), (revision, expected));
        assert_eq!(found.remaining, all.len() - count);
        let next = all[..count].last().map(|(path, _)| path.clone());
        assert_eq!(found.next, next.filter(|_| count < all.len()));
        if found.next.is_some() {
            page.at = Some(found.revision);
            page.after = found.next;
            self.list = Some((resource, namespace, page));
        }
    }

    fn watch(&mut self, resource: &'static str, namespace: Option<&'static str>, after: u64) {
        let oldest = self.model.oldest(resource, self.options.history);
        match self.store.watch(resource, namespace, after) {
            Err(expired) => {
                assert_eq!(expired.oldest, oldest);
                assert!(after < oldest);
            }
            Ok(watch) => {
                assert!(after >= oldest);
                let missed = self.model.since(resource, namespace, after).len();
                self.watches.push(Watching {
                    watch,
                    resource,
                    namespace,
                    seen: after,
                    room: missed + self.options.backlog,
                    full: None,
                });
            }
        }
    }

    fn restart(&mut self) {
        let Some(disk) = &self.disk else { return };
        // Closed first: only one store has a disk.
        self.store = Store::memory(self.options);
        for mut watching in self.watches.drain(..) {
            let rest = self
                .model
                .since(watching.resource, watching.namespace, watching.seen);
            if watching.full.is_none() {
                watching.read(rest.len(), &self.model);
                assert!(matches!(waiting(&mut watching.watch), Poll::Ready(None)));
            }
        }
        self.store = Store::on(Box::new(disk.clone()), self.options).unwrap();
        self.model.floor = self.model.revision();
        self.model.lost = self.model.events.len();
    }

    fn finish(mut self) {
        for watching in &mut self.watches {
            watching.read(usize::MAX, &self.model);
        }
    }
}

fn expected(before: Option<(u64, u64)>, right: bool) -> u64 {
    let current = before.map_or(1, |(revision, _)| revision);
    if right { current } else { current + 1 }
}

fn options() -> impl Strategy<Value = Options> {
    (0..30_usize, 1..10_usize).prop_map(|(history, backlog)| Options {
        history,
        backlog,
        ..Options::default()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn memory_is_as_the_model(options in options(), steps in prop::collection::vec(step(), 1..150)) {
        let mut run = Run::new(options, None);
        steps.into_iter().for_each(|step| run.step(step));
        run.finish();
    }

    #[test]
    fn durable_is_as_the_model(options in options(), steps in prop::collection::vec(step(), 1..100)) {
        let mut run = Run::new(options, Some(FakeDisk::default()));
        steps.into_iter().for_each(|step| run.step(step));
        run.finish();
    }
}
