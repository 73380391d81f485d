//! The operator as people run it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::repository::root;

/// A running scheduler; dropped, it is killed.
pub(super) struct Scheduler {
    process: Child,
    metrics: String,
}

impl Drop for Scheduler {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Scheduler {
    pub(super) fn start(kubeconfig: &Path) -> Result<Self> {
        let port = std::net::TcpListener::bind("127.0.0.1:0")?
            .local_addr()?
            .port();
        let program: PathBuf = root().join("target/release/multi-cluster-scheduler");
        let log = std::fs::File::create(root().join("target/bench-scheduler.log"))?;
        let process = Command::new(&program)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))?;
        Ok(Self {
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
                bail!("the scheduler did not become ready: see target/bench-scheduler.log");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Until the caches and the allocator are quiet, too.
        tokio::time::sleep(Duration::from_secs(3)).await;
        Ok(())
    }

    /// Resident memory in megabytes.
    pub(super) fn resident(&self) -> Result<f64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kilobytes: f64 = line
            .and_then(|line| line.split_whitespace().next())
            .context("no VmRSS")?
            .parse()?;
        Ok(kilobytes / 1000.0)
    }

    /// Requests sent to API servers so far, watches included.
    pub(super) async fn requests(&self) -> Result<f64> {
        let text = self.get("/metrics").await?;
        let counters = text
            .lines()
            .filter(|line| line.starts_with("mck8s_api_requests_total"));
        Ok(counters
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
