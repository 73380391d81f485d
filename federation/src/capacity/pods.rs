//! What a pod asks for: its requests by Kubernetes' rules, and where it may run.
//!
//! Only the fields that matter are read, from the template's JSON as from a watched pod, so that
//! a field this release does not know can never make a template unreadable.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Taint as NodeTaint;
use placement::{
    NodeConstraints, NodeTerm, Operator, PodShape, QuantityError, Requirement, Resources, Taint,
    TaintEffect, Toleration, TolerationOperator,
};
use serde::{Deserialize, Deserializer};

use super::amounts::{Amounts, check_amounts, quantities};
use super::peers::{PodAffinity, Port, Spread};

/// Why a template's needs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not the structure of a pod template.
    #[error("template: {0}")]
    Structure(#[from] serde_json::Error),
    /// An amount is not a quantity, or none that a pod can ask for.
    #[error("template: {path}: {source}")]
    Quantity {
        /// Where it stands.
        path: String,
        /// What is wrong with it.
        source: QuantityError,
    },
    /// An operator or effect that Kubernetes does not have.
    #[error("template: {what} {value:?} is unknown: use one of {known}")]
    Unknown {
        /// The kind of word.
        what: &'static str,
        /// The word.
        value: String,
        /// The words that are known.
        known: &'static str,
    },
}

/// The shape of one replica of a pod template (`{metadata, spec}` as JSON) in a namespace.
pub fn shape_of_template(
    template: &serde_json::Value,
    namespace: &str,
) -> Result<PodShape, ShapeError> {
    check_amounts(template)?;
    let spec = match template.get("spec") {
        Some(spec) => PodSpec::deserialize(spec)?,
        None => PodSpec::default(),
    };
    let labels = template.pointer("/metadata/labels");
    let labels = labels.and_then(|labels| labels.as_object()).into_iter();
    let labels = labels.flatten().filter_map(|(key, value)| {
        let value = value.as_str()?;
        Some((key.clone(), value.to_owned()))
    });
    let labels = spec.replica_labels(labels.collect());
    Ok(PodShape {
        requests: spec.requests()?,
        constraints: spec.constraints()?,
        profile: spec.profile(namespace, &labels)?,
        affinity: spec.pod_affinity(namespace, &labels)?,
        spread: spec.spread(&labels)?,
    })
}

