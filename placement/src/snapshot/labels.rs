//! Labels of a cluster's nodes by column: for each key, each node's value as a small number. A
//! requirement is looked up once for each distinct value and then compared along the column.
//! (Classes of equal label sets would not do: every node has a host name of its own.)

use std::collections::{BTreeMap, HashMap};

use crate::shape::Requirement;

/// No such label.
const ABSENT: u32 = 0;

#[derive(Default)]
pub(super) struct Labels {
    columns: BTreeMap<String, Column>,
}

#[derive(Default)]
struct Column {
    /// By node; shorter than the table where later nodes lack the label.
    values: Vec<u32>,
    /// The texts; number `n` is at `n - 1`.
    texts: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Labels {
    /// Sets all labels of a node.
    pub(super) fn set(&mut self, node: usize, labels: &BTreeMap<String, String>) {
        for (key, column) in &mut self.columns {
            if !labels.contains_key(key) {
                column.put(node, ABSENT);
            }
        }
        for (key, value) in labels {
            if !self.columns.contains_key(key) {
                self.columns.insert(key.clone(), Column::default());
            }
            if let Some(column) = self.columns.get_mut(key) {
                let number = column.number(value);
                column.put(node, number);
            }
        }
    }

    /// The value of a node's label.
    pub(super) fn get(&self, node: usize, key: &str) -> Option<&str> {
        let column = self.columns.get(key)?;
        let number = column.values.get(node).copied().unwrap_or(ABSENT);
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
        let absent = u8::from(requirement.holds(None));
        let (known, beyond) = mask.split_at_mut(column.values.len().min(mask.len()));
        beyond.iter_mut().for_each(|one| *one &= absent);
        let holding: Vec<u32> = (1..)
            .zip(&column.texts)
            .filter(|(_, text)| requirement.holds(Some(text)))
            .map(|(number, _)| number)
            .collect();
        match (holding.as_slice(), absent) {
            ([], 0) => known.fill(0),
            // The usual: one value. This loop runs as wide as the processor does.
            (&[number], 0) => known
                .iter_mut()
                .zip(&column.values)
                .for_each(|(one, value)| *one &= u8::from(*value == number)),
            _ => {
                let mut holds = vec![0_u8; column.texts.len() + 1];
                holds[ABSENT as usize] = absent;
                holding
                    .iter()
                    .for_each(|number| holds[*number as usize] = 1);
                known
                    .iter_mut()
                    .zip(&column.values)
                    .for_each(|(one, value)| *one &= holds[*value as usize]);
            }
        }
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

    fn put(&mut self, node: usize, number: u32) {
        if node >= self.values.len() {
            if number == ABSENT {
                return;
            }
            self.values.resize(node + 1, ABSENT);
        }
        self.values[node] = number;
    }
}
