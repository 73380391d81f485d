//! From a spec to a request that can be decided. This is the only place that rejects; what the
//! CRD's schema and rules can express has been refused by the API server before.

use std::collections::{BTreeMap, BTreeSet};

use federation::api::{self, Burst, PlacementFields};
use federation::capacity::shape_of_template;
use federation::members::uid_bits;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use placement::policy::Policy;
use placement::{
    ClusterName, Eligibility, Operator, Overflow, PodShape, ReplicaScheduling, Requirement, Target,
    Targets, Toleration, TolerationOperator,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::overrides;
use crate::workload::{Kind, Spec, Workload};

/// The policy when none is named: the original's.
const DEFAULT_POLICY: &str = "most_traffic";

/// The most replicas of one location, as the CRD has it.
const MAX_REPLICAS: u32 = 1_000_000;
/// The most replicas of all locations: a Kubernetes count is a signed number of 32 bits, and what
/// moves counts twice.
const MAX_TOTAL: u64 = 1_000_000_000;

/// A workload that can be decided.
pub struct Validated {
    /// What one replica needs.
    pub shape: PodShape,
    /// How clusters are ranked.
    pub policy: &'static dyn Policy,
    /// Where replicas go.
    pub targets: Targets,
    /// Replicas, as `scheduling` counts them.
    pub replicas: u32,
    /// What `replicas` counts.
    pub scheduling: ReplicaScheduling,
    /// Which clusters may serve.
    pub eligibility: Eligibility,
    /// Where what does not fit goes.
    pub overflow: Overflow,
    /// Where the users are.
    pub origin: Option<String>,
    /// Seed of `random`.
    pub seed: u64,
    /// Settings of the policy.
    pub parameters: BTreeMap<String, String>,
    /// Digest of the fields that choose clusters.
    pub decision_key: String,
}

/// Why a spec cannot be served: which field, and what to write instead.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Invalid(pub String);

/// Checks a deployment or a job.
pub fn validate(workload: &Workload) -> Result<Validated, Invalid> {
    let spec = workload
        .spec
        .as_ref()
        .map_err(|error| Invalid(error.clone()))?;
    let (fields, template, replicas) = match spec {
        Spec::Deployment(spec) => (&spec.placement, &spec.template, spec.replicas),
        Spec::Job(spec) => {
            let parallel = spec.parallelism.unwrap_or(spec.replicas);
            // More pods at a time than are left to complete never run.
            (
                &spec.placement,
                &spec.template,
                parallel.min(spec.completions.unwrap_or(u32::MAX)),
            )
        }
        Spec::Service(_) => return Err(Invalid("a service has no replicas to place".to_owned())),
    };
    let shape = shape_of_template(template, &workload.key.namespace)
        .map_err(|error| Invalid(error.to_string()))?;
    if let Some(problem) = workload.problem_of_overrides() {
        return Err(Invalid(problem.to_owned()));
    }
    let name = fields.placement_policy.as_deref().unwrap_or(DEFAULT_POLICY);
    let policy = placement::policy::by_name(name).ok_or_else(|| {
        let known: Vec<_> = placement::policy::names().collect();
        Invalid(format!(
            "placementPolicy {name:?} is unknown: use one of {}",
            known.join(", ")
        ))
    })?;
    let selector = fields
        .cluster_selector
        .as_ref()
        .map(requirements)
        .transpose()?
        .unwrap_or_default();
    let targets = targets(fields, policy)?;
    check_total(&targets, replicas)?;
    let named = matches!(targets, Targets::Given(_));
    let scheduling = match fields.replica_scheduling {
        api::ReplicaScheduling::PerLocation => ReplicaScheduling::PerLocation,
        api::ReplicaScheduling::Total => ReplicaScheduling::Total,
    };
    if scheduling == ReplicaScheduling::Total && fields.replica_overrides.is_some() {
        return Err(Invalid(
            "replicaScheduling Total divides replicas evenly and contradicts replicaOverrides: use PerLocation with it".to_owned(),
        ));
    }
    Ok(Validated {
        decision_key: decision_key(fields, &shape),
        seed: seed(fields, workload)?,
        shape,
        policy,
        targets,
        replicas,
        scheduling,
        eligibility: Eligibility {
            labels: selector,
            tolerations: fields
                .tolerations
                .iter()
                .map(toleration)
                .collect::<Result<_, _>>()?,
            cloud: fields.burst == Burst::Allowed,
        },
        overflow: match fields.overflow {
            // What overflows would be done twice.
            _ if workload.is_work_queue() => Overflow::None,
            Some(api::Overflow::Nearest) => Overflow::Nearest,
            Some(api::Overflow::None) => Overflow::None,
            // The original's: nearest to the full one where clusters are named, else by rank.
            None if named => Overflow::Nearest,
            Some(api::Overflow::Policy) | None => Overflow::Policy,
        },
        origin: fields.origin.clone(),
        parameters: fields.policy_parameters.clone(),
    })
}

/// The clusters that `locations` or `clusters` names, in order.
pub fn named_clusters(
    locations: Option<&str>,
    clusters: Option<&Vec<String>>,
) -> Result<Option<Vec<String>>, Invalid> {
    let names: Vec<String> = match (clusters, locations) {
        (Some(clusters), _) => clusters.clone(),
        (None, Some(locations)) => locations
            .split(',')
            .map(|name| name.trim().to_owned())
            .collect(),
        (None, None) => return Ok(None),
    };
    let field = if clusters.is_some() {
        "clusters"
    } else {
        "locations"
    };
    if names.is_empty() || names.iter().any(String::is_empty) {
        return Err(Invalid(format!(
            "{field} names no cluster: write e.g. \"cluster2, cluster3\", or leave it out"
        )));
    }
    let mut seen = BTreeSet::new();
    if let Some(twice) = names.iter().find(|name| !seen.insert(*name)) {
        return Err(Invalid(format!(
            "{field} names {twice} twice: name each cluster once"
        )));
    }
    Ok(Some(names))
}

fn targets(fields: &PlacementFields, policy: &dyn Policy) -> Result<Targets, Invalid> {
    let named = named_clusters(fields.locations.as_deref(), fields.clusters.as_ref())?;
    let by_cluster: BTreeMap<&str, u32> = fields
        .cluster_replicas
        .iter()
        .map(|one| (one.cluster.as_str(), one.replicas))
        .collect();
    let Some(names) = named else {
        if by_cluster.is_empty() {
            let count = fields.number_of_locations.unwrap_or(
                match (policy.name(), &fields.cluster_selector) {
                    // The clusters that the selector matches are the ones asked for.
                    ("cluster_affinity", Some(_)) => u32::MAX,
                    _ => 1,
                },
            );
            return Ok(Targets::Chosen { count });
        }
        // Replicas by cluster name the clusters, too.
        let targets = fields.cluster_replicas.iter();
        return Ok(Targets::Given(
            targets
                .map(|one| Target {
                    cluster: ClusterName::from(one.cluster.as_str()),
                    replicas: Some(one.replicas),
                })
                .collect(),
        ));
    };
    if let Some(stray) = by_cluster
        .keys()
        .find(|name| !names.iter().any(|known| known == *name))
    {
        return Err(Invalid(format!(
            "clusterReplicas names {stray}, which the clusters do not: add it there, or take it out here"
        )));
    }
    let by_position = match (&fields.replica_overrides, fields.clusters.is_some()) {
        // Positions are along `locations`; `clusters` wins over it.
        (Some(overrides), false) => overrides.parse().map_err(|entry| {
            Invalid(format!("replicaOverrides: {entry:?} is not a number of replicas: write a list like [2, 3], or \"2,3\""))
        })?,
        _ => Vec::new(),
    };
    if let Some(many) = by_position
        .iter()
        .find(|replicas| **replicas > MAX_REPLICAS)
    {
        return Err(Invalid(format!(
            "replicaOverrides: {many} is too many: write at most {MAX_REPLICAS} for a location"
        )));
    }
    if by_position.len() > names.len() {
        return Err(Invalid(format!(
            "replicaOverrides has {} numbers for {} locations: give at most one for each",
            by_position.len(),
            names.len()
        )));
    }
    Ok(Targets::Given(
        names
            .iter()
            .enumerate()
            .map(|(position, name)| Target {
                cluster: ClusterName::from(name.as_str()),
                replicas: by_cluster
                    .get(name.as_str())
                    .or_else(|| by_position.get(position))
                    .copied(),
            })
            .collect(),
    ))
}

/// All locations together, so that no sum of them overflows.
fn check_total(targets: &Targets, replicas: u32) -> Result<(), Invalid> {
    let total: u64 = match targets {
        Targets::Given(targets) => (targets.iter())
            .map(|one| u64::from(one.replicas.unwrap_or(replicas)))
            .sum(),
        Targets::Chosen { .. } => u64::from(replicas),
    };
    if total > MAX_TOTAL {
        return Err(Invalid(format!(
            "the locations have {total} replicas together: write at most {MAX_TOTAL}"
        )));
    }
    Ok(())
}

/// Why some cluster's template cannot be made, or requests what no member can give.
pub fn problem_of_overrides(
    template: &Value,
    overrides: &[api::ClusterOverride],
    namespace: &str,
) -> Option<String> {
    let mut budget = overrides::Budget::default();
    let clusters: BTreeSet<&str> = overrides.iter().map(|one| one.cluster.as_str()).collect();
    clusters.into_iter().find_map(|cluster| {
        let patched = overrides::apply(template, overrides, cluster, &mut budget);
        let shaped = patched.and_then(|patched| {
            shape_of_template(&patched, namespace)
                .map_err(|error| format!("overrides for {cluster}: {error}"))
        });
        shaped.err()
    })
}

/// A DNS label, as the names of `MemberCluster`s are.
pub fn is_cluster_name(name: &str) -> bool {
    let inner = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(inner)
        && !name.starts_with('-')
        && !name.ends_with('-')
}

fn requirements(selector: &LabelSelector) -> Result<Vec<Requirement>, Invalid> {
    let mut all: Vec<Requirement> = selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| Requirement {
            key: key.clone(),
            operator: Operator::In,
            values: vec![value.clone()],
        })
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let operator = match expression.operator.as_str() {
            "In" => Operator::In,
            "NotIn" => Operator::NotIn,
            "Exists" => Operator::Exists,
            "DoesNotExist" => Operator::DoesNotExist,
            other => {
                return Err(Invalid(format!(
                    "clusterSelector: operator {other:?} is unknown: use In, NotIn, Exists or DoesNotExist"
                )));
            }
        };
        all.push(Requirement {
            key: expression.key.clone(),
            operator,
            values: expression.values.clone().unwrap_or_default(),
        });
    }
    Ok(all)
}

