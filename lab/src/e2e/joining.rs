//! Members that are joined in other ways than by the lab's own kubeconfig.

use anyhow::Result;
use serde_json::{Value, json};

use super::World;

/// `KubeFed`'s definition of its clusters.
const KUBEFED: &str = "kubefedclusters.core.kubefed.io";

impl World {
    /// Makes an account `hub` on a member, in the scenario's namespace, without any right; its token.
    pub async fn account_of_hub(&self, member: &str) -> Result<String> {
        let namespace = self.namespace();
        let make = [
            &["create", "namespace", &namespace][..],
            &["-n", &namespace, "create", "serviceaccount", "hub"],
        ];
        for arguments in make {
            self.on(member, arguments).await?;
        }
        let token = ["-n", &namespace, "create", "token", "hub"];
        Ok(self.on(member, &token).await?.trim().to_owned())
    }

    /// Gives that account all rights there. It goes with the scenario's namespace.
    pub async fn make_administrator(&self, member: &str) -> Result<()> {
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding",
            "metadata": { "name": self.namespace() },
            "roleRef": { "apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin" },
            "subjects": [{ "kind": "ServiceAccount", "namespace": self.namespace(), "name": "hub" }],
        });
        self.create(member, &binding).await?;
        Ok(())
    }

    /// A kubeconfig of a member alone, with an administrator's rights.
    pub async fn kubeconfig_of_member(&self, member: &str) -> Result<String> {
        let view = ["config", "view", "--raw", "--minify", "-o", "json"];
        self.on(member, &view).await
    }

    /// Lets `KubeFed` join a member, by an account there that has no rights yet.
    pub async fn join_by_kubefed(&self, member: &str) -> Result<()> {
        let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
        self.apply(&json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": KUBEFED },
            "spec": {
                "group": "core.kubefed.io", "scope": "Namespaced",
                "names": { "kind": "KubeFedCluster", "plural": "kubefedclusters", "singular": "kubefedcluster" },
                "versions": [{
                    "name": "v1beta1", "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": anything },
                }],
            },
        }))
        .await?;
        let definition = format!("crd/{KUBEFED}");
        let established = ["wait", "--for=condition=Established", &definition];
        self.kubectl(&established).await?;
        let token = self.account_of_hub(member).await?;
        let config: Value = serde_json::from_str(&self.kubeconfig_of_member(member).await?)?;
        let cluster = &config["clusters"][0]["cluster"];
        self.apply(&json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": member },
            "stringData": { "token": token },
        }))
        .await?;
        self.apply(&json!({
            "apiVersion": "core.kubefed.io/v1beta1", "kind": "KubeFedCluster",
            "metadata": { "name": member },
            "spec": {
                "apiEndpoint": cluster["server"], "caBundle": cluster["certificate-authority-data"],
                "secretRef": { "name": member },
            },
        }))
        .await
    }

    /// Takes `KubeFed`'s definition off the hub.
    pub async fn forget_kubefed(&self) -> Result<()> {
        self.kubectl(&["delete", "crd", KUBEFED]).await?;
        Ok(())
    }
}
