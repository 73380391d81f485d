use std::collections::BTreeMap;

use serde_json::json;

use super::super::fake_disk::FakeDisk;
use super::super::tests::pod;
use super::super::{Options, Page, Store};
use super::*;

/// What a store holds: the revision, and each object's JSON.
type Contents = (u64, Vec<String>);

fn contents(store: &Store) -> Contents {
    let list = store.list("pods", None, &Page::default()).unwrap();
    let objects = list.items.iter();
    (
        list.revision,
        objects.map(|object| object.json().to_owned()).collect(),
    )
}

fn open(log: &[u8]) -> Result<Contents, OpenError> {
    let store = Store::on(Box::new(FakeDisk::with(log.to_vec())), Options::default());
    store.map(|store| contents(&store))
}

/// A log of single writes, and what the store held at each length that it had.
async fn history() -> (Vec<u8>, BTreeMap<usize, Contents>) {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let mut states = BTreeMap::from([(disk.log().len(), contents(&store))]);
    for step in 0..40_u64 {
        let name = (step * 7 % 5).to_string();
        match store.get(&pod(&name)) {
            None => store.create(pod(&name), json!({"step": step})).await,
            Some(old) if step % 3 == 0 => store.delete(pod(&name), old.revision()).await,
            Some(old) => {
                let value = json!({"step": step, "text": "ü".repeat(step as usize)});
                store.update(pod(&name), value, old.revision()).await
            }
        }
        .unwrap();
        states.insert(disk.log().len(), contents(&store));
    }
    (disk.log(), states)
}

#[tokio::test]
async fn cut_anywhere_it_is_what_was_acknowledged_up_to_there() {
    let (log, states) = history().await;
    let (first, _) = states.first_key_value().unwrap();
    for length in 0..*first {
        let damaged = open(&log[..length]).unwrap_err();
        assert!(matches!(damaged, OpenError::Damaged { .. }), "{length}");
    }
    for length in *first..=log.len() {
        let (_, expected) = states.range(..=length).next_back().unwrap();
        assert_eq!(&open(&log[..length]).unwrap(), expected, "{length}");
        // The end is there, but not what was written to it.
        let mut torn = log[..length].to_vec();
        torn.resize(log.len(), 0);
        assert_eq!(&open(&torn).unwrap(), expected, "{length}, zeros");
        torn[length..].fill(0xFF);
        assert_eq!(&open(&torn).unwrap(), expected, "{length}, ones");
    }
}

#[tokio::test]
async fn goes_on_where_it_was_cut() {
    let (log, states) = history().await;
    let lengths: Vec<_> = states.keys().copied().collect();
    for length in [lengths[20], lengths[20] + 9, lengths[21] - 1] {
        let disk = FakeDisk::with(log[..length].to_vec());
        let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
        let written = store.create(pod("new"), json!({})).await.unwrap();
        let before = &states.range(..=length).next_back().unwrap().1;
        assert_eq!(written.revision(), before.0 + 1);
        let expected = contents(&store);
        drop(store);
        assert_eq!(open(&disk.log()).unwrap(), expected);
    }
}

#[tokio::test]
async fn damage_before_the_end_is_refused() {
    let (log, states) = history().await;
    let last = *states.keys().nth_back(1).unwrap();
    for place in 0..last {
        let mut damaged = log.clone();
        damaged[place] ^= 0x10;
        let frame = states.keys().take_while(|end| **end <= place).last();
        let expected = frame.copied().unwrap_or(0);
        match open(&damaged) {
            Err(OpenError::Damaged { offset }) => assert_eq!(offset, expected, "{place}"),
            other => panic!("{place}: {other:?}"),
        }
    }
    // At the end it can't be told from a write that was cut short.
    let mut damaged = log.clone();
    damaged[last + 20] ^= 0x10;
    assert_eq!(open(&damaged).unwrap(), states[&last]);
}

