//! What a pod asks for: its requests by Kubernetes' rules, and where it may run.
//!
//! Only the fields that matter are read, from the template's JSON as from a watched pod, so that
//! a field this release does not know can never make a template unreadable.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{
    NodeConstraints, NodeTerm, Operator, PodShape, QuantityError, Requirement, Resources,
    TaintEffect, Toleration, TolerationOperator, parse_milli, parse_whole,
};
use serde::{Deserialize, Deserializer};

/// Why a template's needs cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ShapeError {
    /// Not the structure of a pod template.
    #[error("template: {0}")]
    Structure(#[from] serde_json::Error),
    /// A resource amount is not a quantity.
    #[error("template: the amount of {resource} in container {container}: {source}")]
    Quantity {
        /// Name of the container.
        container: String,
        /// Name of the resource.
        resource: String,
        /// What is wrong with it.
        source: QuantityError,
    },
    /// A resource amount below zero, which Kubernetes refuses.
    #[error(
        "template: the amount of {resource} in container {container} is below zero: write 0 or more"
    )]
    Negative {
        /// Name of the container.
        container: String,
        /// Name of the resource.
        resource: String,
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

/// The shape of one replica of a pod template (`{metadata, spec}` as JSON).
pub fn shape_of_template(template: &serde_json::Value) -> Result<PodShape, ShapeError> {
    let spec = match template.get("spec") {
        Some(spec) => PodSpec::deserialize(spec)?,
        None => PodSpec::default(),
    };
    Ok(PodShape {
        requests: spec.requests()?,
        constraints: spec.constraints()?,
    })
}

/// The parts of a pod spec that decide where it fits.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodSpec {
    pub(super) node_name: Option<String>,
    containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    init_containers: Vec<Container>,
    #[serde(deserialize_with = "null_as_default")]
    overhead: Amounts,
    resources: Option<ContainerResources>,
    #[serde(deserialize_with = "null_as_default")]
    node_selector: BTreeMap<String, String>,
    affinity: Option<Affinity>,
    #[serde(deserialize_with = "null_as_default")]
    tolerations: Vec<TolerationSpec>,
}

type Amounts = BTreeMap<String, Amount>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Container {
    name: String,
    restart_policy: Option<String>,
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

/// A quantity as it is written: text or a number.
#[derive(Clone, Debug)]
struct Amount(String);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match serde_json::Value::deserialize(deserializer)? {
            // Kubernetes takes spaces around it.
            serde_json::Value::String(text) => Ok(Self(text.trim().to_owned())),
            serde_json::Value::Number(number) => Ok(Self(number.to_string())),
            other => Err(serde::de::Error::custom(format!(
                "{other} is not a quantity: write \"500m\" or 2"
            ))),
        }
    }
}