fn toleration(spec: &k8s_openapi::api::core::v1::Toleration) -> Result<Toleration, Invalid> {
    let operator = match spec.operator.as_deref() {
        None | Some("" | "Equal") => TolerationOperator::Equal,
        Some("Exists") => TolerationOperator::Exists,
        Some(other) => {
            return Err(Invalid(format!(
                "tolerations: operator {other:?} is unknown: use Equal or Exists"
            )));
        }
    };
    let effect = match spec.effect.as_deref().filter(|effect| !effect.is_empty()) {
        None => None,
        Some(effect) => Some(federation::capacity::taint_effect(effect).ok_or_else(|| {
            Invalid(format!("tolerations: effect {effect:?} is unknown: use NoSchedule, PreferNoSchedule or NoExecute"))
        })?),
    };
    Ok(Toleration {
        key: spec.key.clone().filter(|key| !key.is_empty()),
        operator,
        value: spec.value.clone(),
        effect,
    })
}

/// `policyParameters.seed`, or the object's own uid: stable for it, different for others.
fn seed(fields: &PlacementFields, workload: &Workload) -> Result<u64, Invalid> {
    match fields.policy_parameters.get("seed") {
        Some(text) => text.parse().map_err(|_| {
            Invalid(format!(
                "policyParameters.seed {text:?} is not a whole number"
            ))
        }),
        None => Ok(uid_bits(&workload.uid) as u64),
    }
}

