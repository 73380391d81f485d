//! What the requests of all connections may take together.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::open::{Connection, Open};

/// Requests that read, and that write, under way at a time: as kube-apiserver has them.
const READING: usize = 400;
const WRITING: usize = 200;

/// KiB of bodies that are held in memory while they are read and worked on.
const BODIES: usize = 64 * 1024;

/// KiB of answers that are made and sent, by the JSON that is stored of their objects.
const ANSWERS: usize = 128 * 1024;

/// Bytes of a body or an answer that is not counted.
const SMALL: usize = 64 * 1024;

/// How long a body or an answer waits for others.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Sort {
    /// What must go on whatever happens: health, leases, administrators; and what only waits, such
    /// as watches.
    Exempt,
    Reading,
    Writing,
}

/// There are too many requests: try again later.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooMany;

/// The limits of a server.
pub(crate) struct Limits {
    connections: Arc<Open>,
    reading: Arc<Semaphore>,
    writing: Arc<Semaphore>,
    bodies: Memory,
    answers: Memory,
}

/// Memory that is shared.
struct Memory {
    free: Arc<Semaphore>,
    kib: usize,
}

impl Memory {
    fn new(kib: usize) -> Self {
        Self {
            free: Arc::new(Semaphore::new(kib)),
            kib,
        }
    }

    /// Waits for so many bytes of it, or for all of it if they are more.
    async fn take(&self, bytes: usize) -> Result<Place, TooMany> {
        if bytes <= SMALL {
            return Ok(Place(None));
        }
        let kib = bytes.div_ceil(1024).min(self.kib);
        let kib = u32::try_from(kib).unwrap_or(u32::MAX);
        let memory = Arc::clone(&self.free).acquire_many_owned(kib);
        match tokio::time::timeout(PATIENCE, memory).await {
            Ok(Ok(memory)) => Ok(Place(Some(memory))),
            _ => Err(TooMany),
        }
    }
}

/// A place among the requests under way, or in the memory for bodies or answers.
pub(crate) struct Place(Option<OwnedSemaphorePermit>);

impl Place {
    /// It takes something.
    pub(super) fn is_counted(&self) -> bool {
        self.0.is_some()
    }
}

impl Limits {
    pub(super) fn new(most_connections: usize) -> Self {
        Self::with_answers(most_connections, ANSWERS)
    }

    /// With so many KiB for answers.
    pub(crate) fn with_answers(most_connections: usize, kib: usize) -> Self {
        Self {
            connections: Arc::new(Open::new(most_connections)),
            reading: Arc::new(Semaphore::new(READING)),
            writing: Arc::new(Semaphore::new(WRITING)),
            bodies: Memory::new(BODIES),
            answers: Memory::new(kib),
        }
    }

    /// Lets a connection in, if need be in place of the one that has been idle longest.
    pub(super) fn connect(&self) -> Result<Connection, TooMany> {
        self.connections.enter().ok_or(TooMany)
    }

    /// Connections that are open.
    pub(crate) fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Requests under way: those that read, and those that write.
    pub(crate) fn under_way(&self) -> (usize, usize) {
        (
            READING - self.reading.available_permits(),
            WRITING - self.writing.available_permits(),
        )
    }

    /// Lets a request in.
    pub(crate) fn enter(&self, sort: Sort) -> Result<Place, TooMany> {
        let places = match sort {
            Sort::Exempt => return Ok(Place(None)),
            Sort::Reading => &self.reading,
            Sort::Writing => &self.writing,
        };
        let place = Arc::clone(places).try_acquire_owned();
        place.map(|place| Place(Some(place))).map_err(|_| TooMany)
    }

    /// Waits for memory for a body of at most so many bytes.
    pub(crate) async fn body(&self, bytes: usize) -> Result<Place, TooMany> {
        self.bodies.take(bytes).await
    }

    /// Waits for memory for an answer with so many bytes of objects. One that is larger than all
    /// of it has to be alone.
    pub(crate) async fn answer(&self, bytes: usize) -> Result<Place, TooMany> {
        self.answers.take(bytes).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_must_go_on_goes_on() {
        let limits = Limits::new(1);
        let all: Result<Vec<_>, _> = (0..WRITING).map(|_| limits.enter(Sort::Writing)).collect();
        let all = all.unwrap();
        assert!(limits.enter(Sort::Writing).is_err());
        assert!(limits.enter(Sort::Reading).is_ok());
        assert!(limits.enter(Sort::Exempt).is_ok());
        drop(all);
        assert!(limits.enter(Sort::Writing).is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn bodies_wait_for_memory() {
        let limits = Limits::new(1);
        let most = 3 * 1024 * 1024;
        let mut held = Vec::new();
        while let Ok(place) = limits.body(most).await {
            held.push(place);
        }
        assert_eq!(held.len(), BODIES * 1024 / most);
        assert!(limits.body(SMALL).await.is_ok());
        held.pop();
        assert!(limits.body(most).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn answers_are_bounded_together_and_each_alone_passes() {
        let limits = Limits::with_answers(1, 1024);
        let large = limits.answer(usize::MAX).await.unwrap();
        assert_eq!(limits.answer(SMALL + 1).await.err(), Some(TooMany));
        assert!(limits.answer(SMALL).await.is_ok());
        drop(large);
        let half = limits.answer(600 * 1024).await.unwrap();
        assert!(limits.answer(400 * 1024).await.is_ok());
        assert_eq!(limits.answer(600 * 1024).await.err(), Some(TooMany));
        drop(half);
        assert!(limits.answer(600 * 1024).await.is_ok());
    }
}