impl Amount {
    /// Below zero, however little; what is no quantity is neither.
    fn is_negative(&self) -> bool {
        parse_milli(&self.0).is_ok_and(|milli| milli < 0)
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Affinity {
    node_affinity: Option<NodeAffinity>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeAffinity {
    required_during_scheduling_ignored_during_execution: Option<NodeSelector>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeSelector {
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
struct Expression {
    key: String,
    operator: String,
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
    /// Requests of the pod as a whole, where they are given, stand for those of its containers.
    pub(super) fn requests(&self) -> Result<Resources, ShapeError> {
        let mut running = Resources::default();
        for container in &self.containers {
            running = running.saturating_add(&container.requests()?);
        }
        let (mut sidecars, mut starting) = (Resources::default(), Resources::default());
        for container in &self.init_containers {
            let needs = container.requests()?;
            if container.restart_policy.as_deref() == Some("Always") {
                sidecars = sidecars.saturating_add(&needs);
                starting = starting.pairwise_max(&sidecars);
            } else {
                starting = starting.pairwise_max(&sidecars.saturating_add(&needs));
            }
        }
        let mut total = running.saturating_add(&sidecars).pairwise_max(&starting);
        if let Some(pod) = &self.resources {
            let whole = resources_of("(pod)", pod)?;
            if whole.cpu_milli > 0 {
                total.cpu_milli = whole.cpu_milli;
            }
            if whole.memory > 0 {
                total.memory = whole.memory;
            }
        }
        let overhead = ContainerResources {
            requests: self.overhead.clone(),
            limits: Amounts::new(),
        };
        Ok(total.saturating_add(&resources_of("(overhead)", &overhead)?))
    }

    fn constraints(&self) -> Result<NodeConstraints, ShapeError> {
        let required = self
            .affinity
            .as_ref()
            .and_then(|a| a.node_affinity.as_ref())
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
    fn requests(&self) -> Result<Resources, ShapeError> {
        resources_of(&self.name, &self.resources)
    }
}

/// Requests, and limits where there is no request, as the API server defaults them.
fn resources_of(container: &str, resources: &ContainerResources) -> Result<Resources, ShapeError> {
    let all = resources.limits.iter().chain(&resources.requests);
    if let Some((resource, _)) = all.into_iter().find(|(_, amount)| amount.is_negative()) {
        return Err(ShapeError::Negative {
            container: container.to_owned(),
            resource: resource.clone(),
        });
    }
    let mut amounts = resources.limits.clone();
    amounts.extend(resources.requests.clone());
    quantities(
        amounts
            .iter()
            .map(|(name, amount)| (name.as_str(), amount.0.as_str())),
    )
    .map_err(|(resource, source)| ShapeError::Quantity {
        container: container.to_owned(),
        resource,
        source,
    })
}

/// Resource amounts by name as integers; the error names the resource.
pub fn quantities<'a>(
    amounts: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Resources, (String, QuantityError)> {
    let mut resources = Resources::default();
    for (name, text) in amounts {
        let failed = |error| (name.to_owned(), error);
        match name {
            "cpu" => resources.cpu_milli = parse_milli(text).map_err(failed)?,
            "memory" => resources.memory = parse_whole(text).map_err(failed)?,
            "ephemeral-storage" => {
                resources.ephemeral_storage = parse_whole(text).map_err(failed)?;
            }
            "pods" => resources.pods = parse_whole(text).map_err(failed)?,
            // Attached volumes are counted by CSI drivers, not by requests.
            name if name.starts_with("attachable-volumes-") => {}
            name => {
                resources
                    .extended
                    .insert(name.to_owned(), parse_whole(text).map_err(failed)?);
            }
        }
    }
    Ok(resources)
}

/// The same for the amounts of a typed object; amounts that are no quantity count as none.
pub(super) fn typed_quantities(amounts: &BTreeMap<String, Quantity>) -> Resources {
    let mut all = Resources::default();
    for (name, quantity) in amounts {
        if let Ok(one) = quantities(std::iter::once((name.as_str(), quantity.0.as_str()))) {
            all = all.saturating_add(&one);
        }
    }
    all
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
            Ok(Requirement {
                key: e.key.clone(),
                operator,
                values: e.values.clone(),
            })
        })
        .collect()
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

fn null_as_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn init_containers_and_sidecars_count_as_kubernetes_counts_them() {
        let template = json!({ "spec": {
            "containers": [
                { "name": "a", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } },
                { "name": "b", "resources": { "limits": { "cpu": 1 } } }
            ],
            "initContainers": [
                { "name": "first", "resources": { "requests": { "cpu": 3 } } },
                { "name": "side", "restartPolicy": "Always", "resources": { "requests": { "cpu": "250m" } } },
                { "name": "second", "resources": { "requests": { "cpu": "1", "memory": "2Gi" } } }
            ],
            "overhead": { "cpu": "100m" }
        }});
        let shape = shape_of_template(&template).unwrap();
        // Running: 500 + 1000 + 250; starting: max(3000, 250 + 1000); the larger, plus overhead.
        assert_eq!(shape.requests.cpu_milli, 3100);
        assert_eq!(shape.requests.memory, 2 << 30);
    }

    #[test]
    fn a_bad_amount_says_where_it_is() {
        let template = json!({ "spec": { "containers": [
            { "name": "web", "resources": { "requests": { "memory": "1024Mb" } } }
        ]}});
        let error = shape_of_template(&template).unwrap_err().to_string();
        assert!(
            error.contains("memory") && error.contains("web") && error.contains("1024Mb"),
            "{error}"
        );
    }

    #[test]
    fn selectors_affinity_and_tolerations_are_read() {
        let template = json!({ "spec": {
            "containers": [],
            "nodeSelector": { "disk": "ssd" },
            "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
                "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["8"] }] }] } } },
            "tolerations": [{ "key": "edge", "operator": "Exists", "effect": "NoSchedule" }]
        }});
        let constraints = shape_of_template(&template).unwrap().constraints;
        assert_eq!(constraints.node_selector["disk"], "ssd");
        assert_eq!(
            constraints.affinity.unwrap()[0].labels[0].operator,
            Operator::Gt
        );
        assert_eq!(
            constraints.tolerations[0].effect,
            Some(TaintEffect::NoSchedule)
        );
    }
}
