//! Values that many share, by number. What none holds any more is forgotten, and its number used
//! again: a table is as large as what is there, however long it has been filled and emptied.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

/// Shared values. Numbers begin at 1.
#[derive(Clone)]
pub(super) struct Interned<T> {
    held: Vec<Option<Held<T>>>,
    numbers: HashMap<Arc<T>, u32>,
    free: Vec<u32>,
}

#[derive(Clone)]
struct Held<T> {
    value: Arc<T>,
    times: u32,
}

impl<T> Default for Interned<T> {
    fn default() -> Self {
        Self {
            held: vec![None],
            numbers: HashMap::new(),
            free: Vec::new(),
        }
    }
}

impl<T: Eq + Hash> Interned<T> {
    /// The number of a value, held once more.
    pub(super) fn hold(&mut self, value: T) -> u32 {
        if let Some(number) = self.numbers.get(&value) {
            if let Some(held) = &mut self.held[*number as usize] {
                held.times += 1;
            }
            return *number;
        }
        let value = Arc::new(value);
        let number = self.free.pop().unwrap_or(self.held.len() as u32);
        self.numbers.insert(value.clone(), number);
        let held = Some(Held { value, times: 1 });
        match self.held.get_mut(number as usize) {
            Some(place) => *place = held,
            None => self.held.push(held),
        }
        number
    }

    /// Held once less; whether it is forgotten.
    pub(super) fn release(&mut self, number: u32) -> bool {
        let Some(Some(held)) = self.held.get_mut(number as usize) else {
            return false;
        };
        held.times -= 1;
        if held.times > 0 {
            return false;
        }
        self.numbers.remove(&held.value);
        self.held[number as usize] = None;
        self.free.push(number);
        true
    }

    /// How many times a number is held.
    pub(super) fn times(&self, number: u32) -> u32 {
        let held = self.held.get(number as usize).and_then(Option::as_ref);
        held.map_or(0, |held| held.times)
    }

    /// The value of a number.
    pub(super) fn get(&self, number: u32) -> Option<&Arc<T>> {
        let held = self.held.get(number as usize)?.as_ref()?;
        Some(&held.value)
    }

    /// All values with their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (u32, &T)> {
        let held = (0..).zip(&self.held);
        held.filter_map(|(number, held)| Some((number, &*held.as_ref()?.value)))
    }

    /// Above every number.
    pub(super) fn end(&self) -> u32 {
        self.held.len() as u32
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_none_holds_leaves_nothing() {
        let mut texts = Interned::default();
        let kept = texts.hold("kept".to_owned());
        for round in 0..1_000 {
            let one = texts.hold(round.to_string());
            let again = texts.hold(round.to_string());
            assert_eq!(one, again);
            assert!(!texts.release(one));
            assert!(texts.get(one).is_some());
            assert!(texts.release(again));
            assert!(texts.get(one).is_none());
        }
        assert_eq!(texts.end(), 3);
        assert_eq!(
            texts.iter().collect::<Vec<_>>(),
            [(kept, &"kept".to_owned())]
        );
        assert!(texts.release(kept) && texts.is_empty());
    }
}
