//! What is wrong is said, with what to write instead.

use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::harness::{Up, folder};

/// What a start says that must fail.
#[track_caller]
fn refused(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mck8s"));
    let output = command.arg("up").args(arguments).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success(), "{arguments:?}: {said}");
    said
}

#[track_caller]
fn says(said: &str, expected: &[&str]) {
    for text in expected {
        assert!(said.contains(text), "no {text:?}: {said}");
    }
}

#[test]
fn wrong_flags() {
    for (flag, expected) in [
        ("--members=0", "--members <MEMBERS>': 0 is not in 1..=1000"),
        ("--nodes=many", "--nodes <NODES>"),
        ("--cpu=4x", "\"4x\" is not a quantity: write a number"),
        ("--cpu=0", "write an amount such as 4, 500m or 16Gi"),
        ("--memory=-1Gi", "write an amount such as 4, 500m or 16Gi"),
        ("--listen=7443", "as 127.0.0.1:7443"),
        (
            "--tls-san=a:b",
            "write a host name or an IP address, without a port",
        ),
        ("--log-level=a=b=c", "write for example \"info\""),
        (
            "--config=missing.yaml",
            "can't read missing.yaml: No such file",
        ),
        ("--memorry=1Gi", "'--memory'"),
    ] {
        says(&refused(&[flag]), &[expected]);
    }
    says(
        &refused(&["--members=2", "--config=some.yaml"]),
        &["cannot be used with '--config <FILE>'"],
    );
    for other in [
        "--members=2",
        "--nodes=2",
        "--cpu=2",
        "--memory=2Gi",
        "--config=a.yaml",
    ] {
        says(
            &refused(&["--scenario=flash-crowd", other]),
            &["'--scenario <NAME|FILE>' cannot be used with"],
        );
    }
    says(
        &refused(&["--scenario=flash-mob"]),
        &[
            "no scenario \"flash-mob\"",
            "write one of flash-crowd, cluster-loss",
        ],
    );
}

#[test]
fn wrong_configurations() {
    let folder = folder("wrong");
    fs::create_dir_all(&folder).unwrap();
    for (text, expected) in [
        ("clusters:\n  - {name: edge, nodez: 3}", ["line 2", "nodez"]),
        (
            "clusters:\n  - name: a\n  - name: a",
            ["line 3", "give each its own name"],
        ),
        (
            "clusters:\n  - name: hub",
            ["line 2", "the hub is no member"],
        ),
        ("clusters: 0", ["line 0", "write at least one"]),
        (
            "defaults: {startup: soon}",
            ["line 1", "write for example 500ms"],
        ),
    ] {
        let file = folder.join("wrong.yaml");
        fs::write(&file, text).unwrap();
        let said = refused(&["--config", &file.display().to_string()]);
        says(&said, &["wrong.yaml"]);
        says(&said, &expected);
    }
}

#[tokio::test]
async fn a_folder_is_used_by_one_and_holds_nothing_of_others() {
    let folder = folder("folder");
    let shown = folder.display().to_string();
    let up = Up::start(&folder, &["--members=1"]);
    up.client("hub").await;
    let again = refused(&["--data-dir", &shown, "--listen=127.0.0.1:0"]);
    let process = format!("process {}", up.process.id());
    says(
        &again,
        &["in use by another mck8s up", &process, "--data-dir"],
    );
    up.stop();

    fs::write(folder.join("version"), "mck8s data, version 9\n").unwrap();
    let said = refused(&["--data-dir", &shown, "--listen=127.0.0.1:0"]);
    says(&said, &["of another version", "version 9", "--data-dir"]);
    assert!(!said.contains("remove"), "{said}");
    fs::remove_file(folder.join("version")).unwrap();
    let before = fs::read_to_string(folder.join("kubeconfig")).unwrap();
    let said = refused(&["--data-dir", &shown, "--listen=127.0.0.1:0"]);
    says(&said, &["files that are not of mck8s", "--data-dir"]);
    assert_eq!(
        before,
        fs::read_to_string(folder.join("kubeconfig")).unwrap()
    );
    let said = refused(&["--data-dir=/dev/null/x"]);
    says(&said, &["cannot use /dev/null/x", "--data-dir"]);
}

#[test]
fn a_port_that_is_taken() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = folder("port");
    let said = refused(&[
        "--listen",
        &address,
        "--data-dir",
        &folder.display().to_string(),
    ]);
    says(&said, &["cannot listen on", &address, "--listen"]);
}

#[test]
fn the_crds_are_printed_as_they_are_in_the_manifests() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mck8s"));
    let printed = command.arg("crds").output().unwrap().stdout;
    let printed = String::from_utf8(printed).unwrap();
    let manifests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../manifests/crds");
    let mut count = 0;
    for entry in fs::read_dir(manifests).unwrap() {
        let text = fs::read_to_string(entry.unwrap().path()).unwrap();
        let (_header, text) = text.split_once('\n').unwrap();
        assert!(printed.contains(&format!("---\n{text}")), "{text}");
        count += 1;
    }
    assert_eq!(printed.matches("---\n").count(), count);
}
