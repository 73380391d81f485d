//! The programs of a control plane: found on this machine, or built with Go.
//!
//! Searched in this order: `KUBEBUILDER_ASSETS` (as `setup-envtest` fills it),
//! then the cache, `$MCK8S_LAB_CACHE` or `$XDG_CACHE_HOME/mck8s/lab` or
//! `~/.cache/mck8s/lab`. What is missing is built into the cache from the Go
//! modules in `lab/real`, whose `go.sum` pins every byte of the sources.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use super::error::{Error, Result};

/// A program that the lab runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Program {
    /// The API server's database.
    Etcd,
    /// The API server.
    KubeApiserver,
    /// Kubernetes' own controllers (Deployments, Jobs, garbage, …).
    KubeControllerManager,
    /// Puts pods on nodes.
    KubeScheduler,
    /// The command line client.
    Kubectl,
    /// Plays the kubelets.
    Kwok,
    /// Serves `metrics.k8s.io`.
    MetricsServer,
    /// Cluster API's own controllers.
    ClusterApi,
    /// Cluster API's provider of control planes.
    KubeadmControlPlane,
    /// Cluster API's provider of what machines boot with.
    KubeadmBootstrap,
    /// Cluster API's provider of clusters in memory.
    InMemory,
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Binaries {
    paths: BTreeMap<Program, PathBuf>,
}

impl Binaries {
    /// Finds the programs, and builds those that are missing. Blocks: a cold
    /// build takes ten to fifteen minutes on two cores. One line on standard
    /// error per program that is built.
    pub fn ensure() -> Result<Self> {
        Self::ensure_only(&Program::ALL)
    }

    /// The same with some of the programs.
    pub fn ensure_only(programs: &[Program]) -> Result<Self> {
        match Self::find_only(programs) {
            Ok(binaries) => Ok(binaries),
            Err(_) => build_missing(programs),
        }
    }

    /// Finds the programs without building any; `Err` has those that are
    /// missing.
    pub fn find() -> std::result::Result<Self, Vec<Program>> {
        Self::find_only(&Program::ALL)
    }

    /// The same with some of the programs.
    pub fn find_only(programs: &[Program]) -> std::result::Result<Self, Vec<Program>> {
        let cache = cache_directory();
        let (found, missing): (Vec<_>, Vec<_>) = programs
            .iter()
            .map(|&program| (program, program.find(cache.as_deref())))
            .partition(|(_, path)| path.is_some());
        if missing.is_empty() {
            let paths = found
                .into_iter()
                .filter_map(|(program, path)| Some((program, path?)))
                .collect();
            Ok(Self { paths })
        } else {
            Err(missing.into_iter().map(|(program, _)| program).collect())
        }
    }

    /// Whether the Go toolchain that a build needs is installed.
    pub fn can_build() -> bool {
        go_version().is_some()
    }

    /// The path of a program that was asked for; of another, its name.
    pub fn path(&self, program: Program) -> &Path {
        self.paths
            .get(&program)
            .map_or(Path::new(program.name()), PathBuf::as_path)
    }
}

impl Program {
    /// Cluster API, for a hub.
    pub const CLUSTER_API: [Self; 4] = [
        Self::ClusterApi,
        Self::KubeadmControlPlane,
        Self::KubeadmBootstrap,
        Self::InMemory,
    ];

    /// Every program of the clusters, the quickest to build first.
    pub const ALL: [Self; 7] = [
        Self::Etcd,
        Self::KubeApiserver,
        Self::KubeControllerManager,
        Self::KubeScheduler,
        Self::Kubectl,
        Self::Kwok,
        Self::MetricsServer,
    ];

