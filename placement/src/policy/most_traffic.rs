//! `most_traffic`: the cluster that receives the most network traffic first, so that replicas are
//! where the requests are. The original's default.

use super::{Candidate, Missing, Policy, Score, each, plain};
use crate::request::Inputs;

pub(super) struct MostTraffic;

impl Policy for MostTraffic {
    fn name(&self) -> &'static str {
        "most_traffic"
    }

    fn score(
        &self,
        candidates: &[Candidate<'_>],
        inputs: &Inputs<'_>,
    ) -> Result<Vec<Score>, Missing> {
        let traffic = inputs.traffic.ok_or(Missing("traffic"))?;
        Ok(each(candidates, |one| {
            // A cluster without a sample receives nothing, as far as is known.
            let bytes = traffic
                .get(&one.cluster.name)
                .copied()
                .filter(|bytes| bytes.is_finite())
                .unwrap_or(0.0);
            plain("bytes/s", bytes, bytes)
        }))
    }
}
