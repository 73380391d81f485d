use std::num::NonZeroUsize;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use serde_json::json;

use super::*;

/// What a future gives at once.
pub(super) fn now<F: Future>(future: F) -> F::Output {
    let ready = pin!(future).poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(output) = ready else {
        panic!("it waits");
    };
    output
}

/// The event that waits, if any.
pub(super) fn waiting(watch: &mut Watch) -> Poll<Option<Result<Arc<Event>, Expired>>> {
    pin!(watch.next()).poll(&mut Context::from_waker(Waker::noop()))
}

pub(super) fn pod(name: &str) -> Key {
    Key::new("pods", Some("default"), name)
}

fn names(list: &List) -> Vec<&str> {
    let names = list.items.iter();
    names
        .map(|object| object.value()["name"].as_str().unwrap())
        .collect()
}

fn limit(limit: usize) -> Option<NonZeroUsize> {
    NonZeroUsize::new(limit)
}

#[test]
fn numbers_writes_and_says_so_in_the_objects() {
    let store = Store::memory(Options::default());
    assert_eq!(store.revision(), 1);
    let created = now(store.create(pod("a"), json!({"metadata": {"name": "a"}}))).unwrap();
    assert_eq!(created.revision(), 2);
    assert_eq!(created.value()["metadata"]["resourceVersion"], "2");
    assert_eq!(
        created.json(),
        r#"{"metadata":{"name":"a","resourceVersion":"2"}}"#
    );
    let updated = now(store.update(pod("a"), json!({"x": 1}), 2)).unwrap();
    assert_eq!(
        updated.value(),
        &json!({"x": 1, "metadata": {"resourceVersion": "3"}})
    );
    assert!(Arc::ptr_eq(&store.get(&pod("a")).unwrap(), &updated));
    let deleted = now(store.delete(pod("a"), 3)).unwrap();
    assert_eq!(
        deleted.value(),
        &json!({"x": 1, "metadata": {"resourceVersion": "4"}})
    );
    assert_eq!(store.revision(), 4);
    assert!(store.get(&pod("a")).is_none());
}

#[test]
fn refuses_what_does_not_fit_and_changes_nothing() {
    let store = Store::memory(Options::default());
    now(store.create(pod("a"), json!({}))).unwrap();
    now(store.update(pod("a"), json!({}), 2)).unwrap();
    let again = now(store.create(pod("a"), json!({})));
    assert!(matches!(again, Err(WriteError::Exists)));
    let stale = now(store.update(pod("a"), json!({}), 2));
    assert!(matches!(
        stale,
        Err(WriteError::Conflict {
            expected: 2,
            current: 3
        })
    ));
    let stale = now(store.delete(pod("a"), 2));
    assert!(matches!(
        stale,
        Err(WriteError::Conflict {
            expected: 2,
            current: 3
        })
    ));
    let missing = now(store.update(pod("b"), json!({}), 2));
    assert!(matches!(missing, Err(WriteError::NotFound)));
    assert!(matches!(
        now(store.delete(pod("b"), 2)),
        Err(WriteError::NotFound)
    ));
    for value in [json!(1), json!({"metadata": []})] {
        assert!(matches!(
            now(store.create(pod("b"), value)),
            Err(WriteError::Invalid(_))
        ));
    }
    for name in ["", "a/b"] {
        let refused = now(store.create(pod(name), json!({})));
        assert!(matches!(refused, Err(WriteError::Invalid(_))));
    }
    assert_eq!(store.revision(), 3);
}

#[test]
fn refuses_values_that_could_not_be_read_again() {
    let store = Store::memory(Options::default());
    let nested = |depth| (1..depth).fold(json!({}), |value, _| json!({"x": value}));
    let deepest = now(store.create(pod("a"), nested(127))).unwrap();
    assert!(serde_json::from_str::<Value>(deepest.json()).is_ok());
    let deeper = nested(128);
    assert!(serde_json::from_str::<Value>(&deeper.to_string()).is_err());
    assert!(matches!(
        now(store.create(pod("b"), deeper)),
        Err(WriteError::Invalid(_))
    ));
}

#[test]
fn lists_namespaces_in_the_order_of_etcd_and_apart() {
    let store = Store::memory(Options::default());
    for (namespace, name) in [
        ("a", "x"),
        ("a-b", "x"),
        ("a0", "x"),
        ("b", "x"),
        ("a", "w"),
    ] {
        let key = Key::new("pods", Some(namespace), name);
        let value = json!({"name": format!("{namespace}/{name}")});
        now(store.create(key, value)).unwrap();
    }
    let all = store.list("pods", None, &Page::default()).unwrap();
    assert_eq!(names(&all), ["a-b/x", "a/w", "a/x", "a0/x", "b/x"]);
    let one = store.list("pods", Some("a"), &Page::default()).unwrap();
    assert_eq!(names(&one), ["a/w", "a/x"]);
    let none = store.list("pods", Some("c"), &Page::default()).unwrap();
    assert_eq!((none.revision, none.items.len()), (6, 0));
    assert!(
        store
            .list("nodes", None, &Page::default())
            .unwrap()
            .items
            .is_empty()
    );
}

