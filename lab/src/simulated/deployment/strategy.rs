//! What a Deployment's spec wants of its rollouts.

use k8s_openapi::api::apps::v1::DeploymentSpec;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::rollout::{Limit, Strategy, Wanted, fenceposts};

/// What a Deployment wants.
pub(super) fn wanted(spec: &DeploymentSpec) -> Wanted {
    let replicas = spec.replicas.unwrap_or(1);
    let strategy = spec.strategy.as_ref();
    if strategy.and_then(|strategy| strategy.type_.as_deref()) == Some("Recreate") {
        let strategy = Strategy::Recreate;
        return Wanted { replicas, strategy };
    }
    let rolling = strategy.and_then(|strategy| strategy.rolling_update.as_ref());
    let surge = limit(rolling.and_then(|rolling| rolling.max_surge.as_ref()));
    let unavailable = limit(rolling.and_then(|rolling| rolling.max_unavailable.as_ref()));
    let (surge, unavailable) = fenceposts(surge, unavailable, replicas);
    let strategy = Strategy::RollingUpdate { surge, unavailable };
    Wanted { replicas, strategy }
}

/// A number or a percentage; a quarter if it does not say, as the API server has it.
fn limit(value: Option<&IntOrString>) -> Limit {
    match value {
        Some(IntOrString::Int(number)) => Limit::Number(*number),
        Some(IntOrString::String(text)) => {
            let percent = text.strip_suffix('%').and_then(|text| text.parse().ok());
            Limit::Percent(percent.unwrap_or(0))
        }
        None => Limit::Percent(25),
    }
}
