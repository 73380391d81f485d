//! One answer for all who ask the same at about the same time.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared as SharedFuture;
use tokio::time::Instant;

use super::{Asked, MetricSource, Question};

/// Hands on answers that are fresh enough; asks for the others.
pub struct Shared<S> {
    source: S,
    asked: Mutex<BTreeMap<Question, (Instant, SharedFuture<Asked>)>>,
}

impl<S: MetricSource> Shared<S> {
    /// Nobody has asked anything yet.
    pub fn new(source: S) -> Self {
        Self {
            source,
            asked: Mutex::default(),
        }
    }

    /// The answer to a question that was asked at most so long ago.
    pub fn read(&self, question: &Question, freshness: Duration) -> SharedFuture<Asked> {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((since, answer)) = asked.get(question)
            && now.duration_since(*since) <= freshness
        {
            return answer.clone();
        }
        asked.retain(|_, (since, _)| now.duration_since(*since) <= FORGOTTEN);
        let answer = self.source.read(question).shared();
        asked.insert(question.clone(), (now, answer.clone()));
        answer
    }
}

/// Answers that nobody has asked for again are dropped after this long.
const FORGOTTEN: Duration = Duration::from_mins(1);

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::source::Answer;

    /// Answers after a second, and counts.
    #[derive(Clone, Default)]
    struct Slow(Arc<AtomicUsize>);

    impl MetricSource for Slow {
        fn read(&self, _: &Question) -> Asked {
            self.0.fetch_add(1, Ordering::Relaxed);
            async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                Ok(Arc::new(Answer::Vector(Vec::new())))
            }
            .boxed()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_asks_the_same_shares_the_answer() {
        let slow = Slow::default();
        let shared = Shared::new(slow.clone());
        let fresh = Duration::from_secs(3);
        let one = Question::Query("up".to_owned());
        let other = Question::Query("down".to_owned());
        let all = (0..1000).map(|_| shared.read(&one, fresh));
        assert_eq!(futures::future::join_all(all).await.len(), 1000);
        assert_eq!(slow.0.load(Ordering::Relaxed), 1);
        shared.read(&other, fresh).await.unwrap();
        assert_eq!(slow.0.load(Ordering::Relaxed), 2);
        tokio::time::sleep(Duration::from_secs(5)).await;
        shared.read(&one, fresh).await.unwrap();
        assert_eq!(slow.0.load(Ordering::Relaxed), 3);
    }
}
