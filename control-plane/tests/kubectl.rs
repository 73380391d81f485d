//! The real `kubectl`, over TLS. `KUBECTL` names it; else it is looked for in the path.

#![allow(clippy::unwrap_used)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use control_plane::store::{Options as StoreOptions, Store};
use control_plane::{ControlPlane, Options, Tls, User};
use tokio::net::TcpListener;
use tokio::process::Command;

fn kubectl() -> PathBuf {
    env::var_os("KUBECTL").map_or_else(|| "kubectl".into(), PathBuf::from)
}

struct Shell {
    kubectl: PathBuf,
    server: String,
    folder: PathBuf,
}

impl Shell {
    async fn run(&self, arguments: &[&str]) -> (bool, String) {
        let authority = self.folder.join("ca.crt");
        let output = Command::new(&self.kubectl)
            .arg("--kubeconfig=/dev/null")
            .arg(format!("--server={}", self.server))
            .arg(format!("--certificate-authority={}", authority.display()))
            .arg("--token=secret")
            .arg(format!(
                "--cache-dir={}",
                self.folder.join("cache").display()
            ))
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .await
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (
            output.status.success(),
            text(&output.stdout) + &text(&output.stderr),
        )
    }

    #[track_caller]
    fn check(done: &(bool, String), expected: &str) {
        assert!(
            done.0 && done.1.contains(expected),
            "expected {expected:?}: {}",
            done.1
        );
    }
}

async fn shell(folder: &Path, kubectl: PathBuf) -> Shell {
    let tls = Tls::open(folder, &["127.0.0.1"]).unwrap();
    let options = Options {
        tokens: [("secret".to_owned(), User::admin())].into(),
        ..Options::default()
    };
    let plane = ControlPlane::start(Store::memory(StoreOptions::default()), options)
        .await
        .unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = format!("https://{}", listener.local_addr().unwrap());
    tokio::spawn(async move {
        control_plane::serve(listener, Some(&tls), plane.router(), std::future::pending()).await
    });
    Shell {
        kubectl,
        server,
        folder: folder.to_owned(),
    }
}

const MANIFEST: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: c, image: nginx}]}
";

/// kubectl itself checks what is in a list, by the schemas of the server.
const LIST: &str = "
apiVersion: v1
kind: List
items:
- apiVersion: v1
  kind: ConfigMap
  metadata: {name: settings}
  data: {mode: one}
- apiVersion: v1
  kind: Namespace
  metadata: {name: other}
";

#[tokio::test]
async fn people_can_work_with_it() {
    let folder = env::temp_dir().join(format!("control-plane-kubectl-{}", std::process::id()));
    let shell = shell(&folder, kubectl()).await;
    let file = |name: &str, content: &str| {
        let file = folder.join(name);
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    };
    let manifest = file("web.yaml", MANIFEST);
    let list = file("list.yaml", LIST);
    let wrong = file("wrong.yaml", &LIST.replace("data:", "datum:"));
    for (arguments, expected) in [
        (vec!["version"], "Server Version: v1.34"),
        (
            vec!["apply", "-f", &manifest],
            "deployment.apps/web created",
        ),
        (
            vec!["apply", "-f", &manifest],
            "deployment.apps/web unchanged",
        ),
        (vec!["get", "deployments"], "UP-TO-DATE"),
        (
            vec!["scale", "deployment", "web", "--replicas=3"],
            "deployment.apps/web scaled",
        ),
        (
            vec!["set", "image", "deployment/web", "c=other"],
            "image updated",
        ),
        (
            vec![
                "get",
                "deployment",
                "web",
                "-o",
                "jsonpath={.spec.replicas}",
            ],
            "3",
        ),
        (
            vec![
                "apply",
                "--server-side",
                "--force-conflicts",
                "-f",
                &manifest,
            ],
            "serverside-applied",
        ),
        (
            vec!["describe", "deployment", "web"],
            "RollingUpdateStrategy",
        ),
        (
            vec!["explain", "deployment.spec.replicas"],
            "FIELD: replicas",
        ),
        (vec!["label", "deployment", "web", "a=b"], "labeled"),
        (vec!["auth", "can-i", "delete", "pods"], "yes"),
        (vec!["create", "serviceaccount", "robot"], "created"),
        (vec!["get", "all"], "deployment.apps/web"),
        (vec!["api-resources"], "horizontalpodautoscalers"),
        (vec!["create", "namespace", "team"], "created"),
        (vec!["delete", "namespace", "team"], "deleted"),
        (vec!["delete", "-f", &manifest], "deleted"),
        (vec!["apply", "-f", &list], "configmap/settings created"),
        (vec!["get", "namespaces"], "other"),
    ] {
        Shell::check(&shell.run(&arguments).await, expected);
    }
    let (done, said) = shell.run(&["apply", "-f", &wrong]).await;
    let words = r#"unknown field "datum" in io.k8s.api.core.v1.ConfigMap"#;
    assert!(!done && said.contains(words), "{said}");
    let _ = std::fs::remove_dir_all(&folder);
}
