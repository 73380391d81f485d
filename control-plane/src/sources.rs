//! Where time and randomness come from. Nothing else in the crate asks for them, so that a run in
//! virtual time can be repeated.

use std::fmt::Write;
use std::sync::Arc;

use jiff::Timestamp;

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Timestamp + Send + Sync>;

/// Gives 64 random bits.
pub type Randomness = Arc<dyn Fn() -> u64 + Send + Sync>;

/// Time and randomness.
#[derive(Clone)]
pub struct Sources {
    /// The time that objects are stamped with.
    pub clock: Clock,
    /// What uids and generated names are made of.
    pub randomness: Randomness,
}

impl Default for Sources {
    /// The wall clock and the operating system's randomness.
    fn default() -> Self {
        Self {
            clock: Arc::new(Timestamp::now),
            randomness: Arc::new(|| {
                let mut bytes = [0; 8];
                // What is guessed is no secret: rather nothing runs than with keys of the time.
                if let Err(error) = getrandom::fill(&mut bytes) {
                    eprintln!("the operating system gives no randomness ({error}): ended");
                    std::process::abort();
                }
                u64::from_le_bytes(bytes)
            }),
        }
    }
}

/// The letters of generated names: no vowels, so that they spell nothing.
const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";

impl Sources {
    /// The time now.
    pub(crate) fn now(&self) -> Timestamp {
        (self.clock)()
    }

    /// The time now as `metav1.Time` has it: whole seconds.
    pub(crate) fn now_text(&self) -> String {
        seconds(self.now())
    }

    /// A new uid: a random UUID.
    pub(crate) fn uid(&self) -> String {
        let high = ((self.randomness)() & !0xf000) | 0x4000;
        let low = ((self.randomness)() & !(0b11 << 62)) | (0b10 << 62);
        let mut text = String::with_capacity(36);
        // Writing to a text does not fail.
        let _ = write!(
            text,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xffff,
            low >> 48,
            low & 0xffff_ffff_ffff
        );
        text
    }

    /// Five letters that make a name unique.
    pub(crate) fn suffix(&self) -> String {
        let mut bits = (self.randomness)();
        let mut letter = || {
            let index = (bits % LETTERS.len() as u64) as usize;
            bits /= LETTERS.len() as u64;
            char::from(LETTERS.get(index).copied().unwrap_or(b'x'))
        };
        (0..5).map(|_| letter()).collect()
    }
}

/// A time as `metav1.Time` has it.
pub(crate) fn seconds(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uids_are_random_uuids() {
        let sources = Sources {
            randomness: Arc::new(|| u64::MAX),
            ..Sources::default()
        };
        assert_eq!(sources.uid(), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(sources.suffix().len(), 5);
    }
}
