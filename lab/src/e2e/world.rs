//! The lab, and what scenarios do and look at.

use std::cell::{Cell, RefCell};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::accounts::NAMESPACE;
use super::eventually::{PATIENCE, eventually, holds};
use super::objects::{Objects, Place};
use super::operator::Operator;
use super::{MEMBERS, Program, Scenario, Suite, repository};
use crate::real::{Flavour, HUB, Lab, Options};

/// The lab and what the scenarios share.
pub struct World {
    /// The clusters.
    pub lab: Lab,
    pub(super) operator: Program,
    log: RefCell<PathBuf>,
    runs: Cell<u32>,
    namespace: RefCell<String>,
    objects: Objects,
}

impl World {
    /// A lab of this flavour, with the CRDs on its hub.
    pub(super) async fn start(suite: &Suite, name: &str, flavour: Flavour) -> Result<Self> {
        let directory = suite.directory.join("scenarios").join(name);
        let mut options = Options::uniform(directory, MEMBERS.len(), 5);
        options.metrics = suite.metrics;
        options.audit = true;
        let lab = Lab::up(options.with_flavour(flavour)).await?;
        let world = Self {
            lab,
            operator: suite.operator.clone(),
            log: RefCell::default(),
            runs: Cell::new(0),
            namespace: RefCell::default(),
            objects: Objects::default(),
        };
        world.install_crds().await?;
        world.make_accounts().await?;
        Ok(world)
    }

    /// Client-side apply, as a newcomer would.
    pub async fn install_crds(&self) -> Result<()> {
        let crds = repository().join("manifests/crds");
        self.kubectl(&["apply", "-f", &crds.to_string_lossy()])
            .await?;
        self.kubectl(&[
            "wait",
            "--for=condition=Established",
            "crd",
            "--all",
            "--timeout=30s",
        ])
        .await?;
        Ok(())
    }

    pub(super) async fn end(self) -> Result<()> {
        Ok(self.lab.down().await?)
    }

    /// Plays one scenario in a namespace of its own, and clears up after it.
    pub(super) async fn play(&self, scenario: &Scenario) -> Result<()> {
        let name = scenario.name.replace('_', "-");
        self.namespace.replace(name.clone());
        let namespace =
            json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        self.create(HUB, &namespace).await?;
        self.allow_access_in(&name).await?;
        let before = self.runs.get();
        let played = tokio::time::timeout(PATIENCE * 3, (scenario.play)(self))
            .await
            .unwrap_or_else(|_| bail!("it took too long"));
        // A scenario that failed may have left a cluster stopped.
        for cluster in [HUB].iter().chain(&MEMBERS) {
            self.lab.cluster(cluster)?.start().await?;
        }
        let runs = before + 1..=self.runs.get();
        let kept = self.check_secrecy(runs).await;
        let kept = kept.context("a credential was said");
        let cleared = self.clear(&name).await.context("clearing up");
        played.and(kept).and(cleared)
    }

    /// Whatever the scenario left behind goes, without the operator's help.
    async fn clear(&self, namespace: &str) -> Result<()> {
        let hub = self.at(HUB, namespace);
        self.objects.delete(hub, "memberclusters").await?;
        let no_finalizers = json!({ "metadata": { "finalizers": null } });
        for kind in ["mchpa", "mcd", "mcs", "mcj", "mcl"] {
            // The scenario may have taken the definition away.
            let list = self.objects.get(hub, kind).await.unwrap_or_default();
            for object in list["items"].as_array().into_iter().flatten() {
                let name = object["metadata"]["name"].as_str().unwrap_or_default();
                // It may have gone meanwhile.
                let _ = self
                    .objects
                    .patch(hub, &format!("{kind}/{name}"), &no_finalizers)
                    .await;
            }
        }
        let object = format!("namespace/{namespace}");
        // Of an operator that was killed; the next one would wait for it.
        let leases = self.at(HUB, NAMESPACE);
        self.objects.delete(leases, "leases").await?;
        for cluster in [HUB].iter().chain(&MEMBERS) {
            self.objects.delete(self.at(cluster, ""), &object).await?;
        }
        Ok(())
    }

