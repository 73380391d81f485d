//! A number of replicas over locations.

use std::collections::BTreeMap;

/// One location's claim on a number that is divided.
#[derive(Clone, Copy, Debug)]
pub(super) struct Claim {
    pub(super) weight: u64,
    /// It gets no fewer, unless there are too few for all claims' least.
    pub(super) least: u32,
    /// It gets no more. All claims together may have the number that is divided.
    pub(super) most: u32,
}

/// Divides `total` in proportion to the weights by largest remainder; ties go to the first by name.
/// None gets less than `floor`, unless `total` is too small for that: then all get the same. All
/// weights zero count as all the same.
pub fn divide(total: u32, weights: &BTreeMap<String, u64>, floor: u32) -> BTreeMap<String, u32> {
    let claim = |(name, weight): (&String, &u64)| {
        let claim = Claim {
            weight: *weight,
            least: floor,
            most: u32::MAX,
        };
        (name.clone(), claim)
    };
    divide_among(total, &weights.iter().map(claim).collect())
}

/// The same, and some keep what they have, if that leaves enough for the others.
pub(super) fn divide_around(
    total: u32,
    weights: &BTreeMap<String, u64>,
    floor: u32,
    kept: &BTreeMap<&str, u32>,
) -> BTreeMap<String, u32> {
    let claim = |(name, weight): (&String, &u64)| {
        let (weight, least, most) = match kept.get(name.as_str()) {
            Some(now) => (0, *now, *now),
            None => (*weight, floor, u32::MAX),
        };
        let claim = Claim {
            weight,
            least,
            most,
        };
        (name.clone(), claim)
    };
    let claims: BTreeMap<_, _> = weights.iter().map(claim).collect();
    let least: u64 = claims.values().map(|claim| u64::from(claim.least)).sum();
    if claims.len() > kept.len() && least <= u64::from(total) {
        divide_among(total, &claims)
    } else {
        divide(total, weights, floor)
    }
}

/// The same with limits of each one's own.
pub(super) fn divide_among(total: u32, claims: &BTreeMap<String, Claim>) -> BTreeMap<String, u32> {
    let least: u64 = claims.values().map(|claim| u64::from(claim.least)).sum();
    if least > u64::from(total) {
        let equal: Vec<_> = claims.keys().map(|name| (name, 1)).collect();
        return by_remainder(total, &equal);
    }
    let mut open: Vec<_> = claims.iter().map(|(name, claim)| (name, *claim)).collect();
    let mut left = total;
    let mut shares = BTreeMap::new();
    // Whose part is outside its limits gets the limit, and the others divide what that leaves. Those
    // on the side that is further out are first, so that no limit is left for good too early
    // (as CSS lays out flexible boxes).
    loop {
        if open.iter().all(|(_, claim)| claim.weight == 0) {
            open.iter_mut().for_each(|(_, claim)| claim.weight = 1);
        }
        let sum: u128 = open.iter().map(|(_, claim)| u128::from(claim.weight)).sum();
        let part = |claim: &Claim| u128::from(left) * u128::from(claim.weight);
        let lacks = |claim: &Claim| (u128::from(claim.least) * sum).saturating_sub(part(claim));
        let exceeds = |claim: &Claim| part(claim).saturating_sub(u128::from(claim.most) * sum);
        let lacking: u128 = open.iter().map(|(_, claim)| lacks(claim)).sum();
        let excess: u128 = open.iter().map(|(_, claim)| exceeds(claim)).sum();
        if lacking == 0 && excess == 0 {
            break;
        }
        let limit = |claim: &Claim| {
            if lacking >= excess {
                (lacks(claim) > 0).then_some(claim.least)
            } else {
                (exceeds(claim) > 0).then_some(claim.most)
            }
        };
        let mut still_open = Vec::new();
        let mut given = 0_u32;
        for (name, claim) in &open {
            if let Some(share) = limit(claim) {
                shares.insert((*name).clone(), share);
                given = given.saturating_add(share);
            } else {
                still_open.push((*name, *claim));
            }
        }
        left = left.saturating_sub(given);
        open = still_open;
    }
    let open: Vec<_> = open
        .iter()
        .map(|(name, claim)| (*name, claim.weight))
        .collect();
    shares.extend(by_remainder(left, &open));
    shares
}

/// The division that is there, if it is about as good: the same sum, and none further off its share
/// than one replica or the tolerance (a part of the share). Else the shares.
///
/// Shares move with what the metrics ask for, and that moves with the shares: within its tolerance a
/// metric asks for what is there. Without this, two clusters at the maximum would pass a replica to
/// and fro.
pub(super) fn settle(
    current: &BTreeMap<String, u32>,
    shares: BTreeMap<String, u32>,
    floor: u32,
    tolerance: f64,
) -> BTreeMap<String, u32> {
    let sum = |replicas: &BTreeMap<String, u32>| replicas.values().sum::<u32>();
    let same_sum = sum(current) == sum(&shares);
    let is_near = |(name, share): (&String, &u32)| {
        let now = current.get(name).copied().unwrap_or_default();
        let room = (tolerance * f64::from(*share)).max(1.0);
        f64::from(now.abs_diff(*share)) <= room && now >= floor.min(*share)
    };
    if same_sum && shares.iter().all(is_near) {
        current.clone()
    } else {
        shares
    }
}

/// Largest remainder (Hamilton's method).
fn by_remainder(total: u32, weights: &[(&String, u64)]) -> BTreeMap<String, u32> {
    let sum = sum(weights).max(1);
    let quota = |weight: u64| u128::from(total) * u128::from(weight);
    let mut shares: Vec<_> = weights
        .iter()
        .map(|(name, weight)| {
            let share = u32::try_from(quota(*weight) / sum).unwrap_or(total);
            (*name, share, quota(*weight) % sum)
        })
        .collect();
    let given: u32 = shares.iter().map(|(_, share, _)| share).sum();
    // The sort is stable, and the names are in order.
    shares.sort_by_key(|(_, _, remainder)| std::cmp::Reverse(*remainder));
    let rest = total.saturating_sub(given) as usize;
    for (_, share, _) in shares.iter_mut().take(rest) {
        *share += 1;
    }
    let shares = shares.into_iter();
    shares
        .map(|(name, share, _)| (name.clone(), share))
        .collect()
}

fn sum(weights: &[(&String, u64)]) -> u128 {
    weights.iter().map(|(_, weight)| u128::from(*weight)).sum()
}
