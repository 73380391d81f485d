//! Labels of a cluster's nodes by column: for each key, each node's value as a small number. A
//! requirement is looked up once for each distinct value and then compared along the column.
//! (Classes of equal label sets would not do: every node has a host name of its own.)

use std::collections::BTreeMap;

use super::column::{ABSENT, Values};
use super::interned::Interned;
use crate::shape::Requirement;

#[derive(Clone, Default)]
pub(super) struct Labels {
    columns: BTreeMap<String, Column>,
}

/// The values of one label: each node's by number.
#[derive(Clone, Default)]
struct Column {
    values: Values,
    texts: Interned<String>,
}

impl Labels {
    /// Sets all labels of a node.
    pub(super) fn set(&mut self, node: usize, labels: &BTreeMap<String, String>) {
        self.columns.retain(|key, column| {
            if !labels.contains_key(key) {
                column.put(node, None);
            }
            !column.texts.is_empty()
        });
        for (key, value) in labels {
            if !self.columns.contains_key(key) {
                self.columns.insert(key.clone(), Column::default());
            }
            if let Some(column) = self.columns.get_mut(key) {
                column.put(node, Some(value));
            }
        }
    }

    /// Whether a node has just these labels.
    pub(super) fn are(&self, node: usize, labels: &BTreeMap<String, String>) -> bool {
        self.columns.iter().all(|(key, column)| {
            let has = column.texts.get(column.values.at(node));
            has.map(|text| text.as_str()) == labels.get(key).map(String::as_str)
        }) && labels.keys().all(|key| self.columns.contains_key(key))
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The value of a node's label.
    pub(super) fn get(&self, node: usize, key: &str) -> Option<&str> {
        let column = self.columns.get(key)?;
        let text = column.texts.get(column.values.at(node))?;
        Some(text.as_str())
    }

    /// The number of a node's value of each label, [`ABSENT`] without.
    pub(super) fn numbers(&self, key: &str, nodes: usize) -> Vec<u32> {
        match self.columns.get(key) {
            Some(column) => (0..nodes).map(|node| column.values.at(node)).collect(),
            None => vec![ABSENT; nodes],
        }
    }

    /// Clears the mask of the nodes that do not meet the requirement.
    pub(super) fn restrict(&self, requirement: &Requirement, mask: &mut [u8]) {
        let Some(column) = self.columns.get(&requirement.key) else {
            if !requirement.holds(None) {
                mask.fill(0);
            }
            return;
        };
        let mut holding: Vec<u32> = column
            .texts
            .iter()
            .filter(|(_, text)| requirement.holds(Some(text)))
            .map(|(number, _)| number)
            .collect();
        if requirement.holds(None) {
            holding.push(ABSENT);
        }
        let largest = column.texts.end() as usize;
        column.values.keep(mask, &holding, largest);
    }
}

impl Column {
    fn put(&mut self, node: usize, value: Option<&String>) {
        let before = self.values.at(node);
        let number = value.map_or(ABSENT, |value| self.texts.hold(value.clone()));
        self.values.put(node, number);
        self.texts.release(before);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_no_node_has_leave_nothing() {
        let mut labels = Labels::default();
        for round in 0..1_000 {
            let one = ("host".to_owned(), format!("n{round}"));
            labels.set(0, &BTreeMap::from([one]));
        }
        assert_eq!(labels.get(0, "host"), Some("n999"));
        assert!(labels.columns["host"].texts.end() <= 3);
        labels.set(0, &BTreeMap::new());
        assert!(labels.columns.is_empty());
    }
}
