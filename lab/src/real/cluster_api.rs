//! A real Cluster API on the hub, with its provider of clusters in memory: the programs that a person
//! installs with `clusterctl init`, as processes, with their definitions and webhooks.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use serde_json::{Value, json};

use super::binaries::{Binaries, Program};
use super::error::{Error, Result};
use super::process::{Process, terminate};
use super::{HUB, Lab, free_port};

/// From the start of a program until it answers.
const PATIENCE: Duration = Duration::from_mins(1);
/// From the request to end until a program is killed.
const GRACE: Duration = Duration::from_secs(5);
/// The file with the class of clusters in memory, below the provider's sources.
const CLASS: &str = "infrastructure/docker/templates/clusterclass-in-memory.yaml";

/// A Cluster API at work. Dropped, it ends.
pub struct ClusterApi {
    processes: Vec<Process>,
    sources: PathBuf,
}

/// A program, and the folder below its module's sources with its definitions and webhooks.
const PARTS: [(Program, &str); 4] = [
    (Program::ClusterApi, "core"),
    (Program::KubeadmControlPlane, "controlplane/kubeadm"),
    (Program::KubeadmBootstrap, "bootstrap/kubeadm"),
    (Program::InMemory, "infrastructure/docker"),
];

impl ClusterApi {
    /// Whether its programs are there, or can be built. Blocks while they are built.
    pub fn ensure() -> Result<()> {
        Binaries::ensure_only(&Program::CLUSTER_API).map(drop)
    }

    /// Installs it on the hub of a lab, and starts it.
    pub async fn start(lab: &Lab) -> Result<Self> {
        let binaries = Binaries::ensure_only(&Program::CLUSTER_API)?;
        let directory = lab.directory().join("cluster-api");
        fs::create_dir_all(&directory).map_err(Error::io("create", &directory))?;
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = generate_simple_self_signed(names);
        let CertifiedKey { cert, signing_key } =
            certificate.map_err(|error| Error::Binaries(error.to_string()))?;
        for (name, text) in [
            ("tls.crt", cert.pem()),
            ("tls.key", signing_key.serialize_pem()),
        ] {
            let file = directory.join(name);
            fs::write(&file, text).map_err(Error::io("write", &file))?;
        }
        let authority = BASE64_STANDARD.encode(cert.pem());
        let mut api = Self {
            processes: Vec::new(),
            sources: Program::InMemory.sources()?,
        };
        for (program, folder) in PARTS {
            let folder = program.sources()?.join(folder);
            let definitions = folder.join("config/crd/bases");
            let definitions = definitions.to_string_lossy().into_owned();
            run(lab, &["apply", "--server-side", "-f", &definitions], "").await?;
        }
        // Which version of the objects of a provider is meant.
        let contract = "cluster.x-k8s.io/v1beta2=v1beta2";
        run(lab, &["label", "crd", "--all", "--overwrite", contract], "").await?;
        let served = [
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=60s",
        ];
        run(lab, &served, "").await?;
        for (program, folder) in PARTS {
            let (webhooks, health) = (free_port(), free_port());
            let process = start(lab, &binaries, program, &directory, webhooks, health)?;
            api.processes.push(process);
            answers(program, health).await?;
            let manifest = program
                .sources()?
                .join(folder)
                .join("config/webhook/manifests.yaml");
            let hooks = hooks(&manifest, program, webhooks, &authority)?;
            run(lab, &["apply", "-f", "-"], &hooks.to_string()).await?;
        }
        Ok(api)
    }

    /// The file with the `ClusterClass` `in-memory`, and all that belongs to it.
    pub fn class(&self) -> PathBuf {
        self.sources.join(CLASS)
    }
}

impl Drop for ClusterApi {
    fn drop(&mut self) {
        terminate(std::mem::take(&mut self.processes), GRACE);
    }
}

fn start(
    lab: &Lab,
    binaries: &Binaries,
    program: Program,
    directory: &Path,
    webhooks: u16,
    health: u16,
) -> Result<Process> {
    let mut command = Command::new(binaries.path(program));
    command
        .arg("--kubeconfig")
        .arg(lab.kubeconfig())
        .arg("--feature-gates=ClusterTopology=true")
        .arg("--webhook-cert-dir")
        .arg(directory)
        .arg(format!("--webhook-port={webhooks}"))
        .arg(format!("--health-addr=127.0.0.1:{health}"))
        .arg(format!("--diagnostics-address=127.0.0.1:{}", free_port()))
        .arg("--insecure-diagnostics")
        .env("POD_IP", "127.0.0.1");
    let log = directory.join(format!("{}.log", program.name()));
    Process::start(&mut command, &log)
}

/// Waits until a program serves its webhooks.
async fn answers(program: Program, health: u16) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    let address = (std::net::Ipv4Addr::LOCALHOST, health);
    loop {
        let asked = async {
            use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
            let mut stream = tokio::net::TcpStream::connect(address).await?;
            let request = "GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
            stream.write_all(request.as_bytes()).await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
        };
        if asked.await.is_ok_and(|ready| ready) {
            return Ok(());
        }
        if Instant::now() >= deadline {
            let told = format!("{} was not ready within {PATIENCE:?}", program.name());
            return Err(Error::Binaries(told));
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The webhooks of a program, which the API server finds at a port instead of a Service.
fn hooks(manifest: &Path, program: Program, port: u16, authority: &str) -> Result<Value> {
    let text = fs::read_to_string(manifest).map_err(Error::io("read", manifest))?;
    let mut items = Vec::new();
    for document in text.split("\n---\n").filter(|text| !text.trim().is_empty()) {
        let mut object: Value = serde_saphyr::from_str(document)
            .map_err(|error| Error::Binaries(format!("{}: {error}", manifest.display())))?;
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["metadata"]["name"] = format!("{name}-{}", program.name()).into();
        for hook in object["webhooks"].as_array_mut().into_iter().flatten() {
            let path = hook["clientConfig"]["service"]["path"].as_str();
            let url = format!("https://localhost:{port}{}", path.unwrap_or_default());
            hook["clientConfig"] = json!({ "url": url, "caBundle": authority });
        }
        items.push(object);
    }
    Ok(json!({ "apiVersion": "v1", "kind": "List", "items": items }))
}

async fn run(lab: &Lab, arguments: &[&str], input: &str) -> Result<()> {
    let arguments = [&["--context", HUB][..], arguments].concat();
    let done = lab.kubectl_with_input(&arguments, input).await?;
    if done.success() {
        return Ok(());
    }
    let told = done.stderr.trim_end();
    Err(Error::Binaries(format!(
        "kubectl {}: {told}",
        arguments.join(" ")
    )))
}
