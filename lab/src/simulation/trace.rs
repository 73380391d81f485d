//! What happened, line by line. Two runs of a seed give the same bytes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// A trace. Clones are the same one.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    /// None keeps nothing.
    text: Option<Arc<Mutex<String>>>,
}

impl Trace {
    /// An empty one that starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            text: Some(Arc::default()),
        }
    }

    /// One that keeps nothing, for what runs for ever.
    pub fn none() -> Self {
        Self {
            start: Instant::now(),
            text: None,
        }
    }

    /// Adds a line, after the virtual time in milliseconds.
    pub fn line(&self, line: &str) {
        let Some(text) = &self.text else { return };
        let mut text = text.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:>10} {line}", self.start.elapsed().as_millis());
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        let text = self.text.as_ref();
        let text = text.map(|text| text.lock().unwrap_or_else(PoisonError::into_inner).clone());
        text.unwrap_or_default()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