/// When one of these changes, clusters are chosen again; when others change, what runs stays
/// where it is.
fn decision_key(fields: &PlacementFields, shape: &PodShape) -> String {
    let chooses = json!([
        fields
            .placement_policy
            .as_deref()
            .unwrap_or(DEFAULT_POLICY)
            .replace('-', "_"),
        fields.policy_parameters,
        fields
            .locations
            .as_deref()
            .map(|text| text.split(',').map(str::trim).collect::<Vec<_>>()),
        fields.clusters,
        // The counts may change without a new choice.
        fields
            .cluster_replicas
            .iter()
            .map(|one| &one.cluster)
            .collect::<Vec<_>>(),
        fields.number_of_locations,
        fields.cluster_selector,
        fields.tolerations,
        fields.origin,
        fields.burst,
        format!("{:?}", shape.constraints),
    ]);
    short_digest(&chooses.to_string())
}

/// The first 8 bytes of the text's SHA-256, in hexadecimal.
pub fn short_digest(text: &str) -> String {
    let digest = Sha256::digest(text);
    let digest = digest.iter().take(8);
    digest.fold(String::new(), |text, byte| format!("{text}{byte:02x}"))
}

/// The selector of the workload's pods as text, for the scale subresource.
pub fn selector_text(workload: &Workload) -> Option<String> {
    let Ok(Spec::Deployment(spec)) = &workload.spec else {
        return None;
    };
    debug_assert_eq!(workload.key.kind, Kind::Deployment);
    let labels = spec
        .selector
        .match_labels
        .iter()
        .flatten()
        .map(|(key, value)| format!("{key}={value}"));
    let expressions = spec.selector.match_expressions.iter().flatten().map(|e| {
        let values = e
            .values
            .iter()
            .flatten()
            .cloned()
            .collect::<Vec<_>>()
            .join(",");
        match e.operator.as_str() {
            "In" => format!("{} in ({values})", e.key),
            "NotIn" => format!("{} notin ({values})", e.key),
            "DoesNotExist" => format!("!{}", e.key),
            _ => e.key.clone(),
        }
    });
    Some(labels.chain(expressions).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
#[path = "validate_tests.rs"]
mod tests;
