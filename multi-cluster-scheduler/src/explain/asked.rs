//! What an object asks for, as a person would say it.

use federation::capacity::quantities_of;
use placement::{Overflow, ReplicaScheduling, Requirement, Target, Targets};

use crate::validate::{Invalid, Validated, validate};
use crate::workload::Workload;

/// Lines of a name and a value.
pub(super) fn by(workload: &Workload) -> Vec<(&'static str, String)> {
    match validate(workload) {
        Ok(validated) => of(&validated),
        Err(Invalid(problem)) => vec![("invalid", problem)],
    }
}

fn of(validated: &Validated) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        ("policy", policy(validated)),
        ("locations", locations(&validated.targets)),
        ("replicas", replicas(validated)),
        ("overflow", overflow(validated.overflow).to_owned()),
        ("requests", requests(validated)),
    ];
    let labels = &validated.eligibility.labels;
    if !labels.is_empty() {
        let labels: Vec<_> = labels.iter().map(Requirement::describe).collect();
        lines.push(("only on", format!("clusters with {}", labels.join(", "))));
    }
    if let Some(origin) = &validated.origin {
        lines.push(("origin", origin.clone()));
    }
    if !validated.eligibility.cloud {
        lines.push((
            "burst",
            "never to a cloud cluster that is not named".to_owned(),
        ));
    }
    lines
}

fn policy(validated: &Validated) -> String {
    let name = validated.policy.name();
    let parameters = validated.parameters.iter();
    let parameters: Vec<_> = parameters
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    if parameters.is_empty() {
        return name.to_owned();
    }
    format!("{name} with {}", parameters.join(", "))
}

fn locations(targets: &Targets) -> String {
    let named = |one: &Target| match one.replicas {
        Some(replicas) => format!("{} ({replicas})", one.cluster),
        None => one.cluster.to_string(),
    };
    match targets {
        Targets::Given(targets) => {
            let names: Vec<_> = targets.iter().map(named).collect();
            names.join(", ")
        }
        Targets::Chosen { count: u32::MAX } => "every cluster that may serve".to_owned(),
        Targets::Chosen { count } => format!("{count}, chosen by the policy"),
    }
}

fn replicas(validated: &Validated) -> String {
    let count = validated.replicas;
    match validated.scheduling {
        ReplicaScheduling::Total => format!("{count} in all, divided evenly"),
        ReplicaScheduling::PerLocation => format!("{count} at each location"),
    }
}

fn overflow(overflow: Overflow) -> &'static str {
    match overflow {
        Overflow::Nearest => "to the clusters nearest to the full one",
        Overflow::Policy => "to the next clusters of the ranking",
        Overflow::None => "none: what does not fit stays unplaced",
    }
}

fn requests(validated: &Validated) -> String {
    let mut amounts = quantities_of(&validated.shape.requests);
    amounts.retain(|_, amount| amount.0 != "0");
    let amounts = amounts
        .iter()
        .map(|(name, amount)| format!("{name} {}", amount.0));
    let amounts: Vec<_> = amounts.collect();
    if amounts.is_empty() {
        return "nothing".to_owned();
    }
    format!("{} for each replica", amounts.join(", "))
}
