//! The kubeconfig file that the operator was given. It is the operator's own, and may do all that
//! one of kubectl's may: run a credential plugin, name files.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kube::config::NamedContext;
use tokio::time::Instant;

use crate::operator::redacted::redacted_message;

/// The kubeconfig file that the operator was given. Whoever asks within a second gets what was read
/// for the one before; clones share it.
#[derive(Clone, Debug)]
pub struct Kubeconfig {
    path: PathBuf,
    last: Arc<Mutex<Option<(Instant, Content)>>>,
}

/// What a kubeconfig file holds, or what is wrong with it.
pub type Content = Result<Arc<kube::config::Kubeconfig>, String>;

/// How long a kubeconfig file counts as read.
const FRESH: Duration = Duration::from_secs(1);

impl Kubeconfig {
    /// A file; it is read when somebody asks.
    pub fn at(path: PathBuf) -> Self {
        let last = Arc::default();
        Self { path, last }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file's content, or what is wrong with it, not older than a second.
    pub fn read(&self) -> Content {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = last.as_ref().filter(|(since, _)| since.elapsed() < FRESH);
        if let Some((_, content)) = fresh {
            return content.clone();
        }
        let content = kube::config::Kubeconfig::read_from(&self.path)
            .map(Arc::new)
            .map_err(|error| {
                let problem = redacted_message(&error);
                format!("kubeconfig {}: {problem}", self.path.display())
            });
        *last = Some((Instant::now(), content.clone()));
        content
    }
}

/// Only the parts of this context: another one's change must not restart this member.
pub(super) fn parts_of(
    kubeconfig: &kube::config::Kubeconfig,
    context: &str,
) -> kube::config::Kubeconfig {
    let named = |named: &&NamedContext| named.name == context;
    let contexts: Vec<_> = kubeconfig.contexts.iter().filter(named).cloned().collect();
    let parts = contexts.first().and_then(|named| named.context.as_ref());
    let clusters = kubeconfig.clusters.iter();
    let users = kubeconfig.auth_infos.iter();
    kube::config::Kubeconfig {
        clusters: clusters
            .filter(|named| parts.is_some_and(|context| context.cluster == named.name))
            .cloned()
            .collect(),
        auth_infos: users
            .filter(|named| parts.is_some_and(|context| context.user.as_ref() == Some(&named.name)))
            .cloned()
            .collect(),
        contexts,
        ..kube::config::Kubeconfig::default()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_kubeconfig_is_read_once_for_all_who_ask_and_again_after_a_second() {
        let file = std::env::temp_dir().join(format!("kubeconfig-{}", std::process::id()));
        let write = |context: &str| fs::write(&file, format!("current-context: {context}"));
        let one = Kubeconfig::at(file.clone());
        let other = one.clone();
        let context = |file: &Kubeconfig| file.read().unwrap().current_context.clone();

        write("first").unwrap();
        assert_eq!(context(&one).as_deref(), Some("first"));
        write("second").unwrap();
        assert_eq!(context(&other).as_deref(), Some("first"));
        tokio::time::advance(FRESH).await;
        assert_eq!(context(&other).as_deref(), Some("second"));
        assert_eq!(context(&one).as_deref(), Some("second"));
        fs::remove_file(&file).unwrap();
        tokio::time::advance(FRESH).await;
        assert!(one.read().unwrap_err().contains("kubeconfig-"));
    }

    #[test]
    fn a_file_that_cannot_be_read_is_named_without_its_content() {
        let file = std::env::temp_dir().join(format!("broken-{}", std::process::id()));
        fs::write(&file, "users: [{name: a, user: secret}]").unwrap();
        let problem = Kubeconfig::at(file.clone()).read().unwrap_err();
        let place = "no valid kubeconfig at line 1, column 25";
        assert!(problem.ends_with(place), "{problem}");
        fs::remove_file(&file).unwrap();
    }
}
