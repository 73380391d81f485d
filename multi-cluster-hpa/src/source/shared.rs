//! One result for all evaluations of a round that need the same.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared as SharedFuture;
use tokio::time::Instant;

use super::{MetricSource, Query, QueryFuture};

/// Shares results that are new enough, and queries the others.
pub struct Shared<S> {
    source: S,
    queried: Mutex<BTreeMap<Query, (Instant, SharedFuture<QueryFuture>)>>,
}

impl<S: MetricSource> Shared<S> {
    /// Nothing is queried yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            queried: Mutex::default(),
        }
    }

    /// The result of a query that was made then, or later.
    pub fn read(&self, query: &Query, since: Instant) -> SharedFuture<QueryFuture> {
        let now = Instant::now();
        let mut queried = self.queried.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, result)) = queried.get(query)
            && *at >= since
        {
            return result.clone();
        }
        queried.retain(|_, (at, _)| now.duration_since(*at) <= FORGOTTEN);
        let result = self.source.read(query).shared();
        queried.insert(query.clone(), (now, result.clone()));
        result
    }
}

/// Results that are not needed again are dropped after this long.
const FORGOTTEN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::source::QueryResult;

    /// Answers after a second, and counts.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl MetricSource for Slow {
        fn read(&self, _: &Query) -> QueryFuture {
            self.0.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Arc::new(QueryResult::Vector(Vec::new())))
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_same_query_is_made_once() {
        let slow = Slow::default();
        let shared = Shared::new(slow.clone());
        let round = Instant::now();
        let one = Query::PromQl("up".to_owned());
        let other = Query::PromQl("down".to_owned());
        let all = (0..1000).map(|_| shared.read(&one, round));
        assert_eq!(futures::future::join_all(all).await.len(), 1000);
        assert_eq!(slow.0.load(Ordering::Relaxed), 1);
        shared.read(&other, round).await.unwrap();
        assert_eq!(slow.0.load(Ordering::Relaxed), 2);
        // Whoever is late in the round has it, too.
        tokio::time::sleep(Duration::from_secs(10)).await;
        shared.read(&one, round).await.unwrap();
        assert_eq!(slow.0.load(Ordering::Relaxed), 2);
        let next = Instant::now();
        shared.read(&one, next).await.unwrap();
        assert_eq!(slow.0.load(Ordering::Relaxed), 3);
    }
}
