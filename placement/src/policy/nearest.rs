//! `nearest`: the cluster with the shortest round-trip time to where the users are first.

use super::{Candidate, Missing, Policy, Verdict, each, plain};
use crate::name::ClusterName;
use crate::request::Inputs;

pub(super) struct Nearest;

impl Policy for Nearest {
    fn name(&self) -> &'static str {
        "nearest"
    }

    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Verdict>, Missing> {
        let origin = inputs.origin.ok_or(Missing("origin"))?;
        // A region stands for its clusters; anything else is taken for a cluster's name.
        let within = |one: &Candidate<'_>| one.cluster.region.as_deref() == Some(origin);
        let region: Vec<&ClusterName> = candidates
            .iter()
            .filter(|one| within(one))
            .map(|one| &one.cluster.name)
            .collect();
        let named = ClusterName::from(origin);
        let origins = if region.is_empty() {
            vec![&named]
        } else {
            region
        };
        let millis = |one: &Candidate<'_>| {
            let times = origins.iter().filter_map(|origin| match inputs.proximity {
                Some(proximity) => proximity.rtt(origin, &one.cluster.name),
                None => (**origin == one.cluster.name).then_some(std::time::Duration::ZERO),
            });
            times.min().map(|time| time.as_secs_f64() * 1000.0)
        };
        if inputs.proximity.is_none() || candidates.iter().all(|one| millis(one).is_none()) {
            return Err(Missing("round-trip times"));
        }
        Ok(each(candidates, |one| match millis(one) {
            Some(millis) => plain("ms to origin", millis, -millis),
            // Behind all whose distance is known.
            None => Verdict::Score {
                score: f64::NEG_INFINITY,
                parts: Vec::new(),
            },
        }))
    }
}
