//! Access to members from data on the hub: a Secret with a kubeconfig, or a `KubeFedCluster`.

use k8s_openapi::api::core::v1::Secret;
use kube::api::DynamicObject;
use kube::core::ApiResource;
use kube::{Api, Client};

use super::access::{AccessProblem, AccessReason, ResolvedAccess};
use super::kubeconfig::{self, InvalidKubeconfig};
use crate::api::{KubeFedClusterReference, SecretReference};
use crate::operator::access_args::AccessRules;
use crate::operator::redacted::redacted_message;

pub(super) async fn from_secret(
    hub: &Client,
    reference: &SecretReference,
    rules: &AccessRules,
) -> Result<ResolvedAccess, AccessProblem> {
    let source = Source::allowed("Secret", &reference.namespace, &reference.name, rules)?;
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), &reference.namespace);
    let secret = secrets.get(&reference.name).await;
    let data = secret.map_err(|error| source.failed(&error))?.data;
    let data = data.unwrap_or_default();
    let value = match &reference.key {
        Some(key) => data.get(key),
        None => data.get("kubeconfig").or_else(|| data.get("value")),
    };
    let value = value.ok_or_else(|| source.invalid("has no kubeconfig: put it under the key \"kubeconfig\", or name the key in access.secretRef.key"))?;
    source.access(kubeconfig::parse(&value.0), rules)
}

pub(super) async fn from_kubefed(
    hub: &Client,
    reference: &KubeFedClusterReference,
    rules: &AccessRules,
) -> Result<ResolvedAccess, AccessProblem> {
    let (namespace, name) = (&reference.namespace, &reference.name);
    let source = Source::allowed("KubeFedCluster", namespace, name, rules)?;
    let clusters: Api<DynamicObject> =
        Api::namespaced_with(hub.clone(), namespace, &kubefed_resource());
    let cluster = clusters.get(name).await;
    let cluster = cluster.map_err(|error| source.failed(&error))?;
    let spec = &cluster.data["spec"];
    let endpoint = spec["apiEndpoint"].as_str();
    let endpoint = endpoint.ok_or_else(|| source.invalid("has no spec.apiEndpoint"))?;
    let secret = spec["secretRef"]["name"].as_str();
    let secret = secret.ok_or_else(|| source.invalid("has no spec.secretRef.name"))?;
    let secrets: Api<Secret> = Api::namespaced(hub.clone(), namespace);
    let secret = secrets.get(secret).await;
    let data = secret.map_err(|error| source.failed(&error))?.data;
    let data = data.unwrap_or_default();
    let token = data.get("token");
    let token = token.and_then(|token| std::str::from_utf8(&token.0).ok());
    let token = token.ok_or_else(|| source.invalid("its Secret has no token"))?;
    let disabled = spec["disabledTLSValidations"].as_array();
    let insecure = disabled.is_some_and(|off| off.iter().any(|one| one == "*"));
    let authority = spec["caBundle"].as_str().filter(|_| !insecure);
    let made = kubeconfig::of_token(endpoint, authority, insecure, token);
    source.access(made, rules)
}

/// The object that access is read from.
struct Source(String);

impl Source {
    /// One in a namespace that access is read from.
    fn allowed(
        kind: &str,
        namespace: &str,
        name: &str,
        rules: &AccessRules,
    ) -> Result<Self, AccessProblem> {
        let source = Self(format!("{kind} {namespace}/{name}"));
        if rules.namespaces.allow(namespace) {
            return Ok(source);
        }
        let message = format!(
            "{} is not read: access is read from the namespaces in --access-namespaces only; move it there, or add {namespace} to the flag",
            source.0
        );
        Err(AccessReason::AccessNamespaceNotAllowed.problem(message))
    }

    fn access(
        &self,
        kubeconfig: Result<kube::config::Kubeconfig, InvalidKubeconfig>,
        rules: &AccessRules,
    ) -> Result<ResolvedAccess, AccessProblem> {
        let kubeconfig = kubeconfig.map_err(|error| self.invalid(&error.to_string()))?;
        if !rules.link_local
            && let Some(field) = kubeconfig::link_local_field(&kubeconfig)
        {
            let message = format!(
                "{}: {field} has a link-local or metadata address; write the address of the cluster, or allow such addresses with --allow-link-local-servers",
                self.0
            );
            return Err(AccessReason::ServerAddressNotAllowed.problem(message));
        }
        let guarded = !rules.link_local;
        Ok(ResolvedAccess::new(
            kubeconfig,
            kubeconfig::NAME,
            &self.0,
            guarded,
        ))
    }

    fn invalid(&self, problem: &str) -> AccessProblem {
        let message = format!("{}: {problem}", self.0);
        AccessReason::InvalidKubeconfig.problem(message)
    }

    fn failed(&self, error: &kube::Error) -> AccessProblem {
        let message = format!("{}: {}", self.0, redacted_message(error));
        AccessReason::Unreachable.problem(message)
    }
}

/// `core.kubefed.io/v1beta1` `KubeFedCluster`.
pub(super) fn kubefed_resource() -> ApiResource {
    ApiResource {
        group: "core.kubefed.io".to_owned(),
        version: "v1beta1".to_owned(),
        api_version: "core.kubefed.io/v1beta1".to_owned(),
        kind: "KubeFedCluster".to_owned(),
        plural: "kubefedclusters".to_owned(),
    }
}
