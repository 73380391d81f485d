//! From a spec to settings that can be served. This is the only place that rejects; what the CRD's
//! schema and rules can express has been refused by the API server before.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use federation::api::{
    CloudProvisionerSpec, ClusterClassReference, DeletionPolicy, Expander, Flavor,
};
use federation::capacity::typed_quantities;
use federation::operator::args::duration;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{NodeTemplate, Resources, check_amount, parse_milli};

use crate::plan::Machine;

/// Pods that a node runs, as kubelets allow them where nothing else is said.
const PODS: i64 = 110;
/// The original's flavors: name, cores and GiB.
const FLAVORS: [(&str, u32, u32); 4] = [
    ("k8s.small", 2, 8),
    ("k8s.medium", 4, 16),
    ("k8s.large", 8, 32),
    ("k8s.xlarge", 16, 64),
];
/// What a node keeps for itself where nothing is said.
const OVERHEAD: [(&str, &str); 2] = [("cpu", "100m"), ("memory", "600Mi")];
const VERSION: &str = "v1.34.3";
const CLOUD: &str = "openstack";

/// What a `CloudProvisioner` asks for.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The name of the first cluster, and what those of others begin with.
    pub cluster_name: String,
    /// The flavors of workers.
    pub machines: Vec<Machine>,
    /// How clusters are made.
    pub infrastructure: Infrastructure,
    /// Machines of a control plane.
    pub control_plane: u32,
    /// Their flavor.
    pub control_plane_flavor: String,
    /// What one of them costs in an hour, in thousandths of the unit.
    pub control_plane_price: Option<i64>,
    /// Version of Kubernetes.
    pub version: String,
    /// Which of several ways to make room is taken.
    pub expander: Expander,
    /// Workers that a cluster keeps.
    pub min_nodes: u32,
    /// Workers of all clusters.
    pub max_nodes: u32,
    /// Clusters.
    pub max_clusters: u32,
    /// Cost of all machines in an hour, in thousandths of the unit.
    pub max_cost: Option<i64>,
    /// Before machines are made.
    pub scale_up_delay: Duration,
    /// Before an idle cluster goes.
    pub deprovision_delay: Duration,
    /// For a cluster, or a worker, to be ready.
    pub provision_timeout: Duration,
    /// For a worker that goes.
    pub drain_timeout: Duration,
    /// Nothing is made, and nothing goes.
    pub suspend: bool,
    /// What becomes of clusters without the object.
    pub deletion_policy: DeletionPolicy,
    /// What people should change, though it works.
    pub warnings: Vec<String>,
}

/// How clusters are made.
#[derive(Clone, Debug)]
pub enum Infrastructure {
    /// By the provider for `OpenStack`.
    OpenStack(OpenStack),
    /// From a class, whatever its provider.
    ClusterClass(ClusterClassReference),
}

/// What the provider for `OpenStack` needs.
#[derive(Clone, Debug)]
pub struct OpenStack {
    /// The access to the cloud.
    pub credentials: Credentials,
    /// Which cloud of `clouds.yaml`.
    pub cloud: String,
    /// Id of the external network.
    pub external_network: Option<String>,
    /// Address of the API server.
    pub floating_ip: Option<String>,
    /// Id of a security group of all nodes.
    pub security_group: Option<String>,
    /// Name of the nodes' image.
    pub image: String,
    /// Name of the nodes' SSH key.
    pub ssh_key: Option<String>,
}

/// The access to a cloud. It is never printed.
#[derive(Clone)]
pub enum Credentials {
    /// A Secret of this name.
    Secret(String),
    /// What the object itself has: `clouds.yaml` and the certificate.
    Inline {
        /// `clouds.yaml`.
        clouds: String,
        /// The certificate of the cloud's authority.
        certificate: Option<String>,
    },
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(name) => f.debug_tuple("Secret").field(name).finish(),
            Self::Inline { .. } => f.write_str("Inline"),
        }
    }
}

/// Why a spec cannot be served: which field, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("spec.{0}")]
pub struct Invalid(String);

impl Invalid {
    /// A spec that is not of its type.
    pub(crate) fn new(problem: String) -> Self {
        Self(problem)
    }
}

