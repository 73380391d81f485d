//! One answer for all who ask the same in a round of evaluations.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::Shared as SharedFuture;
use tokio::time::Instant;

use super::{Asked, MetricSource, Question};

/// Hands on answers that are new enough; asks for the others.
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

    /// The answer to a question that was asked then, or later.
    pub fn read(&self, question: &Question, since: Instant) -> SharedFuture<Asked> {
        let now = Instant::now();
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, answer)) = asked.get(question)
            && *at >= since
        {
            return answer.clone();
        }
        asked.retain(|_, (at, _)| now.duration_since(*at) <= FORGOTTEN);
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
        let round = Instant::now();
        let one = Question::Query("up".to_owned());
        let other = Question::Query("down".to_owned());
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
