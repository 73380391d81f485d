//! The flags that bound what access to a member may come from data on the hub.

use clap::{ArgAction, Args};

use super::args::DEFAULT_LEASE_NAMESPACE;

/// The file that Kubernetes puts the namespace of a pod into.
const POD_NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Flags of every operator that reaches members.
#[derive(Debug, Clone, Args)]
pub struct AccessArgs {
    /// Namespaces on the hub from which access to members is read (Secrets and `KubeFedCluster`s),
    /// comma-separated, "*" for all [default: this pod's own; outside a pod mck8s-system]
    ///
    /// Whoever may write Secrets there decides which servers the operators talk to.
    #[arg(
        long,
        env = "MCK8S_ACCESS_NAMESPACES",
        value_name = "NAMESPACES",
        value_delimiter = ','
    )]
    pub access_namespaces: Option<Vec<String>>,

    /// Let Secrets and `KubeFedCluster`s name link-local and metadata addresses as servers and proxies
    #[arg(long, env = "MCK8S_ALLOW_LINK_LOCAL_SERVERS", value_name = "BOOL", default_value_t = false,
          action = ArgAction::Set, num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub allow_link_local_servers: bool,
}

/// Which access to members may come from data on the hub.
#[derive(Debug, Clone)]
pub struct AccessRules {
    /// Where Secrets and `KubeFedCluster`s are read.
    pub namespaces: AccessNamespaces,
    /// Servers and proxies may have link-local addresses.
    pub link_local: bool,
}

/// Namespaces of the hub that access is read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AccessNamespaces {
    /// All of them.
    All,
    /// These.
    Only(Vec<String>),
}

impl AccessNamespaces {
    /// Whether access is read from a namespace.
    pub fn allow(&self, namespace: &str) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name == namespace),
        }
    }
}

impl AccessArgs {
    /// What the flags say.
    pub fn rules(&self) -> AccessRules {
        let names = match &self.access_namespaces {
            Some(names) => names.clone(),
            None => vec![own_namespace()],
        };
        let names: Vec<_> = names.iter().map(|name| name.trim().to_owned()).collect();
        let namespaces = if names.iter().any(|name| name == "*") {
            AccessNamespaces::All
        } else {
            AccessNamespaces::Only(names)
        };
        AccessRules {
            namespaces,
            link_local: self.allow_link_local_servers,
        }
    }
}

/// The namespace of this pod, or the one where leases are by default.
fn own_namespace() -> String {
    let given = std::env::var("POD_NAMESPACE").ok();
    let file = || std::fs::read_to_string(POD_NAMESPACE_FILE).ok();
    let name = given.or_else(file);
    let name = name.map(|name| name.trim().to_owned());
    let name = name.filter(|name| !name.is_empty());
    name.unwrap_or_else(|| DEFAULT_LEASE_NAMESPACE.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Operator {
        #[command(flatten)]
        access: AccessArgs,
    }

    fn rules(flags: &[&str]) -> AccessRules {
        let operator = Operator::try_parse_from([&["operator"], flags].concat());
        operator.unwrap().access.rules()
    }

    #[test]
    fn access_is_read_from_the_own_namespace_unless_others_are_named() {
        let default = rules(&[]);
        assert!(default.namespaces.allow(&own_namespace()));
        assert!(!default.namespaces.allow("tenant") && !default.link_local);
        let named = rules(&["--access-namespaces=mck8s-system, capi"]).namespaces;
        assert!(named.allow("capi") && named.allow("mck8s-system") && !named.allow("tenant"));
        assert_eq!(
            rules(&["--access-namespaces=*"]).namespaces,
            AccessNamespaces::All
        );
        assert!(!rules(&["--access-namespaces="]).namespaces.allow("tenant"));
    }
}