#[tokio::test]
async fn a_batch_is_there_as_a_whole_or_not_at_all() {
    let (log, states) = history().await;
    let before = states.last_key_value().unwrap().1;
    let disk = FakeDisk::with(log.clone());
    let (mut appended, recovered) = Log::open(Box::new(disk.clone())).unwrap();
    let events: Vec<_> = (0..5_u64)
        .map(|n| added(recovered.revision + 1 + n))
        .collect();
    appended.append(&events, || (0, Vec::new())).unwrap();
    let longer = disk.log();
    for length in log.len()..longer.len() {
        assert_eq!(&open(&longer[..length]).unwrap(), before);
    }
    assert_eq!(open(&longer).unwrap().0, before.0 + 5);
}

fn added(revision: u64) -> Arc<Event> {
    let key = pod(&format!("batch-{revision}"));
    Arc::new(Event {
        revision,
        change: super::super::Change::Added,
        object: Arc::new(Object::written(json!({}), revision).unwrap()),
        previous: None,
        place: Place::of(&key).unwrap(),
    })
}

#[tokio::test]
async fn a_long_log_is_written_anew() {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let text = "x".repeat(1 << 20);
    let mut revision = store.create(pod("a"), json!({})).await.unwrap().revision();
    for name in ["b", "c", "d"] {
        store
            .create(pod(name), json!({"text": text}))
            .await
            .unwrap();
    }
    for _ in 0..60 {
        let updated = store
            .update(pod("a"), json!({"text": text}), revision)
            .await;
        revision = updated.unwrap().revision();
    }
    assert!(disk.log().len() < 30 << 20);
    assert!(
        (2..5).contains(&disk.platter().rewrites),
        "the first is the empty one"
    );
    let expected = contents(&store);
    drop(store);
    assert_eq!(open(&disk.log()).unwrap(), expected);
}

#[tokio::test]
async fn a_long_log_goes_on_while_it_cannot_be_written_anew() {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let text = "x".repeat(1 << 20);
    let mut revision = store
        .create(pod("a"), json!({"text": text}))
        .await
        .unwrap()
        .revision();
    // Enough for the log to grow to its limit, not for another beside it.
    disk.platter().room = Some((17 << 20) + 8192);
    for _ in 0..17 {
        let updated = store
            .update(pod("a"), json!({"text": text}), revision)
            .await;
        revision = updated.unwrap().revision();
    }
    let small = store.create(pod("b"), json!({})).await;
    small.unwrap();
    let expected = contents(&store);
    drop(store);
    // The first is the empty one; the second, which failed, is not tried again at once.
    assert_eq!(disk.rewrites(), (1, 2));
    assert_eq!(open(&disk.log()).unwrap(), expected);
}

#[tokio::test]
async fn a_log_that_may_not_be_in_place_is_written_anew() {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let text = "x".repeat(1 << 20);
    let value = || json!({"text": text});
    let created = store.create(pod("long"), value()).await;
    let mut revision = created.unwrap().revision();
    disk.platter().fails.replace = true;
    for _ in 0..17 {
        let updated = store.update(pod("long"), value(), revision).await;
        revision = updated.unwrap().revision();
    }
    // It was long by now, and replaced for all that a reader can see.
    let refused = store.create(pod("a"), json!({})).await;
    assert!(refused.is_err());
    disk.platter().fails.replace = false;
    store.create(pod("b"), json!({})).await.unwrap();
    let expected = contents(&store);
    assert_eq!(open(&disk.after_power_loss(0, 0).log()).unwrap(), expected);
}

