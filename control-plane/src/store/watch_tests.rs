use std::pin::pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread;

use serde_json::json;
use tokio::runtime::Builder;

use super::super::tests::{now, pod, waiting};
use super::super::{Change, Key, Options, Page, Store};
use super::*;

fn next(watch: &mut Watch) -> (u64, Change) {
    let event = now(watch.next()).unwrap().unwrap();
    (event.revision, event.change)
}

#[test]
fn begins_after_its_revision_and_misses_nothing() {
    let store = Store::memory(Options::default());
    now(store.create(pod("a"), json!({"x": 1}))).unwrap();
    now(store.update(pod("a"), json!({"x": 2}), 2)).unwrap();
    let mut watch = store.watch("pods", Some("default"), 2).unwrap();
    now(store.create(Key::new("pods", Some("other"), "a"), json!({}))).unwrap();
    now(store.create(Key::new("nodes", None, "a"), json!({}))).unwrap();
    now(store.delete(pod("a"), 3)).unwrap();
    let event = now(watch.next()).unwrap().unwrap();
    assert_eq!((event.revision, event.change), (3, Change::Modified));
    assert_eq!(event.object.value()["x"], 2);
    assert_eq!(event.previous.as_ref().unwrap().value()["x"], 1);
    let event = now(watch.next()).unwrap().unwrap();
    assert_eq!((event.revision, event.change), (6, Change::Deleted));
    assert_eq!(event.object.value()["metadata"]["resourceVersion"], "6");
    assert_eq!(event.previous.as_ref().unwrap().revision(), 3);
    assert!(waiting(&mut watch).is_pending());
}

#[test]
fn a_revision_to_come_leaves_out_what_comes_before_it() {
    let store = Store::memory(Options::default());
    let mut watch = store.watch("pods", None, 3).unwrap();
    for name in ["a", "b", "c"] {
        now(store.create(pod(name), json!({}))).unwrap();
    }
    assert_eq!(next(&mut watch), (4, Change::Added));
}

#[test]
fn a_slow_reader_is_cut_off_and_holds_up_nobody() {
    let store = Store::memory(Options {
        backlog: 3,
        ..Options::default()
    });
    now(store.create(pod("missed"), json!({}))).unwrap();
    let mut slow = store.watch("pods", None, 1).unwrap();
    let mut quick = store.watch("pods", None, 2).unwrap();
    for number in 0..100_u64 {
        now(store.create(pod(&number.to_string()), json!({}))).unwrap();
        assert_eq!(next(&mut quick), (number + 3, Change::Added));
    }
    // One missed, three waiting: the fourth, at revision 6, was too many.
    assert_eq!(
        now(slow.next()).unwrap().unwrap_err(),
        Expired { oldest: 6 }
    );
    assert!(now(slow.next()).is_none());
    assert!(slow.queue.waiting().events.is_empty());
}

#[test]
fn what_waits_is_bounded_by_bytes() {
    let store = Store::memory(Options {
        backlog_bytes: 10_000,
        ..Options::default()
    });
    let mut slow = store.watch("pods", None, 1).unwrap();
    let big = || json!({"text": "x".repeat(20_000)});
    // One may wait, however big.
    now(store.create(pod("a"), big())).unwrap();
    assert_eq!(next(&mut slow), (2, Change::Added));
    for name in ["b", "c"] {
        now(store.create(pod(name), big())).unwrap();
    }
    assert_eq!(
        now(slow.next()).unwrap().unwrap_err(),
        Expired { oldest: 4 }
    );
    // Many small ones may.
    let mut slow = store.watch("nodes", None, 4).unwrap();
    for number in 0..50 {
        let key = Key::new("nodes", None, &number.to_string());
        now(store.create(key, json!({}))).unwrap();
    }
    for revision in 5..55 {
        assert_eq!(next(&mut slow), (revision, Change::Added));
    }
}

#[test]
fn the_history_is_bounded_by_bytes() {
    let store = Store::memory(Options {
        history_bytes: 100_000,
        ..Options::default()
    });
    let mut revision = 0;
    let big = || json!({"text": "x".repeat(10_000)});
    now(store.create(pod("a"), json!({}))).unwrap();
    for number in 0..50 {
        revision = match number {
            0 => now(store.create(pod("big"), big())),
            _ => now(store.update(pod("big"), big(), revision)),
        }
        .unwrap()
        .revision();
    }
    // Each event has an object of 10 kB before and one after: four fit.
    let oldest = revision - 4;
    let expired = store.watch("pods", None, oldest - 1).err();
    assert_eq!(expired, Some(Expired { oldest }));
    let mut watch = store.watch("pods", None, oldest).unwrap();
    let event = now(watch.next()).unwrap().unwrap();
    assert_eq!(event.revision, oldest + 1);
    assert_eq!(event.object.value()["text"], "x".repeat(10_000));
    let page = Page {
        at: Some(oldest),
        ..Page::default()
    };
    let list = store.list("pods", None, &page).unwrap();
    assert_eq!(list.items[1].revision(), oldest);
    assert_eq!(
        list.items[1].value()["metadata"]["resourceVersion"],
        oldest.to_string()
    );
}

