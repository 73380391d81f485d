//! Kubernetes' answers.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use multi_cluster_hpa::calculator;
use serde::Deserialize;

use crate::cases::Case;

/// What one evaluation came to.
#[derive(Debug, Deserialize)]
pub(crate) struct Outcome {
    pub(crate) replicas: u32,
    pub(crate) proposals: Vec<Proposal>,
    pub(crate) conditions: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Answer {
    evaluations: Vec<Outcome>,
}

/// What one metric asked for.
#[derive(Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Proposal {
    replicas: u32,
    pub(crate) milli: i64,
    utilization: Option<i32>,
    pub(crate) error: Option<String>,
}

impl From<&calculator::Proposal> for Proposal {
    fn from(ours: &calculator::Proposal) -> Self {
        Self {
            replicas: ours.replicas,
            milli: ours.milli,
            utilization: ours.utilization,
            error: None,
        }
    }
}

/// The kind of an error. Which of several pods without a request is named depends on the order of
/// a hash map there.
pub(crate) fn error(text: &str) -> &'static str {
    [
        "missing pod-level request",
        "missing request",
        "did not receive metrics",
        "no pods returned",
        "no metrics returned matched known pods",
        "it cannot be read",
    ]
    .into_iter()
    .find(|kind| text.contains(kind))
    .unwrap_or_else(|| panic!("an error that is not known: {text}"))
}

/// Asks Kubernetes' autoscaler, which Go builds from the lab's module.
pub(crate) fn answer(cases: &[Case]) -> Vec<Vec<Outcome>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let input = folder.join("autoscaler-cases.jsonl");
    let mut file = BufWriter::new(File::create(&input).unwrap());
    for case in cases {
        serde_json::to_writer(&mut file, case).unwrap();
        file.write_all(b"\n").unwrap();
    }
    file.flush().unwrap();
    let output = Command::new(build(folder))
        .stdin(Stdio::from(File::open(&input).unwrap()))
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    assert!(output.status.success(), "Kubernetes' autoscaler failed");
    let lines = output.stdout.split(|byte| *byte == b'\n');
    lines
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice::<Answer>(line).unwrap().evaluations)
        .collect()
}

fn build(folder: &Path) -> std::path::PathBuf {
    let program = folder.join("kubernetes-autoscaler");
    let module = Path::new(env!("CARGO_MANIFEST_DIR")).join("../lab/real/kubernetes");
    let status = Command::new("go")
        .args(["build", "-trimpath", "-o"])
        .arg(&program)
        .arg("./autoscaler")
        .env("CGO_ENABLED", "0")
        .current_dir(module)
        .status()
        .expect("Go builds Kubernetes' autoscaler: install Go 1.24 or newer (https://go.dev/dl)");
    assert!(status.success(), "go build failed");
    program
}
