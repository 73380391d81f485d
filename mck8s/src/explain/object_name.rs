//! The name of an object as people write it.

use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use multi_cluster_scheduler::explain::Kind;

/// `[KIND/]NAME`
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ObjectName {
    /// None if either is meant.
    kind: Option<Kind>,
    pub(super) name: String,
}

impl ObjectName {
    pub(super) fn is_of(&self, kind: Kind) -> bool {
        self.kind.is_none_or(|one| one == kind)
    }
}

impl FromStr for ObjectName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, name) = match text.split_once('/') {
            Some((kind, name)) => (Some(kind_of(kind)?), name),
            None => (None, text),
        };
        if name.is_empty() || name.contains('/') {
            return Err(
                "write mcd/NAME, mcj/NAME or NAME; the namespace is --namespace's".to_owned(),
            );
        }
        Ok(Self {
            kind,
            name: name.to_owned(),
        })
    }
}

/// As kubectl names kinds: `mcd`, or `multiclusterdeployments.fogguru.eu`.
fn kind_of(text: &str) -> Result<Kind, String> {
    let lower = text.to_lowercase();
    match lower.split('.').next().unwrap_or_default() {
        "mcd" | "mcds" | "multiclusterdeployment" | "multiclusterdeployments" => {
            Ok(Kind::Deployment)
        }
        "mcj" | "mcjs" | "multiclusterjob" | "multiclusterjobs" => Ok(Kind::Job),
        _ => Err(format!(
            "{text:?} has no replicas to place: write mcd/NAME or mcj/NAME"
        )),
    }
}

impl Display for ObjectName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = self.kind.map(Kind::name);
        let kind = kind.unwrap_or("MultiClusterDeployment or MultiClusterJob");
        write!(f, "{kind} {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_kubectl_reads_it() {
        let read = |text: &str| text.parse::<ObjectName>().map(|one| (one.kind, one.name));
        let web = |kind| Ok((kind, "web".to_owned()));
        assert_eq!(read("web"), web(None));
        assert_eq!(read("mcd/web"), web(Some(Kind::Deployment)));
        let printed = "multiclusterjob.fogguru.eu/web";
        assert_eq!(read(printed), web(Some(Kind::Job)));
        for wrong in ["mcs/web", "pod/web", "mcd/", "mcd/shop/web", ""] {
            let problem = read(wrong).unwrap_err();
            assert!(problem.contains("write mcd/NAME"), "{wrong}: {problem}");
        }
    }
}