/// Checks the spec of a provisioner of this name.
pub fn validate(name: &str, spec: &CloudProvisionerSpec) -> Result<Settings, Invalid> {
    let mut warnings = Vec::new();
    let machines = machines(spec)?;
    let cheapest = machines
        .iter()
        .min_by_key(|one| (one.price.unwrap_or(0), one.capacity.cpu_milli));
    let flavor = spec.control_plane.flavor.clone();
    let flavor = flavor.or_else(|| cheapest.map(|one| one.flavor.clone()));
    let flavor = flavor.ok_or_else(|| Invalid("flavors is empty: give one at least".to_owned()))?;
    let of_flavor = machines.iter().find(|one| one.flavor == flavor);
    check_prices(spec, &machines, of_flavor)?;
    if spec.floating_ip.is_some() && spec.max_clusters > 1 {
        return Err(Invalid(
            "floatingIP is the address of one cluster: leave it out, or write maxClusters: 1"
                .to_owned(),
        ));
    }
    Ok(Settings {
        cluster_name: (spec.cloud_cluster_name.clone()).unwrap_or_else(|| name.to_owned()),
        control_plane_price: of_flavor.and_then(|one| one.price),
        control_plane_flavor: flavor,
        machines,
        infrastructure: infrastructure(spec, &mut warnings)?,
        control_plane: spec.control_plane.replicas,
        version: (spec.kubernetes_version.clone()).unwrap_or_else(|| VERSION.to_owned()),
        expander: spec.expander,
        min_nodes: spec.min_nodes,
        max_nodes: spec.max_nodes,
        max_clusters: spec.max_clusters,
        max_cost: amount("maxCostPerHour", spec.max_cost_per_hour.as_ref())?,
        scale_up_delay: time("scaleUpDelay", &spec.scale_up_delay)?,
        deprovision_delay: time("deprovisionDelay", &spec.deprovision_delay)?,
        provision_timeout: time("provisionTimeout", &spec.provision_timeout)?,
        drain_timeout: time("drainTimeout", &spec.drain_timeout)?,
        suspend: spec.suspend,
        deletion_policy: spec.deletion_policy,
        warnings,
    })
}

/// Without prices nothing can be bounded or compared by them.
fn check_prices(
    spec: &CloudProvisionerSpec,
    machines: &[Machine],
    control_plane: Option<&Machine>,
) -> Result<(), Invalid> {
    let is_wrong = |machine: &&Machine| machine.price.is_some_and(|price| price < 0);
    if let Some(machine) = machines.iter().find(is_wrong) {
        let flavor = &machine.flavor;
        return Err(Invalid(format!(
            "flavors: pricePerHour of {flavor} is negative"
        )));
    }
    let is_priced = |machine: &Machine| machine.price.is_some();
    let all = machines.iter().all(is_priced) && control_plane.is_some_and(is_priced);
    let wanted = if spec.max_cost_per_hour.is_some() {
        "maxCostPerHour"
    } else if spec.expander == Expander::Price {
        "expander: Price"
    } else {
        return Ok(());
    };
    if all {
        return Ok(());
    }
    Err(Invalid(format!(
        "{wanted} goes by prices: give pricePerHour of each of the flavors, and of the control plane's among them"
    )))
}

impl Settings {
    /// What is needed to give back what was made, where the spec cannot be served.
    pub fn of_deletion(spec: &CloudProvisionerSpec) -> Self {
        let default = Duration::from_mins(5);
        Self {
            cluster_name: String::new(),
            machines: Vec::new(),
            infrastructure: Infrastructure::ClusterClass(ClusterClassReference::default()),
            control_plane: 0,
            control_plane_flavor: String::new(),
            control_plane_price: None,
            version: String::new(),
            expander: Expander::default(),
            min_nodes: 0,
            max_nodes: 0,
            max_clusters: 0,
            max_cost: None,
            scale_up_delay: default,
            deprovision_delay: default,
            provision_timeout: default,
            drain_timeout: duration(&spec.drain_timeout).unwrap_or(default),
            suspend: true,
            deletion_policy: spec.deletion_policy,
            warnings: Vec::new(),
        }
    }
}

fn time(field: &str, text: &str) -> Result<Duration, Invalid> {
    duration(text).map_err(|error| Invalid(format!("{field}: {error}")))
}

/// An amount of money in thousandths of its unit.
fn amount(field: &str, quantity: Option<&Quantity>) -> Result<Option<i64>, Invalid> {
    let read = |quantity: &Quantity| {
        parse_milli(&quantity.0).map_err(|error| Invalid(format!("{field}: {error}")))
    };
    quantity.map(read).transpose()
}

