//! What the scheduling of other pods looks at in a pod: Kubernetes' rules for host ports and for
//! required affinity between pods, over plain values.

use std::collections::BTreeMap;

use crate::shape::Requirement;

/// What the scheduling of other pods looks at in a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Profile {
    /// Its namespace.
    pub namespace: Box<str>,
    /// Its labels.
    pub labels: LabelSet,
    /// Ports of the node that it holds.
    pub host_ports: Box<[HostPort]>,
    /// Required anti-affinity: nothing that one of the terms matches may be in the same domain.
    pub anti_affinity: Box<[PodTerm]>,
}

/// Labels in one piece of text, because a snapshot keeps those of every pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct LabelSet(Box<str>);

/// A port of the node.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HostPort {
    /// The address that it is bound to; `0.0.0.0` is all of them.
    pub ip: Box<str>,
    /// `TCP`, `UDP` or `SCTP`.
    pub protocol: Box<str>,
    /// Its number.
    pub port: u16,
}

/// The pods that a pod must, or must not, share a domain with.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PodTerm {
    /// On the labels of those pods; all must hold.
    pub selector: Vec<Requirement>,
    /// Namespaces of those pods by name.
    pub namespaces: Vec<String>,
    /// Further namespaces, by their labels; no requirements are all namespaces.
    pub namespace_selector: Option<Vec<Requirement>>,
    /// Nodes with the same value of this label are one domain.
    pub topology_key: String,
}

/// The label that every namespace has, with its name. No other is known here.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// A character that no label has.
const END: char = '\0';

impl LabelSet {
    /// The value of a label.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.iter()
            .find(|(one, _)| *one == key)
            .map(|(_, value)| value)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.0.split_terminator(END);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }
}

impl From<&BTreeMap<String, String>> for LabelSet {
    fn from(labels: &BTreeMap<String, String>) -> Self {
        let mut text = String::new();
        for (key, value) in labels {
            text.extend([key.as_str(), "\0", value.as_str(), "\0"]);
        }
        Self(text.into())
    }
}

impl Profile {
    /// Whether its anti-affinity means this pod.
    pub(crate) fn repels(&self, pod: &Self) -> bool {
        self.anti_affinity.iter().any(|term| term.matches(pod))
    }
}

impl HostPort {
    /// Whether both cannot be on one node.
    pub fn conflicts(&self, other: &Self) -> bool {
        const ALL: &str = "0.0.0.0";
        self.port == other.port
            && self.protocol == other.protocol
            && (self.ip == other.ip || *self.ip == *ALL || *other.ip == *ALL)
    }
}

impl PodTerm {
    /// Whether it means this pod.
    pub fn matches(&self, pod: &Profile) -> bool {
        self.reaches(&pod.namespace) && selects(&self.selector, &pod.labels)
    }

    fn reaches(&self, namespace: &str) -> bool {
        let known = |key: &str| (key == NAMESPACE_NAME).then_some(namespace);
        self.namespaces.iter().any(|one| one == namespace)
            || self
                .namespace_selector
                .as_ref()
                .is_some_and(|all| all.iter().all(|one| one.holds(known(&one.key))))
    }
}

/// Whether labels meet all requirements.
pub(crate) fn selects(selector: &[Requirement], labels: &LabelSet) -> bool {
    selector.iter().all(|one| one.holds(labels.get(&one.key)))
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::shape::Operator;

    fn port(ip: &str, protocol: &str, port: u16) -> HostPort {
        HostPort {
            ip: ip.into(),
            protocol: protocol.into(),
            port,
        }
    }

    #[rstest]
    #[case(port("0.0.0.0", "TCP", 80), true)]
    #[case(port("10.0.0.1", "TCP", 80), true)]
    #[case(port("10.0.0.2", "TCP", 80), false)]
    #[case(port("0.0.0.0", "UDP", 80), false)]
    #[case(port("0.0.0.0", "TCP", 81), false)]
    fn host_ports(#[case] other: HostPort, #[case] conflict: bool) {
        let held = port("10.0.0.1", "TCP", 80);
        assert_eq!(held.conflicts(&other), conflict);
        assert_eq!(other.conflicts(&held), conflict);
    }

    #[test]
    fn labels_are_found_again() {
        let labels = BTreeMap::from([
            ("app".to_owned(), "web".to_owned()),
            ("empty".to_owned(), String::new()),
            ("last".to_owned(), String::new()),
        ]);
        let set = LabelSet::from(&labels);
        assert_eq!(set.get("app"), Some("web"));
        assert_eq!(set.get("empty"), Some(""));
        assert_eq!(set.get("last"), Some(""));
        assert_eq!(set.get("web"), None);
        assert_eq!(LabelSet::default().get(""), None);
    }

    #[rstest]
    #[case(&["shop"], None, true)]
    #[case(&["other"], None, false)]
    #[case(&[], Some(vec![]), true)]
    #[case(&[], Some(vec![NAMESPACE_NAME]), true)]
    #[case(&[], Some(vec!["team"]), false)]
    fn namespaces(
        #[case] names: &[&str],
        #[case] selector: Option<Vec<&str>>,
        #[case] matched: bool,
    ) {
        let requirement = |key: &str| Requirement {
            key: key.to_owned(),
            operator: Operator::In,
            values: vec!["shop".to_owned()],
        };
        let term = PodTerm {
            selector: Vec::new(),
            namespaces: names.iter().map(|&name| name.to_owned()).collect(),
            namespace_selector: selector.map(|keys| keys.into_iter().map(requirement).collect()),
            topology_key: "zone".to_owned(),
        };
        let pod = Profile {
            namespace: "shop".into(),
            ..Profile::default()
        };
        assert_eq!(term.matches(&pod), matched);
    }
}
