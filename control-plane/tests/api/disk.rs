//! A disk that is full, then is not, then a process that is gone.

use std::collections::BTreeSet;
use std::env;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use control_plane::store::{Options as StoreOptions, Page, Store};
use control_plane::{ControlPlane, Options};
use rustix::process::{Resource, Rlimit, Signal, setrlimit};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};

use crate::fixture::{Fixture, settle, widgets};

const FOLDER: &str = "DISK_TEST_FOLDER";
const MAPS: &str = "/api/v1/namespaces/default/configmaps";
const ROOM: u64 = 100_000;

/// No file of this process may be longer: a write beyond that fails as on a full disk.
fn limit(bytes: Option<u64>) {
    let limit = Rlimit {
        current: bytes,
        maximum: None,
    };
    setrlimit(Resource::Fsize, limit).unwrap();
}

fn map(name: &str) -> Value {
    json!({"metadata": {"name": name}, "data": {"x": "x".repeat(1000)}})
}

/// A control plane in a folder.
async fn fixture(folder: &str) -> Fixture {
    let store = Store::open(Path::new(folder), StoreOptions::default()).unwrap();
    let plane = ControlPlane::start(store, Options::default()).await;
    Fixture::of(plane.unwrap())
}

/// Without this, the first write beyond the limit would end the process.
fn ignore_signal() -> tokio::signal::unix::Signal {
    signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap()
}

/// Runs one of the tests that need a process of their own. Gives what it prints.
fn child(test: &str, folder: &Path) -> (String, String) {
    let _ = fs::remove_dir_all(folder);
    let child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg(format!("disk::{test}"))
        .env(FOLDER, folder)
        .output()
        .unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (text(&child.stdout), text(&child.stderr))
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

/// Fills the disk, and prints what is acknowledged.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_on_a_full_disk() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let _signal = ignore_signal();
    let fixture = fixture(&folder).await;
    limit(Some(ROOM));
    let mut number = 0;
    let refused = loop {
        let answer = fixture.post(MAPS, &map(&format!("map-{number}"))).await;
        if answer.code != 201 {
            break answer;
        }
        println!("acknowledged map-{number}");
        number += 1;
    };
    assert_eq!(refused.code, 500, "{}", refused.text);
    let message = refused.message();
    assert!(
        message.contains("the store can't be written: "),
        "{message}"
    );
    // Not even what is smaller has room from here on.
    let log = fs::metadata(Path::new(&folder).join("log")).unwrap();
    limit(Some(log.len()));
    for _ in 0..3 {
        assert_eq!(fixture.delete(&format!("{MAPS}/map-0")).await.code, 500);
        let change = json!({"data": {"y": "y".repeat(1000)}});
        let changed = fixture.merge(&format!("{MAPS}/map-1"), &change).await;
        assert_eq!(changed.code, 500);
    }
    let list = fixture.get(MAPS).await.expect(200);
    assert_eq!(list["items"].as_array().unwrap().len(), number);
    fixture.get(&format!("{MAPS}/map-0")).await.expect(200);
    let map_1 = fixture.get(&format!("{MAPS}/map-1")).await.expect(200);
    assert_eq!(map_1["data"].as_object().unwrap().len(), 1);
    limit(None);
    fixture.post(MAPS, &map("late")).await.expect(201);
    println!("acknowledged late");
    fixture.delete(&format!("{MAPS}/map-0")).await.expect(200);
    println!("deleted map-0");
    // As a kill does it: nothing is closed or written any more.
    std::process::exit(0);
}

