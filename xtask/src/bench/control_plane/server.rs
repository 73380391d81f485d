//! Servers to send requests to: ours and the real one, each as processes of their own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use lab::real::{HUB, Lab, Options};

use super::connection::Server;
use crate::repository::{self, root};

/// Where the servers of the benchmark keep their files.
fn directory() -> PathBuf {
    root().join("target/bench-control-plane")
}

/// Our server. Dropped, it is killed and its data removed.
pub(super) struct Ours {
    process: Child,
    pub(super) server: Server,
    folder: PathBuf,
}

impl Ours {
    /// Starts control planes in one process; with `durable`, on disk. The first start in a folder
    /// makes certificates as well.
    pub(super) fn start(name: &str, durable: bool, planes: usize) -> Result<Self> {
        let folder = directory().join(name);
        let tls = folder.join("tls");
        fs::create_dir_all(&folder)?;
        let mut command = Command::new(program()?);
        command.args(["--planes", &planes.to_string()]);
        command.arg("--tls").arg(&tls);
        if durable {
            command.arg("--data").arg(folder.join("data"));
        }
        let mut process = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("the server does not start")?;
        let address = address(&mut process);
        // From here on, a failure ends the process.
        let mut ours = Self {
            server: Server {
                address: SocketAddr::from(([127, 0, 0, 1], 0)),
                prefix: "/clusters/0".to_owned(),
                authority: tls.join("ca.crt"),
                token: "bench".to_owned(),
                pids: vec![process.id()],
            },
            process,
            folder,
        };
        ours.server.address = address?;
        Ok(ours)
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }
}

/// The program that serves, beside this one.
fn program() -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("this program is in no folder")?;
    Ok(folder.join("examples").join(EXAMPLE))
}

const EXAMPLE: &str = "measured";

/// Builds what is to be measured.
pub(super) fn build() -> Result<()> {
    let command = [
        "build",
        "--release",
        "-p",
        "control-plane",
        "--example",
        EXAMPLE,
    ];
    repository::run("cargo", &command)
}

/// The address that the server prints once it listens.
fn address(process: &mut Child) -> Result<SocketAddr> {
    let output = process.stdout.take().context("the server has no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line)?;
    let address = line.trim().parse();
    address.with_context(|| format!("the server said {line:?} in place of its address"))
}

impl Drop for Ours {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// A real kube-apiserver and its etcd, without controllers: those would compete for the processors,
/// and are not what is compared.
pub(super) struct Real {
    lab: Lab,
    pub(super) server: Server,
}

impl Real {
    /// Starts both; with `durable`, etcd syncs every write.
    pub(super) async fn start(durable: bool) -> Result<Self> {
        let directory = directory().join("real");
        let options = Options {
            fsync: durable,
            ..Options::uniform(&directory, 0, 0)
        };
        let lab = Lab::up(options).await?;
        let hub = lab.cluster(HUB)?;
        hub.stop_controllers().await?;
        let url = hub.server();
        let address = url.strip_prefix("https://").unwrap_or(&url);
        let server = Server {
            address: address.parse().context("the API server's address")?,
            prefix: String::new(),
            authority: lab.directory().join("pki/ca.crt"),
            token: token(&lab.directory().join("pki/token"))?,
            pids: hub.server_pids(),
        };
        Ok(Self { lab, server })
    }

    pub(super) async fn end(self) -> Result<()> {
        self.lab.down().await?;
        Ok(())
    }
}

fn token(path: &Path) -> Result<String> {
    let text = fs::read_to_string(path).context("the lab's token")?;
    Ok(text.trim().to_owned())
}
