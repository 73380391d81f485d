//! The accounts that operators run as: those of the shipped manifests, on the hub and on the members.
//! So a right that a manifest lacks is one that a scenario misses.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};

use super::{MEMBERS, World, repository};
use crate::real::HUB;

/// The operators' manifests, for the hub.
const OPERATORS: [&str; 3] = [
    "01_multi_cluster_scheduler.yaml",
    "03_multi_cluster_hpa.yaml",
    "04_cloud_provisioner_autoscaler.yaml",
];
/// What a member gives them.
pub(super) const MEMBER: &str = "02_member_access.yaml";
/// The account there.
pub(super) const MEMBER_ACCOUNT: &str = "mck8s-hub";
/// Where the accounts are.
pub(super) const NAMESPACE: &str = "mck8s-system";

/// The objects of a manifest, but for the operator's own Deployment: here it is a process.
pub(super) fn objects(manifest: &str) -> Result<Vec<Value>> {
    let path = repository().join("manifests/controllers").join(manifest);
    let text = std::fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let documents = text.split("\n---\n").map(serde_saphyr::from_str::<Value>);
    let mut objects = documents.collect::<Result<Vec<_>, _>>()?;
    objects.retain(|object| object["kind"] != "Deployment");
    Ok(objects)
}

/// The manifest of an operator's account.
pub(super) fn manifest_of(account: &str) -> Result<&'static str> {
    let name = account.replace('-', "_");
    let mut manifests = OPERATORS.into_iter();
    let found = manifests.find(|manifest| manifest.contains(&name));
    found.with_context(|| format!("no manifest has the account {account}"))
}

impl World {
    /// Makes the accounts and their rights.
    pub async fn make_accounts(&self) -> Result<()> {
        for manifest in OPERATORS {
            self.apply_to(HUB, objects(manifest)?).await?;
        }
        // The hub may be a member, too.
        for member in MEMBERS.into_iter().chain([HUB]) {
            self.apply_to(member, objects(MEMBER)?).await?;
        }
        Ok(())
    }

    /// Lets the operators read access to members in one more namespace, as the manifest says.
    pub(super) async fn allow_access_in(&self, namespace: &str) -> Result<()> {
        for manifest in OPERATORS {
            let mut objects = objects(manifest)?;
            let is_access = |name: &Value| name.as_str().is_some_and(|it| it.ends_with("-access"));
            objects.retain(|object| is_access(&object["metadata"]["name"]));
            objects.retain(|object| object["metadata"]["namespace"] == NAMESPACE);
            for object in &mut objects {
                object["metadata"]["namespace"] = json!(namespace);
                self.create(HUB, object).await?;
            }
        }
        Ok(())
    }

    async fn apply_to(&self, cluster: &str, objects: Vec<Value>) -> Result<()> {
        let list = json!({ "apiVersion": "v1", "kind": "List", "items": objects }).to_string();
        let arguments = ["--context", cluster, "apply", "-f", "-"];
        let applied = self.lab.kubectl_with_input(&arguments, &list).await?;
        ensure!(applied.success(), "{}", applied.stderr);
        Ok(())
    }

    /// The kubeconfig of the lab for an operator of this account.
    pub(super) async fn kubeconfig_of(&self, account: &str) -> Result<PathBuf> {
        let path = (self.lab.directory()).join(format!("kubeconfig-{account}"));
        let whole = std::fs::read_to_string(self.lab.kubeconfig())?;
        let whole = self.as_account(account, &whole).await?;
        write(&path, &whole)?;
        Ok(path)
    }

    /// A kubeconfig with the rights of the operator that the scenarios are about instead of an
    /// administrator's.
    pub async fn as_operator(&self, kubeconfig: &str) -> Result<String> {
        self.as_account(self.operator.account, kubeconfig).await
    }

    /// Writes such a kubeconfig, as a whole: an operator may read it at any time.
    pub async fn write_as_operator(&self, path: &Path, kubeconfig: &str) -> Result<()> {
        write(path, &self.as_operator(kubeconfig).await?)
    }

    async fn as_account(&self, account: &str, kubeconfig: &str) -> Result<String> {
        let mut config: Value = serde_json::from_str(kubeconfig)?;
        let mut users = Vec::new();
        let contexts = config["contexts"].as_array_mut().context("no contexts")?;
        for context in contexts {
            let (name, cluster) = (&context["name"], &context["context"]["cluster"]);
            let is_hub = name == HUB && cluster == HUB;
            let account = if is_hub { account } else { MEMBER_ACCOUNT };
            let cluster = cluster.as_str().context("a context has a cluster")?;
            let token = self.token(cluster, account).await?;
            users.push(json!({ "name": name, "user": { "token": token } }));
            context["context"]["user"] = name.clone();
        }
        config["users"] = users.into();
        Ok(config.to_string())
    }

    /// A token of an account, for longer than the scenarios take.
    async fn token(&self, cluster: &str, account: &str) -> Result<String> {
        let accounts: Api<ServiceAccount> =
            Api::namespaced(self.lab.client(cluster).await?, NAMESPACE);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                expiration_seconds: Some(10 * 60 * 60),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(account, &PostParams::default(), &request)
            .await
            .with_context(|| format!("a token of {account} on {cluster}"))?;
        Ok(answer.status.context("the token is in the status")?.token)
    }
}

/// As a whole: an operator may read it at any time.
fn write(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    std::fs::write(&draft, text)?;
    Ok(std::fs::rename(&draft, path)?)
}
