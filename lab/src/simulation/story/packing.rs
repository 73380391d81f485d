//! Whether pods could run together on nodes, however they are spread: exact, for the few that a story has.

use std::collections::BTreeSet;

/// Whether pods that ask for so much each can be spread over nodes that have so much each.
pub(super) fn fit_together(mut pods: Vec<i128>, nodes: Vec<i128>) -> bool {
    // The largest first: it has the fewest places.
    pods.sort_unstable_by(|a, b| b.cmp(a));
    let mut dead_ends = BTreeSet::new();
    spread(&pods, nodes, &mut dead_ends)
}

/// Whether the pods fit into what is free; all that was found not to lead there is a dead end.
fn spread(
    pods: &[i128],
    mut free: Vec<i128>,
    dead_ends: &mut BTreeSet<(usize, Vec<i128>)>,
) -> bool {
    let (Some((largest, others)), Some(smallest)) = (pods.split_first(), pods.last()) else {
        return true;
    };
    // Too little for the smallest pod is nothing. Nodes with as much free are alike.
    free.retain(|free| free >= smallest);
    free.sort_unstable();
    let here = (pods.len(), free);
    if here.1.iter().sum::<i128>() < pods.iter().sum() || dead_ends.contains(&here) {
        return false;
    }
    let mut tried = None;
    for (index, node) in here.1.iter().enumerate() {
        if node < largest || tried.replace(*node) == Some(*node) {
            continue;
        }
        let mut after = here.1.clone();
        if let Some(free) = after.get_mut(index) {
            *free -= largest;
        }
        if spread(others, after, dead_ends) {
            return true;
        }
    }
    dead_ends.insert(here);
    false
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_sum_is_not_enough() {
        assert!(fit_together(vec![], vec![]));
        assert!(!fit_together(vec![1], vec![]));
        assert!(!fit_together(vec![3, 3, 2], vec![4, 4]));
        // The largest into the fullest alone would not find it.
        assert!(fit_together(vec![4, 3, 3, 2, 2, 2], vec![8, 8]));
        assert!(!fit_together(vec![5, 5, 4], vec![8, 7]));
    }

    /// Every way to spread them, one by one.
    fn any_way(pods: &[i128], free: &mut [i128]) -> bool {
        let Some((first, others)) = pods.split_first() else {
            return true;
        };
        (0..free.len()).any(|node| {
            free[node] -= first;
            let fits = free[node] >= 0 && any_way(others, free);
            free[node] += first;
            fits
        })
    }

    proptest! {
        #[test]
        fn it_finds_a_way_if_there_is_one(
            pods in proptest::collection::vec(0..7_i128, 0..8),
            mut nodes in proptest::collection::vec(0..17_i128, 0..4),
        ) {
            prop_assert_eq!(fit_together(pods.clone(), nodes.clone()), any_way(&pods, &mut nodes));
        }
    }
}
