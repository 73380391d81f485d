//! The lab's kubectl.

use std::process::Stdio;

use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use super::Lab;
use super::binaries::Program;
use super::error::{Error, Result};

/// What a command said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Its standard output.
    pub stdout: String,
    /// Its standard error.
    pub stderr: String,
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
}

impl Output {
    /// Whether the exit code is zero.
    pub fn success(&self) -> bool {
        self.code == Some(0)
    }
}

impl Lab {
    /// Runs kubectl with the lab's kubeconfig, on the hub unless the
    /// arguments have a `--context`.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        self.kubectl_with_input(arguments, "").await
    }

    /// The same with something on standard input, for `apply -f -`.
    pub async fn kubectl_with_input(&self, arguments: &[&str], input: &str) -> Result<Output> {
        let program = self.binaries.path(Program::Kubectl);
        let run = async {
            let mut child = Command::new(program)
                .args(arguments)
                .env("KUBECONFIG", self.kubeconfig())
                // Other labs used the same ports: what their servers could do
                // must not be remembered for this one's.
                .env("KUBECACHEDIR", self.directory.join("kubectl-cache"))
                // Nothing of the user's own configuration has a say here.
                .env("KUBECTL_KUBERC", "false")
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()?;
            let stdin = child.stdin.take();
            let write = async {
                if let Some(mut stdin) = stdin {
                    // kubectl may end before it has read everything.
                    let _ = stdin.write_all(input.as_bytes()).await;
                }
            };
            let (output, ()) = tokio::join!(child.wait_with_output(), write);
            output
        };
        let output = run.await.map_err(Error::io("run", program))?;
        Ok(Output {
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code(),
        })
    }
}
