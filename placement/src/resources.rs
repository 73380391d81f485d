//! Amounts of resources.

use std::collections::BTreeMap;

/// Amounts of resources: what a replica requests, what a node has.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resources {
    /// CPU in thousandths of a core.
    pub cpu_milli: i64,
    /// Memory in bytes.
    pub memory: i64,
    /// Ephemeral storage in bytes.
    pub ephemeral_storage: i64,
    /// Pods. A replica's request has 0 here and counts as 1.
    pub pods: i64,
    /// Extended resources by name, in pieces.
    pub extended: BTreeMap<String, i64>,
}

impl Resources {
    /// The sum, amount by amount.
    #[must_use]
    pub fn saturating_add(&self, other: &Self) -> Self {
        self.pairwise(other, i64::saturating_add)
    }

    /// The difference, amount by amount; it may be negative.
    #[must_use]
    pub fn saturating_sub(&self, other: &Self) -> Self {
        self.pairwise(other, i64::saturating_sub)
    }

    /// The larger of each amount.
    #[must_use]
    pub fn pairwise_max(&self, other: &Self) -> Self {
        self.pairwise(other, Ord::max)
    }

    /// Whether any amount is more than nothing.
    pub(crate) fn has_any(&self) -> bool {
        [
            self.cpu_milli,
            self.memory,
            self.ephemeral_storage,
            self.pods,
        ]
        .iter()
        .chain(self.extended.values())
        .any(|amount| *amount > 0)
    }

    fn pairwise(&self, other: &Self, combine: impl Fn(i64, i64) -> i64) -> Self {
        let amount = |of: &Self, name: &String| of.extended.get(name).copied().unwrap_or(0);
        let names = self.extended.keys().chain(other.extended.keys());
        let extended = names
            .map(|name| {
                (
                    name.clone(),
                    combine(amount(self, name), amount(other, name)),
                )
            })
            .collect();
        Self {
            cpu_milli: combine(self.cpu_milli, other.cpu_milli),
            memory: combine(self.memory, other.memory),
            ephemeral_storage: combine(self.ephemeral_storage, other.ephemeral_storage),
            pods: combine(self.pods, other.pods),
            extended,
        }
    }
}
