//! What pods mean to each other: host ports, required affinity and anti-affinity, hard spread
//! constraints, from a pod's spec to what the decision core counts.

use std::collections::BTreeMap;

use placement::{HostPort, LabelSet, Operator, PodTerm, Profile, Requirement, SpreadConstraint};
use serde::Deserialize;

use super::pods::{Container, Expression, PodSpec, ShapeError, null_as_default};

type Labels = BTreeMap<String, String>;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Port {
    #[serde(rename = "containerPort", deserialize_with = "null_as_default")]
    inner: i64,
    #[serde(rename = "hostPort", deserialize_with = "null_as_default")]
    host: i64,
    #[serde(rename = "hostIP", deserialize_with = "null_as_default")]
    host_ip: String,
    #[serde(deserialize_with = "null_as_default")]
    protocol: String,
}

/// `podAffinity` or `podAntiAffinity`.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PodAffinity {
    #[serde(deserialize_with = "null_as_default")]
    required_during_scheduling_ignored_during_execution: Vec<AffinityTerm>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AffinityTerm {
    label_selector: Option<Selector>,
    #[serde(deserialize_with = "null_as_default")]
    topology_key: String,
    #[serde(deserialize_with = "null_as_default")]
    namespaces: Vec<String>,
    namespace_selector: Option<Selector>,
    #[serde(deserialize_with = "null_as_default")]
    match_label_keys: Vec<String>,
    #[serde(deserialize_with = "null_as_default")]
    mismatch_label_keys: Vec<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Spread {
    #[serde(deserialize_with = "null_as_default")]
    topology_key: String,
    #[serde(deserialize_with = "null_as_default")]
    when_unsatisfiable: String,
    #[serde(deserialize_with = "null_as_default")]
    max_skew: i64,
    min_domains: Option<i64>,
    label_selector: Option<Selector>,
    #[serde(deserialize_with = "null_as_default")]
    match_label_keys: Vec<String>,
    node_affinity_policy: Option<String>,
    node_taints_policy: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Selector {
    #[serde(deserialize_with = "null_as_default")]
    match_labels: Labels,
    #[serde(deserialize_with = "null_as_default")]
    match_expressions: Vec<Expression>,
}

/// Labels that controllers give to a pod; a template's replicas have the same new value, and no
/// other pod has it.
const GIVEN: [&str; 5] = [
    "pod-template-hash",
    "batch.kubernetes.io/job-name",
    "batch.kubernetes.io/controller-uid",
    "job-name",
    "controller-uid",
];

impl PodSpec {
    /// What other pods see of a pod with these labels in this namespace.
    pub(super) fn profile(&self, namespace: &str, labels: &Labels) -> Result<Profile, ShapeError> {
        let terms = self.affinity.as_ref();
        let terms = terms.and_then(|affinity| affinity.apart.as_ref());
        Ok(Profile {
            namespace: namespace.into(),
            labels: LabelSet::from(labels),
            host_ports: self.host_ports().collect(),
            anti_affinity: terms_of(terms, namespace, labels)?.into(),
        })
    }

    pub(super) fn pod_affinity(
        &self,
        namespace: &str,
        labels: &Labels,
    ) -> Result<Vec<PodTerm>, ShapeError> {
        let terms = self.affinity.as_ref();
        let terms = terms.and_then(|affinity| affinity.together.as_ref());
        terms_of(terms, namespace, labels)
    }

    pub(super) fn spread(&self, labels: &Labels) -> Result<Vec<SpreadConstraint>, ShapeError> {
        let hard = self.topology_spread_constraints.iter();
        let hard = hard.filter(|one| one.when_unsatisfiable == "DoNotSchedule");
        let whole = |number: i64| u32::try_from(number).unwrap_or(1).max(1);
        hard.map(|one| {
            Ok(SpreadConstraint {
                topology_key: one.topology_key.clone(),
                max_skew: whole(one.max_skew),
                min_domains: whole(one.min_domains.unwrap_or(1)),
                selector: selector_of(
                    one.label_selector.as_ref(),
                    &one.match_label_keys,
                    &[],
                    labels,
                )?,
                honors_affinity: one.node_affinity_policy.as_deref() != Some("Ignore"),
                honors_taints: one.node_taints_policy.as_deref() == Some("Honor"),
            })
        })
        .collect()
    }

    /// The labels that a template's replicas will have, as far as a constraint asks for them.
    pub(super) fn replica_labels(&self, template: Labels) -> Labels {
        let mut labels = template;
        let affinity = self.affinity.as_ref();
        let terms = affinity
            .into_iter()
            .flat_map(|one| [&one.together, &one.apart])
            .flatten()
            .flat_map(|one| &one.required_during_scheduling_ignored_during_execution)
            .flat_map(|term| {
                term.match_label_keys
                    .iter()
                    .chain(&term.mismatch_label_keys)
            });
        let spread = self.topology_spread_constraints.iter();
        let keys = terms.chain(spread.flat_map(|one| &one.match_label_keys));
        for key in keys.filter(|key| GIVEN.contains(&key.as_str())) {
            labels
                .entry(key.clone())
                .or_insert_with(|| "(new)".to_owned());
        }
        labels
    }

    /// The ports of the node that a pod holds: those of all containers that run at a time. With the
    /// node's network, a container's ports are the node's.
    fn host_ports(&self) -> impl Iterator<Item = HostPort> {
        let sidecars = self.init_containers.iter().filter(|one| one.is_sidecar());
        let ports = self
            .containers
            .iter()
            .chain(sidecars)
            .flat_map(Container::ports);
        ports.filter_map(|port| {
            let number = match port.host {
                0 if self.host_network => port.inner,
                number => number,
            };
            let text = |given: &str, default: &str| -> Box<str> {
                if given.is_empty() { default } else { given }.into()
            };
            Some(HostPort {
                ip: text(&port.host_ip, "0.0.0.0"),
                protocol: text(&port.protocol, "TCP"),
                port: u16::try_from(number).ok().filter(|number| *number > 0)?,
            })
        })
    }
}

fn terms_of(
    affinity: Option<&PodAffinity>,
    namespace: &str,
    labels: &Labels,
) -> Result<Vec<PodTerm>, ShapeError> {
    let required = affinity.map(|one| &one.required_during_scheduling_ignored_during_execution);
    let terms = required.into_iter().flatten();
    terms
        .map(|term| {
            let own = term.namespaces.is_empty() && term.namespace_selector.is_none();
            let namespace_selector = term.namespace_selector.as_ref();
            Ok(PodTerm {
                selector: selector_of(
                    term.label_selector.as_ref(),
                    &term.match_label_keys,
                    &term.mismatch_label_keys,
                    labels,
                )?,
                namespaces: if own {
                    vec![namespace.to_owned()]
                } else {
                    term.namespaces.clone()
                },
                namespace_selector: namespace_selector.map(Selector::requirements).transpose()?,
                topology_key: term.topology_key.clone(),
            })
        })
        .collect()
}

/// A selector with the pod's own values of some labels; without one, nothing is selected.
fn selector_of(
    selector: Option<&Selector>,
    same: &[String],
    other: &[String],
    labels: &Labels,
) -> Result<Vec<Requirement>, ShapeError> {
    let Some(selector) = selector else {
        return Ok(vec![Requirement {
            key: String::new(),
            operator: Operator::In,
            values: Vec::new(),
        }]);
    };
    let mut all = selector.requirements()?;
    for (keys, operator) in [(same, Operator::In), (other, Operator::NotIn)] {
        let values = keys.iter().filter_map(|key| labels.get_key_value(key));
        all.extend(values.map(|(key, value)| Requirement {
            key: key.clone(),
            operator,
            values: vec![value.clone()],
        }));
    }
    Ok(all)
}

impl Selector {
    fn requirements(&self) -> Result<Vec<Requirement>, ShapeError> {
        let labels = self.match_labels.iter().map(|(key, value)| {
            Ok(Requirement {
                key: key.clone(),
                operator: Operator::In,
                values: vec![value.clone()],
            })
        });
        let expressions = self.match_expressions.iter().map(|one| {
            let operator = match one.operator.as_str() {
                "In" => Operator::In,
                "NotIn" => Operator::NotIn,
                "Exists" => Operator::Exists,
                "DoesNotExist" => Operator::DoesNotExist,
                other => {
                    return Err(ShapeError::Unknown {
                        what: "label selector operator",
                        value: other.to_owned(),
                        known: "In, NotIn, Exists, DoesNotExist",
                    });
                }
            };
            Ok(one.requirement(operator))
        });
        labels.chain(expressions).collect()
    }
}
