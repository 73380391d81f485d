//! Labels of a cluster's nodes by column: for each key, each node's value as a small number. A
//! requirement is looked up once for each distinct value and then compared along the column.
//! (Classes of equal label sets would not do: every node has a host name of its own.)

use std::collections::{BTreeMap, HashMap};

use super::column::{ABSENT, Values};
use crate::shape::Requirement;

#[derive(Default)]
pub(super) struct Labels {
    columns: BTreeMap<String, Column>,
}

#[derive(Default)]
struct Column {
    values: Values,
    /// The texts; number `n` is at `n - 1`.
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Labels {
    /// Sets all labels of a node.
    pub(super) fn set(&mut self, node: usize, labels: &BTreeMap<String, String>) {
        for (key, column) in &mut self.columns {
            if !labels.contains_key(key) {
                column.values.put(node, ABSENT);
            }
        }
        for (key, value) in labels {
            if !self.columns.contains_key(key) {
                self.columns.insert(key.clone(), Column::default());
            }
            if let Some(column) = self.columns.get_mut(key) {
                let number = column.number(value);
                column.values.put(node, number);
            }
        }
    }

    /// The value of a node's label.
    pub(super) fn get(&self, node: usize, key: &str) -> Option<&str> {
        let column = self.columns.get(key)?;
        let number = column.values.at(node);
        column
            .texts
            .get((number as usize).checked_sub(1)?)
            .map(String::as_str)
    }

    /// Clears the mask of the nodes that do not meet the requirement.
    pub(super) fn restrict(&self, requirement: &Requirement, mask: &mut [u8]) {
        let Some(column) = self.columns.get(&requirement.key) else {
            if !requirement.holds(None) {
                mask.fill(0);
            }
            return;
        };
        let mut holding: Vec<u32> = (1..)
            .zip(&column.texts)
            .filter(|(_, text)| requirement.holds(Some(text)))
            .map(|(number, _)| number)
            .collect();
        if requirement.holds(None) {
            holding.push(ABSENT);
        }
        column.values.keep(mask, &holding, column.texts.len());
    }
}

impl Column {
    fn number(&mut self, text: &str) -> u32 {
        if let Some(number) = self.numbers.get(text) {
            return *number;
        }
        self.texts.push(text.to_owned());
        let number = u32::try_from(self.texts.len()).unwrap_or(u32::MAX);
        self.numbers.insert(text.to_owned(), number);
        number
    }
}