    /// The file name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Etcd => "etcd",
            Self::KubeApiserver => "kube-apiserver",
            Self::KubeControllerManager => "kube-controller-manager",
            Self::KubeScheduler => "kube-scheduler",
            Self::Kubectl => "kubectl",
            Self::Kwok => "kwok",
            Self::MetricsServer => "metrics-server",
            Self::ClusterApi => "cluster-api",
            Self::KubeadmControlPlane => "kubeadm-control-plane",
            Self::KubeadmBootstrap => "kubeadm-bootstrap",
            Self::InMemory => "in-memory",
        }
    }

    /// The version that is built, with its leading `v`.
    pub fn version(self) -> &'static str {
        self.module().version()
    }

    fn module(self) -> Module {
        match self {
            Self::Etcd => ETCD,
            Self::Kwok => KWOK,
            Self::MetricsServer => METRICS_SERVER,
            Self::ClusterApi | Self::KubeadmControlPlane | Self::KubeadmBootstrap => CLUSTER_API,
            Self::InMemory => CLUSTER_API_TEST,
            _ => KUBERNETES,
        }
    }

    fn package(self) -> String {
        match self {
            Self::Etcd => ETCD.path.to_owned(),
            Self::ClusterApi => format!("{}/core", CLUSTER_API.path),
            Self::KubeadmControlPlane => format!("{}/controlplane/kubeadm", CLUSTER_API.path),
            Self::KubeadmBootstrap => format!("{}/bootstrap/kubeadm", CLUSTER_API.path),
            Self::InMemory => format!("{}/infrastructure/docker", CLUSTER_API_TEST.path),
            _ => format!("{}/cmd/{}", self.module().path, self.name()),
        }
    }

    /// The folder with the sources of its module, which are fetched if they are not there.
    pub(crate) fn sources(self) -> Result<PathBuf> {
        let module = self.module();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("real");
        let folder = folder.join(module.required_by.folder);
        let run = |arguments: &[&str]| {
            let output = Command::new("go")
                .args(arguments)
                .arg(module.path)
                .current_dir(&folder)
                .output()
                .map_err(Error::io("run go in", &folder))?;
            if output.status.success() {
                return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
            }
            let told = String::from_utf8_lossy(&output.stderr);
            let told = told.trim_end();
            Err(Error::Binaries(format!(
                "`go {}`: {told}",
                arguments.join(" ")
            )))
        };
        run(&["mod", "download"])?;
        run(&["list", "-m", "-f", "{{.Dir}}"]).map(PathBuf::from)
    }

    fn find(self, cache: Option<&Path>) -> Option<PathBuf> {
        let assets = std::env::var_os("KUBEBUILDER_ASSETS").map(PathBuf::from);
        let cached = cache.map(|cache| cache.join(self.module().directory()));
        [assets, cached]
            .into_iter()
            .flatten()
            .map(|directory| directory.join(self.name()))
            .find(|path| path.is_file())
    }
}

/// A Go module of ours that requires those that programs come from.
#[derive(Clone, Copy)]
struct Requirements {
    /// Its folder in `lab/real`.
    folder: &'static str,
    /// Its `go.mod`.
    text: &'static str,
}

const OF_CLUSTERS: Requirements = Requirements {
    folder: "kubernetes",
    text: include_str!("../../real/kubernetes/go.mod"),
};
const OF_CLUSTER_API: Requirements = Requirements {
    folder: "cluster-api",
    text: include_str!("../../real/cluster-api/go.mod"),
};

/// A Go module that programs come from.
#[derive(Clone, Copy)]
struct Module {
    required_by: Requirements,
    /// The prefix of the folder in the cache.
    name: &'static str,
    /// The module's path, whose required version is that of its programs.
    path: &'static str,
}

const KUBERNETES: Module = Module {
    required_by: OF_CLUSTERS,
    name: "kubernetes",
    path: "k8s.io/kubernetes",
};
const ETCD: Module = Module {
    required_by: OF_CLUSTERS,
    name: "etcd",
    path: "go.etcd.io/etcd/server/v3",
};
const KWOK: Module = Module {
    required_by: OF_CLUSTERS,
    name: "kwok",
    path: "sigs.k8s.io/kwok",
};
const METRICS_SERVER: Module = Module {
    required_by: OF_CLUSTERS,
    name: "metrics-server",
    path: "sigs.k8s.io/metrics-server",
};

const CLUSTER_API: Module = Module {
    required_by: OF_CLUSTER_API,
    name: "cluster-api",
    path: "sigs.k8s.io/cluster-api",
};
const CLUSTER_API_TEST: Module = Module {
    required_by: OF_CLUSTER_API,
    name: "cluster-api-test",
    path: "sigs.k8s.io/cluster-api/test",
};

impl Module {
    fn version(self) -> &'static str {
        self.required_by
            .text
            .lines()
            .filter_map(|line| line.trim().strip_prefix(self.path))
            .filter_map(|rest| rest.strip_prefix(' '))
            .find_map(|rest| rest.split(' ').next().filter(|v| v.starts_with('v')))
            .unwrap_or("unknown")
    }

    fn directory(self) -> String {
        format!("{}-{}", self.name, self.version())
    }

    /// Strips symbols, and sets the version that the servers report: without
    /// it they say v0.0.0, which clients and conformance checks refuse.
    fn linker_flags(self) -> String {
        let strip = "-s -w".to_owned();
        if self.name != KUBERNETES.name {
            return strip;
        }
        let version = self.version();
        let mut numbers = version.trim_start_matches('v').split('.');
        let (major, minor) = (numbers.next().unwrap_or("0"), numbers.next().unwrap_or("0"));
        let target = "k8s.io/component-base/version";
        format!(
            "{strip} -X {target}.gitVersion={version} -X {target}.gitMajor={major} \
             -X {target}.gitMinor={minor}"
        )
    }
}