#[test]
fn continues_a_list_as_it_was() {
    let store = Store::memory(Options::default());
    for name in ["b", "d", "f"] {
        now(store.create(pod(name), json!({"name": name}))).unwrap();
    }
    let mut page = Page {
        limit: limit(1),
        ..Page::default()
    };
    let first = store.list("pods", None, &page).unwrap();
    assert_eq!((names(&first), first.remaining), (vec!["b"], 2));
    now(store.create(pod("c"), json!({"name": "c"}))).unwrap();
    now(store.update(pod("d"), json!({"name": "D"}), 3)).unwrap();
    now(store.delete(pod("f"), 4)).unwrap();
    now(store.create(pod("f"), json!({"name": "F"}))).unwrap();
    page.at = Some(first.revision);
    page.after = first.next;
    page.limit = None;
    let rest = store.list("pods", Some("default"), &page).unwrap();
    assert_eq!(
        (names(&rest), &rest.next, rest.revision),
        (vec!["d", "f"], &None, 4)
    );
    page.at = None;
    let rest = store.list("pods", None, &page).unwrap();
    assert_eq!((names(&rest), rest.revision), (vec!["c", "D", "F"], 8));
}

#[test]
fn any_text_is_a_position() {
    let store = Store::memory(Options::default());
    now(store.create(pod("a"), json!({}))).unwrap();
    let positions = [
        "",
        "default",
        "default/",
        "default/a",
        "default0",
        "e",
        "\u{10FFFF}",
    ];
    let counts = [1, 1, 1, 0, 0, 0, 0];
    for (after, count) in positions.into_iter().zip(counts) {
        for namespace in [None, Some("default")] {
            let page = Page {
                after: Some(after.to_owned()),
                ..Page::default()
            };
            let list = store.list("pods", namespace, &page).unwrap();
            assert_eq!(list.items.len(), count, "{after} {namespace:?}");
        }
    }
}

#[test]
fn a_revision_to_come_is_refused() {
    let store = Store::memory(Options::default());
    let page = Page {
        at: Some(2),
        ..Page::default()
    };
    let refused = store.list("pods", None, &page).unwrap_err();
    assert_eq!(
        refused,
        ReadError::TooNew {
            asked: 2,
            latest: 1
        }
    );
}

#[test]
fn a_busy_resource_does_not_end_the_history_of_a_quiet_one() {
    let store = Store::memory(Options {
        history: 2,
        ..Options::default()
    });
    let node = now(store.create(Key::new("nodes", None, "n"), json!({}))).unwrap();
    let pod = now(store.create(pod("a"), json!({}))).unwrap();
    for revision in 3..10 {
        let key = Key::new("pods", Some("default"), "a");
        now(store.update(key, json!({}), revision)).unwrap();
    }
    assert!(store.watch("nodes", None, node.revision()).is_ok());
    assert!(store.watch("nodes", None, node.revision() - 1).is_err());
    let gone = store.watch("pods", None, pod.revision()).err();
    assert_eq!(gone, Some(Expired { oldest: 8 }));
    assert!(store.watch("pods", None, 8).is_ok());
    let page = Page {
        at: Some(pod.revision()),
        ..Page::default()
    };
    assert!(store.list("nodes", None, &page).is_ok());
    let gone = store.list("pods", None, &page).unwrap_err();
    assert_eq!(gone, ReadError::Expired(Expired { oldest: 8 }));
}

#[tokio::test]
async fn a_task_that_only_writes_lets_others_run() {
    let store = Store::memory(Options::default());
    let mut watch = store.watch("pods", None, 1).unwrap();
    let reader = tokio::spawn(async move { watch.next().await.unwrap().unwrap().revision });
    for number in 0..1000 {
        now_or_later(&store, number).await;
    }
    assert!(reader.is_finished());
}

async fn now_or_later(store: &Store, number: u32) {
    let created = store.create(pod(&number.to_string()), json!({})).await;
    created.unwrap();
}

#[test]
fn what_nobody_reads_does_not_stay_parsed_and_reads_the_same() {
    let store = Store::memory(Options {
        parsed_bytes: 0,
        ..Options::default()
    });
    for number in 0..100 {
        let value = json!({"number": number, "text": "ü", "float": 1e300});
        now(store.create(pod(&number.to_string()), value)).unwrap();
    }
    let get = |number: u64| store.get(&pod(&number.to_string())).unwrap();
    let read = get(7);
    let before = read.value().clone();
    for number in 100..200 {
        now(store.create(pod(&number.to_string()), json!({}))).unwrap();
        assert_eq!(get(7).value(), &before);
    }
    // This one was read each time the hand came by.
    let parsed = (0..100).filter(|number| get(*number).is_parsed());
    assert_eq!(parsed.collect::<Vec<_>>(), [7]);
    assert_eq!(get(8).value()["number"], 8);
    assert_eq!(get(8).value()["float"], 1e300);
}