fn machines(spec: &CloudProvisionerSpec) -> Result<Vec<Machine>, Invalid> {
    let quantity = |text: &str| Quantity(text.to_owned());
    let default = || {
        let sizes = FLAVORS.into_iter();
        let flavor = |(name, cores, gib): (&str, u32, u32)| Flavor {
            name: name.to_owned(),
            capacity: BTreeMap::from([
                ("cpu".to_owned(), quantity(&cores.to_string())),
                ("memory".to_owned(), quantity(&format!("{gib}Gi"))),
            ]),
            ..Flavor::default()
        };
        sizes.map(flavor).collect()
    };
    let flavors: Vec<Flavor> = if spec.flavors.is_empty() {
        default()
    } else {
        spec.flavors.clone()
    };
    let overhead = spec.node_overhead.clone().unwrap_or_else(|| {
        let amounts = OVERHEAD.into_iter();
        let amounts = amounts.map(|(name, amount)| (name.to_owned(), quantity(amount)));
        amounts.collect()
    });
    let overhead = resources("nodeOverhead", &overhead)?;
    let mut names = BTreeSet::new();
    let mut machines = Vec::new();
    for (index, flavor) in flavors.iter().enumerate() {
        let field = format!("flavors[{index}]");
        if !names.insert(dns_label(&flavor.name)) {
            return Err(Invalid(format!(
                "{field}.name {:?} makes the same name of objects as another flavor: rename it in the cloud, or leave it out",
                flavor.name
            )));
        }
        let mut capacity = resources(&format!("{field}.capacity"), &flavor.capacity)?;
        if capacity.pods == 0 {
            capacity.pods = PODS;
        }
        machines.push(Machine {
            flavor: flavor.name.clone(),
            node: NodeTemplate {
                labels: flavor.labels.clone(),
                taints: Vec::new(),
                allocatable: capacity.saturating_sub(&overhead),
            },
            capacity,
            price: amount(
                &format!("{field}.pricePerHour"),
                flavor.price_per_hour.as_ref(),
            )?,
            priority: flavor.priority,
        });
    }
    Ok(machines)
}

fn resources(field: &str, amounts: &BTreeMap<String, Quantity>) -> Result<Resources, Invalid> {
    for (name, quantity) in amounts {
        check_amount(&quantity.0).map_err(|error| Invalid(format!("{field}.{name}: {error}")))?;
    }
    Ok(typed_quantities(amounts))
}

/// A name as objects may have it.
pub fn dns_label(name: &str) -> String {
    let letters = name.chars().map(|letter| match letter {
        'a'..='z' | '0'..='9' | '-' => letter,
        'A'..='Z' => letter.to_ascii_lowercase(),
        _ => '-',
    });
    let label: String = letters.collect();
    label.trim_matches('-').to_owned()
}

fn infrastructure(
    spec: &CloudProvisionerSpec,
    warnings: &mut Vec<String>,
) -> Result<Infrastructure, Invalid> {
    if let Some(class) = &spec.cluster_class {
        if class.flavor_variable.is_none() && spec.flavors.len() != 1 {
            return Err(Invalid(
                "clusterClass.flavorVariable is missing: name the variable that takes the flavor, or give exactly one of flavors".to_owned(),
            ));
        }
        if spec.flavors.iter().any(|flavor| !flavor.labels.is_empty()) {
            return Err(Invalid(
                "flavors: labels of nodes are the class's own: leave labels out".to_owned(),
            ));
        }
        return Ok(Infrastructure::ClusterClass(class.clone()));
    }
    let version = spec.kubernetes_version.as_deref().unwrap_or(VERSION);
    let image = || format!("ubuntu-2204-kube-{version}");
    Ok(Infrastructure::OpenStack(OpenStack {
        credentials: credentials(spec, warnings)?,
        cloud: (spec.cloud_name.clone()).unwrap_or_else(|| CLOUD.to_owned()),
        external_network: spec.ext_network_id.clone(),
        floating_ip: spec.floating_ip.clone(),
        security_group: spec.security_group_id.clone(),
        image: spec.image.clone().unwrap_or_else(image),
        ssh_key: spec.ssh_key_name.clone(),
    }))
}

