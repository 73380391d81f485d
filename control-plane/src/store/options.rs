//! How much a store remembers, and how it is.

/// How much a store remembers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// Events that are kept, over all resources. Watches and continued lists reach back this far;
    /// a resource that others have pushed out entirely can still be watched from its last event.
    pub history: usize,
    /// Bytes of JSON of the objects, before and after, of the events that are kept.
    pub history_bytes: usize,
    /// Events that may wait for a watch's reader. One more, and the watch expires.
    pub backlog: usize,
    /// Bytes of JSON of the objects, before and after, of the events that may wait for a watch's
    /// reader.
    pub backlog_bytes: usize,
    /// Bytes of JSON up to which all objects may stay parsed. If there are more, those are kept
    /// as JSON only whose content nobody reads.
    pub parsed_bytes: usize,
    /// A store in memory lets others run before and after each write, where a durable one waits
    /// for its thread and its disk: so that a simulation has the await points of the real one.
    pub yields: bool,
}

impl Default for Options {
    /// 10,000 events and 64 MiB of each of history and backlog; 4 MiB parsed; no waiting in memory.
    fn default() -> Self {
        Self {
            history: 10_000,
            history_bytes: 64 << 20,
            backlog: 10_000,
            backlog_bytes: 64 << 20,
            parsed_bytes: 4 << 20,
            yields: false,
        }
    }
}

/// Whether a store can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It can.
    Good,
    /// The disk is full or fails.
    Failing,
    /// What writes it has ended.
    Ended,
}
