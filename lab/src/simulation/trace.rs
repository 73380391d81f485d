//! What happened, line by line. Two runs of a seed give the same bytes.

use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::time::Instant;

/// A trace. Clones are the same one.
#[derive(Clone)]
pub struct Trace {
    start: Instant,
    text: Arc<Mutex<String>>,
}

impl Trace {
    /// An empty one that starts now.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            text: Arc::default(),
        }
    }

    /// Adds a line, after the virtual time in milliseconds.
    pub fn line(&self, line: &str) {
        let mut text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        // Writing to a text does not fail.
        let _ = writeln!(text, "{:>10} {line}", self.start.elapsed().as_millis());
    }

    /// All lines so far.
    pub fn text(&self) -> String {
        let text = self.text.lock().unwrap_or_else(PoisonError::into_inner);
        text.clone()
    }
}

impl Default for Trace {
    fn default() -> Self {
        Self::new()
    }
}
