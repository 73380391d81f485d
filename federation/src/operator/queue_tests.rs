//! The queue in paused time.

use super::*;
use tokio::time::{sleep, timeout};

const SECOND: Duration = Duration::from_secs(1);

fn queue() -> WorkQueue<&'static str> {
    WorkQueue::new(Backoff {
        first: SECOND,
        longest: 10 * SECOND,
    })
}

async fn drained<K: Ord + Clone>(queue: &WorkQueue<K>) -> Vec<K> {
    let mut keys = Vec::new();
    while let Ok(Some(job)) = timeout(Duration::ZERO, queue.next()).await {
        keys.push(job.key().clone());
    }
    keys
}

#[tokio::test(start_paused = true)]
async fn high_goes_first_and_equals_in_order_and_once() {
    let queue = queue();
    for (key, priority) in [
        ("sweep-b", Priority::Low),
        ("sweep-a", Priority::Low),
        ("late", Priority::Low),
        ("web", Priority::High),
        ("db", Priority::High),
        ("web", Priority::High),
        ("late", Priority::High),
        ("db", Priority::Low),
    ] {
        queue.add(key, priority);
    }
    assert_eq!(queue.depth(), 5);
    assert_eq!(
        drained(&queue).await,
        ["web", "db", "late", "sweep-b", "sweep-a"]
    );
    assert!(queue.state().keys.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_key_is_worked_once_at_a_time_and_again_if_it_was_added_meanwhile() {
    let queue = queue();
    queue.add("web", Priority::High);
    let job = queue.next().await.unwrap();
    queue.add("web", Priority::Low);
    queue.add("web", Priority::High);
    assert!(drained(&queue).await.is_empty());
    drop(job);
    assert_eq!(drained(&queue).await, ["web"]);
    assert!(drained(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn failures_wait_longer_each_time_until_a_success() {
    let queue = queue();
    queue.add("web", Priority::High);
    let mut waits = Vec::new();
    for _ in 0..6 {
        let asked = Instant::now();
        let job = queue.next().await.unwrap();
        waits.push((asked.elapsed().as_secs(), job.fail().as_secs()));
    }
    assert_eq!(waits, [(0, 1), (1, 2), (2, 4), (4, 8), (8, 10), (10, 10)]);
    queue.next().await.unwrap().succeed();
    assert!(queue.state().keys.is_empty());
    queue.add("web", Priority::High);
    assert_eq!(queue.next().await.unwrap().fail(), SECOND);
    // A change does not wait for the backoff, and takes its place.
    queue.renew("web", Priority::High);
    queue.next().await.unwrap().succeed();
    sleep(20 * SECOND).await;
    assert!(drained(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn whatever_adds_a_failed_key_it_waits_for_its_retry() {
    let queue = queue();
    queue.add("web", Priority::High);
    let start = Instant::now();
    let mut rounds = 0;
    while start.elapsed() < 60 * SECOND {
        let Ok(Some(job)) = timeout(SECOND, queue.next()).await else {
            continue;
        };
        rounds += 1;
        // Added while it is worked, between failure and end, and after it, now and later.
        queue.add("web", Priority::High);
        job.fail();
        queue.add("web", Priority::High);
        queue.add_after("web", Duration::from_millis(10));
        assert!(drained(&queue).await.is_empty());
    }
    // 1, 2, 4, 8, then 10 seconds each: not one round more than without the additions.
    assert_eq!(rounds, 9);
}

#[tokio::test(start_paused = true)]
async fn a_change_that_comes_while_the_work_fails_is_worked_at_once() {
    let queue = queue();
    queue.add("web", Priority::High);
    let job = queue.next().await.unwrap();
    queue.renew("web", Priority::High);
    job.fail();
    let start = Instant::now();
    assert_eq!(queue.next().await.unwrap().fail(), SECOND);
    assert_eq!(start.elapsed(), Duration::ZERO);
    // The same where only the failures are forgotten, and it is added afterwards.
    queue.forget(&"web");
    queue.add_after("web", Duration::from_millis(300));
    queue.next().await.unwrap().succeed();
    assert_eq!(start.elapsed(), Duration::from_millis(300));
    sleep(20 * SECOND).await;
    assert!(drained(&queue).await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn retries_of_all_keys_together_have_a_rate() {
    let queue = WorkQueue::new(Backoff {
        first: SECOND,
        longest: SECOND,
    });
    for key in 0..1_000 {
        queue.add(key, Priority::Low);
    }
    let mut worked = 0;
    while let Ok(Some(job)) = timeout(Duration::ZERO, queue.next()).await {
        job.fail();
        worked += 1;
    }
    assert_eq!(worked, 1_000, "what did not fail yet is not held back");
    // 100 at once after their backoff, then ten a second.
    sleep(11 * SECOND).await;
    let mut retried = 0;
    while let Ok(Some(job)) = timeout(Duration::ZERO, queue.next()).await {
        job.succeed();
        retried += 1;
    }
    assert!((200..=220).contains(&retried), "{retried}");
}

#[tokio::test(start_paused = true)]
async fn queues_of_one_server_share_the_rate_of_their_retries() {
    let backoff = Backoff {
        first: SECOND,
        longest: SECOND,
    };
    let rate = RetryRate::default();
    let queues = [(); 2].map(|()| WorkQueue::with_rate(backoff, rate.clone()));
    for queue in &queues {
        for key in 0..100 {
            queue.add(key, Priority::Low);
            queue.next().await.unwrap().fail();
        }
    }
    sleep(SECOND).await;
    let mut retried = Vec::new();
    for queue in &queues {
        retried.push(drained(queue).await.len());
    }
    assert_eq!(retried[0], 100);
    assert!(retried[1] < 20, "{retried:?}");
}

#[tokio::test(start_paused = true)]
async fn the_shortest_delay_counts() {
    let queue = queue();
    let start = Instant::now();
    queue.add_after("web", 10 * SECOND);
    queue.add_after("web", 3 * SECOND);
    queue.add_after("web", 7 * SECOND);
    queue.add_after("db", 3 * SECOND);
    assert_eq!(*queue.next().await.unwrap().key(), "web");
    assert_eq!(*queue.next().await.unwrap().key(), "db");
    assert_eq!(start.elapsed(), 3 * SECOND);
    sleep(20 * SECOND).await;
    assert!(drained(&queue).await.is_empty());

    queue.add("web", Priority::High);
    queue.next().await.unwrap().succeed_until(5 * SECOND);
    let start = Instant::now();
    assert_eq!(*queue.next().await.unwrap().key(), "web");
    assert_eq!(start.elapsed(), 5 * SECOND);
}

#[tokio::test(start_paused = true)]
async fn a_waiting_worker_wakes_for_an_earlier_key_and_several_workers_share() {
    let queue = queue();
    queue.add_after("late", 60 * SECOND);
    let workers: Vec<_> = (0..3)
        .map(|_| {
            let queue = queue.clone();
            tokio::spawn(async move {
                let mut seen = Vec::new();
                while let Some(job) = queue.next().await {
                    seen.push(*job.key());
                    sleep(SECOND).await;
                }
                seen
            })
        })
        .collect();
    sleep(SECOND).await;
    for key in ["a", "b", "c"] {
        queue.add_after(key, 5 * SECOND);
    }
    // All three become due at once; one second later each worker has had one.
    sleep(7 * SECOND).await;
    queue.close();
    let mut seen = Vec::new();
    for worker in workers {
        let keys = timeout(SECOND, worker).await.unwrap().unwrap();
        assert_eq!(keys.len(), 1);
        seen.extend(keys);
    }
    seen.sort_unstable();
    assert_eq!(seen, ["a", "b", "c"]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_that_is_due_by_then_keeps_the_queue_busy_and_a_later_one_does_not() {
    let queue = queue();
    let now = Instant::now();
    assert!(!queue.is_busy_until(now + SECOND));
    queue.add_after("sweep", SECOND / 2);
    assert!(!queue.is_busy_until(now + SECOND));
    queue.add("web", Priority::High);
    assert!(queue.is_busy_until(now));
    let job = queue.next().await.unwrap();
    assert!(queue.is_busy_until(now));
    let wait = job.fail();
    assert!(!queue.is_busy_until(now + wait - SECOND / 10));
    assert!(queue.is_busy_until(now + wait));
    sleep(wait).await;
    let mut jobs = vec![queue.next().await.unwrap(), queue.next().await.unwrap()];
    jobs.drain(..).for_each(Job::succeed);
    assert!(!queue.is_busy_until(now + 100 * SECOND));
}