#[test]
fn a_full_disk_loses_nothing_that_was_acknowledged() {
    let folder = folder("full-disk");
    let (output, errors) = child("child_on_a_full_disk", &folder);
    let told = |what: &str| -> BTreeSet<String> {
        let names = output.lines().filter_map(|line| line.split_once(what));
        names.map(|(_, name)| name.trim().to_owned()).collect()
    };
    let mut expected = told("acknowledged ");
    assert!(expected.contains("late"), "{output}{errors}");
    assert!(expected.len() > 20, "{output}");
    expected.retain(|name| !told("deleted ").contains(name));
    // The beginning of a write that was under way.
    let mut log = OpenOptions::new()
        .append(true)
        .open(folder.join("log"))
        .unwrap();
    log.write_all(&[0xFF, 0xC5, 0xFE, 0xD5, 0x10]).unwrap();
    let store = Store::open(&folder, StoreOptions::default()).unwrap();
    let list = store.list("/configmaps", Some("default"), &Page::default());
    let items = list.unwrap().items;
    let found: BTreeSet<String> = items
        .iter()
        .map(|object| {
            object.value()["metadata"]["name"]
                .as_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(found, expected);
}

/// Deletes an owner when there is room for little more, and sees its dependents go when there is
/// room again.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_that_collects_on_a_full_disk() {
    const DEPENDENTS: usize = 30;
    /// Bytes: a deletion takes about half of this.
    const TWO_DELETIONS: u64 = 130;
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let _signal = ignore_signal();
    let fixture = fixture(&folder).await;
    let owner = fixture.post(MAPS, &map("owner")).await.expect(201);
    for number in 0..DEPENDENTS {
        let mut dependent = map(&format!("dependent-{number}"));
        dependent["metadata"]["ownerReferences"] = json!([{
            "apiVersion": "v1", "kind": "ConfigMap", "name": "owner",
            "uid": owner["metadata"]["uid"],
        }]);
        fixture.post(MAPS, &dependent).await.expect(201);
    }
    let log = fs::metadata(Path::new(&folder).join("log")).unwrap();
    limit(Some(log.len() + TWO_DELETIONS));
    fixture.delete(&format!("{MAPS}/owner")).await.expect(200);
    // The first one goes, so the collector is at work, and has no room for the next.
    wait_for(&fixture, DEPENDENTS - 1).await;
    limit(None);
    // Nothing else is written.
    wait_for(&fixture, 0).await;
    println!("collected");
}

/// Waits until so many objects are left.
async fn wait_for(fixture: &Fixture, count: usize) {
    let wrong = async || {
        let list = fixture.get(MAPS).await.expect(200);
        let left = list["items"].as_array().unwrap().len();
        (left > count).then(|| format!("{left} are left, not {count}"))
    };
    settle(wrong).await;
}

#[test]
fn garbage_is_collected_when_there_is_room_again() {
    let folder = folder("full-disk-garbage");
    let (output, errors) = child("child_that_collects_on_a_full_disk", &folder);
    assert!(output.contains("collected"), "{output}{errors}");
}

/// Makes a namespace and a definition when there is room for no more, and sees what follows from
/// them when there is room again.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_that_follows_up_on_a_full_disk() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    let _signal = ignore_signal();
    let fixture = fixture(&folder).await;
    for (path, object, done) in [
        (
            "/api/v1/namespaces",
            json!({"metadata": {"name": "space"}}),
            "/api/v1/namespaces/space/serviceaccounts/default",
        ),
        (
            "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
            widgets(),
            "/apis/example.com/v1/widgets",
        ),
    ] {
        let log = || fs::metadata(Path::new(&folder).join("log")).unwrap().len();
        // Room for this, and for nothing that follows from it.
        let mut room = 0;
        loop {
            limit(Some(log() + room));
            let answer = fixture.post(path, &object).await;
            if answer.code == 201 {
                break;
            }
            assert_eq!(answer.code, 500, "{}", answer.text);
            room += 10;
        }
        assert_eq!(fixture.get(done).await.code, 404);
        limit(None);
        // Nothing else is written.
        fixture.until(done, 200).await;
    }
    println!("followed up");
}

#[test]
fn what_follows_is_done_when_there_is_room_again() {
    let folder = folder("full-disk-follow-ups");
    let (output, errors) = child("child_that_follows_up_on_a_full_disk", &folder);
    assert!(output.contains("followed up"), "{output}{errors}");
}
