//! What one replica needs, and which nodes will do: Kubernetes' rules for selectors, node affinity
//! and tolerations, over plain values.

use std::collections::BTreeMap;

use crate::cluster::{Taint, TaintEffect};
use crate::profile::{PodTerm, Profile};
use crate::resources::Resources;

/// What one replica needs. Two workloads of the same shape share everything that was computed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PodShape {
    /// Its requests; the pod itself counts as one.
    pub requests: Resources,
    /// The nodes that will do.
    pub constraints: NodeConstraints,
    /// What the scheduling of other pods looks at in it, and of its own replicas in each other.
    pub profile: Profile,
    /// Required affinity: each term must be met by pods in the node's domain.
    pub affinity: Vec<PodTerm>,
    /// Hard constraints (`DoNotSchedule`) on how evenly pods are spread.
    pub spread: Vec<SpreadConstraint>,
}

/// The domains of a label must have nearly the same number of pods.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SpreadConstraint {
    /// Nodes with the same value of this label are one domain.
    pub topology_key: String,
    /// How many more pods than the emptiest a domain may have.
    pub max_skew: u32,
    /// While there are fewer domains than that, the emptiest counts as empty.
    pub min_domains: u32,
    /// The pods that count, in the replica's own namespace.
    pub selector: Vec<Requirement>,
    /// Whether only nodes count that its node selector and node affinity admit.
    pub honors_affinity: bool,
    /// Whether only nodes count whose taints it tolerates.
    pub honors_taints: bool,
}

/// The nodes that will do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeConstraints {
    /// Only this node (`spec.nodeName`).
    pub node_name: Option<String>,
    /// Labels that the node must have.
    pub node_selector: BTreeMap<String, String>,
    /// Required node affinity: one of the terms must hold. No terms match no node.
    pub affinity: Option<Vec<NodeTerm>>,
    /// Taints that do not keep it away.
    pub tolerations: Vec<Toleration>,
}

impl PodShape {
    /// Whether pods that are there, or its own replicas, may keep it from nodes with room.
    pub(crate) fn depends_on_pods(&self) -> bool {
        self.depends_on_order() || !self.profile.host_ports.is_empty()
    }

    /// Whether how many replicas fit depends on which nodes they are put on first.
    pub(crate) fn depends_on_order(&self) -> bool {
        !self.affinity.is_empty()
            || !self.spread.is_empty()
            || !self.profile.anti_affinity.is_empty()
    }
}

impl NodeConstraints {
    /// Whether node selector and required node affinity admit a node, by its name and labels.
    pub fn select<'a>(&self, name: &str, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        self.node_selector
            .iter()
            .all(|(key, value)| label(key) == Some(value))
            && self.affinity.as_ref().is_none_or(|terms| {
                terms.iter().any(|term| {
                    !term.is_empty()
                        && term.labels.iter().all(|one| one.holds(label(&one.key)))
                        && term.fields.iter().all(|one| one.holds_for_name(name))
                })
            })
    }

    /// The same for a node of which only some labels are known, and not the name: whatever the
    /// others are.
    pub(crate) fn select_surely<'a>(&self, label: impl Fn(&str) -> Option<&'a str>) -> bool {
        let surely =
            |one: &Requirement| label(&one.key).is_some_and(|value| one.holds(Some(value)));
        self.node_name.is_none()
            && self
                .node_selector
                .iter()
                .all(|(key, value)| label(key) == Some(value))
            && self.affinity.as_ref().is_none_or(|terms| {
                terms.iter().any(|term| {
                    !term.is_empty() && term.fields.is_empty() && term.labels.iter().all(surely)
                })
            })
    }

    /// Whether a node with these taints may get something new.
    pub fn tolerate(&self, taints: &[Taint]) -> bool {
        let effects = [TaintEffect::NoSchedule, TaintEffect::NoExecute];
        untolerated(taints, &self.tolerations, &effects).is_none()
    }

    /// The node selector as requirements.
    pub(crate) fn selector_requirements(&self) -> impl Iterator<Item = Requirement> {
        self.node_selector.iter().map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        })
    }
}

/// All requirements of a term must hold; an empty term matches no node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct NodeTerm {
    /// On the node's labels.
    pub labels: Vec<Requirement>,
    /// On its fields; `metadata.name` is the only one.
    pub fields: Vec<Requirement>,
}

impl NodeTerm {
    /// Such a term matches no node.
    pub(crate) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.fields.is_empty()
    }
}

/// A requirement on one label.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Requirement {
    /// The label's key.
    pub key: String,
    /// How it is compared.
    pub operator: Operator,
    /// With what.
    pub values: Vec<String>,
}

/// How a label is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// Its value is one of the values.
    In,
    /// It is absent, or its value is none of the values.
    NotIn,
    /// It is there.
    Exists,
    /// It is absent.
    DoesNotExist,
    /// Its value, a whole number, is greater than the only value.
    Gt,
    /// Its value, a whole number, is less than the only value.
    Lt,
}

/// A taint that is tolerated.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Toleration {
    /// Key of the taint; `None` (with `Exists`) tolerates every key.
    pub key: Option<String>,
    /// How the value is compared.
    pub operator: TolerationOperator,
    /// The value, for `Equal`.
    pub value: Option<String>,
    /// Effect; `None` tolerates every effect.
    pub effect: Option<TaintEffect>,
}

