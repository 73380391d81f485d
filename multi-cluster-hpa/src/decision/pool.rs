//! All metrics over one set of pods (`computeReplicasForMetrics`).

use super::{Kind, Metric, MetricReport, Reading, Snapshot, Target};
use crate::calculator::{self, Measured, Pod, Proposal, Settings};

/// Pods that are scaled together.
pub(super) struct Pool<'a> {
    /// The pods, and whether their samples are to be trusted.
    pub(super) pods: Vec<(&'a Pod, bool)>,
    /// Replicas that are wanted now.
    pub(super) current: u32,
    /// The cluster whose values count; none: the sum of all.
    pub(super) cluster: Option<&'a str>,
}

/// What the metrics ask for together.
pub(super) struct Proposed {
    /// What each said, in the order of the spec.
    pub(super) reports: Vec<MetricReport>,
    /// The highest number, or why there is none.
    pub(super) recommendation: Result<Recommendation, Failure>,
}

/// The highest number of all metrics.
#[derive(Clone, Debug)]
pub(super) struct Recommendation {
    pub(super) replicas: u32,
    /// The metric that asked for it.
    pub(super) metric: String,
}

/// Why no recommendation is available.
#[derive(Clone, Debug)]
pub(super) struct Failure {
    /// For the condition `ScalingActive`.
    pub(super) reason: &'static str,
    /// What is missing.
    pub(super) message: String,
}

impl<'a> Pool<'a> {
    /// All pods of the snapshot but those on clusters that do not answer and shall hold none.
    pub(super) fn whole(snapshot: &'a Snapshot, current: u32) -> Self {
        let pods = snapshot.pods.iter();
        Self {
            pods: pods.filter_map(|pod| snapshot.counted(pod)).collect(),
            current,
            cluster: None,
        }
    }

    /// Replicas that run, or will.
    pub(super) fn running(&self) -> u32 {
        let active = self.pods.iter().filter(|(pod, _)| pod.is_active());
        u32::try_from(active.count()).unwrap_or(u32::MAX)
    }

    /// What one metric asks for.
    pub(super) fn ask(&self, metric: &Metric, settings: &Settings) -> Result<Proposal, String> {
        match &metric.reading {
            Reading::Failed(why) => Err(why.clone()),
            Reading::Pods(samples) => {
                let measured = self.pods.iter().map(|&(pod, trusted)| Measured {
                    pod,
                    sample: samples.get(&pod.key).copied().filter(|_| trusted),
                });
                let measured: Vec<_> = measured.collect();
                self.ask_pods(metric, &measured, settings)
            }
            Reading::Total(milli) => self.ask_value(metric, *milli, settings),
            Reading::ByCluster(values) => {
                let milli = match self.cluster {
                    Some(cluster) => values.get(cluster).copied(),
                    None => values.values().copied().reduce(i64::saturating_add),
                };
                let milli = milli.ok_or_else(|| match self.cluster {
                    Some(cluster) => format!("there is no value for {cluster}"),
                    None => "there is no value for any cluster".to_owned(),
                })?;
                self.ask_value(metric, milli, settings)
            }
        }
    }

    fn ask_pods(
        &self,
        metric: &Metric,
        measured: &[Measured<'_>],
        settings: &Settings,
    ) -> Result<Proposal, String> {
        let (resource, container) = match &metric.kind {
            Kind::Resource { resource } => (Some(resource.as_str()), None),
            Kind::ContainerResource {
                resource,
                container,
            } => (Some(resource.as_str()), Some(container.as_str())),
            _ => (None, None),
        };
        let current = self.current;
        let proposal = match (metric.target, resource) {
            (Target::Utilization(target), Some(resource)) => {
                calculator::utilization(measured, resource, container, target, current, settings)
            }
            (Target::AverageValue(target), _) => {
                calculator::average_usage(measured, resource, target, current, settings)
            }
            _ => return Err("its target is none that values of pods can have".to_owned()),
        };
        proposal.map_err(|error| error.to_string())
    }

    fn ask_value(
        &self,
        metric: &Metric,
        milli: i64,
        settings: &Settings,
    ) -> Result<Proposal, String> {
        match metric.target {
            Target::AverageValue(target) => {
                let running = self.running();
                Ok(calculator::average_value(milli, target, running, settings))
            }
            Target::Value(target) => {
                let pods: Vec<_> = self.pods.iter().map(|(pod, _)| *pod).collect();
                calculator::value(&pods, milli, target, self.current, settings)
                    .map_err(|error| error.to_string())
            }
            Target::Utilization(_) => {
                Err("its target is a utilization, which only resources have".to_owned())
            }
        }
    }
}

/// The highest of the metrics' proposals. Where one is missing, the others may scale up and not
/// down: the missing one might ask for more.
pub(super) fn highest(
    metrics: &[Metric],
    outcomes: Vec<Result<Proposal, String>>,
    current: u32,
) -> Proposed {
    let reports: Vec<_> = metrics
        .iter()
        .zip(outcomes)
        .map(|(metric, outcome)| MetricReport {
            name: metric.kind.name(),
            outcome,
        })
        .collect();
    let mut recommendation: Option<Recommendation> = None;
    let mut failure = None;
    for (metric, report) in metrics.iter().zip(&reports) {
        match &report.outcome {
            Err(why) => {
                failure.get_or_insert_with(|| Failure {
                    reason: metric.kind.failure(),
                    message: format!("{}: {why}", report.name),
                });
            }
            Ok(proposal) => {
                if recommendation
                    .as_ref()
                    .is_none_or(|best| proposal.replicas > best.replicas)
                {
                    recommendation = Some(Recommendation {
                        replicas: proposal.replicas,
                        metric: report.name.clone(),
                    });
                }
            }
        }
    }
    let recommendation = match (recommendation, failure) {
        (Some(recommendation), None) => Ok(recommendation),
        (Some(recommendation), Some(_)) if recommendation.replicas >= current => Ok(recommendation),
        (_, Some(failure)) => Err(failure),
        (None, None) => Err(Failure {
            reason: "InvalidMetricSourceType",
            message: "there is no metric: write one into spec.metrics".to_owned(),
        }),
    };
    Proposed {
        reports,
        recommendation,
    }
}

impl Snapshot {
    /// Why there is no recommendation for a cluster on which replicas are to stay.
    pub(super) fn unreachable(&self, cluster: &str) -> Option<Failure> {
        let why = self.unknown.get(cluster)?;
        (self.layout.placed_on(cluster) > 0).then(|| Failure {
            reason: "ClusterUnreachable",
            message: format!("the pods of {cluster} are not known: {why}"),
        })
    }

    /// Why no metric of pods can ask for fewer replicas than there are: some are to run on a
    /// cluster, and they were not seen, so what they use counts nowhere.
    pub(super) fn unseen(&self) -> Option<Failure> {
        let unseen = self.unknown.keys().find(|cluster| {
            let pods = self.pods.iter().filter(|pod| pod.is_active());
            let seen = pods.filter(|pod| pod.key.cluster == **cluster);
            self.layout.placed_on(cluster) as usize > seen.count()
        });
        self.unreachable(unseen?)
    }

    /// A pod that counts, and whether its sample does. One on a cluster that does not answer counts
    /// without a sample as long as replicas are to stay there.
    pub(super) fn counted<'a>(&self, pod: &'a Pod) -> Option<(&'a Pod, bool)> {
        let cluster = &pod.key.cluster;
        if !self.unknown.contains_key(cluster) {
            return Some((pod, true));
        }
        (self.layout.placed_on(cluster) > 0).then_some((pod, false))
    }
}
