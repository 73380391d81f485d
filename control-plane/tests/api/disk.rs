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

use crate::fixture::Fixture;

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

/// Fills the disk, and prints what is acknowledged.
#[tokio::test]
#[ignore = "run by the test below, in a process of its own"]
async fn child_on_a_full_disk() {
    let Ok(folder) = env::var(FOLDER) else {
        return;
    };
    // Without this, the first write beyond the limit would end the process.
    let _signal = signal(SignalKind::from_raw(Signal::XFSZ.as_raw())).unwrap();
    let store = Store::open(Path::new(&folder), StoreOptions::default()).unwrap();
    let plane = ControlPlane::start(store, Options::default())
        .await
        .unwrap();
    let fixture = Fixture::of(plane);
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
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("full-disk");
    let _ = fs::remove_dir_all(&folder);
    let child = Command::new(env::current_exe().unwrap())
        .args(["--ignored", "--exact", "--nocapture"])
        .arg("disk::child_on_a_full_disk")
        .env(FOLDER, &folder)
        .output()
        .unwrap();
    let output = String::from_utf8_lossy(&child.stdout);
    let errors = String::from_utf8_lossy(&child.stderr);
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