/// How a toleration compares the taint's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TolerationOperator {
    /// It is equal.
    Equal,
    /// Any value will do.
    Exists,
}

impl Requirement {
    /// Whether a label with this value (or without, `None`) meets it.
    pub fn holds(&self, value: Option<&str>) -> bool {
        let listed = |value: &str| self.values.iter().any(|one| one == value);
        let compared = |compare: fn(&i64, &i64) -> bool| match (
            value.and_then(|v| v.parse().ok()),
            self.values.as_slice(),
        ) {
            (Some(value), [bound]) => bound.parse().is_ok_and(|bound| compare(&value, &bound)),
            _ => false,
        };
        match self.operator {
            Operator::In => value.is_some_and(listed),
            Operator::NotIn => !value.is_some_and(listed),
            Operator::Exists => value.is_some(),
            Operator::DoesNotExist => value.is_none(),
            Operator::Gt => compared(i64::gt),
            Operator::Lt => compared(i64::lt),
        }
    }

    /// Whether a node of this name meets it, as a requirement on a node's field.
    pub(crate) fn holds_for_name(&self, name: &str) -> bool {
        self.key == "metadata.name" && self.holds(Some(name))
    }

    /// The requirement as a label selector has it.
    pub fn describe(&self) -> String {
        let values = self.values.join(",");
        match self.operator {
            Operator::In if self.values.len() == 1 => format!("{}={values}", self.key),
            Operator::In => format!("{} in ({values})", self.key),
            Operator::NotIn => format!("{} notin ({values})", self.key),
            Operator::Exists => self.key.clone(),
            Operator::DoesNotExist => format!("!{}", self.key),
            Operator::Gt => format!("{} > {values}", self.key),
            Operator::Lt => format!("{} < {values}", self.key),
        }
    }
}

impl Toleration {
    /// Whether the taint is tolerated.
    pub fn tolerates(&self, taint: &Taint) -> bool {
        if self.effect.is_some_and(|effect| effect != taint.effect) {
            return false;
        }
        match (&self.key, self.operator) {
            (None, operator) => operator == TolerationOperator::Exists,
            (Some(key), _) if *key != taint.key => false,
            (Some(_), TolerationOperator::Exists) => true,
            (Some(_), TolerationOperator::Equal) => {
                self.value.as_deref().unwrap_or_default() == taint.value
            }
        }
    }
}

/// The first taint of the given effects that no toleration covers.
pub(crate) fn untolerated<'a>(
    taints: &'a [Taint],
    tolerations: &[Toleration],
    effects: &[TaintEffect],
) -> Option<&'a Taint> {
    taints.iter().find(|taint| {
        effects.contains(&taint.effect) && !tolerations.iter().any(|one| one.tolerates(taint))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(Operator::In, &["a", "b"], Some("a"), true)]
    #[case(Operator::In, &["a"], Some("c"), false)]
    #[case(Operator::In, &["a"], None, false)]
    #[case(Operator::NotIn, &["a"], Some("a"), false)]
    #[case(Operator::NotIn, &["a"], None, true)]
    #[case(Operator::Exists, &[], Some(""), true)]
    #[case(Operator::Exists, &[], None, false)]
    #[case(Operator::DoesNotExist, &[], None, true)]
    #[case(Operator::Gt, &["8"], Some("16"), true)]
    #[case(Operator::Gt, &["8"], Some("8"), false)]
    #[case(Operator::Gt, &["8"], Some("many"), false)]
    #[case(Operator::Lt, &["8"], Some("-1"), true)]
    #[case(Operator::Lt, &["8"], None, false)]
    fn requirements(
        #[case] operator: Operator,
        #[case] values: &[&str],
        #[case] label: Option<&str>,
        #[case] holds: bool,
    ) {
        let values = values.iter().map(|&v| v.to_owned()).collect();
        assert_eq!(
            Requirement {
                key: "k".into(),
                operator,
                values
            }
            .holds(label),
            holds
        );
    }

    #[rstest]
    #[case(Some("edge"), TolerationOperator::Equal, Some("yes"), None, true)]
    #[case(Some("edge"), TolerationOperator::Equal, Some("no"), None, false)]
    #[case(
        Some("edge"),
        TolerationOperator::Exists,
        None,
        Some(TaintEffect::NoSchedule),
        true
    )]
    #[case(
        Some("edge"),
        TolerationOperator::Exists,
        None,
        Some(TaintEffect::NoExecute),
        false
    )]
    #[case(None, TolerationOperator::Exists, None, None, true)]
    #[case(None, TolerationOperator::Equal, Some("yes"), None, false)]
    #[case(Some("other"), TolerationOperator::Exists, None, None, false)]
    fn tolerations(
        #[case] key: Option<&str>,
        #[case] operator: TolerationOperator,
        #[case] value: Option<&str>,
        #[case] effect: Option<TaintEffect>,
        #[case] tolerated: bool,
    ) {
        let taint = Taint {
            key: "edge".into(),
            value: "yes".into(),
            effect: TaintEffect::NoSchedule,
        };
        let one = Toleration {
            key: key.map(Into::into),
            operator,
            value: value.map(Into::into),
            effect,
        };
        assert_eq!(one.tolerates(&taint), tolerated);
    }
}