/// The parts of a pod spec that decide where it fits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) host_network: bool,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) init_containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    overhead: Amounts,
    resources: Option<ContainerResources>,
    #[serde(deserialize_with = "null_as_default")]
    node_selector: BTreeMap<String, String>,
    pub(super) affinity: Option<Affinity>,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) topology_spread_constraints: Vec<Spread>,
    #[serde(deserialize_with = "null_as_default")]
    tolerations: Vec<TolerationSpec>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Container {
    #[serde(deserialize_with = "null_as_default")]
    name: String,
    restart_policy: Option<String>,
    #[serde(deserialize_with = "null_as_default")]
    ports: Vec<Port>,
    #[serde(deserialize_with = "null_as_default")]
    resources: ContainerResources,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct ContainerResources {
    #[serde(deserialize_with = "null_as_default")]
    requests: Amounts,
    #[serde(deserialize_with = "null_as_default")]
    limits: Amounts,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Affinity {
    #[serde(rename = "nodeAffinity")]
    nodes: Option<NodeAffinity>,
    #[serde(rename = "podAffinity")]
    pub(super) together: Option<PodAffinity>,
    #[serde(rename = "podAntiAffinity")]
    pub(super) apart: Option<PodAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
    #[serde(deserialize_with = "null_as_default")]
    node_selector_terms: Vec<Term>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Term {
    #[serde(deserialize_with = "null_as_default")]
    match_expressions: Vec<Expression>,
    #[serde(deserialize_with = "null_as_default")]
    match_fields: Vec<Expression>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Expression {
    #[serde(deserialize_with = "null_as_default")]
    key: String,
    #[serde(deserialize_with = "null_as_default")]
    pub(super) operator: String,
    #[serde(deserialize_with = "null_as_default")]
    values: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
struct TolerationSpec {
    key: Option<String>,
    operator: Option<String>,
    value: Option<String>,
    effect: Option<String>,
}

impl PodSpec {
    /// Kubernetes' rule: containers and sidecars run together; an init container runs beside the
    /// sidecars that were started before it; the larger of the two phases counts, plus overhead.
    /// Requests of the pod as a whole, where they are given, stand for those of its containers; its
    /// limits only where no container requests any, as the API server defaults them.
    pub(super) fn requests(&self) -> Result<Resources, ShapeError> {
        let mut running = Resources::default();
        for container in &self.containers {
            running = running.saturating_add(&container.requests()?);
        }
        let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
        for container in &self.init_containers {
            let needs = container.requests()?;
            if container.is_sidecar() {
                sidecars = sidecars.saturating_add(&needs);
                starting = starting.pairwise_max(&sidecars);
            } else {
                starting = starting.pairwise_max(&sidecars.saturating_add(&needs));
            }
        }
        let mut total = running.saturating_add(&sidecars).pairwise_max(&starting);
        if let Some(pod) = &self.resources {
            let requests = amounts_of("(pod)", &pod.requests)?;
            let limits = amounts_of("(pod)", &pod.limits)?;
            let whole = |request: i64, containers: i64, limit: i64| match (request, containers) {
                (0, 0) => limit,
                (0, containers) => containers,
                (request, _) => request,
            };
            total.cpu_milli = whole(requests.cpu_milli, total.cpu_milli, limits.cpu_milli);
            total.memory = whole(requests.memory, total.memory, limits.memory);
        }
        Ok(total.saturating_add(&amounts_of("(overhead)", &self.overhead)?))
    }

    fn constraints(&self) -> Result<NodeConstraints, ShapeError> {
        let required = self
            .affinity
            .as_ref()
            .and_then(|a| a.nodes.as_ref())
            .and_then(|a| {
                a.required_during_scheduling_ignored_during_execution
                    .as_ref()
            });
        let affinity = required
            .map(|selector| {
                selector
                    .node_selector_terms
                    .iter()
                    .map(|term| {
                        Ok(NodeTerm {
                            labels: requirements(&term.match_expressions)?,
                            fields: requirements(&term.match_fields)?,
                        })
                    })
                    .collect::<Result<Vec<_>, ShapeError>>()
            })
            .transpose()?;
        Ok(NodeConstraints {
            node_name: self.node_name.clone().filter(|name| !name.is_empty()),
            node_selector: self.node_selector.clone(),
            affinity,
            tolerations: self
                .tolerations
                .iter()
                .map(TolerationSpec::parse)
                .collect::<Result<_, _>>()?,
        })
    }
}

impl Container {
    pub(super) fn is_sidecar(&self) -> bool {
        self.restart_policy.as_deref() == Some("Always")
    }

    pub(super) fn ports(&self) -> &[Port] {
        &self.ports
    }

    fn requests(&self) -> Result<Resources, ShapeError> {
        resources_of(&self.name, &self.resources)
    }
}

/// Requests, and limits where there is no request, as the API server defaults them.
fn resources_of(container: &str, resources: &ContainerResources) -> Result<Resources, ShapeError> {
    let mut amounts = resources.limits.clone();
    amounts.extend(resources.requests.clone());
    amounts_of(container, &amounts)
}

fn amounts_of(what: &str, amounts: &Amounts) -> Result<Resources, ShapeError> {
    quantities(
        amounts
            .iter()
            .map(|(name, amount)| (name.as_str(), amount.0.as_str())),
    )
    .map_err(|(resource, source)| ShapeError::Quantity {
        path: format!("{what}.{resource}"),
        source,
    })
}

fn requirements(expressions: &[Expression]) -> Result<Vec<Requirement>, ShapeError> {
    expressions
        .iter()
        .map(|e| {
            let operator = match e.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                "Gt" => Operator::Gt,
                "Lt" => Operator::Lt,
                other => {
                    return Err(ShapeError::Unknown {
                        what: "node affinity operator",
                        value: other.to_owned(),
                        known: "In, NotIn, Exists, DoesNotExist, Gt, Lt",
                    });
                }
            };
            Ok(e.requirement(operator))
        })
        .collect()
}

impl Expression {
    pub(super) fn requirement(&self, operator: Operator) -> Requirement {
        Requirement {
            key: self.key.clone(),
            operator,
            values: self.values.clone(),
        }
    }
}

impl TolerationSpec {
    fn parse(&self) -> Result<Toleration, ShapeError> {
        let operator = match self.operator.as_deref() {
            None | Some("" | "Equal") => TolerationOperator::Equal,
            Some("Exists") => TolerationOperator::Exists,
            Some(other) => {
                return Err(ShapeError::Unknown {
                    what: "toleration operator",
                    value: other.to_owned(),
                    known: "Equal, Exists",
                });
            }
        };
        let effect = match self.effect.as_deref() {
            None | Some("") => None,
            Some(effect) => Some(taint_effect(effect).ok_or_else(|| ShapeError::Unknown {
                what: "toleration effect",
                value: effect.to_owned(),
                known: "NoSchedule, PreferNoSchedule, NoExecute",
            })?),
        };
        Ok(Toleration {
            key: self.key.clone().filter(|key| !key.is_empty()),
            operator,
            value: self.value.clone(),
            effect,
        })
    }
}

/// A taint's effect by its name.
pub fn taint_effect(name: &str) -> Option<TaintEffect> {
    match name {
        "NoSchedule" => Some(TaintEffect::NoSchedule),
        "PreferNoSchedule" => Some(TaintEffect::PreferNoSchedule),
        "NoExecute" => Some(TaintEffect::NoExecute),
        _ => None,
    }
}

/// A taint as the decision core has it; none if its effect is unknown.
pub fn taint_of(taint: &NodeTaint) -> Option<Taint> {
    Some(Taint {
        key: taint.key.clone(),
        value: taint.value.clone().unwrap_or_default(),
        effect: taint_effect(&taint.effect)?,
    })
}

pub(super) fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
#[path = "pods_tests.rs"]
mod tests;