#[tokio::test]
async fn a_log_is_written_anew_when_most_of_it_is_of_no_use_any_more() {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let text = "x".repeat(1 << 20);
    let mut revisions = Vec::new();
    for number in 0..40 {
        let object = store.create(pod(&number.to_string()), json!({"text": text}));
        revisions.push(object.await.unwrap().revision());
    }
    // All of it is of use.
    assert!(disk.log().len() > 40 << 20);
    assert_eq!(disk.platter().rewrites, 1, "the empty one");
    for (number, revision) in revisions.into_iter().enumerate().skip(1) {
        let deleted = store.delete(pod(&number.to_string()), revision).await;
        deleted.unwrap();
    }
    assert!(disk.log().len() < 20 << 20, "{}", disk.log().len());
    let expected = contents(&store);
    drop(store);
    assert_eq!(open(&disk.log()).unwrap(), expected);
    // What is of use is counted alike by one who opens it.
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let before = disk.platter().rewrites;
    for _ in 0..3 {
        let old = store.get(&pod("0")).unwrap();
        let updated = store.update(pod("0"), json!({"text": text}), old.revision());
        updated.await.unwrap();
    }
    assert_eq!(disk.platter().rewrites, before);
}

/// The log, its mark, and what the store held at each length that it had.
async fn marked() -> (Vec<u8>, Vec<u8>, BTreeMap<usize, Contents>) {
    let disk = FakeDisk::default();
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    let mut states = BTreeMap::new();
    for name in ["a", "b", "c", "d"] {
        store.create(pod(name), json!({"x": name})).await.unwrap();
        states.insert(disk.log().len(), contents(&store));
    }
    let mark = disk.platter().mark.clone().unwrap();
    (disk.log(), mark, states)
}

fn open_marked(log: &[u8], mark: &[u8]) -> Result<Contents, OpenError> {
    let disk = FakeDisk::with(log.to_vec());
    disk.platter().mark = Some(mark.to_vec());
    let store = Store::on(Box::new(disk), Options::default());
    store.map(|store| contents(&store))
}

fn lost(outcome: Result<Contents, OpenError>) -> (usize, u64, u64) {
    match outcome {
        Err(OpenError::Lost {
            offset,
            found,
            acknowledged,
        }) => (offset, found, acknowledged),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn damage_to_the_last_acknowledged_write_is_refused() {
    let (log, mark, states) = marked().await;
    let before = *states.keys().nth_back(1).unwrap();
    for place in before..log.len() {
        let mut damaged = log.clone();
        damaged[place] ^= 0x10;
        assert_eq!(
            lost(open_marked(&damaged, &mark)),
            (before, 4, 5),
            "{place}"
        );
    }
    assert_eq!(open_marked(&log, &mark).unwrap(), states[&log.len()]);
}

#[tokio::test]
async fn a_log_that_lacks_what_was_acknowledged_is_refused_wherever_it_is_cut() {
    let (log, mark, states) = marked().await;
    let first = *states.keys().next().unwrap();
    for length in first..log.len() {
        let (end, state) = states.range(..=length).next_back().unwrap();
        let expected = (*end, state.0, 5);
        assert_eq!(lost(open_marked(&log[..length], &mark)), expected);
    }
    let error = open_marked(&log[..first], &mark).unwrap_err().to_string();
    assert!(error.contains("3 revisions are lost"), "{error}");
}

#[tokio::test]
async fn what_follows_the_mark_may_be_torn_and_a_mark_of_another_log_says_nothing() {
    let (log, mark, states) = marked().await;
    // More than was marked, whole or not.
    let torn = [&log[..], &log[log.len() - 30..]].concat();
    assert_eq!(open_marked(&torn, &mark).unwrap(), states[&log.len()]);
    let disk = FakeDisk::with(log.clone());
    disk.platter().mark = Some(mark.clone());
    let store = Store::on(Box::new(disk.clone()), Options::default()).unwrap();
    store.create(pod("e"), json!({})).await.unwrap();
    let expected = contents(&store);
    drop(store);
    assert_eq!(open_marked(&disk.log(), &mark).unwrap(), expected);
    // A damaged mark, and that of a log with another base.
    let mut damaged = mark.clone();
    damaged[10] ^= 1;
    let shorter = &log[..*states.keys().next().unwrap()];
    assert_eq!(open_marked(shorter, &damaged).unwrap().0, 2);
    let other = Mark {
        base: 7,
        length: 1 << 40,
        revision: 9,
    };
    assert_eq!(
        open_marked(&log, &other.bytes()).unwrap(),
        states[&log.len()]
    );
}
