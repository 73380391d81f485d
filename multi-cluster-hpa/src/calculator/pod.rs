//! A pod as the calculation sees it.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{QuantityError, parse_milli};

/// A pod's cluster and name. All pods of a target share its namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodKey {
    /// Name of the `MemberCluster`.
    pub cluster: String,
    /// Name of the pod.
    pub name: String,
}

/// What the calculation needs of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Where it runs, and its name.
    pub key: PodKey,
    /// When it was created.
    pub created: Timestamp,
    /// `status.phase`
    pub phase: Phase,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// `status.startTime`
    pub started: Option<Timestamp>,
    /// The condition `Ready`.
    pub readiness: Option<Readiness>,
    /// The containers that run together: the regular ones, then sidecars.
    pub containers: Vec<Container>,
    /// What the pod asks for as a whole, in thousandths by resource; none unless `spec.resources`
    /// has requests.
    pub requests: Option<BTreeMap<String, i64>>,
}

/// `status.phase` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all containers have started.
    Pending,
    /// It runs.
    Running,
    /// It ended well.
    Succeeded,
    /// It ended otherwise.
    Failed,
    /// Its node does not answer.
    Unknown,
}

/// The condition `Ready` of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Readiness {
    /// True, false, or none where it is `Unknown`.
    pub ready: Option<bool>,
    /// Since when.
    pub since: Timestamp,
}

/// A container's requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Container {
    /// Its name.
    pub name: String,
    /// Thousandths by resource.
    pub requests: BTreeMap<String, i64>,
}

/// Why a pod cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PodError {
    /// It has no name or creation time, as no pod from an API server.
    #[error("a pod without metadata.{0}")]
    Missing(&'static str),
    /// A request is no quantity.
    #[error("Pod {pod}: {source}")]
    Quantity {
        /// The pod.
        pod: String,
        /// What is wrong.
        source: QuantityError,
    },
}

type Amounts = BTreeMap<String, i64>;

impl Pod {
    /// Reads what the calculation needs from a pod of a member.
    pub fn read(cluster: &str, pod: &core::Pod) -> Result<Self, PodError> {
        let name = pod.metadata.name.clone().ok_or(PodError::Missing("name"))?;
        let created = pod.metadata.creation_timestamp.as_ref();
        let created = created.ok_or(PodError::Missing("creationTimestamp"))?.0;
        let (containers, requests) = match &pod.spec {
            Some(spec) => read_requests(spec).map_err(|source| PodError::Quantity {
                pod: name.clone(),
                source,
            })?,
            None => (Vec::new(), None),
        };
        let status = pod.status.as_ref();
        Ok(Self {
            key: PodKey {
                cluster: cluster.to_owned(),
                name,
            },
            created,
            phase: Phase::read(status.and_then(|status| status.phase.as_deref())),
            deleting: pod.metadata.deletion_timestamp.is_some(),
            started: status.and_then(|status| Some(status.start_time.as_ref()?.0)),
            readiness: status.and_then(Readiness::read),
            containers,
            requests,
        })
    }

    /// Whether it runs and is ready to serve.
    pub fn is_ready(&self) -> bool {
        let ready = |readiness: &Readiness| readiness.ready == Some(true);
        self.phase == Phase::Running && self.readiness.as_ref().is_some_and(ready)
    }

    /// Whether it runs, or will: it counts as a replica.
    pub fn is_active(&self) -> bool {
        !self.deleting && !matches!(self.phase, Phase::Succeeded | Phase::Failed)
    }
}

impl Phase {
    fn read(phase: Option<&str>) -> Self {
        match phase {
            Some("Running") => Self::Running,
            Some("Succeeded") => Self::Succeeded,
            Some("Failed") => Self::Failed,
            Some("Unknown") => Self::Unknown,
            // A pod that nothing has reported on is as good as one that waits.
            _ => Self::Pending,
        }
    }
}