    fn at<'a>(&'a self, cluster: &'a str, namespace: &'a str) -> Place<'a> {
        Place {
            lab: &self.lab,
            cluster,
            namespace,
        }
    }

    /// Creates an object in its namespace.
    pub(super) async fn create(&self, cluster: &str, object: &Value) -> Result<Value> {
        let namespace = object["metadata"]["namespace"].as_str().unwrap_or_default();
        self.objects
            .create(self.at(cluster, namespace), object)
            .await
    }

    /// The scenario's namespace.
    pub fn namespace(&self) -> String {
        self.namespace.borrow().clone()
    }

    /// Starts the operator with these flags besides the usual.
    pub async fn operator(&self, flags: &[&str]) -> Result<Operator> {
        let operator = self.another(flags).await?;
        operator.ready().await?;
        Ok(operator)
    }

    /// Starts one more copy of the operator, which may have to wait for the lease.
    pub async fn another(&self, flags: &[&str]) -> Result<Operator> {
        let kubeconfig = self.kubeconfig_of(self.operator.account).await?;
        self.candidate(&kubeconfig, flags)
    }

    /// The same with another kubeconfig.
    pub fn candidate(&self, kubeconfig: &Path, flags: &[&str]) -> Result<Operator> {
        self.start_program(&self.operator, kubeconfig, flags)
    }

    /// Starts a program as an operator of the hub.
    pub(super) fn start_program(
        &self,
        program: &Program,
        kubeconfig: &Path,
        flags: &[&str],
    ) -> Result<Operator> {
        let run = self.runs.get() + 1;
        self.runs.set(run);
        let log = self.log_of(run);
        self.log.replace(log.clone());
        Operator::start(program, kubeconfig, &log, flags)
    }

    /// What the operator that was started so many others before it says.
    pub(super) fn log_of(&self, run: u32) -> PathBuf {
        self.lab.directory().join(format!("operator-{run}.log"))
    }

    /// All that the last operator said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&*self.log.borrow()).unwrap_or_default()
    }

    /// What the last operator said last.
    pub fn last_log(&self) -> String {
        let text = self.log();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(25)..].join("\n")
    }

    /// `kubectl` on the hub; its output.
    pub async fn kubectl(&self, arguments: &[&str]) -> Result<String> {
        let output = self.lab.kubectl(arguments).await?;
        ensure!(
            output.success(),
            "kubectl {}: {}",
            arguments.join(" "),
            output.stderr.trim()
        );
        Ok(output.stdout)
    }

    /// `kubectl` on a member.
    pub async fn on(&self, member: &str, arguments: &[&str]) -> Result<String> {
        let mut all = vec!["--context", member];
        all.extend(arguments);
        self.kubectl(&all).await
    }

    /// Applies objects on the hub, in the scenario's namespace.
    pub async fn apply(&self, object: &Value) -> Result<()> {
        let refused = self.refused(object).await?;
        ensure!(refused.is_empty(), "refused: {refused}");
        Ok(())
    }

    /// What the hub says against an object; nothing when it takes it.
    pub async fn refused(&self, object: &Value) -> Result<String> {
        self.refused_by(&["apply"], object).await
    }

    /// What `kubectl` says against an object that it is given by this command; nothing when it is
    /// taken.
    pub async fn refused_by(&self, command: &[&str], object: &Value) -> Result<String> {
        let namespace = self.namespace();
        let mut arguments = vec!["-n", &namespace, "-f", "-"];
        arguments.extend(command);
        let output = self
            .lab
            .kubectl_with_input(&arguments, &object.to_string())
            .await?;
        Ok(if output.success() {
            String::new()
        } else {
            output.stderr
        })
    }

    /// A merge patch on an object of the scenario.
    pub async fn patch(&self, object: &str, patch: &Value) -> Result<()> {
        let namespace = self.namespace();
        self.kubectl(&[
            "-n",
            &namespace,
            "patch",
            object,
            "--type=merge",
            "-p",
            &patch.to_string(),
        ])
        .await?;
        Ok(())
    }

    /// An object of the scenario on the hub (`cluster0`) or a member; null when there is none.
    pub async fn get(&self, cluster: &str, object: &str) -> Result<Value> {
        let namespace = self.namespace();
        self.objects.get(self.at(cluster, &namespace), object).await
    }

    /// Replicas of a Deployment that each member runs; `None` where there is none.
    pub async fn replicas(&self, name: &str) -> Result<[Option<u64>; 3]> {
        let mut all = [None; 3];
        for (member, replicas) in MEMBERS.iter().zip(&mut all) {
            *replicas =
                self.get(member, &format!("deployment/{name}")).await?["spec"]["replicas"].as_u64();
        }
        Ok(all)
    }

    /// Waits until each member runs so many replicas of a Deployment.
    pub async fn until_replicas(&self, name: &str, wanted: [Option<u64>; 3]) -> Result<()> {
        eventually(&format!("{name} runs {wanted:?}"), async || {
            let now = self.replicas(name).await?;
            Ok(holds(now == wanted, || format!("{now:?}")))
        })
        .await
    }

    /// Waits until a condition of an object on the hub has a status and a reason; its message.
    pub async fn until_condition(
        &self,
        object: &str,
        kind: &str,
        status: &str,
        reason: &str,
    ) -> Result<String> {
        let mut message = String::new();
        eventually(
            &format!("{object} has {kind}={status} {reason}"),
            async || {
                let found = self.get(HUB, object).await?;
                let condition = condition(&found, kind);
                condition["message"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut message);
                let met = condition["status"] == status && condition["reason"] == reason;
                Ok(holds(met, || format!("{}", found["status"]["conditions"])))
            },
        )
        .await?;
        Ok(message)
    }

    /// Waits until an object of the scenario is gone from the hub.
    pub async fn until_gone(&self, object: &str) -> Result<()> {
        eventually(&format!("{object} is gone"), async || {
            let found = self.get(HUB, object).await?;
            Ok(holds(found.is_null(), || found["metadata"].to_string()))
        })
        .await
    }

    /// Deletes an object of the scenario, without waiting.
    pub async fn delete(&self, object: &str) -> Result<()> {
        let namespace = self.namespace();
        self.kubectl(&["-n", &namespace, "delete", object, "--wait=false"])
            .await?;
        Ok(())
    }

    /// Everything of ours that a member holds in the scenario's namespace.
    pub async fn left_on(&self, member: &str) -> Result<String> {
        let namespace = self.namespace();
        let kinds =
            "deployments,jobs,services,configmaps,secrets,serviceaccounts,persistentvolumeclaims";
        self.on(
            member,
            &[
                "-n",
                &namespace,
                "get",
                kinds,
                "-l",
                "fogguru.eu/hub",
                "-o",
                "name",
            ],
        )
        .await
    }
}

/// A condition of an object.
pub fn condition(object: &Value, kind: &str) -> Value {
    let conditions = object["status"]["conditions"].as_array();
    conditions
        .into_iter()
        .flatten()
        .find(|one| one["type"] == kind)
        .cloned()
        .unwrap_or_default()
}