#[test]
fn what_was_missed_needs_no_room() {
    let store = Store::memory(Options {
        backlog: 1,
        ..Options::default()
    });
    for name in ["a", "b", "c"] {
        now(store.create(pod(name), json!({}))).unwrap();
    }
    let mut watch = store.watch("pods", None, 1).unwrap();
    now(store.create(pod("d"), json!({}))).unwrap();
    let seen: Vec<_> = (0..4).map(|_| next(&mut watch).0).collect();
    assert_eq!(seen, [2, 3, 4, 5]);
}

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn ten_thousand_idle_watches_are_left_alone() {
    let store = Store::memory(Options::default());
    let watch = |number: u32| {
        let namespace = format!("n{number}");
        store.watch("pods", Some(&namespace), 1).unwrap()
    };
    let mut watches: Vec<_> = (0..10_000).map(watch).collect();
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    let mut waits: Vec<_> = watches
        .iter_mut()
        .map(|watch| Box::pin(watch.next()))
        .collect();
    for wait in &mut waits {
        assert!(wait.as_mut().poll(&mut context).is_pending());
    }
    for number in 0..100 {
        let name = number.to_string();
        now(store.create(Key::new("nodes", None, &name), json!({}))).unwrap();
        now(store.create(Key::new("pods", Some("busy"), &name), json!({}))).unwrap();
    }
    assert_eq!(count.0.load(Ordering::Relaxed), 0);
    now(store.create(Key::new("pods", Some("n7"), "a"), json!({}))).unwrap();
    assert_eq!(count.0.load(Ordering::Relaxed), 1);
}

#[test]
fn a_watch_of_one_object_is_woken_by_that_only_and_reaches_back() {
    let store = Store::memory(Options::default());
    now(store.create(pod("a"), json!({}))).unwrap();
    now(store.create(pod("b"), json!({}))).unwrap();
    let mut watch = store.watch_object(&pod("b"), 1).unwrap();
    assert_eq!(next(&mut watch), (3, Change::Added));
    let count = Arc::new(Count::default());
    let waker = Waker::from(Arc::clone(&count));
    let mut context = Context::from_waker(&waker);
    {
        let mut wait = pin!(watch.next());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        now(store.delete(pod("a"), 2)).unwrap();
        now(store.create(Key::new("pods", Some("other"), "b"), json!({}))).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 0);
        now(store.delete(pod("b"), 3)).unwrap();
        assert_eq!(count.0.load(Ordering::Relaxed), 1);
    }
    assert_eq!(next(&mut watch), (6, Change::Deleted));
}

#[test]
fn a_wait_that_is_dropped_loses_nothing() {
    let store = Store::memory(Options::default());
    let mut watch = store.watch("pods", None, 1).unwrap();
    {
        let mut wait = pin!(watch.next());
        let mut context = Context::from_waker(Waker::noop());
        assert!(wait.as_mut().poll(&mut context).is_pending());
        now(store.create(pod("a"), json!({}))).unwrap();
    }
    assert_eq!(next(&mut watch), (2, Change::Added));
}

#[test]
fn says_how_far_it_is() {
    let store = Store::memory(Options::default());
    let mut watch = store.watch("pods", None, 1).unwrap();
    assert_eq!(watch.progress(), 1);
    now(store.create(Key::new("nodes", None, "a"), json!({}))).unwrap();
    assert_eq!(watch.progress(), 2);
    now(store.create(pod("a"), json!({}))).unwrap();
    now(store.create(pod("b"), json!({}))).unwrap();
    assert_eq!(watch.progress(), 2);
    next(&mut watch);
    assert_eq!(watch.progress(), 3);
    next(&mut watch);
    now(store.create(Key::new("nodes", None, "b"), json!({}))).unwrap();
    assert_eq!(watch.progress(), 5);
    let mut ahead = store.watch("pods", None, 9).unwrap();
    assert_eq!(ahead.progress(), 9);
}

#[test]
fn is_forgotten_when_it_is_dropped() {
    let store = Store::memory(Options::default());
    let watch = store.watch("pods", Some("default"), 1).unwrap();
    let other = store.watch("pods", Some("default"), 1).unwrap();
    drop(watch);
    let queue = Arc::downgrade(&other.queue);
    now(store.create(pod("a"), json!({}))).unwrap();
    drop(other);
    assert!(queue.upgrade().is_none());
}

#[test]
fn ends_with_the_store() {
    let store = Store::memory(Options::default());
    let mut watch = store.watch("pods", None, 1).unwrap();
    now(store.create(pod("a"), json!({}))).unwrap();
    drop(store);
    assert_eq!(next(&mut watch), (2, Change::Added));
    assert!(matches!(waiting(&mut watch), Poll::Ready(None)));
}

#[test]
fn a_list_and_a_watch_from_it_miss_nothing_while_others_write() {
    const WRITERS: u64 = 4;
    const WRITES: u64 = 300;
    let store = Store::memory(Options::default());
    thread::scope(|scope| {
        for writer in 0..WRITERS {
            let store = store.clone();
            scope.spawn(move || {
                for number in 0..WRITES {
                    let name = format!("{writer}-{number}");
                    now(store.create(pod(&name), json!({}))).unwrap();
                }
            });
        }
        for _ in 0..2 {
            scope.spawn(|| {
                let list = store.list("pods", None, &Page::default()).unwrap();
                let count = list.items.len() as u64;
                assert_eq!(list.revision, count + 1);
                let mut watch = store.watch("pods", None, list.revision).unwrap();
                let runtime = Builder::new_current_thread().build().unwrap();
                runtime.block_on(async {
                    for revision in list.revision + 1..=WRITERS * WRITES + 1 {
                        let event = watch.next().await.unwrap().unwrap();
                        assert_eq!(event.revision, revision);
                        assert!(watch.progress() >= revision);
                    }
                });
            });
        }
    });
}
