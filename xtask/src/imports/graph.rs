//! Circles in a graph.

use std::collections::{BTreeMap, BTreeSet};

/// Files and what each imports: the other file, and a name in it.
pub(super) type Imports = BTreeMap<String, BTreeSet<(String, String)>>;

/// The largest sets of files of which each imports, over others, every other one.
pub(super) fn circles(imports: &Imports) -> Vec<BTreeSet<String>> {
    let reached: BTreeMap<&str, BTreeSet<&str>> = imports
        .keys()
        .map(|file| (file.as_str(), reached(imports, file)))
        .collect();
    let mut circles = BTreeSet::new();
    for (file, others) in &reached {
        let is_mutual =
            |other: &&&str| reached.get(**other).is_some_and(|back| back.contains(file));
        let circle = others.iter().filter(is_mutual);
        let circle: BTreeSet<String> = circle.map(|&other| other.to_owned()).collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// What a file imports, over any number of others.
fn reached<'a>(imports: &'a Imports, file: &'a str) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        for (other, _) in imports.get(file).into_iter().flatten() {
            if reached.insert(other.as_str()) {
                waiting.push(other);
            }
        }
    }
    reached
}
