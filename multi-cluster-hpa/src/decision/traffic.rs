//! One number, divided by where requests arrive (`distribution: Traffic`).

use std::collections::BTreeMap;

use super::divide::{Claim, divide_among, settle};
use super::pool::Failure;
use super::{Decision, LocationReport, Snapshot, Verdict, Wanted, divide};

/// Why locations do not follow their requests.
type Kept<'a> = BTreeMap<&'a str, String>;

/// Divides the number. A location whose requests are not known keeps its own, if that leaves enough
/// for the others; where nobody knows anything, all is divided as it was.
pub(super) fn spread(snapshot: &Snapshot, decision: &mut Decision) {
    let current = &snapshot.layout.wanted;
    let total = decision.desired;
    // Requests are seen where pods are: a location without one would never get any again.
    let own = snapshot.scaling.min_per_cluster;
    let is_enough = u64::from(total) >= current.len() as u64;
    let floor = if is_enough { own.max(1) } else { own };
    let (shares, kept) = if let Some((claims, kept)) = claims(snapshot, total, floor) {
        (divide_among(total, &claims), kept)
    } else {
        let weights = current
            .iter()
            .map(|(name, one)| (name.clone(), u64::from(*one)));
        let why = "nobody knows where requests arrive; divided as it was";
        let kept = current.keys().map(|name| (name.as_str(), why.to_owned()));
        (divide(total, &weights.collect(), floor), kept.collect())
    };
    let tolerance = snapshot.settings().tolerances.widest();
    let wanted = settle(current, shares, floor, tolerance);
    decision.locations = current
        .iter()
        .map(|(cluster, now)| LocationReport {
            cluster: cluster.clone(),
            pods: running(snapshot, cluster),
            current: *now,
            desired: wanted.get(cluster).copied().unwrap_or_default(),
            metrics: Vec::new(),
            verdict: (kept.get(cluster.as_str()))
                .map_or(Verdict::Followed, |why| Verdict::Kept(why.clone())),
        })
        .collect();
    if wanted != *current || snapshot.layout.has_strays {
        decision.wanted = Some(Wanted::PerCluster(wanted));
    }
}

/// What the locations get by their requests; none where nobody knows them, or too little is left by
/// those that keep what they have.
fn claims(
    snapshot: &Snapshot,
    total: u32,
    floor: u32,
) -> Option<(BTreeMap<String, Claim>, Kept<'_>)> {
    let traffic = snapshot.traffic.as_ref()?;
    let current = &snapshot.layout.wanted;
    let weights = weights(current, traffic);
    let kept: Kept<'_> = current
        .keys()
        .filter_map(|name| Some((name.as_str(), unmeasured(snapshot, traffic, name)?)))
        .collect();
    let claim = |(name, now): (&String, &u32)| {
        let weight = weights.get(name).copied().unwrap_or_default();
        let claim = if kept.contains_key(name.as_str()) {
            Claim {
                weight: 0,
                least: *now,
                most: *now,
            }
        } else {
            Claim {
                weight,
                least: floor,
                most: u32::MAX,
            }
        };
        (name.clone(), claim)
    };
    let claims: BTreeMap<String, Claim> = current.iter().map(claim).collect();
    let least: u64 = claims.values().map(|claim| u64::from(claim.least)).sum();
    let is_known = claims.values().any(|claim| claim.weight > 0);
    (is_known && least <= u64::from(total)).then_some((claims, kept))
}

/// Why it is not known what requests arrive at a location.
fn unmeasured(
    snapshot: &Snapshot,
    traffic: &BTreeMap<String, f64>,
    location: &str,
) -> Option<String> {
    let placed = snapshot.layout.placed.get(location).copied();
    if let Some(why) = snapshot.unknown.get(location)
        && placed.unwrap_or_default() > 0
    {
        return Some(Failure::unreachable(location, why).message);
    }
    let is_measured = traffic.get(location).is_some_and(|one| one.is_finite());
    let why = "nobody knows what requests arrive here";
    (!is_measured && running(snapshot, location) > 0).then(|| why.to_owned())
}

/// Traffic as integers, exact to a billionth of the largest; what is no number is none.
fn weights(
    locations: &BTreeMap<String, u32>,
    traffic: &BTreeMap<String, f64>,
) -> BTreeMap<String, u64> {
    let of = |name: &String| {
        traffic
            .get(name)
            .copied()
            .filter(|one| one.is_finite() && *one > 0.0)
    };
    let largest = locations.keys().filter_map(of).fold(0.0, f64::max);
    let part = |name: &String| of(name).map_or(0, |one| (one / largest * 1e9) as u64);
    locations
        .keys()
        .map(|name| (name.clone(), part(name)))
        .collect()
}

fn running(snapshot: &Snapshot, cluster: &str) -> u32 {
    let pods = snapshot.pods.iter();
    let pods = pods.filter(|pod| pod.key.cluster == cluster && pod.is_active());
    u32::try_from(pods.count()).unwrap_or(u32::MAX)
}
