//! A person with few rights.

use anyhow::{Result, ensure};
use serde_json::Value;

use super::{World, condition, eventually};

/// The kinds that they may edit; not the `status` subresources.
const KINDS: &str = "multiclusterdeployments.fogguru.eu,multiclusterjobs.fogguru.eu,\
    multiclusterservices.fogguru.eu,multiclusterhorizontalpodautoscalers.fogguru.eu,\
    workloadmoves.fogguru.eu,configmaps,secrets";

/// A person who may edit the objects of one namespace, and the namespace that is theirs.
pub struct Tenant<'a> {
    world: &'a World,
    /// The namespace.
    pub namespace: String,
}

impl<'a> Tenant<'a> {
    /// A namespace, and a person who may edit there.
    pub async fn new(world: &'a World) -> Result<Self> {
        let namespace = format!("{}-t", world.namespace());
        world.kubectl(&["create", "namespace", &namespace]).await?;
        let of = ["-n", &namespace];
        let run = async |arguments: &[&str]| world.kubectl(&[&of[..], arguments].concat()).await;
        run(&["create", "serviceaccount", "person"]).await?;
        let resource = format!("--resource={KINDS}");
        run(&["create", "role", "edit", "--verb=*", &resource]).await?;
        let account = format!("--serviceaccount={namespace}:person");
        run(&["create", "rolebinding", "edit", "--role=edit", &account]).await?;
        Ok(Self { world, namespace })
    }

    /// `kubectl` as the person; whether it was let, and what was said.
    pub async fn kubectl(&self, arguments: &[&str], input: &str) -> Result<(bool, String)> {
        let person = format!("--as=system:serviceaccount:{}:person", self.namespace);
        let as_person = [person.as_str(), "-n", &self.namespace];
        let all = [&as_person[..], arguments].concat();
        let output = self.world.lab.kubectl_with_input(&all, input).await?;
        Ok((
            output.success(),
            format!("{}{}", output.stdout, output.stderr),
        ))
    }

    /// Creates an object as the person, who is let.
    pub async fn create(&self, object: &Value) -> Result<()> {
        let (created, said) = self
            .kubectl(&["create", "-f", "-"], &object.to_string())
            .await?;
        ensure!(created, "{}: {said}", object["metadata"]["name"]);
        Ok(())
    }

    /// An object of the namespace on a cluster; null if there is none.
    pub async fn get(&self, cluster: &str, object: &str) -> Result<Value> {
        let arguments = [
            "-n",
            &self.namespace,
            "get",
            object,
            "-o",
            "json",
            "--ignore-not-found",
        ];
        let text = self.world.on(cluster, &arguments).await?;
        Ok(serde_json::from_str(&text).unwrap_or_default())
    }

    /// Waits until a condition of theirs has this reason.
    pub async fn until(&self, object: &str, kind: &str, reason: &str) -> Result<()> {
        eventually(&format!("{object} of the tenant is {reason}"), async || {
            let found = self.get("cluster0", object).await?;
            let met = condition(&found, kind)["reason"] == reason;
            Ok(if met {
                Ok(())
            } else {
                Err(found["status"].to_string())
            })
        })
        .await
    }

    /// Takes away whatever they have made.
    pub async fn clear(&self) -> Result<()> {
        for kind in ["mcd", "mcs", "mcj", "mchpa"] {
            let listed = ["-n", &self.namespace, "get", kind, "-o", "name"];
            for name in self.world.kubectl(&listed).await?.lines() {
                let free = r#"{"metadata":{"finalizers":null}}"#;
                let arguments = [
                    "-n",
                    &self.namespace,
                    "patch",
                    name,
                    "--type=merge",
                    "-p",
                    free,
                ];
                // It may have gone meanwhile.
                let _ = self.world.kubectl(&arguments).await;
            }
        }
        for cluster in ["cluster0", "cluster1", "cluster2", "cluster3"] {
            let delete = [
                "delete",
                "namespace",
                &self.namespace,
                "--wait=false",
                "--ignore-not-found",
            ];
            self.world.on(cluster, &delete).await?;
        }
        Ok(())
    }
}
