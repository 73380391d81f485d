//! An operator as people run it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::repository::{self, root};

/// Builds operators. This program is named as well, so that they share its dependencies, as they were
/// built for it; without, other features would be chosen, and most of it built once more.
pub(super) fn build(programs: &[&str]) -> Result<()> {
    let mut command = vec!["build", "--release", "-p", "xtask"];
    for program in programs {
        command.extend(["-p", program]);
    }
    repository::run("cargo", &command)
}

/// A running operator; dropped, it is killed.
pub(super) struct Operator {
    program: &'static str,
    process: Child,
    metrics: String,
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Operator {
    /// Starts a program of this workspace, with these flags beside the kubeconfig.
    pub(super) fn start(
        program: &'static str,
        kubeconfig: &Path,
        flags: &[String],
    ) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let log = root().join(log_of(program));
        std::fs::create_dir_all(log.parent().unwrap_or(root()))?;
        let log = std::fs::File::create(log)?;
        let process = Command::new(beside(program)?)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {program}"))?;
        Ok(Self {
            program,
            process,
            metrics: format!("127.0.0.1:{port}"),
        })
    }

    pub(super) async fn ready(&self) -> Result<()> {
        let deadline = Instant::now() + Duration::from_mins(1);
        while !self
            .get("/readyz")
            .await
            .is_ok_and(|answer| answer.starts_with("HTTP/1.1 200"))
        {
            if Instant::now() > deadline {
                let program = self.program;
                bail!("{program} did not become ready: see {}", log_of(program));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Until the caches and the allocator are quiet, too.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    pub(super) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Requests sent to API servers so far, watches included.
    pub(super) async fn requests(&self) -> Result<f64> {
        self.sum("mck8s_api_requests_total").await
    }

    /// The sum of a metric over its labels.
    pub(super) async fn sum(&self, metric: &str) -> Result<f64> {
        let text = self.get("/metrics").await?;
        let samples = text.lines().filter(|line| line.starts_with(metric));
        Ok(samples
            .filter_map(|line| line.rsplit(' ').next()?.trim().parse::<f64>().ok())
            .sum())
    }

    async fn get(&self, path: &str) -> Result<String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(&self.metrics).await?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }
}

/// A program that was built with this one.
fn beside(program: &str) -> Result<PathBuf> {
    let here = std::env::current_exe()?;
    let folder = here.parent().context("this program is in no folder")?;
    Ok(folder.join(program))
}

/// Where an operator's log goes, from the root of the repository.
fn log_of(program: &str) -> String {
    format!("target/bench-{program}.log")
}
