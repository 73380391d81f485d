use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{self, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use proptest::prelude::*;
use serde_json::json;

use super::super::fake_disk::{FakeDisk, Platter};
use super::super::tests::pod;
use super::super::{Expired, OpenError, Options, Page, Store};
use super::*;

/// A folder that is removed in the end.
struct TestFolder(PathBuf);

impl TestFolder {
    fn new(name: &str) -> Self {
        let path = env::temp_dir().join(format!("store-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&path);
        Self(path)
    }

    fn open(&self) -> Result<Store, OpenError> {
        Store::open(&self.0, Options::default())
    }
}

impl Drop for TestFolder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn on(disk: &FakeDisk) -> Store {
    Store::on_fake(disk)
}

fn contents(store: &Store) -> BTreeMap<String, u64> {
    let list = store.list("pods", None, &Page::default()).unwrap();
    let objects = list.items.iter().map(|object| {
        let name = object.value()["name"].as_str().unwrap();
        (name.to_owned(), object.revision())
    });
    objects.collect()
}

/// Creates or updates.
async fn put(store: &Store, name: &str) -> Result<u64, WriteError> {
    let value = json!({"name": name});
    let object = match store.get(&pod(name)) {
        None => store.create(pod(name), value).await,
        Some(old) => store.update(pod(name), value, old.revision()).await,
    };
    object.map(|object| object.revision())
}

fn is_storage(outcome: &Result<u64, WriteError>) -> bool {
    matches!(outcome, Err(WriteError::Storage(_)))
}

#[tokio::test]
async fn goes_on_after_it_was_closed() {
    let folder = TestFolder::new("reopen");
    let store = folder.open().unwrap();
    assert_eq!(store.revision(), 1);
    put(&store, "a").await.unwrap();
    put(&store, "b").await.unwrap();
    store.delete(pod("a"), 2).await.unwrap();
    let value = json!({"name": "c", "metadata": {"labels": {"ü": "\u{0}\u{FFFD}"}}, "x": 1e300});
    let written = store.create(pod("c"), value).await.unwrap();
    drop(store);

    let store = folder.open().unwrap();
    assert_eq!(store.revision(), 5);
    assert_eq!(
        contents(&store),
        BTreeMap::from([("b".to_owned(), 3), ("c".to_owned(), 5)])
    );
    let read = store.get(&pod("c")).unwrap();
    assert_eq!((read.value(), read.revision()), (written.value(), 5));
    assert_eq!(
        store.watch("pods", None, 4).err(),
        Some(Expired { oldest: 5 })
    );
    assert!(store.watch("pods", None, 5).is_ok());
    assert_eq!(put(&store, "b").await.unwrap(), 6);
}

#[test]
fn a_folder_has_one_store() {
    let folder = TestFolder::new("lock");
    let store = folder.open().unwrap();
    assert!(matches!(folder.open(), Err(OpenError::InUse(_))));
    drop(store);
    folder.open().unwrap();
}

#[test]
fn only_the_owner_reads_what_may_be_secret() {
    let folder = TestFolder::new("mode");
    let _store = folder.open().unwrap();
    let mode = |path: PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder.0.clone()), 0o700);
    assert_eq!(mode(folder.0.join("log")), 0o600);
}

#[tokio::test]
async fn what_a_crash_has_left_over_is_no_obstacle() {
    let folder = TestFolder::new("leftover");
    let store = folder.open().unwrap();
    put(&store, "a").await.unwrap();
    drop(store);
    fs::write(folder.0.join("log.new"), "half").unwrap();
    let log = folder.0.join("log");
    let whole = fs::read(&log).unwrap();
    fs::write(&log, [&whole[..], &whole[whole.len() - 30..]].concat()).unwrap();
    let store = folder.open().unwrap();
    assert_eq!(fs::read(&log).unwrap(), whole);
    assert_eq!(put(&store, "b").await.unwrap(), 3);
}

#[tokio::test]
async fn writers_share_a_sync_and_readers_do_not_wait() {
    let disk = FakeDisk::default();
    let store = on(&disk);
    let mut watch = store.watch("pods", None, 1).unwrap();
    let held = disk.hold();
    let asked = Arc::new(AtomicUsize::new(0));
    let write = |number: u32| {
        let (store, asked) = (store.clone(), Arc::clone(&asked));
        tokio::spawn(async move {
            asked.fetch_add(1, Ordering::Relaxed);
            put(&store, &number.to_string()).await
        })
    };
    let writes: Vec<_> = (0..100).map(write).collect();
    while asked.load(Ordering::Relaxed) < writes.len() {
        tokio::task::yield_now().await;
    }
    assert_eq!((store.revision(), contents(&store).len()), (1, 0));
    drop(held);
    let mut revisions = Vec::new();
    for write in writes {
        revisions.push(write.await.unwrap().unwrap());
    }
    assert_eq!(revisions, (2..102).collect::<Vec<_>>());
    for revision in revisions {
        assert_eq!(watch.next().await.unwrap().unwrap().revision, revision);
    }
    // What the thread found first, and the rest.
    assert!(disk.platter().syncs <= 2);
}

#[tokio::test]
async fn one_of_many_that_want_the_same_wins() {
    let disk = FakeDisk::default();
    let store = on(&disk);
    let held = disk.hold();
    let write = |_| {
        let store = store.clone();
        tokio::spawn(async move { store.create(pod("a"), json!({"name": "a"})).await })
    };
    let writes: Vec<_> = (0..50).map(write).collect();
    // Not all have to have asked: it is the same one by one.
    tokio::task::yield_now().await;
    drop(held);
    let mut won = 0;
    for write in writes {
        match write.await.unwrap() {
            Ok(_) => won += 1,
            Err(error) => assert!(matches!(error, WriteError::Exists)),
        }
    }
    assert_eq!((won, store.revision()), (1, 2));
}

#[tokio::test]
async fn a_full_disk_stops_writes_only() {
    let disk = FakeDisk::default();
    let store = on(&disk);
    put(&store, "a").await.unwrap();
    disk.platter().room = Some(30);
    for _ in 0..3 {
        let refused = put(&store, "b").await.unwrap_err();
        let text = "the store can't be written: no space left on device";
        assert_eq!(refused.to_string(), text);
        assert_eq!((store.revision(), contents(&store).len()), (2, 1));
    }
    disk.platter().room = None;
    assert_eq!(put(&store, "b").await.unwrap(), 3);
    let expected = contents(&store);
    drop(store);
    assert_eq!(contents(&on(&disk.after_power_loss(0, 0))), expected);
}

#[tokio::test]
async fn after_a_failed_sync_the_log_is_written_anew() {
    let disk = FakeDisk::default();
    let store = on(&disk);
    put(&store, "a").await.unwrap();
    disk.platter().fails.sync = true;
    assert!(is_storage(&put(&store, "b").await));
    assert!(is_storage(&put(&store, "b").await));
    disk.platter().fails.sync = false;
    disk.platter().fails.replace = true;
    assert!(is_storage(&put(&store, "b").await));
    let before = disk.platter().rewrites;
    disk.platter().fails.replace = false;
    assert_eq!(put(&store, "c").await.unwrap(), 3);
    assert_eq!(disk.platter().rewrites, before + 1);
    let expected = contents(&store);
    assert_eq!(contents(&on(&disk.after_power_loss(0, 0))), expected);
}

/// Fails a write, mends the disk, and waits until the store knows.
async fn recover(store: &Store, disk: &FakeDisk, fail: impl Fn(&mut Platter, bool)) {
    fail(&mut disk.platter(), true);
    assert!(is_storage(&put(store, "b").await));
    assert_eq!(store.health(), Health::Failing);
    fail(&mut disk.platter(), false);
    let wait = async {
        while store.health() != Health::Good {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    assert!(waited.is_ok(), "the store does not find the disk good");
}

#[tokio::test]
async fn a_disk_that_is_good_again_is_found_good_without_a_write() {
    let disk = FakeDisk::default();
    let store = on(&disk);
    put(&store, "a").await.unwrap();
    let log = disk.log();
    recover(&store, &disk, |disk, fails| disk.room = fails.then_some(30)).await;
    assert_eq!(disk.log(), log);
    recover(&store, &disk, |disk, fails| disk.fails.sync = fails).await;
    let rewrites = disk.platter().rewrites;
    recover(&store, &disk, |disk, fails| {
        (disk.room, disk.fails.cut) = (fails.then_some(30), fails);
    })
    .await;
    assert_eq!(disk.platter().rewrites, rewrites + 1);
    assert_eq!(store.revision(), 2);
    assert_eq!(put(&store, "b").await.unwrap(), 3);
    let expected = contents(&store);
    drop(store);
    assert_eq!(contents(&on(&disk.after_power_loss(0, 0))), expected);
}

#[derive(Clone, Debug)]
enum Step {
    Put(u8),
    Delete(u8),
    Room(Option<usize>),
    Sync(bool),
    Cut(bool),
    Replace(bool),
    PowerLoss(usize, usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0..6_u8).prop_map(Step::Put),
        3 => (0..6_u8).prop_map(Step::Delete),
        1 => prop::option::weighted(0.7, 0..200_usize).prop_map(Step::Room),
        1 => any::<bool>().prop_map(Step::Sync),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => any::<bool>().prop_map(Step::Replace),
        1 => (0..200_usize, 0..200_usize).prop_map(|(luck, zeros)| Step::PowerLoss(luck, zeros)),
    ]
}

proptest! {
    /// Whatever the disk does: what is acknowledged stays, and what is refused is not seen; after a
    /// crash one of the writes that were refused since may have happened.
    #[test]
    fn a_faulty_disk_loses_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let mut disk = FakeDisk::default();
        let mut store = on(&disk);
        let mut acknowledged = (1, BTreeMap::new());
        let mut refused = Vec::new();
        for step in steps {
            match step {
                Step::Put(name) => {
                    let name = name.to_string();
                    let mut after = acknowledged.clone();
                    after.0 += 1;
                    after.1.insert(name.clone(), after.0);
                    match runtime.block_on(put(&store, &name)) {
                        Ok(revision) => {
                            prop_assert_eq!(revision, after.0);
                            acknowledged = after;
                            refused.clear();
                        }
                        Err(_) => refused.push(after),
                    }
                }
                Step::Delete(name) => {
                    let name = name.to_string();
                    let Some(old) = store.get(&pod(&name)) else { continue };
                    let mut after = acknowledged.clone();
                    after.0 += 1;
                    after.1.remove(&name);
                    match runtime.block_on(store.delete(pod(&name), old.revision())) {
                        Ok(object) => {
                            prop_assert_eq!(object.revision(), after.0);
                            acknowledged = after;
                            refused.clear();
                        }
                        Err(_) => refused.push(after),
                    }
                }
                Step::Room(room) => disk.platter().room = room,
                Step::Sync(fails) => disk.platter().fails.sync = fails,
                Step::Cut(fails) => disk.platter().fails.cut = fails,
                Step::Replace(fails) => disk.platter().fails.replace = fails,
                Step::PowerLoss(luck, zeros) => {
                    disk = disk.after_power_loss(luck, zeros);
                    store = on(&disk);
                    let found = (store.revision(), contents(&store));
                    if refused.contains(&found) {
                        acknowledged = found;
                    }
                    refused.clear();
                }
            }
            prop_assert_eq!((store.revision(), contents(&store)), acknowledged.clone());
        }
    }
}

const CHILD_FOLDER: &str = "STORE_TEST_FOLDER";

/// Writes until it is killed, and prints each revision that was acknowledged.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_that_writes() {
    let Ok(folder) = env::var(CHILD_FOLDER) else {
        return;
    };
    let store = Store::open(&PathBuf::from(folder), Options::default()).unwrap();
    for number in 0_u64.. {
        let revision = put(&store, &(number % 50).to_string()).await.unwrap();
        println!("acknowledged {revision}");
    }
}

#[test]
fn an_acknowledged_write_survives_a_kill() {
    let folder = TestFolder::new("kill");
    let mut last = 1;
    for round in 0..3 {
        let mut child = Command::new(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "--nocapture"])
            .arg("store::durable::tests::child_that_writes")
            .env(CHILD_FOLDER, &folder.0)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut seen = 0;
        for line in lines {
            let line = line.unwrap();
            let Some((_, revision)) = line.split_once("acknowledged ") else {
                continue;
            };
            last = revision.parse().unwrap();
            seen += 1;
            if seen == 100 + round * 37 {
                child.kill().unwrap();
            }
        }
        child.wait().unwrap();
        assert!(seen >= 100, "the child ended by itself");
        let store = folder.open().unwrap();
        // At most the one write that was under way is there beyond what was acknowledged.
        let revision = store.revision();
        assert!((last..=last + 1).contains(&revision), "{last} {revision}");
        let mut found: Vec<_> = contents(&store).into_values().collect();
        found.sort_unstable();
        // It writes fifty objects in turn.
        assert_eq!(found, (revision - 49..=revision).collect::<Vec<_>>());
    }
}
