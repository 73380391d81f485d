//! An operator as a process.

use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

use anyhow::{Context as _, Result, ensure};

use super::{Program, eventually};
use crate::real::free_port;

/// A running operator; dropped, it is killed.
pub struct Operator {
    process: Child,
    port: u16,
}

impl Operator {
    /// Starts one with these flags besides the usual. What it says goes to a file.
    pub(super) fn start(
        program: &Program,
        kubeconfig: &Path,
        log: &Path,
        flags: &[&str],
    ) -> Result<Self> {
        let port = free_port();
        let file = std::fs::File::create(log)?;
        let process = Command::new(&program.path)
            .args(&program.arguments)
            .arg("--kubeconfig")
            .arg(kubeconfig)
            .args(["--listen", &format!("127.0.0.1:{port}")])
            .args(flags)
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("{} did not start", program.path.display()))?;
        Ok(Self { process, port })
    }

    /// Waits until it leads and knows hub and members.
    pub async fn ready(&self) -> Result<()> {
        eventually("the operator is ready", async || {
            let answer = self.get("/readyz").await.unwrap_or_default();
            Ok(if answer.starts_with("HTTP/1.1 200") {
                Ok(())
            } else {
                Err(answer)
            })
        })
        .await
    }

    /// An answer of its HTTP server, head and body.
    pub async fn get(&self, path: &str) -> Result<String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let mut stream = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await?;
        stream
            .write_all(
                format!("GET {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n")
                    .as_bytes(),
            )
            .await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    }

    /// SIGKILL.
    pub fn kill(mut self) -> Result<()> {
        self.process.kill()?;
        self.process.wait()?;
        Ok(())
    }

    /// SIGTERM, and how it ends.
    pub async fn stop(mut self) -> Result<ExitStatus> {
        self.signal("TERM")?;
        self.ended().await
    }

    /// SIGSTOP.
    pub fn suspend(&self) -> Result<()> {
        self.signal("STOP")
    }

    /// SIGCONT.
    pub fn resume(&self) -> Result<()> {
        self.signal("CONT")
    }

    /// Waits until it has ended.
    pub async fn ended(&mut self) -> Result<ExitStatus> {
        let mut status = None;
        eventually("the operator ends", async || {
            status = self.process.try_wait()?;
            Ok(status.map(|_| ()).ok_or_else(|| "it runs".to_owned()))
        })
        .await?;
        status.context("no status")
    }

    fn signal(&self, name: &str) -> Result<()> {
        let status = Command::new("kill")
            .args([&format!("-{name}"), &self.process.id().to_string()])
            .status()?;
        ensure!(status.success(), "kill -{name} failed");
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
