//! What can happen in a story, and how often.

use crate::simulated::Random;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// A deployment is written, as it was not before.
    Write,
    /// Its replicas are changed.
    Scale,
    /// It shall run elsewhere: another policy, other clusters.
    Move,
    /// An object is deleted.
    Delete,
    /// A job is made.
    WriteJob,
    /// A service is written.
    WriteService,
    /// A namespace is deleted with all that is in it.
    DeleteNamespace,
    /// A member takes nothing new, or does again.
    Cordon,
    /// A member gets nodes.
    AddNodes,
    /// A member loses a node for good.
    RemoveNode,
    /// A node fails, or is back.
    LoseNode,
    /// A member cannot be reached, or can again.
    Cut,
    /// One copy of the scheduler cannot reach the hub or a member, or can again.
    Partition,
    /// The way to the hub or to a member becomes slow or lossy, or good again.
    Slow,
    /// A member leaves the federation, or joins it again.
    Membership,
    /// Somebody changes our deployment on a member.
    ByHand,
    /// A deployment is written that has the name of somebody else's on a member.
    WriteForeign,
    /// A copy of the scheduler dies at one of its next await points.
    Kill,
}

/// How often what people do happens.
const CALM: [(Step, usize); 9] = [
    (Step::Write, 8),
    (Step::Scale, 4),
    (Step::Move, 6),
    (Step::Delete, 4),
    (Step::WriteJob, 3),
    (Step::WriteService, 3),
    (Step::DeleteNamespace, 1),
    (Step::Cordon, 2),
    (Step::AddNodes, 1),
];

/// And how often something fails.
const ROUGH: [(Step, usize); 9] = [
    (Step::RemoveNode, 1),
    (Step::LoseNode, 3),
    (Step::Cut, 5),
    (Step::Partition, 3),
    (Step::Slow, 2),
    (Step::Membership, 2),
    (Step::ByHand, 3),
    (Step::WriteForeign, 2),
    (Step::Kill, 6),
];

impl Step {
    /// What happens next; in a calm world nothing fails.
    pub(super) fn draw(random: &mut Random, calm: bool) -> Self {
        let rough: &[(Self, usize)] = if calm { &[] } else { &ROUGH };
        let all = || CALM.iter().chain(rough);
        let mut number = random.below(all().map(|(_, weight)| weight).sum());
        for (step, weight) in all() {
            match number.checked_sub(*weight) {
                Some(less) => number = less,
                None => return *step,
            }
        }
        Self::Write
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_happens_and_nothing_fails_in_a_calm_world() {
        let mut random = Random::new(1, "step");
        let mut draws =
            |calm| -> Vec<Step> { (0..2000).map(|_| Step::draw(&mut random, calm)).collect() };
        let (calm, rough) = (draws(true), draws(false));
        for (step, _) in CALM {
            assert!(calm.contains(&step) && rough.contains(&step), "{step:?}");
        }
        for (step, _) in ROUGH {
            assert!(!calm.contains(&step) && rough.contains(&step), "{step:?}");
        }
    }
}
