//! What can go wrong in the real lab, by step.

use std::path::PathBuf;
use std::time::Duration;

/// A failure of the real lab. The message says what to do where something
/// can be done.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The control plane's binaries are neither on this machine nor buildable.
    #[error("the real lab's binaries cannot be had: {0}")]
    Binaries(String),

    /// The directory holds a lab that runs.
    #[error(
        "a lab is already running in {directory}; use it (kubeconfig: {directory}/kubeconfig), \
         or take it down first with `cargo xtask lab down --dir {directory}`"
    )]
    AlreadyRunning {
        /// The lab's directory.
        directory: PathBuf,
    },

    /// The directory holds no lab.
    #[error("no lab is running in {directory}; start one with `cargo xtask lab up`")]
    NotRunning {
        /// The directory that was looked at.
        directory: PathBuf,
    },

    /// The lab has no cluster of that name.
    #[error("the lab has no cluster {name:?}; it has {known}")]
    UnknownCluster {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: String,
    },

    /// A file or directory could not be read or written.
    #[error("cannot {action} {path}: {source}")]
    Io {
        /// What was tried, as a verb.
        action: &'static str,
        /// The file or directory.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },

    /// The lab's own record of its processes is damaged.
    #[error("cannot understand {path}: {source}; remove the directory to start afresh")]
    State {
        /// The record.
        path: PathBuf,
        /// The cause.
        source: serde_json::Error,
    },

    /// Keys or certificates could not be made.
    #[error("cannot make the lab's certificates: {0}")]
    Certificates(#[from] control_plane::TlsError),

    /// A process ended while the lab waited for it.
    #[error("{cluster}: {component} ended while starting; the end of {log}:\n{tail}")]
    Exited {
        /// The cluster it belongs to.
        cluster: String,
        /// Which process.
        component: String,
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },

    /// Something did not happen in time.
    #[error("{cluster}: {what} not seen within {} s; last: {last}", waited.as_secs())]
    Deadline {
        /// The cluster that was waited for.
        cluster: String,
        /// What was waited for.
        what: &'static str,
        /// For how long.
        waited: Duration,
        /// What was seen instead.
        last: String,
    },

    /// A call to a cluster failed.
    #[error("{cluster}: {source}")]
    Kube {
        /// The cluster that was called.
        cluster: String,
        /// The cause.
        source: Box<kube::Error>,
    },

    /// The lab's kubeconfig could not be used.
    #[error("cannot use the lab's kubeconfig: {0}")]
    Kubeconfig(#[from] Box<kube::config::KubeconfigError>),
}

/// A result of the real lab.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// Wraps an I/O error; meant for `map_err`.
    pub(crate) fn io(
        action: &'static str,
        path: impl Into<PathBuf>,
    ) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io {
            action,
            path,
            source,
        }
    }

    /// Wraps an error of a call to `cluster`; meant for `map_err`.
    pub(crate) fn kube(cluster: &str) -> impl FnOnce(kube::Error) -> Self {
        let cluster = cluster.to_owned();
        move |source| Self::Kube {
            cluster,
            source: Box::new(source),
        }
    }
}