fn build_missing(programs: &[Program]) -> Result<Binaries> {
    let cache = cache_directory().ok_or_else(|| {
        Error::Binaries(
            "neither MCK8S_LAB_CACHE, XDG_CACHE_HOME nor HOME says where to keep them".to_owned(),
        )
    })?;
    fs::create_dir_all(&cache).map_err(Error::io("create", &cache))?;
    let _lock = lock(&cache)?;
    // Another process may have built them while this one waited for the lock.
    let missing = match Binaries::find_only(programs) {
        Ok(binaries) => return Ok(binaries),
        Err(missing) => missing,
    };
    if !Binaries::can_build() {
        let names: Vec<_> = missing.iter().map(|program| program.name()).collect();
        return Err(Error::Binaries(format!(
            "{} missing. Install Go 1.26.4 or newer (https://go.dev/dl) and run this again to build \
             them into {}, or point KUBEBUILDER_ASSETS at a folder that has them",
            names.join(", "),
            cache.display()
        )));
    }
    for program in missing {
        build(program, &cache)?;
    }
    Binaries::find_only(programs)
        .map_err(|missing| Error::Binaries(format!("{missing:?} missing after a build")))
}

fn build(program: Program, cache: &Path) -> Result<()> {
    let module = program.module();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("real");
    let source = source.join(module.required_by.folder);
    let directory = cache.join(module.directory());
    fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
    let target = directory.join(program.name());
    // Written aside and renamed, so that an interrupted build leaves no half
    // a program that looks whole.
    let partial = directory.join(format!(".{}.partial", program.name()));

    let started = Instant::now();
    eprintln!("building {} {} …", program.name(), module.version());
    let output = Command::new("go")
        .args(["build", "-trimpath", "-ldflags"])
        .arg(module.linker_flags())
        .arg("-o")
        .arg(&partial)
        .arg(program.package())
        .env("CGO_ENABLED", "0")
        // The compiler collects garbage less often: a fifth less work, for memory that is there.
        .env("GOGC", "400")
        .current_dir(&source)
        .output()
        .map_err(Error::io("run go in", &source))?;
    if !output.status.success() {
        return Err(Error::Binaries(format!(
            "`go build {}` in {} failed:\n{}",
            program.package(),
            source.display(),
            String::from_utf8_lossy(&output.stderr).trim_end()
        )));
    }
    fs::rename(&partial, &target).map_err(Error::io("rename to", &target))?;
    eprintln!(
        "built {} in {} s",
        program.name(),
        started.elapsed().as_secs()
    );
    Ok(())
}

/// Two builds at once would fight for the cores and end at the same files.
/// The lock goes with the file handle, so a killed build holds nothing.
fn lock(cache: &Path) -> Result<File> {
    let path = cache.join("build.lock");
    let file = File::create(&path).map_err(Error::io("create", &path))?;
    if file.try_lock().is_err() {
        eprintln!("waiting for another build of the lab's binaries …");
        file.lock().map_err(Error::io("lock", &path))?;
    }
    Ok(file)
}

fn cache_directory() -> Option<PathBuf> {
    let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(cache) = variable("MCK8S_LAB_CACHE") {
        return Some(cache.into());
    }
    let base = variable("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    Some(base.join("mck8s/lab"))
}

fn go_version() -> Option<String> {
    let output = Command::new("go").arg("version").output().ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_come_from_the_go_modules() {
        for program in Program::ALL.into_iter().chain(Program::CLUSTER_API) {
            let version = program.version();
            assert!(
                version.starts_with('v') && version.contains('.'),
                "{program:?}: {version}"
            );
        }
    }

    #[test]
    fn kubernetes_reports_its_version() {
        let flags = KUBERNETES.linker_flags();
        assert!(
            flags.contains(&format!("gitVersion={}", KUBERNETES.version())),
            "{flags}"
        );
        assert!(!ETCD.linker_flags().contains("gitVersion"));
    }
}