impl Readiness {
    fn read(status: &core::PodStatus) -> Option<Self> {
        let conditions = status.conditions.as_ref()?;
        let condition = conditions.iter().find(|one| one.type_ == "Ready")?;
        let since = condition.last_transition_time.as_ref();
        Some(Self {
            ready: match condition.status.as_str() {
                "True" => Some(true),
                "False" => Some(false),
                _ => None,
            },
            since: since.map_or(Timestamp::UNIX_EPOCH, |time| time.0),
        })
    }
}

type Requests = (Vec<Container>, Option<Amounts>);

fn read_requests(spec: &core::PodSpec) -> Result<Requests, QuantityError> {
    let regular = read_containers(&spec.containers)?;
    let all_init = spec.init_containers.as_deref().unwrap_or_default();
    let init = read_containers(all_init)?;
    let is_sidecar =
        |container: &core::Container| container.restart_policy.as_deref() == Some("Always");
    let init: Vec<_> = init
        .into_iter()
        .zip(all_init.iter().map(is_sidecar))
        .collect();

    let own = spec
        .resources
        .as_ref()
        .and_then(|own| own.requests.as_ref());
    let whole = match own.map(read_amounts).transpose()? {
        Some(own) if own.keys().any(|name| is_pod_level(name)) => {
            let overhead = spec.overhead.as_ref().map(read_amounts).transpose()?;
            Some(whole_pod(
                &regular,
                &init,
                &own,
                &overhead.unwrap_or_default(),
            ))
        }
        _ => None,
    };
    let sidecars = init.into_iter().filter(|(_, sidecar)| *sidecar);
    let mut containers = regular;
    containers.extend(sidecars.map(|(container, _)| container));
    Ok((containers, whole))
}

/// The resources that a pod can ask for as a whole.
fn is_pod_level(resource: &str) -> bool {
    matches!(resource, "cpu" | "memory") || resource.starts_with("hugepages-")
}

/// `PodRequests` of `k8s.io/component-helpers/resource`: containers and sidecars run together, an
/// init container runs beside the sidecars that were started before it; what the pod itself asks
/// for stands for both; overhead is added.
fn whole_pod(
    regular: &[Container],
    init: &[(Container, bool)],
    own: &Amounts,
    overhead: &Amounts,
) -> Amounts {
    let mut running = Amounts::new();
    for container in regular {
        add(&mut running, &container.requests);
    }
    let (mut sidecars, mut starting) = (Amounts::new(), Amounts::new());
    for (container, is_sidecar) in init {
        let mut together = sidecars.clone();
        add(&mut together, &container.requests);
        if *is_sidecar {
            sidecars.clone_from(&together);
        }
        for (resource, amount) in together {
            let most = starting.entry(resource).or_insert(amount);
            *most = amount.max(*most);
        }
    }
    add(&mut running, &sidecars);
    for (resource, amount) in starting {
        let most = running.entry(resource).or_insert(amount);
        *most = amount.max(*most);
    }
    for (resource, amount) in own.iter().filter(|(resource, _)| is_pod_level(resource)) {
        running.insert(resource.clone(), *amount);
    }
    add(&mut running, overhead);
    running
}

fn add(sum: &mut Amounts, more: &Amounts) {
    for (resource, amount) in more {
        let total = sum.entry(resource.clone()).or_default();
        *total = total.saturating_add(*amount);
    }
}

fn read_containers(containers: &[core::Container]) -> Result<Vec<Container>, QuantityError> {
    let read = |container: &core::Container| {
        let requests = container.resources.as_ref();
        let requests = requests.and_then(|resources| resources.requests.as_ref());
        Ok(Container {
            name: container.name.clone(),
            requests: requests.map(read_amounts).transpose()?.unwrap_or_default(),
        })
    };
    containers.iter().map(read).collect()
}

fn read_amounts(amounts: &BTreeMap<String, Quantity>) -> Result<Amounts, QuantityError> {
    let read =
        |(resource, amount): (&String, &Quantity)| Ok((resource.clone(), parse_milli(&amount.0)?));
    amounts.iter().map(read).collect()
}