fn credentials(
    spec: &CloudProvisionerSpec,
    warnings: &mut Vec<String>,
) -> Result<Credentials, Invalid> {
    if let Some(secret) = &spec.credentials_secret_ref {
        return Ok(Credentials::Secret(secret.name.clone()));
    }
    let Some(clouds) = &spec.clouds_yaml else {
        return Err(Invalid(
            "credentialsSecretRef is missing: put clouds.yaml into a Secret and name it, or make clusters from a clusterClass".to_owned(),
        ));
    };
    warnings.push(
        "cloudsYaml can be read by all who may read this object: put it into a Secret and name that in credentialsSecretRef".to_owned(),
    );
    // What is wrong is said without the text.
    let decode = |field: &str, text: &str| {
        let text: String = text.split_whitespace().collect();
        let bytes = BASE64_STANDARD.decode(text).ok();
        bytes
            .and_then(|bytes| String::from_utf8(bytes).ok())
            .ok_or_else(|| Invalid(format!("{field} is not base64 of a text")))
    };
    Ok(Credentials::Inline {
        clouds: decode("cloudsYaml", clouds)?,
        certificate: spec
            .cert_text
            .as_deref()
            .map(|text| decode("certText", text))
            .transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn spec(fields: &Value) -> CloudProvisionerSpec {
        serde_json::from_value(fields.clone()).unwrap()
    }

    #[test]
    fn the_originals_fields_are_read() {
        let text = |text: &str| BASE64_STANDARD.encode(text);
        let original = spec(&json!({
            "cloudClusterName": "cloud1", "gatewayIP": "10.0.0.1", "floatingIP": "1.2.3.4",
            "extNetworkID": "net", "securityGroupID": "group", "influxDBIP": "10.0.0.2",
            "cloudsYaml": text("clouds: {}"), "certText": text("CERTIFICATE"),
        }));
        let settings = validate("cloud", &original).unwrap();
        assert_eq!(settings.cluster_name, "cloud1");
        assert_eq!(settings.scale_up_delay, Duration::from_secs(30));
        assert_eq!(settings.deprovision_delay, Duration::from_mins(21));
        assert_eq!(settings.control_plane_flavor, "k8s.small");
        let names: Vec<_> = settings.machines.iter().map(|one| &one.flavor).collect();
        assert_eq!(
            names,
            ["k8s.small", "k8s.medium", "k8s.large", "k8s.xlarge"]
        );
        let [small, ..] = &settings.machines[..] else {
            panic!("no machines")
        };
        assert_eq!(small.node.allocatable.cpu_milli, 1900);
        assert_eq!(small.node.allocatable.memory, (8 * 1024 - 600) << 20);
        assert_eq!(small.node.allocatable.pods, 110);
        assert!(settings.warnings[0].contains("credentialsSecretRef"));
        let Infrastructure::OpenStack(openstack) = &settings.infrastructure else {
            panic!("not OpenStack")
        };
        let Credentials::Inline { clouds, .. } = &openstack.credentials else {
            panic!("not inline")
        };
        assert_eq!(clouds, "clouds: {}");
        assert!(!format!("{settings:?}").contains("clouds:"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_field_and_without_credentials() {
        let secret = json!({ "name": "cloud" });
        for (fields, named) in [
            (json!({}), "credentialsSecretRef"),
            (json!({ "cloudsYaml": "h%unter2" }), "cloudsYaml"),
            (
                json!({ "credentialsSecretRef": secret, "scaleUpDelay": "soon" }),
                "scaleUpDelay",
            ),
            (
                json!({ "credentialsSecretRef": secret, "maxCostPerHour": "much" }),
                "maxCostPerHour",
            ),
            (
                json!({ "credentialsSecretRef": secret, "flavors": [
                    { "name": "a", "capacity": { "cpu": "many", "memory": "1Gi" } },
                ] }),
                "flavors[0].capacity.cpu",
            ),
            (
                json!({ "credentialsSecretRef": secret, "expander": "Price" }),
                "expander: Price",
            ),
            (
                json!({ "credentialsSecretRef": secret, "maxCostPerHour": "2" }),
                "maxCostPerHour",
            ),
            (
                json!({ "credentialsSecretRef": secret, "floatingIP": "1.2.3.4", "maxClusters": 2 }),
                "floatingIP",
            ),
            (
                json!({ "clusterClass": { "name": "any" } }),
                "clusterClass.flavorVariable",
            ),
            (
                json!({ "credentialsSecretRef": secret, "flavors": [
                    { "name": "a.b", "capacity": { "cpu": "1", "memory": "1Gi" } },
                    { "name": "a-b", "capacity": { "cpu": "1", "memory": "1Gi" } },
                ] }),
                "flavors[1].name",
            ),
        ] {
            let error = validate("cloud", &spec(&fields)).unwrap_err().to_string();
            assert!(error.starts_with(&format!("spec.{named}")), "{error}");
            assert!(!error.contains("unter2"), "{error}");
        }
    }
}
