//! Which Events are worth writing, decided as client-go's `EventCorrelator` does:
//!
//! - What happens again is counted in the Event that is there.
//! - What differs in the message only is combined into one Event once ten such messages have come,
//!   until none has come for ten minutes.
//! - Of each source, an object has 25 Events, and one more every five minutes; others are dropped.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

/// Messages that are told apart, of Events that are otherwise the same.
const SIMILAR: usize = 10;
/// How long Events are counted and combined.
const INTERVAL: SignedDuration = SignedDuration::from_mins(10);
/// Events of an object that are written at once.
const BURST: u32 = 25;
/// The time in which an object may have one more.
const REFILL: SignedDuration = SignedDuration::from_mins(5);
/// How many of each are remembered: the ones used last.
const CAPACITY: usize = 4096;

const COMBINED: &str = "(combined from similar events)";

/// Who says something about which object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// The component that says it.
    pub source: String,
    /// The object's kind.
    pub kind: String,
    /// Its namespace, or empty.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
}

/// Events with the same key are one Event, which is counted.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct EventKey {
    /// Who says it about what.
    pub subject: Subject,
    /// `Normal` or `Warning`.
    pub event_type: String,
    /// One word in `CamelCase`.
    pub reason: String,
    /// What it says.
    pub message: String,
}

/// How an Event is to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Correlated {
    /// What it is counted under.
    pub key: EventKey,
    /// The message that it gets.
    pub message: String,
}

/// An Event that was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Written {
    /// Its name.
    pub name: String,
    /// How often it has happened.
    pub count: i32,
    /// When it happened last.
    pub last: Timestamp,
}

/// Remembers what was written of late.
#[derive(Default)]
pub struct Correlator {
    messages: Recent<EventKey, Messages>,
    budgets: Recent<Subject, Budget>,
    written: Recent<EventKey, Written>,
}

/// The different messages of Events that are otherwise the same.
struct Messages {
    seen: BTreeSet<String>,
    last: Timestamp,
}

/// How many Events an object may have.
struct Budget {
    left: u32,
    /// When the latest one was added.
    refilled: Timestamp,
}

impl Correlator {
    /// What to write for something that has happened; nothing if its object has too many Events.
    pub fn correlate(&mut self, key: EventKey, now: Timestamp) -> Option<Correlated> {
        let correlated = self.combine(key, now);
        self.spend(&correlated.key.subject, now)
            .then_some(correlated)
    }

    /// The Event that counts what has this key, if that was written within ten minutes.
    pub fn written(&self, key: &EventKey, now: Timestamp) -> Option<&Written> {
        let written = self.written.get(key)?;
        (now.duration_since(written.last) <= INTERVAL).then_some(written)
    }

    /// An Event was written.
    pub fn record(&mut self, key: EventKey, written: Written) {
        self.written.insert(key, written);
    }

    fn combine(&mut self, key: EventKey, now: Timestamp) -> Correlated {
        let group = EventKey {
            message: COMBINED.to_owned(),
            ..key.clone()
        };
        let recent = self.messages.take(&group);
        let recent = recent.filter(|messages| now.duration_since(messages.last) <= INTERVAL);
        let mut seen = recent.map(|messages| messages.seen).unwrap_or_default();
        seen.insert(key.message.clone());
        let are_many = seen.len() >= SIMILAR;
        if are_many {
            seen.pop_first();
        }
        self.messages
            .insert(group.clone(), Messages { seen, last: now });
        if !are_many {
            let message = key.message.clone();
            return Correlated { key, message };
        }
        Correlated {
            message: format!("{COMBINED}: {}", key.message),
            key: group,
        }
    }

    /// Takes one Event from the budget of an object. False if there is none.
    fn spend(&mut self, subject: &Subject, now: Timestamp) -> bool {
        let budget = self.budgets.take(subject);
        let mut budget = budget.unwrap_or(Budget {
            left: BURST,
            refilled: now,
        });
        while budget.left < BURST && now.duration_since(budget.refilled) >= REFILL {
            budget.left += 1;
            budget.refilled += REFILL;
        }
        if budget.left == BURST {
            budget.refilled = now;
        }
        let is_left = budget.left > 0;
        budget.left = budget.left.saturating_sub(1);
        self.budgets.insert(subject.clone(), budget);
        is_left
    }
}

/// A map of what was used last.
struct Recent<K, V> {
    entries: BTreeMap<K, (u64, V)>,
    /// By when they were used.
    used: BTreeMap<u64, K>,
    uses: u64,
}

impl<K, V> Default for Recent<K, V> {
    fn default() -> Self {
        Self {
            entries: BTreeMap::new(),
            used: BTreeMap::new(),
            uses: 0,
        }
    }
}

impl<K: Ord + Clone, V> Recent<K, V> {
    fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key).map(|(_, value)| value)
    }

    fn take(&mut self, key: &K) -> Option<V> {
        let (used, value) = self.entries.remove(key)?;
        self.used.remove(&used);
        Some(value)
    }

    fn insert(&mut self, key: K, value: V) {
        self.take(&key);
        self.uses += 1;
        self.used.insert(self.uses, key.clone());
        self.entries.insert(key, (self.uses, value));
        if self.entries.len() > CAPACITY
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.entries.remove(&oldest);
        }
    }
}

#[cfg(test)]
#[path = "correlator_tests.rs"]
mod tests;
